//! What is written into messages: fields, texts and parameters, for whoever composes one (RFC 5322 and MIME).

use std::io::{self, Write};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smtp_codec::Mailbox;
use thiserror::Error;
use time::OffsetDateTime;

use crate::client::text;
use crate::logs::Safe;

/// Why something cannot stand in a message, in a sentence for whoever has typed it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{0}")]
pub struct Unwritable(pub String);

/// Somebody who writes or is written to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Party {
    /// The name that is shown.
    pub name: Option<String>,
    /// The address.
    pub address: Mailbox<'static>,
}

impl Party {
    /// Reads one or more, as people type them: `Anna Ash <anna@example.test>`.
    pub fn parse_list(typed: &str) -> Result<Vec<Self>, Unwritable> {
        let wrong = || {
            let shown = Safe(typed).to_string();
            Unwritable(format!(
                "{shown:?} is not a mail address; write it as anna@example.test or \"Anna Ash <anna@example.test>\""
            ))
        };
        if typed.chars().any(char::is_control) {
            return Err(wrong());
        }
        let read = text::addresses(typed).ok_or_else(wrong)?;
        read.into_iter()
            .map(|(name, address)| {
                // What was encoded may have held anything, a line end among them.
                let name = name.map(|name| name.replace(char::is_control, " "));
                let name = name.filter(|name| !name.trim().is_empty());
                Ok(Self { name, address: mailbox(&address)? })
            })
            .collect()
    }

    /// Reads one and no more.
    pub fn parse(typed: &str) -> Result<Self, Unwritable> {
        let mut read = Self::parse_list(typed)?;
        match (read.pop(), read.is_empty()) {
            (Some(party), true) => Ok(party),
            _ => Err(Unwritable(format!("one address is wanted here, not {:?}", Safe(typed).to_string()))),
        }
    }
}

/// An address.
pub fn mailbox(address: &str) -> Result<Mailbox<'static>, Unwritable> {
    if address.len() > LONGEST_ADDRESS {
        return Err(Unwritable(format!(
            "an address has at most {LONGEST_ADDRESS} letters, and this one {}",
            address.len()
        )));
    }
    Mailbox::parse(address).map(Mailbox::into_owned).map_err(|_| {
        let shown = Safe(address).to_string();
        Unwritable(if address.is_ascii() {
            format!("{shown:?} is not a mail address; write it as anna@example.test")
        } else {
            // Escaped already: once more, and nobody could read it.
            format!("\"{shown}\" has letters beyond ASCII, which addresses cannot have here")
        })
    })
}

/// Fields in the making.
#[derive(Clone, Debug, Default)]
pub struct Header(String);

impl Header {
    /// The fields.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// A field whose value is short and ASCII.
    pub fn raw(&mut self, name: &str, value: &str) {
        self.words(name, [value.to_owned()]);
    }

    /// A field of people; none if there are none.
    pub fn parties(&mut self, name: &str, parties: &[Party]) {
        let mut words = Vec::new();
        for (at, party) in parties.iter().enumerate() {
            let comma = if at + 1 < parties.len() { "," } else { "" };
            let address = party.address.as_str();
            match &party.name {
                None => words.push(format!("{address}{comma}")),
                Some(name) => {
                    words.extend(phrase(name));
                    words.push(format!("<{address}>{comma}"));
                }
            }
        }
        if !words.is_empty() {
            self.words(name, words);
        }
    }

    /// A field of free text.
    pub fn text(&mut self, name: &str, value: &str) -> Result<(), Unwritable> {
        if value.chars().any(char::is_control) {
            let why = format!("the {} has a control character or a line end", name.to_lowercase());
            return Err(Unwritable(why));
        }
        let value = value.trim();
        let plain = value.is_ascii() && !value.contains("=?") && value.split(' ').all(|word| word.len() < 70);
        if plain {
            // Two spaces stay two: the second one belongs to the word behind it.
            let mut words = Vec::<String>::new();
            let mut spaces = String::new();
            for word in value.split(' ') {
                if word.is_empty() {
                    spaces.push(' ');
                } else {
                    words.push(std::mem::take(&mut spaces) + word);
                }
            }
            self.words(name, words);
        } else {
            self.words(name, encoded_words(value));
        }
        Ok(())
    }

