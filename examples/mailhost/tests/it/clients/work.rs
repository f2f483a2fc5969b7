//! The work that every client with a programming interface does, and what is there afterwards.
//!
//! A client logs in and appends [`samples`] to `Work`, with their flags and dates. It finds them by subject, text, flags,
//! keyword, date and size. It changes flags, copies three messages to `Work/2026` and moves two to `Entwürfe & more`,
//! expunges three, renames `Work/2026` to `Done/2026`, makes and deletes `Old`, and subscribes to `Work`. Then it waits in
//! INBOX, says `idling`, and is woken by [`DELIVERED`], which it fetches and flags. At last it says what it sees.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::foreign;
use super::server::{LOGIN, Server};
use super::typed::{Message, Typed, View};
use crate::support::{PASSWORD, Run, Wire};

/// A message to append.
pub(super) struct Sample {
    /// Its subject, too, but for the one that has no header.
    pub(super) name: &'static str,
    pub(super) octets: Vec<u8>,
    pub(super) flags: &'static [&'static str],
    pub(super) seconds: i64,
}

/// In the order in which they are appended.
pub(super) fn samples() -> Vec<Sample> {
    let bodies: [(&str, &[&str], Vec<u8>); 10] = [
        ("plain", &[], b"Content-Type: text/plain\r\n\r\nA line with a needle in it.\r\n".into()),
        ("eight bits", &["\\Seen"], b"\r\nna\xefve \xff\xfe caf\xc3\xa9\r\n".into()),
        ("attachment", &["\\Flagged"], MIXED.replace('\n', "\r\n").into()),
        ("forwarded", &["$Forwarded"], FORWARDED.replace('\n', "\r\n").into()),
        ("dots", &["\\Answered", "\\Seen"], b"\r\n.\r\n..\r\n...\r\n.a\r\n".into()),
        ("long", &[], format!("\r\n{}", "0123456789 abcdefghij\r\n".repeat(13_000)).into()),
        ("no body", &["\\Draft"], b"\r\n".into()),
        ("a header alone", &[], b"".into()),
        ("no line end", &["project"], b"\r\nthe last line".into()),
        ("alternative", &[], ALTERNATIVE.replace('\n', "\r\n").into()),
    ];
    let with_head = |(number, (name, flags, rest)): (usize, (&'static str, _, Vec<u8>))| {
        let head = format!(
            "From: Carla <carla@far.test>\r\nTo: anna@example.test\r\nDate: Thu, {:02} Jan 2026 12:00:00 +0100\r\n\
             Message-ID: <{number}@far.test>\r\nSubject: {name}\r\n",
            number + 1
        );
        Sample {
            name,
            octets: [head.into_bytes(), rest].concat(),
            flags,
            seconds: FIRST + 86_400 * number as i64,
        }
    };
    bodies.into_iter().enumerate().map(with_head).collect()
}

/// What is there in the end: names and flags of the messages of each mailbox, in their order.
const EXPECTED: &Table<'_> = &[
    ("INBOX", &[("delivered", &["\\Flagged", "\\Seen"])]),
    (
        "Work",
        &[
            ("dots", &["\\Draft"]),
            ("no body", &["\\Draft"]),
            ("a header alone", &["\\Seen"]),
            ("no line end", &["\\Answered", "project"]),
            ("alternative", &[]),
        ],
    ),
    ("Done/2026", &[("plain", &["\\Seen"]), ("eight bits", &[]), ("dots", &["\\Draft"])]),
    ("Entwürfe & more", &[("attachment", &["\\Flagged"]), ("forwarded", &["$Forwarded", "urgent"])]),
];

/// What wakes a client up.
pub(super) const DELIVERED: &str = "From: Carla <carla@far.test>\r\nTo: anna@example.test\r\nSubject: delivered\r\n\
                                    Date: Sun, 01 Feb 2026 12:00:00 +0100\r\nMessage-ID: <d@far.test>\r\n\r\n\
                                    You have mail.\r\n";

/// Has a program in another language do the work, and judges it.
#[track_caller]
pub(super) fn does_it_all(server: &Server, command: &mut Command) {
    let result = foreign::watch(command, |line, foreign| match line {
        "" => {
            foreign.say(&settings(server));
            foreign.end_of_input();
        }
        "idling" => server.deliver(DELIVERED.as_bytes()),
        _ => {}
    });
    judge(server, &seen(&result));
}

/// What it is told.
fn settings(server: &Server) -> String {
    let messages: Vec<Value> = samples()
        .iter()
        .map(|sample| {
            let octets = STANDARD.encode(&sample.octets);
            json!({"name": sample.name, "octets": octets, "flags": sample.flags, "seconds": sample.seconds})
        })
        .collect();
    let settings = json!({
        "imap": server.imap().port(),
        "imaps": server.imaps().port(),
        "certificate": server.certificate(),
        "login": LOGIN,
        "password": PASSWORD,
        "messages": messages,
    });
    settings.to_string()
}

