//! Attempts: a connection to a site, and what goes over it.

use core::ops::Bound;
use core::time::Duration;

use super::message::{Last, Message, Name, State};
use super::{Fact, Queue, Timer, leave};
use crate::envelope::{Address, BodyHandle, MessageId, Recipient};
use crate::outcome::{Answer, Ending, Outcome, Status};
use crate::schedule::Time;

/// A connection to be opened, with the delivery to begin with.
///
/// It goes back by value, to [`Queue::handle_outcome`]. One that is dropped comes to its end with its lease.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
#[must_use = "an attempt that is dropped keeps its recipients waiting for its lease"]
pub struct Attempt {
    id: u64,
    site: Name,
    delivery: Option<Delivery>,
    outcomes: Vec<Option<Outcome>>,
}

/// One transaction: a message, and those of its recipients that are due at this site.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub struct Delivery {
    /// The message.
    pub message: MessageId,
    /// Its body.
    pub body: BodyHandle,
    /// Its size in octets, as it was given.
    pub size: u64,
    /// The number that was given with it.
    pub tag: u32,
    /// Its sender; `None` for the null reverse-path.
    pub from: Option<Address>,
    /// What its sender calls it.
    pub envelope_id: Option<Box<str>>,
    /// Its recipients. Outcomes name them by their place here.
    pub recipients: Vec<Recipient>,
    /// It is the last attempt for them: what fails now is given up.
    pub last: bool,
    /// Where they are in the message.
    slots: Vec<usize>,
}

/// What the queue keeps of an attempt.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Open {
    pub(super) site: Name,
    pub(super) lease: Time,
    pub(super) work: Option<(MessageId, Vec<usize>)>,
    deliveries: u32,
    /// The site has answered at least once.
    answered: bool,
}

impl Attempt {
    /// The site, as [`Route::Site`](super::Route::Site) named it.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The delivery; `None` when [`Queue::next_delivery`] had nothing more.
    pub const fn delivery(&self) -> Option<&Delivery> {
        self.delivery.as_ref()
    }

    #[cfg(test)]
    pub(super) const fn number(&self) -> u64 {
        self.id
    }

    /// Says what came of one recipient of the delivery. The last word counts.
    pub fn settle(&mut self, recipient: usize, outcome: Outcome) {
        if let Some(place) = self.outcomes.get_mut(recipient) {
            *place = Some(outcome);
        }
    }

    /// Says the same of all recipients of the delivery of which nothing has been said.
    pub fn settle_rest(&mut self, outcome: &Outcome) {
        for place in self.outcomes.iter_mut().filter(|place| place.is_none()) {
            *place = Some(outcome.clone());
        }
    }
}

impl Queue {
    /// Takes what came of the delivery, and gives the attempt another one for the same connection. Whether there is one is in
    /// the answer; if not, close the connection and hand the attempt to [`Self::handle_outcome`].
    pub fn next_delivery(&mut self, now: Duration, attempt: &mut Attempt) -> bool {
        self.observe(now);
        self.take_outcomes(attempt, None);
        let limits = &self.config.limits;
        let Some(open) = self.attempts.get(&attempt.id) else {
            return false;
        };
        let crowded =
            self.attempts.len() >= limits.attempts && self.open_sites.iter().any(|site| *site != open.site);
        if open.deliveries >= limits.reuse || crowded {
            return false;
        }
        self.hand_out(attempt)
    }

    /// Takes an attempt back, with what came of the delivery that was under way and with how the connection ended.
    pub fn handle_outcome(&mut self, now: Duration, mut attempt: Attempt, ending: Ending) {
        self.observe(now);
        let unsettled = match &ending {
            Ending::Closed => Answer::local(Status::new(4, 3, 0), "the attempt was ended without an outcome"),
            Ending::Unreachable(answer) | Ending::Broken(answer) => answer.clone(),
        };
        self.take_outcomes(&mut attempt, Some(&unsettled));
        let Some(open) = self.attempts.remove(&attempt.id) else {
            return;
        };
        self.timers.remove(&(open.lease, Timer::Attempt(attempt.id)));
        let site = self.sites.get_mut(&open.site).expect("a site with an attempt is kept");
        site.open -= 1;
        let news = attempt.id >= site.epoch;
        if news && ending != Ending::Closed {
            site.window = (site.window / 2).max(1);
            site.epoch = self.next_attempt;
        }
        match ending {
            Ending::Unreachable(answer) if news => self.close_site(&open.site, &answer),
            // It takes connections and no mail: no better than one that takes none.
            Ending::Broken(answer) if news && !open.answered => self.close_site(&open.site, &answer),
            _ => self.touch_site(&open.site),
        }
    }

