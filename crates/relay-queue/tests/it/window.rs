//! Messages outside the window: they come in when it is their turn, and nothing else changes.

use std::collections::BTreeSet;

use relay_queue::error::{RecordError, Refusal};
use relay_queue::queue::{Order, Which};
use relay_queue::{Answer, BodyHandle, Ending, Envelope, Event, Fact, Limits, Outcome, Queue, Route};

use crate::world::{HOUR, Manner, SEED, START, Seen, World, address, at, config, envelope};

fn narrow(messages: usize) -> relay_queue::Config {
    config().limits(Limits::default().resident(messages, usize::MAX))
}

/// Accepted and durable, many.
fn fill(world: &mut World, to: &str, count: u64) {
    for _ in 0..count {
        world.send("alice@a.test", &[to]);
    }
}

#[test]
fn the_window_changes_nothing_that_can_be_seen_from_outside() {
    let run = |resident: usize| {
        let mut world = World::new(narrow(resident), |_, to, _| match to.split('@').next() {
            Some("yes") => Manner::Takes,
            Some("no") => Manner::Refuses,
            _ => Manner::Defers,
        });
        for number in 0..6 {
            let to =
                [format!("yes@b{number}.test"), format!("no@c{number}.test"), format!("late@d{number}.test")];
            world.send("alice@a.test", &to.iter().map(String::as_str).collect::<Vec<_>>());
        }
        world.run(START + 40 * HOUR);
        assert!(world.queue.is_empty() && world.disk.len() == 1);
        world.seen.retain(|(_, seen)| !matches!(seen, Seen::Connection(_)));
        let mut seen: Vec<_> =
            world.seen.into_iter().map(|(when, seen)| format!("{when} {seen:?}")).collect();
        seen.sort_unstable();
        (seen, world.loads)
    };
    let ((whole, none), (narrow, loads)) = (run(usize::MAX), run(1));
    assert!(none == 0 && loads > 50, "{none} and {loads} loads");
    assert_eq!(whole, narrow);
}

