//! What the RFCs demand of both sides, where no other test looks at it.

use core::time::Duration;

use bytes::BytesMut;
use imap_codec::client::{ClientConfig, ClientSession};
use imap_codec::command::{Append, Command, Password, Verb};
use imap_codec::encode::Names;
use imap_codec::error::SendError;
use imap_codec::extension::list_extended::List;
use imap_codec::extension::{Capabilities, Extensions};
use imap_codec::response::{Code, Data, Fetch, FetchItem, Response};
use imap_codec::server::{Event, ServerConfig};
use imap_codec::types::{Atom, Flag, Flags, IString, Mailbox};

use crate::{Host, number};

fn host() -> Host {
    Host::new(Extensions::all())
}

fn command(line: &str) -> Command<'_> {
    Command::parse(line.as_bytes(), Extensions::all(), Names::Utf7).expect(line)
}

fn response(line: &str) -> Response<'_> {
    Response::parse(line.as_bytes(), Names::Utf7).expect(line)
}

/// Logged in without TLS at a server with these capabilities.
fn client(words: &str) -> ClientSession {
    let mut out = BytesMut::new();
    let mut session = ClientSession::new(ClientConfig::new().plaintext_auth(), Duration::ZERO, &mut out);
    hears(&mut session, &format!("* PREAUTH [CAPABILITY {words}] hello\r\n"));
    session
}

fn hears(session: &mut ClientSession, text: &str) -> String {
    let (mut input, mut out) = (text.as_bytes(), BytesMut::new());
    while session.receive(Duration::ZERO, &mut input, &mut out).is_some() {}
    String::from_utf8(out.to_vec()).expect("ASCII")
}

// Ledger: 3501-6.1.1-1, 3501-6.1.1-2, 5161-3.1-1, 5161-3.1-2, 5161-3.1-4, 5161-3.1-6, 5161-3.1-7, 5161-4-1
// Ledger: 9051-6.1.1-1, 9051-6.1.1-2, 9051-6.3.1-1, 9051-6.3.1-2, 9051-6.3.1-4, 9051-6.3.1-6, 9051-6.3.1-7
#[test]
fn enable_takes_what_can_be_enabled_and_changes_no_capabilities() {
    let said = host().talk_in(
        "a CAPABILITY\r\nb ENABLE IDLE X-UNKNOWN condstore imap4REV2\r\nc CAPABILITY\r\nd ENABLE MOVE\r\n",
    );
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[2..4], ["* ENABLED IMAP4rev2 CONDSTORE", "b OK ENABLE completed"]);
    assert!(lines[0].starts_with("* CAPABILITY IMAP4rev1 IMAP4rev2 "), "{said}");
    assert_eq!(lines[4], lines[0]);
    assert_eq!(lines[6..], ["* ENABLED", "d OK ENABLE completed"]);
}

// Ledger: 5161-3.1-5, 9051-6.3.1-5
#[test]
fn a_client_enables_before_it_selects_and_not_after() {
    let enable = Verb::Enable(Capabilities::new([Atom::new("CONDSTORE").unwrap()]));
    let mut out = BytesMut::new();
    let mut session = client("IMAP4rev1 ENABLE CONDSTORE");
    assert!(session.send(&enable, &mut out).is_ok());
    hears(&mut session, "* ENABLED CONDSTORE\r\na1 OK\r\n");
    session.send(&Verb::Select(Mailbox::INBOX.into()), &mut out).expect("may be sent");
    hears(&mut session, "a2 OK\r\n");
    assert_eq!(session.send(&enable, &mut out), Err(SendError::State));
    session.send(&Verb::Close, &mut out).expect("may be sent");
    hears(&mut session, "a3 OK\r\n");
    assert_eq!(session.send(&enable, &mut out), Err(SendError::State), "once is enough");
}

