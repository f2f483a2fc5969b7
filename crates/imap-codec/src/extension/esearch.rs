//! ESEARCH and SEARCHRES: what a search is to give back. [RFC 4731](https://www.rfc-editor.org/rfc/rfc4731),
//! [RFC 5182](https://www.rfc-editor.org/rfc/rfc5182), both part of IMAP4rev2.

use core::num::NonZeroU32;

use super::{Extension, Extensions};
use crate::encode::Writer;
use crate::parse::{Cursor, Parsed, Word};
use crate::types::sequence::SequenceSet;
use crate::types::string::IString;

/// What SEARCH RETURN asks for.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct ReturnOptions {
    /// The lowest number.
    pub min: bool,
    /// The highest number.
    pub max: bool,
    /// All numbers.
    pub all: bool,
    /// How many.
    pub count: bool,
    /// Keep the result as `$` (SEARCHRES).
    pub save: bool,
}

impl ReturnOptions {
    /// What an empty list means: ALL.
    pub const ALL: Self = Self { min: false, max: false, all: true, count: false, save: false };

    pub(crate) fn parse(cursor: &mut Cursor<'_>, extensions: Extensions) -> Parsed<Self> {
        let mut options = Self::default();
        cursor.each(|cursor| {
            let start = *cursor;
            let option = match cursor.upper_word::<16>().as_bytes() {
                b"MIN" => &mut options.min,
                b"MAX" => &mut options.max,
                b"ALL" => &mut options.all,
                b"COUNT" => &mut options.count,
                b"SAVE" if extensions.has(Extension::SearchRes) => &mut options.save,
                _ => return start.error("a return option"),
            };
            *option = true;
            Ok(())
        })?;
        Ok(if options == Self::default() { Self::ALL } else { options })
    }

    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        let words = [
            (self.min, "MIN"),
            (self.max, "MAX"),
            (self.all, "ALL"),
            (self.count, "COUNT"),
            (self.save, "SAVE"),
        ];
        let words = words.into_iter().filter(|(wanted, _)| *wanted);
        writer.list(words, |writer, (_, word)| writer.raw(word));
    }
}

/// The ESEARCH response. Data of other extensions is read over.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Esearch<'a> {
    /// The tag of the search.
    pub tag: Option<IString<'a>>,
    /// Whether the numbers are UIDs.
    pub uid: bool,
    /// The lowest number.
    pub min: Option<NonZeroU32>,
    /// The highest number.
    pub max: Option<NonZeroU32>,
    /// All numbers; nothing, if there are none.
    pub all: Option<SequenceSet<'a>>,
    /// How many.
    pub count: Option<u32>,
    /// The highest mod-sequence among them (CONDSTORE).
    pub modseq: Option<u64>,
}

impl<'a> Esearch<'a> {
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let mut found = Self::default();
        if cursor.eat_word(b" (TAG ") {
            found.tag = Some(cursor.astring()?);
            cursor.close()?;
        }
        while cursor.eat(b' ') {
            let word = cursor.word();
            let name = Word::<16>::new(word);
            if name.as_bytes() == b"UID" {
                found.uid = true;
                continue;
            }
            if word.is_empty() {
                return cursor.error("the name of a search result");
            }
            cursor.space()?;
            match name.as_bytes() {
                b"MIN" => found.min = Some(cursor.nz_number()?),
                b"MAX" => found.max = Some(cursor.nz_number()?),
                b"COUNT" => found.count = Some(cursor.number()?),
                b"MODSEQ" => found.modseq = Some(cursor.number64()?),
                b"ALL" => {
                    let start = *cursor;
                    let set = SequenceSet::parse(cursor)?;
                    if set.is_saved() {
                        return start.error("a set of numbers");
                    }
                    found.all = Some(set);
                }
                _ => cursor.skip_value()?,
            }
        }
        Ok(found)
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        self.write_head(writer);
        if let Some(all) = &self.all
            && !all.is_saved()
        {
            writer.raw(b" ALL ");
            all.write(writer);
        }
    }

    /// Everything but the numbers.
    pub(crate) fn write_head(&self, writer: &mut Writer<'_>) {
        if let Some(tag) = &self.tag {
            writer.raw(b" (TAG ");
            writer.string(tag.as_bytes());
            writer.octet(b')');
        }
        if self.uid {
            writer.raw(b" UID");
        }
        let numbers = [
            (" MIN ", self.min.map(NonZeroU32::get).map(u64::from)),
            (" MAX ", self.max.map(NonZeroU32::get).map(u64::from)),
            (" COUNT ", self.count.map(u64::from)),
            (" MODSEQ ", self.modseq),
        ];
        for (name, number) in numbers {
            if let Some(number) = number {
                writer.raw(name);
                writer.number(number);
            }
        }
    }
}
