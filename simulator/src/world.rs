//! A run: the world is put together, left to itself, and looked at when all has ended.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailhost::client::Encryption;
use mailhost::relay;
use mailhost::relay::connection::Security;
use mailstore::sim;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{Instrument as _, info, info_span};

use crate::dice::Dice;
use crate::hosts::{Order, Site};
use crate::invariants::{Counts, Oracle};
use crate::machine::{self, Clock, Machine, SimDisk, Wear};
use crate::moody::{self, Moody};
use crate::names::{self, Names, SERVERS};
use crate::network::{self, MAIL, Network, Weather, lock};
use crate::plan::{Event, Options, Plan, SILENT};
use crate::trace::Trace;
use crate::users;
use crate::{outcome, panics};

/// A world.
pub struct World {
    /// What there is in it.
    pub plan: Arc<Plan>,
    /// When it began.
    pub start: Instant,
    /// Its network.
    pub network: Network,
    /// Its names.
    pub names: Names,
    /// What looks at it.
    pub oracle: Arc<Mutex<Oracle>>,
    /// How users talk to hosts.
    pub security: Security,
    /// The machines of users.
    pub machines: Vec<Machine>,
    /// The hosts.
    pub sites: Vec<Site>,
    tags: AtomicU64,
}

/// What has come of a run.
pub type Outcome = outcome::Outcome<Options, Counts>;

/// What was done to a world.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// To connections.
    pub network: network::Injected,
    /// To disks.
    pub disks: machine::Injected,
    /// To hosts.
    pub hosts: Stops,
    /// Partitions.
    pub partitions: u64,
    /// Jumps of clocks.
    pub jumps: u64,
    /// Questions of DNS that were answered badly or not at all.
    pub names: u64,
}

/// How often hosts stopped.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stops {
    /// Without power.
    pub power: u64,
    /// Killed.
    pub kills: u64,
    /// In order.
    pub orders: u64,
    /// Starts that came to nothing.
    pub unstarted: u64,
    /// Because the store could not go on.
    pub stores: u64,
}

impl Faults {
    /// Adds those of another run.
    pub const fn add(&mut self, other: &Self) {
        self.network.lost += other.network.lost;
        self.network.refused += other.network.refused;
        self.network.resets += other.network.resets;
        self.network.silences += other.network.silences;
        self.network.halves += other.network.halves;
        self.disks.errors += other.disks.errors;
        self.disks.full += other.disks.full;
        self.disks.crashes += other.disks.crashes;
        self.hosts.power += other.hosts.power;
        self.hosts.kills += other.hosts.kills;
        self.hosts.orders += other.hosts.orders;
        self.hosts.unstarted += other.hosts.unstarted;
        self.hosts.stores += other.hosts.stores;
        self.partitions += other.partitions;
        self.jumps += other.jumps;
        self.names += other.names;
    }
}

/// Runs a world to its end. Keeps so many of the last lines of its trace.
pub fn run(options: Options, lines: usize) -> Outcome {
    let runtime = crate::runtime();
    let plan = Arc::new(Plan::new(options));
    let oracle = Arc::new(Mutex::new(Oracle::new(Arc::clone(&plan))));
    let trace = {
        let _inside = runtime.enter();
        Trace::new(Instant::now(), lines, Arc::clone(&oracle))
    };
    let (faults, lasted) = tracing::subscriber::with_default(trace.clone(), || {
        let result = runtime.block_on(live(plan, Arc::clone(&oracle)));
        drop(runtime);
        result
    });
    let mut oracle = lock(&oracle);
    for panic in panics::take() {
        oracle.violated(format!("a panic: {panic}"));
    }
    Outcome {
        options,
        violations: oracle.violations().to_vec(),
        fingerprint: trace.fingerprint(),
        lines: trace.lines(),
        counts: oracle.counts,
        faults,
        lasted,
    }
}

