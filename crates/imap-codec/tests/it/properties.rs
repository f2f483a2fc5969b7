//! What holds for all values: what is written is read back, and what cannot be written cannot be made.

use core::num::{NonZeroU32, NonZeroU64};
use std::borrow::Cow;

use bytes::BytesMut;
use imap_codec::command::{
    Append, Command, FetchAttribute, FetchAttributes, Password, Search, SearchKey, SearchKeys, Select,
    StoreAction, Verb,
};
use imap_codec::encode::{Literals, Names, Wire};
use imap_codec::extension::condstore::{EntryType, ModSeqKey};
use imap_codec::extension::esearch::{Esearch, ReturnOptions};
use imap_codec::extension::id::Id;
use imap_codec::extension::list_extended::{List, ListEntry};
use imap_codec::extension::namespace::{Namespace, Namespaces};
use imap_codec::extension::quota::{Quota, QuotaRoot, SetQuota, Usage};
use imap_codec::extension::status::{StatusAttribute, StatusAttributes, StatusValues};
use imap_codec::extension::{Capabilities, Extensions};
use imap_codec::fragment::{Bounds, Fragment, Fragmenter, Sender};
use imap_codec::response::{Code, Condition, Data, Fetch, FetchItem, Response, Source, Status};
use imap_codec::types::body::{Extension, Multipart, Part, PartKind};
use imap_codec::types::mailbox::{from_utf7, to_utf7};
use imap_codec::types::section::FieldNames;
use imap_codec::types::{
    Address, Atom, Body, Date, DateTime, Delimiter, Envelope, Flag, Flags, IString, Mailbox, PartPath,
    Partial, Pattern, Section, SectionKind, SequenceSet, Slice, Tag, Text,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const BOUNDS: Bounds = Bounds { line: 1 << 20, literals: 1 << 20, total: 1 << 21, discard: 0 };

fn istring() -> impl Strategy<Value = IString<'static>> {
    prop_oneof![
        "[ -~]{0,12}".prop_map(String::into_bytes),
        "[a-zA-Z0-9]{1,8}".prop_map(String::into_bytes),
        "\\PC{0,6}".prop_map(String::into_bytes),
        Just(b"NIL".to_vec()),
        Just(b"x".repeat(1_200)),
        vec(1_u8.., 0..12),
    ]
    .prop_map(|octets| IString::new(octets).expect("no NUL"))
}

fn atom() -> impl Strategy<Value = Atom<'static>> {
    "[a-zA-Z$][a-zA-Z0-9$.-]{0,8}"
        .prop_filter("NIL has a meaning", |text| !text.eq_ignore_ascii_case("nil"))
        .prop_map(|text| Atom::new(text).expect("an atom"))
}

fn mailbox() -> impl Strategy<Value = Mailbox<'static>> {
    prop_oneof![Just("inbox".to_owned()), "[ -~]{0,12}", "\\PC{0,8}", Just("nil".to_owned())]
        .prop_map(|name| Mailbox::new(name).expect("no controls"))
}

fn number() -> impl Strategy<Value = NonZeroU32> {
    any::<NonZeroU32>()
}

fn number64() -> impl Strategy<Value = u64> {
    0..=i64::MAX as u64
}

fn set() -> impl Strategy<Value = SequenceSet<'static>> {
    let ranges = vec((number(), number()), 1..4)
        .prop_map(|ranges| SequenceSet::from_ranges(ranges.into_iter().map(|(a, b)| a..=b)).expect("one"));
    prop_oneof![ranges, Just(SequenceSet::new("*:4,7").unwrap())]
}

fn any_set() -> impl Strategy<Value = SequenceSet<'static>> {
    prop_oneof![set(), Just(SequenceSet::SAVED)]
}

fn flag() -> impl Strategy<Value = Flag<'static>> {
    prop_oneof![
        Just(Flag::Answered),
        Just(Flag::Flagged),
        Just(Flag::Deleted),
        Just(Flag::Seen),
        Just(Flag::Draft),
        atom().prop_map(Flag::Keyword),
        Just(Flag::Extension(Atom::new("Another").unwrap())),
    ]
}

fn flags() -> impl Strategy<Value = Flags<'static>> {
    vec(flag(), 0..4).prop_map(Flags::new)
}

fn date() -> impl Strategy<Value = Date> {
    (0..2_932_896_i64).prop_map(|days| Date::from_days(days).expect("a day"))
}

