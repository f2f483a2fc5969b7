//! Starting other programs.

use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::project::Project;

/// The cargo that started us, or the one in the path.
pub(crate) fn cargo(project: &Project) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&project.root);
    clean(&mut command);
    command
}

/// `cargo run` describes xtask in these variables. Build scripts that watch them would run again,
/// and their crates be rebuilt, each time one goes from plain cargo to xtask.
fn clean(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if is_about_xtask(&name) {
            command.env_remove(name);
        }
    }
}

fn is_about_xtask(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| {
        name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_MANIFEST_")
            || name == "CARGO_CRATE_NAME"
            || name == "CARGO_BIN_NAME"
            || name == "CARGO_PRIMARY_PACKAGE"
    })
}

/// Runs to the end; a failure says which command it was.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("{}: {error}", shown(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}`: {status}", shown(command))) }
}

/// Like [`run`], with the standard output going to `terminal`, and each line of it to `seen`.
pub(crate) fn run_and_watch(
    command: &mut Command,
    terminal: &mut impl Write,
    mut seen: impl FnMut(&str),
) -> Result<(), String> {
    let name = shown(command);
    let failed = |error| format!("{name}: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    if let Some(output) = child.stdout.take() {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).map_err(failed)? > 0 {
            terminal.write_all(&line).map_err(failed)?;
            terminal.flush().map_err(failed)?;
            seen(&String::from_utf8_lossy(&line));
            line.clear();
        }
    }
    let status = child.wait().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(format!("`{name}`: {status}")) }
}

/// The standard output of a command that succeeds.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| format!("{}: {error}", shown(command)))?;
    if output.status.success() {
        String::from_utf8(output.stdout).map_err(|error| format!("{}: {error}", shown(command)))
    } else {
        Err(format!("`{}`: {}", shown(command), output.status))
    }
}

/// Whether a command starts and succeeds; it is not heard.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn shown(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    let mut text = program.rsplit('/').next().unwrap_or_default().to_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_command_is_named_with_its_arguments() {
        let error = run(Command::new("/bin/sh").args(["-c", "exit 3"])).unwrap_err();
        assert!(error.starts_with("`sh -c exit 3`"), "{error}");
    }

    #[test]
    fn a_watched_command_shows_each_line_and_its_failure() {
        let mut lines = Vec::new();
        let mut terminal = Vec::new();
        let result = run_and_watch(
            Command::new("/bin/sh").args(["-c", "echo a; printf b; exit 1"]),
            &mut terminal,
            |line| lines.push(line.to_owned()),
        );
        assert_eq!(
            terminal,
            b"a
b"
        );
        assert_eq!(lines, ["a\n", "b"]);
        assert!(result.is_err());
    }

    #[test]
    fn only_what_describes_xtask_is_taken_from_the_environment() {
        assert!(is_about_xtask(OsStr::new("CARGO_MANIFEST_DIR")));
        assert!(is_about_xtask(OsStr::new("CARGO_PKG_NAME")));
        assert!(!is_about_xtask(OsStr::new("CARGO_TARGET_DIR")));
        assert!(!is_about_xtask(OsStr::new("CARGO_HOME")));
    }
}
