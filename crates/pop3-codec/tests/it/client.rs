//! The client's side.

use core::time::Duration;

use bytes::BytesMut;
use pop3_codec::client::{ClientConfig, Event, Reason, Request, Timer};
use pop3_codec::command::{Mechanism, Password, UserName};
use pop3_codec::error::ResponseError;
use pop3_codec::{ClientLimits, ClientSession};
use proptest::prelude::*;

use crate::{Caller, every_split, seconds};

/// Greeting, a refused CAPA, USER and PASS.
const LOGIN: &str = "+OK\r\n-ERR\r\n+OK\r\n+OK\r\n";
/// The same of a server with PIPELINING.
const PIPELINING: &str = "+OK\r\n+OK\r\nPIPELINING\r\nTOP\r\n.\r\n+OK\r\n+OK\r\n";

/// What is heard behind the login.
fn heard(requests: &[Request], server: &str) -> (Vec<String>, Option<Reason>) {
    let (mut log, _, closed) = Caller::new(&[requests]).hear(&format!("{LOGIN}{server}"));
    assert_eq!(log[..3], ["login", "password", "mailbox"]);
    (log.split_off(3), closed)
}

#[test]
fn lists_come_entry_by_entry() {
    let requests = [Request::List(None), Request::Uidl(None), Request::List(Some(2)), Request::Uidl(Some(2))];
    let server = "+OK\r\n1 120 and more\r\n4294967295 18446744073709551615\r\n.\r\n+OK\r\n1 !~\r\n.\r\n+OK 2 007\r\n+OK 2 x\r\n";
    let (log, _) = heard(&requests, server);
    let expected =
        ["1 120", "4294967295 18446744073709551615", "end", "1 !~", "end", "2 7", "2 x", "mailbox"];
    assert_eq!(log, expected);
    assert_eq!(heard(&[Request::List(None)], "+OK\r\n.\r\n").0, ["end", "mailbox"]);
}

#[test]
fn numbers_that_are_none_end_the_session() {
    for entry in [
        "",
        "1",
        "1 ",
        " 1 2",
        "x 2",
        "1 x",
        "0 2",
        "-1 2",
        "+1 2",
        "1 -2",
        "4294967296 1",
        "1 18446744073709551616",
        "1  2",
        "..",
        ".1 x",
        "1\t2",
    ] {
        let (log, closed) = heard(&[Request::List(None)], &format!("+OK\r\n{entry}\r\n.\r\n"));
        assert_eq!(closed, Some(Reason::Garbled(ResponseError::Number)), "{entry:?}");
        assert!(log.is_empty(), "{entry:?}: {log:?}");
    }
    for answer in
        ["+OK", "+OK ", "+OK 1", "+OK x 1", "+OK 1 x", "+OK 4294967296 1", "+OK 1 18446744073709551616"]
    {
        let (log, closed) = heard(&[Request::Stat], &format!("{answer}\r\n"));
        assert_eq!((log.len(), closed), (0, Some(Reason::Garbled(ResponseError::Number))), "{answer:?}");
    }
    let seventy_one = "x".repeat(71);
    for id in ["", " ", "\u{e9}", "\u{7f}", &seventy_one] {
        let (_, closed) = heard(&[Request::Uidl(None)], &format!("+OK\r\n1 {id}\r\n.\r\n"));
        assert_eq!(closed, Some(Reason::Garbled(ResponseError::UniqueId)), "{id:?}");
    }
}

#[test]
fn an_answer_about_another_message_ends_the_session() {
    let other = Some(Reason::Garbled(ResponseError::OtherMessage));
    assert_eq!(heard(&[Request::List(Some(2))], "+OK 1 120\r\n").1, other);
    assert_eq!(heard(&[Request::Uidl(Some(2))], "+OK 1 x\r\n").1, other);
}

#[test]
fn what_is_no_response_ends_the_session() {
    for (line, error) in [
        ("220 smtp\r\n", ResponseError::Status),
        ("* OK imap\r\n", ResponseError::Status),
        ("+OKAY\r\n", ResponseError::Status),
        ("\r\n", ResponseError::Status),
        ("+OK\n", ResponseError::BareLf),
    ] {
        let closed = Some(Reason::Garbled(error));
        assert_eq!(Caller::new(&[]).hear(line), (Vec::new(), String::new(), closed), "{line:?}");
        assert_eq!(heard(&[Request::Noop], line).1, closed, "{line:?}");
    }
}

