//! SASL as data: the mechanisms that mail uses, for servers and clients.
//!
//! **It does no I/O.** It opens no socket, starts no thread, sleeps not, logs not, reads no clock and no random source: messages,
//! nonces and salts go in, messages and questions come out. It is not a protocol, not base64 on a wire, not a directory of users
//! and not a throttle: those are the caller's, as is the verdict on a token.
//!
//! ```text
//!  SMTP, POP3, IMAP                                          the caller
//!  response ──▶ receive(response, &mut out) ──▶ Event: Login, Keys, Bearer, External
//!                      │                                │
//!  challenge ◀── out ◀─┴──────── answer, accept, reject ┘        closed() ──▶ who it is, or why not
//! ```
//!
//! Messages are whole, and base64 is the protocol's. After each call, either `closed()` says how the exchange has ended, or what
//! is in `out` is the next message, which may be empty. What only the caller knows is an event, and the event is what is answered;
//! one that is dropped is refused.
//!
//! Names that do not exist cost the same work and see the same octets: with SCRAM, a salt that follows from the name and a secret
//! of the server's, the same at every try. A client believes a yes only from a server that has proven to know the password.
//!
//! ## A driver
//!
//! ```
//! use bytes::BytesMut;
//! use sasl_codec::client::{Binding, ClientSession, Credentials, Event as Asked};
//! use sasl_codec::scram::{Hash, Iterations, Verifier};
//! use sasl_codec::server::Event;
//! use sasl_codec::{Mechanism, Nonce, Password, ServerConfig, ServerSecret, ServerSession};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let password = Password::new("pencil".to_owned())?;
//! // Stored when the password was set. The salt, the nonces and the secret are random, which is left out here.
//! let stored = Verifier::derive(Hash::Sha256, &password, [7; 16], Iterations::LEAST);
//!
//! let config = ServerConfig::new(ServerSecret::new([1; 32]), Iterations::LEAST);
//! let mut server = ServerSession::new(Mechanism::ScramSha256, config, Nonce::new([2; 18]));
//! let credentials = Credentials::new("ann", password)?;
//! let mut client = ClientSession::scram(Hash::Sha256, credentials, Binding::Unsupported, Nonce::new([3; 18]));
//!
//! let (mut response, mut challenge) = (BytesMut::new(), BytesMut::new());
//! client.initial(&mut response); // goes along with the name of client.mechanism()
//! let mut event = server.begin(Some(&response.split()), &mut challenge);
//! let name = loop {
//!     match event {
//!         Some(Event::Keys(keys)) => {
//!             let found = (keys.name() == "ann").then_some(&stored);
//!             let known_as = keys.name().to_lowercase();
//!             keys.answer(found, &known_as, &mut challenge);
//!         }
//!         Some(Event::Login(login)) => login.reject(), // PLAIN: is this the password?
//!         _ => {}                                      // unanswered means refused
//!     }
//!     if let Some(result) = server.closed() {
//!         client.handle_outcome(result.is_ok()); // 235, +OK, OK; or the opposite
//!         break result?.name().map(str::to_owned);
//!     }
//!     match client.receive(&challenge.split(), &mut response) {
//!         Some(Asked::Derive(derive)) => derive.run(&mut response), // takes its time
//!         _ => {}
//!     }
//!     event = server.receive(&response.split(), &mut challenge);
//! };
//! assert_eq!(name.as_deref(), Some("ann"));
//! assert_eq!(client.closed(), Some(Ok(())));
//! # Ok(())
//! # }
//! ```
//!
//! `examples/responses.rs` answers the challenges of a server on standard input.
//!
//! ## Limits
//!
//! Each one is a setter of `Limits`, which says why.
//!
//! | what | default | beyond it |
//! |---|---|---|
//! | a message | 9,216 octets | the exchange ends |
//! | a name, a password | 320 and 1,024 octets | the exchange ends |
//! | a nonce, a salt | 512 and 256 octets | the exchange ends |
//! | iterations that a server may ask of a client | 4,096 to 600,000 | the client ends the exchange |
//! | round trips | 2, with one for a client that sends nothing at first | |
//! | memory | four messages | |
//!
//! ## RFCs
//!
//! | RFC | | |
//! |---|---|---|
//! | 4013 | SASLprep | names on both sides; passwords that it prohibits are taken as they are |
//! | 4422 | Simple Authentication and Security Layer | EXTERNAL; no security layers, which TLS has replaced |
//! | 4616 | PLAIN | whole |
//! | 5802 | SCRAM-SHA-1 and -PLUS | whole, but for `tls-unique`; a server says no without `e=` |
//! | 5803 | the stored form of SCRAM | `Verifier::encode` and `parse` |
//! | 5929 | `tls-server-end-point` | the hash is the caller's to make |
//! | 7628 | OAUTHBEARER | whole; what the token is worth, the caller says |
//! | 7677 | SCRAM-SHA-256 and -PLUS | whole |
//! | 9266 | `tls-exporter` | the 32 octets are the caller's to export |
//!
//! LOGIN and XOAUTH2 have no RFC; they are here as they are in use.
//!
//! ## Modules
//!
//! | module | |
//! |---|---|
//! | `server`, `client` | the two sides and their events |
//! | `mechanism` | the mechanisms by name |
//! | `scram` | its arithmetic, and what a server stores; `scram::message` has the four messages |
//! | `oauth` | the messages of OAUTHBEARER and XOAUTH2 |
//! | `binding` | what ties a login to its TLS connection |
//! | `secret`, `prepare` | passwords, tokens, nonces; one form for names that look alike |
//! | `limits`, `error` | every bound; what can be wrong |
#![forbid(unsafe_code)]

pub mod binding;
pub mod client;
pub mod error;
pub mod limits;
pub mod mechanism;
pub mod oauth;
pub mod prepare;
pub mod scram;
pub mod secret;
pub mod server;

pub use binding::ChannelBinding;
pub use client::ClientSession;
pub use limits::Limits;
pub use mechanism::Mechanism;
pub use secret::{Nonce, Password, ServerSecret};
pub use server::{ServerConfig, ServerSession};

/// What the README shows compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
