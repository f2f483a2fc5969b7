//! Collecting from Dovecot and from this host.

use std::fs;

use super::super::server::{Kind, Server};
use super::super::typed::Typed;
use super::super::work::samples;
use super::{client, does, fails, messages};
use crate::support::Folder;

fn works_with(kind: Kind, test: &str) {
    let Some(server) = Server::start(kind, test) else { return };
    if kind == Kind::Dovecot
        && let Some(why) = super::super::dovecot::missing_pop3()
    {
        return crate::support::skip(test, why);
    }
    let folder = Folder::new();
    let samples = samples();
    let texts: Vec<_> = samples.iter().filter(|sample| sample.octets.ends_with(b"\r\n")).collect();
    for sample in &texts[1..] {
        server.deliver(&sample.octets);
    }
    let mut typed = Typed::log_in(&server);
    let held = |typed: &mut Typed| {
        let mut octets: Vec<_> = typed.messages("INBOX").into_iter().map(|message| message.octets).collect();
        octets.sort();
        octets
    };

    let listed = does(client(&server, "pop3", "implicit", &["list"]));
    assert_eq!(listed.lines().count(), texts.len(), "{listed}");
    for sample in &texts[1..] {
        assert_eq!(listed.matches(&format!("  {}\n", sample.name)).count(), 1, "{}: {listed}", sample.name);
    }
    assert!(listed.contains("  Carla ") && listed.contains("2026-01-02 12:00"), "{listed}");
    assert!(listed.ends_with(&format!(
        "{} messages, {}\n",
        texts.len() - 1,
        listed.rsplit(' ').next().unwrap().trim()
    )));

    let in_order: Vec<_> = typed.messages("INBOX").into_iter().map(|message| message.octets).collect();
    for (number, octets) in (1..).zip(&in_order) {
        let file = folder.path(&format!("message{number}"));
        let number = number.to_string();
        let tls = if octets.len() % 2 == 0 { "starttls" } else { "implicit" };
        let mut get = client(&server, "pop3", tls, &["get", &number, "--to"]);
        get.arg(&file);
        does(get);
        assert!(fs::read(file).unwrap() == *octets, "message {number}");
    }
    let gone = fails(client(&server, "pop3", "implicit", &["get", "99"]));
    assert!(gone.stderr.contains("the server says -ERR"), "{}", gone.stderr);

    let maildir = folder.path("mail");
    let fetch = |how: &str| {
        let mut fetch = client(&server, "pop3", "implicit", &["fetch", how, "--to"]);
        fetch.arg(&maildir);
        does(fetch)
    };
    let old = texts.len() - 1;
    assert_eq!(fetch("--keep"), format!("{old} new messages\n"));
    assert_eq!(messages(&maildir), held(&mut typed));
    assert_eq!(fetch("--keep"), format!("0 new messages, {old} fetched before\n"));
    assert_eq!(messages(&maildir).len(), old);
    server.deliver(&texts[0].octets);
    assert_eq!(fetch("--keep"), format!("1 new message, {old} fetched before\n"));
    let all = held(&mut typed);
    assert_eq!(messages(&maildir), all);
    // What is known is deleted without coming again.
    server.deliver(&texts[0].octets);
    assert_eq!(
        fetch("--delete"),
        format!("1 new message, {} fetched before; {} deleted on the server\n", old + 1, old + 2)
    );
    assert_eq!(messages(&maildir).len(), old + 2);
    assert!(held(&mut typed).is_empty());
    assert_eq!(fetch("--delete"), "0 new messages\n");
}

#[test]
fn our_client_collects_from_dovecot() {
    works_with(Kind::Dovecot, "our_client_collects_from_dovecot");
}

#[test]
fn our_client_collects_from_us() {
    works_with(Kind::Ours, "our_client_collects_from_us");
}

#[test]
fn headers_beyond_ascii_come_as_they_are_stored() {
    let Some(server) = Server::start(Kind::Ours, "headers_beyond_ascii_come_as_they_are_stored") else {
        return;
    };
    let message = "Subject: Gr\u{fc}\u{df}e\r\nX-Note: \u{fc}\r\n\r\nThe rest.\r\n";
    server.deliver(message.as_bytes());
    let folder = Folder::new();
    let file = folder.path("message");
    let mut get = client(&server, "pop3", "implicit", &["get", "1", "--to"]);
    get.arg(&file);
    does(get);
    assert!(fs::read(file).unwrap().ends_with(message.as_bytes()));
}
