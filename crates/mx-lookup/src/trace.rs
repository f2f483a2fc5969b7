//! What led to a plan, step by step, for the operator who asks why.

use core::fmt;
use core::net::{IpAddr, SocketAddr};
use core::time::Duration;
use std::sync::Arc;

use crate::error::{DomainError, Failure};
use crate::query::Transport;
use crate::special::Special;

/// What led to a plan: the answers, and what was made of them. One line a step when displayed.
///
/// It is bounded: what comes after 250 steps is counted, and not kept.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    steps: Vec<Arc<Step>>,
    omitted: usize,
}

impl Trace {
    /// The steps in their order.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = &Step> {
        self.steps.iter().map(|step| &**step)
    }

    /// How many steps were too many to keep.
    pub const fn omitted(&self) -> usize {
        self.omitted
    }

    pub(crate) fn push(&mut self, step: &Arc<Step>) {
        if self.steps.len() < STEPS {
            self.steps.push(Arc::clone(step));
        } else {
            self.omitted += 1;
        }
    }

    pub(crate) fn note(&mut self, at: Duration, subject: &str, finding: Finding) {
        let question = Arc::from(subject);
        self.push(&Arc::new(Step { at, question, source: Source::Local, finding, ttl: None }));
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(out, "{step}")?;
        }
        if self.omitted > 0 {
            writeln!(out, "and {} more steps", self.omitted)?;
        }
        Ok(())
    }
}

/// One step on the way to a plan.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Step {
    /// When it was, on the scale of `now`.
    pub at: Duration,
    /// What was asked, as in `example.org MX`; or the name of the host that it is about.
    pub question: Arc<str>,
    /// Who answered.
    pub source: Source,
    /// What came of it.
    pub finding: Finding,
    /// How long that holds, from `at` on.
    pub ttl: Option<Duration>,
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.question)?;
        match self.source {
            Source::Server(server, transport) => write!(out, " @{server} {transport}: ")?,
            Source::Cache => out.write_str(" (cached): ")?,
            Source::Local => out.write_str(": ")?,
        }
        self.finding.fmt(out)?;
        match self.ttl {
            Some(ttl) => write!(out, " [{} s]", ttl.as_secs()),
            None => Ok(()),
        }
    }
}

/// Where an answer came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Source {
    /// From this server.
    Server(SocketAddr, Transport),
    /// From the cache.
    Cache,
    /// From no server: a rule has been applied.
    Local,
}

/// What came of a step.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Finding {
    /// Records, in the form of a zone file; of many only the first, and a count.
    Records(String),
    /// The name is an alias for another, of which nothing is known yet.
    Alias(String),
    /// There is no such record.
    NoData,
    /// There is no such name (NXDOMAIN).
    NoSuchName,
    /// The server has failed, or the question as a whole.
    Failed(Failure),
    /// The answer was cut off; the question is asked again by TCP.
    Truncated,
    /// The answer did not repeat the letters of the question as they were; the question is asked again by TCP.
    CaseLost,
    /// Too many datagrams that were no answers; the question is asked again by TCP.
    Strays,
    /// The answer could not be read; the question is asked again by TCP.
    Unreadable,
    /// The server does not know EDNS; the question is asked again without it.
    NoEdns,
    /// This host is our own: it and all that are less preferred are left out.
    OurOwn,
    /// This host is left out for its name.
    BadName(DomainError),
    /// This host is left out, since its name stands for nothing on the Internet.
    SpecialName,
    /// This address is left out.
    SpecialAddress(IpAddr, Special),
    /// This host is left out, since there are enough addresses.
    Enough,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records(records) => out.write_str(records),
            Self::Alias(name) => write!(out, "CNAME {name}"),
            Self::NoData => out.write_str("no such record"),
            Self::NoSuchName => out.write_str("no such name"),
            Self::Failed(failure) => failure.fmt(out),
            Self::Truncated => out.write_str("truncated, asking by TCP"),
            Self::CaseLost => out.write_str("letters of the question changed, asking by TCP"),
            Self::Strays => out.write_str("too many wrong answers, asking by TCP"),
            Self::Unreadable => out.write_str("unreadable, asking by TCP"),
            Self::NoEdns => out.write_str("no EDNS, asking without"),
            Self::OurOwn => out.write_str("our own host, left out with all that are less preferred"),
            Self::BadName(error) => write!(out, "no host name, left out ({error})"),
            Self::SpecialName => out.write_str("special-use name, left out"),
            Self::SpecialAddress(address, kind) => {
                write!(out, "{} address {address}, left out", kind.as_str())
            }
            Self::Enough => out.write_str("not looked up, enough addresses"),
        }
    }
}

/// A lookup has up to 100 queries, and for each host its part of the cache and of the rules.
const STEPS: usize = 250;
