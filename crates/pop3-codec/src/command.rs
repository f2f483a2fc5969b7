//! Commands: type, parser, encoder.

use core::fmt;

use bytes::BufMut;

use crate::error::{CommandError, Invalid};
use crate::language::Language;

/// A command line, borrowed from the input ([RFC 1939 §4](https://www.rfc-editor.org/rfc/rfc1939#section-4) to §7).
///
/// Message numbers are as on the wire: they start at 1, and are not checked against a maildrop here.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// The name of the maildrop.
    User(UserName<'a>),
    /// Its password, which may hold spaces.
    Pass(Password<'a>),
    /// Number of messages and octets.
    Stat,
    /// Sizes, of one message or of all.
    List(Option<u32>),
    /// Unique ids, of one message or of all.
    Uidl(Option<u32>),
    /// A message.
    Retr(u32),
    /// The header of a message and the first lines of its body.
    Top(u32, u64),
    /// Marks a message as deleted.
    Dele(u32),
    /// Does nothing.
    Noop,
    /// Takes all marks back.
    Rset,
    /// Ends the session; after a login, deletes what is marked.
    Quit,
    /// What the server can do. RFC 2449.
    Capa,
    /// Begins TLS. RFC 2595.
    Stls,
    /// Begins a login by SASL. RFC 5034.
    Auth {
        /// The mechanism.
        mechanism: Mechanism,
        /// The mechanism's first message, if it came along.
        initial: Option<InitialResponse<'a>>,
    },
    /// Turns UTF-8 mode on. RFC 6856.
    Utf8,
    /// Chooses the language of what stands behind `+OK` and `-ERR`, or asks which ones there are. RFC 6856.
    Lang(Option<Language>),
}

/// The name of a SASL mechanism ([RFC 4422 §3.1](https://www.rfc-editor.org/rfc/rfc4422#section-3.1)).
///
/// `sasl-mech = 1*20mech-char`: upper-case letters, digits, hyphen, underscore.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Mechanism {
    octets: [u8; 20],
    length: u8,
}

impl Mechanism {
    /// Takes a name in any case.
    pub fn parse(name: &[u8]) -> Result<Self, Invalid> {
        const WHAT: &str = "mechanism";
        let known = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_');
        if let Some(offset) = name.iter().position(|octet| !known(octet)) {
            return Err(Invalid { what: WHAT, offset });
        }
        let mut octets = [0; 20];
        match (octets.get_mut(..name.len()), u8::try_from(name.len())) {
            (Some(room), Ok(length)) if length > 0 => {
                room.copy_from_slice(name);
                octets.make_ascii_uppercase();
                Ok(Self { octets, length })
            }
            _ => Err(Invalid { what: WHAT, offset: name.len().min(20) }),
        }
    }

    /// The name in upper case.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.octets[..usize::from(self.length)])
            .expect("letters, digits, hyphen and underscore")
    }
}

impl fmt::Debug for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The initial response of AUTH as it stands on the line: visible ASCII, base64 if the client keeps to the grammar. It does
/// not show itself in debug output.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct InitialResponse<'a>(&'a str);

impl<'a> InitialResponse<'a> {
    /// Takes the text if it can be sent.
    pub fn new(text: &'a str) -> Result<Self, Invalid> {
        match text.bytes().position(|octet| !octet.is_ascii_graphic()) {
            None if !text.is_empty() => Ok(Self(text)),
            bad => Err(Invalid { what: "initial response", offset: bad.unwrap_or(0) }),
        }
    }

    /// The text itself.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for InitialResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitialResponse(..)")
    }
}

/// The name of a maildrop: 1 to 248 octets without control characters, and without spaces at its ends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct UserName<'a>(&'a str);

