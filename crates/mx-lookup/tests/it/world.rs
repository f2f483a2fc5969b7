//! A DNS of text files, servers that behave or misbehave, and a clock that jumps.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, SOA};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use mx_lookup::{Config, Event, Host, LookupId, Lost, Plan, Query, Resolver, Trace, Transport};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// What a server sends back: after how long, and what.
pub(crate) type Replies = Vec<(Duration, Result<Vec<u8>, Lost>)>;

/// How a server answers.
pub(crate) type Behaviour = Box<dyn FnMut(&Query, &Zone) -> Replies>;

/// A resolver, its servers, and the time.
pub(crate) struct World {
    pub(crate) resolver: Resolver,
    pub(crate) zone: Zone,
    pub(crate) servers: Vec<Behaviour>,
    pub(crate) now: Duration,
    pub(crate) plans: BTreeMap<LookupId, (Plan, Trace)>,
    /// When the last plan came.
    pub(crate) planned_at: Duration,
    /// Who was asked what, and how, in the order of time.
    pub(crate) asked: Vec<Asked>,
    /// All that has happened, for comparing runs.
    pub(crate) log: String,
    outstanding: Vec<(Query, Replies)>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Asked {
    pub(crate) at: Duration,
    pub(crate) server: usize,
    pub(crate) transport: Transport,
    pub(crate) edns: bool,
    pub(crate) question: String,
    pub(crate) id: u16,
    pub(crate) port: u16,
}

impl World {
    pub(crate) fn new(zone: &str) -> Self {
        Self::with(zone, 1, |config| config)
    }

    pub(crate) fn with(zone: &str, servers: usize, change: impl FnOnce(Config) -> Config) -> Self {
        Self::seeded(zone, servers, [7; 32], change)
    }

    pub(crate) fn seeded(
        zone: &str,
        servers: usize,
        seed: [u8; 32],
        change: impl FnOnce(Config) -> Config,
    ) -> Self {
        let config = change(Config::new((0..servers).map(address)));
        Self {
            resolver: Resolver::new(config, seed),
            zone: Zone::parse(zone),
            servers: (0..servers).map(|_| good()).collect(),
            now: Duration::ZERO,
            plans: BTreeMap::new(),
            planned_at: Duration::ZERO,
            asked: Vec::new(),
            log: String::new(),
            outstanding: Vec::new(),
        }
    }

    /// Looks a domain up, and runs until its plan is there.
    pub(crate) fn plan(&mut self, domain: &str) -> Plan {
        self.planned(domain).0
    }

    pub(crate) fn planned(&mut self, domain: &str) -> (Plan, Trace) {
        let id = self.resolver.lookup(self.now, domain);
        self.run();
        self.plans.remove(&id).expect("every lookup ends in a plan")
    }

    /// Runs until nothing is left to do.
    pub(crate) fn run(&mut self) {
        let mut steps = 0;
        while self.step() {
            steps += 1;
            assert!(steps < 200_000, "the run does not end");
        }
        assert_eq!(self.resolver.pending(), 0, "nobody is forgotten");
    }

    /// One reply or one timer.
    pub(crate) fn step(&mut self) -> bool {
        self.drain();
        let reply = self
            .outstanding
            .iter()
            .enumerate()
            .filter_map(|(at, (_, replies))| Some((replies.first()?.0, at)));
        let reply = reply.min();
        let timer = self.resolver.poll_timeout();
        let due = match (reply, timer) {
            (Some((due, at)), timer) if timer.is_none_or(|timer| due <= timer) => {
                self.now = self.now.max(due);
                let (query, mut replies) = self.outstanding.remove(at);
                let (_, outcome) = replies.remove(0);
                let outcome = outcome.as_deref().map_err(|lost| *lost);
                if let Some(query) = self.resolver.handle_answer(self.now, query, outcome) {
                    // What is never answered is dropped: the resolver has its own clock.
                    if !replies.is_empty() {
                        self.outstanding.push((query, replies));
                    }
                }
                return true;
            }
            (_, None) => return false,
            (_, Some(timer)) => timer,
        };
        self.now = self.now.max(due);
        self.resolver.handle_timeout(self.now);
        assert!(self.resolver.poll_timeout().is_none_or(|next| next > self.now), "a timer stays");
        true
    }

