//! Behaviour, through the public API.

mod client;
mod hostile;
mod pair;
mod properties;
mod required;
mod rfc_examples;
mod server;

use core::num::NonZeroU32;
use core::time::Duration;

use bytes::BytesMut;
use imap_codec::command::Verb;
use imap_codec::extension::Extensions;
use imap_codec::response::{Code, Data, Fetch, FetchItem, Source};
use imap_codec::server::{Answer, Event, Head, Reason, ServerConfig, ServerSession};
use imap_codec::types::{Atom, Delimiter, Flag, Flags, IString, Mailbox, Section};

/// Replays a file of tests/transcripts against a server session, at once and in pieces.
macro_rules! transcript {
    ($name:literal, $host:expr) => {
        for step in [usize::MAX, 1, 7] {
            crate::replay(include_str!(concat!("../transcripts/", $name, ".imap")), $host, step);
        }
    };
}
pub(crate) use transcript;

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("above zero")
}

fn flags(text: &str) -> Flags<'_> {
    Flags::try_from(text).expect("flags")
}

/// How a test's host answers events: one mailbox, INBOX, and messages that it is told of.
#[derive(Clone, Debug)]
struct Host {
    config: ServerConfig,
    /// What it has been asked.
    log: Vec<String>,
    message: Vec<u8>,
    /// Octets of the message that are written at once.
    piece: usize,
    /// Leaves all events of this name without an answer.
    forget: &'static str,
    /// What has come of an APPEND.
    draft: Vec<u8>,
    /// The most octets that may stay unread.
    unread: usize,
}

impl Host {
    /// Offers logins in the clear: "user" has the password "secret".
    fn new(extensions: Extensions) -> Self {
        let plain = Atom::new("PLAIN").expect("an atom");
        Self::with(ServerConfig::new(extensions).plaintext_auth().mechanisms(&[plain]))
    }

    fn with(config: ServerConfig) -> Self {
        Self {
            config,
            log: Vec::new(),
            message: b"Subject: hello\r\n\r\nworld\r\n".to_vec(),
            piece: usize::MAX,
            forget: "",
            draft: Vec::new(),
            unread: 196_608,
        }
    }

    fn session(&self, out: &mut BytesMut) -> ServerSession {
        ServerSession::new(self.config.clone(), Duration::ZERO, out)
    }

    /// Answers events until the session wants more input.
    fn serve(&mut self, session: &mut ServerSession, now: Duration, input: &mut &[u8], out: &mut BytesMut) {
        while let Some(event) = session.receive(now, input, out) {
            self.answer(event, out);
        }
    }

    fn answer(&mut self, event: Event<'_>, out: &mut BytesMut) {
        match event {
            Event::Continue => {}
            Event::Command(verb, answer) => {
                self.log.push(format!("{verb:?}"));
                if self.forget == verb.name() {
                    return;
                }
                self.command(&verb, answer, out);
            }
            Event::Authenticate(login) => {
                self.log.push(format!("authenticate {} {:?}", login.mechanism(), login.initial()));
                match login.initial() {
                    _ if self.forget == "AUTHENTICATE" => {}
                    None => login.challenge(b"", out),
                    Some(b"\0user\0secret") => login.ok("welcome", out),
                    Some(_) => login.no((Code::AuthenticationFailed, "wrong"), out),
                }
            }
            Event::LoginResponse(login) => {
                self.log.push(format!("response {:?}", login.data()));
                match login.data() {
                    b"\0user\0secret" => login.ok("welcome", out),
                    b"more" => login.challenge(b"more", out),
                    _ => login.no((Code::AuthenticationFailed, "wrong"), out),
                }
            }
            Event::LoginCancelled => self.log.push("cancelled".into()),
            Event::StartTls(tls) => {
                self.log.push("starttls".into());
                match self.forget {
                    "STARTTLS" => {}
                    "no STARTTLS" => tls.no("not today", out),
                    _ => tls.accept(out),
                }
            }
            Event::Append(append) => {
                self.log.push(format!("append {:?} {}", append.append(), append.size()));
                self.draft.clear();
                match append.append().mailbox.as_str() {
                    _ if self.forget == "APPEND" => {}
                    "none" => append.no((Code::TryCreate, "no such mailbox"), out),
                    "full" => append.no((Code::OverQuota, "no room"), out),
                    _ => append.accept(out),
                }
            }
            Event::Chunk(chunk) => self.draft.extend_from_slice(chunk),
            Event::AppendEnd(answer) => {
                self.log.push(format!("appended {}", self.draft.escape_ascii()));
                if self.forget != "appended" {
                    answer.ok("APPEND completed", out);
                }
            }
            Event::AppendAborted => self.log.push(format!("aborted {}", self.draft.escape_ascii())),
            Event::Idle(idle) => {
                self.log.push("idle".into());
                match self.forget {
                    "IDLE" => {}
                    "no IDLE" => idle.no("not today", out),
                    _ => idle.accept(out),
                }
            }
            Event::IdleEnd(mut answer) => {
                self.log.push("idle ended".into());
                answer.untagged(&Data::Expunge(number(3)), out);
                answer.ok("IDLE terminated", out);
            }
            other => panic!("an event that this test does not know: {other:?}"),
        }
    }

