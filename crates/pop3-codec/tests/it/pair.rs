//! Client and server, joined under a clock that the test moves.

use pop3_codec::client::{ClientConfig, Reason, Request, Timer};
use pop3_codec::command::Mechanism;
use pop3_codec::server::{self, ServerConfig};

use crate::{Answer, Caller, Host, Pair, seconds};

/// Messages that are hard to send.
fn messages() -> Vec<Vec<u8>> {
    let every_octet: Vec<u8> = (0..=255).filter(|octet| !b"\r\n".contains(octet)).collect();
    vec![
        b".\r\n".to_vec(),
        b"a: 1\r\n\r\n.\r\n..\r\n...\r\n.x\r\n\r\n.\r\n".to_vec(),
        b"\r\n\r\n\r\n".to_vec(),
        [&every_octet[..], b"\r\n"].concat(),
        [&b"x".repeat(70_000)[..], b"\r\n"].concat(),
        b".\r\n".repeat(5000),
        b"bare\n.\r\ncr\r.\r\n".to_vec(),
    ]
}

fn fetch_all(count: u32) -> Vec<Request> {
    (1..=count).map(Request::Retr).chain((1..=count).map(Request::Dele)).collect()
}

#[test]
fn messages_come_through_octet_for_octet() {
    for (write, step) in [(usize::MAX, usize::MAX), (1, 4096), (7, 3), (4096, 1), (1000, 999)] {
        let (mut host, messages) = (Host::new(&[]), messages());
        host.messages.0 = messages.clone();
        host.piece = write;
        let requests = fetch_all(messages.len() as u32);
        let mut pair = Pair::new(host, Caller::new(&[&requests]), step);
        pair.run();
        assert_eq!(pair.caller.messages, messages, "written by {write}, moved by {step}");
        assert_eq!(pair.client.closed(), Some(Reason::Quit));
        assert_eq!(pair.server.closed(), Some(server::Reason::Quit));
        assert_eq!(pair.host.log.last().map(String::as_str), Some("update [0, 1, 2, 3, 4, 5, 6]"));
    }
}

#[test]
fn the_same_under_tls() {
    for step in [1, 2, 5, 17, usize::MAX] {
        let host = Host::new(&["x\r\n"]).config(ServerConfig::new().stls());
        let mut caller =
            Caller::new(&[&[Request::Stat, Request::Capa], &[Request::Top(1, 0), Request::Uidl(None)]]);
        caller.config = ClientConfig::new();
        caller.tls = true;
        let mut pair = Pair::new(host, caller, step);
        pair.run();
        let expected = [
            "login",
            "login",
            "password",
            "mailbox",
            "stat 1 3",
            "capabilities, pipelining true",
            "mailbox",
            "message 1",
            "\"x\\r\\n\"",
            "1 id1",
            "end",
            "mailbox",
        ];
        assert_eq!(pair.caller.log, expected, "in steps of {step}");
        assert_eq!(pair.client.closed(), Some(Reason::Quit));
        assert!(pair.client.is_tls() && pair.server.is_tls());
    }
}

#[test]
fn both_sides_agree_on_what_became_of_the_deletions() {
    for (update, forget, client, server) in [
        (Answer::Accept, "", Reason::Quit, server::Reason::Quit),
        (Answer::Reject, "", Reason::NotDeleted, server::Reason::NotDeleted),
        (Answer::Accept, "update", Reason::NotDeleted, server::Reason::NotDeleted),
    ] {
        let mut host = Host::new(&["x\r\n", "y\r\n"]);
        host.update = update;
        host.forget = forget;
        let mut pair = Pair::new(host, Caller::new(&[&[Request::Dele(2)]]), usize::MAX);
        pair.run();
        assert_eq!((pair.client.closed(), pair.server.closed()), (Some(client), Some(server)));
    }
}

