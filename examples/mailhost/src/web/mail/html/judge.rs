//! What a browser makes of the markup that is written here, said by a parser that is not ours: for tests and fuzz targets.

use html5ever::driver::ParseOpts;
use html5ever::tendril::TendrilSink as _;
use html5ever::{Attribute, QualName, parse_document, parse_fragment};
use markup5ever_rcdom::{Handle, NodeData, RcDom};

/// Elements and attributes of a message's HTML that are on no list. Images may come from this part, and from elsewhere if that
/// is allowed.
pub(in crate::web) fn strangers(html: &str, part: &str, remote: bool) -> Vec<String> {
    read(html, |name, attributes, found| judge(name, attributes, part, remote, found))
}

/// The same of a plain text, of which there are links, quotes that may be folded, and lines.
pub(in crate::web) fn strangers_in_text(html: &str) -> Vec<String> {
    read(html, |name, attributes, found| {
        let local = &*name.local;
        if !["html", "head", "body", "div", "blockquote", "details", "summary", "a"].contains(&local)
            || name.ns != html5ever::ns!(html)
        {
            found.push(format!("<{local}>"));
        }
        for attribute in attributes {
            let value = &*attribute.value;
            let good = match (local, &*attribute.name.local) {
                ("a", name @ ("href" | "target" | "rel")) => is_of_link(name, value),
                ("div", "class") => ["lines", "lines signature"].contains(&value),
                ("details", "class") => value == "quoted",
                _ => false,
            };
            if !good {
                found.push(format!("{local} {}={value:?}", &*attribute.name.local));
            }
        }
    })
}

/// Whether a style sheet has nothing in it but classes, properties and simple values.
pub(in crate::web) fn is_plain_sheet(style: &str) -> bool {
    style.chars().all(|c| c.is_alphanumeric() || " .#%,-_+/:;{}()\"".contains(c))
}

/// Whether a browser takes what stands behind it for a part of it.
pub(in crate::web) fn is_open(html: &str) -> bool {
    let page = format!("<!DOCTYPE html><html><head></head><body>{html}<wbr title=behind></body></html>");
    let dom = parse_document(RcDom::default(), ParseOpts::default()).one(page);
    let (mut node, mut parents) = (dom.document.clone(), Vec::new());
    // The last of the last is what stands behind.
    loop {
        let Some(last) = node.children.borrow().last().cloned() else { break };
        if let NodeData::Element { name, .. } = &last.data {
            parents.push(name.local.to_string());
        }
        node = last;
    }
    parents != ["html", "body", "wbr"]
}

/// What a browser makes of it, by a parser that is not ours: each element goes to `judge`, who notes what is wrong. The parser
/// can take hours for markup that is made for it, so this is for little of it.
fn read(html: &str, judge: impl Fn(&QualName, &[Attribute], &mut Vec<String>)) -> Vec<String> {
    let (mut found, mut nodes) = (Vec::new(), vec![]);
    let page = format!("<!DOCTYPE html><html><head></head><body>{html}</body></html>");
    nodes.push(parse_document(RcDom::default(), ParseOpts::default()).one(page).document.clone());
    // As if somebody put it into another page, in places where tags mean something else.
    for context in ["div", "table", "select", "template"] {
        let name = QualName::new(None, html5ever::ns!(html), context.into());
        let parser = parse_fragment(RcDom::default(), ParseOpts::default(), name, Vec::new(), true);
        nodes.push(parser.one(html).document.clone());
    }
    // All of them are kept to the end: a node that goes takes along what is below it, whoever else looks at that.
    let mut at = 0;
    while let Some(node) = nodes.get(at).cloned() {
        at += 1;
        match &node.data {
            NodeData::Element { name, attrs, template_contents, .. } => {
                judge(name, &attrs.borrow(), &mut found);
                nodes.extend(template_contents.borrow().iter().cloned());
            }
            NodeData::Comment { .. } | NodeData::ProcessingInstruction { .. } => {
                found.push("a comment".to_owned())
            }
            _ => {}
        }
        nodes.extend(node.children.borrow().iter().map(Handle::clone));
    }
    found
}

/// What was written as a message has it: without classes, which belong to the sheet, and with the addresses that were there before.
/// `part` is the address of the part with this Content-ID.
pub(in crate::web) fn as_it_came(html: &str, part: &str, id: &str) -> String {
    let html = html.replace(&format!("src=\"{part}\""), &format!("src=\"cid:{id}\""));
    let mut out = String::new();
    let mut rest = &*html;
    while let Some((before, behind)) = rest.split_once(" href=\"/compose?to=") {
        let (link, behind) = behind.split_once('"').expect("its end");
        out += &format!("{before} href=\"mailto:{}\"", link.replacen("&amp;subject=", "?subject=", 1));
        rest = behind;
    }
    let html = out + rest;
    let (mut out, mut rest) = (String::new(), &*html);
    while let Some((before, behind)) = rest.split_once(" class=\"s") {
        out.push_str(before);
        rest = behind.split_once('"').expect("its end").1;
    }
    out + rest
}

fn judge(name: &QualName, attributes: &[Attribute], part: &str, remote: bool, found: &mut Vec<String>) {
    let local = &*name.local;
    let frame = ["html", "head", "body"].contains(&local);
    let listed = frame || LISTED.split(' ').any(|listed| listed == local);
    if !listed || name.ns != html5ever::ns!(html) {
        found.push(format!("<{local}>"));
    }
    for attribute in attributes {
        let value = &*attribute.value;
        let good = match &*attribute.name.local {
            name @ ("href" | "target" | "rel") => local == "a" && is_of_link(name, value),
            "src" => {
                let images = ["png", "jpeg", "gif", "webp"].map(|kind| format!("data:image/{kind};base64,"));
                local == "img"
                    && (value == part
                        || remote && ["http://", "https://"].iter().any(|start| value.starts_with(start))
                        || images.iter().any(|start| value.starts_with(&**start)))
            }
            "class" => value.strip_prefix('s').is_some_and(|number| number.parse::<usize>().is_ok()),
            "alt" => local == "img",
            "style" | "text" => false,
            name if frame => {
                found.push(format!("{local} {name}"));
                true
            }
            name => LISTED_ATTRIBUTES.split(' ').any(|listed| listed == name),
        };
        if !good {
            found.push(format!("{local} {}={value:?}", &*attribute.name.local));
        }
    }
}

fn is_of_link(name: &str, value: &str) -> bool {
    match name {
        "href" => ["http://", "https://", "/compose?to="].iter().any(|start| value.starts_with(start)),
        "target" => value == "_blank",
        _ => value == "noopener noreferrer nofollow",
    }
}

/// Said once more, so that an element does not come to the list by mistake.
const LISTED: &str = "a abbr acronym address b bdi bdo big blockquote br caption center cite code col colgroup dd del details dfn \
                      dir div dl dt em figcaption figure font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre q rp rt ruby s \
                      samp small span strike strong sub summary sup table tbody td tfoot th thead time tr tt u ul var wbr";

const LISTED_ATTRIBUTES: &str = "title summary face lang dir align valign bgcolor color bordercolor width height border cellpadding \
                                 cellspacing colspan rowspan hspace vspace size start type scope role nowrap clear";
