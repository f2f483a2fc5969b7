//! A client and a server joined by two pipes, under one clock.

use core::time::Duration;

use bytes::{Buf, BytesMut};
use imap_codec::client::{ClientConfig, ClientSession, Event as Told, Reason as ClientReason};
use imap_codec::command::{Append, FetchAttribute, FetchAttributes, Password, Verb};
use imap_codec::extension::{Capabilities, Extension, Extensions};
use imap_codec::response::Data;
use imap_codec::server::{Reason, ServerConfig, ServerSession};
use imap_codec::types::{Atom, Flags, IString, Mailbox, SequenceSet};

use crate::Host;

/// What the client is to do next, one after the other.
#[derive(Clone, Debug)]
enum Step {
    Send(Verb<'static>),
    Tls,
    Authenticate(&'static [u8]),
    Append(&'static str, &'static [u8]),
    /// Stay until told of so many messages.
    IdleUntil(u32),
}

struct Pair {
    host: Host,
    server: ServerSession,
    client: ClientSession,
    to_server: BytesMut,
    to_client: BytesMut,
    log: Vec<String>,
    /// Octets that go over the wire at once.
    piece: usize,
}

impl Pair {
    fn new(host: Host, config: ClientConfig, piece: usize) -> Self {
        let (mut to_server, mut to_client) = (BytesMut::new(), BytesMut::new());
        let server = host.session(&mut to_client);
        let client = ClientSession::new(config, Duration::ZERO, &mut to_server);
        Self { host, server, client, to_server, to_client, log: Vec::new(), piece }
    }

    fn run(&mut self, mut steps: &[Step]) {
        let mut message: &[u8] = b"";
        let mut until = 0;
        let (mut at_server, mut at_client) = (BytesMut::new(), BytesMut::new());
        for _ in 0..100_000 {
            let count = self.to_client.len().min(self.piece);
            at_client.extend_from_slice(&self.to_client.split_to(count));
            let mut input = &at_client[..];
            let mut next = false;
            while let Some(event) = self.client.receive(Duration::ZERO, &mut input, &mut self.to_server) {
                match event {
                    Told::Ready => next = true,
                    Told::Done { status, .. } => {
                        self.log.push(format!("{:?} {}", status.condition, status.text.as_str()));
                        next = true;
                    }
                    Told::Data(data) => {
                        self.log.push(format!("{data:?}"));
                        if data == Data::Exists(until) {
                            self.client.idle_done(&mut self.to_server);
                        }
                    }
                    Told::Idling => {
                        self.server
                            .idling()
                            .expect("in IDLE")
                            .untagged(&Data::Exists(until), &mut self.to_client);
                    }
                    Told::AppendReady => {
                        for piece in message.chunks(self.piece.min(message.len())) {
                            self.client.append_write(piece, &mut self.to_server);
                        }
                    }
                    Told::Challenge(challenge) => challenge.respond(b"\0user\0secret", &mut self.to_server),
                    Told::Greeting(_) => {}
                    other => self.log.push(format!("{other:?}")),
                }
                if next {
                    break;
                }
            }
            let used = at_client.len() - input.len();
            at_client.advance(used);
            if next && let Some(step) = steps.first() {
                // Behind a login and STARTTLS the session has something of its own to ask first.
                let taken = match step {
                    Step::Send(verb) => self.client.send(verb, &mut self.to_server),
                    Step::Tls => self.client.starttls(&mut self.to_server),
                    Step::Authenticate(initial) => {
                        let plain = Atom::new("PLAIN").expect("an atom");
                        self.client.authenticate(plain, Some(initial), &mut self.to_server)
                    }
                    Step::Append(mailbox, octets) => {
                        message = octets;
                        let mailbox = Mailbox::new(*mailbox).expect("a name");
                        let append = Append { mailbox, flags: Flags::default(), date: None };
                        self.client.append(&append, octets.len() as u64, &mut self.to_server)
                    }
                    Step::IdleUntil(count) => {
                        until = *count;
                        self.client.idle(&mut self.to_server)
                    }
                };
                if taken.is_ok() {
                    steps = &steps[1..];
                }
            }
            let count = self.to_server.len().min(self.piece);
            at_server.extend_from_slice(&self.to_server.split_to(count));
            let mut input = &at_server[..];
            self.host.serve(&mut self.server, Duration::ZERO, &mut input, &mut self.to_client);
            let used = at_server.len() - input.len();
            at_server.advance(used);
            if self.client.wants_tls() && self.server.wants_tls() {
                self.client.handle_tls_started(Duration::ZERO);
                self.server.handle_tls_started(Duration::ZERO);
            }
            if self.client.closed().is_some() && self.server.closed().is_some() {
                return;
            }
        }
        panic!("it never ends: {:?}", self.log);
    }
}

fn login() -> Step {
    let text = |text| IString::try_from(text).expect("a string");
    Step::Send(Verb::Login { user: text("user"), password: Password(text("secret")) })
}

fn fetch() -> Verb<'static> {
    let section = FetchAttribute::Section { peek: true, section: Default::default(), partial: None };
    let items = FetchAttributes::new([FetchAttribute::Uid, section]).expect("two of them");
    Verb::Fetch { uid: true, set: SequenceSet::ALL, items, changed_since: None }
}

#[test]
fn a_whole_session_in_pieces_of_any_size() {
    let steps = [
        Step::Send(Verb::Noop),
        Step::Tls,
        login(),
        Step::Send(Verb::Enable(Capabilities::new([Atom::new("IMAP4rev2").unwrap()]))),
        Step::Send(Verb::Select(Mailbox::INBOX.into())),
        Step::Send(fetch()),
        Step::Append("Entw\u{fc}rfe \"x\"", b"Subject: x\r\n\r\n{5+}\r\na1 LOGOUT\r\n"),
        Step::Append("none", b"refused"),
        Step::IdleUntil(9),
        Step::Send(Verb::Logout),
    ];
    for extensions in [
        Extensions::all(),
        Extensions::all().with(Extension::LiteralMinus),
        Extensions::rev2().without(Extension::LiteralPlus),
    ] {
        let mut logs = Vec::new();
        for piece in [1, 2, 7, 100, 100_000] {
            let plain = Atom::new("PLAIN").expect("an atom");
            let host = Host::with(ServerConfig::new(extensions).starttls().mechanisms(&[plain]));
            let mut pair = Pair::new(host, ClientConfig::new(), piece);
            pair.run(&steps);
            assert_eq!(
                (pair.client.closed(), pair.server.closed()),
                (Some(ClientReason::Logout), Some(Reason::Logout))
            );
            assert!(
                pair.host
                    .log
                    .iter()
                    .any(|event| event.contains("Subject: x\\r\\n\\r\\n{5+}\\r\\na1 LOGOUT\\r\\n"))
            );
            assert!(pair.host.log.iter().any(|event| event.contains("Entw\u{fc}rfe")), "{:?}", pair.host.log);
            logs.push((pair.log, pair.host.log));
        }
        for log in &logs {
            assert_eq!(*log, logs[0]);
        }
        assert!(logs[0].0.contains(&"No no such mailbox".to_owned()), "{:#?}", logs[0].0);
        assert!(logs[0].0.iter().any(|event| event.contains("Exists(9)")));
    }
}

// Ledger: 3501-6.1.1-3, 3501-6.2.2-2, 3501-7.2.1-2, 9051-6.1.1-4, 9051-6.2.2-7, 9051-7.2.2-2
#[test]
fn logins_by_sasl_with_and_without_an_initial_response() {
    for extensions in [Extensions::rev1(), Extensions::rev2()] {
        let plain = Atom::new("PLAIN").expect("an atom");
        let host = Host::with(ServerConfig::new(extensions).implicit_tls().mechanisms(&[plain]));
        let mut pair = Pair::new(host, ClientConfig::new().implicit_tls(), 3);
        pair.run(&[Step::Authenticate(b"\0user\0secret"), Step::Send(Verb::Logout)]);
        assert!(pair.log.iter().any(|event| event == "Ok welcome"), "{:?}", pair.log);
        assert!(pair.server.is_authenticated());
    }
}
