//! Behaviour, through the public API.

mod client;
mod dialogues;
mod pair;
mod rfc_examples;
mod server;
mod utf8;

use core::time::Duration;
use std::collections::VecDeque;

use bytes::BytesMut;
use pop3_codec::capability::Expire;
use pop3_codec::client::{ClientConfig, ClientSession, Event as Told, Reason as ClientReason, Request};
use pop3_codec::command::{Mechanism, Password, UserName};
use pop3_codec::reply::{Reply, Status};
use pop3_codec::server::{Event as Asked, Reason as ServerReason, ServerConfig, ServerSession};
use pop3_codec::{Maildrop, UniqueId};

/// Replays a file of tests/transcripts against a server session, at once and octet by octet.
macro_rules! transcript {
    ($name:literal, $host:expr) => {
        for step in [usize::MAX, 1, 7] {
            crate::replay(include_str!(concat!("../transcripts/", $name, ".pop3")), $host, step);
        }
    };
}
pub(crate) use transcript;

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// A maildrop in memory.
#[derive(Clone, Debug, Default)]
struct Messages(Vec<Vec<u8>>);

impl Maildrop for Messages {
    fn len(&self) -> usize {
        self.0.len()
    }
    fn size(&self, index: usize) -> u64 {
        self.0[index].len() as u64
    }
    fn unique_id(&self, index: usize) -> UniqueId {
        UniqueId::new(&format!("id{}", index + 1)).expect("visible ASCII")
    }
}

/// How a test's host answers events.
#[derive(Clone, Debug)]
struct Host {
    config: ServerConfig,
    messages: Messages,
    /// What it has been asked, and what it did.
    log: Vec<String>,
    /// Octets of a message that are written at once.
    piece: usize,
    /// The limit of a line.
    line: usize,
    update: Answer,
    /// The answer to any password, instead of looking at it.
    login: Option<Reply>,
    /// Leaves all events of this name without an answer.
    forget: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Answer {
    Accept,
    Reject,
}

impl Host {
    /// Offers logins in the clear: "user" has the password "secret", and these messages.
    fn new(messages: &[&str]) -> Self {
        Self {
            config: ServerConfig::new().plaintext_auth().expire(Expire::Never),
            messages: Messages(messages.iter().map(|text| text.as_bytes().to_vec()).collect()),
            log: Vec::new(),
            piece: usize::MAX,
            line: 512,
            update: Answer::Accept,
            login: None,
            forget: "",
        }
    }

    fn config(mut self, config: ServerConfig) -> Self {
        self.config = config;
        self
    }

    fn session(&self, out: &mut BytesMut) -> ServerSession<Messages> {
        ServerSession::new(self.config.clone(), Duration::ZERO, out)
    }

    /// Answers events until the session wants more input.
    fn serve(
        &mut self,
        session: &mut ServerSession<Messages>,
        now: Duration,
        input: &mut &[u8],
        out: &mut BytesMut,
    ) {
        while let Some(event) = session.receive(now, input, out) {
            self.answer(event, out);
        }
    }

