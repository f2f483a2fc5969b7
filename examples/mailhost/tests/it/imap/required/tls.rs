use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::{fs, thread};

use mailhost::auth::Password;
use mailhost::client::{Credentials, Encryption, Server, imap as client};
use mailhost::listener::Service;
use mailhost::tls::provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ClientConfig, RootCertStore, SupportedProtocolVersion};

use super::super::{Imap, site};
use crate::support::{PASSWORD, Site, Wire, is_installed, run, skip};

/// A client of one version that trusts a certificate.
fn only(
    version: &'static SupportedProtocolVersion,
    suites: &[CipherSuite],
    file: &str,
    site: &Site,
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(site.folder().path(file)).unwrap()).unwrap();
    let mut provider = (*provider()).clone();
    if !suites.is_empty() {
        provider.cipher_suites.retain(|suite| suites.contains(&suite.suite()));
    }
    let builder = ClientConfig::builder_with_provider(provider.into());
    let builder = builder.with_protocol_versions(&[version]).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

// Ledger: 9051-11.1-1, 9051-11.1-2, 9051-11.2-2, 9051-11.2-3
#[test]
fn tls_is_there_with_the_first_octet_and_when_it_is_asked_for() {
    let site = Site::with_accounts("", &["anna"]);
    let host = site.start();
    let login = format!("LOGIN anna@example.test {PASSWORD:?}");
    for version in [&TLS12, &TLS13] {
        let tls = only(version, &[], "data/self-signed.pem", &site);
        let mut imap = Imap::greeted(Wire::connect(host.address(Service::Imaps)).start_tls(&tls));
        imap.ok(&login);
        let mut wire = Wire::connect(host.address(Service::Imap));
        wire.line();
        // Nobody is let in without it.
        wire.say(&format!("a {login}"), "a NO [PRIVACYREQUIRED] ");
        wire.say("b STARTTLS", "b OK ");
        let mut wire = wire.start_tls(&tls);
        wire.say(&format!("c {login}"), "c OK ");
    }
}

// Ledger: 9051-11.1-3
#[test]
fn the_cipher_suite_that_all_have_in_common_is_spoken() {
    const NAME: &str = "the_cipher_suite_that_all_have_in_common_is_spoken";
    if !is_installed("openssl", "version") {
        return skip(NAME, "openssl is not installed");
    }
    let site = Site::with_accounts(
        "[auth]\nallow_plaintext = false\n[tls]\ncertificate = \"rsa.pem\"\nkey = \"rsa-key.pem\"\n",
        &[],
    );
    // The certificate that a host makes for itself has no RSA key.
    let made = run(
        Command::new("openssl")
            .args([
                "req",
                "-x509",
                "-newkey",
                "rsa:2048",
                "-nodes",
                "-days",
                "30",
                "-subj",
                "/CN=mail.example.test",
            ])
            .args(["-addext", "subjectAltName=DNS:mail.example.test"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-out")
            .arg(site.folder().path("rsa.pem"))
            .arg("-keyout")
            .arg(site.folder().path("rsa-key.pem")),
        "",
    );
    assert_eq!(made.status, Some(0), "{}", made.stderr);
    fs::metadata(site.folder().path("rsa-key.pem")).unwrap();
    let host = site.start();
    let suite = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    let tls = only(&TLS12, &[suite], "rsa.pem", &site);
    Imap::greeted(Wire::connect(host.address(Service::Imaps)).start_tls(&tls)).ok("NOOP");
}

// Ledger: 9051-11.1-5, 3501-11.1-5
#[test]
fn nobody_goes_on_where_tls_has_failed() {
    let site = site();
    let host = site.start();
    // The server.
    let mut wire = Wire::connect(host.address(Service::Imap));
    wire.line();
    wire.say("a STARTTLS", "a OK ");
    wire.send("b NOOP\r\nc LOGOUT\r\n");
    let mut read = Vec::new();
    while let Ok(line) = wire.try_line() {
        if line.is_empty() {
            break;
        }
        read.extend(line);
    }
    // An alert at most.
    assert!(!read.windows(4).any(|octets| octets == b"b OK" || octets == b"BYE "), "{}", read.escape_ascii());
    // The client: a server that will not, and one that nobody trusts.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let other = Site::new("");
    drop(other.start());
    let login = || Credentials {
        name: "anna@example.test".into(),
        password: Password::new(PASSWORD.into()).unwrap(),
    };
    let name = ServerName::try_from("mail.example.test").unwrap();
    let server = |address, tls| Server::at(address, Encryption::Required, name.clone(), tls);
    let open = |server: Server| runtime.block_on(client::Imap::open(&server, &login())).map(drop);
    let address = host.address(Service::Imap);
    open(server(address, site.tls())).unwrap();
    open(server(address, other.tls())).unwrap_err();
    for refusal in ["NO not today", "BAD what"] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let refusing = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n").unwrap();
            let mut lines = Vec::new();
            for line in BufReader::new(stream.try_clone().unwrap()).lines() {
                let Ok(line) = line else { break };
                let tag = line.split(' ').next().unwrap().to_owned();
                lines.push(line);
                let _ = stream.write_all(format!("{tag} {refusal}\r\n").as_bytes());
            }
            lines
        });
        open(server(address, site.tls())).unwrap_err();
        let lines = refusing.join().unwrap();
        assert!(lines[0].ends_with(" STARTTLS"), "{lines:?}");
        assert!(lines.iter().all(|line| !line.contains(PASSWORD) && !line.contains("LOGIN")), "{lines:?}");
    }
}
