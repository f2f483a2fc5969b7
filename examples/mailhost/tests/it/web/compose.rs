//! Writing mail in a browser that has no script, seen over IMAP as well.

mod bounds;
mod files;
mod kill;
mod others;
mod raw;
mod twice;

use std::fs;
use std::time::Instant;

use mailhost::listener::Service;

use super::{Answer, ask};
use crate::imap::Imap;
use crate::memory::Memory;
use crate::relay::{PRIVATE, loopback, no_dns, site};
use crate::support::{DEADLINE, Host, PASSWORD, Site, is_installed, program, run, skip};

/// Somebody who is signed in.
struct Writer<'a> {
    site: &'a Site,
    host: &'a Host,
    jar: String,
}

impl<'a> Writer<'a> {
    #[track_caller]
    fn new(site: &'a Site, host: &'a Host, user: &str) -> Self {
        let jar = site.folder().path(&format!("cookies-{user}")).display().to_string();
        let this = Self { site, host, jar };
        this.sign_in(user);
        this
    }

    #[track_caller]
    fn sign_in(&self, user: &str) {
        let seal = hidden(&self.get("/sign-in").body, "seal");
        let mut options = vec!["--request", "POST"];
        let fields = [format!("username={user}"), format!("password={PASSWORD}"), format!("seal={seal}")];
        options.extend(fields.iter().flat_map(|field| ["--data-urlencode", field]));
        assert_eq!(self.ask("/sign-in", &options).status, 303, "{user}");
    }

    #[track_caller]
    fn ask(&self, path: &str, options: &[&str]) -> Answer {
        let cookies = ["--cookie", &self.jar, "--cookie-jar", &self.jar, "--header", "Expect:"];
        ask(self.site, self.host, Service::Web, path, &[&cookies, options].concat())
    }

    #[track_caller]
    fn get(&self, path: &str) -> Answer {
        self.ask(path, &[])
    }

