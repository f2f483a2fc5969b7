//! Responses: types, parser, encoder.

pub mod code;
pub mod fetch;

use core::num::NonZeroU32;
use std::borrow::Cow;

use bytes::BytesMut;

pub use self::code::Code;
pub use self::fetch::{Fetch, FetchItem, Source};
use crate::encode::{Literals, Names, Wire, Writer};
use crate::error::ParseError;
use crate::extension::esearch::Esearch;
use crate::extension::id::Id;
use crate::extension::list_extended::ListEntry;
use crate::extension::namespace::Namespaces;
use crate::extension::quota::{Quota, QuotaRoot};
use crate::extension::status::StatusValues;
use crate::extension::{Capabilities, condstore};
use crate::parse::{Cursor, Parsed, Word};
use crate::types::flag::{FlagSet, Flags};
use crate::types::mailbox::Mailbox;
use crate::types::string::{Text, is_astring_char};
use crate::types::tag::Tag;

/// One response of a server: [RFC 9051 §7](https://www.rfc-editor.org/rfc/rfc9051#section-7).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Response<'a> {
    /// The end of a command.
    Tagged(Tag<'a>, Status<'a>),
    /// `*`: data, to a command or not.
    Untagged(Data<'a>),
    /// `+`: go on. What follows is base64 in a login, and text for people elsewhere; nothing has looked at it.
    Continue(Text<'a>),
}

/// How a command went, or is going.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Status<'a> {
    /// OK, NO or BAD.
    pub condition: Condition,
    /// What a program is to understand.
    pub code: Option<Code<'a>>,
    /// What people may read.
    pub text: Text<'a>,
}

/// What a server says with OK, NO, BAD or BYE: a text, or a [`Code`] and a text.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Reply<'a> {
    /// What a program is to understand.
    pub code: Option<Code<'a>>,
    /// What people may read.
    pub text: Text<'a>,
}

impl<'a> Reply<'a> {
    pub(crate) fn with_condition(self, condition: Condition) -> Status<'a> {
        Status { condition, code: self.code, text: self.text }
    }
}

impl<'a> From<&'a str> for Reply<'a> {
    fn from(text: &'a str) -> Self {
        Self { code: None, text: text.into() }
    }
}

impl<'a> From<(Code<'a>, &'a str)> for Reply<'a> {
    fn from((code, text): (Code<'a>, &'a str)) -> Self {
        Self { code: Some(code), text: text.into() }
    }
}

/// OK, NO or BAD, and what servers say in place of them.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Condition {
    /// Done.
    Ok,
    /// Not done.
    No,
    /// Not understood.
    Bad,
    /// Only untagged: the server closes the connection.
    Bye,
    /// Only in the greeting: no login is needed.
    PreAuth,
}

impl Condition {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::Bye => "BYE",
            Self::PreAuth => "PREAUTH",
        }
    }

    fn from_word(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"OK" => Self::Ok,
            b"NO" => Self::No,
            b"BAD" => Self::Bad,
            b"BYE" => Self::Bye,
            b"PREAUTH" => Self::PreAuth,
            _ => return None,
        })
    }
}

