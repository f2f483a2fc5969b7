//! The same messages as mail-parser reads them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "samples are files of another package"
)]

use core::fmt::{self, Write as _};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use mail_parser::{Addr, Message, MessageParser, MimeHeaders as _, PartType};
use mailstore::mime::{Addresses, Encoding, Kind, Part, Scanner, Structure};
use mailstore::search::{decode, decode_words};

use crate::messages::{Random, ambiguous, sound};
use crate::reader::{self, QUIRKS};

fn scan(message: &[u8]) -> Structure {
    let mut scanner = Scanner::new();
    scanner.push(message);
    scanner.finish()
}

/// What we make of a message: each part on a line, with what it stands for.
fn ours(message: &[u8]) -> String {
    let structure = scan(message);
    let mut out = String::new();
    fields(structure.root(), &mut out);
    part_lines(message, structure.root(), &mut out);
    out
}

/// What the header of a message says.
fn fields(message: Part<'_>, out: &mut String) {
    let envelope = message.envelope().expect("it is a message");
    let subject = envelope.subject().map(decode_words).filter(|subject| !subject.is_empty());
    writeln!(out, "subject {subject:?}").expect("a string");
    for (name, list) in [("from", envelope.from()), ("to", envelope.to()), ("cc", envelope.cc())] {
        writeln!(out, "{name} {}", addresses(list)).expect("a string");
    }
}

/// Members of groups are addresses like others.
fn addresses(list: Addresses<'_>) -> String {
    let one = |address: mailstore::mime::Address<'_>| {
        let (mailbox, host) = (address.mailbox?, address.host?);
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        let at = if host.is_empty() { "" } else { "@" };
        let name = address.name.map(|name| decode_words(&name)).unwrap_or_default();
        Some(format!("{name:?} <{}{at}{}>", text(&mailbox), text(&host)))
    };
    list.filter_map(one).collect::<Vec<_>>().join(", ")
}

fn part_lines(message: &[u8], part: Part<'_>, out: &mut String) {
    let (media, subtype) = part.media();
    let kind =
        format!("{}/{}", String::from_utf8_lossy(media), String::from_utf8_lossy(subtype)).to_lowercase();
    match part.kind() {
        Kind::Multipart => {
            writeln!(out, "{kind} of {}", part.parts().count()).expect("a string");
            for child in part.parts() {
                part_lines(message, child, out);
            }
        }
        Kind::Message(inner) => {
            writeln!(out, "{kind}").expect("a string");
            fields(inner, out);
            part_lines(message, inner, out);
        }
        Kind::Leaf => {
            let range = part.body();
            let (mut octets, identity) = (Vec::new(), Encoding::Identity.decoder());
            let mut decoder = part.encoding().decoder().or(identity).expect("it is known");
            decoder.push(&message[range.start as usize..range.end as usize], &mut octets);
            decoder.finish(&mut octets);
            let text = if kind.starts_with("text/") {
                let charset = part.parameter(b"charset").unwrap_or_default();
                decode(&charset, &octets).unwrap_or_else(|| String::from_utf8_lossy(&octets).into_owned())
            } else {
                String::from_utf8_lossy(&octets).into_owned()
            };
            writeln!(out, "{kind} {}..{} {text:?}", range.start, range.end).expect("a string");
        }
    }
}

/// What mail-parser makes of it, in the same form.
fn theirs(message: &[u8]) -> String {
    let Some(parsed) = parser().parse(message) else { return "nothing\n".to_owned() };
    let mut out = String::new();
    their_fields(&parsed, &mut out);
    their_lines(&parsed, 0, false, &mut out);
    out
}

/// It reads no field but those that are compared. Made once: it holds a table of all fields.
pub(crate) fn parser() -> &'static MessageParser {
    static PARSER: LazyLock<MessageParser> = LazyLock::new(|| {
        MessageParser::new().with_mime_headers().with_address_headers().default_header_text()
    });
    &PARSER
}

fn their_fields(message: &Message<'_>, out: &mut String) {
    let subject = message.subject().filter(|subject| !subject.is_empty());
    writeln!(out, "subject {subject:?}").expect("a string");
    for (name, list) in [("from", message.from()), ("to", message.to()), ("cc", message.cc())] {
        let one = |addr: &Addr<'_>| {
            let name = addr.name.as_deref().unwrap_or_default();
            format!("{name:?} <{}>", addr.address.as_deref().unwrap_or_default())
        };
        let list = list.map(|list| list.iter().map(one).collect::<Vec<_>>().join(", ")).unwrap_or_default();
        writeln!(out, "{name} {list}").expect("a string");
    }
}

