//! Who may have mail relayed.

use mailhost::listener::Service;

use super::{Manner, Sink, loopback, no_dns, queue_is_empty, session, site, submission, submit};
use crate::policy::RELAY_ATTEMPTS;

#[test]
fn an_outside_client_relays_from_a_named_network_alone() {
    let sink = Sink::start(Manner::Good);
    let route = format!("[relay.routes]\n\"c.test\" = \"{}\"\n", sink.address());
    for (networks, may) in [
        ("", false),
        ("networks = [\"10.0.0.0/8\", \"2001:db8::/32\"]\n", false),
        ("networks = [\"127.0.0.0/8\"]\n", true),
    ] {
        let near = site("a", loopback(), no_dns(), &format!("{networks}{route}"), &["anna"]);
        let host = near.start();
        let mut wire = session(host.address(Service::Smtp));
        wire.say("MAIL FROM:<carla@far.test>", "250 2.1.0");
        wire.say("RCPT TO:<anna@a.test>", "250 2.1.5");
        wire.say("RCPT TO:<eva@c.test>", if may { "250 2.1.5" } else { "550 5.7.1" });
        wire.say("DATA", "354");
        wire.send("Subject: x\r\n\r\n.\r\n");
        wire.expect("250 2.0.0 accepted as ");
        queue_is_empty(&near);
        assert_eq!(sink.seen().taken.len(), usize::from(may), "{networks}");
    }
}

#[test]
fn a_user_relays_under_no_name_but_their_own() {
    let sink = Sink::start(Manner::Good);
    let route = format!("[relay.routes]\n\"c.test\" = \"{}\"\n", sink.address());
    let near = site("a", loopback(), no_dns(), &route, &["anna", "ben"]);
    near.does("alias add office@a.test anna@a.test");
    let host = near.start();
    let mut nobody = session(host.address(Service::Submission));
    nobody.say("MAIL FROM:<anna@a.test>", "530 5.7.0");
    let mut anna = submission(&host, "anna@a.test");
    for from in ["ben@a.test", "anna@c.test", "nobody@a.test"] {
        anna.say(&format!("MAIL FROM:<{from}>"), "553 5.7.1");
    }
    for from in ["anna@a.test", "office@a.test"] {
        let reply = anna.offer(from, &["eva@c.test"], "Subject: x\r\n\r\n");
        assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    }
    queue_is_empty(&near);
    let mut from: Vec<String> = sink.seen().taken.into_iter().map(|taken| taken.from).collect();
    from.sort();
    assert_eq!(from, ["anna@a.test", "office@a.test"]);
}

/// What a stranger is refused because it is elsewhere, a user has sent there, under exactly that name; what is no address, or
/// one of ours that nobody has, is refused them as well.
#[test]
fn a_user_has_relayed_what_a_stranger_is_refused() {
    let sink = Sink::start(Manner::Good);
    let relay = format!("smarthost = \"{}\"\n[limits]\nerrors = 1000\n", sink.address());
    let near = site("example", loopback(), no_dns(), &relay, &["anna"]);
    let host = near.start();
    let mut wire = submission(&host, "anna@example.test");
    wire.say("MAIL FROM:<anna@example.test>", "250 2.1.0");
    let mut expected = Vec::new();
    for (to, refusal) in RELAY_ATTEMPTS {
        let elsewhere = refusal == "550 5.7.1 ";
        wire.say(&format!("RCPT TO:{to}"), if elsewhere { "250 2.1.5" } else { refusal });
        if elsewhere {
            let path = to.strip_prefix('<').unwrap().strip_suffix('>').unwrap();
            // RFC 5321 §4.1.1.3: a source route is left out.
            let path = if path.starts_with('@') { path.rsplit_once(':').unwrap().1 } else { path };
            // Two spellings of one domain are one recipient, under the first of them.
            if !expected.iter().any(|known: &String| known.eq_ignore_ascii_case(path)) {
                expected.push(path.to_owned());
            }
        }
    }
    expected.sort();
    assert!(expected.len() >= 20, "{expected:#?}");
    wire.say("DATA", "354");
    wire.send("Subject: x\r\n\r\n.\r\n");
    wire.expect("250 2.0.0 accepted as ");
    queue_is_empty(&near);
    let mut relayed: Vec<String> = sink.seen().taken.into_iter().flat_map(|taken| taken.to).collect();
    relayed.sort();
    assert_eq!(relayed, expected);
}

/// RFC 5321 §3.9.1: the message goes on to whoever the alias stands for, under a sender of ours that stands for its own.
#[test]
fn an_alias_leads_to_a_mailbox_here_and_to_an_address_elsewhere() {
    let sink = Sink::start(Manner::Good);
    let route = format!("[relay.routes]\n\"c.test\" = \"{}\"\n", sink.address());
    let near = site("a", loopback(), no_dns(), &route, &["anna"]);
    near.does("alias add eva@a.test eva@c.test");
    near.does("alias add both@a.test anna@mail.a.test eva@a.test dora@c.test");
    near.command("alias add bad@a.test nobody@a.test").failed(
        "nobody@a.test is of a domain of this host, and neither an account nor an alias; add it first with \
         `mailhost account add` or `mailhost alias add`",
    );
    for start in 1..=2 {
        let host = near.start();
        // Of a stranger, who may not have anything relayed by another name.
        let mut wire = session(host.address(Service::Smtp));
        wire.say("MAIL FROM:<carla@far.test>", "250 2.1.0");
        wire.say("RCPT TO:<eva@c.test>", "550 5.7.1");
        wire.say("RCPT TO:<both@a.test>", "250 2.1.5");
        wire.say("DATA", "354");
        wire.send("Subject: x\r\n\r\n.\r\n");
        wire.expect("250 2.0.0 accepted as ");
        queue_is_empty(&near);
        let seen = sink.seen();
        assert_eq!(seen.taken.len(), 2 * start - 1, "{seen:#?}");
        let taken = seen.taken.last().unwrap();
        assert!(
            taken.from.starts_with("SRS0=") && taken.from.ends_with("=far.test=carla@a.test"),
            "{}",
            taken.from
        );
        assert_eq!(taken.to, ["dora@c.test", "eva@c.test"]);
        assert_eq!(super::collected(&host, "anna@a.test").len(), start);
        // Nobody sends as an alias that leads to somebody else.
        submission(&host, "anna@a.test").say("MAIL FROM:<eva@a.test>", "553 5.7.1");
        submit(&host, "anna@a.test", "both@a.test", &["nina@c.test"], "Subject: from an alias\r\n\r\n");
        queue_is_empty(&near);
        host.stop();
    }
}
