//! Anything that a host can do to a queue, in any order, with stops of the machine at any moment: nobody is lost, told twice,
//! or left waiting for ever.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use relay_queue::queue::{Load, Order, Which};
use relay_queue::{
    Address, Answer, Attempt, BodyHandle, Change, Commit, Config, Ending, Envelope, Event, Limits, MessageId,
    Outcome, Queue, Route, Status,
};

/// A recipient of a message.
type Who = (MessageId, String);

/// The first octet chooses the limits, the second one how many messages are in memory, the first also whether the disk flips
/// bits; each further pair is something that happens.
pub fn run(data: &[u8]) {
    // A life of a few hundred things has everything in it; the end of a longer one takes too long to wait for.
    let mut octets = data.iter().copied().take(800);
    let mut host = Host::new(octets.next().unwrap_or(0), octets.next().unwrap_or(0));
    while let Some(octet) = octets.next() {
        host.happen(octet, octets.next().unwrap_or(0));
        host.queue.check();
    }
    host.end();
}

struct Host {
    queue: Queue,
    config: Config,
    now: u64,
    disk: BTreeMap<Bytes, Bytes>,
    flips: bool,
    commits: VecDeque<Commit>,
    questions: VecDeque<String>,
    attempts: VecDeque<Attempt>,
    loads: VecDeque<Load>,
    accepted: BTreeSet<Who>,
    done: BTreeSet<Who>,
    told: BTreeSet<Who>,
    silent: BTreeSet<MessageId>,
    /// Messages of which an operator has dropped something.
    dropped: BTreeSet<MessageId>,
}

impl Host {
    fn new(chosen: u8, window: u8) -> Self {
        let bits = usize::from(chosen);
        let limits = Limits::default()
            .attempts(1 + bits % 4)
            .resolves(1 + bits / 4 % 4)
            .transaction(1 + bits / 16 % 4)
            .resident(
                [usize::MAX, 1, 2, 5][usize::from(window % 4)],
                [usize::MAX, 1_000][usize::from(window / 4 % 2)],
            );
        let config = Config::new("mail.test").expect("a name").limits(limits);
        Self {
            queue: Queue::new(config.clone(), 1),
            config,
            now: 1_700_000_000,
            disk: BTreeMap::new(),
            flips: chosen & 0x80 != 0,
            commits: VecDeque::new(),
            questions: VecDeque::new(),
            attempts: VecDeque::new(),
            loads: VecDeque::new(),
            accepted: BTreeSet::new(),
            done: BTreeSet::new(),
            told: BTreeSet::new(),
            silent: BTreeSet::new(),
            dropped: BTreeSet::new(),
        }
    }

    fn now(&self) -> Duration {
        Duration::from_secs(self.now)
    }

    fn happen(&mut self, what: u8, how: u8) {
        match what % 13 {
            0 => self.accept(how),
            1 => self.poll(how % 8 + 1),
            2 => self.store(how),
            3 => self.answer(how),
            4..=6 => self.deliver(how),
            7 => {
                if let Some(next) = self.queue.poll_timeout() {
                    self.now = self.now.max(next.as_secs());
                }
            }
            8 => self.now += [1, 60, 3_600, 14_400, 110_000, 300_000_000][usize::from(how % 6)],
            9 => self.now = self.now.saturating_sub([1, 61, 3_600, 300_000_000][usize::from(how % 4)]),
            10 => self.order(how),
            11 => self.load(how),
            _ => self.stop(how),
        }
        self.queue.handle_timeout(self.now());
    }

    fn accept(&mut self, how: u8) {
        // Enough of them to matter, and few enough to see the end of.
        if self.queue.len() >= 40 {
            return;
        }
        let from = (how & 1 == 0).then(|| Address::new("alice@a.test").expect("an address"));
        let mut envelope = Envelope::new(from, BodyHandle(1));
        let to: Vec<_> = (0..1 + how / 2 % 5)
            .map(|number| format!("u{number}@d{}.test", (number + how / 16) % 3))
            .collect();
        for to in &to {
            envelope = envelope.to(Address::new(to).expect("an address"));
        }
        let Ok(commit) = self.queue.accept(self.now(), envelope) else {
            return;
        };
        self.commits.push_back(commit);
    }

