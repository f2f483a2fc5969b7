//! Standard output, and what it means that nobody reads it any more.

use std::error::Error;
use std::io::{self, ErrorKind, Stdout, Write};

use thiserror::Error;

/// What a command says.
pub(super) struct Output(Stdout);

/// An error of standard output: others of the kind are those of files and connections.
#[derive(Debug, Error)]
#[error("cannot write to standard output: {0}")]
struct Unwritten(io::Error);

/// Standard output, with errors that say that they are its.
pub(super) fn output() -> Output {
    Output(io::stdout())
}

/// Whether whoever reads what is said has had enough, as `head` has after a few lines.
pub(super) fn has_no_reader(error: &(dyn Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| {
        error.kind() == ErrorKind::BrokenPipe && error.get_ref().is_some_and(|inner| inner.is::<Unwritten>())
    })
}

impl Write for Output {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.write(octets).map_err(unwritten)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush().map_err(unwritten)
    }
}

fn unwritten(error: io::Error) -> io::Error {
    // Who writes all goes on after this one, and asks for it by its kind.
    if error.kind() == ErrorKind::Interrupted {
        error
    } else {
        io::Error::new(error.kind(), Unwritten(error))
    }
}
