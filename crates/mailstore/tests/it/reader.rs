//! A reader of messages that is as plain as the RFCs allow: the whole message lies in memory, each octet may be looked at often.
//! It can be told to do single things as mail-parser does them, so that what tells mail-parser from us is known to the octet.

use core::fmt;
use core::ops::Range;
use std::collections::BTreeSet;

use mail_parser::{MimeHeaders as _, PartType};
use mailstore::mime::Encoding;
use mailstore::search::decode;
use memchr::{memchr, memmem};

use crate::oracle;

/// What mail-parser does otherwise than we do; `oracle_causes.tsv` has a verdict on each.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Quirk {
    /// Of fields of one name the last one counts.
    LastField,
    /// What single fields say is read as mail-parser does; `oracle_values.tsv` has a verdict on each such value.
    Value,
    /// A field in the last line of the message says nothing if that line has no end.
    UnendedValue,
    /// A CR that is in no line end, or a NUL, is no white space.
    ControlInValue,
    /// White space within the name of a field is read over, and so are colons in front of it.
    SpacedName,
    /// A line of white space that follows no field ends the header, and one that begins with white space may be a field.
    BlankLine,
    /// No delimiter is seen in a header.
    DelimiterInHeader,
    /// A header without an empty line behind it, at the end of the message, belongs to no part.
    UnendedHeader,
    /// A boundary with two hyphens counts wherever it stands in a line.
    WithinLine,
    /// Only delimiters of the innermost multipart are looked for.
    Innermost,
    /// What closes a multipart that has no parts begins its first one.
    CloseFirst,
    /// What follows a boundary in its line belongs to the header of the part.
    BehindBoundary,
    /// A message that is encoded is taken apart, and so is one whose encoding is not known.
    EncodedMessage,
    /// Of what follows a message that is all of another message, a part is lost.
    MessageInMessage,
    /// Base64 as mail-parser has it: left as it stands if it is not sound or not closed, and without digits that are too few.
    Base64,
    /// Quoted-printable as mail-parser has it: left as it stands if it is not closed, and with other line ends and spaces.
    QuotedPrintable,
    /// US-ASCII is Windows-1252.
    Ascii,
}

pub(crate) const QUIRKS: [Quirk; 17] = [
    Quirk::LastField,
    Quirk::Value,
    Quirk::UnendedValue,
    Quirk::ControlInValue,
    Quirk::SpacedName,
    Quirk::BlankLine,
    Quirk::DelimiterInHeader,
    Quirk::UnendedHeader,
    Quirk::WithinLine,
    Quirk::Innermost,
    Quirk::CloseFirst,
    Quirk::BehindBoundary,
    Quirk::EncodedMessage,
    Quirk::MessageInMessage,
    Quirk::Base64,
    Quirk::QuotedPrintable,
    Quirk::Ascii,
];

/// What a message is read as.
pub(crate) struct Reading {
    /// Its fields and parts, each on a line.
    pub(crate) text: String,
    /// Whether mail-parser forgets messages that it is within: the closing delimiter of a multipart stands behind a message in
    /// it that is all of another message. Then it panics, or makes parts that hold themselves, or loses all but the innermost.
    pub(crate) forgotten: bool,
    /// What mail-parser reads otherwise in single fields: the name, what it says, how we read that, and how mail-parser does.
    pub(crate) values: BTreeSet<[String; 4]>,
}

/// Reads a message, with these things as mail-parser does them.
pub(crate) fn read(message: &[u8], quirks: &[Quirk]) -> Reading {
    let mut reader = Reader::new(message, quirks);
    let (node, _) = reader.entity(true, true, false);
    let mut text = String::new();
    match node {
        Some(node) => node.print(true, &mut text),
        None => text.push_str("nothing\n"),
    }
    Reading { text, forgotten: reader.forgotten, values: reader.values }
}

struct Reader<'a> {
    data: &'a [u8],
    quirks: &'a [Quirk],
    at: usize,
    /// The boundaries of what is open, outermost first; empty for a message, and for a multipart that is closed.
    open: Vec<Vec<u8>>,
    forgotten: bool,
    values: BTreeSet<[String; 4]>,
}

/// What a part has become.
struct Node {
    /// What the header of a message says.
    fields: String,
    kind: String,
    body: Body,
}

enum Body {
    Leaf(Range<usize>, String),
    Multipart(Vec<Node>),
    Message(Box<Node>),
}

