//! Passwords and what is stored of them.

use std::fmt;

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use sasl_codec::scram::{Hash, Iterations, Verifier};
use thiserror::Error;
use zeroize::Zeroizing;

/// A password. It is wiped from memory when dropped and never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<String>);

/// What is stored of a password: Argon2id ([RFC 9106](https://www.rfc-editor.org/rfc/rfc9106)) as a PHC string. The default one fits
/// no password.
#[derive(Clone, Default, Eq, PartialEq)]
pub struct PasswordHash(String);

/// All that is stored of a password: its hash, and the keys for SCRAM, with which it is never sent.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    /// For mechanisms that send the password.
    pub hash: PasswordHash,
    /// For those that do not, one for each hash function.
    pub scram: Vec<Verifier>,
}

/// The memory that a check takes, kept from one to the next: handed back to the allocator, it would stay with whichever
/// thread took it, and add up.
#[derive(Default)]
pub struct Memory(Vec<Block>);

/// What is wrong with a password or its hash.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum HashError {
    /// No octet at all.
    #[error("the password is empty")]
    Empty,
    /// RFC 4616 §2 leaves no room for NUL; long ones are work for the host.
    #[error("the password holds a NUL or more than {MAX_PASSWORD} octets")]
    Unusable,
    /// The text is no hash that we could check.
    #[error("the stored password hash cannot be read")]
    Damaged,
    /// The system gave no random octets, or no memory.
    #[error("the password cannot be hashed now")]
    Failed,
}

impl Password {
    /// Takes a password as it was typed.
    pub fn new(text: String) -> Result<Self, HashError> {
        let text = Zeroizing::new(text);
        match text.len() {
            0 => Err(HashError::Empty),
            1..=MAX_PASSWORD if !text.contains('\0') => Ok(Self(text)),
            _ => Err(HashError::Unusable),
        }
    }

    /// Makes one that nobody guesses: 125 random bits, in letters and digits that are hard to confuse.
    pub fn generate() -> Result<Self, HashError> {
        let mut random = Zeroizing::new([0; 25]);
        getrandom::fill(&mut *random).map_err(|_| HashError::Failed)?;
        let mut text = Zeroizing::new(String::with_capacity(29));
        for (at, octet) in random.iter().enumerate() {
            if at > 0 && at % 5 == 0 {
                text.push('-');
            }
            text.push(char::from(LETTERS[usize::from(octet % 32)]));
        }
        Ok(Self(text))
    }

    /// The password itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Secrets {
    /// Hashes a password in every way it is needed. Not for an async thread.
    pub fn new(password: &Password) -> Result<Self, HashError> {
        Ok(Self { hash: PasswordHash::new(password)?, scram: Self::scram(password)? })
    }

    /// The keys for SCRAM alone, each under a fresh salt. Not for an async thread.
    pub fn scram(password: &Password) -> Result<Vec<Verifier>, HashError> {
        let typed =
            sasl_codec::Password::new(password.expose().to_owned()).map_err(|_| HashError::Unusable)?;
        let derive = |hash| {
            let mut salt = [0; 16];
            getrandom::fill(&mut salt).map_err(|_| HashError::Failed)?;
            Ok(Verifier::derive(hash, &typed, salt, ITERATIONS))
        };
        [Hash::Sha256, Hash::Sha1].into_iter().map(derive).collect()
    }

    /// Takes the texts of a hash and of keys. Keys that cannot be read, or were derived with another number of
    /// iterations, are left out: the next login that sends the password makes new ones.
    pub fn parse(hash: &str, scram: &[String]) -> Result<Self, HashError> {
        Ok(Self { hash: PasswordHash::parse(hash)?, scram: Self::parse_keys(scram) })
    }

    /// The same of keys alone.
    pub fn parse_keys(scram: &[String]) -> Vec<Verifier> {
        let keys = scram.iter().filter_map(|text| Verifier::parse(text).ok());
        keys.filter(|keys| keys.iterations() == ITERATIONS.get()).collect()
    }

    /// The texts of the keys.
    pub fn scram_texts(&self) -> Vec<String> {
        self.scram.iter().map(Verifier::encode).collect()
    }
}

impl PasswordHash {
    /// Hashes a password under a fresh salt. Takes 19 MiB and some tens of milliseconds: not for an async thread.
    pub fn new(password: &Password) -> Result<Self, HashError> {
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| HashError::Failed)?;
        let hash: phc::PasswordHash = argon2()
            .hash_password_with_salt(password.expose().as_bytes(), &salt)
            .map_err(|_| HashError::Failed)?;
        Ok(Self(hash.to_string()))
    }

    /// Takes what [`Self::as_str`] gave.
    pub fn parse(text: &str) -> Result<Self, HashError> {
        let hash = phc::PasswordHash::new(text).map_err(|_| HashError::Damaged)?;
        let params = Params::try_from(&hash).map_err(|_| HashError::Damaged)?;
        let known = hash.algorithm.as_str() == "argon2id" && hash.salt.is_some() && hash.hash.is_some();
        // A record that was tampered with must not take all memory or all time.
        if known && params.m_cost() <= 1 << 20 && params.t_cost() <= 100 {
            Ok(Self(text.to_owned()))
        } else {
            Err(HashError::Damaged)
        }
    }

    /// The PHC string.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the hash of this password; compares in constant time. As costly as [`Self::new`].
    pub fn verify(&self, password: &Password, memory: &mut Memory) -> bool {
        self.compare(password, memory).unwrap_or(false)
    }

    fn compare(&self, password: &Password, memory: &mut Memory) -> Option<bool> {
        let hash = phc::PasswordHash::new(&self.0).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let (salt, expected) = (hash.salt?, hash.hash?);
        memory.0.resize(params.block_count(), Block::default());
        let mut found = Zeroizing::new(vec![0; expected.as_bytes().len()]);
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        argon2
            .hash_password_into_with_memory(password.expose().as_bytes(), &salt, &mut found, &mut memory.0)
            .ok()?;
        // The comparison of this type takes as long wherever the octets differ.
        Some(phc::Output::new(&found).ok()? == expected)
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory(..)")
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS)
}

