//! Names of mailboxes, and patterns for them.

use std::borrow::Cow;

use crate::encode::{Names, Writer};
use crate::error::Invalid;
use crate::parse::{Cursor, Parsed};
use crate::types::string::is_list_char;

/// The name of a mailbox: UTF-8 without controls. INBOX, in any case, is `INBOX`.
///
/// `mailbox = "INBOX" / astring`, [RFC 9051 §5.1](https://www.rfc-editor.org/rfc/rfc9051#section-5.1). On the wire it is
/// [modified UTF-7 or UTF-8](Names).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Mailbox<'a>(Cow<'a, str>);

impl<'a> Mailbox<'a> {
    /// INBOX.
    pub const INBOX: Mailbox<'static> = Mailbox(Cow::Borrowed("INBOX"));

    /// Takes a name without controls. It may be empty, as the reference of LIST and the prefix of a namespace are.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Result<Self, Invalid> {
        let name = name.into();
        if !is_name(&name) {
            return Err(Invalid("a mailbox name without controls"));
        }
        // RFC 9051 §5.1: all case variants of INBOX are INBOX.
        if name.eq_ignore_ascii_case("INBOX") { Ok(Mailbox::INBOX) } else { Ok(Self(name)) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is INBOX.
    pub fn is_inbox(&self) -> bool {
        self.0 == "INBOX"
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Mailbox<'static> {
        Mailbox(Cow::Owned(self.0.into_owned()))
    }

    pub(crate) fn parse(cursor: &mut Cursor<'a>, names: Names) -> Parsed<Self> {
        let start = *cursor;
        let octets = cursor.astring()?.into_octets();
        decode(octets, names)
            .and_then(|name| Self::new(name).ok())
            .map_or_else(|| start.error("a mailbox name"), Ok)
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.astring(encode(&self.0, writer.wire.names).as_bytes());
    }

    /// The same in quotes or as a literal, where an atom may not stand.
    pub(crate) fn write_string(&self, writer: &mut Writer<'_>) {
        writer.string(encode(&self.0, writer.wire.names).as_bytes());
    }
}

impl<'a> TryFrom<&'a str> for Mailbox<'a> {
    type Error = Invalid;

    fn try_from(name: &'a str) -> Result<Self, Invalid> {
        Self::new(name)
    }
}

/// What stands between the levels of a hierarchy: one visible character of ASCII.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Delimiter(u8);

impl Delimiter {
    /// `/`
    pub const SLASH: Self = Self(b'/');

    /// Takes a visible character of ASCII that is no wildcard.
    pub const fn new(character: char) -> Result<Self, Invalid> {
        if character.is_ascii_graphic() && !matches!(character, '*' | '%') {
            Ok(Self(character as u8))
        } else {
            Err(Invalid("a delimiter"))
        }
    }

    /// The character.
    pub const fn as_char(self) -> char {
        self.0 as char
    }

    /// `DQUOTE QUOTED-CHAR DQUOTE / nil`
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Option<Self>> {
        let start = *cursor;
        match cursor.nstring()? {
            None => Ok(None),
            Some(text) => match text.as_bytes() {
                [octet] => Self::new(*octet as char).map(Some).or_else(|_| start.error("a delimiter")),
                _ => start.error("a delimiter"),
            },
        }
    }

    pub(crate) fn write(delimiter: Option<Self>, writer: &mut Writer<'_>) {
        writer.nstring(delimiter.map(|delimiter| [delimiter.0]));
    }
}

/// A name with wildcards: `*` stands for anything, `%` for anything without a delimiter.
///
/// `list-mailbox`, [RFC 9051 §6.3.9](https://www.rfc-editor.org/rfc/rfc9051#section-6.3.9).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Pattern<'a>(Cow<'a, str>);