#[test]
fn lines_are_read_up_to_the_limit() {
    for limit in [0, 512, 2048] {
        let longest = limit.max(512);
        let mut caller = Caller::new(&[]);
        caller.config = caller.config.limits(ClientLimits::default().response_line(limit));
        for (length, closed) in [
            (longest, None),
            (longest + 1, Some(Reason::Garbled(ResponseError::TooLong))),
            (longest * 3, Some(Reason::Garbled(ResponseError::TooLong))),
        ] {
            let greeting = format!("+OK {}\r\n", "x".repeat(length - "+OK \r\n".len()));
            assert_eq!(caller.hear(&greeting).2, closed, "{length} of {limit}");
        }
        // One without an end.
        let endless = "x".repeat(longest);
        assert_eq!(caller.hear(&endless).2, Some(Reason::Garbled(ResponseError::TooLong)));
    }
}

#[test]
fn capabilities_without_an_end_end_the_session() {
    let server = format!("+OK\r\n+OK\r\n{}", "X\r\n".repeat(1001));
    let (_, _, closed) = Caller::new(&[]).run(&[server.as_bytes()]);
    assert_eq!(closed, Some(Reason::Garbled(ResponseError::TooLong)));
}

#[test]
fn a_greeting_that_says_no_ends_the_session() {
    let (log, sent, closed) = Caller::new(&[]).hear("-ERR [SYS/TEMP] too many\r\n+OK\r\n");
    assert_eq!(log, ["refused Connection SysTemp too many"]);
    assert_eq!((sent.as_str(), closed), ("", Some(Reason::Refused)));
}

#[test]
fn a_refused_name_can_be_followed_by_another() {
    let (log, sent, closed) = Caller::new(&[]).hear("+OK\r\n-ERR\r\n-ERR no such name\r\n+OK\r\n");
    assert_eq!(log, ["login", "refused User Err no such name", "login"]);
    assert_eq!(sent, "CAPA\r\nUSER user\r\nQUIT\r\n");
    assert_eq!(closed, Some(Reason::Quit));
}

// Ledger: 2449-6.6-2
#[test]
fn commands_wait_for_responses_unless_the_server_announces_pipelining() {
    let requests = [Request::Stat, Request::Retr(1), Request::Noop];
    for (login, first, second) in [
        (LOGIN, "STAT\r\n", "STAT\r\nRETR 1\r\n"),
        (PIPELINING, "STAT\r\nRETR 1\r\nNOOP\r\n", "STAT\r\nRETR 1\r\nNOOP\r\n"),
    ] {
        let caller = Caller::new(&[&requests]);
        let sent = |server: &str| {
            let sent = caller.hear(&format!("{login}{server}")).1;
            sent.strip_prefix("CAPA\r\nUSER user\r\nPASS secret\r\n").expect("the login").to_owned()
        };
        assert_eq!(sent(""), first);
        assert_eq!(sent("+OK 1 3\r\n"), second);
        assert_eq!(sent("+OK 1 3\r\n+OK\r\nx\r\n."), second, "not before the message has ended");
        let all = "STAT\r\nRETR 1\r\nNOOP\r\n";
        assert_eq!(sent("+OK 1 3\r\n+OK\r\nx\r\n.\r\n"), all);
        assert_eq!(sent("+OK 1 3\r\n-ERR\r\n"), all);
        assert_eq!(sent("+OK 1 3\r\n-ERR\r\n+OK\r\n"), format!("{all}QUIT\r\n"));
    }
}

