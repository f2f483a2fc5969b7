//! Two hundred addresses guess passwords, and nobody else notices: not the owner of the account, nor who has a session open.
//!
//! Each run of the tests has a few hundred guesses, and bounds that hold on any machine. How long others wait is measured on demand:
//! `POSTRIDER_GUESSES=10000`, with `--nocapture` and `--release`; that is `cargo xtask bench guessing`.

use std::env;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mailhost::listener::Service;

use crate::support::{Host, PASSWORD, Site, Wire, base64, stuffed};

const ANNA: &str = "anna@example.test";
const OWNER: Ipv4Addr = Ipv4Addr::new(127, 0, 3, 1);

/// The addresses of the three protocols.
#[derive(Clone, Copy)]
struct Targets([SocketAddr; 3]);

/// Logs in, in one of the protocols; whether that succeeded, or `None` if the host did not say.
fn log_in(host: Targets, number: u32, from: Ipv4Addr, login: Login<'_>, wait: Duration) -> Option<bool> {
    let number = number as usize % 3;
    let mut wire = Wire::connect_from(from, host.0[number]).ok()?;
    wire.patience(wait).ok()?;
    let mut say = |line: &str| {
        wire.try_send(line).ok()?;
        loop {
            let reply = String::from_utf8(wire.try_line().ok()?).ok()?;
            if !reply.starts_with("250-") && !reply.starts_with("* CAPABILITY") {
                return (!reply.is_empty()).then_some(reply);
            }
        }
    };
    say("")?;
    if number == 0 {
        say("EHLO client.test\r\n")?;
    }
    let said = match (login, number) {
        (Login::Broken, 2) => say("a AUTHENTICATE PLAIN ****\r\n")?,
        (Login::Broken, _) => say("AUTH PLAIN ****\r\n")?,
        (Login::With(name, password), 0) => {
            say(&format!("AUTH PLAIN {}\r\n", base64(format!("\0{name}\0{password}").as_bytes())))?
        }
        (Login::With(name, password), 1) => {
            say(&format!("USER {name}\r\n"))?;
            say(&format!("PASS {password}\r\n"))?
        }
        (Login::With(name, password), _) => say(&format!("a LOGIN {name} \"{password}\"\r\n"))?,
    };
    // The maildrop is free again before anybody else wants it.
    wire.try_send(if number == 2 { "z LOGOUT\r\n" } else { "QUIT\r\n" }).ok()?;
    while wire.try_line().is_ok_and(|line| !line.is_empty()) {}
    Some(said.starts_with("235 ") || said.starts_with("+OK") || said.starts_with("a OK"))
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

/// What others do at the same time.
struct Others {
    targets: Targets,
    imap: Wire,
    submission: Wire,
    rounds: u32,
    times: [Vec<Duration>; WHAT.len()],
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
        Self { targets, imap, submission, rounds: 0, times: Default::default() }
    }

    fn round(&mut self) {
        let number = self.rounds;
        self.rounds += 1;
        let Self { targets, imap, submission, times, .. } = self;
        let mut measure = |what: usize, job: &mut dyn FnMut()| {
            let begun = Instant::now();
            job();
            times[what].push(begun.elapsed());
        };
        measure(0, &mut || command(imap, "NOOP"));
        measure(1, &mut || command(imap, "UID FETCH 1:20 (FLAGS)"));
        measure(2, &mut || submit(submission, "cleo@example.test"));
        let owner = Login::With(ANNA, PASSWORD);
        let from = |address| log_in(*targets, number, address, owner, MINUTE) == Some(true);
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

/// Guesses until there have been enough, and tells how many there were.
fn attack(
    targets: Targets,
    enough: u32,
    made: &Arc<AtomicU32>,
    over: &Arc<AtomicBool>,
) -> Vec<JoinHandle<()>> {
    let attacker = |number: u8| {
        let (made, over) = (Arc::clone(made), Arc::clone(over));
        let guess = move || {
            let from = Ipv4Addr::new(127, 0, 1, number);
            let unknown = format!("user{number}@example.test");
            let mut round = u32::from(number);
            while !over.load(Ordering::Relaxed) && made.load(Ordering::Relaxed) < enough {
                let login = [Login::With(ANNA, "a guess"), Login::With(&unknown, "a guess"), Login::Broken];
                // Who is made to wait hangs up, and comes again.
                let said = log_in(targets, round / 3, from, login[round as usize % 3], IMPATIENCE);
                assert_ne!(said, Some(true), "a guess was right");
                made.fetch_add(1, Ordering::Relaxed);
                round += 1;
            }
        };
        thread::Builder::new().stack_size(256 << 10).spawn(guess).unwrap()
    };
    (0..ADDRESSES).map(attacker).collect()
}

#[test]
fn two_hundred_addresses_guess_and_others_do_not_notice() {
    let wanted = env::var("POSTRIDER_GUESSES").ok().map(|count| count.parse().expect("a number"));
    let (enough, calm) = wanted.map_or((GUESSES, 8), |guesses| (guesses, 400));
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
    let attackers = attack(targets, enough, &made, &over);
    let (mut most, first) = (before, others.rounds);
    while made.load(Ordering::Relaxed) < enough || others.rounds < first + 8 {
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
    // At a new address the owner waits behind those who guess for the first time: bounded by the throttle, not by this.
    let longest = with[3][2];
    assert!(longest < Duration::from_secs(5), "the owner has waited for {longest:?}");
    let more = most.saturating_sub(before);
    assert!(more < MEMORY, "{more} KiB more");
    // Those who wait for their turn see the end of the host.
    host.kill();
    attackers.into_iter().for_each(|attacker| attacker.join().unwrap());
}

const ADDRESSES: u8 = 200;
/// Unless `POSTRIDER_GUESSES` says otherwise.
const GUESSES: u32 = 600;
/// How long a guesser waits for an answer.
const IMPATIENCE: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// In KiB: two checks take 38 MiB, and each address may leave sessions behind that wait for their turn.
const MEMORY: u64 = 128 << 10;
