//! Server sessions.

use bytes::BytesMut;
use smtp_codec::Limits;
use smtp_codec::extension::Mechanism;
use smtp_codec::reply::Reply;
use smtp_codec::server::{Event, Reason, ServerSession};

use crate::{START, Server, every_split, host, seconds, transcript};

const HELLO: &[u8] = b"EHLO c\r\n";
const ENVELOPE: &[u8] = b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n";

fn codes(replies: &str) -> Vec<u16> {
    let last = replies.lines().filter(|line| line.as_bytes().get(3) == Some(&b' '));
    last.map(|line| line[..3].parse().expect("a code")).collect()
}

// Ledger: 5321-2.2.1-2, 5321-4.1.1.4-5, 5321-4.1.1.10-1
#[test]
fn a_whole_session_goes_as_written_down() {
    transcript!("session");
}

// Ledger: 5321-4.2-1
#[test]
fn groups_are_answered_command_by_command() {
    transcript!("pipelining");
}

// Ledger: 5321-4.2.3-1
#[test]
fn tls_starts_and_the_lists_change() {
    transcript!("starttls");
}

#[test]
fn logins_are_carried_refused_and_cancelled() {
    transcript!("auth");
}

// Ledger: 5321-3.2-1, 5321-3.8-1, 5321-4.1.1.10-2, 5321-4.1.4-11
#[test]
fn mistakes_are_told_by_code() {
    transcript!("errors");
}

#[test]
fn plaintext_behind_starttls_is_never_acted_on() {
    let config = host().starttls();
    for injected in [
        &b"NOOP\r\n"[..],
        b"EHLO evil\r\n",
        b"EHLO evil\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n",
        b"RSET\r\n",
        b"QUIT\r\n",
        b"AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n",
        b"x",
        b"\x16\x03\x01",
    ] {
        let wire = [b"EHLO c\r\nSTARTTLS\r\n", injected].concat();
        let seen = every_split(&config, &[&wire]);
        assert_eq!(seen.reason, Some(Reason::PlaintextBehindStartTls));
        assert_eq!(seen.events, ["starttls"]);
        assert_eq!(codes(seen.said()), [220, 250, 220]);
    }
}

#[test]
fn after_starttls_the_server_knows_nothing_of_the_client() {
    let config = host().starttls().mechanisms(&[Mechanism::PLAIN]).plaintext_auth();
    let mut server = Server::new(config);
    server.feed(b"EHLO c\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\nSTARTTLS\r\n");
    assert!(server.session.client().is_some());
    assert!(server.session.is_extended());
    server.start_tls();
    assert!(server.session.client().is_none() && server.session.is_tls() && !server.session.is_extended());
    server.said();
    assert_eq!(codes(&server.talk(b"MAIL FROM:<a@b>\r\n")), [503]);
    // The login was before TLS, so it does not count any more.
    assert_eq!(codes(&server.talk(b"EHLO c\r\nAUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n")), [250, 235]);
}

#[test]
fn a_refused_starttls_changes_nothing() {
    let mut out = BytesMut::new();
    let mut session = ServerSession::new(host().starttls(), START, &mut out);
    let mut input = &b"EHLO c\r\nSTARTTLS\r\nNOOP\r\n"[..];
    while let Some(event) = session.receive(START, &mut input, &mut out) {
        assert!(matches!(event, Event::StartTls(_)));
    }
    assert!(!session.wants_tls());
    assert_eq!(codes(str::from_utf8(&out).expect("ASCII")), [220, 250, 454, 250]);
}

