//! Flags that change, and keywords that come with them.

use std::sync::Arc;

use super::{Draft, Known};
use crate::commit::Outcome;
use crate::error::Refusal;
use crate::journal::entry::Record;
use crate::mailbox::{MailboxId, ModSeq, Uid};
use crate::message::flags::{check_keyword, place_of};
use crate::message::{FlagChange, Flags, NamedFlags};
use crate::planted::Bug;

impl Draft<'_> {
    pub(super) fn store(
        &mut self,
        mailbox: MailboxId,
        uid: Uid,
        change: &FlagChange,
        unchanged_since: Option<ModSeq>,
    ) -> Result<Outcome, Refusal> {
        let (id, _) = self.working(mailbox)?;
        let Some(known) = self.message(id, uid) else { return Ok(Outcome::Gone) };
        if unchanged_since.is_some_and(|since| known.mod_seq > since) {
            return Ok(Outcome::Modified);
        }
        let flags = match change {
            FlagChange::Add(more) => known.flags.union(self.flags(id, more)?),
            FlagChange::Remove(less) => known.flags.without(self.known_flags(id, less)?),
            FlagChange::Replace(all) => self.flags(id, all)?,
        };
        if flags == known.flags {
            return Ok(Outcome::Stored { mod_seq: known.mod_seq, flags });
        }
        let mod_seq = self.change(id);
        self.own.messages.insert((id, uid), Some(Known { mod_seq, flags, ..known }));
        self.push(Record::Flags { mailbox: id, uid, mod_seq, flags });
        Ok(Outcome::Stored { mod_seq, flags })
    }

    /// Flags as a mailbox counts them. Keywords that it does not have come to it.
    pub(super) fn flags(&mut self, id: MailboxId, named: &NamedFlags) -> Result<Flags, Refusal> {
        let mut flags = named.system.intersection(Flags::SYSTEM);
        if named.keywords.is_empty() {
            return Ok(flags);
        }
        let reuses = self.planted.has(Bug::KeywordReused);
        let (_, working) = self.working(id)?;
        let mut keywords = working.keywords.to_vec();
        for name in &named.keywords {
            check_keyword(name)?;
            let place = place_of(&keywords, name).unwrap_or_else(|| {
                if reuses {
                    keywords.pop();
                }
                keywords.push(name.clone());
                keywords.len() - 1
            });
            flags = flags.union(Flags::keyword(place).ok_or(Refusal::TooManyKeywords)?);
        }
        if *keywords != *working.keywords {
            working.keywords = Arc::from(keywords);
            self.push_mailbox(id);
        }
        Ok(flags)
    }

    /// The same for flags that go: what no message has need not come first.
    fn known_flags(&mut self, id: MailboxId, named: &NamedFlags) -> Result<Flags, Refusal> {
        let mut flags = named.system.intersection(Flags::SYSTEM);
        let (_, working) = self.working(id)?;
        for name in &named.keywords {
            check_keyword(name)?;
            let place = place_of(&working.keywords, name).and_then(Flags::keyword);
            flags = flags.union(place.unwrap_or_default());
        }
        Ok(flags)
    }
}