/// Where a delimiter stands, whose it is, and whether it closes.
#[derive(Clone, Copy)]
struct Found {
    start: usize,
    level: usize,
    close: bool,
}

/// What ends a part.
#[derive(Clone, Copy, PartialEq)]
enum Stop {
    End,
    Open(usize),
    Close(usize),
}

/// What ends a header.
#[derive(Clone, Copy, PartialEq)]
enum HeaderEnd {
    EmptyLine,
    Delimiter,
    End,
}

/// What Content-Type says.
#[derive(Clone, Default, Eq, PartialEq)]
struct Media {
    kind: String,
    boundary: Vec<u8>,
    charset: Vec<u8>,
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}; {}", self.kind, self.boundary.escape_ascii(), self.charset.escape_ascii())
    }
}

impl Node {
    fn print(&self, root: bool, out: &mut String) {
        if root {
            out.push_str(&self.fields);
        }
        match &self.body {
            Body::Leaf(range, text) => {
                out.push_str(&format!("{} {}..{} {text:?}\n", self.kind, range.start, range.end));
            }
            Body::Multipart(parts) => {
                out.push_str(&format!("{} of {}\n", self.kind, parts.len()));
                parts.iter().for_each(|part| part.print(false, out));
            }
            Body::Message(inner) => {
                out.push_str(&format!("{}\n", self.kind));
                inner.print(true, out);
            }
        }
    }
}

type Fields<'a> = Vec<(String, &'a [u8])>;

impl<'a> Reader<'a> {
    const fn new(data: &'a [u8], quirks: &'a [Quirk]) -> Self {
        Self { data, quirks, at: 0, open: Vec::new(), forgotten: false, values: BTreeSet::new() }
    }

    fn has(&self, quirk: Quirk) -> bool {
        self.quirks.contains(&quirk)
    }

    /// A part, from its header on: perhaps a message, perhaps directly within one.
    fn entity(&mut self, root: bool, within: bool, digest: bool) -> (Option<Node>, Stop) {
        let (fields, end) = self.header();
        if end == HeaderEnd::End
            && self.has(Quirk::UnendedHeader)
            && (!self.open.is_empty() || fields.is_empty())
        {
            return (None, Stop::End);
        }
        let last = self.has(Quirk::LastField);
        let pick = |name: &str| {
            let mut all = fields.iter().filter(|(known, _)| known == name).map(|(_, raw)| *raw);
            if last { all.next_back() } else { all.next() }
        };
        let media = pick("content-type").and_then(|raw| self.value("content-type", raw, media, their_media));
        let transfer = pick("content-transfer-encoding")
            .and_then(|raw| self.value("content-transfer-encoding", raw, transfer, their_transfer))
            .unwrap_or(Encoding::Identity);
        let mut envelope = String::new();
        for name in ["subject", "from", "to", "cc"].into_iter().filter(|_| root) {
            let (ours, theirs) =
                (|raw: &[u8]| oracle::field(name, raw), |raw: &[u8]| oracle::their_field(name, raw));
            let line = self.value(name, pick(name).unwrap_or(b"\n"), ours, theirs);
            envelope.extend(line.map(|line| line.0));
        }
        let default = if digest { "message/rfc822" } else { "text/plain" };
        let media = media.unwrap_or_else(|| Media { kind: default.to_owned(), ..Media::default() });
        let (body, kind) = (self.at, media.kind.clone());
        let node =
            |kind: &str, body: Body| Some(Node { fields: envelope.clone(), kind: kind.to_owned(), body });
        if end == HeaderEnd::End && self.has(Quirk::UnendedHeader) {
            let kind = if kind.starts_with("multipart/") { "text/plain" } else { &*kind };
            return (node(kind, Body::Leaf(body..body, String::new())), Stop::End);
        }
        if kind.starts_with("multipart/") {
            let mut search = body;
            if !media.boundary.is_empty() && end != HeaderEnd::Delimiter {
                let level = self.open.len();
                self.open.push(media.boundary.clone());
                let found = self.find(body).filter(|found| found.level == level);
                if let Some(found) = found.filter(|found| !found.close || self.has(Quirk::CloseFirst)) {
                    let (parts, stop) = self.parts(found, kind == "multipart/digest");
                    return (node(&kind, Body::Multipart(parts)), stop);
                }
                self.open.pop();
                if let Some(found) = found {
                    search = self.line_end(found.start);
                }
            }
            // Without a part it is one.
            let (leaf, stop) = self.leaf("text/plain", b"", transfer, body, search);
            return (node("text/plain", leaf), stop);
        }
        if kind == "message/rfc822" || kind == "message/global" {
            let (message, stop) = self.message(transfer, within);
            return (node(&kind, message), stop);
        }
        let (leaf, stop) = self.leaf(&kind, &media.charset, transfer, body, body);
        (node(&kind, leaf), stop)
    }

