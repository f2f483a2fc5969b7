//! What belongs to somebody else, or leads to somebody else.

use std::fs;

use super::{
    Writer, count, curl_is_missing, folder, hidden, message, page_of, plain, saved, sent, two, value,
};
use crate::imap::Imap;
use crate::support::{PASSWORD, Site};

fn number(path: &str) -> &str {
    path.rsplit('/').next().expect("a number")
}

#[test]
fn nobody_takes_what_is_in_the_drafts_or_the_mail_of_another() {
    if curl_is_missing("nobody_takes_what_is_in_the_drafts_or_the_mail_of_another") {
        return;
    }
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben", "otto"]);
    let host = site.start();
    let (anna, otto) =
        (Writer::new(&site, &host, "anna@example.test"), Writer::new(&site, &host, "otto@example.test"));
    let file = site.folder().path("secret.txt");
    fs::write(&file, "secret file\n").unwrap();
    let page = otto.get(&saved(&otto.fill(
        &otto.get("/compose"),
        &[("to", "ben@example.test"), ("subject", "his own")],
        &[&file.display().to_string()],
        "attach",
    )));
    let (draft, id) = (hidden(&page.body, "draft"), hidden(&page.body, "id"));
    let mut his = Imap::of(&host, "otto");
    his.ok("EXAMINE Drafts");
    let (of, uid) = draft.split_once('.').unwrap();
    let validity = his.ok("STATUS Drafts (UIDVALIDITY)").lines().concat();
    let validity = validity.rsplit(' ').next().unwrap().trim_end_matches(')').to_owned();
    for what in ["draft", "reply", "all", "forward"] {
        let page = anna.get(&format!("/compose?{what}={draft}"));
        assert!(page.status == 404 && !page.body.contains("his own"), "{what}: {}", page.head);
    }
    // In a form that somebody has changed, over all that names a place.
    for (origin, button) in
        [("forward", "send"), ("reply", "send"), ("forward", "save"), ("forward", "discard")]
    {
        let origin = format!("{origin}:{of}.{uid}.{validity}");
        let page = anna.get("/compose");
        let own = hidden(&page.body, "id");
        let id = if button == "discard" { &id } else { &own };
        let fields = [
            ("to", "ben@example.test"),
            ("draft", &*draft),
            ("id", id),
            ("origin", &*origin),
            ("attached", "0"),
        ];
        let answer = anna.fill(&page, &fields, &[], button);
        assert!(answer.status == 303 && !answer.body.contains("secret"), "{}", plain(&answer.body));
        assert_eq!(count(&mut his, "Drafts"), 1, "his draft is still there after {button}");
        assert!(!answer.head.contains(&format!("draft={of}.")), "{}", answer.head);
    }
    his.ok("EXAMINE Drafts");
    assert!(!his.ok("FETCH 1 FLAGS").lines()[0].contains("Answered"), "nor is it marked");
    let mut ben = Imap::of(&host, "ben");
    for number in 1..=count(&mut ben, "INBOX") {
        let read = message(&mut ben, "INBOX", number);
        assert!(!read.contains("c2VjcmV0IGZpbGUK") && !read.contains("secret.txt"), "{read}");
    }
    // Nor is anybody offered whom others have written to.
    sent(&otto.fill(&page, &[], &[], "send"));
    let offered = otto.get("/addresses?q=ben").body;
    assert!(offered.contains("ben@example.test"), "{offered}");
    let cleo = Writer::new(&site, &host, "ben@example.test");
    assert_eq!(cleo.get("/addresses?q=ben").body, "[]");
    assert!(!value(&cleo.get("/compose").body, "from").unwrap().contains("otto"));
}

#[test]
fn what_is_sent_on_from_here_is_not_called_delivered() {
    if curl_is_missing("what_is_sent_on_from_here_is_not_called_delivered") {
        return;
    }
    let (near, far) = two();
    near.does("alias add away@a.test ben@b.test");
    near.does("alias add late@a.test eva@down.test");
    near.does("alias add both@a.test eva@down.test otto@a.test");
    let (host, other) = (near.start(), far.start());
    let anna = Writer::new(&near, &host, "anna@a.test");
    let place = anna
        .send(&[("to", "away@a.test, Late@A.test"), ("cc", "both@a.test, otto@a.test"), ("text", "x")], &[]);
    let told = anna.outcome(&place, &["both@a.test delivered here", "otto@a.test delivered here"]);
    for passed in ["away@a.test taken here, and sent on", "late@a.test taken here, and sent on"] {
        assert!(told.to_lowercase().contains(passed), "{passed} in {told}");
    }
    assert!(
        !told.contains("eva@down.test") && !told.contains("ben@b.test"),
        "where it goes is theirs to know: {told}"
    );
    // All times are by the clock of who reads them, which the script of the pages has told.
    let page = anna.get(&format!("{place}/outcome")).body;
    assert!(page.contains("+00:00\"") || page.contains("Z\""), "{page}");
    let jar = fs::read_to_string(&anna.jar).unwrap();
    fs::write(&anna.jar, jar + "mail.example.test\tFALSE\t/\tFALSE\t0\toffset\t60\n").unwrap();
    let page = anna.get(&format!("{place}/outcome")).body;
    assert!(page.contains("+01:00\"") && !page.contains("Z\""), "{page}");
    host.wait_for("deliver: attempt ");
    let mut ben = Imap::connect(&other);
    ben.ok(format!("LOGIN ben@b.test {PASSWORD:?}"));
    assert_eq!(count(&mut ben, "INBOX"), 1);
}

