//! Copies of a store that works, taken at any moment, piece by piece while it goes on.

use std::collections::BTreeMap;

use mailstore::backup::Backup;
use mailstore::operation::File;
use mailstore::sim::{Bug, Disk};

use crate::world::{State, World, check_copy, small};

/// What is being copied.
struct Copying {
    backup: Backup,
    /// What the store had told by then.
    state: State,
    disk: Disk,
    left: Vec<usize>,
}

/// A history by a seed, with backups all along; how many there were, and how many segments and snapshots went meanwhile.
pub(crate) fn backups(seed: u64, bug: Option<Bug>) -> (u64, u64) {
    let mut world = World::new(seed, small());
    world.plant(bug);
    world.drain(&mut |_, _| ());
    let (mut copying, mut copied) = (None::<Copying>, 0);
    // All files that were copied, as they were then.
    let mut known: BTreeMap<(File, u64), Vec<u8>> = BTreeMap::new();
    for action in 0..600 {
        world.act();
        for _ in 0..world.random.below(6) {
            world.step(&mut |_, _| ());
        }
        let Some(now) = &mut copying else {
            if world.random.below(4) == 0 {
                let backup = world.store.backup().expect("the store is open");
                let (left, disk) = ((0..backup.files.len()).collect(), Disk::new(seed));
                copying = Some(Copying { backup, state: world.state.clone(), disk, left });
            }
            continue;
        };
        // A disk that is slow: a file after each action, in any order.
        if !now.left.is_empty() {
            let which = now.left.swap_remove(world.random.below(now.left.len()));
            let extract = now.backup.files[which];
            let octets = world.disk.octets(extract.file).expect("what is to be copied stays");
            let mut octets = octets[..octets.len().min(extract.length as usize)].to_vec();
            let earlier = known.insert((extract.file, extract.identity), octets.clone()).unwrap_or_default();
            assert!(octets.starts_with(&earlier), "{:?} has only grown", extract.file);
            let last = now.backup.files.iter().rfind(|extract| matches!(extract.file, File::Segment(_)));
            if last == Some(&extract) && seed.is_multiple_of(2) {
                octets.extend_from_slice(&now.backup.seal);
            }
            now.disk.replace(extract.file, octets);
            continue;
        }
        let Some(Copying { backup, state, disk, .. }) = copying.take() else { continue };
        world.store.release(backup);
        check_copy(&world, disk, state, seed + action);
        copied += 1;
        if world.random.below(8) == 0 {
            world.close_and_reopen(&mut |_, _| ());
        }
    }
    if let Some(Copying { backup, .. }) = copying.take() {
        world.store.release(backup);
    }
    world.rest();
    world.check_files();
    world.done.add(world.store.counters());
    (copied, world.done.compacted)
}

#[test]
fn a_backup_holds_what_was_told_when_it_began() {
    let (mut copied, mut compacted) = (0, 0);
    for seed in 1..=12 {
        let (copies, segments) = backups(seed, None);
        (copied, compacted) = (copied + copies, compacted + segments);
    }
    println!("{copied} backups, and {compacted} segments compacted beside them");
    assert!(copied > 100 && compacted > 100, "{copied} backups, {compacted} segments");
}

#[test]
fn a_store_that_is_not_open_has_nothing_to_copy() {
    let mut world = World::new(1, small());
    assert!(world.store.backup().is_none());
    world.drain(&mut |_, _| ());
    let backup = world.store.backup().expect("the store is open");
    world.store.release(backup);
    world.store.close();
    world.drain(&mut |_, _| ());
    assert!(world.store.backup().is_none());
}
