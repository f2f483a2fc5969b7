//! Mailboxes without I/O: a store as a state machine over a crash-safe journal.
#![forbid(unsafe_code)]

pub mod error;
pub mod index;
mod journal;
pub mod limits;
pub mod mailbox;
pub mod message;
pub mod operation;
#[cfg(feature = "os")]
pub mod os;
#[cfg(feature = "simulation")]
pub mod sim;
pub mod store;
pub mod upload;
pub mod verify;

pub use error::Failure;
pub use journal::recovery::{Damage, Report};
pub use limits::Limits;
pub use mailbox::View;
pub use operation::Operation;
pub use store::{Commit, Event, Intent, Source, Store};
