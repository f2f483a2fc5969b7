use std::collections::BTreeSet;

use super::super::{Imap, Said, site};
use super::{filled, number, status, those};

/// The mod-sequences of all messages.
fn mod_seqs(imap: &mut Imap) -> Vec<u64> {
    imap.ok("FETCH 1:* MODSEQ").lines().iter().map(|line| number(line, "MODSEQ")).collect()
}

fn of_fetch(said: &Said) -> u64 {
    number(those(&said.lines(), "FETCH")[0], "MODSEQ")
}

// Ledger: 7162-3.1-1, 7162-3.1-2, 7162-3.1-3, 7162-3.1-4, 7162-3.1.3-1, 7162-3.1.3-9
#[test]
fn each_change_has_a_mod_sequence_of_its_own_and_a_higher_one() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, "INBOX", 4);
    imap.ok("SELECT INBOX (CONDSTORE)");
    let before = mod_seqs(&mut imap);
    assert!(before.iter().all(|mod_seq| (1..1 << 63).contains(mod_seq)), "{before:?}");
    let mut last = *before.iter().max().unwrap();
    for change in
        ["+FLAGS (x)", "-FLAGS (x)", "FLAGS (\\Seen)", "+FLAGS.SILENT (\\Draft)", "-FLAGS.SILENT (\\Draft)"]
    {
        for condition in ["", "(UNCHANGEDSINCE 9223372036854775807) "] {
            imap.ok("STORE 3 FLAGS.SILENT (x \\Draft)");
            if change.starts_with('+') {
                imap.ok("STORE 3 FLAGS.SILENT ()");
            }
            last = mod_seqs(&mut imap)[2];
            let now = of_fetch(&imap.ok(format!("STORE 3 {condition}{change}")));
            assert!(now > last, "{condition}{change}: {now} behind {last}");
            assert_eq!(mod_seqs(&mut imap), [before[0], before[1], now, before[3]]);
            last = now;
        }
    }
    let seen = imap.ok("FETCH 4 BODY[]").data.concat();
    assert!(number(&String::from_utf8_lossy(&seen), "MODSEQ") > last);
    // Several that store at once, each a message of its own, with what they send in one batch if it can be.
    let mut others: Vec<Imap> = (0..4).map(|_| Imap::anna(&host)).collect();
    for other in &mut others {
        other.ok("SELECT INBOX (CONDSTORE)");
    }
    let mut all = BTreeSet::new();
    for round in 0..8 {
        for (other, message) in others.iter_mut().zip(1..) {
            other.send(format!("s STORE {message} +FLAGS (round{round})\r\n"));
        }
        for (other, message) in others.iter_mut().zip(1..) {
            let lines = other.until("s ").lines();
            let own = those(&lines, &format!("(UID {message} FLAGS ("))
                .iter()
                .map(|line| number(line, "MODSEQ"))
                .max();
            assert!(all.insert(own.unwrap()), "{own:?} twice: {all:?}");
        }
    }
    assert_eq!(all.len(), 32);
}

// Ledger: 7162-3.1-5, 7162-3.1.3-2, 7162-3.1.3-3, 7162-3.1.3-10, 7162-3.1.8-1
#[test]
fn who_knows_of_mod_sequences_is_told_them_with_every_change() {
    let site = site();
    let host = site.start();
    for enabling in [
        "SELECT INBOX (CONDSTORE)",
        "EXAMINE INBOX (CONDSTORE)",
        "STATUS INBOX (HIGHESTMODSEQ)",
        "FETCH 1 MODSEQ",
        "FETCH 1 FLAGS (CHANGEDSINCE 1)",
        "STORE 1 (UNCHANGEDSINCE 1) +FLAGS (y)",
        "SEARCH MODSEQ 1",
    ] {
        let (mut one, mut two) = (Imap::anna(&host), Imap::anna(&host));
        filled(&mut one, "INBOX", 1);
        one.ok("SELECT INBOX");
        two.ok("SELECT INBOX");
        let told = one.ok("STORE 1 FLAGS (x)").lines();
        assert!(!told.concat().contains("MODSEQ"), "{told:?}");
        two.ok("NOOP");
        two.ok(enabling);
        // Another's change, by the way and while it waits.
        one.ok("STORE 1 FLAGS (y)");
        let lines = two.ok("NOOP").lines();
        assert!(number(those(&lines, "FLAGS (y)")[0], "MODSEQ") > 0, "{enabling}: {lines:?}");
        two.idle();
        one.ok("STORE 1 FLAGS (x)");
        let line = two.line("* 1 FETCH (UID 1 FLAGS (x) MODSEQ (");
        assert!(number(&line, "MODSEQ") > 0);
        two.done();
        if enabling.starts_with("EXAMINE") {
            continue;
        }
        // One's own, silent and not, with a condition and without one.
        for condition in ["", "(UNCHANGEDSINCE 9223372036854775807) "] {
            for change in ["FLAGS (z)", "FLAGS.SILENT (x)"] {
                let said = two.ok(format!("STORE 1 {condition}{change}"));
                assert_eq!(said.lines().iter().filter(|line| line.contains("FETCH")).count(), 1);
                let silent = change.contains("SILENT");
                assert_eq!(those(&said.lines(), "FETCH")[0].contains("FLAGS"), !silent);
                assert!(of_fetch(&said) > 0);
            }
        }
    }
}

