//! Whatever a server sends, in any pieces: the same events, the same commands, the same end.

use core::time::Duration;

use bytes::BytesMut;
use smtp_codec::ClientLimits;
use smtp_codec::address::{Domain, ForwardPath, Mailbox, ReversePath};
use smtp_codec::client::{ClientConfig, ClientSession, Envelope, Event, Reason};
use smtp_codec::extension::Mechanism;

use crate::common::{Choices, Pieces, Steps, Turn, choose, read};

/// What came of a session.
type Seen = (Vec<String>, Vec<u8>, Option<Reason>, bool);

/// One octet chooses the configuration, two the pieces and what the caller does; the rest is the wire.
pub fn run(data: &[u8]) {
    let ([config, low, high], wire) = choose(data);
    let seed = u64::from(low) << 8 | u64::from(high);
    let whole = session(config, seed, wire, Pieces::Whole);
    assert_eq!(session(config, seed, wire, Pieces::Octets), whole);
    assert_eq!(session(config, seed, wire, Pieces::Chosen(Choices::new(seed))), whole);
}

fn config(chosen: u8) -> ClientConfig {
    let name = Domain::parse("client.test").expect("a domain");
    let mut limits = ClientLimits::default();
    if chosen & 1 != 0 {
        limits = limits.reply_line(512).reply(4_096).group(3);
    }
    let mut config = ClientConfig::new(name.into_owned()).limits(limits);
    if chosen & 2 != 0 {
        config = config.implicit_tls();
    }
    if chosen & 4 != 0 {
        config = config.plaintext_auth();
    }
    config
}

fn session(chosen: u8, seed: u64, wire: &[u8], pieces: Pieces) -> Seen {
    let now = Duration::ZERO;
    let mut out = BytesMut::new();
    let mut session = ClientSession::new(config(chosen), now, &mut out);
    let mut caller = Choices::new(seed);
    let mut steps = Steps::for_octets(wire.len());
    let mut events = Vec::new();
    read(wire, pieces, |turn| match turn {
        Turn::Octets(input) => {
            loop {
                steps.count();
                let Some(event) = session.receive(now, input, &mut out) else {
                    break;
                };
                answer(event, &mut caller, &mut events, &mut out);
            }
            assert!(input.len() < 12_288 || session.closed().is_some(), "unread input is bounded");
        }
        Turn::Tls if session.wants_tls() => session.handle_tls_started(now),
        Turn::Tls => {}
    });
    session.handle_eof();
    assert!(session.closed().is_some() && session.poll_timeout().is_none());
    check_commands(&out);
    (events, out.to_vec(), session.closed(), session.is_in_doubt())
}

/// Nothing bare goes out, whatever came in.
fn check_commands(out: &[u8]) {
    for (at, octet) in out.iter().enumerate() {
        match octet {
            b'\r' => assert_eq!(out.get(at + 1), Some(&b'\n')),
            b'\n' => assert_eq!(out[at - 1], b'\r'),
            octet => assert!(*octet != 0),
        }
    }
}

fn answer(event: Event<'_>, caller: &mut Choices, events: &mut Vec<String>, out: &mut BytesMut) {
    let choice = caller.below(16);
    // Their `Debug` shows nothing that depends on the pieces; `Ready` and `Message` show the whole session.
    events.push(match &event {
        Event::Ready(ready) => format!("ready {:?} {}", ready.capabilities(), ready.is_tls()),
        Event::Message(_) => "message".to_owned(),
        Event::Challenge(challenge) => format!("challenge {:?}", challenge.data()),
        other => format!("{other:?}"),
    });
    let refused = match (event, choice) {
        (Event::Ready(_), 0) => Ok(()),
        (Event::Ready(ready), 1) => {
            ready.quit(out);
            Ok(())
        }
        (Event::Ready(ready), 2) => {
            ready.reset(out);
            Ok(())
        }
        (Event::Ready(ready), 3) => {
            ready.idle();
            Ok(())
        }
        // A step that cannot be taken is offered again, so the choice must not stay the same: it does not.
        (Event::Ready(ready), 4 | 5) => ready.starttls(out),
        (Event::Ready(ready), 6) => ready.auth(Mechanism::PLAIN, Some(b"\0a\0b"), out),
        (Event::Ready(ready), 7) => ready.auth(Mechanism::LOGIN, None, out),
        (Event::Ready(ready), _) => {
            let mut envelope = Envelope::new(ReversePath::Null).size(caller.below(5_000) as u64);
            for name in 0..caller.below(6) {
                let mailbox = format!("user{name}@host.test");
                envelope = envelope.to(ForwardPath::Mailbox(Mailbox::parse(&mailbox).expect("valid")));
            }
            ready.mail(envelope, out)
        }
        (Event::Challenge(challenge), 0) => {
            challenge.cancel(out);
            Ok(())
        }
        (Event::Challenge(_), 1) | (Event::Message(_), 0) => Ok(()),
        (Event::Challenge(challenge), _) => {
            challenge.respond(&[b'x'; 17][..choice], out);
            Ok(())
        }
        (Event::Message(mut message), choice) => {
            let body: &[u8] = if choice == 1 { b"bad\nline" } else { b".one\r\n..\r\ntwo" };
            let _ = message.write(body, out);
            match choice {
                2 => message.abandon(),
                3 => message.pause(),
                _ => {
                    let _ = message.finish(out);
                }
            }
            Ok(())
        }
        _ => Ok(()),
    };
    events.extend(refused.err().map(|error| format!("{error:?}")));
}
