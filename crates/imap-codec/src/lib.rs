//! IMAP
#![forbid(unsafe_code)]

pub mod client;
pub mod command;
pub mod encode;
pub mod error;
pub mod extension;
pub mod fragment;
pub mod limits;
mod parse;
pub mod response;
pub mod server;
pub mod types;

pub use client::{ClientConfig, ClientSession};
pub use command::Verb;
pub use limits::{ClientLimits, Limits};
pub use server::{Event, ServerConfig, ServerSession};
