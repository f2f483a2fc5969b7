//! Commands: type, parser, encoder.

use core::fmt;

use bytes::BufMut;

use crate::address::{Domain, ForwardPath, ReversePath};
use crate::error::{CommandError, Invalid};
use crate::extension::Mechanism;
use crate::reply::put_number;

/// A command line, borrowed from the input ([RFC 5321 §4.1.1](https://www.rfc-editor.org/rfc/rfc5321#section-4.1.1)).
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Command<'a> {
    /// Who the client says it is; asks for extensions.
    Ehlo(Domain<'a>),
    /// Who the client says it is; wants no extensions.
    Helo(Domain<'a>),
    /// Begins a mail transaction.
    Mail(ReversePath<'a>, MailParameters),
    /// Adds a recipient.
    Rcpt(ForwardPath<'a>),
    /// Begins the message.
    Data,
    /// Ends the transaction.
    Rset,
    /// Does nothing.
    Noop,
    /// Asks whether a user or mailbox exists.
    Vrfy(Text<'a>),
    /// Asks what the server understands.
    Help,
    /// Ends the session.
    Quit,
    /// Begins TLS. RFC 3207.
    StartTls,
    /// Begins a login. RFC 4954.
    Auth {
        /// How.
        mechanism: Mechanism,
        /// The initial response, still in base64; `=` is an empty one.
        initial: Option<InitialResponse<'a>>,
    },
}

/// Text that stands at the end of a command line: not empty, without control characters but tabs, and without white
/// space that the parser would not give back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Text<'a>(&'a str);

/// The initial response of AUTH as it stands on the line: visible ASCII, base64 if the client keeps to the grammar.
///
/// It holds a secret, so `Debug` does not show it.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct InitialResponse<'a>(&'a str);

/// The parameters of MAIL.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct MailParameters {
    /// The size of the message that the client announces, in octets. RFC 1870.
    pub size: Option<u64>,
    /// What the body may hold. RFC 6152.
    pub body: Option<Body>,
    /// Header or addresses may have letters beyond ASCII. RFC 6531. Clients send it; servers here do not know it.
    pub smtp_utf8: bool,
}

/// The value of BODY ([RFC 6152 §2](https://www.rfc-editor.org/rfc/rfc6152#section-2)).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Body {
    /// ASCII only.
    SevenBit,
    /// Any octets, in lines.
    EightBitMime,
}

impl<'a> Command<'a> {
    /// Parses a line whose CRLF has been removed.
    pub fn parse(line: &'a [u8]) -> Result<Self, CommandError> {
        // RFC 5321 §4.1.1: trailing white space SHOULD be tolerated.
        let length = line.iter().rposition(|octet| !matches!(octet, b' ' | b'\t')).map_or(0, |last| last + 1);
        let line = &line[..length];
        let bad = |octet: &u8| octet.is_ascii_control() && *octet != b'\t';
        // Without an early way out, many octets are looked at together; which one it was matters only when there is one.
        if line.iter().fold(false, |any, octet| any | bad(octet)) {
            let offset = line.iter().position(bad).unwrap_or_default();
            return Err(CommandError::Syntax { offset });
        }
        let end = line.iter().position(|octet| *octet == b' ').unwrap_or(line.len());
        let verb = Verb::parse(&line[..end])?;
        let start = end + line[end..].iter().take_while(|octet| **octet == b' ').count();
        let rest = &line[start..];
        let alone = |command| {
            if rest.is_empty() { Ok(command) } else { Err(CommandError::Argument { offset: start }) }
        };
        match verb {
            Verb::Ehlo => Ok(Self::Ehlo(parse_name(rest, start)?)),
            Verb::Helo => Ok(Self::Helo(parse_name(rest, start)?)),
            Verb::Mail => parse_mail(rest, start),
            Verb::Rcpt => parse_rcpt(rest, start),
            Verb::Data => alone(Self::Data),
            Verb::Rset => alone(Self::Rset),
            Verb::Noop => Ok(Self::Noop),
            Verb::Vrfy => match str::from_utf8(rest).map(Text::try_from) {
                Ok(Ok(name)) => Ok(Self::Vrfy(name)),
                _ => Err(CommandError::Argument { offset: start }),
            },
            Verb::Help => Ok(Self::Help),
            Verb::Quit => alone(Self::Quit),
            Verb::StartTls => alone(Self::StartTls),
            Verb::Auth => parse_auth(rest, start),
            Verb::Expn => Err(CommandError::NotImplemented),
        }
    }

    /// Writes the line with its CRLF.
    pub fn encode(&self, out: &mut impl BufMut) {
        match self {
            Self::Ehlo(name) => put(out, &[b"EHLO ", name.as_str().as_bytes()]),
            Self::Helo(name) => put(out, &[b"HELO ", name.as_str().as_bytes()]),
            Self::Mail(from, parameters) => {
                out.put_slice(b"MAIL FROM:");
                from.encode(out);
                parameters.encode(out);
            }
            Self::Rcpt(to) => {
                out.put_slice(b"RCPT TO:");
                to.encode(out);
            }
            Self::Data => out.put_slice(b"DATA"),
            Self::Rset => out.put_slice(b"RSET"),
            Self::Noop => out.put_slice(b"NOOP"),
            Self::Vrfy(name) => put(out, &[b"VRFY ", name.as_str().as_bytes()]),
            Self::Help => out.put_slice(b"HELP"),
            Self::Quit => out.put_slice(b"QUIT"),
            Self::StartTls => out.put_slice(b"STARTTLS"),
            Self::Auth { mechanism, initial } => {
                put(out, &[b"AUTH ", mechanism.as_str().as_bytes()]);
                if let Some(initial) = initial {
                    put(out, &[b" ", initial.as_str().as_bytes()]);
                }
            }
        }
        out.put_slice(b"\r\n");
    }
}

impl<'a> TryFrom<&'a str> for Text<'a> {
    type Error = Invalid;

    fn try_from(text: &'a str) -> Result<Self, Invalid> {
        let error = |offset| Err(Invalid { what: "text", offset });
        match text.as_bytes() {
            [] | [b' ', ..] => error(0),
            [.., b' ' | b'\t'] => error(text.len() - 1),
            octets => match octets.iter().position(|octet| octet.is_ascii_control() && *octet != b'\t') {
                Some(offset) => error(offset),
                None => Ok(Self(text)),
            },
        }
    }
}

impl<'a> Text<'a> {
    /// The text.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

impl<'a> TryFrom<&'a str> for InitialResponse<'a> {
    type Error = Invalid;

    fn try_from(text: &'a str) -> Result<Self, Invalid> {
        match text.bytes().position(|octet| !octet.is_ascii_graphic()) {
            Some(offset) => Err(Invalid { what: "initial response", offset }),
            None if text.is_empty() => Err(Invalid { what: "initial response", offset: 0 }),
            None => Ok(Self(text)),
        }
    }
}

impl<'a> InitialResponse<'a> {
    /// The response as it stands on the line.
    pub const fn as_str(&self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for InitialResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InitialResponse(..)")
    }
}

impl MailParameters {
    fn encode(self, out: &mut impl BufMut) {
        if let Some(size) = self.size {
            out.put_slice(b" SIZE=");
            put_number(size, out);
        }
        match self.body {
            Some(Body::SevenBit) => out.put_slice(b" BODY=7BIT"),
            Some(Body::EightBitMime) => out.put_slice(b" BODY=8BITMIME"),
            None => {}
        }
        if self.smtp_utf8 {
            out.put_slice(b" SMTPUTF8");
        }
    }
}

enum Verb {
    Auth,
    Data,
    Ehlo,
    Expn,
    Helo,
    Help,
    Mail,
    Noop,
    Quit,
    Rcpt,
    Rset,
    StartTls,
    Vrfy,
}

impl Verb {
    fn parse(word: &[u8]) -> Result<Self, CommandError> {
        let mut upper = [0; 8];
        let Some(verb) = upper.get_mut(..word.len()) else {
            return Err(CommandError::Unknown);
        };
        verb.copy_from_slice(word);
        verb.make_ascii_uppercase();
        Ok(match &*verb {
            b"AUTH" => Self::Auth,
            b"DATA" => Self::Data,
            b"EHLO" => Self::Ehlo,
            b"EXPN" => Self::Expn,
            b"HELO" => Self::Helo,
            b"HELP" => Self::Help,
            b"MAIL" => Self::Mail,
            b"NOOP" => Self::Noop,
            b"QUIT" => Self::Quit,
            b"RCPT" => Self::Rcpt,
            b"RSET" => Self::Rset,
            b"STARTTLS" => Self::StartTls,
            b"VRFY" => Self::Vrfy,
            _ => return Err(CommandError::Unknown),
        })
    }
}

/// Whether the line is the first of another protocol, which a browser can be made to send here.
pub(crate) fn is_foreign(line: &[u8]) -> bool {
    let mut words = line.split(|octet| *octet == b' ');
    let first = words.next().unwrap_or_default();
    let last = words.next_back().unwrap_or_default();
    FOREIGN_VERBS.contains(&first)
        || [&b"HTTP/"[..], b"SIP/", b"RTSP/"].iter().any(|protocol| last.starts_with(protocol))
        || first.starts_with(b"SSH-")
        || is_tls(line)
}

/// The same for the beginning of a line whose end has not come, and may be far.
pub(crate) fn begins_foreign(unread: &[u8]) -> bool {
    is_tls(unread)
        || FOREIGN_VERBS
            .iter()
            .any(|verb| unread.strip_prefix(*verb).is_some_and(|rest| rest.starts_with(b" ")))
}

/// A TLS client hello: the peer took this port for one with implicit TLS.
fn is_tls(octets: &[u8]) -> bool {
    octets.starts_with(&[0x16, 0x03])
}

fn parse_name(rest: &[u8], start: usize) -> Result<Domain<'_>, CommandError> {
    Domain::from_octets(rest).map_err(|error| CommandError::Argument { offset: start + error.offset })
}

