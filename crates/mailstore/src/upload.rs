//! Bringing a large body to stable storage, slice by slice, before its commit.

use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use bytes::Bytes;

use crate::message::{BLOCK, Body, BodyId, block_hasher};
use crate::operation::{Dir, DiskError, Done, File, Operation};

/// A body on its way into a file of its own.
///
/// The session that receives the message drives it, beside the store: [`poll`](Self::poll) gives one operation at a
/// time. When everything is on stable storage, [`finish`](Self::finish) gives the [`Body`] for the commit. An upload that
/// is given up goes to [`Store::discard`](crate::Store::discard).
#[derive(Debug)]
pub struct Upload {
    id: BodyId,
    step: Step,
    /// An operation is with the driver.
    busy: bool,
    /// A slice with the checksums that belong between its octets, and how many octets it has without them.
    waiting: Option<(Vec<Bytes>, u64)>,
    closing: bool,
    size: u64,
    /// Where the next slice goes: behind the octets and their checksums.
    at: u64,
    /// The checksum of the last block, as far as it has been filled.
    block: crc32fast::Hasher,
    filled: u64,
    blocks: u64,
    /// How often the names of bodies could not be synced, by any upload; and how often that was when this one began.
    unsynced_names: Arc<AtomicU64>,
    unsynced_before: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Create,
    Write,
    SyncDir,
    Durable,
    Failed(DiskError),
}

impl Upload {
    pub(crate) fn new(id: BodyId, unsynced_names: Arc<AtomicU64>) -> Self {
        Self {
            unsynced_before: unsynced_names.load(Ordering::SeqCst),
            unsynced_names,
            id,
            step: Step::Create,
            busy: false,
            waiting: None,
            closing: false,
            size: 0,
            at: 0,
            block: block_hasher(id, 0, &[]),
            filled: 0,
            blocks: 0,
        }
    }

    /// Whether [`Self::push`] may be called: the last slice has been written.
    pub fn wants_data(&self) -> bool {
        self.waiting.is_none() && !self.closing && matches!(self.step, Step::Create | Step::Write)
    }

    /// Adds the next octets. One slice is in flight at a time: while [`Self::wants_data`] says no, the octets are
    /// handed back.
    pub fn push(&mut self, data: Bytes) -> Result<(), Bytes> {
        if !self.wants_data() {
            return Err(data);
        }
        if !data.is_empty() {
            self.waiting = Some(self.checked(data));
        }
        Ok(())
    }

    /// Puts a checksum behind each block that the octets fill.
    fn checked(&mut self, mut data: Bytes) -> (Vec<Bytes>, u64) {
        let (mut pieces, length) = (Vec::new(), data.len() as u64);
        while !data.is_empty() {
            let room = usize::try_from(BLOCK - self.filled).unwrap_or(usize::MAX);
            let piece = data.split_to(room.min(data.len()));
            self.block.update(&piece);
            self.filled += piece.len() as u64;
            pieces.push(piece);
            if self.filled == BLOCK {
                pieces.push(self.end_block());
            }
        }
        (pieces, length)
    }

    fn end_block(&mut self) -> Bytes {
        self.blocks += 1;
        self.filled = 0;
        let block = core::mem::replace(&mut self.block, block_hasher(self.id, self.blocks, &[]));
        Bytes::copy_from_slice(&block.finalize().to_le_bytes())
    }

    /// There is no more data: the file and its name are to be synced.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// The next operation; `None` while one is with the driver, or nothing is to be done.
    pub fn poll(&mut self) -> Option<Operation> {
        if self.busy {
            return None;
        }
        let file = File::Body(self.id);
        if self.step == Step::Write && self.waiting.is_none() && self.closing && self.filled > 0 {
            self.waiting = Some((vec![self.end_block()], 0));
        }
        let operation = match self.step {
            Step::Create => Operation::Create { file, reserve: 0 },
            Step::Write => match &self.waiting {
                Some((data, _)) => Operation::Write { file, at: self.at, data: data.clone(), sync: false },
                None if self.closing => Operation::Sync { file },
                None => return None,
            },
            Step::SyncDir => Operation::SyncDir { dir: Dir::Bodies },
            Step::Durable | Step::Failed(_) => return None,
        };
        self.busy = true;
        Some(operation)
    }

    /// Takes an operation back, with what came of it.
    pub fn handle_done(&mut self, operation: Operation, result: Result<Done, DiskError>) {
        self.busy = false;
        self.step = match (result, operation) {
            (Err(error), operation) => {
                if matches!(operation, Operation::SyncDir { .. }) {
                    self.unsynced_names.fetch_add(1, Ordering::SeqCst);
                }
                Step::Failed(error)
            }
            (Ok(_), Operation::Create { .. }) => Step::Write,
            (Ok(_), Operation::Write { .. }) => {
                if let Some((pieces, length)) = self.waiting.take() {
                    self.size += length;
                    self.at += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
                }
                Step::Write
            }
            (Ok(_), Operation::Sync { .. }) => Step::SyncDir,
            // Another upload's failed sync of the directory was final for the name of this file too.
            (Ok(_), _) if self.unsynced_names.load(Ordering::SeqCst) != self.unsynced_before => {
                Step::Failed(DiskError::Io(None))
            }
            (Ok(_), _) => Step::Durable,
        };
    }

    /// Why it failed, if it did. A failed upload is only good for [`Store::discard`](crate::Store::discard).
    pub const fn error(&self) -> Option<DiskError> {
        match self.step {
            Step::Failed(error) => Some(error),
            _ => None,
        }
    }

    /// How many octets have been written so far.
    pub const fn written(&self) -> u64 {
        self.size
    }

    /// The body, once it is on stable storage; otherwise the upload itself.
    pub fn finish(self) -> Result<Body, Self> {
        match self.step {
            Step::Durable => Ok(Body { id: self.id, size: self.size }),
            _ => Err(self),
        }
    }

    pub(crate) const fn file(&self) -> File {
        File::Body(self.id)
    }
}
