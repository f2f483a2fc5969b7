//! Listening sockets, the limits on connections, and the end of it all.
//!
//! All addresses are bound before anything else happens, so that a host either serves what its configuration says or
//! does not start. A connection over a limit is refused before any work is done for it.

mod gate;

use std::fmt;
use std::future::Future;
use std::io::{self, ErrorKind, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use smtp_codec::Reply;
use smtp_codec::reply::Enhanced;
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time;
use tracing::{debug, error, warn};

pub(crate) use self::gate::network;
pub use self::gate::{Full, Gate, Pass};
use crate::config::{Config, Limits, Listen};
use crate::metrics::Tally;

/// What is spoken on a listening address.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Service {
    /// Mail from other hosts; STARTTLS is offered.
    Smtp,
    /// Mail from users who log in; STARTTLS is offered.
    Submission,
    /// The same under TLS from the first octet.
    Submissions,
    /// POP3; STLS is offered.
    Pop3,
    /// POP3 under TLS from the first octet.
    Pop3s,
    /// IMAP; STARTTLS is offered.
    Imap,
    /// IMAP under TLS from the first octet.
    Imaps,
    /// HTTP: how to set up a mail program, and one's own password. Without TLS, for loopback and a proxy.
    Web,
    /// The same under TLS from the first octet.
    Webs,
    /// HTTP for whoever runs the host.
    WebAdmin,
}

/// Why the host cannot listen.
#[derive(Debug, Error)]
#[error("{place}: {message}")]
pub struct BindError {
    place: String,
    message: String,
}

/// Sockets that are bound and listening; nothing has been accepted yet.
#[derive(Debug)]
pub struct Listeners {
    sockets: Vec<(Listen, TcpListener)>,
}

/// Sockets on which connections are accepted, and the sessions that have come of them.
#[derive(Debug)]
pub struct Serving<H> {
    /// What is listened to, at which address in the end, and how to close it.
    open: Vec<(Listen, SocketAddr, Stop)>,
    loops: JoinSet<usize>,
    shared: Shared,
    handler: H,
}

/// What all loops have.
#[derive(Clone, Debug)]
struct Shared {
    gate: Arc<Gate>,
    /// In milliseconds.
    stop_timeout: Arc<AtomicU64>,
    stopping: Stopping,
    refused: Arc<Tally<(Service, Full)>>,
}

/// Asks everything to stop.
#[derive(Clone, Debug)]
pub struct Stop(Arc<Request>);

/// Knows whether everything has been asked to stop.
#[derive(Clone, Debug)]
pub struct Stopping(Arc<Request>);

#[derive(Debug, Default)]
struct Request {
    made: AtomicBool,
    /// Wakes all who wait, in their order; a watch channel of tokio would draw lots.
    told: Notify,
}

/// How a run of [`Listeners::serve`] ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stopped {
    /// Sessions that had not ended within the time they were given, and were cut off.
    pub cut_off: usize,
}

impl Service {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Smtp,
        Self::Submission,
        Self::Submissions,
        Self::Pop3,
        Self::Pop3s,
        Self::Imap,
        Self::Imaps,
        Self::Web,
        Self::Webs,
        Self::WebAdmin,
    ];

    /// Its key in `[listen]`.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Smtp => "smtp",
            Self::Submission => "submission",
            Self::Submissions => "submissions",
            Self::Pop3 => "pop3",
            Self::Pop3s => "pop3s",
            Self::Imap => "imap",
            Self::Imaps => "imaps",
            Self::Web => "web",
            Self::Webs => "webs",
            Self::WebAdmin => "web_admin",
        }
    }

    /// Whether TLS begins with the first octet.
    pub const fn implicit_tls(self) -> bool {
        matches!(self, Self::Submissions | Self::Pop3s | Self::Imaps | Self::Webs)
    }

    /// Whether a login can come before TLS, if the configuration lets it.
    pub const fn has_plain_logins(self) -> bool {
        matches!(self, Self::Submission | Self::Pop3 | Self::Imap | Self::Web)
    }

    /// Whether it takes mail from users who log in.
    pub const fn is_submission(self) -> bool {
        matches!(self, Self::Submission | Self::Submissions)
    }

    /// Whether it speaks POP3.
    pub const fn is_pop3(self) -> bool {
        matches!(self, Self::Pop3 | Self::Pop3s)
    }

    /// Whether it speaks IMAP.
    pub const fn is_imap(self) -> bool {
        matches!(self, Self::Imap | Self::Imaps)
    }

    /// Whether it speaks HTTP.
    pub const fn is_web(self) -> bool {
        matches!(self, Self::Web | Self::Webs | Self::WebAdmin)
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.key())
    }
}

