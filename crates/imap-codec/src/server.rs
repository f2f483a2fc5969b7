//! The server's side of a session.
//!
//! The session answers what is a matter of grammar and order; each [`Event`] that needs a decision is answered by the
//! caller through its consuming methods. One command at a time: the next one is not looked at before this one is answered,
//! so pipelining clients get their answers in order.

mod event;
mod state;

use core::time::Duration;

use bytes::BytesMut;

pub use self::event::{
    Answer, AppendStart, Event, Head, IdleStart, Idling, Literal, Login, LoginResponse, Numbers, Ranges,
    StartTls,
};
use self::state::{Mode, Pending, State};
use crate::command::{Append, Authenticate, Command, Verb, decode_base64, parse_tag};
use crate::encode::{Names, Writer};
use crate::extension::literal::{SMALL, may_come};
use crate::extension::{Capabilities, Extension, Extensions, append_limit, enable, idle};
use crate::fragment::{Announced, Bounds, Fragment, Fragmenter, Sender};
use crate::limits::Limits;
use crate::parse::Cursor;
use crate::response::{Code, Condition, Data, Reply, Status};
use crate::types::string::{Atom, Text};

/// What a session needs to know of its host.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    extensions: Extensions,
    limits: Limits,
    greeting: Text<'static>,
    tls: bool,
    starttls: bool,
    mechanisms: Vec<Atom<'static>>,
    plaintext_auth: bool,
    preauth: bool,
    quota_resources: Vec<Atom<'static>>,
}

impl ServerConfig {
    /// A host that can do this, offers neither TLS nor logins by AUTHENTICATE, and takes LOGIN under TLS only.
    pub fn new(extensions: Extensions) -> Self {
        Self {
            extensions,
            limits: Limits::default(),
            greeting: Text::new("ready"),
            tls: false,
            starttls: false,
            mechanisms: Vec::new(),
            plaintext_auth: false,
            preauth: false,
            quota_resources: Vec::new(),
        }
    }

