//! Multi-line responses: dot-stuffing, and where TOP ends.

use bytes::BufMut;
use memchr::{memchr, memmem};

/// Adds dot-stuffing and the final dot ([RFC 1939 §3](https://www.rfc-editor.org/rfc/rfc1939#section-3)).
///
/// With a number of lines it stops by itself where TOP does: behind the header, the empty line, and so many lines of
/// the body.
#[derive(Debug)]
pub struct DataEncoder {
    at_line_start: bool,
    after_cr: bool,
    /// Octets of the current line so far are none, which at its end makes it the empty line behind the header.
    line_is_empty: bool,
    in_body: bool,
    lines_left: Option<u64>,
}

impl DataEncoder {
    /// For a whole message, or for TOP with its number of lines.
    pub const fn new(lines: Option<u64>) -> Self {
        Self { at_line_start: true, after_cr: false, line_is_empty: true, in_body: false, lines_left: lines }
    }

    /// Whether more of the message is wanted.
    pub const fn wants_more(&self) -> bool {
        !(self.in_body && matches!(self.lines_left, Some(0)))
    }

    /// Writes the next octets of the message, as far as they are wanted.
    pub fn write(&mut self, chunk: &[u8], out: &mut impl BufMut) {
        let mut rest = chunk;
        while !rest.is_empty() && self.wants_more() {
            if self.at_line_start && rest[0] == b'.' {
                out.put_u8(b'.');
            }
            let (end, complete) = match memchr(b'\n', rest) {
                Some(at) => (at + 1, true),
                None => (rest.len(), false),
            };
            let (piece, behind) = rest.split_at(end);
            out.put_slice(piece);
            let before_lf = if complete { &piece[..end - 1] } else { piece };
            let ends_in_crlf = complete && before_lf.last().map_or(self.after_cr, |last| *last == b'\r');
            self.line_is_empty &= before_lf.is_empty() || (before_lf == b"\r" && !self.after_cr);
            self.after_cr = !complete && piece.last() == Some(&b'\r');
            self.at_line_start = ends_in_crlf;
            if ends_in_crlf {
                self.line_ended();
            } else if complete {
                self.line_is_empty = false;
            }
            rest = behind;
        }
    }

    /// Writes the end. A last line without CRLF gets one, since there is no other way to send it.
    pub fn finish(self, out: &mut impl BufMut) {
        out.put_slice(if self.at_line_start { b".\r\n" } else { b"\r\n.\r\n" });
    }

    fn line_ended(&mut self) {
        if !self.in_body {
            self.in_body = self.line_is_empty;
        } else if let Some(left) = &mut self.lines_left {
            *left -= 1;
        }
        self.line_is_empty = true;
    }
}

/// What [`DataDecoder::next`] finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Decoded<'i> {
    /// The next octets of the message, never empty.
    Chunk(&'i [u8]),
    /// The line with the final dot.
    End,
}

/// Removes dot-stuffing, and finds the end, without a buffer of its own.
///
/// Only a dot alone between two CRLF ends a message: one behind a bare LF or a bare CR is content.
#[derive(Clone, Copy, Debug)]
pub struct DataDecoder {
    at_line_start: bool,
    after_cr: bool,
}

impl DataDecoder {
    /// For the octets behind the CRLF of a status line.
    pub const fn new() -> Self {
        Self { at_line_start: true, after_cr: false }
    }

    /// Takes octets from `input`; `None` when more are needed.
    ///
    /// At most two octets stay unread: a dot at the start of a line and a CR behind it. Behind the
    /// [end](Decoded::End) this is of no use any more.
    pub fn next<'i>(&mut self, input: &mut &'i [u8]) -> Option<Decoded<'i>> {
        let mut unread = *input;
        if self.at_line_start {
            match unread {
                [] | [b'.'] | [b'.', b'\r'] => return None,
                [b'.', b'\r', b'\n', rest @ ..] => {
                    *input = rest;
                    return Some(Decoded::End);
                }
                // RFC 1939 §3: the dot at the start of any other line was put there by the server.
                [b'.', rest @ ..] => unread = rest,
                _ => {}
            }
        } else if unread.is_empty() {
            return None;
        }
        let end = if self.after_cr && (unread == b"\n" || unread.starts_with(b"\n.")) {
            1
        } else {
            memmem::find(unread, b"\r\n.").map_or(unread.len(), |at| at + 2)
        };
        let (chunk, rest) = unread.split_at(end);
        self.at_line_start = chunk.ends_with(b"\r\n") || (self.after_cr && chunk == b"\n");
        self.after_cr = chunk.ends_with(b"\r");
        *input = rest;
        Some(Decoded::Chunk(chunk))
    }
}

