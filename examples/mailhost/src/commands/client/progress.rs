//! How far a transfer is, for people who watch.

use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on standard error; nothing if that is no terminal, or the transfer is soon over anyway.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(super) fn new(octets: u64) -> Self {
        let shown = octets >= LEAST && io::stderr().is_terminal();
        let style = ProgressStyle::with_template(
            "{bar:40} {bytes:>10} of {total_bytes} {bytes_per_sec:>12} {eta:>5}",
        );
        Self(shown.then(|| {
            let bar = ProgressBar::new(octets);
            match style {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        }))
    }

    pub(super) fn add(&self, octets: u64) {
        if let Some(bar) = &self.0 {
            bar.inc(octets);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

const LEAST: u64 = 256 << 10;
