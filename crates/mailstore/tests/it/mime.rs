//! MIME structures of messages, sound and broken.

use std::collections::BTreeSet;

use bytes::Bytes;
use mailstore::mime::{Kind, Part, Role, Scanner, Section, Structure, partial};

use crate::messages::{Random, ambiguous};

fn scan(message: &[u8]) -> Structure {
    let mut scanner = Scanner::new();
    scanner.push(message);
    scanner.finish()
}

fn cut(message: &[u8], mut pieces: impl FnMut() -> usize) -> Structure {
    let (mut scanner, mut rest) = (Scanner::new(), message);
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(pieces().clamp(1, rest.len()));
        scanner.push(piece);
        rest = behind;
    }
    scanner.finish()
}

/// All that has to hold of any message.
fn check(message: &[u8]) -> Structure {
    let structure = scan(message);
    assert_eq!(structure.size(), message.len() as u64);
    assert_eq!(cut(message, || 1), structure, "bytewise");
    let mut random = Random::new(message.len() as u64);
    for _ in 0..4 {
        assert_eq!(cut(message, || random.below(40) as usize), structure, "in pieces");
    }
    let mut octets = Vec::new();
    structure.encode(&mut octets);
    let octets = Bytes::from(octets);
    let decoded = Structure::decode(octets.clone(), structure.size()).expect("what was encoded");
    let mut again = Vec::new();
    decoded.encode(&mut again);
    assert_eq!(again, octets);
    assert_eq!(shape(decoded.root()), shape(structure.root()));
    assert!(Structure::decode(octets, structure.size() + 1).is_none(), "another message");
    partition(message, &structure);
    sections(message, &structure);
    structure
}

/// Each octet belongs to one piece, and the pieces say what they are.
fn partition(message: &[u8], structure: &Structure) {
    let pieces = structure.partition();
    let mut whole = Vec::new();
    let parts: Vec<_> = structure.parts().collect();
    for (part, role, range) in pieces {
        assert_eq!(whole.len() as u64, range.start, "{role:?} of {part}");
        let octets = slice(message, &range);
        whole.extend_from_slice(octets);
        let part = parts[part];
        match role {
            Role::Header => assert_eq!(part.header(), range),
            Role::Body => assert_eq!(part.body(), range),
            Role::Delimiter => {
                let boundary = part.parameter(b"boundary").expect("a multipart has one");
                let line = octets.strip_prefix(b"\r").unwrap_or(octets);
                let line = line.strip_prefix(b"\n").unwrap_or(line);
                let line = line.strip_prefix(b"--").expect("a delimiter has hyphens");
                assert!(line.starts_with(boundary.trim_ascii_end()));
            }
            Role::Preamble | Role::Epilogue => assert!(matches!(part.kind(), Kind::Multipart)),
        }
    }
    assert_eq!(whole, message);
}

fn slice<'m>(message: &'m [u8], range: &core::ops::Range<u64>) -> &'m [u8] {
    &message[range.start as usize..range.end as usize]
}

