//! Logins that do not send the password, with rsasl as the foreign client.

use std::io::{BufRead as _, BufReader, Cursor, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailhost::auth::{Password, PasswordHash};
use mailhost::listener::Service;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::config::SASLConfig;
use rsasl::mechanisms::scram::{SCRAM_SHA1, SCRAM_SHA1_PLUS, SCRAM_SHA256, SCRAM_SHA256_PLUS};
use rsasl::mechname::Mechname;
use rsasl::prelude::{ChannelBindingCallback, SASLClient, SessionError};
use rsasl::property::{AuthId, OverrideCBType, Password as Word};
use rsasl::registry::{Mechanism, Registry};

use crate::support::{DEADLINE, Host, PASSWORD, Site, Wire, base64};

const PLAINTEXT: &str = "[auth]\nallow_plaintext = true\n";
const ANNA: &str = "anna@example.test";

static SCRAM: &[Mechanism] = &[SCRAM_SHA256_PLUS, SCRAM_SHA256, SCRAM_SHA1_PLUS, SCRAM_SHA1];

/// What rsasl knows.
struct Foreign {
    name: String,
    word: String,
    bound: Option<&'static str>,
}

/// What it sees of the channel.
struct Channel(Vec<u8>);

impl SessionCallback for Foreign {
    fn callback(
        &self,
        _: &SessionData,
        _: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        request.satisfy::<AuthId>(&self.name)?.satisfy::<Word>(self.word.as_bytes())?;
        if let Some(name) = self.bound {
            request.satisfy::<OverrideCBType>(name)?;
        }
        Ok(())
    }

    fn enable_channel_binding(&self) -> bool {
        self.bound.is_some()
    }
}

impl ChannelBindingCallback for Channel {
    fn get_cb_data(&self, _: &str) -> Option<&[u8]> {
        Some(&self.0)
    }
}

/// What came of a login.
#[derive(Debug)]
struct Outcome {
    /// The host's last line.
    reply: String,
    /// Its challenges.
    challenges: Vec<String>,
    /// Whether rsasl believes that the host knows the password.
    believed: bool,
}

/// Logs in with rsasl; `channel` is what it sees of the channel.
#[track_caller]
fn log_in(
    wire: &mut Wire,
    mechanism: &str,
    name: &str,
    word: &str,
    channel: Option<(&'static str, Vec<u8>)>,
) -> Outcome {
    let (bound, data) = channel.unzip();
    let foreign = Foreign { name: name.to_owned(), word: word.to_owned(), bound };
    let config = SASLConfig::builder()
        .with_registry(Registry::with_mechanisms(SCRAM))
        .with_callback(foreign)
        .expect("a configuration");
    let offered = [Mechname::parse(mechanism.as_bytes()).unwrap()];
    let client = SASLClient::with_cb(config, Channel(data.unwrap_or_default()));
    let mut client = client.start_suggested(&offered).expect("rsasl knows the mechanism");
    let mut response = Cursor::new(Vec::new());
    client.step(None, &mut response).expect("a first message");
    let mut line = format!("AUTH {mechanism} {}", base64(response.get_ref()));
    let (mut challenges, mut believed) = (Vec::new(), false);
    loop {
        wire.send(format!("{line}\r\n"));
        let reply = wire.line();
        let Some(challenge) = reply.strip_prefix("334 ").or_else(|| reply.strip_prefix("+ ")) else {
            return Outcome { reply, challenges, believed };
        };
        challenges.push(challenge.to_owned());
        let challenge = STANDARD.decode(challenge).expect("base64");
        let mut response = Cursor::new(Vec::new());
        match client.step(Some(&challenge), &mut response) {
            Ok(state) => {
                believed = state.is_finished();
                line = base64(response.get_ref());
            }
            Err(_) => line = "*".to_owned(),
        }
    }
}

/// The hash of the host's certificate, which is one of ECDSA with SHA-256.
fn end_point(site: &Site) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject as _;
    use sha2::Digest as _;
    let certificate = rustls::pki_types::CertificateDer::from_pem_file(site.data("self-signed.pem")).unwrap();
    sha2::Sha256::digest(&certificate).to_vec()
}

fn submissions(site: &Site, host: &Host) -> Wire {
    let mut wire = Wire::connect(host.address(Service::Submissions)).start_tls(&site.tls());
    wire.expect("220");
    wire.say("EHLO client.test", "250-");
    wire
}

/// The keys have to be known before the password is: so the login name says which of them it is.
#[test]
fn an_app_password_logs_in_with_scram_under_a_name_that_names_it() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let said = site.does(&format!("account app-password add {ANNA} phone"));
    let word = said.strip_prefix("password ").and_then(|rest| rest.strip_suffix('\n')).expect("a password");
    let host = site.start();
    let named = format!("{ANNA}/Phone");
    let try_as = |name: &str, word: &str| {
        let mut wire = Wire::smtp(host.address(Service::Submission));
        log_in(&mut wire, "SCRAM-SHA-256", name, word, None)
    };
    let outcome = try_as(&named, word);
    assert!(outcome.believed && outcome.reply.starts_with("235 2.7.0"), "{outcome:?}");
    assert!(try_as(ANNA, PASSWORD).reply.starts_with("235 2.7.0"));
    assert!(site.does(&format!("account app-password list {ANNA}")).contains("used 20"));
    assert!(try_as(&named, PASSWORD).reply.starts_with("535 5.7.8"));
    // Only who knows the password is told.
    site.does(&format!("account suspend {ANNA}"));
    assert!(try_as(ANNA, PASSWORD).reply.starts_with("535 5.7.13"));
}

