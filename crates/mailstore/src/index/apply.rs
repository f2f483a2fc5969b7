//! Changes that are on stable storage, or are read from there.

use super::mailbox::Delta;
use super::{
    About, BODY_FILE, Change, DELETE_MAILBOX, EXPUNGE, Entry, FLAGS, Facts, Hold, Index, Inline, Key, Large,
    Mailbox, Place, QUOTA, Since, What, body_octets, deliver_octets, hold_octets, put_octets, remove_octets,
};
use crate::mailbox::{AccountId, MailboxId, ModSeq, Uid};
use crate::message::{BodyId, Flags};

impl Index {
    /// Takes one change. With `moved`, it is a copy of a record that counts.
    ///
    /// Once all has been read, messages are only changed in or taken from mailboxes that are loaded.
    pub(crate) fn apply(&mut self, change: &Change, moved: bool) {
        match change {
            Change::Body { id, place } => {
                self.highest.body = self.highest.body.max(id.0);
                let holders = self.bodies.inline.get(&id.0).map_or(0, |body| body.holders);
                let before = self.bodies.inline.insert(id.0, Inline { place: *place, holders });
                self.count(place.segment, body_octets(place.length), before.map(|body| body.place.segment));
                self.came(*id, before.is_some());
            }
            Change::BodyFile { id, size, segment } => {
                self.highest.body = self.highest.body.max(id.0);
                let holders = self.bodies.large.get(&id.0).map_or(0, |body| body.holders);
                let large = Large { size: *size, segment: *segment, holders };
                let before = self.bodies.large.insert(id.0, large);
                self.count(*segment, BODY_FILE, before.map(|body| body.segment));
                self.came(*id, before.is_some());
            }
            Change::Structure { body, place } => {
                let before = self.bodies.structures.insert(body.0, *place);
                self.count(place.segment, body_octets(place.length), before.map(|place| place.segment));
            }
            Change::Mailbox {
                id,
                account,
                uid_validity,
                uid_next,
                mod_seq,
                special_use,
                name,
                keywords,
                segment,
                at,
            } => {
                let about = About {
                    account: *account,
                    name: name.clone(),
                    uid_validity: *uid_validity,
                    special_use: *special_use,
                    keywords: keywords.clone(),
                    segment: *segment,
                    at: *at,
                };
                self.tell_about(*id, about, *uid_next, *mod_seq);
            }
            Change::MailboxDeleted { id, segment } => {
                self.highest.mailbox = self.highest.mailbox.max(id.0);
                self.space.add_gone(*segment, DELETE_MAILBOX);
                self.delete(*id);
            }
            Change::Delivered { mailbox, entry } => self.deliver(*mailbox, entry, moved),
            Change::Flagged { mailbox, uid, mod_seq, flags, segment } => {
                self.flag(*mailbox, *uid, *mod_seq, *flags, *segment);
            }
            Change::Expunged { mailbox, uid, mod_seq, segment } => {
                self.space.add_gone(*segment, EXPUNGE);
                if !moved {
                    self.expunge(*mailbox, *uid, *mod_seq);
                }
            }
            Change::Put { table, key, place } => self.put(*table, key, *place),
            Change::Held { body, table, key, segment } => {
                self.highest.body = self.highest.body.max(body.0);
                let hold = Hold { body: body.0, segment: *segment };
                let before = self.tables.entry(*table).or_default().holds.insert(Key::new(key), hold);
                self.count(*segment, hold_octets(key.len()), before.map(|before| before.segment));
                if self.counted && !moved {
                    self.hold(*body);
                    if let Some(before) = before {
                        self.let_go(BodyId(before.body));
                    }
                }
            }
            Change::Removed { table, key, what, segment } => {
                self.space.add_gone(*segment, remove_octets(key.len()));
                self.remove(*table, key, *what);
            }
            Change::Quota { account, allowance, segment } => {
                let before = if allowance.is_unlimited() {
                    self.space.add_gone(*segment, QUOTA);
                    self.allowances.remove(account)
                } else {
                    let before = self.allowances.insert(*account, (*allowance, *segment));
                    self.count(*segment, QUOTA, None);
                    before
                };
                if let Some((_, before)) = before.filter(|_| self.counted) {
                    self.space.sub(before, QUOTA);
                }
            }
            Change::Highest(highest) => {
                self.highest.body = self.highest.body.max(highest.body);
                self.highest.mailbox = self.highest.mailbox.max(highest.mailbox);
                self.highest.uid_validity = self.highest.uid_validity.max(highest.uid_validity);
            }
            Change::Lost { records } => self.skip(*records),
        }
    }