    /// The words with a space between, folded before they make a line longer than 76 (RFC 5322 §2.1.1).
    pub fn words(&mut self, name: &str, words: impl IntoIterator<Item = String>) {
        self.0.push_str(name);
        self.0.push(':');
        let mut length = name.len() + 1;
        for word in words {
            if length + 1 + word.len() > 76 && length > name.len() + 1 {
                self.0.push_str("\r\n");
                length = 0;
            }
            self.0.push(' ');
            self.0.push_str(&word);
            length += 1 + word.len();
        }
        self.0.push_str("\r\n");
    }
}

/// A name in front of an address: as it is, in quotes, or encoded.
fn phrase(name: &str) -> Vec<String> {
    let plain = name.bytes().all(|octet| matches!(octet, b' '..=b'~'));
    if !plain || name.contains("=?") || name.len() > 60 {
        return encoded_words(name);
    }
    if name.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b' ') {
        return name.split_ascii_whitespace().map(str::to_owned).collect();
    }
    vec![quoted(name)]
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Encoded words of at most 75 characters, none of which cuts a character
/// ([RFC 2047 §2](https://www.rfc-editor.org/rfc/rfc2047#section-2)).
fn encoded_words(text: &str) -> Vec<String> {
    let (mut words, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let (piece, more) = rest.split_at(rest.floor_char_boundary(ENCODED));
        words.push(format!("=?utf-8?B?{}?=", STANDARD.encode(piece)));
        rest = more;
    }
    words
}

/// A parameter with what parts it from the one before, on a line of its own.
///
/// ASCII goes in quotes, all else as [RFC 2231](https://www.rfc-editor.org/rfc/rfc2231) has it, in pieces if it is long.
pub fn parameter(name: &str, value: &str) -> String {
    if value.len() <= 60 && value.bytes().all(|octet| (b' '..=b'~').contains(&octet)) {
        return format!(";\r\n {name}={}", quoted(value));
    }
    let encoded: Vec<String> = value
        .bytes()
        .map(|octet| match octet {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'.' | b'-' | b'_' => char::from(octet).to_string(),
            _ => format!("%{octet:02X}"),
        })
        .collect();
    let mut pieces = vec![String::from("utf-8''")];
    for octet in encoded {
        if pieces.last().is_some_and(|piece| piece.len() + octet.len() > 55) {
            pieces.push(String::new());
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push_str(&octet);
        }
    }
    if let [whole] = &pieces[..] {
        return format!(";\r\n {name}*={whole}");
    }
    (0..).zip(&pieces).map(|(number, piece)| format!(";\r\n {name}*{number}*={piece}")).collect()
}

/// The header of a part with a file in it, in base64.
pub fn attachment(media_type: &str, name: &str) -> String {
    let mut head = format!("Content-Type: {media_type}");
    // No RFC has this parameter any more, but old programs look for the name here. Not as encoded words, as some write it:
    // RFC 2047 §5 forbids them within quotes.
    head.push_str(&parameter("name", name));
    head.push_str("\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment");
    head.push_str(&parameter("filename", name));
    head.push_str("\r\n\r\n");
    head
}

/// A part of text, header included: as it is if that is possible, or else quoted-printable. `parameters` are more of its type, with
/// what parts them from the one before.
pub fn write_text(kind: &str, parameters: &str, text: &str, out: &mut impl Write) -> io::Result<()> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.split_inclusive('\n').map(|line| line.strip_suffix('\n').unwrap_or(line));
    let lines: Vec<&str> = lines.map(|line| line.strip_suffix('\r').unwrap_or(line)).collect();
    let plain =
        |line: &&str| line.len() <= 998 && line.bytes().all(|octet| matches!(octet, b'\t' | b' '..=b'~'));
    let (charset, encoding) = match lines.iter().all(plain) {
        true => ("us-ascii", "7bit"),
        false => ("utf-8", "quoted-printable"),
    };
    write!(
        out,
        "Content-Type: text/{kind}; charset={charset}{parameters}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    )?;
    for line in lines {
        if encoding == "7bit" {
            out.write_all(line.as_bytes())?;
        } else {
            out.write_all(quoted_printable(line).as_bytes())?;
        }
        out.write_all(b"\r\n")?;
    }
    Ok(())
}

