//! `simulator imap`: IMAP sessions against their model.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use simulator::imap::{Counts, Options, Outcome, run};
use simulator::seeds;
use simulator::world::Faults;

pub(crate) struct Arguments {
    seeds: u64,
    first: u64,
    sessions: usize,
    commands: u64,
    replays: u64,
    jobs: usize,
}

pub(crate) fn parse(arguments: &[String]) -> Result<Arguments, String> {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let mut parsed = Arguments { seeds: 1, first: 0, sessions: 32, commands: 10_000, replays: 0, jobs };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{name} wants a number"))?;
        let number: u64 = value.parse().map_err(|_| format!("{name} wants a number, not {value}"))?;
        match name.as_str() {
            "--seeds" => parsed.seeds = number,
            "--first" => parsed.first = number,
            // The host takes 50 connections from each of the two machines that the clients run on.
            "--sessions" => parsed.sessions = number.clamp(1, 80) as usize,
            "--commands" => parsed.commands = number,
            "--replays" => parsed.replays = number,
            "--jobs" => parsed.jobs = number.clamp(1, 256) as usize,
            _ => return Err(format!("{name} is not known")),
        }
    }
    Ok(parsed)
}

pub(crate) fn replay(options: Options) -> io::Result<bool> {
    let outcome = run(options, usize::MAX);
    let mut out = io::stdout().lock();
    for line in &outcome.lines {
        writeln!(out, "{line}")?;
    }
    tell(&mut out, &outcome)?;
    Ok(outcome.violations.is_empty())
}

pub(crate) fn simulate(arguments: &Arguments) -> io::Result<bool> {
    let Arguments { seeds: count, first, sessions, commands, replays, jobs } = *arguments;
    let (next, start) = (AtomicU64::new(0), Instant::now());
    let (sender, outcomes) = mpsc::channel();
    let mut total = Total::default();
    let mut failed: BTreeMap<u64, Outcome> = BTreeMap::new();
    let mut differ = Vec::new();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let options = Options { seed: first + number, sessions, commands };
                    let outcome = run(options, 0);
                    let again = number < replays;
                    let same = !again || run(options, 0).fingerprint == outcome.fingerprint;
                    if sender.send((outcome, same)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (outcome, same) in outcomes {
            total.add(&outcome);
            if !same {
                differ.push(outcome.options.seed);
            }
            if !outcome.violations.is_empty() {
                failed.insert(outcome.options.seed, outcome);
            }
            if io::stderr().is_terminal() {
                eprint!("\r{} of {count} seeds, {} broken ", total.seeds, failed.len());
            }
        }
    });
    let mut out = io::stdout().lock();
    total.print(&mut out, start.elapsed())?;
    for seed in &differ {
        writeln!(out, "BROKEN: two runs of seed {seed} differ")?;
    }
    for outcome in failed.values() {
        tell(&mut out, outcome)?;
        let file = seeds::write_imap(&super::folder(), outcome)?;
        writeln!(out, "kept as {}; `simulator replay` shows its trace", file.display())?;
    }
    let (broken, different, replays) = (failed.len(), differ.len(), replays.min(count));
    writeln!(out, "{count} seeds, {broken} broken, {replays} replays, {different} of them different")?;
    Ok(failed.is_empty() && differ.is_empty())
}

fn tell(out: &mut impl io::Write, outcome: &Outcome) -> io::Result<()> {
    let (hash, lines) = outcome.fingerprint;
    writeln!(out, "seed {}: {lines} lines, fingerprint {hash:016x}", outcome.options.seed)?;
    for violation in &outcome.violations {
        writeln!(out, "BROKEN: {violation}")?;
    }
    Ok(())
}

#[derive(Default)]
struct Total {
    seeds: u64,
    counts: Counts,
    faults: Faults,
    lasted: Duration,
}

impl Total {
    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.counts.add(&outcome.counts);
        self.faults.add(&outcome.faults);
        self.lasted += outcome.lasted;
    }

    fn print(&self, out: &mut impl io::Write, took: Duration) -> io::Result<()> {
        let (counts, faults) = (&self.counts, &self.faults);
        let all: u64 = counts.commands.values().sum();
        let (hours, took) = (self.lasted.as_secs_f64() / 3_600.0, took.as_secs_f64());
        writeln!(out, "{all} commands in {} worlds, {hours:.1} hours in {took:.1} s", self.seeds)?;
        let listed = |map: &BTreeMap<String, u64>| {
            let all: Vec<String> = map.iter().map(|(name, count)| format!("{count} {name}")).collect();
            all.join(", ")
        };
        writeln!(out, "commands: {}", listed(&counts.commands))?;
        writeln!(out, "answers: {}", listed(&counts.answers))?;
        writeln!(
            out,
            "beside them: {} messages delivered over SMTP, {} deleted over POP3; {} connections broken",
            counts.delivered, counts.popped, counts.broken
        )?;
        writeln!(
            out,
            "faults: {} power cuts, {} of them in the midst of an operation, {} kills, {} stops in order, {} stores ended; \
             {} EIO, {} ENOSPC; {} segments lost, {} connections reset, {} silent, {} half open",
            faults.hosts.power,
            faults.disks.crashes,
            faults.hosts.kills,
            faults.hosts.orders,
            faults.hosts.stores,
            faults.disks.errors,
            faults.disks.full,
            faults.network.lost,
            faults.network.resets,
            faults.network.silences,
            faults.network.halves
        )?;
        writeln!(
            out,
            "looked at: {} flags of messages, {} messages octet for octet; all read and compared {} times",
            counts.looks, counts.bodies, counts.rests
        )?;
        if counts.renamed_back > 0 {
            writeln!(
                out,
                "{} times a name came by RENAME to a mailbox with a lower UIDVALIDITY",
                counts.renamed_back
            )?;
        }
        Ok(())
    }
}
