//! When messages are tried, warned about, and given up.

use core::time::Duration;

use relay_queue::queue::{Order, Told, Which};
use relay_queue::{Answer, Ending, Event, Fact, Limits, Queue, Route, Schedule, Status};

use crate::world::{HOUR, Manner, SEED, START, Seen, World, at, config, envelope};

const EXPIRY: u64 = 30 * HOUR;

fn failed(world: &World) -> Vec<u64> {
    world.reports().iter().filter(|(_, text)| text.contains("Action: failed")).map(|(at, _)| *at).collect()
}

// Ledger: 5321-4.5.4.1-1, 5321-4.5.4.1-2, 5321-4.5.4.1-3
#[test]
fn a_message_is_tried_as_configured_to_the_second_and_bounces_at_thirty_hours() {
    let mut world = World::new(config(), |_, _, _| Manner::Defers);
    world.send("alice@a.test", &["bob@b.test"]);
    world.run(START + 100 * HOUR);
    let minutes = [0, 5, 20, 50, 110, 230, 470, 710, 950, 1_190, 1_430, 1_670, 1_800];
    assert_eq!(world.tries(), minutes.map(|minutes| minutes * 60));
    let last =
        world.seen.iter().filter(|(_, seen)| matches!(seen, Seen::Delivery { last: true, .. })).count();
    assert_eq!(last, 1);
    assert_eq!(failed(&world), [EXPIRY]);
    assert!(world.queue.is_empty() && world.disk.len() == 1, "only the ceiling is left");
    assert_eq!(world.queue.poll_timeout(), None);
}

#[test]
fn the_same_holds_when_the_site_cannot_be_reached() {
    let mut world = World::new(config(), |_, _, _| Manner::Dead);
    world.send("alice@a.test", &["bob@b.test"]);
    world.run(START + 100 * HOUR);
    let minutes = [0, 5, 20, 50, 110, 230, 470, 710, 950, 1_190, 1_430, 1_670, 1_800];
    assert_eq!(world.tries(), minutes.map(|minutes| minutes * 60));
    assert_eq!(failed(&world), [EXPIRY]);
}

#[test]
fn another_schedule_holds_for_what_waits_already() {
    // In memory, and outside the window.
    for resident in [usize::MAX, 1] {
        let limits = Limits::default().resident(resident, usize::MAX);
        let start = || {
            let mut world = World::new(config().limits(limits), |_, _, _| Manner::Defers);
            for number in 0..3 {
                world.send("alice@a.test", &[&format!("bob@b{number}.test")]);
            }
            world.run(START + 5 * HOUR);
            world
        };
        let hours = |count: u64| Duration::from_secs(count * HOUR);
        let usual = || Schedule::default().jitter(0).warn(None);

        let mut world = start();
        world.queue.set_schedule(at(START + 5 * HOUR), usual().expire(hours(6)));
        world.queue.check();
        world.run(START + 100 * HOUR);
        assert_eq!(failed(&world), [6 * HOUR; 3]);

        // Its time is up already.
        let mut world = start();
        world.queue.set_schedule(at(START + 5 * HOUR), usual().expire(hours(2)));
        world.run(START + 100 * HOUR);
        assert_eq!(failed(&world), [5 * HOUR; 3]);

        let mut world = start();
        world.queue.set_schedule(at(START + 5 * HOUR), usual().waits(&[hours(10)]).expire(hours(50)));
        world.run(START + 100 * HOUR);
        assert_eq!(failed(&world), [50 * HOUR; 3]);
        let later: Vec<_> = world.tries().into_iter().filter(|at| *at > 5 * HOUR).collect();
        let tries = [28_200, 46_200, 72_000, 108_000, 144_000, 180_000];
        let each: Vec<_> = tries.iter().flat_map(|at| [*at; 3]).collect();
        assert_eq!(later, each);
        world.account(|_, _| false);
    }
}

