//! Commands and responses that follow from any octets: what no mutation of text comes to.
//!
//! Octets that run out are zeros to all of it, so that nothing here fails.

use core::num::{NonZeroU32, NonZeroU64};
use std::borrow::Cow;

use arbitrary::{Result, Unstructured};
use imap_codec::command::{
    Append, FetchAttribute, FetchAttributes, Password, Search, SearchKey, SearchKeys, Select, StoreAction,
    Verb,
};
use imap_codec::extension::Capabilities;
use imap_codec::extension::condstore::{EntryType, ModSeqKey};
use imap_codec::extension::esearch::{Esearch, ReturnOptions};
use imap_codec::extension::id::Id;
use imap_codec::extension::list_extended::{List, ListEntry};
use imap_codec::extension::quota::{Quota, QuotaRoot, SetQuota, Usage};
use imap_codec::extension::status::{StatusAttribute, StatusAttributes, StatusValues};
use imap_codec::response::{Code, Condition, Data, Fetch, FetchItem, Source, Status};
use imap_codec::types::body::{Extension, Multipart, Part, PartKind};
use imap_codec::types::section::FieldNames;
use imap_codec::types::{
    Address, Atom, Body, Date, DateTime, Delimiter, Envelope, Flag, Flags, IString, Mailbox, PartPath,
    Partial, Pattern, Section, SectionKind, SequenceSet, Text,
};

/// Some values of one kind.
fn some<T>(
    u: &mut Unstructured<'_>,
    least: usize,
    most: usize,
    one: fn(&mut Unstructured<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    (0..u.int_in_range(least..=most)?).map(|_| one(u)).collect()
}

/// One value or none.
fn maybe<T>(u: &mut Unstructured<'_>, one: fn(&mut Unstructured<'_>) -> Result<T>) -> Result<Option<T>> {
    if u.arbitrary()? { one(u).map(Some) } else { Ok(None) }
}