// Ledger: 5321-2.2.1-1, 5321-2.2.2-2, 5321-2.2.2-3, 5321-4.1.1.1-4, 5321-4.2.3-1
#[test]
fn only_what_is_wired_is_announced() {
    let list = |config| {
        let mut server = Server::new(config);
        server.said();
        let reply = server.talk(HELLO);
        reply.lines().skip(1).map(|line| line[4..].to_owned()).collect::<Vec<_>>()
    };
    let always = ["PIPELINING", "SIZE 65536", "8BITMIME", "ENHANCEDSTATUSCODES", "HELP"];
    let with = |more: &[&str]| {
        let mut list: Vec<_> = always.iter().map(|line| (*line).to_owned()).collect();
        list.splice(3..3, more.iter().map(|line| (*line).to_owned()));
        list
    };
    let auth = [Mechanism::PLAIN, Mechanism::LOGIN];
    assert_eq!(list(host()), with(&[]));
    assert_eq!(list(host().starttls()), with(&["STARTTLS"]));
    assert_eq!(list(host().starttls().implicit_tls()), with(&[]));
    assert_eq!(list(host().mechanisms(&auth)), with(&[]));
    assert_eq!(list(host().mechanisms(&auth).implicit_tls()), with(&["AUTH PLAIN LOGIN"]));
    assert_eq!(list(host().mechanisms(&auth).plaintext_auth()), with(&["AUTH PLAIN LOGIN"]));
    assert_eq!(list(host().starttls().plaintext_auth()), with(&["STARTTLS"]));
}

// Ledger: 5321-3.8-1, 5321-4.1.1.5-1, 5321-4.1.1.5-3, 5321-4.1.4-2, 5321-4.1.4-3, 5321-4.1.4-4, 5321-4.1.4-8
// Ledger: 5321-4.1.4-9
#[test]
fn rset_and_ehlo_forget_the_transaction_and_a_bad_ehlo_does_not() {
    let envelope = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";
    for (command, code, then) in [
        ("RSET", 250, [503, 503, 250, 554]),
        ("EHLO c", 250, [503, 503, 250, 554]),
        ("HELO c", 250, [503, 503, 250, 554]),
        ("EHLO a..b", 501, [250, 354, 0, 0]),
        ("EHLO", 501, [250, 354, 0, 0]),
        ("NOOP", 250, [250, 354, 0, 0]),
        ("MAIL FROM:a@b", 501, [250, 354, 0, 0]),
        ("RCPT TO:c@d", 501, [250, 354, 0, 0]),
    ] {
        let mut server = Server::new(host());
        server.talk(envelope.as_bytes());
        assert_eq!(codes(&server.talk(format!("{command}\r\n").as_bytes())), [code], "{command}");
        for (next, code) in ["RCPT TO:<x@d>", "DATA", "MAIL FROM:<e@f>", "DATA"].into_iter().zip(then) {
            if code != 0 {
                assert_eq!(
                    codes(&server.talk(format!("{next}\r\n").as_bytes())),
                    [code],
                    "{next} behind {command}"
                );
            }
        }
        assert_eq!(server.session.closed(), None);
    }
}

