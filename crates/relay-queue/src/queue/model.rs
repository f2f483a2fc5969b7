//! Every state that a small queue can come into: two messages, three recipients, two destinations, and everything that a host
//! and the world can do to them, in every order.
//!
//! The states are those of the real [`Queue`], and the steps are calls of its public methods. What is only looked at here,
//! with the eyes of a module that sees private fields, is which two states are the same: those that differ in nothing but the
//! date, the numbers of messages and attempts, and what has been counted.

use core::hash::{BuildHasherDefault, Hasher};
use core::time::Duration;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::DefaultHasher;
use std::io::Write;

use bytes::Bytes;

use super::commit::Kind;
use super::message::{Slot, State, Warning};
use super::parked::{Entry, Place};
use super::site::Routing;
use super::{Attempt, Commit, Event, Fact, Load, Order, Queue, Route, Told, since_epoch};
use crate::envelope::{Address, BodyHandle, Envelope, MessageId};
use crate::limits::{Config, Limits};
use crate::outcome::{Answer, Ending, Outcome, Status};
use crate::record::{Change, Key, decode_head, decode_part};
use crate::schedule::{Schedule, Time, seconds};

/// Who is in which message, and whether that has a sender.
type Mail = (bool, &'static [&'static str]);

/// One thing that happens.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Accept,
    /// The next event that is no fact.
    Poll,
    Durable(usize),
    Failed(usize),
    /// The site of a domain, no such domain, no answer.
    Route(usize, u8),
    /// What came of each recipient of an attempt, and how it goes on.
    Outcome(usize, [u8; 2], Goes),
    /// The records of a message are read, or cannot be read now.
    Load(usize, bool),
    Tick,
    /// The machine is away for a while.
    Sleep,
    /// The machine stops; these of the commits under way had become durable.
    Restart(u8),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Goes {
    /// To the next delivery, or to its end.
    On,
    Broken,
    Unreachable,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Recipient {
    /// The sender's client may have been told 250.
    stored: bool,
    /// The queue knows that the next host has it.
    sure: bool,
    fate: Option<Fate>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fate {
    Delivered,
    Reported,
    Silent,
}

/// How much may happen between two looks of the driver.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Pace {
    /// It does what there is to do at once, and sleeps until there is more.
    Prompt,
    /// Anything: it may look late, and one event at a time.
    Any,
}

#[derive(Clone)]
struct World {
    mail: &'static [Mail],
    pace: Pace,
    resident: usize,
    queue: Queue,
    now: Time,
    disk: BTreeMap<Bytes, Bytes>,
    commits: Vec<(Commit, Vec<Fact>)>,
    questions: Vec<String>,
    attempts: Vec<Attempt>,
    loads: Vec<Load>,
    ids: Vec<MessageId>,
    /// Since when each is as free to be tried as it is now: the last answer to a commit of it.
    since: Vec<Time>,
    slept: bool,
    /// How many faults there may still be; any number if `None`.
    faults: Option<u8>,
    recipients: Vec<Recipient>,
}

fn config(pace: Pace, resident: usize) -> Config {
    let second = Duration::from_secs;
    let limits = Limits::default()
        .attempts(2)
        .resident(resident, usize::MAX)
        .window(1, 1)
        .lease(second(1))
        .resolve(second(1))
        .patience(second(0))
        .pause(second(1), second(1))
        .grace(second(1))
        .again(second(1));
    let schedule = Schedule::default()
        .jitter(0)
        .waits(&[second(1)])
        .expire(second(EXPIRE as u64))
        .warn((pace == Pace::Any).then(|| second(2)));
    Config::new("mail.test").expect("a name").limits(limits).schedule(schedule)
}

impl World {
    fn new(mail: &'static [Mail], pace: Pace, faults: Option<u8>, resident: usize) -> Self {
        let count = mail.iter().map(|(_, to)| to.len()).sum();
        Self {
            mail,
            pace,
            resident,
            queue: Queue::new(config(pace, resident), 1),
            now: START,
            disk: BTreeMap::new(),
            commits: Vec::new(),
            questions: Vec::new(),
            attempts: Vec::new(),
            loads: Vec::new(),
            ids: Vec::new(),
            since: Vec::new(),
            slept: false,
            faults,
            recipients: vec![Recipient::default(); count],
        }
    }

    fn time(&self) -> Duration {
        since_epoch(self.now)
    }

    /// What can happen now.
    fn steps(&self) -> Vec<Step> {
        let mut steps = vec![Step::Tick];
        if self.pace == Pace::Any {
            steps.push(Step::Poll);
        }
        if self.ids.len() < self.mail.len() && (self.now == START || self.pace == Pace::Any) {
            steps.push(Step::Accept);
        }
        for at in 0..self.commits.len() {
            steps.extend([Step::Durable(at), Step::Failed(at)]);
        }
        for at in 0..self.questions.len() {
            steps.extend((0..3).map(|kind| Step::Route(at, kind)));
        }
        for at in 0..self.loads.len() {
            steps.extend([Step::Load(at, true), Step::Load(at, false)]);
        }
        for (at, attempt) in self.attempts.iter().enumerate() {
            let count = attempt.delivery().map_or(0, |delivery| delivery.recipients.len());
            let ways = |place: usize| if place < count { OUTCOMES } else { 1 };
            for first in 0..ways(0) {
                for second in 0..ways(1) {
                    steps.push(Step::Outcome(at, [first, second], Goes::On));
                }
            }
            steps.extend([
                Step::Outcome(at, [UNKNOWN, NOTHING], Goes::Broken),
                Step::Outcome(at, [NOTHING; 2], Goes::Unreachable),
            ]);
        }
        if !self.ids.is_empty() {
            if !self.slept && self.pace == Pace::Any {
                steps.push(Step::Sleep);
            }
            steps.extend((0..1 << self.commits.len()).map(Step::Restart));
        }
        if self.faults == Some(0) {
            steps.retain(|step| !self.is_fault(*step));
        }
        steps
    }

    /// The disk, the machine, the network or the driver fails.
    fn is_fault(&self, step: Step) -> bool {
        match step {
            Step::Failed(_) | Step::Restart(_) | Step::Load(_, false) => true,
            Step::Outcome(_, _, goes) => goes != Goes::On,
            // An attempt is lost, or a load.
            Step::Tick => {
                let wakes = self.queue.poll_timeout().map_or(0, seconds);
                let loading =
                    |(_, entry): (_, &Entry)| matches!(entry.at, Place::Loading(_)) && entry.wake <= wakes;
                self.queue.attempts.values().any(|open| open.lease <= wakes)
                    || self.queue.window.parked.iter().any(loading)
            }
            _ => false,
        }
    }

    /// Does one of them. `false` if it comes to nothing.
    fn take(&mut self, step: Step) -> bool {
        let now = self.time();
        if self.is_fault(step) {
            self.faults.iter_mut().for_each(|left| *left -= 1);
        }
        match step {
            Step::Accept => {
                let (sender, to) = self.mail[self.ids.len()];
                let from = sender.then(|| Address::new("s@s.test").expect("good"));
                let mut envelope = Envelope::new(from, BodyHandle(1));
                for to in to {
                    envelope = envelope.to(Address::new(to).expect("good"));
                }
                let commit = self.queue.accept(now, envelope).expect("there is room");
                self.ids.push(commit.message);
                self.since.push(self.now);
                self.keep(commit);
            }
            Step::Poll => return self.poll(),
            Step::Durable(at) => {
                let (commit, facts) = self.commits.remove(at);
                self.write(&commit, &facts);
                self.freed(commit.message);
                self.queue.handle_durable(commit.id);
            }
            Step::Failed(at) => {
                let (commit, _) = self.commits.remove(at);
                self.freed(commit.message);
                self.queue.handle_failed(commit.id);
            }
            Step::Route(at, kind) => {
                let domain = self.questions.remove(at);
                let until = since_epoch(self.now + 86_400);
                let answer = Answer::local(Status::new(4, 4, 3), "no");
                let route = match kind {
                    0 => Route::Site { site: domain.clone(), until },
                    _ => Route::Failed { answer, permanent: kind == 1, until: now },
                };
                self.queue.handle_route(now, &domain, route);
            }
            Step::Outcome(at, outcomes, goes) => {
                let mut attempt = self.attempts.remove(at);
                let open = self.queue.attempts.contains_key(&attempt.number());
                let to = attempt
                    .delivery()
                    .map_or_else(Vec::new, |delivery| who(delivery.message, &delivery.recipients, self));
                for (place, (who, outcome)) in to.into_iter().zip(outcomes).enumerate() {
                    let answer = Answer::reply(400, None, "x");
                    attempt.settle(
                        place,
                        match outcome {
                            DEFERRED => Outcome::Deferred(answer),
                            TAKEN => Outcome::Delivered(answer),
                            REFUSED => Outcome::Refused(answer),
                            UNKNOWN => Outcome::Unknown(answer),
                            _ => continue,
                        },
                    );
                    self.recipients[who].sure |= open && outcome == TAKEN;
                }
                let gone = || Answer::local(Status::new(4, 4, 2), "gone");
                match goes {
                    Goes::On if self.queue.next_delivery(now, &mut attempt) => {
                        self.see(&attempt);
                        self.attempts.push(attempt);
                    }
                    Goes::On => self.queue.handle_outcome(now, attempt, Ending::Closed),
                    Goes::Broken => self.queue.handle_outcome(now, attempt, Ending::Broken(gone())),
                    Goes::Unreachable => self.queue.handle_outcome(now, attempt, Ending::Unreachable(gone())),
                }
            }
            Step::Load(at, good) => {
                let load = self.loads.remove(at);
                self.freed(load.message());
                if good {
                    let values: Vec<_> = load.keys().iter().map(|key| self.disk.get(key).cloned()).collect();
                    self.queue.handle_loaded(now, load, values);
                } else {
                    self.queue.handle_not_loaded(now, load);
                }
            }
            Step::Tick | Step::Sleep => {
                // One that comes back behind its lease comes at once, or never.
                let open = &self.queue.attempts;
                self.attempts.retain(|attempt| open.contains_key(&attempt.number()));
                let queue = &self.queue;
                self.loads.retain(|load| queue.is_awaited(load));
                self.slept |= step == Step::Sleep;
                self.now = match (step, self.pace) {
                    (Step::Sleep, _) => self.now + 1_000,
                    (_, Pace::Any) => self.now + 1,
                    (_, Pace::Prompt) => match self.queue.poll_timeout().map(seconds) {
                        Some(next) if next > self.now => next,
                        _ => return false,
                    },
                };
                self.queue.handle_timeout(self.time());
            }
            Step::Restart(durable) => {
                for (at, (commit, facts)) in core::mem::take(&mut self.commits).into_iter().enumerate() {
                    if durable & 1 << at != 0 {
                        self.write(&commit, &facts);
                    }
                }
                self.questions.clear();
                self.loads.clear();
                self.attempts.clear();
                for recipient in &mut self.recipients {
                    recipient.sure = recipient.fate == Some(Fate::Delivered);
                }
                let (queue, damage) = Queue::restore(config(self.pace, self.resident), 1, now, &self.disk);
                assert!(damage.is_empty());
                self.queue = queue;
            }
        }
        while self.pace == Pace::Prompt && self.poll() {}
        // In a window of one, it waits for another that nothing can be done about.
        let busy = self.queue.messages.values().any(|message| !self.queue.can_leave(message));
        for at in (0..self.ids.len()).filter(|_| self.resident == 1 && (busy || !self.loads.is_empty())) {
            if self.queue.window.parked.get(self.ids[at]).is_some() {
                self.since[at] = self.now;
            }
        }
        // In which order they were handed out is of no consequence, and would make more states of one.
        self.questions.sort_unstable();
        self.commits.sort_by_key(|(commit, _)| commit.message);
        let numbers = |delivery: &super::Delivery| (delivery.message, delivery.recipients[0].address.clone());
        self.attempts.sort_by_cached_key(|attempt| attempt.delivery().map(numbers));
        true
    }

    /// The next event that is no fact.
    fn poll(&mut self) -> bool {
        match self.queue.poll(self.time()) {
            None => return false,
            Some(Event::Fact(_)) => return self.poll(),
            Some(Event::Commit(commit)) => self.keep(commit),
            Some(Event::Load(load)) => self.loads.push(load),
            Some(Event::Resolve(domain)) => {
                self.questions.retain(|other| *other != domain);
                self.questions.push(domain);
            }
            Some(Event::Attempt(attempt)) => {
                self.see(&attempt);
                self.attempts.push(attempt);
            }
        }
        true
    }

    fn freed(&mut self, message: MessageId) {
        let at = self.place(message).expect("one of ours");
        self.since[at] = self.now;
    }

    fn accepted(&self, id: MessageId) -> Option<Time> {
        let here = self.queue.messages.get(&id).map(|message| message.accepted);
        here.or_else(|| self.queue.window.parked.get(id).map(|entry| entry.accepted))
    }

    /// When it is over with a message at the latest: its time is up, it has waited for its last attempt, and had it.
    fn deadline(&self, at: usize) -> Time {
        let limits = &self.queue.config.limits;
        let expiry = self.accepted(self.ids[at]).expect("it is there") + EXPIRE;
        expiry.max(self.queue.awake).max(self.since[at]) + limits.grace + limits.lease
    }

    /// A commit is with the driver.
    fn keep(&mut self, commit: Commit) {
        let facts = self.queue.commits[&commit.id.0].facts.clone();
        self.commits.push((commit, facts));
    }

    /// A delivery is handed out.
    fn see(&self, attempt: &Attempt) {
        let delivery = attempt.delivery().expect("there is one");
        for who in who(delivery.message, &delivery.recipients, self) {
            let recipient = self.recipients[who];
            assert!(recipient.stored, "tried before it is durable");
            assert!(!recipient.sure && recipient.fate.is_none(), "delivered again, with nothing lost");
        }
        let id = delivery.message;
        for other in &self.attempts {
            let same = other.delivery().filter(|other| other.message == id);
            let open = self.queue.attempts.contains_key(&other.number());
            let shared = |other: &crate::queue::Delivery| {
                other
                    .recipients
                    .iter()
                    .any(|to| delivery.recipients.iter().any(|mine| mine.address == to.address))
            };
            assert!(!open || !same.is_some_and(shared), "two attempts for one recipient");
        }
    }

    /// A commit becomes durable.
    fn write(&mut self, commit: &Commit, facts: &[Fact]) {
        for change in &commit.changes {
            match change.clone() {
                Change::Put { key, value } => drop(self.disk.insert(key, value)),
                Change::Remove { key } => drop(self.disk.remove(&key)),
            }
        }
        let mut told = 0;
        for fact in facts {
            let (recipient, fate) = match fact {
                Fact::Accepted { message, .. } => {
                    for who in self.of(*message) {
                        self.recipients[who].stored = true;
                    }
                    continue;
                }
                Fact::Delivered { recipient, .. } => (recipient, Fate::Delivered),
                Fact::Failed { recipient, told: Told::Yes, .. } => (recipient, Fate::Reported),
                Fact::Failed { recipient, .. } => (recipient, Fate::Silent),
                _ => continue,
            };
            let who = self.number(commit.message, recipient);
            assert_eq!(self.recipients[who].fate, None, "a second end: {fact}");
            self.recipients[who].fate = Some(fate);
            let name = format!("Final-Recipient: rfc822; {recipient}\r\nAction: failed");
            let named = commit
                .report
                .as_ref()
                .is_some_and(|report| String::from_utf8_lossy(&report.head).contains(&name));
            assert_eq!(named, fate == Fate::Reported, "what is in the report of {recipient}");
            told += usize::from(named);
        }
        let failed = commit
            .report
            .as_ref()
            .map_or(0, |report| String::from_utf8_lossy(&report.head).matches("Action: failed").count());
        assert_eq!(failed, told, "told without an end");
    }

    /// Which message it is. An identifier that was never durable is given out again.
    fn place(&self, message: MessageId) -> Option<usize> {
        self.ids.iter().rposition(|id| *id == message)
    }

    fn of(&self, message: MessageId) -> core::ops::Range<usize> {
        let at = self.place(message).expect("one of ours");
        let first = self.mail[..at].iter().map(|(_, to)| to.len()).sum();
        first..first + self.mail[at].1.len()
    }

    fn number(&self, message: MessageId, recipient: &Address) -> usize {
        let at = self.place(message).expect("one of ours");
        let place = self.mail[at].1.iter().position(|to| *to == recipient.as_str()).expect("one of its own");
        self.of(message).start + place
    }

    /// What holds in every state.
    fn check(&self) {
        self.queue.check();
        for (at, id) in self.ids.iter().enumerate().filter(|(at, id)| self.place(**id) == Some(*at)) {
            let saving = self.commits.iter().any(|(commit, _)| commit.message == *id);
            let mine = self.of(*id);
            let open = mine.clone().filter(|who| {
                let recipient = self.recipients[*who];
                recipient.stored && recipient.fate.is_none()
            });
            if open.count() == 0 {
                continue;
            }
            let message = self.queue.messages.get(id);
            assert!(self.accepted(*id).is_some(), "message {at} is forgotten");
            let loading = self.loads.iter().any(|load| load.message() == *id);
            // Outside a window that is full of one whose commit is under way.
            let outside = message.is_none() && !self.queue.has_room() && !self.commits.is_empty();
            if saving || loading || outside {
                continue;
            }
            // It wakes by itself, in time; but for a commit that has failed.
            let wakes = self.queue.poll_timeout().expect("something is to come");
            let (deadline, stalled) =
                (self.deadline(at), message.is_some_and(|message| message.stalled.is_some()));
            assert!(wakes <= since_epoch(self.now.max(deadline)) || stalled, "wakes behind its deadline");
            let until = message.and_then(|message| message.stalled);
            assert!(until.is_none_or(|until| wakes <= since_epoch(until)), "stalled without end");
            let idle = wakes > self.time();
            assert!(!idle || self.now <= deadline || stalled, "kept behind its deadline");
            let held =
                message.is_some_and(|message| message.slots.iter().any(|slot| slot.state == State::Held));
            assert!(!held, "nobody has held it");
        }
        if self.queue.is_empty() {
            assert!(self.disk.len() <= 1, "records are left behind");
        }
    }

    fn is_over(&self) -> bool {
        !self.ids.is_empty() && self.queue.is_empty()
    }

    /// What tells this state from others.
    fn key(&self) -> u128 {
        let mut out = Print::default();
        let (queue, now) = (&self.queue, self.now);
        let number = |id: MessageId| self.place(id).map_or(-1, |at| at as i64);
        let rel = |at: Time| at.saturating_sub(now).clamp(-HORIZON, HORIZON);
        out.put(
            self.ids.len() as i64 | i64::from(self.slept) << 8 | i64::from(self.faults.unwrap_or(0)) << 9,
        );
        for recipient in &self.recipients {
            out.put(i64::from(recipient.stored) | i64::from(recipient.sure) << 1);
            out.put(recipient.fate.map_or(-1, |fate| fate as i64));
        }
        out.put(i64::from(queue.next_id >= queue.ceiling));
        let slot = |slot: &Slot, out: &mut Print| {
            out.put(match slot.state {
                State::Waiting => 0,
                State::Ready => 1,
                State::Trying(_) => 2,
                State::Held => 3,
                State::Delivered => 4,
                State::Failed => 5,
                State::Dropped => 6,
            });
            if !slot.state.is_final() {
                out.put(rel(slot.next));
            }
            out.put(i64::from(slot.unsaved) | i64::from(slot.saving) << 1);
            out.put(i64::from(slot.site.is_some()) | i64::from(slot.wish == Some(Order::Hold)) << 1);
        };
        for (id, message) in &queue.messages {
            out.put(number(*id));
            out.put(rel(message.accepted));
            out.put(rel(queue.grace(message).from));
            out.put(rel(self.since[number(*id) as usize].max(queue.grace(message).from)));
            out.put(match message.warning {
                Warning::None => 0,
                Warning::Due => 1,
                Warning::Saving => 2,
                Warning::Told => 3,
            });
            out.put(
                i64::from(message.active) | i64::from(message.saving) << 1 | i64::from(message.listed) << 2,
            );
            out.put(message.stalled.map_or(99, rel));
            out.put(message.deadline.map_or(99, rel));
            message.slots.iter().for_each(|it| slot(it, &mut out));
            self.facts(&message.facts, &mut out);
        }
        let window = &queue.window;
        for (id, entry) in window.parked.iter() {
            out.put(number(id) + 50);
            out.put(rel(entry.accepted));
            out.put(if entry.wake == super::parked::NEVER { 99 } else { rel(entry.wake) });
            out.put(match entry.at {
                Place::Waiting => 0,
                Place::Line => 1,
                Place::Urgent => 2,
                Place::Loading(_) => 3,
                Place::Unreadable => 4,
            });
            out.put(
                i64::from(entry.domain == super::parked::SEVERAL)
                    | i64::from(window.late.contains_key(&id)) << 1,
            );
            let from = (entry.accepted + EXPIRE).max(queue.awake);
            out.put(rel(from));
            out.put(rel(self.since[number(id) as usize].max(from)));
        }
        out.put(-2);
        out.put(rel(window.rest).max(0));
        for load in &self.loads {
            out.put(number(load.message()) | i64::from(queue.is_awaited(load)) << 2);
        }
        out.put(-2);
        queue.to_save.iter().for_each(|id| out.put(number(*id)));
        out.put(-2);
        for (name, domain) in &queue.domains {
            out.text(name);
            match &domain.routing {
                Routing::Unknown => out.put(0),
                Routing::Listed => out.put(1),
                Routing::Asked { deadline } => {
                    out.put(2);
                    out.put(rel(*deadline));
                }
                Routing::Site { until, .. } => {
                    out.put(3);
                    out.put(i64::from(*until > now));
                }
                Routing::Failed { permanent, learnt, until, .. } => {
                    out.put(4 + i64::from(*permanent));
                    if *until > now {
                        out.put(rel(*learnt));
                        out.put(rel(*until));
                    }
                }
            }
        }
        queue.to_ask.iter().for_each(|name| out.text(name));
        out.put(-2);
        for (name, site) in &queue.sites {
            out.text(name);
            site.ready.keys().for_each(|key| out.put(i64::from(*key > site.turn)));
            out.put(if site.turn.0 == now { number(site.turn.1) } else { -1 });
            out.put(i64::from(site.open));
            out.put(i64::from(site.failures.min(1)));
            out.put(rel(site.closed_until).max(0));
            out.put(site.timer.map_or(99, rel));
        }
        queue.open_sites.iter().for_each(|name| out.text(name));
        out.put(-2);
        for attempt in &self.attempts {
            match queue.attempts.get(&attempt.number()) {
                None => out.put(-3),
                Some(open) => {
                    out.put(rel(open.lease));
                    out.put(i64::from(attempt.number() >= queue.sites[&open.site].epoch));
                }
            }
            out.text(attempt.site());
            if let Some(delivery) = attempt.delivery() {
                who(delivery.message, &delivery.recipients, self)
                    .into_iter()
                    .for_each(|who| out.put(who as i64));
            }
        }
        out.put(-2);
        // Those that nobody is at any more: their leases still run.
        for (number, open) in &queue.attempts {
            if !self.attempts.iter().any(|attempt| attempt.number() == *number) {
                out.put(rel(open.lease));
                out.text(&open.site);
                out.put(i64::from(*number >= queue.sites[&open.site].epoch));
                out.put(open.work.as_ref().map_or(-1, |work| work.1.iter().map(|at| 1 + *at as i64).sum()));
            }
        }
        self.questions.iter().for_each(|name| out.text(name));
        let record = |key: &[u8], value: &[u8], out: &mut Print| match Key::decode(key) {
            Some(Key::Message(id)) => {
                let head = decode_head(value).expect("our own");
                out.put(number(id));
                out.put(rel(head.message.accepted));
                out.put(i64::from(head.message.warning == Warning::Told));
            }
            Some(Key::Part(id, _)) => {
                out.put(number(id) + 10);
                let part = decode_part(value, |name| name.into(), |last| last).expect("our own");
                part.slots.iter().for_each(|it| slot(it, out));
            }
            _ => {}
        };
        for (commit, facts) in &self.commits {
            out.put(match queue.commits[&commit.id.0].kind {
                Kind::Accept { .. } => 20,
                Kind::Change => 21,
                Kind::Remove => 22,
            });
            out.put(number(commit.message));
            for change in &commit.changes {
                match change {
                    Change::Put { key, value } => record(key, value, &mut out),
                    Change::Remove { .. } => out.put(23),
                }
            }
            self.facts(facts, &mut out);
        }
        out.put(-2);
        self.disk.iter().for_each(|(key, value)| record(key, value, &mut out));
        out.finish()
    }

    fn facts(&self, facts: &[Fact], out: &mut Print) {
        for fact in facts {
            match fact {
                Fact::Delivered { message, recipient, .. } => {
                    out.put(30 + self.number(*message, recipient) as i64)
                }
                Fact::Failed { message, recipient, .. } => {
                    out.put(40 + self.number(*message, recipient) as i64)
                }
                // Said, and of no consequence.
                _ => {}
            }
        }
        out.put(-2);
    }
}

/// The recipients of a delivery, by their numbers here.
fn who(message: MessageId, to: &[crate::envelope::Recipient], world: &World) -> Vec<usize> {
    to.iter().map(|to| world.number(message, &to.address)).collect()
}

/// Two hashes side by side, since a collision would hide a state.
struct Print([DefaultHasher; 2]);

impl Default for Print {
    fn default() -> Self {
        let mut salted = DefaultHasher::new();
        salted.write_u64(0x706f_7374);
        Self([DefaultHasher::new(), salted])
    }
}

impl Print {
    fn put(&mut self, number: i64) {
        self.0.iter_mut().for_each(|hasher| hasher.write_i64(number));
    }

    fn text(&mut self, text: &str) {
        self.0.iter_mut().for_each(|hasher| hasher.write(text.as_bytes()));
        self.put(-4);
    }

    fn finish(self) -> u128 {
        u128::from(self.0[0].finish()) << 64 | u128::from(self.0[1].finish())
    }
}

/// Goes through all states, and says how many states and steps there are.
fn explore(mail: &'static [Mail], pace: Pace, faults: Option<u8>, resident: usize) -> (usize, usize) {
    let mut known =
        HashMap::<u128, u32, BuildHasherDefault<DefaultHasher>>::with_hasher(BuildHasherDefault::default());
    // How each was first come to.
    let mut from = vec![(0, Step::Tick)];
    // Which states lead here by steps that do not depend on luck: the disk works, time passes, and nobody takes anything.
    let mut unlucky = Vec::<(u32, u32)>::new();
    let mut over = Vec::new();
    let first = World::new(mail, pace, faults, resident);
    known.insert(first.key(), 0);
    let mut ahead = VecDeque::from([(0_u32, first)]);
    let mut steps = 0;
    while let Some((state, world)) = ahead.pop_front() {
        if world.is_over() {
            over.push(state);
        }
        for step in world.steps() {
            let mut next = world.clone();
            let tell = || path(&from, state);
            if !guarded(|| next.take(step), |why| format!("{why} by {step:?} after {:#?}", tell())) {
                continue;
            }
            steps += 1;
            let count = known.len() as u32;
            let number = *known.entry(next.key()).or_insert(count);
            if number == count {
                guarded(|| next.check(), |why| format!("{why} by {step:?} after {:#?}", tell()));
                from.push((state, step));
                ahead.push_back((number, next));
            }
            let plain = matches!(
                step,
                Step::Accept
                    | Step::Poll
                    | Step::Tick
                    | Step::Durable(_)
                    | Step::Route(_, 2)
                    | Step::Load(_, true)
            );
            if plain || matches!(step, Step::Outcome(_, [DEFERRED, DEFERRED], Goes::On)) {
                unlucky.push((number, state));
            }
        }
    }
    // Backwards from the empty queue: every state has to be on a way to it.
    unlucky.sort_unstable();
    let mut ends = vec![false; from.len()];
    over.iter().for_each(|state| ends[*state as usize] = true);
    while let Some(state) = over.pop() {
        let before = unlucky.partition_point(|(to, _)| *to < state);
        for (_, before) in unlucky[before..].iter().take_while(|(to, _)| *to == state) {
            if !core::mem::replace(&mut ends[*before as usize], true) {
                over.push(*before);
            }
        }
    }
    if let Some(stranded) = ends.iter().position(|ends| !ends) {
        panic!("never empty again after {:#?}", path(&from, stranded as u32));
    }
    (from.len(), steps)
}

/// Adds to a panic how it was come to.
fn guarded<T>(work: impl FnOnce() -> T, tell: impl FnOnce(&str) -> String) -> T {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let why = panic.downcast_ref::<String>().map(String::as_str);
        panic!("{}", tell(why.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default()))
    })
}

