//! Finding records in a segment.

use bytes::Bytes;

use crate::journal::entry::Record;
use crate::journal::segment::Live;
use crate::journal::writer::{ALIGN, FRAME, RECORD_VERSION, checksum};

/// A segment in memory.
#[derive(Debug)]
pub(crate) struct Segment {
    octets: Bytes,
    salt: u64,
}

/// A record as it stands in a segment.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Where its frame begins.
    pub(crate) at: u64,
    /// Where the next record begins.
    pub(crate) next: u64,
    /// `None` where the payload is damaged.
    pub(crate) record: Option<Record>,
    pub(crate) kind: u8,
}

/// Where something begins that cannot be read, how long it is, and its kind if that is known.
type Unreadable = (u64, u64, Option<u8>);

/// A whole batch whose every octet is right.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) entries: Vec<Entry>,
    /// Where the next batch begins.
    pub(crate) next: u64,
}

impl Segment {
    pub(crate) fn new(octets: Bytes, salt: u64) -> Self {
        Self { octets, salt }
    }

    pub(crate) fn length(&self) -> u64 {
        self.octets.len() as u64
    }

    /// The record whose frame begins at `at`, if one does.
    pub(crate) fn entry(&self, at: u64) -> Option<Entry> {
        let begin = usize::try_from(at).ok()?;
        let frame = self.octets.get(begin..begin.checked_add(FRAME)?)?;
        // Quick to say no: most of what is looked at is zeros.
        if frame[5] != RECORD_VERSION || frame[6..8] != [0, 0] {
            return None;
        }
        if checksum(self.salt, at, &frame[..12]) != le32(&frame[12..]) {
            return None;
        }
        let payload = begin + FRAME..begin + FRAME + le32(frame) as usize;
        let octets = self.octets.get(payload.clone())?;
        let good = checksum(self.salt, at, octets) == le32(&frame[8..]);
        let record = if good { Record::decode(frame[4], self.octets.slice(payload.clone())) } else { None };
        Some(Entry { at, next: payload.end.next_multiple_of(ALIGN) as u64, kind: frame[4], record })
    }

    /// The first record at `from` or behind it, below `to`.
    pub(crate) fn search(&self, from: u64, to: u64) -> Option<Entry> {
        let from = from.checked_next_multiple_of(ALIGN as u64)?;
        (from..to.min(self.length())).step_by(ALIGN).find_map(|at| self.entry(at))
    }

    /// The batch that begins at `at`, if all of it is there. `torn` is a bug that tests plant: then a part will do.
    pub(crate) fn batch(&self, at: u64, torn: bool) -> Option<Batch> {
        let (mut entries, mut next) = (Vec::<Entry>::new(), at);
        loop {
            let Some(entry) = self.entry(next).filter(|entry| !torn || entry.record.is_some()) else {
                return (torn && !entries.is_empty()).then_some(Batch { entries, next });
            };
            next = entry.next;
            match entry.record {
                None | Some(Record::Seal { .. }) => return None,
                Some(Record::Batch { first, records, .. }) => {
                    let whole = first == at && records as usize == entries.len();
                    return whole.then_some(Batch { entries, next });
                }
                Some(_) => entries.push(entry),
            }
        }
    }

    /// Goes through what was acknowledged: each record that can be read, and where; and where and how long that is which
    /// cannot, with its kind where the frame is good.
    pub(crate) fn acknowledged(&self, live: Live, mut each: impl FnMut(Result<(u64, Record), Unreadable>)) {
        let mut at = live.start;
        while at < live.limit {
            let Some(entry) = self.search(at, live.limit) else {
                return each(Err((at, live.limit - at, None)));
            };
            if entry.at > at {
                each(Err((at, entry.at - at, None)));
            }
            at = entry.next;
            each(match entry.record {
                Some(record) => Ok((entry.at, record)),
                None => Err((entry.at, entry.next - entry.at, Some(entry.kind))),
            });
        }
    }

    /// The offset below which everything is known to have been synced, from all that can be read at `start` and behind.
    pub(crate) fn proven(&self, start: u64) -> u64 {
        let (mut proven, mut at) = (start, start);
        while let Some(entry) = self.search(at, self.length()) {
            if let Some(Record::Batch { synced, .. } | Record::Seal { synced }) = entry.record {
                // What a record says about octets behind itself, it cannot know.
                proven = proven.max(synced.min(entry.at));
            }
            at = entry.next;
        }
        proven
    }

