//! Reading snapshots: the head at the start, all sections once to count what holds what, one section or its end when it is needed.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::{
    BLOCKS, ENTRIES, Found, HEADER, Header, SLICE, get_block, get_entry, get_place, kind, section_length,
};
use crate::index::{
    About, Allowance, Facts, Frozen, Hold, Index, Inline, Key, Large, Mailbox, Runs, Section,
};
use crate::journal::entry::{NO_LIMIT, get_names};
use crate::mailbox::{AccountId, MailboxId, ModSeq, Uid, UidValidity};
use crate::operation::{File, Operation};

/// The head of a snapshot on its way into an index.
#[derive(Debug)]
pub(crate) struct Head {
    header: Header,
    at: u64,
    frozen: Frozen,
}

/// What a slice has led to.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Progress {
    GoingOn,
    Done,
    Damaged,
}

impl Head {
    pub(crate) fn new(header: Header) -> Self {
        Self { at: header.head, frozen: Frozen::new(header.highest), header }
    }

    pub(crate) const fn header(&self) -> &Header {
        &self.header
    }

    pub(crate) fn poll(&self) -> Operation {
        let length = SLICE.min(self.header.end.saturating_sub(self.at));
        Operation::Read { file: File::Snapshot(self.header.number), at: self.at, length }
    }

    pub(crate) fn slice(&mut self, mut octets: Bytes) -> Progress {
        if !self.is_sound() {
            return Progress::Damaged;
        }
        let begin = self.at;
        while self.at < self.header.end {
            match get_block(self.header.number, self.at, &octets) {
                Found::Block(content, length) => {
                    if self.items(content).is_none() {
                        return Progress::Damaged;
                    }
                    self.at += length;
                    octets.advance(length as usize);
                }
                Found::More if self.at > begin => return Progress::GoingOn,
                Found::More | Found::Damaged => return Progress::Damaged,
            }
        }
        Progress::Done
    }

    pub(crate) fn finish(self, index: &mut Index) {
        index.thaw(self.frozen);
    }

    const fn is_sound(&self) -> bool {
        HEADER <= self.header.head && self.header.head <= self.header.end
    }

    fn items(&mut self, mut octets: Bytes) -> Option<()> {
        while octets.has_remaining() {
            match octets.get_u8() {
                kind::MAILBOX => self.mailbox(&mut octets)?,
                kind::BODY => {
                    let id = octets.try_get_u64_le().ok()?;
                    let body = Inline { place: get_place(&mut octets)?, holders: 0 };
                    self.frozen.bodies.inline.insert(id, body);
                }
                kind::BODY_FILE => {
                    let id = octets.try_get_u64_le().ok()?;
                    let size = octets.try_get_u64_le().ok()?;
                    let segment = octets.try_get_u32_le().ok()?;
                    self.frozen.bodies.large.insert(id, Large { size, segment, holders: 0 });
                }
                kind::VALUE => {
                    let (table, key) = get_key(&mut octets)?;
                    let place = get_place(&mut octets)?;
                    self.frozen.tables.entry(table).or_default().values.insert(key, place);
                }
                kind::HOLD => {
                    let (table, key) = get_key(&mut octets)?;
                    let body = octets.try_get_u64_le().ok()?;
                    let hold = Hold { body, segment: octets.try_get_u32_le().ok()? };
                    self.frozen.tables.entry(table).or_default().holds.insert(key, hold);
                }
                kind::STRUCTURE => {
                    let id = octets.try_get_u64_le().ok()?;
                    self.frozen.bodies.structures.insert(id, get_place(&mut octets)?);
                }
                kind::QUOTA => {
                    let account = AccountId(octets.try_get_u64_le().ok()?);
                    let [of_octets, of_messages] =
                        [octets.try_get_u64_le().ok()?, octets.try_get_u64_le().ok()?]
                            .map(|limit| (limit != NO_LIMIT).then_some(limit));
                    let allowance = Allowance { octets: of_octets, messages: of_messages };
                    let segment = octets.try_get_u32_le().ok()?;
                    self.frozen.allowances.insert(account, (allowance, segment));
                }
                kind::SEGMENT => {
                    let segment = octets.try_get_u32_le().ok()?;
                    self.frozen.space.add_gone(segment, octets.try_get_u64_le().ok()?);
                }
                _ => return None,
            }
        }
        Some(())
    }

    fn mailbox(&mut self, octets: &mut Bytes) -> Option<()> {
        let id = MailboxId(octets.try_get_u64_le().ok()?);
        let account = AccountId(octets.try_get_u64_le().ok()?);
        let uid_validity = UidValidity::new(octets.try_get_u32_le().ok()?)?;
        let uid_next = octets.try_get_u64_le().ok()?;
        let mod_seq = ModSeq(octets.try_get_u64_le().ok()?);
        let (segment, at) = (octets.try_get_u32_le().ok()?, octets.try_get_u32_le().ok()?);
        let begin = octets.try_get_u64_le().ok()?;
        let count = octets.try_get_u64_le().ok()?;
        let (special_use, name, keywords) = get_names(octets)?;
        let about = About { account, name, uid_validity, special_use, keywords, segment, at };
        let section = Section { snapshot: self.header.number, at: begin, count };
        self.frozen.mailboxes.insert(id, Arc::new(Mailbox::stored(about, uid_next, mod_seq, section)));
        Some(())
    }
}