// Ledger: 3501-4.3-2, 7888-5-1, 7888-5-2, 9051-4.3-3, 9051-4.3-4, 9051-4.3-5
#[test]
fn under_literal_minus_a_client_waits_with_more_than_4096_octets() {
    let append = Append { mailbox: Mailbox::INBOX, flags: Flags::default(), date: None };
    for (words, size, head) in [
        ("LITERAL-", 4_096, "{4096+}"),
        ("LITERAL-", 4_097, "{4097}"),
        ("LITERAL- LITERAL+", 4_097, "{4097+}"),
        ("IMAP4rev2", 4_096, "{4096+}"),
        ("IMAP4rev2", 4_097, "{4097}"),
    ] {
        let mut session = client(&format!("IMAP4rev1 {words}"));
        let mut out = BytesMut::new();
        session.append(&append, size, &mut out).expect("may be sent");
        assert_eq!(out, format!("a1 APPEND INBOX {head}\r\n"));
        hears(&mut session, "");
        assert_eq!(session.append_left().is_some(), head.contains('+'), "{words} {size}");
    }
    // Also where there is nothing to wait for.
    let mut session = client("IMAP4rev1");
    let mut out = BytesMut::new();
    session.append(&append, 0, &mut out).expect("may be sent");
    assert_eq!((&out[..], hears(&mut session, "")), (&b"a1 APPEND INBOX {0}\r\n"[..], String::new()));
    assert_eq!(hears(&mut session, "+ \r\n"), "\r\n");
}

// Ledger: 5258-3-6, 5258-3.1-5, 9051-6.3.9-7, 9051-6.3.9.1-5
#[test]
fn a_client_sends_no_option_of_list_that_is_not_announced_or_stands_alone() {
    let list = |line: &'static str| match command(line).verb {
        Verb::List(list) => list,
        other => panic!("{other:?}"),
    };
    let sends =
        |words: &str, list: List<'static>| client(words).send(&Verb::List(list), &mut BytesMut::new());
    let subscribed = || list("a LIST (SUBSCRIBED) \"\" *");
    assert_eq!(sends("IMAP4rev1", subscribed()), Err(SendError::NotAnnounced));
    assert!(sends("IMAP4rev1 LIST-EXTENDED", subscribed()).is_ok());
    let status = || list("a LIST \"\" * RETURN (STATUS (MESSAGES))");
    assert_eq!(sends("IMAP4rev1 LIST-EXTENDED", status()), Err(SendError::NotAnnounced));
    assert!(sends("IMAP4rev1 LIST-STATUS", status()).is_ok());
    let mut alone = subscribed();
    alone.select.recursive_match = true;
    assert!(sends("IMAP4rev2", alone.clone()).is_ok());
    alone.select.subscribed = false;
    assert!(sends("IMAP4rev2", alone.clone()).is_err());
    alone.select.remote = true;
    assert!(sends("IMAP4rev2", alone).is_err());
}

// Ledger: 5258-3-7, 5258-3-8, 5258-3.1-6, 7162-3.2.3-5, 7162-3.2.5-1, 7162-3.2.6-1, 7162-3.2.6-2, 7162-3.2.6-4
// Ledger: 9051-6.3.9-8, 9051-6.3.9-9, 9051-6.3.9.1-6, 9051-6.4.4-1
#[test]
fn options_that_a_server_does_not_know_are_bad_and_those_said_twice_are_one() {
    for bad in [
        "LIST (FOO) \"\" *",
        "LIST (SUBSCRIBED FOO) \"\" *",
        "LIST \"\" * RETURN (FOO)",
        "LIST (RECURSIVEMATCH) \"\" *",
        "LIST (REMOTE RECURSIVEMATCH) \"\" *",
        "SEARCH RETURN (FOO) ALL",
        "SELECT inbox (FOO)",
        // QRESYNC is not here, so nobody can have enabled it.
        "SELECT inbox (QRESYNC (67890007 20050715194045000))",
        "UID FETCH 1 (FLAGS) (VANISHED)",
        "UID FETCH 1 (FLAGS) (CHANGEDSINCE 12345 VANISHED)",
        "FETCH 1 (FLAGS) (CHANGEDSINCE 12345 VANISHED)",
    ] {
        let said = host().talk_in(format!("s SELECT inbox\r\na {bad}\r\n"));
        assert!(said.lines().last().is_some_and(|line| line.starts_with("a BAD ")), "{bad}: {said}");
    }
    for (twice, once) in [
        ("LIST (SUBSCRIBED SUBSCRIBED) \"\" *", "LIST (SUBSCRIBED) \"\" *"),
        ("LIST \"\" * RETURN (CHILDREN CHILDREN)", "LIST \"\" * RETURN (CHILDREN)"),
        ("SEARCH RETURN (MIN MIN) ALL", "SEARCH RETURN (MIN) ALL"),
    ] {
        assert_eq!(command(&format!("a {twice}")), command(&format!("a {once}")));
    }
}