impl Stop {
    /// A pair: one end asks, the other knows.
    pub fn new() -> (Self, Stopping) {
        let request = Arc::<Request>::default();
        (Self(Arc::clone(&request)), Stopping(request))
    }

    /// Asks. A second time does nothing.
    pub fn request(&self) {
        self.0.made.store(true, Ordering::Release);
        self.0.told.notify_waiters();
    }

    /// Waits for SIGTERM or SIGINT, then asks. From this call on, and not only from the first poll, neither of them ends
    /// the process by itself. Wants a tokio runtime.
    pub fn on_signal(&self) -> io::Result<impl Future<Output = ()> + use<>> {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = self.clone();
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            stop.request();
        })
    }
}

impl Stopping {
    /// Whether it has been asked for.
    pub fn is_requested(&self) -> bool {
        self.0.made.load(Ordering::Acquire)
    }

    /// Waits until it is asked for. For a branch of `select!`: dropped and called again, it loses nothing.
    pub async fn requested(&mut self) {
        // Before the look, so that nothing falls between the two.
        let told = self.0.told.notified();
        if !self.is_requested() {
            told.await;
        }
    }
}

impl Listeners {
    /// Binds every address of the configuration, or none. Wants a tokio runtime.
    pub fn bind(config: &Config) -> Result<Self, BindError> {
        let mut sockets = Vec::new();
        for listen in &config.listen {
            let listener = bind(listen.address).map_err(|error| BindError::new(config, listen, &error))?;
            sockets.push((*listen, listener));
        }
        Ok(Self { sockets })
    }

    /// Binds each address for a moment, to see whether it can be had. Wants a tokio runtime.
    pub fn try_each(config: &Config) -> Vec<(Listen, Result<(), BindError>)> {
        let attempt = |listen: &Listen| {
            let result = bind(listen.address).map(drop);
            (*listen, result.map_err(|error| BindError::new(config, listen, &error)))
        };
        config.listen.iter().map(attempt).collect()
    }

    /// What is spoken where. Port 0 of the configuration is by now the port that the system chose.
    pub fn addresses(&self) -> Vec<(Service, SocketAddr)> {
        let address =
            |(listen, listener): &(Listen, TcpListener)| Some((listen.service, listener.local_addr().ok()?));
        self.sockets.iter().filter_map(address).collect()
    }

    /// Accepts connections and runs `handler` for each, until it is asked to stop. Then the sockets are closed at once,
    /// and sessions, which know through their own [`Stopping`], get `stop_timeout` to end.
    pub async fn serve<H, F>(self, limits: &Limits, stopping: Stopping, handler: H) -> Stopped
    where
        H: Fn(Service, TcpStream, SocketAddr, Stopping) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        self.start(limits, stopping, handler).finish().await
    }

    /// The same, as something that can be changed while it goes on.
    pub fn start<H, F>(self, limits: &Limits, stopping: Stopping, handler: H) -> Serving<H>
    where
        H: Fn(Service, TcpStream, SocketAddr, Stopping) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let gate = Arc::new(Gate::new(limits.connections, limits.connections_per_address));
        let shared = Shared { gate, stop_timeout: Arc::default(), stopping, refused: Arc::default() };
        let mut serving = Serving { open: Vec::new(), loops: JoinSet::new(), shared, handler };
        serving.set_limits(limits);
        serving.add(self);
        serving
    }
}

