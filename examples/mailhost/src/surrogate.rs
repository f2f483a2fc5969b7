//! What a client gets that takes no header in UTF-8.
//!
//! A *surrogate* ([RFC 6858](https://www.rfc-editor.org/rfc/rfc6858)) says in ASCII what the header of a message says in more than that.
//! Bodies are not touched: 8-bit octets in them are as old as MIME. In detail, and where it keeps more than RFC 6858 asks for:
//!
//! | field | |
//! |---|---|
//! | of addresses | names become encoded words; an address that is not ASCII itself is replaced by one that belongs to nobody |
//! | Subject, Comments, Content-Description | encoded words |
//! | parameters of Content-Type and Content-Disposition | are encoded as RFC 2231 has it, or else an attachment would lose its name |
//! | any other | is left out |
//!
//! What is not UTF-8 is marked as `unknown-8bit`.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailstore::mime::{Address, Scanner, Structure};

/// Makes the surrogate of a message while its octets go by in any pieces.
///
/// It holds one field at a time, and of that 64 KiB at most.
#[derive(Debug)]
pub struct Surrogate {
    /// Where headers lie that have not gone by, the next one last.
    headers: Vec<Range<u64>>,
    at: u64,
    /// The beginning of a field whose end has not come.
    held: Vec<u8>,
    /// Its last line has; a next one might go on with it.
    line_ended: bool,
    /// It is longer than any that is held.
    too_long: bool,
}

impl Surrogate {
    /// For a message of this structure, whose first `prefix` octets are fields that the structure does not know of.
    pub fn new(structure: &Structure, prefix: u64) -> Self {
        let headers = structure.parts().map(|part| part.header());
        let mut headers: Vec<_> = headers.map(|range| range.start + prefix..range.end + prefix).collect();
        if let Some(first) = headers.first_mut() {
            first.start = 0;
        }
        headers.reverse();
        Self { headers, at: 0, held: Vec::new(), line_ended: false, too_long: false }
    }

    /// Takes the next octets of the message, and gives those of the surrogate to `put`.
    pub fn push(&mut self, mut octets: &[u8], mut put: impl FnMut(&[u8])) {
        while !octets.is_empty() {
            let Some(header) = self.headers.last() else { return put(octets) };
            let (within, border) =
                if self.at < header.start { (false, header.start) } else { (true, header.end) };
            let left = usize::try_from(border - self.at).unwrap_or(usize::MAX).min(octets.len());
            let (piece, rest) = octets.split_at(left);
            octets = rest;
            self.at += left as u64;
            if within {
                self.header(piece, &mut put);
            } else {
                put(piece);
            }
            if within && self.at >= border {
                self.field_ended(&mut put);
                self.headers.pop();
            }
        }
    }

    /// What is still held at the end of the message.
    pub fn finish(mut self, mut put: impl FnMut(&[u8])) {
        self.field_ended(&mut put);
    }

    fn header(&mut self, mut piece: &[u8], put: &mut impl FnMut(&[u8])) {
        while let Some(&first) = piece.first() {
            // RFC 5322 §2.2.3: a line that begins with white space goes on.
            if self.line_ended && !matches!(first, b' ' | b'\t') {
                self.field_ended(put);
            }
            let end = memchr::memchr(b'\n', piece).map(|at| at + 1);
            let (line, rest) = piece.split_at(end.unwrap_or(piece.len()));
            (piece, self.line_ended) = (rest, end.is_some());
            self.held.extend_from_slice(line);
            if self.too_long || self.held.len() > MAX_FIELD {
                self.too_long = true;
                put(&marked(&self.held));
                self.held.clear();
            }
        }
    }

    fn field_ended(&mut self, put: &mut impl FnMut(&[u8])) {
        (self.line_ended, self.too_long) = (false, false);
        if self.held.is_ascii() {
            put(&self.held);
        } else if let Some(field) = field(&self.held) {
            put(&field);
        }
        self.held.clear();
    }
}

/// What nobody decodes any more.
fn marked(octets: &[u8]) -> Vec<u8> {
    octets.iter().map(|octet| if octet.is_ascii() { *octet } else { b'?' }).collect()
}

