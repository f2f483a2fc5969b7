use super::super::{Imap, site};
use super::{filled, status};

/// With an accent of its own, and with one in the letter.
const LOOSE: &str = "\"e\u{301}t\u{e9}\"";
const COMPOSED: &str = "\"\u{e9}t\u{e9}\"";

// Ledger: 9051-5.1-2, 9051-5.1-3, 9051-6.3.2-6, 9051-6.3.4-1
#[test]
fn names_are_kept_in_net_unicode_and_found_however_they_are_written() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("ENABLE IMAP4rev2");
    let listed = |attributes: &str| format!("LIST ({attributes}) \"/\" {COMPOSED} (\"OLDNAME\" ({LOOSE}))");
    assert!(imap.ok(format!("CREATE {LOOSE}")).has(&listed("")));
    imap.refused(format!("CREATE {COMPOSED}"), "ALREADYEXISTS");
    imap.bad("CREATE \"a\u{85}b\"");
    let found = format!("LIST (\\HasNoChildren) \"/\" {COMPOSED}");
    for pattern in [LOOSE, COMPOSED, "\"e\u{301}%\""] {
        assert_eq!(imap.ok(format!("LIST \"\" {pattern}")).lines(), [&*found], "{pattern}");
    }
    imap.append(LOOSE, "Subject: 1\r\n\r\n");
    assert!(imap.ok(format!("SELECT {LOOSE}")).has(&listed("\\HasNoChildren")));
    assert!(!imap.ok(format!("SELECT {COMPOSED}")).lines().concat().contains("OLDNAME"));
    imap.ok(format!("EXAMINE {LOOSE}"));
    imap.ok("SELECT INBOX");
    filled(&mut imap, "INBOX", 2);
    imap.ok(format!("COPY 1 {LOOSE}"));
    imap.ok(format!("MOVE 2 {LOOSE}"));
    assert_eq!(status(&mut imap, LOOSE, "MESSAGES"), 3);
    imap.ok(format!("GETQUOTAROOT {LOOSE}"));
    imap.ok(format!("SUBSCRIBE {LOOSE}"));
    let subscribed = format!("LIST (\\Subscribed \\HasNoChildren) \"/\" {COMPOSED}");
    assert!(imap.ok("LIST (SUBSCRIBED) \"\" *").has(&subscribed));
    imap.ok(format!("UNSUBSCRIBE {LOOSE}"));
    assert!(!imap.ok("LIST (SUBSCRIBED) \"\" *").has(&subscribed));
    imap.ok(format!("RENAME {LOOSE} \"a\u{308}\""));
    imap.ok("SELECT \"\u{e4}\"");
    imap.ok("RENAME \"a\u{308}\" other");
    imap.ok(format!("CREATE {LOOSE}"));
    imap.ok(format!("DELETE {LOOSE}"));
    imap.refused(format!("DELETE {COMPOSED}"), "NONEXISTENT");
    // The other form of names is no way round it: e with an accent behind it.
    let mut imap = Imap::anna(&host);
    imap.ok("CREATE e&AwE-");
    assert_eq!(imap.ok("LIST \"\" e&AwE-").lines(), ["LIST (\\HasNoChildren) \"/\" &AOk-"]);
}

// Ledger: 9051-6.3.5-1, 9051-6.3.5-2, 3501-6.3.4-1, 3501-6.3.4-2
// Ledger: 9051-6.3.6-1, 3501-6.3.5-1, 9051-6.3.4-3, 3501-6.3.3-1
#[test]
fn what_is_below_is_not_deleted_and_is_renamed() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    // The delimiter at the end says only that there will be others below.
    imap.ok("CREATE foo/");
    imap.ok("CREATE foo/bar");
    imap.ok("CREATE foobar");
    imap.append("foo/bar", "Subject: 1\r\n\r\n");
    imap.refused("DELETE foo", "HASCHILDREN");
    assert_eq!(status(&mut imap, "foo/bar", "MESSAGES"), 1);
    imap.ok("RENAME foo zap");
    assert_eq!(status(&mut imap, "zap/bar", "MESSAGES"), 1);
    imap.ok("SELECT zap");
    imap.ok("SELECT foobar");
    for gone in ["foo", "foo/bar"] {
        imap.refused(format!("SELECT {gone}"), "NONEXISTENT");
    }
    imap.ok("DELETE zap/bar");
    imap.ok("DELETE zap");
    imap.ok("SELECT foobar");
}

// Ledger: 3501-6.3.6-1, 3501-6.3.9-1, 3501-6.3.9-2
#[test]
fn a_subscription_ends_when_the_client_ends_it() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("CREATE foo/bar");
    imap.ok("SUBSCRIBE foo/bar");
    assert!(imap.ok("LSUB \"\" f%").has("LSUB (\\Noselect) \"/\" foo"));
    assert_eq!(imap.ok("LSUB \"\" foo*").lines(), ["LSUB () \"/\" foo/bar"]);
    imap.ok("DELETE foo/bar");
    drop(host);
    let host = site.start();
    let mut imap = Imap::anna(&host);
    assert_eq!(imap.ok("LSUB \"\" foo*").lines(), ["LSUB () \"/\" foo/bar"]);
    imap.ok("CREATE foo/bar");
    imap.ok("RENAME foo/bar moved");
    assert_eq!(imap.ok("LSUB \"\" foo*").lines(), ["LSUB () \"/\" foo/bar"]);
    imap.ok("UNSUBSCRIBE foo/bar");
    assert_eq!(imap.ok("LSUB \"\" foo*").lines(), Vec::<String>::new());
}

// Ledger: 9051-5.1.1-1, 3501-5.1.1-1, 9051-7.3.1-1, 9051-7.3.1-2, 9051-7.3.1-3, 9051-7.3.1-4
// Ledger: 3501-7.2.2-1, 3501-7.2.2-2, 3501-7.2.2-3, 9051-5.1.2-1, 9051-6.3.10-1
#[test]
fn every_name_of_a_listing_is_a_name_in_a_hierarchy() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("CREATE a.b/c~d/e");
    imap.ok("CREATE INBOX/below");
    imap.ok("SUBSCRIBE gone/there");
    let namespace = imap.ok("NAMESPACE").lines();
    assert_eq!(namespace, ["NAMESPACE ((\"\" \"/\")) NIL NIL"]);
    let mut seen = 0;
    for selection in ["", "(SUBSCRIBED) "] {
        for line in imap.ok(format!("LIST {selection}\"\" *")).lines() {
            let (attributes, name) = line.split_once(") \"/\" ").expect("the delimiter of all");
            let marks = ["\\Marked", "\\Unmarked", "\\Noselect"];
            assert!(marks.iter().filter(|mark| attributes.contains(**mark)).count() <= 1, "{line}");
            seen += usize::from(name == "INBOX");
            imap.ok(format!("LIST {name} %"));
            let below = imap.ok(format!("LIST {}/ %", name.trim_matches('"'))).lines();
            assert_eq!(below.is_empty(), !attributes.contains("\\HasChildren"), "{line}: {below:?}");
            if attributes.contains("\\NonExistent") {
                imap.refused(format!("SELECT {name}"), "NONEXISTENT");
            } else {
                imap.ok(format!("SELECT {name}"));
            }
        }
    }
    assert_eq!(seen, 2);
}
