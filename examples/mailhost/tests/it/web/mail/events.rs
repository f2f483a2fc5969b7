//! A page that is open is told of what happens.

use std::fs;

use mailhost::listener::Service;

use super::{Anna, message, put, site};
use crate::imap::Imap;
use crate::support::{Host, Wire};

/// A page that listens.
fn listen(host: &Host, anna: &Anna<'_>, folder: &str) -> Wire {
    // The format of curl's file of cookies: fields parted by tabs, the name and the value at the end.
    let jar = fs::read_to_string(&anna.browser.jar).expect("cookies");
    let cookie = jar.lines().filter(|line| line.contains("postrider")).find_map(|line| {
        let mut fields = line.rsplit('\t');
        let (value, name) = (fields.next()?, fields.next()?);
        Some(format!("{name}={value}"))
    });
    let address = host.address(Service::Web);
    let mut wire = Wire::connect(address);
    let number = folder.rsplit('/').next().expect("a number");
    wire.send(format!(
        "GET /mail/events?box={number} HTTP/1.1\r\nHost: mail.example.test:{}\r\nCookie: {}\r\n\r\n",
        address.port(),
        cookie.expect("a cookie")
    ));
    wire
}

/// The head of the answer, which is a stream of events.
#[track_caller]
fn streams(wire: &mut Wire) {
    assert_eq!(wire.line(), "HTTP/1.1 200 OK");
    until(wire, "content-type: text/event-stream");
    until(wire, "");
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
        while !wire.try_line().expect("the end").is_empty() {}
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
    let begun = std::time::Instant::now();
    host.stop();
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    while !wire.try_line().expect("the end").is_empty() {}
}
