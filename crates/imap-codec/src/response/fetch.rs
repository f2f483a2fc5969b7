//! The FETCH response: items of a message.

use core::num::NonZeroU32;
use std::borrow::Cow;

use crate::encode::Writer;
use crate::parse::{Cursor, Parsed};
use crate::types::body::Body;
use crate::types::datetime::DateTime;
use crate::types::envelope::Envelope;
use crate::types::flag::{FlagSet, Flags};
use crate::types::section::{PartPath, Section};
use crate::types::slice::Slice;
use crate::types::string::IString;

/// Items of one message: [RFC 9051 §7.5.2](https://www.rfc-editor.org/rfc/rfc9051#section-7.5.2).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fetch<'a> {
    /// The sequence number of the message.
    pub number: NonZeroU32,
    /// The items.
    pub items: Slice<'a, FetchItem<'a>>,
}

/// An item of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum FetchItem<'a> {
    /// `FLAGS`
    Flags(Flags<'a>),
    /// `ENVELOPE`
    Envelope(Box<Envelope<'a>>),
    /// `INTERNALDATE`
    InternalDate(DateTime),
    /// `RFC822.SIZE`
    Rfc822Size(u64),
    /// `BODY`: without extension data, which is not written.
    Body(Body<'a>),
    /// `BODYSTRUCTURE`
    BodyStructure(Body<'a>),
    /// `UID`
    Uid(NonZeroU32),
    /// `MODSEQ` (CONDSTORE)
    ModSeq(u64),
    /// A section and its octets, `None` for `NIL`.
    Section(Source<'a>, Option<IString<'a>>),
    /// A part, decoded, with any octets; `None` for `NIL`.
    Binary(Source<'a>, Option<Cow<'a, [u8]>>),
    /// `BINARY.SIZE`: how large a part is when decoded.
    BinarySize(PartPath<'a>, u32),
}

/// What octets of a message are: the name of a FETCH item that has them.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Source<'a> {
    /// `BODY[...]`, and the first octet for which a part of it was asked.
    Body(Section<'a>, Option<u64>),
    /// `BINARY[...]`, and the first octet for which a part of it was asked.
    Binary(PartPath<'a>, Option<u64>),
    /// `RFC822`; IMAP4rev1 only.
    Rfc822,
    /// `RFC822.HEADER`; IMAP4rev1 only.
    Rfc822Header,
    /// `RFC822.TEXT`; IMAP4rev1 only.
    Rfc822Text,
}

impl<'a> Fetch<'a> {
    /// Items of the message with this sequence number.
    pub const fn new(number: NonZeroU32, items: &'a [FetchItem<'a>]) -> Self {
        Self { number, items: Slice::Borrowed(items) }
    }

    /// Reads the list of items.
    pub(crate) fn parse(number: NonZeroU32, cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let items = cursor.list(FetchItem::parse)?;
        Ok(Self { number, items: Slice::Owned(items) })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        write_head(self.number, &self.items, writer);
        writer.octet(b')');
    }
}

/// `1 FETCH (` and items, with no parenthesis at the end.
pub(crate) fn write_head(number: NonZeroU32, items: &[FetchItem<'_>], writer: &mut Writer<'_>) {
    writer.number(u64::from(number.get()));
    writer.raw(b" FETCH (");
    writer.spaced(items, |writer, item| item.write(writer));
}

/// The beginning of a FETCH response up to a literal of octets that is not there yet.
#[derive(Debug)]
pub(crate) struct Hole<'a> {
    /// The items before, `None` if this goes on behind an earlier literal, of which the number is known.
    pub(crate) number: Option<NonZeroU32>,
    pub(crate) items: Vec<FetchItem<'a>>,
    pub(crate) source: Source<'a>,
}

impl<'a> Hole<'a> {
    /// Reads `* 1 FETCH (UID 5 BODY[] `, or ` UID 5 BODY[] ` behind a literal, all of it.
    pub(crate) fn parse(octets: &'a [u8], behind_literal: bool) -> Option<Self> {
        let mut cursor = Cursor::new(octets);
        let mut number = None;
        if behind_literal {
            cursor.space().ok()?;
        } else {
            if !cursor.eat_word(b"* ") {
                return None;
            }
            number = Some(cursor.nz_number().ok()?);
            if !cursor.eat_word(b" FETCH (") {
                return None;
            }
        }
        let mut items = Vec::new();
        loop {
            let mut ahead = cursor;
            if let Ok(Some(source)) = Source::parse(&mut ahead)
                && ahead.eat(b' ')
                && (ahead.is_empty() || ahead.rest() == b"~" && matches!(source, Source::Binary(..)))
            {
                return Some(Self { number, items, source });
            }
            items.push(FetchItem::parse(&mut cursor).ok()?);
            cursor.space().ok()?;
        }
    }
}

/// What stands behind a literal that was streamed, up to the end of the response: more items, or none.
pub(crate) fn parse_tail<'a>(octets: &'a [u8]) -> Parsed<Vec<FetchItem<'a>>> {
    let mut cursor = Cursor::new(octets);
    let mut items = Vec::new();
    while cursor.eat(b' ') {
        items.push(FetchItem::parse(&mut cursor)?);
    }
    cursor.close()?;
    cursor.end()?;
    Ok(items)
}

impl<'a> Source<'a> {
    /// `None` if the item is of another kind; the cursor may then be anywhere.
    fn parse(cursor: &mut Cursor<'a>) -> Parsed<Option<Self>> {
        let word = cursor.upper_word::<16>();
        Ok(Some(match word.as_bytes() {
            b"BODY" if cursor.peek() == Some(b'[') => Self::Body(Section::parse(cursor)?, origin(cursor)?),
            b"BINARY" => Self::Binary(PartPath::parse_binary(cursor)?, origin(cursor)?),
            b"RFC822" => Self::Rfc822,
            b"RFC822.HEADER" => Self::Rfc822Header,
            b"RFC822.TEXT" => Self::Rfc822Text,
            _ => return Ok(None),
        }))
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        let origin = match self {
            Self::Body(section, origin) => {
                writer.raw(b"BODY");
                section.write(writer);
                origin
            }
            Self::Binary(path, origin) => {
                writer.raw(b"BINARY");
                path.write_binary(writer);
                origin
            }
            Self::Rfc822 => return writer.raw(b"RFC822"),
            Self::Rfc822Header => return writer.raw(b"RFC822.HEADER"),
            Self::Rfc822Text => return writer.raw(b"RFC822.TEXT"),
        };
        if let Some(origin) = origin {
            writer.octet(b'<');
            writer.number(*origin);
            writer.octet(b'>');
        }
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Source<'static> {
        match self {
            Self::Body(section, origin) => Source::Body(section.into_owned(), origin),
            Self::Binary(path, origin) => Source::Binary(path.into_owned(), origin),
            Self::Rfc822 => Source::Rfc822,
            Self::Rfc822Header => Source::Rfc822Header,
            Self::Rfc822Text => Source::Rfc822Text,
        }
    }
}

impl<'a> FetchItem<'a> {
    fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let start = *cursor;
        if let Some(source) = Source::parse(cursor)? {
            cursor.space()?;
            return Ok(match source {
                Source::Binary(..) => Self::Binary(source, cursor.binary()?),
                _ => Self::Section(source, cursor.nstring()?),
            });
        }
        *cursor = start;
        let word = cursor.upper_word::<16>();
        if word.as_bytes() == b"BINARY.SIZE" {
            let path = PartPath::parse_binary(cursor)?;
            cursor.space()?;
            return Ok(Self::BinarySize(path, cursor.number()?));
        }
        if !cursor.eat(b' ') {
            return start.error("an item of a message");
        }
        Ok(match word.as_bytes() {
            b"FLAGS" => Self::Flags(Flags::parse(cursor, FlagSet::All)?),
            b"UID" => Self::Uid(cursor.nz_number()?),
            b"ENVELOPE" => Self::Envelope(Box::new(Envelope::parse(cursor)?)),
            b"INTERNALDATE" => Self::InternalDate(DateTime::parse(cursor)?),
            b"RFC822.SIZE" => Self::Rfc822Size(cursor.number64()?),
            b"BODY" => Self::Body(Body::parse(cursor)?),
            b"BODYSTRUCTURE" => Self::BodyStructure(Body::parse(cursor)?),
            b"MODSEQ" => {
                cursor.open()?;
                let modseq = cursor.number64()?;
                cursor.close()?;
                Self::ModSeq(modseq)
            }
            _ => return start.error("an item of a message"),
        })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Flags(flags) => {
                writer.raw(b"FLAGS ");
                flags.write(writer);
            }
            Self::Envelope(envelope) => {
                writer.raw(b"ENVELOPE ");
                envelope.write(writer);
            }
            Self::InternalDate(date) => {
                writer.raw(b"INTERNALDATE ");
                date.write(writer);
            }
            Self::Rfc822Size(octets) => {
                writer.raw(b"RFC822.SIZE ");
                writer.number(*octets);
            }
            Self::Body(body) => {
                writer.raw(b"BODY ");
                body.write(false, writer);
            }
            Self::BodyStructure(body) => {
                writer.raw(b"BODYSTRUCTURE ");
                body.write(true, writer);
            }
            Self::Uid(uid) => {
                writer.raw(b"UID ");
                writer.number(u64::from(uid.get()));
            }
            Self::ModSeq(modseq) => {
                writer.raw(b"MODSEQ (");
                writer.number(*modseq);
                writer.octet(b')');
            }
            Self::Section(source, octets) => {
                source.write(writer);
                writer.octet(b' ');
                writer.nstring(octets.as_ref());
            }
            Self::Binary(source, octets) => {
                source.write(writer);
                writer.octet(b' ');
                match octets {
                    // RFC 9051 §4.3.1: only literal8 has NUL.
                    Some(octets) if octets.contains(&0) => {
                        writer.raw(b"~");
                        writer.literal_head(octets.len() as u64);
                        writer.raw(octets);
                    }
                    octets => writer.nstring(octets.as_ref()),
                }
            }
            Self::BinarySize(path, octets) => {
                writer.raw(b"BINARY.SIZE");
                path.write_binary(writer);
                writer.octet(b' ');
                writer.number(u64::from(*octets));
            }
        }
    }
}

/// `["<" number ">"]`
fn origin(cursor: &mut Cursor<'_>) -> Parsed<Option<u64>> {
    if !cursor.eat(b'<') {
        return Ok(None);
    }
    let octet = cursor.number64()?;
    cursor.expect(b'>', "the end of an offset")?;
    Ok(Some(octet))
}
