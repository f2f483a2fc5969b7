//! Names: made, listed, renamed, removed, subscribed to.

use super::{Imap, site};

/// The names of a listing, with what stands in front of them.
#[track_caller]
fn listed(imap: &mut Imap, command: &str) -> Vec<String> {
    imap.ok(command).lines().into_iter().map(|line| line.replace(" \"/\" ", " ")).collect()
}

#[test]
fn a_new_account_has_what_everybody_needs() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    let expected = [
        "LIST (\\Subscribed \\HasNoChildren \\Archive) Archive",
        "LIST (\\Subscribed \\HasNoChildren \\Drafts) Drafts",
        "LIST (\\Subscribed \\HasNoChildren) INBOX",
        "LIST (\\Subscribed \\HasNoChildren \\Junk) Junk",
        "LIST (\\Subscribed \\HasNoChildren \\Sent) Sent",
        "LIST (\\Subscribed \\HasNoChildren \\Trash) Trash",
    ];
    assert_eq!(listed(&mut imap, "LIST \"\" * RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)"), expected);
    let special = listed(&mut imap, "LIST (SPECIAL-USE) \"\" *");
    assert_eq!((special.len(), &*special[0]), (5, "LIST (\\HasNoChildren \\Archive) Archive"));
    assert_eq!(listed(&mut imap, "LSUB \"\" S%"), ["LSUB () Sent"]);
    assert_eq!(listed(&mut imap, "LIST \"\" \"\""), ["LIST (\\Noselect) \"\""]);
    assert!(imap.ok("NAMESPACE").has("NAMESPACE ((\"\" \"/\")) NIL NIL"));
}

#[test]
fn names_are_made_renamed_and_removed_by_the_rules() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("CREATE work/2024/tax");
    assert_eq!(
        listed(&mut imap, "LIST \"\" work*"),
        [
            "LIST (\\HasChildren) work",
            "LIST (\\HasChildren) work/2024",
            "LIST (\\HasNoChildren) work/2024/tax"
        ]
    );
    assert_eq!(listed(&mut imap, "LIST work/ %"), ["LIST (\\HasChildren) work/2024"]);
    imap.ok("CREATE play/");
    imap.refused("CREATE play", "ALREADYEXISTS");
    imap.refused("CREATE inbox", "ALREADYEXISTS");
    imap.refused("CREATE a//b", "CANNOT");
    imap.refused(format!("CREATE {}x", "a/".repeat(40)), "CANNOT");
    imap.refused("DELETE work", "HASCHILDREN");
    imap.refused("DELETE INBOX", "CANNOT");
    imap.refused("DELETE nothing", "NONEXISTENT");
    imap.refused("RENAME nothing else", "NONEXISTENT");
    imap.refused("RENAME work play", "ALREADYEXISTS");
    imap.refused("RENAME work work/below", "CANNOT");
    imap.ok("RENAME work old/things");
    assert_eq!(
        listed(&mut imap, "LIST \"\" (old* work*)"),
        [
            "LIST (\\HasChildren) old",
            "LIST (\\HasChildren) old/things",
            "LIST (\\HasChildren) old/things/2024",
            "LIST (\\HasNoChildren) old/things/2024/tax"
        ]
    );
    imap.ok("DELETE old/things/2024/tax");
    imap.ok("CREATE \"gro\\\"ss\"");
    imap.ok("CREATE &AOQ-rger");
    assert_eq!(listed(&mut imap, "LIST \"\" &AOQ-*"), ["LIST (\\HasNoChildren) &AOQ-rger"]);
    imap.ok("ENABLE IMAP4rev2");
    assert_eq!(listed(&mut imap, "LIST \"\" *rger"), ["LIST (\\HasNoChildren) \"\u{e4}rger\""]);
    assert!(imap.ok("CREATE inbox/x").has("LIST () \"/\" INBOX/x (\"OLDNAME\" (inbox/x))"));
    // Nobody else's names are seen, and nobody else's mailboxes touched.
    let mut ben = Imap::of(&host, "ben");
    assert_eq!(listed(&mut ben, "LIST \"\" old*"), Vec::<String>::new());
    ben.refused("SELECT old", "NONEXISTENT");
    drop(host);
    let host = site.start();
    let mut imap = Imap::anna(&host);
    assert_eq!(listed(&mut imap, "LIST \"\" old/%"), ["LIST (\\HasChildren) old/things"]);
}

