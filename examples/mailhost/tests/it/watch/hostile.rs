//! What clients, operators and files may bring into the log stays within its line and its field.
//!
//! The places: see `docs/logs.md`. What other hosts and DNS servers say is in `relay/hostile.rs`.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;

use mailhost::listener::Service;

use crate::support::{Host, PASSWORD, Site, Wire, base64};

const ANNA: &str = "anna@example.test";

/// Each would say `forged` in a line of its own, in a field of its own, or on a terminal.
pub(crate) const HOSTILE: [&str; 16] = [
    "a\r\n2026-01-01T00:00:00.000Z INFO mailhost::host: forged forged=1",
    "a\n2026-01-01T00:00:00.000Z INFO mailhost::host: forged forged=1",
    "a\r2026-01-01T00:00:00.000Z INFO mailhost::host: forged forged=1",
    "a\u{85}2026-01-01T00:00:00.000Z INFO mailhost::host: forged forged=1",
    "a\u{2028}2026-01-01T00:00:00.000Z INFO mailhost::host: forged forged=1\u{2029}",
    "a forged=1",
    "\" forged=\"1",
    "\\\" forged=1 \\",
    "\"a\" forged=\"1\"",
    "\",\"forged\":\"1",
    "}\n{\"event\":\"forged\",\"forged\":1}",
    "\u{1b}[2J\u{1b}]0;forged\u{7}",
    "a\0forged",
    "\u{202e}\u{2066}degrof\u{200f}\u{feff}",
    "\u{9b}31m\u{90}forged\u{9c}",
    "%s%n{}{0}$(forged)`forged`",
];

/// Reads a log as programs do; gives the names of its events.
#[track_caller]
pub(crate) fn checked(lines: &[String], json: bool) -> BTreeSet<String> {
    let mut events = BTreeSet::new();
    for line in lines {
        assert!(line.len() < 2_048, "{} octets", line.len());
        assert!(line.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{line:?}");
        let (event, fields) = if json { object(line) } else { text(line) };
        assert!(event != "forged" && !fields.contains("forged"), "{line}");
        events.insert(event);
    }
    events
}

fn object(line: &str) -> (String, BTreeSet<String>) {
    let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).expect(line);
    let event = object["event"].as_str().expect("text").to_owned();
    assert!(["time", "level", "target"].iter().all(|name| object.contains_key(*name)), "{line}");
    (event, object.into_iter().map(|(name, _)| name).collect())
}

fn text(line: &str) -> (String, BTreeSet<String>) {
    let mut parts = line.splitn(4, ' ');
    let (time, level, target) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[10] == b'T', "{line}");
    assert!(["ERROR", "WARN", "INFO", "DEBUG"].contains(&level), "{line}");
    assert!(target.starts_with("mailhost") && target.ends_with(':'), "{line}");
    let mut rest = parts.next().unwrap();
    let mut names = BTreeSet::new();
    // The sentence ends where the first field begins.
    let end = rest.find('=').map_or(rest.len(), |at| rest[..at].rfind(' ').unwrap_or(0));
    let event = rest[..end].to_owned();
    rest = &rest[end..];
    while let Some((name, value)) = rest.split_once('=') {
        names.insert(name.trim().to_owned());
        rest = match value.strip_prefix('"') {
            Some(quoted) => {
                let mut escaped = false;
                let end = quoted.find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                });
                // A line that was cut ends within its value.
                end.map_or("", |end| &quoted[end + 1..])
            }
            None => value.find(' ').map_or("", |at| &value[at..]),
        };
        assert!(rest.is_empty() || rest.starts_with(' '), "{line}");
    }
    (event, names)
}

#[test]
fn whatever_clients_and_operators_say_no_line_of_the_log_is_forged() {
    for format in ["text", "json"] {
        let json = format == "json";
        let site = Site::with_accounts(
            &format!("[auth]\nallow_plaintext = true\n[log]\nlevel = \"debug\"\nformat = \"{format}\"\n"),
            &["anna"],
        );
        let host = site.start();
        let mut values: Vec<Vec<u8>> = HOSTILE.iter().map(|value| value.as_bytes().to_vec()).collect();
        values.push([b"\xff\xfe\xc3\x28 ", HOSTILE[1].as_bytes()].concat());
        values.push(HOSTILE[6].repeat((1 << 20) / 12).into_bytes());
        for (number, value) in values.iter().enumerate() {
            // Nobody waits for the failures of another protocol: neither the address nor the name is the same.
            let from = |net| Ipv4Addr::new(127, 0, net, number as u8 + 1);
            smtp(&host, from(20), value);
            pop3(&host, from(21), value);
            imap(&host, from(22), value);
            filed(&host, from(23), value);
            admin(&site, value);
        }
        host.ask_to_stop();
        host.wait_for("stopped");
        let events = checked(&host.log(), json);
        // What it was about has been logged.
        for event in [
            "mail",
            "recipient refused",
            "login",
            "login refused",
            "the client says what it is",
            "mailbox made",
            "session ended",
            "alias added",
            "an order for the queue",
        ] {
            assert!(events.contains(event), "{event:?} in {events:?}");
        }
    }
}

fn speak(mut wire: Wire, octets: &[u8]) {
    // A host that has had enough may close before all has been read.
    if wire.try_send(octets).is_ok() {
        while wire.try_line().is_ok_and(|line| !line.is_empty()) {}
    }
}

fn line(parts: &[&[u8]]) -> Vec<u8> {
    [&parts.concat()[..], b"\r\n"].concat()
}

