//! Client and server together: two sessions, their octets in memory, one clock.

use bytes::{Buf, BytesMut};
use smtp_codec::Limits;
use smtp_codec::client;
use smtp_codec::extension::Mechanism;
use smtp_codec::server::Reason;

use crate::client::{Client, Step, envelope, mail};
use crate::{Server, here, host};

/// Both sides of a connection.
struct Pair {
    client: Client,
    server: Server,
    /// How many octets a read gives.
    read: usize,
}

impl Pair {
    fn new(client: Client, server: Server) -> Self {
        Self { client, server, read: usize::MAX }
    }

    /// Carries octets until nothing moves any more.
    fn run(&mut self) {
        let (mut to_client, mut to_server) = (BytesMut::new(), BytesMut::new());
        loop {
            to_client.extend_from_slice(&self.server.out.split());
            // What a client driver does before each wait: let the session write.
            self.client.feed(b"");
            to_server.extend_from_slice(&self.client.out.split());
            if self.client.session.wants_tls() && to_client.is_empty() {
                assert!(self.server.session.wants_tls() && to_server.is_empty(), "both or none");
                self.client.session.handle_tls_started(self.client.now);
                self.server.session.handle_tls_started(self.server.now);
                continue;
            }
            let moved = to_client.len() + to_server.len();
            let read = self.read.min(to_client.len());
            self.client.feed(&to_client[..read]);
            to_client.advance(read);
            let read = self.read.min(to_server.len());
            self.server.feed(&to_server[..read]);
            to_server.advance(read);
            if moved == 0 {
                return;
            }
        }
    }
}

fn deliver(script: &[Step], server: Server, read: usize) -> Pair {
    let mut pair = Pair::new(Client::new(here(), script), server);
    pair.read = read;
    pair.run();
    pair
}

#[test]
fn a_message_arrives_octet_for_octet() {
    let bodies = [
        "",
        "x",
        "x\r\n",
        ".\r\n",
        "..\r\n.\r\n",
        "\r\n\r\n",
        "a\r\n.b\r\n..c\r\n",
        "QUIT\r\n",
        "\u{20ac}\r\n",
    ];
    for body in bodies {
        for read in [1, 7, usize::MAX] {
            let pair = deliver(&[mail(&["b@host.test"], body), Step::Quit], Server::new(host()), read);
            let arrived = if body.is_empty() || body.ends_with("\r\n") {
                body.to_owned()
            } else {
                format!("{body}\r\n")
            };
            let expected = format!("message {}", arrived.as_bytes().escape_ascii());
            assert_eq!(pair.server.events.last(), Some(&expected));
            assert_eq!(pair.client.events, ["recipient 0 250", "message written", "taken 250"]);
            assert_eq!(pair.client.session.closed(), Some(client::Reason::Quit));
            assert_eq!(pair.server.session.closed(), Some(Reason::Quit));
        }
    }
}

#[test]
fn results_belong_to_their_recipients_also_in_long_groups() {
    let names: Vec<_> = (0..300)
        .map(|number| match number % 3 {
            0 => format!("nobody{number}@host.test"),
            1 => format!("later{number}@host.test"),
            _ => format!("user{number}@host.test"),
        })
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let server = || Server::new(host().limits(Limits::default().errors(1_000)));
    for read in [1, 100, usize::MAX] {
        let pair = deliver(&[mail(&names, "x\r\n"), Step::Quit], server(), read);
        for (index, event) in pair.client.events[..300].iter().enumerate() {
            assert_eq!(*event, format!("recipient {index} {}", [550, 452, 250][index % 3]));
        }
        assert_eq!(pair.client.events[300..], ["message written", "taken 250"]);
    }
}

