//! The asynchronous front of the store: one task writes, everybody asks it.
//!
//! Nothing above this file knows of files, segments or a single process.

mod archive;

use std::collections::BTreeMap;
use std::io;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use mailstore::backup::Backup;
use mailstore::commit::{Actor, Receipt};
use mailstore::error::{Dead, Refusal};
use mailstore::mailbox::{
    AccountId, Located, MailboxId, MailboxStatus, Pin, Quota, Records, TableStatus, View,
};
use mailstore::message::{Body, Message, Piece, Stretch};
use mailstore::mime::{MAX_STORED, Scanner, Structure};
use mailstore::store::{Counters, Ticket};
use mailstore::upload::Upload;
use mailstore::verify::Verification;
use mailstore::{Commit, Damage, Event, Failure, Limits, Report};
use thiserror::Error;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;

pub use self::archive::{Copying, Submitted};
use crate::metrics::Histogram;
use crate::system::{Disk, System};

/// Bodies up to this size go into the journal; larger ones get a file of their own.
pub const INLINE: usize = 64 << 10;

/// The store, shared by all sessions.
#[derive(Clone, Debug)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    requests: mpsc::UnboundedSender<Request>,
    system: Arc<dyn System>,
    disk: Arc<dyn Disk>,
    /// Octets of messages that may be held in memory at once, in units of [`INLINE`].
    room: Arc<Semaphore>,
    watched: Arc<Watched>,
    /// How long commits take.
    latency: Histogram,
}

/// Mailboxes that somebody follows.
#[derive(Debug, Default)]
struct Watched(Mutex<BTreeMap<MailboxId, Arc<Changes>>>);

/// How often a mailbox has changed.
#[derive(Debug, Default)]
struct Changes {
    count: AtomicU64,
    /// Wakes all who wait, in their order; a watch channel of tokio would draw lots.
    told: Notify,
}

/// Knows whether a mailbox has changed.
#[derive(Debug)]
pub struct Watch {
    changes: Arc<Changes>,
    /// How many changes are known.
    known: u64,
    mailbox: MailboxId,
    watched: Arc<Watched>,
}

/// A mailbox as it was when it was opened, released when this is dropped.
#[derive(Debug)]
pub struct Snapshot {
    view: Option<View>,
    store: Store,
}

/// Reads the messages of a [`Snapshot`].
#[derive(Clone, Debug)]
pub struct Reader {
    store: Store,
}

/// Octets that a key stands for: they stay where they are until this is dropped.
#[derive(Debug)]
pub struct Held {
    stretch: Stretch,
    pin: Option<Pin>,
    store: Store,
}

/// Records of a table, and the first key behind them. A value that is damaged is an error of the kind
/// [`io::ErrorKind::InvalidData`].
#[derive(Debug)]
pub struct Page {
    /// Keys and values, by rising key.
    pub records: Vec<(Bytes, io::Result<Bytes>)>,
    /// Where the next page begins; `None` if this is the last one.
    pub next: Option<Bytes>,
}

/// Keeps what is being read in its place.
struct Pinned {
    pins: Vec<Pin>,
    store: Store,
}

/// How a store is opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opening {
    /// From its last snapshot, and what the journal has since.
    Usual,
    /// From the journal alone; snapshots are made anew.
    Rebuild,
}

/// Why the store could not be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The directory cannot be used.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// There is a store, and it cannot be opened.
    #[error("{0}")]
    Dead(Dead),
    /// Its task has ended before it was ready.
    #[error("the task of the store has ended")]
    Gone,
}

/// A message on its way in: in memory as long as it is small, from then on in a file.
#[derive(Debug)]
pub struct Incoming {
    store: Store,
    held: BytesMut,
    upload: Option<Upload>,
    /// Sees what is written, if where its parts lie is to be kept.
    scanner: Option<Scanner>,
    _room: OwnedSemaphorePermit,
}

/// Where the body of a message has come to lie.
#[derive(Debug)]
pub enum Received {
    /// In memory, to go into the journal with its commit.
    Small(Bytes),
    /// In a file, on stable storage.
    Large(Body),
}

