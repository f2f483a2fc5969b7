//! The header of a segment: which segments are alive, and how much of each counts.

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A segment that counts, as the header of a later one tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Live {
    pub(crate) number: u64,
    /// What its checksums are salted with.
    pub(crate) salt: u64,
    /// Where its records begin.
    pub(crate) start: u64,
    /// Where what was acknowledged ends; recovery ignores the rest.
    ///
    /// Zero, as the salt and the start are, for a segment whose header has been lost: nothing in it can be read.
    pub(crate) limit: u64,
}

impl Live {
    pub(crate) const fn lost(number: u64) -> Self {
        Self { number, salt: 0, start: 0, limit: 0 }
    }

    pub(crate) const fn is_lost(&self) -> bool {
        self.limit == 0
    }
}

/// The header of a segment. The newest one that can be read is the manifest of the store.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Header {
    pub(crate) number: u64,
    pub(crate) salt: u64,
    /// The highest number of a segment that compaction has removed. A snapshot from before it is not to be used: what took
    /// its records back may have gone with them.
    pub(crate) floor: u64,
    /// All earlier segments that count, in rising order.
    pub(crate) live: Vec<Live>,
}

/// What stands where a header should.
#[derive(Debug, Eq, PartialEq)]
pub(crate) enum Found {
    /// A header, where its records begin, and whether one of its two copies holds what no crash leaves.
    Header { header: Header, start: u64, damaged: bool },
    /// A header of a format that is not ours.
    Newer(u16),
    /// Nothing that can be read; and whether it is more than what a crash leaves of a segment in the making.
    Nothing { damaged: bool },
}

impl Header {
    /// Where the records of this segment begin: behind two copies of the header.
    pub(crate) fn start(&self) -> u64 {
        Self::start_behind(self.live.len())
    }

    /// The same for a header that lists so many segments.
    pub(crate) const fn start_behind(live: usize) -> u64 {
        2 * copy_length(live)
    }

    /// Both copies, each padded to whole blocks, so that one bad block does not take both.
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::new();
        let length = self.copy_length();
        for copy in 0..2 {
            let begin = out.len();
            out.put_slice(MAGIC);
            out.put_u16_le(VERSION);
            out.put_u16_le(copy);
            out.put_u32_le(u32::try_from(self.live.len()).expect("segments are far fewer"));
            out.put_u64_le(length);
            out.put_u64_le(self.number);
            out.put_u64_le(self.salt);
            out.put_u64_le(self.floor);
            for live in &self.live {
                out.put_u64_le(live.number);
                out.put_u64_le(live.salt);
                out.put_u64_le(live.start);
                out.put_u64_le(live.limit);
            }
            let crc = crc32fast::hash(&out[begin..]);
            out.put_u32_le(crc);
            out.resize(begin + length as usize, 0);
        }
        out.freeze()
    }

    /// Reads the header of segment `number` from the beginning of its file.
    pub(crate) fn parse(number: u64, octets: &[u8]) -> Found {
        let mut newer = None;
        // The second copy begins at a multiple of the block that only the first one tells.
        for (index, copy) in octets.chunks(BLOCK).enumerate() {
            let at = index * BLOCK;
            if !copy.starts_with(MAGIC) {
                continue;
            }
            match Self::parse_copy(&octets[at..]) {
                Ok((header, which, length)) => {
                    if header.number == number && at as u64 == u64::from(which) * length {
                        let whole = header.encode();
                        // A message can hold what looks like a second copy; but there is no first one in front of it.
                        if which == 0 || differing(&whole[..at], octets, BLOCK, |_| true) <= 1 {
                            // Sectors of zeros are what a crash leaves while the header is written.
                            let torn = |sector: &[u8]| sector.iter().any(|octet| *octet != 0);
                            let damaged = differing(&whole, octets, SECTOR, torn) > 0;
                            return Found::Header { start: header.start(), header, damaged };
                        }
                    }
                }
                // Behind the smallest header there may be a message, which can hold anything.
                Err(version) if at <= BLOCK => newer = newer.or(version),
                Err(_) => {}
            }
        }
        let damaged = || is_damaged(&octets[..octets.len().min(SECTOR)]);
        newer.map_or_else(|| Found::Nothing { damaged: damaged() }, Found::Newer)
    }

    fn parse_copy(octets: &[u8]) -> Result<(Self, u16, u64), Option<u16>> {
        let mut rest = octets.strip_prefix(MAGIC).ok_or(None)?;
        let version = rest.try_get_u16_le().map_err(|_| None)?;
        if version != VERSION {
            // Damage that looks like this would have to strike both copies.
            return Err((version > VERSION).then_some(version));
        }
        Self::parse_fields(octets, rest).ok_or(None)
    }

    fn parse_fields(octets: &[u8], mut rest: &[u8]) -> Option<(Self, u16, u64)> {
        let copy = rest.try_get_u16_le().ok()?;
        let count = rest.try_get_u32_le().ok()? as usize;
        let length = rest.try_get_u64_le().ok()?;
        let number = rest.try_get_u64_le().ok()?;
        let salt = rest.try_get_u64_le().ok()?;
        let floor = rest.try_get_u64_le().ok()?;
        let end = FIXED + count.checked_mul(LIVE)?;
        let crc = octets.get(end..)?.first_chunk::<4>()?;
        if crc32fast::hash(&octets[..end]) != u32::from_le_bytes(*crc) {
            return None;
        }
        let live = (0..count)
            .map(|_| Live {
                number: rest.get_u64_le(),
                salt: rest.get_u64_le(),
                start: rest.get_u64_le(),
                limit: rest.get_u64_le(),
            })
            .collect();
        let header = Self { number, salt, floor, live };
        (copy < 2 && length == header.copy_length()).then_some((header, copy, length))
    }

    const fn copy_length(&self) -> u64 {
        copy_length(self.live.len())
    }
}

