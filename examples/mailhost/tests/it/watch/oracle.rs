//! Whether a name exists shows neither in what is answered nor in how much is done nor in how long it takes.
//!
//! Work and texts are compared in each run of the tests. How long it takes is measured on demand, since a machine that is
//! busy with something else fails any bound on it: `POSTRIDER_LOGIN_PAIRS=5000`, with `--nocapture` and `--release`; that is
//! `cargo xtask bench logins`. Passwords cost next to nothing there, so that nothing else is hidden behind them.

use std::env;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailhost::accounts::app_password::{self, AppPassword};
use mailhost::auth::{Password, Secrets};
use mailhost::host::Host;
use mailhost::listener::Service;
use sasl_codec::scram::Verifier;
use tokio::runtime;

use super::inside::{Connection, host};
use crate::support::{Folder, PASSWORD, base64};

/// Equally long; the last one does not exist, and the one before it has as many app passwords as an account can have.
const NAMES: [&str; 3] = ["anna@example.test", "dora@example.test", "hugo@example.test"];

/// Which of the names are compared: one that exists, or two, of which one has app passwords.
const PAIRS: [[&str; 2]; 3] = [[NAMES[0], NAMES[2]], [NAMES[1], NAMES[2]], [NAMES[1], NAMES[0]]];

/// All ways to log in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    /// With `AUTH` or `AUTHENTICATE`, and an initial response.
    Plain(Service),
    Login(Service),
    Scram(Service),
    UserPass,
    ImapLogin,
}

const WAYS: [Way; 11] = [
    Way::Plain(Service::Submission),
    Way::Login(Service::Submission),
    Way::Scram(Service::Submission),
    Way::Plain(Service::Pop3),
    Way::Login(Service::Pop3),
    Way::Scram(Service::Pop3),
    Way::UserPass,
    Way::Plain(Service::Imap),
    Way::Login(Service::Imap),
    Way::Scram(Service::Imap),
    Way::ImapLogin,
];

/// What a login shows to whoever tries it.
#[derive(Debug, Eq, PartialEq)]
struct Shown {
    /// What the host said, without what is fresh in each exchange.
    said: Vec<String>,
    /// How many passwords were hashed.
    checks: u64,
}

impl Way {
    const fn service(self) -> Service {
        match self {
            Self::Plain(service) | Self::Login(service) | Self::Scram(service) => service,
            Self::UserPass => Service::Pop3,
            Self::ImapLogin => Service::Imap,
        }
    }

    /// Tries it, with a wrong password; how long that takes, from the first octet of it to the last of the answer.
    async fn attempt(self, host: &Arc<Host>, from: Ipv4Addr, name: &str) -> (Shown, Duration) {
        let mut wire = Connection::open(host, self.service(), from);
        wire.reply().await;
        if self.service() == Service::Submission {
            wire.send("EHLO client.test").await;
            wire.reply().await;
        }
        let (checks, begun) = (host.authenticator.checks(), Instant::now());
        let mut said = Vec::new();
        let verb = if self.service() == Service::Imap { "a AUTHENTICATE" } else { "AUTH" };
        match self {
            Self::Plain(_) => {
                let response = base64(format!("\0{name}\0not {PASSWORD}").as_bytes());
                said.push(ask(&mut wire, &format!("{verb} PLAIN {response}")).await);
            }
            Self::Login(_) => {
                said.push(ask(&mut wire, &format!("{verb} LOGIN")).await);
                said.push(ask(&mut wire, &base64(name.as_bytes())).await);
                said.push(ask(&mut wire, &base64(format!("not {PASSWORD}").as_bytes())).await);
            }
            Self::Scram(_) => {
                let first = base64(format!("n,,n={name},r=fyko+d2lbbFgONRv9qkxdawL").as_bytes());
                let challenge = ask(&mut wire, &format!("{verb} SCRAM-SHA-256 {first}")).await;
                let (_, challenge) = challenge.split_once(' ').expect("a challenge");
                let challenge = String::from_utf8(STANDARD.decode(challenge).unwrap()).unwrap();
                let (nonce, rest) = challenge.split_once(',').unwrap();
                // The salt is another one for each name, and of the same length.
                said.push(format!("{} {}", rest.len(), rest.rsplit_once(',').unwrap().1));
                let last = base64(format!("c=biws,{nonce},p={}", base64(&[7; 32])).as_bytes());
                said.push(ask(&mut wire, &last).await);
            }
            Self::UserPass => {
                said.push(ask(&mut wire, &format!("USER {name}")).await);
                said.push(ask(&mut wire, &format!("PASS not {PASSWORD}")).await);
            }
            Self::ImapLogin => {
                said.push(ask(&mut wire, &format!("a LOGIN {name} \"not {PASSWORD}\"")).await);
            }
        }
        let took = begun.elapsed();
        (Shown { said, checks: host.authenticator.checks() - checks }, took)
    }
}

