//! Commands: type, parser, encoder.

use core::fmt;

use bytes::BufMut;

use crate::error::CommandError;

/// A command line, borrowed from the input ([RFC 1939 §4](https://www.rfc-editor.org/rfc/rfc1939#section-4) to §7).
///
/// Message numbers are as on the wire: they start at 1, and are not checked against a maildrop here.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// The name of the maildrop.
    User(&'a str),
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
}

/// A password, which does not show itself in debug output.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Password<'a>(pub(crate) &'a str);

impl<'a> Password<'a> {
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
            b"USER" if !argument.is_empty() => Ok(Self::User(argument)),
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
            _ => Err(CommandError::Unknown),
        }
    }

    /// Writes the line with its CRLF.
    pub fn encode(&self, out: &mut impl BufMut) {
        let mut line = |keyword: &str, argument: fmt::Arguments<'_>| {
            let argument = argument.to_string();
            out.put_slice(keyword.as_bytes());
            if !argument.is_empty() {
                out.put_u8(b' ');
                out.put_slice(argument.as_bytes());
            }
            out.put_slice(b"\r\n");
        };
        match self {
            Self::User(name) => line("USER", format_args!("{name}")),
            Self::Pass(password) => line("PASS", format_args!("{}", password.expose())),
            Self::Stat => line("STAT", format_args!("")),
            Self::List(None) => line("LIST", format_args!("")),
            Self::List(Some(message)) => line("LIST", format_args!("{message}")),
            Self::Uidl(None) => line("UIDL", format_args!("")),
            Self::Uidl(Some(message)) => line("UIDL", format_args!("{message}")),
            Self::Retr(message) => line("RETR", format_args!("{message}")),
            Self::Top(message, lines) => line("TOP", format_args!("{message} {lines}")),
            Self::Dele(message) => line("DELE", format_args!("{message}")),
            Self::Noop => line("NOOP", format_args!("")),
            Self::Rset => line("RSET", format_args!("")),
            Self::Quit => line("QUIT", format_args!("")),
            Self::Capa => line("CAPA", format_args!("")),
            Self::Stls => line("STLS", format_args!("")),
        }
    }
}

/// Whether the line is the first of another protocol, which a browser can be made to send here.
pub(crate) fn is_foreign(line: &[u8]) -> bool {
    let word = line.split(|octet| *octet == b' ').next().unwrap_or_default();
    [&b"GET"[..], b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"DELETE", b"PATCH", b"TRACE"]
        .contains(&word)
        || line.starts_with(&[0x16, 0x03])
}

fn optional(argument: &str) -> Option<Option<u32>> {
    if argument.is_empty() { Some(None) } else { number(argument).map(Some) }
}

fn number<N: core::str::FromStr>(argument: &str) -> Option<N> {
    // `parse` would take a leading plus.
    if argument.bytes().all(|octet| octet.is_ascii_digit()) { argument.parse().ok() } else { None }
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
}
