//! A host for a queue, with a clock that is set and a disk that is a map.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use relay_queue::{
    Address, Answer, Attempt, BodyHandle, Change, Commit, Config, Ending, Envelope, Event, Fact, MessageId,
    Outcome, Queue, Report, Route, Schedule, Status,
};

pub(crate) const START: u64 = 1_700_000_000;
pub(crate) const HOUR: u64 = 3_600;
pub(crate) const SEED: u64 = 0x5eed;

/// What a site does to a recipient, or to all of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Manner {
    Takes,
    Refuses,
    Defers,
    /// No connection.
    Dead,
    /// The connection is lost in the middle.
    Breaks,
    /// The connection is lost behind the dot; the message has arrived.
    Mute,
    /// The driver forgets about the attempt.
    Forgotten,
}

/// What was seen from outside.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Seen {
    Connection(String),
    Delivery { site: String, message: MessageId, to: Vec<String>, last: bool },
    Report(Report),
}

type Behaviour = Box<dyn FnMut(&str, &str, u64) -> Manner>;
type Routes = Box<dyn FnMut(&str, u64) -> Option<Route>>;

pub(crate) struct World {
    pub(crate) queue: Queue,
    pub(crate) config: Config,
    pub(crate) now: u64,
    pub(crate) disk: BTreeMap<Bytes, Bytes>,
    pub(crate) seen: Vec<(u64, Seen)>,
    pub(crate) facts: Vec<(u64, Fact)>,
    /// What durable commits have said that they write down.
    pub(crate) written: Vec<Fact>,
    /// Site, recipient, time.
    pub(crate) manner: Behaviour,
    pub(crate) routes: Routes,
    /// How long a connection and each delivery take.
    pub(crate) latency: u64,
    pub(crate) running: BTreeMap<(u64, u64), Attempt>,
    pub(crate) commits: u64,
    pub(crate) loads: u64,
    /// The commit at which the machine stops, and whether it is durable by then.
    pub(crate) crash_at: Option<(u64, bool)>,
    pub(crate) crashed: bool,
    /// Commits that fail: by their number.
    pub(crate) fails: Box<dyn FnMut(u64) -> bool>,
    pub(crate) accepted: BTreeSet<(MessageId, String)>,
    pub(crate) delivered: BTreeMap<(MessageId, String), u32>,
    pub(crate) reported: BTreeMap<(MessageId, String), u32>,
    pub(crate) released: BTreeSet<BodyHandle>,
    pub(crate) most_open: usize,
    pub(crate) checked: bool,
    count: u64,
}

pub(crate) fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(crate) fn address(text: &str) -> Address {
    Address::new(text).expect("an address")
}

pub(crate) fn config() -> Config {
    Config::new("mail.example.test").expect("a name").schedule(Schedule::default().jitter(0))
}

/// From `from@sender.test`, or from nobody.
pub(crate) fn envelope(from: &str, to: &[&str]) -> Envelope {
    let from = (!from.is_empty()).then(|| address(from));
    to.iter().fold(Envelope::new(from, BodyHandle(7)), |envelope, to| envelope.to(address(to)))
}

impl World {
    pub(crate) fn new(config: Config, manner: impl FnMut(&str, &str, u64) -> Manner + 'static) -> Self {
        Self {
            queue: Queue::new(config.clone(), SEED),
            config,
            now: START,
            disk: BTreeMap::new(),
            seen: Vec::new(),
            facts: Vec::new(),
            written: Vec::new(),
            manner: Box::new(manner),
            routes: Box::new(|domain, now| {
                Some(Route::Site { site: format!("mx.{domain}"), until: at(now + 3_600) })
            }),
            latency: 0,
            running: BTreeMap::new(),
            commits: 0,
            loads: 0,
            crash_at: None,
            crashed: false,
            fails: Box::new(|_| false),
            accepted: BTreeSet::new(),
            delivered: BTreeMap::new(),
            reported: BTreeMap::new(),
            released: BTreeSet::new(),
            most_open: 0,
            checked: true,
            count: 0,
        }
    }

    pub(crate) fn accept(&mut self, envelope: Envelope, to: &[&str]) -> Option<MessageId> {
        let commit = self.queue.accept(at(self.now), envelope).expect("there is room");
        let id = commit.message;
        let stored = self.store(commit);
        if stored {
            self.accepted.extend(to.iter().map(|to| (id, (*to).to_owned())));
        }
        self.queue.check();
        stored.then_some(id)
    }

