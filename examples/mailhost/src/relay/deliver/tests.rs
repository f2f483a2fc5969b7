//! Every class of reply at every stage of a delivery, and what the queue makes of it: a scripted next host in memory, a real
//! queue, and tokio's clock, which goes on by itself when everybody waits.
//!
//! What has to come of it is in the tables, which were written from RFC 5321 §3.8, §4.2.1, §4.3.2, §4.5.4.1, §5.1 and §6.1,
//! RFC 3207 §4, RFC 4954 §4 and RFC 7435 §3.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use bytes::BytesMut;
use relay_queue::queue::Told;
use relay_queue::{Address, BodyHandle, Config, Event, Fact, Queue, Report, Route, Schedule};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::time::Instant;

use super::*;
use crate::auth::Password;
use crate::client::{Credentials, Encryption};
use crate::listener::Stop;
use crate::relay::opportunistic_tls;
use crate::wire::Wire;

/// Where a host does something else than it should.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    Greeting,
    Ehlo,
    /// The fall-back of a host that does not know EHLO.
    Helo,
    StartTls,
    EhloTls,
    Auth,
    Mail,
    First,
    Middle,
    Last,
    All,
    Data,
    /// Behind the first line of the message.
    Text,
    Final,
    /// Behind a message that was refused to all.
    Reset,
    Quit,
}

/// What it does there.
#[derive(Clone, Debug)]
struct Manner {
    at: Stage,
    answer: Vec<u8>,
    then: Then,
    pipelining: bool,
    tls: bool,
    /// How many octets it says, and hears, before it is gone.
    octets: (usize, usize),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Then {
    /// It goes on.
    Goes,
    /// It closes the connection.
    Closes,
    /// It says nothing more.
    Waits,
}

/// What has to become of three recipients, each a letter: `d`elivered, put off (`w`aits), `f`ailed, or `u`nknown.
struct Row {
    stage: Stage,
    done: &'static str,
    go_on: &'static str,
    later: &'static str,
    never: &'static str,
    stopping: &'static str,
    /// No whole reply.
    lost: &'static str,
    /// A reply, and the connection is lost: the good one, 4yz, 5yz.
    behind: [&'static str; 3],
}

const fn row(stage: Stage, replies: [&'static str; 6], behind: [&'static str; 3]) -> Row {
    let [done, go_on, later, never, stopping, lost] = replies;
    Row { stage, done, go_on, later, never, stopping, lost, behind }
}

/// Without a login: TLS is welcome and not needed. A host that does not want us at all says nothing of this message, which
/// is tried elsewhere, and again later.
#[rustfmt::skip]
const TABLE: [Row; 13] = [
    //                     2yz    3yz    4yz    5yz    421    lost     behind 2yz, 4yz, 5yz
    row(Stage::Greeting, ["ddd", "www", "www", "www", "www", "www"], ["www", "www", "www"]),
    row(Stage::Ehlo,     ["ddd", "www", "www", "www", "www", "www"], ["www", "www", "www"]),
    row(Stage::Helo,     ["ddd", "www", "www", "www", "www", "www"], ["www", "www", "www"]),
    // RFC 7435 §3: where TLS cannot be had, mail goes in the clear; over another connection, if this one is of no use.
    row(Stage::StartTls, ["ddd", "ddd", "ddd", "ddd", "www", "ddd"], ["ddd", "www", "www"]),
    row(Stage::EhloTls,  ["ddd", "ddd", "www", "www", "www", "ddd"], ["www", "www", "www"]),
    row(Stage::Mail,     ["ddd", "www", "www", "fff", "www", "www"], ["www", "www", "fff"]),
    row(Stage::First,    ["ddd", "www", "wdd", "fdd", "www", "www"], ["www", "www", "fww"]),
    row(Stage::Last,     ["ddd", "www", "ddw", "ddf", "www", "www"], ["www", "www", "wwf"]),
    row(Stage::All,      ["ddd", "www", "www", "fff", "www", "www"], ["www", "www", "fff"]),
    // Here it is 3yz that is good. Behind it the end of the message cannot be written any more; unless the host is only silent,
    // and then nobody knows.
    row(Stage::Data,     ["www", "ddd", "www", "fff", "www", "www"], ["www", "www", "fff"]),
    row(Stage::Final,    ["ddd", "uuu", "www", "fff", "www", "uuu"], ["ddd", "www", "fff"]),
    row(Stage::Reset,    ["fff", "fff", "fff", "fff", "fff", "fff"], ["fff", "fff", "fff"]),
    row(Stage::Quit,     ["ddd", "ddd", "ddd", "ddd", "ddd", "ddd"], ["ddd", "ddd", "ddd"]),
];

/// With a login: without TLS or without the login nothing goes out, and that it is refused is for us to mend.
#[rustfmt::skip]
const WITH_LOGIN: [Row; 5] = [
    row(Stage::Ehlo,     ["www", "www", "www", "www", "www", "www"], ["www", "www", "www"]),
    row(Stage::StartTls, ["ddd", "www", "www", "www", "www", "www"], ["www", "www", "www"]),
    row(Stage::EhloTls,  ["www", "www", "www", "www", "www", "www"], ["www", "www", "www"]),
    row(Stage::Auth,     ["ddd", "www", "www", "www", "www", "www"], ["www", "www", "www"]),
    row(Stage::Mail,     ["ddd", "www", "www", "fff", "www", "www"], ["www", "www", "fff"]),
];

impl Row {
    fn of(&self, code: u16, then: Then) -> &'static str {
        if then != Then::Goes {
            return match code / 100 {
                2 | 3 => self.behind[0],
                4 => self.behind[1],
                _ => self.behind[2],
            };
        }
        match code {
            421 => self.stopping,
            // RFC 5321 §3.2. Without EHLO there is no login.
            500 | 502 if matches!(self.stage, Stage::Ehlo | Stage::EhloTls) => "",
            200..300 => self.done,
            300..400 => self.go_on,
            400..500 => self.later,
            _ => self.never,
        }
    }
}

/// What a host has seen.
#[derive(Clone, Debug, Default)]
struct Seen {
    connections: usize,
    commands: Vec<String>,
    /// How often it may have taken the message, for each recipient.
    copies: BTreeMap<String, u32>,
    /// Something that must not be said in the clear.
    exposed: bool,
    /// What was said, and how many octets it took, those included that were cut off.
    said: Vec<(Stage, usize)>,
    /// How many octets had been heard by then, where they are counted.
    ends: Vec<(Stage, usize)>,
}

/// The hosts of one site, and a queue.
struct World {
    addresses: usize,
    manners: Mutex<[Option<Manner>; 3]>,
    seen: [Arc<Mutex<Seen>>; 3],
    queue: Mutex<Queue>,
    security: Security,
    name: Domain<'static>,
    start: Instant,
    body: Bytes,
    /// How much lies between client and server.
    pipe: usize,
    /// The first host cannot be connected to.
    down: bool,
    /// The body ends in an error.
    damaged: bool,
}

#[derive(Default)]
struct Record {
    facts: Vec<(Duration, Fact)>,
    reports: Vec<Report>,
}

struct Text(Bytes, bool);

impl Body for Text {
    async fn next(&mut self) -> io::Result<Bytes> {
        let length = self.0.len().min(4_096);
        if length == 0 && self.1 {
            return Err(io::Error::other("the disk is damaged"));
        }
        Ok(self.0.split_to(length))
    }
}

impl World {
    fn new(addresses: usize, login: bool) -> Self {
        let config = Config::new("mail.a.test").unwrap().schedule(Schedule::default().jitter(0));
        let credentials =
            Credentials { name: "us".to_owned(), password: Password::new("secret".to_owned()).unwrap() };
        Self {
            addresses,
            manners: Mutex::default(),
            seen: Default::default(),
            queue: Mutex::new(Queue::new(config, 1)),
            security: Security {
                tls: opportunistic_tls().unwrap(),
                encryption: if login { Encryption::Required } else { Encryption::Opportunistic },
                login: login.then(|| Arc::new(credentials)),
            },
            name: Domain::parse("mail.a.test").unwrap().into_owned(),
            start: Instant::now(),
            body: Bytes::from_static(b"Subject: x\r\n\r\n.text\r\n"),
            pipe: 4_096,
            down: false,
            damaged: false,
        }
    }

