//! Seals on forms: that a form which comes back was given out here, not long ago, to the same visitor.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::OnceLock;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::listener::network;
use crate::system::System;

/// The key to the seals of one run of the host; made when the first one is wanted.
#[derive(Default)]
pub struct Seal(OnceLock<[u8; 32]>);

impl Seal {
    /// A seal for a form that is given to a visitor at this time, in seconds.
    pub(super) fn make(&self, system: &(dyn System + 'static), visitor: IpAddr) -> io::Result<String> {
        let key = match self.0.get() {
            Some(key) => key,
            None => {
                let mut random = [0; 32];
                system.fill_random(&mut random)?;
                self.0.get_or_init(|| random)
            }
        };
        let until = system.unix_seconds().saturating_add(LIFE);
        let mac = mac(key, until, visitor).finalize().into_bytes();
        Ok(format!("{until:x}.{}", mac.iter().map(|octet| format!("{octet:02x}")).collect::<String>()))
    }

    /// Whether this is a seal that was made for this visitor and has not run out.
    pub(super) fn is_good(&self, system: &(dyn System + 'static), visitor: IpAddr, seal: &str) -> bool {
        let known = || {
            let (until, hex) = seal.split_once('.')?;
            let until = i64::from_str_radix(until, 16).ok()?;
            let octets: Vec<u8> = hex.as_bytes().chunks(2).map(octet).collect::<Option<_>>()?;
            // In constant time.
            mac(self.0.get()?, until, visitor).verify_slice(&octets).ok()?;
            Some(until)
        };
        known().is_some_and(|until| system.unix_seconds() < until)
    }
}

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(..)")
    }
}

fn mac(key: &[u8; 32], until: i64, visitor: IpAddr) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("keys of any length are good");
    mac.update(&until.to_be_bytes());
    mac.update(network(visitor).to_string().as_bytes());
    mac
}

fn octet(pair: &[u8]) -> Option<u8> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    match pair {
        [high, low] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    }
}

/// How long a form may be looked at before it is sent, in seconds.
const LIFE: i64 = 3_600;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Machine;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_seal_is_good_for_its_visitor_and_its_run_alone() {
        let seal = Seal::default();
        assert!(!seal.is_good(&Machine, ip("192.0.2.1"), "ffffffff.00"), "none was made yet");
        let made = seal.make(&Machine, ip("192.0.2.1")).unwrap();
        assert!(seal.is_good(&Machine, ip("192.0.2.1"), &made));
        assert!(seal.is_good(&Machine, ip("::ffff:192.0.2.1"), &made));
        assert!(!seal.is_good(&Machine, ip("192.0.2.2"), &made));
        let other = Seal::default();
        other.make(&Machine, ip("192.0.2.1")).unwrap();
        assert!(!other.is_good(&Machine, ip("192.0.2.1"), &made));
    }

    #[test]
    fn a_seal_that_was_touched_is_broken() {
        let seal = Seal::default();
        let made = seal.make(&Machine, ip("192.0.2.1")).unwrap();
        for at in 0..made.len() {
            let mut touched = made.clone().into_bytes();
            touched[at] ^= 1;
            let touched = String::from_utf8(touched).unwrap();
            assert!(!seal.is_good(&Machine, ip("192.0.2.1"), &touched), "{touched}");
        }
        for bad in
            ["", ".", "x.y", "\u{20ac}.\u{20ac}", &made[..made.len() - 1], &made[..made.len() - 2], "-1."]
        {
            assert!(!seal.is_good(&Machine, ip("192.0.2.1"), bad), "{bad}");
        }
    }

    #[test]
    fn a_seal_runs_out() {
        let seal = Seal::default();
        seal.make(&Machine, ip("192.0.2.1")).unwrap();
        let until = (&Machine as &dyn System).unix_seconds() - 1;
        let mac = mac(seal.0.get().unwrap(), until, ip("192.0.2.1")).finalize().into_bytes();
        let hex: String = mac.iter().map(|octet| format!("{octet:02x}")).collect();
        assert!(!seal.is_good(&Machine, ip("192.0.2.1"), &format!("{until:x}.{hex}")));
    }
}
