//! Client sessions.

use core::time::Duration;
use std::collections::VecDeque;

use bytes::{Buf, BytesMut};
use smtp_codec::address::{ForwardPath, Mailbox, ReversePath};
use smtp_codec::client::{ClientConfig, ClientSession, Envelope, Event, Outcome, Reason, Stage, Timer};
use smtp_codec::command::Body;
use smtp_codec::error::{ReplyError, Unsendable};
use smtp_codec::extension::Mechanism;
use smtp_codec::limits::ClientLimits;
use smtp_codec::reply::Reply;

use crate::{START, here, seconds};

/// What the caller does at the next offer.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Tls,
    Auth(&'static str, Option<Vec<u8>>),
    Mail(Envelope, Vec<u8>),
    Reset,
    Idle,
    Quit,
    /// Drops the offer.
    Nothing,
}

/// A client session with a driver that follows a script.
pub(crate) struct Client {
    pub(crate) session: ClientSession,
    pub(crate) now: Duration,
    pub(crate) out: BytesMut,
    pub(crate) events: Vec<String>,
    pub(crate) buffer: BytesMut,
    pub(crate) script: VecDeque<Step>,
    pub(crate) responses: VecDeque<Option<Vec<u8>>>,
    body: Vec<u8>,
    /// How the message is written.
    pub(crate) piece: usize,
    /// What to do with a message that may be sent.
    pub(crate) message: Writing,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Writing {
    Finish,
    Pause,
    Abandon,
    Drop,
}

pub(crate) fn envelope(to: &[&str]) -> Envelope {
    let from = ReversePath::Mailbox(Mailbox::parse("a@client.test").expect("valid"));
    to.iter().fold(Envelope::new(from), |envelope, to| {
        envelope.to(ForwardPath::Mailbox(Mailbox::parse(to).expect("valid")))
    })
}

pub(crate) fn mail(to: &[&str], body: &str) -> Step {
    Step::Mail(envelope(to), body.into())
}

impl Client {
    pub(crate) fn new(config: ClientConfig, script: &[Step]) -> Self {
        let mut out = BytesMut::new();
        let session = ClientSession::new(config, START, &mut out);
        assert!(out.is_empty());
        Self {
            session,
            now: START,
            out,
            events: Vec::new(),
            buffer: BytesMut::new(),
            script: script.iter().cloned().collect(),
            responses: VecDeque::new(),
            body: Vec::new(),
            piece: usize::MAX,
            message: Writing::Finish,
        }
    }

    pub(crate) fn feed(&mut self, octets: &[u8]) {
        self.buffer.extend_from_slice(octets);
        let mut input = &self.buffer[..];
        while let Some(event) = self.session.receive(self.now, &mut input, &mut self.out) {
            match event {
                Event::Ready(ready) => {
                    let refused = match self.script.pop_front() {
                        Some(Step::Tls) => ready.starttls(&mut self.out),
                        Some(Step::Auth(name, initial)) => {
                            let mechanism = Mechanism::parse(name.as_bytes()).expect("a mechanism");
                            ready.auth(mechanism, initial.as_deref(), &mut self.out)
                        }
                        Some(Step::Mail(envelope, body)) => {
                            self.body = body;
                            ready.mail(envelope, &mut self.out)
                        }
                        Some(Step::Reset) => {
                            ready.reset(&mut self.out);
                            Ok(())
                        }
                        Some(Step::Quit) => {
                            ready.quit(&mut self.out);
                            Ok(())
                        }
                        Some(Step::Nothing) => Ok(()),
                        Some(Step::Idle) | None => {
                            ready.idle();
                            Ok(())
                        }
                    };
                    self.events.extend(refused.err().map(|error| format!("unsendable: {error}")));
                }
                Event::Message(mut message) => {
                    let mut good = true;
                    for piece in self.body.chunks(self.piece) {
                        good &= message.write(piece, &mut self.out).is_ok();
                    }
                    self.events.push(format!("message {}", if good { "written" } else { "bad" }));
                    match self.message {
                        Writing::Finish => {
                            let _ = message.finish(&mut self.out);
                        }
                        Writing::Pause => message.pause(),
                        Writing::Abandon => message.abandon(),
                        Writing::Drop => drop(message),
                    }
                }
                Event::Challenge(challenge) => {
                    self.events.push(format!("challenge {}", challenge.data().escape_ascii()));
                    match self.responses.pop_front() {
                        Some(Some(response)) => challenge.respond(&response, &mut self.out),
                        Some(None) => challenge.cancel(&mut self.out),
                        None => {}
                    }
                }
                Event::Recipient { index, reply } => {
                    self.events.push(format!("recipient {index} {}", reply.code()));
                }
                Event::Done(Outcome::Taken(reply)) => self.events.push(format!("taken {}", reply.code())),
                Event::Done(Outcome::Refused { stage, reply }) => {
                    self.events.push(format!("refused {stage:?} {}", reply.code()));
                }
                Event::Rejected(reply) => self.events.push(format!("rejected {}", reply.code())),
                Event::TlsRefused(reply) => self.events.push(format!("no tls {}", reply.code())),
                Event::LoggedIn(reply) => self.events.push(format!("logged in {}", reply.code())),
                Event::LoginFailed(reply) => self.events.push(format!("login failed {}", reply.code())),
                other => panic!("an event this test does not know: {other:?}"),
            }
        }
        let used = self.buffer.len() - input.len();
        self.buffer.advance(used);
        assert!(self.buffer.len() < 12_288 || self.session.closed().is_some(), "unread input is bounded");
    }

