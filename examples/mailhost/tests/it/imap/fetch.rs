//! FETCH, octet for octet.

use mailhost::listener::Service;

use super::{Imap, Said, site};
use crate::support::Wire;

const MULTIPART: &str = "From: Ann <ann@example.test>\r\nTo: ben@example.test\r\nSubject: two parts\r\n\
    Date: Mon, 7 Feb 1994 21:52:25 -0800\r\nMessage-ID: <1@example.test>\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\npreamble\r\n--b\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: base64\r\n\r\naGVsbG8AIQ==\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
    Subject: within\r\n\r\ninner\r\n--b--\r\nepilogue\r\n";

/// What follows the name of a literal in the only FETCH there is.
#[track_caller]
fn octets(said: &Said, name: &str) -> Vec<u8> {
    let data = said.data.concat();
    let at = memchr::memmem::find(&data, name.as_bytes())
        .unwrap_or_else(|| panic!("no {name}: {:?}", said.lines()));
    let rest = &data[at + name.len()..];
    let open = rest.iter().position(|octet| *octet == b'{').expect("a literal");
    let close = rest.iter().position(|octet| *octet == b'}').expect("a literal");
    let size: usize = std::str::from_utf8(&rest[open + 1..close]).unwrap().parse().unwrap();
    rest[close + 3..close + 3 + size].to_vec()
}

#[test]
fn every_item_is_told() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.append("INBOX (\\Seen) \"07-Feb-1994 21:52:25 -0800\"", MULTIPART);
    imap.ok("SELECT INBOX");
    let said = imap.ok("FETCH 1 ALL");
    let size = MULTIPART.len();
    assert_eq!(
        said.lines(),
        [format!(
            "1 FETCH (FLAGS (\\Seen) INTERNALDATE \" 8-Feb-1994 05:52:25 +0000\" RFC822.SIZE {size} ENVELOPE (\
             \"Mon, 7 Feb 1994 21:52:25 -0800\" \"two parts\" ((\"Ann\" NIL \"ann\" \"example.test\")) \
             ((\"Ann\" NIL \"ann\" \"example.test\")) ((\"Ann\" NIL \"ann\" \"example.test\")) \
             ((NIL NIL \"ben\" \"example.test\")) NIL NIL NIL \"<1@example.test>\"))"
        )]
    );
    let said = imap.ok("UID FETCH 1 BODYSTRUCTURE");
    assert_eq!(
        said.lines(),
        [
            "1 FETCH (UID 1 BODYSTRUCTURE ((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"base64\" 12 0 NIL NIL NIL NIL)\
          (\"message\" \"rfc822\" NIL NIL NIL \"7BIT\" 24 (NIL \"within\" NIL NIL NIL NIL NIL NIL NIL NIL) \
          (\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 5 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL) \
          \"mixed\" (\"boundary\" \"b\") NIL NIL NIL))"
        ]
    );
    let full = imap.ok("FETCH 1 FULL").lines().remove(0);
    assert!(
        full.contains(" BODY ((\"text\" \"plain\" (\"charset\" \"utf-8\") NIL NIL \"base64\" 12 0)"),
        "{full}"
    );
    assert!(full.ends_with(" 2) \"mixed\"))"), "{full}");
}

#[test]
fn every_section_is_what_it_names() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.append("INBOX", MULTIPART);
    imap.ok("EXAMINE INBOX");
    let (header, text) = MULTIPART.split_at(MULTIPART.find("preamble").unwrap());
    let first = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n";
    for (section, expected) in [
        ("BODY[]", MULTIPART),
        ("BODY[HEADER]", header),
        ("BODY[TEXT]", text),
        ("BODY[1]", "aGVsbG8AIQ=="),
        ("BODY[1.MIME]", first),
        ("BODY[2]", "Subject: within\r\n\r\ninner"),
        ("BODY[2.HEADER]", "Subject: within\r\n\r\n"),
        ("BODY[2.TEXT]", "inner"),
        ("BODY[2.1]", "inner"),
        ("BODY[HEADER.FIELDS (SUBJECT to)]", "To: ben@example.test\r\nSubject: two parts\r\n\r\n"),
        ("BODY[2.HEADER.FIELDS.NOT (subject)]", "\r\n"),
        ("RFC822", MULTIPART),
        ("RFC822.HEADER", header),
        ("RFC822.TEXT", text),
        ("BINARY[1]", "hello\0!"),
    ] {
        let said = imap.ok(format!("FETCH 1 {section}"));
        let got = octets(&said, &format!("{section} "));
        assert_eq!(String::from_utf8_lossy(&got), expected, "{section}");
    }
    for (section, expected) in [
        ("BODY.PEEK[]<3.10>", &MULTIPART[3..13]),
        ("BODY.PEEK[1]<10.100>", "=="),
        ("BODY.PEEK[1]<12.1>", ""),
        ("BODY.PEEK[TEXT]<99999.1>", ""),
        ("BODY.PEEK[HEADER.FIELDS (Subject)]<9.3>", "two"),
        ("BINARY.PEEK[1]<4.2>", "o\0"),
    ] {
        let said = imap.ok(format!("FETCH 1 {section}"));
        let origin = format!("<{}> ", section.split_once('<').unwrap().1.split_once('.').unwrap().0);
        assert_eq!(String::from_utf8_lossy(&octets(&said, &origin)), expected, "{section}");
    }
    let several = imap.ok("FETCH 1 (BODY[1] UID BODY[2.TEXT] BINARY.SIZE[1] BODY[7] FLAGS)");
    assert_eq!(
        several.lines(),
        [
            "1 FETCH (BODY[1] {12}\r\naGVsbG8AIQ== UID 1 BODY[2.TEXT] {5}\r\ninner BINARY.SIZE[1] 7 BODY[7] NIL FLAGS ())"
        ]
    );
    assert_eq!(imap.ok("FETCH 1 BODY[3.TEXT]").lines(), ["1 FETCH (BODY[3.TEXT] NIL)"]);
}

