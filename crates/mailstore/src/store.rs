//! The store: a state machine that asks for disk operations and says what is durable.
//!
//! ```text
//!   Recovering ──▶ Making ──▶ Idle ◀──────────────────────────┐
//!       │             │        │  commits wait                │ synced: applied, shown, waiters told
//!       │             │        ▼                              │
//!       │             │     Writing ──────────────────────────┤
//!       ▼             ▼        │ failed                       │ told Disk once the new header is durable
//!      Dead         Broken ◀── Making (the failed segment ends here) ──┘
//!                     └──▶ Making, at the next commit
//! ```

mod batch;
mod compaction;
mod loading;
mod making;

use core::sync::atomic::AtomicU64;
use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use self::batch::Overlay;
use self::compaction::Compaction;
use self::loading::Loading;
use self::making::{Making, Progress};
use crate::error::{Dead, Failure, Refusal, Unavailable};
use crate::index::{Change, Highest, Index, Key};
use crate::journal::entry::Record;
use crate::journal::recovery::{
    Damage, HIGHEST_SEGMENT, Recovered, Recovery, Report, change, number, rewrite,
};
use crate::journal::segment::{HEADER_READ, Header, Live};
use crate::journal::writer::{BATCH_END, SEAL, Writer};
use crate::limits::Limits;
use crate::mailbox::{
    AccountId, Located, MailboxId, MailboxStatus, ModSeq, Pin, Records, TableStatus, Uid, UidValidity, View,
};
use crate::message::{Body, BodyId, Stretch, UnixTime};
use crate::operation::{DiskError, Done, File, Operation};
use crate::planted::{Bug, Planted};
use crate::snapshot::reader::Count;
use crate::snapshot::{Position, reader, writer};
use crate::upload::Upload;
use crate::verify::Verification;

/// Everything that is to happen, or not to happen, together.
#[derive(Debug)]
pub struct Commit {
    /// The body that the deliveries share.
    pub body: Source,
    /// What is to happen, in this order.
    pub intents: Vec<Intent>,
}

/// Where the body of a commit comes from.
#[derive(Debug)]
pub enum Source {
    /// There is none.
    None,
    /// It goes into the journal, up to [`Limits::inline_body`].
    Inline(Bytes),
    /// It has been uploaded. When the commit fails, the store removes the file.
    Stored(Body),
}

/// One thing that is to happen.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Intent {
    /// Makes a mailbox.
    CreateMailbox {
        /// Whose it is.
        account: AccountId,
        /// Its name, 1 to 1,024 octets without control characters.
        name: String,
        /// The time, from which its [`UidValidity`] comes.
        now: UnixTime,
    },
    /// Removes a mailbox and all that is in it.
    DeleteMailbox {
        /// Which.
        mailbox: MailboxId,
    },
    /// Puts the body of the commit into a mailbox.
    Deliver {
        /// Where to.
        mailbox: MailboxId,
        /// What stands in front of the body in this delivery alone, up to 16 KiB.
        prefix: Bytes,
        /// When it was received.
        date: UnixTime,
    },
    /// Removes a message. That it is gone already is no error.
    Expunge {
        /// Where from.
        mailbox: MailboxId,
        /// Which.
        uid: Uid,
    },
    /// Sets a record of the caller's. The store gives no meaning to it.
    Put {
        /// The table, a number of the caller's choice.
        table: u16,
        /// The key, up to 1,024 octets.
        key: Bytes,
        /// The value, up to 64 KiB.
        value: Bytes,
    },
    /// Lets a record of the caller's hold the body of the commit: as long as the record is not removed, the body stays,
    /// delivered or not. What the record held before is let go.
    Hold {
        /// The table.
        table: u16,
        /// The key.
        key: Bytes,
    },
    /// Removes a record of the caller's; the body that it holds is let go.
    Remove {
        /// The table.
        table: u16,
        /// The key.
        key: Bytes,
    },
}

/// What tells one commit, or one mailbox that was asked for, from another.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

/// What a durable commit has led to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Receipt {
    /// The body, if there was one.
    pub body: Option<BodyId>,
    /// What each intent has led to, in their order.
    pub outcomes: Vec<Outcome>,
}

