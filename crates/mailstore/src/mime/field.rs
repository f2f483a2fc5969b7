//! The header fields that ENVELOPE and BODYSTRUCTURE are made of: which they are, how they are kept, how they are read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::slice;

/// A field that is kept. The numbers stand on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Field {
    Date,
    Subject,
    From,
    Sender,
    ReplyTo,
    To,
    Cc,
    Bcc,
    InReplyTo,
    MessageId,
    ContentType,
    Encoding,
    ContentId,
    Description,
    Md5,
    Disposition,
    Language,
    Location,
}

/// The fields by their numbers.
const FIELDS: [(Field, &[u8]); 18] = [
    (Field::Date, b"date"),
    (Field::Subject, b"subject"),
    (Field::From, b"from"),
    (Field::Sender, b"sender"),
    (Field::ReplyTo, b"reply-to"),
    (Field::To, b"to"),
    (Field::Cc, b"cc"),
    (Field::Bcc, b"bcc"),
    (Field::InReplyTo, b"in-reply-to"),
    (Field::MessageId, b"message-id"),
    (Field::ContentType, b"content-type"),
    (Field::Encoding, b"content-transfer-encoding"),
    (Field::ContentId, b"content-id"),
    (Field::Description, b"content-description"),
    (Field::Md5, b"content-md5"),
    (Field::Disposition, b"content-disposition"),
    (Field::Language, b"content-language"),
    (Field::Location, b"content-location"),
];

impl Field {
    /// The field of this name, in any case.
    pub(crate) fn named(name: &[u8]) -> Option<Self> {
        FIELDS.iter().find(|(_, known)| name.eq_ignore_ascii_case(known)).map(|&(field, _)| field)
    }

    /// Whether it says something of a message and not of a part.
    pub(crate) const fn is_envelope(self) -> bool {
        (self as u8) < Self::ContentType as u8
    }

    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        FIELDS.get(usize::from(number)).map(|&(field, _)| field)
    }
}

/// The name of the field that a line begins, and where what it says begins. `None` for what is no field.
///
/// RFC 5322 §4.5: white space may stand in front of the colon.
pub(crate) fn split(line: &[u8]) -> Option<(&[u8], usize)> {
    let colon = memchr::memchr(b':', line)?;
    let name = line[..colon].trim_ascii_end();
    // RFC 5322 §3.6.8: a name is of printable characters. Deviates from RFC 5322 §3.6.8: 8-bit octets are tolerated.
    (!name.is_empty() && name.iter().all(|&octet| octet > b' ' && octet != 0x7f)).then_some((name, colon + 1))
}

pub(crate) const fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// Reads what a structured field says. It has been unfolded.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    pub(crate) fn next(&mut self) -> Option<u8> {
        let (&octet, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(octet)
    }

    pub(crate) fn eat(&mut self, octet: u8) -> bool {
        let is = self.peek() == Some(octet);
        if is {
            self.rest = &self.rest[1..];
        }
        is
    }

    /// What comes while `wanted` says so.
    pub(crate) fn take(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let end = self.rest.iter().position(|&octet| !wanted(octet)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(end);
        self.rest = rest;
        taken
    }

    /// White space and comments.
    pub(crate) fn skip(&mut self) {
        loop {
            self.take(is_space);
            if self.peek() != Some(b'(') {
                return;
            }
            self.comment();
        }
    }

    /// A comment, with those within it; without its own parentheses. One that does not end takes the rest.
    pub(crate) fn comment(&mut self) -> &'a [u8] {
        let whole = self.rest;
        // RFC 5322 §3.2.2: comments nest. They are counted, so that no depth of them costs more than its octets.
        let (mut depth, mut at) = (0_usize, 0);
        while let Some(&octet) = whole.get(at) {
            match octet {
                b'\\' => at += 1,
                b'(' => depth += 1,
                b')' => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 {
                self.rest = whole.get(at..).unwrap_or_default();
                return &whole[1..at - 1];
            }
        }
        self.rest = &[];
        whole.get(1..).unwrap_or_default()
    }

    /// A quoted string without its quotes; the opening one is next. One that does not end takes the rest.
    pub(crate) fn quoted(&mut self) -> Cow<'a, [u8]> {
        self.next();
        let plain = self.take(|octet| !matches!(octet, b'"' | b'\\'));
        if self.eat(b'"') || self.rest.is_empty() {
            return Cow::Borrowed(plain);
        }
        let mut text = plain.to_vec();
        while let Some(octet) = self.next() {
            match octet {
                b'"' => break,
                b'\\' => text.extend(self.next()),
                octet => text.push(octet),
            }
        }
        Cow::Owned(text)
    }

    /// RFC 2045 §5.1: a token; what is over 127 is tolerated.
    pub(crate) fn token(&mut self) -> &'a [u8] {
        self.take(|octet| octet > b' ' && octet != 0x7f && !TSPECIALS.contains(&octet))
    }
}