#[derive(Debug)]
enum Request {
    Commit(Commit, oneshot::Sender<Result<Receipt, Failure>>),
    Load(Actor, MailboxId, Option<usize>, oneshot::Sender<Option<View>>),
    Release(Pin),
    Find(Actor, AccountId, String, oneshot::Sender<Option<MailboxId>>),
    Status(Actor, AccountId, String, oneshot::Sender<Option<MailboxStatus>>),
    Mailboxes(Actor, Option<AccountId>, oneshot::Sender<Vec<MailboxStatus>>),
    Subscriptions(Actor, AccountId, oneshot::Sender<Vec<String>>),
    Quota(AccountId, oneshot::Sender<Option<Quota>>),
    Held(u16, Bytes, oneshot::Sender<Option<Located>>),
    Records(u16, Bytes, usize, oneshot::Sender<Records>),
    Values(u16, Vec<Bytes>, oneshot::Sender<Vec<Option<Located>>>),
    Table(u16, oneshot::Sender<TableStatus>),
    BeginBody(oneshot::Sender<Option<Upload>>),
    Discard(Upload),
    DiscardBody(Body),
    Verify(oneshot::Sender<Option<Verification>>),
    Verified(Verification, oneshot::Sender<Vec<Damage>>),
    Backup(oneshot::Sender<Option<Backup>>),
    Counters(oneshot::Sender<Counters>),
    Close(oneshot::Sender<()>),
}

impl Store {
    /// Opens the store in `dir`, in a task apart, and waits until it has been recovered.
    pub async fn open(
        system: Arc<dyn System>,
        dir: &Path,
        limits: Limits,
        opening: Opening,
    ) -> Result<(Self, Report), OpenError> {
        let (dir, machine) = (dir.to_owned(), Arc::clone(&system));
        let disk = system.compute(move || machine.open_disk(&dir)).await.ok_or(OpenError::Gone)??;
        let seed = system.random_u64()?;
        let (requests, receiver) = mpsc::unbounded_channel();
        let (ready, opened) = oneshot::channel();
        let limits = limits.inline_body(INLINE + TRACE);
        let store = match opening {
            Opening::Usual => mailstore::Store::new(limits, seed),
            Opening::Rebuild => mailstore::Store::rebuilding(limits, seed),
        };
        let watched = Arc::<Watched>::default();
        let writer = Writer {
            store,
            watched: Arc::clone(&watched),
            disk: Arc::clone(&disk),
            requests: receiver,
            waiting: BTreeMap::new(),
            loading: BTreeMap::new(),
            ready: Some(ready),
            closed: None,
            ended: false,
        };
        system.spawn_apart("store", Box::pin(writer.run()))?;
        let report = opened.await.map_err(|_| OpenError::Gone)?.map_err(OpenError::Dead)?;
        let room = Arc::new(Semaphore::new(ROOM / INLINE));
        Ok((
            Self(Arc::new(Shared { requests, system, disk, room, watched, latency: Histogram::default() })),
            report,
        ))
    }

    /// The same, to be kept.
    pub fn shared_system(&self) -> Arc<dyn System> {
        Arc::clone(&self.0.system)
    }

    /// The machine that it is on.
    pub fn system(&self) -> &(dyn System + 'static) {
        &*self.0.system
    }

    /// Makes everything in the commit durable. Whatever is answered positively because of it has to wait for this.
    pub async fn commit(&self, commit: Commit) -> Result<Receipt, Failure> {
        let begun = Instant::now();
        // Whether a commit comes to pass that was sent to a task which has died since, nobody can say.
        let result = self.ask(|reply| Request::Commit(commit, reply)).await.unwrap_or(Err(Failure::Unknown));
        self.0.latency.observe(begun.elapsed());
        result
    }

    /// Shows a mailbox as it is now.
    pub async fn load(&self, actor: Actor, mailbox: MailboxId) -> Option<Snapshot> {
        let view = self.ask(|reply| Request::Load(actor, mailbox, None, reply)).await??;
        Some(Snapshot { view: Some(view), store: self.clone() })
    }

