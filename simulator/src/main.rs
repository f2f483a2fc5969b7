//! The command line of the simulator; `cargo xtask simulate` calls it.

mod campaign;
mod sessions;

use std::env;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use simulator::seeds;
use simulator::{Options, Outcome, run};

use crate::campaign::Range;

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
    range: Range,
    hosts: usize,
    days: u64,
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
    let (mut hosts, mut days) = (5, 1);
    let range = Range::new(200, 5).parse(arguments, |name, number| {
        match name {
            "--hosts" => hosts = number.clamp(2, 200) as usize,
            "--days" => days = number.clamp(1, 365),
            _ => return false,
        }
        true
    })?;
    Ok(Arguments { range, hosts, days })
}

fn replay(file: &Path) -> io::Result<bool> {
    if let Some(options) = seeds::read_imap(file)? {
        return sessions::replay(options);
    }
    let options = seeds::read(file)?;
    campaign::show(options.seed, &run(options, usize::MAX))
}

fn simulate(arguments: &Arguments) -> io::Result<bool> {
    let Arguments { range, hosts, days } = arguments;
    let (start, mut total) = (Instant::now(), Total::default());
    let one = |seed| run(Options { seed, hosts: *hosts, days: *days }, 0);
    let ran = range.run(one, |outcome| total.add(outcome));
    let mut out = io::stdout().lock();
    total.print(&mut out, start.elapsed())?;
    ran.print_different(&mut out)?;
    if let Some(outcome) = ran.failed.values().next() {
        let again = run(outcome.options, usize::MAX);
        for line in &again.lines {
            writeln!(out, "{line}")?;
        }
    }
    for (seed, outcome) in &ran.failed {
        campaign::tell(&mut out, *seed, outcome)?;
        let file = seeds::write(&campaign::folder(), outcome)?;
        writeln!(out, "kept as {}", file.display())?;
    }
    ran.print_end(&mut out)
}

/// Sums over all seeds.
#[derive(Default)]
struct Total {
    seeds: u64,
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
