//! Drives the real program.

mod accounts;
mod archive;
mod clients;
mod damage;
mod delivery;
mod demo;
mod first_minutes;
mod graceful;
mod imap;
mod memory;
mod peers;
mod policy;
mod pop3;
mod privileges;
mod python;
mod relay;
mod reload;
mod sasl;
mod second_process;
mod strace;
mod support;
mod torture;
mod watch;
mod web;
mod wrong_configuration;