impl<'a> UserName<'a> {
    /// Takes the name if it can be sent.
    pub fn new(name: &'a str) -> Result<Self, Invalid> {
        const WHAT: &str = "user name";
        let name = argument(name, WHAT)?;
        if name.starts_with(' ') {
            return Err(Invalid { what: WHAT, offset: 0 });
        }
        if name.ends_with(' ') {
            return Err(Invalid { what: WHAT, offset: name.len() - 1 });
        }
        Ok(Self(name))
    }

    /// The name itself.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

/// A password: 1 to 248 octets without control characters. It does not show itself in debug output.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Password<'a>(&'a str);

impl<'a> Password<'a> {
    /// Takes the password if it can be sent.
    pub fn new(password: &'a str) -> Result<Self, Invalid> {
        argument(password, "password").map(Self)
    }

    /// The password itself.
    pub const fn expose(&self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for Password<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(...)")
    }
}

impl<'a> Command<'a> {
    /// Parses a line whose CRLF has been removed.
    pub fn parse(line: &'a [u8]) -> Result<Self, CommandError> {
        if let Some(offset) = line.iter().position(u8::is_ascii_control) {
            return Err(CommandError::Syntax { offset });
        }
        let line =
            str::from_utf8(line).map_err(|error| CommandError::Syntax { offset: error.valid_up_to() })?;
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let start = line.len() - rest.len();
        let bad = CommandError::Argument { offset: start };
        let mut upper = [0; 4];
        let keyword = upper.get_mut(..word.len()).ok_or(CommandError::Unknown)?;
        keyword.copy_from_slice(word.as_bytes());
        keyword.make_ascii_uppercase();
        // Trailing spaces harm nobody, but in a password.
        let argument = rest.trim_matches(' ');
        let alone = |command| if argument.is_empty() { Ok(command) } else { Err(bad) };
        match &*keyword {
            // No longer than the limit of the line, which here is the reader's to choose.
            b"USER" if !argument.is_empty() => Ok(Self::User(UserName(argument))),
            // RFC 1939 §7: spaces in the argument of PASS are part of the password.
            b"PASS" if !rest.is_empty() => Ok(Self::Pass(Password(rest))),
            b"USER" | b"PASS" => Err(bad),
            b"STAT" => alone(Self::Stat),
            b"LIST" => Ok(Self::List(optional(argument).ok_or(bad)?)),
            b"UIDL" => Ok(Self::Uidl(optional(argument).ok_or(bad)?)),
            b"RETR" => Ok(Self::Retr(number(argument).ok_or(bad)?)),
            b"TOP" => {
                let (message, lines) = argument.split_once(' ').ok_or(bad)?;
                Ok(Self::Top(number(message).ok_or(bad)?, number(lines.trim_start()).ok_or(bad)?))
            }
            b"DELE" => Ok(Self::Dele(number(argument).ok_or(bad)?)),
            b"NOOP" => alone(Self::Noop),
            b"RSET" => alone(Self::Rset),
            b"QUIT" => alone(Self::Quit),
            b"CAPA" => alone(Self::Capa),
            b"STLS" => alone(Self::Stls),
            b"UTF8" => alone(Self::Utf8),
            b"LANG" if argument.is_empty() => Ok(Self::Lang(None)),
            b"LANG" => Language::new(argument).map(|range| Self::Lang(Some(range))).map_err(|_| bad),
            b"AUTH" => {
                let (mechanism, initial) = argument.split_once(' ').unwrap_or((argument, ""));
                let mechanism = Mechanism::parse(mechanism.as_bytes()).map_err(|_| bad)?;
                let initial = match initial.trim_start_matches(' ') {
                    "" => None,
                    text => Some(InitialResponse::new(text).map_err(|_| bad)?),
                };
                Ok(Self::Auth { mechanism, initial })
            }
            _ => Err(CommandError::Unknown),
        }
    }

