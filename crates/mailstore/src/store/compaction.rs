//! Getting disk space back: the live records of a segment are copied into the batches that are written anyway, or into batches
//! of their own when nothing else is to be written; then no header lists the segment any more.
//!
//! A record is alive as long as the index points at it. One that takes another back is alive as long as there is an older
//! segment, in which the other may stand. The record of a mailbox is copied with its numbers as they are by then.
//!
//! Only segments before the position of the last snapshot are touched: what stands behind it is still to be read at a start.

use super::{Bug, Purpose, Store};
use crate::index::{Change, Facts, Place, Salts, What};
use crate::journal::entry::Record;
use crate::journal::reader::Segment;
use crate::journal::recovery::{change, number};
use crate::journal::segment::Live;
use crate::journal::writer::{Writer, framed_length};
use crate::mailbox::{MailboxId, ModSeq};
use crate::operation::{DiskError, Done, File, Operation};

/// A segment that is being emptied.
#[derive(Debug)]
pub(super) struct Compaction {
    live: Live,
    /// No segment is older: what its records take back is gone.
    oldest: bool,
    /// Its octets, once they have been read.
    segment: Option<Segment>,
    reading: bool,
    at: u64,
    /// Its messages have to be in memory before the next record can be judged.
    waiting: Option<MailboxId>,
    /// The last batch is being written.
    last: bool,
}

/// What is to become of a record.
enum Fate {
    Copy(Record),
    Drop,
    /// It cannot be told before the messages of a mailbox are in memory.
    Wait(MailboxId),
}

impl Compaction {
    pub(super) const fn is_ready(&self) -> bool {
        self.segment.is_some() && self.waiting.is_none() && !self.last
    }

    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }
}

impl Store {
    pub(super) fn poll_compaction(&mut self) -> Option<Operation> {
        if self.compaction.is_none() && self.unlooked >= LOOK {
            self.unlooked = 0;
            self.compaction = self.choose();
        }
        let compaction = self.compaction.as_mut()?;
        if compaction.reading || compaction.segment.is_some() {
            return None;
        }
        compaction.reading = true;
        let (file, length) = (File::Segment(compaction.live.number), compaction.live.limit);
        self.reads.push((file, 0, length, Purpose::Compaction));
        Some(Operation::Read { file, at: 0, length })
    }

    /// The segment with the largest share of garbage, if that is half of it; or the oldest one, if removals have become half
    /// as many as what is alive. So a store is never larger than three times what is alive, and a few segments.
    fn choose(&self) -> Option<Compaction> {
        let position = self.snapshot?.position.segment;
        let (mut live_octets, mut gone_octets, mut best) = (0, 0, None);
        let oldest = self.live.first()?.number;
        let active = self.live.last()?.number;
        for live in &self.live {
            if live.is_lost() {
                continue;
            }
            let total = live.limit - live.start;
            let account = self.index.space(number(live.number));
            live_octets += account.live;
            gone_octets += account.gone;
            let gone = if live.number == oldest { 0 } else { account.gone };
            let garbage = total.saturating_sub(account.live + gone);
            let allowed =
                live.number < position && live.number != active && !self.kept.contains(&live.number);
            if allowed
                && garbage * 2 >= total
                && best.is_none_or(|(share, _)| garbage * 1_000 / total.max(1) > share)
            {
                best = Some((garbage * 1_000 / total.max(1), *live));
            }
        }
        let first = *self.live.first()?;
        let movable = first.number < position && !first.is_lost() && !self.kept.contains(&first.number);
        let crowded = movable && gone_octets > live_octets / 2 + 4 * self.limits.segment;
        let live = best.map(|(_, live)| live).or_else(|| crowded.then_some(first))?;
        Some(Compaction {
            live,
            oldest: live.number == oldest,
            segment: None,
            reading: false,
            at: live.start,
            waiting: None,
            last: false,
        })
    }

    pub(super) fn read_compaction(&mut self, result: Result<Done, DiskError>) {
        let Some(compaction) = &mut self.compaction else { return };
        compaction.reading = false;
        match result {
            Ok(Done::Data(octets)) if octets.len() as u64 >= compaction.live.limit => {
                compaction.segment = Some(Segment::new(octets, compaction.live.salt));
            }
            _ => self.keep_segment(),
        }
    }

