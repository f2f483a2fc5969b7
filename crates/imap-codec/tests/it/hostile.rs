//! What a hostile peer may send.

use core::time::Duration;

use bytes::BytesMut;
use imap_codec::command::{Command, SearchKey, SearchKeys};
use imap_codec::encode::Names;
use imap_codec::extension::Extensions;
use imap_codec::response::Response;
use imap_codec::server::Reason;
use imap_codec::types::sequence::SequenceSet;
use imap_codec::types::string::IString;

use crate::Host;

fn host() -> Host {
    Host::new(Extensions::all())
}

fn selected(command: &str) -> String {
    let input = format!("l LOGIN user secret\r\ns SELECT inbox\r\na {command}\r\n");
    let (_, said, _) = host().run(&[input.as_bytes()]);
    said.lines().last().expect("an answer").to_owned()
}

#[test]
fn search_keys_are_nested_32_deep_and_no_deeper() {
    // CVE-2026-27857: parentheses without end.
    for (open, close) in [("(", ")"), ("NOT ", ""), ("OR ALL ", "")] {
        let nested = |depth| format!("SEARCH {}ALL{}", open.repeat(depth), close.repeat(depth));
        assert!(selected(&nested(31)).starts_with("a OK"), "{open}");
        assert!(selected(&nested(32)).starts_with("a BAD"), "{open}");
        assert!(selected(&nested(10_000)).starts_with("a BAD"), "{open}");
    }
}

