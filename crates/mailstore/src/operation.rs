//! What the store asks of a disk, and what comes back.

use core::fmt;

use bytes::Bytes;
use thiserror::Error;

use crate::message::BodyId;

/// A file of the store. How it is called on a disk is the driver's business.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum File {
    /// A piece of the journal; numbers only ever rise.
    Segment(u64),
    /// A body too large for the journal.
    Body(BodyId),
    /// The index as it was at a position of the journal; numbers only ever rise.
    Snapshot(u64),
}

/// A directory of the store.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Dir {
    /// Holds the segments.
    Journal,
    /// Holds the large bodies.
    Bodies,
    /// Holds the snapshots.
    Snapshots,
}

/// Something for the driver to do.
///
/// Whatever [`Store::poll`](crate::Store::poll) has yielded may run at once and in any order; what has to wait for
/// something else is not yielded before that is done. Each operation goes back, by value, with what came of it.
#[derive(Debug)]
#[must_use = "an operation that is not carried out stops the store"]
pub enum Operation {
    /// Tell every file there is, with its length. Answered with [`Done::Listed`].
    List,
    /// Make a new file; if it exists, fail. `reserve` octets of zeros are written into it, so that later writes find
    /// their blocks allocated.
    Create {
        /// The file.
        file: File,
        /// How many octets of zeros.
        reserve: u64,
    },
    /// Write all of `data`, one piece behind the other.
    Write {
        /// The file.
        file: File,
        /// Where the first octet goes.
        at: u64,
        /// The pieces.
        data: Vec<Bytes>,
        /// Whether the file's data, and what is needed to read it back, have to be on stable storage before this is
        /// done (`fdatasync`).
        sync: bool,
    },
    /// Bring a file's data to stable storage (`fdatasync`).
    Sync {
        /// The file.
        file: File,
    },
    /// Bring the names in a directory to stable storage, as far as they were made before this was yielded.
    SyncDir {
        /// The directory.
        dir: Dir,
    },
    /// Remove a file. That it is gone already is no error.
    Unlink {
        /// The file.
        file: File,
    },
    /// Read octets; fewer than `length` come back only where the file ends. Answered with [`Done::Data`].
    Read {
        /// The file.
        file: File,
        /// Where to begin.
        at: u64,
        /// How many octets at most.
        length: u64,
    },
}

/// What a successful operation gives.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Done {
    /// Nothing but that it is done.
    Nothing,
    /// To [`Operation::List`].
    Listed(Vec<(File, u64)>),
    /// To [`Operation::Read`].
    Data(Bytes),
}

/// Why an operation failed.
///
/// A failed write or sync is final for its file: what is in it from then on is unknown, and the store does not ask
/// again.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum DiskError {
    /// The disk or the quota is full.
    #[error("no space left")]
    NoSpace,
    /// Anything else, with the system's error number where there is one.
    #[error("input or output error{}", Code(*.0))]
    Io(Option<i32>),
}

struct Code(Option<i32>);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(code) => write!(f, " {code}"),
            None => Ok(()),
        }
    }
}

impl File {
    /// The directory it lies in.
    pub const fn dir(self) -> Dir {
        match self {
            Self::Segment(_) => Dir::Journal,
            Self::Body(_) => Dir::Bodies,
            Self::Snapshot(_) => Dir::Snapshots,
        }
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(number) => write!(f, "journal/{number:016x}"),
            Self::Body(id) => write!(f, "bodies/{:016x}", id.0),
            Self::Snapshot(number) => write!(f, "snapshots/{number:016x}"),
        }
    }
}
