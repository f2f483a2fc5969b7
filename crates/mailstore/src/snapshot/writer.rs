//! Writing a snapshot, a slice at a time, beside whatever the store does meanwhile.

use core::num::NonZeroU32;
use std::collections::{BTreeMap, VecDeque};

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    ENTRIES, ENTRY, HEAD_BLOCK, HEADER, Header, Position, SLICE, kind, put_block, put_entry, put_place,
    reader,
};
use crate::index::{Entry, Facts, Frozen, Key, Runs, Section};
use crate::journal::entry::{NO_LIMIT, put_names};
use crate::mailbox::{AccountId, MailboxId, Uid};
use crate::operation::{Dir, DiskError, Done, File, Operation};
use crate::planted::{Bug, Planted};

/// The steps to a snapshot that counts.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) number: u64,
    pub(crate) position: Position,
    pub(crate) frozen: Frozen,
    /// Where the messages of each mailbox have come to lie.
    pub(crate) sections: BTreeMap<MailboxId, Section>,
    mailboxes: VecDeque<MailboxId>,
    /// The section of the first of these, from the snapshot before.
    reading: Option<reader::Part>,
    /// The messages of the first of these, while they are written.
    messages: Option<Messages>,
    step: Step,
    busy: bool,
    /// Where the next octet goes.
    at: u64,
    out: BytesMut,
    head: u64,
    cursor: Cursor,
    planted: Planted,
}

/// Messages of a mailbox that are still to be written: those from here on.
#[derive(Debug)]
struct Messages {
    all: Runs<Uid, Facts>,
    from: Uid,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Create,
    /// The sections, of which some are read from the snapshot before.
    Sections,
    Head,
    Header,
    Dir,
}

/// How far the head has been written.
#[derive(Debug)]
enum Cursor {
    Mailboxes(u64),
    Bodies(u64),
    Files(u64),
    Structures(u64),
    Quotas(u64),
    Values(u16, Option<Key>),
    Holds(u16, Option<Key>),
    Segments(u32),
    Done,
}

/// What a result has led to.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    GoingOn,
    /// It is on stable storage, and so long.
    Written(u64),
    Failed,
    /// The messages of this mailbox cannot be read from the snapshot before.
    Damaged(MailboxId),
}

impl Writer {
    pub(crate) fn new(number: u64, position: Position, frozen: Frozen, planted: Planted) -> Self {
        Self {
            number,
            position,
            mailboxes: frozen.mailboxes.keys().copied().collect(),
            frozen,
            sections: BTreeMap::new(),
            reading: None,
            messages: None,
            step: Step::Create,
            busy: false,
            at: HEADER,
            out: BytesMut::new(),
            head: 0,
            cursor: Cursor::Mailboxes(0),
            planted,
        }
    }

    pub(crate) const fn file(&self) -> File {
        File::Snapshot(self.number)
    }

    /// The next operation; `None` while one is with the driver.
    pub(crate) fn poll(&mut self) -> Option<Operation> {
        if core::mem::replace(&mut self.busy, true) {
            return None;
        }
        let file = self.file();
        if self.step == Step::Sections
            && let Some(operation) = self.sections()
        {
            return Some(operation);
        }
        if self.step == Step::Head
            && let Some(operation) = self.head()
        {
            return Some(operation);
        }
        Some(match self.step {
            Step::Create => Operation::Create { file, reserve: 0 },
            Step::Sections | Step::Head | Step::Header => {
                let header = Header {
                    number: self.number,
                    position: self.position,
                    highest: self.frozen.highest,
                    head: self.head,
                    end: self.at,
                };
                Operation::Write { file, at: 0, data: vec![header.encode()], sync: true }
            }
            Step::Dir => Operation::SyncDir { dir: Dir::Snapshots },
        })
    }

    pub(crate) fn handle_done(&mut self, operation: &Operation, result: Result<Done, DiskError>) -> Progress {
        self.busy = false;
        match (self.step, result) {
            (Step::Sections, Ok(Done::Data(octets))) => return self.section(octets),
            (Step::Sections, Err(_)) if matches!(operation, Operation::Read { .. }) => {
                return self.section(Bytes::new());
            }
            (_, Err(_)) => return Progress::Failed,
            (Step::Create, _) => self.step = Step::Sections,
            (Step::Sections | Step::Head, _) => {}
            (Step::Header, _) => self.step = Step::Dir,
            (Step::Dir, _) => return Progress::Written(self.at),
        }
        Progress::GoingOn
    }

