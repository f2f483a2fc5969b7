//! The structure of messages, beside mail-parser, and a search through their texts.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use mail_parser::MessageParser;
use mailstore::mime::{Scanner, Structure};
use mailstore::search::{Event, Facts, Key, Query, Search};

const HEADER: &str = "Return-Path: <ann@example.test>\r\n\
    Received: from mail.example.test (mail.example.test [192.0.2.1]) by mx.example.test; Mon, 1 Jan 2024 00:00:00 +0000\r\n\
    Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nFrom: Ann Example <ann@example.test>\r\n\
    To: Ben Example <ben@example.test>, Carla <carla@example.test>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= from the hills\r\n\
    Message-ID: <1234567890@example.test>\r\nMIME-Version: 1.0\r\n";

const TEXT: &str = "It was a bright cold day in April, and the clocks were striking thirteen.\r\n";

const BASE64: &str = "SXQgd2FzIGEgYnJpZ2h0IGNvbGQgZGF5IGluIEFwcmlsLCBhbmQgdGhlIGNsb2Nrcy4gc3Ry\r\n";

fn messages() -> [(&'static str, Vec<u8>); 3] {
    let plain = format!("{HEADER}Content-Type: text/plain; charset=utf-8\r\n\r\n{}", TEXT.repeat(14));
    let alternative = format!(
        "{HEADER}Content-Type: multipart/alternative; boundary=\"=_1\"\r\n\r\n--=_1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{0}\r\n\
         --=_1\r\nContent-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{0}\r\n--=_1--\r\n",
        TEXT.repeat(200)
    );
    let attached = format!(
        "{HEADER}Content-Type: multipart/mixed; boundary=\"=_1\"\r\n\r\n--=_1\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{TEXT}\r\n\
         --=_1\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n{}\r\n--=_1--\r\n",
        BASE64.repeat(65_000)
    );
    [("plain 1 KiB", plain), ("alternative 30 KiB", alternative), ("attachment 5 MiB", attached)]
        .map(|(name, message)| (name, message.into_bytes()))
}

fn scan(message: &[u8]) -> Structure {
    let mut scanner = Scanner::new();
    for piece in message.chunks(65_536) {
        scanner.push(piece);
    }
    scanner.finish()
}

fn search(message: &[u8], structure: &Structure) -> bool {
    let mut search = Search::new(Query::from(Key::Text("nowhere".to_owned()))).expect("it is small");
    let (mut asked, mut found) = (false, false);
    loop {
        match search.poll() {
            Event::Message if asked => search.handle_end(),
            Event::Message => {
                asked = true;
                search.handle_message(Facts::default());
            }
            Event::Structure => search.handle_structure(structure.clone(), 0),
            Event::Read(range) => search.handle_octets(&message[range.start as usize..range.end as usize]),
            Event::Match(_) => found = true,
            Event::Pause => {}
            Event::Done => return found,
        }
    }
}

fn mime(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mime");
    for (name, message) in messages() {
        group.throughput(Throughput::Bytes(message.len() as u64));
        group.bench_function(BenchmarkId::new("ours", name), |bencher| {
            bencher.iter(|| scan(black_box(&message)));
        });
        group.bench_function(BenchmarkId::new("mail-parser", name), |bencher| {
            bencher.iter(|| {
                MessageParser::default().parse(black_box(&message[..])).expect("a message").parts.len()
            });
        });
        let structure = scan(&message);
        group.bench_function(BenchmarkId::new("search", name), |bencher| {
            bencher.iter(|| search(black_box(&message), &structure));
        });
    }
    group.finish();
}

criterion_group!(benches, mime);
criterion_main!(benches);
