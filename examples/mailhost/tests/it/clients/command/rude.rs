//! Servers that say what they should not, and commands that are refused before anybody is asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::{fs, thread};

use mailhost::listener::Service;

use super::super::server::{Kind, LOGIN, Server};
use super::{does, fails, plain};
use crate::support::{Folder, PASSWORD, Site, program};

const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}\u{200b}";

/// A server that answers each line as told, once.
fn scripted(greeting: String, answer: impl Fn(&str) -> String + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(greeting.as_bytes());
        for line in BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok) {
            if stream.write_all(answer(&line).as_bytes()).is_err() {
                return;
            }
        }
    });
    port
}

#[track_caller]
fn is_harmless(text: &str) {
    let bad = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{202e}' | '\u{200b}'));
    assert!(!text.contains(bad), "{:?}", text);
}

#[test]
fn nothing_that_a_server_says_steers_the_terminal() {
    let imap = || {
        scripted("* OK [CAPABILITY IMAP4rev1] hi\r\n".to_owned(), |line| {
            let mut words = line.split(' ');
            let (tag, verb) = (words.next().unwrap(), words.next().unwrap_or_default());
            let subject = format!("{HOSTILE}=?utf-8?Q?=1B[2J=C2=9B=0D=0A?=");
            let data = match verb {
                "CAPABILITY" | "LOGIN" => "* CAPABILITY IMAP4rev1\r\n".to_owned(),
                "EXAMINE" => "* 1 EXISTS\r\n".to_owned(),
                "LIST" => format!(
                    "* LIST () \"/\" {{{}}}\r\n{HOSTILE}\r\n* LIST () \"/\" \"INBOX\"\r\n",
                    HOSTILE.len()
                ),
                "STATUS" => return format!("{tag} NO {HOSTILE}\r\n"),
                "FETCH" => {
                    let address = format!("((\"{HOSTILE}\" NIL \"a\" \"b\"))");
                    format!(
                        "* 1 FETCH (UID 7 FLAGS () INTERNALDATE \"01-Jan-2026 12:00:00 +0000\" RFC822.SIZE 5 ENVELOPE \
                         (NIL {{{}}}\r\n{subject} {address} NIL NIL NIL NIL NIL NIL NIL))\r\n",
                        subject.len()
                    )
                }
                "UID" => return format!("{tag} NO {HOSTILE}\r\n"),
                _ => String::new(),
            };
            format!("{data}{tag} OK {HOSTILE}\r\n")
        })
    };
    let listed = does(plain("imap", imap(), &["list", "INBOX"]));
    is_harmless(&listed);
    assert!(listed.starts_with("      7 N ") && listed.contains("\\u{1b}[2J"), "{listed}");
    let listed = does(plain("imap", imap(), &["list"]));
    is_harmless(&listed);
    assert!(listed.contains("  INBOX\n"), "{listed}");
    is_harmless(&fails(plain("imap", imap(), &["fetch", "INBOX", "7"])).stderr);

    let pop3 = || {
        scripted("+OK hi\r\n".to_owned(), |line| match line.split(' ').next().unwrap() {
            "CAPA" => "+OK\r\nUSER\r\nTOP\r\n.\r\n".to_owned(),
            "LIST" => "+OK\r\n1 5\r\n.\r\n".to_owned(),
            "TOP" => format!("+OK\r\nSubject: {HOSTILE}\r\nFrom: {HOSTILE} <a@b>\r\n\r\n.\r\n"),
            "USER" | "PASS" | "QUIT" => "+OK\r\n".to_owned(),
            _ => format!("-ERR {HOSTILE}\r\n"),
        })
    };
    let listed = does(plain("pop3", pop3(), &["list"]));
    is_harmless(&listed);
    assert!(listed.contains("\\u{1b}[2J"), "{listed}");
    is_harmless(&fails(plain("pop3", pop3(), &["get", "1"])).stderr);

    let port = scripted("220 hi\r\n".to_owned(), |line| match line.split(' ').next().unwrap() {
        "EHLO" | "QUIT" => "250 hi\r\n".to_owned(),
        _ => "550-5.7.1 no\t\u{1b}[2J\r\n550 5.7.1 \u{9b}31m\r\n".to_owned(),
    });
    let mut send = program();
    send.args(["client", "send", "--tls", "none", "--server", &format!("127.0.0.1:{port}")]);
    let refused = fails({
        send.args(["--from", "a@b.test", "--to", "c@d.test", "--text", "x"]);
        send
    });
    is_harmless(&refused.stderr);
}

/// What never ends is given up, and what a list may hold is bounded: the client neither hangs nor grows.
#[test]
fn lists_without_end_are_refused() {
    let port = scripted("+OK\r\n".to_owned(), |line| match line.split(' ').next().unwrap() {
        "CAPA" => "+OK\r\nUSER\r\n.\r\n".to_owned(),
        "LIST" => {
            format!("+OK\r\n{}", (1..=1_100_000).map(|number| format!("{number} 1\r\n")).collect::<String>())
        }
        _ => "+OK\r\n".to_owned(),
    });
    let refused = fails(plain("pop3", port, &["list"]));
    assert!(refused.stderr.contains("more than 1000000 messages"), "{}", refused.stderr);
    let port = scripted(format!("+OK {}", "x".repeat(100_000)), |_| String::new());
    let refused = fails(plain("pop3", port, &["list"]));
    assert!(refused.stderr.contains("did not answer in POP3"), "{}", refused.stderr);
}