#[test]
fn a_connection_that_breaks_deletes_nothing_and_the_client_says_so() {
    // Cut behind every octet that the client sends: unless QUIT was whole, nothing may be deleted.
    let run = |limit: usize| {
        let requests = [Request::Dele(1), Request::Dele(2), Request::Quit];
        let mut pair = Pair::new(Host::new(&["x\r\n", "y\r\n"]), Caller::new(&[&requests]), 1);
        while pair.sent_by_client.len() < limit && pair.turn() {}
        let sent = pair.sent_by_client.len();
        pair.server.handle_eof();
        pair.client.handle_eof();
        (sent, pair)
    };
    let (whole, _) = run(usize::MAX);
    for limit in 0..=whole {
        let (sent, pair) = run(limit);
        let updated = pair.host.log.iter().any(|entry| entry.starts_with("update"));
        assert_eq!(updated, sent == whole, "cut behind {sent} of {whole} octets");
        if updated {
            assert_eq!(pair.server.closed(), Some(server::Reason::Quit));
            assert_eq!(pair.client.closed(), Some(Reason::DeletionsUnknown), "the answer was lost");
        } else {
            assert_eq!(pair.server.closed(), Some(server::Reason::Eof));
            assert!(
                matches!(pair.client.closed(), Some(Reason::Eof | Reason::DeletionsUnknown)),
                "cut behind {sent}: {:?}",
                pair.client.closed()
            );
        }
    }
}

#[test]
fn a_wrong_password_is_told_with_its_code() {
    let mut caller = Caller::new(&[]);
    caller.password = "wrong";
    let mut pair = Pair::new(Host::new(&[]), caller, usize::MAX);
    pair.run();
    assert_eq!(pair.caller.log, ["login", "password", "refused Pass Auth wrong name or password", "login"]);
    assert_eq!(pair.client.closed(), Some(Reason::Quit));
}

#[test]
fn logins_by_auth_with_and_without_an_initial_response() {
    for step in [1, 7, usize::MAX] {
        let plain = [Mechanism::parse(b"PLAIN").expect("a name")];
        for (initial, password, log) in [
            (true, "secret", "login mailbox"),
            (false, "secret", "login challenge mailbox"),
            (true, "wrong", "login refused login"),
            (false, "wrong", "login challenge refused login"),
        ] {
            let mut caller = Caller::new(&[]);
            caller.password = password;
            caller.auth = Some(initial);
            let host = Host::new(&[]).config(ServerConfig::new().plaintext_auth().mechanisms(&plain));
            let mut pair = Pair::new(host, caller, step);
            pair.run();
            let words = pair.caller.log.iter().filter_map(|entry| entry.split(' ').next());
            assert_eq!(words.collect::<Vec<_>>().join(" "), log, "{initial} {password} in steps of {step}");
            assert_eq!(pair.client.closed(), Some(Reason::Quit));
        }
    }
}

#[test]
fn a_silent_client_is_closed_and_told_nothing() {
    let caller = Caller::new(&[]);
    let mut pair = Pair::new(Host::new(&["x\r\n"]), caller, usize::MAX);
    pair.sleep();
    assert_eq!(pair.now, seconds(300), "the greeting is on its way, and does not arrive");
    assert_eq!(pair.client.closed(), Some(Reason::Timeout(Timer::Greeting)));
    let before = pair.to_client.len();
    pair.sleep();
    assert_eq!(pair.now, seconds(600));
    assert_eq!(pair.server.closed(), Some(server::Reason::IdleTimeout));
    assert_eq!(pair.to_client.len(), before, "RFC 1939 §3: without a response");
}

#[test]
fn a_list_of_100_000_messages_comes_through() {
    let mut host = Host::new(&[]);
    host.messages.0 = vec![b"x\r\n".to_vec(); 100_000];
    let mut pair = Pair::new(host, Caller::new(&[&[Request::List(None), Request::Uidl(None)]]), 16 * 1024);
    pair.run();
    assert_eq!(pair.caller.log.len(), 200_000 + 2 + 4);
    assert_eq!(pair.client.closed(), Some(Reason::Quit));
}
