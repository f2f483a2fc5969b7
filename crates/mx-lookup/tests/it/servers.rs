//! Servers that are down, slow, old, or of another opinion.

use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use mx_lookup::{Config, Limits, Lost, Plan, Server, Transport};

use crate::world::{Behaviour, MOMENT, SECOND, World, address, down, failing, good, line, with};

const ZONE: &str = "
    one.example     300 MX 10 mx.one.example
    mx.one.example  300 A 1.0.0.1
    two.example     300 MX 10 mx.two.example
    mx.two.example  300 A 1.0.0.2
";
const ONE: &str = "10 mx.one.example 1.0.0.1";
const TWO: &str = "10 mx.two.example 1.0.0.2";

fn unreachable() -> Behaviour {
    Box::new(|_, _| vec![(MOMENT, Err(Lost::Unreachable))])
}

fn slow(time: Duration) -> Behaviour {
    Box::new(move |query, zone| vec![(time, Ok(zone.answer(query).to_vec().unwrap()))])
}

/// The transports in the order in which they were used.
fn transports(world: &World) -> Vec<Transport> {
    world.asked.iter().map(|asked| asked.transport).collect()
}

#[test]
fn another_server_answers_for_one_that_does_not() {
    type Bad = fn() -> Behaviour;
    let bad: [(&str, Bad); 6] = [
        ("down", down),
        ("unreachable", unreachable),
        ("SERVFAIL", || failing(ResponseCode::ServFail)),
        ("REFUSED", || failing(ResponseCode::Refused)),
        ("NOTIMP", || failing(ResponseCode::NotImp)),
        ("unreadable", || {
            Box::new(|query, zone| {
                let mut octets = zone.answer(query).to_vec().unwrap();
                octets[7] = 200;
                vec![(MOMENT, Ok(octets))]
            })
        }),
    ];
    for (what, bad) in bad {
        for seed in 0..8 {
            let mut world = World::seeded(ZONE, 3, [seed; 32], |config| config);
            world.servers[0] = bad();
            world.servers[1] = bad();
            assert_eq!(line(&world.plan("one.example")), ONE, "{what}");
        }
    }
}

#[test]
fn a_server_that_does_not_answer_is_asked_last() {
    let mut world = World::with(ZONE, 2, |config| config);
    world.servers[0] = down();
    // Until it was its turn for the first time.
    for number in 0..10 {
        world.plan(&format!("x{number}.example"));
    }
    assert!(world.asked.iter().any(|asked| asked.server == 0));
    let before = world.asked.len();
    assert_eq!(line(&world.plan("one.example")), ONE);
    assert!(world.asked[before..].iter().all(|asked| asked.server == 1), "{:?}", &world.asked[before..]);
    // Later it gets another chance, and uses it.
    world.servers[0] = good();
    world.wait_until(world.now + 301 * SECOND);
    let before = world.asked.len();
    for number in 0..10 {
        world.plan(&format!("y{number}.example"));
    }
    assert!(world.asked[before..].iter().any(|asked| asked.server == 0));
}

#[test]
fn servers_take_turns() {
    let mut world = World::with(ZONE, 3, |config| config);
    for number in 0..300 {
        world.plan(&format!("x{number}.example"));
    }
    for server in 0..3 {
        let count = world.asked.iter().filter(|asked| asked.server == server).count();
        assert!((70..130).contains(&count), "{count} of 300");
    }
}

#[test]
fn tries_wait_longer_each_time_and_are_three_at_most() {
    let mut world = World::new(ZONE);
    world.servers[0] = down();
    assert_eq!(line(&world.plan("one.example")), "Timeout 451 4.4.3");
    let times: Vec<_> = world.asked.iter().map(|asked| asked.at.as_secs()).collect();
    assert_eq!(times, [0, 2, 6]);
    assert_eq!(world.now.as_secs(), 14);
    // RFC 9520 §3.1, whatever is set.
    let mut world = World::with(ZONE, 1, |config| config.limits(Limits::default().tries(10)));
    world.servers[0] = unreachable();
    assert_eq!(line(&world.plan("one.example")), "Unreachable 451 4.4.3");
    assert_eq!(world.asked.len(), 3);
    let mut world = World::with(ZONE, 2, |config| config.limits(Limits::default().tries(10)));
    world.servers = vec![unreachable(), unreachable()];
    world.plan("one.example");
    assert_eq!(world.asked.len(), 6);
}

#[test]
fn an_error_is_not_asked_for_twice() {
    let mut world = World::with(ZONE, 2, |config| config);
    world.servers = vec![failing(ResponseCode::ServFail), failing(ResponseCode::ServFail)];
    assert_eq!(line(&world.plan("one.example")), "ServerFailure 451 4.4.3");
    assert_eq!(world.asked.len(), 2);
}

