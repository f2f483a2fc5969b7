//! The XML that mail programs post to be set up: what is read of it is in it, definitions are refused, and what is written is read.

#[allow(dead_code, reason = "the host uses more of it")]
#[path = "../../examples/mailhost/src/web/xml.rs"]
mod xml;

use self::xml::{Document, text_at};

/// Where autodiscover looks.
const PATH: [&str; 3] = ["Autodiscover", "Request", "EMailAddress"];

/// `data` is a document.
pub fn run(data: &[u8]) {
    let Ok(document) = str::from_utf8(data) else { return };
    let found = text_at(document, &PATH);
    if let Some(text) = &found {
        assert!(text.len() <= document.len(), "nothing grows");
        assert!(document.contains(PATH[2]), "nothing comes from nowhere");
    }
    // In front of the root element, where white space and comments may be as well.
    for (prolog, refused) in [("<!-- x -->\n", false), ("<!DOCTYPE a [<!ENTITY x \"y\">]>", true)] {
        if let Some(root) = document.find("<Auto").filter(|at| document[..*at].trim().is_empty()) {
            let again = text_at(&format!("{prolog}{}", &document[root..]), &PATH);
            assert_eq!(again, found.clone().filter(|_| !refused), "{prolog}");
        }
    }
    // Any text within elements of ours, and in an attribute.
    let mut ours = Document::new("");
    ours.open(PATH[0], &[("a", document)]);
    ours.open(PATH[1], &[]);
    ours.leaf(PATH[2], document);
    // XML 1.0 §2.11: line ends are read as LF.
    if !document.contains('\r') {
        assert_eq!(text_at(&ours.end(), &PATH).as_deref(), Some(document));
    }
}
