//! What a server session asks of its caller.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, BytesMut};

use super::state::State;
use super::{Core, Pending, Reason};
use crate::command::{Mechanism, Password};
use crate::data::DataEncoder;
use crate::maildrop::Maildrop;
use crate::reply::Reply;

/// What has happened, or what is asked.
///
/// Events that hold a struct want an answer through one of its consuming methods; dropped, they are refused by the
/// next call.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'s, M> {
    /// Much has been written, of a long list or of many small answers: flush it, and go on with `receive`.
    Continue,
    /// A user wants in.
    Login(Login<'s, M>),
    /// AUTH: a login by SASL begins.
    Auth(Auth<'s, M>),
    /// The client answers a challenge.
    AuthResponse(AuthResponse<'s, M>),
    /// The client has given AUTH up, or its response is none; it has been told.
    AuthCancelled,
    /// RETR or TOP.
    Retrieve(Retrieve<'s, M>),
    /// STLS.
    Stls(Stls<'s, M>),
    /// QUIT, with messages marked as deleted.
    Update(Update<'s, M>),
}

/// A user wants in.
#[must_use = "an event that is not answered is refused"]
pub struct Login<'s, M> {
    pub(super) core: &'s mut Core<M>,
    pub(super) password: Password<'s>,
}

impl<M: Maildrop> Login<'_, M> {
    /// The name that came with USER.
    pub fn user(&self) -> &str {
        self.core.user.as_deref().unwrap_or_default()
    }

    /// The password.
    pub const fn password(&self) -> &str {
        self.password.expose()
    }

    /// Opens the maildrop, over which the caller holds the exclusive lock
    /// ([RFC 1939 §4](https://www.rfc-editor.org/rfc/rfc1939#section-4)).
    pub fn accept(self, maildrop: M, out: &mut BytesMut) {
        self.core.answered();
        self.core.open(maildrop, out);
    }

    /// Says no.
    pub fn reject(self, reply: Reply, out: &mut BytesMut) {
        self.core.answered();
        self.core.user = None;
        self.core.fail(&negative(reply, Reply::LOCAL_ERROR), out);
    }
}

impl<M> fmt::Debug for Login<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.core.user).finish_non_exhaustive()
    }
}

/// The client begins a login by SASL. `Debug` does not show the response.
#[must_use = "an event that is not answered is refused"]
pub struct Auth<'s, M> {
    pub(super) core: &'s mut Core<M>,
    pub(super) mechanism: Mechanism,
    pub(super) initial: Option<&'s [u8]>,
}

impl<M> Auth<'_, M> {
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
pub struct AuthResponse<'s, M> {
    pub(super) core: &'s mut Core<M>,
    pub(super) data: &'s [u8],
}

impl<M> AuthResponse<'_, M> {
    /// The response, decoded.
    pub const fn data(&self) -> &[u8] {
        self.data
    }
}

impl<M> fmt::Debug for Auth<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

impl<M> fmt::Debug for AuthResponse<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuthResponse(..)")
    }
}

macro_rules! login_answers {
    ($event:ident) => {
        impl<M: Maildrop> $event<'_, M> {
            /// Sends a challenge; the response comes as [`Event::AuthResponse`].
            pub fn challenge(self, challenge: &[u8], out: &mut BytesMut) {
                out.put_slice(b"+ ");
                out.put_slice(STANDARD.encode(challenge).as_bytes());
                out.put_slice(b"\r\n");
                self.core.answered();
                self.core.state = State::Login;
            }

            /// The client is who it says: opens the maildrop, over which the caller holds the exclusive lock
            /// ([RFC 1939 §4](https://www.rfc-editor.org/rfc/rfc1939#section-4)).
            pub fn accept(self, maildrop: M, out: &mut BytesMut) {
                self.core.answered();
                self.core.open(maildrop, out);
            }

            /// Says no.
            pub fn reject(self, reply: Reply, out: &mut BytesMut) {
                self.core.answered();
                self.core.fail(&negative(reply, Reply::LOCAL_ERROR), out);
            }
        }
    };
}

login_answers!(Auth);
login_answers!(AuthResponse);

/// The client wants a message, or its beginning.
#[derive(Debug)]
#[must_use = "an event that is not answered is refused"]
pub struct Retrieve<'s, M> {
    pub(super) core: &'s mut Core<M>,
    pub(super) index: usize,
    pub(super) lines: Option<u64>,
}