fn parse_mail(rest: &[u8], start: usize) -> Result<Command<'_>, CommandError> {
    let path = after_keyword(rest, b"FROM:").ok_or(CommandError::Sender { offset: start })?;
    let (from, mut at) = ReversePath::parse(&rest[path..])
        .map_err(|error| path_error(rest, start, path, error, |offset| CommandError::Sender { offset }))?;
    at += path;
    let mut parameters = MailParameters::default();
    let mut seen_auth = false;
    while let Some((keyword, value, offset)) = next_parameter(rest, &mut at, start)? {
        let bad = CommandError::Parameter { offset };
        if keyword.eq_ignore_ascii_case(b"SIZE") {
            set_once(&mut parameters.size, parse_size(value).ok_or(bad)?, bad)?;
        } else if keyword.eq_ignore_ascii_case(b"BODY") {
            set_once(&mut parameters.body, parse_body(value).ok_or(bad)?, bad)?;
        } else if keyword.eq_ignore_ascii_case(b"AUTH") {
            // RFC 4954 §5: MUST be parsed wherever AUTH is announced; who we do not trust is taken for "<>".
            if core::mem::replace(&mut seen_auth, true) || !is_xtext(value) {
                return Err(bad);
            }
        } else {
            return Err(CommandError::UnknownParameter { offset });
        }
    }
    Ok(Command::Mail(from, parameters))
}

