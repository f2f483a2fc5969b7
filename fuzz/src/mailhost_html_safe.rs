//! The HTML of messages, made safe: a browser finds nothing in it that is not on the list, as a parser says that is not ours.

use super::mail::html::{Clean, Images, sanitise};
use super::mail::judge::{as_it_came, is_open, is_plain_sheet, strangers};
use crate::common::is_linear;

/// `data` is the HTML of a message.
pub fn run(data: &[u8]) {
    let html = &String::from_utf8_lossy(data);
    for remote in [false, true] {
        let clean = clean(html, remote);
        let body = &clean.body;
        // A browser's way to build a tree takes hours for what is made for it.
        if body.len() <= JUDGED {
            let found = strangers(body, PART, remote);
            assert!(found.is_empty() && !is_open(body), "{body}\nhas {found:?}");
        }
        assert!(remote || !body.contains("src=\"http"), "{body}");
        assert!(is_plain_sheet(&clean.style), "{}", clean.style);
        let again = as_it_came(body, PART, KNOWN);
        assert_eq!(as_it_came(&self::clean(&again, remote).body, PART, KNOWN), again, "is clean already");
    }
    is_linear(html, |html| drop(clean(html, false)));
}

fn clean(html: &str, remote: bool) -> Clean {
    let part = |id: &str| (id == KNOWN).then(|| PART.to_owned());
    let clean = sanitise(html, &Images { part: &part, remote });
    // A quotation mark in a text becomes six octets, and a short link gets all that makes it harmless.
    assert!(clean.body.len() <= 6 * html.len(), "{} of {}", clean.body.len(), html.len());
    assert!(clean.style.len() <= 4 * html.len(), "{} of {}", clean.style.len(), html.len());
    assert!(clean.remote <= html.len() / SMALLEST_IMAGE && (clean.cut || html.len() <= 1 << 20));
    clean
}

/// The one part that images name, and where it is.
const KNOWN: &str = "known@a.test";
const PART: &str = "/part/2";
/// Octets that a browser reads in no time, whatever they are.
const JUDGED: usize = 16 << 10;
/// `<img/src=http://a>` without what may be around it.
const SMALLEST_IMAGE: usize = 18;
