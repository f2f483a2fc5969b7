use super::super::{Imap, site};
use super::{filled, number};

/// The answer to a search with this tag.
#[track_caller]
fn found(imap: &mut Imap, command: &str) -> Vec<String> {
    imap.send(format!("t {command}\r\n"));
    let said = imap.until("t ");
    assert!(said.starts_with("OK "), "{command}: {}", said.end);
    said.lines()
}

// Ledger: 4731-3.1-1, 4731-3.1-2, 4731-3.1-3, 4731-3.1-4, 4731-3.1-6, 4731-3.1-7, 4731-3.1-8, 4731-3.1-9, 4731-3.1-10
// Ledger: 9051-6.4.4-3, 9051-6.4.4-4, 9051-6.4.4-5, 9051-6.4.4-6, 9051-6.4.4-8, 9051-6.4.4-9, 9051-6.4.4-10
// Ledger: 9051-6.4.4-11, 9051-6.4.9-1, 9051-7.3.4-1, 9051-7.3.4-2, 9051-7.3.4-3, 9051-7.3.4-4, 9051-7.3.4-5
// Ledger: 9051-7.3.4-7, 9051-7.3.4-8, 9051-7.3.4-9, 3501-6.4.4-1
#[test]
fn one_response_has_what_was_asked_for_and_nothing_that_is_not_there() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, "INBOX", 6);
    imap.ok("SELECT INBOX");
    // Numbers 1 to 4 are UIDs 1, 2, 4 and 6.
    imap.ok("STORE 3,5 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    for (options, all, none) in [
        ("MIN", " MIN 2", ""),
        ("MAX", " MAX 4", ""),
        ("ALL", " ALL 2:4", ""),
        ("COUNT", " COUNT 3", " COUNT 0"),
        ("", " ALL 2:4", ""),
        ("MIN MAX", " MIN 2 MAX 4", ""),
        ("ALL COUNT", " COUNT 3 ALL 2:4", " COUNT 0"),
        ("COUNT MIN ALL MAX", " MIN 2 MAX 4 COUNT 3 ALL 2:4", " COUNT 0"),
        ("SAVE COUNT", " COUNT 3", " COUNT 0"),
    ] {
        let (front, uid) = ("ESEARCH (TAG \"t\")", "ESEARCH (TAG \"t\") UID");
        let asked = format!("SEARCH RETURN ({options})");
        assert_eq!(found(&mut imap, &format!("{asked} 2:*")), [format!("{front}{all}")]);
        assert_eq!(found(&mut imap, &format!("{asked} KEYWORD no")), [format!("{front}{none}")]);
        assert_eq!(found(&mut imap, &format!("UID {asked} KEYWORD no")), [format!("{uid}{none}")]);
        // No UID of a message that is gone.
        let by_uid = all.replace("MAX 4", "MAX 6").replace("2:4", "2,4,6");
        assert_eq!(found(&mut imap, &format!("UID {asked} 2:*")), [format!("{uid}{by_uid}")]);
    }
    assert_eq!(found(&mut imap, "SEARCH KEYWORD no"), ["SEARCH"]);
    assert_eq!(found(&mut imap, "UID SEARCH ALL"), ["SEARCH 1 2 4 6"]);
}

// Ledger: 5182-2.1-2, 5182-2.1-3, 9051-6.4.4.1-1, 9051-6.4.4.1-2
#[test]
fn what_was_found_is_kept_until_another_search_is_to_be_kept() {
    let site = site();
    let host = site.start();
    let (mut imap, mut other) = (Imap::anna(&host), Imap::anna(&host));
    filled(&mut imap, "INBOX", 5);
    imap.ok("SELECT INBOX");
    other.ok("SELECT INBOX");
    imap.ok("SEARCH RETURN (SAVE) 3:4");
    let kept = ["3 FETCH (UID 3)", "4 FETCH (UID 4)"];
    imap.bad("SEARCH RETURN (SAVE) UNHEARD");
    assert_eq!(imap.ok("FETCH $ UID").lines(), kept);
    imap.refused("SEARCH CHARSET x-unheard SUBJECT x", "BADCHARSET (US-ASCII UTF-8)");
    assert_eq!(imap.ok("FETCH $ UID").lines(), kept);
    imap.ok("SEARCH 1");
    imap.ok("UID SEARCH RETURN (ALL) 1");
    assert_eq!(imap.ok("FETCH $ UID").lines(), kept);
    // The messages are meant, not their numbers.
    other.ok("STORE 1,3 +FLAGS.SILENT (\\Deleted)");
    other.ok("EXPUNGE");
    imap.ok("NOOP");
    assert_eq!(imap.ok("FETCH $ UID").lines(), ["2 FETCH (UID 4)"]);
    assert_eq!(found(&mut imap, "SEARCH RETURN (ALL) $"), ["ESEARCH (TAG \"t\") ALL 2"]);
}

