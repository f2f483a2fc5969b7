//! A mailbox that is much larger than what is read at once: what the first look at it costs, and what that look shows.

use std::time::Duration;

use bytes::Bytes;
use mailstore::mailbox::{AccountId, MailboxId, Uid};
use mailstore::message::{Flags, NamedFlags, UnixTime};
use mailstore::operation::{File, Operation};
use mailstore::sim::Disk;
use mailstore::store::Ticket;
use mailstore::{Actor, Commit, Event, Intent, Limits, Source, Store, View};

/// A store with one mailbox, and all that it has asked of its disk and told since.
struct Site {
    store: Store,
    disk: Disk,
    mailbox: MailboxId,
    /// Where the store has read in snapshots, and how much.
    reads: Vec<(u64, u64)>,
    /// How much it has written to snapshots at once, each time.
    writes: Vec<usize>,
    told: Vec<Event>,
}

impl Site {
    /// Opens what there is. No snapshot is written any more.
    fn open(disk: Disk) -> Self {
        let mut site = Self::with(disk, Store::new(Limits::default(), 1));
        site.mailbox = site.store.find(Actor::Host, ME, "INBOX").expect("there is one");
        site
    }

    fn with(disk: Disk, store: Store) -> Self {
        let (reads, writes, told) = (Vec::new(), Vec::new(), Vec::new());
        let mut site = Self { store, disk, mailbox: MailboxId::CREATED, reads, writes, told };
        site.drive();
        assert!(matches!(site.told[..], [Event::Ready(_)]), "{:?}", site.told);
        site.told.clear();
        site.reads.clear();
        site
    }

    /// So many messages, of which the last snapshot has all.
    fn filled(count: u32) -> Self {
        let mut site = Self::with(Disk::new(1), Store::new(Limits::default(), 1));
        let (name, now) = ("INBOX".to_owned(), UnixTime(0));
        site.commit(vec![Intent::CreateMailbox { account: ME, name, special_use: None, now }]);
        site.mailbox = site.store.find(Actor::Host, ME, "INBOX").expect("it was made");
        for begin in (0..count).step_by(5_000) {
            site.deliver(begin..count.min(begin + 5_000));
        }
        // A snapshot is written at once.
        let site = Self::with(site.disk, Store::rebuilding(Limits::default(), 2));
        Self::open(site.disk)
    }

    fn deliver(&mut self, dates: std::ops::Range<u32>) {
        let (mailbox, prefix, flags) = (self.mailbox, Bytes::new(), NamedFlags::NONE);
        let deliver = |date: u32| Intent::Deliver {
            mailbox,
            prefix: prefix.clone(),
            date: UnixTime(date.into()),
            flags: flags.clone(),
        };
        let body = Source::Inline(Bytes::from_static(b"x"));
        self.store.commit(Commit::delivery(body, dates.map(deliver).collect()));
        self.drive();
    }

    fn commit(&mut self, intents: Vec<Intent>) {
        self.store.commit(Commit::of(intents));
        self.drive();
    }

    fn expunge(&mut self, uids: impl Iterator<Item = u32>) {
        let mailbox = self.mailbox;
        self.commit(
            uids.map(|number| Intent::Expunge { mailbox, uid: uid(number), only_deleted: false }).collect(),
        );
    }

    fn drive(&mut self) {
        while self.step() {}
    }

    /// One operation, or one event.
    fn step(&mut self) -> bool {
        match self.store.poll(Duration::ZERO) {
            Some(Event::Operation(operation)) => {
                if let Operation::Read { file: File::Snapshot(_), at, length } = operation {
                    self.reads.push((at, length));
                }
                if let Operation::Write { file: File::Snapshot(_), data, .. } = &operation {
                    self.writes.push(data.iter().map(Bytes::len).sum());
                }
                let result = self.disk.execute(&operation);
                self.store.handle_done(operation, result);
            }
            Some(event) => self.told.push(event),
            None => return false,
        }
        true
    }

    fn load(&mut self) -> View {
        let ticket = self.store.load(Actor::Host, self.mailbox);
        self.drive();
        self.shown(ticket)
    }

    fn load_newest(&mut self, count: usize) -> View {
        let ticket = self.store.load_newest(Actor::Host, self.mailbox, count);
        self.drive();
        self.shown(ticket)
    }

