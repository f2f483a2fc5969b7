//! The browser itself: what it would notice if a page did it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread;

use super::Browser;
use crate::support::Site;

/// What a page of webmail must never be.
const PAGE: &str = "<h1>Hello</h1><script>canary('inline')</script><script src=/else.js></script>\
    <img src=http://eve.example/picture><img src=/none onerror=\"canary('handler')\">\
    <iframe srcdoc=\"&lt;script>canary('frame')&lt;/script>\"></iframe>\
    <iframe sandbox title=apart src=/frame></iframe>\
    <form action=/><label>Name <input name=name></label><button>Go on</button></form>\
    <a href=\"javascript:canary('link')\">Press me</a>";
const FRAME: &str = "<p>apart</p><link rel=preconnect href=http://quiet.example>\
    <img src=http://eve.example/from-frame><script>canary('apart')</script>";

/// Serves these pages; all of one host with one policy.
fn serve(policy: &'static str) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let mut line = String::new();
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                lines.read_line(&mut line).unwrap();
                let path = line.split(' ').nth(1).unwrap_or_default();
                let (kind, body) = match path.split('?').next().unwrap_or_default() {
                    "/" => ("text/html; charset=utf-8", PAGE),
                    "/frame" => ("text/html; charset=utf-8", FRAME),
                    "/else.js" => ("text/javascript", "canary('file')"),
                    _ => ("text/plain", "nothing"),
                };
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Security-Policy: {policy}\r\n\
                     Content-Length: {}\r\nConnection: close\r\n\r\n",
                    body.len()
                );
                let _ = stream.write_all(format!("{head}{body}").as_bytes());
            });
        }
    });
    address
}

#[test]
fn scripts_and_requests_are_noticed_wherever_they_come_from() {
    let name = "scripts_and_requests_are_noticed_wherever_they_come_from";
    let site = Site::new("");
    let host = site.start();
    let Some(mut browser) = Browser::start(name, &site, &host) else { return };
    browser.visits(serve("frame-src *"));
    browser.open("/");
    browser.sees("apart");
    let record = browser.record();
    for (what, noticed) in
        [("inline", true), ("handler", true), ("frame", true), ("file", true), ("apart", false)]
    {
        assert_eq!(record.alarms.contains(&format!("canary: \"{what}\"")), noticed, "{what}: {record:#?}");
    }
    assert!(record.foreign_scripts().iter().any(|script| script.ends_with("/else.js")), "{record:#?}");
    assert_eq!(
        record.strays(),
        ["http://eve.example/picture", "http://eve.example/from-frame"],
        "{record:#?}"
    );
    browser.wait("all to arrive", |this| (this.record().caught.len() >= 2).then_some(()));
    browser.press("Press me");
    browser.wait("the link", |this| {
        this.record().alarms.iter().any(|alarm| alarm.contains("link")).then_some(())
    });
}

#[test]
fn what_a_policy_forbids_is_reported_and_does_not_count_as_done() {
    let name = "what_a_policy_forbids_is_reported_and_does_not_count_as_done";
    let site = Site::new("");
    let host = site.start();
    let Some(mut browser) = Browser::start(name, &site, &host) else { return };
    browser.visits(serve("default-src 'none'; frame-src 'self'; form-action 'self'"));
    browser.without_scripts();
    browser.open("/");
    browser.sees("apart");
    browser.fill("Name", "Zoë");
    assert_eq!(browser.filled("Name"), "Zoë");
    browser.follow("Go on");
    assert_eq!(browser.path(), "/?name=Zo%C3%AB");
    // No policy has a word for a connection on which nothing is asked: it has to be seen where it arrives.
    browser.wait("the connection", |this| (this.record().caught == ["a connection"]).then_some(()));
    let record = browser.record();
    assert!(!record.is_contained(), "{record:#?}");
    assert!(record.strays().is_empty() && record.foreign_scripts().is_empty(), "{record:#?}");
    assert!(record.alarms.is_empty(), "{record:#?}");
    let reported = |what: &str| record.reports.iter().any(|report| report.blocked == what);
    assert!(
        reported("http://eve.example/picture") && reported("http://eve.example/from-frame"),
        "{record:#?}"
    );
    assert!(!record.complaints().is_empty());
}
