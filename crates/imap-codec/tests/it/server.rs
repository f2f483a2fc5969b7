//! Server sessions.

use core::num::NonZeroU32;
use core::ops::RangeInclusive;
use core::time::Duration;

use bytes::BytesMut;
use imap_codec::Limits;
use imap_codec::command::Verb;
use imap_codec::encode::Names;
use imap_codec::extension::esearch::Esearch;
use imap_codec::extension::{Extension, Extensions};
use imap_codec::response::{Data, Response};
use imap_codec::server::{Answer, Event, Reason, ServerConfig, ServerSession};
use imap_codec::types::sequence::SequenceSet;
use imap_codec::types::string::Atom;

use crate::{Host, number, seconds, transcript};

fn host() -> Host {
    Host::new(Extensions::all())
}

#[test]
fn sessions_are_shared_and_sent_between_threads() {
    fn assert<T: Send + Sync>() {}
    assert::<ServerSession>();
    assert::<ServerConfig>();
}

// Ledger: 3501-3.4-1, 3501-6.1.3-1, 3501-6.1.3-2, 3501-7.2.1-1, 3501-7.2.1-5, 3501-7.2.1-6, 3501-9-10, 9051-3.4-1
// Ledger: 9051-6.1.3-1, 9051-6.1.3-2, 9051-7.2.2-1, 9051-9-11, 9208-1-3
#[test]
fn a_whole_session() {
    transcript!("session", host());
}

// Ledger: 2177-3-3, 9051-6.3.13-2
#[test]
fn idle_is_entered_fed_and_left() {
    transcript!("idle", host());
}

#[test]
fn append_is_streamed_refused_and_aborted() {
    transcript!("append", Host { unread: 1_000, ..host() });
}

// Ledger: 3501-6.2.2-1, 3501-9-11, 9051-6.1.1-4, 9051-6.2.2-1, 9051-6.2.2-2, 9051-6.2.2-5, 9051-6.2.2-9, 9051-7.2.2-2
#[test]
fn logins() {
    transcript!("login", host());
}

#[test]
fn nothing_of_a_login_that_failed_is_in_the_next_one() {
    // What had been decoded of a response that is not base64 stood in front of the next response, if both came at once.
    let input = b"a1 AUTHENTICATE PLAIN bW9yZQ\r\na2 AUTHENTICATE PLAIN AHVzZXIAc2VjcmV0\r\n";
    let said = host().talk(input);
    assert!(said.starts_with("a1 BAD not base64\r\na2 OK "), "{said}");
}

// Ledger: 2595-3.2-1, 3501-6.1.1-3, 3501-6.2.2-3, 3501-6.2.3-1, 3501-7.2.1-2, 3501-9-11, 3501-11.2-1, 9051-6.1.1-3, 9051-6.2.1-1
// Ledger: 9051-6.2.2-8, 9051-6.2.3-2, 9051-7.2.2-3, 9051-11.7-1
#[test]
fn starttls_forgets_and_goes_on() {
    let config = ServerConfig::new(Extensions::rev2()).starttls();
    transcript!("starttls", Host::with(config.clone()));
}

#[test]
fn mechanisms_are_announced_as_they_can_be_had_and_extensions_as_they_are_left_on() {
    let mechanisms = |names: &[&'static str]| -> Vec<Atom<'static>> {
        names.iter().map(|name| Atom::new(*name).unwrap()).collect()
    };
    let config = ServerConfig::new(Extensions::rev1().with(Extension::Idle).with(Extension::Move));
    let config = config.plaintext_auth().mechanisms(&mechanisms(&["PLAIN"]));
    let (mut out, mut said) = (BytesMut::new(), String::new());
    let mut session = ServerSession::new(config, seconds(0), &mut out);
    session.set_mechanisms(&mechanisms(&["SCRAM-SHA-256-PLUS", "PLAIN"]));
    let mut input = &b"a CAPABILITY\r\nb LOGIN ann secret\r\nc IDLE\r\n"[..];
    while let Some(event) = session.receive(seconds(0), &mut input, &mut out) {
        if let Event::Command(_, mut answer) = event {
            answer.restrict(Extensions::all().switched_off(Extension::Idle));
            answer.ok("in", &mut out);
        }
    }
    said.push_str(core::str::from_utf8(&out).unwrap());
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].ends_with("IDLE MOVE AUTH=PLAIN] ready"), "{said}");
    assert!(lines[1].ends_with(" IDLE MOVE AUTH=SCRAM-SHA-256-PLUS AUTH=PLAIN"), "{said}");
    assert_eq!(lines[3], "b OK [CAPABILITY IMAP4rev1 MOVE] in");
    assert!(lines[4].starts_with("c BAD "), "{said}");
}

