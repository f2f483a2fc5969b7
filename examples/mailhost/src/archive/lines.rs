//! Line ends as a message has to have them.

use memchr::memchr3_iter;

/// Turns octets into lines that end in CR LF, in pieces of any size.
///
/// LF alone and CR alone become CR LF. NUL, which no message may have (RFC 5322 §3.5), becomes the octet 128: what Dovecot
/// shows in its place, so that nothing changes for clients that have seen the message there.
#[derive(Debug, Default)]
pub(super) struct Lines {
    behind_cr: bool,
    /// How many LF stood alone, how many CR, and how many NUL there were.
    pub(super) lf: u64,
    pub(super) cr: u64,
    pub(super) nul: u64,
}

impl Lines {
    /// Adds what these octets become to `out`.
    pub(super) fn push(&mut self, octets: &[u8], out: &mut Vec<u8>) {
        if self.behind_cr && octets.first().is_some_and(|octet| *octet != b'\n') {
            self.end_cr(out);
        }
        let mut done = 0;
        for at in memchr3_iter(b'\r', b'\n', 0, octets) {
            let plain = &octets[done..at];
            if self.behind_cr && !plain.is_empty() {
                self.end_cr(out);
            }
            out.extend_from_slice(plain);
            done = at + 1;
            match octets[at] {
                b'\n' if self.behind_cr => {
                    out.push(b'\n');
                    self.behind_cr = false;
                }
                b'\n' => {
                    out.extend_from_slice(b"\r\n");
                    self.lf += 1;
                }
                octet => {
                    if self.behind_cr {
                        self.end_cr(out);
                    }
                    if octet == b'\r' {
                        out.push(b'\r');
                        self.behind_cr = true;
                    } else {
                        out.push(IN_PLACE_OF_NUL);
                        self.nul += 1;
                    }
                }
            }
        }
        if self.behind_cr && done < octets.len() {
            self.end_cr(out);
        }
        out.extend_from_slice(&octets[done..]);
    }

    /// There is no more.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if self.behind_cr {
            self.end_cr(out);
        }
    }

    fn end_cr(&mut self, out: &mut Vec<u8>) {
        out.push(b'\n');
        self.behind_cr = false;
        self.cr += 1;
    }
}

const IN_PLACE_OF_NUL: u8 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_in_crlf_whatever_the_pieces() {
        for (text, becomes, counts) in [
            ("", "", (0, 0, 0)),
            ("a\r\nb\r\n", "a\r\nb\r\n", (0, 0, 0)),
            ("a\nb\n", "a\r\nb\r\n", (2, 0, 0)),
            ("a\nb", "a\r\nb", (1, 0, 0)),
            ("a\rb\r", "a\r\nb\r\n", (0, 2, 0)),
            ("a\r\r\nb", "a\r\n\r\nb", (0, 1, 0)),
            ("\r\n\n\r", "\r\n\r\n\r\n", (1, 1, 0)),
            ("a\r\0\n", "a\r\n\u{1}\r\n", (1, 1, 1)),
        ] {
            for size in 1..=text.len().max(1) {
                let (mut lines, mut out) = (Lines::default(), Vec::new());
                text.as_bytes().chunks(size).for_each(|piece| lines.push(piece, &mut out));
                lines.finish(&mut out);
                let expected: Vec<u8> =
                    becomes.bytes().map(|octet| if octet == 1 { IN_PLACE_OF_NUL } else { octet }).collect();
                assert_eq!(out, expected, "{text:?} in pieces of {size}");
                assert_eq!((lines.lf, lines.cr, lines.nul), counts, "{text:?} in pieces of {size}");
            }
        }
    }
}
