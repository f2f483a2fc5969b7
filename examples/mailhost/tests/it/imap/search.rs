//! SEARCH.

use super::{Imap, site};

const LETTER: &str = "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.test>\r\nTo: anna@example.test\r\n\
    Subject: =?utf-8?b?R3LDvMOfZQ==?= from here\r\nDate: Mon, 7 Feb 1994 21:52:25 -0800\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\r\nSch=F6ne Gr=FC=DFe\r\n--b\r\n\
    Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+ZmV0dDwvYj4=\r\n--b--\r\n";

fn filled(imap: &mut Imap) {
    imap.append("INBOX (\\Seen) \"01-Mar-2020 12:00:00 +0000\"", LETTER);
    imap.append(
        "INBOX ($Work \\Flagged) \"02-Mar-2020 12:00:00 +0000\"",
        "Subject: plain\r\nCc: ben@example.test\r\n\r\nwords\r\n",
    );
    imap.append(
        "INBOX \"03-Mar-2020 12:00:00 +0000\"",
        format!("Subject: large\r\n\r\n{}needle\r\n", "hay \r\n".repeat(20_000)),
    );
    imap.ok("SELECT INBOX");
}

#[test]
fn every_key_finds_what_it_names() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap);
    for (keys, expected) in [
        ("ALL", " 1 2 3"),
        ("SEEN", " 1"),
        ("UNSEEN UNFLAGGED", " 3"),
        ("KEYWORD $work", " 2"),
        ("UNKEYWORD $Work", " 1 3"),
        ("KEYWORD unheard", ""),
        ("NEW", ""),
        ("OLD", " 1 2 3"),
        ("ON 2-Mar-2020", " 2"),
        ("SINCE 2-Mar-2020", " 2 3"),
        ("BEFORE 2-Mar-2020", " 1"),
        ("SENTON 7-Feb-1994", " 1"),
        ("LARGER 1000", " 3"),
        ("SMALLER 100", " 2"),
        ("2:*", " 2 3"),
        ("UID 1,3", " 1 3"),
        ("SUBJECT \"gr\u{fc}\u{df}e FROM\"", " 1"),
        ("FROM J\u{d6}RG", " 1"),
        ("CC ben", " 2"),
        ("HEADER cc \"\"", " 2"),
        ("BODY \"sch\u{f6}ne gr\u{fc}\u{df}e\"", " 1"),
        ("BODY fett", " 1"),
        ("BODY needle", " 3"),
        ("TEXT plain", " 1 2"),
        ("NOT (OR SEEN FLAGGED)", " 3"),
        ("OR (OR BODY words BODY needle) UID 1", " 1 2 3"),
    ] {
        let mut keys = keys.to_owned();
        // What is not ASCII goes as literals.
        if !keys.is_ascii() {
            let at = keys
                .rfind(' ')
                .unwrap_or(0)
                .min(keys.find('"').map_or(usize::MAX, |quote| quote.saturating_sub(1)));
            let text = keys[at + 1..].trim_matches('"').to_owned();
            keys = format!("{} {{{}+}}\r\n{text}", &keys[..at], text.len());
        }
        assert_eq!(imap.ok(format!("SEARCH {keys}")).lines(), [format!("SEARCH{expected}")], "{keys}");
    }
    assert_eq!(imap.ok(b"UID SEARCH CHARSET iso-8859-1 BODY {3+}\r\ngr\xfc").lines(), ["SEARCH 1"]);
    imap.refused("SEARCH CHARSET unheard BODY x", "BADCHARSET (US-ASCII UTF-8)");
    imap.bad(format!("SEARCH {}ALL", "NOT ".repeat(40)));
    imap.refused(format!("SEARCH {}", "ALL ".repeat(2_000).trim_end()), "LIMIT");
}

#[test]
fn results_come_as_they_are_asked_for_and_can_be_kept() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap);
    for (returns, expected) in [
        ("()", "ESEARCH (TAG \"t\") ALL 2:3"),
        ("(MIN MAX COUNT)", "ESEARCH (TAG \"t\") MIN 2 MAX 3 COUNT 2"),
        ("(ALL)", "ESEARCH (TAG \"t\") ALL 2:3"),
    ] {
        imap.send(format!("t SEARCH RETURN {returns} UNSEEN\r\n"));
        assert_eq!(imap.until("t ").lines(), [expected]);
    }
    imap.send("t UID SEARCH RETURN (COUNT ALL) KEYWORD none\r\n");
    assert_eq!(imap.until("t ").lines(), ["ESEARCH (TAG \"t\") UID COUNT 0"]);
    assert_eq!(imap.ok("SEARCH RETURN (SAVE) UNSEEN").lines(), Vec::<String>::new());
    assert_eq!(imap.ok("FETCH $ UID").lines(), ["2 FETCH (UID 2)", "3 FETCH (UID 3)"]);
    assert_eq!(imap.ok("SEARCH $ FLAGGED").lines(), ["SEARCH 2"]);
    imap.ok("STORE $ +FLAGS.SILENT (\\Deleted)");
    imap.ok("UID EXPUNGE 2");
    assert_eq!(imap.ok("UID FETCH $ UID").lines(), ["2 FETCH (UID 3)"]);
    imap.ok("SEARCH RETURN (SAVE MIN) ALL");
    assert_eq!(imap.ok("UID FETCH $ UID").lines(), ["1 FETCH (UID 1)"]);
    imap.no("SEARCH RETURN (SAVE) CHARSET unheard BODY x");
    assert_eq!(imap.ok("FETCH $ UID").lines(), Vec::<String>::new());

    let lines = imap.ok("SEARCH MODSEQ 1 ALL").lines();
    assert!(lines[0].starts_with("SEARCH 1 2 (MODSEQ "), "{lines:?}");
    imap.ok("ENABLE IMAP4rev2");
    imap.send("t SEARCH ALL\r\n");
    assert_eq!(imap.until("t ").lines(), ["ESEARCH (TAG \"t\") ALL 1:2"]);
}
