//! What is known, and until when.
//!
//! Every entry stands under the question that was asked. An entry is gone at the moment it expires (RFC 2308 §5), not later.
//! Failures stay twice as long as they hold, so that one that persists is known to be no new one.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hickory_proto::rr::Name;

use crate::answer::{Answer, Data, octets_of};
use crate::error::Failure;
use crate::limits::Limits;
use crate::query::{Key, Kind};

/// What is known about a question.
#[derive(Clone, Debug)]
pub(crate) enum Known {
    /// This is the answer, until then.
    Answer(Arc<Answer>, Duration),
    /// Servers have failed; they are not asked again until then.
    Failure(Failure, Duration),
}

#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: BTreeMap<Slot, Entry>,
    by_expiry: BTreeSet<(Duration, Slot)>,
    octets: usize,
}

/// A question, or the name for all its questions if there is no such name.
type Slot = (Name, Option<Kind>);

#[derive(Debug)]
struct Entry {
    state: State,
    expires: Duration,
    octets: usize,
}

#[derive(Debug)]
enum State {
    Answer(Arc<Answer>),
    Failure { why: Failure, until: Duration, ttl: Duration },
}

impl Cache {
    pub(crate) fn get(&self, key: &Key, now: Duration) -> Option<Known> {
        // RFC 2308 §5: that a name is not there holds for all types, unless one of them has been seen.
        let slots = [(key.0.clone(), Some(key.1)), (key.0.clone(), None)];
        let entry =
            slots.iter().filter_map(|slot| self.entries.get(slot)).find(|entry| now < entry.expires)?;
        match &entry.state {
            State::Answer(answer) => Some(Known::Answer(Arc::clone(answer), entry.expires)),
            State::Failure { why, until, .. } => (now < *until).then_some(Known::Failure(*why, *until)),
        }
    }

    /// Whether the question has failed lately, and nothing is known since.
    pub(crate) fn has_failed(&self, key: &Key, now: Duration) -> bool {
        self.entries
            .get(&(key.0.clone(), Some(key.1)))
            .is_some_and(|entry| now < entry.expires && matches!(entry.state, State::Failure { .. }))
    }

    /// Keeps an answer. Gives how long.
    pub(crate) fn put(&mut self, key: &Key, answer: Answer, limits: &Limits, now: Duration) -> Duration {
        let (shortest, longest) =
            if answer.is_positive() { limits.positive_ttl } else { limits.negative_ttl };
        // Deviates from RFC 2308 §5: without a SOA record it is kept for a moment, too, or a dead domain would cost three
        // queries for each message. Nobody asks us, so it can not go round between servers.
        let ttl = answer.ttl.unwrap_or(limits.failure_ttl.1).clamp(shortest, longest);
        // Deviates from RFC 2308 §5: not if a host is said not to be there when asked for an address. Some servers say so when
        // it is only without IPv6, and its mail would come back for ever.
        let all = answer.data == Data::NoSuchName && answer.via.is_empty() && key.1 == Kind::Mx;
        self.remove(&(key.0.clone(), if all { Some(key.1) } else { None }));
        let slot = (key.0.clone(), if all { None } else { Some(key.1) });
        let octets = answer.octets();
        self.insert(slot, State::Answer(Arc::new(answer)), now + ttl, octets);
        ttl
    }

    /// Keeps that there is no answer. Gives how long.
    pub(crate) fn fail(&mut self, key: &Key, why: Failure, limits: &Limits, now: Duration) -> Duration {
        let slot = (key.0.clone(), Some(key.1));
        let (first, most) = limits.failure_ttl;
        // RFC 9520 §3.2: longer each time.
        let ttl = match self.entries.get(&slot) {
            Some(Entry { state: State::Failure { ttl, .. }, expires, .. }) if now < *expires => {
                (*ttl * 2).min(most)
            }
            _ => first,
        };
        self.insert(slot, State::Failure { why, until: now + ttl, ttl }, now + ttl * 2, 0);
        ttl
    }

    /// Makes room. Not done by [`Self::put`]: what has just been put is still to be used.
    pub(crate) fn trim(&mut self, limits: &Limits, now: Duration) {
        while let Some((expires, slot)) = self.by_expiry.first() {
            if *expires > now && self.octets <= limits.cache {
                return;
            }
            let slot = slot.clone();
            self.remove(&slot);
        }
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(crate) const fn octets(&self) -> usize {
        self.octets
    }

    fn insert(&mut self, slot: Slot, state: State, expires: Duration, octets: usize) {
        self.remove(&slot);
        // The name stands in both maps.
        let octets = octets + 2 * octets_of(&slot.0) + size_of::<Entry>() + 64;
        self.octets += octets;
        self.by_expiry.insert((expires, slot.clone()));
        self.entries.insert(slot, Entry { state, expires, octets });
    }

    fn remove(&mut self, slot: &Slot) {
        if let Some(entry) = self.entries.remove(slot) {
            self.octets -= entry.octets;
            self.by_expiry.remove(&(entry.expires, slot.clone()));
        }
    }
}
