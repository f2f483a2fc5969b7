//! The machine of one simulated host: its clock, its random octets, its disk, its way into the network.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use mailhost::system::{Datagram, Disk, Pending, Stream, System, Urgency};
use mailstore::message::Piece;
use mailstore::operation::{DiskError, Done, Operation};
use mailstore::sim;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::Instrument as _;

use crate::dice::Dice;
use crate::names::{Names, THOUGHT};
use crate::network::{Network, lock};

/// The clock of a host. It may jump, unlike the time of the world.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Instant,
    /// Milliseconds that it is ahead.
    ahead: Arc<AtomicI64>,
}

/// How a disk misbehaves; the rates are in ten thousandths of operations.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wear {
    /// EIO.
    pub errors: u64,
    /// ENOSPC.
    pub full: u64,
    /// The longest operation.
    pub latency: Duration,
}

/// What disks have done to hosts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Injected {
    /// EIO.
    pub errors: u64,
    /// ENOSPC.
    pub full: u64,
    /// Operations that a crash has hit.
    pub crashes: u64,
}

/// The disk of a host while it is up.
#[derive(Clone)]
pub struct SimDisk(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// The crash that was ordered has come.
    crashed: Notify,
}

struct State {
    disk: sim::Disk,
    dice: Dice,
    wear: Wear,
    /// After how many more operations the machine stops.
    crash_in: Option<u64>,
    dead: bool,
    injected: Injected,
}

/// Where the tasks of a host live, so that they can die together.
pub type Tasks = Arc<Mutex<JoinSet<()>>>;

/// The machine of a host.
pub struct Machine {
    /// Its address.
    pub address: IpAddr,
    /// Its clock.
    pub clock: Clock,
    /// Its disk.
    pub disk: SimDisk,
    /// The network it is in.
    pub network: Network,
    /// The names it can ask for.
    pub names: Names,
    /// Its random octets.
    pub dice: Mutex<Dice>,
    /// Its tasks.
    pub tasks: Tasks,
}

impl Clock {
    /// A clock that is right.
    pub fn new(start: Instant) -> Self {
        Self { start, ahead: Arc::default() }
    }

    /// Lets it jump.
    pub fn jump(&self, millis: i64) {
        self.ahead.fetch_add(millis, Ordering::Relaxed);
    }

    /// What it shows, since the UNIX epoch.
    pub fn now(&self) -> Duration {
        let ahead = self.ahead.load(Ordering::Relaxed);
        let right = BIRTH + self.start.elapsed();
        if ahead < 0 {
            right.saturating_sub(Duration::from_millis(ahead.unsigned_abs()))
        } else {
            right + Duration::from_millis(ahead.unsigned_abs())
        }
    }
}

impl SimDisk {
    /// A disk with this content.
    pub fn new(disk: sim::Disk, dice: Dice, wear: Wear) -> Self {
        let state = State { disk, dice, wear, crash_in: None, dead: false, injected: Injected::default() };
        Self(Arc::new(Shared { state: Mutex::new(state), crashed: Notify::new() }))
    }

    /// Sets how it misbehaves.
    pub fn set_wear(&self, wear: Wear) {
        lock(&self.0.state).wear = wear;
    }

    /// The machine stops in the midst of the operation that comes after so many others.
    pub fn crash_in(&self, operations: u64) {
        let mut state = lock(&self.0.state);
        if !state.dead {
            state.crash_in = Some(operations);
        }
    }

    /// Waits for that moment.
    pub async fn crashed(&self) {
        self.0.crashed.notified().await;
    }

    /// Stops it; what is left of it after that. `seed` decides what survives; without one, all that was written does.
    pub fn stop(&self, seed: Option<u64>) -> (sim::Disk, Injected) {
        let mut state = lock(&self.0.state);
        state.dead = true;
        let disk = match seed {
            Some(seed) => state.disk.crash(seed),
            None => state.disk.clone(),
        };
        (disk, state.injected)
    }

    async fn pause(&self) {
        let (pause, dead) = {
            let state = &mut *lock(&self.0.state);
            let most = state.wear.latency;
            (state.dice.time(Duration::ZERO, most), state.dead)
        };
        if dead {
            std::future::pending::<()>().await;
        }
        if !pause.is_zero() {
            sleep(pause).await;
        }
    }

    /// Whether an operation may end; not if the machine stops.
    fn admit(state: &mut State, crashed: &Notify, operation: &Operation) -> bool {
        if state.dead {
            return false;
        }
        if let Some(left) = &mut state.crash_in {
            if *left == 0 {
                state.disk.interrupt(operation);
                state.dead = true;
                state.injected.crashes += 1;
                crashed.notify_one();
                return false;
            }
            *left -= 1;
        }
        let fills = matches!(operation, Operation::Create { .. } | Operation::Write { .. });
        let number = state.disk.operations();
        if state.dice.below(10_000) < state.wear.errors {
            state.injected.errors += 1;
            state.disk.fail(number..number + 1, DiskError::Io(Some(5)));
        } else if fills && state.dice.below(10_000) < state.wear.full {
            state.injected.full += 1;
            state.disk.fail(number..number + 1, DiskError::NoSpace);
        } else {
            state.disk.heal();
        }
        true
    }

