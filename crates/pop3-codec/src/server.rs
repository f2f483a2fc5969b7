//! The server's side of a session.
//!
//! The session answers what is a matter of grammar, order and numbers; each [`Event`] that needs a decision is
//! answered by the caller through its consuming methods. An event that is dropped unanswered is refused by the next call.

mod event;
mod state;

use core::fmt::Write as _;
use core::mem;
use core::time::Duration;

use bytes::{BufMut, BytesMut};

pub use self::event::{Auth, AuthResponse, Event, Login, Message, Retrieve, Stls, Update};
use self::state::{List, State};
use crate::capability::{Capabilities, Expire};
use crate::command::{Command, InitialResponse, Mechanism, Password, is_foreign};
use crate::language::Language;
use crate::limits::Limits;
use crate::line::{LineError, LineReader};
use crate::maildrop::Maildrop;
use crate::reply::Reply;
use crate::secret::Secret;

/// What a session needs to know of its host.
#[derive(Clone, Debug, Default)]
pub struct ServerConfig {
    limits: Limits,
    tls: bool,
    stls: bool,
    plaintext_auth: bool,
    mechanisms: Vec<Mechanism>,
    utf8: bool,
    utf8_logins: bool,
    expire: Option<Expire>,
    implementation: Option<String>,
}

