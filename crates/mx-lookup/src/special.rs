//! Addresses and names that are nobody's mail host on the Internet.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of special-purpose address this is; `None` if it can be any host on the Internet.
///
/// After [RFC 6890](https://www.rfc-editor.org/rfc/rfc6890) and what was registered since. Of IPv6 only the part that is
/// given out (2000::/3) and the translation prefix 64:ff9b::/96 can be hosts, and those not where an IPv4 address within
/// them is special.
pub const fn special_address(address: IpAddr) -> Option<Special> {
    match address {
        IpAddr::V4(address) => special_v4(address),
        IpAddr::V6(address) => special_v6(address),
    }
}

/// A kind of special-purpose addresses.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Special {
    /// "This host", "this network": 0.0.0.0/8 and ::.
    Unspecified,
    /// 127.0.0.0/8 and ::1.
    Loopback,
    /// 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, fc00::/7, fec0::/10.
    Private,
    /// Shared between a provider and its customers: 100.64.0.0/10.
    Shared,
    /// 169.254.0.0/16 and fe80::/10.
    LinkLocal,
    /// For examples: 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24, 2001:db8::/32, 3fff::/20.
    Documentation,
    /// For measurements: 198.18.0.0/15 and 2001:2::/48.
    Benchmarking,
    /// 224.0.0.0/4 and ff00::/8.
    Multicast,
    /// 255.255.255.255.
    Broadcast,
    /// An IPv4 address in an IPv6 one (::ffff:0:0/96, ::/96, 2002::/16, 2001::/32), where no mail host is.
    Embedded,
    /// Kept for protocols, or not given out: 192.0.0.0/24, 192.88.99.0/24, 240.0.0.0/4, 2001::/23, all beyond 2000::/3.
    Reserved,
}

impl Special {
    /// How an operator calls it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::Shared => "shared",
            Self::LinkLocal => "link-local",
            Self::Documentation => "documentation",
            Self::Benchmarking => "benchmarking",
            Self::Multicast => "multicast",
            Self::Broadcast => "broadcast",
            Self::Embedded => "embedded IPv4",
            Self::Reserved => "reserved",
        }
    }

    /// Whether there can not be a host even in a private network.
    pub(crate) const fn is_no_host(self) -> bool {
        matches!(self, Self::Unspecified | Self::Multicast | Self::Broadcast)
    }
}

