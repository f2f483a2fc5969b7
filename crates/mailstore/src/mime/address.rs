//! Lists of addresses, as ENVELOPE shows them.

use std::borrow::Cow;

use super::field::{Cursor, is_space};

/// An address, or the beginning (no host) or end (no mailbox either) of a group:
/// [RFC 9051 §7.5.2](https://www.rfc-editor.org/rfc/rfc9051#section-7.5.2).
///
/// An address without a domain has an empty host.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Address<'a> {
    /// The name of a person, without quotes; encoded words are left as they stand. A comment where there is no name.
    pub name: Option<Cow<'a, [u8]>>,
    /// The route of an obsolete address: `@a,@b`.
    pub route: Option<Cow<'a, [u8]>>,
    /// The local part without its quotes, or the name of a group.
    pub mailbox: Option<Cow<'a, [u8]>>,
    /// The domain.
    pub host: Option<Cow<'a, [u8]>>,
}

/// The addresses of a field, read as they are asked for. Each takes an octet of the field at least.
#[derive(Clone, Debug)]
pub struct Addresses<'a> {
    cursor: Cursor<'a>,
    group: bool,
}

impl<'a> Addresses<'a> {
    pub(crate) const fn new(value: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(value), group: false }
    }
}

impl<'a> Iterator for Addresses<'a> {
    type Item = Address<'a>;

    fn next(&mut self) -> Option<Address<'a>> {
        let mut words = Words::default();
        let mut comment = None;
        loop {
            self.cursor.take(is_space);
            let Some(octet) = self.cursor.peek() else {
                if words.is_empty() {
                    // A group that is not closed ends with the field.
                    return core::mem::take(&mut self.group).then(Address::default);
                }
                return Some(words.into_address(comment));
            };
            match octet {
                b'(' => comment = Some(self.cursor.comment()),
                b'<' => {
                    let address = self.angle(words);
                    return Some(address);
                }
                // RFC 5322 §4.4: members may be missing. A semicolon outside of a group is taken for a comma.
                b',' | b';' if !words.is_empty() => {
                    if octet == b',' || !self.group {
                        self.cursor.next();
                    }
                    return Some(words.into_address(comment));
                }
                b';' if self.group => {
                    self.cursor.next();
                    self.group = false;
                    return Some(Address::default());
                }
                b',' | b';' => {
                    self.cursor.next();
                    comment = None;
                }
                b':' if !self.group && !words.has_at && !words.is_empty() => {
                    self.cursor.next();
                    self.group = true;
                    return Some(Address { mailbox: Some(words.into_phrase()), ..Address::default() });
                }
                _ => words.push(&mut self.cursor),
            }
        }
    }
}

impl<'a> Addresses<'a> {
    /// What stands between angle brackets, of which the first is next, and what goes before the next address.
    fn angle(&mut self, name: Words<'a>) -> Address<'a> {
        let cursor = &mut self.cursor;
        cursor.next();
        cursor.skip();
        let mut route = None;
        if cursor.peek() == Some(b'@') {
            // RFC 5322 §4.4: obs-route. Without its colon, it is the domain of an address without a local part.
            let start = *cursor;
            let list = cursor.take(|octet| !matches!(octet, b':' | b'>' | b'<' | b';' | b'"' | b'('));
            if cursor.eat(b':') {
                route = Some(Cow::Borrowed(list.trim_ascii_end()));
            } else {
                *cursor = start;
            }
        }
        let mut words = Words::default();
        loop {
            cursor.skip();
            match cursor.peek() {
                None | Some(b',' | b';') => break,
                Some(b'>') => {
                    cursor.next();
                    break;
                }
                Some(_) => words.push(cursor),
            }
        }
        // Whatever stands between the address and the next comma belongs to nobody.
        loop {
            cursor.skip();
            match cursor.peek() {
                None => break,
                Some(b';') if self.group => break,
                Some(b',' | b';') => {
                    cursor.next();
                    break;
                }
                Some(b'"') => drop(cursor.quoted()),
                Some(_) => drop(cursor.next()),
            }
        }
        let address = words.into_address(None);
        Address { name: (!name.is_empty()).then(|| name.into_phrase()), route, ..address }
    }
}

/// What is read before it is known whether it is a name or an address.
#[derive(Default)]
struct Words<'a> {
    /// With one space where there was white space.
    phrase: Text<'a>,
    /// Without white space.
    local: Text<'a>,
    domain: Text<'a>,
    has_at: bool,
    /// Whether there was anything at all.
    any: bool,
    /// Where the cursor stood behind the last word.
    end: usize,
}

