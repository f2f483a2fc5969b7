//! SASL.
#![forbid(unsafe_code)]

pub mod binding;
pub mod client;
pub mod error;
pub mod limits;
pub mod mechanism;
pub mod oauth;
pub mod prepare;
pub mod scram;
pub mod secret;
pub mod server;

pub use binding::ChannelBinding;
pub use client::ClientSession;
pub use limits::Limits;
pub use mechanism::Mechanism;
pub use secret::{Nonce, Password, ServerSecret};
pub use server::{ServerConfig, ServerSession};
