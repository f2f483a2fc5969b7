//! What a client session tells its caller, and what the caller may say next.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, BytesMut};

use super::state::State;
use super::{Core, Envelope, Pending};
use crate::command::{Command, InitialResponse};
use crate::data::DataEncoder;
use crate::error::{Invalid, Unsendable};
use crate::extension::{Capabilities, Mechanism};
use crate::reply::Reply;

/// What has happened, or what is asked.
///
/// Events that hold a struct want an answer through one of its consuming methods. Dropped, they mean the least that
/// can be said: [`Ready`] says QUIT, [`Challenge`] cancels, [`Message`] ends the session, since a message that has
/// begun can only be sent to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'s> {
    /// The server takes commands.
    Ready(Ready<'s>),
    /// The greeting, EHLO, HELO or RSET was refused. The session says QUIT.
    Rejected(Reply),
    /// STARTTLS was refused; [`Event::Ready`] follows.
    TlsRefused(Reply),
    /// AUTH: the server sends a challenge.
    Challenge(Challenge<'s>),
    /// AUTH has succeeded; [`Event::Ready`] follows.
    LoggedIn(Reply),
    /// AUTH has failed or was cancelled; [`Event::Ready`] follows.
    LoginFailed(Reply),
    /// The server has taken or refused a recipient.
    Recipient {
        /// Which one, counted from zero in the order of the envelope.
        index: usize,
        /// What it said.
        reply: Reply,
    },
    /// The server has taken at least one recipient and waits for the message.
    Message(Message<'s>),
    /// The transaction is over.
    Done(Outcome),
}

/// What became of a message.
///
/// There is a third outcome, that nobody knows: the connection was lost between the end of the message and the reply.
/// Then there is no event, and [`ClientSession::is_in_doubt`](super::ClientSession::is_in_doubt) says so once the session is
/// closed. A session that closes within a transaction otherwise has not sent the message; if MAIL or all recipients had
/// been refused by then, that is still told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// The server has taken the message for the recipients it has taken, and is responsible now.
    Taken(Reply),
    /// The server has not taken the message.
    Refused {
        /// What it refused.
        stage: Stage,
        /// What it said.
        reply: Reply,
    },
}

/// The part of a transaction that was refused.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Stage {
    /// MAIL.
    Mail,
    /// The recipients: all were refused, and the reply is that to the last one; or one was answered 421.
    Recipients,
    /// DATA.
    Data,
    /// The message, at its end or before.
    Message,
}

/// The server waits for a command.
///
/// Each method is one step. What is wrong with a step is found before anything is written; then the session offers
/// itself again at the next call.
#[derive(Debug)]
#[must_use = "a session that is not told what to do says QUIT"]
pub struct Ready<'s> {
    pub(super) core: &'s mut Core,
}

impl Ready<'_> {
    /// What the server announced.
    pub const fn capabilities(&self) -> &Capabilities {
        &self.core.capabilities
    }

    /// Whether TLS is on.
    pub const fn is_tls(&self) -> bool {
        self.core.tls
    }

    /// Begins a transaction. MAIL, all RCPT and DATA go in one group if the server announced PIPELINING, otherwise one
    /// after the other.
    ///
    /// SIZE, BODY and SMTPUTF8 are sent only if they were announced.
    pub fn mail(self, envelope: Envelope, out: &mut BytesMut) -> Result<(), Unsendable> {
        self.core.step(|core| {
            if envelope.to.is_empty() {
                return Err(Unsendable::NoRecipients);
            }
            // RFC 1870 §6.1: a client that knows the limit does not try.
            match (envelope.parameters.size, core.capabilities.size_limit()) {
                (Some(size), Some(limit)) if size > limit => return Err(Unsendable::TooBig { limit }),
                _ => {}
            }
            core.begin(envelope, out);
            Ok(())
        })
    }

    /// Asks for TLS. If the server agrees, [`wants_tls`](super::ClientSession::wants_tls) says so.
    pub fn starttls(self, out: &mut BytesMut) -> Result<(), Unsendable> {
        self.core.step(|core| {
            // RFC 3207 §4.2: a client must not start TLS within TLS.
            if core.tls || !core.capabilities.starttls() {
                return Err(Unsendable::NotAnnounced);
            }
            core.send(&Command::StartTls, State::StartTls, out);
            Ok(())
        })
    }

    /// Begins a login, with the mechanism's first message if it has one and the line has room for it.
    pub fn auth(
        self,
        mechanism: Mechanism,
        initial: Option<&[u8]>,
        out: &mut BytesMut,
    ) -> Result<(), Unsendable> {
        self.core.step(|core| {
            if core.authenticated {
                return Err(Unsendable::LoggedIn);
            }
            if !core.capabilities.mechanisms().contains(&mechanism) {
                return Err(Unsendable::NotAnnounced);
            }
            if !core.tls && !core.config.plaintext_auth {
                return Err(Unsendable::NeedsTls);
            }
            let initial = initial.map(encode_response);
            let line = 5 + mechanism.as_str().len() + initial.as_ref().map_or(0, |text| text.len() + 1) + 2;
            // RFC 4954 §4: the command is still under the limit of RFC 5321 §4.5.3.1.4.
            if line > MAX_COMMAND_LINE {
                return Err(Unsendable::LineTooLong);
            }
            let initial = initial
                .as_deref()
                .map(|text| InitialResponse::try_from(text).expect("base64 is visible ASCII"));
            core.send(&Command::Auth { mechanism, initial }, State::Auth, out);
            Ok(())
        })
    }

    /// Asks whether the server is still there, without any effect (RSET).
    pub fn reset(self, out: &mut BytesMut) {
        self.core.pending = Pending::Nothing;
        self.core.send(&Command::Rset, State::Reset, out);
    }

    /// Keeps the connection for later; [`ClientSession::resume`](super::ClientSession::resume) gives this back.
    pub const fn idle(self) {
        self.core.pending = Pending::Nothing;
        self.core.state = State::Idle;
    }

    /// Ends the session.
    pub fn quit(self, out: &mut BytesMut) {
        self.core.pending = Pending::Nothing;
        self.core.quit(out);
    }
}

