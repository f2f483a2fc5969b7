//! What all sessions share, and the life of the host from start to stop.

pub mod sessions;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use mailstore::mailbox::MailboxId;
use rustls::ServerConfig;
use sasl_codec::ChannelBinding;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::{Instrument as _, Span, field, info, info_span, warn};

use self::sessions::{Session, Sessions};
use crate::accounts::{Accounts, Found, Presence, app_password};
use crate::auth::{Authenticator, Login, Password, PasswordHash};
use crate::config::Config;
use crate::listener::{Listeners, Service, Stop, Stopping};
use crate::metrics::history::{self, History};
use crate::metrics::{Counts, Outcome};
use crate::offers::Offer;
use crate::relay::Relay;
use crate::reload::Reload;
use crate::store::Store;
use crate::system::Stream;
use crate::tls::Identity;
use crate::web::{Desk, Seal};
use crate::wire::{Counted, Octets, Wire};
use crate::{admin, offers, serve_imap, serve_pop3, serve_smtp, tls, web};

/// What sessions share that have begun under the same configuration. Another configuration makes another one of these, with
/// the same mail, accounts and queue; a session keeps the one that it has begun with.
#[derive(Clone, Debug)]
pub struct Host {
    /// The configuration.
    pub config: Config,
    /// For STARTTLS, STLS and implicit TLS; without it none of them is offered.
    pub tls: Option<Arc<ServerConfig>>,
    /// The certificate of that.
    pub identity: Option<Arc<Identity>>,
    /// What logins can be bound to on every connection under TLS.
    pub end_point: Option<ChannelBinding>,
    /// The mail.
    pub store: Store,
    /// Whose it is.
    pub accounts: Arc<Accounts>,
    /// Mail for others.
    pub relay: Arc<Relay>,
    /// Checks passwords.
    pub authenticator: Arc<Authenticator>,
    /// Mailboxes that a POP3 session holds.
    pub locks: Locks,
    /// What mail programs are told of.
    pub offers: Vec<Offer>,
    /// What forms on the web are sealed with.
    pub seal: Arc<Seal>,
    /// Who is signed in on the web.
    pub web_sessions: Arc<web::Sessions<web::User>>,
    /// What pages of mail keep in mind.
    pub web_memory: Arc<web::Memory>,
    /// What is counted, since the host started.
    pub counts: Arc<Counts>,
    /// What was counted of late.
    pub history: Arc<History>,
    /// Sessions that go on.
    pub sessions: Sessions,
    /// Who may see the operator's pages.
    pub desk: Arc<Desk>,
    /// When it started, since the UNIX epoch.
    pub started: Duration,
}

/// The host as new sessions find it.
#[derive(Clone, Debug)]
pub struct Current(Arc<RwLock<Arc<Host>>>);

/// Mailboxes that are open in a POP3 session; each in one at a time.
#[derive(Clone, Debug, Default)]
pub struct Locks(Arc<Mutex<BTreeSet<MailboxId>>>);

/// The exclusive lock on a maildrop ([RFC 1939 §4](https://www.rfc-editor.org/rfc/rfc1939#section-4)).
#[derive(Debug)]
pub struct Lock {
    locks: Locks,
    mailbox: MailboxId,
}

impl Host {
    /// Puts the parts together. Without a certificate all is spoken in the clear.
    pub fn new(
        config: Config,
        tls: impl Into<Option<Arc<ServerConfig>>>,
        store: Store,
        accounts: Arc<Accounts>,
        relay: Arc<Relay>,
        authenticator: Authenticator,
    ) -> Self {
        let (offers, started) = (offers::configured(&config), store.system().unix_now());
        Self {
            config,
            tls: tls.into(),
            identity: None,
            end_point: None,
            store,
            accounts,
            relay,
            authenticator: Arc::new(authenticator),
            locks: Locks::default(),
            offers,
            seal: Arc::default(),
            web_sessions: Arc::new(web::Sessions::new("postrider")),
            web_memory: Arc::default(),
            counts: Arc::default(),
            history: Arc::default(),
            sessions: Sessions::default(),
            desk: Arc::default(),
            started,
        }
    }

    /// The same with a certificate, or with another one, and what TLS is made of with it.
    pub fn with_identity(self, identity: Arc<Identity>, tls: Arc<ServerConfig>) -> Self {
        Self { tls: Some(tls), end_point: identity.end_point(), identity: Some(identity), ..self }
    }

    /// A name for a session, under which all that is logged of it can be found. It is never part of the name of a message.
    fn next_session(&self) -> String {
        format!("{:x}-{:x}", self.counts.next_session(), self.started.as_secs())
    }

    /// Puts a connection under TLS.
    pub async fn start_tls(&self, wire: &mut Wire) -> io::Result<()> {
        self.start_tls_as(wire, self.tls.as_ref()).await
    }

