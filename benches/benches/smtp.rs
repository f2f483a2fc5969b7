//! Commands and messages of SMTP.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use peer_smtp_proto::Request;
use peer_smtp_proto::request::receiver::DataReceiver;
use smtp_codec::Limits;
use smtp_codec::command::Command;
use smtp_codec::data::{Data, DataDecoder};

fn commands(criterion: &mut Criterion) {
    for (name, line) in [
        ("mail", &b"MAIL FROM:<first.last+tag@sub.example.test> SIZE=123456 BODY=8BITMIME\r\n"[..]),
        ("rcpt", b"RCPT TO:<first.last+tag@sub.example.test>\r\n"),
    ] {
        let mut group = criterion.benchmark_group(name);
        let stripped = line.strip_suffix(b"\r\n").expect("a line");
        group.bench_function("ours", |bencher| {
            bencher.iter(|| Command::parse(black_box(stripped)).expect("valid"));
        });
        group.bench_function("smtp-proto", |bencher| {
            bencher.iter(|| {
                let mut octets = black_box(line).iter();
                black_box(Request::parse(&mut octets).expect("valid"));
            });
        });
        group.finish();
    }
}

fn messages(criterion: &mut Criterion) {
    let lines = |line: &str| {
        let mut message = line.repeat((1 << 20) / line.len()).into_bytes();
        message.extend_from_slice(b".\r\n");
        message
    };
    for (name, message) in [
        ("data 76", lines(&format!("{}\r\n", "x".repeat(76)))),
        ("data 76 stuffed", lines(&format!("..{}\r\n", "x".repeat(75)))),
    ] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(message.len() as u64));
        let limits = Limits::default();
        group.bench_function("ours", |bencher| {
            bencher.iter(|| {
                let (mut decoder, mut input) = (DataDecoder::new(&limits), black_box(&message[..]));
                let mut octets = 0;
                while let Some(Data::Chunk(chunk)) = decoder.next(&mut input) {
                    octets += black_box(chunk).len();
                }
                assert!(octets > 1_000_000 && decoder.fault().is_none());
            });
        });
        group.bench_function("ours, copied", |bencher| {
            bencher.iter(|| {
                let (mut decoder, mut input) = (DataDecoder::new(&limits), black_box(&message[..]));
                let mut copy = Vec::with_capacity(message.len());
                while let Some(Data::Chunk(chunk)) = decoder.next(&mut input) {
                    copy.extend_from_slice(chunk);
                }
                assert!(copy.len() > 1_000_000);
                black_box(copy);
            });
        });
        group.bench_function("smtp-proto", |bencher| {
            bencher.iter(|| {
                let (mut receiver, mut copy) = (DataReceiver::new(), Vec::with_capacity(message.len()));
                let mut octets = black_box(&message[..]).iter();
                assert!(receiver.ingest(&mut octets, &mut copy));
                black_box(copy);
            });
        });
        group.finish();
    }
}

criterion_group!(benches, commands, messages);
criterion_main!(benches);
