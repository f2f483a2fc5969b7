//! SMTP as data: grammar, framing, and sessions for servers and clients.
//!
//! **It does no I/O.** It opens no socket, starts no thread, sleeps not, logs not and reads no clock: octets and the time
//! go in, octets and events come out. It is not DNS, not a queue, not a SASL mechanism, not a TLS library and not a server:
//! those are the caller's. A message is never held whole: it goes through in slices of the caller's buffer.
//!
//! ```text
//!  octets in ──▶ receive(now, &mut input, &mut out) ──▶ Event: Mail, Rcpt, Chunk, End, StartTls, Auth
//!                           │                                     │
//!  octets out ◀── out: BytesMut ◀── accept(&mut out), reject(reply, &mut out)
//! ```
//!
//! The server session answers what is a matter of grammar and order. What wants a decision is an event, and the event is what
//! is answered; one that is dropped is refused. The client session is its mirror: it keeps commands and replies in step and
//! offers the caller the next step as an event.
//!
//! # A driver
//!
//! ```rust
//! use std::io::{self, Read, Write};
//! use std::time::Instant;
//!
//! use bytes::{Buf, BytesMut};
//! use smtp_codec::server::Reason;
//! use smtp_codec::{Domain, Event, Reply, ServerConfig, ServerSession};
//!
//! /// Any two halves of a connection, and where the messages go.
//! fn serve(mut from: impl Read, mut to: impl Write, inbox: &mut Vec<Vec<u8>>) -> io::Result<Reason> {
//!     let start = Instant::now();
//!     let host = Domain::parse("mail.example.test").expect("a domain").into_owned();
//!     let (mut chunk, mut buffer, mut out) = ([0; 4096], BytesMut::new(), BytesMut::new());
//!     let mut draft = Vec::new();
//!     let mut session = ServerSession::new(ServerConfig::new(host), start.elapsed(), &mut out);
//!     loop {
//!         to.write_all(&out.split())?;
//!         if let Some(reason) = session.closed() {
//!             return Ok(reason);
//!         }
//!         // Until session.poll_timeout(); then session.handle_timeout(start.elapsed(), &mut out).
//!         match from.read(&mut chunk)? {
//!             0 => session.handle_eof(),
//!             count => buffer.extend_from_slice(&chunk[..count]),
//!         }
//!         let mut input = &buffer[..];
//!         while let Some(event) = session.receive(start.elapsed(), &mut input, &mut out) {
//!             match event {
//!                 Event::Mail(mail) => {
//!                     draft.clear();
//!                     mail.accept(&mut out);
//!                 }
//!                 Event::Rcpt(rcpt) if rcpt.to().as_str() == "alice@example.test" => rcpt.accept(&mut out),
//!                 Event::Rcpt(rcpt) => rcpt.reject(Reply::NO_SUCH_MAILBOX, &mut out),
//!                 Event::Data(data) => data.accept(&mut out),
//!                 Event::Chunk(octets) => draft.extend_from_slice(octets),
//!                 Event::End(end) => {
//!                     // On stable storage before it is accepted: who says yes must not lose it.
//!                     inbox.push(std::mem::take(&mut draft));
//!                     end.accept(&mut out);
//!                 }
//!                 _ => {} // unanswered means refused
//!             }
//!             if out.len() > 16_384 {
//!                 to.write_all(&out.split())?;
//!             }
//!         }
//!         let used = buffer.len() - input.len();
//!         buffer.advance(used);
//!     }
//! }
//!
//! let client = b"EHLO client.test\r\nMAIL FROM:<bob@client.test>\r\nRCPT TO:<alice@example.test>\r\n\
//!     DATA\r\nSubject: hello\r\n\r\n..and goodbye\r\n.\r\nQUIT\r\n";
//! let (mut server, mut inbox) = (Vec::new(), Vec::new());
//! assert_eq!(serve(&client[..], &mut server, &mut inbox)?, Reason::Quit);
//! assert_eq!(inbox, [b"Subject: hello\r\n\r\n.and goodbye\r\n"]);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! A driver over a socket is in `examples/smtp_driver.rs`.
//!
//! # Limits
//!
//! | limit | default | least | memory |
//! |---|---|---|---|
//! | [`command_line`](Limits::command_line) | 2,048 octets | 512 | as many, in the caller's buffer |
//! | [`auth_line`](Limits::auth_line) | 12,288 octets | 512 | as many, in the caller's buffer; three quarters more while the event lives |
//! | [`body_line`](Limits::body_line) | 65,536 octets | 998 | none |
//! | [`message`](Limits::message) | 50 MiB | 1 | none |
//! | [`errors`](Limits::errors) | 20 between two accepted messages | | none |
//! | [`junk`](Limits::junk) | 100 between two accepted messages | | none |
//! | [`command_timeout`](Limits::command_timeout) | 5 minutes for a whole line | | |
//! | [`data_timeout`](Limits::data_timeout), [`data_rate`](Limits::data_rate) | 3 minutes, 500 octets a second | | |
//! | client: [`reply_line`](ClientLimits::reply_line), [`reply`](ClientLimits::reply) | 12,288 and 16,384 octets | 512, 4,096 | as many, in the caller's buffer and in the session |
//! | client: [`group`](ClientLimits::group) | 50 commands on their way | 1 | about 300 octets each in `out` |
//! | client: [`greeting`](ClientLimits::greeting), [`command`](ClientLimits::command), [`data_start`](ClientLimits::data_start), [`data_block`](ClientLimits::data_block), [`data_end`](ClientLimits::data_end) | 5, 5, 2, 3, 10 minutes | | |
//!
//! The other memory of a session is the peer's name (255 octets) on a server, the envelope that the caller gave and the
//! reply that is being read on a client.
//!
//! # Standards
//!
//! | RFC | | here |
//! |---|---|---|
//! | [RFC 5321](https://www.rfc-editor.org/rfc/rfc5321) | Simple Mail Transfer Protocol | server and client sessions; not EXPN |
//! | [RFC 1870](https://www.rfc-editor.org/rfc/rfc1870) | SIZE | announced, enforced while reading; sent by clients |
//! | [RFC 2034](https://www.rfc-editor.org/rfc/rfc2034) | ENHANCEDSTATUSCODES | on all replies that may have one; read by clients |
//! | [RFC 2920](https://www.rfc-editor.org/rfc/rfc2920) | PIPELINING | groups in both directions |
//! | [RFC 3207](https://www.rfc-editor.org/rfc/rfc3207) | STARTTLS | no octet from before TLS counts within |
//! | [RFC 4954](https://www.rfc-editor.org/rfc/rfc4954) | AUTH | octets both ways; mechanisms are the caller's, and AUTH= is read and ignored |
//! | [RFC 6152](https://www.rfc-editor.org/rfc/rfc6152) | 8BITMIME | BODY=; octets pass unchanged |
//! | [RFC 6531](https://www.rfc-editor.org/rfc/rfc6531) | SMTPUTF8 | clients say it of a header; not addresses, not servers |
//! | [RFC 3463](https://www.rfc-editor.org/rfc/rfc3463) | Enhanced status codes | those of the replies here |
//!
//! # Modules
//!
//! | module | holds |
//! |---|---|
//! | [`server`] | `ServerSession`, its events and reasons |
//! | [`client`] | `ClientSession`, its events, envelopes and outcomes |
//! | [`command`] | commands: type, parser, encoder |
//! | [`reply`] | replies: type, parser, encoder, the standard ones |
//! | [`address`] | paths, mailboxes, domains |
//! | [`extension`] | EHLO keywords, capabilities, names of mechanisms |
//! | [`data`] | the end of a message and dot-stuffing, in both directions |
//! | [`limits`] | every bound and time-out |
//! | [`error`] | what can be wrong |
#![forbid(unsafe_code)]

pub mod address;
pub mod client;
pub mod command;
pub mod data;
pub mod error;
pub mod extension;
pub mod limits;
mod line;
pub mod reply;
pub mod server;

pub use address::{Domain, ForwardPath, Mailbox, ReversePath};
pub use client::{ClientConfig, ClientSession};
pub use limits::{ClientLimits, Limits};
pub use reply::Reply;
pub use server::{Event, ServerConfig, ServerSession};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