// Ledger: 9051-6.2.1-3
#[test]
fn plaintext_behind_starttls_is_never_read() {
    let host = Host::with(ServerConfig::new(Extensions::rev2()).starttls());
    let (log, said, reason) = host.run(&[b"a STARTTLS\r\nb NOOP\r\n"]);
    assert_eq!(log, ["starttls"]);
    assert!(said.ends_with("a OK begin TLS\r\n"));
    assert_eq!(reason, Some(Reason::PlaintextBehindStartTls));
    let (_, _, reason) = host.run(&[b"a STARTTLS\r\n", b"b"]);
    assert_eq!(reason, Some(Reason::PlaintextBehindStartTls));
}

#[test]
fn starttls_may_be_refused_or_forgotten() {
    let host = |forget| Host { forget, ..Host::with(ServerConfig::new(Extensions::rev2()).starttls()) };
    assert_eq!(host("no STARTTLS").talk("a STARTTLS\r\n"), "a NO not today\r\n");
    assert_eq!(
        host("STARTTLS").talk("a STARTTLS\r\nb X\r\n"),
        "a NO no TLS now\r\nb BAD expected a command at octet 2\r\n"
    );
}

#[test]
fn commands_out_of_their_state_are_bad() {
    assert_eq!(host().talk("a SELECT inbox\r\n"), "a BAD not now\r\n");
    assert_eq!(host().talk_in("a FETCH 1 FLAGS\r\n"), "a BAD not now\r\n");
    assert_eq!(host().talk_in("a LOGIN user secret\r\n"), "a BAD not now\r\n");
    assert_eq!(host().talk_in("a CLOSE\r\n"), "a BAD not now\r\n");
    // Its payload is a literal like any other then, and not streamed.
    let said = host().talk("a APPEND inbox {3+}\r\nabc\r\n");
    assert_eq!(said, "a BAD expected the end at octet 15\r\n");
}

// Ledger: 3501-5.5-3, 5182-2.3-1, 7162-3.2.11-1, 9051-5.5-2, 9051-6.3.2-7, 9051-6.4.4.2-1
#[test]
fn a_select_that_fails_leaves_no_mailbox_selected() {
    let said = host().talk_in("a SELECT inbox\r\nb SELECT none\r\nc CLOSE\r\n");
    let said = said.split_once("a OK [READ-WRITE] selected\r\n").expect("selected").1;
    assert_eq!(
        said,
        "* OK [CLOSED] previous mailbox closed\r\nb NO [NONEXISTENT] no such mailbox\r\nc BAD not now\r\n"
    );
}

