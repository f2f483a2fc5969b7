//! From what a disk holds to a store that takes work.
//!
//! ```text
//!  List ─▶ newest header that can be read: the manifest
//!             │
//!             ├─▶ the newest snapshot that can be read: all that stands before its position need not be
//!             ├─▶ each older segment, up to its limit: apply; what cannot be read is damage
//!             ├─▶ the manifest's own segment: apply what is proven to be synced;
//!             │   the whole batches behind that are the tail
//!             └─▶ a new segment: tail ─▶ header ─▶ directory ─▶ ready
//! ```
//!
//! The tail is written again because a page cache may show what a power cut would still take back: nothing that anybody
//! sees may be less than durable.

use core::fmt;
use std::collections::VecDeque;

use bytes::Bytes;

use crate::error::Dead;
use crate::index::{Change, Entry, Facts, Index, Place};
use crate::journal::entry::Record;
use crate::journal::reader::Segment;
use crate::journal::segment::{FIRST_START, Found, HEADER_READ, Header, Live};
use crate::journal::writer::Writer;
use crate::operation::{DiskError, Done, File, Operation};
use crate::planted::{Bug, Planted};
use crate::snapshot::reader::{Head, Progress};
use crate::snapshot::{self, Position};

/// What opening the store has found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// How many segments count.
    pub segments: usize,
    /// How many batches were read. Those before the position of a snapshot need not be.
    pub batches: u64,
    /// What was acknowledged and cannot be read any more; or one of the two copies of a header, without loss.
    ///
    /// While there is any, no body is removed: what named it may be what is damaged.
    pub damage: Vec<Damage>,
    /// What a crash left behind the last whole batch; no part of it was acknowledged.
    pub tail: Option<Damage>,
    /// Batches that were whole, but not proven to be synced; they have been written again. Not counted where a small
    /// segment was written again as a whole.
    pub rewritten: usize,
    /// Files that belong to nothing; they are being removed.
    pub orphans: usize,
    /// The snapshot that was used; without one, the whole journal was read.
    pub snapshot: Option<File>,
    /// Snapshots that could not be used because they are damaged. Nothing is lost by that.
    pub damaged_snapshots: usize,
}

/// A stretch of a file that cannot be read as what it was.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Damage {
    /// The file.
    pub file: File,
    /// Where it begins.
    pub at: u64,
    /// Its length in octets.
    pub length: u64,
    /// What stood there, as far as that can still be told.
    pub held: Held,
}

/// What stood in a damaged stretch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Held {
    /// The header of a segment.
    Header,
    /// Nobody can tell; one record or several.
    Records,
    /// A body, or a part of one.
    Body,
    /// That a body lies in a file of its own.
    BodyFile,
    /// A mailbox: its account, name, keywords and numbers.
    Mailbox,
    /// A delivery: the prefix of one message, and that it is there.
    Delivery,
    /// The flags of a message.
    Flags,
    /// How much an account may have.
    Quota,
    /// That a message or a mailbox is gone.
    Removal,
    /// A record of the caller's.
    Value,
    /// Nothing that is needed: where a batch ends, or what can be found out again.
    Nothing,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "a header",
            Self::Records => "records",
            Self::Body => "a body",
            Self::BodyFile => "the record of a body in a file of its own",
            Self::Mailbox => "a mailbox",
            Self::Delivery => "a delivery",
            Self::Flags => "flags of a message",
            Self::Quota => "the quota of an account",
            Self::Removal => "a removal",
            Self::Value => "a record of the host",
            Self::Nothing => "nothing that is needed",
        })
    }
}

impl Held {
    /// By the kind of a record whose frame is good.
    pub(crate) const fn of(kind: Option<u8>) -> Self {
        match kind {
            Some(1) => Self::Body,
            Some(2) => Self::BodyFile,
            Some(3) => Self::Mailbox,
            Some(4 | 6) => Self::Removal,
            Some(5) => Self::Delivery,
            Some(7 | 8 | 11) => Self::Value,
            Some(9 | 10 | 12 | 14) => Self::Nothing,
            Some(13) => Self::Flags,
            Some(15) => Self::Quota,
            _ => Self::Records,
        }
    }
}

