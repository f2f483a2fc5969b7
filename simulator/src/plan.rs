//! What there is in a world and what happens to it, drawn from its seed before anything begins.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::time::Duration;

use crate::dice::Dice;
use crate::machine::Wear;
use crate::moody;
use crate::names::{Entry, Fault};
use crate::network::Weather;

/// What a run may be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// The seed of everything.
    pub seed: u64,
    /// The most hosts.
    pub hosts: usize,
    /// Days of traffic and faults.
    pub days: u64,
}

/// A world.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What was asked for.
    pub options: Options,
    /// From 0, where nothing fails, to 4.
    pub storm: u64,
    /// The hosts.
    pub hosts: Vec<HostPlan>,
    /// Whoever has a mailbox.
    pub users: Vec<User>,
    /// The names.
    pub names: BTreeMap<String, Entry>,
    /// The network on a usual day.
    pub weather: Weather,
    /// Every disk on a usual day.
    pub wear: Wear,
    /// What happens when, in order.
    pub events: Vec<(Duration, Event)>,
}

/// A host.
#[derive(Clone, Debug)]
pub struct HostPlan {
    /// What it calls itself.
    pub name: String,
    /// Its domains; the first one is where its users are.
    pub domains: Vec<String>,
    /// Where it is.
    pub address: Ipv4Addr,
    /// How it retries.
    pub schedule: Schedule,
    /// How many messages of its queue it has in memory, if it is to be fewer than usual.
    pub window: Option<usize>,
    /// Its aliases and what they stand for.
    pub aliases: Vec<(String, Vec<String>)>,
}

/// When mail is tried again, warned about and given up.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// For the configuration file.
    pub retry: &'static str,
    /// When mail is given up.
    pub expire: Duration,
    /// For the configuration file, with the same.
    pub text: &'static str,
}

/// Somebody with a mailbox.
#[derive(Clone, Debug)]
pub struct User {
    /// Which host.
    pub host: usize,
    /// The address, which is the login too.
    pub address: String,
    /// Where the user's programs run.
    pub machine: Ipv4Addr,
    /// How many messages the user sends.
    pub messages: u64,
    /// Whether what was collected is deleted.
    pub deletes: bool,
}

impl HostPlan {
    /// The only one of a world.
    pub(crate) fn alone(schedule: Schedule) -> Self {
        Self {
            name: "mx0.test".to_owned(),
            domains: vec!["d0.test".to_owned()],
            address: Ipv4Addr::new(10, 0, 0, 1),
            schedule,
            window: None,
            aliases: Vec::new(),
        }
    }
}

impl User {
    /// A user of the only host, at a machine of this number, who sends nothing unasked.
    pub(crate) fn alone(number: u8, name: &str) -> Self {
        Self {
            host: 0,
            address: format!("{name}@d0.test"),
            machine: Ipv4Addr::new(10, 9, 0, number),
            messages: 0,
            deletes: false,
        }
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The machine of a host stops after so many more disk operations, and starts again later.
    PowerCut {
        /// Which.
        host: usize,
        /// After how many.
        operations: u64,
        /// How long it is away.
        away: Duration,
    },
    /// The process of a host is killed.
    Kill {
        /// Which.
        host: usize,
        /// How long it is away.
        away: Duration,
    },
    /// A host is stopped in order and started again.
    Restart {
        /// Which.
        host: usize,
        /// How long it is away.
        away: Duration,
    },
    /// Nothing passes between two hosts.
    Partition {
        /// One.
        a: usize,
        /// The other.
        b: usize,
        /// For how long.
        lasts: Duration,
    },
    /// All connections of a host are reset.
    Sever {
        /// Which.
        host: usize,
    },
    /// A host's clock jumps by so many seconds.
    Jump {
        /// Which.
        host: usize,
        /// How far, and in which direction.
        seconds: i64,
    },
    /// A host's disk fails now and then.
    Worn {
        /// Which.
        host: usize,
        /// How often.
        wear: Wear,
        /// For how long.
        lasts: Duration,
    },
    /// A host's disk is full.
    Full {
        /// Which.
        host: usize,
        /// For how long.
        lasts: Duration,
    },
    /// A name server does not answer.
    NoNames {
        /// Which.
        server: usize,
        /// For how long.
        lasts: Duration,
    },
    /// The domain of a host cannot be looked up.
    BadDomain {
        /// Which.
        host: usize,
        /// How.
        fault: Fault,
        /// For how long.
        lasts: Duration,
    },
    /// The network gets much worse.
    Storm {
        /// For how long.
        lasts: Duration,
    },
}

/// Where the mail for an address ends, as far as the configuration of the world says.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// Mailboxes, by user, with every address that leads there.
    pub mailboxes: BTreeMap<usize, BTreeSet<String>>,
    /// How many ways lead to each.
    pub paths: BTreeMap<usize, u32>,
    /// Addresses that end nowhere, with those that lead there.
    pub dead: Vec<BTreeSet<String>>,
}

