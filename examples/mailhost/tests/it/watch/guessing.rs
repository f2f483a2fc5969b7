//! Two hundred addresses guess passwords, and nobody else notices: not the owner of the account, nor who has a session open.
//!
//! Each run of the tests has a few hundred guesses, and bounds that hold on any machine. How long others wait is measured on demand:
//! `POSTRIDER_GUESSES=10000`, with `--nocapture` and `--release`; that is `cargo xtask bench guessing`.

use std::env;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mailhost::listener::Service;
use rustix::process::{Pid, setpriority_process};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpSocket;
use tokio::time::timeout;

use crate::support::{Host, PASSWORD, Site, Wire, base64, stuffed};

const ANNA: &str = "anna@example.test";
const OWNER: Ipv4Addr = Ipv4Addr::new(127, 0, 3, 1);

/// The addresses of the three protocols.
#[derive(Clone, Copy)]
struct Targets([SocketAddr; 3]);

/// What is said in one of the protocols, after its greeting; the answer to the last of it tells whether the login succeeded.
fn dialogue(protocol: usize, login: Login<'_>) -> Vec<String> {
    let plain = |name, password| base64(format!("\0{name}\0{password}").as_bytes());
    let mut lines = match (login, protocol) {
        (Login::Broken, 2) => vec!["a AUTHENTICATE PLAIN ****\r\n".to_owned()],
        (Login::Broken, _) => vec!["AUTH PLAIN ****\r\n".to_owned()],
        (Login::With(name, password), 0) => vec![format!("AUTH PLAIN {}\r\n", plain(name, password))],
        (Login::With(name, password), 1) => {
            vec![format!("USER {name}\r\n"), format!("PASS {password}\r\n")]
        }
        (Login::With(name, password), _) => vec![format!("a LOGIN {name} \"{password}\"\r\n")],
    };
    if protocol == 0 {
        lines.insert(0, "EHLO client.test\r\n".to_owned());
    }
    lines
}

/// Whether more of the answer comes.
fn goes_on(line: &str) -> bool {
    line.starts_with("250-") || line.starts_with("* CAPABILITY")
}

fn is_good(answer: &str) -> bool {
    answer.starts_with("235 ") || answer.starts_with("+OK") || answer.starts_with("a OK")
}

/// What ends a session; the maildrop is free again before anybody else wants it.
const fn end(protocol: usize) -> &'static str {
    if protocol == 2 { "z LOGOUT\r\n" } else { "QUIT\r\n" }
}

/// Logs in, in one of the protocols; whether that succeeded.
fn log_in(host: Targets, number: u32, from: Ipv4Addr, login: Login<'_>) -> bool {
    let protocol = number as usize % 3;
    let mut wire = Wire::connect_from(from, host.0[protocol]).unwrap();
    let mut said = wire.line();
    for line in dialogue(protocol, login) {
        wire.send(line);
        said = wire.line();
        while goes_on(&said) {
            said = wire.line();
        }
    }
    wire.send(end(protocol));
    while wire.try_line().is_ok_and(|line| !line.is_empty()) {}
    is_good(&said)
}

/// The same for a guesser, who hangs up when an answer takes long.
async fn guess(host: Targets, number: u32, from: Ipv4Addr, login: Login<'_>) -> io::Result<bool> {
    let protocol = number as usize % 3;
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    let mut stream = BufStream::new(socket.connect(host.0[protocol]).await?);
    let mut said = String::new();
    timeout(IMPATIENCE, stream.read_line(&mut said)).await??;
    for line in dialogue(protocol, login) {
        stream.write_all(line.as_bytes()).await?;
        stream.flush().await?;
        loop {
            said.clear();
            if timeout(IMPATIENCE, stream.read_line(&mut said)).await?? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if !goes_on(&said) {
                break;
            }
        }
    }
    // What was said counts, however the session ends.
    let _ = stream.write_all(end(protocol).as_bytes()).await;
    let _ = stream.flush().await;
    let _ = timeout(IMPATIENCE, stream.read_to_end(&mut Vec::new())).await;
    Ok(is_good(&said))
}

#[derive(Clone, Copy)]
enum Login<'a> {
    With(&'a str, &'a str),
    /// What is no base64.
    Broken,
}

/// The memory of a host in KiB.
fn resident(host: &Host) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.process().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// How long a host has worked, if all processors did so at once. Linux tells it in hundredths of a second.
fn worked(host: Pid) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", host.as_raw_nonzero())).unwrap();
    // Behind the name, which may have spaces: the time in the program, and in the system for it.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let ticks = fields.split(' ').skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap());
    let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    Duration::from_millis(10 * ticks.sum::<u64>()) / processors as u32
}

/// What others do at the same time.
struct Others {
    host: Pid,
    targets: Targets,
    imap: Wire,
    submission: Wire,
    rounds: u32,
    times: [Vec<Duration>; WHAT.len()],
    /// The longest of each; where other programs keep the processors from the host, how long it would have taken without them.
    longest: [Duration; WHAT.len()],
}

const WHAT: [&str; 5] =
    ["NOOP", "UID FETCH of 20", "a submission", "the owner's login", "the same from a new address"];

impl Others {
    fn new(host: &Host, targets: Targets) -> Self {
        let mut submission = Wire::connect(targets.0[0]);
        submission.expect("220 ");
        submission.say("EHLO client.test", "250-");
        submission.log_in_smtp("ben@example.test");
        for _ in 0..20 {
            submit(&mut submission, "ben@example.test");
        }
        let mut imap = Wire::connect(host.address(Service::Imap));
        imap.expect("* OK");
        command(&mut imap, &format!("LOGIN ben@example.test \"{PASSWORD}\""));
        command(&mut imap, "SELECT INBOX");
        let (times, longest) = Default::default();
        Self { host: host.process(), targets, imap, submission, rounds: 0, times, longest }
    }