/// One says SERVFAIL and one says nothing: the former is the better reason.
#[test]
fn what_a_server_says_is_the_reason_rather_than_silence() {
    for seed in 0..8 {
        let mut world = World::seeded(ZONE, 2, [seed; 32], |config| config);
        world.servers = vec![down(), failing(ResponseCode::Refused)];
        assert_eq!(line(&world.plan("one.example")), "Refused 451 4.4.3");
    }
}

#[test]
fn a_slow_answer_is_taken_though_the_next_query_is_on_its_way() {
    let mut world = World::new(ZONE);
    world.servers[0] = slow(3 * SECOND);
    assert_eq!(line(&world.plan("one.example")), ONE);
    // Three seconds for the MX record, three for the addresses.
    assert_eq!(world.planned_at.as_secs(), 6);
}

#[test]
fn a_truncated_answer_is_asked_for_by_tcp_of_the_same_server() {
    for seed in 0..4 {
        let mut world = World::seeded(ZONE, 3, [seed; 32], |config| config);
        for server in &mut world.servers {
            *server = with(|query, message| {
                if query.transport() == Transport::Udp {
                    message.metadata.truncation = true;
                    message.answers.clear();
                }
            });
        }
        assert_eq!(line(&world.plan("one.example")), ONE);
        for pair in world.asked[..2].chunks(2) {
            assert_eq!((pair[0].transport, pair[1].transport), (Transport::Udp, Transport::Tcp));
            assert_eq!((pair[0].server, &pair[0].question), (pair[1].server, &pair[1].question));
            assert_ne!(pair[0].id, pair[1].id);
        }
        assert_eq!(world.asked.len(), 6);
    }
}

/// Records of a truncated answer would be a part of the truth.
#[test]
fn what_a_truncated_answer_holds_is_not_used() {
    let mut world = World::new(ZONE);
    world.zone.add("one.example", "300", "MX", &["5", "mx.two.example"]);
    world.servers[0] = with(|query, message| {
        if query.transport() == Transport::Udp && message.answers.len() > 1 {
            message.metadata.truncation = true;
            message.answers.truncate(1);
        }
    });
    assert_eq!(line(&world.plan("one.example")), "5 mx.two.example 1.0.0.2, 10 mx.one.example 1.0.0.1");
}

#[test]
fn a_server_that_truncates_by_tcp_has_failed() {
    let mut world = World::new(ZONE);
    world.servers[0] = with(|_, message| message.metadata.truncation = true);
    assert_eq!(line(&world.plan("one.example")), "Malformed 451 4.4.3");
    assert_eq!(transports(&world), [Transport::Udp, Transport::Tcp]);
}

#[test]
fn a_server_without_tcp_does_not_stop_the_others() {
    for seed in 0..4 {
        let mut world = World::seeded(ZONE, 2, [seed; 32], |config| config);
        world.servers[0] = Box::new(|query, zone| {
            let mut message = zone.answer(query);
            message.metadata.truncation = true;
            message.answers.clear();
            let outcome = if query.transport() == Transport::Tcp {
                Err(Lost::Unreachable)
            } else {
                Ok(message.to_vec().unwrap())
            };
            vec![(MOMENT, outcome)]
        });
        assert_eq!(line(&world.plan("one.example")), ONE);
    }
}

#[test]
fn an_unreadable_datagram_is_asked_for_by_tcp() {
    let mut world = World::new(ZONE);
    world.servers[0] = Box::new(|query, zone| {
        let mut octets = zone.answer(query).to_vec().unwrap();
        if query.transport() == Transport::Udp {
            octets.truncate(octets.len() - 15);
        }
        vec![(MOMENT, Ok(octets))]
    });
    assert_eq!(line(&world.plan("one.example")), ONE);
    assert_eq!(transports(&world)[..2], [Transport::Udp, Transport::Tcp]);
}

#[test]
fn queries_carry_edns_unless_the_server_does_not_know_it() {
    type Old = fn(&mut Message);
    let ways: [(&str, Old); 4] = [
        ("FORMERR", |message| message.metadata.response_code = ResponseCode::FormErr),
        ("NOTIMP", |message| message.metadata.response_code = ResponseCode::NotImp),
        ("bare FORMERR", |message| {
            message.metadata.response_code = ResponseCode::FormErr;
            message.queries.clear();
        }),
        ("BADVERS", |message| {
            message.set_edns(hickory_proto::op::Edns::new());
            message.metadata.response_code = ResponseCode::BADVERS;
        }),
    ];
    for (what, old) in ways {
        let mut world = World::new(ZONE);
        world.servers[0] = with(move |query, message| {
            if Message::from_vec(query.payload()).unwrap().edns.is_some() {
                message.answers.clear();
                message.authorities.clear();
                old(message);
            }
        });
        assert_eq!(line(&world.plan("one.example")), ONE, "{what}");
        let edns: Vec<_> = world.asked.iter().map(|asked| asked.edns).collect();
        assert_eq!(edns, [true, false, false, false], "{what}: once is enough");
        // Ten minutes later it may have learnt it.
        world.wait_until(world.now + 601 * SECOND);
        world.plan("two.example");
        assert!(world.asked[4].edns, "{what}");
    }
}

