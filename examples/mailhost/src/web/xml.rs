//! XML as mail programs want it: written with every text escaped, and read without anything that a document may define.

use quick_xml::Reader;
use quick_xml::escape::{escape, resolve_predefined_entity};
use quick_xml::events::Event;

/// A document while it is written. Elements are closed in the order that they were opened, at the latest by [`Self::end`].
pub(super) struct Document {
    text: String,
    open: Vec<&'static str>,
}

impl Document {
    /// Begins with the XML declaration, and these lines.
    pub(super) fn new(prolog: &str) -> Self {
        Self { text: format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{prolog}"), open: Vec::new() }
    }

    pub(super) fn open(&mut self, name: &'static str, attributes: &[(&str, &str)]) {
        self.indent();
        self.tag(name, attributes);
        self.text.push_str(">\n");
        self.open.push(name);
    }

    pub(super) fn close(&mut self) {
        if let Some(name) = self.open.pop() {
            self.indent();
            self.text.push_str(&format!("</{name}>\n"));
        }
    }

    /// An element that holds text only.
    pub(super) fn leaf(&mut self, name: &'static str, text: &str) {
        self.indent();
        self.tag(name, &[]);
        self.text.push_str(&format!(">{}</{name}>\n", escape(text)));
    }

    /// An element that holds nothing.
    pub(super) fn empty(&mut self, name: &'static str) {
        self.indent();
        self.text.push_str(&format!("<{name}/>\n"));
    }

    pub(super) fn end(mut self) -> String {
        while !self.open.is_empty() {
            self.close();
        }
        self.text
    }

    fn tag(&mut self, name: &str, attributes: &[(&str, &str)]) {
        self.text.push_str(&format!("<{name}"));
        for (name, value) in attributes {
            self.text.push_str(&format!(" {name}=\"{}\"", escape(*value)));
        }
    }

    fn indent(&mut self) {
        self.text.push_str(&"  ".repeat(self.open.len()));
    }
}

/// The text of the one element at this path; `None` if there is none, if it holds more than text, or if the document is no good.
/// Prefixes of names are not looked at.
pub(super) fn text_at(document: &str, path: &[&str]) -> Option<String> {
    let mut reader = Reader::from_str(document);
    let mut depth = 0;
    // How many names of the path are open.
    let mut matched = 0;
    let mut found: Option<String> = None;
    loop {
        let inside = matched == path.len() && depth == matched;
        match reader.read_event().ok()? {
            Event::Start(start) => {
                if matched == path.len() || depth >= DEPTH {
                    return None;
                }
                if matched == depth && start.local_name().as_ref() == path[matched] {
                    matched += 1;
                    if matched == path.len() && found.replace(String::new()).is_some() {
                        return None;
                    }
                }
                depth += 1;
            }
            Event::End(_) => {
                if matched == depth {
                    matched -= 1;
                }
                depth -= 1;
            }
            Event::Text(text) if inside => found.as_mut()?.push_str(&text.xml10_content()),
            Event::CData(text) if inside => found.as_mut()?.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                // Five are defined by XML itself; none can be defined here.
                let character = reference.resolve_char_ref().ok()?.map(String::from);
                let text = character
                    .or_else(|| Some(resolve_predefined_entity(&reference.xml10_content())?.to_owned()))?;
                if inside {
                    found.as_mut()?.push_str(&text);
                }
            }
            // Definitions are what attacks with XML are made of, and nobody needs them here.
            Event::DocType(_) => return None,
            Event::Eof => return found.filter(|_| depth == 0),
            _ => {}
        }
    }
}

/// How deep elements may lie in one another.
const DEPTH: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_and_escapes_are_undone() {
        let at = |document: &str| text_at(document, &["a", "b"]);
        for (document, text) in [
            ("<a><b>x</b></a>", Some("x")),
            ("<?xml version='1.0'?>\r\n<a xmlns='y'><c><b>z</b></c><b>x</b><d/></a>", Some("x")),
            ("<p:a xmlns:p='y'><p:b>x</p:b></p:a>", Some("x")),
            ("<a><b>&lt;x&#62;&amp;<![CDATA[<y>]]></b></a>", Some("<x>&<y>")),
            ("<a><b></b></a>", Some("")),
            ("<a/>", None),
            ("", None),
            ("x", None),
            ("<b>x</b>", None),
            ("<c><a><b>x</b></a></c>", None),
            ("<a><b>x</a></b>", None),
            ("<a><b>x</b>", None),
            ("<a><b>x<c/>y</b></a>", Some("xy")),
            ("<a><b>x<c>z</c>y</b></a>", None),
            ("<a><b>x</b><b>y</b></a>", None),
            ("<a><b>&x;</b></a>", None),
            ("<a><b>&#0;</b></a>", None),
            ("<!DOCTYPE a [<!ENTITY x 'y'>]><a><b>&x;</b></a>", None),
            ("<!DOCTYPE a><a><b>x</b></a>", None),
            ("<a><b>x</b></a></a>", None),
        ] {
            assert_eq!(at(document).as_deref(), text, "{document}");
        }
        assert_eq!(
            at(&format!("<a>{}{}<b>x</b></a>", "<c>".repeat(15), "</c>".repeat(15))).as_deref(),
            Some("x")
        );
        assert_eq!(at(&format!("<a>{}{}<b>x</b></a>", "<c>".repeat(16), "</c>".repeat(16))), None);
    }

    #[test]
    fn what_is_written_is_escaped() {
        let mut document = Document::new("");
        document.open("a", &[("b", "\"<>'&")]);
        document.leaf("c", "</c>&\"");
        let text = document.end();
        assert_eq!(
            text,
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a b=\"&quot;&lt;&gt;&apos;&amp;\">\n  <c>&lt;/c&gt;&amp;&quot;</c>\n\
             </a>\n"
        );
        assert_eq!(text_at(&text, &["a", "c"]).as_deref(), Some("</c>&\""));
    }
}
