//! Mail that is sent on to other hosts, and what comes back of it.

use mailhost::listener::Service;

use super::{Manner, Sink, collected, loopback, no_dns, queue_is_empty, session, site, submit};
use crate::relay::PORT;
use crate::support::Wire;

/// A stranger's message, which has to be taken.
#[track_caller]
fn send(wire: &mut Wire, from: &str, to: &str) {
    let reply = wire.offer(from, &[to], "Subject: on its way\r\n\r\n");
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
}

/// The only message that a sink has taken since.
#[track_caller]
fn next(sink: &Sink, before: usize) -> super::sink::Taken {
    let seen = sink.wait(|seen| seen.taken.len() > before);
    assert_eq!(seen.taken.len(), before + 1, "{seen:#?}");
    seen.taken[before].clone()
}

/// C writes to A, which sends it on to B, which sends it on to somebody who refuses it. B tells A, and A tells C.
#[test]
fn a_report_about_what_was_sent_on_twice_comes_back_to_the_sender() {
    let (here, there) = (loopback(), loopback());
    let (carla, dead) = (Sink::start(Manner::Good), Sink::start(Manner::Good));
    let route = |domain: &str, to: std::net::SocketAddr| format!("\"{domain}\" = \"{to}\"\n");
    let routes = |more: String| format!("[relay.routes]\n{more}{}", route("c.test", carla.address()));
    let near = site("a", here, no_dns(), &routes(route("b.test", (there, PORT).into())), &["anna"]);
    let back = format!("{}{}", route("a.test", (here, PORT).into()), route("dead.test", dead.address()));
    let far = site("b", there, no_dns(), &routes(back), &["ben"]);
    near.does("alias add eva@a.test eva@b.test");
    near.does("alias add gone@a.test gone@b.test");
    far.does("alias add eva@b.test eva@dead.test nobody@dead.test");
    let (host, other) = (near.start(), far.start());
    let mut wire = session(host.address(Service::Smtp));
    send(&mut wire, "Carla@c.test", "eva@a.test");
    // What arrives at the end is from B, who has it from A.
    let taken = next(&dead, 0);
    assert!(
        taken.from.starts_with("SRS1=") && taken.from.ends_with("=c.test=Carla@b.test"),
        "{}",
        taken.from
    );
    assert!(taken.from.contains("=a.test=="), "{}", taken.from);
    assert_eq!(taken.to, ["eva@dead.test"]);
    // And the report goes all the way back, from nobody.
    let report = next(&carla, 0);
    assert_eq!((&*report.from, &report.to[..]), ("", &["Carla@c.test".to_owned()][..]));
    assert!(report.message.contains("nobody@dead.test"), "{}", report.message);

    // B refuses this one at once, and A itself makes the report.
    send(&mut wire, "Carla@c.test", "gone@a.test");
    let report = next(&carla, 1);
    assert!(report.message.contains("gone@b.test") && report.message.contains("5.1.1"), "{}", report.message);
    queue_is_empty(&near);
    queue_is_empty(&far);

    // Only reports come through, and only to senders that were made here.
    let theirs = taken.from.replace("@b.test", "@a.test");
    let mut stranger = session(other.address(Service::Smtp));
    stranger.say("MAIL FROM:<spam@far.test>", "250");
    stranger.say(&format!("RCPT TO:<{}>", taken.from), "550 5.7.1 only reports");
    stranger.say("RSET", "250");
    stranger.say("MAIL FROM:<>", "250");
    stranger.say(&format!("RCPT TO:<{}>", taken.from.to_lowercase()), "250");
    stranger.say(&format!("RCPT TO:<{}>", taken.from.replace("=c.test=", "=d.test=")), "550 5.1.1");
    wire.say("MAIL FROM:<>", "250");
    wire.say(&format!("RCPT TO:<{theirs}>"), "550 5.1.1");
}