impl ServerConfig {
    /// A host that offers no TLS, and so no logins.
    pub fn new() -> Self {
        Self::default()
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

    /// STLS is announced as long as TLS is not on.
    pub fn stls(mut self) -> Self {
        self.stls = true;
        self
    }

    /// The mechanisms to announce for AUTH, sixteen at most; none means that there is no AUTH.
    pub fn mechanisms(mut self, mechanisms: &[Mechanism]) -> Self {
        self.mechanisms = mechanisms.to_vec();
        self
    }

    /// UTF-8 mode is offered ([RFC 6856 §2](https://www.rfc-editor.org/rfc/rfc6856#section-2)).
    ///
    /// The host then looks at [`Retrieve::is_utf8`] before it sends a header with octets outside ASCII.
    pub fn utf8(mut self) -> Self {
        self.utf8 = true;
        self
    }

    /// UTF-8 mode is offered, and names and passwords may hold more than ASCII: the host prepares them with SASLprep
    /// ([RFC 6856 §2.2](https://www.rfc-editor.org/rfc/rfc6856#section-2.2)).
    pub fn utf8_logins(mut self) -> Self {
        self.utf8_logins = true;
        self.utf8()
    }

    /// How long the host leaves messages where they are; nothing is announced without it
    /// ([RFC 2449 §6.7](https://www.rfc-editor.org/rfc/rfc2449#section-6.7)).
    pub fn expire(mut self, expire: Expire) -> Self {
        self.expire = Some(expire);
        self
    }

    /// What the host calls itself: printable ASCII, without spaces but between words. Clients hear it behind their login
    /// only: strangers need not know ([RFC 2449 §6.9](https://www.rfc-editor.org/rfc/rfc2449#section-6.9)).
    pub fn implementation(mut self, name: &str) -> Self {
        self.implementation = Some(name.to_owned());
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
    /// The client said QUIT, and what it had marked is deleted.
    Quit,
    /// The client said QUIT, and the caller could not delete what it had marked.
    NotDeleted,
    /// The client closed the connection; nothing is deleted.
    Eof,
    /// No whole command line came in time ([`Limits::idle_timeout`]); nothing is deleted.
    IdleTimeout,
    /// More than [`Limits::errors`].
    Errors,
    /// Octets came behind STLS before TLS did: an attempt to inject commands.
    PlaintextBehindStls,
    /// The first line was of HTTP or TLS.
    ForeignProtocol,
    /// The caller began to write a message and did not finish it.
    MessageCutShort,
    /// [`ServerSession::close`].
    Closed,
}

/// The server's side of one POP3 connection; `M` is what it shows of a mailbox.
///
/// See the [front page](crate) for a driver.
#[derive(Debug)]
pub struct ServerSession<M> {
    core: Core<M>,
    line: LineReader,
    /// The decoded response of an AUTH exchange. It lives as long as the event that shows it.
    response: Secret,
}

/// What an event borrows to write its answer.
#[derive(Debug)]
pub(super) struct Core<M> {
    config: ServerConfig,
    state: State,
    /// The event that is still to be answered.
    pending: Pending,
    user: Option<String>,
    maildrop: Option<M>,
    marks: Marks,
    tls: bool,
    utf8: bool,
    errors: u32,
    greeted: bool,
    deadline: Duration,
    /// The deadline starts anew at the next call, which knows the time.
    restart: bool,
    reason: Option<Reason>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pending {
    Nothing,
    Login,
    Auth,
    Message,
    Retrieve,
    Stls,
    Update,
}

/// The messages that are marked as deleted, and what is left without them.
#[derive(Debug, Default)]
struct Marks {
    bits: Vec<u64>,
    /// How many messages there are, marked or not, and their octets.
    messages: usize,
    all_octets: u64,
    /// How many are marked, and their octets.
    marked: usize,
    marked_octets: u64,
}

/// What a step of the session came to, before anything is borrowed for an event.
enum Turn<'i> {
    More,
    Done,
    Continue,
    Login(Password<'i>),
    Auth { mechanism: Mechanism, initial: bool },
    AuthResponse,
    AuthCancelled,
    Retrieve { index: usize, lines: Option<u64> },
    Stls,
    Update,
}

impl<M: Maildrop> ServerSession<M> {
    /// Begins a session by writing the greeting.
    pub fn new(config: ServerConfig, now: Duration, out: &mut BytesMut) -> Self {
        // No timestamp in it: APOP wants passwords in the clear on the server's disk.
        out.put_slice(b"+OK POP3 ready\r\n");
        let core = Core {
            tls: config.tls,
            deadline: now.saturating_add(config.limits.idle_timeout),
            config,
            state: State::Authorization,
            pending: Pending::Nothing,
            user: None,
            maildrop: None,
            marks: Marks::default(),
            utf8: false,
            errors: 0,
            greeted: false,
            restart: false,
            reason: None,
        };
        Self { core, line: LineReader::default(), response: Secret::default() }
    }

    /// Takes octets from `input` up to the next event and writes responses to `out`.
    ///
    /// `None` means that more input is needed, or that the session is [closed](Self::closed) or waits for
    /// [TLS](Self::wants_tls). What is left of `input` has to be there again, with more behind it, at the next call.
    ///
    /// One call writes 17 KiB at most, however many commands or messages there are: then comes [`Event::Continue`].
    pub fn receive<'s, 'i: 's>(
        &'s mut self,
        now: Duration,
        input: &mut &'i [u8],
        out: &mut BytesMut,
    ) -> Option<Event<'s, M>> {
        self.core.refuse_pending(out);
        self.response.wipe();
        if mem::take(&mut self.core.restart) {
            self.core.restart_deadline(now);
        }
        let full = out.len().saturating_add(CALL_OCTETS);
        loop {
            let turn = match self.core.state {
                State::Closed | State::Update => return None,
                State::TlsWanted => {
                    // RFC 2595 §4: what came before TLS must not be taken for what came within it.
                    if !input.is_empty() {
                        self.core.end(Reason::PlaintextBehindStls);
                    }
                    return None;
                }
                State::Listing { what, next } => self.core.list(what, next, now, full, out),
                State::Authorization | State::Transaction => self.command(now, input, out),
                State::Login => self.exchange(now, input, out),
            };
            match turn {
                Turn::More => return None,
                // Pipelined commands with small answers are many, too: the driver has to get a chance to flush.
                Turn::Done if out.len() >= full && self.core.reason.is_none() => {
                    return Some(Event::Continue);
                }
                Turn::Done => {}
                Turn::Continue => return Some(Event::Continue),
                Turn::Login(password) => {
                    return Some(Event::Login(Login { core: self.core.ask(Pending::Login), password }));
                }
                Turn::Auth { mechanism, initial } => {
                    let initial = initial.then_some(&self.response.0[..]);
                    let core = self.core.ask(Pending::Auth);
                    return Some(Event::Auth(Auth { core, mechanism, initial }));
                }
                Turn::AuthResponse => {
                    let core = self.core.ask(Pending::Auth);
                    return Some(Event::AuthResponse(AuthResponse { core, data: &self.response.0 }));
                }
                Turn::AuthCancelled => return Some(Event::AuthCancelled),
                Turn::Retrieve { index, lines } => {
                    let core = self.core.ask(Pending::Retrieve);
                    return Some(Event::Retrieve(Retrieve { core, index, lines }));
                }
                Turn::Stls => return Some(Event::Stls(Stls { core: self.core.ask(Pending::Stls) })),
                Turn::Update => return Some(Event::Update(Update { core: self.core.ask(Pending::Update) })),
            }
        }
    }

    /// Tells the session that time has passed. Before [`Self::poll_timeout`] it does nothing.
    pub fn handle_timeout(&mut self, now: Duration, out: &mut BytesMut) {
        self.core.refuse_pending(out);
        if self.core.reason.is_none() && !self.core.restart && now >= self.core.deadline {
            // RFC 1939 §3: the server closes without deleting anything, and without a response.
            self.core.end(Reason::IdleTimeout);
        }
    }

    /// Tells the session that the client will send nothing more.
    pub fn handle_eof(&mut self) {
        if self.core.reason.is_none() {
            self.core.end(Reason::Eof);
        }
    }

    /// Tells the session that TLS is on: it forgets what it knew of the client
    /// ([RFC 2595 §4](https://www.rfc-editor.org/rfc/rfc2595#section-4)).
    pub fn handle_tls_started(&mut self, now: Duration) {
        if self.core.state == State::TlsWanted {
            self.core.state = State::Authorization;
            self.core.user = None;
            self.core.tls = true;
            self.line = LineReader::default();
            self.core.restart = false;
            self.core.restart_deadline(now);
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

    /// Whether the client has turned UTF-8 mode on, which it does before its login or never
    /// ([RFC 6856 §2.1](https://www.rfc-editor.org/rfc/rfc6856#section-2.1)).
    pub fn is_utf8(&self) -> bool {
        self.core.utf8
    }

    /// The maildrop, once somebody has logged in.
    pub fn maildrop(&self) -> Option<&M> {
        self.core.maildrop.as_ref()
    }

    /// Ends the session from our side; nothing is deleted.
    pub fn close(&mut self, _now: Duration, out: &mut BytesMut) {
        if self.core.reason.is_none() {
            // In the middle of a list or of a message a status line would be taken for one of its lines; behind the
            // answer to STLS the client expects a handshake.
            let listens = !matches!(self.core.state, State::Listing { .. } | State::TlsWanted);
            if listens && self.core.pending != Pending::Message {
                Reply::SHUTTING_DOWN.encode(out);
            }
            self.core.end(Reason::Closed);
        }
    }

    /// Why the session has ended; the driver flushes what was written and closes the connection.
    pub fn closed(&self) -> Option<Reason> {
        self.core.reason
    }

    fn command<'i>(&mut self, now: Duration, input: &mut &'i [u8], out: &mut BytesMut) -> Turn<'i> {
        let core = &mut self.core;
        // ALPACA: a browser made to talk to us must not get past its own first line, however long that is.
        if !core.greeted && is_foreign(input) {
            Reply::NOT_POP3.encode(out);
            core.end(Reason::ForeignProtocol);
            return Turn::Done;
        }
        let Some(line) = self.line.next(input, core.config.limits.line) else {
            return Turn::More;
        };
        core.restart_deadline(now);
        core.greeted = true;
        let parsed = match line {
            Ok(line) => Command::parse(line).map_err(|error| Reply::from(&error)),
            Err(LineError::BareLf(_)) => Err(Reply::BARE_LF),
            Err(LineError::TooLong) => Err(Reply::LINE_TOO_LONG),
        };
        match parsed {
            Ok(Command::Auth { mechanism, initial }) if core.state == State::Authorization => {
                self.auth(mechanism, initial, out)
            }
            Ok(command) if core.state == State::Transaction => core.transaction(command, out),
            Ok(command) => core.authorization(command, out),
            Err(reply) => core.fail(&reply, out),
        }
    }

    fn auth<'i>(
        &mut self,
        mechanism: Mechanism,
        initial: Option<InitialResponse<'_>>,
        out: &mut BytesMut,
    ) -> Turn<'i> {
        let core = &mut self.core;
        if core.config.mechanisms.is_empty() {
            core.fail(&Reply::UNKNOWN_COMMAND, out)
        } else if !core.offers_logins() {
            core.fail(&Reply::TLS_REQUIRED, out)
        } else if !core.config.mechanisms.contains(&mechanism) {
            core.fail(&Reply::UNKNOWN_MECHANISM, out)
        } else {
            let text = initial.as_ref().map(InitialResponse::as_str);
            // RFC 5034 §4: "=" is a response of no octets.
            if self.response.decode(text.filter(|text| *text != "=").unwrap_or_default().as_bytes()) {
                return Turn::Auth { mechanism, initial: text.is_some() };
            }
            self.core.fail(&Reply::BAD_BASE64, out)
        }
    }

    /// A line within AUTH.
    fn exchange<'i>(&mut self, now: Duration, input: &mut &'i [u8], out: &mut BytesMut) -> Turn<'i> {
        let Some(line) = self.line.next(input, self.core.config.limits.auth_line) else {
            return Turn::More;
        };
        self.core.restart_deadline(now);
        self.core.state = State::Authorization;
        let reply = match line {
            // RFC 5034 §4: a single "*" cancels.
            Ok(b"*") => Reply::AUTH_CANCELLED,
            Ok(text) if self.response.decode(text) => return Turn::AuthResponse,
            Ok(_) => Reply::BAD_BASE64,
            Err(LineError::BareLf(_)) => Reply::BARE_LF,
            Err(LineError::TooLong) => Reply::LINE_TOO_LONG,
        };
        self.core.fail(&reply, out);
        Turn::AuthCancelled
    }
}

