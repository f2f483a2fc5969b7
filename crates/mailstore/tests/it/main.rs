//! The store against a simulated disk that crashes and fails, and against a real one.
#![allow(clippy::disallowed_macros, reason = "tests tell how much they have tried")]

mod backup;
mod compat;
mod crash;
mod faults;
mod large;
mod mailboxes;
mod messages;
mod mime;
mod oracle;
mod planted;
mod reader;
mod recovery;
mod rot;
mod search;
mod store;
mod world;
