//! Mailboxes, flags and quotas: what the rules are, one by one. The model beside the crashes tries them together.

use std::time::Duration;

use bytes::Bytes;
use mailstore::commit::{Outcome, Receipt};
use mailstore::error::{Refusal, Unavailable};
use mailstore::mailbox::{AccountId, Change, MailboxId, Messages, ModSeq, SpecialUse, Uid};
use mailstore::message::{FlagChange, Flags, NamedFlags, UnixTime};
use mailstore::{Actor, Commit, Event, Failure, Intent, Limits, Source, Store, View};

use crate::world::World;

const ME: AccountId = AccountId(1);
const OTHER: AccountId = AccountId(2);
const BY_ME: Actor = Actor::Account(ME);
const NOW: UnixTime = UnixTime(5);

/// A store, and all that was told beside what was asked for.
struct Site {
    world: World,
    told: Vec<Event>,
}

impl Site {
    fn new(limits: Limits) -> Self {
        let mut site = Self { world: World::new(1, limits), told: Vec::new() };
        site.drive();
        site
    }

    fn drive(&mut self) {
        let World { store, disk, .. } = &mut self.world;
        while let Some(event) = store.poll(Duration::ZERO) {
            match event {
                Event::Operation(operation) => {
                    let result = disk.execute(&operation);
                    store.handle_done(operation, result);
                }
                event => self.told.push(event),
            }
        }
    }

    fn commit(&mut self, commit: Commit) -> Result<Receipt, Refusal> {
        let ticket = self.world.store.commit(commit);
        self.told.clear();
        self.drive();
        for event in &self.told {
            match event {
                Event::Durable(of, receipt) if *of == ticket => return Ok(receipt.clone()),
                Event::Failed(of, Failure::Refused(refusal)) if *of == ticket => return Err(*refusal),
                _ => {}
            }
        }
        panic!("a commit is told of: {:?}", self.told);
    }

    fn by(&mut self, actor: Actor, intent: Intent) -> Result<Outcome, Refusal> {
        self.commit(Commit::of(vec![intent]).by(actor)).map(|receipt| receipt.outcomes[0])
    }

    fn make(&mut self, name: &str) -> Result<MailboxId, Refusal> {
        match self.by(BY_ME, create(ME, name))? {
            Outcome::MailboxCreated { mailbox, .. } => Ok(mailbox),
            other => panic!("{other:?}"),
        }
    }

    fn names(&self) -> Vec<String> {
        let all = self.world.store.mailboxes(BY_ME, ME);
        all.into_iter().map(|status| status.name).collect()
    }

    fn deliver(&mut self, mailbox: MailboxId, count: usize, octets: usize) {
        for _ in 0..count {
            let body = Source::Inline(Bytes::from(vec![b'x'; octets]));
            let intents = vec![deliver(mailbox)];
            self.commit(Commit::delivery(body, intents)).expect("it can be");
        }
    }

    fn load(&mut self, actor: Actor, mailbox: MailboxId) -> Result<View, Unavailable> {
        let ticket = self.world.store.load(actor, mailbox);
        self.drive();
        let mine = |event: &Event| matches!(event, Event::Loaded(of, _) if *of == ticket);
        let at = self.told.iter().position(mine).expect("it is told");
        match self.told.remove(at) {
            Event::Loaded(_, result) => result,
            _ => unreachable!("it was looked for"),
        }
    }
}

fn create(account: AccountId, name: &str) -> Intent {
    Intent::CreateMailbox { account, name: name.to_owned(), special_use: None, now: NOW }
}

fn rename(mailbox: MailboxId, name: &str) -> Intent {
    Intent::RenameMailbox { mailbox, name: name.to_owned(), now: NOW }
}

fn deliver(mailbox: MailboxId) -> Intent {
    Intent::Deliver { mailbox, prefix: Bytes::new(), date: NOW, flags: NamedFlags::NONE }
}

fn uid(number: u32) -> Uid {
    Uid::new(number).expect("not zero")
}

fn small() -> Limits {
    Limits::default().segment(0)
}

