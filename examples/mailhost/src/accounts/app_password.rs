//! Passwords for one device or program each, beside the one that a person knows.
//!
//! They are 125 random bits, so that nobody guesses them, and SHA-256 is enough for what is stored of them: it costs next to nothing,
//! whereas the slow hash of a password is there for what people think up. A login looks for an app password first, with the same work
//! for every name, and pays for the slow hash if there is none. So whether a name exists, and how many app passwords it has, shows
//! in no failure.

use sasl_codec::scram::Verifier;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};

use super::ChangeError;
use crate::auth::{HashError, Password, Secrets};

/// What is stored of an app password.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AppPassword {
    /// What its owner calls it.
    pub name: String,
    /// The digest, in hexadecimal.
    pub digest: String,
    /// The keys for SCRAM, for logins that name it.
    #[serde(default)]
    pub scram: Vec<String>,
    /// When it was made, in seconds of Unix.
    pub made: i64,
    /// The day of its last use, in days of Unix; `None` for one that was never used.
    #[serde(default)]
    pub last_used: Option<i64>,
}

/// An app password that has just been made, and what is to be stored of it.
#[derive(Debug)]
pub struct Made {
    /// The password, which is shown once.
    pub password: Password,
    /// Its digest, in hexadecimal.
    pub digest: String,
    /// The keys for SCRAM.
    pub scram: Vec<String>,
}

impl Made {
    /// Makes one. Takes a while: not for an async thread.
    pub fn new() -> Result<Self, HashError> {
        let password = Password::generate()?;
        let scram = Secrets::scram(&password)?.iter().map(Verifier::encode).collect();
        Ok(Self { digest: AppPassword::digest_text(&password), scram, password })
    }
}

/// SHA-256 of an app password.
pub type Digest = [u8; 32];

impl AppPassword {
    /// The digest of a password that may be one, as [`Self::digest`] has it.
    pub fn digest_text(password: &Password) -> String {
        digest(password).iter().map(|octet| format!("{octet:02x}")).collect()
    }

    pub(super) fn octets(&self) -> Option<Digest> {
        parse(&self.digest)
    }

    /// Refuses what cannot be the name of one.
    pub(super) fn check_name(name: &str) -> Result<(), ChangeError> {
        let good = |octet: u8| octet.is_ascii_alphanumeric() || b"-_.".contains(&octet);
        if (1..=32).contains(&name.len()) && name.bytes().all(good) {
            Ok(())
        } else {
            Err(ChangeError::BadAppName(name.to_owned()))
        }
    }
}

/// The digest that stands for a password.
pub fn digest(password: &Password) -> Digest {
    let mut hash = Sha256::new();
    // Digests of other things are none of these.
    hash.update(b"postrider app password\0");
    hash.update(password.expose().as_bytes());
    hash.finalize().into()
}

pub(super) fn parse(text: &str) -> Option<Digest> {
    let mut octets = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, octet) in octets.iter_mut().enumerate() {
        *octet = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(octets)
}

/// Which of these it is: the same work whatever it is, and however many they are.
pub(super) fn find<'a>(all: &'a [(String, Digest)], digest: &Digest) -> Option<&'a str> {
    let mut found = u32::MAX;
    for at in 0..MOST {
        let (there, candidate) = all.get(at).map_or((0, &[0; 32]), |(_, candidate)| (1, candidate));
        let same = candidate.ct_eq(digest) & Choice::from(there);
        found.conditional_assign(&(at as u32), same);
    }
    all.get(found as usize).map(|(name, _)| name.as_str())
}

/// So many may an account have.
pub const MOST: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_found_by_its_password_alone() {
        let passwords: Vec<_> = (0..MOST).map(|_| Password::generate().unwrap()).collect();
        let all: Vec<_> =
            passwords.iter().enumerate().map(|(at, word)| (format!("n{at}"), digest(word))).collect();
        for (at, word) in passwords.iter().enumerate() {
            assert_eq!(find(&all, &digest(word)), Some(&*format!("n{at}")));
            assert_eq!(find(&all[..at], &digest(word)), None, "one that was taken away");
        }
        assert_eq!(find(&all, &digest(&Password::generate().unwrap())), None);
        assert_eq!(find(&[], &[0; 32]), None, "what stands for none is none");
    }

    #[test]
    fn digests_are_read_back_and_nothing_else_is() {
        let word = Password::generate().unwrap();
        let text = AppPassword::digest_text(&word);
        assert_eq!(parse(&text), Some(digest(&word)));
        for bad in
            ["", "00", &text[1..], &format!("{text}0"), &text.replacen(&text[..1], "g", 1), &"é".repeat(32)]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn names_are_words() {
        for good in ["phone", "laptop-2", "a", &"x".repeat(32)] {
            assert!(AppPassword::check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "a\n", "ä", &"x".repeat(33)] {
            assert!(AppPassword::check_name(bad).is_err(), "{bad}");
        }
    }
}
