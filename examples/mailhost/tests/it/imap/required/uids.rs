use super::super::{Imap, site};
use super::{filled, number, status};

const STATIC: &str = "(UID INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE BODY.PEEK[] BODY.PEEK[1])";

// Ledger: 9051-2.3.1.1-1, 9051-2.3.1.1-4, 9051-2.3.1.1-5, 9051-2.3.1.1-6, 9051-2.3.1.1-8, 9051-2.3.1.1-11
// Ledger: 3501-2.3.1.1-1, 3501-2.3.1.1-4, 3501-2.3.1.1-5, 3501-2.3.1.1-6, 3501-2.3.1.1-8
// Ledger: 9051-2.3.1.2-1, 3501-2.3.1.2-1
#[test]
fn no_uid_is_given_twice() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, "INBOX", 4);
    let validity = status(&mut imap, "INBOX", "UIDVALIDITY");
    assert_eq!(status(&mut imap, "INBOX", "UIDNEXT"), 5);
    imap.ok("SELECT INBOX");
    imap.ok("STORE 2,4 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    // Nothing has come.
    assert_eq!(status(&mut imap, "INBOX", "UIDNEXT"), 5);
    // Something has come and gone.
    filled(&mut imap, "INBOX", 1);
    imap.ok("STORE 3 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    assert_eq!(status(&mut imap, "INBOX", "UIDNEXT"), 6);
    drop(imap);
    host.stop();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    assert_eq!(status(&mut imap, "INBOX", "UIDNEXT"), 6);
    assert_eq!(status(&mut imap, "INBOX", "UIDVALIDITY"), validity);
    assert_eq!(
        imap.append("INBOX", "Subject: 6\r\n\r\n").code("APPENDUID"),
        [validity.to_string(), "6".into()]
    );
    imap.ok("SELECT INBOX");
    imap.ok("COPY 1 INBOX");
    let lines = imap.ok("FETCH 1:* UID").lines();
    assert_eq!(lines, ["1 FETCH (UID 1)", "2 FETCH (UID 3)", "3 FETCH (UID 6)", "4 FETCH (UID 7)"]);
}

// Ledger: 9051-2.3.1.1-2, 9051-2.3.1.1-3, 9051-2.3.1.1-10, 9051-6.4.5-1, 9051-9-16
// Ledger: 3501-2.3.1.1-2, 3501-2.3.1.1-3, 3501-6.4.5-1, 3501-9-16
#[test]
fn what_a_message_is_never_changes() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, "INBOX", 3);
    let validity = status(&mut imap, "INBOX", "UIDVALIDITY");
    imap.ok("SELECT INBOX");
    let before = imap.ok(format!("FETCH 1:3 {STATIC}")).data;
    imap.ok("STORE 1:3 FLAGS (\\Seen \\Flagged word)");
    imap.ok("STORE 1 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    let same = |now: Vec<Vec<u8>>| {
        // But for the number in front.
        assert_eq!(now.len(), 2);
        now.iter().zip(&before[1..]).for_each(|(now, before)| assert_eq!(now[1..], before[1..]));
    };
    same(imap.ok(format!("FETCH 1:2 {STATIC}")).data);
    host.kill();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    assert_eq!(status(&mut imap, "INBOX", "UIDVALIDITY"), validity);
    imap.ok("SELECT INBOX");
    same(imap.ok(format!("FETCH 1:2 {STATIC}")).data);
}

// Ledger: 9051-6.3.4-4, 9051-6.3.5-3, 9051-6.3.6-2, 3501-6.3.3-2, 3501-6.3.4-3, 3501-6.3.5-2
#[test]
fn a_name_that_comes_back_has_a_greater_uidvalidity() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    let mut last = 0;
    for remove in ["DELETE work", "RENAME work kept", "DELETE work"] {
        let said = imap.ok("CREATE work");
        assert!(said.lines().is_empty());
        filled(&mut imap, "work", 2);
        let validity = status(&mut imap, "work", "UIDVALIDITY");
        assert!(validity > last, "{validity} behind {last}");
        last = validity;
        imap.ok(remove);
    }
    drop(imap);
    host.stop();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("CREATE work");
    let lines = imap.ok("SELECT work").lines();
    let validity = lines.iter().find(|line| line.contains("UIDVALIDITY")).expect("it is told");
    assert!(number(validity, "UIDVALIDITY") > last, "{lines:?}");
}

// Ledger: 9051-2.3.1.1-7, 3501-2.3.1.1-7
#[test]
fn a_name_never_gets_a_lower_uid_validity() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("CREATE old");
    let old = status(&mut imap, "old", "UIDVALIDITY");
    imap.ok("CREATE young");
    let young = status(&mut imap, "young", "UIDVALIDITY");
    assert!(young > old, "{young} after {old}");
    imap.ok("RENAME old elsewhere");
    assert_eq!(status(&mut imap, "elsewhere", "UIDVALIDITY"), old, "nobody has had this name");
    imap.ok("DELETE young");
    drop(imap);
    // What was given up is known behind a start, too.
    host.stop();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("RENAME elsewhere young");
    let renamed = status(&mut imap, "young", "UIDVALIDITY");
    assert!(renamed > young, "{renamed} after {young}");
    imap.ok("DELETE young");
    imap.ok("CREATE young");
    let made = status(&mut imap, "young", "UIDVALIDITY");
    assert!(made > renamed, "{made} after {renamed}");
}
