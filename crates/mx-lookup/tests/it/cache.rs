//! How long answers are kept, to the second.

use std::time::Duration;

use mx_lookup::{Limits, Plan};

use crate::world::{MOMENT, SECOND, World, down, failing, good, line};

/// How often a question has been asked.
fn asked(world: &World, question: &str) -> usize {
    world.asked.iter().filter(|asked| asked.question == question).count()
}

/// A question is asked again when its answer is over, to the second.
fn asks_again(world: &mut World, question: &str, kept: Duration) {
    let start = world.now;
    world.plan("a.example");
    assert_eq!(asked(world, question), 1);
    world.wait_until(start + kept - SECOND);
    world.plan("a.example");
    assert_eq!(asked(world, question), 1, "{question} is asked again before {kept:?}");
    world.wait_until(start + kept + SECOND);
    world.plan("a.example");
    assert_eq!(asked(world, question), 2, "{question} is not asked again after {kept:?}");
}

#[test]
fn records_are_kept_for_their_ttl_within_bounds() {
    for (ttl, kept) in
        [("0", 5), ("1", 5), ("5", 5), ("6", 6), ("300", 300), ("86400", 86_400), ("604800", 86_400)]
    {
        let zone = format!("a.example {ttl} MX 10 mx.a.example\nmx.a.example 900000 A 1.0.0.1");
        asks_again(&mut World::new(&zone), "a.example MX", SECOND * kept);
        for (kind, address) in [("A", "1.0.0.1"), ("AAAA", "2a00::1")] {
            let zone = format!("a.example 900000 MX 10 mx.a.example\nmx.a.example {ttl} {kind} {address}");
            asks_again(&mut World::new(&zone), &format!("mx.a.example {kind}"), SECOND * kept);
        }
    }
}

#[test]
fn an_answer_is_over_at_the_very_moment() {
    let mut world = World::new("a.example 60 MX 0 .");
    let plan = world.plan("a.example");
    assert_eq!(plan.expires(), MOMENT + 60 * SECOND);
    world.now = plan.expires() - Duration::from_nanos(1);
    assert_eq!(world.plan("a.example").expires(), plan.expires());
    assert_eq!(world.asked.len(), 1);
    world.now = plan.expires();
    world.plan("a.example");
    assert_eq!(world.asked.len(), 2);
}

#[test]
fn the_smallest_ttl_of_a_set_counts() {
    let mut world = World::new(
        "a.example 60 MX 0 mx.a.example\na.example 30 MX 5 mx.a.example\nmx.a.example 300 A 1.0.0.1",
    );
    assert_eq!(world.plan("a.example").expires().as_secs(), 30);
    let mut world = World::new("a.example 40 CNAME b.example\nb.example 300 MX 0 .");
    assert_eq!(world.plan("a.example").expires().as_secs(), 40);
}

#[test]
fn a_plan_holds_as_long_as_all_that_it_was_made_of() {
    let zone = "a.example 600 MX 10 m.example\na.example 600 MX 20 n.example\nm.example 500 A 1.0.0.1\n\
        n.example 400 A 1.0.0.2\nm.example 500 AAAA 2a00::1\nn.example 450 AAAA 2a00::2";
    assert_eq!(World::new(zone).plan("a.example").expires().as_secs(), 400);
}

#[test]
fn negative_answers_are_kept_as_the_soa_record_says_within_bounds() {
    for (ttl, kept) in [(1, 5), (60, 60), (3_600, 3_600), (7_200, 3_600)] {
        // No such name.
        let mut world = World::new("");
        world.zone.negative_ttl = ttl;
        asks_again(&mut world, "a.example MX", SECOND * kept);
        // No such record.
        let mut world = World::new("a.example 300 TXT");
        world.zone.negative_ttl = ttl;
        asks_again(&mut world, "a.example MX", SECOND * kept);
    }
    // Without a SOA record, for five minutes.
    for zone in ["", "a.example 300 TXT"] {
        let mut world = World::new(zone);
        world.zone.negative_ttl = 0;
        asks_again(&mut world, "a.example MX", SECOND * 300);
    }
}

