//! The server's side.

use core::time::Duration;

use bytes::BytesMut;
use pop3_codec::command::{Command, Mechanism, Password, UserName};
use pop3_codec::data::{DataDecoder, DataEncoder, Decoded};
use pop3_codec::server::{Event, Reason, ServerConfig, ServerSession};
use pop3_codec::{Limits, Maildrop, UniqueId};
use proptest::prelude::*;

use crate::{Answer, Host, every_split, seconds};

const GREETING: &str = "+OK POP3 ready\r\n";
const LOGIN: &str = "USER user\r\nPASS secret\r\n";

/// Three messages of 7, 13 and 19 octets.
fn host() -> Host {
    Host::new(&["a: 1\r\n\r", "a: 1\r\n\r\n.b\r\nc", "a: 1\r\n\r\n..b\r\nc\r\n.\r\n"])
}

/// What is said behind the login.
fn said(host: &Host, commands: &str) -> String {
    let answer = host.talk(&format!("{LOGIN}{commands}"));
    let opened = answer.find(" octets\r\n").expect("the login is answered");
    answer[opened + " octets\r\n".len()..].to_owned()
}

// Ledger: 1939-3-3
#[test]
fn every_command_has_its_answer_in_every_state() {
    const COMMANDS: [&str; 13] = [
        "USER user",
        "PASS secret",
        "STAT",
        "LIST",
        "UIDL",
        "RETR 1",
        "TOP 1 0",
        "DELE 1",
        "NOOP",
        "RSET",
        "QUIT",
        "CAPA",
        "STLS",
    ];
    // What is let through: a plus sign. Columns are those of COMMANDS.
    for (before, allowed) in [
        ("", "+-------- -++".replace(' ', "-")),
        ("USER user\r\n", "++---------++".replace(' ', "-")),
        (LOGIN, "--+++++++++ +-".replace(' ', "")),
    ] {
        for (column, command) in COMMANDS.into_iter().enumerate() {
            let host = host().config(ServerConfig::new().plaintext_auth().stls());
            let answered = host.talk(before).len();
            let answer = host.talk(&format!("{before}{command}\r\n"))[answered..].to_owned();
            let expected =
                if allowed.as_bytes()[column] == b'+' || command == "QUIT" { "+OK" } else { "-ERR" };
            assert!(answer.starts_with(expected), "{command:?} behind {before:?}: {answer:?}");
        }
    }
    assert_eq!(said(&host(), "QUIT\r\nNOOP\r\nSTAT\r\n"), "+OK goodbye\r\n", "nothing is read behind QUIT");
}

/// Offers AUTH.
fn asking() -> Host {
    let mechanisms = [&b"PLAIN"[..], b"X-ASK"].map(|name| Mechanism::parse(name).unwrap());
    host().config(ServerConfig::new().plaintext_auth().mechanisms(&mechanisms))
}

#[test]
fn a_login_of_which_nobody_decides_has_failed() {
    let mut host = asking();
    host.forget = "auth";
    let answer = host.talk("AUTH PLAIN AHVzZXIAc2VjcmV0\r\nSTAT\r\n");
    assert!(answer.ends_with("-ERR [SYS/TEMP] local error, try again later\r\n-ERR not now\r\n"), "{answer}");
    host.forget = "response";
    let answer = host.talk("AUTH PLAIN\r\nAHVzZXIAc2VjcmV0\r\nSTAT\r\n");
    assert!(answer.ends_with("-ERR [SYS/TEMP] local error, try again later\r\n-ERR not now\r\n"), "{answer}");
}

// Ledger: 1939-3-2
#[test]
fn without_mechanisms_there_is_no_auth() {
    let answer = host().talk("AUTH PLAIN AHVzZXIAc2VjcmV0\r\nCAPA\r\n");
    assert!(answer.contains("-ERR unknown command\r\n") && !answer.contains("SASL"), "{answer}");
}

// Ledger: 2449-4-2, 5034-4-13
#[test]
fn a_response_may_be_long_but_not_too_long() {
    // A whole line of 12,288 octets, and one with four more.
    for (length, expected) in [(12_284, "-ERR [AUTH] "), (12_288, "-ERR line too long\r\n")] {
        let mut host = asking();
        host.line = 12_288;
        let answer = host.talk(&format!("AUTH PLAIN\r\n{}\r\nQUIT\r\n", "A".repeat(length)));
        let behind = answer.split_once("+ \r\n").expect("a challenge").1;
        assert!(behind.starts_with(expected) && behind.ends_with("+OK goodbye\r\n"), "{behind}");
    }
    // The command itself is as long as any.
    let answer = asking().talk(&format!("AUTH PLAIN {}\r\n", "A".repeat(512)));
    assert!(answer.ends_with("-ERR line too long\r\n"), "{answer}");
}