const fn copy_length(live: usize) -> u64 {
    ((FIXED + live * LIVE + 4).next_multiple_of(BLOCK)) as u64
}

/// How many pieces of `found` are not as `expected`, of those that count.
fn differing(expected: &[u8], found: &[u8], piece: usize, counts: impl Fn(&[u8]) -> bool) -> usize {
    let pairs = expected.chunks(piece).zip(found.chunks(piece));
    pairs.filter(|(expected, found)| *found != &expected[..found.len()] && counts(found)).count()
}

/// Whether the first sector, of a segment without a header, holds what no crash leaves: neither nothing, nor the beginning
/// of a header that goes on in further sectors.
fn is_damaged(sector: &[u8]) -> bool {
    if sector.iter().all(|octet| *octet == 0) {
        return false;
    }
    let Some(mut count) = sector.get(COUNT..COUNT + 4) else { return false };
    !sector.starts_with(MAGIC) || FIXED + LIVE * count.get_u32_le() as usize + 4 <= SECTOR
}

/// What a header is read in, and the most that one may take: enough for some 65,000 segments.
pub(crate) const HEADER_READ: u64 = 4 << 20;
/// Where the records of a segment begin whose header lists nothing.
pub(crate) const FIRST_START: u64 = Header::start_behind(0);

const MAGIC: &[u8; 8] = b"PSTRDJRN";
const VERSION: u16 = 1;
const BLOCK: usize = 4_096;
/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
/// Where the number of live segments stands in a copy.
const COUNT: usize = 12;
const FIXED: usize = 48;
const LIVE: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn header(live: u64) -> Header {
        let live =
            (1..=live).map(|number| Live { number, salt: number, start: 8_192, limit: 9_000 }).collect();
        Header { number: 900, salt: 42, floor: 0, live }
    }

    #[test]
    fn headers_are_read_back_from_either_copy() {
        for count in [0, 1, 126, 127, 128, 500] {
            let header = header(count);
            let mut octets = header.encode().to_vec();
            assert_eq!(octets.len() as u64, header.start());
            octets.extend_from_slice(b"records");
            let found = |damaged| Found::Header { header: header.clone(), start: header.start(), damaged };
            assert_eq!(Header::parse(900, &octets), found(false));
            octets[20] ^= 1;
            assert_eq!(Header::parse(900, &octets), found(true));
            octets[20] ^= 1;
            let second = header.copy_length() as usize + 20;
            octets[second] ^= 1;
            assert_eq!(Header::parse(900, &octets), found(true));
            octets[20] ^= 1;
            assert!(matches!(Header::parse(900, &octets), Found::Nothing { .. }));
        }
    }

    #[test]
    fn a_header_that_a_crash_has_torn_is_not_damaged() {
        for count in [0, 1, 126, 127, 500] {
            let header = header(count);
            let whole = header.encode();
            let length = header.copy_length() as usize;
            for lost in [0..512, 0..BLOCK, length..length + 512, length..2 * length] {
                let mut octets = whole.to_vec();
                octets[lost].fill(0);
                let found = Found::Header { header: header.clone(), start: header.start(), damaged: false };
                assert_eq!(Header::parse(900, &octets), found);
            }
            let mut octets = whole.to_vec();
            octets[..512].fill(0);
            octets[length..length + 512].fill(0);
            assert_eq!(Header::parse(900, &octets), Found::Nothing { damaged: false });
            octets[5] = 1;
            assert_eq!(Header::parse(900, &octets), Found::Nothing { damaged: true });
        }
    }

    #[test]
    fn a_message_cannot_hold_a_header() {
        // A crash has kept the header of a segment from being written that begins with a rewritten message. The message
        // holds a second copy of a header of its sender's, of a length that fits to where it lies; or a newer format.
        let mut live = header(300).live;
        live[..150].fill(Live { number: 0, salt: 0, start: 0, limit: 0 });
        let forged = Header { number: 900, salt: 1, floor: 0, live };
        let at = forged.copy_length() as usize;
        assert!(at as u64 > FIRST_START);
        let mut octets = vec![0; at];
        octets[FIRST_START as usize..][..24].copy_from_slice(&[7; 24]);
        octets.extend_from_slice(&forged.encode()[at..]);
        assert_eq!(Header::parse(900, &octets), Found::Nothing { damaged: false });
        octets[at + 8] = 2;
        assert_eq!(Header::parse(900, &octets), Found::Nothing { damaged: false });
    }

    #[test]
    fn a_header_of_another_segment_is_none() {
        assert_eq!(Header::parse(901, &header(2).encode()), Found::Nothing { damaged: true });
        assert_eq!(Header::parse(900, &[]), Found::Nothing { damaged: false });
        assert_eq!(Header::parse(900, &[0; 10_000]), Found::Nothing { damaged: false });
    }

    #[test]
    fn a_newer_format_is_told_apart_from_garbage() {
        let mut octets = header(0).encode().to_vec();
        octets[8] = 2;
        let second = header(0).copy_length() as usize + 8;
        octets[second] = 2;
        assert_eq!(Header::parse(900, &octets), Found::Newer(2));
    }
}
