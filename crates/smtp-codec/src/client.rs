//! The client's side of a session.
//!
//! The session greets, asks for the extensions, and keeps replies and commands in step; what to do is the caller's to
//! say, whenever an [`Event`] offers it.

mod event;
mod state;

use core::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

pub use self::event::{Challenge, Event, Message, Outcome, Ready, Stage};
use self::state::State;
pub use self::state::Timer;
use crate::address::{Domain, ForwardPath, ReversePath};
use crate::command::{Body, Command, MailParameters};
use crate::data::DataEncoder;
use crate::error::{ReplyError, Unsendable};
use crate::extension::Capabilities;
use crate::limits::ClientLimits;
use crate::line::{LineError, LineReader};
use crate::reply::{Reply, ReplyReader, Severity, split_line};

/// What a session needs to know of its host.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    name: Domain<'static>,
    limits: ClientLimits,
    tls: bool,
    plaintext_auth: bool,
}

impl ClientConfig {
    /// A host that says EHLO with this name.
    pub fn new(name: Domain<'static>) -> Self {
        Self { name, limits: ClientLimits::default(), tls: false, plaintext_auth: false }
    }

    /// Other bounds than the default ones.
    pub fn limits(mut self, limits: ClientLimits) -> Self {
        self.limits = limits;
        self
    }

    /// The connection is under TLS from its first octet.
    pub const fn implicit_tls(mut self) -> Self {
        self.tls = true;
        self
    }

    /// Logins are possible without TLS too. For tests on loopback: passwords go over the wire in the clear.
    pub const fn plaintext_auth(mut self) -> Self {
        self.plaintext_auth = true;
        self
    }
}

/// Who sends a message, and to whom.
#[derive(Clone, Debug)]
pub struct Envelope {
    from: ReversePath<'static>,
    to: Vec<ForwardPath<'static>>,
    parameters: MailParameters,
}

impl Envelope {
    /// A message from this sender, as yet to nobody.
    pub fn new(from: ReversePath<'_>) -> Self {
        Self { from: from.into_owned(), to: Vec::new(), parameters: MailParameters::default() }
    }

    /// One recipient more. Events name recipients by the order of these calls.
    pub fn to(mut self, to: ForwardPath<'_>) -> Self {
        self.to.push(to.into_owned());
        self
    }

    /// The size of the message in octets, for servers that announce SIZE.
    pub const fn size(mut self, octets: u64) -> Self {
        self.parameters.size = Some(octets);
        self
    }

    /// What the body holds, for servers that announce 8BITMIME.
    pub const fn body(mut self, body: Body) -> Self {
        self.parameters.body = Some(body);
        self
    }

    /// The header has letters beyond ASCII, for servers that announce SMTPUTF8
    /// ([RFC 6531 §3.4](https://www.rfc-editor.org/rfc/rfc6531#section-3.4)).
    pub const fn smtp_utf8(mut self) -> Self {
        self.parameters.smtp_utf8 = true;
        self
    }
}

/// Why a session has ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The server answered QUIT, or closed the connection behind it.
    Quit,
    /// The server closed the connection.
    Eof,
    /// The server was too slow.
    Timeout(Timer),
    /// What came is not SMTP.
    Garbled(ReplyError),
    /// Octets came behind the reply to STARTTLS before TLS did: an attempt to inject replies.
    PlaintextBehindStartTls,
    /// The server said 421, or refused a message before its end.
    ServerStopping,
    /// The caller gave a message up.
    Abandoned,
    /// The caller's message held a bare CR, a bare LF or NUL.
    BadMessage,
    /// [`ClientSession::close`].
    Closed,
}

/// The client's side of one SMTP connection.
///
/// A driver calls [`receive`](Self::receive) until it gives `None`, flushes, does the TLS handshake if that is
/// [wanted](Self::wants_tls), and only then waits for octets: `receive` is also what writes EHLO when TLS has started. It
/// reads while it writes, or two full pipes wait for each other.
#[derive(Debug)]
pub struct ClientSession {
    core: Core,
    line: LineReader,
    reply: ReplyReader,
    challenge: Vec<u8>,
}

