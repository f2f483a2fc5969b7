//! Batches: formed of the commits that wait, written, and then shown.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::draft::{Layer, draft};
use super::{Compaction, Event, InFlight, Phase, Store, Then, Waiter, failure, file_of};
use crate::error::Refusal;
use crate::index::{Change, OWN_TABLES};
use crate::journal::recovery::{change, number};
use crate::journal::segment::{Header, Live};
use crate::journal::writer::{BATCH_END, SEAL, Writer};
use crate::mailbox::{AccountId, ModSeq};
use crate::operation::{DiskError, File, Operation};
use crate::planted::Bug;

impl Store {
    pub(super) fn has_batch(&self) -> bool {
        (!self.staged.is_empty() && self.blocked.is_none())
            || (!self.closing && self.compaction.as_ref().is_some_and(Compaction::is_ready))
    }

    pub(super) fn form_batch(&mut self) {
        let Some(&active) = self.live.last() else { return };
        let mut writer = Writer::new(active.salt, active.limit).planted(self.planted);
        let room = (self.limits.segment.saturating_sub(active.limit) as usize).saturating_sub(SEAL);
        let fresh = (self.limits.segment.saturating_sub(Header::start_behind(self.live.len())) as usize)
            .saturating_sub(SEAL + BATCH_END);
        // First: what the commits of this batch change, they change behind the copies.
        let (moved, mut full) = self.copy_records(&mut writer, room);
        let mut layer = Layer::new(self.highest);
        let (mut waiters, mut changes) = (Vec::new(), Vec::new());
        while self.blocked.is_none()
            && let Some((ticket, commit)) = self.staged.pop_front()
        {
            if let Some(mailbox) = commit.needs(&self.index) {
                self.staged.push_front((ticket, commit));
                self.blocked = Some(mailbox);
                self.advance(mailbox);
                break;
            }
            let drafted = match draft(&commit, &self.index, &layer, &self.limits, self.planted) {
                Ok(drafted) if drafted.octets <= fresh => drafted,
                Ok(_) => {
                    self.fail(ticket, file_of(&commit), Refusal::TooLarge.into());
                    continue;
                }
                Err(refusal) => {
                    self.fail(ticket, file_of(&commit), refusal.into());
                    continue;
                }
            };
            let length = writer.length() + drafted.octets;
            if length > room || (length > self.limits.batch && !waiters.is_empty()) {
                full |= length > room;
                self.staged.push_front((ticket, commit));
                break;
            }
            for record in &drafted.records {
                let at = writer.push(record);
                changes.extend(change(record, number(active.number), at));
            }
            layer.absorb(drafted.own);
            let (receipt, file) = (drafted.receipt, file_of(&commit));
            waiters.push(Waiter { ticket, receipt, file });
        }
        if writer.is_empty() && waiters.is_empty() {
            if full {
                self.make_segment(Bytes::new(), Then::GoOn);
            }
            return;
        }
        self.highest = layer.highest();
        let octets = writer.finish();
        if self.planted.has(Bug::VisibleEarly) {
            for change in changes.drain(..) {
                self.index.apply(&change, false);
            }
        }
        if self.planted.has(Bug::AcknowledgedEarly) {
            for waiter in waiters.drain(..) {
                self.events.push_back(Event::Durable(waiter.ticket, waiter.receipt));
            }
        }
        self.phase = Phase::Writing(InFlight { length: octets.len() as u64, moved, changes, waiters });
        self.counters.syncs += 1;
        self.events.push_back(Event::Operation(Operation::Write {
            file: File::Segment(active.number),
            at: active.limit,
            data: vec![octets],
            sync: !self.planted.has(Bug::NoSync),
        }));
    }

    pub(super) fn written(&mut self, batch: InFlight, result: Result<(), DiskError>) {
        if let Err(error) = result {
            self.give_up_compaction();
            // What the file holds now is unknown, and a second sync would not tell: the segment ends before this batch.
            self.ended = true;
            let mut waiters = batch.waiters;
            if self.planted.has(Bug::FailureToldEarly) {
                for waiter in waiters.drain(..) {
                    self.fail(waiter.ticket, waiter.file, failure(error));
                }
            }
            self.make_segment(Bytes::new(), Then::Tell { waiters, failure: failure(error) });
            return;
        }
        if let Some(active) = self.live.last_mut() {
            active.limit += batch.length;
        }
        self.grown += batch.length;
        self.hold_off &= batch.waiters.is_empty();
        self.unlooked = self.unlooked.saturating_add(1);
        self.counters.batches += 1;
        let size = batch.waiters.len().max(1).next_power_of_two().trailing_zeros() as usize;
        let sizes = &mut self.counters.batch_sizes;
        sizes[size.min(sizes.len() - 1)] += 1;
        self.counters.octets += batch.length;
        self.counters.commits += batch.waiters.len() as u64;
        for change in &batch.moved {
            self.index.apply(change, true);
            if self.planted.has(Bug::MiscountedBody)
                && let Change::Body { id, .. } = change
            {
                self.index.miscount(*id);
            }
        }
        self.copied();
        let (mut changed, mut renamed) = (BTreeSet::new(), BTreeSet::new());
        for change in &batch.changes {
            renamed.extend(self.account_of_names(change));
            self.index.apply(change, false);
            match change {
                Change::Delivered { mailbox, .. }
                | Change::Flagged { mailbox, .. }
                | Change::Expunged { mailbox, .. }
                | Change::MailboxDeleted { id: mailbox, .. } => {
                    self.unlooked = self.unlooked.saturating_add(1);
                    changed.insert(*mailbox);
                }
                _ => {}
            }
        }
        while let Some((id, size)) = self.index.take_unused_body() {
            if size.is_some() {
                self.bury(File::Body(id));
            }
        }
        for waiter in batch.waiters {
            self.events.push_back(Event::Durable(waiter.ticket, waiter.receipt));
        }
        for mailbox in changed {
            let mod_seq = self.index.status(mailbox).map_or(ModSeq(0), |status| status.highest_mod_seq);
            self.events.push_back(Event::Changed(mailbox, mod_seq));
        }
        for account in renamed {
            self.events.push_back(Event::Mailboxes(account));
        }
        self.unload();
    }

    /// Whose names of mailboxes, or subscriptions, a change is about to change.
    fn account_of_names(&self, change: &Change) -> Option<AccountId> {
        match change {
            Change::Mailbox { id, account, name, special_use, .. } => {
                let status = self.index.status(*id);
                let same =
                    status.is_some_and(|status| status.name == *name && status.special_use == *special_use);
                (!same).then_some(*account)
            }
            Change::MailboxDeleted { id, .. } => self.index.status(*id).map(|status| status.account),
            Change::Put { table, key, .. } | Change::Removed { table, key, .. } if *table >= OWN_TABLES => {
                key.first_chunk().map(|account| AccountId(u64::from_be_bytes(*account)))
            }
            _ => None,
        }
    }

    /// A file that nothing names goes once nobody reads it.
    pub(super) fn bury(&mut self, file: File) {
        match self.pins.last() {
            Some(last) => self.dying.push((file, *last)),
            None => self.unlinks.push_back(file),
        }
    }

    pub(super) fn seal(&mut self) -> Operation {
        self.phase = Phase::Sealing;
        let Live { number, salt, limit, .. } =
            *self.live.last().expect("a store that is ready has a segment");
        let data = vec![Writer::seal(salt, limit)];
        Operation::Write { file: File::Segment(number), at: limit, data, sync: true }
    }
}