impl Plan {
    /// Draws a world.
    pub fn new(options: Options) -> Self {
        let mut dice = Dice::new(options.seed, "plan");
        let storm = *dice.pick(&[0, 1, 1, 2, 2, 3, 3, 4]);
        let count = dice.between(2, options.hosts.max(2) as u64) as usize;
        let mut hosts: Vec<HostPlan> = (0..count).map(|index| host(&mut dice, index)).collect();
        let mut windows = Dice::new(options.seed, "windows");
        for host in &mut hosts {
            host.window = *windows.pick(&WINDOWS);
        }
        let mut users = Vec::new();
        for (host, plan) in hosts.iter().enumerate() {
            for number in 0..dice.between(1, 3) {
                let address = format!("{}@{}", NAMES[number as usize], plan.domains[0]);
                let machine = Ipv4Addr::new(10, 9, host as u8, number as u8 + 1);
                let (messages, deletes) = (dice.between(2, 8 * options.days), dice.chance(500));
                users.push(User { host, address, machine, messages, deletes });
            }
        }
        aliases(&mut dice, &mut hosts, &users);
        let names = names(&mut dice, &hosts);
        let weather = Weather {
            latency: Duration::from_millis(*dice.pick(&[2, 20, 80, 400])),
            loss: [0, 5, 10, 30, 100][storm as usize],
            refused: [0, 5, 20, 50, 100][storm as usize],
            doomed: [0, 10, 40, 100, 250][storm as usize],
        };
        let wear = Wear { errors: 0, full: 0, latency: Duration::from_millis(*dice.pick(&[1, 5, 20])) };
        let mut plan = Self { options, storm, hosts, users, names, weather, wear, events: Vec::new() };
        plan.events = plan.draw_events(&mut dice);
        plan
    }

    /// How long there is traffic.
    pub const fn lasts(&self) -> Duration {
        Duration::from_secs(self.options.days * 86_400)
    }

    /// The host that a domain is at home at.
    pub fn home(&self, domain: &str) -> Option<usize> {
        self.hosts.iter().position(|host| host.name == domain || host.domains.iter().any(|own| own == domain))
    }

    /// Follows an address to its ends.
    pub fn way(&self, address: &str) -> Way {
        let mut way = Way::default();
        self.follow(address, &mut Vec::new(), &mut way);
        way
    }

    fn follow(&self, address: &str, before: &mut Vec<String>, way: &mut Way) {
        if before.iter().any(|passed| passed == address) {
            // A ring: it ends when somebody has counted its rounds.
            way.dead.push(before.iter().cloned().collect());
            return;
        }
        before.push(address.to_owned());
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        let found = self.users.iter().position(|user| user.address == address);
        let alias = self.hosts.iter().flat_map(|host| &host.aliases).find(|(alias, _)| alias == address);
        match (found, alias) {
            (Some(user), _) => {
                way.mailboxes.entry(user).or_default().extend(before.iter().cloned());
                *way.paths.entry(user).or_default() += 1;
            }
            (None, Some((_, targets))) => targets.iter().for_each(|target| self.follow(target, before, way)),
            (None, None) => {
                debug_assert!(self.home(domain).is_some() || !domain.is_empty());
                way.dead.push(before.iter().cloned().collect());
            }
        }
        before.pop();
    }

