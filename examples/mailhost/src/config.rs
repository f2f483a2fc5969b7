//! The configuration file: what it may say, and what is meant where it says nothing.
//!
//! Every error is one sentence with the file, the line where there is one, what is wrong, and what to do. Reading the
//! configuration changes nothing on disk.

mod commented;
mod keys;
mod log;
mod print;
mod relay;
mod table;
mod value;

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use smtp_codec::Domain;
use thiserror::Error;

pub use self::log::{Format, Log};
pub(crate) use self::relay::RESOLV_CONF;
pub use self::relay::{Network, NextHop, Queue, Relay, Smarthost};
use self::table::Table;
pub(crate) use self::value::octets;
use crate::listener::Service;

/// What a configuration file says, with every default filled in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// The file it was read from.
    pub file: PathBuf,
    /// The name of this host: in greetings, in trace fields, in its own certificate. In lower case.
    pub hostname: Domain<'static>,
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// The line that says so.
    pub data_dir_line: usize,
    /// The domains whose mail is delivered here, in lower case. The host's own name is always local too, see
    /// [`Config::is_local`].
    pub domains: Vec<Domain<'static>>,
    /// Where to listen, in the order of [`Service::ALL`].
    pub listen: Vec<Listen>,
    /// The ports at which mail programs reach a service, where they differ from those listened on; 0 for a service that is
    /// not theirs to know.
    pub public: Vec<(Service, u16)>,
    /// The certificate; `None` for a self-signed one.
    pub tls: Option<TlsFiles>,
    /// Whom a host that is started as root becomes, and the line that says so; `None` for the owner of `data_dir`.
    pub run_as: Option<(String, usize)>,
    /// Whether logins are offered without TLS.
    pub allow_plaintext: bool,
    /// What parts the name of an address from what its owner adds to it, as in `anna+lists@example.test`. Default `+`; `None`
    /// if there are no such addresses.
    pub subaddress_separator: Option<char>,
    /// The DNS servers to ask.
    pub dns: Vec<SocketAddr>,
    /// Whether the configuration names them, and not the system.
    pub dns_is_named: bool,
    /// Mail for others.
    pub relay: Relay,
    /// Mail that waits.
    pub queue: Queue,
    /// Bounds.
    pub limits: Limits,
    /// What is logged.
    pub log: Log,
}

/// One address to listen on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listen {
    /// What is spoken there.
    pub service: Service,
    /// The address; port 0 lets the system choose.
    pub address: SocketAddr,
    /// The line of the configuration file that says so.
    pub line: usize,
}

impl Listen {
    /// Whether the same is said in another configuration, on whatever line.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.service, self.address) == (other.service, other.address)
    }
}

/// Where the certificate is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct TlsFiles {
    /// The certificate and those that lead to its root, in PEM.
    pub certificate: PathBuf,
    /// The line that names it.
    pub certificate_line: usize,
    /// Its key, in PEM.
    pub key: PathBuf,
    /// The line that names it.
    pub key_line: usize,
}

/// What `[limits]` says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// The largest message in octets. Default 50 MiB; at least the 64 KiB of RFC 5321 §4.5.3.1.7.
    pub message_size: u64,
    /// Recipients of one message. Default 1,000; at least the 100 of RFC 5321 §4.5.3.1.8.
    pub recipients: usize,
    /// Connections at the same time, of all services together. Default 1,000.
    pub connections: usize,
    /// Connections at the same time from one address, or from one /64 of IPv6. Default 50, as in Postfix.
    pub connections_per_address: usize,
    /// Mistakes that end a session. Default 20, as in Postfix.
    pub errors: u32,
    /// Commands that bring no mail, between two messages. Default 100, as in Postfix.
    pub junk_commands: u32,
    /// How much of the disk is kept free; mail that would go below it is answered 452.
    pub disk_reserve: DiskReserve,
    /// How long sessions may go on after the host was told to stop. Default 30 s.
    pub stop_timeout: Duration,
}

