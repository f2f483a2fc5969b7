//! Mail for others: the driver of the queue, from the commit that accepts a message to the one that ends it.

pub mod connection;
mod deliver;
pub mod dns;
mod facts;
mod kept;
mod operator;
mod records;
mod report;
mod route;
mod tls;
mod ways;
mod window;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use mailstore::commit::Receipt;
use mailstore::{Commit, Failure, Intent};
use relay_queue::queue::CommitId;
use relay_queue::{BodyHandle, Change, Envelope, Event, Queue};
use smtp_codec::Domain;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{Instrument as _, error, warn};

use self::connection::Security;
use self::dns::Dns;
pub use self::kept::{End, How, Recipient, Sent, Waiting};
pub use self::operator::{Destination, Entry, Ordered, Outstanding, Page, Shown, Target};
pub use self::records::handle;
use self::records::{BODIES, QUEUE, hold, intents, key, log_id, seed};
use self::route::{Hop, Known};
pub use self::tls::opportunistic as opportunistic_tls;
pub use self::ways::{Prepared, smarthost_login};
use self::ways::{Ways, resolver, schedule};
use self::window::Reading;
use crate::accounts::Accounts;
use crate::client::{Credentials, Encryption};
use crate::config::Config;
use crate::listener::Stopping;
use crate::metrics::{Asked, Tally, Tried, state};
use crate::planted::Bug;
use crate::store::Store;

/// The queue of this host, and all that it needs.
#[derive(Debug)]
pub struct Relay {
    store: Store,
    /// Never held over an await.
    queue: Mutex<Queue>,
    /// Something was handed to the queue.
    wake: Notify,
    /// A change of the queue is durable, or has failed; or messages have been read.
    saved: Notify,
    reading: Mutex<Reading>,
    dns: Arc<Dns>,
    /// What is known of each site and each domain, for attempts and for the operator.
    known: Mutex<Known>,
    security: Security,
    /// What the configuration says, as long as it says it. Never held over an await.
    ways: RwLock<Arc<Ways>>,
    /// What we call ourselves.
    hostname: Domain<'static>,
    ids: Ids,
    /// Of which messages it is kept what has become of them. Never held over an await.
    kept: Mutex<kept::Kept>,
    /// What came of attempts.
    pub tried: Tally<Tried>,
}

/// What can be seen of the queue at a glance.
#[derive(Debug, Default)]
pub struct Seen {
    /// Messages.
    pub messages: usize,
    /// Their recipients.
    pub recipients: usize,
    /// Messages that are not in memory.
    pub parked: usize,
    /// Recipients of those that are, by what they are at.
    pub states: BTreeMap<&'static str, usize>,
    /// When the oldest message was accepted, since the UNIX epoch.
    pub oldest: Option<Duration>,
    /// What has been done.
    pub counters: relay_queue::queue::Counters,
}

/// Gives out names for messages.
#[derive(Debug)]
struct Ids {
    start: u64,
    count: AtomicU64,
}

/// A message that the queue has taken in, and that is not durable yet.
#[derive(Debug)]
pub struct Accepted {
    id: CommitId,
    /// What the queue calls the message.
    pub message: relay_queue::MessageId,
    /// What belongs into the commit of the message.
    pub intents: Vec<Intent>,
}

/// Why the queue cannot be opened.
#[derive(Debug, Error)]
pub enum RelayError {
    /// Something that the configuration names cannot be used.
    #[error("{0}")]
    Config(String),
    /// The file with the password for the smarthost cannot be read.
    #[error("password_file {}: {}", .0.display(), .1)]
    PasswordFile(PathBuf, io::Error),
    /// The store did not keep the seed.
    #[error("the queue cannot be opened: {0}")]
    Store(#[from] Failure),
    /// TLS cannot be set up.
    #[error("TLS for other hosts cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// The store cannot be read.
    #[error("the queue cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// No random numbers.
    #[error("no random numbers: {0}")]
    Random(io::Error),
}

impl Relay {
    /// Reads the first records of the queue from the store, and so learns which names are free; it takes messages from then
    /// on. The rest is read by [`Self::run`], or by [`Self::read_all`].
    ///
    /// The login is what [`smarthost_login`] gave; without it nothing can be sent through a smarthost that wants one.
    pub async fn open(
        store: Store,
        config: &Config,
        login: Option<Arc<Credentials>>,
    ) -> Result<Self, RelayError> {
        let seed = seed(&store).await?;
        let bad_name = |_| RelayError::Config(format!("{} cannot stand in reports", config.hostname));
        let (first, last) = (config.queue.retry.first(), config.queue.retry.last());
        // A site that cannot be reached is left alone for no longer than a message would be.
        let pause = |wait: Option<&Duration>, most: Duration| wait.map_or(most, |wait| most.min(*wait));
        let resident = config.queue.resident_messages;
        let limits = relay_queue::Limits::default()
            .recipients(RECIPIENTS)
            .resident(resident, usize::try_from(config.queue.resident_size).unwrap_or(usize::MAX))
            .pause(pause(first, FIRST_PAUSE), pause(last, LONGEST_PAUSE));
        let queue_config = relay_queue::Config::new(config.hostname.as_str())
            .map_err(bad_name)?
            .schedule(schedule(config))
            .limits(limits);
        let queue = Queue::restoring(queue_config, seed, store.system().unix_now());
        let reading = Reading::new(store.table_status(QUEUE).await.records, resident);
        // A second start within a second, or by a clock that went back, must not give a name that holds a body a second time.
        let last = store.table_status(BODIES).await.last_hold;
        let newest = last.and_then(|key| Some(u64::from_be_bytes(*key.first_chunk()?) >> 24)).unwrap_or(0);
        let security =
            Security { tls: opportunistic_tls()?, encryption: Encryption::Opportunistic, login: None };
        let ways = Ways::new(config, &security, login)?;
        let start = store.system().unix_now().as_secs().max(newest + 1);
        let kept = kept::Kept::load(&store).await?;
        let dns = Dns::new(store.shared_system(), resolver(&store, config)?);
        let relay = Self {
            store,
            queue: Mutex::new(queue),
            wake: Notify::new(),
            saved: Notify::new(),
            reading: Mutex::new(reading),
            dns,
            known: Mutex::default(),
            security,
            ways: RwLock::new(Arc::new(ways)),
            hostname: config.hostname.clone(),
            ids: Ids { start, count: AtomicU64::new(0) },
            kept: Mutex::new(kept),
            tried: Tally::default(),
        };
        relay.read_on().await?;
        Ok(relay)
    }
    /// A name for a message, which it keeps from MAIL on through all logs, and under which its body is held.
    pub fn next_id(&self) -> String {
        let count = self.ids.count.fetch_add(1, Ordering::Relaxed);
        format!("{:x}{count:06x}", self.ids.start)
    }

