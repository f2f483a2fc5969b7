//! MIME structures of messages, sound and broken.

use std::collections::BTreeSet;

use bytes::Bytes;
use mailstore::mime::{HeaderFields, Kind, NoBinary, Part, Role, Scanner, Section, Structure, partial};

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
pub(crate) fn check(message: &[u8]) -> Structure {
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

/// Types and bodies of all parts in one line: `multipart/mixed(text/plain[hello])`.
fn outline(message: &[u8]) -> String {
    let structure = check(message);
    fn walk(message: &[u8], part: Part<'_>) -> String {
        let (media, subtype) = part.media();
        let name = format!("{}/{}", String::from_utf8_lossy(media), String::from_utf8_lossy(subtype));
        let children: Vec<_> = part.parts().chain(part.message()).map(|part| walk(message, part)).collect();
        if children.is_empty() {
            format!("{name}[{}]", String::from_utf8_lossy(slice(message, &part.body())).escape_debug())
        } else {
            format!("{name}({})", children.join(" "))
        }
    }
    walk(message, structure.root())
}

/// A message whose lines end in CRLF, from one whose lines end in LF.
fn crlf(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

#[test]
fn broken_messages_have_the_structure_that_rfc_2046_gives_them() {
    let multipart = "Content-Type: multipart/mixed; boundary=b\n\n";
    for (what, message, expected) in [
        ("nothing", "", "TEXT/PLAIN[]"),
        ("an empty line", "\n", "TEXT/PLAIN[]"),
        ("no header", "\nbody", "TEXT/PLAIN[body]"),
        ("no body", "Subject: x\n", "TEXT/PLAIN[]"),
        ("no line end", "Subject: x", "TEXT/PLAIN[]"),
        ("no type", "Content-Type:\n\nx", "TEXT/PLAIN[x]"),
        ("half a type", "Content-Type: text\n\nx", "TEXT/PLAIN[x]"),
        ("two types", "Content-Type: text/html\nContent-Type: image/png\n\nx", "text/html[x]"),
        ("no boundary", "Content-Type: multipart/mixed\n\n--b\n\nx", "TEXT/PLAIN[--b\\r\\n\\r\\nx]"),
        (
            "a boundary without a semicolon behind it",
            "Content-Type: multipart/mixed; boundary=b charset=utf-8\n\n--b\n\nx\n--b--",
            "multipart/mixed(TEXT/PLAIN[x])",
        ),
        (
            "an empty boundary",
            "Content-Type: multipart/mixed; boundary=\"\"\n\n--\n\nx",
            "TEXT/PLAIN[--\\r\\n\\r\\nx]",
        ),
        ("only a preamble", &format!("{multipart}a\n"), "TEXT/PLAIN[a\\r\\n]"),
        ("only an end", &format!("{multipart}--b--\n"), "TEXT/PLAIN[--b--\\r\\n]"),
        ("one part", &format!("{multipart}p\n--b\n\nx\n--b--\ne"), "multipart/mixed(TEXT/PLAIN[x])"),
        ("no end", &format!("{multipart}--b\n\nx\n"), "multipart/mixed(TEXT/PLAIN[x\\r\\n])"),
        ("no line end at the end", &format!("{multipart}--b\n\nx\n--b--"), "multipart/mixed(TEXT/PLAIN[x])"),
        ("half an end", &format!("{multipart}--b\n\nx\n--b-"), "multipart/mixed(TEXT/PLAIN[x] TEXT/PLAIN[])"),
        (
            "a delimiter at the end",
            &format!("{multipart}--b\n\nx\n--b"),
            "multipart/mixed(TEXT/PLAIN[x] TEXT/PLAIN[])",
        ),
        (
            "white space behind",
            &format!("{multipart}--b \t\n\nx\n--b-- \n"),
            "multipart/mixed(TEXT/PLAIN[x])",
        ),
        ("more behind", &format!("{multipart}--bcd\n\nx\n--b--yz\n"), "multipart/mixed(TEXT/PLAIN[x])"),
        (
            "within a line",
            &format!("{multipart}--b\n\nx--b\n --b\n--b--"),
            "multipart/mixed(TEXT/PLAIN[x--b\\r\\n --b])",
        ),
        ("two in a row", &format!("{multipart}--b\n--b\n\nx\n--b--"), "multipart/mixed(TEXT/PLAIN[x])"),
        (
            "a part with no body",
            &format!("{multipart}--b\nContent-Type: a/b\n--b--"),
            "multipart/mixed(a/b[])",
        ),
        ("a part with no header", &format!("{multipart}--b\n\n--b--"), "multipart/mixed(TEXT/PLAIN[])"),
        (
            "after the end",
            &format!("{multipart}--b\n\nx\n--b--\n--b\n\ny\n"),
            "multipart/mixed(TEXT/PLAIN[x])",
        ),
        (
            "an inner boundary that begins with the outer one",
            &format!("{multipart}--b\nContent-Type: multipart/x; boundary=bb\n\n--bb\n\nx\n--bb--\n--b--"),
            "multipart/mixed(multipart/x(TEXT/PLAIN[x]))",
        ),
        (
            "an outer boundary that begins with the inner one",
            "Content-Type: multipart/x; boundary=bb\n\n--bb\nContent-Type: multipart/y; boundary=b\n\n--b\n\nx\n--bb--\n",
            "multipart/x(multipart/y(TEXT/PLAIN[x]))",
        ),
        (
            "a boundary that looks like the end of another one",
            "Content-Type: multipart/x; boundary=b\n\n--b\nContent-Type: multipart/y; boundary=\"b--\"\n\n--b--\n\nx\n--b----\n--b--",
            "multipart/x(multipart/y(TEXT/PLAIN[x]))",
        ),
        (
            "the same boundary within",
            &format!("{multipart}--b\n{multipart}--b\n\nx\n--b--\n--b\n\ny\n--b--\n"),
            "multipart/mixed(multipart/mixed(TEXT/PLAIN[x]) TEXT/PLAIN[y])",
        ),
        (
            "an inner multipart that does not end",
            &format!("{multipart}--b\nContent-Type: multipart/x; boundary=c\n\n--c\n\nx\n--b\n\ny\n--b--"),
            "multipart/mixed(multipart/x(TEXT/PLAIN[x]) TEXT/PLAIN[y])",
        ),
        (
            "a header that the outer boundary ends",
            &format!("{multipart}--b\nContent-Type: message/rfc822\n\nSubject: x\n--b\n\ny\n--b--"),
            "multipart/mixed(message/rfc822(TEXT/PLAIN[]) TEXT/PLAIN[y])",
        ),
        (
            "the end of an inner multipart directly in front of an outer boundary",
            &format!("{multipart}--b\nContent-Type: multipart/x; boundary=c\n\n--c\n\nx\n--c--\n--b--"),
            "multipart/mixed(multipart/x(TEXT/PLAIN[x]))",
        ),
        (
            "an encoded message",
            "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA==\n",
            "message/rfc822(TEXT/PLAIN[U3ViamVjdDogeA==\\r\\n])",
        ),
        (
            "a digest",
            "Content-Type: multipart/digest; boundary=b\n\n--b\n\nSubject: x\n\ny\n--b\nContent-Type: text/html\n\nz\n--b--",
            "multipart/digest(MESSAGE/RFC822(TEXT/PLAIN[y]) text/html[z])",
        ),
        (
            "a boundary in parts",
            "Content-Type: multipart/mixed; boundary*0=\"a\"; boundary*1=b\n\n--ab\n\nx\n--ab--",
            "multipart/mixed(TEXT/PLAIN[x])",
        ),
    ] {
        assert_eq!(outline(&crlf(message)), expected, "{what}");
    }
    assert_eq!(
        outline(b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n"),
        "multipart/mixed(TEXT/PLAIN[x])"
    );
    assert_eq!(outline(b"A: b\r\r\n\rC: d\r\n\r\nx"), "TEXT/PLAIN[x]");
}

/// BODYSTRUCTURE, as the examples of the RFCs are printed; `extended` for what BODY does not have.
fn body_structure(part: Part<'_>, extended: bool) -> String {
    let string = |octets: &[u8]| format!("\"{}\"", String::from_utf8_lossy(octets));
    let option = |octets: Option<&[u8]>| octets.map_or_else(|| "NIL".to_owned(), string);
    let list = |parameters: mailstore::mime::Parameters<'_>| {
        let pairs: Vec<_> =
            parameters.map(|(name, value)| format!("{} {}", string(name), string(&value))).collect();
        if pairs.is_empty() { "NIL".to_owned() } else { format!("({})", pairs.join(" ")) }
    };
    let (media, subtype) = part.media();
    let mut out = String::from("(");
    let mut tail = vec![];
    if matches!(part.kind(), Kind::Multipart) {
        out += &part.parts().map(|part| body_structure(part, extended)).collect::<String>();
        out += &format!(" {}", string(subtype));
        tail.push(list(part.parameters()));
    } else {
        out += &[
            string(media),
            string(subtype),
            list(part.parameters()),
            option(part.id()),
            option(part.description()),
            string(&part.encoding_name()),
            (part.body().end - part.body().start).to_string(),
        ]
        .join(" ");
        if let Some(inner) = part.message() {
            out += &format!(" {} {} {}", envelope(inner), body_structure(inner, extended), part.lines());
        } else if media.eq_ignore_ascii_case(b"text") {
            out += &format!(" {}", part.lines());
        }
        tail.push(option(part.md5()));
    }
    if extended {
        tail.push(part.disposition().map_or_else(
            || "NIL".to_owned(),
            |(name, parameters)| format!("({} {})", string(&name), list(parameters)),
        ));
        let languages: Vec<_> = part.languages().map(string).collect();
        tail.push(if languages.is_empty() { "NIL".to_owned() } else { format!("({})", languages.join(" ")) });
        tail.push(option(part.location()));
        out += &format!(" {}", tail.join(" "));
    }
    out + ")"
}

/// ENVELOPE, in the same way.
fn envelope(part: Part<'_>) -> String {
    let envelope = part.envelope().expect("it is a message");
    let option = |octets: Option<&[u8]>| {
        octets.map_or_else(|| "NIL".to_owned(), |octets| format!("\"{}\"", String::from_utf8_lossy(octets)))
    };
    let list = |addresses: mailstore::mime::Addresses<'_>| {
        let one = |address: mailstore::mime::Address<'_>| {
            let parts = [&address.name, &address.route, &address.mailbox, &address.host];
            format!("({})", parts.map(|part| option(part.as_deref())).join(" "))
        };
        let all: String = addresses.map(one).collect();
        if all.is_empty() { "NIL".to_owned() } else { format!("({all})") }
    };
    let lists = [
        envelope.from(),
        envelope.sender(),
        envelope.reply_to(),
        envelope.to(),
        envelope.cc(),
        envelope.bcc(),
    ];
    format!(
        "({} {} {} {} {})",
        option(envelope.date()),
        option(envelope.subject()),
        lists.map(list).join(" "),
        option(envelope.in_reply_to()),
        option(envelope.message_id())
    )
}

