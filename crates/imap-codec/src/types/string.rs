//! Strings: atoms, strings of octets, and the text for people in a response.
//!
//! ```text
//! astring ─┬─ atom and "]"
//!          └─ string ─┬─ quoted   "a \"b\""
//!                     └─ literal  {5}CRLF hello
//! nstring ─┬─ string
//!          └─ NIL
//! ```

use core::fmt;
use std::borrow::Cow;

use crate::error::Invalid;
use crate::parse::ascii;

const ATOM: u8 = 1;
const ASTRING: u8 = 2;
const LIST: u8 = 4;
const QUOTABLE: u8 = 8;

/// What each octet may stand in. RFC 9051 §9.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut octet = 0x20;
    while octet < 0x7f {
        classes[octet] = match octet as u8 {
            // Quoted, they have a backslash in front.
            b'"' | b'\\' => QUOTABLE,
            b'(' | b')' | b'{' | b' ' => QUOTABLE,
            b'%' | b'*' => QUOTABLE | LIST,
            b']' => QUOTABLE | LIST | ASTRING,
            _ => QUOTABLE | LIST | ASTRING | ATOM,
        };
        octet += 1;
    }
    classes
};

pub(crate) fn is_atom_char(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & ATOM != 0
}

pub(crate) fn is_astring_char(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & ASTRING != 0
}

pub(crate) fn is_list_char(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & LIST != 0
}

/// Stands in quotes as it is. Without a table, many octets are looked at together.
pub(crate) const fn is_plain(octet: u8) -> bool {
    matches!(octet, b' '..=b'~') & (octet != b'"') & (octet != b'\\')
}

pub(crate) fn is_quotable(octet: u8) -> bool {
    CLASSES[usize::from(octet)] & QUOTABLE != 0
}

/// Octets without NUL: the contents of a string, however it is written.
///
/// `string = quoted / literal`, [RFC 9051 §4.3](https://www.rfc-editor.org/rfc/rfc9051#section-4.3). Whether it goes out as an
/// atom, quoted or as a literal is chosen when it is written. Charsets are the caller's: old clients send what they like.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct IString<'a>(Cow<'a, [u8]>);

impl<'a> IString<'a> {
    /// Takes octets of which none is NUL.
    pub fn new(octets: impl Into<Cow<'a, [u8]>>) -> Result<Self, Invalid> {
        let octets = octets.into();
        if octets.contains(&0) { Err(Invalid("a string without NUL")) } else { Ok(Self(octets)) }
    }

    /// For octets that have been looked at.
    pub(crate) const fn trusted(octets: Cow<'a, [u8]>) -> Self {
        Self(octets)
    }

    /// The octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The octets as text, if they are UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        core::str::from_utf8(&self.0).ok()
    }

    /// The octets, borrowed where they were.
    pub fn into_octets(self) -> Cow<'a, [u8]> {
        self.0
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> IString<'static> {
        IString(Cow::Owned(self.0.into_owned()))
    }
}

impl AsRef<[u8]> for IString<'_> {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for IString<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

impl<'a> TryFrom<&'a str> for IString<'a> {
    type Error = Invalid;

    fn try_from(text: &'a str) -> Result<Self, Invalid> {
        Self::new(text.as_bytes())
    }
}

/// One or more octets of ASCII, none of them special.
///
/// `atom = 1*ATOM-CHAR`, [RFC 9051 §4.1](https://www.rfc-editor.org/rfc/rfc9051#section-4.1). Equal without regard to case.
#[derive(Clone, Debug)]
pub struct Atom<'a>(Cow<'a, str>);

impl<'a> Atom<'a> {
    /// Takes what is an atom.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Result<Self, Invalid> {
        let text = text.into();
        if text.is_empty() || !text.bytes().all(is_atom_char) {
            return Err(Invalid("an atom"));
        }
        Ok(Self(text))
    }

    pub(crate) const fn trusted(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Atom<'static> {
        Atom(Cow::Owned(self.0.into_owned()))
    }
}

impl PartialEq for Atom<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Atom<'_> {}

impl<'a> TryFrom<&'a str> for Atom<'a> {
    type Error = Invalid;

    fn try_from(text: &'a str) -> Result<Self, Invalid> {
        Self::new(text)
    }
}

/// What a response says to people: one line without controls, which does not begin like a response code.
///
/// `text`, [RFC 9051 §7.1](https://www.rfc-editor.org/rfc/rfc9051#section-7.1).
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct Text<'a>(Cow<'a, str>);

impl<'a> Text<'a> {
    /// Takes any text. Controls become spaces, and a leading `[` becomes `(`, so that no text can become a second
    /// response or a response code.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        let mut text = text.into();
        if text.contains(char::is_control) {
            text = Cow::Owned(text.replace(char::is_control, " "));
        }
        if text.starts_with('[') {
            text.to_mut().replace_range(..1, "(");
        }
        Self(text)
    }

    /// The text of a response; `[` in front is what no response code could be made of.
    pub(crate) fn parse(octets: &'a [u8]) -> Self {
        Self::new(String::from_utf8_lossy(octets))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Text<'static> {
        Text(Cow::Owned(self.0.into_owned()))
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(text)
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

/// What only compares as text: a list of words with single spaces between them, each of which the grammar has seen.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub(crate) struct Words<'a>(pub(crate) Cow<'a, str>);

impl<'a> Words<'a> {
    pub(crate) fn trusted(octets: &'a [u8]) -> Self {
        Self(Cow::Borrowed(ascii(octets)))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|word| !word.is_empty())
    }

    pub(crate) fn push(&mut self, word: &str) {
        let words = self.0.to_mut();
        if !words.is_empty() {
            words.push(' ');
        }
        words.push_str(word);
    }

    pub(crate) fn into_owned(self) -> Words<'static> {
        Words(Cow::Owned(self.0.into_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_a_second_response_or_a_code() {
        assert_eq!(Text::new("done\r\n* BYE").as_str(), "done  * BYE");
        assert_eq!(Text::new("[ALERT] x").as_str(), "(ALERT] x");
        assert_eq!(Text::new("plain [x]").as_str(), "plain [x]");
    }

    #[test]
    fn atoms_and_strings_refuse_what_they_cannot_carry() {
        for bad in ["", "a b", "a\"", "a]", "a%", "a*", "(", "{", "\u{e9}", "a\r\n"] {
            assert!(Atom::new(bad).is_err(), "{bad:?}");
        }
        assert!(IString::new(&b"a\0"[..]).is_err());
        assert!(IString::new(&b"a\r\n\xff"[..]).is_ok());
    }
}
