//! The window: which messages are in memory whole, and whose turn it is to come in.

use core::cmp::Reverse;
use core::ops::Bound;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use bytes::Bytes;

use super::message::{Message, Name, Slot, State, Warning};
use super::parked::{Entry, NEVER, Parked, Place, SEVERAL};
use super::site::Routing;
use super::{Fact, Queue, Timer};
use crate::envelope::{Address, MessageId};
use crate::error::RecordError;
use crate::outcome::Answer;
use crate::record::{Key, PART, decode_head, decode_part};
use crate::schedule::Time;

/// Records to be read: a message is due, or its time is up, and it is not in memory.
///
/// It goes back by value, to [`Queue::handle_loaded`] or [`Queue::handle_not_loaded`]. One that is dropped is asked for again
/// after a while.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
#[must_use = "a load that is dropped keeps its message waiting"]
pub struct Load {
    message: MessageId,
    number: u32,
    keys: Vec<Bytes>,
}

impl Load {
    /// The message.
    pub const fn message(&self) -> MessageId {
        self.message
    }

    /// The keys of its records.
    pub fn keys(&self) -> &[Bytes] {
        &self.keys
    }
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
pub(super) struct Window {
    pub(super) parked: Parked,
    /// Of the messages in the window, about.
    pub(super) octets: usize,
    /// What is due and not in the window, by domain.
    pub(super) lines: BTreeMap<Name, BTreeSet<MessageId>>,
    /// The domain that had the last turn.
    turn: Option<Name>,
    /// What does not wait for a domain: its time is up, or it has several.
    pub(super) urgent: BTreeSet<MessageId>,
    /// No line can move before.
    pub(super) rest: Time,
    pub(super) loading: usize,
    loads: u32,
    /// When nothing was found that could leave: to be within the bounds, or for others.
    pub(super) tight: [Option<Time>; 2],
    pub(super) names: BTreeMap<u32, Name>,
    pub(super) last_name: u32,
    /// What has come back behind its lease, for when its message is here again.
    pub(super) late: BTreeMap<MessageId, Vec<(usize, Address, Answer)>>,
}

impl Queue {
    /// How many messages are outside the window: only a small entry of each is in memory.
    pub const fn parked(&self) -> usize {
        self.window.parked.len()
    }

    /// All messages, in the window and outside, the oldest first: those behind `after`, or all.
    pub fn ids(&self, after: Option<MessageId>) -> impl Iterator<Item = MessageId> {
        let first = after.map_or(MessageId(0), |after| MessageId(after.0.saturating_add(1)));
        let mut here = self.messages.range(first..).map(|(id, _)| *id).peekable();
        let mut parked = self.window.parked.from(first).peekable();
        core::iter::from_fn(move || match (here.peek(), parked.peek()) {
            (Some(one), Some(other)) if one > other => parked.next(),
            (None, _) => parked.next(),
            _ => here.next(),
        })
    }

    /// Asks for a message that is outside the window, to show it or to carry out an order for it: once it is
    /// [loaded](Self::handle_loaded), it is in the window until the next [`Self::poll`] at least.
    ///
    /// `None` if it is in the window, if there is no such message, or if it is being loaded.
    pub fn load(&mut self, now: Duration, id: MessageId) -> Option<Load> {
        self.observe(now);
        let entry = self.window.parked.get(id)?;
        (!matches!(entry.at, Place::Loading(_))).then(|| self.ask_for(id))
    }

    /// Takes what was read for [`Event::Load`](super::Event::Load): the values of its keys, in their order, `None` for one
    /// that is not there.
    ///
    /// A message whose records cannot be read is told as a fact and left where it is; it is tried again after a restart.
    pub fn handle_loaded<V: AsRef<[u8]>>(
        &mut self,
        now: Duration,
        load: Load,
        values: impl IntoIterator<Item = Option<V>>,
    ) {
        self.observe(now);
        let Some(entry) = self.loaded(&load) else {
            return;
        };
        let id = load.message;
        match self.decode(entry, values) {
            Ok(message) => {
                self.window.parked.remove(id);
                self.window.octets += weight(&message);
                self.messages.insert(id, message);
                self.leave_number(entry.domain);
                for (at, address, answer) in self.window.late.remove(&id).unwrap_or_default() {
                    self.take_late_one(id, at, &address, answer);
                }
                self.refresh(id);
            }
            Err(error) => {
                self.window.parked.update(id, |entry| {
                    entry.at = Place::Unreadable;
                    entry.wake = NEVER;
                });
                self.facts.push_back(Fact::Unreadable { message: id, error });
            }
        }
    }

