//! The parts of `mailhost`, a complete mail host made of Postrider's libraries, tokio and rustls.
//!
//! The program is `main.rs`; this library is there so that tests reach the parts.

pub mod accounts;
pub mod admin;
pub mod archive;
pub mod auth;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod demo;
pub mod host;
pub mod intake;
pub mod listener;
pub mod logs;
pub mod lookup;
pub mod metrics;
mod moving;
pub mod offers;
pub mod planted;
pub mod preflight;
pub mod privileges;
pub mod published;
pub mod quickstart;
pub mod relay;
pub mod reload;
mod searching;
pub mod serve_imap;
pub mod serve_pop3;
pub mod serve_smtp;
pub mod store;
pub mod surrogate;
pub mod survey;
pub mod system;
pub mod tls;
pub mod trace;
pub mod web;
pub mod wire;
pub mod words;
pub mod writing;

/// What the README of the workspace shows compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
