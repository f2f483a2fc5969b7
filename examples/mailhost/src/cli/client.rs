//! The command line of `mailhost client`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use imap_codec::types::datetime::Date;
use imap_codec::types::flag::Flag;
use imap_codec::types::mailbox::Mailbox;
use imap_codec::types::sequence::SequenceSet;

use crate::client::Encryption;

/// A mail client for the command line.
#[derive(Clone, Debug, Subcommand)]
pub enum Client {
    /// Send a message: a file, or one that is written from the options.
    #[command(after_help = SEND_HELP)]
    Send(Box<Send>),
    /// Collect mail over POP3.
    #[command(subcommand)]
    Pop3(Pop3),
    /// Read mail over IMAP.
    #[command(subcommand)]
    Imap(Imap),
}

/// Where the server is, and who asks.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Server and login")]
pub struct Connection {
    /// The server; the port if it is not the usual one for the protocol and --tls.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub server: Option<String>,
    /// When TLS begins: at once, or after STARTTLS, or not at all.
    #[arg(long, value_enum, value_name = "WHEN")]
    pub tls: Option<Tls>,
    /// Trust the certificates in this PEM file, too.
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// The name to log in with.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Read the password from the first line of standard input. There is no option that takes the password itself: others on
    /// this machine could read it. On a terminal it is asked for.
    #[arg(long, conflicts_with = "password_file")]
    pub password_stdin: bool,
    /// Read the password from the first line of this file, which nobody else may be able to read (chmod 600).
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Send the password over a network in the clear, with --tls none.
    #[arg(long)]
    pub allow_plaintext: bool,
    /// Take all of this from an account in the settings file, as far as it is not given here.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// The settings file [default: ~/.config/mailhost/client.toml].
    #[arg(long, value_name = "FILE", requires = "account")]
    pub config: Option<PathBuf>,
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Tls {
    /// With the first octet: ports 465, 995, 993.
    Implicit,
    /// It is asked for, and the session ends without it: ports 587, 110, 143.
    Starttls,
    /// Never. A password is not sent then, except to this machine itself.
    None,
}

impl From<Tls> for Encryption {
    fn from(tls: Tls) -> Self {
        match tls {
            Tls::Implicit => Self::Implicit,
            Tls::Starttls => Self::Required,
            Tls::None => Self::Off,
        }
    }
}

/// Send a message.
#[derive(Args, Clone, Debug)]
pub struct Send {
    /// Where the server is.
    #[command(flatten)]
    pub connection: Connection,
    /// Send this message as it is, without its Bcc field; `-` is standard input.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["to", "cc", "bcc", "subject", "text", "text_file", "html", "attach", "reply_to", "in_reply_to"])]
    pub file: Option<PathBuf>,
    /// With --file: send it to whom its To, Cc and Bcc fields name.
    #[arg(long, requires = "file")]
    pub read_recipients: bool,
    /// With --file: whom to send it to.
    #[arg(requires = "file", value_name = "RECIPIENT")]
    pub recipients: Vec<String>,
    /// Who writes, such as "Anna Ash <anna@example.test>".
    #[arg(long, value_name = "ADDRESS")]
    pub from: Option<String>,
    /// To whom; may be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub to: Vec<String>,
    /// Who gets a copy.
    #[arg(long, value_name = "ADDRESS")]
    pub cc: Vec<String>,
    /// Who gets a copy that the others do not see.
    #[arg(long, value_name = "ADDRESS")]
    pub bcc: Vec<String>,
    /// What it is about.
    #[arg(long, value_name = "TEXT")]
    pub subject: Option<String>,
    /// What it says. Without --text, --text-file and --html, that is read from standard input.
    #[arg(long, value_name = "TEXT", conflicts_with = "text_file")]
    pub text: Option<String>,
    /// A file with what it says, in UTF-8; `-` is standard input.
    #[arg(long, value_name = "FILE")]
    pub text_file: Option<PathBuf>,
    /// A file with the same in HTML, in UTF-8.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// A file that goes along; may be given several times.
    #[arg(long, value_name = "FILE")]
    pub attach: Vec<PathBuf>,
    /// Whom answers go to.
    #[arg(long, value_name = "ADDRESS")]
    pub reply_to: Option<String>,
    /// The Message-ID of what it answers.
    #[arg(long, value_name = "ID")]
    pub in_reply_to: Option<String>,
}

/// Collect mail.
#[derive(Clone, Debug, Subcommand)]
pub enum Pop3 {
    /// List the messages: number, size, unique id, and who wrote what if the server shows the beginning.
    List {
        /// Where the server is.
        #[command(flatten)]
        connection: Connection,
    },
    /// Get one message as it is, and leave it where it is.
    Get {
        /// Its number, as `list` has it.
        number: u32,
        /// Write it to this new file instead of standard output.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
        /// Where the server is.
        #[command(flatten)]
        connection: Connection,
    },
    /// Fetch all messages into a Maildir that were not fetched into it before.
    Fetch {
        /// The Maildir; it is made if it is not there.
        #[arg(long, value_name = "MAILDIR")]
        to: PathBuf,
        /// Leave the messages on the server.
        #[arg(long, required_unless_present = "delete", conflicts_with = "delete")]
        keep: bool,
        /// Delete each message on the server once it is safe on the disk.
        #[arg(long)]
        delete: bool,
        /// Where the server is.
        #[command(flatten)]
        connection: Connection,
    },
}

/// Read mail.
#[derive(Clone, Debug, Subcommand)]
pub enum Imap {
    /// List the mailboxes with their counts, or the messages of one.
    List {
        /// List the messages of this mailbox.
        #[arg(value_parser = mailbox)]
        mailbox: Option<Mailbox<'static>>,
        /// No more than the last so many messages.
        #[arg(long, value_name = "NUMBER", requires = "mailbox")]
        last: Option<u32>,
        /// Where the server is.
        #[command(flatten)]
        connection: Connection,
    },
    /// Fetch messages as they are: one to standard output, or any number into a Maildir. They stay unseen.
    Fetch {
        /// The mailbox.
        #[arg(value_parser = mailbox)]
        mailbox: Mailbox<'static>,
        /// Which, by their UIDs: 17 or 3,5:9 or 1:*
        #[arg(value_parser = uids)]
        uids: SequenceSet<'static>,
        /// Fetch into this Maildir, flags included; it is made if it is not there.
        #[arg(long, value_name = "MAILDIR")]
        to: Option<PathBuf>,
        /// Where the server is.
        #[command(flatten)]
        connection: Connection,
    },
    /// Find messages that match all that is asked for.
    Search {
        /// The mailbox.
        #[arg(value_parser = mailbox, default_value = "INBOX")]
        mailbox: Mailbox<'static>,
        /// What to look for.
        #[command(flatten)]
        criteria: Criteria,
        /// Print the UIDs and nothing else.
        #[arg(long)]
        uids: bool,
        /// Where the server is.
        #[command(flatten)]
        connection: Connection,
    },
    /// Move messages to another mailbox.
    Move {
        /// The mailbox.
        #[arg(value_parser = mailbox)]
        mailbox: Mailbox<'static>,
        /// Which, by their UIDs: 17 or 3,5:9 or 1:*
        #[arg(value_parser = uids)]
        uids: SequenceSet<'static>,
        /// Where to.
        #[arg(value_parser = mailbox)]
        to: Mailbox<'static>,
        /// Where the server is.
        #[command(flatten)]
        connection: Connection,
    },
    /// Set and remove flags: seen, answered, flagged, draft, deleted, or a keyword.
    Flag {
        /// The mailbox.
        #[arg(value_parser = mailbox)]
        mailbox: Mailbox<'static>,
        /// Which, by their UIDs: 17 or 3,5:9 or 1:*
        #[arg(value_parser = uids)]
        uids: SequenceSet<'static>,
        /// A flag to set; may be given several times.
        #[arg(long, value_name = "FLAG", value_parser = flag, required_unless_present = "remove")]
        add: Vec<Flag<'static>>,
        /// A flag to remove; may be given several times.
        #[arg(long, value_name = "FLAG", value_parser = flag)]
        remove: Vec<Flag<'static>>,
        /// Where the server is.
        #[command(flatten)]
        connection: Connection,
    },
    /// Print a line for each message that comes, until interrupted.
    Watch {
        /// The mailbox.
        #[arg(value_parser = mailbox, default_value = "INBOX")]
        mailbox: Mailbox<'static>,
        /// How often to ask a server that cannot tell by itself, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=1_500))]
        every: u64,
        /// Where the server is.
        #[command(flatten)]
        connection: Connection,
    },
}

/// What messages have to match.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "What to look for")]
pub struct Criteria {
    /// Text in From.
    #[arg(long, value_name = "TEXT")]
    pub from: Vec<String>,
    /// Text in To.
    #[arg(long, value_name = "TEXT")]
    pub to: Vec<String>,
    /// Text in Subject.
    #[arg(long, value_name = "TEXT")]
    pub subject: Vec<String>,
    /// Text anywhere in the message.
    #[arg(long, value_name = "TEXT")]
    pub text: Vec<String>,
    /// Came on this day or later: 2026-03-31.
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub since: Option<Date>,
    /// Came before this day.
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub before: Option<Date>,
    /// Not seen yet.
    #[arg(long, conflicts_with = "seen")]
    pub unseen: bool,
    /// Seen.
    #[arg(long)]
    pub seen: bool,
    /// Flagged.
    #[arg(long)]
    pub flagged: bool,
    /// Larger than this, such as 5MiB.
    #[arg(long, value_name = "SIZE", value_parser = super::size)]
    pub larger: Option<u64>,
    /// In the words of IMAP (RFC 9051 §6.4.4), such as "OR FROM anna FROM ben".
    #[arg(long, value_name = "KEYS")]
    pub raw: Option<String>,
}

impl Client {
    /// Where the server is.
    pub const fn connection(&self) -> &Connection {
        match self {
            Self::Send(send) => &send.connection,
            Self::Pop3(
                Pop3::List { connection } | Pop3::Get { connection, .. } | Pop3::Fetch { connection, .. },
            ) => connection,
            Self::Imap(
                Imap::List { connection, .. }
                | Imap::Fetch { connection, .. }
                | Imap::Search { connection, .. }
                | Imap::Move { connection, .. }
                | Imap::Flag { connection, .. }
                | Imap::Watch { connection, .. },
            ) => connection,
        }
    }
}

fn mailbox(text: &str) -> Result<Mailbox<'static>, String> {
    Mailbox::new(text.to_owned()).map_err(|_| "not the name of a mailbox".to_owned())
}

