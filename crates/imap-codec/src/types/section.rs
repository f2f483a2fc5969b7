//! What part of a message is meant: `BODY[1.2.HEADER.FIELDS (SUBJECT)]<0.100>`.

use core::num::NonZeroU32;
use std::borrow::Cow;

use crate::encode::{Wire, Writer};
use crate::error::Invalid;
use crate::parse::{Cursor, Parsed, ascii};
use crate::types::string::IString;

/// The numbers of a part, `1.2.3`; none for the message itself.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct PartPath<'a>(Cow<'a, str>);

impl<'a> PartPath<'a> {
    /// The message itself.
    pub const MESSAGE: PartPath<'static> = PartPath(Cow::Borrowed(""));

    /// Takes numbers from one up with dots between them, or nothing.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Result<Self, Invalid> {
        let text = text.into();
        let mut cursor = Cursor::new(text.as_bytes());
        match Self::skip(&mut cursor) {
            Ok(()) if cursor.is_empty() => Ok(Self(text)),
            _ => Err(Invalid("the numbers of a part")),
        }
    }

    /// The numbers, from the outermost part inwards.
    pub fn numbers(&self) -> impl Iterator<Item = NonZeroU32> {
        self.0.split('.').filter_map(|number| number.parse().ok())
    }

    /// Whether it is the message itself.
    pub fn is_message(&self) -> bool {
        self.0.is_empty()
    }

    /// Numbers; a dot is taken only if a number follows.
    fn skip(cursor: &mut Cursor<'_>) -> Parsed<()> {
        if !cursor.peek().is_some_and(|octet| octet.is_ascii_digit()) {
            return Ok(());
        }
        loop {
            cursor.nz_number()?;
            let mut ahead = *cursor;
            if !ahead.eat(b'.') || !ahead.peek().is_some_and(|octet| octet.is_ascii_digit()) {
                return Ok(());
            }
            *cursor = ahead;
        }
    }

    fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let start = cursor.at();
        Self::skip(cursor)?;
        Ok(Self(Cow::Borrowed(ascii(cursor.since(start)))))
    }

    /// `section-binary`
    pub(crate) fn parse_binary(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        cursor.expect(b'[', "a section")?;
        let path = Self::parse(cursor)?;
        cursor.expect(b']', "the end of a section")?;
        Ok(path)
    }

    pub(crate) fn write_binary(&self, writer: &mut Writer<'_>) {
        writer.octet(b'[');
        writer.raw(&*self.0);
        writer.octet(b']');
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> PartPath<'static> {
        PartPath(Cow::Owned(self.0.into_owned()))
    }
}

/// [RFC 9051 §6.4.5](https://www.rfc-editor.org/rfc/rfc9051#section-6.4.5), `section`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Section<'a> {
    path: PartPath<'a>,
    kind: SectionKind<'a>,
}

