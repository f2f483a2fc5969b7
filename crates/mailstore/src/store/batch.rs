//! Turning commits into records: identifiers are given out here, when a batch forms, so that a refused commit leaves no
//! trace in the ones beside it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Commit, Intent, Outcome, Receipt, Source};
use crate::error::Refusal;
use crate::index::{Highest, Index, MAILBOX_FIXED, What};
use crate::journal::entry::Record;
use crate::journal::writer::framed_length;
use crate::limits::{Limits, MAX_KEY, MAX_NAME, MAX_PREFIX, MAX_VALUE};
use crate::mailbox::{AccountId, MailboxId, ModSeq, Uid, UidValidity};
use crate::message::BodyId;

/// What the commits of a batch have changed, which the index does not know of before they are durable.
#[derive(Debug)]
pub(super) struct Overlay {
    highest: Highest,
    numbers: BTreeMap<MailboxId, (Option<Uid>, ModSeq)>,
    created: BTreeSet<(AccountId, String)>,
    deleted: BTreeSet<MailboxId>,
    expunged: BTreeSet<(MailboxId, Uid)>,
}

impl Overlay {
    pub(super) fn new(highest: Highest) -> Self {
        Self {
            highest,
            numbers: BTreeMap::new(),
            created: BTreeSet::new(),
            deleted: BTreeSet::new(),
            expunged: BTreeSet::new(),
        }
    }

    /// The highest identifiers, those of this batch included.
    pub(super) const fn highest(&self) -> Highest {
        self.highest
    }