/// Without EDNS in the query, FORMERR without a question is no answer: anybody who guesses the id could send it.
#[test]
fn an_answer_without_question_turns_edns_off_and_does_no_more() {
    let mut world = World::with(ZONE, 2, |config| config);
    for server in &mut world.servers {
        *server = Box::new(|query, zone| {
            let mut message = zone.answer(query);
            message.metadata.response_code = ResponseCode::FormErr;
            message.queries.clear();
            message.answers.clear();
            let bare = message.to_vec().unwrap();
            let mut replies = vec![(MOMENT, Ok(bare.clone())), (MOMENT, Ok(bare))];
            replies.push((MOMENT * 2, Ok(zone.answer(query).to_vec().unwrap())));
            replies
        });
    }
    assert_eq!(line(&world.plan("one.example")), ONE);
    let edns: Vec<_> = world.asked.iter().map(|asked| asked.edns).collect();
    assert_eq!(edns.iter().filter(|edns| !**edns).count(), 3);
    // And if nothing else comes, there is an end.
    world.servers = vec![failing_bare(), failing_bare()];
    assert_eq!(line(&world.plan("two.example")), "Timeout 451 4.4.3");
}

fn failing_bare() -> Behaviour {
    with(|_, message| {
        message.metadata.response_code = ResponseCode::FormErr;
        message.queries.clear();
        message.answers.clear();
    })
}

#[test]
fn edns_offers_1232_octets_and_no_options() {
    let mut world = World::new(ZONE);
    world.servers[0] = with(|query, _| {
        let message = Message::from_vec(query.payload()).unwrap();
        let edns = message.edns.as_ref().expect("EDNS");
        assert_eq!((edns.max_payload(), edns.version(), edns.flags().dnssec_ok), (1_232, 0, false));
        assert!(message.metadata.recursion_desired && message.metadata.authentic_data);
        assert!(!message.metadata.checking_disabled);
    });
    world.plan("one.example");
}

fn changes_case() -> Behaviour {
    with(|_, message| message.queries[0].name = message.queries[0].name.to_lowercase())
}

#[test]
fn a_server_that_changes_letters_is_asked_by_tcp() {
    let mut world = World::new(ZONE);
    world.servers[0] = changes_case();
    assert_eq!(line(&world.plan("one.example")), ONE);
    // Once it has shown that, it is asked by TCP at once.
    assert_eq!(transports(&world), [Transport::Udp, Transport::Tcp, Transport::Tcp, Transport::Tcp]);
}

#[test]
fn letters_do_not_matter_when_they_are_not_mixed() {
    let mut world = World::with(ZONE, 1, |config| config.random_case(false));
    world.servers[0] = changes_case();
    assert_eq!(line(&world.plan("one.example")), ONE);
    assert_eq!(transports(&world), [Transport::Udp; 3]);
}

#[test]
fn authenticated_is_what_a_trusted_server_says() {
    for (trusted, says, expected) in [(true, true, true), (true, false, false), (false, true, false)] {
        let server = Server::new(address(0));
        let server = if trusted { server.trusted() } else { server };
        let mut world = World::new(ZONE);
        world.resolver = mx_lookup::Resolver::new(Config::new([server]), [1; 32]);
        world.servers[0] = with(move |_, message| message.metadata.authentic_data = says);
        let Plan::Deliver { authenticated, hosts, .. } = world.plan("one.example") else { panic!("a plan") };
        assert_eq!((authenticated, hosts[0].authenticated), (expected, expected));
    }
    // The MX records are proven, the addresses are not.
    let mut world = World::new(ZONE);
    world.resolver = mx_lookup::Resolver::new(Config::new([Server::new(address(0)).trusted()]), [1; 32]);
    world.servers[0] = with(|_, message| {
        message.metadata.authentic_data = message.queries[0].query_type == hickory_proto::rr::RecordType::MX;
    });
    let Plan::Deliver { authenticated, hosts, .. } = world.plan("one.example") else { panic!("a plan") };
    assert!(authenticated && !hosts[0].authenticated);
}

