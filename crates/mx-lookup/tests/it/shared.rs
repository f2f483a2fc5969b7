//! Many who want to know the same.

use std::time::Duration;

use hickory_proto::op::ResponseCode;
use mx_lookup::Plan;

use crate::world::{Behaviour, SECOND, World, down, failing, good, line};

const ZONE: &str = "
    a.example       300 MX 10 mx.a.example
    b.example       300 MX 10 mx.a.example
    mx.a.example    300 A 1.0.0.1
";

#[test]
fn lookups_of_one_domain_share_their_queries() {
    let mut world = World::new(ZONE);
    let ids: Vec<_> = (0..1_000).map(|_| world.resolver.lookup(world.now, "A.example")).collect();
    world.run();
    assert_eq!(world.asked.len(), 3);
    for id in ids {
        assert_eq!(line(&world.plans[&id].0), "10 mx.a.example 1.0.0.1");
    }
}

#[test]
fn lookups_of_two_domains_share_their_host() {
    let mut world = World::new(ZONE);
    let a = world.resolver.lookup(world.now, "a.example");
    let b = world.resolver.lookup(world.now, "b.example");
    world.run();
    assert_eq!(world.asked.len(), 4);
    assert_eq!(line(&world.plans[&a].0), line(&world.plans[&b].0));
    let site = |plan: &Plan| match plan {
        Plan::Deliver { site, .. } => site.to_string(),
        _ => panic!("a plan"),
    };
    assert_eq!(site(&world.plans[&a].0), "mx.a.example");
    assert_eq!(site(&world.plans[&a].0), site(&world.plans[&b].0));
}

#[test]
fn a_lookup_that_comes_later_joins_one_that_is_under_way() {
    let mut world = World::new(ZONE);
    world.servers[0] = Box::new(|query, zone| vec![(SECOND, Ok(zone.answer(query).to_vec().unwrap()))]);
    let first = world.resolver.lookup(world.now, "a.example");
    world.wait_until(Duration::from_millis(500));
    let second = world.resolver.lookup(world.now, "a.example");
    world.run();
    assert_eq!(world.asked.len(), 3);
    assert_eq!(line(&world.plans[&first].0), line(&world.plans[&second].0));
    assert_eq!(world.now, 2 * SECOND);
}

#[test]
fn a_lookup_that_is_cancelled_has_no_plan_and_takes_none_away() {
    let mut world = World::new(ZONE);
    let first = world.resolver.lookup(world.now, "a.example");
    let second = world.resolver.lookup(world.now, "a.example");
    let done = world.resolver.lookup(world.now, "[1.0.0.1]");
    world.resolver.cancel(first);
    world.resolver.cancel(done);
    world.run();
    assert_eq!(world.plans.keys().collect::<Vec<_>>(), [&second]);
    // Nobody waits: nothing is asked.
    let alone = world.resolver.lookup(world.now, "c.example");
    world.resolver.cancel(alone);
    let before = world.asked.len();
    world.run();
    assert_eq!(world.asked.len(), before);
    assert_eq!(world.resolver.poll_timeout(), None);
}

/// 10,000 lookups of one dead domain within ten minutes cost at most twelve queries, however it is dead.
#[test]
fn a_dead_domain_is_asked_for_twelve_times_in_ten_minutes() {
    type Server = fn() -> Behaviour;
    let ways: [(&str, &str, Server); 9] = [
        ("silent", "", down),
        ("SERVFAIL", "", || failing(ResponseCode::ServFail)),
        ("REFUSED", "", || failing(ResponseCode::Refused)),
        ("not there", "", good),
        ("there, and nothing else", "dead.example 300 TXT", good),
        ("no SOA record", "negative 0", good),
        ("nothing else, no SOA record", "negative 0\ndead.example 300 TXT", good),
        ("silent host", "dead.example 300 MX 10 mx.example\nmx.example 0 SILENT", || {
            let mut good = good();
            Box::new(move |query, zone| if zone.is_silent(query) { Vec::new() } else { good(query, zone) })
        }),
        ("failing host", "dead.example 300 MX 10 mx.example\nmx.example 0 SERVFAIL", good),
    ];
    for (what, zone, server) in ways {
        for servers in [1, 3] {
            let mut world = World::with(zone, servers, |config| config);
            for place in &mut world.servers {
                *place = server();
            }
            let mut waiting = Vec::new();
            for number in 0..10_000u32 {
                world.wait_until(Duration::from_millis(60) * number);
                waiting.push(world.resolver.lookup(world.now, "dead.example"));
            }
            world.wait_until(600 * SECOND);
            assert!(world.asked.len() <= 12, "{what}: {} queries to {servers} servers", world.asked.len());
            world.run();
            assert!(waiting.iter().all(|id| world.plans[id].0.verdict().is_some()), "{what}");
        }
    }
}
