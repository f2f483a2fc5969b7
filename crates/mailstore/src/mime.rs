//! MIME: where the parts of a message lie, and what its header says, for ENVELOPE, BODYSTRUCTURE and sections.
//!
//! A [`Scanner`] sees the octets once, at delivery or when a message is first asked for, and gives a [`Structure`]. That
//! is kept beside the body as some hundred octets ([`Structure::encode`]), and answers all that FETCH wants to know of
//! a message but its text. All offsets are those of the body that was scanned; what a delivery puts in front of it
//! (`Return-Path:` and the like) is an argument wherever that matters.
//!
//! ```
//! use mailstore::mime::{Scanner, Section};
//!
//! let message = b"From: Ann <ann@example.test>\r\nSubject: hello\r\n\
//!     Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n";
//! let mut scanner = Scanner::new();
//! for piece in message.chunks(10) {
//!     scanner.push(piece);
//! }
//! let structure = scanner.finish();
//!
//! let second = structure.section(0, [2], Section::All).expect("there are two");
//! assert_eq!(&message[second.start as usize..second.end as usize], b"two");
//! let envelope = structure.root().envelope().expect("it is a message");
//! assert_eq!(envelope.subject(), Some(&b"hello"[..]));
//! assert_eq!(envelope.from().next().and_then(|from| from.name).as_deref(), Some(&b"Ann"[..]));
//! ```
//!
//! Whatever a message is like, each of its octets belongs to one header, body, preamble, delimiter or epilogue
//! ([`Structure::partition`]), and BODYSTRUCTURE, sections and searches all go by that. Where readers of mail differ, it is RFC 2046 that
//! decides: a line that begins with `--` and a boundary is a delimiter, of the longest such boundary and of the innermost
//! multipart; an outer one ends all that is within. Of fields that should be there once, the first one counts.
//!
//! | RFC | what of it |
//! |---|---|
//! | [RFC 2045](https://www.rfc-editor.org/rfc/rfc2045), [RFC 2046](https://www.rfc-editor.org/rfc/rfc2046) | types, encodings, multiparts, messages; `message/partial` and `message/external-body` are parts like others |
//! | [RFC 5322](https://www.rfc-editor.org/rfc/rfc5322) | headers and addresses, the obsolete forms too |
//! | [RFC 9051 §6.4.5](https://www.rfc-editor.org/rfc/rfc9051#section-6.4.5), [§7.5.2](https://www.rfc-editor.org/rfc/rfc9051#section-7.5.2) | sections, BINARY, ENVELOPE and BODYSTRUCTURE |

mod address;
mod decode;
mod field;
mod scan;
mod section;
mod stored;

use core::ops::Range;
use std::borrow::Cow;

use bytes::Bytes;

pub use address::{Address, Addresses};
pub use decode::{Decoder, Encoding};
pub use field::Parameters;
pub(crate) use field::{Field, hex, split};
pub(crate) use scan::MAX_FIELD;
pub use scan::Scanner;
pub use section::{HeaderFields, NoBinary, Section, partial};
pub use stored::MAX_STORED;

/// Where the parts of a message lie, and what their headers say.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Structure {
    size: u64,
    /// The root, and behind each part those within it.
    entries: Vec<Entry>,
    /// What the fields say, part after part.
    values: Bytes,
}

/// What is known of a part but for its fields.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Entry {
    depth: u8,
    form: Form,
    /// Whether its header is that of a message.
    message: bool,
    /// While it is scanned: whether parts without a type are messages; those within it, once it is a multipart.
    digest: bool,
    header: u64,
    body: u64,
    end: u64,
    lines: u64,
    /// The end of the preamble; `NONE` if it is no multipart.
    first: u64,
    /// The beginning of the epilogue; `NONE` if there is none because nothing closes the multipart.
    last: u64,
    values: (u32, u32),
    /// The first part behind it that is not within it.
    next: u32,
}

const NONE: u64 = u64::MAX;
/// Parts that are looked at for what hangs on to a text.
const LOOKED_AT: usize = 50;
/// What signs the rest.
const SIGNATURES: [&[u8]; 3] = [b"pgp-signature", b"pkcs7-signature", b"x-pkcs7-signature"];

/// What the octets of a part are. The numbers stand on disk.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Form {
    Leaf,
    Multipart,
    Message,
}

/// A part, or the message itself.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    structure: &'a Structure,
    index: usize,
}

/// What a part has beyond its fields.
#[derive(Clone, Copy, Debug)]
pub enum Kind<'a> {
    /// Octets that are not taken apart.
    Leaf,
    /// Parts, of which there is at least one: [`Part::parts`].
    Multipart,
    /// A message, with its own header and body.
    Message(Part<'a>),
}