// Ledger: 5321-4.1.1.4-6
#[test]
fn events_that_nobody_answers_are_refused() {
    let config = host().starttls().mechanisms(&[Mechanism::PLAIN]).plaintext_auth();
    let unanswered = |wire: &[u8], answered: usize| {
        let mut out = BytesMut::new();
        let mut session = ServerSession::new(config.clone(), START, &mut out);
        let (mut input, mut count) = (wire, 0);
        while let Some(event) = session.receive(START, &mut input, &mut out) {
            count += 1;
            match event {
                _ if count > answered => {}
                Event::Mail(mail) => mail.accept(&mut out),
                Event::Rcpt(rcpt) => rcpt.accept(&mut out),
                Event::Data(data) => data.accept(&mut out),
                Event::Auth(auth) => auth.challenge(b"", &mut out),
                _ => {}
            }
        }
        codes(str::from_utf8(&out).expect("ASCII")).split_off(2)
    };
    assert_eq!(unanswered(b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n", 0), [451, 503]);
    assert_eq!(unanswered(&[ENVELOPE, b"x\r\n"].concat(), 1), [250, 451, 554, 500]);
    assert_eq!(unanswered(&[ENVELOPE, b"NOOP\r\n"].concat(), 2), [250, 250, 451, 250]);
    assert_eq!(unanswered(&[ENVELOPE, b"x\r\n.\r\nNOOP\r\n"].concat(), 3), [250, 250, 354, 451, 250]);
    assert_eq!(unanswered(b"EHLO c\r\nAUTH PLAIN\r\nNOOP\r\n", 0), [454, 250]);
    assert_eq!(unanswered(b"EHLO c\r\nAUTH PLAIN\r\nAAAA\r\nNOOP\r\n", 1), [334, 454, 250]);
    assert_eq!(unanswered(b"EHLO c\r\nSTARTTLS\r\nNOOP\r\n", 0), [454, 250]);
}

#[test]
fn an_answer_that_does_not_fit_is_replaced() {
    let mut out = BytesMut::new();
    let mut session = ServerSession::new(host(), START, &mut out);
    let mut input =
        &b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<no@d>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n"[..];
    while let Some(event) = session.receive(START, &mut input, &mut out) {
        match event {
            Event::Mail(mail) => mail.accept(&mut out),
            // "Ok" as a refusal would tell the client of a recipient that we do not take.
            Event::Rcpt(rcpt) if rcpt.to().as_str() == "no@d" => rcpt.reject(Reply::OK, &mut out),
            Event::Rcpt(rcpt) => rcpt.accept(&mut out),
            Event::Data(data) => data.accept(&mut out),
            // 354 would have the client send another message.
            Event::End(end) => end.answer(Ok(Reply::START_MAIL_INPUT), &mut out),
            _ => {}
        }
    }
    assert_eq!(codes(str::from_utf8(&out).expect("ASCII")), [220, 250, 250, 451, 250, 354, 451]);
}

#[test]
fn a_421_of_the_caller_ends_the_session() {
    for wire in [
        &b"EHLO c\r\nMAIL FROM:<stop@b>\r\nNOOP\r\n"[..],
        b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<stop@d>\r\nNOOP\r\n",
    ] {
        let seen = every_split(&host(), &[wire]);
        assert_eq!(seen.reason, Some(Reason::Refused));
        assert_eq!(codes(seen.said()).last(), Some(&421));
    }
}

#[test]
fn silence_is_ended_after_five_minutes_and_not_before() {
    let mut server = Server::new(host());
    assert_eq!(server.session.poll_timeout(), Some(START + seconds(300)));
    server.said();
    server.session.handle_timeout(START + seconds(299), &mut server.out);
    assert!(server.out.is_empty() && server.session.closed().is_none());
    server.now = START + seconds(200);
    server.feed(HELLO);
    assert_eq!(server.session.poll_timeout(), Some(START + seconds(500)));
    server.said();
    server.session.handle_timeout(START + seconds(500), &mut server.out);
    assert_eq!((codes(&server.said()), server.session.closed()), (vec![421], Some(Reason::CommandTimeout)));
    assert_eq!(server.session.poll_timeout(), None);
    assert_eq!(server.talk(b"NOOP\r\n"), "");
}

#[test]
fn a_slow_drip_of_a_command_does_not_hold_the_connection() {
    let mut server = Server::new(host());
    for octet in core::iter::repeat_n(b'N', 1_000) {
        server.now += seconds(5);
        server.feed(&[octet]);
        server.session.handle_timeout(server.now, &mut server.out);
        if server.session.closed().is_some() {
            break;
        }
    }
    assert_eq!((server.now, server.session.closed()), (START + seconds(300), Some(Reason::CommandTimeout)));
}

#[test]
fn a_slow_drip_of_a_message_does_not_hold_the_connection() {
    let mut server = Server::in_message(host());
    for octet in core::iter::repeat_n(b'x', 10_000) {
        server.now += seconds(5);
        server.feed(&[octet]);
        server.session.handle_timeout(server.now, &mut server.out);
        if server.session.closed().is_some() {
            break;
        }
    }
    // Three minutes, and two milliseconds for each of 36 octets.
    assert_eq!((server.now, server.session.closed()), (START + seconds(185), Some(Reason::DataTimeout)));
    assert_eq!(codes(&server.said()), [421]);
}

#[test]
fn a_message_at_the_least_rate_may_take_its_time() {
    let mut server = Server::in_message(host());
    for _ in 0..100 {
        server.now += seconds(1);
        server.feed(&[b'x'; 500]);
    }
    assert_eq!(server.session.poll_timeout(), Some(server.now + seconds(180)));
    // A pause within it ends it.
    server.session.handle_timeout(server.now + seconds(180), &mut server.out);
    assert_eq!(server.session.closed(), Some(Reason::DataTimeout));
}

#[test]
fn a_caller_who_takes_long_does_not_use_up_the_clients_time() {
    let mut out = BytesMut::new();
    let mut session = ServerSession::new(host(), START, &mut out);
    let mut input = &b"EHLO c\r\nMAIL FROM:<a@b>\r\n"[..];
    let Some(Event::Mail(mail)) = session.receive(START, &mut input, &mut out) else {
        panic!("MAIL");
    };
    mail.accept(&mut out);
    // An hour later; even if the driver looks at the clock before it receives.
    session.handle_timeout(START + seconds(3_600), &mut out);
    assert!(session.receive(START + seconds(3_600), &mut input, &mut out).is_none());
    assert_eq!((session.closed(), session.poll_timeout()), (None, Some(START + seconds(3_900))));
}

#[test]
fn an_endless_timeout_is_no_panic() {
    let limits =
        Limits::default().command_timeout(core::time::Duration::MAX).data_timeout(core::time::Duration::MAX);
    let mut server = Server::in_message(host().limits(limits));
    server.feed(b"x\r\n.\r\nNOOP\r\n");
    assert_eq!(codes(&server.said()), [250, 250]);
}

#[test]
fn tls_that_never_starts_ends_without_a_word() {
    let mut server = Server::new(host().starttls());
    server.feed(b"STARTTLS\r\n");
    server.said();
    server.session.handle_timeout(START + seconds(300), &mut server.out);
    assert_eq!((server.said(), server.session.closed()), (String::new(), Some(Reason::CommandTimeout)));
}

#[test]
fn closing_says_421_once() {
    let mut server = Server::new(host());
    server.said();
    server.session.close(START, &mut server.out);
    server.session.close(START, &mut server.out);
    server.session.handle_eof();
    assert_eq!((codes(&server.said()), server.session.closed()), (vec![421], Some(Reason::Closed)));
}

// Ledger: 5321-4.1.1.10-1
#[test]
fn eof_tells_between_commands_from_within() {
    for (wire, reason) in [
        (&b""[..], Reason::Eof),
        (HELLO, Reason::Eof),
        (b"EHLO c\r\nMAIL", Reason::EofInside),
        (b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n", Reason::EofInside),
        (b"EHLO c\r\nQUIT\r\n", Reason::Quit),
    ] {
        let mut server = Server::new(host());
        server.feed(wire);
        server.session.handle_eof();
        assert_eq!(server.session.closed(), Some(reason), "{}", wire.escape_ascii());
    }
}

// Ledger: 5321-4.5.3.1-1
#[test]
fn a_command_line_may_be_as_long_as_the_limit() {
    let line = |octets: usize| [&b"NOOP "[..], &vec![b'x'; octets - 7], b"\r\n"].concat();
    for (octets, code) in [(512, 250), (2_048, 250), (2_049, 500), (5_000, 500)] {
        let seen = every_split(&host(), &[&[HELLO, &line(octets), b"NOOP\r\n"].concat()]);
        assert_eq!(codes(seen.said()), [220, 250, code, 250], "{octets}");
    }
}

#[test]
fn an_auth_line_may_be_as_long_as_its_limit() {
    let config = host().mechanisms(&[Mechanism::PLAIN]).plaintext_auth();
    // 12,288 less CRLF is no multiple of four, so good base64 ends a little before.
    for (octets, code) in [(12_284, 535), (12_288, 501), (12_289, 500)] {
        let wire = [HELLO, b"AUTH PLAIN\r\n", &vec![b'A'; octets - 2], b"\r\nNOOP\r\n"].concat();
        let mut server = Server::new(config.clone());
        assert_eq!(
            codes(&server.talk(&wire)),
            [220, 250, 334, if octets == 12_284 { 501 } else { code }, 250]
        );
        let wire = [HELLO, b"AUTH PLAIN\r\n", &vec![b'A'; (octets - 2) / 4 * 4], b"\r\nNOOP\r\n"].concat();
        let mut server = Server::new(config.clone());
        assert_eq!(codes(&server.talk(&wire)), [220, 250, 334, 535, 250]);
    }
    let wire = [HELLO, b"AUTH PLAIN ", &vec![b'A'; 12_272], b"\r\nNOOP\r\n"].concat();
    assert_eq!(codes(every_split(&config, &[&wire]).said()), [220, 250, 535, 250]);
    let wire = [HELLO, b"AUTH PLAIN ", &vec![b'A'; 12_276], b"\r\nNOOP\r\n"].concat();
    assert_eq!(codes(every_split(&config, &[&wire]).said()), [220, 250, 500, 250]);
}

#[test]
fn unread_input_stays_below_the_limits() {
    let config = host().mechanisms(&[Mechanism::PLAIN]).plaintext_auth();
    let most = |before: &[u8], octet: u8| {
        let mut server = Server::new(config.clone());
        server.feed(before);
        (0..20_000).fold(0, |most: usize, _| {
            server.feed(&[octet]);
            most.max(server.buffer.len())
        })
    };
    assert_eq!(most(b"", b'x'), 2_047);
    assert_eq!(most(b"EHLO c\r\nAUTH PLAIN ", b'A'), 12_287);
    assert_eq!(most(b"EHLO c\r\nAUTH PLAIN\r\n", b'A'), 12_287);
    assert_eq!(most(ENVELOPE, b'x'), 0);
    assert_eq!(most(ENVELOPE, b'\r'), 1);
    assert_eq!(most(ENVELOPE, b'.'), 1);
}

#[test]
fn too_many_errors_end_the_session() {
    let wire = [HELLO, &b"WHAT\r\n".repeat(30)].concat();
    let seen = every_split(&host(), &[&wire]);
    assert_eq!((codes(seen.said()).len(), seen.reason), (2 + 21, Some(Reason::Errors)));
    assert_eq!(codes(seen.said()).last(), Some(&421));
}

// Ledger: 5321-3.3-1
#[test]
fn guessing_names_and_passwords_uses_up_the_errors() {
    let config = host().mechanisms(&[Mechanism::PLAIN]).plaintext_auth();
    for guess in [&b"RCPT TO:<nobody@host.test>\r\n"[..], b"RSET\r\nAUTH PLAIN d3Jvbmc=\r\nMAIL FROM:<>\r\n"]
    {
        let wire = [HELLO, b"MAIL FROM:<a@b>\r\n", &guess.repeat(30)].concat();
        let seen = every_split(&config, &[&wire]);
        assert_eq!(seen.reason, Some(Reason::Errors));
        assert_eq!(codes(seen.said()).iter().filter(|code| **code == 550 || **code == 535).count(), 20);
    }
    // To be told "later" is no mistake.
    let wire = [HELLO, b"MAIL FROM:<a@b>\r\n", &b"RCPT TO:<later@host.test>\r\n".repeat(100)].concat();
    assert_eq!(every_split(&config, &[&wire]).reason, None);
}

#[test]
fn a_message_that_is_taken_clears_the_budgets() {
    let one = b"MAIL FROM:<a@b>\r\nRCPT TO:<nobody@d>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\nRSET\r\nNOOP\r\nWHAT\r\n";
    let seen = every_split(&host(), &[&[HELLO, &one.repeat(120)].concat()[..]]);
    assert_eq!(
        (seen.reason, seen.events.iter().filter(|event| event.starts_with("message")).count()),
        (None, 120)
    );
}

#[test]
fn the_group_behind_a_refused_mail_is_no_crowd_of_errors() {
    let group = [&b"MAIL FROM:<refused@b>\r\n"[..], &b"RCPT TO:<c@d>\r\n".repeat(50), b"DATA\r\n"].concat();
    let seen = every_split(&host(), &[&[HELLO, &group].concat()]);
    assert_eq!((seen.reason, codes(seen.said()).len()), (None, 2 + 52));
}

#[test]
fn a_million_cheap_commands_do_not_fill_the_output() {
    for command in [
        "NOOP",
        "RSET",
        "HELP",
        "VRFY x",
        "EHLO c",
        "HELO c",
        "WHAT",
        "DATA",
        "MAIL FROM:<a@b> SIZE=99999999",
    ] {
        let wire = [HELLO, &format!("{command}\r\n").into_bytes().repeat(100_000)].concat();
        let mut server = Server::new(host().starttls());
        server.feed(&wire);
        assert!(server.session.closed().is_some(), "{command}");
        assert!(server.out.len() <= 65_536, "{command}: {}", server.out.len());
    }
}

// Ledger: 5321-4.5.3.1.7-1
#[test]
fn a_message_may_be_as_large_as_the_limit() {
    for (octets, code) in [(65_536, 250), (65_537, 552)] {
        let mut body = vec![b'x'; octets];
        for line in body.chunks_mut(1_000) {
            let end = line.len() - 2;
            line[end..].copy_from_slice(b"\r\n");
        }
        let wire = [ENVELOPE, &body, b".\r\nNOOP\r\n"].concat();
        let seen = every_split(&host(), &[&wire]);
        assert_eq!(codes(seen.said()).split_off(5), [code, 250], "{octets}");
    }
}

// Ledger: 5321-4.5.3.1-1
#[test]
fn a_body_line_may_be_as_long_as_the_limit() {
    let config = host().limits(Limits::default().body_line(1_000));
    for (octets, code) in [(1_000, 250), (1_001, 550)] {
        for stuffing in ["", "."] {
            let wire = [ENVELOPE, stuffing.as_bytes(), &vec![b'x'; octets], b"\r\n.\r\nNOOP\r\n"].concat();
            let seen = every_split(&config, &[&wire]);
            assert_eq!(codes(seen.said()).split_off(5), [code, 250], "{octets} {stuffing}");
        }
    }
}

/// A line that reached the limit in one piece and went on with `.` CRLF was taken for two lines: what followed was
/// obeyed as commands.
#[test]
fn a_line_that_is_cut_at_the_limit_cannot_smuggle_commands() {
    let long = vec![b'x'; 65_536];
    let wire = [ENVELOPE, &long, b".\r\nMAIL FROM:<evil@x>\r\n.\r\nNOOP\r\n"].concat();
    let seen = every_split(&host().limits(Limits::default()), &[&wire]);
    assert_eq!(codes(seen.said()).split_off(5), [550, 250]);
    assert_eq!(seen.events.iter().filter(|event| event.starts_with("mail")).count(), 1);
}

#[test]
fn other_protocols_are_closed_within_their_first_line() {
    let long = format!("GET /{} HTTP/1.1\r\n", "x".repeat(5_000));
    let first = [
        "GET / HTTP/1.1\r\n",
        "POST /mail HTTP/1.1\r\n",
        "PUT / HTTP/1.0\n",
        "HEAD / HTTP/1.1\r\n",
        "OPTIONS * HTTP/1.1\r\n",
        "CONNECT host.test:25 HTTP/1.1\r\n",
        "PROPFIND / HTTP/1.1\r\n",
        "PRI * HTTP/2.0\r\n",
        "INVITE sip:a@b SIP/2.0\r\n",
        "DESCRIBE rtsp://x RTSP/1.0\r\n",
        "USER anonymous\r\n",
        "SSH-2.0-x\r\n",
        "\x16\x03\x01\x02\x00\r\n",
        &long,
    ];
    for line in first {
        let wire = [line, "Host: x\r\n\r\nEHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n"].concat();
        let seen = every_split(&host(), &[wire.as_bytes()]);
        assert_eq!(seen.reason, Some(Reason::ForeignProtocol), "{line}");
        assert_eq!((codes(seen.said()), seen.events.len()), (vec![220, 554], 0), "{line}");
    }
}

// Ledger: 5321-2.3.8-1, 5321-4.1.1.4-3
#[test]
fn a_command_that_ends_in_a_bare_lf_is_refused_and_not_ignored() {
    let seen = every_split(&host(), &[b"EHLO c\nNOOP\r\nNOOP\nNOOP\r\rQUIT\r\n"]);
    assert_eq!(codes(seen.said()), [220, 500, 250, 500, 500]);
}

// Ledger: 5321-4.1.2-4
#[test]
fn nul_is_refused_wherever_it_stands() {
    for line in
        ["EHLO c", "MAIL FROM:<a@b> SIZE=1", "RCPT TO:<c@d>", "NOOP x", "VRFY x", "QUIT", "AUTH PLAIN AA=="]
    {
        for at in 0..=line.len() {
            let wire = [HELLO, &line.as_bytes()[..at], b"\0", &line.as_bytes()[at..], b"\r\n"].concat();
            let mut server = Server::new(host().mechanisms(&[Mechanism::PLAIN]).plaintext_auth());
            assert_eq!(codes(&server.talk(&wire)), [220, 250, 500], "{line} {at}");
            assert!(server.events.is_empty());
        }
    }
}

// Ledger: 5321-2.2.1-3, 5321-3.3-4, 5321-3.3-8, 5321-3.5.3-1, 5321-3.5.3-2, 5321-4.1.1.1-1, 5321-4.1.1.5-2
// Ledger: 5321-4.1.4-10, 5321-4.2-1, 5321-4.3.1-2, 5321-4.5.1-1, 5321-4.5.1-2, 5321-7.3-1, 5321-7.3-2, 5321-F.3-1
#[test]
fn every_command_in_every_state_is_answered_as_the_order_demands() {
    const STATES: [(&str, &str); 4] = [
        ("greeted", ""),
        ("ready", "EHLO c\r\n"),
        ("mail", "EHLO c\r\nMAIL FROM:<a@b>\r\n"),
        ("rcpt", "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"),
    ];
    #[rustfmt::skip]
    const TABLE: [(&str, [u16; 4]); 12] = [
        ("EHLO c",          [250, 250, 250, 250]),
        ("HELO c",          [250, 250, 250, 250]),
        ("MAIL FROM:<a@b>", [503, 250, 503, 503]),
        ("RCPT TO:<c@d>",   [503, 503, 250, 250]),
        ("DATA",            [503, 503, 554, 354]),
        ("STARTTLS",        [220, 220, 503, 503]),
        ("AUTH PLAIN",      [503, 334, 503, 503]),
        ("RSET",            [250, 250, 250, 250]),
        ("NOOP",            [250, 250, 250, 250]),
        ("VRFY x",          [252, 252, 252, 252]),
        ("HELP",            [214, 214, 214, 214]),
        ("QUIT",            [221, 221, 221, 221]),
    ];
    let config = host().starttls().mechanisms(&[Mechanism::PLAIN]).plaintext_auth();
    for (command, expected) in TABLE {
        for ((state, before), code) in STATES.into_iter().zip(expected) {
            let mut server = Server::new(config.clone());
            server.talk(before.as_bytes());
            server.said();
            let reply = server.talk(format!("{command}\r\n").as_bytes());
            let reply = reply.strip_prefix("220 host.test ESMTP\r\n").unwrap_or(&reply);
            assert_eq!(codes(reply), [code], "{command} when {state}");
        }
    }
    // Within a login each line is a response, and within a message it is text.
    for (command, _) in TABLE {
        let mut server = Server::new(config.clone());
        server.talk(b"EHLO c\r\nAUTH PLAIN\r\n");
        assert_eq!(codes(&server.talk(format!("{command}\r\n").as_bytes())).len(), 1);
        let mut server = Server::in_message(config.clone());
        assert_eq!(server.talk(format!("{command}\r\n").as_bytes()), "");
    }
}

#[test]
fn a_response_is_forgotten_once_it_was_seen() {
    let config = host().mechanisms(&[Mechanism::PLAIN]).plaintext_auth();
    let mut out = BytesMut::new();
    let mut session = ServerSession::new(config, START, &mut out);
    let mut input = &b"EHLO c\r\nAUTH PLAIN =AAA\r\nAUTH PLAIN c2VjcmV0\r\n"[..];
    let Some(Event::Auth(auth)) = session.receive(START, &mut input, &mut out) else {
        panic!("AUTH");
    };
    assert_eq!(auth.initial(), Some(&b"secret"[..]));
    assert!(!format!("{auth:?}").contains("115"), "not in Debug: {auth:?}");
    auth.accept(&mut out);
    assert!(!format!("{session:?}").contains("115, 101"));
}

/// All strings of length 1 to 6 over CR, LF, dot, NUL and a letter.
fn strings() -> impl Iterator<Item = Vec<u8>> {
    (1..=6_u32).flat_map(|length| {
        (0..5_usize.pow(length)).map(move |number| {
            (0..length).map(|place| b"\r\n.\0x"[number / 5_usize.pow(place) % 5]).collect()
        })
    })
}

/// Feeds the string behind `before` into a message and the rest behind it; whether it ended there, and what was said.
fn ends_a_message(before: &[u8], string: &[u8]) -> bool {
    let framed = [b"\r\n", before, string].concat();
    // The message ends with the first CRLF.CRLF; what follows it is commands.
    let end = framed.windows(5).position(|octets| octets == b"\r\n.\r\n").map(|at| at + 5);
    let wire = [before, string, b"z\r\n.\r\nMAIL FROM:<evil@x>\r\nQUIT\r\n"].concat();
    let mut server = Server::in_message(host());
    server.feed(&wire);
    let mut bytewise = Server::in_message(host());
    wire.iter().for_each(|octet| bytewise.feed(&[*octet]));
    assert_eq!((&server.events, &server.out), (&bytewise.events, &bytewise.out), "{}", string.escape_ascii());
    let replies = server.said();
    let Some(end) = end else {
        // One end, the one behind the string; then MAIL and QUIT.
        assert_eq!(codes(&replies)[1..], [250, 221], "{}", string.escape_ascii());
        return false;
    };
    // What is left of the string and its "z" is a command, or the end of one, and then a line with a dot.
    let left = framed[end..].iter().filter(|octet| **octet == b'\n').count();
    let errors = codes(&replies).iter().filter(|code| **code == 500).count();
    assert_eq!(errors, left + 2, "{}: {replies}", string.escape_ascii());
    assert_eq!(codes(&replies).last(), Some(&221));
    true
}

// Ledger: 5321-2.3.8-1, 5321-4.1.1.4-4
#[test]
fn of_19530_strings_within_a_line_eleven_end_the_message() {
    assert_eq!(strings().count(), 19_530);
    // CRLF.CRLF itself, and one octet before it or behind it: 1 + 5 + 5.
    assert_eq!(strings().filter(|string| ends_a_message(b"a", string)).count(), 11);
}

#[test]
fn of_19530_strings_straight_after_data_166_end_the_message() {
    // A message begins as if behind a CRLF. 156 strings begin with .CRLF (1 + 5 + 25 + 125, of 3 to 6 octets), 11 hold
    // CRLF.CRLF, and one of them does both: .CRLF.CRLF.
    let ended = strings().filter(|string| ends_a_message(b"", string)).count();
    let expected = strings().filter(|string| {
        string.starts_with(b".\r\n") || string.windows(5).any(|octets| octets == b"\r\n.\r\n")
    });
    assert_eq!((ended, expected.count()), (166, 166));
    let ended = strings().filter(|string| ends_a_message(b"a\r\n", string)).count();
    assert_eq!(ended, 166);
}
