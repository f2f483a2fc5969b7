//! Single-line responses: a status, a response code, and text.

use std::borrow::Cow;

use bytes::BufMut;

use crate::error::{Invalid, ResponseError};

/// The first line of a response ([RFC 1939 §3](https://www.rfc-editor.org/rfc/rfc1939#section-3)).
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Reply {
    status: Status,
    text: Cow<'static, str>,
}

/// `+OK`, or `-ERR` with the code that says why
/// ([RFC 2449 §8](https://www.rfc-editor.org/rfc/rfc2449#section-8), [RFC 3206](https://www.rfc-editor.org/rfc/rfc3206)).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Status {
    /// `+OK`.
    Ok,
    /// `-ERR` without a code.
    Err,
    /// `-ERR [LOGIN-DELAY]`: the last login was too short a time ago.
    LoginDelay,
    /// `-ERR [IN-USE]`: another session holds the maildrop.
    InUse,
    /// `-ERR [AUTH]`: name or password is wrong.
    Auth,
    /// `-ERR [SYS/TEMP]`: a failure of ours that may pass.
    SysTemp,
    /// `-ERR [SYS/PERM]`: a failure of ours that somebody has to mend.
    SysPerm,
    /// `-ERR [UTF8]`: the message can be had in UTF-8 mode only
    /// ([RFC 6856 §5](https://www.rfc-editor.org/rfc/rfc6856#section-5)).
    Utf8,
}