    async fn start_tls_as(&self, wire: &mut Wire, config: Option<&Arc<ServerConfig>>) -> io::Result<()> {
        if let Err(error) = wire.start_tls(config).await {
            self.counts.tls_failures.fetch_add(1, Ordering::Relaxed);
            return Err(error);
        }
        if let Some((version, cipher)) = wire.tls() {
            self.counts.tls.add(version);
            Span::current().record("tls", version);
            info!(version, cipher, "under TLS");
        }
        Ok(())
    }

    /// A login has ended; with a name, somebody is in.
    pub fn logged_in(&self, service: Service, outcome: Outcome, name: &str) {
        self.counts.logins.add((service, outcome));
        if outcome == Outcome::Good {
            Span::current().record("user", name);
            sessions::belongs_to(name);
        }
    }

    /// Checks a login: a stay in the account, or what came of it instead. An unknown name takes the same work as a known one,
    /// and an account the same however many app passwords it has.
    pub async fn log_in(&self, peer: IpAddr, name: &str, password: Password) -> Result<Presence, Login> {
        let digest = app_password::digest(&password);
        let found = self.accounts.login(name);
        let Some(known) = &found else {
            Found::no_app_password(&digest);
            return self.log_in_with_main(peer, name, found, password).await;
        };
        match known.app_password(&digest) {
            Some(app) => {
                match self.authenticator.login_known(peer, &self.accounts.throttle_key(name)).await {
                    Login::Accepted => self.enter(known.presence.clone(), Some(app)).await,
                    other => Err(other),
                }
            }
            None => self.log_in_with_main(peer, name, found, password).await,
        }
    }

    /// The same for what app passwords are not for.
    pub async fn log_in_as_owner(
        &self,
        peer: IpAddr,
        name: &str,
        password: Password,
    ) -> Result<Presence, Login> {
        self.log_in_with_main(peer, name, self.accounts.login(name), password).await
    }

    async fn log_in_with_main(
        &self,
        peer: IpAddr,
        name: &str,
        found: Option<Found>,
        password: Password,
    ) -> Result<Presence, Login> {
        // All spellings of one name wait for one another.
        let key = self.accounts.throttle_key(name);
        let hash = found.as_ref().and_then(|found| found.hash().cloned());
        // Of a record that was made before there were such keys.
        let without_keys = hash.is_some() && found.as_ref().is_some_and(|found| found.scram().is_empty());
        let kept = without_keys.then(|| password.clone());
        match (self.authenticator.login(peer, &key, hash, password).await, found) {
            (Login::Accepted, Some(found)) => {
                if let (Some(password), Some(hash)) = (kept, found.hash()) {
                    self.make_keys(found.presence.account(), hash, password).await;
                }
                self.enter(found.presence, None).await
            }
            (Login::Accepted, None) => Err(Login::Rejected),
            (other, _) => Err(other),
        }
    }

    /// Somebody has shown to know the password, or this app password: lets them in, unless the account is suspended.
    pub async fn enter(&self, presence: Presence, app: Option<&str>) -> Result<Presence, Login> {
        let account = presence.account();
        if self.accounts.is_suspended(account) {
            return Err(Login::Suspended);
        }
        if let Some(app) = app
            && let Err(error) = self.accounts.note_use(account, app).await
        {
            warn!(account, app, %error, "the use of an app password could not be noted");
        }
        Ok(presence)
    }

    /// Makes the keys for SCRAM of a password that has just been seen; without them, there is still the password.
    async fn make_keys(&self, account: u64, hash: &PasswordHash, password: Password) {
        let Some(scram) = self.authenticator.scram(password).await else { return };
        match self.accounts.add_scram(account, hash, scram).await {
            Ok(()) => info!(account, "keys for SCRAM made"),
            Err(error) => warn!(account, %error, "no keys for SCRAM"),
        }
    }

    /// Whether the disk holds more than is kept free.
    pub fn has_room(&self) -> bool {
        match self.store.system().room(&self.config.data_dir) {
            Some((free, all)) => free > self.config.limits.disk_reserve.octets(all),
            // The commit will tell.
            None => true,
        }
    }

