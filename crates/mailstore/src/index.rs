//! What the store knows without reading the journal: derived from it, and rebuilt from it.
//!
//! It is told of every change once the change is on stable storage, and in no other way. The caller's records and the
//! bodies are held as keys and places, the messages of a mailbox only while somebody needs them: they lie in the last
//! [snapshot](crate::snapshot), and what has changed since is held beside it.
//!
//! Compaction puts records behind what once stood behind them. So nothing here depends on a mailbox coming before its messages,
//! or a body before its deliveries; a copy says what was so when it was made; and how many hold a body is counted when all has
//! been read.

mod apply;
mod bodies;
mod count;
mod key;
mod mailbox;
mod resident;
mod runs;
mod space;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::bodies::{BODY_FIXED, Bodies, Ground, Inline, Large, Salts};
pub(crate) use self::key::Key;
pub(crate) use self::mailbox::{About, Mailbox, Section, Since};
pub(crate) use self::runs::Runs;
pub(crate) use self::space::{Account, Space};
use crate::mailbox::{
    AccountId, MailboxId, MailboxStatus, ModSeq, Quota, SpecialUse, Uid, UidValidity, name,
};
use crate::message::{BodyId, Flags, UnixTime};

/// A record of the journal, and how long the part of it is that others point at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Place {
    pub(crate) segment: u32,
    /// Where its frame begins.
    pub(crate) at: u32,
    pub(crate) length: u32,
}

/// A message, as the index and its snapshots have it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Entry {
    pub(crate) uid: Uid,
    pub(crate) facts: Facts,
}

/// What is known of a message beside its identifier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Facts {
    pub(crate) mod_seq: ModSeq,
    pub(crate) date: UnixTime,
    pub(crate) body: BodyId,
    pub(crate) flags: Flags,
    /// Its delivery, and the length of its prefix.
    pub(crate) place: Place,
    /// The segment with the record of its flags; 0 if its delivery says them.
    pub(crate) flags_segment: u32,
}

/// A body that a record of the caller's holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    pub(crate) body: u64,
    /// The segment with its record.
    pub(crate) segment: u32,
}

/// A table of the caller's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub(crate) values: Runs<Key, Place>,
    pub(crate) holds: Runs<Key, Hold>,
}

/// How much an account may have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Allowance {
    pub(crate) octets: Option<u64>,
    pub(crate) messages: Option<u64>,
}

impl Allowance {
    pub(crate) const fn is_unlimited(self) -> bool {
        self.octets.is_none() && self.messages.is_none()
    }
}

/// How much an account has.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Usage {
    pub(crate) octets: u64,
    pub(crate) messages: u64,
}

/// The highest identifiers used so far. None is ever used again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Highest {
    pub(crate) body: u64,
    pub(crate) mailbox: u64,
    /// The last life of a mailbox.
    pub(crate) uid_validity: u32,
}

/// A change that is on stable storage, or will be before it can be seen.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Change {
    Body {
        id: BodyId,
        place: Place,
    },
    BodyFile {
        id: BodyId,
        size: u64,
        segment: u32,
    },
    Structure {
        body: BodyId,
        place: Place,
    },
    Mailbox {
        id: MailboxId,
        account: AccountId,
        uid_validity: UidValidity,
        uid_next: u64,
        mod_seq: ModSeq,
        special_use: Option<SpecialUse>,
        name: String,
        keywords: Arc<[String]>,
        segment: u32,
        at: u32,
    },
    MailboxDeleted {
        id: MailboxId,
        segment: u32,
    },
    Delivered {
        mailbox: MailboxId,
        entry: Entry,
    },
    Flagged {
        mailbox: MailboxId,
        uid: Uid,
        mod_seq: ModSeq,
        flags: Flags,
        segment: u32,
    },
    Expunged {
        mailbox: MailboxId,
        uid: Uid,
        mod_seq: ModSeq,
        segment: u32,
    },
    Put {
        table: u16,
        key: Bytes,
        place: Place,
    },
    Held {
        body: BodyId,
        table: u16,
        key: Bytes,
        segment: u32,
    },
    Removed {
        table: u16,
        key: Bytes,
        what: What,
        segment: u32,
    },
    Quota {
        account: AccountId,
        allowance: Allowance,
        segment: u32,
    },
    Highest(Highest),
    /// Damage has taken this many records at most, of whatever mailboxes and kinds. No number that may have stood in them
    /// is to be given out again.
    Lost {
        records: u32,
    },
}

