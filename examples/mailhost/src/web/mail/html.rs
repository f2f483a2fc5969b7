//! HTML of messages, made safe: elements, attributes, addresses and styles that are on a list are written anew, and nothing else is.
//!
//! That holds by the way it is written, and not by the way it is read. No element on the list makes a browser read what follows as
//! anything but HTML; each `<`, `>` and `"` of the message is written as a reference; so a browser finds those tags that are
//! written here, and no others, whatever the message looks like. Where a tag is read otherwise than by a browser, text is shown that a
//! browser would not show.
//!
//! Time and memory are linear in the message: elements that are open are counted, and all that an end tag closes is closed
//! in what is written. A parser that builds a tree as browsers do takes hours for a message that is made for it.

mod link;
mod style;
mod tokens;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ptr;

use self::link::{content_id, data_image, unescaped};
pub(in crate::web) use self::link::{form, mail, web};
use self::tokens::{Attributes, Token, Tokens};

/// Where the images of a message may come from.
pub(in crate::web) struct Images<'a> {
    /// Gives the address on this host of the part with a Content-ID.
    pub(in crate::web) part: &'a dyn Fn(&str) -> Option<String>,
    /// Whether they may be loaded from elsewhere.
    pub(in crate::web) remote: bool,
}

/// What has become of the HTML of a message.
#[derive(Debug, Default)]
pub(in crate::web) struct Clean {
    /// What goes into the body of a document.
    pub(in crate::web) body: String,
    /// A style sheet: what the `style` attributes said, as classes.
    pub(in crate::web) style: String,
    /// Images that would be loaded from elsewhere.
    pub(in crate::web) remote: usize,
    /// Whether there is more than is shown.
    pub(in crate::web) cut: bool,
}

/// Makes the HTML of a message safe. What is beyond [`LONGEST`] is left out.
pub(in crate::web) fn sanitise(html: &str, images: &Images<'_>) -> Clean {
    let shown = &html[..html.floor_char_boundary(LONGEST)];
    let mut writer = Writer {
        clean: Clean { cut: shown.len() < html.len(), ..Clean::default() },
        images,
        open: Vec::new(),
        classes: HashMap::new(),
    };
    for token in Tokens::new(shown) {
        if writer.clean.body.len() > LONGEST_WRITTEN {
            writer.clean.cut = true;
            break;
        }
        match token {
            Token::Text(text) => writer.text(text, false),
            Token::Raw(name, text) => {
                // Of what stands in such elements, this is what a browser would show.
                if ["textarea", "xmp", "plaintext"].iter().any(|shown| name.eq_ignore_ascii_case(shown)) {
                    writer.text(text, !name.eq_ignore_ascii_case("textarea"));
                }
            }
            Token::Start(name, attributes) => writer.start(name, attributes),
            Token::End(name) => writer.end(name),
        }
    }
    writer.close_to(0);
    writer.clean
}

/// An element on the list.
#[derive(Debug)]
struct Element {
    name: &'static str,
    kind: Kind,
}

impl Element {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    /// Within a line.
    Inline,
    /// Ends a paragraph.
    Block,
    /// Ends a paragraph, and another of its kind in the same list.
    Item,
    /// A table, or what is directly or indirectly in one.
    Table,
    /// Holds whatever there may be, apart from what is around the table.
    Cell,
    /// Rows and groups of rows.
    Row,
    /// Has no end tag.
    Void,
}

/// What makes safe markup of tags and text.
struct Writer<'a> {
    clean: Clean,
    images: &'a Images<'a>,
    /// What has been opened and not closed, outermost first.
    open: Vec<&'static Element>,
    /// Declarations that have a class.
    classes: HashMap<String, usize>,
}

