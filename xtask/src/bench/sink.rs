//! The end of relaying: takes every message at once, and notes when it came.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::load;
use super::wire::Wire;

pub(super) struct Sink {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    arrived: Mutex<Arrived>,
    more: Condvar,
    ended: AtomicBool,
}

#[derive(Default)]
struct Arrived {
    /// By number; what comes twice counts once here.
    first: Vec<Option<Instant>>,
    distinct: usize,
    all: usize,
    altered: usize,
}

impl Sink {
    pub(super) fn start() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| format!("the sink: {error}"))?;
        let port = listener.local_addr().map_err(|error| error.to_string())?.port();
        let shared = Arc::new(Shared {
            arrived: Mutex::default(),
            more: Condvar::new(),
            ended: AtomicBool::new(false),
        });
        let of_listener = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if of_listener.ended.load(Ordering::Acquire) {
                    return;
                }
                let shared = Arc::clone(&of_listener);
                // A relay may close a connection as it likes; what counts is what has come.
                thread::spawn(move || shared.serve(stream));
            }
        });
        Ok(Self { port, shared })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until so many messages have come: when each of them came, by number.
    pub(super) fn wait(&self, messages: usize) -> Result<Vec<Instant>, String> {
        let mut arrived = self.shared.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        while arrived.distinct < messages {
            let before = arrived.all;
            let (guard, waited) =
                self.shared.more.wait_timeout(arrived, PATIENCE).unwrap_or_else(PoisonError::into_inner);
            arrived = guard;
            if waited.timed_out() && arrived.all == before {
                return Err(format!(
                    "{} of {messages} messages were relayed, then no more",
                    arrived.distinct
                ));
            }
        }
        if arrived.all != messages || arrived.altered > 0 {
            return Err(format!(
                "{messages} messages were sent; {} were relayed, {} of them not as they were sent",
                arrived.all, arrived.altered
            ));
        }
        Ok(arrived.first.iter().flatten().copied().collect())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut wire = Wire::new(stream)?;
        wire.send("220 far.test ESMTP\r\n")?;
        loop {
            let command = wire.line()?.to_ascii_uppercase();
            match command.get(..4) {
                Some(b"EHLO") => {
                    wire.send("250-far.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n")?
                }
                Some(b"HELO" | b"MAIL" | b"RCPT" | b"RSET" | b"NOOP") => wire.send("250 ok\r\n")?,
                Some(b"DATA") => {
                    wire.send("354 go on\r\n")?;
                    let message = wire.message()?;
                    wire.send("250 ok\r\n")?;
                    self.note(&message, Instant::now());
                }
                Some(b"QUIT") => return wire.send("221 bye\r\n"),
                Some(_) => wire.send("500 what?\r\n")?,
                None => return Ok(()),
            }
        }
    }

    fn note(&self, message: &[u8], now: Instant) {
        let number = message.split_inclusive(|&octet| octet == b'\n').find_map(load::number);
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        arrived.all += 1;
        match number {
            Some(number) if message.ends_with(&load::message(number)) => {
                if arrived.first.len() <= number {
                    arrived.first.resize(number + 1, None);
                }
                if arrived.first[number].is_none() {
                    arrived.first[number] = Some(now);
                    arrived.distinct += 1;
                }
            }
            _ => arrived.altered += 1,
        }
        drop(arrived);
        self.more.notify_all();
    }
}

const PATIENCE: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::load::Load;

    const LOAD: Load<'_> = Load { connections: 3, messages: 50, domain: "far.test" };

    #[test]
    fn a_load_arrives_in_the_sink() {
        let sink = Sink::start().unwrap();
        let sent = LOAD.send(sink.port()).unwrap();
        assert_eq!((sent.accepted.len(), sent.waits.len()), (50, 50));
        assert_eq!(sink.wait(50).unwrap().len(), 50);
    }

    #[test]
    fn a_message_that_comes_twice_or_altered_is_an_error() {
        for (number, change, altered) in [(0, "", 0), (50, "x", 1)] {
            let sink = Sink::start().unwrap();
            LOAD.send(sink.port()).unwrap();
            let mut again = load::message(number);
            again.extend_from_slice(change.as_bytes());
            sink.shared.note(&again, Instant::now());
            let error = sink.wait(50).unwrap_err();
            assert!(error.contains(&format!("51 were relayed, {altered} of them not")), "{error}");
        }
    }
}
