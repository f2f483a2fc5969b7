//! Writing a message from its parts: RFC 5322 and MIME.
//!
//! Attachments go through in pieces; texts are in memory.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use smtp_codec::Mailbox;
use time::OffsetDateTime;

use super::message::{Missing, mailbox};
use super::{ClientError, text};
use crate::logs::Safe;

/// Somebody who writes or is written to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Party {
    /// The name that is shown.
    pub name: Option<String>,
    /// The address.
    pub address: Mailbox<'static>,
}

/// The parts of a message.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Who writes.
    pub from: Party,
    /// To whom.
    pub to: Vec<Party>,
    /// Who gets a copy.
    pub cc: Vec<Party>,
    /// Whom answers go to, if not to the writer.
    pub reply_to: Option<Party>,
    /// What it is about.
    pub subject: Option<String>,
    /// The Message-ID of what it answers.
    pub in_reply_to: Option<String>,
    /// What people read.
    pub text: Option<String>,
    /// The same in HTML.
    pub html: Option<String>,
    /// Files that go along.
    pub attachments: Vec<PathBuf>,
}

impl Party {
    /// Reads one or more, as people type them: `Anna Ash <anna@example.test>`.
    pub fn parse_list(typed: &str) -> Result<Vec<Self>, ClientError> {
        let wrong = || {
            let shown = Safe(typed).to_string();
            ClientError::Unsendable(format!(
                "{shown:?} is not a mail address; write it as anna@example.test or \"Anna Ash <anna@example.test>\""
            ))
        };
        if typed.chars().any(char::is_control) {
            return Err(wrong());
        }
        let read = text::addresses(typed).ok_or_else(wrong)?;
        read.into_iter()
            .map(|(name, address)| {
                let name = name.filter(|name| !name.trim().is_empty());
                Ok(Self { name, address: mailbox(&address)? })
            })
            .collect()
    }

    /// Reads one and no more.
    pub fn parse(typed: &str) -> Result<Self, ClientError> {
        let mut read = Self::parse_list(typed)?;
        match (read.pop(), read.is_empty()) {
            (Some(party), true) => Ok(party),
            _ => Err(ClientError::Unsendable(format!(
                "one address is wanted here, not {:?}",
                Safe(typed).to_string()
            ))),
        }
    }
}

impl Missing {
    /// The time, and an identifier that nobody else has, in the domain of the writer.
    pub fn new(domain: &str, now: OffsetDateTime) -> Result<Self, ClientError> {
        let unique = random_hex()?;
        Ok(Self { date: date(now), message_id: format!("<{unique}@{domain}>") })
    }
}

impl Draft {
    /// Writes the message, its lines ending in CRLF.
    pub fn write(&self, missing: &Missing, out: &mut impl Write) -> Result<(), ClientError> {
        let mut header = Header::default();
        header.raw("Date", &missing.date);
        header.parties("From", std::slice::from_ref(&self.from));
        header.parties("To", &self.to);
        header.parties("Cc", &self.cc);
        header.parties("Reply-To", self.reply_to.as_slice());
        if let Some(subject) = &self.subject {
            header.text("Subject", subject)?;
        }
        header.raw("Message-ID", &missing.message_id);
        if let Some(id) = &self.in_reply_to {
            let id = message_id(id)?;
            // RFC 5322 §3.6.4: with the References of what is answered, if they were known.
            header.raw("In-Reply-To", &id);
            header.raw("References", &id);
        }
        header.raw("MIME-Version", "1.0");
        let boundary = format!("=_{}", random_hex()?);
        let written = |error| ClientError::File { what: "the message cannot be written".to_owned(), error };
        out.write_all(header.0.as_bytes()).map_err(written)?;
        if self.attachments.is_empty() {
            return self.write_texts(&format!("{boundary}_a"), out).map_err(written);
        }
        write!(out, "Content-Type: multipart/mixed;\r\n boundary=\"{boundary}\"\r\n\r\n--{boundary}\r\n")
            .map_err(written)?;
        self.write_texts(&format!("{boundary}_a"), out).map_err(written)?;
        for path in &self.attachments {
            write!(out, "\r\n--{boundary}\r\n").map_err(written)?;
            attach(path, out)?;
        }
        write!(out, "\r\n--{boundary}--\r\n").map_err(written)
    }