    /// The records could not be read now, and perhaps can be later: they are asked for again in a while.
    pub fn handle_not_loaded(&mut self, now: Duration, load: Load) {
        self.observe(now);
        let again = self.now + self.config.limits.again;
        if self.loaded(&load).is_some() {
            self.window.parked.update(load.message, |entry| {
                entry.at = Place::Waiting;
                entry.wake = again;
            });
            let number = self.window.parked.get(load.message).map_or(SEVERAL, |entry| entry.domain);
            self.window.parked.update(load.message, |entry| entry.domain = SEVERAL);
            self.leave_number(number);
        }
    }

    fn loaded(&mut self, load: &Load) -> Option<Entry> {
        // Otherwise it was given up for lost, and is asked for again: what was read may be old by now.
        self.is_awaited(load).then(|| {
            self.window.loading -= 1;
            *self.window.parked.get(load.message).expect("it is waited for")
        })
    }

    pub(super) fn is_awaited(&self, load: &Load) -> bool {
        self.window.parked.get(load.message).is_some_and(|entry| entry.at == Place::Loading(load.number))
    }

    fn decode<V: AsRef<[u8]>>(
        &mut self,
        entry: Entry,
        values: impl IntoIterator<Item = Option<V>>,
    ) -> Result<Message, RecordError> {
        let mut values = values.into_iter();
        let mut next = || values.next().flatten().ok_or(RecordError::Orphan);
        let head = decode_head(next()?.as_ref())?;
        let (mut message, recipients) = (head.message, head.recipients);
        // The clock may have been set back since.
        let by = message.accepted - entry.accepted;
        message.accepted = entry.accepted;
        let expiry = self.config.schedule.expiry(message.accepted);
        if recipients != usize::from(entry.recipients) {
            return Err(RecordError::Orphan);
        }
        while message.slots.len() < recipients {
            let part = decode_part(next()?.as_ref(), |name| Name::from(name), |last| last)?;
            if part.slots.len() != PART.min(recipients - message.slots.len()) {
                return Err(RecordError::Orphan);
            }
            message.slots.extend(part.slots);
        }
        for slot in &mut message.slots {
            slot.domain = self.enter_domain(&slot.domain);
            slot.next = (slot.next - by).min(expiry);
        }
        Ok(message)
    }

    /// Has messages outside the window wake no later than the schedule wants it.
    pub(super) fn wake_parked(&mut self) {
        let Self { config, window, now, .. } = self;
        window.parked.retime(|entry| {
            let expiry = config.schedule.expiry(entry.accepted);
            // A warning that is late already comes with the next try: a whole queue is not read for it at once.
            let warning = config.schedule.warning(entry.accepted).filter(|at| *at > *now);
            warning.map_or(expiry, |at| at.min(expiry))
        });
    }

    /// Something is to be done about a message outside the window.
    pub(super) fn stir(&mut self, id: MessageId) {
        let entry = *self.window.parked.get(id).expect("it has woken");
        let name = self.window.names.get(&entry.domain).cloned();
        match (entry.at, name) {
            (Place::Waiting, Some(name)) => {
                let expiry = self.config.schedule.expiry(entry.accepted);
                let warning = self.config.schedule.warning(entry.accepted);
                let times = [Some(expiry), warning, Some(expiry.max(self.awake) + self.config.limits.grace)];
                let wake = times.into_iter().flatten().filter(|at| *at > self.now).min();
                let Some(wake) = wake else {
                    return self.hurry(id);
                };
                self.window.lines.entry(name).or_default().insert(id);
                self.window.rest = Time::MIN;
                self.window.parked.update(id, |entry| {
                    entry.at = Place::Line;
                    entry.wake = wake;
                });
            }
            (Place::Line, Some(name)) => {
                self.leave_line(&name, id);
                self.hurry(id);
            }
            (Place::Loading(_), _) => {
                self.window.loading -= 1;
                self.hurry(id);
            }
            _ => self.hurry(id),
        }
    }

