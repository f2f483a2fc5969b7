//! What a sender is told, and what stays in the queue.

use mailhost::listener::Service;

use super::{
    Knot, Manner, PRIVATE, Sink, collected, logged, loopback, mx, no_dns, only, parsed, queue,
    queue_is_empty, session, site, submit,
};
use crate::support::{is_installed, skip};

/// No python3, no look at reports.
fn python_is_missing(name: &str) -> bool {
    let missing = !is_installed("python3", "--version");
    if missing {
        skip(name, "python3 is not installed");
    }
    missing
}

// Ledger: 5321-3.6.3-1, 5321-4.1.1.4-7, 5321-4.4-8, 5321-4.4-11, 5321-4.4-12, 5321-4.4-13, 5321-6.1-2
#[test]
fn a_sender_is_told_of_every_recipient_that_there_is_no_way_to() {
    let name = "a_sender_is_told_of_every_recipient_that_there_is_no_way_to";
    if python_is_missing(name) {
        return;
    }
    let (here, there) = (loopback(), loopback());
    let records = format!("{}null.test. MX 0 .\n", mx("b.test", there));
    let Some(knot) = Knot::start(name, &records) else { return };
    let near = site("a", here, knot.address(), PRIVATE, &["anna"]);
    let far = site("b", there, no_dns(), "", &["ben"]);
    let (host, other) = (near.start(), far.start());
    let to = ["ben@b.test", "nobody@b.test", "x@null.test", "y@nowhere.test"];
    submit(&host, "anna@a.test", "anna@a.test", &to, "Subject: to four\r\n\r\ntext\r\n");
    queue_is_empty(&near);
    assert_eq!(collected(&other, "ben@b.test").len(), 1);

    let reports = collected(&host, "anna@a.test");
    let told: Vec<String> = reports.iter().flat_map(|report| parsed(report)).collect();
    for about in told.iter().filter(|line| line.starts_with("reported")) {
        assert_eq!(about, "reported by=mail.a.test; subject=to four;");
    }
    assert_eq!(told.len(), reports.len() + 3, "each once: {told:#?}");
    let line = only(&told, "nobody@b.test ");
    assert!(
        line.starts_with(
            "nobody@b.test Action=failed; Status=5.1.1; Remote-MTA=dns; mail.b.test; Diagnostic-Code=smtp; 550 5.1.1 "
        ),
        "{line}"
    );
    let line = only(&told, "x@null.test ");
    assert!(
        line.starts_with("x@null.test Action=failed; Status=5.1.10; Diagnostic-Code=x-postrider; "),
        "{line}"
    );
    let line = only(&told, "y@nowhere.test ");
    assert!(
        line.starts_with("y@nowhere.test Action=failed; Status=5.1.2; Diagnostic-Code=x-postrider; "),
        "{line}"
    );
    for report in reports {
        assert!(report.starts_with("Return-Path: <>\r\nDelivered-To: anna@a.test\r\n"), "{report}");
    }
}

#[test]
fn a_private_address_from_dns_is_no_destination_unless_it_is_allowed() {
    let name = "a_private_address_from_dns_is_no_destination_unless_it_is_allowed";
    if python_is_missing(name) {
        return;
    }
    let sink = Sink::start(Manner::Good);
    let Some(knot) = Knot::start(name, &mx("inside.test", sink.ip())) else { return };
    let near = site("a", loopback(), knot.address(), "", &["anna"]);
    let host = near.start();
    submit(&host, "anna@a.test", "anna@a.test", &["x@inside.test"], "Subject: inside\r\n\r\n");
    queue_is_empty(&near);
    let reports = collected(&host, "anna@a.test");
    assert_eq!(reports.len(), 1);
    let told = parsed(&reports[0]);
    let line = only(&told, "x@inside.test ");
    assert!(line.contains("Status=5.4.4; ") && line.contains("private"), "{line}");
    assert_eq!(sink.seen().connections, 0);
}

