//! Where commands and responses end: lines and literals first, grammar second.
//!
//! The only code that looks for CR LF and for `{5}`. A message that makes no sense costs nothing but itself: its end has
//! been found before anybody looked at its words, and no octet of a literal is ever taken for a command. Messages stay in
//! the caller's buffer until they are whole; what is too long is swallowed, in step.
//!
//! ```text
//!  a1 LOGIN {5}CRLF alice {6+}CRLF secret CRLF
//!  └──────────┬───┘└──┬─┘└───────┬─┘└──┬──┘└┬─┘
//!       Announced   inline   Announced inline Whole: all of it
//! ```

use memchr::memchr;

/// How long a message may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Bounds {
    /// The lines of a message, in octets, its literals apart.
    pub line: usize,
    /// The literals of a message, in octets.
    pub literals: usize,
    /// Both together.
    pub total: usize,
    /// How many octets of literals are dropped of a message that is too long.
    pub discard: u64,
}

/// What a fragmenter has come to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fragment<'i> {
    /// A literal stands next. Unless one of [`Fragmenter::stream`] and [`Fragmenter::refuse`] is called, it becomes part of the
    /// message.
    Announced {
        /// The message up to it, without its size in braces.
        head: &'i [u8],
        /// How large it is, and what it is like.
        literal: Announced,
    },
    /// A whole message, without its last CRLF.
    Whole {
        /// The message.
        message: &'i [u8],
        /// One of its lines ended in LF alone.
        bare_lf: bool,
    },
    /// The message is too long. Its rest is swallowed.
    TooLong {
        /// How it begins: enough for a tag.
        head: &'i [u8],
    },
    /// The end of a message that was [too long](Fragment::TooLong) or [refused](Fragmenter::refuse).
    Swallowed,
    /// There is more to be dropped than [`Bounds::discard`]: who goes on reading reads for ever.
    Flood,
}

/// A literal that has been announced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Announced {
    /// Its octets.
    pub size: u64,
    /// `{5+}`: it comes without being asked for.
    pub non_sync: bool,
    /// `~{5}`: it may have NUL.
    pub binary: bool,
    /// It fits into the [`Bounds`].
    pub fits: bool,
    /// How many literals of the same message stand before it.
    pub index: usize,
}

/// Who sends the messages.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sender {
    /// A client, which waits before it sends a literal, if it does not say otherwise.
    Client,
    /// A server, which never waits.
    Server,
}

/// Finds messages in the caller's buffer, without a buffer of its own.
///
/// The caller's octets have to begin with those that the last call left unread.
#[derive(Debug)]
pub struct Fragmenter {
    sender: Sender,
    mode: Mode,
    /// Where the current line begins, counted from the beginning of the message.
    line: usize,
    /// Octets from there that are known to have no LF.
    scanned: usize,
    /// Octets of literals so far, and how many there are.
    literals: usize,
    count: usize,
    bare_lf: bool,
    /// Octets dropped of literals of the message that is being swallowed.
    dropped: u64,
    /// The literal that was announced by the last call, and where its octets begin.
    announced: Option<(Announced, usize)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    /// Within a message, or before one.
    Message,
    /// Within a literal that goes through in chunks.
    Stream(u64),
    /// Within a message of which nothing is kept.
    Swallow,
    /// Within a literal of which nothing is kept.
    Skip(u64),
    /// A message that is refused has ended with its literal, which is not coming.
    Refused,
}

/// The longest `{18446744073709551615+}` with its CRLF and what may stand in front of it.
const LONGEST_HEADER: usize = 26;

impl Fragmenter {
    /// For messages of this sender.
    pub const fn new(sender: Sender) -> Self {
        Self {
            sender,
            mode: Mode::Message,
            line: 0,
            scanned: 0,
            literals: 0,
            count: 0,
            bare_lf: false,
            dropped: 0,
            announced: None,
        }
    }