    fn hurry(&mut self, id: MessageId) {
        self.window.urgent.insert(id);
        self.window.parked.update(id, |entry| {
            entry.at = Place::Urgent;
            entry.wake = NEVER;
        });
    }

    /// Something has become known of a message outside the window that belongs into its records.
    pub(super) fn recall(&mut self, id: MessageId) {
        let entry = self.window.parked.get(id).expect("the caller has seen it");
        match entry.at {
            Place::Waiting | Place::Unreadable => self.hurry(id),
            Place::Line => self.stir(id),
            Place::Urgent | Place::Loading(_) => {}
        }
    }

    fn leave_line(&mut self, name: &Name, id: MessageId) {
        let gone = self.window.lines.get_mut(name).is_some_and(|line| {
            line.remove(&id);
            line.is_empty()
        });
        if gone {
            self.window.lines.remove(name);
            if self.window.lines.is_empty() {
                // Those that were remembered for the lines alone.
                let names: Vec<_> = self.sites.keys().cloned().collect();
                names.iter().for_each(|name| self.touch_site(name));
            }
        }
    }

    /// The next message that comes into the window: what is urgent and what waits in lines take turns, and so do the lines.
    pub(super) fn next_load(&mut self) -> Option<Load> {
        if self.window.urgent.is_empty() && self.window.lines.is_empty() {
            return None;
        }
        let first = self.window.urgent.first().copied();
        let prefer = self.window.loads.is_multiple_of(2);
        let id = first.filter(|_| prefer).or_else(|| self.next_in_line()).or(first)?;
        if !self.has_room() {
            // One that has nobody here goes before the many of others.
            self.make_room(true);
            if !self.has_room() {
                return None;
            }
        }
        if !self.window.urgent.contains(&id) {
            let number = self.window.parked.get(id).expect("who is in a line is there").domain;
            self.window.turn = self.window.names.get(&number).cloned();
        }
        Some(self.ask_for(id))
    }

    /// A message outside the window of which something is known that is in no record yet.
    pub(super) fn next_late(&mut self) -> Option<Load> {
        let waits =
            |id: &MessageId| self.window.parked.get(*id).is_some_and(|entry| entry.at == Place::Urgent);
        let id = self.window.late.keys().copied().find(waits)?;
        Some(self.ask_for(id))
    }

    fn ask_for(&mut self, id: MessageId) -> Load {
        let entry = *self.window.parked.get(id).expect("the caller has seen it");
        match (entry.at, self.window.names.get(&entry.domain).cloned()) {
            (Place::Line, Some(name)) => self.leave_line(&name, id),
            _ => drop(self.window.urgent.remove(&id)),
        }
        self.window.loads = self.window.loads.wrapping_add(1);
        self.window.loading += 1;
        let (number, patience) = (self.window.loads, self.now + self.config.limits.resolve);
        self.window.parked.update(id, |entry| {
            entry.at = Place::Loading(number);
            entry.wake = patience;
        });
        let parts = usize::from(entry.recipients).div_ceil(PART);
        let parts = (0..parts).map(|part| Key::Part(id, part as u16).encode());
        let keys = core::iter::once(Key::Message(id).encode()).chain(parts).collect();
        Load { message: id, number, keys }
    }

    /// The first of the next line that can move.
    fn next_in_line(&mut self) -> Option<MessageId> {
        if self.window.rest > self.now {
            return None;
        }
        let room = self.has_room();
        let turn = self.window.turn.clone();
        let after = turn.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let lines = &self.window.lines;
        let around = lines.range::<str, _>((after, Bound::Unbounded)).chain(lines);
        let mut rest = NEVER;
        for (name, line) in around {
            let opens = self.opens(name);
            if opens <= self.now {
                if room || self.crowd(name) == 0 {
                    return line.first().copied();
                }
                // It moves when there is room.
                rest = self.now;
            }
            rest = rest.min(opens);
        }
        self.window.rest = rest;
        None
    }