// Ledger: 3501-9-3, 4731-4-1, 5161-4-1, 5182-3-1, 6851-5-1, 7162-7-1, 9051-9-3, 9208-7-1
#[test]
fn keywords_have_no_case() {
    for line in [
        "SELECT INBOX (CONDSTORE)",
        "EXAMINE INBOX",
        "CREATE 1 (USE (\\SENT))",
        "LIST (SUBSCRIBED REMOTE RECURSIVEMATCH SPECIAL-USE) \"\" % RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)",
        "LIST \"\" (% 1) RETURN (STATUS (MESSAGES UIDNEXT UIDVALIDITY UNSEEN DELETED SIZE HIGHESTMODSEQ DELETED-STORAGE))",
        "LSUB \"\" %",
        "APPEND INBOX (\\SEEN) \"17-JUL-1996 02:44:25 -0700\" ",
        "IDLE",
        "GETQUOTA 1",
        "GETQUOTAROOT INBOX",
        "SETQUOTA 1 (STORAGE 5)",
        "UID EXPUNGE 1",
        "SEARCH RETURN (MIN MAX ALL COUNT SAVE) OR NOT SEEN UNDELETED LARGER 5 SINCE 1-FEB-1994 UID 1 $",
        "UID SEARCH MODSEQ 5 HEADER 1 2 KEYWORD 3",
        "SEARCH MODSEQ \"1\" PRIV 5",
        "UID FETCH 1 (FLAGS ENVELOPE BODY.PEEK[1.MIME]<0.5> BODY[HEADER.FIELDS.NOT (1)] MODSEQ) (CHANGEDSINCE 5)",
        "FETCH 1 FULL",
        "STORE 1 (UNCHANGEDSINCE 5) +FLAGS.SILENT (\\DELETED)",
        "UID MOVE 1 INBOX",
        "LOGOUT",
    ] {
        let line = format!("1 {line}");
        assert_eq!(command(&line.to_lowercase()), command(&line));
    }
    for line in [
        "* OK [HIGHESTMODSEQ 5]",
        "* OK [COPYUID 1 2 3]",
        "1 NO [OVERQUOTA]",
        "1 OK [MODIFIED 5]",
        "* ESEARCH (TAG \"1\") UID MIN 1 MAX 5 COUNT 2 ALL 1,5 MODSEQ 9",
        "* SEARCH 1 (MODSEQ 5)",
        "* LIST (\\NONEXISTENT) \"/\" 1 (\"CHILDINFO\" (\"SUBSCRIBED\"))",
        "* STATUS 1 (MESSAGES 5 HIGHESTMODSEQ 7)",
        "* QUOTA 1 (STORAGE 10 512)",
        "* QUOTAROOT INBOX 1",
        "* 1 FETCH (UID 5 MODSEQ (7) FLAGS (\\SEEN))",
        "* 1 EXPUNGE",
    ] {
        assert_eq!(response(&line.to_lowercase()), response(line));
    }
}

// Ledger: 9208-3.1.2-1, 9208-3.1.2-3
#[test]
fn quotas_and_mod_sequences_have_63_bits() {
    for (number, fits) in [("0", true), ("9223372036854775807", true), ("9223372036854775808", false)] {
        let said = host().talk_in(format!("a SETQUOTA 1 (STORAGE {number})\r\n"));
        assert!(said.starts_with(if fits { "a OK" } else { "a BAD" }), "{said}");
        for line in [
            format!("* QUOTA 1 (STORAGE {number} 5)"),
            format!("* QUOTA 1 (STORAGE 5 {number})"),
            format!("* OK [HIGHESTMODSEQ {number}]"),
            format!("* 1 FETCH (MODSEQ ({number}))"),
        ] {
            let read = Response::parse(line.as_bytes(), Names::Utf7);
            let known = match &read {
                Ok(Response::Untagged(Data::Status(status))) => {
                    matches!(status.code, Some(Code::HighestModSeq(_)))
                }
                other => other.is_ok(),
            };
            assert_eq!(known, fits, "{line}: {read:?}");
        }
    }
}

