//! What of a message is its text, what is attached to it, and how either is read: from where it lies, and no more than is shown.

use std::io;

use mailstore::message::Message;
use mailstore::mime::{Encoding, Kind, Part};
use mailstore::search;

use super::html::LONGEST;
use super::letters::words;
use crate::store::Reader;
use crate::web::flowed::Flow;

/// A message, sorted for who reads it.
#[derive(Debug, Default)]
pub(in crate::web) struct Contents<'a> {
    /// Its texts, in their order.
    pub(in crate::web) texts: Vec<Text<'a>>,
    /// What is attached.
    pub(in crate::web) attached: Vec<Part<'a>>,
    /// What belongs to a text in HTML, which may show it: mostly images.
    pub(in crate::web) related: Vec<Part<'a>>,
    pub(in crate::web) protection: Option<Protection>,
    /// Parts that are in none of these lists, since they are full.
    pub(in crate::web) more: usize,
    /// How long a list may be.
    most: usize,
    /// The number of the part that is not looked at any more, nor are those behind it.
    end: usize,
}

/// A text of a message.
#[derive(Clone, Copy, Debug)]
pub(in crate::web) enum Text<'a> {
    Plain(Part<'a>),
    /// With the same in plain text, if there is one.
    Html(Part<'a>, Option<Part<'a>>),
}

/// What was done to a message so that others cannot read or change it. None of it is checked here.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::web) enum Protection {
    Signed,
    Encrypted,
}

impl<'a> Contents<'a> {
    /// Those of a message, or of one within it.
    pub(in crate::web) fn of(root: Part<'a>) -> Self {
        Self::bounded(root, MOST, usize::MAX)
    }

    /// The same with so many parts in a list, of the parts of a message up to this number.
    pub(in crate::web) fn bounded(root: Part<'a>, most: usize, end: usize) -> Self {
        let mut contents = Self { most, end, ..Self::default() };
        contents.add(root);
        contents
    }

