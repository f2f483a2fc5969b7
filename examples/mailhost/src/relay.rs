//! Mail for others: the driver of the queue, from the commit that accepts a message to the one that ends it.

pub mod connection;
mod deliver;
pub mod dns;
mod kept;
mod operator;
mod report;
mod window;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use mailstore::commit::Receipt;
use mailstore::{Commit, Failure, Intent};
use mx_lookup::{Plan, Resolver, Trace};
use relay_queue::queue::CommitId;
use relay_queue::{Answer, BodyHandle, Change, Envelope, Event, Fact, Queue, Route, Status};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use smtp_codec::Domain;
use thiserror::Error;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{Instrument as _, debug, error, info, warn};
use zeroize::Zeroizing;

use self::connection::Security;
use self::dns::Dns;
pub use self::kept::{End, How, Recipient, Sent, Waiting};
pub use self::operator::{Destination, Entry, Ordered, Outstanding, Page, Shown, Target};
use self::window::Reading;
use crate::accounts::Accounts;
use crate::auth::Password;
use crate::client::{Credentials, Encryption};
use crate::config::{Config, NextHop, Smarthost};
use crate::listener::Stopping;
use crate::metrics::{Asked, Tally, Tried, state};
use crate::planted::Bug;
use crate::store::Store;
use crate::tls;

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

/// Where the configuration sends mail for others.
#[derive(Debug)]
struct Ways {
    smarthost: Option<(NextHop, Security)>,
    routes: BTreeMap<String, NextHop>,
    port: u16,
}

/// What a configuration says about mail for others, found to be usable; see [`Relay::change`].
#[derive(Debug)]
pub struct Prepared {
    ways: Ways,
    schedule: relay_queue::Schedule,
    resolver: Option<Resolver>,
}

/// Gives out names for messages.
#[derive(Debug)]
struct Ids {
    start: u64,
    count: AtomicU64,
}

#[derive(Debug, Default)]
struct Known {
    sites: BTreeMap<String, Vec<Hop>>,
    domains: BTreeMap<String, Looked>,
}

/// What came of looking a domain up.
#[derive(Clone, Debug)]
struct Looked {
    /// How it was found, a line a step.
    trace: String,
    /// Where its mail goes.
    site: Option<String>,
}

/// A host to be tried.
#[derive(Clone, Debug)]
struct Hop {
    name: String,
    addresses: Vec<IpAddr>,
    port: u16,
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

    /// Sees whether another configuration can be used, and gets it ready. Changes nothing.
    pub fn prepare(&self, old: &Config, new: &Config) -> Result<Prepared, RelayError> {
        let login = match (smarthost_login(new), self.login()) {
            // It may have been root who could read it.
            (Err(RelayError::PasswordFile(file, error)), Some(known))
                if error.kind() == io::ErrorKind::PermissionDenied
                    && old.relay.smarthost.as_ref().map(Smarthost::login)
                        == new.relay.smarthost.as_ref().map(Smarthost::login) =>
            {
                let file = file.display();
                warn!(%file, %error, "the smarthost's password cannot be read any more; the one read before stays in use");
                Some(known)
            }
            (login, _) => login?,
        };
        let ways = Ways::new(new, &self.security, login)?;
        let same =
            (&old.dns, old.relay.allow_private_addresses) == (&new.dns, new.relay.allow_private_addresses);
        let resolver = if same { None } else { Some(resolver(&self.store, new)?) };
        Ok(Prepared { ways, schedule: schedule(new), resolver })
    }

