//! What a host has from the machine it runs on: the time of day, random octets, a disk, connections to other hosts.
//!
//! Everything that a host does beyond its own memory goes through a [`System`], but for the sockets it listens on and its
//! log. [`Machine`] is the real one; a simulation puts its own in the place of it, and runs many hosts in one process.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use mailstore::message::Piece;
use mailstore::operation::{DiskError, Done, Operation};
use rustix::process::{getpriority_process, setpriority_process};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::oneshot;
use tokio::{runtime, task};

/// A future that traits can name.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connection to another host, or from one.
pub type Stream = Box<dyn Duplex>;

/// What a host has from its machine. Time that passes is tokio's.
pub trait System: fmt::Debug + Send + Sync {
    /// The time of day, since the UNIX epoch. It may jump.
    fn unix_now(&self) -> Duration;

    /// Fills with octets that nobody can guess.
    fn fill_random(&self, octets: &mut [u8]) -> io::Result<()>;

    /// Opens the directory of a store, and makes it if it is not there. May block.
    fn open_disk(&self, dir: &Path) -> io::Result<Arc<dyn Disk>>;

    /// How many octets are free where this directory is, and how many there are in all; `None` if nobody knows.
    fn room(&self, dir: &Path) -> Option<(u64, u64)>;

    /// Opens a connection.
    fn connect(&self, to: SocketAddr) -> Pending<'_, io::Result<Stream>>;

    /// Opens a socket for datagrams to and from this address alone, on a port that nobody can guess.
    fn datagram(&self, to: SocketAddr) -> Pending<'_, io::Result<Box<dyn Datagram>>>;

    /// The addresses of a host that the configuration names.
    fn addresses<'a>(&'a self, name: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>>;

    /// Does work that takes a core for a while. It is done even if nobody waits for it any more.
    fn work(&self, urgency: Urgency, job: Box<dyn FnOnce() + Send>) -> Pending<'static, ()>;

    /// Runs a task apart from all others, until it ends or the machine does.
    fn spawn_apart(&self, name: &str, task: Pending<'static, ()>) -> io::Result<()>;
}

/// How soon work has to be done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Urgency {
    /// Before all other work.
    Soon,
    /// In little more than the time that everything else leaves.
    Later,
    /// In the time that everything else leaves.
    Spare,
}

/// Where a store lies.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Carries an operation of the store out, for the one task that owns it. May block.
    fn execute<'a>(&'a self, operation: &'a Operation) -> Pending<'a, Result<Done, DiskError>>;

    /// Carries an operation out beside the store.
    /// Gives nothing if that has panicked.
    fn execute_beside(
        &self,
        operation: Operation,
    ) -> Pending<'static, Option<(Operation, Result<Done, DiskError>)>>;

    /// Reads pieces beside the store, each of them checked; as many results as there are pieces.
    fn read(&self, pieces: Vec<Piece>) -> Pending<'static, Vec<io::Result<Bytes>>>;
}

/// A stream of octets in both directions.
pub trait Duplex: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + fmt::Debug + Send + Unpin> Duplex for S {}

/// A socket for datagrams.
pub trait Datagram: Send {
    /// Sends one.
    fn send<'a>(&'a mut self, octets: &'a [u8]) -> Pending<'a, io::Result<()>>;

    /// Waits for one.
    fn receive(&mut self) -> Pending<'_, io::Result<Vec<u8>>>;
}

/// The real machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine;

impl dyn System {
    /// The time of day in whole seconds.
    pub fn unix_seconds(&self) -> i64 {
        i64::try_from(self.unix_now().as_secs()).unwrap_or(i64::MAX)
    }

    /// A number that nobody can guess.
    pub fn random_u64(&self) -> io::Result<u64> {
        let mut octets = [0; 8];
        self.fill_random(&mut octets)?;
        Ok(u64::from_ne_bytes(octets))
    }

    /// Does work that takes a core for a while, and for which somebody waits; `None` if it has panicked.
    pub async fn compute<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        self.compute_within(Urgency::Soon, job).await
    }

    /// Does work that takes a core for a while; `None` if it has panicked, or could not begin.
    pub async fn compute_within<T: Send + 'static>(
        &self,
        urgency: Urgency,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.work(urgency, Box::new(move || drop(sender.send(job())))).await;
        receiver.await.ok()
    }
}

impl System for Machine {
    fn unix_now(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
    }

    fn fill_random(&self, octets: &mut [u8]) -> io::Result<()> {
        getrandom::fill(octets).map_err(|error| io::Error::other(error.to_string()))
    }

    fn open_disk(&self, dir: &Path) -> io::Result<Arc<dyn Disk>> {
        Ok(Arc::new(mailstore::os::Disk::open(dir)?))
    }