    /// Something in the segment cannot be read: it stays as it is.
    fn keep_segment(&mut self) {
        if let Some(compaction) = self.compaction.take() {
            self.kept.insert(compaction.live.number);
            self.unlooked = LOOK;
        }
    }

    /// What has been copied stays copied; the rest is looked at again later.
    pub(super) fn give_up_compaction(&mut self) {
        if self.compaction.take().is_some() {
            self.unlooked = 0;
        }
    }

    pub(super) fn compaction_may_go_on(&mut self, mailbox: MailboxId) {
        if let Some(compaction) = &mut self.compaction
            && compaction.waiting == Some(mailbox)
        {
            compaction.waiting = None;
        }
    }

    /// Copies records, at most so many octets. Gives what that changes, and whether there was no room for more.
    pub(super) fn copy_records(&mut self, writer: &mut Writer, room: usize) -> (Vec<Change>, bool) {
        let mut changes = Vec::new();
        let Some(mut compaction) = self.compaction.take_if(|compaction| compaction.is_ready()) else {
            return (changes, false);
        };
        let active = self.live.last().map_or(0, |live| number(live.number));
        let Some(segment) = compaction.segment.take() else { return (changes, false) };
        let mut full = false;
        let mut looked = 0;
        while compaction.at < compaction.live.limit && writer.length() < COPY && looked < LOOKED {
            looked += 1;
            let entry = segment.entry(compaction.at).filter(|entry| entry.next > compaction.at);
            let Some((next, record)) = entry.and_then(|entry| Some((entry.next, entry.record?))) else {
                // What has been copied so far is as good where it is now.
                self.compaction = Some(compaction);
                self.keep_segment();
                return (changes, false);
            };
            match self.fate(&compaction, record) {
                Fate::Copy(record) => {
                    let length = (next - compaction.at) as usize;
                    if writer.length() + length > room {
                        full = true;
                        break;
                    }
                    let at = writer.push(&record);
                    changes.extend(change(&record, active, at));
                }
                Fate::Drop => {}
                Fate::Wait(mailbox) => {
                    compaction.waiting = Some(mailbox);
                    break;
                }
            }
            compaction.at = next;
        }
        if compaction.at >= compaction.live.limit && !full {
            full = self.write_highest(&mut compaction, writer, room);
        }
        compaction.segment = Some(segment);
        let waiting = compaction.waiting;
        self.compaction = Some(compaction);
        if let Some(mailbox) = waiting {
            self.advance(mailbox);
        }
        (changes, full)
    }

    /// A batch with copies is on stable storage.
    pub(super) fn copied(&mut self) {
        if let Some(compaction) = self.compaction.take_if(|compaction| compaction.last) {
            let of = compaction.live.number;
            self.live.retain(|live| live.number != of);
            self.salts = Salts::new(&self.live);
            self.index.forget_segment(number(of));
            self.floor = self.floor.max(of);
            self.counters.compacted += 1;
            self.unlooked = LOOK;
            if self.planted.has(Bug::RemovedEarly) {
                self.bury(File::Segment(of));
            } else {
                self.emptied.push(compaction.live);
            }
        }
    }

    /// Writes down which identifiers have been used, for the records that said so are dropped. True if there was no room.
    fn write_highest(&self, compaction: &mut Compaction, writer: &mut Writer, room: usize) -> bool {
        if writer.length() + framed_length(HIGHEST) > room {
            return true;
        }
        // Bodies that are still to be uploaded have no record yet; those of the commits behind this in the batch have.
        writer.push(&Record::Highest(self.index.highest()));
        compaction.last = true;
        false
    }

    /// A mailbox with its numbers as they are now. So no number is lost with what is dropped: what is older than this record
    /// is in it, and what is newer is either a record of its own or stands in front of the next such record.
    fn numbers(&self, id: MailboxId) -> Option<Record> {
        let mailbox = self.index.get(id)?;
        let about = mailbox.about.as_ref()?;
        let as_it_was = self.planted.has(Bug::NumbersNotDurable);
        Some(Record::Mailbox {
            id,
            account: about.account,
            uid_validity: about.uid_validity,
            uid_next: if as_it_was { 1 } else { mailbox.uid_next },
            mod_seq: if as_it_was { ModSeq(1) } else { mailbox.highest_mod_seq },
            special_use: about.special_use,
            name: about.name.clone(),
            keywords: about.keywords.clone(),
        })
    }

