//! How long a store with a large queue takes to open, and how much memory:
//! `cargo run --release -p mailstore --features os --example million -- DIR fill 1000000`, then the same with `open`.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "an example is a program"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mailstore::os::{Disk, drive};
use mailstore::{Commit, Event, Intent, Limits, Source, Store};

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, what, ..] = &args[..] else { return Err(std::io::Error::other("DIR fill COUNT | DIR open")) };
    let disk = Disk::open(Path::new(dir))?;
    let begin = Instant::now();
    // Nobody sends us mail here; a server takes the seed from a random source.
    let mut store = Store::new(Limits::default(), u64::from(std::process::id()));
    let mut opened = None;
    while opened.is_none() {
        match store.poll(Duration::ZERO) {
            Some(Event::Operation(operation)) => {
                let result = disk.execute(&operation);
                store.handle_done(operation, result);
            }
            Some(Event::Ready(report)) => opened = Some(report),
            other => return Err(std::io::Error::other(format!("{other:?}"))),
        }
    }
    println!("open after {:?}, {}: {opened:?}", begin.elapsed(), resident());
    if what == "fill" {
        let count: u64 = args.get(2).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
        let (body, value) = (Bytes::from(vec![b'x'; 1_024]), Bytes::from(vec![b'v'; 250]));
        for number in 0..count {
            let key = Bytes::copy_from_slice(&number.to_be_bytes());
            let intents = vec![
                Intent::Put { table: 1, key: key.clone(), value: value.clone() },
                Intent::Hold { table: 2, key },
            ];
            store.commit(Commit::delivery(Source::Inline(body.clone()), intents));
            if number % 1_000 == 999 || number + 1 == count {
                drive(&mut store, &disk, Duration::ZERO, |_, event| {
                    assert!(matches!(event, Event::Durable(..)), "{event:?}");
                });
            }
        }
        println!("{count} after {:?}, {}: {:?}", begin.elapsed(), resident(), store.counters());
        // As if the process were killed.
        return Ok(());
    }
    let (mut from, mut read) = (Some(Bytes::new()), 0_u64);
    while let Some(key) = from.take() {
        let records = store.records(1, &key, 10_000);
        for (_, value) in &records.records {
            for piece in value.locate(0..value.size()) {
                read += disk.read_piece(&piece)?.len() as u64;
            }
        }
        from = records.next.clone();
        store.release(records);
    }
    println!("{read} octets of values read after {:?}, {}", begin.elapsed(), resident());
    Ok(())
}

/// The memory of this process.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: ?");
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}