impl<'a> Pattern<'a> {
    /// Takes a pattern without controls.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Result<Self, Invalid> {
        let text = text.into();
        if is_name(&text) { Ok(Self(text)) } else { Err(Invalid("a pattern without controls")) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name matches. INBOX matches in any case.
    ///
    /// It takes time in proportion to the lengths of both, however many wildcards there are; where the pattern repeats itself
    /// between two of them, to both lengths multiplied, never more.
    pub fn matches(&self, name: &str, delimiter: Option<Delimiter>) -> bool {
        self.run(name.as_bytes(), delimiter.map(|delimiter| delimiter.0)).0
    }

    /// Whether a name matches, and how many steps that took.
    fn run(&self, name: &[u8], delimiter: Option<u8>) -> (bool, usize) {
        let pattern = self.0.as_bytes();
        let inbox = name.eq_ignore_ascii_case(b"INBOX");
        // From where to each place there is nothing that takes a delimiter.
        let (mut starts, mut start) = (Vec::new(), 0);
        if pattern.contains(&b'%') {
            starts.extend(pattern.iter().enumerate().map(|(at, octet)| {
                let before = start;
                if *octet == b'*' || Some(*octet) == delimiter {
                    start = at + 1;
                }
                before
            }));
        }
        // All places of the pattern that the octets so far can have led to, in ascending order.
        let (mut places, mut next, mut steps) = (Vec::new(), Vec::new(), starts.len());
        reach(pattern, &starts, 0, &mut places);
        for octet in name {
            next.clear();
            for at in &places {
                steps += 1;
                match pattern.get(*at) {
                    Some(b'*') => reach(pattern, &starts, *at, &mut next),
                    Some(b'%') if Some(*octet) != delimiter => reach(pattern, &starts, *at, &mut next),
                    Some(b'%') | None => {}
                    Some(expected) if expected == octet || inbox && expected.eq_ignore_ascii_case(octet) => {
                        reach(pattern, &starts, *at + 1, &mut next);
                    }
                    Some(_) => {}
                }
            }
            core::mem::swap(&mut places, &mut next);
        }
        (places.last() == Some(&pattern.len()), steps)
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Pattern<'static> {
        Pattern(Cow::Owned(self.0.into_owned()))
    }

    pub(crate) fn parse(cursor: &mut Cursor<'a>, names: Names) -> Parsed<Self> {
        let start = *cursor;
        let octets = cursor.take_while(is_list_char);
        let octets = if octets.is_empty() { cursor.string()?.into_octets() } else { Cow::Borrowed(octets) };
        decode(octets, names)
            .and_then(|text| Self::new(text).ok())
            .map_or_else(|| start.error("a mailbox name or pattern"), Ok)
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        let text = encode(&self.0, writer.wire.names);
        let atom = !text.is_empty() && text.len() < 1_000 && text.bytes().all(is_list_char);
        if atom { writer.raw(&*text) } else { writer.string(text.as_bytes()) }
    }
}

/// Adds a place of a pattern, and those behind it that cost no octet.
///
/// Places from which nothing more can be reached than from a wildcard behind them go: however many wildcards a pattern has,
/// few places are left.
fn reach(pattern: &[u8], starts: &[usize], place: usize, places: &mut Vec<usize>) {
    let mut at = place;
    loop {
        let wildcard = pattern.get(at).filter(|octet| matches!(octet, b'*' | b'%'));
        if places.last().is_none_or(|last| *last < at) {
            match wildcard {
                Some(b'*') => places.clear(),
                // With no delimiter in between, they end with this one at the latest.
                Some(_) => {
                    while places.last().is_some_and(|last| *last >= starts[at]) {
                        places.pop();
                    }
                }
                None => {}
            }
            places.push(at);
        }
        if wildcard.is_none() {
            return;
        }
        at += 1;
    }
}

fn is_name(name: &str) -> bool {
    !name.contains(char::is_control)
}

fn decode(octets: Cow<'_, [u8]>, names: Names) -> Option<Cow<'_, str>> {
    let text = match octets {
        Cow::Borrowed(octets) => Cow::Borrowed(core::str::from_utf8(octets).ok()?),
        Cow::Owned(octets) => Cow::Owned(String::from_utf8(octets).ok()?),
    };
    match names {
        Names::Utf8 => Some(text),
        Names::Utf7 if text.is_ascii() && !text.contains('&') => Some(text),
        Names::Utf7 => from_utf7(&text).map(Cow::Owned),
    }
}

fn encode(name: &str, names: Names) -> Cow<'_, str> {
    match names {
        Names::Utf7 if !name.is_ascii() || name.contains('&') => Cow::Owned(to_utf7(name)),
        _ => Cow::Borrowed(name),
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

/// Writes modified UTF-7: [RFC 3501 §5.1.3](https://www.rfc-editor.org/rfc/rfc3501#section-5.1.3).
pub fn to_utf7(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    let (mut bits, mut count, mut shifted) = (0_u32, 0, false);
    for character in text.chars() {
        if matches!(character, ' '..='~') {
            if core::mem::take(&mut shifted) {
                if count > 0 {
                    written.push(DIGITS[(bits << (6 - count) & 63) as usize] as char);
                }
                (bits, count) = (0, 0);
                written.push('-');
            }
            written.push(character);
            if character == '&' {
                written.push('-');
            }
            continue;
        }
        if !core::mem::replace(&mut shifted, true) {
            written.push('&');
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            bits = bits << 16 | u32::from(*unit);
            count += 16;
            while count >= 6 {
                count -= 6;
                written.push(DIGITS[(bits >> count & 63) as usize] as char);
            }
            bits &= (1 << count) - 1;
        }
    }
    if shifted {
        if count > 0 {
            written.push(DIGITS[(bits << (6 - count) & 63) as usize] as char);
        }
        written.push('-');
    }
    written
}

/// Reads modified UTF-7, and only the one spelling that each name has; anything else is `None`.
pub fn from_utf7(text: &str) -> Option<String> {
    let mut read = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, behind)) = rest.split_once('&') {
        read.push_str(plain);
        let (shifted, behind) = behind.split_once('-')?;
        rest = behind;
        if shifted.is_empty() {
            read.push('&');
            continue;
        }
        let (mut bits, mut count, mut units) = (0_u32, 0, Vec::with_capacity(shifted.len() / 2));
        for octet in shifted.bytes() {
            let digit = match octet {
                b'A'..=b'Z' => octet - b'A',
                b'a'..=b'z' => octet - b'a' + 26,
                b'0'..=b'9' => octet - b'0' + 52,
                b'+' => 62,
                b',' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(digit);
            count += 6;
            if count >= 16 {
                count -= 16;
                units.push((bits >> count) as u16);
                bits &= (1 << count) - 1;
            }
        }
        // What fills the last digit is zero, and no more than that.
        if bits != 0 || count >= 6 {
            return None;
        }
        for character in char::decode_utf16(units) {
            let character = character.ok()?;
            // RFC 3501 §5.1.3: what can stand for itself must.
            if matches!(character, ' '..='~') {
                return None;
            }
            read.push(character);
        }
        // RFC 3501 §5.1.3: a shift back is not followed by a shift, since one would have done.
        if rest.starts_with('&') && !rest.starts_with("&-") {
            return None;
        }
    }
    read.push_str(rest);
    // Controls and octets beyond ASCII do not stand for themselves.
    let visible = |octet: u8| (b' '..=b'~').contains(&octet);
    text.bytes().all(visible).then_some(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Ledger: 3501-5.1-1, 3501-5.1.3-1, 3501-5.1.3-2, 3501-5.1.3-3, 3501-5.1.3-4, 9051-A.1-1, 9051-A.1-2, 9051-A.1-3
    // Ledger: 9051-A.1-4
    #[test]
    fn names_have_one_spelling_in_utf7() {
        for (name, utf7) in [
            ("~peter/mail/\u{53f0}\u{5317}/\u{65e5}\u{672c}\u{8a9e}", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("a&b", "a&-b"),
            ("&&", "&-&-"),
            ("\u{e9}", "&AOk-"),
            ("\u{1f600}x", "&2D3eAA-x"),
            ("", ""),
        ] {
            assert_eq!((to_utf7(name), from_utf7(utf7)), (utf7.to_owned(), Some(name.to_owned())));
        }
        // Unfinished, visible within a shift, a lone surrogate, bits left over, two shifts, not ASCII.
        for bad in
            ["&", "&U,BTFw", "&AGE-", "&2D0-", "&AOl-", "&AOkA-", "&AOk-&AOk-", "\u{e9}", "&Jjo!-", "a\x07"]
        {
            assert_eq!(from_utf7(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn wildcards_match_what_the_rfc_says() {
        let matches = |pattern, name| Pattern::new(pattern).unwrap().matches(name, Some(Delimiter::SLASH));
        for (pattern, name) in [
            ("*", ""),
            ("*", "a/b/c"),
            ("%", "a"),
            ("a/%", "a/b"),
            ("%/%", "a/b"),
            ("*c", "a/b/c"),
            ("inbox", "INBOX"),
            ("in*", "INBOX"),
            ("a*%b", "a/x/yb"),
            ("", ""),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("%", "a/b"), ("a/%", "a/b/c"), ("a", "A"), ("", "a"), ("b*", "ab"), ("%", "/"), ("*b", "a")]
        {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn wildcards_do_not_run_back() {
        // CVE-2021-40110: a pattern with many wildcards took exponential time. 500 of them take a few steps for each octet
        // of a name, and no pattern more than its length.
        let name = "a".repeat(200);
        for (pattern, most) in [
            ("*a".repeat(500) + "b", 3),
            ("%a".repeat(500) + "b", 3),
            ("*%a".repeat(300) + "b", 4),
            ("*".repeat(1_000) + "b", 3),
            ("%".repeat(1_000) + "b", 3),
            ("*".to_owned() + &"a".repeat(500), 201),
            ("%a/%".repeat(200), 3),
        ] {
            let (matches, steps) = Pattern::new(&*pattern).unwrap().run(name.as_bytes(), Some(b'/'));
            assert!(!matches && steps <= most * 200 + pattern.len(), "{steps} for {}", &pattern[..9]);
        }
    }

    #[test]
    fn every_pattern_and_name_match_as_the_slow_and_obvious_reading_has_it() {
        fn slow(pattern: &[u8], name: &[u8]) -> bool {
            match (pattern.split_first(), name.split_first()) {
                (None, None) => true,
                (Some((b'*', rest)), _) if slow(rest, name) => true,
                (Some((b'*', _)), Some((_, behind))) => slow(pattern, behind),
                (Some((b'%', rest)), _) if slow(rest, name) => true,
                (Some((b'%', _)), Some((octet, behind))) if *octet != b'/' => slow(pattern, behind),
                (Some((expected, rest)), Some((octet, behind))) => expected == octet && slow(rest, behind),
                _ => false,
            }
        }
        let texts = |letters: &[u8], most: u32| {
            let letters = letters.to_vec();
            (0..=most).flat_map(move |length| {
                let letters = letters.clone();
                let count = letters.len();
                (0..count.pow(length)).map(move |mut number| {
                    let octets = (0..length).map(|_| {
                        let letter = letters[number % count];
                        number /= count;
                        letter
                    });
                    octets.collect::<Vec<u8>>()
                })
            })
        };
        for pattern in texts(b"a/*%", 5) {
            let text = str::from_utf8(&pattern).unwrap();
            let ours = Pattern::new(text).unwrap();
            for name in texts(b"a/", 5) {
                let matches = ours.matches(str::from_utf8(&name).unwrap(), Some(Delimiter::SLASH));
                assert_eq!(matches, slow(&pattern, &name), "{text} {}", name.escape_ascii());
            }
        }
    }
}
