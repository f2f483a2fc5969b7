//! The server's side of a session.
//!
//! The session answers what is a matter of grammar and order; each [`Event`] that needs a decision is answered by the
//! caller through its consuming methods. An event that is dropped unanswered is refused by the next call.

mod event;
mod state;

use core::fmt;
use core::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

pub use self::event::{Auth, AuthResponse, DataStart, End, Event, Mail, Rcpt, StartTls};
use self::state::{OutOfStep, State, Step};
use crate::address::Domain;
use crate::command::{Command, InitialResponse, begins_foreign, is_foreign};
use crate::data::{Data, DataDecoder, Fault};
use crate::extension::{Extension, Mechanism, Words};
use crate::limits::Limits;
use crate::line::{LineError, LineReader};
use crate::reply::{Reply, Severity};

/// What a session needs to know of its host.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    host: Domain<'static>,
    limits: Limits,
    tls: bool,
    starttls: bool,
    mechanisms: Vec<Mechanism>,
    plaintext_auth: bool,
}

impl ServerConfig {
    /// A host of this name, which offers neither TLS nor logins.
    pub fn new(host: Domain<'static>) -> Self {
        Self {
            host,
            limits: Limits::default(),
            tls: false,
            starttls: false,
            mechanisms: Vec::new(),
            plaintext_auth: false,
        }
    }

    /// Other bounds than the default ones.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The connection is under TLS from its first octet.
    pub fn implicit_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// STARTTLS is announced as long as TLS is not on.
    pub fn starttls(mut self) -> Self {
        self.starttls = true;
        self
    }

    /// The mechanisms to announce with AUTH; none means that there are no logins.
    pub fn mechanisms(mut self, mechanisms: &[Mechanism]) -> Self {
        self.mechanisms = mechanisms.to_vec();
        self
    }

    /// Logins are offered without TLS too. For tests on loopback: passwords go over the wire in the clear.
    pub fn plaintext_auth(mut self) -> Self {
        self.plaintext_auth = true;
        self
    }
}

/// Why a session has ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The client said QUIT.
    Quit,
    /// The client closed the connection between two commands.
    Eof,
    /// The client closed the connection within a command or a message, which is then not accepted.
    EofInside,
    /// No whole command line came in time ([`Limits::command_timeout`]).
    CommandTimeout,
    /// The message came too slowly ([`Limits::data_timeout`], [`Limits::data_rate`]).
    DataTimeout,
    /// More than [`Limits::errors`].
    Errors,
    /// More than [`Limits::junk`].
    Junk,
    /// Octets came behind STARTTLS before TLS did: an attempt to inject commands.
    PlaintextBehindStartTls,
    /// The first line was of HTTP or TLS.
    ForeignProtocol,
    /// The caller answered 421.
    Refused,
    /// [`ServerSession::close`].
    Closed,
}

/// The server's side of one SMTP connection.
///
/// See the [front page](crate) for a driver.
#[derive(Debug)]
pub struct ServerSession {
    core: Core,
    line: LineReader,
    data: DataDecoder,
    response: Response,
}

/// The decoded response of an AUTH exchange. It lives as long as the event that shows it, is overwritten then, and is
/// never printed.
#[derive(Default)]
struct Response(Vec<u8>);

