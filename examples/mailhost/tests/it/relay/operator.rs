//! `mailhost queue`, with the host running and without, and what a kill leaves.

use super::{
    Host, Knot, Manner, PRIVATE, Sink, collected, loopback, mx, no_dns, queue, queue_is_empty, site, submit,
};

#[test]
fn a_message_waits_for_a_host_that_is_down_and_survives_a_kill() {
    let name = "a_message_waits_for_a_host_that_is_down_and_survives_a_kill";
    let (here, there, second) = (loopback(), loopback(), loopback());
    let records = format!("{}b.test. MX 20 second.b.test.\nsecond.b.test. A {second}\n", mx("b.test", there));
    let Some(knot) = Knot::start(name, &records) else { return };
    let near = site("a", here, knot.address(), PRIVATE, &["anna"]);
    let far = site("b", there, no_dns(), "", &["ben"]);
    let host = near.start();
    let send = |host: &Host, subject| {
        let message = format!(
            "Message-ID: <{subject}@a.test>\r\nDate: Sun, 22 Nov 2026 02:00:00 +0000\r\nSubject: {subject}\r\n\r\ntext\r\n"
        );
        submit(host, "anna@a.test", "anna@a.test", &["ben@b.test"], &message)
    };
    let ids = ["first", "second"].map(|subject| send(&host, subject));
    queue(&near, "queue list", |shown| {
        ids.iter().all(|id| shown.contains(&format!("{id}  from anna@a.test, ")))
    });
    let why = queue(&near, &format!("queue why {}", ids[0]), |shown| shown.contains("next try at "));
    assert!(why.contains("    ben@b.test: "), "{why}");
    for what in [
        "b.test MX @".to_owned(),
        format!("mail.b.test A @{} udp: {there} [60 s]", knot.address()),
        format!("host 1: mail.b.test port 2525, at {there}\n"),
        format!("host 2: second.b.test port 2525, at {second}\n"),
    ] {
        assert!(why.contains(&what), "{what}: {why}");
    }
    assert!(why.contains("4.4.1") && why.contains("refused"), "{why}");
    assert!(
        why.contains("expires ") && why.contains("goes back to its sender, after one more try, at "),
        "{why}"
    );
    host.kill();

    let host = near.start();
    let shown = near.does("queue list");
    assert!(ids.iter().all(|id| shown.contains(&format!("{id}  from anna@a.test, "))), "{shown}");
    // Soon behind the start before, and yet under a name of its own.
    let third = send(&host, "third");
    assert!(!ids.contains(&third), "{third} is the name of two messages");
    let other = far.start();
    near.does("queue retry all");
    queue_is_empty(&near);
    let mut messages = collected(&other, "ben@b.test");
    messages.sort_by_key(|message| message.find("Subject: ").map(|at| message[at..].to_owned()));
    assert_eq!(messages.len(), 3, "{messages:#?}");
    for (message, subject) in messages.iter().zip(["first", "second", "third"]) {
        assert!(message.ends_with(&format!("Subject: {subject}\r\n\r\ntext\r\n")), "{message}");
    }
    assert_eq!(collected(&host, "anna@a.test").len(), 0);
}

#[test]
fn orders_do_what_they_say_with_the_host_running_and_without() {
    let name = "orders_do_what_they_say_with_the_host_running_and_without";
    let sink = Sink::start(Manner::Greets("421 4.3.2 not now"));
    let Some(knot) = Knot::start(name, &mx("c.test", sink.ip())) else { return };
    let near = site("a", loopback(), knot.address(), PRIVATE, &["anna"]);
    for running in [true, false] {
        sink.becomes(Manner::Greets("421 4.3.2 not now"));
        let host = near.start();
        let send =
            |to: &[&str]| submit(&host, "anna@a.test", "anna@a.test", to, "Subject: x\r\n\r\ntext\r\n");
        let (kept, bounced, dropped) =
            (send(&["keep@c.test"]), send(&["bounce@c.test", "both@c.test"]), send(&["drop@c.test"]));
        let taken = sink.seen().taken.len();
        let before = collected(&host, "anna@a.test").len();
        // Nothing is under way any more.
        for id in [&kept, &bounced, &dropped] {
            queue(&near, &format!("queue why {id}"), |shown| {
                shown.contains("is left alone for a while") || shown.contains("next try at")
            });
        }
        let host = if running {
            Some(host)
        } else {
            host.stop();
            None
        };

        assert_eq!(near.does(&format!("queue hold {kept}")), "done for 1 recipient\n");
        queue(&near, &format!("queue show {kept}"), |shown| {
            shown.contains("keep@c.test: held by the operator")
        });
        assert_eq!(near.does(&format!("queue bounce {bounced} bounce@c.test")), "done for 1 recipient\n");
        assert_eq!(near.does(&format!("queue drop {dropped}")), "done for 1 recipient\n");
        let wrong = near.command("queue drop ffffffffffff");
        wrong.failed("there is no message ffffffffffff in the queue; see `mailhost queue list`");
        queue(&near, "queue list", |shown| {
            shown.matches("@c.test: ").count() == 3
                && shown.contains("keep@c.test: held")
                && shown.contains("bounce@c.test: given up")
                && shown.contains("both@c.test: ")
        });

        sink.becomes(Manner::Good);
        let host = host.unwrap_or_else(|| near.start());
        // Not all: that would be for what is held as well. A start may have begun with it already.
        let retried = near.command(&format!("queue retry {bounced}"));
        assert!(!running || retried.stdout == "done for 1 recipient\n", "{retried:?}");
        queue(&near, "queue list", |shown| {
            shown.matches("@c.test: ").count() == 1 && shown.contains("keep@c.test: held")
        });
        let seen = sink.seen();
        assert_eq!(seen.taken.len(), taken + 1, "{seen:#?}");
        assert_eq!(seen.taken[taken].to, ["both@c.test"]);
        let reports = collected(&host, "anna@a.test");
        assert_eq!(reports.len(), before + 1, "{reports:#?}");
        let report = reports.last().unwrap();
        assert!(report.contains("Final-Recipient: rfc822; bounce@c.test\r\n"), "{report}");
        assert!(!report.contains("drop@c.test") && !report.contains("both@c.test"), "{report}");

        near.does(&format!("queue release {kept}"));
        queue_is_empty(&near);
        let seen = sink.seen();
        assert_eq!(seen.taken.len(), taken + 2, "{seen:#?}");
        assert_eq!(seen.taken[taken + 1].to, ["keep@c.test"]);
        near.command("queue retry all")
            .failed("there is nothing in the queue for all that this could be done to");
        host.stop();
    }
}