    /// Lets time pass, and what falls into it happen.
    pub(crate) fn wait_until(&mut self, until: Duration) {
        loop {
            self.drain();
            let replies = self.outstanding.iter().filter_map(|(_, replies)| Some(replies.first()?.0));
            let next = replies.chain(self.resolver.poll_timeout()).min();
            if next.is_none_or(|next| next > until) {
                break;
            }
            self.step();
        }
        self.now = until;
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.resolver.poll(self.now) {
            match event {
                Event::Query(query) => {
                    let server = usize::from(query.server().port() - 5_300);
                    let message = Message::from_vec(query.payload()).expect("queries are messages");
                    let question = &message.queries[0];
                    let asked = Asked {
                        at: self.now,
                        server,
                        transport: query.transport(),
                        edns: message.edns.is_some(),
                        question: format!("{} {}", show(&question.name.to_lowercase()), question.query_type),
                        id: message.metadata.id,
                        port: query.source_port(),
                    };
                    assert!(query.deadline() > self.now, "there is time for an answer");
                    let replies = (self.servers[server])(&query, &self.zone);
                    writeln!(self.log, "{asked:?} {}", question.name).expect("a string");
                    self.asked.push(asked);
                    let replies =
                        replies.into_iter().map(|(after, reply)| (self.now + after, reply)).collect();
                    self.outstanding.push((query, replies));
                }
                Event::Plan(id, plan, trace) => {
                    writeln!(self.log, "{:?} {id:?} {plan:?}\n{trace}", self.now).expect("a string");
                    check(&plan, &trace, self.now);
                    self.planned_at = self.now;
                    assert!(self.plans.insert(id, (plan, trace)).is_none(), "one plan for each lookup");
                }
                _ => panic!("an event that no driver knows"),
            }
        }
    }
}

/// What holds for every plan.
fn check(plan: &Plan, trace: &Trace, now: Duration) {
    assert!(plan.expires() > now, "{plan:?} is over at {now:?}");
    assert!(trace.to_string().bytes().all(|octet| matches!(octet, b' '..=b'~' | b'\n')), "{trace}");
    if let Some(verdict) = plan.verdict() {
        let text = verdict.to_string();
        assert!(text.bytes().all(|octet| matches!(octet, b' '..=b'~')), "{text}");
        assert_eq!(verdict.is_temporary(), matches!(plan, Plan::Defer { .. }), "{plan:?}");
        assert_eq!(u16::from(verdict.enhanced.0), verdict.code / 100, "{text}");
    }
    if let Plan::Deliver { hosts, .. } = plan {
        assert!(!hosts.is_empty(), "{plan:?}");
        assert!(hosts.is_sorted_by_key(|host| host.preference), "{plan:?}");
        assert!(hosts.iter().map(|host| host.addresses.len()).sum::<usize>() <= 20, "{plan:?}");
        for host in hosts {
            assert!((1..=10).contains(&host.addresses.len()), "{plan:?}");
            by_turns(host);
        }
    }
}

fn by_turns(host: &Host) {
    let six = host.addresses.iter().filter(|address| address.is_ipv6()).count();
    let turns = six.min(host.addresses.len() - six);
    for (at, address) in host.addresses.iter().take(2 * turns).enumerate() {
        assert_eq!(address.is_ipv6(), at % 2 == 0, "{:?}", host.addresses);
    }
}

/// A plan in one line; hosts of one preference and addresses of one family in a fixed order.
pub(crate) fn line(plan: &Plan) -> String {
    match plan {
        Plan::Deliver { hosts, .. } => {
            let mut hosts: Vec<_> =
                hosts.iter().map(|host| (host.preference, &host.name, &host.addresses)).collect();
            hosts.sort();
            let hosts = hosts.iter().map(|(preference, name, addresses)| {
                let mut addresses = addresses.to_vec();
                addresses.sort_by_key(|address| (address.is_ipv4(), *address));
                let addresses: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
                format!("{preference} {name} {}", addresses.join(" "))
            });
            hosts.collect::<Vec<_>>().join(", ")
        }
        Plan::NullMx { verdict, .. } => format!("null {}", codes(verdict)),
        Plan::NoSuchDomain { verdict, .. } => format!("none {}", codes(verdict)),
        Plan::NoMail { why, verdict, .. } => format!("{why:?} {}", codes(verdict)),
        Plan::Defer { why, verdict, .. } => format!("{why:?} {}", codes(verdict)),
        _ => panic!("a plan that no queue knows"),
    }
}

fn codes(verdict: &mx_lookup::Verdict) -> String {
    let (class, subject, detail) = verdict.enhanced;
    format!("{} {class}.{subject}.{detail}", verdict.code)
}

pub(crate) fn address(server: usize) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 53], 5_300 + server as u16))
}

