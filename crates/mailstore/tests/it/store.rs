//! What a store does on a disk that works.
#![allow(clippy::disallowed_methods, reason = "the driver over std::fs is tested on a real directory")]

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use mailstore::commit::{Outcome, Receipt};
use mailstore::error::Refusal;
use mailstore::mailbox::{AccountId, MailboxId, Uid};
use mailstore::message::{NamedFlags, UnixTime};
use mailstore::operation::{Dir, DiskError, Done, File, Operation};
use mailstore::os;
use mailstore::store::Ticket;
use mailstore::{Actor, Commit, Event, Failure, Intent, Limits, Source, Store};

use crate::world::{World, small};

fn nothing(_: &World, _: &mailstore::sim::Disk) {}

fn open() -> World {
    let mut world = World::new(1, Limits::default().segment(0));
    world.drain(&mut nothing);
    world
}

/// What comes of one commit, told straight from the store.
fn outcome(world: &mut World, commit: Commit) -> Result<Receipt, Failure> {
    let ticket = world.store.commit(commit);
    while let Some(event) = world.store.poll(Duration::ZERO) {
        match event {
            Event::Operation(operation) => {
                let result = world.disk.execute(&operation);
                world.store.handle_done(operation, result);
            }
            Event::Durable(of, receipt) if of == ticket => return Ok(receipt),
            Event::Failed(of, failure) if of == ticket => return Err(failure),
            _ => {}
        }
    }
    panic!("a commit is told of");
}

fn create(name: &str) -> Intent {
    let (account, name, now) = (AccountId(1), name.to_owned(), UnixTime(5));
    Intent::CreateMailbox { account, name, special_use: None, now }
}

fn deliver(mailbox: MailboxId) -> Intent {
    let prefix = Bytes::from_static(b"Return-Path: <>\r\n");
    Intent::Deliver { mailbox, prefix, date: UnixTime(9), flags: NamedFlags::NONE }
}

#[test]
fn stores_and_uploads_can_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    check::<Store>();
    check::<mailstore::upload::Upload>();
    check::<mailstore::verify::Verification>();
    check::<os::Disk>();
}

#[test]
fn one_message_for_three_is_one_batch_with_one_sync_and_one_body() {
    let mut world = open();
    let mailboxes = ["a", "b", "c"].map(|name| world.mailbox(name));
    let before = world.store.counters();
    let body = world.body(50_000);
    let intents = mailboxes.map(|mailbox| world.deliver(mailbox)).into();
    world.commit(Some(body), intents);
    world.drain(&mut nothing);
    let after = world.store.counters();
    assert_eq!((after.commits - before.commits, after.batches - before.batches), (1, 1));
    assert_eq!(after.syncs - before.syncs, 1);
    assert!(after.octets - before.octets < 51_000, "one body");
    world.check();
    let bodies: BTreeSet<_> = mailboxes
        .iter()
        .map(|id| world.load(*id).map(|view| view.messages.get(0).map(|message| message.body())))
        .collect();
    assert_eq!(bodies.len(), 1);
}

#[test]
fn commits_that_come_while_a_sync_runs_share_the_next_one() {
    let mut world = open();
    let mailbox = world.mailbox("a");
    let before = world.store.counters();
    let intents = vec![world.deliver(mailbox)];
    world.commit(Some(Bytes::from_static(b"first")), intents);
    let Some(Event::Operation(write)) = world.store.poll(Duration::ZERO) else { panic!("a batch") };
    assert!(world.store.poll(Duration::ZERO).is_none(), "one batch at a time");
    let tickets: Vec<Ticket> = (0..1_000)
        .map(|_| {
            let intents = vec![world.deliver(mailbox)];
            world.store.commit(Commit::delivery(Source::from(Bytes::from_static(b"more")), intents))
        })
        .collect();
    assert!(world.store.poll(Duration::ZERO).is_none());
    assert_eq!(
        world.store.status(Actor::Host, mailbox).map(|status| status.messages),
        Some(0),
        "nothing is shown too early"
    );
    let result = world.disk.execute(&write);
    world.store.handle_done(write, result);
    let mut durable = Vec::new();
    while let Some(event) = world.store.poll(Duration::ZERO) {
        match event {
            Event::Operation(operation) => {
                let result = world.disk.execute(&operation);
                world.store.handle_done(operation, result);
            }
            Event::Durable(ticket, _) => durable.push(ticket),
            _ => {}
        }
    }
    assert_eq!(durable[1..], tickets);
    let after = world.store.counters();
    assert_eq!(after.commits - before.commits, 1_001);
    assert_eq!(after.batches - before.batches, 2);
    assert_eq!(after.syncs - before.syncs, 2);
    assert_eq!(world.store.status(Actor::Host, mailbox).map(|status| status.messages), Some(1_001));
}

