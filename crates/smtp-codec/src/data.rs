//! The message behind DATA: finding its end, and dot-stuffing in both directions.

use bytes::BufMut;
use memchr::{memchr, memchr3};

use crate::error::Invalid;
use crate::limits::Limits;

/// Why a message is refused at its end, whatever it says.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// A CR without LF, an LF without CR, or a NUL.
    LineEnds,
    /// A line longer than [`Limits::body_line`].
    LineTooLong,
    /// More octets than [`Limits::message`].
    TooBig,
}

/// One step of a [`DataDecoder`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Data<'i> {
    /// The next octets of the message, dot-stuffing removed.
    Chunk(&'i [u8]),
    /// The line with the single dot has come.
    End,
}

/// Finds the end of a message and removes dot-stuffing, without copying
/// ([RFC 5321 §4.5.2](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.2)).
///
/// Only CR LF `.` CR LF ends a message, or `.` CR LF straight after DATA. On a fault it goes on to that end without
/// giving out more octets, so that the session never takes the rest of a message for commands.
#[derive(Debug)]
pub struct DataDecoder {
    body_line: u64,
    message: u64,
    at_line_start: bool,
    line: u64,
    octets: u64,
    fault: Option<Fault>,
}

impl DataDecoder {
    /// Ready for the first octet behind DATA.
    pub const fn new(limits: &Limits) -> Self {
        Self {
            body_line: limits.body_line,
            message: limits.message,
            at_line_start: true,
            line: 0,
            octets: 0,
            fault: None,
        }
    }

    /// How many octets have been given out: the size of the message once the end has come without a fault.
    pub const fn octets(&self) -> u64 {
        self.octets
    }

    /// What is wrong with the message, if anything was so far.
    pub const fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Moves `input` past what it used; `None` when more is needed. At most four octets then stay unread.
    pub fn next<'i>(&mut self, input: &mut &'i [u8]) -> Option<Data<'i>> {
        loop {
            let unread = *input;
            if self.at_line_start {
                match unread {
                    [b'.', b'\r', b'\n', rest @ ..] => {
                        *input = rest;
                        return Some(Data::End);
                    }
                    [] | [b'.'] | [b'.', b'\r'] => return None,
                    [b'.', rest @ ..] => {
                        self.at_line_start = false;
                        *input = rest;
                        continue;
                    }
                    _ => {}
                }
            }
            if self.fault.is_some() {
                if self.skip(input) {
                    continue;
                }
                return None;
            }
            let end = self.scan(unread);
            if end == 0 && self.fault.is_none() {
                return None;
            }
            *input = &unread[end..];
            let chunk = self.within_size(&unread[..end]);
            if !chunk.is_empty() {
                self.octets += chunk.len() as u64;
                return Some(Data::Chunk(chunk));
            }
        }
    }

    /// How far `octets` can be given out as they are: to a dot at a line start, to a CR whose LF may be yet to come,
    /// or to a fault.
    fn scan(&mut self, octets: &[u8]) -> usize {
        let mut at = 0;
        loop {
            if self.at_line_start && octets.get(at) == Some(&b'.') {
                return at;
            }
            let run = memchr3(b'\r', b'\n', 0, &octets[at..]).unwrap_or(octets.len() - at);
            if run > 0 {
                // Before the cut below: a dot that follows it is within the line, and must not end the message.
                self.at_line_start = false;
            }
            let room = self.body_line - self.line;
            if run as u64 > room {
                self.fault = Some(Fault::LineTooLong);
                // `room` is less than `run`, which is a usize.
                return at + room as usize;
            }
            self.line += run as u64;
            at += run;
            match octets[at..] {
                [] | [b'\r'] => return at,
                [b'\r', b'\n', ..] => {
                    at += 2;
                    self.line = 0;
                    self.at_line_start = true;
                }
                // RFC 5321 §2.3.8: CR and LF MUST NOT be sent but as CRLF. RFC 5321 §4.1.1.4: LF.LF ends nothing.
                _ => {
                    self.fault = Some(Fault::LineEnds);
                    return at;
                }
            }
        }
    }

    /// After a fault: moves to the next line start. False when more input is needed.
    fn skip(&mut self, input: &mut &[u8]) -> bool {
        loop {
            let Some(at) = memchr(b'\r', input) else {
                self.at_line_start &= input.is_empty();
                *input = &[];
                return false;
            };
            if at > 0 {
                self.at_line_start = false;
            }
            *input = &input[at..];
            match input {
                [b'\r', b'\n', rest @ ..] => {
                    *input = rest;
                    self.at_line_start = true;
                    return true;
                }
                [b'\r'] => return false,
                _ => {
                    self.at_line_start = false;
                    *input = &input[1..];
                }
            }
        }
    }

    /// Cuts what is over the size limit, so that the octets given out do not depend on how the input came in pieces.
    fn within_size<'i>(&mut self, chunk: &'i [u8]) -> &'i [u8] {
        let room = self.message - self.octets;
        if chunk.len() as u64 <= room {
            return chunk;
        }
        // The octets beyond the limit came before whatever else is wrong in this chunk.
        self.fault = Some(Fault::TooBig);
        &chunk[..room as usize]
    }
}

