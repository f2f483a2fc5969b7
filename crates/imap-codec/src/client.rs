//! The client's side of a session.
//!
//! Commands are [sent](ClientSession::send) when the caller likes, several at once where
//! [RFC 9051 §5.5](https://www.rfc-editor.org/rfc/rfc9051#section-5.5) allows it; what the server says comes as [`Event`]s. The
//! session asks for the capabilities by itself, waits before it sends a literal if it has to, sends no secret without TLS,
//! and leaves IDLE in time. A driver reads while it writes: the server may be full of things to say.
//!
//! ```
//! use std::io::{self, Read, Write};
//! use std::time::Instant;
//!
//! use bytes::{Buf, BytesMut};
//! use imap_codec::client::{Event, Reason};
//! use imap_codec::command::{Password, Verb};
//! use imap_codec::response::Data;
//! use imap_codec::types::{IString, Mailbox};
//! use imap_codec::{ClientConfig, ClientSession};
//!
//! /// How many messages are in INBOX?
//! fn count(mut from: impl Read, mut to: impl Write) -> io::Result<(Reason, Option<u32>)> {
//!     let start = Instant::now();
//!     let (mut chunk, mut buffer, mut out) = ([0; 4096], BytesMut::new(), BytesMut::new());
//!     let mut session = ClientSession::new(ClientConfig::new().implicit_tls(), start.elapsed(), &mut out);
//!     let mut messages = None;
//!     loop {
//!         let mut input = &buffer[..];
//!         let mut next = None;
//!         while let Some(event) = session.receive(start.elapsed(), &mut input, &mut out) {
//!             match event {
//!                 Event::Data(Data::Exists(count)) => messages = Some(count),
//!                 Event::Ready | Event::Done { .. } => next = Some(()),
//!                 _ => {}
//!             }
//!             let verb = match next.take() {
//!                 None => continue,
//!                 Some(()) if !session.is_authenticated() => Verb::Login {
//!                     user: IString::try_from("ann").unwrap(),
//!                     password: Password(IString::try_from("secret").unwrap()),
//!                 },
//!                 Some(()) if !session.is_selected() => Verb::Select(Mailbox::INBOX.into()),
//!                 Some(()) => Verb::Logout,
//!             };
//!             // Behind the last event there may be nothing to send; a command in progress is answered first.
//!             let _ = session.send(&verb, &mut out);
//!         }
//!         let used = buffer.len() - input.len();
//!         buffer.advance(used);
//!         to.write_all(&out.split())?;
//!         if let Some(reason) = session.closed() {
//!             return Ok((reason, messages));
//!         }
//!         // Until session.poll_timeout(); then session.handle_timeout(start.elapsed(), &mut out).
//!         match from.read(&mut chunk)? {
//!             0 => session.handle_eof(),
//!             count => buffer.extend_from_slice(&chunk[..count]),
//!         }
//!     }
//! }
//!
//! let server = b"* OK [CAPABILITY IMAP4rev1] hello\r\na1 OK [CAPABILITY IMAP4rev1] in\r\n\
//!     * 5 EXISTS\r\na2 OK [READ-WRITE] selected\r\n* BYE\r\na3 OK bye\r\n";
//! let mut sent = Vec::new();
//! assert_eq!(count(&server[..], &mut sent)?, (Reason::Logout, Some(5)));
//! assert_eq!(sent, b"a1 LOGIN ann secret\r\na2 SELECT INBOX\r\na3 LOGOUT\r\n");
//! # Ok::<(), io::Error>(())
//! ```

mod event;
mod state;

use core::num::NonZeroU32;
use core::time::Duration;
use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

pub use self::event::{Challenge, Event};
use self::state::{Kind, State};
use crate::command::{Append, Authenticate, Command, Verb, decode_base64};
use crate::encode::{Names, Wire, Writer};
use crate::error::{ParseError, SendError};
use crate::extension::{Capabilities, Extension};
use crate::fragment::{Bounds, Fragment, Fragmenter, Sender};
use crate::limits::ClientLimits;
use crate::response::fetch::{Hole, parse_tail};
use crate::response::{Code, Condition, Data, Response, Status};
use crate::types::string::Atom;
use crate::types::tag::Tag;

/// What a session needs to know beforehand.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    limits: ClientLimits,
    tls: bool,
    plaintext_auth: bool,
}