/// A field in ASCII, line ends included; `None` if it has to be left out.
fn field(field: &[u8]) -> Option<Vec<u8>> {
    let colon = memchr::memchr(b':', field)?;
    let (name, value) = (field[..colon].trim_ascii_end(), &field[colon + 1..]);
    let is = |names: &[&str]| names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()));
    let value = if is(&ADDRESSES) {
        addresses(name, value)
    } else if is(&TEXTS) {
        text(name, value)
    } else if is(&PARAMETERS) {
        parameters(value)?
    } else {
        return None;
    };
    Some([name, b":", value.as_bytes(), b"\r\n"].concat())
}

/// Unstructured text: words that are not ASCII become encoded words, with the space between them.
fn text(name: &[u8], value: &[u8]) -> String {
    let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let mut line = Line::behind(name);
    let mut run = Vec::new();
    for word in words {
        if word.is_ascii() {
            line.encoded(&run);
            run.clear();
            line.plain(&String::from_utf8_lossy(word));
        } else {
            if !run.is_empty() {
                run.push(b' ');
            }
            run.extend_from_slice(word);
        }
    }
    line.encoded(&run);
    line.text
}

/// Addresses, in the order in which they stand.
fn addresses(name: &[u8], value: &[u8]) -> String {
    // One scanner reads every field of addresses alike.
    let mut scanner = Scanner::new();
    scanner.push(b"From:");
    scanner.push(value);
    scanner.push(b"\r\n");
    let structure = scanner.finish();
    let envelope = structure.root().envelope();
    let mut line = Line::behind(name);
    let mut separator = "";
    for address in envelope.iter().flat_map(|envelope| envelope.from()) {
        match &address {
            Address { mailbox: None, .. } => {
                line.glue(";");
                separator = ",";
            }
            Address { host: None, mailbox: Some(group), .. } => {
                line.glue(separator);
                line.phrase(group);
                line.glue(":");
                separator = "";
            }
            Address { host: Some(host), mailbox: Some(mailbox), name, .. } => {
                line.glue(separator);
                separator = ",";
                let name = name.as_deref().filter(|name| !name.is_empty());
                if host.is_ascii() && mailbox.is_ascii() {
                    let local = quoted_unless(mailbox, |octet| is_atext(octet) || octet == b'.');
                    let at = if host.is_empty() { "" } else { "@" };
                    let address = format!("{local}{at}{}", String::from_utf8_lossy(host));
                    if let Some(name) = name {
                        line.phrase(name);
                        line.plain(&format!("<{address}>"));
                    } else {
                        line.plain(&address);
                    }
                } else {
                    // RFC 6858 §2.1: the name says what has happened, the address is nobody's.
                    let whole = [mailbox, &b"@"[..], host].concat();
                    line.phrase(name.unwrap_or(&whole));
                    line.plain("<invalid@internationalized-address.invalid>");
                }
            }
        }
    }
    line.text
}

/// A value with parameters; `None` if the value itself is not ASCII.
fn parameters(value: &[u8]) -> Option<String> {
    let mut pieces = pieces(value).into_iter();
    let first = pieces.next().filter(|first| first.is_ascii())?;
    let mut text = String::from_utf8_lossy(first.trim_ascii_end()).into_owned();
    for piece in pieces {
        if piece.is_ascii() {
            text.push(';');
            text.push_str(&String::from_utf8_lossy(piece.trim_ascii_end()));
        } else if let Some(parameter) = parameter(piece) {
            text.push_str(";\r\n ");
            text.push_str(&parameter);
        }
    }
    Some(text)
}