    fn shown(&mut self, ticket: Ticket) -> View {
        let mine = |event: &Event| matches!(event, Event::Loaded(of, _) if *of == ticket);
        let at = self.told.iter().position(mine).expect("it is told");
        match self.told.remove(at) {
            Event::Loaded(_, result) => result.expect("it can be read"),
            _ => unreachable!("it was looked for"),
        }
    }

    /// Octets that have been read since this was asked last, and the most at once.
    fn read(&mut self) -> (u64, u64) {
        let reads = std::mem::take(&mut self.reads);
        let lengths = || reads.iter().map(|(_, length)| *length);
        (lengths().sum(), lengths().max().unwrap_or(0))
    }
}

#[test]
fn the_newest_messages_are_read_from_the_end_and_nothing_else() {
    let mut site = Site::filled(ALL);
    let view = site.load_newest(600);
    let two = 2 * BLOCK;
    assert_eq!(site.reads.len(), 1, "{:?}", site.reads);
    let (octets, _) = site.read();
    assert!(octets <= two, "{octets} octets for 600 messages of {ALL}");
    assert_eq!((view.messages.len(), view.messages.missing()), (ALL as usize, ALL as usize - 600));
    assert_eq!(uids(&view), (ALL - 599..=ALL).collect::<Vec<_>>());
    assert!(
        view.messages.iter().all(|message| message.date() == UnixTime(i64::from(message.uid().get()) - 1))
    );
    assert_eq!(view.status.messages, ALL.into());
    assert_eq!(site.store.counters().loads, 0, "nothing is kept");

    // As many as one read has, and more.
    let most = site.load_newest(18_000);
    assert_eq!((most.messages.iter().count(), site.reads.len()), (18_000, 1));
    let (octets, _) = site.read();
    assert!(octets <= SLICE, "{octets} octets");
    let all = site.load_newest(20_000);
    assert_eq!((all.messages.len(), all.messages.missing()), (ALL as usize, 0));
    site.read();
    let again = site.load_newest(600);
    assert_eq!((again.messages.missing(), site.read()), (0, (0, 0)), "all are in memory by now");
    for view in [view, most, all, again] {
        site.store.release(view);
    }
}

#[test]
fn a_large_mailbox_is_read_slice_by_slice() {
    let mut site = Site::filled(ALL);
    let view = site.load();
    let (octets, most) = site.read();
    assert_eq!(octets, 52 * u64::from(ALL) + 8 * u64::from(ALL.div_ceil(1_200)), "each octet once");
    assert!(most <= SLICE, "{most} octets at once");
    assert_eq!(uids(&view), (1..=ALL).collect::<Vec<_>>());
    assert_eq!(view.messages.missing(), 0);
    site.store.release(view);
}

/// Whoever waits for the disk meanwhile waits for a slice at most; and no more than that is in memory.
#[test]
fn a_large_mailbox_is_written_slice_by_slice() {
    let site = Site::filled(ALL);
    let site = Site::with(site.disk, Store::rebuilding(Limits::default(), 3));
    let most = site.writes.iter().max().expect("a snapshot is written");
    assert!(*most as u64 <= SLICE + BLOCK, "{most} octets at once");
    assert!(site.writes.iter().sum::<usize>() > 52 * ALL as usize, "all of it");
    let mut site = Site::open(site.disk);
    let view = site.load();
    assert_eq!(uids(&view), (1..=ALL).collect::<Vec<_>>());
    site.store.release(view);
}

#[test]
fn others_do_not_wait_for_all_of_a_large_mailbox() {
    let mut site = Site::filled(ALL);
    let whole = site.store.load(Actor::Host, site.mailbox);
    while site.reads.is_empty() {
        assert!(site.step());
    }
    // One slice has been read when a message comes, and somebody wants to see it.
    let intents = vec![Intent::Deliver {
        mailbox: site.mailbox,
        prefix: Bytes::new(),
        date: UnixTime(7),
        flags: NamedFlags::NONE,
    }];
    let delivered = site.store.commit(Commit::delivery(Bytes::from_static(b"y").into(), intents));
    while !site.told.iter().any(|event| matches!(event, Event::Durable(of, _) if *of == delivered)) {
        assert!(site.step());
    }
    let newest = site.store.load_newest(Actor::Host, site.mailbox, 600);
    let is = |ticket: Ticket| move |event: &Event| matches!(event, Event::Loaded(of, _) if *of == ticket);
    while !site.told.iter().any(is(newest)) {
        assert!(site.step());
    }
    assert!(!site.told.iter().any(is(whole)), "the rest of it is read behind them");
    let newest = site.shown(newest);
    assert_eq!(uids(&newest), (ALL - 598..=ALL + 1).collect::<Vec<_>>());
    site.drive();
    let whole = site.shown(whole);
    assert_eq!(uids(&whole), (1..=ALL + 1).collect::<Vec<_>>());
    let read: Vec<_> = site.reads.iter().map(|(at, _)| *at).collect();
    assert_eq!(read.len(), 4, "{read:?}");
    site.store.release(newest);
    site.store.release(whole);
}

