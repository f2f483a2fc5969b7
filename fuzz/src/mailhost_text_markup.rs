//! Plain text of messages as markup: all of it is seen, as a slow and obvious reading has its lines, and a browser finds nothing in
//! it but quotes, lines and links. What is written here flows as it is read.

use mailstore::mime::Scanner;
use maud::html;

use super::flowed::{Flow, flow, lines, quote, unflow};
use super::mail::judge::strangers_in_text;
use super::mail::letters::is_hidden;
use super::mail::list::text::{BEGINNING, beginning};
use super::mail::text::render;
use crate::common::{choose, is_linear};

/// `data` chooses how the lines are meant; then there is a text.
pub fn run(data: &[u8]) {
    let ([how], rest) = choose::<1>(data);
    let meant = Flow { flowed: how & 1 > 0, deletes_space: how & 2 > 0 };
    let text = &*String::from_utf8_lossy(rest);
    shown(text, meant);
    listed(text);
    written(&text.replace('\r', "\n"));
    is_linear(text, |text| drop(render(text, meant)));
    is_linear(text, |text| drop(unflow(text, meant)));
    is_linear(text, |text| drop((flow(text), quote(text))));
}

fn shown(text: &str, meant: Flow) {
    let read = lines(text, meant);
    let obvious = obvious(text, meant);
    assert!(
        read.iter()
            .map(|line| (line.depth, &*line.text))
            .eq(obvious.iter().map(|(depth, text)| (*depth, &**text)))
    );
    let html = render(text, meant).into_string();
    // The shortest quote is one mark and a line end.
    assert!(html.len() <= 32 * text.len() + 200, "{} of {}", html.len(), text.len());
    // A browser's way to build a tree takes hours for what is made for it.
    if html.len() <= JUDGED {
        let found = strangers_in_text(&html);
        assert!(found.is_empty(), "{html}\nhas {found:?}");
    }
    let all: String = obvious.into_iter().map(|(_, text)| text).collect();
    assert_eq!(seen(&html), all, "{html}");
}

/// Its first words, as they stand in a list: on one line, which takes so much room and no more.
fn listed(text: &str) {
    for kind in ["plain", "html"] {
        let mut scanner = Scanner::new();
        scanner.push(format!("Content-Type: text/{kind}; charset=utf-8\r\n\r\n").as_bytes());
        let structure = scanner.finish();
        let words = |text: &str| beginning(structure.root(), text.as_bytes(), true);
        let first = words(text);
        let written = html! { (first) }.into_string();
        assert!(written.len() <= BEGINNING && !first.contains(is_hidden), "{first:?}");
        assert!(!first.contains("  ") && first.trim() == first, "{first:?}");
        is_linear(text, |text| drop(words(text)));
    }
}

/// What a person sees, without line ends.
fn seen(html: &str) -> String {
    let (mut out, mut rest) = (String::new(), html);
    while let Some((before, behind)) = rest.split_once('<') {
        out.push_str(before);
        // What it says there is ours.
        let end = if behind.starts_with("summary>") { "</summary>" } else { ">" };
        rest = behind.split_once(end).expect("its end").1;
    }
    out.push_str(rest);
    let named = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&amp;", "&")];
    named.into_iter().fold(out.replace('\n', ""), |text, (name, character)| text.replace(name, character))
}

/// The lines that are meant, each with the depth of its quote.
fn obvious(text: &str, meant: Flow) -> Vec<(usize, String)> {
    let mut all: Vec<(usize, String)> = Vec::new();
    let mut goes_on = false;
    let mut physical: Vec<&str> = text.split('\n').collect();
    if physical.len() > 1 && physical.last().is_some_and(|last| last.is_empty()) {
        physical.pop();
    }
    for line in physical {
        let mut rest: Vec<char> = line.strip_suffix('\r').unwrap_or(line).chars().collect();
        let mut depth = 0;
        while rest.first() == Some(&'>') {
            rest.remove(0);
            depth += 1;
            if !meant.flowed && rest.first() == Some(&' ') {
                rest.remove(0);
            }
        }
        if meant.flowed && rest.first() == Some(&' ') {
            rest.remove(0);
        }
        let mut line: String = rest.into_iter().collect();
        let is_separator = line == "-- ";
        let before = std::mem::replace(&mut goes_on, meant.flowed && line.ends_with(' ') && !is_separator);
        if goes_on && meant.deletes_space {
            line.pop();
        }
        match all.last_mut() {
            Some((same, text)) if before && *same == depth && !is_separator => text.push_str(&line),
            _ => all.push((depth, line)),
        }
    }
    all
}

/// `text` is typed, and goes over the wire.
fn written(text: &str) {
    let wire = flow(text);
    assert!(wire.len() <= 2 * text.len() + 2, "{} of {}", wire.len(), text.len());
    let meant = Flow { flowed: true, deletes_space: false };
    let back = unflow(&wire, meant);
    // What is typed behind a mark is a quote, and comes back as one, with a space behind its marks.
    let typed: Vec<&str> =
        text.lines().map(|line| if line == "-- " { line } else { line.trim_end() }).collect();
    for (typed, back) in typed.iter().zip(back.lines()) {
        assert!(typed == &back || typed.starts_with('>') && back.starts_with('>'), "{typed:?} is {back:?}");
    }
    assert_eq!(typed.len(), back.lines().count(), "{text:?}");
    assert_eq!(unflow(&flow(&back), meant), back, "it stays what it is");
    // A line is longer only where there is no space to break it at.
    for line in wire.lines().filter(|line| line.chars().count() > 74 && !line.starts_with('>')) {
        assert!(!line.trim().trim_start_matches("-- ").contains(' '), "{line:?}");
    }
    let quoted = quote(text);
    assert!(quoted.lines().all(|line| line.starts_with('>') && !line.ends_with(' ')), "{quoted:?}");
    let words = |text: &str| text.chars().filter(|c| *c != '>' && !c.is_whitespace()).collect::<String>();
    assert_eq!(words(&quoted), words(text));
}

/// Octets that a browser reads in no time, whatever they are.
const JUDGED: usize = 16 << 10;
