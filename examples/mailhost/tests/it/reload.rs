//! Another configuration and another certificate, while the host runs.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use mailhost::client::Server;
use mailhost::listener::Service;
use rcgen::{CertificateParams, KeyPair};
use rustix::process::{Signal, kill_process};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use time::{Duration, OffsetDateTime};

use crate::imap::Imap;
use crate::support::{DEADLINE, Host, Site, Wire, field};

impl Site {
    /// Puts a configuration with another part of the text in the place of the one there is.
    fn edit(&self, old: &str, new: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(old), "{text}");
        fs::write(self.config(), text.replace(old, new)).unwrap();
    }

    /// Makes a pair that ends in so many days, and has it served at the next look.
    pub(crate) fn renew(&self, days: i64) -> Arc<ClientConfig> {
        let mut params = CertificateParams::new(["mail.example.test".to_owned()]).unwrap();
        params.not_before = OffsetDateTime::now_utc() - Duration::days(30);
        params.not_after = OffsetDateTime::now_utc() + Duration::days(days);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        self.folder().write("key.pem", &key.serialize_pem());
        self.folder().write("cert.pem", &certificate.pem());
        let certificate = CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap();
        Server::trusting(&certificate).unwrap()
    }
}

impl Host {
    /// SIGHUP, and waits for a line of its log.
    #[track_caller]
    fn reload(&self, line: &str) -> String {
        kill_process(self.process(), Signal::HUP).unwrap();
        self.wait_for(line)
    }

    pub(crate) fn serves(&self, tls: &Arc<ClientConfig>) -> bool {
        Wire::connect(self.address(Service::Imaps)).try_start_tls(tls).is_ok()
    }
}

fn site(sections: &str) -> Site {
    Site::with_accounts(&format!("[auth]\nallow_plaintext = true\n{sections}"), &["anna"])
}

const TLS: &str = "[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n";

#[test]
fn new_sessions_get_the_new_configuration_and_old_ones_keep_theirs() {
    let site = site("[limits]\nmessage_size = 100000\nrecipients = 100\n");
    let host = site.start();
    let size = |wire: &mut Wire| {
        let reply = wire.say("EHLO client.test", "250-");
        reply.lines().find_map(|line| line[4..].strip_prefix("SIZE ")).unwrap().to_owned()
    };
    let greeted = || {
        let mut wire = Wire::connect(host.address(Service::Smtp));
        wire.expect("220");
        wire
    };
    let mut old = greeted();
    assert_eq!(size(&mut old), "100000");
    let mut leaving = Wire::pop3(host.address(Service::Pop3), "anna@example.test");

    let pop3 = host.address(Service::Pop3);
    site.edit("message_size = 100000", "message_size = 200000");
    site.edit("pop3 = [\"127.0.0.1:0\"]\n", "");
    site.edit("\nimap = [", "\nimap = [\"[::1]:0\", ");
    site.edit("domains = [\"example.test\"]", "domains = [\"example.test\", \"further.test\"]");
    let added = host.reload("listening service=imap address=[::1]:");
    let added = field(&added, "address").unwrap().parse().unwrap();
    host.wait_for("no longer listening service=pop3 address=127.0.0.1:0");
    let said = host.wait_for("configuration reloaded");
    Imap::greeted(Wire::connect(added));
    let changed = "changed=\"domains limits.message_size listen.imap listen.pop3\"";
    assert!(said.ends_with(changed), "{said}");

    assert_eq!(size(&mut old), "100000", "a session keeps what it has begun with");
    let mut new = greeted();
    assert_eq!(size(&mut new), "200000");
    site.does("account add dora@further.test --password-stdin");
    new.deliver(&["dora@further.test"], "Subject: new\r\n\r\n");
    // Nobody listens there any more, and who is there goes on.
    let start = Instant::now();
    while TcpStream::connect(pop3).is_ok() {
        assert!(start.elapsed() < DEADLINE, "the socket is not closed");
    }
    leaving.say("STAT", "+OK 0 0");
    leaving.say("QUIT", "+OK");

    // And back.
    site.edit(", \"further.test\"", "");
    host.reload("configuration reloaded changed=domains");
    greeted().say("HELO client.test", "250");
    let mut new = Wire::smtp(host.address(Service::Smtp));
    new.say("MAIL FROM:<>", "250");
    new.say("RCPT TO:<dora@further.test>", "550");
    host.reload("nothing has changed");
    host.stop();
}

