//! The four messages of SCRAM: type, parser, encoder
//! ([RFC 5802 §7](https://www.rfc-editor.org/rfc/rfc5802#section-7)).
//!
//! Optional extensions are let through and left out of the types; mandatory ones are refused.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BufMut;
use thiserror::Error;

use crate::secret::is_nonce;

/// `client-first-message = gs2-header client-first-message-bare`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientFirst<'a> {
    pub(crate) flag: Flag<'a>,
    pub(crate) authzid: Option<Cow<'a, str>>,
    pub(crate) name: Cow<'a, str>,
    pub(crate) nonce: &'a str,
}

/// `gs2-cbind-flag = ("p=" cb-name) / "n" / "y"`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flag<'a> {
    /// The client does not support channel binding.
    Unsupported,
    /// The client does, and believes that the server does not.
    NotOffered,
    /// The client uses the one of this name.
    Used(&'a str),
}

/// `server-first-message = nonce "," salt "," iteration-count`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ServerFirst<'a> {
    pub(crate) nonce: &'a str,
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: u32,
}

/// `client-final-message = channel-binding "," nonce "," proof`
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientFinal<'a> {
    pub(crate) binding: Vec<u8>,
    pub(crate) nonce: &'a str,
    pub(crate) proof: Vec<u8>,
}

/// `server-final-message = server-error / verifier`
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ServerFinal<'a> {
    /// The server's proof that it knows the password.
    Verifier(Vec<u8>),
    /// Why it says no.
    Error(&'a str),
}

/// Why a message is none.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum MessageError {
    /// It does not follow the grammar.
    #[error("malformed message")]
    Malformed,
    /// It demands an extension, of which none is known.
    #[error("unknown mandatory extension")]
    Extension,
}

impl<'a> ClientFirst<'a> {
    /// Reads a whole message.
    pub fn parse(message: &'a [u8]) -> Result<Self, MessageError> {
        let (header, bare) = Self::split(message).ok_or(MessageError::Malformed)?;
        let (flag, authzid) = parse_gs2(header).ok_or(MessageError::Malformed)?;
        let mut attributes = Attributes::new(bare)?;
        let name = saslname(attributes.take('n')?).ok_or(MessageError::Malformed)?;
        let nonce = attributes.take('r').and_then(nonce)?;
        attributes.extensions()?;
        Ok(Self { flag, authzid, name, nonce })
    }

    /// Parts the `gs2-header` from the `client-first-message-bare`: both enter into what is hashed.
    pub(crate) fn split(message: &'a [u8]) -> Option<(&'a str, &'a str)> {
        let text = str::from_utf8(message).ok()?;
        let (at, _) = text.match_indices(',').nth(1)?;
        Some(text.split_at(at + 1))
    }

    /// Writes the message.
    pub fn encode(&self, out: &mut impl BufMut) {
        match self.flag {
            Flag::Unsupported => out.put_slice(b"n"),
            Flag::NotOffered => out.put_slice(b"y"),
            Flag::Used(name) => put(out, &["p=", name]),
        }
        put_gs2_name(self.authzid.as_deref(), out);
        out.put_slice(b"n=");
        put_saslname(&self.name, out);
        put(out, &[",r=", self.nonce]);
    }

    /// What the client says of channel binding.
    pub const fn flag(&self) -> Flag<'a> {
        self.flag
    }

    /// Whom the client wants to act for.
    pub fn authzid(&self) -> Option<&str> {
        self.authzid.as_deref()
    }

    /// The name of the client, as it came.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client's nonce.
    pub const fn nonce(&self) -> &'a str {
        self.nonce
    }
}

impl<'a> ServerFirst<'a> {
    /// Reads a whole message.
    pub fn parse(message: &'a [u8]) -> Result<Self, MessageError> {
        let mut attributes = Attributes::of(message)?;
        let nonce = attributes.take('r').and_then(nonce)?;
        let salt = attributes.take('s').and_then(base64)?;
        let iterations = posit_number(attributes.take('i')?).ok_or(MessageError::Malformed)?;
        attributes.extensions()?;
        if salt.is_empty() {
            return Err(MessageError::Malformed);
        }
        Ok(Self { nonce, salt, iterations })
    }

