//! What was counted over the last day, a sample each minute: for the charts of the operator's pages.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

use crate::host::Host;
use crate::listener::Stopping;

/// The samples of a day, the oldest first. 1,441 of 64 octets.
#[derive(Debug, Default)]
pub struct History(Mutex<VecDeque<Sample>>);

/// What had been counted since the start at one moment, and how the queue was.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sample {
    /// When, since the UNIX epoch.
    pub at: Duration,
    /// The counters.
    pub counted: Counted,
    /// Messages in the queue.
    pub queue: u64,
    /// How long the oldest of them had waited.
    pub age: Duration,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counted {
    /// Messages that were taken over SMTP.
    pub accepted: u64,
    /// Mailboxes here that they were put into.
    pub delivered: u64,
    /// Recipients whose messages other hosts have taken.
    pub relayed: u64,
    /// Senders, recipients and messages that were refused.
    pub refused: u64,
}

/// What happened between two moments.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Interval {
    /// When it begins, since the UNIX epoch.
    pub from: Duration,
    /// Whether there is any sample in it: the host may not have run.
    pub known: bool,
    /// What was counted in it.
    pub counted: Counted,
    /// The most messages that were in the queue.
    pub queue: u64,
    /// The longest that one of them had waited.
    pub age: Duration,
}

impl Sample {
    /// How it is now.
    pub async fn take(host: &Host) -> Self {
        let now = host.store.system().unix_now();
        let (counts, seen) = (&host.counts, host.relay.seen().await);
        Self {
            at: now,
            counted: Counted {
                accepted: counts.accepted.all().iter().map(|(_, count)| count).sum(),
                delivered: counts.delivered.load(Ordering::Relaxed),
                relayed: seen.counters.delivered,
                refused: counts.refusals.all().iter().map(|(_, count)| count).sum(),
            },
            queue: seen.messages as u64,
            age: seen.oldest.map_or(Duration::ZERO, |oldest| now.saturating_sub(oldest)),
        }
    }
}

impl History {
    /// One more sample, which comes behind all others. Those that are older than a day go.
    pub fn add(&self, sample: Sample) {
        let mut samples = self.lock();
        // A clock that was set back has made these wrong.
        while samples.back().is_some_and(|last| last.at >= sample.at) {
            samples.pop_back();
        }
        samples.push_back(sample);
        while samples.len() > MOST || samples.front().is_some_and(|first| first.at + DAY < sample.at) {
            samples.pop_front();
        }
    }

    /// The last day in so many equal parts, the oldest first; `now` is the last sample and is not kept.
    pub fn day(&self, now: Sample, parts: u32) -> Vec<Interval> {
        let length = DAY / parts;
        let start = now.at.saturating_sub(DAY);
        let mut intervals: Vec<_> =
            (0..parts).map(|part| Interval { from: start + length * part, ..Interval::default() }).collect();
        let samples = self.lock();
        let mut before: Option<Sample> = None;
        for sample in samples.iter().copied().filter(|sample| sample.at < now.at).chain([now]) {
            // What is counted at a moment has happened before it.
            let behind = sample.at.checked_sub(start).and_then(|behind| behind.checked_sub(MOMENT));
            let at = behind.and_then(|behind| usize::try_from(behind.as_nanos() / length.as_nanos()).ok());
            if let Some(interval) = at.and_then(|at| intervals.get_mut(at)) {
                interval.known = true;
                interval.counted.add(sample.counted.since(before.map(|before| before.counted)));
                interval.queue = interval.queue.max(sample.queue);
                interval.age = interval.age.max(sample.age);
            }
            before = Some(sample);
        }
        intervals
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    /// What has been added since; nothing if it is not known what was before.
    fn since(self, before: Option<Self>) -> Self {
        let before = before.unwrap_or(self);
        Self {
            accepted: self.accepted.saturating_sub(before.accepted),
            delivered: self.delivered.saturating_sub(before.delivered),
            relayed: self.relayed.saturating_sub(before.relayed),
            refused: self.refused.saturating_sub(before.refused),
        }
    }

    /// Adds all of them.
    pub fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.delivered += other.delivered;
        self.relayed += other.relayed;
        self.refused += other.refused;
    }
}

/// Takes samples until the host stops.
pub(crate) async fn keep(host: Arc<Host>, mut stopping: Stopping) {
    // Nothing has been counted when a host starts.
    host.history.add(Sample { at: host.started, ..Sample::default() });
    loop {
        tokio::select! {
            () = stopping.requested() => return,
            () = sleep(EACH) => host.history.add(Sample::take(&host).await),
        }
    }
}

/// How far back it goes.
pub const DAY: Duration = Duration::from_secs(86_400);
const MOMENT: Duration = Duration::from_nanos(1);
/// How often a sample is taken.
const EACH: Duration = Duration::from_secs(60);
/// The most samples: those of a day, and the one that it begins with.
const MOST: usize = 1_441;

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(minute: u64, accepted: u64, queue: u64) -> Sample {
        let counted = Counted { accepted, refused: 2 * accepted, ..Counted::default() };
        Sample { at: Duration::from_secs(60 * minute), counted, queue, age: Duration::from_secs(queue) }
    }

    #[test]
    fn each_part_of_the_day_has_what_was_counted_in_it() {
        let history = History::default();
        for (minute, accepted, queue) in [(10_000, 5, 1), (10_001, 7, 9), (10_059, 8, 2), (10_060, 18, 0)] {
            history.add(sample(minute, accepted, queue));
        }
        let now = sample(10_061, 19, 3);
        let day = history.day(now, 24);
        assert_eq!(day.len(), 24);
        assert_eq!(day[0].from, now.at - DAY);
        assert!(day[..22].iter().all(|hour| !hour.known && hour.counted == Counted::default()));
        let seen =
            |hour: &Interval| (hour.counted.accepted, hour.counted.refused, hour.queue, hour.age.as_secs());
        // From 9,941 to 10,001, and from there to now.
        assert_eq!(seen(&day[22]), (2, 4, 9, 9), "what was before the first sample is not known");
        assert_eq!(seen(&day[23]), (12, 24, 3, 3));
        assert_eq!(history.day(now, 24), day, "to look changes nothing");
    }

    #[test]
    fn what_is_older_than_a_day_goes() {
        let history = History::default();
        for minute in 0..5_000 {
            history.add(sample(minute, minute, 0));
        }
        assert_eq!(history.lock().len(), MOST);
        let day = history.day(sample(5_000, 5_000, 0), 96);
        assert_eq!(day.iter().map(|part| part.counted.accepted).sum::<u64>(), 1_440);
        assert!(day.iter().all(|part| part.known && part.counted.accepted == 15), "{day:?}");
    }

    #[test]
    fn a_clock_that_is_set_back_and_a_start_anew_lose_nothing_but_samples() {
        let history = History::default();
        for minute in [100, 200, 50] {
            history.add(sample(minute, minute, 0));
        }
        let total = |day: Vec<Interval>| day.iter().map(|part| part.counted.accepted).sum::<u64>();
        assert_eq!(total(history.day(sample(60, 80, 0), 24)), 30);
        assert_eq!(total(history.day(sample(61, 0, 0), 24)), 0, "counters that went back");
        assert_eq!(total(history.day(sample(40, 90, 0), 24)), 0);
    }
}