#[test]
fn what_binds_to_tls_is_announced_under_tls_only() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    let all = "AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-1 PLAIN LOGIN";
    let without = "AUTH SCRAM-SHA-256 SCRAM-SHA-1 PLAIN LOGIN";
    let announced = |reply: String| {
        let line = reply.lines().find(|line| line.contains("AUTH ")).unwrap_or_default().to_owned();
        line.get(4..).unwrap_or_default().to_owned()
    };
    let mut wire = Wire::connect(host.address(Service::Submission));
    wire.expect("220");
    assert_eq!(announced(wire.say("EHLO client.test", "250-")), without);
    wire.say("AUTH SCRAM-SHA-256-PLUS", "504 5.5.4");
    wire.say("STARTTLS", "220");
    let mut wire = wire.start_tls(&site.tls());
    assert_eq!(announced(wire.say("EHLO client.test", "250-")), all);
    let mut wire = Wire::connect(host.address(Service::Submissions)).start_tls(&site.tls());
    wire.expect("220");
    assert_eq!(announced(wire.say("EHLO client.test", "250-")), all);
    // Tokens and certificates are judged by nobody here.
    for mechanism in ["OAUTHBEARER", "XOAUTH2", "EXTERNAL"] {
        wire.say(&format!("AUTH {mechanism}"), "504 5.5.4");
    }
}

#[test]
fn rsasl_submits_mail_without_sending_the_password() {
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    for (mechanism, kind) in [
        ("SCRAM-SHA-256-PLUS", Some("tls-exporter")),
        ("SCRAM-SHA-256-PLUS", Some("tls-server-end-point")),
        ("SCRAM-SHA-256", None),
        ("SCRAM-SHA-1-PLUS", Some("tls-exporter")),
        ("SCRAM-SHA-1", None),
    ] {
        let mut wire = submissions(&site, &host);
        let data = if kind == Some("tls-exporter") { wire.exported().to_vec() } else { end_point(&site) };
        let outcome =
            log_in(&mut wire, mechanism, "Anna@Example.TEST", PASSWORD, kind.map(|kind| (kind, data)));
        assert!(outcome.believed && outcome.reply.starts_with("235 2.7.0"), "{mechanism}: {outcome:?}");
        wire.say("MAIL FROM:<ben@example.test>", "553 5.7.1");
        wire.say("MAIL FROM:<anna@example.test>", "250 2.1.0");
        // RFC 4954 §4: once is enough.
        wire.say("RSET", "250");
        wire.say("AUTH SCRAM-SHA-256", "503");
    }
}

