//! When to try again, when to warn, when to give up: derived from the age of a message, and in this file alone.

use core::time::Duration;

use crate::envelope::MessageId;
use crate::seed::{JITTER, Seed};

/// Seconds since the UNIX epoch. Signed, so that a clock that jumps cannot overflow it.
pub(crate) type Time = i64;

/// When a message is tried, warned about, and given up.
///
/// ```text
/// age 0     5m   20m     50m       1h50m     3h50m 4h       7h50m  11h50m ... 27h50m   30h
///     try   try  try     try       try       try   warning  try    try        try      last try, then the report
/// ```
///
/// The waits between tries are added up to ages, and the next try is at the next age that lies ahead: what is to come
/// depends on the age of the message alone, not on how often it was tried or on how often the host was restarted. Each wait
/// is varied by up to the jitter, the same for the same message and seed.
#[derive(Clone, Debug)]
pub struct Schedule {
    waits: Vec<Time>,
    jitter: Time,
    warn: Option<Time>,
    expire: Time,
}

/// What follows a failure that may pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Next {
    TryAt(Time),
    GiveUp,
}

impl Schedule {
    /// The waits between tries; the last one repeats. What is under a second counts as one.
    ///
    /// Default 5, 15, 30 minutes, 1, 2, 4 hours.
    /// [RFC 5321 §4.5.4.1](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.4.1) asks for 30 minutes at least in general;
    /// the early tries are for hosts that defer everything they see for the first time.
    pub fn waits(mut self, waits: &[Duration]) -> Self {
        if !waits.is_empty() {
            self.waits = waits.iter().map(|wait| seconds(*wait).clamp(1, LONGEST)).collect();
        }
        self
    }

    /// By how many hundredths a wait may be longer or shorter; at most 40.
    ///
    /// Default 10.
    pub const fn jitter(mut self, percent: u8) -> Self {
        self.jitter = if percent > 40 { 40 } else { percent as Time };
        self
    }

    /// The age at which the sender is told that a message is late; `None` for never.
    ///
    /// Default 4 hours.
    pub fn warn(mut self, age: Option<Duration>) -> Self {
        self.warn = age.map(|age| seconds(age).clamp(1, LONGEST));
        self
    }

    /// The age at which a message is tried for the last time, whatever state it is in.
    ///
    /// Default 30 hours. [RFC 5321 §4.5.4.1](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.4.1) advises 4 to 5 days.
    pub fn expire(mut self, age: Duration) -> Self {
        self.expire = seconds(age).clamp(1, LONGEST);
        self
    }

    /// THE place where a message is given up or not, for all states and all kinds of failures that may pass: a failure that
    /// is learnt at or after the expiry was the last one.
    pub(crate) fn after_failure(&self, seed: Seed, message: MessageId, accepted: Time, now: Time) -> Next {
        let expiry = self.expiry(accepted);
        if now >= expiry {
            return Next::GiveUp;
        }
        let age = now - accepted;
        // The tries whose nominal age has not come, and the one before, which jitter may have put behind us or not.
        let mut number = self.first_after(age).saturating_sub(1);
        loop {
            let (at, wait) = self.point(number);
            let spread = wait * self.jitter;
            let off = match spread {
                0 => 0,
                _ => {
                    let hash = seed.hash(JITTER, message.0, number);
                    (hash % (2 * spread as u64 + 1)) as Time - spread
                }
            };
            let at = at + off / 100;
            if at > age {
                // RFC 5321 §4.5.4.1: after a failed attempt, wait; also when the attempt itself took long.
                return Next::TryAt((accepted + at.max(age + wait / 2)).min(expiry));
            }
            number += 1;
        }
    }

    pub(crate) const fn expiry(&self, accepted: Time) -> Time {
        accepted + self.expire
    }

    pub(crate) fn warning(&self, accepted: Time) -> Option<Time> {
        self.warn.filter(|warn| *warn < self.expire).map(|warn| accepted + warn)
    }

    /// The age of a retry, and the wait before it, both without jitter.
    fn point(&self, number: u64) -> (Time, Time) {
        let last = *self.waits.last().expect("there is a wait");
        let listed = (number as usize + 1).min(self.waits.len());
        let beyond = number + 1 - listed as u64;
        let at = self.waits[..listed].iter().sum::<Time>() + beyond as Time * last;
        (at, self.waits[listed - 1])
    }

    /// The number of the first retry whose nominal age is greater.
    fn first_after(&self, age: Time) -> u64 {
        let mut at = 0;
        for (number, wait) in self.waits.iter().enumerate() {
            at += wait;
            if at > age {
                return number as u64;
            }
        }
        let last = *self.waits.last().expect("there is a wait");
        self.waits.len() as u64 + ((age - at) / last) as u64
    }
}

impl Default for Schedule {
    fn default() -> Self {
        let minutes = |count: Time| 60 * count;
        Self {
            waits: [5, 15, 30, 60, 120, 240].map(minutes).to_vec(),
            jitter: 10,
            warn: Some(minutes(240)),
            expire: minutes(30 * 60),
        }
    }
}

/// Whole seconds, bounded so that sums of them cannot overflow.
pub(crate) fn seconds(time: Duration) -> Time {
    time.as_secs().min(1 << 40) as Time
}

/// Thirty years.
const LONGEST: Time = 30 * 366 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(schedule: &Schedule, seed: u64, took: Time) -> Vec<Time> {
        let (mut now, mut tries) = (1_000_000 + took, vec![]);
        while let Next::TryAt(at) = schedule.after_failure(Seed::new(seed), MessageId(7), 1_000_000, now) {
            assert!(at > now);
            tries.push(at - 1_000_000);
            now = at + took;
        }
        tries
    }

    #[test]
    fn the_waits_add_up_and_the_last_one_repeats() {
        let minutes =
            tries(&Schedule::default().jitter(0), 1, 0).iter().map(|at| at / 60).collect::<Vec<_>>();
        assert_eq!(minutes, [5, 20, 50, 110, 230, 470, 710, 950, 1190, 1430, 1670, 1800]);
    }

    #[test]
    fn jitter_stays_within_its_share_of_the_wait_and_repeats_with_the_seed() {
        let nominal = tries(&Schedule::default().jitter(0), 1, 0);
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let varied = tries(&Schedule::default(), seed, 0);
            assert_eq!(varied, tries(&Schedule::default(), seed, 0));
            assert_eq!(varied.len(), nominal.len());
            let mut before = 0;
            for (at, nominal_at) in varied.iter().zip(&nominal).take(nominal.len() - 1) {
                assert!((at - nominal_at).abs() * 10 <= nominal_at - before, "{at} for {nominal_at}");
                before = *nominal_at;
            }
            assert_eq!(varied.last(), Some(&(30 * 3_600)));
            seen.insert(varied);
        }
        assert_eq!(seen.len(), 200);
    }

    #[test]
    fn a_slow_attempt_is_followed_by_half_a_wait_at_least() {
        assert_eq!(tries(&Schedule::default().jitter(0), 1, 290)[..2], [440, 1_200]);
    }

    #[test]
    fn five_days_can_be_had() {
        let schedule = Schedule::default().jitter(0).expire(Duration::from_secs(5 * 86_400));
        assert_eq!(tries(&schedule, 1, 0).last(), Some(&(5 * 86_400)));
    }
}
