//! Messages: any pieces give the same octets, which are those of a slow and obvious reading; and what is encoded is
//! decoded again.

use smtp_codec::Limits;
use smtp_codec::data::{Data, DataDecoder, DataEncoder, Fault};

use crate::common::{Choices, Pieces, Steps, choose};

/// The message, its fault, and what was left behind its end; `None` where the end did not come.
type Decoded = Option<(Vec<u8>, Option<Fault>, usize)>;

/// One octet chooses the limits, two the pieces; the rest is the wire.
pub fn run(data: &[u8]) {
    let ([config, low, high], wire) = choose(data);
    let seed = u64::from(low) << 8 | u64::from(high);
    let body_line = if config & 1 == 0 { 65_536 } else { 998 };
    let message = if config & 2 == 0 { 50 << 20 } else { 1 + u64::from(config >> 2) * 16 };
    let limits = Limits::default().body_line(body_line).message(message);

    let whole = decode(&limits, wire, Pieces::Whole);
    assert_eq!(decode(&limits, wire, Pieces::Octets), whole);
    assert_eq!(decode(&limits, wire, Pieces::Chosen(Choices::new(seed))), whole);
    check_against_model(body_line, message, wire, &whole);
    encode_and_decode(wire, Choices::new(seed));
}

fn decode(limits: &Limits, wire: &[u8], mut pieces: Pieces) -> Decoded {
    let mut decoder = DataDecoder::new(limits);
    let mut steps = Steps::for_octets(wire.len());
    let (mut body, mut start, mut end) = (Vec::new(), 0, 0);
    while end < wire.len() {
        end += pieces.next(wire.len() - end);
        let mut input = &wire[start..end];
        loop {
            steps.count();
            match decoder.next(&mut input) {
                None => break,
                Some(Data::Chunk(chunk)) => body.extend_from_slice(chunk),
                Some(Data::End) => {
                    let left = wire.len() - end + input.len();
                    return Some((body, decoder.fault(), left));
                }
            }
        }
        assert!(input.len() <= 4, "hardly anything stays unread");
        start = end - input.len();
    }
    None
}

fn check_against_model(body_line: u64, message: u64, wire: &[u8], decoded: &Decoded) {
    // A message begins behind a CRLF, which is why one is put in front here.
    let framed = [b"\r\n", wire].concat();
    let Some(end) = framed.windows(5).position(|octets| octets == b"\r\n.\r\n") else {
        assert_eq!(*decoded, None, "no end without CRLF.CRLF");
        return;
    };
    let (body, fault, left) = decoded.as_ref().expect("CRLF.CRLF ends a message");
    assert_eq!(*left, framed.len() - end - 5);
    let stuffed = &framed[2..end + 2];
    let clean = !stuffed.contains(&0)
        && (0..stuffed.len()).all(|at| match stuffed[at] {
            b'\r' => stuffed.get(at + 1) == Some(&b'\n'),
            b'\n' => at > 0 && stuffed[at - 1] == b'\r',
            _ => true,
        });
    let lines = || stuffed.split_inclusive(|octet| *octet == b'\n');
    let plain: Vec<u8> = lines().flat_map(|line| line.strip_prefix(b".").unwrap_or(line)).copied().collect();
    let short = lines().all(|line| {
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        line.strip_prefix(b".").unwrap_or(line).len() as u64 <= body_line
    });
    let small = plain.len() as u64 <= message;
    assert_eq!(fault.is_none(), clean && short && small, "{fault:?}");
    if fault.is_none() {
        assert_eq!(*body, plain);
    } else {
        assert!(plain.starts_with(body), "what was given out before a fault is the beginning of the message");
    }
}

fn encode_and_decode(message: &[u8], mut choices: Choices) {
    let (mut encoder, mut wire) = (DataEncoder::new(), Vec::new());
    let (mut rest, mut written) = (message, Ok(()));
    while !rest.is_empty() && written.is_ok() {
        let (piece, behind) = rest.split_at(rest.len().min(1 + choices.below(9)));
        written = encoder.write(piece, &mut wire);
        rest = behind;
    }
    let finished = written.is_ok() && encoder.finish(&mut wire).is_ok();
    let bare = (0..wire.len()).any(|at| match wire[at] {
        b'\r' => wire.get(at + 1) != Some(&b'\n'),
        b'\n' => at == 0 || wire[at - 1] != b'\r',
        octet => octet == 0,
    });
    assert!(!bare, "nothing bare on the wire");
    if finished {
        let limits = Limits::default().body_line(u64::MAX);
        let (mut body, fault, left) = decode(&limits, &wire, Pieces::Whole).expect("the end is there");
        if !message.is_empty() && !message.ends_with(b"\r\n") {
            body.truncate(body.len() - 2);
        }
        assert_eq!((&body[..], fault, left), (message, None, 0));
    }
}
