//! imapflow for Node.js, under TLS.

use std::process::Command;

use super::server::{Kind, Server};
use super::{foreign, work};
use crate::support::{is_installed, skip};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/clients/with_imapflow.cjs");

fn works_with(kind: Kind, test: &str) {
    let modules = foreign::peers().join("npm/node_modules");
    if !is_installed("node", "--version") || !modules.join("imapflow").exists() {
        return skip(test, "imapflow is not there (cargo xtask test --install-peers)");
    }
    let Some(server) = Server::start(kind, test) else { return };
    work::does_it_all(&server, Command::new("node").env("NODE_PATH", modules).arg(PROGRAM));
}

#[test]
fn imapflow_works_with_dovecot() {
    works_with(Kind::Dovecot, "imapflow_works_with_dovecot");
}

#[test]
fn imapflow_works_with_us() {
    works_with(Kind::Ours, "imapflow_works_with_us");
}