#[test]
fn an_upload_holds_one_slice_at_a_time() {
    let mut world = open();
    let mailbox = world.mailbox("a");
    let intents = vec![world.deliver(mailbox)];
    let body = world.body(3_000_000);
    world.upload(body, intents);
    world.drain(&mut nothing);
    world.check();
    assert_eq!(world.state.messages(), 1);
    assert_eq!(world.most_held, 20_000);
    assert!(world.store.counters().octets < 1_000, "the body is not in the journal");
    world.crash(3);
    world.check_files();
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut world = open();
    let mailbox = world.mailbox("a");
    let state = world.store.status(Actor::Host, mailbox);
    let nowhere = {
        let id = world.mailbox("gone");
        world.commit(None, vec![Intent::DeleteMailbox { mailbox: id }]);
        world.drain(&mut nothing);
        id
    };
    let body = |length| Source::Inline(Bytes::from(vec![b'x'; length]));
    let put = |key, value| Intent::Put {
        table: 1,
        key: Bytes::from(vec![0; key]),
        value: Bytes::from(vec![0; value]),
    };
    let long_prefix = Intent::Deliver {
        mailbox,
        prefix: Bytes::from(vec![0; 20_000]),
        date: UnixTime(0),
        flags: NamedFlags::NONE,
    };
    let expunge = |mailbox| Intent::Expunge { mailbox, uid: Uid::FIRST, only_deleted: false };
    let many: Vec<_> = (0..9).map(|key| put(key, 60_000)).collect();
    for (commit, refusal) in [
        (Commit::delivery(body(5), vec![deliver(nowhere)]), Refusal::NoSuchMailbox),
        (Commit::delivery(body(5), vec![deliver(mailbox), deliver(nowhere)]), Refusal::NoSuchMailbox),
        (Commit::of(vec![expunge(nowhere)]), Refusal::NoSuchMailbox),
        (Commit::of(vec![Intent::DeleteMailbox { mailbox: nowhere }]), Refusal::NoSuchMailbox),
        (Commit::of(vec![create("a")]), Refusal::MailboxExists),
        (Commit::of(vec![create("b"), create("b")]), Refusal::MailboxExists),
        (Commit::of(vec![create("")]), Refusal::BadName),
        (Commit::of(vec![create("a\rb")]), Refusal::BadName),
        (Commit::of(vec![create(&"x".repeat(2_000))]), Refusal::BadName),
        (Commit::of(vec![deliver(mailbox)]), Refusal::NoBody),
        (Commit::delivery(body(70_000), vec![deliver(mailbox)]), Refusal::TooLarge),
        (Commit::delivery(body(1), vec![long_prefix]), Refusal::TooLarge),
        (Commit::of(vec![put(2_000, 1)]), Refusal::TooLarge),
        (Commit::of(vec![put(1, 70_000)]), Refusal::TooLarge),
        (Commit::of(vec![Intent::Remove { table: 1, key: Bytes::from(vec![0; 2_000]) }]), Refusal::TooLarge),
        (Commit::of(vec![Intent::Hold { table: 1, key: Bytes::new() }]), Refusal::NoBody),
        (
            Commit::delivery(body(1), vec![Intent::Hold { table: 1, key: Bytes::from(vec![0; 2_000]) }]),
            Refusal::TooLarge,
        ),
        (Commit::of(many), Refusal::TooLarge),
    ] {
        let what = format!("{:?}", commit.intents.iter().map(std::mem::discriminant).collect::<Vec<_>>());
        assert_eq!(outcome(&mut world, commit), Err(Failure::Refused(refusal)), "{what}");
    }
    assert_eq!(world.store.status(Actor::Host, mailbox), state);
    world.check();
}

