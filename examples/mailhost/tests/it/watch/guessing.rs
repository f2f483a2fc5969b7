//! Two hundred addresses guess passwords, and the owner of an account does not notice.

use std::env;
use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mailhost::listener::Service;

use crate::support::{Host, PASSWORD, Site, Wire, base64};

const ANNA: &str = "anna@example.test";
const OWNER: Ipv4Addr = Ipv4Addr::new(127, 0, 3, 1);

/// Logs in, in one of three protocols.
fn log_in(host: &Targets, number: u32, from: Ipv4Addr, name: &str, password: &str) -> Option<bool> {
    let (service, line) = match number % 3 {
        0 => (
            Service::Submission,
            format!("AUTH PLAIN {}", base64(format!("\0{name}\0{password}").as_bytes())),
        ),
        1 => (Service::Pop3, format!("USER {name}")),
        _ => (Service::Imap, format!("a LOGIN {name} \"{password}\"")),
    };
    let mut wire = Wire::connect_from(from, host.0[number as usize % 3]).ok()?;
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
    if service == Service::Submission {
        say("EHLO client.test\r\n")?;
    }
    let mut said = say(&format!("{line}\r\n"))?;
    if service == Service::Pop3 {
        said = say(&format!("PASS {password}\r\n"))?;
    }
    // The maildrop is free again before anybody else wants it.
    wire.try_send(if service == Service::Imap { "z LOGOUT\r\n" } else { "QUIT\r\n" }).ok()?;
    while wire.try_line().is_ok_and(|line| !line.is_empty()) {}
    Some(said.starts_with("235 ") || said.starts_with("+OK") || said.starts_with("a OK"))
}

/// The memory of a host in KiB.
fn resident(host: &Host) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", host.process().as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The addresses of the three.
#[derive(Clone, Copy)]
struct Targets([std::net::SocketAddr; 3]);

#[test]
fn two_hundred_addresses_guess_and_the_owner_still_gets_in_at_once() {
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna"]);
    let host = site.start();
    let targets =
        Targets([Service::Submission, Service::Pop3, Service::Imap].map(|service| host.address(service)));
    for number in 0..3 {
        assert_eq!(log_in(&targets, number, OWNER, ANNA, PASSWORD), Some(true), "from now on known");
    }
    let before = resident(&host);
    let attack = env::var("POSTRIDER_ATTACK_SECONDS").map_or(ATTACK, |text| text.parse().expect("a number"));
    let over = Arc::new(AtomicBool::new(false));
    let guesses = Arc::new(AtomicU32::new(0));
    let attackers: Vec<_> = (0..ADDRESSES)
        .map(|number| {
            let (over, guesses) = (Arc::clone(&over), Arc::clone(&guesses));
            thread::Builder::new()
                .stack_size(256 << 10)
                .spawn(move || {
                    let from = Ipv4Addr::new(127, 0, 1, number);
                    let mut round = u32::from(number);
                    while !over.load(Ordering::Relaxed) {
                        let unknown = format!("user{number}@example.test");
                        let name = if round % 2 == 0 { ANNA } else { &unknown };
                        assert_ne!(log_in(&targets, round / 2, from, name, "a guess"), Some(true));
                        guesses.fetch_add(1, Ordering::Relaxed);
                        round += 1;
                    }
                })
                .unwrap()
        })
        .collect();
    let begun = Instant::now();
    let (mut logins, mut times) = (0, Vec::new());
    while begun.elapsed().as_secs() < attack {
        let asked = Instant::now();
        assert_eq!(log_in(&targets, logins, OWNER, ANNA, PASSWORD), Some(true), "the owner is kept out");
        times.push(asked.elapsed());
        logins += 1;
    }
    over.store(true, Ordering::Relaxed);
    times.sort();
    let (middle, longest) = (times[times.len() / 2], times[times.len() - 1]);
    let (guesses, after) = (guesses.load(Ordering::Relaxed), resident(&host));
    println!(
        "{guesses} guesses in {attack} s; {logins} logins of the owner, median {middle:?}, longest {longest:?}"
    );
    println!("the host had {before} KiB before, and {after} KiB in the end");
    let more = after.saturating_sub(before);
    assert!(longest < Duration::from_secs(5), "{longest:?}");
    // The memory of two checks, and of two hundred sessions.
    assert!(more < 64 << 10, "{more} KiB more");
    // Those who wait for their turn see the end of the host.
    host.kill();
    attackers.into_iter().for_each(|attacker| attacker.join().unwrap());
}

const ADDRESSES: u8 = 200;
/// In seconds, unless `POSTRIDER_ATTACK_SECONDS` says otherwise.
const ATTACK: u64 = 10;
