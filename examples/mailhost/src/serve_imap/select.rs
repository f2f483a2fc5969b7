//! SELECT, EXAMINE and CLOSE.

use std::io;
use std::num::NonZeroU32;

use bytes::BytesMut;
use imap_codec::Mailbox;
use imap_codec::command::Select;
use imap_codec::extension::Extension;
use imap_codec::extension::list_extended::ListEntry;
use imap_codec::response::{Code, Data, Status};
use imap_codec::server::Answer;
use imap_codec::types::{Delimiter, Flags as Words};
use mailstore::Actor;
use mailstore::mailbox::MailboxStatus;
use mailstore::message::Flags;

use super::mailboxes::composed;
use super::selected::{Selected, count, number, tell_flags};
use super::session::{End, Session};
use crate::store::Snapshot;

impl Session<'_> {
    pub(super) async fn select(
        &mut self,
        select: &Select<'_>,
        read_only: bool,
        answer: &mut Answer<'_>,
        out: &mut BytesMut,
    ) -> End {
        // RFC 9051 §6.3.2: the mailbox before is left, even if this one cannot be opened.
        self.selected = None;
        let status = match self.find(&select.mailbox).await {
            Ok(status) => status,
            Err(end) => return end,
        };
        // Before the view, so that nothing falls between the two.
        let watch = self.host.store.watch(status.id);
        let actor = Actor::Account(status.account);
        let Some(mailbox) = self.host.store.load(actor, status.id).await else {
            return End::no((Code::Unavailable, "this mailbox cannot be opened now"));
        };
        let mod_seq = self.has(Extension::Condstore);
        self.knows_mod_seq = answer.condstore();
        let attributes = if answer.rev2() { self.listed(&status).await } else { Default::default() };
        tell(&mailbox, read_only, mod_seq, attributes, &select.mailbox, answer, out);
        self.selected = Some(Selected::new(mailbox, watch, read_only));
        let code = if read_only { Code::ReadOnly } else { Code::ReadWrite };
        End::ok((code, "opened"))
    }

    /// RFC 9051 §6.4.1: what is marked goes, and nothing is told of it.
    pub(super) async fn close(&mut self) -> io::Result<End> {
        let marked = match &self.selected {
            Some(selected) if !selected.read_only => {
                self.refresh().await;
                self.remove_marked(None).await?
            }
            _ => Ok(0),
        };
        self.selected = None;
        Ok(marked.map_or_else(|end| end, |_| End::ok("closed")))
    }

    /// The mailbox of this name.
    pub(super) async fn find(&self, name: &Mailbox<'_>) -> Result<MailboxStatus, End> {
        let Some(user) = self.user else { return Err(End::no("nobody has logged in")) };
        let (actor, account, name) = (Actor::Account(user.account), user.account, name.as_str());
        let mut found = self.host.store.status(actor, account, name).await;
        let composed = composed(name);
        // A mailbox that did not come by IMAP may have any name.
        if found.is_none() && composed != name {
            found = self.host.store.status(actor, account, &composed).await;
        }
        found.ok_or_else(|| End::no((Code::NonExistent, "no such mailbox")))
    }
}

fn tell(
    mailbox: &Snapshot,
    read_only: bool,
    mod_seq: bool,
    attributes: Words<'_>,
    asked: &Mailbox<'_>,
    answer: &mut Answer<'_>,
    out: &mut BytesMut,
) {
    let status = &mailbox.status;
    tell_flags(mailbox, read_only, answer, out);
    answer.untagged(&Data::Exists(count(mailbox.messages.len())), out);
    let mut code = |code: Code<'_>, text: &'static str| {
        answer.untagged(&Data::Status(Status::ok(text).with(code)), out);
    };
    if let Some(validity) = NonZeroU32::new(status.uid_validity.get()) {
        code(Code::UidValidity(validity), "UIDs are valid");
    }
    if let Some(next) = status.uid_next.and_then(|next| NonZeroU32::new(next.get())) {
        code(Code::UidNext(next), "the next UID");
    }
    if mod_seq {
        code(Code::HighestModSeq(status.highest_mod_seq.get()), "the last change");
    }
    if answer.rev2() {
        // RFC 9051 §6.3.2: the name as LIST gives it, and the one that was asked for if that is another.
        if let Ok(name) = Mailbox::new(status.name.as_str()) {
            let mut entry = ListEntry::new(attributes, Some(Delimiter::SLASH), name);
            entry.old_name = (entry.mailbox != *asked).then(|| asked.clone());
            answer.untagged(&Data::List(entry), out);
        }
        return;
    }
    // Deviates from RFC 3501 §2.3.2: who was told of a message first is not kept, and none is ever recent.
    answer.untagged(&Data::Recent(0), out);
    if status.unseen > 0
        && let Some(first) =
            mailbox.messages.iter().position(|message| !message.flags().contains(Flags::SEEN))
        && let Some(first) = number(first)
    {
        answer.untagged(&Data::Status(Status::ok("the first unseen").with(Code::Unseen(first))), out);
    }
}
