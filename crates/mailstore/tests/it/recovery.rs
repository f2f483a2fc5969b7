//! What a store makes of a disk that is not as it was left.

use std::time::Duration;

use bytes::Bytes;
use mailstore::error::Dead;
use mailstore::mailbox::MailboxId;
use mailstore::message::{Extent, Rotten};
use mailstore::operation::File;
use mailstore::sim::{Disk, Random};
use mailstore::{Actor, Damage, Event, Held, Limits, Report, Store, View};

use crate::world::{World, small};

/// The smallest segments, and no snapshot: whatever is damaged is met at the start.
fn plain() -> Limits {
    Limits::default().segment(0)
}

fn nothing(_: &World, _: &Disk) {}

/// A store that was closed in order, with ten small messages, two large ones and some values; and its disk.
fn closed(small_bodies: usize) -> World {
    let mut world = World::new(7, plain());
    world.drain(&mut nothing);
    let mailbox = world.mailbox("INBOX");
    for index in 0..10 {
        let body = world.body(small_bodies);
        let intents = vec![world.deliver(mailbox)];
        world.commit(Some(body), intents);
        if index % 4 == 0 {
            let body = world.body(80_000);
            let intents = vec![world.deliver(mailbox)];
            world.upload(body, intents);
        }
        world.drain(&mut nothing);
    }
    world.store.close();
    world.drain(&mut nothing);
    assert!(world.closed);
    world
}

/// Opens whatever there is.
fn open(disk: &mut Disk) -> (Store, Result<Report, Dead>) {
    let mut store = Store::new(plain(), 99);
    let mut result = None;
    while let Some(event) = store.poll(Duration::ZERO) {
        match event {
            Event::Operation(operation) => {
                let done = disk.execute(&operation);
                store.handle_done(operation, done);
            }
            Event::Ready(report) => result = Some(Ok(report)),
            Event::Dead(dead) => result = Some(Err(dead)),
            _ => {}
        }
    }
    (store, result.expect("it says how it went"))
}

/// Shows a mailbox at once.
fn load(store: &mut Store, disk: &mut Disk, mailbox: MailboxId) -> View {
    let mine = store.load(Actor::Host, mailbox);
    while let Some(event) = store.poll(Duration::ZERO) {
        match event {
            Event::Operation(operation) => {
                let done = disk.execute(&operation);
                store.handle_done(operation, done);
            }
            Event::Loaded(ticket, result) if ticket == mine => return result.expect("listed"),
            _ => {}
        }
    }
    panic!("it is told");
}

/// A message: its identifier, what is read for it, and its octets.
type Shown = (u32, Vec<Extent>, Result<Vec<u8>, Rotten>);

/// Everything in the store, as extents and octets.
fn read(store: &mut Store, disk: &mut Disk) -> Vec<Shown> {
    let mut messages = Vec::new();
    for mailbox in store.mailboxes(Actor::Host, None).into_iter().map(|status| status.id) {
        let view = load(store, disk, mailbox);
        for message in view.messages.iter() {
            let extents: Vec<_> = message.locate(0..u64::MAX).map(|piece| piece.extent()).collect();
            let pieces: Result<Vec<_>, _> =
                message.locate(0..u64::MAX).map(|piece| disk.read(&piece)).collect();
            messages.push((message.uid().get(), extents, pieces.map(|pieces| pieces.concat())));
        }
        store.release(view);
    }
    messages
}

/// The same, of a copy of a disk.
fn everything(disk: &Disk) -> Vec<Shown> {
    let mut disk = disk.clone();
    let (mut store, _) = open(&mut disk);
    read(&mut store, &mut disk)
}

fn verify(store: &mut Store, disk: &mut Disk) -> Vec<Damage> {
    let mut verification = store.verify().expect("the store is ready");
    while let Some(operation) = verification.poll() {
        let result = disk.execute(&operation);
        verification.handle_done(operation, result);
    }
    assert_eq!(verification.progress().1, 0);
    store.verified(verification)
}

