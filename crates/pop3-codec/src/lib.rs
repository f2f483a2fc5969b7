//! POP3 as data: grammar, framing, and sessions for servers and clients.
//!
//! **It does no I/O.** It opens no socket, starts no thread, sleeps not, logs not and reads no clock: octets and the time
//! go in, octets and events come out. It is not a mail store, not a TLS library and not a server: those are the caller's, as
//! is the exclusive lock on a mailbox that [RFC 1939 §4](https://www.rfc-editor.org/rfc/rfc1939#section-4) demands for the time between login and QUIT.
//!
//! ```text
//!  octets in ──▶ receive(now, &mut input, &mut out) ──▶ Event: Login, Auth, Retrieve, Stls, Update
//!                           │                                     │
//!  octets out ◀── out: BytesMut ◀── accept(&mut out), reject(reply, &mut out)
//! ```
//!
//! The session answers what is a matter of grammar, order and numbers. What wants a decision is an event, and the event is
//! what is answered; one that is dropped is refused. Messages go out in pieces of the caller's choice and come in as slices of
//! the caller's buffer: nothing holds a message whole.
//!
//! ## A driver
//!
//! ```
//! use std::io::{self, Read, Write};
//! use std::time::Instant;
//!
//! use bytes::{Buf, BytesMut};
//! use pop3_codec::server::Reason;
//! use pop3_codec::{Event, Maildrop, Reply, ServerConfig, ServerSession, UniqueId};
//!
//! /// A mailbox in memory.
//! struct Messages(Vec<Vec<u8>>);
//!
//! impl Maildrop for Messages {
//!     fn len(&self) -> usize {
//!         self.0.len()
//!     }
//!     fn size(&self, index: usize) -> u64 {
//!         self.0[index].len() as u64
//!     }
//!     fn unique_id(&self, index: usize) -> UniqueId {
//!         UniqueId::new(&format!("message-{index}")).expect("visible ASCII")
//!     }
//! }
//!
//! fn serve(mut from: impl Read, mut to: impl Write) -> io::Result<Reason> {
//!     let start = Instant::now();
//!     let (mut chunk, mut buffer, mut out) = ([0; 4096], BytesMut::new(), BytesMut::new());
//!     let config = ServerConfig::new().implicit_tls(); // the two ends of a TLS stream, let us say
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
//!                 Event::Login(login) if (login.user(), login.password()) == ("ann", "secret") => {
//!                     login.accept(Messages(vec![b"Subject: hello\r\n\r\n.\r\n".to_vec()]), &mut out);
//!                 }
//!                 Event::Login(login) => login.reject(Reply::AUTH_FAILED, &mut out),
//!                 Event::Retrieve(retrieve) => {
//!                     let text = retrieve.maildrop().0[retrieve.index()].clone();
//!                     let mut message = retrieve.accept(&mut out);
//!                     message.write(&text, &mut out);
//!                     message.finish(&mut out);
//!                 }
//!                 // Says +OK: the messages in update.deleted() are gone from the disk by now.
//!                 Event::Update(update) => update.accept(&mut out),
//!                 _ => {} // Event::Continue wants nothing but the flush; anything else is refused
//!             }
//!             to.write_all(&out.split())?;
//!         }
//!         let used = buffer.len() - input.len();
//!         buffer.advance(used);
//!     }
//! }
//!
//! let (client, mut server) = (b"USER ann\r\nPASS secret\r\nRETR 1\r\nDELE 1\r\nQUIT\r\n", Vec::new());
//! let reason = serve(&client[..], &mut server)?;
//! assert_eq!(reason, Reason::Quit);
//! assert!(server.ends_with(b"Subject: hello\r\n\r\n..\r\n.\r\n+OK\r\n+OK goodbye\r\n"));
//! # Ok::<(), io::Error>(())
//! ```
//!
//! With tokio it is the same loop around `select!`; [`client`] has one for the other side.
//! `examples/pop3_driver.rs` is a server on a socket.
//!
//! ## Limits
//!
//! Each one is a setter of [`Limits`] or [`ClientLimits`], which say why.
//!
//! | what | default | beyond it |
//! |---|---|---|
//! | a command line | 512 octets | swallowed, `-ERR` |
//! | a response within AUTH | 12,288 octets | swallowed, `-ERR` |
//! | mistakes and failed logins | 20 | `-ERR`, closed |
//! | silence of a client | 10 minutes | closed, nothing is deleted |
//! | what one call of a server's `receive` writes | 17 KiB | `Event::Continue` |
//! | a line of a response | 2,048 octets | closed |
//! | commands that wait for a response | 256 | the caller is told |
//! | silence of a server | 5 minutes | closed |
//! | memory | one bit for each message | |
//!
//! ## RFCs
//!
//! | RFC | | |
//! |---|---|---|
//! | 1939 | Post Office Protocol - Version 3 | all but APOP, which wants passwords in the clear on the server's disk |
//! | 2449 | POP3 Extension Mechanism | all |
//! | 2595 | Using TLS with IMAP, POP3 and ACAP | STLS |
//! | 3206 | The SYS and AUTH POP Response Codes | both |
//! | 5034 | SASL Authentication Mechanism | both; the mechanisms are the caller's |
//! | 6856 | POP3 Support for UTF-8 | UTF8 and LANG; what a client gets that does not ask for UTF-8 is the caller's; a server speaks English |
//!
//! ## What is announced
//!
//! A server's answer to CAPA is made of what the session does, and of what its configuration says that the host does:
//!
//! | capability | there |
//! |---|---|
//! | TOP, UIDL, PIPELINING, RESP-CODES, LANG | always: the session does them |
//! | AUTH-RESP-CODE | always: a host says no to a name or a password with `Reply::AUTH_FAILED` |
//! | USER | where logins are offered: under TLS, or with `plaintext_auth` |
//! | SASL | there too, if there are `mechanisms` |
//! | STLS | with `stls`, until TLS is on or somebody has logged in |
//! | UTF8, UTF8 USER | with `utf8`, with `utf8_logins` |
//! | EXPIRE | with `expire` |
//! | IMPLEMENTATION | with `implementation`, behind a login |
//! | LOGIN-DELAY | never |
//!
//! ## Modules
//!
//! | module | |
//! |---|---|
//! | `server` | the server's session and its events; `maildrop` is what it sees of a mailbox |
//! | `client` | the client's session and its events |
//! | `command`, `reply`, `capability`, `language` | the grammar: type, parser, encoder |
//! | `data` | dot-stuffing, both directions |
//! | `limits`, `error` | every bound and time-out; what can be wrong |
#![forbid(unsafe_code)]

pub mod capability;
pub mod client;
pub mod command;
pub mod data;
pub mod error;
pub mod language;
pub mod limits;
mod line;
pub mod maildrop;
pub mod reply;
mod secret;
pub mod server;

pub use capability::Capabilities;
pub use client::{ClientConfig, ClientSession};
pub use limits::{ClientLimits, Limits};
pub use maildrop::{Maildrop, UniqueId};
pub use reply::Reply;
pub use server::{Event, ServerConfig, ServerSession};

/// What the README shows compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