impl ClientConfig {
    /// A connection without TLS, over which no password is sent before STARTTLS, and no PREAUTH is believed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Other bounds than the default ones.
    pub fn limits(mut self, limits: ClientLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The connection is under TLS from its first octet.
    pub fn implicit_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Passwords may be sent without TLS. For tests on loopback.
    pub fn plaintext_auth(mut self) -> Self {
        self.plaintext_auth = true;
        self
    }
}

/// Which command an [`Event::Done`] ends.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CommandId(u32);

impl core::fmt::Display for CommandId {
    /// The tag on the wire.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "a{}", self.0)
    }
}

/// Why a session has ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The server has answered LOGOUT.
    Logout,
    /// The server said BYE; its words came as [`Event::Data`] or [`Event::Greeting`].
    Bye,
    /// The server closed the connection without a word.
    Eof,
    /// The server was too slow: [`ClientLimits::greeting`], [`ClientLimits::response`].
    Timeout,
    /// What came first is no greeting, or the answer to a command that was not sent.
    Garbled,
    /// Octets came behind the answer to STARTTLS before TLS did: an attempt to inject responses.
    PlaintextBehindStartTls,
    /// PREAUTH came without TLS, which leaves no way to start it.
    PreAuthWithoutTls,
    /// [`ClientSession::close`].
    Closed,
}

/// The client's side of one IMAP connection.
///
/// The [module](self) shows a driver.
#[derive(Debug)]
pub struct ClientSession {
    core: Core,
    fragmenter: Fragmenter,
    /// The message whose FETCH response has a literal that is streamed.
    fetching: Option<NonZeroU32>,
    /// The last challenge, decoded.
    challenge: Vec<u8>,
}

/// What an event borrows to write a response.
#[derive(Debug)]
pub(super) struct Core {
    config: ClientConfig,
    state: State,
    queue: VecDeque<(u32, Kind)>,
    last: u32,
    capabilities: Capabilities<'static>,
    /// They are those of the state that the session is in.
    known: bool,
    /// [`Event::Ready`] is to come.
    ready: bool,
    names: Names,
    /// A mailbox has been asked for, so it is too late for ENABLE.
    asked_mailbox: bool,
    /// The rest of a command whose next literal waits for a continuation, and how long the next pieces are.
    rest: BytesMut,
    pieces: VecDeque<usize>,
    upload: Upload,
    idling: Idling,
    /// The initial response, for a server that does not take it with the command.
    initial: Initial,
    /// The login that is on its way is AUTHENTICATE, so that a continuation is a challenge.
    authenticating: bool,
    /// A challenge is still to be answered.
    challenged: bool,
    bye: bool,
    tls: bool,
    deadline: Option<Duration>,
    /// The deadline starts anew at the next call, which knows the time.
    restart: bool,
    reason: Option<Reason>,
}

/// The message of an APPEND.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Upload {
    None,
    /// The server has not let it come.
    Waiting(u64),
    /// It may come, which the caller is still to be told.
    Ready(u64),
    /// So many octets are still to come.
    Open(u64),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Idling {
    No,
    /// IDLE is sent.
    Asked,
    Yes,
    /// The caller wants to leave before IDLE was accepted: DONE follows the continuation.
    Early,
    /// DONE is sent.
    Leaving,
}

/// A response that is kept for a moment. It is never printed.
#[derive(Default)]
struct Initial(Option<Vec<u8>>);

impl core::fmt::Debug for Initial {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Initial(..)")
    }
}

impl Initial {
    fn wipe(&mut self) {
        if let Some(mut octets) = self.0.take() {
            octets.fill(0);
            // Or else the compiler may leave out a write to what nobody reads again.
            core::hint::black_box(&mut octets);
        }
    }
}

impl Drop for Initial {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl ClientSession {
    /// Begins a session; the server speaks first.
    pub fn new(config: ClientConfig, now: Duration, _out: &mut BytesMut) -> Self {
        let core = Core {
            deadline: Some(now.saturating_add(config.limits.greeting)),
            tls: config.tls,
            config,
            state: State::Greeting,
            queue: VecDeque::new(),
            last: 0,
            capabilities: Capabilities::default(),
            known: false,
            ready: false,
            names: Names::Utf7,
            asked_mailbox: false,
            rest: BytesMut::new(),
            pieces: VecDeque::new(),
            upload: Upload::None,
            idling: Idling::No,
            initial: Initial::default(),
            authenticating: false,
            challenged: false,
            bye: false,
            restart: false,
            reason: None,
        };
        Self { core, fragmenter: Fragmenter::new(Sender::Server), fetching: None, challenge: Vec::new() }
    }

