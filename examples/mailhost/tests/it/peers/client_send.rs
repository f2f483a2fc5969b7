//! `mailhost client send`, with Postfix and with this host on the other side, and Python's email package to read what it wrote.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mailhost::listener::Service;
use serde_json::{Value, json};

use super::maildrop;
use super::mta::{Kind, Mta};
use crate::relay::no_dns;
use crate::support::{Folder, PASSWORD, Run, Site, is_installed, program, run, skip};

const PARTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/python/parts.py");
const SUBJECT: &str = "Grüße aus Köln, und noch viel mehr als in eine Zeile paßt: äöüß äöüß äöüß 日本語 📮";
const TEXT: &str = "Hällo,\n\n.\n..\nFrom here = there  \n日本語\tThe end without a line's end";
const HTML: &str = "<p>Hällo</p>\n";
const LONG_NAME: &str =
    "Ein sehr langer Name, den niemand tippen möchte, mit Umlauten äöü und Zeichen 日本語 \"x\".pdf";

/// Files to attach.
struct Files {
    folder: Folder,
    octets: Vec<(String, &'static str, Vec<u8>)>,
}

impl Files {
    fn new() -> Self {
        let folder = Folder::new();
        let all: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        let octets = vec![
            ("minutes.pdf".to_owned(), "application/pdf", all),
            (LONG_NAME.to_owned(), "application/pdf", b"x".to_vec()),
            ("Übung.TXT".to_owned(), "text/plain", "ä\r\n.\n".into()),
            ("nothing".to_owned(), "application/octet-stream", Vec::new()),
        ];
        for (name, _, octets) in &octets {
            fs::write(folder.path(name), octets).unwrap();
        }
        folder.write("text", TEXT);
        folder.write("html", HTML);
        Self { folder, octets }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path(name)
    }

    /// A message with everything, to Ben and one whom nobody sees.
    fn compose(&self, command: &mut Command, anna: &str, ben: &str, hidden: &str) {
        command.args(["--from", &format!("\"Ash, Änne\" <{anna}>"), "--to", &format!("Ben Beer <{ben}>")]);
        command.args(["--cc", ben, "--bcc", hidden, "--subject", SUBJECT, "--reply-to", "answers@a.test"]);
        command.args(["--in-reply-to", "1234@far.test", "--text-file"]).arg(self.path("text"));
        command.arg("--html").arg(self.path("html"));
        for (name, _, _) in &self.octets {
            command.arg("--attach").arg(self.path(name));
        }
    }