/// What an event borrows to write its answer.
#[derive(Debug)]
pub(super) struct Core {
    config: ServerConfig,
    state: State,
    /// The event that is still to be answered.
    pending: Pending,
    client: Option<Domain<'static>>,
    extended: bool,
    tls: bool,
    authenticated: bool,
    errors: u32,
    junk: u32,
    /// The last MAIL was refused, so the rest of its pipelined group is no mistake of the client's.
    mail_refused: bool,
    deadline: Duration,
    /// The deadline starts anew at the next call, which knows the time.
    restart: bool,
    reason: Option<Reason>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pending {
    Nothing,
    Auth,
    Data,
    End,
    Mail,
    Rcpt,
    StartTls,
}

/// What a step of the session came to, before anything is borrowed for an event.
enum Turn<'i> {
    More,
    Done,
    Mail(crate::address::ReversePath<'i>, crate::command::MailParameters),
    Rcpt(crate::address::ForwardPath<'i>),
    Data,
    StartTls,
    Auth { mechanism: Mechanism, initial: bool },
    AuthResponse,
    AuthCancelled,
    Chunk(&'i [u8]),
    End,
    Discarded(Fault),
}

impl ServerSession {
    /// Begins a session by writing the greeting.
    pub fn new(config: ServerConfig, now: Duration, out: &mut BytesMut) -> Self {
        let data = DataDecoder::new(&config.limits);
        out.extend_from_slice(b"220 ");
        out.extend_from_slice(config.host.as_str().as_bytes());
        out.extend_from_slice(b" ESMTP\r\n");
        let core = Core {
            tls: config.tls,
            deadline: now.saturating_add(config.limits.command_timeout),
            config,
            state: State::Greeted,
            pending: Pending::Nothing,
            client: None,
            extended: false,
            authenticated: false,
            errors: 0,
            junk: 0,
            mail_refused: false,
            restart: false,
            reason: None,
        };
        Self { core, line: LineReader::default(), data, response: Response::default() }
    }

    /// Takes octets from `input` up to the next event and writes replies to `out`.
    ///
    /// `None` means that more input is needed, or that the session is [closed](Self::closed) or waits for
    /// [TLS](Self::wants_tls). What is left of `input` has to be there again, with more behind it, at the next call.
    pub fn receive<'s, 'i: 's>(
        &'s mut self,
        now: Duration,
        input: &mut &'i [u8],
        out: &mut BytesMut,
    ) -> Option<Event<'s>> {
        self.core.refuse_pending(out);
        self.response.wipe();
        if core::mem::take(&mut self.core.restart) {
            self.core.restart_deadline(now);
        }
        loop {
            let turn = match self.core.state {
                State::Closed => return None,
                State::TlsWanted => {
                    // RFC 3207 §4.2 and CVE-2011-0411: what came before TLS must not be taken for what came within it.
                    if !input.is_empty() {
                        self.core.end(Reason::PlaintextBehindStartTls);
                    }
                    return None;
                }
                State::Message => self.message(now, input, out),
                State::Login => self.login(now, input, out),
                _ => self.command(now, input, out),
            };
            match turn {
                Turn::More => return None,
                Turn::Done => {}
                Turn::Mail(from, parameters) => {
                    return Some(Event::Mail(Mail { core: self.core.ask(Pending::Mail), from, parameters }));
                }
                Turn::Rcpt(to) => return Some(Event::Rcpt(Rcpt { core: self.core.ask(Pending::Rcpt), to })),
                Turn::Data => return Some(Event::Data(DataStart { core: self.core.ask(Pending::Data) })),
                Turn::StartTls => {
                    return Some(Event::StartTls(StartTls { core: self.core.ask(Pending::StartTls) }));
                }
                Turn::Auth { mechanism, initial } => {
                    let initial = initial.then_some(&self.response.0[..]);
                    return Some(Event::Auth(Auth {
                        core: self.core.ask(Pending::Auth),
                        mechanism,
                        initial,
                    }));
                }
                Turn::AuthResponse => {
                    let data = &self.response.0[..];
                    return Some(Event::AuthResponse(AuthResponse {
                        core: self.core.ask(Pending::Auth),
                        data,
                    }));
                }
                Turn::AuthCancelled => return Some(Event::AuthCancelled),
                Turn::Chunk(chunk) => return Some(Event::Chunk(chunk)),
                Turn::End => {
                    let octets = self.data.octets();
                    return Some(Event::End(End { core: self.core.ask(Pending::End), octets }));
                }
                Turn::Discarded(fault) => return Some(Event::Discarded(fault)),
            }
        }
    }

    /// Tells the session that time has passed. Before [`Self::poll_timeout`] it does nothing.
    pub fn handle_timeout(&mut self, now: Duration, out: &mut BytesMut) {
        self.core.refuse_pending(out);
        if core::mem::take(&mut self.core.restart) {
            self.core.restart_deadline(now);
        }
        if self.core.reason.is_some() || now < self.core.deadline {
            return;
        }
        let reason =
            if self.core.state == State::Message { Reason::DataTimeout } else { Reason::CommandTimeout };
        // Under a TLS handshake that never comes there is nobody to read a reply.
        if self.core.state != State::TlsWanted {
            Reply::TIMED_OUT.encode(out);
        }
        self.core.end(reason);
    }

    /// Tells the session that the client will send nothing more.
    pub fn handle_eof(&mut self) {
        if self.core.reason.is_none() {
            let inside = matches!(self.core.state, State::Message | State::Login | State::TlsWanted)
                || self.line.is_inside();
            self.core.end(if inside { Reason::EofInside } else { Reason::Eof });
        }
    }

    /// Tells the session that TLS is on: it forgets what it knew of the client
    /// ([RFC 3207 §4.2](https://www.rfc-editor.org/rfc/rfc3207#section-4.2)).
    pub fn handle_tls_started(&mut self, now: Duration) {
        if self.core.state == State::TlsWanted {
            self.core.state = State::Greeted;
            self.core.client = None;
            self.core.extended = false;
            self.core.authenticated = false;
            self.core.tls = true;
            self.line = LineReader::default();
            self.core.restart_deadline(now);
            self.core.restart = false;
        }
    }

    /// Announces other mechanisms from now on than those of [`ServerConfig::mechanisms`]: some depend on the TLS
    /// connection, which is there only behind [`handle_tls_started`](Self::handle_tls_started).
    pub fn set_mechanisms(&mut self, mechanisms: &[Mechanism]) {
        self.core.config.mechanisms = mechanisms.to_vec();
    }

    /// When [`Self::handle_timeout`] wants to be called; `None` once closed.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.core.reason.is_none().then_some(self.core.deadline)
    }

