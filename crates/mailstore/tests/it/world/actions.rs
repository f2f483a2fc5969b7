//! What a host may do, chosen by the seed.

use bytes::Bytes;
use mailstore::mailbox::{AccountId, MailboxId, ModSeq, SpecialUse, Uid};
use mailstore::message::{FlagChange, Flags, NamedFlags, UnixTime};
use mailstore::{Actor, Intent};

use super::World;

impl World {
    /// Does something that a host may do, chosen by the seed.
    pub(crate) fn act(&mut self) {
        let known: Vec<MailboxId> = self.state.boxes.values().filter_map(|held| held.id).collect();
        if known.is_empty() {
            let intent = self.create(1, "INBOX".to_owned());
            return self.commit(None, vec![intent]);
        }
        let mailbox = known[self.random.below(known.len())];
        match self.random.below(36) {
            0 if known.len() < 6 => {
                let (account, name) = (1 + self.random.below(2) as u64, self.name());
                let intent = self.create(account, name);
                self.commit(None, vec![intent]);
            }
            1 if known.len() > 3 => self.commit(None, vec![Intent::DeleteMailbox { mailbox }]),
            0..=8 => {
                let length = [10, 500, 3_000, 12_000, 40_000, 60_000][self.random.below(6)];
                let body = self.body(length);
                let intents = self.deliveries(&known);
                self.commit(Some(body), intents);
            }
            9 | 10 if self.uploads.len() < 3 => {
                let length = 1 + self.random.below(150_000);
                let body = self.body(length);
                let intents = self.deliveries(&known);
                self.upload(body, intents);
            }
            11 | 12 => {
                let intents = self.expunges(mailbox);
                self.commit(None, intents);
            }
            13 => {
                // As clients without MOVE do it: there and gone in one.
                let mut intents = self.expunges(mailbox);
                intents.extend(self.deliveries(&known));
                let body = self.body(700);
                self.commit(Some(body), intents);
            }
            14 | 15 => {
                let (table, key) = (self.random.below(2) as u16, self.random.below(5) as u8);
                let length = self.random.below(3_000);
                let value = self.body(length);
                self.commit(None, vec![Intent::Put { table, key: Bytes::copy_from_slice(&[key]), value }]);
            }
            16 => {
                let (table, key) = (self.random.below(2) as u16, self.random.below(5) as u8);
                self.commit(None, vec![Intent::Remove { table, key: Bytes::copy_from_slice(&[key]) }]);
            }
            17 => {
                if let Some(uploading) = self.uploads.values_mut().next() {
                    uploading.abandoned = true;
                }
            }
            18 | 19 => {
                // A mailbox is emptied, and a record goes.
                let mut intents = self.expunges_of(mailbox, usize::MAX);
                let (table, key) = (self.random.below(2) as u16, self.random.below(5) as u8);
                intents.push(Intent::Remove { table, key: Bytes::copy_from_slice(&[key]) });
                self.commit(None, intents);
            }
            20 => self.hold(mailbox),
            21..=24 => {
                let intents = self.stores(mailbox);
                self.commit_for(mailbox, intents);
            }
            25..=27 => {
                let to = known[self.random.below(known.len())];
                let mut intents = self.copies(mailbox, to);
                if self.random.below(2) == 0 {
                    intents.extend(gone(&intents));
                }
                self.commit_for(mailbox, intents);
            }
            28 | 29 if known.len() < 9 => {
                let name = self.name();
                let now = UnixTime(self.random.below(2_000) as i64);
                self.commit_for(mailbox, vec![Intent::RenameMailbox { mailbox, name, now }]);
            }
            30 if known.len() < 9 => {
                // What is called INBOX stays; what is in it is called something else now.
                let account = self.state.key_of(mailbox).map_or(1, |key| key.0);
                let name = self.name();
                let mut intents = vec![self.create(account, name)];
                intents.extend(self.copies(mailbox, MailboxId::CREATED));
                intents.extend(gone(&intents));
                self.commit_for(mailbox, intents);
            }
            31 | 32 => {
                let (account, name) = (AccountId(1 + self.random.below(2) as u64), self.name());
                let intent = match self.random.below(2) {
                    0 => Intent::Subscribe { account, name },
                    _ => Intent::Unsubscribe { account, name },
                };
                self.commit_for(mailbox, vec![intent]);
            }
            33 => {
                let account = AccountId(1 + self.random.below(2) as u64);
                let octets = [None, Some(150_000), Some(600_000)][self.random.below(3)];
                let messages = [None, Some(6), Some(20)][self.random.below(3)];
                let mut intents = vec![Intent::SetQuota { account, octets, messages }];
                if octets.is_none() && messages.is_none() {
                    intents.push(Intent::RenewUidValidity { mailbox, now: UnixTime(5) });
                }
                self.commit(None, intents);
            }
            _ => self.let_go(),
        }
    }

    /// On behalf of the host, of the account whose mailbox that is, or of one that has nothing to do with it.
    fn commit_for(&mut self, mailbox: MailboxId, intents: Vec<Intent>) {
        let account = self.state.key_of(mailbox).map_or(1, |key| key.0);
        let actor = match self.random.below(8) {
            0 => Actor::Account(AccountId(3)),
            1..=3 => Actor::Host,
            _ => Actor::Account(AccountId(account)),
        };
        self.commit_by(actor, None, intents);
    }