    /// Writes the message.
    pub fn encode(&self, out: &mut impl BufMut) {
        let (salt, iterations) = (STANDARD.encode(&self.salt), self.iterations.to_string());
        put(out, &["r=", self.nonce, ",s=", &salt, ",i=", &iterations]);
    }

    /// Both nonces, one behind the other.
    pub const fn nonce(&self) -> &'a str {
        self.nonce
    }

    /// The salt, which is not empty.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }

    /// How often to hash.
    pub const fn iterations(&self) -> u32 {
        self.iterations
    }
}

impl<'a> ClientFinal<'a> {
    /// Reads a whole message.
    pub fn parse(message: &'a [u8]) -> Result<Self, MessageError> {
        let (bare, last) = Self::split(message).ok_or(MessageError::Malformed)?;
        let mut attributes = Attributes::new(bare)?;
        let binding = attributes.take('c').and_then(base64)?;
        let nonce = attributes.take('r').and_then(nonce)?;
        attributes.extensions()?;
        let proof = Attributes::new(last)?.take('p').and_then(base64)?;
        Ok(Self { binding, nonce, proof })
    }

    /// Parts the `client-final-message-without-proof`, which is hashed, from the proof.
    pub(crate) fn split(message: &'a [u8]) -> Option<(&'a str, &'a str)> {
        str::from_utf8(message).ok()?.rsplit_once(',')
    }

    /// Writes the part that is hashed.
    pub(crate) fn encode_without_proof(binding: &[u8], nonce: &str, out: &mut impl BufMut) {
        put(out, &["c=", &STANDARD.encode(binding), ",r=", nonce]);
    }

    /// Writes the proof, with the comma in front of it.
    pub(crate) fn encode_proof(proof: &[u8], out: &mut impl BufMut) {
        put(out, &[",p=", &STANDARD.encode(proof)]);
    }

    /// Writes the message.
    pub fn encode(&self, out: &mut impl BufMut) {
        Self::encode_without_proof(&self.binding, self.nonce, out);
        Self::encode_proof(&self.proof, out);
    }

    /// The `gs2-header` once more, and the data of the channel.
    pub fn binding(&self) -> &[u8] {
        &self.binding
    }

    /// Both nonces, one behind the other.
    pub const fn nonce(&self) -> &'a str {
        self.nonce
    }

    /// The client's proof that it knows the password.
    pub fn proof(&self) -> &[u8] {
        &self.proof
    }
}

impl<'a> ServerFinal<'a> {
    /// Reads a whole message.
    pub fn parse(message: &'a [u8]) -> Result<Self, MessageError> {
        let mut attributes = Attributes::of(message)?;
        let this = if attributes.0.is_some_and(|left| left.starts_with('e')) {
            Self::Error(attributes.take('e')?)
        } else {
            Self::Verifier(attributes.take('v').and_then(base64)?)
        };
        attributes.extensions()?;
        Ok(this)
    }

    /// Writes the message.
    pub fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::Verifier(proof) => put(out, &["v=", &STANDARD.encode(proof)]),
            Self::Error(why) => put(out, &["e=", why]),
        }
    }
}

/// What is left of a message: `attr-val *("," attr-val)`
struct Attributes<'a>(Option<&'a str>);

impl<'a> Attributes<'a> {
    fn of(message: &'a [u8]) -> Result<Self, MessageError> {
        Self::new(str::from_utf8(message).map_err(|_| MessageError::Malformed)?)
    }

    fn new(text: &'a str) -> Result<Self, MessageError> {
        // RFC 5802 §5.1: "m", wherever it stands, is of a later version and must fail.
        match text.starts_with("m=") {
            true => Err(MessageError::Extension),
            false => Ok(Self(Some(text))),
        }
    }

