//! Commands: types, parser, encoder.

pub mod fetch;
pub mod search;

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

pub use self::fetch::{FetchAttribute, FetchAttributes};
pub use self::search::{Search, SearchKey, SearchKeys};
use crate::encode::{Names, Wire, Writer};
use crate::error::{ParseError, Redacted};
use crate::extension::id::Id;
use crate::extension::list_extended::List;
use crate::extension::quota::SetQuota;
use crate::extension::status::{StatusAttribute, StatusAttributes};
use crate::extension::{
    Capabilities, Extension, Extensions, condstore, enable, sasl_ir, search_res, special_use,
};
use crate::parse::{Cursor, Parsed, ascii};
use crate::types::datetime::DateTime;
use crate::types::flag::{FlagSet, Flags};
use crate::types::mailbox::{Mailbox, Pattern};
use crate::types::sequence::SequenceSet;
use crate::types::string::{Atom, IString, is_astring_char};
use crate::types::tag::Tag;

/// A tag and what it marks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command<'a> {
    /// The tag.
    pub tag: Tag<'a>,
    /// What to do.
    pub verb: Verb<'a>,
}

/// What a client wants done. `Debug` does not show passwords and responses of logins.
///
/// The payload of APPEND is no part of it: see [`fragment`](crate::fragment).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Verb<'a> {
    /// `CAPABILITY`
    Capability,
    /// `NOOP`
    Noop,
    /// `LOGOUT`
    Logout,
    /// `ID`
    Id(Id<'a>),
    /// `STARTTLS`
    StartTls,
    /// `AUTHENTICATE`
    Authenticate(Authenticate<'a>),
    /// `LOGIN`
    Login {
        /// Who.
        user: IString<'a>,
        /// The password.
        password: Password<'a>,
    },
    /// `ENABLE`
    Enable(Capabilities<'a>),
    /// `SELECT`
    Select(Select<'a>),
    /// `EXAMINE`: the same, read only.
    Examine(Select<'a>),
    /// `CREATE`
    Create {
        /// The mailbox. A delimiter at its end says that others will be below it.
        mailbox: Mailbox<'a>,
        /// What it is for (CREATE-SPECIAL-USE); mostly nothing.
        special_use: Flags<'a>,
    },
    /// `DELETE`
    Delete(Mailbox<'a>),
    /// `RENAME`, from and to.
    Rename(Mailbox<'a>, Mailbox<'a>),
    /// `SUBSCRIBE`
    Subscribe(Mailbox<'a>),
    /// `UNSUBSCRIBE`
    Unsubscribe(Mailbox<'a>),
    /// `LIST`
    List(List<'a>),
    /// `LSUB`, reference and pattern: IMAP4rev1 only.
    Lsub(Mailbox<'a>, Pattern<'a>),
    /// `NAMESPACE`
    Namespace,
    /// `STATUS`
    Status(Mailbox<'a>, StatusAttributes),
    /// `APPEND`, up to its payload.
    Append(Append<'a>),
    /// `IDLE`
    Idle,
    /// `GETQUOTA`
    GetQuota(IString<'a>),
    /// `GETQUOTAROOT`
    GetQuotaRoot(Mailbox<'a>),
    /// `SETQUOTA`
    SetQuota(SetQuota<'a>),
    /// `CHECK`: IMAP4rev1 only.
    Check,
    /// `CLOSE`: expunges and leaves the mailbox.
    Close,
    /// `UNSELECT`: leaves the mailbox.
    Unselect,
    /// `EXPUNGE`
    Expunge,
    /// `UID EXPUNGE`
    UidExpunge(SequenceSet<'a>),
    /// `SEARCH` and `UID SEARCH`
    Search {
        /// Whether it is UIDs that are given back.
        uid: bool,
        /// What for.
        search: Search<'a>,
    },
    /// `FETCH` and `UID FETCH`
    Fetch {
        /// Whether the set is of UIDs.
        uid: bool,
        /// Which messages.
        set: SequenceSet<'a>,
        /// What of them.
        items: FetchAttributes<'a>,
        /// Only messages with a higher mod-sequence (CONDSTORE).
        changed_since: Option<u64>,
    },
    /// `STORE` and `UID STORE`
    Store {
        /// Whether the set is of UIDs.
        uid: bool,
        /// Which messages.
        set: SequenceSet<'a>,
        /// What to do with the flags.
        action: StoreAction,
        /// `.SILENT`: the client does not want to see them.
        silent: bool,
        /// The flags.
        flags: Flags<'a>,
        /// Only messages without a higher mod-sequence (CONDSTORE).
        unchanged_since: Option<u64>,
    },
    /// `COPY` and `UID COPY`
    Copy {
        /// Whether the set is of UIDs.
        uid: bool,
        /// Which messages.
        set: SequenceSet<'a>,
        /// Where to.
        mailbox: Mailbox<'a>,
    },
    /// `MOVE` and `UID MOVE`
    Move {
        /// Whether the set is of UIDs.
        uid: bool,
        /// Which messages.
        set: SequenceSet<'a>,
        /// Where to.
        mailbox: Mailbox<'a>,
    },
}

/// The arguments of SELECT and EXAMINE.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Select<'a> {
    /// Which mailbox.
    pub mailbox: Mailbox<'a>,
    /// Whether the client wants mod-sequences (CONDSTORE).
    pub condstore: bool,
}

impl<'a> From<Mailbox<'a>> for Select<'a> {
    fn from(mailbox: Mailbox<'a>) -> Self {
        Self { mailbox, condstore: false }
    }
}

/// The arguments of APPEND, without its payload.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Append<'a> {
    /// Where to.
    pub mailbox: Mailbox<'a>,
    /// The flags the message is to have.
    pub flags: Flags<'a>,
    /// The moment it is to have come; that of the command, if absent.
    pub date: Option<DateTime>,
}

/// The arguments of AUTHENTICATE.
#[derive(Clone, Eq, PartialEq)]
pub struct Authenticate<'a> {
    /// The mechanism.
    pub mechanism: Atom<'a>,
    /// The initial response in base64, or `=` for an empty one (SASL-IR).
    initial: Option<&'a str>,
}

impl<'a> Authenticate<'a> {
    /// Without an initial response.
    pub const fn new(mechanism: Atom<'a>) -> Self {
        Self { mechanism, initial: None }
    }

    /// With an initial response in base64, or `=`.
    pub(crate) const fn with_initial(mechanism: Atom<'a>, initial: &'a str) -> Self {
        Self { mechanism, initial: Some(initial) }
    }

    /// The initial response as it was sent; whether it is base64 has not been looked at.
    pub(crate) const fn initial(&self) -> Option<&'a str> {
        self.initial
    }
}

impl fmt::Debug for Authenticate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticate").field("mechanism", &self.mechanism).finish_non_exhaustive()
    }
}

/// A password, which is not printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Password<'a>(pub IString<'a>);

impl fmt::Debug for Password<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Redacted.fmt(f)
    }
}

/// In which states a command may be given: RFC 9051 §6.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Belongs {
    Any,
    NotAuthenticated,
    /// With a mailbox selected or not.
    Authenticated,
    Selected,
}

/// What STORE does.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum StoreAction {
    /// `FLAGS`: these and no others.
    Replace,
    /// `+FLAGS`: these too.
    Add,
    /// `-FLAGS`: not these.
    Remove,
}

impl<'a> Command<'a> {
    /// Reads one whole command, its literals included and its last CRLF left off.
    ///
    /// What belongs to an extension that is not in `extensions` is unknown. APPEND is read up to its payload:
    /// `a1 APPEND INBOX ` is a whole command here.
    pub fn parse(octets: &'a [u8], extensions: Extensions, names: Names) -> Result<Self, ParseError> {
        let mut cursor = Cursor::new(octets);
        let tag = parse_tag(&mut cursor)?;
        let verb = Verb::parse(&mut cursor, extensions, names)?;
        cursor.end()?;
        Ok(Self { tag, verb })
    }

    /// Writes the command with its CRLF; APPEND up to its payload, with the space in front of it and no CRLF.
    pub fn encode(&self, wire: Wire, out: &mut BytesMut) {
        let mut writer = Writer::new(wire, out);
        writer.raw(self.tag.as_str());
        writer.octet(b' ');
        self.verb.write(&mut writer);
        writer.raw(if matches!(self.verb, Verb::Append(_)) { &b" "[..] } else { b"\r\n" });
    }
}

/// The tag in front of a command.
pub(crate) fn parse_tag<'a>(cursor: &mut Cursor<'a>) -> Parsed<Tag<'a>> {
    let start = *cursor;
    let octets = cursor.take_while(|octet| octet != b'+' && is_astring_char(octet));
    if (1..=Tag::LONGEST).contains(&octets.len()) && cursor.eat(b' ') {
        Ok(Tag::trusted(ascii(octets)))
    } else {
        start.error("a tag and a space")
    }
}

impl<'a> Verb<'a> {
    /// Its name, as the grammar has it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Capability => "CAPABILITY",
            Self::Noop => "NOOP",
            Self::Logout => "LOGOUT",
            Self::Id(_) => "ID",
            Self::StartTls => "STARTTLS",
            Self::Authenticate(_) => "AUTHENTICATE",
            Self::Login { .. } => "LOGIN",
            Self::Enable(_) => "ENABLE",
            Self::Select(_) => "SELECT",
            Self::Examine(_) => "EXAMINE",
            Self::Create { .. } => "CREATE",
            Self::Delete(_) => "DELETE",
            Self::Rename(..) => "RENAME",
            Self::Subscribe(_) => "SUBSCRIBE",
            Self::Unsubscribe(_) => "UNSUBSCRIBE",
            Self::List(_) => "LIST",
            Self::Lsub(..) => "LSUB",
            Self::Namespace => "NAMESPACE",
            Self::Status(..) => "STATUS",
            Self::Append(_) => "APPEND",
            Self::Idle => "IDLE",
            Self::GetQuota(_) => "GETQUOTA",
            Self::GetQuotaRoot(_) => "GETQUOTAROOT",
            Self::SetQuota(_) => "SETQUOTA",
            Self::Check => "CHECK",
            Self::Close => "CLOSE",
            Self::Unselect => "UNSELECT",
            Self::Expunge => "EXPUNGE",
            Self::UidExpunge(_) => "UID EXPUNGE",
            Self::Search { uid: false, .. } => "SEARCH",
            Self::Search { uid: true, .. } => "UID SEARCH",
            Self::Fetch { uid: false, .. } => "FETCH",
            Self::Fetch { uid: true, .. } => "UID FETCH",
            Self::Store { uid: false, .. } => "STORE",
            Self::Store { uid: true, .. } => "UID STORE",
            Self::Copy { uid: false, .. } => "COPY",
            Self::Copy { uid: true, .. } => "UID COPY",
            Self::Move { uid: false, .. } => "MOVE",
            Self::Move { uid: true, .. } => "UID MOVE",
        }
    }

    pub(crate) const fn belongs(&self) -> Belongs {
        match self {
            Self::Capability | Self::Noop | Self::Logout | Self::Id(_) => Belongs::Any,
            Self::StartTls | Self::Authenticate(_) | Self::Login { .. } => Belongs::NotAuthenticated,
            Self::Check
            | Self::Close
            | Self::Unselect
            | Self::Expunge
            | Self::UidExpunge(_)
            | Self::Search { .. }
            | Self::Fetch { .. }
            | Self::Store { .. }
            | Self::Copy { .. }
            | Self::Move { .. } => Belongs::Selected,
            _ => Belongs::Authenticated,
        }
    }

    /// Whether it makes the client one that knows CONDSTORE: RFC 7162 §3.1.
    pub(crate) fn enables_condstore(&self) -> bool {
        match self {
            Self::Select(select) | Self::Examine(select) => select.condstore,
            Self::Status(_, items) => items.has(StatusAttribute::HighestModSeq),
            Self::Fetch { items, changed_since, .. } => {
                changed_since.is_some() || items.iter().any(|item| item == FetchAttribute::ModSeq)
            }
            Self::Store { unchanged_since, .. } => unchanged_since.is_some(),
            Self::Search { search, .. } => search.has_modseq(),
            _ => false,
        }
    }

    fn parse(cursor: &mut Cursor<'a>, extensions: Extensions, names: Names) -> Parsed<Self> {
        let start = *cursor;
        let on = |extension| extensions.has(extension);
        let rev1 = on(Extension::Imap4Rev1);
        let word = cursor.upper_word::<12>();
        let mailbox = |cursor: &mut Cursor<'a>| {
            cursor.space()?;
            Mailbox::parse(cursor, names)
        };
        Ok(match word.as_bytes() {
            b"CAPABILITY" => Self::Capability,
            b"NOOP" => Self::Noop,
            b"LOGOUT" => Self::Logout,
            b"STARTTLS" => Self::StartTls,
            b"NAMESPACE" if on(Extension::Namespace) => Self::Namespace,
            b"IDLE" if on(Extension::Idle) => Self::Idle,
            b"CHECK" if rev1 => Self::Check,
            b"CLOSE" => Self::Close,
            b"UNSELECT" if on(Extension::Unselect) => Self::Unselect,
            b"EXPUNGE" => Self::Expunge,
            b"ID" if on(Extension::Id) => {
                cursor.space()?;
                Self::Id(Id::parse(cursor)?)
            }
            b"LOGIN" => {
                cursor.space()?;
                let user = cursor.astring()?;
                cursor.space()?;
                Self::Login { user, password: Password(cursor.astring()?) }
            }
            b"AUTHENTICATE" => {
                cursor.space()?;
                let mechanism = Atom::trusted(cursor.atom("a mechanism")?);
                let initial = if on(Extension::SaslIr) { sasl_ir::parse(cursor)? } else { None };
                Self::Authenticate(Authenticate { mechanism, initial })
            }
            b"ENABLE" if on(Extension::Enable) => Self::Enable(enable::parse(cursor)?),
            word @ (b"SELECT" | b"EXAMINE") => {
                let mailbox = mailbox(cursor)?;
                let condstore = on(Extension::Condstore) && cursor.eat(b' ');
                if condstore {
                    condstore::select_parameter(cursor)?;
                }
                let select = Select { mailbox, condstore };
                if word == b"SELECT" { Self::Select(select) } else { Self::Examine(select) }
            }
            b"CREATE" => {
                let mailbox = mailbox(cursor)?;
                let mut special_use = Flags::default();
                if on(Extension::CreateSpecialUse) && cursor.eat(b' ') {
                    special_use = special_use::parse_use(cursor)?;
                }
                Self::Create { mailbox, special_use }
            }
            b"DELETE" => Self::Delete(mailbox(cursor)?),
            b"RENAME" => Self::Rename(mailbox(cursor)?, mailbox(cursor)?),
            b"SUBSCRIBE" => Self::Subscribe(mailbox(cursor)?),
            b"UNSUBSCRIBE" => Self::Unsubscribe(mailbox(cursor)?),
            b"LIST" => {
                cursor.space()?;
                Self::List(List::parse(cursor, names, extensions)?)
            }
            b"LSUB" if rev1 => {
                let reference = mailbox(cursor)?;
                cursor.space()?;
                Self::Lsub(reference, Pattern::parse(cursor, names)?)
            }
            b"STATUS" => {
                let mailbox = mailbox(cursor)?;
                cursor.space()?;
                Self::Status(mailbox, StatusAttributes::parse(cursor, extensions)?)
            }
            b"APPEND" => {
                cursor.space()?;
                Self::Append(Append::parse(cursor, names)?)
            }
            b"GETQUOTA" if on(Extension::Quota) => {
                cursor.space()?;
                Self::GetQuota(cursor.astring()?)
            }
            b"GETQUOTAROOT" if on(Extension::Quota) => Self::GetQuotaRoot(mailbox(cursor)?),
            b"SETQUOTA" if on(Extension::QuotaSet) => {
                cursor.space()?;
                Self::SetQuota(SetQuota::parse(cursor)?)
            }
            b"UID" => {
                cursor.space()?;
                let name = *cursor;
                let word = cursor.upper_word::<12>();
                cursor.space()?;
                match word.as_bytes() {
                    b"EXPUNGE" if on(Extension::UidPlus) => {
                        Self::UidExpunge(search_res::parse_set(cursor, extensions)?)
                    }
                    word => Self::parse_messages(word, true, &name, cursor, extensions, names)?,
                }
            }
            word @ (b"SEARCH" | b"FETCH" | b"STORE" | b"COPY" | b"MOVE") => {
                cursor.space()?;
                Self::parse_messages(word, false, &start, cursor, extensions, names)?
            }
            _ => return start.error("a command"),
        })
    }

    /// What there is with and without UID.
    fn parse_messages(
        word: &[u8],
        uid: bool,
        start: &Cursor<'a>,
        cursor: &mut Cursor<'a>,
        extensions: Extensions,
        names: Names,
    ) -> Parsed<Self> {
        let condstore = extensions.has(Extension::Condstore);
        match word {
            b"SEARCH" => return Ok(Self::Search { uid, search: Search::parse(cursor, extensions)? }),
            b"FETCH" | b"STORE" | b"COPY" => {}
            b"MOVE" if extensions.has(Extension::Move) => {}
            _ => return start.error("a command"),
        }
        let set = search_res::parse_set(cursor, extensions)?;
        cursor.space()?;
        Ok(match word {
            b"FETCH" => {
                let items = FetchAttributes::parse(cursor, extensions)?;
                let mut changed_since = None;
                if condstore && cursor.eat(b' ') {
                    changed_since = Some(condstore::modifier(cursor, b"CHANGEDSINCE")?);
                }
                Self::Fetch { uid, set, items, changed_since }
            }
            b"STORE" => {
                let mut unchanged_since = None;
                if condstore && cursor.peek() == Some(b'(') {
                    unchanged_since = Some(condstore::modifier(cursor, b"UNCHANGEDSINCE")?);
                    cursor.space()?;
                }
                let action = match cursor.peek() {
                    Some(b'+') => StoreAction::Add,
                    Some(b'-') => StoreAction::Remove,
                    _ => StoreAction::Replace,
                };
                if action != StoreAction::Replace {
                    cursor.eat(if action == StoreAction::Add { b'+' } else { b'-' });
                }
                if !cursor.eat_word(b"FLAGS") {
                    return cursor.error("FLAGS");
                }
                let silent = cursor.eat_word(b".SILENT");
                cursor.space()?;
                let flags = if cursor.peek() == Some(b'(') {
                    Flags::parse(cursor, FlagSet::Settable)?
                } else {
                    Flags::parse_bare(cursor, FlagSet::Settable)?
                };
                Self::Store { uid, set, action, silent, flags, unchanged_since }
            }
            _ => {
                let mailbox = Mailbox::parse(cursor, names)?;
                if word == b"COPY" {
                    Self::Copy { uid, set, mailbox }
                } else {
                    Self::Move { uid, set, mailbox }
                }
            }
        })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.raw(self.name());
        let mailbox = |writer: &mut Writer<'_>, mailbox: &Mailbox<'_>| {
            writer.octet(b' ');
            mailbox.write(writer);
        };
        let messages = |writer: &mut Writer<'_>, set: &SequenceSet<'_>| {
            writer.octet(b' ');
            set.write(writer);
        };
        match self {
            Self::Capability
            | Self::Noop
            | Self::Logout
            | Self::StartTls
            | Self::Namespace
            | Self::Idle
            | Self::Check
            | Self::Close
            | Self::Unselect
            | Self::Expunge => {}
            Self::Id(id) => {
                writer.octet(b' ');
                id.write(writer);
            }
            Self::Authenticate(login) => {
                writer.octet(b' ');
                writer.raw(login.mechanism.as_str());
                if let Some(initial) = login.initial {
                    writer.octet(b' ');
                    writer.raw(initial);
                }
            }
            Self::Login { user, password } => {
                writer.octet(b' ');
                writer.astring(user.as_bytes());
                writer.octet(b' ');
                writer.astring(password.0.as_bytes());
            }
            Self::Enable(words) => words.write(writer),
            Self::Select(select) | Self::Examine(select) => {
                mailbox(writer, &select.mailbox);
                if select.condstore {
                    writer.raw(b" (CONDSTORE)");
                }
            }
            Self::Create { mailbox: name, special_use } => {
                mailbox(writer, name);
                if !special_use.is_empty() {
                    writer.octet(b' ');
                    special_use::write_use(special_use, writer);
                }
            }
            Self::Delete(name)
            | Self::Subscribe(name)
            | Self::Unsubscribe(name)
            | Self::GetQuotaRoot(name) => {
                mailbox(writer, name);
            }
            Self::Rename(from, to) => {
                mailbox(writer, from);
                mailbox(writer, to);
            }
            Self::List(list) => {
                writer.octet(b' ');
                list.write(writer);
            }
            Self::Lsub(reference, pattern) => {
                mailbox(writer, reference);
                writer.octet(b' ');
                pattern.write(writer);
            }
            Self::Status(name, items) => {
                mailbox(writer, name);
                writer.octet(b' ');
                items.write(writer);
            }
            Self::Append(append) => {
                writer.octet(b' ');
                append.write(writer);
            }
            Self::GetQuota(root) => {
                writer.octet(b' ');
                writer.astring(root.as_bytes());
            }
            Self::SetQuota(set) => {
                writer.octet(b' ');
                set.write(writer);
            }
            Self::UidExpunge(set) => messages(writer, set),
            Self::Search { search, .. } => {
                writer.octet(b' ');
                search.write(writer);
            }
            Self::Fetch { set, items, changed_since, .. } => {
                messages(writer, set);
                writer.octet(b' ');
                items.write(writer);
                if let Some(modseq) = changed_since {
                    writer.raw(b" (CHANGEDSINCE ");
                    writer.number(*modseq);
                    writer.octet(b')');
                }
            }
            Self::Store { set, action, silent, flags, unchanged_since, .. } => {
                messages(writer, set);
                if let Some(modseq) = unchanged_since {
                    writer.raw(b" (UNCHANGEDSINCE ");
                    writer.number(*modseq);
                    writer.octet(b')');
                }
                writer.raw(match action {
                    StoreAction::Replace => " FLAGS",
                    StoreAction::Add => " +FLAGS",
                    StoreAction::Remove => " -FLAGS",
                });
                writer.raw(if *silent { ".SILENT " } else { " " });
                flags.write(writer);
            }
            Self::Copy { set, mailbox: name, .. } | Self::Move { set, mailbox: name, .. } => {
                messages(writer, set);
                mailbox(writer, name);
            }
        }
    }
}

