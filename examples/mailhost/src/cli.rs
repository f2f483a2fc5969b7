//! The command line.

mod accounts;
pub mod archive;
pub mod client;
mod operator;
mod quickstart;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use imap_codec::extension::Extension;
use smtp_codec::Mailbox;

pub use self::accounts::{Account, Alias, AppPassword, AppPasswordName, PasswordSource};
pub use self::operator::Operator;
pub use self::quickstart::{Ports, Quickstart};

/// A complete mail host: receives mail over SMTP, keeps it, and hands it out over POP3 and IMAP.
#[derive(Clone, Debug, Parser)]
#[command(version, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// A guided tour with no configuration at all.
    Demo(Demo),
    /// Set up a host for real: look around, write a configuration, make the first account, and print every DNS record.
    Quickstart(Quickstart),
    /// Run the host until SIGTERM or SIGINT.
    Serve(ConfigFile),
    /// Look at configuration, certificate, ports, disk and DNS, and say what to change.
    Check(Check),
    /// Add, list, change, suspend and remove accounts.
    #[command(subcommand)]
    Account(Account),
    /// Add, list and remove further addresses of accounts, lists, and what nobody has.
    #[command(subcommand)]
    Alias(Alias),
    /// Look at mail that waits for other hosts, and decide about it.
    #[command(subcommand)]
    Queue(Queue),
    /// Print a link to the operator's pages: queue, traffic, sessions, accounts, certificates, DNS.
    Operator(Operator),
    /// Read everything that is stored and see whether it is sound.
    Verify(Verify),
    /// Send and read mail from the command line, with any server.
    #[command(subcommand)]
    Client(client::Client),
    /// Take mail over from files of other programs.
    #[command(subcommand)]
    Import(archive::Import),
    /// Write mail to files that other programs read.
    #[command(subcommand)]
    Export(archive::Export),
    /// Copy all mail, accounts and the queue to a folder, while the host runs or not.
    Backup(archive::Backup),
    /// Set up a host from a backup.
    Restore(archive::Restore),
}

/// Which configuration.
#[derive(Args, Clone, Debug)]
pub struct ConfigFile {
    /// The configuration file.
    #[arg(long = "config", value_name = "FILE", default_value = "mailhost.toml")]
    pub file: PathBuf,
}

/// A guided tour.
#[derive(Args, Clone, Debug)]
pub struct Demo {
    /// Keep everything in this folder instead of a temporary one.
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// End after the tour; the status is 0 if every step did what it should.
    #[arg(long)]
    pub once: bool,
}

/// A look at everything.
#[derive(Args, Clone, Debug)]
pub struct Check {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// Print the configuration with every default spelled out, and do nothing else.
    #[arg(long)]
    pub print: bool,
    /// Ask no other host anything: neither DNS nor whether mail can go out.
    #[arg(long)]
    pub offline: bool,
    /// Where to try whether mail can go out: a host that takes mail from everybody.
    #[arg(long, value_parser = probe, value_name = "HOST:PORT", hide = true)]
    pub probe: Option<(String, u16)>,
}

/// A look at what is stored.
#[derive(Args, Clone, Debug)]
pub struct Verify {
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
    /// First make everything anew that follows from the journal, as after damage. The host has to be stopped.
    #[arg(long)]
    pub rebuild: bool,
}

