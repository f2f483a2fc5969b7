//! What an operator can see and order.

use core::fmt;
use core::time::Duration;

use super::message::{Last, Message, Slot, State};
use super::site::Routing;
use super::{Fact, Queue, since_epoch};
use crate::envelope::{Address, BodyHandle, MessageId};
use crate::outcome::{Answer, Status};

/// Something that an operator wants done.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Order {
    /// Try now, also what is held, and also a site that is left alone for a while.
    Retry,
    /// Do nothing with it, until told otherwise. What is held is neither tried nor warned about, and does not expire.
    Hold,
    /// Go on with what was held: it is due at once, for the last time if it has expired meanwhile.
    Release,
    /// Give up, and tell the sender.
    Bounce,
    /// Give up, and tell nobody.
    Drop,
}

/// Which recipients an order is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Which<'a> {
    /// All.
    All,
    /// Those of a message.
    Message(MessageId),
    /// One of a message.
    Recipient(MessageId, &'a Address),
    /// Those of a domain, or those that are routed to a site.
    Destination(&'a str),
    /// Those of a message that go to a destination.
    DestinationOf(MessageId, &'a str),
}

/// What a recipient is at, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Standing {
    /// Something about it is being made durable.
    Saving,
    /// It is tried then.
    Waiting,
    /// Due: the site of its domain is asked for.
    Routing,
    /// Due: it has its turn when the site has room.
    Queued {
        /// The site.
        site: String,
        /// How many attempts there are to it.
        open: u32,
        /// How many there may be.
        window: u32,
    },
    /// Due, but its site is left alone for a while.
    Paused {
        /// The site.
        site: String,
        /// Until when, since the UNIX epoch.
        until: Duration,
        /// What was wrong with the site.
        answer: Option<Answer>,
    },
    /// Under way.
    Trying {
        /// The site.
        site: String,
    },
    /// Held by the operator.
    Held,
    /// The next host has it.
    Delivered,
    /// Given up.
    Failed,
    /// Dropped by the operator.
    Dropped,
}

/// A message, as an operator sees it.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    queue: &'a Queue,
    id: MessageId,
    message: &'a Message,
}

/// A recipient, as an operator sees it: also the answer to the question why it is still here.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RecipientView<'a> {
    /// Its address.
    pub address: &'a Address,
    /// What it is at.
    pub standing: Standing,
    /// When it is due, or has been, since the UNIX epoch. Of no meaning once it is done.
    pub next: Duration,
    /// The last answer, and when it came, since the UNIX epoch.
    pub last: Option<(&'a Answer, Duration)>,
    /// How often it was tried.
    pub tries: u16,
    /// When it is tried for the last time, since the UNIX epoch; `None` while it is held, and once it is done.
    pub expires: Option<Duration>,
}

