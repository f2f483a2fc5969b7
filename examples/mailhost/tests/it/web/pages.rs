//! Pages and settings, and what is done to those who ask for too much.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

use mailhost::listener::Service;
use rustix::process::{Signal, kill_process};

use super::ask;
use crate::support::{Site, Wire, is_installed, run, skip};

const SERVICES: [Service; 6] =
    [Service::Imaps, Service::Imap, Service::Pop3s, Service::Pop3, Service::Submissions, Service::Submission];

#[test]
fn pages_and_settings_name_the_ports_that_are_listened_on() {
    let name = "pages_and_settings_name_the_ports_that_are_listened_on";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::new("");
    let host = site.start();
    for service in [Service::Web, Service::Webs] {
        let get = |path: &str| ask(&site, &host, service, path, &[]);
        for path in [
            "/",
            "/mail/config-v1.1.xml?emailaddress=nobody@example.test",
            "/.well-known/autoconfig/mail/config-v1.1.xml",
        ] {
            let answer = get(path);
            assert_eq!(answer.status, 200, "{path}");
            for service in SERVICES {
                let port = host.address(service).port();
                assert!(answer.body.contains(&format!(">{port}<")), "{service} in {}", answer.body);
            }
        }
        let settings = get("/mail/config-v1.1.xml?emailaddress=a@example.test");
        assert!(settings.head.contains("\r\ncontent-type: text/xml; charset=utf-8"), "{}", settings.head);
        assert_eq!(get("/mail/config-v1.1.xml?emailaddress=a@elsewhere.test").status, 404);
        assert_eq!(get("/mail/config-v1.1.xml?emailaddress=a").status, 404);
        let profile = get("/apple.mobileconfig?email=anna%40example.test");
        assert!(
            profile.head.contains("\r\ncontent-type: application/x-apple-aspen-config"),
            "{}",
            profile.head
        );
        assert!(profile.body.contains("<string>anna@example.test</string>"), "{}", profile.body);
        let none = get("/apple.mobileconfig?email=%3Cscript%3E");
        assert!(none.status == 404 && !none.body.contains("<script>"), "{}", none.body);
        assert_eq!(get("/metrics").status, 404, "that is not for everybody");
        assert_eq!(get("/../../etc/passwd").status, 404);
    }
    let page = ask(&site, &host, Service::WebAdmin, "/", &[]);
    assert!(page.status == 200 && page.body.contains("<h1>mail.example.test is up</h1>"), "{}", page.body);
    assert_eq!(ask(&site, &host, Service::WebAdmin, "/account", &[]).status, 404);
}

#[test]
fn outlook_gets_its_answer_and_hostile_documents_get_none() {
    let name = "outlook_gets_its_answer_and_hostile_documents_get_none";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::new("");
    let host = site.start();
    let post = |path: &str, document: &str| {
        ask(
            &site,
            &host,
            Service::Webs,
            path,
            &["--header", "Content-Type: text/xml", "--data-raw", document],
        )
    };
    let asked = |address: &str, schema: &str| {
        format!(
            "<?xml version=\"1.0\"?><Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/\
             requestschema/2006\"><Request><EMailAddress>{address}</EMailAddress><AcceptableResponseSchema>\
             http://schemas.microsoft.com/exchange/autodiscover/{schema}/2006a</AcceptableResponseSchema></Request>\
             </Autodiscover>"
        )
    };
    let good = asked("Nobody@example.test", "outlook/responseschema");
    for path in ["/autodiscover/autodiscover.xml", "/Autodiscover/Autodiscover.xml"] {
        let answer = post(path, &good);
        assert_eq!(answer.status, 200);
        let port = host.address(Service::Imaps).port();
        assert!(answer.body.contains("<LoginName>Nobody@example.test</LoginName>"), "{}", answer.body);
        assert!(answer.body.contains(&format!("<Port>{port}</Port>")), "{}", answer.body);
    }
    let laughs =
        "<!DOCTYPE a [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>".to_owned() + &good;
    let secret = "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>".to_owned()
        + &good.replace("Nobody", "&x;");
    for (what, document, code) in [
        ("another domain", asked("a@elsewhere.test", "outlook/responseschema"), "500"),
        ("another schema", asked("a@example.test", "mobilesync/responseschema"), "601"),
        ("markup in the address", asked("&lt;b&gt;@example.test", "outlook/responseschema"), "500"),
        ("no document", "hello".to_owned(), "600"),
        ("definitions", laughs, "600"),
        ("a file", secret, "600"),
        ("depth", "<a>".repeat(3_000), "600"),
    ] {
        let answer = post("/autodiscover/autodiscover.xml", &document);
        assert!(answer.body.contains(&format!("<ErrorCode>{code}</ErrorCode>")), "{what}: {}", answer.body);
    }
    assert_eq!(post("/autodiscover/autodiscover.xml", &"x".repeat(20_000)).status, 413);
}