/// One function decides who may do what; nothing gets past it.
#[test]
fn nobody_knows_of_what_belongs_to_somebody_else() {
    let mut site = Site::new(small());
    let mine = site.make("a").expect("it can be");
    site.by(Actor::Host, create(OTHER, "b")).expect("it can be");
    let theirs = site.world.store.find(Actor::Host, OTHER, "b").expect("it was made");
    site.deliver(mine, 1, 10);
    site.deliver(theirs, 1, 10);
    let store = &site.world.store;
    assert_eq!(store.status(BY_ME, theirs), None);
    assert_eq!(store.find(BY_ME, OTHER, "b"), None);
    assert!(store.mailboxes(BY_ME, OTHER).is_empty() && store.subscriptions(BY_ME, OTHER).is_empty());
    assert_eq!(store.mailboxes(BY_ME, None).len(), 1);
    assert_eq!(store.quota(BY_ME, OTHER), None);
    assert_eq!(store.mailboxes(Actor::Host, None).len(), 2);
    assert_eq!(site.load(BY_ME, theirs).err(), Some(Unavailable::NoSuchMailbox));
    let (name, account) = ("x".to_owned(), OTHER);
    let change = FlagChange::Add(Flags::SEEN.into());
    let prefix = Bytes::new();
    for intent in [
        create(OTHER, "c"),
        Intent::DeleteMailbox { mailbox: theirs },
        rename(theirs, "x"),
        Intent::Subscribe { account, name: name.clone() },
        Intent::Unsubscribe { account, name },
        deliver(theirs),
        Intent::Copy { from: theirs, uid: uid(1), to: mine, prefix: prefix.clone() },
        Intent::Copy { from: mine, uid: uid(1), to: theirs, prefix },
        Intent::Store { mailbox: theirs, uid: uid(1), change, unchanged_since: None },
        Intent::Expunge { mailbox: theirs, uid: uid(1), only_deleted: false },
        Intent::SetQuota { account: OTHER, octets: None, messages: None },
    ] {
        let what = format!("{intent:?}");
        let commit = Commit::delivery(Source::Inline(Bytes::from_static(b"x")), vec![intent]).by(BY_ME);
        assert_eq!(site.commit(commit), Err(Refusal::NoSuchMailbox), "{what}");
    }
    let key = Bytes::new();
    for intent in [
        Intent::SetQuota { account: ME, octets: None, messages: None },
        Intent::Put { table: 1, key: key.clone(), value: key.clone() },
        Intent::Hold { table: 1, key: key.clone() },
        Intent::Remove { table: 1, key: key.clone() },
    ] {
        let commit = Commit::delivery(Source::Inline(Bytes::from_static(b"x")), vec![intent]).by(BY_ME);
        assert_eq!(site.commit(commit), Err(Refusal::NotAllowed));
    }
    let put = Intent::Put { table: 0xff00, key: key.clone(), value: key };
    assert_eq!(site.by(Actor::Host, put), Err(Refusal::NotAllowed), "the store's own table");
}