    /// One of a few names, some of them below others.
    fn name(&mut self) -> String {
        const NAMES: [&str; 8] = ["a", "b", "a/b", "a/b/c", "b/c", "inbox", "Inbox/sub", "c/d"];
        NAMES[self.random.below(NAMES.len())].to_owned()
    }

    pub(crate) fn create(&mut self, account: u64, name: String) -> Intent {
        // Not always later than the last one.
        let now = UnixTime(self.random.below(2_000) as i64);
        let special_use = [None, None, None, Some(SpecialUse::Trash), Some(SpecialUse::Sent)];
        let special_use = special_use[self.random.below(5)];
        Intent::CreateMailbox { account: AccountId(account), name, special_use, now }
    }

    fn flags(&mut self) -> NamedFlags {
        let system = Flags::from_bits(self.random.below(32) as u64);
        let mut keywords = Vec::new();
        for name in ["$Forwarded", "Junk", "x", "junk"] {
            if self.random.below(4) == 0 {
                keywords.push(name.to_owned());
            }
        }
        NamedFlags { system, keywords }
    }

    pub(crate) fn stores(&mut self, mailbox: MailboxId) -> Vec<Intent> {
        let uids = self.uids(mailbox, 5);
        let newest = self.state.by_id(mailbox).map_or(1, |held| held.mod_seq);
        uids.into_iter()
            .map(|uid| {
                let flags = self.flags();
                let change = match self.random.below(3) {
                    0 => FlagChange::Add(flags),
                    1 => FlagChange::Remove(flags),
                    _ => FlagChange::Replace(flags),
                };
                let since = 1 + self.random.below(newest as usize) as u64;
                let unchanged_since = (self.random.below(4) == 0).then_some(ModSeq::new(since));
                Intent::Store { mailbox, uid, change, unchanged_since }
            })
            .collect()
    }

    fn copies(&mut self, from: MailboxId, to: MailboxId) -> Vec<Intent> {
        let uids = self.uids(from, 4);
        let held = self.state.by_id(from).expect("known");
        uids.into_iter()
            .map(|uid| {
                let mail = held.messages.get(&uid.get());
                let prefix = mail.map_or_else(Bytes::new, |mail| mail.prefix.clone());
                Intent::Copy { from, uid, to, prefix }
            })
            .collect()
    }

    /// Some messages, each once at most; sometimes one that is not there.
    fn uids(&mut self, mailbox: MailboxId, most: usize) -> Vec<Uid> {
        let held = self.state.by_id(mailbox).expect("known");
        let mut uids: Vec<u32> = held.messages.keys().copied().collect();
        uids.extend(held.uid_next.checked_sub(1).filter(|uid| *uid > 0));
        let count = self.random.below(most).min(uids.len());
        let mut chosen: Vec<u32> = (0..count).map(|_| uids[self.random.below(uids.len())]).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen.into_iter().filter_map(Uid::new).collect()
    }

    fn deliveries(&mut self, known: &[MailboxId]) -> Vec<Intent> {
        let count = 1 + self.random.below(3);
        (0..count)
            .map(|_| match self.random.below(6) {
                0 => {
                    let (table, key) = (self.random.below(2) as u16, self.random.below(5) as u8);
                    Intent::Hold { table, key: Bytes::copy_from_slice(&[key]) }
                }
                _ => {
                    let mailbox = known[self.random.below(known.len())];
                    let mut intent = self.deliver(mailbox);
                    if let Intent::Deliver { flags, .. } = &mut intent
                        && self.random.below(3) == 0
                    {
                        *flags = self.flags();
                    }
                    intent
                }
            })
            .collect()
    }

    fn expunges(&mut self, mailbox: MailboxId) -> Vec<Intent> {
        let held = self.state.by_id(mailbox).expect("known");
        let uids: Vec<u32> = held.messages.keys().copied().collect();
        let count = self.random.below(4).min(uids.len());
        (0..count)
            .map(|_| {
                let uid = uids[self.random.below(uids.len())];
                let only_deleted = self.random.below(3) == 0;
                Intent::Expunge { mailbox, uid: Uid::new(uid).expect("not zero"), only_deleted }
            })
            .collect()
    }

    /// Removes all messages of a mailbox that are there now.
    pub(crate) fn empty(&mut self, mailbox: MailboxId) {
        let intents = self.expunges_of(mailbox, usize::MAX);
        self.commit(None, intents);
    }

    fn expunges_of(&self, mailbox: MailboxId, most: usize) -> Vec<Intent> {
        let held = self.state.by_id(mailbox).expect("known");
        let uids = held.messages.keys().take(most);
        uids.map(|uid| expunge(mailbox, Uid::new(*uid).expect("not zero"))).collect()
    }
}

fn expunge(mailbox: MailboxId, uid: Uid) -> Intent {
    Intent::Expunge { mailbox, uid, only_deleted: false }
}

/// What was copied goes.
fn gone(intents: &[Intent]) -> Vec<Intent> {
    let copied = |intent: &Intent| match intent {
        Intent::Copy { from, uid, .. } => Some(expunge(*from, *uid)),
        _ => None,
    };
    intents.iter().filter_map(copied).collect()
}
