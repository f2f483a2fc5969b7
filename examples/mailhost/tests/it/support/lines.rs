//! What a process says, line by line.

use std::cell::Cell;
use std::fmt;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, read};

use super::DEADLINE;

/// The lines out of one pipe. A thread takes them out, so that the process never waits, but whoever looks at them reads the
/// pipe first: what was written before an answer was given is there once the answer is.
pub(crate) struct Lines {
    shared: Arc<Shared>,
    /// The first one that nobody has waited for.
    next: Cell<usize>,
}

/// Why a line did not come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoLine {
    /// The pipe is closed.
    Ended,
    /// Nothing came for as long as anything may take.
    Late,
}

struct Shared {
    pipe: OwnedFd,
    said: Mutex<Said>,
    more: Condvar,
}

#[derive(Default)]
struct Said {
    lines: Vec<String>,
    begun: Vec<u8>,
    ended: bool,
}

impl Lines {
    pub(crate) fn of(pipe: impl Into<OwnedFd>) -> Self {
        let pipe = pipe.into();
        fcntl_setfl(&pipe, OFlags::NONBLOCK).expect("a pipe");
        let shared = Arc::new(Shared { pipe, said: Mutex::default(), more: Condvar::new() });
        let reader = Arc::clone(&shared);
        thread::spawn(move || {
            loop {
                // An interruption looks like a line here: then there is nothing to be read.
                let _ = poll(&mut [PollFd::new(&reader.pipe, PollFlags::IN)], None);
                if reader.read().ended {
                    break;
                }
            }
        });
        Self { shared, next: Cell::new(0) }
    }

    /// All of them so far. None of these is waited for any more.
    pub(crate) fn so_far(&self) -> Vec<String> {
        let said = self.shared.read();
        self.next.set(said.lines.len());
        said.lines.clone()
    }

    /// The next one that is right.
    pub(crate) fn wait_until(&self, right: impl Fn(&str) -> bool) -> Result<String, NoLine> {
        let mut said = self.shared.read();
        loop {
            while let Some(line) = said.lines.get(self.next.get()) {
                self.next.set(self.next.get() + 1);
                if right(line) {
                    return Ok(line.clone());
                }
            }
            if said.ended {
                return Err(NoLine::Ended);
            }
            let (next, late) =
                self.shared.more.wait_timeout(said, DEADLINE).unwrap_or_else(PoisonError::into_inner);
            if late.timed_out() {
                return Err(NoLine::Late);
            }
            said = next;
        }
    }

    /// Waits until the pipe is closed: when the last process that holds it has ended.
    #[track_caller]
    pub(crate) fn wait_for_the_end(&self) {
        assert_eq!(self.wait_until(|_| false), Err(NoLine::Ended), "{:#?}", self.so_far());
    }
}

impl Shared {
    /// Takes out what is in the pipe.
    fn read(&self) -> MutexGuard<'_, Said> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let mut buffer = [0; 16 << 10];
        while !said.ended {
            match read(&self.pipe, &mut buffer) {
                Ok(0) => said.ended = true,
                Ok(count) => said.push(&buffer[..count]),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => panic!("a pipe cannot be read: {error}"),
            }
            self.more.notify_all();
        }
        said
    }
}

impl Said {
    fn push(&mut self, octets: &[u8]) {
        self.begun.extend_from_slice(octets);
        let Some(end) = self.begun.iter().rposition(|octet| *octet == b'\n') else { return };
        let rest = self.begun.split_off(end + 1);
        let whole = String::from_utf8_lossy(&self.begun);
        self.lines.extend(whole.lines().map(str::to_owned));
        self.begun = rest;
    }
}

impl fmt::Display for NoLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ended => "the process has closed its output",
            Self::Late => "nothing was said for too long",
        })
    }
}
