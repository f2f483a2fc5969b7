//! What a client session tells and asks its caller.

use core::fmt;
use core::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

use super::{CommandId, Core};
use crate::error::ParseError;
use crate::response::{Data, FetchItem, Source, Status};

/// What the server said, or what is asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'s> {
    /// The greeting: OK, PREAUTH or BYE. Commands may be sent once [`Ready`](Self::Ready) has come.
    Greeting(Status<'s>),
    /// It is known what the server announces: after the greeting, under TLS, and after a login.
    Ready,
    /// `*`: data, to a command or not.
    Data(Data<'s>),
    /// A FETCH response with a literal that goes through in [`Chunk`](Self::Chunk)s. It ends with
    /// [`LiteralEnd`](Self::LiteralEnd), or with the next one of the same message.
    Literal {
        /// The sequence number of the message.
        number: NonZeroU32,
        /// The items before it.
        items: Vec<FetchItem<'s>>,
        /// The item that it is.
        source: Source<'s>,
        /// Its size in octets.
        size: u64,
    },
    /// The next octets of the literal.
    Chunk(&'s [u8]),
    /// The FETCH response has ended.
    LiteralEnd {
        /// The sequence number of the message.
        number: NonZeroU32,
        /// The items behind the literal; none, if they cannot be read.
        items: Vec<FetchItem<'s>>,
    },
    /// The end of a command.
    Done {
        /// Which one.
        id: CommandId,
        /// How it went.
        status: Status<'s>,
    },
    /// AUTHENTICATE: the server wants a response. Dropped, the login is cancelled.
    Challenge(Challenge<'s>),
    /// The server, or nobody, waits for the message of APPEND:
    /// [`append_write`](super::ClientSession::append_write).
    AppendReady,
    /// The server has accepted IDLE.
    Idling,
    /// A response that is not in the grammar, or not one that could come now. The session goes on.
    Unknown(ParseError),
    /// A response that is longer than the [limits](crate::ClientLimits). The session goes on.
    Skipped,
}

/// The server wants a response of a login. `Debug` does not show the challenge.
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

    /// Sends a response. The session keeps no copy.
    pub fn respond(self, response: &[u8], out: &mut BytesMut) {
        self.core.respond(response, out);
    }

    /// Gives the login up.
    pub fn cancel(self, out: &mut BytesMut) {
        self.core.cancel(out);
    }
}

impl fmt::Debug for Challenge<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge(..)")
    }
}

impl Core {
    pub(super) fn respond(&mut self, response: &[u8], out: &mut BytesMut) {
        self.challenged = false;
        self.restart = true;
        out.extend_from_slice(STANDARD.encode(response).as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    pub(super) fn cancel(&mut self, out: &mut BytesMut) {
        self.challenged = false;
        self.restart = true;
        out.extend_from_slice(b"*\r\n");
    }
}
