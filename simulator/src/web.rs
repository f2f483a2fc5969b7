//! A message that is sent on the web while the host fails at one moment after the other: it goes out as a whole or not at all, and
//! who presses the button once more sends it once.
//!
//! The host is the one of the mail worlds, with its disk and its network; the browser is a few lines, and has no script.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use mailhost::host::Host;
use mailstore::Actor;
use mailstore::mailbox::AccountId;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::dice::Dice;
use crate::hosts::{Order, Site};
use crate::invariants::Oracle;
use crate::machine::Wear;
use crate::names::{Entry, Fault};
use crate::network::{Weather, lock};
use crate::panics;
use crate::plan::{HostPlan, Plan, Schedule, User};
use crate::users::PASSWORD;
use crate::world::{Faults, World};

/// What has come of a run.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was broken.
    pub violations: Vec<String>,
    /// What was counted.
    pub counts: Counts,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Power cuts in the midst of a disk operation while a message was being sent.
    pub power: u64,
    /// Kills while one was being sent.
    pub kills: u64,
    /// Messages that were sent on a disk that failed.
    pub failing: u64,
    /// Messages that had been sent when the host was back.
    pub whole: u64,
    /// Those that had not.
    pub nothing: u64,
    /// Browsers that were told that it was sent.
    pub told: u64,
    /// Browsers that had no answer.
    pub unanswered: u64,
}

/// Where a message is, by how often.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Seen {
    drafts: usize,
    sent: usize,
    inbox: usize,
    queued: usize,
}

/// What befalls the host.
#[derive(Clone, Copy, Debug)]
enum Blow {
    /// It loses power in the midst of the disk operation behind so many others.
    Power(u64),
    /// It is killed after so many microseconds.
    Kill(u64),
    /// Its disk fails now and then.
    Disk,
}

/// What the browser has heard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Heard {
    Sent,
    SentAgain,
    /// That it was not sent, or a page that says something else.
    Not,
    /// That nobody knows.
    Unknown,
    Nothing,
}

/// Runs to its end.
pub fn run(seed: u64) -> Outcome {
    let runtime = crate::runtime();
    let plan = Arc::new(plan(seed));
    let oracle = Arc::new(Mutex::new(Oracle::new(Arc::clone(&plan))));
    let mut outcome = runtime.block_on(live(plan, Arc::clone(&oracle)));
    drop(runtime);
    outcome.violations.extend(lock(&oracle).violations().iter().cloned());
    outcome.violations.extend(panics::take().into_iter().map(|panic| format!("a panic: {panic}")));
    outcome
}

/// One host, two accounts, and a domain that cannot be looked up, so that what goes there stays in the queue.
fn plan(seed: u64) -> Plan {
    let mut dice = Dice::new(seed, "web plan");
    let schedule =
        Schedule { retry: "\"1h\"", expire: Duration::from_secs(108_000), text: "expire = \"30h\"" };
    let broken = Entry { fault: Some(Fault::ServFail), ..Entry::default() };
    Plan {
        options: crate::Options { seed, hosts: 1, days: 1 },
        storm: 0,
        hosts: vec![HostPlan::alone(schedule)],
        users: vec![User::alone(1, "anna"), User::alone(2, "ben")],
        names: BTreeMap::from([("broken.test".to_owned(), broken)]),
        weather: Weather { latency: Duration::from_millis(2), ..Weather::default() },
        wear: Wear { latency: Duration::from_millis(*dice.pick(&[0, 1, 5])), ..Wear::default() },
        events: Vec::new(),
    }
}

async fn live(plan: Arc<Plan>, oracle: Arc<Mutex<Oracle>>) -> Outcome {
    let mut dice = Dice::new(plan.options.seed, "web trouble");
    let world = Arc::new(World::new(plan, oracle));
    let mut tasks = JoinSet::new();
    tasks.spawn(Site::live(Arc::clone(&world), 0));
    world.sites[0].ready().await;
    let mut outcome = Outcome::default();
    let mut round = 0;
    for large in [false, true] {
        // As long as there are operations to be cut off.
        for operation in 0..OPERATIONS {
            round += 1;
            if !one(&world, round, large, Blow::Power(operation), &mut outcome).await {
                break;
            }
        }
        for _ in 0..KILLS {
            round += 1;
            let moment = dice.below(12_000);
            one(&world, round, large, Blow::Kill(moment), &mut outcome).await;
        }
        for _ in 0..FAILURES {
            round += 1;
            one(&world, round, large, Blow::Disk, &mut outcome).await;
        }
    }
    tasks.shutdown().await;
    outcome
}

