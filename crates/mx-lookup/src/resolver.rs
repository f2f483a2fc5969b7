//! The machine: lookups in, queries out, answers in, plans out.
//!
//! ```text
//!  lookup ──▶ step ──▶ Plan ──▶ poll
//!              ▲ │ questions
//!              │ ▼                  one flight a question, whoever asks
//!            cache ◀── flight ──▶ ready ──▶ poll ──▶ Query ──▶ driver
//!                        ▲                                      │
//!                        └── the next try, or the answer ◀── handle_answer
//! ```

mod flight;
mod servers;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use self::flight::{Flight, Next, Try};
use self::servers::Servers;
use crate::answer::{self, Answer, Comparison, Reading};
use crate::cache::Cache;
use crate::config::Config;
use crate::domain::{Target, show};
use crate::error::Failure;
use crate::lookup::{Context, Lookup};
use crate::query::{Key, Query, Transport, encode};
use crate::random::Random;
use crate::route::{Host, NoMail, Plan, Site};
use crate::special::special_name;
use crate::trace::{Finding, Source, Step, Trace};

/// From domains to plans, with a cache. See the [front page](crate).
#[derive(Debug)]
pub struct Resolver {
    config: Config,
    random: Random,
    servers: Servers,
    cache: Cache,
    lookups: BTreeMap<LookupId, Lookup>,
    flights: BTreeMap<u64, Flight>,
    by_question: BTreeMap<Key, u64>,
    /// Flights with a query to send.
    ready: VecDeque<u64>,
    plans: VecDeque<(LookupId, Plan, Trace)>,
    timers: BTreeSet<(Duration, Timer)>,
    in_flight: usize,
    /// The last number given to a lookup, a flight or a try.
    last: u64,
    counters: Counters,
}

/// What tells one lookup from another.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LookupId(u64);

/// What the driver has to do, or wanted to know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Send this, and hand it back to [`Resolver::handle_answer`] with what comes.
    Query(Query),
    /// The lookup has come to its end.
    Plan(LookupId, Plan, Trace),
}

/// Why there is no answer to hand over.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Lost {
    /// The deadline of the query is over.
    Timeout,
    /// The system says that the server can not be reached, or the connection broke.
    Unreachable,
}

/// How much has been done since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Lookups that were begun.
    pub lookups: u64,
    /// Queries that went to the driver.
    pub queries: u64,
    /// Questions that found somebody else asking already.
    pub shared: u64,
    /// Answers that were no answers to their query.
    pub strays: u64,
    /// Questions that no server had an answer to.
    pub failures: u64,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Timer {
    /// When to stop waiting for the answer to a query: the flight, and the number of its try.
    Try(u64, u64),
    /// When to plan with what is known.
    Lookup(LookupId),
}

impl Resolver {
    /// A resolver with an empty cache. Who knows the seed can forge answers: it comes from the system's random source,
    /// fresh at each start, or from a simulation.
    pub fn new(config: Config, seed: [u8; 32]) -> Self {
        Self {
            servers: Servers::new(&config.servers),
            config,
            random: Random::new(seed),
            cache: Cache::default(),
            lookups: BTreeMap::new(),
            flights: BTreeMap::new(),
            by_question: BTreeMap::new(),
            ready: VecDeque::new(),
            plans: VecDeque::new(),
            timers: BTreeSet::new(),
            in_flight: 0,
            last: 0,
            counters: Counters::default(),
        }
    }

    /// Begins to look up where mail for a domain goes: a name in A-labels, or an address literal with its brackets.
    /// [`Event::Plan`] follows.
    pub fn lookup(&mut self, now: Duration, domain: &str) -> LookupId {
        let id = LookupId(self.number());
        self.counters.lookups += 1;
        let far = now + self.config.limits.positive_ttl.1;
        let plan = match Target::parse(domain) {
            Err(error) => Plan::no_mail(domain, NoMail::BadDomain(error), far),
            Ok(Target::Literal(address)) => self.literal(domain, address, far),
            Ok(Target::Name(name)) if special_name(&name) && !self.config.allow_private_addresses => {
                Plan::no_mail(&name, NoMail::SpecialName, far)
            }
            Ok(Target::Name(name)) => {
                let deadline = now + self.config.limits.lookup_time;
                self.timers.insert((deadline, Timer::Lookup(id)));
                self.advance(now, id, Lookup::new(name, deadline), false);
                return id;
            }
        };
        self.plans.push_back((id, plan, Trace::default()));
        id
    }

