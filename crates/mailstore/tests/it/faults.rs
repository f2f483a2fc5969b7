//! Disks that fail.

use mailstore::operation::DiskError;
use mailstore::sim::Bug;

use crate::world::{World, small};

pub(crate) const IO: DiskError = DiskError::Io(Some(5));

/// A workload with views, uploads, roll-over and a clean stop in it, on a disk that fails `length` operations from the
/// `at`-th on. Gives the world, or nothing if the fault came after the end.
pub(crate) fn run(
    seed: u64,
    at: u64,
    length: u64,
    error: DiskError,
    crash: bool,
    bug: Option<Bug>,
) -> Option<World> {
    let mut world = World::new(seed, small());
    world.plant(bug);
    world.disk.fail(at..at + length, error);
    world.drain(&mut |_, _| ());
    for action in 0..120 {
        if world.dead.is_some() {
            // What could not be opened is opened once more.
            world.reopen();
            continue;
        }
        world.act();
        for _ in 0..world.random.below(4) {
            let before = world.told;
            world.step(&mut |_, _| ());
            let told = world.told;
            if crash
                && (told.disk, told.no_space, told.unknown) != (before.disk, before.no_space, before.unknown)
            {
                // Straight after it was told.
                world.disk.heal();
                world.crash(at);
                world.check_files();
            }
        }
        if action == 50 && world.dead.is_none() {
            world.close_and_reopen(&mut |_, _| ());
        }
    }
    if world.disk.operations() <= at && !crash {
        return None;
    }
    Some(world)
}

/// Nothing acknowledged is lost, nothing refused is there, and a disk that is good again is good enough.
pub(crate) fn service_resumes(mut world: World, seed: u64) -> World {
    if world.dead.is_some() {
        world.disk.heal();
        world.reopen();
    }
    world.rest();
    world.disk.heal();
    world.check();
    let mailbox = world.mailbox(&format!("after {seed}"));
    let durable = world.told.durable;
    for _ in 0..2 {
        let intents = vec![world.deliver(mailbox)];
        let body = world.body(30_000);
        world.commit(Some(body), intents);
        let intents = vec![world.deliver(mailbox)];
        let body = world.body(90_000);
        world.upload(body, intents);
    }
    world.drain(&mut |_, _| ());
    assert_eq!(world.told.durable, durable + 4, "service resumes");
    world.check();
    world.crash(seed);
    world.check_files();
    world
}

fn at_every_operation(error: DiskError, length: u64, crash: bool, step: usize) {
    let (mut runs, mut told) = (0, [0; 4]);
    for at in (0..).step_by(step) {
        let Some(world) = run(3 + at % 5, at, length, error, crash, None) else { break };
        let world = service_resumes(world, at);
        runs += 1;
        for (sum, count) in told.iter_mut().zip([
            world.told.durable,
            world.told.disk,
            world.told.no_space,
            world.told.unknown,
        ]) {
            *sum += count;
        }
        if at > 140 {
            break;
        }
    }
    println!(
        "{error} at {runs} places for {length} operations, crash {crash}: {told:?} durable, disk, no space, unknown"
    );
    assert!(runs > 100 / step, "the workload is long enough");
}

#[test]
fn an_error_at_any_operation_is_told_and_outlived() {
    at_every_operation(IO, 1, false, 1);
}

#[test]
fn a_full_disk_at_any_operation_is_told_and_outlived() {
    at_every_operation(DiskError::NoSpace, 1, false, 1);
}

#[test]
fn a_disk_that_stays_bad_for_a_while_is_outlived() {
    at_every_operation(IO, 3, false, 1);
    at_every_operation(DiskError::NoSpace, 9, false, 2);
}

// Ledger: 5321-4.2.5-1
#[test]
fn what_was_told_to_have_failed_does_not_come_back_in_a_crash_straight_after() {
    at_every_operation(IO, 1, true, 1);
    at_every_operation(IO, 2, true, 1);
    at_every_operation(DiskError::NoSpace, 3, true, 1);
}

/// The header of a segment that could not be made may be on the disk all the same, and says where the last one ends.
#[test]
fn what_is_acknowledged_after_a_segment_could_not_be_made_survives() {
    for step in 0..3 {
        for seed in 0..40 {
            let mut world = World::new(seed, small());
            world.drain(&mut |_, _| ());
            let mailbox = world.mailbox("INBOX");
            for length in [60_000, 60_000, 60_000, 40_000] {
                let body = world.body(length);
                let intents = vec![world.deliver(mailbox)];
                world.commit(Some(body), intents);
                world.drain(&mut |_, _| ());
            }
            let at = world.disk.operations() + step;
            world.disk.fail(at..at + 1, IO);
            // Does not fit any more; what comes next does.
            for length in [60_000, 3_000] {
                let body = world.body(length);
                let intents = vec![world.deliver(mailbox)];
                world.commit(Some(body), intents);
                world.drain(&mut |_, _| ());
            }
            assert_eq!((world.told.durable, world.told.disk), (6, 1));
            world.check();
            world.crash(seed);
        }
    }
}

/// After a crash the commit may be there; without one it cannot come back once another segment counts.
#[test]
fn a_body_stays_as_long_as_a_commit_of_unknown_outcome_may_come_back() {
    let (mut unknown, mut back) = (0, 0);
    for step in 3..10 {
        for seed in 0..40 {
            let mut world = World::new(seed, small());
            world.drain(&mut |_, _| ());
            let mailbox = world.mailbox("INBOX");
            let at = world.disk.operations() + step;
            world.disk.fail(at..at + 2, IO);
            let body = world.body(30_000);
            let intents = vec![world.deliver(mailbox)];
            world.upload(body, intents);
            world.drain(&mut |_, _| ());
            world.disk.heal();
            if world.told.unknown == 0 {
                continue;
            }
            unknown += 1;
            if seed % 4 == 0 {
                world.commit(None, vec![]);
                world.drain(&mut |_, _| ());
            } else {
                world.crash(seed);
                back += world.state.messages();
            }
            world.check();
            world.check_files();
        }
    }
    println!("{unknown} outcomes unknown, {back} came back");
    assert!(unknown > 20 && back > 5);
}