/// Adds dot-stuffing and the final dot ([RFC 5321 §4.5.2](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.2)).
///
/// It refuses a bare CR, a bare LF and NUL: what it wrote can never be taken for two messages.
#[derive(Debug)]
pub struct DataEncoder {
    at_line_start: bool,
    held_cr: bool,
    octets: u64,
}

impl DataEncoder {
    /// Ready for the first octet of a message.
    pub const fn new() -> Self {
        Self { at_line_start: true, held_cr: false, octets: 0 }
    }

    /// Writes the next octets. After an error nothing more of this message may be sent, and the connection has to go.
    pub fn write(&mut self, chunk: &[u8], out: &mut impl BufMut) -> Result<(), Invalid> {
        let mut rest = chunk;
        loop {
            let offset = chunk.len() - rest.len();
            let error = Invalid { what: "line end in the message", offset };
            if self.held_cr {
                match rest.first() {
                    None => break,
                    Some(b'\n') => {
                        out.put_slice(b"\r\n");
                        rest = &rest[1..];
                        self.held_cr = false;
                        self.at_line_start = true;
                    }
                    Some(_) => return Err(error),
                }
                continue;
            }
            if self.at_line_start && rest.first() == Some(&b'.') {
                out.put_u8(b'.');
            }
            let run = memchr3(b'\r', b'\n', 0, rest).unwrap_or(rest.len());
            out.put_slice(&rest[..run]);
            if run > 0 {
                self.at_line_start = false;
            }
            match rest.get(run) {
                None => break,
                Some(b'\r') => self.held_cr = true,
                Some(_) => return Err(Invalid { offset: offset + run, ..error }),
            }
            rest = &rest[run + 1..];
        }
        self.octets += chunk.len() as u64;
        Ok(())
    }

    /// Writes the end. A last line without CRLF gets one, since there is no other way to send it.
    pub fn finish(self, out: &mut impl BufMut) -> Result<(), Invalid> {
        if self.held_cr {
            return Err(Invalid { what: "line end in the message", offset: 0 });
        }
        out.put_slice(if self.at_line_start { b".\r\n" } else { b"\r\n.\r\n" });
        Ok(())
    }

    /// How many octets of the message it has taken.
    pub const fn octets(&self) -> u64 {
        self.octets
    }
}