macro_rules! replies {
    ($($(#[$doc:meta])* $name:ident = $status:ident $text:literal;)*) => {
        impl Reply {
            $($(#[$doc])* pub const $name: Self = Self::fixed(Status::$status, $text);)*
        }
    };
}

replies! {
    /// Done.
    OK = Ok "";
    /// To QUIT. RFC 1939 §5.
    GOODBYE = Ok "goodbye";
    /// To a name, whether it exists or not. RFC 1939 §13 warns of telling.
    SEND_PASS = Ok "send PASS";
    /// To STLS. RFC 2595 §4.
    BEGIN_TLS = Ok "begin TLS";
    /// A message follows.
    MESSAGE_FOLLOWS = Ok "message follows";
    /// A list follows.
    LIST_FOLLOWS = Ok "list follows";

    /// To UTF8. RFC 6856 §2.1.
    UTF8 = Ok "UTF-8 it is";
    /// To LANG with a range; the tag comes first. RFC 6856 §3.2.
    ENGLISH = Ok "en English it is";
    /// To LANG without one.
    LANGUAGES_FOLLOW = Ok "languages follow";

    /// Name or password is wrong. RFC 3206 §5.
    AUTH_FAILED = Auth "wrong name or password";
    /// Another session holds the maildrop. RFC 1939 §4, RFC 2449 §8.1.2.
    IN_USE = InUse "mailbox is open in another session";
    /// A failure here; also what an event means that nobody answered. RFC 3206 §4.
    LOCAL_ERROR = SysTemp "local error, try again later";
    /// We are stopping.
    SHUTTING_DOWN = SysTemp "stopping, come back later";
    /// The peer's address has too many connections.
    TOO_MANY_CONNECTIONS = SysTemp "too many connections from your address";
    /// Deletions could not be done. RFC 1939 §6.
    NOT_DELETED = SysTemp "some messages were not removed";
    /// TLS cannot be had.
    TLS_NOT_AVAILABLE = SysTemp "TLS is not available now";
    /// Passwords need TLS here. RFC 8314 §3.
    TLS_REQUIRED = Err "send STLS first";
    /// A message that needs UTF-8 mode, from a host that makes no surrogates. RFC 6856 §5.
    UTF8_NEEDED = Utf8 "send UTF8 before the login";
    /// A language that we do not speak. RFC 6856 §3.2.
    NO_SUCH_LANGUAGE = Err "no such language";
    /// A line longer than the limit.
    LINE_TOO_LONG = Err "line too long";
    /// A command line that ended in LF alone.
    BARE_LF = Err "a line ends in CR LF";
    /// Something in the line is not POP3.
    SYNTAX_ERROR = Err "syntax error";
    /// A keyword we do not know.
    UNKNOWN_COMMAND = Err "unknown command";
    /// An argument is malformed.
    BAD_ARGUMENT = Err "bad argument";
    /// A mechanism that was not announced. RFC 5034 §4.
    UNKNOWN_MECHANISM = Err "unknown mechanism";
    /// The client has cancelled AUTH. RFC 5034 §4.
    AUTH_CANCELLED = Err "login cancelled";
    /// A response that is not base64. RFC 5034 §4.
    BAD_BASE64 = Err "not base64";
    /// A command at the wrong time.
    NOT_NOW = Err "not now";
    /// No message of that number, or it is marked as deleted.
    NO_SUCH_MESSAGE = Err "no such message";
    /// The peer made too many mistakes.
    TOO_MANY_ERRORS = Err "too many errors";
    /// The peer speaks HTTP or another protocol.
    NOT_POP3 = Err "this is POP3";
}

impl Reply {
    /// A response with text of one's own: at most 400 octets of printable ASCII.
    pub fn new(status: Status, text: impl Into<Cow<'static, str>>) -> Result<Self, Invalid> {
        let text = text.into();
        match text_error(text.as_bytes()) {
            Some(offset) => Err(Invalid { what: "response text", offset }),
            None => Ok(Self { status, text }),
        }
    }

    const fn fixed(status: Status, text: &'static str) -> Self {
        assert!(text_error(text.as_bytes()).is_none());
        Self { status, text: Cow::Borrowed(text) }
    }

    /// What it says.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// The text behind it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it says no.
    pub const fn is_negative(&self) -> bool {
        !matches!(self.status, Status::Ok)
    }

    /// Writes it in wire form.
    pub fn encode(&self, out: &mut impl BufMut) {
        out.put_slice(self.status.as_str().as_bytes());
        if !self.text.is_empty() {
            out.put_u8(b' ');
            out.put_slice(self.text.as_bytes());
        }
        out.put_slice(b"\r\n");
    }
}

/// The first line of a response as a server sent it, borrowed from the input.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct StatusLine<'a> {
    status: Status,
    code: Option<&'a str>,
    text: &'a [u8],
}

impl<'a> StatusLine<'a> {
    /// Parses a line whose CRLF has been removed.
    pub fn parse(line: &'a [u8]) -> Result<Self, ResponseError> {
        let (positive, rest) = match (line.strip_prefix(b"+OK"), line.strip_prefix(b"-ERR")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(ResponseError::Status),
        };
        let text = match rest {
            [] => rest,
            [b' ', text @ ..] => text,
            _ => return Err(ResponseError::Status),
        };
        let code = code(text);
        let text = code.map_or(text, |code| {
            let behind = &text[code.len() + "[]".len()..];
            behind.strip_prefix(b" ").unwrap_or(behind)
        });
        // RFC 2449 §8: detail that is not known is left out of account.
        let known = |name: &str| {
            let (head, detail) = code.and_then(|code| code.split_at_checked(name.len())).unwrap_or_default();
            head.eq_ignore_ascii_case(name) && (detail.is_empty() || detail.starts_with('/'))
        };
        let status = match () {
            () if positive => Status::Ok,
            () if known("LOGIN-DELAY") => Status::LoginDelay,
            () if known("IN-USE") => Status::InUse,
            () if known("AUTH") => Status::Auth,
            () if known("SYS/TEMP") => Status::SysTemp,
            () if known("SYS/PERM") => Status::SysPerm,
            () if known("UTF8") => Status::Utf8,
            () => Status::Err,
        };
        Ok(Self { status, code, text })
    }

    /// What it says. A code that is not known here says no more than `-ERR` does.
    pub const fn status(&self) -> Status {
        self.status
    }

    /// Whether it says no.
    pub const fn is_negative(&self) -> bool {
        !matches!(self.status, Status::Ok)
    }

    /// The response code, without its brackets.
    pub const fn code(&self) -> Option<&'a str> {
        self.code
    }

    /// The text behind the code: whatever octets the server sent, but for CR LF.
    pub const fn text(&self) -> &'a [u8] {
        self.text
    }
}

/// RFC 2449 §8: a response code stands in brackets at the start of the text.
fn code(text: &[u8]) -> Option<&str> {
    let rest = text.strip_prefix(b"[")?;
    let code = &rest[..rest.iter().position(|octet| *octet == b']')?];
    if code.is_empty() || !code.iter().all(|octet| octet.is_ascii_graphic() && *octet != b'[') {
        return None;
    }
    str::from_utf8(code).ok()
}

impl Status {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "+OK",
            Self::Err => "-ERR",
            Self::LoginDelay => "-ERR [LOGIN-DELAY]",
            Self::InUse => "-ERR [IN-USE]",
            Self::Auth => "-ERR [AUTH]",
            Self::SysTemp => "-ERR [SYS/TEMP]",
            Self::SysPerm => "-ERR [SYS/PERM]",
            Self::Utf8 => "-ERR [UTF8]",
        }
    }
}

