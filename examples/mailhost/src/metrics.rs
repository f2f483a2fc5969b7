//! What the host counts, and how Prometheus reads it.
//!
//! Each part counts for itself, in a [`Tally`] or a [`Histogram`]; [`render`] asks all of them. A label never holds what a
//! peer has said: its values are keys of ours, replies of ours, or numbers of TLS versions, so there are few of them.
//! `docs/metrics.md` has a table of all.

pub mod history;

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use mailstore::Actor;
use relay_queue::queue::Standing;
use smtp_codec::Reply;
use smtp_codec::reply::Enhanced;

use crate::host::Host;
use crate::listener::{Full, Service};

/// The media type of what [`render`] gives.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counts by a key, of which there are few.
#[derive(Debug)]
pub struct Tally<K>(Mutex<BTreeMap<K, u64>>);

/// How often something took how long.
#[derive(Debug, Default)]
pub struct Histogram {
    /// How many took no longer than each of [`BOUNDS`], and longer than the one before.
    buckets: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    micros: AtomicU64,
}

/// What is counted of sessions, and of the mail that comes in by them.
#[derive(Debug, Default)]
pub struct Counts {
    /// Sessions that go on.
    pub open: Tally<Service>,
    /// Sessions that have begun.
    pub begun: Tally<Service>,
    /// Connections that were over a limit. The listeners count them, once there are any.
    pub refused: OnceLock<Arc<Tally<(Service, Full)>>>,
    /// Handshakes, by the version of TLS.
    pub tls: Tally<&'static str>,
    /// Handshakes that failed.
    pub tls_failures: AtomicU64,
    /// Logins.
    pub logins: Tally<(Service, Outcome)>,
    /// Messages that were accepted.
    pub accepted: Tally<Service>,
    /// Mailboxes here that they were put into.
    pub delivered: AtomicU64,
    /// Recipients elsewhere that they were queued for.
    pub queued: AtomicU64,
    /// What was refused, and with which of our replies.
    pub refusals: Tally<Refusal>,
    /// Sessions that have been given a name.
    named: AtomicU64,
}

/// What has come of a login.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Outcome {
    /// Somebody is in.
    Good,
    /// The name or the password was wrong.
    Bad,
    /// The password was right, but the account is suspended.
    Suspended,
    /// The password was not looked at: too many logins had failed, or it could not be.
    Unavailable,
}

/// What was refused with which reply.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Refusal {
    stage: &'static str,
    code: u16,
    enhanced: Option<(u16, u16)>,
}

/// What an attempt to send mail to another host came to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Tried {
    /// A connection under TLS.
    ConnectedTls,
    /// A connection in the clear.
    ConnectedPlain,
    /// There was none.
    NoConnection,
    /// The host did not want us.
    Unwelcome,
    /// The host has taken a message.
    Taken,
    /// The host has refused a message, for good or for now.
    Refused,
    /// The connection was lost before the end of a message.
    Lost,
    /// The connection was lost behind the end of a message.
    InDoubt,
    /// A message could not be sent as it is, or not be read.
    Unsendable,
}

