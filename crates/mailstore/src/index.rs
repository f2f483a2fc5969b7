//! What the store knows without reading the journal: derived from it, and rebuilt from it.
//!
//! It is told of every change once the change is on stable storage, and in no other way. The caller's records and the
//! bodies are held as keys and places, the messages of a mailbox only while somebody needs them: they lie in the last
//! [snapshot](crate::snapshot), and what has changed since is held beside it.
//!
//! Compaction puts records behind what once stood behind them. So nothing here depends on a mailbox coming before its messages,
//! or a body before its deliveries; and how many hold a body is counted when all has been read.

mod key;
mod mailbox;
mod runs;
mod space;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

pub(crate) use self::key::Key;
pub(crate) use self::mailbox::{About, Mailbox, Section};
use self::mailbox::{Base, Delta};
pub(crate) use self::runs::Runs;
pub(crate) use self::space::{Account, Space};
use crate::journal::segment::Live;
use crate::journal::writer::framed_length;
use crate::mailbox::{AccountId, MailboxId, MailboxStatus, ModSeq, Uid, UidValidity};
use crate::message::{BodyId, Message, Stretch, UnixTime};

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
    pub(crate) mod_seq: ModSeq,
    pub(crate) date: UnixTime,
    pub(crate) body: BodyId,
    /// Its delivery, and the length of its prefix.
    pub(crate) place: Place,
}

/// A body in the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inline {
    pub(crate) place: Place,
    pub(crate) holders: u32,
}

/// A body in a file of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Large {
    pub(crate) size: u64,
    /// The segment with its record.
    pub(crate) segment: u32,
    pub(crate) holders: u32,
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
    Mailbox {
        id: MailboxId,
        account: AccountId,
        uid_validity: UidValidity,
        uid_next: u64,
        mod_seq: ModSeq,
        name: String,
        segment: u32,
    },
    MailboxDeleted {
        id: MailboxId,
        segment: u32,
    },
    Delivered {
        mailbox: MailboxId,
        entry: Entry,
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
    pub(crate) bodies: Runs<u64, Inline>,
    pub(crate) large: BTreeMap<u64, Large>,
    pub(crate) tables: BTreeMap<u16, Table>,
    pub(crate) space: Space,
    pub(crate) highest: Highest,
    epoch: u64,
}

