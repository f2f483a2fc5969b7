//! A host of the tour as a process of its own, so that it can be stopped and killed.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::commands::Failure;

/// A host that runs.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// The lines of its log; closed when it has ended.
    lines: Receiver<String>,
    log: PathBuf,
}

impl Process {
    /// Starts it and waits until it is ready.
    pub(super) fn start(config: &Path) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve".as_ref(), "--config".as_ref(), config.as_os_str()])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = config.with_extension("log");
        let stderr = child.stderr.take().ok_or_else(|| Failure::new("the host has no standard error"))?;
        let mut file = fs::OpenOptions::new().create(true).append(true).open(&log)?;
        let (tell, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let _ = writeln!(file, "{line}");
                let _ = tell.send(line);
            }
        });
        let process = Self { child, lines, log };
        match process.wait_for(|line| line.ends_with(" ready") || line.starts_with("mailhost:"))? {
            line if line.ends_with(" ready") => Ok(process),
            line => Err(Failure::new(line.trim_start_matches("mailhost: "))),
        }
    }

    /// The next line of its log that is the right one; those before it are gone.
    pub(super) fn wait_for(&self, right: impl Fn(&str) -> bool) -> Result<String, Failure> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if right(&line) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    return Err(Failure::new(format!(
                        "the host did not do what it should; see {}",
                        self.log.display()
                    )));
                }
            }
        }
    }

    /// What the system calls it.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where its log is.
    pub(super) fn log(&self) -> &Path {
        &self.log
    }

    /// SIGKILL: it gets no chance to do anything any more.
    pub(super) fn kill(&mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }

    /// SIGTERM, and waits until it has ended.
    pub(super) fn stop(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        self.child.wait()
    }

    /// Reads its log, so that nothing piles up, until it ends by itself.
    pub(super) async fn ended(&self) {
        loop {
            match self.lines.try_recv() {
                Ok(_) => {}
                Err(mpsc::TryRecvError::Empty) => tokio::time::sleep(Duration::from_millis(250)).await,
                Err(mpsc::TryRecvError::Disconnected) => return,
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // After an error nobody has stopped it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PATIENCE: Duration = Duration::from_secs(60);