/// 19 MiB, two passes, one lane: what OWASP gives as the least for Argon2id.
const PARAMS: Params = match Params::new(19_456, 2, 1, None) {
    Ok(params) => params,
    Err(_) => panic!("the parameters are in range"),
};

/// How often SCRAM hashes a password. The client does it at each login: some hundredths of a second on a desk, some tenths
/// on a phone. It is one number for all, so that names that do not exist look like those that do. Cyrus SASL, which is
/// in mbsync and others, ends the exchange if it is greater than this.
pub(super) const ITERATIONS: Iterations = match Iterations::new(65_536) {
    Ok(iterations) => iterations,
    Err(_) => panic!("the number is in range"),
};

/// Far above what anybody types.
const MAX_PASSWORD: usize = 1_024;

const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_fits_its_password_only() {
        let password = Password::new("p\u{e4}ss \"word\"".to_owned()).unwrap();
        let hash = PasswordHash::new(&password).unwrap();
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_str());
        let again = PasswordHash::parse(hash.as_str()).unwrap();
        let mut memory = Memory::default();
        assert!(again.verify(&password, &mut memory));
        assert!(!again.verify(&Password::new("other".to_owned()).unwrap(), &mut memory));
        assert!(again.verify(&password, &mut memory), "what the memory held before does not matter");
        assert_ne!(PasswordHash::new(&password).unwrap(), hash, "each has a salt of its own");
    }

    #[test]
    fn a_hash_that_is_damaged_or_too_costly_is_not_taken() {
        let good = PasswordHash::new(&Password::generate().unwrap()).unwrap();
        let change = |from: &str, to: &str| PasswordHash::parse(&good.as_str().replacen(from, to, 1));
        assert_eq!(PasswordHash::parse("secret"), Err(HashError::Damaged));
        assert_eq!(change("argon2id", "argon2d"), Err(HashError::Damaged));
        assert_eq!(change("m=19456", "m=4294967295"), Err(HashError::Damaged));
        assert_eq!(change("t=2", "t=1000000"), Err(HashError::Damaged));
        assert!(change("t=2", "t=3").is_ok());
    }

    #[test]
    fn damaged_keys_are_left_out_and_a_damaged_hash_is_not() {
        let secrets = Secrets::new(&Password::generate().unwrap()).unwrap();
        let texts = secrets.scram_texts();
        assert_eq!(texts.len(), 2);
        let parsed =
            |hash: &str, texts: &[String]| Secrets::parse(hash, texts).map(|secrets| secrets.scram.len());
        assert_eq!(parsed(secrets.hash.as_str(), &texts), Ok(2));
        assert_eq!(parsed(secrets.hash.as_str(), &[texts[0].clone(), "damaged".to_owned()]), Ok(1));
        assert_eq!(parsed("damaged", &texts), Err(HashError::Damaged));
        // Another number of iterations would tell those who have an account from those who have none.
        let password = sasl_codec::Password::new("geheim".to_owned()).unwrap();
        let old = Verifier::derive(Hash::Sha256, &password, [7; 16], Iterations::LEAST).encode();
        assert_eq!(parsed(secrets.hash.as_str(), &[texts[0].clone(), old]), Ok(1));
    }

    #[test]
    fn a_password_is_never_shown() {
        let password = Password::new("geheim".to_owned()).unwrap();
        assert_eq!(format!("{password:?}"), "Password(..)");
        let hash = PasswordHash::new(&password).unwrap();
        assert_eq!(format!("{hash:?}"), "PasswordHash(..)");
    }

    #[test]
    fn passwords_have_one_to_1024_octets_and_no_nul() {
        assert_eq!(Password::new(String::new()).err(), Some(HashError::Empty));
        assert_eq!(Password::new("a\0".to_owned()).err(), Some(HashError::Unusable));
        assert_eq!(Password::new("a".repeat(1_025)).err(), Some(HashError::Unusable));
        assert!(Password::new("a".repeat(1_024)).is_ok());
    }

    #[test]
    fn a_generated_password_is_five_groups_of_five() {
        let text = Password::generate().unwrap();
        let groups: Vec<_> = text.expose().split('-').map(str::len).collect();
        assert_eq!(groups, [5; 5]);
        assert_ne!(text.expose(), Password::generate().unwrap().expose());
    }
}
