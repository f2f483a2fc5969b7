//! Every bound, lifetime and time-out, as data.

use core::time::Duration;

/// Bounds on what a lookup may cost, and how long answers are kept.
///
/// What a [`Resolver`](crate::Resolver) holds is its cache ([`Limits::cache`]), and per lookup that is under way the hosts, the
/// addresses and the trace of that lookup: a few KiB, and with the defaults at most about 1 MiB, for a domain with 100 hosts that
/// all have long names, aliases and 100 addresses.
#[derive(Clone, Debug)]
pub struct Limits {
    pub(crate) records: usize,
    pub(crate) addresses: usize,
    pub(crate) host_addresses: usize,
    pub(crate) queries: u32,
    pub(crate) aliases: usize,
    pub(crate) parallel: usize,
    pub(crate) in_flight: usize,
    pub(crate) lookup_time: Duration,
    pub(crate) try_time: Duration,
    pub(crate) try_time_most: Duration,
    pub(crate) tries: u32,
    pub(crate) strays: u32,
    pub(crate) payload: u16,
    pub(crate) cache: usize,
    pub(crate) positive_ttl: (Duration, Duration),
    pub(crate) negative_ttl: (Duration, Duration),
    pub(crate) failure_ttl: (Duration, Duration),
}

impl Limits {
    /// How many records of one answer are used. Of more MX records, the most preferred ones.
    ///
    /// Default 100, as in Postfix 3.9. At most about 300 octets of memory each. Zero stands for one.
    pub const fn records(mut self, count: usize) -> Self {
        self.records = if count == 0 { 1 } else { count };
        self
    }

    /// How many addresses a plan holds, of all hosts together. Hosts that would come behind them are not looked up.
    ///
    /// Default 20. [RFC 5321 §5.1](https://www.rfc-editor.org/rfc/rfc5321#section-5.1) allows a limit and asks for at
    /// least two tries; less than two stands for two.
    pub const fn addresses(mut self, count: usize) -> Self {
        self.addresses = if count < 2 { 2 } else { count };
        self
    }

    /// How many addresses of one host a plan holds, so that one host with many does not crowd out the others.
    ///
    /// Default 10. Zero stands for one.
    pub const fn host_addresses(mut self, count: usize) -> Self {
        self.host_addresses = if count == 0 { 1 } else { count };
        self
    }

    /// How many queries one lookup may cause, or share with others. Then it plans with what it has.
    ///
    /// Default 100. The worst that can be asked of servers for one message; a usual lookup costs three to nine. Less than
    /// three stands for three.
    pub const fn queries(mut self, count: u32) -> Self {
        self.queries = if count < 3 { 3 } else { count };
        self
    }

    /// How long a chain of CNAME records may be.
    ///
    /// Default 8. [RFC 1034 §3.6.2](https://www.rfc-editor.org/rfc/rfc1034#section-3.6.2) wants chains followed and names
    /// no limit; BIND stops at 16, Unbound at 11.
    pub const fn aliases(mut self, count: usize) -> Self {
        self.aliases = count;
        self
    }

    /// Of how many hosts the addresses are asked for at the same time, within one lookup.
    ///
    /// Default 4. Zero stands for one.
    pub const fn parallel(mut self, hosts: usize) -> Self {
        self.parallel = if hosts == 0 { 1 } else { hosts };
        self
    }

    /// How many queries may be with the driver at the same time, and so about how many sockets it needs. Others wait.
    ///
    /// Default 256. Zero stands for one.
    pub const fn in_flight(mut self, count: usize) -> Self {
        self.in_flight = if count == 0 { 1 } else { count };
        self
    }

    /// How long one lookup may take. Then it plans with what it has.
    ///
    /// Default 30 seconds.
    pub const fn lookup_time(mut self, time: Duration) -> Self {
        self.lookup_time = time;
        self
    }

    /// How long the first query for a question waits for its answer. Each further one waits twice as long, up to `most`.
    ///
    /// Default 2 seconds, and 8 at most.
    pub const fn try_time(mut self, first: Duration, most: Duration) -> Self {
        self.try_time = first;
        self.try_time_most = most;
        self
    }

