//! Paths, mailboxes, domains: types that cannot hold anything but what may stand on the wire.

use core::fmt;
use core::net::{Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;

use bytes::BufMut;

use crate::error::Invalid;

/// The argument of MAIL FROM ([RFC 5321 §4.1.2](https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2)).
///
/// `Reverse-path = Path / "<>"`
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum ReversePath<'a> {
    /// `<>`: the message is a notification, and nobody is to be told of its failure.
    Null,
    /// Who is told when the message cannot be delivered.
    Mailbox(Mailbox<'a>),
}

/// The argument of RCPT TO ([RFC 5321 §4.1.1.3](https://www.rfc-editor.org/rfc/rfc5321#section-4.1.1.3)).
///
/// `"<Postmaster@" Domain ">" / "<Postmaster>" / Forward-path`
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum ForwardPath<'a> {
    /// `<Postmaster>` without a domain, in any case.
    Postmaster,
    /// A mailbox.
    Mailbox(Mailbox<'a>),
}

/// `Local-part "@" ( Domain / address-literal )`, kept as it was written.
///
/// Equality is that of the octets. What is equal to the receiving system is that system's business; see
/// [`Mailbox::local_part_unquoted`] and [`Domain::eq_ignore_ascii_case`].
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Mailbox<'a> {
    text: Cow<'a, str>,
    at: usize,
}

/// A domain name or an address literal ([RFC 5321 §4.1.2](https://www.rfc-editor.org/rfc/rfc5321#section-4.1.2), §4.1.3).
///
/// `Domain = sub-domain *("." sub-domain)`, or `"[" ( IPv4 / IPv6 / General ) "]"`. Underscores are tolerated, for they occur.
#[derive(Clone, Eq, Hash, PartialEq)]
pub struct Domain<'a>(Cow<'a, str>);

impl<'a> ReversePath<'a> {
    /// The address, without angle brackets; empty for the null path.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Null => "",
            Self::Mailbox(mailbox) => mailbox.as_str(),
        }
    }

    /// The same, not tied to the input.
    pub fn into_owned(self) -> ReversePath<'static> {
        match self {
            Self::Null => ReversePath::Null,
            Self::Mailbox(mailbox) => ReversePath::Mailbox(mailbox.into_owned()),
        }
    }

    /// Writes it with its angle brackets.
    pub fn encode(&self, out: &mut impl BufMut) {
        put_path(self.as_str(), out);
    }

    /// Parses `<...>` at the start of `text`; gives what follows it as an offset.
    pub(crate) fn parse(text: &'a [u8]) -> Result<(Self, usize), Invalid> {
        if text.starts_with(b"<>") {
            return Ok((Self::Null, 2));
        }
        let (mailbox, used) = parse_path(text, "sender address")?;
        Ok((Self::Mailbox(mailbox), used))
    }
}

impl<'a> ForwardPath<'a> {
    /// The address, without angle brackets; `Postmaster` for the bare one.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Postmaster => POSTMASTER,
            Self::Mailbox(mailbox) => mailbox.as_str(),
        }
    }

    /// The same, not tied to the input.
    pub fn into_owned(self) -> ForwardPath<'static> {
        match self {
            Self::Postmaster => ForwardPath::Postmaster,
            Self::Mailbox(mailbox) => ForwardPath::Mailbox(mailbox.into_owned()),
        }
    }

    /// Writes it with its angle brackets.
    pub fn encode(&self, out: &mut impl BufMut) {
        put_path(self.as_str(), out);
    }

    /// Parses `<...>` at the start of `text`; gives what follows it as an offset.
    pub(crate) fn parse(text: &'a [u8]) -> Result<(Self, usize), Invalid> {
        let bare = POSTMASTER.len() + 2;
        if text.len() >= bare
            && text[0] == b'<'
            && text[1..bare - 1].eq_ignore_ascii_case(POSTMASTER.as_bytes())
            && text[bare - 1] == b'>'
        {
            return Ok((Self::Postmaster, bare));
        }
        let (mailbox, used) = parse_path(text, "recipient address")?;
        Ok((Self::Mailbox(mailbox), used))
    }
}

impl<'a> Mailbox<'a> {
    /// Parses an address that stands alone, without angle brackets.
    pub fn parse(text: &'a str) -> Result<Self, Invalid> {
        let (mailbox, used) = parse_mailbox(text.as_bytes(), 0, "address")?;
        if used == text.len() { Ok(mailbox) } else { Err(Invalid { what: "address", offset: used }) }
    }

