//! What a resolver is told once.

use core::net::{IpAddr, SocketAddr};
use std::collections::BTreeSet;

use crate::domain::host_name;
use crate::error::DomainError;
use crate::limits::Limits;
use crate::special::{Special, special_address};

/// What a [`Resolver`](crate::Resolver) needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) servers: Vec<Server>,
    pub(crate) own_hosts: BTreeSet<String>,
    pub(crate) own_addresses: BTreeSet<IpAddr>,
    pub(crate) allow_private_addresses: bool,
    pub(crate) random_case: bool,
    pub(crate) limits: Limits,
}

/// A recursive name server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) trusted: bool,
}

impl Server {
    /// A server whose word on DNSSEC is not taken.
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, trusted: false }
    }

    /// Takes its word (the AD bit) for what DNSSEC proves. For a validating server on this machine, or on a network where
    /// nobody else can speak in its name.
    pub const fn trusted(mut self) -> Self {
        self.trusted = true;
        self
    }
}

impl From<SocketAddr> for Server {
    fn from(address: SocketAddr) -> Self {
        Self::new(address)
    }
}

impl Config {
    /// Asks these servers, in turns.
    pub fn new<S: Into<Server>>(servers: impl IntoIterator<Item = S>) -> Self {
        Self {
            servers: servers.into_iter().map(Into::into).collect(),
            own_hosts: BTreeSet::new(),
            own_addresses: BTreeSet::new(),
            allow_private_addresses: false,
            random_case: true,
            limits: Limits::default(),
        }
    }

    /// A name by which this host is known in MX records. It and all hosts that are not preferred to it are left out of plans
    /// ([RFC 5321 §5.1](https://www.rfc-editor.org/rfc/rfc5321#section-5.1)), or mail would go in circles.
    pub fn own_host(mut self, name: &str) -> Result<Self, DomainError> {
        self.own_hosts.insert(host_name(name)?);
        Ok(self)
    }

    /// An address by which this host is known, from outside.
    pub fn own_address(mut self, address: IpAddr) -> Self {
        self.own_addresses.insert(address);
        self
    }

    /// Whether hosts in private networks, on this machine, and under special-use names may get mail.
    ///
    /// Default no: anybody can let an MX record point there, and so reach what only we can reach. Addresses that no host can
    /// have (multicast and the like) are left out in any case.
    pub const fn allow_private_addresses(mut self, allow: bool) -> Self {
        self.allow_private_addresses = allow;
        self
    }

    /// Whether letters of questions get random case, and answers have to repeat them.
    ///
    /// Default yes: one bit a letter that a forger has to guess. A server that changes letters is asked by TCP, unless
    /// this is off.
    pub const fn random_case(mut self, on: bool) -> Self {
        self.random_case = on;
        self
    }

    /// Other bounds and time-outs.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Why mail does not go to this address.
    pub(crate) fn refuses(&self, address: IpAddr) -> Option<Special> {
        special_address(address).filter(|kind| !self.allow_private_addresses || kind.is_no_host())
    }
}
