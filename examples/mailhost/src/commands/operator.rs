//! `mailhost operator`.

use std::io::Write as _;
use std::process::ExitCode;

use super::{Failure, administer};
use crate::admin::{Request, Response};
use crate::cli::Operator;
use crate::commands::output::output;
use crate::config::Config;

/// Prints a link to the operator's pages.
pub(super) fn run(command: &Operator) -> Result<ExitCode, Failure> {
    let config = Config::load(&command.config.file)?;
    let Response::Operator(link) = administer(&config, Request::Operator)? else {
        return Err(Failure::new("the host does not answer the question that was asked"));
    };
    writeln!(output(), "{link}")?;
    Ok(ExitCode::SUCCESS)
}
