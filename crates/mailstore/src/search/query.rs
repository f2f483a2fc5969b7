//! What is searched for.

use core::fmt;
use core::ops::RangeInclusive;

use thiserror::Error;

/// One thing that a message has or has not.
///
/// Texts match wherever they stand in what is searched, whatever the case; encoded words, transfer encodings and
/// charsets have been undone. An empty text matches where there is such a field, and in every body.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Key {
    /// `ALL`
    All,
    /// `SEEN`, `KEYWORD` and the like: it has all these flags.
    Flags(u64),
    /// `RECENT`
    Recent,
    /// `BEFORE`: it came before this day.
    Before(Day),
    /// `ON`
    On(Day),
    /// `SINCE`: it came on this day or later.
    Since(Day),
    /// `SENTBEFORE`: its Date is before this day. One that has no date, or none that can be read, was sent on no day.
    SentBefore(Day),
    /// `SENTON`
    SentOn(Day),
    /// `SENTSINCE`
    SentSince(Day),
    /// `LARGER`: it has more octets than this.
    Larger(u64),
    /// `SMALLER`: it has fewer.
    Smaller(u64),
    /// `UID`
    Uid(Numbers),
    /// Sequence numbers.
    Number(Numbers),
    /// `MODSEQ`: its modification sequence is this one or higher.
    ModSeq(u64),
    /// `FROM`
    From(String),
    /// `TO`
    To(String),
    /// `CC`
    Cc(String),
    /// `BCC`
    Bcc(String),
    /// `SUBJECT`
    Subject(String),
    /// `HEADER`: a field of this name has this text.
    Header(String, String),
    /// `BODY`: texts and messages within the message have it. Of messages within, the headers count as body.
    Body(String),
    /// `TEXT`: headers or body have it, the headers of parts too.
    Text(String),
    /// Something hangs on to its text: [`Structure::has_attachment`](crate::mime::Structure::has_attachment). IMAP has no such key.
    Attachment,
}

/// What a message has to be: keys, and how they belong together.
///
/// It is kept in the order in which it is worked out, so no nesting is too deep for it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Query {
    pub(crate) operations: Vec<Operation>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Operation {
    Key(Key),
    Not,
    And,
    Or,
}

impl From<Key> for Query {
    fn from(key: Key) -> Self {
        Self { operations: vec![Operation::Key(key)] }
    }
}

impl Query {
    /// Every message.
    pub fn all() -> Self {
        Key::All.into()
    }

    /// What matches both.
    #[must_use]
    pub fn and(self, other: impl Into<Self>) -> Self {
        self.joined(other.into(), Operation::And)
    }

    /// What matches one of the two.
    #[must_use]
    pub fn or(self, other: impl Into<Self>) -> Self {
        self.joined(other.into(), Operation::Or)
    }

    /// What does not match.
    #[expect(clippy::should_implement_trait, reason = "it stands beside `and` and `or`")]
    #[must_use]
    pub fn not(mut self) -> Self {
        self.operations.push(Operation::Not);
        self
    }

    fn joined(mut self, mut other: Self, operation: Operation) -> Self {
        self.operations.append(&mut other.operations);
        self.operations.push(operation);
        self
    }
}

/// A day, as the number of days since 1970-01-01.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Day(pub i64);

impl Day {
    /// A day of the Gregorian calendar; `None` for one that it does not have.
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
        let length = match month {
            2 => 28 + u8::from(leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return None,
        };
        if !(1..=length).contains(&day) {
            return None;
        }
        // Years that begin in March, so that the leap day is the last one.
        let (year, month) = (i64::from(year) - i64::from(month <= 2), (i64::from(month) + 9) % 12);
        let of_year = (153 * month + 2) / 5 + i64::from(day) - 1;
        Some(Self(
            365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468,
        ))
    }

    /// The day of a time in UTC.
    pub const fn of(time: crate::message::UnixTime) -> Self {
        Self(time.0.div_euclid(86_400))
    }