// Ledger: 7162-3.1-6, 7162-3.1.2-1, 7162-3.1.2-2, 7162-3.1.2.1-1
#[test]
fn where_a_mailbox_stands_is_told_when_that_is_first_asked_for() {
    let site = site();
    let host = site.start();
    let mut first = Imap::anna(&host);
    filled(&mut first, "INBOX", 1);
    for enabling in [
        "FETCH 1 MODSEQ",
        "FETCH 1 FLAGS (CHANGEDSINCE 1)",
        "STORE 1 (UNCHANGEDSINCE 1) +FLAGS (y)",
        "SEARCH MODSEQ 1",
        "STATUS INBOX (HIGHESTMODSEQ)",
    ] {
        let mut imap = Imap::anna(&host);
        imap.ok("SELECT INBOX");
        assert!(those(&imap.ok("FETCH 1 FLAGS").lines(), "MODSEQ").is_empty());
        first.ok("SELECT INBOX");
        first.ok("STORE 1 FLAGS (y)");
        first.ok("STORE 1 FLAGS (x)");
        let highest = status(&mut first, "INBOX", "HIGHESTMODSEQ");
        let lines = imap.ok(enabling).lines();
        let told = those(&lines, "OK [HIGHESTMODSEQ ");
        assert_eq!(told.len(), 1, "{enabling}: {lines:?}");
        assert_eq!(number(told[0], "HIGHESTMODSEQ"), highest, "{enabling}");
        // Once is enough, until the next mailbox is opened.
        assert!(those(&imap.ok("FETCH 1 MODSEQ").lines(), "HIGHESTMODSEQ").is_empty());
        for command in ["SELECT INBOX", "EXAMINE INBOX", "SELECT Sent", "EXAMINE Sent (CONDSTORE)"] {
            let lines = imap.ok(command).lines();
            assert_eq!(those(&lines, "OK [HIGHESTMODSEQ ").len(), 1, "{command}: {lines:?}");
            assert!(those(&imap.ok("NOOP").lines(), "HIGHESTMODSEQ").is_empty());
        }
    }
    let mut imap = Imap::anna(&host);
    imap.ok("ENABLE CONDSTORE");
    let lines = imap.ok("SELECT INBOX").lines();
    assert_eq!(
        number(those(&lines, "OK [HIGHESTMODSEQ ")[0], "HIGHESTMODSEQ"),
        status(&mut first, "INBOX", "HIGHESTMODSEQ")
    );
}

// Ledger: 7162-3.1.3-4, 7162-3.1.3-5, 7162-3.1.3-6, 7162-3.1.3-8
#[test]
fn what_has_changed_meanwhile_is_left_alone_and_named() {
    let site = site();
    let host = site.start();
    let (mut one, mut two) = (Imap::anna(&host), Imap::anna(&host));
    filled(&mut one, "INBOX", 5);
    one.ok("SELECT INBOX (CONDSTORE)");
    two.ok("SELECT INBOX");
    let since = *mod_seqs(&mut one).iter().max().unwrap();
    two.ok("STORE 2,4 +FLAGS (\\Answered)");
    one.ok("NOOP");
    let said = one.ok(format!("STORE 1:5 (UNCHANGEDSINCE {since}) +FLAGS (\\Deleted)"));
    assert!(said.starts_with("OK [MODIFIED 2,4] "), "{}", said.end);
    let flags: Vec<String> = one.ok("FETCH 1:5 FLAGS").lines();
    let deleted: Vec<usize> =
        (1..).zip(&flags).filter(|(_, line)| line.contains("\\Deleted")).map(|(n, _)| n).collect();
    assert_eq!(deleted, [1, 3, 5], "{flags:?}");
    let said = one.ok(format!("UID STORE 2 (UNCHANGEDSINCE {since}) FLAGS.SILENT ()"));
    assert!(said.starts_with("OK [MODIFIED 2] ") && said.lines().is_empty(), "{:?}", said);
    // A flag that was never set is there all the same, and 0 is older than anything.
    let said = one.ok("STORE 3 (UNCHANGEDSINCE 0) +FLAGS.SILENT (\\Draft)");
    assert!(said.starts_with("OK [MODIFIED 3] "), "{}", said.end);
    // A message that is named twice is one.
    let since = *mod_seqs(&mut one).iter().max().unwrap();
    let said = one.ok(format!("STORE 1,2,1,2:2,1:2 (UNCHANGEDSINCE {since}) +FLAGS.SILENT (twice)"));
    assert!(!said.contains("MODIFIED") && those(&said.lines(), "FETCH").len() == 2, "{:?}", said);
}

// Ledger: 7162-3.2.8-3
#[test]
fn close_does_not_tell_where_the_mailbox_stands() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, "INBOX", 2);
    for enabling in ["SELECT INBOX (CONDSTORE)", "SELECT INBOX"] {
        imap.ok(enabling);
        imap.ok("STORE 1 +FLAGS (\\Deleted)");
        let said = imap.ok("CLOSE");
        assert!(!said.contains("HIGHESTMODSEQ") && said.lines().is_empty(), "{said:?}");
    }
    assert_eq!(status(&mut imap, "INBOX", "MESSAGES"), 0);
}
