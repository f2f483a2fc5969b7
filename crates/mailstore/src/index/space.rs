//! How much of each segment is alive.

use std::collections::BTreeMap;

/// Octets of records in segments.
#[derive(Clone, Debug, Default)]
pub(crate) struct Space(BTreeMap<u32, Account>);

/// Octets of records in one segment, frames and padding included.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Account {
    /// Of records that say what is.
    pub(crate) live: u64,
    /// Of records that say what is not any more, and have to stay as long as an older segment may say that it is.
    pub(crate) gone: u64,
}

impl Space {
    pub(crate) fn of(&self, segment: u32) -> Account {
        self.0.get(&segment).copied().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, segment: u32, octets: u64) {
        self.0.entry(segment).or_default().live += octets;
    }

    pub(crate) fn sub(&mut self, segment: u32, octets: u64) {
        if let Some(account) = self.0.get_mut(&segment) {
            account.live = account.live.saturating_sub(octets);
        }
    }

    pub(crate) fn add_gone(&mut self, segment: u32, octets: u64) {
        self.0.entry(segment).or_default().gone += octets;
    }

    pub(crate) fn forget(&mut self, segment: u32) {
        self.0.remove(&segment);
    }

    pub(crate) fn from(&self, from: u32) -> impl Iterator<Item = (u32, Account)> {
        self.0.range(from..).map(|(segment, account)| (*segment, *account))
    }
}
