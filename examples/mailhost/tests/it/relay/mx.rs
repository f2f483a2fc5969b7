//! From host to host, by the hosts that DNS names.

use std::process::Command;

use mailhost::listener::Service;

use super::{
    Knot, Manner, PRIVATE, Sink, collected, configure, loopback, mx, no_dns, queue_is_empty, site, submit,
};
use crate::support::{Host, PASSWORD, Site, field, is_installed, run, skip};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/python/relay.py");

fn python(site: &Site, ports: &[(&str, u16)]) -> crate::support::Run {
    let ports: String = ports.iter().map(|(name, port)| format!("\"{name}\": {port}, ")).collect();
    let settings = format!(
        "{{{ports}\"certificate\": {:?}, \"user\": [\"anna@a.test\", {PASSWORD:?}], \"other\": [\"ben@b.test\", \
         {PASSWORD:?}]}}",
        site.data("self-signed.pem")
    );
    let result = run(Command::new("python3").args(["-B", PROGRAM]), &settings);
    print!("{}", result.stdout);
    result
}

// Ledger: 5321-3.6.3-4, 5321-4.4-5, 5321-4.4-9, 5321-4.5.2-1, 5321-6.4-1, 5321-C-4
#[test]
fn pythons_sample_messages_are_relayed_octet_for_octet() {
    let name = "pythons_sample_messages_are_relayed_octet_for_octet";
    if !is_installed("python3", "--version") {
        return skip(name, "python3 is not installed");
    }
    let (here, there) = (loopback(), loopback());
    let Some(knot) = Knot::start(name, &mx("b.test", there)) else { return };
    let near = site("a", here, knot.address(), PRIVATE, &["anna"]);
    let far = site("b", there, no_dns(), "", &["ben"]);
    let (host, other) = (near.start(), far.start());
    let sent = python(&near, &[("submission", host.address(Service::Submission).port())]);
    if sent.status == Some(3) {
        return skip(name, "python3 is here without its tests (libpython3.11-testsuite)");
    }
    assert_eq!((sent.status, &*sent.stderr), (Some(0), ""));
    queue_is_empty(&near);
    let fetched = python(&far, &[("pop3s", other.address(Service::Pop3s).port())]);
    assert_eq!((fetched.status, &*fetched.stderr), (Some(0), ""));
}

/// How often the store was written to while the host ran; it stops here.
fn commits(host: Host) -> u32 {
    let stopped = host.stop();
    field(&stopped, "commits").unwrap_or_else(|| panic!("{stopped}")).parse().unwrap()
}

#[test]
fn a_transaction_for_five_recipients_at_three_hosts_is_one_commit_and_five_deliveries() {
    let name = "a_transaction_for_five_recipients_at_three_hosts_is_one_commit_and_five_deliveries";
    let (here, there) = (loopback(), loopback());
    let sink = Sink::start(Manner::Good);
    let records = format!("{}{}", mx("b.test", there), mx("c.test", sink.ip()));
    let Some(knot) = Knot::start(name, &records) else { return };
    // Without an answer from DNS nothing goes further than the queue.
    let silent = std::net::UdpSocket::bind((loopback(), 53_000)).unwrap();
    let near = site("a", here, silent.local_addr().unwrap(), PRIVATE, &["anna", "carl", "dora"]);
    assert_eq!(commits(near.start()), 0, "a start and a stop");

    let host = near.start();
    let to = ["anna@a.test", "carl@a.test", "dora@a.test", "ben@b.test", "eva@c.test"];
    submit(&host, "anna@a.test", "anna@a.test", &to, "Subject: to five\r\n\r\ntext\r\n");
    assert_eq!(commits(host), 1, "a message for all of them");

    configure(&near, "a", here, knot.address(), PRIVATE);
    let far = site("b", there, no_dns(), "", &["ben"]);
    let other = far.start();
    let host = near.start();
    queue_is_empty(&near);
    for login in ["anna@a.test", "carl@a.test", "dora@a.test"] {
        let messages = collected(&host, login);
        assert_eq!(messages.len(), 1, "{login}: {messages:#?}");
    }
    let messages = collected(&other, "ben@b.test");
    assert_eq!(messages.len(), 1, "{messages:#?}");
    assert!(messages[0].starts_with("Return-Path: <anna@a.test>\r\nDelivered-To: ben@b.test\r\n"));
    let seen = sink.seen();
    assert_eq!((seen.connections, seen.taken.len()), (1, 1), "{seen:#?}");
    assert_eq!((&*seen.taken[0].from, &*seen.taken[0].to), ("anna@a.test", &["eva@c.test".to_owned()][..]));
    assert!(!seen.taken[0].message.contains("ben@b.test"), "{}", seen.taken[0].message);
}

#[test]
fn two_hundred_recipients_at_one_destination_are_one_connection() {
    let name = "two_hundred_recipients_at_one_destination_are_one_connection";
    let sink = Sink::start(Manner::Good);
    // Two domains, one host.
    let records = format!("{}d.test. MX 10 mail.c.test.\n", mx("c.test", sink.ip()));
    let Some(knot) = Knot::start(name, &records) else { return };
    let relay = format!("{PRIVATE}[limits]\nrecipients = 200\n");
    let near = site("a", loopback(), knot.address(), &relay, &["anna"]);
    let host = near.start();
    let mut to: Vec<String> = (0..200)
        .map(|number| format!("n{number}@{}.test", if number % 2 == 0 { "c" } else { "d" }))
        .collect();
    let borrowed: Vec<&str> = to.iter().map(String::as_str).collect();
    submit(&host, "anna@a.test", "anna@a.test", &borrowed, "Subject: to all\r\n\r\ntext\r\n");
    queue_is_empty(&near);
    let seen = sink.seen();
    let sizes: Vec<usize> = seen.taken.iter().map(|taken| taken.to.len()).collect();
    assert_eq!(seen.connections, 1, "{sizes:?}");
    assert_eq!(sizes, [100, 100]);
    let mut reached: Vec<String> = seen.taken.into_iter().flat_map(|taken| taken.to).collect();
    reached.sort();
    to.sort();
    assert_eq!(reached, to, "everybody once");
}
