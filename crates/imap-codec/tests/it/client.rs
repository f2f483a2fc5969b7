//! Client sessions.

use core::time::Duration;

use bytes::BytesMut;
use imap_codec::ClientLimits;
use imap_codec::client::{ClientConfig, ClientSession, Event, Reason};
use imap_codec::command::{Append, Password, Verb};
use imap_codec::error::SendError;
use imap_codec::types::{Atom, Flags, IString, Mailbox};

use crate::{every_split, seconds};

/// What a server says to one command after the other, and what is to be done.
struct Client {
    session: ClientSession,
    out: BytesMut,
    log: Vec<String>,
    now: Duration,
}

fn login() -> Verb<'static> {
    let text = |text| IString::try_from(text).expect("a string");
    Verb::Login { user: text("ann"), password: Password(text("secret")) }
}

fn select(name: &'static str) -> Verb<'static> {
    Verb::Select(Mailbox::new(name).expect("a name").into())
}

impl Client {
    fn new(config: ClientConfig) -> Self {
        let mut out = BytesMut::new();
        let session = ClientSession::new(config, Duration::ZERO, &mut out);
        Self { session, out, log: Vec::new(), now: Duration::ZERO }
    }

    /// Logged in without TLS at a server with these capabilities.
    fn inside(words: &str) -> Self {
        let mut client = Self::new(ClientConfig::new().plaintext_auth());
        client.hears(&format!("* PREAUTH [CAPABILITY {words}] hello\r\n"));
        client.log.clear();
        client
    }

    fn hears(&mut self, text: &str) {
        let rest = self.hears_piece(text.as_bytes());
        assert_eq!(rest, 0, "everything is read: {text:?}");
    }

    fn hears_piece(&mut self, mut input: &[u8]) -> usize {
        while let Some(event) = self.session.receive(self.now, &mut input, &mut self.out) {
            match event {
                Event::Challenge(challenge) => {
                    self.log.push(format!("challenge {}", challenge.data().escape_ascii()));
                    match challenge.data() {
                        b"cancel" => challenge.cancel(&mut self.out),
                        b"forget" => {}
                        _ => challenge.respond(b"response", &mut self.out),
                    }
                }
                Event::Chunk(chunk) => match self.log.last_mut() {
                    Some(last) if last.starts_with("chunk ") => {
                        last.push_str(&chunk.escape_ascii().to_string())
                    }
                    _ => self.log.push(format!("chunk {}", chunk.escape_ascii())),
                },
                Event::Done { id, status } => self.log.push(format!("{id} {:?}", status.condition)),
                Event::Greeting(status) => self.log.push(format!("greeting {:?}", status.condition)),
                other => self.log.push(format!("{other:?}")),
            }
        }
        input.len()
    }

    fn said(&mut self) -> String {
        String::from_utf8(self.out.split().to_vec()).expect("ASCII")
    }

    fn events(&mut self) -> Vec<String> {
        core::mem::take(&mut self.log)
    }

    fn send(&mut self, verb: &Verb<'_>) -> Result<String, SendError> {
        self.session.send(verb, &mut self.out)?;
        Ok(self.said())
    }
}

#[test]
fn sessions_are_shared_and_sent_between_threads() {
    fn assert<T: Send + Sync>() {}
    assert::<ClientSession>();
}

#[test]
fn capabilities_are_asked_for_where_they_are_not_told() {
    let mut client = Client::new(ClientConfig::new().implicit_tls());
    client.hears("* OK hello\r\n");
    assert_eq!((client.said().as_str(), client.events()), ("a1 CAPABILITY\r\n", vec!["greeting Ok".into()]));
    assert_eq!(client.send(&login()), Err(SendError::Busy));
    client.hears("* CAPABILITY IMAP4rev1 IDLE\r\na1 OK done\r\n");
    assert_eq!(client.events().last().map(String::as_str), Some("Ready"));
    assert_eq!(client.send(&login()).as_deref(), Ok("a2 LOGIN ann secret\r\n"));
    client.hears("a2 OK in\r\n");
    // A login may change them.
    assert_eq!(client.said(), "a3 CAPABILITY\r\n");
    assert!(client.session.is_authenticated());
    client.hears("a3 NO never\r\n");
    assert_eq!(client.events(), ["a2 Ok", "Ready"]);
}

// Ledger: 2595-3.1-2, 2595-3.2-2, 3501-6.2.1-2, 3501-6.2.3-2, 3501-7.2.1-3, 9051-6.1.1-3, 9051-6.2.1-4, 9051-6.2.3-1, 9051-6.2.3-3
// Ledger: 9051-7.2.2-3, 9051-7.2.2-4, 9051-11.2-1
#[test]
fn no_secret_goes_out_without_tls() {
    let mut client = Client::new(ClientConfig::new());
    client.hears("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] hello\r\n");
    assert_eq!(client.send(&login()), Err(SendError::TlsRequired));
    let plain = Atom::new("PLAIN").unwrap();
    let result = client.session.authenticate(plain, Some(b"x"), &mut client.out);
    assert_eq!((result, client.said().as_str()), (Err(SendError::TlsRequired), ""));
    // Not announced, but asked for: the announcement may be a forgery.
    assert!(client.session.starttls(&mut client.out).is_ok());
    client.hears("a1 OK go\r\n");
    assert!(client.session.wants_tls());
    client.session.handle_tls_started(Duration::ZERO);
    client.out.clear();
    client.hears("");
    assert_eq!(client.said(), "a2 CAPABILITY\r\n", "what was announced before TLS is forgotten");
    client.hears("* CAPABILITY IMAP4rev1 LOGINDISABLED\r\na2 OK\r\n");
    assert_eq!(client.send(&login()), Err(SendError::NotAnnounced));
}

#[test]
fn responses_injected_before_tls_are_never_read() {
    // USENIX Security 2021: what is behind the answer to STARTTLS was taken for what came within TLS.
    for injected in ["* OK\r\n", "a2 OK\r\n", "x", "* CAPABILITY AUTH=PLAIN\r\n"] {
        let text = format!("a1 OK go\r\n{injected}");
        every_split(text.as_bytes(), |pieces| {
            let mut client = Client::new(ClientConfig::new());
            client.hears("* OK [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n");
            client.session.starttls(&mut client.out).expect("may be sent");
            client.events();
            let mut buffer = Vec::new();
            for piece in pieces {
                buffer.extend_from_slice(piece);
                let rest = client.hears_piece(&buffer);
                buffer.drain(..buffer.len() - rest);
            }
            assert_eq!(client.events(), ["a1 Ok"]);
            assert_eq!(client.session.closed(), Some(Reason::PlaintextBehindStartTls));
        });
    }
}

// Ledger: 9051-7.1.4-1, 9051-11.2-1
#[test]
fn preauth_without_tls_is_not_believed() {
    let mut client = Client::new(ClientConfig::new());
    client.hears("* PREAUTH welcome\r\n");
    assert_eq!(client.session.closed(), Some(Reason::PreAuthWithoutTls));
    let mut client = Client::new(ClientConfig::new().implicit_tls());
    client.hears("* PREAUTH [CAPABILITY IMAP4rev1] welcome\r\n");
    assert!(client.session.is_authenticated());
}

// Ledger: 2177-3-1, 3501-2.2.2-2, 9051-2.2.2-2
#[test]
fn what_is_not_announced_is_not_sent() {
    let mut client = Client::inside("IMAP4rev1");
    assert_eq!(client.session.idle(&mut client.out), Err(SendError::NotAnnounced));
    assert_eq!(client.send(&Verb::Namespace), Err(SendError::NotAnnounced));
    let mut client = Client::inside("IMAP4rev2");
    assert!(client.send(&Verb::Namespace).is_ok());
    let mut client = Client::inside("IMAP4rev2 APPENDLIMIT=10");
    let append = Append { mailbox: Mailbox::INBOX, flags: Flags::default(), date: None };
    assert_eq!(client.session.append(&append, 11, &mut client.out), Err(SendError::NotAnnounced));
}

// Ledger: 3501-3.2-1, 3501-5.5-2, 3501-5.5-4, 9051-3.2-1, 9051-5.5-3, 9051-5.5-4
#[test]
fn commands_in_parallel_are_those_that_the_rfc_allows() {
    let mut client = Client::inside("IMAP4rev1");
    let fetch = Verb::Fetch {
        uid: false,
        set: imap_codec::types::SequenceSet::ALL,
        items: imap_codec::command::FetchAttributes::new([imap_codec::command::FetchAttribute::Flags])
            .unwrap(),
        changed_since: None,
    };
    assert_eq!(client.send(&fetch), Err(SendError::State));
    client.send(&select("INBOX")).expect("may be sent");
    assert_eq!(client.send(&Verb::Noop), Err(SendError::Busy));
    client.hears("a1 OK [READ-WRITE] selected\r\n");
    assert!(client.send(&fetch).is_ok() && client.send(&fetch).is_ok());
    assert_eq!(client.send(&Verb::Noop), Err(SendError::Busy), "its EXPUNGE would change the numbers");
    client.hears("a2 OK\r\na3 OK\r\n");
    assert!(client.send(&Verb::Noop).is_ok() && client.send(&Verb::Expunge).is_ok());
    assert_eq!(client.send(&fetch), Err(SendError::Busy));
    client.hears("a5 OK\r\na4 NO\r\n");
    assert_eq!(client.events(), ["Ready", "a1 Ok", "a2 Ok", "a3 Ok", "a5 Ok", "a4 No"][1..]);
    client.send(&select("none")).expect("may be sent");
    client.hears("a6 NO none\r\n");
    assert!(!client.session.is_selected());
}

// Ledger: 3501-2.2.1-2, 3501-4.3-1, 3501-5.5-1, 9051-2.2.1-3, 9051-4.3-1, 9051-5.5-1
#[test]
fn literals_wait_where_they_have_to() {
    let user = IString::new(&b"a\r\nb"[..]).unwrap();
    let verb = Verb::Login { user: user.clone(), password: Password(user) };
    let inside = |words: &str| {
        let mut client = Client::new(ClientConfig::new().implicit_tls());
        client.hears(&format!("* OK [CAPABILITY IMAP4rev1 {words}] hello\r\n"));
        client
    };
    let mut client = inside("LITERAL+");
    assert_eq!(client.send(&verb).as_deref(), Ok("a1 LOGIN {4+}\r\na\r\nb {4+}\r\na\r\nb\r\n"));
    let mut client = inside("");
    assert_eq!(client.send(&verb).as_deref(), Ok("a1 LOGIN {4}\r\n"));
    client.hears("+ go on\r\n");
    assert_eq!(client.said(), "a\r\nb {4}\r\n");
    assert_eq!(client.send(&Verb::Noop), Err(SendError::Busy));
    client.hears("+ \r\n");
    assert_eq!(client.said(), "a\r\nb\r\n");
    // A refused literal is not sent.
    let mut client = inside("");
    client.send(&verb).expect("may be sent");
    client.hears("a1 BAD no\r\n");
    assert_eq!(client.send(&Verb::Noop).as_deref(), Ok("a2 NOOP\r\n"));
}

#[test]
fn append_is_streamed() {
    let append = Append {
        mailbox: Mailbox::new("a b").unwrap(),
        flags: Flags::try_from("\\Seen").unwrap(),
        date: imap_codec::types::DateTime::from_unix(0),
    };
    let head = "a1 APPEND \"a b\" (\\Seen) \" 1-Jan-1970 00:00:00 +0000\" ";
    for (words, waits) in [("", true), ("LITERAL+", false), ("LITERAL-", false)] {
        let mut client = Client::inside(&format!("IMAP4rev1 {words}"));
        client.session.append(&append, 5, &mut client.out).expect("may be sent");
        assert_eq!(client.said(), format!("{head}{{5{}}}\r\n", if waits { "" } else { "+" }));
        assert_eq!(client.session.append_left(), None);
        client.hears(if waits { "+ ready\r\n" } else { "" });
        assert_eq!(client.events(), ["AppendReady"]);
        assert_eq!(client.session.append_write(b"abc", &mut client.out), 3);
        assert_eq!(client.session.append_left(), Some(2));
        assert_eq!(client.session.append_write(b"defg", &mut client.out), 2);
        assert_eq!((client.said().as_str(), client.session.append_left()), ("abcde\r\n", None));
        client.hears("a1 OK [APPENDUID 1 2] done\r\n");
        assert_eq!(client.events(), ["a1 Ok"]);
    }
    let mut client = Client::inside("IMAP4rev1");
    client.session.append(&append, 5, &mut client.out).expect("may be sent");
    client.hears("a1 NO [TRYCREATE] no\r\n");
    assert_eq!((client.session.append_left(), client.session.append_write(b"x", &mut client.out)), (None, 0));
    // An empty message has only its end.
    let mut client = Client::inside("IMAP4rev1 LITERAL+");
    client.session.append(&append, 0, &mut client.out).expect("may be sent");
    client.hears("");
    assert!(client.said().ends_with("{0+}\r\n\r\n"));
}

#[test]
fn large_literals_of_fetch_go_through_in_chunks() {
    let limits = ClientLimits::default().literals(10);
    let text = "* 1 FETCH (UID 7 BODY[] {12}\r\nhello\r\nworld FLAGS (\\Seen))\r\n\
        * 2 FETCH (BODY[1]<0> {11}\r\n12345678901 BODY[TEXT] {13}\r\n1234567890123)\r\n\
        * 3 FETCH (BODY[] {5}\r\nsmall)\r\n\
        * LIST () \"/\" {11}\r\nhello world\r\n\
        * 4 EXISTS\r\n";
    let mut results = Vec::new();
    every_split(text.as_bytes(), |pieces| {
        let config = ClientConfig::new().implicit_tls().limits(limits.clone());
        let mut client = Client::new(config);
        client.hears("* PREAUTH [CAPABILITY IMAP4rev1] hello\r\n");
        client.events();
        let mut buffer = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            let rest = client.hears_piece(&buffer);
            buffer.drain(..buffer.len() - rest);
        }
        assert!(buffer.is_empty());
        results.push(client.events());
    });
    assert!(results.iter().all(|result| *result == results[0]));
    let starts = [
        "Literal { number: 1, items: [Uid(7)], source: Body(",
        "chunk hello\\r\\nworld",
        "LiteralEnd { number: 1, items: [Flags(",
        "Literal { number: 2, items: [], source: Body(",
        "chunk 12345678901",
        "Literal { number: 2, items: [], source: Body(",
        "chunk 1234567890123",
        "LiteralEnd { number: 2, items: [] }",
        "Data(Fetch(Fetch { number: 3, items: [Section(",
        "Skipped",
        "Data(Exists(4))",
    ];
    assert_eq!(results[0].len(), starts.len(), "{:#?}", results[0]);
    for (event, start) in results[0].iter().zip(starts) {
        assert!(event.starts_with(start), "{event} {start}");
    }
}