/// The steps up to the new segment.
#[derive(Debug)]
pub(crate) struct Recovery {
    step: Step,
    busy: bool,
    files: Vec<(File, u64)>,
    /// Segments whose header is still to be tried, newest last.
    untried: Vec<u64>,
    /// Something stands where the first record of a first segment would.
    records_without_header: bool,
    /// Segments that were more than in the making, and have no header that can be read.
    lost: Vec<u64>,
    manifest: Option<Live>,
    floor: u64,
    live: Vec<Live>,
    /// Snapshots that are still to be tried, newest last.
    snapshots: Vec<u64>,
    head: Option<Head>,
    used: Option<snapshot::Header>,
    /// Segments still to be read.
    unread: VecDeque<Live>,
    tail: Vec<Vec<Record>>,
    report: Report,
    /// A last segment with fewer octets of records than this is written again as a whole.
    small: u64,
    /// Snapshots are not to be used.
    without_snapshots: bool,
    pub(crate) planted: Planted,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    List,
    Header(u64),
    SnapshotHeader(u64),
    SnapshotHead,
    Read,
    Done,
}

/// What recovery leaves to be done.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The segments that count.
    pub(crate) live: Vec<Live>,
    pub(crate) floor: u64,
    /// The batches to be written again.
    pub(crate) tail: Vec<Vec<Record>>,
    /// The numbers of the next segment and the next snapshot.
    pub(crate) next_segment: u64,
    pub(crate) next_snapshot: u64,
    /// The snapshot that was used.
    pub(crate) snapshot: Option<snapshot::Header>,
    /// The highest body there is a file of.
    pub(crate) highest_body: u64,
    /// All files there are.
    pub(crate) files: Vec<(File, u64)>,
    pub(crate) report: Report,
}

impl Recovery {
    pub(crate) fn new(small: u64, without_snapshots: bool) -> Self {
        Self {
            small,
            without_snapshots,
            planted: Planted::default(),
            step: Step::List,
            busy: false,
            files: Vec::new(),
            untried: Vec::new(),
            records_without_header: false,
            lost: Vec::new(),
            manifest: None,
            floor: 0,
            live: Vec::new(),
            snapshots: Vec::new(),
            head: None,
            used: None,
            unread: VecDeque::new(),
            tail: Vec::new(),
            report: Report::default(),
        }
    }

    /// This is a second attempt, for the messages in a snapshot could not be read.
    pub(crate) const fn spoilt_snapshot(&mut self) {
        self.report.damaged_snapshots += 1;
    }

    pub(crate) fn poll(&mut self) -> Option<Operation> {
        if core::mem::replace(&mut self.busy, true) {
            return None;
        }
        match self.step {
            Step::List => Some(Operation::List),
            Step::Header(number) => {
                Some(Operation::Read { file: File::Segment(number), at: 0, length: HEADER_READ })
            }
            Step::SnapshotHeader(number) => {
                Some(Operation::Read { file: File::Snapshot(number), at: 0, length: snapshot::HEADER })
            }
            Step::SnapshotHead => self.head.as_ref().map(Head::poll),
            Step::Read => {
                let live = self.unread.front()?;
                let is_own = self.is_own(live.number);
                let length = if is_own { self.length(live.number).unwrap_or(0) } else { live.limit };
                Some(Operation::Read { file: File::Segment(live.number), at: 0, length })
            }
            Step::Done => None,
        }
    }

    /// Takes a result; true when everything has been read.
    pub(crate) fn handle_done(
        &mut self,
        result: Result<Done, DiskError>,
        index: &mut Index,
    ) -> Result<bool, Dead> {
        self.busy = false;
        let of_snapshot = matches!(self.step, Step::SnapshotHeader(_) | Step::SnapshotHead);
        let result = match result {
            // It is derived: what cannot be read stands in the journal as well.
            Err(_) if of_snapshot => Done::Data(Bytes::from_static(UNREADABLE)),
            result => result.map_err(Dead::Open)?,
        };
        match (self.step, result) {
            (Step::List, Done::Listed(files)) => self.listed(files)?,
            (Step::Header(number), Done::Data(octets)) => self.header(number, &octets, index)?,
            (Step::SnapshotHeader(number), Done::Data(octets)) => {
                match snapshot::Header::parse(number, &octets) {
                    Some(header) if self.fits(header.position) => {
                        self.head = Some(Head::new(header));
                        self.step = Step::SnapshotHead;
                    }
                    // What a crash leaves of one in the making has no header at all.
                    None if octets.iter().any(|octet| *octet != 0) => {
                        self.report.damaged_snapshots += 1;
                        self.next_snapshot(index);
                    }
                    _ => self.next_snapshot(index),
                }
            }
            (Step::SnapshotHead, Done::Data(octets)) => {
                let progress = self.head.as_mut().map(|head| head.slice(octets));
                match (progress, self.head.take()) {
                    (Some(Progress::Done), Some(head)) => {
                        self.used = Some(*head.header());
                        self.report.snapshot = Some(File::Snapshot(head.header().number));
                        head.finish(index);
                        self.begin_reading(index);
                    }
                    (Some(Progress::GoingOn), head) => self.head = head,
                    _ => {
                        self.report.damaged_snapshots += 1;
                        self.next_snapshot(index);
                    }
                }
            }
            (Step::Read, Done::Data(octets)) => {
                if let Some(live) = self.unread.pop_front() {
                    self.segment(live, octets, index);
                    self.skip_unreadable(index);
                }
            }
            _ => return Err(Dead::Open(DiskError::Io(None))),
        }
        Ok(self.step == Step::Done)
    }