    /// The one to read where there is room for one text, and none for its looks: the first, in plain text if it comes so.
    pub(in crate::web) fn text(&self) -> Option<Part<'a>> {
        self.texts.first().map(|text| match text {
            Text::Plain(part) | Text::Html(part, None) | Text::Html(_, Some(part)) => *part,
        })
    }

    /// What is left beside that one text, in the order of the message.
    pub(in crate::web) fn others(&self) -> Vec<Part<'a>> {
        let texts = self.texts.iter().skip(1).map(|text| match text {
            Text::Plain(part) | Text::Html(part, _) => part,
        });
        let mut all: Vec<Part<'a>> = texts.chain(&self.attached).chain(&self.related).copied().collect();
        all.sort_by_key(|part| part.index());
        all
    }

    /// As deep as the scanner goes, which is not deep enough to fill a stack.
    fn add(&mut self, part: Part<'a>) {
        match part.kind() {
            Kind::Multipart if part.is("multipart", "alternative") => self.add_best(part),
            Kind::Multipart if part.is("multipart", "related") => self.add_related(part),
            // RFC 1847 §2: what is signed comes first, or all of it is for who has the key.
            Kind::Multipart if part.is("multipart", "signed") => {
                self.protection = self.protection.or(Some(Protection::Signed));
                for (number, part) in within(part, self.end).enumerate() {
                    if number == 0 { self.add(part) } else { self.attach(part) }
                }
            }
            Kind::Multipart if part.is("multipart", "encrypted") => {
                self.protection = Some(Protection::Encrypted);
                within(part, self.end).for_each(|part| self.attach(part));
            }
            Kind::Multipart => within(part, self.end).for_each(|part| self.add(part)),
            Kind::Leaf if is_html(part) => self.show(Text::Html(part, None)),
            Kind::Leaf if is_plain(part) => self.show(Text::Plain(part)),
            Kind::Leaf | Kind::Message(_) => {
                if ["pkcs7-mime", "x-pkcs7-mime"].iter().any(|subtype| part.is("application", subtype)) {
                    let signed =
                        part.parameter(b"smime-type").is_some_and(|kind| kind.starts_with(b"signed"));
                    self.protection = Some(if signed { Protection::Signed } else { Protection::Encrypted });
                }
                self.attach(part);
            }
        }
    }

    /// The same in several forms: HTML if it is among them, since that is what the sender has seen.
    fn add_best(&mut self, part: Part<'a>) {
        let end = self.end;
        let html = within(part, end).filter(|part| has(*part, end, is_html)).last();
        let plain = within(part, end).find(|part| is_plain(*part));
        let chosen = html.or(plain).or_else(|| within(part, end).last());
        let before = self.texts.len();
        for form in within(part, end) {
            match chosen {
                Some(chosen) if chosen.index() == form.index() => self.add(form),
                _ => self.attach_other(form),
            }
        }
        if let Some(Text::Html(_, same)) = self.texts.get_mut(before) {
            *same = same.or(plain);
        }
    }

    /// What another form of the same has beside texts. RFC 2046 §5.1.4: an invitation is the same for a calendar.
    fn attach_other(&mut self, form: Part<'a>) {
        match form.kind() {
            Kind::Multipart => within(form, self.end).for_each(|part| self.attach_other(part)),
            Kind::Leaf if is_text(form) => {}
            Kind::Leaf | Kind::Message(_) => self.attach(form),
        }
    }

    fn add_related(&mut self, part: Part<'a>) {
        let end = self.end;
        let has_text = |part: &Part<'a>| has(*part, end, is_text);
        let start = part.parameter(b"start");
        let names = |part: &Part<'_>| {
            start.as_deref().is_some_and(|start| part.id().is_some_and(|id| bare(id) == bare(start)))
        };
        // RFC 2387 §3.2: the one that is named, or else the first; but not an image of which a text is made.
        let root =
            within(part, end).find(names).filter(has_text).or_else(|| within(part, end).find(has_text));
        let Some(root) = root.or_else(|| within(part, end).next()) else { return };
        self.add(root);
        for part in within(part, end).filter(|part| part.index() != root.index()) {
            match part.id() {
                Some(_) if self.related.len() < self.most && matches!(part.kind(), Kind::Leaf) => {
                    self.related.push(part)
                }
                _ => self.attach(part),
            }
        }
    }

    fn show(&mut self, text: Text<'a>) {
        if self.texts.len() < MOST_TEXTS {
            return self.texts.push(text);
        }
        let (Text::Plain(part) | Text::Html(part, _)) = text;
        self.attach(part);
    }

    fn attach(&mut self, part: Part<'a>) {
        match part.kind() {
            Kind::Multipart => within(part, self.end).for_each(|part| self.attach(part)),
            _ if self.attached.len() < self.most => self.attached.push(part),
            _ => self.more += 1,
        }
    }
}

/// A Content-ID as the address of an image names it.
pub(in crate::web) fn content_id(id: &[u8]) -> String {
    String::from_utf8_lossy(bare(id)).into_owned()
}

/// The type of an image that is nothing but an image, as it is told to a browser.
pub(in crate::web) fn safe_image(part: Part<'_>) -> Option<&'static str> {
    if !matches!(part.kind(), Kind::Leaf) {
        return None;
    }
    IMAGES
        .into_iter()
        .find(|known| known.strip_prefix("image/").is_some_and(|subtype| part.is("image", subtype)))
}

/// Whether it is shown as it is, and not attached.
fn is_text(part: Part<'_>) -> bool {
    is_plain(part) || is_html(part)
}

fn is_plain(part: Part<'_>) -> bool {
    part.is("text", "plain") && matches!(part.kind(), Kind::Leaf) && !is_file(part)
}

fn is_html(part: Part<'_>) -> bool {
    part.is("text", "html") && matches!(part.kind(), Kind::Leaf) && !is_file(part)
}

fn is_file(part: Part<'_>) -> bool {
    let disposed = part.disposition().is_some_and(|(word, parameters)| {
        word.eq_ignore_ascii_case(b"attachment") || parameters.get(b"filename").is_some()
    });
    disposed || part.parameter(b"name").is_some()
}

/// Whether it is such a part, or has one in it.
fn has(part: Part<'_>, end: usize, is: fn(Part<'_>) -> bool) -> bool {
    is(part) || within(part, end).any(|part| has(part, end, is))
}

