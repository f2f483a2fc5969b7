//! The world simulator: mail hosts with their real sessions, queue, store and look-up, their disks, a network, name
//! servers and users, on one thread, under one seed and a virtual clock.
//!
//! `README.md` says what is checked, and what is not.

pub mod dice;
pub mod hosts;
pub mod imap;
pub mod invariants;
pub mod machine;
pub mod moody;
pub mod names;
pub mod network;
pub mod outcome;
pub mod panics;
pub mod plan;
pub mod seeds;
pub mod trace;
pub mod users;
pub mod web;
pub mod world;

pub use self::plan::Options;
pub use self::world::{Outcome, run};

/// What a world runs on: one thread with a virtual clock, on which panics are remembered.
fn runtime() -> tokio::runtime::Runtime {
    panics::watch();
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without threads and sockets")
}
