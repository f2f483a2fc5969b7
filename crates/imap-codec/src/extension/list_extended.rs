//! LIST with options: LIST-EXTENDED ([RFC 5258](https://www.rfc-editor.org/rfc/rfc5258)). Those of SPECIAL-USE
//! ([RFC 6154](https://www.rfc-editor.org/rfc/rfc6154)) are words among the others.

use super::status::StatusAttributes;
use super::{Extension, Extensions, list_status};
use crate::encode::{Names, Writer};
use crate::parse::{Cursor, Parsed};
use crate::types::flag::{FlagSet, Flags};
use crate::types::mailbox::{Delimiter, Mailbox, Pattern};

/// The arguments of LIST.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct List<'a> {
    /// Which mailboxes; no option for the basic form.
    pub select: SelectOptions,
    /// What goes before the patterns; mostly empty.
    pub reference: Mailbox<'a>,
    /// What the names have to match: one or more.
    pub patterns: Patterns<'a>,
    /// What else to give back, where RETURN stands.
    pub returns: Option<ListReturn>,
    /// Whether the command has options or more than one pattern, or says RETURN: the answer may then be the extended one.
    pub extended: bool,
}

/// How many patterns a LIST may have.
pub const MOST_PATTERNS: usize = 1_000;

/// One pattern, as nearly always, or several.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Patterns<'a> {
    first: Pattern<'a>,
    more: Vec<Pattern<'a>>,
}

impl<'a> Patterns<'a> {
    /// The patterns.
    pub fn iter(&self) -> impl Iterator<Item = &Pattern<'a>> {
        core::iter::once(&self.first).chain(&self.more)
    }

    /// With one more.
    pub fn and(mut self, pattern: Pattern<'a>) -> Self {
        self.more.push(pattern);
        self
    }
}

impl<'a> From<Pattern<'a>> for Patterns<'a> {
    fn from(first: Pattern<'a>) -> Self {
        Self { first, more: Vec::new() }
    }
}

/// Which mailboxes are meant.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct SelectOptions {
    /// Those that are subscribed, be they there or not.
    pub subscribed: bool,
    /// Those on other servers too.
    pub remote: bool,
    /// Those above a matching one too; needs an option that can stand alone.
    pub recursive_match: bool,
    /// Those with a special use.
    pub special_use: bool,
}

/// What is given back of each mailbox.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub struct ListReturn {
    /// Whether it is subscribed.
    pub subscribed: bool,
    /// Whether there are mailboxes below it.
    pub children: bool,
    /// Its special use.
    pub special_use: bool,
    /// Its status, as responses of their own; nothing asked for is no status.
    pub status: StatusAttributes,
}

impl<'a> List<'a> {
    /// The basic form.
    pub fn new(reference: Mailbox<'a>, pattern: Pattern<'a>) -> Self {
        Self {
            select: SelectOptions::default(),
            reference,
            patterns: pattern.into(),
            returns: None,
            extended: false,
        }
    }

    /// Reads the arguments; the space in front of them has been read.
    pub(crate) fn parse(cursor: &mut Cursor<'a>, names: Names, extensions: Extensions) -> Parsed<Self> {
        let on = extensions.has(Extension::ListExtended);
        let mut select = SelectOptions::default();
        let mut extended = false;
        if on && cursor.peek() == Some(b'(') {
            select = SelectOptions::parse(cursor, extensions)?;
            cursor.space()?;
            extended = true;
        }
        let reference = Mailbox::parse(cursor, names)?;
        cursor.space()?;
        let patterns = if on && cursor.peek() == Some(b'(') {
            extended = true;
            let mut list =
                cursor.short_list(MOST_PATTERNS, |cursor| Pattern::parse(cursor, names))?.into_iter();
            let Some(first) = list.next() else {
                return cursor.error("a pattern");
            };
            Patterns { first, more: list.collect() }
        } else {
            Pattern::parse(cursor, names)?.into()
        };
        let mut returns = None;
        if on && cursor.eat_word(b" RETURN ") {
            returns = Some(ListReturn::parse(cursor, extensions)?);
            extended = true;
        }
        Ok(Self { select, reference, patterns, returns, extended })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        if self.extended {
            self.select.write(writer);
            writer.octet(b' ');
        }
        self.reference.write(writer);
        writer.octet(b' ');
        if self.patterns.more.is_empty() {
            self.patterns.first.write(writer);
        } else {
            writer.list(self.patterns.iter(), |writer, pattern| pattern.write(writer));
        }
        if let Some(returns) = &self.returns {
            writer.raw(b" RETURN ");
            returns.write(writer);
        }
    }
}

impl SelectOptions {
    fn parse(cursor: &mut Cursor<'_>, extensions: Extensions) -> Parsed<Self> {
        let mut options = Self::default();
        let list = *cursor;
        cursor.each(|cursor| {
            let start = *cursor;
            let option = match cursor.upper_word::<16>().as_bytes() {
                b"SUBSCRIBED" => &mut options.subscribed,
                b"REMOTE" => &mut options.remote,
                b"RECURSIVEMATCH" => &mut options.recursive_match,
                b"SPECIAL-USE" if extensions.has(Extension::SpecialUse) => &mut options.special_use,
                _ => return start.error("a selection option"),
            };
            *option = true;
            Ok(())
        })?;
        // RFC 5258 §3.1: RECURSIVEMATCH modifies another option, and REMOTE is none that it could.
        if options.recursive_match && !options.subscribed && !options.special_use {
            return list.error("an option that RECURSIVEMATCH can modify");
        }
        Ok(options)
    }