    /// Fills a slice with sections; the messages of a mailbox that is not loaded are read first.
    fn sections(&mut self) -> Option<Operation> {
        while (self.out.len() as u64) < SLICE
            && let Some(id) = self.mailboxes.front().copied()
        {
            if self.messages.is_some() {
                self.put_messages();
                continue;
            }
            let mailbox = &self.frozen.mailboxes[&id];
            if let Some(messages) = mailbox.loaded() {
                let messages = messages.clone();
                self.begin_section(id, messages);
                continue;
            }
            let Some(section) = mailbox.section() else { break };
            if !self.out.is_empty() {
                break;
            }
            let (at, length) = self.reading.get_or_insert_with(|| reader::Part::whole(section)).next();
            return Some(Operation::Read { file: File::Snapshot(section.snapshot), at, length });
        }
        let write = self.flush();
        if write.is_none() {
            self.step = Step::Head;
            self.head = self.at;
        }
        write
    }

    fn section(&mut self, octets: Bytes) -> Progress {
        let Some(id) = self.mailboxes.front().copied() else { return Progress::GoingOn };
        let mailbox = self.frozen.mailboxes[&id].clone();
        let Some(mut part) = self.reading.take() else { return Progress::GoingOn };
        match part.slice(octets) {
            reader::Progress::GoingOn => {
                self.reading = Some(part);
                return Progress::GoingOn;
            }
            reader::Progress::Damaged => return Progress::Damaged(id),
            reader::Progress::Done => {}
        }
        let mut messages = mailbox.merged(part.finish());
        if mailbox.lost {
            messages.retain(|facts| self.frozen.bodies.size(facts.body).is_some());
        }
        self.begin_section(id, messages);
        Progress::GoingOn
    }

    fn begin_section(&mut self, id: MailboxId, all: Runs<Uid, Facts>) {
        let at = self.at + self.out.len() as u64;
        self.sections.insert(id, Section { snapshot: self.number, at, count: all.len() as u64 });
        self.messages = Some(Messages { all, from: Uid(NonZeroU32::MIN) });
    }

    /// The next block of the section that has begun; behind its last one, the mailbox is done.
    fn put_messages(&mut self) {
        let Some(Messages { all, from }) = self.messages.take() else { return };
        let mut entries = all.from(&from).map(|(uid, facts)| Entry { uid: *uid, facts: *facts });
        let mut block = BytesMut::with_capacity(ENTRIES * ENTRY);
        for mut entry in entries.by_ref().take(ENTRIES) {
            if self.planted.has(Bug::FlagsUncounted) {
                entry.facts.flags_segment = 0;
            }
            put_entry(&entry, &mut block);
        }
        let next = entries.next().map(|entry| entry.uid);
        drop(entries);
        if !block.is_empty() {
            self.put_block(&block);
        }
        match next {
            Some(from) => self.messages = Some(Messages { all, from }),
            None => drop(self.mailboxes.pop_front()),
        }
    }

    /// Fills a slice with the head.
    fn head(&mut self) -> Option<Operation> {
        while (self.out.len() as u64) < SLICE {
            let mut block = BytesMut::with_capacity(HEAD_BLOCK + 2_048);
            while block.len() < HEAD_BLOCK && !matches!(self.cursor, Cursor::Done) {
                self.put_items(&mut block);
            }
            if block.is_empty() {
                break;
            }
            self.put_block(&block);
        }
        let write = self.flush();
        if write.is_none() {
            self.step = Step::Header;
        }
        write
    }

