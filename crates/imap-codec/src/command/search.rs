//! What SEARCH looks for.

use core::fmt;
use std::borrow::Cow;

use bytes::BytesMut;

use crate::encode::{Wire, Writer};
use crate::error::Invalid;
use crate::extension::condstore::ModSeqKey;
use crate::extension::esearch::ReturnOptions;
use crate::extension::{Extension, Extensions, search_res};
use crate::parse::{Cursor, Parsed};
use crate::types::datetime::Date;
use crate::types::flag::keyword;
use crate::types::sequence::SequenceSet;
use crate::types::string::{Atom, IString};

/// How deep keys within keys may be: parentheses, NOT and OR each count.
pub const NESTING: u32 = 32;

/// The arguments of SEARCH: [RFC 9051 §6.4.4](https://www.rfc-editor.org/rfc/rfc9051#section-6.4.4).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Search<'a> {
    /// What to give back, where RETURN stands: the answer is then ESEARCH.
    pub returns: Option<ReturnOptions>,
    /// The charset of the strings, if one is named; US-ASCII or UTF-8 otherwise.
    pub charset: Option<IString<'a>>,
    /// What messages have to match: all of it.
    pub keys: SearchKeys<'a>,
}

/// One key or more, all of which have to match: as they came, looked at once, and taken apart as they are walked.
#[derive(Clone)]
pub struct SearchKeys<'a>(Cow<'a, [u8]>);

