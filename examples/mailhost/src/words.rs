//! Sizes, times and counts, as people read them.

use std::time::Duration;

use time::OffsetDateTime;

/// In the unit in which it has one to four digits.
pub fn size(octets: u64) -> String {
    let units = ["octets", "KiB", "MiB", "GiB", "TiB"];
    let unit = (0..units.len() - 1).find(|unit| octets >> (10 * unit) < 1_024).unwrap_or(units.len() - 1);
    let whole = octets >> (10 * unit);
    // One digit behind the point where there is but one before it.
    let tenths = (octets >> (10 * unit.saturating_sub(1)) & 1_023) * 10 / 1_024;
    if unit > 0 && whole < 10 {
        format!("{whole}.{tenths} {}", units[unit])
    } else {
        format!("{whole} {}", units[unit])
    }
}

/// The day of a time in seconds of Unix.
pub fn date(seconds: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    at.date().to_string()
}

/// The minute of a time since the UNIX epoch, in UTC.
pub fn minute(at: Duration) -> String {
    let at = moment(at);
    format!("{} {:02}:{:02} UTC", at.date(), at.hour(), at.minute())
}

/// The time of day in UTC, for places where there is little room.
pub fn clock(at: Duration) -> String {
    let at = moment(at);
    format!("{:02}:{:02}", at.hour(), at.minute())
}

/// The same as programs read it.
pub fn exact(at: Duration) -> String {
    let at = moment(at);
    format!("{}T{:02}:{:02}:{:02}Z", at.date(), at.hour(), at.minute(), at.second())
}

/// How long something takes or has taken, in its largest unit: `3 hours`.
pub fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (length, unit) = units.into_iter().find(|(length, _)| seconds >= *length).unwrap_or((1, "second"));
    number(seconds / length, unit)
}

/// `1 message`, `2 messages`.
pub fn number(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn moment(at: Duration) -> OffsetDateTime {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_short() {
        let at = Duration::from_secs(1_795_356_245);
        assert_eq!(minute(at), "2026-11-22 14:04 UTC");
        assert_eq!((&*clock(at), &*exact(at)), ("14:04", "2026-11-22T14:04:05Z"));
        for (seconds, text) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (119, "1 minute"),
            (7_199, "1 hour"),
            (7_200, "2 hours"),
            (400_000, "4 days"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
        assert_eq!(minute(Duration::MAX), "1970-01-01 00:00 UTC");
    }

    #[test]
    fn sizes_have_few_digits() {
        let sizes = [0, 1_023, 1_024, 1_536, 10_240, 1 << 20, (5 << 30) + (3 << 28), u64::MAX];
        let texts = ["0 octets", "1023 octets", "1.0 KiB", "1.5 KiB", "10 KiB", "1.0 MiB", "5.7 GiB"];
        for (octets, text) in sizes.into_iter().zip(texts) {
            assert_eq!(size(octets), text);
        }
        assert_eq!(size(u64::MAX), "16777215 TiB");
    }
}
