//! `[dns]`, `[relay]` and `[queue]`: mail for others.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::table::{Entry, Table};
use super::{ConfigError, value};

/// What `[relay]` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Relay {
    /// Who may relay without logging in. Default: nobody.
    pub networks: Vec<Network>,
    /// Where other hosts listen. Default 25.
    pub port: u16,
    /// Whether mail is sent to loopback and private addresses that DNS names. Default: no.
    pub allow_private_addresses: bool,
    /// Where all mail for others goes, instead of to the hosts that DNS names.
    pub smarthost: Option<Smarthost>,
    /// Domains whose mail goes to a fixed host, in lower case.
    pub routes: BTreeMap<String, NextHop>,
}

/// What `[queue]` says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Queue {
    /// How long after the first attempt, and so on; the last one repeats.
    pub retry: Vec<Duration>,
    /// When mail goes back to its sender. Default 30 hours.
    pub expire: Duration,
    /// When its sender is told that it waits. Default 4 hours; `None` for never.
    pub warn: Option<Duration>,
    /// How many messages that wait are in memory with all their recipients; of each other one there is a small entry. Default
    /// 20,000. It should be more than the 200 that may be under way at a time.
    pub resident_messages: usize,
    /// How many octets these may have. Default 32 MiB.
    pub resident_size: u64,
}

/// A network, as an address and how many of its bits count.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

/// A host that is named in the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NextHop {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// A host that takes all mail.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Smarthost {
    /// Which.
    pub hop: NextHop,
    /// The name to log in with.
    pub user: Option<String>,
    /// The file whose first line is the password.
    pub password_file: Option<PathBuf>,
}

impl Smarthost {
    /// The name to log in with, and the file that holds the password.
    pub fn login(&self) -> Option<(&str, &Path)> {
        Some((self.user.as_deref()?, self.password_file.as_deref()?))
    }
}

impl Network {
    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        // A connection over a socket of both families shows IPv4 as ::ffff:a.b.c.d.
        let address = address.to_canonical();
        match (self.address, address) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => {
                prefix(u128::from(u32::from(ours)), 32, self.bits)
                    == prefix(u128::from(u32::from(theirs)), 32, self.bits)
            }
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => {
                prefix(u128::from(ours), 128, self.bits) == prefix(u128::from(theirs), 128, self.bits)
            }
            _ => false,
        }
    }

    /// Whether it is larger than any network that belongs to one owner.
    pub const fn is_vast(&self) -> bool {
        self.bits < 8
    }

    /// As it is written.
    pub fn text(&self) -> String {
        format!("{}/{}", self.address, self.bits)
    }
}

