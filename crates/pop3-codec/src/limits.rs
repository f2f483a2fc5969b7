//! Every bound and every time-out of a session, as data.

use core::time::Duration;

/// Bounds on what a client may send to a server and how long it may take.
///
/// A session holds no input of its own: an unfinished line stays in the caller's buffer, and never more than
/// [`Limits::line`] octets of it, or [`Limits::auth_line`] within AUTH, whose decoded response it holds for one event. What a session itself keeps is the user's name before the login, and one bit for each
/// message after it. What one call writes is 17 KiB at most.
#[derive(Clone, Debug)]
pub struct Limits {
    pub(crate) line: usize,
    pub(crate) auth_line: usize,
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

    /// The longest response within AUTH in octets, its CRLF included; a longer one is swallowed and answered `-ERR`.
    ///
    /// Default 12,288, as [RFC 4954 §4](https://www.rfc-editor.org/rfc/rfc4954#section-4) has it for SMTP; never under 512.
    /// [RFC 5034 §4](https://www.rfc-editor.org/rfc/rfc5034#section-4) wants room for the largest of the mechanisms in use.
    pub const fn auth_line(mut self, octets: usize) -> Self {
        self.auth_line = if octets < 512 { 512 } else { octets };
        self
    }

    /// How many mistakes are forgiven, failed logins among them; one more ends the session.
    ///
    /// Default 20, as Postfix has it for SMTP.
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
        Self { line: 512, auth_line: 12_288, errors: 20, idle_timeout: Duration::from_secs(600) }
    }
}

/// Bounds on what a server may send to a client and how long it may take.
///
/// An unfinished line stays in the caller's buffer, and never more than [`ClientLimits::response_line`] octets of it; of
/// an unfinished message, never more than two. What a session itself keeps is what the server announced, with one line
/// of text at most, 72 octets for each command that waits, and in a login the decoded challenge for as long as its event
/// lives and the initial response until it is asked for.
#[derive(Clone, Debug)]
pub struct ClientLimits {
    pub(crate) response_line: usize,
    pub(crate) auth_line: usize,
    pub(crate) queue: usize,
    pub(crate) greeting: Duration,
    pub(crate) response: Duration,
}

impl ClientLimits {
    /// The longest line of a response in octets, its CRLF included; a longer one ends the session. Lines of messages
    /// have no limit.
    ///
    /// Default 2,048; never under the 512 of [RFC 2449 §4](https://www.rfc-editor.org/rfc/rfc2449#section-4).
    pub const fn response_line(mut self, octets: usize) -> Self {
        self.response_line = if octets < 512 { 512 } else { octets };
        self
    }

    /// The longest challenge of AUTH in octets, its CRLF included; a longer one ends the session.
    ///
    /// Default 12,288, as [RFC 5034 §4](https://www.rfc-editor.org/rfc/rfc5034#section-4) asks for; never under 512.
    pub const fn auth_line(mut self, octets: usize) -> Self {
        self.auth_line = if octets < 512 { 512 } else { octets };
        self
    }

    /// How many commands may wait for their responses, on the wire or before it.
    ///
    /// Default 256: with PIPELINING that is 10 KiB of commands on the wire at most, less than any connection holds, so
    /// that a driver which blocks while it writes does not come to a standstill
    /// ([RFC 2449 §6.6](https://www.rfc-editor.org/rfc/rfc2449#section-6.6)). Never under 1.
    pub const fn queue(mut self, commands: usize) -> Self {
        self.queue = if commands == 0 { 1 } else { commands };
        self
    }

    /// How long to wait for the greeting.
    ///
    /// Default 5 minutes, as for SMTP; RFC 1939 has no time for it.
    pub const fn greeting(mut self, time: Duration) -> Self {
        self.greeting = time;
        self
    }

    /// How long to wait for the next line of a response or the next octets of a message, and for a TLS handshake.
    ///
    /// Default 5 minutes: a server may hold back its answer to a wrong password, and take its time over a large mailbox.
    pub const fn response(mut self, time: Duration) -> Self {
        self.response = time;
        self
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        let wait = Duration::from_secs(300);
        Self { response_line: 2048, auth_line: 12_288, queue: 256, greeting: wait, response: wait }
    }
}
