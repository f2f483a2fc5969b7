//! From what a disk holds to a store that takes work.
//!
//! ```text
//!  List ─▶ newest header that can be read: the manifest
//!             │
//!             ├─▶ each older segment, up to its limit: apply; what cannot be read is damage
//!             ├─▶ the manifest's own segment: apply what is proven to be synced;
//!             │   the whole batches behind that are the tail
//!             └─▶ a new segment: tail ─▶ header ─▶ directory ─▶ ready
//! ```
//!
//! The tail is written again because a page cache may show what a power cut would still take back: nothing that anybody
//! sees may be less than durable.

use std::collections::VecDeque;

use crate::error::Dead;
use crate::index::{Change, Index};
use crate::journal::entry::Record;
use crate::journal::reader::Segment;
use crate::journal::segment::{FIRST_START, Found, HEADER_READ, Header, Live};
use crate::journal::writer::Writer;
use crate::message::Extent;
use crate::operation::{DiskError, Done, File, Operation};

/// What opening the store has found.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Report {
    /// How many segments count.
    pub segments: usize,
    /// How many batches were found.
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
}

/// A stretch of a file that holds no records.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Damage {
    /// The file.
    pub file: File,
    /// Where it begins.
    pub at: u64,
    /// Its length in octets.
    pub length: u64,
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
    live: Vec<Live>,
    /// Segments still to be read; the last one is the manifest's own.
    unread: VecDeque<Live>,
    tail: Vec<Vec<Record>>,
    report: Report,
    /// A last segment with fewer octets of records than this is written again as a whole.
    small: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    List,
    Header(u64),
    Read,
    Done,
}

/// What recovery leaves to be done.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// The segments that count.
    pub(crate) live: Vec<Live>,
    /// The batches to be written again.
    pub(crate) tail: Vec<Vec<Record>>,
    /// The number of the next segment.
    pub(crate) next_segment: u64,
    /// The highest body there is a file of.
    pub(crate) highest_body: u64,
    /// The files that belong to nothing.
    pub(crate) orphans: Vec<File>,
    pub(crate) report: Report,
}

impl Recovery {
    pub(crate) fn new(small: u64) -> Self {
        Self {
            small,
            step: Step::List,
            busy: false,
            files: Vec::new(),
            untried: Vec::new(),
            records_without_header: false,
            lost: Vec::new(),
            live: Vec::new(),
            unread: VecDeque::new(),
            tail: Vec::new(),
            report: Report::default(),
        }
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
            Step::Read => {
                let live = self.unread.front()?;
                let length = if self.unread.len() == 1 { self.length(live.number) } else { live.limit };
                Some(Operation::Read { file: File::Segment(live.number), at: 0, length })
            }
            Step::Done => None,
        }
    }

    /// Takes a result; true when everything has been read.
    pub(crate) fn handle_done(
        &mut self,
        result: Result<Done, DiskError>,
        index: &mut impl Index,
    ) -> Result<bool, Dead> {
        self.busy = false;
        match (self.step, result.map_err(Dead::Open)?) {
            (Step::List, Done::Listed(mut files)) => {
                // The store does not get that far; somebody else has put it there.
                files.retain(|(file, _)| match file {
                    File::Segment(number) => *number <= HIGHEST,
                    File::Body(id) => id.0 <= HIGHEST,
                });
                self.untried = files
                    .iter()
                    .filter_map(|(file, _)| match file {
                        File::Segment(number) => Some(*number),
                        File::Body(_) => None,
                    })
                    .collect();
                self.untried.sort_unstable();
                self.files = files;
                self.next_header()?;
            }
            (Step::Header(number), Done::Data(octets)) => match Header::parse(number, &octets) {
                Found::Header { header, start, damaged } => {
                    if damaged {
                        self.damage(File::Segment(number), 0, start);
                    }
                    self.live.clone_from(&header.live);
                    self.unread = header.live.into();
                    self.unread.push_back(Live { number, salt: header.salt, start, limit: start });
                    self.step = Step::Read;
                }
                // An older segment may be readable, but then the mail of the newer ones would be missing.
                Found::Newer(version) => {
                    return Err(Dead::NewerFormat { file: File::Segment(number), version });
                }
                Found::Nothing { damaged } => {
                    if damaged {
                        self.lost.push(number);
                        self.damage(File::Segment(number), 0, self.length(number));
                    }
                    let records = octets.get(FIRST_START as usize..).unwrap_or_default();
                    self.records_without_header |= records.iter().any(|octet| *octet != 0);
                    self.next_header()?;
                }
            },
            (Step::Read, Done::Data(octets)) => {
                if let Some(live) = self.unread.pop_front() {
                    let segment = Segment::new(octets, live.salt);
                    if self.unread.is_empty() {
                        self.own(live, &segment, index);
                        self.step = Step::Done;
                    } else {
                        self.proven(live, &segment, index);
                    }
                }
            }
            _ => return Err(Dead::Open(DiskError::Io(None))),
        }
        Ok(self.step == Step::Done)
    }

    pub(crate) fn finish(mut self, index: &impl Index) -> Recovered {
        let number = |file: &(File, u64)| match file.0 {
            File::Segment(number) => Some(number),
            File::Body(_) => None,
        };
        let body = |file: &(File, u64)| match file.0 {
            File::Segment(_) => None,
            File::Body(id) => Some(id.0),
        };
        let is_live = |number| self.live.iter().any(|live| live.number == number);
        let tail_holds = |id| {
            let is = |record: &Record| matches!(record, Record::BodyFile { id: of, .. } if *of == id);
            self.tail.iter().flatten().any(is)
        };
        let orphans: Vec<File> = self
            .files
            .iter()
            .map(|(file, _)| *file)
            .filter(|file| match file {
                File::Segment(number) => !is_live(*number) && !self.lost.contains(number),
                // What is damaged may have named it.
                File::Body(_) if !self.report.damage.is_empty() => false,
                File::Body(id) => !index.has_body(*id) && !tail_holds(*id),
            })
            .collect();
        self.report.segments = self.live.len();
        self.report.orphans = orphans.len();
        Recovered {
            next_segment: self.files.iter().filter_map(number).max().unwrap_or(0) + 1,
            highest_body: self.files.iter().filter_map(body).max().unwrap_or(0),
            live: self.live,
            tail: self.tail,
            orphans,
            report: self.report,
        }
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

    /// A segment of which everything below the limit was acknowledged.
    fn proven(&mut self, live: Live, segment: &Segment, index: &mut impl Index) {
        let file = File::Segment(live.number);
        segment.acknowledged(live, |found| match found {
            Err((at, length)) => {
                self.damage(file, at, length);
                // RFC 9051 §2.3.1.1: what is lost may have been seen, and its identifier must not come to mean something else.
                let records = u32::try_from(length.div_ceil(LEAST)).unwrap_or(u32::MAX);
                index.apply(&Change::Lost { records });
            }
            Ok((_, Record::Batch { .. })) => self.report.batches += 1,
            Ok((part, record)) => {
                if let Some(change) = change(&record, file, part) {
                    index.apply(&change);
                }
            }
        });
    }

    /// The manifest's own segment, of which nobody has written how much was acknowledged.
    fn own(&mut self, live: Live, segment: &Segment, index: &mut impl Index) {
        let limit = segment.proven(live.start);
        if limit - live.start < self.small {
            let (tail, end) = batches(segment, live.start);
            if end >= limit && segment.octets_behind(end) == 0 {
                // Nothing in it is damaged, and it is small: with it in the new segment, restarts leave no trail of
                // segments that are nearly empty.
                self.report.batches += tail.len() as u64;
                self.tail = tail;
                return;
            }
        }
        self.proven(Live { limit, ..live }, segment, index);
        let (tail, end) = batches(segment, limit);
        self.report.batches += tail.len() as u64;
        self.report.rewritten = tail.len();
        self.tail = tail;
        let length = segment.octets_behind(end);
        if length > 0 {
            self.report.tail = Some(Damage { file: File::Segment(live.number), at: end, length });
        }
        self.live.push(Live { limit, ..live });
    }

    fn damage(&mut self, file: File, at: u64, length: u64) {
        self.report.damage.push(Damage { file, at, length });
    }

    fn length(&self, number: u64) -> u64 {
        let is = |(file, _): &&(File, u64)| *file == File::Segment(number);
        self.files.iter().find(is).map_or(0, |(_, length)| *length)
    }
}

