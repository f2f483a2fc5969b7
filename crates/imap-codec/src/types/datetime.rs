//! Dates and times of day.

use crate::encode::Writer;
use crate::error::Invalid;
use crate::parse::{Cursor, Parsed};

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// A day: `1-Feb-1994`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Date {
    year: u16,
    month: u8,
    day: u8,
}

impl Date {
    /// Takes a day of the Gregorian calendar, of a year from 0 to 9999; months and days count from one.
    pub const fn new(year: u16, month: u8, day: u8) -> Result<Self, Invalid> {
        if year > 9999 || month < 1 || month > 12 || day < 1 || day > days_in(year, month) {
            return Err(Invalid("a day of the calendar"));
        }
        Ok(Self { year, month, day })
    }

    /// The year, 0 to 9999.
    pub const fn year(self) -> u16 {
        self.year
    }

    /// The month, 1 to 12.
    pub const fn month(self) -> u8 {
        self.month
    }

    /// The day of the month, from 1.
    pub const fn day(self) -> u8 {
        self.day
    }

    /// Days since 1970-01-01.
    pub fn days(self) -> i64 {
        // Years that begin in March, so that the leap day is the last one.
        let march = i64::from(self.month) - 3;
        let (year, month) =
            if march < 0 { (i64::from(self.year) - 1, march + 12) } else { (i64::from(self.year), march) };
        let day_of_year = (153 * month + 2) / 5 + i64::from(self.day) - 1;
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
    }

    /// The day that is so many days after 1970-01-01, if its year is one from 0 to 9999.
    pub fn from_days(days: i64) -> Option<Self> {
        if !(-719_528..=2_932_896).contains(&days) {
            return None;
        }
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let day = days.rem_euclid(146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day_of_year = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month + 2) / 5 + 1;
        let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        Self::new((year + era * 400 + carry) as u16, month as u8, day as u8).ok()
    }

    /// `date = date-text / DQUOTE date-text DQUOTE`
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let start = *cursor;
        let quoted = cursor.eat(b'"');
        let day = digits(cursor, 1, 2)?;
        let date = Self::parse_after_day(cursor, &start, day)?;
        if quoted {
            cursor.expect(b'"', "a quote")?;
        }
        Ok(date)
    }

    fn parse_after_day(cursor: &mut Cursor<'_>, start: &Cursor<'_>, day: u16) -> Parsed<Self> {
        cursor.expect(b'-', "a hyphen")?;
        let Some(month) = MONTHS.iter().position(|month| cursor.eat_word(month)) else {
            return cursor.error("a month");
        };
        cursor.expect(b'-', "a hyphen")?;
        let year = digits(cursor, 4, 4)?;
        Self::new(year, month as u8 + 1, day as u8).or_else(|_| start.error("a day of the calendar"))
    }

    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        writer.number(u64::from(self.day));
        self.write_after_day(writer);
    }

    fn write_after_day(self, writer: &mut Writer<'_>) {
        writer.octet(b'-');
        writer.raw(MONTHS[usize::from(self.month) - 1]);
        writer.octet(b'-');
        padded(writer, u32::from(self.year), 4);
    }
}

/// A moment with the offset of its zone: `"17-Jul-1996 02:44:25 -0700"`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DateTime {
    date: Date,
    hour: u8,
    minute: u8,
    second: u8,
    zone: i16,
}

impl DateTime {
    /// Takes the time of a day (a leap second is 60) and the zone in minutes east of Greenwich, less than a hundred hours.
    pub const fn new(date: Date, hour: u8, minute: u8, second: u8, zone: i16) -> Result<Self, Invalid> {
        if hour > 23 || minute > 59 || second > 60 || zone <= -6_000 || zone >= 6_000 {
            return Err(Invalid("a time of the day"));
        }
        Ok(Self { date, hour, minute, second, zone })
    }

    /// So many seconds after 1970-01-01 00:00 UTC, in UTC; `None` outside of the years 0 to 9999.
    pub fn from_unix(seconds: i64) -> Option<Self> {
        let date = Date::from_days(seconds.div_euclid(86_400))?;
        let time = seconds.rem_euclid(86_400);
        Self::new(date, (time / 3_600) as u8, (time / 60 % 60) as u8, (time % 60) as u8, 0).ok()
    }

    /// Seconds after 1970-01-01 00:00 UTC.
    pub fn unix(self) -> i64 {
        let time = i64::from(self.hour) * 3_600 + i64::from(self.minute) * 60 + i64::from(self.second);
        self.date.days() * 86_400 + time - i64::from(self.zone) * 60
    }

    /// The day, in its zone.
    pub const fn date(self) -> Date {
        self.date
    }

