use mailhost::listener::Service;

use super::super::{Imap, site};
use super::{filled, those};
use crate::support::Wire;

const NESTED: &str = "Subject: nested\r\nContent-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\nfirst\r\n--a\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nsecond\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n\
    Subject: within\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nthird\r\n--c\r\n\
    Content-Type: image/x\r\nContent-Transfer-Encoding: base64\r\n\r\nAAH/\r\n--c--\r\n--b--\r\n--a--\r\n";

// Ledger: 9051-6.4.5.1-1, 3501-6.4.5-2, 9051-4.3-7, 9051-7.5.2-6, 3501-4.3-3, 3501-7.4.2-3, 9051-7.5.2-5, 3501-7.4.2-1
#[test]
fn parts_are_numbered_through_all_levels_and_come_as_they_are_encoded() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.append("INBOX", NESTED);
    imap.ok("EXAMINE INBOX");
    for (part, text) in [("1", "first"), ("2.1", "second"), ("2.2.1", "third"), ("2.2.2", "AAH/")] {
        let said = imap.ok(format!("FETCH 1 BODY[{part}]")).lines();
        assert_eq!(said, [format!("1 FETCH (BODY[{part}] {{{}}}\r\n{text})", text.len())]);
        let said = imap.ok(format!("FETCH 1 BODY[{part}]<1.2>")).lines();
        assert_eq!(said, [format!("1 FETCH (BODY[{part}]<1> {{2}}\r\n{})", &text[1..3])]);
    }
    let said = imap.ok("FETCH 1 BODY[2.2.HEADER.FIELDS (Subject)]").lines();
    assert!(said[0].ends_with("{19}\r\nSubject: within\r\n\r\n)"), "{said:?}");
    assert_eq!(imap.ok("FETCH 1 BODY[2.3]").lines(), ["1 FETCH (BODY[2.3] NIL)"]);
    // Only where it is asked for, octets that are no text.
    assert_eq!(imap.ok("FETCH 1 BINARY[2.2.2]").data, [&b"1 FETCH (BINARY[2.2.2] ~{3}\r\n\0\x01\xff)"[..]]);
    // What no message can have does not come in, on any way.
    let said = imap.append("INBOX", "Subject: x\r\n\r\n\0\r\n");
    assert!(said.starts_with("NO "), "{}", said.end);
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    let reply = smtp.offer("carla@far.test", &["anna@example.test"], "Subject: x\r\n\r\n\0\r\n");
    assert!(reply.starts_with('5'), "{reply}");
    // What is large and goes through in slices has no origin either.
    let large = format!("Subject: large\r\n\r\n{}", "0123456789 abcdef\r\n".repeat(20_000));
    imap.append("INBOX", &large);
    let said = imap.ok("FETCH 2 BODY[]").data.concat();
    assert!(said.starts_with(format!("2 FETCH (BODY[] {{{}}}\r\nSubject: ", large.len()).as_bytes()));
}

const ENCODED: &str = "Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\r\none =\r\nline\r\n=E4nother\r\n\r\n--a\r\n\
    Content-Transfer-Encoding: base64\r\n\r\naGVsbG8NCnlvdQ0K\r\n--a\r\n\
    Content-Transfer-Encoding: x-unheard\r\n\r\n?\r\n--a\r\n\r\nplain\r\ntext\r\n--a--\r\n";

// Ledger: 9051-7.5.2-1, 9051-7.5.2-2, 9051-7.5.2-3, 9051-7.5.2-4
#[test]
fn decoded_parts_are_as_long_as_they_are_said_to_be() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.append("INBOX", ENCODED);
    imap.ok("EXAMINE INBOX");
    for (part, text) in
        [(1, &b"one line\r\n\xe4nother\r\n"[..]), (2, b"hello\r\nyou\r\n"), (4, b"plain\r\ntext")]
    {
        let size = text.len();
        assert_eq!(
            imap.ok(format!("FETCH 1 BINARY.SIZE[{part}]")).lines(),
            [format!("1 FETCH (BINARY.SIZE[{part}] {size})")]
        );
        let expected = [format!("1 FETCH (BINARY[{part}] ~{{{size}}}\r\n").as_bytes(), text, b")"].concat();
        assert_eq!(imap.ok(format!("FETCH 1 BINARY[{part}]")).data, [expected]);
    }
    imap.refused("FETCH 1 BINARY[3]", "UNKNOWN-CTE");
    imap.refused("FETCH 1 BINARY.SIZE[3]", "UNKNOWN-CTE");
}

