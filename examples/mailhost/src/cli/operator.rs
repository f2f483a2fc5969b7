//! `mailhost operator`.

use clap::Args;

use super::ConfigFile;

/// A link to the operator's pages. It is good for ten minutes, and once: the browser that opens it stays signed in for twelve hours.
///
/// From another machine, forward the port first: ssh -L 8081:127.0.0.1:8081 mail.example.org
#[derive(Args, Clone, Debug)]
#[command(verbatim_doc_comment)]
pub struct Operator {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
}
