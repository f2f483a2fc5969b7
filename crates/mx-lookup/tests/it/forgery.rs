//! Answers that were not asked for, or not of this server, or not in full. RFC 5452.

use std::collections::BTreeSet;

use hickory_proto::op::{Message, MessageType, OpCode, Query as Question, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, MX, NS, SOA};
use hickory_proto::rr::{DNSClass, RData, Record, RecordType};
use mx_lookup::{Event, Limits, Plan, Query, Resolver, Transport};

use crate::world::{MOMENT, World, Zone, address, good, line, name, with};

const ZONE: &str = "
    good.example     300 MX 10 mx.good.example
    mx.good.example  300 A 1.0.0.1
    other.example    300 MX 10 mx.other.example
    mx.other.example 300 A 1.0.0.2
    mx.evil.example  300 A 6.6.6.6
    evil.example     300 A 6.6.6.6
";

/// What a forger would like to be believed.
fn forged(query: &Query) -> Message {
    let asked = Message::from_vec(query.payload()).expect("a message");
    let mut message = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
    let question = asked.queries[0].clone();
    let data = match question.query_type {
        RecordType::MX => RData::MX(MX::new(1, name("mx.evil.example"))),
        _ => RData::A(A([6, 6, 6, 6].into())),
    };
    message.add_answer(Record::from_rdata(question.name.clone(), 86_400, data));
    message.add_query(question);
    message
}

/// Each of them is sent ahead of the true answer, and once more behind it.
#[test]
fn forged_answers_are_never_accepted() {
    type Forge = fn(&Query, Message) -> Vec<u8>;
    let forgeries: &[(&str, Forge)] = &[
        ("another id", |_, mut message| {
            message.metadata.id ^= 1;
            message.to_vec().unwrap()
        }),
        ("swapped octets of the id", |_, mut message| {
            message.metadata.id = message.metadata.id.swap_bytes() ^ 0x100;
            message.to_vec().unwrap()
        }),
        ("another name", |_, mut message| {
            message.queries[0].name = name("evil.example");
            message.to_vec().unwrap()
        }),
        ("a name below", |_, mut message| {
            message.queries[0].name = name("a").append_domain(&message.queries[0].name).unwrap();
            message.to_vec().unwrap()
        }),
        ("another type", |_, mut message| {
            message.queries[0].query_type = RecordType::TXT;
            message.to_vec().unwrap()
        }),
        ("another class", |_, mut message| {
            message.queries[0].query_class = DNSClass::CH;
            message.to_vec().unwrap()
        }),
        ("no question", |_, mut message| {
            message.queries.clear();
            message.to_vec().unwrap()
        }),
        ("no question, and an error", |_, mut message| {
            message.queries.clear();
            message.answers.clear();
            message.metadata.response_code = ResponseCode::NXDomain;
            message.to_vec().unwrap()
        }),
        ("two questions", |_, mut message| {
            message.add_query(Question::query(name("evil.example"), RecordType::MX));
            message.to_vec().unwrap()
        }),
        ("a query", |_, message| {
            let mut octets = message.to_vec().unwrap();
            octets[2] &= 0x7f;
            octets
        }),
        ("another opcode", |_, message| {
            let mut octets = message.to_vec().unwrap();
            octets[2] |= 0x10;
            octets
        }),
        ("the query itself", |query, _| query.payload().to_vec()),
        ("nothing", |_, _| Vec::new()),
        ("a header", |_, message| message.to_vec().unwrap()[..12].to_vec()),
        ("half a question", |query, message| {
            message.to_vec().unwrap()[..query.payload().len() - 20].to_vec()
        }),
        ("its own letters, another type", |_, mut message| {
            message.queries[0].query_type = RecordType::NS;
            message.to_vec().unwrap()
        }),
    ];
    for (what, forge) in forgeries {
        let forge = *forge;
        let mut world = World::new(ZONE);
        let mut truth = good();
        world.servers[0] = Box::new(move |query, zone| {
            let lie = || (MOMENT / 2, Ok(forge(query, forged(query))));
            let mut replies = vec![lie(), lie(), lie()];
            replies.extend(truth(query, zone));
            replies.push((MOMENT * 2, Ok(forge(query, forged(query)))));
            replies
        });
        assert_eq!(line(&world.plan("good.example")), "10 mx.good.example 1.0.0.1", "{what}");
        assert_eq!(world.asked.len(), 3, "{what}: the query stays open");
        assert_eq!(world.resolver.counters().strays, 9, "{what}");
    }
}

