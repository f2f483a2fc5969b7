//! Text as people type it, and as it goes over the wire: paragraphs as lines that flow
//! ([RFC 3676](https://www.rfc-editor.org/rfc/rfc3676)), and text of others with marks in front.

/// Lines no longer than [`WIDTH`] where there is a space to break at, parted by LF. [`unflow`] gives the text back, but for white
/// space at the ends of its lines.
pub(super) fn flow(text: &str) -> String {
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

/// The text that lines were made of by [`flow`], or by somebody else. `join` is DelSp: the space at the end of a line that goes on
/// was put there for that alone.
pub(super) fn unflow(text: &str, join: bool) -> String {
    let mut out = String::with_capacity(text.len());
    // How deep the paragraph is quoted that the last line belongs to, if it goes on.
    let mut open = None;
    for line in text.lines() {
        let depth = line.bytes().take_while(|octet| *octet == b'>').count();
        let content = &line[depth..];
        let content = content.strip_prefix(' ').unwrap_or(content);
        let goes_on = content.ends_with(' ') && content != SEPARATOR;
        if open != Some(depth) {
            if open.is_some() {
                out.push('\n');
            }
            if depth > 0 {
                out.extend(std::iter::repeat_n('>', depth));
                out.push(' ');
            }
        }
        out.push_str(if goes_on && join { &content[..content.len() - 1] } else { content });
        open = goes_on.then_some(depth);
        if !goes_on {
            let kept = if content == SEPARATOR { out.len() } else { out.trim_end_matches(' ').len() };
            out.truncate(kept);
            out.push('\n');
        }
    }
    out
}

/// The same text with a mark in front of each line, those that are long in several.
pub(super) fn quote(text: &str) -> String {
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

/// Characters of a line.
const WIDTH: usize = 72;
/// What parts a signature from what stands above it.
const SEPARATOR: &str = "-- ";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paragraphs_flow_and_come_back() {
        let long = "Lorem ipsum ".repeat(30);
        let text =
            format!("Hello,\n\n{}\n  two in front\nFrom here\n> quoted as it is\n-- \nAnna\n", long.trim());
        let flowed = flow(&text);
        assert!(flowed.lines().all(|line| line.chars().count() <= 74), "{flowed}");
        assert!(flowed.contains("\n   two in front\n From here\n> quoted as it is\n-- \nAnna\n"), "{flowed}");
        assert_eq!(unflow(&flowed, false), text);
    }

    #[test]
    fn text_of_others_is_read_by_its_depth() {
        assert_eq!(unflow("> a \n> b\nc \nd\n", false), "> a b\nc d\n");
        assert_eq!(unflow("a \n>> b\n", false), "a \n>> b\n");
        assert_eq!(unflow("ab \ncd\n", true), "abcd\n");
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
            prop_assert_eq!(unflow(&flow(&typed), false), typed);
        }
    }
}