    /// Other bounds than the default ones.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What the greeting says to people.
    pub fn greeting(mut self, text: Text<'static>) -> Self {
        self.greeting = text;
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

    /// The mechanisms to announce for AUTHENTICATE.
    pub fn mechanisms(mut self, mechanisms: &[Atom<'_>]) -> Self {
        self.mechanisms = mechanisms.iter().map(|mechanism| mechanism.clone().into_owned()).collect();
        self
    }

    /// Logins are offered without TLS too. For tests on loopback: passwords go over the wire in the clear.
    pub fn plaintext_auth(mut self) -> Self {
        self.plaintext_auth = true;
        self
    }

    /// Who connects is known already, by a certificate for example: the greeting is PREAUTH.
    pub fn preauth(mut self) -> Self {
        self.preauth = true;
        self
    }

    /// The resources that QUOTA limits, such as `STORAGE`.
    pub fn quota_resources(mut self, resources: &[Atom<'_>]) -> Self {
        self.quota_resources = resources.iter().map(|resource| resource.clone().into_owned()).collect();
        self
    }
}

/// Why a session has ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Reason {
    /// The client said LOGOUT.
    Logout,
    /// The client closed the connection between two commands.
    Eof,
    /// The client closed the connection within a command, IDLE or the payload of APPEND.
    EofInside,
    /// No whole command came in time before a login ([`Limits::login_timeout`]).
    LoginTimeout,
    /// No whole command came in time ([`Limits::idle_timeout`]).
    Autologout,
    /// The payload of APPEND stopped coming ([`Limits::append_timeout`]).
    AppendTimeout,
    /// More than [`Limits::errors`].
    Errors,
    /// A literal that was refused came anyway, and was larger than [`Limits::discard`].
    Flood,
    /// Octets came behind STARTTLS before TLS did: an attempt to inject commands.
    PlaintextBehindStartTls,
    /// The first line was of HTTP or TLS.
    ForeignProtocol,
    /// The caller left a [`Literal`] short, or [`Numbers`] or [`Ranges`] without their end.
    ShortLiteral,
    /// [`ServerSession::close`].
    Closed,
}

/// The server's side of one IMAP connection.
///
/// See the [front page](crate) for a driver.
#[derive(Debug)]
pub struct ServerSession {
    core: Core,
    fragmenter: Fragmenter,
    response: Response,
}

/// The decoded response of a login. It lives as long as the event that shows it, is overwritten then, and is never printed.
#[derive(Default)]
struct Response(Vec<u8>);

/// What an event borrows to write its answer.
#[derive(Debug)]
pub(super) struct Core {
    config: ServerConfig,
    state: State,
    mode: Mode,
    /// The tag of the command in progress, or of the one that is being swallowed; empty if it had none.
    tag: String,
    /// The event that is still to be answered.
    pending: Option<Pending>,
    /// What to say at the end of the command that is being swallowed; nothing, if it has been said.
    swallowing: Option<Reply<'static>>,
    /// The caller has refused the payload of APPEND that was announced.
    append_refused: bool,
    /// A literal of the command came without being asked for, and without the extension for it.
    unasked: bool,
    /// Octets missing of a literal of ours; none are while a response is not finished.
    literal: Option<u64>,
    rev2: bool,
    condstore: bool,
    tls: bool,
    first: bool,
    errors: u32,
    deadline: Duration,
    /// The deadline starts anew at the next call, which knows the time.
    restart: bool,
    reason: Option<Reason>,
}

/// What a step of the session came to, before anything is borrowed for an event.
enum Turn<'i> {
    More,
    Done,
    Command(Verb<'i>),
    Authenticate { mechanism: Atom<'i>, initial: bool },
    LoginResponse,
    LoginCancelled,
    StartTls,
    Append(Append<'i>, Announced),
    Chunk(&'i [u8]),
    AppendEnd,
    AppendAborted,
    Idle,
    IdleEnd,
}

/// What lets a literal come.
const GO_ON: &[u8] = b"+ go on\r\n";

/// Beyond so many octets of answers that nobody asked the caller for, it is asked to flush.
const FLUSH: usize = 16_384;

impl ServerSession {
    /// Begins a session by writing the greeting, with the capabilities.
    pub fn new(config: ServerConfig, now: Duration, out: &mut BytesMut) -> Self {
        let mut core = Core {
            state: if config.preauth { State::Authenticated } else { State::NotAuthenticated },
            mode: Mode::Command,
            tag: String::new(),
            pending: None,
            swallowing: None,
            append_refused: false,
            unasked: false,
            literal: None,
            rev2: false,
            condstore: false,
            tls: config.tls,
            first: true,
            errors: 0,
            deadline: now,
            restart: false,
            reason: None,
            config,
        };
        core.restart_deadline(now);
        let condition = if core.config.preauth { Condition::PreAuth } else { Condition::Ok };
        let status = Status::new(condition, core.config.greeting.clone());
        core.untagged(&Data::Status(status.with(Code::Capability(core.capabilities()))), out);
        Self { core, fragmenter: Fragmenter::new(Sender::Client), response: Response::default() }
    }

    /// Takes octets from `input` up to the next event and writes responses to `out`.
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
        let written = out.len();
        loop {
            if out.len() > written + FLUSH {
                return Some(Event::Continue);
            }
            let turn = match self.core.mode {
                Mode::Closed => return None,
                Mode::TlsWanted => {
                    // RFC 9051 §6.2.1 and CVE-2011-0411: what came before TLS must not be taken for what came within it.
                    if !input.is_empty() {
                        self.core.end(Reason::PlaintextBehindStartTls);
                    }
                    return None;
                }
                Mode::Command => self.command(now, input, out),
                Mode::Append => self.append(now, input, out),
                Mode::Login => self.login(now, input, out),
                Mode::Idle => self.idle(now, input, out),
            };
            match turn {
                Turn::More => return None,
                Turn::Done => {}
                Turn::Command(verb) => {
                    let core = self.core.ask(Pending::of(&verb));
                    return Some(Event::Command(verb, Answer { core }));
                }
                Turn::Authenticate { mechanism, initial } => {
                    let initial = initial.then_some(&self.response.0[..]);
                    let core = self.core.ask(Pending::Login);
                    return Some(Event::Authenticate(Login { core, mechanism, initial }));
                }
                Turn::LoginResponse => {
                    let data = &self.response.0[..];
                    let core = self.core.ask(Pending::Login);
                    return Some(Event::LoginResponse(LoginResponse { core, data }));
                }
                Turn::LoginCancelled => return Some(Event::LoginCancelled),
                Turn::StartTls => {
                    return Some(Event::StartTls(StartTls { core: self.core.ask(Pending::StartTls) }));
                }
                Turn::Append(append, Announced { size, non_sync, .. }) => {
                    let core = self.core.ask(Pending::Append);
                    return Some(Event::Append(AppendStart { core, append, size, non_sync }));
                }
                Turn::Chunk(chunk) => return Some(Event::Chunk(chunk)),
                Turn::AppendEnd => {
                    return Some(Event::AppendEnd(Answer { core: self.core.ask(Pending::Other) }));
                }
                Turn::AppendAborted => return Some(Event::AppendAborted),
                Turn::Idle => return Some(Event::Idle(IdleStart { core: self.core.ask(Pending::Idle) })),
                Turn::IdleEnd => {
                    return Some(Event::IdleEnd(Answer { core: self.core.ask(Pending::Other) }));
                }
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
        let reason = match self.core.mode {
            Mode::Append => Reason::AppendTimeout,
            _ if self.core.state == State::NotAuthenticated => Reason::LoginTimeout,
            _ => Reason::Autologout,
        };
        // Under a TLS handshake that never comes there is nobody to read a response.
        if self.core.mode == Mode::TlsWanted {
            self.core.end(reason);
        } else {
            self.core.bye("autologout: idle for too long".into(), reason, out);
        }
    }

    /// Tells the session that the client will send nothing more.
    pub fn handle_eof(&mut self) {
        if self.core.reason.is_none() {
            let inside = self.core.mode != Mode::Command || self.fragmenter.is_inside();
            self.core.end(if inside { Reason::EofInside } else { Reason::Eof });
        }
    }

    /// Tells the session that TLS is on: it forgets what it knew of the client.
    pub fn handle_tls_started(&mut self, now: Duration) {
        if self.core.mode == Mode::TlsWanted {
            self.core.mode = Mode::Command;
            self.core.tls = true;
            self.core.first = true;
            self.fragmenter = Fragmenter::new(Sender::Client);
            self.core.restart_deadline(now);
            self.core.restart = false;
        }
    }

    /// Announces other mechanisms from now on: some can be had under TLS only, or are bound to it.
    pub fn set_mechanisms(&mut self, mechanisms: &[Atom<'_>]) {
        self.core.config.mechanisms = mechanisms.iter().map(|each| each.clone().into_owned()).collect();
    }

    /// When [`Self::handle_timeout`] wants to be called; `None` once closed.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.core.reason.is_none().then_some(self.core.deadline)
    }

    /// Whether the driver has to flush what was written and then start TLS.
    pub fn wants_tls(&self) -> bool {
        self.core.mode == Mode::TlsWanted
    }

    /// Whether TLS is on.
    pub const fn is_tls(&self) -> bool {
        self.core.tls
    }

    /// Whether somebody has logged in.
    pub fn is_authenticated(&self) -> bool {
        self.core.state != State::NotAuthenticated
    }

    /// Whether a mailbox is selected.
    pub fn is_selected(&self) -> bool {
        self.core.state == State::Selected
    }

    /// Whether the client waits in IDLE, so that [`Self::idling`] takes data.
    pub fn is_idling(&self) -> bool {
        self.core.mode == Mode::Idle
    }

    /// Where to send data while the client waits in IDLE.
    pub fn idling(&mut self) -> Option<Idling<'_>> {
        self.is_idling().then_some(Idling { core: &mut self.core })
    }

    /// Ends the session from our side with BYE.
    pub fn close(&mut self, _now: Duration, out: &mut BytesMut) {
        if self.core.reason.is_none() {
            self.core.pending = None;
            // Nobody could tell a BYE from the octets of a literal, or read it before TLS.
            if self.core.literal.is_none() && self.core.mode != Mode::TlsWanted {
                self.core.bye((Code::Unavailable, "closing down").into(), Reason::Closed, out);
            } else {
                self.core.end(Reason::Closed);
            }
        }
    }

    /// Why the session has ended; the driver flushes what was written and closes the connection.
    pub const fn closed(&self) -> Option<Reason> {
        self.core.reason
    }

    fn command<'i>(&mut self, now: Duration, input: &mut &'i [u8], out: &mut BytesMut) -> Turn<'i> {
        // ALPACA: a browser made to talk to us must not get past its own first line, however long that is.
        if self.core.first && !self.fragmenter.is_swallowing() && is_foreign(input) {
            self.core.bye("this is IMAP".into(), Reason::ForeignProtocol, out);
            return Turn::Done;
        }
        if core::mem::take(&mut self.core.append_refused)
            && let Some(literal) = self.fragmenter.announced()
        {
            self.core.refused(literal, out);
            self.fragmenter.refuse(input);
            return Turn::Done;
        }
        let bounds = self.core.bounds();
        let Some(fragment) = self.fragmenter.next(input, &bounds, false) else {
            return Turn::More;
        };
        match fragment {
            Fragment::Announced { head, literal } => self.announced(now, head, literal, input, out),
            Fragment::Whole { message, bare_lf } => {
                self.core.restart_deadline(now);
                self.core.first = false;
                self.whole(message, bare_lf, out)
            }
            fragment => self.core.swallow(now, fragment, out),
        }
    }

    fn announced<'i>(
        &mut self,
        now: Duration,
        head: &'i [u8],
        literal: Announced,
        input: &mut &'i [u8],
        out: &mut BytesMut,
    ) -> Turn<'i> {
        let core = &mut self.core;
        let extensions = core.config.extensions;
        let allowed = !literal.non_sync || may_come(extensions, literal.size);
        // The payload of APPEND is its first literal or, behind a mailbox, its second.
        if core.state != State::NotAuthenticated
            && literal.index < 2
            && !literal.binary
            && let Ok(Command { tag, verb: Verb::Append(append) }) =
                Command::parse(head, extensions, core.names())
        {
            core.restart_deadline(now);
            core.set_tag(tag.as_str());
            if allowed && literal.size <= core.config.limits.append {
                return Turn::Append(append, literal);
            }
            let condition = if allowed { Condition::No } else { Condition::Bad };
            core.say(condition, (Code::TooBig, "message too large").into(), out);
            core.refused(literal, out);
            self.fragmenter.refuse(input);
            return Turn::Done;
        }
        if literal.fits && (allowed || literal.size <= SMALL) {
            // What may not come so is read as what it is, and the command is refused when it is whole.
            core.unasked |= !allowed;
            if !literal.non_sync {
                out.extend_from_slice(GO_ON);
            }
            return Turn::Done;
        }
        core.remember_tag(head);
        core.swallowing = Some((Code::TooBig, "literal too large").into());
        core.refused(literal, out);
        self.fragmenter.refuse(input);
        Turn::Done
    }

    fn whole<'i>(&mut self, message: &'i [u8], bare_lf: bool, out: &mut BytesMut) -> Turn<'i> {
        let core = &mut self.core;
        core.remember_tag(message);
        if core::mem::take(&mut core.unasked) {
            core.bad("a literal came without being asked for".into(), out);
            return Turn::Done;
        }
        if bare_lf {
            core.bad("a line ends in CR LF".into(), out);
            return Turn::Done;
        }
        let command = Command::parse(message, core.config.extensions, core.names());
        match command {
            Ok(command) if !core.state.allows(&command.verb) => {
                core.bad("not now".into(), out);
                Turn::Done
            }
            Ok(command) => self.obey(command.verb, out),
            Err(error) => {
                let text = error.to_string();
                core.bad(Reply { code: None, text: text.into() }, out);
                Turn::Done
            }
        }
    }

    fn obey<'i>(&mut self, verb: Verb<'i>, out: &mut BytesMut) -> Turn<'i> {
        let core = &mut self.core;
        let extensions = core.config.extensions;
        if extensions.has(Extension::Condstore) && verb.enables_condstore() {
            core.condstore = true;
        }
        match verb {
            Verb::Capability => {
                core.untagged(&Data::Capability(core.capabilities()), out);
                core.say(Condition::Ok, "CAPABILITY completed".into(), out);
                Turn::Done
            }
            Verb::Logout => {
                core.untagged(&Data::Status(Status::new(Condition::Bye, "goodbye")), out);
                core.say(Condition::Ok, "LOGOUT completed".into(), out);
                core.end(Reason::Logout);
                Turn::Done
            }
            Verb::Enable(words) => {
                core.enable(&words, out);
                Turn::Done
            }
            Verb::StartTls if core.tls || !core.config.starttls => {
                core.bad("no STARTTLS here".into(), out);
                Turn::Done
            }
            Verb::StartTls => Turn::StartTls,
            Verb::Login { .. } | Verb::Authenticate(_) if !core.offers_login() => {
                // RFC 9051 §6.2.3: refused as announced by LOGINDISABLED, whoever it is.
                core.fail(Condition::No, (Code::PrivacyRequired, "TLS first").into(), out);
                Turn::Done
            }
            Verb::Authenticate(login) => self.authenticate(login, out),
            Verb::Append(_) => {
                core.bad("expected a literal".into(), out);
                Turn::Done
            }
            Verb::Idle => Turn::Idle,
            Verb::Select(_) | Verb::Examine(_) => {
                if core.state == State::Selected {
                    // RFC 9051 §6.3.2: the mailbox is left, even if the next one cannot be selected.
                    core.state = State::Authenticated;
                    if extensions.has(Extension::Imap4Rev2) || extensions.has(Extension::Condstore) {
                        let status = Status::ok("previous mailbox closed").with(Code::Closed);
                        core.untagged(&Data::Status(status), out);
                    }
                }
                Turn::Command(verb)
            }
            verb => Turn::Command(verb),
        }
    }

    fn authenticate<'i>(&mut self, login: Authenticate<'i>, out: &mut BytesMut) -> Turn<'i> {
        if !self.core.config.mechanisms.contains(&login.mechanism) {
            self.core.fail(Condition::No, (Code::Cannot, "unknown mechanism").into(), out);
            return Turn::Done;
        }
        let initial = login.initial();
        if !decode_base64(initial.unwrap_or_default().as_bytes(), &mut self.response.0) {
            self.core.bad("not base64".into(), out);
            return Turn::Done;
        }
        Turn::Authenticate { mechanism: login.mechanism, initial: initial.is_some() }
    }

    fn login<'i>(&mut self, now: Duration, input: &mut &'i [u8], out: &mut BytesMut) -> Turn<'i> {
        let bounds = self.core.bounds();
        let Some(fragment) = self.fragmenter.next(input, &bounds, true) else {
            return Turn::More;
        };
        self.core.restart_deadline(now);
        let text = match fragment {
            Fragment::Whole { message, bare_lf: false } => message,
            Fragment::Whole { .. } | Fragment::Swallowed => &b"!"[..],
            _ => return Turn::Done,
        };
        self.core.mode = Mode::Command;
        if text == b"*" {
            // RFC 9051 §6.2.2: a single "*" cancels.
            self.core.bad("cancelled".into(), out);
        } else if text != b"=" && decode_base64(text, &mut self.response.0) {
            return Turn::LoginResponse;
        } else {
            self.response.wipe();
            self.core.bad("not base64".into(), out);
        }
        Turn::LoginCancelled
    }

    fn idle<'i>(&mut self, now: Duration, input: &mut &'i [u8], out: &mut BytesMut) -> Turn<'i> {
        let bounds = self.core.bounds();
        let Some(fragment) = self.fragmenter.next(input, &bounds, true) else {
            return Turn::More;
        };
        self.core.restart_deadline(now);
        match fragment {
            Fragment::Whole { message, bare_lf: false } if idle::is_done(message) => {
                self.core.mode = Mode::Command;
                Turn::IdleEnd
            }
            Fragment::Whole { .. } | Fragment::Swallowed => {
                self.core.mode = Mode::Command;
                self.core.bad("expected DONE".into(), out);
                Turn::Done
            }
            _ => Turn::Done,
        }
    }

    fn append<'i>(&mut self, now: Duration, input: &mut &'i [u8], out: &mut BytesMut) -> Turn<'i> {
        self.fragmenter.stream(input);
        if let Some(chunk) = self.fragmenter.chunk(input) {
            self.core.restart_deadline(now);
            return Turn::Chunk(chunk);
        }
        if self.fragmenter.left().is_some_and(|left| left > 0) {
            return Turn::More;
        }
        let bounds = self.core.bounds();
        let Some(fragment) = self.fragmenter.next(input, &bounds, false) else {
            return Turn::More;
        };
        self.core.restart_deadline(now);
        self.core.mode = Mode::Command;
        const NOT_THE_END: &str = "expected the end of APPEND";
        match fragment {
            Fragment::Whole { message: b"", bare_lf: false } => return Turn::AppendEnd,
            Fragment::Whole { .. } => self.core.bad(NOT_THE_END.into(), out),
            Fragment::Announced { literal, .. } => {
                self.core.swallowing = Some(NOT_THE_END.into());
                self.core.refused(literal, out);
                self.fragmenter.refuse(input);
            }
            _ => self.core.swallowing = Some(NOT_THE_END.into()),
        }
        Turn::AppendAborted
    }
}