// Ledger: 9051-6.4.9-2, 3501-6.4.8-1, 9051-7.5.2-12, 9051-6.3.13-1
#[test]
fn the_uid_comes_with_what_was_asked_for_by_uid_and_with_what_comes_unasked() {
    let site = site();
    let host = site.start();
    let (mut one, mut two) = (Imap::anna(&host), Imap::anna(&host));
    filled(&mut one, "INBOX", 2);
    one.ok("SELECT INBOX");
    two.ok("SELECT INBOX");
    assert_eq!(
        one.ok("UID FETCH 1:* FLAGS").lines(),
        ["1 FETCH (UID 1 FLAGS ())", "2 FETCH (UID 2 FLAGS ())"]
    );
    assert_eq!(one.ok("UID FETCH 2 (FLAGS UID)").lines(), ["2 FETCH (FLAGS () UID 2)"]);
    assert_eq!(
        one.ok("UID FETCH 1 BODY[TEXT]").lines(),
        ["1 FETCH (UID 1 FLAGS (\\Seen) BODY[TEXT] {0}\r\n)"]
    );
    assert_eq!(one.ok("UID STORE 2 +FLAGS (\\Draft)").lines(), ["2 FETCH (UID 2 FLAGS (\\Draft))"]);
    let told = ["1 FETCH (UID 1 FLAGS (\\Seen))", "2 FETCH (UID 2 FLAGS (\\Draft))"];
    assert_eq!(two.ok("NOOP").lines(), told);
    two.idle();
    one.ok("STORE 2 FLAGS ()");
    assert_eq!(two.line("* 2 "), "* 2 FETCH (UID 2 FLAGS ())");
    two.done();
    // With mod-sequences too.
    two.ok("STATUS INBOX (HIGHESTMODSEQ)");
    two.idle();
    one.ok("STORE 2 FLAGS (\\Seen)");
    two.line("* 2 FETCH (UID 2 FLAGS (\\Seen) MODSEQ (");
    two.done();
    one.ok("UID FETCH 1 MODSEQ");
    assert!(one.ok("UID STORE 1 +FLAGS.SILENT (\\Draft)").lines()[0].starts_with("1 FETCH (UID 1 MODSEQ ("));
}

// Ledger: 9051-9-9, 3501-9-9
#[test]
fn a_message_within_another_is_never_a_basic_part() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    let deep = format!("{}Subject: x\r\n\r\nx\r\n", "Content-Type: message/rfc822\r\n\r\n".repeat(200));
    for message in [
        "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nx\r\n",
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nU3ViamVjdDogeA==\r\n",
        "Content-Type: message/global\r\n\r\nSubject: x\r\n\r\nx\r\n",
        "Content-Type: message/global\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nSubject: x\r\n",
        "Content-Type: message/rfc822\r\n\r\n",
        "Content-Type: message/rfc822",
        &deep,
    ] {
        imap.append("INBOX", message);
    }
    imap.append("INBOX", "Content-Type: message/partial; number=1; id=x\r\n\r\nx\r\n");
    imap.ok("EXAMINE INBOX");
    let lines = imap.ok("FETCH 1:* BODY").lines();
    assert_eq!(lines.len(), 8);
    for line in &lines[..7] {
        let upper = line.to_ascii_uppercase();
        for name in ["\"MESSAGE\" \"RFC822\" ", "\"MESSAGE\" \"GLOBAL\" "] {
            for (at, _) in upper.match_indices(name) {
                // Parameters, identifier, description, encoding and size; then the envelope begins.
                let rest = &upper[at + name.len()..];
                let fields: Vec<&str> = rest.splitn(6, ' ').collect();
                assert!(fields[..4].iter().take(3).all(|field| *field == "NIL"), "{line}");
                assert!(fields[5].starts_with('('), "{line}");
            }
        }
    }
    assert!(those(&lines, "\"rfc822\"").len() >= 3, "{lines:?}");
    assert!(lines[7].contains("\"partial\""), "{}", lines[7]);
}
