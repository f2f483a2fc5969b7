//! New segments, and what follows once one counts.

use bytes::Bytes;

use super::making::{Making, Progress};
use super::{Event, Phase, Store, Then, failure, file_of, salt};
use crate::error::{Dead, Failure, Refusal};
use crate::index::{Highest, Salts};
use crate::journal::recovery::HIGHEST_SEGMENT;
use crate::journal::segment::{HEADER_READ, Header};
use crate::journal::writer::SEAL;
use crate::operation::{DiskError, File};
use crate::planted::Bug;

impl Store {
    pub(super) fn next_header(&self) -> Header {
        let number = self.next_segment;
        let mut live = self.live.clone();
        if self.planted.has(Bug::LimitLost) && self.counters.compacted > 0 {
            for live in &mut live {
                live.limit = live.limit.max(self.limits.segment);
            }
        }
        Header { number, salt: salt(self.seed, number), floor: self.floor, live }
    }

    pub(super) fn make_segment(&mut self, data: Bytes, then: Then) {
        let header = self.next_header();
        if header.start() > HEADER_READ || header.number > HIGHEST_SEGMENT {
            // It could be written, but not be read again.
            return self.not_made(then, DiskError::NoSpace);
        }
        self.next_segment += 1;
        // The tail of a store that was written with larger segments may not fit.
        let reserve = self.limits.segment.max(header.start() + data.len() as u64 + SEAL as u64);
        self.phase = Phase::Making(Making::new(header, reserve, data, self.planted), then);
    }

    pub(super) fn made(&mut self, mut making: Making, then: Then, result: Result<(), DiskError>) {
        match making.handle_done(result) {
            Progress::GoingOn => self.phase = Phase::Making(making, then),
            Progress::Made(live) => {
                self.live.push(live);
                self.salts = Salts::new(&self.live);
                (self.ended, self.hold_off) = (false, false);
                self.counters.segments += 1;
                self.phase = Phase::Idle;
                self.follow(then);
            }
            Progress::Harmless(error) => {
                self.unlinks.push_back(making.file());
                self.not_made(then, error);
            }
            Progress::Doubtful(error) => {
                self.ended = true;
                self.doubtful.push(making.file());
                self.not_made(then, error);
            }
        }
    }

    /// A new segment counts.
    fn follow(&mut self, then: Then) {
        self.unlinks.extend(self.doubtful.drain(..));
        self.remove_emptied();
        match then {
            Then::GoOn => {}
            Then::Ready { orphans, report } => {
                // Deliveries that were acknowledged as gone, and bodies whose deliveries were.
                while let Some((id, size)) = self.index.take_unused_body() {
                    if size.is_some() && report.damage.is_empty() {
                        self.unlinks.push_back(File::Body(id));
                    }
                }
                let known = self.index.highest();
                self.highest = Highest { body: self.highest.body.max(known.body), ..known };
                self.unlinks.extend(orphans);
                self.events.push_back(Event::Ready(report));
            }
            Then::Tell { waiters, failure } => {
                for waiter in waiters {
                    self.fail(waiter.ticket, waiter.file, failure);
                }
            }
        }
    }

    /// No header lists them any more.
    fn remove_emptied(&mut self) {
        if self.emptied.is_empty() {
            return;
        }
        for live in core::mem::take(&mut self.emptied) {
            self.bury(File::Segment(live.number));
        }
    }

    pub(super) fn not_made(&mut self, then: Then, error: DiskError) {
        let failure = failure(error);
        match then {
            Then::Ready { .. } => return self.die(Dead::Open(error)),
            Then::GoOn => {}
            Then::Tell { waiters, .. } => {
                for waiter in waiters {
                    // After a restart the commit may be there, unless a later segment counts by then.
                    self.doubtful.extend(waiter.file);
                    self.fail(waiter.ticket, None, Failure::Unknown);
                }
            }
        }
        self.phase = if self.ended { Phase::Broken } else { Phase::Idle };
        // It is tried again when something has been written, not at once.
        self.hold_off = true;
        self.give_up_compaction();
        self.unlooked = 0;
        // Nothing of these has touched the disk.
        for (ticket, commit) in core::mem::take(&mut self.staged) {
            self.fail(ticket, file_of(&commit), failure);
        }
        self.blocked = None;
    }

    pub(super) fn die(&mut self, dead: Dead) {
        self.phase = Phase::Closed;
        self.events.push_back(Event::Dead(dead));
        for (ticket, commit) in core::mem::take(&mut self.staged) {
            self.fail(ticket, file_of(&commit), Refusal::Closed.into());
        }
    }
}
