//! The client's side of a session.
//!
//! The session asks for the server's capabilities by itself, after the greeting and again under TLS; everything else
//! is asked by the caller through [`Event::Login`], [`Event::Password`], [`Event::Challenge`] and [`Event::Mailbox`], and answered by the
//! server in order, as the other events.
//!
//! ```
//! use std::io::{self, Read, Write};
//! use std::time::Instant;
//!
//! use bytes::{Buf, BytesMut};
//! use pop3_codec::client::{Event, Reason};
//! use pop3_codec::command::{Password, UserName};
//! use pop3_codec::{ClientConfig, ClientSession};
//!
//! /// Fetches the first message, and leaves it where it is.
//! fn fetch(mut from: impl Read, mut to: impl Write, message: &mut Vec<u8>) -> io::Result<Reason> {
//!     let (user, password) = (UserName::new("ann").unwrap(), Password::new("secret").unwrap());
//!     let start = Instant::now();
//!     let (mut chunk, mut buffer, mut out) = ([0; 4096], BytesMut::new(), BytesMut::new());
//!     let config = ClientConfig::new().implicit_tls();
//!     let mut session = ClientSession::new(config, start.elapsed(), &mut out);
//!     let mut fetched = false;
//!     loop {
//!         let mut input = &buffer[..];
//!         while let Some(event) = session.receive(start.elapsed(), &mut input, &mut out) {
//!             match event {
//!                 Event::Login(login) => login.user(user, &mut out),
//!                 Event::Password(wanted) => wanted.pass(password, &mut out),
//!                 Event::Mailbox(mailbox) if fetched => mailbox.quit(&mut out),
//!                 Event::Mailbox(mut mailbox) => {
//!                     fetched = true;
//!                     mailbox.retr(1, &mut out).expect("the queue is empty");
//!                 }
//!                 Event::Chunk(octets) => message.extend_from_slice(octets),
//!                 Event::Refused { reply, .. } => eprintln!("{reply:?}"),
//!                 _ => {}
//!             }
//!         }
//!         let used = buffer.len() - input.len();
//!         buffer.advance(used);
//!         to.write_all(&out.split())?;
//!         if let Some(reason) = session.closed() {
//!             return Ok(reason);
//!         }
//!         // Until session.poll_timeout(); then session.handle_timeout(start.elapsed(), &mut out).
//!         match from.read(&mut chunk)? {
//!             0 => session.handle_eof(),
//!             count => buffer.extend_from_slice(&chunk[..count]),
//!         }
//!     }
//! }
//!
//! let server = b"+OK\r\n-ERR what is CAPA\r\n+OK\r\n+OK\r\n+OK\r\nhello\r\n..\r\n.\r\n+OK\r\n";
//! let (mut client, mut message) = (Vec::new(), Vec::new());
//! assert_eq!(fetch(&server[..], &mut client, &mut message)?, Reason::Quit);
//! assert_eq!(message, b"hello\r\n.\r\n");
//! assert_eq!(client, b"CAPA\r\nUSER ann\r\nPASS secret\r\nRETR 1\r\nQUIT\r\n");
//! # Ok::<(), io::Error>(())
//! ```

mod event;
mod state;

use core::mem;
use core::time::Duration;
use std::collections::VecDeque;

use bytes::BytesMut;

pub use self::event::{Challenge, Event, Login, Mailbox, PasswordWanted};
use self::state::{Part, State};
use crate::capability::Capabilities;
use crate::command::{Command, number};
use crate::data::{DataDecoder, Decoded};
use crate::error::ResponseError;
use crate::language::Language;
use crate::limits::ClientLimits;
use crate::line::{LineError, LineReader};
use crate::maildrop::UniqueId;
use crate::reply::StatusLine;
use crate::secret::Secret;

/// What a session needs to know beforehand.
#[derive(Clone, Debug, Default)]
pub struct ClientConfig {
    limits: ClientLimits,
    tls: bool,
    plaintext_auth: bool,
}