    /// Takes octets from `input` up to the next event and writes what the session itself has to say to `out`.
    ///
    /// `None` means that more input is needed, or that the session is [closed](Self::closed) or waits for
    /// [TLS](Self::wants_tls). What is left of `input` has to be there again, with more behind it, at the next call.
    pub fn receive<'s, 'i: 's>(
        &'s mut self,
        now: Duration,
        input: &mut &'i [u8],
        out: &mut BytesMut,
    ) -> Option<Event<'s>> {
        if self.core.challenged {
            self.core.cancel(out);
        }
        if core::mem::take(&mut self.core.restart) {
            self.core.restart_deadline(now);
        }
        // Nothing that comes behind BYE counts, but the answer to LOGOUT.
        if self.core.bye && !self.core.queue.iter().any(|(_, kind)| *kind == Kind::Logout) {
            self.core.end(Reason::Bye);
        }
        loop {
            match self.core.state {
                State::Closed => return None,
                State::TlsWanted => {
                    // RFC 9051 §6.2.1: what came before TLS must not be taken for what came within it.
                    if !input.is_empty() {
                        self.core.end(Reason::PlaintextBehindStartTls);
                    }
                    return None;
                }
                _ => {}
            }
            if let Upload::Ready(size) = self.core.upload {
                self.core.open_upload(size, out);
                return Some(Event::AppendReady);
            }
            if self.core.ready && self.core.queue.is_empty() && !self.core.bye {
                if self.core.known {
                    self.core.ready = false;
                    return Some(Event::Ready);
                }
                self.core.begin(Kind::Capability, &Verb::Capability, out);
                self.core.restart_deadline(now);
            }
            if let Some(chunk) = self.fragmenter.chunk(input) {
                self.core.restart_deadline(now);
                return Some(Event::Chunk(chunk));
            }
            if self.fragmenter.left().is_some_and(|left| left > 0) {
                return None;
            }
            let bounds = self.core.bounds();
            let fragment = self.fragmenter.next(input, &bounds, false)?;
            self.core.restart_deadline(now);
            match fragment {
                Fragment::Announced { literal, .. } if literal.fits => {}
                Fragment::Announced { head, literal } => match Hole::parse(head, self.fetching.is_some()) {
                    Some(Hole { number, items, source }) => {
                        self.fragmenter.stream(input);
                        let number = number.or(self.fetching).expect("known, or read just now");
                        self.fetching = Some(number);
                        return Some(Event::Literal { number, items, source, size: literal.size });
                    }
                    None => self.fragmenter.refuse(input),
                },
                Fragment::TooLong { .. } => {}
                Fragment::Swallowed | Fragment::Flood => {
                    if self.core.state == State::Greeting {
                        self.core.end(Reason::Garbled);
                        return None;
                    }
                    return Some(match self.fetching.take() {
                        Some(number) => Event::LiteralEnd { number, items: Vec::new() },
                        None => Event::Skipped,
                    });
                }
                Fragment::Whole { message, .. } => {
                    if let Some(number) = self.fetching.take() {
                        let items = parse_tail(message).unwrap_or_default();
                        return Some(Event::LiteralEnd { number, items });
                    }
                    let turn = self.core.understand(message, &mut self.challenge, out);
                    self.core.restart_deadline(now);
                    match turn {
                        Turn::Done => {}
                        Turn::Event(event) => return Some(event),
                        Turn::Challenge => {
                            self.core.challenged = true;
                            let data = &self.challenge[..];
                            return Some(Event::Challenge(Challenge { core: &mut self.core, data }));
                        }
                    }
                }
            }
        }
    }

    /// Sends a command: all but those that have methods of their own here.
    pub fn send(&mut self, verb: &Verb<'_>, out: &mut BytesMut) -> Result<CommandId, SendError> {
        if matches!(verb, Verb::Append(_) | Verb::Idle | Verb::StartTls | Verb::Authenticate(_)) {
            return Err(SendError::OwnMethod);
        }
        let kind = Kind::of(verb);
        self.core.check(verb, kind)?;
        if matches!(verb, Verb::Login { .. }) && self.core.capabilities.contains("LOGINDISABLED") {
            return Err(SendError::NotAnnounced);
        }
        Ok(self.core.begin(kind, verb, out))
    }

    /// Sends STARTTLS. What the server announced before is forgotten, and asked anew under TLS.
    pub fn starttls(&mut self, out: &mut BytesMut) -> Result<CommandId, SendError> {
        self.core.check(&Verb::StartTls, Kind::StartTls)?;
        if self.core.tls {
            return Err(SendError::State);
        }
        // RFC 9051 §6.2.1: offered or not, asking costs nothing; a list without it may be a forgery.
        Ok(self.core.begin(Kind::StartTls, &Verb::StartTls, out))
    }

    /// Sends AUTHENTICATE. Where the server does not take the initial response with it, it is kept for the first challenge.
    pub fn authenticate(
        &mut self,
        mechanism: Atom<'_>,
        initial: Option<&[u8]>,
        out: &mut BytesMut,
    ) -> Result<CommandId, SendError> {
        let verb = Verb::Authenticate(Authenticate::new(mechanism.clone()));
        self.core.check(&verb, Kind::Login)?;
        if !self.core.capabilities.mechanisms().any(|name| name.eq_ignore_ascii_case(mechanism.as_str())) {
            return Err(SendError::NotAnnounced);
        }
        let text;
        let verb = match initial {
            Some(initial) if self.core.capabilities.has(Extension::SaslIr) => {
                text = if initial.is_empty() { "=".to_owned() } else { STANDARD.encode(initial) };
                Verb::Authenticate(Authenticate::with_initial(mechanism, &text))
            }
            _ => {
                self.core.initial = Initial(initial.map(<[u8]>::to_vec));
                verb
            }
        };
        let id = self.core.begin(Kind::Login, &verb, out);
        self.core.authenticating = true;
        Ok(id)
    }

    /// Sends IDLE, which the server accepts with [`Event::Idling`].
    pub fn idle(&mut self, out: &mut BytesMut) -> Result<CommandId, SendError> {
        self.core.check(&Verb::Idle, Kind::Idle)?;
        self.core.idling = Idling::Asked;
        Ok(self.core.begin(Kind::Idle, &Verb::Idle, out))
    }

    /// Ends IDLE; its [`Event::Done`] follows. Outside IDLE it does nothing.
    pub fn idle_done(&mut self, out: &mut BytesMut) {
        self.core.leave_idle(out);
    }

    /// Sends APPEND up to its message, which may be written after [`Event::AppendReady`].
    ///
    /// A message that is too large for what the server announces is refused here.
    pub fn append(
        &mut self,
        append: &Append<'_>,
        size: u64,
        out: &mut BytesMut,
    ) -> Result<CommandId, SendError> {
        let verb = Verb::Append(append.clone());
        self.core.check(&verb, Kind::Append)?;
        if self.core.capabilities.append_limit().is_some_and(|limit| size > limit) {
            return Err(SendError::NotAnnounced);
        }
        let wire = self.core.wire();
        let mut command = self.core.encode(&verb);
        Writer::new(wire, &mut command).literal_head(size);
        self.core.upload = Upload::Waiting(size);
        Ok(self.core.transmit(Kind::Append, command, out))
    }

    /// Octets of the message of APPEND that are still to be written; `None` where none may be.
    pub const fn append_left(&self) -> Option<u64> {
        match self.core.upload {
            Upload::Open(left) => Some(left),
            _ => None,
        }
    }

    /// Writes the next octets of the message of APPEND; what goes beyond its size is left out. How many were written is
    /// given back. Once all have been, the answer comes as [`Event::Done`].
    ///
    /// A message has to be written to its end even if [`Event::Done`] comes before: the server counts its octets.
    pub fn append_write(&mut self, octets: &[u8], out: &mut BytesMut) -> usize {
        let Upload::Open(left) = self.core.upload else {
            return 0;
        };
        let count = left.min(octets.len() as u64);
        out.extend_from_slice(&octets[..count as usize]);
        self.core.restart = true;
        self.core.open_upload(left - count, out);
        count as usize
    }

    /// Tells the session that time has passed. Before [`Self::poll_timeout`] it does nothing.
    pub fn handle_timeout(&mut self, now: Duration, out: &mut BytesMut) {
        if core::mem::take(&mut self.core.restart) {
            self.core.restart_deadline(now);
        }
        if self.core.deadline.is_none_or(|deadline| now < deadline) {
            return;
        }
        if self.core.idling == Idling::Yes {
            self.core.leave_idle(out);
            self.core.restart_deadline(now);
        } else {
            self.core.end(Reason::Timeout);
        }
    }

    /// Tells the session that the server will send nothing more.
    pub fn handle_eof(&mut self) {
        self.core.end(if self.core.bye { Reason::Bye } else { Reason::Eof });
    }

    /// Tells the session that TLS is on: it forgets what it knew of the server.
    pub fn handle_tls_started(&mut self, now: Duration) {
        if self.core.state == State::TlsWanted {
            self.core.state = State::NotAuthenticated;
            self.core.tls = true;
            self.core.forget();
            self.fragmenter = Fragmenter::new(Sender::Server);
            self.core.restart_deadline(now);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called; `None` while the session waits for nothing, and once closed.
    pub const fn poll_timeout(&self) -> Option<Duration> {
        self.core.deadline
    }

    /// Whether the driver has to flush what was written and then start TLS.
    pub fn wants_tls(&self) -> bool {
        self.core.state == State::TlsWanted
    }

    /// Whether TLS is on.
    pub const fn is_tls(&self) -> bool {
        self.core.tls
    }

    /// Whether the login has been accepted.
    pub fn is_authenticated(&self) -> bool {
        matches!(self.core.state, State::Authenticated | State::Selected)
    }

    /// Whether a mailbox is selected.
    pub fn is_selected(&self) -> bool {
        self.core.state == State::Selected
    }

    /// Whether the server has accepted IDLE.
    pub fn is_idling(&self) -> bool {
        self.core.idling == Idling::Yes
    }

    /// What the server announces; nothing, as long as it is not known.
    pub const fn capabilities(&self) -> &Capabilities<'static> {
        &self.core.capabilities
    }

    /// Ends the session from our side, without a word: [`Verb::Logout`] is the polite way.
    pub fn close(&mut self, _now: Duration, _out: &mut BytesMut) {
        self.core.end(Reason::Closed);
    }

    /// Why the session has ended; the driver closes the connection.
    pub const fn closed(&self) -> Option<Reason> {
        self.core.reason
    }
}

