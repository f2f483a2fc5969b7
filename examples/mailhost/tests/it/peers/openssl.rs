//! OpenSSL's s_client.

use std::process::Command;

use mailhost::listener::Service;

use crate::support::{Host, Run, Site, is_installed, run, skip};

/// What `s_client` says, which ends with its input.
fn s_client(site: &Site, host: &Host, service: Service, arguments: &[&str]) -> Run {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-brief", "-verify_return_error", "-verify_hostname", "mail.example.test"])
        .args(["-connect", &host.address(service).to_string(), "-CAfile"])
        .arg(site.data("self-signed.pem"))
        .args(arguments);
    run(&mut command, "QUIT\r\n")
}

#[test]
fn openssl_sees_the_certificate_and_tls_of_today() {
    if !is_installed("openssl", "version") {
        return skip("openssl_sees_the_certificate_and_tls_of_today", "openssl is not installed");
    }
    let site = Site::new("");
    let host = site.start();
    for (service, starttls) in [
        (Service::Smtp, &["-starttls", "smtp"][..]),
        (Service::Submission, &["-starttls", "smtp"]),
        (Service::Submissions, &[]),
        (Service::Pop3, &["-starttls", "pop3"]),
        (Service::Pop3s, &[]),
    ] {
        for (asked, expected) in [(None, "TLSv1.3"), (Some("-tls1_2"), "TLSv1.2")] {
            let arguments: Vec<&str> = starttls.iter().copied().chain(asked).collect();
            let result = s_client(&site, &host, service, &arguments);
            assert_eq!(result.status, Some(0), "{service} {asked:?}: {}", result.stderr);
            let said = &result.stderr;
            assert!(said.contains(&format!("Protocol version: {expected}\n")), "{service}: {said}");
            assert!(said.contains("Verification: OK\n"), "{service}: {said}");
            assert!(said.contains("Verified peername: mail.example.test\n"), "{service}: {said}");
        }
        let arguments: Vec<&str> = starttls.iter().copied().chain(["-tls1_1"]).collect();
        let result = s_client(&site, &host, service, &arguments);
        assert_ne!(result.status, Some(0), "TLS 1.1 was spoken: {}", result.stderr);
    }
}
