//! POP3 without I/O: grammar, framing, and sessions for servers and clients.
#![forbid(unsafe_code)]

pub mod command;
pub mod data;
pub mod error;
pub mod limits;
mod line;
pub mod maildrop;
pub mod reply;
pub mod server;

pub use limits::Limits;
pub use maildrop::{Maildrop, UniqueId};
pub use reply::Reply;
pub use server::{Event, ServerConfig, ServerSession};
