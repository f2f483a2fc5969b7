//! The same messages as mail-parser reads them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "samples are files of another package"
)]

use core::fmt::Write as _;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use mail_parser::{Addr, Message, MessageParser, MimeHeaders as _, PartType};
use mailstore::mime::{Addresses, Encoding, Kind, Part, Scanner, Structure};
use mailstore::search::{decode, decode_words};

use crate::messages::{Random, ambiguous, sound};

fn scan(message: &[u8]) -> Structure {
    let mut scanner = Scanner::new();
    scanner.push(message);
    scanner.finish()
}

/// What we make of a message: each part on a line, with what it stands for.
fn ours(message: &[u8]) -> String {
    let structure = scan(message);
    let mut out = String::new();
    if let Some(envelope) = structure.root().envelope() {
        let subject = envelope.subject().map(decode_words).filter(|subject| !subject.is_empty());
        writeln!(out, "subject {subject:?}").expect("a string");
        for (name, list) in [("from", envelope.from()), ("to", envelope.to()), ("cc", envelope.cc())] {
            writeln!(out, "{name} {}", addresses(list)).expect("a string");
        }
    }
    part_lines(message, structure.root(), &mut out);
    out
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
    std::panic::catch_unwind(|| parsed(message)).unwrap_or_else(|_| "a panic\n".to_owned())
}

fn parsed(message: &[u8]) -> String {
    let Some(parsed) = MessageParser::new()
        .with_message_ids()
        .with_mime_headers()
        .with_date_headers()
        .with_address_headers()
        .default_header_text()
        .parse(message)
    else {
        return "nothing\n".to_owned();
    };
    let mut out = String::new();
    let subject = parsed.subject().filter(|subject| !subject.is_empty());
    writeln!(out, "subject {subject:?}").expect("a string");
    for (name, list) in [("from", parsed.from()), ("to", parsed.to()), ("cc", parsed.cc())] {
        let one = |addr: &Addr<'_>| {
            let name = addr.name.as_deref().unwrap_or_default();
            format!("{name:?} <{}>", addr.address.as_deref().unwrap_or_default())
        };
        let list = list.map(|list| list.iter().map(one).collect::<Vec<_>>().join(", ")).unwrap_or_default();
        writeln!(out, "{name} {list}").expect("a string");
    }
    their_lines(&parsed, 0, false, &mut out);
    out
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

#[test]
fn sound_messages_are_read_alike() {
    for seed in 0..2_000 {
        let message = sound(&mut Random::new(seed));
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

/// The smallest forms of ambiguous messages that are read differently, each with a verdict: what is read, the form, and why.
const AMBIGUOUS: &str = include_str!("oracle_ambiguous.tsv");

/// What of a message is read differently: nothing if all is alike.
fn differences(message: &[u8]) -> Vec<&'static str> {
    let (ours, theirs) = (ours(message), theirs(message));
    match &*theirs {
        "nothing\n" => return vec!["all of it"],
        "a panic\n" => return vec!["a panic"],
        _ => {}
    }
    let pairs = || ours.lines().zip(theirs.lines());
    let field = |name: &&str| pairs().any(|(ours, theirs)| ours.starts_with(*name) && ours != theirs);
    let mut differences: Vec<_> = ["subject ", "from ", "to ", "cc "].into_iter().filter(field).collect();
    let types = |text: &str| -> Vec<String> {
        text.lines().skip(4).map(|line| line.split(" \"").next().unwrap_or_default().to_owned()).collect()
    };
    // The type of a part that holds no others says nothing of the structure.
    let shape = |text: &str| -> Vec<String> {
        let plain = |line: String| {
            line.split_once(' ')
                .filter(|(_, rest)| !rest.starts_with("of "))
                .map_or(line.clone(), |(_, range)| range.to_owned())
        };
        types(text).into_iter().map(plain).collect()
    };
    if shape(&ours) != shape(&theirs) {
        differences.push("structure");
    } else if types(&ours) != types(&theirs) {
        differences.push("type");
    } else if pairs().skip(4).any(|(ours, theirs)| ours != theirs) {
        differences.push("text");
    }
    differences
}

/// The smallest and plainest message in which this is still read differently: lines are taken out, then octets; what is left of letters
/// and digits is an `a` where that changes nothing.
fn smallest(message: &[u8], what: &str) -> Vec<u8> {
    let differs = |message: &[u8]| differences(message).contains(&what);
    let lines =
        |message: &[u8]| message.split_inclusive(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect();
    let octets = |message: &[u8]| message.iter().map(|octet| vec![*octet]).collect();
    let mut message = message.to_vec();
    for split in [&lines as &dyn Fn(&[u8]) -> Vec<Vec<u8>>, &octets] {
        let mut pieces = split(&message);
        let mut size = pieces.len().div_ceil(2);
        while size > 0 {
            let (mut at, mut changed) = (0, false);
            while at < pieces.len() {
                let end = (at + size).min(pieces.len());
                let less = [&pieces[..at], &pieces[end..]].concat();
                if differs(&less.concat()) {
                    (pieces, changed) = (less, true);
                } else {
                    at = end;
                }
            }
            size = if size == 1 && changed { 1 } else { size / 2 };
        }
        message = pieces.concat();
    }
    let lower = message.to_ascii_lowercase();
    message = if differs(&lower) { lower } else { message };
    for at in 0..message.len() {
        let before = message[at];
        if before.is_ascii_alphanumeric() || before >= 0x80 {
            message[at] = b'a';
            if !differs(&message) {
                message[at] = before;
            }
        }
    }
    message
}

#[test]
fn ambiguous_messages_are_read_alike_or_for_a_reason() {
    let verdicts: BTreeMap<_, _> = AMBIGUOUS
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.rsplit_once('\t').expect("what, form and verdict"))
        .collect();
    let (mut alike, mut found) = (0, BTreeMap::<String, (usize, u64)>::new());
    for seed in 0..2_000 {
        let message = ambiguous(&mut Random::new(seed));
        let differences = differences(&message);
        alike += usize::from(differences.is_empty());
        for what in differences {
            let form = smallest(&message, what).escape_ascii().to_string();
            found.entry(format!("{}\t{form}", what.trim_end())).or_insert((0, seed)).0 += 1;
        }
    }
    println!("{alike} of 2,000 are read alike; the others differ in {} ways", found.len());
    let new: Vec<_> = found.iter().filter(|(form, _)| !verdicts.contains_key(&***form)).collect();
    for (form, (count, seed)) in &new {
        println!("NEW\t{form}\t{count}\t{seed}");
    }
    let gone: Vec<_> = verdicts.keys().filter(|form| !found.contains_key(**form)).collect();
    assert!(new.is_empty() && gone.is_empty(), "{} new, gone: {gone:#?}", new.len());
}
