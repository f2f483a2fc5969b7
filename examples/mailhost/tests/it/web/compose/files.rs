//! Files: on their way, beside one another, and on pages that come back.

use std::fs;

use super::raw::{Form, connect, head, push};
use super::{Writer, count, curl_is_missing, hidden, message, plain, saved, sent};
use crate::imap::Imap;
use crate::support::Site;

fn site() -> Site {
    Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"])
}

#[test]
fn a_file_that_does_not_come_whole_is_not_kept() {
    if curl_is_missing("a_file_that_does_not_come_whole_is_not_kept") {
        return;
    }
    let site = site();
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    let page = anna.get("/compose").body;
    let fields = [("to", "ben@example.test"), ("text", "words")];
    let file = vec![b'x'; 300_000];
    for button in ["send", "attach"] {
        let octets = Form::of(&anna, &page, &fields, Some(("half.bin", &file)), button).octets();
        let mut stream = connect(&anna);
        push(&mut stream, &octets[..octets.len() - 150_000]);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let answer = head(&mut stream);
        assert!(!answer.contains(" 303 "), "{answer}");
    }
    let mut imap = Imap::anna(&host);
    let mut ben = Imap::of(&host, "ben");
    assert_eq!((count(&mut imap, "Drafts"), count(&mut imap, "Sent")), (0, 0));
    assert_eq!(count(&mut ben, "INBOX"), 0);
}

#[test]
fn a_page_that_comes_back_has_its_files() {
    if curl_is_missing("a_page_that_comes_back_has_its_files") {
        return;
    }
    let site = site();
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    let file = site.folder().path("kept.txt");
    fs::write(&file, "kept file\n").unwrap();
    let file = file.display().to_string();
    // Sent to nobody that there is, with a file that had not been attached before.
    let wrong = anna.fill(&anna.get("/compose"), &[("to", "who@example.test")], &[&file], "send");
    assert!(wrong.status == 400 && wrong.body.contains("kept.txt"), "{}", plain(&wrong.body));
    assert_eq!(hidden(&wrong.body, "attached"), "1");
    sent(&anna.fill(&wrong, &[("to", "ben@example.test")], &[], "send"));
    let mut ben = Imap::of(&host, "ben");
    assert!(message(&mut ben, "INBOX", 1).contains("a2VwdCBmaWxlCg=="));
    let mut imap = Imap::anna(&host);
    assert_eq!(count(&mut imap, "Drafts"), 0);

    // Who was signed out gets a page without the files, which are not forgotten on it.
    let page = anna.get(&saved(&anna.fill(&anna.get("/compose"), &[], &[&file], "attach")));
    fs::remove_file(&anna.jar).unwrap();
    let out = anna.fill(&page, &[("to", "ben@example.test")], &[], "send");
    assert_eq!((out.status, &*hidden(&out.body, "attached")), (401, "1"));
    anna.sign_in("anna@example.test");
    imap.ok("SELECT Drafts");
    imap.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    let back = anna.fill(&out, &[], &[], "send");
    assert_eq!(back.status, 403);
    // Now the page says that there is none, and who reads it may go on.
    assert!(!back.body.contains("kept.txt"), "{}", plain(&back.body));

    // A file that is taken away and one that comes, with one press.
    let other = site.folder().path("other.txt");
    fs::write(&other, "other file\n").unwrap();
    let page = anna.get(&saved(&anna.fill(&anna.get("/compose"), &[], &[&file], "attach")));
    let page = anna.get(&saved(&anna.fill(&page, &[], &[&other.display().to_string()], "remove:0")));
    assert!(page.body.contains("other.txt") && !page.body.contains("kept.txt"), "{}", plain(&page.body));
    // Of a path only its end is a name.
    let upload = format!("{file};filename=\"C:\\\\private\\\\dir\\\\named.txt\"");
    let page = anna.get(&saved(&anna.fill(&page, &[], &[&upload], "attach")));
    assert!(page.body.contains("named.txt") && !page.body.contains("private"), "{}", plain(&page.body));
}

#[test]
fn two_pages_that_attach_files_do_not_lose_any() {
    if curl_is_missing("two_pages_that_attach_files_do_not_lose_any") {
        return;
    }
    let site = site();
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    let page = anna.get(&saved(&anna.fill(&anna.get("/compose"), &[("subject", "two")], &[], "save")));
    // More than buffers on the way hold, so that the host has begun to read it when half of it is gone.
    let large = vec![b'x'; 24 << 20];
    let octets = Form::of(&anna, &page.body, &[], Some(("slow.bin", &large)), "attach").octets();
    let mut slow = connect(&anna);
    let half = octets.len() * 9 / 10;
    push(&mut slow, &octets[..half]);
    let quick = site.folder().path("quick.txt");
    fs::write(&quick, "quick\n").unwrap();
    let page = anna.get(&saved(&anna.fill(&page, &[], &[&quick.display().to_string()], "attach")));
    assert!(page.body.contains("quick.txt"));
    push(&mut slow, &octets[half..]);
    let answer = head(&mut slow);
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    let mut imap = Imap::anna(&host);
    assert_eq!(count(&mut imap, "Drafts"), 1);
    let page = anna.get(&super::folder(&super::page_of(&anna, &anna.get("/mail")), "Drafts"));
    let (_, place) = page.body.split_once("/compose?draft=").expect("the draft");
    let page = anna.get(&format!("/compose?draft={}", place.split('"').next().unwrap()));
    assert!(page.body.contains("quick.txt"), "{}", plain(&page.body));
}

#[test]
fn what_parts_a_message_is_known_to_nobody_before() {
    if curl_is_missing("what_parts_a_message_is_known_to_nobody_before") {
        return;
    }
    let site = site();
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    let file = site.folder().path("a.txt");
    fs::write(&file, "a\n").unwrap();
    let boundaries = [1, 2].map(|number| {
        anna.send(&[("to", "ben@example.test")], &[&file.display().to_string()]);
        let read = message(&mut Imap::of(&host, "ben"), "INBOX", number);
        read.split_once("boundary=\"").unwrap().1.split('"').next().unwrap().to_owned()
    });
    assert_ne!(boundaries[0], boundaries[1]);
}
