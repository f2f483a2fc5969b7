//! Messages, their flags and their bodies.

pub(crate) mod flags;

use core::fmt;
use core::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use thiserror::Error;

pub use self::flags::{FlagChange, Flags, NamedFlags};
use crate::index::{DELIVER_FIXED, Entry, Ground, Place, Salts};
use crate::journal::writer::{FRAME, checksum};
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

/// Octets of a store that nothing changes any more: a prefix, a body, or a value.
///
/// They are there as long as what gave the stretch is held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stretch {
    source: Source,
    length: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Source {
    /// A part of a record, `skip` octets into its payload.
    Record { segment: u32, at: u32, skip: u16, salt: u64 },
    /// The blocks of a file.
    File(BodyId),
}

/// What has to be read to have some octets, and how to tell that they are the ones that were written.
///
/// Read [`Piece::extent`], whole, and give the octets to [`Piece::open`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[must_use = "octets that were not checked may be wrong"]
pub struct Piece {
    extent: Extent,
    check: Check,
    /// Where in the extent the wanted octets begin, and how many they are.
    skip: u64,
    length: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Check {
    Record { salt: u64 },
    Block { body: BodyId },
}

/// What was read is not what was written.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("{} is damaged in the {} octets from {} on", .0.file, .0.length, .0.at)]
pub struct Rotten(pub Extent);

/// A message in a mailbox. It is immutable; what it says holds as long as the [`View`](crate::View) it came from.
///
/// A message is the prefix of its delivery (`Return-Path:` and the like) and the body that it shares with all other
/// deliveries of the same commit, and with its copies. Sizes and offsets count both.
#[derive(Clone)]
pub struct Message {
    entry: Entry,
    ground: Arc<Ground>,
}

impl Stretch {
    /// The part of a record that begins `skip` octets into its payload.
    pub(crate) fn record(place: Place, skip: u16, salts: &Salts) -> Self {
        let Place { segment, at, length } = place;
        let salt = salts.of(segment);
        Self { source: Source::Record { segment, at, skip, salt }, length: u64::from(length) }
    }

    pub(crate) const fn file(body: BodyId, size: u64) -> Self {
        Self { source: Source::File(body), length: size }
    }

    /// How many octets.
    pub const fn size(&self) -> u64 {
        self.length
    }

    /// What has to be read for the octets of `range`, in order; what is beyond the end is left out.
    pub fn locate(&self, range: Range<u64>) -> impl Iterator<Item = Piece> + use<> {
        let (this, end, mut at) = (*self, range.end.min(self.length), range.start);
        core::iter::from_fn(move || {
            let piece = (at < end).then(|| this.piece(at, end))?;
            at += piece.length;
            Some(piece)
        })
    }

    /// The piece that begins at `at` and ends at `end` at the latest; there is at least one octet between.
    fn piece(&self, at: u64, end: u64) -> Piece {
        match self.source {
            Source::Record { segment, at: frame, skip, salt } => {
                let front = FRAME as u64 + u64::from(skip);
                Piece {
                    extent: Extent {
                        file: File::Segment(u64::from(segment)),
                        at: u64::from(frame),
                        length: front + self.length,
                    },
                    check: Check::Record { salt },
                    skip: front + at,
                    length: end - at,
                }
            }
            Source::File(body) => {
                let (block, within) = (at / BLOCK, at % BLOCK);
                let held = BLOCK.min(self.length - block * BLOCK);
                Piece {
                    extent: Extent { file: File::Body(body), at: block * (BLOCK + CRC), length: held + CRC },
                    check: Check::Block { body },
                    skip: within,
                    length: (held - within).min(end - at),
                }
            }
        }
    }
}

impl Piece {
    /// What has to be read, whole.
    pub const fn extent(&self) -> Extent {
        self.extent
    }

    /// How many octets it is good for.
    pub const fn size(&self) -> u64 {
        self.length
    }

    /// The wanted octets, from what was read. Nothing but what was written passes.
    pub fn open(&self, octets: &Bytes) -> Result<Bytes, Rotten> {
        let Extent { at, length, .. } = self.extent;
        let whole = octets.len() as u64 == length;
        let good = whole
            && match self.check {
                Check::Record { salt } => {
                    let (frame, payload) = octets.split_at(FRAME);
                    let number = |at: usize| frame[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
                    u64::from(number(0)) + FRAME as u64 == length
                        && checksum(salt, at, &frame[..12]) == number(12)
                        && checksum(salt, at, payload) == number(8)
                }
                Check::Block { body } => {
                    let (held, crc) = octets.split_at(octets.len() - CRC as usize);
                    block_hasher(body, at / (BLOCK + CRC), held).finalize().to_le_bytes() == *crc
                }
            };
        if !good {
            return Err(Rotten(self.extent));
        }
        let from = self.skip as usize;
        Ok(octets.slice(from..from + self.length as usize))
    }
}

/// The checksum of a block of a body knows which body and which block it is.
pub(crate) fn block_hasher(body: BodyId, index: u64, octets: &[u8]) -> crc32fast::Hasher {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&body.0.to_le_bytes());
    hasher.update(&index.to_le_bytes());
    hasher.update(octets);
    hasher
}

impl Message {
    pub(crate) const fn new(entry: Entry, ground: Arc<Ground>) -> Self {
        Self { entry, ground }
    }