    /// The body of a part that is a message, perhaps directly within one.
    fn message(&mut self, transfer: Encoding, within: bool) -> (Body, Stop) {
        let body = self.at;
        let taken_apart = self.has(Quirk::EncodedMessage);
        if transfer == Encoding::Identity || transfer == Encoding::Unknown && taken_apart {
            self.open.push(Vec::new());
            let (inner, stop) = self.entity(true, true, false);
            self.open.pop();
            let stop = if within { self.lose(stop) } else { stop };
            let body = inner.map_or_else(|| self.headless(body), |inner| Body::Message(Box::new(inner)));
            return (body, stop);
        }
        if !taken_apart {
            let (body, stop) = self.leaf("text/plain", b"", transfer, body, body);
            let fields = ["subject", "from", "to", "cc"];
            let fields = fields.map(|name| oracle::field(name, b"\n").expect("a line").0).concat();
            return (Body::Message(Box::new(Node { fields, kind: "text/plain".to_owned(), body })), stop);
        }
        let (range, raw, stop) = self.body(body, body);
        let Some(octets) = self.their_octets(transfer, &raw, stop) else {
            let text = String::from_utf8_lossy(&self.data[range.clone()]).into_owned();
            return (Body::Leaf(range, text), stop);
        };
        let mut nested = Reader::new(&octets, self.quirks);
        let inner = nested.entity(true, true, false).0;
        self.forgotten |= nested.forgotten;
        self.values.extend(nested.values);
        let text = String::from_utf8_lossy(&octets).into_owned();
        (inner.map_or(Body::Leaf(range, text), |inner| Body::Message(Box::new(inner))), stop)
    }

    /// What a field says, read by us or by mail-parser.
    fn value<T: fmt::Debug + PartialEq>(
        &mut self,
        name: &str,
        raw: &[u8],
        ours: impl Fn(&[u8]) -> Option<T>,
        theirs: impl Fn(&[u8]) -> Option<T>,
    ) -> Option<T> {
        if !self.has(Quirk::Value) {
            return ours(raw);
        }
        let whole = if raw.ends_with(b"\n") { raw.to_vec() } else { [raw, b"\n"].concat() };
        let mut plain = whole.clone();
        for at in 0..plain.len() {
            if plain[at] == 0 || plain[at] == b'\r' && plain[at + 1] != b'\n' {
                plain[at] = b' ';
            }
        }
        if self.quirks.len() == QUIRKS.len() {
            let (one, other) = (ours(&plain), theirs(&plain));
            if one != other {
                let value = unfolded(&plain).escape_ascii().to_string();
                let show =
                    |read: Option<T>| read.map_or_else(|| "nothing".to_owned(), |read| format!("{read:?}"));
                self.values.insert([name.to_owned(), value, show(one), show(other)]);
            }
        }
        match (self.has(Quirk::UnendedValue), self.has(Quirk::ControlInValue)) {
            (true, _) if raw.len() < whole.len() => theirs(raw),
            (_, true) => theirs(&whole),
            (_, false) => theirs(&plain),
        }
    }

    /// What ends a message that is all there is of another one: mail-parser loses the part behind it.
    fn lose(&mut self, mut stop: Stop) -> Stop {
        if self.has(Quirk::MessageInMessage) {
            if let Stop::Open(_) = stop {
                stop = self.entity(false, true, false).1;
            }
            self.forgotten |= matches!(stop, Stop::Close(_));
        }
        stop
    }