impl Core {
    fn ask(&mut self, pending: Pending) -> &mut Self {
        self.pending = Some(pending);
        self
    }

    fn restrict(&mut self, to: Extensions) {
        self.config.extensions = self.config.extensions.intersection(to);
    }

    fn names(&self) -> Names {
        self.wire().names
    }

    const fn bounds(&self) -> Bounds {
        let limits = &self.config.limits;
        if matches!(self.state, State::NotAuthenticated) {
            let early = limits.early_command;
            return Bounds { line: early, literals: early, total: early, discard: 0 };
        }
        Bounds {
            line: limits.line,
            literals: limits.literals,
            total: limits.line.saturating_add(limits.literals),
            discard: limits.discard,
        }
    }

    /// The event of the last call was dropped without an answer, or a literal was left short.
    fn refuse_pending(&mut self, out: &mut BytesMut) {
        if self.literal.is_some() {
            self.end(Reason::ShortLiteral);
        }
        match self.pending {
            None => {}
            Some(Pending::Login) => {
                self.answer(Condition::No, (Code::Unavailable, "no logins now").into(), out);
            }
            Some(Pending::StartTls) => self.answer(Condition::No, "no TLS now".into(), out),
            Some(_) => self.answer(Condition::Bad, "not supported".into(), out),
        }
    }