fn uids(text: &str) -> Result<SequenceSet<'static>, String> {
    match SequenceSet::new(text.to_owned()) {
        Ok(set) if !set.is_saved() => Ok(set),
        _ => Err("not a set of UIDs; write it as 17 or 3,5:9 or 1:*".to_owned()),
    }
}

fn flag(text: &str) -> Result<Flag<'static>, String> {
    let known = ["seen", "answered", "flagged", "draft", "deleted"];
    let name = known.into_iter().find(|name| text.eq_ignore_ascii_case(name));
    let written = name.map_or_else(|| text.to_owned(), |name| format!("\\{name}"));
    match Flag::new(&written) {
        Ok(Flag::Recent | Flag::Any) | Err(_) => {
            Err(format!("not a flag; these are: {}, or a keyword of letters and digits", known.join(", ")))
        }
        Ok(flag) => Ok(flag.into_owned()),
    }
}

fn day(text: &str) -> Result<Date, String> {
    let mut parts = text.splitn(3, '-');
    let mut next = || parts.next().filter(|part| part.bytes().all(|octet| octet.is_ascii_digit()));
    let date = (|| Date::new(next()?.parse().ok()?, next()?.parse().ok()?, next()?.parse().ok()?).ok())();
    date.ok_or_else(|| "not a day; write it as 2026-03-31".to_owned())
}