fn their_lines(message: &Message<'_>, index: usize, digest: bool, out: &mut String) {
    let Some(part) = message.parts.get(index) else { return };
    let (media, subtype) = match part.content_type() {
        Some(kind) => (kind.ctype(), kind.subtype().unwrap_or_default()),
        None if digest => ("message", "rfc822"),
        None => ("text", "plain"),
    };
    let kind = match &part.body {
        // What cannot be taken apart is a text.
        body if media == "multipart" && !matches!(body, PartType::Multipart(_)) => "text/plain".to_owned(),
        _ => format!("{media}/{subtype}").to_lowercase(),
    };
    let mut leaf = |text: &str| {
        writeln!(out, "{kind} {}..{} {text:?}", part.offset_body, part.offset_end).expect("a string");
    };
    match &part.body {
        PartType::Text(text) | PartType::Html(text) => leaf(text),
        PartType::Binary(octets) | PartType::InlineBinary(octets) => leaf(&String::from_utf8_lossy(octets)),
        PartType::Message(inner) => {
            writeln!(out, "{kind}").expect("a string");
            their_fields(inner, out);
            their_lines(inner, 0, false, out);
        }
        PartType::Multipart(parts) => {
            writeln!(out, "{kind} of {}", parts.len()).expect("a string");
            for part in parts {
                their_lines(message, *part as usize, kind == "multipart/digest", out);
            }
        }
    }
}

/// What a single field says.
#[derive(PartialEq)]
pub(crate) struct Line(pub(crate) String);

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.trim_end())
    }
}

/// What we make of a single field.
pub(crate) fn field(name: &str, raw: &[u8]) -> Option<Line> {
    let mut out = String::new();
    fields(scan(&reader::alone(name, raw)).root(), &mut out);
    line_of(name, &out)
}

/// What mail-parser makes of it.
pub(crate) fn their_field(name: &str, raw: &[u8]) -> Option<Line> {
    let mut out = String::new();
    their_fields(&parser().parse(&reader::alone(name, raw)).unwrap_or_default(), &mut out);
    line_of(name, &out)
}

fn line_of(name: &str, lines: &str) -> Option<Line> {
    lines.lines().find(|line| line.starts_with(name)).map(|line| Line(format!("{line}\n")))
}

#[test]
fn sound_messages_are_read_alike() {
    for seed in 0..2_000 {
        let message = sound(&mut Random::new(seed));
        assert_eq!(ours(&message), reader::read(&message, &[]).text, "seed {seed}");
        assert_eq!(ours(&message), theirs(&message), "seed {seed}: {}", String::from_utf8_lossy(&message));
    }
}

/// Samples that are read differently, each with a verdict: `name`, a tab, and why.
const DIFFERENT: &str = include_str!("oracle_differences.tsv");

#[test]
fn pythons_sample_messages_are_read_alike_or_for_a_reason() {
    let name = "pythons_sample_messages_are_read_alike_or_for_a_reason";
    let folders =
        ["3.11", "3.12", "3.13"].map(|version| format!("/usr/lib/python{version}/test/test_email/data"));
    let Some(folder) = folders.iter().map(Path::new).find(|folder| folder.is_dir()) else {
        return skip(name, "python3 is here without its tests (libpython3.11-testsuite)");
    };
    let verdicts: BTreeMap<_, _> = DIFFERENT.lines().filter_map(|line| line.split_once('\t')).collect();
    let (mut count, mut wrong) = (0, Vec::new());
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "txt")) {
        let octets = fs::read(file).expect("a sample");
        let message =
            String::from_utf8_lossy(&octets).replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n");
        let message = if octets.is_ascii() { message.into_bytes() } else { octets };
        crate::mime::check(&message);
        count += 1;
        let name = file.file_name().expect("a name").to_string_lossy().into_owned();
        let (ours, theirs) = (ours(&message), theirs(&message));
        if (ours != theirs) != verdicts.contains_key(&*name) {
            wrong.push(format!("{name}\n--- ours\n{ours}--- theirs\n{theirs}"));
        }
    }
    assert!(count >= 47, "only {count} samples");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("{count} samples, {} of them read differently for a reason", verdicts.len());
}

