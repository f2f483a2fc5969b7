use super::super::{Imap, site};

/// A name with one below it that is subscribed to, a name that is subscribed to without a mailbox, and INBOX.
fn filled(imap: &mut Imap) {
    for name in ["Archive", "Drafts", "Junk", "Trash"] {
        imap.ok(format!("UNSUBSCRIBE {name}"));
    }
    imap.ok("CREATE foo/bar");
    imap.ok("CREATE food");
    imap.ok("SUBSCRIBE foo/bar");
    imap.ok("SUBSCRIBE gone/deep");
}

/// The lines without the delimiter.
#[track_caller]
fn listed(imap: &mut Imap, command: &str) -> Vec<String> {
    imap.ok(command).lines().into_iter().map(|line| line.replace(" \"/\" ", " ")).collect()
}

// Ledger: 5258-3.1-1, 5258-3.1-2, 5258-3.1-3, 5258-3.2-1, 5258-3.2-2, 5258-3.2-3, 5258-3.2-4, 5258-3.5-1, 5258-3.5-2
// Ledger: 5258-3-4, 5258-3-5, 5258-3-12, 5258-3-14, 5258-3-15
// Ledger: 9051-6.3.9.1-1, 9051-6.3.9.1-2, 9051-6.3.9.1-3, 9051-6.3.9.2-1, 9051-6.3.9.2-2, 9051-6.3.9.2-3
// Ledger: 9051-6.3.9-4, 9051-6.3.9-6, 9051-6.3.9.6-1
#[test]
fn what_is_subscribed_to_is_listed_and_marked() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap);
    let subscribed = [
        "LIST (\\Subscribed \\HasNoChildren) INBOX",
        "LIST (\\Subscribed \\HasNoChildren \\Sent) Sent",
        "LIST (\\Subscribed \\HasNoChildren) foo/bar",
        "LIST (\\Subscribed \\NonExistent) gone/deep",
    ];
    assert_eq!(listed(&mut imap, "LIST (SUBSCRIBED) \"\" *"), subscribed);
    // No name that leads there, neither as \Noselect nor with CHILDINFO.
    assert_eq!(listed(&mut imap, "LIST (SUBSCRIBED) \"\" %"), subscribed[..2]);
    assert_eq!(listed(&mut imap, "LIST (SUBSCRIBED SPECIAL-USE) \"\" *"), subscribed[1..2]);
    assert_eq!(listed(&mut imap, "LIST (SUBSCRIBED REMOTE) \"\" *"), subscribed);
    assert_eq!(
        listed(&mut imap, "LIST (SUBSCRIBED RECURSIVEMATCH) \"\" %"),
        [
            subscribed[0],
            subscribed[1],
            "LIST (\\HasChildren) foo (\"CHILDINFO\" (\"SUBSCRIBED\"))",
            "LIST (\\NonExistent) gone (\"CHILDINFO\" (\"SUBSCRIBED\"))",
        ]
    );
    // To be told more is not to be told of more.
    let plain = listed(&mut imap, "LIST \"\" *");
    let told = listed(&mut imap, "LIST \"\" * RETURN (SUBSCRIBED CHILDREN SPECIAL-USE)");
    let marked: Vec<String> = told.iter().map(|line| line.replace("\\Subscribed ", "")).collect();
    assert_eq!(marked, plain);
    assert_eq!(told.len(), plain.len());
    let marks = told.iter().filter(|line| line.contains("\\Subscribed"));
    assert_eq!(marks.collect::<Vec<_>>(), subscribed[..3].iter().collect::<Vec<_>>());
    assert!(plain.iter().all(|line| !line.contains("\\Subscribed") && !line.contains("(\"")), "{plain:?}");
    imap.ok("SUBSCRIBE foo");
    assert_eq!(listed(&mut imap, "LIST (SUBSCRIBED) \"\" foo"), ["LIST (\\Subscribed \\HasChildren) foo"]);
    imap.ok("UNSUBSCRIBE foo");
    imap.ok("UNSUBSCRIBE foo/bar");
    imap.ok("CREATE gone/deep");
    let told = listed(&mut imap, "LIST \"\" (foo/bar gone/deep) RETURN (SUBSCRIBED)");
    assert_eq!(told, ["LIST (\\HasNoChildren) foo/bar", "LIST (\\Subscribed \\HasNoChildren) gone/deep"]);
    imap.ok("ENABLE IMAP4rev2");
    assert_eq!(listed(&mut imap, "LIST \"\" foo/bar").len(), 1);
}

