//! Which keys there are, and what is said to the others.

use super::ConfigError;
use super::table::{Entry, Table};

/// The sections and their keys; the first one is the top of the file.
pub(super) const KEYS: [(&str, &[&str]); 12] = [
    ("", &["hostname", "data_dir", "domains"]),
    (
        "listen",
        &["smtp", "submission", "submissions", "pop3", "pop3s", "imap", "imaps", "web", "webs", "web_admin"],
    ),
    ("public", &["submission", "submissions", "pop3", "pop3s", "imap", "imaps"]),
    ("tls", &["certificate", "key"]),
    ("run", &["user"]),
    ("auth", &["allow_plaintext"]),
    ("accounts", &["subaddress_separator"]),
    ("dns", &["servers"]),
    (
        "relay",
        &["networks", "port", "allow_private_addresses", "smarthost", "user", "password_file", "routes"],
    ),
    ("queue", &["retry", "expire", "warn", "resident_messages", "resident_size"]),
    ("log", &["format", "level"]),
    (
        "limits",
        &[
            "message_size",
            "recipients",
            "connections",
            "connections_per_address",
            "errors",
            "junk_commands",
            "disk_reserve",
            "stop_timeout",
        ],
    ),
];

/// What is planned. To take these silently would mean to promise what is not done.
const LATER: [(&str, &str, &str); 1] = [("listen", "lmtp", "serve LMTP")];

/// Refuses every key that is not known. The first one in the file is told, whatever its section.
pub(super) fn check_all(top: &Table<'_>) -> Result<(), ConfigError> {
    let mut errors: Vec<ConfigError> = Vec::new();
    for (section, keys) in KEYS {
        let table = if section.is_empty() { Some(*top) } else { top.section(section)? };
        for entry in table.iter().flat_map(|table| table.entries()) {
            let is_section = section.is_empty() && KEYS.iter().any(|(name, _)| *name == entry.key);
            if !is_section && !keys.contains(&entry.key) {
                errors.push(refuse(section, entry));
            }
        }
    }
    errors.sort_by_key(|error| error.line);
    errors.into_iter().next().map_or(Ok(()), Err)
}

fn refuse(section: &str, entry: Entry<'_>) -> ConfigError {
    let key = entry.key;
    let place = if section.is_empty() { String::new() } else { format!(" in [{section}]") };
    if let Some((.., what)) = LATER.iter().find(|(of, name, _)| *of == section && *name == key) {
        let what = format!("{key:?}{place} is for a later version, this one cannot {what} yet; remove it");
        return entry.error(what);
    }
    // A good key in the wrong section is likelier than a misspelt one.
    if let Some((right, _)) = KEYS.iter().find(|(_, keys)| keys.contains(&key)) {
        return entry.error(if right.is_empty() {
            format!("{key:?} does not belong{place}; move it to the top of the file, above all sections")
        } else {
            format!("{key:?} does not belong{}; move it to [{right}]", or_top(&place))
        });
    }
    let known = KEYS.iter().filter(|(name, _)| *name == section).flat_map(|(_, keys)| keys.iter().copied());
    let sections = KEYS.iter().map(|(name, _)| *name).filter(|name| section.is_empty() && !name.is_empty());
    let candidates: Vec<&str> = known.chain(sections).collect();
    match nearest(key, &candidates) {
        Some(best) => entry.error(format!("unknown key {key:?}{place}; did you mean {best:?}?")),
        None => {
            entry.error(format!("unknown key {key:?}{place}; the keys here are {}", candidates.join(", ")))
        }
    }
}

fn or_top(place: &str) -> &str {
    if place.is_empty() { " at the top of the file" } else { place }
}

/// The candidate that takes the fewest changes, if they are few for its length.
fn nearest<'a>(key: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(key, candidate), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}
