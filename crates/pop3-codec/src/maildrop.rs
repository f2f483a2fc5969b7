//! What a session sees of a mailbox.

use core::fmt;

use crate::error::Invalid;

/// The messages of a mailbox as they were when the session began
/// ([RFC 1939 §5](https://www.rfc-editor.org/rfc/rfc1939#section-5)).
///
/// Indices start at 0 and run in the order of the message numbers. What it returns must not change while the session
/// lives.
pub trait Maildrop {
    /// How many messages there are.
    fn len(&self) -> usize;

    /// The size of a message in octets, dot-stuffing not counted.
    ///
    /// It should be what RETR sends, so a last line without CRLF counts with one where that is known. For a message that is sent
    /// as a surrogate it may be the size of either ([RFC 6858 §4](https://www.rfc-editor.org/rfc/rfc6858#section-4)).
    fn size(&self, index: usize) -> u64;

    /// The unique id of a message, the same in every session.
    fn unique_id(&self, index: usize) -> UniqueId;

    /// Whether there is no message.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What identifies a message across sessions: 1 to 70 octets of visible ASCII
/// ([RFC 1939 §7](https://www.rfc-editor.org/rfc/rfc1939#section-7)).
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct UniqueId {
    octets: [u8; 70],
    length: u8,
}

impl UniqueId {
    /// Takes the text if it may stand on the wire.
    pub fn new(text: &str) -> Result<Self, Invalid> {
        let bad = text.bytes().position(|octet| !octet.is_ascii_graphic());
        if bad.is_some() || text.is_empty() || text.len() > 70 {
            return Err(Invalid { what: "unique id", offset: bad.unwrap_or_else(|| text.len().min(70)) });
        }
        let mut octets = [0; 70];
        octets[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self { octets, length: text.len() as u8 })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.octets[..usize::from(self.length)]).expect("unique ids are ASCII")
    }
}

impl fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UniqueId({:?})", self.as_str())
    }
}