/// Which parts of a record of the caller's are gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct What {
    pub(crate) value: bool,
    pub(crate) hold: bool,
}

/// The index as it was at one moment, for a snapshot. It shares all that does not change.
#[derive(Clone, Debug)]
pub(crate) struct Frozen {
    pub(crate) mailboxes: BTreeMap<MailboxId, Arc<Mailbox>>,
    pub(crate) bodies: Bodies,
    pub(crate) tables: BTreeMap<u16, Table>,
    /// With the segments of their records.
    pub(crate) allowances: BTreeMap<AccountId, (Allowance, u32)>,
    pub(crate) space: Space,
    pub(crate) highest: Highest,
    epoch: u64,
}

impl Frozen {
    /// Nothing, to be filled from a snapshot.
    pub(crate) fn new(highest: Highest) -> Self {
        Self {
            mailboxes: BTreeMap::new(),
            bodies: Bodies::default(),
            tables: BTreeMap::new(),
            allowances: BTreeMap::new(),
            space: Space::default(),
            highest,
            epoch: 0,
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Index {
    mailboxes: BTreeMap<MailboxId, Arc<Mailbox>>,
    names: BTreeMap<(AccountId, String), MailboxId>,
    bodies: Bodies,
    unused: BTreeSet<BodyId>,
    tables: BTreeMap<u16, Table>,
    allowances: BTreeMap<AccountId, (Allowance, u32)>,
    usage: BTreeMap<AccountId, Usage>,
    space: Space,
    highest: Highest,
    /// Rises with every snapshot that is begun.
    epoch: u64,
    /// All has been read: what holds what is known, and is kept.
    counted: bool,
    /// Mailboxes that could be loaded again, by when they were last asked for; and how many messages they have in memory.
    resident: BTreeMap<u64, MailboxId>,
    resident_messages: usize,
    clock: u64,
}

impl Index {
    pub(crate) fn status(&self, id: MailboxId) -> Option<MailboxStatus> {
        let mailbox = self.mailboxes.get(&id)?;
        let about = mailbox.about.as_ref()?;
        Some(MailboxStatus {
            id,
            account: about.account,
            name: about.name.clone(),
            uid_validity: about.uid_validity,
            uid_next: u32::try_from(mailbox.uid_next).ok().and_then(Uid::new),
            highest_mod_seq: mailbox.highest_mod_seq,
            messages: mailbox.tally.messages,
            octets: mailbox.tally.octets,
            unseen: mailbox.tally.unseen,
            deleted: mailbox.tally.deleted,
            special_use: about.special_use,
            keywords: about.keywords.clone(),
        })
    }

    pub(crate) fn find(&self, account: AccountId, name: &str) -> Option<MailboxId> {
        self.names.get(&(account, name.to_owned())).copied()
    }

    /// All mailboxes below a name, with their names.
    pub(crate) fn below(
        &self,
        account: AccountId,
        name: &str,
    ) -> impl Iterator<Item = (&str, MailboxId)> + use<'_> {
        let begin = name::below(name);
        self.names
            .range((account, begin.clone())..)
            .take_while(move |((of, name), _)| *of == account && name.starts_with(&begin))
            .map(|((_, name), id)| (&**name, *id))
    }

    /// The mailboxes of an account by name, or all there are.
    pub(crate) fn mailboxes(&self, account: Option<AccountId>) -> Vec<MailboxId> {
        match account {
            None => self.names.values().copied().collect(),
            Some(account) => self
                .names
                .range((account, String::new())..)
                .take_while(|((of, _), _)| *of == account)
                .map(|(_, id)| *id)
                .collect(),
        }
    }

    /// The names that an account has subscribed to.
    pub(crate) fn subscriptions(&self, account: AccountId) -> impl Iterator<Item = &str> + use<'_> {
        let begin = subscription(account, "");
        let from = begin.clone();
        self.values(SUBSCRIPTIONS, &from)
            .map(|(key, _)| key.octets())
            .take_while(move |key| key.starts_with(&begin))
            .filter_map(|key| core::str::from_utf8(&key[8..]).ok())
    }

    pub(crate) fn is_subscribed(&self, account: AccountId, name: &str) -> bool {
        self.value(SUBSCRIPTIONS, &subscription(account, name)).is_some()
    }

    /// The highest UIDVALIDITY of a mailbox that has had this name and has it no longer.
    pub(crate) fn given_up(&self, account: AccountId, name: &str) -> Option<u32> {
        let begin = given_up(account, name);
        let (key, _) = self.values(GIVEN_UP, &begin).next()?;
        key.octets().strip_prefix(&*begin)?.try_into().ok().map(u32::from_be_bytes)
    }

    /// How many names an account has given up.
    pub(crate) fn count_given_up(&self, account: AccountId) -> usize {
        let begin = account.0.to_be_bytes();
        self.values(GIVEN_UP, &begin).take_while(|(key, _)| key.octets().starts_with(&begin)).count()
    }

    pub(crate) fn usage(&self, account: AccountId) -> Usage {
        self.usage.get(&account).copied().unwrap_or_default()
    }

    /// What an account may have, and the segment with the record that says so.
    pub(crate) fn allowance(&self, account: AccountId) -> (Allowance, Option<u32>) {
        match self.allowances.get(&account) {
            Some((allowance, segment)) => (*allowance, Some(*segment)),
            None => (Allowance::default(), None),
        }
    }

    pub(crate) fn quota(&self, account: AccountId) -> Quota {
        let (usage, (allowance, _)) = (self.usage(account), self.allowance(account));
        Quota {
            used_octets: usage.octets,
            used_messages: usage.messages,
            limit_octets: allowance.octets,
            limit_messages: allowance.messages,
        }
    }

    /// A mailbox, loaded or not.
    pub(crate) fn get(&self, mailbox: MailboxId) -> Option<&Mailbox> {
        self.mailboxes.get(&mailbox).map(|mailbox| &**mailbox)
    }

    /// Where the value of a record of the caller's lies.
    pub(crate) fn value(&self, table: u16, key: &[u8]) -> Option<Place> {
        self.tables.get(&table)?.values.get(&Key::new(key)).copied()
    }

    /// A table of the caller's, if there is anything in it.
    pub(crate) fn table(&self, table: u16) -> Option<&Table> {
        self.tables.get(&table)
    }

    /// The body that a record of the caller's holds.
    pub(crate) fn held(&self, table: u16, key: &[u8]) -> Option<Hold> {
        self.tables.get(&table)?.holds.get(&Key::new(key)).copied()
    }

    /// Records of a table from a key on.
    pub(crate) fn values(&self, table: u16, from: &[u8]) -> impl Iterator<Item = (&Key, &Place)> + use<'_> {
        let from = Key::new(from);
        let table = self.tables.get(&table).map(|table| table.values.from(&from));
        table.into_iter().flatten()
    }

