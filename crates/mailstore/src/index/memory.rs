//! The index as ordered maps in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::{Change, Highest, Index};
use crate::mailbox::{AccountId, MailboxId, MailboxStatus, ModSeq, Uid, UidValidity};
use crate::message::{BodyId, Extent, Message, UnixTime};

/// Everything in memory: about 150 octets for a message, and the caller's records.
#[derive(Debug, Default)]
pub struct MemoryIndex {
    mailboxes: BTreeMap<MailboxId, Mailbox>,
    names: BTreeMap<(AccountId, String), MailboxId>,
    bodies: BTreeMap<BodyId, Held>,
    unused: BTreeSet<BodyId>,
    tables: BTreeMap<(u16, Bytes), Bytes>,
    /// The bodies that records of the caller's hold.
    holds: BTreeMap<(u16, Bytes), BodyId>,
    highest: Highest,
}

#[derive(Debug)]
struct Mailbox {
    account: AccountId,
    name: String,
    uid_validity: UidValidity,
    uid_next: Option<Uid>,
    highest_mod_seq: ModSeq,
    octets: u64,
    messages: BTreeMap<Uid, Message>,
    /// The same as a slice, from the first time that somebody asks to the next change.
    shared: Option<Arc<[Message]>>,
}

#[derive(Debug)]
struct Held {
    content: Extent,
    crc: Option<u32>,
    holders: u64,
}

impl Index for MemoryIndex {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Body { id, content, crc } => {
                self.bodies.insert(*id, Held { content: *content, crc: *crc, holders: 0 });
                self.unused.insert(*id);
                self.highest.body = self.highest.body.max(id.0);
            }
            Change::MailboxCreated { id, account, uid_validity, name } => {
                let mailbox = Mailbox {
                    account: *account,
                    name: name.clone(),
                    uid_validity: *uid_validity,
                    uid_next: Some(Uid::FIRST),
                    highest_mod_seq: ModSeq(1),
                    octets: 0,
                    messages: BTreeMap::new(),
                    shared: None,
                };
                self.names.insert((*account, name.clone()), *id);
                self.mailboxes.insert(*id, mailbox);
                self.highest.mailbox = self.highest.mailbox.max(id.0);
                self.highest.uid_validity = self.highest.uid_validity.max(uid_validity.get());
            }
            Change::MailboxDeleted { id } => {
                if let Some(mailbox) = self.mailboxes.remove(id) {
                    self.names.remove(&(mailbox.account, mailbox.name));
                    for message in mailbox.messages.values() {
                        self.let_go(message.body);
                    }
                }
            }
            Change::Delivered { mailbox, uid, mod_seq, date, body, prefix } => {
                self.deliver(*mailbox, *uid, *mod_seq, *date, *body, *prefix);
            }
            Change::Expunged { mailbox, uid, mod_seq } => {
                let Some(mailbox) = self.mailboxes.get_mut(mailbox) else { return };
                mailbox.touch(*mod_seq);
                if let Some(message) = mailbox.messages.remove(uid) {
                    mailbox.octets -= message.size();
                    self.let_go(message.body);
                }
            }
            Change::Lost { records } => self.skip(*records),
            Change::Put { table, key, value } => {
                self.tables.insert((*table, key.clone()), value.clone());
            }
            Change::Held { body, table, key } => {
                self.highest.body = self.highest.body.max(body.0);
                let Some(held) = self.bodies.get_mut(body) else { return };
                held.holders += 1;
                self.unused.remove(body);
                if let Some(before) = self.holds.insert((*table, key.clone()), *body) {
                    self.let_go(before);
                }
            }
            Change::Removed { table, key } => {
                let key = (*table, key.clone());
                self.tables.remove(&key);
                if let Some(body) = self.holds.remove(&key) {
                    self.let_go(body);
                }
            }
        }
    }

    fn take_unused_body(&mut self) -> Option<(BodyId, Extent)> {
        let id = self.unused.pop_first()?;
        let held = self.bodies.remove(&id)?;
        Some((id, held.content))
    }

    fn has_body(&self, body: BodyId) -> bool {
        self.bodies.contains_key(&body)
    }

    fn body_files(&self) -> Vec<(Extent, u32)> {
        self.bodies.values().filter_map(|held| Some((held.content, held.crc?))).collect()
    }

    fn status(&self, id: MailboxId) -> Option<MailboxStatus> {
        let mailbox = self.mailboxes.get(&id)?;
        Some(MailboxStatus {
            id,
            account: mailbox.account,
            name: mailbox.name.clone(),
            uid_validity: mailbox.uid_validity,
            uid_next: mailbox.uid_next,
            highest_mod_seq: mailbox.highest_mod_seq,
            messages: mailbox.messages.len() as u64,
            octets: mailbox.octets,
        })
    }

    fn find(&self, account: AccountId, name: &str) -> Option<MailboxId> {
        self.names.get(&(account, name.to_owned())).copied()
    }

    fn mailboxes(&self, account: Option<AccountId>) -> Vec<MailboxId> {
        let wanted = |mailbox: &Mailbox| account.is_none_or(|account| account == mailbox.account);
        self.mailboxes.iter().filter(|(_, mailbox)| wanted(mailbox)).map(|(id, _)| *id).collect()
    }

    fn messages(&mut self, mailbox: MailboxId) -> Option<Arc<[Message]>> {
        let mailbox = self.mailboxes.get_mut(&mailbox)?;
        let messages = &mailbox.messages;
        Some(mailbox.shared.get_or_insert_with(|| messages.values().copied().collect()).clone())
    }

    fn has_message(&self, mailbox: MailboxId, uid: Uid) -> bool {
        self.mailboxes.get(&mailbox).is_some_and(|mailbox| mailbox.messages.contains_key(&uid))
    }

    fn value(&self, table: u16, key: &[u8]) -> Option<Bytes> {
        self.tables.get(&(table, Bytes::copy_from_slice(key))).cloned()
    }

    fn held(&self, table: u16, key: &[u8]) -> Option<Extent> {
        let body = self.holds.get(&(table, Bytes::copy_from_slice(key)))?;
        Some(self.bodies.get(body)?.content)
    }

    fn table(&self, table: u16) -> Vec<(Bytes, Bytes)> {
        self.tables
            .range((table, Bytes::new())..)
            .take_while(|((of, _), _)| *of == table)
            .map(|((_, key), value)| (key.clone(), value.clone()))
            .collect()
    }

    fn highest(&self) -> Highest {
        self.highest
    }
}

