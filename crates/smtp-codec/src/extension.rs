//! The service extensions that EHLO announces.

use core::fmt;

use bytes::BufMut;

use crate::error::Invalid;
use crate::reply::put_number;

/// One keyword line of the reply to EHLO ([RFC 5321 §4.1.1.1](https://www.rfc-editor.org/rfc/rfc5321#section-4.1.1.1)).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Extension<'a> {
    /// Commands may be sent in groups. RFC 2920.
    Pipelining,
    /// The largest message in octets; `None` or zero for no fixed limit. RFC 1870.
    Size(Option<u64>),
    /// Bodies with octets above 127. RFC 6152.
    EightBitMime,
    /// Replies carry enhanced status codes. RFC 2034.
    EnhancedStatusCodes,
    /// TLS can be started. RFC 3207.
    StartTls,
    /// The mechanisms for logging in, parted by spaces. RFC 4954.
    Auth(&'a str),
    /// Any other keyword, with its parameters.
    Other(&'a str),
}

/// The name of a SASL mechanism ([RFC 4422 §3.1](https://www.rfc-editor.org/rfc/rfc4422#section-3.1)).
///
/// `sasl-mech = 1*20mech-char`: upper-case letters, digits, hyphen, underscore.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Mechanism {
    octets: [u8; 20],
    length: u8,
}

impl<'a> Extension<'a> {
    /// Reads one line of the reply, its code removed.
    pub fn parse(line: &'a str) -> Self {
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        let known = |name: &str| keyword.eq_ignore_ascii_case(name);
        if known("PIPELINING") {
            Self::Pipelining
        } else if known("SIZE") {
            Self::Size(rest.trim().parse().ok().filter(|limit| *limit != 0))
        } else if known("8BITMIME") {
            Self::EightBitMime
        } else if known("ENHANCEDSTATUSCODES") {
            Self::EnhancedStatusCodes
        } else if known("STARTTLS") {
            Self::StartTls
        } else if known("AUTH") {
            Self::Auth(rest.trim())
        } else {
            Self::Other(line)
        }
    }

    /// Writes keyword and parameters.
    pub fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::Pipelining => out.put_slice(b"PIPELINING"),
            Self::Size(limit) => {
                out.put_slice(b"SIZE");
                if let Some(limit) = limit {
                    out.put_u8(b' ');
                    put_number(*limit, out);
                }
            }
            Self::EightBitMime => out.put_slice(b"8BITMIME"),
            Self::EnhancedStatusCodes => out.put_slice(b"ENHANCEDSTATUSCODES"),
            Self::StartTls => out.put_slice(b"STARTTLS"),
            Self::Auth(mechanisms) => {
                out.put_slice(b"AUTH ");
                out.put_slice(mechanisms.as_bytes());
            }
            Self::Other(line) => out.put_slice(line.as_bytes()),
        }
    }
}

impl Mechanism {
    /// User name and password in one message, RFC 4616.
    pub const PLAIN: Self = Self::fixed("PLAIN");
    /// User name and password in two messages; never standardised, still in use.
    pub const LOGIN: Self = Self::fixed("LOGIN");

    /// Takes a name in any case.
    pub fn parse(name: &[u8]) -> Result<Self, Invalid> {
        let bad =
            name.iter().position(|octet| !octet.is_ascii_alphanumeric() && !matches!(octet, b'-' | b'_'));
        match bad {
            Some(offset) => Err(Invalid { what: "mechanism", offset }),
            None if name.is_empty() || name.len() > 20 => {
                Err(Invalid { what: "mechanism", offset: name.len().min(20) })
            }
            None => {
                let mut octets = [0; 20];
                octets[..name.len()].copy_from_slice(name);
                octets.make_ascii_uppercase();
                Ok(Self { octets, length: name.len() as u8 })
            }
        }
    }

    const fn fixed(name: &str) -> Self {
        let (mut octets, mut at) = ([0; 20], 0);
        while at < name.len() {
            octets[at] = name.as_bytes()[at];
            at += 1;
        }
        Self { octets, length: name.len() as u8 }
    }

    /// The name in upper case.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.octets[..usize::from(self.length)]).expect("mechanism names are ASCII")
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mechanism({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_read_back_as_written() {
        for line in [
            "PIPELINING",
            "SIZE 1000",
            "SIZE",
            "8BITMIME",
            "ENHANCEDSTATUSCODES",
            "STARTTLS",
            "AUTH PLAIN LOGIN",
            "X-OTHER a b",
        ] {
            let mut out = Vec::new();
            Extension::parse(line).encode(&mut out);
            assert_eq!(out, line.as_bytes());
        }
        assert_eq!(Extension::parse("size 0"), Extension::Size(None));
    }

    #[test]
    fn mechanism_names_are_at_most_twenty_octets() {
        assert_eq!(Mechanism::parse(b"plain"), Ok(Mechanism::PLAIN));
        assert!(Mechanism::parse(b"").is_err());
        assert!(Mechanism::parse(b"PLAIN\r").is_err());
        assert!(Mechanism::parse(&[b'A'; 21]).is_err());
    }
}
