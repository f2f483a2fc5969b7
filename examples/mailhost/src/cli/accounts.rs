//! What there is to do to accounts and aliases.

use clap::{Args, Subcommand};
use imap_codec::extension::Extension;
use smtp_codec::Mailbox;

use super::{ConfigFile, address, capability, size};

/// Accounts.
#[derive(Clone, Debug, Subcommand)]
pub enum Account {
    /// Add an account. Without a terminal and without --password-stdin, a password is made and printed.
    Add {
        /// Its mail address.
        #[arg(value_parser = address)]
        address: Mailbox<'static>,
        /// The name to log in with, if it is not the address.
        #[arg(long, value_name = "NAME")]
        login: Option<String>,
        /// Where the password comes from.
        #[command(flatten)]
        password: PasswordSource,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// List all accounts.
    List {
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Show all that is known of an account.
    Show {
        /// Its mail address.
        #[arg(value_parser = address)]
        address: Mailbox<'static>,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Remove an account, and end its sessions. Its mail is kept.
    Remove {
        /// Its mail address.
        #[arg(value_parser = address)]
        address: Mailbox<'static>,
        /// Remove its mail too.
        #[arg(long)]
        purge: bool,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Set the password of an account, and end its sessions.
    Password {
        /// Its mail address.
        #[arg(value_parser = address)]
        address: Mailbox<'static>,
        /// Where the password comes from.
        #[command(flatten)]
        password: PasswordSource,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Add, list and remove passwords for one device or program each.
    ///
    /// A device that is lost loses its own password, and no other one has to be changed. Each is made here, shown once, and works
    /// wherever the password of the account does. A program that logs in with SCRAM, as those with Cyrus SASL do (mbsync, NeoMutt),
    /// has to say which one it uses: its login name is then NAME of the account, a slash, and the name of the app password.
    #[command(subcommand, verbatim_doc_comment)]
    AppPassword(AppPassword),
    /// Send the mail of an account on to other addresses, or to none any more.
    ///
    /// What goes to other hosts goes under a sender of this host (SRS), so that they take it, and reports come back to whoever sent
    /// it.
    #[command(verbatim_doc_comment)]
    Forward {
        /// Its mail address.
        #[arg(value_parser = address)]
        address: Mailbox<'static>,
        /// Where the mail goes; without any, it stays here.
        #[arg(value_parser = address, value_name = "TARGET")]
        targets: Vec<Mailbox<'static>>,
        /// Keep the mail here as well (the default).
        #[arg(long, conflicts_with = "no_keep", requires = "targets")]
        keep: bool,
        /// Keep nothing here.
        #[arg(long, requires = "targets")]
        no_keep: bool,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Let nobody log in to an account, and end its sessions. Its mail is still taken, and not sent on.
    Suspend {
        /// Its mail address.
        #[arg(value_parser = address)]
        address: Mailbox<'static>,
        /// Why, for your own memory: nobody else is told.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Put its mail off, too (450): whoever sends it tries again for some days.
        #[arg(long)]
        no_mail: bool,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// End a suspension.
    Resume {
        /// Its mail address.
        #[arg(value_parser = address)]
        address: Mailbox<'static>,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Say how much an account may have. What is left out has no limit.
    Quota {
        /// Its mail address.
        #[arg(value_parser = address)]
        address: Mailbox<'static>,
        /// Octets of all its messages, such as 2GiB.
        #[arg(long, value_parser = size, value_name = "SIZE")]
        size: Option<u64>,
        /// How many messages.
        #[arg(long, value_name = "NUMBER")]
        messages: Option<u64>,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Say what an account does without in IMAP, for a client that gets something wrong.
    Imap {
        /// Its mail address.
        #[arg(value_parser = address)]
        address: Mailbox<'static>,
        /// A capability that is switched off, such as CONDSTORE; what needs it goes, too. All others are on.
        #[arg(long, value_parser = capability, value_name = "CAPABILITY")]
        without: Vec<Extension>,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
}

/// Passwords for one device each.
#[derive(Clone, Debug, Subcommand)]
pub enum AppPassword {
    /// Make a password, and show it this once.
    Add(AppPasswordName),
    /// List the names, and when each was used last.
    List {
        /// The mail address of the account.
        #[arg(value_parser = address)]
        address: Mailbox<'static>,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Take a password away, and end the sessions of the account.
    Remove(AppPasswordName),
}

/// Which one.
#[derive(Args, Clone, Debug)]
pub struct AppPasswordName {
    /// The mail address of the account.
    #[arg(value_parser = address)]
    pub address: Mailbox<'static>,
    /// What the device is called, such as phone.
    pub name: String,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
}

/// Where a password comes from.
#[derive(Args, Clone, Copy, Debug)]
pub struct PasswordSource {
    /// Read the password from the first line of standard input.
    #[arg(long = "password-stdin")]
    pub stdin: bool,
}

/// Aliases.
#[derive(Clone, Debug, Subcommand)]
pub enum Alias {
    /// Let mail for one address go to others: accounts, other aliases, addresses of other hosts. An alias that there is already gets
    /// further targets.
    #[command(verbatim_doc_comment)]
    Add {
        /// The address that mail is sent to; '*@example.test' for all that nobody has.
        #[arg(value_parser = pattern)]
        alias: Mailbox<'static>,
        /// The addresses that get it.
        #[arg(value_parser = address, value_name = "TARGET", required = true)]
        targets: Vec<Mailbox<'static>>,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// List all aliases.
    List {
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Remove an alias, or only some of its targets.
    Remove {
        /// The address that mail is sent to.
        #[arg(value_parser = pattern)]
        alias: Mailbox<'static>,
        /// What it is to stand for no more; without any, the alias goes.
        #[arg(value_parser = address, value_name = "TARGET")]
        targets: Vec<Mailbox<'static>>,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
}

impl Account {
    /// Which configuration it works on.
    pub const fn config(&self) -> &ConfigFile {
        match self {
            Self::Add { config, .. }
            | Self::List { config }
            | Self::Show { config, .. }
            | Self::Remove { config, .. }
            | Self::Password { config, .. }
            | Self::Forward { config, .. }
            | Self::Suspend { config, .. }
            | Self::Resume { config, .. }
            | Self::Quota { config, .. }
            | Self::Imap { config, .. }
            | Self::AppPassword(
                AppPassword::Add(AppPasswordName { config, .. })
                | AppPassword::List { config, .. }
                | AppPassword::Remove(AppPasswordName { config, .. }),
            ) => config,
        }
    }
}

impl Alias {
    /// Which configuration it works on.
    pub const fn config(&self) -> &ConfigFile {
        match self {
            Self::Add { config, .. } | Self::List { config } | Self::Remove { config, .. } => config,
        }
    }
}

/// An address, or all of a domain that nobody has.
fn pattern(text: &str) -> Result<Mailbox<'static>, String> {
    match text.strip_prefix('@') {
        Some(domain) => address(&format!("*@{domain}")),
        None => address(text),
    }
}
