//! Files of seeds that have once shown a defect.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::plan::Options;
use crate::world::Outcome;

/// Reads a file: `seed`, `hosts` and `days`, a line each.
pub fn read(file: &Path) -> io::Result<Options> {
    let text = fs::read_to_string(file)?;
    parse(&text).ok_or_else(|| io::Error::other(format!("{}: no seed, hosts and days", file.display())))
}

/// Writes what is needed to run it again, and what was broken.
pub fn write(folder: &Path, outcome: &Outcome) -> io::Result<PathBuf> {
    let Options { seed, hosts, days } = outcome.options;
    let mut text = String::new();
    for violation in outcome.violations.iter().take(10) {
        let _ = writeln!(text, "# {}", violation.replace('\n', " "));
    }
    let _ = write!(text, "seed = {seed}\nhosts = {hosts}\ndays = {days}\n");
    let file = folder.join(format!("{seed}-{hosts}-{days}.toml"));
    fs::write(&file, text)?;
    Ok(file)
}

fn parse(text: &str) -> Option<Options> {
    let number = |key: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        lines.find(|(name, _)| name.trim() == key)?.1.trim().parse::<u64>().ok()
    };
    Some(Options { seed: number("seed")?, hosts: number("hosts")? as usize, days: number("days")? })
}
