//! The examples of the RFCs, word for word where both sides' words are the RFC's.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smtp_codec::address::{ForwardPath, Mailbox, ReversePath};
use smtp_codec::client::{ClientConfig, Envelope};
use smtp_codec::command::Command;
use smtp_codec::extension::Mechanism;
use smtp_codec::reply::Reply;

use crate::client::{Client, Step};
use crate::{Part, Server, Transcript, domain};

macro_rules! example {
    ($name:literal) => {
        include_str!(concat!("../transcripts/", $name, ".smtp"))
    };
}

/// The server gives the same codes as the example.
fn server_gives_the_codes(text: &str) {
    let transcript = Transcript::parse(text);
    let mut server = Server::new(transcript.server_config().mechanisms(&mechanisms(text)));
    for part in &transcript.parts {
        match part {
            Part::Client(lines) => server.feed(lines),
            Part::Tls => server.start_tls(),
            Part::Server(lines) => assert_eq!(codes(&server.said()), codes(&String::from_utf8_lossy(lines))),
        }
    }
}

/// The client says the same words as the example when the server does.
fn client_says_the_words(text: &str) {
    let transcript = Transcript::parse(text);
    let (name, script, responses) = script(&transcript);
    let mut config = ClientConfig::new(domain(&name));
    for option in &transcript.options {
        config = match *option {
            "tls" => config.implicit_tls(),
            "plaintext" => config.plaintext_auth(),
            _ => config,
        };
    }
    let mut client = Client::new(config, &script);
    client.responses = responses;
    for part in &transcript.parts {
        match part {
            Part::Server(lines) => client.feed(lines),
            Part::Tls => {
                assert!(client.session.wants_tls());
                client.session.handle_tls_started(client.now);
                client.feed(b"");
            }
            Part::Client(lines) => assert_eq!(client.said(), String::from_utf8_lossy(lines)),
        }
    }
    assert_eq!(client.session.closed(), Some(smtp_codec::client::Reason::Quit));
}

type Script = (String, Vec<Step>, VecDeque<Option<Vec<u8>>>);

/// What a caller has to want for the example's words to come out.
fn script(transcript: &Transcript<'_>) -> Script {
    let (mut name, mut steps, mut responses) = (String::new(), Vec::new(), VecDeque::new());
    let (mut envelope, mut in_login) = (None, false);
    for part in &transcript.parts {
        let Part::Client(lines) = part else {
            continue;
        };
        let line = lines.strip_suffix(b"\r\n").expect("a line");
        if let Some(message) = lines.strip_suffix(b"\r\n.\r\n") {
            let message = [message, b"\r\n"].concat();
            let plain = message.split_inclusive(|octet| *octet == b'\n');
            let plain: Vec<u8> =
                plain.flat_map(|line| line.strip_prefix(b".").unwrap_or(line)).copied().collect();
            steps.push(Step::Mail(envelope.take().expect("MAIL came first"), plain));
            continue;
        }
        match Command::parse(line) {
            Ok(Command::Ehlo(host)) => name = host.to_string(),
            Ok(Command::Mail(from, _)) => envelope = Some(Envelope::new(from)),
            Ok(Command::Rcpt(to)) => envelope = envelope.map(|envelope: Envelope| envelope.to(to)),
            Ok(Command::StartTls) => steps.push(Step::Tls),
            Ok(Command::Quit) => steps.push(Step::Quit),
            Ok(Command::Data) => {}
            Ok(Command::Auth { mechanism, initial }) => {
                in_login = true;
                let name: &'static str = mechanism.as_str().to_owned().leak();
                let decode =
                    |text: &str| STANDARD.decode(text.trim_matches('=')).or_else(|_| STANDARD.decode(text));
                let initial = initial.map(|initial| decode(initial.as_str()).expect("base64"));
                steps.push(Step::Auth(name, initial));
            }
            _ if in_login => responses.push_back(Some(STANDARD.decode(line).expect("base64"))),
            other => panic!("no step for {other:?}"),
        }
    }
    (name, steps, responses)
}

