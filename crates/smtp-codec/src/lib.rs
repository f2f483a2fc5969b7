//! SMTP without I/O: grammar, framing, and sessions for servers and clients.
#![forbid(unsafe_code)]

pub mod address;
pub mod command;
pub mod data;
pub mod error;
pub mod extension;
pub mod limits;
mod line;
pub mod reply;
pub mod server;

pub use address::{Domain, ForwardPath, Mailbox, ReversePath};
pub use limits::Limits;
pub use reply::Reply;
pub use server::{Event, ServerConfig, ServerSession};
