//! Answers that are too large, too many, or never end.

use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use mx_lookup::{Limits, Plan, Query, Transport};

use crate::world::{Behaviour, MOMENT, World, down, good, line, with};

/// Of 10,000 MX records a message of 64 KiB holds a part; then its count is a lie. What it can hold is taken, a little of it.
#[test]
fn ten_thousand_mail_hosts_cost_no_more_than_a_few() {
    let mut world = World::new("");
    world.servers[0] = huge(10_000, 1_000);
    assert_eq!(line(&world.plan("huge.example")), "Malformed 451 4.4.3");
    let mut world = World::new("");
    world.servers[0] = huge(2_900, 1_000);
    let Plan::Deliver { hosts, site, .. } = world.plan("huge.example") else { panic!("a plan") };
    assert_eq!(hosts.iter().map(|host| host.addresses.len()).sum::<usize>(), 20);
    assert_eq!(hosts.iter().map(|host| host.preference).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(site.as_str().split('>').count(), 100, "the most preferred hundred");
    assert!(world.asked.len() <= 100, "{} queries", world.asked.len());
}

/// So many hosts, the least preferred first, each with so many addresses, by TCP.
fn huge(hosts: u16, addresses: u16) -> Behaviour {
    Box::new(move |query, _| {
        let (kind, small) = (kind(query), query.transport() == Transport::Udp);
        let mut octets = query.payload()[..query.payload().len() - 11].to_vec();
        octets[2] = if small { 0x82 } else { 0x80 };
        octets[11] = 0;
        let mut count = 0u16;
        let mut add = |data: &[u8]| {
            octets.extend([0xc0, 12, 0, if kind == RecordType::MX { 15 } else { 1 }, 0, 1, 0, 0, 1, 44, 0]);
            octets.push(data.len() as u8);
            octets.extend(data);
            count += 1;
        };
        match kind {
            _ if small => {}
            RecordType::MX => (0..hosts).rev().for_each(|number| {
                let label = format!("m{number}");
                let mut data = number.to_be_bytes().to_vec();
                data.push(label.len() as u8);
                data.extend(label.as_bytes());
                data.extend([0xc0, 12]);
                add(&data);
            }),
            RecordType::A => (0..addresses).for_each(|number| {
                let [high, low] = number.to_be_bytes();
                add(&[1, 0, high, low]);
            }),
            _ => {}
        }
        octets[6..8].copy_from_slice(&count.to_be_bytes());
        octets.truncate(65_535);
        vec![(MOMENT, Ok(octets))]
    })
}

fn kind(query: &Query) -> RecordType {
    Message::from_vec(query.payload()).expect("a message").queries[0].query_type
}

#[test]
fn one_host_with_many_addresses_leaves_room_for_others() {
    let mut world = World::new("");
    world.servers[0] = huge(2, 50);
    let Plan::Deliver { hosts, .. } = world.plan("huge.example") else { panic!("a plan") };
    assert_eq!(hosts.iter().map(|host| host.addresses.len()).collect::<Vec<_>>(), [10, 10]);
}

#[test]
fn the_last_host_gets_what_is_left_of_the_addresses() {
    let mut world = World::new("");
    world.servers[0] = huge(5, 7);
    let Plan::Deliver { hosts, .. } = world.plan("huge.example") else { panic!("a plan") };
    assert_eq!(hosts.iter().map(|host| host.addresses.len()).collect::<Vec<_>>(), [7, 7, 6]);
}

/// 100 hosts whose servers never answer: a lookup ends after its queries or its time, whatever comes first.
#[test]
fn a_lookup_ends_with_its_queries_or_its_time() {
    let mut zone = String::new();
    for number in 0..100 {
        zone += &format!("many.example 300 MX {number} m{number}.many.example\n");
    }
    zone += "m99.many.example 300 A 1.0.0.1\n";
    let silent_hosts = || -> Behaviour {
        let mut good = good();
        Box::new(
            move |query, zone| {
                if kind(query) == RecordType::MX { good(query, zone) } else { Vec::new() }
            },
        )
    };
    let mut world = World::new(&zone);
    world.servers[0] = silent_hosts();
    let (plan, trace) = world.planned("many.example");
    assert_eq!(line(&plan), "Timeout 451 4.4.3");
    assert!(world.now <= Duration::from_secs(31), "{:?}", world.now);
    assert!(world.asked.len() <= 100, "{} queries", world.asked.len());
    assert!(trace.to_string().len() < 65_536);

    // With much time, the queries are what ends it.
    let limits = Limits::default().lookup_time(Duration::from_secs(100_000));
    let mut world = World::with(&zone, 1, |config| config.limits(limits));
    world.servers[0] = silent_hosts();
    assert_eq!(line(&world.plan("many.example")), "Timeout 451 4.4.3");
    assert_eq!(world.asked.len(), 100);
}

/// The hosts that are known when the time is over are better than nothing.
#[test]
fn what_is_known_in_time_is_enough_for_a_plan() {
    let mut zone = String::from("good.example 300 A 1.0.0.1\nslow.example 300 MX 99 good.example\n");
    for number in 0..90 {
        zone += &format!("slow.example 300 MX 100 m{number}.example\nm{number}.example 0 SILENT\n");
    }
    let mut world = World::new(&zone);
    let mut truth = good();
    world.servers[0] =
        Box::new(move |query, zone| if zone.is_silent(query) { Vec::new() } else { truth(query, zone) });
    assert_eq!(line(&world.plan("slow.example")), "99 good.example 1.0.0.1");
    assert!(world.now <= Duration::from_secs(31));
}

#[test]
fn hosts_behind_enough_addresses_are_not_asked_for() {
    let mut zone = String::new();
    for number in 0..50 {
        zone += &format!("many.example 300 MX {number} m{number}.many.example\n");
        zone += &format!("m{number}.many.example 300 A 1.0.0.{number}\n");
        zone += &format!("m{number}.many.example 300 AAAA 2a00::{number}\n");
    }
    let mut world = World::new(&zone);
    let Plan::Deliver { hosts, .. } = world.plan("many.example") else { panic!("a plan") };
    assert_eq!(hosts.len(), 10);
    assert!(world.asked.len() < 1 + 2 * 15, "{} queries", world.asked.len());
}

#[test]
fn no_more_queries_are_with_the_driver_than_allowed() {
    let mut world = World::with("", 1, |config| config.limits(Limits::default().in_flight(5)));
    world.servers[0] = down();
    for number in 0..100 {
        world.resolver.lookup(world.now, &format!("x{number}.example"));
    }
    world.wait_until(Duration::from_secs(1));
    assert_eq!(world.asked.len(), 5);
    world.run();
    assert_eq!(world.plans.len(), 100);
}

/// Two pointers anywhere in an answer, to anywhere in it: it is read or not, and it ends.
#[test]
fn compression_pointers_do_not_go_in_circles() {
    let mut read = 0;
    for at in 0..60usize {
        for to in 0..130u16 {
            let mut world = World::new("a.example 300 MX 10 mx.a.example\nmx.a.example 300 A 1.0.0.1");
            world.servers[0] = Box::new(move |query, zone| {
                let mut octets = zone.answer(query).to_vec().unwrap();
                let start = query.payload().len() - 11;
                if kind(query) == RecordType::MX {
                    let [high, low] = to.to_be_bytes();
                    for (offset, octet) in [0xc0 | high, low, 0xc0, start as u8].into_iter().enumerate() {
                        if let Some(place) = octets.get_mut(start + at % 40 + offset + at / 40) {
                            *place = octet;
                        }
                    }
                }
                vec![(MOMENT, Ok(octets))]
            });
            read += usize::from(matches!(world.plan("a.example"), Plan::Deliver { .. }));
        }
    }
    // The owner of the record may be written in another way, and its TTL be another one.
    assert!(read > 0, "some of them do no harm");
}

/// A message of nothing but pointers, each to the one before: 8,000 steps for each of 3,000 names, 20 seconds if all are done.
#[test]
fn long_chains_of_pointers_take_no_time() {
    let mut world = World::new("");
    world.servers[0] = Box::new(|query, _| {
        let mut octets = query.payload()[..query.payload().len() - 11].to_vec();
        octets[2] = 0x80;
        octets[11] = 0;
        let chain_at = octets.len() + 11;
        // An opaque record holds the chain.
        octets.extend([0, 255, 0, 0, 1, 0, 0, 0, 0]);
        let length = 0x3f00 - chain_at as u16;
        octets.extend(length.to_be_bytes());
        let mut last = 12u16;
        while octets.len() < chain_at + usize::from(length) {
            let here = octets.len() as u16;
            octets.extend((0xc000 | last).to_be_bytes());
            last = here;
        }
        octets.truncate(chain_at + usize::from(length));
        let mut count = 1u16;
        while octets.len() < 65_500 {
            octets.extend((0xc000 | (last - last % 2 - 4)).to_be_bytes());
            octets.extend([0, 15, 0, 1, 0, 0, 1, 0, 0, 4, 0, 1, 0xc0, 12]);
            count += 1;
        }
        octets[6..8].copy_from_slice(&count.to_be_bytes());
        vec![(MOMENT, Ok(octets))]
    });
    assert_eq!(line(&world.plan("a.example")), "Malformed 451 4.4.3");
}

/// Records that do not matter may be as odd as they like.
#[test]
fn records_of_other_types_are_stepped_over() {
    let mut world = World::new("a.example 300 MX 10 mx.a.example\nmx.a.example 300 A 1.0.0.1");
    world.servers[0] = Box::new(|query, zone| {
        let mut octets = zone.answer(query).to_vec().unwrap();
        // A SRV record whose value is cut short, and a TSIG record where none may be.
        for kind in [33, 250] {
            octets.extend([0xc0, 12, 0, kind, 0, 1, 0, 0, 1, 0, 0, 3, 0xc0, 0xff, 7]);
        }
        octets[11] += 2;
        vec![(MOMENT, Ok(octets))]
    });
    assert_eq!(line(&world.plan("a.example")), "10 mx.a.example 1.0.0.1");
}

#[test]
fn a_count_of_records_that_are_not_there_makes_an_answer_unreadable() {
    for at in [6, 8, 10] {
        let mut world = World::new("a.example 300 MX 10 mx.a.example");
        world.servers[0] = Box::new(move |query, zone| {
            let mut octets = zone.answer(query).to_vec().unwrap();
            octets[at] = 0x27;
            vec![(MOMENT, Ok(octets))]
        });
        assert_eq!(line(&world.plan("a.example")), "Malformed 451 4.4.3");
    }
}

/// A TTL with its highest bit set stands for zero: RFC 2181 §8.
#[test]
fn a_negative_ttl_is_none() {
    let mut world = World::new("a.example 300 MX 10 mx.a.example\nmx.a.example 300 A 1.0.0.1");
    world.servers[0] =
        with(|_, message| message.answers.iter_mut().for_each(|record| record.ttl = 0x8000_0001));
    assert_eq!(world.plan("a.example").expires().as_secs(), 5);
}
