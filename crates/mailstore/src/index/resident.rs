//! Which mailboxes have their messages in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::mailbox::Base;
use super::{Facts, Frozen, Ground, Index, Mailbox, Runs, Salts, Section};
use crate::mailbox::{MailboxId, Messages, Uid};
use crate::planted::Planted;

impl Index {
    /// Where the messages of a mailbox are to be read first; `None` if they are in memory, or there is no such mailbox.
    pub(crate) fn unloaded(&self, mailbox: MailboxId) -> Option<Section> {
        match self.mailboxes.get(&mailbox)?.base {
            Base::Stored(section) => Some(section),
            Base::Loaded(..) | Base::Whole(_) => None,
        }
    }

    /// The messages of the base of a mailbox have been read. With `lasting`, they are nowhere else.
    pub(crate) fn loaded(&mut self, id: MailboxId, section: Section, base: Runs<Uid, Facts>, lasting: bool) {
        let Self { mailboxes, bodies, .. } = self;
        let Some(mailbox) = mailboxes.get_mut(&id) else { return };
        if !matches!(mailbox.base, Base::Stored(of) if of == section) {
            return;
        }
        let mailbox = Arc::make_mut(mailbox);
        let mut messages = mailbox.merged(base);
        // Without its body, which only damage can take, there is no message.
        if mailbox.lost || lasting {
            messages.retain(|facts| bodies.size(facts.body).is_some());
        }
        if lasting {
            mailbox.base = Base::Whole(messages);
        } else {
            mailbox.base = Base::Loaded(section, messages);
            self.stay(id);
        }
    }

    /// A mailbox that could be loaded again is wanted now.
    fn stay(&mut self, id: MailboxId) {
        let Some(mailbox) = self.mailboxes.get_mut(&id) else { return };
        if let Base::Loaded(_, messages) = &mailbox.base {
            let length = messages.len();
            if self.resident.remove(&mailbox.used).is_none() {
                self.resident_messages += length;
            }
            self.clock += 1;
            Arc::make_mut(mailbox).used = self.clock;
            self.resident.insert(self.clock, id);
        }
    }

    /// Called around every change of how many messages a mailbox has in memory.
    pub(super) fn resize(&mut self, id: MailboxId, change: impl FnOnce(&mut Self)) {
        let before = self.resident_length(id);
        change(self);
        let after = self.resident_length(id);
        self.resident_messages = (self.resident_messages + after).saturating_sub(before);
    }

    fn resident_length(&self, id: MailboxId) -> usize {
        let mailbox = self.mailboxes.get(&id).filter(|mailbox| self.resident.contains_key(&mailbox.used));
        match mailbox.map(|mailbox| &mailbox.base) {
            Some(Base::Loaded(_, messages)) => messages.len(),
            _ => 0,
        }
    }

    /// Lets go of the messages that nobody has asked for longest, down to so many, but for those of mailboxes that are wanted.
    /// Not while a batch is being written.
    pub(crate) fn unload(&mut self, most: usize, wanted: impl Fn(MailboxId) -> bool) {
        if self.resident_messages <= most || self.resident.len() <= 1 {
            return;
        }
        let candidates: Vec<_> = self.resident.iter().map(|(used, id)| (*used, *id)).collect();
        let last = candidates.len() - 1;
        for (used, id) in candidates.into_iter().take(last) {
            if self.resident_messages <= most {
                return;
            }
            if !wanted(id) {
                self.resident_messages -= self.resident_length(id).min(self.resident_messages);
                self.resident.remove(&used);
                self.forget_messages(id);
            }
        }
    }

    fn forget_messages(&mut self, id: MailboxId) {
        if let Some(mailbox) = self.mailboxes.get_mut(&id)
            && let Base::Loaded(section, _) = mailbox.base
        {
            Arc::make_mut(mailbox).base = Base::Stored(section);
        }
    }

    pub(super) fn forget_resident(&mut self, mailbox: &Mailbox) {
        if let Base::Loaded(_, messages) = &mailbox.base
            && self.resident.remove(&mailbox.used).is_some()
        {
            self.resident_messages = self.resident_messages.saturating_sub(messages.len());
        }
    }

    /// The messages of a loaded mailbox; shared with all who asked before, as far as nothing has changed.
    pub(crate) fn messages(&mut self, id: MailboxId, salts: &Salts) -> Option<Messages> {
        let messages = self.mailboxes.get(&id)?.loaded()?.clone();
        self.stay(id);
        Some(Messages::new(messages, 0, self.ground(salts)))
    }

    /// The newest messages of a mailbox, so many or all, from the last ones of its section; `None` if those do not suffice.
    pub(crate) fn newest(
        &self,
        id: MailboxId,
        base: &Runs<Uid, Facts>,
        count: usize,
        salts: &Salts,
        planted: Planted,
    ) -> Option<Messages> {
        let mailbox = self.mailboxes.get(&id)?;
        let newest = mailbox.newest(base, count, planted, |facts| self.bodies.size(facts.body).is_some())?;
        let missing = usize::try_from(mailbox.tally.messages).ok()?.saturating_sub(newest.len());
        Some(Messages::new(newest, missing, self.ground(salts)))
    }

    fn ground(&self, salts: &Salts) -> Arc<Ground> {
        Arc::new(Ground { bodies: self.bodies.clone(), salts: salts.clone() })
    }

    /// A snapshot counts: what it says need not be held any more.
    ///
    /// What is in memory stays there: a batch that is being written may change it.
    pub(crate) fn rebase(&mut self, frozen: &Frozen, sections: &BTreeMap<MailboxId, Section>) {
        for (id, section) in sections {
            let Some(mailbox) = self.mailboxes.get_mut(id) else { continue };
            let mailbox = Arc::make_mut(mailbox);
            mailbox.delta.retain(|_, delta| delta.epoch > frozen.epoch);
            let messages = match core::mem::replace(&mut mailbox.base, Base::Stored(*section)) {
                Base::Stored(_) => None,
                Base::Loaded(_, messages) | Base::Whole(messages) => Some(messages),
            };
            let used = mailbox.used;
            mailbox.base = match messages {
                Some(messages) if section.count > 0 => {
                    mailbox.base = Base::Loaded(*section, messages);
                    if !self.resident.contains_key(&used) {
                        self.stay(*id);
                    }
                    continue;
                }
                None if section.count > 0 => Base::Stored(*section),
                // A section without messages need not be read: those that have come since are in memory.
                Some(messages) => {
                    if self.resident.remove(&used).is_some() {
                        self.resident_messages = self.resident_messages.saturating_sub(messages.len());
                    }
                    Base::Whole(messages)
                }
                None => Base::Whole(mailbox.merged(Runs::default())),
            };
        }
    }
}