/// Each section is what the parts say, with octets in front and without, and any part of it is a slice.
fn sections(message: &[u8], structure: &Structure) {
    let front = b"Return-Path: <>\r\n";
    let with_front = [&front[..], message].concat();
    let mut paths = vec![(vec![], structure.root(), true)];
    let mut seen = BTreeSet::new();
    while let Some((path, part, whole)) = paths.pop() {
        seen.extend([part.index()].into_iter().chain(part.message().map(Part::index)));
        let get = |section| structure.section(0, path.iter().copied(), section);
        let all = get(Section::All).expect("there is such a part");
        let (header, text, mime) = (get(Section::Header), get(Section::Text), get(Section::Mime));
        let message_of = if whole { Some(part) } else { part.message() };
        assert_eq!(header, message_of.map(Part::header));
        assert_eq!(text, message_of.map(Part::body));
        assert_eq!(mime, (!whole).then(|| part.header()));
        assert_eq!(all, if whole { 0..structure.size() } else { part.body() });
        for section in [Section::All, Section::Header, Section::Text, Section::Mime] {
            let Some(range) = get(section) else { continue };
            let shifted = structure.section(front.len() as u64, path.iter().copied(), section);
            let shifted = slice(&with_front, &shifted.expect("the same section")).to_vec();
            let octets = slice(message, &range);
            let in_front = part.index() == 0
                && match section {
                    Section::All => whole,
                    Section::Header => true,
                    Section::Mime => true,
                    Section::Text => false,
                }
                && (whole || section == Section::Mime);
            if in_front {
                assert_eq!(shifted, [front, octets].concat());
            } else {
                assert_eq!(shifted, octets);
            }
            let size = octets.len() as u64;
            for (origin, count) in [(0, 0), (0, 1), (1, 3), (size, 1), (size + 7, 9), (size / 2, u64::MAX)] {
                let wanted = &octets[(origin.min(size)) as usize
                    ..origin.saturating_add(count).min(size).max(origin.min(size)) as usize];
                assert_eq!(slice(message, &partial(range.clone(), origin, count)), wanted);
            }
        }
        if whole && !matches!(part.kind(), Kind::Multipart) {
            paths.push(([&path[..], &[1]].concat(), part, false));
        }
        let within = if whole { Some(part) } else { part.message().or(Some(part)) };
        if let Some(inner) = within {
            let count = inner.parts().count() as u32;
            for (index, child) in inner.parts().enumerate() {
                paths.push(([&path[..], &[index as u32 + 1]].concat(), child, false));
            }
            if !whole && part.message().is_some() && count == 0 {
                paths.push(([&path[..], &[1]].concat(), inner, false));
            }
            let beyond = [&path[..], &[count.max(u32::from(whole || part.message().is_some())) + 1]].concat();
            assert_eq!(structure.section(0, beyond, Section::All), None);
        }
        assert_eq!(structure.section(0, [&path[..], &[0]].concat(), Section::All), None);
    }
    assert_eq!(seen.len(), structure.parts().count(), "each part has a number");
}

/// The tree with all that can be known of it, as text.
fn shape(part: Part<'_>) -> String {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let option = |octets: Option<&[u8]>| octets.map_or_else(|| "NIL".to_owned(), text);
    let (media, subtype) = part.media();
    let mut out = format!("({}/{}", text(media), text(subtype));
    for (name, value) in part.parameters() {
        out += &format!(" {}={:?}", text(name), text(&value));
    }
    out += &format!(
        " {} {} {} {}-{}-{} {}",
        option(part.id()),
        option(part.description()),
        text(&part.encoding_name()),
        part.header().start,
        part.body().start,
        part.body().end,
        part.lines()
    );
    if let Some((name, parameters)) = part.disposition() {
        out += &format!(" {}", text(&name));
        for (name, value) in parameters {
            out += &format!(" {}={:?}", text(name), text(&value));
        }
    }
    for tag in part.languages() {
        out += &format!(" lang={}", text(tag));
    }
    for other in [part.md5(), part.location()] {
        out += &format!(" {}", option(other));
    }
    if let Some(envelope) = part.envelope() {
        out += &format!(" {:?} {:?}", envelope.date().map(text), envelope.subject().map(text));
        for list in [
            envelope.from(),
            envelope.sender(),
            envelope.reply_to(),
            envelope.to(),
            envelope.cc(),
            envelope.bcc(),
        ] {
            out += &format!(" {:?}", list.collect::<Vec<_>>());
        }
    }
    for child in part.parts().chain(part.message()) {
        out += &shape(child);
    }
    out + ")"
}

#[test]
fn two_thousand_ambiguous_messages() {
    for seed in 0..2_000 {
        let message = ambiguous(&mut Random::new(seed));
        let result = std::panic::catch_unwind(|| {
            check(&message);
        });
        if result.is_err() {
            panic!("seed {seed}: {}", String::from_utf8_lossy(&message).escape_debug());
        }
    }
}