// Ledger: 9051-6.5-1, 9208-1-3
#[test]
fn what_is_switched_off_is_unknown() {
    let commands = [
        (Extension::Idle, "IDLE"),
        (Extension::Namespace, "NAMESPACE"),
        (Extension::Id, "ID NIL"),
        (Extension::Enable, "ENABLE X"),
        (Extension::Quota, "GETQUOTA \"\""),
        (Extension::QuotaSet, "SETQUOTA \"\" (STORAGE 5)"),
        (Extension::StatusSize, "STATUS inbox (SIZE)"),
        (Extension::Condstore, "STATUS inbox (HIGHESTMODSEQ)"),
        (Extension::AppendLimit, "STATUS inbox (APPENDLIMIT)"),
        (Extension::ListExtended, "LIST (SUBSCRIBED) \"\" *"),
        (Extension::CreateSpecialUse, "CREATE x (USE (\\Sent))"),
        (Extension::Condstore, "SELECT inbox (CONDSTORE)"),
    ];
    let selected = [
        (Extension::Unselect, "UNSELECT"),
        (Extension::UidPlus, "UID EXPUNGE 1"),
        (Extension::Move, "MOVE 1 inbox"),
        (Extension::Esearch, "SEARCH RETURN () ALL"),
        (Extension::SearchRes, "FETCH $ FLAGS"),
        (Extension::Condstore, "FETCH 1 (FLAGS MODSEQ)"),
        (Extension::Condstore, "STORE 1 (UNCHANGEDSINCE 5) FLAGS ()"),
        (Extension::Imap4Rev2, "FETCH 1 BINARY[1]"),
        (Extension::Imap4Rev1, "CHECK"),
        (Extension::Imap4Rev1, "FETCH 1 RFC822"),
    ];
    let cases = commands
        .iter()
        .map(|case| (case, ""))
        .chain(selected.iter().map(|case| (case, "s SELECT inbox\r\n")));
    for ((extension, command), before) in cases {
        let ends = |extensions, expected: &str| {
            let input = format!("l LOGIN user secret\r\n{before}a {command}\r\n");
            let (_, said, _) = Host::new(extensions).run(&[input.as_bytes()]);
            let last = said.lines().last().expect("an answer");
            let last = if last == "+ idling" { "a OK" } else { last };
            assert!(last.starts_with(expected), "{extensions:?} {command}: {last}");
        };
        // IMAP4rev2 would hold it.
        let all = Extension::all().filter(|each| *each != Extension::Imap4Rev2);
        let base = all.fold(Extensions::default(), Extensions::with);
        if *extension != Extension::Imap4Rev2 {
            ends(base, "a OK");
        }
        ends(Extensions::all(), "a OK");
        let mut without = base.without(*extension);
        // What needs it goes too.
        if *extension == Extension::Quota {
            without = without.without(Extension::QuotaSet);
        }
        ends(without, "a BAD");
        assert!(!format!("{without:?}").contains(&format!("{extension:?},")));
    }
}

// Ledger: 3501-6.2.2-3, 7888-5-4, 9051-6.2.2-8, 9208-1-2, 9208-3.1.1-2, 9208-3.1.2-4, 9208-5-1, 9208-5-2, 9208-5.1-4
#[test]
fn what_is_announced_is_what_is_configured() {
    let greeting = |host: &Host| host.run(&[]).1;
    let greets =
        |config, expected: &str| assert_eq!(greeting(&Host::with(config)), format!("{expected}\r\n"));
    greets(ServerConfig::new(Extensions::rev1()), "* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready");
    greets(
        ServerConfig::new(Extensions::rev1()).starttls(),
        "* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] ready",
    );
    greets(
        ServerConfig::new(Extensions::rev1().with(Extension::AppendLimit).with(Extension::Quota))
            .preauth()
            .quota_resources(&[Atom::new("STORAGE").unwrap()])
            .limits(Limits::default().append(5_000)),
        "* PREAUTH [CAPABILITY IMAP4rev1 APPENDLIMIT=5000 QUOTA QUOTA=RES-STORAGE] ready",
    );
    let said = greeting(&host());
    assert!(
        said.contains(" LITERAL+ ") && !said.contains("LITERAL-") && said.contains(" AUTH=PLAIN]"),
        "{said}"
    );
    // After a login neither TLS nor mechanisms are of interest.
    let said = host().talk("a LOGIN user secret\r\nb CAPABILITY\r\n");
    assert!(!said.contains("AUTH=") && said.contains("b OK"), "{said}");
}

// Ledger: 3501-5.1.3-6, 5161-3.1-3, 9051-4.3-6, 9051-6.3.1-3, 9051-13.2.2-2, 9051-13.2.2-3, 9051-A.1-6
#[test]
fn names_are_utf7_until_rev2_is_enabled() {
    assert_eq!(
        host().talk_in(
            "a LIST \"\" E*\r\nb ENABLE imap4rev2 X\r\nc LIST \"\" \"Entw\u{fc}%\"\r\nd SELECT &AOk-\r\n"
        ),
        "* LIST () \"/\" Entw&APw-rfe\r\na OK LIST completed\r\n* ENABLED IMAP4rev2\r\nb OK ENABLE completed\r\n\
         * LIST () \"/\" \"Entw\u{fc}rfe\"\r\nc OK LIST completed\r\nd NO [NONEXISTENT] no such mailbox\r\n"
    );
    assert_eq!(host().talk_in("a DELETE &AGE-\r\n"), "a BAD expected a mailbox name at octet 9\r\n");
}

