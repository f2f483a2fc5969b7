//! Plain text of messages as markup: quotes, signatures, links, and lines that flow.

use std::borrow::Cow;

use maud::{Markup, PreEscaped, Render, html};

use super::html::{mail, web};
use crate::web::flowed::{self, Flow, SEPARATOR};

/// Lines of one depth of quoting.
#[derive(Debug, Eq, PartialEq)]
struct Paragraph<'a> {
    depth: usize,
    lines: Vec<Cow<'a, str>>,
    signature: bool,
}

/// A text as it is shown.
pub(in crate::web) fn render(text: &str, flow: Flow) -> Markup {
    let paragraphs = paragraphs(text, flow);
    let mut rest = &paragraphs[..];
    let mut out = Vec::new();
    while let Some(first) = rest.first() {
        let quoted = rest.iter().take_while(|paragraph| paragraph.depth > 0).count();
        let (these, behind) = rest.split_at(quoted.max(1));
        rest = behind;
        if quoted == 0 {
            let class = if first.signature { "lines signature" } else { "lines" };
            out.push(html! { div class=(class) { (linked(&first.lines)) } });
            continue;
        }
        let lines: usize = these.iter().map(|paragraph| paragraph.lines.len()).sum();
        // What one has written oneself need not be read again; what stands above the answer to it may.
        out.push(if lines > FOLDED {
            html! { details.quoted { summary { (lines) " quoted lines" } (quote(these, 1)) } }
        } else {
            quote(these, 1)
        });
    }
    html! { @for paragraph in &out { (paragraph) } }
}

/// Quotes within quotes, as deep as it can be seen.
fn quote(paragraphs: &[Paragraph<'_>], depth: usize) -> Markup {
    let mut rest = paragraphs;
    let mut out = Vec::new();
    while let Some(first) = rest.first() {
        let deeper = |paragraph: &Paragraph<'_>| paragraph.depth.min(DEEPEST) > depth;
        let count = rest.iter().take_while(|paragraph| deeper(paragraph)).count();
        let (these, behind) = rest.split_at(count.max(1));
        rest = behind;
        out.push(if count > 0 {
            quote(these, depth + 1)
        } else {
            html! { div.lines { (linked(&first.lines)) } }
        });
    }
    html! { blockquote { @for paragraph in &out { (paragraph) } } }
}

fn paragraphs(text: &str, flow: Flow) -> Vec<Paragraph<'_>> {
    let mut all = Vec::<Paragraph<'_>>::new();
    let mut signature = false;
    for flowed::Line { depth, text } in flowed::lines(text, flow) {
        signature = depth == 0 && (signature || text == SEPARATOR);
        match all.last_mut() {
            Some(last) if last.depth == depth && last.signature == signature => last.lines.push(text),
            _ => all.push(Paragraph { depth, lines: vec![text], signature }),
        }
    }
    all
}