impl Frozen {
    /// Nothing, to be filled from a snapshot.
    pub(crate) fn new(highest: Highest) -> Self {
        Self {
            mailboxes: BTreeMap::new(),
            bodies: Runs::default(),
            large: BTreeMap::new(),
            tables: BTreeMap::new(),
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
    bodies: Runs<u64, Inline>,
    large: BTreeMap<u64, Large>,
    unused: BTreeSet<BodyId>,
    tables: BTreeMap<u16, Table>,
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
    /// Takes one change. With `moved`, it is a copy of a record that counts.
    ///
    /// Once all has been read, messages are only taken from mailboxes that are loaded.
    pub(crate) fn apply(&mut self, change: &Change, moved: bool) {
        match change {
            Change::Body { id, place } => {
                self.highest.body = self.highest.body.max(id.0);
                let holders = self.bodies.get(&id.0).map_or(0, |body| body.holders);
                let before = self.bodies.insert(id.0, Inline { place: *place, holders });
                self.count(place.segment, body_octets(place.length), before.map(|body| body.place.segment));
                self.came(*id, before.is_some());
            }
            Change::BodyFile { id, size, segment } => {
                self.highest.body = self.highest.body.max(id.0);
                let holders = self.large.get(&id.0).map_or(0, |body| body.holders);
                let large = Large { size: *size, segment: *segment, holders };
                let before = self.large.insert(id.0, large);
                self.count(*segment, BODY_FILE, before.map(|body| body.segment));
                self.came(*id, before.is_some());
            }
            Change::Mailbox { id, account, uid_validity, uid_next, mod_seq, name, segment } => {
                self.highest.mailbox = self.highest.mailbox.max(id.0);
                self.highest.uid_validity = self.highest.uid_validity.max(uid_validity.get());
                let about = About {
                    account: *account,
                    name: name.clone(),
                    uid_validity: *uid_validity,
                    segment: *segment,
                };
                self.names.insert((*account, name.clone()), *id);
                let mailbox = self.mailbox(*id);
                let before = mailbox.about.replace(about).map(|about| about.segment);
                mailbox.uid_next = mailbox.uid_next.max(*uid_next);
                mailbox.highest_mod_seq = mailbox.highest_mod_seq.max(*mod_seq);
                self.count(*segment, mailbox_octets(name), before);
            }
            Change::MailboxDeleted { id, segment } => {
                self.highest.mailbox = self.highest.mailbox.max(id.0);
                self.space.add_gone(*segment, DELETE_MAILBOX);
                self.delete(*id);
            }
            Change::Delivered { mailbox, entry } => self.deliver(*mailbox, entry, moved),
            Change::Expunged { mailbox, uid, mod_seq, segment } => {
                self.space.add_gone(*segment, EXPUNGE);
                if !moved {
                    self.expunge(*mailbox, *uid, *mod_seq);
                }
            }
            Change::Put { table, key, place } => {
                let before = self.tables.entry(*table).or_default().values.insert(Key::new(key), *place);
                let octets = put_octets(key.len(), place.length);
                if let Some(before) = before.filter(|_| self.counted) {
                    self.space.sub(before.segment, put_octets(key.len(), before.length));
                }
                self.count(place.segment, octets, None);
            }
            Change::Held { body, table, key, segment } => {
                self.highest.body = self.highest.body.max(body.0);
                let hold = Hold { body: body.0, segment: *segment };
                let before = self.tables.entry(*table).or_default().holds.insert(Key::new(key), hold);
                self.count(*segment, hold_octets(key.len()), before.map(|before| before.segment));
                if self.counted && !moved {
                    self.hold(*body);
                    if let Some(before) = before {
                        self.let_go(BodyId(before.body));
                    }
                }
            }
            Change::Removed { table, key, what, segment } => {
                self.space.add_gone(*segment, remove_octets(key.len()));
                self.remove(*table, key, *what);
            }
            Change::Highest(highest) => {
                self.highest.body = self.highest.body.max(highest.body);
                self.highest.mailbox = self.highest.mailbox.max(highest.mailbox);
                self.highest.uid_validity = self.highest.uid_validity.max(highest.uid_validity);
            }
            Change::Lost { records } => self.skip(*records),
        }
    }

    /// A body that nothing holds, taken out; called until there is none. Gives the size of one in a file of its own.
    pub(crate) fn take_unused_body(&mut self) -> Option<(BodyId, Option<u64>)> {
        let id = self.unused.pop_first()?;
        if let Some(body) = self.bodies.remove(&id.0) {
            self.space.sub(body.place.segment, body_octets(body.place.length));
            return Some((id, None));
        }
        let body = self.large.remove(&id.0)?;
        self.space.sub(body.segment, BODY_FILE);
        Some((id, Some(body.size)))
    }

    fn body_size(&self, body: BodyId) -> Option<u64> {
        let inline = self.bodies.get(&body.0).map(|body| u64::from(body.place.length));
        inline.or_else(|| self.large.get(&body.0).map(|body| body.size))
    }

    /// All bodies that lie in files of their own, with their sizes.
    pub(crate) fn large_bodies(&self) -> impl Iterator<Item = (BodyId, u64)> {
        self.large.iter().map(|(id, body)| (BodyId(*id), body.size))
    }

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
            messages: mailbox.messages,
            octets: mailbox.octets,
        })
    }

    pub(crate) fn find(&self, account: AccountId, name: &str) -> Option<MailboxId> {
        self.names.get(&(account, name.to_owned())).copied()
    }

    pub(crate) fn mailboxes(&self, account: Option<AccountId>) -> Vec<MailboxId> {
        let wanted = |mailbox: &Mailbox| {
            mailbox.about.as_ref().is_some_and(|about| account.is_none_or(|account| account == about.account))
        };
        self.mailboxes.iter().filter(|(_, mailbox)| wanted(mailbox)).map(|(id, _)| *id).collect()
    }

    /// A mailbox, loaded or not.
    pub(crate) fn get(&self, mailbox: MailboxId) -> Option<&Mailbox> {
        self.mailboxes.get(&mailbox).map(|mailbox| &**mailbox)
    }

    /// Where the messages of a mailbox are to be read first; `None` if they are in memory, or there is no such mailbox.
    pub(crate) fn unloaded(&self, mailbox: MailboxId) -> Option<Section> {
        match self.mailboxes.get(&mailbox)?.base {
            Base::Stored(section) => Some(section),
            Base::Loaded(..) | Base::Whole(_) => None,
        }
    }

    /// The messages of the base of a mailbox have been read. With `lasting`, they are nowhere else.
    pub(crate) fn loaded(&mut self, id: MailboxId, section: Section, entries: Vec<Entry>, lasting: bool) {
        let Some(mailbox) = self.mailboxes.get_mut(&id) else { return };
        if !matches!(mailbox.base, Base::Stored(of) if of == section) {
            return;
        }
        let mailbox = Arc::make_mut(mailbox);
        let length = entries.len();
        let entries = entries.into();
        if lasting {
            mailbox.base = Base::Whole(entries);
        } else {
            mailbox.base = Base::Loaded(section, entries);
            self.clock += 1;
            mailbox.used = self.clock;
            self.resident.insert(self.clock, id);
            self.resident_messages += length;
        }
    }

    /// Lets go of the messages that nobody has asked for longest, down to so many. Not while a batch is being written.
    pub(crate) fn unload(&mut self, most: usize) {
        while self.resident_messages > most
            && self.resident.len() > 1
            && let Some((_, id)) = self.resident.pop_first()
        {
            self.forget_messages(id);
        }
    }

    fn forget_messages(&mut self, id: MailboxId) {
        let Some(mailbox) = self.mailboxes.get_mut(&id) else { return };
        if let Base::Loaded(section, entries) = &mailbox.base {
            self.resident_messages -= entries.len();
            let section = *section;
            let mailbox = Arc::make_mut(mailbox);
            mailbox.base = Base::Stored(section);
            mailbox.shared = None;
        }
    }

    fn forget_resident(&mut self, mailbox: &Mailbox) {
        if let Base::Loaded(_, entries) = &mailbox.base
            && self.resident.remove(&mailbox.used).is_some()
        {
            self.resident_messages -= entries.len();
        }
    }

    /// The messages of a loaded mailbox by rising unique identifier; shared by all who ask between two changes.
    pub(crate) fn messages(&mut self, id: MailboxId, live: &[Live]) -> Option<Arc<[Message]>> {
        let mailbox = self.mailboxes.get_mut(&id)?;
        mailbox.about.as_ref()?;
        let base = mailbox.loaded()?;
        if let Some(shared) = &mailbox.shared {
            return Some(shared.clone());
        }
        let (bodies, large) = (&self.bodies, &self.large);
        let shared: Arc<[Message]> = mailbox
            .merged(base)
            .filter_map(|entry| {
                Some(Message {
                    uid: entry.uid,
                    mod_seq: entry.mod_seq,
                    date: entry.date,
                    body: entry.body,
                    prefix: Stretch::record(entry.place, DELIVER_FIXED, live),
                    content: content(bodies, large, entry.body, live)?,
                })
            })
            .collect();
        let mailbox = Arc::make_mut(mailbox);
        mailbox.shared = Some(shared.clone());
        if matches!(mailbox.base, Base::Loaded(..)) {
            self.resident.remove(&mailbox.used);
            self.clock += 1;
            mailbox.used = self.clock;
            self.resident.insert(self.clock, id);
        }
        Some(shared)
    }

    /// What was shared may point at segments that are about to go.
    pub(crate) fn forget_shared(&mut self) {
        for mailbox in self.mailboxes.values_mut().filter(|mailbox| mailbox.shared.is_some()) {
            Arc::make_mut(mailbox).shared = None;
        }
    }

    /// Where the value of a record of the caller's lies.
    pub(crate) fn value(&self, table: u16, key: &[u8]) -> Option<Place> {
        self.tables.get(&table)?.values.get(&Key::new(key)).copied()
    }

    /// The body that a record of the caller's holds.
    pub(crate) fn held(&self, table: u16, key: &[u8]) -> Option<Hold> {
        self.tables.get(&table)?.holds.get(&Key::new(key)).copied()
    }

    /// A table of the caller's, if there is anything in it.
    pub(crate) fn table(&self, table: u16) -> Option<&Table> {
        self.tables.get(&table)
    }

    /// Where a body lies.
    pub(crate) fn body(&self, body: BodyId, live: &[Live]) -> Option<Stretch> {
        content(&self.bodies, &self.large, body, live)
    }

    pub(crate) fn inline_body(&self, body: BodyId) -> Option<Inline> {
        self.bodies.get(&body.0).copied()
    }

    pub(crate) fn large_body(&self, body: BodyId) -> Option<Large> {
        self.large.get(&body.0).copied()
    }

    /// Records of a table from a key on.
    pub(crate) fn values(&self, table: u16, from: &[u8]) -> impl Iterator<Item = (&Key, &Place)> + use<'_> {
        let from = Key::new(from);
        let table = self.tables.get(&table).map(|table| table.values.from(&from));
        table.into_iter().flatten()
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
        self.names = frozen
            .mailboxes
            .iter()
            .filter_map(|(id, mailbox)| {
                mailbox.about.as_ref().map(|about| ((about.account, about.name.clone()), *id))
            })
            .collect();
        self.mailboxes = frozen.mailboxes;
        self.bodies = frozen.bodies;
        self.large = frozen.large;
        self.tables = frozen.tables;
        self.space = frozen.space;
        self.highest = frozen.highest;
    }

    /// The index as it is now.
    pub(crate) fn freeze(&mut self) -> Frozen {
        let frozen = Frozen {
            mailboxes: self.mailboxes.clone(),
            bodies: self.bodies.clone(),
            large: self.large.clone(),
            tables: self.tables.clone(),
            space: self.space.clone(),
            highest: self.highest,
            epoch: self.epoch,
        };
        self.epoch += 1;
        frozen
    }

    /// A snapshot counts: what it says need not be held any more.
    ///
    /// What is in memory stays there: a batch that is being written may change it.
    pub(crate) fn rebase(&mut self, frozen: &Frozen, sections: &BTreeMap<MailboxId, Section>) {
        for (id, section) in sections {
            let (Some(mailbox), Some(before)) = (self.mailboxes.get_mut(id), frozen.mailboxes.get(id)) else {
                continue;
            };
            let mailbox = Arc::make_mut(mailbox);
            let entries = mailbox.loaded().map(|base| before.merged(base).collect::<Arc<[Entry]>>());
            mailbox.delta.retain(|_, delta| delta.epoch > frozen.epoch);
            if let Base::Loaded(_, entries) = &mailbox.base {
                self.resident_messages -= entries.len();
                self.resident.remove(&mailbox.used);
            }
            mailbox.base = match entries {
                None if section.count > 0 => Base::Stored(*section),
                Some(entries) if section.count > 0 => {
                    self.clock += 1;
                    mailbox.used = self.clock;
                    self.resident.insert(self.clock, *id);
                    self.resident_messages += entries.len();
                    Base::Loaded(*section, entries)
                }
                _ => Base::Whole(Arc::default()),
            };
        }
    }

    /// Where the messages lie that have to be counted, by where that is.
    pub(crate) fn sections(&self) -> Vec<(Section, MailboxId)> {
        let mut sections: Vec<_> = self
            .mailboxes
            .iter()
            .filter_map(|(id, mailbox)| mailbox.section().map(|section| (section, *id)))
            .collect();
        sections.sort_unstable_by_key(|(section, _)| section.at);
        sections
    }

    /// All has been read but the messages in the snapshot: begins to count who holds what.
    pub(crate) fn begin_count(&mut self) {
        self.name_the_lost();
        for (id, mailbox) in core::mem::take(&mut self.mailboxes) {
            let mut mailbox = Arc::unwrap_or_clone(mailbox);
            (mailbox.messages, mailbox.octets) = (0, 0);
            if let Some(about) = &mailbox.about {
                self.space.add(about.segment, mailbox_octets(&about.name));
            }
            if matches!(mailbox.base, Base::Whole(_)) {
                mailbox.delta.retain(|_, delta| delta.entry.is_some());
            }
            let entries: Vec<_> = mailbox.delta.values().filter_map(|delta| delta.entry).collect();
            self.mailboxes.insert(id, Arc::new(mailbox));
            for entry in entries {
                self.count_message(id, &entry);
            }
        }
        let held: Vec<_> =
            self.tables.values().flat_map(|table| table.holds.iter().map(|(_, hold)| hold.body)).collect();
        for body in held {
            self.hold(BodyId(body));
        }
        let Self { tables, bodies, large, space, .. } = self;
        for table in tables.values() {
            for (key, place) in table.values.iter() {
                space.add(place.segment, put_octets(key.octets().len(), place.length));
            }
            for (key, hold) in table.holds.iter() {
                space.add(hold.segment, hold_octets(key.octets().len()));
            }
        }
        for (_, body) in bodies.iter() {
            space.add(body.place.segment, body_octets(body.place.length));
        }
        for body in large.values() {
            space.add(body.segment, BODY_FILE);
        }
    }

    /// Damage may have taken a mailbox and left its messages. They are kept, under a name of nobody's.
    fn name_the_lost(&mut self) {
        self.mailboxes.retain(|_, mailbox| {
            mailbox.about.is_some() || mailbox.delta.values().any(|delta| delta.entry.is_some())
        });
        let nameless = self.mailboxes.iter().filter(|(_, mailbox)| mailbox.about.is_none());
        for id in nameless.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.highest.uid_validity = self.highest.uid_validity.saturating_add(1);
            let uid_validity = UidValidity::new(self.highest.uid_validity).expect("one more than a number");
            let (account, name) = (AccountId::LOST, format!("lost {}", id.0));
            self.names.insert((account, name.clone()), id);
            self.mailbox(id).about = Some(About { account, name, uid_validity, segment: 0 });
        }
    }

    /// A message of the snapshot.
    pub(crate) fn count_base(&mut self, mailbox: MailboxId, entry: &Entry) {
        if self.mailboxes.get(&mailbox).is_some_and(|mailbox| !mailbox.changed(entry.uid)) {
            self.count_message(mailbox, entry);
        }
    }

    /// Everything has been counted.
    pub(crate) fn end_count(&mut self) {
        self.unused =
            self.bodies.iter().filter(|(_, body)| body.holders == 0).map(|(id, _)| BodyId(*id)).collect();
        self.unused
            .extend(self.large.iter().filter(|(_, body)| body.holders == 0).map(|(id, _)| BodyId(*id)));
        self.counted = true;
    }

    fn count_message(&mut self, id: MailboxId, entry: &Entry) {
        // Without its body, which only damage can take, there is no message; but its identifier is used up.
        let Some(content) = self.body_size(entry.body) else { return };
        self.hold(entry.body);
        self.space.add(entry.place.segment, deliver_octets(entry.place.length));
        if let Some(mailbox) = self.mailboxes.get_mut(&id) {
            let mailbox = Arc::make_mut(mailbox);
            mailbox.messages += 1;
            mailbox.octets += content + u64::from(entry.place.length);
        }
    }

    fn mailbox(&mut self, id: MailboxId) -> &mut Mailbox {
        Arc::make_mut(self.mailboxes.entry(id).or_insert_with(|| Arc::new(Mailbox::new(None))))
    }

    /// A record that is alive lies in a segment, in place of the one before.
    fn count(&mut self, segment: u32, octets: u64, before: Option<u32>) {
        if self.counted {
            self.space.add(segment, octets);
            if let Some(before) = before {
                self.space.sub(before, octets);
            }
        }
    }

    fn came(&mut self, body: BodyId, known: bool) {
        if self.counted && !known {
            self.unused.insert(body);
        }
    }

    fn deliver(&mut self, id: MailboxId, entry: &Entry, moved: bool) {
        // What damage has taken is not to come back as something else.
        self.highest.mailbox = self.highest.mailbox.max(id.0);
        self.highest.body = self.highest.body.max(entry.body.0);
        let (epoch, counted) = (self.epoch, self.counted);
        if counted && !self.mailboxes.contains_key(&id) {
            return;
        }
        let mailbox = self.mailbox(id);
        let before = if moved && counted { mailbox.place(entry.uid) } else { None };
        mailbox.touch(entry.mod_seq);
        mailbox.uid_next = mailbox.uid_next.max(u64::from(entry.uid.get()) + 1);
        mailbox.delta.insert(entry.uid, Delta { epoch, entry: Some(*entry) });
        if !counted {
            return;
        }
        if moved {
            if let Some(before) = before {
                self.space.sub(before.segment, deliver_octets(before.length));
                self.space.add(entry.place.segment, deliver_octets(entry.place.length));
            }
        } else {
            self.count_message(id, entry);
        }
    }

    fn expunge(&mut self, id: MailboxId, uid: Uid, mod_seq: ModSeq) {
        let (epoch, counted) = (self.epoch, self.counted);
        if counted && !self.mailboxes.contains_key(&id) {
            return;
        }
        let mailbox = self.mailbox(id);
        let entry = if counted { mailbox.entry(uid) } else { None };
        mailbox.touch(mod_seq);
        mailbox.uid_next = mailbox.uid_next.max(u64::from(uid.get()) + 1);
        mailbox.delta.insert(uid, Delta { epoch, entry: None });
        if let Some(entry) = entry {
            self.forget_message(id, &entry);
        }
    }

    fn forget_message(&mut self, id: MailboxId, entry: &Entry) {
        let Some(content) = self.body_size(entry.body) else { return };
        if let Some(mailbox) = self.mailboxes.get_mut(&id) {
            let mailbox = Arc::make_mut(mailbox);
            mailbox.messages -= 1;
            mailbox.octets -= content + u64::from(entry.place.length);
        }
        self.space.sub(entry.place.segment, deliver_octets(entry.place.length));
        self.let_go(entry.body);
    }

    fn delete(&mut self, id: MailboxId) {
        let Some(mailbox) = self.mailboxes.remove(&id) else { return };
        self.forget_resident(&mailbox);
        if let Some(about) = &mailbox.about {
            let name = (about.account, about.name.clone());
            // A later mailbox may have the name by now.
            if self.names.get(&name) == Some(&id) {
                self.names.remove(&name);
            }
            if self.counted {
                self.space.sub(about.segment, mailbox_octets(&about.name));
            }
        }
        if self.counted {
            for entry in mailbox.merged(mailbox.loaded().unwrap_or_default()) {
                self.forget_message(id, &entry);
            }
        }
    }

    fn remove(&mut self, table: u16, key: &[u8], what: What) {
        let Some(records) = self.tables.get_mut(&table) else { return };
        let length = key.len();
        let key = Key::new(key);
        let value = if what.value { records.values.remove(&key) } else { None };
        let hold = if what.hold { records.holds.remove(&key) } else { None };
        if records.values.len() == 0 && records.holds.len() == 0 {
            self.tables.remove(&table);
        }
        if !self.counted {
            return;
        }
        if let Some(place) = value {
            self.space.sub(place.segment, put_octets(length, place.length));
        }
        if let Some(hold) = hold {
            self.space.sub(hold.segment, hold_octets(length));
            self.let_go(BodyId(hold.body));
        }
    }

    /// Goes on as if so many of everything had come.
    fn skip(&mut self, records: u32) {
        let number = u64::from(records);
        self.highest.body += number;
        self.highest.mailbox += number;
        self.highest.uid_validity = self.highest.uid_validity.saturating_add(records);
        for mailbox in self.mailboxes.values_mut() {
            let mailbox = Arc::make_mut(mailbox);
            mailbox.uid_next += number;
            mailbox.touch(ModSeq(mailbox.highest_mod_seq.0 + number));
        }
    }

    /// For a bug that tests plant.
    pub(crate) fn miscount(&mut self, body: BodyId) {
        self.let_go(body);
    }

    fn hold(&mut self, body: BodyId) {
        if let Some(body) = self.bodies.get_mut(&body.0) {
            body.holders += 1;
        } else if let Some(body) = self.large.get_mut(&body.0) {
            body.holders += 1;
        }
        self.unused.remove(&body);
    }

    fn let_go(&mut self, body: BodyId) {
        let holders = match self.bodies.get_mut(&body.0) {
            Some(body) => &mut body.holders,
            None => match self.large.get_mut(&body.0) {
                Some(body) => &mut body.holders,
                None => return,
            },
        };
        *holders = holders.saturating_sub(1);
        if *holders == 0 {
            self.unused.insert(body);
        }
    }
}

