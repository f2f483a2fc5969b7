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
mod making;

use core::sync::atomic::AtomicU64;
use core::time::Duration;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use self::batch::Overlay;
use self::making::{Making, Progress};
use crate::error::{Dead, Failure, Refusal};
use crate::index::{Change, Highest, Index, MemoryIndex};
use crate::journal::entry::Record;
use crate::journal::recovery::{Damage, Recovered, Recovery, Report, change, rewrite};
use crate::journal::segment::{HEADER_READ, Header, Live};
use crate::journal::writer::{BATCH_END, SEAL, Writer};
use crate::limits::Limits;
use crate::mailbox::{AccountId, MailboxId, MailboxStatus, ModSeq, Uid, UidValidity, View};
use crate::message::{Body, BodyId, Extent, UnixTime};
use crate::operation::{DiskError, Done, File, Operation};
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

/// What tells one commit from another.
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
}

/// Mailboxes over a journal, without a disk of its own. See the [front page](crate).
#[derive(Debug)]
pub struct Store<I = MemoryIndex> {
    limits: Limits,
    seed: u64,
    index: I,
    phase: Phase,
    live: Vec<Live>,
    next_segment: u64,
    next_ticket: u64,
    highest: Highest,
    staged: VecDeque<(Ticket, Commit)>,
    events: VecDeque<Event>,
    unlinks: VecDeque<File>,
    /// Files without a delivery, each with the last view that may still show it.
    dying: Vec<(File, u64)>,
    /// Files that a crash may still want, until a later segment counts.
    doubtful: Vec<File>,
    /// How often the names of bodies could not be synced.
    unsynced_names: Arc<AtomicU64>,
    views: BTreeSet<u64>,
    next_view: u64,
    closing: bool,
    /// The last live segment has ended, whether or not a later one counts yet.
    ended: bool,
    counters: Counters,
}

#[derive(Debug)]
enum Phase {
    Recovering(Recovery),
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
    Ready { changes: Vec<Change>, orphans: Vec<File>, report: Report },
    GoOn,
    Tell { waiters: Vec<Waiter>, failure: Failure },
}

/// A batch that is being written.
#[derive(Debug)]
struct InFlight {
    length: u64,
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

impl Store<MemoryIndex> {
    /// A store that begins by asking what there is.
    ///
    /// `seed` has to be fresh and unpredictable at each start: it salts the checksums, so that nobody can send a message
    /// that holds a forged record.
    pub fn new(limits: Limits, seed: u64) -> Self {
        Self::with_index(limits, seed, MemoryIndex::default())
    }
}

impl<I: Index> Store<I> {
    /// The same with another, empty index.
    pub fn with_index(limits: Limits, seed: u64, index: I) -> Self {
        Self {
            limits,
            seed,
            index,
            phase: Phase::Recovering(Recovery::new(limits.segment / 4)),
            live: Vec::new(),
            next_segment: 1,
            next_ticket: 0,
            highest: Highest::default(),
            staged: VecDeque::new(),
            events: VecDeque::new(),
            unlinks: VecDeque::new(),
            dying: Vec::new(),
            doubtful: Vec::new(),
            unsynced_names: Arc::default(),
            views: BTreeSet::new(),
            next_view: 0,
            closing: false,
            ended: false,
            counters: Counters::default(),
        }
    }

