//! Text as people type it, and as it goes over the wire: paragraphs as lines that flow
//! ([RFC 3676](https://www.rfc-editor.org/rfc/rfc3676)), and text of others with marks in front.

use std::borrow::Cow;

/// How the lines of a text are meant.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in crate::web) struct Flow {
    /// Lines that end with a space go on in the next one: [RFC 3676](https://www.rfc-editor.org/rfc/rfc3676).
    pub(in crate::web) flowed: bool,
    /// That space is none of the text.
    pub(in crate::web) deletes_space: bool,
}

/// A line as it is meant.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::web) struct Line<'a> {
    /// How many marks of quoting stand in front of it.
    pub(in crate::web) depth: usize,
    /// What stands behind them.
    pub(in crate::web) text: Cow<'a, str>,
}

/// Lines no longer than [`WIDTH`] where there is a space to break at, parted by LF. [`unflow`] gives the text back, but for white
/// space at the ends of its lines.
pub(in crate::web) fn flow(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 40);
    for line in text.lines() {
        if line == SEPARATOR || line.starts_with('>') {
            // What is quoted keeps its lines.
            out.push_str(if line == SEPARATOR { line } else { line.trim_end() });
            out.push('\n');
            continue;
        }
        let mut rest = line.trim_end();
        loop {
            let (piece, more) = break_at(rest);
            // RFC 3676 §4.4: what would look like a quote, a stuffed line or the beginning of a message in an old mailbox.
            if piece.starts_with([' ', '>']) || piece.starts_with("From ") {
                out.push(' ');
            }
            out.push_str(piece);
            out.push('\n');
            if more.is_empty() {
                break;
            }
            rest = more;
        }
    }
    out
}

/// Lines as they are meant: those that flow are put together, and the marks of quoting in front of them are counted.
pub(in crate::web) fn lines(text: &str, flow: Flow) -> Vec<Line<'_>> {
    let mut all = Vec::<Line<'_>>::new();
    // Whether the last line goes on.
    let mut open = false;
    let text = text.strip_suffix('\n').unwrap_or(text);
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (depth, line) = if flow.flowed { flowed_depth(line) } else { fixed_depth(line) };
        // RFC 3676 §4.3: the line above a signature does not flow.
        let divides = line == SEPARATOR;
        let flows = flow.flowed && line.ends_with(' ') && !divides;
        let line = if flows && flow.deletes_space { &line[..line.len() - 1] } else { line };
        match all.last_mut() {
            // RFC 3676 §4.5: but not into another quote.
            Some(before) if open && before.depth == depth && !divides => before.text.to_mut().push_str(line),
            _ => all.push(Line { depth, text: Cow::Borrowed(line) }),
        }
        open = flows;
    }
    all
}

/// The text that lines were made of by [`flow`], or by somebody else: each of [`lines`] with its marks in front and no space behind.
pub(in crate::web) fn unflow(text: &str, flow: Flow) -> String {
    if text.is_empty() || !flow.flowed {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for Line { depth, text } in lines(text, flow) {
        let text = if text == SEPARATOR { SEPARATOR } else { text.trim_end_matches(' ') };
        out.extend(std::iter::repeat_n('>', depth));
        if depth > 0 && !text.is_empty() {
            out.push(' ');
        }
        out.push_str(text);
        out.push('\n');
    }
    out
}

/// The same text with a mark in front of each line, those that are long in several.
pub(in crate::web) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 20);
    for line in text.trim_start_matches('\n').trim_end().lines() {
        let mut rest = line.trim_end();
        loop {
            let (piece, more) = if rest.starts_with('>') { (rest, "") } else { break_at(rest) };
            out.push('>');
            // RFC 3676 §4.5: no space between two marks.
            if !piece.starts_with('>') && !piece.trim_end().is_empty() {
                out.push(' ');
            }
            out.push_str(piece.trim_end());
            out.push('\n');
            if more.is_empty() {
                break;
            }
            rest = more;
        }
    }
    out
}

/// A piece that is not too long, the space behind it included, and what follows.
fn break_at(line: &str) -> (&str, &str) {
    let mut best = None;
    for (count, (at, character)) in line.char_indices().enumerate() {
        if count >= WIDTH && best.is_some() {
            break;
        }
        let end = at + 1;
        if character == ' ' && end < line.len() && &line[..end] != SEPARATOR && !line[..end].trim().is_empty()
        {
            best = Some(end);
        }
    }
    match best {
        Some(end) if line.chars().count() > WIDTH => line.split_at(end),
        _ => (line, ""),
    }
}

/// RFC 3676 §4.5: marks of quoting stand together, and RFC 3676 §4.4: a space behind them is none of the text.
fn flowed_depth(line: &str) -> (usize, &str) {
    let rest = line.trim_start_matches('>');
    (line.len() - rest.len(), rest.strip_prefix(' ').unwrap_or(rest))
}

/// By habit, with a space behind each or none.
fn fixed_depth(line: &str) -> (usize, &str) {
    let (mut depth, mut rest) = (0, line);
    while let Some(behind) = rest.strip_prefix('>') {
        depth += 1;
        rest = behind.strip_prefix(' ').unwrap_or(behind);
    }
    (depth, rest)
}

/// Characters of a line.
const WIDTH: usize = 72;
/// What parts a signature from what stands above it.
pub(in crate::web) const SEPARATOR: &str = "-- ";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FLOWED: Flow = Flow { flowed: true, deletes_space: false };
    const JOINED: Flow = Flow { flowed: true, deletes_space: true };

    #[test]
    fn paragraphs_flow_and_come_back() {
        let long = "Lorem ipsum ".repeat(30);
        let text =
            format!("Hello,\n\n{}\n  two in front\nFrom here\n> quoted as it is\n-- \nAnna\n", long.trim());
        let flowed = flow(&text);
        assert!(flowed.lines().all(|line| line.chars().count() <= 74), "{flowed}");
        assert!(flowed.contains("\n   two in front\n From here\n> quoted as it is\n-- \nAnna\n"), "{flowed}");
        assert_eq!(unflow(&flowed, FLOWED), text);
    }

    #[test]
    fn text_of_others_is_read_by_its_depth() {
        assert_eq!(unflow("> a \n> b\nc \nd\n", FLOWED), "> a b\nc d\n");
        assert_eq!(unflow("a \n>> b\n", FLOWED), "a\n>> b\n");
        assert_eq!(unflow("ab \ncd\n", JOINED), "abcd\n");
        assert_eq!(unflow("a \n-- \nb \n", FLOWED), "a\n-- \nb\n", "a signature is none of the text");
        assert_eq!(unflow("a \nb", Flow::default()), "a \nb");
    }

    #[test]
    fn quotes_are_marked_without_spaces_between() {
        assert_eq!(quote("a\n\n> b\n>> c\n"), "> a\n>\n>> b\n>>> c\n");
        let quoted = quote(&"word ".repeat(40));
        assert!(quoted.lines().count() == 3 && quoted.lines().all(|line| line.len() <= 74), "{quoted}");
    }

    proptest! {
        #[test]
        fn any_text_comes_back(lines in prop::collection::vec("( |>|-|From |[a-zé]{1,90}){0,30}", 0..8)) {
            let typed: String = lines.iter().map(|line| {
                let line = if line == SEPARATOR { line.as_str() } else { line.trim_end() };
                format!("{line}\n")
            }).collect();
            // What is typed behind a mark is a quote, and comes back as one.
            prop_assume!(typed.lines().all(|line| !line.starts_with('>')));
            prop_assert_eq!(unflow(&flow(&typed), FLOWED), typed);
        }
    }
}
