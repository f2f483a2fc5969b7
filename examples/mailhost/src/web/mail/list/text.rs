//! Texts of strangers, made short and harmless enough to stand in a list. What escapes markup is up to the page.

use mailstore::mime::{Address, Part};
use mailstore::search::{decode, decode_lossy};

use crate::web::mail::letters::{is_hidden, words};

/// A text on one line, which takes so many octets of a page at most. What has no business in a line is taken out: control
/// characters, those that turn the direction of what stands behind them, and those that nobody sees.
pub(in crate::web) fn line(text: &str, octets: usize) -> String {
    let (mut out, mut room, mut space) = (String::new(), octets, false);
    for character in text.chars() {
        if character.is_whitespace() || character.is_control() {
            space = true;
            continue;
        }
        if is_hidden(character) {
            continue;
        }
        let gap = std::mem::take(&mut space) && !out.is_empty();
        let takes = written(character) + usize::from(gap);
        if takes > room.saturating_sub(ELLIPSIS.len_utf8()) {
            out.push(ELLIPSIS);
            return out;
        }
        room -= takes;
        if gap {
            out.push(' ');
        }
        out.push(character);
    }
    out
}

/// Who an address belongs to, as a person would say it.
pub(in crate::web) fn name(address: &Address<'_>) -> Option<String> {
    let host = address.host.as_deref()?;
    let named = address.name.as_deref().map(words).filter(|name| !name.trim().is_empty());
    Some(named.unwrap_or_else(|| {
        let mailbox = words(address.mailbox.as_deref().unwrap_or_default());
        if host.is_empty() { mailbox } else { format!("{mailbox}@{}", String::from_utf8_lossy(host)) }
    }))
}

/// The words that a text begins with, from its first octets: without what it quotes, and of HTML without what is markup.
pub(in crate::web) fn beginning(part: Part<'_>, octets: &[u8], whole: bool) -> String {
    let mut plain = Vec::new();
    if let Some(mut decoder) = part.encoding().decoder() {
        decoder.push(octets, &mut plain);
        if whole {
            decoder.finish(&mut plain);
        }
    }
    let charset = part.parameter(b"charset");
    let text = decoded(charset.as_deref().unwrap_or(b"utf-8"), &plain);
    if part.is("text", "html") {
        return line(&without_markup(&text), BEGINNING);
    }
    let own = text.lines().filter(|line| !line.starts_with('>'));
    let own = own.take_while(|line| line.trim_end() != "--");
    line(&own.collect::<Vec<_>>().join(" "), BEGINNING)
}

/// The text may end within a character.
fn decoded(charset: &[u8], octets: &[u8]) -> String {
    let ends = (0..=3.min(octets.len())).map(|less| &octets[..octets.len() - less]);
    let mut texts = ends.filter_map(|octets| decode(charset, octets));
    texts.next().unwrap_or_else(|| decode_lossy(charset, octets))
}

/// The words of a document, roughly: they are shown as text, so nothing of it can do anything.
fn without_markup(html: &str) -> String {
    let (mut out, mut rest) = (String::new(), html);
    while let Some(start) = rest.find('<') {
        out.push_str(&rest[..start]);
        // Words of two paragraphs are two words.
        out.push(' ');
        let tag = &rest[start..];
        let silent = SILENT
            .iter()
            .find(|(open, _)| tag.get(..open.len()).is_some_and(|begins| begins.eq_ignore_ascii_case(open)));
        let end = match silent {
            Some((_, close)) => find_ignoring_case(tag, close),
            None => Some(0),
        };
        let end = end.and_then(|from| Some(from + tag[from..].find('>')? + 1));
        match end {
            Some(end) => rest = &tag[end..],
            None => return entities(&out),
        }
    }
    out.push_str(rest);
    entities(&out)
}

fn find_ignoring_case(text: &str, what: &str) -> Option<usize> {
    text.as_bytes().windows(what.len()).position(|window| window.eq_ignore_ascii_case(what.as_bytes()))
}

