//! Searches over messages, beside one that looks at everything.

use mailstore::message::UnixTime;
use mailstore::mime::{Scanner, Structure};
use mailstore::search::{Day, Event, Facts, Key, Numbers, Query, Search, TooLarge};

use crate::messages::{Random, ambiguous};

/// What a search asked for and found.
#[derive(Debug, Default, Eq, PartialEq)]
struct Run {
    found: Vec<u32>,
    structures: usize,
    octets: u64,
    pauses: usize,
}

fn structure(message: &[u8]) -> Structure {
    let mut scanner = Scanner::new();
    scanner.push(message);
    scanner.finish()
}

/// Searches messages, each with its facts; `pieces` is how many octets come at once, and `prefix` how many of each message
/// stand in front of what was scanned.
fn run(query: Query, messages: &[(Facts, Vec<u8>)], prefix: usize, pieces: usize) -> Run {
    let mut search = Search::new(query).expect("it is small");
    let (mut run, mut next, mut steps) = (Run::default(), 0, 0_u64);
    let limit = 1_000 + messages.iter().map(|(_, message)| 40 + 4 * message.len() as u64).sum::<u64>();
    loop {
        steps += 1;
        assert!(steps < limit, "it does not end");
        match search.poll() {
            Event::Message => match messages.get(next) {
                None => search.handle_end(),
                Some((facts, _)) => {
                    search.handle_message(*facts);
                    next += 1;
                }
            },
            Event::Structure => {
                run.structures += 1;
                search.handle_structure(structure(&messages[next - 1].1[prefix..]), prefix as u64);
            }
            Event::Read(range) => {
                let octets = &messages[next - 1].1[range.start as usize..range.end as usize];
                assert!(!octets.is_empty() && octets.len() <= 65_536);
                let octets = &octets[..octets.len().min(pieces)];
                run.octets += octets.len() as u64;
                search.handle_octets(octets);
            }
            Event::Match(facts) => run.found.push(facts.number),
            Event::Pause => run.pauses += 1,
            Event::Done => return run,
        }
    }
}

/// Whether this one message matches, however its octets come.
fn matches(key: impl Into<Query>, message: &[u8]) -> bool {
    let (query, messages) = (key.into(), [(Facts { number: 1, ..Facts::default() }, message.to_vec())]);
    let whole = run(query.clone(), &messages, 0, usize::MAX);
    assert_eq!(run(query.clone(), &messages, 0, 1).found, whole.found, "octet by octet");
    assert_eq!(run(query.not(), &messages, 0, 7).found.len(), 1 - whole.found.len(), "the opposite");
    !whole.found.is_empty()
}

fn text(text: &str) -> String {
    text.to_owned()
}

const MESSAGE: &[u8] = b"Received: from somewhere\r\n\
    From: \"Doe, \\\"Joe\\\"\" <joe@Example.test>\r\n\
    To: =?utf-8?q?J=C3=BCrgen?= M <j@example.test>, Group: ann@example.test;\r\n\
    Cc:\r\n\
    Subject: =?iso-8859-1?q?Gr=FC=DFe_aus?=\r\n =?utf-8?b?IEvDtmxu?=, in\r\n\tlines\r\n\
    Date: Tue, 2 Jan 2024 23:30:00 -0800\r\n\
    X-Tag: one\r\nX-Tag: two\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=b\r\n\r\n\
    preamble\r\n\
    --b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\
    X-Part: inner\r\n\r\n\
    caf=E9 long wo=\r\nrd\r\n\
    --b\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n\
    PGI+0JzQkNCi0Kw8L2I+\r\n\
    --b\r\nContent-Type: message/rfc822\r\n\r\nSubject: forwarded\r\n\r\nwithin\r\n\
    --b\r\nContent-Type: application/octet-stream; name=secret\r\n\r\nbinary\r\n\
    --b--\r\nepilogue\r\n";

