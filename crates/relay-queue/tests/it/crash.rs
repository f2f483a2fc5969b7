//! What is left when the machine stops.

use std::collections::BTreeMap;

use bytes::Bytes;
use relay_queue::error::RecordError;
use relay_queue::queue::{Order, Which};
use relay_queue::{MessageId, Queue};

use crate::world::{HOUR, Manner, SEED, START, Seen, World, address, at, config};

/// Some of everything: deliveries, refusals, delays, warnings, expiry, orders.
fn story(mut world: World) -> World {
    world.latency = 2;
    let all = ["yes@b.test", "no@b.test", "late@b.test", "yes@c.test", "dead@d.test", "mute@e.test"];
    let steps: [(u64, &[&str]); 5] =
        [(0, &all), (10, &all[..2]), (HOUR, &all[2..]), (2 * HOUR, &all[..1]), (5 * HOUR, &all)];
    for (number, (after, to)) in steps.into_iter().enumerate() {
        until(&mut world, START + after);
        let from = if number == 2 { "" } else { "alice@a.test" };
        let stored = world.accept(crate::world::envelope(from, to), to);
        if world.crashed {
            world.restart();
        }
        if let (1, Some(id)) = (number, stored) {
            until(&mut world, START + 60);
            world.queue.handle_order(at(world.now), Which::Message(id), Order::Hold);
            until(&mut world, START + 120);
            world.queue.handle_order(at(world.now), Which::Message(id), Order::Release);
        }
        if let (4, Some(id)) = (number, stored) {
            let late = address("late@b.test");
            until(&mut world, START + 5 * HOUR + 100);
            world.queue.handle_order(at(world.now), Which::Recipient(id, &late), Order::Bounce);
        }
    }
    until(&mut world, START + 50 * HOUR);
    world
}

fn until(world: &mut World, until: u64) {
    loop {
        world.run(until);
        if !world.crashed {
            return;
        }
        world.restart();
    }
}

fn manner(_: &str, to: &str, now: u64) -> Manner {
    match to.split('@').next() {
        Some("yes") => Manner::Takes,
        Some("no") => Manner::Refuses,
        Some("dead") => Manner::Dead,
        Some("mute") if now < START + HOUR => Manner::Mute,
        Some("mute") => Manner::Takes,
        _ => Manner::Defers,
    }
}

// Ledger: 5321-2.1-1
#[test]
fn every_crash_leaves_each_recipient_queued_delivered_or_reported() {
    let commits = story(World::new(config(), manner)).commits;
    assert!(commits > 60, "{commits} commits");
    let mut twice = 0;
    for number in 1..=commits {
        for durable in [false, true] {
            let mut world = World::new(config(), manner);
            world.crash_at = Some((number, durable));
            let world = story(world);
            assert!(world.crash_at.is_none(), "it has not crashed at {number}");
            // What nobody sent has nobody to be told.
            world.account(|id, _| {
                world.seen.iter().all(|(_, seen)| !matches!(seen, Seen::Report(report) if report.about == id))
            });
            assert!(world.queue.is_empty(), "something is left behind at {number}, {durable}");
            assert!(world.disk.len() <= 1);
            twice += world.delivered.values().filter(|count| **count > 1).count();
        }
    }
    assert!(twice > 0, "a delivery that a crash has made forgotten is done again, and none was");
}

#[test]
fn every_second_crash_too() {
    let commits = story(World::new(config(), manner)).commits;
    for number in (1..=commits).step_by(3) {
        for distance in [1, 2, 3, 7] {
            let mut world = World::new(config(), manner);
            world.crash_at = Some((number, number % 2 == 0));
            let again = number + distance;
            let restart_at = std::rc::Rc::new(core::cell::Cell::new(again));
            // The second stop comes as a commit that fails for a while.
            let fails = restart_at.clone();
            world.fails = Box::new(move |commit| commit == fails.get());
            let world = story(world);
            world.account(|id, _| {
                world.seen.iter().all(|(_, seen)| !matches!(seen, Seen::Report(report) if report.about == id))
            });
            assert!(world.queue.is_empty());
        }
    }
}

#[test]
fn a_restart_after_any_step_changes_nothing() {
    let run = |restarts: bool| {
        let mut world =
            World::new(config().schedule(relay_queue::Schedule::default()), |_, to, _| match to {
                "yes@b.test" => Manner::Takes,
                "no@b.test" => Manner::Refuses,
                _ => Manner::Defers,
            });
        // Accepted without restarts between them: those would leave out some identifiers.
        for _ in 0..3 {
            world.send("alice@a.test", &["yes@b.test", "no@b.test", "late@b.test", "later@b.test"]);
            world.send("", &["late@c.test"]);
            world.run(world.now + 1_000);
        }
        while world.step(START + 100 * HOUR) {
            if restarts && world.running.is_empty() {
                world.restart();
            }
        }
        world.seen.retain(|(_, seen)| !matches!(seen, Seen::Connection(_)));
        (world.seen, world.disk)
    };
    let (plain, restarted) = (run(false), run(true));
    assert!(plain.0.len() > 50);
    assert_eq!(plain.0.len(), restarted.0.len());
    for (plain, restarted) in plain.0.iter().zip(&restarted.0) {
        assert_eq!(plain, restarted);
    }
    assert_eq!(plain.1, restarted.1);
}

