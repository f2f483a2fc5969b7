use super::super::{Imap, site};
use super::{filled, number, status, those};

// Ledger: 6851-3.3-1, 6851-3.3-2, 6851-4.4-1, 6851-4.4-4, 9051-6.4.8-1, 9051-6.4.8-2, 9051-6.4.8-8
#[test]
fn a_move_is_told_as_copies_and_removals_and_counts_as_a_change_of_both() {
    let site = site();
    let host = site.start();
    let (mut imap, mut other) = (Imap::anna(&host), Imap::anna(&host));
    filled(&mut imap, "INBOX", 4);
    filled(&mut imap, "Archive", 2);
    imap.ok("SELECT INBOX (CONDSTORE)");
    other.ok("SELECT INBOX");
    for (command, gone) in
        [("MOVE 2:3", ["2 EXPUNGE", "2 EXPUNGE"]), ("UID MOVE 1,4", ["1 EXPUNGE", "1 EXPUNGE"])]
    {
        let source = status(&mut imap, "INBOX", "HIGHESTMODSEQ");
        let target = status(&mut imap, "Archive", "HIGHESTMODSEQ");
        let next = status(&mut imap, "Archive", "UIDNEXT");
        let lines = imap.ok(format!("{command} Archive")).lines();
        assert!(lines[0].starts_with("OK [COPYUID "), "{lines:?}");
        // No FETCH with flags, and the numbers as they are when each is told.
        assert_eq!(lines[1..].len(), gone.len());
        assert!(lines[1..].iter().all(|line| line.ends_with(" EXPUNGE")), "{lines:?}");
        assert_eq!(lines[1..], gone, "{lines:?}");
        let told = other.ok("NOOP").lines();
        assert!(those(&told, "\\Deleted").is_empty() && those(&told, "EXPUNGE").len() == 2, "{told:?}");
        assert!(status(&mut imap, "INBOX", "HIGHESTMODSEQ") > source);
        let mut archive = Imap::anna(&host);
        archive.ok("EXAMINE Archive");
        let lines = archive.ok(format!("UID FETCH {next}:* (FLAGS MODSEQ)")).lines();
        let moved = those(&lines, "FETCH");
        assert_eq!(moved.len(), 2, "{lines:?}");
        for line in moved {
            assert!(line.contains("FLAGS ()"), "{line}");
            assert!(number(line, "MODSEQ") > target, "{line}");
        }
    }
}

// Ledger: 6851-3.3-3, 9051-6.4.8-3, 9051-6.4.8-4
#[test]
fn a_host_that_dies_while_messages_move_has_each_of_them_once() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, "INBOX", 40);
    drop(imap);
    let mut host = host;
    for round in 0..4 {
        let mut imap = Imap::anna(&host);
        imap.ok("SELECT INBOX");
        // Each of them a change of its own, and the end comes somewhere among them.
        for _ in 0..8 {
            imap.send("m MOVE 1 Archive\r\n");
        }
        for _ in 0..=round {
            imap.until("m ");
        }
        host.kill();
        host = site.start();
        let mut imap = Imap::anna(&host);
        let mut subjects: Vec<String> = Vec::new();
        for mailbox in ["INBOX", "Archive"] {
            imap.ok(format!("EXAMINE {mailbox}"));
            let lines = imap.ok("UID FETCH 1:* BODY.PEEK[HEADER.FIELDS (Subject)]").lines();
            subjects.extend(lines.iter().map(|line| number(line, "Subject:").to_string()));
        }
        subjects.sort_unstable();
        let mut all: Vec<String> = (1..=40).map(|subject: u32| subject.to_string()).collect();
        all.sort_unstable();
        assert_eq!(subjects, all);
        assert!(status(&mut imap, "Archive", "MESSAGES") > round, "what was told has been done");
    }
}