    /// Takes a commit. What comes of it is told later, as [`Event::Durable`] or [`Event::Failed`].
    ///
    /// Commits that come while a batch is being written form the next batch together.
    pub fn commit(&mut self, commit: Commit) -> Ticket {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
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
            let operation = match &mut self.phase {
                Phase::Recovering(recovery) => recovery.poll(),
                Phase::Making(making, _) => making.poll(),
                Phase::Idle if !self.staged.is_empty() => {
                    self.form_batch();
                    continue;
                }
                Phase::Broken if !self.staged.is_empty() => {
                    self.make_segment(Bytes::new(), Then::GoOn);
                    continue;
                }
                Phase::Broken if self.closing => {
                    self.phase = Phase::Closed;
                    self.events.push_back(Event::Closed);
                    continue;
                }
                Phase::Idle if self.closing => Some(self.seal()),
                Phase::Idle | Phase::Broken | Phase::Writing(_) | Phase::Sealing | Phase::Closed => None,
            };
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
        match core::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Recovering(recovery) => self.recovered(recovery, result),
            Phase::Making(making, then) => self.made(making, then, result.map(drop)),
            Phase::Writing(batch) => self.written(batch, result.map(drop)),
            Phase::Sealing => {
                self.phase = Phase::Closed;
                self.events.push_back(Event::Closed);
            }
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

    /// Shows a mailbox as it is now.
    pub fn load(&mut self, mailbox: MailboxId) -> Option<View> {
        let status = self.status(mailbox)?;
        let messages = self.index.messages(mailbox)?;
        let token = self.next_view;
        self.next_view += 1;
        self.views.insert(token);
        Some(View { token, status, messages })
    }

    /// Takes a view back: nobody reads through it any more.
    pub fn release(&mut self, view: View) {
        self.let_go(view.token);
    }

    /// Begins to compare everything with its checksums; `None` before [`Event::Ready`] and after the end.
    pub fn verify(&mut self) -> Option<Verification> {
        if !self.is_ready() {
            return None;
        }
        let token = self.next_view;
        self.next_view += 1;
        self.views.insert(token);
        let bodies =
            self.index.body_files().into_iter().map(|(extent, crc)| (extent.file, extent.length, crc));
        Some(Verification::new(token, &self.live, bodies.collect()))
    }

    /// Ends a verification, which may be before it is through. Gives what was found damaged.
    pub fn verified(&mut self, verification: Verification) -> Vec<Damage> {
        self.let_go(verification.token);
        verification.damage
    }

    fn let_go(&mut self, token: u64) {
        self.views.remove(&token);
        let oldest = self.views.first().copied();
        let unlinks = &mut self.unlinks;
        self.dying.retain(|(file, last)| {
            let shown = oldest.is_some_and(|oldest| oldest <= *last);
            if !shown {
                unlinks.push_back(*file);
            }
            shown
        });
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

    /// A record of the caller's.
    pub fn value(&self, table: u16, key: &[u8]) -> Option<Bytes> {
        self.is_ready().then(|| self.index.value(table, key)).flatten()
    }

    /// Where the body lies that a record of the caller's holds. It stays there until the record is removed, and until
    /// views that were opened before are released.
    pub fn held(&self, table: u16, key: &[u8]) -> Option<Extent> {
        self.is_ready().then(|| self.index.held(table, key)).flatten()
    }

    /// All records of a table, by rising key.
    pub fn table(&self, table: u16) -> Vec<(Bytes, Bytes)> {
        if self.is_ready() { self.index.table(table) } else { Vec::new() }
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
        !matches!(self.phase, Phase::Recovering(_) | Phase::Making(_, Then::Ready { .. }) | Phase::Closed)
    }

    fn recovered(&mut self, mut recovery: Recovery, result: Result<Done, DiskError>) {
        match recovery.handle_done(result, &mut self.index) {
            Err(dead) => self.die(dead),
            Ok(false) => self.phase = Phase::Recovering(recovery),
            Ok(true) => {
                let Recovered { live, tail, next_segment, highest_body, orphans, report } =
                    recovery.finish(&self.index);
                self.live = live;
                self.next_segment = next_segment;
                self.highest.body = highest_body;
                let (octets, changes) = {
                    let header = self.next_header();
                    rewrite(&tail, header.number, header.salt, header.start())
                };
                self.make_segment(octets.into(), Then::Ready { changes, orphans, report });
            }
        }
    }

    fn next_header(&self) -> Header {
        let number = self.next_segment;
        Header { number, salt: salt(self.seed, number), live: self.live.clone() }
    }

    fn make_segment(&mut self, data: Bytes, then: Then) {
        let header = self.next_header();
        if header.start() > HEADER_READ {
            // It could be written, but not be read again.
            return self.not_made(then, DiskError::NoSpace);
        }
        self.next_segment += 1;
        // The tail of a store that was written with larger segments may not fit.
        let reserve = self.limits.segment.max(header.start() + data.len() as u64 + SEAL as u64);
        self.phase = Phase::Making(Making::new(header, reserve, data), then);
    }

    fn made(&mut self, mut making: Making, then: Then, result: Result<(), DiskError>) {
        match making.handle_done(result) {
            Progress::GoingOn => self.phase = Phase::Making(making, then),
            Progress::Made(live) => {
                self.live.push(live);
                self.ended = false;
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
        match then {
            Then::GoOn => {}
            Then::Ready { changes, orphans, report } => {
                for change in &changes {
                    self.index.apply(change);
                }
                // Deliveries that were acknowledged as gone, and bodies whose deliveries were.
                while let Some((_, content)) = self.index.take_unused_body() {
                    if matches!(content.file, File::Body(_)) && report.damage.is_empty() {
                        self.unlinks.push_back(content.file);
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
        // Nothing of these has touched the disk.
        for (ticket, commit) in core::mem::take(&mut self.staged) {
            self.fail(ticket, file_of(&commit), failure);
        }
    }

    fn die(&mut self, dead: Dead) {
        self.phase = Phase::Closed;
        self.events.push_back(Event::Dead(dead));
        for (ticket, commit) in core::mem::take(&mut self.staged) {
            self.fail(ticket, file_of(&commit), Refusal::Closed.into());
        }
    }

    fn form_batch(&mut self) {
        let Some(&active) = self.live.last() else { return };
        let mut writer = Writer::new(active.salt, active.limit);
        let mut overlay = Overlay::new(self.highest);
        let (mut waiters, mut changes) = (Vec::new(), Vec::new());
        let file = File::Segment(active.number);
        let room = (self.limits.segment.saturating_sub(active.limit) as usize).saturating_sub(SEAL);
        let fresh = (self.limits.segment.saturating_sub(Header::start_behind(self.live.len())) as usize)
            .saturating_sub(SEAL + BATCH_END);
        while let Some((ticket, commit)) = self.staged.pop_front() {
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
                self.staged.push_front((ticket, commit));
                break;
            }
            let body = file_of(&commit);
            let receipt = overlay.resolve(commit, &self.index, |record: Record| {
                let part = writer.push(&record);
                changes.extend(change(&record, file, part));
            });
            waiters.push(Waiter { ticket, receipt, file: body });
        }
        if waiters.is_empty() {
            if !self.staged.is_empty() {
                self.make_segment(Bytes::new(), Then::GoOn);
            }
            return;
        }
        self.highest = overlay.highest();
        let octets = writer.finish();
        self.phase = Phase::Writing(InFlight { length: octets.len() as u64, changes, waiters });
        self.counters.syncs += 1;
        self.events.push_back(Event::Operation(Operation::Write {
            file,
            at: active.limit,
            data: vec![octets],
            sync: true,
        }));
    }

    fn written(&mut self, batch: InFlight, result: Result<(), DiskError>) {
        if let Err(error) = result {
            // What the file holds now is unknown, and a second sync would not tell: the segment ends before this batch.
            self.ended = true;
            let then = Then::Tell { waiters: batch.waiters, failure: failure(error) };
            self.make_segment(Bytes::new(), then);
            return;
        }
        if let Some(active) = self.live.last_mut() {
            active.limit += batch.length;
        }
        self.counters.batches += 1;
        self.counters.octets += batch.length;
        self.counters.commits += batch.waiters.len() as u64;
        let mut changed = BTreeSet::new();
        for change in &batch.changes {
            self.index.apply(change);
            match change {
                Change::Delivered { mailbox, .. }
                | Change::Expunged { mailbox, .. }
                | Change::MailboxDeleted { id: mailbox } => {
                    changed.insert(*mailbox);
                }
                _ => {}
            }
        }
        while let Some((_, content)) = self.index.take_unused_body() {
            self.bury(content.file);
        }
        for waiter in batch.waiters {
            self.events.push_back(Event::Durable(waiter.ticket, waiter.receipt));
        }
        for mailbox in changed {
            let mod_seq = self.index.status(mailbox).map_or(ModSeq(0), |status| status.highest_mod_seq);
            self.events.push_back(Event::Changed(mailbox, mod_seq));
        }
    }

    /// A file that no delivery names goes once no view shows it.
    fn bury(&mut self, file: File) {
        if matches!(file, File::Segment(_)) {
            return;
        }
        match self.views.last() {
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
