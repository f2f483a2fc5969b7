//! Points in time, as people read them.

use maud::{Markup, html};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// The clock of a person: what time it is, and how far theirs is from UTC.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Clock {
    /// In seconds of Unix.
    pub(super) now: i64,
    /// Theirs, as the script of the pages has said it; UTC for who runs none.
    pub(super) offset: UtcOffset,
}

impl Clock {
    /// As the cookie says, in minutes east of UTC.
    pub(super) fn new(now: i64, minutes: Option<&str>) -> Self {
        let minutes = minutes
            .and_then(|minutes| minutes.parse::<i32>().ok())
            .filter(|minutes| (-14 * 60..=14 * 60).contains(minutes));
        let offset = minutes.and_then(|minutes| UtcOffset::from_whole_seconds(minutes * 60).ok());
        Self { now, offset: offset.unwrap_or(UtcOffset::UTC) }
    }

    /// A time, at this clock's place.
    pub(super) fn local(self, at: i64) -> OffsetDateTime {
        // Beyond the year 9999 nobody reads it.
        let at = OffsetDateTime::from_unix_timestamp(at).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        at.checked_to_offset(self.offset).unwrap_or(at)
    }

    /// As short as it can be: the time of today, the day of this year, or the whole date.
    pub(super) fn short(self, at: i64) -> Markup {
        let (local, now) = (self.local(at), self.local(self.now));
        let short = if local.date() == now.date() {
            local.format(format_description!("[hour]:[minute]"))
        } else if local.year() == now.year() {
            local.format(format_description!("[day padding:none] [month repr:short]"))
        } else {
            local.format(format_description!("[day padding:none] [month repr:short] [year]"))
        };
        self.marked(at, &short.unwrap_or_default())
    }

    /// In full, to the minute.
    pub(super) fn long(self, at: i64) -> Markup {
        self.marked(at, &self.text(at))
    }

    /// The same without markup.
    pub(super) fn text(self, at: i64) -> String {
        let format = format_description!(
            "[weekday repr:short], [day padding:none] [month repr:long] [year], [hour]:[minute]"
        );
        let text = self.local(at).format(format).unwrap_or_default();
        if self.offset.is_utc() { format!("{text} UTC") } else { text }
    }

    fn marked(self, at: i64, text: &str) -> Markup {
        let exact = self.local(at).format(&Rfc3339).unwrap_or_default();
        html! { time datetime=(exact) title=(self.text(at)) { (text) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sunday, 2026-11-22, 13:05 UTC.
    const NOW: i64 = 1_795_352_700;

    #[test]
    fn times_are_as_short_as_can_be() {
        let clock = Clock::new(NOW, None);
        let text = |clock: Clock, at: i64| clock.short(at).into_string();
        assert!(text(clock, NOW).ends_with(">13:05</time>"), "{}", text(clock, NOW));
        assert!(text(clock, NOW - 86_400).ends_with(">21 Nov</time>"));
        assert!(text(clock, NOW - 400 * 86_400).ends_with(">18 Oct 2025</time>"));
        assert!(
            text(clock, NOW).contains("title=\"Sun, 22 November 2026, 13:05 UTC\""),
            "{}",
            text(clock, NOW)
        );
        let east = Clock::new(NOW, Some("780"));
        assert!(text(east, NOW).contains("datetime=\"2026-11-23T02:05:00+13:00\""), "{}", text(east, NOW));
        assert!(text(east, NOW - 7_200).contains(">00:05</time>"));
        assert!(text(east, NOW - 3 * 3_600).contains(">22 Nov</time>"));
    }

    #[test]
    fn clocks_that_make_no_sense_are_utc() {
        for minutes in ["", "x", "100000", "-100000", "60.5", "-2147483648"] {
            assert_eq!(Clock::new(NOW, Some(minutes)).offset, UtcOffset::UTC, "{minutes}");
        }
        for at in [i64::MIN, i64::MAX] {
            let _ = Clock::new(NOW, Some("-840")).long(at);
        }
    }
}