impl ClientConfig {
    /// A connection without TLS, over which no password is sent before STLS.
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

/// What a response is the answer to.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Request {
    /// The connection itself, which the greeting answers.
    Connection,
    /// CAPA.
    Capa,
    /// STLS.
    Stls,
    /// USER.
    User,
    /// PASS.
    Pass,
    /// AUTH.
    Auth,
    /// UTF8.
    Utf8,
    /// LANG: a language, or all that there are.
    Lang(Option<Language>),
    /// STAT.
    Stat,
    /// LIST, of one message or of all.
    List(Option<u32>),
    /// UIDL, of one message or of all.
    Uidl(Option<u32>),
    /// RETR.
    Retr(u32),
    /// TOP, with the number of lines.
    Top(u32, u64),
    /// DELE.
    Dele(u32),
    /// NOOP.
    Noop,
    /// RSET.
    Rset,
    /// QUIT.
    Quit,
}

/// Why a session has ended, and what became of the deletions.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The server confirmed QUIT: what was marked is deleted.
    Quit,
    /// The server refused QUIT: some of what was marked is not deleted
    /// ([RFC 1939 §6](https://www.rfc-editor.org/rfc/rfc1939#section-6)).
    NotDeleted,
    /// The session ended between QUIT and its answer: what was marked may be deleted or not.
    DeletionsUnknown,
    /// The server closed the connection; nothing is deleted.
    Eof,
    /// The server refused the connection.
    Refused,
    /// The server was too slow; nothing is deleted.
    Timeout(Timer),
    /// What came is not POP3; nothing is deleted.
    Garbled(ResponseError),
    /// Octets came behind the answer to STLS before TLS did: an attempt to inject responses.
    PlaintextBehindStls,
    /// A login was wanted without TLS; nothing of it was sent.
    TlsRequired,
    /// A name or a password holds more than ASCII, which the server does not announce to take; it was not sent. AUTH can
    /// carry it ([RFC 6856 §2.2](https://www.rfc-editor.org/rfc/rfc6856#section-2.2)).
    NotAscii,
    /// STLS was wanted behind UTF8; it was not sent ([RFC 6856 §2.1](https://www.rfc-editor.org/rfc/rfc6856#section-2.1)).
    StlsBehindUtf8,
    /// The caller dropped an event that wants a command; nothing is deleted.
    Unanswered,
    /// [`ClientSession::close`]; nothing is deleted.
    Closed,
}

/// What a session may wait for in vain.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Timer {
    /// When to give up waiting for the greeting: [`ClientLimits::greeting`].
    Greeting,
    /// When to give up waiting for the next piece of a response, or for TLS: [`ClientLimits::response`].
    Response,
}

/// The client's side of one POP3 connection.
///
/// The [module](self) shows a driver: it calls [`receive`](Self::receive) until it gives `None`, flushes, does the TLS handshake if that is
/// [wanted](Self::wants_tls), and only then waits for octets: `receive` is also what writes CAPA when TLS has started.
/// What it writes is small ([`ClientLimits::queue`]), so a driver that blocks while it writes comes to no harm.
#[derive(Debug)]
pub struct ClientSession {
    core: Core,
    line: LineReader,
    part: Part,
    decoder: DataDecoder,
    /// The decoded challenge of AUTH. It lives as long as the event that shows it.
    challenge: Secret,
    /// What the answer to CAPA has said so far, and in how many lines.
    announced: Capabilities,
    lines: u32,
}