    /// Takes a message in. Its intents go into the commit of its body; then the queue has to be told.
    pub fn accept(
        &self,
        envelope: Envelope,
        body: BodyHandle,
    ) -> Result<Accepted, relay_queue::error::Refusal> {
        let commit = self.queue().accept(self.unix_now(), envelope)?;
        let mut intents = intents(commit.changes);
        intents.push(hold(body));
        Ok(Accepted { id: commit.id, message: commit.message, intents })
    }

    /// Tells the queue what became of the commit that accepted a message.
    pub fn committed(&self, id: &Accepted, result: &Result<Receipt, Failure>) {
        self.answer(id.id, result);
    }

    /// What there is to see of the queue.
    pub async fn seen(&self) -> Seen {
        let first = self.queue().ids(None).next();
        let oldest =
            self.each(first.as_slice(), |queue, id| queue.show(id).map(|view| view.accepted())).await;
        let queue = self.queue();
        let mut states = BTreeMap::new();
        for recipient in queue.list().flat_map(|view| view.recipients()) {
            if let Some(state) = state(&recipient.standing) {
                *states.entry(state).or_default() += 1;
            }
        }
        Seen {
            messages: queue.len(),
            recipients: queue.recipients(),
            parked: queue.parked(),
            states,
            oldest: oldest.into_values().flatten().next(),
            counters: queue.counters(),
        }
    }

    /// What came of questions to DNS servers.
    pub fn asked(&self) -> &Tally<Asked> {
        self.dns.asked()
    }

    /// How many messages wait, as far as they have been read.
    pub fn len(&self) -> usize {
        self.queue().len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Delivers, until it is asked to stop; what is under way then is finished, within `patience`.
    pub async fn run(self: Arc<Self>, accounts: Arc<Accounts>, mut stopping: Stopping, patience: Duration) {
        let mut resolving = JoinSet::new();
        resolving.spawn(Arc::clone(&self.dns).run().in_current_span());
        let this = Arc::clone(&self);
        resolving.spawn(async move { this.read_all().await }.in_current_span());
        let mut work = JoinSet::new();
        while !stopping.is_requested() {
            let due = self.turn(&accounts, &stopping, &mut work);
            tokio::select! {
                biased;
                () = stopping.requested() => {}
                () = self.wake.notified() => {}
                Some(_) = work.join_next() => {}
                () = sleep_until(due) => self.queue().handle_timeout(self.unix_now()),
            }
        }
        if timeout(patience, self.finish(&accounts, &mut work)).await.is_err() {
            warn!(
                left = work.len(),
                "deliveries did not end in time; they are tried again at the next start"
            );
        }
    }

    /// Carries out what changes the queue, where nobody delivers: what the change leads to is durable when this is over.
    pub async fn alone<T>(self: &Arc<Self>, accounts: &Arc<Accounts>, change: impl Future<Output = T>) -> T {
        let mut work = JoinSet::new();
        let mut change = pin!(change);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut change => break result,
                () = self.wake.notified() => {}
                Some(_) = work.join_next() => {}
            }
            self.turn_last(accounts, &mut work);
        };
        self.turn_last(accounts, &mut work);
        self.finish(accounts, &mut work).await;
        result
    }

