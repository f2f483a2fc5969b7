//! What is done with messages, and who sees it.

use std::time::Instant;

use super::{Anna, is_refused, location, message, put, row, rows, site};
use crate::imap::Imap;
use crate::relay::submit;
use crate::support::DEADLINE;

const ANNA: &str = "anna@example.test";

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
    imap.ok("UNSUBSCRIBE Archive");
    let anna = Anna::sign_in(&site, &host);
    anna.act(&anna.inbox, &[("uid", "1"), ("do", "archive")]);
    assert_eq!(rows(&anna.page(&anna.folder("Archive"))), [1]);
    assert!(
        imap.ok("LIST (SPECIAL-USE) \"\" *")
            .lines()
            .iter()
            .any(|line| line.contains("\\Archive") && line.contains("Archive"))
    );
    assert!(
        imap.ok("LSUB \"\" Archive").lines().iter().any(|line| line.ends_with(" Archive")),
        "programs show it"
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

    for (fields, status) in
        [(&[("do", "move"), ("uid", "1"), ("to", "x")][..], 404), (&[("do", "read"), ("uid", "one")], 400)]
    {
        assert_eq!(anna.send(&act, fields).status, status, "{fields:?}");
    }
    let archive = anna.folder("Archive");
    for (fields, why) in [
        (&[("do", "fly"), ("uid", "1")][..], "There is no such action."),
        (&[("uid", "1")], "There is no such action."),
        (&[("do", "move"), ("uid", "1"), ("to", "")], "Choose a folder to move to first"),
        (&[("do", "read"), ("uids", "1-")], "There are no such messages."),
    ] {
        let mut fields = fields.to_vec();
        fields.push(("then", &archive));
        let answer = anna.send(&act, &fields);
        assert!(answer.status == 303 && location(&answer).starts_with(&archive), "{}", answer.head);
        assert!(is_refused(&anna.page(location(&answer)), why), "{fields:?}");
    }
    assert_eq!(rows(&anna.page(&anna.inbox)), [1]);
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
    assert!(is_refused(&anna.page(location(&refused)), "more than 5,000"), "{}", refused.head);
    // They have one Message-ID, so they are one conversation.
    let refused = anna.send(&act, &[("conversation", "8192"), ("uids", "1-5000"), ("do", "archive")]);
    assert!(is_refused(&anna.page(location(&refused)), "more than 5,000"), "{}", refused.head);
    let page = anna.act(&anna.inbox, &[("uids", "1-5000"), ("do", "archive")]);
    assert!(page.contains("Moved 5,000 messages to Archive."), "{page}");
    assert!(imap.ok("STATUS Archive (MESSAGES)").has("STATUS Archive (MESSAGES 5000)"));
    assert!(imap.ok("STATUS INBOX (MESSAGES)").has("STATUS INBOX (MESSAGES 3192)"));
    // One more than may be, whichever way it is named.
    let refused = anna.send(
        &format!("{}/act", anna.folder("Archive")),
        &[("uids", "1-4999"), ("uid", "5000"), ("uid", "5001"), ("do", "archive")],
    );
    assert!(is_refused(&anna.page(location(&refused)), "more than 5,000"), "{}", refused.head);

    // A search takes a while here, and one session does three of them at once: no more.
    let path = format!("{}?q=nowhere+in:all", anna.inbox);
    // Who asks may be kept waiting, so that the first has its answer before the last asks; but not always.
    let begun = Instant::now();
    loop {
        let mut searches: Vec<_> = (0..5).map(|_| super::events::ask(&host, &anna, &path)).collect();
        let answers: Vec<String> = searches.iter_mut().map(|wire| wire.line()).collect();
        let refused = answers.iter().filter(|line| line.starts_with("HTTP/1.1 429 ")).count();
        let answered = answers.iter().filter(|line| line.starts_with("HTTP/1.1 200 ")).count();
        assert!(refused + answered == 5 && answered >= 3 && begun.elapsed() < DEADLINE, "{answers:?}");
        if refused == 2 {
            break;
        }
    }
    assert_eq!(anna.browser.get(&path).status, 200, "and then again");
}

