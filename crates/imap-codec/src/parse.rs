//! A cursor over one whole command or response: the tokens that all of the grammar is made of.
//!
//! Literals stand where they came, `{5}\r\nhello`: [`fragment`](crate::fragment) has seen to it that they are complete.

use std::borrow::Cow;

use crate::error::ParseError;
use crate::types::string::{IString, is_astring_char, is_atom_char, is_plain};

pub(crate) type Parsed<T> = Result<T, ParseError>;

/// Reads tokens from the front of what is left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    whole: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(whole: &'a [u8]) -> Self {
        Self { whole, at: 0 }
    }

    pub(crate) const fn error<T>(&self, expected: &'static str) -> Parsed<T> {
        Err(ParseError { offset: self.at, expected })
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        &self.whole[self.at..]
    }

    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// What has been read since `start`, which an earlier [`Self::at`] gave.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        &self.whole[start..self.at]
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.at == self.whole.len()
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.whole.get(self.at).copied()
    }

    pub(crate) fn eat(&mut self, octet: u8) -> bool {
        let found = self.peek() == Some(octet);
        self.at += usize::from(found);
        found
    }

    pub(crate) fn expect(&mut self, octet: u8, expected: &'static str) -> Parsed<()> {
        if self.eat(octet) { Ok(()) } else { self.error(expected) }
    }

    pub(crate) fn space(&mut self) -> Parsed<()> {
        self.expect(b' ', "a space")
    }

    pub(crate) fn open(&mut self) -> Parsed<()> {
        self.expect(b'(', "an opening parenthesis")
    }

    pub(crate) fn close(&mut self) -> Parsed<()> {
        self.expect(b')', "a closing parenthesis")
    }

    /// Nothing may be left.
    pub(crate) const fn end(&self) -> Parsed<()> {
        if self.is_empty() { Ok(()) } else { self.error("the end") }
    }

    /// Takes `word`, in any case, if it comes next.
    pub(crate) fn eat_word(&mut self, word: &[u8]) -> bool {
        let found = self.rest().get(..word.len()).is_some_and(|octets| octets.eq_ignore_ascii_case(word));
        if found {
            self.at += word.len();
        }
        found
    }

    pub(crate) fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let count = rest.iter().position(|octet| !accept(*octet)).unwrap_or(rest.len());
        self.at += count;
        &rest[..count]
    }

    /// A word of the grammar, such as a command or the name of an item: letters, digits, `.`, `-` and `=`.
    pub(crate) fn word(&mut self) -> &'a [u8] {
        self.take_while(|octet| WORD[usize::from(octet)] != 0)
    }

    /// The same in upper case, without an allocation. One that is too long is no word that we know, and comes empty.
    pub(crate) fn upper_word<const N: usize>(&mut self) -> Word<N> {
        // One look at each octet: most of what is read are words.
        let (rest, mut word, mut count) = (self.rest(), [0; N], 0);
        while let Some(octet) = rest.get(count)
            && let upper = WORD[usize::from(*octet)]
            && upper != 0
        {
            if let Some(place) = word.get_mut(count) {
                *place = upper;
            }
            count += 1;
        }
        self.at += count;
        Word(word, if count > N { 0 } else { count })
    }

    pub(crate) fn atom(&mut self, expected: &'static str) -> Parsed<&'a str> {
        let octets = self.take_while(is_atom_char);
        if octets.is_empty() { self.error(expected) } else { Ok(ascii(octets)) }
    }

    pub(crate) fn number64(&mut self) -> Parsed<u64> {
        let (start, mut number) = (self.at, 0_u64);
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            // What saturates is too large however it goes on.
            number = number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        // RFC 9051 §4.2: numbers of 63 bits, so that every language can hold them.
        if self.at == start || number > i64::MAX as u64 {
            return Err(ParseError { offset: start, expected: "a number" });
        }
        Ok(number)
    }

    pub(crate) fn number(&mut self) -> Parsed<u32> {
        let start = *self;
        u32::try_from(self.number64()?).or_else(|_| start.error("a number of 32 bits"))
    }

    pub(crate) fn nz_number(&mut self) -> Parsed<core::num::NonZeroU32> {
        let start = *self;
        // A number that is not zero does not begin with one either.
        if self.peek() == Some(b'0') {
            return start.error("a number above zero");
        }
        core::num::NonZeroU32::new(self.number()?).map_or_else(|| start.error("a number above zero"), Ok)
    }

    pub(crate) fn nil(&mut self) -> bool {
        let mut ahead = *self;
        let found = ahead.eat_word(b"NIL") && !ahead.peek().is_some_and(is_astring_char);
        if found {
            *self = ahead;
        }
        found
    }

    /// A quoted string or a literal.
    pub(crate) fn string(&mut self) -> Parsed<IString<'a>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(|octets| IString::trusted(Cow::Borrowed(octets))),
            _ => self.error("a string"),
        }
    }

    pub(crate) fn nstring(&mut self) -> Parsed<Option<IString<'a>>> {
        if self.nil() { Ok(None) } else { self.string().map(Some) }
    }

    /// An atom that may hold `]`, a quoted string, or a literal.
    pub(crate) fn astring(&mut self) -> Parsed<IString<'a>> {
        let octets = self.take_while(is_astring_char);
        if octets.is_empty() { self.string() } else { Ok(IString::trusted(Cow::Borrowed(octets))) }
    }

    fn quoted(&mut self) -> Parsed<IString<'a>> {
        let start = *self;
        self.at += 1;
        // Nearly all of them are short, ASCII and without escapes: one look at each octet.
        let rest = self.rest();
        let plain = rest.iter().position(|octet| !is_plain(*octet));
        if let Some(end) = plain
            && rest[end] == b'"'
        {
            self.at += end + 1;
            return Ok(IString::trusted(Cow::Borrowed(&rest[..end])));
        }
        let (mut owned, mut at): (Option<Vec<u8>>, usize) = (None, 0);
        let octets = loop {
            match rest.get(at) {
                None => return start.error("the end of a quoted string"),
                Some(b'"') => break owned.map_or(Cow::Borrowed(&rest[..at]), Cow::Owned),
                Some(b'\\') => {
                    let Some(octet @ (b'"' | b'\\')) = rest.get(at + 1) else {
                        self.at += at + 1;
                        return self.error("a quote or a backslash");
                    };
                    owned.get_or_insert_with(|| rest[..at].to_vec()).push(*octet);
                    at += 1;
                }
                Some(0 | b'\r' | b'\n') => return start.error("a quoted string of UTF-8 on one line"),
                Some(octet) => {
                    if let Some(owned) = &mut owned {
                        owned.push(*octet);
                    }
                }
            }
            at += 1;
        };
        self.at += at + 1;
        if !octets.is_ascii() && core::str::from_utf8(&octets).is_err() {
            return start.error("a quoted string of UTF-8 on one line");
        }
        Ok(IString::trusted(octets))
    }

    fn literal(&mut self) -> Parsed<&'a [u8]> {
        let octets = self.literal_octets()?;
        if memchr::memchr(0, octets).is_some() {
            return self.error("a literal without NUL");
        }
        Ok(octets)
    }

    fn literal_octets(&mut self) -> Parsed<&'a [u8]> {
        let start = *self;
        self.at += 1;
        let size = self.number64()?;
        self.eat(b'+');
        if !self.eat_word(b"}\r\n") {
            return start.error("the size of a literal");
        }
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let Some(octets) = self.rest().get(..size) else {
            return start.error("a whole literal");
        };
        self.at += size;
        Ok(octets)
    }

    /// `NIL`, a string, or a literal with any octets, as a part that was decoded may have them.
    pub(crate) fn binary(&mut self) -> Parsed<Option<Cow<'a, [u8]>>> {
        if self.peek() == Some(b'~') {
            self.at += 1;
            if self.peek() != Some(b'{') {
                return self.error("a literal");
            }
            return self.literal_octets().map(|octets| Some(Cow::Borrowed(octets)));
        }
        Ok(self.nstring()?.map(IString::into_octets))
    }

    /// Items with single spaces between them, up to the closing parenthesis, which is taken too.
    pub(crate) fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        self.each(|cursor| {
            items.push(item(cursor)?);
            Ok(())
        })?;
        Ok(items)
    }

    /// The same, with so many items at most: what is kept of an item may be much larger than its octets.
    pub(crate) fn short_list<T>(
        &mut self,
        most: usize,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut count = 0;
        self.list(|cursor| {
            count += 1;
            if count > most { cursor.error("a shorter list") } else { item(cursor) }
        })
    }

    /// The same, for those who keep nothing, or the text.
    pub(crate) fn each(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<()>) -> Parsed<()> {
        self.open()?;
        if self.eat(b')') {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.eat(b')') {
                return Ok(());
            }
            self.space()?;
        }
    }

    /// Skips a value of any shape that an extension may have: RFC 9051 §9 `tagged-ext-val`, `body-extension`.
    pub(crate) fn skip_value(&mut self) -> Parsed<()> {
        // No recursion: only the depth is counted.
        let mut depth = 0_u32;
        loop {
            match self.peek() {
                Some(b'(') => {
                    self.at += 1;
                    depth += 1;
                    // An empty list, or the first item of one that is not.
                    if self.peek() != Some(b')') {
                        continue;
                    }
                }
                Some(b'"' | b'{') => drop(self.string()?),
                Some(b'~') => drop(self.binary()?),
                _ if self.take_while(|octet| is_astring_char(octet) || octet == b'*').is_empty() => {
                    return self.error("a value");
                }
                _ => {}
            }
            while depth > 0 && self.eat(b')') {
                depth -= 1;
            }
            if depth == 0 {
                return Ok(());
            }
            self.space()?;
        }
    }
}

