//! Who said what, when: every event of every host becomes a line, its hash is the fingerprint of the run, and the
//! invariants look at it.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_core::span::Current;

use crate::invariants::Oracle;
use crate::network::lock;

/// The trace of a run. It lives on one thread.
#[derive(Clone)]
pub struct Trace(Arc<Shared>);

struct Shared {
    log: Mutex<Log>,
    oracle: Arc<Mutex<Oracle>>,
    /// How many lines are kept; all of them take part in the fingerprint.
    kept: usize,
    next: AtomicU64,
}

struct Log {
    start: Instant,
    hash: u64,
    count: u64,
    lines: VecDeque<String>,
    spans: Vec<(&'static Metadata<'static>, String)>,
    entered: Vec<Id>,
}

/// An event as it was said.
#[derive(Debug, Default)]
pub struct Said {
    /// Its sentence.
    pub message: String,
    /// Its fields.
    pub fields: Vec<(&'static str, String)>,
}

impl Said {
    /// A field.
    pub fn get(&self, name: &str) -> &str {
        self.fields.iter().find(|(field, _)| *field == name).map_or("", |(_, value)| value)
    }
}

impl Trace {
    /// A trace that begins now.
    pub fn new(start: Instant, kept: usize, oracle: Arc<Mutex<Oracle>>) -> Self {
        let log = Log {
            start,
            hash: 0xcbf2_9ce4_8422_2325,
            count: 0,
            lines: VecDeque::new(),
            spans: Vec::new(),
            entered: Vec::new(),
        };
        Self(Arc::new(Shared { log: Mutex::new(log), oracle, kept, next: AtomicU64::new(1) }))
    }

    /// The fingerprint, and how many lines it was made of.
    pub fn fingerprint(&self) -> (u64, u64) {
        let log = lock(&self.0.log);
        (log.hash, log.count)
    }

    /// The last lines.
    pub fn lines(&self) -> Vec<String> {
        lock(&self.0.log).lines.iter().cloned().collect()
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

impl Subscriber for Trace {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let target = metadata.target();
        // The spans of a host's sessions say nothing that its events do not.
        (target.starts_with("mailhost") && metadata.is_event()) || target.starts_with("simulator")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut name = Name(String::new());
        attributes.record(&mut name);
        lock(&self.0.log).spans.push((attributes.metadata(), name.0));
        Id::from_u64(self.0.next.fetch_add(1, Ordering::Relaxed))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut Fields(&mut said));
        let log = &mut *lock(&self.0.log);
        let host = log.entered.last().map_or("", |id| log.spans[index(id)].1.as_str());
        let at = log.start.elapsed();
        let (seconds, millis) = (at.as_secs(), at.subsec_millis());
        let (hours, minutes, rest) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let mut line = format!("{hours:03}:{minutes:02}:{rest:02}.{millis:03} {host:8} {}", said.message);
        for (name, value) in &said.fields {
            let _ = write!(line, " {name}={value}");
        }
        for octet in line.bytes() {
            log.hash = (log.hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        log.count += 1;
        lock(&self.0.oracle).observe(at, host, &said);
        if self.0.kept > 0 {
            if log.lines.len() == self.0.kept {
                log.lines.pop_front();
            }
            log.lines.push_back(line);
        }
    }

    fn enter(&self, span: &Id) {
        lock(&self.0.log).entered.push(span.clone());
    }

    fn exit(&self, _: &Id) {
        lock(&self.0.log).entered.pop();
    }

    fn current_span(&self) -> Current {
        let log = lock(&self.0.log);
        match log.entered.last() {
            Some(id) => Current::new(id.clone(), log.spans[index(id)].0),
            None => Current::none(),
        }
    }
}

fn index(id: &Id) -> usize {
    usize::try_from(id.into_u64() - 1).unwrap_or(0)
}

/// The field of a span that names its host.
struct Name(String);

impl Visit for Name {
    fn record_str(&mut self, _: &Field, value: &str) {
        value.clone_into(&mut self.0);
    }

    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        self.0 = format!("{value:?}");
    }
}

struct Fields<'s>(&'s mut Said);

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.fields.push((field.name(), value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0.message = format!("{value:?}");
        } else {
            self.0.fields.push((field.name(), format!("{value:?}")));
        }
    }
}