    /// Puts items of one kind into the block, until it is full or there are no more.
    fn put_items(&mut self, out: &mut BytesMut) {
        let Self { frozen, sections, .. } = self;
        self.cursor = match &self.cursor {
            Cursor::Mailboxes(from) => {
                let mut next = Cursor::Bodies(0);
                for (id, mailbox) in frozen.mailboxes.range(MailboxId(*from)..) {
                    if out.len() >= HEAD_BLOCK {
                        next = Cursor::Mailboxes(id.0);
                        break;
                    }
                    let (Some(about), Some(section)) = (&mailbox.about, sections.get(id)) else { continue };
                    out.put_u8(kind::MAILBOX);
                    out.put_u64_le(id.0);
                    out.put_u64_le(about.account.0);
                    out.put_u32_le(about.uid_validity.get());
                    out.put_u64_le(mailbox.uid_next);
                    out.put_u64_le(mailbox.highest_mod_seq.0);
                    out.put_u32_le(about.segment);
                    out.put_u32_le(about.at);
                    out.put_u64_le(section.at);
                    out.put_u64_le(section.count);
                    put_names(about.special_use, &about.name, &about.keywords, out);
                }
                next
            }
            Cursor::Bodies(from) => {
                let mut next = Cursor::Files(0);
                for (id, body) in frozen.bodies.inline.from(from) {
                    if out.len() >= HEAD_BLOCK {
                        next = Cursor::Bodies(*id);
                        break;
                    }
                    out.put_u8(kind::BODY);
                    out.put_u64_le(*id);
                    put_place(body.place, out);
                }
                next
            }
            Cursor::Files(from) => {
                let mut next = Cursor::Structures(0);
                for (id, body) in frozen.bodies.large.from(from) {
                    if out.len() >= HEAD_BLOCK {
                        next = Cursor::Files(*id);
                        break;
                    }
                    out.put_u8(kind::BODY_FILE);
                    out.put_u64_le(*id);
                    out.put_u64_le(body.size);
                    out.put_u32_le(body.segment);
                }
                next
            }
            Cursor::Structures(from) => {
                let mut next = Cursor::Quotas(0);
                for (id, place) in frozen.bodies.structures.from(from) {
                    if out.len() >= HEAD_BLOCK {
                        next = Cursor::Structures(*id);
                        break;
                    }
                    out.put_u8(kind::STRUCTURE);
                    out.put_u64_le(*id);
                    put_place(*place, out);
                }
                next
            }
            Cursor::Quotas(from) => {
                let mut next = Cursor::Values(0, None);
                for (account, (allowance, segment)) in frozen.allowances.range(AccountId(*from)..) {
                    if out.len() >= HEAD_BLOCK {
                        next = Cursor::Quotas(account.0);
                        break;
                    }
                    out.put_u8(kind::QUOTA);
                    out.put_u64_le(account.0);
                    out.put_u64_le(allowance.octets.unwrap_or(NO_LIMIT));
                    out.put_u64_le(allowance.messages.unwrap_or(NO_LIMIT));
                    out.put_u32_le(*segment);
                }
                next
            }
            Cursor::Values(from, key) => {
                let mut next = Cursor::Holds(0, None);
                'tables: for (number, table) in frozen.tables.range(from..) {
                    let first = key.clone().filter(|_| number == from).unwrap_or_else(|| Key::new(&[]));
                    for (key, place) in table.values.from(&first) {
                        if out.len() >= HEAD_BLOCK {
                            next = Cursor::Values(*number, Some(key.clone()));
                            break 'tables;
                        }
                        out.put_u8(kind::VALUE);
                        put_key(*number, key, out);
                        put_place(*place, out);
                    }
                }
                next
            }
            Cursor::Holds(from, key) => {
                let mut next = Cursor::Segments(0);
                'tables: for (number, table) in frozen.tables.range(from..) {
                    let first = key.clone().filter(|_| number == from).unwrap_or_else(|| Key::new(&[]));
                    for (key, hold) in table.holds.from(&first) {
                        if out.len() >= HEAD_BLOCK {
                            next = Cursor::Holds(*number, Some(key.clone()));
                            break 'tables;
                        }
                        out.put_u8(kind::HOLD);
                        put_key(*number, key, out);
                        out.put_u64_le(hold.body);
                        out.put_u32_le(hold.segment);
                    }
                }
                next
            }
            Cursor::Segments(from) => {
                let mut next = Cursor::Done;
                for (segment, account) in frozen.space.from(*from).filter(|(_, account)| account.gone > 0) {
                    if out.len() >= HEAD_BLOCK {
                        next = Cursor::Segments(segment);
                        break;
                    }
                    out.put_u8(kind::SEGMENT);
                    out.put_u32_le(segment);
                    out.put_u64_le(account.gone);
                }
                next
            }
            Cursor::Done => Cursor::Done,
        };
    }

    fn put_block(&mut self, octets: &[u8]) {
        put_block(self.number, self.at + self.out.len() as u64, octets, &mut self.out);
    }

    fn flush(&mut self) -> Option<Operation> {
        if self.out.is_empty() {
            return None;
        }
        let (at, data) = (self.at, self.out.split().freeze());
        self.at += data.len() as u64;
        // Each slice by itself: one sync of all of it would keep those waiting who share the disk.
        let sync = !self.planted.has(Bug::SnapshotNotSynced);
        Some(Operation::Write { file: self.file(), at, data: vec![data], sync })
    }
}

fn put_key(table: u16, key: &Key, out: &mut BytesMut) {
    out.put_u16_le(table);
    out.put_u16_le(u16::try_from(key.octets().len()).expect("keys are checked"));
    out.put_slice(key.octets());
}