    fn answer(&mut self, event: Asked<'_, Messages>, out: &mut BytesMut) {
        match event {
            Asked::Continue => {}
            Asked::Login(login) => {
                self.log.push(format!("login {:?} {:?}", login.user(), login.password()));
                if self.forget == "login" {
                    return;
                }
                match &self.login {
                    Some(reply) => login.reject(reply.clone(), out),
                    None if (login.user(), login.password()) == ("user", "secret") => {
                        login.accept(self.messages.clone(), out);
                    }
                    None => login.reject(Reply::AUTH_FAILED, out),
                }
            }
            Asked::Auth(auth) => {
                self.log.push(format!("auth {:?} {:?}", auth.mechanism(), auth.initial()));
                if self.forget == "auth" {
                    return;
                }
                match (auth.mechanism().as_str(), auth.initial()) {
                    ("PLAIN", None) => auth.challenge(b"", out),
                    ("PLAIN", Some(b"\0user\0secret")) => auth.accept(self.messages.clone(), out),
                    ("X-ASK", None) => auth.challenge(b"who?", out),
                    _ => auth.reject(Reply::AUTH_FAILED, out),
                }
            }
            Asked::AuthResponse(response) => {
                self.log.push(format!("response {:?}", response.data().escape_ascii().to_string()));
                if self.forget == "response" {
                    return;
                }
                match response.data() {
                    b"\0user\0secret" | b"" => response.accept(self.messages.clone(), out),
                    b"user" => response.challenge(b"rspauth", out),
                    _ => response.reject(Reply::AUTH_FAILED, out),
                }
            }
            Asked::AuthCancelled => self.log.push("cancelled".into()),
            Asked::Retrieve(retrieve) => {
                let utf8 = if retrieve.is_utf8() { " in UTF-8" } else { "" };
                self.log.push(format!("retrieve {} {:?}{utf8}", retrieve.index(), retrieve.lines()));
                if self.forget == "retrieve" {
                    return;
                }
                let text = retrieve.maildrop().0[retrieve.index()].clone();
                if text.is_empty() {
                    return retrieve.reject(Reply::LOCAL_ERROR, out);
                }
                if self.forget == "surrogates" && !text.is_ascii() && !retrieve.is_utf8() {
                    return retrieve.reject(Reply::UTF8_NEEDED, out);
                }
                let mut message = retrieve.accept(out);
                for piece in text.chunks(self.piece.min(text.len())) {
                    if message.wants_more() {
                        message.write(piece, out);
                    }
                    if self.forget == "message" {
                        return;
                    }
                }
                message.finish(out);
            }
            Asked::Stls(stls) => {
                self.log.push("stls".into());
                match self.forget {
                    "stls" => {}
                    "no stls" => stls.reject(Reply::TLS_NOT_AVAILABLE, out),
                    _ => stls.accept(out),
                }
            }
            Asked::Update(update) => {
                let deleted: Vec<usize> = update.deleted().collect();
                self.log.push(format!("update {deleted:?}"));
                match self.update {
                    _ if self.forget == "update" => {}
                    Answer::Accept => update.accept(out),
                    Answer::Reject => update.reject(Reply::NOT_DELETED, out),
                }
            }
            other => panic!("an event that this test does not know: {other:?}"),
        }
    }

    /// Feeds the pieces to a session of its own; what the host saw, what went out, and how it ended.
    fn run(&self, pieces: &[&[u8]]) -> (Vec<String>, String, Option<ServerReason>) {
        let (mut host, mut out, mut buffer) = (self.clone(), BytesMut::new(), Vec::new());
        let mut session = host.session(&mut out);
        for piece in pieces {
            buffer.extend_from_slice(piece);
            let mut input = &buffer[..];
            host.serve(&mut session, Duration::ZERO, &mut input, &mut out);
            if session.closed().is_none() && !session.wants_tls() {
                assert!(input.len() < self.line, "unread input stays below the limit of a line");
            }
            let used = buffer.len() - input.len();
            buffer.drain(..used);
        }
        (host.log, String::from_utf8_lossy(&out).into_owned(), session.closed())
    }

