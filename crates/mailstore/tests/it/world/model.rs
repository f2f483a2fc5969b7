//! What a store has to hold: the rules once more, as plain maps.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use mailstore::commit::{Outcome, Receipt};
use mailstore::mailbox::{MailboxId, SpecialUse, UidValidity};
use mailstore::message::{FlagChange, Flags, NamedFlags};
use mailstore::{Actor, Intent};

/// What a store holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) boxes: BTreeMap<(u64, String), Held>,
    pub(crate) values: BTreeMap<(u16, Bytes), Bytes>,
    /// The bodies that records hold.
    pub(crate) holds: BTreeMap<(u16, Bytes), Bytes>,
    pub(crate) subscriptions: BTreeSet<(u64, String)>,
    pub(crate) quotas: BTreeMap<u64, (Option<u64>, Option<u64>)>,
    /// The highest UIDVALIDITY of mailboxes that have had a name and have it no longer; `None` where that is unknown.
    given_up: BTreeMap<(u64, String), Option<u32>>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    /// Both unknown where a commit was not told of, or has made the mailbox because another one is below it.
    pub(crate) id: Option<MailboxId>,
    pub(crate) uid_validity: Option<UidValidity>,
    /// What its UIDVALIDITY is not below.
    pub(crate) floor: u32,
    /// The commit that has made it was told of.
    pub(crate) told: bool,
    pub(crate) uid_next: u32,
    pub(crate) mod_seq: u64,
    pub(crate) special_use: Option<SpecialUse>,
    pub(crate) keywords: Vec<String>,
    pub(crate) messages: BTreeMap<u32, Mail>,
    /// The commit that is being looked at has changed it already.
    changed: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Mail {
    pub(crate) mod_seq: u64,
    pub(crate) date: i64,
    pub(crate) prefix: Bytes,
    pub(crate) body: Bytes,
    pub(crate) structure: Option<Bytes>,
    pub(crate) system: Flags,
    /// In lower case.
    pub(crate) keywords: BTreeSet<String>,
}

/// A commit, as the model keeps it.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) actor: Actor,
    pub(crate) body: Option<Bytes>,
    pub(crate) structure: Option<Bytes>,
    pub(crate) intents: Vec<Intent>,
}

impl Mail {
    fn octets(&self) -> u64 {
        (self.prefix.len() + self.body.len()) as u64
    }

    /// All its flags as one text.
    pub(crate) fn flags(&self) -> String {
        flags_text(self.system, self.keywords.iter().map(String::as_str))
    }
}

/// System flags as a number, and keywords in order.
pub(crate) fn flags_text<'a>(system: Flags, keywords: impl Iterator<Item = &'a str>) -> String {
    let mut keywords: Vec<_> = keywords.map(str::to_ascii_lowercase).collect();
    keywords.sort();
    format!("{} {}", system.intersection(Flags::SYSTEM).bits(), keywords.join(" "))
}

impl Held {
    fn new(told: bool) -> Self {
        Self { told, uid_next: 1, mod_seq: 1, ..Self::default() }
    }

    pub(crate) fn octets(&self) -> u64 {
        self.messages.values().map(Mail::octets).sum()
    }

    /// How many have no \Seen, and how many have \Deleted.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let unseen = self.messages.values().filter(|mail| !mail.system.contains(Flags::SEEN));
        let deleted = self.messages.values().filter(|mail| mail.system.contains(Flags::DELETED));
        (unseen.count() as u64, deleted.count() as u64)
    }

    fn change(&mut self) -> u64 {
        self.mod_seq += u64::from(!self.changed);
        self.changed = true;
        self.mod_seq
    }

    /// Keywords come to a mailbox in the order in which they are named. `None` if there are too many.
    fn learn(&mut self, names: &[String]) -> Option<BTreeSet<String>> {
        for name in names {
            if !self.keywords.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                self.keywords.push(name.clone());
            }
        }
        let all = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        (self.keywords.len() <= 56).then_some(all)
    }

    fn put(&mut self, mail: Mail, told: Option<Outcome>) -> Option<()> {
        let mod_seq = self.change();
        if let Some(outcome) = told {
            let Outcome::Delivered { uid, mod_seq: of } = outcome else {
                panic!("{outcome:?} came of a delivery");
            };
            assert_eq!((uid.get(), of.get()), (self.uid_next, mod_seq));
        }
        self.messages.insert(self.uid_next, Mail { mod_seq, ..mail });
        self.uid_next += 1;
        Some(())
    }
}