const SEND_HELP: &str = "\
Examples:
  mailhost client send --server mail.example.test --user anna --from \"Anna <anna@example.test>\" \\
      --to ben@far.test --subject \"The minutes\" --text \"Here they are.\" --attach minutes.pdf
  mailhost client send --account anna --file draft.eml --read-recipients

Without --user and without an account that has one, nobody is logged in. The exit status is 0 if the server has taken the \
message for all recipients, and 1 if not.";

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(line: &[&str]) -> Result<Client, String> {
        match Cli::try_parse_from(["mailhost", "client"].iter().chain(line)) {
            Ok(Cli { command: Command::Client(client), .. }) => Ok(client),
            Ok(_) => panic!("another command"),
            Err(error) => Err(error.to_string()),
        }
    }

    #[test]
    fn there_is_no_option_for_the_password_itself() {
        let error = parse(&["pop3", "list", "--server", "a", "--user", "b", "--password", "c"]).unwrap_err();
        assert!(error.contains("unexpected argument '--password'"), "{error}");
    }

    #[test]
    fn what_excludes_each_other_is_refused() {
        for line in [
            &["send", "--file", "a", "--to", "b@c"][..],
            &["send", "--read-recipients"],
            &["pop3", "fetch", "--to", "m"],
            &["pop3", "fetch", "--to", "m", "--keep", "--delete"],
            &["imap", "flag", "INBOX", "1"],
            &["imap", "fetch", "INBOX", "$"],
            &["imap", "search", "INBOX", "--since", "31.3.2026"],
            &["imap", "list", "--config", "x"],
        ] {
            parse(line).unwrap_err();
        }
        parse(&["imap", "flag", "INBOX", "1", "--add", "Seen", "--add", "work"]).unwrap();
        parse(&["imap", "search", "--since", "2026-03-31", "--text", "é"]).unwrap();
    }

    #[test]
    fn flags_are_written_as_people_do() {
        assert_eq!(flag("SEEN"), Ok(Flag::Seen));
        assert_eq!(flag("\\Flagged"), Ok(Flag::Flagged));
        assert!(matches!(flag("work"), Ok(Flag::Keyword(_))));
        for wrong in ["", "a b", "\\*", "\\Recent", "(x"] {
            flag(wrong).unwrap_err();
        }
    }
}
