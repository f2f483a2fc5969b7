//! A synchroniser between a Maildir and a server, with changes on both sides at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::maildir::{self, Mail};
use super::server::Server;
use super::typed::{Typed, View};
use super::work::{self, Sample, name, samples, short, table};

/// `Entwürfe & more` as it goes over the wire, and as it lies in a Maildir.
const DRAFTS: &str = "Entw&APw-rfe &- more";

/// Fills the server, synchronises, changes both sides, synchronises, and looks at both. `near` is the folder of the
/// Maildirs; `sync` runs the program to its end. It takes deleted folders away, too, if it `removes` them.
#[track_caller]
pub(super) fn work(server: &Server, near: &Path, removes: bool, mut sync: impl FnMut()) {
    let mut far = Typed::log_in(server);
    for mailbox in ["Work", "Work/2026", DRAFTS] {
        far.does(&format!("CREATE \"{mailbox}\""));
    }
    for name in ["seen near", "flagged near", "gone near", "gone far", "seen far", "both", "plain"] {
        far.append("INBOX", "", &message(name));
    }
    // Neither knows keywords, nor a message that has no body at all.
    let plain = |sample: &Sample| {
        sample.name != "a header alone" && sample.flags.iter().all(|flag| flag.starts_with('\\'))
    };
    for sample in samples().iter().filter(|sample| plain(sample)) {
        far.append("Work", &format!("({}) ", sample.flags.join(" ")), &sample.octets);
    }
    far.append(&format!("\"{DRAFTS}\""), "(\\Draft) ", &message("a draft"));
    sync();
    let first = far.view();
    same(near, &first);
    assert_eq!(first["INBOX"].len(), 7);

    // The near side.
    let inbox = near.join("INBOX");
    let find = |wanted: &str| -> Mail {
        let mut all = maildir::mailboxes(near).remove("INBOX").expect("INBOX").into_iter();
        all.find(|mail| name(&mail.octets) == wanted).expect(wanted)
    };
    maildir::flag(&find("seen near"), "S");
    maildir::flag(&find("flagged near"), "F");
    maildir::flag(&find("both"), "R");
    fs::remove_file(find("gone near").path).unwrap();
    maildir::add(&inbox, "1.new.near", "S", &message("new near"));
    maildir::create(&near.join("Near"));
    maildir::add(&near.join("Near"), "2.new.near", "FS", &message("in a new folder near"));
    if removes {
        fs::remove_dir_all(near.join("Work/2026")).unwrap();
    }
    // The far side.
    let uid =
        |wanted: &str| first["INBOX"].iter().find(|mail| name(&mail.octets) == wanted).expect(wanted).uid;
    far.does("SELECT INBOX");
    far.does(&format!("UID STORE {} +FLAGS (\\Seen)", uid("seen far")));
    far.does(&format!("UID STORE {} +FLAGS (\\Flagged)", uid("both")));
    far.does(&format!("UID STORE {} +FLAGS (\\Deleted)", uid("gone far")));
    far.does("EXPUNGE");
    far.does("UNSELECT");
    far.append("INBOX", "", &message("new far"));
    far.does("CREATE Far/deep");
    far.append("Far/deep", "(\\Answered) ", &message("in a new folder far"));
    sync();
    let second = far.view();
    same(near, &second);
    let mut inbox = short(&second).remove("INBOX").expect("INBOX");
    inbox.sort();
    assert_eq!(
        inbox,
        table(&[(
            "INBOX",
            &[
                ("both", &["\\Answered", "\\Flagged"]),
                ("flagged near", &["\\Flagged"]),
                ("new far", &[]),
                ("new near", &["\\Seen"]),
                ("plain", &[]),
                ("seen far", &["\\Seen"]),
                ("seen near", &["\\Seen"]),
            ],
        )])["INBOX"]
    );
    let others = table(&[
        ("Near", &[("in a new folder near", &["\\Flagged", "\\Seen"])]),
        ("Far/deep", &[("in a new folder far", &["\\Answered"])]),
        ("Entwürfe & more", &[("a draft", &["\\Draft"])]),
    ]);
    for (mailbox, messages) in others {
        assert_eq!(short(&second)[&mailbox], messages, "{mailbox}");
    }
    assert_eq!(second["Work"], first["Work"]);
    assert_eq!(second.contains_key("Work/2026"), !removes);
    // Nobody has changed what was there.
    for mail in first["INBOX"].iter().filter(|mail| second["INBOX"].iter().any(|other| other.uid == mail.uid))
    {
        let after = second["INBOX"].iter().find(|other| other.uid == mail.uid).unwrap();
        assert!(mail.octets == after.octets && mail.seconds == after.seconds, "{mail:?} {after:?}");
    }

    // And now there is nothing left to do.
    sync();
    assert_eq!(far.view(), second);
    same(near, &second);
    work::same_over_pop3(server, &second);
}

/// The Maildirs hold what the server has: octets and flags, each as often.
#[track_caller]
fn same(near: &Path, far: &View) {
    let near: BTreeMap<String, Vec<(Vec<u8>, String)>> = maildir::mailboxes(near)
        .into_iter()
        .map(|(name, mails)| (name, sorted(mails.into_iter().map(|mail| (mail.octets, mail.flags)))))
        .collect();
    for (name, messages) in far {
        let messages =
            sorted(messages.iter().map(|message| (message.octets.clone(), maildir::letters(&message.flags))));
        let found = near.get(name).unwrap_or_else(|| panic!("{name} is not near: {:?}", near.keys()));
        let names = |messages: &[(Vec<u8>, String)]| -> Vec<_> {
            messages.iter().map(|(octets, flags)| (work::name(octets), flags.clone(), octets.len())).collect()
        };
        assert_eq!(names(found), names(&messages), "{name}");
        assert!(found == &messages, "{name}: other octets: {:?} {:?}", lossy(found), lossy(&messages));
    }
    assert_eq!(near.keys().collect::<Vec<_>>(), far.keys().collect::<Vec<_>>());
}

/// Without the field by which mbsync finds a message that it has just copied.
fn sorted(messages: impl Iterator<Item = (Vec<u8>, String)>) -> Vec<(Vec<u8>, String)> {
    let without = |octets: Vec<u8>| -> Vec<u8> {
        let lines = octets.split_inclusive(|octet| *octet == b'\n');
        lines.filter(|line| !line.starts_with(b"X-TUID: ")).flatten().copied().collect()
    };
    let mut messages: Vec<_> = messages.map(|(octets, flags)| (without(octets), flags)).collect();
    messages.sort();
    messages
}

fn lossy(messages: &[(Vec<u8>, String)]) -> Vec<String> {
    messages
        .iter()
        .map(|(octets, _)| String::from_utf8_lossy(&octets[..octets.len().min(400)]).into_owned())
        .collect()
}

fn message(name: &str) -> Vec<u8> {
    let id = name.replace(' ', ".");
    let text = format!(
        "From: carla@far.test\r\nTo: anna@example.test\r\nDate: Thu, 01 Jan 2026 12:00:00 +0100\r\n\
         Message-ID: <{id}@far.test>\r\nSubject: {name}\r\n\r\n.\r\nThis is {name}.\r\n"
    );
    text.into_bytes()
}
