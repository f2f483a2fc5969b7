//! What is done with messages, and who sees it.

use super::{Anna, location, message, put, row, rows, site};
use crate::imap::Imap;

#[test]
fn what_is_done_here_imap_is_told_and_it_can_be_undone() {
    let Some(site) = site("what_is_done_here_imap_is_told_and_it_can_be_undone") else { return };
    let host = site.start();
    let (mut imap, mut waiting) = (Imap::anna(&host), Imap::anna(&host));
    put(&mut imap, "INBOX", &message("a", "", "carla@far.test", "one", "x"));
    put(&mut imap, "INBOX", &message("b", "<a@far.test>", "carla@far.test", "Re: one", "x"));
    put(&mut imap, "INBOX", &message("c", "", "carla@far.test", "two", "x"));
    waiting.ok("SELECT INBOX");
    let anna = Anna::sign_in(&site, &host);
    waiting.idle();
    let page = anna.act(&anna.inbox, &[("star", "2"), ("conversation", "3")]);
    waiting.line("* 2 FETCH (UID 2 FLAGS (\\Flagged))");
    assert!(page.contains("Marked 1 message with a star."), "{page}");
    assert!(row(&page, 2).contains("name=\"unstar\"") && row(&page, 3).contains("name=\"star\""), "{page}");
    anna.act(&anna.inbox, &[("unstar", "2")]);
    waiting.line("* 2 FETCH (UID 2 FLAGS ())");
    anna.act(&anna.inbox, &[("conversation", "2"), ("do", "read")]);
    waiting.line("* 1 FETCH (UID 1 FLAGS (\\Seen))");
    waiting.line("* 2 FETCH (UID 2 FLAGS (\\Seen))");

    let page = anna.act(&anna.inbox, &[("conversation", "2"), ("do", "archive")]);
    waiting.line("* 1 EXPUNGE");
    waiting.line("* 1 EXPUNGE");
    assert!(page.contains("Moved 2 messages to Archive."), "{page}");
    assert_eq!(rows(&page), [3]);
    assert_eq!(rows(&anna.page(&anna.folder("Archive"))), [2]);
    let undo = |page: &str| {
        let field = |name: &str| {
            let (_, rest) = page.split_once("class=\"notice\"").expect("a notice");
            let (_, rest) = rest.split_once(&format!("name=\"{name}\" value=\"")).expect("a field");
            rest.split('"').next().expect("its end").to_owned()
        };
        let (_, rest) = page.split_once("class=\"notice\"").expect("a notice");
        let action = rest
            .split_once("action=\"")
            .expect("a form")
            .1
            .split("/act\"")
            .next()
            .expect("its end")
            .to_owned();
        (action, field("uids"), field("to"))
    };
    let (from, uids, to) = undo(&page);
    assert_eq!(uids, "1-2");
    let page = anna.act(&from, &[("uids", &uids), ("to", &to), ("do", "undo"), ("then", &anna.inbox)]);
    waiting.line("* 3 EXISTS");
    assert!(page.contains("Moved 2 messages to Inbox."), "{page}");
    assert_eq!(rows(&page), [5, 3]);
    assert_eq!(waiting.done().lines(), Vec::<String>::new());

    // What has come to a conversation since it was shown stays.
    put(&mut imap, "INBOX", &message("d", "<c@far.test>", "carla@far.test", "Re: two", "x"));
    anna.act(&anna.inbox, &[("conversation", "3"), ("do", "junk")]);
    assert_eq!(rows(&anna.page(&anna.inbox)), [6, 5]);
    anna.act(&anna.folder("Junk"), &[("conversation", "1"), ("do", "restore")]);
    assert_eq!(rows(&anna.page(&anna.inbox)), [7, 5]);
    let sent = anna.folder("Sent");
    let page =
        anna.act(&anna.inbox, &[("uid", "5"), ("do", "move"), ("to", sent.rsplit('/').next().unwrap())]);
    assert!(page.contains("Moved 1 message to Sent."), "{page}");
    assert_eq!(rows(&page), [7, 4]);
}

#[test]
fn deleted_mail_waits_in_the_trash_until_it_is_deleted_for_good() {
    let Some(site) = site("deleted_mail_waits_in_the_trash_until_it_is_deleted_for_good") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    for number in 1..=3 {
        put(&mut imap, "INBOX", &message(&number.to_string(), "", "carla@far.test", "x", "y"));
    }
    let anna = Anna::sign_in(&site, &host);
    let page = anna.act(&anna.inbox, &[("uid", "1"), ("uid", "3"), ("do", "delete"), ("sure", "yes")]);
    assert!(page.contains("Moved 2 messages to Trash."), "{page}");
    let trash = anna.folder("Trash");
    let asked =
        anna.send(&format!("{trash}/act"), &[("conversation", "1"), ("conversation", "2"), ("do", "delete")]);
    assert!(asked.status == 200 && asked.body.contains("Delete 2 messages for good?"), "{}", asked.body);
    assert!(asked.body.contains("name=\"uids\" value=\"1-2\""), "{}", asked.body);
    assert_eq!(rows(&anna.page(&trash)), [2, 1], "it was only asked");
    let page = anna.act(&trash, &[("uids", "1-2"), ("do", "delete"), ("sure", "yes")]);
    assert!(page.contains("Deleted 2 messages for good.") && page.contains("The trash is empty."), "{page}");
    assert!(!page.contains("Undo"), "{page}");
    assert!(imap.ok("STATUS Trash (MESSAGES)").has("STATUS Trash (MESSAGES 0)"));
    let page = anna.act(&trash, &[("uids", "1-2"), ("do", "delete"), ("sure", "yes")]);
    assert!(page.contains("Nothing was chosen, or it is gone already."), "{page}");
}