    /// Shows so many of the newest messages of a mailbox as it is now, and more if more are in memory: a large one that nobody has
    /// looked at of late is not read as a whole for them.
    pub async fn load_newest(&self, actor: Actor, mailbox: MailboxId, count: usize) -> Option<Snapshot> {
        let view = self.ask(|reply| Request::Load(actor, mailbox, Some(count), reply)).await??;
        Some(Snapshot { view: Some(view), store: self.clone() })
    }

    /// The mailbox of this name.
    pub async fn find(&self, actor: Actor, account: AccountId, name: &str) -> Option<MailboxId> {
        self.ask(|reply| Request::Find(actor, account, name.to_owned(), reply)).await?
    }

    /// What is known of the mailbox of this name.
    pub async fn status(&self, actor: Actor, account: AccountId, name: &str) -> Option<MailboxStatus> {
        self.ask(|reply| Request::Status(actor, account, name.to_owned(), reply)).await?
    }

    /// All mailboxes of an account, or of all, by name.
    pub async fn mailboxes(&self, actor: Actor, account: Option<AccountId>) -> Vec<MailboxStatus> {
        self.ask(|reply| Request::Mailboxes(actor, account, reply)).await.unwrap_or_default()
    }

    /// The names that an account has subscribed to.
    pub async fn subscriptions(&self, actor: Actor, account: AccountId) -> Vec<String> {
        self.ask(|reply| Request::Subscriptions(actor, account, reply)).await.unwrap_or_default()
    }

    /// How much an account has, and how much it may have.
    pub async fn quota(&self, account: AccountId) -> Quota {
        self.ask(|reply| Request::Quota(account, reply)).await.flatten().unwrap_or_default()
    }

    /// Follows a mailbox from now on.
    pub fn watch(&self, mailbox: MailboxId) -> Watch {
        let watched = Arc::clone(&self.0.watched);
        let changes = Arc::clone(watched.lock().entry(mailbox).or_default());
        let known = changes.count.load(Ordering::Acquire);
        Watch { changes, known, mailbox, watched }
    }

    /// The body that a record holds.
    pub async fn held(&self, table: u16, key: Bytes) -> Option<Held> {
        let located = self.ask(|reply| Request::Held(table, key, reply)).await??;
        Some(Held { stretch: located.stretch, pin: Some(located.into()), store: self.clone() })
    }

    /// So many records of a table, from a key on.
    pub async fn records(&self, table: u16, from: Bytes, limit: usize) -> io::Result<Page> {
        let records = self.ask(|reply| Request::Records(table, from, limit, reply)).await;
        let records = records.ok_or_else(ended)?;
        let next = records.next.clone();
        let (keys, stretches): (Vec<_>, Vec<_>) =
            records.records.iter().map(|(key, stretch)| (key.clone(), pieces(stretch))).unzip();
        let _pinned = Pinned { pins: vec![records.into()], store: self.clone() };
        let values = self.read_all(stretches).await;
        Ok(Page { records: keys.into_iter().zip(values).collect(), next })
    }

    /// The values of records, in the order of their keys; `None` for one that is not there. A value that is damaged is an
    /// error of the kind [`io::ErrorKind::InvalidData`].
    pub async fn values(&self, table: u16, keys: Vec<Bytes>) -> io::Result<Vec<Option<io::Result<Bytes>>>> {
        let located = self.ask(|reply| Request::Values(table, keys, reply)).await.ok_or_else(ended)?;
        let there: Vec<_> = located.iter().map(Option::is_some).collect();
        let stretches: Vec<_> = located.iter().flatten().map(|located| pieces(&located.stretch)).collect();
        let pins = located.into_iter().flatten().map(Pin::from).collect();
        let _pinned = Pinned { pins, store: self.clone() };
        let mut values = self.read_all(stretches).await.into_iter();
        Ok(there
            .into_iter()
            .map(|there| there.then(|| values.next().unwrap_or_else(|| Err(ended()))))
            .collect())
    }