    /// Writes the line with its CRLF.
    pub fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::User(name) => text("USER", name.as_str(), out),
            Self::Pass(password) => text("PASS", password.expose(), out),
            Self::Stat => numbers("STAT", [None, None], out),
            Self::List(message) => numbers("LIST", [message.map(u64::from), None], out),
            Self::Uidl(message) => numbers("UIDL", [message.map(u64::from), None], out),
            Self::Retr(message) => numbers("RETR", [Some((*message).into()), None], out),
            Self::Top(message, lines) => numbers("TOP", [Some((*message).into()), Some(*lines)], out),
            Self::Dele(message) => numbers("DELE", [Some((*message).into()), None], out),
            Self::Noop => numbers("NOOP", [None, None], out),
            Self::Rset => numbers("RSET", [None, None], out),
            Self::Quit => numbers("QUIT", [None, None], out),
            Self::Capa => numbers("CAPA", [None, None], out),
            Self::Stls => numbers("STLS", [None, None], out),
            Self::Utf8 => numbers("UTF8", [None, None], out),
            Self::Lang(None) => numbers("LANG", [None, None], out),
            Self::Lang(Some(range)) => text("LANG", range.as_str(), out),
            Self::Auth { mechanism, initial } => {
                out.put_slice(b"AUTH ");
                out.put_slice(mechanism.as_str().as_bytes());
                if let Some(initial) = initial {
                    out.put_u8(b' ');
                    out.put_slice(initial.as_str().as_bytes());
                }
                out.put_slice(b"\r\n");
            }
        }
    }
}

/// Whether the input begins as another protocol does that a browser or a confused client can be made to speak here.
///
/// It is asked before the line has ended: a first line of HTTP may be longer than any limit on lines.
pub(crate) fn is_foreign(input: &[u8]) -> bool {
    // The start of a TLS record with a handshake in it.
    if input.starts_with(b"SSH-") || input.starts_with(&[0x16, 0x03]) {
        return true;
    }
    let word = input.iter().take(FOREIGN_OCTETS).position(|octet| *octet == b' ').map(|end| &input[..end]);
    word.is_some_and(|word| FOREIGN.iter().any(|foreign| foreign.as_bytes() == word))
}

/// The methods of HTTP, WebDAV, RTSP and SIP; upper case as there.
const FOREIGN: [&str; 22] = [
    "GET",
    "POST",
    "PUT",
    "HEAD",
    "OPTIONS",
    "CONNECT",
    "DELETE",
    "PATCH",
    "TRACE",
    "PRI",
    "PROPFIND",
    "REPORT",
    "SEARCH",
    "DESCRIBE",
    "SETUP",
    "INVITE",
    "REGISTER",
    "SUBSCRIBE",
    "NOTIFY",
    "MESSAGE",
    "PUBLISH",
    "ACK",
];

/// The longest of them and its space.
const FOREIGN_OCTETS: usize = 10;

/// What may stand behind a keyword.
fn argument<'a>(text: &'a str, what: &'static str) -> Result<&'a str, Invalid> {
    let bad = text.bytes().position(|octet| octet.is_ascii_control());
    if bad.is_some() || text.is_empty() || text.len() > MAX_TEXT {
        return Err(Invalid { what, offset: bad.unwrap_or_else(|| text.len().min(MAX_TEXT)) });
    }
    Ok(text)
}

/// RFC 2449 §4: a command line has at most 255 octets; here without keyword, space and CRLF.
const MAX_TEXT: usize = 255 - "PASS ".len() - "\r\n".len();

/// Writes a line without a copy of its argument, which may be a secret.
fn text(keyword: &str, argument: &str, out: &mut impl BufMut) {
    out.put_slice(keyword.as_bytes());
    out.put_u8(b' ');
    out.put_slice(argument.as_bytes());
    out.put_slice(b"\r\n");
}

fn numbers(keyword: &str, arguments: [Option<u64>; 2], out: &mut impl BufMut) {
    out.put_slice(keyword.as_bytes());
    for number in arguments.into_iter().flatten() {
        out.put_u8(b' ');
        out.put_slice(number.to_string().as_bytes());
    }
    out.put_slice(b"\r\n");
}

