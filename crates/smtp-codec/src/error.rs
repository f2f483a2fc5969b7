//! What can be wrong with what a peer sent, and how it is told.

use thiserror::Error;

use crate::reply::Reply;

/// Why a command line is refused. Offsets are octets from the start of the line.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum CommandError {
    /// The line holds a control character, or something follows where nothing may.
    #[error("syntax error at octet {offset}")]
    Syntax {
        /// Where the first unexpected octet stands.
        offset: usize,
    },
    /// The verb is none that we know.
    #[error("unknown command")]
    Unknown,
    /// The verb is known and deliberately not offered.
    #[error("command not implemented")]
    NotImplemented,
    /// An argument is missing, malformed, or given where there is none.
    #[error("bad argument at octet {offset}")]
    Argument {
        /// Where the argument starts or should start.
        offset: usize,
    },
    /// The reverse-path of MAIL does not follow the grammar.
    #[error("bad sender address at octet {offset}")]
    Sender {
        /// Where the first unexpected octet stands.
        offset: usize,
    },
    /// The forward-path of RCPT does not follow the grammar.
    #[error("bad recipient address at octet {offset}")]
    Recipient {
        /// Where the first unexpected octet stands.
        offset: usize,
    },
    /// The address is not ASCII, which takes SMTPUTF8.
    #[error("address needs SMTPUTF8 at octet {offset}")]
    NotAscii {
        /// Where the first octet above 127 stands.
        offset: usize,
    },
    /// A parameter of MAIL or RCPT that was not announced.
    #[error("unknown parameter at octet {offset}")]
    UnknownParameter {
        /// Where the parameter starts.
        offset: usize,
    },
    /// A parameter with a bad value, or given twice.
    #[error("bad parameter at octet {offset}")]
    Parameter {
        /// Where the parameter starts.
        offset: usize,
    },
}

impl From<&CommandError> for Reply {
    fn from(error: &CommandError) -> Self {
        match error {
            CommandError::Syntax { .. } => Self::SYNTAX_ERROR,
            CommandError::Unknown => Self::UNKNOWN_COMMAND,
            CommandError::NotImplemented => Self::NOT_IMPLEMENTED,
            CommandError::Argument { .. } | CommandError::Parameter { .. } => Self::BAD_ARGUMENT,
            CommandError::Sender { .. } => Self::BAD_SENDER_SYNTAX,
            CommandError::Recipient { .. } => Self::BAD_RECIPIENT_SYNTAX,
            CommandError::NotAscii { .. } => Self::ADDRESS_NOT_ASCII,
            CommandError::UnknownParameter { .. } => Self::UNKNOWN_PARAMETER,
        }
    }
}

/// Why what a server sent is not a reply.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum ReplyError {
    /// A line does not begin with a code, or does not end in CR LF.
    #[error("no reply at octet {offset}")]
    Syntax {
        /// Where the first unexpected octet stands, in its line or in what [`Reply::parse`] was given.
        offset: usize,
    },
    /// Two lines of one reply have two codes.
    #[error("the code changes within the reply")]
    CodeChanges,
    /// A line or the whole is longer than the limit.
    #[error("reply too long")]
    TooLong,
    /// A reply that nobody waits for, or one that says neither yes nor no.
    #[error("reply out of step")]
    OutOfStep,
}

/// Why a command is not sent: a mistake of the caller's, or something that the server does not offer.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum Unsendable {
    /// The server has not announced the extension or the mechanism.
    #[error("not announced by the server")]
    NotAnnounced,
    /// A login would go over the wire in the clear.
    #[error("no login without TLS")]
    NeedsTls,
    /// The session has logged in already.
    #[error("already logged in")]
    LoggedIn,
    /// The message is larger than the server takes.
    #[error("message larger than the {limit} octets that the server takes")]
    TooBig {
        /// What the server announced.
        limit: u64,
    },
    /// The envelope names no recipient.
    #[error("no recipients")]
    NoRecipients,
    /// The line would be longer than servers take.
    #[error("line too long")]
    LineTooLong,
}

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