#[test]
fn names_make_what_stands_above_them_and_take_along_what_stands_below() {
    let mut site = Site::new(small());
    site.make("inbox").expect("it can be");
    assert_eq!(site.make("INBOX"), Err(Refusal::MailboxExists));
    let leaf = site.make("a/b/c").expect("it can be");
    assert_eq!(site.names(), ["INBOX", "a", "a/b", "a/b/c"]);
    let find = |site: &Site, name| site.world.store.find(BY_ME, ME, name).expect("it is there");
    let top = find(&site, "a");
    assert_eq!(find(&site, "iNbOx"), find(&site, "INBOX"));
    for bad in ["", "a//b", "a/", "x\ry", &"x".repeat(1_025), &vec!["y"; 33].join("/")] {
        assert_eq!(site.make(bad), Err(Refusal::BadName), "{bad}");
        assert_eq!(site.by(BY_ME, rename(top, bad)), Err(Refusal::BadName), "{bad}");
    }
    assert_eq!(site.by(BY_ME, Intent::DeleteMailbox { mailbox: top }), Err(Refusal::HasChildren));
    let inbox = find(&site, "INBOX");
    assert_eq!(site.by(BY_ME, Intent::DeleteMailbox { mailbox: inbox }), Err(Refusal::Inbox));
    assert_eq!(site.by(BY_ME, rename(inbox, "x")), Err(Refusal::Inbox));
    assert_eq!(site.by(BY_ME, rename(top, "a/b/d")), Err(Refusal::BadName), "below itself");
    assert_eq!(site.by(BY_ME, rename(top, "INBOX")), Err(Refusal::MailboxExists));
    let before = site.world.store.status(BY_ME, leaf).expect("it is there");
    site.by(BY_ME, rename(top, "x/y")).expect("it can be");
    assert!(site.told.iter().any(|event| matches!(event, Event::Mailboxes(ME))));
    assert_eq!(site.names(), ["INBOX", "x", "x/y", "x/y/b", "x/y/b/c"]);
    let after = site.world.store.status(BY_ME, leaf).expect("it is there");
    assert_eq!((after.id, after.uid_validity), (before.id, before.uid_validity));
    assert_eq!(site.world.store.find(BY_ME, ME, "a/b"), None);
    let deep = vec!["z"; 31].join("/");
    assert_eq!(site.by(BY_ME, rename(top, &deep)), Err(Refusal::BadName), "what is below would be too deep");
    // Two names, one after the other, in one commit: each sees what the one before it has done.
    let intents = vec![Intent::DeleteMailbox { mailbox: leaf }, rename(top, "y"), create(ME, "x/y")];
    site.commit(Commit::of(intents).by(BY_ME)).expect("it can be");
    assert_eq!(site.names(), ["INBOX", "x", "x/y", "y", "y/b"]);
}

#[test]
fn what_is_in_inbox_moves_in_one_commit_with_a_new_mailbox() {
    let mut site = Site::new(small());
    let inbox = site.make("INBOX").expect("it can be");
    site.deliver(inbox, 3, 10);
    let mut intents = vec![create(ME, "old/mail")];
    for number in 1..=3 {
        let (from, uid, to) = (inbox, uid(number), MailboxId::CREATED);
        intents.push(Intent::Copy { from, uid, to, prefix: Bytes::new() });
        intents.push(Intent::Expunge { mailbox: inbox, uid, only_deleted: false });
    }
    let before = site.world.store.counters().octets;
    let receipt = site.commit(Commit::of(intents).by(BY_ME)).expect("it can be");
    assert!(site.world.store.counters().octets - before < 800, "no body is written again");
    let Outcome::MailboxCreated { mailbox, .. } = receipt.outcomes[0] else { panic!("{receipt:?}") };
    let messages = |site: &Site, id| site.world.store.status(BY_ME, id).map(|status| status.messages);
    assert_eq!((messages(&site, inbox), messages(&site, mailbox)), (Some(0), Some(3)));
    assert_eq!(site.by(BY_ME, deliver(MailboxId::CREATED)), Err(Refusal::NoBody));
    let commit = Commit::delivery(Source::Inline(Bytes::new()), vec![deliver(MailboxId::CREATED)]);
    assert_eq!(site.commit(commit), Err(Refusal::NoSuchMailbox), "nothing was made before");
}

