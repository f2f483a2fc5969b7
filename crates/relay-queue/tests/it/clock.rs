//! Clocks that jump.

use relay_queue::Fact;

use crate::world::{HOUR, Manner, START, World, at, config};

const TEN_YEARS: u64 = 10 * 365 * 86_400;

fn world() -> World {
    let mut world =
        World::new(config(), |_, to, _| if to.starts_with("dead") { Manner::Dead } else { Manner::Defers });
    world.latency = 10;
    world.send("alice@a.test", &["bob@b.test", "dead@c.test"]);
    world.run(START + 2 * HOUR);
    world.settle();
    world
}

#[test]
fn a_clock_that_is_set_back_moves_what_waits_with_it() {
    for back in [120, HOUR, TEN_YEARS] {
        let mut world = world();
        let next = world.queue.poll_timeout().expect("a try").as_secs() - world.now;
        world.now -= back;
        world.settle();
        assert_eq!(world.queue.poll_timeout().expect("a try").as_secs() - world.now, next, "{back}");
        assert!(world.facts.iter().any(|(_, fact)| matches!(fact, Fact::ClockSetBack { .. })));
        world.run(world.now + 27 * HOUR);
        assert_eq!(world.reported.len(), 0);
        world.run(world.now + 2 * HOUR);
        assert_eq!(world.reported.len(), 2);
        assert!(world.queue.is_empty());
    }
}

#[test]
fn a_small_step_back_is_waited_out() {
    let mut world = world();
    let next = world.queue.poll_timeout();
    world.now -= 30;
    world.settle();
    assert_eq!(world.queue.poll_timeout(), next);
}

#[test]
fn a_clock_that_is_put_forward_costs_no_last_attempt() {
    let mut world = world();
    let before = world.tries().len();
    world.now += TEN_YEARS;
    world.run(world.now + 3 * HOUR);
    assert_eq!(world.tries().len(), before + 2);
    assert_eq!(world.reported.len(), 2);
    assert!(world.queue.is_empty());
}

#[test]
fn there_and_back_again_loses_nothing() {
    let mut world = world();
    world.now += TEN_YEARS;
    world.settle();
    world.now -= TEN_YEARS;
    world.settle();
    let id = world.send("alice@a.test", &["late@b.test"]);
    world.run(world.now + 40 * HOUR);
    world.account(|_, _| false);
    assert!(world.queue.is_empty());
    assert!(world.reported.contains_key(&(id, "late@b.test".to_owned())));
}

#[test]
fn a_restart_with_a_clock_that_is_wrong_strands_nothing() {
    for back in [1_000, 5 * HOUR, TEN_YEARS, START + 2 * HOUR] {
        let mut world = world();
        world.now -= back;
        world.restart();
        for to in world.queue.list().flat_map(|view| view.recipients().collect::<Vec<_>>()) {
            assert!(to.next <= at(world.now + 3 * HOUR), "{back}: in {} s", to.next.as_secs() - world.now);
        }
        world.run(world.now + 40 * HOUR);
        world.account(|_, _| false);
        assert!(world.queue.is_empty(), "{back}");
        // And once more, with the right one.
        world.now += back;
        world.restart();
        assert!(world.queue.is_empty());
    }
}

#[test]
fn times_at_the_ends_of_the_scale_do_no_harm() {
    let mut world = world();
    for now in [0, u64::MAX, 1, u64::MAX / 2, START] {
        world.now = now;
        world.queue.handle_timeout(at(now));
        world.queue.check();
    }
    world.run(START + 100 * HOUR);
    world.account(|_, _| false);
    assert!(world.queue.is_empty());
}
