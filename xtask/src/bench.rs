//! `cargo xtask bench host`: mailhost beside Debian's Postfix with Dovecot, under the same load, as durable as shipped;
//! `cargo xtask bench queue`, `bench logins` and `bench webmail`.

mod guard;
mod host;
mod load;
mod logins;
mod ours;
mod pop3;
mod postfix;
mod queue;
mod sink;
mod usage;
mod webmail;
mod wire;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

pub(crate) use self::guard::watch;
pub(crate) use self::logins::{guessing, logins};
pub(crate) use self::queue::queue;
pub(crate) use self::webmail::webmail;

use self::guard::Guard;
use self::host::{Row, Scenario, Side, Way};
use crate::command::{self, cargo};
use crate::project::Project;

/// What the mailboxes are in.
const DOMAIN: &str = "example.test";
/// What is relayed to the sink.
const FAR: &str = "far.test";

/// What follows `bench queue` and `bench webmail`: how much the host holds, and how often it is started.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Large {
    messages: u64,
    /// How often the host is started.
    runs: usize,
}

impl Large {
    /// `None` if they are not what there is.
    pub(crate) fn parse(arguments: &[&str]) -> Option<Self> {
        let mut options = Self { messages: 1_000_000, runs: 3 };
        let mut arguments = arguments.iter();
        while let Some(&argument) = arguments.next() {
            let number = arguments.next()?.parse().ok().filter(|&number: &u64| number > 0)?;
            match argument {
                "--messages" => options.messages = number,
                "--runs" => options.runs = usize::try_from(number).ok()?,
                _ => return None,
            }
        }
        Some(options)
    }
}

/// What follows `bench host`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Options {
    /// Without Postfix and Dovecot.
    ours_only: bool,
    pairs: usize,
    /// Over 10 and 50 connections; fewer over one, for that takes long.
    messages: usize,
}

impl Options {
    /// `None` if they are not what there is.
    pub(crate) fn parse(arguments: &[&str]) -> Option<Self> {
        let mut options = Self { ours_only: false, pairs: 3, messages: 10_000 };
        let mut arguments = arguments.iter();
        while let Some(&argument) = arguments.next() {
            let mut number = || arguments.next()?.parse().ok().filter(|&number: &usize| number > 0);
            match argument {
                "--ours-only" => options.ours_only = true,
                "--pairs" => options.pairs = number()?,
                "--messages" => options.messages = number()?,
                _ => return None,
            }
        }
        Some(options)
    }

    fn sides(self) -> &'static [Side] {
        if self.ours_only { &[Side::Ours] } else { &[Side::Postfix, Side::Ours] }
    }

    fn scenarios(self) -> [Scenario; 4] {
        let to_mailboxes = |connections, messages| Scenario { way: Way::Mailboxes, connections, messages };
        [
            to_mailboxes(1, self.messages.div_ceil(5)),
            to_mailboxes(10, self.messages),
            to_mailboxes(50, self.messages),
            Scenario { way: Way::Relay, connections: 10, messages: self.messages.div_ceil(2) },
        ]
    }
}

/// Runs each side in turn, A B A B, and prints tables that can be pasted.
pub(crate) fn host(project: &Project, options: Options) -> Result<bool, String> {
    if !options.ours_only
        && let Some(sentence) = postfix::missing()
    {
        return Err(sentence);
    }
    command::run(cargo(project).args(["build", "--release", "--package", "mailhost"]))?;
    // Below the target folder: the temporary one may lie in memory, where a sync costs nothing.
    let guard = Guard::start(project.target.join("bench-host"))?;
    println!("{}", machine(project, options)?);
    for scenario in options.scenarios() {
        println!("\n{}; fdatasync of 4 KiB: {:.0}/s", title(scenario), sync_rate(guard.folder())?);
        println!("{}", head(scenario.way));
        let mut rows: Vec<(Side, Row)> = Vec::new();
        let mut counted = None;
        for pair in 1..=options.pairs {
            for &side in options.sides() {
                let (row, syncs) = scenario.measure(side, project, &guard)?;
                println!("{}", line(&format!("{pair} {}", side.name()), &row));
                counted = syncs.or(counted);
                rows.push((side, row));
            }
        }
        let medians: Vec<Row> = options.sides().iter().map(|&side| median(&rows, side)).collect();
        for (side, row) in options.sides().iter().zip(&medians) {
            println!("{}", line(&format!("median {}", side.name()), row));
        }
        if let [theirs, ours] = medians[..] {
            println!("{}", line("ratio", &ratio(&ours, &theirs)));
        }
        print_syncs(scenario, counted, project, options, &guard)?;
    }
    Ok(true)
}

fn print_syncs(
    scenario: Scenario,
    counted: Option<u64>,
    project: &Project,
    options: Options,
    guard: &Guard,
) -> Result<(), String> {
    if let Some(counted) = counted {
        let each = counted as f64 / scenario.messages as f64;
        println!("syncs per message: {each:.2} by mailhost's own count, all from start to end");
    }
    if !command::succeeds(Command::new("strace").arg("-V")) {
        println!("syncs per message by strace: not counted, for there is no strace");
        return Ok(());
    }
    let scenario = Scenario { messages: scenario.messages.min(MOST_TRACED), ..scenario };
    for &side in options.sides() {
        let each = scenario.count_syncs(side, project, guard)?;
        println!("syncs per message: {each:.2} by strace of {}, {} messages", side.name(), scenario.messages);
    }
    Ok(())
}

