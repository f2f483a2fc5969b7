//! The life of a host: started, stopped in every way there is, started again from what its disk holds.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use mailhost::accounts::{Accounts, ChangeError, INBOX};
use mailhost::auth::{Authenticator, Password, PasswordHash, Secrets};
use mailhost::config::Config;
use mailhost::host::{Host, session};
use mailhost::listener::{Gate, Service, Stop, Stopping};
use mailhost::relay::Relay;
use mailhost::store::{Opening, Store};
use mailstore::{Actor, sim};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument as _, Span, info};

use crate::dice::Dice;
use crate::imap::IMAP;
use crate::invariants::Copy;
use crate::machine::{self, Clock, Machine, SimDisk, Tasks, Wear};
use crate::network::{MAIL, lock};
use crate::plan::Plan;
use crate::users::{PASSWORD, POP3, SUBMISSION};
use crate::web::WEB;
use crate::world::{CONNECTIONS, Faults, Stops, World};

/// Messages by their users and unique ids.
type Contents = BTreeSet<(usize, String)>;

/// A host, up or not.
pub struct Site {
    /// Its clock, which goes on while it is down.
    pub clock: Clock,
    orders: mpsc::UnboundedSender<Order>,
    receiver: Mutex<Option<mpsc::UnboundedReceiver<Order>>>,
    state: Mutex<State>,
    ready: Notify,
    last: Mutex<Option<oneshot::Receiver<Contents>>>,
    tell: Mutex<Option<oneshot::Sender<Contents>>>,
}

struct State {
    disk: Option<sim::Disk>,
    dice: Dice,
    wear: Wear,
    /// There is no more trouble.
    calm: bool,
    /// How long it will be away after the power cut that was ordered.
    away: Duration,
    up: Option<Up>,
    injected: machine::Injected,
    stops: Stops,
}

/// What is there while it is up.
#[derive(Clone)]
struct Up {
    disk: SimDisk,
    host: Option<Arc<Host>>,
    gate: Arc<Gate>,
}

/// What a host is told from outside.
#[derive(Clone, Copy, Debug)]
pub enum Order {
    /// The machine stops after so many more disk operations, and starts again later.
    PowerCut {
        /// After how many.
        operations: u64,
        /// How long it is away.
        away: Duration,
    },
    /// The process is killed.
    Kill {
        /// How long it is away.
        away: Duration,
    },
    /// It is stopped in order.
    Restart {
        /// How long it is away.
        away: Duration,
    },
    /// All is over: it tells what its mailboxes hold.
    Last,
}

/// How a host has ended.
enum End {
    Power(Duration),
    Killed(Duration),
    Stopped(Duration),
    Store,
    /// It could not be started.
    Unstarted,
    Last,
}

struct Running {
    host: Arc<Host>,
    stop: Stop,
    relay: oneshot::Receiver<()>,
    sessions: Tasks,
}

impl Site {
    pub(crate) fn new(plan: &Plan, index: usize, start: Instant) -> Self {
        let (orders, receiver) = mpsc::unbounded_channel();
        let (tell, last) = oneshot::channel();
        let seed = plan.options.seed;
        Self {
            clock: Clock::new(start),
            orders,
            receiver: Mutex::new(Some(receiver)),
            state: Mutex::new(State {
                disk: Some(sim::Disk::new(seed ^ index as u64)),
                dice: Dice::new(seed, &plan.hosts[index].name),
                wear: plan.wear,
                calm: true,
                away: AWAY,
                up: None,
                injected: machine::Injected::default(),
                stops: Stops::default(),
            }),
            ready: Notify::new(),
            last: Mutex::new(Some(last)),
            tell: Mutex::new(Some(tell)),
        }
    }

    /// Waits until it is up for the first time.
    pub async fn ready(&self) {
        self.ready.notified().await;
        lock(&self.state).calm = false;
    }

    /// Tells it.
    pub fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// From now on nothing of what was ordered happens.
    pub fn calm(&self) {
        lock(&self.state).calm = true;
    }

