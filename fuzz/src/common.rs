//! What the targets share: choices, pieces, how they are read, and the measure of progress.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use rustix::time::{ClockId, clock_gettime};

/// Numbers that follow from a seed: xorshift, so that each run is the same.
#[derive(Clone, Debug)]
pub struct Choices(u64);

impl Choices {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % end
    }
}

/// How octets come in.
#[derive(Clone, Debug)]
pub enum Pieces {
    /// All at once.
    Whole,
    /// One by one.
    Octets,
    /// In pieces of chosen sizes.
    Chosen(Choices),
}

impl Pieces {
    /// The size of the next piece of what is left.
    pub fn next(&mut self, left: usize) -> usize {
        match self {
            Self::Whole => left,
            Self::Octets => left.min(1),
            Self::Chosen(choices) => {
                let most = if choices.below(4) == 0 { 600 } else { 9 };
                left.min(1 + choices.below(most))
            }
        }
    }
}

/// What the driver of a session comes to.
#[derive(Debug)]
pub enum Turn<'t, 'w> {
    /// Octets to be read to where the session wants more. What it leaves comes again, with more behind it.
    Octets(&'t mut &'w [u8]),
    /// The place where TLS starts, if the session wants it now.
    Tls,
}

/// Reads a wire as a driver does: in pieces, and with two octets in it that stand for a TLS handshake.
pub fn read(wire: &[u8], mut pieces: Pieces, mut turn: impl FnMut(Turn<'_, '_>)) {
    let mut buffer = BytesMut::new();
    let mut rest = wire;
    loop {
        let boundary = rest.windows(2).position(|octets| octets == TLS_STARTS).unwrap_or(rest.len());
        let (mut plain, behind) = rest.split_at(boundary);
        loop {
            let (piece, left) = plain.split_at(pieces.next(plain.len()));
            buffer.extend_from_slice(piece);
            plain = left;
            let mut input = &buffer[..];
            turn(Turn::Octets(&mut input));
            let used = buffer.len() - input.len();
            buffer.advance(used);
            if plain.is_empty() {
                break;
            }
        }
        if behind.is_empty() {
            break;
        }
        turn(Turn::Tls);
        rest = &behind[TLS_STARTS.len()..];
    }
}

/// No protocol of ours has a use for them.
const TLS_STARTS: &[u8] = b"\xff\xff";

/// Writes down octets of a literal, behind those before: pieces of the wire show here, and only here.
pub fn note_chunk(events: &mut Vec<String>, chunk: &[u8]) {
    match events.last_mut() {
        Some(last) if last.starts_with("chunk ") => last.push_str(&chunk.escape_ascii().to_string()),
        _ => events.push(format!("chunk {}", chunk.escape_ascii())),
    }
}

/// Every loop makes progress: at most eight steps for an octet, and a thousand to begin and end with.
#[derive(Debug)]
pub struct Steps {
    left: usize,
}

impl Steps {
    /// The steps that so many octets may take.
    pub fn for_octets(octets: usize) -> Self {
        Self { left: 8 * octets + 1_000 }
    }

    /// One step more.
    pub fn count(&mut self) {
        self.left = self.left.checked_sub(1).expect("steps are bounded by the octets");
    }
}

/// Takes the octets that choose, and gives what follows them.
pub fn choose<const N: usize>(data: &[u8]) -> ([u8; N], &[u8]) {
    let mut chosen = [0; N];
    let taken = data.len().min(N);
    chosen[..taken].copy_from_slice(&data[..taken]);
    (chosen, &data[taken..])
}

/// What takes a text whole takes no more than in proportion to it, seen at one input of many: a stretch of it is repeated, and
/// eight times as much of that takes no more than thirty-two times as long. What counts is the work of this thread, so that
/// it makes no difference what else the machine does.
pub fn is_linear(text: &str, mut read: impl FnMut(&str)) {
    let sum = text.bytes().fold(1_469_598_103_934_665_603_u64, |sum, octet| {
        (sum ^ u64::from(octet)).wrapping_mul(1_099_511_628_211)
    });
    let mut choices = Choices::new(sum);
    if text.is_empty() || choices.below(96) > 0 {
        return;
    }
    let start = text.floor_char_boundary(choices.below(text.len()));
    let end = text.ceil_char_boundary(start + 1 + choices.below(text.len() - start));
    let mut took = |octets: usize| {
        let many = [&text[..start], &text[start..end].repeat(octets.div_ceil(end - start))].concat();
        let before = worked();
        read(&many);
        worked() - before
    };
    let (some, more) = (took(LITTLE), took(LITTLE * 8));
    let most = 32 * some + Duration::from_millis(100);
    assert!(
        more <= most,
        "{:?} and {:?} repeated: {some:?}, then {more:?}",
        &text[..start],
        &text[start..end]
    );
}

fn worked() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.try_into().expect("less than a second"))
}

/// Octets that are enough to see what takes time.
const LITTLE: usize = 24 << 10;
