//! How often something may be done: so many times at once, and so often in the long run.

use std::sync::{Mutex, PoisonError};

/// What is left of it.
#[derive(Debug)]
pub(super) struct Budget {
    most: f64,
    per_second: f64,
    /// What is left, and when that was counted, in seconds of Unix.
    left: Mutex<Option<(f64, i64)>>,
}

impl Budget {
    /// A full one, of so many at once and so many a second after that.
    pub(super) const fn new(most: f64, per_second: f64) -> Self {
        Self { most, per_second, left: Mutex::new(None) }
    }

    /// Takes so many out of it at this time, in seconds of Unix; none if that is more than is left.
    pub(super) fn take(&self, count: usize, now: i64) -> bool {
        let mut budget = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let (left, counted) = budget.unwrap_or((self.most, now));
        // A clock that was set back gives nothing.
        let passed = u32::try_from(now.saturating_sub(counted).max(0)).unwrap_or(u32::MAX);
        let left = (left + f64::from(passed) * self.per_second).min(self.most);
        let wanted = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        let allowed = wanted <= left;
        *budget = Some((if allowed { left - wanted } else { left }, now));
        allowed
    }
}