const TSPECIALS: &[u8] = b"()<>@,;:\\\"/[]?=";

/// The type and subtype of Content-Type, and what follows. `None` for what is none.
pub(crate) fn media(value: &[u8]) -> Option<(&[u8], &[u8], Parameters<'_>)> {
    let mut cursor = Cursor::new(value);
    cursor.skip();
    let media = cursor.token();
    cursor.skip();
    let slash = cursor.eat(b'/');
    cursor.skip();
    let subtype = cursor.token();
    // RFC 2045 §5.2: what is not valid is text/plain.
    (slash && !media.is_empty() && !subtype.is_empty()).then_some((media, subtype, Parameters { cursor }))
}

/// The one word of a field such as Content-Transfer-Encoding or Content-Disposition, and what follows.
pub(crate) fn word(value: &[u8]) -> (Cow<'_, [u8]>, Parameters<'_>) {
    let mut cursor = Cursor::new(value);
    cursor.skip();
    let word = if cursor.peek() == Some(b'"') { cursor.quoted() } else { Cow::Borrowed(cursor.token()) };
    (word, Parameters { cursor })
}

/// The parameters of a field, each its name and what it says, without quotes.
///
/// The parts and charsets of [RFC 2231](https://www.rfc-editor.org/rfc/rfc2231) are left as they stand: `title*0*`.
/// [`Self::joined`] puts the parts together, [`Part::parameter`](super::Part::parameter) decodes the charset, too.
#[derive(Clone, Debug)]
pub struct Parameters<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Parameters<'a> {
    /// The same with one parameter for each that comes in parts, as BODYSTRUCTURE should have it
    /// ([RFC 2231 §6](https://www.rfc-editor.org/rfc/rfc2231#section-6)). Parts count in the order in which they stand; what
    /// belongs to no other is left.
    ///
    /// Deviates from [RFC 9051 §7.5.2](https://www.rfc-editor.org/rfc/rfc9051#section-7.5.2), which would have `title*` in
    /// UTF-8: it keeps its charset and its octets in hexadecimal, as clients of IMAP4rev1 take it and Dovecot gives it.
    ///
    /// Takes memory for what it gives, which is no more than the field is long, and as much again.
    pub fn joined(self) -> impl Iterator<Item = (Cow<'a, [u8]>, Cow<'a, [u8]>)> {
        let mut all = Vec::<(Cow<'a, [u8]>, Cow<'a, [u8]>)>::new();
        // By name: where it is, and the number that it goes on with.
        let mut open = BTreeMap::<Vec<u8>, (usize, u32)>::new();
        for (name, value) in self {
            let Some((base, number, extended)) = part(name) else {
                all.push((Cow::Borrowed(name), value));
                continue;
            };
            let key = base.to_ascii_lowercase();
            match open.get_mut(&key) {
                Some((at, next)) if number == next.to_string().as_bytes() => {
                    let (name, joined) = &mut all[*at];
                    let joined = joined.to_mut();
                    if name.ends_with(b"*") && !extended {
                        // RFC 2231 §4.1: not encoded, among others that are.
                        for octet in value.iter() {
                            joined.extend_from_slice(if *octet == b'%' {
                                b"%25"
                            } else {
                                slice::from_ref(octet)
                            });
                        }
                    } else {
                        joined.extend_from_slice(&value);
                    }
                    *next += 1;
                }
                None if number == b"0" => {
                    open.insert(key, (all.len(), 1));
                    let name = &name[..base.len()];
                    let name = if extended { Cow::Owned([name, b"*"].concat()) } else { Cow::Borrowed(name) };
                    all.push((name, value));
                }
                _ => all.push((Cow::Borrowed(name), value)),
            }
        }
        all.into_iter()
    }
}

impl<'a> Parameters<'a> {
    /// What the parameter of this name says; one that is in parts ([RFC 2231 §3](https://www.rfc-editor.org/rfc/rfc2231#section-3))
    /// as a whole, without its charset. The first of a name counts.
    pub fn get(self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        parameter(self, name)
    }
}

