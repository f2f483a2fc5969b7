//! What comes of a run.

use std::time::Duration;

use crate::world::Faults;

/// What has come of a run: of a world of mail hosts, or of IMAP sessions.
#[derive(Debug)]
pub struct Outcome<O, C> {
    /// Which.
    pub options: O,
    /// What was broken.
    pub violations: Vec<String>,
    /// The hash of all lines, and how many there were.
    pub fingerprint: (u64, u64),
    /// The last lines, if they were kept.
    pub lines: Vec<String>,
    /// What was counted.
    pub counts: C,
    /// What was done to it.
    pub faults: Faults,
    /// How long it was, in virtual time.
    pub lasted: Duration,
}