#[test]
fn search_keys_that_people_type_are_those_of_a_command() {
    let typed = SearchKeys::parse("OR FROM anna SUBJECT \"two words\" UID 3:*").unwrap();
    let text = |text: &'static str| IString::try_from(text).unwrap();
    let one = |key| SearchKeys::new([key]).unwrap();
    let or = SearchKey::Or(one(SearchKey::From(text("anna"))), one(SearchKey::Subject(text("two words"))));
    let uids = SearchKey::Uid(SequenceSet::new("3:*").unwrap());
    assert_eq!(typed, SearchKeys::new([or, uids]).unwrap());
    let deep = "(".repeat(100_000);
    for wrong in [
        "",
        "OR ALL",
        "ALL\r\na2 LOGOUT",
        "FROM {1}\r\nx",
        "SUBJECT \"x",
        "ALL ",
        "RETURN (ALL) ALL",
        "CHARSET UTF-8 ALL",
        &deep,
    ] {
        assert!(SearchKeys::parse(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn structures_are_nested_32_deep_and_no_deeper() {
    let nested = |depth: usize| {
        let text = r#"("TEXT" "PLAIN" NIL NIL NIL "7BIT" 5 1)"#;
        format!("* 1 FETCH (BODY {}{text}{})", "(".repeat(depth), " \"MIXED\")".repeat(depth))
    };
    let parse = |text: &str| Response::parse(text.as_bytes(), Names::Utf7).is_ok();
    assert!(parse(&nested(31)));
    assert!(!parse(&nested(32)));
    assert!(!parse(&nested(1_000_000)));
    assert!(!parse(&format!("* 1 FETCH (BODY {}", "(".repeat(1_000_000))));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a thread with a small stack is what is tested")]
fn no_stack_is_used_up() {
    let run = || {
        search_keys_are_nested_32_deep_and_no_deeper();
        structures_are_nested_32_deep_and_no_deeper();
    };
    let thread = std::thread::Builder::new().stack_size(512 * 1024);
    thread.spawn(run).expect("a thread").join().expect("no overflow");
}

#[test]
fn numbers_of_any_size_are_answered() {
    for command in [
        "FETCH 4294967296 FLAGS",
        "FETCH 0 FLAGS",
        "FETCH 1 BODY[]<18446744073709551616.1>",
        "FETCH 1 BODY[]<9223372036854775808.1>",
        "FETCH 1 BODY[]<0.0>",
        "FETCH 1 BODY[4294967296]",
        "SEARCH LARGER 9223372036854775808",
        "SEARCH MODSEQ 99999999999999999999999",
        "STORE 1 (UNCHANGEDSINCE 9223372036854775808) FLAGS ()",
    ] {
        assert!(selected(command).starts_with("a BAD"), "{command}");
    }
    for command in [
        "FETCH 1:4294967295 FLAGS",
        "FETCH 1 BODY[]<9223372036854775807.9223372036854775807>",
        "SEARCH LARGER 9223372036854775807",
    ] {
        assert!(selected(command).starts_with("a OK"), "{command}");
    }
}

// Ledger: 7888-3-2, 7888-3-3
#[test]
fn literals_at_every_place_lose_no_step() {
    // Wherever a literal is put into whichever command, the one behind is found, and nothing in the literal is obeyed.
    let commands = [
        "LOGIN user secret",
        "SELECT inbox",
        "LIST (SUBSCRIBED) \"\" (a b) RETURN (STATUS (MESSAGES))",
        "APPEND inbox (\\Seen) \" 1-Feb-2024 10:00:00 +0000\" ",
        "FETCH 1 (BODY[HEADER.FIELDS (SUBJECT FROM)])",
        "SEARCH CHARSET UTF-8 OR SUBJECT x TEXT y",
        "ID (\"name\" \"x\")",
        "X",
        "",
    ];
    for command in commands {
        for at in 0..=command.len() {
            for literal in ["{14+}\r\n", "{14}\r\n", "~{14+}\r\n"] {
                let (before, behind) = command.split_at(at);
                let input = format!(
                    "l LOGIN user secret\r\ns SELECT inbox\r\na {before}{literal}\r\nz DELETE x\r\n{behind}\r\nb NOOP\r\n"
                );
                let (log, said, _) = host().run(&[input.as_bytes()]);
                assert!(said.ends_with("b OK done\r\n"), "{input:?}: {said}");
                assert!(!log.iter().any(|event| event.starts_with("Delete")), "{input:?}: {log:?}");
            }
        }
    }
}

#[test]
fn literals_that_are_too_large_are_not_asked_for() {
    // CVE-2024-34055, CVE-2024-37358, CVE-2025-61600.
    let said = host().talk("a LOGIN {4294967295}\r\nb NOOP\r\n");
    assert!(
        said.starts_with("a BAD [TOOBIG] literal too large\r\n") && said.ends_with("b OK done\r\n"),
        "{said}"
    );
    assert_eq!(host().run(&[b"a LOGIN {30000+}\r\nxxx"]).2, Some(Reason::Flood));
    let said = host().talk_in("a SELECT {131073}\r\nb NOOP\r\n");
    assert!(said.starts_with("a BAD [TOOBIG]") && said.ends_with("b OK done\r\n"), "{said}");
    // Many small ones count together.
    let many = "{100+}\r\n".to_owned() + &"x".repeat(100) + " ";
    let input = format!("l LOGIN user secret\r\na ID ({})\r\nb NOOP\r\n", many.repeat(2_000));
    let (_, said, _) = host().run(&[input.as_bytes()]);
    assert!(said.ends_with("a BAD [TOOBIG] literal too large\r\n* 1 EXPUNGE\r\nb OK done\r\n"), "{said}");
}

#[test]
fn unread_input_stays_below_its_bound() {
    // Before a login 20 KiB, after it 192 KiB, whatever comes and however.
    for (login, bound) in [("", 18_432), ("l LOGIN user secret\r\n", 196_608)] {
        for flood in [
            "a".repeat(400_000),
            format!("a LOGIN {{19000+}}\r\n{}", "x".repeat(400_000)),
            "a LOGIN ".to_owned() + &"{1+}\r\nx".repeat(60_000),
            "a LOGIN \"".to_owned() + &"\\\"".repeat(200_000),
        ] {
            let mut host = Host { unread: bound + 1, ..host() };
            let (mut out, mut buffer, mut most) = (BytesMut::new(), Vec::new(), 0);
            let mut session = host.session(&mut out);
            for piece in format!("{login}{flood}\r\nb NOOP\r\n").as_bytes().chunks(1_000) {
                buffer.extend_from_slice(piece);
                let mut input = &buffer[..];
                host.serve(&mut session, Duration::ZERO, &mut input, &mut out);
                let used = buffer.len() - input.len();
                buffer.drain(..used);
                if session.closed().is_some() {
                    break;
                }
                most = most.max(buffer.len());
            }
            assert!(most <= bound, "{most} for {login:?} {}", &flood[..20]);
        }
    }
}

#[test]
fn lists_of_a_command_are_short() {
    // Each pattern is kept as a value of its own: sixty thousand of them took more than a megabyte.
    let list = |count: usize| format!("LIST \"\" ({}a)", "a ".repeat(count - 1));
    assert!(selected(&list(1_000)).starts_with("a OK"));
    assert!(selected(&list(1_001)).starts_with("a BAD expected a shorter list"));
    let id = |count: usize| format!("ID ({}\"a\" NIL)", "\"a\" NIL ".repeat(count - 1));
    assert!(selected(&id(100)).starts_with("a OK"));
    assert!(selected(&id(101)).starts_with("a BAD expected a shorter list"));
}

// Ledger: 3501-9-4, 9051-9-4
#[test]
fn nul_is_refused_wherever_it_stands() {
    let command = "a LOGIN \"us\" {3+}\r\nabc\r\n";
    for at in 2..command.len() - 1 {
        let mut input = command.as_bytes().to_vec();
        input[at] = 0;
        let (log, _, _) = host().run(&[&input, b"b NOOP\r\n"]);
        assert!(!log.iter().any(|event| event.starts_with("Login")), "{at}: {log:?}");
    }
}

#[test]
fn commands_of_any_shape_take_linear_time() {
    // Sixty-four times the octets take sixty-four times the time, or four thousand times if it is not linear: there is
    // room in between for a machine that is busy.
    let shapes: [fn(usize) -> String; 5] = [
        |size| format!("a SEARCH {}", "OR ALL ".repeat(20) + &"(ALL) ".repeat(size / 6) + "ALL"),
        |size| format!("a FETCH {} FLAGS", "1,".repeat(size / 2) + "1"),
        |size| format!("a STORE 1 FLAGS ({}x)", "\\a ".repeat(size / 3)),
        |size| format!("a LOGIN \"{}\" x", "\\\"".repeat(size / 2)),
        |size| format!("a ID ({}\"a\" \"b\")", "\"a\" \"b\" ".repeat(size / 8)),
    ];
    #[allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "time is what is measured")]
    let time = |text: &str| {
        let best = (0..5).map(|_| {
            let start = std::time::Instant::now();
            let _ = core::hint::black_box(Command::parse(text.as_bytes(), Extensions::all(), Names::Utf7));
            start.elapsed()
        });
        best.min().expect("five of them")
    };
    for shape in shapes {
        let (small, large) = (time(&shape(5_000)), time(&shape(320_000)));
        assert!(large < small * 640 + Duration::from_millis(1), "{small:?} {large:?} {}", &shape(100));
    }
}
