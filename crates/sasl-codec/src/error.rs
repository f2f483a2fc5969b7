//! What can be wrong with what a constructor was given.

use thiserror::Error;

/// A value that is not what a constructor of this crate demands.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[error("invalid {what}")]
pub struct Invalid {
    pub(crate) what: &'static str,
}

impl Invalid {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what }
    }

    /// What was to be made.
    pub const fn what(&self) -> &'static str {
        self.what
    }
}
