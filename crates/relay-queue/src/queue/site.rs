//! Where mail goes: domains, the sites they are routed to, and how much each site can take.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::message::{Name, Slot, State};
use super::{Queue, Timer, enter, leave};
use crate::envelope::MessageId;
use crate::outcome::{Answer, Status};
use crate::schedule::{Time, seconds};

/// Where the mail of a domain goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Route {
    /// To these hosts, which the driver calls by one name: domains with the same name share connections.
    Site {
        /// The name, such as the host names in their order.
        site: String,
        /// Until when this may be remembered, since the UNIX epoch.
        until: Duration,
    },
    /// Nowhere.
    Failed {
        /// Why.
        answer: Answer,
        /// Whether this will not change: no such domain, or a null MX.
        permanent: bool,
        /// Until when this may be remembered, since the UNIX epoch.
        until: Duration,
    },
}

/// A domain that some recipient is in.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
pub(super) struct Domain {
    pub(super) routing: Routing,
    /// What is due and has no site yet.
    pub(super) ready: BTreeMap<(Time, MessageId), u32>,
    /// How many recipients are in it, and messages outside the window that wait for it.
    pub(super) recipients: usize,
    /// What messages outside the window call it.
    pub(super) number: u32,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
pub(super) enum Routing {
    #[default]
    Unknown,
    /// Among those to be asked for.
    Listed,
    Asked {
        deadline: Time,
    },
    Site {
        site: Name,
        until: Time,
    },
    Failed {
        answer: Answer,
        permanent: bool,
        learnt: Time,
        until: Time,
    },
}

/// Some hosts that mail goes to.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Site {
    pub(super) ready: BTreeMap<(Time, MessageId), u32>,
    /// The message that had the last turn.
    pub(super) turn: (Time, MessageId),
    /// How many attempts there are.
    pub(super) open: u32,
    /// How many there may be.
    pub(super) window: u32,
    /// How often in a row it could not be reached.
    pub(super) failures: u32,
    pub(super) closed_until: Time,
    /// Attempts from before this one say nothing new about it.
    pub(super) epoch: u64,
    /// When the last attempt was begun.
    pub(super) opened: Time,
    /// Why it was closed.
    pub(super) answer: Option<Answer>,
    pub(super) timer: Option<Time>,
}

impl Domain {
    pub(super) fn shift(&mut self, by: Time) {
        shift_keys(&mut self.ready, by);
        match &mut self.routing {
            Routing::Unknown | Routing::Listed => {}
            Routing::Asked { deadline } => *deadline -= by,
            Routing::Site { until, .. } => *until -= by,
            Routing::Failed { learnt, until, .. } => {
                *learnt -= by;
                *until -= by;
            }
        }
    }
}

impl Site {
    fn new(window: u32) -> Self {
        Self {
            ready: BTreeMap::new(),
            turn: (Time::MIN, MessageId(0)),
            open: 0,
            window,
            failures: 0,
            closed_until: Time::MIN / 2,
            epoch: 0,
            opened: Time::MIN / 2,
            answer: None,
            timer: None,
        }
    }

    pub(super) fn shift(&mut self, by: Time) {
        shift_keys(&mut self.ready, by);
        self.turn.0 = self.turn.0.saturating_sub(by);
        self.closed_until -= by;
        self.opened -= by;
        self.timer.iter_mut().for_each(|at| *at -= by);
    }

    /// How many attempts there may be now.
    pub(super) const fn allowed(&self) -> u32 {
        // The first one after a failure is to find out whether the site is back.
        if self.failures > 0 { 1 } else { self.window }
    }
}

impl Queue {
    /// Takes the answer to [`Event::Resolve`](super::Event::Resolve), or news of a domain.
    pub fn handle_route(&mut self, now: Duration, domain: &str, route: Route) {
        self.observe(now);
        let Some((name, _)) = self.domains.get_key_value(domain) else {
            return;
        };
        let name = name.clone();
        let routing = match route {
            Route::Site { site, until } => {
                let site = self
                    .sites
                    .get_key_value(&*site)
                    .map_or_else(|| Arc::from(site), |(name, _)| name.clone());
                Routing::Site { site, until: seconds(until).min(self.now + DAY) }
            }
            Route::Failed { answer, permanent, until } => {
                let until = seconds(until).min(self.now + DAY);
                Routing::Failed { answer, permanent, learnt: self.now, until }
            }
        };
        self.set_routing(&name, routing);
    }

    /// The driver did not say where a domain is.
    pub(super) fn unanswered(&mut self, name: &Name) {
        let answer = Answer::local(Status::new(4, 4, 3), "the name servers did not answer in time");
        let routing = Routing::Failed { answer, permanent: false, learnt: self.now, until: self.now };
        self.set_routing(name, routing);
    }

