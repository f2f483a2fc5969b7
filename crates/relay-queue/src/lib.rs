//! Who is tried when, retried, expired, bounced: a mail queue without I/O.
//!
//! **It does no I/O.** It opens no socket and no file, starts no thread, sleeps not, logs not, reads no clock and no random
//! source: messages, outcomes, orders and the time go in; records, attempts and reports come out. It is not an SMTP client, not
//! DNS, not a disk, and it holds no message: a body is a number of the host's.
//!
//! ```text
//!  accept(now, Envelope) ─────────▶ ┌───────┐ ──▶ Commit   records, a report, a body to let go   ──▶ handle_durable, handle_failed
//!  handle_order(now, which, order)▶ │       │ ──▶ Resolve  a domain                              ──▶ handle_route
//!                      poll(now) ─▶ │ Queue │ ──▶ Attempt  a connection and its first delivery   ──▶ next_delivery, handle_outcome
//!                poll_timeout() ◀── │       │ ──▶ Load     keys of records, in a bounded window  ──▶ handle_loaded, handle_not_loaded
//!                                    │       │ ──▶ Fact     for the log
//!                                   └───────┘ ◀── restore(records)
//! ```
//!
//! What the queue promises: every recipient of a message that it has accepted is tried as the schedule says, and ends delivered,
//! or reported to the sender in the same commit that ends it, or dropped by an operator; 30 hours after its acceptance, whatever
//! it is doing then, it has its last attempt. Nothing is acted on before its record is durable, so a machine that stops at any
//! moment goes on where its records say. A message may arrive twice: when its connection, or the machine, is lost between the
//! other host's yes and our record of it. `docs/states.md` has every state, every step, and what a crash leaves in each.
//!
//! # A driver
//!
//! ```rust
//! use core::time::Duration;
//! use std::collections::BTreeMap;
//!
//! use relay_queue::{
//!     Address, Answer, Attempt, BodyHandle, Change, Config, Ending, Envelope, Event, Outcome, Queue, Route, Status,
//! };
//!
//! /// What a host has: a disk for records, name servers, and connections to other hosts.
//! #[derive(Default)]
//! struct Host {
//!     disk: BTreeMap<Vec<u8>, Vec<u8>>,
//!     sent: Vec<String>,
//!     reports: Vec<String>,
//! }
//!
//! impl Host {
//!     /// All of it becomes durable, or nothing. A real host syncs here, with the body and the local deliveries.
//!     fn store(&mut self, changes: &[Change]) {
//!         for change in changes {
//!             match change {
//!                 Change::Put { key, value } => drop(self.disk.insert(key.to_vec(), value.to_vec())),
//!                 Change::Remove { key } => drop(self.disk.remove(&key[..])),
//!             }
//!         }
//!     }
//!
//!     /// A real host runs each attempt by itself, and hands it back when it is done.
//!     fn connect(&mut self, queue: &mut Queue, mut attempt: Attempt, now: Duration) {
//!         while let Some(delivery) = attempt.delivery() {
//!             let to: Vec<_> = delivery.recipients.iter().map(|to| to.address().to_string()).collect();
//!             for (number, to) in to.into_iter().enumerate() {
//!                 let (code, text) = if to.starts_with("bob@") { (250, "ok") } else { (550, "no such mailbox") };
//!                 let status = Status::new((code / 100) as u8, 1, 1);
//!                 attempt.settle(number, Outcome::of(Answer::reply(code, Some(status), text).by(&attempt.site().to_owned())));
//!                 self.sent.push(to);
//!             }
//!             // More for the same connection?
//!             if !queue.next_delivery(now, &mut attempt) {
//!                 break;
//!             }
//!         }
//!         queue.handle_outcome(now, attempt, Ending::Closed);
//!     }
//!
//!     fn drive(&mut self, queue: &mut Queue, now: Duration) {
//!         while let Some(event) = queue.poll(now) {
//!             match event {
//!                 Event::Commit(commit) => {
//!                     self.store(&commit.changes);
//!                     if let Some(report) = commit.report {
//!                         // Delivered, or queued with `accept_report`, in the same commit.
//!                         let original = b"Subject: hello\r\n";
//!                         let report = [&report.head[..], original, &report.tail].concat();
//!                         self.reports.push(String::from_utf8_lossy(&report).into_owned());
//!                     }
//!                     queue.handle_durable(commit.id);
//!                 }
//!                 Event::Resolve(domain) => {
//!                     let site = format!("mx.{domain}");
//!                     queue.handle_route(now, &domain, Route::Site { site, until: now + Duration::from_secs(3_600) });
//!                 }
//!                 Event::Attempt(attempt) => self.connect(queue, attempt, now),
//!                 _ => {} // facts, for the log
//!             }
//!         }
//!         // Nothing more to do until queue.poll_timeout(), or until something is handed in.
//!     }
//! }
//!
//! let (mut host, now) = (Host::default(), Duration::from_secs(1_700_000_000));
//! let config = Config::new("mail.example.test")?;
//! let (mut queue, damage) = Queue::restore(config, 0x5eed, now, &host.disk);
//! assert!(damage.is_empty());
//!
//! let envelope = Envelope::new(Some(Address::new("alice@example.test")?), BodyHandle(1))
//!     .to(Address::new("bob@other.test")?)
//!     .to(Address::new("nobody@other.test")?);
//! let commit = queue.accept(now, envelope)?;
//! host.store(&commit.changes);
//! queue.handle_durable(commit.id); // and now the client may be told 250
//! host.drive(&mut queue, now);
//!
//! assert_eq!(host.sent, ["bob@other.test", "nobody@other.test"]);
//! assert!(host.reports[0].contains("Final-Recipient: rfc822; nobody@other.test\r\nAction: failed\r\nStatus: 5.1.1"));
//! assert!(queue.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With records in SQLite: `examples/sqlite.rs`.
//!
//! # Clocks
//!
//! `now` is the time since the UNIX epoch, since what is stored has to mean the same after a restart. The queue's own time does
//! not go back: a step of up to a minute is waited out, and with a larger one everything that waits is moved along, so that what
//! was due in an hour is still due in an hour. At a restart, a record from the future moves its message in the same way. A clock
//! that is put forward cannot be told from a host that was switched off: what has expired meanwhile has its last attempt, and
//! two hours for it, before it is reported. Seconds are whole.
//!
//! # Limits
//!
//! | limit | default | least | memory |
//! |---|---|---|---|
//! | [`recipients`](Limits::recipients) | 1,000,000 in all; 10,000 of one message | | see below |
//! | [`resident`](Limits::resident) | no bound: all messages are in the window | 1 message, 1 octet | see below |
//! | [`transaction`](Limits::transaction) | 100 recipients | 1 | about 60 octets each in the attempt |
//! | [`attempts`](Limits::attempts) | 200 connections | 1 | about 300 octets each |
//! | [`window`](Limits::window) | 2 to 20 connections to a site | 1 | |
//! | [`reuse`](Limits::reuse) | 100 deliveries over a connection | 1 | |
//! | [`resolves`](Limits::resolves) | 100 domains asked for at once | 1 | |
//! | [`lease`](Limits::lease), [`resolve`](Limits::resolve) | 2 hours for a delivery, 10 minutes for a domain | 1 s | |
//! | [`pause`](Limits::pause) | 1 to 30 minutes for a site that cannot be reached | 1 s | |
//! | [`patience`](Limits::patience) | 30 seconds for a connection that is open | | |
//! | [`grace`](Limits::grace) | 2 hours for the last attempt of what is due | 1 s | |
//! | [`again`](Limits::again) | 1 minute after a failed commit | 1 s | |
//! | answers | 512 octets of text, 255 of host name | | shared by those who got the same |
//! | records | 11 octets of key, under 64 KiB of value, 32 recipients in each | | while a commit is with the driver |
//!
//! **The whole queue is in memory**, without bodies, unless it is bounded: about 370 octets for a message with its sender and
//! 180 for each recipient with its address, while each waits (counted in the allocator: 550 for a message to one, 18,202 for a
//! message to a hundred); a sixth more while they are tried. Answers are shared by those who got the same. What a step costs grows
//! with the recipients of its message, not with the queue.
//!
//! With [`resident`](Limits::resident), no more than so many messages are in memory whole. Of each other one there is an entry of 64 octets at
//! most, whatever the message is like; when it is due, [`Event::Load`] asks for its records by their keys. One destination does not
//! keep others out: its messages wait in a line of their own, and lines take turns. The window should hold some times as many
//! messages as there may be attempts. [`Queue::ids`] names all messages, and [`Queue::load`] fetches one for an order or a view.
//!
//! # Standards
//!
//! | RFC | | here |
//! |---|---|---|
//! | [RFC 5321](https://www.rfc-editor.org/rfc/rfc5321) | Simple Mail Transfer Protocol | §4.5.4.1 schedule, §4.5.5 null reverse-path, §6.1 responsibility; deviates in the expiry, 30 hours instead of 4 days or more: one setting |
//! | [RFC 3461](https://www.rfc-editor.org/rfc/rfc3461) | Delivery status notifications | ENVID, ORCPT, NOTIFY of failure, delay and never; not success, not RET=FULL: reports carry headers |
//! | [RFC 3463](https://www.rfc-editor.org/rfc/rfc3463) | Enhanced status codes | in answers and reports |
//! | [RFC 3464](https://www.rfc-editor.org/rfc/rfc3464) | Format of delivery status notifications | failed and delayed |
//! | [RFC 3834](https://www.rfc-editor.org/rfc/rfc3834) | Automatic responses | reports are marked, and go out from nobody |
//! | [RFC 5322](https://www.rfc-editor.org/rfc/rfc5322) | Internet Message Format | what reports are written in |
//! | [RFC 6522](https://www.rfc-editor.org/rfc/rfc6522) | multipart/report | with the header section of the message |
//! | [RFC 6533](https://www.rfc-editor.org/rfc/rfc6533) | Internationalized notifications | addresses in reports, written in ASCII |
//!
//! # Modules
//!
//! | module | holds |
//! |---|---|
//! | [`queue`] | `Queue`, its events, attempts, orders and views |
//! | [`envelope`] | messages, addresses, recipients |
//! | [`outcome`] | answers, outcomes, endings |
//! | [`schedule`] | when to try, to warn, to give up |
//! | [`dsn`] | reports |
//! | [`record`] | what is stored, octet by octet |
//! | [`limits`] | every bound and time-out |
//! | [`error`] | what can be wrong |
#![forbid(unsafe_code)]

pub mod dsn;
pub mod envelope;
pub mod error;
pub mod limits;
pub mod outcome;
pub mod queue;
pub mod record;
pub mod schedule;
mod seed;

pub use dsn::Report;
pub use envelope::{Address, BodyHandle, Envelope, MessageId, Recipient};
pub use limits::{Config, Limits};
pub use outcome::{Answer, Ending, Outcome, Status};
pub use queue::{Attempt, Commit, Delivery, Event, Fact, Queue, Route};
pub use record::Change;
pub use schedule::Schedule;

/// What the README shows compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
