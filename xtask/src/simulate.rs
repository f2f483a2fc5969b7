//! `cargo xtask simulate` and `cargo xtask torture`: worlds under one seed, and the real program under blows.

use std::process::Command;

use crate::command::{self, cargo};
use crate::project::Project;

/// Runs the simulator with these arguments.
pub(crate) fn simulate(project: &Project, arguments: &[&str]) -> Result<bool, String> {
    command::run(&mut simulator(project, arguments)).map(|()| true)
}

/// What `cargo xtask test` runs of it.
pub(crate) fn stage(project: &Project) -> Result<(), String> {
    command::run(&mut simulator(project, &["--seeds", "200", "--replays", "5"]))
}

/// What it runs of IMAP sessions.
pub(crate) fn sessions(project: &Project) -> Result<(), String> {
    command::run(&mut simulator(project, &["imap", "--seeds", "40", "--commands", "10000", "--replays", "1"]))
}

/// Runs `kill` or `faults` so many times.
pub(crate) fn torture(project: &Project, how: How, count: &str) -> Result<bool, String> {
    if count.parse::<u32>().is_err() {
        return Err(format!("{count} is no number"));
    }
    let mut tests = tests(project, how.module());
    tests.env(how.variable(), count);
    command::run(&mut tests).map(|()| true)
}

/// The tests of the real program below this module, which say what they have counted.
pub(crate) fn tests(project: &Project, module: &str) -> Command {
    let mut tests = cargo(project);
    // Of the whole workspace: for one package alone, others of its dependencies' features are chosen, and
    // all that was built for the workspace's tests is built, and kept, a second time.
    tests.args(["test", "--workspace", "--test", "it", "--", "--nocapture", module]);
    tests
}

/// What the program is tortured with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum How {
    Kill,
    Faults,
}

impl How {
    const fn module(self) -> &'static str {
        match self {
            Self::Kill => "torture::kill::",
            Self::Faults => "torture::faults::",
        }
    }

    const fn variable(self) -> &'static str {
        match self {
            Self::Kill => "POSTRIDER_ROUNDS",
            Self::Faults => "POSTRIDER_POSITIONS",
        }
    }
}

fn simulator(project: &Project, arguments: &[&str]) -> Command {
    let mut run = cargo(project);
    run.args(["run", "--release", "--package", "simulator", "--"]).args(arguments);
    run
}