#[test]
fn texts_are_found_where_they_belong() {
    for (key, is) in [
        (Key::From(text("joe")), true),
        (Key::From(text("doe, \"joe\" <JOE@example.test>")), true),
        (Key::From(text("ann")), false),
        (Key::To(text("J\u{dc}RGEN")), true),
        (Key::To(text("group")), true),
        (Key::To(text("joe")), false),
        (Key::Cc(text("x")), false),
        (Key::Cc(text("")), true),
        (Key::Bcc(text("")), false),
        (Key::Subject(text("gr\u{fc}\u{1e9e}e aus k\u{d6}ln, in\tlines")), true),
        (Key::Subject(text("forwarded")), false),
        (Key::Header(text("x-tag"), text("TWO")), true),
        (Key::Header(text("x-tag"), text("x-tag")), false),
        (Key::Header(text("X-Tag"), text("")), true),
        (Key::Header(text("X-Part"), text("")), false),
        (Key::Header(text("received"), text("somewhere")), true),
        (Key::Header(text("subject"), text("k\u{f6}ln")), true),
        (Key::Body(text("CAF\u{c9} long word")), true),
        (Key::Body(text("\u{43c}\u{430}\u{442}\u{44c}")), true),
        (Key::Body(text("within")), true),
        (Key::Body(text("forwarded")), true),
        (Key::Body(text("inner")), false),
        (Key::Body(text("somewhere")), false),
        (Key::Body(text("binary")), false),
        (Key::Body(text("preamble")), false),
        (Key::Body(text("")), true),
        (Key::Text(text("inner")), true),
        (Key::Text(text("name=secret")), true),
        (Key::Text(text("from: \"doe")), true),
        (Key::Text(text("x-tag: two")), true),
        (Key::Text(text("word")), true),
        (Key::Text(text("epilogue")), false),
        (Key::Text(text("nowhere")), false),
    ] {
        assert_eq!(matches(key.clone(), MESSAGE), is, "{key:?}");
        // The same where something else has every text looked into.
        let other =
            Query::from(Key::Text(text("no such text"))).or(Key::Header(text("x-tag"), text("three")));
        assert_eq!(matches(other.or(key.clone()), MESSAGE), is, "{key:?} among others");
    }
}

#[test]
fn the_last_octets_of_a_text_count() {
    for (encoding, text_of) in
        [("base64", "aGVsbG8"), ("base64", "aGVsbG8="), ("quoted-printable", "hell=6F"), ("8bit", "hello")]
    {
        let message = format!("Content-Transfer-Encoding: {encoding}\r\n\r\n{text_of}");
        assert!(matches(Key::Body(text("hello")), message.as_bytes()), "{encoding} {text_of}");
    }
    let utf_16 = b"Content-Type: text/plain; charset=utf-16le\r\n\r\nh\0e\0l\0l\0o\0";
    assert!(matches(Key::Body(text("hello")), utf_16));
}

#[test]
fn days_are_those_of_the_header_and_of_the_delivery() {
    let day = |day| Day::new(2024, 1, day).expect("a day");
    for (key, is) in [
        (Key::SentOn(day(2)), true),
        (Key::SentBefore(day(2)), false),
        (Key::SentBefore(day(3)), true),
        (Key::SentSince(day(2)), true),
        (Key::SentSince(day(3)), false),
    ] {
        assert_eq!(matches(key.clone(), MESSAGE), is, "{key:?}");
    }
    for key in [Key::SentOn(day(2)), Key::SentBefore(day(2)), Key::SentSince(day(2))] {
        assert!(!matches(key, b"Subject: no date\r\n\r\n"));
    }
    let at = |seconds| [(Facts { number: 1, date: UnixTime(seconds), ..Facts::default() }, Vec::new())];
    for (seconds, before, on, since) in [
        (1_704_153_599, 1, 0, 0),
        (1_704_153_600, 0, 1, 1),
        (1_704_239_999, 0, 1, 1),
        (1_704_240_000, 0, 0, 1),
    ] {
        for (key, count) in
            [(Key::Before(day(2)), before), (Key::On(day(2)), on), (Key::Since(day(2)), since)]
        {
            assert_eq!(run(key.clone().into(), &at(seconds), 0, 1).found.len(), count, "{key:?} {seconds}");
        }
    }
}