/// What an event borrows to write what comes next.
#[derive(Debug)]
pub(super) struct Core {
    config: ClientConfig,
    state: State,
    /// The event that is still to be answered.
    pending: Pending,
    capabilities: Capabilities,
    tls: bool,
    authenticated: bool,
    /// The login was given up, and the server is to say 501.
    cancelled: bool,
    transaction: Transaction,
    /// Of the message, while it is being written; gone after a bad octet.
    encoder: Option<DataEncoder>,
    deadline: Duration,
    /// The deadline starts anew at the next call, which knows the time.
    restart: bool,
    in_doubt: bool,
    /// What is to be told at the next turn.
    outcome: Option<Outcome>,
    reason: Option<Reason>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pending {
    Nothing,
    Challenge,
    Message,
    Ready,
}

/// The commands of a transaction, numbered: MAIL is 0, then the recipients, then DATA.
#[derive(Debug)]
struct Transaction {
    envelope: Envelope,
    sent: usize,
    answered: usize,
    /// How many recipients were taken.
    taken: usize,
    /// The refusal of MAIL.
    mail_refused: Option<Reply>,
    /// The refusal of the latest recipient that was refused.
    recipient_refused: Option<Reply>,
    /// DATA was answered 354 though there is nothing to send: an empty message is on its way.
    empty: bool,
}

/// What a step of the session came to, before anything is borrowed for an event.
enum Turn {
    More,
    Done,
    Ready,
    Challenge,
    Message,
    Event(Told),
}

/// An event that holds no borrow.
enum Told {
    Rejected(Reply),
    TlsRefused(Reply),
    LoggedIn(Reply),
    LoginFailed(Reply),
    Recipient(usize, Reply),
}

impl ClientSession {
    /// Begins a session. A client writes nothing before it has been greeted.
    pub fn new(config: ClientConfig, now: Duration, _out: &mut BytesMut) -> Self {
        let core = Core {
            tls: config.tls,
            deadline: now.saturating_add(config.limits.greeting),
            config,
            state: State::Greeting,
            pending: Pending::Nothing,
            capabilities: Capabilities::default(),
            authenticated: false,
            cancelled: false,
            transaction: Transaction::new(Envelope::new(ReversePath::Null)),
            encoder: None,
            restart: false,
            in_doubt: false,
            outcome: None,
            reason: None,
        };
        Self { core, line: LineReader::default(), reply: ReplyReader::default(), challenge: Vec::new() }
    }