/// What an event borrows to write a command.
#[derive(Debug)]
pub(super) struct Core {
    config: ClientConfig,
    state: State,
    /// The event that wants a command.
    pending: Pending,
    /// The commands without a whole response; so many of the first ones are on the wire.
    queue: VecDeque<Request>,
    sent: usize,
    capabilities: Capabilities,
    /// The initial response of AUTH that was too long for its line.
    initial: Option<Secret>,
    /// AUTH has been given up; the refusal is still to come.
    cancelled: bool,
    tls: bool,
    utf8: bool,
    /// How many messages the server has marked for us.
    marked: u64,
    deadline: Duration,
    /// The deadline starts anew at the next call, which knows the time.
    restart: bool,
    reason: Option<Reason>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pending {
    Nothing,
    Command,
}

/// What a step of the session came to, before anything is borrowed for an event.
enum Turn<'i> {
    More,
    Done,
    Command,
    Challenge,
    NoChallenge,
    Announced,
    Event(Event<'i>),
}

impl ClientSession {
    /// Begins a session; the server speaks first.
    pub fn new(config: ClientConfig, now: Duration, _out: &mut BytesMut) -> Self {
        let core = Core {
            tls: config.tls,
            deadline: now.saturating_add(config.limits.greeting),
            config,
            state: State::Greeting,
            pending: Pending::Nothing,
            queue: VecDeque::from([Request::Connection]),
            sent: 1,
            capabilities: Capabilities::default(),
            initial: None,
            cancelled: false,
            utf8: false,
            marked: 0,
            restart: false,
            reason: None,
        };
        Self {
            core,
            line: LineReader::default(),
            part: Part::Status,
            decoder: DataDecoder::new(),
            challenge: Secret::default(),
            announced: Capabilities::default(),
            lines: 0,
        }
    }