#[test]
fn nothing_is_done_with_a_message_before_it_is_durable() {
    for durable in [true, false] {
        let mut queue = Queue::new(config(), SEED);
        let commit =
            queue.accept(at(START), crate::world::envelope("alice@a.test", &["bob@b.test"])).expect("room");
        for after in [0, 10, 5 * HOUR, 40 * HOUR] {
            assert!(queue.poll(at(START + after)).is_none());
            assert_eq!(queue.handle_order(at(START + after), Which::All, Order::Bounce), 0);
            queue.check();
        }
        if durable {
            queue.handle_durable(commit.id);
            assert!(queue.poll(at(START + 40 * HOUR)).is_some());
        } else {
            queue.handle_failed(commit.id);
            assert!(queue.is_empty() && queue.poll(at(START + 40 * HOUR)).is_none());
        }
        queue.check();
    }
}

#[test]
fn identifiers_are_never_used_twice() {
    let mut world = World::new(config(), |_, _, _| Manner::Takes);
    let mut last = MessageId(0);
    for _ in 0..20 {
        let id = world.send("", &["yes@b.test"]);
        assert!(id > last);
        last = id;
        world.run(world.now + 10);
        assert!(world.queue.is_empty());
        world.restart();
    }
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_works() {
    let mut world = World::new(config(), |_, _, _| Manner::Defers);
    world.send("alice@a.test", &["one@b.test"]);
    let hurt = world.send("alice@a.test", &["two@b.test"]);
    world.run(START + 1);
    let disk = world.disk.clone();
    for (key, value) in &disk {
        for at in 0..value.len() {
            let mut disk = disk.clone();
            let mut octets = value.to_vec();
            octets[at] ^= 0x80;
            disk.insert(key.clone(), octets.into());
            let (mut queue, _) = Queue::restore(config(), SEED, crate::world::at(START + 1), &disk);
            queue.check();
            assert!(!queue.is_empty(), "the other message is there");
            queue.handle_timeout(crate::world::at(START + 40 * HOUR));
            queue.check();
        }
        let mut disk = disk.clone();
        disk.remove(key);
        let (queue, damage) = Queue::restore(config(), SEED, at(START + 1), &disk);
        queue.check();
        assert_eq!(damage.len(), usize::from(key[8] != 0));
        assert!(damage.iter().all(|damage| damage.error == RecordError::Orphan));
    }
    let mut newer = disk.clone();
    let key = newer.keys().find(|key| key.ends_with(&[hurt.0 as u8, 1])).expect("its key").clone();
    newer.insert(key.clone(), Bytes::from_static(&[9, 1, 2]));
    let (queue, damage) = Queue::restore(config(), SEED, at(START + 1), &newer);
    assert_eq!(queue.len(), 1);
    assert_eq!((damage[0].key.clone(), damage[0].error), (key, RecordError::Newer(9)));
    let (_, damage) = Queue::restore(config(), SEED, at(START), [([1_u8, 2], [3_u8])]);
    assert_eq!(damage[0].error, RecordError::Key);
}

#[test]
fn records_of_version_one_are_read_for_ever() {
    let mut records = BTreeMap::new();
    for line in include_str!("../fixtures/v1.records").lines() {
        let (key, value) = line.split_once(' ').expect("a key and a value");
        let octets = |text: &str| {
            (0..text.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal"))
                .collect::<Vec<_>>()
        };
        records.insert(octets(key), octets(value));
    }
    let (queue, damage) = Queue::restore(config(), SEED, at(START + 600), &records);
    assert_eq!(damage, []);
    let view = queue.list().next().expect("a message");
    assert_eq!(view.from().expect("a sender").as_str(), "alice@a.test");
    assert_eq!((view.accepted(), view.size()), (at(START), 1_234));
    let to: Vec<_> =
        view.recipients().map(|to| (to.address.to_string(), to.standing.to_string(), to.tries)).collect();
    let to: Vec<_> =
        to.iter().map(|(to, standing, tries)| (to.as_str(), standing.as_str(), *tries)).collect();
    let waiting = "waiting for its next try";
    assert_eq!(
        to,
        [("yes@b.test", "delivered", 1), ("no@b.test", "given up", 1), ("late@b.test", waiting, 2)]
    );
    let last = view.recipients().last().and_then(|to| to.last).expect("an answer");
    assert_eq!(last.0.to_string(), "mx.b.test: 450 4.1.1 come back later");
}
