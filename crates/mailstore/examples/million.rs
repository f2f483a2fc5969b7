//! How long a store with a large queue takes to open, and how much memory:
//! `cargo run --release -p mailstore --features os --example million -- DIR fill 1000000`, then the same with `open`.
//! With `mailbox 1000000`: as many messages in one mailbox, and what views of it and changes in it cost.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "an example is a program"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use mailstore::mailbox::{AccountId, MailboxId, Messages};
use mailstore::message::{FlagChange, Flags, NamedFlags, UnixTime};
use mailstore::os::{Disk, drive};
use mailstore::store::Ticket;
use mailstore::{Actor, Commit, Event, Intent, Limits, Source, Store, View};

fn main() -> std::io::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, what, ..] = &args[..] else {
        return Err(std::io::Error::other("DIR fill COUNT | DIR open | DIR mailbox COUNT"));
    };
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
    let count: u64 = args.get(2).and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    if what == "mailbox" {
        return mailbox(&mut store, &disk, count);
    }
    if what == "fill" {
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

/// One mailbox with so many messages.
fn mailbox(store: &mut Store, disk: &Disk, count: u64) -> std::io::Result<()> {
    let (account, name, now) = (AccountId(1), "INBOX".to_owned(), UnixTime(1_700_000_000));
    if store.find(Actor::Host, account, "INBOX").is_none() {
        store.commit(Commit::of(vec![Intent::CreateMailbox { account, name, special_use: None, now }]));
        drive(store, disk, Duration::ZERO, |_, _| ());
    }
    let Some(mailbox) = store.find(Actor::Host, account, "INBOX") else {
        return Err(std::io::Error::other("there is no INBOX"));
    };
    let status = store.status(Actor::Host, mailbox);
    let body = Bytes::from(vec![b'x'; 300]);
    let deliver = |store: &mut Store| {
        let intent = Intent::Deliver { mailbox, prefix: Bytes::new(), date: now, flags: NamedFlags::NONE };
        store.commit(Commit::delivery(Source::Inline(body.clone()), vec![intent]));
    };
    for number in status.map_or(0, |status| status.messages)..count {
        deliver(store);
        if number % 1_000 == 999 || number + 1 == count {
            drive(store, disk, Duration::ZERO, |_, _| ());
        }
    }
    println!("filled, {}: {:?}", resident(), store.counters());
    let ends = Instant::now();
    let newest = shown(store, disk, |store| store.load_newest(Actor::Host, mailbox, 600))?;
    println!("600 newest messages, {} older ones, after {:?}", newest.messages.missing(), ends.elapsed());
    let cold = Instant::now();
    let first = view(store, disk, mailbox)?;
    println!("first view after {:?}, {}", cold.elapsed(), resident());
    let warm = Instant::now();
    let old = view(store, disk, mailbox)?;
    println!("view of a loaded mailbox after {:?}", warm.elapsed());
    deliver(store);
    drive(store, disk, Duration::ZERO, |_, _| ());
    let new = view(store, disk, mailbox)?;
    let diff = Instant::now();
    let changes = new.messages.changes_since(&old.messages).count();
    println!("{changes} change found after {:?}", diff.elapsed());
    let look = Instant::now();
    let found = sample(&new.messages).filter(|index| new.messages.get(*index).is_some()).count();
    println!("{found} messages looked up by place and identifier, each in {:?}", look.elapsed() / 1_000);
    let change = FlagChange::Add(Flags::SEEN.into());
    let store_one = |uid| Intent::Store { mailbox, uid, change: change.clone(), unchanged_since: None };
    let intents = new.messages.slice(0..100_000).map(|message| store_one(message.uid())).collect();
    let flags = Instant::now();
    store.commit(Commit::of(intents).by(Actor::Account(account)));
    drive(store, disk, Duration::ZERO, |_, _| ());
    println!("100,000 flags after {:?}, {}", flags.elapsed(), resident());
    let after = view(store, disk, mailbox)?;
    let diff = Instant::now();
    let changes = after.messages.changes_since(&new.messages).count();
    println!("{changes} changes found after {:?}", diff.elapsed());
    for view in [newest, first, old, new, after] {
        store.release(view);
    }
    Ok(())
}

/// A thousand places all over, found by their identifiers.
fn sample(messages: &Messages) -> impl Iterator<Item = usize> {
    let step = (messages.len() / 1_000).max(1);
    let uids = (0..messages.len()).step_by(step).filter_map(|index| messages.get(index));
    uids.filter_map(|message| messages.index_of(message.uid()))
}

fn view(store: &mut Store, disk: &Disk, mailbox: MailboxId) -> std::io::Result<View> {
    shown(store, disk, |store| store.load(Actor::Host, mailbox))
}

fn shown(store: &mut Store, disk: &Disk, ask: impl FnOnce(&mut Store) -> Ticket) -> std::io::Result<View> {
    let (ticket, mut shown) = (ask(store), None);
    drive(store, disk, Duration::ZERO, |_, event| {
        if let Event::Loaded(of, result) = event
            && of == ticket
        {
            shown = result.ok();
        }
    });
    shown.ok_or_else(|| std::io::Error::other("no view"))
}

/// The memory of this process.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: ?");
    line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
}