// Ledger: 5321-3.6.3-2
#[test]
fn nobody_is_told_of_a_report_that_cannot_be_delivered() {
    let name = "nobody_is_told_of_a_report_that_cannot_be_delivered";
    let Some(knot) = Knot::start(name, "null.test. MX 0 .\n") else { return };
    let near = site("a", loopback(), knot.address(), PRIVATE, &["anna"]);
    let host = near.start();
    submit(&host, "anna@a.test", "", &["x@null.test"], "Subject: a report\r\n\r\n");
    queue_is_empty(&near);
    let line = logged(&host, "given up");
    assert!(line.contains("x@null.test"), "{line}");
    assert!(
        !host.log().iter().any(|line| line.contains("report delivered") || line.contains("report queued"))
    );
    assert_eq!(collected(&host, "anna@a.test").len(), 0);
}

/// Two senders elsewhere: one whose host takes the report, and one to whom there is no way.
// Ledger: 3464-2-3, 5321-3.6.3-3, 5321-4.4-14, 5321-4.4-15, 5321-6.1-3
#[test]
fn a_report_that_goes_to_another_host_is_queued_and_comes_from_nobody() {
    let name = "a_report_that_goes_to_another_host_is_queued_and_comes_from_nobody";
    let sink = Sink::start(Manner::Good);
    let records = format!("{}null.test. MX 0 .\n", mx("c.test", sink.ip()));
    let Some(knot) = Knot::start(name, &records) else { return };
    let relay = format!("{PRIVATE}networks = [\"127.0.0.0/8\"]\n");
    let near = site("a", loopback(), knot.address(), &relay, &[]);
    let host = near.start();
    for from in ["eva@c.test", "x@null.test"] {
        let mut wire = session(host.address(Service::Smtp));
        let reply = wire.offer(from, &["y@null.test"], "Subject: out\r\n\r\n");
        assert!(reply.starts_with("250 "), "{reply}");
    }
    let seen = sink.wait(|seen| seen.taken.len() == 1);
    assert_eq!((&*seen.taken[0].from, &*seen.taken[0].to), ("", &["eva@c.test".to_owned()][..]));
    queue_is_empty(&near);
    assert_eq!(sink.seen().taken.len(), 1, "and none about the other");
    let queued = host.log().iter().filter(|line| line.contains("report queued")).count();
    assert_eq!(queued, 2, "one for each sender, the second of which has no way");
}