fn optional(argument: &str) -> Option<Option<u32>> {
    if argument.is_empty() { Some(None) } else { number(argument).map(Some) }
}

/// A decimal number that fits.
pub(crate) fn number<N: core::str::FromStr>(digits: &str) -> Option<N> {
    // `parse` would take a leading plus.
    if digits.bytes().all(|octet| octet.is_ascii_digit()) { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_back_as_written() {
        for line in [
            "USER somebody@example.test",
            "PASS two words ",
            "STAT",
            "LIST",
            "LIST 3",
            "UIDL",
            "UIDL 4294967295",
            "RETR 1",
            "TOP 1 0",
            "DELE 2",
            "NOOP",
            "RSET",
            "QUIT",
            "CAPA",
            "STLS",
            "UTF8",
            "LANG",
            "LANG *",
            "LANG en-GB",
        ] {
            let mut out = Vec::new();
            Command::parse(line.as_bytes()).expect(line).encode(&mut out);
            assert_eq!(String::from_utf8(out).expect("ASCII"), format!("{line}\r\n"));
        }
        assert_eq!(Command::parse(b"retr 007 "), Ok(Command::Retr(7)));
    }

    #[test]
    fn errors_say_what_and_where() {
        use CommandError::*;
        for (line, expected) in [
            ("", Unknown),
            ("XTND", Unknown),
            ("XTNDX", Unknown),
            ("USER", Argument { offset: 4 }),
            ("PASS", Argument { offset: 4 }),
            ("RETR", Argument { offset: 4 }),
            ("RETR x", Argument { offset: 5 }),
            ("RETR +1", Argument { offset: 5 }),
            ("RETR 4294967296", Argument { offset: 5 }),
            ("RETR 1 2", Argument { offset: 5 }),
            ("TOP 1", Argument { offset: 4 }),
            ("TOP 1 -1", Argument { offset: 4 }),
            ("STAT x", Argument { offset: 5 }),
            ("UTF8 x", Argument { offset: 5 }),
            ("LANG 1", Argument { offset: 5 }),
            ("LANG en de", Argument { offset: 5 }),
            ("NOOP\r", Syntax { offset: 4 }),
            ("USER a\0b", Syntax { offset: 6 }),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Err(expected), "{line:?}");
        }
        assert_eq!(Command::parse(b"USER \xff"), Err(Syntax { offset: 5 }));
    }

    #[test]
    fn passwords_do_not_show_themselves() {
        assert!(!format!("{:?}", Command::parse(b"PASS secret")).contains("secret"));
    }

    #[test]
    fn names_and_passwords_cannot_smuggle_a_line() {
        for text in ["", "a\rb", "a\nb", "a\0b", "\r\nDELE 1", "\u{7f}", "\t"] {
            assert!(UserName::new(text).is_err(), "{text:?}");
            assert!(Password::new(text).is_err(), "{text:?}");
        }
        assert!(UserName::new(" a").is_err(), "the reader would cut the space off");
        assert!(UserName::new("a ").is_err(), "the reader would cut the space off");
        assert!(Password::new(" a ").is_ok());
        assert!(Password::new(&"x".repeat(248)).is_ok());
        assert_eq!(Password::new(&"x".repeat(249)).map_err(|error| error.offset()), Err(248));
    }

    #[test]
    fn other_protocols_are_known_by_their_first_word() {
        let long = format!("GET /{}", "x".repeat(4000));
        for line in ["GET / HTTP/1.1", "POST ", &long, "INVITE sip:a@b SIP/2.0", "SUBSCRIBE x", "SSH-2.0-x"] {
            assert!(is_foreign(line.as_bytes()), "{line:?}");
        }
        assert!(is_foreign(b"\x16\x03\x01\x02\x00\x01"));
        for line in ["", "GET", "GETX /", "USER GET", "get 1", "CAPA", "QUIT", " GET /", "SSH"] {
            assert!(!is_foreign(line.as_bytes()), "{line:?}");
        }
    }
}
