//! Any octets in any pieces: the same events, the same replies, the same end.

use core::time::Duration;

use bytes::BytesMut;
use smtp_codec::Limits;
use smtp_codec::address::Domain;
use smtp_codec::extension::Mechanism;
use smtp_codec::reply::Reply;
use smtp_codec::server::{Event, Reason, ServerConfig, ServerSession};

use crate::common::{Choices, Pieces, Steps, Turn, choose, read};

/// What came of a session.
type Seen = (Vec<String>, Vec<u8>, Option<Reason>);

/// One octet chooses the configuration, two the pieces and the answers; the rest is the wire.
pub fn run(data: &[u8]) {
    let ([config, low, high], wire) = choose(data);
    let seed = u64::from(low) << 8 | u64::from(high);
    let whole = session(config, seed, wire, Pieces::Whole);
    assert_eq!(session(config, seed, wire, Pieces::Octets), whole);
    assert_eq!(session(config, seed, wire, Pieces::Chosen(Choices::new(seed))), whole);
}

fn config(chosen: u8) -> ServerConfig {
    let mut limits = Limits::default().message(65_536);
    if chosen & 1 != 0 {
        limits = limits.errors(3).junk(5).command_line(512).auth_line(600).body_line(998).message(2_000);
    }
    let host = Domain::parse("host.test").expect("a domain");
    let mut config = ServerConfig::new(host.into_owned()).limits(limits);
    if chosen & 2 != 0 {
        config = config.starttls();
    }
    if chosen & 4 != 0 {
        config = config.mechanisms(&[Mechanism::PLAIN, Mechanism::LOGIN]);
    }
    if chosen & 8 != 0 {
        config = config.plaintext_auth();
    }
    config
}

fn session(chosen: u8, seed: u64, wire: &[u8], pieces: Pieces) -> Seen {
    let now = Duration::ZERO;
    let mut out = BytesMut::new();
    let mut session = ServerSession::new(config(chosen), now, &mut out);
    let mut answers = Choices::new(seed);
    let mut steps = Steps::for_octets(wire.len());
    let mut events: Vec<String> = Vec::new();
    let mut chunks = Vec::new();
    read(wire, pieces, |turn| match turn {
        Turn::Octets(input) => {
            loop {
                steps.count();
                let Some(event) = session.receive(now, input, &mut out) else {
                    break;
                };
                answer(event, &mut answers, &mut events, &mut chunks, &mut out);
            }
            assert!(input.len() <= 12_288 || session.closed().is_some(), "unread input is bounded");
        }
        Turn::Tls if session.wants_tls() => session.handle_tls_started(now),
        Turn::Tls => {}
    });
    session.handle_eof();
    if !chunks.is_empty() {
        events.push(format!("unfinished {}", chunks.len()));
    }
    assert!(session.closed().is_some() && session.poll_timeout().is_none());
    (events, out.to_vec(), session.closed())
}

fn answer(
    event: Event<'_>,
    answers: &mut Choices,
    events: &mut Vec<String>,
    chunks: &mut Vec<u8>,
    out: &mut BytesMut,
) {
    if let Event::Chunk(chunk) = event {
        // Chunks follow the pieces: only what they make together has to be the same.
        chunks.extend_from_slice(chunk);
        return;
    }
    let choice = answers.below(8);
    let no = || if choice == 7 { Reply::SHUTTING_DOWN } else { Reply::LOCAL_ERROR };
    let name = match &event {
        Event::Auth(_) => "auth",
        Event::AuthResponse(_) => "response",
        Event::AuthCancelled => "cancelled",
        Event::Mail(_) => "mail",
        Event::Rcpt(_) => "rcpt",
        Event::Data(_) => "data",
        Event::End(_) => "end",
        Event::Discarded(_) => "discarded",
        Event::StartTls(_) => "starttls",
        _ => "another",
    };
    events.push(name.to_owned());
    match (event, choice) {
        (_, 0) => {}
        (Event::Mail(mail), 1) => mail.reject(no(), out),
        (Event::Mail(mail), _) => {
            events.push(format!("{:?} {:?} {:?}", mail.from(), mail.size(), mail.body()));
            mail.accept(out);
        }
        (Event::Rcpt(rcpt), 1 | 7) => rcpt.reject(no(), out),
        (Event::Rcpt(rcpt), _) => {
            events.push(format!("{:?}", rcpt.to()));
            rcpt.accept(out);
        }
        (Event::Data(data), 1) => data.reject(no(), out),
        (Event::Data(data), _) => data.accept(out),
        (Event::End(end), 1 | 7) => end.reject(no(), out),
        (Event::End(end), _) => {
            events.push(format!("{} {:?}", end.octets(), core::mem::take(chunks)));
            end.accept(out);
        }
        (Event::Discarded(fault), _) => {
            events.push(format!("{fault:?} {:?}", core::mem::take(chunks)));
        }
        (Event::StartTls(tls), 1) => tls.reject(no(), out),
        (Event::StartTls(tls), _) => tls.accept(out),
        (Event::Auth(auth), 1 | 7) => auth.reject(no(), out),
        (Event::Auth(auth), 2 | 3) => auth.challenge(b"who?", out),
        (Event::Auth(auth), _) => {
            events.push(format!("{:?} {:?}", auth.mechanism(), auth.initial()));
            auth.accept(out);
        }
        (Event::AuthResponse(auth), 1 | 7) => auth.reject(no(), out),
        (Event::AuthResponse(auth), 2 | 3) => auth.challenge(b"", out),
        (Event::AuthResponse(auth), _) => {
            events.push(format!("{:?}", auth.data()));
            auth.accept(out);
        }
        _ => {}
    }
}