#[test]
fn what_may_pass_stays_in_the_queue_and_what_will_not_is_reported() {
    let name = "what_may_pass_stays_in_the_queue_and_what_will_not_is_reported";
    if python_is_missing(name) {
        return;
    }
    let destinations = [
        ("ok@good.test", Manner::Good),
        ("x@busy.test", Manner::Greets("421 4.3.2 too busy")),
        ("x@full.test", Manner::Ends("552 5.2.2 the mailbox is full")),
        ("x@slow.test", Manner::Ends("452 4.2.2 the mailbox is full today")),
        ("x@doubt.test", Manner::CutsReply),
        ("x@mute.test", Manner::Mute),
    ]
    .map(|(to, manner)| (to, Sink::start(manner)));
    let records: String =
        destinations.iter().map(|(to, sink)| mx(to.split_once('@').unwrap().1, sink.ip())).collect();
    let Some(knot) = Knot::start(name, &records) else { return };
    let limits = format!("{PRIVATE}[limits]\nstop_timeout = \"1s\"\n");
    let near = site("a", loopback(), knot.address(), &limits, &["anna"]);
    let host = near.start();
    let mut to: Vec<&str> = destinations.iter().map(|(to, _)| *to).collect();
    to.extend(["later@good.test", "nobody@good.test"]);
    let id = submit(&host, "anna@a.test", "anna@a.test", &to, "Subject: to eight\r\n\r\ntext\r\n");

    let mut report = Vec::new();
    let shown = queue(&near, &format!("queue why {id}"), |shown| {
        shown.matches("tried 1 time,").count() == 7
            && shown.matches("next try at ").count() == 4
            && !shown.contains("being made durable")
            && shown.contains("x@mute.test: under way to ")
    });
    let block = |to: &str| {
        let start = shown.find(&format!("    {to}: ")).unwrap_or_else(|| panic!("{to}: {shown}"));
        let rest = &shown[start + 4..];
        rest[..rest.find("\n    x@").or_else(|| rest.find("\n    later@")).unwrap_or(rest.len())].to_owned()
    };
    for (to, what) in [
        ("later@good.test", "451 4.2.1 come back later"),
        ("x@busy.test", "421 4.3.2 too busy"),
        ("x@slow.test", "452 4.2.2 the mailbox is full today"),
        ("x@doubt.test", "it may arrive twice"),
    ] {
        let block = block(to);
        assert!(block.contains(what) && block.contains("mail."), "{to}: {block}");
        assert!(block.contains("next try at ") && block.contains("goes back to its sender"), "{to}: {block}");
    }
    for done in ["ok@good.test: delivered\n", "nobody@good.test: given up\n", "x@full.test: given up\n"] {
        assert!(shown.contains(done), "{done}: {shown}");
    }
    let messages = collected(&host, "anna@a.test");
    let reports = messages.len();
    for message in messages {
        report.extend(parsed(&message));
    }
    let line = only(&report, "x@full.test ");
    assert_eq!(
        line,
        "x@full.test Action=failed; Status=5.2.2; Remote-MTA=dns; mail.full.test; \
         Diagnostic-Code=smtp; 552 5.2.2 the mailbox is full;"
    );
    let line = only(&report, "nobody@good.test ");
    assert!(
        line.contains("Status=5.1.1; Remote-MTA=dns; mail.good.test; Diagnostic-Code=smtp; 550 5.1.1 "),
        "{line}"
    );
    assert_eq!(report.iter().filter(|line| !line.starts_with("reported")).count(), 2, "{report:#?}");

    // A destination that says nothing does not keep the host from stopping, and loses nothing by it.
    host.stop();
    // Before the start: what was under way is due at once, and must not meet the old manner.
    for (_, sink) in &destinations {
        sink.becomes(Manner::Good);
    }
    let host = near.start();
    near.does("queue retry all");
    let waits = ["waiting", "due", "under way"];
    queue(&near, "queue list", |shown| {
        let waiting = |line: &&str| waits.iter().any(|how| line.contains(&format!(".test: {how}")));
        let waiting: Vec<_> = shown.lines().filter(waiting).collect();
        waiting.len() == 1 && waiting[0].contains("later@good.test: ")
    });
    for (to, sink) in &destinations {
        let copies = sink.seen().taken.len();
        let expected = match *to {
            "x@doubt.test" => 2,
            "x@full.test" => 0,
            _ => 1,
        };
        assert_eq!(copies, expected, "{to}");
    }
    assert_eq!(collected(&host, "anna@a.test").len(), reports, "nothing new is told");
}

#[test]
fn a_connection_lost_within_a_message_leaves_no_doubt_about_it() {
    let name = "a_connection_lost_within_a_message_leaves_no_doubt_about_it";
    let sink = Sink::start(Manner::CutsMessage);
    let Some(knot) = Knot::start(name, &mx("cut.test", sink.ip())) else { return };
    let near = site("a", loopback(), knot.address(), PRIVATE, &["anna"]);
    let host = near.start();
    // More than lies between two sockets.
    let line = format!("{}\r\n", "x".repeat(98));
    let message = format!("Subject: long\r\n\r\n{}", line.repeat(200_000));
    let id = submit(&host, "anna@a.test", "anna@a.test", &["x@cut.test"], &message);
    let why = queue(&near, &format!("queue why {id}"), |shown| shown.contains("tried 1 time,"));
    assert!(why.contains("mail.cut.test: 4.4.2 ") && !why.contains("twice"), "{why}");
    sink.becomes(Manner::Good);
    near.does("queue retry cut.test");
    queue_is_empty(&near);
    let seen = sink.seen();
    assert_eq!((seen.connections, seen.taken.len()), (2, 1));
    assert!(seen.taken[0].message.ends_with(&message.replace("\r\n", "\n")));
}