#[test]
fn what_is_said_within_auth_is_no_command() {
    let host = asking();
    let answer = host.talk("AUTH PLAIN\r\nQUIT\r\nNOOP\r\nAUTH X-ASK\r\nA\nCAPA\r\n");
    assert!(answer.contains("+ \r\n-ERR [AUTH] "), "four letters are base64: {answer}");
    assert!(
        answer.contains("-ERR not now\r\n+ d2hvPw==\r\n-ERR a line ends in CR LF\r\n+OK capa"),
        "{answer}"
    );
    let (mut host, mut out) = (asking(), BytesMut::new());
    let mut session = host.session(&mut out);
    host.serve(&mut session, Duration::ZERO, &mut &b"AUTH X-ASK\r\n*\r\n"[..], &mut out);
    assert_eq!(host.log, ["auth X-ASK None", "cancelled"]);
}

#[test]
fn failed_logins_are_mistakes() {
    let limits = Limits::default().errors(2);
    let mechanisms = [Mechanism::parse(b"PLAIN").unwrap()];
    let host = host().config(ServerConfig::new().plaintext_auth().mechanisms(&mechanisms).limits(limits));
    let answer = host.talk(&"AUTH PLAIN AAAA\r\n".repeat(5));
    assert_eq!(answer.matches("[AUTH]").count(), 2, "{answer}");
    assert!(answer.ends_with("-ERR too many errors\r\n"), "{answer}");
}

#[test]
fn secrets_of_auth_are_not_shown() {
    let mut out = BytesMut::new();
    let mut session = asking().session(&mut out);
    let mut input = &b"AUTH PLAIN AHVzZXIAc2VjcmV0\r\n"[..];
    let event = format!("{:?}", session.receive(Duration::ZERO, &mut input, &mut out).unwrap());
    assert_eq!(event, "Auth(Auth { mechanism: PLAIN, .. })");
    assert!(!format!("{session:?}").contains("115, 101, 99"), "not as numbers either");
    assert_eq!(
        format!("{:?}", Command::parse(b"AUTH PLAIN AHVzZXIAc2VjcmV0").unwrap()),
        "Auth { mechanism: PLAIN, initial: Some(InitialResponse(..)) }"
    );
}

#[test]
fn keywords_have_no_case_and_numbers_may_have_zeros() {
    assert_eq!(said(&host(), "lIsT 00000000000000002 \r\n"), "+OK 2 13\r\n");
}

// Ledger: 1939-3-2
#[test]
fn numbers_out_of_range_are_refused_without_overflow() {
    for number in
        ["0", "00", "4", "4294967295", "4294967296", "18446744073709551616", "-1", "+1", "0x1", "1.0"]
    {
        for command in ["LIST", "UIDL", "RETR", "DELE"] {
            let answer = said(&host(), &format!("{command} {number}\r\n"));
            assert!(answer.starts_with("-ERR") && answer.ends_with("\r\n"), "{command} {number}: {answer:?}");
        }
        assert!(said(&host(), &format!("TOP {number} 0\r\n")).starts_with("-ERR"), "TOP {number}");
    }
    for lines in ["18446744073709551616", "-1", "x", ""] {
        assert!(said(&host(), &format!("TOP 1 {lines}\r\n")).starts_with("-ERR"), "{lines}");
    }
    assert!(said(&host(), "TOP 3 18446744073709551615\r\n").ends_with("..\r\n.\r\n"));
}

#[test]
fn sizes_that_overflow_their_sum_do_not_end_the_process() {
    struct Huge;
    impl Maildrop for Huge {
        fn len(&self) -> usize {
            3
        }
        fn size(&self, _: usize) -> u64 {
            u64::MAX
        }
        fn unique_id(&self, _: usize) -> UniqueId {
            UniqueId::new("x").expect("visible ASCII")
        }
    }
    let (mut out, config) = (BytesMut::new(), ServerConfig::new().plaintext_auth());
    let mut session = ServerSession::new(config, Duration::ZERO, &mut out);
    let mut input = &b"USER a\r\nPASS b\r\nDELE 1\r\nDELE 2\r\nDELE 3\r\nSTAT\r\nRSET\r\nSTAT\r\n"[..];
    while let Some(event) = session.receive(Duration::ZERO, &mut input, &mut out) {
        match event {
            Event::Login(login) => login.accept(Huge, &mut out),
            other => panic!("not asked for: {}", matches!(other, Event::Continue)),
        }
    }
    let out = String::from_utf8_lossy(&out);
    assert!(out.ends_with("+OK 0 0\r\n+OK\r\n+OK 3 18446744073709551615\r\n"), "{out:?}");
}

