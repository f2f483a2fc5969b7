//! What hostile peers make `imap-codec` allocate and do: counted, in a binary of its own because an allocator is for all of
//! it. It is here because counting takes `unsafe`, which the other workspace forbids.

use core::cell::Cell;
use core::time::Duration;
use std::alloc::{GlobalAlloc, Layout, System};

use bytes::BytesMut;
use imap_codec::command::{Command, Verb};
use imap_codec::encode::Names;
use imap_codec::extension::Extensions;
use imap_codec::fragment::{Bounds, Fragmenter, Sender};
use imap_codec::response::Response;
use imap_codec::server::{Event, Reason};
use imap_codec::types::{Atom, Delimiter, Pattern};
use imap_codec::{Limits, ServerConfig, ServerSession};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static HELD: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

fn held(octets: isize) {
    HELD.set(HELD.get() + octets);
    MOST.set(MOST.get().max(HELD.get()));
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        held(layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        held(size as isize - layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        held(-(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// How often something is allocated, and the most octets that are held beyond what was before.
fn count(run: impl FnOnce()) -> (usize, isize) {
    let (count, before) = (COUNT.get(), HELD.get());
    MOST.set(before);
    run();
    (COUNT.get() - count, MOST.get() - before)
}

#[test]
fn common_commands_allocate_nothing() {
    for command in [
        "a1 LOGIN user \"pass word\"",
        "a1 LOGIN {4}\r\nuser {6+}\r\nsecret",
        "a2 SELECT INBOX",
        "a3 UID FETCH 1:*,7 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM SUBJECT)] BODY[1.2]<0.100>)",
        "a3 FETCH 1 FULL",
        "a4 UID SEARCH RETURN (MIN MAX COUNT) CHARSET UTF-8 UNSEEN OR FROM ann (SUBJECT \"x y\" NOT SINCE 1-Feb-2024)",
        "a5 UID STORE 1:5 +FLAGS.SILENT (\\Seen $Junk)",
        "a6 UID COPY 1:5 \"Sent Mail\"",
        "a7 STATUS Sent (MESSAGES UNSEEN)",
        "a8 NOOP",
    ] {
        let mut parsed = None;
        let (count, _) =
            count(|| parsed = Some(Command::parse(command.as_bytes(), Extensions::all(), Names::Utf7)));
        assert!(parsed.expect("run").is_ok(), "{command}");
        assert_eq!(count, 0, "{command}");
    }
}

/// What came of a session that was fed.
#[derive(Debug, Default)]
struct Fed {
    /// The most octets that the session, what it leaves unread, and its output took at once.
    most: isize,
    /// Octets read.
    read: usize,
    /// Calls of `receive`.
    calls: usize,
    /// The longest output that was waiting.
    output: usize,
    closed: Option<Reason>,
}

/// Feeds octets in pieces; what the session leaves unread comes again.
fn feed<'o>(login: bool, octets: impl Iterator<Item = &'o [u8]>) -> Fed {
    let mut fed = Fed::default();
    let mut buffer = Vec::with_capacity(256 << 10);
    let mut unread = 0;
    let (_, most) = count(|| {
        let mut out = BytesMut::new();
        let config = ServerConfig::new(Extensions::all()).plaintext_auth().mechanisms(&[atom("PLAIN")]);
        let mut session = ServerSession::new(config, Duration::ZERO, &mut out);
        let login = login.then_some(&b"l LOGIN user secret\r\ns SELECT x\r\n"[..]);
        for piece in login.into_iter().chain(octets) {
            buffer.extend_from_slice(piece);
            fed.read += piece.len();
            let mut input = &buffer[..];
            loop {
                fed.calls += 1;
                let event = session.receive(Duration::ZERO, &mut input, &mut out);
                fed.output = fed.output.max(out.len());
                match event {
                    None => break,
                    Some(Event::Command(Verb::Login { .. }, answer)) => answer.ok("in", &mut out),
                    Some(Event::Command(_, answer) | Event::AppendEnd(answer)) => answer.ok("done", &mut out),
                    Some(Event::Append(append)) => append.accept(&mut out),
                    Some(Event::Authenticate(login)) => login.no("no", &mut out),
                    Some(_) => {}
                }
                out.clear();
            }
            out.clear();
            unread = unread.max(input.len());
            let used = buffer.len() - input.len();
            buffer.drain(..used);
            if session.closed().is_some() {
                break;
            }
        }
        fed.closed = session.closed();
    });
    assert!(buffer.capacity() == 256 << 10, "it is apart from what is counted");
    Fed { most: most + unread as isize, ..fed }
}

fn chunks(text: &str) -> impl Iterator<Item = &[u8]> {
    text.as_bytes().chunks(1_000)
}

fn atom(text: &str) -> Atom<'_> {
    Atom::new(text).expect("an atom")
}

#[test]
fn an_append_of_25_mib_holds_less_than_64_kib() {
    let size = 25 << 20;
    let (head, piece) = (format!("a APPEND INBOX {{{size}}}\r\n"), vec![b'x'; 16_384]);
    let body = core::iter::repeat_n(&piece[..], size / piece.len());
    let fed = feed(true, core::iter::once(head.as_bytes()).chain(body).chain([&b"\r\nb NOOP\r\n"[..]]));
    println!("{fed:?}");
    assert!(fed.most < 65_536 && fed.read > size && fed.closed.is_none(), "{fed:?}");
}

/// Literals without end (CVE-2024-34055, CVE-2024-37358, CVE-2025-61600), and whatever else takes memory: 32 KiB before a
/// login, 1 MiB behind it, and in both cases a few steps for an octet (D13).
#[test]
fn d1_whatever_comes_memory_has_a_bound() {
    let floods: [fn() -> String; 13] = [
        || "a".repeat(1_000_000),
        || "a LOGIN {4294967295}\r\nb NOOP\r\n".to_owned(),
        || "a LOGIN {4294967295+}\r\nxxxx".to_owned(),
        || "a LOGIN {131072+}\r\n".to_owned(),
        || format!("a LOGIN {{20000}}\r\n{}", "x".repeat(500_000)),
        || "a ID (".to_owned() + &"{0+}\r\n NIL ".repeat(1_000_000) + "\"\" \"\")\r\n",
        || "a LOGIN ".to_owned() + &"{1+}\r\nx".repeat(1_000_000),
        || "a ID (".to_owned() + &"\"\" \"\" ".repeat(100_000) + "\"\" \"\")\r\n",
        || format!("a LIST \"\" ({}a)\r\n", "a ".repeat(30_000)),
        || format!("a SETQUOTA x ({}a 1)\r\n", "a 1 ".repeat(15_000)),
        || format!("a SEARCH {}\r\n", "(ALL) ".repeat(10_000) + "ALL"),
        || format!("a AUTHENTICATE PLAIN {}\r\n", "QUJD".repeat(4_602)),
        || format!("a LOGIN x {{131072+}}\r\n{}", "x".repeat(131_072)),
    ];
    for flood in floods {
        let text = flood();
        let name = text[..17].escape_debug().to_string();
        let (before, after) = (feed(false, chunks(&text)), feed(true, chunks(&text)));
        println!("{:>8} {:>8} {name}", before.most, after.most);
        assert!(before.most <= EARLY, "{before:?} before a login: {name}");
        assert!(after.most <= 1 << 20, "{after:?} after a login: {name}");
        for fed in [before, after] {
            assert!(fed.calls <= 8 * fed.read + 1_000, "{fed:?}: {name}");
        }
    }
}

/// Parentheses without end (CVE-2026-27857): no stack is used up, nothing much is held, and no more is read than the limit
/// takes.
#[test]
fn d2_what_is_nested_is_refused_where_it_is_too_deep() {
    let nested: [Shape; 6] = [
        |depth| format!("a SEARCH {}ALL{}", "(".repeat(depth), ")".repeat(depth)),
        |depth| format!("a SEARCH {}ALL", "NOT ".repeat(depth)),
        |depth| format!("a SEARCH {}ALL", "OR ALL ".repeat(depth)),
        |depth| format!("a FETCH 1 {}UID{}", "(".repeat(depth), ")".repeat(depth)),
        |depth| format!("a ID {}\"a\" NIL{}", "(".repeat(depth), ")".repeat(depth)),
        |depth| format!("a STORE 1 FLAGS {}a{}", "(".repeat(depth), ")".repeat(depth)),
    ];
    let told: [Shape; 3] = [
        |depth| format!("* 1 FETCH (BODYSTRUCTURE {}", "(".repeat(depth)),
        |depth| {
            let part = "(\"a\" \"b\" NIL NIL NIL \"c\" 1)";
            format!("* 1 FETCH (BODY {}{part}{})", "(".repeat(depth), " \"mixed\")".repeat(depth))
        },
        |depth| format!("* 1 FETCH (ENVELOPE (NIL NIL {}", "(".repeat(depth)),
    ];
    let (small, run) = (64 << 10, move || {
        for depth in [1, 31, 32, 33, 1_000, 1_000_000] {
            for (at, of) in nested.iter().enumerate() {
                let text = of(depth);
                let mut refused = None;
                let (_, most) = count(|| {
                    refused = Command::parse(text.as_bytes(), Extensions::all(), Names::Utf7).err();
                });
                let deep = if at < 3 { depth > 31 } else { depth > 1 };
                assert_eq!(refused.is_some(), deep, "{}", &text[..20]);
                // Where it gave up: the longest of these keys, as often as they may stand in one another.
                assert!(refused.is_none_or(|error| error.offset < 9 + 32 * 7) && most < 1_024, "{refused:?}");
            }
            for of in told {
                let text = of(depth);
                let mut refused = None;
                let (_, most) = count(|| refused = Response::parse(text.as_bytes(), Names::Utf7).err());
                assert!(refused.is_none() || depth > 31 || text.len() < 90 + 3 * depth, "{refused:?}");
                assert!(
                    refused.is_none_or(|error| error.offset < 100) && most < 65_536,
                    "{refused:?} {most}"
                );
            }
        }
        // Values of extensions are skipped without recursion, at whatever depth.
        let text = format!("* ESEARCH X {}1{}", "(".repeat(1_000_000), ")".repeat(1_000_000));
        assert!(Response::parse(text.as_bytes(), Names::Utf7).is_ok());
    });
    let thread = std::thread::Builder::new().stack_size(small);
    thread.spawn(run).expect("a thread").join().expect("no overflow");
}

/// Octets of about so many, or so deep.
type Shape = fn(usize) -> String;

/// How long this thread has run: what others do on the machine does not count.
fn spent() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the clock is one that each thread has, and the place is ours.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "each thread has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// How long octets take to be read by what is given, at best.
fn best(runs: usize, run: impl Fn()) -> Duration {
    let time = |()| {
        let start = spent();
        run();
        spent() - start
    };
    core::iter::repeat_n((), runs).map(time).min().expect("some runs")
}

/// Whatever is large takes time in proportion to its octets: from 64 KiB to 16 MiB the exponent is at most 1.1. What a busy
/// machine spoils is measured again; what takes more than linear time stays so.
fn is_linear(name: &str, shape: Shape, read: fn(&[u8])) {
    let (small, large) = (shape(64 << 10), shape(16 << 20));
    let times = (large.len() as f64 / small.len() as f64).powf(1.1);
    let mut seen = Vec::new();
    for _ in 0..8 {
        let (short, long) = (best(20, || read(small.as_bytes())), best(3, || read(large.as_bytes())));
        if long.as_secs_f64() <= short.as_secs_f64() * times {
            let octet = long.as_nanos() as f64 / large.len() as f64;
            println!("{name}: {octet:.1} ns for an octet");
            assert!(octet <= 50.0, "{name}: {octet}");
            return;
        }
        seen.push((short, long));
    }
    panic!("{name}: {seen:?}");
}

/// Structures of messages with a million parts or addresses, as a client gets them (CVE-2020-12100, CVE-2024-23184): linear,
/// and memory within what [`ClientLimits`] says.
#[test]
fn d5_d6_structures_and_address_lists_take_linear_time_and_bounded_memory() {
    let read =
        |octets: &[u8]| drop(core::hint::black_box(Response::parse(octets, Names::Utf7).expect("valid")));
    let shapes: [(&str, Shape); 5] = [
        ("parts", |size| {
            let part = "(\"a\" \"b\" NIL NIL NIL \"c\" 1)";
            format!("* 1 FETCH (BODYSTRUCTURE ({} \"mixed\"))", part.repeat(size / part.len()))
        }),
        ("addresses", |size| {
            let to = "(NIL NIL \"a\" \"b\")";
            let to = to.repeat(size / to.len());
            format!("* 1 FETCH (ENVELOPE (NIL NIL NIL NIL NIL ({to}) NIL NIL NIL NIL))")
        }),
        ("parameters", |size| {
            let parameters = "\"a\" \"b\" ".repeat(size / 8) + "\"a\" \"b\"";
            format!("* 1 FETCH (BODY (\"a\" \"b\" ({parameters}) NIL NIL \"c\" 1))")
        }),
        ("numbers", |size| "* SEARCH".to_owned() + &" 123456".repeat(size / 7)),
        ("flags", |size| format!("* 1 FETCH (FLAGS ({}\\Seen))", "$Forwarded ".repeat(size / 11))),
    ];
    for (name, shape) in shapes {
        // What is held grows past all caches, so that time alone says little of the shape: allocations do.
        let mut counts = [0.0; 2];
        for (size, counted) in [64 << 10, 16 << 20].into_iter().zip(&mut counts) {
            let text = shape(size);
            let (allocations, most) = count(|| read(text.as_bytes()));
            let (held, time) = (most as f64 / text.len() as f64, best(3, || read(text.as_bytes())));
            let time = time.as_nanos() as f64 / text.len() as f64;
            println!(
                "{name}, {size}: {allocations} allocations, {held:.1} octets and {time:.1} ns for an octet"
            );
            assert!(held <= 40.0 && time <= 50.0, "{name}: {held} {time}");
            *counted = allocations as f64;
        }
        assert!(counts[1] <= counts[0] * 256_f64.powf(1.1), "{name}: {counts:?}");
    }
}

/// The same for what clients send, through a session that lets lines be as long.
#[test]
fn d6_long_commands_take_linear_time() {
    let read = |octets: &[u8]| {
        drop(core::hint::black_box(Command::parse(octets, Extensions::all(), Names::Utf7).expect("valid")));
    };
    let shapes: [(&str, Shape); 5] = [
        ("keys", |size| format!("a SEARCH {}ALL", "(ALL) ".repeat(size / 6))),
        ("numbers", |size| format!("a FETCH {}1 FLAGS", "1:2,".repeat(size / 4))),
        ("flags", |size| format!("a STORE 1 FLAGS ({}x)", "\\a ".repeat(size / 3))),
        ("escapes", |size| format!("a LOGIN \"{}\" x", "\\\"".repeat(size / 2))),
        ("fields", |size| format!("a FETCH 1 BODY[HEADER.FIELDS ({}x)]", "Subject ".repeat(size / 8))),
    ];
    for (name, shape) in shapes {
        is_linear(name, shape, read);
    }
    // Framing, octet by octet: what has been looked at is not looked at again.
    is_linear(
        "framing",
        |size| "x".repeat(size) + "\r\n",
        |octets| {
            let bounds = Bounds { line: usize::MAX, literals: 0, total: usize::MAX, discard: 0 };
            let mut reader = Fragmenter::new(Sender::Client);
            for end in (0..octets.len()).step_by(64).chain([octets.len()]) {
                let mut input = &octets[..end];
                core::hint::black_box(reader.next(&mut input, &bounds, false));
            }
        },
    );
}

/// Patterns with wildcards without end (CVE-2021-40110): 10,000 names of 200 octets in 50 ms.
#[test]
fn d3_patterns_with_many_wildcards_take_linear_time() {
    let name = "a".repeat(200);
    let patterns =
        [("*a".repeat(500) + "b", 50), ("%a".repeat(500) + "b", 100), ("*%a".repeat(333) + "b", 150)];
    for (pattern, most) in patterns {
        let pattern = Pattern::new(pattern).expect("no controls");
        let run = || {
            for _ in 0..10_000 {
                assert!(!core::hint::black_box(&pattern).matches(&name, Some(Delimiter::SLASH)));
            }
        };
        let time = best(8, run);
        println!("10,000 names in {time:?}");
        assert!(time <= Duration::from_millis(most), "{time:?}");
    }
}

/// Responses to logins that are no base64 (CVE-2025-59028) cost the session that sends them its budget, and no other
/// anything.
#[test]
fn d9_bad_logins_end_their_own_session_alone() {
    let mut worst = 0;
    for _ in 0..500 {
        let bad = "a AUTHENTICATE PLAIN !!!!\r\na AUTHENTICATE PLAIN =\r\n".repeat(20);
        let fed = feed(false, chunks(&bad));
        assert_eq!(fed.closed, Some(Reason::Errors));
        worst = worst.max(fed.most);
        let good = feed(true, chunks("a NOOP\r\n"));
        assert_eq!(good.closed, None);
    }
    assert!(worst <= EARLY, "{worst}");
}

/// A client that reads nothing of what it asks for a million times (CVE-2023-44487): what waits for it stays below 64 KiB,
/// since nothing more is read.
#[test]
fn d12_answers_that_nobody_reads_do_not_pile_up() {
    for command in ["a NOOP\r\n", "a CAPABILITY\r\n", "a FETCH 1:* UID\r\n", "a X\r\n"] {
        let text = command.repeat(1_000_000);
        let (mut served, mut most) = (0, 0);
        let (_, held) = count(|| {
            let mut out = BytesMut::new();
            let limits = Limits::default().errors(u32::MAX);
            let config = ServerConfig::new(Extensions::all()).preauth().limits(limits);
            let mut session = ServerSession::new(config, Duration::ZERO, &mut out);
            let mut input = text.as_bytes();
            // A driver flushes past its mark, and a peer that does not read lets it wait there for ever.
            while out.len() <= 16_384 {
                match session.receive(Duration::ZERO, &mut input, &mut out) {
                    Some(Event::Command(_, answer)) => answer.ok("done", &mut out),
                    Some(_) => {}
                    None => panic!("there is more"),
                }
                most = most.max(out.len());
            }
            served = (text.len() - input.len()) / command.len();
        });
        println!("{served} of {} served, {most} octets wait, {held} held", text.len() / command.len());
        assert!(most <= 64 << 10 && held <= 96 << 10, "{most} {held}");
    }
}

/// What a session may hold before a login.
const EARLY: isize = 32 << 10;
