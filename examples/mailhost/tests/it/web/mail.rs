//! Mail in the browser, without a script.

mod act;
mod events;
mod folders;
mod list;
mod read;
mod search;

use mailhost::listener::Service;

use super::Answer;
use super::sign_in::{Browser, goes_to, seal};
use crate::imap::Imap;
use crate::support::{Host, PASSWORD, Site, is_installed, skip};

/// Anna, who is signed in.
struct Anna<'a> {
    browser: Browser<'a>,
    inbox: String,
}

impl<'a> Anna<'a> {
    #[track_caller]
    fn sign_in(site: &'a Site, host: &'a Host) -> Self {
        let browser = Browser::new(site, host, Service::Web);
        goes_to(&browser.sign_in("anna@example.test", PASSWORD, ""), "/mail");
        let inbox = browser.get("/mail");
        let inbox = inbox.head.split_once("location: ").expect("where the inbox is").1;
        let inbox = inbox.lines().next().expect("a line").to_owned();
        Self { browser, inbox }
    }

    /// A page that is there.
    #[track_caller]
    fn page(&self, path: &str) -> String {
        let answer = self.browser.get(path);
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.body
    }

    /// The path of a folder.
    #[track_caller]
    fn folder(&self, name: &str) -> String {
        let page = self.page(&self.inbox);
        let (before, _) =
            page.split_once(&format!("<span class=\"name\">{name}</span>")).expect("the folder");
        before.rsplit_once("href=\"").expect("its address").1.split('"').next().expect("its end").to_owned()
    }

    /// Sends a form to a folder's actions, with a good seal; gives what the page says then.
    #[track_caller]
    fn act(&self, folder: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.send(&format!("{folder}/act"), fields);
        assert_eq!(answer.status, 303, "{}", answer.body);
        self.page(location(&answer))
    }

    #[track_caller]
    fn send(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let seal = seal(&self.page(&self.inbox));
        let mut all = vec![("seal", &*seal)];
        all.extend(fields);
        self.browser.post(path, &all, &[])
    }
}

fn location(answer: &Answer) -> &str {
    answer.head.lines().find_map(|line| line.strip_prefix("location: ")).expect("where to go on").trim_end()
}

/// Whether the page says, so that nobody misses it, that something was not done for this reason.
fn is_refused(page: &str, why: &str) -> bool {
    let notice = page.split_once("<div class=\"notice refused\" role=\"alert\">").map(|(_, rest)| rest);
    notice.is_some_and(|rest| rest.split("</div>").next().is_some_and(|text| text.contains(why)))
}

/// A message with these fields.
fn message(id: &str, answers: &str, from: &str, subject: &str, text: &str) -> String {
    let references = if answers.is_empty() { String::new() } else { format!("References: {answers}\r\n") };
    format!(
        "From: {from}\r\nTo: anna@example.test\r\nSubject: {subject}\r\nMessage-ID: <{id}@far.test>\r\n{references}\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    )
}

/// The identifiers of the rows of a page, from above.
fn rows(page: &str) -> Vec<u32> {
    let rows = page.split("data-uid=\"").skip(1);
    rows.map(|row| row.split('"').next().and_then(|uid| uid.parse().ok()).expect("a number")).collect()
}

/// The row of a message.
#[track_caller]
fn row(page: &str, uid: u32) -> String {
    let (_, rest) =
        page.split_once(&format!("data-uid=\"{uid}\"")).unwrap_or_else(|| panic!("no {uid} in {page}"));
    rest.split("</li>").next().expect("its end").to_owned()
}

/// A host with Anna and Ben, or nothing where there is no curl.
fn site(name: &str) -> Option<Site> {
    if !is_installed("curl", "--version") {
        skip(name, "curl is not installed");
        return None;
    }
    Some(crate::imap::site())
}

/// Puts a message into a folder of Anna's.
fn put(imap: &mut Imap, folder: &str, message: &str) {
    assert!(imap.append(folder, message).starts_with("OK"));
}