impl Writer<'_> {
    fn text(&mut self, text: &str, raw: bool) {
        escape(text, raw, &mut self.clean.body);
    }

    fn start(&mut self, name: &str, attributes: Attributes<'_>) {
        let Some(element) = element(name) else { return };
        if element.name == "img" {
            return self.image(element, attributes);
        }
        if !self.make_room(element) {
            return;
        }
        let _ = write!(self.clean.body, "<{}", element.name);
        self.attributes(name, element, attributes);
        self.clean.body.push('>');
        if element.kind != Kind::Void {
            self.open.push(element);
        }
    }

    /// Closes what ends where this element begins. Whether there is room for it, then.
    fn make_room(&mut self, element: &Element) -> bool {
        // Where the innermost cell, caption or table begins.
        let inner = self.innermost(|open| matches!(open.kind, Kind::Table | Kind::Cell));
        let in_table = inner.is_some_and(|at| self.open[at].kind == Kind::Table);
        let floor = inner.map_or(0, |at| at + 1);
        match element.kind {
            Kind::Table if in_table => self.close_to(floor - 1),
            Kind::Table | Kind::Block | Kind::Item => {
                if element.kind == Kind::Item
                    && let Some(at) = self.innermost(|open| {
                        open.kind == Kind::Item || matches!(open.name, "ul" | "ol" | "dl" | "blockquote")
                    })
                    && at >= floor
                    && self.open[at].kind == Kind::Item
                {
                    self.close_to(at);
                }
                if let Some(at) = self.innermost(|open| open.name == "p")
                    && at >= floor
                {
                    self.close_to(at);
                }
            }
            Kind::Cell | Kind::Row => {
                // Outside of a table they mean nothing.
                let Some(table) = self.innermost(|open| open.kind == Kind::Table) else { return false };
                // A cell ends a cell, a row ends a row too, and a group ends all there is in the table.
                let keeps = |open: &Element| match (element.kind, element.name) {
                    (Kind::Cell, "td" | "th") => open.kind == Kind::Row && open.name != "colgroup",
                    (_, "tr") => matches!(open.name, "tbody" | "thead" | "tfoot"),
                    _ => false,
                };
                let kept = self.open[table + 1..].iter().take_while(|open| keeps(open)).count();
                self.close_to(table + 1 + kept);
            }
            Kind::Inline if element.name == "a" => {
                // A link within a link ends it.
                if let Some(at) = self.innermost(|open| open.name == "a")
                    && at >= floor
                {
                    self.close_to(at);
                }
            }
            Kind::Void if element.name == "col" => {
                return self.open.last().is_some_and(|open| matches!(open.name, "table" | "colgroup"));
            }
            Kind::Void if element.name == "hr" => {
                if let Some(at) = self.innermost(|open| open.name == "p")
                    && at >= floor
                {
                    self.close_to(at);
                }
            }
            Kind::Void | Kind::Inline => {}
        }
        element.kind == Kind::Void || self.open.len() < DEEPEST
    }

    fn end(&mut self, name: &str) {
        let Some(element) = element(name) else { return };
        if element.name == "br" {
            return self.clean.body.push_str("<br>");
        }
        // What is in a cell ends nothing outside of it, unless it is the table or a part of it that ends.
        let stops = |open: &Element| match element.kind {
            Kind::Table | Kind::Cell | Kind::Row => open.kind == Kind::Table,
            _ => matches!(open.kind, Kind::Table | Kind::Cell),
        };
        for at in (0..self.open.len()).rev() {
            if ptr::eq(self.open[at], element) {
                return self.close_to(at);
            }
            if stops(self.open[at]) {
                return;
            }
        }
    }

    fn innermost(&self, is: impl Fn(&Element) -> bool) -> Option<usize> {
        self.open.iter().rposition(|open| is(open))
    }

    fn close_to(&mut self, depth: usize) {
        for element in self.open.drain(depth..).rev() {
            // Nothing to write to can be full.
            let _ = write!(self.clean.body, "</{}>", element.name);
        }
    }

    fn attributes(&mut self, name: &str, element: &Element, attributes: Attributes<'_>) {
        let mut seen = 0_u32;
        let mut declared = String::new();
        let is_body = name.eq_ignore_ascii_case("body");
        for (name, value) in attributes {
            let Some(at) = ATTRIBUTES.iter().position(|(known, _)| name.eq_ignore_ascii_case(known)) else {
                continue;
            };
            let (name, says) = ATTRIBUTES[at];
            // The first of a name counts.
            if seen & 1 << at != 0 {
                continue;
            }
            seen |= 1 << at;
            let value = value.trim_ascii();
            match says {
                Says::Style if value.len() <= LONGEST_STYLE => {
                    declared.push_str(&style::filter(&unescaped(value)));
                }
                Says::Style => {}
                // The body becomes one element among others.
                Says::Colour if is_body => match name {
                    "bgcolor" => style::add(&mut declared, "background-color", value),
                    _ => style::add(&mut declared, "color", value),
                },
                Says::Link if element.name == "a" && value.len() <= LONGEST_STYLE * 2 => {
                    let value = unescaped(value);
                    if let Some(link) = web(&value).or_else(|| mail(&value)) {
                        self.attribute("href", &link);
                        self.attribute("target", "_blank");
                        self.attribute("rel", "noopener noreferrer nofollow");
                    }
                }
                Says::Link => {}
                Says::Text => {
                    if let Some(text) = attribute_text(value) {
                        let _ = write!(self.clean.body, " {name}=\"{text}\"");
                    }
                }
                // It is the body's alone.
                Says::Colour if name == "text" => {}
                says if says.allows(value) => self.attribute(name, value),
                _ => {}
            }
        }
        self.class(declared);
    }

    fn class(&mut self, declared: String) {
        if declared.is_empty() {
            return;
        }
        let next = self.classes.len();
        let class = match self.classes.get(&declared) {
            Some(class) => *class,
            // What is beyond looks plain.
            None if self.clean.style.len() + declared.len() > LONGEST_SHEET => return,
            None => {
                let _ = write!(self.clean.style, ".s{next}{{{declared}}}");
                self.classes.insert(declared, next);
                next
            }
        };
        let _ = write!(self.clean.body, " class=\"s{class}\"");
    }

    /// An attribute whose value has no references.
    fn attribute(&mut self, name: &str, value: &str) {
        let _ = write!(self.clean.body, " {name}=\"");
        escape(value, true, &mut self.clean.body);
        self.clean.body.push('"');
    }

    fn image(&mut self, element: &Element, attributes: Attributes<'_>) {
        let of = |wanted: &str| {
            Some(attributes.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?.1)
        };
        let source = of("src").map(|source| unescaped(source.trim_ascii())).unwrap_or_default();
        let alt = of("alt").and_then(attribute_text).unwrap_or_default();
        let known =
            content_id(&source).and_then(|id| (self.images.part)(&id)).or_else(|| data_image(&source));
        let source = known.or_else(|| {
            let remote = web(&source)?;
            self.clean.remote += 1;
            self.images.remote.then_some(remote)
        });
        let Some(source) = source else {
            // What it shows, in words.
            return self.clean.body.push_str(&alt);
        };
        self.clean.body.push_str("<img");
        self.attribute("src", &source);
        let _ = write!(self.clean.body, " alt=\"{alt}\"");
        self.attributes("img", element, attributes);
        self.clean.body.push('>');
    }
}

