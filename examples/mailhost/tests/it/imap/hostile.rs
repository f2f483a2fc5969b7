//! Clients that ask for too much.

use std::time::{Duration, Instant};

use super::{Imap, site};

/// More than any of these takes by far, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn what_is_asked_over_and_over_is_done_once() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    for subject in 1..=3 {
        imap.append("INBOX", format!("Subject: {subject}\r\n\r\n"));
    }
    imap.ok("SELECT INBOX");
    let start = Instant::now();
    let set = vec!["1:*"; 16_000].join(",");
    assert_eq!(imap.ok(format!("FETCH {set} UID")).lines().len(), 3);
    assert_eq!(imap.ok(format!("UID STORE {set} +FLAGS.SILENT (\\Seen)")).lines().len(), 0);
    assert_eq!(
        imap.ok(format!("UID SEARCH UID {}", vec!["1:4294967295"; 4_000].join(","))).lines(),
        ["SEARCH 1 2 3"]
    );
    assert_eq!(imap.ok("UID FETCH 4294967295:1 UID").lines().len(), 3);
    imap.refused(format!("FETCH 1 ({})", vec!["BODY.PEEK[]"; 5_000].join(" ")), "LIMIT");
    imap.bad(format!("FETCH {} UID", "1,".repeat(40_000)));
    let pattern = "*a".repeat(500);
    assert_eq!(imap.ok(format!("LIST \"\" {pattern}b")).lines().len(), 0);
    let patterns = vec![&*"%a".repeat(30); 900].join(" ");
    assert_eq!(imap.ok(format!("LIST \"\" ({patterns})")).lines().len(), 0);
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
}

#[test]
fn literals_that_nobody_wants_cost_nothing() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::connect(&host);
    imap.bad("LOGIN {4294967295}");
    let mut imap = Imap::connect(&host);
    imap.send("a LOGIN {99999999+}\r\n");
    imap.line("* BYE ");
    let mut imap = Imap::anna(&host);
    imap.bad("SELECT {4294967295}");
    imap.bad("SELECT {200000+}\r\n".to_owned() + &"x".repeat(200_000));
    imap.bad(format!("SELECT {}", "x".repeat(100_000)));
    imap.ok("NOOP");
}

#[test]
fn who_does_not_read_keeps_nobody_waiting() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    let large = format!("Subject: large\r\n\r\n{}", "a line that goes on and on\r\n".repeat(400_000));
    imap.append("INBOX", &large);
    imap.ok("SELECT INBOX");
    for _ in 0..20 {
        imap.send("a FETCH 1 BODY.PEEK[]\r\n");
    }
    let mut other = Imap::anna(&host);
    other.ok("SELECT INBOX");
    other.ok("STORE 1 +FLAGS (\\Seen)");
    assert_eq!(other.ok("FETCH 1 FLAGS").lines(), ["1 FETCH (FLAGS (\\Seen))"]);
    // It gets all of it when it likes.
    for _ in 0..3 {
        assert_eq!(
            imap.until("a ").data[0].len(),
            large.len() + format!("1 FETCH (BODY[] {{{}}}\r\n)", large.len()).len()
        );
    }
}
