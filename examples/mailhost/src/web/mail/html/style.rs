//! What a `style` attribute may say: a list of properties, and a grammar of values that can load nothing.

use std::fmt::Write as _;

/// The declarations that may stay, written anew. Everything else is left out, declaration by declaration.
pub(super) fn filter(style: &str) -> String {
    let mut out = String::new();
    for declaration in declarations(style) {
        let Some((property, value)) = declaration.split_once(':') else { continue };
        add(&mut out, property, value);
    }
    out
}

/// Adds a declaration, if it may stay.
pub(super) fn add(out: &mut String, property: &str, value: &str) {
    let property = property.trim().to_ascii_lowercase();
    if PROPERTIES.binary_search(&&*property).is_ok()
        && let Some(value) = written(value, matches!(&*property, "font-family" | "font"))
    {
        // Nothing to write to can be full.
        let _ = write!(out, "{property}:{value};");
    }
}

/// The declarations: what stands between semicolons that are in no quotes and no brackets.
fn declarations(style: &str) -> impl Iterator<Item = &str> {
    let (mut quote, mut depth) = (None, 0_u32);
    style.split(move |c: char| {
        match (quote, c) {
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if c == open => quote = None,
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, ';') if depth == 0 => return true,
            _ => {}
        }
        false
    })
}

/// A value made of keywords, numbers, colours, and names of fonts where there may be some; `None` if there is anything else in it.
fn written(value: &str, fonts: bool) -> Option<String> {
    let mut out = String::new();
    let mut rest = value.trim();
    if let Some(at) = rest.rfind('!')
        && rest[at + 1..].trim().eq_ignore_ascii_case("important")
    {
        rest = rest[..at].trim_end();
    }
    while let Some(first) = rest.chars().next() {
        if out.len() > LONGEST {
            return None;
        }
        let space = rest.starts_with(|c: char| c.is_ascii_whitespace());
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace());
        if space {
            out.push(' ');
            continue;
        }
        let length = match first {
            ',' | '/' => 1,
            '#' => {
                let length = rest[1..].find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(rest.len() - 1);
                if !matches!(length, 3 | 4 | 6 | 8) {
                    return None;
                }
                length + 1
            }
            '"' | '\'' if fonts => {
                let (name, behind) = rest[1..].split_once(first)?;
                if !name.chars().all(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_' | '.')) {
                    return None;
                }
                let _ = write!(out, "\"{name}\"");
                rest = behind;
                continue;
            }
            '0'..='9' | '.' | '+' | '-' | 'a'..='z' | 'A'..='Z' => {
                let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '%' | '-' | '+');
                let length = rest.find(|c: char| !word(c)).unwrap_or(rest.len());
                if rest[length..].starts_with('(') { function(rest, length)? } else { length }
            }
            _ => return None,
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    (!out.is_empty()).then_some(out)
}

/// How long the function at the beginning is, if it is a colour made of numbers.
fn function(text: &str, name: usize) -> Option<usize> {
    if !["rgb", "rgba", "hsl", "hsla"].iter().any(|known| text[..name].eq_ignore_ascii_case(known)) {
        return None;
    }
    let close = text.find(')')?;
    let numbers = |c: char| {
        c.is_ascii_digit() || matches!(c, ' ' | ',' | '.' | '%' | '/' | '-') || matches!(c, 'd' | 'e' | 'g')
    };
    text[name + 1..close].chars().all(numbers).then_some(close + 1)
}

/// The longest value.
const LONGEST: usize = 512;

