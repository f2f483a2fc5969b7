//! The driver of the resolver: a socket for each question.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mx_lookup::{Event, LookupId, Lost, Plan, Query, Resolver, Trace, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::Instrument as _;

use crate::metrics::{Asked, Tally};
use crate::system::{Datagram, Stream, System};

/// Finds out where mail for a domain goes.
#[derive(Debug)]
pub struct Dns {
    system: Arc<dyn System>,
    start: Instant,
    wake: Notify,
    /// Never held over an await.
    inner: Mutex<Inner>,
    asked: Tally<Asked>,
}

#[derive(Debug)]
struct Inner {
    resolver: Resolver,
    /// How many resolvers there were before this one: a question is answered to who has asked it.
    generation: u64,
    waiting: BTreeMap<LookupId, (String, oneshot::Sender<(Plan, Trace)>)>,
}

impl Dns {
    /// Asks through this resolver, once [`Self::run`] runs.
    pub fn new(system: Arc<dyn System>, resolver: Resolver) -> Arc<Self> {
        let inner = Mutex::new(Inner { resolver, generation: 0, waiting: BTreeMap::new() });
        Arc::new(Self { system, start: Instant::now(), wake: Notify::new(), inner, asked: Tally::default() })
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
            inner.waiting.insert(id, (domain.to_owned(), sender));
        }
        self.wake.notify_one();
        receiver.await.ok()
    }

    /// What came of questions.
    pub const fn asked(&self) -> &Tally<Asked> {
        &self.asked
    }

    /// Forgets what is known, so that the next look-up asks again.
    pub fn flush(&self) {
        self.lock().resolver.flush();
    }

    /// Asks through another resolver from now on, also for those who wait already.
    pub fn replace(&self, resolver: Resolver) {
        let now = self.now();
        {
            let inner = &mut *self.lock();
            inner.resolver = resolver;
            inner.generation += 1;
            for (domain, sender) in std::mem::take(&mut inner.waiting).into_values() {
                inner.waiting.insert(inner.resolver.lookup(now, &domain), (domain, sender));
            }
        }
        self.wake.notify_one();
    }

    /// Asks and answers for ever.
    pub async fn run(self: Arc<Self>) {
        // They end with this.
        let mut questions = JoinSet::new();
        loop {
            let deadline = {
                let inner = &mut *self.lock();
                while let Some(event) = inner.resolver.poll(self.now()) {
                    match event {
                        Event::Query(query) => {
                            let generation = inner.generation;
                            questions.spawn(Arc::clone(&self).ask(generation, query).in_current_span());
                        }
                        Event::Plan(id, plan, trace) => {
                            if let Some((_, sender)) = inner.waiting.remove(&id) {
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
                biased;
                Some(_) = questions.join_next() => {}
                () = self.wake.notified() => {}
                () = sleep_until(due) => self.lock().resolver.handle_timeout(self.now()),
            }
        }
    }

    async fn ask(self: Arc<Self>, generation: u64, query: Query) {
        let until = self.start + query.deadline();
        self.asked.add(match query.transport() {
            Transport::Udp => Asked::Udp,
            Transport::Tcp => Asked::Tcp,
        });
        let mut wire = timeout_at(until, Socket::send(&*self.system, &query)).await;
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
            self.asked.add(match got {
                Ok(_) => Asked::Answered,
                Err(Lost::Timeout) => Asked::TimedOut,
                Err(_) => Asked::Unreachable,
            });
            let now = self.now();
            let mut inner = self.lock();
            if inner.generation != generation {
                return;
            }
            open = inner.resolver.handle_answer(now, query, got.as_deref().map_err(|lost| *lost));
        }
        self.wake.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Socket {
    Udp(Box<dyn Datagram>),
    Tcp(Stream),
}

impl Socket {
    async fn send(system: &dyn System, query: &Query) -> io::Result<Self> {
        let server = query.server();
        match query.transport() {
            Transport::Udp => {
                // A port that is chosen anew for each question is one more thing that a forger has to guess.
                let mut socket = system.datagram(server).await?;
                socket.send(query.payload()).await?;
                Ok(Self::Udp(socket))
            }
            Transport::Tcp => {
                let mut stream = system.connect(server).await?;
                let length = u16::try_from(query.payload().len()).map_err(io::Error::other)?;
                stream.write_all(&[&length.to_be_bytes()[..], query.payload()].concat()).await?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    async fn receive(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Udp(socket) => socket.receive().await,
            Self::Tcp(stream) => {
                let mut octets = vec![0; usize::from(stream.read_u16().await?)];
                stream.read_exact(&mut octets).await?;
                Ok(octets)
            }
        }
    }
}

const IDLE: Duration = Duration::from_secs(3_600);