impl<'a> Append<'a> {
    /// Reads up to the payload; the space in front of that is read too.
    fn parse(cursor: &mut Cursor<'a>, names: Names) -> Parsed<Self> {
        let mailbox = Mailbox::parse(cursor, names)?;
        cursor.space()?;
        let (mut flags, mut date) = (Flags::default(), None);
        if cursor.peek() == Some(b'(') {
            flags = Flags::parse(cursor, FlagSet::Settable)?;
            cursor.space()?;
        }
        if cursor.peek() == Some(b'"') {
            date = Some(DateTime::parse(cursor)?);
            cursor.space()?;
        }
        Ok(Self { mailbox, flags, date })
    }

    /// Writes all but the space in front of the payload.
    fn write(&self, writer: &mut Writer<'_>) {
        self.mailbox.write(writer);
        if !self.flags.is_empty() {
            writer.octet(b' ');
            self.flags.write(writer);
        }
        if let Some(date) = self.date {
            writer.octet(b' ');
            date.write(writer);
        }
    }
}

/// Base64 as SASL has it; `=` alone is an empty response. What was in `into` goes, and so does what was decoded of text
/// that is not base64.
pub(crate) fn decode_base64(text: &[u8], into: &mut Vec<u8>) -> bool {
    wipe(into);
    let decoded = STANDARD.decode_vec(if text == b"=" { b"" } else { text }, into).is_ok();
    if !decoded {
        wipe(into);
    }
    decoded
}

/// Overwrites a secret.
pub(crate) fn wipe(octets: &mut Vec<u8>) {
    octets.fill(0);
    // Or else the compiler may leave out a write to what nobody reads again.
    core::hint::black_box(&mut *octets);
    octets.clear();
}