fn segments(disk: &Disk) -> Vec<File> {
    disk.files().filter(|file| matches!(file, File::Segment(_))).collect()
}

#[test]
fn a_flipped_bit_is_found_or_does_no_harm() {
    let world = closed(500);
    let mut disk = world.disk.clone();
    let (mut store, report) = open(&mut disk);
    assert_eq!(report.map(|report| report.damage), Ok(vec![]));
    let whole = read(&mut store, &mut disk);
    assert_eq!(verify(&mut store, &mut disk), []);
    let files: Vec<_> = world.disk.files().collect();
    let mut random = Random::new(1);
    let (mut lost, mut found) = (0, 0);
    for _ in 0..1_500 {
        let file = files[random.below(files.len())];
        let length = match file {
            // Zeros are what most of a segment is.
            File::Segment(_) => 16_000,
            File::Body(_) | File::Snapshot(_) => world.disk.octets(file).expect("it is there").len(),
        };
        let mut disk = world.disk.clone();
        disk.flip(file, random.below(length * 8));
        let (mut store, report) = open(&mut disk);
        let report = report.expect("one bit keeps no store from opening");
        let told = !report.damage.is_empty() || report.tail.is_some();
        let after = read(&mut store, &mut disk);
        let damage = verify(&mut store, &mut disk);
        for (uid, extents, octets) in &after {
            let (_, _, before) =
                whole.iter().find(|(of, ..)| of == uid).expect("no message comes from nowhere");
            let damaged = extents.iter().any(|extent| damage.iter().any(|damage| damage.file == extent.file));
            assert!(
                octets == before
                    || (damaged && extents.iter().any(|extent| matches!(extent.file, File::Body(_))))
            );
            found += u32::from(damaged);
        }
        if after.len() < whole.len() {
            assert!(told, "what is lost is told");
            lost += 1;
        }
    }
    println!(
        "1500 flips: {lost} times messages were lost and told, {found} damaged body files found by verify"
    );
    assert!(lost > 50 && found > 50);
}

#[test]
fn damage_costs_what_it_hits_and_is_reported() {
    // More than a quarter of a segment, so that the segment is not written again as a whole.
    let world = closed(20_000);
    let mut disk = world.disk.clone();
    let before = everything(&world.disk);
    let at = before[5].1[1];
    disk.flip(at.file, (at.at as usize + 40) * 8 + 5);
    let bodies = disk.files().filter(|file| matches!(file, File::Body(_))).count();
    let (mut store, report) = open(&mut disk);
    let report = report.expect("damage keeps no store from opening");
    assert_eq!(report.damage.len(), 1);
    assert_eq!((report.damage[0].file, report.damage[0].held), (at.file, Held::Body));
    assert!(
        report.damage[0].at <= at.at && report.damage[0].at + report.damage[0].length >= at.at + at.length
    );
    assert_eq!(report.orphans, 0);
    let after = read(&mut store, &mut disk);
    let expected: Vec<_> =
        before.iter().filter(|(uid, ..)| *uid != before[5].0).map(|(uid, ..)| *uid).collect();
    assert_eq!(after.iter().map(|(uid, ..)| *uid).collect::<Vec<_>>(), expected);
    assert_eq!(disk.files().filter(|file| matches!(file, File::Body(_))).count(), bodies);
    assert_eq!(verify(&mut store, &mut disk).len(), 1, "the damage is still there");
}

#[test]
fn a_body_is_kept_when_what_named_it_is_damaged() {
    let world = closed(20_000);
    let mut disk = world.disk.clone();
    let message =
        everything(&world.disk).into_iter().find(|(_, extents, _)| matches!(extents[1].file, File::Body(_)));
    let (_, extents, _) = message.expect("there are large ones");
    // Its delivery.
    disk.flip(extents[0].file, extents[0].at as usize * 8);
    let (_, report) = open(&mut disk);
    assert_eq!(report.map(|report| report.damage.len()), Ok(1));
    assert!(disk.octets(extents[1].file).is_some());
}