    fn set_routing(&mut self, name: &Name, routing: Routing) {
        let Some(domain) = self.domains.get_mut(name) else {
            return;
        };
        if let Routing::Asked { deadline } = domain.routing {
            self.asked -= 1;
            self.timers.remove(&(deadline, Timer::Domain(name.clone())));
        }
        domain.routing = routing;
        self.window.rest = Time::MIN;
        let waiting: BTreeSet<MessageId> = domain.ready.keys().map(|(_, id)| *id).collect();
        for &id in &waiting {
            for at in self.ready_among(id, |slot| slot.site.is_none() && slot.domain == *name) {
                self.unready(id, at);
                self.place(id, at);
            }
        }
        // Only now: it may ask for the domain again.
        waiting.into_iter().for_each(|id| self.refresh(id));
        self.forget_domain(name);
    }

    /// Forgets where domains go: whoever waits has its domain asked for again when its turn comes. For a driver that routes
    /// by other rules from now on. What is being tried, or is ready for a site, goes there still.
    pub fn forget_routes(&mut self) {
        let now = self.now;
        for domain in self.domains.values_mut() {
            if let Routing::Site { until, .. } | Routing::Failed { until, .. } = &mut domain.routing {
                *until = now.min(*until);
            }
        }
    }

    /// Makes what is due ready.
    pub(super) fn make_ready(&mut self, id: MessageId, at: usize) {
        let (name, expiry) = (self.messages[&id].slots[at].domain.clone(), self.expiry(id));
        let domain = self.domains.get_mut(&name).expect("a recipient's domain is known");
        let known = match &domain.routing {
            Routing::Site { until, .. } => *until > self.now,
            // An answer from before the expiry is not the last attempt.
            Routing::Failed { learnt, until, .. } => {
                *until > self.now && (self.now < expiry || *learnt >= expiry)
            }
            Routing::Unknown | Routing::Listed | Routing::Asked { .. } => false,
        };
        if known {
            return self.place(id, at);
        }
        if !matches!(domain.routing, Routing::Listed | Routing::Asked { .. }) {
            domain.routing = Routing::Listed;
            self.to_ask.push_back(name.clone());
        }
        let slot = &mut self.messages.get_mut(&id).expect("it was there").slots[at];
        slot.state = State::Ready;
        slot.site = None;
        enter(&mut domain.ready, (slot.next, id));
    }

    /// Puts a recipient where its domain is routed to.
    fn place(&mut self, id: MessageId, at: usize) {
        let slot = &mut self.messages.get_mut(&id).expect("a recipient has a message").slots[at];
        match &self.domains[&slot.domain].routing {
            Routing::Site { site: name, .. } => {
                let name = name.clone();
                slot.state = State::Ready;
                slot.site = Some(name.clone());
                let window = self.config.limits.first_window;
                let site = self.sites.entry(name.clone()).or_insert_with(|| Site::new(window));
                enter(&mut site.ready, (slot.next, id));
                self.touch_site(&name);
            }
            Routing::Failed { answer, permanent, .. } => {
                let (answer, permanent) = (answer.clone(), *permanent);
                self.fail(id, at, Some(&answer), permanent);
            }
            Routing::Unknown | Routing::Listed | Routing::Asked { .. } => unreachable!("the route is known"),
        }
    }

    /// Takes a recipient from among the ready ones; it is left waiting.
    pub(super) fn unready(&mut self, id: MessageId, at: usize) {
        let slot = &mut self.messages.get_mut(&id).expect("a recipient has a message").slots[at];
        slot.state = State::Waiting;
        let key = (slot.next, id);
        match slot.site.take() {
            Some(name) => {
                leave(&mut self.sites.get_mut(&name).expect("a site with recipients is kept").ready, key);
                self.touch_site(&name);
            }
            None => {
                let domain = self.domains.get_mut(&slot.domain).expect("a recipient's domain is known");
                leave(&mut domain.ready, key);
            }
        }
    }

    fn ready_among(&self, id: MessageId, which: impl Fn(&Slot) -> bool) -> Vec<usize> {
        let slots = self.messages[&id].slots.iter().enumerate();
        slots.filter(|(_, slot)| slot.state == State::Ready && which(slot)).map(|(at, _)| at).collect()
    }