impl<M: Maildrop> Core<M> {
    fn authorization<'i>(&mut self, command: Command<'i>, out: &mut BytesMut) -> Turn<'i> {
        match command {
            Command::Capa => self.capabilities(out),
            Command::Quit => {
                Reply::GOODBYE.encode(out);
                self.end(Reason::Quit);
                Turn::Done
            }
            Command::Lang(range) => self.language(range, out),
            Command::Utf8 if self.config.utf8 => {
                self.utf8 = true;
                self.say(&Reply::UTF8, out)
            }
            // RFC 6856 §2.1: no STLS behind UTF8.
            Command::Stls if self.config.stls && !self.tls && !self.utf8 => Turn::Stls,
            Command::User(_) | Command::Pass(_) if !self.offers_logins() => {
                self.fail(&Reply::TLS_REQUIRED, out)
            }
            Command::User(name) => {
                self.user = Some(name.as_str().to_owned());
                // RFC 1939 §7 allows -ERR for an unknown name; that would tell who exists.
                self.say(&Reply::SEND_PASS, out)
            }
            Command::Pass(password) if self.user.is_some() => Turn::Login(password),
            _ => self.fail(&Reply::NOT_NOW, out),
        }
    }

    fn transaction<'i>(&mut self, command: Command<'i>, out: &mut BytesMut) -> Turn<'i> {
        match command {
            Command::Capa => self.capabilities(out),
            Command::Lang(range) => self.language(range, out),
            Command::Noop => self.say(&Reply::OK, out),
            Command::Rset => {
                self.marks.clear();
                self.say(&Reply::OK, out)
            }
            Command::Stat => {
                let _ = write!(out, "+OK {} {}\r\n", self.marks.left(), self.marks.octets_left());
                Turn::Done
            }
            Command::List(Some(number)) => self.list_one(List::Sizes, number, out),
            Command::Uidl(Some(number)) => self.list_one(List::UniqueIds, number, out),
            Command::List(None) => self.begin_list(List::Sizes, out),
            Command::Uidl(None) => self.begin_list(List::UniqueIds, out),
            Command::Retr(number) => self.retrieve(number, None, out),
            Command::Top(number, lines) => self.retrieve(number, Some(lines), out),
            Command::Dele(number) => match self.index(number) {
                Some(index) => {
                    let octets = self.size(index);
                    self.marks.set(index, octets);
                    self.say(&Reply::OK, out)
                }
                None => self.fail(&Reply::NO_SUCH_MESSAGE, out),
            },
            Command::Quit if self.marks.marked == 0 => {
                Reply::GOODBYE.encode(out);
                self.end(Reason::Quit);
                Turn::Done
            }
            Command::Quit => {
                self.state = State::Update;
                Turn::Update
            }
            _ => self.fail(&Reply::NOT_NOW, out),
        }
    }

    /// LANG. What the session says is English, and is not going to be anything else.
    fn language<'i>(&mut self, range: Option<Language>, out: &mut BytesMut) -> Turn<'i> {
        match range {
            None => {
                Reply::LANGUAGES_FOLLOW.encode(out);
                let _ = write!(out, "{} English\r\n.\r\n", Language::ENGLISH.as_str());
                Turn::Done
            }
            Some(range) if range.is_english() => self.say(&Reply::ENGLISH, out),
            Some(_) => self.fail(&Reply::NO_SUCH_LANGUAGE, out),
        }
    }

    fn retrieve<'i>(&mut self, number: u32, lines: Option<u64>, out: &mut BytesMut) -> Turn<'i> {
        match self.index(number) {
            Some(index) => Turn::Retrieve { index, lines },
            None => self.fail(&Reply::NO_SUCH_MESSAGE, out),
        }
    }

    fn begin_list<'i>(&mut self, what: List, out: &mut BytesMut) -> Turn<'i> {
        self.state = State::Listing { what, next: 0 };
        self.say(&Reply::LIST_FOLLOWS, out)
    }

    fn list_one<'i>(&mut self, what: List, number: u32, out: &mut BytesMut) -> Turn<'i> {
        match self.index(number) {
            Some(index) => {
                out.put_slice(b"+OK ");
                self.put_entry(what, index, out);
                Turn::Done
            }
            None => self.fail(&Reply::NO_SUCH_MESSAGE, out),
        }
    }

    /// Writes some entries; a long list takes several turns, between which the driver can flush.
    fn list<'i>(
        &mut self,
        what: List,
        mut next: usize,
        now: Duration,
        full: usize,
        out: &mut BytesMut,
    ) -> Turn<'i> {
        self.restart_deadline(now);
        while next < self.marks.messages && out.len() < full {
            if self.marks.is_set(next) {
                next = self.marks.behind_marked(next);
            } else {
                self.put_entry(what, next, out);
                next += 1;
            }
        }
        if next < self.marks.messages {
            self.state = State::Listing { what, next };
            return Turn::Continue;
        }
        out.put_slice(b".\r\n");
        self.state = State::Transaction;
        Turn::Done
    }

    fn put_entry(&self, what: List, index: usize, out: &mut BytesMut) {
        let Some(maildrop) = &self.maildrop else { return };
        let _ = match what {
            List::Sizes => write!(out, "{} {}\r\n", index + 1, maildrop.size(index)),
            List::UniqueIds => write!(out, "{} {}\r\n", index + 1, maildrop.unique_id(index).as_str()),
        };
    }

    /// The index of a message that is there and not marked.
    fn index(&self, number: u32) -> Option<usize> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        (index < self.marks.messages && !self.marks.is_set(index)).then_some(index)
    }

    fn size(&self, index: usize) -> u64 {
        self.maildrop.as_ref().map_or(0, |maildrop| maildrop.size(index))
    }

    fn open(&mut self, maildrop: M, out: &mut BytesMut) {
        self.marks = Marks::new(&maildrop);
        self.maildrop = Some(maildrop);
        self.user = None;
        self.state = State::Transaction;
        let _ = write!(out, "+OK {} messages, {} octets\r\n", self.marks.left(), self.marks.octets_left());
    }
}

