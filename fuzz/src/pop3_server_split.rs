//! Any octets in any pieces: the same events, the same responses, the same end.

use core::time::Duration;

use bytes::BytesMut;
use pop3_codec::capability::Expire;
use pop3_codec::command::Mechanism;
use pop3_codec::server::{Event, Reason, ServerConfig, ServerSession};
use pop3_codec::{Limits, Maildrop, Reply, UniqueId};

use crate::common::{Choices, Pieces, Steps, Turn, choose, read};

/// What came of a session.
type Seen = (Vec<String>, Vec<u8>, Option<Reason>);

/// The most that one call writes.
const CALL_OCTETS: usize = 17 * 1024;

/// One octet chooses the configuration, two the pieces and the answers; the rest is the wire.
pub fn run(data: &[u8]) {
    let ([config, low, high], wire) = choose(data);
    let seed = u64::from(low) << 8 | u64::from(high);
    let whole = session(config, seed, wire, Pieces::Whole);
    assert_eq!(session(config, seed, wire, Pieces::Octets), whole);
    assert_eq!(session(config, seed, wire, Pieces::Chosen(Choices::new(seed))), whole);
}

/// So many messages, of sizes that overflow their sum.
struct Messages(usize);

impl Maildrop for Messages {
    fn len(&self) -> usize {
        self.0
    }
    fn size(&self, index: usize) -> u64 {
        if index % 3 == 2 { u64::MAX } else { index as u64 }
    }
    fn unique_id(&self, index: usize) -> UniqueId {
        UniqueId::new(&format!("{index:070}")).expect("70 digits")
    }
}

fn config(chosen: u8) -> ServerConfig {
    let mut limits = Limits::default().auth_line(512);
    if chosen & 1 != 0 {
        limits = limits.errors(3).line(0);
    }
    let mut config = ServerConfig::new().limits(limits);
    if chosen & 2 != 0 {
        config = config.stls();
    }
    if chosen & 4 != 0 {
        config = config.plaintext_auth();
    }
    if chosen & 16 != 0 {
        config = config.mechanisms(&[Mechanism::parse(b"PLAIN").expect("letters")]);
    }
    if chosen & 8 != 0 {
        config = config.implicit_tls();
    }
    if chosen & 32 != 0 {
        config = config.utf8();
    }
    if chosen & 64 != 0 {
        config = config.utf8_logins().expire(Expire::Days(3)).implementation("a\r\nhost");
    }
    config
}

fn session(chosen: u8, seed: u64, wire: &[u8], pieces: Pieces) -> Seen {
    let now = Duration::ZERO;
    let (mut out, mut all) = (BytesMut::new(), Vec::new());
    let mut session = ServerSession::new(config(chosen), now, &mut out);
    let mut answers = Choices::new(seed);
    let mut steps = Steps::for_octets(wire.len());
    let mut events = Vec::new();
    read(wire, pieces, |turn| match turn {
        Turn::Octets(input) => {
            loop {
                all.extend_from_slice(&out.split());
                let event = session.receive(now, input, &mut out);
                assert!(out.len() <= CALL_OCTETS, "one call writes {} octets", out.len());
                let Some(event) = event else {
                    break;
                };
                // A long list takes a step for each of its pieces, which are not the input's.
                if !matches!(event, Event::Continue) {
                    steps.count();
                    answer(event, &mut answers, &mut events, &mut out);
                }
            }
            assert!(input.len() < 512 || session.closed().is_some() || session.wants_tls());
        }
        Turn::Tls if session.wants_tls() => session.handle_tls_started(now),
        Turn::Tls => {}
    });
    session.handle_eof();
    assert!(session.closed().is_some() && session.poll_timeout().is_none());
    all.extend_from_slice(&out);
    (events, all, session.closed())
}

fn answer(event: Event<'_, Messages>, answers: &mut Choices, events: &mut Vec<String>, out: &mut BytesMut) {
    let choice = answers.below(16);
    let no = || if choice == 1 { Reply::AUTH_FAILED } else { Reply::LOCAL_ERROR };
    match event {
        Event::Auth(auth) => {
            events.push(format!("auth {:?} {:?}", auth.mechanism(), auth.initial()));
            match choice {
                0 => {}
                1 | 2 => auth.reject(no(), out),
                3..=8 => auth.challenge(b"challenge", out),
                _ => auth.accept(Messages(answers.below(4)), out),
            }
        }
        Event::AuthResponse(response) => {
            events.push(format!("response {:?}", response.data()));
            match choice {
                0 => {}
                1 | 2 => response.reject(no(), out),
                3..=8 => response.challenge(b"", out),
                _ => response.accept(Messages(answers.below(4)), out),
            }
        }
        Event::Login(login) => {
            events.push(format!("login {:?} {:?}", login.user(), login.password()));
            match choice {
                0 => {}
                1 | 2 => login.reject(no(), out),
                3 => login.accept(Messages(0), out),
                4 => login.accept(Messages(3_000), out),
                _ => login.accept(Messages(70), out),
            }
        }
        Event::Retrieve(retrieve) => {
            let utf8 = retrieve.is_utf8();
            events.push(format!("retrieve {} {:?} {utf8}", retrieve.index(), retrieve.lines()));
            match choice {
                0 => {}
                1 | 2 => retrieve.reject(no(), out),
                _ => {
                    let mut message = retrieve.accept(out);
                    for piece in ["a: 1\r", "\n\r\n", ".\r\n.", "x\r\n", "\n.\r\n"] {
                        if message.wants_more() {
                            message.write(piece.as_bytes(), out);
                        }
                    }
                    if choice != 3 {
                        message.finish(out);
                    }
                }
            }
        }
        Event::Stls(stls) => {
            events.push("stls".to_owned());
            match choice {
                0 => {}
                1 | 2 => stls.reject(no(), out),
                _ => stls.accept(out),
            }
        }
        Event::Update(update) => {
            let deleted: Vec<usize> = update.deleted().collect();
            assert!(!deleted.is_empty() && deleted.iter().all(|index| *index < update.maildrop().len()));
            events.push(format!("update {deleted:?}"));
            match choice {
                0 => {}
                1 | 2 => update.reject(no(), out),
                _ => update.accept(out),
            }
        }
        _ => {}
    }
}
