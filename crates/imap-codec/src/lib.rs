//! IMAP as data: grammar, framing, and sessions for servers and clients, IMAP4rev2 with IMAP4rev1 as a mode.
//!
//! **It does no I/O.** It opens no socket, starts no thread, sleeps not, logs not and reads no clock: octets and the time
//! go in, octets and events come out. It is not a mail store, keeps no map of sequence numbers, and is not a SASL mechanism, not a
//! TLS library and not a server: those are the caller's. A message is never held whole: it goes through in slices, in both
//! directions.
//!
//! ```text
//!  octets in ──▶ receive(now, &mut input, &mut out) ──▶ Event: Command(verb, answer), Append, Chunk, AppendEnd, Idle, ...
//!                  │ lines and literals, then grammar       │
//!  octets out ◀── out: BytesMut ◀── answer.untagged(&data, &mut out)*, answer.literal(&head, size, &mut out)*,
//!                                   then one of answer.ok(..), answer.no(..), answer.bad(..)
//! ```
//!
//! Commands are found before they are understood: lines and literals first, words second. A command that makes no sense is
//! answered BAD, and no octet of a literal is ever taken for a command. A command is one slice of the caller's buffer, looked
//! at once and borrowed from; APPEND is an event before its message comes, and can be refused unread. Extensions are chosen at
//! run time; what is off is not announced and not understood.
//!
//! # A driver
//!
//! ```
//! use std::io::{self, Read, Write};
//! use std::num::NonZeroU32;
//! use std::time::Instant;
//!
//! use bytes::{Buf, BytesMut};
//! use imap_codec::command::Verb;
//! use imap_codec::extension::Extensions;
//! use imap_codec::response::{Code, Data, Source};
//! use imap_codec::server::{Head, Reason};
//! use imap_codec::{Event, ServerConfig, ServerSession};
//!
//! /// Any two halves of a connection, and the messages of the one mailbox there is.
//! fn serve(mut from: impl Read, mut to: impl Write, inbox: &mut Vec<Vec<u8>>) -> io::Result<Reason> {
//!     let start = Instant::now();
//!     let (mut chunk, mut buffer, mut out) = ([0; 4096], BytesMut::new(), BytesMut::new());
//!     let mut draft = Vec::new();
//!     let config = ServerConfig::new(Extensions::rev2()).plaintext_auth();
//!     let mut session = ServerSession::new(config, start.elapsed(), &mut out);
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
//!                 Event::Command(Verb::Login { user, .. }, answer) if user.as_bytes() == b"ann" => {
//!                     answer.ok("welcome", &mut out);
//!                 }
//!                 Event::Command(Verb::Login { .. }, answer) => {
//!                     answer.no((Code::AuthenticationFailed, "no"), &mut out);
//!                 }
//!                 Event::Command(Verb::Select(_), mut answer) => {
//!                     answer.untagged(&Data::Exists(inbox.len() as u32), &mut out);
//!                     answer.ok((Code::ReadWrite, "selected"), &mut out);
//!                 }
//!                 Event::Command(Verb::Fetch { set, .. }, mut answer) => {
//!                     for (number, message) in (1..).zip(inbox.iter()) {
//!                         if set.contains(number, inbox.len() as u32) {
//!                             let number = NonZeroU32::new(number).expect("from one up");
//!                             let source = Source::Body(Default::default(), None);
//!                             let head = Head { number, items: &[], source };
//!                             // A real one asks what was asked for, and writes what the store gives, piece by piece.
//!                             let mut literal = answer.literal(&head, message.len() as u64, &mut out);
//!                             literal.write(message, &mut out);
//!                             literal.finish(&[], &mut out);
//!                         }
//!                     }
//!                     answer.ok("fetched", &mut out);
//!                 }
//!                 Event::Append(append) if append.append().mailbox.is_inbox() => append.accept(&mut out),
//!                 Event::Append(append) => append.no((Code::TryCreate, "no such mailbox"), &mut out),
//!                 Event::Chunk(octets) => draft.extend_from_slice(octets),
//!                 Event::AppendAborted => draft.clear(),
//!                 Event::AppendEnd(answer) => {
//!                     // On stable storage before it is answered: who says OK must not lose it.
//!                     inbox.push(std::mem::take(&mut draft));
//!                     answer.ok("kept", &mut out);
//!                 }
//!                 _ => {} // unanswered means BAD
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
//! let client = b"a LOGIN ann secret\r\nb APPEND INBOX {7+}\r\nhello\r\n\r\nc SELECT INBOX\r\nd FETCH 1 BODY[]\r\ne LOGOUT\r\n";
//! let (mut server, mut inbox) = (Vec::new(), Vec::new());
//! assert_eq!(serve(&client[..], &mut server, &mut inbox)?, Reason::Logout);
//! let said = String::from_utf8(server).expect("ASCII");
//! assert!(said.contains("c OK [READ-WRITE] selected\r\n* 1 FETCH (BODY[] {7}\r\nhello\r\n)\r\nd OK fetched\r\n"));
//! # Ok::<(), io::Error>(())
//! ```
//!
//! A driver over a socket, with IDLE, is in `examples/imap_driver.rs`; the one of a client is on the page of `client`.
//!
//! # Limits
//!
//! | limit | default | least | memory |
//! |---|---|---|---|
//! | [`early_command`](Limits::early_command) | 18,432 octets of a command before a login | 1,024 | as many, in the caller's buffer; three quarters more while a response of AUTHENTICATE is shown: below 32 KiB |
//! | [`line`](Limits::line), [`literals`](Limits::literals) | 65,536 and 131,072 octets of a command after a login | 1,024, 0 | as many, in the caller's buffer; lists of a command take up to 64 KiB more |
//! | [`append`](Limits::append) | 50 MiB | | none |
//! | [`discard`](Limits::discard) | 64 MiB of a literal that is refused and comes anyway | | none |
//! | [`errors`](Limits::errors) | 20 in a row | | none |
//! | nesting of search keys, of MIME parts | 32 | | |
//! | patterns of LIST, fields of ID, limits of SETQUOTA | 1,000, 100, 100 | | up to 64 octets each |
//! | tags | 128 octets | | as many |
//! | [`login_timeout`](Limits::login_timeout), [`idle_timeout`](Limits::idle_timeout), [`append_timeout`](Limits::append_timeout) | 1, 30, 5 minutes | | |
//! | client: [`line`](ClientLimits::line), [`literals`](ClientLimits::literals) | 1 MiB and 64 KiB of a response; larger literals of FETCH go through in chunks | 1,024, 0 | as many, in the caller's buffer; what is read from them takes up to some forty times as many |
//! | client: [`queue`](ClientLimits::queue) | 16 commands on their way | 1 | a few octets each |
//! | client: [`greeting`](ClientLimits::greeting), [`response`](ClientLimits::response), [`idle`](ClientLimits::idle) | 1, 5, 28 minutes | | |
//!
//! # Standards
//!
//! | RFC | | here |
//! |---|---|---|
//! | [RFC 9051](https://www.rfc-editor.org/rfc/rfc9051) | IMAP4rev2 | server and client sessions |
//! | [RFC 3501](https://www.rfc-editor.org/rfc/rfc3501) | IMAP4rev1 | as a mode: modified UTF-7, LSUB, CHECK, RECENT, SEARCH, RFC822 |
//! | [RFC 2177](https://www.rfc-editor.org/rfc/rfc2177) | IDLE | |
//! | [RFC 2342](https://www.rfc-editor.org/rfc/rfc2342) | NAMESPACE | |
//! | [RFC 2971](https://www.rfc-editor.org/rfc/rfc2971) | ID | |
//! | [RFC 3348](https://www.rfc-editor.org/rfc/rfc3348) | CHILDREN | |
//! | [RFC 3516](https://www.rfc-editor.org/rfc/rfc3516) | BINARY | FETCH only, as in IMAP4rev2 |
//! | [RFC 3691](https://www.rfc-editor.org/rfc/rfc3691) | UNSELECT | |
//! | [RFC 4315](https://www.rfc-editor.org/rfc/rfc4315) | UIDPLUS | |
//! | [RFC 4731](https://www.rfc-editor.org/rfc/rfc4731), [RFC 5182](https://www.rfc-editor.org/rfc/rfc5182) | ESEARCH, SEARCHRES | |
//! | [RFC 4959](https://www.rfc-editor.org/rfc/rfc4959) | SASL-IR | |
//! | [RFC 5161](https://www.rfc-editor.org/rfc/rfc5161) | ENABLE | |
//! | [RFC 5258](https://www.rfc-editor.org/rfc/rfc5258), [RFC 5819](https://www.rfc-editor.org/rfc/rfc5819), [RFC 8438](https://www.rfc-editor.org/rfc/rfc8438) | LIST-EXTENDED, LIST-STATUS, STATUS=SIZE | |
//! | [RFC 5530](https://www.rfc-editor.org/rfc/rfc5530) | response codes | |
//! | [RFC 6154](https://www.rfc-editor.org/rfc/rfc6154) | SPECIAL-USE, CREATE-SPECIAL-USE | |
//! | [RFC 6851](https://www.rfc-editor.org/rfc/rfc6851) | MOVE | |
//! | [RFC 7162](https://www.rfc-editor.org/rfc/rfc7162) | CONDSTORE | not QRESYNC |
//! | [RFC 7888](https://www.rfc-editor.org/rfc/rfc7888) | LITERAL+, LITERAL- | one of them |
//! | [RFC 7889](https://www.rfc-editor.org/rfc/rfc7889) | APPENDLIMIT | |
//! | [RFC 9208](https://www.rfc-editor.org/rfc/rfc9208) | QUOTA, QUOTASET | |
//!
//! # Modules
//!
//! | module | holds |
//! |---|---|
//! | [`server`] | `ServerSession`, its events and reasons |
//! | [`client`] | `ClientSession`, its events and reasons |
//! | [`command`] | commands: types, parser, encoder |
//! | [`response`] | responses: types, parser, encoder |
//! | [`types`] | strings, tags, sequence sets, flags, dates, mailboxes, envelopes, structures |
//! | [`extension`] | what can be switched on and off, one module for each that has a grammar of its own |
//! | [`fragment`] | where commands and responses end |
//! | [`encode`] | how values are written |
//! | [`limits`] | every bound and time-out |
//! | [`error`] | what can be wrong |
#![forbid(unsafe_code)]

pub mod client;
pub mod command;
pub mod encode;
pub mod error;
pub mod extension;
pub mod fragment;
pub mod limits;
mod parse;
pub mod response;
pub mod server;
pub mod types;

pub use client::{ClientConfig, ClientSession};
pub use command::Verb;
pub use limits::{ClientLimits, Limits};
pub use response::Reply;
pub use server::{Event, ServerConfig, ServerSession};
pub use types::Mailbox;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