// Ledger: 5258-4-1, 5258-4-2, 9051-6.3.9.5-1, 9051-6.3.9.5-2
#[test]
fn whether_there_are_others_below_is_told() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap);
    assert_eq!(
        listed(&mut imap, "LIST \"\" foo* RETURN (CHILDREN)"),
        ["LIST (\\HasChildren) foo", "LIST (\\HasNoChildren) foo/bar", "LIST (\\HasNoChildren) food"]
    );
    assert_eq!(
        listed(&mut imap, "LIST (SUBSCRIBED) \"\" (foo* gone*) RETURN (CHILDREN)"),
        [
            "LIST (\\Subscribed \\HasNoChildren) foo/bar",
            "LIST (\\Subscribed \\NonExistent \\HasNoChildren) gone/deep"
        ]
    );
    imap.ok("DELETE foo/bar");
    assert_eq!(listed(&mut imap, "LIST \"\" foo RETURN (CHILDREN)"), ["LIST (\\HasNoChildren) foo"]);
}

// Ledger: 5258-3-1, 5258-3-2, 5258-3-3, 9051-6.3.9-1, 9051-6.3.9-3, 3501-6.3.8-1
#[test]
fn patterns_choose_the_names() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap);
    for (pattern, expected) in [
        ("foo", "foo"),
        ("foo*", "foo foo/bar food"),
        ("foo%", "foo food"),
        ("%/%", "foo/bar"),
        ("f%/b%", "foo/bar"),
        ("*r", "foo/bar"),
        ("inbox", "INBOX"),
        ("Foo", ""),
        ("gone*", ""),
        // What no name can be like is no error.
        ("a//b", ""),
        ("(a//b food)", "food"),
    ] {
        let names: Vec<String> = listed(&mut imap, &format!("LIST \"\" {pattern}"))
            .iter()
            .map(|line| line.rsplit_once(' ').expect("a name").1.to_owned())
            .collect();
        assert_eq!(names.join(" "), expected, "{pattern}");
    }
    let long = "x".repeat(2_000);
    assert_eq!(listed(&mut imap, &format!("LIST \"\" ({long} food)")), ["LIST (\\HasNoChildren) food"]);
    // An empty name asks for the delimiter, but not in what is more than the basic form.
    assert_eq!(listed(&mut imap, "LIST \"\" \"\""), ["LIST (\\Noselect) \"\""]);
    for command in [
        "LIST \"\" (\"\")",
        "LIST \"\" \"\" RETURN (CHILDREN)",
        "LIST () \"\" \"\"",
        "LIST food (\"\")",
        "LIST (SUBSCRIBED) INBOX \"\"",
    ] {
        assert_eq!(listed(&mut imap, command), Vec::<String>::new(), "{command}");
    }
    assert_eq!(listed(&mut imap, "LIST foo (\"\" d)"), ["LIST (\\HasNoChildren) food"]);
}

// Ledger: 5819-2-1, 5819-2-2, 5819-2-3, 9051-6.3.9.2-4, 9051-6.3.9.2-5, 9051-6.3.9.2-6
#[test]
fn a_status_follows_each_name_that_can_be_opened() {
    let site = site();
    let host = site.start();
    let mut imap = Imap::anna(&host);
    filled(&mut imap);
    imap.append("foo/bar", "Subject: 1\r\n\r\n");
    imap.ok("SUBSCRIBE foo");
    // \NonExistent says \NoSelect, too.
    assert_eq!(
        listed(&mut imap, "LIST (SUBSCRIBED) \"\" (foo* gone*) RETURN (STATUS (MESSAGES UNSEEN))"),
        [
            "LIST (\\Subscribed \\HasChildren) foo",
            "STATUS foo (MESSAGES 0 UNSEEN 0)",
            "LIST (\\Subscribed \\HasNoChildren) foo/bar",
            "STATUS foo/bar (MESSAGES 1 UNSEEN 1)",
            "LIST (\\Subscribed \\NonExistent) gone/deep",
        ]
    );
}
