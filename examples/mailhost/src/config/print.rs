//! The effective configuration as text.

use std::fmt::Write as _;
use std::path::{self, Path};
use std::time::Duration;

use super::{Config, DiskReserve};
use crate::listener::Service;

pub(super) fn to_toml(config: &Config) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(config, &mut out);
    out
}

fn write(config: &Config, out: &mut String) -> std::fmt::Result {
    writeln!(out, "hostname = {}", quoted(config.hostname.as_str()))?;
    writeln!(out, "data_dir = {}", path(&config.data_dir))?;
    let domains: Vec<String> = config.domains.iter().map(|domain| quoted(domain.as_str())).collect();
    writeln!(out, "domains = [{}]", domains.join(", "))?;

    writeln!(out, "\n[listen]")?;
    for service in Service::ALL {
        let addresses: Vec<String> = config
            .listen
            .iter()
            .filter(|listen| listen.service == service)
            .map(|listen| quoted(&listen.address.to_string()))
            .collect();
        if !addresses.is_empty() {
            writeln!(out, "{} = [{}]", service.key(), addresses.join(", "))?;
        }
    }

    if !config.public.is_empty() {
        writeln!(out, "\n[public]")?;
        for (service, port) in &config.public {
            writeln!(out, "{service} = {port}")?;
        }
    }

    writeln!(out, "\n[tls]")?;
    match &config.tls {
        Some(files) => {
            writeln!(out, "certificate = {}", path(&files.certificate))?;
            writeln!(out, "key = {}", path(&files.key))?;
        }
        None => writeln!(out, "# a self-signed certificate in data_dir")?,
    }

    if let Some((user, _)) = &config.run_as {
        writeln!(out, "\n[run]\nuser = {}", quoted(user))?;
    }

    writeln!(out, "\n[auth]\nallow_plaintext = {}", config.allow_plaintext)?;

    let separator = config.subaddress_separator.map(String::from).unwrap_or_default();
    writeln!(out, "\n[accounts]\nsubaddress_separator = {}", quoted(&separator))?;

    let servers: Vec<String> = config.dns.iter().map(|server| quoted(&server.to_string())).collect();
    writeln!(out, "\n[dns]")?;
    if servers.is_empty() {
        writeln!(out, "# servers = [\"127.0.0.1:53\"], for the system names none")?;
    } else {
        writeln!(out, "servers = [{}]", servers.join(", "))?;
    }

    let relay = &config.relay;
    writeln!(out, "\n[relay]")?;
    if !relay.networks.is_empty() {
        let networks: Vec<String> = relay.networks.iter().map(|network| quoted(&network.text())).collect();
        writeln!(out, "networks = [{}]", networks.join(", "))?;
    }
    writeln!(out, "port = {}\nallow_private_addresses = {}", relay.port, relay.allow_private_addresses)?;
    if let Some(smarthost) = &relay.smarthost {
        writeln!(out, "smarthost = {}", quoted(&smarthost.hop.text()))?;
        if let (Some(user), Some(file)) = (&smarthost.user, &smarthost.password_file) {
            writeln!(out, "user = {}\npassword_file = {}", quoted(user), path(file))?;
        }
    }
    if !relay.routes.is_empty() {
        writeln!(out, "\n[relay.routes]")?;
        for (domain, hop) in &relay.routes {
            writeln!(out, "{} = {}", quoted(domain), quoted(&hop.text()))?;
        }
    }

    let queue = &config.queue;
    let retry: Vec<String> = queue.retry.iter().map(|time| seconds(*time)).collect();
    writeln!(out, "\n[queue]\nretry = [{}]", retry.join(", "))?;
    writeln!(out, "expire = {}\nwarn = {}", seconds(queue.expire), seconds(queue.warn.unwrap_or_default()))?;
    writeln!(out, "resident_messages = {}", queue.resident_messages)?;
    writeln!(out, "resident_size = {}", size(queue.resident_size))?;

    let level = config.log.level.as_str().to_lowercase();
    writeln!(out, "\n[log]\nformat = {}\nlevel = {}", quoted(config.log.format.key()), quoted(&level))?;

    let limits = &config.limits;
    writeln!(out, "\n[limits]\nmessage_size = {}", size(limits.message_size))?;
    writeln!(out, "recipients = {}", limits.recipients)?;
    writeln!(out, "connections = {}", limits.connections)?;
    writeln!(out, "connections_per_address = {}", limits.connections_per_address)?;
    writeln!(out, "errors = {}", limits.errors)?;
    writeln!(out, "junk_commands = {}", limits.junk_commands)?;
    match limits.disk_reserve {
        DiskReserve::Default => writeln!(out, "# disk_reserve = the lesser of \"1 GiB\" and \"5 %\"")?,
        DiskReserve::Octets(octets) => writeln!(out, "disk_reserve = {}", size(octets))?,
        DiskReserve::Percent(percent) => writeln!(out, "disk_reserve = \"{percent} %\"")?,
    }
    writeln!(out, "stop_timeout = {}", seconds(limits.stop_timeout))
}

/// In the largest unit that it is a whole number of.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs();
    match [(3_600, "h"), (60, "m")].into_iter().find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("\"{}{name}\"", seconds / unit),
        None => format!("\"{seconds}s\""),
    }
}

/// In the largest unit that it is a whole number of.
fn size(octets: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.into_iter().find(|(unit, _)| octets > 0 && octets.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("\"{} {name}\"", octets / unit),
        None => octets.to_string(),
    }
}

/// Absolute, for what is printed may be read again from elsewhere.
fn path(path: &Path) -> String {
    let absolute = path::absolute(path).unwrap_or_else(|_| path.to_owned());
    quoted(&absolute.to_string_lossy())
}

/// A basic string of TOML.
pub(super) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
