//! Commands, responses and a session of IMAP.

use std::hint::black_box;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use imap_codec::command::{Command, Verb};
use imap_codec::encode::Names;
use imap_codec::extension::Extensions;
use imap_codec::fragment::{Bounds, Fragment, Fragmenter, Sender};
use imap_codec::response::{Data, Response};
use imap_codec::{Event, ServerConfig, ServerSession};
use peer_imap_codec::decode::Decoder;
use peer_imap_codec::encode::Encoder;
use peer_imap_codec::{CommandCodec, ResponseCodec};

fn commands(criterion: &mut Criterion) {
    let bounds = Bounds { line: 65_536, literals: 131_072, total: 196_608, discard: 0 };
    for (name, line) in [
        ("login", "a1 LOGIN \"ann@example.test\" \"correct horse battery\"\r\n"),
        (
            "uid fetch",
            "a2 UID FETCH 1:500,777 (UID FLAGS INTERNALDATE RFC822.SIZE BODY.PEEK[HEADER.FIELDS (DATE FROM SUBJECT)])\r\n",
        ),
        ("uid search", "a3 UID SEARCH UNSEEN OR FROM ann (SUBJECT \"two words\" NOT SINCE 1-Feb-2024)\r\n"),
    ] {
        let mut group = criterion.benchmark_group(name);
        // Ours finds the end of the command too, which the peer does while it parses.
        group.bench_function("ours", |bencher| {
            bencher.iter(|| {
                let (mut reader, mut input) = (Fragmenter::new(Sender::Client), black_box(line.as_bytes()));
                let Some(Fragment::Whole { message, .. }) = reader.next(&mut input, &bounds, false) else {
                    panic!("a whole command");
                };
                black_box(Command::parse(message, Extensions::all(), Names::Utf7).expect("valid"));
            });
        });
        let codec = CommandCodec::default();
        group.bench_function("imap-codec", |bencher| {
            bencher.iter(|| black_box(codec.decode(black_box(line.as_bytes())).expect("valid")));
        });
        group.finish();
    }
}

fn responses(criterion: &mut Criterion) {
    let line = "* 12 FETCH (FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" RFC822.SIZE 4286 ENVELOPE \
        (\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" \"IMAP4rev2 WG mtg summary and minutes\" \
        ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) \
        ((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) ((NIL NIL \"imap\" \"cac.washington.edu\")) \
        ((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL \
        \"<B27397-0100000@cac.washington.ed>\"))\r\n";
    let mut group = criterion.benchmark_group("fetch with envelope");
    let message = line.strip_suffix("\r\n").expect("a line").as_bytes();
    let response = Response::parse(message, Names::Utf7).expect("valid");
    let mut out = BytesMut::with_capacity(4_096);
    group.bench_function("encode, ours", |bencher| {
        bencher.iter(|| {
            out.clear();
            black_box(&response).encode(Names::Utf7, &mut out);
            assert_eq!(black_box(&out).len(), line.len());
        });
    });
    let codec = ResponseCodec::default();
    let (_, theirs) = codec.decode(line.as_bytes()).expect("valid");
    group.bench_function("encode, imap-codec", |bencher| {
        bencher.iter(|| {
            let octets = codec.encode(black_box(&theirs)).dump();
            assert_eq!(black_box(octets).len(), line.len());
        });
    });
    group.bench_function("decode, ours", |bencher| {
        bencher.iter(|| black_box(Response::parse(black_box(message), Names::Utf7).expect("valid")));
    });
    group.bench_function("decode, imap-codec", |bencher| {
        bencher.iter(|| black_box(codec.decode(black_box(line.as_bytes())).expect("valid")));
    });
    group.finish();
}

fn append(criterion: &mut Criterion) {
    const SIZE: usize = 25 << 20;
    let piece = vec![b'x'; 16_384];
    let head = format!("a APPEND INBOX {{{SIZE}+}}\r\n");
    let mut group = criterion.benchmark_group("append of 25 MiB");
    group.throughput(Throughput::Bytes(SIZE as u64));
    group.sample_size(20);
    group.bench_function("ours", |bencher| {
        bencher.iter(|| {
            let mut out = BytesMut::new();
            let config = ServerConfig::new(Extensions::all()).preauth();
            let mut session = ServerSession::new(config, Duration::ZERO, &mut out);
            let (mut octets, mut kept) = (0, false);
            let pieces = std::iter::repeat_n(&piece[..], SIZE / piece.len());
            for piece in std::iter::once(head.as_bytes()).chain(pieces).chain([&b"\r\n"[..]]) {
                let mut input = piece;
                while let Some(event) = session.receive(Duration::ZERO, &mut input, &mut out) {
                    match event {
                        Event::Append(append) => append.accept(&mut out),
                        Event::Chunk(chunk) => octets += black_box(chunk).len(),
                        Event::AppendEnd(answer) => {
                            kept = true;
                            answer.ok("kept", &mut out);
                        }
                        other => panic!("{other:?}"),
                    }
                }
                // An APPEND that was accepted goes on with what its head left unread, which is nothing more than the head.
                assert!(input.is_empty() || input == head.as_bytes());
                if !input.is_empty() {
                    let mut input = input;
                    assert!(
                        session.receive(Duration::ZERO, &mut input, &mut out).is_none() && input.is_empty()
                    );
                }
            }
            assert!(kept && octets == SIZE);
        });
    });
    group.finish();
}

fn literals(criterion: &mut Criterion) {
    const SIZE: u64 = 25 << 20;
    let piece = vec![b'x'; 16_384];
    let mut group = criterion.benchmark_group("fetch of 25 MiB");
    group.throughput(Throughput::Bytes(SIZE));
    group.sample_size(20);
    group.bench_function("ours", |bencher| {
        bencher.iter(|| {
            let mut out = BytesMut::new();
            let config = ServerConfig::new(Extensions::all()).preauth();
            let mut session = ServerSession::new(config, Duration::ZERO, &mut out);
            let mut input = &b"a SELECT INBOX\r\nb FETCH 1 BODY[]\r\n"[..];
            while let Some(event) = session.receive(Duration::ZERO, &mut input, &mut out) {
                let Event::Command(verb, mut answer) = event else { panic!("a command") };
                if matches!(verb, Verb::Fetch { .. }) {
                    let source = imap_codec::response::Source::Body(Default::default(), None);
                    let head = imap_codec::server::Head { number: NonZeroU32::MIN, items: &[], source };
                    let mut literal = answer.literal(&head, SIZE, &mut out);
                    while literal.left() > 0 {
                        literal.write(&piece, &mut out);
                        black_box(&out);
                        out.clear();
                    }
                    literal.finish(&[], &mut out);
                }
                answer.untagged(&Data::Exists(1), &mut out);
                answer.ok("done", &mut out);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, commands, responses, append, literals);
criterion_main!(benches);