async fn ask(wire: &mut Connection, line: &str) -> String {
    wire.send(line).await;
    wire.reply().await
}

#[test]
fn a_name_that_exists_and_one_that_does_not_get_the_same_words_and_the_same_work() {
    let pairs = env::var("POSTRIDER_LOGIN_PAIRS").ok().map(|count| count.parse().expect("a number"));
    let folder = Folder::new();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let host = host(&folder, &["anna", "dora"]).await;
        give_app_passwords(&host, NAMES[1]).await;
        // The waits of the throttle take no time from here on.
        tokio::time::pause();
        let mut told = Vec::new();
        for (way, names) in WAYS.iter().flat_map(|way| PAIRS.map(|names| (*way, names))) {
            let times = compare(&host, way, names, pairs.unwrap_or(6)).await;
            if pairs.is_some() {
                let (t, [one, other], [name, other_name]) = (welch(&times), medians(&times), names);
                let line = format!(
                    "{way:?}, {name} and {other_name}: t = {t:.2}, medians {one:.2} and {other:.2} us"
                );
                println!("{line}");
                told.extend((t.abs() >= 4.5).then_some(line));
            }
        }
        assert!(told.is_empty(), "those names are told apart: {told:#?}");
    });
}

async fn give_app_passwords(host: &Arc<Host>, name: &str) {
    let keys = Secrets::scram(&Password::generate().unwrap()).unwrap();
    let keys: Vec<_> = keys.iter().map(Verifier::encode).collect();
    for number in 0..app_password::MOST {
        let digest = AppPassword::digest_text(&Password::generate().unwrap());
        host.accounts
            .add_app_password(name, &format!("phone-{number}"), &digest, keys.clone())
            .await
            .unwrap();
    }
}

/// Tries it with both names in turn, the one or the other first.
async fn compare(host: &Arc<Host>, way: Way, names: [&str; 2], pairs: u32) -> [Vec<f64>; 2] {
    let mut times = [Vec::new(), Vec::new()];
    // The first ones are slower than all others.
    for pair in 0..pairs + pairs / 10 {
        let from = Ipv4Addr::from_bits(0x7f01_0001 + pair);
        let mut shown = [None, None];
        let mut order = [0, 1];
        if pair.wrapping_mul(0x9e37_79b9) >> 31 == 1 {
            order.reverse();
        }
        for at in order {
            let (what, took) = way.attempt(host, from, names[at]).await;
            shown[at] = Some(what);
            if pair >= pairs / 10 {
                times[at].push(took.as_secs_f64() * 1e6);
            }
        }
        assert_eq!(shown[0], shown[1], "{way:?}");
        let checks = if matches!(way, Way::Scram(_)) { 0 } else { 1 };
        assert_eq!(shown[0].as_ref().unwrap().checks, checks, "{way:?}");
    }
    times
}

/// Welch's t, without the tenth of all that took longest: what else the machine does is in there.
fn welch(times: &[Vec<f64>; 2]) -> f64 {
    let mut all: Vec<f64> = times.iter().flatten().copied().collect();
    all.sort_by(f64::total_cmp);
    let longest = all[all.len() * 9 / 10];
    let [(mean_a, error_a), (mean_b, error_b)] = [0, 1].map(|at| {
        let kept: Vec<f64> = times[at].iter().copied().filter(|time| *time <= longest).collect();
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let variance = kept.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    (mean_a - mean_b) / (error_a + error_b).sqrt()
}

fn medians(times: &[Vec<f64>; 2]) -> [f64; 2] {
    [0, 1].map(|at| {
        let mut times = times[at].clone();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

#[test]
fn the_statistic_finds_what_is_there() {
    let noise = |number: u32| f64::from(number.wrapping_mul(0x9e37_79b9) >> 16) / 6_553.6;
    let times = |more: f64| {
        [(0..5_000).map(noise).collect(), (5_000..10_000).map(|number| noise(number) + more).collect()]
    };
    assert!(welch(&times(0.0)).abs() < 4.5);
    assert!(welch(&times(0.5)).abs() > 4.5);
}