    /// Whether the commit can be; if so, how many octets it takes in a segment.
    pub(super) fn check(
        &mut self,
        commit: &Commit,
        index: &Index,
        limits: &Limits,
    ) -> Result<usize, Refusal> {
        let mut octets = match &commit.body {
            Source::None => 0,
            Source::Inline(data) if data.len() > limits.inline_body => return Err(Refusal::TooLarge),
            Source::Inline(data) => framed_length(8 + data.len()),
            Source::Stored(_) => framed_length(16),
        };
        let mut created = BTreeSet::new();
        let mut deleted = BTreeSet::new();
        let mut deliveries: BTreeMap<MailboxId, u32> = BTreeMap::new();
        for intent in &commit.intents {
            octets += match intent {
                Intent::CreateMailbox { account, name, .. } => {
                    if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
                        return Err(Refusal::BadName);
                    }
                    let key = (*account, name.clone());
                    let gone = |id| self.deleted.contains(&id) || deleted.contains(&id);
                    let exists = index.find(*account, name).is_some_and(|id| !gone(id));
                    if exists || self.created.contains(&key) || !created.insert(key) {
                        return Err(Refusal::MailboxExists);
                    }
                    framed_length(MAILBOX_FIXED + name.len())
                }
                Intent::DeleteMailbox { mailbox } => {
                    self.numbers(*mailbox, index).ok_or(Refusal::NoSuchMailbox)?;
                    if !deleted.insert(*mailbox) {
                        return Err(Refusal::NoSuchMailbox);
                    }
                    framed_length(8)
                }
                Intent::Deliver { mailbox, prefix, .. } => {
                    if matches!(commit.body, Source::None) {
                        return Err(Refusal::NoBody);
                    }
                    if prefix.len() > MAX_PREFIX {
                        return Err(Refusal::TooLarge);
                    }
                    let (next, _) = self.numbers(*mailbox, index).ok_or(Refusal::NoSuchMailbox)?;
                    if deleted.contains(mailbox) {
                        return Err(Refusal::NoSuchMailbox);
                    }
                    let before = deliveries.entry(*mailbox).or_default();
                    next.and_then(|uid| uid.get().checked_add(*before)).ok_or(Refusal::UidsExhausted)?;
                    *before += 1;
                    framed_length(36 + prefix.len())
                }
                Intent::Expunge { mailbox, .. } => {
                    self.numbers(*mailbox, index).ok_or(Refusal::NoSuchMailbox)?;
                    if deleted.contains(mailbox) {
                        return Err(Refusal::NoSuchMailbox);
                    }
                    framed_length(20)
                }
                Intent::Put { key, value, .. } => {
                    if key.len() > MAX_KEY || value.len() > MAX_VALUE {
                        return Err(Refusal::TooLarge);
                    }
                    framed_length(4 + key.len() + value.len())
                }
                Intent::Hold { key, .. } => {
                    if matches!(commit.body, Source::None) {
                        return Err(Refusal::NoBody);
                    }
                    if key.len() > MAX_KEY {
                        return Err(Refusal::TooLarge);
                    }
                    framed_length(12 + key.len())
                }
                Intent::Remove { key, .. } => {
                    if key.len() > MAX_KEY {
                        return Err(Refusal::TooLarge);
                    }
                    framed_length(5 + key.len())
                }
            };
        }
        Ok(octets)
    }

    /// Gives out identifiers for a commit that [`Self::check`] has let through, and hands each record to `push`.
    pub(super) fn resolve(&mut self, commit: Commit, index: &Index, mut push: impl FnMut(Record)) -> Receipt {
        let body = match commit.body {
            Source::None => None,
            Source::Inline(data) => {
                self.highest.body += 1;
                let id = BodyId(self.highest.body);
                push(Record::Body { id, data });
                Some(id)
            }
            Source::Stored(body) => {
                push(Record::BodyFile { id: body.id, size: body.size });
                Some(body.id)
            }
        };
        let outcomes = commit
            .intents
            .into_iter()
            .map(|intent| self.resolve_intent(intent, body, index, &mut push))
            .collect();
        Receipt { body, outcomes }
    }

    fn resolve_intent(
        &mut self,
        intent: Intent,
        body: Option<BodyId>,
        index: &Index,
        push: &mut impl FnMut(Record),
    ) -> Outcome {
        match intent {
            Intent::CreateMailbox { account, name, now } => {
                self.highest.mailbox += 1;
                let id = MailboxId(self.highest.mailbox);
                let clock = u32::try_from(now.0).unwrap_or(0);
                self.highest.uid_validity = clock.max(self.highest.uid_validity.saturating_add(1));
                let uid_validity =
                    UidValidity::new(self.highest.uid_validity).expect("one more than another number");
                self.created.insert((account, name.clone()));
                self.numbers.insert(id, (Some(Uid::FIRST), ModSeq(1)));
                let mod_seq = ModSeq(1);
                push(Record::Mailbox { id, account, uid_validity, uid_next: 1, mod_seq, name });
                Outcome::MailboxCreated { mailbox: id, uid_validity }
            }
            Intent::DeleteMailbox { mailbox } => {
                self.deleted.insert(mailbox);
                push(Record::DeleteMailbox { id: mailbox });
                Outcome::MailboxDeleted
            }
            Intent::Deliver { mailbox, prefix, date } => {
                let body = body.expect("deliveries without a body were refused");
                let (uid, mod_seq) = self.take_numbers(mailbox, index, true);
                let uid = uid.expect("a mailbox without identifiers was refused");
                push(Record::Deliver { mailbox, uid, mod_seq, date, body, prefix });
                Outcome::Delivered { uid, mod_seq }
            }
            Intent::Expunge { mailbox, uid } => {
                // Somebody else may have been quicker; that is nobody's mistake.
                let is_there = index.get(mailbox).is_some_and(|mailbox| mailbox.entry(uid).is_some());
                if !is_there || !self.expunged.insert((mailbox, uid)) {
                    return Outcome::Expunged { was_there: false };
                }
                let (_, mod_seq) = self.take_numbers(mailbox, index, false);
                push(Record::Expunge { mailbox, uid, mod_seq });
                Outcome::Expunged { was_there: true }
            }
            Intent::Put { table, key, value } => {
                push(Record::Put { table, key, value });
                Outcome::Put
            }
            Intent::Hold { table, key } => {
                let body = body.expect("holds without a body were refused");
                push(Record::Hold { body, table, key });
                Outcome::Held
            }
            Intent::Remove { table, key } => {
                push(Record::Remove { table, key, what: What { value: true, hold: true } });
                Outcome::Removed
            }
        }
    }

    /// The next identifier and the last modification sequence of a mailbox that exists.
    fn numbers(&mut self, mailbox: MailboxId, index: &Index) -> Option<(Option<Uid>, ModSeq)> {
        if self.deleted.contains(&mailbox) {
            return None;
        }
        if let Some(numbers) = self.numbers.get(&mailbox) {
            return Some(*numbers);
        }
        let status = index.status(mailbox)?;
        let numbers = (status.uid_next, status.highest_mod_seq);
        self.numbers.insert(mailbox, numbers);
        Some(numbers)
    }

    fn take_numbers(&mut self, mailbox: MailboxId, index: &Index, uid: bool) -> (Option<Uid>, ModSeq) {
        let (next, last) = self.numbers(mailbox, index).expect("a mailbox that is not there was refused");
        let mod_seq = ModSeq(last.0 + 1);
        let after = if uid { next.and_then(Uid::next) } else { next };
        self.numbers.insert(mailbox, (after, mod_seq));
        (next, mod_seq)
    }
}

impl Commit {
    /// A mailbox whose messages have to be in memory before this can be resolved.
    pub(super) fn needs(&self, index: &Index) -> Option<MailboxId> {
        self.intents.iter().find_map(|intent| match intent {
            Intent::Expunge { mailbox, .. } | Intent::DeleteMailbox { mailbox } => {
                index.unloaded(*mailbox).map(|_| *mailbox)
            }
            _ => None,
        })
    }

    /// A commit without a body.
    pub fn of(intents: Vec<Intent>) -> Self {
        Self { body: Source::None, intents }
    }

    /// One body for many mailboxes.
    pub fn delivery(body: Source, intents: Vec<Intent>) -> Self {
        Self { body, intents }
    }
}

impl From<Bytes> for Source {
    fn from(data: Bytes) -> Self {
        Self::Inline(data)
    }
}