    /// The same for any split of the input, and with trailing octets; gives back what is said to it.
    fn talk(&self, input: &str) -> String {
        let mut results = Vec::new();
        every_split(input.as_bytes(), |pieces| results.push(self.run(pieces)));
        let first = results[0].clone();
        for result in results {
            assert_eq!(result, first, "for {input:?}");
        }
        let trailing = self.run(&[input.as_bytes(), b"N"]);
        assert_eq!(
            (&trailing.0, &trailing.1),
            (&first.0, &first.1),
            "the next line has begun behind {input:?}"
        );
        first.1
    }
}

/// Feeds each case whole, octet by octet, and in two pieces cut at every octet.
fn every_split(octets: &[u8], mut feed: impl FnMut(&[&[u8]])) {
    feed(&[octets]);
    feed(&octets.chunks(1).collect::<Vec<_>>());
    for at in 0..=octets.len() {
        feed(&[&octets[..at], &octets[at..]]);
    }
}

/// Replays `C:` and `S:` lines. A line in brackets is something else that happens: `[tls]`, `[eof]`, `[600 s]`,
/// or what is expected: `[closed Quit]`.
fn replay(text: &str, mut host: Host, step: usize) {
    let (mut out, mut buffer, mut now) = (BytesMut::new(), Vec::new(), Duration::ZERO);
    let mut session = host.session(&mut out);
    for (number, line) in text.lines().enumerate() {
        let number = number + 1;
        if let Some(sent) = line.strip_prefix("C: ") {
            assert!(out.is_empty(), "line {number}: unexpected {out:?}");
            let octets = format!("{sent}\r\n");
            for piece in octets.as_bytes().chunks(step.min(octets.len())) {
                buffer.extend_from_slice(piece);
                let mut input = &buffer[..];
                host.serve(&mut session, now, &mut input, &mut out);
                let used = buffer.len() - input.len();
                buffer.drain(..used);
            }
        } else if let Some(expected) = line.strip_prefix("S:") {
            let expected = format!("{}\r\n", expected.strip_prefix(' ').unwrap_or(expected));
            let written = out.split_to(out.len().min(expected.len()));
            assert_eq!(String::from_utf8_lossy(&written), expected, "line {number}");
        } else if line == "[tls]" {
            assert!(session.wants_tls(), "line {number}");
            session.handle_tls_started(now);
        } else if line == "[eof]" {
            session.handle_eof();
        } else if let Some(count) = line.strip_prefix('[').and_then(|line| line.strip_suffix(" s]")) {
            now += seconds(count.parse().expect("a number of seconds"));
            session.handle_timeout(now, &mut out);
        } else if let Some(reason) = line.strip_prefix("[closed ") {
            let closed = session.closed().map(|closed| format!("{closed:?}]"));
            assert_eq!(closed.as_deref(), Some(reason), "line {number}");
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "line {number}: {line:?}");
        }
    }
    assert!(out.is_empty(), "at the end: unexpected {out:?}");
}

/// How a test's client asks, and what it is told.
#[derive(Clone, Debug)]
struct Caller {
    config: ClientConfig,
    /// What is queued at each time that the session has nothing to do.
    batches: VecDeque<Vec<Request>>,
    tls: bool,
    /// What it asks for before it logs in: UTF8 and LANG.
    before: VecDeque<Request>,
    user: &'static str,
    /// Whether it logs in by AUTH, and with an initial response.
    auth: Option<bool>,
    password: &'static str,
    /// Chunks of the same message are one entry.
    log: Vec<String>,
    message: Option<Vec<u8>>,
    messages: Vec<Vec<u8>>,
}

impl Caller {
    fn new(batches: &[&[Request]]) -> Self {
        Self {
            config: ClientConfig::new().plaintext_auth(),
            batches: batches.iter().map(|batch| batch.to_vec()).collect(),
            tls: false,
            before: VecDeque::new(),
            user: "user",
            auth: None,
            password: "secret",
            log: Vec::new(),
            message: None,
            messages: Vec::new(),
        }
    }

    fn session(&self) -> ClientSession {
        ClientSession::new(self.config.clone(), Duration::ZERO, &mut BytesMut::new())
    }

    fn ask(&mut self, session: &mut ClientSession, now: Duration, input: &mut &[u8], out: &mut BytesMut) {
        while let Some(event) = session.receive(now, input, out) {
            self.answer(event, out);
        }
    }