fn parse_rcpt(rest: &[u8], start: usize) -> Result<Command<'_>, CommandError> {
    let path = after_keyword(rest, b"TO:").ok_or(CommandError::Recipient { offset: start })?;
    let (to, mut at) = ForwardPath::parse(&rest[path..])
        .map_err(|error| path_error(rest, start, path, error, |offset| CommandError::Recipient { offset }))?;
    at += path;
    match next_parameter(rest, &mut at, start)? {
        Some((_, _, offset)) => Err(CommandError::UnknownParameter { offset }),
        None => Ok(Command::Rcpt(to)),
    }
}

fn parse_auth(rest: &[u8], start: usize) -> Result<Command<'_>, CommandError> {
    let end = rest.iter().position(|octet| *octet == b' ').unwrap_or(rest.len());
    let mechanism = Mechanism::parse(&rest[..end])
        .map_err(|error| CommandError::Argument { offset: start + error.offset })?;
    let initial = match rest.get(end + 1..) {
        None => None,
        Some(text) => match str::from_utf8(text).map(InitialResponse::try_from) {
            Ok(Ok(initial)) => Some(initial),
            _ => return Err(CommandError::Argument { offset: start + end + 1 }),
        },
    };
    Ok(Command::Auth { mechanism, initial })
}

/// The offset behind the keyword and the spaces that some clients put there.
fn after_keyword(rest: &[u8], keyword: &[u8]) -> Option<usize> {
    let matches = rest.len() >= keyword.len() && rest[..keyword.len()].eq_ignore_ascii_case(keyword);
    // Deviates from RFC 5321 §3.3: "MAIL FROM: <" is not grammatical, but common.
    matches.then(|| keyword.len() + rest[keyword.len()..].iter().take_while(|octet| **octet == b' ').count())
}

