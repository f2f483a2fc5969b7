//! Stores that earlier versions have written are opened for ever. `examples/fixture.rs` has written them.
#![allow(clippy::disallowed_methods, reason = "fixtures are files")]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use mailstore::mailbox::{AccountId, MailboxId, SpecialUse, Uid};
use mailstore::message::Stretch;
use mailstore::os::{Disk, drive};
use mailstore::{Actor, Event, Store, View};

use crate::world::{shown_flags, small};

/// What the fixture holds: whose, which mailbox, its next identifier and its last change, its keywords, and its messages with
/// their flags.
type Mailbox =
    (u64, &'static str, u32, u64, &'static [&'static str], &'static [(u32, &'static str, &'static str)]);

const V1: &[Mailbox] = &[
    (1, "INBOX", 3, 5, &["$First", "second"], &[(1, ONE, "8 second")]),
    (1, "new", 1, 1, &[], &[]),
    (1, "new/Archive", 2, 2, &["$First"], &[(1, ONE, "1 $first")]),
    (1, "new/Büro", 3, 3, &["$First"], &[(1, ONE, "1 $first"), (2, LARGE, "1 $first")]),
    (2, "INBOX", 2, 3, &["$First", "second"], &[(1, ONE, "5 $first second")]),
];
const ONE: &str = "Return-Path: <a@example.test>\r\nSubject: one\r\n\r\none body for three\r\n";
const LARGE: &str = "Return-Path: <>\r\nSubject: large\r\n\r\n";
const LINE: &str = "a body in a file of its own\r\n";

fn load(store: &mut Store, disk: &Disk, mailbox: MailboxId) -> View {
    let (mine, mut view) = (store.load(Actor::Host, mailbox), None);
    drive(store, disk, Duration::ZERO, |_, event| match event {
        Event::Loaded(ticket, result) if ticket == mine => view = result.ok(),
        other => panic!("{other:?}"),
    });
    view.expect("found")
}

fn pieces(disk: &Disk, stretch: &Stretch) -> Vec<u8> {
    let pieces = stretch.locate(0..u64::MAX).map(|piece| disk.read_piece(&piece));
    pieces.map(|octets| octets.expect("readable")).collect::<Vec<_>>().concat()
}

#[test]
fn a_store_of_version_1_is_opened() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let root = std::env::temp_dir().join(format!("mailstore-v1-{}", std::process::id()));
    let disk = Disk::open(&root).expect("a temporary directory");
    for dir in ["journal", "bodies", "snapshots"] {
        for entry in fixture.join(dir).read_dir().expect("the fixture is there") {
            let entry = entry.expect("readable");
            std::fs::copy(entry.path(), root.join(dir).join(entry.file_name())).expect("copied");
        }
    }
    // Twice: as it was written, and as the first opening has left it.
    for opening in 0..2 {
        let mut store = Store::new(small(), 5 + opening);
        let mut report = None;
        drive(&mut store, &disk, Duration::ZERO, |_, event| match event {
            Event::Ready(ready) => report = Some(ready),
            other => panic!("{other:?}"),
        });
        let report = report.expect("it opens");
        assert_eq!((report.damage.len(), report.tail), (0, None));
        assert_eq!(store.mailboxes(Actor::Host, None).len(), V1.len());
        for (account, name, uid_next, mod_seq, keywords, messages) in V1 {
            let mailbox = store.find(Actor::Host, AccountId(*account), name).expect("it was made");
            let view = load(&mut store, &disk, mailbox);
            assert_eq!(view.status.uid_next, Uid::new(*uid_next));
            assert_eq!(view.status.highest_mod_seq.get(), *mod_seq);
            assert_eq!(view.status.keywords.to_vec(), *keywords);
            let archive = *name == "new/Archive";
            assert_eq!(view.status.special_use, archive.then_some(SpecialUse::Archive));
            assert_eq!(view.messages.len(), messages.len());
            for (message, (uid, text, flags)) in view.messages.iter().zip(*messages) {
                let octets: Vec<u8> = message
                    .locate(0..u64::MAX)
                    .flat_map(|piece| disk.read_piece(&piece).expect("readable"))
                    .collect();
                assert_eq!((message.uid().get(), message.date().0), (*uid, 1_700_000_100));
                assert_eq!(shown_flags(&view, message.flags()), *flags);
                let structure = message.structure().map(|stretch| pieces(&disk, &stretch));
                assert_eq!(structure.is_some(), *text == ONE);
                assert!(structure.is_none_or(|octets| octets == b"what was found out"));
                if *text == LARGE {
                    assert_eq!(String::from_utf8_lossy(&octets), format!("{LARGE}{}", LINE.repeat(14)));
                } else {
                    assert_eq!(String::from_utf8_lossy(&octets), *text);
                }
            }
            store.release(view);
        }
        let life = |account, name| {
            let mailbox = store.find(Actor::Host, AccountId(account), name)?;
            Some(store.status(Actor::Host, mailbox)?.uid_validity.get())
        };
        let first = 1_700_000_000;
        assert_eq!(
            [life(1, "INBOX"), life(1, "new/Büro"), life(2, "INBOX")],
            [0, 1, 2].map(|next| Some(first + next))
        );
        let records = store.records(7, b"", 9);
        let values: Vec<_> =
            records.records.iter().map(|(key, value)| (key.clone(), pieces(&disk, value))).collect();
        store.release(records);
        assert_eq!(values, [(Bytes::from_static(b"kept"), b"value".to_vec())]);
        let quota = |account| store.quota(Actor::Host, AccountId(account)).expect("the host may know");
        assert_eq!((quota(1).limit_octets, quota(1).limit_messages), (Some(1_000_000), None));
        assert_eq!((quota(2).limit_octets, quota(2).limit_messages), (None, None));
        assert_eq!(store.subscriptions(Actor::Host, AccountId(1)), ["Büro"]);
        let mut verification = store.verify().expect("the store is ready");
        while let Some(operation) = verification.poll() {
            let result = disk.execute(&operation);
            verification.handle_done(operation, result);
        }
        assert_eq!(store.verified(verification), []);
        store.close();
        drive(&mut store, &disk, Duration::ZERO, |_, _| ());
    }
    std::fs::remove_dir_all(&root).expect("removed");
}
