//! Messages, opened.

use std::fs;

use mailhost::listener::Service;

use super::{Anna, Answer, location, message, site};
use crate::imap::Imap;
use crate::support::{Host, PASSWORD, Site, base64};
use crate::web::sign_in::{Browser, goes_to};

/// Puts a message into the inbox of Anna; gives its number.
#[track_caller]
fn put(imap: &mut Imap, message: &str) -> String {
    let said = imap.append("INBOX", message.replace("\r\n", "\n").replace('\n', "\r\n"));
    said.code("APPENDUID")[1].to_string()
}

/// Anna, with [`LETTER`] in her inbox, and where that is.
#[track_caller]
fn with_letter<'a>(site: &'a Site, host: &'a Host) -> (Anna<'a>, String) {
    let anna = Anna::sign_in(site, host);
    let uid = put(&mut Imap::anna(host), LETTER);
    let path = format!("{}/{uid}", anna.inbox);
    (anna, path)
}

/// What a header of an answer says.
#[track_caller]
fn header<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let line = answer.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.unwrap_or_else(|| panic!("no {name} in {}", answer.head)).trim_end()
}

const LETTER: &str = "From: \"Ben\" <ben@far.test>\nTo: anna@example.test, =?utf-8?Q?Zo=C3=AB?= <zoe@far.test>\nSubject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\n\
    Content-Type: multipart/mixed; boundary=m\n\n--m\nContent-Type: multipart/related; boundary=r\n\n--r\n\
    Content-Type: multipart/alternative; boundary=a\n\n--a\nContent-Type: text/plain; charset=utf-8\n\nplain words\n--a\n\
    Content-Type: text/html; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\n\
    <p style=3D\"color:red\">r=E9sum=E9<script>alert(1)</script><img src=3D\"cid:1@far.test\"><img src=3D\"https://evil.example.test/x\">\n\
    --a--\n--r\nContent-Type: image/png\nContent-ID: <1@far.test>\nContent-Transfer-Encoding: base64\n\naW1hZ2U=\n--r--\n--m\n\
    Content-Type: text/html; name=\"page.html\"\nContent-Transfer-Encoding: base64\n\
    Content-Disposition: attachment; filename*=utf-8''na%C3%AFve%20page.html\n\nPHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==\n--m\n\
    Content-Type: message/rfc822\n\nFrom: carl@far.test\nSubject: inner\n\ninner words\n--m--\n";