    /// The texts as one part, header included.
    fn write_texts(&self, boundary: &str, out: &mut impl Write) -> io::Result<()> {
        match (&self.text, &self.html) {
            (Some(text), Some(html)) => {
                write!(out, "Content-Type: multipart/alternative;\r\n boundary=\"{boundary}\"\r\n\r\n")?;
                write!(out, "--{boundary}\r\n")?;
                write_text("plain", text, out)?;
                write!(out, "\r\n--{boundary}\r\n")?;
                write_text("html", html, out)?;
                write!(out, "\r\n--{boundary}--\r\n")
            }
            (None, Some(html)) => write_text("html", html, out),
            (text, None) => write_text("plain", text.as_deref().unwrap_or_default(), out),
        }
    }
}

/// Fields in the making.
#[derive(Default)]
struct Header(String);

impl Header {
    /// A field whose value is short and ASCII.
    fn raw(&mut self, name: &str, value: &str) {
        self.words(name, [value.to_owned()]);
    }

    fn parties(&mut self, name: &str, parties: &[Party]) {
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
    fn text(&mut self, name: &str, value: &str) -> Result<(), ClientError> {
        if value.chars().any(char::is_control) {
            let why = format!("the {} has a control character or a line end", name.to_lowercase());
            return Err(ClientError::Unsendable(why));
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
    fn words(&mut self, name: &str, words: impl IntoIterator<Item = String>) {
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
    if !name.is_ascii() || name.contains("=?") || name.len() > 60 {
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
fn parameter(name: &str, value: &str) -> String {
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

/// A part of text, header included: as it is if that is possible, or else quoted-printable.
fn write_text(kind: &str, text: &str, out: &mut impl Write) -> io::Result<()> {
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
        "Content-Type: text/{kind}; charset={charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
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

/// A file as a part, in base64.
fn attach(path: &Path, out: &mut impl Write) -> Result<(), ClientError> {
    let unreadable =
        |error| ClientError::File { what: format!("cannot attach {}", Safe(path.display())), error };
    let mut file = File::open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut head = format!("Content-Type: {}", media_type(path));
    // No RFC has this parameter any more, but old programs look for the name here. Not as encoded words, as some write it:
    // RFC 2047 §5 forbids them within quotes.
    head.push_str(&parameter("name", &name));
    head.push_str("\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment");
    head.push_str(&parameter("filename", &name));
    head.push_str("\r\n\r\n");
    let written = |error| ClientError::File { what: "the message cannot be written".to_owned(), error };
    out.write_all(head.as_bytes()).map_err(written)?;
    let mut piece = vec![0; LINE * 1_024];
    loop {
        // A piece is filled, or base64 would end within the file.
        let mut filled = 0;
        while filled < piece.len() {
            match file.read(&mut piece[filled..]).map_err(unreadable)? {
                0 => break,
                count => filled += count,
            }
        }
        for line in piece[..filled].chunks(LINE) {
            write!(out, "{}\r\n", STANDARD.encode(line)).map_err(written)?;
        }
        if filled < piece.len() {
            return Ok(());
        }
    }
}

/// By the ending of the name.
fn media_type(path: &Path) -> &'static str {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    // Not message/rfc822: RFC 2046 §5.2.1 forbids base64 for it, and a message goes through as it is only in base64.
    MEDIA_TYPES.iter().find(|(name, _)| *name == ending).map_or("application/octet-stream", |(_, kind)| kind)
}

/// RFC 5322 §3.3, in UTC: nobody needs to know where the writer is.
fn date(now: OffsetDateTime) -> String {
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
fn message_id(typed: &str) -> Result<String, ClientError> {
    let id = typed.trim().trim_start_matches('<').trim_end_matches('>');
    let plain = !id.is_empty()
        && id.len() < 200
        && id.bytes().all(|octet| octet.is_ascii_graphic() && !matches!(octet, b'<' | b'>'));
    if plain && id.contains('@') {
        Ok(format!("<{id}>"))
    } else {
        let shown = Safe(typed).to_string();
        Err(ClientError::Unsendable(format!(
            "{shown:?} is no Message-ID; they look like <1234@example.test>"
        )))
    }
}

fn random_hex() -> Result<String, ClientError> {
    let mut random = [0; 12];
    let fill = getrandom::fill(&mut random);
    fill.map_err(|error| ClientError::Unsendable(format!("the system gives no random octets: {error}")))?;
    Ok(random.iter().map(|octet| format!("{octet:02x}")).collect())
}

/// Octets of an encoded word: with the name of any field here it makes a line of less than 76.
const ENCODED: usize = 39;
/// Octets of a line of base64: 76 characters.
const LINE: usize = 57;
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
