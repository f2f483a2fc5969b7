//! What is worth logging.

use core::fmt;
use core::time::Duration;

use super::Order;
use crate::envelope::{Address, BodyHandle, MessageId};
use crate::error::RecordError;
use crate::outcome::Answer;

/// Something worth logging.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fact {
    /// The message is in the queue.
    Accepted {
        /// Which.
        message: MessageId,
        /// Its body: what the host knows it by.
        body: BodyHandle,
    },
    /// The next host has it.
    Delivered {
        /// Which.
        message: MessageId,
        /// Its body: what the host knows it by.
        body: BodyHandle,
        /// To whom.
        recipient: Address,
        /// What it said.
        answer: Answer,
    },
    /// It is tried again.
    Deferred {
        /// Which.
        message: MessageId,
        /// Its body: what the host knows it by.
        body: BodyHandle,
        /// To whom.
        recipient: Address,
        /// Why.
        answer: Answer,
        /// When, since the UNIX epoch.
        next: Duration,
    },
    /// It is given up.
    Failed {
        /// Which.
        message: MessageId,
        /// Its body: what the host knows it by.
        body: BodyHandle,
        /// To whom.
        recipient: Address,
        /// Why, as far as anything is known.
        answer: Option<Answer>,
        /// Whether only because its time was up.
        expired: bool,
        /// Whether the sender is told.
        told: Told,
    },
    /// The sender has been told that it is late.
    Warned {
        /// Which.
        message: MessageId,
        /// Its body: what the host knows it by.
        body: BodyHandle,
    },
    /// The operator's order has been carried out.
    Ordered {
        /// Which.
        message: MessageId,
        /// Its body: what the host knows it by.
        body: BodyHandle,
        /// To whom.
        recipient: Address,
        /// What.
        order: Order,
    },
    /// An attempt has not come back within its lease: a defect of the driver, or a very slow host.
    Lost {
        /// Where to.
        site: String,
    },
    /// Nobody is left to deliver to: the message has left the queue.
    Finished {
        /// Which.
        message: MessageId,
        /// Its body, which the commit has released.
        body: BodyHandle,
    },
    /// Its records cannot be read. They are left where they are, and read again after a restart.
    Unreadable {
        /// Which.
        message: MessageId,
        /// What is wrong with them.
        error: RecordError,
    },
    /// The clock was set back, and all that waits was moved with it.
    ClockSetBack {
        /// By how much.
        by: Duration,
    },
}

/// Whether the sender of a message learns that it has failed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Told {
    /// In a report.
    Yes,
    /// There is nobody to tell: the message came from the null reverse-path, as reports do. RFC 5321 §6.1.
    NoSender,
    /// The sender did not want to know. RFC 3461 §4.1.
    NotWanted,
}

impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted { message, .. } => write!(f, "{message}: accepted"),
            Self::Delivered { message, recipient, answer, .. } => {
                write!(f, "{message}: delivered to {recipient}: {answer}")
            }
            Self::Deferred { message, recipient, answer, next, .. } => {
                write!(f, "{message}: {recipient} is tried again at {}: {answer}", next.as_secs())
            }
            Self::Failed { message, recipient, answer, expired, told, .. } => {
                write!(f, "{message}: {recipient} is given up")?;
                f.write_str(if *expired { ", its time is up" } else { "" })?;
                answer.iter().try_for_each(|answer| write!(f, ": {answer}"))?;
                f.write_str(match told {
                    Told::Yes => "; the sender is told",
                    Told::NoSender => "; there is no sender to tell",
                    Told::NotWanted => "; the sender did not want to know",
                })
            }
            Self::Warned { message, .. } => write!(f, "{message}: the sender is told that it is late"),
            Self::Ordered { message, recipient, order, .. } => {
                write!(f, "{message}: {recipient}: {order} by order")
            }
            Self::Lost { site } => write!(f, "an attempt to {site} did not come to an end"),
            Self::Finished { message, .. } => write!(f, "{message}: done"),
            Self::Unreadable { message, error } => {
                write!(f, "{message}: its records cannot be read: {error}")
            }
            Self::ClockSetBack { by } => write!(f, "the clock was set back by {} s", by.as_secs()),
        }
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retry => "to be tried",
            Self::Hold => "held",
            Self::Release => "released",
            Self::Bounce => "bounced",
            Self::Drop => "dropped",
        })
    }
}
