//! A page that is open is told of what happens.

use std::fs;
use std::time::Instant;

use mailhost::listener::Service;

use super::{Anna, message, put, site};
use crate::imap::Imap;
use crate::support::{DEADLINE, Host, Wire, field};

/// A page that listens, and knows nothing of what came before.
fn listen(host: &Host, anna: &Anna<'_>, folder: &str) -> Wire {
    let number = folder.rsplit('/').next().expect("a number");
    ask(host, anna, &format!("/mail/events?box={number}"))
}

/// Where a page listens.
#[track_caller]
fn address(page: &str) -> String {
    let (_, rest) = page.split_once("data-events=\"").expect("an address");
    rest.split('"').next().expect("its end").replace("&amp;", "&")
}

/// Asks for a path, and does not wait for the answer.
pub(super) fn ask(host: &Host, anna: &Anna<'_>, path: &str) -> Wire {
    // The format of curl's file of cookies: fields parted by tabs, the name and the value at the end.
    let jar = fs::read_to_string(&anna.browser.jar).expect("cookies");
    let cookie = jar.lines().filter(|line| line.contains("postrider")).find_map(|line| {
        let mut fields = line.rsplit('\t');
        let (value, name) = (fields.next()?, fields.next()?);
        Some(format!("{name}={value}"))
    });
    let address = host.address(Service::Web);
    let mut wire = Wire::connect(address);
    wire.send(format!(
        "GET {path} HTTP/1.1\r\nHost: mail.example.test:{}\r\nCookie: {}\r\n\r\n",
        address.port(),
        cookie.expect("a cookie")
    ));
    wire
}

/// The head of the answer, which is a stream of events.
#[track_caller]
fn streams(wire: &mut Wire) {
    assert_eq!(wire.line(), OK);
    fields(wire);
}

#[track_caller]
fn fields(wire: &mut Wire) {
    until(wire, "content-type: text/event-stream");
    until(wire, "");
}

/// The same at once, or as soon as the host has noticed that pages of before are gone: a session listens but a few times.
#[track_caller]
fn stream(host: &Host, anna: &Anna<'_>, path: &str) -> Wire {
    let begun = Instant::now();
    loop {
        let mut wire = ask(host, anna, path);
        let answer = wire.line();
        if answer == OK {
            fields(&mut wire);
            return wire;
        }
        assert!(answer == "HTTP/1.1 429 Too Many Requests" && begun.elapsed() < DEADLINE, "{answer}");
    }
}

#[track_caller]
fn until(wire: &mut Wire, line: &str) {
    loop {
        let octets = wire.try_line().expect("a line");
        let text = String::from_utf8_lossy(&octets);
        assert!(!text.is_empty(), "it ended before {line:?}");
        if text.trim_end() == line {
            return;
        }
    }
}

#[test]
fn a_page_that_is_open_is_told_of_what_happens() {
    let Some(site) = site("a_page_that_is_open_is_told_of_what_happens") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    let anna = Anna::sign_in(&site, &host);
    let archive = anna.folder("Archive");
    let mut wire = listen(&host, &anna, &archive);
    streams(&mut wire);
    put(&mut imap, "INBOX", &message("a", "", "carla@far.test", "x", "y"));
    until(&mut wire, "event: changed");
    until(&mut wire, "data: inbox");
    put(&mut imap, "Archive", &message("b", "", "carla@far.test", "x", "y"));
    until(&mut wire, "data: open");

    // Four at a time; one that leaves makes room.
    let mut more: Vec<Wire> = (0..3).map(|_| listen(&host, &anna, &archive)).collect();
    more.iter_mut().for_each(streams);
    assert_eq!(listen(&host, &anna, &archive).line(), "HTTP/1.1 429 Too Many Requests");

    // A session that is over is told nothing.
    site.does("account suspend anna@example.test");
    for wire in more.iter_mut().chain([&mut wire]) {
        until(wire, LAST_CHUNK);
    }
    assert!(host.stop().contains("stopped"));
}

#[test]
fn a_host_that_stops_waits_for_no_page() {
    let Some(site) = site("a_host_that_stops_waits_for_no_page") else { return };
    let host = site.start();
    let anna = Anna::sign_in(&site, &host);
    let mut wire = listen(&host, &anna, &anna.inbox);
    streams(&mut wire);
    let stopped = host.stop();
    assert_eq!(field(&stopped, "cut_off"), Some("0"), "{stopped}");
    while !wire.try_line().expect("the end").is_empty() {}
}

/// Between the moment when a list is made and the moment when its page begins to listen, mail may come: it is told at once.
#[test]
fn what_comes_before_a_page_listens_is_not_lost() {
    let Some(site) = site("what_comes_before_a_page_listens_is_not_lost") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    let anna = Anna::sign_in(&site, &host);
    let archive = anna.folder("Archive");
    let known = address(&anna.page(&archive));
    // The page is as new as can be: the first that it is told is what comes then.
    let mut fresh = stream(&host, &anna, &known);
    put(&mut imap, "INBOX", &message("a", "", "carla@far.test", "x", "y"));
    until(&mut fresh, "event: changed");
    assert_eq!(fresh.try_line().expect("a line").trim_ascii_end(), b"data: inbox");
    for (folder, path) in [("INBOX", &archive), ("Archive", &archive), ("INBOX", &anna.inbox)] {
        let known = address(&anna.page(path));
        put(&mut imap, folder, &message("b", "", "carla@far.test", "x", "y"));
        let mut late = stream(&host, &anna, &known);
        until(&mut late, "event: changed");
        until(&mut late, "data: both");
    }
    // Flags, and what goes away, are changes too.
    let known = address(&anna.page(&archive));
    imap.ok("SELECT Archive");
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    let mut late = stream(&host, &anna, &known);
    until(&mut late, "data: both");
    let known = address(&anna.page(&archive));
    imap.ok("EXPUNGE");
    let mut late = stream(&host, &anna, &known);
    until(&mut late, "data: both");
    for nonsense in ["x", "1", "0.0", "99999999999999999999.1"] {
        let number = archive.rsplit('/').next().unwrap();
        let mut odd = stream(&host, &anna, &format!("/mail/events?box={number}&known={nonsense}"));
        until(&mut odd, "data: both");
    }
}

#[test]
fn a_page_listens_no_longer_than_its_session() {
    let Some(site) = site("a_page_listens_no_longer_than_its_session") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    let anna = Anna::sign_in(&site, &host);
    let mut wire = listen(&host, &anna, &anna.inbox);
    streams(&mut wire);
    // Another browser of hers, which goes on; and she signs out in this one.
    let other = super::super::sign_in::Browser::another(&site, &host, Service::Web, "other");
    super::goes_to(&other.sign_in("anna@example.test", crate::support::PASSWORD, ""), "/mail");
    let other = Anna { browser: other, inbox: anna.inbox.clone() };
    let mut goes_on = listen(&host, &other, &anna.inbox);
    streams(&mut goes_on);
    super::goes_to(&anna.send("/sign-out", &[]), "/");
    until(&mut wire, LAST_CHUNK);
    put(&mut imap, "INBOX", &message("a", "", "carla@far.test", "x", "y"));
    until(&mut goes_on, "data: both");
    // She is signed out from elsewhere.
    let third = Anna::sign_in(&site, &host);
    super::goes_to(&third.send("/settings/sessions/end", &[]), "/settings#browsers");
    until(&mut goes_on, LAST_CHUNK);
}

const OK: &str = "HTTP/1.1 200 OK";
/// With it an answer in the chunked coding of HTTP ends, also on a connection that stays open.
const LAST_CHUNK: &str = "0";
