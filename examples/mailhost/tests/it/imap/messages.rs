//! STORE, EXPUNGE, COPY and MOVE.

use mailhost::listener::Service;

use super::{Imap, site};
use crate::support::Wire;

fn filled(imap: &mut Imap, count: usize) {
    for subject in 1..=count {
        imap.append("INBOX", format!("Subject: {subject}\r\n\r\n"));
    }
}

#[test]
fn flags_are_set_and_told_as_the_client_wants_it() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, 3);
    imap.ok("SELECT INBOX");
    let said = imap.ok("STORE 1:2 FLAGS (\\Seen $Label1)");
    let tells: Vec<_> = said.lines().into_iter().filter(|line| line.contains("FETCH")).collect();
    assert_eq!(tells, ["1 FETCH (UID 1 FLAGS (\\Seen $Label1))", "2 FETCH (UID 2 FLAGS (\\Seen $Label1))"]);
    let said = imap.ok("UID STORE 2,9 -FLAGS (\\Seen $LABEL1)");
    assert_eq!(said.lines(), ["2 FETCH (UID 2 FLAGS ())"]);
    assert_eq!(imap.ok("STORE 3 +FLAGS.SILENT (\\Flagged)").lines(), Vec::<String>::new());
    assert_eq!(imap.ok("NOOP").lines(), Vec::<String>::new());
    imap.refused("STORE 1 +FLAGS (\\Unheard)", "CANNOT");
    imap.bad("STORE 4 +FLAGS (\\Seen)");
    imap.bad("STORE 1 +FLAGS (\\Recent)");
    let keywords: Vec<String> = (0..60).map(|number| format!("k{number}")).collect();
    imap.refused(format!("STORE 1 +FLAGS ({})", keywords.join(" ")), "LIMIT");
    drop(host);
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("SELECT INBOX");
    assert_eq!(
        imap.ok("FETCH 1:3 FLAGS").lines(),
        ["1 FETCH (FLAGS (\\Seen $Label1))", "2 FETCH (FLAGS ())", "3 FETCH (FLAGS (\\Flagged))"]
    );
}

#[test]
fn a_silent_store_does_not_hide_what_others_have_done() {
    let site = site();
    let host = site.start();
    let (mut one, mut two) = (Imap::anna(&host), Imap::anna(&host));
    filled(&mut one, 2);
    one.ok("SELECT INBOX");
    two.ok("SELECT INBOX");
    two.ok("STORE 1 +FLAGS (\\Flagged $Label1)");
    let mut lines = one.ok("STORE 1:2 +FLAGS.SILENT (\\Seen)").lines();
    lines.retain(|line| line.contains("FETCH"));
    assert_eq!(lines, ["1 FETCH (UID 1 FLAGS (\\Flagged \\Seen $Label1))"]);
    assert_eq!(one.ok("STORE 1:2 -FLAGS.SILENT (\\Seen $label1)").lines(), Vec::<String>::new());
}

#[test]
fn a_condition_keeps_a_change_from_being_overwritten() {
    let site = site();
    let host = site.start();
    let (mut one, mut two) = (Imap::anna(&host), Imap::anna(&host));
    filled(&mut one, 2);
    one.ok("SELECT INBOX (CONDSTORE)");
    let lines = one.ok("FETCH 1:2 (MODSEQ)").lines();
    let mod_seq = |line: &str| -> u64 {
        let (_, rest) = line.split_once("MODSEQ (").expect("a mod-sequence");
        rest.split_once(')').unwrap().0.parse().unwrap()
    };
    let seen = mod_seq(&lines[1]);
    two.ok("SELECT INBOX");
    two.ok("STORE 1 +FLAGS (\\Answered)");
    let said = one.ok(format!("STORE 1:2 (UNCHANGEDSINCE {seen}) +FLAGS.SILENT (\\Deleted)"));
    assert!(said.starts_with("OK [MODIFIED 1] "), "{}", said.end);
    assert_eq!(said.lines().len(), 2, "{:?}", said.lines());
    assert!(said.lines()[0].starts_with("2 FETCH (MODSEQ ("), "{:?}", said.lines());
    let newest = mod_seq(&said.lines()[0]);
    assert!(said.lines()[1].starts_with("1 FETCH (UID 1 FLAGS (\\Answered) MODSEQ ("), "{:?}", said.lines());
    assert!(mod_seq(&said.lines()[1]) < newest);
    let said = one.ok(format!("FETCH 1:2 (UID) (CHANGEDSINCE {})", newest - 1));
    assert_eq!(said.lines(), [format!("2 FETCH (MODSEQ ({newest}) UID 2)")]);
    // What changes nothing is no change.
    let again = one.ok("STORE 2 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(mod_seq(&again.lines()[0]), newest);
    assert!(one.ok("STATUS INBOX (HIGHESTMODSEQ)").has(&format!("STATUS INBOX (HIGHESTMODSEQ {newest})")));
}

#[test]
fn what_is_marked_goes_and_nothing_else() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, 6);
    imap.ok("SELECT INBOX");
    imap.ok("STORE 2,4:5 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(imap.ok("UID EXPUNGE 1:4").lines(), ["2 EXPUNGE", "3 EXPUNGE"]);
    assert_eq!(imap.ok("EXPUNGE").lines(), ["3 EXPUNGE"]);
    assert_eq!(imap.ok("FETCH 1:* UID").lines(), ["1 FETCH (UID 1)", "2 FETCH (UID 3)", "3 FETCH (UID 6)"]);
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    assert_eq!(imap.ok("CLOSE").lines(), Vec::<String>::new());
    assert!(imap.ok("STATUS INBOX (MESSAGES)").has("STATUS INBOX (MESSAGES 2)"));
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    imap.ok("UNSELECT");
    assert!(
        imap.ok("STATUS INBOX (MESSAGES DELETED UIDNEXT)")
            .has("STATUS INBOX (MESSAGES 2 UIDNEXT 7 DELETED 1)")
    );
}