fn istring(u: &mut Unstructured<'_>) -> Result<IString<'static>> {
    let mut octets = match u.int_in_range(0..=9)? {
        0 => b"NIL".to_vec(),
        1 => vec![b'x'; u.int_in_range(990..=1_010)?],
        _ => {
            let count = u.int_in_range(0..=12)?.min(u.len());
            u.bytes(count)?.to_vec()
        }
    };
    octets.retain(|octet| *octet != 0);
    Ok(IString::new(octets).expect("no NUL"))
}

fn nstring(u: &mut Unstructured<'_>) -> Result<Option<IString<'static>>> {
    maybe(u, istring)
}

fn atom(u: &mut Unstructured<'_>) -> Result<Atom<'static>> {
    Ok(Atom::new(*u.choose(&["a", "$Junk", "X-1", "nill", "Z.z-9", "STORAGE"])?).expect("an atom"))
}

fn name(u: &mut Unstructured<'_>) -> Result<String> {
    let text: String = match u.int_in_range(0..=4)? {
        0 => "inBOX".to_owned(),
        1 => "nil".to_owned(),
        _ => some(u, 0, 6, |u| u.arbitrary::<char>())?.into_iter().collect(),
    };
    Ok(text.replace(char::is_control, "&"))
}

fn mailbox(u: &mut Unstructured<'_>) -> Result<Mailbox<'static>> {
    Ok(Mailbox::new(name(u)?).expect("no controls"))
}

fn pattern(u: &mut Unstructured<'_>) -> Result<Pattern<'static>> {
    let wildcard = *u.choose(&["", "*", "%"])?;
    Ok(Pattern::new(name(u)? + wildcard).expect("no controls"))
}

fn number(u: &mut Unstructured<'_>) -> Result<NonZeroU32> {
    Ok(NonZeroU32::new(u.int_in_range(1..=u32::MAX)?).expect("from one up"))
}

fn number64(u: &mut Unstructured<'_>) -> Result<u64> {
    u.int_in_range(0..=i64::MAX as u64)
}

fn set(u: &mut Unstructured<'_>) -> Result<SequenceSet<'static>> {
    let ranges = some(u, 1, 4, |u| Ok(number(u)?..=number(u)?))?;
    Ok(SequenceSet::from_ranges(ranges).expect("one"))
}

fn any_set(u: &mut Unstructured<'_>) -> Result<SequenceSet<'static>> {
    match u.int_in_range(0..=4)? {
        0 => Ok(SequenceSet::SAVED),
        1 => Ok(SequenceSet::new("*:4,*").expect("a set")),
        _ => set(u),
    }
}

fn flag(u: &mut Unstructured<'_>) -> Result<Flag<'static>> {
    Ok(match u.int_in_range(0..=6)? {
        0 => Flag::Answered,
        1 => Flag::Flagged,
        2 => Flag::Deleted,
        3 => Flag::Seen,
        4 => Flag::Draft,
        5 => Flag::Extension(atom(u)?),
        _ => Flag::Keyword(atom(u)?),
    })
}

fn flags(u: &mut Unstructured<'_>) -> Result<Flags<'static>> {
    some(u, 0, 3, flag).map(Flags::new)
}

fn date(u: &mut Unstructured<'_>) -> Result<Date> {
    Ok(Date::from_days(u.int_in_range(0..=2_932_895)?).expect("a day"))
}

fn date_time(u: &mut Unstructured<'_>) -> Result<DateTime> {
    let (hour, minute) = (u.int_in_range(0..=23)?, u.int_in_range(0..=59)?);
    let (second, zone) = (u.int_in_range(0..=60)?, u.int_in_range(-5_999..=5_999)?);
    Ok(DateTime::new(date(u)?, hour, minute, second, zone).expect("a moment"))
}

fn path(u: &mut Unstructured<'_>) -> Result<PartPath<'static>> {
    let numbers = some(u, 0, 4, |u| Ok(number(u)?.to_string()))?;
    Ok(PartPath::new(numbers.join(".")).expect("numbers"))
}

fn section(u: &mut Unstructured<'_>) -> Result<Section<'static>> {
    let kind = match u.int_in_range(0..=5)? {
        0 => SectionKind::Header,
        1 => SectionKind::HeaderFields(FieldNames::new(some(u, 1, 3, istring)?).expect("one")),
        2 => SectionKind::HeaderFieldsNot(FieldNames::new(some(u, 1, 3, istring)?).expect("one")),
        3 => SectionKind::Text,
        4 => SectionKind::Mime,
        _ => SectionKind::All,
    };
    Ok(Section::new(path(u)?, kind).unwrap_or_default())
}

fn partial(u: &mut Unstructured<'_>) -> Result<Partial> {
    let count = NonZeroU64::new(u.int_in_range(1..=i64::MAX as u64)?).expect("from one up");
    Ok(Partial { offset: number64(u)?, count })
}

fn attribute(u: &mut Unstructured<'_>) -> Result<FetchAttribute<'static>> {
    Ok(match u.int_in_range(0..=13)? {
        0 => FetchAttribute::Envelope,
        1 => FetchAttribute::Flags,
        2 => FetchAttribute::InternalDate,
        3 => FetchAttribute::Rfc822Size,
        4 => FetchAttribute::Rfc822Text,
        5 => FetchAttribute::Body,
        6 => FetchAttribute::BodyStructure,
        7 => FetchAttribute::Uid,
        8 => FetchAttribute::ModSeq,
        9 => FetchAttribute::Binary { peek: u.arbitrary()?, path: path(u)?, partial: maybe(u, partial)? },
        10 => FetchAttribute::BinarySize(path(u)?),
        11 => FetchAttribute::Rfc822,
        12 => FetchAttribute::Rfc822Header,
        _ => FetchAttribute::Section {
            peek: u.arbitrary()?,
            section: section(u)?,
            partial: maybe(u, partial)?,
        },
    })
}

/// A search key, `depth` of which may stand in one another.
fn key(u: &mut Unstructured<'_>, depth: u32) -> Result<SearchKey<'static>> {
    let keys = |u: &mut Unstructured<'_>, most| -> Result<SearchKeys<'static>> {
        let keys: Result<Vec<_>> = (0..u.int_in_range(1..=most)?).map(|_| key(u, depth - 1)).collect();
        Ok(SearchKeys::new(keys?).expect("not deep"))
    };
    Ok(match u.int_in_range(if depth == 0 { 3 } else { 0 }..=18)? {
        0 => SearchKey::Not(keys(u, 1)?),
        1 => SearchKey::Or(keys(u, 1)?, keys(u, 1)?),
        2 => SearchKey::Group(keys(u, 3)?),
        3 => SearchKey::All,
        4 => SearchKey::New,
        5 => SearchKey::Unseen,
        6 => SearchKey::Bcc(istring(u)?),
        7 => SearchKey::Text(istring(u)?),
        8 => SearchKey::Header(istring(u)?, istring(u)?),
        9 => SearchKey::Keyword(atom(u)?),
        10 => SearchKey::Unkeyword(atom(u)?),
        11 => SearchKey::Before(date(u)?),
        12 => SearchKey::SentOn(date(u)?),
        13 => SearchKey::Larger(number64(u)?),
        14 => SearchKey::Smaller(number64(u)?),
        15 => SearchKey::Uid(any_set(u)?),
        16 => SearchKey::Numbers(any_set(u)?),
        17 => {
            let entry = maybe(u, istring)?.map(|name| (name, EntryType::All));
            SearchKey::ModSeq(ModSeqKey { entry, least: number64(u)? })
        }
        _ => SearchKey::Subject(istring(u)?),
    })
}

fn search(u: &mut Unstructured<'_>) -> Result<Search<'static>> {
    let returns = maybe(u, |u| {
        let [min, max, count, save] = u.arbitrary()?;
        Ok(ReturnOptions { min, max, all: true, count, save })
    })?;
    let keys = some(u, 1, 3, |u| key(u, 6))?;
    Ok(Search { returns, charset: nstring(u)?, keys: SearchKeys::new(keys).expect("not deep") })
}

fn list(u: &mut Unstructured<'_>) -> Result<List<'static>> {
    let mut list = List::new(mailbox(u)?, pattern(u)?);
    if let Some(second) = maybe(u, pattern)? {
        list.patterns = list.patterns.and(second);
        list.extended = true;
    }
    list.select.subscribed = u.arbitrary()?;
    list.extended |= list.select.subscribed;
    Ok(list)
}

/// A command.
pub fn verb(u: &mut Unstructured<'_>) -> Result<Verb<'static>> {
    let status = || StatusAttributes::default().with(StatusAttribute::Messages).with(StatusAttribute::Size);
    let uid = u.arbitrary()?;
    Ok(match u.int_in_range(0..=24)? {
        0 => Verb::Capability,
        1 => Verb::Login { user: istring(u)?, password: Password(istring(u)?) },
        2 => Verb::Select(Select { mailbox: mailbox(u)?, condstore: u.arbitrary()? }),
        3 => Verb::Create { mailbox: mailbox(u)?, special_use: flags(u)? },
        4 => Verb::Delete(mailbox(u)?),
        5 => Verb::Rename(mailbox(u)?, mailbox(u)?),
        6 => Verb::Lsub(mailbox(u)?, pattern(u)?),
        7 => Verb::List(list(u)?),
        8 => Verb::Status(mailbox(u)?, status()),
        9 => Verb::GetQuota(istring(u)?),
        10 => Verb::SetQuota(SetQuota {
            root: istring(u)?,
            limits: some(u, 0, 3, |u| Ok((atom(u)?, number64(u)?)))?,
        }),
        11 => Verb::Id(Id { fields: some(u, 0, 3, |u| Ok((istring(u)?, nstring(u)?)))? }),
        12 => Verb::Enable(Capabilities::new(some(u, 1, 3, atom)?)),
        13 | 14 => {
            Verb::Append(Append { mailbox: mailbox(u)?, flags: flags(u)?, date: maybe(u, date_time)? })
        }
        15 | 16 => Verb::Search { uid, search: search(u)? },
        17 => Verb::Store {
            uid,
            set: any_set(u)?,
            action: *u.choose(&[StoreAction::Replace, StoreAction::Add, StoreAction::Remove])?,
            silent: u.arbitrary()?,
            flags: flags(u)?,
            unchanged_since: maybe(u, number64)?,
        },
        18 => Verb::Copy { uid, set: any_set(u)?, mailbox: mailbox(u)? },
        19 => Verb::Move { uid, set: any_set(u)?, mailbox: mailbox(u)? },
        20 => Verb::UidExpunge(any_set(u)?),
        21 => Verb::GetQuotaRoot(mailbox(u)?),
        _ => Verb::Fetch {
            uid,
            set: any_set(u)?,
            items: FetchAttributes::new(some(u, 1, 4, attribute)?).expect("one"),
            changed_since: maybe(u, number64)?,
        },
    })
}

fn address(u: &mut Unstructured<'_>) -> Result<Address<'static>> {
    Ok(Address { name: nstring(u)?, route: nstring(u)?, mailbox: nstring(u)?, host: nstring(u)? })
}

fn envelope(u: &mut Unstructured<'_>) -> Result<Envelope<'static>> {
    let addresses = |u: &mut Unstructured<'_>| some(u, 0, 2, address);
    Ok(Envelope {
        date: nstring(u)?,
        subject: nstring(u)?,
        from: addresses(u)?,
        sender: addresses(u)?,
        reply_to: addresses(u)?,
        to: addresses(u)?,
        cc: addresses(u)?,
        bcc: addresses(u)?,
        in_reply_to: nstring(u)?,
        message_id: nstring(u)?,
    })
}

fn parameters(u: &mut Unstructured<'_>) -> Result<Vec<(IString<'static>, IString<'static>)>> {
    some(u, 0, 2, |u| Ok((istring(u)?, istring(u)?)))
}

fn body(u: &mut Unstructured<'_>, depth: u32) -> Result<Body<'static>> {
    let extension = maybe(u, |u| {
        let disposition = maybe(u, |u| Ok((istring(u)?, parameters(u)?)))?;
        Ok(Extension { disposition, language: some(u, 0, 2, istring)?, location: nstring(u)? })
    })?;
    let kind = u.int_in_range(if depth == 0 { 2 } else { 0 }..=4)?;
    if kind == 0 {
        let parts: Result<Vec<_>> = (0..u.int_in_range(1..=3)?).map(|_| body(u, depth - 1)).collect();
        return Ok(Body::Multipart(Box::new(Multipart {
            parts: parts?,
            subtype: istring(u)?,
            parameters: parameters(u)?,
            extension: extension.unwrap_or_default(),
        })));
    }
    let word = |text| IString::try_from(text).expect("a string");
    let (media, subtype, kind) = match kind {
        1 => {
            let kind = PartKind::Message {
                envelope: Box::new(envelope(u)?),
                body: body(u, depth - 1)?,
                lines: number64(u)?,
            };
            ("MESSAGE", "RFC822", kind)
        }
        2 => ("text", "plain", PartKind::Text(number64(u)?)),
        _ => ("image", "png", PartKind::Basic),
    };
    Ok(Body::Part(Box::new(Part {
        media: word(media),
        subtype: word(subtype),
        parameters: parameters(u)?,
        id: nstring(u)?,
        description: nstring(u)?,
        encoding: istring(u)?,
        octets: number64(u)?,
        kind,
        md5: nstring(u)?,
        extension: extension.unwrap_or_default(),
    })))
}

fn item(u: &mut Unstructured<'_>) -> Result<FetchItem<'static>> {
    Ok(match u.int_in_range(0..=10)? {
        0 => FetchItem::Flags(flags(u)?),
        1 => FetchItem::Envelope(Box::new(envelope(u)?)),
        2 => FetchItem::InternalDate(date_time(u)?),
        3 => FetchItem::Rfc822Size(number64(u)?),
        4 | 5 => FetchItem::BodyStructure(body(u, 4)?),
        6 => FetchItem::Uid(number(u)?),
        7 => FetchItem::ModSeq(number64(u)?),
        8 => {
            let octets = maybe(u, |u| Ok(Cow::Owned(u.arbitrary::<[u8; 4]>()?.to_vec())))?;
            FetchItem::Binary(Source::Binary(path(u)?, maybe(u, number64)?), octets)
        }
        9 => FetchItem::BinarySize(path(u)?, u.arbitrary()?),
        _ => FetchItem::Section(Source::Body(section(u)?, maybe(u, number64)?), nstring(u)?),
    })
}

fn code(u: &mut Unstructured<'_>) -> Result<Code<'static>> {
    Ok(match u.int_in_range(0..=8)? {
        0 => Code::Alert,
        1 => Code::BadCharset(some(u, 0, 2, atom)?),
        2 => Code::Capability(Capabilities::new(some(u, 0, 3, atom)?)),
        3 => Code::PermanentFlags(flags(u)?),
        4 => Code::UidNext(number(u)?),
        5 => Code::AppendUid(number(u)?, set(u)?),
        6 => Code::CopyUid(number(u)?, set(u)?, set(u)?),
        7 => Code::HighestModSeq(number64(u)?),
        _ => Code::Modified(set(u)?),
    })
}

fn entry(u: &mut Unstructured<'_>) -> Result<ListEntry<'static>> {
    Ok(ListEntry {
        attributes: flags(u)?,
        delimiter: maybe(u, |u| Ok(*u.choose(&[Delimiter::SLASH])?))?,
        mailbox: mailbox(u)?,
        child_subscribed: u.arbitrary()?,
        old_name: maybe(u, mailbox)?,
    })
}

/// A response, but for the answer to a command.
pub fn data(u: &mut Unstructured<'_>) -> Result<Data<'static>> {
    Ok(match u.int_in_range(0..=16)? {
        0 => {
            let condition = *u.choose(&[Condition::Ok, Condition::No, Condition::Bad, Condition::Bye])?;
            let text = name(u)?.trim_start().to_owned();
            Data::Status(Status { condition, code: maybe(u, code)?, text: Text::new(text) })
        }
        1 => Data::Capability(Capabilities::new(some(u, 0, 4, atom)?)),
        2 => Data::List(entry(u)?),
        3 => Data::Lsub(entry(u)?),
        4 => {
            let mut values = StatusValues::default();
            values.messages = u.arbitrary()?;
            values.uid_next = maybe(u, number)?;
            values.size = maybe(u, number64)?;
            Data::MailboxStatus(mailbox(u)?, values)
        }
        5 => Data::Flags(flags(u)?),
        6 => Data::Search { numbers: some(u, 1, 4, number)?.into(), modseq: maybe(u, number64)? },
        7 => Data::Esearch(Esearch {
            tag: nstring(u)?,
            uid: u.arbitrary()?,
            min: maybe(u, number)?,
            max: maybe(u, number)?,
            all: maybe(u, set)?,
            count: u.arbitrary()?,
            modseq: maybe(u, number64)?,
        }),
        8 => Data::Exists(u.arbitrary()?),
        9 => Data::Expunge(number(u)?),
        10 => Data::Quota(Quota {
            root: istring(u)?,
            resources: some(u, 0, 3, |u| {
                Ok(Usage { resource: atom(u)?, usage: number64(u)?, limit: number64(u)? })
            })?,
        }),
        11 => Data::QuotaRoot(QuotaRoot { mailbox: mailbox(u)?, roots: some(u, 0, 3, istring)? }),
        _ => Data::Fetch(Fetch { number: number(u)?, items: some(u, 1, 4, item)?.into() }),
    })
}