    /// The literal that has been announced and of which nothing has become yet.
    pub(crate) fn announced(&self) -> Option<Announced> {
        self.announced.map(|(literal, _)| literal)
    }

    /// Whether the unread input goes on with a message of which nothing is kept.
    pub(crate) const fn is_swallowing(&self) -> bool {
        matches!(self.mode, Mode::Swallow | Mode::Skip(_) | Mode::Refused)
    }

    /// Whether a message has begun that has not ended.
    pub const fn is_inside(&self) -> bool {
        !matches!(self.mode, Mode::Message) || self.line > 0 || self.scanned > 0 || self.announced.is_some()
    }

    /// Goes on to the next fragment; `None` if that needs more octets.
    ///
    /// With `plain`, lines have no literals: responses of a login, and the DONE of IDLE.
    pub fn next<'i>(&mut self, input: &mut &'i [u8], bounds: &Bounds, plain: bool) -> Option<Fragment<'i>> {
        if let Some((literal, start)) = self.announced.take() {
            // Neither streamed nor refused: it is part of the message, and what is behind it is another line.
            let size = usize::try_from(literal.size).unwrap_or(usize::MAX);
            self.literals = self.literals.saturating_add(size);
            self.line = start.saturating_add(size);
            self.count += 1;
            self.scanned = 0;
        }
        loop {
            match self.mode {
                Mode::Message => return self.message(input, bounds, plain),
                Mode::Stream(0) => self.mode = Mode::Message,
                Mode::Stream(_) => return None,
                Mode::Refused => {
                    self.mode = Mode::Message;
                    self.dropped = 0;
                    return Some(Fragment::Swallowed);
                }
                Mode::Skip(left) => {
                    let octets = left.min(input.len() as u64);
                    *input = &input[octets as usize..];
                    self.mode = if left == octets { Mode::Swallow } else { Mode::Skip(left - octets) };
                    if left > octets {
                        return None;
                    }
                }
                Mode::Swallow => {
                    if let Some(fragment) = self.swallow(input, bounds, plain)? {
                        return Some(fragment);
                    }
                }
            }
        }
    }

    /// Lets the literal that was announced go through in chunks. What stands behind it will be a message of its own.
    pub fn stream(&mut self, input: &mut &[u8]) {
        if let Some((literal, start)) = self.announced.take() {
            *input = &input[start..];
            self.restart(Mode::Stream(literal.size));
        }
    }

    /// The next octets of the literal that is [streamed](Self::stream).
    pub fn chunk<'i>(&mut self, input: &mut &'i [u8]) -> Option<&'i [u8]> {
        let Mode::Stream(left) = self.mode else {
            return None;
        };
        let count = left.min(input.len() as u64);
        if count == 0 {
            return None;
        }
        let (chunk, rest) = input.split_at(count as usize);
        *input = rest;
        self.mode = Mode::Stream(left - count);
        Some(chunk)
    }

    /// Octets that are still to come of the literal that is [streamed](Self::stream).
    pub const fn left(&self) -> Option<u64> {
        match self.mode {
            Mode::Stream(left) => Some(left),
            _ => None,
        }
    }

    /// Drops the message together with the literal that was announced. [`Fragment::Swallowed`] comes at its end.
    pub fn refuse(&mut self, input: &mut &[u8]) {
        if let Some((literal, start)) = self.announced.take() {
            *input = &input[start..];
            let comes = literal.non_sync || self.sender == Sender::Server;
            self.restart(if comes { Mode::Skip(literal.size) } else { Mode::Refused });
            self.dropped = literal.size;
        }
    }

    /// Drops what is left of a literal that is [streamed](Self::stream), and of its message.
    pub fn abandon(&mut self) {
        if let Mode::Stream(left) = self.mode {
            self.mode = Mode::Skip(left);
        }
    }

    const fn restart(&mut self, mode: Mode) {
        self.mode = mode;
        self.line = 0;
        self.scanned = 0;
        self.literals = 0;
        self.count = 0;
        self.bare_lf = false;
        self.dropped = 0;
    }

    fn message<'i>(&mut self, input: &mut &'i [u8], bounds: &Bounds, plain: bool) -> Option<Fragment<'i>> {
        let unread = *input;
        let from = self.line.saturating_add(self.scanned);
        let line = unread.get(from..)?;
        let Some(at) = memchr(b'\n', line) else {
            self.scanned = unread.len() - self.line;
            if unread.len() - self.literals >= bounds.line || unread.len() >= bounds.total {
                return Some(self.too_long(unread));
            }
            return None;
        };
        let end = from + at;
        if end + 1 - self.literals > bounds.line || end + 1 > bounds.total {
            return Some(self.too_long(unread));
        }
        let (content, bare_lf) = strip_line_end(&unread[self.line..end]);
        self.bare_lf |= bare_lf;
        let no_literal = plain || self.sender == Sender::Server && crate::response::is_text(&unread[..end]);
        if !no_literal && let Some((start, mut literal)) = announced(content) {
            let size = usize::try_from(literal.size).unwrap_or(usize::MAX);
            literal.fits = self.literals.saturating_add(size) <= bounds.literals
                && size.saturating_add(end + 1) <= bounds.total;
            literal.index = self.count;
            self.announced = Some((literal, end + 1));
            return Some(Fragment::Announced { head: &unread[..self.line + start], literal });
        }
        let message = &unread[..self.line + content.len()];
        let bare_lf = self.bare_lf;
        *input = &unread[end + 1..];
        self.restart(Mode::Message);
        Some(Fragment::Whole { message, bare_lf })
    }

    const fn too_long<'i>(&mut self, head: &'i [u8]) -> Fragment<'i> {
        // The literals so far are read past as what they are.
        let line = self.line;
        self.restart(Mode::Swallow);
        self.line = line;
        Fragment::TooLong { head }
    }

    /// `None`: more is needed. `Some(None)`: a step further.
    fn swallow<'i>(
        &mut self,
        input: &mut &'i [u8],
        bounds: &Bounds,
        plain: bool,
    ) -> Option<Option<Fragment<'i>>> {
        *input = &input[core::mem::take(&mut self.line).min(input.len())..];
        let Some(end) = memchr(b'\n', input) else {
            // What may become the announcement of a literal stays.
            let keep = input.len().min(LONGEST_HEADER);
            *input = &input[input.len() - keep..];
            return None;
        };
        let (content, _) = strip_line_end(&input[..end]);
        *input = &input[end + 1..];
        let literal = if plain { None } else { announced(content) };
        Some(match literal {
            Some((_, literal)) if literal.non_sync || self.sender == Sender::Server => {
                self.dropped = self.dropped.saturating_add(literal.size);
                if self.dropped > bounds.discard {
                    return Some(Some(Fragment::Flood));
                }
                self.mode = Mode::Skip(literal.size);
                None
            }
            _ => {
                self.restart(Mode::Message);
                Some(Fragment::Swallowed)
            }
        })
    }
}

