//! What other hosts and DNS servers say stays within its line and its field.

use std::net::{SocketAddr, UdpSocket};
use std::thread;

use super::sink::{Manner, Sink};
use super::{PORT, loopback, no_dns, site, submit};
use crate::support::Site;
use crate::watch::{HOSTILE, checked};

/// Replies in all places in which there are any.
#[test]
fn whatever_other_hosts_say_no_line_of_the_log_is_forged() {
    let mut sinks = Vec::new();
    for value in HOSTILE {
        for code in ["554 ", "451 4.2.0 "] {
            // A destination of the tests lives as long as the tests do.
            let text: &'static str = Box::leak(format!("{code}{value}").into_boxed_str());
            sinks.push(Sink::start(Manner::Greets(text)));
            sinks.push(Sink::start(Manner::Ends(text)));
            sinks.push(Sink::start(Manner::StartTls(text)));
        }
    }
    let mut relay = "[relay.routes]\n".to_owned();
    for (number, sink) in sinks.iter().enumerate() {
        relay.push_str(&format!("\"d{number}.test\" = \"{}:{PORT}\"\n", sink.ip()));
    }
    let near = site("a", loopback(), no_dns(), &relay, &["anna"]);
    let host = near.start();
    let to: Vec<String> = (0..sinks.len()).map(|number| format!("x@d{number}.test")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    submit(&host, "anna@a.test", "anna@a.test", &to, "Subject: x\r\n\r\n");
    settled(&near, sinks.len());
    let events = checked(&host.log(), false);
    for event in ["connection refused", "attempt", "given up", "deferred"] {
        assert!(events.contains(event), "{event:?} in {events:?}");
    }
}

/// Waits until each recipient was tried, and is done with or put off.
#[track_caller]
fn settled(site: &Site, count: usize) {
    super::queue(site, "queue list", |shown| {
        let settled = |line: &&str| {
            ["given up", "delivered", "waiting for its next try"].iter().any(|end| line.ends_with(end))
        };
        shown == "the queue is empty\n" || shown.lines().filter(settled).count() == count
    });
}

#[test]
fn whatever_dns_servers_say_no_line_of_the_log_is_forged() {
    let socket = UdpSocket::bind(SocketAddr::new(loopback(), 0)).unwrap();
    let near = {
        let relay = "allow_private_addresses = true\n";
        site("a", loopback(), socket.local_addr().unwrap(), relay, &["anna"])
    };
    thread::spawn(move || {
        let mut buffer = [0; 1_500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if let Some(answer) = answer(&buffer[..length]) {
                let _ = socket.send_to(&answer, from);
            }
        }
    });
    let host = near.start();
    let to: Vec<String> = (0..HOSTILE.len()).map(|number| format!("x@d{number}.test")).collect();
    let to: Vec<&str> = to.iter().map(String::as_str).collect();
    submit(&host, "anna@a.test", "anna@a.test", &to, "Subject: x\r\n\r\n");
    settled(&near, to.len());
    let shown = near.does("queue why all --help");
    assert!(!shown.is_empty());
    checked(&host.log(), false);
    // For the operator's eyes it is made safe as well.
    for line in near.does("queue list").lines() {
        assert!(line.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{line:?}");
    }
}

/// An MX record that names a host as no host is named; no other record is there.
fn answer(query: &[u8]) -> Option<Vec<u8>> {
    let end = 12 + query.get(12..)?.iter().position(|octet| *octet == 0)? + 5;
    let question = query.get(12..end)?;
    let is_mx = question[question.len() - 4..] == [0, 15, 0, 1];
    let mut out = query[..2].to_vec();
    out.extend([0x81, 0x80, 0, 1, 0, u8::from(is_mx), 0, 0, 0, 0]);
    out.extend(question);
    if is_mx {
        let number: usize =
            std::str::from_utf8(&question[2..=usize::from(question[0])]).ok()?.parse().ok()?;
        let mut label = HOSTILE[number % HOSTILE.len()].as_bytes().to_vec();
        label.truncate(63);
        let name = [&[label.len() as u8][..], &label, b"\x04test\0"].concat();
        out.extend([0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 60, 0, (name.len() + 2) as u8, 0, 10]);
        out.extend(name);
    }
    Some(out)
}