impl Parameters<'_> {
    /// None at all.
    pub(crate) const NONE: Self = Self { cursor: Cursor::new(b"") };
    /// RFC 2045 §5.2: those of a text that does not say what it is.
    pub(crate) const DEFAULT: Self = Self { cursor: Cursor::new(b";CHARSET=US-ASCII") };
}

impl<'a> Iterator for Parameters<'a> {
    type Item = (&'a [u8], Cow<'a, [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let cursor = &mut self.cursor;
        loop {
            // What is no parameter is read over, up to the next semicolon that is in no quotes.
            loop {
                cursor.skip();
                match cursor.peek()? {
                    b';' => break,
                    b'"' => drop(cursor.quoted()),
                    _ => drop(cursor.next()),
                }
            }
            cursor.next();
            cursor.skip();
            let name = cursor.token();
            cursor.skip();
            if name.is_empty() || !cursor.eat(b'=') {
                continue;
            }
            cursor.skip();
            let value = if cursor.peek() == Some(b'"') {
                cursor.quoted()
            } else {
                let start = cursor.rest;
                let token = cursor.token();
                cursor.skip();
                if matches!(cursor.peek(), None | Some(b';')) {
                    Cow::Borrowed(token)
                } else if name.eq_ignore_ascii_case(b"boundary") {
                    // RFC 2045 §5.1: a token ends at white space. Delimiters begin with it, whatever else was meant; with a
                    // semicolon that is missing behind it, no line would begin with the whole.
                    cursor.take(|octet| octet != b';');
                    let end = start.iter().position(|&octet| octet == b';' || is_space(octet));
                    Cow::Borrowed(&start[..end.unwrap_or(start.len())])
                } else {
                    // More than a token: names of files with spaces in them are about. Nothing is read again, or
                    // comments within comments would be, over and over.
                    cursor.take(|octet| octet != b';');
                    Cow::Borrowed(start[..start.len() - cursor.rest.len()].trim_ascii_end())
                }
            };
            return Some((name, value));
        }
    }
}

/// What the parameter of this name says; the first one counts.
pub(crate) fn parameter<'a>(parameters: Parameters<'a>, wanted: &[u8]) -> Option<Cow<'a, [u8]>> {
    if let Some((_, value)) = parameters.clone().find(|(name, _)| name.eq_ignore_ascii_case(wanted)) {
        return Some(value);
    }
    // RFC 2231 §3: in parts, of which the first is numbered zero. Taken once each, in the order in which they stand.
    let mut joined = None::<Vec<u8>>;
    let mut number = 0_u32;
    for (name, value) in parameters {
        let Some((front, rest)) = name.split_at_checked(wanted.len()) else { continue };
        let Some((b'*', rest)) = rest.split_first() else { continue };
        if !front.eq_ignore_ascii_case(wanted) {
            continue;
        }
        let extended = rest.is_empty() || rest.ends_with(b"*");
        let digits = rest.strip_suffix(b"*").unwrap_or(rest);
        let is = if digits.is_empty() { number == 0 } else { digits == number.to_string().as_bytes() };
        if !is {
            continue;
        }
        let mut value = &value[..];
        if extended && number == 0 {
            // RFC 2231 §4: charset'language'text.
            let mut quotes = memchr::memchr_iter(b'\'', value);
            if let (Some(_), Some(second)) = (quotes.next(), quotes.next()) {
                value = &value[second + 1..];
            }
        }
        let joined = joined.get_or_insert_default();
        if extended {
            percent(value, joined)
        } else {
            joined.extend_from_slice(value)
        }
        if digits.is_empty() {
            break;
        }
        number += 1;
    }
    joined.map(Cow::Owned)
}

/// RFC 2231 §3: the name of a parameter that comes in parts, the number of this part, and whether it is encoded.
fn part(name: &[u8]) -> Option<(&[u8], &[u8], bool)> {
    let (name, extended) = name.strip_suffix(b"*").map_or((name, false), |name| (name, true));
    let star = memchr::memchr(b'*', name)?;
    let (base, number) = (&name[..star], &name[star + 1..]);
    (!base.is_empty() && !number.is_empty() && number.iter().all(u8::is_ascii_digit))
        .then_some((base, number, extended))
}

