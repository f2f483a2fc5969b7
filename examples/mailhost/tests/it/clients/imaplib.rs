//! Python's imaplib, over STARTTLS.

use std::process::Command;

use super::server::{Kind, Server};
use super::work;
use crate::support::{is_installed, skip};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/clients/with_imaplib.py");

fn works_with(kind: Kind, test: &str) {
    if !is_installed("python3", "--version") {
        return skip(test, "python3 is not installed");
    }
    let Some(server) = Server::start(kind, test) else { return };
    work::does_it_all(&server, Command::new("python3").args(["-B", PROGRAM]));
}

#[test]
fn imaplib_works_with_dovecot() {
    works_with(Kind::Dovecot, "imaplib_works_with_dovecot");
}

#[test]
fn imaplib_works_with_us() {
    works_with(Kind::Ours, "imaplib_works_with_us");
}