    fn execute_now(&self, operation: &Operation) -> Option<Result<Done, DiskError>> {
        let state = &mut *lock(&self.0.state);
        Self::admit(state, &self.0.crashed, operation).then(|| state.disk.execute(operation))
    }

    fn read_now(&self, piece: &Piece) -> Option<io::Result<Bytes>> {
        let state = &mut *lock(&self.0.state);
        if state.dead {
            return None;
        }
        if state.dice.below(10_000) < state.wear.errors {
            state.injected.errors += 1;
            return Some(Err(io::Error::from_raw_os_error(5)));
        }
        let octets = state.disk.read(piece);
        Some(octets.map_err(|rotten| io::Error::new(io::ErrorKind::InvalidData, rotten)))
    }

    fn finish(&self, begun: sim::Begun) -> Option<(Operation, Result<Done, DiskError>)> {
        let state = &mut *lock(&self.0.state);
        Self::admit(state, &self.0.crashed, begun.operation()).then(|| state.disk.finish(begun))
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SimDisk")
    }
}

impl Disk for SimDisk {
    fn execute<'a>(&'a self, operation: &'a Operation) -> Pending<'a, Result<Done, DiskError>> {
        Box::pin(async move {
            self.pause().await;
            match self.execute_now(operation) {
                Some(result) => result,
                None => std::future::pending().await,
            }
        })
    }

    fn execute_beside(
        &self,
        operation: Operation,
    ) -> Pending<'static, Option<(Operation, Result<Done, DiskError>)>> {
        let disk = self.clone();
        Box::pin(async move {
            let begun = lock(&disk.0.state).disk.begin(operation);
            disk.pause().await;
            match disk.finish(begun) {
                Some(done) => Some(done),
                None => std::future::pending().await,
            }
        })
    }

    fn read(&self, pieces: Vec<Piece>) -> Pending<'static, Vec<io::Result<Bytes>>> {
        let disk = self.clone();
        Box::pin(async move {
            let mut all = Vec::with_capacity(pieces.len());
            for piece in &pieces {
                disk.pause().await;
                match disk.read_now(piece) {
                    Some(result) => all.push(result),
                    None => std::future::pending().await,
                }
            }
            all
        })
    }
}

impl fmt::Debug for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Machine({})", self.address)
    }
}

impl System for Machine {
    fn unix_now(&self) -> Duration {
        self.clock.now()
    }

    fn fill_random(&self, octets: &mut [u8]) -> io::Result<()> {
        lock(&self.dice).fill(octets);
        Ok(())
    }

    fn open_disk(&self, _: &Path) -> io::Result<Arc<dyn Disk>> {
        Ok(Arc::new(self.disk.clone()))
    }

    fn room(&self, _: &Path) -> Option<(u64, u64)> {
        None
    }

    fn connect(&self, to: SocketAddr) -> Pending<'_, io::Result<Stream>> {
        Box::pin(self.network.connect(self.address, to))
    }

    fn datagram(&self, to: SocketAddr) -> Pending<'_, io::Result<Box<dyn Datagram>>> {
        let socket = Questions {
            network: self.network.clone(),
            names: self.names.clone(),
            from: self.address,
            to: to.ip(),
            answers: Vec::new(),
        };
        Box::pin(std::future::ready(Ok(Box::new(socket) as Box<dyn Datagram>)))
    }

    fn addresses<'a>(&'a self, name: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>> {
        let found = name.parse().map(|address| vec![address]).map_err(io::Error::other);
        Box::pin(std::future::ready(found))
    }

    fn work(&self, _: Urgency, job: Box<dyn FnOnce() + Send>) -> Pending<'static, ()> {
        job();
        Box::pin(std::future::ready(()))
    }

    fn spawn_apart(&self, _: &str, task: Pending<'static, ()>) -> io::Result<()> {
        lock(&self.tasks).spawn(task.in_current_span());
        Ok(())
    }
}

/// A socket for questions to a name server.
struct Questions {
    network: Network,
    names: Names,
    from: IpAddr,
    to: IpAddr,
    answers: Vec<(Instant, Vec<u8>)>,
}

impl Datagram for Questions {
    fn send<'a>(&'a mut self, octets: &'a [u8]) -> Pending<'a, io::Result<()>> {
        let there = self.network.datagram(self.from, self.to);
        let back = self.network.datagram(self.to, self.from);
        if let (Some(there), Some(back)) = (there, back)
            && let Some(answer) = self.names.answer(octets, true)
        {
            self.answers.push((Instant::now() + there + THOUGHT + back, answer));
        }
        Box::pin(std::future::ready(Ok(())))
    }

    fn receive(&mut self) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            let first = self.answers.iter().enumerate().min_by_key(|(_, (at, _))| *at);
            let Some((index, at)) = first.map(|(index, (at, _))| (index, *at)) else {
                return std::future::pending().await;
            };
            sleep_until(at).await;
            Ok(self.answers.swap_remove(index).1)
        })
    }
}

/// The time at which every world begins: in September 2001.
pub const BIRTH: Duration = Duration::from_secs(1_000_000_000);