#[test]
fn the_queue_has_an_end() {
    let (mut out, mut input) = (BytesMut::new(), LOGIN.as_bytes());
    let mut caller = Caller::new(&[]);
    caller.config = caller.config.limits(ClientLimits::default().queue(3));
    let mut session = caller.session();
    while let Some(event) = session.receive(Duration::ZERO, &mut input, &mut out) {
        let Event::Mailbox(mut mailbox) = event else {
            caller.answer(event, &mut out);
            continue;
        };
        for room in (1..=3).rev() {
            assert_eq!(mailbox.room(), room);
            mailbox.noop(&mut out).expect("there is room");
        }
        assert!(mailbox.noop(&mut out).is_err());
        assert!(mailbox.retr(1, &mut out).is_err());
        // QUIT is always possible.
        mailbox.quit(&mut out);
    }
    input = b"+OK\r\n+OK\r\n+OK\r\n+OK\r\n";
    caller.ask(&mut session, Duration::ZERO, &mut input, &mut out);
    assert_eq!(caller.log.iter().filter(|entry| *entry == "done Noop").count(), 3);
    assert_eq!(session.closed(), Some(Reason::Quit));
    assert!(out.ends_with(b"NOOP\r\nNOOP\r\nNOOP\r\nQUIT\r\n"));
}

// Ledger: 2449-6.6-3
#[test]
fn a_whole_queue_is_smaller_than_a_window() {
    let (mut out, mut input) = (BytesMut::new(), PIPELINING.as_bytes());
    let mut caller = Caller::new(&[]);
    let mut session = caller.session();
    while let Some(event) = session.receive(Duration::ZERO, &mut input, &mut out) {
        let Event::Mailbox(mut mailbox) = event else {
            caller.answer(event, &mut out);
            continue;
        };
        out.clear();
        while mailbox.room() > 0 {
            mailbox.top(u32::MAX, u64::MAX, &mut out).expect("there is room");
        }
    }
    assert_eq!(out.len(), 256 * "TOP 4294967295 18446744073709551615\r\n".len());
    assert!(out.len() < 10 * 1024);
}

#[test]
fn messages_are_slices_of_the_input() {
    let server = format!("{LOGIN}+OK\r\na\r\n..b\r\nc.\r\n.\r\n");
    let (mut out, mut input) = (BytesMut::new(), server.as_bytes());
    let bounds = input.as_ptr_range();
    let (mut caller, mut chunks) = (Caller::new(&[&[Request::Retr(1)]]), Vec::new());
    let mut session = caller.session();
    while let Some(event) = session.receive(Duration::ZERO, &mut input, &mut out) {
        if let Event::Chunk(chunk) = event {
            assert!(bounds.start <= chunk.as_ptr() && chunk.as_ptr_range().end <= bounds.end);
            chunks.push(chunk.to_vec());
        }
        if !matches!(event, Event::Chunk(_)) {
            caller.answer(event, &mut out);
        }
    }
    assert_eq!(chunks, [&b"a\r\n"[..], b".b\r\nc.\r\n"]);
}

#[test]
fn only_a_dot_between_two_crlf_ends_a_message() {
    for body in ["\n.\r\n", "\r.\r\n", "\n.\n", "\r\n.\n", "\r\n.\rx", "x.\r\n", "\r\n..\r\n", "\r\n.\0\r\n"]
    {
        let (log, closed) = heard(&[Request::Retr(1)], &format!("+OK\r\n{body}+OK\r\n"));
        assert_eq!(log, ["message 1"], "{body:?}");
        assert_eq!(closed, None);
        let (log, _) = heard(&[Request::Retr(1)], &format!("+OK\r\n{body}\r\n.\r\n"));
        assert_eq!(log.last().map(String::as_str), Some("mailbox"), "{body:?}: {log:?}");
    }
}

// Ledger: 2595-2.5-1
#[test]
fn responses_behind_stls_end_the_session_at_every_split() {
    // The USENIX Security 2021 attack on STARTTLS: responses sent ahead in the clear were taken for those under TLS.
    for behind in ["\r", "+OK\r\n", "-ERR\r\n", "+OK\r\nTOP\r\n.\r\n+OK\r\n+OK\r\n+OK 1 1\r\n"] {
        let server = format!("+OK\r\n+OK\r\nSTLS\r\nPIPELINING\r\n.\r\n+OK begin\r\n{behind}");
        let wanted = server.len() - behind.len();
        every_split(server.as_bytes(), |pieces| {
            let mut caller = Caller::new(&[&[Request::Stat]]);
            caller.tls = true;
            let (mut out, mut buffer, mut fed) = (BytesMut::new(), Vec::new(), 0);
            let mut session = caller.session();
            for piece in pieces {
                buffer.extend_from_slice(piece);
                fed += piece.len();
                let mut input = &buffer[..];
                caller.ask(&mut session, Duration::ZERO, &mut input, &mut out);
                let used = buffer.len() - input.len();
                buffer.drain(..used);
                if fed == wanted && session.wants_tls() {
                    return assert!(buffer.is_empty());
                }
            }
            assert_eq!(session.closed(), Some(Reason::PlaintextBehindStls), "{pieces:?}");
            assert_eq!(caller.log, ["login"]);
            assert_eq!(out, "CAPA\r\nSTLS\r\n", "no name, no password");
        });
    }
}

