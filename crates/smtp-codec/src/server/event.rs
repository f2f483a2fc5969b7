//! What a server session asks of its caller.

use core::fmt;

use bytes::{BufMut, BytesMut};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Core;
use super::state::State;
use crate::address::{ForwardPath, ReversePath};
use crate::command::{Body, MailParameters};
use crate::data::Fault;
use crate::extension::Mechanism;
use crate::reply::{Reply, Severity};

/// What has happened, or what is asked.
///
/// Events that hold a struct want an answer through one of its consuming methods; dropped, they are refused with 451
/// or 454 by the next call.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'s> {
    /// AUTH: a login begins.
    Auth(Auth<'s>),
    /// The client answered a challenge.
    AuthResponse(AuthResponse<'s>),
    /// The client gave the login up, or answered with something that is not base64. It has been told so.
    AuthCancelled,
    /// MAIL: a transaction begins; whatever the caller holds of an earlier one is void.
    Mail(Mail<'s>),
    /// RCPT: one more recipient.
    Rcpt(Rcpt<'s>),
    /// DATA: the client wants to send the message.
    Data(DataStart<'s>),
    /// The next octets of the message, dot-stuffing removed.
    Chunk(&'s [u8]),
    /// The whole message has come. Accepting it means taking the responsibility for it.
    End(End<'s>),
    /// The whole message has come, and the client has been told why it is refused.
    Discarded(Fault),
    /// STARTTLS.
    StartTls(StartTls<'s>),
}

macro_rules! answers {
    ($event:ident, $accepted:expr, $state:expr, $doc:literal) => {
        impl $event<'_> {
            #[doc = $doc]
            pub fn accept(self, out: &mut BytesMut) {
                self.core.answer($state, &$accepted, out);
            }

            /// Says no. A reply that would say yes is replaced by 451; 421 ends the session.
            pub fn reject(self, reply: Reply, out: &mut BytesMut) {
                self.core.refuse(reply, out);
            }
        }
    };
}

/// The client wants to begin a transaction.
#[derive(Debug)]
#[must_use = "an event that is not answered is refused"]
pub struct Mail<'s> {
    pub(super) core: &'s mut Core,
    pub(super) from: ReversePath<'s>,
    pub(super) parameters: MailParameters,
}

impl<'s> Mail<'s> {
    /// Who is told when the message cannot be delivered.
    pub const fn from(&self) -> &ReversePath<'s> {
        &self.from
    }

    /// The size that the client announces, in octets. It has been compared with the limit already.
    pub const fn size(&self) -> Option<u64> {
        self.parameters.size
    }

    /// What the client says of the body.
    pub const fn body(&self) -> Option<Body> {
        self.parameters.body
    }
}

answers!(Mail, Reply::SENDER_OK, Some(State::Mail), "Begins the transaction.");

/// The client names a recipient.
#[derive(Debug)]
#[must_use = "an event that is not answered is refused"]
pub struct Rcpt<'s> {
    pub(super) core: &'s mut Core,
    pub(super) to: ForwardPath<'s>,
}

impl<'s> Rcpt<'s> {
    /// The recipient.
    pub const fn to(&self) -> &ForwardPath<'s> {
        &self.to
    }

    /// Takes or refuses the recipient.
    pub fn answer(self, result: Result<(), Reply>, out: &mut BytesMut) {
        match result {
            Ok(()) => self.accept(out),
            Err(reply) => self.reject(reply, out),
        }
    }
}

answers!(Rcpt, Reply::RECIPIENT_OK, Some(State::Rcpt), "Takes the recipient.");

/// The client wants to send the message.
#[derive(Debug)]
#[must_use = "an event that is not answered is refused"]
pub struct DataStart<'s> {
    pub(super) core: &'s mut Core,
}

answers!(DataStart, Reply::START_MAIL_INPUT, Some(State::Message), "Lets the message come.");

/// The whole message has come.
#[derive(Debug)]
#[must_use = "an event that is not answered is refused"]
pub struct End<'s> {
    pub(super) core: &'s mut Core,
    pub(super) octets: u64,
}

impl End<'_> {
    /// The size of the message in octets, dot-stuffing and final dot not counted.
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    /// Takes or refuses the message. `Ok` carries the reply that says yes, with the host's own name for the message.
    ///
    /// [RFC 5321 §6.1](https://www.rfc-editor.org/rfc/rfc5321#section-6.1): who says yes must not lose it.
    pub fn answer(self, result: Result<Reply, Reply>, out: &mut BytesMut) {
        match result {
            Ok(reply) if reply.severity() == Severity::Positive => self.core.delivered(&reply, out),
            Ok(reply) | Err(reply) => self.reject(reply, out),
        }
    }

    /// Takes the message, which has to be on stable storage by now.
    pub fn accept(self, out: &mut BytesMut) {
        self.core.delivered(&Reply::ACCEPTED, out);
    }

    /// Says no. A reply that would say yes is replaced by 451; 421 ends the session.
    pub fn reject(self, reply: Reply, out: &mut BytesMut) {
        self.core.refuse(reply, out);
    }
}

/// The client wants TLS.
#[derive(Debug)]
#[must_use = "an event that is not answered is refused"]
pub struct StartTls<'s> {
    pub(super) core: &'s mut Core,
}

answers!(
    StartTls,
    Reply::READY_FOR_TLS,
    Some(State::TlsWanted),
    "Begins TLS: the driver flushes, does the handshake, and calls [`handle_tls_started`](super::ServerSession::handle_tls_started)."
);

/// The client begins a login. `Debug` does not show the response.
#[must_use = "an event that is not answered is refused"]
pub struct Auth<'s> {
    pub(super) core: &'s mut Core,
    pub(super) mechanism: Mechanism,
    pub(super) initial: Option<&'s [u8]>,
}

impl Auth<'_> {
    /// The mechanism, one of those that were announced.
    pub const fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// The initial response, decoded.
    pub const fn initial(&self) -> Option<&[u8]> {
        self.initial
    }
}

/// The client answers a challenge. `Debug` does not show the response.
#[must_use = "an event that is not answered is refused"]
pub struct AuthResponse<'s> {
    pub(super) core: &'s mut Core,
    pub(super) data: &'s [u8],
}

impl AuthResponse<'_> {
    /// The response, decoded.
    pub const fn data(&self) -> &[u8] {
        self.data
    }
}

impl fmt::Debug for Auth<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

impl fmt::Debug for AuthResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthResponse(..)")
    }
}

macro_rules! login_answers {
    ($event:ident) => {
        impl $event<'_> {
            /// Sends a challenge; the response comes as [`Event::AuthResponse`].
            pub fn challenge(self, challenge: &[u8], out: &mut BytesMut) {
                out.put_slice(b"334 ");
                out.put_slice(STANDARD.encode(challenge).as_bytes());
                out.put_slice(b"\r\n");
                self.core.pending = super::Pending::Nothing;
                self.core.restart = true;
                self.core.state = State::Login;
            }

            /// The client is who it says.
            pub fn accept(self, out: &mut BytesMut) {
                self.core.authenticated = true;
                self.core.answer(None, &Reply::AUTHENTICATED, out);
            }

            /// The login has failed.
            pub fn reject(self, reply: Reply, out: &mut BytesMut) {
                self.core.refuse(reply, out);
            }
        }
    };
}

login_answers!(Auth);
login_answers!(AuthResponse);