/// What mail-parser does otherwise with ambiguous messages, each with a verdict.
const CAUSES: &str = include_str!("oracle_causes.tsv");

/// What single fields say and mail-parser reads otherwise: the field, what it says, how we read it, how mail-parser does, a verdict.
const VALUES: &str = include_str!("oracle_values.tsv");

#[test]
fn ambiguous_messages_are_read_alike_or_for_a_reason() {
    // More than the lists are made for may be tried.
    let rounds = std::env::var("POSTRIDER_ROUNDS").map_or(ROUNDS, |rounds| rounds.parse().expect("a number"));
    let (mut alike, mut causes, mut values) = (0, BTreeMap::<String, usize>::new(), BTreeSet::new());
    for seed in 0..rounds {
        let message = ambiguous(&mut Random::new(seed));
        let different = compare(seed, &message, &mut causes, &mut values);
        alike += usize::from(!different);
        if different && reader::read(&message, &QUIRKS).forgotten {
            // What else is in it is compared without its messages.
            *causes.entry("Forgotten".to_owned()).or_default() += 1;
            compare(seed, &without_messages(&message), &mut causes, &mut values);
        }
    }
    println!(
        "{alike} of {rounds} ambiguous messages are read alike; the others differ for these reasons: {causes:#?}"
    );
    if rounds != ROUNDS {
        return;
    }
    let listed: BTreeSet<_> =
        entries(CAUSES).map(|line| line.split('\t').next().expect("a name").to_owned()).collect();
    assert_eq!(listed, causes.into_keys().collect());
    let listed: BTreeSet<_> =
        entries(VALUES).map(|line| line.rsplit_once('\t').expect("a verdict").0.to_owned()).collect();
    let values: BTreeSet<_> = values.iter().map(|value: &[String; 4]| value.join("\t")).collect();
    let show = |lines: &[&String]| lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let new = show(&values.difference(&listed).collect::<Vec<_>>());
    let gone = show(&listed.difference(&values).collect::<Vec<_>>());
    assert!(new.is_empty() && gone.is_empty(), "not in the list:\n{new}not needed any more:\n{gone}");
}

const ROUNDS: u64 = 2_000;

fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.lines().filter(|line| !line.starts_with('#'))
}

/// Whether mail-parser reads this otherwise, and for which reasons: each of them is needed to explain what it reads.
fn compare(
    seed: u64,
    message: &[u8],
    causes: &mut BTreeMap<String, usize>,
    values: &mut BTreeSet<[String; 4]>,
) -> bool {
    let ours = ours(message);
    let tell = || format!("seed {seed}: {}", message.escape_ascii().to_string().replace("\\n", "\\n\n"));
    assert_eq!(ours, reader::read(message, &[]).text, "{}", tell());
    let all = reader::read(message, &QUIRKS);
    values.extend(all.values);
    if all.forgotten {
        return true;
    }
    let theirs = theirs(message);
    assert_eq!(all.text, theirs, "{}", tell());
    if ours == theirs {
        return false;
    }
    let mut needed = QUIRKS.to_vec();
    for quirk in QUIRKS {
        let fewer: Vec<_> = needed.iter().copied().filter(|other| *other != quirk).collect();
        if reader::read(message, &fewer).text == theirs {
            needed = fewer;
        }
    }
    for quirk in &needed {
        *causes.entry(format!("{quirk:?}")).or_default() += 1;
    }
    true
}

/// The same with types instead of messages that are not taken apart.
fn without_messages(message: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    for kind in [&b"message/rfc822"[..], b"message/global"] {
        while let Some(at) = message.windows(kind.len()).position(|octets| octets.eq_ignore_ascii_case(kind))
        {
            message[at] = b'n';
        }
    }
    message
}

/// Says that a test cannot be run for want of something foreign; fails if that was asked for.
fn skip(name: &str, reason: &str) {
    let line = format!("SKIPPED: {name}: {reason}");
    println!("{line}");
    if let Some(file) = std::env::var_os("POSTRIDER_SKIPS") {
        let written = File::options().append(true).create(true).open(&file);
        written.and_then(|mut file| writeln!(file, "{line}")).expect("the file of skips can be written");
    }
    assert!(std::env::var_os("POSTRIDER_NO_SKIPS").is_none_or(|value| value != "1"), "{line}");
}
