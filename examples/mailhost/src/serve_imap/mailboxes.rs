//! CREATE, DELETE, RENAME, SUBSCRIBE, STATUS and NAMESPACE.

use std::io;
use std::num::NonZeroU32;

use bytes::BytesMut;
use imap_codec::Mailbox;
use imap_codec::extension::list_extended::ListEntry;
use imap_codec::extension::namespace::{Namespace, Namespaces};
use imap_codec::extension::status::{StatusAttribute, StatusAttributes, StatusValues};
use imap_codec::response::{Code, Data};
use imap_codec::server::Answer;
use imap_codec::types::{Delimiter, Flags};
use mailstore::commit::Outcome;
use mailstore::mailbox::{INBOX, MailboxId, MailboxStatus, normalise};
use mailstore::message::{Flags as MarkFlags, UnixTime};
use mailstore::{Actor, Intent};
use tracing::info;
use unicode_normalization::UnicodeNormalization as _;

use super::copy::pick;
use super::flags;
use super::selected::count;
use super::session::{End, Session};
use crate::moving::{MOVED_AT_ONCE, moved};
use crate::store::Snapshot;

impl Session<'_> {
    pub(super) async fn create(
        &self,
        mailbox: &Mailbox<'_>,
        uses: &Flags<'_>,
        answer: &mut Answer<'_>,
        out: &mut BytesMut,
    ) -> io::Result<End> {
        let Some(user) = self.user else { return Ok(End::no("nobody has logged in")) };
        // RFC 9051 §6.3.4: the delimiter at the end only says that others will stand below.
        let asked = mailbox.as_str();
        let stem = asked.strip_suffix('/').unwrap_or(asked);
        let name = composed(stem);
        let mut wanted = uses.iter();
        let special_use = match (wanted.next(), wanted.next()) {
            (None, _) => None,
            (Some(one), None) => flags::special_use(&one),
            // A mailbox has one use here.
            _ => None,
        };
        if special_use.is_none() && !uses.is_empty() {
            return Ok(End::no((Code::UseAttr, "no mailbox can have this use here")));
        }
        if special_use.is_some() {
            let mailboxes = self.host.store.mailboxes(Actor::Account(user.account), Some(user.account)).await;
            if mailboxes.iter().any(|other| other.special_use == special_use) {
                return Ok(End::no((Code::UseAttr, "another mailbox has this use")));
            }
        }
        let now = UnixTime(self.host.store.system().unix_seconds());
        let intent = Intent::CreateMailbox { account: user.account, name: name.clone(), special_use, now };
        if let Err(end) = self.commit(vec![intent]).await? {
            return Ok(end);
        }
        info!(account = user.account.get(), name, "mailbox made");
        if let Ok(made) = normalise(&name)
            && made != stem
            && answer.rev2()
            && let Ok(made) = Mailbox::new(made)
        {
            // RFC 9051 §6.3.4: the name that it has got, if that is another.
            let mut entry = ListEntry::new(Flags::default(), Some(Delimiter::SLASH), made);
            entry.old_name = Some(mailbox.clone());
            answer.untagged(&Data::List(entry), out);
        }
        Ok(End::ok("made"))
    }

    pub(super) async fn delete(&self, mailbox: &Mailbox<'_>) -> io::Result<End> {
        let status = match self.find(mailbox).await {
            Ok(status) => status,
            Err(end) => return Ok(end),
        };
        Ok(match self.commit(vec![Intent::DeleteMailbox { mailbox: status.id }]).await? {
            Ok(_) => {
                info!(account = status.account.get(), name = status.name, "mailbox deleted");
                End::ok("deleted")
            }
            Err(end) => end,
        })
    }

    pub(super) async fn rename(&mut self, from: &Mailbox<'_>, to: &Mailbox<'_>) -> io::Result<End> {
        let status = match self.find(from).await {
            Ok(status) => status,
            Err(end) => return Ok(end),
        };
        let now = UnixTime(self.host.store.system().unix_seconds());
        let asked = to.as_str();
        let name = composed(asked.strip_suffix('/').unwrap_or(asked));
        if status.name == INBOX {
            return self.empty_inbox(&status, name, now).await;
        }
        let intent = Intent::RenameMailbox { mailbox: status.id, name, now };
        Ok(match self.commit(vec![intent]).await? {
            Ok(_) => {
                info!(account = status.account.get(), from = status.name, to = asked, "mailbox renamed");
                End::ok("renamed")
            }
            Err(end) => end,
        })
    }

    /// RFC 9051 §6.3.6: INBOX stays, and what is in it moves. In parts if it is much, each of which moves whole.
    async fn empty_inbox(&mut self, inbox: &MailboxStatus, name: String, now: UnixTime) -> io::Result<End> {
        let (account, from) = (inbox.account, inbox.id);
        let Some(view) = self.host.store.load(Actor::Account(account), from).await else {
            return Ok(End::no((Code::Unavailable, "INBOX cannot be opened now")));
        };
        let messages: Vec<_> = view.messages.iter().collect();
        let mut intents = vec![Intent::CreateMailbox { account, name, special_use: None, now }];
        let mut to = MailboxId::CREATED;
        // An empty INBOX is renamed, too.
        let parts = messages.chunks(MOVED_AT_ONCE).chain(messages.is_empty().then_some(&[][..]));
        for part in parts {
            let picked = match pick(&view, part).await {
                Ok(picked) => picked,
                Err(end) => return Ok(end),
            };
            intents.extend(picked.iter().flat_map(|picked| moved(picked, from, to)));
            let receipt = match self.commit(std::mem::take(&mut intents)).await? {
                Ok(receipt) => receipt,
                Err(end) => return Ok(end),
            };
            if let Some(Outcome::MailboxCreated { mailbox, .. }) = receipt.outcomes.first() {
                to = *mailbox;
            }
            if let Some(selected) = &mut self.selected {
                selected.changed();
            }
        }
        info!(account = account.get(), messages = messages.len(), "INBOX moved");
        Ok(End::ok("renamed"))
    }

    pub(super) async fn subscribe(&self, mailbox: &Mailbox<'_>, on: bool) -> io::Result<End> {
        let Some(user) = self.user else { return Ok(End::no("nobody has logged in")) };
        let (account, name) = (user.account, composed(mailbox.as_str()));
        let intent =
            if on { Intent::Subscribe { account, name } } else { Intent::Unsubscribe { account, name } };
        Ok(self.commit(vec![intent]).await?.map_or_else(|end| end, |_| End::ok("done")))
    }

    pub(super) async fn status(
        &self,
        mailbox: &Mailbox<'_>,
        items: StatusAttributes,
        answer: &mut Answer<'_>,
        out: &mut BytesMut,
    ) -> End {
        let status = match self.find(mailbox).await {
            Ok(status) => status,
            Err(end) => return end,
        };
        let values = self.values(&status, items).await;
        answer.untagged(&Data::MailboxStatus(mailbox.clone(), values), out);
        End::ok("that is its status")
    }

    /// What is told of a mailbox by its status.
    pub(super) async fn values(&self, status: &MailboxStatus, items: StatusAttributes) -> StatusValues {
        let mut values = values(status, items, self.append_limit());
        if items.has(StatusAttribute::DeletedStorage) {
            values.deleted_storage = Some(self.deleted_octets(status).await);
        }
        values
    }

    /// What would be free if all that is marked went.
    async fn deleted_octets(&self, status: &MailboxStatus) -> u64 {
        if status.deleted == 0 {
            return 0;
        }
        let view = self.host.store.load(Actor::Account(status.account), status.id).await;
        let marked = |view: &Snapshot| {
            let marked = view.messages.iter().filter(|message| message.flags().contains(MarkFlags::DELETED));
            marked.map(|message| message.size()).sum()
        };
        view.as_ref().map_or(0, marked)
    }

    /// RFC 2342: one namespace, whose names begin with nothing.
    pub(super) fn namespace(&self, answer: &mut Answer<'_>, out: &mut BytesMut) -> End {
        if let Ok(prefix) = Mailbox::new("") {
            let personal = [Namespace { prefix, delimiter: Some(Delimiter::SLASH) }];
            let namespaces = Namespaces { personal: personal[..].into(), ..Namespaces::default() };
            answer.untagged(&Data::Namespace(namespaces), out);
        }
        End::ok("that is all")
    }

    /// The largest message, as far as its size can be told.
    fn append_limit(&self) -> u32 {
        u32::try_from(self.host.config.limits.message_size).unwrap_or(u32::MAX)
    }
}

