//! Debian's Dovecot, without rights of its own, in a folder of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU16, Ordering};

use super::server::LOGIN;
use crate::peers::daemon::Daemon;
use crate::peers::mta::{belongs, user};
use crate::support::{Folder, PASSWORD, is_installed, run};

/// A server whose accounts are all there, and empty.
pub(super) struct Dovecot {
    pub(super) imap: SocketAddr,
    pub(super) imaps: SocketAddr,
    pub(super) lmtp: SocketAddr,
    pub(super) pop3: SocketAddr,
    pub(super) pop3s: SocketAddr,
    folder: Folder,
    _daemon: Daemon,
}

pub(super) fn missing() -> Option<&'static str> {
    let there = [PROGRAM, IMAP, LMTP].iter().all(|path| Path::new(path).exists());
    match there {
        true => (!is_installed("openssl", "version")).then_some("openssl is not installed"),
        false => Some("dovecot-imapd and dovecot-lmtpd are not installed"),
    }
}

/// Why it has no POP3.
pub(super) fn missing_pop3() -> Option<&'static str> {
    missing().or_else(|| (!Path::new(POP3).exists()).then_some("dovecot-pop3d is not installed"))
}

impl Dovecot {
    pub(super) fn start() -> Self {
        Self::start_over("maildir:~/Maildir:LAYOUT=fs", |_, _| ())
    }

    /// The same with mailboxes in folders of this kind, which something is put into first: where they are, and whose.
    pub(super) fn start_over(mail_location: &str, place: impl FnOnce(&Path, Option<(u32, u32)>)) -> Self {
        let folder = Folder::new();
        // It runs as one user, as anybody may start it; root is somebody that it does not want to be.
        let root = rustix::process::geteuid().is_root();
        let mail = root.then(|| user("mail").expect("Debian's user"));
        let name = if root { "mail".to_owned() } else { output("id", "-un") };
        let group = if root { "mail".to_owned() } else { output("id", "-gn") };
        make_certificate(&folder);
        folder.write("users", &format!("{LOGIN}:{{PLAIN}}{PASSWORD}\n"));
        for path in ["", "key.pem"] {
            belongs(&folder.path(path), mail);
        }
        place(&folder.path(MAILDIR), mail);
        let ports @ [imap, imaps, lmtp, pop3, pop3s] = ports();
        let config =
            folder.write("dovecot.conf", &config(&folder.path(""), &name, &group, mail_location, ports));
        let mut command = Command::new(PROGRAM);
        command.arg("-F").arg("-c").arg(config);
        if let Some((user, group)) = mail {
            command.uid(user).gid(group);
        }
        let daemon = Daemon::start(&mut command, None);
        // It listens before it says so.
        daemon.wait_for(" starting up for ", 1);
        let at = |port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let [imap, imaps, lmtp, pop3, pop3s] = [imap, imaps, lmtp, pop3, pop3s].map(at);
        Self { imap, imaps, lmtp, pop3, pop3s, folder, _daemon: daemon }
    }

    /// The mailboxes of [`LOGIN`].
    pub(super) fn maildir(&self) -> PathBuf {
        self.folder.path(MAILDIR)
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.path("cert.pem")
    }
}

fn output(program: &str, argument: &str) -> String {
    run(Command::new(program).arg(argument), "").stdout.trim().to_owned()
}

/// Below those that the system gives away, so that only other runs of these tests could want them.
fn ports() -> [u16; 5] {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let number = NEXT.fetch_add(5, Ordering::Relaxed) % RUN;
    let first = FIRST + (process::id() % RUNS) as u16 * RUN + number;
    [first, first + 1, first + 2, first + 3, first + 4]
}

fn config(
    here: &Path,
    user: &str,
    group: &str,
    mail: &str,
    [imap, imaps, lmtp, pop3, pop3s]: [u16; 5],
) -> String {
    let (more, login) = match missing_pop3() {
        Some(_) => ("", String::new()),
        None => (" pop3", pop3_login(pop3, pop3s)),
    };
    format!(
        "protocols = imap lmtp{more}
base_dir = {here}run
state_dir = {here}state
log_path = /dev/stderr
listen = 127.0.0.1
hostname = mail.example.test
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
first_valid_uid = 1
first_valid_gid = 1
ssl = yes
ssl_cert = <{here}cert.pem
ssl_key = <{here}key.pem
disable_plaintext_auth = no
auth_failure_delay = 0
auth_mechanisms = plain login scram-sha-1 scram-sha-256
mail_location = {mail}
mail_max_userip_connections = 100
# A mailbox is looked at when inotify tells, and no later.
mailbox_idle_check_interval = 1 hours
namespace inbox {{
  inbox = yes
  separator = /
}}
passdb {{
  driver = passwd-file
  args = {here}users
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={here}mail/%u
}}
service anvil {{
  chroot =
  # Some clients get a password wrong on purpose; nobody waits for that here.
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    port = {lmtp}
  }}
}}
{login}",
        here = here.display(),
    )
}

fn pop3_login(pop3: u16, pop3s: u16) -> String {
    format!(
        "service pop3-login {{
  chroot =
  inet_listener pop3 {{
    port = {pop3}
  }}
  inet_listener pop3s {{
    port = {pop3s}
  }}
}}
"
    )
}

/// cert.pem and key.pem, which nobody has signed.
fn make_certificate(folder: &Folder) {
    let mut openssl = Command::new("openssl");
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=mail.example.test"])
        .args(["-addext", "subjectAltName=DNS:mail.example.test,DNS:localhost,IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(folder.path("key.pem"))
        .arg("-out")
        .arg(folder.path("cert.pem"));
    let result = run(&mut openssl, "");
    assert_eq!(result.status, Some(0), "{}", result.stderr);
}

/// Where the mailboxes of [`LOGIN`] are.
const MAILDIR: &str = "mail/anna@example.test/Maildir";
const PROGRAM: &str = "/usr/sbin/dovecot";
const IMAP: &str = "/usr/lib/dovecot/imap";
const LMTP: &str = "/usr/lib/dovecot/lmtp";
const POP3: &str = "/usr/lib/dovecot/pop3-login";
/// The first port of all, how many a run of the tests has for itself, and how many runs there may be at once.
const FIRST: u16 = 20_000;
const RUN: u16 = 200;
const RUNS: u32 = 60;