    /// Waits for all that is under way. What was delivered has to be written down, or it would be delivered again.
    async fn finish(self: &Arc<Self>, accounts: &Arc<Accounts>, work: &mut JoinSet<()>) {
        while work.join_next().await.is_some() {
            self.turn_last(accounts, work);
        }
    }

    /// Starts everything that the queue wants done; when to look again.
    fn turn(
        self: &Arc<Self>,
        accounts: &Arc<Accounts>,
        stopping: &Stopping,
        work: &mut JoinSet<()>,
    ) -> Instant {
        let mut queue = self.queue();
        let mut loads = Vec::new();
        while let Some(event) = queue.poll(self.unix_now()) {
            let (this, accounts) = (Arc::clone(self), Arc::clone(accounts));
            match event {
                Event::Commit(commit) => {
                    let task = async move { this.carry_out(&accounts, commit).await };
                    work.spawn(task.in_current_span());
                }
                Event::Load(load) => {
                    loads.push(load);
                    if loads.len() == LOADS {
                        let loads = std::mem::take(&mut loads);
                        work.spawn(async move { this.fetch(loads).await }.in_current_span());
                    }
                }
                Event::Resolve(domain) => {
                    let mut stopping = stopping.clone();
                    let task = async move {
                        tokio::select! {
                            biased;
                            () = stopping.requested() => {}
                            () = this.resolve(domain) => {}
                        }
                    };
                    work.spawn(task.in_current_span());
                }
                Event::Attempt(attempt) => {
                    let stopping = stopping.clone();
                    work.spawn(async move { this.attempt(attempt, stopping).await }.in_current_span());
                }
                Event::Fact(fact) => self.say(&fact),
                _ => {}
            }
        }
        if !loads.is_empty() {
            let this = Arc::clone(self);
            work.spawn(async move { this.fetch(loads).await }.in_current_span());
        }
        let wait = queue.poll_timeout().map_or(IDLE, |due| due.saturating_sub(self.unix_now()));
        Instant::now() + wait.min(IDLE)
    }

    /// At the end: only what has to become durable.
    fn turn_last(self: &Arc<Self>, accounts: &Arc<Accounts>, work: &mut JoinSet<()>) {
        let mut queue = self.queue();
        while let Some(event) = queue.poll_last(self.unix_now()) {
            let (this, accounts) = (Arc::clone(self), Arc::clone(accounts));
            match event {
                Event::Commit(commit) => {
                    work.spawn(async move { this.carry_out(&accounts, commit).await }.in_current_span());
                }
                Event::Load(load) => {
                    work.spawn(async move { this.fetch(vec![load]).await }.in_current_span());
                }
                Event::Fact(fact) => self.say(&fact),
                _ => {}
            }
        }
    }

    /// Makes a change of the queue durable, and the report that belongs to it.
    async fn carry_out(&self, accounts: &Accounts, mut commit: relay_queue::queue::Commit) {
        if Bug::StateNotKept.is_planted() {
            commit.changes.retain(|change| matches!(change, Change::Remove { .. }));
        }
        let mut all = intents(commit.changes);
        all.extend(self.keep_ends(&commit.facts).await);
        all.extend(commit.released.map(|body| Intent::Remove { table: BODIES, key: key(body) }));
        let mut source = mailstore::Source::None;
        let mut queued = Vec::new();
        if let Some(report) = &commit.report {
            let injected = report::inject(self, accounts, report).await;
            if Bug::ReportApart.is_planted() {
                let _ = self.store.commit(Commit::of(std::mem::take(&mut all))).await;
            }
            source = injected.body.map_or(mailstore::Source::None, mailstore::Source::Inline);
            all.extend(injected.intents);
            queued = injected.queued;
        }
        let result = self.store.commit(Commit::delivery(source, all)).await;
        if let Err(failure) = &result {
            let id = self.queue().show(commit.message).map(|view| log_id(view.body())).unwrap_or_default();
            error!(id, queue_id = %commit.message, %failure, "a change of the queue could not be stored, it is tried again");
        }
        self.answer(commit.id, &result);
        for id in queued {
            self.answer(id, &result);
        }
    }

    fn answer(&self, id: CommitId, result: &Result<Receipt, Failure>) {
        let mut queue = self.queue();
        match result {
            Ok(_) => queue.handle_durable(id),
            // Whether it is there is decided by what comes first. If the machine stops, its records tell. If the same change is
            // made durable once more, it is in a newer segment, behind whose header the failed one does not count. So it is
            // there once, either way; not to ask again would leave the message where it is until the next start.
            Err(Failure::Unknown) if Bug::UnknownForgotten.is_planted() => {}
            Err(_) => queue.handle_failed(id),
        }
        drop(queue);
        self.saved.notify_waiters();
        self.wake.notify_one();
    }

    fn unix_now(&self) -> Duration {
        self.store.system().unix_now()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const IDLE: Duration = Duration::from_secs(3_600);
/// The most recipients in the queue. Each message is an entry of 64 octets at most, and about 100 in the store.
const RECIPIENTS: usize = 4_000_000;
/// Messages that are read together.
const LOADS: usize = 100;
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(1_800);
