//! From a mail domain to an ordered delivery plan: DNS questions out, answers in.
//!
//! **It does no I/O.** It opens no socket, starts no thread, sleeps not, logs not and reads no clock, and its randomness
//! follows from a seed that it is given: the same calls give the same plans. It is not a recursive resolver and not a DNSSEC validator: it asks servers
//! that are. It is not an SMTP client: it says whom to try, in which order, and what to tell the sender if there is nobody.
//!
//! ```text
//!  domain ──▶ lookup(now, domain) ─┐                          ┌─▶ Query: server, UDP or TCP, octets
//!                                  ├──▶ Resolver ──▶ poll(now)┤
//!  octets ──▶ handle_answer(..) ───┘    cache, servers        └─▶ Plan: Deliver, NullMx, NoSuchDomain, NoMail, Defer
//! ```
//!
//! One `Resolver` serves all lookups, since they share what makes it cheap and safe: the cache, one query for all who ask the
//! same, and what is known of each server. It follows RFC 5321 §5.1: MX records by preference, in random order within one;
//! the domain itself if there are none; cut off at our own host; IPv6 and IPv4 addresses by turns. One bad host does not spoil the
//! others. What can not be delivered is told apart by what can be done about it: the domain takes no mail, is not there, has no
//! host that can be reached, or can not be looked up now. Each has its reply code, and a trace that an operator can read.
//!
//! An answer counts if id, name, class, type and the case of each letter of the question are as they were sent. What a server
//! says beyond the question, and beyond the CNAME records that lead on from it, is not even kept. A server that answers with
//! other letters is asked by TCP, as is one whose answer is cut off or whose query draws many wrong answers. Hosts in private
//! networks and on this machine get no mail unless [`Config::allow_private_addresses`] says so.
//!
//! # A driver
//!
//! ```rust
//! use std::io::{self, Read, Write};
//! use std::net::{TcpStream, UdpSocket};
//! use std::time::Instant;
//!
//! use mx_lookup::{Config, Event, Lost, Plan, Query, Resolver, Transport};
//!
//! fn plan(resolver: &mut Resolver, start: Instant, domain: &str) -> Plan {
//!     let id = resolver.lookup(start.elapsed(), domain);
//!     loop {
//!         match resolver.poll(start.elapsed()) {
//!             Some(Event::Query(query)) => ask(resolver, start, query),
//!             Some(Event::Plan(done, plan, _trace)) if done == id => return plan,
//!             Some(_) => {}
//!             None => resolver.handle_timeout(start.elapsed()),
//!         }
//!     }
//! }
//!
//! /// A real driver runs all of them at once, each until its deadline, and sleeps until `resolver.poll_timeout()`.
//! fn ask(resolver: &mut Resolver, start: Instant, query: Query) {
//!     let mut buffer = vec![0; 65_535];
//!     let mut socket = send(&query);
//!     let mut open = Some(query);
//!     // A query that comes back is still open: that was no answer to it.
//!     while let Some(query) = open {
//!         let left = query.deadline().saturating_sub(start.elapsed());
//!         let octets = match &mut socket {
//!             _ if left.is_zero() => Err(Lost::Timeout),
//!             Ok(socket) => receive(socket, left, &mut buffer).map_err(|error| match error.kind() {
//!                 io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Lost::Timeout,
//!                 _ => Lost::Unreachable,
//!             }),
//!             Err(_) => Err(Lost::Unreachable),
//!         };
//!         let octets = octets.map(|length| &buffer[..length]);
//!         open = resolver.handle_answer(start.elapsed(), query, octets);
//!     }
//! }
//!
//! enum Socket {
//!     Udp(UdpSocket),
//!     Tcp(TcpStream),
//! }
//!
//! /// A socket for each query, from a port that the system chooses at random.
//! fn send(query: &Query) -> io::Result<Socket> {
//!     if query.transport() == Transport::Tcp {
//!         let mut stream = TcpStream::connect(query.server())?;
//!         let length = query.payload().len() as u16;
//!         stream.write_all(&[&length.to_be_bytes()[..], query.payload()].concat())?;
//!         return Ok(Socket::Tcp(stream));
//!     }
//!     let socket = UdpSocket::bind(if query.server().is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
//!     // The system compares addresses and ports.
//!     socket.connect(query.server())?;
//!     socket.send(query.payload())?;
//!     Ok(Socket::Udp(socket))
//! }
//!
//! fn receive(socket: &mut Socket, left: std::time::Duration, buffer: &mut [u8]) -> io::Result<usize> {
//!     match socket {
//!         Socket::Udp(socket) => {
//!             socket.set_read_timeout(Some(left))?;
//!             socket.recv(buffer)
//!         }
//!         Socket::Tcp(stream) => {
//!             stream.set_read_timeout(Some(left))?;
//!             let mut length = [0; 2];
//!             stream.read_exact(&mut length)?;
//!             let length = usize::from(u16::from_be_bytes(length));
//!             stream.read_exact(&mut buffer[..length])?;
//!             Ok(length)
//!         }
//!     }
//! }
//!
//! // A name server with one record: "MX 0 .", the domain takes no mail.
//! let server = UdpSocket::bind("127.0.0.1:0")?;
//! let address = server.local_addr()?;
//! std::thread::spawn(move || {
//!     let mut buffer = [0; 512];
//!     let (length, client) = server.recv_from(&mut buffer).expect("a query");
//!     // Without the EDNS record at its end, with one answer, and with the flags of an answer.
//!     let mut answer = buffer[..length - 11].to_vec();
//!     (answer[2], answer[7], answer[11]) = (0x80, 1, 0);
//!     answer.extend(b"\xc0\x0c\0\x0f\0\x01\0\0\x0e\x10\0\x03\0\0\0");
//!     server.send_to(&answer, client).expect("sent");
//! });
//!
//! // The seed comes from the system's random source.
//! let mut resolver = Resolver::new(Config::new([address]), [7; 32]);
//! let plan = plan(&mut resolver, Instant::now(), "example.org");
//! assert_eq!(
//!     plan.verdict().map(ToString::to_string).as_deref(),
//!     Some("556 5.1.10 example.org: the domain takes no mail (null MX)"),
//! );
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A driver that keeps many queries on their way is in `examples/mx_driver.rs`.
//!
//! # Limits
//!
//! | limit | default | least | memory |
//! |---|---|---|---|
//! | [`records`](Limits::records) of one answer | 100 | 1 | about 300 octets each |
//! | [`addresses`](Limits::addresses), [`host_addresses`](Limits::host_addresses) in a plan | 20, 10 of one host | 2, 1 | 17 octets each |
//! | [`queries`](Limits::queries) of one lookup | 100 | 3 | |
//! | [`aliases`](Limits::aliases) in a row | 8 | 0 | |
//! | [`parallel`](Limits::parallel) hosts of one lookup | 4 | 1 | |
//! | [`in_flight`](Limits::in_flight) with the driver | 256 | 1 | a socket each, in the driver |
//! | [`lookup_time`](Limits::lookup_time) | 30 seconds | | |
//! | [`try_time`](Limits::try_time), [`tries`](Limits::tries) | 2, 4, 8 seconds; 3 servers | | |
//! | [`strays`](Limits::strays) before TCP | 16 | 1 | |
//! | [`payload`](Limits::payload) of a datagram | 1,232 octets | 512 | |
//! | [`cache`](Limits::cache) | 16 MiB | 64 KiB | as much |
//! | [`positive_ttl`](Limits::positive_ttl) | 5 seconds to 1 day | 1 second | |
//! | [`negative_ttl`](Limits::negative_ttl) | 5 seconds to 1 hour | 1 second | |
//! | [`failure_ttl`](Limits::failure_ttl) | 2 minutes, doubling to 5 | 1 second | |
//!
//! A lookup under way takes a few KiB besides; at most about 1 MiB, if somebody builds a domain for that purpose.
//!
//! # Standards
//!
//! | RFC | | here |
//! |---|---|---|
//! | [RFC 5321](https://www.rfc-editor.org/rfc/rfc5321) | Simple Mail Transfer Protocol | §5: which hosts, and in which order |
//! | [RFC 7505](https://www.rfc-editor.org/rfc/rfc7505) | Null MX | 556 5.1.10; other preferences than 0 mean the same |
//! | [RFC 1035](https://www.rfc-editor.org/rfc/rfc1035) | Domain names | stub resolver for MX, A, AAAA and CNAME |
//! | [RFC 2181](https://www.rfc-editor.org/rfc/rfc2181) | Clarifications to the DNS | one TTL for a set; MX to CNAME is tolerated |
//! | [RFC 2308](https://www.rfc-editor.org/rfc/rfc2308) | Negative caching | within bounds; also for a moment without SOA record |
//! | [RFC 9520](https://www.rfc-editor.org/rfc/rfc9520) | Caching of failures | doubling from 2 to 5 minutes |
//! | [RFC 5452](https://www.rfc-editor.org/rfc/rfc5452) | Resilience against forged answers | id, port, question, and the case of letters |
//! | [RFC 6891](https://www.rfc-editor.org/rfc/rfc6891) | EDNS | 1,232 octets, no options; without it where a server does not know it |
//! | [RFC 6890](https://www.rfc-editor.org/rfc/rfc6890), [RFC 6761](https://www.rfc-editor.org/rfc/rfc6761) | Special-purpose addresses and names | get no mail |
//! | [RFC 3463](https://www.rfc-editor.org/rfc/rfc3463) | Enhanced status codes | those of the verdicts |
//!
//! # Modules
//!
//! | module | holds |
//! |---|---|
//! | [`resolver`] | `Resolver`, its events and counters |
//! | [`config`] | servers, our own names, what is allowed |
//! | [`query`] | queries: what a driver sends |
//! | [`route`] | plans, hosts, sites, verdicts |
//! | [`trace`] | what led to a plan |
//! | [`special`] | special-purpose addresses and names |
//! | [`limits`] | every bound, lifetime and time-out |
//! | [`error`] | what can be wrong with a domain, and with servers |
#![forbid(unsafe_code)]

mod answer;
mod cache;
pub mod config;
mod domain;
pub mod error;
pub mod limits;
mod lookup;
pub mod query;
mod random;
pub mod resolver;
pub mod route;
pub mod special;
pub mod trace;

pub use config::{Config, Server};
pub use limits::Limits;
pub use query::{Query, Transport};
pub use resolver::{Event, LookupId, Lost, Resolver};
pub use route::{Host, Plan, Verdict};
pub use trace::Trace;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
