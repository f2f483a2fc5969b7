//! What is taken from a message that is there already: one that is answered or sent on, or a draft that is written on.

use std::io;
use std::ops::Range;

use bytes::Bytes;
use mail_parser::decoders::html::html_to_text;
use mail_parser::{HeaderName, HeaderValue, Message as Parsed, MessageParser, MimeHeaders as _};
use mailstore::message::Message;
use mailstore::mime::{Encoding, Kind, Part};
use mailstore::search::decode_lossy;

use crate::client::text::listed;
use crate::store::Reader;
use crate::web::flowed::unflow;
use crate::web::mail::letters::one_line;
use crate::web::mail::parts::{Contents, flow};
use crate::writing::parameter;

/// A message, as far as it is taken over.
#[derive(Debug)]
pub(super) struct Original {
    /// Its header, with what this host has put in front of it.
    header: Bytes,
    /// What people read in it, its lines ending in LF.
    pub(super) text: String,
    /// There is more of the text.
    pub(super) cut: bool,
    /// What else is in it.
    pub(super) files: Vec<File>,
}

/// A part that is carried over as it is.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// What it is called.
    pub(super) name: String,
    /// Its octets, about.
    pub(super) size: u64,
    /// What stands above it in the new message.
    pub(super) head: String,
    /// Where its octets lie in the message.
    pub(super) range: Range<u64>,
}

/// Somebody: a name, and an address as it stands there.
pub(super) type Person = (Option<String>, String);

impl Original {
    /// Reads what is wanted of a message, and no more than so many octets of its text; attachments are not read.
    pub(super) async fn read(reader: &Reader, message: &Message, most: u64) -> io::Result<Self> {
        let structure = reader
            .structures(&[message])
            .await
            .pop()
            .unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))?;
        let prefix = message.prefix_size();
        let header = prefix + structure.root().header().end;
        let header = stretch(reader, message, 0..header.min(HEADER)).await?;
        let contents = Contents::bounded(structure.root(), FILES, usize::MAX);
        let others = contents.others();
        let (mut text, mut shortened) = (String::new(), false);
        if let Some(part) = contents.text() {
            let body = part.body();
            let cut = body.end.min(body.start + most);
            let octets = stretch(reader, message, prefix + body.start..prefix + cut).await?;
            text = read_text(part, &octets);
            shortened = cut < body.end;
            if shortened {
                text.push_str("[...]\n");
            }
        }
        if contents.more > 0 || others.len() > FILES {
            // To leave some out without a word would be worse.
            return Err(io::Error::other("it has more files than can be carried over"));
        }
        let mut files = Vec::new();
        for part in others {
            let head = part.header();
            let head = prefix + head.start..prefix + head.end.min(head.start + HEADER);
            files.push(file(part, &stretch(reader, message, head).await?, prefix));
        }
        Ok(Self { header: in_utf8(header), text, cut: shortened, files })
    }

    /// The fields, read.
    pub(super) fn fields(&self) -> Fields<'_> {
        Fields(MessageParser::default().parse_headers(&self.header).unwrap_or_default())
    }
}

/// The fields of a message.
pub(super) struct Fields<'a>(Parsed<'a>);

impl Fields<'_> {
    /// What a field says. Of those that stand there twice the first counts, as on the page of the message: nobody answers to whom they
    /// have not seen.
    fn field(&self, name: HeaderName<'static>) -> Option<&HeaderValue<'_>> {
        self.0.headers().iter().find(|field| field.name == name).map(|field| &field.value)
    }

    /// Who is named in a field.
    pub(super) fn people(&self, name: HeaderName<'static>) -> Vec<Person> {
        self.field(name).and_then(listed).unwrap_or_default()
    }

    /// Whom an answer goes to.
    pub(super) fn answer_to(&self) -> Vec<Person> {
        let asked = self.people(HeaderName::ReplyTo);
        if asked.is_empty() { self.people(HeaderName::From) } else { asked }
    }

    /// The subject.
    pub(super) fn subject(&self) -> String {
        one_line(self.field(HeaderName::Subject).and_then(HeaderValue::as_text).unwrap_or_default())
    }

    /// When it was written, in seconds of Unix.
    pub(super) fn date(&self) -> Option<i64> {
        self.field(HeaderName::Date)
            .and_then(HeaderValue::as_datetime)
            .map(mail_parser::DateTime::to_timestamp)
    }

    /// Its identifier, without brackets.
    pub(super) fn message_id(&self) -> Option<String> {
        self.0.message_id().map(str::to_owned)
    }

    /// What it answers, and what that answers, the oldest first.
    pub(super) fn references(&self) -> Vec<String> {
        let list = |value: &HeaderValue<'_>| match (value.as_text_list(), value.as_text()) {
            (Some(list), _) => list.iter().map(|id| id.to_string()).collect(),
            (None, Some(one)) => vec![one.to_owned()],
            (None, None) => Vec::new(),
        };
        let references: Vec<String> = list(self.0.references());
        // RFC 5322 §3.6.4: In-Reply-To, if it names one message and there are no References.
        if references.is_empty() { list(self.0.in_reply_to()) } else { references }
    }

    /// A field of ours that is text.
    pub(super) fn own(&self, name: &'static str) -> Option<String> {
        self.0.header(HeaderName::Other(name.into())).and_then(|value| value.as_text()).map(one_line)
    }
}

