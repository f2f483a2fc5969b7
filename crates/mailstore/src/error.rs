//! What can go wrong, sorted by whose fault it is.

use thiserror::Error;

use crate::operation::{DiskError, File};

/// What became of a commit that was not made durable.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
pub enum Failure {
    /// The caller asked for something that cannot be; nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There was no room; nothing has changed.
    #[error("no space left")]
    NoSpace,
    /// The disk failed; nothing has changed, and nothing of it will come back.
    #[error("the disk failed")]
    Disk,
    /// The disk failed, and whether the commit comes back after a restart is not known. Say neither yes nor no.
    #[error("the disk failed, and the outcome is unknown")]
    Unknown,
}

/// Why a commit cannot be.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// No mailbox has this identifier, or it belongs to somebody else.
    #[error("no such mailbox")]
    NoSuchMailbox,
    /// The account has a mailbox of this name.
    #[error("mailbox exists")]
    MailboxExists,
    /// A mailbox name is empty, too long or too deep, has an empty level, or holds a control character; or a mailbox would come
    /// to stand below itself.
    #[error("bad mailbox name")]
    BadName,
    /// INBOX can be neither deleted nor renamed.
    #[error("INBOX stays")]
    Inbox,
    /// A mailbox with others below it cannot be deleted.
    #[error("there are mailboxes below it")]
    HasChildren,
    /// A keyword is no atom, or too long.
    #[error("bad keyword")]
    BadKeyword,
    /// The mailbox has as many keywords as it can have.
    #[error("the mailbox has too many keywords")]
    TooManyKeywords,
    /// The account would have more octets or messages than it may.
    #[error("over quota")]
    OverQuota,
    /// Only the host may do this.
    #[error("not allowed")]
    NotAllowed,
    /// A delivery, a hold or a structure in a commit without a body.
    #[error("a delivery, a hold or a structure needs a body")]
    NoBody,
    /// A body, prefix, structure, key or value beyond its limit, or a commit that does not fit into a segment.
    #[error("too large")]
    TooLarge,
    /// The mailbox has no unique identifiers left.
    #[error("the mailbox has run out of unique identifiers")]
    UidsExhausted,
    /// Too many commits are waiting.
    #[error("too many commits are waiting")]
    Busy,
    /// The store is closing, or has died.
    #[error("the store is closed")]
    Closed,
}

/// Why a mailbox cannot be shown.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum Unavailable {
    /// No mailbox has this identifier, or it belongs to somebody else.
    #[error("no such mailbox")]
    NoSuchMailbox,
    /// Its messages could be read neither from the snapshot nor from the journal.
    #[error("the disk failed")]
    Disk,
    /// The store is closing, or has died.
    #[error("the store is closed")]
    Closed,
}

/// Why a store is of no use any more.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum Dead {
    /// It could not be opened.
    #[error("the disk failed while the store was opened: {0}")]
    Open(DiskError),
    /// It was written by a later version.
    #[error("{file} has format {version}, which this version cannot read")]
    NewerFormat {
        /// Where it was seen.
        file: File,
        /// The format.
        version: u16,
    },
    /// There are segments, and none of them has a header that can be read.
    #[error("no segment of the journal has a readable header")]
    NoHeader,
}
