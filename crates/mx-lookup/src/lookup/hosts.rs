//! The addresses of the hosts of one lookup.

use core::net::IpAddr;
use core::time::Duration;

use hickory_proto::rr::Name;

use super::Context;
use super::chase::{Chase, Outcome};
use crate::answer::Data;
use crate::domain::host_name_of;
use crate::error::Failure;
use crate::query::{Key, Kind};
use crate::route::{Host, NoMail, Plan, Site};
use crate::trace::{Finding, Trace};

/// The hosts in the order in which they are to be tried.
#[derive(Debug)]
pub(crate) struct Hosts {
    hosts: Vec<Candidate>,
    site: Site,
    authenticated: bool,
    expires: Duration,
}

#[derive(Debug)]
struct Candidate {
    name: String,
    preference: u16,
    v4: Family,
    v6: Family,
}

#[derive(Debug)]
enum Family {
    Asking(Chase),
    Settled(Outcome),
}

impl Hosts {
    pub(crate) fn new(
        hosts: Vec<(u16, String, Name)>,
        site: Site,
        authenticated: bool,
        expires: Duration,
    ) -> Self {
        let candidate = |(preference, name, wire): (u16, String, Name)| Candidate {
            name,
            preference,
            v4: Family::Asking(Chase::new(wire.clone(), Kind::A)),
            v6: Family::Asking(Chase::new(wire, Kind::Aaaa)),
        };
        Self { hosts: hosts.into_iter().map(candidate).collect(), site, authenticated, expires }
    }

    /// Whether enough is known for a plan.
    pub(crate) fn step(&mut self, context: &Context<'_>, trace: &mut Trace, wanted: &mut Vec<Key>) -> bool {
        let limits = &context.config.limits;
        let (mut addresses, mut asking) = (0, 0);
        for host in &mut self.hosts {
            if addresses >= limits.addresses {
                break;
            }
            if asking == limits.parallel {
                return false;
            }
            // Both, even if the first one waits.
            host.v6.step(context, trace, wanted);
            host.v4.step(context, trace, wanted);
            match (&host.v6, &host.v4) {
                (Family::Settled(v6), Family::Settled(v4)) => {
                    let usable = |address: &IpAddr| context.config.refuses(*address).is_none();
                    let count =
                        [v6, v4].iter().flat_map(|family| family.addresses()).filter(|it| usable(it)).count();
                    addresses += count.min(limits.host_addresses);
                }
                _ => asking += 1,
            }
        }
        asking == 0
    }

    /// The plan, from what is known by now.
    pub(crate) fn plan(&self, domain: &str, context: &mut Context<'_>, trace: &mut Trace) -> Plan {
        let limits = &context.config.limits;
        let (mut hosts, mut left) = (Vec::new(), limits.addresses);
        let (mut expires, mut failed, mut special) = (self.expires, None::<(Failure, Duration)>, false);
        let own = self.hosts.iter().filter(|host| host.is_own(context)).map(|host| host.preference).min();
        for host in &self.hosts {
            if own.is_some_and(|own| own <= host.preference) {
                if host.is_own(context) {
                    trace.note(context.now, &host.name, Finding::OurOwn);
                }
                continue;
            }
            if left == 0 {
                trace.note(context.now, &host.name, Finding::Enough);
                continue;
            }
            let mut families = [Vec::new(), Vec::new()];
            let mut authenticated = true;
            for (family, addresses) in [&host.v6, &host.v4].into_iter().zip(&mut families) {
                let Family::Settled(outcome) = family else { continue };
                expires = expires.min(outcome.expires);
                if let Err(failure) = outcome.data {
                    // The first one is the reason, for it is about the best host, and the budget is spent last.
                    let (first, until) = failed.unwrap_or((failure, outcome.expires));
                    failed = Some((first, until.min(outcome.expires)));
                }
                for address in outcome.addresses() {
                    match context.config.refuses(*address) {
                        None => addresses.push(*address),
                        Some(kind) => {
                            special = true;
                            trace.note(context.now, &host.name, Finding::SpecialAddress(*address, kind));
                        }
                    }
                }
                if !addresses.is_empty() {
                    authenticated &= outcome.authenticated;
                }
                context.random.shuffle(addresses);
            }
            let addresses = by_turns(families, left.min(limits.host_addresses));
            left -= addresses.len();
            if !addresses.is_empty() {
                let (name, preference) = (host.name.clone(), host.preference);
                hosts.push(Host { name, preference, addresses, authenticated });
            }
        }
        // Of what the plan was made of, something may be over by now; whoever got it may still use it.
        let expires = expires.max(context.now + limits.positive_ttl.0);
        if !hosts.is_empty() {
            let (site, authenticated) = (self.site.clone(), self.authenticated);
            return Plan::Deliver { hosts, site, authenticated, expires };
        }
        match failed {
            Some((failure, until)) => {
                Plan::defer(domain, failure, until.max(context.now + limits.positive_ttl.0))
            }
            None if own.is_some() => Plan::no_mail(domain, NoMail::Loop, expires),
            None if special => Plan::no_mail(domain, NoMail::SpecialAddress, expires),
            None => Plan::no_mail(domain, NoMail::NoAddress, expires),
        }
    }
}

impl Candidate {
    /// RFC 5321 §5.1: the names or addresses by which we might be known.
    fn is_own(&self, context: &Context<'_>) -> bool {
        [&self.v6, &self.v4].into_iter().any(|family| match family {
            Family::Asking(_) => false,
            Family::Settled(outcome) => {
                outcome.addresses().iter().any(|address| context.config.own_addresses.contains(address))
                    || outcome.left.iter().chain([&outcome.name]).any(|name| {
                        host_name_of(name).is_ok_and(|name| context.config.own_hosts.contains(&name))
                    })
            }
        })
    }
}

impl Family {
    fn step(&mut self, context: &Context<'_>, trace: &mut Trace, wanted: &mut Vec<Key>) {
        if let Self::Asking(chase) = self
            && let Some(outcome) = chase.step(context, trace, wanted)
        {
            *self = Self::Settled(outcome);
        }
    }
}

impl Outcome {
    fn addresses(&self) -> &[IpAddr] {
        match &self.data {
            Ok(Data::Addresses(addresses)) => addresses,
            _ => &[],
        }
    }
}

/// The first of the one, the first of the other, the second of the one, and so on.
fn by_turns([first, second]: [Vec<IpAddr>; 2], most: usize) -> Vec<IpAddr> {
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::new();
    loop {
        let before = turns.len();
        turns.extend(first.next());
        turns.extend(second.next());
        if turns.len() == before || turns.len() >= most {
            turns.truncate(most);
            return turns;
        }
    }
}
