//! A destination that is down for a while, and a host that is killed while it sends.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mailhost::listener::Service;

use super::{PORT, loopback, no_dns, queue, queue_is_empty, site, submission};
use crate::support::{DEADLINE, Host, Wire, stuffed};

/// A short schedule, so that an outage ends soon after it has ended.
const QUICK: &str = "[queue]\nretry = [\"1s\"]\n";

#[test]
fn two_hundred_messages_wait_for_a_host_that_is_down_and_arrive_once() {
    let there = loopback();
    let relay = format!("[relay.routes]\n\"b.test\" = \"{there}:{PORT}\"\n{QUICK}");
    let near = site("a", loopback(), no_dns(), &relay, &["anna"]);
    let far = site("b", there, no_dns(), "", &["ben"]);
    let host = near.start();
    let mut wire = submission(&host, "anna@a.test");
    for number in 0..MESSAGES {
        let reply = wire.offer("anna@a.test", &["ben@b.test"], message(0, number));
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let waiting = |shown: &str| shown.matches("ben@b.test: ").count();
    assert_eq!(waiting(&near.does("queue list")), MESSAGES);
    let other = far.start();
    queue_is_empty(&near);
    let copies = arrived(&other);
    assert_eq!(copies.len(), MESSAGES);
    assert!(copies.values().all(|copies| *copies == 1), "{copies:?}");
}

/// What has been answered with 250 arrives, however often the host is killed in between; twice only that whose final reply
/// the killed host cannot have read and written down.
#[test]
fn what_was_accepted_arrives_although_the_host_is_killed_while_it_sends() {
    let there = loopback();
    let far = site("b", there, no_dns(), "", &["ben"]);
    let other = far.start();
    let between = Between::start(SocketAddr::new(there, PORT));
    let relay = format!("[relay.routes]\n\"b.test\" = \"{}:{PORT}\"\n{QUICK}", between.ip);
    let near = site("a", loopback(), no_dns(), &relay, &["anna"]);
    let mut accepted: Vec<Name> = Vec::new();
    let mut with_work = 0;
    for (round, delay) in DELAYS.into_iter().enumerate() {
        let host = near.start();
        let address = host.address(Service::Submission);
        let (acknowledged, first) = mpsc::channel();
        let sender = thread::spawn(move || send_until_it_ends(address, round, &acknowledged));
        first.recv_timeout(DEADLINE).expect("a message is accepted");
        // This waits for no event: it is the moment of the blow.
        thread::sleep(Duration::from_millis(delay));
        host.kill();
        accepted.extend(sender.join().unwrap());
        with_work += usize::from(near.does("queue list") != "the queue is empty\n");
    }
    let host = near.start();
    // Sites are left alone for a while after a failure.
    queue(&near, "queue list", |shown| {
        if shown != "the queue is empty\n" {
            near.command("queue retry all");
        }
        shown == "the queue is empty\n"
    });
    host.stop();

    let copies = arrived(&other);
    for name in &accepted {
        assert!(copies.contains_key(name), "{name:?} was accepted, and has not arrived");
    }
    // What the host had no time to write down is the last reply of its connection. One copy may lie anywhere.
    let connections = between.connections.lock().unwrap();
    let mut doubtful: BTreeMap<Name, usize> = BTreeMap::new();
    for last in connections.iter().filter_map(|taken| taken.last()) {
        *doubtful.entry(*last).or_default() += 1;
    }
    let mut twice = 0;
    for (name, copies) in &copies {
        let lost = doubtful.get(name).copied().unwrap_or(0);
        assert!(*copies <= 1 + lost, "{name:?} has arrived {copies} times, {lost} of them as the last");
        twice += copies - 1;
    }
    println!(
        "{} rounds, {with_work} of them left work; {} messages accepted, {} arrived, {twice} of them once more, as the last of \
         one of {} connections",
        DELAYS.len(),
        accepted.len(),
        copies.len(),
        connections.len(),
    );
    assert!(with_work * 5 >= DELAYS.len() * 4, "the kills hit an idle host");
}

/// Round and number.
type Name = (usize, usize);

fn message(round: usize, number: usize) -> String {
    format!("Subject: message {round} {number}\r\n\r\n{}\r\n", "text ".repeat(40))
}

fn name(line: &str) -> Option<Name> {
    let (round, number) = line.strip_prefix("Subject: message ")?.trim_end().split_once(' ')?;
    Some((round.parse().ok()?, number.parse().ok()?))
}

/// What was answered with 250.
fn send_until_it_ends(address: SocketAddr, round: usize, acknowledged: &Sender<()>) -> Vec<Name> {
    let mut accepted = Vec::new();
    let mut wire = Wire::connect(address);
    wire.expect("220 ");
    wire.say("EHLO client.test", "250-");
    wire.log_in_smtp("anna@a.test");
    for number in 0.. {
        let group = "MAIL FROM:<anna@a.test>\r\nRCPT TO:<ben@b.test>\r\nDATA\r\n";
        let message = stuffed(message(round, number).as_bytes());
        let starts = ["250 ", "250 ", "354 "];
        let begun = wire.try_send(group).is_ok()
            && starts
                .iter()
                .all(|start| wire.try_line().is_ok_and(|line| line.starts_with(start.as_bytes())));
        if !begun || wire.try_send(message).is_err() {
            break;
        }
        match wire.try_line() {
            Ok(line) if line.starts_with(b"250 ") && line.ends_with(b"\r\n") => {
                accepted.push((round, number));
                let _ = acknowledged.send(());
            }
            _ => break,
        }
    }
    accepted
}

/// How many copies of each there are at the other host.
fn arrived(host: &Host) -> BTreeMap<Name, usize> {
    let mut copies = BTreeMap::new();
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), "ben@b.test");
    for number in 1..=pop3.unique_ids().len() {
        let octets = pop3.retrieve(number);
        let text = str::from_utf8(&octets).unwrap();
        let name = text.lines().find_map(name).expect("its subject");
        *copies.entry(name).or_default() += 1;
    }
    copies
}