    /// How much there is in a table.
    pub async fn table_status(&self, table: u16) -> TableStatus {
        self.ask(|reply| Request::Table(table, reply)).await.unwrap_or_default()
    }

    /// Reads what consists of these pieces, all of it at once.
    async fn read_all(&self, stretches: impl IntoIterator<Item = Vec<Piece>>) -> Vec<io::Result<Bytes>> {
        let (mut wanted, mut counts) = (Vec::new(), Vec::new());
        for pieces in stretches {
            counts.push(pieces.len());
            wanted.extend(pieces);
        }
        if wanted.is_empty() {
            return counts.iter().map(|_| Ok(Bytes::new())).collect();
        }
        let mut read = self.0.disk.read(wanted).await.into_iter();
        counts.into_iter().map(|count| joined(read.by_ref().take(count))).collect()
    }

    /// All records of a table, but for those that are damaged, which are logged. A disk that does not give them is an error:
    /// what is not read now is not lost, and must not be taken for it.
    pub async fn table(&self, table: u16) -> io::Result<Vec<(Bytes, Bytes)>> {
        let (mut all, mut from) = (Vec::new(), Some(Bytes::new()));
        while let Some(key) = from {
            let page = self.records(table, key, PAGE).await?;
            for (key, value) in page.records {
                match value {
                    Ok(value) => all.push((key, value)),
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                        tracing::error!(table, ?key, %error, "a record is damaged");
                    }
                    Err(error) => return Err(error),
                }
            }
            from = page.next;
        }
        Ok(all)
    }

    /// The keys of all records of a table; their values are not read.
    pub async fn keys(&self, table: u16) -> io::Result<Vec<Bytes>> {
        let (mut all, mut from) = (Vec::new(), Some(Bytes::new()));
        while let Some(key) = from {
            let records = self.ask(|reply| Request::Records(table, key, PAGE, reply)).await;
            let records = records.ok_or_else(ended)?;
            all.extend(records.records.iter().map(|(key, _)| key.clone()));
            from = records.next.clone();
            drop(Pinned { pins: vec![records.into()], store: self.clone() });
        }
        Ok(all)
    }

    /// How long commits have taken.
    pub fn latency(&self) -> &Histogram {
        &self.0.latency
    }

    /// How much has been done since the start.
    pub async fn counters(&self) -> Counters {
        self.ask(Request::Counters).await.unwrap_or_default()
    }

    /// Reads everything and compares it with its checksums, beside whatever else goes on. How many files were read, and
    /// what in them is damaged.
    pub async fn verify(&self) -> Option<(usize, Vec<Damage>)> {
        let mut verification = self.ask(Request::Verify).await??;
        while let Some(operation) = verification.poll() {
            let (operation, result) = self.0.disk.execute_beside(operation).await?;
            verification.handle_done(operation, result);
        }
        let (files, _) = verification.progress();
        let damage = self.ask(|reply| Request::Verified(verification, reply)).await?;
        Some((files, damage))
    }

    /// Reads a piece of what is held, and compares it with its checksum: octets that are wrong are an error.
    async fn read(&self, piece: Piece) -> io::Result<Bytes> {
        let mut read = self.0.disk.read(vec![piece]).await;
        read.pop().unwrap_or_else(|| Err(io::ErrorKind::UnexpectedEof.into()))
    }

    /// Waits for room in memory, then for a message.
    pub async fn receive(&self) -> Option<Incoming> {
        let room = Arc::clone(&self.0.room).acquire_owned().await.ok()?;
        Some(Incoming {
            store: self.clone(),
            held: BytesMut::new(),
            upload: None,
            scanner: None,
            _room: room,
        })
    }

    /// Gives up what was received for a commit that is not made.
    pub fn discard(&self, received: Received) {
        if let Received::Large(body) = received {
            // A store that has ended removes the file when it is opened again.
            let _ = self.0.requests.send(Request::DiscardBody(body));
        }
    }

    /// Writes what has been committed, and a seal; later commits are refused.
    pub async fn close(&self) {
        let _ = self.ask(Request::Close).await;
    }

    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.0.requests.send(request(reply)).ok()?;
        answer.await.ok()
    }
}

