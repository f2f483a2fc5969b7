//! What the RFCs demand of a server and the host decides. Each test says which rows of `docs/ledger/` it is for.

mod append;
mod condstore;
mod copy_move;
mod fetch;
mod list;
mod names;
mod quota;
mod search;
mod select;
mod status;
mod store;
mod tls;
mod uids;

use super::Imap;

/// Messages in a mailbox, each with its number as its subject.
fn filled(imap: &mut Imap, mailbox: &str, count: usize) {
    for subject in 1..=count {
        let said = imap.append(mailbox, format!("Subject: {subject}\r\n\r\n"));
        assert!(said.starts_with("OK "), "{}", said.end);
    }
}

/// The number behind a word.
#[track_caller]
fn number(line: &str, word: &str) -> u64 {
    let (_, rest) = line.split_once(word).unwrap_or_else(|| panic!("no {word}: {line}"));
    let digits = rest.trim_start_matches([' ', '(']);
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or_else(|_| panic!("no number behind {word}: {line}"))
}

/// One item of the status of a mailbox.
#[track_caller]
fn status(imap: &mut Imap, mailbox: &str, item: &str) -> u64 {
    let lines = imap.ok(format!("STATUS {mailbox} ({item})")).lines();
    number(lines.iter().find(|line| line.starts_with("STATUS ")).expect("a status"), item)
}

/// The responses that begin or end so.
fn those<'l>(lines: &'l [String], what: &str) -> Vec<&'l str> {
    lines.iter().map(String::as_str).filter(|line| line.contains(what)).collect()
}
