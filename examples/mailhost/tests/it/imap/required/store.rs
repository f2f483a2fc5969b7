use super::super::{Imap, site};
use super::{filled, those};

// Ledger: 9051-7.1-5
#[test]
fn when_no_more_keywords_can_be_made_that_is_said() {
    let site = site();
    let host = site.start();
    let (mut one, mut two) = (Imap::anna(&host), Imap::anna(&host));
    filled(&mut one, "INBOX", 1);
    one.ok("SELECT INBOX");
    two.ok("SELECT INBOX");
    let words =
        |range: std::ops::Range<u32>| range.map(|number| format!("k{number}")).collect::<Vec<_>>().join(" ");
    let permanent = |lines: &[String]| {
        let those = those(lines, "PERMANENTFLAGS");
        assert_eq!(those.len(), 1, "{lines:?}");
        those[0].to_owned()
    };
    let lines = one.ok(format!("STORE 1 +FLAGS ({})", words(0..55))).lines();
    assert!(permanent(&lines).contains(" k54 \\*)]"), "{lines:?}");
    let lines = one.ok("STORE 1 +FLAGS (last)").lines();
    assert!(permanent(&lines).contains(" last)]"), "{lines:?}");
    let lines = two.ok("NOOP").lines();
    assert!(permanent(&lines).contains(" last)]"), "{lines:?}");
    one.refused("STORE 1 +FLAGS (more)", "LIMIT");
    assert!(permanent(&one.ok("SELECT INBOX").lines()).contains(" last)]"));
}

// Ledger: 9051-9-13, 3501-9-14, 7162-7-3
#[test]
fn no_flag_with_a_backslash_is_made_up() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap, "INBOX", 1);
    let said = imap.append("INBOX (\\Unheard)", "Subject: 2\r\n\r\n");
    assert!(said.starts_with("NO [CANNOT] "), "{}", said.end);
    imap.ok("SELECT INBOX");
    imap.refused("STORE 1 +FLAGS (\\Unheard)", "CANNOT");
    imap.ok("STORE 1 FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $word)");
    let flags = "FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft $word)";
    assert_eq!(imap.ok("FETCH 1:* FLAGS").lines(), [format!("1 FETCH ({flags})")]);
    let lines = imap.ok("SELECT INBOX").lines();
    assert!(lines.contains(&flags.to_owned()), "{lines:?}");
    assert!(those(&lines, "PERMANENTFLAGS")[0].contains("\\Draft $word \\*)]"), "{lines:?}");
}