// Ledger: 7888-3-1, 9051-4.3-2
#[test]
fn expunge_is_told_during_uid_fetch_and_not_during_fetch() {
    let fetched = "* 1 FETCH (UID 7 FLAGS (\\Seen) BODY[] {25}\r\nSubject: hello\r\n\r\nworld\r\n)\r\n";
    let talk = |command: &str| {
        let said = Host { piece: 3, ..host() }.talk_in(format!("s SELECT inbox\r\na {command}\r\n"));
        said.split_once("s OK [READ-WRITE] selected\r\n").expect("selected").1.to_owned()
    };
    assert_eq!(talk("FETCH 1 BODY[]"), format!("{fetched}a OK FETCH completed\r\n"));
    assert_eq!(talk("UID FETCH 1 BODY[]"), format!("{fetched}* 2 EXPUNGE\r\na OK FETCH completed\r\n"));
}

#[test]
fn a_literal_that_is_left_short_ends_the_session() {
    let host = Host { piece: 3, forget: "literal", ..host() };
    let (_, said, reason) =
        host.run(&[b"l LOGIN user secret\r\ns SELECT inbox\r\na FETCH 1 BODY[]\r\nb NOOP\r\n"]);
    assert!(said.ends_with("BODY[] {25}\r\nSub"), "{said}");
    assert_eq!(reason, Some(Reason::ShortLiteral));
}

/// Answers a SEARCH with what this writes, which is given where to send whenever there is a little, or does not finish it. What is
/// sent, and why it ends.
fn searched(write: impl Fn(&mut Answer<'_>, &mut BytesMut, &mut BytesMut)) -> (String, Option<Reason>) {
    let config = ServerConfig::new(Extensions::all()).plaintext_auth();
    let (mut out, mut said) = (BytesMut::new(), BytesMut::new());
    let mut session = ServerSession::new(config, seconds(0), &mut out);
    out.clear();
    let mut input = &b"l LOGIN user secret\r\ns SELECT inbox\r\na SEARCH ALL\r\nb NOOP\r\n"[..];
    while let Some(event) = session.receive(seconds(0), &mut input, &mut out) {
        let Event::Command(verb, mut answer) = event else { panic!("a command") };
        if matches!(verb, Verb::Search { .. }) {
            said.clear();
            out.clear();
            write(&mut answer, &mut out, &mut said);
        }
        answer.ok("done", &mut out);
        said.extend_from_slice(&out.split());
    }
    (String::from_utf8(said.to_vec()).unwrap(), session.closed())
}

/// Sends, when there is a little.
fn send(out: &mut BytesMut, said: &mut BytesMut) {
    if out.len() > 100 {
        said.extend_from_slice(&out.split());
    }
    assert!(out.capacity() < 10_000);
}

fn encoded(data: Data<'_>) -> String {
    let mut whole = BytesMut::new();
    Response::Untagged(data).encode(Names::Utf7, &mut whole);
    String::from_utf8(whole.to_vec()).unwrap()
}

#[test]
fn a_search_response_is_one_line_that_is_sent_in_pieces() {
    let searched = |found: u32, modseq: Option<u64>, finish: bool| {
        searched(|answer, out, said| {
            let mut numbers = answer.search(out);
            for found in 1..=found {
                numbers.write(number(found), out);
                send(out, said);
            }
            if finish {
                numbers.finish(modseq, out);
            }
        })
    };
    for (found, modseq) in [(0, None), (0, Some(7)), (1, None), (100_000, Some(7))] {
        let numbers: Vec<_> = (1..=found).map(number).collect();
        let whole = encoded(Data::Search { numbers: numbers.into(), modseq });
        assert_eq!(searched(found, modseq, true), (format!("{whole}a OK done\r\nb OK done\r\n"), None));
    }
    assert_eq!(searched(3, None, false), ("* SEARCH 1 2 3".to_owned(), Some(Reason::ShortLiteral)));
}

#[test]
fn an_esearch_response_is_sent_in_pieces() {
    let searched = |head: &Esearch<'_>, found: &[RangeInclusive<NonZeroU32>], finish: bool| {
        searched(|answer, out, said| {
            let mut ranges = answer.esearch(head, out);
            for range in found {
                ranges.write(range, out);
                send(out, said);
            }
            if finish {
                ranges.finish(out);
            }
        })
    };
    let ranges = |count: u32| (1..=count).map(|n| number(3 * n)..=number(3 * n + n % 2));
    let heads = [
        Esearch { tag: Some("a".try_into().unwrap()), ..Esearch::default() },
        Esearch { uid: true, min: Some(number(3)), count: Some(9), modseq: Some(7), ..Esearch::default() },
    ];
    for (head, count) in heads.iter().flat_map(|head| [0, 1, 2, 100_000].map(|count| (head, count))) {
        let whole =
            encoded(Data::Esearch(Esearch { all: SequenceSet::from_ranges(ranges(count)), ..head.clone() }));
        let found: Vec<_> = ranges(count).collect();
        assert_eq!(searched(head, &found, true), (format!("{whole}a OK done\r\nb OK done\r\n"), None));
    }
    let found: Vec<_> = ranges(2).collect();
    let broken = "* ESEARCH (TAG \"a\") ALL 3:4,6".to_owned();
    assert_eq!(searched(&heads[0], &found, false), (broken, Some(Reason::ShortLiteral)));
}

