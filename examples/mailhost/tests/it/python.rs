//! Python's smtplib, poplib and imaplib as foreign clients.

use std::process::Command;

use mailhost::listener::Service;

use crate::support::{PASSWORD, Site, is_installed, run, skip};

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/python/roundtrip.py");
const READING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/python/reading.py");

// Ledger: 5321-4.4-1, 5321-4.4-5, 5321-4.4-6, 5321-4.4-7
#[test]
fn pythons_sample_messages_arrive_octet_for_octet() {
    let name = "pythons_sample_messages_arrive_octet_for_octet";
    if !is_installed("python3", "--version") {
        return skip(name, "python3 is not installed");
    }
    let site = Site::with_accounts("", &["anna", "ben"]);
    let host = site.start();
    let port = |service| host.address(service).port();
    let settings = format!(
        "{{\"smtp\": {}, \"submission\": {}, \"pop3s\": {}, \"certificate\": {:?}, \
         \"user\": [\"anna@example.test\", {PASSWORD:?}], \"other\": [\"ben@example.test\", {PASSWORD:?}]}}",
        port(Service::Smtp),
        port(Service::Submission),
        port(Service::Pop3s),
        site.data("self-signed.pem"),
    );
    let result = run(Command::new("python3").args(["-B", PROGRAM]), &settings);
    print!("{}", result.stdout);
    if result.status == Some(3) {
        return skip(name, "python3 is here without its tests (libpython3.11-testsuite)");
    }
    assert_eq!((result.status, &*result.stderr), (Some(0), ""));
}

#[test]
fn pythons_imaplib_reads_and_files_octet_for_octet() {
    let name = "pythons_imaplib_reads_and_files_octet_for_octet";
    if !is_installed("python3", "--version") {
        return skip(name, "python3 is not installed");
    }
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let settings = format!(
        "{{\"imap\": {}, \"imaps\": {}, \"certificate\": {:?}, \"user\": [\"anna@example.test\", {PASSWORD:?}]}}",
        host.address(Service::Imap).port(),
        host.address(Service::Imaps).port(),
        site.data("self-signed.pem"),
    );
    let result = run(Command::new("python3").args(["-B", READING]), &settings);
    print!("{}", result.stdout);
    if result.status == Some(3) {
        return skip(name, "python3 is here without its tests (libpython3.11-testsuite)");
    }
    assert_eq!((result.status, &*result.stderr), (Some(0), ""));
}