/// What stands behind `*`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Data<'a> {
    /// `OK`, `NO`, `BAD`, `BYE`, `PREAUTH`
    Status(Status<'a>),
    /// `CAPABILITY`
    Capability(Capabilities<'a>),
    /// `ENABLED`
    Enabled(Capabilities<'a>),
    /// `ID`
    Id(Id<'a>),
    /// `NAMESPACE`
    Namespace(Namespaces<'a>),
    /// `LIST`
    List(ListEntry<'a>),
    /// `LSUB`; IMAP4rev1 only.
    Lsub(ListEntry<'a>),
    /// `STATUS`
    MailboxStatus(Mailbox<'a>, StatusValues),
    /// `FLAGS`: those that the mailbox knows.
    Flags(Flags<'a>),
    /// `SEARCH`; only to clients of IMAP4rev1 that did not say RETURN.
    Search {
        /// The numbers found.
        numbers: Cow<'a, [NonZeroU32]>,
        /// The highest mod-sequence among them (CONDSTORE); not written where nothing was found.
        modseq: Option<u64>,
    },
    /// `ESEARCH`
    Esearch(Esearch<'a>),
    /// `EXISTS`: how many messages there are.
    Exists(u32),
    /// `RECENT`; IMAP4rev1 only.
    Recent(u32),
    /// `EXPUNGE`: this message is gone, and all higher numbers are one less.
    Expunge(NonZeroU32),
    /// `FETCH`
    Fetch(Fetch<'a>),
    /// `QUOTA`
    Quota(Quota<'a>),
    /// `QUOTAROOT`
    QuotaRoot(QuotaRoot<'a>),
}

impl<'a> Status<'a> {
    /// A status with a text.
    pub fn new(condition: Condition, text: impl Into<Text<'a>>) -> Self {
        Self { condition, code: None, text: text.into() }
    }

    /// OK with a text.
    pub fn ok(text: impl Into<Text<'a>>) -> Self {
        Self::new(Condition::Ok, text)
    }

    /// NO with a text.
    pub fn no(text: impl Into<Text<'a>>) -> Self {
        Self::new(Condition::No, text)
    }

    /// BAD with a text.
    pub fn bad(text: impl Into<Text<'a>>) -> Self {
        Self::new(Condition::Bad, text)
    }

    /// With a code.
    pub fn with(mut self, code: Code<'a>) -> Self {
        self.code = Some(code);
        self
    }

    /// What stands behind OK and the like: a space, then a code or a text or both, or nothing at all.
    fn parse(condition: Condition, cursor: &mut Cursor<'a>) -> Self {
        cursor.eat(b' ');
        let mut code = None;
        let mut ahead = *cursor;
        if ahead.peek() == Some(b'[')
            && let Ok(read) = Code::parse(&mut ahead)
        {
            code = Some(read);
            *cursor = ahead;
            cursor.eat(b' ');
        }
        let text = Text::parse(cursor.take_while(|_| true));
        Self { condition, code, text }
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.raw(self.condition.as_str());
        writer.octet(b' ');
        if let Some(code) = &self.code {
            code.write(writer);
            writer.octet(b' ');
        }
        write_text(&self.text, writer);
    }
}

/// RFC 9051 §9: text beyond ASCII only to those who have said that they can read it.
fn write_text(text: &Text<'_>, writer: &mut Writer<'_>) {
    let text = text.as_str();
    if text.is_ascii() || writer.wire.names == Names::Utf8 {
        writer.raw(text);
    } else {
        text.chars().for_each(|c| writer.octet(if c.is_ascii() { c as u8 } else { b'?' }));
    }
}

impl<'a> Response<'a> {
    /// Reads one whole response, its literals included and its last CRLF left off.
    pub fn parse(octets: &'a [u8], names: Names) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(octets);
        if cursor.eat(b'+') {
            cursor.eat(b' ');
            return Ok(Self::Continue(Text::parse(cursor.rest())));
        }
        if cursor.eat_word(b"* ") {
            let data = Data::parse(&mut cursor, names)?;
            // Some servers end a line with a space.
            cursor.eat(b' ');
            cursor.end()?;
            return Ok(Self::Untagged(data));
        }
        let tag = crate::command::parse_tag(&mut cursor)?;
        let start = cursor;
        match Condition::from_word(cursor.upper_word::<8>().as_bytes()) {
            Some(condition @ (Condition::Ok | Condition::No | Condition::Bad))
                if matches!(cursor.peek(), Some(b' ') | None) =>
            {
                Ok(Self::Tagged(tag, Status::parse(condition, &mut cursor)))
            }
            _ => start.error("OK, NO or BAD"),
        }
    }

    /// Writes the response with its CRLF.
    pub fn encode(&self, names: Names, out: &mut BytesMut) {
        let mut writer = Writer::new(Wire { names, literals: Literals::Synchronizing }, out);
        match self {
            Self::Tagged(tag, status) => {
                writer.raw(tag.as_str());
                writer.octet(b' ');
                status.write(&mut writer);
            }
            Self::Untagged(data) => {
                writer.raw(b"* ");
                data.write(&mut writer);
            }
            Self::Continue(text) => {
                writer.raw(b"+ ");
                write_text(text, &mut writer);
            }
        }
        writer.raw(b"\r\n");
    }
}

impl<'a> Data<'a> {
    fn parse(cursor: &mut Cursor<'a>, names: Names) -> Parsed<Self> {
        let start = *cursor;
        if cursor.peek().is_some_and(|octet| octet.is_ascii_digit()) {
            return Self::parse_numbered(cursor);
        }
        let word = cursor.upper_word::<12>();
        if let Some(condition) = Condition::from_word(word.as_bytes()) {
            return match cursor.peek() {
                None | Some(b' ') => Ok(Self::Status(Status::parse(condition, cursor))),
                _ => start.error("a response"),
            };
        }
        match word.as_bytes() {
            b"CAPABILITY" => return Ok(Self::Capability(Capabilities::parse(cursor)?)),
            b"ENABLED" => return Ok(Self::Enabled(Capabilities::parse(cursor)?)),
            b"NAMESPACE" => return Ok(Self::Namespace(Namespaces::parse(cursor, names)?)),
            b"ESEARCH" => return Ok(Self::Esearch(Esearch::parse(cursor)?)),
            b"SEARCH" => return Self::parse_search(cursor),
            _ => {}
        }
        if !cursor.eat(b' ') {
            return start.error("a response");
        }
        Ok(match word.as_bytes() {
            b"ID" => Self::Id(Id::parse(cursor)?),
            b"LIST" => Self::List(ListEntry::parse(cursor, names)?),
            b"LSUB" => Self::Lsub(ListEntry::parse(cursor, names)?),
            b"FLAGS" => Self::Flags(Flags::parse(cursor, FlagSet::All)?),
            b"QUOTA" => Self::Quota(Quota::parse(cursor)?),
            b"QUOTAROOT" => Self::QuotaRoot(QuotaRoot::parse(cursor, names)?),
            b"STATUS" => {
                let mailbox = Mailbox::parse(cursor, names)?;
                cursor.space()?;
                Self::MailboxStatus(mailbox, StatusValues::parse(cursor)?)
            }
            _ => return start.error("a response"),
        })
    }

    fn parse_numbered(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let start = *cursor;
        let number = cursor.number()?;
        cursor.space()?;
        let word = cursor.upper_word::<8>();
        match word.as_bytes() {
            b"EXISTS" => return Ok(Self::Exists(number)),
            b"RECENT" => return Ok(Self::Recent(number)),
            _ => {}
        }
        let Some(number) = NonZeroU32::new(number) else {
            return start.error("a number above zero");
        };
        match word.as_bytes() {
            b"EXPUNGE" => Ok(Self::Expunge(number)),
            b"FETCH" => {
                cursor.space()?;
                Ok(Self::Fetch(Fetch::parse(number, cursor)?))
            }
            _ => start.error("a response"),
        }
    }

    fn parse_search(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let (mut numbers, mut modseq) = (Vec::new(), None);
        while cursor.eat(b' ') {
            if cursor.is_empty() {
                break;
            }
            if cursor.eat_word(b"(MODSEQ ") {
                modseq = Some(cursor.number64()?);
                cursor.close()?;
                break;
            }
            numbers.push(cursor.nz_number()?);
        }
        Ok(Self::Search { numbers: Cow::Owned(numbers), modseq })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        let word = |writer: &mut Writer<'_>, word: &str| writer.raw(word);
        match self {
            Self::Status(status) => status.write(writer),
            Self::Capability(words) => {
                word(writer, "CAPABILITY");
                words.write(writer);
            }
            Self::Enabled(words) => {
                word(writer, "ENABLED");
                words.write(writer);
            }
            Self::Id(id) => {
                word(writer, "ID ");
                id.write(writer);
            }
            Self::Namespace(namespaces) => {
                word(writer, "NAMESPACE");
                namespaces.write(writer);
            }
            Self::List(entry) => {
                word(writer, "LIST ");
                entry.write(writer);
            }
            Self::Lsub(entry) => {
                word(writer, "LSUB ");
                entry.write(writer);
            }
            Self::MailboxStatus(mailbox, values) => {
                word(writer, "STATUS ");
                mailbox.write(writer);
                writer.octet(b' ');
                values.write(writer);
            }
            Self::Flags(flags) => {
                word(writer, "FLAGS ");
                flags.write(writer);
            }
            Self::Search { numbers, modseq } => {
                word(writer, "SEARCH");
                for number in &**numbers {
                    writer.octet(b' ');
                    writer.number(u64::from(number.get()));
                }
                condstore::write_found(modseq.filter(|_| !numbers.is_empty()), writer);
            }
            Self::Esearch(found) => {
                word(writer, "ESEARCH");
                found.write(writer);
            }
            Self::Exists(count) => {
                writer.number(u64::from(*count));
                word(writer, " EXISTS");
            }
            Self::Recent(count) => {
                writer.number(u64::from(*count));
                word(writer, " RECENT");
            }
            Self::Expunge(number) => {
                writer.number(u64::from(number.get()));
                word(writer, " EXPUNGE");
            }
            Self::Fetch(fetch) => fetch.write(writer),
            Self::Quota(quota) => {
                word(writer, "QUOTA ");
                quota.write(writer);
            }
            Self::QuotaRoot(root) => {
                word(writer, "QUOTAROOT ");
                root.write(writer);
            }
        }
    }
}

/// Whether a line is one of text for people, in which `{5}` at the end announces nothing.
pub(crate) fn is_text(line: &[u8]) -> bool {
    if line.starts_with(b"+") {
        return true;
    }
    let mut words = line.splitn(3, |octet| *octet == b' ');
    let Some(tag) =
        words.next().filter(|tag| tag.iter().all(|octet| is_astring_char(*octet) || *octet == b'*'))
    else {
        return false;
    };
    let word = words.next().unwrap_or_default();
    let condition = Condition::from_word(Word::<8>::new(word).as_bytes()).is_some();
    !tag.is_empty() && condition
}
