//! A foreign client while it runs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::{DEADLINE, Run};

/// Where `cargo xtask test --install-peers` puts what is not Debian's.
pub(super) fn peers() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").join("peers")
}

/// A client that runs; gone at the end of its test, with all that it has started.
pub(super) struct Foreign {
    child: Child,
    stdin: Option<ChildStdin>,
}

/// Runs a client to its end.
#[track_caller]
pub(super) fn run(command: &mut Command) -> Run {
    watch(command, |_, foreign| foreign.end_of_input())
}

/// Runs a client to its end, and hands over each line that it says while it says it. Its input stays open until it is
/// closed. First of all comes an empty line.
#[track_caller]
pub(super) fn watch(command: &mut Command, mut heard: impl FnMut(&str, &mut Foreign)) -> Run {
    // A group of its own: some clients have children that would stay.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a client");
    let (output, mut errors) = (child.stdout.take().expect("a pipe"), child.stderr.take().expect("a pipe"));
    let mut foreign = Foreign { stdin: child.stdin.take(), child };
    let stderr = thread::spawn(move || {
        let mut text = Vec::new();
        let _ = errors.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
    let (end, mut stdout) = (Instant::now() + DEADLINE, String::new());
    heard("", &mut foreign);
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                stdout.push_str(&line);
                stdout.push('\n');
                heard(&line, &mut foreign);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                foreign.signal(Signal::KILL);
                panic!("{command:?} has not ended in time: {stdout}{}", stderr.join().unwrap());
            }
        }
    }
    foreign.end_of_input();
    let status = foreign.child.wait().expect("its status").code();
    Run { status, stdout, stderr: stderr.join().unwrap() }
}

impl Foreign {
    /// Types this.
    #[track_caller]
    pub(super) fn say(&mut self, text: &str) {
        // It need not want to read.
        let _ = self.stdin.as_mut().expect("open").write_all(text.as_bytes());
    }

    /// There is no more to read for it.
    pub(super) fn end_of_input(&mut self) {
        self.stdin = None;
    }

    /// SIGTERM.
    pub(super) fn stop(&self) {
        self.signal(Signal::TERM);
    }

    fn signal(&self, signal: Signal) {
        let _ = kill_process_group(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        // Once it has been waited for, its number may be somebody else's.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
    }
}