/// One line, with soft ends where it would be longer than 76
/// ([RFC 2045 §6.7](https://www.rfc-editor.org/rfc/rfc2045#section-6.7)).
fn quoted_printable(line: &str) -> String {
    let (mut out, mut length) = (String::new(), 0);
    let last = line.len().saturating_sub(1);
    for (at, octet) in line.bytes().enumerate() {
        let literal = match octet {
            // White space at the end of a line gets lost.
            b' ' | b'\t' => at < last,
            b'=' => false,
            octet => octet.is_ascii_graphic(),
        };
        let width = if literal { 1 } else { 3 };
        if length + width > 75 {
            out.push_str("=\r\n");
            length = 0;
        }
        if literal {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("={octet:02X}"));
        }
        length += width;
    }
    out
}

/// By the ending of the name.
pub fn media_type(path: &Path) -> &'static str {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    // Not message/rfc822: RFC 2046 §5.2.1 forbids base64 for it, and a message goes through as it is only in base64.
    MEDIA_TYPES.iter().find(|(name, _)| *name == ending).map_or("application/octet-stream", |(_, kind)| kind)
}

/// RFC 5322 §3.3, in UTC: nobody needs to know where the writer is.
pub fn date(now: OffsetDateTime) -> String {
    let now = now.to_offset(time::UtcOffset::UTC);
    let (day, month) = (now.weekday().to_string(), now.month().to_string());
    let (hour, minute, second) = now.to_hms();
    format!(
        "{}, {} {} {:04} {hour:02}:{minute:02}:{second:02} +0000",
        &day[..3],
        now.day(),
        &month[..3],
        now.year()
    )
}

/// In angle brackets, whether it was typed so or not.
pub fn message_id(typed: &str) -> Result<String, Unwritable> {
    let id = typed.trim().trim_start_matches('<').trim_end_matches('>');
    let plain = !id.is_empty()
        && id.len() < 200
        && id.bytes().all(|octet| octet.is_ascii_graphic() && !matches!(octet, b'<' | b'>'));
    if plain && id.contains('@') {
        Ok(format!("<{id}>"))
    } else {
        let shown = Safe(typed).to_string();
        Err(Unwritable(format!("{shown:?} is no Message-ID; they look like <1234@example.test>")))
    }
}

