//! Mail for others: two hosts, a real DNS server between them, and destinations that misbehave.

mod expiry;
mod failures;
mod forward;
mod hostile;
mod knot;
mod loops;
mod mx;
mod operator;
mod outage;
mod policy;
mod sink;
mod story;
mod tls;
mod window;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use mailhost::listener::Service;

pub(crate) use self::knot::Knot;
pub(crate) use self::sink::{Manner, Sink};
use crate::support::{DEADLINE, Host, Site, Wire, run};

/// Where all mail goes: each destination has an address of its own, so that no two tests meet.
pub(crate) const PORT: u16 = 2525;
pub(crate) const PRIVATE: &str = "allow_private_addresses = true\n";
const REPORT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/python/relay_report.py");

/// An address of this machine that nobody else uses.
pub(crate) fn loopback() -> IpAddr {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed) as u8;
    let [.., high, low] = process::id().to_be_bytes();
    Ipv4Addr::new(127, high | 0x80, low, number).into()
}

/// A silent DNS server, for hosts that are to have none.
pub(crate) fn no_dns() -> SocketAddr {
    SocketAddr::new(loopback(), 53)
}

/// The records of a domain with one host.
pub(crate) fn mx(domain: &str, address: IpAddr) -> String {
    format!("{domain}. MX 10 mail.{domain}.\nmail.{domain}. A {address}\n")
}

/// A host mail.`name`.test for `name`.test, whose SMTP is at this address, with these lines from [relay] on.
pub(crate) fn site(name: &str, smtp: IpAddr, dns: SocketAddr, relay: &str, accounts: &[&str]) -> Site {
    let site = Site::new("");
    configure(&site, name, smtp, dns, relay);
    for account in accounts {
        site.does(&format!("account add {account}@{name}.test --password-stdin"));
    }
    site
}

pub(crate) fn configure(site: &Site, name: &str, smtp: IpAddr, dns: SocketAddr, relay: &str) {
    let others: String = Service::ALL
        .iter()
        .filter(|service| **service != Service::Smtp)
        .map(|service| format!("{service} = [\"127.0.0.1:0\"]\n"))
        .collect();
    let text = format!(
        "hostname = \"mail.{name}.test\"\ndata_dir = \"data\"\ndomains = [\"{name}.test\"]\n[listen]\n\
         smtp = [\"{smtp}:{PORT}\"]\n{others}[auth]\nallow_plaintext = true\n[dns]\nservers = [\"{dns}\"]\n\
         [relay]\nport = {PORT}\n{relay}"
    );
    fs::write(site.config(), text).unwrap();
}

/// An SMTP session behind its EHLO.
#[track_caller]
pub(crate) fn session(address: SocketAddr) -> Wire {
    let mut wire = Wire::connect(address);
    wire.expect("220 ");
    wire.say("EHLO client.test", "250-");
    wire
}

/// A submission session behind its login.
#[track_caller]
pub(crate) fn submission(host: &Host, login: &str) -> Wire {
    let mut wire = session(host.address(Service::Submission));
    wire.log_in_smtp(login);
    wire
}

/// Submits a message, which has to be accepted; gives its name.
#[track_caller]
pub(crate) fn submit(host: &Host, login: &str, from: &str, to: &[&str], message: &str) -> String {
    let reply = submission(host, login).offer(from, to, message);
    let name = reply.strip_prefix("250 2.0.0 accepted as ").unwrap_or_else(|| panic!("{reply}"));
    name.to_owned()
}

/// Asks until the queue looks as it should; gives what it looks like then.
#[track_caller]
pub(crate) fn queue(site: &Site, command: &str, done: impl Fn(&str) -> bool) -> String {
    let start = Instant::now();
    loop {
        let shown = site.does(command);
        if done(&shown) {
            return shown;
        }
        assert!(start.elapsed() < DEADLINE, "{command} still says: {shown}");
    }
}

#[track_caller]
pub(crate) fn queue_is_empty(site: &Site) {
    queue(site, "queue list", |shown| shown == "the queue is empty\n");
}

/// Waits for a line of the log, which may have come already.
#[track_caller]
pub(crate) fn logged(host: &Host, what: &str) -> String {
    let found = host.log().into_iter().find(|line| line.contains(what));
    found.unwrap_or_else(|| host.wait_for(what))
}

/// All messages of an account.
#[track_caller]
pub(crate) fn collected(host: &Host, login: &str) -> Vec<String> {
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), login);
    let count = pop3.unique_ids().len();
    (1..=count).map(|number| String::from_utf8(pop3.retrieve(number)).unwrap()).collect()
}

/// What Python's email package makes of a report: a line for each recipient, behind one for the message.
#[track_caller]
fn parsed(report: &str) -> Vec<String> {
    let result = run(Command::new("python3").args(["-B", REPORT]), report);
    assert_eq!((result.status, &*result.stderr), (Some(0), ""), "{report}");
    result.stdout.lines().map(str::to_owned).collect()
}

/// The one line that begins so.
#[track_caller]
fn only<'l>(lines: &'l [String], start: &str) -> &'l str {
    let found: Vec<_> = lines.iter().filter(|line| line.starts_with(start)).collect();
    assert_eq!(found.len(), 1, "{start}: {lines:#?}");
    found[0]
}

/// Waits until one of two hosts has logged something.
#[track_caller]
fn logged_by_either(one: &Host, other: &Host, what: &str) {
    let start = Instant::now();
    while ![one, other].iter().any(|host| host.log().iter().any(|line| line.contains(what))) {
        assert!(start.elapsed() < DEADLINE, "neither has logged {what:?}");
        std::thread::yield_now();
    }
}
