//! What is spoken over HTTP, asked by curl and by the programs that it is for.

mod account;
pub(crate) mod browser;
mod clients;
mod compose;
mod mail;
mod operator;
mod pages;
mod settings;
mod sign_in;
mod thunderbird;

use std::process::Command;

use mailhost::listener::Service;

use crate::support::{Host, Site, run};

/// An answer.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Asks with curl, under TLS and with the certificate checked, unless it is a service without. A path has a slash in front.
#[track_caller]
fn ask(site: &Site, host: &Host, service: Service, path: &str, options: &[&str]) -> Answer {
    let port = host.address(service).port();
    let scheme = if service.implicit_tls() { "https" } else { "http" };
    ask_at(site, host, service, &format!("{scheme}://mail.example.test:{port}"), path, options)
}

/// The same by another name.
#[track_caller]
fn ask_at(site: &Site, host: &Host, service: Service, at: &str, path: &str, options: &[&str]) -> Answer {
    let address = host.address(service);
    let mut command = Command::new("curl");
    command.args(["--silent", "--show-error", "--include", "--max-time", "50", "--noproxy", "*"]);
    command.arg("--cacert").arg(site.data("self-signed.pem"));
    command.args(["--resolve", &format!("*:{}:{}", address.port(), address.ip())]);
    command.args(options).arg(format!("{at}{path}"));
    let result = run(&mut command, "");
    assert_eq!((result.status, &*result.stderr), (Some(0), ""), "{path}");
    let (head, body) = result.stdout.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
