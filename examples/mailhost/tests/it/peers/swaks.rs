//! swaks, which says what it is told to.

use std::process::Command;

use mailhost::listener::Service;

use super::maildrop;
use crate::support::{Host, PASSWORD, Run, Site, is_installed, run, skip};

const FROM: &str = "anna@example.test";

/// swaks's own ends.
const GOOD: Option<i32> = Some(0);
const NO_RECIPIENT: Option<i32> = Some(24);
const NOT_LOGGED_IN: Option<i32> = Some(28);
const SENDER_REFUSED: Option<i32> = Some(23);

/// Whether there is one with TLS; says that the test is skipped if not.
fn is_here(test: &str) -> bool {
    let net_ssleay = Command::new("perl").args(["-MNet::SSLeay", "-e", "1"]).output();
    let missing = if !is_installed("swaks", "--version") {
        "swaks is not installed"
    } else if !net_ssleay.is_ok_and(|output| output.status.success()) {
        "swaks is here without TLS (libnet-ssleay-perl)"
    } else {
        return true;
    };
    skip(test, missing);
    false
}

fn swaks(site: &Site, host: &Host, service: Service, to: &str, arguments: &[&str]) -> Run {
    let address = host.address(service);
    let mut command = Command::new("swaks");
    command.env("HOME", site.folder().path("")).args(["--ehlo", "client.test", "--timeout", "60"]);
    command.args(["--server", &address.ip().to_string(), "--port", &address.port().to_string()]);
    command.args(["--from", FROM, "--to", to, "--tls-ca-path"]).arg(site.data("self-signed.pem"));
    run(command.args(arguments), "")
}

/// The arguments of a login.
fn login<'a>(mechanism: &'a str, password: &'a str) -> [&'a str; 6] {
    ["--auth", mechanism, "--auth-user", FROM, "--auth-password", password]
}

#[test]
fn swaks_submits_with_each_login_and_each_kind_of_tls() {
    if !is_here("swaks_submits_with_each_login_and_each_kind_of_tls") {
        return;
    }
    let site = Site::with_accounts("", &["anna", "ben"]);
    let host = site.start();
    let message = "From: anna@example.test\nTo: ben@example.test\nDate: Thu, 01 Jan 1970 00:00:00 +0000\n\
                   Message-ID: <1@example.test>\nSubject: swaks\n\n.\n..\n.a dot\n\nthe end\n";
    // swaks ends the last line itself.
    let file = site.folder().write("message", message.trim_end());
    let data = format!("@{}", file.display());
    let mut count = 0;
    for (service, tls) in [(Service::Submission, "--tls"), (Service::Submissions, "--tls-on-connect")] {
        for mechanism in ["PLAIN", "LOGIN"] {
            for pipelining in [&[][..], &["--pipeline"]] {
                let mut arguments = vec![tls, "--tls-verify", "--data", &data];
                arguments.extend(login(mechanism, PASSWORD));
                arguments.extend(pipelining);
                let result = swaks(&site, &host, service, "ben@example.test", &arguments);
                assert_eq!(result.status, GOOD, "{}", result.stdout);
                assert!(result.stdout.contains("TLSv1.3"), "{}", result.stdout);
                count += 1;
            }
        }
    }
    let mut ben = maildrop(&site, &host, "ben@example.test");
    assert_eq!(ben.unique_ids().len(), count);
    for number in 1..=count {
        let arrived = String::from_utf8(ben.retrieve(number)).unwrap();
        assert!(arrived.starts_with("Return-Path: <anna@example.test>\r\n"), "{arrived}");
        assert!(arrived.ends_with(&message.replace('\n', "\r\n")), "{arrived}");
        assert!(arrived.contains(" with ESMTPSA\r\n"), "{arrived}");
    }
}

#[test]
fn swaks_is_refused_where_it_should_be() {
    if !is_here("swaks_is_refused_where_it_should_be") {
        return;
    }
    let site = Site::with_accounts("", &["anna", "ben"]);
    let host = site.start();
    let wrong: Vec<&str> = ["--tls"].into_iter().chain(login("PLAIN", "wrong")).collect();
    let wrong_login: Vec<&str> = ["--tls"].into_iter().chain(login("LOGIN", "wrong")).collect();
    let right: Vec<&str> = ["--tls"].into_iter().chain(login("PLAIN", PASSWORD)).collect();
    let (ben, nobody, far) = ("ben@example.test", "nobody@example.test", "x@far.test");
    for (service, to, arguments, status, said) in [
        (Service::Submission, ben, &wrong[..], NOT_LOGGED_IN, "535 5.7.8 "),
        (Service::Submission, ben, &wrong_login, NOT_LOGGED_IN, "535 5.7.8 "),
        // No login is offered in the clear.
        (Service::Submission, ben, &right[1..], NOT_LOGGED_IN, "Host did not advertise authentication"),
        (Service::Submission, ben, &["--tls"], SENDER_REFUSED, "530 5.7.0 "),
        (Service::Submission, nobody, &right, NO_RECIPIENT, "550 5.1.1 "),
        (Service::Smtp, nobody, &[], NO_RECIPIENT, "550 5.1.1 "),
        (Service::Smtp, far, &["--tls"], NO_RECIPIENT, "550 5.7.1 "),
        (Service::Smtp, ben, &["--tls", "--pipeline"], GOOD, "250 2.0.0 "),
    ] {
        let result = swaks(&site, &host, service, to, arguments);
        let all = format!("{}{}", result.stdout, result.stderr);
        assert_eq!(result.status, status, "{service} {to}: {all}");
        assert!(all.contains(said), "{said}: {all}");
    }
    assert_eq!(maildrop(&site, &host, "ben@example.test").unique_ids().len(), 1);
    assert_eq!(maildrop(&site, &host, "anna@example.test").unique_ids().len(), 0);
}