/// What a response came to.
enum Turn<'i> {
    Done,
    Event(Event<'i>),
    Challenge,
}

impl Core {
    const fn bounds(&self) -> Bounds {
        let limits = &self.config.limits;
        Bounds {
            line: limits.line,
            literals: limits.literals,
            total: limits.line.saturating_add(limits.literals),
            // Who skips a literal keeps nothing of it; the timers see to those who send for ever.
            discard: u64::MAX,
        }
    }

    fn wire(&self) -> Wire {
        let literals = crate::extension::literal::announced_by(self.capabilities.extensions());
        Wire { names: self.names, literals }
    }

    /// Whether a command may be sent now.
    fn check(&self, verb: &Verb<'_>, kind: Kind) -> Result<(), SendError> {
        if self.reason.is_some() || self.bye {
            return Err(SendError::Closed);
        }
        // RFC 9051 §6.3.1: no ENABLE once a mailbox has been selected.
        if !self.state.allows(verb) || self.asked_mailbox && kind == Kind::Enable {
            return Err(SendError::State);
        }
        let busy = self.ready
            || !self.pieces.is_empty()
            || self.upload != Upload::None
            || self.queue.len() >= self.config.limits.queue
            || self.queue.iter().any(|(_, before)| !kind.may_follow(*before));
        if busy {
            return Err(SendError::Busy);
        }
        // RFC 8314 §3: whoever took STARTTLS out of the announcement must not get the password.
        if kind == Kind::Login && !self.tls && !self.config.plaintext_auth {
            return Err(SendError::TlsRequired);
        }
        // A server that knows no more than it announces has to understand it.
        let mut extensions = self.capabilities.extensions();
        if !extensions.has(Extension::Imap4Rev2) {
            extensions = extensions.with(Extension::Imap4Rev1);
        }
        let command = self.encode(verb);
        let line = command.strip_suffix(b"\r\n").unwrap_or(&command);
        match Command::parse(line, extensions, self.names) {
            Ok(_) => Ok(()),
            Err(_) => Err(SendError::NotAnnounced),
        }
    }