#[test]
fn a_marked_message_is_not_there() {
    let answer = said(
        &host(),
        "DELE 2\r\nDELE 2\r\nRETR 2\r\nTOP 2 1\r\nLIST 2\r\nUIDL 2\r\nSTAT\r\nLIST\r\nUIDL\r\n",
    );
    let gone = "-ERR no such message\r\n";
    let expected = format!(
        "+OK\r\n{gone}{gone}{gone}{gone}{gone}+OK 2 26\r\n\
         +OK list follows\r\n1 7\r\n3 19\r\n.\r\n+OK list follows\r\n1 id1\r\n3 id3\r\n.\r\n"
    );
    assert_eq!(answer, expected);
}

#[test]
fn rset_takes_all_marks_back() {
    let host = host();
    let commands =
        format!("{LOGIN}DELE 1\r\nDELE 3\r\nRSET\r\nSTAT\r\nDELE 1\r\nDELE 2\r\nDELE 3\r\nSTAT\r\nQUIT\r\n");
    let (log, out, closed) = host.run(&[commands.as_bytes()]);
    assert!(out.contains("+OK 3 39\r\n") && out.contains("+OK 0 0\r\n"), "{out:?}");
    assert_eq!(log.last().map(String::as_str), Some("update [0, 1, 2]"));
    assert_eq!(closed, Some(Reason::Quit));
    let (log, ..) = host.run(&[format!("{LOGIN}DELE 1\r\nRSET\r\nQUIT\r\n").as_bytes()]);
    assert_eq!(log.len(), 1, "without marks there is nothing to update: {log:?}");
}

#[test]
fn marks_are_right_at_the_borders_of_words() {
    for count in [0, 1, 63, 64, 65, 127, 128, 129, 200] {
        let mut host = host();
        host.config = host.config.limits(Limits::default().errors(1000));
        host.messages.0 = vec![b"x\r\n".to_vec(); count];
        let all: String = (1..=count).map(|number| format!("DELE {number}\r\n")).collect();
        let commands = format!("{LOGIN}{all}DELE {}\r\nLIST\r\nSTAT\r\nQUIT\r\n", count + 1);
        let (log, out, _) = host.run(&[commands.as_bytes()]);
        assert!(
            out.contains("-ERR no such message\r\n+OK list follows\r\n.\r\n+OK 0 0\r\n"),
            "{count} messages: {out:?}"
        );
        let indices: Vec<usize> = (0..count).collect();
        let update = format!("update {indices:?}");
        assert_eq!(log.get(1), (count > 0).then_some(&update), "{count} messages");
        // All but the last one.
        let some: String = (1..count).map(|number| format!("DELE {number}\r\n")).collect();
        let (_, out, _) = host.run(&[format!("{LOGIN}{some}LIST\r\n").as_bytes()]);
        let last = if count == 0 { String::new() } else { format!("{count} 3\r\n") };
        assert!(out.ends_with(&format!("+OK list follows\r\n{last}.\r\n")), "{count} messages: {out:?}");
    }
}

#[test]
fn quit_says_yes_only_when_the_caller_has_deleted() {
    for (update, forget, answer, reason) in [
        (Answer::Accept, "", "+OK goodbye\r\n", Reason::Quit),
        (Answer::Reject, "", "-ERR [SYS/TEMP] some messages were not removed\r\n", Reason::NotDeleted),
        (Answer::Accept, "update", "-ERR [SYS/TEMP] some messages were not removed\r\n", Reason::NotDeleted),
    ] {
        let mut host = host();
        host.update = update;
        host.forget = forget;
        assert_eq!(said(&host, "DELE 2\r\nQUIT\r\nNOOP\r\n"), format!("+OK\r\n{answer}"));
        let (log, _, closed) = host.run(&[format!("{LOGIN}DELE 2\r\nQUIT\r\n").as_bytes()]);
        assert_eq!(log.last().map(String::as_str), Some("update [1]"));
        assert_eq!(closed, Some(reason));
    }
}