    fn fate(&self, compaction: &Compaction, record: Record) -> Fate {
        let (segment, at) = (number(compaction.live.number), compaction.at);
        let here = |place: Place| place.segment == segment && u64::from(place.at) == at;
        let keep_removal = !compaction.oldest && !self.planted.has(Bug::RemovalDropped);
        let alive = match &record {
            Record::Body { id, .. } => {
                self.index.bodies().inline.get(&id.0).is_some_and(|body| here(body.place))
            }
            Record::BodyFile { id, .. } => {
                self.index.bodies().large.get(&id.0).is_some_and(|body| body.segment == segment)
            }
            Record::Structure { body, .. } => {
                let dropped = self.planted.has(Bug::StructureDropped);
                self.index.bodies().structures.get(&body.0).is_some_and(|place| here(*place) && !dropped)
            }
            Record::Mailbox { id, .. } => {
                let about = self.index.get(*id).and_then(|mailbox| mailbox.about.as_ref());
                let alive = about.is_some_and(|about| about.segment == segment && u64::from(about.at) == at);
                return alive.then(|| self.numbers(*id)).flatten().map_or(Fate::Drop, Fate::Copy);
            }
            Record::DeleteMailbox { .. } => keep_removal,
            Record::Deliver { mailbox, uid, .. } | Record::Flags { mailbox, uid, .. } => {
                if self.index.unloaded(*mailbox).is_some() {
                    return Fate::Wait(*mailbox);
                }
                let facts = self.index.get(*mailbox).and_then(|mailbox| mailbox.facts(*uid));
                return facts.map_or(Fate::Drop, |facts| self.fate_of_message(segment, at, &facts, record));
            }
            Record::Expunge { mailbox, .. } => keep_removal && self.index.get(*mailbox).is_some(),
            Record::Put { table, key, .. } => self.index.value(*table, key).is_some_and(here),
            Record::Hold { body, table, key } => self
                .index
                .held(*table, key)
                .is_some_and(|hold| hold.body == body.0 && hold.segment == segment),
            Record::Remove { table, key, what } => {
                // What has been set since is not to be taken back by the copy.
                let value = what.value && self.index.value(*table, key).is_none();
                let hold = what.hold && self.index.held(*table, key).is_none();
                if !keep_removal || !(value || hold) {
                    return Fate::Drop;
                }
                let what = What { value, hold };
                return Fate::Copy(Record::Remove { table: *table, key: key.clone(), what });
            }
            Record::Quota { account, allowance } => match self.index.allowance(*account) {
                (_, None) => allowance.is_unlimited() && keep_removal,
                (of, Some(place)) => of == *allowance && place == segment,
            },
            Record::Batch { .. } | Record::Seal { .. } | Record::Highest(_) => false,
        };
        if alive { Fate::Copy(record) } else { Fate::Drop }
    }

    /// A delivery is copied as the message is now: then a record of its flags that came behind it is needed no longer.
    fn fate_of_message(&self, segment: u32, at: u64, facts: &Facts, record: Record) -> Fate {
        let here = facts.place.segment == segment && u64::from(facts.place.at) == at;
        match record {
            Record::Deliver { mailbox, uid, mod_seq, date, body, flags, prefix } if here => {
                let as_delivered = self.planted.has(Bug::FlagsAsDelivered);
                let (mod_seq, flags) =
                    if as_delivered { (mod_seq, flags) } else { (facts.mod_seq, facts.flags) };
                Fate::Copy(Record::Deliver { mailbox, uid, mod_seq, date, body, flags, prefix })
            }
            Record::Flags { mod_seq, flags, .. }
                if facts.flags_segment == segment && (facts.mod_seq, facts.flags) == (mod_seq, flags) =>
            {
                Fate::Copy(record)
            }
            _ => Fate::Drop,
        }
    }
}

/// How many octets are copied with one sync.
const COPY: usize = 256 << 10;
/// How many records are looked at for one batch.
const LOOKED: usize = 4_096;
/// After so many batches or messages there may be a segment to compact.
const LOOK: u32 = 16;
/// Octets of a record of the highest identifiers.
const HIGHEST: usize = 20;
