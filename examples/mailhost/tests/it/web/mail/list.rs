//! Lists.

use super::{Anna, message, put, row, rows, site};
use crate::imap::Imap;

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
    assert_eq!(rows(&anna.page(&format!("{}?before=1", anna.inbox))), [0; 0]);
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
