//! What the world around a host is like: addresses, names, ports, the way out. Nothing here changes anything, and everything
//! ends after a few seconds.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::Config;
use crate::lookup::{Lookup, LookupError};
use crate::preflight::{Finding, Severity};
use crate::published::{Data, Record};

/// Whom to ask about the world outside.
#[derive(Clone, Debug)]
pub struct World {
    /// Asks.
    pub lookup: Lookup,
    /// A host that takes mail from everybody, and the port it listens on.
    pub probe: (String, u16),
}

impl World {
    /// By these DNS servers; mail goes out if this host can be reached, or else one that takes mail from everybody.
    pub fn new(servers: &[SocketAddr], probe: Option<&(String, u16)>) -> Self {
        let probe = probe.cloned().unwrap_or_else(|| (EVERYBODY.to_owned(), 25));
        Self { lookup: Lookup::new(servers), probe }
    }
}

/// Why DNS is not to be asked about this host, if there is a reason.
pub fn not_asked(config: &Config) -> Option<String> {
    (is_for_tests(config.hostname.as_str()) && !config.dns_is_named)
        .then(|| format!("DNS was not asked, for {} is a name for tests", config.hostname))
}

/// The addresses of this machine that others could reach.
pub fn public_addresses() -> BTreeSet<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return BTreeSet::new() };
    let address = |interface: nix::ifaddrs::InterfaceAddress| {
        let address = interface.address?;
        let four = address.as_sockaddr_in().map(|four| IpAddr::V4(four.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|six| IpAddr::V6(six.ip())))
    };
    interfaces.filter_map(address).filter(|address| is_public(*address)).collect()
}

/// Whether an address is one that the whole Internet can reach: of none of the ranges of RFC 6890.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            let [a, b, ..] = address.octets();
            !(address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_unspecified()
                || address.is_multicast()
                || address.is_broadcast()
                || address.is_documentation()
                || (a == 100 && b & 0xc0 == 64)
                || a == 0)
        }
        // 2000::/3 is all that is given out so far, and 2001:db8::/32 is for books.
        IpAddr::V6(address) => {
            let [a, b, ..] = address.segments();
            a & 0xe000 == 0x2000 && (a, b) != (0x2001, 0xdb8)
        }
    }
}

/// Whether a name is one of those that nobody can have (RFC 6761).
pub fn is_for_tests(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    let last = name.rsplit('.').next().unwrap_or_default();
    matches!(last, "test" | "example" | "invalid" | "localhost")
}

/// Looks at every record that ought to be published, and at the way out, all at once.
pub async fn check(config: &Config, world: &World) -> Vec<Finding> {
    let ours = public_addresses();
    // The address that counts is the one that others are told.
    let told = match world.lookup.addresses(config.hostname.as_str()).await {
        Ok(told) => told,
        // Twenty lines that say the same would hide the rest.
        Err(why @ (LookupError::NoServer | LookupError::Silent(_))) => return vec![silence(&why)],
        Err(_) => BTreeSet::new(),
    };
    let mut jobs = JoinSet::new();
    let addresses: Vec<_> = told.iter().copied().collect();
    let records = Record::all(config, &addresses);
    let mut any = false;
    let mut wanted = Vec::new();
    for record in records {
        // One look finds all addresses.
        let is_address = matches!(record.data, Data::Address(_));
        if !(is_address && std::mem::replace(&mut any, true)) {
            wanted.push(record);
        }
    }
    if addresses.is_empty() {
        let name = config.hostname.as_str().to_owned();
        let address = ours.first().copied().unwrap_or(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));
        wanted.insert(0, Record { name, data: Data::Address(address) });
    }
    for (at, record) in wanted.into_iter().enumerate() {
        let (lookup, ours, told) = (world.lookup.clone(), ours.clone(), told.clone());
        jobs.spawn(async move {
            let known = if matches!(record.data, Data::Reverse(_)) { &told } else { &ours };
            (at, record.check(&lookup, known).await)
        });
    }
    let way_out = way_out(world);
    let (way_out, mut findings) = tokio::join!(way_out, jobs.join_all());
    findings.sort_by_key(|(at, _)| *at);
    findings.into_iter().map(|(_, finding)| finding).chain([way_out]).collect()
}