#[test]
fn a_message_is_shown_with_all_that_belongs_to_it() {
    let Some(site) = site("a_message_is_shown_with_all_that_belongs_to_it") else { return };
    let host = site.start();
    let (anna, path) = with_letter(&site, &host);
    let page = anna.page(&path);
    for text in [
        "<h1 id=\"subject\">Grüße</h1>",
        "<bdi class=\"name\">Ben</bdi>",
        "<bdi>ben@far.test</bdi>",
        "<bdi class=\"name\">Zoë</bdi>",
        "A remote image was not loaded",
        "2 attachments",
        "naïve page.html",
        "inner.eml",
        "compose?reply=",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert!(!page.contains("alert(1)") && !page.contains("evil.example.test"), "{page}");
    assert!(page.len() < 20_000, "{}", page.len());
    let (_, frame) = page.split_once("<iframe class=\"letter\" sandbox=\"allow-popups allow-popups-to-escape-sandbox allow-same-origin\"").expect("a frame");
    let (_, source) = frame.split_once("src=\"").expect("its source");
    let source = source.split('"').next().expect("its end").replace("&amp;", "&");

    let frame = anna.browser.get(&source);
    assert_eq!(frame.status, 200);
    let policy = header(&frame, "content-security-policy");
    assert!(policy.starts_with("sandbox allow-popups allow-popups-to-escape-sandbox allow-same-origin; default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(
        policy
            .ends_with("; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe") && !policy.contains("script"), "{policy}");
    assert_eq!(header(&frame, "referrer-policy"), "no-referrer");
    assert!(frame.body.contains("<p class=\"s0\">résumé<img src=\""), "{}", frame.body);
    assert!(frame.body.contains(".s0{color:red;}") && !frame.body.contains("script"), "{}", frame.body);
    assert!(!frame.body.contains("evil"), "{}", frame.body);
    let loaded = anna.browser.get(&format!("{source}&images=1"));
    assert!(header(&loaded, "content-security-policy").contains("; img-src 'self' data: https: http:; "));
    assert!(loaded.body.contains("<img src=\"https://evil.example.test/x\""), "{}", loaded.body);

    let (_, image) = frame.body.split_once("<img src=\"").expect("an image");
    let image = anna.browser.get(&image.split('"').next().expect("its end").replace("&amp;", "&"));
    assert_eq!(
        (header(&image, "content-type"), header(&image, "x-content-type-options")),
        ("image/png", "nosniff")
    );

    let plain = anna.page(&format!("{path}?plain=1"));
    assert!(
        plain.contains("<div class=\"lines\">plain words</div>") && !plain.contains("<iframe"),
        "{plain}"
    );
    let whole = anna.page(&format!("{path}?headers=1"));
    assert!(whole.contains("Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?="), "{whole}");

    let (_, inner) = page.split_once("?inner=").expect("a link to the message within");
    let inner = inner.split('"').next().expect("its end");
    let inner = anna.page(&format!("{path}?inner={inner}"));
    assert!(inner.contains("<h1 id=\"subject\">inner</h1>") && inner.contains("inner words"), "{inner}");
}

#[test]
fn what_is_attached_is_a_file_and_never_a_page() {
    let Some(site) = site("what_is_attached_is_a_file_and_never_a_page") else { return };
    let host = site.start();
    let (anna, letter) = with_letter(&site, &host);
    let page = anna.page(&letter);
    let (_, address) = page.split_once("<span class=\"name\">naïve page.html</span>").expect("the file");
    let (_, address) = address.split_once("href=\"").expect("its address");
    let address = address.split('"').next().expect("its end").to_owned();
    for address in [address.clone(), format!("{address}?view=1")] {
        let file = anna.browser.get(&address);
        assert_eq!((file.status, &*file.body), (200, "<script>alert(1)</script>"));
        assert_eq!(header(&file, "content-type"), "application/octet-stream");
        assert_eq!(
            header(&file, "content-disposition"),
            "attachment; filename=\"na_ve page.html\"; filename*=UTF-8''na%C3%AFve%20page.html"
        );
        assert_eq!(header(&file, "content-security-policy"), "sandbox; default-src 'none'");
        assert_eq!(header(&file, "x-content-type-options"), "nosniff");
    }
    let source = anna.browser.get(&format!("{letter}/source"));
    assert_eq!(header(&source, "content-type"), "text/plain; charset=utf-8");
    assert!(source.body.ends_with("\r\n\r\ninner words\r\n--m--\r\n"), "{}", source.body);
    assert_eq!(header(&source, "content-length"), source.body.len().to_string());
    let kept = anna.browser.get(&format!("{letter}/source?download=1"));
    assert!(header(&kept, "content-disposition").starts_with("attachment; filename=\"message-"));
    for path in ["/part/99", "/part/x", "/html?part=0", "/html?inner=1", "x", "/part/0/"] {
        let status = anna.browser.get(&format!("{letter}{path}")).status;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
    }
}

#[test]
fn what_is_opened_is_read_and_what_is_fetched_beforehand_is_not() {
    let Some(site) = site("what_is_opened_is_read_and_what_is_fetched_beforehand_is_not") else { return };
    let host = site.start();
    let anna = Anna::sign_in(&site, &host);
    let mut imap = Imap::anna(&host);
    let uid = put(&mut imap, &message("1", "", "ben@far.test", "hello", "words"));
    imap.ok("SELECT INBOX");
    let flags = |imap: &mut Imap| {
        let said = imap.ok(format!("UID FETCH {uid} FLAGS"));
        String::from_utf8_lossy(&said.data.concat()).into_owned()
    };
    let path = format!("{}/{uid}", anna.inbox);
    let early = anna.browser.with(&path, &["--header", "Sec-Purpose: prefetch"]);
    assert_eq!(early.status, 200);
    for part in ["html", "part/0", "source"] {
        anna.browser.get(&format!("{path}/{part}"));
    }
    assert!(!flags(&mut imap).contains("\\Seen"));
    let page = anna.page(&path);
    assert!(flags(&mut imap).contains("\\Seen"));
    assert!(
        page.contains("data-folder") && !page.contains("class=\"count\""),
        "the inbox counts none: {page}"
    );
}

#[test]
fn a_conversation_is_read_as_a_whole() {
    let Some(site) = site("a_conversation_is_read_as_a_whole") else { return };
    let host = site.start();
    let anna = Anna::sign_in(&site, &host);
    let mut imap = Imap::anna(&host);
    let first = put(&mut imap, &message("1", "", "ben@far.test", "plan", "the first words"));
    anna.page(&format!("{}/{first}", anna.inbox));
    let second =
        put(&mut imap, &message("2", "<1@far.test>", "carl@far.test", "Re: plan", "the second words"));
    let third = put(&mut imap, &message("3", "<2@far.test>", "ben@far.test", "Re: plan", "the third words"));
    let page = anna.page(&format!("{}/{third}", anna.inbox));
    assert!(page.contains("A conversation of 3 messages"), "{page}");
    assert_eq!(
        page.matches("<article").count(),
        2,
        "the one that was asked for, and the one that nobody has read: {page}"
    );
    let place = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text} in {page}"));
    assert!(
        place("the first words") < place("the second words")
            && place("the second words") < place("the third words")
    );
    assert!(page.contains(&format!("<a class=\"folded\" href=\"{}/{first}\">", anna.inbox)), "{page}");
    let page = anna.page(&format!("{}/{second}", anna.inbox));
    assert_eq!(page.matches("<article").count(), 1, "all are read: {page}");
}

#[test]
fn nobody_reads_the_mail_of_another() {
    let Some(site) = site("nobody_reads_the_mail_of_another") else { return };
    let host = site.start();
    let anna = Anna::sign_in(&site, &host);
    let said = Imap::of(&host, "ben").append("INBOX", message("1", "", "x@far.test", "secret", "words"));
    let uid = said.code("APPENDUID")[1].to_string();
    let ben = Browser::another(&site, &host, Service::Web, "ben");
    goes_to(&ben.sign_in("ben@example.test", PASSWORD, ""), "/mail");
    let inbox = location(&ben.get("/mail")).to_owned();
    assert_ne!(inbox, anna.inbox);
    for part in ["", "/part/0", "/source"] {
        let path = format!("{inbox}/{uid}{part}");
        let theirs = ben.get(&path);
        assert!(
            theirs.status == 200 && (part == "/part/0" || theirs.body.contains("secret")),
            "{}",
            theirs.body
        );
        let refused = anna.browser.get(&path);
        assert!(refused.status == 404 && !refused.body.contains("secret"), "{}", refused.body);
        let refused = Browser::another(&site, &host, Service::Web, "nobody").get(&path);
        assert!(refused.status == 303 && !refused.body.contains("secret"), "{}", refused.head);
    }
}

/// Octets that the host has read since it started, from files and otherwise.
fn read_by(host: &Host) -> u64 {
    let io = fs::read_to_string(format!("/proc/{}/io", host.process().as_raw_nonzero()))
        .expect("what it has read");
    let line = io.lines().find_map(|line| line.strip_prefix("rchar: ")).expect("what it has read");
    line.trim().parse().expect("a number")
}

#[test]
fn a_large_message_is_not_read_as_a_whole_to_be_shown() {
    let Some(site) = site("a_large_message_is_not_read_as_a_whole_to_be_shown") else { return };
    let host = site.start();
    let anna = Anna::sign_in(&site, &host);
    let mut imap = Imap::anna(&host);
    let block = base64(&[b'x'; 57]) + "\n";
    let large = block.repeat((20 << 20) / block.len());
    let uid = put(
        &mut imap,
        &format!(
            "From: ben@far.test\nSubject: large\nContent-Type: multipart/mixed; boundary=m\n\n--m\n\nwords\n--m\n\
             Content-Type: application/zip; name=a.zip\nContent-Transfer-Encoding: base64\n\n{large}--m--\n"
        ),
    );
    let path = format!("{}/{uid}", anna.inbox);
    let before = read_by(&host);
    let page = anna.page(&path);
    let read = read_by(&host) - before;
    assert!(page.contains("a.zip") && page.contains("words"), "{page}");
    assert!(read < 1 << 20, "{read} octets were read");
    // All of it can be had.
    let file = anna.browser.get(&format!("{path}/part/2"));
    assert_eq!(file.body.len(), large.len() / block.len() * 57);
}