    /// What its mailboxes hold at the end.
    pub async fn last(&self) -> Contents {
        let receiver = lock(&self.last).take();
        match receiver {
            Some(receiver) => receiver.await.unwrap_or_default(),
            None => Contents::new(),
        }
    }

    /// Sets how its disk misbehaves.
    pub fn set_wear(&self, wear: Wear) {
        let state = &mut *lock(&self.state);
        state.wear = wear;
        if let Some(up) = &state.up {
            up.disk.set_wear(wear);
        }
    }

    /// The host itself, while it is up.
    pub fn host(&self) -> Option<Arc<Host>> {
        lock(&self.state).up.as_ref()?.host.clone()
    }

    /// How many messages wait in its queue; `None` while it is down, or does not know them all yet.
    pub fn waiting(&self) -> Option<usize> {
        let state = lock(&self.state);
        let relay = &state.up.as_ref()?.host.as_ref()?.relay;
        relay.is_read().then(|| relay.len())
    }

    /// What they are called.
    pub fn queue(&self) -> Vec<String> {
        let host = lock(&self.state).up.as_ref().and_then(|up| up.host.clone());
        let ids = host.map(|host| host.relay.ids()).unwrap_or_default();
        ids.iter().map(ToString::to_string).collect()
    }

    /// How many connections it serves.
    pub fn taken(&self) -> usize {
        lock(&self.state).up.as_ref().map_or(0, |up| up.gate.taken())
    }

    /// Adds what was done to it.
    pub fn add_to(&self, faults: &mut Faults) {
        let state = lock(&self.state);
        faults.disks.errors += state.injected.errors;
        faults.disks.full += state.injected.full;
        faults.disks.crashes += state.injected.crashes;
        faults.hosts.power += state.stops.power;
        faults.hosts.kills += state.stops.kills;
        faults.hosts.orders += state.stops.orders;
        faults.hosts.unstarted += state.stops.unstarted;
        faults.hosts.stores += state.stops.stores;
    }

    /// Starts it, again and again.
    pub(crate) async fn live(world: Arc<World>, index: usize) {
        let site = &world.sites[index];
        let plan = &world.plan.hosts[index];
        let Some(mut orders) = lock(&site.receiver).take() else { return };
        let address = IpAddr::V4(plan.address);
        loop {
            let tasks = Tasks::default();
            let machine = site.boot(&world, address, &tasks);
            let disk = machine.disk.clone();
            let end = tokio::select! {
                biased;
                () = disk.crashed() => End::Power(lock(&site.state).away),
                end = site.run(&world, index, machine, &mut orders) => end,
            };
            // From here on nothing of it does anything any more.
            let (power, word) = (matches!(end, End::Power(_)), !matches!(end, End::Power(_)));
            world.network.close(address);
            world.network.sever(address, word);
            let away = match end {
                End::Power(away) | End::Killed(away) | End::Stopped(away) => away,
                End::Store => Duration::ZERO,
                End::Unstarted => AWAY,
                End::Last => return,
            };
            {
                let state = &mut *lock(&site.state);
                let seed = power.then(|| state.dice.below(u64::MAX));
                let (left, injected) = disk.stop(seed);
                state.disk = Some(left);
                state.up = None;
                state.injected.errors += injected.errors;
                state.injected.full += injected.full;
                state.injected.crashes += injected.crashes;
                match end {
                    End::Power(_) => state.stops.power += 1,
                    End::Killed(_) => state.stops.kills += 1,
                    End::Stopped(_) => state.stops.orders += 1,
                    End::Unstarted => state.stops.unstarted += 1,
                    End::Store | End::Last => state.stops.stores += 1,
                }
            }
            let mut all = std::mem::take(&mut *lock(&tasks));
            all.shutdown().await;
            let how = match end {
                End::Power(_) => "power cut",
                End::Killed(_) => "killed",
                End::Stopped(_) => "stopped",
                End::Unstarted => "not started",
                End::Store | End::Last => "its store has ended",
            };
            info!(how, ?away, "down");
            let in_order = matches!(end, End::Stopped(_));
            {
                let mut oracle = lock(&world.oracle);
                oracle.stopped(&plan.name, world.start.elapsed(), in_order);
                oracle.excuse(&plan.name, away);
            }
            let away = if lock(&site.state).calm { Duration::ZERO } else { away };
            sleep(away.max(BOOT)).await;
        }
    }