/// How much of the disk is kept free.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum DiskReserve {
    /// 1 GiB or 5 % of the disk, whichever is less.
    Default,
    /// So many octets.
    Octets(u64),
    /// So many hundredths of the disk.
    Percent(u8),
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error("{}{}: {message}", file.display(), line.map_or_else(String::new, |line| format!(":{line}")))]
pub struct ConfigError {
    /// The configuration file.
    pub file: PathBuf,
    /// The line that is wrong, from 1 up.
    pub line: Option<usize>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Config {
    /// Reads and checks a configuration file.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let failed = |message: String| ConfigError { file: file.to_owned(), line: None, message };
        let octets = fs::read(file).map_err(|error| {
            failed(format!("cannot read the configuration ({error}); name the file with --config FILE"))
        })?;
        let text = String::from_utf8(octets).map_err(|error| {
            let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = good.iter().filter(|octet| **octet == b'\n').count() + 1;
            let message = "not valid UTF-8; save the file as UTF-8".to_owned();
            ConfigError { file: file.to_owned(), line: Some(line), message }
        })?;
        Self::parse(&text, file)
    }

    /// Checks the text of a configuration file. Relative paths in it start at the folder of `file`.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let document = table::parse(text, file)?;
        let top = Table::new(document.get_ref(), text, file);
        keys::check_all(&top)?;

        let hostname = top.required("hostname", "\"mail.example.test\"")?;
        let hostname = value::domain(&hostname)?;
        let data_dir = top.required("data_dir", "\"data\"")?;
        let (data_dir, data_dir_line) = (value::path(&data_dir)?, data_dir.line());
        let domains = top.required("domains", "[\"example.test\"]")?;
        let domains = value::domains(&domains)?;

        let config = Self {
            file: file.to_owned(),
            hostname,
            data_dir,
            data_dir_line,
            domains,
            listen: listen(&top)?,
            public: public(&top)?,
            tls: tls(&top)?,
            run_as: match top.section("run")?.and_then(|run| run.get("user")) {
                Some(entry) => Some((value::text(&entry, "the name of a user")?.to_owned(), entry.line())),
                None => None,
            },
            allow_plaintext: match top.section("auth")?.and_then(|auth| auth.get("allow_plaintext")) {
                Some(entry) => value::boolean(&entry)?,
                None => false,
            },
            subaddress_separator: separator(&top)?,
            dns: relay::dns(&top)?,
            dns_is_named: top.section("dns")?.is_some_and(|dns| dns.get("servers").is_some()),
            relay: relay::relay(&top)?,
            queue: relay::queue(&top)?,
            limits: limits(&top)?,
            log: log::log(&top)?,
        };
        if config.listen.is_empty() {
            let message =
                "no address to listen on; add [listen] with smtp = [\"127.0.0.1:2525\"] or another service";
            return Err(ConfigError { file: file.to_owned(), line: None, message: message.to_owned() });
        }
        Ok(config)
    }

    /// Whether mail for this domain is delivered here. Address literals never are.
    pub fn is_local(&self, domain: &Domain<'_>) -> bool {
        // The host's own name is local even when `domains` does not say so: cron and postmaster write to it.
        domain.eq_ignore_ascii_case(self.hostname.as_str())
            || self.domains.iter().any(|local| domain.eq_ignore_ascii_case(local.as_str()))
    }

    /// A text as it stands in a configuration file, in quotes.
    pub fn quoted(text: &str) -> String {
        print::quoted(text)
    }

    /// Where the mail lies.
    pub fn mail_dir(&self) -> PathBuf {
        self.data_dir.join("mail")
    }

    /// The socket over which the administration commands reach a running host.
    pub fn admin_socket(&self) -> PathBuf {
        self.data_dir.join("admin.sock")
    }

    /// An error about something that the configuration names, found later than in its text.
    pub fn error(&self, line: Option<usize>, message: impl fmt::Display) -> ConfigError {
        ConfigError { file: self.file.clone(), line, message: message.to_string() }
    }

    /// A configuration for somebody who begins: what is `set` (section, key, value in TOML), and every other key with its
    /// default behind a `#`, all of them explained.
    pub fn commented(title: &str, set: &[(&str, &str, String)]) -> String {
        commented::text(title, set)
    }

    /// The same configuration as text, with every default spelled out; it can be read again.
    pub fn to_toml(&self) -> String {
        print::to_toml(self)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: 50 << 20,
            recipients: 1_000,
            connections: 1_000,
            connections_per_address: 50,
            errors: 20,
            junk_commands: 100,
            disk_reserve: DiskReserve::Default,
            stop_timeout: Duration::from_secs(30),
        }
    }
}

impl DiskReserve {
    /// In octets, on a disk of this size.
    pub fn octets(self, disk: u64) -> u64 {
        match self {
            Self::Default => (disk / 20).min(1 << 30),
            Self::Octets(octets) => octets,
            Self::Percent(percent) => disk / 100 * u64::from(percent),
        }
    }
}