impl Queue {
    /// All messages in the [window](crate::Limits::resident), the oldest first. Those outside are named by [`Self::ids`].
    pub fn list(&self) -> impl Iterator<Item = View<'_>> {
        self.messages.iter().map(|(id, message)| View { queue: self, id: *id, message })
    }

    /// One message, if it is in the window; see [`Self::load`].
    pub fn show(&self, id: MessageId) -> Option<View<'_>> {
        self.messages.get(&id).map(|message| View { queue: self, id, message })
    }

    /// Whether a message may have recipients that go to a destination: of many outside the window it is known that they
    /// have none, and they need not be loaded.
    pub fn may_go_to(&self, id: MessageId, destination: &str) -> bool {
        // Of several, those that are held may go anywhere.
        let entry = self.window.parked.get(id).filter(|entry| entry.recipients == 1);
        let Some(name) = entry.and_then(|entry| self.window.names.get(&entry.domain)) else {
            return true;
        };
        let site = match &self.domains[name].routing {
            Routing::Site { site, .. } => Some(&**site),
            _ => None,
        };
        &**name == destination || site == Some(destination)
    }

    /// Carries out an order, and tells for how many recipients. What it changes comes as commits from [`Self::poll`].
    ///
    /// What is under way cannot be called back: for it, the order is carried out when the attempt has failed. If a crash
    /// comes before, the order is forgotten.
    ///
    /// Where the [window](crate::Limits::resident) is bounded, it reaches what is in the window: for the others, go through
    /// [`Self::ids`], and [load](Self::load) each before its order.
    pub fn handle_order(&mut self, now: Duration, which: Which<'_>, order: Order) -> usize {
        self.observe(now);
        let ids = match which {
            Which::Message(id) | Which::Recipient(id, _) | Which::DestinationOf(id, _) => vec![id],
            Which::All | Which::Destination(_) => self.messages.keys().copied().collect(),
        };
        let mut count = 0;
        for id in ids {
            let slots = self
                .messages
                .get(&id)
                .filter(|message| message.active)
                .map_or(0, |message| message.slots.len());
            let mut touched = false;
            for at in 0..slots {
                let slot = &self.messages[&id].slots[at];
                let chosen = match which {
                    Which::All | Which::Message(_) => true,
                    Which::Recipient(_, address) => slot.address == *address,
                    Which::Destination(name) | Which::DestinationOf(_, name) => {
                        &*slot.domain == name || self.site_of(slot) == Some(name)
                    }
                };
                if chosen && self.order(id, at, order) {
                    touched = true;
                    count += 1;
                }
            }
            if touched {
                self.refresh(id);
            }
        }
        count
    }

    fn order(&mut self, id: MessageId, at: usize, order: Order) -> bool {
        let now = self.now;
        if order == Order::Retry {
            self.reopen(id, at);
        }
        let slot = &mut self.messages.get_mut(&id).expect("it was there").slots[at];
        match (slot.state, order) {
            (State::Delivered | State::Failed | State::Dropped, _) => return false,
            (State::Trying(_), Order::Retry | Order::Release) => return slot.wish.take().is_some(),
            (State::Trying(_), _) => {
                slot.wish = Some(order);
                return true;
            }
            (State::Held, Order::Hold)
            | (State::Waiting, Order::Release)
            | (State::Ready, Order::Release) => {
                return false;
            }
            (State::Ready, Order::Retry) => return true,
            (State::Ready, _) => self.unready(id, at),
            (State::Waiting | State::Held, _) => {}
        }
        let message = self.messages.get_mut(&id).expect("it was there");
        let slot = &mut message.slots[at];
        let recipient = slot.address.clone();
        match order {
            Order::Retry | Order::Release => {
                slot.state = State::Waiting;
                slot.next = now;
            }
            Order::Hold => slot.state = State::Held,
            Order::Drop => slot.state = State::Dropped,
            Order::Bounce => {
                slot.wish = Some(Order::Bounce);
                if slot.last.is_none() {
                    let answer =
                        Answer::local(Status::new(5, 0, 0), "given up by the postmaster of this host");
                    slot.last = Some(Last { at: now, answer });
                }
                self.fail(id, at, None, false);
                return true;
            }
        }
        slot.unsaved = true;
        let body = message.body;
        message.facts.push(Fact::Ordered { message: id, body, recipient, order });
        self.save_later(id);
        true
    }

    /// Forgets what stands against trying a recipient now.
    fn reopen(&mut self, id: MessageId, at: usize) {
        let slot = &self.messages[&id].slots[at];
        let name = slot.domain.clone();
        if let Some(domain) = self.domains.get_mut(&name)
            && matches!(domain.routing, Routing::Failed { .. })
        {
            domain.routing = Routing::Unknown;
        }
        let site = self.messages[&id].slots[at].site.clone().or_else(|| match &self.domains[&name].routing {
            Routing::Site { site, .. } => Some(site.clone()),
            _ => None,
        });
        if let Some(name) = site
            && let Some(site) = self.sites.get_mut(&name)
        {
            site.closed_until = self.now;
            self.touch_site(&name);
        }
    }

    fn site_of<'a>(&'a self, slot: &'a Slot) -> Option<&'a str> {
        match (&slot.site, slot.state, &self.domains[&slot.domain].routing) {
            (Some(site), _, _) => Some(site),
            (None, State::Trying(attempt), _) => self.attempts.get(&attempt).map(|open| &*open.site),
            (None, State::Waiting | State::Held, Routing::Site { site, .. }) => Some(site),
            _ => None,
        }
    }

    fn standing(&self, slot: &Slot) -> Standing {
        match slot.state {
            State::Trying(attempt) => {
                let site = self.attempts.get(&attempt).map_or("", |open| &open.site);
                Standing::Trying { site: site.to_owned() }
            }
            _ if !slot.is_settled() => Standing::Saving,
            State::Waiting => Standing::Waiting,
            State::Held => Standing::Held,
            State::Delivered => Standing::Delivered,
            State::Failed => Standing::Failed,
            State::Dropped => Standing::Dropped,
            State::Ready => match slot.site.as_ref().and_then(|name| self.sites.get_key_value(name)) {
                None => Standing::Routing,
                Some((name, site)) if site.closed_until > self.now => {
                    let until = since_epoch(site.closed_until);
                    Standing::Paused { site: name.to_string(), until, answer: site.answer.clone() }
                }
                Some((name, site)) => {
                    Standing::Queued { site: name.to_string(), open: site.open, window: site.allowed() }
                }
            },
        }
    }
}