async fn live(plan: Arc<Plan>, oracle: Arc<Mutex<Oracle>>) -> (Faults, Duration) {
    let world = Arc::new(World::new(plan, oracle));
    let mut tasks = JoinSet::new();
    for site in 0..world.sites.len() {
        let span = info_span!("host", name = world.plan.hosts[site].name);
        tasks.spawn(Site::live(Arc::clone(&world), site).instrument(span));
    }
    for site in &world.sites {
        site.ready().await;
    }
    // The first start is no part of the trouble: from here on there are accounts.
    world.network.set_weather(world.plan.weather);
    for user in 0..world.plan.users.len() {
        tasks.spawn(users::live(Arc::clone(&world), user));
    }
    let mut faults = Faults::default();
    let mut pending = JoinSet::new();
    let mut events = world.plan.events.iter().peekable();
    let end = world.start + world.plan.lasts();
    let mut sweep = world.start + SWEEP;
    loop {
        let next = events.peek().map_or(end, |(at, _)| world.start + *at).min(end);
        tokio::select! {
            biased;
            () = sleep_until(sweep) => {
                world.sweep();
                sweep += SWEEP;
                continue;
            }
            () = sleep_until(next) => {}
        }
        if Instant::now() >= end {
            break;
        }
        if let Some((_, event)) = events.next() {
            world.befall(*event, &mut pending, &mut faults);
        }
    }
    pending.shutdown().await;
    world.calm();
    info!("the trouble is over");
    world.quiet().await;
    for site in &world.sites {
        site.order(Order::Last);
    }
    let mut there = BTreeSet::new();
    for site in &world.sites {
        there.extend(site.last().await);
    }
    let lasted = world.start.elapsed();
    tasks.shutdown().await;
    lock(&world.oracle).finish(&there);
    world.check_connections();
    faults.network = world.network.injected();
    faults.names = world.names.counts().1;
    for site in &world.sites {
        site.add_to(&mut faults);
    }
    (faults, lasted)
}

impl World {
    pub(crate) fn new(plan: Arc<Plan>, oracle: Arc<Mutex<Oracle>>) -> Self {
        let seed = plan.options.seed;
        let start = Instant::now();
        // The first start of each host is calm.
        let network = Network::new(seed, Weather { latency: plan.weather.latency, ..Weather::default() });
        network.silence(IpAddr::V4(SILENT), true);
        let names = Names::new(seed, plan.names.clone());
        for server in names::servers() {
            let names = names.clone();
            let accept = move |stream, _| drop(tokio::spawn(names.clone().serve(stream)));
            network.listen(server, Arc::new(accept));
        }
        let elsewhere = Moody::new(seed, Arc::clone(&oracle));
        let accept = move |stream, _| drop(tokio::spawn(elsewhere.clone().serve(stream)));
        network.listen((moody::ADDRESS, MAIL).into(), Arc::new(accept));
        let machine = |address: Ipv4Addr, clock, dice| Machine {
            address: IpAddr::V4(address),
            clock,
            disk: SimDisk::new(sim::Disk::new(0), Dice::new(0, "none"), Wear::default()),
            network: network.clone(),
            names: names.clone(),
            dice: Mutex::new(dice),
            tasks: Arc::default(),
        };
        let machines = plan.users.iter().map(|user| {
            machine(user.machine, Clock::new(start), Dice::new(seed, &format!("machine of {}", user.address)))
        });
        let machines = machines.collect();
        let sites = (0..plan.hosts.len()).map(|index| Site::new(&plan, index, start)).collect();
        let tls = relay::opportunistic_tls().expect("the provider has what TLS needs");
        let security = Security { tls, encryption: Encryption::Opportunistic, login: None };
        Self { plan, start, network, names, oracle, security, machines, sites, tags: AtomicU64::new(1) }
    }

    /// A name for a message that no other has.
    pub fn next_tag(&self) -> u64 {
        self.tags.fetch_add(1, Ordering::Relaxed)
    }

    fn address(&self, host: usize) -> IpAddr {
        IpAddr::V4(self.plan.hosts[host].address)
    }