/// A hundred messages whose facts all differ.
fn hundred() -> Vec<(Facts, Vec<u8>)> {
    (1..=100)
        .map(|number| {
            let facts = Facts {
                number,
                uid: 1_000 + number,
                flags: u64::from(number % 4),
                recent: number > 90,
                date: UnixTime(i64::from(number) * 86_400),
                size: 100 * u64::from(number),
                mod_seq: 5 + u64::from(number / 10),
            };
            (facts, format!("Subject: {number}\r\n\r\nbody {number}\r\n").into_bytes())
        })
        .collect()
}

#[test]
fn facts_decide_without_a_look_into_messages() {
    let messages = hundred();
    let count = |query: Query| {
        let run = run(query, &messages, 0, usize::MAX);
        assert_eq!((run.structures, run.octets), (0, 0));
        run.found.len()
    };
    for (key, expected) in [
        (Key::All, 100),
        (Key::Flags(1), 50),
        (Key::Flags(3), 25),
        (Key::Flags(4), 0),
        (Key::Recent, 10),
        (Key::Larger(9_000), 10),
        (Key::Smaller(900), 8),
        (Key::Uid(Numbers::new([1_010..=1_019, 5..=7])), 10),
        (Key::Number(Numbers::new([1..=3, 99..=200])), 5),
        (Key::ModSeq(15), 1),
    ] {
        assert_eq!(count(key.clone().into()), expected, "{key:?}");
        assert_eq!(count(Query::from(key.clone()).not()), 100 - expected, "{key:?}");
        // A text that cannot decide is not looked for.
        let never = Query::from(Key::All).not().and(Key::Body(text("x")));
        assert_eq!(count(Query::from(key).or(never)), expected);
    }
    let few = Query::from(Key::Number(Numbers::new([1..=5]))).and(Key::Subject(text("3")));
    let run = run(few, &messages, 0, usize::MAX);
    assert_eq!((run.found, run.structures, run.octets), (vec![3], 5, 0));
}

#[test]
fn no_more_is_read_than_decides() {
    let far = [b"Subject: x\r\n\r\nneedle\r\n", &b"hay\r\n".repeat(100_000)[..]].concat();
    let messages = [(Facts { number: 1, ..Facts::default() }, far)];
    let first = run(Key::Body(text("needle")).into(), &messages, 0, usize::MAX);
    assert_eq!((first.found.len(), first.octets), (1, 65_536));
    let header = run(Key::Header(text("subject"), text("x")).into(), &messages, 0, usize::MAX);
    assert_eq!((header.found.len(), header.octets), (1, 14));
    let all = run(Key::Body(text("nothing")).into(), &messages, 0, usize::MAX);
    assert_eq!((all.found.len(), all.octets), (0, messages[0].1.len() as u64 - 14));
    // An attachment is stepped over.
    let attached = [
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: image/png\r\n\r\n",
        &b"hay\r\n".repeat(100_000)[..],
        b"--b\r\n\r\nneedle\r\n--b--",
    ]
    .concat();
    let messages = [(Facts { number: 1, ..Facts::default() }, attached)];
    let last = run(Key::Body(text("needle")).into(), &messages, 0, usize::MAX);
    assert_eq!(last.found, [1]);
    assert!(last.octets < 100, "{}", last.octets);
}