fn date_time() -> impl Strategy<Value = DateTime> {
    (date(), 0_u8..24, 0_u8..60, 0_u8..61, -5_999_i16..6_000).prop_map(
        |(date, hour, minute, second, zone)| DateTime::new(date, hour, minute, second, zone).unwrap(),
    )
}

fn path() -> impl Strategy<Value = PartPath<'static>> {
    vec(1_u32..50, 0..4).prop_map(|numbers| {
        let text: Vec<String> = numbers.iter().map(u32::to_string).collect();
        PartPath::new(text.join(".")).expect("numbers")
    })
}

fn section() -> impl Strategy<Value = Section<'static>> {
    let names = vec(istring(), 1..3).prop_map(|names| FieldNames::new(names).expect("one")).boxed();
    let kind = prop_oneof![
        Just(SectionKind::All),
        Just(SectionKind::Header),
        Just(SectionKind::Text),
        names.clone().prop_map(SectionKind::HeaderFields),
        names.prop_map(SectionKind::HeaderFieldsNot),
        Just(SectionKind::Mime),
    ];
    (path(), kind).prop_filter_map("only parts have MIME", |(path, kind)| Section::new(path, kind).ok())
}

fn attribute() -> impl Strategy<Value = FetchAttribute<'static>> {
    let partial = option::of(
        (number64(), 1..=i64::MAX as u64)
            .prop_map(|(offset, count)| Partial { offset, count: NonZeroU64::new(count).unwrap() }),
    )
    .boxed();
    prop_oneof![
        Just(FetchAttribute::Envelope),
        Just(FetchAttribute::Flags),
        Just(FetchAttribute::InternalDate),
        Just(FetchAttribute::Rfc822Size),
        Just(FetchAttribute::Rfc822),
        Just(FetchAttribute::Rfc822Header),
        Just(FetchAttribute::Rfc822Text),
        Just(FetchAttribute::Body),
        Just(FetchAttribute::BodyStructure),
        Just(FetchAttribute::Uid),
        Just(FetchAttribute::ModSeq),
        (any::<bool>(), section(), partial.clone())
            .prop_map(|(peek, section, partial)| FetchAttribute::Section { peek, section, partial }),
        (any::<bool>(), path(), partial).prop_map(|(peek, path, partial)| FetchAttribute::Binary {
            peek,
            path,
            partial
        }),
        path().prop_map(FetchAttribute::BinarySize),
    ]
}

fn search_key() -> impl Strategy<Value = SearchKey<'static>> {
    let leaf = prop_oneof![
        Just(SearchKey::All),
        Just(SearchKey::Answered),
        Just(SearchKey::New),
        Just(SearchKey::Old),
        Just(SearchKey::Recent),
        Just(SearchKey::Unseen),
        Just(SearchKey::Undraft),
        istring().prop_map(SearchKey::Bcc),
        istring().prop_map(SearchKey::Body),
        istring().prop_map(SearchKey::Subject),
        istring().prop_map(SearchKey::Text),
        (istring(), istring()).prop_map(|(name, value)| SearchKey::Header(name, value)),
        atom().prop_map(SearchKey::Keyword),
        atom().prop_map(SearchKey::Unkeyword),
        date().prop_map(SearchKey::Before),
        date().prop_map(SearchKey::SentSince),
        number64().prop_map(SearchKey::Larger),
        number64().prop_map(SearchKey::Smaller),
        any_set().prop_map(SearchKey::Uid),
        any_set().prop_map(SearchKey::Numbers),
        (option::of(istring()), number64()).prop_map(|(name, least)| SearchKey::ModSeq(ModSeqKey {
            entry: name.map(|name| (name, EntryType::All)),
            least,
        })),
    ];
    leaf.prop_recursive(4, 12, 3, |inner| {
        let keys = vec(inner.clone(), 1..3).prop_map(|keys| SearchKeys::new(keys).expect("not deep"));
        let one = inner.prop_map(|key| SearchKeys::new([key]).expect("not deep"));
        prop_oneof![
            keys.prop_map(SearchKey::Group),
            one.clone().prop_map(SearchKey::Not),
            (one.clone(), one).prop_map(|(one, other)| SearchKey::Or(one, other)),
        ]
    })
}