    /// Serves until it is asked to stop; what is being received then is finished.
    pub async fn run(self: Arc<Self>, listeners: Listeners, stop: &Stop, stopping: Stopping) {
        // Whoever reads "ready" may send a signal or a request the moment after.
        let signal = stop.on_signal();
        let reload = Reload::on_signal(&self);
        let admin = admin::listen(&self.config)
            .map(|listener| tokio::spawn(admin::serve(Arc::clone(&self), listener, stopping.clone())));
        let relay = Arc::clone(&self.relay);
        let patience = self.config.limits.stop_timeout;
        let (current, limits) = (Current::new(Arc::clone(&self)), self.config.limits);
        let relay = tokio::spawn(relay.run(Arc::clone(&self.accounts), stopping.clone(), patience));
        let history = tokio::spawn(history::keep(Arc::clone(&self), stopping.clone()));
        info!("ready");
        let host = current.clone();
        let handler = move |service, stream, peer, stopping| {
            // Replies are small, and are sent when they are ready to be.
            let _ = TcpStream::set_nodelay(&stream, true);
            session(host.get(), service, Box::new(stream), peer, stopping)
        };
        let mut asked = stopping.clone();
        let mut serving = listeners.start(&limits, stopping, handler);
        let _ = self.counts.refused.set(serving.refused());
        tokio::select! {
            () = asked.requested() => {}
            () = requested(signal) => info!("stopping: what is being received is finished"),
            () = reload.run(&current, &mut serving) => {}
        }
        let stopped = serving.finish().await;
        if let Some(admin) = admin
            && let Err(error) = admin.await
        {
            warn!(%error, "the administration socket has failed");
        }
        if let Err(error) = relay.await {
            warn!(%error, "the queue has failed");
        }
        let _ = history.await;
        let counters = self.store.counters().await;
        self.store.close().await;
        info!(cut_off = stopped.cut_off, commits = counters.commits, syncs = counters.syncs, "stopped");
    }
}

impl Current {
    /// Begins with this one.
    pub fn new(host: Arc<Host>) -> Self {
        Self(Arc::new(RwLock::new(host)))
    }

    /// The one for a session that begins now.
    pub fn get(&self) -> Arc<Host> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another one in its place, for sessions to come.
    pub fn set(&self, host: Host) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(host);
    }
}

async fn requested(signal: io::Result<impl Future<Output = ()>>) {
    match signal {
        Ok(signal) => signal.await,
        Err(error) => {
            warn!(%error, "signals cannot be waited for");
            std::future::pending().await
        }
    }
}

/// Serves one connection to its end.
pub async fn session(
    host: Arc<Host>,
    service: Service,
    stream: Stream,
    peer: SocketAddr,
    stopping: Stopping,
) {
    let name = host.next_session();
    let span = info_span!("session", session = name, tls = field::Empty, user = field::Empty);
    let since = host.store.system().unix_now();
    let open = Session { name, service, peer, since, octets: Arc::default(), user: Mutex::default() };
    let open = Open::new(&host, open);
    let octets = Arc::clone(&open.octets);
    sessions::within(&open, converse(host, service, stream, octets, peer, stopping)).instrument(span).await;
}

async fn converse(
    host: Arc<Host>,
    service: Service,
    stream: Stream,
    octets: Arc<Octets>,
    peer: SocketAddr,
    stopping: Stopping,
) {
    info!(%service, %peer, "session began");
    let begun = Instant::now();
    let stream: Stream = Box::new(Counted::new(stream, Arc::clone(&octets)));
    let mut wire = Wire::Plain(stream);
    if service.implicit_tls() {
        let for_web = host.tls.as_ref().filter(|_| service.is_web()).map(tls::for_web);
        if let Err(error) = host.start_tls_as(&mut wire, for_web.as_ref().or(host.tls.as_ref())).await {
            info!(%service, %peer, %error, "no TLS");
            return;
        }
    }
    let ended = if service.is_pop3() {
        serve_pop3::serve(host, service, wire, peer, stopping).await.map(|reason| format!("{reason:?}"))
    } else if service.is_imap() {
        serve_imap::serve(host, service, wire, peer, stopping).await.map(|reason| format!("{reason:?}"))
    } else if service.is_web() {
        web::serve(host, service, wire, peer, stopping).await.map(|reason| format!("{reason:?}"))
    } else {
        serve_smtp::serve(host, service, wire, peer, stopping).await.map(|reason| format!("{reason:?}"))
    };
    let (seconds, read, written) = (begun.elapsed().as_secs(), octets.read(), octets.written());
    match ended {
        Ok(reason) => info!(%service, %peer, reason, seconds, read, written, "session ended"),
        Err(error) => info!(%service, %peer, %error, seconds, read, written, "connection lost"),
    }
}

/// A session that goes on, for as long as this is there.
struct Open {
    host: Arc<Host>,
    number: u64,
    session: Arc<Session>,
}

impl Open {
    fn new(host: &Arc<Host>, session: Session) -> Self {
        host.counts.begun.add(session.service);
        host.counts.open.add(session.service);
        let session = Arc::new(session);
        Self { host: Arc::clone(host), number: host.sessions.add(&session), session }
    }
}

impl Deref for Open {
    type Target = Arc<Session>;

    fn deref(&self) -> &Arc<Session> {
        &self.session
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.host.sessions.remove(self.number);
        self.host.counts.open.take(self.session.service);
    }
}

impl Locks {
    /// Takes the mailbox, unless somebody has it.
    pub fn take(&self, mailbox: MailboxId) -> Option<Lock> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(mailbox);
        taken.then(|| Lock { locks: self.clone(), mailbox })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.locks.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.mailbox);
    }
}