fn content(
    bodies: &Runs<u64, Inline>,
    large: &BTreeMap<u64, Large>,
    body: BodyId,
    live: &[Live],
) -> Option<Stretch> {
    if let Some(inline) = bodies.get(&body.0) {
        return Some(Stretch::record(inline.place, BODY_FIXED, live));
    }
    large.get(&body.0).map(|large| Stretch::file(body, large.size))
}

fn body_octets(length: u32) -> u64 {
    framed_length(usize::from(BODY_FIXED) + length as usize) as u64
}

fn deliver_octets(prefix: u32) -> u64 {
    framed_length(usize::from(DELIVER_FIXED) + prefix as usize) as u64
}

fn mailbox_octets(name: &str) -> u64 {
    framed_length(MAILBOX_FIXED + name.len()) as u64
}

fn put_octets(key: usize, value: u32) -> u64 {
    framed_length(4 + key + value as usize) as u64
}

fn hold_octets(key: usize) -> u64 {
    framed_length(12 + key) as u64
}

fn remove_octets(key: usize) -> u64 {
    framed_length(5 + key) as u64
}

/// Octets of a body record in front of the body, and of a delivery in front of the prefix.
pub(crate) const BODY_FIXED: u16 = 8;
pub(crate) const DELIVER_FIXED: u16 = 36;
/// Octets of the record of a mailbox in front of its name.
pub(crate) const MAILBOX_FIXED: usize = 36;
/// The framed lengths of records that are always as long.
const BODY_FILE: u64 = 32;
const EXPUNGE: u64 = 40;
const DELETE_MAILBOX: u64 = 24;
