//! The only code that looks for the end of a command or reply line.

use memchr::memchr;

/// Why a line is not one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum LineError<'i> {
    /// It ended in LF without CR; the line without it.
    BareLf(&'i [u8]),
    /// It was longer than the limit; all of it has been swallowed.
    TooLong,
}

/// Finds lines in the caller's buffer, without a buffer of its own.
#[derive(Debug, Default)]
pub(crate) struct LineReader {
    /// Octets of the unread input that are known to hold no LF.
    scanned: usize,
    /// Within a line that is too long, of which nothing is kept.
    swallowing: bool,
}

impl LineReader {
    /// Whether a line has begun whose end has not come yet.
    pub(crate) const fn is_inside(&self) -> bool {
        self.scanned > 0 || self.swallowing
    }

    /// Whether the unread input goes on with a line that is too long.
    pub(crate) const fn is_swallowing(&self) -> bool {
        self.swallowing
    }

    /// Takes one line from `input`, its CRLF removed; `None` when its end has not come yet.
    ///
    /// Unless `limit` octets have come without an end, unfinished input stays unread.
    pub(crate) fn next<'i>(
        &mut self,
        input: &mut &'i [u8],
        limit: usize,
    ) -> Option<Result<&'i [u8], LineError<'i>>> {
        let unread = *input;
        let from = self.scanned.min(unread.len());
        let Some(at) = memchr(b'\n', &unread[from..]) else {
            self.scanned = unread.len();
            if self.swallowing || unread.len() >= limit {
                *input = &[];
                self.scanned = 0;
                self.swallowing = true;
            }
            return None;
        };
        let end = from + at;
        *input = &unread[end + 1..];
        self.scanned = 0;
        if core::mem::take(&mut self.swallowing) || end + 1 > limit {
            return Some(Err(LineError::TooLong));
        }
        Some(match unread[..end].strip_suffix(b"\r") {
            Some(line) => Ok(line),
            None => Err(LineError::BareLf(&unread[..end])),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(octets: &[u8], step: usize) -> Vec<Result<Vec<u8>, &'static str>> {
        let (mut reader, mut found, mut buffer) = (LineReader::default(), Vec::new(), Vec::new());
        for piece in octets.chunks(step) {
            buffer.extend_from_slice(piece);
            let mut input = &buffer[..];
            while let Some(line) = reader.next(&mut input, 8) {
                found.push(line.map(<[u8]>::to_vec).map_err(|error| match error {
                    LineError::BareLf(_) => "bare LF",
                    LineError::TooLong => "too long",
                }));
            }
            assert!(input.len() < 8, "unread input stays below the limit");
            let used = buffer.len() - input.len();
            buffer.drain(..used);
        }
        found
    }

    #[test]
    fn a_line_that_is_too_long_is_swallowed_and_the_next_one_found() {
        let octets = b"123456\r\n1234567\r\n12345678901234567890\r\nok\r\nbad\n\r\n";
        let expected = [
            Ok(b"123456".to_vec()),
            Err("too long"),
            Err("too long"),
            Ok(b"ok".to_vec()),
            Err("bare LF"),
            Ok(Vec::new()),
        ];
        for step in 1..=octets.len() {
            assert_eq!(lines(octets, step), expected, "in steps of {step}");
        }
    }
}