/// That there is no such name holds for all types, but not for the names below, which may be cached elsewhere.
#[test]
fn a_name_that_is_not_there_is_asked_for_once() {
    let mut world = World::new("a.example 300 MX 10 gone.example");
    assert_eq!(line(&world.plan("gone.example")), "none 550 5.1.2");
    assert_eq!(world.asked.len(), 1);
    assert_eq!(line(&world.plan("a.example")), "NoAddress 550 5.4.4");
    assert_eq!(world.asked.len(), 2, "neither A nor AAAA of the host is asked for");
    world.zone.add("b.gone.example", "300", "MX", &["0", "."]);
    assert_eq!(line(&world.plan("b.gone.example")), "null 556 5.1.10");
    assert_eq!(line(&world.plan("gone.example")), "none 550 5.1.2");
}

#[test]
fn a_name_that_comes_to_be_is_found_when_the_old_answer_is_over() {
    let mut world = World::new("");
    assert_eq!(line(&world.plan("new.example")), "none 550 5.1.2");
    world.zone.add("new.example", "300", "MX", &["0", "."]);
    world.wait_until(299 * SECOND);
    assert_eq!(line(&world.plan("new.example")), "none 550 5.1.2");
    world.wait_until(301 * SECOND);
    assert_eq!(line(&world.plan("new.example")), "null 556 5.1.10");
}

/// RFC 9520 §3.2: two minutes, four, and never more than five.
#[test]
fn failures_are_kept_longer_each_time() {
    let mut world = World::new("a.example 300 MX 0 .");
    world.servers[0] = failing(hickory_proto::op::ResponseCode::ServFail);
    for kept in [120, 240, 300, 300] {
        let Plan::Defer { until, .. } = world.plan("a.example") else { panic!("a failure") };
        assert_eq!((until - world.now).as_secs(), kept);
        let asked = world.asked.len();
        world.wait_until(until - SECOND);
        world.plan("a.example");
        assert_eq!(world.asked.len(), asked);
        world.wait_until(until);
    }
    // Once it is over, it is over.
    world.servers[0] = good();
    assert_eq!(line(&world.plan("a.example")), "null 556 5.1.10");
    world.servers[0] = failing(hickory_proto::op::ResponseCode::ServFail);
    world.wait_until(world.now + 301 * SECOND);
    let Plan::Defer { until, .. } = world.plan("a.example") else { panic!("a failure") };
    assert_eq!((until - world.now).as_secs(), 120);
}

#[test]
fn no_setting_keeps_failures_beyond_five_minutes() {
    let limits = Limits::default().failure_ttl(3_600 * SECOND, 7_200 * SECOND);
    let mut world = World::with("", 1, |config| config.limits(limits));
    world.servers[0] = down();
    let Plan::Defer { until, .. } = world.plan("a.example") else { panic!("a failure") };
    assert_eq!((until - world.now).as_secs(), 300);
}

/// A failure says nothing about other types, or other names.
#[test]
fn failures_are_kept_by_question() {
    let zone = "a.example 0 SERVFAIL MX\na.example 300 A 1.0.0.1\nb.example 300 MX 10 a.example";
    let mut world = World::new(zone);
    assert_eq!(line(&world.plan("a.example")), "ServerFailure 451 4.4.3");
    assert_eq!(line(&world.plan("b.example")), "10 a.example 1.0.0.1");
}

#[test]
fn the_cache_takes_no_more_than_it_may() {
    let limits = Limits::default().cache(65_536);
    let mut world = World::with("", 1, |config| config.limits(limits));
    for number in 0..2_000 {
        world.plan(&format!("x{number}.example"));
        assert!(world.resolver.cached_octets() <= 65_536);
    }
    assert!(world.resolver.cached_octets() > 32_768, "it is used");
    // What is over takes no room.
    world.wait_until(world.now + 10_000 * SECOND);
    world.plan("last.example");
    assert!(world.resolver.cached_octets() < 1_024);
}

/// Even if nothing fits, what has just been asked for is used.
#[test]
fn a_small_cache_is_slow_and_not_wrong() {
    let mut zone = String::new();
    for number in 0..100 {
        let long = "x".repeat(60);
        zone += &format!("big.example 300 MX {number} m{number}.{long}.{long}.{long}.example\n");
    }
    zone += &format!("m0.{0}.{0}.{0}.example 300 A 1.0.0.1\n", "x".repeat(60));
    let limits = Limits::default().cache(0).addresses(2);
    let mut world = World::with(&zone, 1, |config| config.limits(limits));
    assert!(line(&world.plan("big.example")).starts_with("0 m0."));
}
