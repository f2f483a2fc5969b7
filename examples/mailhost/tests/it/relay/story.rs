//! One name tells the whole story of a message.

use super::{PORT, collected, logged, loopback, no_dns, queue_is_empty, session, site, submit};
use crate::relay::sink::{Manner, Sink};
use crate::support::{Host, field};
use mailhost::listener::Service;

/// As `grep` finds them: the events that name a message, in their order.
fn story(host: &Host, id: &str) -> Vec<String> {
    let about = |line: &String| {
        line.split(' ').any(|word| word.split_once('=').is_some_and(|(_, value)| value == id))
    };
    host.log().iter().filter(|line| about(line)).map(|line| event(line)).collect()
}

/// The same once it has come to this event: what the host has done is there before its line has been read.
fn story_to(host: &Host, id: &str, last: &str) -> Vec<String> {
    loop {
        let story = story(host, id);
        if story.last().is_some_and(|event| event == last) {
            return story;
        }
        host.wait_for(id);
    }
}

/// The sentence of a line.
fn event(line: &str) -> String {
    let rest = line.splitn(4, ' ').nth(3).unwrap_or_default();
    let end = rest.find('=').map_or(rest.len(), |at| rest[..at].rfind(' ').unwrap_or(0));
    rest[..end].to_owned()
}

#[test]
fn the_name_of_a_message_is_in_its_reply_its_trace_its_queue_and_all_that_is_logged_of_it() {
    let (good, slow) = (Sink::start(Manner::Good), Sink::start(Manner::Ends("451 4.2.0 come back later")));
    let relay = format!(
        "[relay.routes]\n\"c.test\" = \"{}:{PORT}\"\n\"d.test\" = \"{}:{PORT}\"\n[queue]\nretry = [\"1s\"]\n",
        good.ip(),
        slow.ip()
    );
    let near = site("a", loopback(), no_dns(), &relay, &["anna", "ben"]);
    near.does("alias add list@a.test anna@a.test eva@c.test");
    let host = near.start();

    // Delivered here.
    let id = submit(&host, "ben@a.test", "ben@a.test", &["anna@a.test"], "Subject: here\r\n\r\n");
    let told = story_to(&host, &id, "delivered here");
    assert_eq!(told, ["mail", "recipient", "accepted", "delivered here"]);
    let mail = collected(&host, "anna@a.test");
    assert!(mail[0].contains(&format!(" id {id}")), "{}", mail[0]);

    // By an alias, to a mailbox and to another host.
    let id = submit(&host, "ben@a.test", "ben@a.test", &["list@a.test"], "Subject: alias\r\n\r\n");
    queue_is_empty(&near);
    let told =
        ["mail", "recipient", "queued", "accepted", "delivered here", "connected", "attempt", "finished"];
    assert_eq!(story_to(&host, &id, "finished"), told);
    assert!(good.seen().taken[0].message.contains(&format!(" id {id}")));

    // Put off, and then taken.
    let id = submit(&host, "ben@a.test", "ben@a.test", &["fritz@d.test"], "Subject: later\r\n\r\n");
    logged(&host, "deferred");
    assert!(near.does("queue list").contains(&id));
    slow.becomes(Manner::Good);
    near.command("queue retry all");
    queue_is_empty(&near);
    let told = story_to(&host, &id, "finished");
    assert_eq!(told[..6], ["mail", "recipient", "queued", "accepted", "connected", "attempt"]);
    assert_eq!(told[6], "deferred");
    assert_eq!(told[told.len() - 2..], ["attempt", "finished"], "{told:?}");
    let replies: Vec<_> =
        host.log().into_iter().filter(|line| event(line) == "attempt" && line.contains(&id)).collect();
    assert!(replies[0].contains("451 4.2.0 come back later"), "{replies:?}");

    // Refused there, and reported under a name of its own.
    let id = submit(&host, "ben@a.test", "ben@a.test", &["nobody@c.test"], "Subject: refused\r\n\r\n");
    queue_is_empty(&near);
    let told = story_to(&host, &id, "finished");
    assert!(
        told.contains(&"given up".to_owned()) && told.contains(&"report delivered".to_owned()),
        "{told:?}"
    );
    let report = logged(&host, "report delivered");
    assert_eq!(field(&report, "because"), Some(&*id));
    assert!(collected(&host, "ben@a.test")[0].contains("nobody@c.test"));

    // Dropped by the operator.
    slow.becomes(Manner::Ends("451 4.2.0 come back later"));
    let id = submit(&host, "ben@a.test", "ben@a.test", &["fritz@d.test"], "Subject: dropped\r\n\r\n");
    while !story(&host, &id).contains(&"deferred".to_owned()) {
        host.wait_for("deferred");
    }
    near.does(&format!("queue drop {id}"));
    queue_is_empty(&near);
    let told = story_to(&host, &id, "finished");
    assert!(told.contains(&"ordered".to_owned()), "{told:?}");

    // Refused here.
    let mut wire = session(host.address(Service::Smtp));
    wire.say("MAIL FROM:<eva@c.test>", "250");
    wire.say("RCPT TO:<hugo@a.test>", "550 5.1.1");
    wire.say("QUIT", "221");
    let line = logged(&host, "hugo@a.test");
    let id = field(&line, "id").unwrap();
    assert_eq!(story_to(&host, id, "recipient refused"), ["mail", "recipient refused"]);
    // All lines of a session have its name as well.
    let name = field(&line, "session").unwrap().to_owned();
    let ended = loop {
        let ended =
            host.log().into_iter().find(|line| line.contains("session ended") && line.contains(&name));
        match ended {
            Some(line) => break line,
            None => drop(host.wait_for("session ended")),
        }
    };
    assert!(field(&ended, "read").is_some_and(|count| count.parse::<u64>().unwrap() > 50), "{ended}");
    assert_eq!(story(&host, &name)[..2], ["session began", "mail"]);
}