#[test]
fn a_route_that_is_forgotten_is_asked_for_before_the_next_try() {
    for forgets in [false, true] {
        let mut world = World::new(config(), |_, _, _| Manner::Defers);
        let until = at(START + 24 * HOUR);
        world.routes = Box::new(move |_, now| {
            let site = if now < START + HOUR { "old.test" } else { "new.test" };
            Some(Route::Site { site: site.to_owned(), until })
        });
        world.send("alice@a.test", &["bob@b.test"]);
        world.run(START + HOUR);
        let before = world.connections("old.test");
        if forgets {
            world.queue.forget_routes();
            world.queue.check();
        }
        world.run(START + 10 * HOUR);
        let (old, new) = (world.connections("old.test"), world.connections("new.test"));
        assert_eq!((old == before, new > 0), (forgets, forgets), "{before} {old} {new}");
    }
}

#[test]
fn jitter_moves_each_wait_by_a_tenth_at_most_and_not_the_expiry() {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let mut world = World::new(config().schedule(Schedule::default()), |_, _, _| Manner::Defers);
        world.send("alice@a.test", &["bob@b.test"]);
        world.run(START + 100 * HOUR);
        let tries = world.tries();
        assert!((270..=330).contains(&tries[1]) && (1_110..=1_290).contains(&tries[2]), "{tries:?}");
        assert_eq!(tries.last(), Some(&EXPIRY));
        seen.insert(tries);
    }
    assert_eq!(seen.len(), 1, "the same seed, the same tries");
}

#[test]
fn a_warning_is_sent_once_after_four_hours() {
    let mut world = World::new(config(), |_, to, _| match to {
        "fine@b.test" => Manner::Takes,
        _ => Manner::Defers,
    });
    world.send("alice@a.test", &["bob@b.test", "fine@b.test", "carol@c.test"]);
    world.run(START + 29 * HOUR);
    let reports = world.reports();
    assert_eq!(reports.len(), 1);
    let (when, text) = &reports[0];
    assert_eq!(*when, 4 * HOUR);
    assert_eq!(text.matches("Action: delayed").count(), 2);
    assert!(text.contains("Will-Retry-Until: ") && !text.contains("fine@b.test"));
    world.restart();
    world.run(START + 100 * HOUR);
    let delayed = world.reports().iter().filter(|(_, text)| text.contains("Action: delayed")).count();
    assert_eq!((delayed, world.reported.len()), (1, 2));
    world.account(|_, _| false);
}

// Ledger: 5321-6.1-5
#[test]
fn a_null_sender_is_told_nothing() {
    let mut world = World::new(config(), |_, to, _| match to {
        "no@b.test" => Manner::Refuses,
        _ => Manner::Defers,
    });
    world.send("", &["no@b.test", "late@b.test"]);
    world.run(START + 100 * HOUR);
    assert_eq!(world.reports(), []);
    assert!(world.queue.is_empty());
    let told = |fact: &Fact| matches!(fact, Fact::Failed { told: Told::NoSender, .. });
    assert_eq!(world.facts.iter().filter(|(_, fact)| told(fact)).count(), 2);
}

// Ledger: 3464-2-2, 5321-3.6.3-2, 5321-4.5.4-2
#[test]
fn a_report_that_cannot_be_delivered_is_dropped_and_not_reported() {
    let mut world = World::new(config(), |_, _, _| Manner::Refuses);
    world.send("alice@a.test", &["bob@b.test"]);
    world.run(START + 1);
    let Some((_, Seen::Report(report))) = world.seen.last().cloned() else { panic!("no report") };
    let commit = world.queue.accept_report(at(world.now), &report, relay_queue::BodyHandle(8));
    world.queue.handle_durable(commit.id);
    for change in commit.changes {
        if let relay_queue::Change::Put { key, value } = change {
            world.disk.insert(key, value);
        }
    }
    world.run(START + 100 * HOUR);
    assert_eq!(world.reports().len(), 1);
    assert!(world.facts.iter().any(|(_, fact)| matches!(fact, Fact::Failed { told: Told::NoSender, .. })));
    assert!(world.queue.is_empty());
}