    /// The command with the tag that it will have.
    fn encode(&self, verb: &Verb<'_>) -> BytesMut {
        let mut command = BytesMut::new();
        let text = CommandId(self.last.wrapping_add(1)).to_string();
        let tag = Tag::new(&text).expect("a letter and a number");
        Command { tag, verb: verb.clone() }.encode(self.wire(), &mut command);
        command
    }

    fn begin(&mut self, kind: Kind, verb: &Verb<'_>, out: &mut BytesMut) -> CommandId {
        let command = self.encode(verb);
        self.transmit(kind, command, out)
    }

    /// Sends a command up to the first literal that waits.
    fn transmit(&mut self, kind: Kind, command: BytesMut, out: &mut BytesMut) -> CommandId {
        self.last = self.last.wrapping_add(1);
        self.queue.push_back((self.last, kind));
        self.asked_mailbox |= kind == Kind::Select;
        self.authenticating = false;
        self.restart = true;
        let (mut reader, mut input, mut sent) = (Fragmenter::new(Sender::Client), &command[..], 0);
        let bounds = Bounds { line: usize::MAX, literals: usize::MAX, total: usize::MAX, discard: 0 };
        while let Some(fragment) = reader.next(&mut input, &bounds, false) {
            if let Fragment::Announced { literal, head } = fragment {
                if literal.non_sync {
                    continue;
                }
                let header = memchr::memchr(b'\n', &command[head.len()..]).expect("its line has an end");
                let end = head.len() + header + 1;
                self.pieces.push_back(end - sent);
                sent = end;
            }
        }
        if sent < command.len() || self.pieces.is_empty() {
            self.pieces.push_back(command.len() - sent);
        } else {
            // Behind the last piece comes what is not in the command: the message of APPEND.
            self.pieces.push_back(0);
        }
        self.rest = command;
        self.send_piece(out);
        CommandId(self.last)
    }