/// INBOX is one mailbox, however it is written.
pub(crate) fn plain(name: &str) -> String {
    match name.get(..5) {
        Some(first) if first.eq_ignore_ascii_case("INBOX") && matches!(name.get(5..6), None | Some("/")) => {
            format!("INBOX{}", &name[5..])
        }
        _ => name.to_owned(),
    }
}

impl State {
    pub(crate) fn by_id(&self, id: MailboxId) -> Option<&Held> {
        self.boxes.values().find(|held| held.id == Some(id))
    }

    pub(crate) fn key_of(&self, id: MailboxId) -> Option<&(u64, String)> {
        self.boxes.iter().find(|(_, held)| held.id == Some(id)).map(|(key, _)| key)
    }

    /// How many messages there are.
    pub(crate) fn messages(&self) -> usize {
        self.boxes.values().map(|held| held.messages.len()).sum()
    }

    /// Octets and messages of an account.
    pub(crate) fn usage(&self, account: u64) -> (u64, u64) {
        let boxes = self.boxes.iter().filter(|((of, _), _)| *of == account).map(|(_, held)| held);
        boxes.fold((0, 0), |(octets, messages), held| {
            (octets + held.octets(), messages + held.messages.len() as u64)
        })
    }

    /// What a commit leads to; `None` if it cannot be. The receipt, if there is one, has to say the same.
    pub(crate) fn apply(&mut self, planned: &Planned, receipt: Option<&Receipt>) -> Option<()> {
        self.boxes.values_mut().for_each(|held| held.changed = false);
        let account = match planned.actor {
            Actor::Host => None,
            Actor::Account(account) => Some(account.0),
        };
        let before = account.map(|account| self.usage(account));
        let mut created = None;
        for (index, intent) in planned.intents.iter().enumerate() {
            let told = receipt.map(|receipt| receipt.outcomes[index]);
            self.intent(planned, intent, told, &mut created)?;
        }
        if let (Some(account), Some(before)) = (account, before) {
            let after = self.usage(account);
            let (octets, messages) = self.quotas.get(&account).copied().unwrap_or_default();
            let over =
                |limit: Option<u64>, before, after| after > before && limit.is_some_and(|most| after > most);
            if over(octets, before.0, after.0) || over(messages, before.1, after.1) {
                return None;
            }
        }
        Some(())
    }

    fn give_up(&mut self, key: (u64, String), uid_validity: Option<UidValidity>) {
        let of = uid_validity.map(UidValidity::get);
        let before = self.given_up.entry(key).or_insert(of);
        *before = before.zip(of).map(|(before, of)| before.max(of));
    }