    fn answer(&mut self, event: Told<'_>, out: &mut BytesMut) {
        match event {
            Told::Login(login) => {
                self.log.push("login".into());
                match self.before.pop_front() {
                    Some(Request::Utf8) => return login.utf8(out),
                    Some(Request::Lang(language)) => return login.lang(language, out),
                    Some(Request::Stls) => return login.stls(out),
                    _ => {}
                }
                match () {
                    // One attempt.
                    () if self.log.iter().any(|entry| entry.starts_with("refused")) => login.quit(out),
                    () if self.tls && !login.is_tls() => login.stls(out),
                    () => match self.auth {
                        Some(initial) => {
                            let message = format!("\0user\0{}", self.password).into_bytes();
                            let mechanism = Mechanism::parse(b"PLAIN").expect("a name");
                            login.authenticate(mechanism, initial.then_some(&message), out);
                        }
                        None => login.user(UserName::new(self.user).expect("no control character"), out),
                    },
                }
            }
            Told::Challenge(challenge) => {
                self.log.push("challenge".into());
                challenge.respond(format!("\0user\0{}", self.password).as_bytes(), out);
            }
            Told::Password(wanted) => {
                self.log.push("password".into());
                wanted.pass(Password::new(self.password).expect("no control character"), out);
            }
            Told::Mailbox(mut mailbox) => {
                self.log.push("mailbox".into());
                for request in self.batches.pop_front().unwrap_or_else(|| vec![Request::Quit]) {
                    match request {
                        Request::Capa => mailbox.capa(out),
                        Request::Lang(language) => mailbox.lang(language, out),
                        Request::Stat => mailbox.stat(out),
                        Request::List(number) => mailbox.list(number, out),
                        Request::Uidl(number) => mailbox.uidl(number, out),
                        Request::Retr(number) => mailbox.retr(number, out),
                        Request::Top(number, lines) => mailbox.top(number, lines, out),
                        Request::Dele(number) => mailbox.dele(number, out),
                        Request::Noop => mailbox.noop(out),
                        Request::Rset => mailbox.rset(out),
                        _ => return mailbox.quit(out),
                    }
                    .expect("there is room");
                }
            }
            Told::Message { number } => {
                self.log.push(format!("message {number}"));
                assert!(self.message.replace(Vec::new()).is_none(), "one message at a time");
            }
            Told::Chunk(chunk) => {
                self.message.as_mut().expect("within a message").extend_from_slice(chunk);
            }
            Told::MessageEnd => {
                let message = self.message.take().expect("within a message");
                self.log.push(format!("{:?}", String::from_utf8_lossy(&message)));
                self.messages.push(message);
            }
            Told::Refused { request, reply } => {
                let text = String::from_utf8_lossy(reply.text()).into_owned();
                self.log.push(format!("refused {request:?} {:?} {text}", reply.status()));
            }
            Told::Capabilities(capabilities) => {
                self.log.push(format!("capabilities, pipelining {}", capabilities.pipelining));
            }
            Told::UniqueId { number, id } => self.log.push(format!("{number} {}", id.as_str())),
            Told::Size { number, octets } => self.log.push(format!("{number} {octets}")),
            Told::Language { language, description } => {
                self.log.push(format!("{}: {}", language.as_str(), String::from_utf8_lossy(description)));
            }
            Told::Stat { messages, octets } => self.log.push(format!("stat {messages} {octets}")),
            Told::ListEnd => self.log.push("end".into()),
            Told::Done(request) => self.log.push(format!("done {request:?}")),
            other => panic!("an event that this test does not know: {other:?}"),
        }
    }