/// What is to be said once if nothing at all can be looked up.
pub fn silence(why: &LookupError) -> Finding {
    let text =
        format!("{why}, so neither records nor the way out could be tried; without DNS no mail goes out");
    finding(Severity::Warning, text)
}

/// Whether mail can go out: whether a host that takes mail from everybody greets.
pub async fn way_out(world: &World) -> Finding {
    let (host, port) = &world.probe;
    let addresses = match world.lookup.addresses(host).await {
        Ok(addresses) if !addresses.is_empty() => addresses,
        Ok(_) => {
            return finding(Severity::Warning, format!("the way out was not tried: {host} has no address"));
        }
        Err(error) => {
            return finding(
                Severity::Warning,
                format!("the way out was not tried: {host} could not be looked up: {error}"),
            );
        }
    };
    let mut failed = None;
    // One address of each family, or a family that is not there would take all the time.
    let families = [addresses.iter().find(|one| one.is_ipv4()), addresses.iter().find(|one| one.is_ipv6())];
    for address in families.into_iter().flatten() {
        match timeout(PATIENCE, greeting(SocketAddr::new(*address, *port))).await {
            Ok(Ok(true)) => {
                return finding(
                    Severity::Ok,
                    format!("port {port} of other hosts can be reached: {host} greets"),
                );
            }
            Ok(Ok(false)) => failed = Some("it does not greet as a mail host does".to_owned()),
            Ok(Err(error)) => failed = failed.or_else(|| Some(error.to_string())),
            Err(_) => failed = failed.or_else(|| Some(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }
    let why = failed.unwrap_or_else(|| "it has no address".to_owned());
    finding(
        Severity::Warning,
        format!(
            "port {port} of {host} cannot be reached ({why}); if your provider blocks it, ask for it to be opened, \
             or name a smarthost in [relay]"
        ),
    )
}

async fn greeting(address: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    let mut start = [0; 3];
    stream.read_exact(&mut start).await?;
    Ok(start == *b"220")
}

/// How a port of this machine is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Port {
    /// It can be had.
    Free,
    /// Another program has it.
    Taken,
    /// It takes root.
    Forbidden,
    /// The addresses are not of this machine, or something else is wrong with them.
    Unusable,
}

/// Tries to bind a port for a moment, on all of these addresses.
pub fn port(addresses: &[IpAddr], port: u16) -> Port {
    let attempt = |address: &IpAddr| match TcpListener::bind((*address, port)) {
        Ok(_) => Port::Free,
        Err(error) => match error.kind() {
            ErrorKind::AddrInUse => Port::Taken,
            ErrorKind::PermissionDenied => Port::Forbidden,
            _ => Port::Unusable,
        },
    };
    addresses.iter().map(attempt).find(|port| *port != Port::Free).unwrap_or(Port::Free)
}

fn finding(severity: Severity, text: String) -> Finding {
    Finding { severity, text }
}

/// A host that takes mail from everybody; nothing is said to it.
const EVERYBODY: &str = "gmail-smtp-in.l.google.com";
/// How long the way out may take.
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_others_cannot_reach_are_known() {
        for address in
            ["10.1.2.3", "192.168.0.1", "127.0.0.1", "169.254.1.1", "100.64.0.1", "::1", "fe80::1", "fd00::1"]
        {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["9.9.9.9", "100.128.0.1", "2620:fe::fe"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn names_for_tests_are_known() {
        assert!(is_for_tests("mail.example.test") && is_for_tests("x.Invalid.") && is_for_tests("localhost"));
        assert!(!is_for_tests("example.org") && !is_for_tests("test.org"));
    }
}
