//! Reading everything there is, and comparing it with its checksums.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::journal::reader::Segment;
use crate::journal::recovery::Damage;
use crate::journal::segment::{Found, Header, Live};
use crate::operation::{DiskError, Done, File, Operation};

/// What a store held at one moment, on its way through the checksums.
///
/// [`Store::verify`](crate::Store::verify) begins it, [`poll`](Self::poll) gives one operation at a time, beside whatever
/// the store does meanwhile, and [`Store::verified`](crate::Store::verified) ends it. Nothing is repaired. What a
/// message consists of, [`Message::locate`](crate::message::Message::locate) says in terms of the same files.
#[derive(Debug)]
#[must_use = "a verification that does not end keeps disk space from being freed"]
pub struct Verification {
    pub(crate) token: u64,
    segments: VecDeque<Live>,
    bodies: VecDeque<(File, u64, u32)>,
    /// How much of the first body has been read, and its checksum so far.
    read: u64,
    hasher: crc32fast::Hasher,
    busy: bool,
    files: usize,
    pub(crate) damage: Vec<Damage>,
}

impl Verification {
    pub(crate) fn new(token: u64, segments: &[Live], bodies: Vec<(File, u64, u32)>) -> Self {
        Self {
            token,
            files: segments.len() + bodies.len(),
            segments: segments.iter().copied().collect(),
            bodies: bodies.into(),
            read: 0,
            hasher: crc32fast::Hasher::new(),
            busy: false,
            damage: Vec::new(),
        }
    }

    /// How many files there are, and how many are still to be read.
    pub fn progress(&self) -> (usize, usize) {
        (self.files, self.segments.len() + self.bodies.len())
    }

    /// The next operation; `None` while one is with the driver, or when everything has been read.
    pub fn poll(&mut self) -> Option<Operation> {
        if self.busy {
            return None;
        }
        let operation = match (self.segments.front(), self.bodies.front()) {
            (Some(live), _) => {
                Operation::Read { file: File::Segment(live.number), at: 0, length: live.limit }
            }
            (None, Some((file, size, _))) => {
                Operation::Read { file: *file, at: self.read, length: SLICE.min(size - self.read) }
            }
            (None, None) => return None,
        };
        self.busy = true;
        Some(operation)
    }

    /// Takes an operation back, with what came of it.
    pub fn handle_done(&mut self, operation: Operation, result: Result<Done, DiskError>) {
        self.busy = false;
        // What cannot be read is as good as not there.
        let octets = match (result, operation) {
            (Ok(Done::Data(octets)), Operation::Read { .. }) => octets,
            _ => Bytes::new(),
        };
        if let Some(live) = self.segments.pop_front() {
            self.segment(live, octets);
        } else {
            self.slice(&octets);
        }
    }

    fn segment(&mut self, live: Live, octets: Bytes) {
        let file = File::Segment(live.number);
        let header = Header::parse(live.number, &octets);
        if !matches!(header, Found::Header { damaged: false, .. }) {
            self.damage.push(Damage { file, at: 0, length: live.start });
        }
        let damage = &mut self.damage;
        Segment::new(octets, live.salt).acknowledged(live, |found| {
            if let Err((at, length)) = found {
                damage.push(Damage { file, at, length });
            }
        });
    }

    fn slice(&mut self, octets: &[u8]) {
        let Some((file, size, crc)) = self.bodies.front().copied() else { return };
        self.hasher.update(octets);
        self.read += octets.len() as u64;
        let short = octets.is_empty() && self.read < size;
        if self.read < size && !short {
            return;
        }
        if short {
            self.damage.push(Damage { file, at: self.read, length: size - self.read });
        } else if self.hasher.clone().finalize() != crc {
            self.damage.push(Damage { file, at: 0, length: size });
        }
        self.bodies.pop_front();
        self.read = 0;
        self.hasher.reset();
    }
}

/// Large bodies are read in slices of this.
const SLICE: u64 = 256 << 10;