/// Text that is borrowed for as long as it stands in one piece.
#[derive(Default)]
struct Text<'a>(Cow<'a, [u8]>);

impl<'a> Text<'a> {
    fn push(&mut self, piece: Cow<'a, [u8]>) {
        if self.0.is_empty() { self.0 = piece } else { self.0.to_mut().extend_from_slice(&piece) }
    }
}

impl<'a> Words<'a> {
    fn is_empty(&self) -> bool {
        !self.any
    }

    /// Takes a word, or an octet that belongs to none.
    fn push(&mut self, cursor: &mut Cursor<'a>) {
        let before = cursor.rest;
        let piece = match cursor.peek() {
            Some(b'"') => cursor.quoted(),
            Some(b'[') => {
                // RFC 5322 §3.4.1: a domain-literal, up to its bracket.
                let whole = cursor.rest;
                let mut end = 0;
                while let Some(&octet) = whole.get(end) {
                    end += 1 + usize::from(octet == b'\\');
                    if octet == b']' {
                        break;
                    }
                }
                let (literal, rest) = whole.split_at(end.min(whole.len()));
                cursor.rest = rest;
                Cow::Borrowed(literal)
            }
            Some(b'@' | b':' | b'>' | b']' | b')' | b'\\' | b'<') => {
                let (piece, rest) = cursor.rest.split_at(1);
                cursor.rest = rest;
                Cow::Borrowed(piece)
            }
            _ => Cow::Borrowed(cursor.take(|octet| !is_space(octet) && !SPECIALS.contains(&octet))),
        };
        let spaced = self.any && before.len() != self.end;
        self.end = cursor.rest.len();
        self.any = true;
        if spaced {
            self.phrase.push(Cow::Borrowed(b" "));
        }
        if before.first() == Some(&b'@') && !self.has_at {
            self.has_at = true;
        } else if self.has_at {
            self.domain.push(piece.clone());
        } else {
            self.local.push(piece.clone());
        }
        self.phrase.push(piece);
    }

    fn into_phrase(self) -> Cow<'a, [u8]> {
        self.phrase.0
    }

    fn into_address(self, comment: Option<&'a [u8]>) -> Address<'a> {
        Address {
            name: comment
                .map(|comment| comment.trim_ascii())
                .filter(|name| !name.is_empty())
                .map(Cow::Borrowed),
            route: None,
            mailbox: Some(self.local.0),
            host: Some(self.domain.0),
        }
    }
}

/// RFC 5322 §3.2.3, without the dot: RFC 5322 §4.1 lets it stand in phrases.
const SPECIALS: &[u8] = b"()<>@,:;\\\"[]";

#[cfg(test)]
mod tests {
    use super::*;

