//! Lists.

use super::{Anna, message, put, row, rows, site};
use crate::imap::Imap;
use crate::relay::submit;

#[test]
fn a_list_shows_conversations_the_newest_first() {
    let Some(site) = site("a_list_shows_conversations_the_newest_first") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    let anna = Anna::sign_in(&site, &host);
    assert!(anna.page(&anna.inbox).contains("New mail appears by itself."));

    put(&mut imap, "INBOX", &message("a", "", "Carla <carla@far.test>", "Lunch", "Shall we?"));
    put(
        &mut imap,
        "INBOX",
        &message("x", "", "=?utf-8?q?J=C3=B6rg?= <j@far.test>", "<script>alert(1)</script>", "\"<b>&"),
    );
    put(
        &mut imap,
        "INBOX (\\Seen)",
        &message("b", "<a@far.test>", "dan@far.test", "Re: Lunch", "> Shall we?\r\nYes."),
    );
    put(&mut imap, "INBOX", &message("y", "", "Eve \u{202e}<eve@far.test>", "Lunch", "not the same"));
    put(
        &mut imap,
        "INBOX (\\Flagged)",
        &message("c", "<none@far.test> <b@far.test>", "Carla <carla@far.test>", "Re: Lunch", "Good."),
    );
    let page = anna.page(&anna.inbox);
    assert_eq!(rows(&page), [5, 4, 2]);
    let lunch = row(&page, 5);
    for part in [
        "<b dir=\"auto\">Carla</b>, <bdi>dan@far.test</bdi>",
        "class=\"many\">3<",
        "Re: Lunch",
        " Good.",
        "name=\"unstar\"",
    ] {
        assert!(lunch.contains(part), "{part} in {lunch}");
    }
    let hostile = row(&page, 2);
    for part in ["Jörg", "&lt;script&gt;alert(1)&lt;/script&gt;", "&quot;&lt;b&gt;&amp;", "name=\"star\""] {
        assert!(hostile.contains(part), "{part} in {hostile}");
    }
    assert!(!page.contains("<script>") && !page.contains('\u{202e}'));
    assert!(page.contains("<title>(4) Inbox</title>"), "{page}");

    // A message that goes takes its part of the conversation along.
    imap.ok("SELECT INBOX");
    imap.ok("UID STORE 3 +FLAGS (\\Deleted)");
    imap.ok("EXPUNGE");
    assert_eq!(rows(&anna.page(&anna.inbox)), [5, 4, 2, 1], "nothing joins the first and the last any more");
}

#[test]
fn pages_follow_each_other_in_both_directions() {
    let Some(site) = site("pages_follow_each_other_in_both_directions") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    for number in 1..=120 {
        // Each second one answers the one before it.
        let answers = if number % 2 == 0 { format!("<{}@far.test>", number - 1) } else { String::new() };
        put(&mut imap, "INBOX", &message(&number.to_string(), &answers, "carla@far.test", "x", "y"));
    }
    let anna = Anna::sign_in(&site, &host);
    let page = anna.page(&anna.inbox);
    let first: Vec<u32> = (0..50).map(|row| 120 - 2 * row).collect();
    assert_eq!(rows(&page), first);
    assert!(page.contains("?before=22\"") && !page.contains("?after="), "{page}");
    let page = anna.page(&format!("{}?before=22", anna.inbox));
    assert_eq!(rows(&page), (1..=10).map(|row| 22 - 2 * row).collect::<Vec<_>>());
    assert!(page.contains("?after=20\"") && !page.contains("?before=2\""), "{page}");
    assert_eq!(rows(&anna.page(&format!("{}?after=20", anna.inbox))), first);
    let page = anna.page(&format!("{}?after=12", anna.inbox));
    assert_eq!(rows(&page), (0..50).map(|row| 112 - 2 * row).collect::<Vec<_>>());
    assert!(page.contains("?after=112\"") && page.contains("?before=14\""), "{page}");
    // The newest that are less than a page are the first page.
    assert_eq!(rows(&anna.page(&format!("{}?after=110", anna.inbox))), first);
    for nonsense in ["?before=x", "?before=0", "?after=-1", "?done=7", "?before=99999999999"] {
        assert_eq!(rows(&anna.page(&format!("{}{nonsense}", anna.inbox))), first, "{nonsense}");
    }
    // Where nothing older is left, the oldest there are: who has put away the last page does not stand before nothing.
    let page = anna.page(&format!("{}?before=1", anna.inbox));
    assert_eq!(rows(&page), (0..50).map(|row| 100 - 2 * row).collect::<Vec<_>>());
    assert!(page.contains("?after=100\"") && !page.contains("rel=\"next\""), "{page}");
    let last = format!("{}?before=22", anna.inbox);
    let page = anna.page(&last);
    assert!(page.contains(&format!("name=\"then\" value=\"{last}\"")), "an action comes back to it: {page}");
    let page = anna.act(&anna.inbox, &[("uids", "1-20"), ("do", "archive"), ("then", &last)]);
    assert!(page.contains("Moved 20 messages to Archive."), "{page}");
    assert_eq!(rows(&page), first, "these are the oldest now");
    assert!(!page.contains("rel=\"next\"") && !page.contains("rel=\"prev\""), "{page}");
    let page = anna.page(&format!("{}?after=22", anna.inbox));
    assert!(page.contains(&format!("name=\"then\" value=\"{}?after=22\"", anna.inbox)), "{page}");
}