    /// Writes an answer of the caller's to the command in progress and moves on.
    fn answer(&mut self, condition: Condition, mut reply: Reply<'_>, out: &mut BytesMut) {
        let Some(pending) = self.pending.take() else {
            return;
        };
        self.restart = true;
        if self.literal.is_some() {
            return;
        }
        if condition == Condition::Ok {
            self.state = pending.after_ok(self.state);
            // Before a login everything that works is free of cost, so it buys no more guesses.
            if self.state != State::NotAuthenticated {
                self.errors = 0;
            }
            if pending == Pending::Login && reply.code.is_none() {
                reply.code = Some(Code::Capability(self.capabilities()));
            }
        }
        self.append_refused = pending == Pending::Append;
        // Who guesses passwords has a budget.
        if pending == Pending::Login && condition != Condition::Ok {
            self.fail(condition, reply, out);
        } else {
            self.say(condition, reply, out);
        }
    }

    /// Writes a response to the command in progress.
    fn say(&self, condition: Condition, reply: Reply<'_>, out: &mut BytesMut) {
        let mut writer = Writer::new(self.wire(), out);
        writer.raw(if self.tag.is_empty() { "*" } else { &self.tag });
        writer.octet(b' ');
        reply.with_condition(condition).write(&mut writer);
        writer.raw(b"\r\n");
    }