/// What came of a question to a DNS server.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Asked {
    /// By UDP.
    Udp,
    /// By TCP.
    Tcp,
    /// Something came back.
    Answered,
    /// Nothing came back in time.
    TimedOut,
    /// The server could not be reached.
    Unreachable,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord> Tally<K> {
    /// One more.
    pub fn add(&self, key: K) {
        *self.lock().entry(key).or_default() += 1;
    }

    /// One less.
    pub fn take(&self, key: K) {
        let mut counts = self.lock();
        let count = counts.entry(key).or_default();
        *count = count.saturating_sub(1);
    }

    /// How many.
    pub fn get(&self, key: &K) -> u64 {
        self.lock().get(key).copied().unwrap_or_default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Copy + Ord> Tally<K> {
    /// All counts.
    pub fn all(&self) -> Vec<(K, u64)> {
        self.lock().iter().map(|(key, count)| (*key, *count)).collect()
    }
}

impl Histogram {
    /// It took so long.
    pub fn observe(&self, time: Duration) {
        let seconds = time.as_secs_f64();
        if let Some(at) = BOUNDS.iter().position(|bound| seconds <= *bound) {
            self.buckets[at].fetch_add(1, Ordering::Relaxed);
        }
        self.micros.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }
}

impl Counts {
    /// A number for a session: each is given once.
    pub fn next_session(&self) -> u64 {
        self.named.fetch_add(1, Ordering::Relaxed)
    }

    /// Something was refused with this reply.
    pub fn refuse(&self, stage: &'static str, reply: &Reply) {
        let enhanced = reply.enhanced().map(|Enhanced { subject, detail }| (subject, detail));
        self.refusals.add(Refusal { stage, code: reply.code(), enhanced });
    }
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Good, Self::Bad, Self::Suspended, Self::Unavailable];

    const fn label(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Suspended => "suspended",
            Self::Unavailable => "unavailable",
        }
    }
}

impl Tried {
    const CONNECTIONS: [Self; 4] =
        [Self::ConnectedTls, Self::ConnectedPlain, Self::NoConnection, Self::Unwelcome];
    const MESSAGES: [Self; 5] = [Self::Taken, Self::Refused, Self::Lost, Self::InDoubt, Self::Unsendable];

    const fn label(self) -> &'static str {
        match self {
            Self::ConnectedTls => "tls",
            Self::ConnectedPlain => "plain",
            Self::NoConnection => "failed",
            Self::Unwelcome => "unwelcome",
            Self::Taken => "taken",
            Self::Refused => "refused",
            Self::Lost => "lost",
            Self::InDoubt => "in_doubt",
            Self::Unsendable => "unsendable",
        }
    }
}

impl Asked {
    const QUESTIONS: [Self; 2] = [Self::Udp, Self::Tcp];
    const FAILURES: [Self; 2] = [Self::TimedOut, Self::Unreachable];

    const fn label(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Answered => "answered",
            Self::TimedOut => "timeout",
            Self::Unreachable => "unreachable",
        }
    }
}

impl Refusal {
    /// What was refused: the command or the message.
    pub const fn stage(&self) -> &'static str {
        self.stage
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.enhanced {
            Some((subject, detail)) => write!(f, "{}.{subject}.{detail}", self.code / 100),
            None => write!(f, "{}", self.code),
        }
    }
}

/// Everything, as Prometheus reads it: <https://prometheus.io/docs/instrumenting/exposition_formats/>.
pub async fn render(host: &Host) -> String {
    let mut page = Page::default();
    process(&mut page, host);
    sessions(&mut page, host);
    mail(&mut page, host);
    queue(&mut page, host).await;
    store(&mut page, host).await;
    page.text
}

fn process(page: &mut Page, host: &Host) {
    let start = host.started.as_secs_f64();
    page.family("mailhost_info", Kind::Gauge, "1, with the version of the host as a label.");
    page.sample("mailhost_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    page.one(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the host started, in seconds since the UNIX epoch.",
        start,
    );
    let now = host.store.system().unix_now().as_secs_f64();
    page.one("mailhost_uptime_seconds", Kind::Gauge, "Since when it runs.", (now - start).max(0.0));
    if let Some(octets) = resident() {
        page.one("process_resident_memory_bytes", Kind::Gauge, "Memory that is resident.", octets as f64);
    }
    if let Some(files) = fs::read_dir("/proc/self/fd").ok().map(Iterator::count) {
        // The one it was read through does not count.
        page.one(
            "process_open_fds",
            Kind::Gauge,
            "Files and sockets that are open.",
            files.saturating_sub(1) as f64,
        );
    }
    let name = "mailhost_certificate_expiry_time_seconds";
    page.family(name, Kind::Gauge, "When the certificate of the host ends, in seconds since the UNIX epoch.");
    if let Some(validity) = host.identity.as_ref().and_then(|identity| identity.validity()) {
        page.sample(name, &[], validity.until.unix_timestamp() as f64);
    }
}