    fn intent(
        &mut self,
        planned: &Planned,
        intent: &Intent,
        told: Option<Outcome>,
        created: &mut Option<(u64, String)>,
    ) -> Option<()> {
        let may = |account: u64| match planned.actor {
            Actor::Host => true,
            Actor::Account(actor) => actor.0 == account,
        };
        match intent {
            Intent::CreateMailbox { account, name, special_use, .. } => {
                let name = plain(name);
                let key = (account.0, name.clone());
                if !may(account.0) || self.boxes.contains_key(&key) {
                    return None;
                }
                self.superiors(account.0, &name, told.is_some());
                let mut held = Held { special_use: *special_use, ..Held::new(told.is_some()) };
                match told {
                    Some(Outcome::MailboxCreated { mailbox, uid_validity }) => {
                        (held.id, held.uid_validity) = (Some(mailbox), Some(uid_validity));
                    }
                    None => {}
                    Some(other) => panic!("{other:?} came of a new mailbox"),
                }
                *created = Some(key.clone());
                self.boxes.insert(key, held);
            }
            Intent::DeleteMailbox { mailbox } => {
                let key = self.key_of(*mailbox)?.clone();
                let inbox = key.1 == "INBOX" && planned.actor != Actor::Host;
                if !may(key.0) || inbox || self.below(&key).next().is_some() {
                    return None;
                }
                let held = self.boxes.remove(&key).expect("found");
                self.give_up(key, held.uid_validity);
                assert!(matches!(told, None | Some(Outcome::MailboxDeleted)));
            }
            Intent::RenameMailbox { mailbox, name, .. } => {
                let old = self.key_of(*mailbox)?.clone();
                let new = (old.0, plain(name));
                let within = new.1.starts_with(&format!("{}/", old.1));
                if !may(old.0) || old.1 == "INBOX" || self.boxes.contains_key(&new) || within {
                    return None;
                }
                let mut moved: Vec<_> = self.below(&old).cloned().collect();
                moved.push(old.clone());
                for key in &moved {
                    self.give_up(key.clone(), self.boxes[key].uid_validity);
                }
                for key in moved {
                    let mut held = self.boxes.remove(&key).expect("found");
                    let name = (key.0, format!("{}{}", new.1, &key.1[old.1.len()..]));
                    if let Some(before) = self.given_up.get(&name) {
                        held.floor = held.floor.max(before.unwrap_or(0));
                        // It has kept its own only if it was not below.
                        let kept = |own: &UidValidity| before.is_some_and(|before| before <= own.get());
                        held.uid_validity = held.uid_validity.filter(kept);
                    }
                    self.boxes.insert(name, held);
                }
                self.superiors(new.0, &new.1, told.is_some());
                assert!(matches!(told, None | Some(Outcome::MailboxRenamed)));
            }
            Intent::RenewUidValidity { mailbox, .. } => {
                let key = self.key_of(*mailbox)?.clone();
                (planned.actor == Actor::Host).then_some(())?;
                let held = self.boxes.get_mut(&key)?;
                held.uid_validity = match told {
                    Some(Outcome::UidValidityRenewed { uid_validity }) => Some(uid_validity),
                    None => None,
                    Some(other) => panic!("{other:?} came of a new life"),
                };
            }
            Intent::Subscribe { account, name } => {
                may(account.0).then_some(())?;
                self.subscriptions.insert((account.0, plain(name)));
                assert!(matches!(told, None | Some(Outcome::Subscribed)));
            }
            Intent::Unsubscribe { account, name } => {
                may(account.0).then_some(())?;
                self.subscriptions.remove(&(account.0, plain(name)));
                assert!(matches!(told, None | Some(Outcome::Unsubscribed)));
            }
            Intent::Deliver { mailbox, prefix, date, flags } => {
                let body = planned.body.clone()?;
                let held = self.changeable(*mailbox, created, may)?;
                let keywords = held.learn(&flags.keywords)?;
                let mail = Mail {
                    mod_seq: 0,
                    date: date.0,
                    prefix: prefix.clone(),
                    body,
                    structure: planned.structure.clone(),
                    system: flags.system,
                    keywords,
                };
                held.put(mail, told)?;
            }
            Intent::Copy { from, uid, to, prefix } => {
                let source = self.changeable(*from, created, may)?.clone();
                self.changeable(*to, created, may)?;
                let Some(mail) = source.messages.get(&uid.get()) else {
                    assert!(told.is_none_or(|told| told == Outcome::Gone), "{told:?}");
                    return Some(());
                };
                let has = |name: &&String| mail.keywords.contains(&name.to_ascii_lowercase());
                let names: Vec<_> = source.keywords.iter().filter(has).cloned().collect();
                let to = self.changeable(*to, created, may)?;
                let keywords = to.learn(&names)?;
                to.put(Mail { prefix: prefix.clone(), keywords, ..mail.clone() }, told)?;
            }
            Intent::Store { mailbox, uid, change, unchanged_since } => {
                let held = self.changeable(*mailbox, created, may)?;
                let outcome = held.store(uid.get(), change, unchanged_since.map(|since| since.get()))?;
                let Some(told) = told else { return Some(()) };
                match (outcome, told) {
                    (Stored::Gone, Outcome::Gone) | (Stored::Modified, Outcome::Modified) => {}
                    (Stored::At(mod_seq), Outcome::Stored { mod_seq: of, .. }) => {
                        assert_eq!(mod_seq, of.get());
                    }
                    (outcome, told) => panic!("{told:?}, not {outcome:?}"),
                }
            }
            Intent::Expunge { mailbox, uid, only_deleted } => {
                let held = self.changeable(*mailbox, created, may)?;
                let wanted = |mail: &&Mail| !only_deleted || mail.system.contains(Flags::DELETED);
                let was_there = held.messages.get(&uid.get()).filter(wanted).is_some();
                if was_there {
                    held.messages.remove(&uid.get());
                    held.change();
                }
                assert!(told.is_none_or(|told| told == Outcome::Expunged { was_there }));
            }
            Intent::SetQuota { account, octets, messages } => {
                (planned.actor == Actor::Host).then_some(())?;
                match (octets, messages) {
                    (None, None) => _ = self.quotas.remove(&account.0),
                    limits => _ = self.quotas.insert(account.0, (*limits.0, *limits.1)),
                }
            }
            Intent::Put { table, key, value } => {
                (planned.actor == Actor::Host).then_some(())?;
                self.values.insert((*table, key.clone()), value.clone());
            }
            Intent::Remove { table, key } => {
                (planned.actor == Actor::Host).then_some(())?;
                self.values.remove(&(*table, key.clone()));
                self.holds.remove(&(*table, key.clone()));
            }
            Intent::Hold { table, key } => {
                (planned.actor == Actor::Host).then_some(())?;
                self.holds.insert((*table, key.clone()), planned.body.clone()?);
            }
            _ => return None,
        }
        Some(())
    }