    /// A record that is alive lies in a segment, in place of the one before.
    fn count(&mut self, segment: u32, octets: u64, before: Option<u32>) {
        if self.counted {
            self.space.add(segment, octets);
            if let Some(before) = before {
                self.space.sub(before, octets);
            }
        }
    }

    fn came(&mut self, body: BodyId, known: bool) {
        if self.counted && !known {
            self.unused.insert(body);
        }
    }

    fn tell_about(&mut self, id: MailboxId, about: About, uid_next: u64, mod_seq: ModSeq) {
        self.highest.mailbox = self.highest.mailbox.max(id.0);
        self.highest.uid_validity = self.highest.uid_validity.max(about.uid_validity.get());
        let name = (about.account, about.name.clone());
        self.count(about.segment, about.octets(), None);
        let mailbox = self.mailbox(id);
        let before = mailbox.about.replace(about);
        mailbox.uid_next = mailbox.uid_next.max(uid_next);
        mailbox.highest_mod_seq = mailbox.highest_mod_seq.max(mod_seq);
        if let Some(before) = before {
            if self.counted {
                self.space.sub(before.segment, before.octets());
            }
            self.forget_name(id, before.account, &before.name);
        }
        self.names.insert(name, id);
    }

    /// Another mailbox may have the name by now.
    fn forget_name(&mut self, id: MailboxId, account: AccountId, name: &str) {
        let name = (account, name.to_owned());
        if self.names.get(&name) == Some(&id) {
            self.names.remove(&name);
        }
    }

    fn deliver(&mut self, id: MailboxId, entry: &Entry, moved: bool) {
        let Entry { uid, facts } = *entry;
        // What damage has taken is not to come back as something else.
        self.highest.mailbox = self.highest.mailbox.max(id.0);
        self.highest.body = self.highest.body.max(facts.body.0);
        let (epoch, counted) = (self.epoch, self.counted);
        if counted && !self.mailboxes.contains_key(&id) {
            return;
        }
        let mailbox = self.mailbox(id);
        let before = if moved && counted { mailbox.facts(uid) } else { None };
        mailbox.touch(uid, facts.mod_seq);
        let since = match counted {
            true => Since::Is(facts),
            false => Since::delivered(mailbox.since(uid), facts),
        };
        mailbox.delta.insert(uid, Delta { epoch, since });
        if !counted {
            return;
        }
        self.resize(id, |index| {
            if let Some(messages) = index.mailbox(id).loaded_mut() {
                messages.insert(uid, facts);
            }
        });
        if !moved {
            self.count_message(id, &facts);
        } else if let Some(before) = before {
            self.forget_records(&before);
            self.count_records(&facts);
        }
    }

    fn flag(&mut self, id: MailboxId, uid: Uid, mod_seq: ModSeq, flags: Flags, segment: u32) {
        let (epoch, counted) = (self.epoch, self.counted);
        if counted && !self.mailboxes.contains_key(&id) {
            return;
        }
        let mailbox = self.mailbox(id);
        mailbox.touch(uid, mod_seq);
        if !counted {
            let since = Since::flagged(mailbox.since(uid), mod_seq, flags, segment);
            mailbox.delta.insert(uid, Delta { epoch, since });
            return;
        }
        let Some(before) = mailbox.facts(uid) else { return };
        let facts = Facts { mod_seq, flags, flags_segment: segment, ..before };
        mailbox.tally.sub_flags(before.flags);
        mailbox.tally.add_flags(flags);
        mailbox.delta.insert(uid, Delta { epoch, since: Since::Is(facts) });
        if let Some(messages) = mailbox.loaded_mut() {
            messages.insert(uid, facts);
        }
        self.forget_records(&before);
        self.count_records(&facts);
    }

    fn expunge(&mut self, id: MailboxId, uid: Uid, mod_seq: ModSeq) {
        let (epoch, counted) = (self.epoch, self.counted);
        if counted && !self.mailboxes.contains_key(&id) {
            return;
        }
        let mailbox = self.mailbox(id);
        mailbox.touch(uid, mod_seq);
        mailbox.delta.insert(uid, Delta { epoch, since: Since::Gone });
        if !counted {
            return;
        }
        let mut gone = None;
        self.resize(id, |index| gone = index.mailbox(id).loaded_mut().and_then(|all| all.remove(&uid)));
        if let Some(facts) = gone {
            let octets = self.octets(&facts);
            if let Some(octets) = octets {
                self.mailbox(id).tally.sub(facts.flags, octets);
                let account = self.owner(id);
                self.use_less(account, octets);
            }
            self.forget_message(&facts);
        }
    }

