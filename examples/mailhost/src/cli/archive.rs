//! Import, export, backup, restore.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use smtp_codec::Mailbox;

use super::ConfigFile;
use crate::archive::restore::Waiting;
use crate::archive::{Dates, Variant};

/// Where mail comes from.
#[derive(Clone, Debug, Subcommand)]
pub enum Import {
    /// Take over a Maildir, with its folders (Dovecot's and Courier's too), flags, keywords, times and subscriptions.
    Maildir {
        /// Whose mail it becomes.
        #[command(flatten)]
        into: Target,
        /// Where the time comes from at which a message was received.
        #[arg(long, value_enum, default_value_t, value_name = "SOURCE")]
        dates: Dates,
    },
    /// Take over an mbox file, or a folder of them (Thunderbird's too), with flags and times.
    Mbox {
        /// Whose mail it becomes.
        #[command(flatten)]
        into: Target,
        /// How lines that begin with "From " are hidden in the file.
        #[arg(long, value_enum, default_value_t)]
        variant: Variant,
        /// Leave fields in which mail programs keep flags (Status, X-Status, X-Keywords, X-Mozilla-Status) in the messages.
        #[arg(long)]
        keep_status: bool,
    },
}

/// Where messages go.
#[derive(Args, Clone, Debug)]
pub struct Target {
    /// The folder or file.
    pub path: PathBuf,
    /// The address of the account.
    #[arg(long, value_parser = super::address, value_name = "ADDRESS")]
    pub account: Mailbox<'static>,
    /// Put everything into this mailbox, and folders below it. Without it, each folder becomes the mailbox of its name: Sent,
    /// Trash, Spam and the like become those that the account has for the purpose.
    #[arg(long, value_name = "NAME")]
    pub mailbox: Option<String>,
    /// Take messages once more that are in the mailbox already. Without it, what an earlier run has imported is left out: the
    /// same octets with the same time.
    #[arg(long)]
    pub again: bool,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Where mail goes.
#[derive(Clone, Debug, Subcommand)]
pub enum Export {
    /// Write a Maildir, with folders, flags, keywords, times and subscriptions, as Dovecot reads it.
    Maildir {
        /// Whose mail it is.
        #[command(flatten)]
        from: Source,
        /// Add what is missing to a Maildir that an earlier export has begun.
        #[arg(long = "continue")]
        go_on: bool,
    },
    /// Write an mbox file for each mailbox (mboxrd).
    Mbox {
        /// Whose mail it is.
        #[command(flatten)]
        from: Source,
        /// Write flags and keywords as Status, X-Status and X-Keywords into the messages. Without it they are not exported.
        #[arg(long)]
        status: bool,
    },
}

/// Where messages come from.
#[derive(Args, Clone, Debug)]
pub struct Source {
    /// The folder to write to; with `mbox --mailbox`, the file.
    pub path: PathBuf,
    /// The address of the account.
    #[arg(long, value_parser = super::address, value_name = "ADDRESS")]
    pub account: Mailbox<'static>,
    /// Only this mailbox.
    #[arg(long, value_name = "NAME")]
    pub mailbox: Option<String>,
    /// End lines with LF alone, as older programs want it. Without it, messages are written octet for octet as they are kept.
    #[arg(long)]
    pub lf: bool,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// A copy of everything.
#[derive(Args, Clone, Debug)]
pub struct Backup {
    /// The folder to copy to. An earlier backup there is brought up to date: only what is new is copied.
    pub dir: PathBuf,
    /// Use hard links for files that do not change any more, if the folder is on the same disk: fast, and takes no room, but is
    /// a second name and no second copy. For handing on to rsync, tar or the like.
    #[arg(long)]
    pub link: bool,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// A host from a copy.
#[derive(Args, Clone, Debug)]
pub struct Restore {
    /// The folder with the backup.
    pub dir: PathBuf,
    /// What becomes of mail that waited for other hosts when the backup was taken. Some of it may have been sent since.
    #[arg(long, value_enum, default_value_t)]
    pub queue: Waiting,
    /// Let mail programs go on where they were, instead of reading all mailboxes anew. Only right if nothing has happened on
    /// the host since the backup, as when it moves to another machine.
    #[arg(long)]
    pub same_uids: bool,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
}