    pub(crate) fn said(&mut self) -> String {
        String::from_utf8(self.out.split().to_vec()).expect("ASCII")
    }

    pub(crate) fn talk(&mut self, octets: &str) -> String {
        self.feed(octets.as_bytes());
        self.said()
    }
}

type Seen = (Vec<String>, String, Option<Reason>, bool);

/// Feeds what a server says whole, octet by octet, and cut at every place: nothing differs.
fn every_split(
    config: &ClientConfig,
    script: &[Step],
    responses: &[Option<Vec<u8>>],
    segments: &[&str],
) -> Seen {
    let run = |pieces: &dyn Fn(usize) -> Vec<usize>| {
        let mut client = Client::new(config.clone(), script);
        client.responses = responses.iter().cloned().collect();
        for (index, segment) in segments.iter().enumerate() {
            if index > 0 && client.session.wants_tls() {
                client.session.handle_tls_started(START);
            }
            let mut start = 0;
            for end in pieces(segment.len()) {
                client.feed(&segment.as_bytes()[start..end]);
                start = end;
            }
            client.feed(&segment.as_bytes()[start..]);
        }
        client.session.handle_eof();
        let said = client.said();
        (client.events, said, client.session.closed(), client.session.is_in_doubt())
    };
    let whole = run(&|_| Vec::new());
    assert_eq!(run(&|length| (1..length).collect()), whole, "octet by octet");
    for cut in 1..segments.iter().map(|segment| segment.len()).max().unwrap_or(0) {
        assert_eq!(run(&|length| vec![cut.min(length)]), whole, "cut at {cut}");
    }
    whole
}

fn seen(script: &[Step], server: &str) -> Seen {
    every_split(&here(), script, &[], &[server])
}

fn events(seen: &Seen) -> Vec<&str> {
    seen.0.iter().map(String::as_str).collect()
}

const PLAIN: &str = "220 h\r\n250 h\r\n";
const PIPELINING: &str = "220 h\r\n250-h\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 PIPELINING\r\n";

// Ledger: 5321-3.3-8, 5321-4.1.1.1-2, 5321-4.1.4-1, 5321-4.3.1-1
#[test]
fn commands_go_one_at_a_time_without_pipelining() {
    let mut client = Client::new(here(), &[mail(&["b@h", "c@h"], ".x\r\n"), Step::Quit]);
    for (server, expected) in [
        ("220 h\r\n", "EHLO client.test\r\n"),
        ("250 h\r\n", "MAIL FROM:<a@client.test>\r\n"),
        ("250 ok\r\n", "RCPT TO:<b@h>\r\n"),
        ("550 no\r\n", "RCPT TO:<c@h>\r\n"),
        ("250 ok\r\n", "DATA\r\n"),
        ("354 go\r\n", "..x\r\n.\r\n"),
        ("250 ok\r\n", "QUIT\r\n"),
        ("221 bye\r\n", ""),
    ] {
        assert_eq!(client.talk(server), expected, "{server}");
    }
    assert_eq!(client.events, ["recipient 0 550", "recipient 1 250", "message written", "taken 250"]);
    assert_eq!(client.session.closed(), Some(Reason::Quit));
}

// Ledger: 5321-4.1.1.4-2
#[test]
fn a_transaction_goes_as_a_group_with_pipelining() {
    let step = Step::Mail(envelope(&["b@h", "c@h"]).size(9).body(Body::EightBitMime), b"x".to_vec());
    let mut client = Client::new(here(), &[step, Step::Quit]);
    client.talk("220 h\r\n");
    let group =
        "MAIL FROM:<a@client.test> SIZE=9 BODY=8BITMIME\r\nRCPT TO:<b@h>\r\nRCPT TO:<c@h>\r\nDATA\r\n";
    assert_eq!(client.talk(&PIPELINING[7..]), group);
    assert_eq!(client.talk("250 ok\r\n250 ok\r\n451 later\r\n354 go\r\n"), "x\r\n.\r\n");
    assert_eq!(client.talk("250 ok\r\n"), "QUIT\r\n");
    assert_eq!(client.events, ["recipient 0 250", "recipient 1 451", "message written", "taken 250"]);
}

// Ledger: 5321-2.2.1-1, 5321-4.1.1-2, 5321-4.1.1.3-3
#[test]
fn parameters_go_only_to_servers_that_announced_them() {
    let step = Step::Mail(envelope(&["b@h"]).size(9).body(Body::EightBitMime), b"x".to_vec());
    let mut client = Client::new(here(), &[step]);
    assert!(client.talk(PLAIN).ends_with("\r\nMAIL FROM:<a@client.test>\r\n"));
}

#[test]
fn letters_beyond_ascii_are_announced_to_servers_that_take_them() {
    for (announced, said) in [("250 SMTPUTF8", " SMTPUTF8"), ("250 HELP", "")] {
        let step = Step::Mail(envelope(&["b@h"]).smtp_utf8(), b"x".to_vec());
        let mut client = Client::new(here(), &[step]);
        client.talk("220 h\r\n");
        let server = format!("250-h\r\n{announced}\r\n");
        assert_eq!(client.talk(&server), format!("MAIL FROM:<a@client.test>{said}\r\n"));
    }
}

// Ledger: 5321-4.1.1.1-3
#[test]
fn keywords_of_ehlo_have_no_case() {
    let step = Step::Mail(envelope(&["b@h"]).size(9).body(Body::EightBitMime), b"x".to_vec());
    let mut client = Client::new(here(), &[step]);
    client.talk("220 h\r\n");
    let group = "MAIL FROM:<a@client.test> SIZE=9 BODY=8BITMIME\r\nRCPT TO:<b@h>\r\nDATA\r\n";
    assert_eq!(client.talk("250-h\r\n250-Size 1000\r\n250-8bitMIME\r\n250 pipelining\r\n"), group);
}

// Ledger: 5321-4.2-3, 5321-4.2.1-1
#[test]
fn replies_without_text_are_taken() {
    let script = [mail(&["b@h"], "x\r\n"), Step::Quit];
    for end in ["\r\n", " \r\n"] {
        let server =
            ["220", "250", "250", "250", "354", "250", "221"].map(|code| format!("{code}{end}")).concat();
        let seen = seen(&script, &server);
        assert_eq!(events(&seen), ["recipient 0 250", "message written", "taken 250"]);
        assert_eq!(seen.2, Some(Reason::Quit));
    }
}

#[test]
fn a_group_is_no_longer_than_the_limit_and_goes_on_with_the_replies() {
    let names: Vec<_> = (0..1_000).map(|number| format!("user{number}@host.test")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut client = Client::new(here(), &[mail(&names, "x\r\n"), Step::Quit]);
    client.talk("220 h\r\n");
    let mut commands = client.talk(&PIPELINING[7..]);
    assert_eq!(commands.lines().count(), 50);
    let mut answered = 0;
    while answered < 1_002 {
        let count = commands.lines().count();
        commands =
            commands.lines().map(|line| if line == "DATA" { "354 go\r\n" } else { "250 ok\r\n" }).collect();
        answered += count;
        commands = client.talk(&commands);
    }
    assert_eq!(commands, "x\r\n.\r\n");
    assert_eq!(client.events.len(), 1_001);
}

// Ledger: 5321-3.3-5, 5321-3.3-6, 5321-4.5.3.1-2
#[test]
fn what_is_refused_is_told_with_its_stage() {
    let script = [mail(&["b@h", "c@h"], "x\r\n"), Step::Quit];
    for (replies, expected, rest) in [
        ("451 no\r\n221 bye\r\n", &["refused Mail 451"][..], "QUIT\r\n"),
        (
            "250 ok\r\n550 no\r\n551 no\r\n250 reset\r\n221 bye\r\n",
            &["recipient 0 550", "recipient 1 551", "refused Recipients 551"],
            "RCPT TO:<b@h>\r\nRCPT TO:<c@h>\r\nRSET\r\nQUIT\r\n",
        ),
        (
            "250 ok\r\n250 ok\r\n550 no\r\n451 no\r\n250 reset\r\n221 bye\r\n",
            &["recipient 0 250", "recipient 1 550", "refused Data 451"],
            "RCPT TO:<b@h>\r\nRCPT TO:<c@h>\r\nDATA\r\nRSET\r\nQUIT\r\n",
        ),
        (
            "250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n552 no\r\n221 bye\r\n",
            &["recipient 0 250", "recipient 1 550", "message written", "refused Message 552"],
            "RCPT TO:<b@h>\r\nRCPT TO:<c@h>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n",
        ),
    ] {
        let seen = seen(&script, &[PLAIN, replies].concat());
        assert_eq!(events(&seen), expected);
        assert_eq!(seen.1, ["EHLO client.test\r\nMAIL FROM:<a@client.test>\r\n", rest].concat());
        assert_eq!((seen.2, seen.3), (Some(Reason::Quit), false));
    }
}

#[test]
fn a_group_that_is_refused_is_read_to_its_end() {
    let script = [mail(&["b@h", "c@h"], "x\r\n"), mail(&["d@h"], "y\r\n")];
    for (replies, expected, rest) in [
        ("451 no\r\n503 no\r\n503 no\r\n503 no\r\n", &["refused Mail 451"][..], ""),
        (
            "250 ok\r\n550 no\r\n550 no\r\n554 no\r\n250 reset\r\n",
            &["recipient 0 550", "recipient 1 550", "refused Recipients 550"],
            "RSET\r\n",
        ),
        // A server that waits for a message to nobody gets an empty one.
        (
            "250 ok\r\n550 no\r\n550 no\r\n354 go\r\n250 taken\r\n250 reset\r\n",
            &["recipient 0 550", "recipient 1 550", "refused Recipients 550"],
            ".\r\nRSET\r\n",
        ),
        ("451 no\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n", &["refused Mail 451"], ".\r\n"),
        (
            "250 ok\r\n250 ok\r\n550 no\r\n451 no\r\n250 reset\r\n",
            &["recipient 0 250", "recipient 1 550", "refused Data 451"],
            "RSET\r\n",
        ),
    ] {
        let seen = seen(&script, &[PIPELINING, replies].concat());
        assert_eq!(events(&seen), expected);
        let group = "MAIL FROM:<a@client.test>\r\nRCPT TO:<b@h>\r\nRCPT TO:<c@h>\r\nDATA\r\n";
        let next = "MAIL FROM:<a@client.test>\r\nRCPT TO:<d@h>\r\nDATA\r\n";
        assert_eq!(seen.1, ["EHLO client.test\r\n", group, rest, next].concat());
        assert_eq!((seen.2, seen.3), (Some(Reason::Eof), false));
    }
}

#[test]
fn a_connection_lost_behind_the_final_dot_leaves_the_outcome_in_doubt() {
    let script = [mail(&["b@h"], "x\r\n")];
    let server = [PLAIN, "250 ok\r\n250 ok\r\n354 go\r\n"].concat();
    let lost = seen(&script, &server);
    assert_eq!((events(&lost).last(), lost.2, lost.3), (Some(&"message written"), Some(Reason::Eof), true));
    for (more, in_doubt) in [
        ("25", true),
        ("250-more\r\n", true),
        ("junk\r\n", true),
        ("354 what\r\n", true),
        ("451 no\r\n", false),
        ("421 no\r\n", false),
        ("250 ok\r\n", false),
    ] {
        let seen = seen(&script, &[&server, more].concat());
        assert_eq!(seen.3, in_doubt, "{more}");
    }
    // Before the end there is no doubt.
    for cut in 0..server.len() {
        assert!(!seen(&script, &server[..cut]).3);
    }
    let mut client = Client::new(here(), &script);
    client.feed(server.as_bytes());
    assert_eq!(client.session.poll_timeout(), Some(START + seconds(600)));
    client.session.handle_timeout(START + seconds(600), &mut client.out);
    assert_eq!(client.session.closed(), Some(Reason::Timeout(Timer::DataEnd)));
    assert!(client.session.is_in_doubt());
}

// Ledger: 5321-2.2.1-3
#[test]
fn old_servers_are_greeted_with_helo() {
    for code in ["500", "502"] {
        let seen = seen(&[mail(&["b@h"], "x")], &format!("220 h\r\n{code} what\r\n250 h\r\n"));
        assert_eq!(seen.1, "EHLO client.test\r\nHELO client.test\r\nMAIL FROM:<a@client.test>\r\n");
    }
    let seen = seen(&[], "220 h\r\n550 go away\r\n221 bye\r\n");
    assert_eq!(
        (events(&seen), &*seen.1, seen.2),
        (vec!["rejected 550"], "EHLO client.test\r\nQUIT\r\n", Some(Reason::Quit))
    );
}

// Ledger: 5321-4.1.1.10-3
#[test]
fn a_server_that_does_not_want_us_is_told_goodbye() {
    let seen = seen(&[], "554 no\r\n221 bye\r\n");
    assert_eq!((events(&seen), &*seen.1, seen.2), (vec!["rejected 554"], "QUIT\r\n", Some(Reason::Quit)));
}

#[test]
fn a_421_ends_the_session_wherever_it_comes() {
    let script = [mail(&["b@h", "c@h"], "x\r\n")];
    let server = "220 h\r\n250 h\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n";
    let replies: Vec<_> = server.split_inclusive('\n').collect();
    let expected = [
        &["rejected 421"][..],
        &["rejected 421"],
        &["refused Mail 421"],
        &["recipient 0 421", "refused Recipients 421"],
        &["recipient 1 421", "refused Recipients 421"],
        &["refused Data 421"],
        &["refused Message 421"],
    ];
    for (count, expected) in expected.iter().enumerate() {
        let seen = seen(&script, &[&replies[..count].concat(), "421 stopping\r\n250 x\r\n"].concat());
        assert!(events(&seen).ends_with(expected), "{seen:?}");
        assert_eq!((seen.2, seen.3), (Some(Reason::ServerStopping), false));
        assert!(!seen.1.contains("QUIT"));
    }
    let idle = every_split(&here(), &[Step::Idle], &[], &[&[PLAIN, "421 bye\r\n"].concat()]);
    assert_eq!(idle.2, Some(Reason::ServerStopping));
}

// Ledger: 5321-2.3.8-1
#[test]
fn what_is_not_a_reply_ends_the_session() {
    let long = format!("250-{}\r\n", "x".repeat(500)).repeat(40);
    for (server, error) in [
        ("HTTP/1.1 400 Bad Request\r\n", ReplyError::Syntax { offset: 0 }),
        ("220 h\n", ReplyError::Syntax { offset: 5 }),
        ("220-h\r\n250 h\r\n", ReplyError::CodeChanges),
        ("354 h\r\n", ReplyError::OutOfStep),
        ("220 h\r\n354 h\r\n", ReplyError::OutOfStep),
        (&["220 h\r\n", &long].concat(), ReplyError::TooLong),
        (&["220 ", &"x".repeat(13_000), "\r\n"].concat(), ReplyError::TooLong),
        (&[PLAIN, "334 AAAA\r\n"].concat(), ReplyError::OutOfStep),
        (&[PLAIN, "250 ok\r\n250 ok\r\n250 what\r\n"].concat(), ReplyError::OutOfStep),
    ] {
        let mut client = Client::new(here(), &[mail(&["b@h"], "x")]);
        client.feed(server.as_bytes());
        assert_eq!(
            client.session.closed(),
            Some(Reason::Garbled(error)),
            "{}",
            &server[..server.len().min(60)]
        );
    }
    let idle = every_split(&here(), &[Step::Idle], &[], &[&[PLAIN, "250 unasked\r\n"].concat()]);
    assert_eq!(idle.2, Some(Reason::Garbled(ReplyError::OutOfStep)));
}

const TLS: &str = "220 h\r\n250-h\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n220 go\r\n";

#[test]
fn replies_behind_the_answer_to_starttls_are_never_trusted() {
    let script = [Step::Tls, Step::Auth("PLAIN", Some(b"\0alice\0secret".to_vec())), mail(&["b@h"], "x")];
    for injected in
        ["250 h\r\n", "250-h\r\n250 AUTH PLAIN\r\n", "x", "\r\n", "220 h\r\n250 h\r\n235 in\r\n250 ok\r\n"]
    {
        let seen = every_split(&here(), &script, &[], &[&[TLS, injected].concat()]);
        assert_eq!(
            (seen.2, &*seen.1),
            (Some(Reason::PlaintextBehindStartTls), "EHLO client.test\r\nSTARTTLS\r\n")
        );
        assert!(seen.0.is_empty());
    }
}

#[test]
fn what_was_announced_before_tls_does_not_count_within() {
    let script = [Step::Tls, Step::Auth("PLAIN", Some(b"\0alice\0secret".to_vec())), Step::Tls, Step::Quit];
    let seen = every_split(&here(), &script, &[], &[TLS, "250 h\r\n221 bye\r\n"]);
    assert_eq!(
        seen.0,
        ["unsendable: not announced by the server", "unsendable: not announced by the server"]
    );
    assert_eq!(seen.1, "EHLO client.test\r\nSTARTTLS\r\nEHLO client.test\r\nQUIT\r\n");
    // A server that knows EHLO before TLS and not within announces nothing at all.
    let old = every_split(&here(), &script, &[], &[TLS, "502 what\r\n250 h\r\n221 bye\r\n"]);
    assert_eq!(old.0, seen.0);
    assert!(old.1.ends_with("EHLO client.test\r\nHELO client.test\r\nQUIT\r\n"));
    let again =
        every_split(&here(), &script, &[], &[TLS, "250-h\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n235 in\r\n"]);
    assert_eq!(again.0, ["logged in 235", "unsendable: not announced by the server"]);
}

#[test]
fn a_refused_starttls_is_told() {
    let server = [&TLS[..TLS.len() - 8], "454 not now\r\n221 bye\r\n"].concat();
    let seen = every_split(&here(), &[Step::Tls, Step::Quit], &[], &[&server]);
    assert_eq!((events(&seen), seen.2), (vec!["no tls 454"], Some(Reason::Quit)));
}

#[test]
fn no_password_goes_out_without_tls() {
    let script = [Step::Auth("PLAIN", Some(b"\0alice\0secret".to_vec())), Step::Quit];
    let server = "220 h\r\n250-h\r\n250 AUTH PLAIN\r\n221 bye\r\n";
    let seen = every_split(&here(), &script, &[], &[server]);
    assert_eq!(
        (events(&seen), &*seen.1),
        (vec!["unsendable: no login without TLS"], "EHLO client.test\r\nQUIT\r\n")
    );
}

#[test]
fn a_login_goes_through_challenges() {
    let script = [Step::Auth("LOGIN", None), Step::Auth("LOGIN", None), Step::Quit];
    let responses = [Some(b"alice".to_vec()), Some(b"secret".to_vec())];
    let server = "220 h\r\n250-h\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 \r\n235 in\r\n221 bye\r\n";
    let seen = every_split(&here().implicit_tls(), &script, &responses, &[server]);
    assert_eq!(
        seen.0,
        ["challenge Username:", "challenge ", "logged in 235", "unsendable: already logged in"]
    );
    assert_eq!(seen.1, "EHLO client.test\r\nAUTH LOGIN\r\nYWxpY2U=\r\nc2VjcmV0\r\nQUIT\r\n");
}

#[test]
fn a_login_is_cancelled_by_the_caller_by_silence_and_by_bad_base64() {
    let script = [Step::Auth("LOGIN", None), Step::Quit];
    let server = "220 h\r\n250-h\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n501 cancelled\r\n221 bye\r\n";
    for (responses, server, challenged) in [
        (&[None][..], server.to_owned(), true),
        (&[], server.to_owned(), true),
        (&[Some(vec![b'x'; 20_000])], server.to_owned(), true),
        (&[], server.replace("VXNlcm5hbWU6", "=AAA"), false),
    ] {
        let seen = every_split(&here().implicit_tls(), &script, responses, &[&server]);
        assert_eq!(seen.0.iter().any(|event| event.starts_with("challenge")), challenged);
        assert_eq!(seen.0.last().map(String::as_str), Some("login failed 501"));
        assert_eq!(seen.1, "EHLO client.test\r\nAUTH LOGIN\r\n*\r\nQUIT\r\n");
    }
}

#[test]
fn what_cannot_be_sent_is_told_before_anything_is_written() {
    let long = vec![b'x'; 400];
    let script = [
        Step::Mail(envelope(&[]), Vec::new()),
        Step::Mail(envelope(&["b@h"]).size(1_001), Vec::new()),
        Step::Tls,
        Step::Auth("PLAIN", None),
        Step::Auth("LOGIN", Some(long)),
        Step::Quit,
    ];
    let server = "220 h\r\n250-h\r\n250-SIZE 1000\r\n250 AUTH LOGIN\r\n221 bye\r\n";
    let seen = every_split(&here().implicit_tls(), &script, &[], &[server]);
    let expected = [
        Unsendable::NoRecipients,
        Unsendable::TooBig { limit: 1_000 },
        Unsendable::NotAnnounced,
        Unsendable::NotAnnounced,
        Unsendable::LineTooLong,
    ];
    assert_eq!(seen.0, expected.map(|error| format!("unsendable: {error}")));
    assert_eq!(seen.1, "EHLO client.test\r\nQUIT\r\n");
}

// Ledger: 5321-2.3.8-2
#[test]
fn a_message_with_bare_line_ends_is_not_finished() {
    let server = [PLAIN, "250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n"].concat();
    for body in ["a\nb", "a\rb", "a\0b", "a\r"] {
        let seen = seen(&[mail(&["b@h"], body)], &server);
        assert_eq!((seen.2, seen.3), (Some(Reason::BadMessage), false));
        assert!(!seen.1.contains("\r\n.\r\n"));
    }
}

#[test]
fn a_message_that_is_given_up_has_no_end() {
    let server = [PLAIN, "250 ok\r\n250 ok\r\n354 go\r\n"].concat();
    for writing in [Writing::Abandon, Writing::Drop] {
        let mut client = Client::new(here(), &[mail(&["b@h"], "x\r\n")]);
        client.message = writing;
        client.feed(server.as_bytes());
        client.feed(b"");
        assert_eq!(client.session.closed(), Some(Reason::Abandoned));
        assert!(client.said().ends_with("DATA\r\nx\r\n") && !client.session.is_in_doubt());
    }
}

#[test]
fn a_paused_message_goes_on_and_hears_a_server_that_gives_up() {
    let server = [PLAIN, "250 ok\r\n250 ok\r\n354 go\r\n"].concat();
    let paused = || {
        let mut client = Client::new(here(), &[mail(&["b@h"], "x\r\n"), Step::Quit]);
        client.message = Writing::Pause;
        client.feed(server.as_bytes());
        client
    };
    let mut client = paused();
    assert_eq!(client.session.poll_timeout(), Some(START + seconds(180)));
    let mut message = client.session.message().expect("paused");
    message.write(b"y\r\n", &mut client.out).expect("fine");
    assert_eq!(message.octets(), 6);
    message.finish(&mut client.out).expect("fine");
    assert!(client.talk("250 ok\r\n").ends_with("DATA\r\nx\r\ny\r\n.\r\nQUIT\r\n"));
    let mut client = paused();
    client.feed(b"451 full\r\n");
    assert_eq!(client.events.last().map(String::as_str), Some("refused Message 451"));
    assert_eq!(client.session.closed(), Some(Reason::ServerStopping));
    let mut client = paused();
    client.session.handle_timeout(START + seconds(180), &mut client.out);
    assert_eq!(client.session.closed(), Some(Reason::Timeout(Timer::DataBlock)));
}

// Ledger: 5321-4.5.3.2-1, 5321-4.5.3.2-2, 5321-4.5.4-1
#[test]
fn each_wait_has_its_own_time() {
    let script = [mail(&["b@h"], "x\r\n"), Step::Idle];
    let replies = ["", "220 h\r\n", "250 h\r\n", "250 ok\r\n", "250 ok\r\n", "354 go\r\n", "250 ok\r\n"];
    let times = [Some(300), Some(300), Some(300), Some(300), Some(120), Some(600), None];
    let timers =
        [Timer::Greeting, Timer::Command, Timer::Command, Timer::Command, Timer::DataStart, Timer::DataEnd];
    for stop in 0..replies.len() {
        let mut client = Client::new(here(), &script);
        for reply in &replies[..=stop] {
            if !reply.is_empty() {
                client.now += seconds(7);
            }
            client.feed(reply.as_bytes());
        }
        assert_eq!(
            client.session.poll_timeout(),
            times[stop].map(|time| client.now + seconds(time)),
            "{stop}"
        );
        let Some(at) = client.session.poll_timeout() else {
            continue;
        };
        client.session.handle_timeout(at - Duration::from_nanos(1), &mut client.out);
        assert_eq!(client.session.closed(), None);
        client.session.handle_timeout(at, &mut client.out);
        assert_eq!(client.session.closed(), Some(Reason::Timeout(timers[stop])));
        assert!(!client.said().contains("QUIT"));
    }
}

#[test]
fn a_reply_in_a_slow_drip_does_not_hold_the_caller() {
    let mut client = Client::new(here(), &[]);
    for octet in b"220-x\r\n".iter().cycle() {
        client.now += seconds(5);
        client.feed(&[*octet]);
        client.session.handle_timeout(client.now, &mut client.out);
        if client.session.closed().is_some() {
            break;
        }
    }
    assert_eq!(
        (client.now, client.session.closed()),
        (START + seconds(300), Some(Reason::Timeout(Timer::Greeting)))
    );
}

// Ledger: 5321-4.1.1.10-3, 5321-4.1.4-12
#[test]
fn an_offer_that_is_dropped_means_quit_and_an_idle_session_waits() {
    let mut client = Client::new(here(), &[Step::Nothing]);
    client.feed(PLAIN.as_bytes());
    assert_eq!(client.said(), "EHLO client.test\r\nQUIT\r\n");
    let mut client = Client::new(here(), &[Step::Reset, Step::Idle]);
    client.feed([PLAIN, "250 ok\r\n"].concat().as_bytes());
    assert_eq!(client.said(), "EHLO client.test\r\nRSET\r\n");
    assert_eq!(client.session.poll_timeout(), None);
    let ready = client.session.resume().expect("idle");
    ready.mail(envelope(&["b@h"]), &mut client.out).expect("fine");
    assert_eq!(client.said(), "MAIL FROM:<a@client.test>\r\n");
    assert!(client.session.resume().is_none());
    client.session.close(START, &mut client.out);
    assert_eq!((client.said(), client.session.closed()), (String::new(), Some(Reason::Closed)));
    let mut client = Client::new(here(), &[Step::Idle]);
    client.feed(PLAIN.as_bytes());
    client.said();
    client.session.close(START, &mut client.out);
    assert_eq!(client.said(), "QUIT\r\n");
}

#[test]
fn groups_may_be_switched_off() {
    let limits = ClientLimits::default().group(0);
    let mut client = Client::new(here().limits(limits), &[mail(&["b@h"], "x")]);
    assert!(client.talk(PIPELINING).ends_with("\r\nMAIL FROM:<a@client.test>\r\n"));
}

#[test]
fn stages_and_replies_are_plain_data() {
    let reply = Reply::parse(b"550 5.1.1 no\r\n").expect("a reply");
    assert_ne!(Outcome::Taken(reply.clone()), Outcome::Refused { stage: Stage::Mail, reply });
}