/// The intents behind a deletion found a mailbox that was still there in the index, and the store panicked.
#[test]
fn nothing_can_be_done_to_a_mailbox_that_the_same_commit_deletes() {
    let mut world = open();
    let mailbox = world.mailbox("a");
    let intents = vec![world.deliver(mailbox)];
    world.commit(Some(Bytes::from_static(b"x")), intents);
    world.drain(&mut nothing);
    let delete = Intent::DeleteMailbox { mailbox };
    let no_such_mailbox = Err(Failure::Refused(Refusal::NoSuchMailbox));
    let expunge = Intent::Expunge { mailbox, uid: Uid::FIRST, only_deleted: false };
    assert_eq!(outcome(&mut world, Commit::of(vec![delete.clone(), expunge])), no_such_mailbox);
    let commit = Commit::delivery(Source::Inline(Bytes::new()), vec![delete.clone(), deliver(mailbox)]);
    assert_eq!(outcome(&mut world, commit), no_such_mailbox);
    assert_eq!(outcome(&mut world, Commit::of(vec![delete.clone(), delete.clone()])), no_such_mailbox);
    world.check();
    let receipt = outcome(&mut world, Commit::of(vec![delete, create("a")])).expect("the name is free");
    assert!(matches!(receipt.outcomes[..], [Outcome::MailboxDeleted, Outcome::MailboxCreated { .. }]));
    assert_ne!(world.store.find(Actor::Host, AccountId(1), "a"), Some(mailbox));
}

#[test]
fn too_many_waiting_commits_and_those_behind_the_end_are_refused() {
    let mut world = World::new(1, small().staged(2));
    world.drain(&mut nothing);
    for name in ["a", "b", "c"] {
        world.store.commit(Commit::of(vec![create(name)]));
    }
    let failed = |world: &mut World| {
        let mut failed = Vec::new();
        while let Some(event) = world.store.poll(Duration::ZERO) {
            match event {
                Event::Operation(operation) => {
                    let result = world.disk.execute(&operation);
                    world.store.handle_done(operation, result);
                }
                Event::Failed(_, failure) => failed.push(failure),
                Event::Closed => world.closed = true,
                _ => {}
            }
        }
        failed
    };
    assert_eq!(failed(&mut world), [Failure::Refused(Refusal::Busy)]);
    world.store.commit(Commit::of(vec![create("d")]));
    world.store.close();
    world.store.commit(Commit::of(vec![create("e")]));
    assert_eq!(failed(&mut world), [Failure::Refused(Refusal::Closed)]);
    assert!(world.closed);
    assert!(world.store.begin_body().is_none());
    assert!(world.store.mailboxes(Actor::Host, None).is_empty(), "a closed store shows nothing");
    world.store = Store::new(small(), 3);
    assert!(failed(&mut world).is_empty());
    assert_eq!(world.store.mailboxes(Actor::Host, None).len(), 3, "what was staged before the end is there");
}

/// The names of two uploads lie in one directory, and the kernel tells of a failed sync once.
#[test]
fn a_directory_that_could_not_be_synced_fails_all_uploads_in_it() {
    let mut world = open();
    let sync_dir = Operation::SyncDir { dir: Dir::Bodies };
    let mut uploads = [0; 2].map(|_| world.store.begin_body().expect("the store is ready"));
    for upload in &mut uploads {
        upload.push(Bytes::from_static(b"body")).expect("it wants data");
        upload.close();
        while let Some(operation) = upload.poll() {
            if matches!(operation, Operation::SyncDir { .. }) {
                break;
            }
            let result = world.disk.execute(&operation);
            upload.handle_done(operation, result);
        }
    }
    let [mut first, mut second] = uploads;
    first.handle_done(sync_dir, Err(DiskError::Io(Some(5))));
    second.handle_done(Operation::SyncDir { dir: Dir::Bodies }, Ok(Done::Nothing));
    assert!(first.error().is_some() && second.error().is_some());
    let mut third = world.store.begin_body().expect("the store is ready");
    third.push(Bytes::from_static(b"body")).expect("it wants data");
    third.close();
    while let Some(operation) = third.poll() {
        let result = world.disk.execute(&operation);
        third.handle_done(operation, result);
    }
    assert!(third.finish().is_ok(), "one that began later has a name of its own");
}

