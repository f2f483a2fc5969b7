//! What `imap-codec` allocates: counted, in a binary of its own because an allocator is for all of it. It is here because
//! counting takes `unsafe`, which the other workspace forbids.

use core::cell::Cell;
use core::time::Duration;
use std::alloc::{GlobalAlloc, Layout, System};

use bytes::BytesMut;
use imap_codec::command::{Command, Verb};
use imap_codec::encode::Names;
use imap_codec::extension::Extensions;
use imap_codec::server::Event;
use imap_codec::{ServerConfig, ServerSession};

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

/// Feeds octets in pieces; the most octets that the session, its buffers and its events hold.
fn session(login: bool, octets: impl Iterator<Item = Vec<u8>>) -> isize {
    let mut appended = 0;
    let (_, most) = count(|| {
        let (mut out, mut buffer) = (BytesMut::new(), Vec::with_capacity(4_096));
        let config = ServerConfig::new(Extensions::all()).plaintext_auth();
        let mut session = ServerSession::new(config, Duration::ZERO, &mut out);
        let login = login.then(|| b"l LOGIN user secret\r\n".to_vec());
        for piece in login.into_iter().chain(octets) {
            buffer.extend_from_slice(&piece);
            let mut input = &buffer[..];
            while let Some(event) = session.receive(Duration::ZERO, &mut input, &mut out) {
                match event {
                    Event::Command(Verb::Login { .. }, answer) => answer.ok("in", &mut out),
                    Event::Command(_, answer) | Event::AppendEnd(answer) => answer.ok("done", &mut out),
                    Event::Append(append) => append.accept(&mut out),
                    Event::Chunk(chunk) => appended += chunk.len(),
                    _ => {}
                }
                out.clear();
            }
            out.clear();
            let used = buffer.len() - input.len();
            buffer.drain(..used);
            if session.closed().is_some() {
                return;
            }
        }
    });
    most
}

#[test]
fn an_append_of_25_mib_holds_less_than_64_kib() {
    let size = 25 << 20;
    let head = format!("a APPEND INBOX {{{size}}}\r\n").into_bytes();
    let body = (0..size / 16_384).map(|_| vec![b'x'; 16_384]);
    let most = session(true, core::iter::once(head).chain(body).chain([b"\r\nb NOOP\r\n".to_vec()]));
    assert!(most < 65_536, "{most} octets");
}

#[test]
fn whatever_comes_memory_has_a_bound() {
    let chunks =
        |text: String| text.into_bytes().chunks(1_000).map(<[u8]>::to_vec).collect::<Vec<_>>().into_iter();
    let floods: [fn() -> String; 8] = [
        || "a".repeat(1_000_000),
        || format!("a LOGIN {{20000}}\r\n{}", "x".repeat(500_000)),
        || "a ID (".to_owned() + &"\"\" \"\" ".repeat(100_000) + "\"\" \"\")\r\n",
        || format!("a LIST \"\" ({}a)\r\n", "a ".repeat(30_000)),
        || format!("a SETQUOTA x ({}a 1)\r\n", "a 1 ".repeat(15_000)),
        || format!("a SEARCH {}\r\n", "(ALL) ".repeat(10_000) + "ALL"),
        || "a LOGIN ".to_owned() + &"{1+}\r\nx".repeat(60_000),
        || format!("a LOGIN x {{131072+}}\r\n{}", "x".repeat(131_072)),
    ];
    for flood in floods {
        let text = flood();
        let name = text[..20].to_owned();
        let (before, after) = (session(false, chunks(text.clone())), session(true, chunks(text)));
        assert!(before <= 64 << 10, "{before} octets before a login: {name}");
        assert!(after <= 1 << 20, "{after} octets after a login: {name}");
        println!("{before:>8} {after:>8} {name}");
    }
}
