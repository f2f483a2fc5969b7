//! Bits that flip at rest: nothing wrong is ever handed out, and nothing is lost without a word.
#![allow(clippy::disallowed_methods, reason = "how much is tried can be set")]

use std::collections::BTreeMap;

use bytes::Bytes;
use mailstore::mailbox::AccountId;
use mailstore::operation::File;
use mailstore::sim::{Disk, Random};
use mailstore::{Actor, Damage, Limits, Report};

use crate::world::{State, World, read, shown_flags, small};

/// Everything that a store shows, by what it is called; what is damaged is an error.
type Shown = BTreeMap<String, Result<Bytes, ()>>;

fn open(disk: &Disk, rebuild: bool, limits: Limits) -> World {
    let mut world = World::on(disk.clone(), State::default(), 99, limits);
    if rebuild {
        world.store = mailstore::Store::rebuilding(limits, 98);
    }
    world.drain(&mut |_, _| ());
    assert_eq!(world.dead, None, "one bit keeps no store from opening");
    world
}

fn shown(world: &mut World) -> Shown {
    let mut shown = Shown::new();
    for status in world.store.mailboxes(Actor::Host, None) {
        let id = status.id;
        // What a mailbox was called may be what is lost.
        let view = world.load(id).expect("listed");
        assert_eq!(view.messages.len() as u64, status.messages);
        for message in view.messages.iter() {
            let pieces: Result<Vec<_>, _> =
                message.locate(0..u64::MAX).map(|piece| world.disk.read(&piece)).collect();
            let octets = pieces.map(|pieces| Bytes::from(pieces.concat())).map_err(|_| ());
            shown.insert(format!("message {} of {id:?}", message.uid()), octets);
            let flags = shown_flags(&view, message.flags());
            shown.insert(format!("flags of {} of {id:?}", message.uid()), Ok(flags.into()));
            if let Some(structure) = message.structure() {
                let octets = read(&world.disk, &structure).map_err(|_| ());
                shown.insert(format!("structure of {} of {id:?}", message.uid()), octets);
            }
        }
        world.store.release(view);
    }
    for account in (1..=2).map(AccountId) {
        for name in world.store.subscriptions(Actor::Host, account) {
            shown.insert(format!("subscription of {account:?} to {name}"), Ok(Bytes::new()));
        }
        let quota = world.store.quota(Actor::Host, account).expect("the host may know");
        let limits = format!("{:?} {:?}", quota.limit_octets, quota.limit_messages);
        shown.insert(format!("quota of {account:?}"), Ok(limits.into()));
    }
    for table in 0..2 {
        let records = world.store.records(table, b"", 1_000);
        for (key, value) in &records.records {
            let octets = read(&world.disk, value).map_err(|_| ());
            shown.insert(format!("record {table} {key:?}"), octets);
        }
        world.store.release(records);
        for key in 0..=u8::MAX {
            if let Some(located) = world.store.held(table, &[key]) {
                let octets = read(&world.disk, &located.stretch).map_err(|_| ());
                shown.insert(format!("body of {table} {key}"), octets);
                world.store.release(located);
            }
        }
    }
    shown
}

fn verify(world: &mut World) -> Vec<Damage> {
    let mut verification = world.store.verify().expect("the store is ready");
    while let Some(operation) = verification.poll() {
        let result = world.disk.execute(&operation);
        verification.handle_done(operation, result);
    }
    world.store.verified(verification)
}

/// A store with all there is in it, closed in order.
fn closed() -> World {
    let mut world = World::new(11, small());
    world.history = Some(std::collections::BTreeSet::new());
    world.drain(&mut |_, _| ());
    for _ in 0..200 {
        world.act();
        for _ in 0..world.random.below(6) {
            world.step(&mut |_, _| ());
        }
    }
    world.rest();
    let mailbox = world.mailbox("small ones");
    for index in 0..40 {
        let body = world.body(500 + index * 50);
        let intents = vec![world.deliver(mailbox)];
        if index % 10 == 0 {
            world.upload([body, Bytes::from(vec![b'x'; 140_000])].concat().into(), intents);
        } else {
            world.commit(Some(body), intents);
        }
        world.drain(&mut |_, _| ());
    }
    world.check();
    world.store.close();
    world.drain(&mut |_, _| ());
    world
}