    /// Whether the driver has to flush what was written and then start TLS.
    pub fn wants_tls(&self) -> bool {
        self.core.state == State::TlsWanted
    }

    /// Whether TLS is on.
    pub fn is_tls(&self) -> bool {
        self.core.tls
    }

    /// Who the client said it is, with EHLO or HELO.
    pub fn client(&self) -> Option<&Domain<'static>> {
        self.core.client.as_ref()
    }

    /// Whether the client said EHLO, not HELO.
    pub fn is_extended(&self) -> bool {
        self.core.extended
    }

    /// Whether a message is being received right now.
    pub fn is_receiving(&self) -> bool {
        self.core.state == State::Message
    }

    /// Ends the session from our side with 421.
    pub fn close(&mut self, _now: Duration, out: &mut BytesMut) {
        if self.core.reason.is_none() {
            self.core.pending = Pending::Nothing;
            Reply::SHUTTING_DOWN.encode(out);
            self.core.end(Reason::Closed);
        }
    }

    /// Why the session has ended; the driver flushes what was written and closes the connection.
    pub fn closed(&self) -> Option<Reason> {
        self.core.reason
    }

    fn message<'i>(&mut self, now: Duration, input: &mut &'i [u8], out: &mut BytesMut) -> Turn<'i> {
        let before = input.len();
        let step = self.data.next(input);
        self.core.extend_deadline(now, (before - input.len()) as u64);
        match step {
            None => Turn::More,
            Some(Data::Chunk(chunk)) => Turn::Chunk(chunk),
            Some(Data::End) => {
                self.core.state = State::Ready;
                self.core.restart_deadline(now);
                match self.data.fault() {
                    None => Turn::End,
                    Some(fault) => {
                        Reply::from(fault).encode(out);
                        Turn::Discarded(fault)
                    }
                }
            }
        }
    }

    fn login<'i>(&mut self, now: Duration, input: &mut &'i [u8], out: &mut BytesMut) -> Turn<'i> {
        let Some(line) = self.line.next(input, self.core.config.limits.auth_line) else {
            return Turn::More;
        };
        self.core.restart_deadline(now);
        self.core.state = State::Ready;
        match line {
            // RFC 4954 §4: a single "*" cancels.
            Ok(b"*") => {
                self.core.fail(&Reply::AUTH_CANCELLED, out);
                Turn::AuthCancelled
            }
            Ok(text) if self.decode(text) => Turn::AuthResponse,
            Ok(_) => {
                self.core.fail(&Reply::BAD_BASE64, out);
                Turn::AuthCancelled
            }
            Err(error) => {
                self.core.fail(&Reply::from(error), out);
                Turn::AuthCancelled
            }
        }
    }

    fn command<'i>(&mut self, now: Duration, input: &mut &'i [u8], out: &mut BytesMut) -> Turn<'i> {
        let limits = &self.core.config.limits;
        let greeted = self.core.state == State::Greeted;
        // ALPACA: a browser made to talk to us must not get past its own first line, however long that is.
        if greeted && !self.line.is_swallowing() && begins_foreign(input) {
            self.core.end_foreign(out);
            return Turn::Done;
        }
        let is_auth = input.len() >= 5 && input[..5].eq_ignore_ascii_case(b"AUTH ");
        let limit = if is_auth { limits.auth_line } else { limits.command_line };
        let Some(line) = self.line.next(input, limit) else {
            return Turn::More;
        };
        self.core.restart_deadline(now);
        let parsed = match line {
            Ok(line) | Err(LineError::BareLf(line)) if greeted && is_foreign(line) => {
                self.core.end_foreign(out);
                return Turn::Done;
            }
            Ok(line) => Command::parse(line).map_err(|error| Reply::from(&error)),
            Err(error) => Err(Reply::from(error)),
        };
        match parsed {
            Ok(command) => self.obey(command, out),
            Err(reply) => {
                self.core.fail(&reply, out);
                Turn::Done
            }
        }
    }

    fn obey<'i>(&mut self, command: Command<'i>, out: &mut BytesMut) -> Turn<'i> {
        let core = &mut self.core;
        match command {
            Command::Ehlo(name) => core.hello(name, true, out),
            Command::Helo(name) => core.hello(name, false, out),
            Command::Rset => {
                core.mail_refused = false;
                core.state = core.state.without_transaction();
                core.junk(&Reply::OK, out);
            }
            Command::Noop => core.junk(&Reply::OK, out),
            Command::Vrfy(_) => core.junk(&Reply::CANNOT_VERIFY, out),
            Command::Help => core.junk(&Reply::HELP, out),
            Command::Quit => {
                Reply::GOODBYE.encode(out);
                core.end(Reason::Quit);
            }
            Command::Mail(from, parameters) => {
                if !core.may(Step::Mail, out) {
                } else if parameters.size.is_some_and(|size| size > core.config.limits.message) {
                    // RFC 1870 §6.1 (3): a message that is too large can be refused before it is sent.
                    core.mail_refused = true;
                    core.fail(&Reply::MESSAGE_TOO_BIG, out);
                } else {
                    core.mail_refused = false;
                    return Turn::Mail(from, parameters);
                }
            }
            Command::Rcpt(to) => {
                if core.may(Step::Rcpt, out) {
                    return Turn::Rcpt(to);
                }
            }
            Command::Data => {
                if core.may(Step::Data, out) {
                    self.data = DataDecoder::new(&core.config.limits);
                    return Turn::Data;
                }
            }
            Command::StartTls => {
                if !core.config.starttls {
                    core.fail(&Reply::NOT_IMPLEMENTED, out);
                } else if core.tls {
                    core.fail(&Reply::BAD_SEQUENCE, out);
                } else if core.may(Step::StartTls, out) {
                    return Turn::StartTls;
                }
            }
            Command::Auth { mechanism, initial } => {
                let initial = initial.as_ref().map(InitialResponse::as_str);
                return self.auth(mechanism, initial, out);
            }
        }
        Turn::Done
    }

    fn auth<'i>(&mut self, mechanism: Mechanism, initial: Option<&str>, out: &mut BytesMut) -> Turn<'i> {
        let core = &mut self.core;
        if core.config.mechanisms.is_empty() {
            core.fail(&Reply::NOT_IMPLEMENTED, out);
        } else if !core.may(Step::Auth, out) {
        } else if core.authenticated {
            // RFC 4954 §4: no more AUTH after a successful one.
            core.fail(&Reply::BAD_SEQUENCE, out);
        } else if !core.offers_auth() {
            core.fail(&Reply::TLS_REQUIRED_FOR_AUTH, out);
        } else if !core.config.mechanisms.contains(&mechanism) {
            core.fail(&Reply::UNKNOWN_MECHANISM, out);
        } else if !self.decode(initial.filter(|text| *text != "=").unwrap_or_default().as_bytes()) {
            self.core.fail(&Reply::BAD_BASE64, out);
        } else {
            return Turn::Auth { mechanism, initial: initial.is_some() };
        }
        Turn::Done
    }

    fn decode(&mut self, text: &[u8]) -> bool {
        self.response.wipe();
        STANDARD.decode_vec(text, &mut self.response.0).is_ok()
    }
}

