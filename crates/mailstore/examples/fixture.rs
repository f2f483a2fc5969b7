//! Writes the store that `tests/it/compat.rs` opens, into `tests/fixtures/<version>`, for a version about to be released:
//! `cargo run -p mailstore --features simulation --example fixture -- DIR`.
#![allow(clippy::disallowed_methods, reason = "an example is a program")]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use mailstore::mailbox::{AccountId, MailboxId, SpecialUse, Uid};
use mailstore::message::{FlagChange, Flags, NamedFlags, UnixTime};
use mailstore::operation::{DiskError, File};
use mailstore::sim::Disk;
use mailstore::{Actor, Commit, Event, Intent, Limits, Source, Store};

fn run(store: &mut Store, disk: &mut Disk) {
    while let Some(event) = store.poll(Duration::ZERO) {
        if let Event::Operation(operation) = event {
            let result = disk.execute(&operation);
            store.handle_done(operation, result);
        }
    }
}

fn main() -> std::io::Result<()> {
    let (mut disk, mut store) =
        (Disk::new(1), Store::new(Limits::default().segment(0), 0x0123_4567_89ab_cdef));
    run(&mut store, &mut disk);
    for (account, name) in [(1, "INBOX"), (1, "Büro"), (2, "INBOX"), (2, "gone")] {
        let (account, name) = (AccountId(account), name.to_owned());
        let now = UnixTime(1_700_000_000);
        store.commit(Commit::of(vec![Intent::CreateMailbox { account, name, special_use: None, now }]));
    }
    run(&mut store, &mut disk);
    let find = |store: &Store, account, name| {
        store.find(Actor::Host, AccountId(account), name).expect("it was made")
    };
    let mailboxes =
        [(1, "INBOX"), (1, "Büro"), (2, "INBOX")].map(|(account, name)| find(&store, account, name));
    let deliver = |prefix: &'static str, which: usize| Intent::Deliver {
        mailbox: mailboxes[which],
        prefix: Bytes::from_static(prefix.as_bytes()),
        date: UnixTime(1_700_000_100),
        flags: NamedFlags { system: Flags::SEEN, keywords: vec!["$First".to_owned()] },
    };
    let small = Source::from(Bytes::from_static(b"Subject: one\r\n\r\none body for three\r\n"));
    let three = (0..3).map(|which| deliver("Return-Path: <a@example.test>\r\n", which)).collect();
    let structure = Some(Bytes::from_static(b"what was found out"));
    store.commit(Commit::delivery(small, three).with_structure(structure));
    let second = Source::from(Bytes::from_static(b"Subject: two\r\n\r\ngone\r\n"));
    store.commit(Commit::delivery(second, vec![deliver("", 0)]));
    for (key, value) in [("kept", "value"), ("removed", "value")] {
        let (key, value) = (Bytes::from_static(key.as_bytes()), Bytes::from_static(value.as_bytes()));
        store.commit(Commit::of(vec![Intent::Put { table: 7, key, value }]));
    }
    run(&mut store, &mut disk);

    let (account, uid, octets) = (AccountId(1), Uid::FIRST, Some(1_000_000));
    let flags = |system, keyword: &str| NamedFlags { system, keywords: vec![keyword.to_owned()] };
    let change = FlagChange::Add(flags(Flags::FLAGGED, "second"));
    for intent in [
        Intent::Store { mailbox: mailboxes[2], uid, change, unchanged_since: None },
        Intent::SetQuota { account, octets, messages: None },
        Intent::SetQuota { account: AccountId(2), octets, messages: Some(9) },
        Intent::Subscribe { account, name: "Büro".to_owned() },
        Intent::Subscribe { account, name: "nowhere".to_owned() },
    ] {
        store.commit(Commit::of(vec![intent]));
    }
    run(&mut store, &mut disk);

    // A batch that fails ends the segment, so that there are two.
    disk.fail(disk.operations()..disk.operations() + 1, DiskError::NoSpace);
    let failed = Source::from(Bytes::from_static(b"this was refused\r\n"));
    store.commit(Commit::delivery(failed, vec![deliver("", 0)]));
    run(&mut store, &mut disk);

    let mut upload = store.begin_body().expect("the store is ready");
    let large = format!("Subject: large\r\n\r\n{}", "a body in a file of its own\r\n".repeat(14));
    upload.push(Bytes::from(large)).expect("it wants data");
    upload.close();
    while let Some(operation) = upload.poll() {
        let result = disk.execute(&operation);
        upload.handle_done(operation, result);
    }
    let body = Source::Stored(upload.finish().expect("the disk is good"));
    store.commit(Commit::delivery(body, vec![deliver("Return-Path: <>\r\n", 1)]));
    run(&mut store, &mut disk);
    store.close();
    run(&mut store, &mut disk);
    // A store that is rebuilt writes a snapshot at once; what follows stands behind it.
    let mut store = Store::rebuilding(Limits::default().segment(0), 0xfedc_ba98_7654_3210);
    run(&mut store, &mut disk);
    store.commit(Commit::of(vec![
        Intent::Expunge { mailbox: mailboxes[0], uid: Uid::new(2).expect("not zero"), only_deleted: false },
        Intent::Remove { table: 7, key: Bytes::from_static(b"removed") },
        Intent::DeleteMailbox { mailbox: find(&store, 2, "gone") },
    ]));
    let (name, now, special_use) =
        ("new/Büro".to_owned(), UnixTime(1_700_000_200), Some(SpecialUse::Archive));
    let prefix = Bytes::from_static(b"Return-Path: <a@example.test>\r\n");
    let change = FlagChange::Replace(flags(Flags::DELETED, "second"));
    for intents in [
        vec![Intent::RenameMailbox { mailbox: mailboxes[1], name, now }],
        vec![
            Intent::CreateMailbox { account, name: "new/Archive".to_owned(), special_use, now },
            Intent::Copy { from: mailboxes[0], uid, to: MailboxId::CREATED, prefix },
        ],
        vec![Intent::Store { mailbox: mailboxes[0], uid, change, unchanged_since: None }],
        vec![Intent::Unsubscribe { account, name: "nowhere".to_owned() }],
        vec![Intent::SetQuota { account: AccountId(2), octets: None, messages: None }],
    ] {
        store.commit(Commit::of(intents));
    }
    run(&mut store, &mut disk);
    store.close();
    run(&mut store, &mut disk);

    assert!(disk.files().any(|file| matches!(file, File::Snapshot(_))));
    let root = std::env::args().nth(1).unwrap_or_else(|| "fixture".to_owned());
    for file in disk.files() {
        let octets = disk.octets(file).expect("listed");
        // The reserve is zeros; the last record may end in some.
        let end = octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
        let end = if matches!(file, File::Segment(_)) { end.next_multiple_of(512) } else { octets.len() };
        let path = Path::new(&root).join(file.to_string());
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, &octets[..end])?;
    }
    Ok(())
}
