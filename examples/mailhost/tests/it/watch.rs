//! What the host tells of itself, and what it does not tell to those who attack it.

mod guessing;
mod hostile;
mod inside;
mod oracle;
mod secrets;
mod tables;

pub(crate) use self::hostile::{HOSTILE, checked};
