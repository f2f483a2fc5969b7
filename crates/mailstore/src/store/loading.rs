//! What goes on beside the batches: mailboxes are read, snapshots written, segments compacted.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::{Event, Phase, Purpose, Snapshot, Store, Ticket, failure};
use crate::error::Unavailable;
use crate::index::{Facts, Place, Runs, Section, Since};
use crate::journal::entry::Record;
use crate::journal::reader::Segment;
use crate::journal::recovery::number;
use crate::journal::segment::Live;
use crate::mailbox::{MailboxId, Pin, Uid, View};
use crate::operation::{Dir, DiskError, Done, File, Operation};
use crate::snapshot::reader::{Part, Progress};
use crate::snapshot::{Position, writer};

/// Mailboxes that are being read.
#[derive(Debug, Default)]
pub(super) struct Loading {
    loads: BTreeMap<MailboxId, Load>,
    waiting: BTreeMap<MailboxId, Vec<Ticket>>,
    looks: BTreeMap<MailboxId, Look>,
}

#[derive(Debug)]
struct Load {
    part: Part,
    busy: bool,
    /// The section cannot be read: the journal has everything, only not in one place.
    rescan: Option<Rescan>,
}

/// The end of a section, for those who want the newest messages only, and how many of them.
#[derive(Debug)]
struct Look {
    part: Part,
    busy: bool,
    waiting: Vec<(Ticket, usize)>,
}

/// The messages of one mailbox, from the whole journal.
#[derive(Debug)]
struct Rescan {
    pin: Pin,
    segments: VecDeque<Live>,
    found: BTreeMap<Uid, Since>,
}

impl Loading {
    pub(super) fn wait(&mut self, mailbox: MailboxId, ticket: Ticket) {
        self.waiting.entry(mailbox).or_default().push(ticket);
    }

    /// The newest messages of a section are wanted, so many of them.
    pub(super) fn look(&mut self, mailbox: MailboxId, section: Section, ticket: Ticket, count: usize) {
        let look = || Look { part: Part::newest(section, count), busy: false, waiting: Vec::new() };
        self.looks.entry(mailbox).or_insert_with(look).waiting.push((ticket, count));
    }

    pub(super) fn give_up(&mut self) -> Vec<Ticket> {
        let looks = core::mem::take(&mut self.looks).into_values().flat_map(|look| look.waiting);
        let waiting = core::mem::take(&mut self.waiting).into_values().flatten();
        waiting.chain(looks.map(|(ticket, _)| ticket)).collect()
    }
}

impl Store {
    /// The next operation that has to do with no batch.
    pub(super) fn poll_beside(&mut self) -> Option<Operation> {
        if !self.is_ready() {
            return None;
        }
        if let Some((id, look)) = self.loading.looks.iter_mut().find(|(_, look)| !look.busy) {
            look.busy = true;
            let (file, (at, length)) = (File::Snapshot(look.part.section().snapshot), look.part.next());
            self.reads.push((file, at, length, Purpose::Look(*id)));
            return Some(Operation::Read { file, at, length });
        }
        if let Some((id, load)) = self.loading.loads.iter_mut().find(|(_, load)| !load.busy) {
            load.busy = true;
            let (file, (at, length)) = match &load.rescan {
                None => (File::Snapshot(load.part.section().snapshot), load.part.next()),
                Some(rescan) => {
                    let live = rescan.segments.front()?;
                    (File::Segment(live.number), (0, live.limit))
                }
            };
            self.reads.push((file, at, length, Purpose::Load(*id)));
            return Some(Operation::Read { file, at, length });
        }
        if self.closing {
            return None;
        }
        if self.writing.is_none() && self.grown >= self.due && self.grown > 0 {
            self.begin_snapshot();
        }
        if let Some(operation) = self.writing.as_mut().and_then(|writing| writing.poll()) {
            if let Operation::Read { file, at, length } = operation {
                self.reads.push((file, at, length, Purpose::Snapshot));
            }
            return Some(operation);
        }
        self.poll_compaction()
    }

