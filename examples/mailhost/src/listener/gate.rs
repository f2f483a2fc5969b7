//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Counts connections.
#[derive(Debug)]
pub struct Gate {
    total: AtomicUsize,
    per_address: AtomicUsize,
    counts: Mutex<Counts>,
}

/// A place within the limits, free again when it is dropped.
#[derive(Debug)]
pub struct Pass {
    gate: Arc<Gate>,
    address: IpAddr,
}

/// Which limit is reached.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Full {
    /// That on all connections.
    Total,
    /// That on connections from one address.
    Address,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    /// Only addresses with a connection: no larger than `total`.
    by_address: HashMap<IpAddr, usize>,
}

impl Gate {
    /// With these limits.
    pub fn new(total: usize, per_address: usize) -> Self {
        Self { total: total.into(), per_address: per_address.into(), counts: Mutex::default() }
    }

    /// Other limits from now on; who is in stays in.
    pub fn set_limits(&self, total: usize, per_address: usize) {
        self.total.store(total, Ordering::Relaxed);
        self.per_address.store(per_address, Ordering::Relaxed);
    }

    /// Takes a place, if there is one.
    pub fn enter(self: &Arc<Self>, peer: IpAddr) -> Result<Pass, Full> {
        let address = network(peer);
        let mut counts = self.counts();
        let per_address = self.per_address.load(Ordering::Relaxed);
        if counts.by_address.get(&address).is_some_and(|count| *count >= per_address) {
            return Err(Full::Address);
        }
        if counts.total >= self.total.load(Ordering::Relaxed) {
            return Err(Full::Total);
        }
        counts.total += 1;
        *counts.by_address.entry(address).or_default() += 1;
        Ok(Pass { gate: Arc::clone(self), address })
    }

    /// How many places are taken.
    pub fn taken(&self) -> usize {
        self.counts().total
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing in here panics half way through a change.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut counts = self.gate.counts();
        counts.total -= 1;
        if let Some(count) = counts.by_address.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.by_address.remove(&self.address);
            }
        }
    }
}

/// What counts as one address: an IPv4 address, mapped or not, or an IPv6 /64, which is what one customer has.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_place_is_free_again_when_its_pass_is_dropped() {
        let gate = Arc::new(Gate::new(2, 2));
        let first = gate.enter(ip("192.0.2.1")).unwrap();
        let _second = gate.enter(ip("192.0.2.2")).unwrap();
        assert_eq!(gate.enter(ip("192.0.2.3")).err(), Some(Full::Total));
        drop(first);
        let third = gate.enter(ip("192.0.2.3")).unwrap();
        assert_eq!(gate.taken(), 2);
        drop(third);
        assert_eq!(gate.counts().by_address.len(), 1);
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let gate = Arc::new(Gate::new(10, 1));
        let _one = gate.enter(ip("192.0.2.1")).unwrap();
        assert_eq!(gate.enter(ip("192.0.2.1")).err(), Some(Full::Address));
        assert_eq!(gate.enter(ip("::ffff:192.0.2.1")).err(), Some(Full::Address));
        let _net = gate.enter(ip("2001:db8:0:1::1")).unwrap();
        assert_eq!(gate.enter(ip("2001:db8:0:1:ffff::2")).err(), Some(Full::Address));
        let _other = gate.enter(ip("2001:db8:0:2::1")).unwrap();
        assert_eq!(gate.taken(), 3);
    }
}