    pub(crate) fn finish(mut self) -> Recovered {
        let highest = |of: fn(File) -> Option<u64>| {
            self.files.iter().filter_map(|(file, _)| of(*file)).max().unwrap_or(0)
        };
        let segment = highest(|file| if let File::Segment(number) = file { Some(number) } else { None });
        let snapshot = highest(|file| if let File::Snapshot(number) = file { Some(number) } else { None });
        let body = highest(|file| if let File::Body(id) = file { Some(id.0) } else { None });
        let listed = self.live.last().map_or(0, |live| live.number);
        self.report.segments = self.live.len();
        Recovered {
            next_segment: segment.max(listed).max(self.floor) + 1,
            next_snapshot: snapshot + 1,
            highest_body: body,
            live: self.live,
            floor: self.floor,
            tail: self.tail,
            snapshot: self.used,
            files: self.files,
            report: self.report,
        }
    }

    fn listed(&mut self, mut files: Vec<(File, u64)>) -> Result<(), Dead> {
        // The store does not get that far; somebody else has put it there.
        files.retain(|(file, _)| match file {
            File::Segment(number) => *number <= HIGHEST_SEGMENT,
            File::Snapshot(number) | File::Body(crate::message::BodyId(number)) => *number <= HIGHEST,
        });
        for (file, _) in &files {
            match file {
                File::Segment(number) => self.untried.push(*number),
                File::Snapshot(number) if !self.without_snapshots => self.snapshots.push(*number),
                File::Snapshot(_) | File::Body(_) => {}
            }
        }
        self.untried.sort_unstable();
        self.snapshots.sort_unstable();
        self.files = files;
        self.next_header()
    }

    fn header(&mut self, number: u64, octets: &[u8], index: &mut Index) -> Result<(), Dead> {
        match Header::parse(number, octets) {
            Found::Header { header, start, damaged } => {
                if damaged {
                    self.damage(File::Segment(number), 0, start, Held::Header);
                }
                self.floor = header.floor;
                self.live = header.live;
                self.manifest = Some(Live { number, salt: header.salt, start, limit: start });
                self.next_snapshot(index);
            }
            // An older segment may be readable, but then the mail of the newer ones would be missing.
            Found::Newer(version) => {
                return Err(Dead::NewerFormat { file: File::Segment(number), version });
            }
            Found::Nothing { damaged } => {
                if damaged {
                    self.lost.push(number);
                }
                let records = octets.get(FIRST_START as usize..).unwrap_or_default();
                self.records_without_header |= records.iter().any(|octet| *octet != 0);
                self.next_header()?;
            }
        }
        Ok(())
    }

    /// Goes on to the header of the newest segment that has not been tried.
    fn next_header(&mut self) -> Result<(), Dead> {
        match self.untried.pop() {
            Some(number) => self.step = Step::Header(number),
            None if self.is_new() => self.step = Step::Done,
            None => return Err(Dead::NoHeader),
        }
        Ok(())
    }

    /// Crashes while the very first segment was made leave some without a header; but then nothing was acknowledged, and
    /// there is neither record nor body.
    fn is_new(&self) -> bool {
        !self.records_without_header && self.files.iter().all(|(file, _)| matches!(file, File::Segment(_)))
    }

    /// Goes on to the newest snapshot that has not been tried, or to the journal.
    fn next_snapshot(&mut self, index: &mut Index) {
        match self.snapshots.pop() {
            Some(number) => self.step = Step::SnapshotHeader(number),
            None => self.begin_reading(index),
        }
    }

