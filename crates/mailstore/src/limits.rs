//! Every bound of a store, as data.

/// Bounds on what a store keeps in memory and writes at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub(crate) inline_body: usize,
    pub(crate) segment: u64,
    pub(crate) batch: usize,
    pub(crate) staged: usize,
    pub(crate) snapshot: u64,
    pub(crate) loaded: usize,
}

impl Limits {
    /// The largest body in octets that goes into the journal; a larger one has to be uploaded.
    ///
    /// Default 65,536. A small body costs no file and no sync of its own; a large one would be written twice by compaction.
    pub const fn inline_body(mut self, octets: usize) -> Self {
        self.inline_body = octets;
        self
    }

    /// The size of a journal segment in octets, reserved when it is created. A commit has to fit into one.
    ///
    /// Default 8,388,608; at least 262,144 and at most 268,435,456. Recovery holds one segment in memory.
    pub const fn segment(mut self, octets: u64) -> Self {
        self.segment = if octets < MIN_SEGMENT {
            MIN_SEGMENT
        } else if octets > MAX_SEGMENT {
            MAX_SEGMENT
        } else {
            octets
        };
        self
    }

    /// How many octets of commits are written with one sync, unless a single commit is larger.
    ///
    /// Default 1,048,576.
    pub const fn batch(mut self, octets: usize) -> Self {
        self.batch = octets;
        self
    }

    /// How many octets the journal grows between two snapshots, unless the last snapshot is larger.
    ///
    /// Default 67,108,864; at least 65,536. As much is read when the store is opened, and garbage is not collected in it. A snapshot
    /// has 52 octets for a message, some 85 for a record of the caller's that holds a body.
    pub const fn snapshot(mut self, octets: u64) -> Self {
        self.snapshot = if octets < MIN_SNAPSHOT { MIN_SNAPSHOT } else { octets };
        self
    }

    /// How many messages are kept in memory that could be read again from a snapshot; those of one mailbox at least.
    ///
    /// Default 1,000,000, at 56 octets each.
    pub const fn loaded(mut self, messages: usize) -> Self {
        self.loaded = messages;
        self
    }

    /// How many commits may wait for the next batch; more are refused.
    ///
    /// Default 10,000. The driver bounds their octets by what it lets in.
    pub const fn staged(mut self, count: usize) -> Self {
        self.staged = count;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inline_body: 64 << 10,
            segment: 8 << 20,
            batch: 1 << 20,
            staged: 10_000,
            snapshot: 64 << 20,
            loaded: 1_000_000,
        }
    }
}

const MIN_SEGMENT: u64 = 256 << 10;
const MIN_SNAPSHOT: u64 = 64 << 10;
pub(crate) const MAX_SEGMENT: u64 = 256 << 20;
/// What stands in front of a body in one delivery.
pub(crate) const MAX_PREFIX: usize = 16 << 10;
/// What a caller has found out about a body.
pub(crate) const MAX_STRUCTURE: usize = 64 << 10;
/// A mailbox name.
pub(crate) const MAX_NAME: usize = 1_024;
/// The key of a record of the caller's.
pub(crate) const MAX_KEY: usize = 1_024;
/// The value of a record of the caller's.
pub(crate) const MAX_VALUE: usize = 64 << 10;
