//! What becomes durable: new messages, and what has changed of old ones.

use core::time::Duration;
use std::collections::BTreeSet;

use super::message::{Message, Slot, State, Warning};
use super::window::weight;
use super::{Commit, CommitId, Fact, Queue};
use crate::dsn::{self, Report, compose};
use crate::envelope::{BodyHandle, Envelope, MessageId};
use crate::error::Refusal;
use crate::record::{self, Change, Key, PART};
use crate::schedule::Time;

/// A commit that is with the driver.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Saving {
    pub(super) message: MessageId,
    pub(super) facts: Vec<Fact>,
    pub(super) kind: Kind,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) enum Kind {
    Accept { ceiling: Option<u64> },
    Change,
    Remove,
}

impl Queue {
    /// Takes a message. What it gives belongs into one commit with the body and with all local deliveries of the message;
    /// once that is durable, and only then, the message is tried, and the client may be told 250.
    ///
    /// A recipient that is named twice is taken once.
    pub fn accept(&mut self, now: Duration, envelope: Envelope) -> Result<Commit, Refusal> {
        if self.recipients + envelope.to.len() > self.config.limits.recipients {
            return Err(Refusal::Full);
        }
        self.take(now, envelope)
    }

    /// The same for a report, which takes the place of what it is about and is not refused in a full queue.
    pub fn accept_report(&mut self, now: Duration, report: &Report, body: BodyHandle) -> Commit {
        self.take(now, report.envelope(body)).expect("a report has one recipient")
    }

    fn take(&mut self, now: Duration, envelope: Envelope) -> Result<Commit, Refusal> {
        envelope.check()?;
        if !self.is_numbered() {
            return Err(Refusal::Restoring);
        }
        self.observe(now);
        let id = MessageId(self.next_id);
        if let Some(restoring) = &mut self.restoring {
            restoring.given.get_or_insert(id.0);
        }
        self.next_id += 1;
        let Envelope { from, to, body, size, tag, id: envelope_id } = envelope;
        let mut known = BTreeSet::new();
        let mut slots = Vec::with_capacity(to.len());
        for recipient in to {
            if !known.insert(recipient.address.clone()) {
                continue;
            }
            slots.push(Slot {
                domain: self.enter_domain(&recipient.address.domain()),
                address: recipient.address,
                original: recipient.original,
                site: None,
                state: State::Waiting,
                next: self.now,
                last: None,
                tries: 0,
                notify: recipient.notify,
                unsaved: false,
                saving: true,
                wish: None,
            });
        }
        self.recipients += slots.len();
        let message = Message {
            from,
            body,
            size,
            tag,
            id: envelope_id,
            accepted: self.now,
            warning: Warning::None,
            slots,
            active: false,
            saving: true,
            listed: false,
            stalled: None,
            freed: Time::MIN / 2,
            deadline: None,
            facts: Vec::new(),
        };
        let mut changes = Vec::new();
        let ceiling = (id.0 >= self.ceiling).then(|| (id.0 / RESERVE + 1) * RESERVE);
        changes.extend(ceiling.map(record::ceiling));
        changes.push(record::head(id, &message, self.now));
        let parts = message.slots.chunks(PART).enumerate();
        changes.extend(parts.map(|(number, slots)| record::part(id, number, slots, self.now)));
        self.window.octets += weight(&message);
        self.messages.insert(id, message);
        let facts = vec![Fact::Accepted { message: id, body }];
        Ok(self.commit(id, changes, facts, Kind::Accept { ceiling }, None, None))
    }

    fn commit(
        &mut self,
        message: MessageId,
        changes: Vec<Change>,
        facts: Vec<Fact>,
        kind: Kind,
        report: Option<Report>,
        released: Option<BodyHandle>,
    ) -> Commit {
        let id = self.next_commit;
        self.next_commit += 1;
        self.commits.insert(id, Saving { message, facts: facts.clone(), kind });
        Commit { id: CommitId(id), message, changes, report, released, facts }
    }

    /// The next change of a message that has to become durable.
    pub(super) fn next_commit(&mut self) -> Option<Commit> {
        while let Some(id) = self.to_save.pop_front() {
            let Some(message) = self.messages.get_mut(&id) else {
                continue;
            };
            message.listed = false;
            if !message.saving
                && message.stalled.is_none()
                && let Some(commit) = self.save(id)
            {
                return Some(commit);
            }
        }
        None
    }

