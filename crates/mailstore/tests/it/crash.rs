//! Power cuts after every operation, and in the middle of it.

use mailstore::sim::Disk;

use crate::world::{World, check_image, small};

/// How many of the disks that a crash may leave are tried at each point.
const IMAGES: u64 = 8;

/// Five workloads of 80 actions each: what is compared grows with what the store holds.
fn enumerate(seeds: std::ops::Range<u64>) {
    let (mut points, mut images, mut operations, mut messages) = (0_u64, 0_u64, 0, 0);
    for seed in seeds {
        let mut world = World::new(seed, small());
        let mut hook = |world: &World, disk: &Disk| {
            points += 1;
            for image in 0..IMAGES {
                let seed = seed * 1_000_000 + points * 100 + image * 10;
                images += check_image(world, &disk.crash(seed), seed, image == points % IMAGES);
            }
        };
        world.drain(&mut hook);
        for action in 0..80 {
            world.act();
            let steps = world.random.below(4);
            for _ in 0..steps {
                world.step(&mut hook);
            }
            if action % 40 == 39 {
                world.close_and_reopen(&mut hook);
                world.check_report();
                world.check_files();
            }
        }
        world.rest();
        world.check();
        world.check_files();
        operations += world.disk.operations();
        messages += world.told.durable;
    }
    println!("{operations} operations, {messages} commits: {points} crash points, {images} disks opened");
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_is_cut() {
    enumerate(1..4);
}

#[test]
fn nothing_acknowledged_is_lost_wherever_the_power_is_cut_in_other_workloads() {
    enumerate(4..6);
}

#[test]
fn a_store_outlives_many_crashes_one_after_the_other() {
    let mut crashes = 0;
    for seed in 0..40 {
        let mut world = World::new(100 + seed, small());
        world.drain(&mut |_, _| ());
        for _ in 0..100 {
            world.act();
            for _ in 0..world.random.below(5) {
                world.step(&mut |_, _| ());
            }
            if world.random.below(12) == 0 {
                let seed = world.random.below(usize::MAX) as u64;
                world.crash(seed);
                world.check_files();
                crashes += 1;
            }
        }
        world.rest();
        world.check();
        world.check_files();
    }
    println!("4000 actions, {crashes} crashes");
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
