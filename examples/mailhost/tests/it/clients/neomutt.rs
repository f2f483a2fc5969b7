//! NeoMutt, with its keys pressed for it on a terminal of its own.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::foreign::{self, Foreign};
use super::maildir::{self, Mailboxes};
use super::server::{Kind, LOGIN, Server};
use super::typed::Typed;
use super::work::{self, name, short, table};
use crate::support::{Folder, PASSWORD, is_installed, skip};

/// Runs it in a mailbox, and presses these keys at once; then `heard` hears what its shell commands say. It looks at its
/// connection when no key has come for a second.
#[track_caller]
fn run(server: &Server, folder: &Folder, mailbox: &str, keys: &str, heard: impl FnMut(&str, &mut Foreign)) {
    let here = folder.path("").display().to_string();
    let url = format!("imaps://localhost:{}", server.imaps().port());
    folder.write(
        "neomuttrc",
        &format!(
            "set imap_user=\"{LOGIN}\" imap_pass=\"{PASSWORD}\" folder=\"{url}\" spoolfile=\"{url}/INBOX\"\n\
             set certificate_file=\"{certificate}\" ssl_force_tls=yes record=\"\" header_cache=\"\" mbox_type=Maildir\n\
             set confirmappend=no confirmcreate=no delete=yes quit=yes copy=no wait_key=no mark_old=no sleep_time=0\n\
             set imap_idle=yes timeout=1 mail_check=1 new_mail_command=\"echo woken >&3\"\n",
            certificate = server.certificate().display(),
        ),
    );
    let neomutt = format!("neomutt -n -F {here}neomuttrc -f {url}/{mailbox} -e 'push \"{keys}\"'");
    let mut command = Command::new("sh");
    // What is on the screen goes into a file; a third descriptor is what its shell commands speak through.
    command
        .args(["-c", "exec 3>&1 && exec script --quiet --flush --return --command \"$0\" /dev/null >\"$1\""]);
    command.arg(neomutt).arg(folder.path("screen")).env("HOME", &here).env("TERM", "vt100");
    let result = foreign::watch(&mut command, heard);
    let screen = fs::read(folder.path("screen")).unwrap();
    assert_eq!(result.status, Some(0), "{}{}", result.stderr, screen.escape_ascii());
}

/// What it sees in a mailbox, which it copies into a Maildir for that.
#[track_caller]
fn view(server: &Server, folder: &Folder, mailbox: &str) {
    let into = folder.path("seen").join(mailbox);
    fs::create_dir_all(into.parent().unwrap()).unwrap();
    let keys = format!("<tag-pattern>~A<enter><tag-prefix><copy-message>{}<enter><quit>", into.display());
    run(server, folder, mailbox, &keys, |_, _| {});
}

fn works_with(kind: Kind, test: &str) {
    if !is_installed("neomutt", "-v") || !is_installed("script", "--version") {
        return skip(test, "neomutt is not installed");
    }
    let Some(server) = Server::start(kind, test) else { return };
    let folder = Folder::new();
    let mut typed = Typed::log_in(&server);
    typed.does("CREATE Work");
    for sample in work::samples() {
        typed.append("Work", &format!("({}) ", sample.flags.join(" ")), &sample.octets);
    }
    // `=b`: the server searches. Copies, moves, flags and deletions; Copies and Moved are not there before.
    run(
        &server,
        &folder,
        "Work",
        "<tag-pattern>=b needle<enter><tag-prefix><copy-message>=Copies<enter><untag-pattern>~A<enter>\
         <tag-pattern>~s dots|~s alternative<enter><tag-prefix><save-message>=Moved<enter><untag-pattern>~A<enter>\
         <tag-pattern>~s bits|~s line<enter><tag-prefix><flag-message><untag-pattern>~A<enter>\
         <tag-pattern>~s attachment<enter><tag-prefix><set-flag>r<untag-pattern>~A<enter>\
         <tag-pattern>~s body|~s alone|~s long|~s forwarded<enter><tag-prefix><delete-message><sync-mailbox><quit>",
        |_, _| {},
    );
    // It waits in INBOX, is told of a delivery, and flags what has come.
    run(&server, &folder, "INBOX", "<shell-escape>echo ready >&3<enter>", |line, neomutt| match line {
        "ready" => server.deliver(work::DELIVERED.as_bytes()),
        "woken" => neomutt.say(":exec flag-message\n:exec quit\n"),
        _ => {}
    });
    let held = typed.view();
    assert_eq!(
        short(&held),
        table(&[
            ("Copies", &[("plain", &[])]),
            ("INBOX", &[("delivered", &["\\Flagged"])]),
            ("Moved", &[("dots", &["\\Answered", "\\Seen"]), ("alternative", &[])]),
            (
                "Work",
                &[
                    ("plain", &[]),
                    ("eight bits", &["\\Flagged", "\\Seen"]),
                    ("attachment", &["\\Answered", "\\Flagged", "\\Seen"]),
                    ("no line end", &["\\Flagged", "project"]),
                ],
            ),
        ])
    );
    for mailbox in ["Copies", "INBOX", "Moved", "Work"] {
        view(&server, &folder, mailbox);
    }
    let seen: Mailboxes = maildir::mailboxes(&folder.path("seen"));
    for (mailbox, mails) in &seen {
        let shown = |octets: &[u8], flags| (name(octets), flags, bare(octets).escape_ascii().to_string());
        let seen: BTreeSet<_> = mails.iter().map(|mail| shown(&mail.octets, mail.flags.clone())).collect();
        let there = held[mailbox].iter();
        let there: BTreeSet<_> =
            there.map(|mail| shown(&mail.octets, maildir::letters(&mail.flags))).collect();
        assert_eq!(seen, there, "{mailbox}");
    }
    assert_eq!(seen.len(), 4);
    work::same_over_pop3(&server, &held);
}

/// Without the fields that it writes into each copy, and with an end of the last line.
fn bare(octets: &[u8]) -> Vec<u8> {
    let lines = octets.split_inclusive(|octet| *octet == b'\n');
    let own: [&[u8]; 3] = [b"Content-Length: ", b"Lines: ", b"Tags: "];
    let mut bare: Vec<u8> =
        lines.filter(|line| !own.iter().any(|field| line.starts_with(field))).flatten().copied().collect();
    if !bare.ends_with(b"\r\n") {
        bare.extend(b"\r\n");
    }
    bare
}

#[test]
fn neomutt_works_with_dovecot() {
    works_with(Kind::Dovecot, "neomutt_works_with_dovecot");
}

#[test]
fn neomutt_works_with_us() {
    works_with(Kind::Ours, "neomutt_works_with_us");
}