#[test]
fn events_without_an_answer_are_bad() {
    for (forget, input, answer) in [
        ("NOOP", "a NOOP\r\nb X\r\n", "a BAD not supported\r\n"),
        ("IDLE", "a IDLE\r\nb X\r\n", "a BAD not supported\r\n"),
        ("APPEND", "a APPEND inbox {3+}\r\nabc\r\nb X\r\n", "a BAD not supported\r\n"),
        ("APPEND", "a APPEND inbox {3}\r\nb X\r\n", "a BAD not supported\r\n"),
        ("appended", "a APPEND inbox {3+}\r\nabc\r\nb X\r\n", "a BAD not supported\r\n"),
        ("SELECT", "a SELECT inbox\r\nb X\r\n", "a BAD not supported\r\n"),
    ] {
        let said = Host { forget, ..host() }.talk_in(input);
        assert_eq!(said, format!("{answer}b BAD expected a command at octet 2\r\n"), "{forget}");
    }
    let said = Host { forget: "AUTHENTICATE", ..host() }.talk("a AUTHENTICATE PLAIN\r\nb X\r\n");
    assert_eq!(said, "a NO [UNAVAILABLE] no logins now\r\nb BAD expected a command at octet 2\r\n");
}

#[test]
fn literals_of_commands_are_asked_for_or_come_by_themselves() {
    assert_eq!(
        host().talk("a LOGIN {4}\r\nuser {6}\r\nsecret\r\n").replace(['\r', '\n'], "|").split('[').next(),
        Some("+ go on||+ go on||a OK ")
    );
    assert!(host().talk("a LOGIN {4+}\r\nuser {6+}\r\nsecret\r\nb NOOP\r\n").contains("b OK done"));
    // James #3144: the command behind a literal that does not wait must not get lost.
    let said = host().talk_in("a SELECT {5+}\r\ninbox\r\nb NOOP\r\n");
    assert!(said.ends_with("b OK done\r\n"), "{said}");
}