// Ledger: 5321-4.1.4-7
#[test]
fn several_messages_go_over_one_connection_whatever_becomes_of_each() {
    let refused = client::Envelope::new(smtp_codec::ReversePath::Mailbox(
        smtp_codec::Mailbox::parse("refused@client.test").expect("valid"),
    ));
    let refused = refused.to(smtp_codec::ForwardPath::Postmaster);
    let script = [
        mail(&["a@host.test"], "one\r\n"),
        Step::Mail(refused, b"x".to_vec()),
        mail(&["nobody@host.test"], "x"),
        mail(&["b@host.test"], "refuse me\r\n"),
        Step::Reset,
        Step::Mail(envelope(&["c@host.test"]).size(65_537), b"x".to_vec()),
        mail(&["c@host.test"], "two\r\n"),
        Step::Quit,
    ];
    for read in [1, usize::MAX] {
        let pair = deliver(&script, Server::new(host()), read);
        assert_eq!(
            pair.client.events,
            [
                "recipient 0 250",
                "message written",
                "taken 250",
                "refused Mail 550",
                "recipient 0 550",
                "refused Recipients 550",
                "recipient 0 250",
                "message written",
                "refused Message 452",
                "unsendable: message larger than the 65536 octets that the server takes",
                "recipient 0 250",
                "message written",
                "taken 250",
            ]
        );
        assert_eq!(pair.server.session.closed(), Some(Reason::Quit));
    }
}

#[test]
fn tls_and_a_login_come_before_the_message() {
    let config = host().starttls().mechanisms(&[Mechanism::PLAIN, Mechanism::LOGIN]);
    let script = [
        Step::Tls,
        Step::Auth("PLAIN", Some(b"\0alice\0secret".to_vec())),
        mail(&["b@host.test"], "x\r\n"),
        Step::Quit,
    ];
    for read in [1, usize::MAX] {
        let pair = deliver(&script, Server::new(config.clone()), read);
        assert!(pair.server.session.is_tls() && pair.client.session.is_tls());
        assert_eq!(pair.client.events, ["logged in 235", "recipient 0 250", "message written", "taken 250"]);
        let mut events = pair.server.events.iter();
        assert_eq!(events.next().map(String::as_str), Some("starttls"));
        assert!(events.next().is_some_and(|event| event.starts_with("auth PLAIN")));
    }
}

#[test]
fn challenges_go_back_and_forth() {
    let config = host().mechanisms(&[Mechanism::PLAIN, Mechanism::LOGIN]).implicit_tls();
    let script = [Step::Auth("LOGIN", None), Step::Auth("LOGIN", None), Step::Quit];
    let mut client = Client::new(here().implicit_tls(), &script);
    client.responses =
        [Some(b"alice".to_vec()), None, Some(b"alice".to_vec()), Some(b"secret".to_vec())].into();
    let mut pair = Pair::new(client, Server::new(config));
    pair.run();
    assert_eq!(
        pair.client.events,
        [
            "challenge Username:",
            "challenge Password:",
            "login failed 501",
            "challenge Username:",
            "challenge Password:",
            "logged in 235",
        ]
    );
}

#[test]
fn both_sides_name_the_same_end_when_the_server_closes() {
    let mut pair = deliver(&[Step::Idle], Server::new(host()), usize::MAX);
    pair.server.session.close(pair.server.now, &mut pair.server.out);
    pair.run();
    assert_eq!(pair.server.session.closed(), Some(Reason::Closed));
    assert_eq!(pair.client.session.closed(), Some(client::Reason::ServerStopping));
}

#[test]
fn a_message_of_many_pieces_arrives_whole() {
    let line = ".0123456789.0123456789.0123456789.0123456789\r\n";
    let body = line.repeat(1_400);
    for (piece, read) in [(1, usize::MAX), (43, 1_000), (usize::MAX, 3)] {
        let mut client = Client::new(here(), &[mail(&["b@host.test"], &body), Step::Quit]);
        client.piece = piece;
        let mut pair = Pair::new(client, Server::new(host()));
        pair.read = read;
        pair.run();
        assert_eq!(pair.server.events.last(), Some(&format!("message {}", body.as_bytes().escape_ascii())));
    }
}