    /// The parts of a multipart, whose boundary is the last that is open, from its first delimiter on.
    fn parts(&mut self, first: Found, digest: bool) -> (Vec<Node>, Stop) {
        let level = first.level;
        let mut parts = Vec::new();
        if self.has(Quirk::BehindBoundary) {
            self.at = first.start + 2 + self.open[level].len();
            self.skip_line_end();
        } else {
            self.at = self.line_end(first.start);
        }
        let mut stop = loop {
            let (part, stop) = self.entity(false, false, digest);
            parts.extend(part);
            if stop != Stop::Open(level) {
                break stop;
            }
        };
        if stop == Stop::Close(level) {
            // RFC 2046 §5.1.1: what is behind it is an epilogue.
            self.open[level].clear();
            stop = self.body(self.at, self.at).2;
        }
        self.open.truncate(level);
        (parts, stop)
    }

    /// Reads over a header, and gives its fields by their names in lower case, each with what follows its colon.
    fn header(&mut self) -> (Fields<'a>, HeaderEnd) {
        let (data, mut begin) = (self.data, self.at);
        let mut fields: Fields<'a> = Vec::new();
        loop {
            let start = self.at;
            let mut end = self.line_end(start);
            if start == end {
                return (fields, HeaderEnd::End);
            }
            if !self.has(Quirk::DelimiterInHeader)
                && let Some(found) = self.delimiter(start)
            {
                // RFC 2046 §5.1.1: a line end of its own stands in front of each delimiter.
                if !found.close && found.level + 1 == self.open.len() && start == begin {
                    begin = end;
                    self.at = end;
                    continue;
                }
                return (fields, HeaderEnd::Delimiter);
            }
            let mut from = start;
            if self.has(Quirk::BlankLine) {
                from += data[start..end]
                    .iter()
                    .take_while(|octet| octet.is_ascii_whitespace() && **octet != b'\n')
                    .count();
                if from == data.len() {
                    self.at = from;
                    return (fields, HeaderEnd::End);
                }
            }
            if matches!(&data[from..end], b"\n" | b"\r\n") {
                self.at = end;
                return (fields, HeaderEnd::EmptyLine);
            }
            // RFC 5322 §2.2.3: lines that begin with white space belong to the field in front of them.
            let line = from..end;
            let name = field_name(&data[line.clone()], self.has(Quirk::SpacedName));
            if name.is_some() || !self.has(Quirk::BlankLine) {
                while let Some(b' ' | b'\t') = data.get(end).filter(|_| data[end - 1] == b'\n') {
                    end = self.line_end(end);
                }
            }
            if let Some((name, value)) = name {
                fields.push((name, &data[line.start + value..end]));
            }
            self.at = end;
        }
    }

    /// What is behind the line that this octet stands in.
    fn line_end(&self, at: usize) -> usize {
        memchr(b'\n', &self.data[at..]).map_or(self.data.len(), |end| at + end + 1)
    }

    /// The delimiter that stands here.
    fn delimiter(&self, start: usize) -> Option<Found> {
        let rest = self.data[start..].strip_prefix(b"--")?;
        let mut open = self.open.iter().enumerate().filter(|(_, boundary)| !boundary.is_empty());
        let (level, boundary) = if self.has(Quirk::Innermost) {
            open.next_back().filter(|(_, boundary)| rest.starts_with(boundary))
        } else {
            // RFC 2046 §5.1.1: the longest, and of those the innermost.
            open.filter(|(_, boundary)| rest.starts_with(boundary))
                .max_by_key(|(level, boundary)| (boundary.len(), *level))
        }?;
        Some(Found { start, level, close: rest[boundary.len()..].starts_with(b"--") })
    }

    /// The next delimiter.
    fn find(&self, mut from: usize) -> Option<Found> {
        loop {
            let at = from + memmem::find(&self.data[from..], b"--")?;
            let found = self.delimiter(at);
            if found.is_some() && (self.has(Quirk::WithinLine) || at == 0 || self.data[at - 1] == b'\n') {
                return found;
            }
            from = at + 1;
        }
    }

    /// What comes up to the next delimiter: where it lies, what it is with the line end in front of the delimiter, and what ends it.
    fn body(&mut self, body: usize, search: usize) -> (Range<usize>, Vec<u8>, Stop) {
        let Some(found) = self.find(search) else {
            self.at = self.data.len();
            return (body..self.at, self.data[body..].to_vec(), Stop::End);
        };
        let raw = self.data[body..found.start].to_vec();
        // RFC 2046 §5.1.1: the line end in front of a delimiter belongs to it.
        let text = raw.strip_suffix(b"\n").map_or(&raw[..], |text| text.strip_suffix(b"\r").unwrap_or(text));
        let range = body..body + text.len();
        if self.has(Quirk::BehindBoundary) {
            self.at = found.start + 2 + self.open[found.level].len() + if found.close { 2 } else { 0 };
            if !found.close && self.data.get(self.at).is_some_and(u8::is_ascii_whitespace) {
                let line = self.data[self.at] == b'\n';
                self.at += 1;
                if !line {
                    self.skip_line_end();
                }
            }
        } else {
            self.at = self.line_end(found.start);
        }
        let stop = if found.close { Stop::Close(found.level) } else { Stop::Open(found.level) };
        (range, raw, stop)
    }

