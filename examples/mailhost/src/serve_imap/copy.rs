//! COPY and MOVE.

use std::io;
use std::num::NonZeroU32;

use bytes::BytesMut;
use imap_codec::Mailbox;
use imap_codec::extension::Extension;
use imap_codec::response::{Code, Data, Status};
use imap_codec::server::Answer;
use imap_codec::types::sequence::SequenceSet;
use mailstore::Intent;
use mailstore::commit::{Outcome, Receipt};
use mailstore::mailbox::{MailboxStatus, Uid};
use mailstore::message::Message;

use super::session::{End, Session};
use crate::moving::{self, COPIED_AT_ONCE, MOVED_AT_ONCE, Picked, moved};
use crate::planted::Bug;
use crate::store::Snapshot;
use crate::wire::Wire;

impl Session<'_> {
    /// RFC 9051 §6.4.7: all of them or none.
    pub(super) async fn copy(
        &mut self,
        uid: bool,
        set: &SequenceSet<'_>,
        mailbox: &Mailbox<'_>,
    ) -> io::Result<End> {
        let (places, to) = match self.asked(uid, set, mailbox).await {
            Ok(asked) => asked,
            Err(end) => return Ok(end),
        };
        if places.len() > COPIED_AT_ONCE {
            return Ok(End::no((Code::Limit, "too many messages at once")));
        }
        let Some(selected) = &self.selected else { return Ok(End::bad("no mailbox is open")) };
        let (from, into) = (selected.id, to.id);
        let picked = match pick(selected.newest(), &selected.messages(&places)).await {
            Ok(picked) if picked.is_empty() => return Ok(End::ok("there is nothing to copy")),
            Ok(picked) => picked,
            Err(end) => return Ok(end),
        };
        let copy =
            |(uid, prefix): &Picked| Intent::Copy { from, uid: *uid, to: into, prefix: prefix.clone() };
        let receipt = match self.commit(picked.iter().map(copy).collect()).await? {
            Ok(receipt) => receipt,
            Err(end) => return Ok(end),
        };
        if into == from
            && let Some(selected) = &mut self.selected
        {
            selected.changed();
        }
        Ok(match copied(&to, &picked, &receipt) {
            Some(code) if self.has(Extension::UidPlus) => End::ok((code, "copied")),
            Some(_) => End::ok("copied"),
            None => End::ok("there is nothing to copy"),
        })
    }

    /// RFC 6851: in parts if there are many, each of which is moved whole. Into the selected mailbox too (§3.3), as with COPY.
    pub(super) async fn move_messages(
        &mut self,
        uid: bool,
        set: &SequenceSet<'_>,
        mailbox: &Mailbox<'_>,
        answer: &mut Answer<'_>,
        wire: &mut Wire,
        out: &mut BytesMut,
    ) -> io::Result<End> {
        if let Err(end) = self.open_to_change() {
            return Ok(end);
        }
        let (places, to) = match self.asked(uid, set, mailbox).await {
            Ok(asked) => asked,
            Err(end) => return Ok(end),
        };
        // Before anything is told, for that changes the numbers.
        let Some(selected) = &self.selected else { return Ok(End::bad("no mailbox is open")) };
        let (from, into) = (selected.id, to.id);
        let uids: Vec<Uid> =
            places.iter().filter_map(|place| Some(selected.told.messages.get(*place)?.uid())).collect();
        for part in uids.chunks(MOVED_AT_ONCE) {
            let Some(selected) = &self.selected else { break };
            let places: Vec<usize> =
                part.iter().filter_map(|uid| selected.told.messages.index_of(*uid)).collect();
            let picked = match pick(selected.newest(), &selected.messages(&places)).await {
                Ok(picked) => picked,
                Err(end) => return Ok(end),
            };
            let mut intents: Vec<Intent> =
                picked.iter().flat_map(|picked| moved(picked, from, into)).collect();
            if Bug::SourceLeft.is_planted() {
                intents.retain(|intent| !matches!(intent, Intent::Expunge { .. }));
            }
            let receipt = match self.commit(intents).await? {
                Ok(receipt) => receipt,
                Err(end) => return Ok(end),
            };
            if let Some(code) = copied(&to, &picked, &receipt)
                && self.has(Extension::UidPlus)
            {
                // RFC 6851 §4.3: in front of the EXPUNGEs.
                answer.untagged(&Data::Status(Status::ok("moved").with(code)), out);
            }
            if let Some(selected) = &mut self.selected {
                selected.changed();
            }
            self.update(answer, wire, out).await?;
        }
        Ok(End::ok("moved"))
    }

    /// The places that are meant, and where to.
    async fn asked(
        &self,
        uid: bool,
        set: &SequenceSet<'_>,
        mailbox: &Mailbox<'_>,
    ) -> Result<(Vec<usize>, MailboxStatus), End> {
        let places = self.open()?.places(set, uid)?;
        let to = self.find_for_messages(mailbox).await?;
        Ok((places.into_iter().flatten().collect(), to))
    }
}

/// Reads what stands in front of each message alone.
pub(super) async fn pick(view: &Snapshot, messages: &[Message]) -> Result<Vec<Picked>, End> {
    let picked = moving::pick(view, messages).await;
    picked.map_err(|_| End::no((Code::Corruption, "one of them cannot be read")))
}

/// Which UIDs have come of which (UIDPLUS).
fn copied(to: &MailboxStatus, picked: &[Picked], receipt: &Receipt) -> Option<Code<'static>> {
    let copies = receipt.outcomes.iter().filter(|outcome| !matches!(outcome, Outcome::Expunged { .. }));
    let (mut from, mut into) = (Vec::new(), Vec::new());
    for ((uid, _), outcome) in picked.iter().zip(copies) {
        // What was gone already is left out.
        if let Outcome::Delivered { uid: copy, .. } = outcome {
            from.extend(NonZeroU32::new(uid.get()));
            into.extend(NonZeroU32::new(copy.get()));
        }
    }
    let validity = NonZeroU32::new(to.uid_validity.get())?;
    Some(Code::CopyUid(validity, SequenceSet::from_numbers(from)?, SequenceSet::from_numbers(into)?))
}
