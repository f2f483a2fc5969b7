//! Messages outside the window: a small entry for each, whatever the message is like. All else is in its records.

use std::collections::{BTreeMap, BTreeSet};

use crate::envelope::MessageId;
use crate::schedule::Time;

/// What has to be known of a message to ask for the rest in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// When something is to be done about it; [`NEVER`] if nothing is.
    pub(super) wake: Time,
    pub(super) accepted: Time,
    /// The domain of all of its recipients that wait, by its number; [`SEVERAL`] if there is more than one.
    pub(super) domain: u32,
    pub(super) recipients: u16,
    pub(super) at: Place,
    /// It is identified by this and by the number of its page.
    low: u8,
}

/// Where a message outside the window is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Place {
    /// Nothing is to be done before it wakes.
    Waiting,
    /// Due, in the line of its domain. It wakes when it cannot wait for its turn any longer.
    Line,
    /// Among those that do not wait for a domain.
    Urgent,
    /// Asked for, under this number. It wakes when nobody has answered.
    Loading(u32),
    /// Its records cannot be read. It stays until somebody has seen to it.
    Unreadable,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
struct Page {
    /// When the first of its entries wakes.
    wake: Time,
    /// By identifier.
    entries: Vec<Entry>,
}

/// The entries, in pages of neighbours, so that each costs little more than itself.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
pub(super) struct Parked {
    pages: BTreeMap<u64, Page>,
    wakes: BTreeSet<(Time, u64)>,
    count: usize,
}

impl Entry {
    pub(super) const fn new(wake: Time, accepted: Time, domain: u32, recipients: u16) -> Self {
        Self { wake, accepted, domain, recipients, at: Place::Waiting, low: 0 }
    }
}

impl Parked {
    pub(super) const fn len(&self) -> usize {
        self.count
    }

    pub(super) fn get(&self, id: MessageId) -> Option<&Entry> {
        let entries = &self.pages.get(&(id.0 / PAGE))?.entries;
        let at = entries.binary_search_by_key(&low(id), |entry| entry.low).ok()?;
        Some(&entries[at])
    }

    pub(super) fn insert(&mut self, id: MessageId, entry: Entry) {
        let number = id.0 / PAGE;
        let page = self.pages.entry(number).or_insert_with(|| Page { wake: NEVER, entries: Vec::new() });
        let entry = Entry { low: low(id), ..entry };
        match page.entries.binary_search_by_key(&entry.low, |entry| entry.low) {
            Ok(at) => page.entries[at] = entry,
            Err(at) => {
                page.entries.insert(at, entry);
                self.count += 1;
            }
        }
        self.rewake(number);
    }

    pub(super) fn remove(&mut self, id: MessageId) -> Option<Entry> {
        let number = id.0 / PAGE;
        let entries = &mut self.pages.get_mut(&number)?.entries;
        let at = entries.binary_search_by_key(&low(id), |entry| entry.low).ok()?;
        let entry = entries.remove(at);
        if entries.len() * 4 < entries.capacity() {
            entries.shrink_to(entries.len() * 2);
        }
        self.count -= 1;
        self.rewake(number);
        Some(entry)
    }

    /// Changes an entry that is there.
    pub(super) fn update(&mut self, id: MessageId, change: impl FnOnce(&mut Entry)) {
        let number = id.0 / PAGE;
        let page = self.pages.get_mut(&number).expect("what is changed is there");
        let at = page.entries.binary_search_by_key(&low(id), |entry| entry.low).expect("it is there");
        change(&mut page.entries[at]);
        self.rewake(number);
    }

    /// When the first wakes.
    pub(super) fn wakes(&self) -> Option<Time> {
        self.wakes.first().map(|(at, _)| *at)
    }

    /// One that has woken by now. Whoever asks moves its time.
    pub(super) fn awake(&self, now: Time) -> Option<MessageId> {
        let (_, number) = *self.wakes.first().filter(|(at, _)| *at <= now)?;
        let entry = self.pages[&number].entries.iter().find(|entry| entry.wake <= now)?;
        Some(MessageId(number * PAGE + u64::from(entry.low)))
    }

