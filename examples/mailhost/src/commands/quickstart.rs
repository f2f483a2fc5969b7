//! `mailhost quickstart`.

use std::io::Write as _;
use std::process::ExitCode;

use crate::cli::Quickstart;
use crate::commands::Failure;
use crate::commands::output::output;
use crate::quickstart;
use crate::survey::World;

pub(super) fn run(command: &Quickstart) -> Result<ExitCode, Failure> {
    let mut out = output();
    quickstart::run(command, |servers| World::new(&servers, command.probe.as_ref()), &mut out)?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
