//! The arithmetic of SCRAM, and what a server stores ([RFC 5802 §3](https://www.rfc-editor.org/rfc/rfc5802#section-3)).

pub mod message;

use core::fmt;
use core::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::digest::Digest;
use hmac::{EagerHash, Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

use crate::error::Invalid;
use crate::secret::{Password, ServerSecret};

/// The hash function of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Hash {
    /// 20 octets. RFC 5802.
    Sha1,
    /// 32 octets. RFC 7677.
    Sha256,
}

/// How often a password is hashed: `posit-number` of
/// [RFC 5802 §7](https://www.rfc-editor.org/rfc/rfc5802#section-7), not under 4,096
/// ([RFC 7677 §4](https://www.rfc-editor.org/rfc/rfc7677#section-4)).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Iterations(NonZeroU32);

/// What a server stores of a password. Enough to check one, not to log in with; whoever has it can guess passwords, and
/// pose as the server.
#[derive(Clone)]
pub struct Verifier {
    hash: Hash,
    iterations: u32,
    salt: Vec<u8>,
    stored_key: Key,
    server_key: Key,
}

/// A password, salted and hashed: what a client may keep instead of the password, as long as the server's salt and count
/// stay the same ([RFC 5802 §5.1](https://www.rfc-editor.org/rfc/rfc5802#section-5.1)).
#[derive(Clone)]
pub struct SaltedPassword(Key);

/// The work of a client: a password to be hashed some thousand times, on whichever thread the caller likes.
#[derive(Clone, Debug)]
pub struct Derivation {
    pub(crate) hash: Hash,
    pub(crate) password: Password,
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: u32,
}

/// As many octets as the hash function gives.
#[derive(Clone)]
pub(crate) struct Key {
    octets: [u8; MAX_KEY],
    length: usize,
}

impl Hash {
    /// How many octets it gives.
    pub const fn octets(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// The name of the mechanism without channel binding.
    pub const fn mechanism(self) -> &'static str {
        match self {
            Self::Sha1 => "SCRAM-SHA-1",
            Self::Sha256 => "SCRAM-SHA-256",
        }
    }

    fn digest(self, data: &[u8]) -> Key {
        match self {
            Self::Sha1 => Key::new(&Sha1::digest(data)),
            Self::Sha256 => Key::new(&Sha256::digest(data)),
        }
    }

    fn hmac(self, key: &[u8], parts: &[&[u8]]) -> Key {
        match self {
            Self::Sha1 => hmac::<Sha1>(key, parts),
            Self::Sha256 => hmac::<Sha256>(key, parts),
        }
    }
}

impl Iterations {
    /// The least: 4,096.
    pub const LEAST: Self = Self(NonZeroU32::new(4_096).unwrap());

