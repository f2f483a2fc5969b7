//! The queue: what it asks of its driver, its clock, and who is due. The drawing of all states is in `docs/states.md`.

mod attempt;
mod check;
mod commit;
mod fact;
pub(crate) mod message;
#[cfg(test)]
mod model;
mod operator;
mod parked;
mod restore;
mod site;
mod window;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use self::attempt::Open;
pub use self::attempt::{Attempt, Delivery};
use self::commit::Saving;
pub use self::fact::{Fact, Told};
use self::message::{Last, Message, Name, Slot, State, Warning};
pub use self::operator::{Order, RecipientView, Standing, View, Which};
pub use self::restore::Damage;
use self::restore::Restoring;
pub use self::site::Route;
use self::site::{Domain, Site};
pub use self::window::Load;
use self::window::Window;
use crate::dsn::Report;
use crate::envelope::{BodyHandle, MessageId};
use crate::error::RecordError;
use crate::limits::Config;
use crate::outcome::{Answer, Status};
use crate::record::Change;
use crate::schedule::{Next, Schedule, Time, seconds};
use crate::seed::Seed;

/// What tells one commit from another. It does not outlive its queue.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CommitId(u64);

/// Everything that has to become durable together, or not at all.
///
/// The driver answers with [`Queue::handle_durable`] or [`Queue::handle_failed`]. The commits of one message come one after
/// the other, so those that are with the driver may become durable in any order.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
#[must_use = "a commit that is not answered keeps its message waiting"]
pub struct Commit {
    /// What it is called.
    pub id: CommitId,
    /// The message it is about.
    pub message: MessageId,
    /// Changes of the queue's own records.
    pub changes: Vec<Change>,
    /// A report on its way to the sender, in the same commit that ends the recipients it is about: deliver it, or queue it
    /// with [`Queue::accept_report`] and add what that gives.
    pub report: Option<Report>,
    /// The body that is not needed any more, once this is durable.
    pub released: Option<BodyHandle>,
    /// What this writes down, for whoever keeps what has become of messages in the same commit. The same comes once more as
    /// [`Event::Fact`], when it is durable.
    pub facts: Vec<Fact>,
}

/// What the driver has to do, or may want to know.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// Bring this to stable storage.
    Commit(Commit),
    /// Find the site of this domain, and call [`Queue::handle_route`] with the same name.
    Resolve(String),
    /// Read the records of a message, and call [`Queue::handle_loaded`]. It comes only where the [window](crate::Limits::resident)
    /// is bounded.
    Load(Load),
    /// Open a connection and deliver.
    Attempt(Attempt),
    /// Something worth logging. It is durable where that matters.
    Fact(Fact),
}

/// How much has been done since the start.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counters {
    /// Recipients that the next host has taken.
    pub delivered: u64,
    /// Recipients that were put off.
    pub deferred: u64,
    /// Recipients that were given up.
    pub failed: u64,
    /// Outcomes that are not known; each may have been delivered, and be delivered again.
    pub doubtful: u64,
    /// Reports handed to the driver.
    pub reports: u64,
    /// Attempts, which are connections.
    pub attempts: u64,
    /// Attempts that did not come back.
    pub lost: u64,
}

/// Who is tried when. See the [front page](crate).
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub struct Queue {
    config: Config,
    seed: Seed,
    now: Time,
    /// Since when the queue has been polled in time.
    awake: Time,
    next_id: u64,
    /// Below which identifiers may have been given out, as far as stable storage knows.
    ceiling: u64,
    next_commit: u64,
    next_attempt: u64,
    messages: BTreeMap<MessageId, Message>,
    window: Window,
    /// Records that are still being read.
    restoring: Option<Box<Restoring>>,
    recipients: usize,
    domains: BTreeMap<Name, Domain>,
    sites: BTreeMap<Name, Site>,
    attempts: BTreeMap<u64, Open>,
    timers: BTreeSet<(Time, Timer)>,
    /// Sites that may have one attempt more.
    open_sites: BTreeSet<Name>,
    /// The site that had the last turn.
    turn: Option<Name>,
    to_ask: VecDeque<Name>,
    asked: usize,
    to_save: VecDeque<MessageId>,
    commits: BTreeMap<u64, Saving>,
    facts: VecDeque<Fact>,
    counters: Counters,
}

/// What there is to wait for.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Timer {
    /// When to look at a message: a try, the warning, the end of the grace, a commit once more.
    Message(MessageId),
    /// When to think again whether a site may have an attempt.
    Site(Name),
    /// When to stop waiting for the site of a domain.
    Domain(Name),
    /// When to count an attempt as lost.
    Attempt(u64),
}

