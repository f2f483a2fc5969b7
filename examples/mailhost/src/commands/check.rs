//! `mailhost check`, as far as it looks at the world outside, and how findings are shown.

use std::env;
use std::io::{self, IsTerminal as _, Write};

use crate::cli::Check;
use crate::config::Config;
use crate::logs::Safe;
use crate::preflight::{Finding, Severity};
use crate::survey::{self, World};

/// What DNS says, and whether mail can go out.
pub(super) async fn outside(config: &Config, command: &Check) -> Vec<Finding> {
    let ok = |text: String| vec![Finding { severity: Severity::Ok, text }];
    if command.offline {
        return ok("no other host was asked anything".to_owned());
    }
    if let Some(why) = survey::not_asked(config) {
        return ok(why);
    }
    survey::check(config, &World::new(&config.dns, command.probe.as_ref())).await
}

/// One finding after the other; coloured for a person at a terminal, unless they do not want that.
pub(super) fn print(findings: &[Finding], out: &mut impl Write) -> io::Result<()> {
    let coloured = io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    for finding in findings {
        let (word, colour) = match finding.severity {
            Severity::Ok => ("ok", "32"),
            Severity::Warning => ("warning", "33"),
            Severity::Error => ("error", "1;31"),
        };
        // What is to be pasted stands on lines of its own.
        for (at, line) in finding.text.lines().enumerate() {
            match (at, coloured) {
                (0, true) => writeln!(out, "\x1b[{colour}m{word}\x1b[0m: {}", Safe(line))?,
                (0, false) => writeln!(out, "{word}: {}", Safe(line))?,
                _ => writeln!(out, "{}", Safe(line))?,
            }
        }
    }
    Ok(())
}