#[test]
fn inbox_is_renamed_by_moving_what_is_in_it() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("CREATE INBOX/below");
    imap.append("INBOX (\\Flagged)", "Subject: one\r\n\r\n1\r\n");
    imap.ok("RENAME INBOX kept");
    assert!(imap.ok("STATUS INBOX (MESSAGES)").has("STATUS INBOX (MESSAGES 0)"));
    assert!(imap.ok("STATUS kept (MESSAGES)").has("STATUS kept (MESSAGES 1)"));
    assert_eq!(listed(&mut imap, "LIST \"\" INBOX*").len(), 2);
    imap.ok("EXAMINE kept");
    assert!(
        imap.ok("FETCH 1 (FLAGS BODY.PEEK[TEXT])").has("1 FETCH (FLAGS (\\Flagged) BODY[TEXT] {3}\r\n1\r\n)")
    );
}

#[test]
fn special_uses_are_given_once() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.refused("CREATE other (USE (\\Sent))", "USEATTR");
    imap.refused("CREATE other (USE (\\All \\Flagged))", "USEATTR");
    imap.refused("CREATE other (USE (\\Unheard))", "USEATTR");
    imap.ok("CREATE everything (USE (\\All))");
    imap.ok("DELETE Sent");
    imap.ok("CREATE posted (USE (\\Sent))");
    assert_eq!(
        listed(&mut imap, "LIST (SPECIAL-USE) \"\" (everything posted)"),
        ["LIST (\\HasNoChildren \\All) everything", "LIST (\\HasNoChildren \\Sent) posted"]
    );
}

#[test]
fn subscriptions_are_names_with_or_without_a_mailbox() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("SUBSCRIBE lists/rust");
    imap.ok("CREATE lists/c");
    for name in ["Archive", "Drafts", "Junk", "Sent", "Trash"] {
        imap.ok(format!("UNSUBSCRIBE {name}"));
    }
    imap.ok("UNSUBSCRIBE never");
    assert_eq!(listed(&mut imap, "LSUB \"\" *"), ["LSUB () INBOX", "LSUB () lists/rust"]);
    assert_eq!(listed(&mut imap, "LSUB \"\" %"), ["LSUB () INBOX", "LSUB (\\Noselect) lists"]);
    assert_eq!(
        listed(&mut imap, "LIST (SUBSCRIBED) \"\" *"),
        ["LIST (\\Subscribed \\HasNoChildren) INBOX", "LIST (\\Subscribed \\NonExistent) lists/rust"]
    );
    assert_eq!(
        listed(&mut imap, "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %"),
        [
            "LIST (\\Subscribed \\HasNoChildren) INBOX",
            "LIST (\\HasChildren) lists (\"CHILDINFO\" (\"SUBSCRIBED\"))"
        ]
    );
    imap.bad("LIST (RECURSIVEMATCH) \"\" *");
    // RFC 9051 §6.3.5: the subscription outlives the mailbox.
    imap.ok("SUBSCRIBE lists/c");
    imap.ok("DELETE lists/c");
    assert_eq!(listed(&mut imap, "LSUB \"\" lists/c"), ["LSUB () lists/c"]);
}

#[test]
fn status_says_everything_that_can_be_asked() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.append("Archive (\\Seen)", "Subject: 1\r\n\r\n");
    imap.append("Archive (\\Deleted)", "Subject: 22\r\n\r\n");
    let said =
        imap.ok("STATUS Archive (MESSAGES RECENT UIDNEXT UNSEEN DELETED SIZE APPENDLIMIT DELETED-STORAGE)");
    let expected = "STATUS Archive (MESSAGES 2 RECENT 0 UIDNEXT 3 UNSEEN 1 DELETED 1 SIZE 29 DELETED-STORAGE 15 \
                    APPENDLIMIT 52428800)";
    assert!(said.has(expected), "{:?}", said.lines());
    let said = imap.ok("STATUS Archive (UIDVALIDITY HIGHESTMODSEQ)");
    assert!(said.lines()[0].contains("UIDVALIDITY 1"), "{:?}", said.lines());
    imap.refused("STATUS nothing (MESSAGES)", "NONEXISTENT");
    let both = imap.ok("LIST \"\" Ar* RETURN (STATUS (MESSAGES UNSEEN))");
    assert_eq!(
        both.lines(),
        ["LIST (\\HasNoChildren \\Archive) \"/\" Archive", "STATUS Archive (MESSAGES 2 UNSEEN 1)"]
    );
}