#[test]
fn segments_that_could_not_be_made_are_removed_when_one_could() {
    let mut world = open();
    let mailbox = world.mailbox("a");
    world.disk.fail(world.disk.operations()..world.disk.operations() + 16, DiskError::Io(Some(5)));
    for _ in 0..9 {
        let intents = vec![world.deliver(mailbox)];
        world.commit(Some(Bytes::from_static(b"x")), intents);
        world.drain(&mut nothing);
    }
    world.disk.heal();
    let intents = vec![world.deliver(mailbox)];
    world.commit(Some(Bytes::from_static(b"x")), intents);
    world.drain(&mut nothing);
    world.check();
    assert!(world.told.disk + world.told.unknown > 3);
    let segments = world.disk.files().filter(|file| matches!(file, File::Segment(_))).count();
    assert!(segments <= 3, "{segments} segments");
}

#[test]
fn opening_again_and_again_leaves_no_trail_of_segments() {
    let mut world = open();
    let mailbox = world.mailbox("a");
    for round in 0..30 {
        let intents = vec![world.deliver(mailbox)];
        world.commit(Some(Bytes::from_static(b"x")), intents);
        if round % 2 == 0 {
            world.close_and_reopen(&mut nothing);
        } else {
            world.drain(&mut nothing);
            world.crash(round);
        }
        world.drain(&mut nothing);
    }
    world.check();
    assert_eq!(world.disk.files().count(), 1);
}

#[test]
fn a_real_directory_gives_what_the_simulated_disk_gives() {
    let root = std::env::temp_dir().join(format!("mailstore-{}", std::process::id()));
    let disk = os::Disk::open(&root).expect("a temporary directory");
    std::fs::write(root.join("journal/1"), b"not ours").expect("writable");
    std::fs::write(root.join("bodies/README"), b"not ours").expect("writable");
    for seed in 0..2 {
        let mut world = World::new(seed, small());
        let mirrored = disk.clone();
        world.mirror = Some(Box::new(move |operation, expected| {
            let mut result = mirrored.execute(operation);
            if let Ok(Done::Listed(files)) = &mut result {
                files.sort_unstable();
            }
            assert_eq!(result, *expected, "{operation:?}");
        }));
        world.drain(&mut nothing);
        for action in 0..120 {
            world.act();
            for _ in 0..world.random.below(4) {
                world.step(&mut nothing);
            }
            if action % 60 == 59 {
                world.close_and_reopen(&mut nothing);
            }
        }
        world.rest();
        world.check();
        let mut messages = 0;
        for status in world.store.mailboxes(Actor::Host, None) {
            let view = world.load(status.id).expect("it is there");
            for piece in view.messages.iter().flat_map(|message| message.locate(0..u64::MAX)) {
                let octets = disk.read_piece(&piece).expect("readable");
                assert_eq!(Ok(octets), world.disk.read(&piece));
                messages += 1;
            }
            world.store.release(view);
        }
        assert!(messages > 20);
        let modes = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
        assert_eq!(modes(&root), 0o700);
        for dir in ["journal", "bodies", "snapshots"] {
            assert_eq!(modes(&root.join(dir)), 0o700);
        }
        for file in world.disk.files() {
            assert_eq!(modes(&root.join(file.to_string())), 0o600);
            disk.execute(&Operation::Unlink { file }).expect("removed for the next round");
        }
    }
    // What is not called as the store calls its files is left alone.
    assert!(root.join("journal/1").exists() && root.join("bodies/README").exists());
    std::fs::remove_dir_all(&root).expect("removed");
}

#[test]
fn large_and_small_segments_follow_each_other() {
    let mut world = World::new(5, Limits::default().segment(1 << 20));
    world.drain(&mut nothing);
    let mailbox = world.mailbox("a");
    for round in 0..40 {
        world.limits = Limits::default().segment(if round % 3 == 0 { 0 } else { 1 << 20 });
        for _ in 0..3 {
            let body = world.body(50_000);
            let intents = vec![world.deliver(mailbox)];
            world.commit(Some(body), intents);
        }
        if round % 2 == 0 {
            world.step(&mut nothing);
            world.crash(round);
        } else {
            world.close_and_reopen(&mut nothing);
        }
    }
    world.check();
}
