//! Replies: a code, an enhanced status code, and text.

use std::borrow::Cow;

use bytes::BufMut;

use crate::error::{Invalid, ReplyError};

/// A reply of the server ([RFC 5321 §4.2](https://www.rfc-editor.org/rfc/rfc5321#section-4.2)).
///
/// The constants below are the replies that servers need, named for what they mean. Text of one's own goes through
/// [`Reply::new`], which refuses whatever could break out of a reply line.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Reply {
    code: u16,
    enhanced: Option<Enhanced>,
    text: Cow<'static, str>,
}

/// Subject and detail of an enhanced status code ([RFC 3463 §2](https://www.rfc-editor.org/rfc/rfc3463#section-2)).
///
/// The class is not stored: it is always the first digit of the reply's code.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Enhanced {
    /// What the status is about: 1 addresses, 2 mailboxes, 3 the system, 4 routing, 5 the protocol, 6 content, 7 policy.
    pub subject: u16,
    /// The detail within the subject.
    pub detail: u16,
}

/// What the first digit of a reply says.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Severity {
    /// 2yz: done.
    Positive,
    /// 3yz: go on.
    Intermediate,
    /// 4yz: not now; the same again later may work.
    Transient,
    /// 5yz: no.
    Permanent,
}

macro_rules! replies {
    ($($(#[$doc:meta])* $name:ident = $code:literal $(($subject:literal, $detail:literal))? $text:literal;)*) => {
        impl Reply {
            $($(#[$doc])* pub const $name: Self = Self::fixed(
                $code,
                replies!(@enhanced $($subject $detail)?),
                $text,
            );)*
        }
    };
    (@enhanced) => { None };
    (@enhanced $subject:literal $detail:literal) => { Some(Enhanced { subject: $subject, detail: $detail }) };
}

replies! {
    /// To QUIT. RFC 5321 §4.1.1.10.
    GOODBYE = 221 (0, 0) "closing";
    /// To STARTTLS. RFC 3207 §4.
    READY_FOR_TLS = 220 (0, 0) "ready for TLS";
    /// To a good AUTH. RFC 4954 §6.
    AUTHENTICATED = 235 (7, 0) "authenticated";
    /// To RSET, NOOP and the like. RFC 5321 §4.2.3.
    OK = 250 (0, 0) "ok";
    /// To an accepted MAIL. RFC 3463 §3.2, X.1.0.
    SENDER_OK = 250 (1, 0) "sender ok";
    /// To an accepted RCPT. RFC 3463 §3.2, X.1.5.
    RECIPIENT_OK = 250 (1, 5) "recipient ok";
    /// To an accepted message, once it is on stable storage. RFC 5321 §6.1.
    ACCEPTED = 250 (0, 0) "accepted";
    /// To VRFY. RFC 5321 §3.5.3.
    CANNOT_VERIFY = 252 (5, 0) "send some mail, it will be tried";
    /// To HELP. RFC 5321 §4.1.1.8.
    HELP = 214 (0, 0) "commands: EHLO HELO MAIL RCPT DATA RSET NOOP VRFY HELP QUIT, and what EHLO announces";
    /// To DATA. RFC 5321 §4.1.1.4.
    START_MAIL_INPUT = 354 "end the message with a line that holds a single dot";

    /// We are stopping. RFC 5321 §3.8.
    SHUTTING_DOWN = 421 (3, 2) "stopping, come back later";
    /// The peer took too long. RFC 5321 §4.5.3.2.
    TIMED_OUT = 421 (4, 2) "waited too long";
    /// The peer made too many mistakes.
    TOO_MANY_ERRORS = 421 (7, 0) "too many errors";
    /// The peer keeps us busy with commands that bring no mail.
    TOO_MUCH_JUNK = 421 (7, 0) "too many commands without mail";
    /// The peer's address has too many connections.
    TOO_MANY_CONNECTIONS = 421 (7, 0) "too many connections from your address";
    /// Something failed here that may work later; also what an event means that nobody answered.
    LOCAL_ERROR = 451 (3, 0) "local error, try again later";
    /// The disk is full, or nearly. RFC 3463 §3.4, X.3.1.
    STORAGE_FULL = 452 (3, 1) "storage is full, try again later";
    /// No further recipient in this transaction. RFC 5321 §4.5.3.1.10.
    TOO_MANY_RECIPIENTS = 452 (5, 3) "too many recipients, send the rest separately";
    /// The mailbox is over its quota. RFC 3463 §3.3, X.2.2.
    MAILBOX_FULL = 452 (2, 2) "mailbox full";
    /// TLS cannot be had now. RFC 3207 §4.
    TLS_NOT_AVAILABLE = 454 (7, 0) "TLS is not available now";
    /// The password could not be checked. RFC 4954 §6.
    AUTH_UNAVAILABLE = 454 (7, 0) "cannot check logins now";

    /// A line longer than the limit. RFC 5321 §4.5.3.1.9.
    LINE_TOO_LONG = 500 (5, 6) "line too long";
    /// Something in the line is not SMTP. RFC 5321 §4.2.4.
    SYNTAX_ERROR = 500 (5, 2) "syntax error";
    /// A command line that ended in LF alone. RFC 5321 §2.3.8.
    BARE_LF_IN_COMMAND = 500 (5, 2) "a line ends in CR LF";
    /// A verb we do not know. RFC 5321 §4.2.4.
    UNKNOWN_COMMAND = 500 (5, 1) "unknown command";
    /// An argument or parameter is malformed. RFC 5321 §4.2.4.
    BAD_ARGUMENT = 501 (5, 4) "bad argument";
    /// The argument of MAIL. RFC 3463 §3.2, X.1.7.
    BAD_SENDER_SYNTAX = 501 (1, 7) "bad sender address, send MAIL FROM:<address>";
    /// The argument of RCPT. RFC 3463 §3.2, X.1.3.
    BAD_RECIPIENT_SYNTAX = 501 (1, 3) "bad recipient address, send RCPT TO:<address>";
    /// The base64 of an AUTH exchange. RFC 4954 §4.
    BAD_BASE64 = 501 (5, 2) "cannot decode base64";
    /// The peer cancelled AUTH. RFC 4954 §4.
    AUTH_CANCELLED = 501 (7, 0) "authentication cancelled";
    /// A command that we know and do not offer. RFC 5321 §4.2.4.
    NOT_IMPLEMENTED = 502 (5, 1) "command not implemented";
    /// A command at the wrong time. RFC 5321 §4.2.4.
    BAD_SEQUENCE = 503 (5, 1) "not now";
    /// Before EHLO. RFC 5321 §4.1.4.
    HELLO_FIRST = 503 (5, 1) "send EHLO first";
    /// RCPT or DATA before MAIL. RFC 5321 §4.1.4.
    MAIL_FIRST = 503 (5, 1) "send MAIL first";
    /// An unknown mechanism. RFC 4954 §4.
    UNKNOWN_MECHANISM = 504 (5, 4) "mechanism not offered";
    /// Mail needs a login here. RFC 4954 §6.
    AUTH_REQUIRED = 530 (7, 0) "log in first";
    /// Everything but a few commands needs TLS here. RFC 3207 §4.
    TLS_REQUIRED = 530 (7, 0) "send STARTTLS first";
    /// Name or password is wrong. RFC 4954 §6.
    AUTH_FAILED = 535 (7, 8) "wrong name or password";
    /// This mechanism is offered under TLS only. RFC 4954 §6.
    TLS_REQUIRED_FOR_AUTH = 538 (7, 11) "send STARTTLS before you log in";
    /// Nobody of that name. RFC 3463 §3.2, X.1.1.
    NO_SUCH_MAILBOX = 550 (1, 1) "no such mailbox here";
    /// Not our domain, and not a peer we relay for. RFC 3463 §3.8, X.7.1.
    RELAY_DENIED = 550 (7, 1) "not a domain of this host, and you may not relay";
    /// A bare CR, a bare LF or a NUL in the message. RFC 5321 §2.3.8.
    BAD_LINE_ENDS = 550 (6, 0) "message holds a bare CR, a bare LF or a NUL";
    /// A line of the message over the limit. RFC 5321 §4.5.3.1.6.
    BODY_LINE_TOO_LONG = 550 (6, 0) "message holds a line that is too long";
    /// The message is larger than announced. RFC 1870 §6.2.
    MESSAGE_TOO_BIG = 552 (3, 4) "message too big";
    /// An address outside ASCII without SMTPUTF8. RFC 6531 §3.5.
    ADDRESS_NOT_ASCII = 553 (6, 7) "address is not ASCII";
    /// The login may not send as this address. RFC 6409 §6.1.
    SENDER_NOT_YOURS = 553 (7, 1) "sender address does not belong to your login";
    /// The message has travelled in a circle. RFC 5321 §6.3, RFC 3463 §3.5, X.4.6.
    TOO_MANY_HOPS = 554 (4, 6) "too many hops";
    /// DATA after no recipient was accepted. RFC 5321 §4.1.1.4.
    NO_VALID_RECIPIENTS = 554 (5, 1) "no valid recipients";
    /// The peer speaks HTTP or another protocol.
    NOT_SMTP = 554 (7, 0) "this is SMTP";
    /// A parameter of MAIL or RCPT that we did not announce. RFC 5321 §4.1.1.11.
    UNKNOWN_PARAMETER = 555 (5, 4) "parameter not recognized";
}

impl Reply {
    /// A reply with text of one's own; each LF in it starts a new reply line.
    ///
    /// The code is one of RFC 5321 §4.2.1 (200 to 559, second digit to 5), each line at most 480 octets of printable ASCII.
    pub fn new(
        code: u16,
        enhanced: Option<Enhanced>,
        text: impl Into<Cow<'static, str>>,
    ) -> Result<Self, Invalid> {
        let text = text.into();
        let known = |e: Enhanced| code / 100 != 3 && e.subject <= 999 && e.detail <= 999;
        if !is_code(code) || !enhanced.is_none_or(known) {
            return Err(Invalid { what: "reply code", offset: 0 });
        }
        match text_error(text.as_bytes()) {
            Some(offset) => Err(Invalid { what: "reply text", offset }),
            None => Ok(Self { code, enhanced, text }),
        }
    }

    const fn fixed(code: u16, enhanced: Option<Enhanced>, text: &'static str) -> Self {
        assert!(is_code(code) && text_error(text.as_bytes()).is_none());
        Self { code, enhanced, text: Cow::Borrowed(text) }
    }

    /// Reads a whole reply, with the CRLF of each line.
    ///
    /// The code has to be the same on all lines. An enhanced status code is one only if each line has it and its class
    /// is the first digit of the code. Octets that are not printable ASCII become `?`, and what a line holds beyond 480
    /// octets is left out: the text of a reply may go into logs and notices as it is.
    pub fn parse(octets: &[u8]) -> Result<Self, ReplyError> {
        let mut reader = ReplyReader::default();
        let mut rest = octets;
        loop {
            let offset = octets.len() - rest.len();
            let end = rest.windows(2).position(|two| two == b"\r\n");
            let end = end.ok_or(ReplyError::Syntax { offset: octets.len() })?;
            let line = &rest[..end];
            rest = &rest[end + 2..];
            match reader.line(line, usize::MAX) {
                Ok(None) => {}
                Ok(Some(reply)) if rest.is_empty() => return Ok(reply),
                Ok(Some(_)) => return Err(ReplyError::Syntax { offset: octets.len() - rest.len() }),
                Err(ReplyError::Syntax { offset: within }) => {
                    return Err(ReplyError::Syntax { offset: offset + within });
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The three digits.
    pub const fn code(&self) -> u16 {
        self.code
    }

    /// Subject and detail of the enhanced status code.
    pub const fn enhanced(&self) -> Option<Enhanced> {
        self.enhanced
    }

    /// The text, its lines parted by LF.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the first digit says.
    pub const fn severity(&self) -> Severity {
        match self.code / 100 {
            2 => Severity::Positive,
            3 => Severity::Intermediate,
            4 => Severity::Transient,
            _ => Severity::Permanent,
        }
    }

    /// Whether it says no, for now or for good.
    pub const fn is_negative(&self) -> bool {
        self.code >= 400
    }

    /// Writes it in wire form.
    pub fn encode(&self, out: &mut impl BufMut) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let separator = if lines.peek().is_some() { b'-' } else { b' ' };
            self.encode_line(separator, line.as_bytes(), out);
        }
    }

    fn encode_line(&self, separator: u8, text: &[u8], out: &mut impl BufMut) {
        put_number(self.code, out);
        out.put_u8(separator);
        if let Some(enhanced) = self.enhanced {
            // RFC 2034 §4: the class repeats the first digit of the code.
            put_number(self.code / 100, out);
            out.put_u8(b'.');
            put_number(enhanced.subject, out);
            out.put_u8(b'.');
            put_number(enhanced.detail, out);
            out.put_u8(b' ');
        }
        out.put_slice(text);
        out.put_slice(b"\r\n");
    }
}

/// Puts a reply together from its lines.
#[derive(Debug, Default)]
pub(crate) struct ReplyReader {
    code: u16,
    /// Printable, the lines parted by LF, enhanced codes still in.
    text: String,
    octets: usize,
}

impl ReplyReader {
    /// Whether some lines of a reply have come and more have to.
    pub(crate) const fn is_inside(&self) -> bool {
        self.octets > 0
    }

    /// Takes the next line, its CRLF removed; gives the reply when this was the last one.
    pub(crate) fn line(&mut self, line: &[u8], limit: usize) -> Result<Option<Reply>, ReplyError> {
        let (code, more, text) = split_line(line)?;
        if self.octets == 0 {
            self.code = code;
        } else if code != self.code {
            // RFC 5321 §4.2.1: all lines have the same code. Anything else is two replies, or none.
            return Err(ReplyError::CodeChanges);
        } else {
            self.text.push('\n');
        }
        self.octets += line.len() + 2;
        if self.octets > limit {
            return Err(ReplyError::TooLong);
        }
        let printable =
            |octet: &u8| if matches!(octet, b'\t' | b' '..=b'~') { char::from(*octet) } else { '?' };
        self.text.extend(text.iter().take(MAX_TEXT + MAX_ENHANCED).map(printable));
        Ok((!more).then(|| core::mem::take(self).finish()))
    }

    fn finish(self) -> Reply {
        let enhanced = |line| split_enhanced(self.code, line).0;
        let first = self.text.split('\n').next().and_then(enhanced);
        let same = first.is_some() && self.text.split('\n').all(|line| enhanced(line) == first);
        let mut text = String::with_capacity(self.text.len());
        for (index, line) in self.text.split('\n').enumerate() {
            let line = if same { split_enhanced(self.code, line).1 } else { line };
            if index > 0 {
                text.push('\n');
            }
            // All of it is ASCII by now.
            text.push_str(&line[..line.len().min(MAX_TEXT)]);
        }
        Reply { code: self.code, enhanced: first.filter(|_| same), text: Cow::Owned(text) }
    }
}

/// `Reply-code [ SP textstring ]` or `Reply-code "-" [ textstring ]`
pub(crate) fn split_line(line: &[u8]) -> Result<(u16, bool, &[u8]), ReplyError> {
    let digits = line.iter().take(3).take_while(|octet| octet.is_ascii_digit()).count();
    if digits < 3 || !(b'2'..=b'5').contains(&line[0]) {
        return Err(ReplyError::Syntax { offset: if digits < 3 { digits } else { 0 } });
    }
    let code = line[..3].iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    match line[3..] {
        [] => Ok((code, false, &[])),
        [b' ', ref text @ ..] => Ok((code, false, text)),
        [b'-', ref text @ ..] => Ok((code, true, text)),
        _ => Err(ReplyError::Syntax { offset: 3 }),
    }
}

/// `status-code = class "." subject "." detail`, as RFC 2034 §4 puts it in front of the text.
fn split_enhanced(code: u16, line: &str) -> (Option<Enhanced>, &str) {
    let (status, text) = line.split_once(' ').unwrap_or((line, ""));
    let number = |text: &str| {
        let good = matches!(text.len(), 1..=3)
            && text.bytes().all(|octet| octet.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'));
        if good { text.parse().ok() } else { None }
    };
    let mut parts = status.split('.').map(number);
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(Some(class)), Some(Some(subject)), Some(Some(detail)), None)
            if class == code / 100 && class != 3 =>
        {
            (Some(Enhanced { subject, detail }), text)
        }
        _ => (None, line),
    }
}

/// Decimal digits without an allocation.
pub(crate) fn put_number(number: impl Into<u64>, out: &mut impl BufMut) {
    let (mut digits, mut at, mut rest) = ([0; 20], 20, number.into());
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.put_slice(&digits[at..]);
}

pub(crate) const fn is_code(code: u16) -> bool {
    // RFC 5321 §4.2: Reply-code = %x32-35 %x30-35 %x30-39.
    code >= 200 && code < 600 && code / 10 % 10 <= 5
}

const fn text_error(text: &[u8]) -> Option<usize> {
    let (mut at, mut column) = (0, 0);
    while at < text.len() {
        let octet = text[at];
        if octet == b'\n' {
            column = 0;
        } else if octet == b'\t' || (octet >= b' ' && octet < 127) {
            column += 1;
        } else {
            return Some(at);
        }
        if column > MAX_TEXT {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// RFC 5321 §4.5.3.1.5: a reply line has at most 512 octets; code, enhanced code and CRLF take up to 21 of them.
const MAX_TEXT: usize = 480;
/// `5.999.999` and a space.
const MAX_ENHANCED: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(reply: &Reply) -> String {
        let mut out = Vec::new();
        reply.encode(&mut out);
        String::from_utf8(out).expect("replies are ASCII")
    }

    #[test]
    fn replies_carry_both_codes() {
        assert_eq!(wire(&Reply::NO_SUCH_MAILBOX), "550 5.1.1 no such mailbox here\r\n");
        assert_eq!(
            wire(&Reply::START_MAIL_INPUT),
            "354 end the message with a line that holds a single dot\r\n"
        );
    }

    // Ledger: 5321-4.2.1-2
    #[test]
    fn each_line_of_the_text_becomes_a_reply_line() {
        let reply = Reply::new(550, Some(Enhanced { subject: 7, detail: 1 }), "no\nreally").expect("valid");
        assert_eq!(wire(&reply), "550-5.7.1 no\r\n550 5.7.1 really\r\n");
    }

    // Ledger: 5321-4.2-4
    #[test]
    fn replies_are_read_back_as_written() {
        for wire in [
            "250 ok\r\n",
            "250 \r\n",
            "250-a\r\n250-\r\n250 b\r\n",
            "550-5.7.1 no\r\n550 5.7.1 really\r\n",
            "550-5.7.1 no\r\n550 5.7.2 two codes are text\r\n",
            "550 4.7.1 another class is text\r\n",
            "550 5.07.1 a leading zero is text\r\n",
            "354 3.0.0 there is no class 3\r\n",
            "571 codes beyond the list occur\r\n",
        ] {
            let reply = Reply::parse(wire.as_bytes()).expect(wire);
            let mut out = Vec::new();
            reply.encode(&mut out);
            assert_eq!(String::from_utf8(out).expect("ASCII"), wire);
        }
        let no = Reply::parse(b"550-5.7.1 no\r\n550 5.7.1 really\r\n").expect("valid");
        assert_eq!((no.enhanced(), no.text()), (Some(Enhanced { subject: 7, detail: 1 }), "no\nreally"));
    }

    // Ledger: 5321-4.2.1-2
    #[test]
    fn what_is_not_one_reply_is_refused_with_the_place() {
        for (wire, error) in [
            ("", ReplyError::Syntax { offset: 0 }),
            ("250 ok", ReplyError::Syntax { offset: 6 }),
            ("250 ok\n", ReplyError::Syntax { offset: 7 }),
            ("25 ok\r\n", ReplyError::Syntax { offset: 2 }),
            ("150 ok\r\n", ReplyError::Syntax { offset: 0 }),
            ("650 ok\r\n", ReplyError::Syntax { offset: 0 }),
            ("2500\r\n", ReplyError::Syntax { offset: 3 }),
            ("250-a\r\n", ReplyError::Syntax { offset: 7 }),
            ("250-a\r\nx\r\n", ReplyError::Syntax { offset: 7 }),
            ("250-a\r\n251 b\r\n", ReplyError::CodeChanges),
            ("250 a\r\n250 b\r\n", ReplyError::Syntax { offset: 7 }),
        ] {
            assert_eq!(Reply::parse(wire.as_bytes()), Err(error), "{wire:?}");
        }
    }

    #[test]
    fn the_text_of_a_reply_is_printable_whatever_came() {
        let reply = Reply::parse(b"250 \x1b[31m\xe2\x82\xac\0\tx\r\n").expect("a reply");
        assert_eq!(reply.text(), "?[31m????\tx");
        let long = [&b"250 "[..], &[b'x'; 2_000], b"\r\n"].concat();
        assert_eq!(Reply::parse(&long).expect("a reply").text().len(), MAX_TEXT);
    }

    // Ledger: 5321-4.2-7, 5321-4.3.2-2
    #[test]
    fn text_cannot_smuggle_a_line_end() {
        for text in ["a\rb", "a\0b", "a\r\n250 ok", "\u{e9}"] {
            assert!(Reply::new(250, None, text).is_err(), "{text:?}");
        }
        assert!(Reply::new(199, None, "x").is_err());
        assert!(Reply::new(260, None, "x").is_err());
        assert!(Reply::new(250, None, "x".repeat(481)).is_err());
    }
}