#[test]
fn flags_change_when_they_are_others_and_keywords_keep_their_places() {
    let mut site = Site::new(small());
    let mailbox = site.make("a").expect("it can be");
    site.deliver(mailbox, 2, 10);
    let store = |change, unchanged_since| Intent::Store { mailbox, uid: uid(1), change, unchanged_since };
    let named = |system, keywords: &[&str]| NamedFlags {
        system,
        keywords: keywords.iter().map(|name| (*name).to_owned()).collect(),
    };
    let stored = |mod_seq, flags| Ok(Outcome::Stored { mod_seq: ModSeq::new(mod_seq), flags });
    let key = |place| Flags::keyword(place).expect("there are 56");
    let both = Flags::SEEN.union(key(0));
    let add = store(FlagChange::Add(named(Flags::SEEN, &["Junk", "junk"])), None);
    assert_eq!(site.by(BY_ME, add.clone()), stored(4, both));
    assert_eq!(site.by(BY_ME, add), stored(4, both), "nothing has changed");
    assert!(!site.told.iter().any(|event| matches!(event, Event::Changed(..))));
    let remove = store(FlagChange::Remove(named(Flags::SEEN, &["unknown"])), Some(ModSeq::new(3)));
    assert_eq!(site.by(BY_ME, remove), Ok(Outcome::Modified));
    let replace = store(FlagChange::Replace(named(Flags::from_bits(!0), &["x"])), Some(ModSeq::new(4)));
    assert_eq!(site.by(BY_ME, replace), stored(5, Flags::SYSTEM.union(key(1))));
    let status = site.world.store.status(BY_ME, mailbox).expect("it is there");
    assert_eq!(
        (status.keywords.to_vec(), status.unseen, status.deleted),
        (vec!["Junk".into(), "x".into()], 1, 1)
    );
    assert_eq!(status.highest_mod_seq, ModSeq::new(5));
    let gone = Intent::Store {
        mailbox,
        uid: uid(9),
        change: FlagChange::Add(Flags::SEEN.into()),
        unchanged_since: None,
    };
    assert_eq!(site.by(BY_ME, gone), Ok(Outcome::Gone));
    // All of one commit has one modification sequence.
    let all = |number| Intent::Store {
        mailbox,
        uid: uid(number),
        change: FlagChange::Replace(Flags::DELETED.into()),
        unchanged_since: None,
    };
    let receipt = site.commit(Commit::of(vec![all(1), all(2)]).by(BY_ME)).expect("it can be");
    let seven = Outcome::Stored { mod_seq: ModSeq::new(6), flags: Flags::DELETED };
    assert_eq!(receipt.outcomes, [seven, seven]);
    let many: Vec<_> = (0..54).map(|number| format!("k{number}")).collect();
    let add = |keywords| store(FlagChange::Add(NamedFlags { system: Flags::NONE, keywords }), None);
    assert!(site.by(BY_ME, add(many)).is_ok());
    assert_eq!(site.by(BY_ME, add(vec!["more".to_owned()])), Err(Refusal::TooManyKeywords));
    assert_eq!(site.by(BY_ME, add(vec!["two words".to_owned()])), Err(Refusal::BadKeyword));
    let expunge = |number| Intent::Expunge { mailbox, uid: uid(number), only_deleted: true };
    site.by(BY_ME, store(FlagChange::Remove(Flags::DELETED.into()), None)).expect("it can be");
    let receipt = site.commit(Commit::of(vec![expunge(1), expunge(2)]).by(BY_ME)).expect("it can be");
    let was = |was_there| Outcome::Expunged { was_there };
    assert_eq!(receipt.outcomes, [was(false), was(true)]);
}

