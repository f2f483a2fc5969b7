//! What a foreign mail host and this one have to do for each other, whichever it is.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::time::Instant;

use mailhost::listener::Service;

use super::mta::{Kind, Mta};
use crate::relay::{
    collected, logged, loopback, no_dns, queue, queue_is_empty, session, site, submission, submit,
};
use crate::support::{DEADLINE, Host, Site, Wire, skip};

/// Debian's libpython3.11-testsuite.
const SAMPLES: &str = "/usr/lib/python3.11/test/test_email/data";
/// How many there are.
const LEAST: usize = 47;

/// A host for a.test, which sends the mail for far.test there.
fn near(mta: &Mta) -> Site {
    let routes = format!("[relay.routes]\n\"far.test\" = \"{}\"\n", mta.address);
    site("a", loopback(), no_dns(), &routes, &["anna"])
}

/// Python's, as a mail program would send them.
fn samples() -> Vec<Vec<u8>> {
    let Ok(files) = fs::read_dir(SAMPLES) else { return Vec::new() };
    let paths = files.map(|file| file.unwrap().path());
    let texts = paths.filter(|path| path.extension().is_some_and(|extension| extension == "txt"));
    texts.map(|path| with_crlf(&fs::read(path).unwrap())).collect()
}

fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = octets;
    while let Some(end) = rest.iter().position(|octet| matches!(octet, b'\r' | b'\n')) {
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(b"\r\n");
        rest = rest[end..].strip_prefix(b"\r\n").unwrap_or_else(|| &rest[end + 1..]);
    }
    if !rest.is_empty() {
        out.extend_from_slice(rest);
        out.extend_from_slice(b"\r\n");
    }
    out
}

/// What a host makes of a message in its maildir, below its own trace fields: lines end in LF, fields in the header go
/// that are only for itself to write, or for nobody to see, and a line that is no field gets an empty one before it.
fn as_stored(kind: Kind, message: &[u8]) -> Vec<u8> {
    let own: &[&[u8]] = match kind {
        Kind::Postfix => &[b"return-path", b"bcc", b"content-length", b"resent-bcc"],
        Kind::Exim => &[b"return-path", b"envelope-to", b"delivery-date"],
    };
    let mut out = Vec::with_capacity(message.len());
    let (mut in_header, mut dropping) = (true, false);
    for line in message.split_inclusive(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("a whole line");
        in_header &= !line.is_empty();
        if in_header && !line.starts_with(b" ") && !line.starts_with(b"\t") {
            let name = field_name(line);
            dropping = name.as_ref().is_some_and(|name| own.contains(&&name[..]));
            if name.is_none() {
                in_header = false;
                out.push(b'\n');
            }
        }
        if !(in_header && dropping) {
            out.extend_from_slice(line);
            out.push(b'\n');
        }
    }
    // Exim writes the empty line that ends the header even where none was.
    if in_header && kind == Kind::Exim {
        out.push(b'\n');
    }
    out
}

/// In lower case; `None` if the line is no field.
fn field_name(line: &[u8]) -> Option<Vec<u8>> {
    let name = line[..line.iter().position(|octet| *octet == b':')?].trim_ascii_end();
    let good = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    good.then(|| name.to_ascii_lowercase())
}

