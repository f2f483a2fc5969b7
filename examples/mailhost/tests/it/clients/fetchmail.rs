//! fetchmail: it takes mail away, or leaves it there, or waits for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use super::foreign;
use super::maildir::with_crlf;
use super::server::{Kind, LOGIN, Server};
use super::typed::Typed;
use super::work::{self, name, samples};
use crate::support::{Folder, PASSWORD, Run, is_installed, skip};

struct Fetchmail {
    folder: Folder,
    config: PathBuf,
}

impl Fetchmail {
    /// Every message goes into a file of its own, and that is said.
    fn new(server: &Server) -> Self {
        let folder = Folder::new();
        let here = folder.path("").display().to_string();
        fs::create_dir(folder.path("mail")).unwrap();
        let take = folder.write(
            "take",
            &format!(
                "#!/bin/sh\nfile=$(mktemp {here}XXXXXX) && cat >$file && mv $file {here}mail/ && echo taken\n"
            ),
        );
        fs::set_permissions(&take, fs::Permissions::from_mode(0o700)).unwrap();
        let config = folder.write(
            "fetchmailrc",
            &format!(
                "set idfile {here}ids\nset pidfile {here}pid\nset no bouncemail\nset no spambounce\n\
                 poll localhost protocol imap port {port} timeout 60\nuser \"{LOGIN}\" password \"{PASSWORD}\"\n\
                 ssl sslcertck sslcertfile {certificate}\nno rewrite mda {take:?}\n",
                port = server.imaps().port(),
                certificate = server.certificate().display(),
            ),
        );
        fs::set_permissions(&config, fs::Permissions::from_mode(0o600)).unwrap();
        Self { folder, config }
    }

    fn command(&self, options: &str) -> Command {
        let mut command = Command::new("fetchmail");
        command.env("HOME", self.folder.path("")).env("FETCHMAILHOME", self.folder.path(""));
        command.arg("--fetchmailrc").arg(&self.config).args(options.split(' '));
        command
    }

    #[track_caller]
    fn run(&self, options: &str, status: i32) -> Run {
        let result = foreign::run(&mut self.command(options));
        assert_eq!(result.status, Some(status), "{options}: {}{}", result.stdout, result.stderr);
        result
    }

    /// What has been taken since the last time: by names, the body of each.
    fn taken(&self) -> Vec<(String, Vec<u8>)> {
        let mut taken = Vec::new();
        for entry in fs::read_dir(self.folder.path("mail")).unwrap() {
            let path = entry.unwrap().path();
            taken.push(named(&with_crlf(&fs::read(&path).unwrap())));
            fs::remove_file(path).unwrap();
        }
        taken.sort();
        taken
    }
}

/// The name of a message, and its body: fields in front are the client's business.
fn named(octets: &[u8]) -> (String, Vec<u8>) {
    let body = memchr::memmem::find(octets, b"\r\n\r\n").map_or(octets.len(), |at| at + 4);
    (name(octets), octets[body..].to_vec())
}

fn works_with(kind: Kind, test: &str) {
    if !is_installed("fetchmail", "--version") {
        return skip(test, "fetchmail is not installed");
    }
    let Some(server) = Server::start(kind, test) else { return };
    let fetchmail = Fetchmail::new(&server);
    let mut typed = Typed::log_in(&server);
    let mut all = Vec::new();
    for sample in samples() {
        // It wants a line to end, and a header to do so, too.
        if sample.octets.ends_with(b"\r\n") && memchr::memmem::find(&sample.octets, b"\r\n\r\n").is_some() {
            let seen = sample.flags.contains(&"\\Seen");
            typed.append("INBOX", if seen { "(\\Seen) " } else { "" }, &sample.octets);
            all.push((seen, named(&sample.octets)));
        }
    }
    let new: Vec<_> = all.iter().filter(|(seen, _)| !seen).map(|(_, named)| named.clone()).collect();
    let mut all: Vec<_> = all.into_iter().map(|(_, named)| named).collect();
    let sorted = |mut messages: Vec<_>| {
        messages.sort();
        messages
    };
    all.sort();

    // What is new is taken, stays there, and is seen.
    fetchmail.run("--keep", 0);
    assert_eq!(fetchmail.taken(), sorted(new));
    let held = typed.messages("INBOX");
    assert_eq!(held.len(), all.len());
    assert!(held.iter().all(|message| message.flags.contains("\\Seen")), "{held:?}");
    work::same_over_pop3(&server, &typed.view());
    // Status 1: there was no mail to fetch.
    fetchmail.run("--keep", 1);
    assert!(fetchmail.taken().is_empty());
    // All of it, and away with it.
    typed.does("UNSELECT");
    fetchmail.run("--all --nokeep", 0);
    assert_eq!(fetchmail.taken(), all);
    assert!(typed.messages("INBOX").is_empty());
    work::same_over_pop3(&server, &typed.view());

    // It waits, is woken by a delivery, takes that, and waits again.
    let (mut idling, mut delivered) = (false, false);
    let mut command = fetchmail.command("--idle --nokeep --verbose --nosyslog");
    let result = foreign::watch(&mut command, |line, foreign| {
        idling |= line.contains("IMAP> ") && line.ends_with(" IDLE");
        if idling && !delivered && line.contains("IMAP< +") {
            server.deliver(work::DELIVERED.as_bytes());
            delivered = true;
            idling = false;
        }
        if idling && delivered && line.contains("IMAP< +") {
            foreign.stop();
        }
    });
    assert_eq!(fetchmail.taken(), [named(work::DELIVERED.as_bytes())], "{}{}", result.stdout, result.stderr);
    assert!(typed.messages("INBOX").is_empty());
}

#[test]
fn fetchmail_works_with_dovecot() {
    works_with(Kind::Dovecot, "fetchmail_works_with_dovecot");
}

#[test]
fn fetchmail_works_with_us() {
    works_with(Kind::Ours, "fetchmail_works_with_us");
}