// Ledger: 5321-3.6.3-1, 5321-4.4-13
#[test]
fn refusals_are_reported_at_once_and_together() {
    let mut world =
        World::new(config(), |_, to, _| if to.starts_with("no") { Manner::Refuses } else { Manner::Takes });
    world.latency = 3;
    world.send("alice@a.test", &["no1@b.test", "yes@b.test", "no2@b.test", "no3@b.test"]);
    world.run(START + 3);
    assert_eq!(world.reports().len(), 1);
    assert_eq!(world.reports()[0].1.matches("Action: failed").count(), 3);
    assert!(world.queue.is_empty() && world.released.len() == 1);
}

/// The last attempt, then exactly one report, in time; whatever the message was doing when its time came.
fn expires(mut world: World, within: u64) {
    world.send("alice@a.test", &["bob@b.test"]);
    world.run(START + 200 * HOUR);
    assert_eq!(failed(&world).len(), 1);
    let when = failed(&world)[0];
    assert!(
        (EXPIRY..=EXPIRY + within).contains(&when),
        "reported {} s behind its expiry",
        when as i64 - EXPIRY as i64
    );
    assert!(world.queue.is_empty());
}

#[test]
fn it_expires_while_its_domain_is_asked_for() {
    let mut world = World::new(config(), |_, _, _| Manner::Takes);
    world.routes = Box::new(|_, _| None);
    expires(world, 600);
}

// Ledger: 5321-5.1-4
#[test]
fn it_expires_without_a_route() {
    let mut world = World::new(config(), |_, _, _| Manner::Takes);
    let answer = Answer::local(Status::new(4, 4, 3), "name servers are silent");
    // Remembered for longer than it matters: the last attempt asks again.
    let asked = std::rc::Rc::new(core::cell::RefCell::new(Vec::new()));
    let asks = asked.clone();
    world.routes = Box::new(move |_, now| {
        asks.borrow_mut().push((now - START) / HOUR);
        Some(Route::Failed { answer: answer.clone(), permanent: false, until: at(now + 20 * HOUR) })
    });
    expires(world, 0);
    assert_eq!(*asked.borrow(), [0, 23, 30]);
}

#[test]
fn it_expires_in_an_attempt() {
    let mut world = World::new(config(), |_, _, _| Manner::Defers);
    world.latency = HOUR;
    expires(world, HOUR);
}

#[test]
fn it_expires_in_an_attempt_that_is_never_heard_of_again() {
    expires(World::new(config(), |_, _, _| Manner::Forgotten), 2 * HOUR);
}

#[test]
fn it_expires_while_its_connections_break() {
    expires(World::new(config(), |_, _, _| Manner::Breaks), 0);
}

#[test]
fn it_expires_while_nobody_knows_what_comes_of_it() {
    expires(World::new(config(), |_, _, _| Manner::Mute), 0);
}

#[test]
fn it_expires_while_commits_fail() {
    let mut world = World::new(config(), |_, _, _| Manner::Defers);
    world.fails = Box::new(|number| number > 1 && number % 3 != 0);
    expires(world, 300);
}

#[test]
fn it_expires_behind_a_site_that_is_left_alone() {
    let mut world = World::new(config(), |_, _, _| Manner::Dead);
    for _ in 0..50 {
        world.send("alice@a.test", &["bob@b.test"]);
    }
    world.run(START + 200 * HOUR);
    let when = failed(&world);
    assert_eq!(when.len(), 50);
    assert!(when.iter().all(|when| (EXPIRY..=EXPIRY + 1_800).contains(when)), "{when:?}");
    assert!(world.connections("mx.b.test") < 120, "{}", world.connections("mx.b.test"));
}

