//! The command line of the simulator; `cargo xtask simulate` calls it.

mod sessions;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{env, thread};

use simulator::seeds;
use simulator::{Options, Outcome, run};

const USAGE: &str = "\
usage: simulator [--seeds N] [--first SEED] [--hosts N] [--days N] [--replays N] [--jobs N]
       simulator imap [--seeds N] [--first SEED] [--sessions N] [--commands N] [--replays N] [--jobs N]
       simulator replay FILE        a file of tests/seeds, with its whole trace

    --seeds N      how many worlds, one for each seed (200)
    --first SEED   the first seed (0)
    --hosts N      the most hosts of a world (5)
    --days N       days of traffic and faults; what is left after that is waited for (1)
    --replays N    how many of them are run a second time and compared (5)
    --jobs N       how many threads (as many as there are cores)

    imap: clients on a few mailboxes of one host, each seed a world of its own
    --sessions N   clients at the same time (32)
    --commands N   commands of all of them together (10000)
";

struct Arguments {
    seeds: u64,
    first: u64,
    hosts: usize,
    days: u64,
    replays: u64,
    jobs: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [command, file] if command == "replay" => replay(Path::new(file)),
        [command, rest @ ..] if command == "imap" => match sessions::parse(rest) {
            Ok(arguments) => sessions::simulate(&arguments),
            Err(why) => {
                eprint!("{why}\n{USAGE}");
                return ExitCode::from(2);
            }
        },
        _ => match parse(&arguments) {
            Ok(arguments) => simulate(&arguments),
            Err(why) => {
                eprint!("{why}\n{USAGE}");
                return ExitCode::from(2);
            }
        },
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(arguments: &[String]) -> Result<Arguments, String> {
    let jobs = thread::available_parallelism().map_or(1, usize::from);
    let mut parsed = Arguments { seeds: 200, first: 0, hosts: 5, days: 1, replays: 5, jobs };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().ok_or_else(|| format!("{name} wants a number"))?;
        let number: u64 = value.parse().map_err(|_| format!("{name} wants a number, not {value}"))?;
        match name.as_str() {
            "--seeds" => parsed.seeds = number,
            "--first" => parsed.first = number,
            "--hosts" => parsed.hosts = number.clamp(2, 200) as usize,
            "--days" => parsed.days = number.clamp(1, 365),
            "--replays" => parsed.replays = number,
            "--jobs" => parsed.jobs = number.clamp(1, 256) as usize,
            _ => return Err(format!("{name} is not known")),
        }
    }
    Ok(parsed)
}

fn replay(file: &Path) -> io::Result<bool> {
    if let Some(options) = seeds::read_imap(file)? {
        return sessions::replay(options);
    }
    let options = seeds::read(file)?;
    let outcome = run(options, usize::MAX);
    let mut out = io::stdout().lock();
    for line in &outcome.lines {
        writeln!(out, "{line}")?;
    }
    tell(&mut out, &outcome)?;
    Ok(outcome.violations.is_empty())
}

fn tell(out: &mut impl io::Write, outcome: &Outcome) -> io::Result<()> {
    let (hash, lines) = outcome.fingerprint;
    writeln!(out, "seed {}: {lines} lines, fingerprint {hash:016x}", outcome.options.seed)?;
    for violation in &outcome.violations {
        writeln!(out, "BROKEN: {violation}")?;
    }
    Ok(())
}