impl<M> Core<M> {
    fn ask(&mut self, pending: Pending) -> &mut Self {
        self.pending = pending;
        self
    }

    /// The event of the last call was dropped without an answer.
    fn refuse_pending(&mut self, out: &mut BytesMut) {
        match mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => return,
            Pending::Login => {
                // RFC 1939 §7: PASS comes straight behind USER, so a failed login starts over.
                self.user = None;
                Reply::LOCAL_ERROR.encode(out);
            }
            Pending::Auth | Pending::Retrieve => Reply::LOCAL_ERROR.encode(out),
            Pending::Stls => Reply::TLS_NOT_AVAILABLE.encode(out),
            // The client has been promised a message: there is no honest way to go on.
            Pending::Message => self.end(Reason::MessageCutShort),
            Pending::Update => {
                Reply::NOT_DELETED.encode(out);
                self.end(Reason::NotDeleted);
            }
        }
        self.restart = true;
    }

    fn answered(&mut self) {
        self.pending = Pending::Nothing;
        self.restart = true;
    }

    /// RFC 8314 §3: passwords must not be asked for in the clear.
    const fn offers_logins(&self) -> bool {
        self.tls || self.config.plaintext_auth
    }

    fn capabilities<'i>(&self, out: &mut BytesMut) -> Turn<'i> {
        let capabilities = Capabilities {
            top: true,
            // RFC 2449 §6.2: announced in both states.
            user: self.offers_logins(),
            resp_codes: true,
            auth_resp_code: true,
            pipelining: true,
            uidl: true,
            // RFC 2595 §4: present, and permitted in the current state.
            stls: self.state == State::Authorization && self.config.stls && !self.tls,
            // RFC 5034 §3: announced in both states.
            sasl: if self.offers_logins() { self.config.mechanisms.clone() } else { Vec::new() },
            // RFC 6856 §2: announced in both states, though the command is for the first one only.
            utf8: self.config.utf8,
            utf8_user: self.config.utf8_logins,
            lang: true,
            expire: self.config.expire,
            // RFC 2449 §6.9: optionally in the transaction state only.
            implementation: self
                .config
                .implementation
                .clone()
                .filter(|_| matches!(self.state, State::Transaction)),
            ..Capabilities::default()
        };
        capabilities.encode(out);
        Turn::Done
    }

    fn say<'i>(&self, reply: &Reply, out: &mut BytesMut) -> Turn<'i> {
        reply.encode(out);
        Turn::Done
    }

    /// Answers a mistake, and ends the session when there are too many.
    fn fail<'i>(&mut self, reply: &Reply, out: &mut BytesMut) -> Turn<'i> {
        self.errors += 1;
        if self.errors > self.config.limits.errors {
            Reply::TOO_MANY_ERRORS.encode(out);
            self.end(Reason::Errors);
        } else {
            reply.encode(out);
        }
        Turn::Done
    }

    fn end(&mut self, reason: Reason) {
        self.reason = Some(reason);
        self.state = State::Closed;
        self.pending = Pending::Nothing;
    }

    fn restart_deadline(&mut self, now: Duration) {
        self.deadline = now.saturating_add(self.config.limits.idle_timeout);
    }
}

