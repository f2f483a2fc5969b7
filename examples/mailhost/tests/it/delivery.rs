//! One message for several mailboxes is one commit and one body.

use mailhost::listener::Service;

use crate::support::{Site, Wire, field};

const NAMES: [&str; 3] = ["anna", "ben", "cleo"];

/// Anna, Ben, and Cleo through an alias; Anna twice, the second time in other letters.
const RECIPIENTS: [&str; 4] =
    ["anna@example.test", "ben@example.test", "team@example.test", "ANNA@mail.example.test"];

fn site() -> Site {
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &NAMES);
    site.does("alias add team@example.test cleo@example.test");
    site
}

/// The message itself, when these are the fields above it.
#[track_caller]
fn without_trace(collected: &[u8], delivered_to: &str) -> Vec<u8> {
    let text = String::from_utf8(collected.to_vec()).unwrap();
    let prefix = format!("Return-Path: <carla@far.test>\r\nDelivered-To: {delivered_to}\r\nReceived: from ");
    let rest = text.strip_prefix(&prefix).unwrap_or_else(|| panic!("{}", &text[..text.len().min(300)]));
    let (received, message) = rest.split_once("Subject: ").unwrap();
    assert!(!received.contains("\r\nReceived:") && !received.contains(" for "), "{received}");
    format!("Subject: {message}").into_bytes()
}

#[test]
fn three_recipients_and_one_of_them_twice_are_one_commit() {
    let site = site();
    let message = b"Subject: to all\r\n\r\nOne body.\r\n";
    let host = site.start();
    Wire::smtp(host.address(Service::Smtp)).deliver(&RECIPIENTS, message);
    let stopped = host.stop();
    assert_eq!(field(&stopped, "cut_off"), Some("0"), "{stopped}");
    assert_eq!(field(&stopped, "commits"), Some("1"), "{stopped}");

    let host = site.start();
    for (name, delivered_to) in NAMES.iter().zip(RECIPIENTS) {
        let mut pop3 = Wire::pop3(host.address(Service::Pop3), &format!("{name}@example.test"));
        assert_eq!(pop3.unique_ids().len(), 1, "{name} has it once");
        assert_eq!(without_trace(&pop3.retrieve(1), delivered_to), message);
    }
}

#[test]
fn an_account_that_is_named_and_reached_through_an_alias_gets_one() {
    let site = site();
    site.does("alias add all@example.test anna@example.test team@example.test");
    let host = site.start();
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&["all@example.test", "cleo@example.test", "team@example.test"], "Subject: x\r\n\r\n");
    for (name, count, delivered_to) in
        [("anna", 1, "all@example.test"), ("ben", 0, ""), ("cleo", 1, "all@example.test")]
    {
        let mut pop3 = Wire::pop3(host.address(Service::Pop3), &format!("{name}@example.test"));
        assert_eq!(pop3.unique_ids().len(), count, "{name}");
        if count > 0 {
            assert_eq!(without_trace(&pop3.retrieve(1), delivered_to), b"Subject: x\r\n\r\n");
        }
    }
}

#[test]
fn a_large_body_lies_on_disk_once_as_long_as_anybody_has_it() {
    let site = site();
    let mut message = b"Subject: large\r\n\r\n".to_vec();
    while message.len() < 300_000 {
        message.extend_from_slice(format!("line at {}\r\n", message.len()).as_bytes());
    }
    let host = site.start();
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&RECIPIENTS, &message);
    assert_eq!(site.bodies(), 1);
    for (name, delivered_to) in NAMES.iter().zip(RECIPIENTS) {
        let mut pop3 = Wire::pop3(host.address(Service::Pop3), &format!("{name}@example.test"));
        assert!(without_trace(&pop3.retrieve(1), delivered_to) == message, "{name} has other octets");
        assert_eq!(site.bodies(), 1, "before {name} deletes it");
        pop3.say("DELE 1", "+OK");
        pop3.say("QUIT", "+OK");
        pop3.ended();
    }
    drop(smtp);
    let stopped = host.stop();
    assert_eq!(field(&stopped, "commits"), Some("4"), "{stopped}");
    assert_eq!(site.bodies(), 0, "nobody has it any more");
}