    /// The value of the attribute that comes next, which must be this one.
    fn take(&mut self, name: char) -> Result<&'a str, MessageError> {
        match self.next()? {
            Some((found, value)) if found == name => Ok(value),
            _ => Err(MessageError::Malformed),
        }
    }

    /// Takes what is left: attributes that may be there and mean nothing to us.
    fn extensions(&mut self) -> Result<(), MessageError> {
        while let Some((name, _)) = self.next()? {
            match name {
                'm' => return Err(MessageError::Extension),
                // The order is fixed: one of ours that comes out of turn, or again, is no extension.
                'a' | 'c' | 'e' | 'i' | 'n' | 'p' | 'r' | 's' | 'v' => return Err(MessageError::Malformed),
                _ => {}
            }
        }
        Ok(())
    }

    /// `attr-val = ALPHA "=" value`
    fn next(&mut self) -> Result<Option<(char, &'a str)>, MessageError> {
        let Some(left) = self.0 else { return Ok(None) };
        let (attribute, rest) = left.split_once(',').map_or((left, None), |(one, rest)| (one, Some(rest)));
        self.0 = rest;
        match attribute.split_once('=') {
            Some((name, value))
                if name.len() == 1
                    && name.starts_with(|c: char| c.is_ascii_alphabetic())
                    && !value.is_empty()
                    && !value.contains('\0') =>
            {
                Ok(name.chars().next().map(|name| (name, value)))
            }
            _ => Err(MessageError::Malformed),
        }
    }
}

/// `gs2-header = gs2-cbind-flag "," [ authzid ] ","`
pub(crate) fn parse_gs2(header: &str) -> Option<(Flag<'_>, Option<Cow<'_, str>>)> {
    let (flag, authzid) = header.strip_suffix(',')?.split_once(',')?;
    let flag = match flag {
        "n" => Flag::Unsupported,
        "y" => Flag::NotOffered,
        _ => Flag::Used(flag.strip_prefix("p=").filter(|name| is_cb_name(name))?),
    };
    let authzid = match authzid {
        "" => None,
        _ => Some(saslname(authzid.strip_prefix("a=")?)?),
    };
    Some((flag, authzid))
}

/// The rest of a `gs2-header`, behind its flag.
pub(crate) fn put_gs2_name(authzid: Option<&str>, out: &mut impl BufMut) {
    out.put_u8(b',');
    if let Some(authzid) = authzid {
        out.put_slice(b"a=");
        put_saslname(authzid, out);
    }
    out.put_u8(b',');
}

/// `cb-name = 1*(ALPHA / DIGIT / "." / "-")`
fn is_cb_name(name: &str) -> bool {
    !name.is_empty()
        && name.bytes().all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-'))
}

/// `saslname = 1*(value-safe-char / "=2C" / "=3D")`
fn saslname(text: &str) -> Option<Cow<'_, str>> {
    if text.is_empty() || text.contains(['\0', ',']) {
        return None;
    }
    if !text.contains('=') {
        return Some(Cow::Borrowed(text));
    }
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        let (c, rest) = match part.get(..2)? {
            "2C" => (',', &part[2..]),
            "3D" => ('=', &part[2..]),
            _ => return None,
        };
        name.push(c);
        name.push_str(rest);
    }
    Some(Cow::Owned(name))
}

fn put_saslname(name: &str, out: &mut impl BufMut) {
    for octet in name.bytes() {
        match octet {
            b',' => out.put_slice(b"=2C"),
            b'=' => out.put_slice(b"=3D"),
            octet => out.put_u8(octet),
        }
    }
}

/// `posit-number = %x31-39 *DIGIT`
pub(crate) fn posit_number(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    if digits && !text.starts_with('0') { text.parse().ok() } else { None }
}

fn nonce(text: &str) -> Result<&str, MessageError> {
    if is_nonce(text) { Ok(text) } else { Err(MessageError::Malformed) }
}

fn base64(text: &str) -> Result<Vec<u8>, MessageError> {
    STANDARD.decode(text).map_err(|_| MessageError::Malformed)
}