impl Watched {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<MailboxId, Arc<Changes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Whether the mailbox has changed since this was last asked, or since the watch began.
    pub fn take(&mut self) -> bool {
        let known = std::mem::replace(&mut self.known, self.changes.count.load(Ordering::Acquire));
        known != self.known
    }

    /// Waits until [`Self::take`] would say yes. Dropped and called again, it loses nothing.
    pub async fn changed(&mut self) {
        // Before the look, so that nothing falls between the two.
        let told = self.changes.told.notified();
        if self.changes.count.load(Ordering::Acquire) == self.known {
            told.await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.watched.lock();
        // The map's, and this one.
        if watched.get(&self.mailbox).is_some_and(|changes| Arc::strong_count(changes) <= 2) {
            watched.remove(&self.mailbox);
        }
    }
}

impl Deref for Snapshot {
    type Target = View;

    fn deref(&self) -> &View {
        self.view.as_ref().expect("the view is there until this is dropped")
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if let Some(view) = self.view.take() {
            // A store that has ended has nothing to free.
            let _ = self.store.0.requests.send(Request::Release(view.into()));
        }
    }
}

impl Held {
    /// How many octets.
    pub const fn size(&self) -> u64 {
        self.stretch.size()
    }

    /// The next octets at `at`, or none at the end.
    pub async fn slice(&self, at: u64) -> io::Result<Bytes> {
        match self.stretch.locate(at..self.size()).next() {
            Some(piece) => self.store.read(piece).await,
            None => Ok(Bytes::new()),
        }
    }

    /// So many octets from `at` on, or as many as there are.
    pub async fn read(&self, at: u64, length: u64) -> io::Result<Bytes> {
        let mut octets = BytesMut::new();
        for piece in self.stretch.locate(at..at.saturating_add(length)) {
            let read = self.store.read(piece).await?;
            if read.len() as u64 == length {
                return Ok(read);
            }
            octets.extend_from_slice(&read);
        }
        Ok(octets.freeze())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(pin) = self.pin.take() {
            let _ = self.store.0.requests.send(Request::Release(pin));
        }
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        for pin in self.pins.drain(..) {
            let _ = self.store.0.requests.send(Request::Release(pin));
        }
    }
}

impl Snapshot {
    /// Reads its messages, as long as the snapshot itself is held somewhere.
    pub fn reader(&self) -> Reader {
        Reader { store: self.store.clone() }
    }
}

impl Reader {
    /// Reads a message slice by slice: the next one at `at`, or an empty one at its end.
    pub async fn read(&self, message: &Message, at: u64) -> io::Result<Bytes> {
        self.read_within(message, at..message.size()).await
    }

    /// The next octets of a range: as many as one read gives, none if the range is empty.
    pub async fn read_within(&self, message: &Message, range: Range<u64>) -> io::Result<Bytes> {
        let end = range.end.min(range.start.saturating_add(SLICE));
        match message.locate(range.start..end).next() {
            Some(piece) => self.store.read(piece).await,
            None => Ok(Bytes::new()),
        }
    }

    /// Reads ranges of messages in one go; as many results as there are ranges.
    pub async fn read_all(
        &self,
        ranges: impl Iterator<Item = (&Message, Range<u64>)>,
    ) -> Vec<io::Result<Bytes>> {
        self.store.read_all(ranges.map(|(message, range)| message.locate(range).collect())).await
    }

    /// Where the parts of messages lie: from what is kept, or else by looking at the whole message.
    pub async fn structures(&self, messages: &[&Message]) -> Vec<io::Result<Structure>> {
        self.structures_within(messages, u64::MAX).await
    }

    /// The same, but what is not kept is made of so many octets of the message, as if it ended there: what a list shows of a
    /// message must not cost its whole length, whatever its sender has made of it.
    pub async fn structures_within(&self, messages: &[&Message], most: u64) -> Vec<io::Result<Structure>> {
        let kept = |message: &&Message| message.structure().as_ref().map_or_else(Vec::new, pieces);
        let kept = self.store.read_all(messages.iter().map(kept)).await;
        let mut structures = Vec::with_capacity(messages.len());
        for (message, kept) in messages.iter().zip(kept) {
            let size = message.size() - message.prefix_size();
            // What is kept of a message can be made again, damaged or not.
            structures.push(match kept.ok().and_then(|octets| Structure::decode(octets, size)) {
                Some(structure) => Ok(structure),
                None => self.scan(message, most).await,
            });
        }
        structures
    }

