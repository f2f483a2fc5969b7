//! The messages of OAUTHBEARER and XOAUTH2: type, parser, encoder.
//!
//! What a token is worth, the caller finds out: nothing here looks into one.

use core::fmt;
use std::borrow::Cow;

use bytes::BufMut;

use crate::error::Invalid;
use crate::scram::message::{Flag, parse_gs2, put_gs2_name};
use crate::secret::Token;

/// The only response of a client ([RFC 7628 §3.1](https://www.rfc-editor.org/rfc/rfc7628#section-3.1)).
///
/// `client-resp = gs2-header kvsep *kvpair kvsep`, where `kvsep` is the octet 1.
#[derive(Clone)]
pub struct Request<'a> {
    pub(crate) authzid: Option<Cow<'a, str>>,
    pub(crate) host: Option<&'a str>,
    pub(crate) port: Option<u16>,
    pub(crate) token: Token,
}

/// Why a token is refused, as both mechanisms tell the client
/// ([RFC 7628 §3.2.2](https://www.rfc-editor.org/rfc/rfc7628#section-3.2.2)).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Denial {
    status: Status,
    scope: Option<String>,
    configuration: Option<String>,
}

/// An error code of RFC 6750 §3.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Status {
    /// The request lacks something.
    InvalidRequest,
    /// The token has expired, was revoked, or is none of ours.
    InvalidToken,
    /// The token is good, and not for this.
    InsufficientScope,
}

impl<'a> Request<'a> {
    /// Reads the response of OAUTHBEARER. Keys that are not known here are passed over.
    pub fn parse(message: &'a [u8]) -> Result<Self, Invalid> {
        Self::read(message).ok_or(Invalid::new("OAUTHBEARER response"))
    }

    fn read(message: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(message).ok()?;
        let (header, pairs) = text.strip_suffix("\u{1}\u{1}")?.split_once('\u{1}')?;
        let (Flag::Unsupported | Flag::NotOffered, authzid) = parse_gs2(header)? else { return None };
        let (mut host, mut port, mut token) = (None, None, None);
        for pair in pairs.split('\u{1}') {
            let (key, value) = pair.split_once('=')?;
            let known = !key.is_empty() && key.bytes().all(|octet| octet.is_ascii_alphabetic());
            let fits = value.bytes().all(|octet| matches!(octet, b' '..=b'~' | b'\t' | b'\r' | b'\n'));
            if !known || !fits {
                return None;
            }
            let again = match key {
                "host" => host.replace(value).is_some(),
                "port" => port.replace(port_number(value)?).is_some(),
                "auth" => token.replace(bearer(value)?).is_some(),
                _ => false,
            };
            if again {
                return None;
            }
        }
        Some(Self { authzid, host, port, token: token? })
    }

    /// Writes the response of OAUTHBEARER.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_slice(b"n");
        put_gs2_name(self.authzid.as_deref(), out);
        if let Some(host) = self.host {
            out.put_slice(b"\x01host=");
            out.put_slice(host.as_bytes());
        }
        if let Some(port) = self.port {
            out.put_slice(b"\x01port=");
            out.put_slice(port.to_string().as_bytes());
        }
        self.put_auth(out);
    }

    /// Reads the response of XOAUTH2: `"user=" name kvsep "auth=Bearer " token kvsep kvsep`.
    pub fn parse_xoauth2(message: &'a [u8]) -> Result<Self, Invalid> {
        Self::read_xoauth2(message).ok_or(Invalid::new("XOAUTH2 response"))
    }

    fn read_xoauth2(message: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(message).ok()?;
        let (user, auth) = text.strip_suffix("\u{1}\u{1}")?.split_once('\u{1}')?;
        let user = user.strip_prefix("user=").filter(|user| !user.is_empty() && !user.contains('\0'))?;
        let token = bearer(auth.strip_prefix("auth=")?)?;
        Some(Self { authzid: Some(Cow::Borrowed(user)), host: None, port: None, token })
    }

    /// Writes the response of XOAUTH2.
    pub fn encode_xoauth2(&self, out: &mut impl BufMut) {
        out.put_slice(b"user=");
        out.put_slice(self.authzid().unwrap_or_default().as_bytes());
        self.put_auth(out);
    }

    fn put_auth(&self, out: &mut impl BufMut) {
        out.put_slice(b"\x01auth=Bearer ");
        out.put_slice(self.token.expose().as_bytes());
        out.put_slice(b"\x01\x01");
    }

    /// Whose mailbox the client wants.
    pub fn authzid(&self) -> Option<&str> {
        self.authzid.as_deref()
    }

    /// The host that the client believes to have reached.
    pub const fn host(&self) -> Option<&'a str> {
        self.host
    }

    /// The port that the client believes to have reached.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The token.
    pub const fn token(&self) -> &Token {
        &self.token
    }
}

impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request").field("authzid", &self.authzid).finish_non_exhaustive()
    }
}

