//! Mailboxes that are made, deleted and renamed, and names that are subscribed to.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Draft, Working};
use crate::commit::{Actor, Outcome};
use crate::error::Refusal;
use crate::index::{GIVEN_UP, SUBSCRIPTIONS, What, given_up, subscription};
use crate::journal::entry::Record;
use crate::mailbox::name::{below, normalise, superiors};
use crate::mailbox::{AccountId, INBOX, MailboxId, ModSeq, SpecialUse, Uid, UidValidity};
use crate::message::UnixTime;
use crate::planted::Bug;
use crate::store::access::{Right, authorise};

impl Draft<'_> {
    pub(super) fn create(
        &mut self,
        account: AccountId,
        name: &str,
        special_use: Option<SpecialUse>,
        now: UnixTime,
    ) -> Result<Outcome, Refusal> {
        authorise(self.actor, account, Right::Write)?;
        let name = normalise(name)?;
        if self.find(account, &name).is_some() {
            return Err(Refusal::MailboxExists);
        }
        self.make_superiors(account, &name, now);
        let (mailbox, uid_validity) = self.make(account, name, special_use, now);
        self.created = Some(mailbox);
        Ok(Outcome::MailboxCreated { mailbox, uid_validity })
    }

    /// RFC 9051 §6.3.4 and §6.3.6: what has to be above a name is made with it.
    fn make_superiors(&mut self, account: AccountId, name: &str, now: UnixTime) {
        for superior in superiors(name) {
            if self.find(account, superior).is_none() {
                self.make(account, superior.to_owned(), None, now);
            }
        }
    }

    fn make(
        &mut self,
        account: AccountId,
        name: String,
        special_use: Option<SpecialUse>,
        now: UnixTime,
    ) -> (MailboxId, UidValidity) {
        self.own.highest.mailbox += 1;
        let id = MailboxId(self.own.highest.mailbox);
        let uid_validity = self.next_uid_validity(now);
        let working = Working {
            account,
            name: name.clone(),
            uid_validity,
            uid_next: Some(Uid::FIRST),
            mod_seq: ModSeq(1),
            special_use,
            keywords: std::sync::Arc::default(),
            messages: 0,
            octets: 0,
        };
        self.own.names.insert((account, name), Some(id));
        self.own.mailboxes.insert(id, Some(working));
        self.push_mailbox(id);
        (id, uid_validity)
    }

    /// Higher than all before, and than those that a store gave out which this one is an older copy of, if no clock goes back.
    fn next_uid_validity(&mut self, now: UnixTime) -> UidValidity {
        let highest = &mut self.own.highest.uid_validity;
        let clock = u32::try_from(now.0).unwrap_or(0);
        *highest = clock.max(highest.saturating_add(1));
        UidValidity::new(*highest).expect("one more than another number")
    }

    pub(super) fn renew(&mut self, mailbox: MailboxId, now: UnixTime) -> Result<Outcome, Refusal> {
        let (id, working) = self.working(mailbox)?;
        let account = working.account;
        authorise(self.actor, account, Right::Administer)?;
        let uid_validity = self.next_uid_validity(now);
        self.working(id)?.1.uid_validity = uid_validity;
        self.push_mailbox(id);
        Ok(Outcome::UidValidityRenewed { uid_validity })
    }

    pub(super) fn delete(&mut self, mailbox: MailboxId) -> Result<Outcome, Refusal> {
        let (id, working) = self.working(mailbox)?;
        let Working { account, name, uid_validity, messages, octets, .. } = working.clone();
        if name == INBOX && self.actor != Actor::Host {
            return Err(Refusal::Inbox);
        }
        if !self.below(account, &name).is_empty() {
            return Err(Refusal::HasChildren);
        }
        self.own.mailboxes.insert(id, None);
        self.give_up(account, name, uid_validity);
        self.uses(account, -signed(octets), -signed(messages));
        self.push(Record::DeleteMailbox { id });
        Ok(Outcome::MailboxDeleted)
    }

    pub(super) fn rename(
        &mut self,
        mailbox: MailboxId,
        name: &str,
        now: UnixTime,
    ) -> Result<Outcome, Refusal> {
        let name = normalise(name)?;
        let (id, working) = self.working(mailbox)?;
        let (account, old) = (working.account, working.name.clone());
        if old == INBOX {
            return Err(Refusal::Inbox);
        }
        if self.find(account, &name).is_some() {
            return Err(Refusal::MailboxExists);
        }
        if name.starts_with(&below(&old)) {
            return Err(Refusal::BadName);
        }
        let mut moved = vec![(id, name.clone())];
        for (child, id) in self.below(account, &old) {
            moved.push((id, normalise(&[&name, &child[old.len()..]].concat())?));
        }
        if self.planted.has(Bug::ChildLeftBehind) && moved.len() > 1 {
            moved.pop();
        }
        for (id, _) in &moved {
            let (_, working) = self.working(*id)?;
            let Working { account, name, uid_validity, .. } = working.clone();
            self.give_up(account, name, uid_validity);
        }
        for (id, name) in moved {
            if self.find(account, &name).is_some() {
                return Err(Refusal::MailboxExists);
            }
            let younger = self.given_up(account, &name);
            let (_, working) = self.working(id)?;
            working.name.clone_from(&name);
            let steps_back = working.uid_validity.get() < younger;
            if steps_back && !self.planted.has(Bug::UidValidityBack) {
                // RFC 9051 §2.3.1.1: the next session under this name must not find a lower one.
                let uid_validity = self.next_uid_validity(now);
                self.working(id)?.1.uid_validity = uid_validity;
            }
            self.own.names.insert((account, name), Some(id));
            self.push_mailbox(id);
        }
        self.make_superiors(account, &name, now);
        Ok(Outcome::MailboxRenamed)
    }

    /// A mailbox has this name no longer; the next one that gets it must not be older.
    fn give_up(&mut self, account: AccountId, name: String, uid_validity: UidValidity) {
        let of = match self.given_up_as(account, &name) {
            None if self.index.count_given_up(account) >= MOST_GIVEN_UP => (account, ANY_NAME.to_owned()),
            _ => (account, name.clone()),
        };
        self.own.names.insert((account, name), None);
        let before = self.given_up_as(account, &of.1);
        if before.is_some_and(|before| before >= uid_validity.get()) {
            return;
        }
        let begin = given_up(account, &of.1);
        let key = |validity: u32| Bytes::from([&begin[..], &validity.to_be_bytes()].concat());
        if let Some(before) = before {
            let what = What { value: true, hold: false };
            self.push(Record::Remove { table: GIVEN_UP, key: key(before), what });
        }
        self.push(Record::Put { table: GIVEN_UP, key: key(uid_validity.get()), value: Bytes::new() });
        self.own.given_up.insert(of, uid_validity.get());
    }

    /// The highest UIDVALIDITY that a mailbox of this name had before, or 0.
    fn given_up(&self, account: AccountId, name: &str) -> u32 {
        let known = [name, ANY_NAME].into_iter().filter_map(|name| self.given_up_as(account, name));
        known.max().unwrap_or(0)
    }

    fn given_up_as(&self, account: AccountId, name: &str) -> Option<u32> {
        let of = (account, name.to_owned());
        let changed = [&self.own, self.under].iter().find_map(|layer| layer.given_up.get(&of)).copied();
        changed.or_else(|| self.index.given_up(account, name))
    }

    pub(super) fn subscribe(
        &mut self,
        account: AccountId,
        name: &str,
        wanted: bool,
    ) -> Result<Outcome, Refusal> {
        authorise(self.actor, account, Right::Write)?;
        let name = normalise(name)?;
        let of = (account, name);
        let layers = [&self.own, self.under];
        let changed = layers.iter().find_map(|layer| layer.subscriptions.get(&of)).copied();
        if changed.unwrap_or_else(|| self.index.is_subscribed(account, &of.1)) != wanted {
            let (table, key) = (SUBSCRIPTIONS, Bytes::from(subscription(account, &of.1)));
            self.own.subscriptions.insert(of, wanted);
            self.push(match wanted {
                true => Record::Put { table, key, value: Bytes::new() },
                false => Record::Remove { table, key, what: What { value: true, hold: false } },
            });
        }
        Ok(if wanted { Outcome::Subscribed } else { Outcome::Unsubscribed })
    }

    /// A mailbox that is there and that the actor may change, as it is by now, and which it is.
    pub(super) fn working(&mut self, mailbox: MailboxId) -> Result<(MailboxId, &mut Working), Refusal> {
        let id = match mailbox {
            MailboxId::CREATED => self.created.ok_or(Refusal::NoSuchMailbox)?,
            id => id,
        };
        if !self.own.mailboxes.contains_key(&id) {
            let found = match self.under.mailboxes.get(&id) {
                Some(working) => working.clone(),
                None => self.stored(id),
            };
            self.own.mailboxes.insert(id, found);
        }
        let working =
            self.own.mailboxes.get_mut(&id).and_then(Option::as_mut).ok_or(Refusal::NoSuchMailbox)?;
        authorise(self.actor, working.account, Right::Write)?;
        Ok((id, working))
    }

    fn stored(&self, id: MailboxId) -> Option<Working> {
        let status = self.index.status(id)?;
        Some(Working {
            account: status.account,
            name: status.name,
            uid_validity: status.uid_validity,
            uid_next: status.uid_next,
            mod_seq: status.highest_mod_seq,
            special_use: status.special_use,
            keywords: status.keywords,
            messages: status.messages,
            octets: status.octets,
        })
    }

    /// Writes down what a mailbox is called and has by now.
    pub(super) fn push_mailbox(&mut self, id: MailboxId) {
        let Some(Some(working)) = self.own.mailboxes.get(&id) else { return };
        let record = Record::Mailbox {
            id,
            account: working.account,
            uid_validity: working.uid_validity,
            uid_next: working.uid_next.map_or(1 << 32, |uid| u64::from(uid.get())),
            mod_seq: working.mod_seq,
            special_use: working.special_use,
            name: working.name.clone(),
            keywords: working.keywords.clone(),
        };
        self.push(record);
    }

    /// The modification sequence of this commit in a mailbox that is there.
    pub(super) fn change(&mut self, id: MailboxId) -> ModSeq {
        let first = self.changed.insert(id);
        match self.own.mailboxes.get_mut(&id) {
            Some(Some(working)) => {
                working.mod_seq = ModSeq(working.mod_seq.0 + u64::from(first));
                working.mod_seq
            }
            _ => ModSeq(1),
        }
    }

    fn find(&self, account: AccountId, name: &str) -> Option<MailboxId> {
        let of = (account, name.to_owned());
        let changed = [&self.own, self.under].iter().find_map(|layer| layer.names.get(&of)).copied();
        changed.unwrap_or_else(|| self.index.find(account, name))
    }

    /// The mailboxes below a name, by theirs.
    fn below(&self, account: AccountId, name: &str) -> BTreeMap<String, MailboxId> {
        let begin = below(name);
        let mut found: BTreeMap<String, MailboxId> =
            self.index.below(account, name).map(|(name, id)| (name.to_owned(), id)).collect();
        for layer in [self.under, &self.own] {
            let changed = layer.names.range((account, begin.clone())..);
            let below = |of: &(&(AccountId, String), _)| of.0.0 == account && of.0.1.starts_with(&begin);
            for ((_, name), id) in changed.take_while(below) {
                match id {
                    Some(id) => _ = found.insert(name.clone(), *id),
                    None => _ = found.remove(name),
                }
            }
        }
        found
    }
}

/// Stands for all names that are not remembered one by one.
const ANY_NAME: &str = "";
/// So many names of an account are remembered one by one; what a batch adds is not counted at once.
const MOST_GIVEN_UP: usize = 4_096;

pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