fn smtp(host: &Host, from: Ipv4Addr, value: &[u8]) {
    let open = |service| Wire::connect_from(from, host.address(service)).unwrap();
    let encoded = base64(&[b"\0", value, b"\0", value].concat());
    let encoded = &encoded[..encoded.len().min(8_000)];
    let quoted: Vec<u8> = value
        .iter()
        .flat_map(|octet| if b"\"\\".contains(octet) { vec![b'\\', *octet] } else { vec![*octet] })
        .collect();
    speak(
        open(Service::Smtp),
        &[
            line(&[b"EHLO ", value]),
            line(&[b"EHLO client.test"]),
            line(&[b"MAIL FROM:<", value, b">"]),
            line(&[b"MAIL FROM:<\"", &quoted, b"\"@far.test>"]),
            line(&[b"RCPT TO:<", value, b"@example.test>"]),
            line(&[b"RCPT TO:<\"", &quoted, b"\"@example.test>"]),
            line(&[b"VRFY ", value]),
            line(&[value]),
            line(&[b"QUIT"]),
        ]
        .concat(),
    );
    speak(
        open(Service::Submission),
        &[
            line(&[b"EHLO client.test"]),
            line(&[b"AUTH PLAIN ", encoded.as_bytes()]),
            line(&[b"AUTH ", value]),
            line(&[b"QUIT"]),
        ]
        .concat(),
    );
}

fn pop3(host: &Host, from: Ipv4Addr, value: &[u8]) {
    let wire = Wire::connect_from(from, host.address(Service::Pop3)).unwrap();
    speak(wire, &[line(&[b"USER p", value]), line(&[b"PASS x"]), line(&[b"QUIT"])].concat());
}

fn literal(value: &[u8]) -> Vec<u8> {
    [format!("{{{}+}}\r\n", value.len()).as_bytes(), value].concat()
}

fn imap(host: &Host, from: Ipv4Addr, value: &[u8]) {
    let wire = Wire::connect_from(from, host.address(Service::Imap)).unwrap();
    let name = literal(&[b"i", &value[..value.len().min(4_000)]].concat());
    let id = literal(&value[..value.len().min(900)]);
    let octets =
        [line(&[b"a ID (\"name\" ", &id, b")"]), line(&[b"b LOGIN ", &name, b" x"]), line(&[b"c LOGOUT"])];
    speak(wire, &octets.concat());
}

fn filed(host: &Host, from: Ipv4Addr, value: &[u8]) {
    let wire = Wire::connect_from(from, host.address(Service::Imap)).unwrap();
    let name = literal(&value[..value.len().min(4_000)]);
    // What can be the name of a mailbox.
    let allowed: Vec<u8> = value.iter().filter(|octet| **octet >= b' ').copied().take(200).collect();
    let octets = [
        line(&[b"a LOGIN anna@example.test \"", PASSWORD.as_bytes(), b"\""]),
        line(&[b"b CREATE ", &name]),
        line(&[b"c CREATE ", &literal(&allowed)]),
        line(&[b"d RENAME ", &name, b" ", &name]),
        line(&[b"e DELETE ", &name]),
        line(&[b"f LOGOUT"]),
    ];
    speak(wire, &octets.concat());
}

fn admin(site: &Site, value: &[u8]) {
    let value = String::from_utf8_lossy(&value[..value.len().min(100_000)]).into_owned();
    for request in [
        serde_json::json!({ "order": { "what": value, "recipient": value, "order": "retry" } }),
        serde_json::json!({ "queue": { "message": value, "why": true } }),
        serde_json::json!({ "add-alias": { "alias": "list@example.test", "targets": [value] } }),
        serde_json::json!({ "add-alias": { "alias": "list@example.test", "targets": [ANNA] } }),
        serde_json::json!({ "remove-alias": { "alias": value } }),
        serde_json::json!({ "remove-alias": { "alias": "list@example.test" } }),
        serde_json::json!({ value: {} }),
    ] {
        let mut stream = UnixStream::connect(site.data("admin.sock")).unwrap();
        stream.write_all(format!("{request}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
    }
}

/// A file that the configuration names is told of at the start, whatever it is called.
#[test]
fn names_of_files_and_values_of_the_configuration_stay_in_their_line() {
    for value in HOSTILE.iter().filter(|value| !value.contains('\0')) {
        let site = Site::new("");
        let text = std::fs::read_to_string(site.config()).unwrap();
        // A literal that TOML lets through as it is.
        let data = format!("data_dir = {}", toml_string(&format!("data {value}")));
        std::fs::write(site.config(), text.replace("data_dir = \"data\"", &data)).unwrap();
        let run = site.command("serve --help");
        assert_eq!(run.status, Some(0));
        let run = site.command("queue list");
        let lines: Vec<_> = run.stderr.split_terminator('\n').collect();
        assert!(lines.len() <= 1, "{lines:?}");
        let text = std::fs::read_to_string(site.config()).unwrap();
        let wrong =
            text.replace("hostname = \"mail.example.test\"", &format!("hostname = {}", toml_string(value)));
        std::fs::write(site.config(), wrong).unwrap();
        let run = site.command("serve");
        assert_eq!(run.status, Some(1));
        let line = run.stderr.strip_suffix('\n').unwrap();
        assert!(line.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{line:?}");
    }
}

fn toml_string(value: &str) -> String {
    let escaped: String = value.chars().map(|c| format!("\\U{:08X}", u32::from(c))).collect();
    format!("\"{escaped}\"")
}
