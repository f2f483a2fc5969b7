//! A complete mail host. See `mailhost --help`.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;
use mailhost::cli::Cli;
use mailhost::commands;
use mailhost::logs::Safe;
use rustix::fs::Mode;
use rustix::process::umask;

fn main() -> ExitCode {
    // Mail is private: what the host makes is for its own user alone.
    umask(Mode::RWXG | Mode::RWXO);
    match commands::run(Cli::parse()) {
        Ok(status) => status,
        Err(failure) if failure.has_no_reader() => ExitCode::from(SIGPIPE),
        Err(failure) => {
            // Standard error may be closed; then there is nobody to tell.
            let _ = writeln!(io::stderr(), "mailhost: {}", Safe(failure));
            ExitCode::FAILURE
        }
    }
}

/// What shells say of a program that has ended because nobody read its output.
const SIGPIPE: u8 = 141;
