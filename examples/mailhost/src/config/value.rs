//! From values of the file to types.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use smtp_codec::Domain;
use toml::de::DeValue;

use super::table::Entry;
use super::{ConfigError, DiskReserve};

pub(super) fn text<'a>(entry: &Entry<'a>, what: &str) -> Result<&'a str, ConfigError> {
    match entry.value {
        DeValue::String(text) => Ok(text),
        other => Err(wrong_type(entry, what, other)),
    }
}

pub(super) fn boolean(entry: &Entry<'_>) -> Result<bool, ConfigError> {
    match entry.value {
        DeValue::Boolean(value) => Ok(*value),
        other => Err(wrong_type(entry, "true or false", other)),
    }
}

pub(super) fn array<'a>(entry: &Entry<'a>, what: &str) -> Result<Vec<Entry<'a>>, ConfigError> {
    match entry.value {
        DeValue::Array(items) if items.is_empty() => {
            Err(entry.error(format!("{} is empty; name {what}, or remove the line", entry.key)))
        }
        DeValue::Array(items) => Ok(items.iter().map(|item| entry.item(item)).collect()),
        other => Err(wrong_type(entry, &format!("a list of {what}"), other)),
    }
}

/// A path; a relative one starts at the folder of the configuration file.
pub(super) fn path(entry: &Entry<'_>) -> Result<PathBuf, ConfigError> {
    let text = text(entry, "a path in quotes")?;
    if text.is_empty() || text.contains('\0') {
        return Err(entry.error(format!("{} must be a path", entry.key)));
    }
    Ok(entry.file().parent().unwrap_or_else(|| Path::new("")).join(text))
}

pub(super) fn socket_address(entry: &Entry<'_>) -> Result<SocketAddr, ConfigError> {
    let text = text(entry, "an address in quotes")?;
    text.parse().map_err(|_| {
        let key = entry.key;
        entry.error(format!(
            "{text:?} in {key} is not an address with a port; write it as \"127.0.0.1:2525\" or \"[::1]:2525\""
        ))
    })
}

/// A domain name in lower case. No address, and no name that could not be published.
pub(super) fn domain(entry: &Entry<'_>) -> Result<Domain<'static>, ConfigError> {
    let key = entry.key;
    let text = text(entry, "a domain name in quotes")?;
    if !text.is_ascii() {
        return Err(entry.error(format!("{text:?} in {key} is not ASCII; write its xn-- form")));
    }
    let lower = text.to_ascii_lowercase();
    let wrong = |why: &str| Err(entry.error(format!("{text:?} in {key} is not a domain name: {why}")));
    let domain = match Domain::parse(&lower) {
        Ok(domain) => domain.into_owned(),
        Err(_) if lower.ends_with('.') => return wrong("leave the final dot out"),
        Err(_) => return wrong("write letters, digits, hyphens and dots, as in \"example.test\""),
    };
    if domain.is_literal() || lower.split('.').next_back().is_some_and(is_number) {
        return wrong("it is an address; write a name, as in \"example.test\"");
    }
    if lower.contains('_') {
        return wrong("underscores are not allowed in the names of hosts");
    }
    Ok(domain)
}

pub(super) fn domains(entry: &Entry<'_>) -> Result<Vec<Domain<'static>>, ConfigError> {
    let mut all = Vec::new();
    for item in array(entry, "domains, such as [\"example.test\"]")? {
        let domain = domain(&item)?;
        if all.contains(&domain) {
            return Err(item.error(format!("{domain} is in domains twice; remove one")));
        }
        all.push(domain);
    }
    Ok(all)
}

pub(super) fn number(entry: &Entry<'_>, least: u32, most: u32) -> Result<u32, ConfigError> {
    let key = entry.key;
    let value = match entry.value {
        DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).ok(),
        other => return Err(wrong_type(entry, "a whole number", other)),
    };
    value
        .and_then(|value| u32::try_from(value).ok())
        .filter(|value| (least..=most).contains(value))
        .ok_or_else(|| entry.error(format!("{key} must be between {least} and {most}")))
}

/// Octets: an integer, or a string with a unit.
pub(super) fn size(entry: &Entry<'_>) -> Result<u64, ConfigError> {
    let octets = match entry.value {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        DeValue::String(text) => with_unit(text, &SIZES),
        other => return Err(wrong_type(entry, "a size, such as \"50 MiB\"", other)),
    };
    octets.filter(|octets| *octets <= 1 << 50).ok_or_else(|| {
        entry.error(format!("{} must be a size in octets or with a unit, such as \"50 MiB\"", entry.key))
    })
}

/// A size in octets or with a unit.
pub(crate) fn octets(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| with_unit(text, &SIZES)).filter(|octets| *octets <= 1 << 50)
}

pub(super) fn reserve(entry: &Entry<'_>) -> Result<DiskReserve, ConfigError> {
    if let DeValue::String(text) = entry.value
        && let Some(percent) = text.trim_end().strip_suffix('%')
    {
        return match percent.trim().parse() {
            Ok(percent) if percent <= 90 => Ok(DiskReserve::Percent(percent)),
            _ => Err(entry.error(format!("{} must be between \"0 %\" and \"90 %\"", entry.key))),
        };
    }
    size(entry).map(DiskReserve::Octets).map_err(|_| {
        entry.error(format!("{} must be a size or a share, such as \"1 GiB\" or \"5 %\"", entry.key))
    })
}

/// A time of up to a month.
pub(super) fn long_duration(entry: &Entry<'_>) -> Result<Duration, ConfigError> {
    time(entry, 31 * 86_400, "a month")
}

/// A time of up to a day.
pub(super) fn duration(entry: &Entry<'_>) -> Result<Duration, ConfigError> {
    time(entry, 86_400, "a day")
}

fn time(entry: &Entry<'_>, most: u64, name: &str) -> Result<Duration, ConfigError> {
    let seconds = match entry.value {
        DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
        DeValue::String(text) => with_unit(text, &TIMES),
        other => return Err(wrong_type(entry, "a time, such as \"30s\"", other)),
    };
    seconds.filter(|seconds| *seconds <= most).map(Duration::from_secs).ok_or_else(|| {
        entry.error(format!("{} must be a time of at most {name}, such as \"30s\" or \"5m\"", entry.key))
    })
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, factor) = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

fn is_number(label: &str) -> bool {
    label.bytes().all(|octet| octet.is_ascii_digit())
}

fn wrong_type(entry: &Entry<'_>, what: &str, found: &DeValue<'_>) -> ConfigError {
    let found = match found {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    };
    entry.error(format!("{} must be {what}, not {found}", entry.key))
}

const SIZES: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

const TIMES: [(&str, u64); 5] = [("", 1), ("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
