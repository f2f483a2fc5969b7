//! What is held of a message and of each of its recipients.

use std::sync::Arc;

use super::{Fact, Order};
use crate::envelope::{Address, BodyHandle, Notify};
use crate::outcome::Answer;
use crate::schedule::Time;

/// A domain or a site, shared by all that name it.
pub(crate) type Name = Arc<str>;

/// A message: 200 octets or so, its sender, and its recipients.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) from: Option<Address>,
    pub(crate) body: BodyHandle,
    pub(crate) size: u64,
    pub(crate) tag: u32,
    pub(crate) id: Option<Box<str>>,
    pub(crate) accepted: Time,
    pub(crate) warning: Warning,
    pub(crate) slots: Vec<Slot>,
    /// Its first commit is durable. Nothing happens to it before.
    pub(crate) active: bool,
    /// A commit of it is with the driver. There is never more than one.
    pub(crate) saving: bool,
    /// It is in the list of messages to be saved.
    pub(crate) listed: bool,
    /// A commit has failed; when to ask for it again.
    pub(crate) stalled: Option<Time>,
    /// When its last commit became durable, since the start.
    pub(crate) freed: Time,
    /// What its timer is set to.
    pub(crate) deadline: Option<Time>,
    /// Told once the commit that makes them true is durable.
    pub(crate) facts: Vec<Fact>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Warning {
    None,
    /// To be told, with the next commit.
    Due,
    /// In the commit that is with the driver.
    Saving,
    Told,
}

/// A recipient: 112 octets, its address, and its last answer, which it shares with others.
#[derive(Clone, Debug)]
pub(crate) struct Slot {
    pub(crate) address: Address,
    pub(crate) original: Option<Box<str>>,
    pub(crate) domain: Name,
    /// Where it is ready, if that is known.
    pub(crate) site: Option<Name>,
    pub(crate) state: State,
    /// When it is due, or has been.
    pub(crate) next: Time,
    pub(crate) last: Option<Last>,
    pub(crate) tries: u16,
    pub(crate) notify: Notify,
    /// Changed since its record was made.
    pub(crate) unsaved: bool,
    /// Its record is in the commit that is with the driver.
    pub(crate) saving: bool,
    /// What the operator wants once its attempt has failed.
    pub(crate) wish: Option<Order>,
}

/// An answer, and when it came.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Last {
    pub(crate) at: Time,
    pub(crate) answer: Answer,
}

/// What a recipient is at. See `docs/states.md`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    Waiting,
    /// Due: among the ready ones of its site, or of its domain while that has none.
    Ready,
    Trying(u64),
    Held,
    Delivered,
    /// For good. Whether it is told is decided when the commit is made.
    Failed,
    /// By the operator, without a report.
    Dropped,
}

impl State {
    pub(crate) const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Failed | Self::Dropped)
    }
}

impl Slot {
    /// What it is now is on stable storage, and may be acted on.
    pub(crate) const fn is_settled(&self) -> bool {
        !self.unsaved && !self.saving
    }
}

impl Message {
    pub(crate) fn is_over(&self) -> bool {
        self.slots.iter().all(|slot| slot.state.is_final())
    }

    /// Whether the sender would be told now that the recipient is late.
    pub(crate) fn is_late(&self, slot: &Slot) -> bool {
        self.from.is_some() && slot.notify.delay && !slot.state.is_final() && slot.state != State::Held
    }
}