/// What the octets of a message belong to; each belongs to one: [`Structure::partition`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Role {
    /// A header, with the empty line behind it.
    Header,
    /// What a multipart has in front of its first delimiter.
    Preamble,
    /// The line in front of a part or behind the last one, and the line end before it.
    Delimiter,
    /// What a multipart has behind its last delimiter.
    Epilogue,
    /// The body of a part that is not taken apart.
    Body,
}

impl Structure {
    /// The octets that were scanned.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The message itself.
    pub const fn root(&self) -> Part<'_> {
        Part { structure: self, index: 0 }
    }

    /// All parts, the message itself first, and behind each those within it.
    pub fn parts(&self) -> impl Iterator<Item = Part<'_>> {
        (0..self.entries.len()).map(|index| Part { structure: self, index })
    }

    /// Whether something hangs on to the text: a file or a message. Pictures that stand within a text, and what signs it, are part of
    /// it. The first 50 parts are looked at.
    pub fn has_attachment(&self) -> bool {
        self.parts().take(LOOKED_AT).any(|part| match part.kind() {
            Kind::Leaf => {
                let (media, subtype) = part.media();
                let text = media.eq_ignore_ascii_case(b"text");
                let signs = SIGNATURES.iter().any(|known| subtype.eq_ignore_ascii_case(known));
                !signs && (part.is_attached() || !text && part.id().is_none())
            }
            Kind::Message(_) => true,
            Kind::Multipart => false,
        })
    }

    /// The part with this number in their order.
    pub(crate) fn part(&self, index: usize) -> Option<Part<'_>> {
        (index < self.entries.len()).then_some(Part { structure: self, index })
    }

    /// The octets of the message in pieces, in order and without gaps, with the part that each belongs to: a number in
    /// the order of [`Structure::parts`]. Pieces without octets are left out.
    pub fn partition(&self) -> Vec<(usize, Role, Range<u64>)> {
        let mut pieces = Vec::new();
        let mut open = Vec::<usize>::new();
        let mut at = 0;
        let mut piece = |at: &mut u64, part: usize, role: Role, end: u64| {
            if *at < end {
                pieces.push((part, role, *at..end));
            }
            *at = end;
        };
        for index in 0..=self.entries.len() {
            let depth = self.entries.get(index).map_or(0, |entry| usize::from(entry.depth));
            while open.len() > depth {
                let Some(outer) = open.pop() else { break };
                let entry = &self.entries[outer];
                if entry.form == Form::Multipart && entry.last != NONE {
                    piece(&mut at, outer, Role::Delimiter, entry.last);
                    piece(&mut at, outer, Role::Epilogue, entry.end);
                }
            }
            let Some(entry) = self.entries.get(index) else { break };
            if let Some(&outer) = open.last()
                && self.entries[outer].form == Form::Multipart
            {
                if index == outer + 1 {
                    piece(&mut at, outer, Role::Preamble, self.entries[outer].first);
                }
                piece(&mut at, outer, Role::Delimiter, entry.header);
            }
            piece(&mut at, index, Role::Header, entry.body);
            if entry.form == Form::Leaf {
                piece(&mut at, index, Role::Body, entry.end);
            }
            open.push(index);
        }
        pieces
    }
}

impl Entry {
    const fn new(depth: u8, header: u64, values: u32) -> Self {
        Self {
            depth,
            form: Form::Leaf,
            message: depth == 0,
            digest: false,
            header,
            body: header,
            end: header,
            lines: 0,
            first: NONE,
            last: NONE,
            values: (values, values),
            next: 0,
        }
    }
}