    async fn scan(&self, message: &Message, most: u64) -> io::Result<Structure> {
        let (mut scanner, mut at) = (Scanner::new(), message.prefix_size());
        let end = message.size().min(at.saturating_add(most));
        while at < end {
            let slice = self.read_within(message, at..end).await?;
            if slice.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            at += slice.len() as u64;
            scanner.push(&slice);
        }
        Ok(scanner.finish())
    }
}

impl Incoming {
    /// Lets what is written be looked at for where its parts lie.
    pub fn scanned(mut self) -> Self {
        self.scanner = Some(Scanner::new());
        self
    }

    /// Adds octets. `trace` gives what goes in front of the message; it is asked for once, when the message has turned
    /// out to be large.
    pub async fn push(&mut self, octets: &[u8], trace: impl FnOnce() -> Bytes) -> Result<(), Failure> {
        self.held.extend_from_slice(octets);
        if self.held.len() <= INLINE {
            return Ok(());
        }
        if self.upload.is_none() {
            let upload = self.store.ask(Request::BeginBody).await.flatten();
            self.upload = Some(upload.ok_or(Failure::Refused(Refusal::Closed))?);
            self.write(trace()).await?;
        }
        let slice = self.held.split().freeze();
        self.write(slice).await
    }

    /// Gives up what has come so far; the room stays taken.
    pub fn emptied(mut self) -> Self {
        self.held.clear();
        self.scanner = None;
        if let Some(upload) = self.upload.take() {
            let _ = self.store.0.requests.send(Request::Discard(upload));
        }
        self
    }

    /// There is no more. `trace` as with [`Self::push`]. Gives where the parts lie, too, if that is looked at and short.
    pub async fn finish(
        mut self,
        trace: impl FnOnce() -> Bytes,
    ) -> Result<(Received, Option<Bytes>), Failure> {
        if self.upload.is_none() {
            let trace = trace();
            let mut all = BytesMut::with_capacity(trace.len() + self.held.len());
            all.extend_from_slice(&trace);
            all.extend_from_slice(&self.held);
            self.look_at(&all);
            return Ok((Received::Small(all.freeze()), self.structure()));
        }
        let slice = self.held.split().freeze();
        self.write(slice).await?;
        if let Some(upload) = &mut self.upload {
            upload.close();
        }
        self.work().await?;
        match self.upload.take().map(Upload::finish) {
            Some(Ok(body)) => Ok((Received::Large(body), self.structure())),
            Some(Err(upload)) => {
                self.upload = Some(upload);
                Err(Failure::Disk)
            }
            None => Err(Failure::Disk),
        }
    }

    fn look_at(&mut self, octets: &[u8]) {
        if let Some(scanner) = &mut self.scanner {
            scanner.push(octets);
        }
    }

    fn structure(&mut self) -> Option<Bytes> {
        let mut octets = Vec::new();
        self.scanner.take()?.finish().encode(&mut octets);
        // A longer one is made again when it is asked for.
        (octets.len() <= MAX_STORED).then(|| octets.into())
    }

    async fn write(&mut self, slice: Bytes) -> Result<(), Failure> {
        self.look_at(&slice);
        if let Some(upload) = &mut self.upload {
            // The last slice has been written: `work` returns no earlier.
            let _ = upload.push(slice);
        }
        self.work().await
    }

