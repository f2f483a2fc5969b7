//! Where everything ends up that a page asks of somebody else.

use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::DEADLINE;

/// A port that is every host but ours, and notes who comes.
pub(super) struct Trap {
    port: u16,
    caught: Arc<Mutex<Vec<String>>>,
}

impl Trap {
    pub(super) fn set() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let caught = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&caught);
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let at = {
                    let mut noted = noted.lock().unwrap();
                    noted.push("a connection".to_owned());
                    noted.len() - 1
                };
                let noted = Arc::clone(&noted);
                thread::spawn(move || {
                    let mut start = [0; 512];
                    stream.set_read_timeout(Some(DEADLINE)).unwrap();
                    if let Ok(read @ 1..) = stream.read(&mut start) {
                        noted.lock().unwrap()[at] = start[..read].escape_ascii().to_string();
                    }
                });
            }
        });
        Self { port, caught }
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// What has come so far: a connection counts, whatever was said on it.
    pub(super) fn caught(&self) -> Vec<String> {
        self.caught.lock().unwrap().clone()
    }
}
