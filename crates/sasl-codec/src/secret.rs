//! Values that are wiped from memory when dropped, and never shown.

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize as _, Zeroizing};

use crate::error::Invalid;
use crate::prepare::{self, Unassigned};

/// A password: UTF-8 without NUL, 1 to 9,000 octets.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// A token of OAuth: visible ASCII, 1 to 8,192 octets.
#[derive(Clone)]
pub struct Token(Zeroizing<String>);

/// Random octets that a server keeps to itself, over restarts too: what it answers about names that do not exist follows
/// from them, and has to stay the same.
#[derive(Clone)]
pub struct ServerSecret(Zeroizing<[u8; 32]>);

/// What one side adds to an exchange of SCRAM so that no other is like it: `printable` of
/// [RFC 5802 §7](https://www.rfc-editor.org/rfc/rfc5802#section-7), 16 to 256 octets.
///
/// Each is used once: a nonce that comes again lets an exchange be replayed.
pub struct Nonce(String);

impl Password {
    /// Takes a password as it was typed.
    pub fn new(text: String) -> Result<Self, Invalid> {
        let text = Zeroizing::new(text);
        match text.len() {
            1..=9_000 if !text.contains('\0') => Ok(Self(text)),
            _ => Err(Invalid::new("password")),
        }
    }

    /// The password itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// In the form that is hashed.
    ///
    /// Deviates from RFC 5802 §5.1: a password that SASLprep prohibits is taken as it is. Servers and clients in use do
    /// the same, and a user could not tell why the password that was set is not taken.
    pub(crate) fn prepared(&self) -> Zeroizing<String> {
        match prepare::prepare(&self.0, Unassigned::Allowed) {
            Ok(text) => Zeroizing::new(text.into_owned()),
            Err(_) => self.0.clone(),
        }
    }
}

impl Token {
    /// Takes a token as it was issued.
    pub fn new(text: String) -> Result<Self, Invalid> {
        let text = Zeroizing::new(text);
        match text.len() {
            1..=8_192 if text.bytes().all(|octet| octet.is_ascii_graphic()) => Ok(Self(text)),
            _ => Err(Invalid::new("token")),
        }
    }

    /// The token itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl ServerSecret {
    /// Takes 32 random octets.
    pub fn new(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(random))
    }

    pub(crate) fn octets(&self) -> &[u8] {
        &*self.0
    }
}

impl Nonce {
    /// Makes one of 18 random octets.
    pub fn new(mut random: [u8; 18]) -> Self {
        let text = STANDARD.encode(random);
        random.zeroize();
        Self(text)
    }

    /// Takes one that was made elsewhere.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        match text.len() {
            16..=256 if is_nonce(text) => Ok(Self(text.to_owned())),
            _ => Err(Invalid::new("nonce")),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// `printable = %x21-2B / %x2D-7E`
pub(crate) fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic() && octet != b',')
}

macro_rules! hidden {
    ($($name:ident),*) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        })*
    };
}

hidden!(Password, Token, ServerSecret, Nonce);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!(
            "{:?} {:?} {:?} {:?}",
            Password::new("geheim".to_owned()).unwrap(),
            Token::new("geheim".to_owned()).unwrap(),
            ServerSecret::new([7; 32]),
            Nonce::new([7; 18]),
        );
        assert_eq!(shown, "Password(..) Token(..) ServerSecret(..) Nonce(..)");
    }

    #[test]
    fn what_cannot_be_sent_cannot_be_made() {
        for text in ["", "a\0b", &"a".repeat(9_001)] {
            assert!(Password::new(text.to_owned()).is_err());
        }
        for text in ["", "a b", "a\u{1}", "\u{e4}"] {
            assert!(Token::new(text.to_owned()).is_err());
        }
        for text in ["", "short", "0123456789,abcdef", "0123456789 abcdef", &"a".repeat(257)] {
            assert!(Nonce::parse(text).is_err());
        }
    }

    #[test]
    fn a_password_is_hashed_in_one_form_however_it_was_typed() {
        let form = |text: &str| Password::new(text.to_owned()).unwrap().prepared();
        assert_eq!(*form("I\u{ad}X"), *form("IX"));
        assert_eq!(*form("\u{2168}"), "IX");
        assert_eq!(*form("a\u{308}"), "\u{e4}");
        // Prohibited: as it is.
        assert_eq!(*form("\u{7}"), "\u{7}");
    }
}
