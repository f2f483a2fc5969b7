//! What senders are told: RFC 3464.

use core::time::Duration;

use relay_queue::envelope::Notify;
use relay_queue::queue::Fact;
use relay_queue::{
    Address, Answer, BodyHandle, Envelope, Event, Limits, Outcome, Queue, Recipient, Report, Route, Status,
};

use crate::world::{Manner, SEED, START, World, address, at, config, envelope};

/// The report on a message of which every recipient gets the outcome.
fn report(envelope: Envelope, outcome: &Outcome) -> Report {
    let mut queue = Queue::new(config(), SEED);
    let commit = queue.accept(at(START), envelope).expect("room");
    queue.handle_durable(commit.id);
    while let Some(event) = queue.poll(at(START)) {
        match event {
            Event::Resolve(domain) => {
                queue.handle_route(
                    at(START),
                    &domain,
                    Route::Site { site: "mx".to_owned(), until: at(START + 60) },
                );
            }
            Event::Attempt(mut attempt) => {
                attempt.settle_rest(outcome);
                while queue.next_delivery(at(START + 2), &mut attempt) {}
                queue.handle_outcome(at(START + 2), attempt, relay_queue::Ending::Closed);
            }
            Event::Commit(commit) => {
                if let Some(report) = commit.report {
                    return report;
                }
            }
            _ => {}
        }
    }
    panic!("no report")
}

fn whole(report: &Report) -> String {
    let text = [&report.head[..], b"From: alice@a.test\r\nSubject: hello\r\n", &report.tail].concat();
    String::from_utf8(text).expect("text")
}