#[test]
fn what_a_crash_leaves_behind_the_last_batch_is_a_tail() {
    let mut world = World::new(7, plain());
    world.drain(&mut nothing);
    let mailbox = world.mailbox("INBOX");
    let intents = vec![world.deliver(mailbox)];
    world.commit(Some(Bytes::from_static(b"x")), intents);
    world.drain(&mut nothing);
    let file = segments(&world.disk)[0];
    let mut octets = world.disk.octets(file).expect("it is there").to_vec();
    let end = octets.iter().rposition(|octet| *octet != 0).expect("records") + 100;
    octets[end..end + 300].fill(0xa5);
    world.disk.replace(file, octets);
    world.reopen();
    let report = world.ready.clone().expect("it is open");
    assert_eq!(report.damage, []);
    let tail = report.tail.expect("it is told");
    assert_eq!((tail.file, tail.at + tail.length), (file, end as u64 + 300));
    assert_eq!(report.rewritten, 1, "the last batch was not proven to be synced");
    world.check();
    world.reopen();
    assert_eq!(world.ready.as_ref().map(|report| (report.damage.len(), report.tail)), Some((0, None)));
}

#[test]
fn a_newer_format_is_refused_with_a_sentence() {
    let mut world = closed(100);
    let file = *segments(&world.disk).last().expect("there is one");
    let mut octets = world.disk.octets(file).expect("it is there").to_vec();
    octets[8] = 2;
    octets[4_096 + 8] = 2;
    world.disk.replace(file, octets);
    let before: Vec<_> = world.disk.files().collect();
    let (store, result) = open(&mut world.disk);
    let dead = result.expect_err("it cannot be read");
    assert_eq!(dead, Dead::NewerFormat { file, version: 2 });
    assert_eq!(dead.to_string(), format!("{file} has format 2, which this version cannot read"));
    assert_eq!(Vec::from_iter(world.disk.files()), before, "nothing is touched");
    assert!(store.mailboxes(Actor::Host, None).is_empty());
}

#[test]
fn without_a_readable_header_nothing_is_touched() {
    for garbage in [0, 0xa5] {
        let mut world = closed(100);
        for file in segments(&world.disk) {
            let mut octets = world.disk.octets(file).expect("it is there").to_vec();
            octets[..8_192].fill(garbage);
            world.disk.replace(file, octets);
        }
        // Not even when there is but one segment, and no body.
        for file in world.disk.files().collect::<Vec<_>>() {
            if matches!(file, File::Body(_)) {
                assert_eq!(
                    world.disk.execute(&mailstore::Operation::Unlink { file }),
                    Ok(mailstore::operation::Done::Nothing)
                );
            }
        }
        let before: Vec<_> = world.disk.files().collect();
        let (_, result) = open(&mut world.disk);
        assert_eq!(result, Err(Dead::NoHeader));
        assert_eq!(Vec::from_iter(world.disk.files()), before);
    }
}

#[test]
fn a_lost_header_of_the_last_segment_costs_no_body() {
    let mut world = closed(30_000);
    world.reopen();
    let mailbox = world.store.mailboxes(Actor::Host, None)[0].id;
    let body = world.body(90_000);
    let intents = vec![world.deliver(mailbox)];
    world.upload(body, intents);
    world.drain(&mut nothing);
    let file = *segments(&world.disk).last().expect("there are two");
    let mut octets = world.disk.octets(file).expect("it is there").to_vec();
    octets[100..8_000].fill(0xa5);
    octets[..50].fill(0xa5);
    world.disk.replace(file, octets);
    let bodies = |disk: &Disk| disk.files().filter(|file| matches!(file, File::Body(_))).count();
    let before = bodies(&world.disk);
    let (_, report) = open(&mut world.disk);
    let report = report.expect("the older header is readable");
    assert!(report.damage.iter().any(|damage| damage.file == file));
    assert_eq!(bodies(&world.disk), before);
    assert!(world.disk.octets(file).is_some(), "it is kept");
}