// Ledger: 2177-3-4, 9051-6.3.13-3
#[test]
fn idle_is_left_in_time() {
    let mut client = Client::inside("IMAP4rev1 IDLE");
    client.session.idle(&mut client.out).expect("may be sent");
    client.said();
    client.hears("+ idling\r\n* 5 EXISTS\r\n");
    assert_eq!(client.events(), ["Idling", "Data(Exists(5))"]);
    assert_eq!(client.send(&Verb::Noop), Err(SendError::Busy));
    assert_eq!(client.session.poll_timeout(), Some(seconds(28 * 60)));
    client.session.handle_timeout(seconds(28 * 60), &mut client.out);
    assert_eq!(client.said(), "DONE\r\n");
    client.session.idle_done(&mut client.out);
    assert_eq!(client.said(), "");
    client.hears("a1 OK\r\n");
    assert_eq!((client.events(), client.session.poll_timeout()), (vec!["a1 Ok".into()], None));
    // Left before it is accepted: DONE waits for the continuation.
    client.session.idle(&mut client.out).expect("may be sent");
    client.said();
    client.session.idle_done(&mut client.out);
    assert_eq!(client.said(), "");
    client.hears("+ idling\r\n");
    assert_eq!(client.said(), "DONE\r\n");
}

// Ledger: 9051-6.2.2-2, 9051-6.2.2-3, 9051-6.2.2-4
#[test]
fn logins_carry_octets_both_ways() {
    let start = |words: &str, initial: Option<&[u8]>| {
        let mut client = Client::new(ClientConfig::new().implicit_tls());
        client.hears(&format!("* OK [CAPABILITY IMAP4rev1 AUTH=X {words}] hello\r\n"));
        client.events();
        client.session.authenticate(Atom::new("x").unwrap(), initial, &mut client.out).expect("may be sent");
        client
    };
    let mut client = start("SASL-IR", Some(b"abc"));
    assert_eq!(client.said(), "a1 AUTHENTICATE x YWJj\r\n");
    let mut client = start("SASL-IR", Some(b""));
    assert_eq!(client.said(), "a1 AUTHENTICATE x =\r\n");
    let mut client = start("", Some(b"abc"));
    assert_eq!(client.said(), "a1 AUTHENTICATE x\r\n");
    client.hears("+ \r\n");
    assert_eq!(client.said(), "YWJj\r\n");
    client.hears("+ aGVsbG8=\r\n");
    assert_eq!(
        (client.said().as_str(), client.events()),
        ("cmVzcG9uc2U=\r\n", vec!["challenge hello".into()])
    );
    client.hears("a1 OK [CAPABILITY IMAP4rev1] in\r\n");
    assert_eq!(client.events(), ["a1 Ok", "Ready"]);
    for (challenge, said) in [("Y2FuY2Vs", "*\r\n"), ("Zm9yZ2V0", "*\r\n"), ("!", "*\r\n")] {
        let mut client = start("", None);
        client.said();
        client.hears(&format!("+ {challenge}\r\n"));
        assert_eq!(client.said(), said, "{challenge}");
        client.hears("a1 BAD cancelled\r\n");
    }
    let mut client = Client::new(ClientConfig::new().implicit_tls());
    client.hears("* OK [CAPABILITY IMAP4rev1 AUTH=X] hello\r\n");
    let result = client.session.authenticate(Atom::new("Y").unwrap(), None, &mut client.out);
    assert_eq!(result, Err(SendError::NotAnnounced));
}

