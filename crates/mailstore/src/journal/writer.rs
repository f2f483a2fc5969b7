//! Framing records into a segment.

use bytes::{BufMut, Bytes, BytesMut};

use crate::journal::entry::Record;
use crate::planted::{Bug, Planted};

/// Writes the records of one batch, or a seal, as they will stand at an offset of a segment.
pub(crate) struct Writer {
    salt: u64,
    /// Where the first octet will stand.
    base: u64,
    records: u32,
    octets: BytesMut,
    planted: Planted,
}

impl Writer {
    pub(crate) fn new(salt: u64, base: u64) -> Self {
        Self { salt, base, records: 0, octets: BytesMut::new(), planted: Planted::default() }
    }

    pub(crate) fn planted(mut self, planted: Planted) -> Self {
        self.planted = planted;
        self
    }

    /// Whether there is anything in it.
    pub(crate) const fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// Adds a record. Gives where its frame will stand.
    pub(crate) fn push(&mut self, record: &Record) -> u64 {
        let at = self.base + self.octets.len() as u64;
        let begin = self.octets.len();
        self.octets.put_bytes(0, FRAME);
        record.encode(&mut self.octets);
        let (frame, payload) = self.octets[begin..].split_at_mut(FRAME);
        let length = u32::try_from(payload.len()).expect("payloads are far smaller");
        let crc = checksum(self.salt, at, payload);
        {
            let mut fields = &mut frame[..12];
            fields.put_u32_le(length);
            fields.put_u8(record.kind());
            fields.put_u8(RECORD_VERSION);
            fields.put_u16_le(0);
            fields.put_u32_le(crc);
        }
        let crc = checksum(self.salt, at, &frame[..12]);
        frame[12..].copy_from_slice(&crc.to_le_bytes());
        let padded = self.octets.len().next_multiple_of(ALIGN);
        self.octets.resize(padded, 0);
        self.records += 1;
        at
    }

    /// How many octets it would take, the end of the batch included.
    pub(crate) fn length(&self) -> usize {
        self.octets.len() + BATCH_END
    }

    /// Ends the batch.
    pub(crate) fn finish(mut self) -> Bytes {
        // One batch is in flight at a time, so all that stands before this one has been synced.
        let claims = if self.planted.has(Bug::ClaimsItself) { self.octets.len() as u64 } else { 0 };
        let end = Record::Batch { first: self.base, records: self.records, synced: self.base + claims };
        self.push(&end);
        self.octets.freeze()
    }

    /// A seal at `base`.
    pub(crate) fn seal(salt: u64, base: u64) -> Bytes {
        let mut writer = Self::new(salt, base);
        writer.push(&Record::Seal { synced: base });
        writer.octets.freeze()
    }
}

/// How many octets `record` takes in a segment.
pub(crate) fn framed_length(payload: usize) -> usize {
    (FRAME + payload).next_multiple_of(ALIGN)
}

/// Salted, so that no message can hold what would pass for a record; and bound to its place.
pub(crate) fn checksum(salt: u64, at: u64, octets: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(&at.to_le_bytes());
    hasher.update(octets);
    hasher.finalize()
}

/// The frame in front of each payload.
pub(crate) const FRAME: usize = 16;
/// Records begin at multiples of this.
pub(crate) const ALIGN: usize = 8;
pub(crate) const RECORD_VERSION: u8 = 1;
/// The framed length of [`Record::Batch`].
pub(crate) const BATCH_END: usize = 40;
/// The framed length of [`Record::Seal`].
pub(crate) const SEAL: usize = 24;