// Ledger: 2595-4-3, 2595-9-1
#[test]
fn what_was_announced_before_tls_is_forgotten() {
    let mut caller = Caller::new(&[&[Request::Noop, Request::Noop]]);
    caller.config = ClientConfig::new();
    caller.tls = true;
    let (mut out, mut session) = (BytesMut::new(), caller.session());
    session.handle_tls_started(Duration::ZERO);
    assert!(!session.is_tls(), "nobody asked for it");
    let mut input = &b"+OK\r\n+OK\r\nSTLS\r\nPIPELINING\r\n.\r\n+OK\r\n"[..];
    caller.ask(&mut session, Duration::ZERO, &mut input, &mut out);
    assert!(session.wants_tls() && session.capabilities().pipelining);
    session.handle_tls_started(seconds(1));
    assert!(session.is_tls() && !session.capabilities().pipelining);
    out.clear();
    caller.ask(&mut session, seconds(1), &mut &b""[..], &mut out);
    assert_eq!(out, "CAPA\r\n", "without any input");
    let mut input = &b"-ERR\r\n+OK\r\n+OK\r\n"[..];
    caller.ask(&mut session, seconds(1), &mut input, &mut out);
    assert_eq!(out, "CAPA\r\nUSER user\r\nPASS secret\r\nNOOP\r\n", "one at a time");
}

#[test]
fn a_refused_stls_leaves_the_session_as_it_was() {
    let mut caller = Caller::new(&[]);
    caller.tls = true;
    let (log, sent, closed) = caller.hear("+OK\r\n-ERR\r\n-ERR [SYS/TEMP] no TLS\r\n+OK\r\n");
    assert_eq!(log, ["login", "refused Stls SysTemp no TLS", "login"]);
    assert_eq!((sent.as_str(), closed), ("CAPA\r\nSTLS\r\nQUIT\r\n", Some(Reason::Quit)));
}

// Ledger: 2595-2.3-1
#[test]
fn no_name_and_no_password_without_tls() {
    let mut caller = Caller::new(&[]);
    caller.config = ClientConfig::new();
    let (log, sent, closed) = caller.hear("+OK\r\n+OK\r\nUSER\r\n.\r\n+OK\r\n+OK\r\n");
    assert_eq!((log.len(), sent.as_str(), closed), (1, "CAPA\r\n", Some(Reason::TlsRequired)));
    caller.config = ClientConfig::new().implicit_tls();
    assert!(caller.hear(LOGIN).1.contains("PASS secret\r\n"));
}

#[test]
fn names_and_passwords_hold_no_line_end() {
    for text in ["a\r\nDELE 1", "a\r", "a\n", "\0"] {
        assert!(UserName::new(text).is_err());
        assert!(Password::new(text).is_err());
    }
}