/// What RFC 5322 and RFC 2046 ask of any of them.
fn check(report: &Report) {
    let text = whole(report);
    assert!(text.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n', '\0'])), "{text}");
    let boundary =
        text.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a boundary");
    assert_eq!(text.matches(boundary).count(), 5);
    assert_eq!(text.matches(&format!("\r\n--{boundary}\r\n")).count(), 3);
    assert!(text.ends_with(&format!("\r\n--{boundary}--\r\n")));
    let status = text.split("Content-Type: message/delivery-status\r\n\r\n").nth(1).expect("a part");
    let status = status.split(&format!("\r\n--{boundary}")).next().expect("its end");
    assert!(status.is_ascii());
    for group in status.trim_end().split("\r\n\r\n") {
        assert!(!group.is_empty());
        for line in group.split("\r\n") {
            let field = line.split_once(": ").is_some_and(|(name, _)| {
                name.bytes().all(|octet| octet.is_ascii_alphabetic() || octet == b'-')
            });
            assert!(field || line.starts_with('\t') && !line.trim().is_empty(), "{line:?}");
        }
    }
}

// Ledger: 3464-2-1, 3464-2.2.1-2, 3464-2.2.5-1, 3464-2.3.2-1, 3464-2.3.2-2, 3464-2.3.3-1, 3464-2.3.4-1, 3464-2.3.4-2
// Ledger: 3464-2.3.7-2, 3464-A-1, 5321-4.4-10, 5321-6.1-4
#[test]
fn a_report_reads_as_it_should() {
    let to = Recipient::new(address("bob@b.test")).original("rfc822;Robert@b.test").expect("good");
    let envelope =
        Envelope::new(Some(address("alice@a.test")), BodyHandle(42)).to(to).id("QQ314159").expect("good");
    let answer = Answer::reply(550, Some(Status::new(5, 1, 1)), "no such mailbox here").by("mx.b.test");
    let report = report(envelope, &Outcome::Refused(answer));
    check(&report);
    assert_eq!((report.original, report.to.as_str()), (BodyHandle(42), "alice@a.test"));
    let text = whole(&report);
    let boundary =
        text.split("boundary=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a boundary");
    let name = text.split("Message-ID: <").nth(1).and_then(|rest| rest.split('@').next()).expect("a name");
    let text = text.replace(boundary, "BOUNDARY").replace(name, "NAME");
    assert_eq!(text, include_str!("../fixtures/report.eml").replace('\n', "\r\n"));
}

// Ledger: 3464-2.3.2-1, 3464-2.3.3-1
#[test]
fn nothing_in_an_answer_can_add_a_field_or_a_part() {
    let hostile = format!(
        "no\r\nAction: delivered\r\n\r\n--=_{:032x}--\r\n.\r\n\0{} {}",
        7,
        "x".repeat(400),
        "é\u{2028}\u{85}"
    );
    for code in [550, 554, 0] {
        let answer = Answer::reply(code, None, &hostile).by("mx\r\nStatus: 2.0.0");
        let report =
            report(envelope("alice@a.test", &["bob@b.test", "carol@b.test"]), &Outcome::Refused(answer));
        check(&report);
        let text = whole(&report);
        assert_eq!(text.matches("\r\nAction: failed\r\n").count(), 2);
        assert!(!text.contains("\r\nAction: delivered") && !text.contains("\r\nStatus: 2.0.0"));
    }
}

// Ledger: 3464-2.1-1, 3464-2.3.2-3
#[test]
fn addresses_of_any_kind_stay_within_their_lines() {
    let long = format!("{}@b.test", "ü".repeat(123));
    for to in ["\"a b\\\"c\"@b.test", "gr\u{e5}@b.test", &long, &format!("{}@b.test", "a".repeat(246))] {
        let answer = Answer::reply(550, None, "no");
        let report = report(envelope("alice@a.test", &[to]), &Outcome::Refused(answer));
        check(&report);
        let typed = whole(&report)
            .contains(&format!("Final-Recipient: {}", if to.is_ascii() { "rfc822; " } else { "utf-8; " }));
        assert!(typed || to.len() > 60, "{to}");
    }
}

#[test]
fn what_was_not_wanted_is_not_reported() {
    let mut world =
        World::new(config(), |_, to, _| if to.starts_with("no") { Manner::Refuses } else { Manner::Defers });
    let never = |to: &str| Recipient::new(address(to)).notify(Notify::NEVER);
    let no_delay = Recipient::new(address("late@b.test")).notify(Notify { failure: true, delay: false });
    let envelope =
        Envelope::new(Some(address("alice@a.test")), BodyHandle(1)).to(never("no@b.test")).to(no_delay);
    world.accept(envelope, &[]).expect("stored");
    world.run(START + 29 * 3_600);
    assert_eq!(world.reports(), []);
    world.run(START + 31 * 3_600);
    assert_eq!(world.reports().len(), 1);
    assert!(!world.reports()[0].1.contains("no@b.test"));
}

// Ledger: 3464-2-2, 5321-3.6.3-3
#[test]
fn reports_go_out_from_nobody_and_say_that_no_answer_is_wanted() {
    let report =
        report(envelope("alice@a.test", &["bob@b.test"]), &Outcome::Refused(Answer::reply(550, None, "no")));
    let text = whole(&report);
    assert!(text.starts_with("From: Mail delivery <MAILER-DAEMON@mail.example.test>\r\n"));
    assert!(text.contains("\r\nAuto-Submitted: auto-replied\r\n"));
    let mut queue = Queue::new(config(), SEED);
    let commit = queue.accept_report(at(START), &report, BodyHandle(9));
    let view = queue.show(commit.message).expect("it is there");
    assert_eq!((view.from(), view.body()), (None, BodyHandle(9)));
    let to: Vec<&Address> = view.recipients().map(|to| to.address).collect();
    assert_eq!(to, [&report.to]);
}

// Ledger: 3464-2.2.1-1, 3464-2.2.3-2, 3464-2.3.2-4, 3464-2.3.5-1, 3464-2.3.7-1, 3464-2.3.9-1, 3464-2.3.9-2, 3464-3-1
#[test]
fn a_report_has_no_field_that_nobody_gave() {
    // No host has answered, no envelope has an identifier or an original recipient, and nothing is tried again.
    let answer = Answer::local(Status::new(5, 1, 2), "no such domain");
    let text = whole(&report(envelope("alice@a.test", &["Bob.B@B.test"]), &Outcome::Refused(answer)));
    let absent =
        ["Original-Envelope-Id:", "Original-Recipient:", "DSN-Gateway:", "Remote-MTA:", "Will-Retry-Until:"];
    assert!(absent.iter().all(|field| !text.contains(field)), "{text}");
    assert!(text.contains("\r\nFinal-Recipient: rfc822; Bob.B@B.test\r\n"), "{text}");
    // What was never tried has no last attempt, and what is late is tried until a moment with its zone in numbers.
    let limits = Limits::default().attempts(1).lease(Duration::from_secs(100 * 3_600));
    let mut world = World::new(config().limits(limits), |_, _, _| Manner::Takes);
    world.latency = 90 * 3_600;
    world.send("slow@a.test", &["slow@slow.test"]);
    world.run(START + 60);
    world.send("alice@a.test", &["bob@b.test"]);
    world.run(START + 5 * 3_600);
    let reports = world.reports();
    let text =
        reports.iter().map(|(_, text)| text).find(|text| text.contains("bob@b.test")).expect("a report");
    assert!(text.contains("\r\nAction: delayed\r\n") && !text.contains("Last-Attempt-Date:"), "{text}");
    let until =
        text.split("\r\nWill-Retry-Until: ").nth(1).and_then(|rest| rest.lines().next()).expect("a time");
    assert!(until.ends_with(" +0000"), "{until}");
}

#[test]
fn boundaries_differ_from_message_to_message() {
    let mut seen = std::collections::BTreeSet::new();
    let mut world = World::new(config(), |_, _, _| Manner::Refuses);
    for _ in 0..50 {
        world.send("alice@a.test", &["bob@b.test"]);
        world.run(world.now);
    }
    for (_, text) in world.reports() {
        seen.insert(text.split("boundary=").nth(1).expect("a boundary")[..40].to_owned());
    }
    assert_eq!(seen.len(), 50);
}

/// A message that failed at two domains within one second got two reports under one name, and readers showed one.
#[test]
fn reports_of_the_same_second_on_one_message_have_names_of_their_own() {
    let mut queue = Queue::new(config(), SEED);
    let commit =
        queue.accept(at(START), envelope("alice@a.test", &["bob@b.test", "carol@c.test"])).expect("room");
    queue.handle_durable(commit.id);
    let (mut asked, mut names) = (Vec::new(), std::collections::BTreeSet::new());
    loop {
        match queue.poll(at(START)) {
            Some(Event::Resolve(domain)) => asked.push(domain),
            Some(Event::Commit(commit)) => {
                if let Some(report) = &commit.report {
                    let text = whole(report);
                    let name = text.split("Message-ID: <").nth(1).and_then(|rest| rest.split('>').next());
                    names.insert(name.expect("a name").to_owned());
                }
                queue.handle_durable(commit.id);
            }
            Some(_) => {}
            None => {
                let Some(domain) = asked.pop() else { break };
                let answer = Answer::local(Status::new(5, 1, 2), "no such domain");
                let route = Route::Failed { answer, permanent: true, until: at(START + 60) };
                queue.handle_route(at(START), &domain, route);
            }
        }
    }
    assert_eq!(names.len(), 2);
}

#[test]
fn a_commit_says_what_it_writes_down_and_each_is_told_once_it_is_durable() {
    let mut world = World::new(config(), |_, to, now| match to {
        "late@b.test" if now < START + 900 => Manner::Defers,
        "no@b.test" => Manner::Refuses,
        _ => Manner::Takes,
    });
    // The first two commits of every message fail, and are made once more.
    let mut failed = 0;
    world.fails = Box::new(move |number| {
        failed += u32::from(number > 1);
        number > 1 && failed <= 2
    });
    world.send("alice@a.test", &["yes@b.test", "no@b.test", "late@b.test"]);
    world.run(START + 7_200);
    let told: Vec<_> = world.facts.iter().map(|(_, fact)| fact.clone()).collect();
    let told: Vec<_> = told.into_iter().filter(|fact| !matches!(fact, Fact::Finished { .. })).collect();
    assert_eq!(told, world.written);
    let ends = |what: fn(&Fact) -> bool| world.written.iter().filter(|fact| what(fact)).count();
    assert_eq!(ends(|fact| matches!(fact, Fact::Delivered { .. })), 2, "{:?}", world.written);
    assert_eq!(ends(|fact| matches!(fact, Fact::Failed { .. })), 1);
    assert!(ends(|fact| matches!(fact, Fact::Deferred { .. })) >= 1 && world.queue.is_empty());
}
