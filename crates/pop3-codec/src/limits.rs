//! Every bound and every time-out of a session, as data.

use core::time::Duration;

/// Bounds on what a peer may send and how long it may take.
///
/// A session holds no input of its own: an unfinished line stays in the caller's buffer, and never more than
/// [`Limits::line`] octets of it. What a session itself keeps is the user's name before the login, and one bit for each
/// message after it.
#[derive(Clone, Debug)]
pub struct Limits {
    pub(crate) line: usize,
    pub(crate) errors: u32,
    pub(crate) idle_timeout: Duration,
}

impl Limits {
    /// The longest command line in octets, its CRLF included; a longer one is swallowed and answered `-ERR`.
    ///
    /// Default 512; never under the 255 of [RFC 2449 §4](https://www.rfc-editor.org/rfc/rfc2449#section-4).
    pub const fn line(mut self, octets: usize) -> Self {
        self.line = if octets < 255 { 255 } else { octets };
        self
    }

    /// How many mistakes end the session.
    ///
    /// Default 20.
    pub const fn errors(mut self, count: u32) -> Self {
        self.errors = count;
        self
    }

    /// How long the client may be silent. It runs from the last answer to the next whole command line.
    ///
    /// Default 10 minutes, the least that [RFC 1939 §3](https://www.rfc-editor.org/rfc/rfc1939#section-3) allows.
    pub const fn idle_timeout(mut self, time: Duration) -> Self {
        self.idle_timeout = time;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { line: 512, errors: 20, idle_timeout: Duration::from_secs(600) }
    }
}