#[test]
fn copies_are_whole_and_so_are_moves() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, 4);
    imap.append("Archive", "Subject: there\r\n\r\n");
    imap.ok("SELECT INBOX");
    imap.ok("STORE 2 +FLAGS.SILENT (\\Flagged todo)");
    let dates = imap.ok("FETCH 2:3 INTERNALDATE").lines();
    let said = imap.ok("COPY 2:3 Archive");
    assert_eq!(said.code("COPYUID")[1..], ["2:3", "2:3"]);
    imap.refused("COPY 1 nowhere", "TRYCREATE");
    imap.refused("MOVE 1 nowhere", "TRYCREATE");
    let said = imap.ok("UID MOVE 1,4,77 Archive");
    let lines = said.lines();
    assert!(lines[0].starts_with("OK [COPYUID ") && lines[0].contains(" 1,4 4:5] "), "{lines:?}");
    assert_eq!(lines[1..], ["1 EXPUNGE", "3 EXPUNGE"]);
    assert_eq!(imap.ok("UID COPY 99 Archive").end, "OK there is nothing to copy");
    // Into itself: the copies come behind.
    assert_eq!(imap.ok("COPY 1 INBOX").lines(), ["3 EXISTS"]);
    imap.ok("SELECT Archive");
    let copied = imap.ok("FETCH 2:3 (FLAGS BODY.PEEK[])").lines();
    assert_eq!(copied[0], "2 FETCH (FLAGS (\\Flagged todo) BODY[] {14}\r\nSubject: 2\r\n\r\n)");
    assert_eq!(copied[1], "3 FETCH (FLAGS () BODY[] {14}\r\nSubject: 3\r\n\r\n)");
    assert_eq!(imap.ok("FETCH 2:3 INTERNALDATE").lines(), dates);
    // What stands in front of a message that came by SMTP goes with it.
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&["anna@example.test"], "Subject: posted\r\n\r\nbody\r\n");
    imap.ok("SELECT INBOX");
    let posted = imap.ok("FETCH 4 (RFC822.SIZE BODY.PEEK[])").data.concat();
    assert!(posted.windows(12).any(|octets| octets == b"Return-Path:"));
    imap.ok("MOVE 4 Trash");
    imap.ok("SELECT Trash");
    assert_eq!(imap.ok("FETCH 1 (RFC822.SIZE BODY.PEEK[])").data.concat()[1..], posted[1..]);
    drop(host);
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("EXAMINE Trash");
    assert_eq!(imap.ok("FETCH 1 (RFC822.SIZE BODY.PEEK[])").data.concat()[1..], posted[1..]);
    assert!(imap.ok("STATUS INBOX (MESSAGES)").has("STATUS INBOX (MESSAGES 3)"));
    assert!(imap.ok("STATUS Archive (MESSAGES)").has("STATUS Archive (MESSAGES 5)"));
}

/// RFC 6851 §3.3: a message can be moved to where it is if it can be copied there.
#[test]
fn a_message_moved_to_where_it_is_becomes_the_newest() {
    let site = site();
    let host = site.start();
    let (mut imap, mut other) = (Imap::anna(&host), Imap::anna(&host));
    filled(&mut imap, 3);
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1 +FLAGS.SILENT (\\Flagged todo)");
    other.ok("SELECT INBOX");
    for (command, from, into) in [("MOVE 1:2", "1:2", "4:5"), ("UID MOVE 3:4", "3:4", "6:7")] {
        let lines = imap.ok(format!("{command} INBOX")).lines();
        assert!(lines[0].contains(&format!(" {from} {into}] ")), "{lines:?}");
        assert_eq!(lines[1..], ["1 EXPUNGE", "1 EXPUNGE", "3 EXISTS"]);
    }
    let now =
        ["1 FETCH (UID 5 FLAGS ())", "2 FETCH (UID 6 FLAGS ())", "3 FETCH (UID 7 FLAGS (\\Flagged todo))"];
    assert_eq!(imap.ok("FETCH 1:* (UID FLAGS)").lines(), now);
    other.ok("NOOP");
    assert_eq!(other.ok("FETCH 1:* (UID FLAGS)").lines(), now);
    assert_eq!(imap.ok("FETCH 3 BODY.PEEK[]").lines(), ["3 FETCH (BODY[] {14}\r\nSubject: 1\r\n\r\n)"]);
}