    fn draw_events(&self, dice: &mut Dice) -> Vec<(Duration, Event)> {
        let most = [0, 4, 10, 20, 40][self.storm as usize] * self.options.days;
        let count = if most == 0 { 0 } else { dice.between(most / 2, most) };
        let hosts = self.hosts.len();
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let mut events: Vec<_> = (0..count)
            .map(|_| {
                let at = dice.time(minutes(30), self.lasts());
                let host = dice.index(hosts);
                let away = *dice.pick(&[minutes(0), minutes(1), minutes(10), minutes(60), minutes(300)]);
                let lasts = *dice.pick(&[minutes(1), minutes(10), minutes(60), minutes(240)]);
                let event = match dice.below(20) {
                    0..=3 => Event::PowerCut { host, operations: dice.below(60), away },
                    4 | 5 => Event::Kill { host, away },
                    6 => Event::Restart { host, away },
                    7 | 8 => {
                        Event::Partition { a: host, b: (host + 1 + dice.index(hosts - 1)) % hosts, lasts }
                    }
                    9 | 10 => Event::Sever { host },
                    11 => {
                        let most = *dice.pick(&[30, 300, 7_200, 86_400]);
                        Event::Jump { host, seconds: dice.between(0, 2 * most) as i64 - most as i64 }
                    }
                    12..=14 => {
                        let rate = *dice.pick(&[100, 500, 2_000]);
                        let wear = Wear { errors: dice.below(rate), full: dice.below(rate), ..self.wear };
                        Event::Worn { host, wear, lasts }
                    }
                    15 => Event::Full { host, lasts },
                    16 => Event::NoNames { server: dice.index(2), lasts },
                    17 => {
                        let fault = *dice.pick(&[Fault::ServFail, Fault::Silent, Fault::Truncated]);
                        Event::BadDomain { host, fault, lasts }
                    }
                    _ => Event::Storm { lasts },
                };
                (at, event)
            })
            .collect();
        events.sort_by_key(|(at, _)| *at);
        events
    }
}

fn host(dice: &mut Dice, index: usize) -> HostPlan {
    let mut domains = vec![format!("d{index}.test")];
    if dice.chance(500) {
        domains.push(format!("implicit{index}.test"));
    }
    if dice.chance(300) {
        domains.push(format!("alias{index}.test"));
    }
    HostPlan {
        name: format!("mx{index}.test"),
        domains,
        address: Ipv4Addr::new(10, 0, index as u8, 1),
        schedule: *dice.pick(&SCHEDULES),
        window: None,
        aliases: Vec::new(),
    }
}

/// Second names, lists, and rings through several hosts.
fn aliases(dice: &mut Dice, hosts: &mut [HostPlan], users: &[User]) {
    let count = hosts.len();
    for (index, host) in hosts.iter_mut().enumerate() {
        let domain = host.domains[0].clone();
        let others: Vec<String> = users.iter().map(|user| user.address.clone()).collect();
        let extra = host.domains[1..].to_vec();
        let own = &mut host.aliases;
        let mut add = |alias: &str, targets: Vec<String>| own.push((alias.to_owned(), targets));
        for extra in &extra {
            for user in users.iter().filter(|user| user.host == index) {
                let name = user.address.split('@').next().unwrap_or_default();
                add(&format!("{name}@{extra}"), vec![user.address.clone()]);
            }
        }
        let mut add = |name: &str, targets| add(&format!("{name}@{domain}"), targets);
        if dice.chance(700) {
            add("second", vec![dice.pick(&others).clone()]);
        }
        if dice.chance(500) {
            let some = others.iter().filter(|_| dice.chance(600)).cloned().collect::<Vec<_>>();
            if !some.is_empty() {
                add("list", some);
            }
        }
        if dice.chance(300) {
            add("gone", vec![format!("nobody@d{}.test", (index + 1) % count)]);
        }
        if dice.chance(300) {
            add("friend", vec![format!("somebody@{}", moody::DOMAIN)]);
        }
        if dice.chance(300) {
            add("away", vec![format!("somebody@{}", dice.pick(&DEAD))]);
        }
        // A way to the same name at the next host: round and round, where all of them have it.
        if dice.chance(400) {
            add("ring", vec![format!("ring@d{}.test", (index + 1) % count)]);
        }
    }
}