/// Messages of which something could be lost on the way.
fn shapes() -> Vec<Vec<u8>> {
    let long = "x".repeat(20_000);
    let large =
        format!("{}\r\n", "0123456789 abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ. 0123456789")
            .repeat(13_800);
    assert!(large.len() > 1 << 20);
    let long_field = format!("Subject: a long field\r\nX-Long:{}\r\n\r\ntext\r\n", " word".repeat(400));
    let mut shapes = vec![
        b"Subject: dots\r\n\r\n.\r\n..\r\n...\r\n.x\r\n\r\n.\r\n".to_vec(),
        b"Subject: ends in dots\r\n\r\ntext\r\n..\r\n.\r\n".to_vec(),
        b"Subject: no body\r\n".to_vec(),
        b"Subject: an empty body\r\n\r\n".to_vec(),
        b"Subject: empty lines\r\n\r\n\r\n\r\ntext \t \r\n\r\n\r\n".to_vec(),
        b"Subject: a mailbox within\r\n\r\nFrom x@y.test Thu Jan  1 00:00:00 1970\r\n>From z\r\n".to_vec(),
        b"Subject: folded\r\n\tonce \r\n  and again\r\nTo:\r\n anna@a.test\r\n\r\ntext\r\n".to_vec(),
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\
         Subject: eight bits\r\n\r\nGr\u{fc}\u{df}e aus K\u{f6}ln \u{1f4ee}\r\n"
            .into(),
        b"Subject: raw \xe4\xf6\xfc\r\n\r\nall: \x01\x02\x07\x08\x0b\x0c\x1b\x7f\x80\xa0\xff\r\n".to_vec(),
        format!("Subject: a long line\r\n\r\n{long}\r\n.{long}\r\n").into(),
        format!("Subject: one megabyte\r\n\r\n{large}").into(),
    ];
    shapes.push(long_field.into());
    shapes
}

/// The names of the fields in some lines, in lower case.
fn names(header: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8(header.to_vec()).expect("trace fields are ASCII");
    let lines = text.lines().filter(|line| !line.starts_with([' ', '\t']));
    lines.map(|line| line.split(':').next().unwrap().to_ascii_lowercase()).collect()
}

pub(super) fn stores_octet_for_octet(kind: Kind, test: &str) {
    let Some(mta) = Mta::start(kind, test, no_dns()) else { return };
    let samples = samples();
    if samples.is_empty() {
        return skip(test, "the sample messages of Python are not here (libpython3.11-testsuite)");
    }
    assert!(samples.len() >= LEAST);
    let near = near(&mta);
    let host = near.start();
    let mut messages = samples;
    messages.extend(shapes());
    let mut wire = submission(&host, "anna@a.test");
    for message in &messages {
        let reply = wire.offer("anna@a.test", &["ben@far.test"], message);
        assert!(reply.starts_with("250 "), "{reply}");
    }
    mta.wait_for_deliveries(messages.len());
    queue_is_empty(&near);
    let mut stored = mta.stored("ben");
    assert_eq!(stored.len(), messages.len());
    // The longest first, for one may be the end of another.
    messages.sort_by_key(|message| usize::MAX - message.len());
    for message in &messages {
        let message = as_stored(kind, message);
        let ends = |stored: &&Vec<u8>| stored.ends_with(&message);
        let found = stored.iter().filter(ends).min_by_key(|stored| stored.len());
        let Some(found) = found.cloned() else {
            panic!("none ends with {:?}", String::from_utf8_lossy(&message[..message.len().min(2_000)]));
        };
        let above = names(&found[..found.len() - message.len()]);
        for name in &above {
            let trace = ["return-path", "x-original-to", "delivered-to", "received", "envelope-to"];
            let date = ["delivery-date", "date", "message-id"];
            assert!(trace.iter().chain(&date).any(|field| field == name), "{above:?}");
        }
        stored.retain(|other| *other != found);
    }
    // Under TLS, although nobody vouches for its certificate.
    let connected: Vec<String> = host.log().into_iter().filter(|line| line.contains(" connected ")).collect();
    assert!(
        !connected.is_empty() && connected.iter().all(|line| line.contains("tls=true")),
        "{connected:#?}"
    );
}

pub(super) fn takes_two_hundred(kind: Kind, test: &str) {
    let Some(mta) = Mta::start(kind, test, no_dns()) else { return };
    let near = near(&mta);
    let host = near.start();
    let to: Vec<String> = (0..200).map(|number| format!("u{number}@far.test")).collect();
    let borrowed: Vec<&str> = to.iter().map(String::as_str).collect();
    submit(&host, "anna@a.test", "anna@a.test", &borrowed, "Subject: to all\r\n\r\ntext\r\n");
    queue_is_empty(&near);
    mta.wait_for_deliveries(200);
    assert_eq!(mta.connections(), 1);
    let reached = mta.stored("all").into_iter().map(|message| {
        let text = String::from_utf8(message).unwrap();
        let field = text.lines().find_map(|line| {
            line.strip_prefix("Delivered-To: ").or_else(|| line.strip_prefix("Envelope-to: "))
        });
        field.expect("a field that says for whom").to_owned()
    });
    assert_eq!(reached.collect::<BTreeSet<_>>(), to.into_iter().collect());
    assert!(collected(&host, "anna@a.test").is_empty());
}