    /// Forgets a lookup: nobody waits for its plan any more. What has been asked for it goes on, and into the cache.
    pub fn cancel(&mut self, id: LookupId) {
        if let Some(lookup) = self.lookups.remove(&id) {
            self.timers.remove(&(lookup.deadline, Timer::Lookup(id)));
        }
        self.plans.retain(|(other, ..)| *other != id);
    }

    /// The next thing to do, or a plan. To be called until `None`, after each other call.
    pub fn poll(&mut self, now: Duration) -> Option<Event> {
        loop {
            if let Some((id, plan, trace)) = self.plans.pop_front() {
                return Some(Event::Plan(id, plan, trace));
            }
            if self.in_flight >= self.config.limits.in_flight {
                return None;
            }
            let number = self.ready.pop_front()?;
            if let Some(query) = self.send(now, number) {
                return Some(Event::Query(query));
            }
        }
    }

    /// Takes what came for a query. Gives the query back if that was no answer to it: then the driver goes on reading,
    /// from the same socket and until the same deadline.
    #[must_use = "a query that comes back is still open: keep reading"]
    pub fn handle_answer(
        &mut self,
        now: Duration,
        mut query: Query,
        outcome: Result<&[u8], Lost>,
    ) -> Option<Query> {
        let flight = self.flights.get(&query.flight)?;
        let current = flight.current.is_some_and(|current| current.serial == query.serial);
        let octets = match outcome {
            Ok(octets) => octets,
            Err(lost) if current => {
                self.lost(now, query.flight, lost);
                return None;
            }
            Err(_) => return None,
        };
        let reading = match answer::compare(&query.payload, query.edns, octets) {
            Comparison::Stray => {
                self.counters.strays += 1;
                query.strays += 1;
                if !current {
                    return None;
                }
                if query.transport == Transport::Tcp || query.strays < self.config.limits.strays {
                    return Some(query);
                }
                self.by_tcp(now, query.flight, Finding::Strays);
                return None;
            }
            Comparison::CaseLost if query.transport == Transport::Udp && self.config.random_case => {
                if current {
                    self.by_tcp(now, query.flight, Finding::CaseLost);
                }
                return None;
            }
            Comparison::Bare => Reading::NoEdns,
            Comparison::Ours | Comparison::CaseLost => {
                answer::read(&query.payload, query.edns, octets, &flight.key, &self.config.limits)
            }
        };
        match reading {
            // It is welcome even if the next server has been asked meanwhile.
            Reading::Answer(answer) => self.answered(now, &query, answer),
            _ if !current => {}
            Reading::Truncated if query.transport == Transport::Udp => {
                self.by_tcp(now, query.flight, Finding::Truncated);
            }
            Reading::Unreadable if query.transport == Transport::Udp => {
                self.by_tcp(now, query.flight, Finding::Unreadable);
            }
            Reading::NoEdns => {
                let flight = self.end_try(now, query.flight, Finding::NoEdns);
                let next = Next { edns: false, ..flight.next };
                self.again(query.flight, next);
            }
            Reading::Truncated | Reading::Unreadable => self.failed(now, query.flight, Failure::Malformed),
            Reading::Failed(failure) => self.failed(now, query.flight, failure),
        }
        self.cache.trim(&self.config.limits, now);
        None
    }