impl<'a> Part<'a> {
    fn entry(self) -> &'a Entry {
        &self.structure.entries[self.index]
    }

    fn fields(self) -> Fields<'a> {
        let (from, to) = self.entry().values;
        Fields(&self.structure.values[from as usize..to as usize])
    }

    /// Its number in the order of [`Structure::parts`].
    pub const fn index(self) -> usize {
        self.index
    }

    /// Where its header lies, with the empty line behind it.
    pub fn header(self) -> Range<u64> {
        self.entry().header..self.entry().body
    }

    /// Where its body lies.
    pub fn body(self) -> Range<u64> {
        self.entry().body..self.entry().end
    }

    /// The line ends in its body. BODYSTRUCTURE shows them for texts and messages.
    pub fn lines(self) -> u64 {
        self.entry().lines
    }

    /// What it is.
    pub fn kind(self) -> Kind<'a> {
        match self.entry().form {
            Form::Leaf => Kind::Leaf,
            Form::Multipart => Kind::Multipart,
            Form::Message => Kind::Message(Part { index: self.index + 1, ..self }),
        }
    }

    /// The message that it is, if it is one.
    pub fn message(self) -> Option<Self> {
        match self.kind() {
            Kind::Message(message) => Some(message),
            _ => None,
        }
    }

    /// The parts of a multipart; none of anything else.
    pub fn parts(self) -> impl Iterator<Item = Self> + use<'a> {
        let Self { structure, index } = self;
        let entry = self.entry();
        let last = if entry.form == Form::Multipart { entry.next as usize } else { 0 };
        let mut at = index + 1;
        core::iter::from_fn(move || {
            let part = (at < last).then_some(Self { structure, index: at })?;
            at = part.entry().next as usize;
            Some(part)
        })
    }

    /// Type and subtype, as they are written.
    ///
    /// [RFC 2045 §5.2](https://www.rfc-editor.org/rfc/rfc2045#section-5.2): `text/plain` for what has none or none that is valid, and
    /// for a multipart that has no parts. In a digest, and where the part is a message, `message/rfc822`
    /// ([RFC 2046 §5.1.5](https://www.rfc-editor.org/rfc/rfc2046#section-5.1.5)).
    pub fn media(self) -> (&'a [u8], &'a [u8]) {
        match self.content_type() {
            Some((media, subtype, _)) => (media, subtype),
            None if self.entry().form == Form::Message => (b"MESSAGE", b"RFC822"),
            None => (b"TEXT", b"PLAIN"),
        }
    }

    /// The parameters of Content-Type; `CHARSET=US-ASCII` where it is a text by default
    /// ([RFC 2045 §5.2](https://www.rfc-editor.org/rfc/rfc2045#section-5.2)).
    pub fn parameters(self) -> Parameters<'a> {
        match self.content_type() {
            Some((_, _, parameters)) => parameters,
            None if self.entry().form == Form::Message => Parameters::NONE,
            None => Parameters::DEFAULT,
        }
    }

    /// What a parameter of Content-Type says; one that is in parts
    /// ([RFC 2231 §3](https://www.rfc-editor.org/rfc/rfc2231#section-3)) as a whole. The first of a name counts.
    pub fn parameter(self, name: &[u8]) -> Option<Cow<'a, [u8]>> {
        field::parameter(self.parameters(), name)
    }

    fn content_type(self) -> Option<(&'a [u8], &'a [u8], Parameters<'a>)> {
        let (media, subtype, parameters) = field::media(self.fields().get(Field::ContentType)?)?;
        let multipart = media.eq_ignore_ascii_case(b"multipart");
        (!multipart || self.entry().form == Form::Multipart).then_some((media, subtype, parameters))
    }

    /// Whether type and subtype are these, in any case.
    pub fn is(self, media: &str, subtype: &str) -> bool {
        let (ours, sub) = self.media();
        ours.eq_ignore_ascii_case(media.as_bytes()) && sub.eq_ignore_ascii_case(subtype.as_bytes())
    }

    /// Content-ID.
    pub fn id(self) -> Option<&'a [u8]> {
        self.fields().get(Field::ContentId)
    }

    /// Content-Description.
    pub fn description(self) -> Option<&'a [u8]> {
        self.fields().get(Field::Description)
    }

    /// Content-MD5.
    pub fn md5(self) -> Option<&'a [u8]> {
        self.fields().get(Field::Md5)
    }

    /// Content-Location.
    pub fn location(self) -> Option<&'a [u8]> {
        self.fields().get(Field::Location)
    }

    /// Content-Transfer-Encoding as it is written; `7BIT` where there is none.
    ///
    /// A message within a part that is encoded, against [RFC 2046 §5.2.1](https://www.rfc-editor.org/rfc/rfc2046#section-5.2.1), is
    /// not taken apart: it is a text with the encoding of the part.
    pub fn encoding_name(self) -> Cow<'a, [u8]> {
        let own = self.fields().encoding_name();
        let entry = self.entry();
        if own.is_empty() && entry.depth > 0 && entry.message {
            let outer = Part { index: self.index - 1, ..self };
            if outer.fields().encoding() != Encoding::Identity {
                return outer.fields().encoding_name();
            }
        }
        if own.is_empty() { Cow::Borrowed(b"7BIT") } else { own }
    }

    /// What Content-Transfer-Encoding means.
    pub fn encoding(self) -> Encoding {
        Encoding::named(&self.encoding_name())
    }

    /// Content-Disposition and its parameters.
    pub fn disposition(self) -> Option<(Cow<'a, [u8]>, Parameters<'a>)> {
        let (word, parameters) = field::word(self.fields().get(Field::Disposition)?);
        (!word.is_empty()).then_some((word, parameters))
    }

    /// Whether its sender wants it apart from the text: its Content-Disposition is `attachment`.
    pub fn is_attached(self) -> bool {
        self.disposition().is_some_and(|(disposition, _)| disposition.eq_ignore_ascii_case(b"attachment"))
    }

    /// The tags of Content-Language.
    pub fn languages(self) -> impl Iterator<Item = &'a [u8]> {
        let list = self.fields().get(Field::Language).unwrap_or_default();
        list.split(|&octet| octet == b',').map(<[u8]>::trim_ascii).filter(|tag| !tag.is_empty())
    }

    /// What the header says of the message; `None` for a part, whose header says nothing of the kind.
    pub fn envelope(self) -> Option<Envelope<'a>> {
        self.entry().message.then(|| Envelope { fields: self.fields() })
    }
}

