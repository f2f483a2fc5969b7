//! Transfer encodings, undone as octets come.

use super::field::hex;

/// What Content-Transfer-Encoding says: [RFC 2045 §6](https://www.rfc-editor.org/rfc/rfc2045#section-6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// `7bit`, `8bit`, `binary`, or no field: the octets are what they are.
    Identity,
    /// `base64`
    Base64,
    /// `quoted-printable`
    QuotedPrintable,
    /// Anything else.
    Unknown,
}

impl Encoding {
    /// The encoding of this name.
    pub(crate) fn named(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name {
            _ if name.is_empty() || is("7bit") || is("8bit") || is("binary") => Self::Identity,
            _ if is("base64") => Self::Base64,
            _ if is("quoted-printable") => Self::QuotedPrintable,
            _ => Self::Unknown,
        }
    }

    /// What undoes it. `None` for one that is not known: IMAP says `UNKNOWN-CTE`
    /// ([RFC 9051 §6.4.5](https://www.rfc-editor.org/rfc/rfc9051#section-6.4.5)).
    pub const fn decoder(self) -> Option<Decoder> {
        let state = match self {
            Self::Identity => State::Identity,
            Self::Base64 => State::Base64 { bits: 0, count: 0 },
            Self::QuotedPrintable => State::Quoted(Quoted::Text),
            Self::Unknown => return None,
        };
        Some(Decoder { state, held: Vec::new() })
    }
}

/// Undoes a transfer encoding, in any pieces. What comes out is never longer than what went in.
///
/// Whatever is not as it should be is read over ([RFC 2045 §6.8](https://www.rfc-editor.org/rfc/rfc2045#section-6.8))
/// or left as it stands ([§6.7](https://www.rfc-editor.org/rfc/rfc2045#section-6.7)): there are no errors.
#[derive(Clone, Debug)]
pub struct Decoder {
    state: State,
    /// White space that may turn out to stand at the end of a line; with a soft line break, its `=` too.
    held: Vec<u8>,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Identity,
    Base64 { bits: u32, count: u8 },
    Quoted(Quoted),
}

#[derive(Clone, Copy, Debug)]
enum Quoted {
    Text,
    /// Behind white space.
    Space,
    /// Behind `=`, and perhaps white space.
    Equals,
    /// Behind `=` and a hexadecimal digit.
    High(u8),
    /// Behind a CR that ends a soft line break if a LF comes.
    SoftReturn,
    /// Behind a CR that ends a line if a LF comes.
    Return,
}

impl Decoder {
    /// Takes octets and appends what they stand for.
    pub fn push(&mut self, input: &[u8], out: &mut Vec<u8>) {
        match &mut self.state {
            State::Identity => out.extend_from_slice(input),
            State::Base64 { bits, count } => {
                out.reserve(input.len() / 4 * 3 + 3);
                for &octet in input {
                    let value = BASE64[usize::from(octet)];
                    if value < 64 {
                        *bits = *bits << 6 | u32::from(value);
                        *count += 1;
                        if *count == 4 {
                            out.extend_from_slice(&bits.to_be_bytes()[1..]);
                            (*bits, *count) = (0, 0);
                        }
                    } else if octet == b'=' {
                        // RFC 2045 §6.8: the end, but where encoded pieces were put together it goes on.
                        rest(bits, count, out);
                    }
                }
            }
            State::Quoted(state) => {
                for &octet in input {
                    *state = quoted(*state, octet, &mut self.held, out);
                }
            }
        }
    }

    /// What is still to come at the end.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.state {
            State::Identity => {}
            State::Base64 { bits, count } => rest(bits, count, out),
            State::Quoted(state) => {
                match *state {
                    Quoted::High(digit) => out.extend_from_slice(&[b'=', digit]),
                    Quoted::Return => out.push(b'\r'),
                    // RFC 2045 §6.7: white space at the end of a line was put there on the way, and `=` joins nothing.
                    Quoted::Text | Quoted::Space | Quoted::Equals | Quoted::SoftReturn => {}
                }
                self.held.clear();
                *state = Quoted::Text;
            }
        }
    }
}

/// Two or three digits of base64 stand for one or two octets.
fn rest(bits: &mut u32, count: &mut u8, out: &mut Vec<u8>) {
    match *count {
        2 => out.push((*bits >> 4) as u8),
        3 => out.extend_from_slice(&((*bits >> 2) as u16).to_be_bytes()),
        _ => {}
    }
    (*bits, *count) = (0, 0);
}