fn simulate(arguments: &Arguments) -> io::Result<bool> {
    let Arguments { seeds: count, first, hosts, days, replays, jobs } = *arguments;
    let (next, start) = (AtomicU64::new(0), Instant::now());
    let (sender, outcomes) = mpsc::channel();
    let mut total = Total::default();
    let mut failed: BTreeMap<u64, Outcome> = BTreeMap::new();
    let mut differ = Vec::new();
    thread::scope(|scope| -> io::Result<()> {
        for _ in 0..jobs {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let options = Options { seed: first + number, hosts, days };
                    let outcome = run(options, 0);
                    // Those of the whole range, not the first ones alone.
                    let again = replays > 0 && number % (count / replays.min(count)).max(1) == 0;
                    let same = !again || run(options, 0).fingerprint == outcome.fingerprint;
                    if sender.send((outcome, again, same)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let terminal = io::stderr().is_terminal();
        for (outcome, again, same) in outcomes {
            total.add(&outcome);
            total.replays += u64::from(again);
            if !same {
                differ.push(outcome.options.seed);
            }
            if !outcome.violations.is_empty() {
                failed.insert(outcome.options.seed, outcome);
            }
            if terminal {
                eprint!("\r{} of {count} seeds, {} broken ", total.seeds, failed.len());
            } else if total.seeds % 500 == 0 {
                eprintln!("{} of {count} seeds, {} broken", total.seeds, failed.len());
            }
        }
        if terminal {
            eprintln!();
        }
        Ok(())
    })?;
    let mut out = io::stdout().lock();
    total.print(&mut out, start.elapsed())?;
    for seed in &differ {
        writeln!(out, "BROKEN: two runs of seed {seed} differ")?;
    }
    if let Some(outcome) = failed.values().next() {
        let again = run(outcome.options, usize::MAX);
        for line in &again.lines {
            writeln!(out, "{line}")?;
        }
    }
    for outcome in failed.values() {
        tell(&mut out, outcome)?;
        let file = seeds::write(&folder(), outcome)?;
        writeln!(out, "kept as {}", file.display())?;
    }
    writeln!(
        out,
        "{} seeds, {} broken, {} replays, {} of them different",
        count,
        failed.len(),
        total.replays,
        differ.len()
    )?;
    Ok(failed.is_empty() && differ.is_empty())
}

pub(crate) fn folder() -> PathBuf {
    let here = Path::new("simulator/tests/seeds");
    if here.is_dir() { here.to_owned() } else { fs::canonicalize(".").unwrap_or_default() }
}

/// Sums over all seeds.
#[derive(Default)]
struct Total {
    seeds: u64,
    replays: u64,
    counts: simulator::invariants::Counts,
    faults: simulator::world::Faults,
    lasted: Duration,
    lines: u64,
}

impl Total {
    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.counts.add(&outcome.counts);
        self.faults.add(&outcome.faults);
        self.lasted += outcome.lasted;
        self.lines += outcome.fingerprint.1;
    }

    fn print(&self, out: &mut impl io::Write, took: Duration) -> io::Result<()> {
        let (counts, faults) = (&self.counts, &self.faults);
        let days = self.lasted.as_secs_f64() / 86_400.0;
        writeln!(
            out,
            "{} worlds, {days:.0} days in {:.1} s; {} events",
            self.seeds,
            took.as_secs_f64(),
            self.lines
        )?;
        writeln!(
            out,
            "messages: {} sent, {} accepted, {} in doubt; {} seen in mailboxes, {} of them reports, {} a second time \
             after a doubt or a stop",
            counts.sent, counts.accepted, counts.in_doubt, counts.copies, counts.reports, counts.duplicates
        )?;
        writeln!(
            out,
            "queues: {} recipients delivered to, {} of them at a host of somebody else, {} given up, {} of them for too many hops; {} outcomes in doubt",
            counts.delivered, counts.elsewhere, counts.given_up, counts.loops, counts.doubts
        )?;
        writeln!(
            out,
            "faults: {} power cuts, {} of them in the midst of an operation, {} kills, {} stops in order, {} starts failed, {} stores \
             ended",
            faults.hosts.power,
            faults.disks.crashes,
            faults.hosts.kills,
            faults.hosts.orders,
            faults.hosts.unstarted,
            faults.hosts.stores
        )?;
        writeln!(
            out,
            "faults: {} EIO, {} ENOSPC; {} jumps of clocks; {} partitions; {} segments lost, {} connections refused, \
             {} reset, {} silent, {} half open; {} bad answers of DNS",
            faults.disks.errors,
            faults.disks.full,
            faults.jumps,
            faults.partitions,
            faults.network.lost,
            faults.network.refused,
            faults.network.resets,
            faults.network.silences,
            faults.network.halves,
            faults.names
        )
    }
}
