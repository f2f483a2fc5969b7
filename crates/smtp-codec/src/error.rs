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