    /// Each address as `name|route|mailbox|host`, with a dash for what is not there.
    fn list(value: &str) -> Vec<String> {
        let part = |part: Option<Cow<'_, [u8]>>| {
            part.map_or_else(|| "-".to_owned(), |part| String::from_utf8_lossy(&part).into_owned())
        };
        Addresses::new(value.as_bytes())
            .map(|address| [address.name, address.route, address.mailbox, address.host].map(part).join("|"))
            .collect()
    }

    #[test]
    fn addresses_are_read_as_rfc_5322_writes_them() {
        // RFC 5322 §A.1.1 to A.1.3, A.5, A.6.1, A.6.3
        assert_eq!(list("John Doe <jdoe@machine.example>"), ["John Doe|-|jdoe|machine.example"]);
        assert_eq!(
            list("Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>"),
            ["Mary Smith|-|mary|x.test", "-|-|jdoe|example.org", "Who?|-|one|y.test"]
        );
        assert_eq!(
            list("<boss@nil.test>, \"Giant; \\\"Big\\\" Box\" <sysservices@example.net>"),
            ["-|-|boss|nil.test", "Giant; \"Big\" Box|-|sysservices|example.net"]
        );
        assert_eq!(
            list("A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;"),
            ["-|-|A Group|-", "Ed Jones|-|c|a.test", "-|-|joe|where.test", "John|-|jdoe|one.test", "-|-|-|-"]
        );
        assert_eq!(list("Undisclosed recipients:;"), ["-|-|Undisclosed recipients|-", "-|-|-|-"]);
        assert_eq!(
            list("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"),
            ["Pete|-|pete|silly.test"]
        );
        assert_eq!(
            list(
                "A Group(Some people)\t  :Chris Jones <c@(Chris's host.)public.example>,\t  joe@example.org,\t \
                  John <jdoe@one.test> (my dear friend); (the end of the group)"
            ),
            [
                "-|-|A Group|-",
                "Chris Jones|-|c|public.example",
                "-|-|joe|example.org",
                "John|-|jdoe|one.test",
                "-|-|-|-"
            ]
        );
        assert_eq!(
            list("Joe Q. Public <john.q.public@example.com>"),
            ["Joe Q. Public|-|john.q.public|example.com"]
        );
        assert_eq!(
            list("Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example"),
            ["Mary Smith|@node.test|mary|example.net", "-|-|jdoe|test.example"]
        );
    }

    #[test]
    fn what_is_no_address_is_shown_nevertheless() {
        assert_eq!(list(""), [""; 0]);
        assert_eq!(list(" , ;, (nobody)"), [""; 0]);
        assert_eq!(list("postmaster"), ["-|-|postmaster|"]);
        assert_eq!(list("root (Charlie Root)"), ["Charlie Root|-|root|"]);
        assert_eq!(list("a@b; c@d"), ["-|-|a|b", "-|-|c|d"]);
        assert_eq!(list("<>"), ["-|-||"]);
        assert_eq!(list("Joe <joe@x, b@y"), ["Joe|-|joe|x", "-|-|b|y"]);
        assert_eq!(list("\"a@b\" <c@d>, \"open <e@f>"), ["a@b|-|c|d", "-|-|open <e@f>|"]);
        assert_eq!(list("a@[127.0.0.1], \"x y\"@[open"), ["-|-|a|[127.0.0.1]", "-|-|x y|[open"]);
        assert_eq!(list("group: a@b"), ["-|-|group|-", "-|-|a|b", "-|-|-|-"]);
        assert_eq!(list("=?utf-8?q?J=C3=BCrgen?= <j@x>"), ["=?utf-8?q?J=C3=BCrgen?=|-|j|x"]);
        assert_eq!(list("a@b@c <d@e@f> g, h"), ["a@b@c|-|d|e@f", "-|-|h|"]);
        assert_eq!(list(":a> ] )b"), ["-|-|:a>])b|"]);
        assert_eq!(list("<@a,@b>, c"), ["-|-||a", "-|-||b>", "-|-|c|"]);
    }

    #[test]
    fn any_octets_end() {
        let octets = b"()<>@,:;\\\"[] a\xff";
        for first in octets {
            for second in octets {
                for third in octets {
                    for fourth in octets {
                        let value = [*first, *second, *third, *fourth];
                        assert!(Addresses::new(&value).count() <= 6, "{value:?}");
                    }
                }
            }
        }
    }
}