fn put(out: &mut impl BufMut, parts: &[&str]) {
    for part in parts {
        out.put_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::MessageError::{Extension, Malformed};
    use super::*;

    #[test]
    fn names_are_quoted() {
        let first = ClientFirst::parse(b"p=tls-exporter,a=b=3Dc,n=a=2Cb=3D2C,r=x,k=v=,z=\xc3\xa4").unwrap();
        assert_eq!((first.name(), first.authzid()), ("a,b=2C", Some("b=c")));
        assert_eq!(first.flag(), Flag::Used("tls-exporter"));
        let mut out = Vec::new();
        first.encode(&mut out);
        assert_eq!(out, b"p=tls-exporter,a=b=3Dc,n=a=2Cb=3D2C,r=x");
    }

    #[test]
    fn broken_first_messages_are_refused() {
        for (message, error) in [
            (&b""[..], Malformed),
            (b"n,,", Malformed),
            (b"n,n=a,r=b", Malformed),
            (b"x,,n=a,r=b", Malformed),
            (b"p,,n=a,r=b", Malformed),
            (b"p=,,n=a,r=b", Malformed),
            (b"p=tls exporter,,n=a,r=b", Malformed),
            (b"N,,n=a,r=b", Malformed),
            (b"n,b,n=a,r=b", Malformed),
            (b"n,a=,n=a,r=b", Malformed),
            (b"n,,n=,r=b", Malformed),
            (b"n,,n=a=2c,r=b", Malformed),
            (b"n,,n=a=,r=b", Malformed),
            (b"n,,n=a=2\xc3\xa4,r=b", Malformed),
            (b"n,,n=a\0,r=b", Malformed),
            (b"n,,n=\xff,r=b", Malformed),
            (b"n,,r=b,n=a", Malformed),
            (b"n,,n=a,r=", Malformed),
            (b"n,,n=a,r=b c", Malformed),
            (b"n,,n=a,r=\xc3\xa4", Malformed),
            (b"n,,n=a,r=b,", Malformed),
            (b"n,,n=a,r=b,r=c", Malformed),
            (b"n,,n=a,r=b,ab=c", Malformed),
            (b"n,,n=a,r=b,x=", Malformed),
            (b"n,,m=x,n=a,r=b", Extension),
            (b"n,,n=a,r=b,m=x", Extension),
        ] {
            assert_eq!(ClientFirst::parse(message), Err(error), "{}", message.escape_ascii());
        }
    }

    #[test]
    fn broken_messages_of_a_server_are_refused() {
        for message in [
            "",
            "r=a",
            "r=a,s=AAAA",
            "s=AAAA,r=a,i=4096",
            "r=a,s=,i=4096",
            "r=a,s=AAA,i=4096",
            "r=a,s=AAB=,i=4096",
            "r=a,s=AAAA,i=",
            "r=a,s=AAAA,i=0",
            "r=a,s=AAAA,i=04096",
            "r=a,s=AAAA,i=+4096",
            "r=a,s=AAAA,i=4294967296",
            "r=a,s=AAAA,i=4096,i=4096",
            "r=a,s=AAAA,i=4096 ",
        ] {
            assert_eq!(ServerFirst::parse(message.as_bytes()), Err(Malformed), "{message}");
        }
        assert_eq!(ServerFirst::parse(b"m=x,r=a,s=AAAA,i=4096"), Err(Extension));
        for message in ["", "v", "v=", "v=A", "e=", "x=AAAA", "e=no,v=AAAA"] {
            assert_eq!(ServerFinal::parse(message.as_bytes()), Err(Malformed), "{message}");
        }
        assert_eq!(ServerFinal::parse(b"e=other-error"), Ok(ServerFinal::Error("other-error")));
    }

    #[test]
    fn broken_last_messages_are_refused() {
        for message in [
            "",
            "c=biws,r=a",
            "c=biws,p=AAAA",
            "r=a,c=biws,p=AAAA",
            "c=biws,r=a,p=",
            "c=biws,r=a,p=AAAA,x=y",
            "c=bi,r=a,p=AAAA",
            "c=biws,r=a,p=AAAA,p=AAAA",
            "p=AAAA",
        ] {
            assert_eq!(ClientFinal::parse(message.as_bytes()), Err(Malformed), "{message}");
        }
        assert_eq!(ClientFinal::parse(b"c=biws,r=a,m=x,p=AAAA"), Err(Extension));
        assert!(ClientFinal::parse(b"c=biws,r=a,x=y,p=AAAA").is_ok());
    }
}
