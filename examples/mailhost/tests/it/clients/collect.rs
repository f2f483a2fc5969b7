//! Clients that collect mail over POP3: fetchmail, getmail and mpop, as people set them up, with STLS and under TLS from the
//! start. They leave mail where it is and know it again, and they take it away.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::dovecot;
use super::foreign;
use super::maildir::with_crlf;
use super::server::{Kind, LOGIN, Server};
use super::work::name;
use crate::peers::mta::{self, belongs};
use crate::support::{Folder, PASSWORD, Wire, is_installed, skip};

/// What a client is told on its command line or in its file.
#[derive(Clone, Copy, Debug)]
enum Task {
    /// Take what is new, and leave it there.
    Keep,
    /// Take all, and away with it.
    TakeAway,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tls {
    Stls,
    Implicit,
}

/// A client, set up for a server; what it collects goes into a maildir.
trait Client: Sized {
    const PROGRAM: &'static str;
    const TLS: &'static [Tls] = &[Tls::Stls, Tls::Implicit];

    fn command(at: &Account<'_>, task: Task) -> Command;

    /// What it ends with when there is nothing to collect.
    const NOTHING: i32 = 0;
}

struct Account<'s> {
    folder: &'s Folder,
    port: u16,
    tls: Tls,
    certificate: &'s Path,
}

impl Account<'_> {
    /// A file that is nobody else's to read, as these clients want it.
    fn config(&self, text: &str) -> PathBuf {
        let path = self.folder.write("config", text);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    fn here(&self) -> String {
        self.folder.path("").display().to_string()
    }
}

struct Fetchmail;

impl Client for Fetchmail {
    const PROGRAM: &'static str = "fetchmail";
    const NOTHING: i32 = 1;

    fn command(at: &Account<'_>, task: Task) -> Command {
        let here = at.here();
        let tls = match at.tls {
            Tls::Stls => "sslproto TLS1.2+",
            Tls::Implicit => "ssl",
        };
        let take = at.folder.write(
            "take",
            &format!("#!/bin/sh\nfile=$(mktemp {here}XXXXXX) && cat >$file && mv $file {here}mail/new/\n"),
        );
        fs::set_permissions(&take, fs::Permissions::from_mode(0o700)).unwrap();
        let config = at.config(&format!(
            "set idfile {here}ids\nset pidfile {here}pid\nset no bouncemail\nset no spambounce\n\
             poll localhost protocol pop3 port {port} timeout 60 uidl\nuser \"{LOGIN}\" password \"{PASSWORD}\"\n\
             {tls} sslcertck sslcertfile {certificate}\nno rewrite mda {take:?}\n",
            port = at.port,
            certificate = at.certificate.display(),
        ));
        let mut command = Command::new("fetchmail");
        command.env("HOME", &here).env("FETCHMAILHOME", &here).arg("--fetchmailrc").arg(config);
        command.args(match task {
            Task::Keep => &["--keep"][..],
            Task::TakeAway => &["--all", "--nokeep"],
        });
        command
    }
}

struct Getmail;

impl Client for Getmail {
    const PROGRAM: &'static str = "getmail";
    /// It knows no STLS.
    const TLS: &'static [Tls] = &[Tls::Implicit];

    fn command(at: &Account<'_>, task: Task) -> Command {
        let here = at.here();
        let (delete, read_all) = match task {
            Task::Keep => ("false", "false"),
            Task::TakeAway => ("true", "true"),
        };
        // It delivers nothing as root, but root may tell it who delivers.
        let mut user = "";
        if rustix::process::geteuid().is_root() {
            user = "user = mail\n";
            for part in ["mail", "mail/new", "mail/cur", "mail/tmp"] {
                belongs(&at.folder.path(part), mta::user("mail"));
            }
        }
        let config = at.config(&format!(
            "[retriever]\ntype = SimplePOP3SSLRetriever\nserver = localhost\nport = {port}\n\
             username = {LOGIN}\npassword = {PASSWORD}\nca_certs = {certificate}\n\
             [destination]\ntype = Maildir\npath = {here}mail/\n{user}\
             [options]\ndelete = {delete}\nread_all = {read_all}\n",
            port = at.port,
            certificate = at.certificate.display(),
        ));
        let mut command = Command::new("getmail");
        command.env("HOME", &here).arg("--rcfile").arg(config).arg("--getmaildir").arg(&here);
        command
    }
}

struct Mpop;

impl Client for Mpop {
    const PROGRAM: &'static str = "mpop";