/// RFC 2231 §7: `%` and two hexadecimal digits.
fn percent(mut value: &[u8], out: &mut Vec<u8>) {
    while let [octet, rest @ ..] = value {
        value = rest;
        if let ([high, low, rest @ ..], b'%') = (rest, *octet)
            && let (Some(high), Some(low)) = (hex(*high), hex(*low))
        {
            out.push(high << 4 | low);
            value = rest;
        } else {
            out.push(*octet);
        }
    }
}

/// A hexadecimal digit in either case.
pub(crate) const fn hex(octet: u8) -> Option<u8> {
    match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'A'..=b'F' => Some(octet - b'A' + 10),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(value: &str) -> Vec<(String, String)> {
        let (_, _, parameters) = media(value.as_bytes()).expect("a type");
        let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
        parameters.map(|(name, value)| (text(name), text(&value))).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn parameters_are_read_however_they_are_written() {
        assert_eq!(all("text/plain; charset=us-ascii (Plain text)"), [pair("charset", "us-ascii")]);
        assert_eq!(
            all("text/plain ; x=\"a;\\\"b\" junk \";\" ; =n; y ;z = 1"),
            [pair("x", "a;\"b"), pair("z", "1")]
        );
        assert_eq!(
            all("(c)text(c)/(c)plain;name=a b.txt;q=\"open"),
            [pair("name", "a b.txt"), pair("q", "open")]
        );
        assert_eq!(all("a/b;;; c*0*=x"), [pair("c*0*", "x")]);
        // A boundary is one word, for it stands at the beginning of lines.
        assert_eq!(
            all("a/b; Boundary= =_b/c d=e (f;g) ; name=x y"),
            [pair("Boundary", "=_b/c"), pair("name", "x y")]
        );
        for none in ["", "text", "text/", "/plain", "text plain/x", "(text/plain"] {
            assert!(media(none.as_bytes()).is_none(), "{none}");
        }
    }

    #[test]
    fn parameters_in_parts_are_joined() {
        let joined = |value: &str| -> Vec<(String, String)> {
            let (_, _, parameters) = media(value.as_bytes()).expect("a type");
            let text = |octets: Cow<'_, [u8]>| String::from_utf8(octets.into_owned()).expect("text");
            parameters.joined().map(|(name, value)| (text(name), text(value))).collect()
        };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        // RFC 2231 §4.1
        let value =
            "a/b; Title*0*=us-ascii'en'This%20is; x=1; TITLE*1*=%2A%20; title*2=\"100% it\"; title*4=no";
        let whole = pair("Title*", "us-ascii'en'This%20is%2A%20100%25 it");
        assert_eq!(joined(value), [whole, pair("x", "1"), pair("title*4", "no")]);
        // RFC 2231 §3
        let value = "a/b; URL*0=\"ftp://\"; URL*1=\"cs.utk.edu\"";
        assert_eq!(joined(value), [pair("URL", "ftp://cs.utk.edu")]);
        // What does not begin is left, and so is what begins again.
        let value = "a/b; n*1=x; n*0=y; n*0=z; *0=w; n*=c''v; n*1a=u";
        let left = [pair("n*1", "x"), pair("n", "y"), pair("n*0", "z"), pair("*0", "w"), pair("n*", "c''v")];
        assert_eq!(joined(value)[..5], left);
        assert_eq!(joined(value)[5..], [pair("n*1a", "u")]);
    }

    #[test]
    fn a_parameter_in_parts_is_one() {
        // RFC 2231 §4.1
        let value = b"application/x-stuff; title*0*=us-ascii'en'This%20is%20even%20more%20; \
            title*1*=%2A%2A%2Afun%2A%2A%2A%20; title*2=\"isn't it!\"";
        let (_, _, parameters) = media(value).expect("a type");
        let title = parameter(parameters.clone(), b"Title");
        assert_eq!(title.as_deref(), Some(&b"This is even more ***fun*** isn't it!"[..]));
        assert_eq!(parameter(parameters, b"titl"), None);
    }

    #[test]
    fn comments_nest_and_need_not_end() {
        let mut cursor = Cursor::new(b"(a (b) \\) c) d");
        assert_eq!(cursor.comment(), b"a (b) \\) c");
        assert_eq!(cursor.rest, b" d");
        for open in ["(a(b)", "(", "(a\\"] {
            let mut cursor = Cursor::new(open.as_bytes());
            cursor.skip();
            assert_eq!(cursor.rest, b"", "{open}");
        }
    }
}
