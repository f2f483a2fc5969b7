//! Messages in any pieces: the same fragments, and no octet of a literal is taken for a message.

use imap_codec::fragment::{Bounds, Fragment, Fragmenter, Sender};

use crate::common::{Choices, Pieces, Steps, choose};

/// One octet chooses the bounds and the sender, two the pieces and what becomes of literals; the rest is the wire.
pub fn run(data: &[u8]) {
    let ([config, low, high], wire) = choose(data);
    let seed = u64::from(low) << 8 | u64::from(high);
    let whole = fragments(config, seed, wire, Pieces::Whole);
    assert_eq!(fragments(config, seed, wire, Pieces::Octets), whole);
    assert_eq!(fragments(config, seed, wire, Pieces::Chosen(Choices::new(seed))), whole);
}

fn fragments(config: u8, seed: u64, wire: &[u8], mut pieces: Pieces) -> Vec<String> {
    let bounds = if config & 1 == 0 {
        Bounds { line: 1_000, literals: 4_000, total: 4_500, discard: 10_000 }
    } else {
        Bounds { line: 40, literals: 30, total: 60, discard: 100 }
    };
    let sender = if config & 2 == 0 { Sender::Client } else { Sender::Server };
    let plain = config & 12 == 12;
    let mut reader = Fragmenter::new(sender);
    let mut choices = Choices::new(seed);
    let mut steps = Steps::for_octets(wire.len());
    let (mut found, mut buffer, mut rest): (Vec<String>, Vec<u8>, _) = (Vec::new(), Vec::new(), wire);
    loop {
        let (piece, left) = rest.split_at(pieces.next(rest.len()));
        buffer.extend_from_slice(piece);
        rest = left;
        let mut input = &buffer[..];
        loop {
            if let Some(chunk) = reader.chunk(&mut input) {
                steps.count();
                match found.last_mut() {
                    Some(last) if last.starts_with("chunk ") => {
                        last.push_str(&chunk.escape_ascii().to_string());
                    }
                    _ => found.push(format!("chunk {}", chunk.escape_ascii())),
                }
                continue;
            }
            let Some(fragment) = reader.next(&mut input, &bounds, plain) else {
                break;
            };
            steps.count();
            match fragment {
                Fragment::Announced { head, literal } => {
                    found.push(format!("announced {} {literal:?}", head.escape_ascii()));
                    match choices.below(4) {
                        0 => reader.refuse(&mut input),
                        1 => reader.stream(&mut input),
                        _ if literal.fits => {}
                        _ => reader.refuse(&mut input),
                    }
                }
                Fragment::TooLong { .. } => found.push("too long".to_owned()),
                Fragment::Flood => {
                    found.push("flood".to_owned());
                    return found;
                }
                other => found.push(format!("{other:?}")),
            }
        }
        assert!(input.len() < bounds.total, "unread input stays below the bound");
        let used = buffer.len() - input.len();
        buffer.drain(..used);
        if rest.is_empty() {
            return found;
        }
    }
}