impl<H, F> Serving<H>
where
    H: Fn(Service, TcpStream, SocketAddr, Stopping) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    /// Connections that are over a limit are counted there.
    pub fn refused(&self) -> Arc<Tally<(Service, Full)>> {
        Arc::clone(&self.shared.refused)
    }

    /// Binds every address of a configuration that is not open yet, or none. Nothing is accepted there before
    /// [`Self::change`].
    pub fn bind(&self, config: &Config) -> Result<Listeners, BindError> {
        let mut sockets = Vec::new();
        for listen in &config.listen {
            if self.open.iter().any(|(open, ..)| open.is_same(listen)) {
                continue;
            }
            let listener = bind(listen.address).map_err(|error| {
                let ours = self.open.iter().find(|(open, ..)| open.address.port() == listen.address.port());
                match ours {
                    Some((open, ..)) if error.kind() == ErrorKind::AddrInUse => {
                        BindError::ours(config, listen, open)
                    }
                    _ => BindError::new(config, listen, &error),
                }
            })?;
            sockets.push((*listen, listener));
        }
        Ok(Listeners { sockets })
    }

    /// Goes by another configuration: `added` is what [`Self::bind`] has bound for it. Sockets that it does not name are
    /// closed, and given back by name; the sessions there go on.
    pub fn change(&mut self, config: &Config, added: Listeners) -> Vec<Listen> {
        let mut closed = Vec::new();
        self.open.retain(|(open, _, stop)| {
            let stays = config.listen.iter().any(|listen| open.is_same(listen));
            if !stays {
                stop.request();
                closed.push(*open);
            }
            stays
        });
        self.set_limits(&config.limits);
        self.add(added);
        closed
    }

    /// What is spoken where by now.
    pub fn addresses(&self) -> Vec<(Service, SocketAddr)> {
        self.open.iter().map(|(open, address, _)| (open.service, *address)).collect()
    }

    /// Waits until it has been asked to stop, and all has ended.
    pub async fn finish(self) -> Stopped {
        Stopped { cut_off: self.loops.join_all().await.into_iter().sum() }
    }

    fn set_limits(&self, limits: &Limits) {
        self.shared.gate.set_limits(limits.connections, limits.connections_per_address);
        let millis = u64::try_from(limits.stop_timeout.as_millis()).unwrap_or(u64::MAX);
        self.shared.stop_timeout.store(millis, Ordering::Relaxed);
    }

    fn add(&mut self, listeners: Listeners) {
        for (listen, listener) in listeners.sockets {
            let (close, closing) = Stop::new();
            let (shared, handler) = (self.shared.clone(), self.handler.clone());
            let address = listener.local_addr().unwrap_or(listen.address);
            self.loops.spawn(accept(listen.service, listener, closing, shared, handler));
            self.open.push((listen, address, close));
        }
    }
}

impl BindError {
    fn new(config: &Config, listen: &Listen, error: &io::Error) -> Self {
        let Listen { service, address, line } = listen;
        let why = match error.kind() {
            ErrorKind::AddrInUse => {
                "another program uses it; stop that program or choose another port".to_owned()
            }
            ErrorKind::PermissionDenied => format!(
                "permission denied; ports below 1024 take root or CAP_NET_BIND_SERVICE, so choose a port such as {}",
                2000 + address.port() % 1000
            ),
            ErrorKind::AddrNotAvailable => {
                "this machine has no such address; write one that it has, or 0.0.0.0 or [::] for all"
                    .to_owned()
            }
            _ => error.to_string(),
        };
        Self {
            place: format!("{}:{line}", config.file.display()),
            message: format!("cannot listen on {address} for {service}: {why}"),
        }
    }

    /// A running host is in its own way.
    fn ours(config: &Config, listen: &Listen, open: &Listen) -> Self {
        let Listen { service, address, line } = listen;
        let (other, of) = (open.address, open.service);
        Self {
            place: format!("{}:{line}", config.file.display()),
            message: format!(
                "cannot listen on {address} for {service} while {other} is open for {of}; restart the host for that"
            ),
        }
    }
}