/// What a header says of who, when and what:
/// [RFC 9051 §7.5.2](https://www.rfc-editor.org/rfc/rfc9051#section-7.5.2).
///
/// Values are unfolded and otherwise as they are written, encoded words included, but for NUL and bare line ends, which
/// are spaces. The first field of a name counts.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    fields: Fields<'a>,
}

impl<'a> Envelope<'a> {
    /// Date, as it is written.
    pub fn date(self) -> Option<&'a [u8]> {
        self.fields.get(Field::Date)
    }

    /// Subject, as it is written.
    pub fn subject(self) -> Option<&'a [u8]> {
        self.fields.get(Field::Subject)
    }

    /// From.
    pub fn from(self) -> Addresses<'a> {
        self.addresses(Field::From)
    }

    /// Sender, or From where that has no address.
    pub fn sender(self) -> Addresses<'a> {
        self.or_from(Field::Sender)
    }

    /// Reply-To, or From where that has no address.
    pub fn reply_to(self) -> Addresses<'a> {
        self.or_from(Field::ReplyTo)
    }

    /// To.
    pub fn to(self) -> Addresses<'a> {
        self.addresses(Field::To)
    }

    /// Cc.
    pub fn cc(self) -> Addresses<'a> {
        self.addresses(Field::Cc)
    }

    /// Bcc.
    pub fn bcc(self) -> Addresses<'a> {
        self.addresses(Field::Bcc)
    }

    /// In-Reply-To, as it is written.
    pub fn in_reply_to(self) -> Option<&'a [u8]> {
        self.fields.get(Field::InReplyTo)
    }

    /// Message-ID, as it is written.
    pub fn message_id(self) -> Option<&'a [u8]> {
        self.fields.get(Field::MessageId)
    }

    /// What a field says, as it is written.
    pub(crate) fn raw(self, field: Field) -> Option<&'a [u8]> {
        self.fields.get(field)
    }

    fn addresses(self, field: Field) -> Addresses<'a> {
        Addresses::new(self.fields.get(field).unwrap_or_default())
    }

    fn or_from(self, field: Field) -> Addresses<'a> {
        let own = self.addresses(field);
        if own.clone().next().is_some() { own } else { self.from() }
    }
}

/// The fields of a part that are kept.
#[derive(Clone, Copy, Debug)]
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn get(self, wanted: Field) -> Option<&'a [u8]> {
        let mut rest = self.0;
        while let Some((field, value)) = stored::record(&mut rest) {
            if field == wanted {
                return Some(value);
            }
        }
        None
    }

    fn encoding_name(self) -> Cow<'a, [u8]> {
        self.get(Field::Encoding).map_or(Cow::Borrowed(b""), |value| field::word(value).0)
    }

    fn encoding(self) -> Encoding {
        Encoding::named(&self.encoding_name())
    }

    fn content_type(self) -> Option<(&'a [u8], &'a [u8], Parameters<'a>)> {
        field::media(self.get(Field::ContentType)?)
    }

    /// Whether it is a message, which it is by default in a digest.
    fn is_message(self, digest: bool) -> bool {
        self.content_type().map_or(digest, |(media, subtype, _)| {
            media.eq_ignore_ascii_case(b"message")
                && (subtype.eq_ignore_ascii_case(b"rfc822") || subtype.eq_ignore_ascii_case(b"global"))
        })
    }

    fn is_digest(self) -> bool {
        self.content_type().is_some_and(|(_, subtype, _)| subtype.eq_ignore_ascii_case(b"digest"))
    }

    /// The boundary of a multipart.
    fn boundary(self) -> Option<Vec<u8>> {
        let (media, _, parameters) = self.content_type()?;
        if !media.eq_ignore_ascii_case(b"multipart") {
            return None;
        }
        let mut boundary = field::parameter(parameters, b"boundary")?.into_owned();
        // RFC 2046 §5.1.1: a boundary does not end with white space.
        boundary.truncate(boundary.trim_ascii_end().len());
        (1..=scan::MAX_BOUNDARY).contains(&boundary.len()).then_some(boundary)
    }
}
