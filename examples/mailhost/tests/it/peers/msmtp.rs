//! msmtp, with a configuration as people write it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use mailhost::listener::Service;

use super::maildrop;
use crate::support::{Host, PASSWORD, Run, Site, is_installed, run, skip};

/// sysexits(3), as msmtp ends.
const GOOD: Option<i32> = Some(0);
const NOT_PERMITTED: Option<i32> = Some(77);
const UNAVAILABLE: Option<i32> = Some(69);
const REFUSED: Option<i32> = Some(65);

const MESSAGE: &str = "From: anna@example.test\nTo: ben@example.test\nDate: Thu, 01 Jan 1970 00:00:00 +0000\n\
                       Message-ID: <1@example.test>\nSubject: msmtp\n\n.\n..\n.a dot\n\nthe end\n";

/// An account for each way to log in.
fn configure(site: &Site, host: &Host, fingerprint: &str) {
    let port = |service| host.address(service).port();
    let (submission, submissions) = (port(Service::Submission), port(Service::Submissions));
    let trust = site.data("self-signed.pem");
    let trust = trust.display();
    let text = format!(
        "\
# Set default values for all following accounts.
defaults
auth           on
tls            on
tls_trust_file {trust}
tls_host_override mail.example.test
syslog         off
host           127.0.0.1
port           {submission}
domain         client.test
from           anna@example.test
user           anna@example.test
password       \"{PASSWORD}\"

account        example

account        plain : example
auth           plain

account        login : example
auth           login

account        implicit : example
port           {submissions}
tls_starttls   off

account        fingerprint : example
tls_trust_file
tls_fingerprint {fingerprint}

account        evaluated : example
password
passwordeval   \"echo '{PASSWORD}'\"

account        wrong : example
password       wrong

account        stranger : example
tls_fingerprint 00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:00

account        other_name : example
tls_host_override other.example.test

account        clear : example
tls            off

account        guest : example
auth           off

account        outside : guest
port           {smtp}
tls            off

# Set a default account
account default : example
",
        smtp = port(Service::Smtp),
    );
    let file = site.folder().write("msmtprc", &text);
    // It refuses to read a password that others may read.
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

fn msmtp(site: &Site, arguments: &[&str]) -> Run {
    let mut command = Command::new("msmtp");
    command.env("HOME", site.folder().path("")).arg("--file").arg(site.folder().path("msmtprc"));
    run(command.args(arguments), MESSAGE)
}

/// The fingerprint as msmtp itself prints it for those who want to pin it.
fn fingerprint(host: &Host) -> String {
    let mut command = Command::new("msmtp");
    let port = host.address(Service::Submission).port().to_string();
    command.args(["--file=/dev/null", "--serverinfo", "--host=127.0.0.1", "--port", &port]);
    let result = run(command.args(["--tls=on", "--tls-certcheck=off"]), "");
    assert_eq!(result.status, GOOD, "{}", result.stderr);
    let said = &result.stdout;
    assert!(said.contains("PIPELINING") && said.contains("SIZE") && said.contains("AUTH"), "{said}");
    let line = said.lines().find_map(|line| line.trim().strip_prefix("SHA256: "));
    line.unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn msmtp_submits_by_a_configuration_as_people_write_it() {
    let name = "msmtp_submits_by_a_configuration_as_people_write_it";
    if !is_installed("msmtp", "--version") {
        return skip(name, "msmtp is not installed");
    }
    let site = Site::with_accounts("", &["anna", "ben"]);
    let host = site.start();
    configure(&site, &host, &fingerprint(&host));
    let accounts = ["default", "plain", "login", "implicit", "fingerprint", "evaluated"];
    for account in accounts {
        let result = msmtp(&site, &["--account", account, "ben@example.test"]);
        assert_eq!((result.status, &*result.stderr), (GOOD, ""), "{account}");
    }
    // As sendmail would be called, with recipients from the header.
    let result = msmtp(&site, &["-t", "-i", "-f", "anna@example.test"]);
    assert_eq!((result.status, &*result.stderr), (GOOD, ""));
    let mut ben = maildrop(&site, &host, "ben@example.test");
    assert_eq!(ben.unique_ids().len(), accounts.len() + 1);
    for number in 1..=accounts.len() + 1 {
        let arrived = String::from_utf8(ben.retrieve(number)).unwrap();
        assert!(arrived.starts_with("Return-Path: <anna@example.test>\r\n"), "{arrived}");
        assert!(arrived.ends_with(&MESSAGE.replace('\n', "\r\n")), "{arrived}");
        assert!(arrived.contains(" with ESMTPSA\r\n"), "{arrived}");
    }
}

#[test]
fn msmtp_is_refused_where_it_should_be() {
    let name = "msmtp_is_refused_where_it_should_be";
    if !is_installed("msmtp", "--version") {
        return skip(name, "msmtp is not installed");
    }
    let site = Site::with_accounts("", &["anna", "ben"]);
    let host = site.start();
    configure(&site, &host, &fingerprint(&host));
    let (ben, nobody, far) = ("ben@example.test", "nobody@example.test", "x@far.test");
    for (account, to, status, said) in [
        ("wrong", ben, NOT_PERMITTED, "535 5.7.8 "),
        ("stranger", ben, UNAVAILABLE, "fingerprint"),
        ("other_name", ben, UNAVAILABLE, "name in the certificate does not match"),
        ("clear", ben, UNAVAILABLE, "does not support authentication"),
        ("guest", ben, REFUSED, "530 5.7.0 "),
        ("default", nobody, REFUSED, "550 5.1.1 "),
        ("outside", far, REFUSED, "550 5.7.1 "),
        ("outside", ben, GOOD, ""),
    ] {
        let result = msmtp(&site, &["--account", account, to]);
        assert_eq!(result.status, status, "{account} to {to}: {}", result.stderr);
        assert!(result.stderr.contains(said), "{account} to {to}: {}", result.stderr);
    }
    assert_eq!(maildrop(&site, &host, ben).unique_ids().len(), 1);
}
