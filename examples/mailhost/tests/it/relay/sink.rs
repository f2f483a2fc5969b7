//! A destination within the test: it takes mail, or does something else, and remembers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use super::{PORT, loopback};
use crate::support::DEADLINE;

/// A server. Recipients whose names begin with "later" are deferred, those with "nobody" refused.
pub(crate) struct Sink {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// What it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    /// Takes all.
    Good,
    /// Takes connections and says nothing.
    Mute,
    /// Greets with this, and closes.
    Greets(&'static str),
    /// Says this instead of taking a message.
    Ends(&'static str),
    /// Closes within the message.
    CutsMessage,
    /// Takes the message and closes instead of saying so.
    CutsReply,
    /// Offers STARTTLS, and says this to it; the handshake never succeeds.
    StartTls(&'static str),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: usize,
    /// All but the messages.
    pub(crate) commands: Vec<String>,
    pub(crate) taken: Vec<Taken>,
}

/// A message that was taken, though perhaps not acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
    pub(crate) message: String,
}

struct Shared {
    manner: Mutex<Manner>,
    seen: Mutex<Seen>,
    news: Condvar,
}

impl Sink {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind((loopback(), PORT)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Shared { manner: Mutex::new(manner), seen: Mutex::default(), news: Condvar::new() };
        let shared = Arc::new(shared);
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = Arc::clone(&server);
                server.note(|seen| seen.connections += 1);
                thread::spawn(move || server.serve(&stream));
            }
        });
        Self { address, shared }
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Goes on in another manner, from the next connection on.
    pub(crate) fn becomes(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    pub(crate) fn seen(&self) -> Seen {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits for something to have been seen.
    #[track_caller]
    pub(super) fn wait(&self, mut done: impl FnMut(&Seen) -> bool) -> Seen {
        let seen = self.shared.seen.lock().unwrap();
        let (seen, late) = self.shared.news.wait_timeout_while(seen, DEADLINE, |seen| !done(seen)).unwrap();
        assert!(!late.timed_out(), "{seen:#?}");
        seen.clone()
    }
}

impl Shared {
    fn note(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().unwrap());
        self.news.notify_all();
    }

    /// `None` when the session is over.
    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let manner = *self.manner.lock().unwrap();
        let mut lines = BufReader::new(stream).split(b'\n');
        let say = |text: &str| {
            let mut stream = stream;
            stream.write_all(format!("{text}\r\n").as_bytes()).ok()
        };
        match manner {
            Manner::Mute => {
                lines.next();
                return None;
            }
            Manner::Greets(text) => return say(text),
            _ => say("220 sink.test ESMTP")?,
        }
        let (mut from, mut to) = (String::new(), Vec::new());
        loop {
            let line = text(lines.next()?.ok()?);
            self.note(|seen| seen.commands.push(line.clone()));
            let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
            let path =
                || rest.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>')).map_or("", |path| path.0);
            match verb.to_ascii_uppercase().as_str() {
                "EHLO" if matches!(manner, Manner::StartTls(_)) => say("250-sink.test\r\n250 STARTTLS")?,
                "EHLO" => say("250 sink.test")?,
                "STARTTLS" => {
                    let Manner::StartTls(text) = manner else { return None };
                    say(text)?;
                    if text.starts_with('2') {
                        // Behind the ClientHello, and no ServerHello.
                        (&*stream).read_exact(&mut [0]).ok()?;
                        return say("450 4.0.0 out of keys");
                    }
                }
                "MAIL" => {
                    path().clone_into(&mut from);
                    to.clear();
                    say("250 2.1.0 sender")?;
                }
                "RCPT" if path().starts_with("later") => say("451 4.2.1 come back later")?,
                "RCPT" if path().starts_with("nobody") => say("550 5.1.1 nobody of that name")?,
                "RCPT" => {
                    to.push(path().to_owned());
                    say("250 2.1.5 recipient")?;
                }
                "DATA" if to.is_empty() => say("503 5.5.1 for whom")?,
                "DATA" => {
                    say("354 go ahead")?;
                    let mut message = String::new();
                    loop {
                        let line = text(lines.next()?.ok()?);
                        if manner == Manner::CutsMessage {
                            return None;
                        }
                        if line == "." {
                            break;
                        }
                        message.push_str(line.strip_prefix('.').unwrap_or(&line));
                        message.push('\n');
                    }
                    if let Manner::Ends(text) = manner {
                        say(text)?;
                        continue;
                    }
                    let taken = Taken { from: from.clone(), to: to.clone(), message };
                    self.note(|seen| seen.taken.push(taken));
                    if manner == Manner::CutsReply {
                        return None;
                    }
                    say("250 2.0.0 taken")?;
                }
                "QUIT" => return say("221 2.0.0 bye"),
                _ => say("250 2.0.0 as you like")?,
            }
        }
    }
}

fn text(mut line: Vec<u8>) -> String {
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8_lossy(&line).into_owned()
}