#[test]
fn the_outcome_of_quit_is_told_as_far_as_it_is_known() {
    let all = [Request::Dele(1), Request::Quit];
    for (requests, server, reason) in [
        (&all[..], "+OK\r\n+OK\r\n", Reason::Quit),
        (&all, "+OK\r\n-ERR some\r\n", Reason::NotDeleted),
        (&all, "+OK\r\n", Reason::DeletionsUnknown),
        (&all, "+OK\r\n+O", Reason::DeletionsUnknown),
        (&all, "+OK\r\nhello\r\n", Reason::DeletionsUnknown),
        // QUIT has not been sent yet.
        (&all, "", Reason::Eof),
        (&all, "-ERR\r\n", Reason::Eof),
        (&all, "-ERR\r\n-ERR\r\n", Reason::Quit),
        (&[Request::Quit], "", Reason::Eof),
        (&[Request::Quit], "+OK\r\n", Reason::Quit),
        (&[Request::Dele(1), Request::Rset, Request::Quit], "+OK\r\n+OK\r\n", Reason::Eof),
        (&[Request::Dele(1), Request::Noop], "+OK\r\n", Reason::Eof),
    ] {
        for end in ["eof", "time", "close"] {
            let (mut caller, mut out) = (Caller::new(&[requests]), BytesMut::new());
            let mut session = caller.session();
            let server = format!("{LOGIN}{server}");
            caller.ask(&mut session, Duration::ZERO, &mut server.as_bytes(), &mut out);
            let told_already = session.closed().is_some();
            let expected = match (reason, end) {
                (Reason::Eof, "time") => Reason::Timeout(Timer::Response),
                (Reason::Eof, "close") => Reason::Closed,
                _ => reason,
            };
            match end {
                "eof" => session.handle_eof(),
                "time" if !told_already => {
                    session.handle_timeout(session.poll_timeout().expect("it waits"), &mut out);
                }
                "time" => {}
                _ => session.close(Duration::ZERO, &mut out),
            }
            assert_eq!(session.closed(), Some(expected), "{requests:?} answered {server:?}, then {end}");
        }
    }
    // Pipelined: both are on the wire, and neither is answered.
    let (mut caller, mut out) = (Caller::new(&[&all]), BytesMut::new());
    let mut session = caller.session();
    caller.ask(&mut session, Duration::ZERO, &mut PIPELINING.as_bytes(), &mut out);
    session.handle_eof();
    assert_eq!(session.closed(), Some(Reason::DeletionsUnknown));
}

#[test]
fn an_event_that_nobody_answers_ends_the_session_without_quit() {
    for (events, server) in [(0, "+OK\r\n-ERR\r\n"), (1, "+OK\r\n-ERR\r\n+OK\r\n"), (2, LOGIN)] {
        let (mut caller, mut out) = (Caller::new(&[]), BytesMut::new());
        let (mut session, mut input) = (caller.session(), server.as_bytes());
        for _ in 0..events {
            let event = session.receive(Duration::ZERO, &mut input, &mut out).expect("an event");
            caller.answer(event, &mut out);
        }
        assert!(session.receive(Duration::ZERO, &mut input, &mut out).is_some());
        out.clear();
        assert_eq!(session.poll_timeout(), None, "it is for us to speak");
        assert!(session.receive(Duration::ZERO, &mut input, &mut out).is_none());
        assert_eq!(session.closed(), Some(Reason::Unanswered));
        assert_eq!(out, "", "QUIT would delete what is marked");
    }
}

#[test]
fn time_outs_run_while_the_server_is_asked() {
    let (mut caller, mut out) = (Caller::new(&[&[Request::Retr(1)]]), BytesMut::new());
    let limits = ClientLimits::default().greeting(seconds(10)).response(seconds(20));
    caller.config = caller.config.limits(limits);
    let mut session = caller.session();
    assert_eq!(session.poll_timeout(), Some(seconds(10)));
    session.handle_timeout(seconds(9), &mut out);
    assert_eq!(session.closed(), None);
    let mut silent = caller.session();
    silent.handle_timeout(seconds(10), &mut out);
    assert_eq!(silent.closed(), Some(Reason::Timeout(Timer::Greeting)));
    caller.ask(&mut session, seconds(9), &mut LOGIN.as_bytes(), &mut out);
    assert_eq!(session.poll_timeout(), Some(seconds(29)));
    caller.ask(&mut session, seconds(28), &mut &b"+OK\r\nxyz"[..], &mut out);
    assert_eq!(session.poll_timeout(), Some(seconds(48)), "octets of a message are progress");
    caller.ask(&mut session, seconds(47), &mut &b"xyz"[..], &mut out);
    session.handle_timeout(seconds(67), &mut out);
    assert_eq!(session.closed(), Some(Reason::Timeout(Timer::Response)));
    assert_eq!(session.poll_timeout(), None);
    assert!(session.receive(seconds(67), &mut &b"\r\n.\r\n"[..], &mut out).is_none());
}