    fn write(self, writer: &mut Writer<'_>) {
        let words = [
            (self.subscribed, "SUBSCRIBED"),
            (self.remote, "REMOTE"),
            (self.recursive_match, "RECURSIVEMATCH"),
            (self.special_use, "SPECIAL-USE"),
        ];
        let words = words.into_iter().filter(|(wanted, _)| *wanted);
        writer.list(words, |writer, (_, word)| writer.raw(word));
    }
}

/// One of its options, as it is written.
enum Return {
    Word(&'static str),
    Status(StatusAttributes),
}

impl ListReturn {
    fn parse(cursor: &mut Cursor<'_>, extensions: Extensions) -> Parsed<Self> {
        let mut returns = Self::default();
        cursor.each(|cursor| {
            let start = *cursor;
            match cursor.upper_word::<16>().as_bytes() {
                b"SUBSCRIBED" => returns.subscribed = true,
                b"CHILDREN" => returns.children = true,
                b"SPECIAL-USE" if extensions.has(Extension::SpecialUse) => returns.special_use = true,
                b"STATUS" if extensions.has(Extension::ListStatus) => {
                    returns.status = list_status::parse(cursor, extensions)?;
                }
                _ => return start.error("a return option"),
            }
            Ok(())
        })?;
        Ok(returns)
    }

    fn write(self, writer: &mut Writer<'_>) {
        let words =
            [(self.subscribed, "SUBSCRIBED"), (self.children, "CHILDREN"), (self.special_use, "SPECIAL-USE")];
        let words = words.into_iter().filter(|(wanted, _)| *wanted).map(|(_, word)| Return::Word(word));
        let status = (self.status != StatusAttributes::default()).then_some(Return::Status(self.status));
        writer.list(words.chain(status), |writer, one| match one {
            Return::Word(word) => writer.raw(word),
            Return::Status(attributes) => list_status::write(attributes, writer),
        });
    }
}

/// The LIST and LSUB responses. Extended items other than these are read over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ListEntry<'a> {
    /// `\Noselect`, `\HasChildren`, `\Subscribed`, `\Sent` and the like.
    pub attributes: Flags<'a>,
    /// What stands between levels, if there are levels.
    pub delimiter: Option<Delimiter>,
    /// The mailbox.
    pub mailbox: Mailbox<'a>,
    /// CHILDINFO with SUBSCRIBED: a mailbox below it matches the selection option.
    pub child_subscribed: bool,
    /// OLDNAME: the name that it had, or that was asked for.
    pub old_name: Option<Mailbox<'a>>,
}

impl<'a> ListEntry<'a> {
    /// A mailbox without extended items.
    pub fn new(attributes: Flags<'a>, delimiter: Option<Delimiter>, mailbox: Mailbox<'a>) -> Self {
        Self { attributes, delimiter, mailbox, child_subscribed: false, old_name: None }
    }

    pub(crate) fn parse(cursor: &mut Cursor<'a>, names: Names) -> Parsed<Self> {
        let attributes = Flags::parse(cursor, FlagSet::All)?;
        cursor.space()?;
        let delimiter = Delimiter::parse(cursor)?;
        cursor.space()?;
        let mut entry = Self::new(attributes, delimiter, Mailbox::parse(cursor, names)?);
        if cursor.eat(b' ') {
            cursor.each(|cursor| {
                let tag = cursor.astring()?;
                cursor.space()?;
                if tag.as_bytes().eq_ignore_ascii_case(b"CHILDINFO") {
                    cursor.each(|cursor| {
                        let option = cursor.astring()?;
                        entry.child_subscribed |= option.as_bytes().eq_ignore_ascii_case(b"SUBSCRIBED");
                        Ok(())
                    })
                } else if tag.as_bytes().eq_ignore_ascii_case(b"OLDNAME") {
                    cursor.open()?;
                    entry.old_name = Some(Mailbox::parse(cursor, names)?);
                    cursor.close()
                } else {
                    cursor.skip_value()
                }
            })?;
        }
        Ok(entry)
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        self.attributes.write(writer);
        writer.octet(b' ');
        Delimiter::write(self.delimiter, writer);
        writer.octet(b' ');
        self.mailbox.write(writer);
        if !self.child_subscribed && self.old_name.is_none() {
            return;
        }
        writer.raw(b" (");
        if self.child_subscribed {
            writer.raw(b"\"CHILDINFO\" (\"SUBSCRIBED\")");
        }
        if let Some(name) = &self.old_name {
            writer.raw(if self.child_subscribed { &b" \"OLDNAME\" ("[..] } else { b"\"OLDNAME\" (" });
            name.write(writer);
            writer.octet(b')');
        }
        writer.octet(b')');
    }
}