#[test]
fn rsasl_collects_mail_without_sending_the_password() {
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let pop3s = || {
        let mut wire = Wire::connect(host.address(Service::Pop3s)).start_tls(&site.tls());
        wire.expect("+OK");
        wire
    };
    let capabilities = String::from_utf8(pop3s().listing("CAPA")).unwrap();
    let all = "SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 SCRAM-SHA-1-PLUS SCRAM-SHA-1 PLAIN LOGIN\r\n";
    assert!(capabilities.contains(all), "{capabilities}");
    let mut plain = Wire::connect(host.address(Service::Pop3));
    plain.expect("+OK");
    assert!(!String::from_utf8(plain.listing("CAPA")).unwrap().contains("SASL"));
    plain.say("AUTH SCRAM-SHA-256", "-ERR");
    for (mechanism, bound) in [("SCRAM-SHA-256-PLUS", true), ("SCRAM-SHA-1", false)] {
        let mut wire = pop3s();
        let channel = bound.then(|| ("tls-exporter", wire.exported().to_vec()));
        let outcome = log_in(&mut wire, mechanism, ANNA, PASSWORD, channel);
        assert!(outcome.believed && outcome.reply == "+OK 0 messages, 0 octets", "{outcome:?}");
        // The maildrop is locked, however its owner came in.
        let outcome = log_in(&mut pop3s(), "SCRAM-SHA-256", ANNA, PASSWORD, None);
        assert!(outcome.reply.starts_with("-ERR [IN-USE]"), "{outcome:?}");
        wire.say("QUIT", "+OK");
        wire.ended();
    }
    let outcome = log_in(&mut pop3s(), "SCRAM-SHA-256", ANNA, "wrong", None);
    assert!(outcome.reply.starts_with("-ERR [AUTH]"), "{outcome:?}");
}

#[test]
fn a_wrong_channel_and_a_wrong_password_are_one_answer() {
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let mut replies = Vec::new();
    for (name, word, altered) in
        [(ANNA, PASSWORD, true), (ANNA, "wrong", false), ("nobody@example.test", PASSWORD, false)]
    {
        let mut wire = submissions(&site, &host);
        let mut data = wire.exported().to_vec();
        data[31] ^= u8::from(altered);
        let outcome = log_in(&mut wire, "SCRAM-SHA-256-PLUS", name, word, Some(("tls-exporter", data)));
        assert!(!outcome.believed && outcome.challenges.len() == 1, "{outcome:?}");
        wire.say("MAIL FROM:<anna@example.test>", "530 5.7.0");
        replies.push(outcome.reply);
    }
    assert!(replies[0].starts_with("535 5.7.8"), "{replies:?}");
    assert!(replies.iter().all(|reply| *reply == replies[0]), "{replies:?}");
}

/// The salt and the count that the host tells about a name.
#[track_caller]
fn told(wire: &mut Wire, name: &str) -> (String, String) {
    wire.send(format!(
        "AUTH SCRAM-SHA-256 {}\r\n",
        base64(format!("n,,n={name},r=0123456789abcdef").as_bytes())
    ));
    let challenge = wire.line();
    let challenge = challenge.strip_prefix("334 ").unwrap_or_else(|| panic!("{challenge}")).to_owned();
    let challenge = String::from_utf8(STANDARD.decode(&challenge).unwrap()).unwrap();
    wire.send("*\r\n");
    assert!(wire.line().starts_with("501"));
    let mut fields = challenge.split(',').skip(1);
    (fields.next().unwrap().to_owned(), fields.next().unwrap().to_owned())
}