/// What stands between semicolons that are neither in quotes nor in a comment.
fn pieces(value: &[u8]) -> Vec<&[u8]> {
    let (mut pieces, mut from, mut at) = (Vec::new(), 0, 0);
    let (mut quoted, mut depth) = (false, 0_usize);
    while let Some(&octet) = value.get(at) {
        match octet {
            b'\\' if quoted || depth > 0 => at += 1,
            b'"' if depth == 0 => quoted = !quoted,
            b'(' if !quoted => depth += 1,
            b')' if !quoted => depth = depth.saturating_sub(1),
            b';' if !quoted && depth == 0 => {
                pieces.push(&value[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    pieces.push(&value[from..]);
    pieces
}

/// A parameter as RFC 2231 §4 has it; `None` if it cannot be had.
fn parameter(piece: &[u8]) -> Option<String> {
    let at = memchr::memchr(b'=', piece)?;
    let (name, value) = (piece[..at].trim_ascii(), piece[at + 1..].trim_ascii());
    if name.is_empty() || !name.iter().all(|octet| is_atext(*octet) && !matches!(octet, b'*' | b'\'' | b'%'))
    {
        return None;
    }
    let value = match value {
        [b'"', quoted @ ..] => unquoted(quoted),
        token => token.to_vec(),
    };
    if value.len() > MAX_PARAMETER {
        return None;
    }
    let mut text = format!("{}*={}''", String::from_utf8_lossy(name), charset(&value));
    for octet in value {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_') {
            text.push(char::from(octet));
        } else {
            text.push_str(&format!("%{octet:02X}"));
        }
    }
    Some(text)
}

/// What stands in quotes, from behind the first one, without line ends.
fn unquoted(quoted: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(quoted.len());
    let mut octets = quoted.iter().copied();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => break,
            b'\\' => text.extend(octets.next()),
            b'\r' | b'\n' => {}
            octet => text.push(octet),
        }
    }
    text
}

fn charset(octets: &[u8]) -> &'static str {
    // RFC 1428 §3 has a name for what has none.
    if str::from_utf8(octets).is_ok() { "utf-8" } else { "unknown-8bit" }
}

fn quoted_unless(text: &[u8], plain: impl Fn(u8) -> bool) -> String {
    let text = String::from_utf8_lossy(text);
    if !text.is_empty() && text.bytes().all(plain) {
        return text.into_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted + "\""
}

fn is_atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet)
}

/// What stands behind a colon, folded before it gets too long.
struct Line {
    text: String,
    /// The octets of the last line.
    column: usize,
}

impl Line {
    const fn behind(name: &[u8]) -> Self {
        Self { text: String::new(), column: name.len() + 1 }
    }

    /// A word with a space in front of it.
    fn plain(&mut self, word: &str) {
        // RFC 2047 §2: a line with an encoded word is no longer than 76 characters.
        if self.column > 0 && self.column + 1 + word.len() > 76 {
            self.text.push_str("\r\n");
            self.column = 0;
        }
        self.text.push(' ');
        self.text.push_str(word);
        self.column += 1 + word.len();
    }

    /// Something that no space parts from what is before it.
    fn glue(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.len();
    }

    /// The name of somebody.
    fn phrase(&mut self, name: &[u8]) {
        if name.is_ascii() {
            self.plain(&quoted_unless(name, |octet| is_atext(octet) || octet == b' '));
        } else {
            self.encoded(name);
        }
    }

    /// Encoded words, between which a reader sees no space.
    fn encoded(&mut self, octets: &[u8]) {
        let (text, charset) = (str::from_utf8(octets).ok(), charset(octets));
        let mut at = 0;
        while at < octets.len() {
            let mut end = octets.len().min(at + MAX_WORD);
            // RFC 2047 §5: no character is torn apart.
            while text.is_some_and(|text| !text.is_char_boundary(end)) {
                end -= 1;
            }
            self.plain(&format!("=?{charset}?B?{}?=", STANDARD.encode(&octets[at..end])));
            at = end;
        }
    }
}

/// RFC 6858 §2.1.
const ADDRESSES: [&str; 12] = [
    "Bcc",
    "Cc",
    "From",
    "Reply-To",
    "Resent-Bcc",
    "Resent-Cc",
    "Resent-From",
    "Resent-Sender",
    "Resent-To",
    "Return-Path",
    "Sender",
    "To",
];
const TEXTS: [&str; 3] = ["Subject", "Comments", "Content-Description"];
const PARAMETERS: [&str; 2] = ["Content-Type", "Content-Disposition"];
/// What is longer is no field that a person has written.
const MAX_FIELD: usize = 64 << 10;
/// Encoded, it is a line that may be sent still.
const MAX_PARAMETER: usize = 250;
/// An encoded word has 75 characters at most.
const MAX_WORD: usize = 42;

