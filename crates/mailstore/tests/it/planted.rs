//! Each rule of the store, broken on purpose: what finds no planted bug proves nothing.

use std::panic::{AssertUnwindSafe, catch_unwind};

use mailstore::sim::Bug;

use crate::backup::backups;
use crate::crash::{Tried, compacted, enumerate};
use crate::faults::{IO, run, service_resumes};

/// What finds the bug, and after how much.
fn hunt(bug: Bug) -> Option<String> {
    let caught = |attempt: &mut dyn FnMut()| catch_unwind(AssertUnwindSafe(attempt)).is_err();
    for oldest in [false, true] {
        if caught(&mut || compacted(1, oldest, Some(bug))) {
            return Some(format!("compaction, of the oldest segment {oldest}"));
        }
    }
    for seed in 1..=4 {
        if caught(&mut || _ = backups(seed, Some(bug))) {
            return Some(format!("backups, history {seed}"));
        }
    }
    let mut tried = Tried::default();
    for seed in 1..=4 {
        let most = tried.distinct.len() + DISKS;
        if caught(&mut || enumerate(seed, Some(bug), &mut tried, most)) {
            return Some(format!("power cuts, {} disks", tried.distinct.len()));
        }
    }
    for at in 0..140 {
        for (length, crash) in [(1, true), (1, false), (2, true)] {
            let found = caught(&mut || {
                if let Some(world) = run(3 + at % 5, at, length, IO, crash, Some(bug)) {
                    service_resumes(world, at);
                }
            });
            if found {
                return Some(format!("{length} errors at operation {at}, crash {crash}"));
            }
        }
    }
    None
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        match hunt(bug) {
            Some(how) => println!("{bug:?}: {how}"),
            None => missed.push(bug),
        }
    }
    assert_eq!(missed, [], "not found");
}

/// Disks that are tried of each workload, a part of what the tests try of a store without a bug.
const DISKS: usize = 1_200;