/// Writes a message, sends it into a blow, looks, presses once more, and looks again. False if the blow came too late to hit anything.
async fn one(world: &Arc<World>, round: u64, large: bool, blow: Blow, outcome: &mut Outcome) -> bool {
    let site = &world.sites[0];
    let mut wrong =
        |what: String| outcome.violations.push(format!("round {round}, {blow:?}, large {large}: {what}"));
    let page = match written(world, round, large).await {
        Ok(page) => page,
        Err(error) => {
            wrong(format!("no draft could be written: {error}"));
            return false;
        }
    };
    let (browser, form) = page;
    let counts = &mut outcome.counts;
    match blow {
        Blow::Power(operations) => site.order(Order::PowerCut { operations, away: AWAY }),
        Blow::Kill(_) => {}
        Blow::Disk => {
            counts.failing += 1;
            site.set_wear(Wear { errors: 1_500, ..world.plan.wear });
        }
    }
    let cuts_before = cuts(site);
    // So that the order has come.
    sleep(Duration::from_millis(1)).await;
    let send = async { browser.post(world, &form, None, "send").await };
    let (heard, hit) = match blow {
        Blow::Kill(moment) => {
            tokio::pin!(send);
            tokio::select! {
                biased;
                answer = &mut send => (heard(answer), false),
                () = sleep(Duration::from_micros(moment)) => {
                    site.order(Order::Kill { away: AWAY });
                    (heard(send.await), true)
                }
            }
        }
        Blow::Power(_) => {
            let heard = heard(send.await);
            sleep(Duration::from_millis(20)).await;
            (heard, cuts(site) > cuts_before)
        }
        Blow::Disk => (heard(send.await), false),
    };
    site.set_wear(world.plan.wear);
    match blow {
        Blow::Power(_) if hit => counts.power += 1,
        Blow::Kill(_) if hit => counts.kills += 1,
        _ => {}
    }
    if site.host().is_some() && !matches!(blow, Blow::Kill(_) if hit) {
        site.order(Order::Kill { away: AWAY });
        sleep(Duration::from_millis(1)).await;
    }
    let Some(host) = back(site).await else {
        outcome.violations.push(format!("round {round}: the host does not come back"));
        return false;
    };
    let before = Seen::of(&host, round).await;
    counts.told += u64::from(heard == Heard::Sent);
    counts.unanswered += u64::from(heard == Heard::Nothing);
    counts.whole += u64::from(before == AFTER);
    counts.nothing += u64::from(before == BEFORE);
    let mut wrong =
        |what: String| outcome.violations.push(format!("round {round}, {blow:?}, large {large}: {what}"));
    let right = match heard {
        Heard::Sent => before == AFTER,
        Heard::Not => before == BEFORE,
        Heard::Nothing | Heard::Unknown => before == AFTER || before == BEFORE,
        Heard::SentAgain => false,
    };
    if !right {
        wrong(format!("the browser heard {heard:?}, and there is {before:?}"));
    }
    let pressed = press_again(world, &form).await;
    let expected = if before == AFTER { Heard::SentAgain } else { Heard::Sent };
    if pressed.as_ref().ok() != Some(&expected) {
        wrong(format!("there was {before:?}, and pressed once more, it says {pressed:?}"));
    }
    let after = Seen::of(&host, round).await;
    if after != AFTER {
        wrong(format!("pressed once more, there is {after:?}"));
    }
    hit
}

/// How often the host has lost power.
fn cuts(site: &Site) -> u64 {
    let mut faults = Faults::default();
    site.add_to(&mut faults);
    faults.hosts.power
}