    /// Feeds the pieces of a server's octets to a session of its own.
    fn run(&self, pieces: &[&[u8]]) -> (Vec<String>, String, Option<ClientReason>) {
        let (mut caller, mut out, mut buffer) = (self.clone(), BytesMut::new(), Vec::new());
        let mut session = caller.session();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            let mut input = &buffer[..];
            caller.ask(&mut session, Duration::ZERO, &mut input, &mut out);
            if session.closed().is_none() && !session.wants_tls() {
                assert!(input.len() < 2048, "unread input stays below the limit of a line");
            }
            let used = buffer.len() - input.len();
            buffer.drain(..used);
        }
        (caller.log, String::from_utf8_lossy(&out).into_owned(), session.closed())
    }

    /// The same for any split of what the server sends, and with trailing octets.
    fn hear(&self, server: &str) -> (Vec<String>, String, Option<ClientReason>) {
        let mut results = Vec::new();
        every_split(server.as_bytes(), |pieces| results.push(self.run(pieces)));
        let first = results[0].clone();
        for result in results {
            assert_eq!(result, first, "for {server:?}");
        }
        let trailing = self.run(&[server.as_bytes(), b"+"]);
        assert_eq!(
            (&trailing.0, &trailing.1),
            (&first.0, &first.1),
            "the next line has begun behind {server:?}"
        );
        first
    }
}

/// A client and a server session, a clock, and the wires between them.
struct Pair {
    host: Host,
    caller: Caller,
    server: ServerSession<Messages>,
    client: ClientSession,
    now: Duration,
    /// On the way, and what is buffered at the other side.
    to_server: BytesMut,
    to_client: BytesMut,
    at_server: Vec<u8>,
    at_client: Vec<u8>,
    /// Octets that are moved at once.
    step: usize,
    /// Everything that went over the wires, for those who want to look at it.
    sent_by_client: Vec<u8>,
    sent_by_server: Vec<u8>,
}

impl Pair {
    fn new(host: Host, caller: Caller, step: usize) -> Self {
        let mut to_client = BytesMut::new();
        Self {
            server: host.session(&mut to_client),
            client: caller.session(),
            host,
            caller,
            now: Duration::ZERO,
            to_server: BytesMut::new(),
            to_client,
            at_server: Vec::new(),
            at_client: Vec::new(),
            step,
            sent_by_client: Vec::new(),
            sent_by_server: Vec::new(),
        }
    }

    /// Moves octets until nobody has any more to say.
    fn run(&mut self) {
        while self.turn() {}
    }

    fn turn(&mut self) -> bool {
        if self.client.wants_tls() && self.server.wants_tls() && self.to_client.is_empty() {
            self.server.handle_tls_started(self.now);
            self.client.handle_tls_started(self.now);
            self.caller.ask(&mut self.client, self.now, &mut &[][..], &mut self.to_server);
        }
        let moved = self.to_server.len() + self.to_client.len() > 0;
        let piece = self.to_server.split_to(self.step.min(self.to_server.len()));
        self.sent_by_client.extend_from_slice(&piece);
        self.at_server.extend_from_slice(&piece);
        let mut input = &self.at_server[..];
        self.host.serve(&mut self.server, self.now, &mut input, &mut self.to_client);
        let used = self.at_server.len() - input.len();
        self.at_server.drain(..used);
        let piece = self.to_client.split_to(self.step.min(self.to_client.len()));
        self.sent_by_server.extend_from_slice(&piece);
        self.at_client.extend_from_slice(&piece);
        let mut input = &self.at_client[..];
        self.caller.ask(&mut self.client, self.now, &mut input, &mut self.to_server);
        let used = self.at_client.len() - input.len();
        self.at_client.drain(..used);
        moved || !self.to_server.is_empty()
    }

    /// Lets time pass up to the next deadline of either side.
    fn sleep(&mut self) {
        let deadlines = [self.server.poll_timeout(), self.client.poll_timeout()];
        self.now = deadlines.into_iter().flatten().min().expect("somebody waits");
        self.server.handle_timeout(self.now, &mut self.to_client);
        self.client.handle_timeout(self.now, &mut self.to_server);
    }
}

/// A refusal with a code.
fn refusal(status: Status) -> Reply {
    Reply::new(status, "no").expect("printable")
}