    fn now(&self) -> Duration {
        START + self.start.elapsed()
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap()
    }

    fn behave(&self, manners: &[Manner]) {
        *self.manners.lock().unwrap() = [0, 1, 2].map(|host| manners.get(host).cloned());
    }

    fn seen(&self, host: usize) -> Seen {
        self.seen[host].lock().unwrap().clone()
    }

    fn copies(&self, to: &str) -> u32 {
        self.seen.iter().filter_map(|seen| seen.lock().unwrap().copies.get(to).copied()).sum()
    }

    fn accept(&self, from: Option<&str>, to: &[&str]) {
        let from = from.map(|from| Address::new(from).unwrap());
        let mut envelope = relay_queue::Envelope::new(from, BodyHandle(1)).size(self.body.len() as u64);
        for to in to {
            envelope = envelope.to(Address::new(to).unwrap());
        }
        let commit = self.queue().accept(self.now(), envelope).unwrap();
        self.queue().handle_durable(commit.id);
    }

    /// Does all that there is to do by now.
    async fn work(&self, record: &mut Record) {
        let (_stop, mut stopping) = Stop::new();
        loop {
            let event = self.queue().poll(self.now());
            match event {
                Some(Event::Commit(commit)) => {
                    record.reports.extend(commit.report);
                    self.queue().handle_durable(commit.id);
                }
                Some(Event::Resolve(domain)) => {
                    let until = self.now() + Duration::from_secs(86_400);
                    self.queue().handle_route(self.now(), &domain, Route::Site { site: "mx".into(), until });
                }
                Some(Event::Attempt(mut attempt)) => {
                    let ending = carry_out(self, &mut attempt, &mut stopping).await.unwrap();
                    self.queue().handle_outcome(self.now(), attempt, ending);
                }
                Some(Event::Fact(fact)) => record.facts.push((self.now(), fact)),
                None => return,
                other => panic!("{other:?}"),
            }
            self.queue().check();
        }
    }

    /// Goes on until nothing is left to do.
    async fn finish(&self, record: &mut Record) {
        loop {
            self.work(record).await;
            if self.queue().is_empty() {
                return;
            }
            let due = self.queue().poll_timeout().expect("what waits has a time");
            tokio::time::sleep_until(self.start + due.saturating_sub(START)).await;
        }
    }
}

impl Dial for World {
    type Stream = DuplexStream;