fn strip_line_end(line: &[u8]) -> (&[u8], bool) {
    line.strip_suffix(b"\r").map_or((line, true), |line| (line, false))
}

/// The announcement of a literal at the end of a line, and where it begins.
fn announced(line: &[u8]) -> Option<(usize, Announced)> {
    let body = line.strip_suffix(b"}")?;
    let (body, non_sync) = body.strip_suffix(b"+").map_or((body, false), |body| (body, true));
    let digits = body.iter().rev().take_while(|octet| octet.is_ascii_digit()).count();
    // RFC 9051 §9: a number of 63 bits; more digits than it can have announce nothing, here and where lines are swallowed.
    if !(1..=20).contains(&digits) {
        return None;
    }
    let start = body.len() - digits;
    let before = body[..start].strip_suffix(b"{")?;
    let size = body[start..]
        .iter()
        .fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    let binary = before.ends_with(b"~");
    Some((before.len(), Announced { size, non_sync, binary, fits: false, index: 0 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { line: 64, literals: 16, total: 70, discard: 1_000 };

    /// What comes out, octet by octet or however; literals that fit stay, others are refused.
    fn fragments(octets: &[u8], step: usize) -> Vec<String> {
        let (mut reader, mut found, mut buffer) = (Fragmenter::new(Sender::Client), Vec::new(), Vec::new());
        for piece in octets.chunks(step) {
            buffer.extend_from_slice(piece);
            let mut input = &buffer[..];
            while let Some(fragment) = reader.next(&mut input, &BOUNDS, false) {
                match fragment {
                    Fragment::Announced { head, literal } => {
                        found.push(format!("{} {}", head.escape_ascii(), literal.size));
                        if !literal.fits {
                            reader.refuse(&mut input);
                        }
                    }
                    Fragment::Whole { message, bare_lf } => {
                        found.push(format!("[{}] {bare_lf}", message.escape_ascii()));
                    }
                    Fragment::TooLong { head } => found.push(format!("long {}", head[..2].escape_ascii())),
                    other => found.push(format!("{other:?}")),
                }
            }
            assert!(input.len() < 70, "unread input stays below the limit");
            let used = buffer.len() - input.len();
            buffer.drain(..used);
        }
        found
    }

    fn in_any_steps(octets: &[u8], expected: &[&str]) {
        for step in 1..=octets.len() {
            assert_eq!(fragments(octets, step), expected, "in steps of {step}");
        }
    }

    #[test]
    fn literals_are_part_of_their_message() {
        in_any_steps(
            b"a LOGIN {3}\r\nb\r\n {2+}\r\n\r\n {0+}\r\n\r\nb NOOP\r\nc {x}\r\nd {}\r\n",
            &[
                "a LOGIN  3",
                "a LOGIN {3}\\r\\nb\\r\\n  2",
                "a LOGIN {3}\\r\\nb\\r\\n {2+}\\r\\n\\r\\n  0",
                "[a LOGIN {3}\\r\\nb\\r\\n {2+}\\r\\n\\r\\n {0+}\\r\\n] false",
                "[b NOOP] false",
                "[c {x}] false",
                "[d {}] false",
            ],
        );
    }

    #[test]
    fn what_is_refused_or_too_long_loses_no_step() {
        // A literal that waits is not coming once it is refused; one that does not wait comes, and is dropped.
        in_any_steps(b"a X {17}\r\nb NOOP\r\n", &["a X  17", "Swallowed", "[b NOOP] false"]);
        in_any_steps(
            b"a X {20+}\r\nb NOOP\r\nc NOOP\r\nd.\xff rest\r\ne NOOP\r\n",
            &["a X  20", "Swallowed", "[e NOOP] false"],
        );
        let long = [&b"a "[..], &[b'x'; 100], b" {18+}\r\nb NOOP\r\nc NOOP\r\n!! {9}\r\nd NOOP\r\n"].concat();
        in_any_steps(&long, &["long a ", "Swallowed", "[d NOOP] false"]);
        in_any_steps(b"a NOOP\nb {1}\nx\r\n", &["[a NOOP] true", "b  1", "[b {1}\\nx] true"]);
    }

    #[test]
    fn more_literals_than_are_dropped_end_it() {
        let long = [&b"a "[..], &[b'x'; 100], b" {1001+}\r\n"].concat();
        assert_eq!(fragments(&long, 7), ["long a ", "Flood"]);
    }

    #[test]
    fn a_size_that_no_number_holds_does_not_fit() {
        in_any_steps(
            b"a {99999999999999999999}\r\nb {000000000000000000001}\r\n",
            &["a  18446744073709551615", "Swallowed", "[b {000000000000000000001}] false"],
        );
    }
}