#[test]
fn a_name_that_does_not_exist_looks_like_one_that_does_and_stays_the_same() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let ask = |name: &str| {
        let host = site.start();
        let mut wire = Wire::smtp(host.address(Service::Submission));
        told(&mut wire, name)
    };
    let known = ask(ANNA);
    assert_eq!(ask("ANNA@example.test"), known, "in whatever case");
    let unknown = ask("nobody@example.test");
    assert_eq!((known.0.len(), &known.1), (unknown.0.len(), &unknown.1));
    assert_ne!(known.0, unknown.0);
    assert_eq!(ask("NoBody@example.test"), unknown, "in whatever case, over a restart");
    assert_ne!(ask("another@example.test").0, unknown.0);
}

#[test]
fn an_account_of_before_scram_gets_its_keys_at_the_next_login() {
    let site = Site::new(PLAINTEXT);
    let host = site.start();
    // The record of an older version: with a hash, and without keys.
    let hash = PasswordHash::new(&Password::new(PASSWORD.to_owned()).unwrap()).unwrap();
    let mut admin = UnixStream::connect(site.data("admin.sock")).expect("the host listens");
    admin.set_read_timeout(Some(DEADLINE)).unwrap();
    let request = format!(
        "{{\"add-account\":{{\"address\":\"{ANNA}\",\"login\":null,\"password\":\"{}\"}}}}\n",
        hash.as_str()
    );
    admin.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    BufReader::new(admin).read_line(&mut answer).unwrap();
    assert!(answer.starts_with("{\"added\":") && !answer.contains("argon2id"), "{answer}");

    let scram = |expected: &str| {
        let mut wire = Wire::smtp(host.address(Service::Submission));
        let outcome = log_in(&mut wire, "SCRAM-SHA-256", ANNA, PASSWORD, None);
        assert!(outcome.reply.starts_with(expected), "{outcome:?}");
    };
    scram("535 5.7.8");
    let mut wire = Wire::smtp(host.address(Service::Submission));
    wire.log_in_smtp(ANNA);
    scram("235 2.7.0");
    drop(host);
    let host = site.start();
    let mut wire = Wire::smtp(host.address(Service::Submission));
    let outcome = log_in(&mut wire, "SCRAM-SHA-1", ANNA, PASSWORD, None);
    assert!(outcome.reply.starts_with("235 2.7.0"), "they are kept: {outcome:?}");
}

#[test]
fn another_password_is_another_key() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    let mut wire = Wire::smtp(host.address(Service::Submission));
    assert!(log_in(&mut wire, "SCRAM-SHA-256", ANNA, PASSWORD, None).reply.starts_with("235"));
    let made = site.does("account password anna@example.test");
    let word = made.lines().find_map(|line| line.strip_prefix("password ")).expect("a password").to_owned();
    let mut wire = Wire::smtp(host.address(Service::Submission));
    let outcome = log_in(&mut wire, "SCRAM-SHA-256", ANNA, PASSWORD, None);
    assert!(outcome.reply.starts_with("535"), "{outcome:?}");
    let mut wire = Wire::smtp(host.address(Service::Submission));
    let outcome = log_in(&mut wire, "SCRAM-SHA-256", ANNA, &word, None);
    assert!(outcome.reply.starts_with("235"), "{outcome:?}");
}

#[test]
fn failures_without_a_password_slow_guessing_down_as_well() {
    let site = Site::with_accounts(PLAINTEXT, &["anna"]);
    let host = site.start();
    let mut wire = Wire::smtp(host.address(Service::Submission));
    assert!(log_in(&mut wire, "SCRAM-SHA-256", ANNA, "wrong", None).reply.starts_with("535"));
    let start = Instant::now();
    let mut wire = Wire::smtp(host.address(Service::Submission));
    assert!(log_in(&mut wire, "SCRAM-SHA-256", ANNA, "wrong", None).reply.starts_with("535"));
    let waited = start.elapsed();
    assert!(waited > Duration::from_millis(1_500), "{waited:?} for the second");
    // A login that is begun and not ended is a failure, too.
    let start = Instant::now();
    let mut wire = Wire::smtp(host.address(Service::Submission));
    told(&mut wire, ANNA);
    assert!(start.elapsed() > Duration::from_millis(3_000), "{:?} for the third", start.elapsed());
}