/// The text of a part, as it is read on its page.
fn read_text(part: Part<'_>, octets: &[u8]) -> String {
    let mut plain = Vec::new();
    if let Some(mut decoder) = part.encoding().decoder().or_else(|| Encoding::Identity.decoder()) {
        decoder.push(octets, &mut plain);
        decoder.finish(&mut plain);
    }
    let text = decode_lossy(&part.parameter(b"charset").unwrap_or_default(), &plain);
    let text = if part.is("text", "html") { html_to_text(&text) } else { text };
    let text = text.replace("\r\n", "\n").replace(['\r', '\0'], "\n");
    if part.is("text", "plain") { unflow(&text, flow(part)) } else { text }
}

/// A header in UTF-8: lines that are in nothing that is known are what old programs write.
fn in_utf8(header: Bytes) -> Bytes {
    if str::from_utf8(&header).is_ok() {
        return header;
    }
    let lines = header.split_inclusive(|&octet| octet == b'\n');
    lines.map(|line| decode_lossy(b"", line)).collect::<String>().into()
}

/// What of a part is carried over. Its header is written anew: nothing of it but its type, its name and its encoding belongs here.
fn file(part: Part<'_>, head: &[u8], prefix: u64) -> File {
    let parsed = MessageParser::default().parse(head);
    let name = parsed.as_ref().and_then(|parsed| parsed.attachment_name()).map(one_line).unwrap_or_default();
    let (media, subtype) = part.media();
    let is_message = matches!(part.kind(), Kind::Message(_));
    let kind = match (token(media), token(subtype)) {
        (Some("multipart"), _) | (None, _) | (_, None) => "application/octet-stream".to_owned(),
        (Some(media), Some(subtype)) => format!("{}/{}", media.to_lowercase(), subtype.to_lowercase()),
    };
    let name = match &*name {
        "" if is_message => "message.eml".to_owned(),
        "" => format!(
            "file.{}",
            kind.rsplit('/').next().and_then(|kind| kind.split('+').next()).unwrap_or("bin")
        ),
        name => name.chars().take(200).collect(),
    };
    let mut text = format!("Content-Type: {kind}");
    for (parameter_name, value) in part.parameters().joined().take(20) {
        let known = [&b"charset"[..], b"format", b"delsp", b"method", b"report-type"];
        if let (true, Some(label), Ok(value)) = (
            known.iter().any(|known| parameter_name.eq_ignore_ascii_case(known)),
            token(&parameter_name),
            std::str::from_utf8(&value),
        ) && value.len() < 100
            && token(value.as_bytes()).is_some()
        {
            text.push_str(&parameter(label, value));
        }
    }
    text.push_str(&parameter("name", &name));
    let encoding = part.encoding_name();
    let encoding = token(&encoding).unwrap_or("8bit");
    text.push_str(&format!("\r\nContent-Transfer-Encoding: {encoding}\r\nContent-Disposition: attachment"));
    text.push_str(&parameter("filename", &name));
    text.push_str("\r\n\r\n");
    let body = part.body();
    let octets = body.end - body.start;
    let size =
        if part.encoding() == Encoding::Base64 { octets / 78 * 57 + octets % 78 * 3 / 4 } else { octets };
    File { name, size, head: text, range: prefix + body.start..prefix + body.end }
}

