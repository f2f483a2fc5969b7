//! A queue that is larger than what the host has of it in memory.

use super::{
    Host, PORT, Site, collected, logged, loopback, no_dns, queue, queue_is_empty, site, submission, submit,
};

/// A host with four messages in memory, and the host that its mail goes to.
fn sites() -> (Site, Site) {
    let there = loopback();
    let relay = format!(
        "[relay.routes]\n\"b.test\" = \"{there}:{PORT}\"\n\"c.test\" = \"{there}:{PORT}\"\n\
         [queue]\nretry = [\"1s\"]\nresident_messages = 4\n"
    );
    (site("a", loopback(), no_dns(), &relay, &["anna"]), site("b", there, no_dns(), "", &["ben"]))
}

/// Submits so many, and gives their names.
fn fill(host: &Host, first: usize, count: usize) -> Vec<String> {
    let mut wire = submission(host, "anna@a.test");
    let message = |number| format!("Subject: message {number}.\r\n\r\ntext\r\n");
    (first..first + count)
        .map(|number| {
            let reply = wire.offer("anna@a.test", &["ben@b.test"], message(number));
            reply.strip_prefix("250 2.0.0 accepted as ").unwrap_or_else(|| panic!("{reply}")).to_owned()
        })
        .collect()
}

fn waiting(shown: &str) -> usize {
    shown.matches("ben@b.test: ").count()
}

#[track_caller]
fn all_have_arrived_once(other: &Host, count: usize, except: &[usize]) {
    let messages = collected(other, "ben@b.test");
    for number in 0..count {
        let subject = format!("Subject: message {number}.\r\n");
        let copies = messages.iter().filter(|message| message.contains(&subject)).count();
        assert_eq!(copies, usize::from(!except.contains(&number)), "message {number}");
    }
}

#[test]
fn a_queue_that_is_larger_than_its_window_goes_through_restarts_and_arrives_once() {
    let (near, far) = sites();
    let host = near.start();
    let mut names = fill(&host, 0, 40);
    assert_eq!(waiting(&near.does("queue list")), 40);
    host.kill();

    let host = near.start();
    logged(&host, "mail for others waits messages=40");
    // Orders find what is outside the window, by either of its names.
    let shown = near.does(&format!("queue show {}", names[3]));
    assert!(shown.starts_with(&format!("{}  from anna@a.test, ", names[3])), "{shown}");
    let of_queue = shown.split("(message ").nth(1).and_then(|rest| rest.split(')').next()).unwrap();
    assert_eq!(near.does(&format!("queue drop {of_queue}")), "done for 1 recipient\n");
    assert_eq!(near.does(&format!("queue hold {}", names[7])), "done for 1 recipient\n");
    assert!(near.does(&format!("queue why {}", names[20])).contains("ben@b.test: "));
    names.extend(fill(&host, 40, 20));
    let shown = near.does("queue list");
    assert_eq!((waiting(&shown), shown.matches("held by the operator").count()), (59, 1), "{shown}");
    host.stop();

    let host = near.start();
    let other = far.start();
    queue(&near, "queue list", |shown| waiting(shown) == 1 && shown.contains(&names[7]));
    assert_eq!(near.does("queue release b.test"), "done for 1 recipient\n");
    queue_is_empty(&near);
    all_have_arrived_once(&other, 60, &[3]);
    host.stop();
}

#[test]
fn orders_for_all_and_for_a_destination_reach_beyond_the_window_with_the_host_running_and_without() {
    let (near, far) = sites();
    for running in [true, false] {
        let host = near.start();
        let first = if running { 0 } else { 30 };
        fill(&host, first, 30);
        submit(&host, "anna@a.test", "anna@a.test", &["carl@c.test"], "Subject: c\r\n\r\ntext\r\n");
        let host = if running {
            Some(host)
        } else {
            host.stop();
            None
        };
        // Whatever is under way is held when its attempt has failed.
        near.does("queue hold all");
        let shown = queue(&near, "queue list", |shown| shown.matches(": held by").count() == 31);
        assert_eq!(waiting(&shown), 30);
        let none = near.command("queue hold all");
        none.failed("there is nothing in the queue for all that this could be done to");
        near.command("queue hold anna@c.test").failed(
            "anna@c.test is an address; name a message in front of it, or only its domain for all that goes there",
        );
        assert_eq!(near.does("queue bounce c.test"), "done for 1 recipient\n");
        assert_eq!(near.does("queue release all"), "done for 30 recipients\n");
        let host = host.unwrap_or_else(|| near.start());
        let other = far.start();
        queue_is_empty(&near);
        all_have_arrived_once(&other, first + 30, &[]);
        let reports = collected(&host, "anna@a.test");
        assert_eq!(reports.len(), if running { 1 } else { 2 }, "{reports:#?}");
        host.stop();
        other.stop();
    }
}
