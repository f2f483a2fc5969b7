//! The same form more than once, and what is done with it where nobody knows what has become of the first time.

use std::thread;

use super::{Writer, count, curl_is_missing, hidden, message, plain, saved, sent, two, value};
use crate::imap::Imap;
use crate::support::{PASSWORD, Site};

#[test]
fn what_is_sent_several_times_at_once_goes_out_once() {
    if curl_is_missing("what_is_sent_several_times_at_once_goes_out_once") {
        return;
    }
    let (near, _) = two();
    let host = near.start();
    let anna = Writer::new(&near, &host, "anna@a.test");
    let fields = [("to", "otto@a.test, eva@down.test"), ("subject", "once"), ("text", "words")];
    let page = anna.get(&saved(&anna.fill(&anna.get("/compose"), &fields, &[], "save")));
    let octets = super::raw::Form::of(&anna, &page.body, &[], None, "send").octets();
    let mut streams: Vec<_> = (0..8).map(|_| super::raw::connect(&anna)).collect();
    let answers: Vec<String> = thread::scope(|scope| {
        let ask = |stream: std::net::TcpStream| {
            let octets = &octets;
            scope.spawn(move || {
                let mut stream = stream;
                super::raw::push(&mut stream, octets);
                super::raw::head(&mut stream)
            })
        };
        let all: Vec<_> = streams.drain(..).map(ask).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let with = |words: &str| answers.iter().filter(|answer| answer.contains(words)).count();
    assert_eq!((with("/outcome?sent=now\r\n"), with("/outcome?sent=again\r\n")), (1, 7), "{answers:?}");
    let mut imap = Imap::connect(&host);
    imap.ok(format!("LOGIN anna@a.test {PASSWORD:?}"));
    let mut otto = Imap::connect(&host);
    otto.ok(format!("LOGIN otto@a.test {PASSWORD:?}"));
    let counts = (count(&mut imap, "Sent"), count(&mut imap, "Drafts"), count(&mut otto, "INBOX"));
    assert_eq!(counts, (1, 0, 1));
    assert_eq!(near.does("queue list").matches("eva@down.test").count(), 1);
    // What the page saves by itself behind that makes no draft of it again.
    let late = anna.fill(&page, &[("text", "late words")], &[], "save");
    assert!(late.head.contains("/outcome?sent=again"), "{}", late.head);
    assert_eq!(count(&mut imap, "Drafts"), 0);
    let told =
        plain(&anna.get(late.head.split_once("location: ").unwrap().1.split("\r\n").next().unwrap()).body);
    assert!(told.contains("This message was sent already, and was not sent once more."), "{told}");
}

#[test]
fn a_copy_of_what_was_sent_is_another_message_among_drafts() {
    if curl_is_missing("a_copy_of_what_was_sent_is_another_message_among_drafts") {
        return;
    }
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    anna.send(&[("to", "ben@example.test"), ("subject", "first"), ("bcc", "ben+b@example.test")], &[]);
    let mut imap = Imap::anna(&host);
    imap.ok("EXAMINE Sent");
    let copied = imap.ok("COPY 1 Drafts");
    let (_, code) = copied.end.split_once("COPYUID ").expect("where it is");
    let uid = code.split_once(']').unwrap().0.rsplit(' ').next().unwrap().to_owned();
    let inbox = super::page_of(&anna, &anna.get("/mail"));
    let drafts = super::folder(&inbox, "Drafts");
    let place = format!("{}.{uid}", drafts.rsplit('/').next().unwrap());
    let page = anna.get(&format!("/compose?draft={place}"));
    assert_eq!(hidden(&page.body, "subject"), "first");
    assert_eq!(hidden(&page.body, "bcc"), "ben+b@example.test", "what is kept of a draft is all of it");
    sent(&anna.fill(&page, &[("subject", "second")], &[], "send"));
    let mut ben = Imap::of(&host, "ben");
    let messages = [message(&mut ben, "INBOX", 1), message(&mut ben, "INBOX", 2)];
    assert!(messages[1].contains("Subject: second\r\n"), "{}", messages[1]);
    let id = |message: &str| {
        message.split_once("Message-ID: ").unwrap().1.split("\r\n").next().unwrap().to_owned()
    };
    assert_ne!(id(&messages[0]), id(&messages[1]));
}

#[test]
fn a_long_text_stays_whole_while_it_is_a_draft() {
    if curl_is_missing("a_long_text_stays_whole_while_it_is_a_draft") {
        return;
    }
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    // Three octets of quoted-printable for each octet of it.
    let text = "съешь ещё этих мягких французских булок\n".repeat(12_000) + "конец\n";
    assert!(text.len() > 800_000 && text.len() < 1 << 20);
    let octets =
        super::raw::Form::of(&anna, &anna.get("/compose").body, &[("text", &text)], None, "save").octets();
    let mut stream = super::raw::connect(&anna);
    super::raw::push(&mut stream, &octets);
    let answer = super::raw::head(&mut stream);
    let place = answer.split_once("location: ").unwrap_or_else(|| panic!("{answer}")).1;
    let page = anna.get(place.split("\r\n").next().unwrap());
    let shown = value(&page.body, "text").expect("its text");
    assert!(
        shown == text,
        "{} of {} octets, and at the end {:?}",
        shown.len(),
        text.len(),
        shown.chars().rev().take(9).collect::<String>()
    );
    // One that some other program has made, and that is longer still, is not opened to be cut.
    let mut imap = Imap::anna(&host);
    let long = format!("Subject: long\r\n\r\n{}", "0123456789 abcdef\r\n".repeat(300_000));
    assert!(imap.append("Drafts", long).starts_with("OK"));
    let drafts = super::folder(&super::page_of(&anna, &anna.get("/mail")), "Drafts");
    let refused = anna.get(&format!("/compose?draft={}.2", drafts.rsplit('/').next().unwrap()));
    assert!(
        refused.status == 400 && plain(&refused.body).contains("too long to be changed here"),
        "{}",
        refused.head
    );
    // What is answered is quoted to an end, whatever somebody has sent.
    let long =
        format!("From: ben@example.test\r\nSubject: long\r\n\r\n{}", "0123456789 abcdef\r\n".repeat(60_000));
    let uid = imap.append("INBOX", long).code("APPENDUID")[1].clone();
    let inbox = super::folder(&super::page_of(&anna, &anna.get("/mail")), "Inbox");
    let page = anna.get(&format!("/compose?reply={}.{uid}", inbox.rsplit('/').next().unwrap()));
    let text = value(&page.body, "text").expect("its text");
    assert!(text.len() < 700_000 && text.trim_end().ends_with("[...]"), "{} octets", text.len());
}