    pub(crate) const fn bodies(&self) -> &Bodies {
        &self.bodies
    }

    /// A body that nothing holds, taken out; called until there is none. Gives the size of one in a file of its own.
    pub(crate) fn take_unused_body(&mut self) -> Option<(BodyId, Option<u64>)> {
        let id = self.unused.pop_first()?;
        if let Some(place) = self.bodies.structures.remove(&id.0) {
            self.space.sub(place.segment, body_octets(place.length));
        }
        if let Some(body) = self.bodies.inline.remove(&id.0) {
            self.space.sub(body.place.segment, body_octets(body.place.length));
            return Some((id, None));
        }
        let body = self.bodies.large.remove(&id.0)?;
        self.space.sub(body.segment, BODY_FILE);
        Some((id, Some(body.size)))
    }

    pub(crate) const fn highest(&self) -> Highest {
        self.highest
    }

    pub(crate) fn space(&self, segment: u32) -> Account {
        self.space.of(segment)
    }

    /// A segment does not count any more.
    pub(crate) fn forget_segment(&mut self, segment: u32) {
        self.space.forget(segment);
    }

    /// Whatever else is known of a snapshot goes in through here.
    pub(crate) fn thaw(&mut self, frozen: Frozen) {
        let named = |(id, mailbox): (&MailboxId, &Arc<Mailbox>)| {
            mailbox.about.as_ref().map(|about| ((about.account, about.name.clone()), *id))
        };
        self.names = frozen.mailboxes.iter().filter_map(named).collect();
        self.mailboxes = frozen.mailboxes;
        self.bodies = frozen.bodies;
        self.tables = frozen.tables;
        self.allowances = frozen.allowances;
        self.space = frozen.space;
        self.highest = frozen.highest;
    }