/// What an intent has led to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// To [`Intent::CreateMailbox`].
    MailboxCreated {
        /// The mailbox.
        mailbox: MailboxId,
        /// Its life.
        uid_validity: UidValidity,
    },
    /// To [`Intent::DeleteMailbox`].
    MailboxDeleted,
    /// To [`Intent::Deliver`].
    Delivered {
        /// The identifier of the message.
        uid: Uid,
        /// The modification sequence of the delivery.
        mod_seq: ModSeq,
    },
    /// To [`Intent::Expunge`].
    Expunged {
        /// Whether this commit has removed it.
        was_there: bool,
    },
    /// To [`Intent::Put`].
    Put,
    /// To [`Intent::Hold`].
    Held,
    /// To [`Intent::Remove`].
    Removed,
}

/// What the driver has to do, or may want to know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Carry this out and hand it back to [`Store::handle_done`].
    Operation(Operation),
    /// The store has been recovered and takes work.
    Ready(Report),
    /// The commit is on stable storage, and visible.
    Durable(Ticket, Receipt),
    /// The commit has not come to pass.
    Failed(Ticket, Failure),
    /// A mailbox has changed; all of it is durable.
    Changed(MailboxId, ModSeq),
    /// What [`Store::load`] was asked for.
    Loaded(Ticket, Result<View, Unavailable>),
    /// After [`Store::close`]: everything is on stable storage, and nothing more will come.
    Closed,
    /// The store could not be opened. Nothing more will come.
    Dead(Dead),
}

/// How much has been done since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Commits that became durable.
    pub commits: u64,
    /// Batches they were written in.
    pub batches: u64,
    /// Operations of the store that had to wait for stable storage.
    pub syncs: u64,
    /// Octets written into the journal.
    pub octets: u64,
    /// Segments that were made.
    pub segments: u64,
    /// Snapshots that were written.
    pub snapshots: u64,
    /// Segments whose live records were copied, so that they could be removed.
    pub compacted: u64,
    /// Mailboxes whose messages were read.
    pub loads: u64,
}

/// Mailboxes over a journal, without a disk of its own. See the [front page](crate).
#[derive(Debug)]
pub struct Store {
    limits: Limits,
    seed: u64,
    index: Index,
    phase: Phase,
    live: Vec<Live>,
    /// The highest number of a segment that compaction has removed.
    floor: u64,
    next_segment: u64,
    next_ticket: u64,
    highest: Highest,
    staged: VecDeque<(Ticket, Commit)>,
    events: VecDeque<Event>,
    unlinks: VecDeque<File>,
    /// Files that nothing names, each with the last pin that may still need it.
    dying: Vec<(File, u64)>,
    /// Files that a crash may still want, until a later segment counts.
    doubtful: Vec<File>,
    /// Segments whose live records have been copied; they go when a header without them is durable.
    emptied: Vec<u64>,
    /// The last attempt at a segment has failed; only a commit is reason enough for the next one.
    hold_off: bool,
    /// How often the names of bodies could not be synced.
    unsynced_names: Arc<AtomicU64>,
    pins: BTreeSet<u64>,
    next_pin: u64,
    closing: bool,
    /// The last live segment has ended, whether or not a later one counts yet.
    ended: bool,
    loading: Loading,
    /// What waits for messages to be read: the first of the staged commits.
    blocked: Option<MailboxId>,
    snapshot: Option<Snapshot>,
    next_snapshot: u64,
    writing: Option<Box<writer::Writer>>,
    /// How much the journal has grown since the position of the last snapshot, and how much it has to before the next one.
    grown: u64,
    due: u64,
    compaction: Option<Compaction>,
    /// Segments that compaction leaves alone, for something in them cannot be read.
    kept: BTreeSet<u64>,
    /// Batches and messages since segments were last looked through for one to compact.
    unlooked: u32,
    /// What reads are in flight beside everything else, and what for.
    reads: Vec<(File, u64, Purpose)>,
    planted: Planted,
    counters: Counters,
}