    async fn dial(&self, address: SocketAddr) -> io::Result<DuplexStream> {
        let host = usize::from(address.port() - 25);
        if host == 0 && self.down {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (near, far) = tokio::io::duplex(self.pipe);
        let manner = self.manners.lock().unwrap()[host].clone();
        let seen = Arc::clone(&self.seen[host]);
        seen.lock().unwrap().connections += 1;
        tokio::spawn(async move { NextHost::new(far, manner, seen).serve().await });
        Ok(near)
    }
}

impl Means for World {
    type Body<'m> = Text;

    fn name(&self) -> &Domain<'static> {
        &self.name
    }

    fn hops(&self, _: &str) -> Vec<Hop> {
        let hop = |number: u16| Hop {
            name: format!("mx{}.b.test", number + 1),
            addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
            port: 25 + number,
        };
        (0..self.addresses as u16).map(hop).collect()
    }

    fn security(&self, _: &Hop) -> Security {
        self.security.clone()
    }

    async fn body(&self, _: &Delivery, _: Option<MessageId>) -> Result<Text, String> {
        Ok(Text(self.body.clone(), self.damaged))
    }

    fn next_delivery(&self, attempt: &mut Attempt) -> bool {
        self.queue().next_delivery(self.now(), attempt)
    }
}

/// The other side of a connection.
struct NextHost {
    wire: Wire<DuplexStream>,
    buffer: BytesMut,
    manner: Option<Manner>,
    seen: Arc<Mutex<Seen>>,
    from: bool,
    recipients: Vec<String>,
    /// How many octets may still be said, and heard.
    left: (usize, usize),
}

impl NextHost {
    fn new(stream: DuplexStream, manner: Option<Manner>, seen: Arc<Mutex<Seen>>) -> Self {
        let (wire, buffer) = (Wire::Plain(stream), BytesMut::new());
        let left = manner.as_ref().map_or((usize::MAX, usize::MAX), |manner| manner.octets);
        Self { wire, buffer, manner, seen, from: false, recipients: Vec::new(), left }
    }

    /// `None` when the client is gone.
    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|octets| octets == b"\r\n") {
                let line = self.buffer.split_to(at + 2);
                return Some(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if self.left.1 == 0 {
                return None;
            }
            // One by one, if they are counted.
            let mut read = BytesMut::new();
            let count = match self.left.1 {
                usize::MAX => self.wire.read(&mut read).await.ok()?,
                _ => {
                    read.extend_from_slice(&[self.wire.read_u8().await.ok()?]);
                    self.left.1 -= 1;
                    1
                }
            };
            if count == 0 {
                return None;
            }
            self.buffer.extend_from_slice(&read);
        }
    }

    /// Answers; the code, or `None` when nothing more is said.
    async fn say(&mut self, stage: Stage, usual: &str) -> Option<u16> {
        let here = self.manner.clone().filter(|manner| {
            let one_of_all = matches!(stage, Stage::First | Stage::Middle | Stage::Last);
            manner.at == stage || (manner.at == Stage::All && one_of_all)
        });
        let answer = here.as_ref().map_or(usual.as_bytes(), |manner| &manner.answer);
        let code = str::from_utf8(answer).ok().and_then(|text| text.get(..3)?.parse().ok());
        // What was no reply is taken for a good one: the worst that can be.
        if stage == Stage::Final && (code.is_none_or(|code: u16| code < 400) || !answer.ends_with(b"\r\n")) {
            self.take();
        }
        let octets = answer.len().min(self.left.0);
        self.left.0 -= if self.left.0 == usize::MAX { 0 } else { octets };
        self.seen.lock().unwrap().said.push((stage, answer.len()));
        self.wire.send(&mut BytesMut::from(&answer[..octets])).await.ok()?;
        if octets < answer.len() {
            return None;
        }
        let last_of_all = |manner: &Manner| manner.at == stage || stage == Stage::Last;
        match here.filter(last_of_all).map_or(Then::Goes, |manner| manner.then) {
            Then::Goes if code == Some(421) => None,
            Then::Goes => code.or(Some(0)),
            Then::Closes => None,
            Then::Waits => {
                while let Some(line) = self.line().await {
                    // Silent, and yet it may have taken what came.
                    if stage == Stage::Data && code == Some(354) && line == "." {
                        self.take();
                    }
                }
                None
            }
        }
    }

    fn heard(&self) -> usize {
        self.manner.as_ref().map_or(0, |manner| manner.octets.1 - self.left.1)
    }

    fn take(&mut self) {
        for to in std::mem::take(&mut self.recipients) {
            *self.seen.lock().unwrap().copies.entry(to).or_insert(0) += 1;
        }
    }