// Ledger: 3501-7.2.1-7, 3501-7.4.2-6, 3501-9-5, 3501-9-13, 5258-3-13, 7162-7-2, 9051-7.1-6, 9051-7.2.2-7
// Ledger: 9051-7.3.1-6, 9051-7.5.2-9, 9051-9-5, 9051-9-12
#[test]
fn what_a_client_does_not_know_in_a_response_is_read_over() {
    let structure = |line: &str| match response(line) {
        Response::Untagged(Data::Fetch(fetch)) => fetch.items.len(),
        other => panic!("{other:?}"),
    };
    let part = "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 5 1 NIL NIL NIL NIL \"new\" (5 (NIL \"x\")))";
    assert_eq!(structure(&format!("* 1 FETCH (BODYSTRUCTURE {part} UID 5)")), 2);
    let multipart = format!("({part}{part} \"MIXED\" NIL NIL NIL NIL (1 (2)) \"new\")");
    assert_eq!(structure(&format!("* 1 FETCH (UID 5 BODYSTRUCTURE {multipart})")), 2);
    let Response::Untagged(Data::Flags(flags)) = response("* FLAGS (\\Seen \\New $x)") else {
        panic!("flags")
    };
    assert!(flags.contains(&Flag::new("\\New").unwrap()));
    let Response::Untagged(Data::List(entry)) =
        response("* LIST (\\New) \"/\" x (\"X-NEW\" (1 (\"a\" b)) CHILDINFO (\"SUBSCRIBED\"))")
    else {
        panic!("a mailbox");
    };
    assert!(entry.child_subscribed);
    let Response::Untagged(Data::Esearch(found)) = response("* ESEARCH (TAG \"1\") X-NEW (5 6:7) COUNT 3")
    else {
        panic!("a result");
    };
    assert_eq!(found.count, Some(3));
    let Response::Tagged(_, status) = response("1 OK [X-NEW 5 (a)] done") else { panic!("a status") };
    assert!(matches!(status.code, Some(Code::Other(..))) && status.text.as_str() == "done");
    let Response::Untagged(Data::Capability(words)) = response("* CAPABILITY X-NEW=5 IMAP4rev1 X") else {
        panic!("capabilities");
    };
    assert!(words.contains("IMAP4rev1"));
}

// Ledger: 3501-7.4.2-5, 3501-7.4.2-7, 3501-7.4.2-8, 3501-9-6, 3501-9-7, 3501-9-8, 9051-7.5.2-8, 9051-7.5.2-10
// Ledger: 9051-7.5.2-11, 9051-9-6, 9051-9-7, 9051-9-8
#[test]
fn body_has_none_of_what_bodystructure_adds() {
    let part =
        "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 5 1 \"md5\" (\"inline\" (\"x\" \"y\")) \"de\" \"here\")";
    let short = "(\"TEXT\" \"PLAIN\" NIL NIL NIL \"7BIT\" 5 1)";
    for (whole, plain) in [
        (part.to_owned(), short.to_owned()),
        (
            format!(
                "({part}{part} \"MIXED\" (\"boundary\" \"x\") (\"inline\" NIL) (\"de\" \"en\") \"here\")"
            ),
            format!("({short}{short} \"MIXED\")"),
        ),
    ] {
        let line = format!("* 1 FETCH (BODYSTRUCTURE {whole})");
        let Response::Untagged(Data::Fetch(fetch)) = response(&line) else { panic!("{line}") };
        let Some(FetchItem::BodyStructure(structure)) = fetch.items.iter().next() else { panic!("{line}") };
        let said = |item: FetchItem<'_>| {
            let (items, mut out) = ([item], BytesMut::new());
            Response::Untagged(Data::Fetch(Fetch::new(number(1), &items))).encode(Names::Utf7, &mut out);
            String::from_utf8_lossy(&out).into_owned()
        };
        // In this order, and nothing behind it.
        assert_eq!(said(FetchItem::BodyStructure(structure.clone())), format!("{line}\r\n"));
        assert_eq!(said(FetchItem::Body(structure.clone())), format!("* 1 FETCH (BODY {plain})\r\n"));
    }
}

// Ledger: 3501-6.4.5-3, 9051-6.4.5.1-2
#[test]
fn mime_needs_a_part() {
    for section in ["MIME", "1.MIME", "1.2.MIME", "HEADER.MIME", "MIME.1"] {
        let line = format!("a FETCH 1 BODY[{section}]");
        let read = Command::parse(line.as_bytes(), Extensions::all(), Names::Utf7).is_ok();
        assert_eq!(read, section.starts_with('1'), "{section}");
    }
}

// Ledger: 9051-2.2.1-1
#[test]
fn tags_may_be_used_again() {
    assert_eq!(host().talk("a X\r\na X\r\n").matches("a BAD ").count(), 2);
    let said = host().talk_in("a NOOP\r\na NOOP\r\n");
    assert_eq!(said.matches("a OK done\r\n").count(), 2, "{said}");
}

// Ledger: 9051-6.2.1-1
#[test]
fn starttls_is_bad_where_tls_is_on_from_the_first_octet() {
    let config = ServerConfig::new(Extensions::rev2()).starttls().implicit_tls();
    assert_eq!(Host::with(config).talk("a STARTTLS\r\n"), "a BAD no STARTTLS here\r\n");
}

