//! IDLE, and the other protocols beside IMAP.

use mailhost::listener::Service;

use super::{Imap, site};
use crate::support::Wire;

#[test]
fn who_waits_is_told_at_once() {
    let site = site();
    let host = site.start();
    let (mut waiting, mut other) = (Imap::anna(&host), Imap::anna(&host));
    waiting.ok("SELECT INBOX");
    other.ok("SELECT INBOX");
    waiting.idle();
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    smtp.deliver(&["anna@example.test"], "Subject: one\r\n\r\n");
    waiting.line("* 1 EXISTS");
    smtp.deliver(&["anna@example.test"], "Subject: two\r\n\r\n");
    waiting.line("* 2 EXISTS");
    other.ok("NOOP");
    other.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    waiting.line("* 1 FETCH (UID 1 FLAGS (\\Deleted))");
    other.ok("EXPUNGE");
    waiting.line("* 1 EXPUNGE");
    assert_eq!(waiting.done().lines(), Vec::<String>::new());
    // What came before the client waited is told first.
    smtp.deliver(&["anna@example.test"], "Subject: three\r\n\r\n");
    waiting.idle();
    waiting.line("* 2 EXISTS");
    waiting.send("DONE\r\n");
    assert!(waiting.until("i ").starts_with("OK"));
    // Without a mailbox there is nothing to be told, and that is fine.
    let mut idle = Imap::anna(&host);
    idle.idle();
    assert!(idle.done().starts_with("OK"));
    idle.idle();
    idle.send("NOOP\r\n");
    idle.line("i BAD ");
}

#[test]
fn pop3_and_imap_see_one_mailbox() {
    let site = site();
    let host = site.start();
    let mut smtp = Wire::smtp(host.address(Service::Smtp));
    for subject in 1..=3 {
        smtp.deliver(&["anna@example.test"], format!("Subject: {subject}\r\n\r\nbody {subject}\r\n"));
    }
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), "anna@example.test");
    let mut imap = Imap::anna(&host);
    imap.ok("SELECT INBOX");
    imap.ok("STORE 2 +FLAGS.SILENT (\\Deleted)");
    assert_eq!(imap.ok("EXPUNGE").lines(), ["2 EXPUNGE"]);
    // The maildrop stays what it was when it was opened.
    assert_eq!(pop3.unique_ids().len(), 3);
    assert!(pop3.retrieve(2).ends_with(b"body 2\r\n"));
    pop3.say("DELE 1", "+OK");
    pop3.say("DELE 2", "+OK");
    imap.idle();
    pop3.say("QUIT", "+OK");
    imap.line("* 1 EXPUNGE");
    imap.done();
    let whole = imap.ok("FETCH 1 BODY.PEEK[]").data.concat();
    let mut pop3 = Wire::pop3(host.address(Service::Pop3), "anna@example.test");
    let retrieved = pop3.retrieve(1);
    assert!(whole.ends_with(&[&retrieved[..], b")"].concat()), "the same octets");
}
