//! Messages and bodies.

use core::ops::Range;

use crate::mailbox::{ModSeq, Uid};
use crate::operation::File;

/// What identifies a body within a store; never used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct BodyId(pub(crate) u64);

/// A large body that lies on stable storage, its name too, and waits for the commit that makes it part of the store.
///
/// It exists only after good syncs: [`Upload::finish`](crate::upload::Upload::finish).
#[derive(Debug)]
pub struct Body {
    pub(crate) id: BodyId,
    pub(crate) size: u64,
    pub(crate) crc: u32,
}

impl Body {
    /// Its size in octets.
    pub const fn size(&self) -> u64 {
        self.size
    }
}

/// Seconds since 1970-01-01 00:00:00 UTC, as it stands on disk.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UnixTime(pub i64);

/// A stretch of a file.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Extent {
    /// The file.
    pub file: File,
    /// Where it begins.
    pub at: u64,
    /// Its length in octets.
    pub length: u64,
}

/// A message in a mailbox. It is immutable; what it says holds as long as the [`View`](crate::View) it came from.
///
/// A message is the prefix of its delivery (`Return-Path:` and the like) and the body that it shares with all other
/// deliveries of the same commit. Sizes and offsets count both.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Message {
    pub(crate) uid: Uid,
    pub(crate) mod_seq: ModSeq,
    pub(crate) date: UnixTime,
    pub(crate) body: BodyId,
    pub(crate) prefix: Extent,
    pub(crate) content: Extent,
}

impl Message {
    /// Its unique identifier within the mailbox.
    pub const fn uid(&self) -> Uid {
        self.uid
    }

    /// The modification sequence of its last change.
    pub const fn mod_seq(&self) -> ModSeq {
        self.mod_seq
    }

    /// When it was delivered.
    pub const fn date(&self) -> UnixTime {
        self.date
    }

    /// The body, which it may share with other messages.
    pub const fn body(&self) -> BodyId {
        self.body
    }

    /// Its size in octets, the prefix included.
    pub const fn size(&self) -> u64 {
        self.prefix.length + self.content.length
    }

    /// Where the octets of `range` lie, in order; what is beyond the end is left out.
    pub fn locate(&self, range: Range<u64>) -> impl Iterator<Item = Extent> {
        let mut base = 0;
        [self.prefix, self.content].into_iter().filter_map(move |extent| {
            let from = range.start.max(base);
            let to = range.end.min(base + extent.length);
            let at = extent.at + from.saturating_sub(base);
            base += extent.length;
            (from < to).then(|| Extent { at, length: to - from, ..extent })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_may_span_prefix_and_body() {
        let prefix = Extent { file: File::Segment(1), at: 100, length: 10 };
        let content = Extent { file: File::Body(BodyId(7)), at: 0, length: 20 };
        let message = Message {
            uid: Uid::FIRST,
            mod_seq: ModSeq(1),
            date: UnixTime(0),
            body: BodyId(7),
            prefix,
            content,
        };
        let located = |range| message.locate(range).map(|e| (e.at, e.length)).collect::<Vec<_>>();
        assert_eq!(message.size(), 30);
        assert_eq!(located(0..30), [(100, 10), (0, 20)]);
        assert_eq!(located(4..12), [(104, 6), (0, 2)]);
        assert_eq!(located(10..11), [(0, 1)]);
        assert_eq!(located(29..99), [(19, 1)]);
        assert_eq!(located(30..99), []);
        assert_eq!(located(0..0), []);
    }
}
