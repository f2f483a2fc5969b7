//! What the sessions do, through the public API.

mod client;
mod client_matrix;
mod pair;
mod properties;
mod rfc_examples;
mod server;

use core::time::Duration;

use bytes::{Buf, BytesMut};
use smtp_codec::address::Domain;
use smtp_codec::extension::Mechanism;
use smtp_codec::reply::Reply;
use smtp_codec::server::{Event, Reason, ServerConfig, ServerSession};
use smtp_codec::{ClientConfig, Limits};

/// Replays a transcript by its name: what the client said goes in, what the server said has to come out.
macro_rules! transcript {
    ($name:literal) => {
        crate::replay(include_str!(concat!("../transcripts/", $name, ".smtp")))
    };
}
pub(crate) use transcript;

pub(crate) const START: Duration = Duration::from_secs(1_000_000);

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn domain(name: &str) -> Domain<'static> {
    Domain::parse(name).expect(name).into_owned()
}

/// A small host, so that its limits are near.
pub(crate) fn host() -> ServerConfig {
    ServerConfig::new(domain("host.test")).limits(Limits::default().message(65_536))
}

pub(crate) fn here() -> ClientConfig {
    ClientConfig::new(domain("client.test"))
}

/// A server session with a driver whose policy is in the addresses: `refused@` may not send, `nobody@` does not exist,
/// `later@` is deferred, `silent@` is never answered; the password is `secret`.
pub(crate) struct Server {
    pub(crate) session: ServerSession,
    pub(crate) now: Duration,
    pub(crate) out: BytesMut,
    pub(crate) events: Vec<String>,
    /// Of the message that is being received.
    pub(crate) body: Vec<u8>,
    pub(crate) buffer: BytesMut,
}

impl Server {
    pub(crate) fn new(config: ServerConfig) -> Self {
        let mut out = BytesMut::new();
        let session = ServerSession::new(config, START, &mut out);
        Self { session, now: START, out, events: Vec::new(), body: Vec::new(), buffer: BytesMut::new() }
    }

    /// One that has been greeted and has sent RCPT already.
    pub(crate) fn in_message(config: ServerConfig) -> Self {
        let mut server = Self::new(config);
        server.feed(b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n");
        assert!(server.session.is_receiving());
        server.out.clear();
        server.events.clear();
        server
    }

    pub(crate) fn feed(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
        let mut input = &self.buffer[..];
        while let Some(event) = self.session.receive(self.now, &mut input, &mut self.out) {
            answer(event, &mut self.events, &mut self.body, &mut self.out);
        }
        let used = self.buffer.len() - input.len();
        self.buffer.advance(used);
        assert!(self.buffer.len() < 12_288 || self.session.closed().is_some(), "unread input is bounded");
    }

    /// Feeds, and gives what was written since the last time.
    pub(crate) fn talk(&mut self, octets: &[u8]) -> String {
        self.feed(octets);
        self.said()
    }

    pub(crate) fn said(&mut self) -> String {
        String::from_utf8(self.out.split().to_vec()).expect("replies are ASCII")
    }

    pub(crate) fn start_tls(&mut self) {
        assert!(self.session.wants_tls());
        self.session.handle_tls_started(self.now);
    }

    pub(crate) fn seen(self) -> Seen {
        Seen { events: self.events, body: self.body, out: self.out.to_vec(), reason: self.session.closed() }
    }
}

fn answer(event: Event<'_>, events: &mut Vec<String>, body: &mut Vec<u8>, out: &mut BytesMut) {
    match event {
        Event::Chunk(chunk) => {
            assert!(!chunk.is_empty());
            body.extend_from_slice(chunk);
        }
        Event::Mail(mail) => {
            body.clear();
            events.push(format!("mail {} {:?} {:?}", mail.from(), mail.size(), mail.body()));
            match mail.from().as_str() {
                address if address.starts_with("refused@") => mail.reject(Reply::RELAY_DENIED, out),
                address if address.starts_with("stop@") => mail.reject(Reply::SHUTTING_DOWN, out),
                address if address.starts_with("silent@") => {}
                _ => mail.accept(out),
            }
        }
        Event::Rcpt(rcpt) => {
            events.push(format!("rcpt {}", rcpt.to()));
            match rcpt.to().as_str() {
                address if address.starts_with("nobody") => rcpt.reject(Reply::NO_SUCH_MAILBOX, out),
                address if address.starts_with("later") => rcpt.reject(Reply::MAILBOX_FULL, out),
                address if address.starts_with("stop@") => rcpt.reject(Reply::SHUTTING_DOWN, out),
                address if address.starts_with("silent@") => {}
                _ => rcpt.accept(out),
            }
        }
        Event::Data(data) => {
            events.push("data".to_owned());
            data.accept(out);
        }
        Event::End(end) => {
            assert_eq!(end.octets(), body.len() as u64);
            events.push(format!("message {}", body.escape_ascii()));
            let refused = body.starts_with(b"refuse");
            body.clear();
            if refused { end.reject(Reply::STORAGE_FULL, out) } else { end.accept(out) }
        }
        Event::Discarded(fault) => {
            events.push(format!("discarded {fault:?} {}", body.escape_ascii()));
            body.clear();
        }
        Event::StartTls(tls) => {
            events.push("starttls".to_owned());
            tls.accept(out);
        }
        Event::Auth(auth) => {
            assert!(!format!("{auth:?}").contains("initial"), "no secrets in logs");
            events.push(format!("auth {} {:?}", auth.mechanism(), auth.initial().map(<[u8]>::escape_ascii)));
            match auth.initial() {
                Some(b"\0alice\0secret") => auth.accept(out),
                Some(b"test\0test\x001234") => auth.accept(out),
                Some(b"") if auth.mechanism().as_str() == "EXTERNAL" => auth.accept(out),
                Some(_) => auth.reject(Reply::AUTH_FAILED, out),
                None if auth.mechanism() == Mechanism::LOGIN => auth.challenge(b"Username:", out),
                None if auth.mechanism().as_str() == "CRAM-MD5" => auth.challenge(b"<1@host>", out),
                None => auth.challenge(b"", out),
            }
        }
        Event::AuthResponse(auth) => {
            events.push(format!("response {}", auth.data().escape_ascii()));
            match auth.data() {
                b"alice" => auth.challenge(b"Password:", out),
                data if data.ends_with(b"secret") || data.ends_with(b"1234") => auth.accept(out),
                data if data.starts_with(b"rjs3 ") => auth.accept(out),
                _ => auth.reject(Reply::AUTH_FAILED, out),
            }
        }
        Event::AuthCancelled => events.push("cancelled".to_owned()),
        other => panic!("an event this test does not know: {other:?}"),
    }
}

/// What came of a session; chunks put together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Seen {
    pub(crate) events: Vec<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) out: Vec<u8>,
    pub(crate) reason: Option<Reason>,
}