fn sessions(page: &mut Page, host: &Host) {
    let counts = &host.counts;
    let by_service = |page: &mut Page, name, kind, help, tally: &Tally<Service>| {
        page.family(name, kind, help);
        for service in Service::ALL {
            page.sample(name, &[("service", service.key())], tally.get(&service) as f64);
        }
    };
    by_service(page, "mailhost_sessions", Kind::Gauge, "Sessions that go on.", &counts.open);
    by_service(page, "mailhost_sessions_total", Kind::Counter, "Sessions that have begun.", &counts.begun);

    let name = "mailhost_connections_refused_total";
    page.family(
        name,
        Kind::Counter,
        "Connections that were over a limit: that of their address, or that of all.",
    );
    for service in Service::ALL {
        for (full, label) in [(Full::Address, "address"), (Full::Total, "total")] {
            let count = counts.refused.get().map_or(0, |refused| refused.get(&(service, full)));
            page.sample(name, &[("service", service.key()), ("limit", label)], count as f64);
        }
    }

    let name = "mailhost_tls_handshakes_total";
    page.family(name, Kind::Counter, "Handshakes of TLS with clients, by the version they came to.");
    for version in TLS {
        page.sample(name, &[("version", version)], counts.tls.get(&version) as f64);
    }
    let failures = counts.tls_failures.load(Ordering::Relaxed) as f64;
    page.one(
        "mailhost_tls_failures_total",
        Kind::Counter,
        "Handshakes of TLS with clients that failed.",
        failures,
    );

    let name = "mailhost_logins_total";
    page.family(name, Kind::Counter, "Logins, by what came of them.");
    for service in Service::ALL.into_iter().filter(|service| *service != Service::Smtp) {
        for outcome in Outcome::ALL {
            let count = counts.logins.get(&(service, outcome)) as f64;
            page.sample(name, &[("service", service.key()), ("outcome", outcome.label())], count);
        }
    }
    let checks = host.authenticator.checks() as f64;
    page.one(
        "mailhost_password_checks_total",
        Kind::Counter,
        "Passwords that were hashed to be compared.",
        checks,
    );
}

fn mail(page: &mut Page, host: &Host) {
    let counts = &host.counts;
    let name = "mailhost_messages_accepted_total";
    page.family(name, Kind::Counter, "Messages that were taken over SMTP.");
    for service in [Service::Smtp, Service::Submission, Service::Submissions] {
        page.sample(name, &[("service", service.key())], counts.accepted.get(&service) as f64);
    }
    let delivered = counts.delivered.load(Ordering::Relaxed) as f64;
    page.one(
        "mailhost_deliveries_total",
        Kind::Counter,
        "Mailboxes here that messages were put into.",
        delivered,
    );
    let queued = counts.queued.load(Ordering::Relaxed) as f64;
    page.one(
        "mailhost_queued_recipients_total",
        Kind::Counter,
        "Recipients elsewhere that messages were queued for.",
        queued,
    );
    let name = "mailhost_refusals_total";
    page.family(
        name,
        Kind::Counter,
        "Senders, recipients and messages that were refused, by the status of our reply.",
    );
    for (refusal, count) in counts.refusals.all() {
        page.sample(name, &[("what", refusal.stage), ("status", &refusal.to_string())], count as f64);
    }
}

