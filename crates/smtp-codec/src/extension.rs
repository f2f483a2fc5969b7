//! The service extensions that EHLO announces.

use core::fmt;

use bytes::BufMut;

use crate::error::Invalid;
use crate::reply::{Reply, put_number};

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
    /// Header and addresses may have letters beyond ASCII. RFC 6531.
    SmtpUtf8,
    /// HELP is answered. RFC 5321 §4.1.1.8.
    Help,
    /// The mechanisms for logging in, parted by spaces. RFC 4954.
    Auth(Words<'a>),
    /// Any other keyword, with its parameters.
    Other(Words<'a>),
}

/// The words of a keyword line, as [`Extension::parse`] found them: printable ASCII.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Words<'a>(&'a str);

/// The name of a SASL mechanism ([RFC 4422 §3.1](https://www.rfc-editor.org/rfc/rfc4422#section-3.1)).
///
/// `sasl-mech = 1*20mech-char`: upper-case letters, digits, hyphen, underscore.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Mechanism {
    octets: [u8; 20],
    length: u8,
}

/// What a server announced in its reply to EHLO, as far as a client session uses it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Capabilities {
    pipelining: bool,
    size: Option<Option<u64>>,
    eight_bit_mime: bool,
    enhanced_status_codes: bool,
    starttls: bool,
    smtp_utf8: bool,
    mechanisms: Vec<Mechanism>,
}

impl Capabilities {
    /// Reads the whole reply; its first line is a greeting.
    pub fn parse(reply: &Reply) -> Self {
        let mut capabilities = Self::default();
        for line in reply.text().split('\n').skip(1) {
            match Extension::parse(line) {
                Ok(Extension::Pipelining) => capabilities.pipelining = true,
                Ok(Extension::Size(limit)) => capabilities.size = Some(limit),
                Ok(Extension::EightBitMime) => capabilities.eight_bit_mime = true,
                Ok(Extension::EnhancedStatusCodes) => capabilities.enhanced_status_codes = true,
                Ok(Extension::StartTls) => capabilities.starttls = true,
                Ok(Extension::SmtpUtf8) => capabilities.smtp_utf8 = true,
                Ok(Extension::Auth(names)) => {
                    let names = names.as_str().split_ascii_whitespace();
                    let known = names.filter_map(|name| Mechanism::parse(name.as_bytes()).ok());
                    capabilities.mechanisms = known.take(MAX_MECHANISMS).collect();
                }
                Ok(Extension::Help | Extension::Other(_)) | Err(_) => {}
            }
        }
        capabilities
    }

    /// Commands may be sent in groups.
    pub const fn pipelining(&self) -> bool {
        self.pipelining
    }

    /// The size of a message may be announced.
    pub const fn size(&self) -> bool {
        self.size.is_some()
    }

    /// The largest message in octets, if there is a fixed limit.
    pub const fn size_limit(&self) -> Option<u64> {
        match self.size {
            Some(limit) => limit,
            None => None,
        }
    }

    /// Bodies may hold octets above 127.
    pub const fn eight_bit_mime(&self) -> bool {
        self.eight_bit_mime
    }

    /// Replies carry enhanced status codes.
    pub const fn enhanced_status_codes(&self) -> bool {
        self.enhanced_status_codes
    }

    /// TLS can be started.
    pub const fn starttls(&self) -> bool {
        self.starttls
    }

    /// Header and addresses may have letters beyond ASCII ([RFC 6531](https://www.rfc-editor.org/rfc/rfc6531)).
    pub const fn smtp_utf8(&self) -> bool {
        self.smtp_utf8
    }

    /// The mechanisms for logging in.
    pub fn mechanisms(&self) -> &[Mechanism] {
        &self.mechanisms
    }
}

impl<'a> Extension<'a> {
    /// Reads one line of the reply, its code removed.
    pub fn parse(line: &'a str) -> Result<Self, Invalid> {
        if let Some(offset) = line.bytes().position(|octet| !matches!(octet, b' '..=b'~')) {
            return Err(Invalid { what: "extension", offset });
        }
        let line = line.trim();
        if line.is_empty() {
            return Err(Invalid { what: "extension", offset: 0 });
        }
        let (keyword, rest) = line.split_once(' ').unwrap_or((line, ""));
        let known = |name: &str| keyword.eq_ignore_ascii_case(name);
        Ok(if known("PIPELINING") {
            Self::Pipelining
        } else if known("SIZE") {
            Self::Size(rest.trim().parse().ok().filter(|limit| *limit != 0))
        } else if known("8BITMIME") {
            Self::EightBitMime
        } else if known("ENHANCEDSTATUSCODES") {
            Self::EnhancedStatusCodes
        } else if known("STARTTLS") {
            Self::StartTls
        } else if known("SMTPUTF8") {
            Self::SmtpUtf8
        } else if known("HELP") {
            Self::Help
        } else if known("AUTH") {
            Self::Auth(Words(rest.trim()))
        } else {
            Self::Other(Words(line))
        })
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
            Self::SmtpUtf8 => out.put_slice(b"SMTPUTF8"),
            Self::Help => out.put_slice(b"HELP"),
            Self::Auth(mechanisms) => {
                out.put_slice(b"AUTH ");
                out.put_slice(mechanisms.0.as_bytes());
            }
            Self::Other(line) => out.put_slice(line.0.as_bytes()),
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

impl<'a> Words<'a> {
    /// The mechanisms, as AUTH announces them.
    pub(crate) const fn of_mechanisms(names: &'a str) -> Self {
        Self(names)
    }

    /// The words, parted by spaces.
    pub const fn as_str(&self) -> &'a str {
        self.0
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

/// More names than there are mechanisms.
const MAX_MECHANISMS: usize = 32;

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
            "SMTPUTF8",
            "HELP",
            "AUTH PLAIN LOGIN",
            "X-OTHER a b",
        ] {
            let mut out = Vec::new();
            Extension::parse(line).expect(line).encode(&mut out);
            assert_eq!(out, line.as_bytes());
        }
        assert_eq!(Extension::parse("size 0"), Ok(Extension::Size(None)));
        assert!(Extension::parse("X-A\r\n250 ok").is_err());
    }

    #[test]
    fn mechanism_names_are_at_most_twenty_octets() {
        assert_eq!(Mechanism::parse(b"plain"), Ok(Mechanism::PLAIN));
        assert!(Mechanism::parse(b"").is_err());
        assert!(Mechanism::parse(b"PLAIN\r").is_err());
        assert!(Mechanism::parse(&[b'A'; 21]).is_err());
    }
}
