//! Every bound of a queue, as data.

use core::time::Duration;

use crate::error::Invalid;
use crate::schedule::{Schedule, Time, seconds};

/// What a queue needs to know of its host.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) host: Box<str>,
    pub(crate) schedule: Schedule,
    pub(crate) limits: Limits,
}

impl Config {
    /// A host of this name, which stands in its reports: letters, digits, dots and hyphens.
    pub fn new(host: &str) -> Result<Self, Invalid> {
        let good = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'.' | b'-');
        if host.is_empty() || host.len() > 255 || !host.bytes().all(good) {
            return Err(Invalid::Host);
        }
        Ok(Self { host: host.into(), schedule: Schedule::default(), limits: Limits::default() })
    }

    /// Another schedule than the default one.
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Other bounds than the default ones.
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

/// Bounds on what a queue holds, and on what it asks of its driver at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub(crate) resident: (usize, usize),
    pub(crate) recipients: usize,
    pub(crate) transaction: usize,
    pub(crate) attempts: usize,
    pub(crate) window: u32,
    pub(crate) first_window: u32,
    pub(crate) reuse: u32,
    pub(crate) resolves: usize,
    pub(crate) lease: Time,
    pub(crate) resolve: Time,
    pub(crate) patience: Time,
    pub(crate) pause: Time,
    pub(crate) longest_pause: Time,
    pub(crate) grace: Time,
    pub(crate) again: Time,
}

impl Limits {
    /// How many recipients may be queued in all; a message beyond is [refused](crate::error::Refusal::Full). Reports are
    /// taken beyond it.
    ///
    /// Default 1,000,000. Without a bound on the [window](Self::resident) they are all in memory, though no body is: see the
    /// [front page](crate) for the octets.
    pub const fn recipients(mut self, count: usize) -> Self {
        self.recipients = count;
        self
    }

    /// How many messages are in memory whole, and about how many octets they may have; one at least. Of each message beyond,
    /// there is a small entry, and its records are [asked for](crate::Event::Load) when it is due.
    ///
    /// Default no bound: every message is in the window, and no record is asked for. An entry is 32 octets, at most 64 with all
    /// that holds it. What is being accepted, tried or made durable is in memory beyond this bound if need be, and so is one
    /// message that came in when there were octets left; so the window should have room for more messages than there may be
    /// [`attempts`](Self::attempts).
    pub const fn resident(mut self, messages: usize, octets: usize) -> Self {
        self.resident = (if messages == 0 { 1 } else { messages }, if octets == 0 { 1 } else { octets });
        self
    }

    /// The most recipients of one delivery, which is one transaction.
    ///
    /// Default 100, which [RFC 5321 §4.5.3.1.8](https://www.rfc-editor.org/rfc/rfc5321#section-4.5.3.1.8) lets one rely on.
    pub const fn transaction(mut self, recipients: usize) -> Self {
        self.transaction = if recipients == 0 { 1 } else { recipients };
        self
    }

    /// How many attempts, which are connections, may be open in all.
    ///
    /// Default 200.
    pub const fn attempts(mut self, count: usize) -> Self {
        self.attempts = if count == 0 { 1 } else { count };
        self
    }

    /// How many attempts one site may have open: at first, and at most.
    ///
    /// Default 2 and 20, as in Postfix 3 (`initial_destination_concurrency` is 5 there). A delivery that the site answers
    /// adds one, a lost connection halves it, and a site that cannot be reached has one until it can.
    pub const fn window(mut self, first: u32, most: u32) -> Self {
        self.window = if most == 0 { 1 } else { most };
        self.first_window = if first == 0 {
            1
        } else if first > self.window {
            self.window
        } else {
            first
        };
        self
    }

    /// How many deliveries go over one connection.
    ///
    /// Default 100.
    pub const fn reuse(mut self, deliveries: u32) -> Self {
        self.reuse = if deliveries == 0 { 1 } else { deliveries };
        self
    }

    /// How many domains may be asked for at once.
    ///
    /// Default 100.
    pub const fn resolves(mut self, count: usize) -> Self {
        self.resolves = if count == 0 { 1 } else { count };
        self
    }

    /// How long an attempt may take over one delivery before it counts as lost; see [`Queue::renew`](crate::Queue::renew).
    ///
    /// Default 2 hours.
    pub fn lease(mut self, time: Duration) -> Self {
        self.lease = at_least_a_second(time);
        self
    }

    /// How long the driver may take to find the site of a domain.
    ///
    /// Default 10 minutes.
    pub fn resolve(mut self, time: Duration) -> Self {
        self.resolve = at_least_a_second(time);
        self
    }

    /// How long what is due waits for a connection that is already open, rather than have another one.
    ///
    /// Default 30 seconds. It does not wait when there are more than four messages for each open connection.
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = seconds(time);
        self
    }

    /// How long a site that cannot be reached is left alone: at first, doubling, and at most.
    ///
    /// Default 1 minute and 30 minutes.
    pub fn pause(mut self, first: Duration, most: Duration) -> Self {
        self.pause = at_least_a_second(first);
        self.longest_pause = at_least_a_second(most).max(self.pause);
        self
    }

    /// How long after its expiry a message that is due may wait for its last attempt. Then it is given up without.
    ///
    /// Default 2 hours. It counts only while the queue is running.
    pub fn grace(mut self, time: Duration) -> Self {
        self.grace = at_least_a_second(time);
        self
    }

    /// How long after a [failed commit](crate::Queue::handle_failed) the same is asked for again.
    ///
    /// Default 1 minute.
    pub fn again(mut self, time: Duration) -> Self {
        self.again = at_least_a_second(time);
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            resident: (usize::MAX, usize::MAX),
            recipients: 1_000_000,
            transaction: 100,
            attempts: 200,
            window: 20,
            first_window: 2,
            reuse: 100,
            resolves: 100,
            lease: 7_200,
            resolve: 600,
            patience: 30,
            pause: 60,
            longest_pause: 1_800,
            grace: 7_200,
            again: 60,
        }
    }
}

fn at_least_a_second(time: Duration) -> Time {
    seconds(time).max(1)
}
