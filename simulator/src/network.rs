//! A network of streams: latency, retransmissions, resets, connections that fall silent, partitions, hosts that are down.
//!
//! What is lost is sent again later, as TCP does it, so octets come late or not at all, but never out of order. A reset
//! destroys what is under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use mailhost::system::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::dice::Dice;

/// How bad it is; the rates are in thousandths.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// The longest way of an octet, without losses.
    pub latency: Duration,
    /// Segments and datagrams that are lost.
    pub loss: u64,
    /// Connections that are refused.
    pub refused: u64,
    /// Connections that do not live to their end.
    pub doomed: u64,
}

/// What was done to connections.
#[derive(Clone, Copy, Debug, Default)]
pub struct Injected {
    /// Segments and datagrams lost.
    pub lost: u64,
    /// Connections refused by chance.
    pub refused: u64,
    /// Connections reset.
    pub resets: u64,
    /// Connections that fell silent.
    pub silences: u64,
    /// Connections of which one side only knew that they had ended.
    pub halves: u64,
}

/// Takes connections at an address.
pub type Accept = Arc<dyn Fn(Stream, SocketAddr) + Send + Sync>;

/// The network.
#[derive(Clone)]
pub struct Network(Arc<Mutex<State>>);

struct State {
    dice: Dice,
    weather: Weather,
    listeners: BTreeMap<SocketAddr, Accept>,
    /// Addresses that answer nothing at all.
    silent: BTreeSet<IpAddr>,
    /// Pairs between which nothing passes, the lower one first, and how often they were cut.
    cut: BTreeMap<(IpAddr, IpAddr), u32>,
    links: Vec<Weak<Mutex<Link>>>,
    /// Who has how many connections open to whom, on the port of mail.
    open: BTreeMap<(IpAddr, IpAddr), u32>,
    most_open: BTreeMap<(IpAddr, IpAddr), u32>,
    next_port: u16,
    injected: Injected,
}

struct Link {
    addresses: [SocketAddr; 2],
    /// What each side has written.
    flows: [Flow; 2],
    /// Each side learns of the end at its time.
    broken: [Option<Instant>; 2],
    /// From now on all octets vanish.
    silent: bool,
    /// Which side has closed its socket.
    gone: [bool; 2],
    doom: Option<Doom>,
    /// Whether it counts among those of mail.
    mail: bool,
}

