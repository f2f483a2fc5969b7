//! What a client session tells and asks its caller.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

use super::{Core, Pending, Reason, Request};
use crate::capability::Capabilities;
use crate::command::{Command, InitialResponse, Mechanism, Password, UserName};
use crate::error::QueueFull;
use crate::language::Language;
use crate::maildrop::UniqueId;
use crate::reply::StatusLine;
use crate::secret::Secret;

/// What the server said, in the order of the commands, or what is asked.
///
/// Events that hold a session ([`Login`], [`PasswordWanted`], [`Mailbox`]) come when every command has been answered, and
/// want the next one, as [`Challenge`] wants a response; dropped without one, they end the session at the next call, and nothing is deleted.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'s> {
    /// The server has greeted and said what it can do; nobody has logged in.
    Login(Login<'s>),
    /// The server has taken the name.
    Password(PasswordWanted<'s>),
    /// AUTH: the server wants a response.
    Challenge(Challenge<'s>),
    /// The maildrop is open, and the session has nothing to do.
    Mailbox(Mailbox<'s>),
    /// The answer to CAPA.
    Capabilities(&'s Capabilities),
    /// The answer to STAT.
    Stat {
        /// How many messages are there and not marked as deleted.
        messages: u32,
        /// Their octets.
        octets: u64,
    },
    /// An entry of LIST.
    Size {
        /// The number of the message.
        number: u32,
        /// Its octets.
        octets: u64,
    },
    /// An entry of UIDL.
    UniqueId {
        /// The number of the message.
        number: u32,
        /// What identifies it in every session.
        id: UniqueId,
    },
    /// A language: the one that the server speaks from now on, or an entry of a list of those that it knows.
    Language {
        /// Its tag.
        language: Language,
        /// The server's words in this language, in UTF-8 if the server keeps to the rules; often nothing.
        description: &'s [u8],
    },
    /// The list has ended. It does not come behind the one entry that was asked for by number.
    ListEnd,
    /// A message follows, for RETR or TOP, as chunks.
    Message {
        /// Its number.
        number: u32,
    },
    /// The next octets of the message.
    Chunk(&'s [u8]),
    /// The message is complete.
    MessageEnd,
    /// The server has done as told: DELE, NOOP, RSET or UTF8.
    Done(Request),
    /// The server says no, with the reason it gives.
    Refused {
        /// To what.
        request: Request,
        /// Its words.
        reply: StatusLine<'s>,
    },
}

/// Nobody has logged in.
#[derive(Debug)]
#[must_use = "an event that is not answered ends the session"]
pub struct Login<'s> {
    pub(super) core: &'s mut Core,
}

impl Login<'_> {
    /// What the server announces now; nothing, when it does not know CAPA.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.core.capabilities
    }

    /// Whether TLS is on.
    pub const fn is_tls(&self) -> bool {
        self.core.tls
    }

    /// Sends STLS. What the server announced before is forgotten, and asked anew under TLS.
    ///
    /// Behind [`utf8`](Self::utf8) it ends the session instead: there it is forbidden.
    pub fn stls(self, out: &mut BytesMut) {
        // RFC 6856 §2.1: no STLS behind UTF8.
        if self.core.utf8 {
            return self.core.end(Reason::StlsBehindUtf8);
        }
        self.core.send(Request::Stls, out);
    }

    /// Sends UTF8: messages come as they are stored, with header fields in UTF-8 too. It is of use before the login only,
    /// and with a server that has [`Capabilities::utf8`].
    pub fn utf8(self, out: &mut BytesMut) {
        self.core.send(Request::Utf8, out);
    }

    /// Sends LANG, with a language or to hear which ones there are; for servers that have [`Capabilities::lang`].
    pub fn lang(self, language: Option<Language>, out: &mut BytesMut) {
        self.core.send(Request::Lang(language), out);
    }

    /// Sends USER. Without TLS it ends the session instead, unless the configuration has
    /// [`plaintext_auth`](super::ClientConfig::plaintext_auth). A name that is not ASCII goes only to a server that has
    /// [`Capabilities::utf8_user`], and ends the session with another one.
    pub fn user(self, name: UserName<'_>, out: &mut BytesMut) {
        if self.core.may_login() && self.core.may_send(name.as_str()) {
            Command::User(name).encode(out);
            self.core.sent(Request::User);
        }
    }

    /// Sends AUTH; challenges come as [`Event::Challenge`]. Without TLS it ends the session instead, as [`user`](Self::user)
    /// does.
    ///
    /// The initial response goes along if the line has room for it and the server has announced AUTH; if not, the session
    /// keeps it until the server asks for it, and overwrites it then. Which mechanisms there are is in [`capabilities`](Self::capabilities).
    pub fn authenticate(self, mechanism: Mechanism, initial: Option<&[u8]>, out: &mut BytesMut) {
        if !self.core.may_login() {
            return;
        }
        let text = initial.map(|initial| match initial {
            // RFC 5034 §4: an empty one is told from none.
            [] => "=".to_owned(),
            initial => STANDARD.encode(initial),
        });
        let room = AUTH_LINE - "AUTH  \r\n".len() - mechanism.as_str().len();
        // RFC 5034 §3: a server that announces no AUTH may be one of RFC 1734, which knows no initial response.
        let announced = !self.core.capabilities.sasl.is_empty();
        let fits = text.as_deref().filter(|text| announced && text.len() <= room);
        let response = fits.and_then(|text| InitialResponse::new(text).ok());
        Command::Auth { mechanism, initial: response }.encode(out);
        if response.is_none() {
            self.core.initial = initial.map(|initial| Secret(initial.to_vec()));
        }
        drop(text.map(|text| Secret(text.into_bytes())));
        self.core.sent(Request::Auth);
    }

    /// Sends QUIT.
    pub fn quit(self, out: &mut BytesMut) {
        self.core.send(Request::Quit, out);
    }
}

/// The server has taken the name.
#[derive(Debug)]
#[must_use = "an event that is not answered ends the session"]
pub struct PasswordWanted<'s> {
    pub(super) core: &'s mut Core,
}

impl PasswordWanted<'_> {
    /// Sends PASS. The session keeps no copy. For a password that is not ASCII holds what [`Login::user`] says of names.
    pub fn pass(self, password: Password<'_>, out: &mut BytesMut) {
        if self.core.may_send(password.expose()) {
            Command::Pass(password).encode(out);
            self.core.sent(Request::Pass);
        }
    }

    /// Sends QUIT.
    pub fn quit(self, out: &mut BytesMut) {
        self.core.send(Request::Quit, out);
    }
}

