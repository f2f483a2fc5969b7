//! Flags and keywords of messages, and the attributes of mailboxes, which look alike.

use core::fmt;
use std::borrow::Cow;

use crate::encode::Writer;
use crate::error::Invalid;
use crate::parse::{Cursor, Parsed};
use crate::types::string::{Atom, Words, is_atom_char};

/// A flag: [RFC 9051 §2.3.2](https://www.rfc-editor.org/rfc/rfc9051#section-2.3.2).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Flag<'a> {
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Seen`
    Seen,
    /// `\Draft`
    Draft,
    /// `\Recent`: only from servers, only to clients of IMAP4rev1.
    Recent,
    /// `\*`: only in PERMANENTFLAGS, new keywords may be made.
    Any,
    /// `$Forwarded`, `work`: a keyword.
    Keyword(Atom<'a>),
    /// `\Another`, without its backslash: of an extension, or an attribute of a mailbox.
    Extension(Atom<'a>),
}

impl<'a> Flag<'a> {
    /// Takes a flag as it is written, backslash included.
    pub fn new(text: &'a str) -> Result<Self, Invalid> {
        let Some(name) = text.strip_prefix('\\') else {
            return Atom::new(text).map(Self::Keyword).map_err(|_| Invalid("a flag"));
        };
        Ok(match name {
            "*" => Self::Any,
            _ if name.eq_ignore_ascii_case("Answered") => Self::Answered,
            _ if name.eq_ignore_ascii_case("Flagged") => Self::Flagged,
            _ if name.eq_ignore_ascii_case("Deleted") => Self::Deleted,
            _ if name.eq_ignore_ascii_case("Seen") => Self::Seen,
            _ if name.eq_ignore_ascii_case("Draft") => Self::Draft,
            _ if name.eq_ignore_ascii_case("Recent") => Self::Recent,
            _ => Self::Extension(Atom::new(name).map_err(|_| Invalid("a flag"))?),
        })
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Flag<'static> {
        match self {
            Self::Answered => Flag::Answered,
            Self::Flagged => Flag::Flagged,
            Self::Deleted => Flag::Deleted,
            Self::Seen => Flag::Seen,
            Self::Draft => Flag::Draft,
            Self::Recent => Flag::Recent,
            Self::Any => Flag::Any,
            Self::Keyword(name) => Flag::Keyword(name.into_owned()),
            Self::Extension(name) => Flag::Extension(name.into_owned()),
        }
    }
}

impl fmt::Display for Flag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered => f.write_str("\\Answered"),
            Self::Flagged => f.write_str("\\Flagged"),
            Self::Deleted => f.write_str("\\Deleted"),
            Self::Seen => f.write_str("\\Seen"),
            Self::Draft => f.write_str("\\Draft"),
            Self::Recent => f.write_str("\\Recent"),
            Self::Any => f.write_str("\\*"),
            Self::Keyword(name) => f.write_str(name.as_str()),
            Self::Extension(name) => write!(f, "\\{}", name.as_str()),
        }
    }
}

/// Any number of flags, in the order in which they came.
#[derive(Clone, Debug, Default)]
pub struct Flags<'a>(Words<'a>);

/// Which flags a place takes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum FlagSet {
    /// In commands: not `\Recent`, which only servers set.
    Settable,
    /// In responses.
    All,
}

impl<'a> Flags<'a> {
    /// These flags.
    pub fn new<'f>(flags: impl IntoIterator<Item = Flag<'f>>) -> Self {
        let mut words = Words::default();
        for flag in flags {
            words.push(&flag.to_string());
        }
        Self(words)
    }

    /// The flags.
    pub fn iter(&self) -> impl Iterator<Item = Flag<'_>> {
        self.0.iter().map(|word| Flag::new(word).expect("every word has been looked at"))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }

    /// Whether this flag is among them.
    pub fn contains(&self, flag: &Flag<'_>) -> bool {
        self.iter().any(|each| each == *flag)
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Flags<'static> {
        Flags(self.0.into_owned())
    }

    /// Reads a list in parentheses.
    pub(crate) fn parse(cursor: &mut Cursor<'a>, set: FlagSet) -> Parsed<Self> {
        let start = cursor.at();
        cursor.each(|cursor| skip_flag(cursor, set))?;
        let text = cursor.since(start);
        Ok(Self(Words::trusted(&text[1..text.len() - 1])))
    }

    /// Reads one or more flags without parentheses.
    pub(crate) fn parse_bare(cursor: &mut Cursor<'a>, set: FlagSet) -> Parsed<Self> {
        let start = cursor.at();
        loop {
            skip_flag(cursor, set)?;
            if !cursor.eat(b' ') {
                return Ok(Self(Words::trusted(cursor.since(start))));
            }
        }
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.octet(b'(');
        writer.raw(&*self.0.0);
        writer.octet(b')');
    }
}

impl PartialEq for Flags<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Flags<'_> {}

impl<'a> TryFrom<&'a str> for Flags<'a> {
    type Error = Invalid;

    /// Takes flags with single spaces between them.
    fn try_from(text: &'a str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        text.split(' ').try_for_each(|word| Flag::new(word).map(drop))?;
        Ok(Self(Words(Cow::Borrowed(text))))
    }
}

fn skip_flag(cursor: &mut Cursor<'_>, set: FlagSet) -> Parsed<()> {
    let start = *cursor;
    if cursor.eat(b'\\') {
        if cursor.eat(b'*') {
            return if set == FlagSet::All { Ok(()) } else { start.error("a flag that can be set") };
        }
        let name = cursor.atom("the name of a flag")?;
        // RFC 3501 §2.3.2: \Recent cannot be altered by the client.
        if set == FlagSet::Settable && name.eq_ignore_ascii_case("Recent") {
            return start.error("a flag that can be set");
        }
        return Ok(());
    }
    cursor.atom("a flag").map(drop)
}

/// Reads one keyword, as SEARCH KEYWORD has it.
pub(crate) fn keyword<'a>(cursor: &mut Cursor<'a>) -> Parsed<Atom<'a>> {
    let text = cursor.take_while(is_atom_char);
    if text.is_empty() {
        return cursor.error("a keyword");
    }
    Ok(Atom::trusted(crate::parse::ascii(text)))
}