    fn command(&self, verb: &Verb<'_>, mut answer: Answer<'_>, out: &mut BytesMut) {
        match verb {
            Verb::Login { user, password } => match (user.as_bytes(), password.0.as_bytes()) {
                (b"user", b"secret") => answer.ok("LOGIN completed", out),
                _ => answer.no((Code::AuthenticationFailed, "wrong"), out),
            },
            Verb::Select(select) | Verb::Examine(select) => {
                if !select.mailbox.is_inbox() {
                    return answer.no((Code::NonExistent, "no such mailbox"), out);
                }
                answer.untagged(&Data::Exists(1), out);
                answer.untagged(&Data::Flags(flags("\\Seen \\Deleted")), out);
                let code = if matches!(verb, Verb::Select(_)) { Code::ReadWrite } else { Code::ReadOnly };
                answer.ok((code, "selected"), out);
            }
            Verb::List(list) => {
                for pattern in list.patterns.iter() {
                    for name in ["INBOX", "Entw\u{fc}rfe"] {
                        if pattern.matches(name, Some(Delimiter::SLASH)) {
                            let mailbox = Mailbox::new(name).expect("a name");
                            let entry = imap_codec::extension::list_extended::ListEntry::new(
                                Flags::default(),
                                Some(Delimiter::SLASH),
                                mailbox,
                            );
                            answer.untagged(&Data::List(entry), out);
                        }
                    }
                }
                answer.ok("LIST completed", out);
            }
            Verb::Fetch { .. } => {
                let items = [FetchItem::Uid(number(7)), FetchItem::Flags(Flags::new([Flag::Seen]))];
                let head =
                    Head { number: number(1), items: &items, source: Source::Body(Section::default(), None) };
                let mut literal = answer.literal(&head, self.message.len() as u64, out);
                for piece in self.message.chunks(self.piece.min(self.message.len())) {
                    literal.write(piece, out);
                    if self.forget == "literal" {
                        return;
                    }
                }
                literal.finish(&[], out);
                if !answer.untagged(&Data::Expunge(number(2)), out) {
                    assert!(!answer.may_expunge());
                }
                answer.ok("FETCH completed", out);
            }
            Verb::Store { .. } => {
                let items = [FetchItem::Flags(flags("\\Deleted"))];
                answer.untagged(&Data::Fetch(Fetch::new(number(1), &items)), out);
                answer.ok("STORE completed", out);
            }
            Verb::Expunge | Verb::Noop => {
                answer.untagged(&Data::Expunge(number(1)), out);
                answer.ok("done", out);
            }
            Verb::Id(_) => {
                let name = |text| IString::try_from(text).expect("a string");
                let fields = vec![(name("name"), Some(name("test")))];
                answer.untagged(&Data::Id(imap_codec::extension::id::Id { fields }), out);
                answer.ok("ID completed", out);
            }
            _ => {
                let text = format!("{} completed", verb.name());
                answer.ok(text.as_str(), out);
            }
        }
    }