    /// As mail-parser does behind a boundary.
    fn skip_line_end(&mut self) {
        while let Some(octet) = self.data.get(self.at).filter(|octet| b" \t\r\n".contains(octet)) {
            self.at += 1;
            if *octet == b'\n' {
                return;
            }
        }
    }

    /// A part that is not taken apart, with its text.
    fn leaf(
        &mut self,
        kind: &str,
        charset: &[u8],
        transfer: Encoding,
        body: usize,
        search: usize,
    ) -> (Body, Stop) {
        let (range, raw, stop) = self.body(body, search);
        let mut octets = self.data[range.clone()].to_vec();
        match transfer {
            Encoding::Base64 if self.has(Quirk::Base64) => {
                octets = self.their_octets(transfer, &raw, stop).unwrap_or(octets);
            }
            Encoding::QuotedPrintable if self.has(Quirk::QuotedPrintable) => {
                octets = self.their_octets(transfer, &raw, stop).unwrap_or(octets);
            }
            _ => {
                octets = match transfer {
                    Encoding::Base64 => base64(&octets),
                    Encoding::QuotedPrintable => quoted_printable(&octets),
                    _ => octets,
                };
            }
        }
        let mut text = String::from_utf8_lossy(&octets).into_owned();
        if kind.starts_with("text/") {
            let ascii = charset.eq_ignore_ascii_case(b"us-ascii") && self.has(Quirk::Ascii);
            let charset = if ascii { b"windows-1252" } else { charset };
            text = decode(charset, &octets).unwrap_or(text);
        }
        (Body::Leaf(range, text), stop)
    }

    /// A message that ends in its header, as mail-parser has it.
    fn headless(&self, body: usize) -> Body {
        let raw = &self.data[body..];
        let text = core::str::from_utf8(raw).ok().and_then(|text| {
            let boundary = self.open.iter().rfind(|boundary| !boundary.is_empty())?;
            let (text, _) = text.rsplit_once(core::str::from_utf8(boundary).ok()?)?;
            let text = text.strip_suffix("--")?;
            let text = text.strip_suffix('\n').unwrap_or(text);
            Some(text.strip_suffix('\r').unwrap_or(text).to_owned())
        });
        Body::Leaf(body..self.data.len(), text.unwrap_or_else(|| String::from_utf8_lossy(raw).into_owned()))
    }

    /// What mail-parser makes of octets that are encoded. `None` where it leaves them.
    fn their_octets(&self, transfer: Encoding, raw: &[u8], stop: Stop) -> Option<Vec<u8>> {
        let boundary = "=_a_boundary_that_is_nowhere_else_";
        let nested = self.open.iter().any(|boundary| !boundary.is_empty());
        let name = if transfer == Encoding::Base64 { "base64" } else { "quoted-printable" };
        let mut message = Vec::new();
        if nested {
            message.extend(
                format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\n\n--{boundary}\n").bytes(),
            );
        }
        message.extend(format!("Content-Type: application/x\nContent-Transfer-Encoding: {name}\n\n").bytes());
        message.extend(raw);
        if nested && stop != Stop::End {
            message.extend(format!("--{boundary}--").bytes());
        }
        let parsed = oracle::parser().parse(&message)?;
        match &parsed.parts.last()?.body {
            PartType::Binary(octets) | PartType::InlineBinary(octets) => Some(octets.to_vec()),
            _ => None,
        }
    }
}

/// RFC 2045 §6.8: what is none is read over. Where encoded pieces were put together, it goes on behind the end of one.
fn base64(octets: &[u8]) -> Vec<u8> {
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::new();
    for piece in octets.split(|octet| *octet == b'=') {
        let values: Vec<u32> = piece
            .iter()
            .filter_map(|octet| digits.iter().position(|digit| digit == octet))
            .map(|at| at as u32)
            .collect();
        for four in values.chunks(4) {
            let bits = four.iter().fold(0, |bits, value| bits << 6 | value) << (6 * (4 - four.len()));
            text.extend(&bits.to_be_bytes()[1..four.len().max(1)]);
        }
    }
    text
}

