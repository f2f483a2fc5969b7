//! Sites: how many connections, whose turn, and who waits for whom.

use std::collections::BTreeMap;

use relay_queue::queue::{Order, Which};
use relay_queue::{Answer, BodyHandle, Envelope, Limits, Route, Status};

use crate::world::{HOUR, Manner, START, Seen, World, address, at, config};

#[test]
fn two_hundred_recipients_of_a_site_take_one_connection_and_two_transactions() {
    let mut world = World::new(config(), |_, _, _| Manner::Takes);
    world.routes = Box::new(|_, now| Some(Route::Site { site: "mx".to_owned(), until: at(now + 60) }));
    world.latency = 5;
    let to: Vec<_> = (0..200).map(|number| format!("user{number}@b{}.test", number % 3)).collect();
    world.send("alice@a.test", &to.iter().map(String::as_str).collect::<Vec<_>>());
    world.run(START + HOUR);
    assert_eq!(world.connections("mx"), 1);
    let sizes = world.seen.iter().filter_map(|(_, seen)| match seen {
        Seen::Delivery { to, .. } => Some(to.len()),
        _ => None,
    });
    assert_eq!(sizes.collect::<Vec<_>>(), [100, 100]);
    assert_eq!(world.delivered.len(), 200);
    assert!(world.queue.is_empty());
}

/// The seconds that mail for 99 sites takes, in order, while ten thousand messages for another may be there too.
fn delays(dead: bool) -> (Vec<u64>, usize) {
    let limits = Limits::default().attempts(60);
    let mut world = World::new(config().limits(limits), |site, _, _| match site {
        "mx.dead.test" => Manner::Dead,
        _ => Manner::Takes,
    });
    world.latency = 2;
    if dead {
        for _ in 0..10_000 {
            let commit =
                world.queue.accept(at(START), Envelope::new(None, BodyHandle(1)).to(address("x@dead.test")));
            world.queue.handle_durable(commit.expect("room").id);
        }
    }
    let mut sent = BTreeMap::new();
    for round in 0..20 {
        for site in 0..99 {
            let to = format!("user{round}@site{site}.test");
            let envelope = Envelope::new(None, BodyHandle(1)).to(address(&to));
            let commit = world.queue.accept(at(world.now), envelope).expect("room");
            sent.insert(commit.message, world.now);
            world.queue.handle_durable(commit.id);
        }
        // Without `check`, which looks at everything each time.
        world.quick(START + (round + 1) * 30);
    }
    world.quick(START + HOUR);
    let mut delays = Vec::new();
    for (when, fact) in &world.facts {
        if let relay_queue::Fact::Delivered { message, .. } = fact {
            delays.extend(sent.get(message).map(|sent| when - sent));
        }
    }
    delays.sort_unstable();
    world.queue.check();
    (delays, world.connections("mx.dead.test"))
}

#[test]
fn ten_thousand_messages_for_a_dead_site_do_not_delay_ninety_nine_others() {
    let ((base, _), (with, connections)) = (delays(false), delays(true));
    assert_eq!((base.len(), with.len()), (99 * 20, 99 * 20));
    let p99 = |delays: &[u64]| delays[delays.len() * 99 / 100];
    assert!(p99(&with) * 10 <= p99(&base) * 12, "p99 {} s instead of {} s", p99(&with), p99(&base));
    assert!(connections <= 9, "{connections} connections to a dead site in an hour");
}

#[test]
fn when_a_site_returns_the_herd_stays_within_the_window() {
    let returns = START + 6 * HOUR;
    let mut world =
        World::new(config(), move |_, _, now| if now < returns { Manner::Dead } else { Manner::Takes });
    world.latency = 1;
    for _ in 0..2_000 {
        let commit =
            world.queue.accept(at(START), Envelope::new(None, BodyHandle(1)).to(address("x@b.test")));
        world.queue.handle_durable(commit.expect("room").id);
    }
    world.quick(returns);
    world.most_open = 0;
    let before = world.seen.len();
    world.quick(START + 29 * HOUR);
    assert!(world.queue.is_empty());
    assert!(world.most_open <= 20, "{} connections at once", world.most_open);
    let mut a_second = BTreeMap::<u64, usize>::new();
    for (when, seen) in &world.seen[before..] {
        if let Seen::Delivery { .. } = seen {
            *a_second.entry(*when).or_default() += 1;
        }
    }
    assert!(a_second.values().all(|count| *count <= 20 + 1), "{:?}", a_second.values().max());
}

#[test]
fn a_message_to_very_many_does_not_keep_others_from_their_turn() {
    let mut world = World::new(config(), |_, _, _| Manner::Takes);
    world.latency = 1;
    let to: Vec<_> = (0..2_000).map(|number| format!("user{number}@b.test")).collect();
    world.send("list@a.test", &to.iter().map(String::as_str).collect::<Vec<_>>());
    let small = world.send("alice@a.test", &["bob@b.test"]);
    world.run(START + HOUR);
    let mut order = world.seen.iter().filter_map(|(_, seen)| match seen {
        Seen::Delivery { message, .. } => Some(*message),
        _ => None,
    });
    assert!(order.position(|message| message == small).expect("delivered") <= 1);
}

#[test]
fn a_site_that_takes_connections_and_no_mail_is_left_alone_too() {
    let mut world = World::new(config(), |_, _, _| Manner::Breaks);
    for _ in 0..500 {
        world.send("", &["x@b.test"]);
    }
    world.run(START + HOUR);
    assert!(world.connections("mx.b.test") <= 8, "{}", world.connections("mx.b.test"));
}