#[test]
fn who_means_another_protocol_gets_no_answer_under_tls() {
    let name = "who_means_another_protocol_gets_no_answer_under_tls";
    if !is_installed("openssl", "version") {
        return skip(name, "openssl is not installed");
    }
    let site = Site::new("");
    let host = site.start();
    let handshake = |protocol: &str| {
        let mut command = Command::new("openssl");
        command.args(["s_client", "-alpn", protocol, "-connect", &host.address(Service::Webs).to_string()]);
        run(&mut command, "").stdout
    };
    assert!(handshake("http/1.1").contains("ALPN protocol: http/1.1"));
    for other in ["imap", "smtp", "h2"] {
        assert!(handshake(other).contains("no peer certificate available"), "{other}");
    }
}

/// The connections of one address are bounded, whatever they are for; those of others stay free.
#[test]
fn connections_that_say_nothing_take_no_more_places_than_one_address_has() {
    let site = Site::new("[limits]\nconnections_per_address = 10\n");
    let host = site.start();
    let web = host.address(Service::Web);
    let idle: Vec<Wire> = (0..10)
        .map(|_| {
            let mut wire = Wire::connect(web);
            wire.send("GET / HTTP/1.1\r\nHost: mail.example.test\r\n\r\n");
            wire.expect("HTTP/1.1 200 OK");
            wire
        })
        .collect();
    let mut refused = Wire::connect(web);
    refused.expect("HTTP/1.1 503 Service Unavailable");
    // Another address of loopback.
    let other = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 0);
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &other).unwrap();
    rustix::net::connect(&socket, &host.address(Service::Smtp)).unwrap();
    let mut greeting = [0; 4];
    std::io::Read::read_exact(&mut TcpStream::from(socket), &mut greeting).unwrap();
    assert_eq!(&greeting, b"220 ");
    // Idle connections do not keep the host from stopping.
    host.stop();
    drop(idle);
}

#[test]
fn settings_follow_the_configuration_while_the_host_runs() {
    let name = "settings_follow_the_configuration_while_the_host_runs";
    if !is_installed("curl", "--version") {
        return skip(name, "curl is not installed");
    }
    let site = Site::new("");
    let host = site.start();
    let ports = |host: &crate::support::Host| {
        let file = ask(&site, host, Service::Web, "/mail/config-v1.1.xml", &[]).body;
        file.matches("<port>").count()
    };
    assert_eq!(ports(&host), SERVICES.len());
    let text = fs::read_to_string(site.config()).unwrap();
    let without: String =
        text.lines().filter(|line| !line.starts_with("pop3")).map(|line| format!("{line}\n")).collect();
    fs::write(site.config(), without + "[public]\nimaps = 4993\n").unwrap();
    kill_process(host.process(), Signal::HUP).unwrap();
    host.wait_for("configuration reloaded");
    assert_eq!(ports(&host), SERVICES.len() - 2);
    let file = ask(&site, &host, Service::Web, "/mail/config-v1.1.xml", &[]).body;
    assert!(file.contains("<port>4993</port>"), "{file}");
    let imap = host.address(Service::Imap).port();
    assert!(file.contains(&format!("<port>{imap}</port>")), "{file}");
}