const fn text_error(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    while at < text.len() {
        // A "[" at the start would be read as a response code.
        let stray_code = at == 0 && text[at] == b'[';
        if !(text[at] >= b' ' && text[at] < 127) || stray_code || at >= MAX_TEXT {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// RFC 1939 §3: a response has at most 512 octets, CRLF included.
const MAX_TEXT: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn responses_carry_their_code() {
        let wire = |reply: &Reply| {
            let mut out = Vec::new();
            reply.encode(&mut out);
            String::from_utf8(out).expect("responses are ASCII")
        };
        assert_eq!(wire(&Reply::OK), "+OK\r\n");
        assert_eq!(wire(&Reply::IN_USE), "-ERR [IN-USE] mailbox is open in another session\r\n");
    }

    #[test]
    fn text_cannot_smuggle_a_line_end_or_a_code() {
        for text in ["a\rb", "a\nb", "a\0", "\u{e9}", "[AUTH] x"] {
            assert!(Reply::new(Status::Err, text).is_err(), "{text:?}");
        }
        assert!(Reply::new(Status::Err, "x".repeat(401)).is_err());
    }

    #[test]
    fn status_lines_are_read_with_their_codes() {
        for (line, status, code, text) in [
            ("+OK", Status::Ok, None, ""),
            ("+OK ready", Status::Ok, None, "ready"),
            ("-ERR", Status::Err, None, ""),
            (
                "-ERR [IN-USE] Do you have another POP session running?",
                Status::InUse,
                Some("IN-USE"),
                "Do you have another POP session running?",
            ),
            ("-ERR [sys/temp]x", Status::SysTemp, Some("sys/temp"), "x"),
            ("-ERR [utf8] y", Status::Utf8, Some("utf8"), "y"),
            ("-ERR [IN-USE/BY/IMAP] y", Status::InUse, Some("IN-USE/BY/IMAP"), "y"),
            ("-ERR [SYS/TEMP/] y", Status::SysTemp, Some("SYS/TEMP/"), "y"),
            ("-ERR [AUTHX] y", Status::Err, Some("AUTHX"), "y"),
            ("-ERR [SYS/OTHER] y", Status::Err, Some("SYS/OTHER"), "y"),
            ("-ERR [LOGIN-DELAY] z", Status::LoginDelay, Some("LOGIN-DELAY"), "z"),
            ("-ERR [no end", Status::Err, None, "[no end"),
            ("-ERR [] x", Status::Err, None, "[] x"),
            ("-ERR [a b] x", Status::Err, None, "[a b] x"),
        ] {
            let read = StatusLine::parse(line.as_bytes()).expect(line);
            assert_eq!(
                (read.status(), read.code(), read.text()),
                (status, code, text.as_bytes()),
                "{line:?}"
            );
        }
        for line in ["", "+", "+ok", "+OKAY", "-ERRX", " +OK", "220 smtp", "* OK imap", "+OK\0"] {
            assert_eq!(StatusLine::parse(line.as_bytes()), Err(ResponseError::Status), "{line:?}");
        }
    }
}