#[test]
fn an_account_gets_not_beyond_its_quota_but_the_host_does() {
    let mut site = Site::new(small());
    let (from, to) = (site.make("a").expect("it can be"), site.make("b").expect("it can be"));
    let (octets, messages) = (Some(1_000), Some(4));
    site.by(Actor::Host, Intent::SetQuota { account: ME, octets, messages }).expect("it can be");
    site.deliver(from, 2, 400);
    let append = |octets| {
        Commit::delivery(Source::Inline(Bytes::from(vec![b'x'; octets])), vec![deliver(from)]).by(BY_ME)
    };
    assert_eq!(site.commit(append(201)), Err(Refusal::OverQuota));
    site.commit(append(200)).expect("there is just room");
    let copy = |number| Intent::Copy { from, uid: uid(number), to, prefix: Bytes::new() };
    assert_eq!(site.by(BY_ME, copy(1)), Err(Refusal::OverQuota), "a copy counts like what it is a copy of");
    let moved = vec![copy(1), Intent::Expunge { mailbox: from, uid: uid(1), only_deleted: false }];
    site.commit(Commit::of(moved).by(BY_ME)).expect("what is moved adds nothing");
    site.deliver(from, 1, 300);
    let quota = site.world.store.quota(BY_ME, ME).expect("it is mine");
    assert_eq!(
        (quota.used_octets, quota.used_messages),
        (1_300, 4),
        "what comes from others is the host's affair"
    );
    assert_eq!((quota.limit_octets, quota.limit_messages), (octets, messages));
    // Beyond the limit, what makes it less is still possible.
    let expunge = Intent::Expunge { mailbox: from, uid: uid(2), only_deleted: false };
    site.by(BY_ME, expunge).expect("it can be");
    site.by(Actor::Host, Intent::SetQuota { account: ME, octets: None, messages: Some(4) })
        .expect("it can be");
    site.commit(append(5_000)).expect("the fourth message");
    assert_eq!(site.commit(append(0)), Err(Refusal::OverQuota), "the fifth");
    site.by(Actor::Host, Intent::DeleteMailbox { mailbox: from }).expect("it can be");
    let quota = site.world.store.quota(BY_ME, ME).expect("it is mine");
    assert_eq!((quota.used_octets, quota.used_messages), (400, 1));
}

#[test]
fn a_hundred_thousand_flags_fit_into_one_commit() {
    let mut site = Site::new(Limits::default());
    let mailbox = site.make("a").expect("it can be");
    for _ in 0..10 {
        let intents = (0..10_000).map(|_| deliver(mailbox)).collect();
        let body = Source::Inline(Bytes::from_static(b"x"));
        site.commit(Commit::delivery(body, intents)).expect("it can be");
    }
    let before = site.world.store.counters().octets;
    let store = |number| Intent::Store {
        mailbox,
        uid: uid(number),
        change: FlagChange::Add(Flags::SEEN.into()),
        unchanged_since: None,
    };
    let intents: Vec<_> = (1..=100_000).map(store).collect();
    let receipt = site.commit(Commit::of(intents).by(BY_ME)).expect("it fits");
    assert_eq!(receipt.outcomes.len(), 100_000);
    assert!(site.world.store.counters().octets - before < 49 * 100_000);
    let status = site.world.store.status(BY_ME, mailbox).expect("it is there");
    assert_eq!((status.messages, status.unseen), (100_000, 0));
    // Not everything fits; then nothing has happened.
    let delete = |number: u32| Intent::Store {
        mailbox,
        uid: uid(number % 100_000 + 1),
        change: if number < 100_000 {
            FlagChange::Add(Flags::DELETED.into())
        } else {
            FlagChange::Remove(Flags::DELETED.into())
        },
        unchanged_since: None,
    };
    let intents: Vec<_> = (0..200_000).map(delete).collect();
    assert_eq!(site.commit(Commit::of(intents).by(BY_ME)), Err(Refusal::TooLarge));
    let status = site.world.store.status(BY_ME, mailbox).expect("it is there");
    assert_eq!(status.deleted, 0);
}

/// What two moments differ in, by looking at everything.
fn differences(new: &Messages, old: &Messages) -> Vec<String> {
    let mut found = Vec::new();
    let uids = new.iter().chain(old.iter()).map(|message| message.uid());
    for uid in std::collections::BTreeSet::from_iter(uids) {
        match (new.find(uid), old.find(uid)) {
            (Some(now), Some(was)) if now.mod_seq() != was.mod_seq() => {
                found.push(format!("{uid} at {:?} changed to {:?}", new.index_of(uid), now.flags()));
            }
            (Some(_), Some(_)) => {}
            (Some(_), None) => found.push(format!("{uid} came at {:?}", new.index_of(uid))),
            (None, _) => found.push(format!("{uid} at {:?} went", old.index_of(uid))),
        }
    }
    found
}