/// The parts of a part, as far as they are looked at.
fn within(part: Part<'_>, end: usize) -> impl Iterator<Item = Part<'_>> {
    part.parts().take_while(move |part| part.index() < end)
}

fn bare(id: &[u8]) -> &[u8] {
    let id = id.trim_ascii();
    id.strip_prefix(b"<").and_then(|id| id.strip_suffix(b">")).unwrap_or(id)
}

/// Reads the text of a part: no more than [`LONGEST`] octets of it, and whether that was all.
pub(in crate::web) async fn read_text(
    reader: &Reader,
    message: &Message,
    part: Part<'_>,
) -> io::Result<(String, bool)> {
    let (octets, whole) = read(reader, message, part, LONGEST).await?;
    Ok((search::decode_lossy(&part.parameter(b"charset").unwrap_or_default(), &octets), whole))
}

/// Reads what a part stands for: no more than so many octets of it, and whether that was all.
pub(in crate::web) async fn read(
    reader: &Reader,
    message: &Message,
    part: Part<'_>,
    most: usize,
) -> io::Result<(Vec<u8>, bool)> {
    let mut slices = Slices::of(message, part);
    let mut octets = Vec::new();
    while let Some(()) = slices.next(reader, message, &mut octets).await? {
        if octets.len() > most {
            octets.truncate(most);
            return Ok((octets, false));
        }
    }
    Ok((octets, true))
}

/// What a part stands for, slice by slice.
#[derive(Debug)]
pub(in crate::web) struct Slices {
    at: u64,
    end: u64,
    decoder: Option<mailstore::mime::Decoder>,
}

impl Slices {
    /// Those of a part. One within a message is never encoded as a whole; an encoding that is not known is left as it is.
    pub(in crate::web) fn of(message: &Message, part: Part<'_>) -> Self {
        let body = part.body();
        let encoding = if matches!(part.kind(), Kind::Leaf) { part.encoding() } else { Encoding::Identity };
        Self {
            at: body.start + message.prefix_size(),
            end: body.end + message.prefix_size(),
            decoder: encoding.decoder().or_else(|| Encoding::Identity.decoder()),
        }
    }

    /// Those of a message as it lies in the store, whatever it is.
    pub(in crate::web) fn source(message: &Message) -> Self {
        Self { at: 0, end: message.size(), decoder: Encoding::Identity.decoder() }
    }

    /// Adds what the next slice stands for; `None` if there is no more.
    pub(in crate::web) async fn next(
        &mut self,
        reader: &Reader,
        message: &Message,
        out: &mut Vec<u8>,
    ) -> io::Result<Option<()>> {
        let Some(decoder) = &mut self.decoder else { return Ok(None) };
        if self.at < self.end {
            let slice = reader.read_within(message, self.at..self.end).await?;
            if slice.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.at += slice.len() as u64;
            decoder.push(&slice, out);
        } else {
            decoder.finish(out);
            self.decoder = None;
        }
        Ok(Some(()))
    }
}

/// How the lines of a plain text are meant: RFC 3676 §4.
pub(in crate::web) fn flow(part: Part<'_>) -> Flow {
    let says = |name: &[u8], value: &[u8]| {
        part.parameter(name).is_some_and(|said| said.trim_ascii().eq_ignore_ascii_case(value))
    };
    Flow { flowed: says(b"format", b"flowed"), deletes_space: says(b"delsp", b"yes") }
}

/// About how many octets a part stands for.
pub(in crate::web) fn size(part: Part<'_>) -> u64 {
    let body = part.body();
    let octets = body.end - body.start;
    match part.encoding() {
        Encoding::Base64 => octets.saturating_sub(2 * part.lines()) / 4 * 3,
        _ => octets,
    }
}

/// What a part would be called as a file: what the sender says, without what a file's name may not have.
pub(in crate::web) fn file_name(part: Part<'_>) -> String {
    let said = part.disposition().and_then(|(_, parameters)| parameters.get(b"filename"));
    let said = said.or_else(|| part.parameter(b"name"));
    if let Some(said) = said {
        let name = safe_name(&words(&said));
        if !name.is_empty() {
            return name;
        }
    }
    if let Some(message) = part.message() {
        let subject =
            message.envelope().and_then(|envelope| envelope.subject()).map(words).unwrap_or_default();
        let name = safe_name(&subject.replace(['/', '\\'], "-"));
        return format!("{}.eml", if name.is_empty() { "message" } else { &name });
    }
    let known = EXTENSIONS.iter().find(|(media, subtype, _)| part.is(media, subtype));
    format!("attachment.{}", known.map_or("bin", |(_, _, extension)| extension))
}

/// No path, nothing that makes it look like another, and not too long; what tells the kind of a file stays.
fn safe_name(name: &str) -> String {
    let name = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let name: String = name
        .chars()
        .map(|c| if matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*') { '_' } else { c })
        .collect();
    let name = name.trim_matches(|c: char| c.is_whitespace() || c == '.');
    if name.chars().count() <= LONGEST_NAME {
        return name.to_owned();
    }
    let (stem, extension) =
        name.rsplit_once('.').filter(|(_, extension)| extension.len() <= 10).unwrap_or((name, ""));
    let room = LONGEST_NAME.saturating_sub(extension.len() + 1);
    let stem: String = stem.chars().take(room).collect();
    if extension.is_empty() { stem } else { format!("{stem}.{extension}") }
}

/// The most of attachments, and of what belongs to a text, that is listed.
const MOST: usize = 200;
/// The most texts that are shown one below the other.
const MOST_TEXTS: usize = 20;
/// The longest name of a file, in characters.
const LONGEST_NAME: usize = 120;

const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

const EXTENSIONS: [(&str, &str, &str); 12] = [
    ("text", "plain", "txt"),
    ("text", "html", "html"),
    ("text", "calendar", "ics"),
    ("text", "csv", "csv"),
    ("image", "png", "png"),
    ("image", "jpeg", "jpg"),
    ("image", "gif", "gif"),
    ("image", "webp", "webp"),
    ("application", "pdf", "pdf"),
    ("application", "pgp-signature", "asc"),
    ("message", "delivery-status", "txt"),
    ("text", "rfc822-headers", "txt"),
];

#[cfg(test)]
mod tests {
    use mailstore::mime::{Scanner, Structure};

    use super::*;

    fn scan(message: &str) -> Structure {
        let mut scanner = Scanner::new();
        scanner.push(message.replace('\n', "\r\n").as_bytes());
        scanner.finish()
    }

    /// Types of the texts, of what is attached, and of what belongs to a text.
    fn sorted(message: &str) -> (String, String, String) {
        let structure = scan(message);
        let contents = Contents::of(structure.root());
        let subtype = |part: &Part<'_>| String::from_utf8_lossy(part.media().1).to_ascii_lowercase();
        let text = |text: &Text<'_>| match text {
            Text::Plain(part) => subtype(part),
            Text::Html(part, None) => subtype(part),
            Text::Html(part, Some(plain)) => format!("{}|{}", subtype(part), subtype(plain)),
        };
        let texts: Vec<_> = contents.texts.iter().map(text).collect();
        let list = |parts: &[Part<'_>]| parts.iter().map(subtype).collect::<Vec<_>>().join(" ");
        (texts.join(" "), list(&contents.attached), list(&contents.related))
    }

    fn multipart(subtype: &str, parts: &[&str]) -> String {
        let boundary = format!("{subtype}-{}", parts.concat().len());
        let parts: String = parts.iter().map(|part| format!("--{boundary}\n{part}\n")).collect();
        format!("Content-Type: multipart/{subtype}; boundary=\"{boundary}\"\n\n{parts}--{boundary}--\n")
    }

    const PLAIN: &str = "Content-Type: text/plain\n\nx";
    const HTML: &str = "Content-Type: text/html\n\nx";
    const PNG: &str = "Content-Type: image/png\nContent-ID: <1@a>\n\nx";
    const PDF: &str = "Content-Type: application/pdf; name=a.pdf\n\nx";

    #[test]
    fn texts_and_attachments_are_told_apart() {
        let expected = |texts: &str, attached: &str, related: &str| {
            (texts.to_owned(), attached.to_owned(), related.to_owned())
        };
        for (message, sort) in [
            ("Subject: x\n\ny".to_owned(), expected("plain", "", "")),
            (HTML.to_owned(), expected("html", "", "")),
            (multipart("alternative", &[PLAIN, HTML]), expected("html|plain", "", "")),
            (multipart("alternative", &[PLAIN]), expected("plain", "", "")),
            (
                multipart("alternative", &[PLAIN, &multipart("related", &[HTML, PNG])]),
                expected("html|plain", "", "png"),
            ),
            (
                multipart("related", &[&multipart("alternative", &[PLAIN, HTML]), PNG]),
                expected("html|plain", "", "png"),
            ),
            (multipart("related", &[PNG, HTML]), expected("html", "", "png")),
            (
                multipart("mixed", &[&multipart("alternative", &[PLAIN, HTML]), PDF, PLAIN]),
                expected("html|plain plain", "pdf", ""),
            ),
            (
                multipart("alternative", &[PLAIN, HTML, "Content-Type: text/calendar\n\nx"]),
                expected("html|plain", "calendar", ""),
            ),
            (
                multipart(
                    "mixed",
                    &[PLAIN, "Content-Type: text/plain\nContent-Disposition: attachment\n\nx"],
                ),
                expected("plain", "plain", ""),
            ),
            (
                multipart("mixed", &[PLAIN, "Content-Type: text/html; name=a.html\n\nx"]),
                expected("plain", "html", ""),
            ),
            (
                multipart("mixed", &[PLAIN, "Content-Type: message/rfc822\n\nSubject: y\n\nz"]),
                expected("plain", "rfc822", ""),
            ),
            (
                multipart("signed", &[PLAIN, "Content-Type: application/pgp-signature\n\nx"]),
                expected("plain", "pgp-signature", ""),
            ),
            (
                multipart("encrypted", &["Content-Type: application/pgp-encrypted\n\nx", PDF]),
                expected("", "pgp-encrypted pdf", ""),
            ),
            (multipart("mixed", &[PNG, PDF]), expected("", "png pdf", "")),
            // A file that is in one form alone is not lost with that form.
            (
                multipart("alternative", &[&multipart("mixed", &[PLAIN, PDF, PLAIN]), HTML]),
                expected("html", "pdf", ""),
            ),
        ] {
            assert_eq!(sorted(&message), sort, "{message}");
        }
    }

    #[test]
    fn of_all_texts_one_is_read_where_there_is_room_for_one() {
        for (message, text, others) in [
            ("Subject: x\n\ny".to_owned(), "0", ""),
            (HTML.to_owned(), "0", ""),
            (PDF.to_owned(), "", "0"),
            ("Content-Type: text/plain; name=a.txt\n\nx".to_owned(), "", "0"),
            (multipart("alternative", &[HTML, PLAIN]), "2", ""),
            (multipart("alternative", &[PLAIN, &multipart("related", &[HTML, PNG])]), "1", "4"),
            (multipart("mixed", &[PDF, PLAIN, HTML, PNG]), "2", "1 3 4"),
            (multipart("mixed", &[PLAIN, &multipart("alternative", &[PLAIN, HTML])]), "1", "4"),
            (multipart("signed", &[HTML, "Content-Type: application/pgp-signature\n\nx"]), "1", "2"),
        ] {
            let structure = scan(&message);
            let contents = Contents::of(structure.root());
            let numbers = |parts: &[Part<'_>]| {
                parts.iter().map(|part| part.index().to_string()).collect::<Vec<_>>().join(" ")
            };
            let found = (numbers(contents.text().as_slice()), numbers(&contents.others()));
            assert_eq!(found, (text.to_owned(), others.to_owned()), "{message}");
        }
    }

    #[test]
    fn what_is_protected_is_said() {
        let protection = |message: &str| Contents::of(scan(message).root()).protection;
        assert_eq!(protection(&multipart("signed", &[PLAIN, PDF])), Some(Protection::Signed));
        assert_eq!(protection(&multipart("encrypted", &[PLAIN, PDF])), Some(Protection::Encrypted));
        let smime = "Content-Type: application/pkcs7-mime; smime-type=";
        assert_eq!(protection(&format!("{smime}enveloped-data\n\nx")), Some(Protection::Encrypted));
        assert_eq!(protection(&format!("{smime}signed-data\n\nx")), Some(Protection::Signed));
        assert_eq!(protection(PLAIN), None);
    }

    #[test]
    fn lists_are_bounded() {
        let structure = scan(&multipart("mixed", &vec![PLAIN; 300]));
        let contents = Contents::of(structure.root());
        assert_eq!((contents.texts.len(), contents.attached.len(), contents.more), (MOST_TEXTS, MOST, 80));
        let contents = Contents::bounded(structure.root(), 2, 30);
        assert_eq!((contents.texts.len(), contents.attached.len(), contents.more), (MOST_TEXTS, 2, 7));
        let mut nested = PLAIN.to_owned();
        for _ in 0..150 {
            nested = multipart("alternative", &[&nested]);
        }
        assert_eq!(Contents::of(scan(&nested).root()).texts.len(), 1);
    }

    #[test]
    fn names_of_files_are_safe() {
        let name = |header: &str| file_name(scan(&format!("{header}\n\nx")).root());
        let filename = |name_: &str| name(&format!("Content-Disposition: attachment; filename{name_}"));
        for (said, shown) in [
            ("=a.pdf", "a.pdf"),
            ("=\"../../etc/passwd\"", "passwd"),
            ("=\"C:\\\\x\\\\a.exe\"", "a.exe"),
            ("*=utf-8''na%C3%AFve%20file.txt", "naïve file.txt"),
            ("=\"=?utf-8?Q?na=C3=AFve.txt?=\"", "naïve.txt"),
            ("*=utf-8''photo%E2%80%AEgnp.exe", "photognp.exe"),
            ("*=utf-8''a%0D%0ASet-Cookie%3A%20b.txt", "a  Set-Cookie_ b.txt"),
            ("=\"<script>.html\"", "_script_.html"),
            ("=\"...\"", "attachment.txt"),
            ("=\"\"", "attachment.txt"),
        ] {
            assert_eq!(filename(said), shown, "{said}");
        }
        assert_eq!(filename(&format!("={}.pdf", "x".repeat(300))).len(), LONGEST_NAME);
        assert!(filename(&format!("={}.pdf", "x".repeat(300))).ends_with(".pdf"));
        assert_eq!(name("Content-Type: image/jpeg"), "attachment.jpg");
        assert_eq!(name("Content-Type: image/png; name=b.png"), "b.png");
        let outer = scan("Content-Type: message/rfc822\n\nSubject: a/b =?utf-8?Q?c?=\n\nx");
        assert_eq!(file_name(outer.root()), "a-b c.eml");
    }
}
