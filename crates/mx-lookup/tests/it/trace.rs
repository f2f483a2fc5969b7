//! What an operator reads.

use mx_lookup::{Limits, Transport};

use crate::world::{World, down, with};

#[test]
fn the_trace_tells_the_story_of_a_plan() {
    let zone = "
        a.example       300 MX 10 mx.a.example
        a.example       300 MX 20 backup.example
        a.example       300 MX 30 us.example
        a.example       300 MX 40 far.example
        mx.a.example    60 CNAME host.example
        host.example    300 A 1.0.0.1
        host.example    300 A 10.0.0.1
        backup.example  0 SERVFAIL
    ";
    let mut world = World::with(zone, 1, |config| config.own_host("us.example").expect("a name"));
    let (_, trace) = world.planned("a.example");
    assert_eq!(
        sorted(&trace.to_string()),
        sorted(
            "a.example MX @127.0.0.53:5300 udp: 10 mx.a.example, 20 backup.example, 30 us.example, 40 far.example [300 s]
us.example: our own host, left out with all that are less preferred
mx.a.example AAAA @127.0.0.53:5300 udp: no such record [60 s]
mx.a.example A @127.0.0.53:5300 udp: CNAME host.example, 1.0.0.1, 10.0.0.1 [60 s]
backup.example AAAA @127.0.0.53:5300 udp: name server failure (SERVFAIL)
backup.example AAAA: name server failure (SERVFAIL) [120 s]
backup.example A @127.0.0.53:5300 udp: name server failure (SERVFAIL)
backup.example A: name server failure (SERVFAIL) [120 s]
mx.a.example: private address 10.0.0.1, left out
"
        )
    );
    let (_, trace) = world.planned("a.example");
    assert!(trace.to_string().starts_with("a.example MX (cached): 10 mx.a.example, "), "{trace}");
    assert!(trace.steps().all(|step| !step.question.contains("far.example")), "{trace}");
}

/// The order of two queries under way at once does not matter.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<_> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn the_trace_names_each_server_that_was_asked_and_how() {
    let mut world = World::with("a.example 300 MX 0 .", 2, |config| config);
    world.servers = vec![
        down(),
        with(|query, message| message.metadata.truncation = query.transport() == Transport::Udp),
    ];
    let text = (0..10).find_map(|_| {
        world.resolver.flush();
        let text = world.planned("a.example").1.to_string();
        text.contains(":5300").then_some(text)
    });
    assert_eq!(
        text.expect("the first server has its turn"),
        "a.example MX @127.0.0.53:5300 udp: name servers do not answer
a.example MX @127.0.0.53:5301 udp: truncated, asking by TCP
a.example MX @127.0.0.53:5301 tcp: 0 . [300 s]
"
    );
}

#[test]
fn verdicts_are_one_line() {
    let mut world = World::new("null.example 300 MX 0 .");
    for (domain, text) in [
        ("null.example", "556 5.1.10 null.example: the domain takes no mail (null MX)"),
        ("gone.example", "550 5.1.2 gone.example: no such domain"),
        ("b\u{fc}cher.example", "550 5.1.2 bad domain (domain is not ASCII at octet 1: A-labels are wanted)"),
        ("[127.0.0.1]", "550 5.4.4 [127.0.0.1]: the mail hosts have only private or special-use addresses"),
    ] {
        assert_eq!(world.plan(domain).verdict().expect("a verdict").to_string(), text);
    }
}

#[test]
fn a_trace_does_not_grow_for_ever() {
    let mut zone = String::new();
    for number in 0..100 {
        zone += &format!("a.example 300 MX {number} m{number}.example\n");
        for address in 0..20 {
            zone += &format!("m{number}.example 300 A 10.0.{number}.{address}\n");
        }
    }
    let limits = Limits::default().queries(1_000);
    let (_, trace) = World::with(&zone, 1, |config| config.limits(limits)).planned("a.example");
    assert_eq!(trace.steps().len(), 250);
    assert_eq!(trace.omitted(), 1 + 200 + 2_000 - 250);
    assert!(trace.to_string().ends_with("and 1951 more steps\n"));
}