#[test]
fn two_moments_of_a_mailbox_differ_in_what_has_changed() {
    let mut site = Site::new(small());
    let mailbox = site.make("a").expect("it can be");
    for _ in 0..4 {
        let intents = (0..500).map(|_| deliver(mailbox)).collect();
        let body = Source::Inline(Bytes::from_static(b"x"));
        site.commit(Commit::delivery(body, intents)).expect("it can be");
    }
    let mut views = vec![site.load(BY_ME, mailbox).expect("it is there")];
    for round in 0..60_u32 {
        let last = views.last().expect("there is one").messages.clone();
        let mut intents = Vec::new();
        for step in 0..round % 7 * 9 {
            let Some(message) = last.get((round * 97 + step * 31) as usize % last.len()) else { continue };
            let uid = message.uid();
            intents.push(match step % 3 {
                0 => Intent::Expunge { mailbox, uid, only_deleted: false },
                _ => Intent::Store {
                    mailbox,
                    uid,
                    change: FlagChange::Add(Flags::FLAGGED.into()),
                    unchanged_since: None,
                },
            });
        }
        if round % 5 == 0 {
            // A whole stretch goes, so that runs become one.
            let gone = last.slice(300..700).map(|message| message.uid());
            intents.extend(gone.map(|uid| Intent::Expunge { mailbox, uid, only_deleted: false }).take(150));
        }
        intents.extend((0..round % 4).map(|_| deliver(mailbox)));
        let body = Source::Inline(Bytes::from_static(b"x"));
        site.commit(Commit::delivery(body, intents)).expect("it can be");
        let view = site.load(BY_ME, mailbox).expect("it is there");
        for old in views.iter().map(|view| &view.messages) {
            let told: Vec<_> = view
                .messages
                .changes_since(old)
                .map(|change| match change {
                    Change::Gone { index, uid } => format!("{uid} at {:?} went", Some(index)),
                    Change::Changed { index, message } => {
                        format!("{} at {:?} changed to {:?}", message.uid(), Some(index), message.flags())
                    }
                    Change::Came { index, message } => format!("{} came at {:?}", message.uid(), Some(index)),
                })
                .collect();
            assert_eq!(told, differences(&view.messages, old));
        }
        let all = &view.messages;
        for (index, message) in all.iter().enumerate() {
            assert_eq!(all.get(index).map(|message| message.uid()), Some(message.uid()));
            assert_eq!(all.index_of(message.uid()), Some(index));
        }
        let range = all.range(uid(200)..=uid(1_000));
        let by_hand = all.iter().filter(|message| (200..=1_000).contains(&message.uid().get())).count();
        assert_eq!(range.len(), by_hand);
        let sliced = all.slice(range.clone()).map(|message| message.uid());
        assert!(sliced.eq(range.filter_map(|index| all.get(index)).map(|message| message.uid())));
        assert!(all.get(all.len()).is_none() && all.range(uid(90_000)..=uid(99_999)).is_empty());
        views.push(view);
        if views.len() > 6 {
            let old = views.remove(0);
            site.world.store.release(old);
        }
    }
}

#[test]
fn special_uses_and_subscriptions_are_told_and_kept() {
    let mut site = Site::new(small());
    let (account, name) = (ME, "Trash".to_owned());
    let special_use = Some(SpecialUse::Trash);
    site.by(BY_ME, Intent::CreateMailbox { account, name, special_use, now: NOW }).expect("it can be");
    let subscribe = |name: &str| Intent::Subscribe { account, name: name.to_owned() };
    let unsubscribe = |name: &str| Intent::Unsubscribe { account, name: name.to_owned() };
    for (intent, told) in [
        (subscribe("inbox"), true),
        (subscribe("INBOX"), false),
        (subscribe("nowhere/at all"), true),
        (unsubscribe("never"), false),
        (subscribe("Trash"), true),
        (unsubscribe("Trash"), true),
    ] {
        site.by(BY_ME, intent.clone()).expect("it can be");
        let is_told = site.told.iter().any(|event| matches!(event, Event::Mailboxes(ME)));
        assert_eq!(is_told, told, "{intent:?}");
    }
    assert_eq!(site.by(BY_ME, subscribe("a//b")), Err(Refusal::BadName));
    assert_eq!(site.world.store.subscriptions(BY_ME, ME), ["INBOX", "nowhere/at all"]);
    site.world.store = Store::new(small(), 9);
    site.drive();
    assert_eq!(site.world.store.subscriptions(BY_ME, ME), ["INBOX", "nowhere/at all"]);
    let status = &site.world.store.mailboxes(BY_ME, ME)[0];
    assert_eq!((&*status.name, status.special_use), ("Trash", special_use));
}

