//! A foreign daemon, with the processes that it starts.

use std::cell::RefCell;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::support::DEADLINE;

/// A process group, which ends when this is dropped.
pub(crate) struct Daemon {
    child: Child,
    lines: Receiver<String>,
    log: RefCell<Vec<String>>,
}

impl Daemon {
    /// Hears what it says on both outputs, and what comes out of this pipe.
    pub(crate) fn start(command: &mut Command, pipe: Option<File>) -> Self {
        let mut child = command
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the daemon starts");
        let (sender, lines) = mpsc::channel();
        hear(child.stdout.take().expect("a pipe"), sender.clone());
        hear(child.stderr.take().expect("a pipe"), sender.clone());
        if let Some(pipe) = pipe {
            hear(pipe, sender);
        }
        Self { child, lines, log: RefCell::default() }
    }

    /// Waits until so many lines of the log contain this.
    #[track_caller]
    pub(crate) fn wait_for(&self, what: &str, count: usize) {
        let end = Instant::now() + DEADLINE;
        while self.count(what) < count {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => self.log.borrow_mut().push(line),
                Err(error) => panic!("{error} while waiting for {what:?}, {count} times"),
            }
        }
    }

    /// How many lines of the log contain this so far.
    pub(crate) fn count(&self, what: &str) -> usize {
        let mut log = self.log.borrow_mut();
        log.extend(self.lines.try_iter());
        log.iter().filter(|line| line.contains(what)).count()
    }

    /// The number of the group.
    pub(crate) fn group(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // All of its processes: with its first one alone, the others would go on for a while.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
        if thread::panicking() {
            println!("the log of the daemon:");
            self.log.borrow_mut().extend(self.lines.try_iter());
            for line in self.log.borrow().iter() {
                println!("  {line}");
            }
        }
    }
}

fn hear(output: impl Read + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                return;
            }
        }
    });
}
