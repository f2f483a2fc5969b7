//! Who may have mail relayed.

use mailhost::listener::Service;

use super::{Manner, Sink, loopback, no_dns, queue_is_empty, session, site, submission};

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
