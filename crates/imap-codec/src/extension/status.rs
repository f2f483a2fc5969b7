//! What STATUS asks for and answers: RFC 9051, and what extensions add to it. STATUS=SIZE
//! ([RFC 8438](https://www.rfc-editor.org/rfc/rfc8438)), CONDSTORE and QUOTA add a line to the table each.

use core::num::NonZeroU32;

use super::{Extension, Extensions, append_limit};
use crate::encode::Writer;
use crate::parse::{Cursor, Parsed};

macro_rules! attributes {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// An attribute of a mailbox.
        #[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
        #[non_exhaustive]
        pub enum StatusAttribute {
            $($(#[$doc])* $name,)*
        }

        impl StatusAttribute {
            const EVERY: &'static [Self] = &[$(Self::$name),*];

            const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

attributes! {
    /// How many messages there are.
    Messages = "MESSAGES",
    /// How many are recent; IMAP4rev1 only.
    Recent = "RECENT",
    /// The UID that the next message will have, at least.
    UidNext = "UIDNEXT",
    /// What makes UIDs valid.
    UidValidity = "UIDVALIDITY",
    /// How many have no `\Seen`.
    Unseen = "UNSEEN",
    /// How many have `\Deleted`: IMAP4rev2 and QUOTA.
    Deleted = "DELETED",
    /// The octets of all messages: STATUS=SIZE.
    Size = "SIZE",
    /// The highest mod-sequence: CONDSTORE.
    HighestModSeq = "HIGHESTMODSEQ",
    /// The octets that would be free without messages that have `\Deleted`: QUOTA.
    DeletedStorage = "DELETED-STORAGE",
    /// The size of the largest message: APPENDLIMIT.
    AppendLimit = "APPENDLIMIT",
}

impl StatusAttribute {
    const fn bit(self) -> u16 {
        1 << self as u16
    }

    fn read(cursor: &mut Cursor<'_>) -> Option<Self> {
        let word = cursor.word();
        Self::EVERY.iter().copied().find(|each| each.as_str().as_bytes().eq_ignore_ascii_case(word))
    }

    /// Any of these lets a client ask for it; none, and every server must know it.
    const fn needs(self) -> &'static [Extension] {
        match self {
            Self::Size => &[Extension::StatusSize],
            Self::Recent => &[Extension::Imap4Rev1],
            Self::Deleted => &[Extension::Imap4Rev2, Extension::Quota],
            Self::DeletedStorage => &[Extension::Quota],
            Self::HighestModSeq => &[Extension::Condstore],
            Self::AppendLimit => &[Extension::AppendLimit],
            _ => &[],
        }
    }
}

/// A set of attributes.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct StatusAttributes(u16);

impl StatusAttributes {
    /// With one more.
    pub const fn with(self, attribute: StatusAttribute) -> Self {
        Self(self.0 | attribute.bit())
    }

    /// Whether an attribute is in the set.
    pub const fn has(self, attribute: StatusAttribute) -> bool {
        self.0 & attribute.bit() != 0
    }

    /// Those in the set.
    pub fn iter(self) -> impl Iterator<Item = StatusAttribute> {
        StatusAttribute::EVERY.iter().copied().filter(move |attribute| self.has(*attribute))
    }

    pub(crate) fn parse(cursor: &mut Cursor<'_>, extensions: Extensions) -> Parsed<Self> {
        let mut attributes = Self::default();
        cursor.each(|cursor| {
            let start = *cursor;
            match StatusAttribute::read(cursor) {
                Some(attribute)
                    if attribute.needs().is_empty()
                        || attribute.needs().iter().any(|one| extensions.has(*one)) =>
                {
                    attributes = attributes.with(attribute);
                    Ok(())
                }
                _ => start.error("a status item"),
            }
        })?;
        if attributes == Self::default() { cursor.error("a status item") } else { Ok(attributes) }
    }

    pub(crate) fn write(self, writer: &mut Writer<'_>) {
        writer.list(self.iter(), |writer, attribute| writer.raw(attribute.as_str()));
    }
}

/// The attributes of a mailbox: those that were asked for, or given.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct StatusValues {
    /// How many messages there are.
    pub messages: Option<u32>,
    /// How many are recent; IMAP4rev1 only.
    pub recent: Option<u32>,
    /// The UID that the next message will have, at least.
    pub uid_next: Option<NonZeroU32>,
    /// What makes UIDs valid.
    pub uid_validity: Option<NonZeroU32>,
    /// How many have no `\Seen`.
    pub unseen: Option<u32>,
    /// How many have `\Deleted`.
    pub deleted: Option<u32>,
    /// The octets of all messages.
    pub size: Option<u64>,
    /// The highest mod-sequence.
    pub highest_modseq: Option<u64>,
    /// The octets that would be free without messages that have `\Deleted`.
    pub deleted_storage: Option<u64>,
    /// The size of the largest message; `Some(None)` says that there is no limit of its own (`NIL`).
    pub append_limit: Option<Option<u32>>,
}

/// One of them, as it is written.
enum Value {
    Number(u64),
    Limit(Option<u32>),
}

impl StatusValues {
    pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Self> {
        let mut values = Self::default();
        cursor.each(|cursor| {
            let start = *cursor;
            let attribute = StatusAttribute::read(cursor);
            if cursor.at() == start.at() {
                return cursor.error("a status item");
            }
            cursor.space()?;
            match attribute {
                Some(StatusAttribute::Messages) => values.messages = Some(cursor.number()?),
                Some(StatusAttribute::Recent) => values.recent = Some(cursor.number()?),
                Some(StatusAttribute::UidNext) => values.uid_next = Some(cursor.nz_number()?),
                Some(StatusAttribute::UidValidity) => values.uid_validity = Some(cursor.nz_number()?),
                Some(StatusAttribute::Unseen) => values.unseen = Some(cursor.number()?),
                Some(StatusAttribute::Deleted) => values.deleted = Some(cursor.number()?),
                Some(StatusAttribute::Size) => values.size = Some(cursor.number64()?),
                Some(StatusAttribute::HighestModSeq) => values.highest_modseq = Some(cursor.number64()?),
                Some(StatusAttribute::DeletedStorage) => values.deleted_storage = Some(cursor.number64()?),
                Some(StatusAttribute::AppendLimit) => {
                    values.append_limit = Some(append_limit::parse(cursor)?);
                }
                // RFC 9051 §9: extensions add items of a known shape.
                None => cursor.skip_value()?,
            }
            Ok(())
        })?;
        Ok(values)
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        let number = |value: Option<u64>| value.map(Value::Number);
        let values = [
            (StatusAttribute::Messages, number(self.messages.map(u64::from))),
            (StatusAttribute::Recent, number(self.recent.map(u64::from))),
            (StatusAttribute::UidNext, number(self.uid_next.map(NonZeroU32::get).map(u64::from))),
            (StatusAttribute::UidValidity, number(self.uid_validity.map(NonZeroU32::get).map(u64::from))),
            (StatusAttribute::Unseen, number(self.unseen.map(u64::from))),
            (StatusAttribute::Deleted, number(self.deleted.map(u64::from))),
            (StatusAttribute::Size, number(self.size)),
            (StatusAttribute::HighestModSeq, number(self.highest_modseq)),
            (StatusAttribute::DeletedStorage, number(self.deleted_storage)),
            (StatusAttribute::AppendLimit, self.append_limit.map(Value::Limit)),
        ];
        let values = values.into_iter().filter_map(|(attribute, value)| Some((attribute, value?)));
        writer.list(values, |writer, (attribute, value)| {
            writer.raw(attribute.as_str());
            writer.octet(b' ');
            match value {
                Value::Number(number) => writer.number(number),
                Value::Limit(limit) => append_limit::write(limit, writer),
            }
        });
    }
}
