//! `mailhost client`, the program itself, with Dovecot, with this host, and with servers that the tests write.

mod cut;
mod imap;
mod large;
mod pop3;
mod rude;

use std::path::Path;
use std::process::Command;

use super::server::{LOGIN, Server};
use crate::support::{PASSWORD, Run, program, run};

/// A command with a server under TLS, or behind STARTTLS; the password comes from standard input.
fn client(server: &Server, protocol: &str, tls: &str, arguments: &[&str]) -> Command {
    let [pop3, pop3s] = server.maildrops();
    let address = match (protocol, tls) {
        ("imap", "implicit") => server.imaps(),
        ("imap", _) => server.imap(),
        (_, "implicit") => pop3s,
        _ => pop3,
    };
    let mut command = program();
    // The name has an address of IPv6, too, where nobody listens.
    command.args(["client", protocol, arguments[0], "--server", &format!("localhost:{}", address.port())]);
    command.args(["--tls", tls, "--user", LOGIN, "--password-stdin", "--ca"]).arg(server.certificate());
    command.args(&arguments[1..]);
    command
}

/// Runs it; it has to succeed, and to say nothing but what it is for.
#[track_caller]
fn does(mut command: Command) -> String {
    let result = run(&mut command, &format!("{PASSWORD}\n"));
    assert_eq!((result.status, &*result.stderr), (Some(0), ""), "{command:?}: {}", result.stdout);
    result.stdout
}

/// Runs it; it has to fail, with a sentence.
#[track_caller]
fn fails(mut command: Command) -> Run {
    let result = run(&mut command, &format!("{PASSWORD}\n"));
    let sentence = result.stderr.strip_prefix("mailhost: ").and_then(|rest| rest.strip_suffix('\n'));
    assert_eq!(result.status, Some(1), "{command:?}: {}{}", result.stdout, result.stderr);
    assert!(sentence.is_some_and(|sentence| !sentence.contains('\n')), "{}", result.stderr);
    result
}

/// A command with a server of the test's own, in the clear.
fn plain(protocol: &str, port: u16, arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(["client", protocol, arguments[0], "--server", &format!("127.0.0.1:{port}")]);
    command.args(["--tls", "none", "--user", "anna", "--password-stdin"]).args(&arguments[1..]);
    command
}

/// All messages of a Maildir, in CRLF, sorted.
#[track_caller]
fn messages(maildir: &Path) -> Vec<Vec<u8>> {
    let mailboxes = super::maildir::mailboxes(maildir);
    let mut octets: Vec<_> = mailboxes[""].iter().map(|mail| mail.octets.clone()).collect();
    octets.sort();
    octets
}
