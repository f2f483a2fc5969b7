//! Sessions that end when their account may not be used any more.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// How often everybody was sent out of an account.
#[derive(Debug, Default)]
pub(super) struct Door {
    closed: AtomicU64,
    /// Wakes all who wait, in their order; a watch channel of tokio would draw lots.
    told: Notify,
}

/// A session's stay in an account. It is over once the account is removed or suspended, or a password of it was changed or
/// taken away since what the login was checked against was read.
#[derive(Clone)]
pub struct Presence {
    account: u64,
    door: Arc<Door>,
    /// How often it had been closed.
    known: u64,
}

impl Door {
    /// Sends everybody out.
    pub(super) fn close(&self) {
        self.closed.fetch_add(1, Ordering::AcqRel);
        self.told.notify_waiters();
    }

    /// Lets somebody in.
    pub(super) fn enter(self: &Arc<Self>, account: u64) -> Presence {
        Presence { account, door: Arc::clone(self), known: self.closed.load(Ordering::Acquire) }
    }
}

impl fmt::Debug for Presence {
    // It stands in the log, where the account says all; how many wait at the door, and at which addresses, says nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.account, f)
    }
}

impl Presence {
    /// Whose it is.
    pub const fn account(&self) -> u64 {
        self.account
    }

    /// Whether the session may do nothing more.
    pub fn is_over(&self) -> bool {
        self.door.closed.load(Ordering::Acquire) != self.known
    }

    /// Waits until that is so. May be dropped at any time.
    pub async fn over(&self) {
        loop {
            let mut told = pin!(self.door.told.notified());
            told.as_mut().enable();
            if self.is_over() {
                return;
            }
            told.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_is_inside_is_told_and_who_comes_later_is_not() {
        let door = Arc::<Door>::default();
        let (one, other) = (door.enter(1), door.enter(1));
        let waiting = tokio::spawn(async move { one.over().await });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished() && !other.is_over());
        door.close();
        waiting.await.unwrap();
        assert!(other.is_over());
        other.over().await;
        assert!(!door.enter(1).is_over());
    }
}
