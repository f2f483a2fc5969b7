//! Any octets in any pieces: the same events, the same responses, the same end.

use core::num::NonZeroU32;
use core::time::Duration;

use bytes::BytesMut;
use imap_codec::Limits;
use imap_codec::command::Verb;
use imap_codec::extension::{Extension, Extensions};
use imap_codec::response::{Code, Data, FetchItem, Source};
use imap_codec::server::{Event, Head, Reason, ServerConfig, ServerSession};
use imap_codec::types::Atom;

use crate::common::{Choices, Pieces, Steps, Turn, choose, note_chunk, read};

/// What came of a session.
type Seen = (Vec<String>, Vec<u8>, Option<Reason>);

/// The most that one call writes: answers up to where it asks to flush, and one more.
const CALL_OCTETS: usize = 20 * 1024;

/// One octet chooses the configuration, two the pieces and the answers; the rest is the wire.
pub fn run(data: &[u8]) {
    let ([config, low, high], wire) = choose(data);
    let seed = u64::from(low) << 8 | u64::from(high);
    let whole = session(config, seed, wire, Pieces::Whole);
    assert_eq!(session(config, seed, wire, Pieces::Octets), whole);
    assert_eq!(session(config, seed, wire, Pieces::Chosen(Choices::new(seed))), whole);
}

fn config(chosen: u8) -> ServerConfig {
    let mut limits = Limits::default();
    if chosen & 1 != 0 {
        limits = limits.errors(3).line(0).literals(50).early_command(0).append(100).discard(60);
    }
    let extensions = match chosen & 6 {
        0 => Extensions::rev1(),
        2 => Extensions::rev2().without(Extension::LiteralPlus),
        _ => Extensions::all(),
    };
    let plain = Atom::new("PLAIN").expect("an atom");
    let mut config = ServerConfig::new(extensions).limits(limits).mechanisms(&[plain]);
    if chosen & 8 != 0 {
        config = config.plaintext_auth();
    }
    if chosen & 16 != 0 {
        config = config.preauth();
    }
    if chosen & 32 != 0 {
        config = config.starttls();
    }
    config
}

fn session(chosen: u8, seed: u64, wire: &[u8], pieces: Pieces) -> Seen {
    let now = Duration::ZERO;
    let (mut out, mut all) = (BytesMut::new(), Vec::new());
    let mut session = ServerSession::new(config(chosen), now, &mut out);
    let mut answers = Choices::new(seed);
    let mut steps = Steps::for_octets(wire.len());
    let mut events: Vec<String> = Vec::new();
    read(wire, pieces, |turn| match turn {
        Turn::Octets(input) => {
            loop {
                all.extend_from_slice(&out.split());
                let event = session.receive(now, input, &mut out);
                assert!(out.len() <= CALL_OCTETS, "one call writes {} octets", out.len());
                let Some(event) = event else {
                    break;
                };
                steps.count();
                answer(event, &mut answers, &mut events, &mut out);
            }
            assert!(input.len() < 196_608 || session.closed().is_some() || session.wants_tls());
        }
        Turn::Tls if session.wants_tls() => session.handle_tls_started(now),
        Turn::Tls => {}
    });
    session.handle_eof();
    assert!(session.closed().is_some() && session.poll_timeout().is_none());
    all.extend_from_slice(&out);
    (events, all, session.closed())
}

fn answer(event: Event<'_>, answers: &mut Choices, events: &mut Vec<String>, out: &mut BytesMut) {
    if let Event::Chunk(chunk) = event {
        note_chunk(events, chunk);
        return;
    }
    let choice = answers.below(16);
    let one = NonZeroU32::MIN;
    match event {
        Event::Command(verb, mut command) => {
            events.push(format!("{verb:?}"));
            if choice == 0 {
                return;
            }
            if matches!(verb, Verb::Fetch { .. }) {
                let items = [FetchItem::Uid(one)];
                let head = Head { number: one, items: &items, source: Source::Rfc822 };
                let mut literal = command.literal(&head, 5, out);
                literal.write(if choice == 1 { b"hell" } else { b"hello!" }, out);
                literal.finish(&[], out);
            }
            command.untagged(&Data::Expunge(one), out);
            match choice {
                2 => command.no((Code::Cannot, "no"), out),
                3 => command.bad("bad", out),
                _ => command.ok("ok", out),
            }
        }
        Event::Authenticate(login) => {
            events.push(format!("authenticate {} {:?}", login.mechanism(), login.initial()));
            match choice {
                0 => {}
                1..5 => login.challenge(b"again", out),
                5..8 => login.no("no", out),
                _ => login.ok("ok", out),
            }
        }
        Event::LoginResponse(login) => {
            events.push(format!("response {:?}", login.data()));
            match choice {
                0 => {}
                1..5 => login.challenge(b"", out),
                5..8 => login.no("no", out),
                _ => login.ok("ok", out),
            }
        }
        Event::StartTls(tls) => {
            events.push("starttls".to_owned());
            match choice {
                0 => {}
                1 | 2 => tls.no("no", out),
                _ => tls.accept(out),
            }
        }
        Event::Append(append) => {
            events.push(format!("append {:?} {}", append.append(), append.size()));
            match choice {
                0 => {}
                1..5 => append.no("no", out),
                _ => append.accept(out),
            }
        }
        Event::AppendEnd(command) => {
            events.push("append end".to_owned());
            if choice > 0 {
                command.ok("kept", out);
            }
        }
        Event::Idle(idle) => {
            events.push("idle".to_owned());
            match choice {
                0 => {}
                1 | 2 => idle.no("no", out),
                _ => idle.accept(out),
            }
        }
        Event::IdleEnd(command) => {
            events.push("idle end".to_owned());
            if choice > 0 {
                command.ok("done", out);
            }
        }
        other => events.push(format!("{other:?}")),
    }
}