    /// Carries out what the upload wants done. Cancelled in between, it leaves an operation with the disk: the file is
    /// then no longer touched, and goes at the next start.
    async fn work(&mut self) -> Result<(), Failure> {
        while let Some(operation) = self.upload.as_mut().and_then(Upload::poll) {
            let done = self.store.0.disk.execute_beside(operation).await;
            let (operation, result) = done.ok_or(Failure::Disk)?;
            if let Some(upload) = &mut self.upload {
                upload.handle_done(operation, result);
            }
        }
        match self.upload.as_ref().and_then(Upload::error) {
            None => Ok(()),
            Some(mailstore::operation::DiskError::NoSpace) => Err(Failure::NoSpace),
            Some(_) => Err(Failure::Disk),
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(upload) = self.upload.take() {
            let _ = self.store.0.requests.send(Request::Discard(upload));
        }
    }
}

impl Received {
    /// Its size in octets.
    pub fn size(&self) -> u64 {
        match self {
            Self::Small(octets) => octets.len() as u64,
            Self::Large(body) => body.size(),
        }
    }
}

impl From<Received> for mailstore::Source {
    fn from(received: Received) -> Self {
        match received {
            Received::Small(octets) => Self::Inline(octets),
            Received::Large(body) => Self::Stored(body),
        }
    }
}

/// The task that owns the store.
struct Writer {
    store: mailstore::Store,
    watched: Arc<Watched>,
    disk: Arc<dyn Disk>,
    requests: mpsc::UnboundedReceiver<Request>,
    waiting: BTreeMap<Ticket, oneshot::Sender<Result<Receipt, Failure>>>,
    loading: BTreeMap<Ticket, oneshot::Sender<Option<View>>>,
    ready: Option<oneshot::Sender<Result<Report, Dead>>>,
    closed: Option<oneshot::Sender<()>>,
    ended: bool,
}

impl Writer {
    async fn run(mut self) {
        self.drive().await;
        while !self.ended {
            let Some(request) = self.requests.recv().await else {
                self.store.close();
                self.drive().await;
                return;
            };
            self.take(request);
            self.drive().await;
        }
    }

