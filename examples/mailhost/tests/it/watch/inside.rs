//! A host within the test, whose passwords cost next to nothing: what they cost would hide all else.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use argon2::password_hash::{PasswordHasher as _, phc};
use argon2::{Algorithm, Argon2, Params, Version};
use mailhost::accounts::Accounts;
use mailhost::auth::{Authenticator, Password, PasswordHash, Secrets};
use mailhost::config::Config;
use mailhost::host::{self, Host};
use mailhost::listener::{Service, Stop};
use mailhost::relay::Relay;
use mailhost::store::{Opening, Store};
use mailhost::system::Machine;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use crate::support::{Folder, PASSWORD};

/// With accounts in example.test.
pub(super) async fn host(folder: &Folder, names: &[&str]) -> Arc<Host> {
    let file = folder.config("data", "[auth]\nallow_plaintext = true\n");
    let config = Config::load(&file).unwrap();
    std::fs::create_dir(&config.data_dir).unwrap();
    let limits = mailstore::Limits::default();
    let (store, _) =
        Store::open(Arc::new(Machine), &config.mail_dir(), limits, Opening::Usual).await.unwrap();
    let accounts =
        Accounts::load(store.clone(), config.hostname.clone(), config.domains.clone()).await.unwrap();
    let password = Password::new(PASSWORD.to_owned()).unwrap();
    let scram = Secrets::scram(&password).unwrap();
    for name in names {
        let secrets = Secrets { hash: cheap(PASSWORD), scram: scram.clone() };
        accounts.add(&format!("{name}@example.test"), None, &secrets).await.unwrap();
    }
    let relay = Relay::open(store.clone(), &config, None).await.unwrap();
    let authenticator = Authenticator::with(store.shared_system(), 2, cheap("of nobody"));
    Arc::new(Host::new(config, None, store, Arc::new(accounts), Arc::new(relay), authenticator))
}

/// The least that Argon2 can cost.
fn cheap(password: &str) -> PasswordHash {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8, 1, 1, None).unwrap());
    let hash: phc::PasswordHash =
        argon2.hash_password_with_salt(password.as_bytes(), b"salt for all of them").unwrap();
    PasswordHash::parse(&hash.to_string()).unwrap()
}

/// A connection to a host within the test.
pub(super) struct Connection {
    stream: DuplexStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(super) fn open(host: &Arc<Host>, service: Service, from: Ipv4Addr) -> Self {
        let (near, far) = duplex(64 << 10);
        let (_stop, stopping) = Stop::new();
        let peer = SocketAddr::new(IpAddr::V4(from), 40_000);
        tokio::spawn(host::session(Arc::clone(host), service, Box::new(far), peer, stopping));
        Self { stream: near, buffer: Vec::new() }
    }

    pub(super) async fn send(&mut self, line: &str) {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
    }

    /// The next line that is a reply, or asks for more, without its line end.
    pub(super) async fn reply(&mut self) -> String {
        loop {
            let line = self.line().await.expect("a line");
            let part =
                line.len() > 3 && line.as_bytes()[..3].iter().all(u8::is_ascii_digit) && &line[3..4] == "-";
            if !part && !line.starts_with("* CAPABILITY") {
                return line;
            }
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
