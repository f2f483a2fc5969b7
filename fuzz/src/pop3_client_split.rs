//! Any octets of a server in any pieces: the same events, the same commands, the same end; and no secret goes out before TLS,
//! nor beyond ASCII to a server that does not take it.

use core::time::Duration;

use bytes::BytesMut;
use pop3_codec::client::{Event, Reason};
use pop3_codec::command::{Mechanism, Password, UserName};
use pop3_codec::language::Language;
use pop3_codec::{ClientConfig, ClientLimits, ClientSession};

use crate::common::{Choices, Pieces, Steps, Turn, choose, read};

/// What came of a session.
type Seen = (Vec<String>, Vec<u8>, Option<Reason>);

/// One octet chooses the configuration, two the pieces and the commands; the rest is the wire.
pub fn run(data: &[u8]) {
    let ([config, low, high], wire) = choose(data);
    let seed = u64::from(low) << 8 | u64::from(high);
    let whole = session(config, seed, wire, Pieces::Whole);
    assert_eq!(session(config, seed, wire, Pieces::Octets), whole);
    assert_eq!(session(config, seed, wire, Pieces::Chosen(Choices::new(seed))), whole);
}

fn config(chosen: u8) -> ClientConfig {
    let mut limits = ClientLimits::default();
    if chosen & 1 != 0 {
        limits = limits.response_line(0).queue(3);
    }
    let mut config = ClientConfig::new().limits(limits);
    if chosen & 2 != 0 {
        config = config.implicit_tls();
    }
    if chosen & 12 != 0 {
        config = config.plaintext_auth();
    }
    config
}

fn session(chosen: u8, seed: u64, wire: &[u8], pieces: Pieces) -> Seen {
    let now = Duration::ZERO;
    let mut out = BytesMut::new();
    let mut session = ClientSession::new(config(chosen), now, &mut out);
    let mut answers = Choices::new(seed);
    let mut steps = Steps::for_octets(wire.len());
    let (mut events, mut chunks) = (Vec::new(), Vec::new());
    read(wire, pieces, |turn| match turn {
        Turn::Octets(input) => {
            loop {
                steps.count();
                let Some(event) = session.receive(now, input, &mut out) else {
                    break;
                };
                answer(event, &mut answers, &mut events, &mut chunks, &mut out);
            }
            assert!(input.len() < 12_288 || session.closed().is_some() || session.wants_tls());
            let takes_utf8 = events.iter().any(|event| event.contains("utf8_user: true"));
            check(&out, chosen & 12 != 0 || session.is_tls(), takes_utf8);
        }
        Turn::Tls if session.wants_tls() => session.handle_tls_started(now),
        Turn::Tls => {}
    });
    session.handle_eof();
    if !chunks.is_empty() {
        events.push(format!("unfinished {chunks:?}"));
    }
    assert!(session.closed().is_some() && session.poll_timeout().is_none());
    (events, out.to_vec(), session.closed())
}

/// What has gone out since the beginning.
fn check(out: &[u8], may_login: bool, takes_utf8: bool) {
    let lines = out.split_inclusive(|octet| *octet == b'\n');
    let secret = |line: &[u8]| [&b"USER"[..], b"PASS", b"AUTH"].iter().any(|word| line.starts_with(word));
    for line in lines {
        assert!(line.ends_with(b"\r\n"), "a whole line");
        assert!(line.len() <= 255 || !line.starts_with(b"AUTH"), "RFC 2449 §4");
        assert!(may_login || !secret(line), "a secret before TLS");
        assert!(line.is_ascii() || takes_utf8, "more than ASCII");
    }
}

fn answer(
    event: Event<'_>,
    answers: &mut Choices,
    events: &mut Vec<String>,
    chunks: &mut Vec<u8>,
    out: &mut BytesMut,
) {
    match event {
        // Chunks follow the pieces: only what they make together has to be the same.
        Event::Chunk(chunk) => {
            assert!(!chunk.is_empty());
            chunks.extend_from_slice(chunk);
        }
        Event::MessageEnd => events.push(format!("message {:?}", core::mem::take(chunks))),
        Event::Login(login) => {
            events.push(format!("login {:?}", login.capabilities()));
            match answers.below(20) {
                0 => {}
                1 => login.quit(out),
                2 | 3 => login.stls(out),
                16 => login.utf8(out),
                17 => login.lang(None, out),
                18 => login.lang(Some(Language::ENGLISH), out),
                19 => login.user(UserName::new("bj\u{f6}rn").expect("a name"), out),
                4 => login.authenticate(Mechanism::parse(b"PLAIN").expect("a name"), Some(&[7; 200]), out),
                5 | 6 => login.authenticate(Mechanism::parse(b"LOGIN").expect("a name"), None, out),
                _ => login.user(UserName::new("ann").expect("a name"), out),
            }
        }
        Event::Password(wanted) => {
            events.push("password".to_owned());
            match answers.below(16) {
                0 => {}
                1 => wanted.quit(out),
                _ => wanted.pass(Password::new("secret").expect("a password"), out),
            }
        }
        Event::Challenge(challenge) => {
            events.push(format!("challenge {:?}", challenge.data()));
            match answers.below(8) {
                0 => {}
                1 => challenge.cancel(out),
                _ => challenge.respond(b"secret", out),
            }
        }
        Event::Mailbox(mut mailbox) => {
            events.push("mailbox".to_owned());
            for _ in 0..answers.below(5) {
                let number = answers.below(4) as u32;
                let one = (number > 0).then_some(number);
                let taken = match answers.below(18) {
                    16 => mailbox.lang(None, out),
                    17 => mailbox.lang(Some(Language::ANY), out),
                    0 => return mailbox.quit(out),
                    1 => mailbox.capa(out),
                    2 => mailbox.stat(out),
                    3 => mailbox.noop(out),
                    4 => mailbox.rset(out),
                    5 => mailbox.dele(number, out),
                    6 | 7 => mailbox.uidl(one, out),
                    8 | 9 => mailbox.top(number, u64::from(number), out),
                    10 | 11 => mailbox.list(one, out),
                    _ => mailbox.retr(number, out),
                };
                if taken.is_err() {
                    events.push("full".to_owned());
                }
            }
        }
        other => events.push(format!("{other:?}")),
    }
}