fn search() -> impl Strategy<Value = Search<'static>> {
    let returns = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(|(min, max, count, save)| ReturnOptions { min, max, all: true, count, save });
    (option::of(returns), option::of(istring()), vec(search_key(), 1..3)).prop_map(
        |(returns, charset, keys)| Search {
            returns,
            charset,
            keys: SearchKeys::new(keys).expect("not deep"),
        },
    )
}

fn verb() -> impl Strategy<Value = Verb<'static>> {
    let items = vec(attribute(), 1..4).prop_map(|items| FetchAttributes::new(items).expect("one"));
    let action = prop_oneof![Just(StoreAction::Replace), Just(StoreAction::Add), Just(StoreAction::Remove)];
    let status = StatusAttributes::default()
        .with(StatusAttribute::Messages)
        .with(StatusAttribute::Size)
        .with(StatusAttribute::HighestModSeq)
        .with(StatusAttribute::AppendLimit);
    let pattern =
        "[ -~]{0,8}|\\PC{0,4}|\\*|%".prop_map(|text| Pattern::new(text).expect("no controls")).boxed();
    let list = (mailbox(), pattern.clone(), option::of(pattern.clone()), any::<[bool; 4]>()).prop_map(
        move |(reference, first, second, options)| {
            let mut list = List::new(reference, first);
            if let Some(second) = second {
                list.patterns = list.patterns.and(second);
                list.extended = true;
            }
            list.select.subscribed = options[0];
            list.select.recursive_match = options[0] && options[1];
            if options[2] {
                let mut returns = imap_codec::extension::list_extended::ListReturn::default();
                returns.children = true;
                returns.status = if options[3] { status } else { StatusAttributes::default() };
                list.returns = Some(returns);
            }
            list.extended |= options[0] || options[2];
            list
        },
    );
    let simple = prop_oneof![
        Just(Verb::Capability),
        Just(Verb::Noop),
        Just(Verb::Idle),
        Just(Verb::Unselect),
        Just(Verb::UidExpunge(SequenceSet::ALL)),
        mailbox().prop_map(Verb::Delete),
        (mailbox(), mailbox()).prop_map(|(from, to)| Verb::Rename(from, to)),
        (mailbox(), pattern).prop_map(|(reference, pattern)| Verb::Lsub(reference, pattern)),
        list.prop_map(Verb::List),
        mailbox().prop_map(move |mailbox| Verb::Status(mailbox, status)),
        istring().prop_map(Verb::GetQuota),
        (istring(), vec((atom(), number64()), 0..3))
            .prop_map(|(root, limits)| Verb::SetQuota(SetQuota { root, limits })),
        vec((istring(), option::of(istring())), 0..3).prop_map(|fields| Verb::Id(Id { fields })),
        vec(atom(), 1..3).prop_map(|words| Verb::Enable(Capabilities::new(words))),
    ];
    prop_oneof![
        simple,
        (istring(), istring()).prop_map(|(user, word)| Verb::Login { user, password: Password(word) }),
        (mailbox(), any::<bool>())
            .prop_map(|(mailbox, condstore)| Verb::Examine(Select { mailbox, condstore })),
        (mailbox(), flags()).prop_map(|(mailbox, special_use)| Verb::Create { mailbox, special_use }),
        (mailbox(), flags(), option::of(date_time()))
            .prop_map(|(mailbox, flags, date)| Verb::Append(Append { mailbox, flags, date })),
        (any::<bool>(), search()).prop_map(|(uid, search)| Verb::Search { uid, search }),
        (any::<bool>(), any_set(), items, option::of(number64()))
            .prop_map(|(uid, set, items, changed_since)| Verb::Fetch { uid, set, items, changed_since }),
        (any::<bool>(), any_set(), action, any::<bool>(), flags(), option::of(number64())).prop_map(
            |(uid, set, action, silent, flags, unchanged_since)| {
                Verb::Store { uid, set, action, silent, flags, unchanged_since }
            }
        ),
        (any::<bool>(), any_set(), mailbox()).prop_map(|(uid, set, mailbox)| Verb::Move {
            uid,
            set,
            mailbox
        }),
    ]
}

fn wire() -> impl Strategy<Value = Wire> {
    let names = prop_oneof![Just(Names::Utf7), Just(Names::Utf8)];
    let literals =
        prop_oneof![Just(Literals::Synchronizing), Just(Literals::NonSynchronizing), Just(Literals::Minus)];
    (names, literals).prop_map(|(names, literals)| Wire { names, literals })
}