/// The few that are common between words.
fn entities(text: &str) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(start) = rest.find('&') {
        out.push_str(&rest[..start]);
        let behind = &rest[start + 1..];
        // No further: there may be very many that are none.
        let named = behind.bytes().take(9).position(|octet| octet == b';').and_then(|end| {
            let name = &behind[..end];
            let character = match name.strip_prefix('#') {
                Some(number) => {
                    let code = match number.strip_prefix(['x', 'X']) {
                        Some(hex) => u32::from_str_radix(hex, 16),
                        None => number.parse(),
                    };
                    char::from_u32(code.ok()?)?
                }
                None => ENTITIES.iter().find(|(known, _)| *known == name)?.1,
            };
            Some((character, &behind[end + 1..]))
        });
        match named {
            Some((character, next)) => {
                // Fillers that keep a preview empty.
                out.extend(Some(character).filter(|character| !FILLERS.contains(character)));
                rest = next;
            }
            None => {
                out.push('&');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out.retain(|character| !FILLERS.contains(&character));
    out
}

/// Octets that a character takes in a page.
const fn written(character: char) -> usize {
    match character {
        '&' => "&amp;".len(),
        '<' | '>' => "&lt;".len(),
        '"' => "&quot;".len(),
        _ => character.len_utf8(),
    }
}

const ELLIPSIS: char = '…';
/// Octets of the words that a text begins with.
pub(in crate::web) const BEGINNING: usize = 300;
/// What is not shown, up to its end.
const SILENT: [(&str, &str); 5] = [
    ("<!--", "-->"),
    ("<style", "</style"),
    ("<script", "</script"),
    ("<title", "</title"),
    ("<head>", "</head"),
];
const ENTITIES: [(&str, char); 8] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("zwnj", '\u{200c}'),
    ("shy", '\u{ad}'),
];
const FILLERS: [char; 6] = ['\u{200b}', '\u{200c}', '\u{34f}', '\u{ad}', '\u{feff}', '\u{2007}'];

#[cfg(test)]
mod tests {
    use mailstore::mime::Scanner;

    use super::*;

    fn of(message: &str) -> String {
        let mut scanner = Scanner::new();
        scanner.push(message.as_bytes());
        let structure = scanner.finish();
        let body = structure.root().body();
        let octets = &message.as_bytes()[usize::try_from(body.start).unwrap()..];
        beginning(structure.root(), octets, true)
    }

    #[test]
    fn a_line_takes_no_more_than_its_room() {
        assert_eq!(line("  a \r\n\t b\0c  ", 100), "a b c");
        assert_eq!(line("abc\u{202e}d\u{200f}ef\u{2066}\u{feff}", 100), "abcdef");
        for text in ["x", "\"", "&", "é", "漢", "😀", "a b"] {
            for room in 3..60 {
                let line = line(&text.repeat(100), room);
                let page = maud::html! { (line) }.into_string();
                assert!(page.len() <= room && page.len() + 12 > room, "{room}: {page}");
                assert!(line.ends_with('…'));
            }
        }
        assert_eq!(line("12345", 8), "12345");
    }

    #[test]
    fn a_text_begins_with_its_own_words() {
        assert_eq!(of("\r\n> quoted\r\nYes,\r\n  we do.\r\n-- \r\nAnna\r\n"), "Yes, we do.");
        assert_eq!(
            of(
                "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=\r\n=DFe"
            ),
            "Grüße"
        );
        assert_eq!(of("Content-Transfer-Encoding: base64\r\n\r\naGVsbG8="), "hello");
        assert_eq!(of("Content-Transfer-Encoding: x-unknown\r\n\r\nhello"), "");
        assert_eq!(of("Content-Type: text/plain; charset=x-unknown\r\n\r\nhello"), "hello");
        assert_eq!(of(""), "");
    }

    #[test]
    fn a_document_begins_with_its_words() {
        let html = |body: &str| of(&format!("Content-Type: text/html; charset=utf-8\r\n\r\n{body}"));
        assert_eq!(
            html(
                "<head><title>no</title><style>p {}</style></head><p>One</p><p>two&nbsp;&amp;&#x20;th&#114;ee"
            ),
            "One two & three"
        );
        assert_eq!(html("<!-- <b>no</b> -->a<STYLE>x</Style >b"), "a b");
        assert_eq!(html("a<b c='"), "a");
        assert_eq!(
            html("&lt;script&gt;alert(1)&lt;/script&gt;"),
            "<script>alert(1)</script>",
            "it is shown as text"
        );
        assert_eq!(
            html("&zwnj;&#8203;\u{200c} x &nosuch; &#xffffffff; & y;"),
            "x &nosuch; &#xffffffff; & y;"
        );
        for hostile in ["<", "<<<", "<!--", "<style", "&", "&;", "&#;", "&#x;", "<İ", "<styleİ"] {
            html(&hostile.repeat(500));
        }
    }

    #[test]
    fn a_text_that_is_cut_within_a_character_is_read_up_to_there() {
        assert_eq!(decoded(b"utf-8", &"aé".as_bytes()[..2]), "a");
        assert_eq!(decoded(b"utf-8", &"a😀".as_bytes()[..4]), "a");
        assert_eq!(decoded(b"utf-8", b"a\xff\xfe\xfd\xfc\xfb"), "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(decoded(b"utf-8", b""), "");
    }
}