    /// A command that is refused here.
    fn bad(&mut self, reply: Reply<'_>, out: &mut BytesMut) {
        self.fail(Condition::Bad, reply, out);
    }

    fn fail(&mut self, condition: Condition, reply: Reply<'_>, out: &mut BytesMut) {
        self.say(condition, reply, out);
        self.errors += 1;
        if self.errors > self.config.limits.errors {
            self.bye("too many errors".into(), Reason::Errors, out);
        }
    }

    /// A literal is refused. If it comes anyway and is too large to be dropped, nothing but the end is left.
    fn refused(&mut self, literal: Announced, out: &mut BytesMut) {
        if literal.non_sync && literal.size > self.bounds().discard {
            self.flood(out);
        }
    }

    fn flood(&mut self, out: &mut BytesMut) {
        self.bye((Code::TooBig, "literal too large").into(), Reason::Flood, out);
    }

    /// A command that is too long, or was refused.
    fn swallow<'i>(&mut self, now: Duration, fragment: Fragment<'i>, out: &mut BytesMut) -> Turn<'i> {
        match fragment {
            Fragment::TooLong { head } => {
                self.remember_tag(head);
                self.swallowing = Some((Code::Limit, "command too long").into());
            }
            Fragment::Flood => self.flood(out),
            _ => {
                self.restart_deadline(now);
                self.first = false;
                self.unasked = false;
                if let Some(reply) = self.swallowing.take() {
                    self.bad(reply, out);
                }
            }
        }
        Turn::Done
    }

    /// Keeps the tag in front of a command, if it has one.
    fn remember_tag(&mut self, message: &[u8]) {
        // The longest tag, and the space behind it: whatever else is there makes no difference.
        let front = &message[..message.len().min(crate::types::Tag::LONGEST + 1)];
        match parse_tag(&mut Cursor::new(front)) {
            Ok(tag) => self.set_tag(tag.as_str()),
            Err(_) => self.tag.clear(),
        }
    }

    fn set_tag(&mut self, tag: &str) {
        self.tag.clear();
        self.tag.push_str(tag);
    }

    fn enable(&mut self, words: &Capabilities<'_>, out: &mut BytesMut) {
        let enabled = enable::known(words, self.config.extensions);
        self.rev2 |= enabled.has_word(Extension::Imap4Rev2);
        self.condstore |= enabled.has_word(Extension::Condstore);
        self.untagged(&Data::Enabled(enabled), out);
        self.say(Condition::Ok, "ENABLE completed".into(), out);
    }

    const fn offers_login(&self) -> bool {
        self.tls || self.config.plaintext_auth
    }

    /// What is announced now: RFC 9051 §6.1.1.
    fn capabilities(&self) -> Capabilities<'static> {
        let config = &self.config;
        let mut words = Capabilities::default();
        for extension in config.extensions.iter() {
            match extension {
                Extension::AppendLimit => words.0.push(&append_limit::announced(config.limits.append)),
                extension => words.0.push(extension.as_str()),
            }
            if extension == Extension::Quota {
                for resource in &config.quota_resources {
                    words.0.push(&format!("QUOTA=RES-{}", resource.as_str()));
                }
            }
        }
        if self.state == State::NotAuthenticated {
            if config.starttls && !self.tls {
                words.0.push("STARTTLS");
            }
            if !self.offers_login() {
                words.0.push("LOGINDISABLED");
            } else {
                for mechanism in &config.mechanisms {
                    words.0.push(&format!("AUTH={}", mechanism.as_str()));
                }
            }
        }
        words
    }

    fn bye(&mut self, reply: Reply<'_>, reason: Reason, out: &mut BytesMut) {
        if self.reason.is_none() {
            self.untagged(&Data::Status(reply.with_condition(Condition::Bye)), out);
            self.end(reason);
        }
    }

    fn end(&mut self, reason: Reason) {
        self.mode = Mode::Closed;
        self.pending = None;
        self.literal = None;
        self.reason.get_or_insert(reason);
    }

    fn restart_deadline(&mut self, now: Duration) {
        let limits = &self.config.limits;
        self.deadline = now.saturating_add(match self.mode {
            Mode::Append => limits.append_timeout,
            _ if self.state == State::NotAuthenticated => limits.login_timeout,
            _ => limits.idle_timeout,
        });
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

impl core::fmt::Debug for Response {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Response(..)")
    }
}

/// Words that no tag of a mail client is, at the start of a request of another protocol.
const FOREIGN: [&[u8]; 10] = [
    b"GET ",
    b"PUT ",
    b"HEAD ",
    b"POST ",
    b"PATCH ",
    b"TRACE ",
    b"DELETE ",
    b"CONNECT ",
    b"OPTIONS ",
    b"SSH-2.0",
];

fn is_foreign(unread: &[u8]) -> bool {
    unread.starts_with(&[0x16, 0x03]) || FOREIGN.iter().any(|word| unread.starts_with(word))
}
