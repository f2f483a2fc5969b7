//! How much an account has, and may have.

use mailhost::listener::Service;

use super::{Imap, site};
use crate::support::Wire;

#[test]
fn what_would_be_too_much_is_refused() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    let said = imap.ok("GETQUOTAROOT INBOX");
    assert_eq!(said.lines(), ["QUOTAROOT INBOX"]);
    imap.refused("GETQUOTA \"\"", "NONEXISTENT");
    site.does("account quota anna@example.test --size 4KiB --messages 3");
    imap.append("INBOX", format!("Subject: 1\r\n\r\n{}", "0123456789abcd\r\n".repeat(63)));
    assert_eq!(imap.ok("GETQUOTA \"\"").lines(), ["QUOTA \"\" (STORAGE 1 4 MESSAGE 1 3)"]);
    imap.refused("GETQUOTA other", "NONEXISTENT");
    imap.bad("SETQUOTA \"\" (STORAGE 999999)");
    // Before a single octet of it has come.
    imap.refused("APPEND INBOX {4000}", "OVERQUOTA");
    imap.ok("SELECT INBOX");
    imap.ok("COPY 1 Archive");
    imap.ok("COPY 1 Archive");
    imap.refused("COPY 1 Archive", "OVERQUOTA");
    imap.refused("APPEND INBOX {1}", "OVERQUOTA");
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.say("MAIL FROM:<carla@far.test>", "250");
    smtp.say("RCPT TO:<anna@example.test>", "452 4.2.2 ");
    smtp.say("RCPT TO:<ben@example.test>", "250");
    // A move takes no room.
    imap.ok("MOVE 1 Trash");
    imap.ok("SELECT Archive");
    imap.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)");
    assert!(imap.ok("STATUS Archive (DELETED-STORAGE)").has("STATUS Archive (DELETED-STORAGE 2044)"));
    imap.ok("EXPUNGE");
    smtp.say("RCPT TO:<anna@example.test>", "250");
    imap.ok("APPEND INBOX {1+}\r\nx");
    site.does("account quota anna@example.test");
    imap.refused("GETQUOTA \"\"", "NONEXISTENT");
}
