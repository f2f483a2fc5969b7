//! A foreign mail host: what it is told, and what it does with mail.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::daemon::Daemon;
use super::{exim, postfix};
use crate::relay::{loopback, session};
use crate::support::{Folder, Run, is_installed, run, skip};

/// Which.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Postfix,
    Exim,
}

/// A host mail.far.test for far.test, at an address of its own, which relays for everybody on this machine. It knows
/// `ben`, and `all`, who gets the mail for each address that begins with u.
pub(super) struct Mta {
    pub(super) kind: Kind,
    pub(super) address: SocketAddr,
    pub(super) folder: Folder,
    pub(super) daemon: Daemon,
}

impl Mta {
    /// Starts it, with a host that takes the mail for b.test; says that the test is skipped if it cannot be had.
    pub(super) fn start(kind: Kind, test: &str, b_test: SocketAddr) -> Option<Self> {
        let why = match kind {
            Kind::Postfix => postfix::missing(),
            Kind::Exim => exim::missing(),
        };
        let tls = (!is_installed("openssl", "version")).then_some("openssl is not installed");
        // Both give up rights that they have to have had.
        let root = (!rustix::process::geteuid().is_root()).then_some("it starts as root alone");
        if let Some(why) = why.or(tls).or(root) {
            skip(test, why);
            return None;
        }
        let folder = Folder::new();
        let address = SocketAddr::new(loopback(), 2525);
        certificate(&folder);
        let daemon = match kind {
            Kind::Postfix => postfix::start(&folder, address, b_test),
            Kind::Exim => exim::start(&folder, address, b_test),
        };
        let mta = Self { kind, address, folder, daemon };
        mta.greylists(false);
        mta.daemon.wait_for("daemon started", 1);
        Some(mta)
    }

    /// Waits until so many deliveries were made here.
    #[track_caller]
    pub(super) fn wait_for_deliveries(&self, count: usize) {
        let what = match self.kind {
            Kind::Postfix => "status=sent (delivered to maildir)",
            Kind::Exim => " T=maildir",
        };
        self.daemon.wait_for(what, count);
    }

    /// Waits until so many attempts to send something were put off.
    #[track_caller]
    pub(super) fn wait_for_deferrals(&self, count: usize) {
        let what = match self.kind {
            Kind::Postfix => " status=deferred ",
            Kind::Exim => " defer (",
        };
        self.daemon.wait_for(what, count);
    }

    /// How many connections it has had.
    pub(super) fn connections(&self) -> usize {
        self.daemon.count(match self.kind {
            Kind::Postfix => ": connect from ",
            Kind::Exim => "(TCP/IP connection count = ",
        })
    }

    /// The messages of one of its accounts, in no order.
    pub(super) fn stored(&self, account: &str) -> Vec<Vec<u8>> {
        let files = fs::read_dir(self.folder.path("mail").join(account).join("new"));
        let files = files.map(|files| files.map(|file| fs::read(file.unwrap().path()).unwrap()).collect());
        files.unwrap_or_default()
    }

    /// Defers `later` from now on, or takes it, as a host that greylists does.
    pub(super) fn greylists(&self, on: bool) {
        match self.kind {
            Kind::Postfix => self.folder.write("access", if on { postfix::GREY } else { "" }),
            Kind::Exim => self.folder.write("grey", if on { "later" } else { "nobody-at-all" }),
        };
    }

    /// Has it try all it holds at once.
    #[track_caller]
    pub(super) fn flush(&self) {
        let mut command = match self.kind {
            Kind::Postfix => postfix::flush(&self.folder),
            Kind::Exim => exim::flush(&self.folder),
        };
        let result = run(&mut command, "");
        assert_eq!(result.status, Some(0), "{result:?}");
    }

    /// Gives it a message over SMTP, which it takes.
    #[track_caller]
    pub(super) fn take(&self, from: &str, to: &[&str], message: &[u8]) {
        let mut wire = session(self.address);
        wire.say(&format!("MAIL FROM:<{from}>"), "250");
        for to in to {
            wire.say(&format!("RCPT TO:<{to}>"), "250");
        }
        wire.say("DATA", "354");
        wire.send(crate::support::stuffed(message));
        wire.expect("250");
        wire.say("QUIT", "221");
    }
}

/// Its user and group in Debian's files.
pub(crate) fn user(name: &str) -> Option<(u32, u32)> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    let line = text.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut fields = line.split(':').skip(2).map(|field| field.parse().ok());
    Some((fields.next()??, fields.next()??))
}

/// A folder in a folder, for somebody.
pub(super) fn subfolder(folder: &Folder, name: &str, owner: Option<(u32, u32)>) -> PathBuf {
    let path = folder.path(name);
    fs::create_dir(&path).unwrap();
    belongs(&path, owner);
    path
}

pub(crate) fn belongs(path: &Path, owner: Option<(u32, u32)>) {
    if let Some((user, group)) = owner {
        chown(path, Some(user), Some(group)).unwrap();
    }
}

/// cert.pem and key.pem, which nobody has signed.
fn certificate(folder: &Folder) {
    let mut openssl = Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    openssl.args(["-days", "2", "-subj", "/CN=mail.far.test", "-keyout"]).arg(folder.path("key.pem"));
    let result: Run = run(openssl.arg("-out").arg(folder.path("cert.pem")), "");
    assert_eq!(result.status, Some(0), "{}", result.stderr);
}
