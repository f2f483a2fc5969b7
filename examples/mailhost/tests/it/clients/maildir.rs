//! What lies in a Maildir, and what somebody does there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::typed::unicode;

/// Mailboxes below a folder, by their names in Unicode, each with its messages.
pub(super) type Mailboxes = BTreeMap<String, Vec<Mail>>;

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Mail {
    /// With CRLF, as it goes over the wire.
    pub(super) octets: Vec<u8>,
    /// The letters of its flags, in their order.
    pub(super) flags: String,
    pub(super) path: PathBuf,
}

/// All mailboxes below this, which need not be one itself.
pub(super) fn mailboxes(top: &Path) -> Mailboxes {
    let mut found = Mailboxes::new();
    walk(top, "", &mut found);
    found
}

fn walk(folder: &Path, name: &str, found: &mut Mailboxes) {
    if folder.join("cur").is_dir() {
        found.insert(unicode(name), messages(folder));
    }
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let part = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() && !matches!(&*part, "cur" | "new" | "tmp") {
            walk(&entry.path(), &format!("{name}{}{part}", if name.is_empty() { "" } else { "/" }), found);
        }
    }
}

fn messages(mailbox: &Path) -> Vec<Mail> {
    let mut messages = Vec::new();
    for kind in ["cur", "new"] {
        for entry in fs::read_dir(mailbox.join(kind)).unwrap() {
            let path = entry.unwrap().path();
            let octets = with_crlf(&fs::read(&path).unwrap());
            let name = path.file_name().unwrap().to_str().unwrap();
            let flags = name.split_once(":2,").map_or("", |(_, flags)| flags).to_owned();
            messages.push(Mail { octets, flags, path });
        }
    }
    messages.sort();
    messages
}

/// Makes a mailbox.
pub(super) fn create(mailbox: &Path) {
    for kind in ["cur", "new", "tmp"] {
        fs::create_dir_all(mailbox.join(kind)).unwrap();
    }
}

/// Puts a message there, as a mail program does.
pub(super) fn add(mailbox: &Path, name: &str, flags: &str, octets: &[u8]) {
    let text: Vec<u8> = octets.iter().copied().filter(|octet| *octet != b'\r').collect();
    fs::write(mailbox.join("tmp").join(name), text).unwrap();
    fs::rename(mailbox.join("tmp").join(name), mailbox.join("cur").join(format!("{name}:2,{flags}")))
        .unwrap();
}

/// Gives a message these flags.
pub(super) fn flag(mail: &Mail, flags: &str) {
    let name = mail.path.file_name().unwrap().to_str().unwrap();
    let base = name.split_once(":2,").map_or(name, |(base, _)| base);
    let mailbox = mail.path.parent().unwrap().parent().unwrap();
    fs::rename(&mail.path, mailbox.join("cur").join(format!("{base}:2,{flags}"))).unwrap();
}

/// Flags as they stand in the name of a file, in the order of the alphabet.
pub(super) fn letters(flags: &BTreeSet<String>) -> String {
    let all =
        [("\\Draft", 'D'), ("\\Flagged", 'F'), ("\\Answered", 'R'), ("\\Seen", 'S'), ("\\Deleted", 'T')];
    all.iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| letter).collect()
}

pub(super) fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(octets.len() + 64);
    for octet in octets {
        if *octet == b'\n' && out.last() != Some(&b'\r') {
            out.push(b'\r');
        }
        out.push(*octet);
    }
    out
}