/// A server that does what it should, in ten milliseconds.
pub(crate) fn good() -> Behaviour {
    Box::new(|query, zone| vec![(MOMENT, Ok(zone.answer(query).to_vec().expect("an answer")))])
}

/// A server that never answers.
pub(crate) fn down() -> Behaviour {
    Box::new(|_, _| Vec::new())
}

/// A good server, but for what is done to its answers.
pub(crate) fn with(mut change: impl FnMut(&Query, &mut Message) + 'static) -> Behaviour {
    Box::new(move |query, zone| {
        let mut message = zone.answer(query);
        change(query, &mut message);
        vec![(MOMENT, Ok(message.to_vec().expect("an answer")))]
    })
}

pub(crate) fn failing(code: ResponseCode) -> Behaviour {
    with(move |_, message| {
        message.metadata.response_code = code;
        message.answers.clear();
        message.authorities.clear();
    })
}

pub(crate) const MOMENT: Duration = Duration::from_millis(10);

/// What a recursive server knows.
#[derive(Clone, Debug, Default)]
pub(crate) struct Zone {
    records: BTreeMap<Name, Vec<Record>>,
    /// Names that get an error instead of an answer; of one type, or of all.
    errors: BTreeMap<Name, Vec<(Option<RecordType>, ResponseCode)>>,
    /// Names whose questions are not answered at all.
    silent: Vec<(Name, Option<RecordType>)>,
    /// What is said of negative answers, unless it is zero.
    pub(crate) negative_ttl: u32,
}

impl Zone {
    /// Lines of `name ttl TYPE value`; comments begin with `;` or `?`.
    pub(crate) fn parse(text: &str) -> Self {
        let mut zone = Self { negative_ttl: 300, ..Self::default() };
        for line in text.lines() {
            let words: Vec<_> = line.split(';').next().unwrap_or("").split_whitespace().collect();
            match words[..] {
                [] | ["?", ..] | ["config", ..] => {}
                ["negative", ttl] => zone.negative_ttl = ttl.parse().expect("a number"),
                [owner, ttl, kind, ref values @ ..] => zone.add(owner, ttl, kind, values),
                _ => panic!("no record: {line}"),
            }
        }
        zone
    }