// Ledger: 7888-5-1, 7888-5-3, 9051-4.3-3
#[test]
fn literal_minus_takes_small_literals_only() {
    let extensions = Extensions::rev1().with(Extension::LiteralMinus);
    let talk = |size: usize| {
        Host::new(extensions)
            .talk_in(format!("a APPEND inbox {{{size}+}}\r\n{}\r\nb NOOP\r\n", "x".repeat(size)))
    };
    assert_eq!(talk(4_096), "a OK APPEND completed\r\n* 1 EXPUNGE\r\nb OK done\r\n");
    assert_eq!(talk(4_097), "a BAD [TOOBIG] message too large\r\n* 1 EXPUNGE\r\nb OK done\r\n");
    // Without any of them no literal may come by itself, however small.
    let said = Host::new(Extensions::rev1())
        .talk("a LOGIN {4+}\r\nuser {6}\r\nsecret\r\nb LOGIN {4}\r\nuser secret\r\n");
    assert!(
        said.starts_with("+ go on\r\na BAD a literal came without being asked for\r\n+ go on\r\nb OK"),
        "{said}"
    );
    let said = Host::new(Extensions::rev1()).talk_in("a APPEND inbox {3+}\r\nabc\r\nb NOOP\r\n");
    assert_eq!(said, "a BAD [TOOBIG] message too large\r\n* 1 EXPUNGE\r\nb OK done\r\n");
}

#[test]
fn an_append_that_is_too_large_is_refused_before_it_comes() {
    let limits = Limits::default().append(10).discard(20);
    let host = Host::with(ServerConfig::new(Extensions::all()).plaintext_auth().limits(limits));
    assert_eq!(
        host.talk_in("a APPEND inbox {11}\r\nb NOOP\r\n"),
        "a NO [TOOBIG] message too large\r\n* 1 EXPUNGE\r\nb OK done\r\n"
    );
    assert_eq!(
        host.talk_in("a APPEND inbox {20+}\r\n12345678901234567890\r\nb NOOP\r\n"),
        "a NO [TOOBIG] message too large\r\n* 1 EXPUNGE\r\nb OK done\r\n"
    );
    let input = b"l LOGIN user secret\r\na APPEND inbox {21+}\r\n1234567890";
    assert_eq!(host.run(&[input]).2, Some(Reason::Flood));
    // The caller's refusal costs the same.
    let input = b"l LOGIN user secret\r\na APPEND none {10+}\r\n1234567890\r\nb NOOP\r\n";
    assert!(
        host.run(&[input]).1.ends_with("a NO [TRYCREATE] no such mailbox\r\n* 1 EXPUNGE\r\nb OK done\r\n")
    );
    let limits = Limits::default().discard(20);
    let host = Host::with(ServerConfig::new(Extensions::all()).plaintext_auth().limits(limits));
    let input = b"l LOGIN user secret\r\na APPEND none {21+}\r\n1234567890";
    assert_eq!(host.run(&[input]).2, Some(Reason::Flood));
}

// Ledger: 3501-3.4-3
#[test]
fn too_many_errors_end_the_session() {
    let config = ServerConfig::new(Extensions::all()).plaintext_auth().limits(Limits::default().errors(2));
    let host = Host::with(config);
    let said = host.talk("a X\r\nb LOGIN user wrong\r\nc NOOP\r\nd LOGIN user wrong\r\ne NOOP\r\n");
    assert!(said.ends_with("d NO [AUTHENTICATIONFAILED] wrong\r\n* BYE too many errors\r\n"), "{said}");
    // Behind a login, what works makes up for what does not.
    let said = host.talk_in("a X\r\nb X\r\nc NOOP\r\nd X\r\ne X\r\nf X\r\ng NOOP\r\n");
    assert!(said.ends_with("f BAD expected a command at octet 2\r\n* BYE too many errors\r\n"), "{said}");
}

// Ledger: 3501-3.4-3, 3501-5.4-1, 9051-5.4-1
#[test]
fn deadlines_run_from_the_last_answer() {
    let mut out = BytesMut::new();
    let mut session = host().session(&mut out);
    assert_eq!(session.poll_timeout(), Some(seconds(60)));
    // A slow drip does not extend it.
    assert!(session.receive(seconds(30), &mut &b"a NO"[..], &mut out).is_none());
    assert_eq!(session.poll_timeout(), Some(seconds(60)));
    session.handle_timeout(seconds(59), &mut out);
    assert_eq!(session.closed(), None);
    let mut input = &b"a LOGIN user secret\r\n"[..];
    let Some(Event::Command(_, answer)) = session.receive(seconds(50), &mut input, &mut out) else {
        panic!("a command");
    };
    answer.ok("in", &mut out);
    assert!(session.receive(seconds(100), &mut &b""[..], &mut out).is_none());
    assert_eq!(session.poll_timeout(), Some(seconds(100 + 1_800)));
    out.clear();
    session.handle_timeout(seconds(1_900), &mut out);
    assert_eq!(&out[..], b"* BYE autologout: idle for too long\r\n");
    assert_eq!((session.closed(), session.poll_timeout()), (Some(Reason::Autologout), None));
}

