//! Drives the real program.

mod support;
mod wrong_configuration;