/// What of the part.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum SectionKind<'a> {
    /// All of it.
    #[default]
    All,
    /// Its header: of the message, or of the message that the part is.
    Header,
    /// These fields of the header.
    HeaderFields(FieldNames<'a>),
    /// All fields of the header but these.
    HeaderFieldsNot(FieldNames<'a>),
    /// Its body: of the message, or of the message that the part is.
    Text,
    /// The MIME header of the part.
    Mime,
}

impl<'a> Section<'a> {
    /// Takes what can be asked for: only a part has a MIME header.
    pub fn new(path: PartPath<'a>, kind: SectionKind<'a>) -> Result<Self, Invalid> {
        if kind == SectionKind::Mime && path.is_message() {
            return Err(Invalid("a section: the message itself has no MIME header"));
        }
        Ok(Self { path, kind })
    }

    /// The part.
    pub const fn path(&self) -> &PartPath<'a> {
        &self.path
    }

    /// What of the part.
    pub const fn kind(&self) -> &SectionKind<'a> {
        &self.kind
    }

    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        cursor.expect(b'[', "a section")?;
        let path = PartPath::parse(cursor)?;
        let mut kind = SectionKind::All;
        if path.is_message() || cursor.eat(b'.') {
            let start = *cursor;
            let is = |word: &[u8], text: &str| word.eq_ignore_ascii_case(text.as_bytes());
            kind = match cursor.word() {
                b"" if path.is_message() => SectionKind::All,
                word if is(word, "HEADER") => SectionKind::Header,
                word if is(word, "TEXT") => SectionKind::Text,
                word if is(word, "MIME") && !path.is_message() => SectionKind::Mime,
                word if is(word, "HEADER.FIELDS") => {
                    cursor.space()?;
                    SectionKind::HeaderFields(FieldNames::parse(cursor)?)
                }
                word if is(word, "HEADER.FIELDS.NOT") => {
                    cursor.space()?;
                    SectionKind::HeaderFieldsNot(FieldNames::parse(cursor)?)
                }
                _ => return start.error("a section"),
            };
        }
        cursor.expect(b']', "the end of a section")?;
        Ok(Self { path, kind })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.octet(b'[');
        writer.raw(&*self.path.0);
        if !self.path.is_message() && self.kind != SectionKind::All {
            writer.octet(b'.');
        }
        match &self.kind {
            SectionKind::All => {}
            SectionKind::Header => writer.raw(b"HEADER"),
            SectionKind::Text => writer.raw(b"TEXT"),
            SectionKind::Mime => writer.raw(b"MIME"),
            SectionKind::HeaderFields(names) => {
                writer.raw(b"HEADER.FIELDS ");
                names.write(writer);
            }
            SectionKind::HeaderFieldsNot(names) => {
                writer.raw(b"HEADER.FIELDS.NOT ");
                names.write(writer);
            }
        }
        writer.octet(b']');
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Section<'static> {
        Section {
            path: self.path.into_owned(),
            kind: match self.kind {
                SectionKind::All => SectionKind::All,
                SectionKind::Header => SectionKind::Header,
                SectionKind::Text => SectionKind::Text,
                SectionKind::Mime => SectionKind::Mime,
                SectionKind::HeaderFields(names) => SectionKind::HeaderFields(names.into_owned()),
                SectionKind::HeaderFieldsNot(names) => SectionKind::HeaderFieldsNot(names.into_owned()),
            },
        }
    }
}

/// One or more names of header fields, as they came: a list in parentheses.
#[derive(Clone)]
pub struct FieldNames<'a>(Cow<'a, [u8]>);

impl<'a> FieldNames<'a> {
    /// Takes one name or more.
    pub fn new<'n>(names: impl IntoIterator<Item = IString<'n>>) -> Result<Self, Invalid> {
        let mut out = bytes::BytesMut::new();
        Writer::new(Wire::default(), &mut out).list(names, |writer, name| writer.astring(name.as_bytes()));
        if out.len() == 2 { Err(Invalid("one name or more")) } else { Ok(Self(Cow::Owned(out.into()))) }
    }

    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = IString<'_>> {
        let mut cursor = Cursor::new(&self.0);
        core::iter::from_fn(move || {
            // The opening parenthesis or a space is in front of each, and only the closing one behind the last.
            if cursor.eat(b'(') || cursor.eat(b' ') { cursor.astring().ok() } else { None }
        })
    }

    fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let start = cursor.at();
        cursor.each(|cursor| cursor.astring().map(drop))?;
        let list = cursor.since(start);
        if list == b"()" { cursor.error("the name of a header field") } else { Ok(Self(Cow::Borrowed(list))) }
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.list(self.iter(), |writer, name| writer.astring(name.as_bytes()));
    }

    fn into_owned(self) -> FieldNames<'static> {
        FieldNames(Cow::Owned(self.0.into_owned()))
    }
}

impl core::fmt::Debug for FieldNames<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for FieldNames<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for FieldNames<'_> {}

/// Some octets of a section: `<0.2048>`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Partial {
    /// The first octet, counted from zero.
    pub offset: u64,
    /// How many at most; above zero.
    pub count: core::num::NonZeroU64,
}

impl Partial {
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Option<Self>> {
        if !cursor.eat(b'<') {
            return Ok(None);
        }
        let offset = cursor.number64()?;
        cursor.expect(b'.', "a dot")?;
        let start = *cursor;
        let Some(count) = core::num::NonZeroU64::new(cursor.number64()?) else {
            return start.error("a number above zero");
        };
        cursor.expect(b'>', "the end of a partial")?;
        Ok(Some(Self { offset, count }))
    }

    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        writer.octet(b'<');
        writer.number(self.offset);
        writer.octet(b'.');
        writer.number(self.count.get());
        writer.octet(b'>');
    }
}