/// `refused`: how it refuses those it does not know.
pub(super) fn refuses_and_defers(kind: Kind, test: &str, refused: &str) {
    let Some(mta) = Mta::start(kind, test, no_dns()) else { return };
    mta.greylists(true);
    let near = near(&mta);
    let host = near.start();
    let to = ["ben@far.test", "nobody@far.test", "later@far.test"];
    let id = submit(&host, "anna@a.test", "anna@a.test", &to, "Subject: to three\r\n\r\ntext\r\n");
    let why = queue(&near, &format!("queue why {id}"), |shown| {
        shown.contains("nobody@far.test: given up\n") && shown.contains("450 4.2.0 ")
    });
    assert!(why.contains("ben@far.test: delivered\n") && why.contains("come back later"), "{why}");
    mta.wait_for_deliveries(1);
    logged(&host, "report delivered");
    let reports = collected(&host, "anna@a.test");
    assert_eq!(reports.len(), 1, "{reports:#?}");
    let report = reports[0].replace("\r\n ", " ");
    for part in [
        "Return-Path: <>\r\n",
        "\r\nReporting-MTA: dns; mail.a.test\r\n",
        "\r\nFinal-Recipient: rfc822; nobody@far.test\r\n",
        "\r\nStatus: 5.1.1\r\n",
        &format!("\r\nDiagnostic-Code: smtp; {refused}"),
        "\r\nSubject: to three\r\n",
    ] {
        assert!(report.contains(part), "{part:?}: {report}");
    }
    assert!(!report.contains("ben@far.test") && !report.contains("later@far.test"), "{report}");

    mta.greylists(false);
    near.does("queue retry all");
    queue_is_empty(&near);
    mta.wait_for_deliveries(2);
    assert_eq!(mta.stored("ben").len(), 2);
    assert_eq!(collected(&host, "anna@a.test").len(), 1, "nothing new is told");
}

/// A host for b.test, at this address, which takes no message of more than 2 MiB.
fn ours(address: SocketAddr) -> Site {
    let limits = "[limits]\nmessage_size = \"2 MiB\"\n";
    site("b", address.ip(), no_dns(), limits, &["anna", "ben", "carl"])
}

fn our_address() -> SocketAddr {
    SocketAddr::new(loopback(), 2525)
}

/// Waits until an account has so many messages.
#[track_caller]
fn arrived(host: &Host, login: &str, count: usize) -> Vec<String> {
    let start = Instant::now();
    loop {
        let mut pop3 = Wire::pop3(host.address(Service::Pop3), login);
        let there = pop3.unique_ids().len();
        if there >= count {
            let texts = (1..=there).map(|number| pop3.retrieve(number));
            let messages: Vec<String> =
                texts.map(|text| String::from_utf8_lossy(&text).into_owned()).collect();
            assert_eq!(messages.len(), count, "{messages:#?}");
            return messages;
        }
        assert!(start.elapsed() < DEADLINE, "{login} has {there} messages");
    }
}

