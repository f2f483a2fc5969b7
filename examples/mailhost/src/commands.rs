//! What each command does.

mod accounts;
mod archive;
mod check;
mod client;
mod operator;
mod output;
mod quickstart;

use std::fmt;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::runtime;
use tracing::{info, warn};
use zeroize::Zeroizing;

use self::output::{has_no_reader, output};
use crate::accounts::Accounts;
use crate::admin::{self, Request, Response};
use crate::auth::{Authenticator, Password};
use crate::cli::{Check, Cli, Command, Demo, PasswordSource, Queue, QueueOrder, Verify};
use crate::client::Credentials;
use crate::config::Config;
use crate::demo;
use crate::host::Host;
use crate::listener::{Listeners, Stop};
use crate::logs::{self, Safe};
use crate::offers::offers;
use crate::preflight::{self, DataDir, Severity};
use crate::privileges::{self, Other, PrivilegeError};
use crate::relay::{self, Ordered, Relay, Shown};
use crate::store::{Opening, Store};
use crate::system::Machine;
use crate::tls::{Identity, Plan};
use crate::words::number;

/// Why a command failed: one sentence.
#[derive(Debug)]
pub struct Failure {
    sentence: String,
    has_no_reader: bool,
}

/// A host that has all it needs and has not accepted anything yet.
#[derive(Debug)]
pub struct Started {
    /// What it is to do.
    pub config: Config,
    /// Its data directory, locked.
    pub data_dir: DataDir,
    /// Its sockets, bound.
    pub listeners: Listeners,
    /// Its certificate.
    pub identity: Identity,
    /// Its login at the smarthost.
    pub smarthost: Option<Arc<Credentials>>,
}

/// A password and where it came from.
#[derive(Debug)]
pub struct NewPassword {
    /// The password.
    pub password: Password,
    /// It was made here: it has to be shown, once.
    pub generated: bool,
}

/// Does what the command line says.
pub fn run(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Demo(command) => demo(&command),
        Command::Quickstart(command) => quickstart::run(&command),
        Command::Serve(config) => serve(&config.file),
        Command::Check(command) => check(&command),
        Command::Account(command) => accounts::account(&command),
        Command::Alias(command) => accounts::alias(&command),
        Command::Queue(command) => queue(&command),
        Command::Operator(command) => operator::run(&command),
        Command::Verify(command) => verify(&command),
        Command::Client(command) => client::run(&command),
        Command::Import(command) => archive::import(&command),
        Command::Export(command) => archive::export(&command),
        Command::Backup(command) => archive::backup(&command),
        Command::Restore(command) => archive::restore(&command),
    }
}

impl Failure {
    /// Takes the sentence, without full stop.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into(), has_no_reader: false }
    }

    /// Whoever reads what the command says has had enough of it, which is nothing to complain about.
    pub const fn has_no_reader(&self) -> bool {
        self.has_no_reader
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

// `Failure` is no `Error` itself, which lets it take all that are.
impl<E: std::error::Error + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { sentence: error.to_string(), has_no_reader: has_no_reader(&error) }
    }
}

impl Started {
    /// Takes everything that the configuration names, in an order that changes nothing on disk before all the rest is
    /// known to be right. Wants a tokio runtime.
    ///
    /// As root: the ports are bound and the configured key and password are read, then root is given up, and all else is up to the user that
    /// the host has become.
    pub fn new(config: Config) -> Result<Self, Failure> {
        let in_line = |error| config.error(config.run_as.as_ref().map(|(_, line)| *line), error);
        let smarthost = || relay::smarthost_login(&config).map_err(|error| error.located(&config));
        let (cleared, listeners, smarthost) = match Other::of(&config).map_err(in_line)? {
            None => (preflight::clear(&config)?, Listeners::bind(&config)?, smarthost()?),
            Some(other) => {
                let tls = config.tls.is_some().then(|| Plan::make(&config)).transpose();
                let tls = tls.map_err(|error| error.located(&config))?;
                let (listeners, smarthost) = (Listeners::bind(&config)?, smarthost()?);
                privileges::settle(&config).map_err(|error| match error {
                    PrivilegeError::DataDir { .. } => config.error(Some(config.data_dir_line), error),
                    other => in_line(other),
                })?;
                info!(user = other.name(), "root is given up");
                (preflight::clear_with(&config, tls)?, listeners, smarthost)
            }
        };
        for warning in &cleared.warnings {
            warn!(%warning, "the configuration can be better");
        }
        let data_dir = cleared.data_dir.claim()?;
        let identity = cleared.tls.carry_out()?;
        Ok(Self { config, data_dir, listeners, identity, smarthost })
    }
}

