//! What holds whatever comes.

use hickory_proto::op::Message;
use mx_lookup::{Lost, Transport};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::world::{MOMENT, SECOND, World, line};

const ZONE: &str = include_str!("../zones/alias.zone");

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any octets at all, behind a header and a question that fit.
    #[test]
    fn any_octets_are_an_answer_or_not(answers in vec(vec(any::<u8>(), 0..80), 1..12), counts in any::<[u8; 6]>()) {
        let mut world = World::new("");
        let mut number = 0;
        world.servers[0] = Box::new(move |query, _| {
            number += 1;
            let question = query.payload().len() - if query.payload()[11] == 1 { 11 } else { 0 };
            let mut octets = query.payload()[..question].to_vec();
            octets[2] = 0x80;
            octets[3] = 0;
            for (at, count) in counts.iter().enumerate() {
                octets[6 + at] = if at % 2 == 0 { 0 } else { count % 6 };
            }
            octets.extend(&answers[number % answers.len()]);
            vec![(MOMENT, Ok(answers[(number + 1) % answers.len()].clone())), (MOMENT, Ok(octets))]
        });
        world.plan("a.example");
    }

    /// Good answers with some octets changed, cut off, or lost.
    #[test]
    fn damaged_answers_do_no_harm(
        damage in vec((any::<prop::sample::Index>(), any::<u8>(), 0..8u8), 1..20),
        domain in prop::sample::select(vec!["one.example", "mxpart.example", "all.example", "tail.example", "web.example"]),
    ) {
        let mut world = World::with(ZONE, 2, |config| config);
        for server in 0..2 {
            let damage = damage.clone();
            let mut number = server;
            world.servers[server] = Box::new(move |query, zone| {
                number += 1;
                let (at, octet, how) = damage[number % damage.len()];
                let mut octets = zone.answer(query).to_vec().unwrap();
                let at = at.index(octets.len());
                match how {
                    0 => octets.truncate(at),
                    1 => octets[at] = octet,
                    2 => drop(octets.splice(at..at, [octet; 3])),
                    3 => return Vec::new(),
                    4 => return vec![(MOMENT, Err(Lost::Unreachable))],
                    5 => return vec![(SECOND * 3, Ok(octets))],
                    _ => {}
                }
                vec![(MOMENT, Ok(octets))]
            });
        }
        world.plan(domain);
        world.plan(domain);
    }

    /// Any text is a domain or is refused, and asks for nothing that is not in it.
    #[test]
    fn any_text_has_a_plan(domain in "\\PC{0,40}|[a-z0-9.\\[\\]:_-]{0,20}") {
        let mut world = World::new("");
        world.plan(&domain);
        let lower = domain.to_ascii_lowercase();
        for asked in &world.asked {
            let name = asked.question.split(' ').next().expect("a name");
            prop_assert_eq!(name, lower.trim_end_matches('.'));
        }
    }

    /// The same seed and the same answers: the same run, octet by octet. Another seed: another run with the same plan.
    #[test]
    fn runs_repeat(seed in any::<[u8; 32]>()) {
        let run = |seed| {
            let mut world = World::seeded(ZONE, 3, seed, |config| config);
            world.servers[1] = crate::world::down();
            let mut lines = Vec::new();
            for domain in ["one.example", "mxpart.example", "c0.example", "web.example"] {
                lines.push(line(&world.plan(domain)));
            }
            (world.log, lines)
        };
        let (log, lines) = run(seed);
        prop_assert_eq!(&run(seed).0, &log);
        let mut other = seed;
        other[0] ^= 1;
        let (other_log, other_lines) = run(other);
        prop_assert_ne!(other_log, log);
        prop_assert_eq!(other_lines, lines);
    }
}

/// Hosts of one preference come in every order, and each as often as the others. RFC 5321 §5.1.
// Ledger: 5321-5.1-12
#[test]
fn equals_are_shuffled() {
    let zone = "a.example 300 MX 5 x.example\na.example 300 MX 5 y.example\na.example 300 MX 5 z.example\n\
        x.example 300 A 1.0.0.1\ny.example 300 A 1.0.0.2\nz.example 300 A 1.0.0.3\n";
    let mut world = World::new(zone);
    let mut counts = std::collections::BTreeMap::new();
    for _ in 0..6_000 {
        let mx_lookup::Plan::Deliver { hosts, .. } = world.plan("a.example") else { panic!("a plan") };
        let order: Vec<_> = hosts.into_iter().map(|host| host.name).collect();
        *counts.entry(order).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 6);
    assert!(counts.values().all(|count| (850..1_150).contains(count)), "{counts:?}");
}

/// The site does not change with the order of the answer, the seed, or hosts that can not be looked up.
#[test]
fn a_site_is_the_same_for_the_same_hosts() {
    let zone = "
        a.example 300 MX 5 x.example
        a.example 300 MX 5 y.example
        a.example 300 MX 9 z.example
        b.example 300 MX 30 Z.example
        b.example 300 MX 20 Y.example
        b.example 300 MX 20 x.example
        c.example 300 MX 5 x.example
        c.example 300 MX 5 y.example
        c.example 300 MX 5 z.example
        d.example 300 CNAME a.example
        x.example 300 A 1.0.0.1
        y.example 0 SERVFAIL
        z.example 300 A 1.0.0.3
    ";
    let site = |world: &mut World, domain| match world.plan(domain) {
        mx_lookup::Plan::Deliver { site, .. } => site.to_string(),
        plan => panic!("{plan:?}"),
    };
    for seed in 0..10 {
        let mut world = World::seeded(zone, 1, [seed; 32], |config| config);
        for domain in ["a.example", "b.example", "d.example"] {
            assert_eq!(site(&mut world, domain), "x.example|y.example>z.example");
        }
        assert_eq!(site(&mut world, "c.example"), "x.example|y.example|z.example");
        assert_eq!(site(&mut world, "x.example"), "x.example");
        assert_eq!(site(&mut world, "[1.0.0.1]"), "[1.0.0.1]");
    }
}

#[test]
fn every_query_is_a_message_that_others_can_read() {
    let mut world = World::new(ZONE);
    world.servers[0] = crate::world::with(|query, _| {
        let message = Message::from_vec(query.payload()).expect("a message");
        assert_eq!(message.queries.len(), 1);
        assert!(
            message.answers.is_empty() && message.authorities.is_empty() && message.additionals.is_empty()
        );
        assert!(query.payload().len() <= 512);
        assert_eq!(query.transport(), Transport::Udp);
    });
    world.plan("all.example");
}
