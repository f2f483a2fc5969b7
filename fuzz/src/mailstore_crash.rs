//! The octets choose what a host does, what fails and where the power is cut: nothing acknowledged is lost, nothing refused
//! is there, and a store that was opened takes work.

#[path = "../../crates/mailstore/tests/it/world.rs"]
#[allow(dead_code, reason = "the tests of the crate use all of it")]
mod world;

use mailstore::operation::DiskError;

use self::world::World;
use crate::common::choose;

/// Two octets are the seed; each of the next is something that happens.
pub fn run(data: &[u8]) {
    let ([low, high], octets) = choose(data);
    let mut world = World::new(u64::from(low) << 8 | u64::from(high), world::small());
    world.drain(&mut |_, _| ());
    for octet in octets.iter().take(120) {
        if world.dead.is_some() {
            world.disk.heal();
            world.reopen();
        }
        let low = u64::from(octet & 15);
        match octet >> 4 {
            0..=8 => world.act(),
            9..=11 => {
                for _ in 0..low {
                    world.step(&mut |_, _| ());
                }
            }
            12 => {
                world.disk.heal();
                world.crash(low);
            }
            13 | 14 => {
                let error = if octet & 16 == 0 { DiskError::NoSpace } else { DiskError::Io(Some(5)) };
                let at = world.disk.operations() + (low >> 2);
                world.disk.fail(at..at + (low & 3) + 1, error);
            }
            _ => world.close_and_reopen(&mut |_, _| ()),
        }
    }
    world.disk.heal();
    if world.dead.is_some() {
        world.reopen();
    }
    world.rest();
    world.check();
    world.crash(u64::from(low));
    world.check_files();
}
