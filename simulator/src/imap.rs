//! Many IMAP clients on a few mailboxes of one host, against a model of what each of them must see.
//!
//! The host is the one of the mail worlds, with its disk, its crashes and its network; see `README.md`.

mod client;
mod command;
pub mod letter;
pub mod model;
mod others;
mod shared;
pub mod wire;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailstore::mailbox::AccountId;
use mailstore::{Commit, Intent};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument as _, info, info_span};

use self::client::Client;
pub use self::client::IMAP;
use self::command::STATUS;
use self::model::Reading;
pub use self::shared::Counts;
use self::shared::{Parked, Shared};
use self::wire::Value;
use crate::dice::Dice;
use crate::hosts::{Order, Site};
use crate::invariants::Oracle;
use crate::machine::Wear;
use crate::network::{Weather, lock};
use crate::plan::{HostPlan, Plan, Schedule, User};
use crate::trace::Trace;
use crate::world::{Faults, World};
use crate::{outcome, panics};

/// What a run may be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Options {
    /// The seed of everything.
    pub seed: u64,
    /// Clients at the same time.
    pub sessions: usize,
    /// Commands of all of them.
    pub commands: u64,
}

/// What has come of a run.
pub type Outcome = outcome::Outcome<Options, Counts>;

/// Messages of a reading with all their octets.
type Bodies = Vec<(u64, u32, Vec<u8>)>;

/// Runs to its end, or until something is broken. Keeps so many of the last lines of its trace.
pub fn run(options: Options, lines: usize) -> Outcome {
    let runtime = crate::runtime();
    let plan = Arc::new(plan(options));
    let oracle = Arc::new(Mutex::new(Oracle::new(Arc::clone(&plan))));
    let trace = {
        let _inside = runtime.enter();
        Trace::new(Instant::now(), lines, Arc::clone(&oracle))
    };
    let (mut violations, counts, faults, lasted) = tracing::subscriber::with_default(trace.clone(), || {
        let result = runtime.block_on(live(plan, Arc::clone(&oracle), options));
        drop(runtime);
        result
    });
    violations.extend(lock(&oracle).violations().iter().cloned());
    violations.extend(panics::take().into_iter().map(|panic| format!("a panic: {panic}")));
    let (fingerprint, lines) = (trace.fingerprint(), trace.lines());
    Outcome { options, violations, fingerprint, lines, counts, faults, lasted }
}

/// One host, two accounts, and a network that is seldom bad.
fn plan(options: Options) -> Plan {
    let mut dice = Dice::new(options.seed, "imap plan");
    let schedule = Schedule { retry: "\"5m\"", expire: Duration::from_secs(7_200), text: "expire = \"2h\"" };
    let calm = dice.chance(200);
    Plan {
        options: crate::Options { seed: options.seed, hosts: 1, days: 1 },
        storm: u64::from(!calm),
        hosts: vec![HostPlan::alone(schedule)],
        users: vec![User::alone(1, "anna"), User::alone(2, "ben")],
        names: BTreeMap::new(),
        weather: Weather {
            latency: Duration::from_millis(*dice.pick(&[2, 10, 40])),
            loss: if calm { 0 } else { 2 },
            refused: if calm { 0 } else { 10 },
            doomed: if calm { 0 } else { 100 },
        },
        wear: Wear { latency: Duration::from_millis(*dice.pick(&[0, 1, 5])), ..Wear::default() },
        events: Vec::new(),
    }
}

async fn live(
    plan: Arc<Plan>,
    oracle: Arc<Mutex<Oracle>>,
    options: Options,
) -> (Vec<String>, Counts, Faults, Duration) {
    let world = Arc::new(World::new(plan, oracle));
    let shared = Arc::new(Shared::new(Arc::clone(&world), options));
    let mut tasks = JoinSet::new();
    tasks.spawn(Site::live(Arc::clone(&world), 0).instrument(info_span!("host", name = "mx0.test")));
    world.sites[0].ready().await;
    set_quota(&world).await;
    for account in 0..shared.accounts() {
        match read(&shared, account).await {
            Ok((readings, ..)) => lock(&shared.model).start(account, &readings),
            Err(error) => lock(&shared.model).violated(format!("account {account} cannot be read: {error}")),
        }
    }
    world.network.set_weather(world.plan.weather);
    let mut everybody = 0;
    for number in 0..options.sessions {
        tasks.spawn(client::live(Arc::clone(&shared), number));
        everybody += 1;
    }
    for _ in 0..SENDERS {
        tasks.spawn(others::send(Arc::clone(&shared), everybody));
        everybody += 1;
    }
    for account in 0..shared.accounts() {
        tasks.spawn(others::collect(Arc::clone(&shared), everybody, account));
        everybody += 1;
    }
    let faults = drive(&shared, everybody).await;
    tasks.shutdown().await;
    let (model, mut counts) = (lock(&shared.model), lock(&shared.counts).clone());
    (counts.looks, counts.bodies) = (model.looks, model.bodies);
    (model.violations().to_vec(), counts, faults, world.start.elapsed())
}