    /// From when on a domain can make use of one message more; [`NEVER`] if something else has to happen first.
    fn opens(&self, name: &str) -> Time {
        match &self.domains[name].routing {
            Routing::Site { site, .. } => match self.sites.get(site) {
                Some(site) if site.closed_until > self.now => site.closed_until,
                // One is enough to find out whether it is back.
                Some(site) if site.failures > 0 && (site.open > 0 || !site.ready.is_empty()) => NEVER,
                _ => self.now,
            },
            _ => self.now,
        }
    }

    /// How many for a domain are due in the window.
    fn crowd(&self, name: &str) -> usize {
        let domain = &self.domains[name];
        let there = match &domain.routing {
            Routing::Site { site, .. } => self.sites.get(site).map_or(0, |site| site.ready.len()),
            _ => 0,
        };
        domain.ready.len() + there
    }

    pub(super) fn has_room(&self) -> bool {
        let (messages, octets) = self.config.limits.resident;
        self.messages.len() + self.window.loading < messages && self.window.octets < octets
    }

    /// Whether a message could come in now.
    pub(super) fn can_load(&self) -> bool {
        let waits =
            !self.window.urgent.is_empty() || (!self.window.lines.is_empty() && self.window.rest <= self.now);
        waits && self.has_room()
    }

    /// Sends messages out of the window: those first that have nothing to do here for longest, then the last ones of those
    /// that crowd it. For `others`, it takes nothing from a domain that has one here only.
    pub(super) fn make_room(&mut self, others: bool) {
        if self.window.tight[usize::from(others)] == Some(self.now) {
            return;
        }
        let most = self.config.limits.resident.0;
        let count = (most / 16).clamp(1, self.messages.len().max(1));
        let (mut idle, mut crowds) = (Vec::new(), BTreeMap::<Name, Vec<MessageId>>::new());
        for (id, message) in self.messages.iter().filter(|(_, message)| self.can_leave(message)) {
            let mut ready = message.slots.iter().filter(|slot| slot.state == State::Ready);
            let opens = ready.clone().map(|slot| self.closed(slot)).min().unwrap_or(NEVER);
            match ready.next() {
                Some(slot) if opens <= self.now => {
                    crowds.entry(slot.domain.clone()).or_default().push(*id);
                }
                _ => idle.push((Reverse(opens.min(message.deadline.unwrap_or(NEVER))), *id)),
            }
        }
        idle.sort_unstable();
        let mut left = 0;
        for (_, id) in idle {
            if left >= count || !(others || self.is_over()) {
                break;
            }
            self.park(id, others);
            left += 1;
        }
        let mut heap: BinaryHeap<_> = crowds.iter().map(|(name, ids)| (ids.len(), name.clone())).collect();
        while left < count
            && let Some((size, name)) = heap.pop()
            && (size > 1 || !others)
        {
            let id = crowds.get_mut(&name).and_then(Vec::pop).expect("as many as were counted");
            // What is due comes in again where there is room: for itself it must not make any, or it would go in and out.
            if !(others || self.is_over() && self.is_full_without(id)) {
                break;
            }
            self.park(id, others);
            left += 1;
            if size > 1 {
                heap.push((size - 1, name));
            }
        }
        self.window.tight[usize::from(others)] = (left == 0).then_some(self.now);
    }

    /// Whether there is more in the window than there should be.
    pub(super) fn is_over(&self) -> bool {
        let (messages, octets) = self.config.limits.resident;
        self.messages.len() > messages || self.window.octets > octets
    }

    fn is_full_without(&self, id: MessageId) -> bool {
        let (messages, octets) = self.config.limits.resident;
        let rest = self.window.octets - weight(&self.messages[&id]);
        self.messages.len() - 1 + self.window.loading >= messages || rest >= octets
    }