fn path(from: &[(u32, Step)], mut state: u32) -> Vec<Step> {
    let mut path = Vec::new();
    while state != 0 {
        let (before, step) = from[state as usize];
        path.push(step);
        state = before;
    }
    path.reverse();
    path
}

/// Past the test harness, which keeps to itself what a test prints that passes.
fn say(what: &str, (states, steps): (usize, usize)) {
    let line = format!("queue model, {what}: {states} states, {steps} steps\n");
    #[allow(clippy::disallowed_methods, reason = "a test that tells how much it has looked at")]
    let _ = std::io::stderr().write_all(line.as_bytes());
}

#[test]
fn every_state_of_a_message_to_two_destinations_beside_one_from_nobody() {
    say("two destinations and one, one fault", explore(SPREAD, Pace::Prompt, Some(1), usize::MAX));
}

#[test]
fn every_state_of_a_message_to_two_recipients_beside_one_to_another_destination() {
    say("two recipients and one, two faults", explore(TOGETHER, Pace::Prompt, Some(2), usize::MAX));
}

#[test]
fn every_state_of_one_message_with_any_number_of_faults() {
    say("two destinations, any faults", explore(&SPREAD[..1], Pace::Prompt, None, usize::MAX));
    say("two recipients, any faults", explore(&TOGETHER[..1], Pace::Prompt, None, usize::MAX));
}

