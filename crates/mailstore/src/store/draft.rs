//! Turning commits into records: identifiers are given out here, when a batch forms, so that a refused commit leaves no
//! trace in the ones beside it.
//!
//! ```text
//!   what one commit has changed so far      Draft::own       dropped if the commit is refused
//!   what the commits before it in the batch  Draft::under    until the batch is written
//!   what is on stable storage                Index
//! ```
//!
//! Each is asked from above: an intent sees what the one before it has done.

mod flags;
mod mailboxes;
mod messages;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::access::{Right, authorise};
use super::{Commit, Intent, Outcome, Receipt, Source};
use crate::commit::Actor;
use crate::error::Refusal;
use crate::index::{Allowance, Highest, Index, OWN_TABLES, What};
use crate::journal::entry::Record;
use crate::journal::writer::framed_length;
use crate::limits::{Limits, MAX_KEY, MAX_STRUCTURE, MAX_VALUE};
use crate::mailbox::{AccountId, MailboxId, ModSeq, SpecialUse, Uid, UidValidity};
use crate::message::{BodyId, Flags, UnixTime};
use crate::planted::Planted;

/// What commits have changed that the index does not know of yet.
#[derive(Debug, Default)]
pub(super) struct Layer {
    highest: Highest,
    /// `None` is one that has been deleted; so with all that follows.
    mailboxes: BTreeMap<MailboxId, Option<Working>>,
    names: BTreeMap<(AccountId, String), Option<MailboxId>>,
    messages: BTreeMap<(MailboxId, Uid), Option<Known>>,
    subscriptions: BTreeMap<(AccountId, String), bool>,
    /// Names that mailboxes have had, and the highest UIDVALIDITY of them.
    given_up: BTreeMap<(AccountId, String), u32>,
    allowances: BTreeMap<AccountId, Allowance>,
    /// By how much the octets and the messages of an account have changed.
    usage: BTreeMap<AccountId, (i64, i64)>,
}

impl Layer {
    pub(super) fn new(highest: Highest) -> Self {
        Self { highest, ..Self::default() }
    }

    /// The highest identifiers, those of this batch included.
    pub(super) const fn highest(&self) -> Highest {
        self.highest
    }

    /// What a commit has changed counts for those behind it.
    pub(super) fn absorb(&mut self, above: Self) {
        self.highest = above.highest;
        self.mailboxes.extend(above.mailboxes);
        self.names.extend(above.names);
        self.messages.extend(above.messages);
        self.subscriptions.extend(above.subscriptions);
        self.given_up.extend(above.given_up);
        self.allowances.extend(above.allowances);
        for (account, (octets, messages)) in above.usage {
            let usage = self.usage.entry(account).or_default();
            *usage = (usage.0 + octets, usage.1 + messages);
        }
    }
}

/// A mailbox as it is in the middle of a commit.
#[derive(Clone, Debug)]
struct Working {
    account: AccountId,
    name: String,
    uid_validity: UidValidity,
    uid_next: Option<Uid>,
    mod_seq: ModSeq,
    special_use: Option<SpecialUse>,
    keywords: Arc<[String]>,
    messages: u64,
    octets: u64,
}

/// A message as it is in the middle of a commit.
#[derive(Clone, Copy, Debug)]
struct Known {
    mod_seq: ModSeq,
    date: UnixTime,
    body: BodyId,
    flags: Flags,
    /// Octets of the body, and of what stands in front of it.
    size: u64,
    prefix: u64,
}

/// A commit that can be.
#[derive(Debug)]
pub(super) struct Drafted {
    pub(super) own: Layer,
    pub(super) records: Vec<Record>,
    /// What the records take in a segment.
    pub(super) octets: usize,
    pub(super) receipt: Receipt,
}

/// A commit on its way to records.
struct Draft<'a> {
    index: &'a Index,
    under: &'a Layer,
    own: Layer,
    actor: Actor,
    planted: Planted,
    records: Vec<Record>,
    octets: usize,
    /// The body of the commit and its size.
    body: Option<(BodyId, u64)>,
    created: Option<MailboxId>,
    /// Mailboxes that have the modification sequence of this commit already.
    changed: BTreeSet<MailboxId>,
}

/// Gives out identifiers for a commit, or says why it cannot be.
pub(super) fn draft(
    commit: &Commit,
    index: &Index,
    under: &Layer,
    limits: &Limits,
    planted: Planted,
) -> Result<Drafted, Refusal> {
    let mut draft = Draft {
        index,
        under,
        own: Layer::new(under.highest),
        actor: commit.actor,
        planted,
        records: Vec::with_capacity(commit.intents.len() + 2),
        octets: 0,
        body: None,
        created: None,
        changed: BTreeSet::new(),
    };
    draft.body(commit, limits)?;
    let mut outcomes = Vec::with_capacity(commit.intents.len());
    for intent in &commit.intents {
        outcomes.push(draft.intent(intent)?);
        if draft.octets > limits.segment as usize {
            return Err(Refusal::TooLarge);
        }
    }
    draft.check_quota()?;
    let receipt = Receipt { body: draft.body.map(|(id, _)| id), outcomes };
    Ok(Drafted { own: draft.own, records: draft.records, octets: draft.octets, receipt })
}