// Ledger: 1939-3-4, 1939-6-1
#[test]
fn neither_the_end_of_input_nor_time_deletes_anything() {
    for end in ["eof", "time", "close"] {
        let (mut host, mut out) = (host(), BytesMut::new());
        let mut session = host.session(&mut out);
        let commands = format!("{LOGIN}DELE 1\r\nDELE 2\r\nQUI");
        let mut input = commands.as_bytes();
        host.serve(&mut session, Duration::ZERO, &mut input, &mut out);
        out.clear();
        let reason = match end {
            "eof" => {
                session.handle_eof();
                Reason::Eof
            }
            "time" => {
                let deadline = session.poll_timeout().expect("a session has a deadline");
                assert_eq!(deadline, seconds(600));
                session.handle_timeout(deadline - Duration::from_nanos(1), &mut out);
                assert_eq!(session.closed(), None);
                session.handle_timeout(deadline, &mut out);
                Reason::IdleTimeout
            }
            _ => {
                session.close(Duration::ZERO, &mut out);
                Reason::Closed
            }
        };
        assert_eq!(session.closed(), Some(reason));
        let mut rest = &b"QUIT\r\n"[..];
        host.serve(&mut session, seconds(700), &mut rest, &mut out);
        session.handle_timeout(seconds(9000), &mut out);
        session.handle_eof();
        session.close(seconds(9000), &mut out);
        assert_eq!(session.closed(), Some(reason), "a reason is final");
        assert_eq!(session.poll_timeout(), None);
        assert_eq!(host.log.len(), 1, "no update: {:?}", host.log);
        let said = String::from_utf8_lossy(&out);
        assert_eq!(said, if end == "close" { "-ERR [SYS/TEMP] stopping, come back later\r\n" } else { "" });
    }
}

#[test]
fn only_a_whole_line_moves_the_deadline() {
    let (mut host, mut out) = (host(), BytesMut::new());
    let mut session = host.session(&mut out);
    host.serve(&mut session, seconds(500), &mut &b"NOO"[..], &mut out);
    assert_eq!(session.poll_timeout(), Some(seconds(600)));
    host.serve(&mut session, seconds(590), &mut &b"NOOP\r\n"[..], &mut out);
    assert_eq!(session.poll_timeout(), Some(seconds(1190)));
}

#[test]
fn a_time_out_that_never_comes_can_be_had() {
    let mut out = BytesMut::new();
    let limits = Limits::default().idle_timeout(Duration::MAX);
    let config = ServerConfig::new().plaintext_auth().limits(limits);
    let mut host = host().config(config);
    let mut session = ServerSession::new(host.config.clone(), seconds(5), &mut out);
    host.serve(&mut session, seconds(7), &mut LOGIN.as_bytes(), &mut out);
    assert_eq!(session.poll_timeout(), Some(Duration::MAX));
}

#[test]
fn what_nobody_answers_is_refused() {
    for (forget, commands, expected) in [
        (
            "login",
            "USER user\r\nPASS secret\r\nSTAT\r\n",
            "+OK send PASS\r\n-ERR [SYS/TEMP] local error, try again later\r\n-ERR not now\r\n",
        ),
        ("stls", "STLS\r\nCAPX\r\n", "-ERR [SYS/TEMP] TLS is not available now\r\n-ERR unknown command\r\n"),
        (
            "no stls",
            "STLS\r\nCAPX\r\n",
            "-ERR [SYS/TEMP] TLS is not available now\r\n-ERR unknown command\r\n",
        ),
    ] {
        let mut host = host().config(ServerConfig::new().plaintext_auth().stls());
        host.forget = forget;
        assert_eq!(host.talk(commands), format!("{GREETING}{expected}"));
    }
    let mut host = host();
    host.forget = "retrieve";
    assert_eq!(said(&host, "RETR 1\r\nNOOP\r\n"), "-ERR [SYS/TEMP] local error, try again later\r\n+OK\r\n");
    let mut host = self::host();
    host.messages.0[0].clear();
    assert_eq!(said(&host, "RETR 1\r\nNOOP\r\n"), "-ERR [SYS/TEMP] local error, try again later\r\n+OK\r\n");
}