    /// Whether everything that came behind a position is still in the journal.
    fn fits(&self, position: Position) -> bool {
        let Some(own) = self.manifest else { return false };
        let mut counting = self.live.iter().chain([&own]);
        position.segment > self.floor
            && position.segment <= own.number
            // One that does not count any more has been written again as a whole, into a later one.
            && counting
                .find(|live| live.number == position.segment)
                .is_none_or(|live| live.salt == position.salt)
    }

    fn begin_reading(&mut self, index: &mut Index) {
        self.step = Step::Read;
        self.unread = core::mem::take(&mut self.live).into();
        self.unread.extend(self.manifest);
        self.lost.sort_unstable();
        self.unread.extend(self.lost.iter().map(|number| Live::lost(*number)));
        self.skip_unreadable(index);
    }

    /// Goes on to the next segment that there is something to read in.
    fn skip_unreadable(&mut self, index: &mut Index) {
        while let Some(live) = self.unread.front().copied() {
            let known = self.used.is_some_and(|used| live.number < used.position.segment);
            let length = self.length(live.number);
            if !live.is_lost() && !known && length.is_some() {
                return;
            }
            self.unread.pop_front();
            self.live.push(live);
            let missing = if live.is_lost() {
                length.unwrap_or(0).max(1)
            } else {
                live.limit.saturating_sub(length.unwrap_or(0))
            };
            if missing > 0 {
                let at = if live.is_lost() { 0 } else { live.limit - missing };
                self.damage(File::Segment(live.number), at, missing, Held::Records);
                if !known {
                    lose(missing, index);
                }
            }
        }
        self.step = Step::Done;
    }

    fn segment(&mut self, live: Live, octets: Bytes, index: &mut Index) {
        let segment = Segment::new(octets, live.salt);
        if self.is_own(live.number) {
            self.own(live, &segment, index);
        } else {
            self.proven(live, &segment, index);
            self.live.push(live);
        }
    }

    /// A segment of which everything below the limit was acknowledged.
    fn proven(&mut self, live: Live, segment: &Segment, index: &mut Index) {
        let (file, number) = (File::Segment(live.number), number(live.number));
        let start = match self.used {
            Some(used) if used.position.segment == live.number => live.start.max(used.position.at),
            _ => live.start,
        };
        segment.acknowledged(Live { start, ..live }, |found| match found {
            Err((at, length, kind)) => {
                self.damage(file, at, length, Held::of(kind));
                lose(length, index);
            }
            Ok((_, Record::Batch { .. })) => self.report.batches += 1,
            Ok((at, record)) => {
                if let Some(change) = change(&record, number, at) {
                    index.apply(&change, false);
                }
            }
        });
    }

    /// The manifest's own segment, of which nobody has written how much was acknowledged.
    fn own(&mut self, live: Live, segment: &Segment, index: &mut Index) {
        let mut limit = segment.proven(live.start);
        if self.planted.has(Bug::TailNotRewritten) {
            limit = batches(segment, limit, false).1;
        }
        let torn = self.planted.has(Bug::TornTail);
        if limit - live.start < self.small {
            let (tail, end) = batches(segment, live.start, torn);
            if end >= limit && segment.octets_behind(end) == 0 {
                // Nothing in it is damaged, and it is small: with it in the new segment, restarts leave no trail of
                // segments that are nearly empty.
                self.report.batches += tail.len() as u64;
                self.tail = tail;
                return;
            }
        }
        self.proven(Live { limit, ..live }, segment, index);
        let (tail, end) = batches(segment, limit, torn);
        self.report.batches += tail.len() as u64;
        self.report.rewritten = tail.len();
        self.tail = tail;
        let length = segment.octets_behind(end);
        if length > 0 {
            let file = File::Segment(live.number);
            self.report.tail = Some(Damage { file, at: end, length, held: Held::Nothing });
        }
        self.live.push(Live { limit, ..live });
    }

    fn is_own(&self, number: u64) -> bool {
        self.manifest.is_some_and(|own| own.number == number)
    }

    fn damage(&mut self, file: File, at: u64, length: u64, held: Held) {
        self.report.damage.push(Damage { file, at, length, held });
    }

    fn length(&self, number: u64) -> Option<u64> {
        let is = |(file, _): &&(File, u64)| *file == File::Segment(number);
        self.files.iter().find(is).map(|(_, length)| *length)
    }
}

/// RFC 9051 §2.3.1.1: what is lost may have been seen, and its identifier must not come to mean something else.
fn lose(octets: u64, index: &mut Index) {
    let records = u32::try_from(octets.div_ceil(LEAST)).unwrap_or(u32::MAX);
    index.apply(&Change::Lost { records }, false);
}