#[test]
fn other_protocols_end_at_their_first_line() {
    for first in ["GET / HTTP/1.1\r\n", "POST /x", "CONNECT x", "\x16\x03\x01\x02", "SSH-2.0-x\r\n"] {
        let (log, said, reason) = host().run(&[first.as_bytes(), b"a NOOP\r\n"]);
        assert!(log.is_empty() && said.ends_with("* BYE this is IMAP\r\n"), "{first:?}: {said}");
        assert_eq!(reason, Some(Reason::ForeignProtocol));
    }
    // A client may call its second command whatever it likes.
    assert!(host().talk("a NOOP\r\nGET NOOP\r\n").ends_with("GET OK done\r\n"));
}

#[test]
fn much_output_without_events_is_flushed_between() {
    let mut out = BytesMut::new();
    let mut session = host().session(&mut out);
    let input = b"a CAPABILITY\r\n".repeat(10_000);
    let mut input = &input[..];
    let mut most = 0;
    while let Some(event) = session.receive(Duration::ZERO, &mut input, &mut out) {
        assert!(matches!(event, Event::Continue));
        most = most.max(out.len());
        out.clear();
    }
    assert!(input.is_empty() && most < 20_000, "{most}");
}

// Ledger: 3501-3.4-3
#[test]
fn we_may_say_goodbye() {
    let mut out = BytesMut::new();
    let mut session = host().session(&mut out);
    out.clear();
    session.close(Duration::ZERO, &mut out);
    assert_eq!(&out[..], b"* BYE [UNAVAILABLE] closing down\r\n");
    assert_eq!(session.closed(), Some(Reason::Closed));
    assert!(session.receive(Duration::ZERO, &mut &b"a NOOP\r\n"[..], &mut out).is_none());
}

#[test]
fn the_end_of_the_connection_says_where_it_was() {
    let ends = |input: &[u8]| {
        let (mut host, mut out) = (host(), BytesMut::new());
        let mut session = host.session(&mut out);
        let mut input = [&b"l LOGIN user secret\r\n"[..], input].concat().leak() as &[u8];
        host.serve(&mut session, Duration::ZERO, &mut input, &mut out);
        session.handle_eof();
        session.closed()
    };
    assert_eq!(ends(b"a NOOP\r\n"), Some(Reason::Eof));
    assert_eq!(ends(b"a NO"), Some(Reason::EofInside));
    assert_eq!(ends(b"a IDLE\r\n"), Some(Reason::EofInside));
    assert_eq!(ends(b"a APPEND inbox {5}\r\nab"), Some(Reason::EofInside));
    assert_eq!(ends(b"a APPEND inbox {2}\r\nab"), Some(Reason::EofInside));
    assert_eq!(ends(b"a SELECT {5+}\r\ninb"), Some(Reason::EofInside));
}

// Ledger: 3501-7.4.1-1, 9051-7.5.1-1
#[test]
fn idling_exists_only_in_idle() {
    let mut out = BytesMut::new();
    let mut session = host().session(&mut out);
    assert!(!session.is_idling() && session.idling().is_none());
    let mut host = host();
    let mut input = &b"l LOGIN user secret\r\na IDLE\r\n"[..];
    host.serve(&mut session, Duration::ZERO, &mut input, &mut out);
    out.clear();
    assert!(session.is_idling());
    session.idling().unwrap().untagged(&Data::Expunge(number(4)), &mut out);
    assert_eq!(&out[..], b"* 4 EXPUNGE\r\n");
}