/// A challenge of AUTH. `Debug` does not show it.
#[must_use = "a challenge that is not answered cancels the login"]
pub struct Challenge<'s> {
    pub(super) core: &'s mut Core,
    pub(super) data: &'s [u8],
}

impl Challenge<'_> {
    /// The challenge, decoded.
    pub const fn data(&self) -> &[u8] {
        self.data
    }

    /// Answers it. A response that makes too long a line cancels the login.
    pub fn respond(self, response: &[u8], out: &mut BytesMut) {
        let text = STANDARD.encode(response);
        if text.len() + 2 > MAX_AUTH_LINE {
            return self.cancel(out);
        }
        out.put_slice(text.as_bytes());
        out.put_slice(b"\r\n");
        self.core.pending = Pending::Nothing;
        self.core.restart = true;
    }

    /// Gives the login up; [`Event::LoginFailed`] follows.
    pub fn cancel(self, out: &mut BytesMut) {
        self.core.pending = Pending::Nothing;
        self.core.cancel_login(out);
    }
}

impl fmt::Debug for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(..)")
    }
}

/// The server waits for the message.
///
/// The driver writes pieces of any size and flushes `out` as it grows, all while it holds this value; or it
/// [pauses](Self::pause) in between, to let the session read and watch the time.
#[derive(Debug)]
#[must_use = "a message that is not finished ends the session"]
pub struct Message<'s> {
    pub(super) core: &'s mut Core,
}

impl Message<'_> {
    /// Writes the next octets, dot-stuffed. A bare CR, a bare LF or NUL is an error, which ends the session.
    pub fn write(&mut self, chunk: &[u8], out: &mut BytesMut) -> Result<(), Invalid> {
        let written = match self.core.encoder.as_mut() {
            Some(encoder) => encoder.write(chunk, out),
            None => Err(Invalid { what: "message", offset: 0 }),
        };
        if written.is_err() {
            self.core.encoder = None;
        }
        written
    }

    /// Writes the end. [`Event::Done`] follows.
    pub fn finish(self, out: &mut BytesMut) -> Result<(), Invalid> {
        let finished = match self.core.encoder.take() {
            Some(encoder) => encoder.finish(out),
            None => Err(Invalid { what: "message", offset: 0 }),
        };
        self.core.pending = Pending::Nothing;
        match finished {
            Ok(()) => self.core.await_reply(State::Final),
            Err(_) => self.core.end(super::Reason::BadMessage),
        }
        finished
    }

    /// Lets the session read, for instance a server that gives up; [`ClientSession::message`](super::ClientSession::message)
    /// gives this back.
    pub const fn pause(self) {
        self.core.pending = Pending::Nothing;
        self.core.restart = true;
    }

    /// How many octets have been written.
    pub fn octets(&self) -> u64 {
        self.core.encoder.as_ref().map_or(0, DataEncoder::octets)
    }

    /// Gives up. The server discards what it has, for the end never comes; the connection has to go.
    pub fn abandon(self) {
        self.core.end(super::Reason::Abandoned);
    }
}

fn encode_response(response: &[u8]) -> String {
    // RFC 4954 §4: an empty initial response is "=".
    if response.is_empty() { "=".to_owned() } else { STANDARD.encode(response) }
}

/// RFC 5321 §4.5.3.1.4.
const MAX_COMMAND_LINE: usize = 512;
/// RFC 4954 §4.
const MAX_AUTH_LINE: usize = 12_288;