/// The server wants a response of a login by AUTH. `Debug` does not show the challenge.
#[must_use = "an event that is not answered ends the session"]
pub struct Challenge<'s> {
    pub(super) core: &'s mut Core,
    pub(super) data: &'s [u8],
}

impl Challenge<'_> {
    /// The challenge, decoded.
    pub const fn data(&self) -> &[u8] {
        self.data
    }

    /// Sends a response. The session keeps no copy.
    pub fn respond(self, response: &[u8], out: &mut BytesMut) {
        self.core.respond(response, out);
        self.core.asked();
    }

    /// Gives the login up; the server's refusal follows.
    pub fn cancel(self, out: &mut BytesMut) {
        self.core.cancel(out);
        self.core.asked();
    }
}

impl fmt::Debug for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(..)")
    }
}

/// The maildrop is open.
///
/// Each method queues a command. With a server that announces PIPELINING it goes out at once, otherwise when the ones
/// before it have been answered: to the caller it is the same. [`ClientLimits::queue`](crate::ClientLimits::queue) commands may
/// wait; [`Event::Mailbox`] comes again when none does.
#[derive(Debug)]
#[must_use = "an event that is not answered ends the session"]
pub struct Mailbox<'s> {
    pub(super) core: &'s mut Core,
}

impl Mailbox<'_> {
    /// What the server announced before the login, or in its last answer to CAPA.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.core.capabilities
    }

    /// How many more commands may be queued now.
    pub fn room(&self) -> usize {
        self.core.config.limits.queue.saturating_sub(self.core.queue.len())
    }

    /// CAPA, of which some answers differ behind the login.
    pub fn capa(&mut self, out: &mut BytesMut) -> Result<(), QueueFull> {
        self.queue(Request::Capa, out)
    }

    /// LANG, with a language or to hear which ones there are; for servers that have [`Capabilities::lang`].
    pub fn lang(&mut self, language: Option<Language>, out: &mut BytesMut) -> Result<(), QueueFull> {
        self.queue(Request::Lang(language), out)
    }

    /// STAT.
    pub fn stat(&mut self, out: &mut BytesMut) -> Result<(), QueueFull> {
        self.queue(Request::Stat, out)
    }

    /// LIST: the size of one message, or of all.
    pub fn list(&mut self, number: Option<u32>, out: &mut BytesMut) -> Result<(), QueueFull> {
        self.queue(Request::List(number), out)
    }

    /// UIDL: the unique id of one message, or of all.
    pub fn uidl(&mut self, number: Option<u32>, out: &mut BytesMut) -> Result<(), QueueFull> {
        self.queue(Request::Uidl(number), out)
    }

    /// RETR: a message.
    pub fn retr(&mut self, number: u32, out: &mut BytesMut) -> Result<(), QueueFull> {
        self.queue(Request::Retr(number), out)
    }

    /// TOP: the header of a message and the first lines of its body.
    pub fn top(&mut self, number: u32, lines: u64, out: &mut BytesMut) -> Result<(), QueueFull> {
        self.queue(Request::Top(number, lines), out)
    }

    /// DELE: marks a message as deleted; QUIT deletes it.
    pub fn dele(&mut self, number: u32, out: &mut BytesMut) -> Result<(), QueueFull> {
        self.queue(Request::Dele(number), out)
    }

    /// NOOP.
    pub fn noop(&mut self, out: &mut BytesMut) -> Result<(), QueueFull> {
        self.queue(Request::Noop, out)
    }

    /// RSET: takes all marks back.
    pub fn rset(&mut self, out: &mut BytesMut) -> Result<(), QueueFull> {
        self.queue(Request::Rset, out)
    }

    /// QUIT, behind all that is queued. What became of the deletions is told by
    /// [`closed`](super::ClientSession::closed).
    pub fn quit(self, out: &mut BytesMut) {
        self.core.send(Request::Quit, out);
    }

    fn queue(&mut self, request: Request, out: &mut BytesMut) -> Result<(), QueueFull> {
        if self.room() == 0 {
            return Err(QueueFull);
        }
        self.core.send(request, out);
        Ok(())
    }
}