/// One unproven CNAME record on the way is enough.
#[test]
fn a_chain_is_authenticated_as_a_whole() {
    let mut world = World::new(ZONE);
    world.zone.add("alias.example", "300", "CNAME", &["one.example"]);
    world.resolver = mx_lookup::Resolver::new(Config::new([Server::new(address(0)).trusted()]), [1; 32]);
    world.servers[0] = with(|_, message| {
        let alias = message.queries[0].name == crate::world::name("alias.example");
        message.metadata.authentic_data = !alias;
        if alias {
            message.answers.truncate(1);
        }
    });
    let Plan::Deliver { authenticated, hosts, .. } = world.plan("alias.example") else { panic!("a plan") };
    assert!(!authenticated && hosts[0].authenticated);
}

/// An authoritative server does not follow CNAME records into other zones.
#[test]
fn an_answer_that_ends_with_an_alias_is_followed() {
    let mut world = World::new(ZONE);
    world.zone.add("a.example", "300", "CNAME", &["b.example"]);
    world.zone.add("b.example", "40", "CNAME", &["one.example"]);
    world.servers[0] = with(|_, message| {
        message.answers.truncate(1);
        message.authorities.clear();
    });
    let plan = world.plan("a.example");
    assert_eq!(line(&plan), ONE);
    assert_eq!(plan.expires().as_secs(), 40, "it holds as long as each step does");
    let questions: Vec<_> = world.asked.iter().map(|asked| asked.question.as_str()).collect();
    assert_eq!(questions[..3], ["a.example MX", "b.example MX", "one.example MX"]);
}

#[test]
fn circles_are_found_though_each_answer_shows_one_step() {
    let mut world = World::new("a.example 300 CNAME b.example\nb.example 300 CNAME a.example");
    world.servers[0] = with(|_, message| message.answers.truncate(1));
    assert_eq!(line(&world.plan("a.example")), "AliasLoop 451 4.4.3");
    assert_eq!(world.asked.len(), 2);
    let mut endless = World::new("");
    endless.servers[0] = with(|_, message| {
        let mut number = message.answers.len();
        let name = message.queries[0].name.to_lowercase().to_string();
        number += name.len();
        let next = crate::world::name(&format!("x{number}.{name}"));
        let data = hickory_proto::rr::RData::CNAME(hickory_proto::rr::rdata::CNAME(next));
        let record = hickory_proto::rr::Record::from_rdata(message.queries[0].name.clone(), 300, data);
        message.metadata.response_code = ResponseCode::NoError;
        message.authorities.clear();
        message.add_answer(record);
    });
    assert_eq!(line(&endless.plan("a.example")), "AliasChain 451 4.4.3");
    assert_eq!(endless.asked.len(), 9);
}

/// Some servers know a host by its IPv4 address, and deny it when they are asked for IPv6.
#[test]
fn a_host_that_is_denied_for_one_family_is_reached_by_the_other() {
    let mut world = World::new(ZONE);
    world.zone.negative_ttl = 3_600;
    world.servers[0] = with(|_, message| {
        if message.queries[0].query_type == hickory_proto::rr::RecordType::AAAA {
            message.metadata.response_code = ResponseCode::NXDomain;
        }
    });
    for _ in 0..10 {
        assert_eq!(line(&world.plan("one.example")), ONE);
        world.wait_until(world.now + 100 * SECOND);
    }
}

#[test]
fn without_servers_everything_waits() {
    let mut world = World::with(ZONE, 0, |config| config);
    assert_eq!(line(&world.plan("one.example")), "NoServers 451 4.4.3");
    assert_eq!(line(&world.plan("[1.0.0.1]")), "0 [1.0.0.1] 1.0.0.1");
}

/// No datagram comes back, none is handed back: the resolver's own clock goes on.
#[test]
fn queries_that_a_driver_drops_are_given_up() {
    let mut world = World::with(ZONE, 2, |config| config.limits(Limits::default().in_flight(1)));
    world.servers = vec![down(), down()];
    for domain in ["one.example", "two.example", "three.example"] {
        world.resolver.lookup(world.now, domain);
    }
    world.run();
    assert_eq!(world.plans.len(), 3);
}

#[test]
fn flushing_forgets_answers_and_faults() {
    let mut world = World::new(ZONE);
    world.servers[0] = down();
    assert_eq!(line(&world.plan("two.example")), "Timeout 451 4.4.3");
    world.servers[0] = good();
    assert_eq!(line(&world.plan("two.example")), "Timeout 451 4.4.3");
    world.resolver.flush();
    assert_eq!(line(&world.plan("two.example")), TWO);
    assert!(world.resolver.cached_octets() > 0);
    world.resolver.flush();
    assert_eq!(world.resolver.cached_octets(), 0);
}

#[test]
fn resolvers_may_be_sent_and_shared() {
    fn check<T: Send + Sync>() {}
    check::<mx_lookup::Resolver>();
    check::<mx_lookup::Query>();
    check::<mx_lookup::Event>();
}
