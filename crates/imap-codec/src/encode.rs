//! Writing: what the two sides may write where.

use bytes::{BufMut, BytesMut};

use crate::extension::literal;
use crate::types::string::{is_astring_char, is_plain, is_quotable};

/// How mailbox names and text beyond ASCII go over the wire.
///
/// [RFC 9051 Appendix A.1](https://www.rfc-editor.org/rfc/rfc9051#appendix-A.1): modified UTF-7 until the client has
/// sent `ENABLE IMAP4rev2`, UTF-8 from then on.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Names {
    /// Modified UTF-7; quoted strings are ASCII.
    #[default]
    Utf7,
    /// UTF-8, also within quotes.
    Utf8,
}

/// How a client announces literals. Servers announce them the one way they may.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub enum Literals {
    /// `{5}`: who sends it waits for a continuation, unless it is a server.
    #[default]
    Synchronizing,
    /// `{5+}`: LITERAL+ ([RFC 7888 §3](https://www.rfc-editor.org/rfc/rfc7888#section-3)).
    NonSynchronizing,
    /// `{5+}` up to 4,096 octets, `{5}` beyond: LITERAL- ([RFC 7888 §5](https://www.rfc-editor.org/rfc/rfc7888#section-5)).
    Minus,
}

/// How values are written.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Wire {
    /// Mailbox names and quoted strings.
    pub names: Names,
    /// Literals.
    pub literals: Literals,
}

/// The longest string that is quoted rather than sent as a literal.
const LONGEST_QUOTED: usize = 1_000;

/// Strings up to here are put between their quotes in one piece.
const SHORT: usize = 62;

/// Writes tokens.
pub(crate) struct Writer<'o> {
    pub(crate) out: &'o mut BytesMut,
    pub(crate) wire: Wire,
}

impl<'o> Writer<'o> {
    pub(crate) const fn new(wire: Wire, out: &'o mut BytesMut) -> Self {
        Self { out, wire }
    }

    pub(crate) fn raw(&mut self, octets: impl AsRef<[u8]>) {
        self.out.extend_from_slice(octets.as_ref());
    }

    pub(crate) fn octet(&mut self, octet: u8) {
        self.out.put_u8(octet);
    }

    pub(crate) fn number(&mut self, mut number: u64) {
        let (mut digits, mut at) = ([0_u8; 20], 20);
        loop {
            at -= 1;
            digits[at] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return self.raw(&digits[at..]);
            }
        }
    }

    /// A quoted string, or else a literal.
    pub(crate) fn string(&mut self, octets: &[u8]) {
        // Nearly all of them: written at once, for each write looks whether there is room.
        let mut short = [b'"'; SHORT + 2];
        if octets.len() <= SHORT && octets.iter().fold(true, |plain, octet| plain & is_plain(*octet)) {
            short[1..=octets.len()].copy_from_slice(octets);
            return self.raw(&short[..octets.len() + 2]);
        }
        if octets.len() <= LONGEST_QUOTED && self.may_quote(octets) {
            self.out.reserve(octets.len() + 2);
            self.octet(b'"');
            let mut rest = octets;
            while let Some(at) = memchr::memchr2(b'"', b'\\', rest) {
                self.raw(&rest[..at]);
                self.octet(b'\\');
                self.octet(rest[at]);
                rest = &rest[at + 1..];
            }
            self.raw(rest);
            self.octet(b'"');
        } else {
            self.literal_head(octets.len() as u64);
            self.raw(octets);
        }
    }

    fn may_quote(&self, octets: &[u8]) -> bool {
        if octets.iter().all(|octet| is_quotable(*octet)) {
            return true;
        }
        self.wire.names == Names::Utf8
            && core::str::from_utf8(octets).is_ok_and(|text| !text.contains(char::is_control))
    }

    pub(crate) fn literal_head(&mut self, size: u64) {
        let plus = match self.wire.literals {
            Literals::Synchronizing => false,
            Literals::NonSynchronizing => true,
            Literals::Minus => size <= literal::SMALL,
        };
        self.octet(b'{');
        self.number(size);
        self.raw(if plus { &b"+}\r\n"[..] } else { b"}\r\n" });
    }

    pub(crate) fn nstring(&mut self, octets: Option<impl AsRef<[u8]>>) {
        match octets {
            Some(octets) => self.string(octets.as_ref()),
            None => self.raw(b"NIL"),
        }
    }

    /// An atom if it can be one, else a string.
    pub(crate) fn astring(&mut self, octets: &[u8]) {
        // NIL would be the absence of a string to some readers.
        let atom = !octets.is_empty()
            && octets.len() <= LONGEST_QUOTED
            && octets.iter().all(|octet| is_astring_char(*octet))
            && !octets.eq_ignore_ascii_case(b"NIL");
        if atom { self.raw(octets) } else { self.string(octets) }
    }

    /// Items in parentheses with spaces between them.
    pub(crate) fn list<T>(&mut self, items: impl IntoIterator<Item = T>, mut item: impl FnMut(&mut Self, T)) {
        self.octet(b'(');
        self.spaced(items, &mut item);
        self.octet(b')');
    }

    /// Items with spaces between them.
    pub(crate) fn spaced<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut item: impl FnMut(&mut Self, T),
    ) {
        let mut first = true;
        for each in items {
            if !core::mem::take(&mut first) {
                self.octet(b' ');
            }
            item(self, each);
        }
    }
}
