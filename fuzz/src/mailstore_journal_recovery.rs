//! Any octets as the segments of a store: it opens or says why not, within bounded steps, and what it shows can be read.

use core::time::Duration;

use mailstore::operation::File;
use mailstore::sim::Disk;
use mailstore::{Actor, Event, Limits, Store};

use crate::common::{Choices, choose};

/// One octet chooses how many segments of a real store there are, two what is done to them; the rest is written over them.
pub fn run(data: &[u8]) {
    let ([segments, low, high], octets) = choose(data);
    let mut choices = Choices::new(u64::from(low) << 8 | u64::from(high));
    let mut disk = Disk::new(1);
    let segments = u64::from(segments % 4);
    let mut rest = octets;
    for number in 1..=segments {
        // Half of them a real one, so that what follows is not always refused at the first octet.
        let mut image = if choices.below(2) == 0 { real(number) } else { vec![0; 9_000] };
        let (piece, behind) = rest.split_at(rest.len() / (segments - number + 1) as usize);
        rest = behind;
        let at = if choices.below(2) == 0 { 0 } else { choices.below(image.len()) };
        image.resize(image.len().max(at + piece.len()), 0);
        image[at..at + piece.len()].copy_from_slice(piece);
        disk.replace(File::Segment(number), image);
    }
    // Twice: what the first opening has left has to open as well, if that did.
    let opened = open(&mut disk, 5);
    if opened {
        assert!(open(&mut disk, 6), "what was opened opens again");
    }
}

/// The last segment of a store that was opened so many times.
fn real(number: u64) -> Vec<u8> {
    let mut disk = Disk::new(number);
    for seed in 0..number {
        open(&mut disk, seed);
    }
    let mut octets = disk.octets(File::Segment(number)).expect("each opening makes one").to_vec();
    octets.truncate(9_000);
    octets
}

fn open(disk: &mut Disk, seed: u64) -> bool {
    let mut store = Store::new(Limits::default().segment(0), seed);
    let (mut opened, mut steps) = (false, 0);
    while let Some(event) = store.poll(Duration::ZERO) {
        steps += 1;
        assert!(steps < 100, "a few operations for each segment");
        match event {
            Event::Operation(operation) => {
                let result = disk.execute(&operation);
                store.handle_done(operation, result);
            }
            Event::Ready(_) => opened = true,
            _ => {}
        }
    }
    for status in store.mailboxes(Actor::Host, None) {
        store.load(Actor::Host, status.id);
    }
    while let Some(event) = store.poll(Duration::ZERO) {
        match event {
            Event::Operation(operation) => {
                let result = disk.execute(&operation);
                store.handle_done(operation, result);
            }
            Event::Loaded(_, view) => {
                let view = view.expect("listed");
                for message in view.messages.iter() {
                    let pieces = message.locate(0..u64::MAX).map(|piece| piece.size());
                    assert_eq!(pieces.sum::<u64>(), message.size());
                }
                store.release(view);
            }
            _ => {}
        }
    }
    opened
}