    fn boot(&self, world: &World, address: IpAddr, tasks: &Tasks) -> Machine {
        let state = &mut *lock(&self.state);
        let dice = |state: &mut State, name| Dice::new(state.dice.below(u64::MAX), name);
        let image = state.disk.take().unwrap_or_else(|| sim::Disk::new(0));
        let disk = SimDisk::new(image, dice(state, "disk"), state.wear);
        let gate = Arc::new(Gate::new(CONNECTIONS, 50));
        state.up = Some(Up { disk: disk.clone(), host: None, gate });
        Machine {
            address,
            clock: self.clock.clone(),
            disk,
            network: world.network.clone(),
            names: world.names.clone(),
            dice: Mutex::new(dice(state, "machine")),
            tasks: Arc::clone(tasks),
        }
    }

    /// From its start to its end.
    async fn run(
        &self,
        world: &Arc<World>,
        index: usize,
        machine: Machine,
        orders: &mut mpsc::UnboundedReceiver<Order>,
    ) -> End {
        let disk = machine.disk.clone();
        let running = {
            let start = start(world, index, machine);
            tokio::pin!(start);
            loop {
                tokio::select! {
                    biased;
                    started = &mut start => match started {
                        Ok(running) => break running,
                        Err(why) => {
                            info!(why, "could not start");
                            return End::Unstarted;
                        }
                    },
                    Some(order) = orders.recv() => match order {
                        _ if lock(&self.state).calm && !matches!(order, Order::Last) => {}
                        Order::PowerCut { operations, away } => {
                            lock(&self.state).away = away;
                            disk.crash_in(operations);
                        }
                        Order::Kill { away } | Order::Restart { away } => return End::Killed(away),
                        Order::Last => {}
                    },
                }
            }
        };
        self.ready.notify_one();
        info!(waiting = running.host.relay.len(), "up");
        loop {
            let order = tokio::select! {
                biased;
                order = orders.recv() => order,
                () = sleep(WATCH) => {
                    // What an operator sees: nobody can log in any more.
                    let first = running.host.accounts.accounts().first().map(|account| account.id);
                    let account = mailstore::mailbox::AccountId(first.unwrap_or(1));
                    match running.host.store.find(Actor::Host, account, INBOX).await {
                        Some(_) => {
                            if world.plan.hosts[index].window.is_some() {
                                look_through(&running.host).await;
                            }
                            continue;
                        }
                        None => return End::Store,
                    }
                }
            };
            let calm = lock(&self.state).calm;
            match order {
                Some(Order::Last) | None => {
                    let there = contents(world, index, &running.host).await;
                    if let Some(tell) = lock(&self.tell).take() {
                        let _ = tell.send(there);
                    }
                    return End::Last;
                }
                Some(_) if calm => {}
                Some(Order::PowerCut { operations, away }) => {
                    lock(&self.state).away = away;
                    disk.crash_in(operations);
                }
                Some(Order::Kill { away }) => return End::Killed(away),
                Some(Order::Restart { away }) => {
                    let in_time = stop(world, index, running).await;
                    return if in_time { End::Stopped(away) } else { End::Killed(away) };
                }
            }
        }
    }
}

/// As an operator does who wants to see all of the queue: what is not in memory is read meanwhile.
async fn look_through(host: &Host) {
    let mut after = None;
    loop {
        after = host.relay.page(after, true).await.next;
        if after.is_none() {
            return;
        }
    }
}

