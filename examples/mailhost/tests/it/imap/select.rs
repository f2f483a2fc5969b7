//! SELECT, EXAMINE, and what two sessions see of each other.

use super::{Imap, site};

#[test]
fn a_mailbox_says_what_it_holds_when_it_is_opened() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.append("INBOX (\\Seen)", "Subject: 1\r\n\r\n");
    imap.append("INBOX ($Work)", "Subject: 2\r\n\r\n");
    let said = imap.ok("SELECT inbox");
    let lines = said.lines();
    let flags = "FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work)";
    assert_eq!(lines[0], flags);
    assert_eq!(
        lines[1],
        "OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $Work \\*)] these are kept"
    );
    assert_eq!(lines[2], "2 EXISTS");
    assert!(lines[3].starts_with("OK [UIDVALIDITY ") && lines[4].starts_with("OK [UIDNEXT 3] "), "{lines:?}");
    assert!(lines[5].starts_with("OK [HIGHESTMODSEQ ") && lines[6] == "0 RECENT", "{lines:?}");
    assert!(lines[7].starts_with("OK [UNSEEN 2] "), "{lines:?}");
    assert!(said.starts_with("OK [READ-WRITE] "));

    let said = imap.ok("EXAMINE Drafts");
    assert!(
        said.lines()[0].starts_with("OK [CLOSED] ") && said.starts_with("OK [READ-ONLY] "),
        "{:?}",
        said.lines()
    );
    assert!(said.lines().iter().any(|line| line.starts_with("OK [PERMANENTFLAGS ()] ")));
    imap.refused("SELECT nothing", "NONEXISTENT");
    imap.bad("FETCH 1 FLAGS");

    imap.ok("ENABLE IMAP4rev2");
    let said = imap.ok("SELECT inbox");
    assert!(said.has("LIST (\\HasNoChildren) \"/\" INBOX") && !said.has("0 RECENT"), "{:?}", said.lines());
    imap.ok("UNSELECT");
    imap.bad("EXPUNGE");
}

#[test]
fn what_is_open_for_reading_is_not_changed() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.append("INBOX (\\Deleted)", "Subject: 1\r\n\r\n");
    imap.ok("EXAMINE INBOX");
    for command in ["STORE 1 +FLAGS (\\Seen)", "EXPUNGE", "UID EXPUNGE 1", "MOVE 1 Trash"] {
        imap.refused(command, "READ-ONLY");
    }
    assert!(imap.ok("FETCH 1 BODY[]").has("1 FETCH (BODY[] {14}\r\nSubject: 1\r\n\r\n)"), "not seen");
    imap.ok("COPY 1 Trash");
    imap.ok("CLOSE");
    assert!(imap.ok("STATUS INBOX (MESSAGES UNSEEN)").has("STATUS INBOX (MESSAGES 1 UNSEEN 1)"));
}

#[test]
fn sessions_are_told_what_others_do_where_it_may_be_told() {
    let site = site();
    let host = site.start();
    let (mut one, mut two) = (Imap::anna(&host), Imap::anna(&host));
    for subject in 1..=4 {
        one.append("INBOX", format!("Subject: {subject}\r\n\r\n"));
    }
    one.ok("SELECT INBOX");
    two.ok("SELECT INBOX");
    one.ok("STORE 2 +FLAGS.SILENT (\\Deleted work)");
    assert_eq!(
        two.ok("NOOP").lines(),
        [
            "FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft work)",
            "OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft work \\*)] these are kept",
            "2 FETCH (UID 2 FLAGS (\\Deleted work))"
        ]
    );
    one.ok("EXPUNGE");
    one.append("INBOX", "Subject: 5\r\n\r\n");
    // The numbers stay as they are during FETCH, STORE and SEARCH, and even what is gone can be read.
    let said = two.ok("FETCH 1:* (UID)");
    assert_eq!(said.lines(), ["1 FETCH (UID 1)", "2 FETCH (UID 2)", "3 FETCH (UID 3)", "4 FETCH (UID 4)"]);
    let said = two.ok("STORE 3 +FLAGS (\\Seen)");
    assert_eq!(said.lines(), ["3 FETCH (UID 3 FLAGS (\\Seen))"]);
    assert_eq!(two.ok("FETCH 3 FLAGS").lines(), ["3 FETCH (FLAGS (\\Seen))"]);
    assert_eq!(two.ok("FETCH 2 BODY.PEEK[]").lines(), ["2 FETCH (BODY[] {14}\r\nSubject: 2\r\n\r\n)"]);
    assert!(two.ok("STORE 2 +FLAGS (\\Flagged)").starts_with("OK [EXPUNGEISSUED] "));
    two.bad("FETCH 5 UID");
    // And with their UID forms they may change.
    let said = two.ok("UID FETCH 4 (FLAGS)");
    assert_eq!(said.lines(), ["4 FETCH (UID 4 FLAGS ())", "2 EXPUNGE", "4 EXISTS"]);
    assert_eq!(two.ok("NOOP").lines(), Vec::<String>::new());
    assert_eq!(one.ok("NOOP").lines(), ["2 FETCH (UID 3 FLAGS (\\Seen))"]);
}

#[test]
fn a_mailbox_that_is_deleted_can_be_read_to_the_end() {
    let site = site();
    let host = site.start();
    let (mut one, mut two) = (Imap::anna(&host), Imap::anna(&host));
    one.append("Junk", "Subject: 1\r\n\r\n");
    two.ok("SELECT Junk");
    one.ok("DELETE Junk");
    assert_eq!(two.ok("FETCH 1 BODY.PEEK[]").lines(), ["1 FETCH (BODY[] {14}\r\nSubject: 1\r\n\r\n)"]);
    two.refused("STORE 1 +FLAGS (\\Seen)", "NONEXISTENT");
    two.ok("NOOP");
    two.refused("SELECT Junk", "NONEXISTENT");
}