/// Octets of an address: RFC 5321 §4.5.3.1.3 has 256 for a path, which stands in brackets.
const LONGEST_ADDRESS: usize = 254;
/// Octets of an encoded word: with the name of any field here it makes a line of less than 76.
const ENCODED: usize = 39;
/// Octets of a line of base64: 76 characters.
pub const LINE: usize = 57;
const MEDIA_TYPES: [(&str, &str); 44] = [
    ("7z", "application/x-7z-compressed"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("bz2", "application/x-bzip2"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("diff", "text/x-diff"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("epub", "application/epub+zip"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("gz", "application/gzip"),
    ("heic", "image/heic"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ics", "text/calendar"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("json", "application/json"),
    ("log", "text/plain"),
    ("m4a", "audio/mp4"),
    ("md", "text/markdown"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("odp", "application/vnd.oasis.opendocument.presentation"),
    ("ods", "application/vnd.oasis.opendocument.spreadsheet"),
    ("odt", "application/vnd.oasis.opendocument.text"),
    ("ogg", "audio/ogg"),
    ("patch", "text/x-diff"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    ("rtf", "application/rtf"),
    ("svg", "image/svg+xml"),
    ("tar", "application/x-tar"),
    ("txt", "text/plain"),
    ("vcf", "text/vcard"),
    ("wav", "audio/x-wav"),
    ("webp", "image/webp"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("xml", "application/xml"),
    ("zip", "application/zip"),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, value: &str) -> String {
        let mut header = Header::default();
        header.text(name, value).unwrap();
        header.0
    }

    #[test]
    fn subjects_are_folded_and_encoded() {
        assert_eq!(field("Subject", "hello  world"), "Subject: hello  world\r\n");
        let long = "word ".repeat(40);
        let folded = field("Subject", &long);
        assert!(folded.lines().all(|line| line.len() <= 76), "{folded}");
        assert_eq!(folded.replace("\r\n", ""), format!("Subject: {}", long.trim()));
        let encoded = field("Subject", &"Grüße ".repeat(30));
        assert!(encoded.is_ascii() && encoded.lines().all(|line| line.len() <= 76), "{encoded}");
        let value = encoded.strip_prefix("Subject:").unwrap();
        assert_eq!(text::unstructured(value.as_bytes()), "Grüße ".repeat(30).trim());
        assert!(field("Subject", "=?utf-8?Q?a?=").contains("?B?"));
        assert!(field("Subject", &"x".repeat(2_000)).lines().all(|line| line.len() <= 76));
        for smuggled in ["a\r\nBcc: b@c", "a\nb", "a\rb", "a\0b", "a\u{85}b"] {
            assert!(Header::default().text("Subject", smuggled).is_err());
        }
    }

    #[test]
    fn names_are_quoted_where_they_have_to_be() {
        let shown = |typed: &str| {
            let mut header = Header::default();
            header.parties("To", &Party::parse_list(typed).unwrap());
            header.0
        };
        assert_eq!(shown("a@b.test"), "To: a@b.test\r\n");
        assert_eq!(shown("Anna Ash <a@b.test>, c@d.test"), "To: Anna Ash <a@b.test>, c@d.test\r\n");
        assert_eq!(shown("\"Ash, Anna (x)\" <a@b.test>"), "To: \"Ash, Anna (x)\" <a@b.test>\r\n");
        assert_eq!(shown("Änne <a@b.test>"), "To: =?utf-8?B?w4RubmU=?= <a@b.test>\r\n");
        for wrong in ["anna", "", "a@b.test\r\nBcc: c@d.test", "a@", "ä@b.test"] {
            assert!(Party::parse_list(wrong).is_err(), "{wrong}");
        }
        assert!(Party::parse("a@b.test, c@d.test").is_err());
        // Decoded, and written anew, it was a field of its own.
        for encoded in ["=?utf-8?Q?a=0D=0ABcc:_b@c.test,?=", "\"=?utf-8?B?YQ0KQmNjOiBiQGMudGVzdCw=?=\""] {
            let field = shown(&format!("{encoded} <a@b.test>"));
            assert_eq!(field.matches(['\r', '\n']).count(), 2, "{field}");
        }
        let mut header = Header::default();
        header.parties(
            "To",
            &[Party { name: Some("a\r\nBcc: b".to_owned()), address: mailbox("a@b.test").unwrap() }],
        );
        assert_eq!(header.0.matches(['\r', '\n']).count(), 2, "{}", header.0);
        // One that is longer would make a line that is longer than lines may be.
        let long = |octets: usize| format!("{}@b.test", "a".repeat(octets - 7));
        assert!(Party::parse(&long(254)).is_ok() && Party::parse(&long(255)).is_err());
    }

    #[test]
    fn parameters_are_encoded_in_pieces() {
        assert_eq!(parameter("filename", "a \"b\".txt"), ";\r\n filename=\"a \\\"b\\\".txt\"");
        assert_eq!(parameter("filename", "ä.txt"), ";\r\n filename*=utf-8''%C3%A4.txt");
        let long = parameter("filename", &"ä".repeat(30));
        assert!(
            long.contains(";\r\n filename*0*=utf-8''%C3%A4") && long.contains(";\r\n filename*3*="),
            "{long}"
        );
        assert!(long.lines().all(|line| line.len() <= 78), "{long}");
        assert!(!parameter("filename", "a\r\nb\0").contains('\0'));
    }

    #[test]
    fn quoted_printable_lines_are_short_and_keep_their_white_space() {
        assert_eq!(quoted_printable("a=b "), "a=3Db=20");
        assert_eq!(quoted_printable("é\tb"), "=C3=A9\tb");
        let long = quoted_printable(&"é".repeat(100));
        assert!(long.split("\r\n").all(|line| line.len() <= 76), "{long}");
        assert_eq!(long.replace("=\r\n", ""), "=C3=A9".repeat(100));
    }

    #[test]
    fn identifiers_of_messages_are_put_in_brackets() {
        assert_eq!(message_id("a@b").unwrap(), "<a@b>");
        assert_eq!(message_id(" <a@b> ").unwrap(), "<a@b>");
        for wrong in ["", "a", "<a@b> <c@d>", "a@b\r\nBcc: x"] {
            assert!(message_id(wrong).is_err());
        }
    }

    #[test]
    fn dates_are_those_of_mail() {
        assert_eq!(date(OffsetDateTime::UNIX_EPOCH), "Thu, 1 Jan 1970 00:00:00 +0000");
    }
}