    /// `None` when the session is over.
    async fn serve(mut self) -> Option<()> {
        let manner = self.manner.clone();
        let is = |stage| manner.as_ref().is_some_and(|manner| manner.at == stage);
        let has = |what: fn(&Manner) -> bool| manner.as_ref().is_none_or(what);
        self.say(Stage::Greeting, "220 h\r\n").await?;
        loop {
            let line = self.line().await?;
            let (tls, heard) = (matches!(self.wire, Wire::Tls(_)), self.heard());
            {
                let mut seen = self.seen.lock().unwrap();
                seen.commands.push(line.clone());
                seen.ends.push((Stage::Quit, heard));
                seen.exposed |= !tls && line.starts_with("AUTH");
            }
            let more = if has(|manner| manner.pipelining) { "250-PIPELINING\r\n" } else { "" };
            let path = line.split_once('<').and_then(|(_, rest)| rest.split_once('>')).map(|path| path.0);
            match line.split([' ', ':']).next().unwrap_or("") {
                "EHLO" if is(Stage::Helo) => self.say(Stage::Ehlo, "502 what\r\n").await?,
                "EHLO" if tls => {
                    self.say(Stage::EhloTls, &format!("250-h\r\n{more}250 AUTH PLAIN\r\n")).await?
                }
                "EHLO" => {
                    let starttls = if has(|manner| manner.tls) { "250-STARTTLS\r\n" } else { "" };
                    self.say(Stage::Ehlo, &format!("250-h\r\n{more}{starttls}250 HELP\r\n")).await?
                }
                "HELO" => self.say(Stage::Helo, "250 h\r\n").await?,
                "STARTTLS" => {
                    let code = self.say(Stage::StartTls, "220 go\r\n").await?;
                    if code / 100 == 2 {
                        self.wire.start_tls(Some(&server_tls())).await.ok()?;
                    }
                    code
                }
                "AUTH" => self.say(Stage::Auth, "235 in\r\n").await?,
                "MAIL" => {
                    self.recipients.clear();
                    let code = self.say(Stage::Mail, "250 ok\r\n").await?;
                    self.from = code / 100 == 2;
                    code
                }
                "RCPT" if !self.from => self.say(Stage::Helo, "503 from whom\r\n").await?,
                "RCPT" => {
                    let usual = if is(Stage::Reset) { "550 5.1.1 nobody\r\n" } else { "250 ok\r\n" };
                    let to = path.unwrap_or("").to_owned();
                    let stage = match &*to {
                        "first@b.test" => Stage::First,
                        "last@b.test" => Stage::Last,
                        _ => Stage::Middle,
                    };
                    let code = self.say(stage, usual).await?;
                    if code / 100 == 2 {
                        self.recipients.push(to);
                    }
                    code
                }
                "DATA" if self.recipients.is_empty() => self.say(Stage::Helo, "503 for whom\r\n").await?,
                "DATA" => {
                    let code = self.say(Stage::Data, "354 go\r\n").await?;
                    if code / 100 == 3 {
                        if is(Stage::Text) {
                            self.line().await?;
                            self.say(Stage::Text, "").await?;
                        }
                        while self.line().await? != "." {}
                        let heard = self.heard();
                        self.seen.lock().unwrap().ends.push((Stage::Final, heard));
                        self.say(Stage::Final, "250 taken\r\n").await?;
                    }
                    code
                }
                "RSET" => self.say(Stage::Reset, "250 ok\r\n").await?,
                "QUIT" => {
                    self.say(Stage::Quit, "221 bye\r\n").await?;
                    return None;
                }
                _ => self.say(Stage::Helo, "500 what\r\n").await?,
            };
        }
    }
}