    /// Hour, minute and second, in its zone.
    pub const fn time(self) -> (u8, u8, u8) {
        (self.hour, self.minute, self.second)
    }

    /// The zone, in minutes east of Greenwich.
    pub const fn zone(self) -> i16 {
        self.zone
    }

    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let start = *cursor;
        cursor.expect(b'"', "a quoted date")?;
        let day = if cursor.eat(b' ') { digits(cursor, 1, 1)? } else { digits(cursor, 2, 2)? };
        let date = Date::parse_after_day(cursor, &start, day)?;
        cursor.space()?;
        let hour = digits(cursor, 2, 2)? as u8;
        cursor.expect(b':', "a colon")?;
        let minute = digits(cursor, 2, 2)? as u8;
        cursor.expect(b':', "a colon")?;
        let second = digits(cursor, 2, 2)? as u8;
        cursor.space()?;
        let west = match cursor.peek() {
            Some(b'+') => false,
            Some(b'-') => true,
            _ => return cursor.error("a zone"),
        };
        cursor.eat(if west { b'-' } else { b'+' });
        let zone = digits(cursor, 4, 4)? as i16;
        let minutes = zone / 100 * 60 + zone % 100;
        if zone % 100 > 59 {
            return start.error("a zone of hours and minutes");
        }
        cursor.expect(b'"', "a quote")?;
        Self::new(date, hour, minute, second, if west { -minutes } else { minutes })
            .or_else(|_| start.error("a time of the day"))
    }

    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        writer.octet(b'"');
        writer.octet(if self.date.day < 10 { b' ' } else { b'0' + self.date.day / 10 });
        writer.octet(b'0' + self.date.day % 10);
        self.date.write_after_day(writer);
        writer.octet(b' ');
        padded(writer, u32::from(self.hour), 2);
        writer.octet(b':');
        padded(writer, u32::from(self.minute), 2);
        writer.octet(b':');
        padded(writer, u32::from(self.second), 2);
        writer.raw(if self.zone < 0 { b" -" } else { b" +" });
        let zone = u32::from(self.zone.unsigned_abs());
        padded(writer, zone / 60 * 100 + zone % 60, 4);
        writer.octet(b'"');
    }
}

const fn days_in(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// From `least` to `most` digits, at most four.
fn digits(cursor: &mut Cursor<'_>, least: usize, most: usize) -> Parsed<u16> {
    let start = *cursor;
    let (mut number, mut count) = (0, 0);
    while count < most
        && let Some(digit @ b'0'..=b'9') = cursor.peek()
    {
        number = number * 10 + u16::from(digit - b'0');
        count += 1;
        cursor.eat(digit);
    }
    if count < least { start.error("digits") } else { Ok(number) }
}

fn padded(writer: &mut Writer<'_>, number: u32, width: u32) {
    for place in (0..width).rev() {
        writer.octet(b'0' + (number / 10_u32.pow(place) % 10) as u8);
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::encode::Wire;

    fn read(text: &str) -> Parsed<DateTime> {
        DateTime::parse(&mut Cursor::new(text.as_bytes()))
    }

    #[test]
    fn moments_are_read_written_and_counted() {
        let moment = read("\"17-Jul-1996 02:44:25 -0700\"").unwrap();
        assert_eq!(moment.unix(), 837_596_665);
        let mut out = BytesMut::new();
        moment.write(&mut Writer::new(Wire::default(), &mut out));
        assert_eq!(&out[..], b"\"17-Jul-1996 02:44:25 -0700\"");
        assert_eq!(read("\" 7-Feb-1994 21:52:25 +0530\"").unwrap().zone(), 330);
        for bad in [
            "\"7-Feb-1994 21:52:25 -0800\"",
            "\"30-Feb-1994 21:52:25 -0800\"",
            "\"07-Feb-1994 24:52:25 -0800\"",
            "\"07-Feb-1994 21:52:25 -0860\"",
            "\"07-Foo-1994 21:52:25 -0800\"",
            "\"07-Feb-1994 21:52:25 0800\"",
            "07-Feb-1994",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_day_of_the_calendar_is_counted_both_ways() {
        let mut days = Date::new(0, 1, 1).unwrap().days();
        assert_eq!(Date::new(1970, 1, 1).unwrap().days(), 0);
        for year in 0..=9999 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    let date = Date::new(year, month, day).unwrap();
                    assert_eq!((date.days(), Date::from_days(days)), (days, Some(date)));
                    days += 1;
                }
            }
        }
        assert_eq!((Date::from_days(days), Date::from_days(-719_529)), (None, None));
    }
}