#[test]
fn no_flipped_bit_hands_out_anything_wrong_or_goes_unnoticed() {
    let flips = std::env::var("MAILSTORE_ROT_FLIPS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000);
    let world = closed();
    let once = world.history.clone().unwrap_or_default();
    let files: Vec<File> = world.disk.files().collect();
    let whole = shown(&mut open(&world.disk, false, small()));
    assert_eq!(shown(&mut open(&world.disk, true, small())), whole, "the journal says the same");
    assert!(files.iter().any(|file| matches!(file, File::Snapshot(_))) && whole.len() > 40, "{files:?}");
    let mut random = Random::new(1);
    let (mut harmless, mut found, mut refused, mut missing, mut stale, mut spoilt) = (0, 0, 0, 0, 0, 0);
    for flip in 0..flips {
        let file = files[random.below(files.len())];
        let octets = world.disk.octets(file).expect("listed");
        let used = octets.iter().rposition(|octet| *octet != 0).map_or(1, |last| last + 1);
        let length = if random.below(8) == 0 { octets.len() } else { used };
        let mut disk = world.disk.clone();
        disk.flip(file, random.below(length * 8));
        let before = Disk::clone(&disk);
        let mut after = open(&disk, flip % 4 == 3, small());
        let report: Report = after.ready.clone().expect("it is open");
        let now = shown(&mut after);
        // What is damaged is looked for where it was; the start may have put a snapshot in place of a damaged one.
        let damage = verify(&mut after);
        let told = !report.damage.is_empty() || report.tail.is_some() || report.damaged_snapshots > 0;
        for (what, octets) in &now {
            match (octets, whole.get(what)) {
                (Ok(octets), Some(Ok(right))) if octets == right => {}
                // Where the journal has lost that something was set or removed, what it says of before counts. It says that it
                // has lost something.
                (Ok(octets), _) if !report.damage.is_empty() && once.contains(octets) => stale += 1,
                (Ok(_), Some(Ok(_))) => panic!("{what} is wrong"),
                (Err(()), Some(_)) => {
                    refused += 1;
                    assert!(!damage.is_empty(), "{what} is damaged, and nobody has noticed");
                }
                (_, _) => panic!("{what} comes from nowhere"),
            }
        }
        let gone = whole.keys().filter(|what| !now.contains_key(*what)).count();
        missing += gone;
        assert!(gone == 0 || told, "{gone} are gone without a word");
        spoilt += report.damaged_snapshots;
        if told || !damage.is_empty() {
            found += 1;
        } else {
            assert_eq!(now, whole, "not found, and not harmless: {file:?}");
            harmless += 1;
        }
        if flip % 16 == 0 {
            // What one bit takes is one record, and what follows from it; the rest is there, and stays there.
            assert!(gone <= whole.len() / 2, "{gone} of {} are gone", whole.len());
            let mut again = open(&before, true, small());
            let rebuilt = shown(&mut again);
            again.reopen_as_it_is();
            assert_eq!(shown(&mut again), rebuilt, "what was rebuilt stays");
        }
    }
    println!(
        "{flips} flips: {found} found, {harmless} harmless, {spoilt} spoilt a snapshot; {refused} reads refused, {missing} things missing and told, {stale} as they once were and told"
    );
    assert!(found > flips / 2 && refused > 0 && spoilt > 0);
}

/// A snapshot that rots while the store is open is noticed when a mailbox is read from it, and the journal has everything.
#[test]
fn a_mailbox_whose_part_of_a_snapshot_is_damaged_is_read_from_the_journal() {
    let world = closed();
    // So that no start writes a snapshot of its own accord.
    let limits = small().snapshot(1 << 20);
    let whole = shown(&mut open(&world.disk, false, limits));
    let (mut random, mut anew) = (Random::new(3), 0);
    for round in 0..60 {
        let mut after = open(&world.disk, false, limits);
        let snapshots = after.disk.files().filter(|file| matches!(file, File::Snapshot(_)));
        let snapshot = snapshots.last().expect("there is one");
        // Behind the header, where the sections are.
        let header = after.disk.octets(snapshot).expect("listed");
        let head = header[72..80].iter().rev().fold(0, |number, octet| number << 8 | usize::from(*octet));
        let bit = (4_096 + random.below(head - 4_096)) * 8 + random.below(8);
        if round > 0 {
            after.disk.flip(snapshot, bit);
        }
        let before = after.store.counters().snapshots;
        assert_eq!(shown(&mut after), whole);
        after.drain(&mut |_, _| ());
        if after.store.counters().snapshots > before {
            assert!(round > 0, "nothing was damaged");
            anew += 1;
            assert!(after.disk.octets(snapshot).is_none(), "the damaged one is gone");
            assert_eq!(verify(&mut after), []);
        }
        after.reopen_as_it_is();
        assert_eq!(shown(&mut after), whole);
    }
    println!("{anew} of 60 times written anew");
    assert!(anew > 20);
}

/// The messages of a mailbox stay when what it was called is lost.
#[test]
fn a_mailbox_without_a_name_keeps_its_messages() {
    let mut world = World::new(5, Limits::default().segment(0));
    world.drain(&mut |_, _| ());
    let mailbox = world.mailbox("INBOX");
    for _ in 0..6 {
        let body = world.body(20_000);
        let intents = vec![world.deliver(mailbox)];
        world.commit(Some(body), intents);
        world.drain(&mut |_, _| ());
    }
    let whole = shown(&mut open(&world.disk, true, world.limits));
    let file = world.disk.files().next().expect("a segment");
    // The name in the first record behind the header.
    world.disk.flip(file, (8_192 + 16 + 37) * 8);
    let mut after = open(&world.disk, true, world.limits);
    assert_eq!(after.ready.as_ref().map(|report| report.damage.len()), Some(1));
    let lost: Vec<_> = after.store.mailboxes(Actor::Host, AccountId::LOST);
    assert_eq!(lost.iter().map(|status| status.id).collect::<Vec<_>>(), [mailbox]);
    assert_eq!(shown(&mut after), whole);
}

/// It was told of at the next start only, and at the one after that the segment was removed.
#[test]
fn a_segment_whose_header_is_lost_is_told_of_at_every_start() {
    let mut world = World::new(5, Limits::default().segment(0));
    world.drain(&mut |_, _| ());
    let mailbox = world.mailbox("INBOX");
    for _ in 0..15 {
        let body = world.body(40_000);
        let intents = vec![world.deliver(mailbox)];
        world.commit(Some(body), intents);
        world.drain(&mut |_, _| ());
    }
    let file = world.disk.files().last().expect("segments");
    let mut octets = world.disk.octets(file).expect("listed").to_vec();
    octets[..50].fill(0xa5);
    octets[4_096..4_146].fill(0xa5);
    world.disk.replace(file, octets);
    let mut disk = world.disk.clone();
    for _ in 0..4 {
        let mut after = open(&disk, false, world.limits);
        let damage = after.ready.clone().expect("it is open").damage;
        assert!(damage.iter().any(|damage| damage.file == file), "{damage:?}");
        assert!(verify(&mut after).iter().any(|damage| damage.file == file));
        assert!(shown(&mut after).len() > 5);
        disk = after.disk;
        assert!(disk.octets(file).is_some(), "it is kept");
    }
}
