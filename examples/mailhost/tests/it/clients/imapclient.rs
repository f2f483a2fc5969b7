//! imapclient for Python, under TLS.

use std::process::Command;

use super::server::{Kind, Server};
use super::{foreign, work};
use crate::support::skip;

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/clients/with_imapclient.py");

fn works_with(kind: Kind, test: &str) {
    let modules = foreign::peers();
    if !modules.join("imapclient").exists() {
        return skip(test, "imapclient is not there (cargo xtask test --install-peers)");
    }
    let Some(server) = Server::start(kind, test) else { return };
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", modules).args(["-B", PROGRAM]);
    work::does_it_all(&server, &mut python);
}

#[test]
fn imapclient_works_with_dovecot() {
    works_with(Kind::Dovecot, "imapclient_works_with_dovecot");
}

#[test]
fn imapclient_works_with_us() {
    works_with(Kind::Ours, "imapclient_works_with_us");
}