    /// The whole address, as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the last `@`, as it was written: a dot-string or a quoted string.
    pub fn local_part(&self) -> &str {
        &self.text[..self.at]
    }

    /// The local part without the quotes and backslashes that only serve the notation.
    pub fn local_part_unquoted(&self) -> Cow<'_, str> {
        let written = self.local_part();
        let Some(inner) = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
            return Cow::Borrowed(written);
        };
        if !inner.contains('\\') {
            return Cow::Borrowed(inner);
        }
        let (mut plain, mut octets) = (String::with_capacity(inner.len()), inner.chars());
        while let Some(octet) = octets.next() {
            plain.push(if octet == '\\' { octets.next().unwrap_or('\\') } else { octet });
        }
        Cow::Owned(plain)
    }

    /// What stands behind the last `@`.
    pub fn domain(&self) -> Domain<'_> {
        Domain(Cow::Borrowed(&self.text[self.at + 1..]))
    }

    /// The same, not tied to the input.
    pub fn into_owned(self) -> Mailbox<'static> {
        Mailbox { text: Cow::Owned(self.text.into_owned()), at: self.at }
    }
}

impl<'a> Domain<'a> {
    /// Parses a domain or an address literal that stands alone.
    pub fn parse(text: &'a str) -> Result<Self, Invalid> {
        Self::from_octets(text.as_bytes())
    }

    pub(crate) fn from_octets(text: &'a [u8]) -> Result<Self, Invalid> {
        let end = scan_domain(text, 0, "domain")?;
        if end != text.len() {
            return Err(Invalid { what: "domain", offset: end });
        }
        Ok(Self(Cow::Borrowed(ascii(text))))
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is an address literal, in brackets.
    pub fn is_literal(&self) -> bool {
        self.0.starts_with('[')
    }

    /// Whether both name the same domain.
    pub fn eq_ignore_ascii_case(&self, other: &str) -> bool {
        self.0.eq_ignore_ascii_case(other)
    }

    /// The same, not tied to the input.
    pub fn into_owned(self) -> Domain<'static> {
        Domain(Cow::Owned(self.0.into_owned()))
    }
}

impl fmt::Display for Mailbox<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Mailbox<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({:?})", self.text)
    }
}

impl fmt::Display for Domain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Domain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Domain({:?})", self.0)
    }
}

impl fmt::Display for ReversePath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

impl fmt::Display for ForwardPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.as_str())
    }
}

fn put_path(address: &str, out: &mut impl BufMut) {
    out.put_u8(b'<');
    out.put_slice(address.as_bytes());
    out.put_u8(b'>');
}

/// `Path = "<" [ A-d-l ":" ] Mailbox ">"`
fn parse_path<'a>(text: &'a [u8], what: &'static str) -> Result<(Mailbox<'a>, usize), Invalid> {
    if text.first() != Some(&b'<') {
        return Err(Invalid { what, offset: 0 });
    }
    let start = skip_source_route(text, 1, what)?;
    let (mailbox, end) = parse_mailbox(text, start, what)?;
    if text.get(end) != Some(&b'>') {
        return Err(Invalid { what, offset: end });
    }
    Ok((mailbox, end + 1))
}

/// `A-d-l = At-domain *( "," At-domain )`, `At-domain = "@" Domain`
fn skip_source_route(text: &[u8], mut at: usize, what: &'static str) -> Result<usize, Invalid> {
    // RFC 5321 §4.1.1.3: servers MUST be prepared for source routes, and SHOULD ignore them.
    if text.get(at) != Some(&b'@') {
        return Ok(at);
    }
    loop {
        if text.get(at) != Some(&b'@') {
            return Err(Invalid { what, offset: at });
        }
        at = scan_domain(text, at + 1, what)?;
        match text.get(at) {
            Some(b',') => at += 1,
            Some(b':') => return Ok(at + 1),
            _ => return Err(Invalid { what, offset: at }),
        }
    }
}