    /// Takes an operation back that has to do with no batch; false if it has.
    pub(super) fn done_beside(&mut self, operation: &Operation, result: &Result<Done, DiskError>) -> bool {
        if matches!(self.phase, Phase::Recovering(_) | Phase::Counting(..)) {
            return false;
        }
        match operation {
            Operation::Read { file, at, length } => {
                let is = |read: &(File, u64, u64, Purpose)| (read.0, read.1, read.2) == (*file, *at, *length);
                let Some(which) = self.reads.iter().position(is) else { return true };
                let (.., purpose) = self.reads.remove(which);
                match purpose {
                    Purpose::Look(mailbox) => self.read_look(mailbox, result.clone()),
                    Purpose::Load(mailbox) => self.read_load(mailbox, result.clone()),
                    Purpose::Snapshot => self.snapshot_done(operation, result.clone()),
                    Purpose::Compaction => self.read_compaction(result.clone()),
                }
                true
            }
            Operation::SyncDir { dir: Dir::Snapshots }
            | Operation::Create { file: File::Snapshot(_), .. }
            | Operation::Write { file: File::Snapshot(_), .. }
            | Operation::Sync { file: File::Snapshot(_) } => {
                self.snapshot_done(operation, result.clone());
                true
            }
            _ => false,
        }
    }

    /// A mailbox is wanted: it is shown to all who wait, if its messages are in memory, or else read.
    pub(super) fn advance(&mut self, mailbox: MailboxId) {
        if let Some(section) = self.index.unloaded(mailbox) {
            let load = || Load { part: Part::whole(section), busy: false, rescan: None };
            self.loading.loads.entry(mailbox).or_insert_with(load);
            return;
        }
        if self.blocked == Some(mailbox) {
            self.blocked = None;
        }
        self.compaction_may_go_on(mailbox);
        for ticket in self.loading.waiting.remove(&mailbox).unwrap_or_default() {
            let view = self.view(mailbox).ok_or(Unavailable::NoSuchMailbox);
            self.events.push_back(Event::Loaded(ticket, view));
        }
        self.unload();
    }

    fn view(&mut self, mailbox: MailboxId) -> Option<View> {
        let status = self.index.status(mailbox)?;
        let messages = self.index.messages(mailbox, &self.salts)?;
        Some(View { pin: self.pin(), status, messages })
    }

    fn read_look(&mut self, mailbox: MailboxId, result: Result<Done, DiskError>) {
        let Some(Look { mut part, waiting, .. }) = self.loading.looks.remove(&mailbox) else { return };
        // A later snapshot may have it by now, or memory, or it is gone.
        let counts = self.index.unloaded(mailbox) == Some(part.section());
        let read = match result {
            Ok(Done::Data(octets)) if counts => part.slice(octets) == Progress::Done,
            _ => false,
        };
        let base = read.then(|| part.finish());
        for (ticket, count) in waiting {
            let newest = base.as_ref().and_then(|base| self.newest(mailbox, base, count));
            match newest {
                Some(view) => self.events.push_back(Event::Loaded(ticket, Ok(view))),
                // All of it has what could not be found in its end.
                None => self.loading.wait(mailbox, ticket),
            }
        }
        if self.loading.waiting.contains_key(&mailbox) {
            self.advance(mailbox);
        }
    }

    fn newest(&mut self, mailbox: MailboxId, base: &Runs<Uid, Facts>, count: usize) -> Option<View> {
        let status = self.index.status(mailbox)?;
        let messages = self.index.newest(mailbox, base, count, &self.salts, self.planted)?;
        Some(View { pin: self.pin(), status, messages })
    }

    /// Lets messages go that are not needed; none that a batch may change.
    pub(super) fn unload(&mut self) {
        let needed = self.blocked.is_some()
            || matches!(self.phase, Phase::Writing(_))
            || self.compaction.as_ref().is_some_and(super::Compaction::is_waiting);
        if !needed {
            // What the next batch needs may be several mailboxes, which are read one by one.
            let next: Vec<_> = self.staged.front().iter().flat_map(|(_, commit)| commit.touches()).collect();
            self.index.unload(self.limits.loaded, |mailbox| next.contains(&mailbox));
        }
    }

    fn read_load(&mut self, mailbox: MailboxId, result: Result<Done, DiskError>) {
        let Some(mut load) = self.loading.loads.remove(&mailbox) else { return };
        load.busy = false;
        let octets = match result {
            Ok(Done::Data(octets)) => Some(octets),
            _ => None,
        };
        let section = load.part.section();
        if self.index.unloaded(mailbox) != Some(section) {
            // A later snapshot has it by now, or the mailbox is gone.
            if let Some(rescan) = load.rescan {
                self.release(rescan.pin);
            }
            return self.advance(mailbox);
        }
        let Some(mut rescan) = load.rescan.take() else {
            match octets.map_or(Progress::Damaged, |octets| load.part.slice(octets)) {
                Progress::Done => {
                    self.counters.loads += 1;
                    self.index.loaded(mailbox, section, load.part.finish(), false);
                    return self.advance(mailbox);
                }
                Progress::GoingOn => {
                    self.loading.loads.insert(mailbox, load);
                    return;
                }
                Progress::Damaged => {}
            }
            let segments = self.live.iter().filter(|live| !live.is_lost()).copied().collect();
            load.rescan = Some(Rescan { pin: self.pin(), segments, found: BTreeMap::new() });
            self.loading.loads.insert(mailbox, load);
            return;
        };
        let (Some(live), Some(octets)) = (rescan.segments.pop_front(), octets) else {
            self.release(rescan.pin);
            return self.cannot_load(mailbox);
        };
        rescan.take(mailbox, live, octets);
        if !rescan.segments.is_empty() {
            load.rescan = Some(rescan);
            self.loading.loads.insert(mailbox, load);
            return;
        }
        let Rescan { pin, found, .. } = rescan;
        self.release(pin);
        self.counters.loads += 1;
        self.index.loaded(mailbox, section, messages(found), true);
        // A snapshot that can be read is wanted soon.
        self.due = 0;
        self.advance(mailbox);
    }