/// The second account cannot have more than so many messages.
async fn set_quota(world: &World) {
    let Some(host) = world.sites[0].host() else { return };
    let address = &world.plan.users[1].address;
    let account = host.accounts.accounts().into_iter().find(|account| account.address == *address);
    if let Some(account) = account {
        let intent = Intent::SetQuota { account: AccountId(account.id), octets: None, messages: Some(QUOTA) };
        let _ = host.store.commit(Commit::of(vec![intent])).await;
    }
}

/// Lets them work, makes trouble, and lets them rest, until all commands are given.
async fn drive(shared: &Shared, everybody: usize) -> Faults {
    let world = &shared.world;
    let mut dice = Dice::new(shared.options.seed, "imap trouble");
    let mut next_rest = dice.between(300, 900);
    let mut next_trouble = dice.between(200, 900);
    let mut last = (0, Instant::now());
    let mut trouble = JoinSet::new();
    loop {
        sleep(Duration::from_millis(100)).await;
        let given = shared.commands();
        if given > last.0 {
            last = (given, Instant::now());
        }
        if last.1.elapsed() > STUCK {
            lock(&shared.model).violated(format!("nobody has given a command for {STUCK:?}"));
        }
        if !lock(&shared.model).violations().is_empty() {
            break;
        }
        if given >= next_trouble {
            next_trouble = given + dice.between(300, 2_000);
            befall(world, &mut dice, &mut trouble);
        }
        let over = given >= shared.options.commands;
        if given >= next_rest || over {
            next_rest = given + dice.between(300, 1_500);
            rest(shared, everybody).await;
            last.1 = Instant::now();
            if over {
                break;
            }
        }
    }
    trouble.shutdown().await;
    let mut faults = Faults { network: world.network.injected(), ..Faults::default() };
    world.sites[0].add_to(&mut faults);
    faults
}

fn befall(world: &Arc<World>, dice: &mut Dice, trouble: &mut JoinSet<()>) {
    let away = dice.time(Duration::from_millis(100), Duration::from_secs(20));
    let lasts = dice.time(Duration::from_secs(1), Duration::from_secs(20));
    let site = &world.sites[0];
    match dice.below(10) {
        0..=3 => site.order(Order::PowerCut { operations: dice.below(80), away }),
        4 => site.order(Order::Kill { away }),
        5 => site.order(Order::Restart { away }),
        6 | 7 => {
            let wear = Wear { errors: dice.below(200), full: dice.below(200), ..world.plan.wear };
            site.set_wear(wear);
            let world = Arc::clone(world);
            trouble.spawn(async move {
                sleep(lasts).await;
                world.sites[0].set_wear(world.plan.wear);
            });
        }
        8 => world.network.sever(world.plan.users[dice.index(2)].machine.into(), dice.chance(500)),
        _ => {
            let usual = world.plan.weather;
            let worse = Weather { latency: usual.latency * 4, loss: 50, refused: 100, doomed: 400 };
            world.network.set_weather(worse);
            let world = Arc::clone(world);
            trouble.spawn(async move {
                sleep(lasts).await;
                world.network.set_weather(world.plan.weather);
            });
        }
    }
}

/// Everybody rests; all that is there is read, and compared with the model and with what each client sees.
async fn rest(shared: &Shared, everybody: usize) {
    let world = &shared.world;
    shared.gather(everybody).await;
    world.network.heal();
    world.sites[0].set_wear(world.plan.wear);
    // What was on its way when its client left is over by then.
    sleep(SETTLE).await;
    let parked = shared.gather(everybody).await;
    lock(&shared.counts).rests += 1;
    info!(clients = parked.len(), "all rest");
    for account in 0..shared.accounts() {
        let mut tries = 0..TRIES;
        let read = loop {
            match timeout(READING, read(shared, account)).await.map_err(io::Error::from).flatten() {
                Ok(read) => break Some(read),
                Err(error) if tries.next().is_some() => {
                    info!(%error, "not read yet");
                    sleep(Duration::from_secs(10)).await;
                }
                Err(error) => {
                    lock(&shared.model).violated(format!("account {account} cannot be read: {error}"));
                    break None;
                }
            }
        };
        let Some((readings, bodies, subscribed)) = read else { return };
        compare(shared, account, &parked, &readings, bodies, &subscribed);
    }
    world.network.set_weather(world.plan.weather);
    shared.release();
}