impl Core {
    fn ask(&mut self, pending: Pending) -> &mut Self {
        self.pending = pending;
        self
    }

    /// The event of the last call was dropped without an answer.
    fn refuse_pending(&mut self, out: &mut BytesMut) {
        let reply = match core::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => return,
            Pending::Auth => Reply::AUTH_UNAVAILABLE,
            Pending::StartTls => Reply::TLS_NOT_AVAILABLE,
            Pending::Data | Pending::End | Pending::Rcpt => Reply::LOCAL_ERROR,
            Pending::Mail => {
                self.mail_refused = true;
                Reply::LOCAL_ERROR
            }
        };
        self.restart = true;
        reply.encode(out);
    }

    /// Writes an answer of the caller's and moves on to `state` if it is a positive one.
    fn answer(&mut self, state: Option<State>, reply: &Reply, out: &mut BytesMut) {
        self.pending = Pending::Nothing;
        self.restart = true;
        reply.encode(out);
        if reply.code() == 421 {
            self.end(Reason::Refused);
        } else if let Some(state) = state {
            self.state = state;
        }
    }

    /// A refusal of the caller's; anything that would say yes is replaced.
    fn refuse(&mut self, reply: Reply, out: &mut BytesMut) {
        let reply = if reply.is_negative() { reply } else { Reply::LOCAL_ERROR };
        self.mail_refused |= self.pending == Pending::Mail;
        // Who guesses names or passwords has a budget; who is told to come back later does not use it up.
        if matches!(self.pending, Pending::Auth | Pending::Rcpt) && reply.severity() == Severity::Permanent {
            self.pending = Pending::Nothing;
            self.restart = true;
            self.fail(&reply, out);
        } else {
            self.answer(None, &reply, out);
        }
    }

    /// The caller has taken a message.
    fn delivered(&mut self, reply: &Reply, out: &mut BytesMut) {
        self.junk = 0;
        self.errors = 0;
        self.answer(None, reply, out);
    }

    fn hello(&mut self, name: Domain<'_>, extended: bool, out: &mut BytesMut) {
        // RFC 5321 §4.1.4: EHLO in the middle of a session clears the state as RSET does.
        self.state = State::Ready;
        self.mail_refused = false;
        self.client = Some(name.into_owned());
        self.extended = extended;
        if !self.count_junk(out) {
            return;
        }
        let host = self.config.host.as_str().as_bytes();
        if !extended {
            out.extend_from_slice(b"250 ");
            out.extend_from_slice(host);
            out.extend_from_slice(b"\r\n");
            return;
        }
        out.extend_from_slice(b"250-");
        out.extend_from_slice(host);
        let mut announce = |extension: Extension<'_>| {
            out.extend_from_slice(b"\r\n250-");
            extension.encode(out);
        };
        announce(Extension::Pipelining);
        announce(Extension::Size(Some(self.config.limits.message)));
        announce(Extension::EightBitMime);
        if self.config.starttls && !self.tls {
            announce(Extension::StartTls);
        }
        if self.offers_auth() {
            let names: Vec<_> = self.config.mechanisms.iter().map(Mechanism::as_str).collect();
            announce(Extension::Auth(Words::of_mechanisms(&names.join(" "))));
        }
        announce(Extension::EnhancedStatusCodes);
        out.extend_from_slice(b"\r\n250 ");
        // RFC 5321 §4.1.1.1: every command that §4.5.1 does not ask of all servers is announced.
        Extension::Help.encode(out);
        out.extend_from_slice(b"\r\n");
    }

    /// RFC 4954 §4: passwords must not be asked for in the clear.
    fn offers_auth(&self) -> bool {
        !self.config.mechanisms.is_empty() && (self.tls || self.config.plaintext_auth)
    }

    /// Whether the state allows `step`; answers if it does not.
    fn may(&mut self, step: Step, out: &mut BytesMut) -> bool {
        let reply = match self.state.allows(step) {
            Ok(()) => return true,
            Err(OutOfStep::HelloFirst) => Reply::HELLO_FIRST,
            // RFC 2920 §3.1: a group goes on behind a command that was refused, and that is no mistake.
            Err(OutOfStep::MailFirst) if self.mail_refused => {
                self.junk(&Reply::MAIL_FIRST, out);
                return false;
            }
            Err(OutOfStep::NoRecipients) => {
                self.junk(&Reply::NO_VALID_RECIPIENTS, out);
                return false;
            }
            Err(OutOfStep::MailFirst) => Reply::MAIL_FIRST,
            Err(OutOfStep::NotNow) => Reply::BAD_SEQUENCE,
        };
        self.fail(&reply, out);
        false
    }

    /// Answers a mistake, and ends the session when there are too many.
    fn fail(&mut self, reply: &Reply, out: &mut BytesMut) {
        self.errors += 1;
        if self.errors > self.config.limits.errors {
            Reply::TOO_MANY_ERRORS.encode(out);
            self.end(Reason::Errors);
        } else {
            reply.encode(out);
        }
    }

    fn junk(&mut self, reply: &Reply, out: &mut BytesMut) {
        if self.count_junk(out) {
            reply.encode(out);
        }
    }

    fn count_junk(&mut self, out: &mut BytesMut) -> bool {
        self.junk += 1;
        if self.junk <= self.config.limits.junk {
            return true;
        }
        Reply::TOO_MUCH_JUNK.encode(out);
        self.end(Reason::Junk);
        false
    }

    fn end_foreign(&mut self, out: &mut BytesMut) {
        Reply::NOT_SMTP.encode(out);
        self.end(Reason::ForeignProtocol);
    }

    fn end(&mut self, reason: Reason) {
        self.reason = Some(reason);
        self.state = State::Closed;
        self.pending = Pending::Nothing;
    }

    const fn timeout(&self) -> Duration {
        match self.state {
            State::Message => self.config.limits.data_timeout,
            _ => self.config.limits.command_timeout,
        }
    }

    fn restart_deadline(&mut self, now: Duration) {
        self.deadline = now.saturating_add(self.timeout());
    }

    /// Within a message each octet buys its share of time, so that a drip does not hold a connection for ever.
    fn extend_deadline(&mut self, now: Duration, octets: u64) {
        let limits = &self.config.limits;
        let bought = Duration::from_nanos(octets.saturating_mul(1_000_000_000) / limits.data_rate);
        self.deadline = self.deadline.saturating_add(bought).min(now.saturating_add(limits.data_timeout));
    }
}

