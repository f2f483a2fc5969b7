//! Multi-line responses: dot-stuffing, and where TOP ends.

use bytes::BufMut;
use memchr::memchr;

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
}
