//! What can be wrong, sorted by who is to blame.

use core::fmt;

use thiserror::Error;

/// The peer sent something that is not in the grammar. It never holds what the peer sent.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[error("expected {expected} at octet {offset}")]
#[non_exhaustive]
pub struct ParseError {
    /// Where, counted from the first octet of the command or response.
    pub offset: usize,
    /// What would have been right there.
    pub expected: &'static str,
}

/// The caller made a value that the protocol cannot carry.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[error("not {0}")]
pub struct Invalid(pub(crate) &'static str);

/// The caller asked a client session for a command that may not be sent now.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum SendError {
    /// A command in progress has to be answered first
    /// ([RFC 9051 §5.5](https://www.rfc-editor.org/rfc/rfc9051#section-5.5)), or [`ClientLimits::queue`](crate::ClientLimits::queue)
    /// commands are on their way.
    #[error("a command in progress has to be answered first")]
    Busy,
    /// The command does not belong into the state of the session.
    #[error("not in this state of the session")]
    State,
    /// The server does not announce what the command needs.
    #[error("the server does not announce it")]
    NotAnnounced,
    /// It holds a secret, and TLS is not on.
    #[error("not without TLS")]
    TlsRequired,
    /// It has a method of its own: `append`, `idle`, `starttls`, `authenticate`.
    #[error("it has a method of its own")]
    OwnMethod,
    /// The session has ended.
    #[error("the session has ended")]
    Closed,
}

/// A secret, which is not printed.
pub(crate) struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