#[test]
fn a_new_configuration_that_is_wrong_is_one_line_and_the_old_one_stays() {
    let site = site("[limits]\nmessage_size = 100000\n[relay]\nport = 26\n");
    let host = site.start();
    let good = fs::read_to_string(site.config()).unwrap();
    let file = site.config().display().to_string();
    let holds = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = holds.local_addr().unwrap();
    let cases = [
        (
            "message_size",
            "mesage_size",
            format!(
                "{file}:{}: unknown key \"mesage_size\" in [limits]; did you mean \"message_size\"?",
                8 + Service::ALL.len()
            ),
        ),
        (
            "[relay]\n",
            "[relay]\nsmarthost = \"h.test\"\nuser = \"u\"\npassword_file = \"none\"\n",
            format!(
                "password_file {}: No such file or directory (os error 2)",
                site.folder().path("none").display()
            ),
        ),
        (
            "pop3 = [",
            &format!("pop3 = [\"{taken}\", "),
            format!(
                "{file}:8: cannot listen on {taken} for pop3: another program uses it; stop that program or choose another port"
            ),
        ),
        ("hostname", "[hostname", format!("{file}:1: not valid TOML: ")),
    ];
    for (old, new, sentence) in cases {
        site.edit(old, new);
        let said = host.reload(" ERROR ");
        let (_, said) = said.split_once("mailhost::reload: ").unwrap();
        assert!(said.starts_with(&sentence), "{said}\n{sentence}");
        assert!(said.ends_with("; the old configuration stays in force"), "{said}");
        let mut wire = Wire::smtp(host.address(Service::Smtp));
        assert!(wire.say("EHLO client.test", "250-").contains("SIZE 100000"));
        fs::write(site.config(), &good).unwrap();
    }
    fs::remove_file(site.config()).unwrap();
    let said = host.reload(" ERROR ");
    assert!(said.contains("cannot read the configuration"), "{said}");
    // What cannot change is said, and the rest is taken.
    fs::write(
        site.config(),
        good.replace("mail.example.test", "other.test").replace("port = 26", "port = 27"),
    )
    .unwrap();
    let said = host.reload(" WARN ");
    assert!(said.ends_with("kept=\"hostname stays mail.example.test\""), "{said}");
    host.wait_for("configuration reloaded changed=relay.port");
    Wire::smtp(host.address(Service::Smtp));
    host.stop();
}

#[test]
fn a_certificate_that_cannot_be_used_changes_nothing() {
    let site = Site::new(TLS);
    let good = site.renew(30);
    let host = site.start();
    assert!(host.serves(&good));
    let read = |name: &str| fs::read(site.folder().path(name)).unwrap();
    let (certificate, key) = (read("cert.pem"), read("key.pem"));
    let line = |what: &str| {
        let said = host.reload(" ERROR ");
        assert!(said.contains(what), "{said}");
        assert!(
            said.contains("mail.toml:1") && said.ends_with("; the old certificate stays in use"),
            "{said}"
        );
        assert!(host.serves(&good));
    };
    site.renew(30);
    site.folder().write("cert.pem", "");
    line("is not PEM");
    fs::write(site.folder().path("cert.pem"), &certificate).unwrap();
    // The file is the one in use, and its key does not matter.
    host.reload("nothing has changed");
    site.renew(30);
    fs::write(site.folder().path("key.pem"), &key).unwrap();
    line("is not the key of the certificate in");
    fs::remove_file(site.folder().path("cert.pem")).unwrap();
    line("cannot read the certificate");
    let late = site.renew(-1);
    line(" ended on ");
    assert!(!host.serves(&late));
    let better = site.renew(30);
    host.reload("certificate reloaded");
    assert!(host.serves(&better) && !host.serves(&good));
    host.stop();
}

#[test]
fn a_file_that_changes_is_noticed_without_a_signal() {
    let site = site(TLS);
    let old = site.renew(30);
    let host = site.start();
    let new = site.renew(60);
    host.wait_for("certificate reloaded");
    assert!(host.serves(&new) && !host.serves(&old));
    site.edit("key.pem\"\n", "key.pem\"\n[limits]\nerrors = 7\n");
    host.wait_for("configuration reloaded changed=limits.errors");
    host.stop();
}

