//! A mail host under load, and what is measured of it.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::guard::{self, Guard, Server};
use super::load::{Load, Sent, p99};
use super::sink::Sink;
use super::wire::Wire;
use super::{DOMAIN, FAR, ours, pop3, postfix, usage};
use crate::project::Project;

/// The two that are compared.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Side {
    Postfix,
    Ours,
}

/// Where the messages of a run go.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Way {
    Mailboxes,
    Relay,
}

/// A run of one side, on a fresh host.
#[derive(Clone, Copy)]
pub(super) struct Scenario {
    pub(super) way: Way,
    pub(super) connections: usize,
    pub(super) messages: usize,
}

/// What a run gave, as columns of a table; their heads come from [`Way::heads`].
pub(super) type Row = [f64; 6];

/// A host that runs.
pub(super) struct Host {
    pub(super) smtp: u16,
    pub(super) pop3: u16,
    pub(super) servers: Vec<Server>,
    pub(super) dir: PathBuf,
    /// What it says.
    pub(super) log: PathBuf,
    /// Where its syncs are written down, if they are.
    pub(super) traces: Vec<PathBuf>,
}

impl Side {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Postfix => "Postfix+Dovecot",
            Self::Ours => "mailhost",
        }
    }

    fn start(self, project: &Project, guard: &Guard, sink: u16, trace: bool) -> Result<Host, String> {
        match self {
            Self::Postfix => postfix::start(guard, sink, trace),
            Self::Ours => ours::start(project, guard, sink, trace),
        }
    }
}

impl Way {
    pub(super) fn heads(self) -> [&'static str; 6] {
        match self {
            Self::Mailboxes => {
                ["accepted/s", "arrived/s", "p99 ms", "CPU ms accepted", "CPU ms arrived", "CPU ms load"]
            }
            Self::Relay => ["accepted/s", "relayed/s", "p99 ms", "p99 ms relayed", "CPU ms", "CPU ms load"],
        }
    }
}

impl Scenario {
    /// Measures a fresh host. How many syncs it says it has done, if it counts them, comes second.
    pub(super) fn measure(
        self,
        side: Side,
        project: &Project,
        guard: &Guard,
    ) -> Result<(Row, Option<u64>), String> {
        let sink = Sink::start()?;
        let host = side.start(project, guard, sink.port(), false)?;
        let row = host.run(self, &sink)?;
        Ok((row, ours::counted(&host.stop()?)))
    }

    /// Counts the syncs of a fresh host under strace, which changes the times, so it is a run of its own.
    pub(super) fn count_syncs(self, side: Side, project: &Project, guard: &Guard) -> Result<f64, String> {
        let sink = Sink::start()?;
        let host = side.start(project, guard, sink.port(), true)?;
        let before = host.syncs()?;
        host.run(self, &sink)?;
        let syncs = host.syncs()? - before;
        host.stop()?;
        Ok(syncs as f64 / self.messages as f64)
    }
}

impl Host {
    /// Waits until it greets on both ports.
    pub(super) fn wait_until_ready(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        let greets = |port, greeting: &str| {
            Wire::connect(port).and_then(|mut wire| {
                let right = wire.line()?.starts_with(greeting.as_bytes());
                wire.send("QUIT\r\n")?;
                Ok(right)
            })
        };
        loop {
            let ready =
                greets(self.pop3, "+OK").unwrap_or(false) && greets(self.smtp, "220").unwrap_or(false);
            if ready {
                return Ok(());
            }
            self.servers.iter_mut().try_for_each(Server::check).map_err(|error| self.with_log(&error))?;
            if Instant::now() > deadline {
                return Err(self.with_log("the host does not get ready"));
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn run(&self, scenario: Scenario, sink: &Sink) -> Result<Row, String> {
        self.try_run(scenario, sink).map_err(|error| self.with_log(&error))
    }

    /// An error, and the last words of the host.
    fn with_log(&self, error: &str) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(5)..].join("\n");
        format!("{error}\nthe log ends:\n{last}")
    }

    fn try_run(&self, scenario: Scenario, sink: &Sink) -> Result<Row, String> {
        let messages = scenario.messages;
        let load = |domain| Load { connections: scenario.connections, messages, domain };
        let per_message = |seconds: f64| 1_000.0 * seconds / messages as f64;
        let ids: Vec<u32> = self.servers.iter().map(Server::id).collect();
        let (before, own_before) = (usage::seconds(&ids)?, usage::own_seconds()?);
        match scenario.way {
            Way::Mailboxes => {
                let sent = load(DOMAIN).send(self.smtp)?;
                let (accepted, own) = (usage::seconds(&ids)?, usage::own_seconds()?);
                let arrived = pop3::wait(self.pop3, messages, sent.start)?;
                let after = usage::seconds(&ids)?;
                pop3::compare(self.pop3, messages)?;
                Ok([
                    messages as f64 / sent.seconds(),
                    rate(messages, sent.start, arrived),
                    milliseconds(p99(&sent.waits)),
                    per_message(accepted - before),
                    per_message(after - before),
                    per_message(own - own_before),
                ])
            }
            Way::Relay => {
                let sent = load(FAR).send(self.smtp)?;
                let arrived = sink.wait(messages)?;
                let (after, own) = (usage::seconds(&ids)?, usage::own_seconds()?);
                Ok([
                    messages as f64 / sent.seconds(),
                    rate(messages, sent.start, arrived.iter().copied().max().unwrap_or(sent.end)),
                    milliseconds(p99(&sent.waits)),
                    milliseconds(p99(&on_the_way(&sent, &arrived))),
                    per_message(after - before),
                    per_message(own - own_before),
                ])
            }
        }
    }

    fn syncs(&self) -> Result<u64, String> {
        self.traces.iter().map(|log| usage::syncs(log)).sum()
    }

    /// Ends it, and removes what it has stored; its log.
    fn stop(self) -> Result<String, String> {
        let Self { servers, dir, log, .. } = self;
        servers.into_iter().try_for_each(|server| server.stop().map(drop))?;
        let said = fs::read_to_string(log).unwrap_or_default();
        guard::remove(&dir)?;
        Ok(said)
    }
}

/// From the reply that accepted a message to its end in the sink, sorted. A relay may be faster than its own reply.
fn on_the_way(sent: &Sent, arrived: &[Instant]) -> Vec<Duration> {
    let mut times: Vec<Duration> = sent
        .accepted
        .iter()
        .zip(arrived)
        .map(|(&accepted, &arrived)| arrived.saturating_duration_since(accepted))
        .collect();
    times.sort_unstable();
    times
}

fn rate(messages: usize, start: Instant, end: Instant) -> f64 {
    messages as f64 / (end - start).as_secs_f64()
}

fn milliseconds(time: Duration) -> f64 {
    1_000.0 * time.as_secs_f64()
}

const PATIENCE: Duration = Duration::from_secs(30);