/// Whether a name is none that the DNS of the Internet knows, in lower case and without a dot at its end.
///
/// [RFC 6761 §6](https://www.rfc-editor.org/rfc/rfc6761#section-6): `localhost` and `invalid`; besides them `local`,
/// `onion`, `internal` and `home.arpa`, which other documents have set apart. `test` and `example` are names like others here.
pub fn special_name(name: &str) -> bool {
    ["localhost", "invalid", "local", "onion", "internal", "home.arpa"]
        .iter()
        .any(|special| name.strip_suffix(special).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

const fn special_v4(address: Ipv4Addr) -> Option<Special> {
    Some(match address.octets() {
        [0, ..] => Special::Unspecified,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Special::Private,
        [100, 64..=127, ..] => Special::Shared,
        [127, ..] => Special::Loopback,
        [169, 254, ..] => Special::LinkLocal,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Special::Documentation,
        [192, 0, 0, _] | [192, 88, 99, _] => Special::Reserved,
        [198, 18..=19, ..] => Special::Benchmarking,
        [224..=239, ..] => Special::Multicast,
        [255, 255, 255, 255] => Special::Broadcast,
        [240..=255, ..] => Special::Reserved,
        _ => return None,
    })
}

const fn special_v6(address: Ipv6Addr) -> Option<Special> {
    Some(match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Special::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Special::Loopback,
        [0, 0, 0, 0, 0, 0 | 0xffff, ..] => Special::Embedded,
        // Translated to IPv4 on its way: what counts is where it ends.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => return special_v4(join(high, low)),
        [0xff00..=0xffff, ..] => Special::Multicast,
        [0xfe80..=0xfebf, ..] => Special::LinkLocal,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Special::Private,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Special::Documentation,
        [0x2001, 2, 0, ..] => Special::Benchmarking,
        [0x2001, 0, ..] => Special::Embedded,
        [0x2001, 0..=0x1ff, ..] => Special::Reserved,
        [0x2002, ..] => Special::Embedded,
        [0x2000..=0x3fff, ..] => return None,
        _ => Special::Reserved,
    })
}

const fn join(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_addresses_are_told_apart_from_others() {
        for (text, kind) in [
            ("0.0.0.0", Some(Special::Unspecified)),
            ("0.1.2.3", Some(Special::Unspecified)),
            ("1.0.0.0", None),
            ("9.255.255.255", None),
            ("10.0.0.0", Some(Special::Private)),
            ("10.255.255.255", Some(Special::Private)),
            ("11.0.0.0", None),
            ("100.63.255.255", None),
            ("100.64.0.0", Some(Special::Shared)),
            ("100.127.255.255", Some(Special::Shared)),
            ("100.128.0.0", None),
            ("127.0.0.1", Some(Special::Loopback)),
            ("127.255.255.255", Some(Special::Loopback)),
            ("128.0.0.0", None),
            ("169.253.255.255", None),
            ("169.254.169.254", Some(Special::LinkLocal)),
            ("172.15.255.255", None),
            ("172.16.0.0", Some(Special::Private)),
            ("172.31.255.255", Some(Special::Private)),
            ("172.32.0.0", None),
            ("192.0.0.8", Some(Special::Reserved)),
            ("192.0.2.1", Some(Special::Documentation)),
            ("192.0.3.1", None),
            ("192.88.99.1", Some(Special::Reserved)),
            ("192.168.255.255", Some(Special::Private)),
            ("198.17.255.255", None),
            ("198.18.0.0", Some(Special::Benchmarking)),
            ("198.19.255.255", Some(Special::Benchmarking)),
            ("198.51.100.7", Some(Special::Documentation)),
            ("203.0.113.7", Some(Special::Documentation)),
            ("223.255.255.255", None),
            ("224.0.0.1", Some(Special::Multicast)),
            ("239.255.255.255", Some(Special::Multicast)),
            ("240.0.0.1", Some(Special::Reserved)),
            ("255.255.255.255", Some(Special::Broadcast)),
            ("::", Some(Special::Unspecified)),
            ("::1", Some(Special::Loopback)),
            ("::127.0.0.1", Some(Special::Embedded)),
            ("::ffff:127.0.0.1", Some(Special::Embedded)),
            ("::ffff:8.8.8.8", Some(Special::Embedded)),
            ("64:ff9b::8.8.8.8", None),
            ("64:ff9b::10.0.0.1", Some(Special::Private)),
            ("64:ff9b::127.0.0.1", Some(Special::Loopback)),
            ("64:ff9b:1::1", Some(Special::Reserved)),
            ("100::1", Some(Special::Reserved)),
            ("2000::1", None),
            ("2001::1", Some(Special::Embedded)),
            ("2001:2::1", Some(Special::Benchmarking)),
            ("2001:10::1", Some(Special::Reserved)),
            ("2001:1ff::1", Some(Special::Reserved)),
            ("2001:200::1", None),
            ("2001:db8::1", Some(Special::Documentation)),
            ("2002:a00:1::1", Some(Special::Embedded)),
            ("2a00::1", None),
            ("3fff::1", Some(Special::Documentation)),
            ("3fff:1000::1", None),
            ("4000::1", Some(Special::Reserved)),
            ("fc00::1", Some(Special::Private)),
            ("fdff::1", Some(Special::Private)),
            ("fe80::1", Some(Special::LinkLocal)),
            ("fec0::1", Some(Special::Private)),
            ("ff02::1", Some(Special::Multicast)),
        ] {
            assert_eq!(special_address(text.parse().expect("an address")), kind, "{text}");
        }
    }

    #[test]
    fn special_names_are_whole_labels() {
        for name in
            ["localhost", "a.localhost", "invalid", "x.y.invalid", "printer.local", "a.onion", "b.home.arpa"]
        {
            assert!(special_name(name), "{name}");
        }
        for name in ["example.test", "notlocalhost", "local.example", "arpa", "home.example", "mylocal"] {
            assert!(!special_name(name), "{name}");
        }
    }
}
