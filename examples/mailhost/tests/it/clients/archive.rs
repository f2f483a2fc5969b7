//! Maildirs from here to Dovecot, and from Dovecot to here.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::dovecot::{self, Dovecot};
use super::server::{Kind, LOGIN, Server};
use super::typed::{Typed, View};
use super::work::samples;
use crate::peers::mta::belongs;
use crate::support::{Folder, run, skip};

/// `Entwürfe & more` as it goes over the wire.
const DRAFTS: &str = "Entw&APw-rfe &- more";

/// All samples in three mailboxes, under their flags, keywords and dates.
fn fill(server: &Server) -> View {
    let mut typed = Typed::log_in(server);
    for mailbox in ["Work", "Done/2026", DRAFTS] {
        typed.does(&format!("CREATE \"{mailbox}\""));
    }
    typed.does("SUBSCRIBE Work");
    typed.does("SUBSCRIBE Done/2026");
    let to = ["INBOX", "Work", "Done/2026", "\"Entw&APw-rfe &- more\""];
    for (number, sample) in samples().iter().enumerate() {
        let date = format!("{:02}-Jan-2026 12:00:{:02} +0000", 1 + number % 28, number);
        let flags = sample.flags.join(" ");
        typed.append(to[number % to.len()], &format!("({flags}) \"{date}\" "), &sample.octets);
    }
    typed.view()
}

/// Octets, flags and date.
type Plain = (Vec<u8>, BTreeSet<String>, i64);

/// Without what numbers messages, in an order of its own, and without mailboxes that are empty.
fn plain(view: View) -> Vec<(String, Vec<Plain>)> {
    let mailboxes = view.into_iter().filter(|(_, messages)| !messages.is_empty());
    let mailboxes = mailboxes.map(|(name, messages)| {
        let mut messages: Vec<_> =
            messages.into_iter().map(|message| (message.octets, message.flags, message.seconds)).collect();
        messages.sort();
        (name, messages)
    });
    mailboxes.collect()
}

fn give(path: &Path, owner: Option<(u32, u32)>) {
    belongs(path, owner);
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), owner);
        }
    }
}

#[test]
fn dovecot_reads_a_maildir_that_is_exported() {
    let name = "dovecot_reads_a_maildir_that_is_exported";
    if let Some(why) = dovecot::missing() {
        return skip(name, why);
    }
    let ours = Server::start(Kind::Ours, name).expect("ours is there");
    let before = fill(&ours);
    let folder = Folder::new();
    let out = folder.path("out");
    let site = ours.site().expect("ours");
    site.does(&format!("export maildir {} --account {LOGIN}", out.display()));
    let dovecot = Dovecot::start_over("maildir:~/Maildir", |maildir, owner| {
        fs::create_dir_all(maildir.parent().unwrap()).unwrap();
        let copied = run(Command::new("cp").arg("-a").arg(&out).arg(maildir), "");
        assert_eq!((copied.status, &*copied.stderr), (Some(0), ""));
        give(maildir.parent().unwrap().parent().unwrap(), owner);
    });
    let theirs = Server::of(dovecot);
    let mut typed = Typed::log_in(&theirs);
    assert_eq!(plain(typed.view()), plain(before));
    let subscribed = typed.names("LSUB");
    for mailbox in ["Work", "Done/2026", "Sent"] {
        assert!(subscribed.iter().any(|name| name == mailbox), "{mailbox} of {subscribed:?}");
    }
}

#[test]
fn a_maildir_that_dovecot_wrote_is_imported() {
    let name = "a_maildir_that_dovecot_wrote_is_imported";
    if let Some(why) = dovecot::missing() {
        return skip(name, why);
    }
    for layout in ["maildir:~/Maildir:LAYOUT=fs", "maildir:~/Maildir"] {
        let theirs = Server::of(Dovecot::start_over(layout, |_, _| ()));
        let before = fill(&theirs);
        let ours = Server::start(Kind::Ours, name).expect("ours is there");
        let maildir = theirs.maildir().expect("Dovecot's");
        // While the host runs: the files go over its socket.
        let site = ours.site().expect("ours");
        let said = site.does(&format!("import maildir {} --account {LOGIN}", maildir.display()));
        assert!(said.starts_with(&format!("{} messages (", samples().len())), "{said}");
        let mut typed = Typed::log_in(&ours);
        assert_eq!(plain(typed.view()), plain(before), "{layout}");
        let subscribed = typed.names("LSUB");
        for mailbox in ["Work", "Done/2026"] {
            assert!(subscribed.iter().any(|name| name == mailbox), "{layout}: {mailbox} of {subscribed:?}");
        }
    }
}
