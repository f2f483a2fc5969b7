//! Messages that share identifiers, in groups that stay right whatever comes and goes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use mailstore::mailbox::Uid;

/// Messages, and which of them belong together.
#[derive(Default)]
pub(super) struct Partition {
    messages: BTreeMap<Uid, Entry>,
    /// The conversation in which an identifier occurs.
    owners: HashMap<u64, u64>,
    conversations: BTreeMap<u64, BTreeSet<Uid>>,
    next: u64,
    /// Identifiers of all messages.
    ids: usize,
}

struct Entry {
    ids: Box<[u64]>,
    conversation: u64,
}

impl Partition {
    /// The conversation of a message; `None` if it is not known.
    pub(super) fn of(&self, uid: Uid) -> Option<&BTreeSet<Uid>> {
        self.conversations.get(&self.messages.get(&uid)?.conversation)
    }

    /// How many messages.
    pub(super) fn len(&self) -> usize {
        self.messages.len()
    }

    /// All messages, the oldest one first.
    pub(super) fn uids(&self) -> impl Iterator<Item = Uid> {
        self.messages.keys().copied()
    }

    /// The messages from this one on.
    pub(super) fn uids_from(&self, uid: Uid) -> impl Iterator<Item = Uid> {
        self.messages.range(uid..).map(|(uid, _)| *uid)
    }

    /// The identifiers of a message.
    pub(super) fn ids(&self, uid: Uid) -> &[u64] {
        self.messages.get(&uid).map_or(&[], |entry| &entry.ids)
    }