    pub(crate) fn send(&mut self, from: &str, to: &[&str]) -> MessageId {
        self.accept(envelope(from, to), to).expect("stored")
    }

    /// Whether it is durable.
    fn store(&mut self, commit: Commit) -> bool {
        self.commits += 1;
        let crash = self.crash_at.filter(|(number, _)| *number == self.commits);
        if let Some((_, false)) = crash {
            self.crashed = true;
            return false;
        }
        if (self.fails)(self.commits) {
            self.queue.handle_failed(commit.id);
            return false;
        }
        for change in &commit.changes {
            match change.clone() {
                Change::Put { key, value } => {
                    assert!(key.len() <= 11 && value.len() < 64 << 10);
                    self.disk.insert(key, value);
                }
                Change::Remove { key } => {
                    assert!(self.disk.remove(&key).is_some() || !self.checked, "removed what is not there");
                }
            }
        }
        if let Some(report) = commit.report {
            let text = String::from_utf8([&report.head[..], b"Subject: x\r\n", &report.tail].concat())
                .expect("text");
            for group in text.split("\r\n\r\n").filter(|group| group.contains("\r\nAction: failed\r\n")) {
                let to = group.split("Final-Recipient: rfc822; ").nth(1).expect("a recipient");
                let to = to.split("\r\n").next().expect("a line").to_owned();
                *self.reported.entry((commit.message, to)).or_default() += 1;
            }
            self.seen.push((self.now, Seen::Report(report)));
        }
        self.released.extend(commit.released);
        self.written.extend(commit.facts);
        if crash.is_some() {
            self.crashed = true;
        } else {
            self.queue.handle_durable(commit.id);
        }
        true
    }

    /// Does what can be done now.
    pub(crate) fn settle(&mut self) {
        let mut turns = 0;
        while !self.crashed {
            if self.checked {
                self.queue.check();
            }
            turns += 1;
            assert!(turns < 100_000, "it goes round and round at one moment");
            let Some(event) = self.queue.poll(at(self.now)) else {
                break;
            };
            match event {
                Event::Commit(commit) => drop(self.store(commit)),
                Event::Resolve(domain) => {
                    if let Some(route) = (self.routes)(&domain, self.now) {
                        self.queue.handle_route(at(self.now), &domain, route);
                    }
                }
                Event::Load(load) => {
                    let values: Vec<_> = load.keys().iter().map(|key| self.disk.get(key).cloned()).collect();
                    self.loads += 1;
                    self.queue.handle_loaded(at(self.now), load, values);
                }
                Event::Attempt(attempt) => {
                    self.seen.push((self.now, Seen::Connection(attempt.site().to_owned())));
                    self.see(&attempt);
                    self.start(attempt);
                }
                Event::Fact(fact) => self.facts.push((self.now, fact)),
                event => unreachable!("{event:?}"),
            }
        }
        self.most_open = self.most_open.max(self.running.len());
    }

    fn see(&mut self, attempt: &Attempt) {
        let delivery = attempt.delivery().expect("there is one");
        assert!(!delivery.recipients.is_empty() && delivery.recipients.len() <= 100);
        let to = delivery.recipients.iter().map(|to| to.address().to_string()).collect();
        let (site, message, last) = (attempt.site().to_owned(), delivery.message, delivery.last);
        self.seen.push((self.now, Seen::Delivery { site, message, to, last }));
    }

    fn start(&mut self, attempt: Attempt) {
        self.count += 1;
        self.running.insert((self.now + self.latency, self.count), attempt);
    }

    fn finish(&mut self, mut attempt: Attempt) {
        let site = attempt.site().to_owned();
        let delivery = attempt.delivery().expect("there is one");
        let message = delivery.message;
        let to: Vec<_> = delivery.recipients.iter().map(|to| to.address().to_string()).collect();
        let mut took = Vec::new();
        for (number, to) in to.into_iter().enumerate() {
            let reply = |code: u16, text: &str| {
                Answer::reply(code, Some(Status::new((code / 100) as u8, 1, 1)), text).by(&site)
            };
            let gone = Answer::local(Status::new(4, 4, 2), "connection lost").by(&site);
            match (self.manner)(&site, &to, self.now) {
                Manner::Takes => {
                    took.push(to);
                    attempt.settle(number, Outcome::Delivered(reply(250, "ok")));
                }
                Manner::Refuses => attempt.settle(number, Outcome::Refused(reply(550, "no such user"))),
                Manner::Defers => attempt.settle(number, Outcome::Deferred(reply(450, "come back later"))),
                Manner::Dead => return self.end(attempt, took, message, Ending::Unreachable(gone)),
                Manner::Breaks => return self.end(attempt, took, message, Ending::Broken(gone)),
                Manner::Mute => {
                    took.push(to);
                    attempt.settle(number, Outcome::Unknown(gone));
                }
                Manner::Forgotten => return,
            }
        }
        for to in took {
            *self.delivered.entry((message, to)).or_default() += 1;
        }
        if self.queue.next_delivery(at(self.now), &mut attempt) {
            self.see(&attempt);
            self.start(attempt);
        } else {
            self.queue.handle_outcome(at(self.now), attempt, Ending::Closed);
        }
    }

