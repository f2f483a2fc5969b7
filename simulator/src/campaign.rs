//! Many worlds of one kind, each under a seed of its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;

use simulator::outcome::Outcome;

/// Which worlds are run.
pub(crate) struct Range {
    /// How many.
    pub(crate) seeds: u64,
    pub(crate) first: u64,
    /// How many of them are run twice.
    pub(crate) replays: u64,
    jobs: usize,
}

/// What has come of all of them.
pub(crate) struct Ran<O, C> {
    /// Those in which something was broken, by their seeds.
    pub(crate) failed: BTreeMap<u64, Outcome<O, C>>,
    /// Seeds of which two runs are not the same.
    differ: Vec<u64>,
    count: u64,
    replays: u64,
}

impl Range {
    pub(crate) fn new(seeds: u64, replays: u64) -> Self {
        Self { seeds, first: 0, replays, jobs: thread::available_parallelism().map_or(1, usize::from) }
    }

    /// Reads the command line. `other` takes what only this kind of world knows, and says whether it does.
    pub(crate) fn parse(
        mut self,
        arguments: &[String],
        mut other: impl FnMut(&str, u64) -> bool,
    ) -> Result<Self, String> {
        let mut rest = arguments.iter();
        while let Some(name) = rest.next() {
            let value = rest.next().ok_or_else(|| format!("{name} wants a number"))?;
            let number: u64 = value.parse().map_err(|_| format!("{name} wants a number, not {value}"))?;
            match name.as_str() {
                "--seeds" => self.seeds = number,
                "--first" => self.first = number,
                "--replays" => self.replays = number,
                "--jobs" => self.jobs = number.clamp(1, 256) as usize,
                name if other(name, number) => {}
                _ => return Err(format!("{name} is not known")),
            }
        }
        Ok(self)
    }

    /// Runs all of them; `run` does so for one seed, and `add` sees each as it ends.
    pub(crate) fn run<O: Send, C: Send>(
        &self,
        run: impl Fn(u64) -> Outcome<O, C> + Sync,
        mut add: impl FnMut(&Outcome<O, C>),
    ) -> Ran<O, C> {
        let Self { seeds: count, first, replays, jobs } = *self;
        let mut ran = Ran { failed: BTreeMap::new(), differ: Vec::new(), count, replays: 0 };
        let (next, run) = (AtomicU64::new(0), &run);
        let (sender, outcomes) = mpsc::channel();
        thread::scope(|scope| {
            for _ in 0..jobs {
                let (sender, next) = (sender.clone(), &next);
                scope.spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= count {
                            return;
                        }
                        let seed = first + number;
                        let outcome = run(seed);
                        // Those of the whole range, not the first ones alone.
                        let again = replays > 0 && number % (count / replays.min(count)).max(1) == 0;
                        let same = !again || run(seed).fingerprint == outcome.fingerprint;
                        if sender.send((seed, outcome, again, same)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            let (terminal, mut done) = (io::stderr().is_terminal(), 0);
            for (seed, outcome, again, same) in outcomes {
                add(&outcome);
                done += 1;
                ran.replays += u64::from(again);
                if !same {
                    ran.differ.push(seed);
                }
                if !outcome.violations.is_empty() {
                    ran.failed.insert(seed, outcome);
                }
                let broken = ran.failed.len();
                if terminal {
                    eprint!("\r{done} of {count} seeds, {broken} broken ");
                } else if done % 500 == 0 {
                    eprintln!("{done} of {count} seeds, {broken} broken");
                }
            }
            if terminal {
                eprintln!();
            }
        });
        ran
    }
}

impl<O, C> Ran<O, C> {
    /// Says which seeds did not give the same twice.
    pub(crate) fn print_different(&self, out: &mut impl io::Write) -> io::Result<()> {
        self.differ.iter().try_for_each(|seed| writeln!(out, "BROKEN: two runs of seed {seed} differ"))
    }

    /// Says how many there were of everything, and gives whether all is well.
    pub(crate) fn print_end(&self, out: &mut impl io::Write) -> io::Result<bool> {
        let (broken, different) = (self.failed.len(), self.differ.len());
        let Self { count, replays, .. } = self;
        writeln!(out, "{count} seeds, {broken} broken, {replays} replays, {different} of them different")?;
        Ok(broken == 0 && different == 0)
    }
}

/// Shows the whole trace of one, and gives whether all is well.
pub(crate) fn show<O, C>(seed: u64, outcome: &Outcome<O, C>) -> io::Result<bool> {
    let mut out = io::stdout().lock();
    for line in &outcome.lines {
        writeln!(out, "{line}")?;
    }
    tell(&mut out, seed, outcome)?;
    Ok(outcome.violations.is_empty())
}

/// Says what was broken.
pub(crate) fn tell<O, C>(out: &mut impl io::Write, seed: u64, outcome: &Outcome<O, C>) -> io::Result<()> {
    let (hash, lines) = outcome.fingerprint;
    writeln!(out, "seed {seed}: {lines} lines, fingerprint {hash:016x}")?;
    outcome.violations.iter().try_for_each(|violation| writeln!(out, "BROKEN: {violation}"))
}

/// Where seeds are kept that have shown a defect.
pub(crate) fn folder() -> PathBuf {
    let here = Path::new("simulator/tests/seeds");
    if here.is_dir() { here.to_owned() } else { fs::canonicalize(".").unwrap_or_default() }
}