#[test]
fn a_name_is_forgotten_with_its_login() {
    // A login that nobody answered once left the name behind: PASS could be tried again without USER.
    for forget in ["login", ""] {
        let mut host = host();
        host.forget = forget;
        let answer = host.talk("USER user\r\nPASS wrong\r\nPASS secret\r\n");
        assert!(answer.ends_with("-ERR not now\r\n"), "{answer:?}");
    }
    let (log, ..) = host().run(&[b"USER other\r\nUSER user\r\nPASS secret\r\n"]);
    assert_eq!(log, [r#"login "user" "secret""#], "the last name counts");
}

#[test]
fn spaces_belong_to_a_password_but_not_to_a_name() {
    let (log, ..) = host().run(&[b"USER  user \r\nPASS  two words \r\n"]);
    assert_eq!(log, [r#"login "user" " two words ""#]);
}

#[test]
fn a_message_that_is_cut_short_ends_the_session() {
    let mut host = host();
    host.forget = "message";
    host.piece = 3;
    let (log, out, closed) = host.run(&[format!("{LOGIN}DELE 1\r\nRETR 2\r\nNOOP\r\nQUIT\r\n").as_bytes()]);
    assert!(out.ends_with("+OK message follows\r\na: "), "neither an end nor a status line: {out:?}");
    assert_eq!(closed, Some(Reason::MessageCutShort));
    assert_eq!(log.len(), 2, "{log:?}");
    // The same when the caller closes the session instead of going on.
    let (mut host, mut out) = (host.clone(), BytesMut::new());
    let mut session = host.session(&mut out);
    let commands = format!("{LOGIN}RETR 2\r\n");
    let mut input = commands.as_bytes();
    for _ in 0..2 {
        let event = session.receive(Duration::ZERO, &mut input, &mut out).expect("two events");
        host.answer(event, &mut out);
    }
    session.close(Duration::ZERO, &mut out);
    assert!(out.ends_with(b"\r\na: "), "a status line would be taken for a part of the message");
    assert_eq!(session.closed(), Some(Reason::Closed));
}

#[test]
fn top_gives_so_many_lines_in_pieces_of_any_length() {
    let text = "a: 1\r\nb: 2\r\n\r\n.one\r\n\r\nthree\r\n";
    let header = "+OK message follows\r\na: 1\r\nb: 2\r\n\r\n";
    for piece in 1..=text.len() {
        let mut host = Host::new(&[text]);
        host.piece = piece;
        for (lines, body) in [
            ("0", ""),
            ("1", "..one\r\n"),
            ("2", "..one\r\n\r\n"),
            ("3", "..one\r\n\r\nthree\r\n"),
            ("4", "..one\r\n\r\nthree\r\n"),
            ("18446744073709551615", "..one\r\n\r\nthree\r\n"),
        ] {
            let (_, out, _) = host.run(&[format!("{LOGIN}TOP 1 {lines}\r\nNOOP\r\n").as_bytes()]);
            let expected = format!("{header}{body}.\r\n+OK\r\n");
            assert!(out.ends_with(&expected), "{lines} lines in pieces of {piece}: {out:?}");
        }
    }
}

#[test]
fn the_next_command_is_not_surfaced_before_the_message_is_finished() {
    let (mut host, mut out) = (host(), BytesMut::new());
    let mut session = host.session(&mut out);
    let commands = format!("{LOGIN}RETR 1\r\nRETR 2\r\nNOOP\r\n");
    let mut input = commands.as_bytes();
    let login = session.receive(Duration::ZERO, &mut input, &mut out).expect("a login");
    host.answer(login, &mut out);
    for index in 0..2 {
        let Some(Event::Retrieve(retrieve)) = session.receive(Duration::ZERO, &mut input, &mut out) else {
            panic!("no RETR")
        };
        assert_eq!(retrieve.index(), index);
        out.clear();
        let mut message = retrieve.accept(&mut out);
        message.write(b"x\r\n", &mut out);
        message.write(b"y\r\n", &mut out);
        message.finish(&mut out);
        assert_eq!(out, "+OK message follows\r\nx\r\ny\r\n.\r\n", "nothing of the next command");
    }
    assert!(session.receive(Duration::ZERO, &mut input, &mut out).is_none());
    assert!(out.ends_with(b"\r\n.\r\n+OK\r\n"));
}

#[test]
fn a_list_of_100_000_messages_is_written_in_bounded_pieces() {
    struct Many;
    impl Maildrop for Many {
        fn len(&self) -> usize {
            100_000
        }
        fn size(&self, index: usize) -> u64 {
            index as u64
        }
        fn unique_id(&self, index: usize) -> UniqueId {
            UniqueId::new(&format!("{index:070}")).expect("70 digits")
        }
    }
    let (mut out, config) = (BytesMut::new(), ServerConfig::new().plaintext_auth());
    let mut session = ServerSession::new(config, Duration::ZERO, &mut out);
    let mut input = &b"USER a\r\nPASS b\r\nLIST\r\nUIDL\r\nSTAT\r\n"[..];
    let (mut all, mut now) = (Vec::new(), Duration::ZERO);
    while let Some(event) = session.receive(now, &mut input, &mut out) {
        if let Event::Login(login) = event {
            login.accept(Many, &mut out);
        }
        assert!(out.len() <= 17 * 1024, "{} octets in one piece", out.len());
        // A driver that flushes, to a client that reads slowly.
        all.extend_from_slice(&out.split());
        now += seconds(599);
    }
    assert!(session.closed().is_none() && out.len() <= 17 * 1024);
    all.extend_from_slice(&out);
    let all = String::from_utf8(all).expect("ASCII");
    let entries = all.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit())).count();
    assert_eq!(entries, 200_000);
    assert!(all.contains("100000 99999\r\n.\r\n+OK list follows\r\n1 0000"));
    assert!(all.ends_with(".\r\n+OK 100000 4999950000\r\n"));
    assert!(session.poll_timeout() > Some(now), "a long list is no silence");
}

#[test]
fn a_million_pipelined_commands_do_not_pile_up_in_out() {
    // Commands that the session answers by itself once came back from one call all together.
    for (command, count) in [
        ("NOOP\r\n", 1_000_000),
        ("RSET\r\n", 100_000),
        ("STAT\r\n", 100_000),
        ("CAPA\r\n", 100_000),
        ("LIST 1\r\n", 100_000),
        ("LIST\r\n", 100_000),
    ] {
        let answered = |out: &BytesMut| out.iter().filter(|octet| **octet == b'+').count();
        let (mut host, mut out) = (host(), BytesMut::new());
        let mut session = host.session(&mut out);
        host.serve(&mut session, Duration::ZERO, &mut LOGIN.as_bytes(), &mut out);
        let octets = command.repeat(count);
        let (mut input, mut answers) = (octets.as_bytes(), 0);
        loop {
            out.clear();
            let event = session.receive(Duration::ZERO, &mut input, &mut out);
            assert!(out.len() <= 17 * 1024, "{} octets at once for {command:?}", out.len());
            answers += answered(&out);
            match event {
                None => break,
                Some(event) => assert!(matches!(event, Event::Continue), "{event:?}"),
            }
        }
        assert_eq!((answers, input.len()), (count, 0));
    }
}

#[test]
fn continue_does_not_depend_on_what_was_already_in_out() {
    let (mut host, mut out) = (host(), BytesMut::new());
    let mut session = host.session(&mut out);
    host.serve(&mut session, Duration::ZERO, &mut LOGIN.as_bytes(), &mut out);
    out.resize(1 << 20, 0);
    let before = out.len();
    assert!(session.receive(Duration::ZERO, &mut &b"NOOP\r\nLIST\r\nNOOP\r\n"[..], &mut out).is_none());
    assert!(out.len() > before);
}

// Ledger: 2595-2.5-1
#[test]
fn plaintext_behind_stls_ends_the_session_at_every_split() {
    // CVE-2011-0411: what came before TLS was taken for what came within it.
    for behind in ["\r", "NOOP\r\n", "USER user\r\nPASS secret\r\n", "QUIT\r\n", "STLS\r\n", "\x16\x03\x01"] {
        for login in ["", "USER user\r\n"] {
            let input = format!("CAPA\r\n{login}STLS\r\n{behind}");
            let wanted = input.len() - behind.len();
            every_split(input.as_bytes(), |pieces| {
                let host = host().config(ServerConfig::new().plaintext_auth().stls());
                let (mut host, mut out, mut buffer) = (host, BytesMut::new(), Vec::new());
                let mut session = host.session(&mut out);
                let mut fed = 0;
                for piece in pieces {
                    buffer.extend_from_slice(piece);
                    fed += piece.len();
                    let mut input = &buffer[..];
                    host.serve(&mut session, Duration::ZERO, &mut input, &mut out);
                    let used = buffer.len() - input.len();
                    buffer.drain(..used);
                    if fed == wanted && session.wants_tls() {
                        // Nothing is there yet: what follows is under TLS, as far as the session can tell. A driver
                        // reads nothing now, so what was sent in the clear goes to the TLS library, which refuses it.
                        return assert!(buffer.is_empty());
                    }
                }
                assert_eq!(session.closed(), Some(Reason::PlaintextBehindStls), "{pieces:?}");
                assert!(out.ends_with(b"+OK begin TLS\r\n"), "nothing behind it is answered: {out:?}");
                assert_eq!(host.log, ["stls"]);
            });
        }
    }
}

#[test]
fn tls_forgets_what_was_said_before() {
    let (mut host, mut out) = (host().config(ServerConfig::new().plaintext_auth().stls()), BytesMut::new());
    let mut session = host.session(&mut out);
    session.handle_tls_started(Duration::ZERO);
    assert!(!session.is_tls(), "nobody asked for it");
    host.serve(&mut session, Duration::ZERO, &mut &b"USER user\r\nSTLS\r\n"[..], &mut out);
    assert!(session.wants_tls());
    session.handle_tls_started(seconds(1));
    assert!(session.is_tls() && !session.wants_tls());
    assert_eq!(session.poll_timeout(), Some(seconds(601)));
    out.clear();
    host.serve(&mut session, seconds(1), &mut &b"PASS secret\r\n"[..], &mut out);
    assert_eq!(out, "-ERR not now\r\n");
}

#[test]
fn nothing_is_written_between_the_answer_to_stls_and_tls() {
    let (mut host, mut out) = (host().config(ServerConfig::new().stls()), BytesMut::new());
    let mut session = host.session(&mut out);
    host.serve(&mut session, Duration::ZERO, &mut &b"STLS\r\n"[..], &mut out);
    out.clear();
    session.close(Duration::ZERO, &mut out);
    assert!(out.is_empty(), "the client would take it for its handshake: {out:?}");
}

// Ledger: 2595-2.3-1
#[test]
fn logins_wait_for_tls_unless_they_need_not() {
    let tls = "-ERR send STLS first\r\n";
    let host = host();
    assert_eq!(host.clone().config(ServerConfig::new()).talk(LOGIN), format!("{GREETING}{tls}{tls}"));
    let (log, ..) = host.config(ServerConfig::new().implicit_tls()).run(&[LOGIN.as_bytes()]);
    assert_eq!(log.len(), 1);
}

#[test]
fn other_protocols_do_not_get_past_their_first_line() {
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(2000));
    for line in [
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.0\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\n",
        "INVITE sip:a@b SIP/2.0\r\n",
        "SSH-2.0-OpenSSH_9.6\r\n",
        "\x16\x03\x01\x02\r\n",
        // Longer than a line may be: it was once swallowed as a mistake, and the next line was obeyed.
        &long,
    ] {
        let host = host();
        let input = format!("{line}{LOGIN}DELE 1\r\nQUIT\r\n");
        assert_eq!(host.talk(&input), format!("{GREETING}-ERR this is POP3\r\n"), "{line:?}");
        let (log, _, closed) = host.run(&[input.as_bytes()]);
        assert_eq!((log.len(), closed), (0, Some(Reason::ForeignProtocol)));
    }
    // Behind the first line it is a mistake like any other.
    assert!(host().talk("CAPX\r\nGET / HTTP/1.1\r\nQUIT\r\n").ends_with("+OK goodbye\r\n"));
}

#[test]
fn lines_are_obeyed_up_to_the_limit_and_swallowed_beyond_it() {
    for limit in [0, 255, 512, 2000] {
        let longest = limit.max(255);
        let mut host = host();
        host.line = longest;
        let host = host.config(ServerConfig::new().plaintext_auth().limits(Limits::default().line(limit)));
        for (length, expected) in [
            (longest, "+OK send PASS\r\n"),
            (longest + 1, "-ERR line too long\r\n"),
            (longest * 3, "-ERR line too long\r\n"),
        ] {
            let name = "u".repeat(length - "USER \r\n".len());
            let answer = host.talk(&format!("USER {name}\r\nQUIT\r\n"));
            assert_eq!(answer, format!("{GREETING}{expected}+OK goodbye\r\n"), "{length} of {limit}");
        }
    }
}

#[test]
fn too_many_mistakes_end_the_session() {
    for errors in [0, 1, 20] {
        let host =
            host().config(ServerConfig::new().plaintext_auth().limits(Limits::default().errors(errors)));
        let forgiven = "-ERR unknown command\r\n".repeat(errors as usize);
        let answer = host.talk(&"X\r\n".repeat(errors as usize + 5));
        assert_eq!(answer, format!("{GREETING}{forgiven}-ERR too many errors\r\n"));
    }
    let answer = host().talk(&"USER user\r\nPASS wrong\r\n".repeat(30));
    assert_eq!(answer.matches("-ERR [AUTH]").count(), 20, "wrong passwords count");
}

#[test]
fn control_characters_and_bare_line_feeds_are_refused_everywhere() {
    for command in ["USER user", "PASS secret", "STAT", "LIST 1", "TOP 1 0", "QUIT", "CAPA", "STLS"] {
        for at in 0..=command.len() {
            for octet in ["\0", "\r", "\t", "\u{7f}"] {
                let (before, behind) = command.split_at(at);
                let (log, answer, _) =
                    host().run(&[format!("{before}{octet}{behind}\r\nNOOP\r\n").as_bytes()]);
                assert_eq!(
                    answer,
                    format!("{GREETING}-ERR syntax error\r\n-ERR not now\r\n"),
                    "{octet:?} at {at}"
                );
                assert!(log.is_empty());
            }
        }
        let answer = host().talk(&format!("{command}\nNOOP\r\n"));
        assert_eq!(answer, format!("{GREETING}-ERR a line ends in CR LF\r\n-ERR not now\r\n"));
    }
}

#[test]
fn passwords_do_not_show_in_debug_output() {
    let mut host = host();
    let mut out = BytesMut::new();
    let mut session = host.session(&mut out);
    let mut input = &b"USER user\r\nPASS hunter2\r\n"[..];
    let event = session.receive(Duration::ZERO, &mut input, &mut out).expect("a login");
    assert!(!format!("{event:?}").contains("hunter2"));
    host.answer(event, &mut out);
    assert!(!format!("{session:?}").contains("hunter2"));
}

fn command() -> impl Strategy<Value = (String, u8, u32, u64)> {
    ("[ -~\u{e0}-\u{ff}]{1,60}", 0..15_u8, any::<u32>(), any::<u64>())
}

proptest! {
    #[test]
    fn commands_are_read_back_as_written((text, which, number, lines) in command()) {
        let command = match which {
            0 => match UserName::new(&text) {
                Ok(name) => Command::User(name),
                Err(_) => return Ok(()),
            },
            1 => Command::Pass(Password::new(&text).expect("no control character")),
            2 => Command::Stat,
            3 => Command::List(None),
            4 => Command::List(Some(number)),
            5 => Command::Uidl(None),
            6 => Command::Uidl(Some(number)),
            7 => Command::Retr(number),
            8 => Command::Top(number, lines),
            9 => Command::Dele(number),
            10 => Command::Noop,
            11 => Command::Rset,
            12 => Command::Quit,
            13 => Command::Capa,
            _ => Command::Stls,
        };
        let mut wire = Vec::new();
        command.encode(&mut wire);
        let line = wire.strip_suffix(b"\r\n").expect("a command ends in CRLF");
        prop_assert!(wire.len() <= 255);
        prop_assert_eq!(Command::parse(line), Ok(command));
    }

    #[test]
    fn a_name_or_password_is_one_line_or_none(text in "\\PC*|(?s:.*)") {
        for command in [UserName::new(&text).map(Command::User), Password::new(&text).map(Command::Pass)] {
            let Ok(command) = command else { continue };
            let mut wire = Vec::new();
            command.encode(&mut wire);
            let line = wire.strip_suffix(b"\r\n").expect("a command ends in CRLF");
            prop_assert!(line.iter().all(|octet| !b"\r\n\0".contains(octet)));
            prop_assert_eq!(Command::parse(line), Ok(command));
        }
    }

    #[test]
    fn any_message_of_whole_lines_comes_back(
        lines in prop::collection::vec("[.x\r\u{0}]{0,5}", 0..20),
        write in 1..40_usize,
        read in 1..40_usize,
    ) {
        let message: Vec<u8> = lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect();
        let (mut encoder, mut wire) = (DataEncoder::new(None), Vec::new());
        for piece in message.chunks(write) {
            encoder.write(piece, &mut wire);
        }
        encoder.finish(&mut wire);
        wire.extend_from_slice(b"+OK");
        let (mut decoder, mut decoded, mut buffer, mut ended) = (DataDecoder::new(), Vec::new(), Vec::new(), false);
        for piece in wire.chunks(read) {
            buffer.extend_from_slice(piece);
            let mut input = &buffer[..];
            while !ended && let Some(next) = decoder.next(&mut input) {
                match next {
                    Decoded::Chunk(chunk) => decoded.extend_from_slice(chunk),
                    Decoded::End => ended = true,
                }
            }
            prop_assert!(ended || input.len() <= 2);
            let used = buffer.len() - input.len();
            buffer.drain(..used);
        }
        prop_assert!(ended);
        prop_assert_eq!(buffer, b"+OK");
        prop_assert_eq!(decoded, message);
    }

    #[test]
    fn any_octets_give_the_same_at_every_split(
        input in prop::collection::vec(
            prop::sample::select(vec![
                "USER user\r\n", "PASS secret\r\n", "STAT\r\n", "LIST\r\n", "RETR 2\r\n", "TOP 3 1\r\n", "DELE 1\r\n",
                "RSET\r\n", "QUIT\r\n", "CAPA\r\n", "\r", "\n", "\r\n", " ", "1", "\0", "GET ", "xxxxxxxxxxxxxxxxxxxx",
            ]),
            0..20,
        ),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let octets = input.concat();
        let host = host();
        let whole = host.run(&[octets.as_bytes()]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(octets.len() + 1)).collect();
        cuts.extend([0, octets.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|cut| &octets.as_bytes()[cut[0]..cut[1]]).collect();
        prop_assert_eq!(host.run(&pieces), whole);
    }
}

// Ledger: 2449-4-1
#[test]
fn commands_of_255_octets_are_taken_whatever_the_limit() {
    let host = host().config(ServerConfig::new().plaintext_auth().limits(Limits::default().line(0)));
    let name = "x".repeat(255 - "USER \r\n".len());
    let answer = host.talk(&format!("USER {name}\r\nUSER {name}x\r\n"));
    assert_eq!(answer, format!("{GREETING}+OK send PASS\r\n-ERR line too long\r\n"));
}