    /// Gives an attempt its lease anew, for a delivery that is slow but moves.
    pub fn renew(&mut self, now: Duration, attempt: &Attempt) {
        self.observe(now);
        let lease = self.now + self.config.limits.lease;
        if let Some(open) = self.attempts.get_mut(&attempt.id) {
            self.timers.remove(&(open.lease, Timer::Attempt(attempt.id)));
            open.lease = lease;
            self.timers.insert((lease, Timer::Attempt(attempt.id)));
        }
    }

    /// The next connection to be opened: sites take turns.
    pub(super) fn next_attempt(&mut self) -> Option<Attempt> {
        if self.attempts.len() >= self.config.limits.attempts {
            return None;
        }
        let after = self.turn.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let mut later =
            self.open_sites.range::<str, _>((after.as_ref().map(|name| &**name), Bound::Unbounded));
        let site = later.next().or_else(|| self.open_sites.first())?.clone();
        self.turn = Some(site.clone());
        let id = self.next_attempt;
        self.next_attempt += 1;
        self.counters.attempts += 1;
        let lease = self.now + self.config.limits.lease;
        let open = Open { site: site.clone(), lease, work: None, deliveries: 0, answered: false };
        self.attempts.insert(id, open);
        self.timers.insert((lease, Timer::Attempt(id)));
        let there = self.sites.get_mut(&site).expect("an open site is there");
        there.open += 1;
        there.opened = self.now;
        let mut attempt = Attempt { id, site, delivery: None, outcomes: Vec::new() };
        let found = self.hand_out(&mut attempt);
        debug_assert!(found, "an open site has something ready");
        Some(attempt)
    }

    /// Gives an attempt a delivery: messages take turns.
    fn hand_out(&mut self, attempt: &mut Attempt) -> bool {
        let site = self.sites.get_mut(&attempt.site).expect("a site with an attempt is kept");
        let mut later = site.ready.range((Bound::Excluded(site.turn), Bound::Unbounded));
        let Some((&key, _)) = later.next().or_else(|| site.ready.first_key_value()) else {
            return false;
        };
        site.turn = key;
        let id = key.1;
        let last = self.expiry(id) <= self.now;
        let message = self.messages.get_mut(&id).expect("what is ready is there");
        let site = self.sites.get_mut(&attempt.site).expect("it was there");
        let mut slots = Vec::new();
        let mut recipients = Vec::new();
        for (at, slot) in message.slots.iter_mut().enumerate() {
            if slot.state != State::Ready || slot.site.as_ref() != Some(&attempt.site) {
                continue;
            }
            leave(&mut site.ready, (slot.next, id));
            slot.state = State::Trying(attempt.id);
            slot.site = None;
            slots.push(at);
            let (address, original, notify) = (slot.address.clone(), slot.original.clone(), slot.notify);
            recipients.push(Recipient { address, original, notify });
            if slots.len() == self.config.limits.transaction {
                break;
            }
        }
        attempt.outcomes = vec![None; slots.len()];
        let open = self.attempts.get_mut(&attempt.id).expect("the attempt is open");
        open.work = Some((id, slots.clone()));
        open.deliveries += 1;
        let Message { body, size, tag, ref from, id: ref envelope_id, .. } = *message;
        let (from, envelope_id) = (from.clone(), envelope_id.clone());
        attempt.delivery =
            Some(Delivery { message: id, body, size, tag, from, envelope_id, recipients, last, slots });
        self.renew(super::since_epoch(self.now), attempt);
        self.touch_site(&attempt.site.clone());
        true
    }