#[test]
fn a_page_that_is_just_full_has_nothing_behind_it() {
    let Some(site) = site("a_page_that_is_just_full_has_nothing_behind_it") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    for number in 1..=100 {
        put(&mut imap, "INBOX", &message(&number.to_string(), "", "carla@far.test", "x", "y"));
    }
    let anna = Anna::sign_in(&site, &host);
    let (first, second): (Vec<u32>, Vec<u32>) = ((51..=100).rev().collect(), (1..=50).rev().collect());
    let page = anna.page(&anna.inbox);
    assert_eq!(rows(&page), first);
    assert!(page.contains("?before=51\"") && !page.contains("?after="), "{page}");
    let page = anna.page(&format!("{}?before=51", anna.inbox));
    assert_eq!(rows(&page), second);
    assert!(page.contains("?after=50\"") && !page.contains("rel=\"next\""), "{page}");
    let page = anna.page(&format!("{}?after=50", anna.inbox));
    assert_eq!(rows(&page), first);
    assert!(page.contains("?before=51\"") && !page.contains("rel=\"prev\""), "{page}");
    // A place may be that of a message which has gone.
    anna.act(&anna.inbox, &[("uid", "50"), ("do", "delete")]);
    let page = anna.page(&format!("{}?before=50", anna.inbox));
    assert_eq!(rows(&page), second[1..]);
    let page = anna.page(&format!("{}?after=50", anna.inbox));
    assert!(rows(&page) == first && page.contains("?before=51\""), "{page}");
    anna.act(&anna.inbox, &[("uids", "1-49"), ("do", "delete")]);
    let page = anna.page(&format!("{}?after=50", anna.inbox));
    assert_eq!(rows(&page), first);
    assert!(!page.contains("rel=\"next\"") && !page.contains("rel=\"prev\""), "there is one page: {page}");
}

#[test]
fn a_row_says_what_its_conversation_is() {
    let Some(site) = site("a_row_says_what_its_conversation_is") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    let dated = |flags: &str, day: u32| format!("INBOX ({flags}) \"{day:02}-Mar-2021 10:00:00 +0000\"");
    let carla = "Carla <carla@far.test>";
    // The first one is unread and has the star, the newest one is read and answered.
    put(&mut imap, &dated("\\Flagged", 1), &message("a", "", carla, "One", "x"));
    put(&mut imap, &dated("\\Seen \\Answered", 2), &message("b", "<a@far.test>", carla, "Re: One", "x"));
    // The first one is answered and read, the newest one unread.
    put(&mut imap, &dated("\\Seen \\Answered", 3), &message("c", "", carla, "Two", "x"));
    put(&mut imap, &dated("", 4), &message("d", "<c@far.test>", carla, "Re: Two", "x"));
    // Many people, one of whom writes again and is unread then.
    for (number, (flags, from)) in
        [("\\Seen", "A"), ("\\Seen", "B"), ("\\Seen", "C"), ("", "A"), ("", "D")].into_iter().enumerate()
    {
        let answers = if number > 0 { "<many.0@far.test>" } else { "" };
        let from = format!("{from} <{from}@far.test>");
        put(&mut imap, &dated(flags, 5), &message(&format!("many.{number}"), answers, &from, "Three", "x"));
    }
    let anna = Anna::sign_in(&site, &host);
    let page = anna.page(&anna.inbox);
    assert_eq!(rows(&page), [9, 4, 2]);
    let says = |uid: u32, parts: &[&str], not: &[&str]| {
        let row = row(&page, uid);
        parts.iter().for_each(|part| assert!(row.contains(part), "{part} in {row}"));
        not.iter().for_each(|part| assert!(!row.contains(part), "{part} in {row}"));
    };
    assert_eq!(page.matches("<li class=\"unread\"").count(), 3, "{page}");
    says(
        2,
        &["name=\"unstar\"", " answered<", "<b dir=\"auto\">Carla</b>", ">2 Mar 2021<"],
        &["Carla</bdi>"],
    );
    says(4, &["name=\"star\"", ">4 Mar 2021<"], &[" answered<"]);
    says(9, &["<b dir=\"auto\">A</b>, <bdi>C</bdi>, <b dir=\"auto\">D</b>"], &["B<"]);
    assert!(page.contains("<title>(4) Inbox</title>"), "{page}");
}