/// What an attribute may say.
#[derive(Clone, Copy, Debug)]
enum Says {
    Style,
    Link,
    /// Anything: it is shown, or read aloud.
    Text,
    /// A name or a number of a colour.
    Colour,
    /// A length or a number.
    Number,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Nothing.
    Alone,
}

impl Says {
    fn allows(self, value: &str) -> bool {
        match self {
            Self::Colour => {
                let digits = value.strip_prefix('#').unwrap_or(value);
                (1..=32).contains(&digits.len()) && digits.bytes().all(|octet| octet.is_ascii_alphanumeric())
            }
            Self::Number => {
                let number = value.strip_suffix('%').or_else(|| value.strip_suffix("px")).unwrap_or(value);
                let number = number.strip_prefix(['+', '-']).unwrap_or(number);
                (1..=16).contains(&number.len())
                    && number.bytes().all(|octet| octet.is_ascii_digit() || octet == b'.')
            }
            Self::Word(words) => words.iter().any(|word| value.eq_ignore_ascii_case(word)),
            Self::Alone => value.len() <= 16 && value.bytes().all(|octet| octet.is_ascii_alphabetic()),
            Self::Style | Self::Link | Self::Text => false,
        }
    }
}

/// The element of this name, if it is on the list.
fn element(name: &str) -> Option<&'static Element> {
    let mut buffer = [0; 16];
    let lower = buffer.get_mut(..name.len())?;
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    // Some are shown as others that look the same, and say less of what a page is made of: that is the reader's, and not the message's.
    let name = match &*lower {
        b"article" | b"aside" | b"body" | b"footer" | b"header" | b"hgroup" | b"main" | b"nav"
        | b"section" => b"div",
        name => name,
    };
    let at = ELEMENTS.binary_search_by(|element| element.name.as_bytes().cmp(name)).ok()?;
    Some(&ELEMENTS[at])
}