    /// Takes a number from 4,096 on.
    pub const fn new(count: u32) -> Result<Self, Invalid> {
        match NonZeroU32::new(count) {
            Some(count) if count.get() >= Self::LEAST.get() => Ok(Self(count)),
            _ => Err(Invalid::new("number of iterations")),
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl Verifier {
    /// Makes one from a password and 16 random octets, which takes as long as hashing so often does: not for an async
    /// thread.
    pub fn derive(hash: Hash, password: &Password, salt: [u8; 16], iterations: Iterations) -> Self {
        let (password, iterations) = (password.clone(), iterations.get());
        let derivation = Derivation { hash, password, salt: salt.to_vec(), iterations };
        let salted = derivation.run();
        Self {
            hash,
            iterations,
            salt: derivation.salt,
            stored_key: hash.digest(salted.client_key(hash).as_ref()),
            server_key: salted.server_key(hash),
        }
    }

    /// What is answered about a name that does not exist: always the same about the same name, and nobody has the
    /// password for it.
    pub(crate) fn nobody(hash: Hash, secret: &ServerSecret, name: &str, iterations: Iterations) -> Self {
        let octets = |what: &str| {
            // No part holds a NUL: names and mechanisms cannot.
            hmac::<Sha256>(
                secret.octets(),
                &[what.as_bytes(), b"\0", hash.mechanism().as_bytes(), b"\0", name.as_bytes()],
            )
        };
        Self {
            hash,
            iterations: iterations.get(),
            salt: octets("salt").as_ref()[..16].to_vec(),
            stored_key: Key::new(&octets("stored key").as_ref()[..hash.octets()]),
            server_key: Key::new(&octets("server key").as_ref()[..hash.octets()]),
        }
    }

    /// The text to be stored, as [RFC 5803 §2](https://www.rfc-editor.org/rfc/rfc5803#section-2) has it.
    ///
    /// `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey`, the last three in base64.
    pub fn encode(&self) -> String {
        let Self { hash, iterations, salt, stored_key, server_key } = self;
        let [salt, stored, server] =
            [&salt[..], stored_key.as_ref(), server_key.as_ref()].map(|octets| STANDARD.encode(octets));
        format!("{}${iterations}:{salt}${stored}:{server}", hash.mechanism())
    }

    /// Takes what [`Self::encode`] gave, with 1 to 64 octets of salt.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        Self::read(text).ok_or(Invalid::new("SCRAM verifier"))
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('$');
        let (scheme, info, value) = (parts.next()?, parts.next()?, parts.next()?);
        let hash = [Hash::Sha1, Hash::Sha256].into_iter().find(|hash| hash.mechanism() == scheme)?;
        let (iterations, salt) = info.split_once(':')?;
        let (stored, server) = value.split_once(':')?;
        let key = |text: &str| {
            let octets = STANDARD.decode(text).ok()?;
            (octets.len() == hash.octets()).then(|| Key::new(&octets))
        };
        let salt = STANDARD.decode(salt).ok()?;
        let whole = parts.next().is_none() && (1..=64).contains(&salt.len());
        let iterations = Iterations::new(message::posit_number(iterations)?).ok()?.get();
        let (stored_key, server_key) = (key(stored)?, key(server)?);
        whole.then_some(Self { hash, iterations, salt, stored_key, server_key })
    }

    /// The hash function it is for.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// How often the password was hashed.
    pub const fn iterations(&self) -> u32 {
        self.iterations
    }

    pub(crate) fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// Whether the proof is one of the password, and the proof that the server knows it too.
    pub(crate) fn check(&self, proof: &[u8], auth_message: &[&[u8]]) -> (bool, Key) {
        let mut client_key = self.hash.hmac(self.stored_key.as_ref(), auth_message);
        let fits = client_key.xor(proof);
        let stored_key = self.hash.digest(client_key.as_ref());
        let same = stored_key.as_ref().ct_eq(self.stored_key.as_ref());
        (fits & bool::from(same), self.hash.hmac(self.server_key.as_ref(), auth_message))
    }
}

impl SaltedPassword {
    fn client_key(&self, hash: Hash) -> Key {
        hash.hmac(self.0.as_ref(), &[b"Client Key"])
    }

    fn server_key(&self, hash: Hash) -> Key {
        hash.hmac(self.0.as_ref(), &[b"Server Key"])
    }

    /// The client's proof, and what the server's has to be.
    pub(crate) fn prove(&self, hash: Hash, auth_message: &[&[u8]]) -> (Key, Key) {
        let mut proof = self.client_key(hash);
        let stored_key = hash.digest(proof.as_ref());
        proof.xor(hash.hmac(stored_key.as_ref(), auth_message).as_ref());
        (proof, hash.hmac(self.server_key(hash).as_ref(), auth_message))
    }

    pub(crate) const fn fits(&self, hash: Hash) -> bool {
        self.0.length == hash.octets()
    }
}

impl Derivation {
    /// Hashes the password. Not for an async thread.
    pub fn run(&self) -> SaltedPassword {
        let mut key = Key { octets: [0; MAX_KEY], length: self.hash.octets() };
        let (password, room) = (self.password.prepared(), &mut key.octets[..self.hash.octets()]);
        match self.hash {
            Hash::Sha1 => {
                pbkdf2::pbkdf2_hmac::<Sha1>(password.as_bytes(), &self.salt, self.iterations, room);
            }
            Hash::Sha256 => {
                pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), &self.salt, self.iterations, room);
            }
        }
        SaltedPassword(key)
    }

    /// The salt and the number of iterations: what a kept [`SaltedPassword`] is good for.
    pub fn parameters(&self) -> (&[u8], u32) {
        (&self.salt, self.iterations)
    }
}