/// As `mailhost serve` does it.
async fn start(world: &Arc<World>, index: usize, machine: Machine) -> Result<Running, String> {
    let plan = &world.plan.hosts[index];
    let config = config(world, index)?;
    let tasks = Arc::clone(&machine.tasks);
    let system = Arc::new(machine);
    let limits = mailstore::Limits::default().segment(256 << 10);
    let (store, report) = Store::open(system, &config.mail_dir(), limits, Opening::Usual)
        .await
        .map_err(|error| error.to_string())?;
    info!(
        segments = report.segments,
        batches = report.batches,
        rewritten = report.rewritten,
        "the store is open"
    );
    for damage in &report.damage {
        // The disk of this world keeps what was synced.
        tracing::error!(?damage, "acknowledged mail is damaged; see `mailhost verify`");
    }
    let accounts = Accounts::load(store.clone(), config.hostname.clone(), config.domains.clone())
        .await
        .map_err(|error| error.to_string())?;
    people(world, index, &accounts).await?;
    let relay = Relay::open(store.clone(), &config, None).await.map_err(|error| error.to_string())?;
    let hash = PasswordHash::parse(HASH).map_err(|error| error.to_string())?;
    let authenticator = Authenticator::with(store.shared_system(), 2, hash);
    let patience = config.limits.stop_timeout;
    let host = Arc::new(Host::new(config, None, store, Arc::new(accounts), Arc::new(relay), authenticator));
    let (stop, stopping) = Stop::new();
    let (done, relay) = oneshot::channel();
    let run = Arc::clone(&host.relay).run(Arc::clone(&host.accounts), stopping.clone(), patience);
    let run = async move {
        run.await;
        let _ = done.send(());
    };
    lock(&tasks).spawn(run.in_current_span());
    let sessions = Tasks::default();
    let gate = {
        let state = &mut *lock(&world.sites[index].state);
        let up = state.up.as_mut().ok_or("stopped while starting")?;
        up.host = Some(Arc::clone(&host));
        Arc::clone(&up.gate)
    };
    for (port, service) in [
        (MAIL, Service::Smtp),
        (SUBMISSION, Service::Submission),
        (POP3, Service::Pop3),
        (IMAP, Service::Imap),
        (WEB, Service::Web),
    ] {
        let address = SocketAddr::new(IpAddr::V4(plan.address), port);
        listen(world, address, service, &host, &gate, &stopping, &sessions);
    }
    // The sessions die with the rest.
    let keep = Arc::clone(&sessions);
    let guard = async move {
        let _kill_with_me = Guard(keep);
        std::future::pending::<()>().await;
    };
    lock(&tasks).spawn(guard);
    Ok(Running { host, stop, relay, sessions })
}

/// Ends the sessions of a host when it is dropped.
struct Guard(Tasks);

impl Drop for Guard {
    fn drop(&mut self) {
        lock(&self.0).abort_all();
    }
}

fn listen(
    world: &World,
    address: SocketAddr,
    service: Service,
    host: &Arc<Host>,
    gate: &Arc<Gate>,
    stopping: &Stopping,
    sessions: &Tasks,
) {
    let (host, gate, stopping, sessions) =
        (Arc::clone(host), Arc::clone(gate), stopping.clone(), Arc::clone(sessions));
    let span = Span::current();
    let accept = move |stream, peer: SocketAddr| {
        let mut sessions = lock(&sessions);
        while sessions.try_join_next().is_some() {}
        if let Ok(pass) = gate.enter(peer.ip()) {
            let session = session(Arc::clone(&host), service, stream, peer, stopping.clone());
            let session = async move {
                let _pass = pass;
                session.await;
            };
            sessions.spawn(session.instrument(span.clone()));
        }
    };
    world.network.listen(address, Arc::new(accept));
}

/// Stops in order; false if something did not end in time.
async fn stop(world: &World, index: usize, running: Running) -> bool {
    let Running { host, stop, relay, sessions } = running;
    let address = IpAddr::V4(world.plan.hosts[index].address);
    info!("stopping");
    world.network.close(address);
    stop.request();
    let mut left: JoinSet<()> = std::mem::take(&mut *lock(&sessions));
    let all = async { while left.join_next().await.is_some() {} };
    let patience = host.config.limits.stop_timeout;
    let ended = timeout(patience, all).await.is_ok();
    left.shutdown().await;
    let began = Instant::now();
    let _ = relay.await;
    let relayed = began.elapsed() < patience;
    host.store.close().await;
    ended && relayed
}