impl Queue {
    /// An empty queue.
    ///
    /// `seed` should be secret, and the same at each start: the jitter of the schedule and the boundaries of reports follow
    /// from it.
    pub fn new(config: Config, seed: u64) -> Self {
        Self {
            config,
            seed: Seed::new(seed),
            now: 0,
            awake: 0,
            next_id: 1,
            ceiling: 0,
            next_commit: 0,
            next_attempt: 1,
            messages: BTreeMap::new(),
            window: Window::default(),
            restoring: None,
            recipients: 0,
            domains: BTreeMap::new(),
            sites: BTreeMap::new(),
            attempts: BTreeMap::new(),
            timers: BTreeSet::new(),
            open_sites: BTreeSet::new(),
            turn: None,
            to_ask: VecDeque::new(),
            asked: 0,
            to_save: VecDeque::new(),
            commits: BTreeMap::new(),
            facts: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Goes by another schedule from now on, also for what waits already. The expiry and the warning move with it at once; a
    /// try that has its time keeps it, unless the expiry comes before.
    pub fn set_schedule(&mut self, now: Duration, schedule: Schedule) {
        self.observe(now);
        self.config.schedule = schedule;
        let ids: Vec<_> = self.messages.keys().copied().collect();
        for id in ids {
            let expiry = self.expiry(id);
            let message = self.messages.get_mut(&id).expect("it was there");
            for slot in message.slots.iter_mut().filter(|slot| slot.state == State::Waiting) {
                slot.next = slot.next.min(expiry);
            }
            self.refresh(id);
        }
        self.wake_parked();
    }

    /// The next thing to do or to know; `None` until [`Self::poll_timeout`], or until something is handed in.
    ///
    /// Here and everywhere in this crate, `now` is the time since the UNIX epoch: what is kept has to mean the same after a
    /// restart. See the front page for clocks that jump.
    pub fn poll(&mut self, now: Duration) -> Option<Event> {
        self.handle_timeout(now);
        if !self.is_numbered() {
            return None;
        }
        self.next_known()
            .or_else(|| self.next_question().map(|domain| Event::Resolve(domain.to_string())))
            .or_else(|| self.next_load().map(Event::Load))
            .or_else(|| self.next_attempt().map(Event::Attempt))
            // A question without recipients, or a commit without changes, may have left facts behind.
            .or_else(|| self.next_fact())
    }

    /// The same for a host that stops, or that only carries out orders: nothing new is begun. What comes is what has to become
    /// durable: commits, facts, and loads of messages of which something has become known meanwhile.
    pub fn poll_last(&mut self, now: Duration) -> Option<Event> {
        self.handle_timeout(now);
        if !self.is_numbered() {
            return None;
        }
        self.next_known().or_else(|| self.next_late().map(Event::Load)).or_else(|| self.next_fact())
    }

    /// What has become known, and is to be told or to become durable.
    fn next_known(&mut self) -> Option<Event> {
        self.next_fact().or_else(|| self.next_commit().map(Event::Commit))
    }

    fn next_fact(&mut self) -> Option<Event> {
        self.facts.pop_front().map(Event::Fact)
    }

    /// Does what is due. [`Self::poll`] does so too.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.observe(now);
        while let Some((at, _)) = self.timers.first()
            && *at <= self.now
        {
            let (_, timer) = self.timers.pop_first().expect("there is one");
            match timer {
                Timer::Message(id) => {
                    if let Some(message) = self.messages.get_mut(&id) {
                        message.deadline = None;
                    }
                    self.refresh(id);
                }
                Timer::Site(name) => {
                    if let Some(site) = self.sites.get_mut(&name) {
                        site.timer = None;
                    }
                    self.touch_site(&name);
                }
                Timer::Domain(name) => self.unanswered(&name),
                Timer::Attempt(id) => self.lost(id),
            }
        }
        while let Some(id) = self.window.parked.awake(self.now) {
            self.stir(id);
        }
        if self.is_over() {
            self.make_room(false);
        }
    }

    /// When to poll again at the latest; not in the future if there is something to do now.
    pub fn poll_timeout(&self) -> Option<Duration> {
        if !self.is_numbered() {
            return None;
        }
        let busy = !self.facts.is_empty()
            || !self.to_save.is_empty()
            || (!self.to_ask.is_empty() && self.asked < self.config.limits.resolves)
            || (!self.open_sites.is_empty() && self.attempts.len() < self.config.limits.attempts)
            || self.can_load();
        if busy {
            return Some(since_epoch(self.now));
        }
        let rest = (!self.window.lines.is_empty()).then_some(self.window.rest);
        let rest = rest.filter(|at| *at > self.now && *at < Time::MAX);
        let timer = self.timers.first().map(|(at, _)| *at);
        timer.into_iter().chain(self.window.parked.wakes()).chain(rest).min().map(since_epoch)
    }

    /// How many messages there are, those included that are not durable yet.
    pub fn len(&self) -> usize {
        self.messages.len() + self.parked()
    }

    /// Whether there is no message.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many recipients there are, those included that are done while others of their message are not.
    pub const fn recipients(&self) -> usize {
        self.recipients
    }

    /// How much has been done.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Takes the time. It goes forward here, whatever the host's clock does: small steps back are waited out, and with a
    /// large one everything that waits is moved, so that what was to come in an hour still comes in an hour.
    fn observe(&mut self, now: Duration) {
        let now = seconds(now);
        if now + STEP < self.now {
            let by = self.now - now;
            self.shift(by);
            self.facts.push_back(Fact::ClockSetBack { by: since_epoch(by) });
        } else if now > self.now {
            // Long behind what there was to do: the host was away, or its clock was put forward.
            if self.timers.first().is_some_and(|(at, _)| now - at > AWAY) {
                self.awake = now;
            }
            self.now = now;
        }
    }

    fn shift(&mut self, by: Time) {
        self.now -= by;
        self.awake -= by;
        for message in self.messages.values_mut() {
            message.accepted -= by;
            message.freed -= by;
            [&mut message.stalled, &mut message.deadline].into_iter().flatten().for_each(|at| *at -= by);
            message.slots.iter_mut().for_each(|slot| slot.next -= by);
        }
        self.window.parked.shift(by);
        self.window.rest = Time::MIN;
        self.window.tight = [None; 2];
        self.domains.values_mut().for_each(|domain| domain.shift(by));
        self.sites.values_mut().for_each(|site| site.shift(by));
        self.attempts.values_mut().for_each(|attempt| attempt.lease -= by);
        self.timers =
            core::mem::take(&mut self.timers).into_iter().map(|(at, timer)| (at - by, timer)).collect();
    }

    /// Looks at a message: what of it is due, whether its time is up, whether to warn; and sets its timer.
    fn refresh(&mut self, id: MessageId) {
        let Some(message) = self.messages.get_mut(&id).filter(|message| message.active) else {
            return;
        };
        if message.stalled.is_some_and(|at| at <= self.now) {
            message.stalled = None;
            self.save_later(id);
        }
        let message = &self.messages[&id];
        let (now, grace) = (self.now, self.grace(message));
        let ripe = |slot: &Slot| match slot.state {
            State::Waiting => slot.is_settled() && slot.next <= now,
            State::Ready => grace.ends(slot) <= now,
            _ => false,
        };
        let ripe: Vec<_> = (0..message.slots.len()).filter(|at| ripe(&message.slots[*at])).collect();
        for at in ripe {
            if self.messages[&id].slots[at].state == State::Waiting {
                self.make_ready(id, at);
            } else {
                self.unready(id, at);
                self.fail(id, at, None, false);
            }
        }
        let expiry = self.expiry(id);
        let message = self.messages.get_mut(&id).expect("it was there");
        let warning = self.config.schedule.warning(message.accepted);
        let late = message.warning == Warning::None && message.slots.iter().any(|slot| message.is_late(slot));
        if late && warning.is_some_and(|at| at <= self.now) && self.now < expiry {
            message.warning = Warning::Due;
            self.save_later(id);
        }
        self.set_timer(id);
    }

    fn set_timer(&mut self, id: MessageId) {
        let Some(message) = self.messages.get(&id) else {
            return;
        };
        let mut deadline = message.stalled;
        let mut earlier = |at: Time| deadline = Some(deadline.map_or(at, |before| before.min(at)));
        let (mut late, grace) = (false, self.grace(message));
        for slot in &message.slots {
            match slot.state {
                State::Waiting if slot.is_settled() => earlier(slot.next),
                State::Ready => earlier(grace.ends(slot)),
                _ => {}
            }
            late |= message.is_late(slot);
        }
        if late && message.warning == Warning::None {
            let warning = self.config.schedule.warning(message.accepted);
            warning.filter(|at| *at > self.now).into_iter().for_each(earlier);
        }
        let message = self.messages.get_mut(&id).expect("it was there");
        if message.deadline != deadline {
            if let Some(at) = message.deadline {
                self.timers.remove(&(at, Timer::Message(id)));
            }
            message.deadline = deadline;
            if let Some(at) = deadline {
                self.timers.insert((at, Timer::Message(id)));
            }
        }
    }

    fn expiry(&self, id: MessageId) -> Time {
        self.config.schedule.expiry(self.messages[&id].accepted)
    }

    fn grace(&self, message: &Message) -> Grace {
        // Nothing could be done about it while its commit failed.
        let from = self.config.schedule.expiry(message.accepted).max(self.awake).max(message.freed);
        Grace { from, grace: self.config.limits.grace }
    }

    /// THE way of a recipient whose delivery has failed, whatever it was that failed. Without an answer the last one stands.
    fn fail(&mut self, id: MessageId, at: usize, answer: Option<&Answer>, permanent: bool) {
        let now = self.now;
        let message = self.messages.get_mut(&id).expect("a recipient has a message");
        let next = self.config.schedule.after_failure(self.seed, id, message.accepted, now);
        let (has_sender, body) = (message.from.is_some(), message.body);
        let slot = &mut message.slots[at];
        if let Some(answer) = answer {
            slot.last = Some(Last { at: now, answer: answer.clone() });
            slot.tries = slot.tries.saturating_add(1);
        }
        let wish = slot.wish.take();
        let recipient = slot.address.clone();
        slot.unsaved = true;
        let ordered = |order| Fact::Ordered { message: id, body, recipient: recipient.clone(), order };
        let fact = match (permanent, wish, next) {
            (false, Some(Order::Hold), _) => {
                slot.state = State::Held;
                ordered(Order::Hold)
            }
            (false, Some(Order::Drop), _) => {
                slot.state = State::Dropped;
                ordered(Order::Drop)
            }
            (false, None | Some(Order::Retry | Order::Release), Next::TryAt(at)) => {
                slot.state = State::Waiting;
                slot.next = at;
                self.counters.deferred += 1;
                let answer = slot.last.as_ref().expect("it has failed").answer.clone();
                Fact::Deferred { message: id, body, recipient, answer, next: since_epoch(at) }
            }
            _ => {
                slot.state = State::Failed;
                self.counters.failed += 1;
                let told = match (has_sender, slot.notify.failure) {
                    (true, true) => Told::Yes,
                    (false, _) => Told::NoSender,
                    (true, false) => Told::NotWanted,
                };
                if wish == Some(Order::Bounce) && !permanent {
                    message.facts.push(ordered(Order::Bounce));
                }
                if slot.last.is_none() {
                    // RFC 3463 §3.5, X.4.7: delivery time expired.
                    let answer =
                        Answer::local(Status::new(4, 4, 7), "no attempt was possible before its time was up");
                    slot.last = Some(Last { at: now, answer });
                }
                let answer = slot.last.as_ref().map(|last| last.answer.clone());
                let expired = !permanent && wish != Some(Order::Bounce);
                Fact::Failed { message: id, body, recipient, answer, expired, told }
            }
        };
        message.facts.push(fact);
        self.save_later(id);
    }

    /// Puts a message among those to be saved.
    fn save_later(&mut self, id: MessageId) {
        let message = self.messages.get_mut(&id).expect("what is saved is there");
        if message.active && !message.saving && !message.listed && message.stalled.is_none() {
            message.listed = true;
            self.to_save.push_back(id);
        }
    }
}

/// How long what is due may wait for its last attempt.
#[derive(Clone, Copy)]
struct Grace {
    from: Time,
    grace: Time,
}

impl Grace {
    fn ends(self, slot: &Slot) -> Time {
        self.from.max(slot.next) + self.grace
    }
}

/// The same key, counted.
fn enter(ready: &mut BTreeMap<(Time, MessageId), u32>, key: (Time, MessageId)) {
    *ready.entry(key).or_insert(0) += 1;
}

fn leave(ready: &mut BTreeMap<(Time, MessageId), u32>, key: (Time, MessageId)) {
    if let Some(count) = ready.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            ready.remove(&key);
        }
    }
}

pub(crate) fn since_epoch(at: Time) -> Duration {
    Duration::from_secs(u64::try_from(at).unwrap_or(0))
}

/// A clock may go back by as much without anything but a short wait.
const STEP: Time = 60;
/// Who polls so late has been away: what is due gets its grace anew.
const AWAY: Time = 900;