    /// Feeds the pieces to a session of its own; what the host saw, what went out, and how it ended.
    fn run(&self, pieces: &[&[u8]]) -> (Vec<String>, String, Option<Reason>) {
        let (mut host, mut out, mut buffer) = (self.clone(), BytesMut::new(), Vec::new());
        let mut session = host.session(&mut out);
        for piece in pieces {
            buffer.extend_from_slice(piece);
            let mut input = &buffer[..];
            host.serve(&mut session, Duration::ZERO, &mut input, &mut out);
            if session.closed().is_none() && !session.wants_tls() {
                assert!(input.len() < self.unread, "unread input stays below the limit");
            }
            let used = buffer.len() - input.len();
            buffer.drain(..used);
        }
        (host.log, String::from_utf8_lossy(&out).into_owned(), session.closed())
    }

    /// The same for any split of the input, and with trailing octets; gives back what is said to it, without the greeting.
    fn talk(&self, input: impl AsRef<[u8]>) -> String {
        let input = input.as_ref();
        let first = self.run(&[input]);
        every_split(input, |pieces| {
            assert_eq!(self.run(pieces), first, "for {}", input.escape_ascii());
        });
        let trailing = self.run(&[input, b"N"]);
        assert_eq!(
            (&trailing.0, &trailing.1),
            (&first.0, &first.1),
            "the next line has begun behind {}",
            input.escape_ascii()
        );
        first.1.split_once("\r\n").map_or(String::new(), |(_, rest)| rest.to_owned())
    }

    /// The same behind a login.
    fn talk_in(&self, input: impl AsRef<[u8]>) -> String {
        let said = self.talk([b"l LOGIN user secret\r\n", input.as_ref()].concat());
        said.split_once("\r\n").map_or(String::new(), |(_, rest)| rest.to_owned())
    }
}

/// Feeds each case whole, octet by octet, and in two pieces cut at every octet; long ones only at some.
fn every_split(octets: &[u8], mut feed: impl FnMut(&[&[u8]])) {
    feed(&[octets]);
    if octets.len() < 20_000 {
        feed(&octets.chunks(1).collect::<Vec<_>>());
    }
    for at in (0..=octets.len()).step_by(1 + octets.len() / 400) {
        feed(&[&octets[..at], &octets[at..]]);
    }
}

/// Replays `C:` and `S:` lines. `\` at the end of a line joins it with the next one; a line in brackets is something else that
/// happens: `[tls]`, `[eof]`, `[600 s]`, `[exists 5]` in IDLE, or what is expected: `[closed Logout]`.
fn replay(text: &str, mut host: Host, step: usize) {
    let (mut out, mut buffer, mut now) = (BytesMut::new(), Vec::new(), Duration::ZERO);
    let mut session = host.session(&mut out);
    for (at, line) in text.lines().enumerate() {
        let at = at + 1;
        if let Some(sent) = line.strip_prefix("C:") {
            assert!(out.is_empty(), "line {at}: unexpected {out:?}");
            let octets = format!("{}\r\n", sent.strip_prefix(' ').unwrap_or(sent));
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
            assert_eq!(String::from_utf8_lossy(&written), expected, "line {at}");
        } else if line == "[tls]" {
            assert!(session.wants_tls(), "line {at}");
            session.handle_tls_started(now);
        } else if line == "[eof]" {
            session.handle_eof();
        } else if let Some(count) = line.strip_prefix("[exists ").and_then(|line| line.strip_suffix("]")) {
            let count = count.parse().expect("a number of messages");
            session.idling().expect("in IDLE").untagged(&Data::Exists(count), &mut out);
        } else if let Some(count) = line.strip_prefix('[').and_then(|line| line.strip_suffix(" s]")) {
            now += seconds(count.parse().expect("a number of seconds"));
            session.handle_timeout(now, &mut out);
        } else if let Some(reason) = line.strip_prefix("[closed ") {
            let closed = session.closed().map(|closed| format!("{closed:?}]"));
            assert_eq!(closed.as_deref(), Some(reason), "line {at}");
        } else {
            assert!(line.is_empty() || line.starts_with('#'), "line {at}: {line:?}");
        }
    }
    assert!(out.is_empty(), "at the end: unexpected {out:?}");
}
