//! Every bound and every time-out of a session, as data.

use core::time::Duration;

/// Bounds on what a client may send to a server session, and how long it may take.
///
/// A session holds no input of its own: an unfinished line stays in the caller's buffer, and never more than
/// [`Limits::auth_line`] octets of it. What a session itself keeps is the peer's name (255 octets), and during AUTH the
/// decoded response (three quarters of `auth_line`), which is overwritten once the caller has seen it.
#[derive(Clone, Debug)]
pub struct Limits {
    pub(crate) command_line: usize,
    pub(crate) auth_line: usize,
    pub(crate) body_line: u64,
    pub(crate) message: u64,
    pub(crate) errors: u32,
    pub(crate) junk: u32,
    pub(crate) command_timeout: Duration,
    pub(crate) data_timeout: Duration,
    pub(crate) data_rate: u64,
}

impl Limits {
    /// The longest command line in octets, its CRLF included; a longer one is swallowed and answered 500.
    ///
    /// Default 2,048. [RFC 5321 §4.5.3.1.4](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.4) asks for 512
    /// and lets extensions raise it. Also the largest number of unread octets in the caller's buffer, outside AUTH.
    pub const fn command_line(mut self, octets: usize) -> Self {
        self.command_line = if octets < 512 { 512 } else { octets };
        self
    }

    /// The longest line of an AUTH command or exchange in octets, its CRLF included.
    ///
    /// Default 12,288, the least that [RFC 4954 §4](https://www.rfc-editor.org/rfc/rfc4954#section-4) asks for.
    pub const fn auth_line(mut self, octets: usize) -> Self {
        self.auth_line = if octets < 512 { 512 } else { octets };
        self
    }

    /// The longest line within a message in octets, without its CRLF; a message with a longer one is refused.
    ///
    /// Default 65,536. [RFC 5321 §4.5.3.1.6](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.6) asks for 998
    /// and would rather have no limit. Lines are never buffered, so this costs no memory.
    pub const fn body_line(mut self, octets: u64) -> Self {
        self.body_line = if octets < 998 { 998 } else { octets };
        self
    }

    /// The largest message in octets, announced with SIZE and enforced while it is read.
    ///
    /// Default 52,428,800 (50 MiB); [RFC 5321 §4.5.3.1.7](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.7)
    /// asks for 64 KiB. Messages are never buffered, so this costs no memory here. Zero stands for one, since SIZE 0 would
    /// announce that there is no limit.
    pub const fn message(mut self, octets: u64) -> Self {
        self.message = if octets == 0 { 1 } else { octets };
        self
    }

    /// How many errors between two accepted messages end the session with 421: of syntax, of sequence, and logins and
    /// recipients that the caller refuses for good (5yz).
    ///
    /// Default 20, as in Postfix (`smtpd_hard_error_limit`).
    pub const fn errors(mut self, count: u32) -> Self {
        self.errors = count;
        self
    }

    /// How many commands that bring no mail closer (NOOP, RSET, VRFY, HELP, EHLO, and what follows a
    /// refused MAIL in a pipelined group) are taken between two accepted messages.
    ///
    /// Default 100, as in Postfix (`smtpd_junk_command_limit`).
    pub const fn junk(mut self, count: u32) -> Self {
        self.junk = count;
        self
    }

    /// How long the peer may take for one whole command line.
    ///
    /// Default 5 minutes, [RFC 5321 §4.5.3.2.7](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.2.7). It runs from
    /// the last answer, not from the last octet, so a slow drip does not extend it.
    pub const fn command_timeout(mut self, time: Duration) -> Self {
        self.command_timeout = time;
        self
    }

    /// How long the peer may pause within a message.
    ///
    /// Default 3 minutes, [RFC 5321 §4.5.3.2.5](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.2.5).
    pub const fn data_timeout(mut self, time: Duration) -> Self {
        self.data_timeout = time;
        self
    }