#[test]
fn a_body_made_of_records_is_not_taken_for_records() {
    for seed in 0..30 {
        let mut world = World::new(seed, small());
        world.drain(&mut nothing);
        let mailbox = world.mailbox("INBOX");
        for _ in 0..5 {
            let intents = vec![world.deliver(mailbox)];
            world.commit(Some(Bytes::from_static(b"Subject: x\r\n\r\n")), intents);
            world.drain(&mut nothing);
            // Whole segments, headers included, in many alignments.
            let file = segments(&world.disk)[0];
            let from = world.random.below(64) + if seed % 2 == 0 { 0 } else { 8_000 };
            let image =
                Bytes::copy_from_slice(&world.disk.octets(file).expect("it is there")[from..from + 30_000]);
            let intents = vec![world.deliver(mailbox)];
            world.commit(Some(image), intents);
            world.step(&mut nothing);
            let crash = world.random.below(1 << 30) as u64;
            world.crash(crash);
            world.check_files();
        }
    }
}

/// A message that holds what stands at the same place of another segment.
#[test]
fn records_of_another_segment_are_not_taken_for_records_of_this_one() {
    let mut world = World::new(3, plain());
    world.drain(&mut nothing);
    let mailbox = world.mailbox("INBOX");
    for _ in 0..90 {
        let intents = vec![world.deliver(mailbox)];
        world.commit(Some(Bytes::from_static(b"Subject: x\r\n\r\n")), intents);
        world.drain(&mut nothing);
    }
    // A batch that fails ends the segment.
    world.disk.fail(
        world.disk.operations()..world.disk.operations() + 1,
        mailstore::operation::DiskError::Io(None),
    );
    world.commit(None, vec![]);
    world.drain(&mut nothing);
    let [first, second] = segments(&world.disk)[..] else { panic!("two segments") };
    // Behind the frame and the identifier of the first record of a segment that lists another one.
    let at = 8_192 + 16 + 8;
    let image = Bytes::copy_from_slice(&world.disk.octets(first).expect("it is there")[at..at + 12_000]);
    let intents = vec![world.deliver(mailbox)];
    world.commit(Some(image.clone()), intents);
    world.step(&mut nothing);
    // The crash keeps everything but the sector in which the record begins.
    let mut octets = world.disk.octets(second).expect("it is there").to_vec();
    assert_eq!(octets[at..at + 12_000], image[..]);
    octets[8_192..8_704].fill(0);
    world.disk.replace(second, octets);
    let (mut store, report) = open(&mut world.disk);
    let report = report.expect("it opens");
    assert_eq!(report.damage, []);
    assert!(report.tail.is_some());
    assert_eq!(read(&mut store, &mut world.disk).len(), 90);
}

