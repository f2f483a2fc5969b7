//! Mail that is out to do more than to be read, opened as its receiver would.

use super::people::Home;
use super::record::Report;
use super::{Browser, Record};
use crate::imap::Imap;

/// Files that a browser would run if it opened them as what they say they are, or as what they look like.
const FILES: [(&str, &str); 6] = [
    ("text/html", "<script>alert(1)</script>"),
    (
        "image/svg+xml",
        "<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"><script>alert(1)</script></svg>",
    ),
    ("text/xml", "<x:script xmlns:x=\"http://www.w3.org/1999/xhtml\">alert(1)</x:script>"),
    (
        "application/xhtml+xml",
        "<html xmlns=\"http://www.w3.org/1999/xhtml\"><body onload=\"alert(1)\"/></html>",
    ),
    ("image/png", "<script>alert(1)</script>"),
    ("text/html; charset=\"utf-7\"", "+ADw-script+AD4-alert(1)+ADw-/script+AD4-"),
];

/// A message with this file as its part number 1, behind a text.
fn with_file(kind: &str, text: &str) -> String {
    format!(
        "From: eve@evil.example.test\r\nSubject: a file\r\nContent-Type: multipart/mixed; boundary=part\r\n\r\n--part\r\n\r\n\
         hello\r\n--part\r\nContent-Type: {kind}\r\nContent-Disposition: attachment; filename=file\r\n\r\n{text}\r\n--part--\r\n"
    )
}

/// Presses everything in a text, but for what leads elsewhere by itself.
const PRESS_ALL: &str = "for (const each of texts) for (const one of each.querySelectorAll('body *')) {\
    const to = one.closest('a, area')?.getAttribute('href') ?? '';\
    if (!/^\\s*(https?|mailto):/i.test(to) && !to.startsWith('/')) one.click?.() }";

impl Browser {
    /// Opens a page, and does what a careless reader does.
    #[track_caller]
    fn is_careless_with(&mut self, path: &str) {
        self.open(path);
        let frames = format!("const texts = {}.slice(1); {PRESS_ALL}", super::DOCUMENTS);
        self.evaluate(&format!("{{ {frames} }}"));
        for session in 1..self.sessions.len() {
            let _ = self.try_evaluate(session, &format!("{{ const texts = [document]; {PRESS_ALL} }}"));
        }
    }
}

fn trouble(record: &Record) -> Option<String> {
    let unexplained: Vec<_> = record.reports.iter().filter(|report| !is_explained(report)).collect();
    (!record.is_contained() || !unexplained.is_empty()).then(|| {
        format!(
            "asked of others: {:?}; scripts: {:?}; alarms: {:?}; caught: {:?}; reports: {unexplained:?}",
            record.strays(),
            record.foreign_scripts(),
            record.alarms,
            record.caught
        )
    })
}

/// The frame's policy stops what the page would have asked its sender for; and the browser would like to give colours to the page that
/// it makes of an image.
fn is_explained(report: &Report) -> bool {
    let of = |what: &str, directives: &[&str]| {
        report.document.contains(what) && directives.contains(&&*report.directive)
    };
    of("/html", &["img-src", "media-src", "font-src"])
        || of("/part/", &["style-src-attr"]) && report.blocked.is_empty()
}

#[test]
fn no_message_runs_a_script_or_asks_anybody_for_anything() {
    let name = "no_message_runs_a_script_or_asks_anybody_for_anything";
    let home = Home::new();
    let Some(mut browser) = home.anna(name) else { return };
    let inbox = browser.goes("/mail");
    let mut imap = Imap::anna(&home.host);
    let messages = super::techniques::messages();
    assert!(messages.len() > 60, "{}", messages.len());
    let mut troubles = Vec::new();
    for (what, message) in &messages {
        let said = imap.append("INBOX", message);
        let uid = &said.code("APPENDUID")[1];
        browser.is_careless_with(&format!("{inbox}/{uid}"));
        troubles.extend(trouble(browser.record()).map(|trouble| format!("{what}: {trouble}")));
        browser.forgets();
    }
    browser.is_careless_with(&inbox);
    troubles.extend(trouble(browser.record()).map(|trouble| format!("all beside each other: {trouble}")));
    assert!(troubles.is_empty(), "{} of {}: {troubles:#?}", troubles.len(), messages.len());
}

#[test]
fn no_file_runs_in_the_name_of_the_host() {
    let name = "no_file_runs_in_the_name_of_the_host";
    let home = Home::new();
    let Some(mut browser) = home.anna(name) else { return };
    let inbox = browser.goes("/mail");
    let mut imap = Imap::anna(&home.host);
    for (kind, text) in FILES {
        let said = imap.append("INBOX", with_file(kind, text));
        let uid = &said.code("APPENDUID")[1];
        // A number of a part that there is not does no harm; one that is saved opens no page.
        for number in 0..4 {
            for path in ["", "?view=1"] {
                browser.tries(&format!("{inbox}/{uid}/part/{number}{path}"));
            }
        }
        browser.tries(&format!("{inbox}/{uid}/source"));
        browser.tries(&format!("{inbox}/{uid}/html"));
        assert_eq!(trouble(browser.record()), None, "{kind}");
    }
}