/// Text as it is written in a document and between quotes. Its references stay what they are, unless it has none.
fn escape(text: &str, raw: bool, out: &mut String) {
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '&' if raw => out.push_str("&amp;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
}

/// A text between quotes, without what is nothing at its ends; `None` if it is too long to be one.
fn attribute_text(value: &str) -> Option<String> {
    let value = value.trim_matches(|c: char| c == ' ' || c.is_control());
    if value.len() > LONGEST_TEXT {
        return None;
    }
    let mut text = String::new();
    escape(value, false, &mut text);
    // What is written is not longer either: who makes it safe once more leaves it as it is.
    (text.len() <= LONGEST_TEXT).then_some(text)
}

/// The most of a message that is looked at, in octets.
pub(in crate::web) const LONGEST: usize = 1 << 20;
/// The most that is written; what is open is closed behind it.
const LONGEST_WRITTEN: usize = 4 << 20;
/// The most elements within elements. Browsers have such a bound, too.
const DEEPEST: usize = 256;
const LONGEST_STYLE: usize = 4 << 10;
const LONGEST_TEXT: usize = 1 << 10;
const LONGEST_SHEET: usize = 256 << 10;

/// The list, in the order of the names.
static ELEMENTS: [Element; 70] = [
    Element::new("a", Kind::Inline),
    Element::new("abbr", Kind::Inline),
    Element::new("acronym", Kind::Inline),
    Element::new("address", Kind::Block),
    Element::new("b", Kind::Inline),
    Element::new("bdi", Kind::Inline),
    Element::new("bdo", Kind::Inline),
    Element::new("big", Kind::Inline),
    Element::new("blockquote", Kind::Block),
    Element::new("br", Kind::Void),
    Element::new("caption", Kind::Cell),
    Element::new("center", Kind::Block),
    Element::new("cite", Kind::Inline),
    Element::new("code", Kind::Inline),
    Element::new("col", Kind::Void),
    Element::new("colgroup", Kind::Row),
    Element::new("dd", Kind::Item),
    Element::new("del", Kind::Inline),
    Element::new("details", Kind::Block),
    Element::new("dfn", Kind::Inline),
    Element::new("dir", Kind::Block),
    Element::new("div", Kind::Block),
    Element::new("dl", Kind::Block),
    Element::new("dt", Kind::Item),
    Element::new("em", Kind::Inline),
    Element::new("figcaption", Kind::Block),
    Element::new("figure", Kind::Block),
    Element::new("font", Kind::Inline),
    Element::new("h1", Kind::Block),
    Element::new("h2", Kind::Block),
    Element::new("h3", Kind::Block),
    Element::new("h4", Kind::Block),
    Element::new("h5", Kind::Block),
    Element::new("h6", Kind::Block),
    Element::new("hr", Kind::Void),
    Element::new("i", Kind::Inline),
    Element::new("img", Kind::Void),
    Element::new("ins", Kind::Inline),
    Element::new("kbd", Kind::Inline),
    Element::new("li", Kind::Item),
    Element::new("mark", Kind::Inline),
    Element::new("ol", Kind::Block),
    Element::new("p", Kind::Block),
    Element::new("pre", Kind::Block),
    Element::new("q", Kind::Inline),
    Element::new("rp", Kind::Inline),
    Element::new("rt", Kind::Inline),
    Element::new("ruby", Kind::Inline),
    Element::new("s", Kind::Inline),
    Element::new("samp", Kind::Inline),
    Element::new("small", Kind::Inline),
    Element::new("span", Kind::Inline),
    Element::new("strike", Kind::Inline),
    Element::new("strong", Kind::Inline),
    Element::new("sub", Kind::Inline),
    Element::new("summary", Kind::Block),
    Element::new("sup", Kind::Inline),
    Element::new("table", Kind::Table),
    Element::new("tbody", Kind::Row),
    Element::new("td", Kind::Cell),
    Element::new("tfoot", Kind::Row),
    Element::new("th", Kind::Cell),
    Element::new("thead", Kind::Row),
    Element::new("time", Kind::Inline),
    Element::new("tr", Kind::Row),
    Element::new("tt", Kind::Inline),
    Element::new("u", Kind::Inline),
    Element::new("ul", Kind::Block),
    Element::new("var", Kind::Inline),
    Element::new("wbr", Kind::Void),
];

const ALIGNS: &[&str] = &["left", "right", "center", "justify", "middle", "absmiddle", "char"];
const ATTRIBUTES: [(&str, Says); 29] = [
    ("style", Says::Style),
    ("href", Says::Link),
    ("title", Says::Text),
    ("summary", Says::Text),
    ("face", Says::Text),
    ("lang", Says::Text),
    ("dir", Says::Word(&["ltr", "rtl", "auto"])),
    ("align", Says::Word(ALIGNS)),
    ("valign", Says::Word(&["top", "middle", "bottom", "baseline"])),
    ("bgcolor", Says::Colour),
    ("color", Says::Colour),
    ("text", Says::Colour),
    ("bordercolor", Says::Colour),
    ("width", Says::Number),
    ("height", Says::Number),
    ("border", Says::Number),
    ("cellpadding", Says::Number),
    ("cellspacing", Says::Number),
    ("colspan", Says::Number),
    ("rowspan", Says::Number),
    ("hspace", Says::Number),
    ("vspace", Says::Number),
    ("size", Says::Number),
    ("start", Says::Number),
    ("type", Says::Word(&["1", "a", "i", "disc", "circle", "square"])),
    ("scope", Says::Word(&["row", "col", "rowgroup", "colgroup"])),
    ("role", Says::Word(&["presentation", "none"])),
    ("nowrap", Says::Alone),
    ("clear", Says::Word(&["left", "right", "all", "none"])),
];

#[cfg(test)]
pub(in crate::web) mod judge;
#[cfg(test)]
mod tests;