fn parse_mailbox<'a>(
    text: &'a [u8],
    start: usize,
    what: &'static str,
) -> Result<(Mailbox<'a>, usize), Invalid> {
    let at = if text.get(start) == Some(&b'"') {
        scan_quoted(text, start, what)?
    } else {
        scan_labels(text, start, is_atext).ok_or_else(|| Invalid {
            what,
            offset: text[start..].iter().take_while(|octet| is_atext(**octet)).count() + start,
        })?
    };
    if text.get(at) != Some(&b'@') {
        return Err(Invalid { what, offset: at });
    }
    let end = scan_domain(text, at + 1, what)?;
    Ok((Mailbox { text: Cow::Borrowed(ascii(&text[start..end])), at: at - start }, end))
}

/// `Quoted-string = DQUOTE *QcontentSMTP DQUOTE`
fn scan_quoted(text: &[u8], start: usize, what: &'static str) -> Result<usize, Invalid> {
    let mut at = start + 1;
    loop {
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') if text.get(at + 1).is_some_and(|octet| (b' '..127).contains(octet)) => at += 2,
            Some(octet) if (b' '..127).contains(octet) && *octet != b'\\' => at += 1,
            _ => return Err(Invalid { what, offset: at }),
        }
    }
}

fn scan_domain(text: &[u8], start: usize, what: &'static str) -> Result<usize, Invalid> {
    if text.get(start) == Some(&b'[') {
        return scan_literal(text, start, what);
    }
    let stop = || text[start.min(text.len())..].iter().take_while(|octet| is_let_dig_hyp(**octet)).count();
    let end =
        scan_labels(text, start, is_let_dig_hyp).ok_or_else(|| Invalid { what, offset: start + stop() })?;
    let name = &text[start..end];
    let good = name.len() <= MAX_DOMAIN
        && name
            .split(|octet| *octet == b'.')
            .all(|label| label.len() <= MAX_LABEL && label[0] != b'-' && label[label.len() - 1] != b'-');
    if good { Ok(end) } else { Err(Invalid { what, offset: start }) }
}

/// `"[" ( IPv4-address-literal / "IPv6:" IPv6-addr / Standardized-tag ":" 1*dcontent ) "]"`
fn scan_literal(text: &[u8], start: usize, what: &'static str) -> Result<usize, Invalid> {
    let error = Invalid { what, offset: start };
    let inner = &text[start + 1..];
    // RFC 5321 §4.1.3: dcontent excludes "[", "]" and "\".
    let length = inner
        .iter()
        .position(|octet| !matches!(octet, 33..=90 | 94..=126))
        .filter(|length| inner[*length] == b']' && *length <= MAX_DOMAIN)
        .ok_or(error)?;
    let content = ascii(&inner[..length]);
    let good = match content.split_once(':') {
        None => content.parse::<Ipv4Addr>().is_ok(),
        Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6") => address.parse::<Ipv6Addr>().is_ok(),
        Some((tag, rest)) => {
            !rest.is_empty()
                && tag.bytes().all(is_let_dig_hyp)
                && tag.bytes().next_back().is_some_and(|octet| octet.is_ascii_alphanumeric())
        }
    };
    if good { Ok(start + length + 2) } else { Err(error) }
}

/// One or more non-empty runs of `inner`, parted by single dots; where they end.
fn scan_labels(text: &[u8], start: usize, inner: impl Fn(u8) -> bool) -> Option<usize> {
    let mut at = start;
    loop {
        let label = at;
        while text.get(at).is_some_and(|octet| inner(*octet)) {
            at += 1;
        }
        if at == label {
            return None;
        }
        if text.get(at) != Some(&b'.') {
            return Some(at);
        }
        at += 1;
    }
}

/// RFC 5322 §3.2.3.
const fn is_atext(octet: u8) -> bool {
    CLASSES[octet as usize] & ATEXT != 0
}

const fn is_let_dig_hyp(octet: u8) -> bool {
    CLASSES[octet as usize] & LET_DIG_HYP != 0
}

/// One look-up instead of a dozen comparisons for each octet of an address.
const CLASSES: [u8; 256] = {
    let (mut classes, mut octet) = ([0; 256], 0);
    while octet < 128 {
        if atext(octet as u8) {
            classes[octet] |= ATEXT;
        }
        if let_dig_hyp(octet as u8) {
            classes[octet] |= LET_DIG_HYP;
        }
        octet += 1;
    }
    classes
};
const ATEXT: u8 = 1;
const LET_DIG_HYP: u8 = 2;