/// What hangs on to a text is known from where its parts lie, and nothing of it is read.
#[test]
fn attachments_are_found_without_reading() {
    let part = |head: &str| format!("--b\r\n{head}\r\n\r\nhay\r\n");
    let mixed = |kind: &str, heads: &[&str]| {
        let parts: String = heads.iter().map(|head| part(head)).collect();
        format!("Content-Type: multipart/{kind}; boundary=b\r\n\r\n{parts}--b--\r\n")
    };
    let (plain, page) = ("Content-Type: text/plain", "Content-Type: text/html");
    let picture = "Content-Type: image/png";
    for (what, message, is) in [
        ("a text", "Subject: x\r\n\r\nhay\r\n".to_owned(), false),
        ("two forms of a text", mixed("alternative", &[plain, page]), false),
        ("a file alone", "Content-Type: application/pdf\r\n\r\nhay\r\n".to_owned(), true),
        ("a picture", mixed("mixed", &[plain, picture]), true),
        ("a picture in a page", mixed("related", &[page, &format!("{picture}\r\nContent-ID: <p@x>")]), false),
        (
            "one that is apart all the same",
            mixed(
                "mixed",
                &[page, &format!("{picture}\r\nContent-ID: <p@x>\r\nContent-Disposition: ATTACHMENT")],
            ),
            true,
        ),
        (
            "a text that is a file",
            mixed("mixed", &[plain, &format!("{plain}\r\nContent-Disposition: attachment; filename=a")]),
            true,
        ),
        (
            "a text that is not",
            mixed("mixed", &[plain, &format!("{plain}\r\nContent-Disposition: inline")]),
            false,
        ),
        (
            "a signature",
            mixed(
                "signed",
                &[plain, "Content-Type: application/PGP-signature\r\nContent-Disposition: attachment"],
            ),
            false,
        ),
        ("a message", mixed("mixed", &[plain, "Content-Type: message/rfc822\r\n\r\nSubject: y"]), true),
        ("the fiftieth part", mixed("mixed", &[&[plain; 48][..], &[picture]].concat()), true),
        ("one too far behind", mixed("mixed", &[&[plain; 49][..], &[picture]].concat()), false),
    ] {
        assert_eq!(matches(Key::Attachment, message.as_bytes()), is, "{what}");
        let messages = [(Facts { number: 1, ..Facts::default() }, message.into_bytes())];
        let both = run(Query::from(Key::Attachment).and(Key::Subject(text("no"))), &messages, 0, usize::MAX);
        assert_eq!((both.found.len(), both.structures, both.octets), (0, 1, 0), "{what}");
    }
    // A fact that decides comes first.
    let messages = [(Facts::default(), MESSAGE.to_vec())];
    let none = run(Query::from(Key::Attachment).and(Key::Flags(1)), &messages, 0, usize::MAX);
    assert_eq!((none.found.len(), none.structures), (0, 0));
}

#[test]
fn what_stands_in_front_of_a_body_is_header() {
    let front = b"Delivered-To: ann@example.test\r\n";
    let messages = [(Facts { number: 1, ..Facts::default() }, [&front[..], MESSAGE].concat())];
    for (key, is) in [
        (Key::Header(text("delivered-to"), text("ANN")), true),
        (Key::Text(text("delivered-to: ann")), true),
        (Key::Body(text("caf\u{e9}")), true),
        (Key::Body(text("delivered")), false),
    ] {
        for pieces in [1, 5, usize::MAX] {
            assert_eq!(
                !run(key.clone().into(), &messages, front.len(), pieces).found.is_empty(),
                is,
                "{key:?}"
            );
        }
    }
}

#[test]
fn a_query_has_bounds_and_no_depth_of_its_own() {
    assert_eq!(Search::new(Key::Text("x".repeat(16_384)).into()).err(), None);
    assert_eq!(Search::new(Key::Text("x".repeat(16_385)).into()).err(), Some(TooLarge));
    let many = |keys| (1..keys).fold(Query::all(), |query, _| query.and(Key::Recent));
    assert_eq!(Search::new(many(1_000)).err(), None);
    assert_eq!(Search::new(many(1_001)).err(), Some(TooLarge));
    let deep = (0..1_000_000).fold(Query::all(), |query, _| query.not());
    assert_eq!(run(deep, &hundred()[..1], 0, 1).found, [1]);
}

#[test]
fn a_message_that_cannot_be_read_does_not_match() {
    let mut search = Search::new(Query::from(Key::Body(text("x"))).not()).expect("it is small");
    assert_eq!(search.poll(), Event::Message);
    search.handle_message(Facts::default());
    assert_eq!(search.poll(), Event::Structure);
    // What was not asked for changes nothing.
    search.handle_octets(b"x");
    search.handle_message(Facts { number: 9, ..Facts::default() });
    search.handle_end();
    assert_eq!(search.poll(), Event::Structure);
    search.handle_unreadable();
    assert_eq!(search.poll(), Event::Message);
    search.handle_message(Facts::default());
    assert_eq!(search.poll(), Event::Structure);
    search.handle_structure(structure(b"\r\nbody"), 0);
    assert_eq!(search.poll(), Event::Read(2..6));
    search.handle_octets(b"");
    assert_eq!(search.poll(), Event::Message);
    search.handle_end();
    assert_eq!((search.poll(), search.poll()), (Event::Done, Event::Done));
}