/// The snapshot that counts.
#[derive(Clone, Copy, Debug)]
struct Snapshot {
    number: u64,
    position: Position,
    length: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Purpose {
    Load(MailboxId),
    Snapshot,
    Compaction,
}

#[derive(Debug)]
enum Phase {
    Recovering(Box<Recovery>),
    /// All has been read but the messages in the snapshot.
    Counting(Count, Box<Recovered>),
    Making(Making, Then),
    Idle,
    Writing(InFlight),
    /// The last segment must not grow, and a new one could not be made. The next commit tries again.
    Broken,
    Sealing,
    Closed,
}

/// What follows once a new segment counts.
#[derive(Debug)]
enum Then {
    Ready { orphans: Vec<File>, report: Report },
    GoOn,
    Tell { waiters: Vec<Waiter>, failure: Failure },
}

/// A batch that is being written.
#[derive(Debug)]
struct InFlight {
    length: u64,
    /// What compaction has copied.
    moved: Vec<Change>,
    changes: Vec<Change>,
    waiters: Vec<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    ticket: Ticket,
    receipt: Receipt,
    /// The file of its body, which goes if the commit fails.
    file: Option<File>,
}

impl Store {
    /// A store that begins by asking what there is.
    ///
    /// `seed` has to be fresh and unpredictable at each start: it salts the checksums, so that nobody can send a message
    /// that holds a forged record.
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self {
            limits,
            seed,
            index: Index::default(),
            phase: Phase::Recovering(Box::new(Recovery::new(limits.segment / 4, false))),
            live: Vec::new(),
            floor: 0,
            next_segment: 1,
            next_ticket: 0,
            highest: Highest::default(),
            staged: VecDeque::new(),
            events: VecDeque::new(),
            unlinks: VecDeque::new(),
            dying: Vec::new(),
            doubtful: Vec::new(),
            emptied: Vec::new(),
            hold_off: false,
            unsynced_names: Arc::default(),
            pins: BTreeSet::new(),
            next_pin: 0,
            closing: false,
            ended: false,
            loading: Loading::default(),
            blocked: None,
            snapshot: None,
            next_snapshot: 1,
            writing: None,
            grown: 0,
            due: limits.snapshot,
            compaction: None,
            kept: BTreeSet::new(),
            unlooked: 0,
            reads: Vec::new(),
            planted: Planted::default(),
            counters: Counters::default(),
        }
    }

    /// The same, but snapshots are not used, and are written anew: everything is taken from the journal.
    pub fn rebuilding(limits: Limits, seed: u64) -> Self {
        let recovery = Recovery::new(limits.segment / 4, true);
        Self { phase: Phase::Recovering(Box::new(recovery)), due: 0, ..Self::new(limits, seed) }
    }

    /// Breaks a rule, for tests of what is to find it.
    #[cfg(feature = "simulation")]
    pub fn plant(&mut self, bug: Bug) {
        self.planted = Planted::new(bug);
        if let Phase::Recovering(recovery) = &mut self.phase {
            recovery.planted = self.planted;
        }
    }

    /// Takes a commit. What comes of it is told later, as [`Event::Durable`] or [`Event::Failed`].
    ///
    /// Commits that come while a batch is being written form the next batch together.
    pub fn commit(&mut self, commit: Commit) -> Ticket {
        let ticket = self.ticket();
        if self.closing || matches!(self.phase, Phase::Closed) {
            self.fail(ticket, file_of(&commit), Refusal::Closed.into());
        } else if self.staged.len() >= self.limits.staged {
            self.fail(ticket, file_of(&commit), Refusal::Busy.into());
        } else {
            self.staged.push_back((ticket, commit));
        }
        ticket
    }