fn path_error(
    rest: &[u8],
    start: usize,
    path: usize,
    error: Invalid,
    make: fn(usize) -> CommandError,
) -> CommandError {
    let offset = path + error.offset;
    match rest.get(offset) {
        Some(octet) if !octet.is_ascii() => CommandError::NotAscii { offset: start + offset },
        _ => make(start + offset),
    }
}

/// `esmtp-param = esmtp-keyword ["=" esmtp-value]`, each behind a space.
type Parameter<'a> = (&'a [u8], &'a [u8], usize);

fn next_parameter<'a>(
    rest: &'a [u8],
    at: &mut usize,
    start: usize,
) -> Result<Option<Parameter<'a>>, CommandError> {
    if *at == rest.len() {
        return Ok(None);
    }
    if rest[*at] != b' ' {
        return Err(CommandError::Argument { offset: start + *at });
    }
    *at += rest[*at..].iter().take_while(|octet| **octet == b' ').count();
    let begin = *at;
    *at += rest[begin..].iter().take_while(|octet| **octet != b' ').count();
    let parameter = &rest[begin..*at];
    let (keyword, value) = match parameter.iter().position(|octet| *octet == b'=') {
        Some(equals) => (&parameter[..equals], &parameter[equals + 1..]),
        None => (parameter, &[][..]),
    };
    let good = keyword.first().is_some_and(u8::is_ascii_alphanumeric)
        && keyword.iter().all(|octet| octet.is_ascii_alphanumeric() || *octet == b'-');
    if good {
        Ok(Some((keyword, value, start + begin)))
    } else {
        Err(CommandError::Argument { offset: start + begin })
    }
}

fn set_once<T>(slot: &mut Option<T>, value: T, twice: CommandError) -> Result<(), CommandError> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice),
    }
}

/// `size-value ::= 1*20DIGIT`. What is larger than 64 bits is too large for anybody.
fn parse_size(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 20 || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        value.iter().fold(0_u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'))),
    )
}

fn parse_body(value: &[u8]) -> Option<Body> {
    if value.eq_ignore_ascii_case(b"7BIT") {
        Some(Body::SevenBit)
    } else if value.eq_ignore_ascii_case(b"8BITMIME") {
        Some(Body::EightBitMime)
    } else {
        None
    }
}

/// `xtext = *( xchar / hexchar )`, RFC 3461 §4.
fn is_xtext(value: &[u8]) -> bool {
    let mut octets = value.iter();
    let hex = |octet: Option<&u8>| octet.is_some_and(|octet| matches!(octet, b'0'..=b'9' | b'A'..=b'F'));
    while let Some(octet) = octets.next() {
        match octet {
            b'+' if hex(octets.next()) && hex(octets.next()) => {}
            b'!'..=b'*' | b','..=b'<' | b'>'..=b'~' => {}
            _ => return false,
        }
    }
    !value.is_empty()
}

fn put(out: &mut impl BufMut, parts: &[&[u8]]) {
    for part in parts {
        out.put_slice(part);
    }
}

