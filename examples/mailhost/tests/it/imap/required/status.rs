use mailhost::listener::Service;

use super::super::{Imap, site};
use super::{filled, number, status};
use crate::support::Wire;

// Ledger: 9051-6.3.11-1, 9051-6.3.11-2, 9051-6.3.11-4, 3501-6.3.10-1
#[test]
fn status_counts_and_changes_nothing() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, "INBOX", 2);
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&["anna@example.test"], "Subject: posted\r\n\r\nbody\r\n");
    imap.ok("SELECT INBOX");
    let sizes: u64 = imap.ok("FETCH 1:3 RFC822.SIZE").lines().iter().map(|line| number(line, "SIZE")).sum();
    let said = imap.ok("STATUS INBOX (MESSAGES UNSEEN SIZE HIGHESTMODSEQ)").lines();
    assert!(said[0].starts_with("STATUS INBOX (MESSAGES 3 UNSEEN 3 SIZE "), "{said:?}");
    assert!(number(&said[0], "SIZE") >= sizes);
    let highest = number(&said[0], "HIGHESTMODSEQ");
    // Another mailbox, which does not become the open one.
    assert_eq!(imap.ok("STATUS Sent (MESSAGES)").lines(), ["STATUS Sent (MESSAGES 0)"]);
    assert_eq!(imap.ok("FETCH 3 UID").lines(), ["3 FETCH (UID 3)"]);
    assert_eq!(status(&mut imap, "INBOX", "HIGHESTMODSEQ"), highest);
    imap.ok("EXPUNGE");
    assert_eq!(status(&mut imap, "INBOX", "MESSAGES"), 3);
}