/// Gets a password for an account: from standard input, from the terminal, or made here.
pub fn new_password(source: PasswordSource) -> Result<NewPassword, Failure> {
    let typed = |text: Zeroizing<String>| -> Result<NewPassword, Failure> {
        Ok(NewPassword { password: Password::new(text.to_string())?, generated: false })
    };
    if source.stdin {
        return typed(password_line(io::stdin().lock())?);
    }
    if !io::stdin().is_terminal() {
        return Ok(NewPassword { password: Password::generate()?, generated: true });
    }
    let first = Zeroizing::new(rpassword::prompt_password("Password (empty: one is made): ")?);
    if first.is_empty() {
        return Ok(NewPassword { password: Password::generate()?, generated: true });
    }
    let second = Zeroizing::new(rpassword::prompt_password("The same again: ")?);
    if first != second {
        return Err(Failure::new("the two passwords differ; nothing was changed"));
    }
    typed(first)
}

/// The first line, which holds a password.
fn password_line(from: impl io::BufRead) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    from.take(4_096).read_line(&mut text)?;
    // RFC 4616 §2 allows all but NUL in a password; the line end is of the shell.
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    Ok(text)
}

fn serve(file: &Path) -> Result<ExitCode, Failure> {
    let config = Config::load(file)?;
    logs::init(config.log);
    runtime::Builder::new_multi_thread().enable_all().build()?.block_on(async {
        let started = Started::new(config)?;
        for (service, address) in started.listeners.addresses() {
            info!(%service, %address, "listening");
        }
        run_host(started).await
    })
}

async fn run_host(started: Started) -> Result<ExitCode, Failure> {
    // The lock on the data directory is held to the end.
    let Started { config, data_dir: _locked, listeners, identity, smarthost } = started;
    let tls = identity.server_config()?;
    let (store, report) =
        Store::open(Arc::new(Machine), &config.mail_dir(), mailstore::Limits::default(), Opening::Usual)
            .await?;
    say_report(&report);
    let accounts = Accounts::of(store.clone(), &config).await?;
    if accounts.accounts().is_empty() {
        warn!("there is no account yet: all mail is refused until `mailhost account add` makes one");
    }
    let relay = Relay::open(store.clone(), &config, smarthost).await?;
    let authenticator = Authenticator::new(store.shared_system())?;
    let host = Host::new(config, None, store, Arc::new(accounts), Arc::new(relay), authenticator);
    let offers = offers(&host.config, listeners.addresses());
    host.desk.is_at(listeners.addresses());
    let host = Arc::new(Host { offers, ..host.with_identity(Arc::new(identity), tls) });
    let (stop, stopping) = Stop::new();
    host.run(listeners, &stop, stopping).await;
    Ok(ExitCode::SUCCESS)
}

fn say_report(report: &mailstore::Report) {
    let mailstore::Report { segments, batches, rewritten, orphans, .. } = report;
    info!(segments, batches, rewritten, orphans, "the store is open");
    for damage in &report.damage {
        let (at, octets, held) = (damage.at, damage.length, damage.held);
        tracing::error!(file = %damage.file, at, octets, %held, "acknowledged mail is damaged; see `mailhost verify`");
    }
    if report.damaged_snapshots > 0 {
        tracing::warn!(
            count = report.damaged_snapshots,
            "a snapshot is damaged; the journal was read instead"
        );
    }
    if let Some(tail) = &report.tail {
        info!(file = %tail.file, octets = tail.length, "what a crash has left unfinished is ignored");
    }
}

