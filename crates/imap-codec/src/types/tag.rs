//! Tags.

use crate::error::Invalid;
use crate::types::string::is_astring_char;

/// What a client marks a command with, and the server repeats in its answer.
///
/// `tag = 1*<any ASTRING-CHAR except "+">`, [RFC 9051 §2.2.1](https://www.rfc-editor.org/rfc/rfc9051#section-2.2.1).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Tag<'a>(&'a str);

impl<'a> Tag<'a> {
    /// The longest tag that is taken, in octets. The RFC has no limit; clients use up to a dozen.
    pub const LONGEST: usize = 128;

    /// Takes what is a tag.
    pub fn new(text: &'a str) -> Result<Self, Invalid> {
        let valid = text.bytes().all(|octet| octet != b'+' && is_astring_char(octet));
        if valid && (1..=Self::LONGEST).contains(&text.len()) {
            Ok(Self(text))
        } else {
            Err(Invalid("a tag"))
        }
    }

    /// For octets that have been looked at.
    pub(crate) const fn trusted(text: &'a str) -> Self {
        Self(text)
    }

    /// The text.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}