#[test]
fn a_folder_that_is_missing_is_made() {
    let Some(site) = site("a_folder_that_is_missing_is_made") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    put(&mut imap, "INBOX", &message("a", "", "carla@far.test", "x", "y"));
    imap.ok("DELETE Archive");
    let anna = Anna::sign_in(&site, &host);
    anna.act(&anna.inbox, &[("uid", "1"), ("do", "archive")]);
    assert_eq!(rows(&anna.page(&anna.folder("Archive"))), [1]);
    assert!(
        imap.ok("LIST (SPECIAL-USE) \"\" *")
            .lines()
            .iter()
            .any(|line| line.contains("\\Archive") && line.contains("Archive"))
    );
}

#[test]
fn nothing_is_done_without_a_seal_or_for_another_site() {
    let Some(site) = site("nothing_is_done_without_a_seal_or_for_another_site") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    put(&mut imap, "INBOX", &message("a", "", "carla@far.test", "x", "y"));
    let anna = Anna::sign_in(&site, &host);
    let act = format!("{}/act", anna.inbox);
    for path in [&*act, "/folders/new", "/folders/3/delete", "/folders/3/rename"] {
        for seal in ["", "x"] {
            let fields = [("seal", seal), ("uid", "1"), ("do", "delete"), ("name", "new"), ("sure", "yes")];
            assert_eq!(anna.browser.post(path, &fields, &[]).status, 403, "{path}");
        }
    }
    let seal = super::seal(&anna.page(&anna.inbox));
    let fields = [("seal", &*seal), ("uid", "1"), ("do", "delete")];
    assert_eq!(anna.browser.post(&act, &fields, &["--header", "Sec-Fetch-Site: cross-site"]).status, 403);
    assert_eq!(anna.browser.get(&act).status, 405);
    assert_eq!(rows(&anna.page(&anna.inbox)), [1]);
    assert!(imap.ok("LIST \"\" new").lines().is_empty());

    for (fields, status) in [
        (&[("do", "fly"), ("uid", "1")][..], 400),
        (&[("uid", "1")], 400),
        (&[("do", "move"), ("uid", "1"), ("to", "")], 400),
        (&[("do", "move"), ("uid", "1"), ("to", "x")], 404),
        (&[("do", "read"), ("uid", "one")], 400),
        (&[("do", "read"), ("uids", "1-")], 400),
    ] {
        assert_eq!(anna.send(&act, fields).status, status, "{fields:?}");
    }
    let elsewhere = anna.send(&act, &[("do", "read"), ("uid", "1"), ("then", "//elsewhere.test/")]);
    assert!(location(&elsewhere).starts_with(&anna.inbox), "{}", elsewhere.head);
}

#[test]
fn at_most_5_000_messages_go_at_once_and_all_of_them() {
    let Some(site) = site("at_most_5_000_messages_go_at_once_and_all_of_them") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    put(&mut imap, "INBOX", &message("a", "", "carla@far.test", "x", "y"));
    imap.ok("SELECT INBOX");
    while imap.ok("STATUS INBOX (MESSAGES)").lines().iter().all(|line| !line.contains("MESSAGES 8192")) {
        imap.ok("COPY 1:* INBOX");
    }
    let anna = Anna::sign_in(&site, &host);
    let act = format!("{}/act", anna.inbox);
    let refused = anna.send(&act, &[("uids", "1-5001"), ("do", "archive")]);
    assert!(refused.status == 400 && refused.body.contains("more than 5,000"), "{}", refused.body);
    // They have one Message-ID, so they are one conversation.
    let refused = anna.send(&act, &[("conversation", "8192"), ("uids", "1-5000"), ("do", "archive")]);
    assert!(refused.status == 400 && refused.body.contains("more than 5,000"), "{}", refused.body);
    let page = anna.act(&anna.inbox, &[("uids", "1-5000"), ("do", "archive")]);
    assert!(page.contains("Moved 5,000 messages to Archive."), "{page}");
    assert!(imap.ok("STATUS Archive (MESSAGES)").has("STATUS Archive (MESSAGES 5000)"));
    assert!(imap.ok("STATUS INBOX (MESSAGES)").has("STATUS INBOX (MESSAGES 3192)"));
}