/// Of HTTP, FTP and POP3.
const FOREIGN_VERBS: &[&[u8]] =
    &[b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"CONNECT", b"DELETE", b"PATCH", b"TRACE", b"USER"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_read_back_as_written() {
        for line in [
            "EHLO client.example.test",
            "HELO [127.0.0.1]",
            "EHLO my_laptop",
            "MAIL FROM:<>",
            "MAIL FROM:<a@b.test> SIZE=1000 BODY=8BITMIME",
            "RCPT TO:<\"a b\"@c.test>",
            "RCPT TO:<Postmaster>",
            "DATA",
            "RSET",
            "NOOP",
            "HELP",
            "VRFY some body",
            "QUIT",
            "STARTTLS",
            "AUTH PLAIN",
            "AUTH PLAIN =",
            "AUTH LOGIN dXNlcg==",
        ] {
            let mut out = Vec::new();
            Command::parse(line.as_bytes()).expect(line).encode(&mut out);
            assert_eq!(String::from_utf8(out).expect("ASCII"), format!("{line}\r\n"));
        }
    }

    #[test]
    fn what_clients_really_send_is_tolerated() {
        for line in [
            "mail from: <a@b>",
            "MAIL FROM:<a@b>  SIZE=1 ",
            "Rcpt To: <a@b>",
            "QUIT \t",
            "NOOP anything at all",
            "MAIL FROM:<a@b> AUTH=<>",
            "MAIL FROM:<a@b> AUTH=e+3Dmc2@example.com",
        ] {
            assert!(Command::parse(line.as_bytes()).is_ok(), "{line}");
        }
    }

    // Ledger: 5321-2.4-4, 5321-4.1.2-4
    #[test]
    fn errors_say_what_and_where() {
        use CommandError::*;
        for (line, expected) in [
            ("", Unknown),
            ("FOO", Unknown),
            ("STARTTLSX", Unknown),
            ("EXPN list", NotImplemented),
            ("EHLO", Argument { offset: 4 }),
            ("EHLO a b", Argument { offset: 6 }),
            ("EHLO a..b", Argument { offset: 6 }),
            ("MAIL", Sender { offset: 4 }),
            ("MAIL FROM:a@b", Sender { offset: 10 }),
            ("MAIL FROM:<a@b", Sender { offset: 14 }),
            ("MAIL FROM:<a b@c>", Sender { offset: 12 }),
            ("MAIL TO:<a@b>", Sender { offset: 5 }),
            ("MAIL FROM:<\u{e9}@b>", NotAscii { offset: 11 }),
            ("RCPT TO:<a@\u{e9}>", NotAscii { offset: 11 }),
            ("RCPT TO:<>", Recipient { offset: 9 }),
            ("RCPT TO:<a@b> NOTIFY=NEVER", UnknownParameter { offset: 14 }),
            ("MAIL FROM:<a@b> RET=FULL", UnknownParameter { offset: 16 }),
            ("MAIL FROM:<a@b> SIZE=1 SIZE=2", Parameter { offset: 23 }),
            ("MAIL FROM:<a@b> SIZE=-1", Parameter { offset: 16 }),
            ("MAIL FROM:<a@b> BODY=BINARYMIME", Parameter { offset: 16 }),
            ("MAIL FROM:<a@b> AUTH=e+zz", Parameter { offset: 16 }),
            ("MAIL FROM:<a@b>SIZE=1", Argument { offset: 15 }),
            ("MAIL FROM:<a@b> =1", Argument { offset: 16 }),
            ("DATA x", Argument { offset: 5 }),
            ("QUIT now", Argument { offset: 5 }),
            ("VRFY", Argument { offset: 4 }),
            ("AUTH", Argument { offset: 4 }),
            ("NOOP\r", Syntax { offset: 4 }),
            ("NO\rOP", Syntax { offset: 2 }),
            ("NOOP \0", Syntax { offset: 5 }),
        ] {
            assert_eq!(Command::parse(line.as_bytes()), Err(expected), "{line:?}");
        }
    }

    #[test]
    fn a_size_beyond_64_bits_is_the_largest_size() {
        let Ok(Command::Mail(_, parameters)) = Command::parse(b"MAIL FROM:<> SIZE=99999999999999999999")
        else {
            panic!("a MAIL command");
        };
        assert_eq!(parameters.size, Some(u64::MAX));
    }
}
