//! Messages that come and go.

use bytes::Bytes;

use super::mailboxes::signed;
use super::{Draft, Known};
use crate::commit::Outcome;
use crate::error::Refusal;
use crate::journal::entry::Record;
use crate::limits::MAX_PREFIX;
use crate::mailbox::{MailboxId, ModSeq, Uid};
use crate::message::{BodyId, Flags, NamedFlags, UnixTime};
use crate::planted::Bug;

impl Draft<'_> {
    pub(super) fn deliver(
        &mut self,
        mailbox: MailboxId,
        prefix: &Bytes,
        date: UnixTime,
        flags: &NamedFlags,
    ) -> Result<Outcome, Refusal> {
        let (body, size) = self.body.ok_or(Refusal::NoBody)?;
        let (id, _) = self.working(mailbox)?;
        let flags = self.flags(id, flags)?;
        self.put_into(id, prefix, date, body, size, flags)
    }

    pub(super) fn copy(
        &mut self,
        from: MailboxId,
        uid: Uid,
        to: MailboxId,
        prefix: &Bytes,
    ) -> Result<Outcome, Refusal> {
        let (from, working) = self.working(from)?;
        let names = working.keywords.clone();
        let (to, _) = self.working(to)?;
        let Some(known) = self.message(from, uid) else { return Ok(Outcome::Gone) };
        let Known { date, body, flags, size, .. } = known;
        let keywords = flags.keywords().filter_map(|place| names.get(place).cloned()).collect();
        let flags = self.flags(to, &NamedFlags { system: flags, keywords })?;
        self.put_into(to, prefix, date, body, size, flags)
    }

    fn put_into(
        &mut self,
        id: MailboxId,
        prefix: &Bytes,
        date: UnixTime,
        body: BodyId,
        size: u64,
        flags: Flags,
    ) -> Result<Outcome, Refusal> {
        if prefix.len() > MAX_PREFIX {
            return Err(Refusal::TooLarge);
        }
        let known = Known { mod_seq: ModSeq(0), date, body, flags, size, prefix: prefix.len() as u64 };
        let octets = known.octets();
        let (_, working) = self.working(id)?;
        let uid = working.uid_next.ok_or(Refusal::UidsExhausted)?;
        working.uid_next = uid.next();
        working.messages += 1;
        working.octets += octets;
        let account = working.account;
        if !self.planted.has(Bug::CopyIsFree) || self.body.is_some() {
            self.uses(account, signed(octets), 1);
        }
        let mod_seq = self.change(id);
        self.own.messages.insert((id, uid), Some(Known { mod_seq, ..known }));
        self.push(Record::Deliver { mailbox: id, uid, mod_seq, date, body, flags, prefix: prefix.clone() });
        Ok(Outcome::Delivered { uid, mod_seq })
    }

    pub(super) fn expunge(
        &mut self,
        mailbox: MailboxId,
        uid: Uid,
        only_deleted: bool,
    ) -> Result<Outcome, Refusal> {
        let (id, _) = self.working(mailbox)?;
        let wanted = |known: &Known| !only_deleted || known.flags.contains(Flags::DELETED);
        // Somebody else may have been quicker; that is nobody's mistake.
        let Some(known) = self.message(id, uid).filter(wanted) else {
            return Ok(Outcome::Expunged { was_there: false });
        };
        let octets = known.octets();
        let (_, working) = self.working(id)?;
        working.messages = working.messages.saturating_sub(1);
        working.octets = working.octets.saturating_sub(octets);
        let account = working.account;
        self.uses(account, -signed(octets), -1);
        let mod_seq = self.change(id);
        self.own.messages.insert((id, uid), None);
        self.push(Record::Expunge { mailbox: id, uid, mod_seq });
        Ok(Outcome::Expunged { was_there: true })
    }

    /// A message of a mailbox that is there.
    pub(super) fn message(&self, mailbox: MailboxId, uid: Uid) -> Option<Known> {
        let of = (mailbox, uid);
        let changed = [&self.own, self.under].iter().find_map(|layer| layer.messages.get(&of)).copied();
        changed.unwrap_or_else(|| {
            let facts = self.index.get(mailbox)?.facts(uid)?;
            Some(Known {
                mod_seq: facts.mod_seq,
                date: facts.date,
                body: facts.body,
                flags: facts.flags,
                size: self.index.bodies().size(facts.body)?,
                prefix: u64::from(facts.place.length),
            })
        })
    }
}

impl Known {
    const fn octets(&self) -> u64 {
        self.size + self.prefix
    }
}
