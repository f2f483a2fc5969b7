//! curl.

use std::process::Command;

use mailhost::listener::Service;

use super::maildrop;
use crate::support::{Host, PASSWORD, Run, Site, is_installed, run, skip};

/// curl against this host, whose name it is to find at loopback.
fn curl(site: &Site, host: &Host, service: Service, scheme: &str, path: &str) -> Command {
    let address = host.address(service);
    let port = address.port();
    let mut command = Command::new("curl");
    command
        .args(["--silent", "--show-error", "--verbose", "--max-time", "60", "--noproxy", "*", "--cacert"])
        .arg(site.data("self-signed.pem"))
        .args(["--resolve", &format!("mail.example.test:{port}:127.0.0.1")])
        .args(["--url", &format!("{scheme}://mail.example.test:{port}{path}")]);
    command
}

#[track_caller]
fn succeeded(result: &Run) {
    assert_eq!(result.status, Some(0), "{}", result.stderr);
    assert!(result.stderr.contains("SSL connection using TLSv1.3"), "{}", result.stderr);
}

#[test]
fn curl_submits_and_collects_under_tls() {
    if !is_installed("curl", "--version") {
        return skip("curl_submits_and_collects_under_tls", "curl is not installed");
    }
    let site = Site::with_accounts("", &["anna", "ben"]);
    let host = site.start();
    let mut sent = Vec::new();
    for (service, scheme) in [(Service::Submission, "smtp"), (Service::Submissions, "smtps")] {
        let message = format!(
            "From: anna@example.test\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\nMessage-ID: <{scheme}@example.test>\r\n\
             Subject: over {scheme}\r\n\r\n.a dot\r\n..\r\n.\r\n\r\nthe end\r\n"
        );
        let file = site.folder().write(scheme, &message);
        let result = run(
            curl(&site, &host, service, scheme, "/client.test")
                .args(["--ssl-reqd", "--user", &format!("anna@example.test:{PASSWORD}")])
                .args([
                    "--mail-from",
                    "anna@example.test",
                    "--mail-rcpt",
                    "ben@example.test",
                    "--upload-file",
                ])
                .arg(file),
            "",
        );
        succeeded(&result);
        sent.push(message);
    }
    for (service, scheme) in [(Service::Pop3s, "pop3s"), (Service::Pop3, "pop3")] {
        for (number, message) in (1..).zip(&sent) {
            let path = format!("/{number}");
            let login = format!("ben@example.test:{PASSWORD}");
            let result =
                run(curl(&site, &host, service, scheme, &path).args(["--ssl-reqd", "--user", &login]), "");
            succeeded(&result);
            assert!(result.stdout.ends_with(message.as_str()), "{:?}", result.stdout);
            assert!(result.stdout.starts_with("Return-Path: <anna@example.test>\r\n"), "{}", result.stdout);
        }
    }
    // A wrong password is told, and TLS is not done without where it cannot be had.
    let result =
        run(curl(&site, &host, Service::Pop3s, "pop3s", "/1").args(["--user", "ben@example.test:wrong"]), "");
    assert_eq!(result.status, Some(67), "login denied: {}", result.stderr);
}

#[test]
fn curl_is_refused_where_it_should_be() {
    if !is_installed("curl", "--version") {
        return skip("curl_is_refused_where_it_should_be", "curl is not installed");
    }
    let site = Site::with_accounts("", &["anna", "ben"]);
    let host = site.start();
    let file = site.folder().write("message", "Subject: x\r\n\r\ntext\r\n");
    let (right, wrong) = (format!("anna@example.test:{PASSWORD}"), "anna@example.test:wrong".to_owned());
    let (ben, nobody, far) = ("ben@example.test", "nobody@example.test", "x@far.test");
    for (service, scheme, login, to, status, said) in [
        (Service::Submission, "smtp", Some(&wrong), ben, LOGIN_DENIED, "535 5.7.8 "),
        (Service::Submissions, "smtps", Some(&wrong), ben, LOGIN_DENIED, "535 5.7.8 "),
        (Service::Submission, "smtp", None, ben, REFUSED, "530 5.7.0 "),
        (Service::Submission, "smtp", Some(&right), nobody, REFUSED, "550 5.1.1 "),
        (Service::Smtp, "smtp", None, nobody, REFUSED, "550 5.1.1 "),
        (Service::Smtp, "smtp", None, far, REFUSED, "550 5.7.1 "),
        (Service::Smtp, "smtp", None, ben, GOOD, "250 2.0.0 accepted as "),
    ] {
        let mut command = curl(&site, &host, service, scheme, "/client.test");
        command.args(["--ssl-reqd", "--mail-from", "anna@example.test", "--mail-rcpt", to, "--upload-file"]);
        command.arg(&file);
        if let Some(login) = login {
            command.args(["--user", login]);
        }
        let result = run(&mut command, "");
        assert_eq!(result.status, status, "{service} {to}: {}", result.stderr);
        assert!(result.stderr.contains(&format!("< {said}")), "{said}: {}", result.stderr);
    }
    assert_eq!(maildrop(&site, &host, ben).unique_ids().len(), 1);
}

/// curl's own ends: CURLE_LOGIN_DENIED and CURLE_SEND_ERROR.
const LOGIN_DENIED: Option<i32> = Some(67);
const REFUSED: Option<i32> = Some(55);
const GOOD: Option<i32> = Some(0);