/// Signs in and writes a draft; the form of its page.
async fn written(world: &World, round: u64, large: bool) -> io::Result<(Browser, Form)> {
    let browser = Browser::sign_in(world).await?;
    let mut form = browser.form(world, "/compose").await?;
    form.insert("to".to_owned(), format!("ben@d0.test, {}", queued(round)));
    form.insert("subject".to_owned(), subject(round));
    form.insert("text".to_owned(), "words\n".repeat(20));
    let file = vec![b'x'; 120 << 10];
    let (file, button) = if large { (Some(&file[..]), "attach") } else { (None, "save") };
    let saved = browser.post(world, &form, file, button).await?;
    let place =
        saved.field("location").ok_or_else(|| io::Error::other(format!("not saved: {}", saved.head)))?;
    let form = browser.form(world, place).await?;
    Ok((browser, form))
}

/// What somebody does who has had no answer: signs in, sends the same page, and then the one that comes back.
async fn press_again(world: &World, form: &Form) -> io::Result<Heard> {
    let browser = Browser::sign_in(world).await?;
    let back = browser.post(world, form, None, "send").await?;
    if back.status != 403 {
        return Err(io::Error::other(format!(
            "a page of an earlier session is answered with {}",
            back.status
        )));
    }
    let form = fields(&back.body);
    Ok(heard(browser.post(world, &form, None, "send").await))
}

fn heard(answer: io::Result<Answer>) -> Heard {
    let Ok(answer) = answer else { return Heard::Nothing };
    match answer.field("location") {
        Some(place) if place.ends_with("/outcome?sent=now") => Heard::Sent,
        Some(place) if place.ends_with("/outcome?sent=again") => Heard::SentAgain,
        _ if answer.body.contains("nobody knows whether") => Heard::Unknown,
        _ => Heard::Not,
    }
}

/// The host, when it is there again and knows all of its queue.
async fn back(site: &Site) -> Option<Arc<Host>> {
    for _ in 0..1_000 {
        if site.waiting().is_some()
            && let Some(host) = site.host()
        {
            return Some(host);
        }
        sleep(Duration::from_millis(500)).await;
    }
    None
}

fn subject(round: u64) -> String {
    format!("round {round} of them")
}

fn queued(round: u64) -> String {
    format!("r{round}x@broken.test")
}

impl Seen {
    async fn of(host: &Host, round: u64) -> Self {
        let line = format!("\r\nSubject: {}\r\n", subject(round));
        let mut seen = Self::default();
        for account in host.accounts.accounts() {
            for folder in host.store.mailboxes(Actor::Host, Some(AccountId(account.id))).await {
                let Some(snapshot) = host.store.load(Actor::Host, folder.id).await else { continue };
                let reader = snapshot.reader();
                let mut count = 0;
                for message in snapshot.messages.iter() {
                    // What stands above a delivery, and then the message itself, are read apart.
                    let mut octets = Vec::new();
                    while let Ok(slice) = reader.read(&message, octets.len() as u64).await
                        && !slice.is_empty()
                        && octets.len() < HEADER
                    {
                        octets.extend_from_slice(&slice[..slice.len().min(HEADER)]);
                    }
                    count += usize::from(octets.windows(line.len()).any(|window| window == line.as_bytes()));
                }
                match &*folder.name {
                    "Drafts" => seen.drafts += count,
                    "Sent" => seen.sent += count,
                    // A report would quote it.
                    _ if account.address.starts_with("ben@") => seen.inbox += count,
                    _ => {}
                }
            }
        }
        let (address, mut after) = (queued(round), None);
        loop {
            let page = host.relay.page(after, false).await;
            let lines = page.messages.iter().flat_map(|message| message.recipients.iter().flatten());
            seen.queued += lines.filter(|line| line.starts_with(&address)).count();
            after = page.next;
            if after.is_none() {
                return seen;
            }
        }
    }
}

/// The fields of a form.
type Form = BTreeMap<String, String>;