fn quoted(state: Quoted, octet: u8, held: &mut Vec<u8>, out: &mut Vec<u8>) -> Quoted {
    match state {
        Quoted::Text | Quoted::Space => match octet {
            b' ' | b'\t' => {
                if held.len() >= MAX_HELD {
                    out.append(held);
                }
                held.push(octet);
                return Quoted::Space;
            }
            b'\r' => return Quoted::Return,
            b'\n' => {
                held.clear();
                out.push(octet);
            }
            b'=' => {
                out.append(held);
                held.push(octet);
                return Quoted::Equals;
            }
            octet => {
                out.append(held);
                out.push(octet);
            }
        },
        Quoted::Return if octet == b'\n' => {
            held.clear();
            out.extend_from_slice(b"\r\n");
        }
        Quoted::Return => {
            out.append(held);
            out.push(b'\r');
            return quoted(Quoted::Text, octet, held, out);
        }
        Quoted::Equals => match octet {
            b'\r' => return Quoted::SoftReturn,
            b'\n' => held.clear(),
            b' ' | b'\t' if held.len() < MAX_HELD => {
                held.push(octet);
                return Quoted::Equals;
            }
            octet if held.len() == 1 && hex(octet).is_some() => {
                held.clear();
                return Quoted::High(octet);
            }
            octet => {
                out.append(held);
                return quoted(Quoted::Text, octet, held, out);
            }
        },
        Quoted::SoftReturn if octet == b'\n' => held.clear(),
        Quoted::SoftReturn => {
            out.append(held);
            out.push(b'\r');
            return quoted(Quoted::Text, octet, held, out);
        }
        Quoted::High(digit) => match (hex(digit), hex(octet)) {
            (Some(high), Some(low)) => out.push(high << 4 | low),
            _ => {
                out.extend_from_slice(&[b'=', digit]);
                return quoted(Quoted::Text, octet, held, out);
            }
        },
    }
    Quoted::Text
}

/// White space that is held back for as long as it may end a line. RFC 2045 §6.7: a line has 76 characters.
const MAX_HELD: usize = 1_024;

/// The digits of base64; 255 for what is none.
const BASE64: [u8; 256] = {
    let mut table = [255; 256];
    let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut at = 0;
    while at < digits.len() {
        table[digits[at] as usize] = at as u8;
        at += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(encoding: Encoding, input: &[u8]) -> Vec<u8> {
        let mut decoder = encoding.decoder().expect("it is known");
        let mut whole = Vec::new();
        decoder.push(input, &mut whole);
        decoder.finish(&mut whole);
        let (mut decoder, mut bytewise) = (encoding.decoder().expect("it is known"), Vec::new());
        for octet in input {
            decoder.push(&[*octet], &mut bytewise);
        }
        decoder.finish(&mut bytewise);
        assert_eq!(whole, bytewise);
        assert!(whole.len() <= input.len(), "{input:?}");
        whole
    }

    #[test]
    fn base64_is_read_over_what_is_none() {
        for (input, output) in [
            ("", ""),
            ("aGVsbG8=", "hello"),
            ("aGVs\r\nbG8", "hello"),
            ("aG*Vs b!G8=", "hello"),
            ("aA==aQ==", "hi"),
            ("aGk=\r\nYQ==", "hia"),
            ("a", ""),
            ("=====", ""),
            ("aGVsbG8h", "hello!"),
        ] {
            assert_eq!(decode(Encoding::Base64, input.as_bytes()), output.as_bytes(), "{input}");
        }
        assert_eq!(decode(Encoding::Base64, b"/+8="), [0xff, 0xef]);
    }

    #[test]
    fn quoted_printable_keeps_what_makes_no_sense() {
        for (input, output) in [
            ("", ""),
            ("a=3Db", "a=b"),
            ("a=3db=C3=A4", "a=b\u{e4}"),
            ("soft=\r\nbreak=  \r\nand=\nbare", "softbreakandbare"),
            ("trailing \t\r\nspace ", "trailing\r\nspace"),
            ("a  b", "a  b"),
            ("=", ""),
            ("a=4", "a=4"),
            ("=4x==41", "=4x=A"),
            ("=x= 41= x", "=x= 41= x"),
            ("=\rx\r\r\n", "=\rx\r\r\n"),
            ("end\r", "end\r"),
            (" \rx", " \rx"),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&decode(Encoding::QuotedPrintable, input.as_bytes())),
                output,
                "{input:?}"
            );
        }
        let spaces = " ".repeat(3_000);
        let line = format!("a{spaces}b");
        assert_eq!(decode(Encoding::QuotedPrintable, line.as_bytes()), line.as_bytes());
        let line = format!("={spaces}41");
        assert_eq!(decode(Encoding::QuotedPrintable, line.as_bytes()), line.as_bytes());
    }

    #[test]
    fn an_encoding_has_a_name_in_any_case() {
        for (name, encoding) in [
            ("BASE64", Encoding::Base64),
            ("Quoted-Printable", Encoding::QuotedPrintable),
            ("8BIT", Encoding::Identity),
            ("", Encoding::Identity),
            ("x-uuencode", Encoding::Unknown),
        ] {
            assert_eq!(Encoding::named(name.as_bytes()), encoding);
        }
        assert!(Encoding::Unknown.decoder().is_none());
    }
}