/// A message that holds earlier records of its own segment, and whose own record is damaged at rest.
#[test]
fn earlier_records_in_a_damaged_message_are_not_taken_for_records() {
    let mut world = World::new(3, plain());
    world.drain(&mut nothing);
    let mailbox = world.mailbox("INBOX");
    let intents = vec![world.deliver(mailbox)];
    world.commit(Some(Bytes::from_static(b"Subject: gone\r\n\r\n")), intents);
    world.drain(&mut nothing);
    world.commit(
        None,
        vec![mailstore::Intent::Expunge {
            mailbox,
            uid: mailstore::mailbox::Uid::FIRST,
            only_deleted: false,
        }],
    );
    world.drain(&mut nothing);
    let file = segments(&world.disk)[0];
    let image = Bytes::copy_from_slice(&world.disk.octets(file).expect("it is there")[8_192..9_192]);
    for body in [image, Bytes::from_static(b"Subject: x\r\n\r\n")] {
        let intents = vec![world.deliver(mailbox)];
        world.commit(Some(body), intents);
        world.drain(&mut nothing);
    }
    let before = everything(&world.disk);
    assert_eq!(before.len(), 2);
    let view = world.load(mailbox).expect("it is there");
    let content = view
        .messages
        .get(0)
        .expect("there is one")
        .locate(0..u64::MAX)
        .nth(1)
        .expect("prefix and body")
        .extent();
    // In the frame, so that the next record is looked for in the message.
    world.disk.flip(content.file, content.at as usize * 8 + 3);
    let (mut store, report) = open(&mut world.disk);
    assert_eq!(report.map(|report| report.damage.len()), Ok(1));
    let uids: Vec<_> = read(&mut store, &mut world.disk).into_iter().map(|(uid, ..)| uid).collect();
    assert_eq!(uids, [3], "nothing that is gone comes back");
}

#[test]
fn identifiers_that_damage_has_taken_are_not_used_again() {
    let mut world = closed(20_000);
    let before = everything(&world.disk);
    let (store, _) = open(&mut world.disk.clone());
    let status = store.status(Actor::Host, store.mailboxes(Actor::Host, None)[0].id).expect("listed");
    let (last, extents, _) = before.last().expect("there are some");
    world.disk.flip(extents[0].file, extents[0].at as usize * 8);
    let mut highest = (status.uid_next, status.highest_mod_seq);
    for round in 0..4 {
        let (mut store, report) = open(&mut world.disk);
        assert_eq!(report.map(|report| report.damage.len()), Ok(1));
        let mailbox = store.mailboxes(Actor::Host, None)[0].id;
        let status = store.status(Actor::Host, mailbox).expect("listed");
        assert!((status.uid_next, status.highest_mod_seq) >= highest, "numbers step back");
        assert_eq!(read(&mut store, &mut world.disk).len(), before.len() - 1 + round);
        let intents = vec![world.deliver(mailbox)];
        store.commit(mailstore::Commit::delivery(Bytes::from_static(b"x").into(), intents));
        while let Some(event) = store.poll(Duration::ZERO) {
            if let Event::Operation(operation) = event {
                let done = world.disk.execute(&operation);
                store.handle_done(operation, done);
            }
        }
        let status = store.status(Actor::Host, mailbox).expect("listed");
        highest = (status.uid_next, status.highest_mod_seq);
        assert!(read(&mut store, &mut world.disk).last().is_some_and(|(uid, ..)| uid > last));
    }
}

#[test]
fn files_with_numbers_that_no_store_reaches_are_left_alone() {
    let mut world = closed(100);
    for number in [u64::MAX, u64::MAX / 2 + 1] {
        world.disk.replace(File::Segment(number), vec![0xa5; 9_000]);
    }
    world.reopen();
    assert_eq!(world.ready.as_ref().map(|report| report.damage.len()), Some(0));
    assert!(world.disk.octets(File::Segment(u64::MAX)).is_some());
    world.mailbox("next");
}

/// An upload is given up and its file removed; a start that finds nothing of it uses the number again, for a body in the
/// journal; then a power cut brings the file back, for nobody had synced its removal.
#[test]
fn a_file_that_comes_back_under_the_number_of_a_body_in_the_journal_is_removed() {
    let mut world = closed(100);
    world.reopen();
    let mailbox = world.store.mailboxes(Actor::Host, None)[0].id;
    let body = world.body(100);
    let intents = vec![world.deliver(mailbox)];
    world.commit(Some(body), intents);
    world.drain(&mut nothing);
    let view = world.load(mailbox).expect("it is there");
    let last = view.messages.iter().next_back().expect("there is one").body();
    world.store.release(view);
    world.disk.replace(File::Body(last), vec![0xa5; 90_000]);
    world.reopen();
    world.check();
    world.check_files();
}