    /// Takes octets from `input` up to the next event and writes commands to `out`.
    ///
    /// `None` means that more input is needed, or that the session is [closed](Self::closed) or waits for
    /// [TLS](Self::wants_tls). What is left of `input` has to be there again, with more behind it, at the next call.
    pub fn receive<'s, 'i: 's>(
        &'s mut self,
        now: Duration,
        input: &mut &'i [u8],
        out: &mut BytesMut,
    ) -> Option<Event<'s>> {
        self.core.end_if_unanswered();
        self.challenge.wipe();
        if mem::take(&mut self.core.restart) {
            self.core.restart_deadline(now);
        }
        loop {
            let turn = match self.core.state {
                State::Closed => return None,
                State::TlsWanted => {
                    // RFC 2595 §4: what came before TLS must not be taken for what came within it.
                    if !input.is_empty() {
                        self.core.end(Reason::PlaintextBehindStls);
                    }
                    return None;
                }
                _ if self.core.queue.is_empty() => Turn::Command,
                _ => {
                    self.core.send_queued(out);
                    let result = self.response(now, input);
                    result.unwrap_or_else(|error| {
                        self.core.lose(Reason::Garbled(error));
                        Turn::Done
                    })
                }
            };
            match turn {
                Turn::More => return None,
                Turn::Done => {}
                Turn::Event(event) => return Some(event),
                // RFC 5034 §4: what cannot be decoded ends the login.
                Turn::NoChallenge => self.core.cancel(out),
                Turn::Announced => return Some(Event::Capabilities(&self.core.capabilities)),
                Turn::Challenge => {
                    let initial = self.core.initial.take().filter(|_| self.challenge.0.is_empty());
                    let Some(initial) = initial else {
                        let (core, data) = (&mut self.core, &self.challenge.0[..]);
                        core.pending = Pending::Command;
                        return Some(Event::Challenge(Challenge { core, data }));
                    };
                    // RFC 5034 §4: an empty challenge asks for what did not fit into the line of AUTH.
                    self.core.respond(&initial.0, out);
                }
                Turn::Command => {
                    let core = &mut self.core;
                    core.pending = Pending::Command;
                    return Some(match core.state {
                        State::Password => Event::Password(PasswordWanted { core }),
                        State::Mailbox => Event::Mailbox(Mailbox { core }),
                        _ => Event::Login(Login { core }),
                    });
                }
            }
        }
    }

    /// Tells the session that time has passed. Before [`Self::poll_timeout`] it does nothing.
    pub fn handle_timeout(&mut self, now: Duration, _out: &mut BytesMut) {
        self.core.end_if_unanswered();
        if !self.core.restart && self.poll_timeout().is_some_and(|deadline| now >= deadline) {
            self.core.lose(Reason::Timeout(match self.core.state {
                State::Greeting => Timer::Greeting,
                _ => Timer::Response,
            }));
        }
    }

    /// Tells the session that the server will send nothing more.
    pub fn handle_eof(&mut self) {
        self.core.lose(Reason::Eof);
    }

    /// Tells the session that TLS is on: it forgets what the server said before
    /// ([RFC 2595 §4](https://www.rfc-editor.org/rfc/rfc2595#section-4)).
    ///
    /// The next call of `receive`, which needs no input, asks for the server's capabilities anew.
    pub fn handle_tls_started(&mut self, now: Duration) {
        if self.core.state == State::TlsWanted {
            self.core.state = State::Login;
            self.core.tls = true;
            self.core.capabilities = Capabilities::default();
            self.core.queue.push_back(Request::Capa);
            self.line = LineReader::default();
            self.core.restart = false;
            self.core.restart_deadline(now);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called; `None` once closed, and while it is the caller who is asked.
    pub fn poll_timeout(&self) -> Option<Duration> {
        (self.core.reason.is_none() && self.core.pending == Pending::Nothing).then_some(self.core.deadline)
    }

    /// Whether the driver has to start TLS.
    pub fn wants_tls(&self) -> bool {
        self.core.state == State::TlsWanted
    }

    /// Whether TLS is on.
    pub fn is_tls(&self) -> bool {
        self.core.tls
    }

    /// Whether the server has turned UTF-8 mode on.
    pub fn is_utf8(&self) -> bool {
        self.core.utf8
    }

    /// What the server announced last.
    pub fn capabilities(&self) -> &Capabilities {
        &self.core.capabilities
    }

    /// Ends the session from our side. It sends no QUIT, since that would delete what is marked.
    pub fn close(&mut self, _now: Duration, _out: &mut BytesMut) {
        self.core.lose(Reason::Closed);
    }

    /// Why the session has ended; the driver closes the connection.
    pub fn closed(&self) -> Option<Reason> {
        self.core.reason
    }

    /// Reads on in the response to the first command that waits for one.
    fn response<'i>(&mut self, now: Duration, input: &mut &'i [u8]) -> Result<Turn<'i>, ResponseError> {
        if self.part == Part::Body {
            let Some(decoded) = self.decoder.next(input) else { return Ok(Turn::More) };
            self.core.restart_deadline(now);
            return Ok(Turn::Event(match decoded {
                Decoded::Chunk(chunk) => Event::Chunk(chunk),
                Decoded::End => self.complete(Event::MessageEnd),
            }));
        }
        let request = *self.core.queue.front().expect("a response is read for a command only");
        let limits = &self.core.config.limits;
        let limit = if request == Request::Auth { limits.auth_line } else { limits.response_line };
        let line = match self.line.next(input, limit) {
            None if self.line.is_swallowing() => return Err(ResponseError::TooLong),
            None => return Ok(Turn::More),
            Some(Ok(line)) => line,
            Some(Err(LineError::BareLf(_))) => return Err(ResponseError::BareLf),
            Some(Err(LineError::TooLong)) => return Err(ResponseError::TooLong),
        };
        self.core.restart_deadline(now);
        match self.part {
            Part::Status if request == Request::Auth && line.starts_with(b"+ ") => {
                Ok(if self.challenge.decode(&line[2..]) { Turn::Challenge } else { Turn::NoChallenge })
            }
            // Some servers leave the space out where they have nothing to say.
            Part::Status if request == Request::Auth && line == b"+" => Ok(Turn::Challenge),
            Part::Status => self.status(request, StatusLine::parse(line)?),
            Part::Lines | Part::Body => self.line(request, line),
        }
    }

    /// A status line.
    fn status<'i>(&mut self, request: Request, reply: StatusLine<'i>) -> Result<Turn<'i>, ResponseError> {
        if reply.is_negative() {
            return Ok(self.refused(request, reply));
        }
        let event = match request {
            Request::Connection => {
                self.core.state = State::Login;
                self.core.queue.push_back(Request::Capa);
                self.completed();
                return Ok(Turn::Done);
            }
            Request::Capa | Request::Lang(None) | Request::List(None) | Request::Uidl(None) => {
                self.part = Part::Lines;
                self.announced = Capabilities::default();
                self.lines = 0;
                return Ok(Turn::Done);
            }
            Request::Stls => {
                self.core.state = State::TlsWanted;
                self.completed();
                return Ok(Turn::Done);
            }
            Request::User => {
                self.core.state = State::Password;
                self.completed();
                return Ok(Turn::Done);
            }
            Request::Pass | Request::Auth => {
                // Who knows to whom it has opened what.
                if self.core.cancelled {
                    return Err(ResponseError::GivenUp);
                }
                self.core.initial = None;
                self.core.state = State::Mailbox;
                self.completed();
                return Ok(Turn::Done);
            }
            Request::Quit => {
                self.core.end(Reason::Quit);
                return Ok(Turn::Done);
            }
            Request::Stat => {
                let mut words = reply.text().split(|octet| *octet == b' ');
                let (messages, octets) = (parse(words.next())?, parse(words.next())?);
                Event::Stat { messages, octets }
            }
            Request::List(Some(asked)) => size(reply.text(), Some(asked))?,
            Request::Uidl(Some(asked)) => unique_id(reply.text(), Some(asked))?,
            Request::Retr(number) | Request::Top(number, _) => {
                self.part = Part::Body;
                self.decoder = DataDecoder::new();
                return Ok(Turn::Event(Event::Message { number }));
            }
            Request::Dele(_) => {
                self.core.marked += 1;
                Event::Done(request)
            }
            Request::Rset => {
                self.core.marked = 0;
                Event::Done(request)
            }
            Request::Noop => Event::Done(request),
            Request::Utf8 => {
                self.core.utf8 = true;
                Event::Done(request)
            }
            Request::Lang(Some(_)) => {
                let (language, description) = language(reply.text())?;
                Event::Language { language, description }
            }
        };
        Ok(Turn::Event(self.complete(event)))
    }

    fn refused<'i>(&mut self, request: Request, reply: StatusLine<'i>) -> Turn<'i> {
        match request {
            Request::Connection => self.core.end(Reason::Refused),
            Request::Quit if self.core.marked > 0 => self.core.end(Reason::NotDeleted),
            Request::Quit => self.core.end(Reason::Quit),
            // A server from before RFC 2449.
            Request::Capa if self.core.state == State::Login => {
                self.completed();
                return Turn::Done;
            }
            Request::User | Request::Pass | Request::Auth => {
                self.core.initial = None;
                self.core.cancelled = false;
                self.core.state = State::Login;
            }
            _ => {}
        }
        Turn::Event(self.complete(Event::Refused { request, reply }))
    }

    /// A line of a list.
    fn line<'i>(&mut self, request: Request, line: &'i [u8]) -> Result<Turn<'i>, ResponseError> {
        let line = match line {
            b"." if request == Request::Capa => {
                self.core.capabilities = mem::take(&mut self.announced);
                self.completed();
                return Ok(if self.core.state == State::Mailbox { Turn::Announced } else { Turn::Done });
            }
            b"." => return Ok(Turn::Event(self.complete(Event::ListEnd))),
            [b'.', line @ ..] => line,
            line => line,
        };
        match request {
            Request::List(_) => size(line, None).map(Turn::Event),
            Request::Uidl(_) => unique_id(line, None).map(Turn::Event),
            Request::Lang(_) => {
                let (language, description) = language(line)?;
                Ok(Turn::Event(Event::Language { language, description }))
            }
            _ => {
                // It makes no events, so nobody else would notice that it has no end.
                self.lines += 1;
                if self.lines > CAPABILITY_LINES {
                    return Err(ResponseError::TooLong);
                }
                self.announced.read(line);
                Ok(Turn::Done)
            }
        }
    }

    /// The response has ended.
    fn completed(&mut self) {
        self.core.queue.pop_front();
        self.core.sent = self.core.sent.saturating_sub(1);
        self.part = Part::Status;
    }

    fn complete<'i>(&mut self, event: Event<'i>) -> Event<'i> {
        self.completed();
        event
    }
}