#[test]
fn an_account_sends_its_mail_on_and_keeps_it_or_not() {
    let sink = Sink::start(Manner::Good);
    let route = format!("[relay.routes]\n\"c.test\" = \"{}\"\n", sink.address());
    let near = site("a", loopback(), no_dns(), &route, &["anna", "ben"]);
    near.does("alias add all@a.test anna@a.test ben@a.test");
    near.does("account forward anna@a.test anna@c.test");
    let host = near.start();
    near.command("account forward ben@a.test all@a.test").failed("ben@a.test would lead back to itself");
    near.command("account forward ben@a.test ghost@a.test").failed(
        "ghost@a.test is of a domain of this host, and neither an account nor an alias; add it first with \
         `mailhost account add` or `mailhost alias add`",
    );
    let mut wire = session(host.address(Service::Smtp));
    send(&mut wire, "carla@far.test", "all@a.test");
    let taken = next(&sink, 0);
    assert!(
        taken.from.starts_with("SRS0=") && taken.from.ends_with("=far.test=carla@a.test"),
        "{}",
        taken.from
    );
    assert_eq!(taken.to, ["anna@c.test"]);
    assert_eq!((collected(&host, "anna@a.test").len(), collected(&host, "ben@a.test").len()), (1, 1));
    // Null stays null, and what is ours stays what it is.
    near.does("account forward anna@a.test anna@c.test ben@a.test --no-keep");
    send(&mut wire, "", "anna@a.test");
    assert_eq!(next(&sink, 1).from, "");
    submit(&host, "anna@a.test", "anna@a.test", &["anna@a.test", "eva@c.test"], "Subject: mine\r\n\r\n");
    let taken = next(&sink, 2);
    assert_eq!((&*taken.from, taken.to.len()), ("anna@a.test", 2));
    assert_eq!((collected(&host, "anna@a.test").len(), collected(&host, "ben@a.test").len()), (1, 3));
    let shown = near.does("account show anna@a.test");
    assert!(shown.contains("forwards all to  anna@c.test\n"), "{shown}");
    assert!(shown.contains("alias            all@a.test\n"), "{shown}");
    // Whom mail is sent on to has no right to the address that it was sent to; and whose it is keeps it.
    super::submission(&host, "ben@a.test").say("MAIL FROM:<anna@a.test>", "553 5.7.1");
    near.does("account forward anna@a.test");
    send(&mut wire, "carla@far.test", "anna@a.test");
    assert_eq!(collected(&host, "anna@a.test").len(), 2);
    queue_is_empty(&near);
}

/// One message to somebody who wants it under two senders: the client named one address itself.
#[test]
fn what_is_relayed_and_what_is_sent_on_go_under_senders_of_their_own() {
    let sink = Sink::start(Manner::Good);
    let route =
        format!("networks = [\"127.0.0.0/8\"]\n[relay.routes]\n\"c.test\" = \"{}\"\n", sink.address());
    let near = site("a", loopback(), no_dns(), &route, &["anna"]);
    near.does("account forward anna@a.test anna@c.test eva@c.test");
    let host = near.start();
    let mut wire = session(host.address(Service::Smtp));
    let reply = wire.offer("carla@far.test", &["anna@a.test", "eva@c.test"], "Subject: x\r\n\r\n");
    assert!(reply.starts_with("250 2.0.0 "), "{reply}");
    let seen = sink.wait(|seen| seen.taken.len() == 2);
    let mut taken: Vec<_> = seen.taken.iter().map(|taken| (&taken.from[..5], taken.to.join(" "))).collect();
    taken.sort();
    assert_eq!(taken, [("SRS0=", "anna@c.test".to_owned()), ("carla", "eva@c.test".to_owned())]);
    queue_is_empty(&near);
}

/// The other host sends it straight back. Whoever keeps a copy has one, and not fifty.
#[test]
fn a_ring_of_forwards_over_two_hosts_ends_at_its_first_return() {
    let (here, there) = (loopback(), loopback());
    let carla = Sink::start(Manner::Good);
    let routes = |domain: &str, to| {
        format!("[relay.routes]\n\"{domain}\" = \"{to}:{PORT}\"\n\"c.test\" = \"{}\"\n", carla.address())
    };
    let near = site("a", here, no_dns(), &routes("b.test", there), &["anna"]);
    let far = site("b", there, no_dns(), &routes("a.test", here), &["ben"]);
    near.does("account forward anna@a.test ben@b.test");
    far.does("account forward ben@b.test anna@a.test");
    let (host, other) = (near.start(), far.start());
    send(&mut session(host.address(Service::Smtp)), "carla@c.test", "anna@a.test");
    let report = next(&carla, 0);
    assert!(report.message.contains("goes round in circles"), "{}", report.message);
    queue_is_empty(&near);
    queue_is_empty(&far);
    assert_eq!((collected(&host, "anna@a.test").len(), collected(&other, "ben@b.test").len()), (1, 1));
}