/// The whole batches from `at` on, and where they, and a seal behind them, end.
fn batches(segment: &Segment, mut at: u64) -> (Vec<Vec<Record>>, u64) {
    let mut batches = Vec::new();
    while let Some(batch) = segment.batch(at) {
        batches.push(batch.entries.into_iter().filter_map(|entry| entry.record).collect());
        at = batch.next;
    }
    let seal = segment.entry(at).filter(|entry| matches!(entry.record, Some(Record::Seal { .. })));
    (batches, seal.map_or(at, |seal| seal.next))
}

/// What a record changes, its part standing at `part` of `file`.
pub(crate) fn change(record: &Record, file: File, part: u64) -> Option<Change> {
    Some(match record {
        Record::Body { id, data } => {
            let content = Extent { file, at: part, length: data.len() as u64 };
            Change::Body { id: *id, content, crc: None }
        }
        Record::BodyFile { id, size, crc } => {
            let content = Extent { file: File::Body(*id), at: 0, length: *size };
            Change::Body { id: *id, content, crc: Some(*crc) }
        }
        Record::CreateMailbox { id, account, uid_validity, name } => Change::MailboxCreated {
            id: *id,
            account: *account,
            uid_validity: *uid_validity,
            name: name.clone(),
        },
        Record::DeleteMailbox { id } => Change::MailboxDeleted { id: *id },
        Record::Deliver { mailbox, uid, mod_seq, date, body, prefix } => Change::Delivered {
            mailbox: *mailbox,
            uid: *uid,
            mod_seq: *mod_seq,
            date: *date,
            body: *body,
            prefix: Extent { file, at: part, length: prefix.len() as u64 },
        },
        Record::Expunge { mailbox, uid, mod_seq } => {
            Change::Expunged { mailbox: *mailbox, uid: *uid, mod_seq: *mod_seq }
        }
        Record::Put { table, key, value } => {
            Change::Put { table: *table, key: key.clone(), value: value.clone() }
        }
        Record::Remove { table, key } => Change::Removed { table: *table, key: key.clone() },
        Record::Hold { body, table, key } => Change::Held { body: *body, table: *table, key: key.clone() },
        Record::Batch { .. } | Record::Seal { .. } => return None,
    })
}

/// Frames the tail for a new segment. Gives the octets, and what they change there.
pub(crate) fn rewrite(tail: &[Vec<Record>], number: u64, salt: u64, start: u64) -> (Vec<u8>, Vec<Change>) {
    let (mut octets, mut changes, file) = (Vec::new(), Vec::new(), File::Segment(number));
    for records in tail {
        let mut writer = Writer::new(salt, start + octets.len() as u64);
        for record in records {
            let part = writer.push(record);
            changes.extend(change(record, file, part));
        }
        octets.extend_from_slice(&writer.finish());
    }
    (octets, changes)
}

/// The framed length of the smallest record that gives out a number.
const LEAST: u64 = 40;
/// The highest number that a file of the store may have.
const HIGHEST: u64 = u64::MAX >> 1;