impl MemoryIndex {
    fn deliver(
        &mut self,
        mailbox: MailboxId,
        uid: Uid,
        mod_seq: ModSeq,
        date: UnixTime,
        body: BodyId,
        prefix: Extent,
    ) {
        // What damage has taken is not to come back as something else.
        self.highest.mailbox = self.highest.mailbox.max(mailbox.0);
        self.highest.body = self.highest.body.max(body.0);
        let Some(mailbox) = self.mailboxes.get_mut(&mailbox) else { return };
        mailbox.touch(mod_seq);
        mailbox.uid_next = uid.next();
        // Without its body, which only damage can take, there is no message; but its identifier is used up.
        let Some(held) = self.bodies.get_mut(&body) else { return };
        let message = Message { uid, mod_seq, date, body, prefix, content: held.content };
        mailbox.octets += message.size();
        mailbox.messages.insert(uid, message);
        held.holders += 1;
        self.unused.remove(&body);
    }

    /// Goes on as if so many of everything had come. A delivery behind the damage says better what the next one is.
    fn skip(&mut self, records: u32) {
        let number = u64::from(records);
        self.highest.body += number;
        self.highest.mailbox += number;
        self.highest.uid_validity = self.highest.uid_validity.saturating_add(records);
        for mailbox in self.mailboxes.values_mut() {
            let next = mailbox.uid_next.and_then(|uid| uid.get().checked_add(records));
            mailbox.uid_next = next.and_then(Uid::new);
            mailbox.touch(ModSeq(mailbox.highest_mod_seq.0 + number));
        }
    }

    fn let_go(&mut self, body: BodyId) {
        if let Some(held) = self.bodies.get_mut(&body) {
            held.holders -= 1;
            if held.holders == 0 {
                self.unused.insert(body);
            }
        }
    }
}

impl Mailbox {
    fn touch(&mut self, mod_seq: ModSeq) {
        self.highest_mod_seq = self.highest_mod_seq.max(mod_seq);
        self.shared = None;
    }
}