#[test]
fn every_state_of_one_recipient_with_a_driver_that_is_slow() {
    say("one recipient, a slow driver", explore(&SPREAD[1..], Pace::Any, None, usize::MAX));
}

#[test]
fn every_state_of_two_messages_that_take_turns_in_a_window_of_one() {
    say("one each, a window of one, any faults", explore(APART, Pace::Prompt, None, 1));
    say("one each to the same, a window of one, any faults", explore(ALIKE, Pace::Prompt, None, 1));
}

#[test]
fn every_state_of_a_message_to_two_destinations_beside_one_in_a_window_of_one() {
    say("two destinations and one, a window of one, one fault", explore(SPREAD, Pace::Prompt, Some(1), 1));
}

#[test]
fn every_state_of_a_message_to_two_recipients_beside_one_in_a_window_of_one() {
    say("two recipients and one, a window of one, one fault", explore(TOGETHER, Pace::Prompt, Some(1), 1));
}

#[test]
#[ignore = "takes a minute or two, and a gigabyte"]
fn every_state_of_two_messages_with_any_number_of_faults() {
    say("two recipients and one, any faults", explore(TOGETHER, Pace::Prompt, None, usize::MAX));
}

const SPREAD: &[Mail] = &[(true, &["a@x.test", "b@y.test"]), (false, &["c@x.test"])];
const TOGETHER: &[Mail] = &[(true, &["a@x.test", "b@x.test"]), (false, &["c@y.test"])];
const APART: &[Mail] = &[(true, &["a@x.test"]), (false, &["c@y.test"])];
const ALIKE: &[Mail] = &[(true, &["a@x.test"]), (false, &["c@x.test"])];
const START: Time = 1_000_000;
const EXPIRE: Time = 2;
const HORIZON: Time = 6;
/// The first of the following, with which a connection goes on.
const OUTCOMES: u8 = 3;
const DEFERRED: u8 = 0;
const TAKEN: u8 = 1;
const REFUSED: u8 = 2;
const UNKNOWN: u8 = 3;
const NOTHING: u8 = 9;