/// What a message has to match.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SearchKey<'a> {
    /// `ALL`
    All,
    /// `ANSWERED`
    Answered,
    /// `BCC`: the field has this text.
    Bcc(IString<'a>),
    /// `BEFORE`: it came before this day.
    Before(Date),
    /// `BODY`: the body has this text.
    Body(IString<'a>),
    /// `CC`
    Cc(IString<'a>),
    /// `DELETED`
    Deleted,
    /// `DRAFT`
    Draft,
    /// `FLAGGED`
    Flagged,
    /// `FROM`
    From(IString<'a>),
    /// `HEADER`: a field of this name has this text; with an empty one, there is such a field.
    Header(IString<'a>, IString<'a>),
    /// `KEYWORD`
    Keyword(Atom<'a>),
    /// `LARGER`: more octets than this.
    Larger(u64),
    /// `MODSEQ`: CONDSTORE.
    ModSeq(ModSeqKey<'a>),
    /// `NEW`: `(RECENT UNSEEN)`; IMAP4rev1 only.
    New,
    /// `NOT`: the one key within does not match.
    Not(SearchKeys<'a>),
    /// `OLD`: `NOT RECENT`; IMAP4rev1 only.
    Old,
    /// `ON`: it came on this day.
    On(Date),
    /// `OR`: one of the two keys matches.
    Or(SearchKeys<'a>, SearchKeys<'a>),
    /// `RECENT`: IMAP4rev1 only.
    Recent,
    /// `SEEN`
    Seen,
    /// `SENTBEFORE`: its Date is before this day.
    SentBefore(Date),
    /// `SENTON`
    SentOn(Date),
    /// `SENTSINCE`
    SentSince(Date),
    /// `SINCE`
    Since(Date),
    /// `SMALLER`: fewer octets than this.
    Smaller(u64),
    /// `SUBJECT`
    Subject(IString<'a>),
    /// `TEXT`: header or body have this text.
    Text(IString<'a>),
    /// `TO`
    To(IString<'a>),
    /// `UID`
    Uid(SequenceSet<'a>),
    /// `UNANSWERED`
    Unanswered,
    /// `UNDELETED`
    Undeleted,
    /// `UNDRAFT`
    Undraft,
    /// `UNFLAGGED`
    Unflagged,
    /// `UNKEYWORD`
    Unkeyword(Atom<'a>),
    /// `UNSEEN`
    Unseen,
    /// Sequence numbers.
    Numbers(SequenceSet<'a>),
    /// Keys in parentheses, all of which have to match.
    Group(SearchKeys<'a>),
}

impl<'a> Search<'a> {
    /// Looks for messages that match all keys.
    pub const fn new(keys: SearchKeys<'a>) -> Self {
        Self { returns: None, charset: None, keys }
    }

    /// Reads the arguments; the space in front of them has been read.
    pub(crate) fn parse(cursor: &mut Cursor<'a>, extensions: Extensions) -> Parsed<Self> {
        let mut returns = None;
        if extensions.has(Extension::Esearch) && cursor.eat_word(b"RETURN ") {
            returns = Some(ReturnOptions::parse(cursor, extensions)?);
            cursor.space()?;
        }
        let mut charset = None;
        if cursor.eat_word(b"CHARSET ") {
            charset = Some(cursor.astring()?);
            cursor.space()?;
        }
        let start = cursor.at();
        let mut context = Context { extensions, depth: NESTING };
        loop {
            context.parse(cursor)?;
            if !cursor.eat(b' ') {
                break;
            }
        }
        Ok(Self { returns, charset, keys: SearchKeys(Cow::Borrowed(cursor.since(start))) })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        if let Some(returns) = self.returns {
            writer.raw(b"RETURN ");
            returns.write(writer);
            writer.octet(b' ');
        }
        if let Some(charset) = &self.charset {
            writer.raw(b"CHARSET ");
            writer.astring(charset.as_bytes());
            writer.octet(b' ');
        }
        self.keys.write(writer);
    }

    /// Whether MODSEQ is among the keys, at any depth.
    pub(crate) fn has_modseq(&self) -> bool {
        self.keys.has_modseq()
    }
}

impl<'a> SearchKeys<'a> {
    /// Takes one key or more, of which none is nested too deep.
    pub fn new<'k>(keys: impl IntoIterator<Item = SearchKey<'k>>) -> Result<Self, Invalid> {
        let mut out = BytesMut::new();
        Writer::new(Wire::default(), &mut out).spaced(keys, |writer, key| key.write(writer));
        let octets: Vec<u8> = out.into();
        let mut cursor = Cursor::new(&octets);
        match Search::parse(&mut cursor, Extensions::all()) {
            Ok(_) if cursor.is_empty() => Ok(Self(Cow::Owned(octets))),
            _ => Err(Invalid("one search key or more, nested no deeper than 32")),
        }
    }

    /// Takes keys as a command has them, `OR FROM anna UNSEEN`, for people who type them. Strings stand in quotes; there are
    /// no literals.
    pub fn parse(text: &'a str) -> Result<Self, Invalid> {
        let invalid = Invalid("one search key or more, as SEARCH has them");
        if text.contains(['\r', '\n', '\0']) {
            return Err(invalid);
        }
        let mut cursor = Cursor::new(text.as_bytes());
        match Search::parse(&mut cursor, Extensions::all()) {
            Ok(Search { returns: None, charset: None, keys }) if cursor.is_empty() => Ok(keys),
            _ => Err(invalid),
        }
    }

    /// The keys.
    pub fn iter(&self) -> impl Iterator<Item = SearchKey<'_>> {
        let mut cursor = Cursor::new(&self.0);
        core::iter::from_fn(move || {
            cursor.eat(b' ');
            let mut context = Context { extensions: Extensions::all(), depth: NESTING + 1 };
            context.parse(&mut cursor).ok()
        })
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> SearchKeys<'static> {
        SearchKeys(Cow::Owned(self.0.into_owned()))
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.spaced(self.iter(), |writer, key| key.write(writer));
    }

    fn has_modseq(&self) -> bool {
        self.iter().any(|key| match key {
            SearchKey::ModSeq(_) => true,
            SearchKey::Not(keys) | SearchKey::Group(keys) => keys.has_modseq(),
            SearchKey::Or(one, other) => one.has_modseq() || other.has_modseq(),
            _ => false,
        })
    }
}

impl fmt::Debug for SearchKeys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for SearchKeys<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for SearchKeys<'_> {}

/// What reading a key needs to know.
struct Context {
    extensions: Extensions,
    /// How much deeper it may go.
    depth: u32,
}

impl Context {
    fn parse<'a>(&mut self, cursor: &mut Cursor<'a>) -> Parsed<SearchKey<'a>> {
        let start = *cursor;
        let Some(depth) = self.depth.checked_sub(1) else {
            return cursor.error("a search key that is not so deep");
        };
        self.depth = depth;
        let key = self.parse_key(cursor, &start);
        self.depth = depth + 1;
        key
    }

    fn parse_key<'a>(&mut self, cursor: &mut Cursor<'a>, start: &Cursor<'a>) -> Parsed<SearchKey<'a>> {
        match cursor.peek() {
            Some(b'(') => {
                let from = cursor.at();
                cursor.eat(b'(');
                loop {
                    self.parse(cursor)?;
                    if cursor.eat(b')') {
                        break;
                    }
                    cursor.space()?;
                }
                let list = cursor.since(from);
                return Ok(SearchKey::Group(SearchKeys(Cow::Borrowed(&list[1..list.len() - 1]))));
            }
            Some(b'0'..=b'9' | b'*' | b'$') => {
                return Ok(SearchKey::Numbers(search_res::parse_set(cursor, self.extensions)?));
            }
            _ => {}
        }
        let rev1 = self.extensions.has(Extension::Imap4Rev1);
        let word = cursor.upper_word::<12>();
        Ok(match word.as_bytes() {
            b"ALL" => SearchKey::All,
            b"ANSWERED" => SearchKey::Answered,
            b"DELETED" => SearchKey::Deleted,
            b"DRAFT" => SearchKey::Draft,
            b"FLAGGED" => SearchKey::Flagged,
            b"NEW" if rev1 => SearchKey::New,
            b"OLD" if rev1 => SearchKey::Old,
            b"RECENT" if rev1 => SearchKey::Recent,
            b"SEEN" => SearchKey::Seen,
            b"UNANSWERED" => SearchKey::Unanswered,
            b"UNDELETED" => SearchKey::Undeleted,
            b"UNDRAFT" => SearchKey::Undraft,
            b"UNFLAGGED" => SearchKey::Unflagged,
            b"UNSEEN" => SearchKey::Unseen,
            name => {
                if name.is_empty() {
                    return start.error("a search key");
                }
                if !cursor.eat(b' ') {
                    return start.error("a search key");
                }
                match name {
                    b"BCC" => SearchKey::Bcc(cursor.astring()?),
                    b"BODY" => SearchKey::Body(cursor.astring()?),
                    b"CC" => SearchKey::Cc(cursor.astring()?),
                    b"FROM" => SearchKey::From(cursor.astring()?),
                    b"SUBJECT" => SearchKey::Subject(cursor.astring()?),
                    b"TEXT" => SearchKey::Text(cursor.astring()?),
                    b"TO" => SearchKey::To(cursor.astring()?),
                    b"HEADER" => {
                        let name = cursor.astring()?;
                        cursor.space()?;
                        SearchKey::Header(name, cursor.astring()?)
                    }
                    b"KEYWORD" => SearchKey::Keyword(keyword(cursor)?),
                    b"UNKEYWORD" => SearchKey::Unkeyword(keyword(cursor)?),
                    b"BEFORE" => SearchKey::Before(Date::parse(cursor)?),
                    b"ON" => SearchKey::On(Date::parse(cursor)?),
                    b"SINCE" => SearchKey::Since(Date::parse(cursor)?),
                    b"SENTBEFORE" => SearchKey::SentBefore(Date::parse(cursor)?),
                    b"SENTON" => SearchKey::SentOn(Date::parse(cursor)?),
                    b"SENTSINCE" => SearchKey::SentSince(Date::parse(cursor)?),
                    b"LARGER" => SearchKey::Larger(cursor.number64()?),
                    b"SMALLER" => SearchKey::Smaller(cursor.number64()?),
                    b"UID" => SearchKey::Uid(search_res::parse_set(cursor, self.extensions)?),
                    b"MODSEQ" if self.extensions.has(Extension::Condstore) => {
                        SearchKey::ModSeq(ModSeqKey::parse(cursor)?)
                    }
                    b"NOT" => SearchKey::Not(self.one(cursor)?),
                    b"OR" => {
                        let one = self.one(cursor)?;
                        cursor.space()?;
                        SearchKey::Or(one, self.one(cursor)?)
                    }
                    _ => return start.error("a search key"),
                }
            }
        })
    }

    /// The text of exactly one key.
    fn one<'a>(&mut self, cursor: &mut Cursor<'a>) -> Parsed<SearchKeys<'a>> {
        let start = cursor.at();
        self.parse(cursor)?;
        Ok(SearchKeys(Cow::Borrowed(cursor.since(start))))
    }
}

impl SearchKey<'_> {
    fn write(&self, writer: &mut Writer<'_>) {
        let mut text = |word: &str, text: &IString<'_>| {
            writer.raw(word);
            writer.astring(text.as_bytes());
        };
        match self {
            Self::Bcc(value) => return text("BCC ", value),
            Self::Body(value) => return text("BODY ", value),
            Self::Cc(value) => return text("CC ", value),
            Self::From(value) => return text("FROM ", value),
            Self::Subject(value) => return text("SUBJECT ", value),
            Self::Text(value) => return text("TEXT ", value),
            Self::To(value) => return text("TO ", value),
            _ => {}
        }
        let mut date = |word: &str, date: &Date| {
            writer.raw(word);
            date.write(writer);
        };
        match self {
            Self::Before(day) => return date("BEFORE ", day),
            Self::On(day) => return date("ON ", day),
            Self::Since(day) => return date("SINCE ", day),
            Self::SentBefore(day) => return date("SENTBEFORE ", day),
            Self::SentOn(day) => return date("SENTON ", day),
            Self::SentSince(day) => return date("SENTSINCE ", day),
            _ => {}
        }
        match self {
            Self::All => writer.raw(b"ALL"),
            Self::Answered => writer.raw(b"ANSWERED"),
            Self::Deleted => writer.raw(b"DELETED"),
            Self::Draft => writer.raw(b"DRAFT"),
            Self::Flagged => writer.raw(b"FLAGGED"),
            Self::New => writer.raw(b"NEW"),
            Self::Old => writer.raw(b"OLD"),
            Self::Recent => writer.raw(b"RECENT"),
            Self::Seen => writer.raw(b"SEEN"),
            Self::Unanswered => writer.raw(b"UNANSWERED"),
            Self::Undeleted => writer.raw(b"UNDELETED"),
            Self::Undraft => writer.raw(b"UNDRAFT"),
            Self::Unflagged => writer.raw(b"UNFLAGGED"),
            Self::Unseen => writer.raw(b"UNSEEN"),
            Self::Header(name, value) => {
                writer.raw(b"HEADER ");
                writer.astring(name.as_bytes());
                writer.octet(b' ');
                writer.astring(value.as_bytes());
            }
            Self::Keyword(name) => {
                writer.raw(b"KEYWORD ");
                writer.raw(name.as_str());
            }
            Self::Unkeyword(name) => {
                writer.raw(b"UNKEYWORD ");
                writer.raw(name.as_str());
            }
            Self::Larger(octets) => {
                writer.raw(b"LARGER ");
                writer.number(*octets);
            }
            Self::Smaller(octets) => {
                writer.raw(b"SMALLER ");
                writer.number(*octets);
            }
            Self::ModSeq(key) => {
                writer.raw(b"MODSEQ ");
                key.write(writer);
            }
            Self::Uid(set) => {
                writer.raw(b"UID ");
                set.write(writer);
            }
            Self::Numbers(set) => set.write(writer),
            Self::Not(keys) => {
                writer.raw(b"NOT ");
                keys.write_one(writer);
            }
            Self::Or(one, other) => {
                writer.raw(b"OR ");
                one.write_one(writer);
                writer.octet(b' ');
                other.write_one(writer);
            }
            Self::Group(keys) => {
                writer.octet(b'(');
                keys.write(writer);
                writer.octet(b')');
            }
            _ => unreachable!("written above"),
        }
    }
}

impl SearchKeys<'_> {
    /// As the one argument of NOT and OR: several keys go into parentheses.
    fn write_one(&self, writer: &mut Writer<'_>) {
        if self.iter().nth(1).is_some() {
            writer.octet(b'(');
            self.write(writer);
            writer.octet(b')');
        } else {
            self.write(writer);
        }
    }
}