async fn queue(page: &mut Page, host: &Host) {
    let relay = &host.relay;
    let now = host.store.system().unix_now();
    let seen = relay.seen().await;
    page.one(
        "mailhost_queue_messages",
        Kind::Gauge,
        "Messages that wait to be sent to other hosts.",
        seen.messages as f64,
    );
    page.one(
        "mailhost_queue_recipients",
        Kind::Gauge,
        "Recipients that they wait for.",
        seen.recipients as f64,
    );
    page.one(
        "mailhost_queue_parked_messages",
        Kind::Gauge,
        "Those of the messages that are not in memory.",
        seen.parked as f64,
    );
    let name = "mailhost_queue_resident_recipients";
    page.family(name, Kind::Gauge, "Recipients of the messages that are in memory, by what they are at.");
    for state in STATES {
        page.sample(name, &[("state", state)], seen.states.get(state).copied().unwrap_or_default() as f64);
    }
    let age = seen.oldest.map_or(0.0, |oldest| now.saturating_sub(oldest).as_secs_f64());
    page.one(
        "mailhost_queue_oldest_age_seconds",
        Kind::Gauge,
        "How long ago the oldest of the messages was accepted.",
        age,
    );
    let reading = if relay.is_read() { 0.0 } else { 1.0 };
    page.one(
        "mailhost_queue_reading",
        Kind::Gauge,
        "1 as long as not all that waits has been read since the start.",
        reading,
    );

    let counters = seen.counters;
    let name = "mailhost_queue_outcomes_total";
    page.family(name, Kind::Counter, "What became of tries, by recipient.");
    for (label, count) in [
        ("delivered", counters.delivered),
        ("deferred", counters.deferred),
        ("failed", counters.failed),
        ("in_doubt", counters.doubtful),
    ] {
        page.sample(name, &[("outcome", label)], count as f64);
    }
    page.one("mailhost_reports_total", Kind::Counter, "Reports to senders.", counters.reports as f64);

    let name = "mailhost_relay_connections_total";
    page.family(name, Kind::Counter, "Connections to other hosts, by what came of them.");
    for tried in Tried::CONNECTIONS {
        page.sample(name, &[("outcome", tried.label())], relay.tried.get(&tried) as f64);
    }
    let name = "mailhost_relay_attempts_total";
    page.family(name, Kind::Counter, "Messages offered to other hosts, by what came of it.");
    for tried in Tried::MESSAGES {
        page.sample(name, &[("outcome", tried.label())], relay.tried.get(&tried) as f64);
    }

    let asked = relay.asked();
    let name = "mailhost_dns_questions_total";
    page.family(name, Kind::Counter, "Questions to DNS servers.");
    for question in Asked::QUESTIONS {
        page.sample(name, &[("transport", question.label())], asked.get(&question) as f64);
    }
    let answers = asked.get(&Asked::Answered) as f64;
    page.one(
        "mailhost_dns_answers_total",
        Kind::Counter,
        "Datagrams and messages that came back from DNS servers.",
        answers,
    );
    let name = "mailhost_dns_failures_total";
    page.family(name, Kind::Counter, "Questions that nothing came back to.");
    for failure in Asked::FAILURES {
        page.sample(name, &[("reason", failure.label())], asked.get(&failure) as f64);
    }
}