impl Core {
    /// Sends what need not wait any longer.
    fn send_queued(&mut self, out: &mut BytesMut) {
        while let Some(request) = self.queue.get(self.sent)
            && (self.sent == 0 || self.capabilities.pipelining)
        {
            // Names and passwords, whose text is not kept, and the greeting are never behind `sent`.
            if let Some(command) = request.command() {
                command.encode(out);
            }
            self.sent += 1;
        }
    }

    fn end_if_unanswered(&mut self) {
        if mem::replace(&mut self.pending, Pending::Nothing) == Pending::Command {
            self.end(Reason::Unanswered);
        }
    }

    /// Ends the session before its time.
    fn lose(&mut self, reason: Reason) {
        if self.reason.is_some() {
            return;
        }
        let on_the_wire = |wanted: fn(&Request) -> bool| self.queue.iter().take(self.sent).any(wanted);
        let marked = self.marked > 0 || on_the_wire(|request| matches!(request, Request::Dele(_)));
        if marked && on_the_wire(|request| *request == Request::Quit) {
            self.end(Reason::DeletionsUnknown);
        } else {
            self.end(reason);
        }
    }

    fn end(&mut self, reason: Reason) {
        self.reason = Some(reason);
        self.state = State::Closed;
        self.pending = Pending::Nothing;
        self.initial = None;
    }