#[test]
fn of_all_ids_one_is_accepted() {
    let limits = Limits::default().strays(u32::MAX);
    let mut resolver = Resolver::new(mx_lookup::Config::new([address(0)]).limits(limits), [3; 32]);
    resolver.lookup(MOMENT, "good.example");
    let Some(Event::Query(mut query)) = resolver.poll(MOMENT) else { panic!("a query") };
    let mut octets = forged(&query).to_vec().unwrap();
    let id = u16::from_be_bytes([octets[0], octets[1]]);
    for other in (0..=u16::MAX).filter(|other| *other != id) {
        octets[..2].copy_from_slice(&other.to_be_bytes());
        query = resolver.handle_answer(MOMENT, query, Ok(&octets)).expect("the query stays open");
    }
    assert!(resolver.poll(MOMENT).is_none());
    octets[..2].copy_from_slice(&id.to_be_bytes());
    assert!(resolver.handle_answer(MOMENT, query, Ok(&octets)).is_none());
    assert!(matches!(resolver.poll(MOMENT), Some(Event::Query(_))), "the hosts are asked for");
}

#[test]
fn letters_of_another_case_lead_to_tcp_and_no_further() {
    let mut world = World::new(ZONE);
    let mut truth = good();
    world.servers[0] = Box::new(move |query, zone| {
        if query.transport() == Transport::Tcp {
            return truth(query, zone);
        }
        let mut message = forged(query);
        message.queries[0].name = message.queries[0].name.to_lowercase();
        vec![(MOMENT, Ok(message.to_vec().unwrap()))]
    });
    assert_eq!(line(&world.plan("good.example")), "10 mx.good.example 1.0.0.1");
    assert!(world.asked.iter().any(|asked| asked.transport == Transport::Tcp));
}

#[test]
fn too_many_wrong_answers_lead_to_tcp() {
    let mut world = World::new(ZONE);
    let mut truth = good();
    world.servers[0] = Box::new(move |query, zone| {
        if query.transport() == Transport::Tcp {
            return truth(query, zone);
        }
        let mut message = forged(query);
        let id = message.metadata.id;
        let mut replies = Vec::new();
        for other in 1..=100 {
            message.metadata.id = id ^ other;
            replies.push((MOMENT, Ok(message.to_vec().unwrap())));
        }
        // Too late: nobody reads any more, and if, the query is another one.
        replies.push((MOMENT, Ok(forged(query).to_vec().unwrap())));
        replies
    });
    assert_eq!(line(&world.plan("good.example")), "10 mx.good.example 1.0.0.1");
    assert_eq!(world.resolver.counters().strays, 48, "sixteen for each of three questions");
}

/// The answer is a good one, with something more in it: about names that were not asked for, in every section.
#[test]
fn records_of_other_names_are_neither_used_nor_kept() {
    let additions: &[(&str, &str, RData)] = &[
        ("a sibling", "other.example", RData::MX(MX::new(1, name("mx.evil.example")))),
        ("a sibling's host", "mx.other.example", RData::A(A([6, 6, 6, 6].into()))),
        ("the parent", "example", RData::MX(MX::new(1, name("mx.evil.example")))),
        ("the parent's servers", "example", RData::NS(NS(name("ns.evil.example")))),
        ("a sibling by alias", "other.example", RData::CNAME(CNAME(name("evil.example")))),
        ("a sibling's host by alias", "mx.other.example", RData::CNAME(CNAME(name("evil.example")))),
        ("the own host", "mx.good.example", RData::A(A([6, 6, 6, 6].into()))),
        ("the own host by alias", "mx.good.example", RData::CNAME(CNAME(name("evil.example")))),
        ("a name below", "x.good.example", RData::A(A([6, 6, 6, 6].into()))),
        ("another SOA record", "other.example", soa("other.example", 86_400)),
    ];
    let mut count = 0;
    for (what, owner, data) in additions {
        for section in 0..3 {
            for kind in [RecordType::MX, RecordType::A, RecordType::AAAA] {
                count += 1;
                let record = Record::from_rdata(name(owner), 86_400, data.clone());
                let mut world = World::new(ZONE);
                world.servers[0] = with(move |_, message| {
                    let question = &message.queries[0];
                    // The true answers stay as they are.
                    if question.query_type == kind && question.name != record.name {
                        match section {
                            0 => message.answers.insert(0, record.clone()),
                            1 => message.authorities.insert(0, record.clone()),
                            _ => message.additionals.insert(0, record.clone()),
                        }
                    }
                });
                let world = &mut world;
                assert_eq!(line(&world.plan("good.example")), "10 mx.good.example 1.0.0.1", "{what}");
                world.servers[0] = good();
                let before = world.asked.len();
                assert_eq!(line(&world.plan("other.example")), "10 mx.other.example 1.0.0.2", "{what}");
                assert_eq!(world.asked.len(), before + 3, "{what}: all of it has to be asked for");
                assert_eq!(line(&world.plan("x.good.example")).split(' ').next(), Some("none"), "{what}");
            }
        }
    }
    assert!(count >= 90);
}