fn check(command: &Check) -> Result<ExitCode, Failure> {
    let config = Config::load(&command.config.file)?;
    let mut out = output();
    if command.print {
        out.write_all(config.to_toml().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let mut findings = runtime.block_on(async { preflight::check(&config) });
    findings.extend(runtime.block_on(check::outside(&config, command)));
    check::print(&findings, &mut out)?;
    let failed = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn demo(command: &Demo) -> Result<ExitCode, Failure> {
    let runtime = runtime::Builder::new_multi_thread().enable_all().build()?;
    let good = runtime.block_on(demo::run(command.dir.as_deref(), command.once))?;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn queue(command: &Queue) -> Result<ExitCode, Failure> {
    let config = Config::load(&command.config().file)?;
    let order = |order: &QueueOrder, what| Request::Order {
        what: order.what.clone(),
        recipient: order.recipient.as_ref().map(|recipient| recipient.as_str().to_owned()),
        order: what,
    };
    let request = match command {
        Queue::List { .. } => Request::Queue { message: None, why: false },
        Queue::Show { message, .. } => Request::Queue { message: Some(message.clone()), why: false },
        Queue::Why { message, .. } => Request::Queue { message: Some(message.clone()), why: true },
        Queue::Retry(which) => order(which, Ordered::Retry),
        Queue::Hold(which) => order(which, Ordered::Hold),
        Queue::Release(which) => order(which, Ordered::Release),
        Queue::Bounce(which) => order(which, Ordered::Bounce),
        Queue::Drop(which) => order(which, Ordered::Drop),
    };
    let mut out = output();
    let (mut printed, mut last) = (0, None);
    converse(&config, request, |response| {
        match response {
            Response::Queue { messages, more, reading } => {
                printed += messages.len();
                for message in &messages {
                    print_message(message, &mut out)?;
                }
                match reading {
                    Some(reading) if !more => writeln!(out, "{reading}; there may be more messages")?,
                    None if !more && printed == 0 => writeln!(out, "the queue is empty")?,
                    _ => {}
                }
            }
            Response::Ordered { recipients, .. } => last = Some(recipients),
            _ => {}
        }
        Ok(())
    })?;
    if let Some(recipients) = last {
        writeln!(out, "done for {}", number(recipients as u64, "recipient"))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn print_message(message: &Shown, out: &mut impl io::Write) -> io::Result<()> {
    let Shown { message: name, id, from, size, accepted, expires, recipients } = message;
    writeln!(
        out,
        "{id}  from {}, {size} octets, accepted {accepted}, expires {expires} (message {name})",
        Safe(from)
    )?;
    for lines in recipients {
        for (index, line) in lines.iter().enumerate() {
            writeln!(out, "{}{}", if index == 0 { "    " } else { "        " }, Safe(line))?;
        }
    }
    Ok(())
}

/// For a request with one answer.
fn administer(config: &Config, request: Request) -> Result<Response, Failure> {
    let mut answer = None;
    converse(config, request, |response| {
        answer = Some(response);
        Ok(())
    })?;
    answer.ok_or_else(|| Failure::new("the host does not answer the question that was asked"))
}

fn converse(
    config: &Config,
    request: Request,
    tell: impl FnMut(Response) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // What root would make, the host could not read.
    privileges::settle(config)?;
    runtime::Builder::new_current_thread().enable_all().build()?.block_on(admin::ask(config, request, tell))
}

fn verify(command: &Verify) -> Result<ExitCode, Failure> {
    let config = Config::load(&command.config.file)?;
    let Response::Verified { files, damage } =
        administer(&config, Request::Verify { rebuild: command.rebuild })?
    else {
        return Err(Failure::new("the host does not answer the question that was asked"));
    };
    let mut out = output();
    for line in &damage {
        writeln!(out, "{line}")?;
    }
    writeln!(out, "{files} files read, {} damaged places", damage.len())?;
    Ok(if damage.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
