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
        let mut queue = Self::restoring(config, seed, now);
        for (key, value) in records {
            queue.handle_record(key.as_ref(), value.as_ref());
        }
        let damage = queue.handle_restored();
        (queue, damage)
    }

    /// A queue that is at work while its records are still being read: each is handed in with [`Self::handle_record`], and
    /// [`Self::handle_restored`] says that there are no more.
    ///
    /// By rising keys, one message is pieced together at a time. No message is taken and nothing is done before the first
    /// record is there, which tells the identifiers that may be given out. Records of messages that are accepted meanwhile
    /// are passed over.
    pub fn restoring(config: Config, seed: u64, now: Duration) -> Self {
        let mut queue = Self::new(config, seed);
        queue.observe(now);
        queue.awake = queue.now;
        queue.restoring = Some(Box::default());
        queue
    }

    /// Takes a record. What is wrong with it is told at the end.
    pub fn handle_record(&mut self, key: &[u8], value: &[u8]) {
        let Some(mut restoring) = self.restoring.take() else {
            return;
        };
        if let Err(error) = self.read_record(&mut restoring, key, value) {
            restoring.damage.push(Damage { key: Bytes::copy_from_slice(key), error });
        }
        self.restoring = Some(restoring);
    }

    /// There are no more records. What could not be read is told; a message of which a part cannot be read is left out whole,
    /// and so are its other records.
    pub fn handle_restored(&mut self) -> Vec<Damage> {
        let Some(restoring) = self.restoring.take() else {
            return Vec::new();
        };
        let Restoring { heads, parts, highest, mut damage, .. } = *restoring;
        self.next_id = self.next_id.max(self.ceiling).max(highest.min(MOST) + 1);
        let heads = heads.into_keys().map(|id| Key::Message(id).encode());
        let parts = parts.into_keys().map(|(id, number)| Key::Part(id, number).encode());
        damage.extend(heads.chain(parts).map(|key| Damage { key, error: RecordError::Orphan }));
        damage
    }

    /// Whether there are records to come: what has not been read is neither tried nor seen.
    pub const fn is_restoring(&self) -> bool {
        self.restoring.is_some()
    }

    /// Whether identifiers may be given out.
    pub(super) fn is_numbered(&self) -> bool {
        self.restoring.as_ref().is_none_or(|restoring| restoring.numbered)
    }

    fn read_record(
        &mut self,
        restoring: &mut Restoring,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), RecordError> {
        let id = match Key::decode(key).ok_or(RecordError::Key)? {
            Key::Ceiling => {
                let ceiling = decode_ceiling(value)?.min(MOST);
                self.ceiling = self.ceiling.max(ceiling);
                self.next_id = self.next_id.max(self.ceiling);
                restoring.numbered = true;
                return Ok(());
            }
            Key::Message(id) | Key::Part(id, _) if restoring.has_given(id, self) => return Ok(()),
            Key::Message(id) => {
                let id = restoring.see(id, self)?;
                restoring.heads.insert(id, decode_head(value)?);
                id
            }
            Key::Part(id, number) => {
                let id = restoring.see(id, self)?;
                let Restoring { names, answers, .. } = restoring;
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
                let part = decode_part(value, name, share)?;
                restoring.parts.insert((id, number), part);
                if restoring.names.len().max(restoring.answers.len()) > SHARED {
                    restoring.names.clear();
                    restoring.answers.clear();
                }
                id
            }
        };
        let Some(recipients) = restoring.heads.get(&id).map(|head| head.recipients) else {
            return Ok(());
        };
        let mine = || restoring.parts.range((id, 0)..=(id, u16::MAX));
        let count = mine().map(|(_, part)| part.slots.len()).sum::<usize>();
        let numbered = mine().enumerate().all(|(number, ((_, part), _))| usize::from(*part) == number);
        let full = mine().rev().skip(1).all(|(_, part)| part.slots.len() == PART);
        if count == recipients && numbered && full {
            let head = restoring.heads.remove(&id).expect("it was there");
            let numbers: Vec<_> = mine().map(|(key, _)| *key).collect();
            let parts = numbers.iter().filter_map(|key| restoring.parts.remove(key)).collect();
            self.readmit(id, head, parts);
        }
        Ok(())
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
        self.window.octets += super::window::weight(&message);
        self.messages.insert(id, message);
        if over {
            self.save_later(id);
        }
        self.refresh(id);
        if !self.has_room() && self.messages.get(&id).is_some_and(|message| self.can_leave(message)) {
            self.park(id, false);
        }
    }
}

/// Records that were read, and of which something is missing.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
pub(super) struct Restoring {
    /// It is known which identifiers may be given out.
    numbered: bool,
    heads: BTreeMap<MessageId, Head>,
    parts: BTreeMap<(MessageId, u16), Part>,
    highest: u64,
    /// The first identifier that was given out meanwhile.
    pub(super) given: Option<u64>,
    names: BTreeSet<Name>,
    answers: BTreeSet<Last>,
    damage: Vec<Damage>,
}

impl Restoring {
    /// Whether this life has accepted the message. It is known already, and perhaps gone again.
    fn has_given(&self, id: MessageId, queue: &Queue) -> bool {
        self.given.is_some_and(|first| (first..queue.next_id).contains(&id.0))
    }

    fn see(&mut self, id: MessageId, queue: &Queue) -> Result<MessageId, RecordError> {
        self.highest = self.highest.max(id.0);
        let known = queue.messages.contains_key(&id) || queue.window.parked.get(id).is_some();
        // Identifiers that the first record did not allow for are among those that may be given out now.
        if id.0 > MOST || known || self.given.is_some_and(|first| id.0 >= first) {
            return Err(RecordError::Orphan);
        }
        Ok(id)
    }
}

/// How many names and answers are kept to be shared.
const SHARED: usize = 1_000;
/// Beyond this, identifiers would run out.
const MOST: u64 = u64::MAX / 2;