impl<'a> View<'a> {
    /// Which message it is.
    pub const fn id(&self) -> MessageId {
        self.id
    }

    /// Its sender; `None` for the null reverse-path.
    pub const fn from(&self) -> Option<&'a Address> {
        self.message.from.as_ref()
    }

    /// Its body.
    pub const fn body(&self) -> BodyHandle {
        self.message.body
    }

    /// Its size in octets, as it was given.
    pub const fn size(&self) -> u64 {
        self.message.size
    }

    /// When it was accepted, since the UNIX epoch.
    pub fn accepted(&self) -> Duration {
        since_epoch(self.message.accepted)
    }

    /// When it is tried for the last time, since the UNIX epoch.
    pub fn expires(&self) -> Duration {
        since_epoch(self.queue.expiry(self.id))
    }

    /// Whether its sender has been told that it is late.
    pub fn is_warned(&self) -> bool {
        self.message.warning == super::Warning::Told
    }

    /// Its recipients, those included that are done.
    pub fn recipients(&self) -> impl Iterator<Item = RecipientView<'a>> + use<'a> {
        let View { queue, message, .. } = *self;
        let expires = self.expires();
        message.slots.iter().map(move |slot| {
            let gone = slot.state.is_final() || slot.state == State::Held;
            RecipientView {
                address: &slot.address,
                standing: queue.standing(slot),
                next: since_epoch(slot.next),
                last: slot.last.as_ref().map(|last| (&last.answer, since_epoch(last.at))),
                tries: slot.tries,
                expires: (!gone).then_some(expires),
            }
        })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Saving => f.write_str("being made durable"),
            Self::Waiting => f.write_str("waiting for its next try"),
            Self::Routing => f.write_str("due, its domain is being looked up"),
            Self::Queued { site, open, window } => {
                write!(f, "due, waiting for its turn at {site} ({open} of {window} connections open)")
            }
            Self::Paused { site, answer, .. } => {
                write!(f, "due, but {site} is left alone for a while")?;
                answer.iter().try_for_each(|answer| write!(f, " after: {answer}"))
            }
            Self::Trying { site } => write!(f, "under way to {site}"),
            Self::Held => f.write_str("held by the operator"),
            Self::Delivered => f.write_str("delivered"),
            Self::Failed => f.write_str("given up"),
            Self::Dropped => f.write_str("dropped by the operator"),
        }
    }
}