impl Draft<'_> {
    fn push(&mut self, record: Record) {
        self.octets += framed_length(record.length());
        self.records.push(record);
    }

    fn body(&mut self, commit: &Commit, limits: &Limits) -> Result<(), Refusal> {
        let (id, size) = match &commit.body {
            Source::None if commit.structure.is_some() => return Err(Refusal::NoBody),
            Source::None => return Ok(()),
            Source::Inline(data) if data.len() > limits.inline_body => return Err(Refusal::TooLarge),
            Source::Inline(data) => {
                self.own.highest.body += 1;
                let id = BodyId(self.own.highest.body);
                self.push(Record::Body { id, data: data.clone() });
                (id, data.len() as u64)
            }
            Source::Stored(body) => {
                self.push(Record::BodyFile { id: body.id, size: body.size });
                (body.id, body.size)
            }
        };
        self.body = Some((id, size));
        if let Some(structure) = &commit.structure {
            if structure.len() > MAX_STRUCTURE {
                return Err(Refusal::TooLarge);
            }
            self.push(Record::Structure { body: id, data: structure.clone() });
        }
        Ok(())
    }

    fn intent(&mut self, intent: &Intent) -> Result<Outcome, Refusal> {
        match intent {
            Intent::CreateMailbox { account, name, special_use, now } => {
                self.create(*account, name, *special_use, *now)
            }
            Intent::DeleteMailbox { mailbox } => self.delete(*mailbox),
            Intent::RenameMailbox { mailbox, name, now } => self.rename(*mailbox, name, *now),
            Intent::RenewUidValidity { mailbox, now } => self.renew(*mailbox, *now),
            Intent::Subscribe { account, name } => self.subscribe(*account, name, true),
            Intent::Unsubscribe { account, name } => self.subscribe(*account, name, false),
            Intent::Deliver { mailbox, prefix, date, flags } => self.deliver(*mailbox, prefix, *date, flags),
            Intent::Copy { from, uid, to, prefix } => self.copy(*from, *uid, *to, prefix),
            Intent::Store { mailbox, uid, change, unchanged_since } => {
                self.store(*mailbox, *uid, change, *unchanged_since)
            }
            Intent::Expunge { mailbox, uid, only_deleted } => self.expunge(*mailbox, *uid, *only_deleted),
            Intent::SetQuota { account, octets, messages } => {
                authorise(self.actor, *account, Right::Administer)?;
                let allowance = Allowance { octets: *octets, messages: *messages };
                if self.allowance(*account) != allowance {
                    self.own.allowances.insert(*account, allowance);
                    self.push(Record::Quota { account: *account, allowance });
                }
                Ok(Outcome::QuotaSet)
            }
            Intent::Put { table, key, value } => {
                self.check_key(*table, key)?;
                if value.len() > MAX_VALUE {
                    return Err(Refusal::TooLarge);
                }
                self.push(Record::Put { table: *table, key: key.clone(), value: value.clone() });
                Ok(Outcome::Put)
            }
            Intent::Hold { table, key } => {
                let (body, _) = self.body.ok_or(Refusal::NoBody)?;
                self.check_key(*table, key)?;
                self.push(Record::Hold { body, table: *table, key: key.clone() });
                Ok(Outcome::Held)
            }
            Intent::Remove { table, key } => {
                self.check_key(*table, key)?;
                let what = What { value: true, hold: true };
                self.push(Record::Remove { table: *table, key: key.clone(), what });
                Ok(Outcome::Removed)
            }
        }
    }

    /// Tables belong to nobody's account.
    fn check_key(&self, table: u16, key: &[u8]) -> Result<(), Refusal> {
        if let Actor::Account(account) = self.actor {
            authorise(self.actor, account, Right::Administer)?;
        }
        if table >= OWN_TABLES {
            return Err(Refusal::NotAllowed);
        }
        if key.len() > MAX_KEY { Err(Refusal::TooLarge) } else { Ok(()) }
    }

    fn allowance(&self, account: AccountId) -> Allowance {
        let layers = [&self.own, self.under];
        let changed = layers.iter().find_map(|layer| layer.allowances.get(&account));
        changed.copied().unwrap_or_else(|| self.index.allowance(account).0)
    }

    fn uses(&mut self, account: AccountId, octets: i64, messages: i64) {
        let usage = self.own.usage.entry(account).or_default();
        *usage = (usage.0 + octets, usage.1 + messages);
    }

    /// An account does not get beyond what it may have by anything of its own; what it gets from others is the host's to refuse.
    fn check_quota(&self) -> Result<(), Refusal> {
        let Actor::Account(account) = self.actor else { return Ok(()) };
        let Some((octets, messages)) = self.own.usage.get(&account).copied() else { return Ok(()) };
        let (before, usage) =
            (self.under.usage.get(&account).copied().unwrap_or_default(), self.index.usage(account));
        let allowance = self.allowance(account);
        let over = |limit: Option<u64>, used: u64, before: i64, more: i64| {
            more > 0 && limit.is_some_and(|limit| used.saturating_add_signed(before + more) > limit)
        };
        if over(allowance.octets, usage.octets, before.0, octets)
            || over(allowance.messages, usage.messages, before.1, messages)
        {
            return Err(Refusal::OverQuota);
        }
        Ok(())
    }
}

impl Commit {
    /// A mailbox whose messages have to be in memory before this can be resolved.
    pub(super) fn needs(&self, index: &Index) -> Option<MailboxId> {
        self.touches().find(|mailbox| index.unloaded(*mailbox).is_some())
    }

    /// The mailboxes of which this has to know the messages.
    pub(super) fn touches(&self) -> impl Iterator<Item = MailboxId> {
        self.intents.iter().filter_map(|intent| match intent {
            Intent::Expunge { mailbox, .. }
            | Intent::DeleteMailbox { mailbox }
            | Intent::Store { mailbox, .. }
            | Intent::Copy { from: mailbox, .. } => Some(*mailbox),
            _ => None,
        })
    }
}
