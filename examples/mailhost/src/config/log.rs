//! What `[log]` says.

use tracing::Level;

use super::ConfigError;
use super::table::{Entry, Table};
use super::value;

/// What is logged, and how.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Log {
    /// How a line looks. Default: for people.
    pub format: Format,
    /// The least grave events that are logged. Default `info`.
    pub level: Level,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// For people.
    Text,
    /// An object of JSON for programs.
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: Format::Text, level: Level::INFO }
    }
}

impl Format {
    const ALL: [(&'static str, Self); 2] = [("text", Self::Text), ("json", Self::Json)];

    /// What the configuration calls it.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

pub(super) fn log(top: &Table<'_>) -> Result<Log, ConfigError> {
    let mut log = Log::default();
    let Some(section) = top.section("log")? else {
        return Ok(log);
    };
    if let Some(entry) = section.get("format") {
        log.format = one_of(&entry, &Format::ALL)?;
    }
    if let Some(entry) = section.get("level") {
        log.level = one_of(&entry, &LEVELS)?;
    }
    Ok(log)
}

fn one_of<T: Copy>(entry: &Entry<'_>, choices: &[(&str, T)]) -> Result<T, ConfigError> {
    let names: Vec<_> = choices.iter().map(|(name, _)| format!("{name:?}")).collect();
    let names = names.join(" or ");
    let text = value::text(entry, &names)?;
    let found = choices.iter().find(|(name, _)| *name == text);
    found
        .map(|(_, choice)| *choice)
        .ok_or_else(|| entry.error(format!("{} = {text:?} is unknown; write {names}", entry.key)))
}

const LEVELS: [(&str, Level); 4] =
    [("error", Level::ERROR), ("warn", Level::WARN), ("info", Level::INFO), ("debug", Level::DEBUG)];
