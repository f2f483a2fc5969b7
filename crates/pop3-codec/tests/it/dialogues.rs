//! The dialogues of the RFCs, which the client plays: it says what stands behind `C:`, and hears what stands behind `S:`.

use core::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use pop3_codec::ClientSession;
use pop3_codec::client::{ClientConfig, Event, Reason};
use pop3_codec::command::Command;

/// Plays a file of tests/transcripts; what the client was told, and how it ended.
macro_rules! played {
    ($name:literal) => {{
        let text = include_str!(concat!("../transcripts/", $name, ".pop3"));
        let whole = play(text, usize::MAX);
        for step in [1, 2, 7] {
            assert_eq!(play(text, step), whole, "in steps of {step}");
        }
        whole
    }};
}

/// Each line is one that the client says when it is asked, one that it hears, or `[tls]`. A dialogue without CAPA is one with
/// a server that does not know CAPA.
fn play(text: &str, step: usize) -> (Vec<String>, Option<Reason>) {
    let (mut out, mut log, mut buffer) = (BytesMut::new(), Vec::new(), Vec::new());
    let mut arriving: Vec<u8> = Vec::new();
    let mut session =
        ClientSession::new(ClientConfig::new().plaintext_auth(), Duration::ZERO, &mut BytesMut::new());
    let mut lines = text.lines().filter(|line| !line.starts_with('#')).peekable();
    loop {
        let mut input = &buffer[..];
        while let Some(event) = session.receive(Duration::ZERO, &mut input, &mut out) {
            let asks = matches!(
                event,
                Event::Login(_) | Event::Password(_) | Event::Mailbox(_) | Event::Challenge(_)
            );
            if !asks {
                // The octets of a message come in as many pieces as they like.
                if !matches!(event, Event::Chunk(_)) {
                    log.push(told(&event));
                }
                continue;
            }
            let Some(line) = lines.next() else { return (log, None) };
            let said = line.strip_prefix("C: ").unwrap_or_else(|| panic!("{event:?} where {line:?} stands"));
            assert!(out.is_empty(), "{out:?} before {line:?}");
            say(event, said, &mut out);
            // A transcript has no octets that cannot be seen; an empty response has none at all.
            assert_eq!(String::from_utf8_lossy(&out), format!("{said}\r\n"));
            out.clear();
        }
        let used = buffer.len() - input.len();
        buffer.drain(..used);
        if session.wants_tls() && lines.peek() == Some(&"[tls]") {
            lines.next();
            session.handle_tls_started(Duration::ZERO);
            continue;
        }
        if let reason @ Some(_) = session.closed() {
            assert_eq!(lines.next(), None, "after the end");
            return (log, reason);
        }
        if &out[..] == b"CAPA\r\n" {
            out.clear();
            if lines.next_if_eq(&"C: CAPA").is_none() {
                arriving.extend_from_slice(b"-ERR\r\n");
            }
        }
        if arriving.is_empty() {
            let Some(line) = lines.next() else { return (log, None) };
            let heard = line.strip_prefix("S:").unwrap_or_else(|| panic!("{line:?} is not asked for"));
            arriving.extend_from_slice(heard.strip_prefix(' ').unwrap_or(heard).as_bytes());
            arriving.extend_from_slice(b"\r\n");
        }
        let piece = arriving.drain(..step.min(arriving.len()));
        buffer.extend(piece);
    }
}

fn say(event: Event<'_>, said: &str, out: &mut BytesMut) {
    let decoded = |text: &str| STANDARD.decode(text).expect("base64");
    if let Event::Challenge(challenge) = event {
        return match said {
            "*" => challenge.cancel(out),
            text => challenge.respond(&decoded(text), out),
        };
    }
    let command = Command::parse(said.as_bytes()).expect("a command");
    match (event, command) {
        (Event::Login(login), Command::Stls) => login.stls(out),
        (Event::Login(login), Command::User(name)) => login.user(name, out),
        (Event::Login(login), Command::Quit) => login.quit(out),
        (Event::Login(login), Command::Lang(language)) => login.lang(language, out),
        (Event::Login(login), Command::Auth { mechanism, initial }) => {
            let initial = initial.map(|initial| decoded(initial.as_str()));
            login.authenticate(mechanism, initial.as_deref(), out);
        }
        (Event::Password(wanted), Command::Pass(password)) => wanted.pass(password, out),
        (Event::Mailbox(mut mailbox), command) => match command {
            Command::Capa => mailbox.capa(out),
            Command::Stat => mailbox.stat(out),
            Command::List(number) => mailbox.list(number, out),
            Command::Uidl(number) => mailbox.uidl(number, out),
            Command::Retr(number) => mailbox.retr(number, out),
            Command::Top(number, lines) => mailbox.top(number, lines, out),
            Command::Dele(number) => mailbox.dele(number, out),
            Command::Noop => mailbox.noop(out),
            Command::Rset => mailbox.rset(out),
            Command::Lang(language) => mailbox.lang(language, out),
            Command::Quit => return mailbox.quit(out),
            other => panic!("{other:?} behind a login"),
        }
        .expect("there is room"),
        (event, command) => panic!("{command:?} for {event:?}"),
    }
}