#[test]
fn a_message_goes_out_whatever_has_become_of_the_one_it_answers() {
    if curl_is_missing("a_message_goes_out_whatever_has_become_of_the_one_it_answers") {
        return;
    }
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    let mut imap = Imap::anna(&host);
    let original = "From: ben@example.test\r\nReply-To: list@example.test\r\nTo: anna@example.test\r\nSubject: x\r\n\
                    Message-ID: <x@ben.test>\r\n\r\nwords\r\n";
    for _ in 0..2 {
        assert!(imap.append("INBOX", original).starts_with("OK"));
    }
    let inbox = folder(&page_of(&anna, &anna.get("/mail")), "Inbox");
    let inbox = number(&inbox);
    // Gone meanwhile.
    let page = anna.get(&format!("/compose?reply={inbox}.1"));
    assert_eq!(hidden(&page.body, "to"), "list@example.test");
    imap.ok("SELECT INBOX");
    imap.ok("STORE 1 +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    sent(&anna.fill(&page, &[("to", "ben@example.test")], &[], "send"));
    // In an inbox of another life.
    let page = anna.get(&format!("/compose?reply={inbox}.2"));
    let origin = hidden(&page.body, "origin");
    let (place, validity) = origin.rsplit_once('.').unwrap();
    let origin = format!("{place}.{}", validity.parse::<u32>().unwrap() + 1);
    sent(&anna.fill(&page, &[("to", "ben@example.test"), ("origin", &origin)], &[], "send"));
    assert!(!imap.ok("FETCH 1 FLAGS").lines()[0].contains("Answered"));
    // Where there is no room for one more keyword.
    let keywords: Vec<String> = (0..56).map(|number| format!("k{number}")).collect();
    imap.ok(format!("STORE 1 +FLAGS.SILENT ({})", keywords.join(" ")));
    let page = anna.get(&format!("/compose?forward={inbox}.2"));
    sent(&anna.fill(&page, &[("to", "ben@example.test")], &[], "send"));
    assert!(!imap.ok("FETCH 1 FLAGS").lines()[0].contains("Forwarded"));
    let mut ben = Imap::of(&host, "ben");
    assert_eq!(count(&mut ben, "INBOX"), 3);
    // Of an HTML message only its words go on, and nothing that a reader would fetch.
    let html = "From: ben@example.test\r\nSubject: h\r\nMIME-Version: 1.0\r\n\
                Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nplain words\r\n--b\r\n\
                Content-Type: text/html\r\n\r\n<p>rich words<img src=\"https://evil.example.test/x\">\r\n--b--\r\n";
    let said = imap.append("INBOX", html);
    let uid = said.code("APPENDUID")[1].clone();
    let page = anna.get(&format!("/compose?forward={inbox}.{uid}"));
    sent(&anna.fill(&page, &[("to", "ben@example.test")], &[], "send"));
    let read = message(&mut ben, "INBOX", 4);
    assert!(read.contains("plain words") && !read.contains("evil.example.test"), "{read}");
}

#[test]
fn a_page_begins_with_the_address_that_was_used_last_as_long_as_it_is_theirs() {
    if curl_is_missing("a_page_begins_with_the_address_that_was_used_last_as_long_as_it_is_theirs") {
        return;
    }
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
    site.does("alias add sales@example.test anna@example.test");
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    let from = || hidden(&anna.get("/compose").body, "from");
    assert_eq!(from(), "anna@example.test");
    anna.send(&[("to", "ben@example.test"), ("from", "Sales \"x\" <sales@example.test>")], &[]);
    assert!(from().contains("<sales@example.test>"), "{}", from());
    site.does("alias remove sales@example.test");
    assert_eq!(from(), "anna@example.test");
    let refused = anna.fill(
        &anna.get("/compose"),
        &[("to", "ben@example.test"), ("from", "sales@example.test")],
        &[],
        "send",
    );
    assert_eq!(refused.status, 400);

    // A signature stands below what is written, once.
    let seal = hidden(&anna.get("/compose").body, "seal");
    let set = ["--data-urlencode", &format!("seal={seal}"), "--data-urlencode", "signature=Anna & Co"]
        .map(str::to_owned);
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    assert_eq!(anna.ask("/settings/signature", &set).status, 200);
    let page = anna.get("/compose");
    assert_eq!(value(&page.body, "text").as_deref(), Some("\n\n-- \nAnna & Co\n"));
    let page = anna.get(&saved(&anna.fill(&page, &[("text", "words\n\n-- \nAnna & Co\n")], &[], "save")));
    assert_eq!(value(&page.body, "text").as_deref(), Some("words\n\n-- \nAnna & Co\n"));
}