#[test]
fn it_expires_behind_a_crowd_that_leaves_no_room() {
    // One connection in all, which the others of a slow site keep busy for days.
    let limits = Limits::default().attempts(1).lease(Duration::from_secs(100 * HOUR));
    let mut world = World::new(config().limits(limits), |_, _, _| Manner::Takes);
    world.latency = 90 * HOUR;
    world.send("slow@a.test", &["slow@slow.test"]);
    world.run(START + 60);
    world.send("alice@a.test", &["bob@b.test"]);
    world.run(START + 80 * HOUR);
    assert_eq!(failed(&world), [60 + EXPIRY + 2 * HOUR], "given up without a last attempt, after the grace");
    let (_, text) = world.reports().pop().expect("a report");
    assert!(text.contains("Status: 4.4.7"), "{text}");
}

#[test]
fn what_is_held_does_not_expire_and_has_its_last_attempt_when_released() {
    let mut world = World::new(config(), |_, _, _| Manner::Defers);
    let id = world.send("alice@a.test", &["bob@b.test"]);
    world.run(START + 1);
    assert_eq!(world.queue.handle_order(at(world.now), Which::Message(id), Order::Hold), 1);
    world.run(START + 50 * HOUR);
    assert_eq!((world.reports().len(), world.queue.poll_timeout()), (0, None));
    world.queue.handle_order(at(world.now), Which::Message(id), Order::Release);
    world.run(START + 51 * HOUR);
    assert_eq!(failed(&world), [50 * HOUR]);
    assert_eq!(world.tries(), [0, 50 * HOUR]);
}

#[test]
fn a_host_that_was_down_past_the_expiry_makes_the_last_attempt_and_delivers() {
    let mut world =
        World::new(config(), |_, _, now| if now < START + HOUR { Manner::Defers } else { Manner::Takes });
    let id = world.send("alice@a.test", &["bob@b.test"]);
    world.run(START + 600);
    world.now = START + 300 * HOUR;
    world.restart();
    world.settle();
    world.run(START + 301 * HOUR);
    assert_eq!(world.delivered.get(&(id, "bob@b.test".to_owned())), Some(&1));
    assert_eq!(world.reports(), []);
}

#[test]
fn a_late_outcome_counts_if_it_says_delivered() {
    let mut queue = Queue::new(config(), SEED);
    let commit = queue.accept(at(START), envelope("alice@a.test", &["bob@b.test"])).expect("room");
    queue.handle_durable(commit.id);
    let mut late = None;
    while let Some(event) = queue.poll(at(START)) {
        match event {
            Event::Resolve(domain) => {
                let route = Route::Site { site: "mx".to_owned(), until: at(START + 60) };
                queue.handle_route(at(START), &domain, route);
            }
            Event::Attempt(attempt) => late = Some(attempt),
            _ => {}
        }
    }
    let mut late = late.expect("an attempt");
    assert_eq!(queue.poll_timeout(), Some(at(START + 2 * HOUR)));
    queue.handle_timeout(at(START + 2 * HOUR));
    assert_eq!(queue.counters().lost, 1);
    late.settle(0, relay_queue::Outcome::of(Answer::reply(250, None, "ok")));
    queue.handle_outcome(at(START + 2 * HOUR + 1), late, Ending::Closed);
    let mut released = false;
    while let Some(event) = queue.poll(at(START + 2 * HOUR + 1)) {
        if let Event::Commit(commit) = event {
            assert!(commit.report.is_none());
            released |= commit.released.is_some();
            queue.handle_durable(commit.id);
        }
        queue.check();
    }
    assert!(released && queue.is_empty());
}

/// The model found it: the grace counted from the time at which a try was due, and a disk that was full for longer took the
/// last attempt away.
#[test]
fn a_disk_that_is_full_for_two_days_costs_no_last_attempt() {
    let mut world = World::new(config(), |_, _, _| Manner::Defers);
    world.send("alice@a.test", &["bob@b.test"]);
    world.run(START + 1);
    world.fails = Box::new(|_| true);
    world.run(START + 48 * HOUR);
    assert_eq!(world.tries().len(), 2);
    world.fails = Box::new(|_| false);
    world.run(START + 52 * HOUR);
    assert_eq!((world.tries().len(), world.reported.len()), (3, 1));
    assert!(world.queue.is_empty());
}
