use super::super::{Imap, site};
use super::status;
use crate::support::Site;

// Ledger: 9051-6.3.12-2, 9051-6.3.12-3, 9051-6.3.12-4, 9051-6.3.12-5
// Ledger: 3501-6.3.11-3, 3501-6.3.11-4, 3501-6.3.11-5, 3501-6.3.11-6
#[test]
fn an_append_that_fails_leaves_nothing() {
    let site = Site::with_accounts(
        "[auth]\nallow_plaintext = true\n[limits]\nmessage_size = \"400 KiB\"\n",
        &["anna"],
    );
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.append("INBOX", "Subject: 1\r\n\r\n");
    for part in ["nothing", "foo/bar"] {
        let said = imap.append(part, "Subject: x\r\n\r\n");
        assert!(said.starts_with("NO [TRYCREATE] "), "{}", said.end);
        imap.refused(format!("APPEND {part} {{10}}"), "TRYCREATE");
        assert_eq!(imap.ok(format!("LIST \"\" {part}")).lines(), Vec::<String>::new());
    }
    // With a keyword that nobody has used, in a file of its own, and cut off.
    let large = "0123456789 abcdef\r\n".repeat(10_000);
    for message in ["a\0b", &format!("Subject: x\r\n\r\n{large}\n")] {
        let said = imap.append("INBOX (new)", message);
        assert!(said.starts_with("NO "), "{}", said.end);
    }
    imap.refused("APPEND INBOX {500000}", "TOOBIG");
    imap.send(format!("a APPEND INBOX (new) {{300000+}}\r\n{large}"));
    drop(imap);
    host.wait_for("EofInside");
    let mut imap = Imap::anna(&host);
    assert_eq!(status(&mut imap, "INBOX", "MESSAGES"), 1);
    assert!(!imap.ok("SELECT INBOX").lines().concat().contains("new"));
    site.does("account quota anna@example.test --messages 1");
    let said = imap.append("INBOX", "Subject: 2\r\n\r\n");
    assert!(said.starts_with("NO [OVERQUOTA] "), "{}", said.end);
    assert_eq!(imap.ok("FETCH 1:* UID").lines(), ["1 FETCH (UID 1)"]);
    assert_eq!(site.bodies(), 0);
}

// Ledger: 9051-6.4.7-1, 9051-6.4.7-2, 9051-6.4.7-3, 9051-6.4.7-4, 9051-6.4.7-5, 3501-6.4.7-1, 3501-6.4.7-2
// Ledger: 9051-6.4.8-5, 9051-6.4.8-6, 9051-6.4.8-7
#[test]
fn a_copy_or_move_that_fails_leaves_nothing() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    for subject in 1..=3 {
        imap.append("INBOX", format!("Subject: {subject}\r\n\r\n"));
    }
    imap.ok("SELECT INBOX");
    for command in ["COPY 1:3", "UID COPY 1:3", "MOVE 1:3", "UID MOVE 1:3"] {
        imap.refused(format!("{command} nothing"), "TRYCREATE");
        assert_eq!(imap.ok("LIST \"\" nothing").lines(), Vec::<String>::new());
    }
    // Room for one, or two, but not for all.
    site.does("account quota anna@example.test --messages 5");
    imap.refused("COPY 1:3 Archive", "OVERQUOTA");
    imap.refused("UID COPY 1:3 INBOX", "OVERQUOTA");
    assert_eq!(status(&mut imap, "Archive", "MESSAGES"), 0);
    assert_eq!(imap.ok("FETCH 1:* UID").lines().len(), 3);
    imap.ok("COPY 1:2 Archive");
    assert_eq!(status(&mut imap, "Archive", "MESSAGES"), 2);
}
