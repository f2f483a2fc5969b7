//! What has to be copied of a store that works, so that the copy is a store.

use bytes::Bytes;

use crate::mailbox::Pin;
use crate::operation::File;

/// A store as it was at one moment, as beginnings of its files. [`Store::backup`](crate::Store::backup) gives it.
///
/// All that was told to be durable before that moment is in it, and nothing else. None of these octets changes any more, and
/// the files stay until this is given back with [`Store::release`](crate::Store::release). So they can be copied in any
/// order and at any speed, while the store works. A store that is opened on the copies is recovered as after a power cut at
/// that moment.
///
/// An earlier copy of a file of the same store is a beginning of the later one, or is it: bodies and snapshots never change,
/// segments only grow. Which segments are of the same store is told by [`Extract::identity`].
#[derive(Debug)]
#[must_use = "a backup that is not released keeps disk space from being freed"]
pub struct Backup {
    pub(crate) pin: Pin,
    /// Bodies, segments by rising number, and the snapshot, if there is one.
    pub files: Vec<Extract>,
    /// Octets that may be put behind those of the last segment: they say that the store was closed in order. With them,
    /// damage to the very last batch can be told from a batch that a crash has cut short.
    pub seal: Bytes,
}

/// The beginning of a file.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Extract {
    /// The file.
    pub file: File,
    /// How many octets of it count. A file with damage may be shorter.
    pub length: u64,
    /// What tells a segment from one with the same number in another store; 0 for other files.
    pub identity: u64,
}

impl From<Backup> for Pin {
    fn from(backup: Backup) -> Self {
        backup.pin
    }
}
