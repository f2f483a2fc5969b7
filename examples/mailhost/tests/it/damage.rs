//! A disk that has lost bits: what is damaged is told and never served, and the rest is.

use std::fs;
use std::path::PathBuf;

use mailhost::listener::Service;

use crate::imap::Imap;
use crate::support::{Host, Site, Wire};

const MESSAGES: usize = 20;
const DAMAGED: usize = 7;
/// One that lies in a file of its own.
const LARGE: usize = 12;

fn message(number: usize) -> Vec<u8> {
    let lines = if number == LARGE { 4_000 } else { 10 };
    let line = format!("line of message {number} of all, {}\r\n", "x".repeat(30));
    format!("Subject: message {number}\r\n\r\n{}", line.repeat(lines)).into_bytes()
}

/// Flips one bit in the only file below this directory that contains these octets.
#[track_caller]
fn flip(site: &Site, dir: &str, octets: &[u8]) {
    let holds = |path: &PathBuf| memchr::memmem::find(&fs::read(path).unwrap(), octets).is_some();
    let files = fs::read_dir(site.data(dir)).unwrap().map(|entry| entry.unwrap().path());
    let found: Vec<PathBuf> = files.filter(holds).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    let mut all = fs::read(&found[0]).unwrap();
    let at = memchr::memmem::find(&all, octets).unwrap();
    all[at + octets.len() / 2] ^= 4;
    fs::write(&found[0], all).unwrap();
}

/// These are there, octet for octet but for those that are refused.
#[track_caller]
fn serves(host: &Host, there: &[usize], refused: &[usize]) {
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), "anna@example.test");
    assert_eq!(pop3.unique_ids().len(), there.len());
    for (index, number) in there.iter().enumerate() {
        if refused.contains(number) {
            pop3.say(&format!("RETR {}", index + 1), "-ERR [SYS/TEMP]");
        } else {
            assert!(pop3.retrieve(index + 1).ends_with(&message(*number)), "message {number}");
        }
    }
    // Over IMAP in one go: what is damaged is left out, and said to be.
    let mut imap = Imap::anna(host);
    imap.ok("EXAMINE INBOX");
    let said = imap.say("FETCH 1:* BODY.PEEK[]");
    assert!(said.starts_with(if refused.is_empty() { "OK" } else { "NO [CORRUPTION] " }), "{}", said.end);
    let sound: Vec<_> = there.iter().filter(|number| !refused.contains(number)).collect();
    assert_eq!(said.data.len(), sound.len());
    for (data, number) in said.data.iter().zip(sound) {
        assert!(data.strip_suffix(b")").unwrap().ends_with(&message(*number)), "message {number}");
    }
}

#[test]
fn damage_is_told_and_not_served_and_costs_nothing_else() {
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna"]);
    let host = site.start();
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    for number in 1..=MESSAGES {
        smtp.deliver(&["anna@example.test"], message(number));
    }
    let sound = site.does("verify");
    assert!(sound.ends_with(" files read, 0 damaged places\n"), "{sound}");

    let all: Vec<usize> = (1..=MESSAGES).collect();
    flip(&site, "mail/journal", format!("line of message {DAMAGED} of all").as_bytes());
    serves(&host, &all, &[DAMAGED]);
    let told = |line: &str| line.contains("mail/journal/") || line.contains("journal/");
    let found = site.command("verify");
    assert_eq!(found.status, Some(1), "{found:?}");
    assert!(found.stdout.lines().any(told), "{found:?}");
    assert!(found.stdout.ends_with(" files read, 1 damaged places\n"), "{found:?}");
    let refused = site.command("verify --rebuild");
    refused.failed("the host runs; stop it first, for a rebuild needs its store alone");
    host.stop();

    // What is read from the journal at a start is stepped over where it is damaged.
    let host = site.start();
    assert!(host.log().iter().any(|line| line.contains("acknowledged mail is damaged")), "{:#?}", host.log());
    let rest: Vec<usize> = all.into_iter().filter(|number| *number != DAMAGED).collect();
    serves(&host, &rest, &[]);
    host.stop();

    flip(&site, "mail/bodies", format!("Subject: message {LARGE}\r\n").as_bytes());
    let rebuilt = site.command("verify --rebuild");
    assert!(rebuilt.stdout.contains("bodies/"), "{rebuilt:?}");
    assert!(rebuilt.stdout.ends_with(" files read, 2 damaged places\n"), "{rebuilt:?}");
    let host = site.start();
    serves(&host, &rest, &[LARGE]);
    // The host goes on as before.
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&["anna@example.test"], message(1));
    let all: Vec<usize> = rest.into_iter().chain([1]).collect();
    serves(&host, &all, &[LARGE]);
}
