//! `simulator imap`: IMAP sessions against their model.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use simulator::imap::{Counts, Options, Outcome, run};
use simulator::seeds;
use simulator::world::Faults;

use crate::campaign::{self, Range};

pub(crate) struct Arguments {
    range: Range,
    sessions: usize,
    commands: u64,
}

pub(crate) fn parse(arguments: &[String]) -> Result<Arguments, String> {
    let (mut sessions, mut commands) = (32, 10_000);
    let range = Range::new(1, 0).parse(arguments, |name, number| {
        match name {
            // The host takes 50 connections from each of the two machines that the clients run on.
            "--sessions" => sessions = number.clamp(1, 80) as usize,
            "--commands" => commands = number,
            _ => return false,
        }
        true
    })?;
    Ok(Arguments { range, sessions, commands })
}

pub(crate) fn replay(options: Options) -> io::Result<bool> {
    campaign::show(options.seed, &run(options, usize::MAX))
}

pub(crate) fn simulate(arguments: &Arguments) -> io::Result<bool> {
    let Arguments { range, sessions, commands } = arguments;
    let (start, mut total) = (Instant::now(), Total::default());
    let one = |seed| run(Options { seed, sessions: *sessions, commands: *commands }, 0);
    let ran = range.run(one, |outcome| total.add(outcome));
    let mut out = io::stdout().lock();
    total.print(&mut out, start.elapsed())?;
    ran.print_different(&mut out)?;
    for (seed, outcome) in &ran.failed {
        campaign::tell(&mut out, *seed, outcome)?;
        let file = seeds::write_imap(&campaign::folder(), outcome)?;
        writeln!(out, "kept as {}; `simulator replay` shows its trace", file.display())?;
    }
    ran.print_end(&mut out)
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
        Ok(())
    }
}
