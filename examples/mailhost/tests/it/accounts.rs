//! Accounts and aliases as whoever runs the host, their owners and strangers see them.

mod addresses;
mod app_passwords;
mod changes;
mod suspension;

use mailhost::listener::Service;

use crate::support::{Host, Wire, base64};

const PLAINTEXT: &str = "[auth]\nallow_plaintext = true\n";

/// All messages of an account.
#[track_caller]
fn collected(host: &Host, login: &str) -> Vec<String> {
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), login);
    let count = pop3.unique_ids().len();
    let all = (1..=count).map(|number| String::from_utf8(pop3.retrieve(number)).unwrap()).collect();
    pop3.say("QUIT", "+OK");
    all
}

/// AUTH PLAIN, which has to be answered so.
#[track_caller]
fn auth(host: &Host, login: &str, password: &str, answer: &str) -> Wire {
    let mut wire = Wire::smtp(host.address(Service::Submission));
    let response = base64(format!("\0{login}\0{password}").as_bytes());
    wire.say(&format!("AUTH PLAIN {response}"), answer);
    wire
}

/// USER and PASS, which has to be answered so.
#[track_caller]
fn pass(host: &Host, login: &str, password: &str, answer: &str) -> Wire {
    let mut wire = Wire::connect(host.address(Service::Pop3));
    wire.expect("+OK");
    wire.say(&format!("USER {login}"), "+OK");
    wire.say(&format!("PASS {password}"), answer);
    wire
}
