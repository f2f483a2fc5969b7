//! Whatever servers answer, each lookup ends in a plan, within its limits, and the plan names nothing that it may not name.

use core::time::Duration;

use mx_lookup::special::special_address;
use mx_lookup::{Config, Event, Lost, Plan, Query, Resolver, Transport};

use crate::common::{Choices, Steps, choose};

const MOMENT: Duration = Duration::from_millis(10);

/// One octet chooses the configuration, one what becomes of queries. Then come answers, each behind the octet of its length.
pub fn run(data: &[u8]) {
    let ([config, ways], answers) = choose(data);
    let first = resolve(config, ways, answers);
    assert_eq!(resolve(config, ways, answers), first, "the same answers give the same run");
}

fn resolve(config: u8, ways: u8, mut answers: &[u8]) -> Vec<String> {
    let private = config & 1 != 0;
    let servers = (0..config >> 1 & 3).map(|server| ([127, 0, 0, 53], 5_300 + u16::from(server)).into());
    let servers: Vec<std::net::SocketAddr> = servers.collect();
    let chosen = Config::new(servers).random_case(config & 8 == 0).allow_private_addresses(private);
    let chosen = chosen.own_host("us.example").expect("a name");
    let mut resolver = Resolver::new(chosen, [config; 32]);
    let mut ways = Choices::new(ways.into());
    let mut steps = Steps::for_octets(answers.len());
    let (mut now, mut log) = (MOMENT, Vec::new());
    // The last one comes from the cache, as far as it is there.
    for domain in ["a.example", "b.example", "a.example"] {
        let id = resolver.lookup(now, domain);
        let (mut planned, mut asked) = (false, 0);
        while !planned {
            steps.count();
            while let Some(event) = resolver.poll(now) {
                match event {
                    Event::Query(query) => {
                        asked += 1;
                        reply(&mut resolver, now, query, &mut answers, &mut ways);
                    }
                    Event::Plan(done, plan, trace) => {
                        assert!(done == id && !planned, "one plan for each lookup");
                        planned = true;
                        check(&plan, private, now);
                        assert!(trace.to_string().bytes().all(|octet| matches!(octet, b' '..=b'~' | b'\n')));
                        log.push(format!("{plan:?}\n{trace}"));
                    }
                    _ => panic!("an event that no driver knows"),
                }
            }
            now += MOMENT;
            if let (false, Some(due)) = (planned, resolver.poll_timeout()) {
                now = now.max(due);
                resolver.handle_timeout(now);
            }
        }
        assert!(asked <= 100, "{asked} queries");
        assert_eq!(resolver.pending(), 0);
    }
    log
}

/// Hands a query back with the next answer, or lets it go.
fn reply(resolver: &mut Resolver, now: Duration, query: Query, answers: &mut &[u8], ways: &mut Choices) {
    let Some((&length, rest)) = answers.split_first() else {
        // Nothing more comes: some queries are lost, others are dropped.
        if ways.below(2) == 0 {
            assert!(resolver.handle_answer(now, query, Err(Lost::Timeout)).is_none());
        }
        return;
    };
    let (answer, rest) = rest.split_at(rest.len().min(length.into()));
    *answers = rest;
    let octets = match ways.below(8) {
        0 => answer.to_vec(),
        1 => {
            assert!(resolver.handle_answer(now, query, Err(Lost::Unreachable)).is_none());
            return;
        }
        _ => fitting(&query, answer),
    };
    if let Some(open) = resolver.handle_answer(now, query, Ok(&octets)) {
        // That was no answer; this one is, or is dropped.
        let octets = fitting(&open, answer);
        let _ = resolver.handle_answer(now, open, Ok(&octets));
    }
}

/// An answer to a query: flags and counts come from the first five octets, what follows stands behind the question.
fn fitting(query: &Query, answer: &[u8]) -> Vec<u8> {
    let ([flags, code, counts @ ..], records) = choose::<5>(answer);
    let edns = if query.payload()[11] == 1 { 11 } else { 0 };
    let mut octets = query.payload()[..query.payload().len() - edns].to_vec();
    octets[2] = 0x80 | flags & 7;
    octets[3] = code;
    if query.transport() == Transport::Tcp {
        octets[2] &= !2;
    }
    for (at, count) in [7, 9, 11].into_iter().zip(counts) {
        octets[at] = count;
    }
    octets.extend(records);
    octets
}

fn check(plan: &Plan, private: bool, now: Duration) {
    assert!(plan.expires() > now);
    if let Some(verdict) = plan.verdict() {
        assert!(verdict.to_string().bytes().all(|octet| matches!(octet, b' '..=b'~')));
    }
    let Plan::Deliver { hosts, site, .. } = plan else { return };
    assert!(!hosts.is_empty() && hosts.is_sorted_by_key(|host| host.preference));
    let mut addresses = 0;
    for host in hosts {
        let plain =
            |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || b"-_.".contains(&octet);
        assert!(host.name.bytes().all(plain) && host.name != "us.example", "{}", host.name);
        assert!(site.as_str().contains(&host.name));
        assert!((1..=10).contains(&host.addresses.len()));
        assert!(private || host.addresses.iter().all(|address| special_address(*address).is_none()));
        addresses += host.addresses.len();
    }
    assert!(addresses <= 20);
}
