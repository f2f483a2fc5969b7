//! Keeps messages in a directory: `cargo run -p mailstore --features os --example embed -- DIR`.
#![allow(
    clippy::disallowed_macros,
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "an example is a program"
)]

use std::path::Path;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use mailstore::mailbox::AccountId;
use mailstore::message::{NamedFlags, UnixTime};
use mailstore::os::{Disk, drive};
use mailstore::{Actor, Commit, Event, Intent, Limits, Source, Store};

fn main() -> std::io::Result<()> {
    let dir = std::env::args().nth(1).unwrap_or_else(|| "mail".to_owned());
    let disk = Disk::open(Path::new(&dir))?;
    let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // A server takes the seed from a random source; nobody sends us mail here.
    let mut store = Store::new(Limits::default(), since_1970.as_nanos() as u64);
    let print = |_: &mut Store, event| println!("{event:?}");
    drive(&mut store, &disk, Duration::ZERO, print);

    let (account, now) = (AccountId(1), UnixTime(since_1970.as_secs() as i64));
    if store.find(Actor::Host, account, "INBOX").is_none() {
        let (name, special_use) = ("INBOX".to_owned(), None);
        store.commit(Commit::of(vec![Intent::CreateMailbox { account, name, special_use, now }]));
        drive(&mut store, &disk, Duration::ZERO, print);
    }
    let Some(mailbox) = store.find(Actor::Host, account, "INBOX") else { return Ok(()) };
    let body = Source::from(Bytes::from_static(b"Subject: hello\r\n\r\nworld\r\n"));
    let prefix = Bytes::from_static(b"Return-Path: <>\r\n");
    let deliver = Intent::Deliver { mailbox, prefix, date: now, flags: NamedFlags::NONE };
    store.commit(Commit::delivery(body, vec![deliver]));
    drive(&mut store, &disk, Duration::ZERO, print);

    let (ticket, mut shown) = (store.load(Actor::Account(account), mailbox), None);
    drive(&mut store, &disk, Duration::ZERO, |_, event| match event {
        Event::Loaded(of, Ok(view)) if of == ticket => shown = Some(view),
        event => println!("{event:?}"),
    });
    if let Some(view) = shown {
        println!("{:?}", view.status);
        for message in view.messages.iter() {
            for piece in message.locate(0..message.size()) {
                print!("{}", String::from_utf8_lossy(&disk.read_piece(&piece)?));
            }
        }
        store.release(view);
    }
    store.close();
    drive(&mut store, &disk, Duration::ZERO, print);
    Ok(())
}
