//! From what recovery has found to a store that takes work.

use bytes::Bytes;

use super::{Phase, Snapshot, Store, Then};
use crate::index::{Change, Index, Salts};
use crate::journal::entry::Record;
use crate::journal::recovery::{Recovered, Recovery, rewrite};
use crate::operation::{DiskError, Done, File};
use crate::snapshot::reader::{Count, Progress};

impl Store {
    pub(super) fn recovered(&mut self, mut recovery: Box<Recovery>, result: Result<Done, DiskError>) {
        match recovery.handle_done(result, &mut self.index) {
            Err(dead) => self.die(dead),
            Ok(false) => self.phase = Phase::Recovering(recovery),
            Ok(true) => {
                let recovered = Box::new(recovery.finish());
                self.live.clone_from(&recovered.live);
                self.salts = Salts::new(&self.live);
                (self.floor, self.next_segment) = (recovered.floor, recovered.next_segment);
                // Nobody sees it before it is written.
                for change in self.rewritten(&recovered.tail).1 {
                    self.index.apply(&change, false);
                }
                self.index.begin_count();
                match Count::new(&self.index) {
                    Some(count) => self.phase = Phase::Counting(count, recovered),
                    None => self.read(*recovered),
                }
            }
        }
    }

    pub(super) fn counted(
        &mut self,
        mut count: Count,
        recovered: Box<Recovered>,
        result: Result<Done, DiskError>,
    ) {
        let octets = match result {
            Ok(Done::Data(octets)) => octets,
            _ => Bytes::new(),
        };
        match count.slice(&octets, &mut self.index) {
            Progress::GoingOn => self.phase = Phase::Counting(count, recovered),
            Progress::Done => self.read(*recovered),
            Progress::Damaged => {
                // It is derived: everything in it stands in the journal.
                self.index = Index::default();
                let mut recovery = Recovery::new(self.limits.segment / 4, true);
                recovery.spoilt_snapshot();
                recovery.planted = self.planted;
                self.phase = Phase::Recovering(Box::new(recovery));
            }
        }
    }

    pub(super) fn rewritten(&self, tail: &[Vec<Record>]) -> (Vec<u8>, Vec<Change>) {
        let header = self.next_header();
        rewrite(tail, header.number, header.salt, header.start())
    }

    /// Everything has been read: a new segment is made.
    pub(super) fn read(&mut self, recovered: Recovered) {
        self.index.end_count();
        let (octets, _) = self.rewritten(&recovered.tail);
        let Recovered { next_snapshot, snapshot, highest_body, files, mut report, .. } = recovered;
        self.next_snapshot = next_snapshot;
        self.highest.body = highest_body;
        self.snapshot = snapshot.map(|header| Snapshot {
            number: header.number,
            position: header.position,
            length: header.end,
        });
        let position = self.snapshot.map_or(0, |snapshot| snapshot.position.segment);
        let behind = self.live.iter().filter(|live| live.number >= position);
        self.grown = behind.map(|live| live.limit - live.start).sum::<u64>() + octets.len() as u64;
        if self.due > 0 {
            self.due = self.limits.snapshot.max(self.snapshot.map_or(0, |snapshot| snapshot.length));
        }
        self.kept = report
            .damage
            .iter()
            .filter_map(|damage| match damage.file {
                File::Segment(number) => Some(number),
                File::Body(_) | File::Snapshot(_) => None,
            })
            .collect();
        let is_live = |number| self.live.binary_search_by_key(&number, |live| live.number).is_ok();
        let orphans: Vec<File> = files
            .into_iter()
            .map(|(file, _)| file)
            .filter(|file| match file {
                File::Segment(number) => !is_live(*number),
                File::Snapshot(number) => snapshot.is_none_or(|header| header.number != *number),
                // What is damaged may have named it.
                File::Body(_) if !report.damage.is_empty() => false,
                // A body of the journal may have the number of an upload whose removal a crash has undone.
                File::Body(id) => !self.index.bodies().is_in_file(*id),
            })
            .collect();
        report.orphans = orphans.len();
        self.make_segment(octets.into(), Then::Ready { orphans, report });
    }
}
