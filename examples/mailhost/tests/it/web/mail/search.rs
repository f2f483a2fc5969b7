//! Search.

use std::fs;

use super::{Anna, message, put, rows, site};
use crate::imap::Imap;

#[test]
fn words_are_found_wherever_they_stand() {
    let Some(site) = site("words_are_found_wherever_they_stand") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    put(
        &mut imap,
        "INBOX",
        &message("a", "", "Carla <carla@far.test>", "Invoice for May", "Please pay 10 crowns."),
    );
    put(
        &mut imap,
        "INBOX (\\Seen)",
        &message("b", "", "dan@far.test", "=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "The invoice is paid."),
    );
    put(&mut imap, "INBOX", &message("c", "", "dan@far.test", "Holidays", "in May, or pay in June"));
    put(&mut imap, "Archive", &message("d", "", "carla@far.test", "Invoice for April", "old"));
    let anna = Anna::sign_in(&site, &host);
    let found = |words: &str| {
        let query: String = words.bytes().map(|octet| format!("%{octet:02x}")).collect();
        anna.page(&format!("{}?q={query}", anna.inbox))
    };
    for (words, expected) in [
        ("invoice", &[2, 1][..]),
        ("INVOICE may", &[1]),
        ("\"in may\"", &[3]),
        ("grüße", &[2]),
        ("from:carla", &[1]),
        ("from:dan -invoice", &[3]),
        ("subject:invoice", &[1]),
        ("is:unread pay", &[3, 1]),
        ("to:anna larger:10", &[3, 2, 1]),
        ("larger:1M", &[]),
        ("before:2001-01-01", &[]),
        ("crowns OR nothing", &[]),
    ] {
        assert_eq!(rows(&found(words)), expected, "{words}");
    }
    let everywhere = found("subject:invoice in:all");
    assert_eq!(rows(&everywhere).len(), 2, "{everywhere}");
    assert!(everywhere.contains(">Archive</span>") && everywhere.contains(">Inbox</span>"), "{everywhere}");
    assert!(!everywhere.contains("name=\"do\""), "what is done is done in one folder: {everywhere}");
    let doubtful = found("is:green invoice");
    assert!(doubtful.contains("not “is:green”") && rows(&doubtful) == [2, 1], "{doubtful}");
    let hostile = found("\"><script>alert(1)</script>");
    assert!(!hostile.contains("<script>alert"), "{hostile}");
    assert!(found("nowhere").contains("Nothing was found."));
}

#[test]
fn a_search_goes_on_where_a_page_ends() {
    let Some(site) = site("a_search_goes_on_where_a_page_ends") else { return };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    for number in 1..=60 {
        put(&mut imap, "INBOX", &message(&number.to_string(), "", "carla@far.test", "needle", "x"));
    }
    for number in 1..=45 {
        put(&mut imap, "Archive", &message(&number.to_string(), "", "carla@far.test", "needle", "x"));
    }
    let anna = Anna::sign_in(&site, &host);
    let first = anna.page(&format!("{}?q=needle", anna.inbox));
    assert_eq!(rows(&first), (11..=60).rev().collect::<Vec<_>>());
    let next = |page: &str| {
        let (_, rest) = page.split_once("rel=\"next\" href=\"")?;
        Some(rest.split('"').next()?.replace("&amp;", "&"))
    };
    let second = anna.page(&next(&first).expect("a link"));
    assert_eq!(rows(&second), (1..=10).rev().collect::<Vec<_>>());
    assert_eq!(next(&second), None);

    let (mut path, mut count, mut pages) = (Some(format!("{}?q=needle+in:all", anna.inbox)), 0, 0);
    while let Some(next_page) = path {
        let page = anna.page(&next_page);
        count += rows(&page).len();
        pages += 1;
        path = next(&page);
    }
    assert_eq!(count, 105);
    assert!(pages <= 4, "{pages}");
}

#[test]
fn results_of_many_folders_are_by_date_and_pages_lead_back_to_themselves() {
    let Some(site) = site("results_of_many_folders_are_by_date_and_pages_lead_back_to_themselves") else {
        return;
    };
    let host = site.start();
    let mut imap = Imap::anna(&host);
    for (folder, year) in [("INBOX", 2021), ("INBOX", 2023), ("Archive", 2022), ("Junk", 2024)] {
        let arguments = format!("{folder} () \"01-Mar-{year} 23:30:00 +0000\"");
        put(
            &mut imap,
            &arguments,
            &message(&year.to_string(), "", "carla@far.test", &format!("needle {year}"), "x"),
        );
    }
    let anna = Anna::sign_in(&site, &host);
    let page = anna.page(&format!("{}?q=needle+in:all", anna.inbox));
    let years: Vec<&str> = page.split(">needle ").skip(1).map(|rest| &rest[..4]).collect();
    assert_eq!(years, ["2024", "2023", "2022", "2021"], "{page}");
    // What is done with results leads back to the same page of them, and the day is that of the browser's clock.
    let path = format!("{}?q=needle&at={}.2", anna.inbox, anna.inbox.rsplit('/').next().unwrap());
    let page = anna.page(&path);
    assert_eq!(rows(&page), [1]);
    assert!(page.contains(&format!("name=\"then\" value=\"{}\"", path.replace('&', "&amp;"))), "{page}");
    assert!(page.contains(">1 Mar 2021<"), "{page}");
    let jar = &anna.browser.jar;
    let known = fs::read_to_string(jar).unwrap();
    fs::write(jar, format!("{known}mail.example.test\tFALSE\t/\tFALSE\t0\toffset\t60\n")).unwrap();
    assert!(anna.page(&path).contains(">2 Mar 2021<"), "an hour to the east it is the day after");
    // More than 500 characters, and those that ask for all folders, are not looked for.
    let long = anna.page(&format!("{}?q={}", anna.inbox, "x".repeat(600)));
    let value = format!("value=\"{}\"", "x".repeat(500 + " in:all".len()));
    assert!(long.contains(&value), "{long}");
}
