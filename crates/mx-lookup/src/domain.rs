//! What is looked up: names of domains and hosts, and address literals.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::rr::Name;

use crate::error::DomainError;

/// A domain as it stands in a mail address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Target {
    /// A name, in lower case and without a dot at its end.
    Name(String),
    /// An address that stood in brackets.
    Literal(IpAddr),
}

impl Target {
    pub(crate) fn parse(text: &str) -> Result<Self, DomainError> {
        match text.strip_prefix('[') {
            Some(rest) => {
                let literal = rest.strip_suffix(']').ok_or(DomainError::Literal)?;
                parse_literal(literal).map(Self::Literal).ok_or(DomainError::Literal)
            }
            None => host_name(text).map(Self::Name),
        }
    }
}

/// A name of a host or domain in lower case, without the dot that may stand at its end.
pub(crate) fn host_name(text: &str) -> Result<String, DomainError> {
    if let Some(offset) = text.bytes().position(|octet| !octet.is_ascii()) {
        return Err(DomainError::NotAscii { offset });
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.is_empty() {
        return Err(if text.is_empty() { DomainError::Empty } else { DomainError::Syntax { offset: 0 } });
    }
    // RFC 1035 §2.3.4: 255 octets on the wire, which are 253 here.
    if name.len() > 253 {
        return Err(DomainError::TooLong);
    }
    let mut offset = 0;
    let mut last = "";
    for label in name.split('.') {
        if label.is_empty() {
            return Err(DomainError::Syntax { offset });
        }
        if label.len() > 63 {
            return Err(DomainError::TooLong);
        }
        // The underscore is against the grammar, and found in names of hosts that take mail.
        if let Some(at) = label.bytes().position(|octet| !is_host_octet(octet)) {
            return Err(DomainError::Syntax { offset: offset + at });
        }
        for (edge, at) in [(label.starts_with('-'), 0), (label.ends_with('-'), label.len() - 1)] {
            if edge {
                return Err(DomainError::Syntax { offset: offset + at });
            }
        }
        offset += label.len() + 1;
        last = label;
    }
    if last.bytes().all(|octet| octet.is_ascii_digit()) {
        return Err(DomainError::Numeric);
    }
    Ok(name.to_ascii_lowercase())
}

/// What a name on the wire is as a host name.
pub(crate) fn host_name_of(name: &Name) -> Result<String, DomainError> {
    let mut text = String::with_capacity(name.len());
    for label in name.iter() {
        if !text.is_empty() {
            text.push('.');
        }
        for octet in label {
            // A dot within a label would make two of it.
            if !is_host_octet(*octet) {
                return Err(DomainError::Syntax { offset: text.len() });
            }
            text.push(char::from(*octet));
        }
    }
    host_name(&text)
}

/// A name for the wire, from one that [`host_name`] has given.
pub(crate) fn wire_name(name: &str) -> Name {
    Name::from_labels(name.split('.').map(str::as_bytes)).expect("labels and length have been checked")
}

/// A name of the wire as an operator may read it, without the dot at its end.
pub(crate) fn show(name: &Name) -> String {
    let mut text = name.to_ascii();
    if text.len() > 1 && text.ends_with('.') {
        text.pop();
    }
    text
}

/// RFC 5321 §4.1.3: `[192.0.2.1]` and `[IPv6:2001:db8::1]`.
fn parse_literal(text: &str) -> Option<IpAddr> {
    match text.split_at_checked(5) {
        Some((tag, rest)) if tag.eq_ignore_ascii_case("IPv6:") => {
            rest.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
        }
        _ => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

const fn is_host_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case_and_lose_the_last_dot() {
        assert_eq!(Target::parse("Mail.Example.ORG."), Ok(Target::Name("mail.example.org".to_owned())));
        assert_eq!(
            Target::parse("xn--bcher-kva.example"),
            Ok(Target::Name("xn--bcher-kva.example".to_owned()))
        );
        assert_eq!(Target::parse("a_b.example"), Ok(Target::Name("a_b.example".to_owned())));
    }

    #[test]
    fn what_is_no_name_is_refused_with_its_place() {
        for (text, error) in [
            ("", DomainError::Empty),
            (".", DomainError::Syntax { offset: 0 }),
            ("a..b", DomainError::Syntax { offset: 2 }),
            (".a", DomainError::Syntax { offset: 0 }),
            ("a b", DomainError::Syntax { offset: 1 }),
            ("a.\r\nb", DomainError::Syntax { offset: 2 }),
            ("-a.example", DomainError::Syntax { offset: 0 }),
            ("a.exam-", DomainError::Syntax { offset: 6 }),
            ("xn--example-.org", DomainError::Syntax { offset: 11 }),
            ("b\u{fc}cher.example", DomainError::NotAscii { offset: 1 }),
            ("192.0.2.1", DomainError::Numeric),
            ("example.1", DomainError::Numeric),
            ("[192.0.2.1", DomainError::Literal),
            ("[192.0.2]", DomainError::Literal),
            ("[192.0.2.01]", DomainError::Literal),
            ("[2001:db8::1]", DomainError::Literal),
            ("[IPv6:192.0.2.1]", DomainError::Literal),
            ("[IPv6:fe80::1%eth0]", DomainError::Literal),
            ("[]", DomainError::Literal),
        ] {
            assert_eq!(Target::parse(text), Err(error), "{text}");
        }
        assert_eq!(Target::parse(&"a".repeat(64)), Err(DomainError::TooLong));
        assert_eq!(
            Target::parse(&format!("{}.aa", "a.".repeat(126).trim_end_matches('.'))),
            Err(DomainError::TooLong)
        );
    }

    #[test]
    fn literals_are_addresses() {
        assert_eq!(Target::parse("[192.0.2.1]"), Ok(Target::Literal([192, 0, 2, 1].into())));
        let address: Ipv6Addr = "2001:db8::1".parse().expect("an address");
        assert_eq!(Target::parse("[ipv6:2001:DB8::1]"), Ok(Target::Literal(address.into())));
    }

    #[test]
    fn a_dot_within_a_label_makes_no_host_name() {
        let name = Name::from_labels([&b"mx.example"[..], b"org"]).expect("a name");
        assert!(host_name_of(&name).is_err());
        assert_eq!(show(&name), "mx\\.example.org");
    }

    #[test]
    fn the_longest_name_fits_on_the_wire() {
        let name = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(61));
        assert_eq!(host_name(&name).as_ref(), Ok(&name));
        assert_eq!(host_name_of(&wire_name(&name)), Ok(name));
    }
}
