//! Files of seeds that have once shown a defect.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::imap;
use crate::plan::Options;
use crate::world::Outcome;

/// Reads a file: `seed`, `hosts` and `days`, a line each.
pub fn read(file: &Path) -> io::Result<Options> {
    let text = fs::read_to_string(file)?;
    parse(&text).ok_or_else(|| io::Error::other(format!("{}: no seed, hosts and days", file.display())))
}

/// Reads a file of IMAP sessions: `seed`, `sessions` and `commands`, a line each. `None` if it is one of mail worlds.
pub fn read_imap(file: &Path) -> io::Result<Option<imap::Options>> {
    let text = fs::read_to_string(file)?;
    let options = |text: &str| {
        let (seed, sessions) = (number(text, "seed")?, number(text, "sessions")? as usize);
        Some(imap::Options { seed, sessions, commands: number(text, "commands")? })
    };
    Ok(options(&text))
}

/// Writes what is needed to run IMAP sessions again, and what was broken.
pub fn write_imap(folder: &Path, outcome: &imap::Outcome) -> io::Result<PathBuf> {
    let imap::Options { seed, sessions, commands } = outcome.options;
    let mut text = comments(&outcome.violations);
    let _ = write!(text, "seed = {seed}\nsessions = {sessions}\ncommands = {commands}\n");
    let file = folder.join(format!("imap-{seed}-{sessions}-{commands}.toml"));
    fs::write(&file, text)?;
    Ok(file)
}

/// Writes what is needed to run it again, and what was broken.
pub fn write(folder: &Path, outcome: &Outcome) -> io::Result<PathBuf> {
    let Options { seed, hosts, days } = outcome.options;
    let mut text = comments(&outcome.violations);
    let _ = write!(text, "seed = {seed}\nhosts = {hosts}\ndays = {days}\n");
    let file = folder.join(format!("{seed}-{hosts}-{days}.toml"));
    fs::write(&file, text)?;
    Ok(file)
}

fn comments(violations: &[String]) -> String {
    violations.iter().take(10).map(|violation| format!("# {}\n", violation.replace('\n', " "))).collect()
}

fn parse(text: &str) -> Option<Options> {
    let (seed, hosts) = (number(text, "seed")?, number(text, "hosts")? as usize);
    Some(Options { seed, hosts, days: number(text, "days")? })
}

fn number(text: &str, key: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    lines.find(|(name, _)| name.trim() == key)?.1.trim().parse().ok()
}
