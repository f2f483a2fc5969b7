//! What can be wrong with a domain, and why an answer may be missing.

use thiserror::Error;

/// Why a text is no mail domain. Offsets are octets from the start of the text.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum DomainError {
    /// There is nothing.
    #[error("empty domain")]
    Empty,
    /// The domain holds letters beyond ASCII. The caller turns them into A-labels (`xn--...`).
    #[error("domain is not ASCII at octet {offset}: A-labels are wanted")]
    NotAscii {
        /// Where the first octet above 127 stands.
        offset: usize,
    },
    /// An octet that no host name has, or a dot where a label should begin.
    #[error("bad domain at octet {offset}")]
    Syntax {
        /// Where the first unexpected octet stands.
        offset: usize,
    },
    /// A label of more than 63 octets, or a name of more than 253.
    #[error("domain too long")]
    TooLong,
    /// The last label is a number, as in an IPv4 address without brackets.
    #[error("domain ends in a number: an address stands in brackets")]
    Numeric,
    /// What stands in brackets is no address.
    #[error("bad address literal")]
    Literal,
}

/// Why servers gave no answer that can be used. All of it may be over the next time.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// There is no server to ask.
    #[error("no name servers configured")]
    NoServers,
    /// No server has answered in time.
    #[error("name servers do not answer")]
    Timeout,
    /// No server can be reached.
    #[error("name servers cannot be reached")]
    Unreachable,
    /// A server said SERVFAIL, which is also what it says when DNSSEC signatures do not hold.
    #[error("name server failure (SERVFAIL)")]
    ServerFailure,
    /// A server said REFUSED.
    #[error("query refused by name server")]
    Refused,
    /// A server gave another error.
    #[error("name server error {0}")]
    Code(u16),
    /// A server gave an answer that can not be read, or one that is none to the question.
    #[error("bad answer from name server")]
    Malformed,
    /// CNAME records lead in a circle.
    #[error("CNAME records lead in a circle")]
    AliasLoop,
    /// More CNAME records in a row than [`Limits::aliases`](crate::Limits::aliases).
    #[error("too many CNAME records in a row")]
    AliasChain,
    /// The lookup has used up its time or its queries.
    #[error("lookup has used up its time or its queries")]
    Budget,
}