/// A CNAME record leads to another zone, and the same answer says what is there. It is used for the question that was
/// asked, and for no other.
#[test]
fn what_an_alias_leads_to_is_kept_for_the_alias_alone() {
    let mut world = World::new(ZONE);
    world.zone.add("evil.example", "300", "CNAME", &["good.example"]);
    world.servers[0] = with(|_, message| {
        if message.queries[0].name == name("evil.example") {
            message.answers.retain(|record| record.record_type() == RecordType::CNAME);
            let data = RData::MX(MX::new(1, name("mx.other.example")));
            message.add_answer(Record::from_rdata(name("good.example"), 86_400, data));
        }
    });
    assert_eq!(line(&world.plan("evil.example")), "1 mx.other.example 1.0.0.2");
    assert_eq!(line(&world.plan("good.example")), "10 mx.good.example 1.0.0.1");
}

#[test]
fn records_of_another_class_are_not_used() {
    let mut world = World::new(ZONE);
    world.servers[0] = with(|_, message| {
        let mut record = message.answers.first().cloned();
        if let Some(record) = &mut record {
            record.dns_class = DNSClass::CH;
            record.data = RData::MX(MX::new(1, name("mx.evil.example")));
        }
        message.answers.extend(record);
    });
    assert_eq!(line(&world.plan("good.example")), "10 mx.good.example 1.0.0.1");
}

/// An answer that is about something else only, and a referral, do not say that there is nothing.
#[test]
fn no_record_is_concluded_from_no_answer() {
    for section in 0..2 {
        let mut world = World::new(ZONE);
        world.servers[0] = with(move |_, message| {
            message.answers.clear();
            message.authorities.clear();
            let data = RData::NS(NS(name("ns.evil.example")));
            let record = Record::from_rdata(name("evil.example"), 300, data);
            if section == 0 {
                message.add_answer(record)
            } else {
                message.add_authority(record)
            };
        });
        assert_eq!(line(&world.plan("good.example")), "Malformed 451 4.4.3");
    }
}

/// Only a zone that the name is in can say for how long it is not there.
#[test]
fn the_soa_record_of_another_zone_says_nothing() {
    let mut world = World::new("");
    world.servers[0] = with(|_, message| {
        message.authorities.clear();
        message.add_authority(Record::from_rdata(name("other.test"), 3_600, soa("other.test", 3_600)));
    });
    let plan = world.plan("good.example");
    assert!(matches!(plan, Plan::NoSuchDomain { .. }));
    assert_eq!(plan.expires().as_secs(), 300);
}

/// Ids, ports and letters: each bit is one half of the time one, and none repeats another query's.
#[test]
fn queries_can_not_be_guessed() {
    let mut resolver = Resolver::new(mx_lookup::Config::new([address(0)]), [9; 32]);
    let (mut ids, mut ports, mut cases) = ([0u32; 16], [0u32; 16], [0u32; 16]);
    let mut pairs = BTreeSet::new();
    let count = 20_000;
    for number in 0..count {
        let now = MOMENT * number;
        let lookup = resolver.lookup(now, &format!("abcdefghijklmnop.x{number}.example"));
        let Some(Event::Query(query)) = resolver.poll(now) else { panic!("a query") };
        let payload = query.payload();
        let id = u16::from_be_bytes([payload[0], payload[1]]);
        for bit in 0..16 {
            ids[bit] += u32::from(id >> bit & 1);
            ports[bit] += u32::from(query.source_port() >> bit & 1);
            cases[bit] += u32::from(payload[13 + bit].is_ascii_uppercase());
        }
        assert!(query.source_port() >= 1_024);
        pairs.insert((id, query.source_port()));
        resolver.cancel(lookup);
        assert!(resolver.handle_answer(now, query, Err(mx_lookup::Lost::Unreachable)).is_none());
        assert!(resolver.poll(now).is_none());
    }
    assert!(pairs.len() as u32 > count - 5, "{} of {count} differ", pairs.len());
    for (what, bits) in [("id", ids), ("case", cases)] {
        for ones in bits {
            assert!(ones.abs_diff(count / 2) < 300, "{what}: {ones} of {count}");
        }
    }
    // Ports begin at 1,024, so some of their bits are a little more often one.
    for ones in ports {
        assert!(ones.abs_diff(count / 2) < 600, "port: {ones} of {count}");
    }
}

fn soa(zone: &str, ttl: u32) -> RData {
    RData::SOA(SOA::new(name(zone), name(zone), 1, 1, 1, 1, ttl))
}

#[test]
fn the_zone_of_these_tests_is_what_it_should_be() {
    let zone = Zone::parse(ZONE);
    assert_eq!(zone.negative_ttl, 300);
    assert_eq!(line(&World::new(ZONE).plan("other.example")), "10 mx.other.example 1.0.0.2");
}