// Ledger: 5182-2.5-1, 9051-6.4.4.3-1
#[test]
fn what_is_too_much_to_be_kept_is_said_to_be_forgotten() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.append("INBOX (\\Flagged)", "x");
    imap.append("INBOX", "x");
    imap.ok("SELECT INBOX");
    let mut count = 2;
    // Every other one is flagged, and stays so when all are copied.
    while count <= 65_536 {
        let more = count.min(10_000);
        imap.ok(format!("COPY 1:{more} INBOX"));
        count += more;
    }
    imap.ok("SEARCH RETURN (SAVE) 1:2");
    imap.refused("SEARCH RETURN (SAVE) FLAGGED", "NOTSAVED");
    assert_eq!(imap.ok("FETCH $ UID").lines(), Vec::<String>::new());
    imap.ok("SEARCH RETURN (SAVE) 1:60000 FLAGGED");
    assert_eq!(found(&mut imap, "SEARCH RETURN (COUNT) $"), ["ESEARCH (TAG \"t\") COUNT 30000"]);
}

const LETTER: &str = "From: =?utf-8?q?J=C3=B6rg?= <joerg@example.test>\r\nSubject: =?iso-8859-1?b?R3L832U=?=\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
    Content-Transfer-Encoding: quoted-printable\r\n\r\nSch=F6ne=\r\nr\r\n--b\r\n\
    Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nw5xiZXJhbGw=\r\n--b--\r\n";

// Ledger: 9051-6.4.4-12, 9051-6.4.4-13, 9051-6.4.4-14, 9051-6.4.4-15
// Ledger: 3501-6.4.4-2, 3501-6.4.4-3, 3501-6.4.4-4
#[test]
fn texts_are_compared_as_what_they_say() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.append("INBOX", LETTER);
    imap.append("INBOX", "Subject: other\r\n\r\nnothing\r\n");
    imap.ok("SELECT INBOX");
    for (key, text) in [
        ("FROM", "j\u{f6}rg"),
        ("SUBJECT", "gr\u{fc}\u{df}e"),
        ("HEADER Subject", "\u{fc}"),
        ("BODY", "sch\u{f6}ner"),
        ("BODY", "\u{fc}berall"),
        ("TEXT", "GR\u{dc}\u{df}E"),
    ] {
        for charset in ["", "CHARSET UTF-8 "] {
            let size = text.len();
            let said = imap.ok(format!("SEARCH {charset}{key} {{{size}+}}\r\n{text}"));
            assert_eq!(said.lines(), ["SEARCH 1"], "{charset}{key} {text}");
        }
    }
    assert_eq!(imap.ok("SEARCH CHARSET US-ASCII BODY nothing").lines(), ["SEARCH 2"]);
    for keys in ["SUBJECT x", "ALL", "1 UNSEEN"] {
        imap.refused(format!("SEARCH CHARSET X-UNHEARD {keys}"), "BADCHARSET (US-ASCII UTF-8)");
    }
}

// Ledger: 4731-3.2-1, 7162-3.1.10-1, 7162-3.1.5-2, 7162-3.1.5-3, 7162-3.1.6-1
#[test]
fn who_looks_for_changes_is_told_the_highest() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, "INBOX", 3);
    imap.ok("SELECT INBOX (CONDSTORE)");
    let mod_seq: Vec<u64> =
        imap.ok("FETCH 1:3 MODSEQ").lines().iter().map(|line| number(line, "MODSEQ")).collect();
    let (second, third) = (mod_seq[1], mod_seq[2]);
    // Whose they are makes no difference.
    for entry in ["", "\"/flags/\\\\draft\" all ", "\"/flags/\\\\seen\" priv "] {
        let key = format!("MODSEQ {entry}{second}");
        assert_eq!(found(&mut imap, &format!("SEARCH {key}")), [format!("SEARCH 2 3 (MODSEQ {third})")]);
        assert_eq!(found(&mut imap, &format!("SEARCH 1:2 {key}")), [format!("SEARCH 2 (MODSEQ {second})")]);
        let front = "ESEARCH (TAG \"t\")";
        for (options, rest) in [
            ("", format!(" MODSEQ {third} ALL 2:3")),
            ("COUNT", format!(" COUNT 2 MODSEQ {third}")),
            ("MIN", format!(" MIN 2 MODSEQ {second}")),
            ("MIN MAX", format!(" MIN 2 MAX 3 MODSEQ {third}")),
        ] {
            let lines = found(&mut imap, &format!("SEARCH RETURN ({options}) {key}"));
            assert_eq!(lines, [format!("{front}{rest}")]);
        }
        assert_eq!(
            found(&mut imap, &format!("UID SEARCH RETURN (ALL) {key} OR 2 3")),
            [format!("{front} UID MODSEQ {third} ALL 2:3")]
        );
    }
    // Nothing is found, and nothing is highest.
    assert_eq!(found(&mut imap, &format!("SEARCH MODSEQ {}", third + 1)), ["SEARCH"]);
}