    fn poll(&mut self, times: u8) {
        for _ in 0..times {
            match self.queue.poll(self.now()) {
                Some(Event::Commit(commit)) => self.commits.push_back(commit),
                Some(Event::Resolve(domain)) => self.questions.push_back(domain),
                Some(Event::Attempt(attempt)) => self.attempts.push_back(attempt),
                Some(Event::Load(load)) => self.loads.push_back(load),
                Some(_) => {}
                None => break,
            }
        }
    }

    /// The commits need no order among each other.
    fn store(&mut self, how: u8) {
        let at = usize::from(how >> 4) % self.commits.len().max(1);
        let Some(commit) = self.commits.remove(at) else {
            return;
        };
        if how % 8 == 7 {
            return self.queue.handle_failed(commit.id);
        }
        self.apply(&commit);
        self.queue.handle_durable(commit.id);
    }

    fn apply(&mut self, commit: &Commit) {
        for change in &commit.changes {
            match change.clone() {
                Change::Put { key, value } => drop(self.disk.insert(key, value)),
                Change::Remove { key } => drop(self.disk.remove(&key)),
            }
        }
        if self.queue.show(commit.message).is_some_and(|view| view.from().is_none()) {
            self.silent.insert(commit.message);
        }
        // What is durable is accepted, whether or not the queue comes to know.
        for to in
            self.queue.show(commit.message).into_iter().flat_map(|view| view.recipients().collect::<Vec<_>>())
        {
            self.accepted.insert((commit.message, to.address.to_string()));
        }
        if let Some(report) = &commit.report {
            assert!(self.flips || !self.silent.contains(&commit.message), "a report to nobody");
            let text = String::from_utf8_lossy(&report.head).into_owned();
            assert!(text.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
            for group in text.split("\r\n\r\n").filter(|group| group.contains("\r\nAction: failed\r\n")) {
                let to = group
                    .split("rfc822; ")
                    .nth(1)
                    .and_then(|to| to.split("\r\n").next())
                    .expect("a recipient");
                assert!(self.told.insert((commit.message, to.to_owned())) || self.flips, "told twice");
            }
        }
    }

    fn load(&mut self, how: u8) {
        let at = usize::from(how >> 4) % self.loads.len().max(1);
        let Some(load) = self.loads.remove(at) else {
            return;
        };
        match how % 8 {
            6 => drop(load),
            7 => self.queue.handle_not_loaded(self.now(), load),
            _ => {
                let values: Vec<_> = load.keys().iter().map(|key| self.disk.get(key).cloned()).collect();
                self.queue.handle_loaded(self.now(), load, values);
            }
        }
    }

    /// All messages, as an operator has them before an order for all.
    fn load_all(&mut self) {
        let ids: Vec<_> = self.queue.ids(None).collect();
        for id in ids {
            if let Some(load) = self.queue.load(self.now(), id) {
                self.loads.push_back(load);
            }
        }
        while !self.loads.is_empty() {
            self.load(0);
        }
    }

    fn answer(&mut self, how: u8) {
        let Some(domain) = self.questions.pop_front() else {
            return;
        };
        let until = self.now() + Duration::from_secs(u64::from(how) * 100);
        let answer = Answer::local(Status::new(4, 4, 3), "no answer");
        let route = match how % 8 {
            0 => return,
            1 => Route::Failed { answer, permanent: false, until },
            2 => Route::Failed { answer, permanent: true, until },
            how => Route::Site { site: format!("s{}", how % 3), until },
        };
        self.queue.handle_route(self.now(), &domain, route);
    }

    fn deliver(&mut self, how: u8) {
        let at = usize::from(how >> 5) % self.attempts.len().max(1);
        let Some(mut attempt) = self.attempts.remove(at) else {
            return;
        };
        let answer = |code| Answer::reply(code, None, "so be it\r\nAction: delivered").by("host");
        let Some(delivery) = attempt.delivery() else {
            return self.queue.handle_outcome(self.now(), attempt, Ending::Closed);
        };
        let (message, last) = (delivery.message, delivery.recipients.len());
        let to: Vec<_> = delivery.recipients.iter().map(|to| to.address().to_string()).collect();
        for (number, to) in to.into_iter().enumerate() {
            match (usize::from(how) + number) % 6 {
                0 | 1 => {
                    self.done.insert((message, to));
                    attempt.settle(number, Outcome::of(answer(250)));
                }
                2 => attempt.settle(number, Outcome::of(answer(550))),
                3 => attempt.settle(number, Outcome::of(answer(450))),
                4 => attempt.settle(number, Outcome::Unknown(answer(0))),
                _ => {}
            }
        }
        attempt.settle(last, Outcome::of(answer(250)));
        match how / 8 % 6 {
            0 => drop(attempt),
            1 => self.queue.handle_outcome(self.now(), attempt, Ending::Unreachable(answer(0))),
            2 => self.queue.handle_outcome(self.now(), attempt, Ending::Broken(answer(421))),
            3 => {
                self.queue.renew(self.now(), &attempt);
                self.attempts.push_back(attempt);
            }
            _ if self.queue.next_delivery(self.now(), &mut attempt) => self.attempts.push_back(attempt),
            _ => self.queue.handle_outcome(self.now(), attempt, Ending::Closed),
        }
    }

    fn order(&mut self, how: u8) {
        let order =
            [Order::Retry, Order::Hold, Order::Release, Order::Bounce, Order::Drop][usize::from(how % 5)];
        if how & 0x40 != 0 {
            self.load_all();
        }
        let ids: Vec<_> = self.queue.list().map(|view| view.id()).collect();
        let id = ids.get(usize::from(how / 5) % ids.len().max(1)).copied().unwrap_or(MessageId(0));
        let which = match how % 4 {
            0 => Which::Message(id),
            1 => Which::Destination("d1.test"),
            2 => Which::Destination("s1"),
            _ => Which::All,
        };
        if order == Order::Drop {
            self.dropped.extend(ids);
        }
        self.queue.handle_order(self.now(), which, order);
    }

    /// The machine stops; what was on its way to the disk is there, or not.
    fn stop(&mut self, how: u8) {
        for (number, commit) in core::mem::take(&mut self.commits).into_iter().enumerate() {
            if how >> (number % 8) & 1 != 0 {
                self.apply(&commit);
            }
        }
        self.questions.clear();
        self.attempts.clear();
        self.loads.clear();
        if self.flips && !self.disk.is_empty() {
            let number = usize::from(how) % self.disk.len();
            let key = self.disk.keys().nth(number).expect("it is there").clone();
            let mut octets = self.disk[&key].to_vec();
            let at = usize::from(how) * 7 % octets.len();
            octets[at] ^= 1 << (how % 8);
            self.disk.insert(key, octets.into());
        }
        let (queue, damage) = Queue::restore(self.config.clone(), 1, self.now(), &self.disk);
        assert!(damage.is_empty() || self.flips);
        self.queue = queue;
    }

    /// In the end everybody is delivered to, or told.
    fn end(&mut self) {
        self.load_all();
        self.queue.handle_order(self.now(), Which::All, Order::Release);
        for _ in 0..20_000 {
            self.poll(255);
            while !self.commits.is_empty() {
                self.store(0);
            }
            while !self.questions.is_empty() {
                self.answer(3);
            }
            while let Some(mut attempt) = self.attempts.pop_front() {
                attempt.settle_rest(&Outcome::of(Answer::reply(450, None, "later")));
                self.queue.handle_outcome(self.now(), attempt, Ending::Closed);
            }
            while !self.loads.is_empty() {
                self.load(0);
            }
            let Some(next) = self.queue.poll_timeout() else {
                if self.queue.parked() == 0 {
                    break;
                }
                // Held, outside the window.
                self.load_all();
                self.queue.handle_order(self.now(), Which::All, Order::Release);
                continue;
            };
            self.now = self.now.max(next.as_secs());
            // What was held behind the release.
            self.queue.handle_order(self.now(), Which::All, Order::Release);
        }
        self.queue.check();
        assert!(self.queue.is_empty(), "somebody is left waiting");
        if self.flips {
            return;
        }
        for who in &self.accepted {
            let excused = self.silent.contains(&who.0) || self.dropped.contains(&who.0);
            assert!(excused || self.done.contains(who) || self.told.contains(who), "lost: {who:?}");
        }
    }
}
