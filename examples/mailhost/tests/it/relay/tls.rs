//! Opportunistic TLS (RFC 7435), and destinations that the configuration names.

use super::{
    Knot, Manner, PRIVATE, Sink, collected, logged, loopback, mx, no_dns, queue_is_empty, site, submit,
};

#[test]
fn tls_is_used_where_it_can_be_had_and_mail_goes_in_the_clear_where_not() {
    let name = "tls_is_used_where_it_can_be_had_and_mail_goes_in_the_clear_where_not";
    let there = loopback();
    let sinks = [
        ("plain.test", Manner::Good, 1),
        ("broken.test", Manner::StartTls("220 2.0.0 go ahead"), 2),
        ("refusing.test", Manner::StartTls("454 4.7.0 TLS is not to be had now"), 1),
    ]
    .map(|(domain, manner, connections)| (domain, Sink::start(manner), connections));
    let mut records = mx("b.test", there);
    for (domain, sink, _) in &sinks {
        records.push_str(&mx(domain, sink.ip()));
    }
    let Some(knot) = Knot::start(name, &records) else { return };
    let near = site("a", loopback(), knot.address(), PRIVATE, &["anna"]);
    let far = site("b", there, no_dns(), "", &["ben"]);
    let (host, other) = (near.start(), far.start());
    let to = ["ben@b.test", "x@plain.test", "x@broken.test", "x@refusing.test"];
    submit(&host, "anna@a.test", "anna@a.test", &to, "Subject: x\r\n\r\ntext\r\n");
    queue_is_empty(&near);
    // Self-signed, as it is.
    let messages = collected(&other, "ben@b.test");
    assert_eq!(messages.len(), 1);
    let received = messages[0].replace("\r\n\t", " ").replace("\r\n ", " ");
    assert!(received.contains(" with ESMTPS "), "{received}");
    for (domain, sink, connections) in &sinks {
        let seen = sink.seen();
        assert_eq!((seen.taken.len(), seen.connections), (1, *connections), "{domain}: {seen:#?}");
        let asked = seen.commands.iter().any(|command| command == "STARTTLS");
        assert_eq!(asked, *domain != "plain.test", "{domain}: {seen:#?}");
    }
    assert_eq!(collected(&host, "anna@a.test").len(), 0);
    let line = logged(&host, "host=mail.b.test");
    assert!(line.contains(" connected ") && line.contains(" tls=true"), "{line}");
}

#[test]
fn routes_and_a_smarthost_are_used_without_dns() {
    let (inner, smart) = (Sink::start(Manner::Good), Sink::start(Manner::Good));
    let relay = format!(
        "smarthost = \"{}\"\n[relay.routes]\n\"Inner.test\" = \"{}\"\n",
        smart.address(),
        inner.address()
    );
    let near = site("a", loopback(), no_dns(), &relay, &["anna"]);
    let host = near.start();
    let to = ["x@inner.test", "y@INNER.test", "z@outer.test", "z@elsewhere.test", "anna@a.test"];
    submit(&host, "anna@a.test", "anna@a.test", &to, "Subject: x\r\n\r\ntext\r\n");
    queue_is_empty(&near);
    let reached = |sink: &Sink| {
        let mut all: Vec<String> = sink.seen().taken.into_iter().flat_map(|taken| taken.to).collect();
        all.sort();
        all
    };
    assert_eq!(reached(&inner).len(), 2);
    assert!(reached(&inner).iter().all(|to| to.to_ascii_lowercase().ends_with("@inner.test")));
    assert_eq!(reached(&smart), ["z@elsewhere.test", "z@outer.test"]);
    assert_eq!(smart.seen().connections, 1, "all over one connection");
    assert_eq!(collected(&host, "anna@a.test").len(), 1);
}