impl Denial {
    /// Without more than the code.
    pub const fn new(status: Status) -> Self {
        Self { status, scope: None, configuration: None }
    }

    /// The scope that a token would have to have.
    pub fn scope(mut self, scope: &str) -> Result<Self, Invalid> {
        self.scope = Some(json_text(scope, "scope")?);
        Ok(self)
    }

    /// The address of a document of OpenID that tells where to get a token.
    pub fn openid_configuration(mut self, address: &str) -> Result<Self, Invalid> {
        self.configuration = Some(json_text(address, "address")?);
        Ok(self)
    }

    /// Writes it as JSON.
    pub fn encode(&self, out: &mut impl BufMut) {
        let mut put = |before: &str, value: &str| {
            for part in [before, "\"", value, "\""] {
                out.put_slice(part.as_bytes());
            }
        };
        put("{\"status\":", self.status.code());
        if let Some(scope) = &self.scope {
            put(",\"scope\":", scope);
        }
        if let Some(address) = &self.configuration {
            put(",\"openid-configuration\":", address);
        }
        out.put_slice(b"}");
    }
}

impl Status {
    /// As it is sent.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidToken => "invalid_token",
            Self::InsufficientScope => "insufficient_scope",
        }
    }
}

/// `Bearer`, in any case, and the token.
fn bearer(value: &str) -> Option<Token> {
    let (scheme, token) = value.split_once(' ')?;
    let token = token.trim_start_matches(' ');
    if scheme.eq_ignore_ascii_case("Bearer") { Token::new(token.to_owned()).ok() } else { None }
}

/// RFC 7628 §3.1: without leading zeros.
fn port_number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|octet| octet.is_ascii_digit());
    if digits && !text.starts_with('0') { text.parse().ok() } else { None }
}

/// Text that needs no escapes in JSON.
fn json_text(text: &str, what: &'static str) -> Result<String, Invalid> {
    let plain = |octet| matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\');
    match text.len() {
        1..=1_000 if text.bytes().all(plain) => Ok(text.to_owned()),
        _ => Err(Invalid::new(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc() {
        // RFC 7628 §4.1.
        let wire = "n,a=user@example.com,\u{1}host=server.example.com\u{1}port=143\u{1}\
                    auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\u{1}\u{1}";
        let request = Request::parse(wire.as_bytes()).unwrap();
        assert_eq!(request.authzid(), Some("user@example.com"));
        assert_eq!((request.host(), request.port()), (Some("server.example.com"), Some(143)));
        assert_eq!(request.token().expose(), "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==");
        let mut out = Vec::new();
        request.encode(&mut out);
        assert_eq!(str::from_utf8(&out).unwrap(), wire);
        assert!(!format!("{request:?}").contains("vF9dft4"));
    }

    #[test]
    fn broken_requests_are_refused() {
        for wire in [
            "",
            "\u{1}",
            "n,,\u{1}\u{1}",
            "n,,\u{1}auth=Bearer x\u{1}",
            "n,\u{1}auth=Bearer x\u{1}\u{1}",
            "p=tls-exporter,,\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,\u{1}auth=Basic x\u{1}\u{1}",
            "n,,\u{1}auth=Bearer \u{1}\u{1}",
            "n,,\u{1}auth=Bearer x\u{1}auth=Bearer y\u{1}\u{1}",
            "n,,\u{1}auth=Bearer x y\u{1}\u{1}",
            "n,,\u{1}port=0143\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,\u{1}port=65536\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,\u{1}h-t=x\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,\u{1}x=\0\u{1}auth=Bearer x\u{1}\u{1}",
            "n,,\u{1}auth=Bearer x\u{1}\u{1}\u{1}",
        ] {
            assert!(Request::parse(wire.as_bytes()).is_err(), "{wire:?}");
        }
        assert!(Request::parse(b"n,,\x01mthd=\x01auth=bEARER x\x01\x01").is_ok());
        for wire in [
            "",
            "user=a",
            "user=\u{1}auth=Bearer x\u{1}\u{1}",
            "user=a\u{1}auth=Bearer x\u{1}",
            "auth=Bearer x\u{1}\u{1}",
        ] {
            assert!(Request::parse_xoauth2(wire.as_bytes()).is_err(), "{wire:?}");
        }
    }

    #[test]
    fn a_denial_is_json() {
        let denial = Denial::new(Status::InvalidToken)
            .scope("mail")
            .unwrap()
            .openid_configuration("https://example.com/.well-known/openid-configuration")
            .unwrap();
        let mut out = Vec::new();
        denial.encode(&mut out);
        let expected = "{\"status\":\"invalid_token\",\"scope\":\"mail\",\
                        \"openid-configuration\":\"https://example.com/.well-known/openid-configuration\"}";
        assert_eq!(str::from_utf8(&out).unwrap(), expected);
        for text in ["", "a\"b", "a\\", "a\r\n", "\u{e4}"] {
            assert!(Denial::new(Status::InvalidRequest).scope(text).is_err());
        }
    }
}
