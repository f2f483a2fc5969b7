//! A server that says anything in any pieces: the same events, commands and end, and no secret before TLS.

use core::time::Duration;

use bytes::BytesMut;
use imap_codec::ClientLimits;
use imap_codec::client::{ClientConfig, ClientSession, Event, Reason};
use imap_codec::command::{Append, FetchAttribute, FetchAttributes, Password, Verb};
use imap_codec::types::{Atom, Flags, IString, Mailbox, SequenceSet};

use crate::common::{Choices, Pieces, Steps, Turn, choose, note_chunk, read};

/// What came of a session.
type Seen = (Vec<String>, Vec<u8>, Option<Reason>);

/// What is found nowhere before TLS.
const SECRET: &[u8] = b"s3cr3t";

/// One octet chooses the configuration, two the pieces and the commands; the rest is the wire.
pub fn run(data: &[u8]) {
    let ([config, low, high], wire) = choose(data);
    let seed = u64::from(low) << 8 | u64::from(high);
    let whole = session(config, seed, wire, Pieces::Whole);
    assert_eq!(session(config, seed, wire, Pieces::Octets), whole);
    assert_eq!(session(config, seed, wire, Pieces::Chosen(Choices::new(seed))), whole);
}

fn session(chosen: u8, seed: u64, wire: &[u8], pieces: Pieces) -> Seen {
    let now = Duration::ZERO;
    let mut config = ClientConfig::new();
    if chosen & 1 != 0 {
        config = config.limits(ClientLimits::default().line(0).literals(20).queue(3));
    }
    if chosen & 2 != 0 {
        config = config.implicit_tls();
    }
    let (mut out, mut all) = (BytesMut::new(), Vec::new());
    let mut session = ClientSession::new(config, now, &mut out);
    let mut choices = Choices::new(seed);
    let mut steps = Steps::for_octets(wire.len());
    let mut events: Vec<String> = Vec::new();
    read(wire, pieces, |turn| match turn {
        Turn::Octets(input) => {
            while let Some(event) = session.receive(now, input, &mut out) {
                let told = match event {
                    Event::Chunk(chunk) => {
                        note_chunk(&mut events, chunk);
                        continue;
                    }
                    Event::Challenge(challenge) => {
                        let told = format!("challenge {}", challenge.data().escape_ascii());
                        match choices.below(4) {
                            0 => {}
                            1 => challenge.cancel(&mut out),
                            _ => challenge.respond(SECRET, &mut out),
                        }
                        told
                    }
                    event => format!("{event:?}"),
                };
                steps.count();
                let wants = told != "Skipped" && !told.starts_with("Literal");
                events.push(told);
                if wants {
                    act(&mut session, &mut choices, &mut out);
                }
            }
            if !session.is_tls() {
                assert!(!out.windows(SECRET.len()).any(|octets| octets == SECRET), "a secret without TLS");
            }
            all.extend_from_slice(&out.split());
        }
        Turn::Tls if session.wants_tls() => session.handle_tls_started(now),
        Turn::Tls => {}
    });
    session.handle_eof();
    assert!(session.closed().is_some() && session.poll_timeout().is_none());
    (events, all, session.closed())
}

/// Does something, allowed or not.
fn act(session: &mut ClientSession, choices: &mut Choices, out: &mut BytesMut) {
    let text = |octets: &'static [u8]| IString::new(octets).expect("no NUL");
    let plain = Atom::new("PLAIN").expect("an atom");
    let _ = match choices.below(14) {
        0 => session.send(&Verb::Noop, out),
        1 => session.send(&Verb::Login { user: text(b"a\r\nb"), password: Password(text(SECRET)) }, out),
        2 => session.send(&Verb::Login { user: text(b"ann"), password: Password(text(SECRET)) }, out),
        3 => session.send(&Verb::Select(Mailbox::INBOX.into()), out),
        4 | 5 => {
            let items = FetchAttributes::new([FetchAttribute::Flags]).expect("one");
            let fetch = Verb::Fetch { uid: false, set: SequenceSet::ALL, items, changed_since: None };
            session.send(&fetch, out)
        }
        6 => session.starttls(out),
        7 => session.authenticate(plain, Some(SECRET), out),
        8 => session.authenticate(plain, None, out),
        9 => session.idle(out),
        10 => {
            session.idle_done(out);
            session.send(&Verb::Close, out)
        }
        11 => {
            let append = Append { mailbox: Mailbox::INBOX, flags: Flags::default(), date: None };
            session.append(&append, 3, out)
        }
        12 => {
            session.append_write(b"abcd", out);
            session.send(&Verb::Expunge, out)
        }
        _ => session.send(&Verb::Logout, out),
    };
}
