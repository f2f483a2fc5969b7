//! What can be wrong with what a peer sent, and how it is told.

use thiserror::Error;

use crate::reply::Reply;

/// Why a command line is refused. Offsets are octets from the start of the line.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum CommandError {
    /// The line holds a control character.
    #[error("syntax error at octet {offset}")]
    Syntax {
        /// Where it stands.
        offset: usize,
    },
    /// The keyword is none that we know.
    #[error("unknown command")]
    Unknown,
    /// An argument is missing, malformed, or given where there is none.
    #[error("bad argument at octet {offset}")]
    Argument {
        /// Where the argument starts or should start.
        offset: usize,
    },
}

impl From<&CommandError> for Reply {
    fn from(error: &CommandError) -> Self {
        match error {
            CommandError::Syntax { .. } => Self::SYNTAX_ERROR,
            CommandError::Unknown => Self::UNKNOWN_COMMAND,
            CommandError::Argument { .. } => Self::BAD_ARGUMENT,
        }
    }
}

/// Why a response of a server is not one. A client ends its session over it, since it cannot know what belongs to what.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum ResponseError {
    /// A response that begins with neither `+OK` nor `-ERR`.
    #[error("neither +OK nor -ERR")]
    Status,
    /// A line that is longer than the limit, or a list of capabilities that has no end.
    #[error("response too long")]
    TooLong,
    /// A line that ended in LF alone.
    #[error("a line ends in LF alone")]
    BareLf,
    /// A number is missing, malformed or too large.
    #[error("bad number")]
    Number,
    /// A unique id that is none.
    #[error("bad unique id")]
    UniqueId,
    /// A language tag that is none.
    #[error("bad language tag")]
    Language,
    /// The answer is about another message than the question.
    #[error("answer about another message")]
    OtherMessage,
    /// A login that was given up has been accepted.
    #[error("a login that was given up is accepted")]
    GivenUp,
}

/// [`ClientLimits::queue`](crate::ClientLimits::queue) commands are waiting for their responses.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("too many commands are waiting")]
pub struct QueueFull;

/// Text that is not what a constructor of this crate demands.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("invalid {what} at octet {offset}")]
pub struct Invalid {
    pub(crate) what: &'static str,
    pub(crate) offset: usize,
}

impl Invalid {
    /// The octet at which it stops being valid.
    pub const fn offset(&self) -> usize {
        self.offset
    }
}