    /// Does what the time has come for.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some((due, timer)) = self.timers.first().copied()
            && due <= now
        {
            self.timers.pop_first();
            match timer {
                Timer::Try(flight, _) => self.lost(now, flight, Lost::Timeout),
                Timer::Lookup(id) => {
                    if let Some(lookup) = self.lookups.remove(&id) {
                        self.advance(now, id, lookup, true);
                    }
                }
            }
        }
        self.cache.trim(&self.config.limits, now);
    }

    /// When to call [`Self::handle_timeout`], on the scale of `now`.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.timers.first().map(|(due, _)| *due)
    }

    /// Forgets all that is known about domains and servers, for an operator who has put something right.
    pub fn flush(&mut self) {
        self.cache.clear();
        self.servers.forgive();
    }

    /// How much has been done.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// How many octets the cache takes.
    pub const fn cached_octets(&self) -> usize {
        self.cache.octets()
    }

    /// How many lookups wait for their plan.
    pub fn pending(&self) -> usize {
        self.lookups.len()
    }

    const fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn literal(&self, domain: &str, address: core::net::IpAddr, expires: Duration) -> Plan {
        let name = domain.to_ascii_lowercase();
        if self.config.own_addresses.contains(&address) {
            return Plan::no_mail(&name, NoMail::Loop, expires);
        }
        if self.config.refuses(address).is_some() {
            return Plan::no_mail(&name, NoMail::SpecialAddress, expires);
        }
        let site = Site::of([(0, name.as_str())]);
        let hosts = vec![Host { name, preference: 0, addresses: vec![address], authenticated: false }];
        Plan::Deliver { hosts, site, authenticated: false, expires }
    }

    /// Lets a lookup go on, which is not in the map meanwhile.
    fn advance(&mut self, now: Duration, id: LookupId, mut lookup: Lookup, give_up: bool) {
        let (config, cache, random) = (&self.config, &self.cache, &mut self.random);
        match lookup.step(&mut Context { now, config, cache, random, give_up }) {
            Ok(plan) => {
                self.timers.remove(&(lookup.deadline, Timer::Lookup(id)));
                self.plans.push_back((id, plan, lookup.trace));
            }
            Err(questions) => {
                for key in questions {
                    self.ask(now, key, id);
                }
                self.lookups.insert(id, lookup);
            }
        }
    }

    fn ask(&mut self, now: Duration, key: Key, id: LookupId) {
        // RFC 9520 §2.3: one query for all who ask the same. It is also the answer to birthday attacks (RFC 5452 §5).
        if let Some(number) = self.by_question.get(&key) {
            let flight = self.flights.get_mut(number).expect("each flight stands under its question");
            if flight.waiters.insert(id) {
                self.counters.shared += 1;
            }
            return;
        }
        let number = self.number();
        let tries = if self.cache.has_failed(&key, now) { 1 } else { self.config.limits.tries };
        let servers = self.servers.order(now, &mut self.random);
        let flight = Flight::new(key.clone(), id, servers, tries);
        self.by_question.insert(key, number);
        self.flights.insert(number, flight);
        self.ready.push_back(number);
    }

    /// The next query of a flight, if there still is a flight, and somebody who waits.
    fn send(&mut self, now: Duration, number: u64) -> Option<Query> {
        let limit = self.config.limits.queries;
        let flight = self.flights.get_mut(&number)?;
        let lookups = &mut self.lookups;
        flight.waiters.retain(|id| lookups.contains_key(id));
        let spent: Vec<_> =
            flight.waiters.iter().filter(|id| lookups[id].queries >= limit).copied().collect();
        for id in &spent {
            flight.waiters.remove(id);
        }
        for id in &flight.waiters {
            if let Some(lookup) = lookups.get_mut(id) {
                lookup.queries += 1;
            }
        }
        let server = flight.next.server;
        let idle = flight.waiters.is_empty();
        let next = flight.next;
        let made = flight.made;
        let key = flight.key.clone();
        for id in spent {
            if let Some(lookup) = self.lookups.remove(&id) {
                self.advance(now, id, lookup, true);
            }
        }
        if idle {
            self.remove(number);
            return None;
        }
        let Some(server) = server else {
            self.fail(now, number, Failure::NoServers);
            return None;
        };
        let limits = &self.config.limits;
        let transport = if self.servers.wants_tcp(server, now) { Transport::Tcp } else { next.transport };
        let edns = next.edns && !self.servers.is_plain(server, now);
        let payload = encode(&key, edns.then_some(limits.payload), self.config.random_case, &mut self.random);
        let patience = limits.try_time.saturating_mul(1 << made.min(16)).min(limits.try_time_most);
        let deadline = now + patience;
        let source_port = 1_024 + self.random.below(65_536 - 1_024) as u16;
        let serial = self.number();
        let flight = self.flights.get_mut(&number).expect("it has waiters");
        flight.next = Next { transport, edns, ..next };
        flight.current = Some(Try { serial, deadline });
        self.timers.insert((deadline, Timer::Try(number, serial)));
        self.in_flight += 1;
        self.counters.queries += 1;
        let address = self.servers.address(server);
        Some(Query {
            flight: number,
            serial,
            server,
            address,
            transport,
            payload,
            edns,
            deadline,
            source_port,
            strays: 0,
        })
    }

    /// The present try is over: its timer goes, and those who wait can read of it.
    fn end_try(&mut self, now: Duration, number: u64, finding: Finding) -> &mut Flight {
        let flight = self.flights.get_mut(&number).expect("the try belongs to a flight");
        if let Some(current) = flight.current.take() {
            self.timers.remove(&(current.deadline, Timer::Try(number, current.serial)));
            self.in_flight -= 1;
        }
        let server = flight.next.server.map(|server| self.servers.address(server));
        let source = server.map_or(Source::Local, |server| Source::Server(server, flight.next.transport));
        let step = Step { at: now, question: Arc::clone(&flight.text), source, finding, ttl: None };
        note(&mut self.lookups, &flight.waiters, step);
        flight
    }

    /// The same server once more; that is no new try.
    fn again(&mut self, number: u64, next: Next) {
        if let Some(flight) = self.flights.get_mut(&number) {
            flight.next = next;
            self.ready.push_back(number);
        }
    }

    fn by_tcp(&mut self, now: Duration, number: u64, finding: Finding) {
        let case_lost = finding == Finding::CaseLost;
        let flight = self.end_try(now, number, finding);
        let next =
            Next { transport: Transport::Tcp, case_lost: flight.next.case_lost || case_lost, ..flight.next };
        self.again(number, next);
    }

    /// The server has not answered: another one, and later perhaps this one again.
    fn lost(&mut self, now: Duration, number: u64, lost: Lost) {
        let failure = match lost {
            Lost::Timeout => Failure::Timeout,
            Lost::Unreachable => Failure::Unreachable,
        };
        let flight = self.end_try(now, number, Finding::Failed(failure));
        let server = flight.next.server;
        flight.turn(failure, true);
        if let Some(server) = server {
            self.servers.blame(server, now);
        }
        self.next_server(now, number);
    }

    /// The server has answered that it has no answer: another one, and not this one again.
    fn failed(&mut self, now: Duration, number: u64, failure: Failure) {
        let flight = self.end_try(now, number, Finding::Failed(failure));
        let server = flight.next.server;
        flight.turn(failure, false);
        if let Some(server) = server {
            self.servers.praise(server);
        }
        if matches!(failure, Failure::AliasLoop | Failure::AliasChain) {
            // Another server would say the same.
            self.fail(now, number, failure);
        } else {
            self.next_server(now, number);
        }
    }

    fn next_server(&mut self, now: Duration, number: u64) {
        let Some(flight) = self.flights.get(&number) else { return };
        match flight.over() {
            Some(failure) => self.fail(now, number, failure),
            None => self.ready.push_back(number),
        }
    }

    /// There is an answer, perhaps to an earlier try than the present one.
    fn answered(&mut self, now: Duration, query: &Query, mut answer: Answer) {
        answer.authenticated &= self.servers.is_trusted(query.server);
        let Some(flight) = self.flights.get(&query.flight) else { return };
        let source = Source::Server(query.address, query.transport);
        self.servers.praise(query.server);
        self.servers.learn(query, flight.next.case_lost, now);
        let finding = answer.finding();
        let ttl = self.cache.put(&flight.key, answer, &self.config.limits, now);
        self.finish(now, query.flight, source, finding, ttl);
    }

    /// There is no answer.
    fn fail(&mut self, now: Duration, number: u64, failure: Failure) {
        let Some(flight) = self.flights.get(&number) else { return };
        self.counters.failures += 1;
        let ttl = self.cache.fail(&flight.key, failure, &self.config.limits, now);
        self.finish(now, number, Source::Local, Finding::Failed(failure), ttl);
    }

    fn finish(&mut self, now: Duration, number: u64, source: Source, finding: Finding, ttl: Duration) {
        let Some(flight) = self.remove(number) else { return };
        let step = Step { at: now, question: flight.text, source, finding, ttl: Some(ttl) };
        note(&mut self.lookups, &flight.waiters, step);
        for id in flight.waiters {
            if let Some(lookup) = self.lookups.remove(&id) {
                self.advance(now, id, lookup, false);
            }
        }
    }

    fn remove(&mut self, number: u64) -> Option<Flight> {
        let flight = self.flights.remove(&number)?;
        if let Some(current) = flight.current {
            self.timers.remove(&(current.deadline, Timer::Try(number, current.serial)));
            self.in_flight -= 1;
        }
        self.by_question.remove(&flight.key);
        Some(flight)
    }
}

/// Lets all who wait read of a step.
fn note(lookups: &mut BTreeMap<LookupId, Lookup>, waiters: &BTreeSet<LookupId>, step: Step) {
    let step = Arc::new(step);
    for id in waiters {
        if let Some(lookup) = lookups.get_mut(id) {
            lookup.trace.push(&step);
        }
    }
}

/// A question as an operator reads it.
pub(crate) fn question_text(key: &Key) -> Arc<str> {
    format!("{} {}", show(&key.0), key.1.as_str()).into()
}