#[cfg(test)]
mod tests {
    use super::*;

    /// The surrogate of a message behind a prefix, which does not depend on the pieces that it comes in.
    fn surrogate(prefix: &str, message: &[u8]) -> String {
        let mut scanner = Scanner::new();
        scanner.push(message);
        let structure = scanner.finish();
        let whole = [prefix.as_bytes(), message].concat();
        let of = |step: usize| {
            let (mut surrogate, mut out) = (Surrogate::new(&structure, prefix.len() as u64), Vec::new());
            for piece in whole.chunks(step) {
                surrogate.push(piece, |octets| out.extend_from_slice(octets));
            }
            surrogate.finish(|octets| out.extend_from_slice(octets));
            out
        };
        let first = of(usize::MAX);
        for step in [1, 2, 3, 5, 64] {
            assert_eq!(of(step), first, "in steps of {step}");
        }
        String::from_utf8(first).expect("as much UTF-8 as the body")
    }

    fn header(field: &str) -> String {
        surrogate("", format!("{field}\r\n\r\n").as_bytes())
            .strip_suffix("\r\n")
            .expect("an empty line")
            .to_owned()
    }

    #[test]
    fn messages_in_ascii_are_their_own_surrogates() {
        for message in [
            "",
            "\r\n",
            "no header\r\n",
            "A: b\r\n c\r\n\t d\r\nSubject:\r\n\r\nbody\r\n",
            "Subject: no end",
            "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nA: b\r\n\r\none\r\n--x\r\n\r\ntwo\r\n--x--\r\n",
        ] {
            assert_eq!(surrogate("", message.as_bytes()), message);
            let prefix = "Return-Path: <>\r\n";
            assert_eq!(surrogate(prefix, message.as_bytes()), format!("{prefix}{message}"));
        }
    }

    #[test]
    fn bodies_are_left_alone() {
        let message = "Content-Type: multipart/mixed; boundary=x\r\n\r\nSubject: \u{fc}\r\n--x\r\n\r\nX-\u{fc}: \u{fc}\r\n--x--\r\n";
        assert_eq!(surrogate("", message.as_bytes()), message);
    }

    #[test]
    fn subjects_become_encoded_words() {
        for (subject, expected) in [
            ("Gr\u{fc}\u{df}e", "=?utf-8?B?R3LDvMOfZQ==?="),
            ("a \u{fc}\r\n \u{fc} b", "a =?utf-8?B?w7wgw7w=?= b"),
            ("=?utf-8?Q?=C3=BC?= \u{fc}", "=?utf-8?Q?=C3=BC?= =?utf-8?B?w7w=?="),
        ] {
            assert_eq!(header(&format!("Subject:{subject}")), format!("Subject: {expected}\r\n"));
        }
        let latin = surrogate("", b"SUBJECT : na\xefve\r\n\r\n\r\n");
        assert_eq!(latin, "SUBJECT: =?unknown-8bit?B?bmHvdmU=?=\r\n\r\n\r\n");
        let long = header(&format!("Subject: {}", "\u{20ac}".repeat(100)));
        assert!(long.lines().count() > 5 && long.lines().all(|line| line.len() <= 76), "{long}");
        let words = long
            .split_ascii_whitespace()
            .filter_map(|word| word.strip_prefix("=?utf-8?B?")?.strip_suffix("?="));
        let text: String =
            words.map(|word| String::from_utf8(STANDARD.decode(word).unwrap()).unwrap()).collect();
        assert_eq!(text, "\u{20ac}".repeat(100));
    }