fn config(world: &World, index: usize) -> Result<Config, String> {
    let plan = &world.plan.hosts[index];
    let domains: Vec<_> = plan.domains.iter().map(|domain| format!("{domain:?}")).collect();
    let text = format!(
        "hostname = {:?}\ndata_dir = \"data\"\ndomains = [{}]\n\
         [listen]\nsmtp = [\"{}:25\"]\n\
         [auth]\nallow_plaintext = true\n\
         [dns]\nservers = [\"10.53.0.1:53\", \"10.53.0.2:53\"]\n\
         [relay]\nnetworks = [\"10.9.{index}.0/24\"]\nallow_private_addresses = true\n\
         [queue]\nretry = [{}]\n{}\n{}\
         [limits]\nconnections = {CONNECTIONS}\n",
        plan.name,
        domains.join(", "),
        plan.address,
        plan.schedule.retry,
        plan.schedule.text,
        plan.window.map_or_else(String::new, |messages| format!("resident_messages = {messages}\n")),
    );
    Config::parse(&text, Path::new("mail.toml")).map_err(|error| error.to_string())
}

/// Adds whoever is not there yet.
async fn people(world: &World, index: usize, accounts: &Accounts) -> Result<(), String> {
    for user in world.plan.users.iter().filter(|user| user.host == index) {
        match accounts.add(&user.address, None, &SECRETS).await {
            Ok(_) | Err(ChangeError::Exists(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    for (alias, targets) in &world.plan.hosts[index].aliases {
        match accounts.add_alias(alias, targets).await {
            Ok(()) | Err(ChangeError::Exists(_)) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

/// Reads every mailbox.
async fn contents(world: &World, index: usize, host: &Host) -> Contents {
    let mut there = Contents::new();
    for (number, user) in world.plan.users.iter().enumerate().filter(|(_, user)| user.host == index) {
        let account = host.accounts.accounts().into_iter().find(|account| account.address == user.address);
        let inbox = account.and_then(|account| host.accounts.inbox(account.id));
        let Some(inbox) = inbox else {
            lock(&world.oracle).violated(format!("{} has no mailbox any more", user.address));
            continue;
        };
        let Some(snapshot) = host.store.load(Actor::Host, inbox).await else {
            lock(&world.oracle).violated(format!("the mailbox of {} cannot be opened", user.address));
            continue;
        };
        let reader = snapshot.reader();
        for message in snapshot.messages.iter() {
            let mut octets = Vec::new();
            loop {
                match reader.read(&message, octets.len() as u64).await {
                    Ok(slice) if slice.is_empty() => break,
                    Ok(slice) => octets.extend_from_slice(&slice),
                    Err(error) => {
                        let what = format!("a message of {} cannot be read: {error}", user.address);
                        lock(&world.oracle).violated(what);
                        break;
                    }
                }
            }
            let unique_id = format!("{}.{}", snapshot.status.uid_validity, message.uid());
            lock(&world.oracle).seen(number, &unique_id, Copy::parse(&octets));
            there.insert((number, unique_id));
        }
    }
    there
}

/// Of the password of all users, as cheap as it can be.
/// Of [`PASSWORD`]: a hash that costs little, and keys, so that no host makes them at a login. Their salt is seen by nobody.
static SECRETS: LazyLock<Secrets> = LazyLock::new(|| {
    let password = Password::new(PASSWORD.to_owned()).expect("it can be used");
    let hash = PasswordHash::parse(HASH).expect("it is a hash");
    Secrets { hash, scram: Secrets::scram(&password).expect("there are random numbers") }
});
const HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdHNhbHRzYWx0c2FsdA$t5QLzMlfSPLMezb1X/hRw1bKTTpryM1JhqBpLyqseOw";
/// How long a host is away when nobody has said it.
const AWAY: Duration = Duration::from_secs(60);
/// How long a start takes at least.
const BOOT: Duration = Duration::from_secs(2);
/// How often somebody looks whether it still works.
const WATCH: Duration = Duration::from_secs(600);
