//! Any octets as a message that is searched: the same answer in any pieces, within bounded steps.

use mailstore::mime::Scanner;
use mailstore::search::{Day, Event, Facts, Key, Query, Search};

use crate::common::{Choices, Pieces, choose};

/// Four octets choose a query, two the pieces; the rest is the message.
pub fn run(data: &[u8]) {
    let ([a, b, c, d, low, high], message) = choose(data);
    let mut choices = Choices::new(u64::from_le_bytes([a, b, c, d, 0, 0, 0, 0]));
    let query = query(&mut choices, 4, message);
    let pieces = || Pieces::Chosen(Choices::new(u64::from(low) << 8 | u64::from(high)));
    let whole = matches(query.clone(), message, Pieces::Whole);
    assert_eq!(matches(query.clone(), message, Pieces::Octets), whole, "octet by octet");
    assert_eq!(matches(query.clone(), message, pieces()), whole, "in pieces");
    assert_eq!(matches(query.clone().not(), message, pieces()), !whole, "the opposite");
    assert!(matches(query.clone().or(query.not()), message, pieces()), "one or the other");
}

fn query(choices: &mut Choices, depth: u32, message: &[u8]) -> Query {
    match if depth == 0 { 9 } else { choices.below(6) } {
        0 => query(choices, depth - 1, message).not(),
        1 => query(choices, depth - 1, message).and(query(choices, depth - 1, message)),
        2 => query(choices, depth - 1, message).or(query(choices, depth - 1, message)),
        _ => {
            // Something of the message itself, or something that may be in it.
            let at = choices.below(message.len() + 1);
            let some = &message[at..message.len().min(at + choices.below(5))];
            let text = match choices.below(4) {
                0 => "\u{fc}".to_owned(),
                1 => "hello".to_owned(),
                2 => String::new(),
                _ => String::from_utf8_lossy(some).into_owned(),
            };
            match choices.below(11) {
                0 => Key::From(text),
                1 => Key::To(text),
                2 => Key::Subject(text),
                3 => Key::Header("Content-Type".to_owned(), text),
                4 => Key::Body(text),
                5 => Key::SentSince(Day(choices.below(30_000) as i64)),
                6 => Key::Flags(choices.below(4) as u64),
                7 => Key::Larger(choices.below(200) as u64),
                10 => Key::Attachment,
                _ => Key::Text(text),
            }
            .into()
        }
    }
}

fn matches(query: Query, message: &[u8], mut pieces: Pieces) -> bool {
    let mut search = Search::new(query).expect("it is small");
    let facts = Facts { number: 1, flags: 1, size: message.len() as u64, ..Facts::default() };
    let (mut asked, mut found, mut read, mut steps) = (false, false, 0, 0);
    loop {
        steps += 1;
        assert!(steps < 100 + 3 * message.len(), "it does not end");
        match search.poll() {
            Event::Message if asked => search.handle_end(),
            Event::Message => {
                asked = true;
                search.handle_message(facts);
            }
            Event::Structure => {
                let mut scanner = Scanner::new();
                scanner.push(message);
                search.handle_structure(scanner.finish(), 0);
            }
            Event::Read(range) => {
                assert!(range.start >= read && range.end <= message.len() as u64, "nothing is read twice");
                let octets = &message[range.start as usize..range.end as usize];
                let octets = &octets[..pieces.next(octets.len())];
                read = range.start + octets.len() as u64;
                search.handle_octets(octets);
            }
            Event::Match(facts) => found = facts.number == 1,
            Event::Pause => {}
            Event::Done => return found,
        }
    }
}