impl Core {
    /// Whether a login may be tried. If not, the session ends.
    fn may_login(&mut self) -> bool {
        let may = self.tls || self.config.plaintext_auth;
        if !may {
            // RFC 8314 §3: whoever took STLS out of the announcement must not get the password.
            self.end(Reason::TlsRequired);
        }
        may
    }

    /// Whether the server takes this as a name or a password. If not, the session ends.
    fn may_send(&mut self, secret: &str) -> bool {
        // RFC 6856 §2.2: no UTF-8 without the USER argument of the capability.
        let may = secret.is_ascii() || self.capabilities.utf8_user;
        if !may {
            self.end(Reason::NotAscii);
        }
        may
    }

    /// Writes a response of a login.
    pub(super) fn respond(&self, response: &[u8], out: &mut BytesMut) {
        let text = Secret(STANDARD.encode(response).into_bytes());
        out.extend_from_slice(&text.0);
        out.extend_from_slice(b"\r\n");
    }

    /// Gives a login up.
    pub(super) fn cancel(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(b"*\r\n");
        self.initial = None;
        self.cancelled = true;
    }

    /// Queues a command, and sends it if it need not wait.
    fn send(&mut self, request: Request, out: &mut BytesMut) {
        self.queue.push_back(request);
        self.asked();
        self.send_queued(out);
    }

    /// A command has been written whose argument is not kept.
    fn sent(&mut self, request: Request) {
        self.queue.push_back(request);
        self.sent += 1;
        self.asked();
    }

    const fn asked(&mut self) {
        self.pending = Pending::Nothing;
        self.restart = true;
    }
}

/// RFC 2449 §4: the longest line of a command, its CRLF included.
const AUTH_LINE: usize = 255;