/// A word that may stand in a field without quotes.
fn token(octets: &[u8]) -> Option<&str> {
    let good = |octet: &u8| octet.is_ascii_alphanumeric() || b"-_.+!#$&^".contains(octet);
    let is_one = !octets.is_empty() && octets.len() <= 100 && octets.iter().all(good);
    std::str::from_utf8(octets).ok().filter(|_| is_one)
}

async fn stretch(reader: &Reader, message: &Message, range: Range<u64>) -> io::Result<Bytes> {
    let mut read = reader.read_all(std::iter::once((message, range))).await;
    read.pop().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))
}

/// What a message is, from its octets, for tests.
#[cfg(test)]
pub(super) fn structure(octets: &[u8]) -> mailstore::mime::Structure {
    let mut scanner = mailstore::mime::Scanner::new();
    scanner.push(octets);
    scanner.finish()
}

/// What is read of a header.
const HEADER: u64 = 256 << 10;
/// How many files a message may have.
const FILES: usize = 1_000;

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::web::mail::parts::Text;

    pub(in super::super) fn fields(parsed: Parsed<'_>) -> Fields<'_> {
        Fields(parsed)
    }

    #[test]
    fn of_alternatives_one_is_the_text_and_the_rest_are_files() {
        let message = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\
            Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nplain\r\n--b\r\n\
            Content-Type: multipart/related; boundary=c\r\n\r\n--c\r\nContent-Type: text/html\r\n\r\n<p>html\r\n--c\r\n\
            Content-Type: image/png\r\n\r\nx\r\n--c--\r\n--b--\r\n--a\r\n\
            Content-Type: text/plain; name=notes.txt\r\nContent-Disposition: attachment\r\n\r\nnotes\r\n--a\r\n\
            Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nbody\r\n--a--\r\n";
        let structure = structure(message);
        let contents = Contents::of(structure.root());
        let kind = |part: &Part<'_>| String::from_utf8(part.media().1.to_ascii_lowercase()).unwrap();
        assert_eq!(contents.text().as_ref().map(kind), Some("plain".to_owned()));
        assert!(matches!(&contents.texts[..], [Text::Html(html, Some(_))] if kind(html) == "html"));
        let files = contents.others();
        assert_eq!(files.iter().map(kind).collect::<Vec<_>>(), ["png", "plain", "rfc822"]);
        let part = files[1];
        let head = part.header();
        let head = &message[usize::try_from(head.start).unwrap()..usize::try_from(head.end).unwrap()];
        let file = file(part, head, 0);
        assert_eq!((&*file.name, file.size), ("notes.txt", 5));
        assert_eq!(super::file(files[2], b"\r\n", 0).name, "message.eml");
    }

    #[test]
    fn hostile_headers_of_parts_do_not_get_through() {
        let message = b"Content-Type: multipart/mixed; boundary=a\r\n\r\n--a\r\n\r\ntext\r\n--a\r\n\
            Content-Type: te(x)xt/a;b\"c; charset=\"x\\\"\r\n y\"; name*=utf-8''%0D%0ABcc:%20x@y\r\n\
            Content-Transfer-Encoding: base64\0x\r\nContent-Disposition: attachment; filename=\"a\r\n b\"\r\n\r\nQUJD\r\n--a--\r\n";
        let structure = structure(message);
        let part = structure.parts().nth(2).unwrap();
        let head = part.header();
        let head = &message[usize::try_from(head.start).unwrap()..usize::try_from(head.end).unwrap()];
        let file = file(part, head, 0);
        let lines: Vec<&str> = file.head.split("\r\n").collect();
        assert!(file.head.is_ascii() && file.head.ends_with("\r\n\r\n"), "{}", file.head);
        for line in &lines[..lines.len() - 2] {
            assert!(line.starts_with("Content-") || line.starts_with(' '), "{}", file.head);
            assert!(!line.contains(['\r', '\n', '\0']), "{}", file.head);
        }
        assert!(!file.name.contains(char::is_control), "{:?}", file.name);
    }

    #[test]
    fn html_alone_becomes_text() {
        let head = b"Content-Type: text/html; charset=iso-8859-1\r\n\r\n";
        let body = b"<style>p{}</style><p>Gr\xfc\xdfe<br>an <b>alle</b></p><script>x()</script>";
        let whole = [&head[..], body].concat();
        let structure = structure(&whole);
        let text = read_text(structure.root(), body);
        assert!(text.contains("Grüße") && text.contains("an alle"), "{text:?}");
        assert!(!text.contains("x()") && !text.contains('<'), "{text:?}");
    }
}
