//! Power cuts after every operation, and in the middle of it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "how much is tried can be set, and how fast that was is told"
)]

use std::collections::BTreeSet;
use std::time::Instant;

use bytes::Bytes;
use mailstore::Intent;
use mailstore::message::UnixTime;
use mailstore::operation::DiskError;
use mailstore::sim::{Bug, Disk};

use crate::world::{Look, Work, World, check_image, small};

/// What has been tried so far.
#[derive(Debug, Default)]
pub(crate) struct Tried {
    points: u64,
    /// Disks that were unlike all before, by their fingerprints.
    pub(crate) distinct: BTreeSet<u64>,
    opened: u64,
    operations: u64,
    commits: u64,
    work: Work,
}

/// One workload, with deletions, uploads, records that hold bodies, snapshots and compaction in it. The power is cut after every
/// operation and in its middle, until so many distinct disks have been tried.
pub(crate) fn enumerate(seed: u64, bug: Option<Bug>, tried: &mut Tried, most: usize) {
    let mut world = World::new(seed, small());
    world.plant(bug);
    let mut hook = |world: &World, disk: &Disk| {
        tried.points += 1;
        for image in 0..IMAGES {
            if tried.distinct.len() >= most {
                return;
            }
            let look = match (image + tried.points) % 32 {
                0 => Look::Deep,
                1 | 9 | 17 | 25 => Look::Rebuild,
                3 => Look::Kill,
                _ => Look::Open,
            };
            let seed = seed * 1_000_000 + tried.points * 100 + image * 10;
            let crashed = if look == Look::Kill { disk.clone() } else { disk.crash(seed) };
            if tried.distinct.insert(crashed.fingerprint()) {
                tried.opened += check_image(world, &crashed, seed, look);
            }
        }
    };
    world.drain(&mut hook);
    for action in 0..120 {
        world.act();
        for _ in 0..world.random.below(5) {
            world.step(&mut hook);
        }
        if action % 60 == 59 {
            world.close_and_reopen(&mut hook);
            world.check_report();
            world.check_files();
        }
    }
    world.rest();
    world.check();
    world.check_files();
    world.done.add(world.store.counters());
    tried.operations += world.disk.operations();
    tried.commits += world.told.durable;
    tried.work.segments += world.done.segments;
    tried.work.snapshots += world.done.snapshots;
    tried.work.compacted += world.done.compacted;
    tried.work.loads += world.done.loads;
}

/// Half of `MAILSTORE_CRASH_IMAGES` distinct disks, or of 10,000.
fn many(mut seed: u64) {
    let most = std::env::var("MAILSTORE_CRASH_IMAGES").ok().and_then(|text| text.parse().ok());
    let most = most.unwrap_or(10_000_usize).div_ceil(2);
    let (begin, mut tried) = (Instant::now(), Tried::default());
    while tried.distinct.len() < most {
        enumerate(seed, None, &mut tried, most);
        seed += 2;
    }
    let Tried { points, distinct, opened, operations, commits, work } = &tried;
    let seconds = begin.elapsed().as_secs_f64();
    println!(
        "{operations} operations, {commits} commits, {work:?}: {points} points, {} distinct disks, {opened} openings, {:.0} disks/s",
        distinct.len(),
        distinct.len() as f64 / seconds
    );
    assert!(work.snapshots > 10 && work.compacted > 10 && work.loads > 100, "{work:?}");
}

// Ledger: 5321-6.1-1
#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_is_cut() {
    many(1);
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_is_cut_in_other_workloads() {
    many(2);
}

/// A segment is compacted behind one that stays: it holds the only word of messages that are gone from the older one, and of
/// identifiers that were used up. Or the oldest one is, and a mailbox in it stands idle. Snapshots say the same, so the journal
/// alone is asked.
pub(crate) fn compacted(seed: u64, oldest: bool, bug: Option<Bug>) {
    let mut world = World::new(seed, small());
    world.plant(bug);
    world.drain(&mut |_, _| ());
    let (stays, goes) = (world.mailbox("stays"), world.mailbox("goes"));
    for mailbox in [stays, stays, stays, stays, goes, goes] {
        let body = world.body(45_000);
        let intents = vec![world.deliver(mailbox)];
        world.commit(Some(body), intents);
        world.drain(&mut |_, _| ());
    }
    // Flags of their own record, which a later start knows from a snapshot only; a name that was given later.
    for _ in 0..3 {
        let intents = world.stores(stays);
        world.commit(None, intents);
    }
    let (name, now) = ("stayed".to_owned(), UnixTime(5));
    world.commit(None, vec![Intent::RenameMailbox { mailbox: stays, name, now }]);
    world.drain(&mut |_, _| ());
    let body = world.body(60_000);
    let intents = vec![world.deliver(goes)];
    world.commit(Some(body), intents);
    world.close_and_reopen(&mut |_, _| ());
    if oldest {
        world.empty(stays);
    }
    let key = Bytes::from_static(b"\x01");
    for round in 0..12_u8 {
        world.empty(goes);
        // Set in the first segment, gone in a later one, and set again in part.
        let put = Intent::Put { table: 0, key: key.clone(), value: Bytes::copy_from_slice(&[round; 9]) };
        let intents =
            if round % 2 == 0 { vec![put] } else { vec![Intent::Remove { table: 0, key: key.clone() }] };
        world.commit(None, intents);
        let body = world.body(45_000);
        let mut intents = vec![world.deliver(goes)];
        if round < 2 {
            intents.push(Intent::Hold { table: 0, key: key.clone() });
        }
        world.commit(Some(body), intents);
        world.drain(&mut |_, _| ());
    }
    world.empty(goes);
    world.drain(&mut |_, _| ());
    assert!(world.store.counters().compacted > 1, "{:?}", world.store.counters());
    for image in 0..8 {
        check_image(&world, &world.disk.crash(image), seed + image, Look::Rebuild);
    }
}