impl Default for DataEncoder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What came out, the fault, and what was left after the end; `None` where the end did not come.
    type Decoded = Option<(Vec<u8>, Option<Fault>, Vec<u8>)>;

    fn decode(limits: &Limits, octets: &[u8], step: usize) -> Decoded {
        let mut decoder = DataDecoder::new(limits);
        let (mut body, mut buffer) = (Vec::new(), Vec::new());
        for (index, piece) in octets.chunks(step.max(1)).enumerate() {
            buffer.extend_from_slice(piece);
            let mut input = &buffer[..];
            while let Some(data) = decoder.next(&mut input) {
                match data {
                    Data::Chunk(chunk) => body.extend_from_slice(chunk),
                    Data::End => {
                        let mut left = input.to_vec();
                        left.extend(octets.chunks(step.max(1)).skip(index + 1).flatten());
                        assert!(decoder.fault().is_some() || decoder.octets() == body.len() as u64);
                        return Some((body, decoder.fault(), left));
                    }
                }
            }
            assert!(input.len() <= 4, "hardly anything stays unread");
            let used = buffer.len() - input.len();
            buffer.drain(..used);
        }
        None
    }

    fn decode_every_way(limits: &Limits, octets: &[u8]) -> Decoded {
        let whole = decode(limits, octets, octets.len());
        for step in 1..octets.len() {
            assert_eq!(decode(limits, octets, step), whole, "in steps of {step}: {octets:?}");
        }
        whole
    }

    #[test]
    fn dots_are_unstuffed_and_the_end_found() {
        for (wire, body, left) in [
            (".\r\nQUIT\r\n", "", "QUIT\r\n"),
            ("a\r\n.\r\n", "a\r\n", ""),
            ("..x\r\n.\r\n", ".x\r\n", ""),
            ("a\r\n..\r\n...\r\n.b\r\n.\r\nX", "a\r\n.\r\n..\r\nb\r\n", "X"),
            ("\r\n\r\n.\r\n", "\r\n\r\n", ""),
        ] {
            let expected = Some((body.into(), None, left.into()));
            assert_eq!(decode_every_way(&Limits::default(), wire.as_bytes()), expected, "{wire:?}");
        }
    }

    // Ledger: 5321-4.1.1.4-3
    #[test]
    fn bare_line_ends_end_nothing_and_are_faults() {
        for (wire, before) in [
            ("a\n.\nb\r\n.\r\n", "a"),
            ("a\r.\rb\r\n.\r\n", "a"),
            ("a\r\n.\nb\r\n.\r\n", "a\r\n"),
            ("a\r\n.\r\r\nb\r\n.\r\n", "a\r\n"),
            ("a\n.\r\nb\r\n.\r\n", "a"),
            ("a\0b\r\n.\r\n", "a"),
            ("\n\r\n.\r\n", ""),
            ("\r\r\n.\r\n", ""),
        ] {
            let expected = Some((before.into(), Some(Fault::LineEnds), Vec::new()));
            assert_eq!(decode_every_way(&Limits::default(), wire.as_bytes()), expected, "{wire:?}");
        }
    }

    #[test]
    fn limits_cut_at_the_same_octet_however_the_input_comes() {
        let long = Limits { body_line: 4, ..Limits::default() };
        let expected = |body: &str, fault| Some((body.into(), Some(fault), b"X".to_vec()));
        assert_eq!(
            decode_every_way(&long, b"abcd\r\nabcde\r\n.\r\nX"),
            expected("abcd\r\nabcd", Fault::LineTooLong)
        );
        // A line that is cut at the limit went on with ".", which then ended the message.
        assert_eq!(decode_every_way(&long, b"abcd.\r\nMAIL\r\n.\r\nX"), expected("abcd", Fault::LineTooLong));
        assert_eq!(decode_every_way(&long, b"a\0cdefgh\r\n.\r\nX"), expected("a", Fault::LineEnds));
        let big = Limits { message: 5, ..Limits::default() };
        assert_eq!(decode_every_way(&big, b"abcd\r\nab\0\r\n.\r\nX"), expected("abcd\r", Fault::TooBig));
        assert_eq!(
            decode_every_way(&big, b"abc\r\n.\r\nX"),
            Some((b"abc\r\n".to_vec(), None, b"X".to_vec()))
        );
    }

    // Ledger: 5321-4.1.1.4-1, 5321-4.5.2-1
    #[test]
    fn encoding_and_decoding_give_the_message_back() {
        for message in ["", ".\r\n", "a\r\n..\r\n.b\r\n", "\r\n", "x.\r\n.y.\r\n"] {
            for step in 1..=message.len().max(1) {
                let (mut encoder, mut wire) = (DataEncoder::new(), Vec::new());
                for piece in message.as_bytes().chunks(step) {
                    encoder.write(piece, &mut wire).expect("line ends are fine");
                }
                encoder.finish(&mut wire).expect("line ends are fine");
                let expected = Some((message.into(), None, Vec::new()));
                assert_eq!(decode(&Limits::default(), &wire, wire.len()), expected, "{message:?}");
            }
        }
    }

    // Ledger: 5321-2.3.8-2
    #[test]
    fn the_encoder_never_sends_a_bare_line_end() {
        for message in ["a\nb", "a\rb", "a\0b", "\n", "a\r"] {
            for step in 1..=message.len() {
                let (mut encoder, mut wire) = (DataEncoder::new(), Vec::new());
                let written =
                    message.as_bytes().chunks(step).try_for_each(|piece| encoder.write(piece, &mut wire));
                assert!(written.and_then(|()| encoder.finish(&mut wire)).is_err(), "{message:?}");
                assert!(!wire.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)), "{message:?}");
            }
        }
    }
}