/// What it said in its last line.
#[track_caller]
fn seen(result: &Run) -> View {
    assert_eq!(result.status, Some(0), "{}{}", result.stdout, result.stderr);
    let line = result.stdout.lines().last().expect("what it sees");
    let seen: BTreeMap<String, Vec<Value>> = serde_json::from_str(line).expect("what it sees");
    let message = |value: &Value| Message {
        uid: value["uid"].as_u64().expect("a UID").try_into().expect("32 bits"),
        flags: serde_json::from_value(value["flags"].clone()).expect("flags"),
        seconds: value["seconds"].as_i64().expect("a date"),
        octets: STANDARD.decode(value["octets"].as_str().expect("a string")).expect("base64"),
    };
    let mailboxes = seen.into_iter().map(|(name, messages)| (name, messages.iter().map(message).collect()));
    mailboxes.collect()
}

/// The client has seen what is there, and there is what its work should have left.
#[track_caller]
pub(super) fn judge(server: &Server, seen: &View) {
    let mut typed = Typed::log_in(server);
    let held = typed.view();
    assert_eq!(seen, &held);
    assert_eq!(short(&held), table(EXPECTED));
    for messages in held.values() {
        for message in messages {
            let name = name(&message.octets);
            match samples().iter().find(|sample| sample.name == name) {
                Some(sample) => {
                    assert!(sample.octets == message.octets, "{name} has other octets");
                    assert_eq!(sample.seconds, message.seconds, "{name}");
                }
                None => assert!(message.octets.ends_with(DELIVERED.as_bytes()), "{message:?}"),
            }
        }
    }
    assert!(typed.names("LSUB").contains(&"Work".to_owned()));
    same_over_pop3(server, &held);
}

/// INBOX is what POP3 calls the maildrop.
#[track_caller]
pub(super) fn same_over_pop3(server: &Server, held: &View) {
    let Some(address) = server.pop3() else { return };
    let mut pop3 = Wire::pop3(address, LOGIN);
    let count = pop3.unique_ids().len();
    let all: Vec<Vec<u8>> = (1..=count).map(|number| pop3.retrieve(number)).collect();
    let inbox: Vec<Vec<u8>> = held["INBOX"].iter().map(|message| message.octets.clone()).collect();
    assert!(all == inbox, "{count} messages over POP3, {} over IMAP", inbox.len());
}

/// What the name of a message is in these tests: its subject.
pub(super) fn name(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    let line = text.lines().find_map(|line| line.strip_prefix("Subject: "));
    line.unwrap_or("").to_owned()
}

/// By mailbox, the names and flags of its messages.
pub(super) type Short = BTreeMap<String, Vec<(String, BTreeSet<String>)>>;

/// The same as it is written down.
pub(super) type Table<'t> = [(&'t str, &'t [Line<'t>])];

/// The name and the flags of a message.
type Line<'t> = (&'t str, &'t [&'t str]);

/// A view by names and flags, without the mailboxes that are empty.
pub(super) fn short(view: &View) -> Short {
    let full = view.iter().filter(|(_, messages)| !messages.is_empty());
    let messages = |messages: &Vec<Message>| {
        messages.iter().map(|message| (name(&message.octets), message.flags.clone())).collect()
    };
    full.map(|(name, found)| (name.clone(), messages(found))).collect()
}

/// A table as [`short`] has it.
pub(super) fn table(of: &Table<'_>) -> Short {
    let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect();
    let messages =
        |messages: &[Line<'_>]| messages.iter().map(|(name, of)| ((*name).to_owned(), flags(of))).collect();
    of.iter().map(|(name, found)| ((*name).to_owned(), messages(found))).collect()
}

/// 1 January 2026, at noon in Berlin.
const FIRST: i64 = 1_767_265_200;

const MIXED: &str = "\
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=\"edge\"

A preamble.
--edge
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Gr=C3=BC=C3=9Fe
--edge
Content-Type: application/octet-stream; name=\"a.bin\"
Content-Disposition: attachment; filename*=utf-8''%C3%A4.bin
Content-Transfer-Encoding: base64

AAECAwQFBgc=
--edge--
";

const FORWARDED: &str = "\
MIME-Version: 1.0
Content-Type: message/rfc822

From: inner@far.test
Subject: within
Content-Type: multipart/mixed; boundary=x

--x

one
--x
Content-Type: text/html

<p>two</p>
--x--
";

const ALTERNATIVE: &str = "\
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=\"=_x\"

--=_x
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable

=E4
--=_x
Content-Type: text/html; charset=us-ascii

<b>bold</b>
--=_x--
";