/// The properties, in the order of their names. Not among them: what takes a place of its own on the page, what loads, what moves,
/// and what writes text.
const PROPERTIES: [&str; 84] = [
    "background",
    "background-color",
    "border",
    "border-bottom",
    "border-bottom-color",
    "border-bottom-left-radius",
    "border-bottom-right-radius",
    "border-bottom-style",
    "border-bottom-width",
    "border-collapse",
    "border-color",
    "border-left",
    "border-left-color",
    "border-left-style",
    "border-left-width",
    "border-radius",
    "border-right",
    "border-right-color",
    "border-right-style",
    "border-right-width",
    "border-spacing",
    "border-style",
    "border-top",
    "border-top-color",
    "border-top-left-radius",
    "border-top-right-radius",
    "border-top-style",
    "border-top-width",
    "border-width",
    "box-sizing",
    "caption-side",
    "clear",
    "color",
    "direction",
    "display",
    "empty-cells",
    "float",
    "font",
    "font-family",
    "font-size",
    "font-stretch",
    "font-style",
    "font-variant",
    "font-weight",
    "height",
    "letter-spacing",
    "line-break",
    "line-height",
    "list-style",
    "list-style-position",
    "list-style-type",
    "margin",
    "margin-bottom",
    "margin-left",
    "margin-right",
    "margin-top",
    "max-height",
    "max-width",
    "min-height",
    "min-width",
    "opacity",
    "overflow",
    "overflow-wrap",
    "padding",
    "padding-bottom",
    "padding-left",
    "padding-right",
    "padding-top",
    "table-layout",
    "text-align",
    "text-decoration",
    "text-decoration-color",
    "text-decoration-line",
    "text-indent",
    "text-overflow",
    "text-transform",
    "unicode-bidi",
    "vertical-align",
    "visibility",
    "white-space",
    "width",
    "word-break",
    "word-spacing",
    "word-wrap",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_in_order() {
        assert!(PROPERTIES.is_sorted());
    }

    #[test]
    fn what_mail_needs_stays() {
        for (style, kept) in [
            ("color: red", "color:red;"),
            ("COLOR:#Ff0000;", "color:#Ff0000;"),
            (" margin : 0 auto ;padding:1px 2px 3.5em -4%", "margin:0 auto;padding:1px 2px 3.5em -4%;"),
            ("font-family:'Segoe UI', Arial,sans-serif", "font-family:\"Segoe UI\", Arial,sans-serif;"),
            ("font:12px/1.5 \"A\"", "font:12px/1.5 \"A\";"),
            ("color:rgb(1, 2,3)!important; x", "color:rgb(1, 2,3);"),
            ("background:rgba(0,0,0,.5)", "background:rgba(0,0,0,.5);"),
            ("color:red;;;width:10px", "color:red;width:10px;"),
        ] {
            assert_eq!(filter(style), kept, "{style}");
        }
    }

    #[test]
    fn what_loads_covers_or_runs_is_left_out() {
        for style in [
            "background:url(http://a.test/x)",
            "background: #fff url('x')",
            "background:u\\72l(x)",
            "background:ur/**/l(x)",
            "background-image:url(x)",
            "background:image-set('x' 1x)",
            "background:URL(x)",
            "list-style:url(x)",
            "list-style-image:url(x)",
            "width:expression(alert(1))",
            "width:calc(1px)",
            "color:var(--x)",
            "--x:1",
            "position:fixed",
            "position:absolute;top:0;z-index:9",
            "behavior:url(x)",
            "-moz-binding:url(x)",
            "content:'x'",
            "animation:x 1s",
            "transition:all 1s",
            "transform:scale(9)",
            "filter:url(#x)",
            "cursor:url(x),auto",
            "color:red}*{color:blue",
            "color:red</style>",
            "font-family:'</style><script>'",
            "font-family:'a\\'b'",
            "color:\"red\"",
            "color:#12345",
            "color:@import",
            "pos\\69tion:fixed",
            "color:rgb(url(x))",
            "color",
            ":red",
            "color:",
            "\u{130}color:red",
        ] {
            assert_eq!(filter(style), "", "{style}");
        }
        assert_eq!(filter("color:'x;width:1px"), "");
        assert_eq!(filter("background:url(x;y);color:red"), "color:red;");
        assert_eq!(filter(&format!("margin:{}", "1 ".repeat(9_999))), "");
    }
}