fn nstring() -> impl Strategy<Value = Option<IString<'static>>> {
    option::of(istring())
}

fn envelope() -> impl Strategy<Value = Envelope<'static>> {
    let address = (nstring(), nstring(), nstring(), nstring())
        .prop_map(|(name, route, mailbox, host)| Address { name, route, mailbox, host });
    (vec(nstring(), 4), vec(vec(address, 0..3), 6)).prop_map(|(strings, lists)| {
        let [date, subject, in_reply_to, message_id] = strings.try_into().expect("four");
        let [from, sender, reply_to, to, cc, bcc] = lists.try_into().expect("six");
        Envelope { date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id }
    })
}

fn body() -> impl Strategy<Value = Body<'static>> {
    let parameters = || vec((istring(), istring()), 0..2);
    let extension = (option::of((istring(), parameters())), vec(istring(), 0..3), nstring())
        .prop_map(|(disposition, language, location)| Extension { disposition, language, location })
        .boxed();
    let fields =
        (parameters(), nstring(), nstring(), istring(), number64(), nstring(), extension.clone()).boxed();
    let part = move |media: &'static str, subtype: &'static str, kind: PartKind<'static>| {
        move |(parameters, id, description, encoding, octets, md5, extension)| {
            let word = |text| IString::try_from(text).expect("a string");
            Body::Part(Box::new(Part {
                media: word(media),
                subtype: word(subtype),
                parameters,
                id,
                description,
                encoding,
                octets,
                kind: kind.clone(),
                md5,
                extension,
            }))
        }
    };
    let leaf = prop_oneof![
        fields.clone().prop_map(part("image", "png", PartKind::Basic)),
        fields.clone().prop_map(part("TEXT", "plain", PartKind::Text(7))),
    ];
    leaf.prop_recursive(3, 8, 3, move |inner| {
        let multipart = (vec(inner.clone(), 1..3), istring(), parameters(), extension.clone()).prop_map(
            |(parts, subtype, parameters, extension)| {
                Body::Multipart(Box::new(Multipart { parts, subtype, parameters, extension }))
            },
        );
        let message = (inner, envelope(), fields.clone()).prop_map(move |(body, envelope, fields)| {
            part("message", "rfc822", PartKind::Message { envelope: Box::new(envelope), body, lines: 3 })(
                fields,
            )
        });
        prop_oneof![multipart, message]
    })
}

fn item() -> impl Strategy<Value = FetchItem<'static>> {
    let source = prop_oneof![
        (section(), option::of(number64())).prop_map(|(section, origin)| Source::Body(section, origin)),
        Just(Source::Rfc822),
        Just(Source::Rfc822Text),
    ];
    prop_oneof![
        vec(flag(), 0..3)
            .prop_map(|list| FetchItem::Flags(Flags::new(list.into_iter().chain([Flag::Recent])))),
        envelope().prop_map(|envelope| FetchItem::Envelope(Box::new(envelope))),
        date_time().prop_map(FetchItem::InternalDate),
        number64().prop_map(FetchItem::Rfc822Size),
        body().prop_map(FetchItem::BodyStructure),
        number().prop_map(FetchItem::Uid),
        number64().prop_map(FetchItem::ModSeq),
        (source, nstring()).prop_map(|(source, octets)| FetchItem::Section(source, octets)),
        (path(), option::of(vec(any::<u8>(), 0..9))).prop_map(|(path, octets)| {
            FetchItem::Binary(Source::Binary(path, None), octets.map(Cow::Owned))
        }),
        (path(), any::<u32>()).prop_map(|(path, octets)| FetchItem::BinarySize(path, octets)),
    ]
}

fn code() -> impl Strategy<Value = Code<'static>> {
    prop_oneof![
        Just(Code::Alert),
        Just(Code::TryCreate),
        Just(Code::UnknownCte),
        vec(atom(), 0..3).prop_map(Code::BadCharset),
        vec(atom(), 0..3).prop_map(|words| Code::Capability(Capabilities::new(words))),
        flags().prop_map(Code::PermanentFlags),
        number().prop_map(Code::UidNext),
        (number(), set()).prop_map(|(validity, uids)| Code::AppendUid(validity, uids)),
        (number(), set(), set()).prop_map(|(validity, from, to)| Code::CopyUid(validity, from, to)),
        number64().prop_map(Code::HighestModSeq),
        set().prop_map(Code::Modified),
        Just(Code::Other(Atom::new("X-NEW").unwrap(), None)),
    ]
}