/// The queue.
#[derive(Clone, Debug, Subcommand)]
pub enum Queue {
    /// List what waits.
    List {
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Show one message.
    Show {
        /// Its name, as `list` or a log line has it.
        message: String,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Say why a message is still here: what DNS has said, what each host has said, when the next try comes, and when it
    /// goes back.
    Why {
        /// Its name, as `list` or a log line has it.
        message: String,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Try now, also what is held.
    Retry(QueueOrder),
    /// Do nothing with it until told otherwise. What is held does not expire.
    Hold(QueueOrder),
    /// Go on with what was held.
    Release(QueueOrder),
    /// Give up, and tell the sender.
    Bounce(QueueOrder),
    /// Give up, and tell nobody.
    Drop(QueueOrder),
}

/// What to do something to.
#[derive(Args, Clone, Debug)]
pub struct QueueOrder {
    /// The name of a message, a domain, or `all`.
    pub what: String,
    /// One recipient of the message.
    #[arg(value_parser = address)]
    pub recipient: Option<Mailbox<'static>>,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigFile,
}

impl Queue {
    /// Which configuration it works on.
    pub const fn config(&self) -> &ConfigFile {
        match self {
            Self::List { config } | Self::Show { config, .. } | Self::Why { config, .. } => config,
            Self::Retry(order)
            | Self::Hold(order)
            | Self::Release(order)
            | Self::Bounce(order)
            | Self::Drop(order) => &order.config,
        }
    }
}

fn address(text: &str) -> Result<Mailbox<'static>, String> {
    match Mailbox::parse(text) {
        Ok(mailbox) => Ok(mailbox.into_owned()),
        Err(_) => Err("not a mail address; write it as anna@example.test".to_owned()),
    }
}

fn probe(text: &str) -> Result<(String, u16), String> {
    let parsed = text.rsplit_once(':').and_then(|(host, port)| Some((host.to_owned(), port.parse().ok()?)));
    parsed.ok_or_else(|| "not a host and a port; write it as mx.example.org:25".to_owned())
}

fn size(text: &str) -> Result<u64, String> {
    crate::config::octets(text).ok_or_else(|| "not a size; write it as 500MiB or 2GiB".to_owned())
}

fn capability(text: &str) -> Result<Extension, String> {
    match Extension::from_word(text) {
        // One of the two has to be left.
        Some(Extension::Imap4Rev1) | None => {
            let all = Extension::all().filter(|extension| *extension != Extension::Imap4Rev1);
            let all: Vec<_> = all.map(Extension::as_str).collect();
            Err(format!("not a capability that can be switched off; these can: {}", all.join(", ")))
        }
        Some(extension) => Ok(extension),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Command, String> {
        Cli::try_parse_from(line.split(' ')).map(|cli| cli.command).map_err(|error| error.to_string())
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_is_read() {
        assert!(matches!(parse("mailhost demo --once --dir d"), Ok(Command::Demo(demo)) if demo.once));
        let Ok(Command::Serve(config)) = parse("mailhost serve") else { panic!("serve") };
        assert_eq!(config.file, PathBuf::from("mailhost.toml"));
        assert!(
            matches!(parse("mailhost check --config x --print"), Ok(Command::Check(check)) if check.print)
        );
        assert!(
            matches!(parse("mailhost verify --config x"), Ok(Command::Verify(verify)) if !verify.rebuild)
        );
        let add = "mailhost account add --config x a@b.test --login anna --password-stdin";
        let Ok(Command::Account(Account::Add { address, login, password, config })) = parse(add) else {
            panic!("add")
        };
        assert_eq!((address.as_str(), login.as_deref(), password.stdin), ("a@b.test", Some("anna"), true));
        assert_eq!(config.file, PathBuf::from("x"));
        assert!(matches!(
            parse("mailhost account remove a@b.test --purge"),
            Ok(Command::Account(Account::Remove { purge: true, .. }))
        ));
        assert!(matches!(parse("mailhost account list"), Ok(Command::Account(Account::List { .. }))));
        assert!(matches!(
            parse("mailhost account password a@b.test"),
            Ok(Command::Account(Account::Password { .. }))
        ));
        assert!(matches!(
            parse("mailhost account quota a@b.test --size 2GiB"),
            Ok(Command::Account(Account::Quota { size: Some(2_147_483_648), messages: None, .. }))
        ));
        assert!(parse("mailhost account quota a@b.test --size much").is_err());
        let Ok(Command::Account(Account::Imap { without, .. })) =
            parse("mailhost account imap a@b.test --without idle --without MOVE")
        else {
            panic!("imap")
        };
        assert_eq!(without, [Extension::Idle, Extension::Move]);
        assert!(parse("mailhost account imap a@b.test --without IMAP4rev1").is_err());
        let Ok(Command::Alias(Alias::Add { targets, .. })) = parse("mailhost alias add a@b c@d e@f") else {
            panic!("alias add")
        };
        assert_eq!(targets.len(), 2);
        let Ok(Command::Alias(Alias::Add { alias, .. })) = parse("mailhost alias add @b.test c@d") else {
            panic!("a catch-all")
        };
        assert_eq!(alias.as_str(), "*@b.test");
        let forward = "mailhost account forward a@b c@d --no-keep";
        assert!(matches!(parse(forward), Ok(Command::Account(Account::Forward { no_keep: true, .. }))));
        assert!(parse("mailhost account forward a@b --no-keep").is_err(), "mail would be lost");
        assert!(parse("mailhost account forward a@b c@d --keep --no-keep").is_err());
        let add = "mailhost account app-password add a@b phone";
        let Ok(Command::Account(Account::AppPassword(AppPassword::Add(app)))) = parse(add) else {
            panic!("app password")
        };
        assert_eq!((app.address.as_str(), &*app.name), ("a@b", "phone"));
        assert!(matches!(parse("mailhost operator --config x"), Ok(Command::Operator(_))));
        assert!(matches!(parse("mailhost alias list"), Ok(Command::Alias(Alias::List { .. }))));
        assert!(matches!(parse("mailhost alias remove a@b"), Ok(Command::Alias(Alias::Remove { .. }))));
    }

    #[test]
    fn what_is_no_address_is_said_to_be_none() {
        let error = parse("mailhost account add anna").unwrap_err();
        assert!(error.contains("not a mail address; write it as anna@example.test"), "{error}");
        assert!(parse("mailhost alias add a@b").is_err(), "an alias without a target");
    }
}