async fn store(page: &mut Page, host: &Host) {
    let counters = host.store.counters().await;
    for (name, help, count) in [
        ("mailhost_store_commits_total", "Commits that became durable.", counters.commits),
        ("mailhost_store_batches_total", "Batches that they were written in.", counters.batches),
        ("mailhost_store_syncs_total", "Waits for stable storage.", counters.syncs),
        ("mailhost_store_written_bytes_total", "Octets written into the journal.", counters.octets),
        ("mailhost_store_segments_total", "Segments of the journal that were made.", counters.segments),
        ("mailhost_store_snapshots_total", "Snapshots that were written.", counters.snapshots),
        (
            "mailhost_store_compacted_total",
            "Segments that were copied so that they could be removed.",
            counters.compacted,
        ),
        ("mailhost_store_loads_total", "Mailboxes whose messages were read.", counters.loads),
    ] {
        page.one(name, Kind::Counter, help, count as f64);
    }
    page.histogram(
        "mailhost_store_commit_seconds",
        "How long commits took, waits for others included.",
        host.store.latency(),
    );

    let name = "mailhost_store_batch_commits";
    page.family(name, Kind::Histogram, "How many commits were written and synced together.");
    let (bucket, mut below) = (format!("{name}_bucket"), 0);
    for (power, count) in counters.batch_sizes.iter().enumerate() {
        below += count;
        let last = power + 1 == counters.batch_sizes.len();
        let bound = if last { "+Inf".to_owned() } else { (1_u64 << power).to_string() };
        page.sample(&bucket, &[("le", &bound)], below as f64);
    }
    page.sample(&format!("{name}_sum"), &[], counters.commits as f64);
    page.sample(&format!("{name}_count"), &[], below as f64);

    let mailboxes = host.store.mailboxes(Actor::Host, None).await;
    let messages: u64 = mailboxes.iter().map(|mailbox| mailbox.messages).sum();
    let octets: u64 = mailboxes.iter().map(|mailbox| mailbox.octets).sum();
    page.one("mailhost_accounts", Kind::Gauge, "Accounts.", host.accounts.accounts().len() as f64);
    page.one("mailhost_mailboxes", Kind::Gauge, "Mailboxes of all accounts.", mailboxes.len() as f64);
    page.one("mailhost_mailbox_messages", Kind::Gauge, "Messages in all mailboxes.", messages as f64);
    page.one(
        "mailhost_mailbox_bytes",
        Kind::Gauge,
        "Octets of all messages in all mailboxes.",
        octets as f64,
    );

    if let Some((free, all)) = host.store.system().room(&host.config.data_dir) {
        let reserve = host.config.limits.disk_reserve.octets(all);
        page.one(
            "mailhost_disk_size_bytes",
            Kind::Gauge,
            "The size of the disk that the mail is on.",
            all as f64,
        );
        page.one("mailhost_disk_free_bytes", Kind::Gauge, "What is free on it.", free as f64);
        page.one(
            "mailhost_disk_reserve_bytes",
            Kind::Gauge,
            "What is kept free: below it no mail is taken.",
            reserve as f64,
        );
    }
}

/// What a recipient is at, as a label; nothing of one that is done.
pub(crate) const fn state(standing: &Standing) -> Option<&'static str> {
    match standing {
        Standing::Saving => Some("saving"),
        Standing::Waiting => Some("waiting"),
        Standing::Routing => Some("routing"),
        Standing::Queued { .. } => Some("queued"),
        Standing::Paused { .. } => Some("paused"),
        Standing::Trying { .. } => Some("trying"),
        Standing::Held => Some("held"),
        _ => None,
    }
}

/// What a metric is.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Counter,
    Gauge,
    Histogram,
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    /// What stands above the samples of a metric.
    fn family(&mut self, name: &str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (at, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let _ = write!(self.text, "{}{label}=\"{text}\"", if at == 0 { '{' } else { ',' });
        }
        let end = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{end} {value}");
    }

    /// A metric with one sample.
    fn one(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, Kind::Histogram, help);
        // Read first, so that no bucket says more than the sum of all.
        let mut below = 0;
        let (bucket, counts) = (format!("{name}_bucket"), &histogram.buckets);
        for (bound, count) in BOUNDS.iter().zip(counts) {
            below += count.load(Ordering::Relaxed);
            self.sample(&bucket, &[("le", &bound.to_string())], below as f64);
        }
        let count = histogram.count.load(Ordering::Relaxed).max(below) as f64;
        self.sample(&bucket, &[("le", "+Inf")], count);
        let seconds = Duration::from_micros(histogram.micros.load(Ordering::Relaxed)).as_secs_f64();
        self.sample(&format!("{name}_sum"), &[], seconds);
        self.sample(&format!("{name}_count"), &[], count);
    }
}

fn resident() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Seconds: from a disk that lies about its syncs to one that is about to fail.
const BOUNDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];
/// What a recipient can be at: see [`state`].
const STATES: [&str; 7] = ["saving", "waiting", "routing", "queued", "paused", "trying", "held"];
/// The versions of TLS that the host speaks.
pub(crate) const TLS: [&str; 2] = ["1.2", "1.3"];
