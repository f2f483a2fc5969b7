//! The project's own commands: `cargo xtask check`, `cargo xtask test`, `cargo xtask bench`,
//! `cargo xtask ledger`, `cargo xtask simulate`, `cargo xtask torture`.

mod bench;
mod check;
mod command;
mod ledger;
mod peers;
mod project;
mod rules;
mod simulate;
mod stage;
mod test;

use std::env;
use std::process::ExitCode;

use crate::project::Project;
use crate::simulate::How;

const USAGE: &str = "\
usage: cargo xtask <command>

commands:
    check                   for every commit: format, clippy, the repository rules, and the
                            tests of the packages that differ from HEAD
    test                    everything there is, with the programs that this machine has;
                            ends with a list of what could not be run and why
    test --install-peers    installs the foreign programs first (Debian, root); a test that
                            is skipped after that is a failure
    bench host              mailhost beside Debian's Postfix with Dovecot (root): accepted, arrived and
                            relayed per second, waits, syncs and CPU time per message
        --ours-only         mailhost alone, which needs neither of them nor root
        --pairs N           how many runs of each, in turn; 3 unless told
        --messages N        how many over 10 and 50 connections; 10,000 unless told
    bench queue [--messages N] [--runs N]
                            how soon a host greets whose queue holds 1,000,000 messages, or N, and
                            how much memory it has by then and when it has read them all
    bench logins [--pairs N]
                            whether names that exist can be told by time, for each protocol and mechanism:
                            Welch's t over 5,000 pairs of logins, or N
    bench guessing [--logins N]
                            how long others wait, and how much memory the host has, during 10,000 bad
                            logins from 200 addresses, or N
    bench webmail [--messages N] [--runs N]
                            how soon a page of an inbox with 1,000,000 messages, or N, is there
    ledger                  writes docs/ledger.md: what the RFCs demand, and by which test it is done
    ledger --check          whether it is up to date, with a test at each row that says so
    simulate [--seeds N] [--hosts N] [--days N] [--first SEED] [--replays N] [--jobs N]
                            whole worlds of mail hosts, each under one seed and a virtual clock
    simulate imap [--seeds N] [--sessions N] [--commands N] [--first SEED] [--replays N] [--jobs N]
                            IMAP clients on a few mailboxes of one host, against a model
    simulate replay FILE    one of them again, with all that was said
    torture kill --rounds N
                            the real program under load, killed so often
    torture faults --positions N
                            the real program on a disk that fails or is full
    help                    prints this text
";

/// The first words that `cargo xtask` takes; README.md may name no others.
pub(crate) const COMMANDS: &[&str] = &["bench", "check", "ledger", "simulate", "test", "torture", "help"];

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        ["check"] => Project::load().and_then(|project| check::run(&project)),
        ["test"] => Project::load().and_then(|project| test::run(&project, false)),
        ["test", "--install-peers"] => Project::load().and_then(|project| test::run(&project, true)),
        // What `bench host` starts beside itself.
        ["bench", "guard"] => bench::watch(),
        ["bench", "host", ref options @ ..] if let Some(options) = bench::Options::parse(options) => {
            Project::load().and_then(|project| bench::host(&project, options))
        }
        ["ledger"] => Project::load().and_then(|project| ledger::run(&project, true)).map(|()| true),
        ["ledger", "--check"] => {
            Project::load().and_then(|project| ledger::run(&project, false)).map(|()| true)
        }
        ["bench", "queue", ref options @ ..] if let Some(options) = bench::Large::parse(options) => {
            Project::load().and_then(|project| bench::queue(&project, options))
        }
        ["bench", "webmail", ref options @ ..] if let Some(options) = bench::Large::parse(options) => {
            Project::load().and_then(|project| bench::webmail(&project, options))
        }
        ["bench", "logins"] => Project::load().and_then(|project| bench::logins(&project, "5000")),
        ["bench", "logins", "--pairs", pairs] => {
            Project::load().and_then(|project| bench::logins(&project, pairs))
        }
        ["bench", "guessing"] => Project::load().and_then(|project| bench::guessing(&project, "10000")),
        ["bench", "guessing", "--logins", count] => {
            Project::load().and_then(|project| bench::guessing(&project, count))
        }
        ["simulate", ref rest @ ..] => Project::load().and_then(|project| simulate::simulate(&project, rest)),
        ["torture", "kill", "--rounds", count] => {
            Project::load().and_then(|project| simulate::torture(&project, How::Kill, count))
        }
        ["torture", "faults", "--positions", count] => {
            Project::load().and_then(|project| simulate::torture(&project, How::Faults, count))
        }
        ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
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
