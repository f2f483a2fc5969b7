//! curl, one command at a time.

use std::fs;
use std::process::Command;

use super::foreign;
use super::server::{Kind, LOGIN, Server};
use super::typed::{Typed, values};
use super::work::{self, samples, short, table};
use crate::support::{Folder, PASSWORD, is_installed, skip};

struct Curl<'s> {
    server: &'s Server,
    folder: Folder,
}

impl Curl<'_> {
    /// STARTTLS or TLS from the start.
    fn command(&self, scheme: &str, path: &str) -> Command {
        let port = if scheme == "imaps" { self.server.imaps() } else { self.server.imap() }.port();
        let mut command = Command::new("curl");
        command
            .args([
                "--silent",
                "--show-error",
                "--max-time",
                "60",
                "--noproxy",
                "*",
                "--ssl-reqd",
                "--cacert",
            ])
            .arg(self.server.certificate())
            .args(["--user", &format!("{LOGIN}:{PASSWORD}")])
            .args(["--url", &format!("{scheme}://localhost:{port}{path}")]);
        command
    }

    /// What it prints, which goes into a file, octet for octet.
    #[track_caller]
    fn gets(&self, scheme: &str, path: &str) -> Vec<u8> {
        let file = self.folder.path("out");
        let _ = fs::remove_file(&file);
        self.does(self.command(scheme, path).arg("--output").arg(&file));
        fs::read(file).unwrap_or_default()
    }

    /// What it prints when the command is ours.
    #[track_caller]
    fn says(&self, path: &str, command: &str) -> String {
        self.does(self.command("imaps", path).args(["--request", command]))
    }

    #[track_caller]
    fn does(&self, command: &mut Command) -> String {
        let result = foreign::run(command);
        assert_eq!(result.status, Some(0), "{command:?}: {}{}", result.stdout, result.stderr);
        result.stdout
    }
}

fn works_with(kind: Kind, test: &str) {
    if !is_installed("curl", "--version") {
        return skip(test, "curl is not installed");
    }
    let Some(server) = Server::start(kind, test) else { return };
    let curl = Curl { server: &server, folder: Folder::new() };
    let samples = samples();

    curl.says("/", "CREATE Work");
    curl.says("/", "CREATE \"Old one\"");
    curl.says("/", "CREATE Work/2026");
    let listed = curl.says("/", "LIST \"\" *");
    let listed: Vec<String> = listed
        .lines()
        .map(|line| values(line.trim_start_matches("* ").as_bytes()).last().expect("a name").text())
        .collect();
    for name in ["INBOX", "Work", "Old one", "Work/2026"] {
        assert!(listed.iter().any(|listed| listed == name), "{name}: {listed:?}");
    }
    for (number, sample) in samples.iter().enumerate() {
        let file = curl.folder.path("message");
        fs::write(&file, &sample.octets).unwrap();
        let scheme = if number % 2 == 0 { "imap" } else { "imaps" };
        curl.does(curl.command(scheme, "/Work").arg("--upload-file").arg(file));
    }

    // All of a message, by its UID and by its number, and parts of it.
    for (number, sample) in (1..).zip(&samples) {
        assert!(curl.gets("imaps", &format!("/Work;UID={number}")) == sample.octets, "{}", sample.name);
    }
    assert!(curl.gets("imap", "/Work;MAILINDEX=5") == samples[4].octets);
    assert_eq!(curl.gets("imaps", "/Work;UID=4;SECTION=1.2"), b"<p>two</p>");
    assert_eq!(curl.gets("imaps", "/Work;UID=6;SECTION=TEXT;PARTIAL=0.10"), b"0123456789");
    let wrong = foreign::run(&mut curl.command("imaps", "/Work;UID=99"));
    // 78: there is no such file.
    assert_eq!(wrong.status, Some(78), "{}", wrong.stderr);

    // Searches by the URL, and commands of the user.
    for (query, expected) in [
        ("ALL", " 1 2 3 4 5 6 7 8 9 10"),
        ("SUBJECT%20dots", " 5"),
        ("BODY%20needle", " 1"),
        ("LARGER%20100000", " 6"),
        ("UNSEEN%20SUBJECT%20nothing", ""),
    ] {
        let found = String::from_utf8(curl.gets("imaps", &format!("/Work?{query}"))).unwrap();
        // RFC 9051 has no SEARCH response where nothing was found; RFC 3501 has an empty one.
        assert_eq!(found.trim_end().strip_prefix("* SEARCH").unwrap_or(""), expected, "{query}");
    }
    let said = curl.says("/Work", "FETCH 3 (FLAGS BODYSTRUCTURE)");
    assert!(said.contains("* 3 FETCH (") && said.to_uppercase().contains("\"OCTET-STREAM\""), "{said}");
    curl.says("/Work", "STORE 1:3 +FLAGS (\\Flagged project)");
    curl.says("/Work", "COPY 1 Work/2026");
    curl.says("/Work", "UID MOVE 2 \"Old one\"");
    curl.says("/Work", "STORE 2:8 +FLAGS.SILENT \\Deleted");
    let said = curl.says("/Work", "EXPUNGE");
    assert_eq!(said.matches(" EXPUNGE").count(), 7, "{said}");
    curl.says("/", "RENAME \"Old one\" Renamed");
    let said = curl.says("/", "STATUS Work (MESSAGES UNSEEN UIDNEXT)");
    for part in ["MESSAGES 2", "UNSEEN 0", "UIDNEXT 11"] {
        assert!(said.contains(part), "{said}");
    }
    let wrong = foreign::run(curl.command("imaps", "/").args(["--request", "DELETE None"]));
    assert_ne!(wrong.status, Some(0), "{}", wrong.stdout);

    let mut typed = Typed::log_in(&server);
    let held = typed.view();
    assert_eq!(
        short(&held),
        table(&[
            ("Renamed", &[("eight bits", &["\\Flagged", "\\Seen", "project"])]),
            ("Work", &[("plain", &["\\Flagged", "\\Seen", "project"]), ("alternative", &["\\Seen"])]),
            ("Work/2026", &[("plain", &["\\Flagged", "\\Seen", "project"])]),
        ])
    );
    assert!(held["Renamed"][0].octets == samples[1].octets);
    work::same_over_pop3(&server, &held);
}

#[test]
fn curl_works_with_dovecot() {
    works_with(Kind::Dovecot, "curl_works_with_dovecot");
}

#[test]
fn curl_works_with_us() {
    works_with(Kind::Ours, "curl_works_with_us");
}