impl Key {
    fn new(octets: &[u8]) -> Self {
        let mut key = Self { octets: [0; MAX_KEY], length: octets.len() };
        key.octets[..octets.len()].copy_from_slice(octets);
        key
    }

    /// False if the lengths differ.
    fn xor(&mut self, other: &[u8]) -> bool {
        for (octet, other) in self.octets.iter_mut().zip(other) {
            *octet ^= other;
        }
        other.len() == self.length
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.octets[..self.length]
    }
}

impl Drop for Key {
    fn drop(&mut self) {
        self.octets.zeroize();
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

impl fmt::Debug for SaltedPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SaltedPassword(..)")
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("hash", &self.hash)
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

fn hmac<D: EagerHash>(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut mac = Hmac::<D>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(part);
    }
    Key::new(&mac.finalize().into_bytes())
}

/// The longest output of a hash function here.
const MAX_KEY: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn pencil() -> Password {
        Password::new("pencil".to_owned()).unwrap()
    }

    #[test]
    fn a_verifier_is_read_back() {
        for hash in [Hash::Sha1, Hash::Sha256] {
            let verifier = Verifier::derive(hash, &pencil(), [9; 16], Iterations::LEAST);
            let text = verifier.encode();
            assert!(text.starts_with(&format!("{}$4096:CQkJCQkJCQkJCQkJCQkJCQ==$", hash.mechanism())));
            assert_eq!(Verifier::parse(&text).unwrap().encode(), text);
        }
    }

    #[test]
    fn a_damaged_verifier_is_not_taken() {
        let text = Verifier::derive(Hash::Sha256, &pencil(), [9; 16], Iterations::LEAST).encode();
        for (from, to) in [
            ("SHA-256", "SHA-1"),
            ("SHA-256", "SHA-512"),
            ("4096", "4095"),
            ("4096", "0"),
            ("4096", "04096"),
            ("4096", "4294967296"),
            ("CQkJCQkJCQkJCQkJCQkJCQ==", ""),
            ("CQkJCQkJCQkJCQkJCQkJCQ==", "CQkJCQkJCQkJCQkJCQkJCR"),
            ("==$", "==$$"),
            ("$4096", ""),
        ] {
            let damaged = text.replacen(from, to, 1);
            assert_ne!(damaged, text);
            assert!(Verifier::parse(&damaged).is_err(), "{damaged}");
        }
        assert!(Verifier::parse(&format!("{text}$")).is_err());
        for length in 0..text.len() - 1 {
            assert!(Verifier::parse(&text[..length]).is_err());
        }
    }

    #[test]
    fn nobody_is_always_the_same_and_never_the_same_as_another() {
        let secret = ServerSecret::new([1; 32]);
        let nobody = |hash, name| Verifier::nobody(hash, &secret, name, Iterations::LEAST).encode();
        assert_eq!(nobody(Hash::Sha256, "x"), nobody(Hash::Sha256, "x"));
        let all = [
            nobody(Hash::Sha256, "x"),
            nobody(Hash::Sha256, "y"),
            nobody(Hash::Sha1, "x"),
            Verifier::nobody(Hash::Sha256, &ServerSecret::new([2; 32]), "x", Iterations::LEAST).encode(),
        ];
        let salts: std::collections::BTreeSet<_> =
            all.iter().map(|text| text.split(['$', ':']).nth(2)).collect();
        assert_eq!(salts.len(), 4);
        let real = Verifier::derive(Hash::Sha256, &pencil(), [9; 16], Iterations::LEAST).encode();
        assert_eq!(real.len(), all[0].len(), "not to be told by its length");
    }

    #[test]
    fn keys_are_not_shown() {
        let verifier = Verifier::derive(Hash::Sha1, &pencil(), [9; 16], Iterations::LEAST);
        assert_eq!(format!("{verifier:?}"), "Verifier { hash: Sha1, iterations: 4096, .. }");
        let derivation = Derivation { hash: Hash::Sha1, password: pencil(), salt: vec![1], iterations: 1 };
        assert!(!format!("{derivation:?} {:?}", derivation.run()).contains("pencil"));
    }
}