/// RFC 9051 §5.1: names are in Net-Unicode, which has one way to write a character (RFC 5198 §2).
pub(super) fn composed(name: &str) -> String {
    name.nfc().collect()
}

/// What is asked of the status of a mailbox.
fn values(status: &MailboxStatus, items: StatusAttributes, append_limit: u32) -> StatusValues {
    let mut values = StatusValues::default();
    let number = |number: u64| Some(count(usize::try_from(number).unwrap_or(usize::MAX)));
    for item in items.iter() {
        match item {
            StatusAttribute::Messages => values.messages = number(status.messages),
            StatusAttribute::Recent => values.recent = Some(0),
            StatusAttribute::UidNext => {
                // When all are used up, there is no next one; the highest is the nearest to the truth.
                let next = status.uid_next.and_then(|next| NonZeroU32::new(next.get()));
                values.uid_next = Some(next.unwrap_or(NonZeroU32::MAX));
            }
            StatusAttribute::UidValidity => values.uid_validity = NonZeroU32::new(status.uid_validity.get()),
            StatusAttribute::Unseen => values.unseen = number(status.unseen),
            StatusAttribute::Deleted => values.deleted = number(status.deleted),
            StatusAttribute::Size => values.size = Some(status.octets),
            StatusAttribute::HighestModSeq => values.highest_modseq = Some(status.highest_mod_seq.get()),
            StatusAttribute::AppendLimit => values.append_limit = Some(Some(append_limit)),
            _ => {}
        }
    }
    values
}