impl Response {
    fn wipe(&mut self) {
        if !self.0.is_empty() {
            self.0.fill(0);
            // Or else the compiler may leave out a write to what nobody reads again.
            core::hint::black_box(&mut self.0);
            self.0 = Vec::new();
        }
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        self.wipe();
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Response(..)")
    }
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::LineEnds => Self::BAD_LINE_ENDS,
            Fault::LineTooLong => Self::BODY_LINE_TOO_LONG,
            Fault::TooBig => Self::MESSAGE_TOO_BIG,
        }
    }
}

impl From<LineError<'_>> for Reply {
    fn from(error: LineError<'_>) -> Self {
        match error {
            LineError::BareLf(_) => Self::BARE_LF_IN_COMMAND,
            LineError::TooLong => Self::LINE_TOO_LONG,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_may_move_between_threads() {
        const fn needs<T: Send + Sync>() {}
        needs::<ServerSession>();
    }

    #[test]
    fn a_secret_does_not_outlive_its_event() {
        let host = Domain::parse("host.test").expect("a domain").into_owned();
        let config = ServerConfig::new(host).mechanisms(&[Mechanism::PLAIN]).plaintext_auth();
        let mut out = BytesMut::new();
        let mut session = ServerSession::new(config, Duration::ZERO, &mut out);
        let mut input = &b"EHLO c\r\nAUTH PLAIN c2VjcmV0\r\n"[..];
        assert!(matches!(session.receive(Duration::ZERO, &mut input, &mut out), Some(Event::Auth(_))));
        assert_eq!(session.response.0, b"secret");
        assert!(session.receive(Duration::ZERO, &mut input, &mut out).is_none());
        assert_eq!(session.response.0.capacity(), 0);
    }
}