impl Marks {
    fn new(maildrop: &impl Maildrop) -> Self {
        let messages = maildrop.len();
        // Sizes are the caller's: their sum must not be what ends the process.
        let all_octets = (0..messages).map(|index| maildrop.size(index)).fold(0, u64::saturating_add);
        let bits = vec![0; messages.div_ceil(64)];
        Self { bits, messages, all_octets, marked: 0, marked_octets: 0 }
    }

    const fn left(&self) -> usize {
        self.messages - self.marked
    }

    const fn octets_left(&self) -> u64 {
        self.all_octets.saturating_sub(self.marked_octets)
    }

    fn is_set(&self, index: usize) -> bool {
        self.bits.get(index / 64).is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// Marks a message that is not marked yet.
    fn set(&mut self, index: usize, octets: u64) {
        self.bits[index / 64] |= 1 << (index % 64);
        self.marked += 1;
        self.marked_octets = self.marked_octets.saturating_add(octets);
    }

    /// Takes all marks back. With none it costs nothing: a client may send RSET as often as it likes.
    fn clear(&mut self) {
        if self.marked > 0 {
            self.bits.fill(0);
            self.marked = 0;
            self.marked_octets = 0;
        }
    }

    /// The first index behind a marked one that may not be marked: 64 at once, so that a list of marked messages only,
    /// which writes nothing, costs next to nothing.
    fn behind_marked(&self, index: usize) -> usize {
        let all = index.is_multiple_of(64) && self.bits.get(index / 64) == Some(&u64::MAX);
        index + if all { 64 } else { 1 }
    }

    fn iter(&self) -> impl Iterator<Item = usize> {
        (0..self.messages).filter(|index| self.is_set(*index))
    }
}

/// How much one call of `receive` writes before it lets the driver flush; the response that goes beyond it is the last.
const CALL_OCTETS: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maildrop::UniqueId;

    #[test]
    fn sessions_may_move_between_threads() {
        struct Empty;
        impl Maildrop for Empty {
            fn len(&self) -> usize {
                0
            }
            fn size(&self, _: usize) -> u64 {
                0
            }
            fn unique_id(&self, _: usize) -> UniqueId {
                unreachable!("there is no message")
            }
        }
        const fn needs<T: Send + Sync>() {}
        needs::<ServerSession<Empty>>();
    }
}