/// Stands between two hosts and notes what the second has taken over each connection.
struct Between {
    ip: IpAddr,
    /// What the second has answered with 250 over each, in that order.
    connections: Arc<Mutex<Vec<Vec<Name>>>>,
}

impl Between {
    fn start(to: SocketAddr) -> Self {
        let ip = loopback();
        let listener = TcpListener::bind((ip, PORT)).unwrap();
        let connections = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&connections);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let at = {
                    let mut noted = noted.lock().unwrap();
                    noted.push(Vec::new());
                    noted.len() - 1
                };
                let server = TcpStream::connect(to).unwrap();
                for stream in [&client, &server] {
                    stream.set_nodelay(true).unwrap();
                    stream.set_read_timeout(Some(DEADLINE)).unwrap();
                }
                let last = Arc::new(Mutex::new(None));
                let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (subject, noted) = (Arc::clone(&last), Arc::clone(&noted));
                thread::spawn(move || {
                    pass(&from, &to, |line| {
                        if let Some(name) = name(line) {
                            *subject.lock().unwrap() = Some(name);
                        }
                        true
                    });
                });
                thread::spawn(move || {
                    pass(&server, &client, |line| {
                        // What is encrypted could not be noted.
                        if line.starts_with("250-STARTTLS") {
                            return false;
                        }
                        if line.starts_with("250 2.0.0 accepted as ") {
                            noted.lock().unwrap()[at].extend(last.lock().unwrap().take());
                        }
                        true
                    });
                });
            }
        });
        Self { ip, connections }
    }
}

/// Passes on each line that is to be passed on, and the end; reads on when nobody listens any more.
fn pass(from: &TcpStream, mut to: &TcpStream, mut passes: impl FnMut(&str) -> bool) {
    let mut lines = BufReader::new(from);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        if passes(&String::from_utf8_lossy(&line)) {
            let _ = to.write_all(&line);
        }
        line.clear();
    }
    let _ = to.shutdown(Shutdown::Write);
}

const MESSAGES: usize = 200;
/// When the host is killed, in milliseconds after its first accepted message.
const DELAYS: [u64; 25] =
    [8, 120, 31, 260, 5, 77, 180, 44, 15, 300, 92, 9, 140, 61, 23, 210, 6, 110, 37, 165, 52, 12, 240, 83, 19];