#[test]
fn one_message_that_breaks_connections_does_not_stop_the_others() {
    let mut world =
        World::new(config(), |_, to, _| if to == "poison@b.test" { Manner::Breaks } else { Manner::Takes });
    world.send("", &["poison@b.test"]);
    for number in 0..100 {
        world.send("", &[&format!("user{number}@b.test")]);
    }
    world.run(START + 120);
    assert_eq!(world.delivered.len(), 100);
}

#[test]
fn a_domain_that_moves_away_from_a_dead_site_is_followed() {
    let mut world =
        World::new(config(), |site, _, _| if site == "old" { Manner::Dead } else { Manner::Takes });
    world.routes = Box::new(|_, now| {
        let site = if now < START + 120 { "old" } else { "new" };
        Some(Route::Site { site: site.to_owned(), until: at(now + 60) })
    });
    for _ in 0..20 {
        world.send("", &["x@b.test"]);
    }
    world.run(START + 600);
    assert_eq!(world.queue.len(), 0);
    // Two at first, and one after each pause until the route is asked for again.
    assert_eq!(world.connections("old"), 4);
}

// Ledger: 5321-5.1-3
#[test]
fn no_such_domain_is_reported_at_once() {
    let mut world = World::new(config(), |_, _, _| Manner::Takes);
    let answer = Answer::local(Status::new(5, 1, 2), "there is no such domain");
    world.routes = Box::new(move |_, now| {
        Some(Route::Failed { answer: answer.clone(), permanent: true, until: at(now + 60) })
    });
    world.send("alice@a.test", &["bob@b.test", "carol@b.test"]);
    world.run(START);
    let reports = world.reports();
    assert_eq!(reports.len(), 1);
    assert!(reports[0].1.contains("Status: 5.1.2") && reports[0].1.contains("there is no such domain"));
}

#[test]
fn after_a_failure_one_connection_finds_out_whether_the_site_is_back() {
    let died = START + 300;
    let mut world =
        World::new(config(), move |_, _, now| if now < died { Manner::Takes } else { Manner::Dead });
    world.latency = 20;
    for _ in 0..1_500 {
        world.send("", &["x@b.test"]);
    }
    world.run(died + 40);
    assert!(world.most_open > 15, "the window has grown to {}", world.most_open);
    assert!(!world.queue.is_empty());
    world.most_open = 0;
    world.run(died + HOUR);
    assert_eq!(world.most_open, 1);
}

#[test]
fn sites_take_turns_where_there_is_little_room() {
    let mut world = World::new(config().limits(Limits::default().attempts(1)), |_, _, _| Manner::Takes);
    world.latency = 1;
    for name in ["a", "b", "c"] {
        for _ in 0..50 {
            world.send("", &[&format!("x@{name}.test")]);
        }
    }
    let last = world.send("", &["x@z.test"]);
    world.run(START + 10);
    assert!(
        world.delivered.contains_key(&(last, "x@z.test".to_owned())),
        "one of many must not wait for them all"
    );
}

/// The answer for a domain made one message ask for it again while another one was still waiting for the same answer.
#[test]
fn an_answer_that_comes_when_more_is_due_is_for_all_who_asked() {
    let mut world = World::new(config(), |_, _, _| Manner::Defers);
    world.routes = Box::new(|_, now| {
        (now < START + 60).then(|| Route::Site { site: "mx".to_owned(), until: at(now + 60) })
    });
    let one = world.send("", &["x@b.test", "y@b.test"]);
    let two = world.send("", &["z@b.test"]);
    world.run(START + 100);
    for (id, to) in [(one, "y@b.test"), (two, "z@b.test")] {
        world.queue.handle_order(at(START + 100), Which::Recipient(id, &address(to)), Order::Retry);
    }
    world.settle();
    let answer = Answer::local(Status::new(4, 4, 3), "no answer");
    world.now = START + 300;
    world.queue.handle_route(
        at(world.now),
        "b.test",
        Route::Failed { answer, permanent: false, until: at(world.now) },
    );
    world.queue.check();
    world.run(START + 100 * HOUR);
    assert!(world.queue.is_empty());
}

#[test]
fn questions_and_attempts_have_their_bounds() {
    let limits = Limits::default().attempts(7).resolves(5);
    let mut world = World::new(config().limits(limits), |_, _, _| Manner::Takes);
    world.latency = 3;
    for number in 0..50 {
        world.send("", &[&format!("x@b{number}.test")]);
    }
    let (asked, answer) = (std::rc::Rc::new(core::cell::Cell::new(0)), |now| Route::Site {
        site: "s".to_owned(),
        until: at(now + 9_999),
    });
    let count = asked.clone();
    world.routes = Box::new(move |_, _| {
        count.set(count.get() + 1);
        None
    });
    world.run(START + 1);
    assert_eq!(asked.get(), 5);
    world.routes = Box::new(move |domain, now| match answer(now) {
        Route::Site { until, .. } => Some(Route::Site { site: domain.to_owned(), until }),
        other => Some(other),
    });
    world.run(START + HOUR);
    assert_eq!(world.most_open, 7);
    assert_eq!(world.delivered.len(), 50);
}

impl World {
    /// Like `run`, without checking everything after each step.
    fn quick(&mut self, until: u64) {
        self.checked = false;
        self.run(until);
        self.checked = true;
    }
}
