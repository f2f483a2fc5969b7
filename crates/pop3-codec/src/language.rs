//! Language tags, as the command LANG has them.

use core::fmt;

use crate::error::Invalid;

/// A language tag, or a range of them ([RFC 6856 §3.2](https://www.rfc-editor.org/rfc/rfc6856#section-3.2)).
///
/// `language-range = (1*8ALPHA *("-" 1*8alphanum)) / "*"` ([RFC 4647 §2.1](https://www.rfc-editor.org/rfc/rfc4647#section-2.1)),
/// in 63 octets at most.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Language {
    octets: [u8; MAX],
    length: u8,
}

impl Language {
    /// What the server's administrator prefers: `*`.
    pub const ANY: Self = Self::fixed(b"*");
    /// English.
    pub const ENGLISH: Self = Self::fixed(b"en");

    /// Takes the text if it is a language range.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let (mut offset, mut only_letters) = (0, true);
        for subtag in text.split('-') {
            let allowed = |octet: &u8| octet.is_ascii_alphabetic() || !only_letters && octet.is_ascii_digit();
            let good = subtag.bytes().position(|octet| !allowed(&octet)).unwrap_or(subtag.len()).min(8);
            if (good == 0 || good < subtag.len()) && text != "*" {
                return Err(Invalid { what: "language", offset: offset + good });
            }
            offset += subtag.len() + 1;
            only_letters = false;
        }
        if text.len() > MAX {
            return Err(Invalid { what: "language", offset: MAX });
        }
        Ok(Self::fixed(text.as_bytes()))
    }

    const fn fixed(text: &[u8]) -> Self {
        let (mut octets, mut at) = ([0; MAX], 0);
        while at < text.len() {
            octets[at] = text[at];
            at += 1;
        }
        Self { octets, length: at as u8 }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.octets[..usize::from(self.length)]).expect("a language range is ASCII")
    }

    /// Whether English is an answer to it: a server that has nothing closer leaves subtags out from the end
    /// ([RFC 4647 §3.4](https://www.rfc-editor.org/rfc/rfc4647#section-3.4)).
    pub(crate) fn is_english(&self) -> bool {
        let primary = self.as_str().split('-').next().unwrap_or_default();
        primary == "*" || primary.eq_ignore_ascii_case("en")
    }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Language({:?})", self.as_str())
    }
}

/// RFC 5646 §4.4.1 finds 35 enough for a tag without extensions.
const MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_letters_first_and_then_letters_and_digits() {
        let longest = format!("abcdefgh{}-x", "-12345678".repeat(5));
        for good in ["*", "en", "EN-gb", "de-1996", "x-klingon", "i-default", &longest, "abcdefgh-12345678"] {
            assert_eq!(Language::new(good).map(|language| language.as_str().to_owned()).as_deref(), Ok(good));
        }
        let long = format!("abcdefgh{}-xxxxxxxxx", "-12345678".repeat(6));
        for (bad, offset) in [
            ("", 0),
            ("-", 0),
            ("e1", 1),
            ("en-", 3),
            ("en--gb", 3),
            ("abcdefghi", 8),
            ("en-123456789", 11),
            ("**", 0),
            ("en-*", 3),
            ("e n", 1),
            ("\u{e9}", 0),
            (&long, 71),
            (&long[..64], 63),
        ] {
            assert_eq!(Language::new(bad).map_err(|error| error.offset()), Err(offset), "{bad:?}");
        }
    }

    #[test]
    fn english_is_found_by_its_first_subtag() {
        let is = |text: &str| Language::new(text).unwrap().is_english();
        assert!(is("en") && is("EN") && is("en-GB") && is("*"));
        assert!(!is("enm") && !is("de") && !is("x-en"));
    }
}