    /// The index as it is now.
    pub(crate) fn freeze(&mut self) -> Frozen {
        let frozen = Frozen {
            mailboxes: self.mailboxes.clone(),
            bodies: self.bodies.clone(),
            tables: self.tables.clone(),
            allowances: self.allowances.clone(),
            space: self.space.clone(),
            highest: self.highest,
            epoch: self.epoch,
        };
        self.epoch += 1;
        frozen
    }

    fn mailbox(&mut self, id: MailboxId) -> &mut Mailbox {
        Arc::make_mut(self.mailboxes.entry(id).or_insert_with(|| Arc::new(Mailbox::new(None))))
    }

    fn hold(&mut self, body: BodyId) {
        self.bodies.hold(body);
        self.unused.remove(&body);
    }

    fn let_go(&mut self, body: BodyId) {
        if self.bodies.let_go(body) {
            self.unused.insert(body);
        }
    }

    /// For a bug that tests plant.
    pub(crate) fn miscount(&mut self, body: BodyId) {
        self.let_go(body);
    }
}

/// The key of a subscription in the store's own table of them.
pub(crate) fn subscription(account: AccountId, name: &str) -> Vec<u8> {
    [&account.0.to_be_bytes(), name.as_bytes()].concat()
}

/// Where the keys of a name that was given up begin: no name holds NUL.
pub(crate) fn given_up(account: AccountId, name: &str) -> Vec<u8> {
    [&subscription(account, name)[..], &[0]].concat()
}

fn octets(payload: usize) -> u64 {
    crate::journal::writer::framed_length(payload) as u64
}

/// Of a body in the journal, or of a structure.
fn body_octets(length: u32) -> u64 {
    octets(usize::from(BODY_FIXED) + length as usize)
}

fn deliver_octets(prefix: u32) -> u64 {
    octets(usize::from(DELIVER_FIXED) + prefix as usize)
}

fn put_octets(key: usize, value: u32) -> u64 {
    octets(4 + key + value as usize)
}

fn hold_octets(key: usize) -> u64 {
    octets(12 + key)
}

fn remove_octets(key: usize) -> u64 {
    octets(5 + key)
}

/// Tables from here on are the store's own.
pub(crate) const OWN_TABLES: u16 = 0xff00;
/// Names that accounts have subscribed to, as keys without a value.
pub(crate) const SUBSCRIPTIONS: u16 = OWN_TABLES;
/// Names that mailboxes have had: as keys without a value, which end in the UIDVALIDITY.
pub(crate) const GIVEN_UP: u16 = OWN_TABLES + 1;
/// Octets of the record of a delivery in front of the prefix.
pub(crate) const DELIVER_FIXED: u16 = 44;
/// The framed lengths of records that are always as long.
const BODY_FILE: u64 = 32;
const EXPUNGE: u64 = 40;
const FLAGS: u64 = 48;
const QUOTA: u64 = 40;
const DELETE_MAILBOX: u64 = 24;