fn server_tls() -> Arc<ServerConfig> {
    static CONFIG: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    let make = || {
        let names = ["mx1.b.test", "mx2.b.test"].map(str::to_owned);
        let pair = rcgen::generate_simple_self_signed(names).unwrap();
        let key = PrivateKeyDer::try_from(pair.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(crate::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![pair.cert.der().clone()], key)
            .unwrap();
        Arc::new(config)
    };
    Arc::clone(CONFIG.get_or_init(make))
}

/// When a try that failed at this age is followed by the next: the ages of the default schedule, and half a wait at least.
fn next_try(age: u64) -> u64 {
    const MINUTES: [u64; 4] = [5, 20, 50, 110];
    let waits = [5, 15, 30, 60];
    let at = MINUTES.iter().position(|at| at * 60 > age).expect("tests end before");
    (MINUTES[at] * 60).max(age + waits[at] * 30)
}

/// The answers that are tried at each stage, with the letters to be expected.
fn answers(row: &Row) -> Vec<(String, Then, &'static str)> {
    let mut all = Vec::new();
    for code in [200, 250, 251, 299, 300, 354, 399, 421, 450, 451, 452, 499, 500, 502, 550, 552, 554, 599] {
        for reply in [format!("{code} 9.9.9 text\r\n"), format!("{code}-more\r\n{code} text\r\n")] {
            let reply = reply.replace("9.9.9", &format!("{}.7.1", code / 100));
            // RFC 5321 §4.5.3.1.10: without a word more, 552 may mean that there are too many recipients.
            let many = row.stage == Stage::Last && reply.ends_with("552 text\r\n");
            let expected = if many { row.later } else { row.of(code, Then::Goes) };
            all.push((reply, Then::Goes, expected));
        }
    }
    let good = if row.stage == Stage::Data { 354 } else { 250 };
    for code in [good, 450, 451, 550, 554] {
        for then in [Then::Closes, Then::Waits] {
            let unknown = code == 354 && then == Then::Waits;
            all.push((format!("{code} text\r\n"), then, if unknown { "uuu" } else { row.of(code, then) }));
        }
    }
    let long = "x".repeat(13_000);
    for broken in [
        "",
        "25",
        "250 ok",
        "250-more\r\n",
        "550 n",
        "junk\r\n",
        "250_ok\r\n",
        "2500\r\n",
        "250 ok\n",
        "250-a\r\n550 b\r\n",
        &long,
    ] {
        for then in [Then::Closes, Then::Waits] {
            all.push((broken.to_owned(), then, row.lost));
        }
    }
    all
}

const TO: [&str; 3] = ["first@b.test", "middle@b.test", "last@b.test"];

/// Runs one message through, and looks at everything.
async fn check(manner: Manner, expected: &str, hosts: usize, sender: bool, login: bool) {
    let case = format!("{manner:?}, {hosts} hosts, sender {sender}");
    let code: Option<u16> = str::from_utf8(&manner.answer)
        .ok()
        .filter(|text| text.ends_with("\r\n"))
        .and_then(|text| text.get(..3)?.parse().ok());
    let world = World::new(hosts, login);
    // Where HELO helps out, the reply to EHLO is not what the mail fails for.
    let old = matches!(manner.at, Stage::Ehlo | Stage::EhloTls) && matches!(code, Some(500 | 502));
    let final_word = manner.then == Then::Goes && !old;
    world.behave(&[manner]);
    world.accept(sender.then_some("anna@a.test"), &TO);
    let mut record = Record::default();
    world.work(&mut record).await;
    assert!(!world.seen(0).exposed, "{case}");

    // Put off by one host, taken by the next: in the same attempt.
    let put_off: Vec<&str> =
        TO.into_iter().zip(expected.chars()).filter(|(_, fate)| *fate == 'w').map(|(to, _)| to).collect();
    let next = world.seen(1);
    let offered: Vec<_> =
        next.commands.iter().filter_map(|line| line.strip_prefix("RCPT TO:<")?.strip_suffix('>')).collect();
    if hosts == 2 {
        assert_eq!(offered, put_off, "{case}");
        assert_eq!(next.connections, usize::from(!put_off.is_empty()), "{case}");
    }
    for (to, fate) in TO.into_iter().zip(expected.chars()) {
        let fate = if fate == 'w' && hosts == 2 { 'd' } else { fate };
        let about = |fact: &Fact| match fact {
            Fact::Delivered { recipient, .. }
            | Fact::Deferred { recipient, .. }
            | Fact::Failed { recipient, .. } => recipient.as_str() == to,
            _ => false,
        };
        let facts: Vec<_> = record.facts.iter().filter(|(_, fact)| about(fact)).collect();
        let [(at, fact)] = facts[..] else { panic!("{case}, {to}: {facts:?}") };
        match (fate, fact) {
            ('d', Fact::Delivered { answer, .. }) => {
                assert_eq!(answer.code().map(|code| code / 100), Some(2), "{case}")
            }
            ('f', Fact::Failed { answer, expired, told, .. }) => {
                let wanted = if sender { Told::Yes } else { Told::NoSender };
                assert_eq!((*expired, *told), (false, wanted), "{case}");
                let answer = answer.as_ref().unwrap();
                assert!(answer.code().is_some_and(|code| code / 100 == 5), "{case}: {answer}");
                assert_eq!(answer.host(), Some("mx1.b.test"), "{case}");
            }
            ('w' | 'u', Fact::Deferred { answer, next, .. }) => {
                let age = |time: Duration| (time - START).as_secs();
                assert_eq!(age(*next), next_try(age(*at)), "{case}: tried at {}", age(*at));
                assert_eq!(answer.host(), Some("mx1.b.test"), "{case}");
                assert_eq!(answer.to_string().contains("may arrive twice"), fate == 'u', "{case}: {answer}");
                if fate == 'w' && final_word && code.is_some_and(|code| code >= 400) {
                    assert_eq!(answer.code(), code, "{case}: {answer}");
                }
            }
            _ => panic!("{case}, {to} should be {fate}: {fact:?}"),
        }
    }
    let count = |letter| expected.chars().filter(|fate| *fate == letter).count();
    assert_eq!(world.queue().counters().doubtful, count('u') as u64, "{case}");
    let failed: Vec<_> =
        TO.into_iter().zip(expected.chars()).filter(|(_, fate)| *fate == 'f').map(|(to, _)| to).collect();
    let told = |reports: &[Report]| {
        assert_eq!(reports.len(), usize::from(sender && !failed.is_empty()), "{case}");
        for report in reports {
            let text = String::from_utf8(report.head.to_vec()).unwrap().replace("\r\n ", " ");
            assert_eq!(report.to.as_str(), "anna@a.test");
            let about: Vec<_> =
                text.lines().filter_map(|line| line.strip_prefix("Final-Recipient: rfc822; ")).collect();
            assert_eq!(about, failed, "{case}: {text}");
            assert_eq!(text.matches("Action: failed\r\n").count(), failed.len(), "{case}: {text}");
            assert_eq!(
                text.matches("Remote-MTA: dns; mx1.b.test\r\n").count(),
                failed.len(),
                "{case}: {text}"
            );
            let code = code.filter(|code| code / 100 == 5).unwrap_or(550);
            let said = text.matches(&format!("Diagnostic-Code: smtp; {code} ")).count();
            let nobody = text.matches("Diagnostic-Code: smtp; 550 5.1.1 nobody\r\n").count();
            assert_eq!(said.max(nobody), failed.len(), "{case}: {text}");
        }
    };
    told(&record.reports);

    // With hosts that do as they should, everything comes to its end, and nothing is told or delivered again.
    world.behave(&[]);
    world.finish(&mut record).await;
    told(&record.reports);
    for (to, fate) in TO.into_iter().zip(expected.chars()) {
        let copies = match fate {
            'u' => 2,
            'f' => 0,
            _ => 1,
        };
        assert_eq!(world.copies(to), copies, "{case}, {to}");
    }
}

async fn run(table: &[Row], login: bool) -> usize {
    let mut count = 0;
    for row in table {
        for (answer, then, expected) in answers(row) {
            for (pipelining, hosts, sender) in
                [(false, 1, true), (true, 1, false), (false, 2, false), (true, 2, true)]
            {
                let in_tls = matches!(row.stage, Stage::StartTls | Stage::EhloTls) || login;
                let manner = Manner {
                    at: row.stage,
                    answer: answer.clone().into_bytes(),
                    then,
                    pipelining,
                    tls: in_tls,
                    octets: (usize::MAX, usize::MAX),
                };
                let helo = if login { "www" } else { "ddd" };
                let expected = if expected.is_empty() { helo } else { expected };
                check(manner, expected, hosts, sender, login).await;
                count += 1;
            }
        }
    }
    count
}

#[tokio::test(start_paused = true)]
async fn every_class_of_reply_at_every_stage_has_its_state_its_retry_and_its_report() {
    let count = run(&TABLE, false).await;
    println!("{count} combinations of stage, reply, end, pipelining, hosts and sender");
}

#[tokio::test(start_paused = true)]
async fn with_a_login_nothing_goes_out_but_under_tls_and_behind_the_login() {
    let count = run(&WITH_LOGIN, true).await;
    println!("{count} combinations of stage, reply, end, pipelining, hosts and sender");
}

impl Manner {
    fn new(at: Stage, answer: &str, then: Then) -> Self {
        let answer = answer.as_bytes().to_vec();
        Self { at, answer, then, pipelining: false, tls: false, octets: (usize::MAX, usize::MAX) }
    }

    fn tls(self) -> Self {
        Self { tls: true, ..self }
    }
}

/// One message to these recipients, from a sender who wants to know.
async fn deliver_once(world: &World, to: &[&str]) -> Record {
    let mut record = Record::default();
    world.accept(Some("anna@a.test"), to);
    world.work(&mut record).await;
    record
}

/// `d`, `w`, `u` or `f` for each of the recipients.
fn fates(record: &Record, to: &[&str]) -> String {
    let fate = |to: &&str| {
        let letter = record.facts.iter().find_map(|(_, fact)| match fact {
            Fact::Delivered { recipient, .. } if recipient.as_str() == *to => Some('d'),
            Fact::Failed { recipient, .. } if recipient.as_str() == *to => Some('f'),
            Fact::Deferred { recipient, answer, .. } if recipient.as_str() == *to => {
                Some(if answer.text().contains("may arrive twice") { 'u' } else { 'w' })
            }
            _ => None,
        });
        letter.unwrap_or('-')
    };
    to.iter().map(fate).collect()
}

/// RFC 3207 §4.2 and RFC 7435 §3: what comes between the 220 and the handshake was put there by somebody else, or by a broken
/// host. Nothing more goes over that connection; but the mail does not wait until it expires either.
#[tokio::test(start_paused = true)]
async fn octets_behind_the_reply_to_starttls_cost_the_connection_and_not_the_mail() {
    for injected in ["x", "\r\n", "250 ok\r\n", "250-h\r\n250 PIPELINING\r\n", "421 bye\r\n"] {
        let manner = || Manner::new(Stage::StartTls, &format!("220 go\r\n{injected}"), Then::Goes).tls();
        let world = World::new(1, false);
        world.behave(&[manner()]);
        let record = deliver_once(&world, &["first@b.test"]).await;
        assert_eq!(fates(&record, &["first@b.test"]), "d", "{injected:?}");
        let seen = world.seen(0);
        let next = ["EHLO mail.a.test", "MAIL FROM:<anna@a.test>", "RCPT TO:<first@b.test>", "DATA"];
        assert_eq!(seen.connections, 2, "{injected:?}");
        assert_eq!(seen.commands, [&["EHLO mail.a.test", "STARTTLS"], &next[..]].concat(), "{injected:?}");

        // A login does without the mail, rather than without TLS.
        let world = World::new(1, true);
        world.behave(&[manner()]);
        let record = deliver_once(&world, &["first@b.test"]).await;
        assert_eq!(fates(&record, &["first@b.test"]), "w", "{injected:?}");
        assert_eq!(world.seen(0).commands, ["EHLO mail.a.test", "STARTTLS"], "{injected:?}");
    }
}

/// A server that gives up on a message closes behind its reply, while we still write: what it said counts, and not that
/// nothing more can be written.
#[tokio::test(start_paused = true)]
async fn a_reply_within_the_message_counts_although_the_rest_cannot_be_written() {
    for (answer, fate) in [
        ("552 5.3.4 too big\r\n", "f"),
        ("554 no\r\n", "f"),
        ("451 4.3.0 not now\r\n", "w"),
        ("421 4.3.2 stopping\r\n", "w"),
        ("250 ok\r\n", "w"),
        ("354 go\r\n", "w"),
        ("junk\r\n", "w"),
        ("55", "w"),
        ("", "w"),
    ] {
        for tls in [false, true] {
            let mut world = World::new(1, false);
            world.body = "a line\r\n".repeat(20_000).into();
            world.behave(&[Manner { tls, ..Manner::new(Stage::Text, answer, Then::Closes) }]);
            let record = deliver_once(&world, &["first@b.test"]).await;
            assert_eq!(fates(&record, &["first@b.test"]), fate, "{answer:?}: {:?}", record.facts);
            let code = answer.get(..3).and_then(|code| code.parse::<u16>().ok()).filter(|code| *code >= 400);
            let said = record.facts.iter().any(|(_, fact)| match fact {
                Fact::Failed { answer, .. } => answer.as_ref().is_some_and(|answer| answer.code() == code),
                Fact::Deferred { answer, .. } => answer.code() == code,
                _ => false,
            });
            assert!(said, "{answer:?}: {:?}", record.facts);
            world.behave(&[]);
            world.finish(&mut Record::default()).await;
            assert_eq!(world.copies("first@b.test"), u32::from(fate == "w"), "{answer:?}");
        }
    }
}

/// TLS holds octets that the pipe had no room for; they have to leave it although nothing new is written.
#[tokio::test(start_paused = true)]
async fn a_long_message_goes_through_a_narrow_pipe_under_tls() {
    for pipe in [64, 1_000, 5_000] {
        let mut world = World::new(1, false);
        world.pipe = pipe;
        world.body = "a line\r\n".repeat(5_000).into();
        let record = deliver_once(&world, &["first@b.test"]).await;
        assert_eq!(fates(&record, &["first@b.test"]), "d", "{:?}", record.facts);
        assert!(world.seen(0).commands.contains(&"STARTTLS".to_owned()));
        assert_eq!(world.start.elapsed(), Duration::ZERO, "nobody had to wait for a time-out");
    }
}

/// The host is gone at each octet that it says; then at each octet that it hears.
#[tokio::test(start_paused = true)]
async fn a_connection_lost_at_any_octet_is_in_doubt_only_where_it_is() {
    let mut count = 0;
    for pipelining in [false, true] {
        let start = |octets| {
            let mut world = World::new(1, false);
            // What is written and not read is in the pipe: no more than one octet.
            world.pipe = 1;
            let manner = Manner::new(Stage::Middle, "550 5.1.1 nobody\r\n", Then::Goes);
            world.behave(&[Manner { pipelining, octets, ..manner }]);
            world
        };
        let most = usize::MAX - 1;
        let world = start((most, most));
        assert_eq!(fates(&deliver_once(&world, &TO).await, &TO), "dfd");
        let whole = world.seen(0);
        let said = |stage| {
            let place = whole.said.iter().position(|(said, _)| *said == stage).expect("it was said");
            whole.said[..=place].iter().map(|(_, octets)| octets).sum::<usize>()
        };
        for octets in 0..=said(Stage::Final) {
            let world = start((octets, most));
            let mut record = deliver_once(&world, &TO).await;
            let expected = if octets >= said(Stage::Final) {
                "dfd"
            } else if octets >= said(Stage::Data) {
                "ufu"
            } else if octets >= said(Stage::Middle) {
                "wfw"
            } else {
                "www"
            };
            assert_eq!(fates(&record, &TO), expected, "{octets} octets said: {:?}", record.facts);
            world.behave(&[]);
            world.finish(&mut record).await;
            let copies = if expected == "ufu" { 2 } else { 1 };
            assert_eq!([world.copies(TO[0]), world.copies(TO[2])], [copies; 2], "{octets} octets said");
            assert_eq!(record.reports.len(), usize::from(expected != "www"), "{octets} octets said");
            count += 1;
        }
        let end = whole.ends.iter().find(|(stage, _)| *stage == Stage::Final).expect("there is an end").1;
        let refused = whole.commands.iter().position(|line| line.contains("middle")).expect("it was offered");
        let refused = whole.ends[refused].1;
        for octets in 0..=end {
            let world = start((most, octets));
            let mut record = deliver_once(&world, &TO).await;
            let expected = if octets == end {
                "dfd"
            } else if octets >= refused {
                "wfw"
            } else {
                "www"
            };
            assert_eq!(fates(&record, &TO), expected, "{octets} octets heard: {:?}", record.facts);
            world.behave(&[]);
            world.finish(&mut record).await;
            assert_eq!([world.copies(TO[0]), world.copies(TO[2])], [1; 2], "{octets} octets heard");
            count += 1;
        }
    }
    println!("{count} cuts");
}

/// RFC 5321 §5.1 asks for two addresses at least. Here it is two sessions at most, for a message that nobody wants today.
#[tokio::test(start_paused = true)]
async fn a_message_is_offered_in_two_sessions_at_most() {
    for answer in ["450 not now\r\n", "421 not now\r\n", "junk\r\n"] {
        let world = World::new(3, false);
        world.behave(&[(); 3].map(|()| Manner::new(Stage::Mail, answer, Then::Goes)));
        let record = deliver_once(&world, &TO).await;
        assert_eq!(fates(&record, &TO), "www");
        assert_eq!([0, 1, 2].map(|host| world.seen(host).connections), [1, 1, 0], "{answer:?}");
    }
    // Hosts that take no connection, or do not want us, are none of these.
    let mut world = World::new(3, false);
    world.down = true;
    world.behave(&[(); 2].map(|()| Manner::new(Stage::Greeting, "554 no\r\n", Then::Goes)));
    assert_eq!(fates(&deliver_once(&world, &TO).await, &TO), "ddd");
    assert_eq!([0, 1, 2].map(|host| world.seen(host).connections), [0, 1, 1]);
}

/// The host that is to be preferred stays so for the next message, though the last was put off there.
// Ledger: 5321-5.1-13
#[tokio::test(start_paused = true)]
async fn the_next_message_goes_to_the_preferred_host_again() {
    let world = World::new(2, false);
    world.behave(&[Manner::new(Stage::First, "450 not now\r\n", Then::Goes)]);
    world.accept(None, &["first@b.test", "middle@b.test"]);
    world.accept(None, &["first@b.test", "middle@b.test"]);
    let mut record = Record::default();
    world.work(&mut record).await;
    assert_eq!(world.seen(0).connections, 1, "one for both");
    assert_eq!(world.seen(1).connections, 2);
    let rcpt = |host| world.seen(host).commands.iter().filter(|line| line.starts_with("RCPT")).count();
    assert_eq!([rcpt(0), rcpt(1)], [4, 2]);
    assert_eq!([world.copies("first@b.test"), world.copies("middle@b.test")], [2, 2]);
    assert!(world.queue().is_empty());
}

/// A reply that nobody asked for would be taken for the reply to the next command, and the refusal of one recipient for
/// that of another.
#[tokio::test(start_paused = true)]
async fn what_a_host_says_unasked_is_never_the_reply_to_the_next_message() {
    for extra in
        ["250 ok\r\n", "550 no\r\n", "421 bye\r\n", "25", "250-x\r\n", "\r\n", "550 no\r\n550 no\r\n"]
    {
        let world = World::new(2, false);
        world.behave(&[Manner::new(Stage::Final, &format!("250 taken\r\n{extra}"), Then::Goes)]);
        world.accept(Some("anna@a.test"), &["first@b.test"]);
        world.accept(Some("anna@a.test"), &["last@b.test"]);
        let mut record = Record::default();
        world.work(&mut record).await;
        world.finish(&mut record).await;
        assert_eq!(record.reports.len(), 0, "{extra:?}");
        assert_eq!([world.copies("first@b.test"), world.copies("last@b.test")], [1, 1], "{extra:?}");
        let rcpt =
            |host: usize| world.seen(host).commands.iter().filter(|line| line.starts_with("RCPT")).count();
        let connections = world.seen(0).connections + world.seen(1).connections;
        assert_eq!(
            (rcpt(0) + rcpt(1), connections),
            (2, 2),
            "{extra:?}: the second goes over another connection"
        );
    }
}

/// What is put off to the end comes back with what the other host said last.
#[tokio::test(start_paused = true)]
async fn what_is_put_off_until_it_expires_is_reported_once_with_the_last_reply() {
    for (sender, reports) in [(Some("anna@a.test"), 2), (None, 0)] {
        let world = World::new(1, false);
        world.behave(&[Manner::new(Stage::Mail, "451 4.7.1 come back later\r\n", Then::Goes)]);
        world.accept(sender, &TO);
        let mut record = Record::default();
        world.finish(&mut record).await;
        // One warning, and the end.
        assert_eq!(record.reports.len(), reports);
        for (report, action) in record.reports.iter().zip(["delayed", "failed"]) {
            let text = String::from_utf8(report.head.to_vec()).unwrap();
            assert_eq!(text.matches(&format!("Action: {action}\r\nStatus: 4.7.1\r\n")).count(), 3, "{text}");
            assert_eq!(
                text.matches("Diagnostic-Code: smtp; 451 4.7.1 come back later\r\n").count(),
                3,
                "{text}"
            );
        }
        let (last, _) = record.facts.iter().rfind(|(_, fact)| matches!(fact, Fact::Failed { .. })).unwrap();
        assert_eq!(*last, START + Duration::from_secs(30 * 3_600));
    }
}

/// What fails on our side is no fault of the other's, and no other host would help.
#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_read_is_never_ended_and_blames_nobody() {
    let mut world = World::new(2, false);
    world.damaged = true;
    let record = deliver_once(&world, &TO).await;
    assert_eq!(fates(&record, &TO), "www");
    assert_eq!([world.seen(0).connections, world.seen(1).connections], [1, 0]);
    for (_, fact) in &record.facts {
        if let Fact::Deferred { answer, .. } = fact {
            assert_eq!(answer.to_string(), "4.3.0 the disk is damaged");
        }
    }
    world.damaged = false;
    world.finish(&mut Record::default()).await;
    assert_eq!(TO.map(|to| world.copies(to)), [1; 3]);
}

