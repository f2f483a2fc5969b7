//! Every bound and every time-out of a session, as data.

use core::time::Duration;

/// Bounds on what a client may send to a server session, and how long it may take.
///
/// A session holds no input of its own: a command stays in the caller's buffer until it is whole. Before a login that is
/// never more than [`Limits::early_command`] octets, 20 KiB, with three quarters of an AUTHENTICATE line more while its
/// event lives: below 32 KiB in all. After a login it is [`Limits::line`] and [`Limits::literals`], 192 KiB. The payload
/// of APPEND goes through in slices of the caller's buffer. What the session itself keeps is a tag of 128 octets.
#[derive(Clone, Debug)]
pub struct Limits {
    pub(crate) line: usize,
    pub(crate) literals: usize,
    pub(crate) early_command: usize,
    pub(crate) append: u64,
    pub(crate) discard: u64,
    pub(crate) errors: u32,
    pub(crate) login_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    pub(crate) append_timeout: Duration,
}

impl Limits {
    /// The longest sum of the lines of a command in octets, literals apart and CRLFs included, after a login; a longer
    /// command is swallowed and answered BAD.
    ///
    /// Default 65,536, as in Dovecot. [RFC 9051 §4](https://www.rfc-editor.org/rfc/rfc9051#section-4) has no minimum;
    /// [RFC 7162 §4](https://www.rfc-editor.org/rfc/rfc7162#section-4) asks for 8,192.
    pub const fn line(mut self, octets: usize) -> Self {
        self.line = if octets < 1_024 { 1_024 } else { octets };
        self
    }

    /// The largest sum of the literals of a command in octets, the payload of APPEND apart, after a login.
    ///
    /// Default 131,072, as in Cyrus.
    pub const fn literals(mut self, octets: usize) -> Self {
        self.literals = octets;
        self
    }

    /// The longest command before a login in octets, its literals included. As many stay in the caller's buffer.
    ///
    /// Default 18,432: some mechanisms send tickets of 12,288 octets and more. Together with its decoded response, such a
    /// command stays below 32 KiB.
    pub const fn early_command(mut self, octets: usize) -> Self {
        self.early_command = if octets < 1_024 { 1_024 } else { octets };
        self
    }

    /// The largest payload of APPEND in octets. A larger one is refused with TOOBIG, before it is sent if it waits.
    ///
    /// Default 52,428,800 (50 MiB). It costs no memory here.
    pub const fn append(mut self, octets: u64) -> Self {
        self.append = octets;
        self
    }

    /// How many octets of a literal that is refused, and does not wait, are read and dropped. With more the session ends,
    /// as [RFC 7888 §4](https://www.rfc-editor.org/rfc/rfc7888#section-4) lets it. Before a login none are.
    ///
    /// Default 67,108,864 (64 MiB).
    pub const fn discard(mut self, octets: u64) -> Self {
        self.discard = octets;
        self
    }

    /// How many commands in a row that are answered BAD, or are logins that are refused, end the session.
    ///
    /// Default 20.
    pub const fn errors(mut self, count: u32) -> Self {
        self.errors = count;
        self
    }

    /// How long the client may take for a whole command before a login, a TLS handshake included.
    ///
    /// Default 1 minute. The autologout of [RFC 9051 §5.4](https://www.rfc-editor.org/rfc/rfc9051#section-5.4) need not
    /// be as long before a login.
    pub const fn login_timeout(mut self, time: Duration) -> Self {
        self.login_timeout = time;
        self
    }

    /// How long the client may be silent after a login, in IDLE too.
    ///
    /// Default 30 minutes, the least that [RFC 9051 §5.4](https://www.rfc-editor.org/rfc/rfc9051#section-5.4) allows.
    /// It runs from the last answer, so a slow drip does not extend it.
    pub const fn idle_timeout(mut self, time: Duration) -> Self {
        self.idle_timeout = time;
        self
    }

    /// How long the client may pause within the payload of APPEND.
    ///
    /// Default 5 minutes.
    pub const fn append_timeout(mut self, time: Duration) -> Self {
        self.append_timeout = time;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            line: 65_536,
            literals: 131_072,
            early_command: 18_432,
            append: 50 << 20,
            discard: 64 << 20,
            errors: 20,
            login_timeout: Duration::from_secs(60),
            idle_timeout: Duration::from_secs(30 * 60),
            append_timeout: Duration::from_secs(5 * 60),
        }
    }
}

/// Bounds on what a server may send to a client session, and how long it may take.
///
/// A session holds no input of its own: a response stays in the caller's buffer until it is whole, and never more than
/// [`ClientLimits::line`] and [`ClientLimits::literals`] octets of it. A literal of FETCH that does not fit goes through in
/// slices of the caller's buffer. What a response of as many octets is taken apart into while its event lives takes up to
/// some forty times as many: lists of the smallest parts and addresses, each of which becomes a value with all its fields.
#[derive(Clone, Debug)]
pub struct ClientLimits {
    pub(crate) line: usize,
    pub(crate) literals: usize,
    pub(crate) queue: usize,
    pub(crate) greeting: Duration,
    pub(crate) response: Duration,
    pub(crate) idle: Duration,
}

impl ClientLimits {
    /// The longest sum of the lines of a response in octets, literals apart; a longer one is swallowed and
    /// [told](crate::client::Event::Skipped).
    ///
    /// Default 1,048,576: the result of a SEARCH without ESEARCH may be as long.
    pub const fn line(mut self, octets: usize) -> Self {
        self.line = if octets < 1_024 { 1_024 } else { octets };
        self
    }

    /// The largest sum of the literals of a response in octets, those apart that are streamed.
    ///
    /// Default 65,536.
    pub const fn literals(mut self, octets: usize) -> Self {
        self.literals = octets;
        self
    }

    /// How many commands may be on their way at once.
    ///
    /// Default 16. As many tags and kinds are kept, a few octets each.
    pub const fn queue(mut self, commands: usize) -> Self {
        self.queue = if commands == 0 { 1 } else { commands };
        self
    }

    /// How long to wait for the greeting.
    ///
    /// Default 1 minute.
    pub const fn greeting(mut self, time: Duration) -> Self {
        self.greeting = time;
        self
    }

    /// How long to wait for the next response while a command is in progress, and for TLS.
    ///
    /// Default 5 minutes.
    pub const fn response(mut self, time: Duration) -> Self {
        self.response = time;
        self
    }

    /// How long to stay in IDLE before the session leaves it by itself; the caller may then send it again.
    ///
    /// Default 28 minutes: [RFC 2177 §3](https://www.rfc-editor.org/rfc/rfc2177#section-3) advises less than 29.
    pub const fn idle(mut self, time: Duration) -> Self {
        self.idle = time;
        self
    }
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            line: 1 << 20,
            literals: 65_536,
            queue: 16,
            greeting: Duration::from_secs(60),
            response: Duration::from_secs(5 * 60),
            idle: Duration::from_secs(28 * 60),
        }
    }
}