    /// All messages of the conversations in which these identifiers occur.
    pub(super) fn with_ids<'a>(
        &'a self,
        ids: impl IntoIterator<Item = &'a u64>,
    ) -> impl Iterator<Item = Uid> {
        let found: BTreeSet<u64> = ids.into_iter().filter_map(|id| self.owners.get(id)).copied().collect();
        found.into_iter().filter_map(|conversation| self.conversations.get(&conversation)).flatten().copied()
    }

    /// Messages and identifiers.
    pub(super) fn size(&self) -> usize {
        self.messages.len() + self.ids
    }

    pub(super) fn insert(&mut self, uid: Uid, ids: Box<[u64]>) {
        if self.messages.contains_key(&uid) {
            return;
        }
        let found: BTreeSet<u64> = ids.iter().filter_map(|id| self.owners.get(id)).copied().collect();
        let size = |conversation: &&u64| self.conversations.get(conversation).map_or(0, BTreeSet::len);
        let conversation = found.iter().max_by_key(size).copied().unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        // The smaller ones go into the largest, so that a message changes its conversation but a few times.
        for other in found.into_iter().filter(|other| *other != conversation) {
            let members = self.conversations.remove(&other).unwrap_or_default();
            for member in &members {
                if let Some(entry) = self.messages.get_mut(member) {
                    entry.conversation = conversation;
                    self.owners.extend(entry.ids.iter().map(|id| (*id, conversation)));
                }
            }
            self.conversations.entry(conversation).or_default().extend(members);
        }
        self.owners.extend(ids.iter().map(|id| (*id, conversation)));
        self.conversations.entry(conversation).or_default().insert(uid);
        self.ids += ids.len();
        self.messages.insert(uid, Entry { ids, conversation });
    }

    /// What is left of their conversations may fall apart.
    pub(super) fn remove(&mut self, uids: &[Uid]) {
        let mut touched = BTreeSet::new();
        for uid in uids {
            if let Some(entry) = self.messages.remove(uid) {
                self.ids -= entry.ids.len();
                for id in &entry.ids {
                    self.owners.remove(id);
                }
                touched.insert(entry.conversation);
            }
        }
        for conversation in touched {
            let mut left = Vec::new();
            for member in self.conversations.remove(&conversation).unwrap_or_default() {
                if let Some(entry) = self.messages.remove(&member) {
                    self.ids -= entry.ids.len();
                    for id in &entry.ids {
                        self.owners.remove(id);
                    }
                    left.push((member, entry.ids));
                }
            }
            for (uid, ids) in left {
                self.insert(uid, ids);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::btree_map;

    use proptest::prelude::*;

    use super::*;

    fn uid(number: u32) -> Uid {
        Uid::new(number).unwrap()
    }

    impl Partition {
        /// All conversations.
        fn all(&self) -> BTreeSet<BTreeSet<Uid>> {
            self.conversations.values().cloned().collect()
        }

        fn check(&self) {
            let members: usize = self.conversations.values().map(BTreeSet::len).sum();
            assert_eq!(members, self.messages.len(), "each message is in one conversation");
            assert!(self.conversations.values().all(|members| !members.is_empty()));
            assert_eq!(self.ids, self.messages.values().map(|entry| entry.ids.len()).sum::<usize>());
            let named: BTreeSet<u64> =
                self.messages.values().flat_map(|entry| entry.ids.iter().copied()).collect();
            assert_eq!(named, self.owners.keys().copied().collect(), "no identifier is left behind");
        }
    }

    /// The same by the simplest means: whatever shares an identifier is joined, until nothing changes.
    fn obvious(messages: &BTreeMap<Uid, Vec<u64>>) -> BTreeSet<BTreeSet<Uid>> {
        let mut groups: Vec<(BTreeSet<Uid>, BTreeSet<u64>)> = messages
            .iter()
            .map(|(uid, ids)| (BTreeSet::from([*uid]), ids.iter().copied().collect()))
            .collect();
        loop {
            let pair = (0..groups.len()).find_map(|one| {
                let other =
                    (one + 1..groups.len()).find(|other| !groups[one].1.is_disjoint(&groups[*other].1))?;
                Some((one, other))
            });
            let Some((one, other)) = pair else { return groups.into_iter().map(|(uids, _)| uids).collect() };
            let (uids, ids) = groups.remove(other);
            groups[one].0.extend(uids);
            groups[one].1.extend(ids);
        }
    }

    proptest! {
        #[test]
        fn what_comes_and_goes_in_any_order_is_as_if_computed_from_scratch(
            steps in prop::collection::vec(
                (1_u32..40, prop::collection::vec(0_u64..24, 0..5), prop::bool::weighted(0.4), 1_usize..6),
                1..60,
            ),
        ) {
            let (mut partition, mut model) = (Partition::default(), BTreeMap::new());
            for (number, mut ids, goes, count) in steps {
                if goes {
                    let gone: Vec<Uid> = (number..).take(count).map(uid).collect();
                    partition.remove(&gone);
                    gone.iter().for_each(|uid| drop(model.remove(uid)));
                } else if let btree_map::Entry::Vacant(vacant) = model.entry(uid(number)) {
                    ids.sort_unstable();
                    ids.dedup();
                    partition.insert(uid(number), ids.clone().into());
                    vacant.insert(ids);
                }
                partition.check();
                prop_assert_eq!(partition.all(), obvious(&model));
            }
        }
    }

    #[test]
    fn a_message_that_names_itself_and_circles_are_conversations_like_others() {
        let mut partition = Partition::default();
        partition.insert(uid(1), [1, 2].into());
        partition.insert(uid(2), [2, 3].into());
        partition.insert(uid(3), [3, 1].into());
        partition.insert(uid(4), [9].into());
        partition.insert(uid(5), [].into());
        partition.insert(uid(6), [].into());
        let all = [vec![1, 2, 3], vec![4], vec![5], vec![6]];
        let all: BTreeSet<BTreeSet<Uid>> =
            all.into_iter().map(|group| group.into_iter().map(uid).collect()).collect();
        assert_eq!(partition.all(), all);
        partition.remove(&[uid(1)]);
        assert_eq!(partition.of(uid(2)).map(BTreeSet::len), Some(2), "two of them still name the third");
        partition.remove(&[uid(2), uid(77)]);
        assert_eq!(partition.of(uid(3)).map(BTreeSet::len), Some(1));
        partition.check();
    }

    #[test]
    fn one_identifier_in_all_messages_costs_no_more_than_many() {
        let mut partition = Partition::default();
        for number in 1..=20_000 {
            partition.insert(uid(number), [7].into());
        }
        assert_eq!(partition.conversations.len(), 1);
        // All at once, so that the rest is put together once.
        partition.remove(&(1..=19_999).map(uid).collect::<Vec<_>>());
        partition.check();
        assert_eq!(partition.of(uid(20_000)).map(BTreeSet::len), Some(1));
    }

    #[test]
    fn joined_by_a_late_message_the_larger_one_stays() {
        let mut partition = Partition::default();
        for number in 1..=10 {
            partition.insert(uid(number), [1].into());
        }
        partition.insert(uid(11), [2].into());
        let large = partition.messages[&uid(1)].conversation;
        partition.insert(uid(12), [2, 1].into());
        assert!(partition.messages.values().all(|entry| entry.conversation == large));
        partition.check();
    }
}