// Ledger: 2177-3-2, 3501-2.2.2-1, 3501-6.5.1-4, 9051-2.2.2-1, 9051-7-1, 9051-7.1-6
#[test]
fn odd_responses_do_not_end_the_session() {
    let mut client = Client::inside("IMAP4rev1");
    client
        .hears("* FROB 5\r\n* 1 FETCH (X)\r\n* OK [UNKNOWN-THING x] y {5}\r\n+ what {7}\r\n* 0 EXPUNGE\r\n");
    let events = client.events();
    let known: Vec<bool> = events.iter().map(|event| !event.starts_with("Unknown")).collect();
    assert_eq!(known, [false, false, true, false, false], "{events:?}");
    // An answer to what was not asked does.
    client.hears("a9 OK\r\n");
    assert_eq!(client.session.closed(), Some(Reason::Garbled));
}

#[test]
fn greetings_that_are_none_end_the_session() {
    for greeting in ["220 smtp\r\n", "+ x\r\n", "a1 OK x\r\n", "* 5 EXISTS\r\n", "* NO x\r\n"] {
        let mut client = Client::new(ClientConfig::new());
        client.hears(greeting);
        assert_eq!(client.session.closed(), Some(Reason::Garbled), "{greeting}");
    }
    let mut client = Client::new(ClientConfig::new());
    client.hears("* BYE full\r\n");
    assert_eq!((client.events(), client.session.closed()), (vec!["greeting Bye".into()], Some(Reason::Bye)));
}