fn status() -> impl Strategy<Value = Status<'static>> {
    let condition = prop_oneof![Just(Condition::Ok), Just(Condition::No), Just(Condition::Bad)];
    (condition, option::of(code()), "[ -~]{0,20}").prop_map(|(condition, code, text)| Status {
        condition,
        code,
        text: Text::new(text.trim_start().to_owned()),
    })
}

fn data() -> impl Strategy<Value = Data<'static>> {
    let delimiter = || option::of(Just(Delimiter::SLASH));
    let entry = (flags(), delimiter(), mailbox(), any::<bool>(), option::of(mailbox()))
        .prop_map(|(attributes, delimiter, mailbox, child_subscribed, old_name)| ListEntry {
            attributes,
            delimiter,
            mailbox,
            child_subscribed,
            old_name,
        })
        .boxed();
    let namespaces = || {
        vec((mailbox(), delimiter()).prop_map(|(prefix, delimiter)| Namespace { prefix, delimiter }), 0..3)
            .prop_map(Slice::Owned)
    };
    let esearch =
        (nstring(), any::<bool>(), option::of(number()), option::of(set()), option::of(any::<u32>()))
            .prop_map(|(tag, uid, min, all, count)| Esearch {
                tag,
                uid,
                min,
                max: min,
                all,
                count,
                modseq: None,
            });
    let values = (any::<u32>(), option::of(number()), number64(), option::of(option::of(any::<u32>())))
        .prop_map(|(messages, uid_next, size, append_limit)| {
            let mut values = StatusValues::default();
            values.messages = Some(messages);
            values.uid_next = uid_next;
            values.size = Some(size);
            values.append_limit = append_limit;
            values
        });
    prop_oneof![
        status().prop_map(Data::Status),
        vec(atom(), 0..4).prop_map(|words| Data::Capability(Capabilities::new(words))),
        (namespaces(), namespaces(), namespaces())
            .prop_map(|(personal, others, shared)| Data::Namespace(Namespaces { personal, others, shared })),
        entry.clone().prop_map(Data::List),
        entry.prop_map(Data::Lsub),
        (mailbox(), values).prop_map(|(mailbox, values)| Data::MailboxStatus(mailbox, values)),
        flags().prop_map(Data::Flags),
        vec(number(), 1..5).prop_map(|numbers| Data::Search { numbers: numbers.into(), modseq: Some(5) }),
        esearch.prop_map(Data::Esearch),
        any::<u32>().prop_map(Data::Exists),
        number().prop_map(Data::Expunge),
        (number(), vec(item(), 1..4))
            .prop_map(|(number, items)| Data::Fetch(Fetch { number, items: items.into() })),
        (istring(), vec((atom(), number64(), number64()), 0..3)).prop_map(|(root, resources)| {
            let usage = |(resource, usage, limit)| Usage { resource, usage, limit };
            Data::Quota(Quota { root, resources: resources.into_iter().map(usage).collect() })
        }),
        (mailbox(), vec(istring(), 0..3))
            .prop_map(|(mailbox, roots)| Data::QuotaRoot(QuotaRoot { mailbox, roots })),
    ]
}

/// The one message that the octets are, without its CRLF.
fn one_message(octets: &[u8], sender: Sender) -> Vec<u8> {
    let (mut reader, mut input) = (Fragmenter::new(sender), octets);
    while let Some(fragment) = reader.next(&mut input, &BOUNDS, false) {
        if let Fragment::Whole { message, bare_lf: false } = fragment {
            assert!(input.is_empty(), "one message: {}", octets.escape_ascii());
            return message.to_vec();
        }
    }
    panic!("no message: {}", octets.escape_ascii());
}

