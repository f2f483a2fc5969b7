//! Mail that goes in circles.

use super::{PORT, collected, loopback, no_dns, parsed, queue, site, submit};
use crate::support::{is_installed, skip};

// Ledger: 5321-6.3-1
#[test]
fn a_message_between_two_hosts_that_send_it_to_each_other_ends_with_one_report() {
    let name = "a_message_between_two_hosts_that_send_it_to_each_other_ends_with_one_report";
    if !is_installed("python3", "--version") {
        return skip(name, "python3 is not installed");
    }
    let (here, there) = (loopback(), loopback());
    let relay = |other, more: &str| {
        format!("networks = [\"127.0.0.0/8\"]\n[relay.routes]\n\"loop.test\" = \"{other}:{PORT}\"\n{more}")
    };
    let near =
        site("a", here, no_dns(), &relay(there, &format!("\"b.test\" = \"{there}:{PORT}\"\n")), &["anna"]);
    let far =
        site("b", there, no_dns(), &relay(here, &format!("\"a.test\" = \"{here}:{PORT}\"\n")), &["ben"]);
    let (host, other) = (near.start(), far.start());
    submit(&host, "anna@a.test", "anna@a.test", &["x@loop.test"], "Subject: round\r\n\r\ntext\r\n");
    // The message is in one queue or on its way to the other; the report is the last thing to come.
    super::logged_by_either(&host, &other, "given up");
    for site in [&near, &far] {
        queue(site, "queue list", |shown| shown == "the queue is empty\n");
    }
    let messages = collected(&host, "anna@a.test");
    assert_eq!(messages.len(), 1, "{messages:#?}");
    let told = parsed(&messages[0]);
    assert!(told[1].starts_with("x@loop.test Action=failed; Status=5.4.6; "), "{told:#?}");
    assert_eq!(told.len(), 2, "{told:#?}");
    assert_eq!(collected(&other, "ben@b.test").len(), 0);
    let hops = messages[0].split("text/rfc822-headers").nth(1).unwrap().matches("Received: ").count();
    assert!((20..=120).contains(&hops), "{hops}");
}

#[test]
fn a_ring_of_aliases_over_two_hosts_ends_with_one_report() {
    let name = "a_ring_of_aliases_over_two_hosts_ends_with_one_report";
    if !is_installed("python3", "--version") {
        return skip(name, "python3 is not installed");
    }
    let (here, there) = (loopback(), loopback());
    let route = |domain: &str, to| format!("[relay.routes]\n\"{domain}\" = \"{to}:{PORT}\"\n");
    let near = site("a", here, no_dns(), &route("b.test", there), &["anna"]);
    let far = site("b", there, no_dns(), &route("a.test", here), &["ben"]);
    near.does("alias add ring@a.test ring@b.test");
    far.does("alias add ring@b.test ring@a.test");
    let (host, other) = (near.start(), far.start());
    submit(&host, "anna@a.test", "anna@a.test", &["ring@b.test"], "Subject: round\r\n\r\ntext\r\n");
    super::logged_by_either(&host, &other, "given up");
    for site in [&near, &far] {
        queue(site, "queue list", |shown| shown == "the queue is empty\n");
    }
    let messages = collected(&host, "anna@a.test");
    assert_eq!(messages.len(), 1, "{messages:#?}");
    let told = parsed(&messages[0]);
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[1].contains("Action=failed; Status=5.4.6; "), "{told:#?}");
    assert_eq!(collected(&other, "ben@b.test").len(), 0);
    // To b, to a, and back to b, which has had it for this very address before. The report went back the same way.
    let hops = messages[0].split("text/rfc822-headers").nth(1).unwrap().matches("Received: ").count();
    assert_eq!(hops, 3);
}
