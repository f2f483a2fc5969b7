//! What FETCH asks for.

use core::fmt;
use std::borrow::Cow;

use bytes::BytesMut;

use crate::encode::{Wire, Writer};
use crate::error::Invalid;
use crate::extension::{Extension, Extensions};
use crate::parse::{Cursor, Parsed};
use crate::types::section::{PartPath, Partial, Section};

/// An item of a message that a client asks for: [RFC 9051 §6.4.5](https://www.rfc-editor.org/rfc/rfc9051#section-6.4.5).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FetchAttribute<'a> {
    /// `ENVELOPE`
    Envelope,
    /// `FLAGS`
    Flags,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822.SIZE`
    Rfc822Size,
    /// `RFC822`: like `BODY[]`; IMAP4rev1 only.
    Rfc822,
    /// `RFC822.HEADER`: like `BODY.PEEK[HEADER]`; IMAP4rev1 only.
    Rfc822Header,
    /// `RFC822.TEXT`: like `BODY[TEXT]`; IMAP4rev1 only.
    Rfc822Text,
    /// `BODY`: the structure without extension data.
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `UID`
    Uid,
    /// `MODSEQ`: CONDSTORE.
    ModSeq,
    /// `BODY[...]<...>`
    Section {
        /// `BODY.PEEK`: does not set `\Seen`.
        peek: bool,
        /// Which section.
        section: Section<'a>,
        /// Which octets of it; all, if absent.
        partial: Option<Partial>,
    },
    /// `BINARY[...]<...>`, decoded: IMAP4rev2 only.
    Binary {
        /// `BINARY.PEEK`: does not set `\Seen`.
        peek: bool,
        /// Which part.
        path: PartPath<'a>,
        /// Which octets of it; all, if absent.
        partial: Option<Partial>,
    },
    /// `BINARY.SIZE[...]`: the size when decoded; IMAP4rev2 only.
    BinarySize(PartPath<'a>),
}

/// One item or more, as they came, looked at once.
#[derive(Clone)]
pub struct FetchAttributes<'a>(Cow<'a, [u8]>);

impl<'a> FetchAttributes<'a> {
    /// Takes one item or more.
    pub fn new<'i>(items: impl IntoIterator<Item = FetchAttribute<'i>>) -> Result<Self, Invalid> {
        let mut out = BytesMut::new();
        Writer::new(Wire::default(), &mut out).spaced(items, |writer, item| item.write(writer));
        if out.is_empty() { Err(Invalid("one item or more")) } else { Ok(Self(Cow::Owned(out.into()))) }
    }

    /// The items.
    pub fn iter(&self) -> impl Iterator<Item = FetchAttribute<'_>> {
        let mut cursor = Cursor::new(&self.0);
        core::iter::from_fn(move || {
            cursor.eat(b' ');
            FetchAttribute::parse(&mut cursor, Extensions::all()).ok()
        })
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> FetchAttributes<'static> {
        FetchAttributes(Cow::Owned(self.0.into_owned()))
    }

    pub(crate) fn parse(cursor: &mut Cursor<'a>, extensions: Extensions) -> Parsed<Self> {
        let start = cursor.at();
        if cursor.peek() == Some(b'(') {
            let mut count = 0;
            cursor.each(|cursor| {
                count += 1;
                FetchAttribute::parse(cursor, extensions).map(drop)
            })?;
            if count == 0 {
                return cursor.error("an item to fetch");
            }
            let list = cursor.since(start);
            return Ok(Self(Cow::Borrowed(&list[1..list.len() - 1])));
        }
        let mut ahead = *cursor;
        let words: &[u8] = match ahead.upper_word::<4>().as_bytes() {
            b"ALL" => b"FLAGS INTERNALDATE RFC822.SIZE ENVELOPE",
            b"FAST" => b"FLAGS INTERNALDATE RFC822.SIZE",
            b"FULL" => b"FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY",
            _ => b"",
        };
        if !words.is_empty() {
            *cursor = ahead;
            return Ok(Self(Cow::Borrowed(words)));
        }
        FetchAttribute::parse(cursor, extensions)?;
        Ok(Self(Cow::Borrowed(cursor.since(start))))
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.list(self.iter(), |writer, item| item.write(writer));
    }
}

impl fmt::Debug for FetchAttributes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for FetchAttributes<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for FetchAttributes<'_> {}

impl<'a> FetchAttribute<'a> {
    pub(crate) fn parse(cursor: &mut Cursor<'a>, extensions: Extensions) -> Parsed<Self> {
        let rev1 = extensions.has(Extension::Imap4Rev1);
        let rev2 = extensions.has(Extension::Imap4Rev2);
        let start = *cursor;
        let item = match cursor.upper_word::<16>().as_bytes() {
            b"FLAGS" => Self::Flags,
            b"UID" => Self::Uid,
            b"ENVELOPE" => Self::Envelope,
            b"INTERNALDATE" => Self::InternalDate,
            b"RFC822.SIZE" => Self::Rfc822Size,
            b"RFC822" if rev1 => Self::Rfc822,
            b"RFC822.HEADER" if rev1 => Self::Rfc822Header,
            b"RFC822.TEXT" if rev1 => Self::Rfc822Text,
            b"BODYSTRUCTURE" => Self::BodyStructure,
            b"MODSEQ" if extensions.has(Extension::Condstore) => Self::ModSeq,
            b"BODY" if cursor.peek() != Some(b'[') => Self::Body,
            word @ (b"BODY" | b"BODY.PEEK") => Self::Section {
                peek: word != b"BODY",
                section: Section::parse(cursor)?,
                partial: Partial::parse(cursor)?,
            },
            word @ (b"BINARY" | b"BINARY.PEEK") if rev2 => Self::Binary {
                peek: word != b"BINARY",
                path: PartPath::parse_binary(cursor)?,
                partial: Partial::parse(cursor)?,
            },
            b"BINARY.SIZE" if rev2 => Self::BinarySize(PartPath::parse_binary(cursor)?),
            _ => return start.error("an item to fetch"),
        };
        Ok(item)
    }

    fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Envelope => writer.raw(b"ENVELOPE"),
            Self::Flags => writer.raw(b"FLAGS"),
            Self::InternalDate => writer.raw(b"INTERNALDATE"),
            Self::Rfc822Size => writer.raw(b"RFC822.SIZE"),
            Self::Rfc822 => writer.raw(b"RFC822"),
            Self::Rfc822Header => writer.raw(b"RFC822.HEADER"),
            Self::Rfc822Text => writer.raw(b"RFC822.TEXT"),
            Self::Body => writer.raw(b"BODY"),
            Self::BodyStructure => writer.raw(b"BODYSTRUCTURE"),
            Self::Uid => writer.raw(b"UID"),
            Self::ModSeq => writer.raw(b"MODSEQ"),
            Self::Section { peek, section, partial } => {
                writer.raw(if *peek { &b"BODY.PEEK"[..] } else { b"BODY" });
                section.write(writer);
                if let Some(partial) = partial {
                    partial.write(writer);
                }
            }
            Self::Binary { peek, path, partial } => {
                writer.raw(if *peek { &b"BINARY.PEEK"[..] } else { b"BINARY" });
                path.write_binary(writer);
                if let Some(partial) = partial {
                    partial.write(writer);
                }
            }
            Self::BinarySize(path) => {
                writer.raw(b"BINARY.SIZE");
                path.write_binary(writer);
            }
        }
    }
}