#[test]
fn much_work_is_done_in_steps() {
    let messages: Vec<_> = (0..1_000).map(|_| hundred()[0].clone()).collect();
    let query = (0..100).fold(Query::all(), |query, _| query.and(Key::Recent));
    assert!(run(query, &messages, 0, 1).pauses >= 20);
}

#[test]
fn many_patterns_that_end_at_one_place_cost_no_more() {
    // Each of them ends at every octet of the message.
    let query = (1..150).fold(Query::all().not(), |query, count| {
        query.or(Query::from(Key::Body("a".repeat(count))).and(Query::all().not()))
    });
    let message = [b"\r\n", &b"a".repeat(2_000_000)[..]].concat();
    let run = run(query, &[(Facts::default(), message)], 0, usize::MAX);
    assert!(run.found.is_empty());
}

/// A query from a seed, and whether a message that has these words in these places matches it.
fn query(random: &mut Random, depth: u32, has: &dyn Fn(&Key) -> bool) -> (Query, bool) {
    match if depth == 0 { 9 } else { random.below(6) } {
        0 => {
            let (inner, is) = query(random, depth - 1, has);
            (inner.not(), !is)
        }
        1 | 2 => {
            let (one, first) = query(random, depth - 1, has);
            let (other, second) = query(random, depth - 1, has);
            (one.and(other), first && second)
        }
        3 | 4 => {
            let (one, first) = query(random, depth - 1, has);
            let (other, second) = query(random, depth - 1, has);
            (one.or(other), first || second)
        }
        _ => {
            let word = random.pick(&["needle", "hay", "NEEDLE", "other", "dle", ""]).to_owned();
            let key = match random.below(7) {
                0 => Key::Subject(word),
                1 => Key::Body(word),
                2 => Key::Text(word),
                3 => Key::Header(text("X-A"), word),
                4 => Key::Flags(1 << random.below(3)),
                5 => Key::Smaller(random.below(3)),
                _ => Key::From(word),
            };
            let is = has(&key);
            (key.into(), is)
        }
    }
}

#[test]
fn queries_come_to_what_their_keys_come_to() {
    let words = ["needle", "hay", "nothing"];
    for seed in 0..3_000 {
        let mut random = Random::new(seed);
        let places: [&str; 4] = core::array::from_fn(|_| random.pick(&words));
        let [subject, field, from, body] = places;
        let message = format!("Subject: {subject}\r\nX-A: {field}\r\nFrom: {from}@x\r\n\r\n{body}\r\n");
        let facts = Facts { number: 1, flags: random.below(8), size: random.below(3), ..Facts::default() };
        let has = |key: &Key| {
            let within = |place: &str, word: &String| place.to_lowercase().contains(&word.to_lowercase());
            match key {
                Key::Subject(word) => within(subject, word),
                Key::Header(_, word) => within(field, word),
                Key::From(word) => within(from, word),
                Key::Body(word) => within(body, word),
                Key::Text(word) => within(&message, word),
                Key::Flags(flags) => facts.flags & flags == *flags,
                Key::Smaller(size) => facts.size < *size,
                _ => false,
            }
        };
        let (query, is) = query(&mut random, 5, &has);
        let pieces = 1 + random.below(20) as usize;
        let found = run(query.clone(), &[(facts, message.clone().into_bytes())], 0, pieces).found;
        assert_eq!(!found.is_empty(), is, "seed {seed}: {query:?} {message:?}");
    }
}

#[test]
fn broken_messages_are_searched_the_same_in_any_pieces() {
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let message = ambiguous(&mut random);
        for key in [
            Key::Text(text("\u{fc}ml")),
            Key::Body(text("hello")),
            Key::Body(text("header")),
            Key::Header(text("content-type"), text("boundary")),
            Key::Subject(text("\u{20ac}")),
            Key::From(text("ann")),
        ] {
            matches(key, &message);
        }
    }
}