    /// Works until the store waits. What is asked while a sync runs is taken before the next batch forms.
    async fn drive(&mut self) {
        loop {
            while let Ok(request) = self.requests.try_recv() {
                self.take(request);
            }
            match self.store.poll(Duration::ZERO) {
                None => return,
                Some(Event::Operation(operation)) => {
                    let result = self.disk.execute(&operation).await;
                    if let Err(error) = &result {
                        tracing::error!(?operation, %error, "the disk failed");
                    }
                    self.store.handle_done(operation, result);
                }
                Some(Event::Durable(ticket, receipt)) => self.tell(ticket, Ok(receipt)),
                Some(Event::Failed(ticket, failure)) => self.tell(ticket, Err(failure)),
                Some(Event::Loaded(ticket, result)) => {
                    if let Err(error) = &result {
                        tracing::error!(%error, "a mailbox cannot be shown");
                    }
                    if let Some(reply) = self.loading.remove(&ticket)
                        && let Err(Some(view)) = reply.send(result.ok())
                    {
                        self.store.release(view);
                    }
                }
                Some(Event::Ready(report)) => {
                    if let Some(ready) = self.ready.take() {
                        let _ = ready.send(Ok(report));
                    }
                }
                Some(Event::Dead(dead)) => {
                    self.ended = true;
                    if let Some(ready) = self.ready.take() {
                        let _ = ready.send(Err(dead));
                    }
                }
                Some(Event::Closed) => {
                    self.ended = true;
                    if let Some(closed) = self.closed.take() {
                        let _ = closed.send(());
                    }
                }
                Some(Event::Changed(mailbox, _)) => {
                    if let Some(changes) = self.watched.lock().get(&mailbox) {
                        changes.count.fetch_add(1, Ordering::Release);
                        changes.told.notify_waiters();
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn take(&mut self, request: Request) {
        // Whoever has stopped waiting has no use for the answer; a view, though, must come back.
        match request {
            Request::Commit(commit, reply) => {
                let ticket = self.store.commit(commit);
                self.waiting.insert(ticket, reply);
            }
            Request::Load(actor, mailbox, newest, reply) => {
                let ticket = match newest {
                    Some(count) => self.store.load_newest(actor, mailbox, count),
                    None => self.store.load(actor, mailbox),
                };
                self.loading.insert(ticket, reply);
            }
            Request::Release(pin) => self.store.release(pin),
            Request::Find(actor, account, name, reply) => {
                let _ = reply.send(self.store.find(actor, account, &name));
            }
            Request::Status(actor, account, name, reply) => {
                let found = self.store.find(actor, account, &name);
                let _ = reply.send(found.and_then(|mailbox| self.store.status(actor, mailbox)));
            }
            Request::Mailboxes(actor, account, reply) => {
                let _ = reply.send(self.store.mailboxes(actor, account));
            }
            Request::Subscriptions(actor, account, reply) => {
                let _ = reply.send(self.store.subscriptions(actor, account));
            }
            Request::Quota(account, reply) => {
                let _ = reply.send(self.store.quota(Actor::Host, account));
            }
            Request::Held(table, key, reply) => {
                if let Err(Some(located)) = reply.send(self.store.held(table, &key)) {
                    self.store.release(located);
                }
            }
            Request::Records(table, from, limit, reply) => {
                if let Err(records) = reply.send(self.store.records(table, &from, limit)) {
                    self.store.release(records);
                }
            }
            Request::Values(table, keys, reply) => {
                let located = keys.iter().map(|key| self.store.record(table, key)).collect();
                if let Err(located) = reply.send(located) {
                    located.into_iter().flatten().for_each(|located| self.store.release(located));
                }
            }
            Request::Table(table, reply) => {
                let _ = reply.send(self.store.table(table));
            }
            Request::BeginBody(reply) => {
                if let Err(Some(upload)) = reply.send(self.store.begin_body()) {
                    self.store.discard(upload);
                }
            }
            Request::Discard(upload) => self.store.discard(upload),
            Request::DiscardBody(body) => self.store.discard_body(body),
            Request::Verify(reply) => {
                if let Err(Some(verification)) = reply.send(self.store.verify()) {
                    let _ = self.store.verified(verification);
                }
            }
            Request::Verified(verification, reply) => {
                let _ = reply.send(self.store.verified(verification));
            }
            Request::Backup(reply) => {
                if let Err(Some(backup)) = reply.send(self.store.backup()) {
                    self.store.release(backup);
                }
            }
            Request::Counters(reply) => {
                let _ = reply.send(self.store.counters());
            }
            Request::Close(reply) => {
                self.store.close();
                self.closed = Some(reply);
            }
        }
    }

    fn tell(&mut self, ticket: Ticket, result: Result<Receipt, Failure>) {
        if let Some(reply) = self.waiting.remove(&ticket) {
            let _ = reply.send(result);
        }
    }
}

fn pieces(stretch: &Stretch) -> Vec<Piece> {
    stretch.locate(0..stretch.size()).collect()
}

fn ended() -> io::Error {
    io::Error::other("the store has ended")
}

/// All pieces are taken, also behind one that failed: what follows belongs to others.
fn joined(pieces: impl Iterator<Item = io::Result<Bytes>>) -> io::Result<Bytes> {
    let mut octets = Ok(BytesMut::new());
    for piece in pieces {
        match (&mut octets, piece) {
            (Ok(octets), Ok(piece)) => octets.extend_from_slice(&piece),
            (Ok(_), Err(error)) => octets = Err(error),
            (Err(_), _) => {}
        }
    }
    octets.map(BytesMut::freeze)
}

/// Records that are read at a time.
const PAGE: usize = 1_000;
/// Messages in memory, all sessions together.
const ROOM: usize = 64 << 20;
/// Room for the trace block that goes in front of a message that is held whole.
const TRACE: usize = 8 << 10;
/// What is read of a message at a time.
const SLICE: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_behind_one_that_cannot_be_read_go_to_nobody_else() {
        let all =
            [Err(io::ErrorKind::InvalidData.into()), Ok("body".into()), Ok("an".into()), Ok("other".into())];
        let mut pieces = all.into_iter();
        assert!(joined(pieces.by_ref().take(2)).is_err());
        assert_eq!(joined(pieces.by_ref().take(2)).unwrap(), "another");
    }
}