    /// The next thing to do or to know; `None` until something is handed back or committed.
    pub fn poll(&mut self, _now: Duration) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            if let Some(file) = self.unlinks.pop_front() {
                return Some(Event::Operation(Operation::Unlink { file }));
            }
            let has_batch = self.has_batch();
            let operation = match &mut self.phase {
                Phase::Recovering(recovery) => recovery.poll(),
                Phase::Counting(count, _) => count.poll(),
                Phase::Making(making, _) => making.poll(),
                Phase::Idle if has_batch => {
                    self.form_batch();
                    continue;
                }
                Phase::Idle if self.emptied.len() >= EMPTIED && !self.hold_off && !self.closing => {
                    self.make_segment(Bytes::new(), Then::GoOn);
                    continue;
                }
                Phase::Broken if !self.staged.is_empty() => {
                    self.make_segment(Bytes::new(), Then::GoOn);
                    continue;
                }
                Phase::Broken if self.closing => {
                    self.closed();
                    continue;
                }
                Phase::Idle if self.closing && self.staged.is_empty() => Some(self.seal()),
                Phase::Idle | Phase::Broken | Phase::Writing(_) | Phase::Sealing | Phase::Closed => None,
            };
            let operation = operation.or_else(|| self.poll_beside());
            if operation.is_none() && !self.events.is_empty() {
                continue;
            }
            return operation.map(|operation| {
                self.counters.syncs += u64::from(is_sync(&operation));
                Event::Operation(operation)
            });
        }
    }

    /// Takes an operation back, with what came of it.
    pub fn handle_done(&mut self, operation: Operation, result: Result<Done, DiskError>) {
        if matches!(operation, Operation::Unlink { .. }) {
            // A file that stays is an orphan, and goes at the next start.
            return;
        }
        if self.done_beside(&operation, &result) {
            return;
        }
        match core::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Recovering(recovery) => self.recovered(recovery, result),
            Phase::Counting(count, recovered) => self.counted(count, recovered, result),
            Phase::Making(making, then) => self.made(making, then, result.map(drop)),
            Phase::Writing(batch) => {
                if self.planted.has(Bug::SyncRetried)
                    && result.is_err()
                    && let Operation::Write { file, .. } = operation
                {
                    self.phase = Phase::Writing(batch);
                    self.events.push_back(Event::Operation(Operation::Sync { file }));
                    return;
                }
                self.written(batch, result.map(drop));
            }
            Phase::Sealing => self.closed(),
            phase @ (Phase::Idle | Phase::Broken | Phase::Closed) => self.phase = phase,
        }
    }

    /// Begins a large body; `None` before [`Event::Ready`] and after [`Self::close`].
    pub fn begin_body(&mut self) -> Option<Upload> {
        if !self.is_ready() || self.closing {
            return None;
        }
        self.highest.body += 1;
        Some(Upload::new(BodyId(self.highest.body), self.unsynced_names.clone()))
    }

    /// Gives up an upload, of which no operation is with the driver any more.
    pub fn discard(&mut self, upload: Upload) {
        self.unlinks.push_back(upload.file());
    }

    /// Gives up a body that no commit will name.
    pub fn discard_body(&mut self, body: Body) {
        self.unlinks.push_back(File::Body(body.id));
    }

    /// Shows a mailbox as it is when its messages have been read: [`Event::Loaded`] tells.
    pub fn load(&mut self, mailbox: MailboxId) -> Ticket {
        let ticket = self.ticket();
        if self.is_ready() && !self.closing {
            self.loading.wait(mailbox, ticket);
            self.advance(mailbox);
        } else {
            self.events.push_back(Event::Loaded(ticket, Err(Unavailable::Closed)));
        }
        ticket
    }

    /// Takes back what keeps octets in place: nobody reads them any more.
    pub fn release(&mut self, pin: impl Into<Pin>) {
        let Pin(token) = pin.into();
        self.pins.remove(&token);
        let oldest = self.pins.first().copied();
        let unlinks = &mut self.unlinks;
        self.dying.retain(|(file, last)| {
            let needed = oldest.is_some_and(|oldest| oldest <= *last);
            if !needed {
                unlinks.push_back(*file);
            }
            needed
        });
    }

    /// Begins to compare everything with its checksums; `None` before [`Event::Ready`] and after the end.
    pub fn verify(&mut self) -> Option<Verification> {
        if !self.is_ready() {
            return None;
        }
        let snapshot = self.snapshot.map(|snapshot| (snapshot.number, snapshot.length));
        let bodies = self.index.large_bodies().collect();
        let pin = self.pin();
        Some(Verification::new(pin, &self.live, snapshot, bodies))
    }

    /// Ends a verification, which may be before it is through. Gives what was found damaged.
    pub fn verified(&mut self, verification: Verification) -> Vec<Damage> {
        self.release(verification.pin);
        verification.damage
    }

    /// What is known of a mailbox without its messages.
    pub fn status(&self, mailbox: MailboxId) -> Option<MailboxStatus> {
        self.is_ready().then(|| self.index.status(mailbox)).flatten()
    }

    /// The mailbox of this name.
    pub fn find(&self, account: AccountId, name: &str) -> Option<MailboxId> {
        self.is_ready().then(|| self.index.find(account, name)).flatten()
    }

    /// All mailboxes of an account, or of all accounts.
    pub fn mailboxes(&self, account: Option<AccountId>) -> Vec<MailboxId> {
        if self.is_ready() { self.index.mailboxes(account) } else { Vec::new() }
    }

    /// Where the value of a record of the caller's lies.
    pub fn record(&mut self, table: u16, key: &[u8]) -> Option<Located> {
        let place = self.is_ready().then(|| self.index.value(table, key)).flatten()?;
        let stretch = Stretch::record(place, value_at(key), &self.live);
        Some(Located { pin: self.pin(), stretch })
    }

    /// Records of a table: those from a key on, by rising key, so many at most.
    pub fn records(&mut self, table: u16, from: &[u8], limit: usize) -> Records {
        let pin = self.pin();
        let (mut records, mut next) = (Vec::new(), None);
        if self.is_ready() {
            for (key, place) in self.index.values(table, from) {
                if records.len() == limit {
                    next = Some(key.to_bytes());
                    break;
                }
                let stretch = Stretch::record(*place, value_at(key.octets()), &self.live);
                records.push((key.to_bytes(), stretch));
            }
        }
        Records { pin, records, next }
    }

    /// How much there is in a table. It takes no longer for a large one.
    pub fn table(&self, table: u16) -> TableStatus {
        let table = self.is_ready().then(|| self.index.table(table)).flatten();
        table.map_or_else(TableStatus::default, |table| TableStatus {
            records: table.values.len(),
            holds: table.holds.len(),
            last_hold: table.holds.last().map(Key::to_bytes),
        })
    }

    /// Where the body lies that a record of the caller's holds.
    pub fn held(&mut self, table: u16, key: &[u8]) -> Option<Located> {
        let hold = self.is_ready().then(|| self.index.held(table, key)).flatten()?;
        let stretch = self.index.body(BodyId(hold.body), &self.live)?;
        Some(Located { pin: self.pin(), stretch })
    }

    /// How much has been done.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Begins to end: what is staged is still written, then a seal. [`Event::Closed`] follows.
    pub fn close(&mut self) {
        self.closing = true;
    }

    const fn is_ready(&self) -> bool {
        !matches!(
            self.phase,
            Phase::Recovering(_) | Phase::Counting(..) | Phase::Making(_, Then::Ready { .. }) | Phase::Closed
        )
    }

    fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket - 1)
    }

    fn pin(&mut self) -> Pin {
        self.pins.insert(self.next_pin);
        self.next_pin += 1;
        Pin(self.next_pin - 1)
    }

    fn closed(&mut self) {
        for ticket in self.loading.give_up() {
            self.events.push_back(Event::Loaded(ticket, Err(Unavailable::Closed)));
        }
        self.phase = Phase::Closed;
        self.events.push_back(Event::Closed);
    }

    fn recovered(&mut self, mut recovery: Box<Recovery>, result: Result<Done, DiskError>) {
        match recovery.handle_done(result, &mut self.index) {
            Err(dead) => self.die(dead),
            Ok(false) => self.phase = Phase::Recovering(recovery),
            Ok(true) => {
                let recovered = Box::new(recovery.finish());
                self.live.clone_from(&recovered.live);
                (self.floor, self.next_segment) = (recovered.floor, recovered.next_segment);
                // Nobody sees it before it is written.
                for change in self.rewritten(&recovered.tail).1 {
                    self.index.apply(&change, false);
                }
                self.index.begin_count();
                match Count::new(&self.index) {
                    Some(count) => self.phase = Phase::Counting(count, recovered),
                    None => self.read(*recovered),
                }
            }
        }
    }

    fn counted(&mut self, mut count: Count, recovered: Box<Recovered>, result: Result<Done, DiskError>) {
        let octets = match result {
            Ok(Done::Data(octets)) => octets,
            _ => Bytes::new(),
        };
        match count.slice(&octets, &mut self.index) {
            reader::Progress::GoingOn => self.phase = Phase::Counting(count, recovered),
            reader::Progress::Done => self.read(*recovered),
            reader::Progress::Damaged => {
                // It is derived: everything in it stands in the journal.
                self.index = Index::default();
                let mut recovery = Recovery::new(self.limits.segment / 4, true);
                recovery.spoilt_snapshot();
                recovery.planted = self.planted;
                self.phase = Phase::Recovering(Box::new(recovery));
            }
        }
    }

    fn rewritten(&self, tail: &[Vec<Record>]) -> (Vec<u8>, Vec<Change>) {
        let header = self.next_header();
        rewrite(tail, header.number, header.salt, header.start())
    }

    /// Everything has been read: a new segment is made.
    fn read(&mut self, recovered: Recovered) {
        self.index.end_count();
        let (octets, _) = self.rewritten(&recovered.tail);
        let Recovered { next_snapshot, snapshot, highest_body, files, mut report, .. } = recovered;
        self.next_snapshot = next_snapshot;
        self.highest.body = highest_body;
        self.snapshot = snapshot.map(|header| Snapshot {
            number: header.number,
            position: header.position,
            length: header.end,
        });
        let position = self.snapshot.map_or(0, |snapshot| snapshot.position.segment);
        let behind = self.live.iter().filter(|live| live.number >= position);
        self.grown = behind.map(|live| live.limit - live.start).sum::<u64>() + octets.len() as u64;
        if self.due > 0 {
            self.due = self.limits.snapshot.max(self.snapshot.map_or(0, |snapshot| snapshot.length));
        }
        self.kept = report
            .damage
            .iter()
            .filter_map(|damage| match damage.file {
                File::Segment(number) => Some(number),
                File::Body(_) | File::Snapshot(_) => None,
            })
            .collect();
        let is_live = |number| self.live.binary_search_by_key(&number, |live| live.number).is_ok();
        let orphans: Vec<File> = files
            .into_iter()
            .map(|(file, _)| file)
            .filter(|file| match file {
                File::Segment(number) => !is_live(*number),
                File::Snapshot(number) => snapshot.is_none_or(|header| header.number != *number),
                // What is damaged may have named it.
                File::Body(_) if !report.damage.is_empty() => false,
                // A body of the journal may have the number of an upload whose removal a crash has undone.
                File::Body(id) => self.index.large_body(*id).is_none(),
            })
            .collect();
        report.orphans = orphans.len();
        self.make_segment(octets.into(), Then::Ready { orphans, report });
    }

    fn next_header(&self) -> Header {
        let number = self.next_segment;
        let mut live = self.live.clone();
        if self.planted.has(Bug::LimitLost) && self.counters.compacted > 0 {
            for live in &mut live {
                live.limit = live.limit.max(self.limits.segment);
            }
        }
        Header { number, salt: salt(self.seed, number), floor: self.floor, live }
    }

    fn make_segment(&mut self, data: Bytes, then: Then) {
        let header = self.next_header();
        if header.start() > HEADER_READ || header.number > HIGHEST_SEGMENT {
            // It could be written, but not be read again.
            return self.not_made(then, DiskError::NoSpace);
        }
        self.next_segment += 1;
        // The tail of a store that was written with larger segments may not fit.
        let reserve = self.limits.segment.max(header.start() + data.len() as u64 + SEAL as u64);
        self.phase = Phase::Making(Making::new(header, reserve, data, self.planted), then);
    }

    fn made(&mut self, mut making: Making, then: Then, result: Result<(), DiskError>) {
        match making.handle_done(result) {
            Progress::GoingOn => self.phase = Phase::Making(making, then),
            Progress::Made(live) => {
                self.live.push(live);
                (self.ended, self.hold_off) = (false, false);
                self.counters.segments += 1;
                self.phase = Phase::Idle;
                self.follow(then);
            }
            Progress::Harmless(error) => {
                self.unlinks.push_back(making.file());
                self.not_made(then, error);
            }
            Progress::Doubtful(error) => {
                self.ended = true;
                self.doubtful.push(making.file());
                self.not_made(then, error);
            }
        }
    }

    /// A new segment counts.
    fn follow(&mut self, then: Then) {
        self.unlinks.extend(self.doubtful.drain(..));
        self.remove_emptied();
        match then {
            Then::GoOn => {}
            Then::Ready { orphans, report } => {
                // Deliveries that were acknowledged as gone, and bodies whose deliveries were.
                while let Some((id, size)) = self.index.take_unused_body() {
                    if size.is_some() && report.damage.is_empty() {
                        self.unlinks.push_back(File::Body(id));
                    }
                }
                let known = self.index.highest();
                self.highest = Highest { body: self.highest.body.max(known.body), ..known };
                self.unlinks.extend(orphans);
                self.events.push_back(Event::Ready(report));
            }
            Then::Tell { waiters, failure } => {
                for waiter in waiters {
                    self.fail(waiter.ticket, waiter.file, failure);
                }
            }
        }
    }

    /// No header lists them any more.
    fn remove_emptied(&mut self) {
        if self.emptied.is_empty() {
            return;
        }
        self.index.forget_shared();
        for number in core::mem::take(&mut self.emptied) {
            self.bury(File::Segment(number));
        }
    }

    fn not_made(&mut self, then: Then, error: DiskError) {
        let failure = failure(error);
        match then {
            Then::Ready { .. } => return self.die(Dead::Open(error)),
            Then::GoOn => {}
            Then::Tell { waiters, .. } => {
                for waiter in waiters {
                    // After a restart the commit may be there, unless a later segment counts by then.
                    self.doubtful.extend(waiter.file);
                    self.fail(waiter.ticket, None, Failure::Unknown);
                }
            }
        }
        self.phase = if self.ended { Phase::Broken } else { Phase::Idle };
        // It is tried again when something has been written, not at once.
        self.hold_off = true;
        self.give_up_compaction();
        self.unlooked = 0;
        // Nothing of these has touched the disk.
        for (ticket, commit) in core::mem::take(&mut self.staged) {
            self.fail(ticket, file_of(&commit), failure);
        }
        self.blocked = None;
    }

    fn die(&mut self, dead: Dead) {
        self.phase = Phase::Closed;
        self.events.push_back(Event::Dead(dead));
        for (ticket, commit) in core::mem::take(&mut self.staged) {
            self.fail(ticket, file_of(&commit), Refusal::Closed.into());
        }
    }

    fn has_batch(&self) -> bool {
        (!self.staged.is_empty() && self.blocked.is_none())
            || (!self.closing && self.compaction.as_ref().is_some_and(Compaction::is_ready))
    }

    fn form_batch(&mut self) {
        let Some(&active) = self.live.last() else { return };
        let mut writer = Writer::new(active.salt, active.limit).planted(self.planted);
        let room = (self.limits.segment.saturating_sub(active.limit) as usize).saturating_sub(SEAL);
        let fresh = (self.limits.segment.saturating_sub(Header::start_behind(self.live.len())) as usize)
            .saturating_sub(SEAL + BATCH_END);
        // First: what the commits of this batch change, they change behind the copies.
        let (moved, mut full) = self.copy_records(&mut writer, room);
        let mut overlay = Overlay::new(self.highest);
        let (mut waiters, mut changes) = (Vec::new(), Vec::new());
        while self.blocked.is_none()
            && let Some((ticket, commit)) = self.staged.pop_front()
        {
            if let Some(mailbox) = commit.needs(&self.index) {
                self.staged.push_front((ticket, commit));
                self.blocked = Some(mailbox);
                self.advance(mailbox);
                break;
            }
            let octets = match overlay.check(&commit, &self.index, &self.limits) {
                Ok(octets) if octets <= fresh => octets,
                Ok(_) => {
                    self.fail(ticket, file_of(&commit), Refusal::TooLarge.into());
                    continue;
                }
                Err(refusal) => {
                    self.fail(ticket, file_of(&commit), refusal.into());
                    continue;
                }
            };
            let length = writer.length() + octets;
            if length > room || (length > self.limits.batch && !waiters.is_empty()) {
                full |= length > room;
                self.staged.push_front((ticket, commit));
                break;
            }
            let body = file_of(&commit);
            let receipt = overlay.resolve(commit, &self.index, |record: Record| {
                let at = writer.push(&record);
                changes.extend(change(&record, number(active.number), at));
            });
            waiters.push(Waiter { ticket, receipt, file: body });
        }
        if writer.is_empty() && waiters.is_empty() {
            if full {
                self.make_segment(Bytes::new(), Then::GoOn);
            }
            return;
        }
        self.highest = overlay.highest();
        let octets = writer.finish();
        if self.planted.has(Bug::VisibleEarly) {
            for change in changes.drain(..) {
                self.index.apply(&change, false);
            }
        }
        if self.planted.has(Bug::AcknowledgedEarly) {
            for waiter in waiters.drain(..) {
                self.events.push_back(Event::Durable(waiter.ticket, waiter.receipt));
            }
        }
        self.phase = Phase::Writing(InFlight { length: octets.len() as u64, moved, changes, waiters });
        self.counters.syncs += 1;
        self.events.push_back(Event::Operation(Operation::Write {
            file: File::Segment(active.number),
            at: active.limit,
            data: vec![octets],
            sync: !self.planted.has(Bug::NoSync),
        }));
    }

    fn written(&mut self, batch: InFlight, result: Result<(), DiskError>) {
        if let Err(error) = result {
            self.give_up_compaction();
            // What the file holds now is unknown, and a second sync would not tell: the segment ends before this batch.
            self.ended = true;
            let mut waiters = batch.waiters;
            if self.planted.has(Bug::FailureToldEarly) {
                for waiter in waiters.drain(..) {
                    self.fail(waiter.ticket, waiter.file, failure(error));
                }
            }
            self.make_segment(Bytes::new(), Then::Tell { waiters, failure: failure(error) });
            return;
        }
        if let Some(active) = self.live.last_mut() {
            active.limit += batch.length;
        }
        self.grown += batch.length;
        self.hold_off &= batch.waiters.is_empty();
        self.unlooked = self.unlooked.saturating_add(1);
        self.counters.batches += 1;
        self.counters.octets += batch.length;
        self.counters.commits += batch.waiters.len() as u64;
        for change in &batch.moved {
            self.index.apply(change, true);
            if self.planted.has(Bug::MiscountedBody)
                && let Change::Body { id, .. } = change
            {
                self.index.miscount(*id);
            }
        }
        self.copied();
        let mut changed = BTreeSet::new();
        for change in &batch.changes {
            self.index.apply(change, false);
            match change {
                Change::Delivered { mailbox, .. }
                | Change::Expunged { mailbox, .. }
                | Change::MailboxDeleted { id: mailbox, .. } => {
                    self.unlooked = self.unlooked.saturating_add(1);
                    changed.insert(*mailbox);
                }
                _ => {}
            }
        }
        while let Some((id, size)) = self.index.take_unused_body() {
            if size.is_some() {
                self.bury(File::Body(id));
            }
        }
        for waiter in batch.waiters {
            self.events.push_back(Event::Durable(waiter.ticket, waiter.receipt));
        }
        for mailbox in changed {
            let mod_seq = self.index.status(mailbox).map_or(ModSeq(0), |status| status.highest_mod_seq);
            self.events.push_back(Event::Changed(mailbox, mod_seq));
        }
        self.unload();
    }

    /// A file that nothing names goes once nobody reads it.
    fn bury(&mut self, file: File) {
        match self.pins.last() {
            Some(last) => self.dying.push((file, *last)),
            None => self.unlinks.push_back(file),
        }
    }

    fn seal(&mut self) -> Operation {
        self.phase = Phase::Sealing;
        let Live { number, salt, limit, .. } =
            *self.live.last().expect("a store that is ready has a segment");
        let data = vec![Writer::seal(salt, limit)];
        Operation::Write { file: File::Segment(number), at: limit, data, sync: true }
    }

    fn fail(&mut self, ticket: Ticket, file: Option<File>, failure: Failure) {
        self.unlinks.extend(file);
        self.events.push_back(Event::Failed(ticket, failure));
    }
}

/// Where the value begins in the payload of its record.
fn value_at(key: &[u8]) -> u16 {
    4 + u16::try_from(key.len()).expect("keys are shorter")
}

fn file_of(commit: &Commit) -> Option<File> {
    match &commit.body {
        Source::Stored(body) => Some(File::Body(body.id)),
        Source::None | Source::Inline(_) => None,
    }
}

const fn failure(error: DiskError) -> Failure {
    match error {
        DiskError::NoSpace => Failure::NoSpace,
        DiskError::Io(_) => Failure::Disk,
    }
}

const fn is_sync(operation: &Operation) -> bool {
    matches!(
        operation,
        Operation::Write { sync: true, .. } | Operation::Sync { .. } | Operation::SyncDir { .. }
    )
}

/// SplitMix64: a salt for each segment from the seed of the start.
const fn salt(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// So many segments without live records are reason enough for a header that omits them.
const EMPTIED: usize = 4;