    /// The day that a Date field names, whatever its time and zone: [RFC 5322 §3.3](https://www.rfc-editor.org/rfc/rfc5322#section-3.3)
    /// and the obsolete forms of [§4.3](https://www.rfc-editor.org/rfc/rfc5322#section-4.3).
    pub fn of_field(value: &[u8]) -> Option<Self> {
        // Words are what stands between white space, comments, commas and hyphens.
        let mut words = [&b""[..]; 4];
        let (mut count, mut depth, mut start) = (0, 0_usize, None);
        for at in 0..=value.len() {
            let octet = value.get(at).copied().unwrap_or(b' ');
            let within = depth == 0 && octet.is_ascii_alphanumeric();
            match octet {
                b'(' => depth += 1,
                b')' => depth = depth.saturating_sub(1),
                _ => {}
            }
            match (start, within) {
                (None, true) => start = Some(at),
                (Some(from), false) => {
                    words[count] = &value[from..at];
                    count += 1;
                    start = None;
                }
                _ => {}
            }
            if count == words.len() {
                break;
            }
        }
        let words = if words[0].iter().all(u8::is_ascii_digit) { &words[..3] } else { &words[1..] };
        let [day, month, year] = words[..] else { return None };
        let number = |word: &[u8]| core::str::from_utf8(word).ok()?.parse::<u16>().ok();
        let month = MONTHS.iter().position(|name| {
            month.get(..3).is_some_and(|short| short.eq_ignore_ascii_case(name.as_bytes()))
        })?;
        // RFC 5322 §4.3: years of two or three digits.
        let year = match (number(year)?, year.len()) {
            (year @ 0..=49, 2) => year + 2_000,
            (year, 2 | 3) => year + 1_900,
            (year, _) => year,
        };
        Self::new(year, month as u8 + 1, u8::try_from(number(day)?).ok()?)
    }
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// Numbers of messages, as ranges in order.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct Numbers(Vec<(u32, u32)>);

impl Numbers {
    /// Takes ranges in any order; those that overlap become one.
    pub fn new(ranges: impl IntoIterator<Item = RangeInclusive<u32>>) -> Self {
        let pairs = ranges.into_iter().map(RangeInclusive::into_inner);
        let mut ranges: Vec<_> = pairs.filter(|(first, last)| first <= last).collect();
        ranges.sort_unstable();
        ranges.dedup_by(|next, before| {
            let touches = next.0 <= before.1.saturating_add(1);
            if touches {
                before.1 = before.1.max(next.1);
            }
            touches
        });
        Self(ranges)
    }

    /// Whether the number is in one of them.
    pub fn contains(&self, number: u32) -> bool {
        let at = self.0.partition_point(|&(_, last)| last < number);
        self.0.get(at).is_some_and(|&(first, _)| first <= number)
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(first, last)| first..=last)).finish()
    }
}

/// A query has more than 1,000 keys, or their texts more than 16 KiB.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("there is too much to search for")]
pub struct TooLarge;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (year, month, day, days) in [
            (1970, 1, 1, Some(0)),
            (1969, 12, 31, Some(-1)),
            (2000, 2, 29, Some(11_016)),
            (2000, 3, 1, Some(11_017)),
            (2024, 12, 31, Some(20_088)),
            (1, 1, 1, Some(-719_162)),
            (0, 3, 1, Some(-719_468)),
            (1900, 2, 29, None),
            (2023, 4, 31, None),
            (2023, 13, 1, None),
            (2023, 0, 1, None),
            (2023, 1, 0, None),
        ] {
            assert_eq!(Day::new(year, month, day), days.map(Day), "{year}-{month}-{day}");
        }
        // Each day is one more than the day before.
        let mut next = Day::new(1800, 1, 1).expect("a day").0;
        for year in 1800..2200 {
            for month in 1..=12 {
                for day in (1..=31).filter_map(|day| Day::new(year, month, day)) {
                    assert_eq!(day.0, next);
                    next += 1;
                }
            }
        }
    }

    #[test]
    fn dates_of_messages_are_read_in_any_form() {
        let day = Day::new(1997, 11, 21);
        for date in [
            "Fri, 21 Nov 1997 09:55:06 -0600",
            "21 Nov 97 09:55:06 GMT",
            "Fri, 21 Nov 1997 09(comment):   55  :  06 -0600",
            "Fri (1 Jan 2000), 21 (a (b)) Nov 1997",
            "21-Nov-1997",
            "21 November 1997",
            "fri,21 nov 097",
        ] {
            assert_eq!(Day::of_field(date.as_bytes()), day, "{date}");
        }
        assert_eq!(Day::of_field(b"1 Jan 49"), Day::new(2049, 1, 1));
        assert_eq!(Day::of_field(b"1 Jan 50"), Day::new(1950, 1, 1));
        assert_eq!(Day::of_field(b"1 Jan 103"), Day::new(2003, 1, 1));
        for none in
            ["", "yesterday", "Fri, 31 Feb 1997", "Fri, 21 Nov", "21 Foo 1997", "((((", "1 J\u{e4}n 1997"]
        {
            assert_eq!(Day::of_field(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn numbers_are_ranges_in_any_order() {
        let numbers = Numbers::new([9..=9, 1..=3, 2..=5, 6..=6, u32::MAX..=u32::MAX]);
        assert_eq!(format!("{numbers:?}"), "[1..=6, 9..=9, 4294967295..=4294967295]");
        for (number, is) in [(0, false), (1, true), (6, true), (7, false), (9, true), (u32::MAX, true)] {
            assert_eq!(numbers.contains(number), is, "{number}");
        }
        assert!(!Numbers::default().contains(1));
    }
}