#[test]
fn what_is_gone_stays_gone_when_segments_are_compacted() {
    for seed in 0..10 {
        compacted(seed, false, None);
        compacted(seed, true, None);
    }
}

/// Segments that have been emptied want a new header, for which a full disk has no room.
#[test]
fn a_full_disk_is_not_asked_again_and_again() {
    let full = |from: Option<u64>| {
        let mut world = World::new(9, small());
        world.drain(&mut |_, _| ());
        let goes = world.mailbox("goes");
        for _ in 0..50 {
            let body = world.body(45_000);
            let intents = vec![world.deliver(goes)];
            world.commit(Some(body), intents);
            world.drain(&mut |_, _| ());
        }
        world.empty(goes);
        let now = world.disk.operations();
        if let Some(from) = from {
            world.disk.fail(now + from..u64::MAX, DiskError::NoSpace);
        }
        // This ends.
        world.drain(&mut |_, _| ());
        let operations = world.disk.operations() - now;
        world.disk.heal();
        let intents = vec![world.deliver(goes)];
        let durable = world.told.durable;
        world.commit(Some(Bytes::from_static(b"x")), intents);
        world.drain(&mut |_, _| ());
        assert_eq!(world.told.durable, durable + 1);
        world.check();
        (operations, world.store.counters())
    };
    let (operations, counters) = full(None);
    assert!(counters.compacted > 5 && operations > 20, "{counters:?}");
    for from in 0..operations {
        full(Some(from));
    }
}

/// Disk space of deleted mail comes back.
#[test]
fn a_store_that_takes_and_deletes_for_ever_does_not_grow() {
    let mut world = World::new(7, small());
    world.drain(&mut |_, _| ());
    let (stays, goes) = (world.mailbox("stays"), world.mailbox("goes"));
    let (mut taken, mut most, mut live) = (0, 0, 0);
    for round in 0..400 {
        let mailbox = if round % 40 == 0 { stays } else { goes };
        let length = 5_000 + world.random.below(50_000);
        let body = world.body(length);
        live += if mailbox == stays { body.len() } else { 0 };
        taken += body.len();
        let intents = vec![world.deliver(mailbox)];
        world.commit(Some(body), intents);
        if round % 3 == 0 {
            world.empty(goes);
        }
        world.drain(&mut |_, _| ());
        let sizes = world.disk.files().map(|file| world.disk.octets(file).map_or(0, <[u8]>::len));
        most = most.max(sizes.sum::<usize>());
    }
    world.rest();
    world.check();
    println!("{taken} octets taken, {live} alive, {most} on the disk at most; {:?}", world.store.counters());
    assert!(most < 3 * live + 12 * (256 << 10), "{most} octets on the disk, {live} alive");
    assert!(taken > 3 * most);
}

#[test]
fn a_store_outlives_many_crashes_one_after_the_other() {
    let (mut crashes, mut work) = (0, Work::default());
    for seed in 0..40 {
        let mut world = World::new(100 + seed, small());
        world.drain(&mut |_, _| ());
        for _ in 0..100 {
            world.act();
            for _ in 0..world.random.below(5) {
                world.step(&mut |_, _| ());
            }
            match world.random.below(24) {
                0 => world.kill(),
                1 | 2 => {
                    let seed = world.random.below(usize::MAX) as u64;
                    world.crash(seed);
                    world.check_files();
                    crashes += 1;
                }
                _ => {}
            }
        }
        world.rest();
        world.check();
        world.check_files();
        world.done.add(world.store.counters());
        work.compacted += world.done.compacted;
        work.snapshots += world.done.snapshots;
    }
    println!("4000 actions, {crashes} crashes, {work:?}");
    assert!(work.compacted > 10 && work.snapshots > 40, "{work:?}");
}

#[test]
fn crashes_at_every_operation_of_the_first_start_leave_a_store_that_opens() {
    for seed in 0..200 {
        let mut world = World::new(seed, small());
        for crash in 0..6 {
            for _ in 0..world.random.below(6) {
                world.step(&mut |_, _| ());
            }
            let operations = world.disk.operations();
            if operations.is_multiple_of(2) {
                // The middle of the creation of a segment, with whatever number comes next.
                let listed: Vec<_> = world.disk.files().collect();
                let file = mailstore::operation::File::Segment(listed.len() as u64 + 1);
                world.disk.interrupt(&mailstore::Operation::Create { file, reserve: 1 << 18 });
            }
            world.crash(seed * 10 + crash);
            assert_eq!(world.ready.as_ref().map(|report| report.batches), Some(0));
        }
    }
}

/// How many of the disks that a crash may leave are tried at each point.
const IMAGES: u64 = 6;