    pub(crate) fn add(&mut self, owner: &str, ttl: &str, kind: &str, values: &[&str]) {
        let owner = name(owner);
        let only = values.first().and_then(|kind| kind.parse().ok());
        let data = match (kind, values) {
            ("MX", [preference, host]) => {
                RData::MX(MX::new(preference.parse().expect("a number"), name(host)))
            }
            ("A", [address]) => RData::A(A(address.parse().expect("an address"))),
            ("AAAA", [address]) => RData::AAAA(AAAA(address.parse().expect("an address"))),
            ("CNAME", [target]) => RData::CNAME(CNAME(name(target))),
            ("TXT", _) => RData::TXT(hickory_proto::rr::rdata::TXT::new(vec!["text".to_owned()])),
            ("NS", [host]) => RData::NS(NS(name(host))),
            ("SERVFAIL", _) => {
                return self.errors.entry(owner).or_default().push((only, ResponseCode::ServFail));
            }
            ("REFUSED", _) => {
                return self.errors.entry(owner).or_default().push((only, ResponseCode::Refused));
            }
            ("NOTAUTH", _) => {
                return self.errors.entry(owner).or_default().push((only, ResponseCode::NotAuth));
            }
            ("SILENT", _) => return self.silent.push((owner, only)),
            _ => panic!("no record: {kind} {values:?}"),
        };
        let ttl = ttl.parse().expect("a number");
        self.records.entry(owner.clone()).or_default().push(Record::from_rdata(owner, ttl, data));
    }

    /// The answer of a recursive server, with the CNAME records on the way.
    pub(crate) fn answer(&self, query: &Query) -> Message {
        let asked = Message::from_vec(query.payload()).expect("queries are messages");
        let question = asked.queries[0].clone();
        let (mut name, kind) = (question.name.to_lowercase(), question.query_type);
        let mut message = Message::new(asked.metadata.id, MessageType::Response, OpCode::Query);
        message.metadata.recursion_desired = true;
        message.metadata.recursion_available = true;
        message.add_query(question);
        for _ in 0..20 {
            let error = self.errors.get(&name).into_iter().flatten();
            if let Some((_, code)) = error.clone().find(|(only, _)| only.is_none_or(|only| only == kind)) {
                message.metadata.response_code = *code;
                message.answers.clear();
                return message;
            }
            let of = |kind: RecordType| {
                let all = self.records.get(&name).into_iter().flatten();
                all.filter(move |record| record.record_type() == kind).cloned().collect::<Vec<_>>()
            };
            let records = of(kind);
            if !records.is_empty() {
                message.add_answers(records);
                return message;
            }
            let Some(alias) = of(RecordType::CNAME).into_iter().next() else {
                let exists = self.records.keys().any(|other| name.zone_of(other));
                if !exists {
                    message.metadata.response_code = ResponseCode::NXDomain;
                }
                if self.negative_ttl > 0 {
                    let apex = name.trim_to(1);
                    let data = SOA::new(apex.clone(), apex.clone(), 1, 1, 1, 1, self.negative_ttl);
                    message.add_authority(Record::from_rdata(apex, 86_400, RData::SOA(data)));
                }
                return message;
            };
            if let RData::CNAME(CNAME(target)) = &alias.data {
                name = target.to_lowercase();
            }
            message.add_answer(alias);
        }
        message
    }

    /// Whether a question gets no answer.
    pub(crate) fn is_silent(&self, query: &Query) -> bool {
        let asked = Message::from_vec(query.payload()).expect("queries are messages");
        let question = &asked.queries[0];
        self.silent
            .iter()
            .any(|(name, only)| *name == question.name && only.is_none_or(|only| only == question.query_type))
    }
}

/// In labels, `\.` is a dot and `\032` a space.
pub(crate) fn name(text: &str) -> Name {
    let (mut labels, mut label) = (Vec::new(), Vec::new());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        match octet {
            b'.' => labels.push(std::mem::take(&mut label)),
            b'\\' => match octets.next().expect("something escaped") {
                digit @ b'0'..=b'9' => {
                    let digits = [digit, octets.next().expect("a digit"), octets.next().expect("a digit")];
                    label.push(digits.iter().fold(0, |value, digit| value * 10 + (digit - b'0')));
                }
                octet => label.push(octet),
            },
            octet => label.push(octet),
        }
    }
    labels.push(label);
    labels.retain(|label| !label.is_empty());
    Name::from_labels(labels).expect("a name")
}

pub(crate) fn show(name: &Name) -> String {
    name.to_ascii().trim_end_matches('.').to_owned()
}