#[test]
fn each_button_does_what_it_says() {
    let Some(site) = site("each_button_does_what_it_says") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    for (id, answers) in [("a", ""), ("b", "<a@far.test>"), ("c", "<a@far.test>"), ("d", "")] {
        put(&mut imap, "INBOX", &message(id, answers, "carla@far.test", "x", "y"));
    }
    let anna = Anna::sign_in(&site, &host);
    imap.ok("SELECT INBOX");
    let mut flagged = |flag: &str| {
        let found = imap.ok(format!("UID SEARCH {flag}")).lines();
        found[0].strip_prefix("SEARCH").expect("an answer").trim().to_owned()
    };
    for (fields, flag, expected) in [
        // A star is of its own row, whatever else is chosen; and it is taken from all of a conversation.
        (&[("star", "3"), ("uid", "4")][..], "FLAGGED", "3"),
        (&[("do", "flag"), ("uid", "1"), ("uid", "4")], "FLAGGED", "1 3 4"),
        (&[("unstar", "3"), ("uid", "4")], "FLAGGED", "4"),
        (&[("do", "unflag"), ("uid", "4")], "FLAGGED", ""),
        (&[("do", "read"), ("conversation", "3"), ("star", "4")], "SEEN", "1 2 3"),
        (&[("do", "read"), ("uids", "1-4")], "SEEN", "1 2 3 4"),
        (&[("do", "unread"), ("conversation", "2")], "UNSEEN", "1 2"),
        (&[("do", "unread"), ("uid", "77")], "UNSEEN", "1 2"),
    ] {
        anna.act(&anna.inbox, fields);
        assert_eq!(flagged(flag), expected, "{fields:?}");
    }
    let number = anna.inbox.rsplit('/').next().unwrap();
    let page = anna.act(&anna.inbox, &[("do", "move"), ("uid", "4"), ("to", number)]);
    assert!(page.contains("What you chose is in Inbox already.") && rows(&page) == [4, 3], "{page}");
    // The page that an action came from is the page that it leads back to.
    let then = format!("{}?q=a+b&done=1&at=1.2#main", anna.inbox);
    let answer = anna.send(&format!("{}/act", anna.inbox), &[("do", "read"), ("uid", "1"), ("then", &then)]);
    let to = location(&answer);
    let done = to.split("done=").nth(1).and_then(|rest| rest.split('#').next()).expect("a number");
    assert_eq!(to, format!("{}?q=a+b&at=1.2&done={done}#main", anna.inbox));
    assert!(done != "1" && done.parse::<u64>().is_ok(), "{to}");
}

#[test]
fn what_is_undone_is_what_was_done() {
    let Some(site) = site("what_is_undone_is_what_was_done") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    for id in ["a", "b", "c"] {
        put(
            &mut imap,
            "INBOX (\\Flagged $Label) \"11-Mar-2021 10:00:00 +0000\"",
            &message(id, "", "carla@far.test", id, "y"),
        );
    }
    // The numbers of messages differ from folder to folder, and so do those of folders that are there and that are made.
    put(&mut imap, "Archive", &message("x", "", "carla@far.test", "x", "y"));
    imap.ok("DELETE Junk");
    imap.ok("UNSUBSCRIBE Junk");
    let anna = Anna::sign_in(&site, &host);
    for (button, folder) in [("archive", "Archive"), ("junk", "Junk"), ("delete", "Trash")] {
        let before = rows(&anna.page(&anna.inbox));
        let newest = before[0].to_string();
        let subject = row(&anna.page(&anna.inbox), before[0]).contains(">a<");
        let page = anna.act(&anna.inbox, &[("uid", &newest), ("do", button)]);
        assert_eq!(rows(&page), before[1..], "{button}");
        let (_, form) = page.split_once("class=\"notice\"").expect("a notice");
        let value = |name: &str| {
            let (_, rest) = form.split_once(&format!("name=\"{name}\" value=\"")).expect("a field");
            rest.split('"').next().expect("its end").to_owned()
        };
        let action = form.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a form");
        assert_eq!(action, format!("{}/act", anna.folder(folder)), "it goes back from there");
        let fields = [
            ("uids", value("uids")),
            ("to", value("to")),
            ("then", value("then")),
            ("do", "undo".to_owned()),
        ];
        let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, &**value)).collect();
        let page = anna.act(action.strip_suffix("/act").unwrap(), &fields);
        assert!(page.contains("Moved 1 message to Inbox.") && page.contains("<h1>Inbox</h1>"), "{page}");
        let back = rows(&page)[0];
        assert_eq!((rows(&page).len(), &rows(&page)[1..]), (before.len(), &before[1..]), "{button}");
        assert_eq!(row(&page, back).contains(">a<"), subject);
    }
    imap.ok("SELECT INBOX");
    let all = imap.ok("FETCH 1:* (FLAGS INTERNALDATE)").lines();
    assert_eq!(all.len(), 3, "{all:?}");
    for line in &all {
        assert!(line.contains("\\Flagged") && line.contains("$Label"), "{line}");
        assert!(line.contains("INTERNALDATE \"11-Mar-2021 10:00:00 +0000\""), "{line}");
    }
    assert!(imap.ok("STATUS Archive (MESSAGES)").has("STATUS Archive (MESSAGES 1)"));
    assert!(imap.ok("LSUB \"\" Junk").lines().iter().any(|line| line.ends_with(" Junk")), "programs show it");
}