    /// Takes octets from `input` up to the next event and writes commands to `out`.
    ///
    /// `None` means that more input is needed, or that the session is [closed](Self::closed), waits for
    /// [TLS](Self::wants_tls), or for the caller ([`Self::resume`], [`Self::message`]). What is left of `input` has to be
    /// there again, with more behind it, at the next call.
    pub fn receive<'s, 'i: 's>(
        &'s mut self,
        now: Duration,
        input: &mut &'i [u8],
        out: &mut BytesMut,
    ) -> Option<Event<'s>> {
        self.core.refuse_pending(out);
        self.wipe_challenge();
        if core::mem::take(&mut self.core.restart) {
            self.core.restart_deadline(now);
        }
        loop {
            if let Some(outcome) = self.core.outcome.take() {
                return Some(Event::Done(outcome));
            }
            let turn = match self.core.state {
                State::Closed => return None,
                State::TlsWanted => {
                    // RFC 3207 §4.2: what came before TLS must not be taken for what came within it.
                    if !input.is_empty() {
                        self.core.end(Reason::PlaintextBehindStartTls);
                    }
                    return None;
                }
                State::Hello => {
                    self.core.send_hello(true, out);
                    Turn::Done
                }
                State::Ready => Turn::Ready,
                _ => self.read(now, input, out),
            };
            if core::mem::take(&mut self.core.restart) {
                self.core.restart_deadline(now);
            }
            return Some(match turn {
                Turn::More => return None,
                Turn::Done => continue,
                Turn::Ready => Event::Ready(Ready { core: self.core.ask(Pending::Ready) }),
                Turn::Challenge => {
                    let data = &self.challenge[..];
                    Event::Challenge(Challenge { core: self.core.ask(Pending::Challenge), data })
                }
                Turn::Message => Event::Message(Message { core: self.core.ask(Pending::Message) }),
                Turn::Event(told) => told.into(),
            });
        }
    }

    /// Tells the session that time has passed. Before [`Self::poll_timeout`] it does nothing. It ends without a word:
    /// who was too slow with a reply is not asked for another.
    pub fn handle_timeout(&mut self, now: Duration, out: &mut BytesMut) {
        self.core.refuse_pending(out);
        if core::mem::take(&mut self.core.restart) {
            self.core.restart_deadline(now);
        }
        if let Some(timer) = self.core.timer()
            && now >= self.core.deadline
        {
            self.core.end(Reason::Timeout(timer));
        }
    }

    /// Tells the session that the server will send nothing more.
    pub fn handle_eof(&mut self) {
        // RFC 5321 §4.1.1.10: a server that closes behind QUIT without its 221 has done what it was asked.
        let said_quit = self.core.state == State::Quit;
        self.core.end(if said_quit { Reason::Quit } else { Reason::Eof });
    }

    /// Tells the session that TLS is on: it forgets what it knew of the server
    /// ([RFC 3207 §4.2](https://www.rfc-editor.org/rfc/rfc3207#section-4.2)). The next [`receive`](Self::receive) writes EHLO.
    pub fn handle_tls_started(&mut self, now: Duration) {
        if self.core.state == State::TlsWanted {
            self.core.state = State::Hello;
            self.core.capabilities = Capabilities::default();
            self.core.authenticated = false;
            self.core.tls = true;
            self.line = LineReader::default();
            self.core.restart = false;
            self.core.restart_deadline(now);
        }
    }

    /// When [`Self::handle_timeout`] wants to be called; `None` once closed, and while only the caller is waited for.
    pub const fn poll_timeout(&self) -> Option<Duration> {
        match self.core.timer() {
            Some(_) => Some(self.core.deadline),
            None => None,
        }
    }

    /// Whether the driver has to flush what was written and then start TLS.
    pub fn wants_tls(&self) -> bool {
        self.core.state == State::TlsWanted
    }

    /// Whether TLS is on.
    pub const fn is_tls(&self) -> bool {
        self.core.tls
    }

    /// What the server announced; empty before EHLO and after TLS has started.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.core.capabilities
    }

    /// The offer that [`Ready::idle`] put off; `None` if the session is not idle. It ends if the beginning of a reply has come
    /// meanwhile: nobody has asked for one, and the next command would get it for its own.
    pub fn resume(&mut self) -> Option<Ready<'_>> {
        if self.core.state != State::Idle {
            return None;
        }
        if self.reply.is_inside() || self.line.is_inside() {
            self.core.end(Reason::Garbled(ReplyError::OutOfStep));
            return None;
        }
        self.core.state = State::Ready;
        Some(Ready { core: self.core.ask(Pending::Ready) })
    }

    /// The message that [`Message::pause`] put off; `None` if there is none.
    pub fn message(&mut self) -> Option<Message<'_>> {
        (self.core.state == State::Message).then(|| Message { core: self.core.ask(Pending::Message) })
    }

    /// Ends the session from our side: with QUIT between two commands, otherwise without a word.
    pub fn close(&mut self, _now: Duration, out: &mut BytesMut) {
        if matches!(self.core.state, State::Ready | State::Idle) {
            Command::Quit.encode(out);
        }
        self.core.end(Reason::Closed);
    }

    /// Why the session has ended; the driver flushes what was written and closes the connection.
    pub const fn closed(&self) -> Option<Reason> {
        self.core.reason
    }

    /// Whether the session ended between the end of a message and its reply: the server may have taken the message or
    /// not, and who sends it again may send it twice
    /// ([RFC 5321 §4.5.3.2.6](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.2.6)).
    ///
    /// The end has been written to `out` then. A driver that still holds some of it knows better: the server has not
    /// seen the end, and so has not taken the message. A driver whose connection fails calls [`Self::handle_eof`], or there
    /// is no doubt to ask for.
    pub const fn is_in_doubt(&self) -> bool {
        self.core.in_doubt
    }

    /// Reads one line, and acts when it completes a reply.
    fn read(&mut self, now: Duration, input: &mut &[u8], out: &mut BytesMut) -> Turn {
        let Some(line) = self.line.next(input, self.core.config.limits.reply_line) else {
            if self.line.is_swallowing() {
                self.core.end(Reason::Garbled(ReplyError::TooLong));
            }
            return Turn::More;
        };
        let line = match line {
            Ok(line) => line,
            // RFC 5321 §2.3.8: a server that ends its lines in LF alone may mean other lines than we read.
            Err(LineError::BareLf(line)) => {
                return self.core.garbled(ReplyError::Syntax { offset: line.len() });
            }
            Err(LineError::TooLong) => return self.core.garbled(ReplyError::TooLong),
        };
        if self.core.state == State::Auth
            && !self.core.cancelled
            && !self.reply.is_inside()
            && let Ok((334, false, challenge)) = split_line(line)
        {
            self.core.restart_deadline(now);
            return self.challenge(challenge, out);
        }
        match self.reply.line(line, self.core.config.limits.reply) {
            Ok(None) => Turn::Done,
            Ok(Some(reply)) => {
                let turn = self.core.obey(reply, out);
                self.core.restart_deadline(now);
                turn
            }
            Err(error) => self.core.garbled(error),
        }
    }

    fn challenge(&mut self, text: &[u8], out: &mut BytesMut) -> Turn {
        if STANDARD.decode_vec(text, &mut self.challenge).is_ok() {
            return Turn::Challenge;
        }
        // RFC 4954 §4: a client that cannot decode a challenge MUST cancel.
        self.wipe_challenge();
        self.core.cancel_login(out);
        Turn::Done
    }

    fn wipe_challenge(&mut self) {
        if !self.challenge.is_empty() {
            self.challenge = Vec::new();
        }
    }
}