/// RFC 2045 §6.7: what is none stands for itself.
fn quoted_printable(octets: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let inner = line.strip_suffix(b"\n").unwrap_or(line);
        let inner = inner.strip_suffix(b"\r").unwrap_or(inner);
        let end = &line[inner.len()..];
        let spaces = inner.iter().rev().take_while(|octet| matches!(octet, b' ' | b'\t')).count();
        let inner = &inner[..inner.len() - spaces];
        let (mut rest, end) = inner.strip_suffix(b"=").map_or((inner, end), |inner| (inner, &b""[..]));
        while let [octet, behind @ ..] = rest {
            let hex = |octet: u8| char::from(octet).to_digit(16);
            match behind {
                [high, low, behind @ ..] if *octet == b'=' && hex(*high).is_some() && hex(*low).is_some() => {
                    text.extend(hex(*high).zip(hex(*low)).map(|(high, low)| (high << 4 | low) as u8));
                    rest = behind;
                }
                _ => {
                    text.push(*octet);
                    rest = behind;
                }
            }
        }
        text.extend(end);
    }
    text
}

/// The name of a field in lower case, and where what it says begins.
fn field_name(line: &[u8], theirs: bool) -> Option<(String, usize)> {
    if theirs {
        // Up to a colon that has something in front of it, wherever there is white space.
        let blank = |octet: &&u8| octet.is_ascii_whitespace() && **octet != b'\n';
        let begin = line.iter().take_while(|octet| **octet == b':' || blank(octet)).count();
        let name = line[begin..].iter().take_while(|octet| !matches!(octet, b':' | b'\n'));
        let name: Vec<u8> = name.copied().collect();
        let end = begin + name.len();
        let value = match line.get(end) {
            Some(b':') => end + 1,
            None if !name.is_empty() => end,
            _ => return None,
        };
        let name = name.into_iter().filter(|octet| !octet.is_ascii_whitespace()).collect::<Vec<_>>();
        return Some((String::from_utf8_lossy(&name).to_ascii_lowercase(), value));
    }
    let colon = line.iter().position(|octet| *octet == b':')?;
    // RFC 5322 §4.5: white space may stand in front of the colon.
    let name = line[..colon].trim_ascii_end();
    let valid = !name.is_empty() && name.iter().all(|octet| *octet > b' ' && *octet != 0x7f);
    valid.then(|| (String::from_utf8_lossy(name).to_ascii_lowercase(), colon + 1))
}

/// A field on its own, with what follows its colon.
pub(crate) fn alone(name: &str, raw: &[u8]) -> Vec<u8> {
    // What the message ends in has no line end here either.
    let end: &[u8] = if raw.ends_with(b"\n") { b"\n" } else { b"" };
    [name.as_bytes(), b":", raw, end].concat()
}

fn their_media(raw: &[u8]) -> Option<Media> {
    let message = alone("Content-Type", raw);
    let message = oracle::parser().parse(&message)?;
    let kind = message.content_type()?;
    let attribute = |name| kind.attribute(name).unwrap_or_default().as_bytes().to_vec();
    Some(Media {
        kind: format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()).to_lowercase(),
        boundary: attribute("boundary"),
        charset: attribute("charset"),
    })
}

fn their_transfer(raw: &[u8]) -> Option<Encoding> {
    let message = alone("Content-Transfer-Encoding", raw);
    let message = oracle::parser().parse(&message)?;
    match &*message.content_transfer_encoding()?.to_ascii_lowercase() {
        "base64" => Some(Encoding::Base64),
        "quoted-printable" => Some(Encoding::QuotedPrintable),
        _ => None,
    }
}

/// Without its line ends.
fn unfolded(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::new();
    for line in raw.split_inclusive(|octet| *octet == b'\n') {
        value.extend(line.strip_suffix(b"\n").map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line)));
    }
    value.iter_mut().filter(|octet| matches!(octet, b'\r' | 0)).for_each(|octet| *octet = b' ');
    value.trim_ascii().to_vec()
}

