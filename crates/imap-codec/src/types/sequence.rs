//! Sets of messages, by sequence number or UID. They are never expanded.

use core::num::NonZeroU32;
use core::ops::RangeInclusive;
use std::borrow::Cow;

use crate::encode::Writer;
use crate::error::Invalid;
use crate::parse::{Cursor, Parsed, ascii};

/// One or more ranges of messages, or `$`, the result of the last search that was saved.
///
/// [RFC 9051 §9](https://www.rfc-editor.org/rfc/rfc9051#section-9):
///
/// ```text
/// sequence-set = (seq-number / seq-range) ["," sequence-set] / "$"
/// seq-number   = nz-number / "*"
/// seq-range    = seq-number ":" seq-number
/// ```
///
/// It is the text that came, looked at once: `1:4294967295` costs twelve octets.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct SequenceSet<'a>(Cow<'a, str>);

/// A sequence number or UID, or the largest one there is.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum SeqNumber {
    /// This one.
    Number(NonZeroU32),
    /// `*`.
    Last,
}

impl SeqNumber {
    /// The number, where `last` is the largest one in use; with zero messages there is none, and it gives 0.
    pub fn resolve(self, last: u32) -> u32 {
        match self {
            Self::Number(number) => number.get(),
            Self::Last => last,
        }
    }
}

impl<'a> SequenceSet<'a> {
    /// The result of the last search that was saved: `$`, RFC 5182.
    pub const SAVED: SequenceSet<'static> = SequenceSet(Cow::Borrowed("$"));
    /// All messages: `1:*`.
    pub const ALL: SequenceSet<'static> = SequenceSet(Cow::Borrowed("1:*"));

    /// Takes what is a sequence set.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Result<Self, Invalid> {
        let text = text.into();
        let mut cursor = Cursor::new(text.as_bytes());
        match Self::skip(&mut cursor) {
            Ok(()) if cursor.is_empty() => Ok(Self(text)),
            _ => Err(Invalid("a sequence set")),
        }
    }

    /// One message.
    pub fn one(number: NonZeroU32) -> SequenceSet<'static> {
        SequenceSet(Cow::Owned(number.to_string()))
    }

    /// Numbers as they come, neighbours joined to ranges; `None` if there are none.
    pub fn from_numbers(numbers: impl IntoIterator<Item = NonZeroU32>) -> Option<SequenceSet<'static>> {
        let mut ranges: Vec<RangeInclusive<NonZeroU32>> = Vec::new();
        for number in numbers {
            match ranges.last_mut() {
                Some(last) if last.end().checked_add(1) == Some(number) => *last = *last.start()..=number,
                _ => ranges.push(number..=number),
            }
        }
        Self::from_ranges(ranges)
    }

    /// Ranges as they come; `None` if there are none.
    pub fn from_ranges(
        ranges: impl IntoIterator<Item = RangeInclusive<NonZeroU32>>,
    ) -> Option<SequenceSet<'static>> {
        use core::fmt::Write as _;
        let mut text = String::new();
        for range in ranges {
            if !text.is_empty() {
                text.push(',');
            }
            let written = if range.start() == range.end() {
                write!(text, "{}", range.start())
            } else {
                write!(text, "{}:{}", range.start(), range.end())
            };
            written.expect("a string takes what is written");
        }
        (!text.is_empty()).then_some(SequenceSet(Cow::Owned(text)))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `$`, the saved result. It then has no ranges.
    pub fn is_saved(&self) -> bool {
        self.0 == "$"
    }

    /// The ranges as they were sent: the second number may be below the first.
    pub fn ranges(&self) -> impl Iterator<Item = (SeqNumber, SeqNumber)> {
        let ranges = if self.is_saved() { "" } else { &*self.0 };
        ranges.split(',').filter(|range| !range.is_empty()).map(|range| match range.split_once(':') {
            None => (seq_number(range), seq_number(range)),
            Some((from, to)) => (seq_number(from), seq_number(to)),
        })
    }

    /// The ranges in ascending form, where `last` is the largest number in use; with none in use, `*` gives no range.
    pub fn resolved(&self, last: u32) -> impl Iterator<Item = RangeInclusive<u32>> {
        self.ranges().filter_map(move |(from, to)| {
            let (from, to) = (from.resolve(last), to.resolve(last));
            let (low, high) = (from.min(to), from.max(to));
            (low > 0).then_some(low..=high)
        })
    }

    /// Whether a number is in the set. Takes time in proportion to the number of ranges.
    pub fn contains(&self, number: u32, last: u32) -> bool {
        self.resolved(last).any(|range| range.contains(&number))
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> SequenceSet<'static> {
        SequenceSet(Cow::Owned(self.0.into_owned()))
    }

    /// Reads a set, `$` included.
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let start = cursor.at();
        Self::skip(cursor)?;
        Ok(Self(Cow::Borrowed(ascii(cursor.since(start)))))
    }

    fn skip(cursor: &mut Cursor<'_>) -> Parsed<()> {
        if cursor.eat(b'$') {
            return Ok(());
        }
        loop {
            skip_number(cursor)?;
            if cursor.eat(b':') {
                skip_number(cursor)?;
            }
            if !cursor.eat(b',') {
                return Ok(());
            }
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.raw(&*self.0);
    }
}

fn skip_number(cursor: &mut Cursor<'_>) -> Parsed<()> {
    if cursor.eat(b'*') { Ok(()) } else { cursor.nz_number().map(drop) }
}

fn seq_number(text: &str) -> SeqNumber {
    match text.parse() {
        Ok(number) => SeqNumber::Number(number),
        Err(_) => SeqNumber::Last,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_looked_at_and_not_expanded() {
        let set = SequenceSet::new("2,4:7,9,12:*").unwrap();
        let numbers: Vec<u32> = set.resolved(15).flatten().collect();
        assert_eq!(numbers, [2, 4, 5, 6, 7, 9, 12, 13, 14, 15]);
        let set = SequenceSet::new("*:4,5:7").unwrap();
        assert_eq!(set.resolved(10).collect::<Vec<_>>(), [4..=10, 5..=7]);
        assert!(SequenceSet::ALL.contains(u32::MAX, u32::MAX));
        assert_eq!(SequenceSet::new("3291:*").unwrap().resolved(5).collect::<Vec<_>>(), [5..=3291]);
        assert_eq!(SequenceSet::new("*").unwrap().resolved(0).count(), 0);
        assert_eq!(SequenceSet::SAVED.ranges().count(), 0);
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for bad in
            ["", "0", "01", "1,", ",1", "1::2", "1:2:3", "a", "1 2", "$,1", "4294967296", "**", "-1", "1:"]
        {
            assert!(SequenceSet::new(bad).is_err(), "{bad:?}");
        }
        for good in ["1", "*", "$", "1:*", "*:*", "4294967295", "1,1,1", "9:2"] {
            assert!(SequenceSet::new(good).is_ok(), "{good:?}");
        }
    }

    // Ledger: 4315-3-2, 9051-7.1-4
    #[test]
    fn neighbours_are_joined() {
        let numbers = |numbers: &[u32]| {
            let numbers = numbers.iter().map(|number| NonZeroU32::new(*number).unwrap());
            SequenceSet::from_numbers(numbers).map(|set| set.as_str().to_owned())
        };
        assert_eq!(numbers(&[]), None);
        assert_eq!(numbers(&[1, 2, 3, 7, 9, 10, 4, u32::MAX]).unwrap(), "1:3,7,9:10,4,4294967295");
    }
}
