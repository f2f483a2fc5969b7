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

mod access;
mod compaction;
mod draft;
mod loading;
mod making;
mod opening;
mod segments;
mod writing;

use core::sync::atomic::AtomicU64;
use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use self::access::{Right, authorise};
use self::compaction::Compaction;
use self::loading::Loading;
use self::making::Making;
use crate::backup::{Backup, Extract};
use crate::commit::{Actor, Commit, Intent, Outcome, Receipt, Source};
use crate::error::{Dead, Failure, Refusal, Unavailable};
use crate::index::{Change, Highest, Index, Key, Salts};
use crate::journal::recovery::{Damage, Recovered, Recovery, Report};
use crate::journal::segment::Live;
use crate::journal::writer::Writer;
use crate::limits::Limits;
use crate::mailbox::{
    AccountId, Located, MailboxId, MailboxStatus, ModSeq, Pin, Quota, Records, TableStatus, View, normalise,
};
use crate::message::{Body, BodyId, Stretch};
use crate::operation::{DiskError, Done, File, Operation};
use crate::planted::{Bug, Planted};
use crate::snapshot::reader::Count;
use crate::snapshot::{Position, writer};
use crate::upload::Upload;
use crate::verify::{Verification, on_disk};

/// What tells one commit, or one mailbox that was asked for, from another.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Ticket(u64);

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
    /// The messages of a mailbox have changed, or their flags; all of it is durable.
    Changed(MailboxId, ModSeq),
    /// An account has other mailboxes, or has subscribed to others.
    Mailboxes(AccountId),
    /// What [`Store::load`] or [`Store::load_newest`] was asked for.
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
    /// The same by how many commits were in them: up to 1, 2, 4, 8, 16, 32, 64, 128, and more.
    pub batch_sizes: [u64; 9],
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
    /// The salts of these.
    salts: Salts,
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
    emptied: Vec<Live>,
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
    reads: Vec<(File, u64, u64, Purpose)>,
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
    Look(MailboxId),
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
            salts: Salts::new(&[]),
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
    pub fn load(&mut self, actor: Actor, mailbox: MailboxId) -> Ticket {
        self.show(actor, mailbox, None)
    }

    /// The same, for whoever needs no more than so many of the newest messages.
    ///
    /// Of a mailbox whose messages are in memory, or that has no more than those, all are shown. Of another one, exactly so many
    /// are: they are read from its end, one read of 1 MiB at most however large it is, and not kept, so nothing else has to wait for
    /// the rest. [`Messages::missing`](crate::mailbox::Messages::missing) tells how many older ones there are. Should too many
    /// of the newest have been deleted of late, more than one read has, all are loaded and shown.
    pub fn load_newest(&mut self, actor: Actor, mailbox: MailboxId, count: usize) -> Ticket {
        self.show(actor, mailbox, Some(count))
    }

    fn show(&mut self, actor: Actor, mailbox: MailboxId, newest: Option<usize>) -> Ticket {
        let ticket = self.ticket();
        let section = self.index.unloaded(mailbox);
        if !self.is_ready() || self.closing {
            self.events.push_back(Event::Loaded(ticket, Err(Unavailable::Closed)));
        } else if self.status(actor, mailbox).is_none() {
            self.events.push_back(Event::Loaded(ticket, Err(Unavailable::NoSuchMailbox)));
        } else if let (Some(section), Some(count)) = (section, newest)
            && section.count > count as u64
        {
            self.loading.look(mailbox, section, ticket, count);
        } else {
            self.loading.wait(mailbox, ticket);
            self.advance(mailbox);
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
        let bodies = self.index.bodies().in_files().collect();
        let pin = self.pin();
        Some(Verification::new(pin, &self.live, snapshot, bodies))
    }

    /// Ends a verification, which may be before it is through. Gives what was found damaged.
    pub fn verified(&mut self, verification: Verification) -> Vec<Damage> {
        self.release(verification.pin);
        verification.damage
    }

    /// Says what to copy, and keeps it in its place; `None` before [`Event::Ready`] and after the end.
    pub fn backup(&mut self) -> Option<Backup> {
        let active = self.is_ready().then(|| self.live.last().copied()).flatten()?;
        let extract = |file, length| Extract { file, length, identity: 0 };
        let bodies = self.index.bodies().in_files();
        let mut files: Vec<_> = bodies.map(|(id, size)| extract(File::Body(id), on_disk(size))).collect();
        // The newest header lists what has been emptied since it was written.
        let mut segments = [&self.live[..], &self.emptied].concat();
        if self.planted.has(Bug::EmptiedNotCopied) {
            segments.truncate(self.live.len());
        }
        segments.sort_unstable_by_key(|live| live.number);
        files.extend(segments.iter().map(|live| Extract {
            file: File::Segment(live.number),
            // Of one whose header has been lost, nobody knows how long it is.
            length: if live.is_lost() { u64::MAX } else { live.limit },
            identity: live.salt,
        }));
        files.extend(self.snapshot.map(|snapshot| extract(File::Snapshot(snapshot.number), snapshot.length)));
        let pin = self.pin();
        if self.planted.has(Bug::BackupNotPinned) {
            self.pins.remove(&pin.0);
        }
        Some(Backup { pin, files, seal: Writer::seal(active.salt, active.limit) })
    }

    /// What is known of a mailbox without its messages.
    pub fn status(&self, actor: Actor, mailbox: MailboxId) -> Option<MailboxStatus> {
        let status = self.is_ready().then(|| self.index.status(mailbox)).flatten()?;
        authorise(actor, status.account, Right::Read).ok().map(|()| status)
    }

    /// The mailbox of this name.
    pub fn find(&self, actor: Actor, account: AccountId, name: &str) -> Option<MailboxId> {
        if !self.may_read(actor, account) {
            return None;
        }
        self.index.find(account, &normalise(name).ok()?)
    }

    /// All mailboxes of an account by name, or of all accounts, as far as they are the actor's to see.
    pub fn mailboxes(&self, actor: Actor, account: impl Into<Option<AccountId>>) -> Vec<MailboxStatus> {
        if !self.is_ready() {
            return Vec::new();
        }
        let all = self.index.mailboxes(account.into());
        all.into_iter().filter_map(|mailbox| self.status(actor, mailbox)).collect()
    }

    /// The names that an account has subscribed to, whether or not there are such mailboxes.
    pub fn subscriptions(&self, actor: Actor, account: AccountId) -> Vec<String> {
        if !self.may_read(actor, account) {
            return Vec::new();
        }
        self.index.subscriptions(account).map(str::to_owned).collect()
    }

    /// How much an account has, and how much it may have; `None` if that is not the actor's to see.
    pub fn quota(&self, actor: Actor, account: AccountId) -> Option<Quota> {
        self.may_read(actor, account).then(|| self.index.quota(account))
    }

    /// Where the value of a record of the caller's lies.
    pub fn record(&mut self, table: u16, key: &[u8]) -> Option<Located> {
        let place = self.is_ready().then(|| self.index.value(table, key)).flatten()?;
        let stretch = Stretch::record(place, value_at(key), &self.salts);
        Some(Located { pin: self.pin(), stretch })
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
                let stretch = Stretch::record(*place, value_at(key.octets()), &self.salts);
                records.push((key.to_bytes(), stretch));
            }
        }
        Records { pin, records, next }
    }

    /// Where the body lies that a record of the caller's holds.
    pub fn held(&mut self, table: u16, key: &[u8]) -> Option<Located> {
        let hold = self.is_ready().then(|| self.index.held(table, key)).flatten()?;
        let stretch = self.index.bodies().content(BodyId(hold.body), &self.salts)?;
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

    fn may_read(&self, actor: Actor, account: AccountId) -> bool {
        self.is_ready() && authorise(actor, account, Right::Read).is_ok()
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