#[test]
fn the_examples_of_rfc_9051_are_shown_as_they_are_printed() {
    // RFC 9051 §8, whose ENVELOPE has lost a letter of the Message-ID.
    let header = crlf(
        "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\n\
         From: Terry Gray <gray@cac.washington.edu>\n\
         Subject: IMAP4rev2 WG mtg summary and minutes\n\
         To: imap@cac.washington.edu\n\
         cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\n\
         Message-Id: <B27397-0100000@cac.washington.edu>\n\
         MIME-Version: 1.0\n\
         Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\n\n",
    );
    assert_eq!(header.len(), 342);
    let text = |size: usize, lines: usize| {
        let mut text = "x".repeat(size - 2 * lines).into_bytes();
        text.extend_from_slice(&b"\r\n".repeat(lines));
        text
    };
    let message = [header, text(3_028, 92)].concat();
    let structure = check(&message);
    assert_eq!(
        envelope(structure.root()),
        "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev2 WG mtg summary and minutes\" \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
         ((NIL NIL \"imap\" \"cac.washington.edu\")) \
         ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \
         \"<B27397-0100000@cac.washington.edu>\")"
    );
    assert_eq!(
        body_structure(structure.root(), false),
        "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 3028 92)"
    );
    let mut octets = Vec::new();
    structure.encode(&mut octets);
    assert!(octets.len() < 350, "{} octets", octets.len());

    // RFC 9051 §7.5.2
    let plain = check(&[&b"\r\n"[..], &text(2_279, 48)].concat());
    assert_eq!(
        body_structure(plain.root(), false),
        "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 2279 48)"
    );
    let mixed = [
        &crlf("Content-Type: multipart/MIXED; boundary=\"x\"\n\n--x\nContent-Type: TEXT/PLAIN; CHARSET=US-ASCII\n\n")[..],
        &text(1_152, 23),
        &crlf(
            "\n--x\nContent-Type: TEXT/PLAIN; CHARSET=US-ASCII; NAME=\"cc.diff\"\n\
             Content-ID: <960723163407.20117h@cac.washington.edu>\nContent-Description: Compiler diff\n\
             Content-Transfer-Encoding: BASE64\n\n",
        ),
        &text(4_554, 73),
        b"\r\n--x--\r\n",
    ]
    .concat();
    assert_eq!(
        body_structure(check(&mixed).root(), false),
        "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 1152 23)\
         (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\" \"NAME\" \"cc.diff\") \
         \"<960723163407.20117h@cac.washington.edu>\" \"Compiler diff\" \"BASE64\" 4554 73) \"MIXED\")"
    );
}

#[test]
fn what_only_bodystructure_has_is_there() {
    let message = crlf(
        "From: a@b\nContent-Type: multipart/mixed; boundary=x\nContent-Language: en, de\n\n--x\n\
         Content-Type: message/rfc822\nContent-Disposition: attachment (c); filename=\"a b.eml\"\n\
         Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\nContent-Location: http://x.test/\n\n\
         Subject: in\nFrom: <c@d>\nReply-To: ,\nIn-Reply-To: <1@x>\n\nhello\n--x--\n",
    );
    assert_eq!(
        body_structure(check(&message).root(), true),
        "((\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 66 \
         (NIL \"in\" ((NIL NIL \"c\" \"d\")) ((NIL NIL \"c\" \"d\")) ((NIL NIL \"c\" \"d\")) NIL NIL NIL \"<1@x>\" NIL) \
         (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 5 0 NIL NIL NIL NIL) 5 \
         \"Q2hlY2sgSW50ZWdyaXR5IQ==\" (\"attachment\" (\"filename\" \"a b.eml\")) NIL \"http://x.test/\") \
         \"mixed\" (\"boundary\" \"x\") NIL (\"en\" \"de\") NIL)"
    );
}

#[test]
fn the_sections_of_rfc_9051_are_where_it_says() {
    // RFC 9051 §6.4.5.1
    let message = crlf(
        "Subject: 0\nContent-Type: multipart/mixed; boundary=a\n\n\
         --a\n\n1\n\
         --a\nContent-Type: application/octet-stream\n\n2\n\
         --a\nContent-Type: message/rfc822\n\nSubject: 3\nContent-Type: multipart/mixed; boundary=b\n\n\
         --b\n\n3.1\n--b\nContent-Type: application/octet-stream\n\n3.2\n--b--\n\
         --a\nContent-Type: multipart/mixed; boundary=c\n\n\
         --c\nContent-Type: image/gif\n\n4.1\n\
         --c\nContent-Type: message/rfc822\n\nSubject: 4.2\nContent-Type: multipart/mixed; boundary=d\n\n\
         --d\n\n4.2.1\n--d\nContent-Type: multipart/alternative; boundary=e\n\n\
         --e\n\n4.2.2.1\n--e\nContent-Type: text/richtext\n\n4.2.2.2\n--e--\n--d--\n--c--\n--a--\n",
    );
    let structure = check(&message);
    let get = |path: &[u32], section| {
        let range = structure.section(0, path.iter().copied(), section)?;
        Some(String::from_utf8_lossy(slice(&message, &range)).into_owned())
    };
    for path in [&[1][..], &[2], &[3, 1], &[3, 2], &[4, 1], &[4, 2, 1], &[4, 2, 2, 1], &[4, 2, 2, 2]] {
        let name = path.iter().map(u32::to_string).collect::<Vec<_>>().join(".");
        assert_eq!(get(path, Section::All).as_deref(), Some(&*name));
        assert_eq!(get(path, Section::Header), None);
        assert_eq!(get(path, Section::Text), None);
        let deeper = [path, &[1]].concat();
        assert_eq!(get(&deeper, Section::All), None, "{deeper:?}");
    }
    assert_eq!(
        get(&[3], Section::Header).as_deref(),
        Some("Subject: 3\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n")
    );
    assert_eq!(get(&[4, 1], Section::Mime).as_deref(), Some("Content-Type: image/gif\r\n\r\n"));
    assert!(
        get(&[4, 2], Section::Text)
            .is_some_and(|text| text.starts_with("--d\r\n") && text.ends_with("--d--"))
    );
    assert!(get(&[], Section::Text).is_some_and(|text| text.starts_with("--a\r\n")));
    assert_eq!(get(&[], Section::Mime), None);
    assert_eq!(get(&[5], Section::All), None);

    // A message that is no multipart has a part 1.
    let plain = b"Subject: x\r\n\r\ntext";
    let structure = check(plain);
    assert_eq!(structure.section(5, [1], Section::All), Some(19..23));
    assert_eq!(structure.section(5, [1], Section::Mime), Some(0..19));
    assert_eq!(structure.section(5, [], Section::Header), Some(0..19));
    assert_eq!(structure.section(5, [], Section::All), Some(0..23));
    assert_eq!(structure.section(5, [1], Section::Text), None);
}

#[test]
fn fields_are_taken_out_of_a_header() {
    let header = b"Subject: a\r\n b\r\nFrom : x\r\njunk\r\nTo: y\r\nSUBJECT: c\r\n\td: e\r\nSubjects: f\r\nfrom:\r\n\r\n";
    let filter = |names: &[&str], not, header: &[u8], piece: usize| {
        let (mut fields, mut kept) = (HeaderFields::new(names, not), Vec::new());
        for octets in header.chunks(piece) {
            fields.push(octets, |octets| kept.extend_from_slice(octets));
        }
        fields.finish(|octets| kept.extend_from_slice(octets));
        String::from_utf8(kept).expect("a text")
    };
    for piece in 1..header.len() {
        for (names, not, expected) in [
            (&["subject"][..], false, "Subject: a\r\n b\r\nSUBJECT: c\r\n\td: e\r\n\r\n"),
            (&["From", "To"], false, "From : x\r\nTo: y\r\nfrom:\r\n\r\n"),
            (&["From", "SUBJECT"], true, "junk\r\nTo: y\r\nSubjects: f\r\n\r\n"),
            (&["no-such"], false, "\r\n"),
            (&["junk", "d"], false, "\r\n"),
            (&[], true, core::str::from_utf8(header).expect("a text")),
        ] {
            assert_eq!(filter(names, not, header, piece), expected, "{names:?} {not} {piece}");
        }
    }
    // A header that ends in the midst of a line has no empty line.
    for (header, named, others) in
        [("a: b", "a: b", ""), ("junk", "", "junk"), ("a: b\r\n\r", "a: b\r\n", "\r"), ("", "", "")]
    {
        for piece in 1..5 {
            assert_eq!(filter(&["A"], false, header.as_bytes(), piece), named, "{header:?}");
            assert_eq!(filter(&["A"], true, header.as_bytes(), piece), others, "{header:?}");
        }
    }
    let long = format!("{}: x\r\ny: z\r\n\r\n", "y".repeat(5_000));
    for piece in [1, 7, 100_000] {
        assert_eq!(filter(&["y"], false, long.as_bytes(), piece), "y: z\r\n\r\n");
        assert_eq!(filter(&["y"], true, long.as_bytes(), piece), long.replace("y: z\r\n", ""));
    }
}

#[test]
fn binary_is_decoded_where_that_is_possible() {
    let message = crlf(
        "Content-Type: multipart/mixed; boundary=a\n\n\
         --a\nContent-Transfer-Encoding: base64\n\naGVsbG8=\n\
         --a\nContent-Transfer-Encoding: quoted-printable (really)\n\nh=C3=A4\n\
         --a\nContent-Transfer-Encoding: 8bit\n\nx\n\
         --a\nContent-Transfer-Encoding: x-uuencode\n\nx\n\
         --a\nContent-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nU3ViamVjdDogeA==\n--a--\n",
    );
    let structure = check(&message);
    let get = |path: &[u32]| {
        let (range, mut decoder) = structure.binary(0, path.iter().copied())?;
        let mut out = Vec::new();
        decoder.push(slice(&message, &range), &mut out);
        decoder.finish(&mut out);
        Ok(out)
    };
    assert_eq!(get(&[1]), Ok(b"hello".to_vec()));
    assert_eq!(get(&[2]), Ok("h\u{e4}".as_bytes().to_vec()));
    assert_eq!(get(&[3]), Ok(b"x".to_vec()));
    assert_eq!(get(&[4]), Err(NoBinary::UnknownEncoding));
    assert_eq!(get(&[5]), Err(NoBinary::NotALeaf));
    // What could not be opened is a text with the encoding of the part.
    assert_eq!(get(&[5, 1]), Ok(b"Subject: x".to_vec()));
    assert_eq!(get(&[6]), Err(NoBinary::NoSuchPart));
    assert_eq!(get(&[]), Ok(message.clone()));
    assert_eq!(
        structure.binary(9, [1]).map(|(range, _)| range.start),
        structure.binary(0, [1]).map(|(range, _)| range.start + 9)
    );
}

#[test]
fn what_is_beyond_a_bound_is_opaque_text() {
    let depth = |part: Part<'_>| {
        let (mut depth, mut part) = (0, part);
        while let Some(inner) = part.parts().next().or_else(|| part.message()) {
            (depth, part) = (depth + 1, inner);
        }
        depth
    };
    let nested: String = (0..300)
        .map(|depth| format!("Content-Type: multipart/mixed; boundary=b{depth:03}\n\n--b{depth:03}\n"))
        .collect();
    let structure = check(&crlf(&nested));
    assert_eq!((structure.parts().count(), depth(structure.root())), (101, 100));
    let messages = "Content-Type: message/rfc822\n\n".repeat(300);
    let structure = check(&crlf(&messages));
    assert_eq!((structure.parts().count(), depth(structure.root())), (102, 101));

    let scanned = |message: &[u8]| {
        let structure = scan(message);
        partition(message, &structure);
        structure
    };
    let many =
        crlf(&format!("Content-Type: multipart/mixed; boundary=b\n\n{}x\n--b--\n", "--b\n\n".repeat(20_000)));
    assert_eq!(scanned(&many).parts().count(), 10_000);
    let digest =
        crlf(&format!("Content-Type: multipart/digest; boundary=b\n\n{}", "--b\n\n\n".repeat(20_000)));
    assert!((10_000..=10_001).contains(&scanned(&digest).parts().count()));

    for (length, parts) in [(256, 2), (257, 1)] {
        let boundary = "b".repeat(length);
        let message =
            crlf(&format!("Content-Type: multipart/mixed; boundary={boundary}\n\n--{boundary}\n\nx"));
        assert_eq!(check(&message).parts().count(), parts);
    }
    let subject = format!(
        "Subject: {}\r\nX-Other: {}\r\nTo: a@b\r\n\r\nbody",
        "s".repeat(200_000),
        "o".repeat(1_000_000)
    );
    let structure = scanned(subject.as_bytes());
    let envelope = structure.root().envelope().expect("it is a message");
    assert_eq!(envelope.subject().map(<[u8]>::len), Some(102_400 - 1), "the space in front counts");
    assert_eq!((envelope.to().count(), structure.root().body().end - structure.root().body().start), (1, 4));
    // All fields together: the tenth of 100 KiB, and no more.
    let part = format!("--b\r\nContent-Description: {}\r\n\r\n", "d".repeat(102_000));
    let message = format!("Content-Type: multipart/mixed; boundary=b\r\n\r\n{}", part.repeat(30));
    let structure = scanned(message.as_bytes());
    assert_eq!(structure.parts().filter(|part| part.description().is_some()).count(), 10);
    let mut octets = Vec::new();
    structure.encode(&mut octets);
    assert!(octets.len() > mailstore::mime::MAX_STORED && octets.len() < 1_100_000);
}

#[test]
fn parameter_bombs_are_read_in_one_go() {
    for bomb in [
        "; boundary*0*=".repeat(20_000),
        (0..5_000).map(|number| format!("; boundary*{number}=b")).collect(),
        "; x=\"".repeat(30_000),
        "(".repeat(100_000),
        ";".repeat(100_000),
        "; a=b".repeat(20_000),
        ";boundary=\"\\".repeat(10_000),
        format!("{}{} x", "; a=b (".repeat(14_000), ")".repeat(14_000)),
    ] {
        let message = format!("Content-Type: multipart/mixed{bomb}\r\nTo: {bomb}\r\n\r\nx");
        let structure = scan(message.as_bytes());
        assert!(structure.root().parameters().count() <= 50_000);
        assert!(structure.root().envelope().is_some_and(|envelope| envelope.to().count() <= 102_400));
    }
}

#[test]
fn octets_that_were_not_encoded_are_refused_or_lie_within_the_message() {
    let mut read = 0;
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let message = ambiguous(&mut random);
        let mut octets = Vec::new();
        scan(&message).encode(&mut octets);
        for _ in 0..200 {
            let mut octets = octets.clone();
            let at = random.below(octets.len() as u64) as usize;
            match random.below(4) {
                0 => octets.truncate(at),
                1 => octets[at] = random.next() as u8,
                2 => octets[at] ^= 1 << random.below(8),
                _ => octets.insert(at, random.next() as u8),
            }
            if let Some(structure) = Structure::decode(Bytes::from(octets), message.len() as u64) {
                read += 1;
                let mut next = 0;
                for (_, _, range) in structure.partition() {
                    assert_eq!(range.start, next);
                    next = range.end;
                }
                assert_eq!(next, message.len() as u64);
                assert!(structure.parts().all(|part| part.lines() <= part.body().end - part.body().start));
                shape(structure.root());
            }
        }
    }
    assert!(read > 1_000, "{read} were read at all");
}