/// A browser behind its sign-in.
struct Browser {
    cookies: BTreeMap<String, String>,
}

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl Browser {
    async fn sign_in(world: &World) -> io::Result<Self> {
        let mut this = Self { cookies: BTreeMap::new() };
        let page = this.ask(world, "GET", "/sign-in", "text/plain", b"").await?;
        this.keep(&page);
        let seal = fields(&page.body).remove("seal").unwrap_or_default();
        let password = PASSWORD.replace(' ', "+");
        let form = format!("username=anna%40d0.test&password={password}&then=&seal={seal}");
        let answer =
            this.ask(world, "POST", "/sign-in", "application/x-www-form-urlencoded", form.as_bytes()).await?;
        if answer.status != 303 {
            return Err(io::Error::other(format!("not signed in: {}", answer.head)));
        }
        this.keep(&answer);
        Ok(this)
    }

    fn keep(&mut self, answer: &Answer) {
        for line in answer.head.lines().filter_map(|line| line.strip_prefix("set-cookie: ")) {
            if let Some((name, value)) = line.split(';').next().and_then(|pair| pair.split_once('=')) {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The form of a page.
    async fn form(&self, world: &World, path: &str) -> io::Result<Form> {
        let page = self.ask(world, "GET", path, "text/plain", b"").await?;
        if page.status == 200 { Ok(fields(&page.body)) } else { Err(io::Error::other(page.head)) }
    }

    async fn post(
        &self,
        world: &World,
        form: &Form,
        file: Option<&[u8]>,
        button: &str,
    ) -> io::Result<Answer> {
        let mut body = Vec::new();
        let mut add = |head: &str, octets: &[u8]| {
            let head = format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(octets);
            body.extend_from_slice(b"\r\n");
        };
        for (name, value) in form {
            add(&format!("name=\"{name}\""), value.as_bytes());
        }
        if let Some(octets) = file {
            add("name=\"file\"; filename=\"file.bin\"", octets);
        }
        add("name=\"do\"", button.as_bytes());
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        let kind = format!("multipart/form-data; boundary={BOUNDARY}");
        self.ask(world, "POST", "/compose", &kind, &body).await
    }

    async fn ask(
        &self,
        world: &World,
        method: &str,
        path: &str,
        kind: &str,
        body: &[u8],
    ) -> io::Result<Answer> {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: mx0.test\r\nCookie: {}\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            cookies.join("; "),
            body.len()
        );
        let talk = async {
            let from = IpAddr::V4(world.plan.users[0].machine);
            let mut stream = world.network.connect(from, SocketAddr::new(IpAddr::V4(ADDRESS), WEB)).await?;
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body).await?;
            stream.flush().await?;
            let mut octets = Vec::new();
            // What came before the connection was lost is an answer if it has a head.
            let ended = stream.read_to_end(&mut octets).await;
            let text = String::from_utf8_lossy(&octets).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else {
                ended?;
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status = status.ok_or_else(|| io::Error::other("no status"))?;
            Ok(Answer { status, head: head.replace("\r\n", "\n"), body: body.to_owned() })
        };
        timeout(PATIENCE, talk).await.map_err(io::Error::from).flatten()
    }
}

/// The fields of the form in a page.
fn fields(page: &str) -> Form {
    let mut form = Form::new();
    let plain = |text: &str| {
        text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
    };
    for tag in page.split("<input").skip(1) {
        let tag = tag.split('>').next().unwrap_or_default();
        let of = |name: &str| Some(plain(tag.split_once(&format!(" {name}=\""))?.1.split_once('"')?.0));
        if let (Some(name), Some(value)) = (of("name"), of("value")) {
            form.entry(name).or_insert(value);
        }
    }
    if let Some((_, rest)) = page.split_once("<textarea")
        && let Some((text, _)) = rest.split_once('>').and_then(|(_, rest)| rest.split_once("</textarea>"))
    {
        form.insert("text".to_owned(), plain(text.strip_prefix('\n').unwrap_or(text)));
    }
    form
}

/// Nothing was done.
const BEFORE: Seen = Seen { drafts: 1, sent: 0, inbox: 0, queued: 0 };
/// All was done.
const AFTER: Seen = Seen { drafts: 0, sent: 1, inbox: 1, queued: 1 };
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
/// Octets in which the header of a message ends.
const HEADER: usize = 4 << 10;
/// Where pages are.
pub const WEB: u16 = 80;
const BOUNDARY: &str = "boundary-of-the-form";
const AWAY: Duration = Duration::from_secs(1);
/// How long a browser waits.
const PATIENCE: Duration = Duration::from_secs(120);
/// More than sending a message takes.
const OPERATIONS: u64 = 60;
const KILLS: u64 = 12;
const FAILURES: u64 = 12;