    /// Goes by another configuration from now on. What is under way stays as it is; what waits is looked up anew when its
    /// turn comes.
    pub fn change(&self, change: Prepared) {
        let Prepared { ways, schedule, resolver } = change;
        *self.ways.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ways);
        match resolver {
            Some(resolver) => self.dns.replace(resolver),
            None => self.dns.flush(),
        }
        let mut queue = self.queue();
        queue.forget_routes();
        queue.set_schedule(self.unix_now(), schedule);
        drop(queue);
        self.wake.notify_one();
    }

    /// The login at the smarthost.
    fn login(&self) -> Option<Arc<Credentials>> {
        self.ways().smarthost.as_ref().and_then(|(_, security)| security.login.clone())
    }

    fn ways(&self) -> Arc<Ways> {
        Arc::clone(&self.ways.read().unwrap_or_else(PoisonError::into_inner))
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

    /// Finds the hosts for a domain.
    async fn resolve(&self, domain: String) {
        let route = match self.fixed(&domain).await {
            Some(route) => route,
            None => match self.dns.plan(&domain).await {
                Some((plan, trace)) => self.learn(&domain, plan, &trace),
                None => return,
            },
        };
        self.queue().handle_route(self.unix_now(), &domain, route);
        self.wake.notify_one();
    }

    /// A host that the configuration names for the domain.
    async fn fixed(&self, domain: &str) -> Option<Route> {
        let ways = self.ways();
        let hop = ways.routes.get(domain).or_else(|| ways.smarthost.as_ref().map(|(hop, _)| hop))?;
        let until = self.unix_now() + FIXED;
        let addresses = self.store.system().addresses(&hop.host).await.unwrap_or_default();
        let trace = format!("the configuration names {} for {domain}", hop.text());
        if addresses.is_empty() {
            self.remember(domain, Looked { trace, site: None });
            let text = format!("{}, which the configuration names, has no address", hop.host);
            let answer = Answer::local(Status::new(4, 4, 3), &text);
            return Some(Route::Failed { answer, permanent: false, until });
        }
        let site = hop.text();
        let hops = vec![Hop { name: hop.host.clone(), addresses, port: hop.port }];
        self.known().sites.insert(site.clone(), hops);
        self.remember(domain, Looked { trace, site: Some(site.clone()) });
        Some(Route::Site { site, until })
    }

    fn learn(&self, domain: &str, plan: Plan, trace: &Trace) -> Route {
        let until = self.unix_now() + plan.expires().saturating_sub(self.dns.now());
        let verdict = plan.verdict().cloned();
        let trace = trace.to_string();
        match (plan, verdict) {
            (Plan::Deliver { hosts, site, .. }, _) => {
                let site = site.to_string();
                let port = self.ways().port;
                let hop = |host: mx_lookup::Host| Hop { name: host.name, addresses: host.addresses, port };
                self.known().sites.insert(site.clone(), hosts.into_iter().map(hop).collect());
                self.remember(domain, Looked { trace, site: Some(site.clone()) });
                Route::Site { site, until }
            }
            (_, verdict) => {
                self.remember(domain, Looked { trace, site: None });
                let (permanent, answer) = match verdict {
                    Some(verdict) => {
                        let (class, subject, detail) = verdict.enhanced;
                        let status = Status::new(class, subject, detail);
                        (!verdict.is_temporary(), Answer::local(status, &verdict.text))
                    }
                    None => {
                        (false, Answer::local(Status::new(4, 4, 3), "this version does not know such a plan"))
                    }
                };
                Route::Failed { answer, permanent, until }
            }
        }
    }

    fn remember(&self, domain: &str, looked: Looked) {
        let mut known = self.known();
        known.domains.insert(domain.to_owned(), looked);
        if known.domains.len() > REMEMBERED {
            // What is still waited for is looked up again, and so comes back.
            known.domains.pop_first();
        }
        if known.sites.len() > REMEMBERED {
            known.sites.pop_first();
        }
    }

    fn hops(&self, site: &str) -> Vec<Hop> {
        self.known().sites.get(site).cloned().unwrap_or_default()
    }

    /// How to talk to a site.
    fn security(&self, hop: &Hop) -> Security {
        match &self.ways().smarthost {
            Some((smarthost, security)) if smarthost.host == hop.name && smarthost.port == hop.port => {
                security.clone()
            }
            _ => self.security.clone(),
        }
    }

    fn say(&self, fact: &Fact) {
        match fact {
            Fact::Failed { message, body, recipient, answer, expired, told } => {
                let (id, answer) =
                    (log_id(*body), answer.as_ref().map(ToString::to_string).unwrap_or_default());
                warn!(id, queue_id = %message, to = %recipient, expired, ?told, answer, "given up");
            }
            Fact::Deferred { message, body, recipient, answer, next } => {
                let (id, wait) = (log_id(*body), next.saturating_sub(self.unix_now()).as_secs());
                info!(id, queue_id = %message, to = %recipient, %answer, next_in_seconds = wait, "deferred");
            }
            // The session and the attempt say these with more detail, but before they are durable.
            Fact::Accepted { message, body } => debug!(id = log_id(*body), queue_id = %message, "kept"),
            Fact::Delivered { message, body, recipient, .. } => {
                debug!(id = log_id(*body), queue_id = %message, to = %recipient, "delivered");
            }
            Fact::Finished { message, body } => info!(id = log_id(*body), queue_id = %message, "finished"),
            Fact::Warned { message, body } => {
                info!(id = log_id(*body), queue_id = %message, "the sender was told that it is late");
            }
            Fact::Ordered { message, body, recipient, order } => {
                info!(id = log_id(*body), queue_id = %message, to = %recipient, ?order, "ordered");
            }
            Fact::Unreadable { message, error } => {
                error!(queue_id = %message, %error, "a record of the queue cannot be read");
            }
            other => info!(fact = ?other, "queue"),
        }
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

impl Ways {
    fn new(config: &Config, usual: &Security, login: Option<Arc<Credentials>>) -> Result<Self, RelayError> {
        let smarthost = config.relay.smarthost.as_ref().map(|smarthost| {
            // A password goes to nobody whose name has not been proven; without one, TLS is as for everybody.
            let security = match login {
                Some(login) => {
                    Security { tls: verified_tls()?, encryption: Encryption::Required, login: Some(login) }
                }
                None => usual.clone(),
            };
            Ok::<_, RelayError>((smarthost.hop.clone(), security))
        });
        let (routes, port) = (config.relay.routes.clone(), config.relay.port);
        Ok(Self { smarthost: smarthost.transpose()?, routes, port })
    }
}

fn schedule(config: &Config) -> relay_queue::Schedule {
    let queue = &config.queue;
    relay_queue::Schedule::default().waits(&queue.retry).expire(queue.expire).warn(queue.warn)
}

fn resolver(store: &Store, config: &Config) -> Result<Resolver, RelayError> {
    let mut seed = [0; 32];
    store.system().fill_random(&mut seed).map_err(RelayError::Random)?;
    let servers = if config.dns.is_empty() { vec![FALLBACK_DNS] } else { config.dns.clone() };
    let dns_config = mx_lookup::Config::new(servers)
        .allow_private_addresses(config.relay.allow_private_addresses)
        .own_host(config.hostname.as_str())
        .map_err(|error| RelayError::Config(format!("{}: {error}", config.hostname)))?;
    Ok(Resolver::new(dns_config, seed))
}

/// A handle for a body from the name that a message has in the logs, and back.
pub fn handle(id: &str) -> BodyHandle {
    BodyHandle(u64::from_str_radix(id, 16).unwrap_or_default())
}

fn log_id(body: BodyHandle) -> String {
    format!("{:x}", body.0)
}

fn hold(body: BodyHandle) -> Intent {
    Intent::Hold { table: BODIES, key: key(body) }
}

fn key(body: BodyHandle) -> Bytes {
    Bytes::copy_from_slice(&body.0.to_be_bytes())
}

fn intents(changes: Vec<Change>) -> Vec<Intent> {
    let intent = |change| match change {
        Change::Put { key, value } => Intent::Put { table: QUEUE, key, value },
        Change::Remove { key } => Intent::Remove { table: QUEUE, key },
    };
    changes.into_iter().map(intent).collect()
}

/// The queue's seed: the same at every start, so that jitter does not jump, and secret.
async fn seed(store: &Store) -> Result<u64, RelayError> {
    let records = store.table(SEED).await?;
    if let Some(octets) = records.first().and_then(|(_, value)| value.first_chunk()) {
        return Ok(u64::from_be_bytes(*octets));
    }
    let seed = store.system().random_u64().map_err(RelayError::Random)?;
    let value = Bytes::copy_from_slice(&seed.to_be_bytes());
    store
        .commit(Commit::of(vec![Intent::Put { table: SEED, key: Bytes::from_static(b"queue"), value }]))
        .await?;
    Ok(seed)
}

/// Reads the login at the smarthost, if the configuration names one: before root is given up, for its file may be root's alone.
pub fn smarthost_login(config: &Config) -> Result<Option<Arc<Credentials>>, RelayError> {
    let Some((user, file)) = config.relay.smarthost.as_ref().and_then(Smarthost::login) else {
        return Ok(None);
    };
    let failed = |error| RelayError::PasswordFile(file.to_owned(), error);
    let text = Zeroizing::new(std::fs::read_to_string(file).map_err(failed)?);
    let word = text.lines().next().unwrap_or_default().to_owned();
    let password = Password::new(word).map_err(|error| failed(io::Error::other(error)))?;
    Ok(Some(Arc::new(Credentials { name: user.to_owned(), password })))
}

/// TLS that keeps listeners out and proves nobody's name (RFC 7435 §3): better than none, and none is the alternative.
pub fn opportunistic_tls() -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = tls::provider();
    let any = Arc::new(AnyCertificate(provider.signature_verification_algorithms.supported_schemes()));
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(any)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// TLS that proves the name, against the certificates of the system's authorities.
fn verified_tls() -> Result<Arc<ClientConfig>, RelayError> {
    let mut roots = rustls::RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = "a smarthost with a login needs the certificates of authorities, and this system has none"
            .to_owned();
        return Err(RelayError::Config(why));
    }
    let config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Takes every certificate.
#[derive(Debug)]
struct AnyCertificate(Vec<SignatureScheme>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = tls::provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.clone()
    }
}

/// Records of the queue.
const QUEUE: u16 = 3;
/// Bodies that messages of the queue hold.
const BODIES: u16 = 4;
/// The queue's seed.
const SEED: u16 = 5;
const FALLBACK_DNS: std::net::SocketAddr =
    std::net::SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 53);
const IDLE: Duration = Duration::from_secs(3_600);
/// How long the address of a host that the configuration names is remembered.
const FIXED: Duration = Duration::from_secs(300);
const REMEMBERED: usize = 10_000;
/// The most recipients in the queue. Each message is an entry of 64 octets at most, and about 100 in the store.
const RECIPIENTS: usize = 4_000_000;
/// Messages that are read together.
const LOADS: usize = 100;
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(1_800);
