//! No host ever starts a program: each one that a test starts is watched for it, where there is strace.
//!
//! strace is a grandchild of the test here, and holds the host's standard error: when that ends, both have ended. It stops the
//! host at nothing but the two calls that start programs, so it costs next to nothing. `POSTRIDER_NO_STRACE=1` turns it off.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, fs, process};

use super::program;

/// The host with strace beside it, and the file that strace writes; `None` where it cannot.
pub(crate) fn tracer() -> Option<(Command, PathBuf)> {
    static WORKS: OnceLock<bool> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let file = || {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        env::temp_dir().join(format!("mailhost-executed-{}-{number}", process::id()))
    };
    let works = || {
        let file = file();
        let mut command = strace(&file);
        let status = command.arg("true").stdout(Stdio::null()).stderr(Stdio::null()).status();
        let _ = fs::remove_file(file);
        status.is_ok_and(|status| status.success())
    };
    if env::var_os("POSTRIDER_NO_STRACE").is_some() || !*WORKS.get_or_init(works) {
        return None;
    }
    let file = file();
    let mut command = strace(&file);
    command.arg(program().get_program());
    Some((command, file))
}

fn strace(file: &Path) -> Command {
    let mut command = Command::new("strace");
    command.args([
        "-D",
        "-f",
        "-qqq",
        "--seccomp-bpf",
        "-e",
        "trace=execve,execveat",
        "-e",
        "signal=none",
        "-o",
    ]);
    command.arg(file);
    command
}

/// Its own start, and no other.
#[track_caller]
pub(crate) fn check(file: &Path) {
    assert_eq!(itself(file), 1, "the host has started itself again");
}

/// How many times the program was started; no other was.
#[track_caller]
pub(crate) fn itself(file: &Path) -> usize {
    let executed = started(file);
    let _ = fs::remove_file(file);
    let others = executed.iter().any(|call| !call.contains("/mailhost\""));
    assert!(!others, "programs have been started: {executed:#?}");
    executed.len()
}

/// The calls that have started programs, or were to.
pub(crate) fn started(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).expect("what strace has written");
    text.lines().filter(|line| line.contains("execve")).map(str::to_owned).collect()
}