    /// Its unique identifier within the mailbox.
    pub const fn uid(&self) -> Uid {
        self.entry.uid
    }

    /// The modification sequence of its last change.
    pub const fn mod_seq(&self) -> ModSeq {
        self.entry.facts.mod_seq
    }

    /// Its flags.
    pub const fn flags(&self) -> Flags {
        self.entry.facts.flags
    }

    /// When it was delivered.
    pub const fn date(&self) -> UnixTime {
        self.entry.facts.date
    }

    /// The body, which it may share with other messages.
    pub const fn body(&self) -> BodyId {
        self.entry.facts.body
    }

    /// How many of its octets stand in front of the body.
    pub const fn prefix_size(&self) -> u64 {
        self.entry.facts.place.length as u64
    }

    /// Its size in octets, the prefix included.
    pub fn size(&self) -> u64 {
        // A message without its body, which damage may have taken, is not shown.
        self.prefix_size() + self.ground.bodies.size(self.body()).unwrap_or(0)
    }

    /// What has to be read for the octets of `range`, in order; what is beyond the end is left out.
    pub fn locate(&self, range: Range<u64>) -> impl Iterator<Item = Piece> + use<> {
        let Ground { bodies, salts } = &*self.ground;
        let behind = self.prefix_size();
        let prefix = Stretch::record(self.entry.facts.place, DELIVER_FIXED, salts);
        let content = bodies.content(self.body(), salts).map(|content| {
            content.locate(range.start.saturating_sub(behind)..range.end.saturating_sub(behind))
        });
        prefix.locate(range.start..range.end).chain(content.into_iter().flatten())
    }

    /// Where the structure of its body lies, if its commit came with one.
    pub fn structure(&self) -> Option<Stretch> {
        self.ground.bodies.structure(self.body(), &self.ground.salts)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entry.fmt(f)
    }
}

/// Octets of a body between two checksums in its file: with one, 64 KiB.
pub(crate) const BLOCK: u64 = (64 << 10) - CRC;
/// Octets of a checksum.
pub(crate) const CRC: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Bodies, Facts, Large};
    use crate::journal::segment::Live;

    #[test]
    fn a_range_may_span_prefix_and_body() {
        let live = [Live { number: 1, salt: 3, start: 0, limit: 0 }];
        let mut bodies = Bodies::default();
        bodies.large.insert(7, Large { size: BLOCK + 20, segment: 1, holders: 1 });
        let facts = Facts {
            mod_seq: ModSeq(1),
            date: UnixTime(0),
            body: BodyId(7),
            flags: Flags::NONE,
            place: Place { segment: 1, at: 80, length: 10 },
            flags_segment: 0,
        };
        let ground = Ground { bodies, salts: Salts::new(&live) };
        let message = Message::new(Entry { uid: Uid::FIRST, facts }, Arc::new(ground));
        let located = |range| {
            let part = |piece: Piece| (piece.extent.at, piece.extent.length, piece.skip, piece.length);
            message.locate(range).map(part).collect::<Vec<_>>()
        };
        let size = BLOCK + 30;
        assert_eq!(message.size(), size);
        let (first, second) = ((0, BLOCK + 4), (BLOCK + 4, 24));
        assert_eq!(
            located(0..u64::MAX),
            [(80, 70, 60, 10), (first.0, first.1, 0, BLOCK), (second.0, second.1, 0, 20)]
        );
        assert_eq!(located(4..12), [(80, 70, 64, 6), (0, first.1, 0, 2)]);
        assert_eq!(located(10..11), [(0, first.1, 0, 1)]);
        assert_eq!(located(size - 1..size + 9), [(second.0, second.1, 19, 1)]);
        assert_eq!(located(size..size + 9), []);
        assert_eq!(located(0..0), []);
    }

    #[test]
    fn a_block_is_checked_against_its_body_and_its_place() {
        let mut octets = vec![7; 20];
        octets.extend_from_slice(&block_hasher(BodyId(7), 1, &[7; 20]).finalize().to_le_bytes());
        let octets = Bytes::from(octets);
        let piece = |body, at| Stretch::file(BodyId(body), at + 20).locate(at + 5..at + 9).next();
        assert_eq!(piece(7, BLOCK).map(|piece| piece.open(&octets)), Some(Ok(octets.slice(5..9))));
        for other in [piece(8, BLOCK), piece(7, 2 * BLOCK)] {
            assert!(other.is_some_and(|piece| piece.open(&octets).is_err()));
        }
        let flipped: Bytes = octets.iter().map(|octet| octet ^ 1).collect();
        assert!(piece(7, BLOCK).is_some_and(|piece| piece.open(&flipped).is_err()));
        assert!(piece(7, BLOCK).is_some_and(|piece| piece.open(&octets.slice(1..)).is_err()));
    }
}