#[test]
fn who_fetches_a_message_has_seen_it() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    for _ in 0..3 {
        imap.append("INBOX", "Subject: x\r\n\r\ny\r\n");
    }
    imap.ok("SELECT INBOX");
    assert_eq!(imap.ok("FETCH 1 (BODY.PEEK[] BODY.PEEK[TEXT] RFC822.HEADER FLAGS)").lines().len(), 1);
    assert!(imap.ok("STATUS INBOX (UNSEEN)").has("STATUS INBOX (UNSEEN 3)"));
    let said = imap.ok("FETCH 1:2 BODY[TEXT]");
    assert_eq!(
        said.lines(),
        [
            "1 FETCH (FLAGS (\\Seen) BODY[TEXT] {3}\r\ny\r\n)",
            "2 FETCH (FLAGS (\\Seen) BODY[TEXT] {3}\r\ny\r\n)"
        ]
    );
    assert_eq!(imap.ok("FETCH 1 BODY[TEXT]").lines(), ["1 FETCH (BODY[TEXT] {3}\r\ny\r\n)"]);
    // What is told has been kept.
    host.kill();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    assert!(imap.ok("STATUS INBOX (UNSEEN)").has("STATUS INBOX (UNSEEN 1)"));
}

#[test]
fn mail_that_came_by_smtp_is_given_back_octet_for_octet() {
    let site = site();
    let host = site.start();
    let line = "A line of a large message, which goes through in slices.\r\n";
    let large = format!("Subject: large\r\n\r\n{}", line.repeat(40_000));
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    for message in [MULTIPART, &large] {
        smtp.deliver(&["anna@example.test"], message);
    }
    let mut imap = Imap::anna(&host);
    imap.ok("SELECT INBOX");
    for (number, message) in [(1, MULTIPART), (2, &*large)] {
        let said = imap.ok(format!("FETCH {number} (RFC822.SIZE BODY.PEEK[])"));
        let whole = octets(&said, "BODY[] ");
        assert!(whole.ends_with(message.as_bytes()));
        assert!(
            whole.starts_with(
                b"Return-Path: <carla@far.test>\r\nDelivered-To: anna@example.test\r\nReceived: "
            )
        );
        assert!(said.lines()[0].contains(&format!("RFC822.SIZE {} ", whole.len())));
        let header = octets(&imap.ok(format!("FETCH {number} BODY.PEEK[HEADER]")), "[HEADER] ");
        let text = octets(&imap.ok(format!("FETCH {number} BODY.PEEK[TEXT]")), "[TEXT] ");
        assert!([header, text].concat() == whole);
        // A part of what is large, from somewhere within.
        let part = octets(&imap.ok(format!("FETCH {number} BODY.PEEK[]<300.70000>")), "<300> ");
        assert!(part == whole[300..whole.len().min(70_300)]);
    }
    let said = imap.ok("FETCH 1 BODY[1]");
    assert_eq!(octets(&said, "BODY[1] "), b"aGVsbG8AIQ==");
    let body = large.split_once("\r\n\r\n").unwrap().1.as_bytes();
    let said = imap.ok("FETCH 2 (BINARY.PEEK[1] BINARY.SIZE[1])");
    assert!(octets(&said, "BINARY[1] ") == body);
    assert!(said.lines()[0].ends_with(&format!(" BINARY.SIZE[1] {})", body.len())));
    let said = imap.ok("FETCH 2 BINARY.PEEK[1]<100000.200000>");
    assert!(octets(&said, "<100000> ") == body[100_000..300_000]);
}

#[test]
fn what_cannot_be_decoded_is_said_and_the_rest_is_told() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.append("INBOX", "Content-Transfer-Encoding: x-unheard\r\n\r\n?\r\n");
    imap.append("INBOX", "Subject: good\r\n\r\n!\r\n");
    imap.append("INBOX", MULTIPART);
    imap.ok("EXAMINE INBOX");
    let said = imap.no("FETCH 1:2 BINARY[1]");
    assert!(said.starts_with("NO [UNKNOWN-CTE] "), "{}", said.end);
    assert_eq!(said.lines(), ["2 FETCH (BINARY[1] ~{3}\r\n!\r\n)"]);
    imap.refused("FETCH 3 BINARY[2]", "CANNOT");
    imap.bad("FETCH 0 FLAGS");
    imap.bad("FETCH 4 FLAGS");
    imap.bad("FETCH 1 UNHEARD");
    assert_eq!(imap.ok("UID FETCH 4:9 FLAGS").lines(), Vec::<String>::new());
    assert_eq!(imap.ok("UID FETCH 99:* UID").lines(), ["3 FETCH (UID 3)"]);
    imap.ok("SELECT Junk");
    imap.bad("FETCH 1:* FLAGS");
    assert_eq!(imap.ok("UID FETCH 1:* FLAGS").lines(), Vec::<String>::new());
}