impl<'s, M> Retrieve<'s, M> {
    /// The index of the message in the maildrop.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The maildrop.
    pub fn maildrop(&self) -> &M {
        self.core.maildrop.as_ref().expect("RETR is let through with an open maildrop only")
    }

    /// How many lines of the body are wanted, for TOP; `None` for all.
    pub const fn lines(&self) -> Option<u64> {
        self.lines
    }

    /// Whether the client is in UTF-8 mode.
    ///
    /// If not, a host that announces UTF8 must not send octets outside ASCII in header fields: it writes a surrogate of the
    /// message, or says [`Reply::UTF8_NEEDED`] ([RFC 6856 §2.1](https://www.rfc-editor.org/rfc/rfc6856#section-2.1)).
    pub const fn is_utf8(&self) -> bool {
        self.core.utf8
    }

    /// Says yes; the message is then written in as many pieces as the caller likes.
    pub fn accept(self, out: &mut BytesMut) -> Message<'s, M> {
        Reply::MESSAGE_FOLLOWS.encode(out);
        self.core.pending = Pending::Message;
        Message { core: self.core, encoder: DataEncoder::new(self.lines) }
    }

    /// Says no: the message cannot be read.
    pub fn reject(self, reply: Reply, out: &mut BytesMut) {
        self.core.answered();
        negative(reply, Reply::LOCAL_ERROR).encode(out);
    }
}

/// A message that is being written. Dropped before [`Message::finish`], it ends the session.
#[derive(Debug)]
#[must_use = "a message that is not finished ends the session"]
pub struct Message<'s, M> {
    core: &'s mut Core<M>,
    encoder: DataEncoder,
}

impl<M> Message<'_, M> {
    /// Whether more of the message is wanted; not so behind the last line of TOP.
    pub const fn wants_more(&self) -> bool {
        self.encoder.wants_more()
    }

    /// Writes the next octets of the message.
    pub fn write(&mut self, chunk: &[u8], out: &mut BytesMut) {
        self.encoder.write(chunk, out);
    }

    /// Writes the end.
    pub fn finish(self, out: &mut BytesMut) {
        self.encoder.finish(out);
        self.core.answered();
    }
}

/// The client wants TLS.
#[derive(Debug)]
#[must_use = "an event that is not answered is refused"]
pub struct Stls<'s, M> {
    pub(super) core: &'s mut Core<M>,
}

impl<M> Stls<'_, M> {
    /// Begins TLS: the driver flushes, does the handshake, and calls
    /// [`handle_tls_started`](super::ServerSession::handle_tls_started).
    pub fn accept(self, out: &mut BytesMut) {
        self.core.answered();
        self.core.state = State::TlsWanted;
        Reply::BEGIN_TLS.encode(out);
    }

    /// Says no.
    pub fn reject(self, reply: Reply, out: &mut BytesMut) {
        self.core.answered();
        negative(reply, Reply::TLS_NOT_AVAILABLE).encode(out);
    }
}

/// The client has said QUIT and wants messages deleted.
#[derive(Debug)]
#[must_use = "an event that is not answered is refused"]
pub struct Update<'s, M> {
    pub(super) core: &'s mut Core<M>,
}

impl<M> Update<'_, M> {
    /// The maildrop.
    pub fn maildrop(&self) -> &M {
        self.core.maildrop.as_ref().expect("messages are marked with an open maildrop only")
    }

    /// The indices of the messages that are marked as deleted, in rising order.
    pub fn deleted(&self) -> impl Iterator<Item = usize> {
        self.core.marks.iter()
    }

    /// They are deleted, on stable storage too. Ends the session.
    pub fn accept(self, out: &mut BytesMut) {
        Reply::GOODBYE.encode(out);
        self.core.end(Reason::Quit);
    }

    /// Not all of them could be deleted. Ends the session.
    pub fn reject(self, reply: Reply, out: &mut BytesMut) {
        negative(reply, Reply::NOT_DELETED).encode(out);
        self.core.end(Reason::NotDeleted);
    }
}

/// A refusal that would say yes is replaced.
fn negative(reply: Reply, instead: Reply) -> Reply {
    if reply.is_negative() { reply } else { instead }
}