/// What fifty clients do all the time.
struct Work<'w> {
    host: &'w Addresses,
    done: &'w AtomicBool,
    rounds: &'w AtomicUsize,
}

struct Addresses {
    smtp: SocketAddr,
    pop3: SocketAddr,
    imap: SocketAddr,
}

impl Work<'_> {
    fn repeat(&self, mut once: impl FnMut()) {
        while !self.done.load(Ordering::Relaxed) {
            once();
            self.rounds.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A session, and what it goes on doing: logged in here, for fifty logins at once are another test.
    fn session(&self, number: usize) -> Box<dyn FnOnce() + Send + '_> {
        match number {
            0..10 => {
                let mut wire = Wire::pop3(self.host.pop3, &format!("p{number}@example.test"));
                Box::new(move || {
                    self.repeat(|| drop(wire.listing("UIDL")));
                    wire.say("QUIT", "+OK");
                    wire.ended();
                })
            }
            10..30 => {
                let mut imap = Imap::greeted(Wire::connect(self.host.imap));
                imap.ok("LOGIN anna@example.test \"correct horse\"");
                Box::new(move || {
                    self.repeat(|| {
                        imap.ok("SELECT INBOX");
                        imap.ok("STATUS Drafts (MESSAGES)");
                    });
                    imap.ok("LOGOUT");
                })
            }
            _ => {
                let mut wire = Wire::smtp(self.host.smtp);
                Box::new(move || {
                    self.repeat(|| {
                        wire.deliver(&["anna@example.test"], "Subject: work\r\n\r\n.\r\ntext\r\n")
                    });
                    wire.say("QUIT", "221");
                    wire.ended();
                })
            }
        }
    }
}

#[test]
fn twenty_reloads_drop_none_of_fifty_sessions_at_work() {
    const RELOADS: usize = 20;
    let names: Vec<String> = (0..10).map(|number| format!("p{number}")).collect();
    let all: Vec<&str> = ["anna"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let limits = "[limits]\nconnections_per_address = 200\njunk_commands = 100000\n";
    let site = Site::with_accounts(&format!("[auth]\nallow_plaintext = true\n{TLS}{limits}"), &all);
    let mut tls = site.renew(30);
    let host = site.start();
    let addresses = Addresses {
        smtp: host.address(Service::Smtp),
        pop3: host.address(Service::Pop3),
        imap: host.address(Service::Imap),
    };
    let (done, rounds) = (AtomicBool::new(false), AtomicUsize::new(0));
    let work = Work { host: &addresses, done: &done, rounds: &rounds };
    thread::scope(|scope| {
        let sessions: Vec<_> = (0..50).map(|number| work.session(number)).collect();
        let sessions: Vec<_> = sessions.into_iter().map(|session| scope.spawn(session)).collect();
        let start = Instant::now();
        for number in 0..RELOADS {
            let before = rounds.load(Ordering::Relaxed);
            let old = std::mem::replace(&mut tls, site.renew(31 + number as i64));
            site.edit(&limits_of(number), &limits_of(number + 1));
            host.reload("certificate reloaded");
            // What was in its place before is not seen any more.
            let seen = loop {
                if host.serves(&tls) {
                    break !host.serves(&old);
                }
                assert!(start.elapsed() < 2 * DEADLINE, "the new certificate is not served");
            };
            assert!(seen, "the old certificate is still served");
            while rounds.load(Ordering::Relaxed) < before + 50
                && sessions.iter().all(|session| !session.is_finished())
            {
                thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
        for session in sessions {
            session.join().expect("each session finishes its work");
        }
    });
    let rounds = rounds.load(Ordering::Relaxed);
    println!("{RELOADS} reloads under 50 sessions, which did {rounds} rounds of work");
    let stopped = host.stop();
    assert!(stopped.contains("cut_off=0"), "{stopped}");
}

fn limits_of(number: usize) -> String {
    match number {
        0 => "connections_per_address = 200\n".to_owned(),
        _ => format!("connections_per_address = 200\nmessage_size = \"{number} MiB\"\n"),
    }
}