impl NextHop {
    /// As it is written.
    pub fn text(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl Default for Queue {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self {
            retry: [5, 15, 30, 60, 120, 240].map(minutes).to_vec(),
            // Deviates from RFC 5321 §4.5.4.1, which advises four to five days: people want to know sooner.
            expire: minutes(30 * 60),
            warn: Some(minutes(4 * 60)),
            resident_messages: 20_000,
            resident_size: 32 << 20,
        }
    }
}

pub(super) fn relay(top: &Table<'_>) -> Result<Relay, ConfigError> {
    let mut relay = Relay {
        networks: Vec::new(),
        port: 25,
        allow_private_addresses: false,
        smarthost: None,
        routes: BTreeMap::new(),
    };
    let Some(section) = top.section("relay")? else {
        return Ok(relay);
    };
    if let Some(entry) = section.get("networks") {
        for item in value::array(&entry, "networks, such as [\"10.0.0.0/8\"]")? {
            relay.networks.push(network(&item)?);
        }
    }
    if let Some(entry) = section.get("port") {
        relay.port = value::number(&entry, 1, 65_535)? as u16;
    }
    if let Some(entry) = section.get("allow_private_addresses") {
        relay.allow_private_addresses = value::boolean(&entry)?;
    }
    let smarthost = section.get("smarthost").map(|entry| hop(&entry, 587)).transpose()?;
    let user = section
        .get("user")
        .map(|entry| value::text(&entry, "a login name").map(str::to_owned))
        .transpose()?;
    let password_file = section.get("password_file").map(|entry| value::path(&entry)).transpose()?;
    match (smarthost, section.get("user"), section.get("password_file")) {
        (Some(hop), None, None) | (Some(hop), Some(_), Some(_)) => {
            relay.smarthost = Some(Smarthost { hop, user, password_file });
        }
        (Some(_), Some(entry), None) => {
            return Err(entry.error("user needs a password_file beside it; add password_file = \"FILE\""));
        }
        (Some(_), None, Some(entry)) => {
            return Err(entry.error("password_file needs a user beside it; add user = \"NAME\""));
        }
        (None, Some(entry), _) | (None, None, Some(entry)) => {
            return Err(entry.error(format!(
                "{} is for a smarthost, and there is none; add smarthost = \"HOST:PORT\"",
                entry.key
            )));
        }
        (None, None, None) => {}
    }
    if let Some(routes) = section.section("routes")? {
        for entry in routes.entries() {
            let domain = entry.key.to_ascii_lowercase();
            if smtp_codec::Domain::parse(&domain).is_err() {
                return Err(entry.error(format!("{:?} in [relay.routes] is not a domain name", entry.key)));
            }
            relay.routes.insert(domain, hop(&entry, 25)?);
        }
    }
    Ok(relay)
}

pub(super) fn queue(top: &Table<'_>) -> Result<Queue, ConfigError> {
    let mut queue = Queue::default();
    let Some(section) = top.section("queue")? else {
        return Ok(queue);
    };
    if let Some(entry) = section.get("retry") {
        let mut retry = Vec::new();
        for item in value::array(&entry, "times, such as [\"5m\", \"30m\", \"4h\"]")? {
            let time = value::long_duration(&item)?;
            if time < Duration::from_secs(1) {
                return Err(item.error("a time of retry must be at least \"1s\""));
            }
            retry.push(time);
        }
        queue.retry = retry;
    }
    if let Some(entry) = section.get("expire") {
        queue.expire = value::long_duration(&entry)?;
        if queue.expire.is_zero() {
            return Err(entry.error("expire must be at least \"1s\""));
        }
    }
    if let Some(entry) = section.get("warn") {
        let warn = value::long_duration(&entry)?;
        queue.warn = (!warn.is_zero()).then_some(warn);
    }
    if let Some(entry) = section.get("resident_messages") {
        queue.resident_messages = value::number(&entry, 1, 100_000_000)? as usize;
    }
    if let Some(entry) = section.get("resident_size") {
        queue.resident_size = value::size(&entry)?.max(1);
    }
    Ok(queue)
}

/// The DNS servers: those of `[dns]`, or else the system's.
pub(super) fn dns(top: &Table<'_>) -> Result<Vec<SocketAddr>, ConfigError> {
    if let Some(entry) = top.section("dns")?.and_then(|section| section.get("servers")) {
        let items = value::array(&entry, "addresses, such as [\"127.0.0.1:53\"]")?;
        return items.iter().map(value::socket_address).collect();
    }
    Ok(fs::read_to_string(RESOLV_CONF).map_or_else(|_| Vec::new(), |text| resolv_conf(&text)))
}

fn resolv_conf(text: &str) -> Vec<SocketAddr> {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse().ok())
        .map(|address: IpAddr| SocketAddr::new(address, 53))
        .collect()
}

fn network(entry: &Entry<'_>) -> Result<Network, ConfigError> {
    let text = value::text(entry, "a network in quotes")?;
    let wrong =
        || entry.error(format!("{text:?} is not a network; write it as \"10.0.0.0/8\" or \"2001:db8::/32\""));
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
    if bits > most { Err(wrong()) } else { Ok(Network { address, bits }) }
}

fn hop(entry: &Entry<'_>, default_port: u16) -> Result<NextHop, ConfigError> {
    let text = value::text(entry, "a host in quotes")?;
    let wrong = || {
        entry.error(format!(
            "{text:?} in {} is not a host; write it as \"smtp.example.test:{default_port}\"",
            entry.key
        ))
    };
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(NextHop { host: address.ip().to_string(), port: address.port() });
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(NextHop { host: address.to_string(), port: default_port });
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| wrong())?),
        None => (text, default_port),
    };
    let good = smtp_codec::Domain::parse(host).is_ok_and(|domain| !domain.is_literal());
    if good && port != 0 { Ok(NextHop { host: host.to_ascii_lowercase(), port }) } else { Err(wrong()) }
}