    fn round(&mut self) {
        let number = self.rounds;
        self.rounds += 1;
        let Self { host, targets, imap, submission, times, longest, .. } = self;
        let mut measure = |what: usize, job: &mut dyn FnMut()| {
            let (begun, before) = (Instant::now(), worked(*host));
            job();
            let took = begun.elapsed();
            times[what].push(took);
            longest[what] = longest[what].max(took.min(worked(*host) - before));
        };
        measure(0, &mut || command(imap, "NOOP"));
        measure(1, &mut || command(imap, "UID FETCH 1:20 (FLAGS)"));
        measure(2, &mut || submit(submission, "cleo@example.test"));
        let owner = Login::With(ANNA, PASSWORD);
        let from = |address| log_in(*targets, number, address, owner);
        measure(3, &mut || assert!(from(OWNER), "the owner is kept out"));
        if number % 8 == 7 {
            let new = Ipv4Addr::from_bits(Ipv4Addr::new(127, 0, 4, 0).to_bits() + number);
            measure(4, &mut || assert!(from(new), "the owner is kept out at a new address"));
        }
    }

    /// Median, 99th percentile and longest of each.
    fn take(&mut self) -> [[Duration; 3]; WHAT.len()] {
        std::mem::take(&mut self.times).map(|mut times| {
            times.sort();
            let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
            [at(50), at(99), at(100)]
        })
    }
}

fn command(imap: &mut Wire, line: &str) {
    imap.send(format!("a {line}\r\n"));
    loop {
        let said = imap.line();
        if let Some(said) = said.strip_prefix("a ") {
            assert!(said.starts_with("OK"), "{said}");
            return;
        }
    }
}

fn submit(wire: &mut Wire, to: &str) {
    wire.begin("ben@example.test", &[to]);
    wire.send(stuffed(b"From: ben@example.test\r\nSubject: x\r\n\r\nx\r\n"));
    wire.expect("250 2.0.0");
}

/// Guesses until it is over, and tells how many there were. All of them on one thread, which takes little of the processors from
/// the host: they stand for people elsewhere.
fn attack(targets: Targets, made: &Arc<AtomicU32>, over: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (made, over) = (Arc::clone(made), Arc::clone(over));
    thread::spawn(move || {
        setpriority_process(None, 19).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let attackers = (0..ADDRESSES).map(|number| attacker(targets, number, &made, &over));
            join_all(attackers).await;
        });
    })
}

async fn attacker(targets: Targets, number: u8, made: &AtomicU32, over: &AtomicBool) {
    let from = Ipv4Addr::new(127, 0, 1, number);
    let unknown = format!("user{number}@example.test");
    let mut round = u32::from(number);
    while !over.load(Ordering::Relaxed) {
        let login = [Login::With(ANNA, "a guess"), Login::With(&unknown, "a guess"), Login::Broken];
        // Who is made to wait hangs up, and comes again.
        let said = guess(targets, round / 3, from, login[round as usize % 3]).await;
        assert!(!said.is_ok_and(|good| good), "a guess was right");
        made.fetch_add(1, Ordering::Relaxed);
        round += 1;
    }
}

#[test]
fn two_hundred_addresses_guess_and_others_do_not_notice() {
    let wanted = env::var("POSTRIDER_GUESSES").ok().map(|count| count.parse().expect("a number"));
    let (enough, calm, attacked) = wanted.map_or((GUESSES, 8, 8), |guesses| (guesses, 400, 400));
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben", "cleo"]);
    let host = site.start();
    let targets =
        Targets([Service::Submission, Service::Pop3, Service::Imap].map(|service| host.address(service)));
    let mut others = Others::new(&host, targets);
    for _ in 0..calm {
        others.round();
    }
    let (without, before) = (others.take(), resident(&host));
    let (made, over) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let begun = Instant::now();
    let attackers = attack(targets, &made, &over);
    let (mut most, first) = (before, others.rounds);
    while made.load(Ordering::Relaxed) < enough || others.rounds < first + attacked {
        others.round();
        most = most.max(resident(&host));
    }
    let (took, rounds, with) = (begun.elapsed(), others.rounds - first, others.take());
    over.store(true, Ordering::Relaxed);
    println!(
        "{} bad logins from {ADDRESSES} addresses in {took:.0?}, {rounds} rounds of others meanwhile",
        made.load(Ordering::Relaxed)
    );
    println!("median, 99th percentile, longest without and with them; how many times the 99th percentile is");
    for (what, (without, with)) in WHAT.iter().zip(without.iter().zip(&with)) {
        let times = with[1].as_secs_f64() / without[1].as_secs_f64();
        println!("{what:28} {without:9.1?} {with:9.1?} {times:.2}");
    }
    println!("the host had {before} KiB before, {most} KiB at most, {} KiB in the end", resident(&host));
    for (what, longest) in WHAT.iter().zip(others.longest).skip(3) {
        assert!(longest < Duration::from_secs(5), "{what} has taken {longest:?}");
    }
    let more = most.saturating_sub(before);
    assert!(more < MEMORY, "{more} KiB more");
    // Those who wait for their turn see the end of the host.
    host.kill();
    attackers.join().unwrap();
}

const ADDRESSES: u8 = 200;
/// Unless `POSTRIDER_GUESSES` says otherwise.
const GUESSES: u32 = 600;
/// How long a guesser waits for an answer.
const IMPATIENCE: Duration = Duration::from_secs(1);
/// In KiB: on two cores four checks at most take 76 MiB, and each address may leave sessions behind that wait for their turn.
const MEMORY: u64 = 128 << 10;
