//! What servers and messages say, as it may stand on a terminal.

use std::fmt;

use mail_parser::{HeaderValue, MessageParser};

/// Text of others in a line of ours. Letters of all scripts are left as they are; what could steer a terminal, end the line,
/// turn its direction or hide is escaped.
#[derive(Clone, Copy, Debug)]
pub struct Printable<T>(pub T);

impl<T: AsRef<str>> fmt::Display for Printable<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        for c in self.0.as_ref().chars() {
            if is_harmless(c) {
                f.write_char(c)?;
            } else {
                write!(f, "{}", c.escape_unicode())?;
            }
        }
        Ok(())
    }
}

fn is_harmless(c: char) -> bool {
    // Cc; Zl, Zp; the format characters of Cf, and what draws nothing; private use, whose looks nobody knows.
    !c.is_control()
        && !matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{600}'..='\u{605}'
                | '\u{61c}'
                | '\u{6dd}'
                | '\u{70f}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{e000}'..='\u{f8ff}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{10ffff}'
        )
}

/// Text of exactly so many characters: cut, or filled up with spaces. It is made printable first.
pub fn fit(text: &str, width: usize) -> String {
    let text = Printable(text).to_string();
    let count = text.chars().count();
    if count <= width {
        return text + &" ".repeat(width - count);
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

/// Octets as people count them: `812`, `3.4K`, `51M`.
pub fn size(octets: u64) -> String {
    let (mut number, mut unit) = (octets as f64, "");
    for next in ["K", "M", "G", "T"] {
        if number < 999.5 {
            break;
        }
        (number, unit) = (number / 1024.0, next);
    }
    match unit {
        "" => octets.to_string(),
        _ if number < 9.95 => format!("{number:.1}{unit}"),
        _ => format!("{number:.0}{unit}"),
    }
}

/// The subject that stands behind `Subject:`, its encoded words decoded ([RFC 2047](https://www.rfc-editor.org/rfc/rfc2047)).
pub fn unstructured(octets: &[u8]) -> String {
    let field = [b"Subject: ", &one_line(octets)[..], b"\r\n\r\n"].concat();
    let message = MessageParser::new().header_text(mail_parser::HeaderName::Subject).parse_headers(&field);
    message.as_ref().and_then(|message| message.subject()).unwrap_or_default().to_owned()
}

/// The fields of a header that a list shows.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Summary {
    /// The name of the first of From, or else the address.
    pub from: String,
    /// The subject.
    pub subject: String,
    /// The Date field, as day and time in the zone of its sender.
    pub date: String,
}

impl Summary {
    /// Reads a header.
    pub fn of(header: &[u8]) -> Self {
        let Some(message) = MessageParser::default().parse_headers(header) else { return Self::default() };
        let from = message.from().and_then(|from| from.first()).and_then(|from| {
            from.name.as_deref().filter(|name| !name.trim().is_empty()).or(from.address.as_deref())
        });
        let date = message.date().map(|date| {
            format!("{:04}-{:02}-{:02} {:02}:{:02}", date.year, date.month, date.day, date.hour, date.minute)
        });
        Self {
            from: from.unwrap_or_default().to_owned(),
            subject: message.subject().unwrap_or_default().to_owned(),
            date: date.unwrap_or_default(),
        }
    }
}

/// The addresses of a list as people type it, `Anna Ash <anna@example.test>, ben@example.test`: each with the name that goes
/// with it. `None` if there is none, or it is no list.
pub fn addresses(text: &str) -> Option<Vec<(Option<String>, String)>> {
    let field = [b"To: ", &one_line(text.as_bytes())[..], b"\r\n\r\n"].concat();
    let message = MessageParser::default().parse_headers(&field)?;
    let found: Vec<_> =
        message.headers().iter().filter_map(|header| listed(&header.value)).flatten().collect();
    (!found.is_empty()).then_some(found)
}

/// The addresses that the value of a field holds.
pub fn listed(value: &HeaderValue<'_>) -> Option<Vec<(Option<String>, String)>> {
    let HeaderValue::Address(list) = value else { return None };
    let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
    Some(list.iter().filter_map(|one| Some((owned(&one.name), owned(&one.address)?))).collect())
}

fn one_line(octets: &[u8]) -> Vec<u8> {
    octets.iter().map(|octet| if matches!(octet, b'\r' | b'\n' | 0) { b' ' } else { *octet }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_steers_a_terminal() {
        let hostile = "\u{1b}[2J\r\nß日本 \u{9b}31m\u{202e}\u{200b}\u{7}\u{feff}é";
        let shown = Printable(hostile).to_string();
        assert_eq!(shown, "\\u{1b}[2J\\u{d}\\u{a}ß日本 \\u{9b}31m\\u{202e}\\u{200b}\\u{7}\\u{feff}é");
        assert!(!fit(hostile, 5).contains(char::is_control));
    }

    #[test]
    fn columns_have_their_width() {
        assert_eq!(fit("ab", 4), "ab  ");
        assert_eq!(fit("abcde", 4), "abc…");
        assert_eq!(fit("äöü", 3), "äöü");
    }

    #[test]
    fn sizes_are_short() {
        let sizes = [(0, "0"), (999, "999"), (1000, "1.0K"), (10_240, "10K"), (52_428_800, "50M")];
        for (octets, text) in sizes {
            assert_eq!(size(octets), text);
        }
    }

    #[test]
    fn encoded_words_are_decoded() {
        assert_eq!(unstructured(b"=?utf-8?Q?Gr=C3=BC=C3=9Fe?= an =?iso-8859-1?B?4Q==?="), "Grüße an á");
        assert_eq!(unstructured(b"plain"), "plain");
        assert_eq!(unstructured(b"a\r\nBcc: x"), "a  Bcc: x");
        let summary = Summary::of(
            b"From: =?utf-8?B?w4RubmE=?= <anna@example.test>\r\nDate: Mon, 2 Mar 2026 10:11:12 +0100\r\n\
              Subject: =?utf-8?B?w6k=?=\r\n\r\n",
        );
        let expected =
            Summary { from: "Änna".into(), subject: "é".into(), date: "2026-03-02 10:11".into() };
        assert_eq!(summary, expected);
    }

    #[test]
    fn typed_addresses_are_read() {
        let read = addresses("Anna Ash <anna@example.test>, ben@example.test").unwrap();
        assert_eq!(
            read,
            [
                (Some("Anna Ash".to_owned()), "anna@example.test".to_owned()),
                (None, "ben@example.test".to_owned())
            ]
        );
        assert_eq!(addresses("\"Ash, Anna\" <a@b.test>").unwrap().len(), 1);
    }
}