proptest! {
    #[test]
    fn commands_are_written_and_read_back(verb in verb(), wire in wire()) {
        let command = Command { tag: Tag::new("a1").unwrap(), verb };
        let mut out = BytesMut::new();
        command.encode(wire, &mut out);
        if matches!(command.verb, Verb::Append(_)) {
            let read = Command::parse(&out, Extensions::all(), wire.names);
            prop_assert_eq!(read, Ok(command));
        } else {
            let message = one_message(&out, Sender::Client);
            let read = Command::parse(&message, Extensions::all(), wire.names);
            prop_assert_eq!(read, Ok(command));
        }
    }

    // Ledger: 5258-6-1, 9051-4.3-6, 9051-5.1-1, 9051-6.3.10-2, 9051-9-15
    #[test]
    fn responses_are_written_and_read_back(data in data(), wire in wire()) {
        let response = Response::Untagged(data);
        let mut out = BytesMut::new();
        response.encode(wire.names, &mut out);
        let message = one_message(&out, Sender::Server);
        prop_assert_eq!(Response::parse(&message, wire.names), Ok(response));
    }

    #[test]
    fn statuses_are_written_and_read_back(status in status()) {
        let response = Response::Tagged(Tag::new("x.1").unwrap(), status);
        let mut out = BytesMut::new();
        response.encode(Names::Utf7, &mut out);
        let message = one_message(&out, Sender::Server);
        prop_assert_eq!(Response::parse(&message, Names::Utf7), Ok(response));
    }

    #[test]
    fn no_text_becomes_another_line(text in any::<String>()) {
        for condition in [Condition::Ok, Condition::Bye] {
            let mut out = BytesMut::new();
            let data = Data::Status(Status::new(condition, text.as_str()));
            Response::Untagged(data).encode(Names::Utf8, &mut out);
            prop_assert_eq!(out.iter().filter(|octet| **octet == b'\n').count(), 1);
            let message = one_message(&out, Sender::Server);
            let Ok(Response::Untagged(Data::Status(status))) = Response::parse(&message, Names::Utf8) else {
                panic!("a status");
            };
            prop_assert_eq!(status.code, None);
        }
    }

    // Ledger: 9051-13.2.2-3
    #[test]
    fn names_of_mailboxes_have_one_spelling(name in "\\PC*") {
        prop_assert_eq!(from_utf7(&to_utf7(&name)), Some(name));
    }

    // Ledger: 3501-5.1.3-4, 9051-A.1-4
    #[test]
    fn utf7_is_read_only_as_it_is_written(text in "[&,+a-zA-Z0-9-]{0,20}") {
        if let Some(name) = from_utf7(&text) {
            prop_assert_eq!(to_utf7(&name), text);
        }
    }

    #[test]
    fn any_octets_are_read_or_refused(octets in vec(any::<u8>(), 0..200)) {
        let _ = Command::parse(&octets, Extensions::all(), Names::Utf7);
        let _ = Response::parse(&octets, Names::Utf8);
    }
}

// Ledger: 9051-9-4
#[test]
fn strings_go_out_in_the_form_that_carries_them() {
    let login = |user: &'static [u8]| {
        let user = IString::new(user).expect("no NUL");
        let verb = Verb::Login { password: Password(user.clone()), user };
        let mut out = BytesMut::new();
        Command { tag: Tag::new("a").unwrap(), verb }.encode(Wire::default(), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    };
    assert_eq!(login(b"ann"), "a LOGIN ann ann\r\n");
    // Some readers take the bare word for the absence of a string.
    assert_eq!(login(b"nil"), "a LOGIN \"nil\" \"nil\"\r\n");
    assert_eq!(login(b"a\"b"), "a LOGIN \"a\\\"b\" \"a\\\"b\"\r\n");
    assert_eq!(login(b""), "a LOGIN \"\" \"\"\r\n");
    assert_eq!(login(b"\xff"), "a LOGIN {1}\r\n\u{fffd} {1}\r\n\u{fffd}\r\n");
    let binary = |octets: &'static [u8]| {
        let source = Source::Binary(PartPath::new("1").unwrap(), Some(5));
        let items = vec![FetchItem::Binary(source, Some(Cow::Borrowed(octets)))];
        let fetch = Fetch { number: NonZeroU32::MIN, items: items.into() };
        let mut out = BytesMut::new();
        Response::Untagged(Data::Fetch(fetch)).encode(Names::Utf7, &mut out);
        String::from_utf8_lossy(&out).into_owned()
    };
    // Only literal8 may have NUL.
    assert_eq!(binary(b"a\0"), "* 1 FETCH (BINARY[1]<5> ~{2}\r\na\0)\r\n");
    assert_eq!(binary(b"ab"), "* 1 FETCH (BINARY[1]<5> \"ab\")\r\n");
}
