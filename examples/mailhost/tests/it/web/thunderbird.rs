//! Thunderbird itself, on a screen of its own.

use std::fs;
use std::path::Path;
use std::process::Command;

use mailhost::listener::Service;

use crate::support::{PASSWORD, Site, Wire, is_installed, run, skip, stuffed};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/web/thunderbird.py");

const MESSAGE: &str = "From: Xaver <x@far.test>\r\nTo: anna@example.test\r\nDate: Sun, 22 Nov 2026 11:00:00 +0000\r\n\
                       Message-ID: <1@far.test>\r\nSubject: Good day\r\n\r\nHello, Anna.\r\n";

#[test]
fn thunderbird_finds_its_settings_logs_in_reads_and_sends() {
    let name = "thunderbird_finds_its_settings_logs_in_reads_and_sends";
    for program in ["thunderbird", "python3"] {
        if !is_installed(program, "--version") {
            return skip(name, &format!("{program} is not installed"));
        }
    }
    if !Path::new("/usr/bin/Xvfb").exists() {
        return skip(name, "Xvfb is not installed");
    }
    let site = Site::with_accounts("", &["ben"]);
    // It is told an address, and has to come in with that.
    site.does("account add anna@example.test --login anna --password-stdin");
    let host = site.start();
    let mut wire = Wire::smtp(host.address(Service::Smtp));
    wire.say("MAIL FROM:<x@far.test>", "250 ");
    wire.say("RCPT TO:<anna@example.test>", "250 ");
    wire.say("DATA", "354 ");
    wire.send(stuffed(MESSAGE.as_bytes()));
    wire.expect("250 ");

    let certificate = fs::read_to_string(site.data("self-signed.pem")).unwrap();
    let certificate: String = certificate.lines().filter(|line| !line.starts_with('-')).collect();
    let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join("thunderbird.png");
    let _ = fs::remove_file(&picture);
    let settings = format!(
        "{{\"profile\": {:?}, \"web\": {}, \"webs\": {}, \"certificate\": {certificate:?}, \"name\": \"Anna\", \
         \"address\": \"anna@example.test\", \"password\": {PASSWORD:?}, \"subject\": \"Good day\", \
         \"to\": \"ben@example.test\", \"reply\": \"And to you\", \"body\": \"Hello, Ben.\\n\", \"picture\": {picture:?}}}",
        site.folder().path("profile"),
        host.address(Service::Web).port(),
        host.address(Service::Webs).port(),
    );
    let result = run(Command::new("python3").args(["-B", PROGRAM]), &settings);
    assert_eq!((result.status, &*result.stderr), (Some(0), ""), "{}", result.stdout);
    let seen = &result.stdout;
    // What it made of the file: SSL is 3, STARTTLS 2, a password as it is 3.
    for (kind, service, security) in [
        ("imap", Service::Imaps, 3),
        ("imap", Service::Imap, 2),
        ("pop3", Service::Pop3s, 3),
        ("pop3", Service::Pop3, 2),
        ("smtp", Service::Submissions, 3),
        ("smtp", Service::Submission, 2),
    ] {
        let port = host.address(service).port();
        let server =
            format!("[\"{kind}\", \"mail.example.test\", {port}, {security}, 3, \"%EMAILADDRESS%\"]");
        assert!(seen.contains(&server), "{server} in {seen}");
    }
    assert!(seen.contains("\"complaints\": []") && !seen.contains("\"answers\": 0"), "{seen}");
    assert!(seen.contains("Hello, Anna.\\r\\n"), "{seen}");
    let octets = fs::read(&picture).unwrap();
    assert!(octets.starts_with(b"\x89PNG") && octets.len() > 20_000, "a picture of the window");
    println!("a picture of the window: {}", picture.display());

    let mut ben = Wire::connect(host.address(Service::Pop3s)).start_tls(&site.tls());
    ben.expect("+OK");
    ben.log_in_pop3("ben@example.test");
    let arrived = String::from_utf8(ben.retrieve(1)).unwrap();
    assert!(
        arrived.contains("\r\nSubject: And to you\r\n") && arrived.contains("\r\n\r\nHello, Ben.\r\n"),
        "{arrived}"
    );
    assert!(arrived.contains("Thunderbird"), "{arrived}");
    let filed = |line: &String| line.contains("message filed") && line.contains("mailbox=Sent");
    assert!(host.log().iter().any(filed), "a copy is in Sent");
}
