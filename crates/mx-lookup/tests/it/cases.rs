//! The table: `tests/zones/*.zone` holds records, and lines `? domain = plan` beside them.

use mx_lookup::Config;

use crate::world::{World, line};

const ZONES: [(&str, &str); 8] = [
    ("records", include_str!("../zones/records.zone")),
    ("null", include_str!("../zones/null.zone")),
    ("implicit", include_str!("../zones/implicit.zone")),
    ("alias", include_str!("../zones/alias.zone")),
    ("failure", include_str!("../zones/failure.zone")),
    ("own", include_str!("../zones/own.zone")),
    ("special", include_str!("../zones/special.zone")),
    ("domain", include_str!("../zones/domain.zone")),
];

/// The same for every seed and number of servers: those change the order among equals, and nothing else.
// Ledger: 5321-5.1-1, 5321-5.1-2, 5321-5.1-3, 5321-5.1-4, 5321-5.1-5, 5321-5.1-6, 5321-5.1-7, 5321-5.1-11
// Ledger: 5321-5.1-13, 5321-5.1-14, 5321-5.1-15, 5321-5.1-16, 5321-5.1-17
#[test]
fn every_case_of_the_table_has_its_plan() {
    let mut count = 0;
    let mut wrong = String::new();
    for (file, text) in ZONES {
        for (number, (config, domain, plan)) in cases(text).into_iter().enumerate() {
            count += 1;
            for (seed, servers) in [(number as u8, 1), (number as u8 + 1, 3)] {
                let mut world = World::seeded(text, servers, [seed; 32], |start| configure(start, config));
                for server in &mut world.servers {
                    *server = silent_where_told();
                }
                let got = line(&world.plan(&domain));
                if got != plan {
                    wrong += &format!("{file}: {domain}\n  expected {plan}\n  got      {got}\n");
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count >= 150, "{count} cases");
}

/// The second lookup of the same domain has the same plan, from the cache.
#[test]
fn every_case_has_the_same_plan_from_the_cache() {
    for (file, text) in ZONES {
        for (config, domain, plan) in cases(text) {
            let mut world = World::with(text, 2, |start| configure(start, config));
            for server in &mut world.servers {
                *server = silent_where_told();
            }
            world.plan(&domain);
            let asked = world.asked.len();
            assert_eq!(line(&world.plan(&domain)), plan, "{file}: {domain}");
            // A query that nobody answers takes longer than an answer of five seconds lives.
            if world.now.as_secs() < 5 {
                assert_eq!(world.asked.len(), asked, "{file}: {domain} is asked again");
            }
        }
    }
}

/// All domains of a file at once, in one resolver.
#[test]
fn cases_do_not_disturb_each_other() {
    for (file, text) in ZONES {
        let mut worlds: Vec<(&str, World, Vec<_>)> = Vec::new();
        for (config, domain, plan) in cases(text) {
            let at = worlds.iter().position(|(other, ..)| *other == config).unwrap_or_else(|| {
                let mut world = World::with(text, 2, |start| configure(start, config));
                for server in &mut world.servers {
                    *server = silent_where_told();
                }
                worlds.push((config, world, Vec::new()));
                worlds.len() - 1
            });
            let (_, world, ids) = &mut worlds[at];
            ids.push((world.resolver.lookup(world.now, &domain), domain, plan));
        }
        for (_, mut world, ids) in worlds {
            world.run();
            for (id, domain, plan) in ids {
                assert_eq!(line(&world.plans[&id].0), plan, "{file}: {domain}");
            }
        }
    }
}

fn silent_where_told() -> crate::world::Behaviour {
    let mut good = crate::world::good();
    Box::new(move |query, zone| if zone.is_silent(query) { Vec::new() } else { good(query, zone) })
}

/// `config` lines hold for what follows them.
fn cases(text: &str) -> Vec<(&str, String, String)> {
    let mut config = "";
    let mut cases = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("config") {
            config = rest.trim();
        }
        if let Some(rest) = line.strip_prefix("? ") {
            let (domain, plan) = rest.split_once(" = ").expect("a case is `? domain = plan`");
            cases.push((config, unescape(domain.trim()), plan.trim().to_owned()));
        }
    }
    cases
}

/// `{x}` is a character by its number, `{64a}` 64 times the letter a.
fn unescape(domain: &str) -> String {
    let mut text = String::new();
    let mut rest = domain;
    while let Some((before, after)) = rest.split_once('{') {
        let (inner, behind) = after.split_once('}').expect("a closing brace");
        text += before;
        match inner.split_once('*') {
            Some((count, what)) => text += &what.repeat(count.parse().expect("a number")),
            None => text.push(
                char::from_u32(u32::from_str_radix(inner, 16).expect("a number")).expect("a character"),
            ),
        }
        rest = behind;
    }
    text + rest
}

fn configure(mut config: Config, text: &str) -> Config {
    for word in text.split_whitespace() {
        config = match word.split_once('=') {
            Some(("own", name)) => config.own_host(name).expect("a name"),
            Some(("address", address)) => config.own_address(address.parse().expect("an address")),
            None if word == "private" => config.allow_private_addresses(true),
            _ => panic!("no setting: {word}"),
        };
    }
    config
}