    /// Until when the site of a ready recipient is left alone.
    fn closed(&self, slot: &Slot) -> Time {
        let site = slot.site.as_ref().and_then(|name| self.sites.get(name));
        site.map_or(self.now, |site| site.closed_until.max(self.now))
    }

    /// Sends a message out of the window. All that it is, is on stable storage. If it has to go for others, and has several
    /// domains, it comes back after a while only, or it would crowd them out again.
    pub(super) fn park(&mut self, id: MessageId, others: bool) {
        let message = &self.messages[&id];
        let open = |slot: &&Slot| matches!(slot.state, State::Ready | State::Waiting);
        let first = message.slots.iter().find(open);
        let alike = |slot: &Slot| {
            first.is_some_and(|first| {
                slot.domain == first.domain && slot.state == first.state && slot.next == first.next
            })
        };
        let alike = first.is_some() && message.slots.iter().filter(open).all(alike);
        let ready: Vec<_> =
            (0..message.slots.len()).filter(|at| message.slots[*at].state == State::Ready).collect();
        let deadline = message.deadline.unwrap_or(NEVER);
        let mut wake = deadline;
        let domain = match first {
            // In the line at once.
            Some(first) if alike && first.state == State::Ready => {
                wake = self.now;
                self.domains[&first.domain].number
            }
            Some(first) if alike && first.next == deadline => self.domains[&first.domain].number,
            Some(_) if !ready.is_empty() => {
                let opens = ready.iter().map(|at| self.closed(&message.slots[*at])).min();
                let opens =
                    opens.filter(|at| *at > self.now).unwrap_or(self.now + if others { AGAIN } else { 0 });
                wake = deadline.min(opens);
                SEVERAL
            }
            _ => SEVERAL,
        };
        let entry = Entry::new(wake, message.accepted, domain, message.slots.len() as u16);
        for at in ready {
            self.unready(id, at);
        }
        let name = self.window.names.get(&domain).cloned();
        if let Some(domain) = name.and_then(|name| self.domains.get_mut(&name)) {
            domain.recipients += 1;
        }
        let message = self.messages.remove(&id).expect("it was there");
        if let Some(at) = message.deadline {
            self.timers.remove(&(at, Timer::Message(id)));
        }
        message.slots.iter().for_each(|slot| self.leave_domain(&slot.domain));
        self.window.octets -= weight(&message);
        self.window.parked.insert(id, entry);
        if wake <= self.now {
            self.stir(id);
        }
    }

    /// Whether nothing of a message is only here.
    pub(super) fn can_leave(&self, message: &Message) -> bool {
        let settled =
            |slot: &Slot| slot.is_settled() && slot.wish.is_none() && !matches!(slot.state, State::Trying(_));
        let live = |slot: &Slot| matches!(slot.state, State::Ready | State::Waiting);
        let expiry = self.config.schedule.expiry(message.accepted);
        // Its grace counts from then, and is in no record.
        let graced = message.freed > expiry.max(self.awake) && message.slots.iter().any(live);
        message.active
            && !graced
            && !message.saving
            && !message.listed
            && message.stalled.is_none()
            && message.facts.is_empty()
            && matches!(message.warning, Warning::None | Warning::Told)
            && message.slots.iter().all(settled)
    }

    fn leave_number(&mut self, number: u32) {
        if let Some(name) = self.window.names.get(&number).cloned() {
            self.leave_domain(&name);
        }
    }
}

/// The octets of a message, about: what never changes while it is here.
pub(super) fn weight(message: &Message) -> usize {
    let text = |text: &Option<Box<str>>| text.as_ref().map_or(0, |text| text.len());
    let slot = |slot: &Slot| size_of::<Slot>() + slot.address.as_str().len() + text(&slot.original) + 32;
    let from = message.from.as_ref().map_or(0, |from| from.as_str().len());
    size_of::<Message>() + from + text(&message.id) + message.slots.iter().map(slot).sum::<usize>() + 64
}

/// After what time a message to several domains that had to leave comes back.
const AGAIN: Time = 60;