    /// Neither the snapshot nor the journal can be read.
    fn cannot_load(&mut self, mailbox: MailboxId) {
        for ticket in self.loading.waiting.remove(&mailbox).unwrap_or_default() {
            self.events.push_back(Event::Loaded(ticket, Err(Unavailable::Disk)));
        }
        if self.blocked == Some(mailbox) {
            self.blocked = None;
            if let Some((ticket, commit)) = self.staged.pop_front() {
                self.fail(ticket, super::file_of(&commit), failure(DiskError::Io(None)));
            }
        }
        self.give_up_compaction();
    }

    fn begin_snapshot(&mut self) {
        let Some(active) = self.live.last() else { return };
        let position = Position { segment: active.number, salt: active.salt, at: active.limit };
        let frozen = self.index.freeze();
        self.writing =
            Some(Box::new(writer::Writer::new(self.next_snapshot, position, frozen, self.planted)));
        self.next_snapshot += 1;
        self.grown = 0;
        // Should it fail, the next one is tried then.
        self.due = self.limits.snapshot;
    }

    fn snapshot_done(&mut self, operation: &Operation, result: Result<Done, DiskError>) {
        let Some(mut writing) = self.writing.take() else { return };
        match writing.handle_done(operation, result) {
            writer::Progress::GoingOn => self.writing = Some(writing),
            writer::Progress::Written(length) => {
                let before = self.snapshot.replace(Snapshot {
                    number: writing.number,
                    position: writing.position,
                    length,
                });
                self.index.rebase(&writing.frozen, &writing.sections);
                self.unload();
                self.due = self.limits.snapshot.max(length);
                self.counters.snapshots += 1;
                self.unlooked = u32::MAX / 2;
                if let Some(before) = before {
                    self.bury(File::Snapshot(before.number));
                }
            }
            writer::Progress::Failed => self.unlinks.push_back(writing.file()),
            writer::Progress::Damaged(mailbox) => {
                self.unlinks.push_back(writing.file());
                // Read from the journal, it is in memory for the next one.
                self.advance(mailbox);
            }
        }
    }
}

impl Rescan {
    fn take(&mut self, mailbox: MailboxId, live: Live, octets: Bytes) {
        let segment = number(live.number);
        Segment::new(octets, live.salt).acknowledged(live, |found| match found {
            Ok((at, Record::Deliver { mailbox: of, uid, mod_seq, date, body, flags, prefix }))
                if of == mailbox =>
            {
                let at = u32::try_from(at).expect("segments are smaller");
                let length = u32::try_from(prefix.len()).expect("prefixes are smaller");
                let place = Place { segment, at, length };
                let facts = Facts { mod_seq, date, body, flags, place, flags_segment: 0 };
                let before = self.found.get(&uid).copied();
                self.found.insert(uid, Since::delivered(before, facts));
            }
            Ok((_, Record::Flags { mailbox: of, uid, mod_seq, flags })) if of == mailbox => {
                let before = self.found.get(&uid).copied();
                self.found.insert(uid, Since::flagged(before, mod_seq, flags, segment));
            }
            Ok((_, Record::Expunge { mailbox: of, uid, .. })) if of == mailbox => {
                self.found.insert(uid, Since::Gone);
            }
            _ => {}
        });
    }
}

fn messages(found: BTreeMap<Uid, Since>) -> Runs<Uid, Facts> {
    let there = |(uid, since): (Uid, Since)| since.over(None).map(|facts| (uid, facts));
    let there: Vec<_> = found.into_iter().filter_map(there).collect();
    let mut messages = Runs::default();
    messages.append(there.into_iter().map(Some));
    messages
}
