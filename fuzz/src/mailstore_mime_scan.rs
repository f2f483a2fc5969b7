//! Any octets as a message: one structure in any pieces, which accounts for each octet and survives being kept.

use bytes::Bytes;
use mailstore::mime::{HeaderFields, Part, Scanner, Section, Structure};

use crate::common::{Choices, Pieces, choose};

/// One octet chooses names of fields, two the pieces; the rest is the message, and then what was kept of one.
pub fn run(data: &[u8]) {
    let ([names, low, high], message) = choose(data);
    let pieces = || Pieces::Chosen(Choices::new(u64::from(low) << 8 | u64::from(high)));
    let structure = scan(message, Pieces::Whole);
    assert_eq!(scan(message, Pieces::Octets), structure, "octet by octet");
    assert_eq!(scan(message, pieces()), structure, "in pieces");

    let mut kept = Vec::new();
    structure.encode(&mut kept);
    let again = Structure::decode(Bytes::from(kept), structure.size()).expect("what was kept is read");
    assert_eq!(show(&again), show(&structure), "kept and read");
    let most = 3 * message.len() + 1_000;
    assert!(show(&structure).len() <= 40 * most, "it does not grow out of proportion");

    let mut next = 0;
    for (_, _, range) in structure.partition() {
        assert_eq!(range.start, next, "no gap");
        next = range.end;
    }
    assert_eq!(next, message.len() as u64, "no octet is left over");

    let header = structure.section(0, [], Section::Header).expect("a message has one");
    let header = &message[..header.end as usize];
    let names =
        [&b"subject"[..], b"x", b"content-type"].into_iter().filter(|name| names as usize % name.len() > 1);
    for not in [false, true] {
        let filter = |mut pieces: Pieces| {
            let (mut fields, mut out, mut rest) = (HeaderFields::new(names.clone(), not), Vec::new(), header);
            while !rest.is_empty() {
                let (piece, behind) = rest.split_at(pieces.next(rest.len()));
                fields.push(piece, |octets| out.extend_from_slice(octets));
                rest = behind;
            }
            fields.finish(|octets| out.extend_from_slice(octets));
            out
        };
        let whole = filter(Pieces::Whole);
        assert!(whole.len() <= header.len());
        assert_eq!(filter(Pieces::Octets), whole);
        assert_eq!(filter(pieces()), whole);
    }

    // The same octets as what was kept of a message, which somebody has written over.
    if let Some(structure) = Structure::decode(Bytes::copy_from_slice(message), u64::from(low)) {
        assert!(structure.partition().iter().all(|(_, _, range)| range.end <= u64::from(low)));
        show(&structure);
    }
}

fn scan(message: &[u8], mut pieces: Pieces) -> Structure {
    let (mut scanner, mut rest) = (Scanner::new(), message);
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(pieces.next(rest.len()));
        scanner.push(piece);
        rest = behind;
    }
    scanner.finish()
}

/// All that can be asked of a structure.
fn show(structure: &Structure) -> String {
    structure.parts().map(show_part).collect()
}

fn show_part(part: Part<'_>) -> String {
    let parameters: Vec<_> = part.parameters().collect();
    let disposition = part.disposition().map(|(name, parameters)| (name, parameters.collect::<Vec<_>>()));
    let languages: Vec<_> = part.languages().collect();
    let mut out = format!(
        "{:?} {parameters:?} {disposition:?} {languages:?} {:?} {:?} {:?} {} {:?} {:?} {}",
        part.media(),
        part.id(),
        part.description(),
        part.encoding_name(),
        part.lines(),
        part.header(),
        part.body(),
        part.parts().count(),
    );
    if let Some(envelope) = part.envelope() {
        out += &format!("{:?} {:?}", envelope.date(), envelope.subject());
        for list in [envelope.from(), envelope.sender(), envelope.reply_to(), envelope.to()] {
            out += &format!("{:?}", list.collect::<Vec<_>>());
        }
    }
    out
}