#[test]
fn a_time_out_that_never_comes_can_be_had() {
    let mut caller = Caller::new(&[]);
    let limits = ClientLimits::default().greeting(Duration::MAX).response(Duration::MAX);
    caller.config = caller.config.limits(limits);
    let (mut session, mut out) = (caller.session(), BytesMut::new());
    assert_eq!(session.poll_timeout(), Some(Duration::MAX));
    caller.ask(&mut session, seconds(1), &mut LOGIN.as_bytes(), &mut out);
    assert_eq!(session.poll_timeout(), Some(Duration::MAX));
}

#[test]
fn passwords_do_not_show_in_debug_output() {
    let (mut caller, mut out) = (Caller::new(&[]), BytesMut::new());
    caller.password = "hunter2";
    let mut session = caller.session();
    caller.ask(&mut session, Duration::ZERO, &mut &b"+OK\r\n-ERR\r\n+OK\r\n"[..], &mut out);
    assert!(out.ends_with(b"PASS hunter2\r\n"));
    assert!(!format!("{session:?}").contains("hunter2"), "the session keeps no copy");
}

proptest! {
    #[test]
    fn any_octets_give_the_same_at_every_split(
        input in prop::collection::vec(
            prop::sample::select(vec![
                "+OK\r\n", "+OK 1 2\r\n", "-ERR\r\n", "-ERR [AUTH] x\r\n", "1 2\r\n", ".\r\n", "..\r\n", "x", "\r", "\n",
                ".", " ", "1", "+OK", "PIPELINING\r\n",
            ]),
            0..20,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let octets = format!("{LOGIN}{}", input.concat());
        let caller = Caller::new(&[
            &[Request::Stat, Request::List(None), Request::Retr(1)],
            &[Request::Uidl(Some(1)), Request::Top(1, 0), Request::Capa, Request::Dele(1), Request::Rset],
        ]);
        let whole = caller.run(&[octets.as_bytes()]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(octets.len() + 1)).collect();
        cuts.extend([0, octets.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &octets.as_bytes()[cut[0]..cut[1]]).collect();
        prop_assert_eq!(caller.run(&pieces), whole);
    }
}

/// A client that logs in with AUTH: what it was told, what it sent, how it ended.
fn authenticate(initial: Option<&[u8]>, server: &str) -> (Vec<String>, String, Option<Reason>) {
    let run = |pieces: &[&[u8]]| {
        let (mut log, mut out, mut buffer) = (Vec::new(), BytesMut::new(), Vec::new());
        let config = ClientConfig::new().plaintext_auth().limits(ClientLimits::default().auth_line(600));
        let mut session = ClientSession::new(config, Duration::ZERO, &mut out);
        for piece in pieces {
            buffer.extend_from_slice(piece);
            let mut input = &buffer[..];
            while let Some(event) = session.receive(Duration::ZERO, &mut input, &mut out) {
                match event {
                    Event::Login(login) if log.is_empty() => {
                        log.push(format!("login {:?}", login.capabilities().sasl));
                        login.authenticate(Mechanism::parse(b"x-y").unwrap(), initial, &mut out);
                    }
                    Event::Login(login) => login.quit(&mut out),
                    Event::Challenge(challenge) => {
                        log.push(challenge.data().escape_ascii().to_string());
                        match challenge.data() {
                            b"cancel" => challenge.cancel(&mut out),
                            b"drop" => {}
                            _ => challenge.respond(b"resp", &mut out),
                        }
                    }
                    Event::Mailbox(mailbox) => {
                        log.push("mailbox".to_owned());
                        mailbox.quit(&mut out);
                    }
                    Event::Refused { request, .. } => log.push(format!("refused {request:?}")),
                    other => panic!("{other:?}"),
                }
            }
            let used = buffer.len() - input.len();
            buffer.drain(..used);
        }
        (log, String::from_utf8(out.to_vec()).expect("ASCII"), session.closed())
    };
    let mut results = Vec::new();
    every_split(server.as_bytes(), |pieces| results.push(run(pieces)));
    assert!(results.iter().all(|result| *result == results[0]), "{server:?}: {results:?}");
    results.swap_remove(0)
}

// Ledger: 5034-4-8
#[test]
fn logins_by_auth_carry_octets_both_ways() {
    let hello = "+OK\r\n+OK\r\nSASL X-Y\r\n.\r\n";
    // Y2g= is "ch", cmVzcA== is "resp".
    let (log, sent, closed) = authenticate(None, &format!("{hello}+ \r\n+ Y2g=\r\n+\r\n+OK in\r\n+OK\r\n"));
    assert_eq!(log, ["login [X-Y]", "", "ch", "", "mailbox"]);
    assert_eq!(sent, "CAPA\r\nAUTH X-Y\r\ncmVzcA==\r\ncmVzcA==\r\ncmVzcA==\r\nQUIT\r\n");
    assert_eq!(closed, Some(Reason::Quit));
    let (log, sent, _) = authenticate(Some(b"ch"), &format!("{hello}+OK in\r\n+OK\r\n"));
    assert_eq!((log.len(), &sent[..]), (2, "CAPA\r\nAUTH X-Y Y2g=\r\nQUIT\r\n"));
    let (_, sent, _) = authenticate(Some(b""), &format!("{hello}-ERR no\r\n+OK\r\n"));
    assert_eq!(sent, "CAPA\r\nAUTH X-Y =\r\nQUIT\r\n");
}

// Ledger: 5034-4-7
#[test]
fn an_initial_response_that_is_too_long_for_its_line_waits_for_an_empty_challenge() {
    // "AUTH X-Y " and CRLF are 11 octets; 244 are 183 in base64.
    let hello = "+OK\r\n+OK\r\nSASL X-Y\r\n.\r\n";
    let (log, sent, _) = authenticate(Some(&[0; 183]), &format!("{hello}+OK\r\n+OK\r\n"));
    assert_eq!(log, ["login [X-Y]", "mailbox"]);
    assert_eq!(sent.lines().map(str::len).max(), Some(253));
    let (log, sent, _) = authenticate(Some(&[0; 184]), &format!("{hello}+ \r\n+ Y2g=\r\n+OK\r\n+OK\r\n"));
    assert_eq!(log, ["login [X-Y]", "ch", "mailbox"]);
    let long = format!("CAPA\r\nAUTH X-Y\r\n{}==\r\ncmVzcA==\r\nQUIT\r\n", "A".repeat(246));
    assert_eq!(sent, long);
    // A mechanism in which the server speaks first, or a server that is not honest: what was kept is not sent later.
    let (log, sent, _) = authenticate(Some(&[0; 184]), &format!("{hello}+ Y2g=\r\n+ \r\n-ERR\r\n+OK\r\n"));
    assert_eq!(log, ["login [X-Y]", "ch", "", "refused Auth"]);
    assert!(!sent.contains("AAAA"), "{sent}");
}

#[test]
fn a_login_by_auth_is_refused_cancelled_and_dropped() {
    let hello = "+OK\r\n-ERR\r\n";
    // Y2FuY2Vs is "cancel", ZHJvcA== is "drop".
    let (log, sent, closed) = authenticate(None, &format!("{hello}+ Y2FuY2Vs\r\n-ERR\r\n+OK\r\n"));
    assert_eq!(log, ["login []", "cancel", "refused Auth"]);
    assert_eq!((&sent[..], closed), ("CAPA\r\nAUTH X-Y\r\n*\r\nQUIT\r\n", Some(Reason::Quit)));
    let (_, sent, closed) = authenticate(None, &format!("{hello}+ ZHJvcA==\r\n"));
    assert_eq!((&sent[..], closed), ("CAPA\r\nAUTH X-Y\r\n", Some(Reason::Unanswered)));
    for (line, error) in [("+Y2g=", ResponseError::Status), ("* OK", ResponseError::Status)] {
        let (_, _, closed) = authenticate(None, &format!("{hello}{line}\r\n"));
        assert_eq!(closed, Some(Reason::Garbled(error)), "{line}");
    }
    let challenge = |length: usize| format!("{hello}+ {}\r\n", "A".repeat(length));
    assert_eq!(authenticate(None, &challenge(596)).2, None);
    assert_eq!(authenticate(None, &challenge(600)).2, Some(Reason::Garbled(ResponseError::TooLong)));
    // Only AUTH has challenges.
    assert_eq!(heard(&[Request::Noop], "+ \r\n").1, Some(Reason::Garbled(ResponseError::Status)));
}

#[test]
fn no_login_by_auth_goes_out_without_tls() {
    let mut out = BytesMut::new();
    let mut session = ClientSession::new(ClientConfig::new(), Duration::ZERO, &mut out);
    let mut input = &b"+OK\r\n-ERR\r\n"[..];
    let Some(Event::Login(login)) = session.receive(Duration::ZERO, &mut input, &mut out) else {
        panic!("a login is wanted");
    };
    login.authenticate(Mechanism::parse(b"PLAIN").unwrap(), Some(b"\0ann\0secret"), &mut out);
    assert_eq!((&out[..], session.closed()), (&b"CAPA\r\n"[..], Some(Reason::TlsRequired)));
}

// Ledger: 5034-3-1
#[test]
fn a_server_that_announces_no_auth_gets_no_initial_response() {
    for hello in ["+OK\r\n-ERR\r\n", "+OK\r\n+OK\r\nTOP\r\n.\r\n"] {
        let (log, sent, _) = authenticate(Some(b"ch"), &format!("{hello}+ \r\n+OK\r\n+OK\r\n"));
        assert_eq!(log, ["login []", "mailbox"]);
        assert_eq!(sent, "CAPA\r\nAUTH X-Y\r\nY2g=\r\nQUIT\r\n");
        let (_, sent, _) = authenticate(Some(b""), &format!("{hello}+ \r\n+OK\r\n+OK\r\n"));
        assert_eq!(sent, "CAPA\r\nAUTH X-Y\r\n\r\nQUIT\r\n");
    }
}

// Ledger: 5034-4-11, 5034-4-12
#[test]
fn a_challenge_that_is_no_base64_cancels_the_login() {
    for challenge in ["!", "Y2g", "=AAA", "AAA=BBB", "Y2g= ", "Y2\u{e9}", "Y 2g", "*", "Y2h=", "===="] {
        let server = format!("+OK\r\n-ERR\r\n+ {challenge}\r\n-ERR cancelled\r\n+OK\r\n");
        let (log, sent, closed) = authenticate(Some(b"never sent"), &server);
        assert_eq!(log, ["login []", "refused Auth"], "{challenge:?}");
        assert_eq!(sent, "CAPA\r\nAUTH X-Y\r\n*\r\nQUIT\r\n");
        assert_eq!(closed, Some(Reason::Quit));
    }
}

#[test]
fn a_login_that_was_given_up_cannot_be_accepted() {
    // Y2FuY2Vs is "cancel".
    for challenge in ["!", "Y2FuY2Vs"] {
        let server = format!("+OK\r\n-ERR\r\n+ {challenge}\r\n+OK welcome\r\n");
        let closed = authenticate(None, &server).2;
        assert_eq!(closed, Some(Reason::Garbled(ResponseError::GivenUp)), "{challenge:?}");
        // Refused, it is over.
        let server = format!("+OK\r\n-ERR\r\n+ {challenge}\r\n-ERR\r\n+OK\r\n");
        assert_eq!(authenticate(None, &server).2, Some(Reason::Quit));
    }
}

// Ledger: 2449-6.9-1, 2449-7-1
#[test]
fn nothing_depends_on_what_the_server_is_called_or_on_extensions_that_it_lacks() {
    let all = [
        Request::Stat,
        Request::List(None),
        Request::Retr(1),
        Request::Dele(1),
        Request::Rset,
        Request::Noop,
    ];
    let answers = "+OK 1 3\r\n+OK\r\n1 3\r\n.\r\n+OK\r\nx\r\n.\r\n+OK\r\n+OK\r\n+OK\r\n+OK\r\n";
    let plain = Caller::new(&[&all]).hear(&format!("{LOGIN}{answers}"));
    assert_eq!(plain.2, Some(Reason::Quit), "{plain:?}");
    for name in ["Dovecot", "qpopper", "Shlemazle-Plotz-v302"] {
        let login = format!("+OK\r\n+OK\r\nIMPLEMENTATION {name}\r\n.\r\n+OK\r\n+OK\r\n");
        assert_eq!(Caller::new(&[&all]).hear(&format!("{login}{answers}")), plain, "{name}");
    }
}