    /// Sends the form of a page with these fields in the place of what they had, and these files.
    #[track_caller]
    fn fill(&self, page: &Answer, fields: &[(&str, &str)], files: &[&str], button: &str) -> Answer {
        let form = form(&page.body, fields, files, button);
        self.ask("/compose", &form.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Writes a message and sends it; gives where its copy is.
    #[track_caller]
    fn send(&self, fields: &[(&str, &str)], files: &[&str]) -> String {
        let page = self.get("/compose");
        sent(&self.fill(&page, fields, files, "send"))
    }

    /// The page that says what became of a message, as soon as it has these words.
    #[track_caller]
    fn outcome(&self, sent: &str, words: &[&str]) -> String {
        let start = Instant::now();
        loop {
            let page = self.get(&format!("{sent}/outcome"));
            assert_eq!(page.status, 200);
            let text = plain(&page.body);
            if words.iter().all(|word| text.contains(word)) {
                return text;
            }
            assert!(start.elapsed() < DEADLINE, "without {words:?}: {text}");
        }
    }
}

/// What curl is told, so that it sends the form that stands in a page.
#[track_caller]
fn form(page: &str, fields: &[(&str, &str)], files: &[&str], button: &str) -> Vec<String> {
    let mut options = Vec::new();
    for name in FIELDS {
        let given = fields.iter().find(|(field, _)| *field == name).map(|(_, value)| (*value).to_owned());
        let value = given.or_else(|| value(page, name));
        options.extend(
            value.into_iter().flat_map(|value| ["--form-string".to_owned(), format!("{name}={value}")]),
        );
    }
    options.extend(files.iter().flat_map(|file| ["--form".to_owned(), format!("file=@{file}")]));
    options.extend(["--form-string".to_owned(), format!("do={button}")]);
    options
}

/// What the form has beside files and buttons.
const FIELDS: [&str; 12] =
    ["seal", "id", "origin", "references", "draft", "attached", "from", "to", "cc", "bcc", "subject", "text"];

/// What a field of a page has.
fn value(page: &str, name: &str) -> Option<String> {
    if name == "text" {
        let text = page.split_once("<textarea")?.1.split_once('>')?.1.split_once("</textarea>")?.0;
        return Some(unescaped(text.strip_prefix('\n').unwrap_or(text)));
    }
    let tag = page.split("<input").find(|tag| tag.contains(&format!(" name=\"{name}\"")))?;
    let value = tag.split_once(" value=\"")?.1.split_once('"')?.0;
    Some(unescaped(value))
}

#[track_caller]
fn hidden(page: &str, name: &str) -> String {
    value(page, name).unwrap_or_else(|| panic!("no {name} in {page}"))
}

fn unescaped(text: &str) -> String {
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

/// What people read of a page.
fn plain(page: &str) -> String {
    let mut text = String::new();
    for piece in page.split('<') {
        text.push_str(piece.split_once('>').map_or("", |(_, text)| text));
    }
    unescaped(&text)
}

/// Where the copy of a message is that was sent.
#[track_caller]
fn sent(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}{}", answer.head, plain(&answer.body));
    let (_, rest) = answer.head.split_once("\r\nlocation: ").expect("a place");
    let place = rest.split("\r\n").next().expect("its end");
    place.split_once("/outcome?sent=now").unwrap_or_else(|| panic!("{place}")).0.to_owned()
}

/// Where the draft is after it was saved.
#[track_caller]
fn saved(answer: &Answer) -> String {
    assert_eq!(answer.status, 303, "{}{}", answer.head, plain(&answer.body));
    let (_, rest) = answer.head.split_once("\r\nlocation: ").expect("a place");
    let place = rest.split("\r\n").next().expect("its end");
    assert!(place.starts_with("/compose?draft="), "{place}");
    place.to_owned()
}

/// A message as IMAP gives it.
#[track_caller]
fn message(imap: &mut Imap, mailbox: &str, number: usize) -> String {
    imap.ok(format!("EXAMINE {mailbox}"));
    let said = imap.ok(format!("FETCH {number} BODY.PEEK[]"));
    String::from_utf8_lossy(&said.data[0]).into_owned()
}

#[track_caller]
fn count(imap: &mut Imap, mailbox: &str) -> usize {
    let lines = imap.ok(format!("STATUS {mailbox} (MESSAGES)")).lines();
    let line = lines.iter().find(|line| line.starts_with("STATUS")).expect("an answer");
    line.rsplit(' ').next().unwrap().trim_end_matches(')').parse().expect("a number")
}

fn curl_is_missing(name: &str) -> bool {
    let missing = !is_installed("curl", "--version");
    if missing {
        skip(name, "curl is not installed");
    }
    missing
}

/// An account whose host knows one other host, and that one.
fn two() -> (Site, Site) {
    let (here, there) = (loopback(), loopback());
    let routes = format!(
        "{PRIVATE}[queue]\nretry = [\"1h\"]\n[relay.routes]\n\"b.test\" = \"{there}:2525\"\n\"down.test\" = \"127.0.0.1:1\"\n"
    );
    let near = site("a", here, no_dns(), &routes, &["anna", "otto"]);
    let far = site("b", there, no_dns(), PRIVATE, &["ben"]);
    (near, far)
}

#[test]
fn what_is_written_arrives_and_everybody_learns_what_became_of_it() {
    if curl_is_missing("what_is_written_arrives_and_everybody_learns_what_became_of_it") {
        return;
    }
    let (near, far) = two();
    let (host, other) = (near.start(), far.start());
    let anna = Writer::new(&near, &host, "anna@a.test");
    let text = "Grüße aus Annas Haus, und ".repeat(6) + "das war es.\n> zitiert\n-- \nAnna";
    let place = anna.send(
        &[
            ("to", "Ben Okafor <ben@b.test>, otto@a.test; nobody@b.test"),
            ("cc", "eva@down.test"),
            ("bcc", "Secret <ben+hidden@b.test>"),
            ("subject", "Grüße & <b>mehr</b>"),
            ("text", &text),
        ],
        &[],
    );
    anna.outcome(
        &place,
        &["ben@b.test delivered to ", "otto@a.test delivered here", "nobody@b.test came back", "550"],
    );
    let told = anna.outcome(&place, &["eva@down.test waiting; next try", "because"]);
    assert!(told.contains("ben+hidden@b.test delivered to "), "{told}");

    let mut ben = Imap::connect(&other);
    ben.ok(format!("LOGIN ben@b.test {PASSWORD:?}"));
    let read = message(&mut ben, "INBOX", 1);
    let (header, body) = read.split_once("\r\n\r\n").unwrap();
    assert!(header.contains("\r\nTo: Ben Okafor <ben@b.test>, otto@a.test, nobody@b.test\r\n"), "{header}");
    assert!(header.contains("\r\nCc: eva@down.test\r\n") && header.contains("format=flowed"), "{header}");
    assert!(
        !read.contains("hidden@b.test>") && !header.contains("Bcc") && !header.contains("127.0.0.1 "),
        "{header}"
    );
    assert!(header.contains("from submitter.invalid by mail.a.test with HTTP id "), "{header}");
    assert!(body.lines().all(|line| line.len() <= 78), "{body}");

    let mut imap = Imap::connect(&host);
    imap.ok(format!("LOGIN anna@a.test {PASSWORD:?}"));
    let copy = message(&mut imap, "Sent", 1);
    assert!(copy.contains("Bcc: Secret <ben+hidden@b.test>\r\n"), "{copy}");
    assert!(imap.ok("FETCH 1 FLAGS").lines()[0].contains("\\Seen"));
    // What came back is in the inbox, and nobody else is told anything.
    assert_eq!((count(&mut imap, "INBOX"), count(&mut imap, "Drafts")), (1, 0));
    let otto = Writer::new(&near, &host, "otto@a.test");
    assert_eq!(otto.get(&format!("{place}/outcome")).status, 404);
    let addresses = anna.get("/addresses?q=ok").body;
    assert_eq!(
        addresses,
        r#"[{"address":"ben@b.test","name":"Ben Okafor","text":"Ben Okafor <ben@b.test>"}]"#
    );
    assert_eq!(anna.get("/addresses?q=zz").body, "[]");
    // A message of the same words that somebody else has made tells nothing of hers.
    let id = copy.split_once(" id ").unwrap().1.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap();
    let forged = format!("Received: from x by mail.a.test with HTTPS id {id}; Mon\r\nSubject: x\r\n\r\n");
    let mut his = Imap::connect(&host);
    his.ok(format!("LOGIN otto@a.test {PASSWORD:?}"));
    his.send(format!("a APPEND Sent {{{}+}}\r\n{forged}\r\n", forged.len()));
    assert!(his.until("a ").starts_with("OK"));
    let page = otto.get("/mail");
    let sent = folder(&page_of(&otto, &page), "Sent");
    assert!(
        plain(&otto.get(&format!("{sent}/1/outcome")).body).contains("Nothing is kept about this message")
    );

    // What became of it outlasts a restart.
    host.stop();
    let host = near.start();
    let anna = Writer::new(&near, &host, "anna@a.test");
    anna.outcome(
        &place,
        &["ben@b.test delivered to ", "otto@a.test delivered here", "nobody@b.test came back"],
    );
}

/// The page that an answer leads to.
#[track_caller]
fn page_of(writer: &Writer<'_>, answer: &Answer) -> String {
    let path = answer.head.split_once("\r\nlocation: ").expect("a place").1.split("\r\n").next().unwrap();
    writer.get(path).body
}

/// Where a folder is, by the list of them.
#[track_caller]
fn folder(page: &str, name: &str) -> String {
    let before =
        page.split_once(&format!(">{name}</span>")).unwrap_or_else(|| panic!("no {name} in {page}")).0;
    before.rsplit_once("href=\"").expect("a link").1.split('"').next().unwrap().to_owned()
}

#[test]
fn a_draft_is_a_message_that_changes_until_it_is_sent() {
    if curl_is_missing("a_draft_is_a_message_that_changes_until_it_is_sent") {
        return;
    }
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    let mut imap = Imap::anna(&host);
    let (one, two) = (site.folder().path("eins ä.txt"), site.folder().path("two.bin"));
    fs::write(&one, "first file\n").unwrap();
    fs::write(&two, (0..=255).cycle().take(5_000).collect::<Vec<u8>>()).unwrap();
    let page = anna.get("/compose");
    let fields = [("to", "ben@, x"), ("subject", "a  draft"), ("text", "  indented\n\nFrom me")];
    let page = anna.get(&saved(&anna.fill(
        &page,
        &fields,
        &[&one.display().to_string(), &two.display().to_string()],
        "attach",
    )));
    assert!(page.body.contains("The draft is saved") && page.body.contains("eins ä.txt"), "{}", page.body);
    assert_eq!(hidden(&page.body, "to"), "ben@, x", "what is no address yet stays as it was typed");
    assert_eq!(value(&page.body, "text").as_deref(), Some("  indented\n\nFrom me\n"));
    assert!(imap.ok("EXAMINE Drafts").lines().iter().any(|line| line == "1 EXISTS"));
    assert!(imap.ok("FETCH 1 FLAGS").lines()[0].contains("\\Draft"));

    // Another one in its place, without the second file.
    let page = anna.get(&saved(&anna.fill(&page, &[("subject", "changed")], &[], "remove:1")));
    assert!(!page.body.contains("two.bin"), "{}", page.body);
    // By a script, which gets no page.
    let mut script = form(&page.body, &[("to", "Ben <ben@example.test>")], &[], "save");
    script.extend(["--header".to_owned(), "Accept: application/json".to_owned()]);
    let said = anna.ask("/compose", &script.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(said.status == 200 && said.body.starts_with("{\"draft\":\""), "{}", said.body);
    assert_eq!(count(&mut imap, "Drafts"), 1);
    let draft = message(&mut imap, "Drafts", 1);
    assert!(
        draft.contains("Subject: changed\r\n") && draft.contains("\r\nTo: Ben <ben@example.test>\r\n"),
        "{draft}"
    );

    // The page does not know of that, and its draft is still found.
    let place = sent(&anna.fill(&page, &[("to", "ben@example.test")], &[], "send"));
    assert_eq!((count(&mut imap, "Drafts"), count(&mut imap, "Sent")), (0, 1));
    let mut ben = Imap::of(&host, "ben");
    let read = message(&mut ben, "INBOX", 1);
    assert!(!read.contains("X-Postrider") && !read.contains("two.bin"), "{read}");
    assert!(
        read.contains("filename*=utf-8''eins%20%C3%A4.txt") && read.contains("Zmlyc3QgZmlsZQo="),
        "{read}"
    );
    // What is sent twice is sent once.
    let again = anna.fill(&page, &[("to", "ben@example.test")], &[], "send");
    assert!(again.head.contains(&format!("location: {place}/outcome?sent=again\r\n")), "{}", again.head);
    let said = anna.ask("/compose", &script.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(said.body, "{\"sent\":true}");
    assert_eq!((count(&mut ben, "INBOX"), count(&mut imap, "Drafts")), (1, 0));

    // What is discarded is gone.
    let page = anna.get(&saved(&anna.fill(&anna.get("/compose"), &[("subject", "never mind")], &[], "save")));
    assert_eq!(count(&mut imap, "Drafts"), 1);
    assert_eq!(anna.fill(&page, &[], &[], "discard").status, 303);
    assert_eq!(count(&mut imap, "Drafts"), 0);
    // Files of a draft that is gone do not get lost without a word.
    let page = anna.get(&saved(&anna.fill(
        &anna.get("/compose"),
        &[("to", "ben@example.test")],
        &[&two.display().to_string()],
        "attach",
    )));
    imap.ok("SELECT Drafts");
    imap.ok("STORE 1:* +FLAGS.SILENT (\\Deleted)");
    imap.ok("EXPUNGE");
    let refused = anna.fill(&page, &[], &[], "send");
    assert!(
        refused.status == 409 && plain(&refused.body).contains("The files are not where they were"),
        "{}",
        refused.head
    );
    assert_eq!(count(&mut ben, "INBOX"), 1);
}

#[test]
fn answers_belong_to_what_they_answer_and_what_is_sent_on_has_its_files() {
    if curl_is_missing("answers_belong_to_what_they_answer_and_what_is_sent_on_has_its_files") {
        return;
    }
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
    site.does("alias add sales@example.test anna@example.test");
    let host = site.start();
    let original = "From: \"Okafor, Ben\" <ben@example.test>\r\nTo: sales@example.test, cleo@other.test\r\nCc: anna@example.test\r\n\
        Subject: =?utf-8?Q?Angebot_f=C3=BCr_Sie?=\r\nDate: Mon, 2 Mar 2026 10:11:12 +0100\r\nMessage-ID: <offer@ben.test>\r\n\
        References: <first@ben.test> <second@ben.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Guten Tag,<br>hier <i>das</i> Angebot.</p><script>x()</script>\r\n\
        --b\r\nContent-Type: application/pdf; name=\"offer.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\
        Content-Disposition: attachment; filename=\"offer.pdf\"\r\n\r\nSGVsbG8=\r\n--b--\r\n";
    let mut imap = Imap::anna(&host);
    imap.send(format!("a APPEND INBOX {{{}+}}\r\n{original}\r\n", original.len()));
    assert!(imap.until("a ").starts_with("OK"));
    let anna = Writer::new(&site, &host, "anna@example.test");
    let inbox = folder(&page_of(&anna, &anna.get("/mail")), "Inbox");
    let number = inbox.rsplit('/').next().unwrap();

    let page = anna.get(&format!("/compose?reply={number}.1"));
    assert_eq!(hidden(&page.body, "to"), "\"Okafor, Ben\" <ben@example.test>");
    assert_eq!(hidden(&page.body, "subject"), "Re: Angebot für Sie");
    assert_eq!(hidden(&page.body, "from"), "sales@example.test", "the address that it has come to");
    let text = value(&page.body, "text").unwrap();
    assert!(text.contains("2 March 2026, 09:11 UTC, Okafor, Ben wrote:\n> Guten Tag,\n"), "{text}");
    assert!(!text.contains("x()") && !text.contains("<i>"), "{text}");
    let all = anna.get(&format!("/compose?all={number}.1"));
    assert_eq!(hidden(&all.body, "to"), "\"Okafor, Ben\" <ben@example.test>, cleo@other.test");
    assert_eq!(hidden(&all.body, "cc"), "", "not to oneself");

    anna.fill(&page, &[], &[], "send");
    let mut ben = Imap::of(&host, "ben");
    let read = message(&mut ben, "INBOX", 1);
    assert!(read.contains("\r\nIn-Reply-To: <offer@ben.test>\r\n"), "{read}");
    assert!(
        read.contains("\r\nReferences: <first@ben.test> <second@ben.test> <offer@ben.test>\r\n"),
        "{read}"
    );
    assert!(read.contains("\r\nFrom: sales@example.test\r\n"), "{read}");
    imap.ok("SELECT INBOX");
    assert!(imap.ok("FETCH 1 FLAGS").lines()[0].contains("\\Answered"));

    let page = anna.get(&format!("/compose?forward={number}.1"));
    assert_eq!(hidden(&page.body, "subject"), "Fwd: Angebot für Sie");
    assert!(page.body.contains("offer.pdf") && hidden(&page.body, "attached") == "1", "{}", page.body);
    sent(&anna.fill(&page, &[("to", "ben@example.test")], &[], "send"));
    let read = message(&mut ben, "INBOX", 2);
    assert!(
        read.contains("Forwarded message") && read.contains("filename=\"offer.pdf\"\r\n\r\nSGVsbG8=\r\n--"),
        "{read}"
    );
    assert!(!read.contains("In-Reply-To"), "{read}");
    assert!(imap.ok("FETCH 1 FLAGS").lines()[0].contains("$Forwarded"));
    // A draft of it keeps the file, and what it is for.
    let page = anna.get(&format!("/compose?forward={number}.1"));
    let page = anna.get(&saved(&anna.fill(&page, &[], &[], "save")));
    assert!(
        page.body.contains("offer.pdf") && hidden(&page.body, "origin").starts_with("forward:"),
        "{}",
        page.body
    );
    assert_eq!(anna.get("/compose?reply=1.999").status, 404);
    assert_eq!(anna.get("/compose?draft=1.1").status, 404, "not a draft");
}

/// Old programs say nothing of the charset they write in. Whoever reads such a message reads the same in the list, on its page and in the
/// answer; the answer goes to whom the page has shown, also where there are two of a field that may be there once.
#[test]
fn an_answer_has_the_words_and_the_people_that_were_read() {
    if curl_is_missing("an_answer_has_the_words_and_the_people_that_were_read") {
        return;
    }
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna"]);
    let host = site.start();
    let original = b"From: J\xf6rg <joerg@one.test>\r\nFrom: other@two.test\r\nTo: anna@example.test\r\nSubject: Gr\xfc\xdfe\r\n\
        Subject: another\r\nDate: Mon, 2 Mar 2026 10:11:12 +0100\r\n\r\nBis sp\xe4ter\r\n";
    let mut imap = Imap::anna(&host);
    imap.send([format!("a APPEND INBOX {{{}+}}\r\n", original.len()).as_bytes(), original, b"\r\n"].concat());
    assert!(imap.until("a ").starts_with("OK"));
    let anna = Writer::new(&site, &host, "anna@example.test");
    let list = page_of(&anna, &anna.get("/mail"));
    let inbox = folder(&list, "Inbox");
    let number = inbox.rsplit('/').next().unwrap();
    let read = anna.get(&format!("{inbox}/1")).body;
    for page in [&list, &read] {
        for words in ["Jörg", "Grüße", "Bis später"] {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert!(!page.contains("other@two.test") && !page.contains("another"), "{page}");
    }
    let answer = anna.get(&format!("/compose?reply={number}.1")).body;
    assert_eq!(hidden(&answer, "to"), "Jörg <joerg@one.test>");
    assert_eq!(hidden(&answer, "subject"), "Re: Grüße");
    let text = value(&answer, "text").unwrap();
    assert!(text.contains("Jörg wrote:\n> Bis später\n"), "{text}");
    let onward = anna.get(&format!("/compose?forward={number}.1")).body;
    assert_eq!(hidden(&onward, "subject"), "Fwd: Grüße");
    let text = value(&onward, "text").unwrap();
    assert!(text.contains("From: Jörg <joerg@one.test>\n") && text.contains("\n\nBis später\n"), "{text}");
}

#[test]
fn what_is_wrong_is_named_and_nothing_that_was_typed_gets_lost() {
    if curl_is_missing("what_is_wrong_is_named_and_nothing_that_was_typed_gets_lost") {
        return;
    }
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    let page = anna.get("/compose");
    let good = [("to", "ben@example.test"), ("subject", "s"), ("text", "kept text")];
    for (field, typed, why) in [
        ("to", "", "Write here who is to get the message."),
        ("to", "ben@example.test, anna, x@", "\"anna\" is not a mail address"),
        ("to", "who@example.test", "who@example.test: "),
        ("cc", "ä@example.test", "has letters beyond ASCII"),
        ("from", "ben@example.test", "ben@example.test is not an address of yours."),
        ("from", "Anna <anna@example.test>, anna@example.test", "Write from one address."),
        ("from", "", "which of your addresses"),
    ] {
        let fields: Vec<_> =
            good.iter().filter(|(name, _)| *name != field).copied().chain([(field, typed)]).collect();
        let answer = anna.fill(&page, &fields, &[], "send");
        assert_eq!(answer.status, 400, "{field}={typed}");
        assert!(plain(&answer.body).contains(why), "{field}={typed}: {}", plain(&answer.body));
        assert!(answer.body.contains(&format!("aria-describedby=\"{field}-error\"")), "{}", answer.body);
        assert_eq!(hidden(&answer.body, field), typed);
        assert_eq!(value(&answer.body, "text").as_deref(), Some("kept text"));
    }
    // A hundred and one people.
    let many: String = (0..101).map(|number| format!("p{number}@other.test, ")).collect();
    let answer = anna.fill(&page, &[("to", &many)], &[], "send");
    assert!(
        answer.status == 400 && plain(&answer.body).contains("These are 101 people"),
        "{}",
        plain(&answer.body)
    );

    // What would break out of a field, of a tag or of a name of a file.
    let hostile = "x\r\nBcc: evil@other.test\r\n\r\n<script>alert(1)</script>\"'>\u{202e}";
    let file = site.folder().path("f.txt");
    fs::write(&file, "x").unwrap();
    let upload = format!("{};filename=\"a\\\"b<i>.html\"", file.display());
    let fields = [
        ("to", "\"x\r\nBcc: evil@other.test\" <ben@example.test>"),
        ("subject", hostile),
        ("references", "<a@b>\r\nBcc: evil@other.test <c@d>"),
        ("text", "kept </textarea><script>alert(1)</script>\r\n.\r\nBcc: evil@other.test"),
        ("draft", "1.1"),
        ("origin", "reply:1.1.1\r\nX: y"),
        ("id", "x\r\nBcc: evil@other.test"),
    ];
    let answer = anna.fill(&page, &fields, &[&upload], "save");
    let shown = anna.get(&saved(&answer));
    for tag in ["</textarea><script", "<script>alert", "<i>"] {
        assert!(!shown.body.contains(tag), "{}", shown.body);
    }
    let place = sent(&anna.fill(&shown, &[], &[], "send"));
    let mut ben = Imap::of(&host, "ben");
    let read = message(&mut ben, "INBOX", 1);
    let header = read.split_once("\r\n\r\n").unwrap().0;
    assert!(header.lines().all(|line| !line.starts_with("Bcc")), "{header}");
    assert_eq!(header.lines().filter(|line| line.starts_with("Subject:")).count(), 1, "{header}");
    assert!(header.is_ascii() && header.lines().all(|line| line.len() <= 998), "{header}");
    assert_eq!(anna.get(&format!("{place}/outcome")).status, 200);
    assert!(read.lines().all(|line| line.len() <= 998));

    // A form of an earlier session comes back whole, and is sent with one press more; without a session, too.
    let late =
        anna.fill(&page, &[("seal", "x"), ("to", "ben@example.test"), ("text", "late text")], &[], "send");
    assert_eq!(late.status, 403);
    assert_eq!(value(&late.body, "text").as_deref(), Some("late text"));
    sent(&anna.fill(&late, &[], &[], "send"));
    let page = anna.get("/compose");
    fs::remove_file(&anna.jar).unwrap();
    let out = anna.fill(&page, &[("to", "ben@example.test"), ("text", "very late text")], &[], "send");
    assert!(out.status == 401 && out.body.contains("Sign in in another window"), "{}", out.body);
    assert_eq!(value(&out.body, "text").as_deref(), Some("very late text"));
    anna.sign_in("anna@example.test");
    let back = anna.fill(&out, &[], &[], "send");
    assert_eq!(back.status, 403);
    sent(&anna.fill(&back, &[], &[], "send"));
    assert_eq!(count(&mut ben, "INBOX"), 3);
}

#[test]
fn large_files_pass_through_and_larger_ones_do_not() {
    if curl_is_missing("large_files_pass_through_and_larger_ones_do_not") {
        return;
    }
    let site = Site::with_accounts(
        "[auth]\nallow_plaintext = true\n[limits]\nmessage_size = \"30 MiB\"\n",
        &["anna", "ben"],
    );
    let mut command = program();
    command.env("MALLOC_MMAP_THRESHOLD_", "1048576");
    let host = site.start_under(command);
    let anna = Writer::new(&site, &host, "anna@example.test");
    let file = |name: &str, mebibytes: usize| {
        let path = site.folder().path(name);
        let octets: Vec<u8> = (0..mebibytes << 20).map(|at| (at * 7 + (at >> 9)) as u8).collect();
        fs::write(&path, octets).unwrap();
        path.display().to_string()
    };
    let (small, large, too_large) = (file("small", 1), file("large", 20), file("too-large", 24));
    anna.send(&[("to", "ben@example.test"), ("text", "warm")], &[&small]);
    let mut memory = Memory::new(host.process());
    let page = anna.get(&saved(&anna.fill(
        &anna.get("/compose"),
        &[("to", "ben@example.test")],
        &[&large],
        "attach",
    )));
    let place = sent(&anna.fill(&page, &[("subject", "large")], &[], "send"));
    memory.has_not_grown("20 MiB attached and sent");
    assert_eq!(anna.get(&format!("{place}/outcome")).status, 200);

    let fields = [("to", "ben@example.test"), ("subject", "too large"), ("text", "kept text")];
    let refused = anna.fill(&anna.get("/compose"), &fields, &[&small, &too_large], "send");
    assert_eq!(refused.status, 413);
    assert!(
        plain(&refused.body).contains("all files together may have about 22M"),
        "{}",
        plain(&refused.body)
    );
    assert_eq!(value(&refused.body, "text").as_deref(), Some("kept text"));
    let mut imap = Imap::anna(&host);
    assert_eq!((count(&mut imap, "Drafts"), count(&mut imap, "Sent")), (0, 2));
    // What was given up is not left lying about.
    let start = Instant::now();
    while site.bodies() != 2 {
        assert!(start.elapsed() < DEADLINE, "{} bodies", site.bodies());
    }

    if !is_installed("python3", "--version") {
        return skip("large_files_pass_through_and_larger_ones_do_not", "python3 is not installed");
    }
    let mut ben = Imap::of(&host, "ben");
    ben.ok("EXAMINE INBOX");
    let said = ben.ok("FETCH 2 BODY.PEEK[]");
    let octets = &said.data[0];
    let begin = octets.windows(3).position(|window| window == b"}\r\n").unwrap() + 3;
    let read = site.folder().path("read.eml");
    fs::write(&read, &octets[begin..octets.len() - 1]).unwrap();
    let mut python = std::process::Command::new("python3");
    python.arg("-c").arg(PYTHON).arg(&read).arg(&large);
    let result = run(&mut python, "");
    assert_eq!((result.status, &*result.stdout), (Some(0), "large 2 same\n"), "{}", result.stderr);
}

const PYTHON: &str = "
import email, email.policy, sys
message = email.message_from_binary_file(open(sys.argv[1], 'rb'), policy=email.policy.default)
assert not message.defects, message.defects
files = list(message.iter_attachments())
same = files[0].get_content() == open(sys.argv[2], 'rb').read() and files[0].get_filename() == 'large'
print(message['subject'], len(list(message.iter_parts())), 'same' if same else 'different')
";

#[test]
fn who_has_no_room_left_is_told_so() {
    if curl_is_missing("who_has_no_room_left_is_told_so") {
        return;
    }
    let site = Site::with_accounts("[auth]\nallow_plaintext = true\n", &["anna", "ben"]);
    site.does("account quota anna@example.test --messages 1");
    let host = site.start();
    let anna = Writer::new(&site, &host, "anna@example.test");
    let page = anna.get("/compose");
    let fields = [("to", "ben@example.test"), ("text", "kept text")];
    let draft = anna.get(&saved(&anna.fill(&page, &fields, &[], "save")));
    // The draft itself may change, for it takes no more room.
    let draft = anna.get(&saved(&anna.fill(&draft, &[("subject", "x")], &[], "save")));
    let full = anna.fill(&anna.get("/compose"), &fields, &[], "save");
    assert!(full.status == 507 && plain(&full.body).contains("Your mailbox is full."), "{}", full.head);
    assert_eq!(value(&full.body, "text").as_deref(), Some("kept text"));
    let full = anna.fill(&anna.get("/compose"), &fields, &[], "send");
    assert!(full.status == 507 && plain(&full.body).contains("The message was not sent."), "{}", full.head);
    // What takes the place of its draft fits.
    sent(&anna.fill(&draft, &[], &[], "send"));
}