    /// Lets something happen; what has to be undone later is a task.
    fn befall(self: &Arc<Self>, event: Event, pending: &mut JoinSet<()>, faults: &mut Faults) {
        info!(?event, "happens");
        let world = Arc::clone(self);
        match event {
            Event::PowerCut { host, operations, away } => {
                self.sites[host].order(Order::PowerCut { operations, away })
            }
            Event::Kill { host, away } => self.sites[host].order(Order::Kill { away }),
            Event::Restart { host, away } => self.sites[host].order(Order::Restart { away }),
            Event::Partition { a, b, lasts } => {
                faults.partitions += 1;
                let (a, b) = (self.address(a), self.address(b));
                self.network.cut(a, b, true);
                pending.spawn(async move {
                    sleep(lasts).await;
                    world.network.cut(a, b, false);
                });
            }
            Event::Sever { host } => self.network.sever(self.address(host), true),
            Event::Jump { host, seconds } => {
                faults.jumps += 1;
                self.sites[host].clock.jump(seconds * 1_000);
                let by = Duration::from_secs(seconds.unsigned_abs());
                lock(&self.oracle).excuse(&self.plan.hosts[host].name, by);
            }
            Event::Worn { host, wear, lasts } => {
                self.sites[host].set_wear(wear);
                pending.spawn(async move {
                    sleep(lasts).await;
                    world.sites[host].set_wear(world.plan.wear);
                });
            }
            Event::Full { host, lasts } => {
                self.sites[host].set_wear(Wear { full: 10_000, ..self.plan.wear });
                lock(&self.oracle).excuse(&self.plan.hosts[host].name, lasts);
                pending.spawn(async move {
                    sleep(lasts).await;
                    world.sites[host].set_wear(world.plan.wear);
                });
            }
            Event::NoNames { server, lasts } => {
                let server = IpAddr::V4(SERVERS[server]);
                self.network.silence(server, true);
                pending.spawn(async move {
                    sleep(lasts).await;
                    world.network.silence(server, false);
                });
            }
            Event::BadDomain { host, fault, lasts } => {
                let domain = self.plan.hosts[host].domains[0].clone();
                self.names.set_fault(&domain, Some(fault));
                pending.spawn(async move {
                    sleep(lasts).await;
                    world.names.set_fault(&domain, None);
                });
            }
            Event::Storm { lasts } => {
                let usual = self.plan.weather;
                let worse = Weather { latency: usual.latency * 4, loss: 200, refused: 200, doomed: 500 };
                self.network.set_weather(worse);
                pending.spawn(async move {
                    sleep(lasts).await;
                    world.network.set_weather(world.plan.weather);
                });
            }
        }
    }

    /// The end of all trouble.
    fn calm(&self) {
        self.network.heal();
        for server in SERVERS {
            self.network.silence(IpAddr::V4(server), false);
        }
        for (host, site) in self.plan.hosts.iter().zip(&self.sites) {
            self.names.set_fault(&host.domains[0], None);
            site.set_wear(self.plan.wear);
            site.calm();
        }
    }

    /// Waits until every queue is empty, or until none may have anything any more.
    async fn quiet(&self) {
        // A report can be written at the last moment and then has all its time.
        let most = Duration::from_secs(2 * (30 + 5) * 3_600 + 48 * 3_600);
        let end = Instant::now() + most;
        // Sessions that have lost their client are still waiting for it.
        sleep(SETTLE).await;
        while Instant::now() < end {
            self.sweep();
            let all_up = self.sites.iter().all(|site| site.waiting().is_some());
            let waiting: usize = self.sites.iter().filter_map(Site::waiting).sum();
            if all_up && waiting == 0 {
                return;
            }
            sleep(SWEEP).await;
        }
        for (host, site) in self.plan.hosts.iter().zip(&self.sites) {
            match site.waiting() {
                None => lock(&self.oracle).violated(format!("{} does not come up", host.name)),
                Some(0) => {}
                Some(waiting) => {
                    let what = format!("{} has {waiting} messages in its queue at the end", host.name);
                    lock(&self.oracle).violated(what);
                }
            }
        }
    }

    /// Looks at what can be looked at any time.
    fn sweep(&self) {
        let at = self.start.elapsed();
        for (host, site) in self.plan.hosts.iter().zip(&self.sites) {
            let mut oracle = lock(&self.oracle);
            for name in site.queue() {
                oracle.waits(at, &host.name, &name);
            }
            if site.taken() > CONNECTIONS {
                oracle.violated(format!("{} has more connections than its limit", host.name));
            }
        }
    }

    /// No host has opened more connections to another at once than it may: those of one site, for each domain that may
    /// have a site of its own.
    fn check_connections(&self) {
        for ((from, to), count) in self.network.most_open() {
            let Some(there) = self.plan.hosts.iter().find(|host| IpAddr::V4(host.address) == to) else {
                continue;
            };
            let is_host = self.plan.hosts.iter().any(|host| IpAddr::V4(host.address) == from);
            let most = if is_host { WINDOW * there.domains.len() as u32 } else { u32::MAX };
            if count > most {
                lock(&self.oracle)
                    .violated(format!("{from} had {count} connections to {to}, and {most} is the most"));
            }
        }
    }
}

/// Connections at the same time, of each host.
pub const CONNECTIONS: usize = 100;
/// The most attempts that a queue makes at a site at once.
const WINDOW: u32 = 20;
const SWEEP: Duration = Duration::from_secs(1_800);
const SETTLE: Duration = Duration::from_secs(3_600);