/// Lines with what in them is a link.
fn linked(lines: &[Cow<'_, str>]) -> Markup {
    let mut out = String::new();
    for (number, line) in lines.iter().enumerate() {
        if number > 0 {
            out.push('\n');
        }
        let mut plain = 0;
        let mut at = 0;
        for word in line.split_inclusive(char::is_whitespace) {
            if let Some((start, end, link)) = link(word) {
                line[plain..at + start].render_to(&mut out);
                let text = &word[start..end];
                // An answer is written here, and what is elsewhere is looked at beside.
                let anchor = if link.starts_with('/') {
                    html! { a href=(link) { (text) } }
                } else {
                    html! { a href=(link) target="_blank" rel="noopener noreferrer nofollow" { (text) } }
                };
                out.push_str(&anchor.into_string());
                plain = at + end;
            }
            at += word.len();
        }
        line[plain..].render_to(&mut out);
    }
    PreEscaped(out)
}

/// Where in a word a link begins and ends, and where it leads.
fn link(word: &str) -> Option<(usize, usize, String)> {
    // No address is that long, and what is looked at more than once must not be long.
    if word.len() > LONGEST_WORD || !word.contains(['@', ':']) {
        return None;
    }
    let start = SCHEMES
        .iter()
        .filter_map(|scheme| {
            word.as_bytes().windows(scheme.len()).position(|window| window.eq_ignore_ascii_case(scheme))
        })
        .min();
    if let Some(start) = start {
        let end = word[start..].find(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"'));
        let end = trimmed(word, start, end.map_or(word.len(), |end| start + end));
        let url = &word[start..end];
        return web(url).or_else(|| mail(url)).map(|link| (start, end, link));
    }
    // An address.
    let is_local = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '%' | '+' | '-' | '=');
    let is_host = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-');
    let sign = word.find('@')?;
    let start = word[..sign]
        .rfind(|c: char| !is_local(c))
        .map_or(0, |before| before + word[before..].chars().next().map_or(1, char::len_utf8));
    let end = word[sign + 1..].find(|c: char| !is_host(c)).map_or(word.len(), |end| sign + 1 + end);
    let end = start + word[start..end].trim_end_matches(['.', '-']).len();
    let host = word.get(sign + 1..end)?;
    let good = start < sign && host.contains('.') && !host.starts_with('.');
    good.then(|| (start, end, format!("/compose?to={}", super::html::form(&word[start..end]))))
}

/// Without the marks of the sentence that a link stands in. A bracket is one of them if it was opened in front of the link.
fn trimmed(word: &str, start: usize, mut end: usize) -> usize {
    let count = |c: char| word[start..end].matches(c).count();
    let mut unopened = [('(', ')'), ('[', ']'), ('{', '}')]
        .map(|(open, close)| (close, count(close).saturating_sub(count(open))));
    while let Some(last) = word[start..end].chars().next_back() {
        if let Some((_, left)) = unopened.iter_mut().find(|(close, _)| *close == last) {
            if *left == 0 {
                break;
            }
            *left -= 1;
        } else if !matches!(last, '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '”' | '’' | '»') {
            break;
        }
        end -= last.len_utf8();
    }
    end
}

/// Quotes of more lines than this are folded.
const FOLDED: usize = 8;
/// Quotes within quotes that are shown as such.
const DEEPEST: usize = 6;
/// The longest word that is looked at for a link, in octets.
const LONGEST_WORD: usize = 4 << 10;
const SCHEMES: [&[u8]; 3] = [b"https://", b"http://", b"mailto:"];

#[cfg(test)]
mod tests {
    use super::*;

    const FLOWED: Flow = Flow { flowed: true, deletes_space: false };

    fn shown(text: &str) -> String {
        render(text, Flow::default()).into_string()
    }

    #[test]
    fn lines_flow_as_the_sender_meant_them() {
        let lines = |text: &str, flow| {
            let all = paragraphs(text, flow);
            all.into_iter().map(|paragraph| (paragraph.depth, paragraph.lines.join("|"))).collect::<Vec<_>>()
        };
        let text =
            "One \r\nline. \r\n\r\n>> Said \r\n>> so.\r\n> And \r\nso on.\r\n From\r\n-- \r\nMe \r\nhere";
        assert_eq!(
            lines(text, FLOWED),
            [
                (0, "One line. ".to_owned() + "|"),
                (2, "Said so.".into()),
                (1, "And ".into()),
                (0, "so on.|From".into()),
                (0, "-- |Me here".into())
            ]
            .map(|(depth, text)| (depth, text.replace(". |", ". ")))
        );
        let joined = Flow { flowed: true, deletes_space: true };
        assert_eq!(lines("漢 \r\n字", joined), [(0, "漢字".to_owned())]);
        assert_eq!(lines("a \nb", Flow::default()), [(0, "a |b".to_owned())]);
        assert_eq!(lines("> > a\n>b\n>  c", Flow::default()), [(2, "a".to_owned()), (1, "b| c".to_owned())]);
    }

    #[test]
    fn links_are_found_in_sentences() {
        for (text, link, shown) in [
            ("see https://a.test/x.", "https://a.test/x", "https://a.test/x"),
            ("(http://a.test/(b))", "http://a.test/(b)", "http://a.test/(b)"),
            ("[({http://a.test/})].)", "http://a.test/", "http://a.test/"),
            ("<https://a.test/?b=1&c=2>,", "https://a.test/?b=1&amp;c=2", "https://a.test/?b=1&amp;c=2"),
            ("at:HTTPS://a.test!", "https://a.test", "HTTPS://a.test"),
            ("mailto:a@b.test?subject=x", "/compose?to=a@b.test&amp;subject=x", "mailto:a@b.test?subject=x"),
            ("write <ann.e+x@b-c.test>.", "/compose?to=ann.e%2Bx@b-c.test", "ann.e+x@b-c.test"),
        ] {
            let html = render(text, Flow::default()).into_string();
            assert!(
                html.contains(&format!("<a href=\"{link}\"")) && html.contains(&format!(">{shown}</a>")),
                "{html}"
            );
        }
        for text in [
            "javascript:alert(1)",
            "data:text/html,x",
            "a@b",
            "@b.test",
            "http://",
            "https:///x",
            "x: y",
            "é@b.test",
        ] {
            assert!(!shown(text).contains("<a "), "{text}");
        }
    }

    #[test]
    fn markup_in_a_text_is_text() {
        let html = shown(
            "<script>alert(1)</script> https://a.test/\"onclick=\"x http://a.test/<b>\n> <img>\n-- \n<svg>",
        );
        assert_eq!(
            html.matches('<').count(),
            html.matches("<div ").count() * 2 + html.matches("<a ").count() * 2 + 2
        );
        assert_eq!(super::super::html::judge::strangers_in_text(&html), [""; 0], "{html}");
        assert!(!html.contains("<script") && !html.contains("\"onclick") && !html.contains("<img"), "{html}");
    }

    #[test]
    fn long_quotes_are_folded_and_signatures_are_set_apart() {
        let quote = "> x\n".repeat(9);
        let html = shown(&format!("a\n{quote}b\n-- \nme"));
        assert!(
            html.contains("<details class=\"quoted\"><summary>9 quoted lines</summary><blockquote>"),
            "{html}"
        );
        assert!(html.contains("<div class=\"lines signature\">-- \nme</div>"), "{html}");
        assert!(shown("> x\n> y").starts_with("<blockquote>"));
        // Ever deeper quotes take no more than they are long.
        let deep: String = (1..2_000).map(|depth| ">".repeat(depth) + "\n").collect();
        assert_eq!(shown(&deep).matches("<blockquote>").count(), DEEPEST);
    }
}