    /// All, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (MessageId, &Entry)> {
        self.pages.iter().flat_map(|(number, page)| {
            page.entries.iter().map(move |entry| (MessageId(number * PAGE + u64::from(entry.low)), entry))
        })
    }

    /// The identifiers from this one on.
    pub(super) fn from(&self, first: MessageId) -> impl Iterator<Item = MessageId> {
        let pages = self.pages.range(first.0 / PAGE..);
        let all = pages.flat_map(|(number, page)| {
            page.entries.iter().map(move |entry| MessageId(number * PAGE + u64::from(entry.low)))
        });
        all.skip_while(move |id| *id < first)
    }

    /// Has all that wait wake by a time of their own at the latest.
    pub(super) fn retime(&mut self, latest: impl Fn(&Entry) -> Time) {
        for page in self.pages.values_mut() {
            for entry in &mut page.entries {
                if matches!(entry.at, Place::Waiting | Place::Line) && entry.wake != NEVER {
                    entry.wake = entry.wake.min(latest(entry));
                }
            }
        }
        let numbers: Vec<_> = self.pages.keys().copied().collect();
        for number in numbers {
            self.rewake(number);
        }
    }

    pub(super) fn shift(&mut self, by: Time) {
        for page in self.pages.values_mut() {
            for entry in &mut page.entries {
                entry.accepted -= by;
                if entry.wake != NEVER {
                    entry.wake -= by;
                }
            }
        }
        let numbers: Vec<_> = self.pages.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.rewake(number));
    }

    /// The octets of all entries, with what holds them.
    #[cfg(test)]
    pub(super) fn octets(&self) -> usize {
        let entries: usize =
            self.pages.values().map(|page| page.entries.capacity() * size_of::<Entry>()).sum();
        // A node of a B-tree is at least half full.
        let pages = self.pages.len() * 2 * (size_of::<(u64, Page)>() + size_of::<(Time, u64)>() + 16);
        entries + pages
    }

    fn rewake(&mut self, number: u64) {
        let Some(page) = self.pages.get_mut(&number) else {
            return;
        };
        let wake = page.entries.iter().map(|entry| entry.wake).min().unwrap_or(NEVER);
        if wake != page.wake {
            self.wakes.remove(&(page.wake, number));
            page.wake = wake;
            if wake != NEVER {
                self.wakes.insert((wake, number));
            }
        }
        if page.entries.is_empty() {
            self.pages.remove(&number);
        }
    }
}

fn low(id: MessageId) -> u8 {
    (id.0 % PAGE) as u8
}

/// No time.
pub(super) const NEVER: Time = Time::MAX;
/// No domain of its own.
pub(super) const SEVERAL: u32 = 0;
/// How many identifiers are neighbours.
const PAGE: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_costs_less_than_forty_octets_also_when_others_have_gone() {
        let mut parked = Parked::default();
        for id in 0..100_000 {
            parked.insert(MessageId(id), Entry::new(id as Time * 7_919 % 14_400, 0, 1, 1));
        }
        assert!(parked.octets() < 40 * parked.len(), "{}", parked.octets() / parked.len());
        for id in (0..100_000).filter(|id| id % 2 == 0) {
            assert!(parked.remove(MessageId(id)).is_some());
        }
        assert!(parked.octets() < 80 * parked.len(), "{}", parked.octets() / parked.len());
    }

    #[test]
    fn they_wake_in_the_order_of_their_times() {
        let mut parked = Parked::default();
        for id in 1..=1_000 {
            parked.insert(MessageId(id), Entry::new(id as Time * 389 % 1_009, 5, SEVERAL, 1));
        }
        parked.update(MessageId(500), |entry| entry.wake = NEVER);
        parked.shift(3);
        let mut last = Time::MIN;
        while let Some(at) = parked.wakes() {
            assert!(at >= last && parked.awake(at - 1).is_none());
            last = at;
            let id = parked.awake(at).expect("it wakes then");
            assert_eq!(parked.remove(id).expect("it is there").accepted, 2);
        }
        assert_eq!(parked.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), [500]);
    }
}