/// What stands in front of a message for its receiver alone goes with it.
#[test]
fn what_is_moved_is_octet_for_octet_what_it_was() {
    let Some(site) = site("what_is_moved_is_octet_for_octet_what_it_was") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    submit(&host, ANNA, ANNA, &[ANNA], "Subject: delivered\r\n\r\nthe words\r\n");
    let mut whole = |folder: &str| {
        imap.ok(format!("EXAMINE {folder}"));
        imap.ok("FETCH 1 BODY.PEEK[]").data
    };
    let before = whole("INBOX");
    let text = String::from_utf8_lossy(&before[0]).into_owned();
    assert!(text.contains("Return-Path:") && text.contains("Received:"), "{text}");
    let anna = Anna::sign_in(&site, &host);
    anna.act(&anna.inbox, &[("uid", "1"), ("do", "archive")]);
    assert_eq!(whole("Archive"), before);
}

/// Whoever deletes what was put aside is asked, for nobody brings it back.
#[test]
fn what_was_put_aside_is_deleted_for_good_whatever_its_folder_is_for() {
    let Some(site) = site("what_was_put_aside_is_deleted_for_good_whatever_its_folder_is_for") else {
        return;
    };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    // A folder of the name counts where there is none that is said to be for this.
    imap.ok("DELETE Trash");
    imap.ok("CREATE Trash");
    let anna = Anna::sign_in(&site, &host);
    for folder in ["Junk", "Trash"] {
        put(&mut imap, folder, &message(folder, "", "carla@far.test", "x", "y"));
        let path = anna.folder(folder);
        assert!(anna.page(&path).contains("Delete for good"), "{folder}");
        let then = format!("{path}?before=9");
        let asked = anna.send(&format!("{path}/act"), &[("uid", "1"), ("do", "delete"), ("then", &then)]);
        assert!(asked.status == 200 && asked.body.contains("Delete 1 message for good?"), "{}", asked.body);
        let back = format!("name=\"then\" value=\"{then}\"");
        assert!(
            asked.body.contains(&back) && asked.body.contains(&format!("href=\"{then}\"")),
            "{}",
            asked.body
        );
        assert_eq!(rows(&anna.page(&path)), [1], "it was only asked");
        let page = anna.act(&path, &[("uids", "1"), ("do", "delete"), ("sure", "yes")]);
        assert!(page.contains("Deleted 1 message for good."), "{page}");
        assert!(imap.ok("STATUS Trash (MESSAGES)").has("STATUS Trash (MESSAGES 0)"), "{folder}");
        assert!(imap.ok("STATUS Junk (MESSAGES)").has("STATUS Junk (MESSAGES 0)"), "{folder}");
    }
}
