//! Looks up where mail for some domains goes, all of them at once:
//! `cargo run -p mx-lookup --example mx_driver -- 127.0.0.53:53 example.org example.net`.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a driver does the I/O"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use mx_lookup::{Config, Event, Lost, Plan, Query, Resolver, Transport};

/// What a thread has got for its query, and where it waits to hear whether that was an answer.
type Got = (Query, Result<Vec<u8>, Lost>, Sender<Option<Query>>);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let server: SocketAddr = arguments.next().ok_or("usage: mx_driver SERVER:53 DOMAIN...")?.parse()?;
    let mut seed = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut seed)?;
    let mut resolver = Resolver::new(Config::new([server]), seed);
    let start = Instant::now();
    let mut waiting: BTreeMap<_, _> =
        arguments.map(|domain| (resolver.lookup(start.elapsed(), &domain), domain)).collect();
    let (sender, got) = channel::<Got>();
    while !waiting.is_empty() {
        while let Some(event) = resolver.poll(start.elapsed()) {
            match event {
                Event::Query(query) => {
                    let sender = sender.clone();
                    thread::spawn(move || ask(query, start, &sender));
                }
                Event::Plan(id, plan, trace) => {
                    println!("{}\n{trace}", waiting.remove(&id).unwrap_or_default());
                    show(&plan);
                }
                _ => {}
            }
        }
        let due = resolver.poll_timeout().unwrap_or_else(|| start.elapsed() + Duration::from_secs(1));
        match got.recv_timeout(due.saturating_sub(start.elapsed())) {
            Ok((query, outcome, back)) => {
                let outcome = outcome.as_deref().map_err(|lost| *lost);
                // The thread may be gone; then so is its query, in good time.
                let _ = back.send(resolver.handle_answer(start.elapsed(), query, outcome));
            }
            Err(RecvTimeoutError::Timeout) => resolver.handle_timeout(start.elapsed()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    Ok(())
}

fn show(plan: &Plan) {
    match plan {
        Plan::Deliver { hosts, .. } => {
            for host in hosts {
                println!("  {:>5} {} {:?}", host.preference, host.name, host.addresses);
            }
        }
        _ => println!("  {}", plan.verdict().map(ToString::to_string).unwrap_or_default()),
    }
    println!();
}

/// One query, from its own socket, until it is answered or its time is over.
fn ask(query: Query, start: Instant, sender: &Sender<Got>) {
    let mut socket = Socket::send(&query, start);
    let mut open = Some(query);
    while let Some(query) = open.take() {
        let left = query.deadline().saturating_sub(start.elapsed());
        let outcome = match &mut socket {
            _ if left.is_zero() => Err(Lost::Timeout),
            Ok(socket) => socket.receive(left).map_err(|error| lost(&error)),
            Err(error) => Err(lost(error)),
        };
        let (back, answer) = channel();
        if sender.send((query, outcome, back)).is_ok() {
            open = answer.recv().ok().flatten();
        }
    }
}

fn lost(error: &io::Error) -> Lost {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Lost::Timeout,
        _ => Lost::Unreachable,
    }
}

enum Socket {
    Udp(UdpSocket),
    Tcp(TcpStream),
}

impl Socket {
    fn send(query: &Query, start: Instant) -> io::Result<Self> {
        match query.transport() {
            Transport::Udp => {
                let any = if query.server().is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(query.server())?;
                socket.send(query.payload())?;
                Ok(Self::Udp(socket))
            }
            Transport::Tcp => {
                let left = query.deadline().saturating_sub(start.elapsed());
                let mut stream =
                    TcpStream::connect_timeout(&query.server(), left.max(Duration::from_millis(1)))?;
                let length = u16::try_from(query.payload().len()).map_err(io::Error::other)?;
                stream.write_all(&[&length.to_be_bytes()[..], query.payload()].concat())?;
                Ok(Self::Tcp(stream))
            }
        }
    }

    fn receive(&mut self, left: Duration) -> io::Result<Vec<u8>> {
        match self {
            Self::Udp(socket) => {
                let mut buffer = vec![0; 65_535];
                socket.set_read_timeout(Some(left))?;
                let length = socket.recv(&mut buffer)?;
                buffer.truncate(length);
                Ok(buffer)
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(left))?;
                let mut length = [0; 2];
                stream.read_exact(&mut length)?;
                let mut buffer = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut buffer)?;
                Ok(buffer)
            }
        }
    }
}
