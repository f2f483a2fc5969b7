//! A foreign client while it runs.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::{DEADLINE, Run};

/// Where `cargo xtask test --install-peers` puts what is not Debian's.
pub(super) fn peers() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").join("peers")
}

/// Gone at the end of its test, with all that it has started.
struct Group(Child);

/// Runs a client to its end, and hands over each line that it says while it says it.
#[track_caller]
pub(super) fn run(command: &mut Command, stdin: &str, mut heard: impl FnMut(&str)) -> Run {
    // A group of its own: some clients have children that would stay.
    command.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().expect("a client");
    let mut group = Group(child);
    let (mut input, output, mut errors) = (
        group.0.stdin.take().expect("a pipe"),
        group.0.stdout.take().expect("a pipe"),
        group.0.stderr.take().expect("a pipe"),
    );
    let stdin = stdin.to_owned();
    // It need not read all of it.
    let writer = thread::spawn(move || drop(input.write_all(stdin.as_bytes())));
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
    loop {
        match lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(line) => {
                stdout.push_str(&line);
                stdout.push('\n');
                heard(&line);
            }
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                group.kill();
                panic!("{command:?} has not ended in time: {stdout}{}", stderr.join().unwrap());
            }
        }
    }
    let status = group.0.wait().expect("its status").code();
    writer.join().unwrap();
    Run { status, stdout, stderr: stderr.join().unwrap() }
}

impl Group {
    fn kill(&mut self) {
        let _ = kill_process_group(Pid::from_child(&self.0), Signal::KILL);
        let _ = self.0.wait();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // After a good end this finds nobody: the number is not given away before it has been waited for.
        if self.0.try_wait().is_ok_and(|status| status.is_none()) {
            self.kill();
        }
    }
}
