//! APPEND.

use super::{Imap, site};

#[test]
fn a_message_is_kept_as_it_came_with_flags_and_date() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.send("a APPEND Drafts (\\Draft $x) \" 1-Jan-2020 10:00:00 +0100\" {20}\r\n");
    imap.line("+ ");
    imap.send("Subject: \u{e4}\r\n\r\nabc\r\n\r\n");
    let said = imap.until("a ");
    assert_eq!(said.code("APPENDUID")[1], "1");
    // Into the mailbox that is open: it is told before the answer.
    imap.ok("SELECT Drafts");
    assert_eq!(imap.append("Drafts", "Subject: 2\r\n\r\n").lines(), ["2 EXISTS"]);
    let said = imap.ok("FETCH 1 (FLAGS INTERNALDATE BODY.PEEK[])");
    let expected = "1 FETCH (FLAGS (\\Draft $x) INTERNALDATE \" 1-Jan-2020 09:00:00 +0000\" BODY[] {20}\r\n\
                    Subject: \u{e4}\r\n\r\nabc\r\n)";
    assert!(said.has(expected), "{:?}", said.lines());
    let large = format!("Subject: large\r\n\r\n{}", "0123456789 abcdef\r\n".repeat(20_000));
    imap.append("Drafts", &large);
    host.kill();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("EXAMINE Drafts");
    let said = imap.ok("FETCH 3 BODY[]");
    assert!(said.data[0].ends_with(format!("{large})").as_bytes()));
}

#[test]
fn what_cannot_be_kept_is_refused_before_it_comes() {
    let site = crate::support::Site::with_accounts(
        "[auth]\nallow_plaintext = true\n[limits]\nmessage_size = \"64 KiB\"\n",
        &["anna"],
    );
    let host = site.start();
    let mut imap = Imap::anna(&host);
    for (command, code) in [
        ("APPEND nothing {10}", "TRYCREATE"),
        ("APPEND INBOX {65537}", "TOOBIG"),
        ("APPEND INBOX (\\Unheard) {10}", "CANNOT"),
    ] {
        imap.refused(command, code);
    }
    // And where it comes anyway, it is read over.
    imap.refused("APPEND nothing {10+}\r\na NOOP\r\n\r\n", "TRYCREATE");
    imap.ok("NOOP");
    assert!(imap.ok("STATUS INBOX (MESSAGES)").has("STATUS INBOX (MESSAGES 0)"));
}

#[test]
fn no_message_with_nul_or_bare_line_ends_is_taken() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    let long = format!("Subject: x\r\n\r\n{}", "line\r\n".repeat(30_000));
    for (message, why) in [
        ("a\0b\r\n".to_owned(), "NUL"),
        ("Subject: x\n\ny\n".to_owned(), "CR or LF alone"),
        ("Subject: x\r\n\r\ny\r".to_owned(), "CR or LF alone"),
        (format!("{long}\n"), "CR or LF alone"),
    ] {
        let said = imap.append("INBOX", message);
        assert!(said.starts_with("NO [CANNOT] ") && said.contains(why), "{}", said.end);
    }
    // What does not end behind its message was none.
    let said = imap.say("APPEND INBOX {6+}\r\nx: y\r\nand more");
    assert!(said.starts_with("BAD "), "{}", said.end);
    assert!(imap.ok("STATUS INBOX (MESSAGES)").has("STATUS INBOX (MESSAGES 0)"));
    assert_eq!(site.bodies(), 0);
    drop(imap);
    // Half a message is none either.
    let mut imap = Imap::anna(&host);
    imap.send(format!("a APPEND INBOX {{200000+}}\r\n{long}"));
    drop(imap);
    host.wait_for("EofInside");
    let mut imap = Imap::anna(&host);
    assert!(imap.ok("STATUS INBOX (MESSAGES)").has("STATUS INBOX (MESSAGES 0)"));
    host.stop();
    let host = site.start();
    drop(host);
    assert_eq!(site.bodies(), 0);
}