    /// The least average rate within a message, in octets per second: each octet extends the deadline by its share,
    /// never beyond [`Limits::data_timeout`] from now. Zero stands for one.
    ///
    /// Default 500, as in Postfix (`smtpd_min_data_rate`).
    pub const fn data_rate(mut self, octets: u64) -> Self {
        self.data_rate = if octets == 0 { 1 } else { octets };
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            command_line: 2_048,
            auth_line: 12_288,
            body_line: 65_536,
            message: 50 << 20,
            errors: 20,
            junk: 100,
            command_timeout: Duration::from_secs(300),
            data_timeout: Duration::from_secs(180),
            data_rate: 500,
        }
    }
}

/// Bounds on what a server may send to a client session, and how long it may take.
///
/// A session holds no input of its own: an unfinished line stays in the caller's buffer, and never more than
/// [`ClientLimits::reply_line`] octets of it. What a session itself keeps is the reply that is being read
/// ([`ClientLimits::reply`]), what EHLO announced, and the envelope that the caller gave it.
#[derive(Clone, Debug)]
pub struct ClientLimits {
    pub(crate) reply_line: usize,
    pub(crate) reply: usize,
    pub(crate) group: usize,
    pub(crate) greeting: Duration,
    pub(crate) command: Duration,
    pub(crate) data_start: Duration,
    pub(crate) data_block: Duration,
    pub(crate) data_end: Duration,
}

impl ClientLimits {
    /// The longest line of a reply in octets, its CRLF included; a longer one ends the session.
    ///
    /// Default 12,288, which a challenge of AUTH may take (RFC 4954 §4); elsewhere
    /// [RFC 5321 §4.5.3.1.5](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.5) allows 512.
    pub const fn reply_line(mut self, octets: usize) -> Self {
        self.reply_line = if octets < 512 { 512 } else { octets };
        self
    }

    /// The longest reply in octets, all its lines together; a longer one ends the session.
    ///
    /// Default 16,384. RFC 5321 has no limit; a long list of extensions takes about a thousand.
    pub const fn reply(mut self, octets: usize) -> Self {
        self.reply = if octets < 4_096 { 4_096 } else { octets };
        self
    }

    /// How many commands may be on their way at once with PIPELINING. One stands for no pipelining.
    ///
    /// Default 50. It bounds what one call writes (about as many times 300 octets), and so the size of a group
    /// ([RFC 2920 §3.1](https://www.rfc-editor.org/rfc/rfc2920#section-3.1) asks to mind the window of TCP).
    pub const fn group(mut self, commands: usize) -> Self {
        self.group = if commands == 0 { 1 } else { commands };
        self
    }

    /// How long to wait for the greeting.
    ///
    /// Default 5 minutes, [RFC 5321 §4.5.3.2.1](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.2.1).
    pub const fn greeting(mut self, time: Duration) -> Self {
        self.greeting = time;
        self
    }

    /// How long to wait for the reply to a command, and for a TLS handshake.
    ///
    /// Default 5 minutes, which [RFC 5321 §4.5.3.2.2](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.2.2) and
    /// §4.5.3.2.3 give for MAIL and RCPT.
    pub const fn command(mut self, time: Duration) -> Self {
        self.command = time;
        self
    }

    /// How long to wait for the reply to DATA.
    ///
    /// Default 2 minutes, [RFC 5321 §4.5.3.2.4](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.2.4).
    pub const fn data_start(mut self, time: Duration) -> Self {
        self.data_start = time;
        self
    }

    /// How long a paused message may wait for its next piece to be written.
    ///
    /// Default 3 minutes, [RFC 5321 §4.5.3.2.5](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.2.5). What the driver
    /// writes without pausing is under its own time-out for writes, which may as well be three minutes.
    pub const fn data_block(mut self, time: Duration) -> Self {
        self.data_block = time;
        self
    }

    /// How long to wait for the reply to the end of the message.
    ///
    /// Default 10 minutes, [RFC 5321 §4.5.3.2.6](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.2.6): who gives up
    /// too early sends the message twice.
    pub const fn data_end(mut self, time: Duration) -> Self {
        self.data_end = time;
        self
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        Self {
            reply_line: 12_288,
            reply: 16_384,
            group: 50,
            greeting: minutes(5),
            command: minutes(5),
            data_start: minutes(2),
            data_block: minutes(3),
            data_end: minutes(10),
        }
    }
}