// Ledger: 3501-3.4-2, 9051-3.4-2
#[test]
fn byes_timeouts_and_ends() {
    let mut client = Client::inside("IMAP4rev1");
    client.send(&Verb::Logout).expect("may be sent");
    client.hears("* BYE bye\r\na1 OK done\r\n");
    assert_eq!(client.session.closed(), Some(Reason::Logout));
    let mut client = Client::inside("IMAP4rev1");
    client.hears("* BYE shutting down\r\n");
    assert_eq!(client.session.closed(), Some(Reason::Bye));
    let mut client = Client::inside("IMAP4rev1");
    client.session.handle_eof();
    assert_eq!(client.session.closed(), Some(Reason::Eof));
    let mut client = Client::new(ClientConfig::new());
    client.session.handle_timeout(seconds(59), &mut client.out);
    assert_eq!(client.session.closed(), None);
    client.session.handle_timeout(seconds(60), &mut client.out);
    assert_eq!(client.session.closed(), Some(Reason::Timeout));
    let mut client = Client::inside("IMAP4rev1");
    assert_eq!(client.session.poll_timeout(), None, "nothing is waited for");
    client.now = seconds(1_000);
    client.send(&Verb::Noop).expect("may be sent");
    client.hears("");
    assert_eq!(client.session.poll_timeout(), Some(seconds(1_300)));
    client.session.close(Duration::ZERO, &mut client.out);
    assert_eq!(client.session.closed(), Some(Reason::Closed));
    assert_eq!(client.send(&Verb::Noop), Err(SendError::Closed));
}