/// Reads all sections, one behind the other, and counts their messages.
#[derive(Debug)]
pub(crate) struct Count {
    number: u64,
    sections: VecDeque<(Section, MailboxId)>,
    /// Where the next block of the first section begins, and how many messages are still to come in it.
    at: u64,
    left: u64,
    /// Where the last section ends.
    end: u64,
    busy: bool,
}

impl Count {
    /// `None` if there is nothing to count.
    pub(crate) fn new(index: &Index) -> Option<Self> {
        let sections: VecDeque<_> = index.sections().into();
        let (first, _) = sections.front()?;
        let (last, _) = sections.back()?;
        Some(Self {
            number: first.snapshot,
            at: first.at,
            left: first.count,
            end: last.at.saturating_add(section_length(last.count)),
            sections,
            busy: false,
        })
    }

    pub(crate) fn poll(&mut self) -> Option<Operation> {
        if core::mem::replace(&mut self.busy, true) {
            return None;
        }
        let length = SLICE.min(self.end.saturating_sub(self.at));
        Some(Operation::Read { file: File::Snapshot(self.number), at: self.at, length })
    }

    pub(crate) fn slice(&mut self, octets: &Bytes, index: &mut Index) -> Progress {
        self.busy = false;
        let begin = self.at;
        while let Some((_, mailbox)) = self.sections.front().copied() {
            if self.left == 0 {
                self.sections.pop_front();
                if let Some((next, _)) = self.sections.front() {
                    (self.at, self.left) = (next.at, next.count);
                }
                continue;
            }
            let Some(skip) = self.at.checked_sub(begin) else { return Progress::Damaged };
            let rest = octets.slice(usize::try_from(skip).unwrap_or(usize::MAX).min(octets.len())..);
            match get_block(self.number, self.at, &rest) {
                Found::Block(content, length) => {
                    let (entries, rest) = content.as_chunks();
                    let Some(left) = self.left.checked_sub(entries.len() as u64).filter(|_| rest.is_empty())
                    else {
                        return Progress::Damaged;
                    };
                    self.left = left;
                    for entry in entries {
                        let Some(entry) = get_entry(entry) else { return Progress::Damaged };
                        index.count_base(mailbox, &entry);
                    }
                    self.at += length;
                }
                Found::More if self.at > begin => return Progress::GoingOn,
                Found::More | Found::Damaged => return Progress::Damaged,
            }
        }
        Progress::Done
    }
}

/// A section, or the last blocks of one, on the way into memory: slice by slice, so that nobody who shares the disk or the
/// store waits for all of a large mailbox.
#[derive(Debug)]
pub(crate) struct Part {
    section: Section,
    /// The block that is read next.
    block: u64,
    messages: Runs<Uid, Facts>,
}

impl Part {
    /// All of a section.
    pub(crate) fn whole(section: Section) -> Self {
        Self { section, block: 0, messages: Runs::default() }
    }

    /// What one slice has of its last messages: twice as many as are wanted, for some may be gone by now.
    pub(crate) fn newest(section: Section, count: usize) -> Self {
        let wanted = section.count.saturating_sub((count as u64).saturating_mul(2)) / ENTRIES as u64;
        let slice = section.count.div_ceil(ENTRIES as u64).saturating_sub(BLOCKS);
        Self { block: wanted.max(slice), ..Self::whole(section) }
    }

    pub(crate) const fn section(&self) -> Section {
        self.section
    }

    /// What is read next: where it begins and how long it is.
    pub(crate) fn next(&self) -> (u64, u64) {
        let before = section_length(self.before(self.block));
        let behind = section_length(self.before(self.block.saturating_add(BLOCKS)));
        (self.section.at.saturating_add(before), behind - before)
    }

    pub(crate) fn slice(&mut self, mut octets: Bytes) -> Progress {
        let (mut at, length) = self.next();
        if octets.len() as u64 != length {
            return Progress::Damaged;
        }
        while octets.has_remaining() {
            let Found::Block(content, length) = get_block(self.section.snapshot, at, &octets) else {
                return Progress::Damaged;
            };
            let count = self.before(self.block + 1) - self.before(self.block);
            let (entries, rest) = content.as_chunks();
            let mut found =
                entries.iter().map(|entry| get_entry(entry).map(|entry| (entry.uid, entry.facts)));
            if entries.len() as u64 != count || !rest.is_empty() || !self.messages.append(&mut found) {
                return Progress::Damaged;
            }
            at += length;
            octets.advance(length as usize);
            self.block += 1;
        }
        if self.before(self.block) == self.section.count { Progress::Done } else { Progress::GoingOn }
    }

    /// The messages of what has been read.
    pub(crate) fn finish(self) -> Runs<Uid, Facts> {
        self.messages
    }

    /// How many messages stand in front of a block.
    fn before(&self, block: u64) -> u64 {
        block.saturating_mul(ENTRIES as u64).min(self.section.count)
    }
}

fn get_key(octets: &mut Bytes) -> Option<(u16, Key)> {
    let table = octets.try_get_u16_le().ok()?;
    let length = usize::from(octets.try_get_u16_le().ok()?);
    if octets.len() < length {
        return None;
    }
    let key = Key::new(&octets[..length]);
    octets.advance(length);
    Some((table, key))
}
