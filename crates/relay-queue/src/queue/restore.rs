//! The queue as its records have it.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use super::message::{Last, Name};
use super::{Bytes, Queue, RecordError};
use crate::envelope::MessageId;
use crate::limits::Config;
use crate::record::{Head, Key, PART, Part, decode_ceiling, decode_head, decode_part};

/// A record that could not be used. It is left where it is; the rest of the queue works.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Damage {
    /// Its key.
    pub key: Bytes,
    /// What is wrong with it.
    pub error: RecordError,
}

impl Queue {
    /// The queue as it was when its last commit became durable, from all records in any order.
    ///
    /// What was under way is due again. What could not be read is told; a message of which a part cannot be read is left out
    /// whole, and so are its other records.
    pub fn restore<K: AsRef<[u8]>, V: AsRef<[u8]>>(
        config: Config,
        seed: u64,
        now: Duration,
        records: impl IntoIterator<Item = (K, V)>,
    ) -> (Self, Vec<Damage>) {
        let mut queue = Self::new(config, seed);
        queue.observe(now);
        queue.awake = queue.now;
        let (mut heads, mut parts) =
            (BTreeMap::<MessageId, Head>::new(), BTreeMap::<(MessageId, u16), Part>::new());
        let (mut names, mut answers) = (BTreeSet::<Name>::new(), BTreeSet::<Last>::new());
        let mut damage = Vec::new();
        let mut highest = 0;
        for (key, value) in records {
            let (key, value) = (key.as_ref(), value.as_ref());
            let read = match Key::decode(key) {
                None => Err(RecordError::Key),
                Some(Key::Ceiling) => decode_ceiling(value).map(|ceiling| queue.ceiling = ceiling.min(MOST)),
                Some(Key::Message(id)) => {
                    highest = highest.max(id.0);
                    decode_head(value).map(|head| drop(heads.insert(id, head)))
                }
                Some(Key::Part(id, number)) => {
                    highest = highest.max(id.0);
                    let name = |domain: &str| match names.get(domain) {
                        Some(known) => Name::clone(known),
                        None => {
                            let name = Name::from(domain);
                            names.insert(name.clone());
                            name
                        }
                    };
                    let share = |last: Last| match answers.get(&last) {
                        Some(known) => known.clone(),
                        None => {
                            answers.insert(last.clone());
                            last
                        }
                    };
                    let part = decode_part(value, name, share);
                    part.map(|part| drop(parts.insert((id, number), part)))
                }
            };
            if let Err(error) = read {
                damage.push(Damage { key: Bytes::copy_from_slice(key), error });
            }
        }
        queue.next_id = queue.ceiling.max(highest.min(MOST) + 1);
        for (id, head) in heads {
            let mine = parts.range((id, 0)..=(id, u16::MAX)).map(|(key, _)| *key).collect::<Vec<_>>();
            let mine =
                mine.into_iter().filter_map(|key| Some((key, parts.remove(&key)?))).collect::<Vec<_>>();
            let numbered =
                mine.iter().enumerate().all(|(number, ((_, part), _))| usize::from(*part) == number);
            let full = mine.iter().rev().skip(1).all(|(_, part)| part.slots.len() == PART);
            let count = mine.iter().map(|(_, part)| part.slots.len()).sum::<usize>();
            if id.0 > MOST || !numbered || !full || count != head.recipients {
                damage.push(Damage { key: Key::Message(id).encode(), error: RecordError::Orphan });
                for ((_, number), _) in mine {
                    damage.push(Damage { key: Key::Part(id, number).encode(), error: RecordError::Orphan });
                }
                continue;
            }
            queue.readmit(id, head, mine.into_iter().map(|(_, part)| part).collect());
        }
        let alone = parts.into_keys().map(|(id, number)| Key::Part(id, number).encode());
        damage.extend(alone.map(|key| Damage { key, error: RecordError::Orphan }));
        (queue, damage)
    }

    fn readmit(&mut self, id: MessageId, head: Head, parts: Vec<Part>) {
        let Head { mut message, written, recipients } = head;
        let written = parts.iter().map(|part| part.written).fold(written, i64::max);
        message.slots.reserve_exact(recipients);
        message.slots.extend(parts.into_iter().flat_map(|part| part.slots));
        // A record from the future: the clock has been set back since, or was wrong then. The message is moved with it.
        let by = (written - self.now).max(0);
        let by = if by > super::STEP { by } else { 0 };
        message.accepted = (message.accepted - by).min(self.now);
        let expiry = self.config.schedule.expiry(message.accepted);
        for slot in &mut message.slots {
            slot.domain = self.enter_domain(&slot.domain);
            // No record can put a try off beyond the expiry, whatever is in it.
            slot.next = (slot.next - by).min(expiry);
        }
        let over = message.is_over();
        self.recipients += message.slots.len();
        self.messages.insert(id, message);
        if over {
            self.save_later(id);
        }
        self.refresh(id);
    }
}

/// Beyond this, identifiers would run out.
const MOST: u64 = u64::MAX / 2;
