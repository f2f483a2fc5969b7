use super::super::{Imap, site};
use super::{filled, number, status};

// Ledger: 9051-6.3.2-1, 9051-6.3.2-2, 9051-6.3.2-3, 9051-6.3.2-4, 9051-6.3.3-1, 9051-6.3.3-2, 9051-6.3.3-3
// Ledger: 3501-6.3.1-1, 3501-6.3.1-2, 3501-6.3.1-3, 3501-6.3.2-1, 3501-6.3.2-2, 3501-6.3.2-4, 9051-7.2.2-6
// Ledger: 3501-7.2.1-4
#[test]
fn all_that_is_required_is_told_before_the_ok() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.append("INBOX (\\Seen)", "Subject: 1\r\n\r\n");
    imap.append("INBOX", "Subject: 2\r\n\r\n");
    imap.ok("CREATE &AOQ-");
    for rev2 in [false, true] {
        for (command, end) in [("SELECT", "OK [READ-WRITE] "), ("EXAMINE", "OK [READ-ONLY] ")] {
            let mut imap = Imap::anna(&host);
            if rev2 {
                imap.ok("ENABLE IMAP4rev2");
            }
            let said = imap.ok(format!("{command} INBOX"));
            assert!(said.starts_with(end), "{command}: {}", said.end);
            let lines = said.lines();
            let times = |start: &str| lines.iter().filter(|line| line.starts_with(start)).count();
            for start in [
                "FLAGS (\\Answered ",
                "OK [PERMANENTFLAGS (",
                "OK [UIDVALIDITY ",
                "OK [UIDNEXT 3] ",
                "2 EXISTS",
            ] {
                assert_eq!(times(start), 1, "{command}: {start}: {lines:?}");
            }
            // What only one of the two has.
            assert_eq!(times("LIST ("), usize::from(rev2), "{command}: {lines:?}");
            for start in ["0 RECENT", "OK [UNSEEN 2] "] {
                assert_eq!(times(start), usize::from(!rev2), "{command}: {lines:?}");
            }
            let found = if rev2 { "ESEARCH (TAG " } else { "SEARCH 2" };
            assert!(imap.ok("SEARCH UNSEEN").lines()[0].starts_with(found));
            let name = if rev2 { "\"\u{e4}\"" } else { "&AOQ-" };
            assert!(imap.ok("LIST \"\" *").has(&format!("LIST (\\HasNoChildren) \"/\" {name}")));
        }
    }
}

// Ledger: 9051-6.3.2-5
#[test]
fn the_attributes_of_what_is_opened_are_those_of_a_listing() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("ENABLE IMAP4rev2");
    imap.ok("CREATE Sent/2024");
    for name in ["INBOX", "Sent", "Sent/2024", "Drafts"] {
        let listed = imap.ok(format!("LIST \"\" {name}")).lines();
        assert_eq!(listed.len(), 1);
        assert!(imap.ok(format!("EXAMINE {name}")).has(&listed[0]), "{listed:?}");
    }
    assert!(imap.ok("SELECT Sent").has("LIST (\\HasChildren \\Sent) \"/\" Sent"));
}

// Ledger: 3501-6.3.2-3
#[test]
fn examine_leaves_everything_as_it_was() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, "INBOX", 2);
    imap.ok("SELECT INBOX");
    imap.ok("STORE 2 +FLAGS (\\Deleted)");
    imap.ok("UNSELECT");
    let before = status(&mut imap, "INBOX", "HIGHESTMODSEQ");
    imap.ok("EXAMINE INBOX");
    imap.ok("FETCH 1:2 (BODY[] RFC822 RFC822.TEXT BINARY[1])");
    for command in ["STORE 1 +FLAGS (x)", "EXPUNGE", "UID EXPUNGE 2", "MOVE 1 Trash"] {
        imap.refused(command, "READ-ONLY");
    }
    imap.ok("CLOSE");
    assert_eq!(status(&mut imap, "INBOX", "HIGHESTMODSEQ"), before);
    assert_eq!(imap.ok("STATUS INBOX (MESSAGES UNSEEN)").lines(), ["STATUS INBOX (MESSAGES 2 UNSEEN 2)"]);
}

// Ledger: 9051-5.2-1, 3501-5.2-1, 3501-5.2-2
#[test]
fn a_mailbox_that_grows_or_shrinks_says_so_with_the_next_command() {
    let site = site();
    let host = site.start();
    let (mut one, mut two) = (Imap::anna(&host), Imap::anna(&host));
    filled(&mut one, "INBOX", 1);
    one.ok("SELECT INBOX");
    two.ok("SELECT INBOX");
    for (count, command) in
        (2..).zip(["NOOP", "CHECK", "FETCH 1 UID", "SEARCH ALL", "STORE 1 +FLAGS (x)", "LIST \"\" x"])
    {
        filled(&mut two, "INBOX", 1);
        assert!(one.ok(command).has(&format!("{count} EXISTS")), "{command}");
    }
    two.ok("STORE 3 +FLAGS.SILENT (\\Deleted)");
    two.ok("EXPUNGE");
    let lines = one.ok("NOOP").lines();
    assert!(lines.contains(&"3 EXPUNGE".to_owned()), "{lines:?}");
    // The count is right with what is told.
    filled(&mut two, "INBOX", 1);
    assert!(one.ok("NOOP").has("7 EXISTS"));
    assert_eq!(number(&one.ok("UID FETCH * UID").lines()[0], "UID"), 8);
}