    fn restart_deadline(&mut self, now: Duration) {
        self.deadline = now.saturating_add(self.config.limits.response);
    }
}

impl Request {
    const fn command(self) -> Option<Command<'static>> {
        Some(match self {
            Self::Connection | Self::User | Self::Pass | Self::Auth => return None,
            Self::Capa => Command::Capa,
            Self::Stls => Command::Stls,
            Self::Utf8 => Command::Utf8,
            Self::Lang(range) => Command::Lang(range),
            Self::Stat => Command::Stat,
            Self::List(number) => Command::List(number),
            Self::Uidl(number) => Command::Uidl(number),
            Self::Retr(number) => Command::Retr(number),
            Self::Top(number, lines) => Command::Top(number, lines),
            Self::Dele(number) => Command::Dele(number),
            Self::Noop => Command::Noop,
            Self::Rset => Command::Rset,
            Self::Quit => Command::Quit,
        })
    }
}

/// `number octets`, and what a server likes to add.
fn size<'i>(text: &[u8], asked: Option<u32>) -> Result<Event<'i>, ResponseError> {
    let mut words = text.split(|octet| *octet == b' ');
    let number = message_number(words.next(), asked)?;
    Ok(Event::Size { number, octets: parse(words.next())? })
}

/// `number id`.
fn unique_id<'i>(text: &[u8], asked: Option<u32>) -> Result<Event<'i>, ResponseError> {
    let mut words = text.split(|octet| *octet == b' ');
    let number = message_number(words.next(), asked)?;
    let id = words.next().and_then(|word| str::from_utf8(word).ok()).and_then(|id| UniqueId::new(id).ok());
    Ok(Event::UniqueId { number, id: id.ok_or(ResponseError::UniqueId)? })
}

/// `tag words`, or the tag alone.
fn language(text: &[u8]) -> Result<(Language, &[u8]), ResponseError> {
    let end = text.iter().position(|octet| *octet == b' ').unwrap_or(text.len());
    let (tag, rest) = text.split_at(end);
    let tag = str::from_utf8(tag).ok().and_then(|tag| Language::new(tag).ok());
    Ok((tag.ok_or(ResponseError::Language)?, rest.strip_prefix(b" ").unwrap_or_default()))
}

fn message_number(word: Option<&[u8]>, asked: Option<u32>) -> Result<u32, ResponseError> {
    match parse(word)? {
        0 => Err(ResponseError::Number),
        number if asked.is_some_and(|asked| asked != number) => Err(ResponseError::OtherMessage),
        number => Ok(number),
    }
}

fn parse<N: core::str::FromStr>(word: Option<&[u8]>) -> Result<N, ResponseError> {
    word.and_then(|word| str::from_utf8(word).ok()).and_then(number).ok_or(ResponseError::Number)
}

/// How many lines an answer to CAPA may have; those registered are about a dozen.
const CAPABILITY_LINES: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_may_move_between_threads() {
        const fn needs<T: Send + Sync>() {}
        needs::<ClientSession>();
    }
}