/// What the numbers depend on.
fn machine(project: &Project, options: Options) -> Result<String, String> {
    let peers = if options.ours_only { String::new() } else { format!(", {}", postfix::versions()?) };
    machine_of(project, &peers)
}

fn machine_of(project: &Project, peers: &str) -> Result<String, String> {
    let kernel = command::output(Command::new("uname").arg("-r"))?;
    let revision = command::output(
        Command::new("git").args(["describe", "--always", "--dirty"]).current_dir(&project.root),
    );
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Ok(format!(
        "mailhost {}{peers}; Linux {}, {} cores, load {}",
        revision.as_deref().map_or("unknown", str::trim),
        kernel.trim(),
        thread::available_parallelism().map_or(1, usize::from),
        load.split(' ').next().unwrap_or_default()
    ))
}

/// How often a second the disk takes 4 KiB to stable storage, one after the other.
fn sync_rate(folder: &Path) -> Result<f64, String> {
    let path = folder.join("syncs");
    let measure = || -> io::Result<f64> {
        let mut file = File::create(&path)?;
        let start = Instant::now();
        let mut syncs = 0;
        while start.elapsed() < Duration::from_secs(1) {
            file.write_all(&[0; 4_096])?;
            file.sync_data()?;
            syncs += 1;
        }
        let rate = f64::from(syncs) / start.elapsed().as_secs_f64();
        fs::remove_file(&path)?;
        Ok(rate)
    };
    measure().map_err(|error| format!("{}: {error}", path.display()))
}

fn title(scenario: Scenario) -> String {
    let Scenario { way, connections, messages } = scenario;
    let plural = if connections == 1 { "" } else { "s" };
    let to = match way {
        Way::Mailboxes => "to 20 mailboxes",
        Way::Relay => "relayed to a sink",
    };
    format!("{messages} messages of 1 KiB {to}, over {connections} connection{plural}")
}

fn head(way: Way) -> String {
    let columns: String = way.heads().iter().map(|head| format!(" {head:>WIDTH$}")).collect();
    format!("{:NAME$}{columns}", "")
}

fn line(name: &str, row: &Row) -> String {
    let columns: String = row.iter().map(|&value| format!(" {:>WIDTH$}", number(value))).collect();
    format!("{name:NAME$}{columns}")
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        1.0.. => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

fn median(rows: &[(Side, Row)], side: Side) -> Row {
    let mut row = Row::default();
    for (column, median) in row.iter_mut().enumerate() {
        let mut values: Vec<f64> =
            rows.iter().filter(|(of, _)| *of == side).map(|(_, row)| row[column]).collect();
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        *median =
            if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 };
    }
    row
}

fn ratio(ours: &Row, theirs: &Row) -> Row {
    let mut row = *ours;
    row.iter_mut().zip(theirs).for_each(|(ours, theirs)| *ours /= theirs);
    row
}

/// Traced runs are slow, and a count needs no more.
const MOST_TRACED: usize = 1_000;
const NAME: usize = 23;
const WIDTH: usize = 15;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_told_from_what_is_none() {
        let options = Options::parse(&["--ours-only", "--pairs", "5", "--messages", "700"]).unwrap();
        assert_eq!(options, Options { ours_only: true, pairs: 5, messages: 700 });
        assert!(Options::parse(&[]).is_some());
        for wrong in [&["--pairs"][..], &["--pairs", "0"], &["--pairs", "x"], &["--ours"], &["1"]] {
            assert_eq!(Options::parse(wrong), None);
        }
    }

    #[test]
    fn options_of_what_is_large_are_told_from_what_is_none() {
        assert_eq!(Large::parse(&[]), Some(Large { messages: 1_000_000, runs: 3 }));
        let options = Large { messages: 7, runs: 1 };
        assert_eq!(Large::parse(&["--runs", "1", "--messages", "7"]), Some(options));
        for wrong in [&["--runs"][..], &["--runs", "0"], &["--messages", "x"], &["7", "7"]] {
            assert_eq!(Large::parse(wrong), None);
        }
    }

    #[test]
    fn the_median_is_of_one_side() {
        let row = |value| [value; 6];
        let rows = [
            (Side::Postfix, row(1.0)),
            (Side::Ours, row(300.0)),
            (Side::Postfix, row(9.0)),
            (Side::Ours, row(100.0)),
            (Side::Postfix, row(2.0)),
        ];
        assert_eq!(median(&rows, Side::Postfix), row(2.0));
        assert_eq!(median(&rows, Side::Ours), row(200.0));
        assert_eq!(ratio(&row(200.0), &row(2.0)), row(100.0));
    }

    #[test]
    fn columns_stand_below_their_heads() {
        let head = head(Way::Mailboxes);
        assert_eq!(
            head.len(),
            line("median Postfix+Dovecot", &[12_345.6, 123.4, 12.34, 1.2, 0.12, 0.0]).len()
        );
        assert!(head.ends_with("load"));
    }
}