fn prefix(address: u128, width: u8, bits: u8) -> u128 {
    address.checked_shr(u32::from(width - bits)).unwrap_or(0)
}

/// Where the system names its DNS servers.
pub(crate) const RESOLV_CONF: &str = "/etc/resolv.conf";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const FILE: &str = "etc/mail.toml";

    /// The least configuration with these lines at its end, which begin at line 6.
    fn with(lines: &str) -> Result<Config, ConfigError> {
        let least = "hostname = \"mail.a.test\"\ndata_dir = \"data\"\ndomains = [\"a.test\"]\n[listen]\n\
                     smtp = [\"127.0.0.1:2525\"]\n";
        Config::parse(&format!("{least}{lines}"), Path::new(FILE))
    }

    #[track_caller]
    fn says(lines: &str, expected: &str) {
        let said = with(lines).map_err(|error| error.to_string()).map(drop);
        assert_eq!(said, Err(format!("{FILE}{expected}")), "{lines}");
    }

    fn hop(host: &str, port: u16) -> NextHop {
        NextHop { host: host.to_owned(), port }
    }

    #[test]
    fn networks_contain_what_their_bits_say() {
        let network = |address: &str, bits| Network { address: address.parse().unwrap(), bits };
        let has = |network: Network, address: &str| network.contains(address.parse().unwrap());
        assert!(has(network("10.0.0.0", 8), "10.255.0.1"));
        assert!(has(network("10.0.0.0", 8), "::ffff:10.1.1.1"));
        assert!(!has(network("10.0.0.0", 8), "11.0.0.1"));
        assert!(has(network("0.0.0.0", 0), "203.0.113.9"));
        assert!(!has(network("0.0.0.0", 0), "2001:db8::1"));
        assert!(has(network("2001:db8::", 32), "2001:db8:ffff::1"));
        assert!(has(network("127.0.0.1", 32), "127.0.0.1"));
        assert!(!has(network("127.0.0.1", 32), "127.0.0.2"));
    }

    #[test]
    fn nobody_may_relay_and_dns_decides_unless_it_is_said() {
        let config = with("").unwrap();
        let expected = Relay {
            networks: Vec::new(),
            port: 25,
            allow_private_addresses: false,
            smarthost: None,
            routes: BTreeMap::new(),
        };
        assert_eq!((&config.relay, &config.queue), (&expected, &Queue::default()));
        let empty = with("[relay]\n[relay.routes]\n[queue]\n[dns]\nservers = [\"127.0.0.1:53\"]\n").unwrap();
        assert_eq!((&empty.relay, &empty.queue), (&expected, &Queue::default()));
        assert_eq!(config.queue.expire, Duration::from_secs(30 * 3_600));
    }

    #[test]
    fn everything_can_be_said_and_is_printed_as_it_is_read() {
        let config = with(
            "[dns]\nservers = [\"192.0.2.1:53\", \"[2001:db8::1]:5353\"]\n[relay]\n\
             networks = [\"10.0.0.0/8\", \"2001:db8::/32\", \"192.0.2.7\"]\nport = 2525\n\
             allow_private_addresses = true\nsmarthost = \"Smtp.Out.test\"\nuser = \"anna\"\npassword_file = \"/p\"\n\
             [relay.routes]\n\"Inner.test\" = \"[::1]:2526\"\n\"other.test\" = \"192.0.2.9\"\n\"last.test\" = \"mx.last.test:26\"\n\
             [queue]\nretry = [\"2m\", \"1h\"]\nexpire = \"72h\"\nwarn = \"0s\"\nresident_messages = 500\n\
             resident_size = \"2 MiB\"\n",
        );
        let config = config.unwrap_or_else(|error| panic!("{error}"));
        let network = |address: &str, bits| Network { address: address.parse().unwrap(), bits };
        let relay = &config.relay;
        assert_eq!(
            relay.networks,
            [network("10.0.0.0", 8), network("2001:db8::", 32), network("192.0.2.7", 32)]
        );
        assert_eq!((relay.port, relay.allow_private_addresses), (2525, true));
        let smarthost = Smarthost {
            hop: hop("smtp.out.test", 587),
            user: Some("anna".to_owned()),
            password_file: Some(PathBuf::from("/p")),
        };
        assert_eq!(relay.smarthost, Some(smarthost));
        let routes = [
            ("inner.test", hop("::1", 2526)),
            ("last.test", hop("mx.last.test", 26)),
            ("other.test", hop("192.0.2.9", 25)),
        ];
        assert_eq!(relay.routes, routes.map(|(domain, hop)| (domain.to_owned(), hop)).into());
        let minutes = |count: u64| Duration::from_secs(60 * count);
        assert_eq!(config.queue.retry, [minutes(2), minutes(60)]);
        assert_eq!((config.queue.expire, config.queue.warn), (minutes(3 * 24 * 60), None));
        assert_eq!((config.queue.resident_messages, config.queue.resident_size), (500, 2 << 20));
        assert_eq!(config.dns.len(), 2);

        let again = Config::parse(&config.to_toml(), Path::new("elsewhere/other.toml")).unwrap();
        assert_eq!((again.relay, again.queue, again.dns), (config.relay, config.queue, config.dns));
    }

    #[test]
    fn a_smarthost_its_user_and_its_password_come_together() {
        says(
            "[relay]\nsmarthost = \"h.test\"\nuser = \"anna\"\n",
            ":8: user needs a password_file beside it; add password_file = \"FILE\"",
        );
        says(
            "[relay]\nsmarthost = \"h.test\"\npassword_file = \"p\"\n",
            ":8: password_file needs a user beside it; add user = \"NAME\"",
        );
        says(
            "[relay]\nuser = \"anna\"\npassword_file = \"p\"\n",
            ":7: user is for a smarthost, and there is none; add smarthost = \"HOST:PORT\"",
        );
        says(
            "[relay]\npassword_file = \"p\"\n",
            ":7: password_file is for a smarthost, and there is none; add smarthost = \"HOST:PORT\"",
        );
    }

    #[test]
    fn networks_hosts_and_domains_are_checked() {
        for bad in ["10.0.0.0/33", "10.0.0/8", "2001:db8::/129", "far.test", "10.0.0.0/", "10.0.0.0/-1", ""] {
            says(
                &format!("[relay]\nnetworks = [{bad:?}]\n"),
                &format!(":7: {bad:?} is not a network; write it as \"10.0.0.0/8\" or \"2001:db8::/32\""),
            );
        }
        for bad in ["", "h.test:", "h.test:0", "h.test:65536", "-h.test", "a b", "[::1]"] {
            says(
                &format!("[relay]\nsmarthost = {bad:?}\n"),
                &format!(":7: {bad:?} in smarthost is not a host; write it as \"smtp.example.test:587\""),
            );
        }
        says("[relay.routes]\n\"a b\" = \"h.test\"\n", ":7: \"a b\" in [relay.routes] is not a domain name");
        says("[relay]\nport = 0\n", ":7: port must be between 1 and 65535");
        says(
            "[relay]\nallow_private_addresses = 1\n",
            ":7: allow_private_addresses must be true or false, not a number",
        );
    }

    // Ledger: 5321-4.5.4.1-3
    #[test]
    fn times_of_the_queue_are_checked() {
        says("[queue]\nexpire = \"0s\"\n", ":7: expire must be at least \"1s\"");
        says("[queue]\nretry = [\"1m\", \"0s\"]\n", ":7: a time of retry must be at least \"1s\"");
        let config = with("[queue]\nexpire = \"1m\"\nwarn = \"1h\"\n").unwrap();
        assert_eq!(config.queue.expire, Duration::from_secs(60));
        assert_eq!(config.queue.warn, Some(Duration::from_secs(3_600)));
        assert!(with("[queue]\nretry = \"5m\"\n").is_err(), "no list");
        assert!(with("[queue]\nretry = [\"soon\"]\n").is_err(), "no time");
    }

    #[test]
    fn the_systems_servers_are_found() {
        let text =
            "# comment\nsearch x\nnameserver 192.0.2.1\n nameserver  2001:db8::53\nnameserver nonsense\n";
        let expected: Vec<SocketAddr> =
            vec!["192.0.2.1:53".parse().unwrap(), "[2001:db8::53]:53".parse().unwrap()];
        assert_eq!(resolv_conf(text), expected);
    }
}
