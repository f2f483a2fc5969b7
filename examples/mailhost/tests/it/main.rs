//! Drives the real program.

mod clients;
mod damage;
mod delivery;
mod demo;
mod graceful;
mod imap;
mod memory;
mod peers;
mod policy;
mod python;
mod relay;
mod sasl;
mod second_process;
mod strace;
mod support;
mod torture;
mod watch;
mod wrong_configuration;