fn told(event: &Event<'_>) -> String {
    match event {
        Event::Language { language, description } => {
            format!("{}: {}", language.as_str(), String::from_utf8_lossy(description))
        }
        Event::Refused { request, reply } => {
            format!("refused {request:?} {:?} {}", reply.status(), String::from_utf8_lossy(reply.text()))
        }
        Event::Size { number, octets } => format!("{number} {octets}"),
        Event::UniqueId { number, id } => format!("{number} {}", id.as_str()),
        Event::Capabilities(capabilities) => format!("{:?}", capabilities.implementation),
        other => format!("{other:?}"),
    }
}

#[test]
fn the_client_plays_rfc_1939_sections_4_to_7() {
    let (log, closed) = played!("client_rfc1939");
    assert_eq!(
        log,
        [
            "refused User Err sorry, no mailbox for frated here",
            "refused Pass Err maildrop already locked",
            "Stat { messages: 2, octets: 320 }",
            "1 120",
            "2 200",
            "ListEnd",
            "2 200",
            "refused List(Some(3)) Err no such message, only 2 messages in maildrop",
            "Message { number: 1 }",
            "MessageEnd",
            "Message { number: 1 }",
            "MessageEnd",
            "refused Top(100, 3) Err no such message",
            "1 whqtswO00WBw418f9t5JxYwZ",
            "2 QhdPYR:00WBw1Ph7x7",
            "ListEnd",
            "2 QhdPYR:00WBw1Ph7x7",
            "refused Uidl(Some(3)) Err no such message, only 2 messages in maildrop",
            "Done(Dele(1))",
            "refused Dele(2) Err message 2 already deleted",
            "Done(Noop)",
            "Done(Rset)",
        ]
    );
    assert_eq!(closed, Some(Reason::Quit));
}

// Ledger: 2449-8-1
#[test]
fn the_client_plays_rfc_2449_sections_5_and_8() {
    let (log, closed) = played!("client_rfc2449");
    let expected = [
        "refused Pass InUse Do you have another POP session running?",
        "refused Pass SysTemp the disk is full",
        "Some(\"Shlemazle-Plotz-v302\")",
    ];
    assert_eq!((&log[..], closed), (&expected.map(String::from)[..], Some(Reason::Quit)));
}

// Ledger: 2595-4-2, 2595-4-3, 2595-9-1
#[test]
fn the_client_plays_rfc_2595_section_4() {
    let (log, closed) = played!("client_rfc2595");
    assert_eq!(log, ["refused Stls Err Command not permitted when TLS active"]);
    assert_eq!(closed, Some(Reason::Quit));
}

// Ledger: 5034-4-1, 5034-4-13
#[test]
fn the_client_plays_rfc_5034_section_6() {
    assert_eq!(played!("client_rfc5034_initial_response"), (Vec::new(), Some(Reason::Quit)));
    assert_eq!(played!("client_rfc5034_empty_challenge"), (Vec::new(), Some(Reason::Quit)));
    assert_eq!(played!("client_rfc5034_challenges"), (Vec::new(), Some(Reason::Quit)));
}

#[test]
fn the_client_plays_rfc_6856_section_3() {
    let (log, closed) = played!("client_rfc6856");
    assert_eq!(
        log,
        [
            "refused Lang(Some(Language(\"MUL\"))) Err invalid language MUL",
            "en: English",
            "en-boont: English Boontling dialect",
            "de: Deutsch",
            "it: Italiano",
            "es: Espanol",
            "sv: Svenska",
            "ListEnd",
            "refused Lang(None) Err Server is unable to list languages",
            "es: Idioma cambiado",
            "refused Lang(Some(Language(\"uga\"))) Err es Idioma <<UGA>> no es conocido",
            "sv: Kommandot \"LANG\" lyckades",
            "es: Idioma cambiado",
        ]
    );
    assert_eq!(closed, Some(Reason::Quit));
}
