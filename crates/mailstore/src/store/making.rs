//! A new segment, from its creation to the name in the directory.

use bytes::Bytes;

use crate::journal::segment::{Header, Live};
use crate::operation::{Dir, DiskError, File, Operation};
use crate::planted::{Bug, Planted};

/// The steps to a segment that counts.
///
/// The header comes last and the directory after it: before that, recovery does not see the segment at all.
#[derive(Debug)]
pub(super) struct Making {
    header: Header,
    reserve: u64,
    data: Bytes,
    step: Step,
    busy: bool,
    planted: Planted,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Create,
    Data,
    Header,
    Dir,
}

/// What a result has led to.
pub(super) enum Progress {
    GoingOn,
    Made(Live),
    /// It failed before anything of it could count.
    Harmless(DiskError),
    /// It failed when its header may have reached the disk: no earlier segment may grow any more.
    Doubtful(DiskError),
}

impl Making {
    /// `data` are batches that stand in the segment from the beginning.
    pub(super) fn new(header: Header, reserve: u64, data: Bytes, planted: Planted) -> Self {
        Self { header, reserve, data, step: Step::Create, busy: false, planted }
    }

    pub(super) const fn file(&self) -> File {
        File::Segment(self.header.number)
    }

    pub(super) fn poll(&mut self) -> Option<Operation> {
        if core::mem::replace(&mut self.busy, true) {
            return None;
        }
        let file = self.file();
        Some(match self.step {
            Step::Create => Operation::Create { file, reserve: self.reserve },
            Step::Data => {
                let at = self.header.start();
                Operation::Write { file, at, data: vec![self.data.clone()], sync: true }
            }
            Step::Header => Operation::Write { file, at: 0, data: vec![self.header.encode()], sync: true },
            Step::Dir => Operation::SyncDir { dir: Dir::Journal },
        })
    }

    pub(super) fn handle_done(&mut self, result: Result<(), DiskError>) -> Progress {
        self.busy = false;
        match (result, self.step) {
            (Err(error), Step::Create | Step::Data) => Progress::Harmless(error),
            (Err(error), Step::Header | Step::Dir) => Progress::Doubtful(error),
            (Ok(()), Step::Create) => {
                self.step = if self.data.is_empty() { Step::Header } else { Step::Data };
                Progress::GoingOn
            }
            (Ok(()), Step::Data) => {
                self.step = Step::Header;
                Progress::GoingOn
            }
            (Ok(()), Step::Header) if !self.planted.has(Bug::NoDirectorySync) => {
                self.step = Step::Dir;
                Progress::GoingOn
            }
            (Ok(()), Step::Header | Step::Dir) => {
                let start = self.header.start();
                Progress::Made(Live {
                    number: self.header.number,
                    salt: self.header.salt,
                    start,
                    limit: start + self.data.len() as u64,
                })
            }
        }
    }
}