/// `too_large`: what it says of a message that is larger than we announce.
pub(super) fn relays_to_us(kind: Kind, test: &str, too_large: &str) {
    let address = our_address();
    let Some(mta) = Mta::start(kind, test, address) else { return };
    let ours = ours(address);
    let host = ours.start();
    let all = ["ben@b.test", "nobody@b.test", "carl@b.test"];
    let text = b"Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <1@b.test>\r\nFrom: anna@b.test\r\n\
                 Subject: to three\r\n\r\n.\r\n..\r\n\r\ntext \xe4\r\n";
    mta.take("anna@b.test", &all, text);
    let bounces = arrived(&host, "anna@b.test", 1);
    let bounce = &bounces[0];
    assert!(bounce.starts_with("Return-Path: <>\r\nDelivered-To: anna@b.test\r\n"), "{bounce}");
    for part in ["multipart/report", "nobody@b.test", "550 5.1.1 ", "Status: 5."] {
        assert!(bounce.contains(part), "{part:?}: {bounce}");
    }
    assert!(!bounce.contains("carl@b.test\r\n"), "{bounce}");

    let large = format!("Subject: one megabyte\r\n\r\n{}", "0123456789.\r\n".repeat(90_000));
    assert!(large.len() > 1 << 20);
    mta.take("anna@b.test", &["ben@b.test", "carl@b.test"], large.as_bytes());
    // More than the SIZE that we announce.
    let huge = format!("Subject: three megabytes\r\n\r\n{}", "0123456789.\r\n".repeat(250_000));
    mta.take("anna@b.test", &["carl@b.test"], huge.as_bytes());
    let bounces = arrived(&host, "anna@b.test", 2);
    let bounce = bounces.iter().find(|bounce| bounce.contains("three megabytes")).expect("another bounce");
    assert!(bounce.contains(too_large) && bounce.contains("carl@b.test"), "{bounce}");

    arrived(&host, "ben@b.test", 2);
    let mut ben = Wire::pop3(host.address(Service::Pop3), "ben@b.test");
    let first = ben.retrieve(1);
    assert!(first.ends_with(text), "{}", String::from_utf8_lossy(&first));
    let head = String::from_utf8_lossy(&first).replace("\r\n\t", " ").replace("\r\n ", " ");
    assert!(head.starts_with("Return-Path: <anna@b.test>\r\nDelivered-To: ben@b.test\r\n"), "{head}");
    assert!(head.contains("\r\nReceived: from mail.far.test ") && head.contains(" with ESMTPS "), "{head}");
    assert!(ben.retrieve(2).ends_with(large.as_bytes()));
}

pub(super) fn waits_for_us(kind: Kind, test: &str) {
    let address = our_address();
    let Some(mta) = Mta::start(kind, test, address) else { return };
    let ours = ours(address);
    mta.take("eva@far.test", &["ben@b.test"], b"Subject: early\r\n\r\ntext\r\n");
    mta.wait_for_deferrals(1);
    let host = ours.start();
    assert!(collected(&host, "ben@b.test").is_empty());
    mta.flush();
    let messages = arrived(&host, "ben@b.test", 1);
    assert!(messages[0].contains("Subject: early\r\n"), "{}", messages[0]);
    // And once more with a host that was there before.
    host.stop();
    mta.take("eva@far.test", &["ben@b.test"], b"Subject: late\r\n\r\ntext\r\n");
    mta.wait_for_deferrals(2);
    let host = ours.start();
    mta.flush();
    let messages = arrived(&host, "ben@b.test", 2);
    assert!(messages[1].contains("Subject: late\r\n"), "{}", messages[1]);
}

/// The processes of a group that live.
fn members(group: u32) -> Vec<String> {
    let mut members = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let Ok(stat) = fs::read_to_string(entry.unwrap().path().join("stat")) else { continue };
        // proc(5): number, name in parentheses, state, parent, group.
        let Some((name, rest)) = stat.rsplit_once(") ") else { continue };
        let fields: Vec<&str> = rest.split(' ').collect();
        if fields[2] == group.to_string() && !matches!(fields[0], "Z" | "X") {
            members.push(name.to_owned());
        }
    }
    members
}

pub(super) fn leaves_nothing(mta: Mta) {
    let group = mta.daemon.group();
    // A process that waits for a command.
    let _wire = session(mta.address);
    let running = members(group);
    assert!(running.len() > 1, "{running:?}");
    drop(mta);
    let start = Instant::now();
    while !members(group).is_empty() {
        assert!(start.elapsed() < DEADLINE, "{:?}", members(group));
    }
}