    fn send_piece(&mut self, out: &mut BytesMut) {
        let Some(count) = self.pieces.pop_front() else {
            return;
        };
        out.extend_from_slice(&self.rest.split_to(count));
        if self.pieces.is_empty() {
            self.rest = BytesMut::new();
            if let Upload::Waiting(size) = self.upload {
                self.upload = Upload::Ready(size);
            }
        }
    }

    fn open_upload(&mut self, left: u64, out: &mut BytesMut) {
        self.upload = Upload::Open(left);
        if left == 0 {
            out.extend_from_slice(b"\r\n");
            self.upload = Upload::None;
        }
    }

    fn leave_idle(&mut self, out: &mut BytesMut) {
        match self.idling {
            Idling::Yes => {
                out.extend_from_slice(crate::extension::idle::DONE);
                self.idling = Idling::Leaving;
                self.restart = true;
            }
            // RFC 2177 §3: DONE answers the continuation, so it waits for that.
            Idling::Asked => self.idling = Idling::Early,
            Idling::No | Idling::Early | Idling::Leaving => {}
        }
    }

    fn understand<'i>(&mut self, message: &'i [u8], challenge: &mut Vec<u8>, out: &mut BytesMut) -> Turn<'i> {
        let response = match Response::parse(message, self.names) {
            Ok(response) => response,
            Err(_) if self.state == State::Greeting => {
                self.end(Reason::Garbled);
                return Turn::Done;
            }
            Err(error) => return Turn::Event(Event::Unknown(error)),
        };
        match response {
            Response::Untagged(Data::Status(status)) if self.state == State::Greeting => self.greeted(status),
            _ if self.state == State::Greeting => {
                self.end(Reason::Garbled);
                Turn::Done
            }
            Response::Untagged(data) => {
                self.note(&data);
                Turn::Event(Event::Data(data))
            }
            Response::Tagged(tag, status) => self.done(tag, status),
            Response::Continue(_) => self.go_on(message, challenge, out),
        }
    }

    fn greeted<'i>(&mut self, status: Status<'i>) -> Turn<'i> {
        match status.condition {
            Condition::Ok => self.state = State::NotAuthenticated,
            Condition::PreAuth if !self.tls && !self.config.plaintext_auth => {
                // Who is logged in already can not start TLS any more: the attacker's wish.
                self.end(Reason::PreAuthWithoutTls);
            }
            Condition::PreAuth => self.state = State::Authenticated,
            Condition::Bye => self.bye = true,
            Condition::No | Condition::Bad => {
                self.end(Reason::Garbled);
                return Turn::Done;
            }
        }
        self.ready = true;
        self.note_code(&status);
        Turn::Event(Event::Greeting(status))
    }

    /// What data changes for the session.
    fn note(&mut self, data: &Data<'_>) {
        match data {
            Data::Capability(words) => self.announce(words),
            Data::Enabled(words) if words.contains("IMAP4rev2") => self.names = Names::Utf8,
            Data::Status(status) => {
                self.bye |= status.condition == Condition::Bye;
                self.note_code(status);
            }
            _ => {}
        }
    }

    fn note_code(&mut self, status: &Status<'_>) {
        if let Some(Code::Capability(words)) = &status.code {
            self.announce(words);
        }
    }

    fn announce(&mut self, words: &Capabilities<'_>) {
        self.capabilities = words.clone().into_owned();
        self.known = true;
    }

    fn forget(&mut self) {
        self.capabilities = Capabilities::default();
        self.known = false;
        self.ready = true;
    }

    fn done<'i>(&mut self, tag: Tag<'_>, status: Status<'i>) -> Turn<'i> {
        let number = tag.as_str().strip_prefix('a').and_then(|number| number.parse().ok());
        let Some(at) = self.queue.iter().position(|(id, _)| Some(*id) == number) else {
            // The answer to a command that was not sent: whose words are these?
            self.end(Reason::Garbled);
            return Turn::Done;
        };
        let (id, kind) = self.queue.remove(at).expect("found just now");
        let ok = status.condition == Condition::Ok;
        // A literal that waits is not wanted any more. Exclusive commands have no other beside them.
        if self.queue.is_empty() {
            self.pieces.clear();
            self.rest = BytesMut::new();
            if matches!(self.upload, Upload::Waiting(_)) {
                self.upload = Upload::None;
            }
        }
        match kind {
            Kind::Capability => {
                // Who does not tell can do nothing but the least.
                self.known = true;
                return Turn::Done;
            }
            Kind::StartTls if ok => self.state = State::TlsWanted,
            Kind::Login => {
                self.initial.wipe();
                if ok {
                    self.state = State::Authenticated;
                    self.forget();
                }
            }
            Kind::Select => self.state = if ok { State::Selected } else { State::Authenticated },
            Kind::Leave if ok => self.state = State::Authenticated,
            Kind::Idle => self.idling = Idling::No,
            Kind::Logout if ok => self.end(Reason::Logout),
            _ => {}
        }
        self.note_code(&status);
        Turn::Event(Event::Done { id: CommandId(id), status })
    }

    /// `+`
    fn go_on<'i>(&mut self, message: &'i [u8], challenge: &mut Vec<u8>, out: &mut BytesMut) -> Turn<'i> {
        if !self.pieces.is_empty() {
            self.send_piece(out);
            return Turn::Done;
        }
        match self.queue.back() {
            Some((_, Kind::Idle)) if self.idling == Idling::Asked => {
                self.idling = Idling::Yes;
                Turn::Event(Event::Idling)
            }
            Some((_, Kind::Idle)) if self.idling == Idling::Early => {
                self.idling = Idling::Yes;
                self.leave_idle(out);
                Turn::Done
            }
            Some((_, Kind::Login)) if self.authenticating => {
                let text = message.strip_prefix(b"+").unwrap_or(message);
                let text = text.strip_prefix(b" ").unwrap_or(text);
                challenge.clear();
                if !decode_base64(text, challenge) {
                    self.cancel(out);
                    return Turn::Done;
                }
                if let Some(initial) = self.initial.0.clone() {
                    self.initial.wipe();
                    let response = Initial(Some(initial));
                    self.respond(response.0.as_deref().unwrap_or_default(), out);
                    return Turn::Done;
                }
                Turn::Challenge
            }
            _ => Turn::Event(Event::Unknown(ParseError { offset: 0, expected: "no continuation" })),
        }
    }

    fn end(&mut self, reason: Reason) {
        self.state = State::Closed;
        self.reason.get_or_insert(reason);
        self.deadline = None;
        self.queue.clear();
        self.initial.wipe();
    }

    fn restart_deadline(&mut self, now: Duration) {
        let limits = &self.config.limits;
        let wait = match self.state {
            State::Closed => None,
            State::Greeting => Some(limits.greeting),
            _ if self.idling == Idling::Yes => Some(limits.idle),
            State::TlsWanted => Some(limits.response),
            _ if !self.queue.is_empty() => Some(limits.response),
            _ => None,
        };
        self.deadline = wait.map(|wait| now.saturating_add(wait));
    }
}