    fn command(at: &Account<'_>, task: Task) -> Command {
        let here = at.here();
        let stls = if at.tls == Tls::Stls { "on" } else { "off" };
        let (keep, only_new) = match task {
            Task::Keep => ("on", "on"),
            Task::TakeAway => ("off", "off"),
        };
        let config = at.config(&format!(
            "account default\nhost localhost\nport {port}\nuser {LOGIN}\npassword {PASSWORD}\n\
             tls on\ntls_starttls {stls}\ntls_trust_file {certificate}\n\
             keep {keep}\nonly_new {only_new}\nuidls_file {here}uidls\ndelivery maildir {here}mail\n",
            port = at.port,
            certificate = at.certificate.display(),
        ));
        let mut command = Command::new("mpop");
        command.env("HOME", &here).arg("--file").arg(config);
        command
    }
}

/// Messages that are hard to collect. What is in the header of the last one comes only to those who ask for UTF-8.
fn messages() -> Vec<Vec<u8>> {
    let with = |name: &str, rest: &[u8]| {
        let head = format!("From: Carla <carla@far.test>\r\nTo: anna@example.test\r\nSubject: {name}\r\n");
        [head.as_bytes(), rest].concat()
    };
    vec![
        with("plain", b"\r\nA line.\r\n"),
        with("dots", b"\r\n.\r\n..\r\n...\r\n.a\r\n"),
        with("eight bits", b"\r\nna\xefve caf\xc3\xa9\r\n"),
        with("long", format!("\r\n{}", "0123456789 abcdefghij\r\n".repeat(13_000)).as_bytes()),
        with("no body", b"\r\n"),
        with("header", "X-Note: \u{fc}\r\n\r\nThe rest.\r\n".as_bytes()),
    ]
}

/// The name of a message, and its body: fields in front are the client's business.
fn named(octets: &[u8]) -> (String, Vec<u8>) {
    let body = memchr::memmem::find(octets, b"\r\n\r\n").map_or(octets.len(), |at| at + 4);
    (name(octets), octets[body..].to_vec())
}

fn sorted(messages: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<_> = messages.iter().map(|message| named(message)).collect();
    all.sort();
    all
}

fn works_with<C: Client>(kind: Kind, test: &str) {
    if !is_installed(C::PROGRAM, "--version") {
        return skip(test, &format!("{} is not installed", C::PROGRAM));
    }
    if let Some(why) = dovecot::missing_pop3().filter(|_| kind == Kind::Dovecot) {
        return skip(test, why);
    }
    let Some(server) = Server::start(kind, test) else { return };
    let certificate = server.certificate();
    let count = || {
        let mut pop3 = Wire::pop3(server.maildrops()[0], LOGIN);
        let count = pop3.unique_ids().len();
        pop3.say("QUIT", "+OK");
        count
    };
    for &tls in C::TLS {
        let folder = Folder::new();
        for part in ["mail", "mail/new", "mail/cur", "mail/tmp"] {
            fs::create_dir(folder.path(part)).unwrap();
        }
        let [stls, implicit] = server.maildrops();
        let port = if tls == Tls::Stls { stls } else { implicit }.port();
        let account = Account { folder: &folder, port, tls, certificate: &certificate };
        let collects = |task: Task| {
            let result = foreign::run(&mut C::command(&account, task));
            let mut taken = Vec::new();
            for entry in fs::read_dir(folder.path("mail/new")).unwrap() {
                let path = entry.unwrap().path();
                taken.push(named(&with_crlf(&fs::read(&path).unwrap())));
                fs::remove_file(path).unwrap();
            }
            taken.sort();
            let expected = if taken.is_empty() { C::NOTHING } else { 0 };
            assert_eq!(result.status, Some(expected), "{tls:?} {task:?}: {}{}", result.stdout, result.stderr);
            taken
        };
        let mut all = messages();
        for message in &all {
            server.deliver(message);
        }
        assert_eq!(collects(Task::Keep), sorted(&all), "{tls:?}");
        assert_eq!(count(), all.len());
        assert_eq!(collects(Task::Keep), [], "{tls:?}: what was collected is known again");
        let more = b"Subject: more\r\n\r\nOne more.\r\n".to_vec();
        server.deliver(&more);
        assert_eq!(collects(Task::Keep), sorted(std::slice::from_ref(&more)), "{tls:?}");
        all.push(more);
        assert_eq!(count(), all.len());
        assert_eq!(collects(Task::TakeAway), sorted(&all), "{tls:?}");
        assert_eq!(count(), 0);
        assert_eq!(collects(Task::TakeAway), [], "{tls:?}");
    }
}

#[test]
fn fetchmail_collects_from_dovecot() {
    works_with::<Fetchmail>(Kind::Dovecot, "fetchmail_collects_from_dovecot");
}

#[test]
fn fetchmail_collects_from_us() {
    works_with::<Fetchmail>(Kind::Ours, "fetchmail_collects_from_us");
}

#[test]
fn getmail_collects_from_dovecot() {
    works_with::<Getmail>(Kind::Dovecot, "getmail_collects_from_dovecot");
}

#[test]
fn getmail_collects_from_us() {
    works_with::<Getmail>(Kind::Ours, "getmail_collects_from_us");
}

#[test]
fn mpop_collects_from_dovecot() {
    works_with::<Mpop>(Kind::Dovecot, "mpop_collects_from_dovecot");
}

#[test]
fn mpop_collects_from_us() {
    works_with::<Mpop>(Kind::Ours, "mpop_collects_from_us");
}