fn mechanisms(text: &str) -> Vec<Mechanism> {
    let names = ["PLAIN", "CRAM-MD5", "EXTERNAL"].into_iter();
    let used =
        names.filter(|name| text.contains(&format!("AUTH {name}")) || text.contains(&format!(" {name}\n")));
    used.map(|name| Mechanism::parse(name.as_bytes()).expect("a mechanism")).collect()
}

fn codes(replies: &str) -> Vec<&str> {
    replies.lines().filter(|line| line.as_bytes().get(3) == Some(&b' ')).map(|line| &line[..3]).collect()
}

/// The examples know a user who does not exist by another name than the tests.
fn with_nobody(text: &str) -> String {
    text.replace("<Green@foo.com>", "<nobody@foo.com>")
}

#[test]
fn a_typical_transaction_rfc_5321_appendix_d_1() {
    server_gives_the_codes(&with_nobody(example!("rfc5321_d1")));
    client_says_the_words(example!("rfc5321_d1"));
}

#[test]
fn an_aborted_transaction_rfc_5321_appendix_d_2() {
    server_gives_the_codes(&with_nobody(example!("rfc5321_d2")));
}

#[test]
fn a_relayed_message_rfc_5321_appendix_d_3() {
    server_gives_the_codes(example!("rfc5321_d3_step1"));
    client_says_the_words(example!("rfc5321_d3_step1"));
    server_gives_the_codes(example!("rfc5321_d3_step2"));
    client_says_the_words(example!("rfc5321_d3_step2"));
}

#[test]
fn verifying_and_sending_rfc_5321_appendix_d_4() {
    // We answer VRFY 252 and never say who exists.
    server_gives_the_codes(&example!("rfc5321_d4").replace("S: 250 Mark", "S: 252 Mark"));
}

#[test]
fn starting_tls_rfc_3207_section_5() {
    server_gives_the_codes(example!("rfc3207"));
    client_says_the_words(example!("rfc3207"));
}

#[test]
fn logging_in_rfc_4954_section_4_1() {
    for text in [
        example!("rfc4954_plain"),
        example!("rfc4954_challenge"),
        example!("rfc4954_cram"),
        example!("rfc4954_external"),
    ] {
        server_gives_the_codes(text);
        client_says_the_words(text);
    }
}

#[test]
fn multiline_replies_rfc_5321_section_4_2_1() {
    let reply = Reply::parse(
        b"250-First line\r\n250-Second line\r\n250-234 Text beginning with numbers\r\n250 The last line\r\n",
    );
    let reply = reply.expect("a reply");
    assert_eq!(reply.text(), "First line\nSecond line\n234 Text beginning with numbers\nThe last line");
}

#[test]
fn enhanced_codes_rfc_2034_section_5() {
    let reply = Reply::parse(b"554-5.7.1 Relaying not allowed: gvaudreuil@octel.com\r\n").err();
    assert!(reply.is_some(), "a hyphen announces another line");
    let reply = Reply::parse(b"550 5.1.1 Mailbox \"nosuchuser\" does not exist\r\n").expect("a reply");
    assert_eq!(reply.enhanced().map(|code| (code.subject, code.detail)), Some((1, 1)));
    assert_eq!(reply.text(), "Mailbox \"nosuchuser\" does not exist");
}

#[test]
fn addresses_of_the_examples_are_taken() {
    for line in [
        "MAIL FROM:<>",
        "MAIL FROM:<\"Joe\\,Smith\"@foo.com>",
        "RCPT TO:<@hosta.int,@jkl.org:userc@d.bar.org>",
    ] {
        assert!(Command::parse(line.as_bytes()).is_ok(), "{line}");
    }
    let to = ForwardPath::Mailbox(Mailbox::parse("Jones@XYZ.COM").expect("valid"));
    assert_eq!(
        (to.to_string(), ReversePath::Null.to_string()),
        ("<Jones@XYZ.COM>".to_owned(), "<>".to_owned())
    );
}