    /// How many servers are asked for one question before it has failed, the same one again included. Asking once more by
    /// TCP or without EDNS does not count. While a failure is remembered, only one is asked.
    ///
    /// Default 3, which is as often as [RFC 9520 §3.1](https://www.rfc-editor.org/rfc/rfc9520#section-3.1) allows to ask
    /// one server. Zero stands for one.
    pub const fn tries(mut self, count: u32) -> Self {
        self.tries = if count == 0 { 1 } else { count };
        self
    }

    /// After how many datagrams that are no answer a query goes on by TCP, where a forger does not get in.
    ///
    /// Default 16. [RFC 5452 §9.3](https://www.rfc-editor.org/rfc/rfc5452#section-9.3). Zero stands for one.
    pub const fn strays(mut self, count: u32) -> Self {
        self.strays = if count == 0 { 1 } else { count };
        self
    }

    /// How large a datagram the servers may answer with.
    ///
    /// Default 1,232 octets, which pass nearly everywhere without fragments.
    /// [RFC 6891 §6.2.3](https://www.rfc-editor.org/rfc/rfc6891#section-6.2.3): less than 512 stands for 512.
    pub const fn payload(mut self, octets: u16) -> Self {
        self.payload = if octets < 512 { 512 } else { octets };
        self
    }

    /// How many octets the cache takes, names and bookkeeping included. What would expire first goes first.
    ///
    /// Default 16 MiB, at least 64 KiB.
    pub const fn cache(mut self, octets: usize) -> Self {
        self.cache = if octets < 65_536 { 65_536 } else { octets };
        self
    }

    /// How long records are kept: their TTL, but no shorter and no longer than this.
    ///
    /// Default 5 seconds to 1 day. The shortest is at least one second, or the answer would be gone before it is used.
    pub const fn positive_ttl(mut self, shortest: Duration, longest: Duration) -> Self {
        self.positive_ttl = range(shortest, longest);
        self
    }

    /// How long it is kept that there is no such name or no such record: as long as the SOA record says
    /// ([RFC 2308 §5](https://www.rfc-editor.org/rfc/rfc2308#section-5)), but no shorter and no longer than this.
    ///
    /// Default 5 seconds to 1 hour.
    pub const fn negative_ttl(mut self, shortest: Duration, longest: Duration) -> Self {
        self.negative_ttl = range(shortest, longest);
        self
    }

    /// How long it is kept that no server had an answer: at first this long, then twice as long each time, up to `most`.
    /// Meanwhile nobody is asked.
    ///
    /// Default 2 minutes, and 5 at most. [RFC 9520 §3.2](https://www.rfc-editor.org/rfc/rfc9520#section-3.2): never below
    /// one second and never above 5 minutes, whatever is set here.
    pub const fn failure_ttl(mut self, first: Duration, most: Duration) -> Self {
        let five_minutes = Duration::from_secs(300);
        let (first, most) = range(first, most);
        self.failure_ttl = (least(first, five_minutes), least(most, five_minutes));
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            records: 100,
            addresses: 20,
            host_addresses: 10,
            queries: 100,
            aliases: 8,
            parallel: 4,
            in_flight: 256,
            lookup_time: seconds(30),
            try_time: seconds(2),
            try_time_most: seconds(8),
            tries: 3,
            strays: 16,
            payload: 1_232,
            cache: 16 << 20,
            positive_ttl: (seconds(5), seconds(86_400)),
            negative_ttl: (seconds(5), seconds(3_600)),
            failure_ttl: (seconds(120), seconds(300)),
        }
    }
}

/// At least one second, and the longest no shorter than the shortest.
const fn range(shortest: Duration, longest: Duration) -> (Duration, Duration) {
    let second = Duration::from_secs(1);
    let shortest = if shortest.as_nanos() < second.as_nanos() { second } else { shortest };
    (shortest, if longest.as_nanos() < shortest.as_nanos() { shortest } else { longest })
}

const fn least(one: Duration, other: Duration) -> Duration {
    if one.as_nanos() < other.as_nanos() { one } else { other }
}