#[test]
fn a_row_shows_a_clip_for_what_hangs_on_and_the_words_of_the_text() {
    let Some(site) = site("a_row_shows_a_clip_for_what_hangs_on_and_the_words_of_the_text") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    let parts = |kind: &str, parts: &[&str]| {
        let parts: String = parts.iter().map(|part| format!("--b\r\n{part}\r\n")).collect();
        format!(
            "From: carla@far.test\r\nSubject: parts\r\nMIME-Version: 1.0\r\n\
             Content-Type: multipart/{kind}; boundary=b\r\n\r\n{parts}--b--\r\n"
        )
    };
    let text = "Content-Type: text/plain\r\n\r\nthe words";
    let file =
        "Content-Type: text/plain\r\nContent-Disposition: attachment; filename=a.txt\r\n\r\nof the file";
    put(&mut imap, "INBOX", &parts("mixed", &[file, text]));
    put(
        &mut imap,
        "INBOX",
        &parts("related", &[text, "Content-Type: image/png\r\nContent-ID: <p@x>\r\n\r\nAA"]),
    );
    put(&mut imap, "INBOX", &parts("signed", &[text, "Content-Type: application/pgp-signature\r\n\r\nAA"]));
    put(&mut imap, "Sent (\\Seen)", &message("s", "", "anna@example.test", "sent", "the words"));
    put(&mut imap, "Drafts (\\Seen \\Draft)", &message("d", "", "anna@example.test", "draft", "the words"));
    // What stands in front of a delivery is no part of its text.
    submit(
        &host,
        "anna@example.test",
        "anna@example.test",
        &["anna@example.test"],
        "Subject: own\r\n\r\nthe words\r\n",
    );
    let anna = Anna::sign_in(&site, &host);
    let page = anna.page(&anna.inbox);
    for (uid, clip) in [(1, true), (2, false), (3, false), (4, false)] {
        let row = row(&page, uid);
        assert_eq!(row.contains(" attachment<"), clip, "{row}");
        assert!(row.contains("<span class=\"beginning\" dir=\"auto\"> the words</span>"), "{row}");
    }
    assert_eq!(rows(&anna.page(&format!("{}?q=has:attachment", anna.inbox))), [1]);
    assert_eq!(rows(&anna.page(&format!("{}?q=-has:attachment+the", anna.inbox))), [4, 3, 2]);
    // Of what goes out, it is said to whom; what is not finished is opened to be written.
    let sent = row(&anna.page(&anna.folder("Sent")), 1);
    assert!(sent.contains(">To </span>") && sent.contains("<bdi>anna@example.test</bdi>"), "{sent}");
    let drafts = anna.folder("Drafts");
    let draft = row(&anna.page(&drafts), 1);
    let number = drafts.rsplit('/').next().unwrap();
    assert!(draft.contains(&format!("href=\"/compose?draft={number}.1\"")), "{draft}");
    // Folders are counted by what is unread; drafts by what waits to be finished.
    assert!(page.contains("<span class=\"name\">Drafts</span><span class=\"count\">1"), "{page}");
    assert!(page.contains("<span class=\"name\">Inbox</span><span class=\"count\">4"), "{page}");
    assert!(page.contains("<span class=\"name\">Sent</span></a>"), "{page}");
}