const fn atext(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(
            octet,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'/'
                | b'='
                | b'?'
                | b'^'
                | b'_'
                | b'`'
                | b'{'
                | b'|'
                | b'}'
                | b'~'
        )
}

const fn let_dig_hyp(octet: u8) -> bool {
    // Deviates from RFC 5321 §4.1.2: underscores occur in names that people use, and harm nobody.
    octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_'
}

fn ascii(octets: &[u8]) -> &str {
    str::from_utf8(octets).expect("the scanners let only ASCII through")
}

const POSTMASTER: &str = "Postmaster";
/// RFC 5321 §4.5.3.1.2.
const MAX_DOMAIN: usize = 255;
/// RFC 1035 §2.3.4.
const MAX_LABEL: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    // Ledger: 5321-2.4-1, 5321-2.4-2
    #[test]
    fn addresses_keep_the_way_they_were_written() {
        for address in [
            "a@b",
            "first.last+tag@sub.example.test",
            r#""a b\"c@d"@example.test"#,
            "x@[127.0.0.1]",
            "x@[IPv6:2001:db8::1]",
            "x@[tag:content]",
            "under_score@my_host.test",
            "Mixed.Case@Example.TEST",
            "!#$%&'*+-/=?^_`{|}~@x",
        ] {
            let mailbox = Mailbox::parse(address).expect(address);
            assert_eq!(mailbox.as_str(), address);
            assert_eq!(format!("{}@{}", mailbox.local_part(), mailbox.domain()), address);
        }
    }

    // Ledger: 5321-4.1.1-1, 5321-4.1.2-3, 5321-F.4-1
    #[test]
    fn what_is_not_an_address_is_refused_with_the_place() {
        for (address, offset) in [
            ("", 0),
            ("a", 1),
            ("@b", 0),
            ("a@", 2),
            ("a..b@c", 1),
            (".a@b", 0),
            ("a@b..c", 3),
            ("a@-b", 2),
            ("a@b-", 2),
            ("a b@c", 1),
            ("a@b c", 3),
            ("\"a@b", 4),
            ("a@[127.0.0.256]", 2),
            ("a@[IPv6:1:2]", 2),
            ("a@[x", 2),
            ("a@#123", 2),
            ("a\r\n@b", 1),
            ("\"a\r\"@b", 2),
            ("\u{e9}@b", 0),
        ] {
            assert_eq!(Mailbox::parse(address).map_err(|e| e.offset), Err(offset), "{address:?}");
        }
        assert!(Mailbox::parse(&format!("a@{}", "b".repeat(64))).is_err());
        assert!(Mailbox::parse(&format!("a@{}", "b.".repeat(150) + "c")).is_err());
    }

    // Ledger: 5321-4.1.2-2
    #[test]
    fn quotes_are_notation_not_part_of_the_name() {
        let mailbox = Mailbox::parse(r#""a\ \"b"@c"#).expect("valid");
        assert_eq!(mailbox.local_part_unquoted(), "a \"b");
    }

    // Ledger: 5321-3.3-2, 5321-3.6.1-1, 5321-4.1.1.3-1, 5321-4.1.1.3-2, 5321-4.1.2-1, 5321-6.1-6, 5321-6.1-7
    // Ledger: 5321-C-1, 5321-F.2-1
    #[test]
    fn paths_may_carry_a_source_route_that_is_ignored() {
        let (path, used) = ForwardPath::parse(b"<@a,@b.c:user@d> X").expect("valid");
        assert_eq!((path.as_str(), used), ("user@d", 16));
        let (path, used) = ReversePath::parse(b"<@a,@b.c:user@d> X").expect("valid");
        assert_eq!((path.as_str(), used), ("user@d", 16));
        assert!(ForwardPath::parse(b"<@a,b:user@d>").is_err());
        assert!(ForwardPath::parse(b"<@a>").is_err());
    }

    // Ledger: 5321-2.3.5-4
    #[test]
    fn postmaster_needs_no_domain() {
        assert_eq!(ForwardPath::parse(b"<postMaster>"), Ok((ForwardPath::Postmaster, 12)));
        assert!(ForwardPath::parse(b"<>").is_err());
        assert!(ForwardPath::parse(b"<someone>").is_err());
        assert_eq!(ReversePath::parse(b"<>"), Ok((ReversePath::Null, 2)));
    }
}