    fn end(&mut self, attempt: Attempt, took: Vec<String>, message: MessageId, ending: Ending) {
        for to in took {
            *self.delivered.entry((message, to)).or_default() += 1;
        }
        self.queue.handle_outcome(at(self.now), attempt, ending);
    }

    /// Runs until then.
    pub(crate) fn run(&mut self, until: u64) {
        while self.step(until) {}
        if !self.crashed {
            self.now = self.now.max(until);
        }
    }

    /// Does one thing, and everything that follows at once.
    pub(crate) fn step(&mut self, until: u64) -> bool {
        self.settle();
        if self.crashed {
            return false;
        }
        let ends = self.running.keys().next().map(|(at, _)| *at);
        let timer = self.queue.poll_timeout().map(|at| at.as_secs());
        let Some(next) = ends.into_iter().chain(timer).min().filter(|next| *next <= until) else {
            return false;
        };
        assert!(
            next >= self.now || ends == Some(next),
            "a timer that is never done with: {timer:?} at {}",
            self.now
        );
        self.now = self.now.max(next);
        if ends == Some(next) {
            let (_, attempt) = self.running.pop_first().expect("there is one");
            self.finish(attempt);
        }
        self.settle();
        !self.crashed
    }

    /// Brings messages into the window, as for an operator.
    pub(crate) fn fetch(&mut self, mut which: impl FnMut(MessageId) -> bool) {
        let ids: Vec<_> = self.queue.ids(None).filter(|id| which(*id)).collect();
        for id in ids {
            if let Some(load) = self.queue.load(at(self.now), id) {
                let values: Vec<_> = load.keys().iter().map(|key| self.disk.get(key).cloned()).collect();
                self.queue.handle_loaded(at(self.now), load, values);
            }
        }
    }

    /// The machine stops, and starts again with what is on its disk.
    pub(crate) fn restart(&mut self) {
        self.running.clear();
        self.crashed = false;
        self.crash_at = None;
        let (queue, damage) = Queue::restore(self.config.clone(), SEED, at(self.now), &self.disk);
        assert_eq!(damage, []);
        self.queue = queue;
        self.queue.check();
    }

    pub(crate) fn reports(&self) -> Vec<(u64, String)> {
        let seen = self.seen.iter();
        let text = |report: &Report| String::from_utf8(report.head.to_vec()).expect("text");
        seen.filter_map(|(at, seen)| match seen {
            Seen::Report(report) => Some((at - START, text(report))),
            _ => None,
        })
        .collect()
    }

    /// When there were deliveries, since the start.
    pub(crate) fn tries(&self) -> Vec<u64> {
        let seen = self.seen.iter();
        seen.filter(|(_, seen)| matches!(seen, Seen::Delivery { .. })).map(|(at, _)| at - START).collect()
    }

    pub(crate) fn connections(&self, site: &str) -> usize {
        self.seen.iter().filter(|(_, seen)| matches!(seen, Seen::Connection(name) if name == site)).count()
    }

    /// Each recipient that was accepted is one of: queued, taken by its host, reported, and reported at most once.
    pub(crate) fn account(&self, may_vanish: impl Fn(MessageId, &str) -> bool) {
        for (key, count) in &self.reported {
            assert_eq!(*count, 1, "reported more than once: {key:?}");
        }
        let here = |id| self.queue.show(id).is_some();
        let parked: BTreeSet<_> = self.queue.ids(None).filter(|id| !here(*id)).collect();
        for key in &self.accepted {
            let queued = self.queue.show(key.0).is_some_and(|message| {
                message
                    .recipients()
                    .any(|to| to.address.as_str() == key.1 && to.standing.to_string() != "given up")
            });
            let told = self.reported.contains_key(key);
            let known = queued
                || parked.contains(&key.0)
                || told
                || self.delivered.contains_key(key)
                || may_vanish(key.0, &key.1);
            assert!(known, "lost: {key:?}");
        }
    }
}