    /// Takes the outcomes of the delivery of an attempt.
    fn take_outcomes(&mut self, attempt: &mut Attempt, unsettled: Option<&Answer>) {
        let Some(delivery) = attempt.delivery.take() else {
            return;
        };
        let id = delivery.message;
        let outcomes = core::mem::take(&mut attempt.outcomes);
        let known = self.attempts.get_mut(&attempt.id).is_some_and(|open| {
            open.work = None;
            // A host that has answered is there; what was lost behind the dot says nothing.
            open.answered |= outcomes.iter().flatten().any(|outcome| !matches!(outcome, Outcome::Unknown(_)));
            true
        });
        if !known {
            return self.take_late(&delivery, outcomes);
        }
        if outcomes.iter().flatten().any(|outcome| !matches!(outcome, Outcome::Unknown(_))) {
            let most = self.config.limits.window;
            let site = self.sites.get_mut(&attempt.site).expect("a site with an attempt is kept");
            site.window = (site.window + 1).min(most);
            site.failures = 0;
            site.closed_until = self.now;
        }
        let nothing = Answer::local(Status::new(4, 3, 0), "the attempt went on without an outcome");
        for (at, outcome) in delivery.slots.into_iter().zip(outcomes) {
            debug_assert_eq!(self.messages[&id].slots[at].state, State::Trying(attempt.id));
            match outcome {
                Some(Outcome::Delivered(answer)) => self.delivered(id, at, answer),
                Some(Outcome::Refused(answer)) => self.fail(id, at, Some(&answer), true),
                Some(Outcome::Deferred(answer)) => self.fail(id, at, Some(&answer), false),
                Some(Outcome::Unknown(answer)) => {
                    self.counters.doubtful += 1;
                    self.fail(id, at, Some(&answer), false);
                }
                None => self.fail(id, at, Some(unsettled.unwrap_or(&nothing)), false),
            }
        }
        self.refresh(id);
        self.touch_site(&attempt.site.clone());
    }

    /// An attempt comes back behind its lease. What it has delivered need not be delivered again, if nobody is at it yet.
    fn take_late(&mut self, delivery: &Delivery, outcomes: Vec<Option<Outcome>>) {
        let id = delivery.message;
        for ((at, recipient), outcome) in delivery.slots.iter().zip(&delivery.recipients).zip(outcomes) {
            let Some(Outcome::Delivered(answer)) = outcome else {
                continue;
            };
            if self.window.parked.get(id).is_some() {
                let late = (*at, recipient.address.clone(), answer);
                self.window.late.entry(id).or_default().push(late);
                self.recall(id);
            } else {
                self.take_late_one(id, *at, &recipient.address, answer);
            }
        }
        self.refresh(id);
    }

    pub(super) fn take_late_one(&mut self, id: MessageId, at: usize, address: &Address, answer: Answer) {
        let slot = self.messages.get(&id).and_then(|message| message.slots.get(at));
        let Some(slot) = slot.filter(|slot| slot.address == *address) else {
            return;
        };
        match slot.state {
            State::Ready => self.unready(id, at),
            State::Waiting | State::Held => {}
            _ => return,
        }
        self.delivered(id, at, answer);
    }

    fn delivered(&mut self, id: MessageId, at: usize, answer: Answer) {
        self.counters.delivered += 1;
        let now = self.now;
        let message = self.messages.get_mut(&id).expect("a recipient has a message");
        let body = message.body;
        let slot = &mut message.slots[at];
        slot.state = State::Delivered;
        slot.tries = slot.tries.saturating_add(1);
        slot.unsaved = true;
        slot.wish = None;
        slot.last = Some(Last { at: now, answer: answer.clone() });
        let recipient = slot.address.clone();
        message.facts.push(Fact::Delivered { message: id, body, recipient, answer });
        self.save_later(id);
    }

    /// An attempt did not come back.
    pub(super) fn lost(&mut self, attempt: u64) {
        let Some(open) = self.attempts.remove(&attempt) else {
            return;
        };
        self.counters.lost += 1;
        self.facts.push_back(Fact::Lost { site: open.site.to_string() });
        if let Some((id, slots)) = open.work {
            let answer = Answer::local(Status::new(4, 3, 0), "the attempt did not come to an end");
            for at in slots {
                self.fail(id, at, Some(&answer), false);
            }
            self.refresh(id);
        }
        let site = self.sites.get_mut(&open.site).expect("a site with an attempt is kept");
        site.open -= 1;
        site.window = (site.window / 2).max(1);
        self.touch_site(&open.site);
    }
}