    #[test]
    fn names_are_encoded_and_addresses_that_cannot_be_are_nobodys() {
        const NOBODY: &str = "<invalid@internationalized-address.invalid>";
        for (from, expected) in [
            (
                "J\u{fc}rgen <j@far.test>, a@b.test",
                "=?utf-8?B?SsO8cmdlbg==?= <j@far.test>, a@b.test".to_owned(),
            ),
            ("\"J. \u{fc}\" <j@far.test>", "=?utf-8?B?Si4gw7w=?= <j@far.test>".to_owned()),
            (
                "\"J. R.\" <\"a b\"@far.test>, \u{fc}@c.test",
                format!("\"J. R.\" <\"a b\"@far.test>, =?utf-8?B?w7xAYy50ZXN0?=\r\n {NOBODY}"),
            ),
            ("Fred <f@\u{fc}.test>", format!("Fred {NOBODY}")),
            (
                "Us: a@b.test, \u{fc} <c@d.test>;, e@f.test",
                "Us: a@b.test, =?utf-8?B?w7w=?= <c@d.test>;, e@f.test".to_owned(),
            ),
            ("\u{fc}: ;", "=?utf-8?B?w7w=?=:;".to_owned()),
            ("a@b.test (\u{fc})", "=?utf-8?B?w7w=?= <a@b.test>".to_owned()),
        ] {
            for name in ["From", "resent-cc", "Return-Path"] {
                assert_eq!(header(&format!("{name}: {from}")), format!("{name}: {expected}\r\n"));
            }
        }
    }

    #[test]
    fn parameters_keep_what_they_say() {
        for (value, expected) in [
            (
                "attachment; filename=\"\u{fc} \\\"b\\\".pdf\"; size=3",
                "attachment;\r\n filename*=utf-8''%C3%BC%20%22b%22.pdf; size=3",
            ),
            (
                "text/plain;\r\n name=\u{fc};\r\n charset=utf-8",
                "text/plain;\r\n name*=utf-8''%C3%BC;\r\n charset=utf-8",
            ),
            ("text/plain; n\u{fc}=x; a=\";\u{fc}\"; b*=\u{fc}", "text/plain;\r\n a*=utf-8''%3B%C3%BC"),
            ("text/plain (;\u{fc}", ""),
            ("\u{fc}/plain; a=b", ""),
        ] {
            let expected =
                if expected.is_empty() { String::new() } else { format!("Content-Type: {expected}\r\n") };
            assert_eq!(header(&format!("Content-Type: {value}")), expected);
        }
        let part = "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Disposition: attachment; filename=";
        let end = "\r\n\r\n\u{fc}\r\n--x--\r\n";
        assert_eq!(
            surrogate("", format!("{part}\u{fc}.txt{end}").as_bytes()),
            format!("{}\r\n filename*=utf-8''%C3%BC.txt{end}", part.strip_suffix(" filename=").unwrap())
        );
    }

    #[test]
    fn what_cannot_be_said_is_left_out() {
        assert_eq!(header("X-Any: \u{fc}\r\n more\r\nA: b"), "A: b\r\n");
        assert_eq!(header("S\u{fc}bject: x\r\nA: b"), "A: b\r\n");
        assert_eq!(header("\u{fc}\r\nA: b"), "A: b\r\n");
        let prefix = "Return-Path: <\u{fc}@far.test>\r\n";
        let expected = "Return-Path: =?utf-8?B?w7xAZmFyLnRlc3Q=?=\r\n <invalid@internationalized-address.invalid>\r\nA: b\r\n\r\n\u{fc}\r\n";
        assert_eq!(surrogate(prefix, "A: b\r\n\r\n\u{fc}\r\n".as_bytes()), expected);
    }

    #[test]
    fn a_field_without_end_is_not_held() {
        let field = format!("Subject: {}", "\u{fc}".repeat(100_000));
        let mut surrogate = Surrogate::new(
            &{
                let mut scanner = Scanner::new();
                scanner.push(field.as_bytes());
                scanner.finish()
            },
            0,
        );
        let mut out = Vec::new();
        for piece in field.as_bytes().chunks(1000) {
            surrogate.push(piece, |octets| out.extend_from_slice(octets));
            assert!(surrogate.held.len() <= MAX_FIELD);
        }
        surrogate.finish(|octets| out.extend_from_slice(octets));
        assert_eq!(out, field.replace('\u{fc}', "??").as_bytes());
    }
}