impl Core {
    const fn ask(&mut self, pending: Pending) -> &mut Self {
        self.pending = pending;
        self
    }

    /// The event of the last call was dropped without an answer.
    fn refuse_pending(&mut self, out: &mut BytesMut) {
        match core::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => {}
            Pending::Challenge => self.cancel_login(out),
            Pending::Message => {
                self.end(if self.encoder.is_some() { Reason::Abandoned } else { Reason::BadMessage });
            }
            Pending::Ready => self.quit(out),
        }
    }

    /// What the caller asks for, or an error and the same offer again.
    fn step(&mut self, step: impl FnOnce(&mut Self) -> Result<(), Unsendable>) -> Result<(), Unsendable> {
        self.pending = Pending::Nothing;
        step(self)
    }

    /// Acts on a whole reply.
    fn obey(&mut self, reply: Reply, out: &mut BytesMut) -> Turn {
        let stopping = reply.code() == 421;
        let turn = match self.state {
            State::Greeting => self.greeted(reply, out),
            State::Ehlo | State::Helo => self.introduced(reply, out),
            State::StartTls => self.tls_answered(reply),
            State::Auth => self.login_answered(reply),
            State::Envelope => self.envelope_answered(reply, out),
            State::Final => self.message_answered(reply, out),
            State::Message => {
                // A server that gives up before the end has no other way to say so, and there is no way back into step.
                if reply.is_negative() {
                    self.outcome = Some(Outcome::Refused { stage: Stage::Message, reply });
                    self.end(Reason::ServerStopping);
                    Turn::Done
                } else {
                    self.garbled(ReplyError::OutOfStep)
                }
            }
            State::Reset => match reply.severity() {
                Severity::Positive => self.go(State::Ready, Turn::Done),
                Severity::Intermediate => self.garbled(ReplyError::OutOfStep),
                _ => self.reject(reply, out),
            },
            State::Quit => {
                self.end(Reason::Quit);
                Turn::Done
            }
            // Nobody has asked for anything.
            State::Idle if stopping => Turn::Done,
            _ => self.garbled(ReplyError::OutOfStep),
        };
        // RFC 5321 §3.8: 421 may answer anything, and the server closes the connection behind it.
        if stopping && self.reason.is_none() {
            self.end(Reason::ServerStopping);
        }
        turn
    }

    fn greeted(&mut self, reply: Reply, out: &mut BytesMut) -> Turn {
        match reply.severity() {
            Severity::Positive => self.go(State::Hello, Turn::Done),
            Severity::Intermediate => self.garbled(ReplyError::OutOfStep),
            // RFC 5321 §3.1: behind 554 the server waits for QUIT.
            _ => self.reject(reply, out),
        }
    }

    fn introduced(&mut self, reply: Reply, out: &mut BytesMut) -> Turn {
        let extended = self.state == State::Ehlo;
        match reply.severity() {
            Severity::Positive => {
                if extended {
                    self.capabilities = Capabilities::parse(&reply);
                }
                self.go(State::Ready, Turn::Done)
            }
            Severity::Intermediate => self.garbled(ReplyError::OutOfStep),
            // RFC 5321 §3.2: a server of the old kind.
            _ if extended && matches!(reply.code(), 500 | 502) => {
                self.send_hello(false, out);
                Turn::Done
            }
            _ => self.reject(reply, out),
        }
    }

    fn tls_answered(&mut self, reply: Reply) -> Turn {
        match reply.severity() {
            Severity::Positive => self.go(State::TlsWanted, Turn::Done),
            Severity::Intermediate => self.garbled(ReplyError::OutOfStep),
            _ => self.go(State::Ready, Turn::Event(Told::TlsRefused(reply))),
        }
    }

    fn login_answered(&mut self, reply: Reply) -> Turn {
        let cancelled = core::mem::take(&mut self.cancelled);
        match reply.severity() {
            // RFC 4954 §4: "*" is rejected. A server that goes on, or calls it a login, has read something else.
            Severity::Positive if cancelled => self.garbled(ReplyError::OutOfStep),
            Severity::Positive => {
                self.authenticated = true;
                self.go(State::Ready, Turn::Event(Told::LoggedIn(reply)))
            }
            Severity::Intermediate => self.garbled(ReplyError::OutOfStep),
            _ => self.go(State::Ready, Turn::Event(Told::LoginFailed(reply))),
        }
    }

    fn envelope_answered(&mut self, reply: Reply, out: &mut BytesMut) -> Turn {
        if reply.code() == 421 {
            return self.envelope_cut(reply);
        }
        let transaction = &mut self.transaction;
        let number = transaction.answered;
        let is_data = number == transaction.data();
        transaction.answered += 1;
        if is_data {
            return self.data_answered(reply, out);
        }
        let good = match reply.severity() {
            Severity::Positive => true,
            Severity::Intermediate => return self.garbled(ReplyError::OutOfStep),
            _ => false,
        };
        let mut turn = Turn::Done;
        if number == 0 {
            if !good {
                transaction.mail_refused = Some(reply);
            }
        } else if transaction.mail_refused.is_none() {
            if good {
                transaction.taken += 1;
            } else {
                transaction.recipient_refused = Some(reply.clone());
            }
            turn = Turn::Event(Told::Recipient(number - 1, reply));
        }
        self.pump(out);
        if self.transaction.sent == self.transaction.answered {
            // Nothing is on its way, and nothing is left to say.
            self.envelope_refused(None, out);
        }
        turn
    }

    /// 421 answers one of the commands; the replies to the others will not come.
    fn envelope_cut(&mut self, reply: Reply) -> Turn {
        let number = self.transaction.answered;
        let stage = match number {
            0 => Stage::Mail,
            _ if number < self.transaction.data() => Stage::Recipients,
            _ => Stage::Data,
        };
        let is_recipient = stage == Stage::Recipients && self.transaction.mail_refused.is_none();
        self.keep_verdict();
        if self.outcome.is_none() {
            self.outcome = Some(Outcome::Refused { stage, reply: reply.clone() });
        }
        if is_recipient { Turn::Event(Told::Recipient(number - 1, reply)) } else { Turn::Done }
    }

    fn data_answered(&mut self, reply: Reply, out: &mut BytesMut) -> Turn {
        match reply.severity() {
            Severity::Positive => self.garbled(ReplyError::OutOfStep),
            Severity::Intermediate if self.transaction.taken > 0 => {
                self.encoder = Some(DataEncoder::new());
                self.go(State::Message, Turn::Message)
            }
            Severity::Intermediate => {
                // RFC 2920 §3.1: a server that says 354 without recipients is sent an empty message.
                self.transaction.empty = true;
                out.extend_from_slice(b".\r\n");
                self.go(State::Final, Turn::Done)
            }
            _ => {
                self.envelope_refused(Some(reply), out);
                Turn::Done
            }
        }
    }

    /// The transaction has come to nothing before the message.
    fn envelope_refused(&mut self, data: Option<Reply>, out: &mut BytesMut) {
        let stage = self.transaction.stage();
        let reply = match stage {
            Stage::Mail => self.transaction.mail_refused.take(),
            Stage::Recipients => self.transaction.recipient_refused.take(),
            Stage::Data | Stage::Message => data,
        };
        self.outcome = reply.map(|reply| Outcome::Refused { stage, reply });
        if stage == Stage::Mail {
            self.state = State::Ready;
        } else {
            // RFC 5321 §4.1.4: the server still has the sender.
            self.send(&Command::Rset, State::Reset, out);
        }
    }

    fn message_answered(&mut self, reply: Reply, out: &mut BytesMut) -> Turn {
        match reply.severity() {
            Severity::Intermediate => return self.garbled(ReplyError::OutOfStep),
            _ if self.transaction.empty => self.envelope_refused(None, out),
            Severity::Positive => self.outcome = Some(Outcome::Taken(reply)),
            _ => self.outcome = Some(Outcome::Refused { stage: Stage::Message, reply }),
        }
        if self.state == State::Final { self.go(State::Ready, Turn::Done) } else { Turn::Done }
    }

    fn begin(&mut self, mut envelope: Envelope, out: &mut BytesMut) {
        // RFC 5321 §4.1.1.11: no parameter without its extension.
        if !self.capabilities.size() {
            envelope.parameters.size = None;
        }
        if !self.capabilities.eight_bit_mime() {
            envelope.parameters.body = None;
        }
        envelope.parameters.smtp_utf8 &= self.capabilities.smtp_utf8();
        self.transaction = Transaction::new(envelope);
        self.await_reply(State::Envelope);
        self.pump(out);
    }

    /// Writes what may be on its way now.
    fn pump(&mut self, out: &mut BytesMut) {
        let group = if self.capabilities.pipelining() { self.config.limits.group } else { 1 };
        let Transaction { envelope, sent, answered, taken, mail_refused, .. } = &mut self.transaction;
        while *sent - *answered < group {
            let in_doubt = sent > answered;
            if *sent == 0 {
                Command::Mail(envelope.from.clone(), envelope.parameters).encode(out);
            } else if mail_refused.is_some() {
                break;
            } else if let Some(to) = envelope.to.get(*sent - 1) {
                Command::Rcpt(to.clone()).encode(out);
            } else if *sent == envelope.to.len() + 1 && (in_doubt || *taken > 0) {
                Command::Data.encode(out);
            } else {
                break;
            }
            *sent += 1;
        }
    }

    fn send_hello(&mut self, extended: bool, out: &mut BytesMut) {
        let name = self.config.name.clone();
        if extended {
            self.send(&Command::Ehlo(name), State::Ehlo, out);
        } else {
            self.send(&Command::Helo(name), State::Helo, out);
        }
    }

    fn send(&mut self, command: &Command<'_>, state: State, out: &mut BytesMut) {
        command.encode(out);
        self.await_reply(state);
    }

    const fn await_reply(&mut self, state: State) {
        self.state = state;
        self.restart = true;
    }

    fn cancel_login(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(b"*\r\n");
        self.cancelled = true;
        self.restart = true;
    }

    fn quit(&mut self, out: &mut BytesMut) {
        self.send(&Command::Quit, State::Quit, out);
    }

    /// The server does not want us; without a word more if it is about to close.
    fn reject(&mut self, reply: Reply, out: &mut BytesMut) -> Turn {
        if reply.code() != 421 {
            self.quit(out);
        }
        Turn::Event(Told::Rejected(reply))
    }

    const fn go(&mut self, state: State, turn: Turn) -> Turn {
        self.state = state;
        turn
    }

    fn garbled(&mut self, error: ReplyError) -> Turn {
        self.end(Reason::Garbled(error));
        Turn::Done
    }

    fn end(&mut self, reason: Reason) {
        if self.reason.is_none() {
            self.keep_verdict();
            self.in_doubt = self.state == State::Final && !self.transaction.empty;
            self.reason = Some(reason);
            self.state = State::Closed;
            self.pending = Pending::Nothing;
            self.encoder = None;
        }
    }

    /// The rest of a group is of no account once its beginning was refused: what was lost with the connection changes
    /// nothing.
    fn keep_verdict(&mut self) {
        let transaction = &mut self.transaction;
        let within = self.state == State::Envelope || (self.state == State::Final && transaction.empty);
        let decided = transaction.mail_refused.is_some()
            || (transaction.taken == 0 && transaction.answered >= transaction.data());
        if within && decided && self.outcome.is_none() {
            let stage = transaction.stage();
            let refusal = transaction.mail_refused.take().or_else(|| transaction.recipient_refused.take());
            self.outcome = refusal.map(|reply| Outcome::Refused { stage, reply });
        }
    }

    const fn timer(&self) -> Option<Timer> {
        let transaction = &self.transaction;
        match self.state.timer() {
            Some(Timer::Command)
                if matches!(self.state, State::Envelope) && transaction.answered == transaction.data() =>
            {
                Some(Timer::DataStart)
            }
            timer => timer,
        }
    }

    fn restart_deadline(&mut self, now: Duration) {
        let limits = &self.config.limits;
        let time = match self.timer() {
            Some(Timer::Greeting) => limits.greeting,
            Some(Timer::Command) => limits.command,
            Some(Timer::DataStart) => limits.data_start,
            Some(Timer::DataBlock) => limits.data_block,
            Some(Timer::DataEnd) => limits.data_end,
            None => return,
        };
        self.deadline = now.saturating_add(time);
    }
}

impl Transaction {
    const fn new(envelope: Envelope) -> Self {
        Self {
            envelope,
            sent: 0,
            answered: 0,
            taken: 0,
            mail_refused: None,
            recipient_refused: None,
            empty: false,
        }
    }

    /// The number of DATA.
    const fn data(&self) -> usize {
        self.envelope.to.len() + 1
    }

    /// What a refusal before the message is a refusal of.
    const fn stage(&self) -> Stage {
        if self.mail_refused.is_some() {
            Stage::Mail
        } else if self.taken == 0 {
            Stage::Recipients
        } else {
            Stage::Data
        }
    }
}

impl From<Told> for Event<'_> {
    fn from(told: Told) -> Self {
        match told {
            Told::Rejected(reply) => Self::Rejected(reply),
            Told::TlsRefused(reply) => Self::TlsRefused(reply),
            Told::LoggedIn(reply) => Self::LoggedIn(reply),
            Told::LoginFailed(reply) => Self::LoginFailed(reply),
            Told::Recipient(index, reply) => Self::Recipient { index, reply },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_may_move_between_threads() {
        const fn needs<T: Send + Sync>() {}
        needs::<ClientSession>();
    }
}