#[test]
fn passwords_are_neither_exposed_nor_sent_in_the_clear() {
    let folder = Folder::new();
    let file = folder.write("password", "secret\n");
    let list = |address: &str| {
        let mut command = program();
        command.args(["client", "imap", "list", "--server", address, "--tls", "none", "--user", "anna"]);
        command
    };
    // Others may read it.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let mut command = list("127.0.0.1:1");
    command.arg("--password-file").arg(&file);
    assert!(fails(command).stderr.contains("chmod 600"));
    // 192.0.2.1 is nowhere: nobody is asked before it is refused.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    for protocol in ["imap", "pop3"] {
        let mut command = program();
        command.args([
            "client",
            protocol,
            "list",
            "--server",
            "192.0.2.1",
            "--tls",
            "none",
            "--user",
            "anna",
        ]);
        command.arg("--password-file").arg(&file);
        assert!(fails(command).stderr.contains("not sent without TLS"));
    }
    let mut command = program();
    command.args([
        "client",
        "send",
        "--server",
        "192.0.2.1",
        "--tls",
        "none",
        "--user",
        "anna",
        "--password-file",
    ]);
    command.arg(&file).args(["--from", "a@b.test", "--to", "c@d.test", "--text", "x"]);
    assert!(fails(command).stderr.contains("not sent without TLS"));
    // Nobody to ask, and nothing to take it from.
    assert!(fails(list("127.0.0.1:1")).stderr.contains("--password-stdin or --password-file"));
    let mut command = program();
    command.args(["client", "imap", "list", "--server", "127.0.0.1:1", "--tls", "none"]);
    assert!(fails(command).stderr.contains("--user"));
}

#[test]
fn an_account_of_the_settings_saves_typing() {
    let Some(server) = Server::start(Kind::Ours, "an_account_of_the_settings_saves_typing") else { return };
    let folder = Folder::new();
    let password = folder.write("anna.password", &format!("{PASSWORD}\n"));
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let [_, pop3s] = server.maildrops();
    let settings = folder.write(
        "client.toml",
        &format!(
            "[anna]\nserver = \"localhost:{}\"\nuser = \"{LOGIN}\"\npassword_file = \"anna.password\"\nca = {:?}\n\
             [anna.pop3]\nserver = \"127.0.0.1:{}\"\n",
            server.imaps().port(),
            server.certificate(),
            pop3s.port(),
        ),
    );
    let command = |arguments: &[&str], account: &str| {
        let mut command = program();
        command.arg("client").args(arguments).args(["--account", account, "--config"]).arg(&settings);
        command
    };
    assert!(does(command(&["imap", "list"], "anna")).contains("  INBOX\n"));
    assert_eq!(does(command(&["pop3", "list"], "anna")), "0 messages, 0\n");
    let unknown = fails(command(&["imap", "list"], "ben"));
    assert!(unknown.stderr.contains("no account [ben]; there is: anna"), "{}", unknown.stderr);
    // A wrong password is said to be one, and not tried in every way there is.
    fs::write(&password, "wrong\n").unwrap();
    for protocol in ["imap", "pop3"] {
        let refused = fails(command(&[protocol, "list"], "anna"));
        assert!(refused.stderr.contains("the login was refused: the server says"), "{}", refused.stderr);
    }
    // A certificate that nobody has told us to trust.
    let mut command = program();
    command.args(["client", "imap", "list", "--user", LOGIN, "--password-stdin", "--server"]);
    command.arg(format!("localhost:{}", server.imaps().port()));
    let refused = fails(command);
    assert!(refused.stderr.contains("no TLS with localhost: invalid peer certificate"), "{}", refused.stderr);
}

#[test]
fn a_handshake_that_fails_says_what_to_do() {
    let asks = |protocol: &str, server: String| {
        let mut command = program();
        let send = ["send", "--from", "a@example.test", "--to", "b@example.test", "--text", "hi"];
        let list = [protocol, "list", "--user", "anna", "--password-stdin"];
        command.arg("client").args(if protocol == "send" { &send[..] } else { &list[..] });
        command.args(["--tls", "implicit", "--server", &server]);
        fails(command).stderr
    };
    let site = Site::new("");
    let host = site.start();
    for (protocol, greeting, service) in [
        ("send", "220 hi\r\n", Service::Submissions),
        ("pop3", "+OK hi\r\n", Service::Pop3s),
        ("imap", "* OK hi\r\n", Service::Imaps),
    ] {
        let port = scripted(greeting.to_owned(), |_| String::new());
        let said = asks(protocol, format!("127.0.0.1:{port}"));
        assert!(
            said.contains("does not answer in TLS; if TLS begins later on this port, say --tls starttls"),
            "{said}"
        );
        let said = asks(protocol, host.address(service).to_string());
        assert!(
            said.contains(
                "nobody who is trusted here has issued it; if you know it, name its file with --ca"
            ),
            "{said}"
        );
    }
}

#[test]
fn an_address_beyond_ascii_is_shown_escaped_once() {
    let mut command = program();
    command.args(["client", "send", "--server", "127.0.0.1:1", "--from", "a@example.test", "--text", "hi"]);
    command.args(["--to", "m\u{fc}ller@example.test"]);
    let said = fails(command).stderr;
    assert!(said.contains("\"m\\u{fc}ller@example.test\" has letters beyond ASCII"), "{said}");
}