#[test]
fn a_window_full_of_one_slow_destination_keeps_nobody_out() {
    let mut world = World::new(narrow(32), |_, _, _| Manner::Takes);
    world.latency = 600;
    fill(&mut world, "x@slow.test", 400);
    world.run(START + 60);
    let others: Vec<_> = (0..20).map(|number| format!("x@b{number}.test")).collect();
    for to in &others {
        fill(&mut world, to, 3);
    }
    world.run(START + 60 + 2 * 600 + 10);
    let served: BTreeSet<_> = world.delivered.keys().map(|(_, to)| to.clone()).collect();
    let missing: Vec<_> = others.iter().filter(|to| !served.contains(*to)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    world.run(START + 20 * HOUR);
    assert!(world.queue.is_empty());
}

#[test]
fn a_window_full_of_dead_destinations_keeps_nobody_out() {
    let mut world =
        World::new(
            narrow(8),
            |site, _, _| {
                if site.starts_with("mx.dead") { Manner::Dead } else { Manner::Takes }
            },
        );
    for number in 0..60 {
        fill(&mut world, &format!("x@dead{number}.test"), 2);
        let two = [format!("x@dead{number}.test"), format!("x@dead{}.test", number + 100)];
        world.send("alice@a.test", &two.iter().map(String::as_str).collect::<Vec<_>>());
    }
    world.run(START + 10);
    world.restart();
    fill(&mut world, "x@alive.test", 1);
    world.run(START + 70);
    assert_eq!(world.delivered.len(), 1);
    assert!(world.queue.parked() > 150, "{}", world.queue.parked());
    world.run(START + 40 * HOUR);
    assert!(world.queue.is_empty());
    assert_eq!(world.reported.len(), 60 * 4);
}

#[test]
fn records_that_cannot_be_read_are_told_and_kept() {
    let mut world = World::new(narrow(1), |_, _, _| Manner::Defers);
    let hurt = world.send("alice@a.test", &["one@b.test"]);
    fill(&mut world, "two@c.test", 2);
    world.run(START + 1);
    let key = world.disk.keys().find(|key| key.ends_with(&[hurt.0 as u8, 1])).expect("its record").clone();
    let good = world.disk.insert(key.clone(), vec![1, 2, 3].into()).expect("it was there");
    world.checked = false;
    world.run(START + 40 * HOUR);
    let told = |fact: &Fact| matches!(fact, Fact::Unreadable { message, error: RecordError::Damaged } if *message == hurt);
    assert_eq!(world.facts.iter().filter(|(_, fact)| told(fact)).count(), 1);
    assert_eq!((world.queue.len(), world.queue.poll_timeout(), world.reported.len()), (1, None, 2));
    // Mended, it goes on.
    world.disk.insert(key, good);
    world.restart();
    world.run(START + 50 * HOUR);
    assert!(world.queue.is_empty() && world.reported.len() == 3);
}

#[test]
fn a_load_that_is_lost_is_asked_for_again_and_comes_too_late_then() {
    let mut world = World::new(narrow(1), |_, _, _| Manner::Defers);
    fill(&mut world, "x@b.test", 2);
    world.run(START + 299);
    // Held, it gives way to the other.
    let here = world.queue.list().next().expect("one is in the window").id();
    world.queue.handle_order(at(START + 299), Which::Message(here), Order::Hold);
    world.settle();
    let next = |queue: &mut Queue, now| loop {
        match queue.poll(at(now)) {
            Some(Event::Load(load)) => return Some(load),
            Some(Event::Fact(_)) => {}
            _ => return None,
        }
    };
    let first = next(&mut world.queue, START + 310).expect("one is due");
    assert!(world.queue.load(at(START + 310), first.message()).is_none(), "it is on its way");
    let again = world.queue.poll_timeout().expect("it is not waited for without end").as_secs();
    let second = next(&mut world.queue, again).expect("asked for again");
    assert_eq!(first.message(), second.message());
    let values =
        |keys: &[bytes::Bytes]| keys.iter().map(|key| world.disk.get(key).cloned()).collect::<Vec<_>>();
    let (old, new) = (values(first.keys()), values(second.keys()));
    world.queue.handle_loaded(at(again), first, old);
    world.queue.check();
    assert!(world.queue.show(second.message()).is_none(), "what is old was taken");
    let id = second.message();
    world.queue.handle_loaded(at(again), second, new);
    world.queue.check();
    assert!(world.queue.show(id).is_some());
}

#[test]
fn what_is_delivered_behind_its_lease_counts_outside_the_window_too() {
    let mut world = World::new(narrow(1), |_, _, _| Manner::Takes);
    world.latency = 3 * HOUR;
    fill(&mut world, "x@b.test", 1);
    world.run(START + 2 * HOUR + 5);
    fill(&mut world, "x@c.test", 1);
    // It comes in when the attempt for the second has not come back either.
    world.run(START + 4 * HOUR + 60);
    assert_eq!(world.queue.len(), 1, "only the second is left");
    world.run(START + 9 * HOUR);
    assert!(world.queue.is_empty() && world.delivered.values().all(|count| *count == 1));
}

#[test]
fn a_host_that_stops_writes_down_what_came_behind_its_lease_and_begins_nothing() {
    let mut world = World::new(narrow(1), |_, _, _| Manner::Takes);
    world.latency = 3 * HOUR;
    fill(&mut world, "x@b.test", 1);
    world.run(START + 2 * HOUR + 5);
    fill(&mut world, "x@c.test", 6);
    world.run(START + 3 * HOUR - 1);
    let (_, mut attempt) = world.running.pop_first().expect("it is late");
    let id = attempt.delivery().expect("there is one").message;
    assert!(world.queue.show(id).is_none(), "it is in the window");
    attempt.settle(0, Outcome::Delivered(Answer::reply(250, None, "ok")));
    world.queue.handle_outcome(at(world.now), attempt, Ending::Closed);
    let mut removed = Vec::new();
    while let Some(event) = world.queue.poll_last(at(world.now)) {
        match event {
            Event::Load(load) => {
                assert_eq!(load.message(), id);
                let values: Vec<_> = load.keys().iter().map(|key| world.disk.get(key).cloned()).collect();
                world.queue.handle_loaded(at(world.now), load, values);
            }
            Event::Commit(commit) => {
                removed.push(commit.message);
                world.queue.handle_durable(commit.id);
            }
            Event::Fact(_) => {}
            event => panic!("{event:?} is begun"),
        }
    }
    assert_eq!(removed, [id]);
}

#[test]
fn an_order_reaches_a_message_outside_the_window_when_it_is_loaded() {
    let mut world = World::new(narrow(1), |_, _, _| Manner::Defers);
    fill(&mut world, "x@b.test", 20);
    world.run(START + 1);
    assert!(world.queue.parked() >= 19);
    let ids: Vec<_> = world.queue.ids(None).collect();
    assert!(ids.len() == 20 && ids.is_sorted());
    assert_eq!(world.queue.ids(Some(ids[4])).collect::<Vec<_>>(), ids[5..]);
    for id in &ids {
        world.fetch(|it| it == *id);
        assert_eq!(world.queue.handle_order(at(START + 1), Which::Message(*id), Order::Drop), 1);
        world.settle();
    }
    assert!(world.queue.is_empty());
}

#[test]
fn an_order_for_a_destination_finds_what_goes_there_outside_the_window() {
    let mut world = World::new(narrow(1), |_, _, _| Manner::Defers);
    let held = world.send("alice@a.test", &["x@b.test", "y@c.test"]);
    world.run(START + 1);
    let recipient = address("y@c.test");
    assert_eq!(world.queue.handle_order(at(START + 1), Which::Recipient(held, &recipient), Order::Hold), 1);
    for to in ["x@b.test", "x@c.test"] {
        fill(&mut world, to, 5);
    }
    world.run(START + 2);
    assert!(world.queue.parked() >= 10);
    let drop_all = |world: &mut World, destination: &str| {
        let ids: Vec<_> = world.queue.ids(None).collect();
        let ids: Vec<_> = ids.into_iter().filter(|id| world.queue.may_go_to(*id, destination)).collect();
        let mut count = 0;
        for id in &ids {
            world.fetch(|it| it == *id);
            let which = Which::DestinationOf(*id, destination);
            count += world.queue.handle_order(at(START + 2), which, Order::Drop);
            world.settle();
        }
        (ids.len(), count)
    };
    // What has several recipients is looked at.
    let (looked, dropped) = drop_all(&mut world, "c.test");
    assert!(looked <= 7 && dropped == 6, "{dropped} of {looked}");
    // By the name of its site.
    let (_, dropped) = drop_all(&mut world, "mx.b.test");
    assert_eq!(dropped, 6);
    assert!(world.queue.is_empty());
}

#[test]
fn a_queue_works_while_its_records_are_still_read() {
    let mut world = World::new(narrow(4), |_, _, _| Manner::Takes);
    world.routes = Box::new(|_, _| None);
    for number in 0..30 {
        fill(&mut world, &format!("x@b{number}.test"), 1);
    }
    let old: Vec<_> = world.disk.clone().into_iter().collect();
    world.queue = Queue::restoring(world.config.clone(), SEED, at(world.now));
    let early = world.queue.accept(at(START), envelope("a@a.test", &["x@c.test"]));
    assert_eq!(early.err(), Some(Refusal::Restoring));
    world.routes = Box::new(|domain, now| Some(Route::Site { site: domain.to_owned(), until: at(now + 60) }));
    let mut ids: BTreeSet<_> = world.accepted.iter().map(|(id, _)| *id).collect();
    // As a host reads them: a few at a time, and what was accepted meanwhile is among them.
    let (mut from, mut number) = (bytes::Bytes::new(), 0);
    loop {
        let page: Vec<_> =
            world.disk.range(from.clone()..).take(5).map(|(k, v)| (k.clone(), v.clone())).collect();
        for (key, value) in &page {
            world.queue.handle_record(key, value);
            number += 1;
            if number % 7 == 0 && number < 2 * old.len() {
                let id =
                    world.accept(Envelope::new(None, BodyHandle(2)).to(address("x@c.test")), &["x@c.test"]);
                assert!(ids.insert(id.expect("stored")), "an identifier is given out again");
            }
        }
        world.run(world.now + 1);
        assert!(world.queue.is_restoring());
        match page.last() {
            Some((last, _)) => from = [last, &b"\0"[..]].concat().into(),
            None => break,
        }
    }
    assert_eq!(world.queue.handle_restored(), []);
    assert!(!world.queue.is_restoring());
    world.run(world.now + HOUR);
    assert!(world.queue.is_empty());
    assert!(world.delivered.len() == ids.len() && world.delivered.values().all(|count| *count == 1));
}

#[test]
fn the_last_attempt_after_a_disk_that_was_full_is_not_lost_to_another_message() {
    let manner = |_: &str, _: &str, now| if now > START + HOUR { Manner::Takes } else { Manner::Defers };
    let mut world = World::new(narrow(1), manner);
    world.fails = Box::new(|commit| commit > 1);
    fill(&mut world, "x@b.test", 1);
    world.run(START + 40 * HOUR);
    world.fails = Box::new(|_| false);
    let site = |domain: &str, now| Route::Site { site: domain.to_owned(), until: at(now + 60) };
    world.routes = Box::new(move |domain, now| (domain != "b.test").then(|| site(domain, now)));
    world.run(START + 40 * HOUR + 90);
    fill(&mut world, "x@a.test", 1);
    world.run(START + 40 * HOUR + 120);
    world.queue.handle_route(at(world.now), "b.test", site("b.test", world.now));
    world.run(START + 50 * HOUR);
    assert_eq!((world.delivered.len(), world.reported.len()), (2, 0));
}