    /// Thinks again whether a site may have an attempt.
    pub(super) fn touch_site(&mut self, name: &Name) {
        self.window.rest = Time::MIN;
        let Some(site) = self.sites.get_mut(name) else {
            return;
        };
        let mut open = false;
        let mut timer = None;
        if self.now < site.closed_until {
            timer = Some(site.closed_until);
        } else if site.ready.is_empty() {
            let remembered = site.failures > 0 && !self.window.lines.is_empty();
            if site.open == 0 && !remembered {
                if let Some(at) = site.timer {
                    self.timers.remove(&(at, Timer::Site(name.clone())));
                }
                self.sites.remove(name);
                self.open_sites.remove(name);
                return;
            }
        } else if site.open < site.allowed() {
            let patient = site.opened + self.config.limits.patience;
            let few = site.ready.len() <= 4 * site.open as usize;
            if site.open > 0 && few && self.now < patient {
                timer = Some(patient);
            } else {
                open = true;
            }
        }
        if open {
            self.open_sites.insert(name.clone());
        } else {
            self.open_sites.remove(name);
        }
        if site.timer != timer {
            if let Some(at) = site.timer {
                self.timers.remove(&(at, Timer::Site(name.clone())));
            }
            site.timer = timer;
            if let Some(at) = timer {
                self.timers.insert((at, Timer::Site(name.clone())));
            }
        }
    }

    /// A site could not be reached: it is left alone, and those whose time is up have had their last attempt.
    pub(super) fn close_site(&mut self, name: &Name, answer: &Answer) {
        let Some(site) = self.sites.get_mut(name) else {
            return;
        };
        let limits = &self.config.limits;
        site.failures = site.failures.saturating_add(1);
        self.window.tight = [None; 2];
        let doubled = limits.pause.saturating_mul(1 << (site.failures - 1).min(20));
        site.closed_until = self.now + doubled.min(limits.longest_pause);
        site.answer = Some(answer.clone());
        let waiting: BTreeSet<MessageId> = site.ready.keys().map(|(_, id)| *id).collect();
        for id in waiting {
            let expired = self.expiry(id) <= self.now;
            let mut changed = false;
            for at in self.ready_among(id, |slot| slot.site.as_ref() == Some(name)) {
                let slot = &self.messages[&id].slots[at];
                let stale = match &self.domains[&slot.domain].routing {
                    Routing::Site { site, until } => site != name || *until <= self.now,
                    _ => true,
                };
                if expired {
                    self.unready(id, at);
                    self.fail(id, at, Some(answer), false);
                } else if stale {
                    // Perhaps its mail goes elsewhere by now.
                    self.unready(id, at);
                    self.make_ready(id, at);
                } else {
                    continue;
                }
                changed = true;
            }
            if changed {
                self.refresh(id);
            }
        }
        self.touch_site(name);
    }

    /// The next domain to be asked for.
    pub(super) fn next_question(&mut self) -> Option<Name> {
        while self.asked < self.config.limits.resolves {
            let name = self.to_ask.pop_front()?;
            let Some(domain) = self.domains.get_mut(&name) else {
                continue;
            };
            if !matches!(domain.routing, Routing::Listed) {
                continue;
            }
            if domain.ready.is_empty() {
                domain.routing = Routing::Unknown;
                self.forget_domain(&name);
                continue;
            }
            let deadline = self.now + self.config.limits.resolve;
            domain.routing = Routing::Asked { deadline };
            self.asked += 1;
            self.timers.insert((deadline, Timer::Domain(name.clone())));
            return Some(name);
        }
        None
    }

    /// The one name of a domain, with one recipient more in it.
    pub(super) fn enter_domain(&mut self, domain: &str) -> Name {
        if let Some((name, _)) = self.domains.get_key_value(domain) {
            let name = name.clone();
            self.domains.get_mut(&name).expect("it was there").recipients += 1;
            return name;
        }
        let name: Name = Arc::from(domain);
        // Numbers come round after four thousand million domains, and those in use are stepped over.
        loop {
            self.window.last_name = self.window.last_name.wrapping_add(1).max(1);
            if !self.window.names.contains_key(&self.window.last_name) {
                break;
            }
        }
        let number = self.window.last_name;
        self.window.names.insert(number, name.clone());
        self.domains.insert(name.clone(), Domain { recipients: 1, number, ..Domain::default() });
        name
    }

    pub(super) fn leave_domain(&mut self, name: &Name) {
        if let Some(domain) = self.domains.get_mut(name) {
            domain.recipients -= 1;
        }
        self.forget_domain(name);
    }

    fn forget_domain(&mut self, name: &Name) {
        let gone = self.domains.get(name).is_some_and(|domain| {
            domain.recipients == 0 && !matches!(domain.routing, Routing::Asked { .. } | Routing::Listed)
        });
        if gone && let Some(domain) = self.domains.remove(name) {
            self.window.names.remove(&domain.number);
        }
    }
}

fn shift_keys(ready: &mut BTreeMap<(Time, MessageId), u32>, by: Time) {
    *ready = core::mem::take(ready).into_iter().map(|((at, id), count)| ((at - by, id), count)).collect();
}

/// No route is remembered for longer.
const DAY: Time = 86_400;