impl Seen {
    pub(crate) fn said(&self) -> &str {
        str::from_utf8(&self.out).expect("replies are ASCII")
    }
}

/// Feeds a new session whole, octet by octet, cut at every place, and with the beginning of a line behind it; checks that
/// nothing differs. TLS starts between two segments, if it is wanted then.
pub(crate) fn every_split(config: &ServerConfig, segments: &[&[u8]]) -> Seen {
    let run = |pieces: &dyn Fn(&[u8]) -> Vec<usize>, trailing: &[u8]| {
        let mut server = Server::new(config.clone());
        for (index, segment) in segments.iter().enumerate() {
            if index > 0 && server.session.wants_tls() {
                server.start_tls();
            }
            let last = index + 1 == segments.len();
            let segment = if last { [segment, trailing].concat() } else { segment.to_vec() };
            let mut start = 0;
            for end in pieces(&segment) {
                server.feed(&segment[start..end]);
                start = end;
            }
            server.feed(&segment[start..]);
        }
        server.seen()
    };
    let whole = run(&|_| Vec::new(), b"");
    assert_eq!(run(&|segment| (1..segment.len()).collect(), b""), whole, "octet by octet");
    let longest = segments.iter().map(|segment| segment.len()).max().unwrap_or(0);
    let step = (longest / 1_000).max(1);
    for cut in (1..longest).step_by(step) {
        assert_eq!(run(&|segment| vec![cut.min(segment.len())], b""), whole, "cut at {cut}");
    }
    if whole.reason.is_none() && !whole.said().ends_with("ready for TLS\r\n") {
        let trailing = run(&|_| Vec::new(), b"N");
        if whole.body.is_empty() {
            assert_eq!(trailing, whole, "with trailing octets");
        }
    }
    whole
}

/// One side's lines, then the other's, as a transcript has them.
pub(crate) enum Part {
    Client(Vec<u8>),
    Server(Vec<u8>),
    Tls,
}

pub(crate) struct Transcript<'a> {
    pub(crate) options: Vec<&'a str>,
    pub(crate) parts: Vec<Part>,
}

impl<'a> Transcript<'a> {
    pub(crate) fn parse(text: &'a str) -> Self {
        let (mut options, mut parts) = (Vec::new(), Vec::new());
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("config ") {
                options = rest.split(' ').collect();
            } else if line == "TLS" {
                parts.push(Part::Tls);
            } else if let Some(line) = line.strip_prefix("C:") {
                let line = line.strip_prefix(' ').unwrap_or(line);
                match parts.last_mut() {
                    Some(Part::Client(lines)) => put_line(lines, line),
                    _ => parts.push(Part::Client(format!("{line}\r\n").into())),
                }
            } else if let Some(line) = line.strip_prefix("S:") {
                let line = line.strip_prefix(' ').unwrap_or(line);
                match parts.last_mut() {
                    Some(Part::Server(lines)) => put_line(lines, line),
                    _ => parts.push(Part::Server(format!("{line}\r\n").into())),
                }
            } else {
                assert!(line.starts_with('#'), "not a line of a transcript: {line}");
            }
        }
        Self { options, parts }
    }

    pub(crate) fn server_config(&self) -> ServerConfig {
        let mut config = host();
        for option in &self.options {
            config = match *option {
                "starttls" => config.starttls(),
                "tls" => config.implicit_tls(),
                "auth" => config.mechanisms(&[Mechanism::PLAIN, Mechanism::LOGIN]),
                "plaintext" => config.plaintext_auth(),
                other => panic!("no option {other}"),
            };
        }
        config
    }
}

fn put_line(lines: &mut Vec<u8>, line: &str) {
    lines.extend_from_slice(line.as_bytes());
    lines.extend_from_slice(b"\r\n");
}

pub(crate) fn replay(text: &str) {
    let transcript = Transcript::parse(text);
    let mut server = Server::new(transcript.server_config());
    let (mut segments, mut all) = (vec![Vec::new()], Vec::new());
    for part in &transcript.parts {
        match part {
            Part::Client(lines) => {
                server.feed(lines);
                segments.last_mut().expect("never empty").extend_from_slice(lines);
            }
            Part::Server(lines) => {
                all.extend_from_slice(lines);
                assert_eq!(server.said(), String::from_utf8_lossy(lines));
            }
            Part::Tls => {
                server.start_tls();
                segments.push(Vec::new());
            }
        }
    }
    let segments: Vec<&[u8]> = segments.iter().map(|segment| &segment[..]).collect();
    let seen = every_split(&transcript.server_config(), &segments);
    assert_eq!(seen.said(), String::from_utf8_lossy(&all));
}