    fn room(&self, dir: &Path) -> Option<(u64, u64)> {
        let disk = rustix::fs::statvfs(dir).ok()?;
        Some((disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize))
    }

    fn connect(&self, to: SocketAddr) -> Pending<'_, io::Result<Stream>> {
        Box::pin(async move {
            let stream = TcpStream::connect(to).await?;
            // Commands are small, and are sent when they are ready to be.
            let _ = stream.set_nodelay(true);
            Ok(Box::new(stream) as Stream)
        })
    }

    fn datagram(&self, to: SocketAddr) -> Pending<'_, io::Result<Box<dyn Datagram>>> {
        Box::pin(async move {
            let any = match to {
                SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            };
            let socket = UdpSocket::bind(any).await?;
            // Connected, it takes nothing from other addresses.
            socket.connect(to).await?;
            Ok(Box::new(socket) as Box<dyn Datagram>)
        })
    }

    fn addresses<'a>(&'a self, name: &'a str) -> Pending<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }

    fn work(&self, urgency: Urgency, job: Box<dyn FnOnce() + Send>) -> Pending<'static, ()> {
        let nice = match urgency {
            Urgency::Soon => {
                let work = task::spawn_blocking(job);
                return Box::pin(async move { drop(work.await) });
            }
            Urgency::Later => 10,
            Urgency::Spare => 19,
        };
        let (ended, end) = oneshot::channel::<()>();
        // A thread of its own: one that has become less urgent needs a privilege to become more so.
        let begun = thread::Builder::new().name("not urgent".to_owned()).spawn(move || {
            let _ended = ended;
            // On Linux this is for the thread alone. Where it fails, the work is done sooner.
            let now = getpriority_process(None).unwrap_or_default();
            let _ = setpriority_process(None, nice.max(now));
            job();
        });
        Box::pin(async move {
            // Without a thread, the work is gone, and its end has come.
            let _ = (begun, end.await);
        })
    }

    fn spawn_apart(&self, name: &str, task: Pending<'static, ()>) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().build()?;
        thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(task))?;
        Ok(())
    }
}

impl Disk for mailstore::os::Disk {
    fn execute<'a>(&'a self, operation: &'a Operation) -> Pending<'a, Result<Done, DiskError>> {
        Box::pin(std::future::ready(Self::execute(self, operation)))
    }

    fn execute_beside(
        &self,
        operation: Operation,
    ) -> Pending<'static, Option<(Operation, Result<Done, DiskError>)>> {
        let disk = self.clone();
        let work = task::spawn_blocking(move || {
            let result = Self::execute(&disk, &operation);
            (operation, result)
        });
        Box::pin(async move { work.await.ok() })
    }

    fn read(&self, pieces: Vec<Piece>) -> Pending<'static, Vec<io::Result<Bytes>>> {
        let (disk, count) = (self.clone(), pieces.len());
        let work = task::spawn_blocking(move || pieces.iter().map(|piece| disk.read_piece(piece)).collect());
        let panicked = move |_| (0..count).map(|_| Err(io::Error::other("reading has panicked"))).collect();
        Box::pin(async move { work.await.unwrap_or_else(panicked) })
    }
}

impl Datagram for UdpSocket {
    fn send<'a>(&'a mut self, octets: &'a [u8]) -> Pending<'a, io::Result<()>> {
        Box::pin(async move { Self::send(self, octets).await.map(drop) })
    }

    fn receive(&mut self) -> Pending<'_, io::Result<Vec<u8>>> {
        Box::pin(async move {
            let mut octets = vec![0; LARGEST];
            let length = self.recv(&mut octets).await?;
            octets.truncate(length);
            Ok(octets)
        })
    }
}

const LARGEST: usize = 65_535;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_less_urgent_leaves_the_processors_to_others() {
        let own = getpriority_process(None).unwrap();
        let machine: &dyn System = &Machine;
        for (urgency, nice) in
            [(Urgency::Spare, 19), (Urgency::Later, 10), (Urgency::Soon, own), (Urgency::Later, 10)]
        {
            let seen = machine.compute_within(urgency, || getpriority_process(None).unwrap()).await;
            assert_eq!(seen, Some(nice.max(own)), "{urgency:?}");
        }
        assert_eq!(getpriority_process(None), Ok(own));
    }

    #[tokio::test]
    async fn work_that_panics_has_ended() {
        let machine: &dyn System = &Machine;
        for urgency in [Urgency::Soon, Urgency::Spare] {
            assert_eq!(machine.compute_within(urgency, || panic!("planned")).await, None::<()>);
        }
    }
}
