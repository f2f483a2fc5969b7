//! Answers the challenges of a server, line by line: `cargo run -p sasl-codec --example responses -- NAME PASSWORD`.
//!
//! Prints what goes behind AUTH; then takes a challenge in base64 from each line and prints the response. The last line
//! is `ok` or `no`, as the server says it.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a driver does the I/O"
)]

use std::env;
use std::error::Error;
use std::io::{self, BufRead as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use sasl_codec::client::{Binding, Credentials, Event};
use sasl_codec::scram::Hash;
use sasl_codec::{ClientSession, Nonce, Password};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [name, password] = &arguments[..] else { return Err("a name and a password are wanted".into()) };
    let credentials = Credentials::new(name, Password::new(password.clone())?)?;
    let mut random = [0; 18];
    io::Read::read_exact(&mut std::fs::File::open("/dev/urandom")?, &mut random)?;
    let mut session =
        ClientSession::scram(Hash::Sha256, credentials, Binding::Unsupported, Nonce::new(random));
    let mut out = BytesMut::new();
    session.initial(&mut out);
    println!("{} {}", session.mechanism(), STANDARD.encode(out.split()));
    for line in io::stdin().lock().lines() {
        match line?.trim() {
            "ok" => session.handle_outcome(true),
            "no" => session.handle_outcome(false),
            challenge => {
                if let Some(Event::Derive(derive)) = session.receive(&STANDARD.decode(challenge)?, &mut out) {
                    derive.run(&mut out);
                }
            }
        }
        match session.closed() {
            Some(result) => return Ok(result?),
            None => println!("{}", STANDARD.encode(out.split())),
        }
    }
    Err("the server has said neither yes nor no".into())
}