#[derive(Default)]
struct Flow {
    segments: VecDeque<(Instant, Bytes)>,
    queued: usize,
    last: Option<Instant>,
    end: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// How a connection dies once it has carried so many octets.
#[derive(Clone, Copy)]
struct Doom {
    left: u64,
    kind: u64,
}

/// One side of a connection.
struct Socket {
    network: Network,
    link: Arc<Mutex<Link>>,
    side: usize,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Network {
    /// An empty one.
    pub fn new(seed: u64, weather: Weather) -> Self {
        Self(Arc::new(Mutex::new(State {
            dice: Dice::new(seed, "network"),
            weather,
            listeners: BTreeMap::new(),
            silent: BTreeSet::new(),
            cut: BTreeMap::new(),
            links: Vec::new(),
            open: BTreeMap::new(),
            most_open: BTreeMap::new(),
            next_port: 1_024,
            injected: Injected::default(),
        })))
    }

    /// From now on, at this address, these are told of connections.
    pub fn listen(&self, address: SocketAddr, accept: Accept) {
        self.state().listeners.insert(address, accept);
    }

    /// Nobody listens at any port of this address any more.
    pub fn close(&self, address: IpAddr) {
        self.state().listeners.retain(|listener, _| listener.ip() != address);
    }

    /// Whether an address answers nothing, not even that nobody listens.
    pub fn silence(&self, address: IpAddr, silent: bool) {
        let silenced = &mut self.state().silent;
        if silent {
            silenced.insert(address);
        } else {
            silenced.remove(&address);
        }
    }

    /// Sets or ends a partition.
    pub fn cut(&self, a: IpAddr, b: IpAddr, cut: bool) {
        let mut state = self.state();
        let count = state.cut.entry(pair(a, b)).or_default();
        *count = if cut { *count + 1 } else { count.saturating_sub(1) };
    }

    /// Sets the weather.
    pub fn set_weather(&self, weather: Weather) {
        self.state().weather = weather;
    }

    /// No partition, no silence: the end of all trouble but that of hosts.
    pub fn heal(&self) {
        let mut state = self.state();
        state.cut.clear();
        state.weather = Weather { latency: state.weather.latency, ..Weather::default() };
    }

    /// Ends all connections of an address: with a reset that the other side sees, or without a word.
    pub fn sever(&self, address: IpAddr, word: bool) {
        let links: Vec<_> = self.state().links.iter().filter_map(Weak::upgrade).collect();
        for link in links {
            let mut link = lock(&link);
            if link.addresses.iter().any(|side| side.ip() == address) {
                if word {
                    link.reset([true, true]);
                } else {
                    link.silent = true;
                    link.flows.iter_mut().for_each(|flow| flow.segments.clear());
                }
            }
        }
    }

    /// What was done so far.
    pub fn injected(&self) -> Injected {
        self.state().injected
    }

    /// The most connections that one address had open to another at once, on the port of mail.
    pub fn most_open(&self) -> BTreeMap<(IpAddr, IpAddr), u32> {
        self.state().most_open.clone()
    }

    /// How many connections there are.
    pub fn links(&self) -> usize {
        let links = &mut self.state().links;
        links.retain(|link| link.strong_count() > 0);
        links.len()
    }

    /// When a datagram arrives; `None` if it is lost.
    pub fn datagram(&self, from: IpAddr, to: IpAddr) -> Option<Duration> {
        let mut state = self.state();
        if state.is_cut(from, to) || state.silent.contains(&to) {
            return None;
        }
        let loss = state.weather.loss;
        if state.dice.chance(loss) {
            state.injected.lost += 1;
            return None;
        }
        Some(state.latency())
    }

    /// Opens a connection from an address.
    pub async fn connect(&self, from: IpAddr, to: SocketAddr) -> io::Result<Stream> {
        let (way, silent) = {
            let mut state = self.state();
            let silent = state.is_cut(from, to.ip()) || state.silent.contains(&to.ip());
            (state.latency() + state.latency(), silent)
        };
        if silent {
            // Whoever connects has a time-out of his own; that of a system is no shorter.
            sleep(SYN).await;
            return Err(ErrorKind::TimedOut.into());
        }
        sleep(way).await;
        let (accept, link, local) = {
            let mut state = self.state();
            let refused = state.weather.refused;
            let by_chance = state.dice.chance(refused);
            let Some(accept) = state.listeners.get(&to).cloned().filter(|_| !by_chance) else {
                state.injected.refused += u64::from(by_chance);
                return Err(ErrorKind::ConnectionRefused.into());
            };
            let doomed = state.weather.doomed;
            let doom = state.dice.chance(doomed).then(|| {
                // Most conversations are short, and their ends are what matters.
                let most = *state.dice.pick(&[400, 1_200, 4_000, 100_000]);
                Doom { left: state.dice.below(most), kind: state.dice.below(4) }
            });
            state.next_port = if state.next_port == u16::MAX { 1_024 } else { state.next_port + 1 };
            let local = SocketAddr::new(from, state.next_port);
            let mail = to.port() == MAIL;
            let link = Arc::new(Mutex::new(Link {
                addresses: [local, to],
                flows: [Flow::default(), Flow::default()],
                broken: [None, None],
                silent: false,
                gone: [false, false],
                doom,
                mail,
            }));
            if state.links.len() > 64 && state.links.len().is_power_of_two() {
                state.links.retain(|link| link.strong_count() > 0);
            }
            state.links.push(Arc::downgrade(&link));
            if mail {
                let open = state.open.entry((from, to.ip())).or_default();
                *open += 1;
                let open = *open;
                let most = state.most_open.entry((from, to.ip())).or_default();
                *most = open.max(*most);
            }
            (accept, link, local)
        };
        let side = |side| Socket { network: self.clone(), link: Arc::clone(&link), side, timer: None };
        accept(Box::new(side(1)), local);
        Ok(Box::new(side(0)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

impl State {
    fn latency(&mut self) -> Duration {
        let most = self.weather.latency;
        self.dice.time(most / 8, most)
    }

    fn is_cut(&self, a: IpAddr, b: IpAddr) -> bool {
        self.cut.get(&pair(a, b)).is_some_and(|count| *count > 0)
    }
}

impl Link {
    fn reset(&mut self, sides: [bool; 2]) {
        for (side, reset) in sides.into_iter().enumerate() {
            if reset {
                self.broken[side].get_or_insert_with(Instant::now);
            }
        }
        for flow in &mut self.flows {
            flow.segments.clear();
            flow.queued = 0;
            flow.wake();
        }
    }

    /// Whether this side has learnt that it is over.
    fn is_broken(&self, side: usize) -> bool {
        self.broken[side].is_some_and(|at| at <= Instant::now())
    }
}

impl Flow {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

impl Socket {
    /// Wakes this task no later than at `at`.
    fn wake_at(&mut self, cx: &mut Context<'_>, at: Instant) {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        timer.as_mut().reset(at);
        if timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let link = Arc::clone(&this.link);
        let mut link = lock(&link);
        if link.is_broken(this.side) {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let [a, b] = link.addresses.map(|address| address.ip());
        let now = Instant::now();
        let mut next = link.broken[this.side];
        let flow = &mut link.flows[1 - this.side];
        let due = flow.segments.front().map(|(at, _)| *at).or(flow.end);
        if let Some(at) = due
            && at <= now
        {
            if this.network.state().is_cut(a, b) {
                // It is sent again, and again, until it gets through.
                next = Some(now + RESEND);
            } else {
                let mut moved = 0;
                while let Some((at, segment)) = flow.segments.front_mut()
                    && *at <= now
                    && buffer.remaining() > 0
                {
                    let count = segment.len().min(buffer.remaining());
                    buffer.put_slice(&segment[..count]);
                    segment.advance(count);
                    moved += count;
                    if segment.is_empty() {
                        flow.segments.pop_front();
                    }
                }
                flow.queued -= moved;
                flow.writer.take().into_iter().for_each(Waker::wake);
                return Poll::Ready(Ok(()));
            }
        } else if let Some(at) = due {
            next = Some(next.map_or(at, |other| other.min(at)));
        }
        flow.reader = Some(cx.waker().clone());
        drop(link);
        if let Some(at) = next {
            this.wake_at(cx, at);
        }
        Poll::Pending
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let mut link = lock(&this.link);
        if link.is_broken(this.side) {
            return Poll::Ready(Err(ErrorKind::ConnectionReset.into()));
        }
        let mut state = this.network.state();
        let silent = link.silent || link.broken[1 - this.side].is_some();
        if !silent && link.gone[1 - this.side] {
            // What nobody takes any more is answered with a reset.
            let at = Instant::now() + state.latency() * 2;
            link.broken[this.side].get_or_insert(at);
            link.flows[1 - this.side].reader.take().into_iter().for_each(Waker::wake);
            return Poll::Ready(Ok(octets.len()));
        }
        let window = if state.dice.chance(100) { 700 } else { WINDOW };
        let flow = &mut link.flows[this.side];
        if flow.queued >= window {
            flow.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = octets.len().min(window - flow.queued);
        flow.queued += count;
        if silent {
            // Nobody is there to take it; it counts against the window all the same.
            return Poll::Ready(Ok(count));
        }
        let mut at = Instant::now() + state.latency();
        let loss = state.weather.loss;
        while state.dice.chance(loss) {
            state.injected.lost += 1;
            at += RESEND;
        }
        let at = flow.last.map_or(at, |last| last.max(at));
        flow.last = Some(at);
        flow.segments.push_back((at, Bytes::copy_from_slice(&octets[..count])));
        flow.reader.take().into_iter().for_each(Waker::wake);
        if let Some(doom) = &mut link.doom {
            match doom.left.checked_sub(count as u64) {
                Some(left) => doom.left = left,
                None => {
                    let kind = doom.kind;
                    link.doom = None;
                    match kind {
                        0 | 1 => {
                            state.injected.resets += 1;
                            link.reset([true, true]);
                        }
                        2 => {
                            state.injected.silences += 1;
                            link.silent = true;
                            link.flows.iter_mut().for_each(|flow| flow.segments.clear());
                        }
                        _ => {
                            state.injected.halves += 1;
                            let writer = this.side == 0;
                            link.reset([writer, !writer]);
                        }
                    }
                }
            }
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl Socket {
    /// This side says nothing more.
    fn end(&self) {
        let mut link = lock(&self.link);
        let silent = link.silent;
        let flow = &mut link.flows[self.side];
        if !silent && flow.end.is_none() {
            let at = Instant::now() + self.network.state().latency();
            flow.end = Some(flow.last.map_or(at, |last| last.max(at)));
            flow.reader.take().into_iter().for_each(Waker::wake);
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.end();
        let mut link = lock(&self.link);
        link.gone[self.side] = true;
        let flow = &mut link.flows[1 - self.side];
        flow.segments.clear();
        flow.queued = 0;
        flow.wake();
        let (mail, [from, to]) = (link.mail, link.addresses.map(|address| address.ip()));
        drop(link);
        if mail
            && self.side == 0
            && let Some(open) = self.network.state().open.get_mut(&(from, to))
        {
            *open -= 1;
        }
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Socket")
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn pair(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
    (a.min(b), a.max(b))
}

/// The port that hosts reach each other on.
pub const MAIL: u16 = 25;
/// Octets under way in one direction.
const WINDOW: usize = 32 << 10;
const RESEND: Duration = Duration::from_secs(1);
const SYN: Duration = Duration::from_secs(127);