#[test]
fn names_of_strangers_and_of_folders_are_text() {
    let Some(site) = site("names_of_strangers_and_of_folders_are_text") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    imap.ok("CREATE \"<img src=x>\"");
    put(&mut imap, "INBOX", &message("a", "", "\"<img src=x>\" <e@far.test>", "<img src=x>", "<img src=x>"));
    put(&mut imap, "INBOX (\\Seen)", &message("b", "", "\"<img src=x>\" <e@far.test>", "y", "z"));
    put(&mut imap, "\"<img src=x>\"", &message("c", "", "e@far.test", "needle", "z"));
    let anna = Anna::sign_in(&site, &host);
    let own = anna.folder("&lt;img src=x&gt;");
    let search = |words: &str| {
        let words: String = words.bytes().map(|octet| format!("%{octet:02x}")).collect();
        format!("{}?q={words}", anna.inbox)
    };
    for path in [
        &*anna.inbox,
        &own,
        "/folders",
        "/compose",
        &search("needle in:all"),
        &search("<img src=x> is:<img src=x>"),
        &search("\"><img src=x>"),
    ] {
        let page = anna.page(path);
        assert!(page.contains("&lt;img src=x&gt;"), "{path}: {page}");
        assert!(!page.contains("<img"), "{path}: {page}");
    }
    // Nobody moves anything to where it is.
    let page = anna.page(&own);
    let number = own.rsplit('/').next().unwrap();
    assert!(!page.contains(&format!("<option value=\"{number}\">")), "{page}");
    for (folder, for_good) in [("Junk", true), ("Trash", true), ("Archive", false)] {
        let path = anna.folder(folder);
        put(&mut imap, folder, &message("x", "", "e@far.test", "x", "x"));
        assert_eq!(anna.page(&path).contains("Delete for good"), for_good, "{folder}");
    }
}

#[test]
fn nobody_sees_what_belongs_to_somebody_else() {
    let Some(site) = site("nobody_sees_what_belongs_to_somebody_else") else { return };
    let host = site.start();
    let mut imap = Imap::of(&host, "ben");
    put(&mut imap, "INBOX", &message("a", "", "carla@far.test", "secret", "x"));
    let anna = Anna::sign_in(&site, &host);
    let own: u64 = anna.inbox.rsplit('/').next().and_then(|number| number.parse().ok()).expect("a number");
    let mut missing = 0;
    for number in 0..40 {
        let path = format!("/mail/{number}");
        let answer = anna.browser.get(&path);
        assert!(!answer.body.contains("secret"));
        if answer.status == 404 {
            missing += 1;
            // What there is and what there is not look the same.
            let none = anna.browser.get("/mail/987654321");
            assert_eq!((none.status, none.body), (404, answer.body));
            assert_eq!(anna.send(&format!("{path}/act"), &[("uid", "1"), ("do", "delete")]).status, 404);
            assert_eq!(anna.send(&format!("/folders/{number}/delete"), &[("sure", "yes")]).status, 404);
            assert_eq!(anna.browser.get(&format!("/mail/events?box={number}")).status, 404);
            assert_eq!(
                anna.send(
                    &format!("{}/act", anna.inbox),
                    &[("uid", "1"), ("do", "move"), ("to", &number.to_string())]
                )
                .status,
                404
            );
        }
    }
    assert!((30..40).contains(&missing) && own < 40, "{missing}");
    for path in ["/mail/x", "/mail/-1", "/mail/99999999999999999999"] {
        assert_eq!(anna.browser.get(path).status, 404, "{path}");
    }
    assert!(imap.ok("STATUS INBOX (MESSAGES)").has("STATUS INBOX (MESSAGES 1)"));
}

#[test]
fn a_page_of_the_longest_texts_is_not_large() {
    let Some(site) = site("a_page_of_the_longest_texts_is_not_large") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    for number in 0..50_u32 {
        // Characters that take most in a page, names that differ, and a header that is not kept as a structure.
        let text = ["\"", "&", "\u{1f600}", "<", "é"][number as usize % 5].repeat(3_000);
        for part in 0..5 {
            let from = format!("\"{part}{}\" <carla@far.test>", "'&".repeat(500));
            let answers = if part > 0 { format!("<{number}.0@far.test>") } else { String::new() };
            put(&mut imap, "INBOX", &message(&format!("{number}.{part}"), &answers, &from, &text, &text));
        }
    }
    let anna = Anna::sign_in(&site, &host);
    let page = anna.page(&anna.inbox);
    assert_eq!(rows(&page).len(), 50);
    println!("{} octets", page.len());
    assert!(page.len() < 100 << 10, "{} octets", page.len());
}
