//! The mechanisms by name.

use core::fmt;

use crate::scram::Hash;

/// A mechanism of this crate ([RFC 4422 §3.1](https://www.rfc-editor.org/rfc/rfc4422#section-3.1)).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum Mechanism {
    /// SCRAM with SHA-256, bound to the TLS connection. RFC 7677.
    ScramSha256Plus,
    /// SCRAM with SHA-256. RFC 7677.
    ScramSha256,
    /// SCRAM with SHA-1, bound to the TLS connection. RFC 5802.
    ScramSha1Plus,
    /// SCRAM with SHA-1. RFC 5802.
    ScramSha1,
    /// The identity is known from below: a certificate of the client's, say. RFC 4422, appendix A.
    External,
    /// An OAuth token. RFC 7628.
    OAuthBearer,
    /// An OAuth token, as Google had it before RFC 7628.
    XOAuth2,
    /// Name and password in one message. RFC 4616.
    Plain,
    /// Name and password in two messages; never standardised, still in use.
    Login,
}

impl Mechanism {
    /// All of them, the preferred ones first.
    pub const ALL: [Self; 9] = [
        Self::ScramSha256Plus,
        Self::ScramSha256,
        Self::ScramSha1Plus,
        Self::ScramSha1,
        Self::External,
        Self::OAuthBearer,
        Self::XOAuth2,
        Self::Plain,
        Self::Login,
    ];

    /// The name as protocols carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha1Plus => "SCRAM-SHA-1-PLUS",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::External => "EXTERNAL",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
        }
    }

    /// Takes a name in any case; `None` for a mechanism that is not ours.
    pub fn parse(name: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|ours| ours.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// The hash function, for SCRAM.
    pub const fn hash(self) -> Option<Hash> {
        match self {
            Self::ScramSha256Plus | Self::ScramSha256 => Some(Hash::Sha256),
            Self::ScramSha1Plus | Self::ScramSha1 => Some(Hash::Sha1),
            _ => None,
        }
    }

    /// Whether it is bound to the TLS connection: to be offered only with a
    /// [`ChannelBinding`](crate::binding::ChannelBinding).
    pub const fn is_plus(self) -> bool {
        matches!(self, Self::ScramSha256Plus | Self::ScramSha1Plus)
    }

    /// Whether the server sees the password or a token as good as one: never to be used without TLS
    /// ([RFC 4616 §6](https://www.rfc-editor.org/rfc/rfc4616#section-6)).
    pub const fn shows_secret(self) -> bool {
        matches!(self, Self::OAuthBearer | Self::XOAuth2 | Self::Plain | Self::Login)
    }

    /// Whether the client speaks first: without an initial response the server's first challenge is empty.
    pub const fn is_client_first(self) -> bool {
        !matches!(self, Self::Login)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_in_any_case() {
        for mechanism in Mechanism::ALL {
            assert_eq!(Mechanism::parse(mechanism.name().as_bytes()), Some(mechanism));
            assert_eq!(Mechanism::parse(mechanism.name().to_lowercase().as_bytes()), Some(mechanism));
            assert_eq!(mechanism.is_plus(), mechanism.name().ends_with("-PLUS"));
            assert_eq!(mechanism.hash().is_some(), mechanism.name().starts_with("SCRAM"));
        }
        for name in ["", "CRAM-MD5", "PLAIN ", "SCRAM-SHA-512"] {
            assert_eq!(Mechanism::parse(name.as_bytes()), None);
        }
    }
}