#[test]
fn a_structure_needs_a_body_and_has_a_limit() {
    let mut site = Site::new(small());
    let mailbox = site.make("a").expect("it can be");
    let structure = |octets| Some(Bytes::from(vec![b's'; octets]));
    assert_eq!(site.commit(Commit::of(vec![]).with_structure(structure(1))), Err(Refusal::NoBody));
    let with = |octets| {
        let body = Source::Inline(Bytes::from_static(b"x"));
        Commit::delivery(body, vec![deliver(mailbox)]).with_structure(structure(octets))
    };
    assert_eq!(site.commit(with((64 << 10) + 1)), Err(Refusal::TooLarge));
    site.commit(with(64 << 10)).expect("it can be");
    let view = site.load(BY_ME, mailbox).expect("it is there");
    let message = view.messages.get(0).expect("it was delivered");
    assert_eq!(message.structure().map(|stretch| stretch.size()), Some(64 << 10));
    assert_eq!(message.size(), 1);
    site.world.store.release(view);
}

#[test]
fn a_name_never_gets_a_lower_uid_validity() {
    let mut site = Site::new(small());
    let old = site.make("old").expect("it can be");
    let young = site.make("young").expect("it can be");
    let validity =
        |site: &Site, mailbox| site.world.store.status(BY_ME, mailbox).expect("there").uid_validity;
    let (before, under_young) = (validity(&site, old), validity(&site, young));
    site.by(BY_ME, rename(old, "elsewhere")).expect("it can be");
    site.by(BY_ME, rename(old, "old")).expect("it can be");
    assert_eq!(validity(&site, old), before, "nobody else has had either name");
    site.by(BY_ME, Intent::DeleteMailbox { mailbox: young }).expect("it can be");
    site.by(BY_ME, rename(old, "young")).expect("it can be");
    let after = validity(&site, old);
    assert!(after > under_young, "RFC 9051 section 2.3.1.1: {after} after {under_young}");
    // In one commit, and below another name.
    let above = site.make("a").expect("it can be");
    let below = site.make("a/c").expect("it can be");
    let later = site.make("b/c").expect("it can be");
    let later_validity = validity(&site, later);
    let parent = site.world.store.find(BY_ME, ME, "b").expect("made with what is below");
    let delete = |mailbox| Intent::DeleteMailbox { mailbox };
    let commit = Commit::of(vec![delete(later), delete(parent), rename(above, "b")]).by(BY_ME);
    site.commit(commit).expect("it can be");
    assert!(validity(&site, below) > later_validity);
}

#[test]
fn names_are_given_up_in_bounded_memory() {
    let mut site = Site::new(small());
    let old = site.make("old").expect("it can be");
    for number in 0..5_000 {
        let create = create(ME, &format!("{number}"));
        let delete = Intent::DeleteMailbox { mailbox: MailboxId::CREATED };
        site.commit(Commit::of(vec![create, delete]).by(BY_ME)).expect("it can be");
    }
    let last = site.make("last").expect("it can be");
    let status = |site: &Site, mailbox| site.world.store.status(BY_ME, mailbox).expect("there").uid_validity;
    let youngest = status(&site, last);
    site.by(BY_ME, Intent::DeleteMailbox { mailbox: last }).expect("it can be");
    site.by(BY_ME, rename(old, "last")).expect("it can be");
    assert!(status(&site, old) > youngest);
    let remembered = site.world.store.table(0xff01).records;
    assert!((4_000..4_200).contains(&remembered), "{remembered}");
}
