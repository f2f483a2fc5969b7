//! One lookup: what it still has to know, and what it plans.
//!
//! ```text
//!            literal, or no domain ───────────────────────────────┐
//!                                                                 ▼
//!  domain ──▶ MX ──▶ MX records ──▶ cut at our own host ──▶ A and AAAA of each host ──▶ Plan
//!              │                                             ▲
//!              ├──▶ no such record: the domain is the host ──┘
//!              └──▶ no such name, or failed ─────────────────────────────────────────────▲
//! ```
//!
//! It asks nobody. [`Lookup::step`] looks into the cache, and says which questions it wants answered there.

mod chase;
mod hosts;

use core::time::Duration;

use self::chase::{Chase, Outcome};
use self::hosts::Hosts;
use crate::answer::Data;
use crate::cache::Cache;
use crate::config::Config;
use crate::domain::{host_name_of, wire_name};
use crate::error::Failure;
use crate::query::{Key, Kind};
use crate::random::Random;
use crate::route::{NoMail, Plan, Site};
use crate::special::special_name;
use crate::trace::{Finding, Trace};

#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) domain: String,
    pub(crate) deadline: Duration,
    /// How many queries have been sent for it.
    pub(crate) queries: u32,
    pub(crate) trace: Trace,
    mx: Chase,
    hosts: Option<Hosts>,
}

/// What there is to look into.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) now: Duration,
    pub(crate) config: &'a Config,
    pub(crate) cache: &'a Cache,
    pub(crate) random: &'a mut Random,
    /// Nothing more will be asked: what is not known has failed.
    pub(crate) give_up: bool,
}

impl Lookup {
    pub(crate) fn new(domain: String, deadline: Duration) -> Self {
        let mx = Chase::new(wire_name(&domain), Kind::Mx);
        Self { domain, deadline, queries: 0, trace: Trace::default(), mx, hosts: None }
    }

    /// Goes as far as the cache leads: a plan, or the questions that it waits for.
    pub(crate) fn step(&mut self, context: &mut Context<'_>) -> Result<Plan, Vec<Key>> {
        let mut wanted = Vec::new();
        if self.hosts.is_none() {
            let Some(outcome) = self.mx.step(context, &mut self.trace, &mut wanted) else {
                return Err(wanted);
            };
            match self.choose(outcome, context) {
                Ok(hosts) => self.hosts = Some(hosts),
                Err(plan) => return Ok(plan),
            }
        }
        let hosts = self.hosts.as_mut().expect("has been set above");
        if hosts.step(context, &mut self.trace, &mut wanted) {
            Ok(hosts.plan(&self.domain, context, &mut self.trace))
        } else {
            Err(wanted)
        }
    }

    /// From the MX records to the hosts whose addresses are wanted.
    fn choose(&mut self, outcome: Outcome, context: &mut Context<'_>) -> Result<Hosts, Plan> {
        let expires = outcome.expires;
        let authenticated = outcome.authenticated;
        let records = match outcome.data {
            Err(failure) => return Err(Plan::defer(&self.domain, failure, expires)),
            Ok(Data::NoSuchName) => return Err(Plan::no_such_domain(&self.domain, expires)),
            Ok(Data::Mx(records)) => records,
            // RFC 5321 §5.1: the implicit MX, with a preference of 0, and only if there are no MX records.
            Ok(_) => vec![(0, outcome.name)],
        };
        // RFC 7505 §3: no host. Among others it is no host either, and the others count.
        // Deviates from RFC 7505 §3: also with another preference than 0, since it can mean nothing else.
        let mut records = records;
        records.retain(|(_, name)| !name.is_root());
        if records.is_empty() {
            return Err(Plan::null_mx(&self.domain, expires));
        }
        // Once by its best preference, if it is there twice.
        let mut seen = std::collections::BTreeSet::new();
        records.retain(|(_, name)| seen.insert(name.clone()));
        let mut named: Vec<_> =
            records.into_iter().map(|(preference, name)| (preference, host_name_of(&name), name)).collect();
        // RFC 5321 §5.1: our own host, and all at its preference and beyond.
        let own = named.iter().find_map(|(preference, name, _)| match name {
            Ok(name) if context.config.own_hosts.contains(name) => Some((*preference, name.clone())),
            _ => None,
        });
        if let Some((cut, name)) = own {
            self.trace.note(context.now, &name, Finding::OurOwn);
            named.retain(|(preference, ..)| *preference < cut);
            if named.is_empty() {
                return Err(Plan::no_mail(&self.domain, NoMail::Loop, expires));
            }
        }
        let mut hosts = Vec::new();
        for (preference, host, name) in named {
            match host {
                Err(error) => {
                    self.trace.note(context.now, &crate::domain::show(&name), Finding::BadName(error))
                }
                Ok(host) if !context.config.allow_private_addresses && special_name(&host) => {
                    self.trace.note(context.now, &host, Finding::SpecialName);
                }
                Ok(host) => hosts.push((preference, host, name)),
            }
        }
        if hosts.is_empty() {
            return Err(Plan::no_mail(&self.domain, NoMail::NoUsableHost, expires));
        }
        let site = Site::of(hosts.iter().map(|(preference, host, _)| (*preference, host.as_str())));
        // RFC 5321 §5.1: at random among those of one preference.
        for equals in hosts.chunk_by_mut(|one, other| one.0 == other.0) {
            context.random.shuffle(equals);
        }
        Ok(Hosts::new(hosts, site, authenticated, expires))
    }
}

/// Why a lookup ends that has used up what it may use.
const GIVEN_UP: Failure = Failure::Budget;