impl Default for DataDecoder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(message: &str, lines: Option<u64>, step: usize) -> String {
        let (mut encoder, mut out) = (DataEncoder::new(lines), Vec::new());
        for piece in message.as_bytes().chunks(step) {
            encoder.write(piece, &mut out);
        }
        encoder.finish(&mut out);
        String::from_utf8(out).expect("ASCII in, ASCII out")
    }

    #[test]
    fn dots_are_stuffed_at_line_starts_only() {
        for (message, wire) in [
            ("", ".\r\n"),
            (".\r\n", "..\r\n.\r\n"),
            ("a.\r\n..b\r\n", "a.\r\n...b\r\n.\r\n"),
            ("no end", "no end\r\n.\r\n"),
            ("bare\n.lf\r\n", "bare\n.lf\r\n.\r\n"),
        ] {
            for step in 1..=message.len().max(1) {
                assert_eq!(encode(message, None, step), wire, "{message:?} in steps of {step}");
            }
        }
    }

    #[test]
    fn top_counts_the_lines_behind_the_empty_one() {
        let message = "A: 1\r\nB: 2\r\n\r\nx\r\n\r\n.y\r\n";
        for (lines, wire) in [
            (0, "A: 1\r\nB: 2\r\n\r\n.\r\n"),
            (1, "A: 1\r\nB: 2\r\n\r\nx\r\n.\r\n"),
            (2, "A: 1\r\nB: 2\r\n\r\nx\r\n\r\n.\r\n"),
            (3, "A: 1\r\nB: 2\r\n\r\nx\r\n\r\n..y\r\n.\r\n"),
            (9, "A: 1\r\nB: 2\r\n\r\nx\r\n\r\n..y\r\n.\r\n"),
        ] {
            for step in 1..=message.len() {
                assert_eq!(encode(message, Some(lines), step), wire, "{lines} lines in steps of {step}");
            }
        }
        for step in 1..=8 {
            assert_eq!(encode("\r\nbody\r\n", Some(0), step), "\r\n.\r\n");
        }
    }

    /// Feeds the octets in steps; what was decoded, and what stood behind the end.
    fn decode(wire: &[u8], step: usize) -> Option<(Vec<u8>, Vec<u8>)> {
        let (mut decoder, mut message, mut buffer) = (DataDecoder::new(), Vec::new(), Vec::new());
        for (number, piece) in wire.chunks(step).enumerate() {
            buffer.extend_from_slice(piece);
            let mut input = &buffer[..];
            while let Some(decoded) = decoder.next(&mut input) {
                match decoded {
                    Decoded::Chunk(chunk) => {
                        assert!(!chunk.is_empty());
                        message.extend_from_slice(chunk);
                    }
                    Decoded::End => {
                        let behind = wire.get((number + 1) * step..).unwrap_or_default();
                        return Some((message, [input, behind].concat()));
                    }
                }
            }
            assert!(input.len() <= 2, "hardly anything stays unread");
            let used = buffer.len() - input.len();
            buffer.drain(..used);
        }
        None
    }

    #[test]
    fn only_a_dot_between_two_crlf_ends_a_message() {
        // Every string of up to six of these octets, between two others, at every split.
        const OCTETS: [u8; 5] = *b"\r\n.\0x";
        for length in 1..=6_u32 {
            for number in 0..5_usize.pow(length) {
                let middle = (0..length).map(|digit| OCTETS[number / 5_usize.pow(digit) % 5]);
                let wire: Vec<u8> = [b'a'].into_iter().chain(middle).chain(*b"z").collect();
                let end = memmem::find(&wire, b"\r\n.\r\n");
                for step in 1..=wire.len() {
                    let found = decode(&wire, step);
                    assert_eq!(found.is_some(), end.is_some(), "{wire:?} in steps of {step}");
                    if let (Some((_, behind)), Some(end)) = (found, end) {
                        assert_eq!(behind, &wire[end + 5..], "{wire:?} in steps of {step}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_was_stuffed_comes_back() {
        for (wire, message) in [
            (".\r\n", ""),
            ("..\r\n.\r\n", ".\r\n"),
            ("...\r\n.\r\n", "..\r\n"),
            ("a.\r\n...b\r\n.\r\n", "a.\r\n..b\r\n"),
            ("\r\n\r\n.\r\n", "\r\n\r\n"),
            (".\rx\r\n.\r\n", "\rx\r\n"),
            ("bare\n.\r\nlf\r\n.\r\n", "bare\n.\r\nlf\r\n"),
            (".x\r\r\n.\r\n", "x\r\r\n"),
        ] {
            for step in 1..=wire.len() {
                let found = decode(format!("{wire}+OK").as_bytes(), step);
                let expected = Some((message.as_bytes().to_vec(), b"+OK".to_vec()));
                assert_eq!(found, expected, "{wire:?} in steps of {step}");
            }
        }
    }
}