fn names(dice: &mut Dice, hosts: &[HostPlan]) -> BTreeMap<String, Entry> {
    let mut names = BTreeMap::new();
    let entry = |addresses: &[Ipv4Addr]| Entry { addresses: addresses.to_vec(), ..Entry::default() };
    for (index, host) in hosts.iter().enumerate() {
        names.insert(host.name.clone(), entry(&[host.address]));
        let mut mx = vec![(20, host.name.clone())];
        for (permille, preference, name) in [
            (150, 10, "dead-mx.test"),
            (100, 10, "shut-mx.test"),
            (200, 30, "dead-mx.test"),
            (100, 5, "missing.test"),
        ] {
            if dice.chance(permille) {
                mx.push((preference, name.to_owned()));
            }
        }
        names.insert(host.domains[0].clone(), Entry { mx, ..Entry::default() });
        names.insert(format!("implicit{index}.test"), entry(&[host.address]));
        let alias = Entry { alias: Some(host.domains[0].clone()), ..Entry::default() };
        names.insert(format!("alias{index}.test"), alias);
    }
    let to = |name: &str| Entry { mx: vec![(10, name.to_owned())], ..Entry::default() };
    names.insert("dead-mx.test".to_owned(), entry(&[SILENT]));
    names.insert("shut-mx.test".to_owned(), entry(&[SHUT]));
    names.insert("dead.test".to_owned(), to("dead-mx.test"));
    names.insert("shut.test".to_owned(), to("shut-mx.test"));
    names.insert("null.test".to_owned(), Entry { mx: vec![(0, String::new())], ..Entry::default() });
    names.insert("mx.moody.test".to_owned(), entry(&[moody::ADDRESS]));
    names.insert(moody::DOMAIN.to_owned(), to("mx.moody.test"));
    names.insert("broken.test".to_owned(), Entry { fault: Some(Fault::ServFail), ..Entry::default() });
    names.insert("mute.test".to_owned(), Entry { fault: Some(Fault::Silent), ..Entry::default() });
    names
}

/// Domains that take no mail; the first one does not exist.
pub const DEAD: [&str; 6] =
    ["nowhere.test", "null.test", "dead.test", "shut.test", "broken.test", "mute.test"];
/// An address that answers nothing.
pub const SILENT: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 1);
const SHUT: Ipv4Addr = Ipv4Addr::new(10, 66, 0, 2);
const WINDOWS: [Option<usize>; 6] = [None, None, Some(1), Some(2), Some(5), Some(20)];
const NAMES: [&str; 3] = ["anna", "ben", "carla"];
const HOUR: Duration = Duration::from_secs(3_600);
const SCHEDULES: [Schedule; 4] = [
    Schedule {
        retry: "\"5m\", \"15m\", \"30m\", \"1h\", \"2h\", \"4h\"",
        expire: HOUR.saturating_mul(30),
        text: "expire = \"30h\"\nwarn = \"4h\"",
    },
    Schedule {
        retry: "\"5m\", \"15m\", \"30m\", \"1h\", \"2h\", \"4h\"",
        expire: HOUR.saturating_mul(30),
        text: "expire = \"30h\"\nwarn = \"4h\"",
    },
    Schedule {
        retry: "\"1m\", \"5m\", \"10m\"",
        expire: HOUR.saturating_mul(2),
        text: "expire = \"2h\"\nwarn = \"30m\"",
    },
    Schedule {
        retry: "\"30s\", \"1m\", \"10m\"",
        expire: HOUR.saturating_mul(8),
        text: "expire = \"8h\"\nwarn = \"1h\"",
    },
];