/// The number of a segment as the index has it.
pub(crate) fn number(segment: u64) -> u32 {
    u32::try_from(segment).expect("segments beyond are not listed, and not made")
}

/// The whole batches from `at` on, and where they, and a seal behind them, end.
fn batches(segment: &Segment, mut at: u64, torn: bool) -> (Vec<Vec<Record>>, u64) {
    let mut batches = Vec::new();
    while let Some(batch) = segment.batch(at, torn) {
        batches.push(batch.entries.into_iter().filter_map(|entry| entry.record).collect());
        at = batch.next;
    }
    let seal = segment.entry(at).filter(|entry| matches!(entry.record, Some(Record::Seal { .. })));
    (batches, seal.map_or(at, |seal| seal.next))
}

/// What a record changes, its frame standing at `at` of a segment.
pub(crate) fn change(record: &Record, segment: u32, at: u64) -> Option<Change> {
    let place = |length: usize| Place {
        segment,
        at: u32::try_from(at).expect("segments are smaller"),
        length: u32::try_from(length).expect("records are smaller"),
    };
    Some(match record {
        Record::Body { id, data } => Change::Body { id: *id, place: place(data.len()) },
        Record::BodyFile { id, size } => Change::BodyFile { id: *id, size: *size, segment },
        Record::Mailbox { id, account, uid_validity, uid_next, mod_seq, special_use, name, keywords } => {
            Change::Mailbox {
                id: *id,
                account: *account,
                uid_validity: *uid_validity,
                uid_next: *uid_next,
                mod_seq: *mod_seq,
                special_use: *special_use,
                name: name.clone(),
                keywords: keywords.clone(),
                segment,
                at: place(0).at,
            }
        }
        Record::DeleteMailbox { id } => Change::MailboxDeleted { id: *id, segment },
        Record::Deliver { mailbox, uid, mod_seq, date, body, flags, prefix } => {
            let facts = Facts {
                mod_seq: *mod_seq,
                date: *date,
                body: *body,
                flags: *flags,
                place: place(prefix.len()),
                flags_segment: 0,
            };
            Change::Delivered { mailbox: *mailbox, entry: Entry { uid: *uid, facts } }
        }
        Record::Flags { mailbox, uid, mod_seq, flags } => {
            Change::Flagged { mailbox: *mailbox, uid: *uid, mod_seq: *mod_seq, flags: *flags, segment }
        }
        Record::Expunge { mailbox, uid, mod_seq } => {
            Change::Expunged { mailbox: *mailbox, uid: *uid, mod_seq: *mod_seq, segment }
        }
        Record::Put { table, key, value } => {
            Change::Put { table: *table, key: key.clone(), place: place(value.len()) }
        }
        Record::Remove { table, key, what } => {
            Change::Removed { table: *table, key: key.clone(), what: *what, segment }
        }
        Record::Hold { body, table, key } => {
            Change::Held { body: *body, table: *table, key: key.clone(), segment }
        }
        Record::Structure { body, data } => Change::Structure { body: *body, place: place(data.len()) },
        Record::Quota { account, allowance } => {
            Change::Quota { account: *account, allowance: *allowance, segment }
        }
        Record::Highest(highest) => Change::Highest(*highest),
        Record::Batch { .. } | Record::Seal { .. } => return None,
    })
}

/// Frames the tail for a new segment. Gives the octets, and what they change there.
pub(crate) fn rewrite(tail: &[Vec<Record>], segment: u64, salt: u64, start: u64) -> (Vec<u8>, Vec<Change>) {
    let (mut octets, mut changes, segment) = (Vec::new(), Vec::new(), number(segment));
    for records in tail {
        let mut writer = Writer::new(salt, start + octets.len() as u64);
        for record in records {
            let at = writer.push(record);
            changes.extend(change(record, segment, at));
        }
        octets.extend_from_slice(&writer.finish());
    }
    (octets, changes)
}

/// Passes for no header, and for no block.
const UNREADABLE: &[u8] = &[0xff; 8];
/// The framed length of the smallest record that gives out a number.
const LEAST: u64 = 40;
/// The highest number that a body or a snapshot of the store may have.
const HIGHEST: u64 = u64::MAX >> 1;
/// The same for a segment: the index has room for 32 bits.
pub(crate) const HIGHEST_SEGMENT: u64 = (u32::MAX >> 1) as u64;