fn compare(
    shared: &Shared,
    account: usize,
    parked: &[Parked],
    readings: &[Reading],
    bodies: Bodies,
    subscribed: &BTreeSet<String>,
) {
    let mut model = lock(&shared.model);
    for parked in parked.iter().filter(|parked| parked.account == account) {
        let validity = model.mailboxes[parked.mailbox].validity;
        // One that was deleted is read to its end by whoever has it open.
        if let Some(reading) = readings.iter().find(|reading| reading.validity == validity) {
            model.same_view(parked.mailbox, &parked.view, reading, &parked.who);
        }
    }
    model.settle(account, readings, subscribed);
    for (validity, uid, octets) in bodies {
        let Some(mailbox) =
            model.mailboxes.iter().position(|of| of.account == account && of.validity == validity)
        else {
            continue;
        };
        model.octets(mailbox, uid, "BODY[]", &octets, "the reader");
    }
}

/// Reads everything of an account.
async fn read(shared: &Shared, account: usize) -> io::Result<(Vec<Reading>, Bodies, BTreeSet<String>)> {
    let dice = Dice::new(shared.commands(), "reader");
    let mut client = Client::connect(shared, account, "reader".to_owned(), dice).await?;
    let listed = client.simple("LIST \"\" *").await?;
    let (mut readings, mut bodies) = (Vec::new(), Vec::new());
    for name in names(&listed) {
        let mut reading = Reading { account, name, ..Reading::default() };
        let name = &reading.name;
        for data in client.simple(&format!("STATUS {name:?} {STATUS}")).await? {
            if data.first().is_some_and(|word| word.is("STATUS")) {
                for pair in data[2].list().chunks(2) {
                    reading.status.insert(pair[0].text().to_owned(), pair[1].number().unwrap_or(0));
                }
            }
        }
        let selected = client.simple(&format!("EXAMINE {name:?}")).await?;
        let code = selected.iter().find(|code| code.first().is_some_and(|name| name.is("UIDVALIDITY")));
        reading.validity = code.and_then(|code| code.get(1)?.number()).unwrap_or(0);
        let items = "(UID FLAGS MODSEQ INTERNALDATE RFC822.SIZE BODY.PEEK[])";
        for data in client.simple(&format!("UID FETCH 1:* {items}")).await? {
            if data.get(1).is_some_and(|word| word.is("FETCH")) {
                let (mut look, uid, octets) = command::look(data[2].list());
                let uid = uid.ok_or_else(|| io::Error::other("no UID"))?;
                for (_, octets) in octets {
                    look.tag = letter::tag(octets);
                    bodies.push((reading.validity, uid, octets.to_vec()));
                }
                reading.messages.push((uid, look));
            }
        }
        client.simple("UNSELECT").await?;
        readings.push(reading);
    }
    let subscribed = names(&client.simple("LIST (SUBSCRIBED) \"\" *").await?).into_iter().collect();
    let quota = client.simple("GETQUOTAROOT INBOX").await?;
    for data in quota.iter().filter(|data| data[0].is("QUOTA")) {
        check_quota(shared, account, data[2].list(), &readings);
    }
    Ok((readings, bodies, subscribed))
}

fn names(listed: &[Vec<Value>]) -> Vec<String> {
    let entries = listed.iter().filter(|data| data.first().is_some_and(|word| word.is("LIST")));
    entries.filter_map(|data| Some(data.get(3)?.text().to_owned())).collect()
}

fn check_quota(shared: &Shared, account: usize, resources: &[Value], readings: &[Reading]) {
    let messages = readings.iter().map(|reading| reading.messages.len() as u64).sum::<u64>();
    let sizes = readings.iter().flat_map(|reading| &reading.messages).filter_map(|(_, look)| look.size);
    let octets: u64 = sizes.sum();
    for resource in resources.chunks(3) {
        let used = resource.get(1).and_then(Value::number).unwrap_or(0);
        let right = match resource[0].text() {
            "MESSAGE" => used == messages,
            // RFC 9208 §5.1: in units of 1,024 octets.
            "STORAGE" => used == octets / 1_024 || used == octets.div_ceil(1_024),
            _ => true,
        };
        if !right {
            let what = resource[0].text();
            lock(&shared.model).violated(format!(
                "the quota of {account} says {what} {used}; there are {messages} messages of {octets} octets"
            ));
        }
    }
}

const SENDERS: usize = 2;
/// Of the second account, so that it is full now and then.
const QUOTA: u64 = 170;
/// Longer than any operation that nobody waits for any more.
const SETTLE: Duration = Duration::from_secs(150);
const STUCK: Duration = Duration::from_secs(7_200);
const READING: Duration = Duration::from_secs(600);
const TRIES: u32 = 200;