/// Raises the limit of open files as far as it goes. A warning if it does not hold for the limit on connections.
pub fn raise_open_files(limits: &Limits) -> Option<String> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // `None` stands for no limit.
    let soft = current?;
    let best = match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum?,
        Err(_) => soft,
    };
    // A session holds its socket and at most two files.
    let wanted = limits.connections as u64 * 3 + 64;
    (best < wanted).then(|| {
        let connections = limits.connections;
        format!(
            "{best} files may be open, too few for {connections} connections; \
             raise the limit (ulimit -n {wanted}) or lower connections in [limits]"
        )
    })
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() {
        // Otherwise [::]:25 would take the port from 0.0.0.0:25, on some systems and not on others.
        rustix::net::sockopt::set_ipv6_v6only(&socket, true)?;
    }
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The loop of one listening socket; gives how many sessions were cut off at the end.
async fn accept<H, F>(
    service: Service,
    listener: TcpListener,
    mut closing: Stopping,
    shared: Shared,
    handler: H,
) -> usize
where
    H: Fn(Service, TcpStream, SocketAddr, Stopping) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let Shared { gate, stop_timeout, mut stopping, refused } = shared;
    let mut sessions = JoinSet::new();
    let mut pause = PAUSE;
    loop {
        let accepted = tokio::select! {
            () = stopping.requested() => break,
            () = closing.requested() => break,
            Some(ended) = sessions.join_next() => {
                report(service, ended);
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                pause = PAUSE;
                match gate.enter(peer.ip()) {
                    Ok(pass) => {
                        let session = handler(service, stream, peer, stopping.clone());
                        sessions.spawn(async move {
                            // Held to the end of the session, a panic included.
                            let _pass = pass;
                            session.await;
                        });
                    }
                    Err(full) => {
                        debug!(%service, %peer, ?full, "connection refused");
                        refused.add((service, full));
                        refuse(service, stream, full);
                    }
                }
            }
            Err(error) if is_exhaustion(&error) => {
                // The connection stays in the queue: without a pause this loop would spin until a file is closed.
                warn!(%service, %error, "cannot accept");
                tokio::select! {
                    () = stopping.requested() => break,
                    () = closing.requested() => break,
                    () = time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                }
            }
            // The peer has gone already.
            Err(error) => debug!(%service, %error, "cannot accept"),
        }
    }
    drop(listener);
    loop {
        tokio::select! {
            () = stopping.requested() => break,
            ended = sessions.join_next() => match ended {
                Some(ended) => report(service, ended),
                None => return 0,
            },
        }
    }
    let stop_timeout = Duration::from_millis(stop_timeout.load(Ordering::Relaxed));
    let all = async {
        while let Some(ended) = sessions.join_next().await {
            report(service, ended);
        }
    };
    if time::timeout(stop_timeout, all).await.is_err() {
        let cut_off = sessions.len();
        warn!(%service, cut_off, "sessions did not end in time");
        sessions.shutdown().await;
        return cut_off;
    }
    0
}

fn report(service: Service, ended: Result<(), tokio::task::JoinError>) {
    if let Err(panic) = ended
        && panic.is_panic()
    {
        error!(%service, %panic, "a session has panicked, which is a defect");
    }
}

/// Says why, if that costs nothing, and closes.
fn refuse(service: Service, stream: TcpStream, full: Full) {
    if service.implicit_tls() {
        // A reply would have to be under TLS, and a handshake is work.
        return;
    }
    let mut out = BytesMut::new();
    if service.is_pop3() {
        out.extend_from_slice(b"-ERR too many connections, come back later\r\n");
    } else if service.is_imap() {
        out.extend_from_slice(b"* BYE [LIMIT] too many connections, come back later\r\n");
    } else if service.is_web() {
        out.extend_from_slice(
            b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        );
    } else {
        match full {
            Full::Address => Reply::TOO_MANY_CONNECTIONS.encode(&mut out),
            Full::Total => busy().encode(&mut out),
        }
    }
    // Not through tokio: its stream would first wait for news from the poll. The socket does not block, and its buffer
    // is empty.
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(&out);
    }
}

fn busy() -> Reply {
    Reply::new(421, Some(Enhanced { subject: 3, detail: 2 }), "too many connections, come back later")
        .unwrap_or(Reply::SHUTTING_DOWN)
}

fn is_exhaustion(error: &io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

const BACKLOG: u32 = 1_024;
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;
