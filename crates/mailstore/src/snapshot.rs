//! The index at a position of the journal, as a file: what a start reads instead of the journal before that position.
//!
//! ```text
//! ┌────────┬──────────────────────────────────────┬─────────────────────────────────────────────────┐
//! │ header │ messages of each mailbox, a section  │ head: mailboxes, bodies, records, segments      │
//! └────────┴──────────────────────────────────────┴─────────────────────────────────────────────────┘
//!     written last        read when one is opened          read at the start
//! ```
//!
//! A snapshot is never changed. It counts once it is on stable storage, its name too; the one before goes then. It is derived:
//! one that is damaged is left aside, and the journal read instead.

pub(crate) mod reader;
pub(crate) mod writer;

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::index::{Entry, Facts, Highest, Place};
use crate::mailbox::{ModSeq, Uid};
use crate::message::{BodyId, Flags, UnixTime};

/// A place between two batches of the journal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Position {
    pub(crate) segment: u64,
    /// The salt of the segment: a number may be given to another segment after a crash.
    pub(crate) salt: u64,
    pub(crate) at: u64,
}

/// The beginning of a snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    /// What it holds is what the journal says up to here.
    pub(crate) position: Position,
    pub(crate) highest: Highest,
    /// Where its head begins, and where it ends.
    pub(crate) head: u64,
    pub(crate) end: u64,
}

impl Header {
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(HEADER as usize);
        out.put_slice(MAGIC);
        out.put_u16_le(VERSION);
        out.put_bytes(0, 6);
        out.put_u64_le(self.number);
        out.put_u64_le(self.position.segment);
        out.put_u64_le(self.position.salt);
        out.put_u64_le(self.position.at);
        out.put_u64_le(self.highest.body);
        out.put_u64_le(self.highest.mailbox);
        out.put_u32_le(self.highest.uid_validity);
        out.put_u32_le(0);
        out.put_u64_le(self.head);
        out.put_u64_le(self.end);
        let crc = crc32fast::hash(&out);
        out.put_u32_le(crc);
        out.put_bytes(0, HEADER as usize - out.len());
        out.freeze()
    }

    pub(crate) fn parse(number: u64, octets: &[u8]) -> Option<Self> {
        let (fields, rest) = octets.split_at_checked(CHECKED)?;
        let crc = rest.first_chunk::<4>()?;
        if crc32fast::hash(fields) != u32::from_le_bytes(*crc) {
            return None;
        }
        let mut fields = fields.strip_prefix(MAGIC)?;
        if fields.get_u16_le() != VERSION {
            return None;
        }
        fields.advance(6);
        let header = Self {
            number: fields.get_u64_le(),
            position: Position {
                segment: fields.get_u64_le(),
                salt: fields.get_u64_le(),
                at: fields.get_u64_le(),
            },
            highest: Highest {
                body: fields.get_u64_le(),
                mailbox: fields.get_u64_le(),
                uid_validity: {
                    let number = fields.get_u32_le();
                    fields.advance(4);
                    number
                },
            },
            head: fields.get_u64_le(),
            end: fields.get_u64_le(),
        };
        (header.number == number).then_some(header)
    }
}

/// Puts a block around octets that will stand at `at` of snapshot `number`.
pub(crate) fn put_block(number: u64, at: u64, octets: &[u8], out: &mut BytesMut) {
    out.put_u32_le(u32::try_from(octets.len()).expect("blocks are far smaller"));
    out.put_u32_le(checksum(number, at, octets));
    out.put_slice(octets);
}

/// What the beginning of some octets is.
pub(crate) enum Found {
    /// A block with this content, and how long it is.
    Block(Bytes, u64),
    /// The beginning of one.
    More,
    Damaged,
}

/// Reads the block at the beginning of `octets`, which stand at `at` of snapshot `number`.
pub(crate) fn get_block(number: u64, at: u64, octets: &Bytes) -> Found {
    let Some(mut frame) = octets.get(..BLOCK_FRAME) else { return Found::More };
    let (length, crc) = (frame.get_u32_le() as usize, frame.get_u32_le());
    if length > MAX_BLOCK {
        return Found::Damaged;
    }
    if octets.len() < BLOCK_FRAME + length {
        return Found::More;
    }
    let content = octets.slice(BLOCK_FRAME..BLOCK_FRAME + length);
    if checksum(number, at, &content) != crc {
        return Found::Damaged;
    }
    Found::Block(content, (BLOCK_FRAME + length) as u64)
}

/// How long a section with so many messages is.
pub(crate) const fn section_length(count: u64) -> u64 {
    let frames = count.div_ceil(ENTRIES as u64).saturating_mul(BLOCK_FRAME as u64);
    count.saturating_mul(ENTRY as u64).saturating_add(frames)
}

