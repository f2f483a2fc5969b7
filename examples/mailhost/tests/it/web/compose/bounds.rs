//! How much and how many, to the last one.

use std::fs;

use super::{Writer, count, curl_is_missing, plain, saved, sent, two};
use crate::imap::Imap;
use crate::support::{PASSWORD, Site};

fn people(count: usize, first: usize) -> String {
    (first..first + count).map(|number| format!("p{number}@down.test, ")).collect()
}

#[test]
fn recipients_are_counted_to_the_last_and_what_is_not_sent_counts_for_nothing() {
    if curl_is_missing("recipients_are_counted_to_the_last_and_what_is_not_sent_counts_for_nothing") {
        return;
    }
    let (near, _) = two();
    fs::write(
        near.config(),
        fs::read_to_string(near.config()).unwrap() + "[limits]\nmessage_size = \"100 KiB\"\n",
    )
    .unwrap();
    let host = near.start();
    let anna = Writer::new(&near, &host, "anna@a.test");
    let hundred = people(100, 0);
    let large = "x".repeat(60) + "\n";
    let page = anna.get("/compose");
    for _ in 0..3 {
        let file = near.folder().path("large");
        fs::write(&file, large.repeat(1_600)).unwrap();
        let refused = anna.fill(&page, &[("to", &hundred)], &[&file.display().to_string()], "send");
        assert_eq!(refused.status, 413, "{}", plain(&refused.body));
    }
    // Each once, however often and in whatever case they are named.
    let place = anna.send(
        &[
            ("to", &people(98, 0)),
            ("cc", "otto@a.test, OTTO@A.TEST, P0@down.test"),
            ("bcc", "last@down.test"),
        ],
        &[],
    );
    let told = anna.outcome(&place, &["p97@down.test", "last@down.test", "otto@a.test delivered here"]);
    assert!(!told.contains("OTTO") && !told.contains("P0@"), "{told}");
    anna.send(&[("to", &people(100, 200))], &[]);
    // The two hundred of an hour, but for what has come back while this ran.
    let refused = anna.fill(&page, &[("to", &people(90, 300))], &[], "send");
    assert!(
        refused.status == 429 && plain(&refused.body).contains("very many people within the last hour"),
        "{}",
        refused.head
    );
    let mut imap = Imap::connect(&host);
    imap.ok(format!("LOGIN anna@a.test {PASSWORD:?}"));
    assert_eq!(count(&mut imap, "Sent"), 2);
    // Somebody else has an hour of their own.
    Writer::new(&near, &host, "otto@a.test").send(&[("to", &people(100, 400))], &[]);
}

#[test]
fn a_message_may_be_as_large_as_is_said_and_no_octet_more() {
    if curl_is_missing("a_message_may_be_as_large_as_is_said_and_no_octet_more") {
        return;
    }
    let site = Site::with_accounts(
        "[auth]\nallow_plaintext = true\n[limits]\nmessage_size = \"64 KiB\"\n",
        &["anna", "ben"],
    );
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    let mut imap = Imap::anna(&host);
    let text = |last: usize| ("x".repeat(58) + "\n").repeat(950) + &"y".repeat(last);
    let file = site.folder().path("text");
    let save = |last: usize| {
        fs::write(&file, text(last)).unwrap();
        let page = anna.get("/compose");
        // The text is too long for a command line.
        let options = [
            ("seal", super::hidden(&page.body, "seal")),
            ("id", super::hidden(&page.body, "id")),
            ("from", "anna@example.test".to_owned()),
            ("text", format!("<{}", file.display())),
            ("do", "save".to_owned()),
        ];
        let options: Vec<String> = options
            .iter()
            .flat_map(|(name, value)| ["--form".to_owned(), format!("{name}={value}")])
            .collect();
        anna.ask("/compose", &options.iter().map(String::as_str).collect::<Vec<_>>())
    };
    saved(&save(1));
    imap.ok("EXAMINE Drafts");
    let said = imap.ok("FETCH 1 RFC822.SIZE").lines().concat();
    let size: usize = said.rsplit(' ').next().unwrap().trim_end_matches(')').parse().unwrap();
    // What the host puts above a message needs room as well.
    let most = (64 << 10) - (8 << 10);
    assert!(most > size && most - size < 900, "{size} of {most}");
    saved(&save(1 + most - size));
    let refused = save(2 + most - size);
    assert_eq!(refused.status, 413, "{}", refused.head);
    assert_eq!(count(&mut imap, "Drafts"), 2);
}

#[test]
fn a_text_may_have_a_mebibyte_and_lines_of_the_form_an_end() {
    if curl_is_missing("a_text_may_have_a_mebibyte_and_lines_of_the_form_an_end") {
        return;
    }
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    let page = anna.get("/compose").body;
    for (name, most) in [("text", 1 << 20), ("subject", 64 << 10)] {
        for (octets, status) in [(most, "303"), (most + 1, "413")] {
            let value = "x".repeat(octets);
            let form = super::raw::Form::of(&anna, &page, &[(name, &value)], None, "save").octets();
            let mut stream = super::raw::connect(&anna);
            super::raw::push(&mut stream, &form);
            let answer = super::raw::head(&mut stream);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{name} of {octets}: {answer}");
        }
    }
}

#[test]
fn nothing_is_written_on_a_disk_that_is_full() {
    if curl_is_missing("nothing_is_written_on_a_disk_that_is_full") {
        return;
    }
    let site = Site::with_accounts(
        "[auth]\nallow_plaintext = true\n[limits]\ndisk_reserve = \"1000000 GiB\"\n",
        &["anna", "ben"],
    );
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    let fields = [("to", "ben@example.test"), ("text", "kept text")];
    let file = site.folder().path("f");
    fs::write(&file, "f").unwrap();
    let file = file.display().to_string();
    for (button, files) in [("send", &[][..]), ("save", &[]), ("attach", &[&*file])] {
        let full = anna.fill(&anna.get("/compose"), &fields, files, button);
        assert!(full.status == 507 && plain(&full.body).contains("has no room"), "{button}: {}", full.head);
        assert_eq!(super::value(&full.body, "text").as_deref(), Some("kept text"));
    }
    let mut ben = Imap::of(&host, "ben");
    assert_eq!(count(&mut ben, "INBOX"), 0);
}

#[test]
fn a_form_without_its_seal_sends_nothing() {
    if curl_is_missing("a_form_without_its_seal_sends_nothing") {
        return;
    }
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    let page =
        anna.get(&saved(&anna.fill(&anna.get("/compose"), &[("to", "ben@example.test")], &[], "save")));
    let file = site.folder().path("f");
    fs::write(&file, "f").unwrap();
    for button in ["send", "save", "discard", "attach", "remove:0"] {
        let refused = anna.fill(&page, &[("seal", "")], &[&file.display().to_string()], button);
        assert_eq!(refused.status, 403, "{button}");
    }
    let (mut imap, mut ben) = (Imap::anna(&host), Imap::of(&host, "ben"));
    assert_eq!((count(&mut imap, "Drafts"), count(&mut ben, "INBOX")), (1, 0));
    sent(&anna.fill(&page, &[], &[], "send"));
}