#[test]
fn the_newest_are_as_they_are_and_not_as_the_snapshot_has_them() {
    let mut site = Site::filled(ALL);
    let seen = mailstore::message::FlagChange::Add(Flags::SEEN.into());
    let mailbox = site.mailbox;
    site.commit(vec![Intent::Store { mailbox, uid: uid(ALL - 5), change: seen, unchanged_since: None }]);
    site.expunge((ALL - 400..ALL).filter(|number| number % 2 == 0));
    site.deliver(0..3);
    let all = uids(&{ site.load() });
    let mut site = Site::open(site.disk);
    let view = site.load_newest(600);
    let (octets, _) = site.read();
    assert!(octets <= 2 * BLOCK, "{octets} octets");
    assert_eq!(uids(&view)[..], all[all.len() - 600..]);
    assert_eq!((view.messages.len(), view.messages.missing()), (all.len(), all.len() - 600));
    let is_seen = |message: &mailstore::message::Message| message.flags().contains(Flags::SEEN);
    let seen: Vec<_> = view.messages.iter().filter(is_seen).map(|message| message.uid().get()).collect();
    assert_eq!(seen, [ALL - 5]);
    site.store.release(view);
}

#[test]
fn where_too_many_of_the_newest_are_gone_all_are_shown() {
    let mut site = Site::filled(ALL);
    site.expunge(ALL - 2_400..ALL);
    let mut site = Site::open(site.disk);
    let view = site.load_newest(600);
    assert_eq!((view.messages.len(), view.messages.missing()), (ALL as usize - 2_400, 0));
    assert_eq!(view.messages.get(view.messages.len() - 1).map(|message| message.uid()), Some(uid(ALL)));
    site.store.release(view);
}

#[test]
fn where_the_end_is_damaged_the_journal_has_it() {
    let mut site = Site::filled(ALL);
    site.store.load_newest(Actor::Host, site.mailbox, 600);
    site.drive();
    let (at, length) = site.reads[0];
    let snapshot = site.disk.files().find(|file| matches!(file, File::Snapshot(_))).expect("there is one");
    let mut site = Site::open(site.disk);
    site.disk.flip(snapshot, (at + length - 100) as usize * 8);
    let view = site.load_newest(600);
    assert_eq!((view.messages.len(), view.messages.missing()), (ALL as usize, 0));
    assert_eq!(uids(&view), (1..=ALL).collect::<Vec<_>>());
    site.store.release(view);
}

#[test]
fn a_message_whose_body_damage_has_taken_is_not_shown() {
    let mut site = Site::filled(700);
    // What stands behind it says that it was synced.
    site.deliver(0..1);
    site.deliver(0..1);
    let view = site.load();
    let last = view.messages.get(700).expect("it has come");
    let body = last.locate(0..u64::MAX).last().expect("it has a body").extent();
    let mut disk = site.disk;
    disk.flip(body.file, body.at as usize * 8);
    let mut site = Site::open(disk);
    let newest = site.load_newest(600);
    assert_eq!((newest.messages.len(), newest.messages.missing()), (701, 101));
    assert_eq!(uids(&newest), (102..=700).chain([702]).collect::<Vec<_>>());
    let all = site.load();
    assert_eq!((uids(&all), all.status.messages), ((1..=700).chain([702]).collect::<Vec<_>>(), 701));
    for view in [newest, all] {
        site.store.release(view);
    }
}

fn uids(view: &View) -> Vec<u32> {
    view.messages.iter().map(|message| message.uid().get()).collect()
}

fn uid(number: u32) -> Uid {
    Uid::new(number).expect("not zero")
}

const ME: AccountId = AccountId(1);
/// Messages: three slices of a section, the last of which ends within a block.
const ALL: u32 = 45_000;
/// Octets of a block of a section, and of what is read at once.
const BLOCK: u64 = 8 + 1_200 * 52;
const SLICE: u64 = 1 << 20;