/// The octets of words, each in upper case; zero for all others.
const WORD: [u8; 256] = {
    let mut upper = [0; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        if octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-' | b'=') {
            upper[octet as usize] = octet.to_ascii_uppercase();
        }
        octet += 1;
    }
    upper
};

/// A short word in upper case.
pub(crate) struct Word<const N: usize>([u8; N], usize);

impl<const N: usize> Word<N> {
    /// Octets that are one word, in upper case.
    pub(crate) fn new(octets: &[u8]) -> Self {
        let mut cursor = Cursor::new(octets);
        let word = cursor.upper_word();
        if cursor.is_empty() { word } else { Self([0; N], 0) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

/// What the grammar has found to be ASCII.
pub(crate) fn ascii(octets: &[u8]) -> &str {
    core::str::from_utf8(octets).expect("the grammar lets only ASCII through")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_strings_are_borrowed_unless_they_have_escapes() {
        let read = |text: &'static str| Cursor::new(text.as_bytes()).string();
        assert!(matches!(read("\"plain\" x").unwrap().into_octets(), Cow::Borrowed(b"plain")));
        assert_eq!(&*read("\"a\\\"b\\\\\"").unwrap().into_octets(), b"a\"b\\");
        for bad in ["\"open", "\"a\\b\"", "\"a\rb\"", "\"a\nb\"", "\"a\0\"", "\"\\"] {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn literals_end_by_their_count_alone() {
        let read = |text: &'static str| Cursor::new(text.as_bytes()).string().map(IString::into_octets);
        assert_eq!(&*read("{3}\r\na\"b)").unwrap(), b"a\"b");
        assert_eq!(&*read("{3+}\r\n\r\n{").unwrap(), b"\r\n{");
        for bad in ["{3}\r\nab", "{3}\nabc", "{}\r\n", "{99999999999999999999}\r\n", "{1}\r\n\0", "{-1}\r\n"]
        {
            assert!(read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn numbers_keep_to_their_width() {
        assert_eq!(Cursor::new(b"4294967295").number(), Ok(u32::MAX));
        assert!(Cursor::new(b"4294967296").number().is_err());
        assert_eq!(Cursor::new(b"9223372036854775807").number64(), Ok(i64::MAX as u64));
        assert!(Cursor::new(b"9223372036854775808").number64().is_err());
        assert!(Cursor::new(b"18446744073709551617").number64().is_err());
        assert_eq!(Cursor::new(b"000000000000000000000000007x").number64(), Ok(7));
        assert!(Cursor::new(b"0").nz_number().is_err());
        assert!(Cursor::new(b"01").nz_number().is_err());
    }

    #[test]
    fn words_come_in_upper_case_and_whole_or_not_at_all() {
        let mut cursor = Cursor::new(b"body.Peek[1]");
        assert_eq!(cursor.upper_word::<9>().as_bytes(), b"BODY.PEEK");
        assert_eq!(cursor.rest(), b"[1]");
        let mut cursor = Cursor::new(b"NOOPNOOP x");
        assert_eq!(cursor.upper_word::<4>().as_bytes(), b"");
        assert_eq!(cursor.rest(), b" x");
        assert_eq!(Word::<4>::new(b"ok").as_bytes(), b"OK");
        assert_eq!(Word::<4>::new(b"ok[").as_bytes(), b"");
    }

    #[test]
    fn values_of_any_depth_are_skipped_without_recursion() {
        let deep = format!("{}x{} rest", "(".repeat(1_000_000), ")".repeat(1_000_000));
        let mut cursor = Cursor::new(deep.as_bytes());
        cursor.skip_value().unwrap();
        assert_eq!(cursor.rest(), b" rest");
        for bad in ["(", "(a", "(a ", "(a  b)", ")", "(a b", ""] {
            assert!(Cursor::new(bad.as_bytes()).skip_value().is_err(), "{bad:?}");
        }
        for good in ["()", "(())", "(() a)", "5", "(a (b c) \"d\" {1}\r\ne)", "1:*,7"] {
            let mut cursor = Cursor::new(good.as_bytes());
            cursor.skip_value().unwrap();
            assert!(cursor.is_empty(), "{good:?}");
        }
    }
}