    /// Whether anything but zeros stands at `from` or behind it.
    pub(crate) fn octets_behind(&self, from: u64) -> u64 {
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(self.octets.len());
        let end = self.octets[from..].iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
        end as u64
    }
}

fn le32(octets: &[u8]) -> u32 {
    u32::from_le_bytes([octets[0], octets[1], octets[2], octets[3]])
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::index::{BODY_FIXED, DELIVER_FIXED};
    use crate::journal::entry::tests::samples;
    use crate::journal::writer::{BATCH_END, SEAL, Writer};

    fn records() -> Vec<Record> {
        samples().into_iter().filter(|r| !matches!(r, Record::Batch { .. } | Record::Seal { .. })).collect()
    }

    /// Two batches and a seal behind 64 octets of something else.
    fn segment() -> (Vec<u8>, u64) {
        let mut octets = vec![0; 64];
        for _ in 0..2 {
            let mut writer = Writer::new(7, octets.len() as u64);
            for record in records() {
                writer.push(&record);
            }
            assert_eq!(writer.length() % ALIGN, 0);
            octets.extend_from_slice(&writer.finish());
        }
        let end = octets.len() as u64;
        octets.extend_from_slice(&Writer::seal(7, end));
        assert_eq!(octets.len() as u64, end + SEAL as u64);
        octets.extend_from_slice(&[0; 256]);
        (octets, end)
    }

    #[test]
    fn batches_are_read_back_as_written() {
        let (octets, end) = segment();
        let segment = Segment::new(octets.into(), 7);
        let first = segment.batch(64, false).expect("whole");
        let second = segment.batch(first.next, false).expect("whole");
        assert_eq!(second.next, end);
        for batch in [first, second] {
            let found: Vec<_> = batch.entries.into_iter().filter_map(|entry| entry.record).collect();
            assert_eq!(found, records());
        }
        assert!(segment.batch(end, false).is_none());
        assert_eq!(segment.proven(64), end);
        assert_eq!(segment.octets_behind(end + SEAL as u64), 0);
    }

    #[test]
    fn parts_are_found_where_they_are_said_to_stand() {
        let (octets, _) = segment();
        let segment = Segment::new(octets.clone().into(), 7);
        let batch = segment.batch(64, false).expect("whole");
        for entry in &batch.entries {
            let (skip, data) = match &entry.record {
                Some(Record::Body { data, .. }) => (BODY_FIXED, data),
                Some(Record::Deliver { prefix, .. }) => (DELIVER_FIXED, prefix),
                Some(Record::Put { key, value, .. }) => (4 + key.len() as u16, value),
                _ => continue,
            };
            let from = entry.at as usize + FRAME + usize::from(skip);
            assert_eq!(octets[from..][..data.len()], data[..]);
        }
    }

    #[test]
    fn another_salt_or_another_place_finds_nothing() {
        let (octets, _) = segment();
        assert!(Segment::new(octets.clone().into(), 8).search(0, 10_000).is_none());
        assert!(Segment::new(octets[8..].to_vec().into(), 7).search(0, 10_000).is_none());
    }

    #[test]
    fn any_flipped_bit_spoils_its_batch_and_no_other() {
        let (octets, _) = segment();
        let whole = Segment::new(octets.clone().into(), 7);
        let second = whole.batch(64, false).expect("whole").next;
        let mut spoilt = 0;
        for bit in 0..(second as usize - 64) * 8 {
            let mut octets = octets.clone();
            octets[64 + bit / 8] ^= 1 << (bit % 8);
            let segment = Segment::new(octets.into(), 7);
            spoilt += usize::from(segment.batch(64, false).is_none());
            assert!(segment.batch(second, false).is_some());
            assert!(segment.proven(64) >= second);
        }
        let padding: usize = records()
            .iter()
            .map(|record| {
                let mut out = BytesMut::new();
                record.encode(&mut out);
                out.len().next_multiple_of(ALIGN) - out.len()
            })
            .sum();
        assert_eq!(BATCH_END % ALIGN, 0);
        assert_eq!(spoilt, (second as usize - 64 - padding - 4) * 8, "all but the padding");
    }
}