    fn superiors(&mut self, account: u64, name: &str, told: bool) {
        for (at, _) in name.match_indices('/') {
            self.boxes.entry((account, name[..at].to_owned())).or_insert_with(|| Held::new(told));
        }
    }

    fn below(&self, key: &(u64, String)) -> impl Iterator<Item = &(u64, String)> {
        let begin = format!("{}/", key.1);
        self.boxes.keys().filter(move |of| of.0 == key.0 && of.1.starts_with(&begin))
    }

    fn changeable(
        &mut self,
        id: MailboxId,
        created: &Option<(u64, String)>,
        may: impl Fn(u64) -> bool,
    ) -> Option<&mut Held> {
        let key = match id {
            MailboxId::CREATED => created.clone()?,
            id => self.key_of(id)?.clone(),
        };
        if may(key.0) { self.boxes.get_mut(&key) } else { None }
    }
}

#[derive(Debug)]
enum Stored {
    At(u64),
    Modified,
    Gone,
}

impl Held {
    fn store(&mut self, uid: u32, change: &FlagChange, unchanged_since: Option<u64>) -> Option<Stored> {
        let Some(mail) = self.messages.get(&uid).cloned() else { return Some(Stored::Gone) };
        if unchanged_since.is_some_and(|since| mail.mod_seq > since) {
            return Some(Stored::Modified);
        }
        let (mut system, mut keywords) = (mail.system, mail.keywords.clone());
        match change {
            FlagChange::Add(NamedFlags { system: more, keywords: names }) => {
                system = system.union(*more);
                keywords.extend(self.learn(names)?);
            }
            FlagChange::Remove(NamedFlags { system: less, keywords: names }) => {
                system = system.without(*less);
                keywords.retain(|known| !names.iter().any(|name| name.eq_ignore_ascii_case(known)));
            }
            FlagChange::Replace(NamedFlags { system: all, keywords: names }) => {
                (system, keywords) = (*all, self.learn(names)?);
            }
        }
        if (system, &keywords) == (mail.system, &mail.keywords) {
            return Some(Stored::At(mail.mod_seq));
        }
        let mod_seq = self.change();
        self.messages.insert(uid, Mail { mod_seq, system, keywords, ..mail });
        Some(Stored::At(mod_seq))
    }
}