// Ledger: 2595-3.1-1, 3501-3.1-1, 3501-6.2.1-1, 9051-3.1-1, 9051-6.2.1-2
#[test]
fn what_a_client_may_not_say_yet_it_does_not() {
    let mut out = BytesMut::new();
    let mut session = ClientSession::new(ClientConfig::new(), Duration::ZERO, &mut out);
    let select = Verb::Select(Mailbox::INBOX.into());
    assert_eq!(session.send(&Verb::Noop, &mut out), Err(SendError::State), "before the greeting");
    hears(&mut session, "* OK [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n");
    assert_eq!(session.send(&select, &mut out), Err(SendError::State), "before a login");
    session.starttls(&mut out).expect("may be sent");
    assert_eq!(session.send(&Verb::Noop, &mut out), Err(SendError::Busy), "before the answer to STARTTLS");
    hears(&mut session, "a1 OK go\r\n");
    assert_eq!(session.send(&Verb::Noop, &mut out), Err(SendError::State), "before TLS");
    session.handle_tls_started(Duration::ZERO);
    hears(&mut session, "* CAPABILITY IMAP4rev1\r\n");
    assert_eq!(&out[..], b"a1 STARTTLS\r\n");
}

// Ledger: 3501-7.4.1-1, 9051-7.5.1-1
#[test]
fn expunge_waits_for_the_end_of_what_goes_by_sequence_numbers() {
    for (line, may) in [
        ("FETCH 1 FLAGS", false),
        ("STORE 1 FLAGS ()", false),
        ("SEARCH ALL", false),
        ("UID FETCH 1 FLAGS", true),
        ("UID STORE 1 FLAGS ()", true),
        ("UID SEARCH ALL", true),
        ("NOOP", true),
        ("MOVE 1 x", true),
    ] {
        let (mut host, mut out) = (host(), BytesMut::new());
        let mut session = host.session(&mut out);
        host.serve(
            &mut session,
            Duration::ZERO,
            &mut &b"l LOGIN user secret\r\ns SELECT inbox\r\n"[..],
            &mut out,
        );
        out.clear();
        let line = format!("a {line}\r\n");
        let mut input = line.as_bytes();
        let Some(Event::Command(_, mut answer)) = session.receive(Duration::ZERO, &mut input, &mut out)
        else {
            panic!("{line}");
        };
        assert_eq!(answer.untagged(&Data::Expunge(number(1)), &mut out), may, "{line}");
        assert_eq!(&out[..], if may { &b"* 1 EXPUNGE\r\n"[..] } else { b"" }, "{line}");
    }
}

#[test]
fn a_mechanism_that_takes_no_initial_response_can_say_so() {
    let (host, mut out) = (host(), BytesMut::new());
    let mut session = host.session(&mut out);
    out.clear();
    let mut input = &b"a AUTHENTICATE PLAIN AAAA\r\n"[..];
    let Some(Event::Authenticate(login)) = session.receive(Duration::ZERO, &mut input, &mut out) else {
        panic!("a login");
    };
    login.bad("no initial response here", &mut out);
    assert_eq!(&out[..], b"a BAD no initial response here\r\n");
}

/// A server that says "+" to LOGIN without a literal was told "*", which it had to take for a command.
#[test]
fn a_continuation_that_nobody_waits_for_is_no_challenge() {
    let mut out = BytesMut::new();
    let mut session = ClientSession::new(ClientConfig::new().plaintext_auth(), Duration::ZERO, &mut out);
    hears(&mut session, "* OK [CAPABILITY IMAP4rev1] hello\r\n");
    let text = |text| IString::try_from(text).expect("a string");
    let login = Verb::Login { user: text("ann"), password: Password(text("secret")) };
    session.send(&login, &mut out).expect("may be sent");
    assert_eq!(hears(&mut session, "+ go on\r\n"), "");
    assert_eq!(hears(&mut session, "a1 OK [CAPABILITY IMAP4rev1] in\r\n"), "");
    assert!(session.is_authenticated());
}

// Ledger: 3501-9-1, 3501-9-15, 9051-9-1, 9051-9-14
#[test]
fn inbox_is_inbox_in_any_case() {
    for name in ["INBOX", "inbox", "iNbOx", "\"InBox\"", "{5+}\r\niNBOX"] {
        let line = format!("a SELECT {name}");
        let Verb::Select(select) = command(&line).verb else { panic!("{line}") };
        assert!(select.mailbox.is_inbox() && select.mailbox == Mailbox::INBOX, "{name}");
    }
}