fn listen(top: &Table<'_>) -> Result<Vec<Listen>, ConfigError> {
    let mut all: Vec<Listen> = Vec::new();
    let Some(section) = top.section("listen")? else {
        return Ok(all);
    };
    for service in Service::ALL {
        let Some(entry) = section.get(service.key()) else {
            continue;
        };
        for item in value::array(&entry, "addresses, such as [\"127.0.0.1:2525\"]")? {
            let address = value::socket_address(&item)?;
            if let Some(other) = all.iter().find(|other| overlap(other.address, address)) {
                let (key, line) = (other.service.key(), other.line);
                return Err(item.error(if other.address == address {
                    format!("{address} is taken by {key} in line {line}; give each service its own port")
                } else {
                    format!(
                        "{address} overlaps {} of {key} in line {line}; give each its own port",
                        other.address
                    )
                }));
            }
            all.push(Listen { service, address, line: item.line() });
        }
    }
    Ok(all)
}

fn public(top: &Table<'_>) -> Result<Vec<(Service, u16)>, ConfigError> {
    let Some(section) = top.section("public")? else {
        return Ok(Vec::new());
    };
    let entries = Service::ALL.into_iter().filter_map(|service| Some((service, section.get(service.key())?)));
    entries.map(|(service, entry)| Ok((service, value::number(&entry, 0, u16::MAX.into())? as u16))).collect()
}

/// Whether the system would refuse the second of two addresses.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_family = a.is_ipv4() == b.is_ipv4();
    let any = |ip: IpAddr| ip.is_unspecified();
    let (any_a, any_b) = (any(a.ip()), any(b.ip()));
    a.port() != 0 && a.port() == b.port() && same_family && (a == b || any_a || any_b)
}

fn tls(top: &Table<'_>) -> Result<Option<TlsFiles>, ConfigError> {
    let Some(section) = top.section("tls")? else {
        return Ok(None);
    };
    match (section.get("certificate"), section.get("key")) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
            certificate: value::path(&certificate)?,
            certificate_line: certificate.line(),
            key: value::path(&key)?,
            key_line: key.line(),
        })),
        (Some(one), None) => Err(one.error("[tls] has a certificate and no key; add key = \"FILE\"")),
        (None, Some(one)) => Err(one.error("[tls] has a key and no certificate; add certificate = \"FILE\"")),
    }
}

fn separator(top: &Table<'_>) -> Result<Option<char>, ConfigError> {
    let section = top.section("accounts")?;
    let Some(entry) = section.as_ref().and_then(|section| section.get("subaddress_separator")) else {
        return Ok(Some('+'));
    };
    let text = value::text(&entry, "one character in quotes")?;
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (None, _) => Ok(None),
        (Some(one), None) if SEPARATORS.contains(one) => Ok(Some(one)),
        _ => Err(entry.error("subaddress_separator must be one of + - _ . # ~, or \"\" for none".to_owned())),
    }
}

fn limits(top: &Table<'_>) -> Result<Limits, ConfigError> {
    let mut limits = Limits::default();
    let Some(section) = top.section("limits")? else {
        return Ok(limits);
    };
    if let Some(entry) = section.get("message_size") {
        limits.message_size = value::size(&entry)?;
        // RFC 5321 §4.5.3.1.7: at least 64K octets.
        if limits.message_size < 64 << 10 {
            return Err(entry.error("message_size must be at least \"64 KiB\""));
        }
    }
    let number =
        |key, least, most| section.get(key).map(|entry| value::number(&entry, least, most)).transpose();
    if let Some(count) = number("recipients", 100, 100_000)? {
        limits.recipients = count as usize;
    }
    if let Some(count) = number("connections", 1, 1_000_000)? {
        limits.connections = count as usize;
    }
    if let Some(count) = number("connections_per_address", 1, 1_000_000)? {
        limits.connections_per_address = count as usize;
    }
    if let Some(count) = number("errors", 1, 1_000)? {
        limits.errors = count;
    }
    if let Some(count) = number("junk_commands", 10, 100_000)? {
        limits.junk_commands = count;
    }
    if let Some(entry) = section.get("disk_reserve") {
        limits.disk_reserve = value::reserve(&entry)?;
    }
    if let Some(entry) = section.get("stop_timeout") {
        limits.stop_timeout = value::duration(&entry)?;
    }
    Ok(limits)
}

/// What RFC 5321 §4.1.2 lets stand in a local part without quotes, and no address of a forwarded sender begins with.
const SEPARATORS: &str = "+-_.#~";

#[cfg(test)]
mod tests;
