//! The driver of the resolver: a socket for each question.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mx_lookup::{Event, LookupId, Lost, Plan, Query, Resolver, Trace, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Finds out where mail for a domain goes.
#[derive(Debug)]
pub struct Dns {
    start: Instant,
    wake: Notify,
    /// Never held over an await.
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    resolver: Resolver,
    waiting: BTreeMap<LookupId, oneshot::Sender<(Plan, Trace)>>,
}

impl Dns {
    /// Asks through this resolver, once [`Self::run`] runs.
    pub fn new(resolver: Resolver) -> Arc<Self> {
        let inner = Mutex::new(Inner { resolver, waiting: BTreeMap::new() });
        Arc::new(Self { start: Instant::now(), wake: Notify::new(), inner })
    }

    /// The time on the scale of plans.
    pub fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Looks a domain up; `None` if nobody runs the resolver any more.
    pub async fn plan(&self, domain: &str) -> Option<(Plan, Trace)> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut inner = self.lock();
            let id = inner.resolver.lookup(self.now(), domain);
            inner.waiting.insert(id, sender);
        }
        self.wake.notify_one();
        receiver.await.ok()
    }

    /// Forgets what is known, so that the next look-up asks again.
    pub fn flush(&self) {
        self.lock().resolver.flush();
    }

    /// Asks and answers for ever.
    pub async fn run(self: Arc<Self>) {
        loop {
            let deadline = {
                let inner = &mut *self.lock();
                while let Some(event) = inner.resolver.poll(self.now()) {
                    match event {
                        Event::Query(query) => drop(tokio::spawn(Arc::clone(&self).ask(query))),
                        Event::Plan(id, plan, trace) => {
                            if let Some(sender) = inner.waiting.remove(&id) {
                                let _ = sender.send((plan, trace));
                            }
                        }
                        _ => {}
                    }
                }
                inner.resolver.poll_timeout()
            };
            let due = self.start + deadline.unwrap_or_else(|| self.now() + IDLE);
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep_until(due) => self.lock().resolver.handle_timeout(self.now()),
            }
        }
    }

    async fn ask(self: Arc<Self>, query: Query) {
        let until = self.start + query.deadline();
        let mut wire = timeout_at(until, Socket::send(&query)).await;
        let mut open = Some(query);
        while let Some(query) = open.take() {
            let got = match &mut wire {
                Ok(Ok(wire)) => match timeout_at(until, wire.receive()).await {
                    Ok(Ok(octets)) => Ok(octets),
                    Ok(Err(_)) => Err(Lost::Unreachable),
                    Err(_) => Err(Lost::Timeout),
                },
                Ok(Err(_)) => Err(Lost::Unreachable),
                Err(_) => Err(Lost::Timeout),
            };
            let now = self.now();
            open = self.lock().resolver.handle_answer(now, query, got.as_deref().map_err(|lost| *lost));
        }
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Socket {
    async fn send(query: &Query) -> io::Result<Self> {
        let server = query.server();
        match query.transport() {
            Transport::Udp => {
                // A port that the system chooses anew for each question is one more thing that a forger has to guess.
                let any = match server {
                    SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                    SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
                };
                let socket = UdpSocket::bind(any).await?;
                // Connected, it takes nothing from other addresses.
                socket.connect(server).await?;
                socket.send(query.payload()).await?;
                Ok(Self::Udp(socket))
            }
            Transport::Tcp => {
                let mut stream = TcpStream::connect(server).await?;
                let length = u16::try_from(query.payload().len()).map_err(io::Error::other)?;
                stream.write_all(&[&length.to_be_bytes()[..], query.payload()].concat()).await?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    async fn receive(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Udp(socket) => {
                let mut octets = vec![0; LARGEST];
                let length = socket.recv(&mut octets).await?;
                octets.truncate(length);
                Ok(octets)
            }
            Self::Tcp(stream) => {
                let mut octets = vec![0; usize::from(stream.read_u16().await?)];
                stream.read_exact(&mut octets).await?;
                Ok(octets)
            }
        }
    }
}

const IDLE: Duration = Duration::from_secs(3_600);
const LARGEST: usize = 65_535;
