//! curl.

use std::process::Command;

use mailhost::listener::Service;

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