    fn delete(&mut self, id: MailboxId) {
        let Some(mailbox) = self.mailboxes.remove(&id) else { return };
        self.forget_resident(&mailbox);
        let Mailbox { about: Some(about), .. } = &*mailbox else { return };
        self.forget_name(id, about.account, &about.name);
        if !self.counted {
            return;
        }
        self.space.sub(about.segment, about.octets());
        for (_, facts) in mailbox.loaded().iter().flat_map(|messages| messages.iter()) {
            if let Some(octets) = self.octets(facts) {
                self.use_less(about.account, octets);
            }
            self.forget_message(facts);
        }
    }

    fn put(&mut self, table: u16, key: &[u8], place: Place) {
        let before = self.tables.entry(table).or_default().values.insert(Key::new(key), place);
        if let Some(before) = before.filter(|_| self.counted) {
            self.space.sub(before.segment, put_octets(key.len(), before.length));
        }
        self.count(place.segment, put_octets(key.len(), place.length), None);
    }

    fn remove(&mut self, table: u16, key: &[u8], what: What) {
        let Some(records) = self.tables.get_mut(&table) else { return };
        let length = key.len();
        let key = Key::new(key);
        let value = if what.value { records.values.remove(&key) } else { None };
        let hold = if what.hold { records.holds.remove(&key) } else { None };
        if records.values.len() == 0 && records.holds.len() == 0 {
            self.tables.remove(&table);
        }
        if !self.counted {
            return;
        }
        if let Some(place) = value {
            self.space.sub(place.segment, put_octets(length, place.length));
        }
        if let Some(hold) = hold {
            self.space.sub(hold.segment, hold_octets(length));
            self.let_go(BodyId(hold.body));
        }
    }

    /// Goes on as if so many of everything had come.
    fn skip(&mut self, records: u32) {
        let number = u64::from(records);
        self.highest.body += number;
        self.highest.mailbox += number;
        self.highest.uid_validity = self.highest.uid_validity.saturating_add(records);
        for mailbox in self.mailboxes.values_mut() {
            let mailbox = std::sync::Arc::make_mut(mailbox);
            mailbox.uid_next += number;
            mailbox.highest_mod_seq = ModSeq(mailbox.highest_mod_seq.0 + number);
        }
    }

    pub(super) fn owner(&self, id: MailboxId) -> AccountId {
        let about = self.mailboxes.get(&id).and_then(|mailbox| mailbox.about.as_ref());
        about.map_or(AccountId::LOST, |about| about.account)
    }

    /// Octets of a message; `None` if damage has taken its body.
    fn octets(&self, facts: &Facts) -> Option<u64> {
        Some(self.bodies.size(facts.body)? + u64::from(facts.place.length))
    }

    pub(super) fn count_message(&mut self, id: MailboxId, facts: &Facts) {
        // Without its body, which only damage can take, there is no message; but its identifier is used up.
        let Some(octets) = self.octets(facts) else {
            self.mailbox(id).lost = true;
            return;
        };
        self.hold(facts.body);
        self.count_records(facts);
        let account = self.owner(id);
        let mailbox = self.mailbox(id);
        mailbox.tally.add(facts.flags, octets);
        let usage = self.usage.entry(account).or_default();
        usage.octets += octets;
        usage.messages += 1;
    }

    fn forget_message(&mut self, facts: &Facts) {
        self.forget_records(facts);
        self.let_go(facts.body);
    }

    fn use_less(&mut self, account: AccountId, octets: u64) {
        if let Some(usage) = self.usage.get_mut(&account) {
            usage.octets = usage.octets.saturating_sub(octets);
            usage.messages = usage.messages.saturating_sub(1);
            if usage.messages == 0 {
                self.usage.remove(&account);
            }
        }
    }

    /// The records of a message are alive.
    fn count_records(&mut self, facts: &Facts) {
        self.space.add(facts.place.segment, deliver_octets(facts.place.length));
        if facts.flags_segment > 0 {
            self.space.add(facts.flags_segment, FLAGS);
        }
    }

    fn forget_records(&mut self, facts: &Facts) {
        self.space.sub(facts.place.segment, deliver_octets(facts.place.length));
        if facts.flags_segment > 0 {
            self.space.sub(facts.flags_segment, FLAGS);
        }
    }
}