    fn save(&mut self, id: MessageId) -> Option<Commit> {
        let (now, expiry) = (self.now, self.expiry(id));
        let message = self.messages.get_mut(&id).expect("what is saved is there");
        let over = message.is_over();
        let due = message.warning == Warning::Due;
        if !over && !due && message.slots.iter().all(|slot| !slot.unsaved) {
            return None;
        }
        let (mut report, mut warned) = (None, false);
        if let Some(to) = &message.from {
            let failed = |slot: &&Slot| slot.unsaved && slot.state == State::Failed && slot.notify.failure;
            let late = |slot: &&Slot| due && message.is_late(slot);
            let (failed, delayed): (Vec<_>, Vec<_>) =
                (message.slots.iter().filter(failed).collect(), message.slots.iter().filter(late).collect());
            if !failed.is_empty() || !delayed.is_empty() {
                let host = &self.config.host;
                let facts =
                    dsn::Facts { host, seed: self.seed, id, message, to, failed, delayed, expiry, now };
                report = Some(compose(&facts));
                self.counters.reports += 1;
                warned = !facts.delayed.is_empty();
            }
        }
        let mut changes = Vec::new();
        if over {
            let parts = 0..message.slots.len().div_ceil(PART);
            changes.push(Change::Remove { key: Key::Message(id).encode() });
            changes.extend(parts.map(|part| Change::Remove { key: Key::Part(id, part as u16).encode() }));
        } else {
            if due {
                changes.push(record::head(id, message, now));
            }
            for (number, slots) in message.slots.chunks(PART).enumerate() {
                if slots.iter().any(|slot| slot.unsaved) {
                    changes.push(record::part(id, number, slots, now));
                }
            }
        }
        if due {
            message.warning = Warning::Saving;
        }
        for slot in message.slots.iter_mut().filter(|slot| slot.unsaved) {
            slot.unsaved = false;
            slot.saving = true;
        }
        message.saving = true;
        let mut facts = core::mem::take(&mut message.facts);
        facts.extend(warned.then_some(Fact::Warned { message: id, body: message.body }));
        let released = over.then_some(message.body);
        let kind = if over { Kind::Remove } else { Kind::Change };
        Some(self.commit(id, changes, facts, kind, report, released))
    }

    /// The commit is on stable storage: from now on, what it says is acted on.
    pub fn handle_durable(&mut self, commit: CommitId) {
        let Some(Saving { message: id, facts, kind }) = self.commits.remove(&commit.0) else {
            return;
        };
        let message = self.messages.get_mut(&id).expect("a message with a commit is kept");
        message.saving = false;
        message.freed = self.now;
        self.window.tight = [None; 2];
        if message.warning == Warning::Saving {
            message.warning = Warning::Told;
        }
        message.slots.iter_mut().for_each(|slot| slot.saving = false);
        let more = message.warning == Warning::Due || message.slots.iter().any(|slot| slot.unsaved);
        match kind {
            Kind::Accept { ceiling } => {
                message.active = true;
                self.ceiling = ceiling.unwrap_or(0).max(self.ceiling);
            }
            Kind::Change => {}
            Kind::Remove => {
                let body = message.body;
                self.forget(id);
                self.facts.extend(facts);
                self.facts.push_back(Fact::Finished { message: id, body });
                return;
            }
        }
        self.facts.extend(facts);
        if more {
            self.save_later(id);
        }
        self.refresh(id);
    }

    /// The commit has not come to pass and will not. A message that was to be accepted is forgotten; everything else is
    /// asked for again in a while, and not acted on before.
    ///
    /// If it is *not known* whether the commit has come to pass, do not call this: restart from the records. Otherwise a
    /// report may be sent twice.
    pub fn handle_failed(&mut self, commit: CommitId) {
        let Some(Saving { message: id, mut facts, kind }) = self.commits.remove(&commit.0) else {
            return;
        };
        if let Kind::Accept { .. } = kind {
            return self.forget(id);
        }
        let message = self.messages.get_mut(&id).expect("a message with a commit is kept");
        message.saving = false;
        message.stalled = Some(self.now + self.config.limits.again);
        if message.warning == Warning::Saving {
            message.warning = Warning::Due;
        }
        for slot in message.slots.iter_mut().filter(|slot| slot.saving) {
            slot.saving = false;
            slot.unsaved = true;
        }
        // Said again with the commit that tells the sender.
        facts.retain(|fact| !matches!(fact, Fact::Warned { .. }));
        facts.append(&mut message.facts);
        message.facts = facts;
        self.set_timer(id);
    }

    fn forget(&mut self, id: MessageId) {
        let Some(message) = self.messages.remove(&id) else {
            return;
        };
        if let Some(at) = message.deadline {
            self.timers.remove(&(at, super::Timer::Message(id)));
        }
        self.window.octets -= weight(&message);
        self.recipients -= message.slots.len();
        for slot in &message.slots {
            self.leave_domain(&slot.domain);
        }
    }
}

/// How many identifiers one record gives out.
const RESERVE: u64 = 4_096;
