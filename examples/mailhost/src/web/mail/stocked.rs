//! A store with mail of Anna's for tests, on a disk that counts what is read of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use std::{env, fs, io, process};

use bytes::Bytes;
use mailstore::commit::Outcome;
use mailstore::mailbox::{AccountId, MailboxId, Uid};
use mailstore::message::{NamedFlags, Piece, UnixTime};
use mailstore::operation::{DiskError, Done, Operation};
use mailstore::{Actor, Commit, Intent, Limits, Source};

use crate::store::{Opening, Snapshot, Store};
use crate::system::{Datagram, Disk, Machine, Pending, Stream, System, Urgency};

pub(super) const ANNA: Actor = Actor::Account(AccountId(1));

/// Where it lies is removed by [`Stocked::end`].
pub(super) struct Stocked {
    dir: PathBuf,
    pub(super) store: Store,
    pub(super) inbox: MailboxId,
    pub(super) reads: Arc<Reads>,
}

/// What was read beside the store, since it was last asked.
#[derive(Debug, Default)]
pub(super) struct Reads {
    calls: AtomicUsize,
    pieces: AtomicUsize,
    octets: AtomicU64,
    fails: AtomicBool,
}

#[derive(Debug)]
struct Counted(Arc<Reads>);

#[derive(Debug)]
struct CountedDisk(Arc<dyn Disk>, Arc<Reads>);

impl Stocked {
    pub(super) async fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = env::temp_dir().join(format!("mailhost-stocked-{}-{number}", process::id()));
        fs::create_dir_all(&dir).unwrap();
        let reads = Arc::<Reads>::default();
        let machine = Arc::new(Counted(Arc::clone(&reads)));
        let (store, _) = Store::open(machine, &dir, Limits::default(), Opening::Usual).await.unwrap();
        let inbox = make(&store, "INBOX").await;
        Self { dir, store, inbox, reads }
    }

    pub(super) async fn folder(&self, name: &str) -> MailboxId {
        make(&self.store, name).await
    }

    pub(super) async fn deliver(&self, mailbox: MailboxId, message: String) -> Uid {
        let prefix = Bytes::new();
        let deliver = Intent::Deliver { mailbox, prefix, date: UnixTime(0), flags: NamedFlags::NONE };
        let body = Source::Inline(message.into());
        let receipt = self.store.commit(Commit::delivery(body, vec![deliver])).await.unwrap();
        match receipt.outcomes[0] {
            Outcome::Delivered { uid, .. } => uid,
            other => panic!("{other:?}"),
        }
    }

    pub(super) async fn expunge(&self, mailbox: MailboxId, uid: u32) {
        self.expunge_all(mailbox, [uid]).await;
    }

    pub(super) async fn expunge_all(&self, mailbox: MailboxId, uids: impl IntoIterator<Item = u32>) {
        let intent = |uid| Intent::Expunge { mailbox, uid: Uid::new(uid).unwrap(), only_deleted: false };
        self.store.commit(Commit::of(uids.into_iter().map(intent).collect())).await.unwrap();
    }

    pub(super) async fn load(&self, mailbox: MailboxId) -> Snapshot {
        self.store.load(ANNA, mailbox).await.unwrap()
    }

    /// The same store, as it is after a start: its messages lie in a snapshot.
    pub(super) async fn opened_again(self) -> Self {
        let Self { dir, store, inbox, reads } = self;
        store.close().await;
        let open = async |opening| {
            let machine = Arc::new(Counted(Arc::clone(&reads)));
            Store::open(machine, &dir, Limits::default(), opening).await.unwrap().0
        };
        let store = open(Opening::Rebuild).await;
        while store.counters().await.snapshots == 0 {
            tokio::task::yield_now().await;
        }
        store.close().await;
        let store = open(Opening::Usual).await;
        Self { dir, store, inbox, reads }
    }

    pub(super) async fn end(self) {
        self.store.close().await;
        fs::remove_dir_all(self.dir).unwrap();
    }
}

/// A message with these fields.
pub(super) fn message(from: &str, subject: &str, text: &str) -> String {
    format!("From: {from}\r\nSubject: {subject}\r\n\r\n{text}\r\n")
}

async fn make(store: &Store, name: &str) -> MailboxId {
    let (account, name) = (AccountId(1), name.to_owned());
    let made = Intent::CreateMailbox { account, name, special_use: None, now: UnixTime(0) };
    let receipt = store.commit(Commit::of(vec![made])).await.unwrap();
    match receipt.outcomes[0] {
        Outcome::MailboxCreated { mailbox, .. } => mailbox,
        ref other => panic!("{other:?}"),
    }
}

impl Reads {
    /// In how many goes how many pieces were read, and how many octets in all.
    pub(super) fn take(&self) -> (usize, usize, u64) {
        (
            self.calls.swap(0, Ordering::Relaxed),
            self.pieces.swap(0, Ordering::Relaxed),
            self.octets.swap(0, Ordering::Relaxed),
        )
    }

    /// Nothing can be read from now on, or all of it again.
    pub(super) fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::Relaxed);
    }
}

impl Disk for CountedDisk {
    fn execute<'a>(&'a self, operation: &'a Operation) -> Pending<'a, Result<Done, DiskError>> {
        self.0.execute(operation)
    }

    fn execute_beside(
        &self,
        operation: Operation,
    ) -> Pending<'static, Option<(Operation, Result<Done, DiskError>)>> {
        self.0.execute_beside(operation)
    }

    fn read(&self, pieces: Vec<Piece>) -> Pending<'static, Vec<io::Result<Bytes>>> {
        let Reads { calls, pieces: count, octets, fails } = &*self.1;
        calls.fetch_add(1, Ordering::Relaxed);
        count.fetch_add(pieces.len(), Ordering::Relaxed);
        octets.fetch_add(pieces.iter().map(Piece::size).sum(), Ordering::Relaxed);
        if fails.load(Ordering::Relaxed) {
            let failed = || Err(io::ErrorKind::InvalidData.into());
            return Box::pin(std::future::ready(pieces.iter().map(|_| failed()).collect()));
        }
        self.0.read(pieces)
    }
}

impl System for Counted {
    fn unix_now(&self) -> Duration {
        Machine.unix_now()
    }

    fn fill_random(&self, octets: &mut [u8]) -> io::Result<()> {
        Machine.fill_random(octets)
    }

    fn open_disk(&self, dir: &Path) -> io::Result<Arc<dyn Disk>> {
        Ok(Arc::new(CountedDisk(Machine.open_disk(dir)?, Arc::clone(&self.0))))
    }

    fn room(&self, dir: &Path) -> Option<(u64, u64)> {
        Machine.room(dir)
    }

    fn connect(&self, _: std::net::SocketAddr) -> Pending<'_, io::Result<Stream>> {
        unreachable!("a store has no connections")
    }

    fn datagram(&self, _: std::net::SocketAddr) -> Pending<'_, io::Result<Box<dyn Datagram>>> {
        unreachable!("a store sends nothing")
    }

    fn addresses<'a>(&'a self, _: &'a str) -> Pending<'a, io::Result<Vec<std::net::IpAddr>>> {
        unreachable!("a store asks for no names")
    }

    fn work(&self, urgency: Urgency, job: Box<dyn FnOnce() + Send>) -> Pending<'static, ()> {
        Machine.work(urgency, job)
    }

    fn spawn_apart(&self, name: &str, task: Pending<'static, ()>) -> io::Result<()> {
        Machine.spawn_apart(name, task)
    }
}
