//! Reading everything there is, and comparing it with its checksums.

use std::collections::VecDeque;

use bytes::{Buf, Bytes};

use crate::journal::reader::Segment;
use crate::journal::recovery::{Damage, Held};
use crate::journal::segment::{Found, Header, Live};
use crate::mailbox::Pin;
use crate::message::{BLOCK, BodyId, CRC, block_hasher};
use crate::operation::{DiskError, Done, File, Operation};
use crate::snapshot;

/// What a store held at one moment, on its way through the checksums.
///
/// [`Store::verify`](crate::Store::verify) begins it, [`poll`](Self::poll) gives one operation at a time, beside whatever
/// the store does meanwhile, and [`Store::verified`](crate::Store::verified) ends it. Nothing is repaired. What a
/// message consists of, [`Message::locate`](crate::message::Message::locate) says in terms of the same files.
#[derive(Debug)]
#[must_use = "a verification that does not end keeps disk space from being freed"]
pub struct Verification {
    pub(crate) pin: Pin,
    unread: VecDeque<Unread>,
    /// How much of the first file has been read.
    read: u64,
    busy: bool,
    files: usize,
    pub(crate) damage: Vec<Damage>,
}

#[derive(Clone, Copy, Debug)]
enum Unread {
    Segment(Live),
    Snapshot { number: u64, length: u64 },
    Body { id: BodyId, size: u64 },
}

impl Verification {
    pub(crate) fn new(
        pin: Pin,
        segments: &[Live],
        snapshot: Option<(u64, u64)>,
        bodies: Vec<(BodyId, u64)>,
    ) -> Self {
        let mut unread: VecDeque<_> = segments.iter().copied().map(Unread::Segment).collect();
        unread.extend(snapshot.map(|(number, length)| Unread::Snapshot { number, length }));
        unread.extend(bodies.into_iter().map(|(id, size)| Unread::Body { id, size }));
        Self { pin, files: unread.len(), unread, read: 0, busy: false, damage: Vec::new() }
    }

    /// How many files there are, and how many are still to be read.
    pub fn progress(&self) -> (usize, usize) {
        (self.files, self.unread.len())
    }

    /// The next operation; `None` while one is with the driver, or when everything has been read.
    pub fn poll(&mut self) -> Option<Operation> {
        if self.busy {
            return None;
        }
        self.busy = true;
        let Some(unread) = self.unread.front() else {
            self.busy = false;
            return None;
        };
        Some(match *unread {
            // Of one whose header has been lost, nobody knows how long it is.
            Unread::Segment(live) => {
                let length = if live.is_lost() { u64::from(u32::MAX) } else { live.limit };
                Operation::Read { file: File::Segment(live.number), at: 0, length }
            }
            Unread::Snapshot { number, length } => {
                let length = SLICE.min(length.saturating_sub(self.read));
                Operation::Read { file: File::Snapshot(number), at: self.read, length }
            }
            Unread::Body { id, size } => {
                let length = SLICE.min(on_disk(size) - self.read);
                Operation::Read { file: File::Body(id), at: self.read, length }
            }
        })
    }

    /// Takes an operation back, with what came of it.
    pub fn handle_done(&mut self, operation: Operation, result: Result<Done, DiskError>) {
        self.busy = false;
        // What cannot be read is as good as not there.
        let octets = match (result, operation) {
            (Ok(Done::Data(octets)), Operation::Read { .. }) => octets,
            _ => Bytes::new(),
        };
        let done = match self.unread.front().copied() {
            Some(Unread::Segment(live)) => self.segment(live, octets),
            Some(Unread::Snapshot { number, length }) => self.snapshot(number, length, octets),
            Some(Unread::Body { id, size }) => self.body(id, size, &octets),
            None => false,
        };
        if done {
            self.unread.pop_front();
            self.read = 0;
        }
    }

    fn segment(&mut self, live: Live, octets: Bytes) -> bool {
        let file = File::Segment(live.number);
        if live.is_lost() {
            self.damaged(file, 0, octets.len() as u64, Held::Records);
            return true;
        }
        let header = Header::parse(live.number, &octets);
        if !matches!(header, Found::Header { damaged: false, .. }) {
            self.damaged(file, 0, live.start, Held::Header);
        }
        Segment::new(octets, live.salt).acknowledged(live, |found| {
            if let Err((at, length, kind)) = found {
                self.damaged(file, at, length, Held::of(kind));
            }
        });
        true
    }

    fn snapshot(&mut self, number: u64, length: u64, mut octets: Bytes) -> bool {
        let (file, begin) = (File::Snapshot(number), self.read);
        if begin == 0 {
            if snapshot::Header::parse(number, &octets).is_none() {
                self.damaged(file, 0, length, Held::Nothing);
                return true;
            }
            self.read = snapshot::HEADER;
            octets.advance(octets.len().min(snapshot::HEADER as usize));
        }
        while self.read < length {
            match snapshot::get_block(number, self.read, &octets) {
                snapshot::Found::Block(_, block) => {
                    self.read += block;
                    octets.advance(block as usize);
                }
                snapshot::Found::More if self.read > begin => return false,
                snapshot::Found::More | snapshot::Found::Damaged => {
                    self.damaged(file, self.read, length - self.read, Held::Nothing);
                    return true;
                }
            }
        }
        true
    }

    fn body(&mut self, id: BodyId, size: u64, octets: &Bytes) -> bool {
        let (file, length) = (File::Body(id), on_disk(size));
        let expected = SLICE.min(length - self.read);
        for block in octets.chunks((BLOCK + CRC) as usize) {
            let index = self.read / (BLOCK + CRC);
            let good = block.split_last_chunk::<4>().is_some_and(|(held, crc)| {
                block_hasher(id, index, held).finalize() == u32::from_le_bytes(*crc)
            });
            if !good {
                self.damaged(file, self.read, block.len() as u64, Held::Body);
            }
            self.read += block.len() as u64;
        }
        if (octets.len() as u64) < expected {
            self.damaged(file, self.read, length - self.read, Held::Body);
            return true;
        }
        self.read >= length
    }

    fn damaged(&mut self, file: File, at: u64, length: u64, held: Held) {
        self.damage.push(Damage { file, at, length, held });
    }
}

/// How long the file of a body is.
pub(crate) const fn on_disk(size: u64) -> u64 {
    size + size.div_ceil(BLOCK) * CRC
}

/// Files are read in slices of this, a multiple of a block of a body and its checksum.
const SLICE: u64 = 4 * (BLOCK + CRC);