    /// What Python reads in it.
    #[track_caller]
    fn are_in(&self, message: &[u8], anna: &str, ben: &str) {
        let file = self.path("message");
        fs::write(&file, message).unwrap();
        let mut python = Command::new("sh");
        let result = run(python.args(["-c", "exec python3 -B \"$0\" < \"$1\"", PARTS]).arg(&file), "");
        assert_eq!((result.status, &*result.stderr), (Some(0), ""), "{}", String::from_utf8_lossy(message));
        let read: Value = serde_json::from_str(&result.stdout).unwrap();
        assert_eq!(read["from"], json!([["Ash, Änne", anna]]));
        assert_eq!(read["to"], json!([["Ben Beer", ben]]));
        assert_eq!(read["cc"], json!([["", ben]]));
        assert_eq!(read["reply_to"], "answers@a.test");
        assert_eq!(read["subject"], SUBJECT);
        assert_eq!(read["answers"], json!(["<1234@far.test>", "<1234@far.test>"]));
        assert_eq!(read["hidden"], false);
        let domain = anna.split_once('@').unwrap().1;
        assert!(read["id"].as_str().unwrap().ends_with(&format!("@{domain}>")), "{}", read["id"]);
        assert!(read["date"].as_str().unwrap().starts_with("20"), "{}", read["date"]);
        // From Postfix it comes with line ends of its own.
        let lines = |part: &str| read[part].as_str().unwrap().replace("\r\n", "\n");
        assert_eq!(lines("text"), format!("{TEXT}\n"));
        assert_eq!(lines("html"), HTML);
        assert_eq!(
            read["defects"],
            json!([]),
            "{}",
            String::from_utf8_lossy(&message[..message.len().min(4_000)])
        );
        let attachments = read["attachments"].as_array().unwrap();
        assert_eq!(attachments.len(), self.octets.len());
        for (attachment, (name, kind, octets)) in attachments.iter().zip(&self.octets) {
            assert_eq!((&attachment["name"], &attachment["old_name"]), (&json!(name), &json!(name)));
            assert_eq!(attachment["type"], *kind);
            assert!(STANDARD.decode(attachment["octets"].as_str().unwrap()).unwrap() == *octets, "{name}");
        }
    }
}

fn send(server: &str, tls: &str) -> Command {
    let mut command = program();
    command.args(["client", "send", "--server", server, "--tls", tls]);
    command
}

#[track_caller]
fn does(mut command: Command, stdin: &str) -> String {
    let result = run(&mut command, stdin);
    assert_eq!((result.status, &*result.stderr), (Some(0), ""), "{command:?}: {}", result.stdout);
    result.stdout
}

#[track_caller]
fn fails(mut command: Command, stdin: &str) -> Run {
    let result = run(&mut command, stdin);
    assert_eq!(result.status, Some(1), "{command:?}: {}{}", result.stdout, result.stderr);
    result
}

#[test]
fn postfix_takes_what_our_client_sends() {
    let name = "postfix_takes_what_our_client_sends";
    if !is_installed("python3", "--version") {
        return skip(name, "python3 is not installed");
    }
    let Some(mta) = Mta::start(Kind::Postfix, name, no_dns()) else { return };
    let (files, server) = (Files::new(), mta.address.to_string());
    let mut command = send(&server, "none");
    files.compose(&mut command, "anna@a.test", "ben@far.test", "u1@far.test");
    let said = does(command, "");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(
        lines[0].starts_with("ben@far.test: 250 ") && lines[1].starts_with("u1@far.test: 250 "),
        "{said}"
    );
    assert!(lines[2].starts_with("message: 250 ") && lines[2].contains("queued as"), "{said}");
    mta.wait_for_deliveries(2);
    for account in ["ben", "all"] {
        let [message] = &mta.stored(account)[..] else { panic!("one message for {account}") };
        files.are_in(message, "anna@a.test", "ben@far.test");
    }

    // One is refused, and the other gets it.
    let mut command = send(&server, "none");
    command.args([
        "--from",
        "anna@a.test",
        "--to",
        "ben@far.test, nobody@far.test",
        "--subject",
        "half",
        "--text",
        "x",
    ]);
    let half = fails(command, "");
    assert!(half.stdout.contains("nobody@far.test: 550 5.1.1 "), "{}", half.stdout);
    assert_eq!(half.stderr, "mailhost: 1 of 2 recipients refused; the message went to the others\n");
    mta.wait_for_deliveries(3);
    let mut command = send(&server, "none");
    command.args(["--from", "anna@a.test", "--to", "nobody@far.test", "--text", "x"]);
    let none = fails(command, "");
    assert!(
        none.stderr.starts_with("mailhost: nothing was sent: the recipient was refused"),
        "{}",
        none.stderr
    );

    // Files: as they are, with their lines ended; from a pipe, too.
    let text = "From: anna@a.test\nTo: Ben <ben@far.test>\nBcc: u2@far.test\nSubject: a file\nDate: Thu, 1 Jan 2026 12:00:00 +0000\n\
                Message-ID: <f@a.test>\n\n.\nGrüße\n..";
    let file = files.folder.write("file.eml", text);
    let mut command = send(&server, "none");
    command.args(["--read-recipients", "--file"]).arg(&file);
    assert_eq!(does(command, "").lines().count(), 3);
    let mut command = send(&server, "none");
    command.args(["--file", "-", "--from", "anna@a.test", "u3@far.test"]);
    assert_eq!(does(command, text).lines().count(), 2);
    mta.wait_for_deliveries(6);
    let expected = text.replace("Bcc: u2@far.test\n", "") + "\n";
    let stored = [mta.stored("ben"), mta.stored("all")].concat();
    let same = stored.iter().filter(|message| message.ends_with(expected.as_bytes())).count();
    assert_eq!(same, 3, "Ben, and two who were not named");
    let none = fails(
        {
            let mut command = send(&server, "none");
            command.arg("--file").arg(&file);
            command
        },
        "",
    );
    assert!(none.stderr.contains("--read-recipients"), "{}", none.stderr);
}

#[test]
fn our_client_logs_in_and_submits_to_us() {
    let name = "our_client_logs_in_and_submits_to_us";
    if !is_installed("python3", "--version") {
        return skip(name, "python3 is not installed");
    }
    let site = Site::with_accounts("[limits]\nmessage_size = \"1 MiB\"\n", &["anna", "ben"]);
    let host = site.start();
    let files = Files::new();
    let login = |service: Service, tls: &str, user: &str| {
        let mut command = send(&format!("localhost:{}", host.address(service).port()), tls);
        command.args(["--user", user, "--password-stdin", "--ca"]).arg(site.data("self-signed.pem"));
        command
    };
    let secret = format!("{PASSWORD}\n");
    for (service, tls) in [(Service::Submissions, "implicit"), (Service::Submission, "starttls")] {
        let mut command = login(service, tls, "anna@example.test");
        files.compose(&mut command, "anna@example.test", "ben@example.test", "anna@example.test");
        let said = does(command, &secret);
        assert!(
            said.contains("ben@example.test: 250 2.1.5") && said.contains("message: 250 2.0.0"),
            "{said}"
        );
    }
    let text =
        "From: anna@example.test\nTo: ben@example.test\nBcc: anna@example.test\nSubject: a file\n\nGrüße\n";
    let file = files.folder.write("file.eml", text);
    let mut command = login(Service::Submissions, "implicit", "anna@example.test");
    command.args(["--read-recipients", "--file"]).arg(file);
    does(command, &secret);
    let mut command = login(Service::Submissions, "implicit", "anna@example.test");
    command.args(["--file", "-"]);
    let both = fails(command, &secret);
    assert!(both.stderr.contains("standard input cannot be both"), "{}", both.stderr);
    for user in ["ben@example.test", "anna@example.test"] {
        let mut wire = maildrop(&site, &host, user);
        assert_eq!(wire.unique_ids().len(), 3);
        for number in [1, 2] {
            files.are_in(&wire.retrieve(number), "anna@example.test", "ben@example.test");
        }
        let read = String::from_utf8(wire.retrieve(3)).unwrap();
        let head = "\r\nFrom: anna@example.test\r\nTo: ben@example.test\r\nSubject: a file\r\nDate: ";
        assert!(
            read.contains(head) && read.contains("\r\nMessage-ID: <") && read.ends_with("\r\n\r\nGrüße\r\n"),
            "{read}"
        );
    }
    // RFC 1870 §6.1: who knows the limit does not try.
    let large =
        files.folder.write("large.eml", &format!("From: anna@example.test\n\n{}", "x\n".repeat(1 << 20)));
    let mut command = login(Service::Submissions, "implicit", "anna@example.test");
    command.args(["ben@example.test", "--file"]).arg(large);
    let refused = fails(command, &secret);
    assert!(refused.stderr.contains("message larger than the 1048576 octets"), "{}", refused.stderr);
    let mut command = login(Service::Submissions, "implicit", "anna@example.test");
    command.args(["--from", "anna@example.test", "--to", "ben@example.test", "--text", "x"]);
    let refused = fails(command, "wrong\n");
    assert!(refused.stderr.contains("the login was refused: the server says 535"), "{}", refused.stderr);
}