pub(crate) fn put_entry(entry: &Entry, out: &mut BytesMut) {
    let Facts { mod_seq, date, body, flags, place, flags_segment } = entry.facts;
    out.put_u32_le(entry.uid.get());
    out.put_u64_le(mod_seq.0);
    out.put_i64_le(date.0);
    out.put_u64_le(body.0);
    out.put_u64_le(flags.0);
    put_place(place, out);
    out.put_u32_le(flags_segment);
}

pub(crate) fn get_entry(octets: &[u8; ENTRY]) -> Option<Entry> {
    let mut octets = &octets[..];
    let uid = Uid::new(octets.get_u32_le())?;
    let facts = Facts {
        mod_seq: ModSeq(octets.get_u64_le()),
        date: UnixTime(octets.get_i64_le()),
        body: BodyId(octets.get_u64_le()),
        flags: Flags(octets.get_u64_le()),
        place: Place { segment: octets.get_u32_le(), at: octets.get_u32_le(), length: octets.get_u32_le() },
        flags_segment: octets.get_u32_le(),
    };
    Some(Entry { uid, facts })
}

pub(crate) fn put_place(place: Place, out: &mut BytesMut) {
    out.put_u32_le(place.segment);
    out.put_u32_le(place.at);
    out.put_u32_le(place.length);
}

pub(crate) fn get_place(octets: &mut Bytes) -> Option<Place> {
    Some(Place {
        segment: octets.try_get_u32_le().ok()?,
        at: octets.try_get_u32_le().ok()?,
        length: octets.try_get_u32_le().ok()?,
    })
}

fn checksum(number: u64, at: u64, octets: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&number.to_le_bytes());
    hasher.update(&at.to_le_bytes());
    hasher.update(octets);
    hasher.finalize()
}

const MAGIC: &[u8; 8] = b"PSTRSNAP";
const VERSION: u16 = 1;
/// Octets of the header, and those that its checksum covers.
pub(crate) const HEADER: u64 = 4_096;
const CHECKED: usize = 88;
/// In front of each block.
const BLOCK_FRAME: usize = 8;
/// The longest block that is read.
const MAX_BLOCK: usize = 128 << 10;
/// Octets of a message in a section, and messages in a block.
const ENTRY: usize = 52;
const ENTRIES: usize = 1_200;
/// How long a block of the head gets before the next one begins.
const HEAD_BLOCK: usize = 64 << 10;
/// What is read or written at once.
const SLICE: u64 = 1 << 20;
/// Whole blocks of a section in that.
const BLOCKS: u64 = SLICE / section_length(ENTRIES as u64);

/// The kinds of items of a head.
mod kind {
    pub(super) const MAILBOX: u8 = 1;
    pub(super) const BODY: u8 = 2;
    pub(super) const BODY_FILE: u8 = 3;
    pub(super) const VALUE: u8 = 4;
    pub(super) const HOLD: u8 = 5;
    pub(super) const SEGMENT: u8 = 6;
    pub(super) const STRUCTURE: u8 = 7;
    pub(super) const QUOTA: u8 = 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            number: 3,
            position: Position { segment: 7, salt: 8, at: 9_000 },
            highest: Highest { body: 10, mailbox: 11, uid_validity: 12 },
            head: 5_000,
            end: 6_000,
        }
    }

    #[test]
    fn a_header_is_read_back_and_spoilt_by_any_bit() {
        let octets = header().encode();
        assert_eq!(octets.len() as u64, HEADER);
        assert_eq!(Header::parse(3, &octets), Some(header()));
        assert_eq!(Header::parse(4, &octets), None);
        for bit in 0..(CHECKED + 4) * 8 {
            let mut octets = octets.to_vec();
            octets[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::parse(3, &octets), None);
        }
        assert_eq!(Header::parse(3, &octets[..80]), None);
    }

    #[test]
    fn a_block_is_spoilt_by_any_bit_and_by_another_place() {
        let mut out = BytesMut::new();
        put_block(3, 4_096, b"some content", &mut out);
        let octets = out.freeze();
        assert!(
            matches!(get_block(3, 4_096, &octets), Found::Block(content, 20) if content[..] == b"some content"[..])
        );
        for (number, at) in [(4, 4_096), (3, 4_104)] {
            assert!(matches!(get_block(number, at, &octets), Found::Damaged));
        }
        for length in 0..octets.len() {
            assert!(matches!(get_block(3, 4_096, &octets.slice(..length)), Found::More));
        }
        for bit in 0..octets.len() * 8 {
            let mut flipped = octets.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(get_block(3, 4_096, &flipped.into()), Found::Block(..)));
        }
    }
}
