//! What can be wrong, sorted by whose fault it is.

use thiserror::Error;

/// What a constructor refuses.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum Invalid {
    /// Not a mail address, or one that is too long.
    #[error("not a mail address")]
    Address,
    /// Empty, too long, or with octets outside printable ASCII.
    #[error("not a short printable text")]
    Text,
    /// Empty, too long, or with octets that a host name does not have.
    #[error("not a host name")]
    Host,
}

/// Why a message is not taken. Tell the client 451 or 452, never 250.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// There is nobody to send it to.
    #[error("a message without recipients")]
    NoRecipient,
    /// More than 10,000.
    #[error("too many recipients in one message")]
    TooManyRecipients,
    /// Its first record has not been read yet: see [`Queue::restoring`](crate::Queue::restoring).
    #[error("the queue is being read")]
    Restoring,
    /// The queue holds as many recipients as its [limit](crate::Limits::recipients) allows.
    #[error("the queue is full")]
    Full,
}

/// Why a record is of no use.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum RecordError {
    /// Not one of this queue's keys.
    #[error("unknown key")]
    Key,
    /// Written by a later version.
    #[error("record has version {0}, which this version cannot read")]
    Newer(u8),
    /// The octets are not those of a record.
    #[error("damaged record")]
    Damaged,
    /// A part of a message of which the other part is not there.
    #[error("part of an incomplete message")]
    Orphan,
}