/// RFC 1870 §6.1: it is not tried; and the report does not put a reply into the other host's mouth.
#[tokio::test(start_paused = true)]
async fn a_message_that_is_too_big_for_a_host_is_returned_in_our_own_words() {
    let world = World::new(1, false);
    world.behave(&[Manner::new(Stage::Ehlo, "250-h\r\n250 SIZE 10\r\n", Then::Goes)]);
    let record = deliver_once(&world, &TO).await;
    assert_eq!(fates(&record, &TO), "fff");
    assert_eq!(world.seen(0).commands, ["EHLO mail.a.test"]);
    let [report] = &record.reports[..] else { panic!("{:?}", record.reports) };
    let text = String::from_utf8(report.head.to_vec()).unwrap();
    assert!(
        text.contains("Status: 5.3.4\r\nDiagnostic-Code: x-postrider; message larger than the 10 octets"),
        "{text}"
    );
    assert!(!text.contains("Remote-MTA"), "{text}");
}

const START: Duration = Duration::from_secs(1_800_000_000);

#[test]
fn numbers_of_the_system_are_not_for_people() {
    let refused = io::Error::from_raw_os_error(111).to_string();
    assert!(refused.ends_with(" (os error 111)"), "{refused}");
    let answer = here(Status::new(4, 4, 1), &format!("192.0.2.1:25: {refused}")).by("mx.y.test").to_string();
    assert!(answer.contains("192.0.2.1:25: Connection refused") && !answer.contains("os error"), "{answer}");
    for (said, told) in [
        ("a (os error 5), b (os error 104)", "a, b"),
        ("a (os error 5) (os error 6)", "a"),
        ("what (os error x) says", "what (os error x) says"),
        ("cut (os error 1", "cut (os error 1"),
        (" (os error ", " (os error "),
    ] {
        assert_eq!(without_numbers(said), told);
    }
}