fn transfer(raw: &[u8]) -> Option<Encoding> {
    // RFC 2045 §6.1 has a token; a comment may follow it. Some write it in quotes.
    let value = unfolded(raw);
    let mut words = Words(&value);
    match &*words.word().unwrap_or_default().to_ascii_lowercase() {
        b"" | b"7bit" | b"8bit" | b"binary" => None,
        b"base64" => Some(Encoding::Base64),
        b"quoted-printable" => Some(Encoding::QuotedPrintable),
        _ => Some(Encoding::Unknown),
    }
}

fn media(raw: &[u8]) -> Option<Media> {
    let value = unfolded(raw);
    let mut words = Words(&value);
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).to_lowercase();
    let (first, slash, second) = (words.token()?, words.special(b'/'), words.token());
    // RFC 2045 §5.2: what is not valid is text/plain.
    let kind = format!("{}/{}", text(first), text(second.filter(|_| slash)?));
    let mut media = Media { kind, ..Media::default() };
    let (mut boundary, mut charset) = (None, None);
    while words.next_parameter() {
        let Some(name) = words.token() else { continue };
        if !words.special(b'=') {
            continue;
        }
        let value = words.value(name.eq_ignore_ascii_case(b"boundary"));
        match &*name.to_ascii_lowercase() {
            b"boundary" if boundary.is_none() => boundary = Some(value),
            b"charset" if charset.is_none() => charset = Some(value),
            _ => {}
        }
    }
    // RFC 2046 §5.1.1: a boundary does not end with white space.
    media.boundary = boundary.unwrap_or_default().trim_ascii_end().to_vec();
    media.charset = charset.unwrap_or_default();
    Some(media)
}

/// RFC 2045 §5.1: tokens and quoted strings, with white space and comments between them.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn skip(&mut self) {
        loop {
            self.0 = self.0.trim_ascii_start();
            let (mut depth, mut at) = (0, 0);
            while let Some(octet) = self.0.get(at) {
                match octet {
                    b'(' => depth += 1,
                    b')' if depth > 0 => depth -= 1,
                    b'\\' if depth > 0 => at += 1,
                    _ => {}
                }
                if depth == 0 && *octet != b')' {
                    break;
                }
                at += 1;
                if depth == 0 {
                    break;
                }
            }
            if at == 0 {
                return;
            }
            self.0 = self.0.get(at..).unwrap_or_default();
        }
    }

    fn token(&mut self) -> Option<&'a [u8]> {
        self.skip();
        let of = |octet: &u8| *octet > b' ' && *octet != 0x7f && !b"()<>@,;:\\\"/[]?=".contains(octet);
        let (token, rest) = self.0.split_at(self.0.iter().take_while(|octet| of(octet)).count());
        self.0 = rest;
        Some(token).filter(|token| !token.is_empty())
    }

    fn special(&mut self, wanted: u8) -> bool {
        self.skip();
        let rest = self.0.strip_prefix(&[wanted]);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn quoted(&mut self) -> Option<Vec<u8>> {
        self.skip();
        let mut octets = self.0.strip_prefix(b"\"")?.iter();
        let mut text = Vec::new();
        while let Some(octet) = octets.next() {
            match octet {
                b'"' => break,
                b'\\' => text.extend(octets.next()),
                octet => text.push(*octet),
            }
        }
        self.0 = octets.as_slice();
        Some(text)
    }

    fn word(&mut self) -> Option<Vec<u8>> {
        self.quoted().or_else(|| self.token().map(<[u8]>::to_vec))
    }

    /// What a parameter says. What is more than a token goes up to white space, or to the semicolon.
    fn value(&mut self, one_word: bool) -> Vec<u8> {
        if let Some(text) = self.quoted() {
            return text;
        }
        let whole = self.0;
        let token = self.token().unwrap_or_default();
        self.skip();
        if matches!(self.0.first(), None | Some(b';')) {
            return token.to_vec();
        }
        self.0 = &self.0[self.0.iter().take_while(|octet| **octet != b';').count()..];
        let value = whole[..whole.len() - self.0.len()].trim_ascii();
        value.split(|octet| one_word && octet.is_ascii_whitespace()).next().unwrap_or_default().to_vec()
    }

    /// Goes behind the next semicolon.
    fn next_parameter(&mut self) -> bool {
        loop {
            if self.special(b';') {
                return true;
            }
            if self.quoted().is_none() {
                let Some((_, rest)) = self.0.split_first() else { return false };
                self.0 = rest;
            }
        }
    }
}
