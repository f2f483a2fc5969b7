//! What the MIME scanner and searches of `mailstore` allocate: counted, in a binary of its own as `imap_heap.rs`.

use core::cell::Cell;
use std::alloc::{GlobalAlloc, Layout, System};

use mailstore::mime::{Scanner, Structure};
use mailstore::search::{Event, Facts, Key, Query, Search};

struct Counting;

thread_local! {
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

/// The most octets that are held beyond what was before.
fn most<T>(run: impl FnOnce() -> T) -> (T, isize) {
    let before = HELD.get();
    MOST.set(before);
    let result = run();
    (result, MOST.get() - before)
}

/// Scans octets that come in pieces, and does not keep them.
fn scan(pieces: impl Iterator<Item = &'static [u8]>) -> Structure {
    let mut scanner = Scanner::new();
    pieces.for_each(|piece| scanner.push(piece));
    scanner.finish()
}

#[test]
fn a_message_of_50_mib_is_scanned_in_less_than_1_mib() {
    let head = &b"From: a@b\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"[..];
    let part = &b"--b\r\nContent-Type: application/octet-stream; name=x\r\nContent-Transfer-Encoding: base64\r\n\r\n"[..];
    let line = &b"aGVsbG8gd29ybGQsIGhvdyBhcmUgeW91IGRvaW5nIHRoZXNlIGRheXM/IEZpbmUgSSBo\r\n"[..];
    let lines = (50 << 20) / line.len();
    let pieces = core::iter::once(head)
        .chain((0..100).flat_map(|_| core::iter::once(part).chain(core::iter::repeat_n(line, lines / 100))));
    let (structure, most) = most(|| scan(pieces));
    assert!(structure.size() > (50 << 20) - 20_000);
    assert_eq!(structure.parts().count(), 101);
    println!("50 MiB: {most} octets");
    assert!(most < 1 << 20, "{most} octets");
}

#[test]
fn whatever_comes_a_scan_has_a_bound() {
    let floods: [(&str, &[u8], &[u8], usize); 9] = [
        ("boundaries", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n", b"--b\r\n\r\n", 100_000),
        ("a digest", b"Content-Type: multipart/digest; boundary=b\r\n\r\n", b"--b\r\n\r\n\r\n", 100_000),
        ("nested multiparts", b"", b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n", 100_000),
        ("nested messages", b"", b"Content-Type: message/rfc822\r\n\r\n", 100_000),
        ("a line of a header", b"X: ", b"xxxxxxxxxxxxxxxx", 1 << 16),
        ("a field", b"Subject: ", b"xxxxxxxxxxxxxxxx", 1 << 16),
        ("parameters", b"Content-Type: a/b", b"; boundary*0*=x", 100_000),
        ("fields", b"", b"To: x@y\r\nSubject: z\r\n", 100_000),
        (
            "parts with much to say",
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n",
            b"--b\r\nContent-Description: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n",
            100_000,
        ),
    ];
    for (what, head, piece, count) in floods {
        let pieces = core::iter::once(head).chain(core::iter::repeat_n(piece, count));
        let (structure, most) = most(|| scan(pieces));
        println!(
            "{what}: {} octets of message, {} parts, {most} octets",
            structure.size(),
            structure.parts().count()
        );
        assert!(structure.parts().count() <= 10_001);
        assert!(most < 4 << 20, "{what}: {most} octets");
    }
}

#[test]
fn whatever_comes_a_search_has_a_bound() {
    // The largest texts that there may be, and a message whose text is 50 MiB in an encoding and a charset.
    let text: String = (0..1_638).map(|number| format!("{number:010}")).collect();
    let head =
        &b"Content-Type: text/plain; charset=windows-1252\r\nContent-Transfer-Encoding: base64\r\n\r\n"[..];
    let size = 50 << 20;
    let mut scanner = Scanner::new();
    scanner.push(head);
    let octets = b"5OTk5OTk5OTk5OTk".repeat(4_096);
    (0..size / octets.len()).for_each(|_| scanner.push(&octets));
    let structure = scanner.finish();
    let ((), most) = most(|| {
        let mut search = Search::new(Query::from(Key::Text(text)).and(Key::All)).expect("16 KiB");
        let mut asked = false;
        loop {
            match search.poll() {
                Event::Message if asked => search.handle_end(),
                Event::Message => {
                    asked = true;
                    search.handle_message(Facts::default());
                }
                Event::Structure => search.handle_structure(structure.clone(), 0),
                Event::Read(range) if range.start == 0 => search.handle_octets(head),
                Event::Read(range) => {
                    let count = ((range.end - range.start) as usize).min(octets.len());
                    search.handle_octets(&octets[..count]);
                }
                Event::Match(_) => panic!("it is not there"),
                Event::Pause => {}
                Event::Done => return,
            }
        }
    });
    println!("search: {most} octets");
    assert!(most < 2 << 20, "{most} octets");
}
