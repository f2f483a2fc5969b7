//! Properties of commands, replies and constructors, on random strings.

use proptest::prelude::*;
use smtp_codec::address::{Domain, ForwardPath, Mailbox, ReversePath};
use smtp_codec::command::{Body, Command, InitialResponse, MailParameters, Text};
use smtp_codec::data::DataEncoder;
use smtp_codec::extension::{Extension, Mechanism};
use smtp_codec::reply::{Enhanced, Reply};

/// Strings that are near to what SMTP takes, and those that would break out of a line.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "[ -~]{0,60}",
        "[a-z.@\"\\\\<>\\[\\]:=+ \r\n\0\t-]{0,30}",
        "[a-z]{1,9}(\\.[a-z]{1,9}){0,2}@[a-z]{1,9}(\\.[a-z]{1,9}){0,2}",
        "[A-Za-z0-9+/]{0,40}={0,2}",
        "\"[ -~]{0,20}\"@\\[[0-9A-Fa-fIPv.:]{0,20}\\]",
    ]
}

fn wire(command: &Command<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    command.encode(&mut out);
    out
}

/// One line, which is read back as the same command.
fn check(command: &Command<'_>) {
    let wire = wire(command);
    let line = wire.strip_suffix(b"\r\n").expect("a line");
    assert!(!line.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)), "{}", wire.escape_ascii());
    assert_eq!(Command::parse(line).as_ref(), Ok(command));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_line_is_refused_or_read_back_as_written(line in prop::collection::vec(any::<u8>(), 0..80), verb in 0..9_usize) {
        let verbs = ["", "EHLO ", "MAIL FROM:<", "RCPT TO:<", "VRFY ", "AUTH PLAIN ", "MAIL FROM:<> ", "NOOP ", "AUTH "];
        let line = [verbs[verb].as_bytes(), &line].concat();
        if let Ok(command) = Command::parse(&line) {
            check(&command);
        }
    }

    #[test]
    fn a_line_of_text_is_refused_or_read_back_as_written(text in text(), verb in 0..8_usize) {
        let verbs = ["EHLO ", "HELO ", "MAIL FROM:<", "RCPT TO:<", "VRFY ", "AUTH PLAIN ", "MAIL FROM:<> ", "AUTH "];
        let close = if matches!(verb, 2 | 3) { ">" } else { "" };
        let line = [verbs[verb], &text, close].concat();
        if let Ok(command) = Command::parse(line.as_bytes()) {
            check(&command);
        }
    }

    #[test]
    fn constructors_refuse_or_make_one_line(text in text(), size in any::<Option<u64>>(), eight in any::<bool>()) {
        if let Ok(mailbox) = Mailbox::parse(&text) {
            prop_assert_eq!(mailbox.as_str(), &text);
            let body = Some(if eight { Body::EightBitMime } else { Body::SevenBit });
            let parameters = MailParameters { size, body, smtp_utf8: false };
            check(&Command::Mail(ReversePath::Mailbox(mailbox.clone()), parameters));
            check(&Command::Rcpt(ForwardPath::Mailbox(mailbox)));
        }
        if let Ok(domain) = Domain::parse(&text) {
            check(&Command::Ehlo(domain.clone()));
            check(&Command::Helo(domain));
        }
        if let Ok(text) = Text::try_from(&*text) {
            check(&Command::Vrfy(text));
        }
        if let Ok(initial) = InitialResponse::try_from(&*text) {
            prop_assert_eq!(format!("{:?}", initial), "InitialResponse(..)");
            check(&Command::Auth { mechanism: Mechanism::PLAIN, initial: Some(initial) });
        }
        if let Ok(mechanism) = Mechanism::parse(text.as_bytes()) {
            check(&Command::Auth { mechanism, initial: None });
        }
        if let Ok(extension) = Extension::parse(&text) {
            let mut out = Vec::new();
            extension.encode(&mut out);
            let line = String::from_utf8(out).expect("ASCII");
            prop_assert!(!line.contains(['\r', '\n', '\0']));
            prop_assert_eq!(Extension::parse(&line), Ok(extension));
        }
    }

    #[test]
    fn a_reply_is_refused_or_read_back(code in 150..620_u16, subject in 0..1_100_u16, detail in 0..12_u16, with in any::<bool>(), text in prop_oneof![text(), "([ -~]{0,500}\n){0,3}[ -~]{0,20}"]) {
        let enhanced = with.then_some(Enhanced { subject, detail });
        if let Ok(reply) = Reply::new(code, enhanced, text) {
            let mut out = Vec::new();
            reply.encode(&mut out);
            prop_assert!(out.split(|octet| *octet == b'\n').all(|line| line.len() < 512));
            let again = Reply::parse(&out).expect("what we write we read");
            let mut twice = Vec::new();
            again.encode(&mut twice);
            prop_assert_eq!(&twice, &out);
            if with {
                prop_assert_eq!(again, reply);
            }
        }
    }

    #[test]
    fn what_a_server_sends_is_refused_or_printable(octets in prop::collection::vec(any::<u8>(), 0..80)) {
        let wire = [b"250-", &octets[..], b"\r\n250 end\r\n"].concat();
        if let Ok(reply) = Reply::parse(&wire) {
            prop_assert!(reply.text().bytes().all(|octet| matches!(octet, b'\n' | b'\t' | b' '..=b'~')));
            let mut out = Vec::new();
            reply.encode(&mut out);
            prop_assert_eq!(Reply::parse(&out), Ok(reply));
        }
    }

    // Ledger: 5321-2.3.8-3, 5321-2.4-4
    #[test]
    fn nothing_bare_is_ever_sent(pieces in prop::collection::vec("[a.\r\n\0]{0,6}|(\r\n|[.x]){0,6}", 0..6)) {
        let (mut encoder, mut out) = (DataEncoder::new(), Vec::new());
        let written = pieces.iter().try_for_each(|piece| encoder.write(piece.as_bytes(), &mut out));
        let finished = written.is_ok() && encoder.finish(&mut out).is_ok();
        let text = String::from_utf8(out).expect("ASCII");
        let rest = text.replace("\r\n", "");
        prop_assert!(!rest.contains(['\r', '\n', '\0']));
        // Nothing before the end can be taken for it.
        let framed = format!("\r\n{text}");
        let ends = framed.matches("\r\n.\r\n").count();
        prop_assert_eq!(ends, usize::from(finished));
    }
}
