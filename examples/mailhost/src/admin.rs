//! Administration: the same requests, whether the host runs, over a Unix socket in its data directory, or not.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use imap_codec::extension::Extension;
use relay_queue::MessageId;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time;
use tracing::{info, warn};

use crate::accounts::{Account, Accounts, Alias, ChangeError, Overview, hidden};
use crate::archive::{self, Job};
use crate::auth::Secrets;
use crate::commands::Failure;
use crate::config::Config;
use crate::host::Host;
use crate::listener::Stopping;
use crate::preflight::{DataDir, Unclaimed};
use crate::relay::{Ordered, Page, Relay, Shown, Target};
use crate::store::{Opening, Store};
use crate::system::Machine;
use crate::words;

/// What an operator can ask for. Passwords come hashed: the words themselves go no further than the command line.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// Adds an account.
    AddAccount {
        /// Its address.
        address: String,
        /// Its login name, if that is another one.
        login: Option<String>,
        /// The hash of its password.
        password: String,
        /// The keys for SCRAM.
        #[serde(default)]
        scram: Vec<String>,
    },
    /// Lists accounts.
    Accounts,
    /// Shows one account.
    Account {
        /// Its address.
        address: String,
    },
    /// Sends the mail of an account on.
    SetForward {
        /// The address of the account.
        address: String,
        /// Where to; nowhere if there are none.
        targets: Vec<String>,
        /// Whether it stays here as well.
        keep: bool,
    },
    /// Adds a password for one device.
    AddAppPassword {
        /// The address of the account.
        address: String,
        /// What it is called.
        name: String,
        /// Its digest.
        digest: String,
        /// The keys for SCRAM.
        scram: Vec<String>,
    },
    /// Takes a password for one device away.
    RemoveAppPassword {
        /// The address of the account.
        address: String,
        /// What it is called.
        name: String,
    },
    /// Lets nobody log in to an account.
    Suspend {
        /// Its address.
        address: String,
        /// Why.
        reason: Option<String>,
        /// Whether its mail is put off, too.
        no_mail: bool,
    },
    /// Ends a suspension.
    Resume {
        /// The address of the account.
        address: String,
    },
    /// Removes an account.
    RemoveAccount {
        /// Its address.
        address: String,
        /// Its mail too.
        purge: bool,
    },
    /// Sets a password.
    SetPassword {
        /// The address of the account.
        address: String,
        /// The hash.
        password: String,
        /// The keys for SCRAM.
        #[serde(default)]
        scram: Vec<String>,
    },
    /// Sets how much an account may have.
    SetQuota {
        /// The address of the account.
        address: String,
        /// Octets of all messages, unless there is no limit.
        octets: Option<u64>,
        /// How many messages, unless there is no limit.
        messages: Option<u64>,
    },
    /// Switches capabilities of IMAP off for an account, and all others on.
    SetImap {
        /// The address of the account.
        address: String,
        /// The capabilities, as CAPABILITY has them.
        without: Vec<String>,
    },
    /// Adds an alias.
    AddAlias {
        /// The address.
        alias: String,
        /// What it stands for.
        targets: Vec<String>,
    },
    /// Lists aliases.
    Aliases,
    /// Removes an alias, or some of its targets.
    RemoveAlias {
        /// The address.
        alias: String,
        /// What it is to stand for no more; without any it goes.
        #[serde(default)]
        targets: Vec<String>,
    },
    /// Imports, exports or copies; what is said about it then are frames.
    Archive(Job),
    /// Reads everything that is stored and compares it with its checksums.
    Verify {
        /// First makes anew what follows from the journal.
        rebuild: bool,
    },
    /// Shows the queue.
    Queue {
        /// One message of it.
        message: Option<String>,
        /// With all that is known of each recipient.
        why: bool,
    },
    /// Does something to messages of the queue.
    Order {
        /// A message, a domain, or all.
        what: String,
        /// One recipient of the message.
        recipient: Option<String>,
        /// What.
        order: Ordered,
    },
    /// Makes a link to the operator's pages.
    Operator,
}

/// What came of it.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// It is done, and durable.
    Done,
    /// An account is gone; these aliases lead nowhere now.
    Removed(Vec<String>),
    /// To [`Request::AddAccount`].
    Added(Box<Account>),
    /// To [`Request::Accounts`].
    Accounts(Vec<Overview>),
    /// To [`Request::Account`].
    Account(Box<Overview>),
    /// To [`Request::Aliases`].
    Aliases(Vec<Alias>),
    /// To [`Request::Verify`].
    Verified {
        /// How many files were read.
        files: usize,
        /// What is damaged, a line each.
        damage: Vec<String>,
    },
    /// To [`Request::Queue`].
    Queue {
        /// Some messages, the oldest first.
        messages: Vec<Shown>,
        /// Another answer follows, with the next ones.
        more: bool,
        /// What is to be said if the host does not know all that waits yet.
        reading: Option<String>,
    },
    /// To [`Request::Order`].
    Ordered {
        /// For how many recipients it was done, and is durable.
        recipients: usize,
        /// Another answer follows, for it goes on.
        more: bool,
    },
    /// To [`Request::Operator`]: a link that lets somebody in, once.
    Operator(String),
    /// It was not done: one sentence.
    Failed(String),
}

/// Has a request carried out: by the host if it runs, or else here. `tell` gets what came of it, which may be several
/// answers.
pub async fn ask(
    config: &Config,
    request: Request,
    mut tell: impl FnMut(Response) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut tell = move |response| match response {
        Response::Failed(why) => Err(Failure::new(why)),
        response => tell(response),
    };
    match UnixStream::connect(config.admin_socket()).await {
        Ok(stream) => ask_host(stream, &request, &mut tell).await,
        Err(error) if is_nobody(&error) && matches!(request, Request::Operator) => {
            Err(Failure::new("the host does not run; its pages are there while it does"))
        }
        Err(error) if is_nobody(&error) => ask_store(config, request, &mut tell).await,
        Err(error) => Err(Failure::new(format!("{}: {error}", config.admin_socket().display()))),
    }
}

/// Makes the socket, unless that cannot be done. Wants a tokio runtime.
pub fn listen(config: &Config) -> Option<UnixListener> {
    let path = config.admin_socket();
    match bind(&path) {
        Ok(listener) => Some(listener),
        Err(error) => {
            warn!(path = %path.display(), %error, "no administration socket: accounts can be changed only while the host is stopped");
            None
        }
    }
}

/// Answers requests until the host stops.
pub async fn serve(host: Arc<Host>, listener: UnixListener, mut stopping: Stopping) {
    let mut requests = JoinSet::new();
    loop {
        tokio::select! {
            () = stopping.requested() => break,
            Some(_) = requests.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let (host, stopping) = (Arc::clone(&host), stopping.clone());
                    requests.spawn(async move {
                        if let Err(error) = answer(&host, stream, &stopping).await {
                            info!(%error, "an administration request was not finished");
                        }
                    });
                }
                Err(error) => {
                    warn!(%error, "the administration socket has failed");
                    break;
                }
            }
        }
    }
    requests.join_all().await;
    let _ = std::fs::remove_file(host.config.admin_socket());
}

/// The process that holds the lock on the data directory is this one: a socket that is there is a dead one's.
fn bind(path: &Path) -> io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    UnixListener::bind(path)
}

async fn answer(host: &Host, mut stream: UnixStream, stopping: &Stopping) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    let mut reader = BufReader::new(reader.take(LONGEST));
    time::timeout(ANSWER, reader.read_line(&mut line)).await.map_err(|_| io::ErrorKind::TimedOut)??;
    let failed = |why: String| Progress { response: Response::Failed(why), next: None };
    let mut work = match serde_json::from_str(&line) {
        Ok(Request::Verify { rebuild: true }) => {
            Err("the host runs; stop it first, for a rebuild needs its store alone".to_owned())
        }
        Ok(Request::Archive(job)) => {
            reader.get_mut().set_limit(u64::MAX);
            return archive::serve(host, job, reader, writer, stopping).await;
        }
        Ok(Request::Operator) => Ok(Work::Invite),
        Ok(request) => Ok(Work::Begin(request)),
        Err(error) => Err(format!("this version of the host does not understand the request: {error}")),
    };
    loop {
        let Progress { response, next } = match work {
            Ok(Work::Invite) => invite(host).into(),
            Ok(work) => perform(&host.accounts, &host.store, &host.relay, work).await,
            Err(why) => failed(why),
        };
        let mut text = serde_json::to_vec(&response)?;
        text.push(b'\n');
        // Who reads a long list takes as long as it takes; but a host that stops does not wait for it.
        let mut given_up = stopping.clone();
        tokio::select! {
            biased;
            written = writer.write_all(&text) => written?,
            () = async { given_up.requested().await; time::sleep(STOP).await } => {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        match next {
            Some(next) => work = Ok(next),
            None => return Ok(()),
        }
    }
}

async fn ask_host(
    mut stream: UnixStream,
    request: &Request,
    tell: &mut impl FnMut(Response) -> Result<(), Failure>,
) -> Result<(), Failure> {
    // To read a large store takes as long as it takes.
    let patience = if matches!(request, Request::Verify { .. }) { Duration::MAX } else { PATIENCE };
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let mut stream = BufReader::new(stream);
    let mut answer = String::new();
    loop {
        answer.clear();
        let silent = |_| {
            Failure::new("the host runs, but does not answer on its administration socket; look at its log")
        };
        if time::timeout(patience, stream.read_line(&mut answer)).await.map_err(silent)?? == 0 {
            return Err(Failure::new("the host has ended before it has answered; look at its log"));
        }
        let response: Response = serde_json::from_str(&answer)?;
        let more =
            matches!(response, Response::Queue { more: true, .. } | Response::Ordered { more: true, .. });
        tell(response)?;
        if !more {
            return Ok(());
        }
    }
}

async fn ask_store(
    config: &Config,
    request: Request,
    tell: &mut impl FnMut(Response) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let rebuild = matches!(request, Request::Verify { rebuild: true });
    let opening = if rebuild { Opening::Rebuild } else { Opening::Usual };
    let Alone { accounts, store, relay, .. } = &open_alone(config, opening).await?;
    let work = async {
        if matches!(request, Request::Queue { .. } | Request::Order { .. }) {
            relay.read_all().await;
        }
        let mut work = Some(Work::Begin(request));
        while let Some(now) = work {
            let Progress { response, next } = perform(accounts, store, relay, now).await;
            tell(response)?;
            work = next;
        }
        Ok(())
    };
    let result = relay.alone(accounts, work).await;
    store.close().await;
    result
}

/// A store without a host that serves it.
pub(crate) struct Alone {
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) store: Store,
    pub(crate) relay: Arc<Relay>,
    pub(crate) report: mailstore::Report,
    _claimed: DataDir,
}

/// Opens the store of a host that does not run.
pub(crate) async fn open_alone(config: &Config, opening: Opening) -> Result<Alone, Failure> {
    let claimed = Unclaimed::probe(&config.data_dir)?.claim()?;
    open_claimed(config, claimed, &config.mail_dir(), opening).await
}

/// Opens a store in a directory that is locked.
pub(crate) async fn open_claimed(
    config: &Config,
    claimed: DataDir,
    dir: &Path,
    opening: Opening,
) -> Result<Alone, Failure> {
    let (store, report) = Store::open(Arc::new(Machine), dir, mailstore::Limits::default(), opening).await?;
    let accounts = Arc::new(Accounts::of(store.clone(), config).await?);
    // Nothing is sent from here, so no password is needed.
    let relay = Arc::new(Relay::open(store.clone(), config, None).await?);
    Ok(Alone { accounts, store, relay, report, _claimed: claimed })
}

/// What is left to be done of a request.
enum Work {
    Begin(Request),
    /// To make a link to the operator's pages, which takes a host that runs.
    Invite,
    /// To show messages of the queue, from behind one on.
    Show(MessageId, bool),
    /// To carry out an order, from behind a message on; so many recipients are done with.
    Order(Target, Ordered, Option<MessageId>, usize),
}

/// An answer, and what is to be done after it.
struct Progress {
    response: Response,
    next: Option<Work>,
}

impl From<Response> for Progress {
    fn from(response: Response) -> Self {
        Self { response, next: None }
    }
}

/// Does a part of a request that takes little time and memory.
async fn perform(accounts: &Accounts, store: &Store, relay: &Relay, work: Work) -> Progress {
    match work {
        Work::Begin(Request::Verify { .. }) => verify(store).await.into(),
        Work::Begin(Request::Queue { message: Some(message), why }) => {
            let shown = |shown| Response::Queue { messages: vec![shown], more: false, reading: None };
            relay.show(&message, why).await.map_or_else(Response::Failed, shown).into()
        }
        Work::Begin(Request::Queue { message: None, why }) => show(relay, None, why).await,
        Work::Show(after, why) => show(relay, Some(after), why).await,
        Work::Begin(Request::Order { what, recipient, order }) => {
            info!(what, ?recipient, ?order, "an order for the queue");
            let target = match relay.target(&what, recipient.as_deref()).await {
                Ok(target) => target,
                Err(why) => return Response::Failed(why).into(),
            };
            let mut progress = carry_out(relay, target, order, None, 0).await;
            if let Response::Ordered { recipients: 0, more: false } = progress.response {
                let why = format!("there is nothing in the queue for {what} that this could be done to");
                progress.response = Response::Failed(why);
            }
            progress
        }
        Work::Invite => Response::Failed("there is no host that runs".to_owned()).into(),
        Work::Order(target, order, after, done) => carry_out(relay, target, order, after, done).await,
        Work::Begin(request) => {
            change(accounts, request).await.unwrap_or_else(|error| Response::Failed(error.to_string())).into()
        }
    }
}

async fn show(relay: &Relay, after: Option<MessageId>, why: bool) -> Progress {
    let Page { messages, next, reading } = relay.page(after, why).await;
    let response = Response::Queue { messages, more: next.is_some(), reading };
    Progress { response, next: next.map(|after| Work::Show(after, why)) }
}

async fn carry_out(
    relay: &Relay,
    target: Target,
    order: Ordered,
    after: Option<MessageId>,
    before: usize,
) -> Progress {
    match relay.order(&target, order, after).await {
        Ok((count, next)) => {
            let recipients = before + count;
            let next = next.map(|after| Work::Order(target, order, Some(after), recipients));
            Progress { response: Response::Ordered { recipients, more: next.is_some() }, next }
        }
        Err(why) if before > 0 => Response::Failed(format!(
            "done for {}, and then not: {why}",
            words::number(before as u64, "recipient")
        ))
        .into(),
        Err(why) => Response::Failed(why).into(),
    }
}

fn invite(host: &Host) -> Response {
    match host.desk.invite(host.store.system()) {
        Ok(Some(link)) => {
            info!("a link to the operator's pages was made");
            Response::Operator(link)
        }
        Ok(None) => {
            let why =
                "the host does not listen for its operator; add web_admin = [\"127.0.0.1:8081\"] to [listen]";
            Response::Failed(why.to_owned())
        }
        Err(error) => Response::Failed(error.to_string()),
    }
}

async fn verify(store: &Store) -> Response {
    let Some((files, damage)) = store.verify().await else {
        return Response::Failed("the store is closing".to_owned());
    };
    Response::Verified { files, damage: damage.iter().map(damaged).collect() }
}

/// A line about something that cannot be read.
pub(crate) fn damaged(damage: &mailstore::Damage) -> String {
    let mailstore::Damage { file, at, length, held } = damage;
    format!("{file}: {length} octets from {at} on cannot be read; they held {held}")
}

async fn change(accounts: &Accounts, request: Request) -> Result<Response, ChangeError> {
    Ok(match request {
        Request::AddAccount { address, login, password, scram } => {
            let password = secrets(&password, &scram)?;
            let account = accounts.add(&address, login.as_deref(), &password).await?;
            info!(address, id = account.id, "account added");
            Response::Added(Box::new(hidden(account)))
        }
        Request::Accounts => Response::Accounts(accounts.overviews().await),
        Request::Account { address } => Response::Account(Box::new(accounts.overview(&address).await?)),
        Request::SetForward { address, targets, keep } => {
            accounts.set_forward(&address, &targets, keep).await?;
            info!(address, ?targets, keep, "forwarding set");
            Response::Done
        }
        Request::AddAppPassword { address, name, digest, scram } => {
            accounts.add_app_password(&address, &name, &digest, scram).await?;
            info!(address, name, "app password added");
            Response::Done
        }
        Request::RemoveAppPassword { address, name } => {
            accounts.remove_app_password(&address, &name).await?;
            info!(address, name, "app password removed");
            Response::Done
        }
        Request::Suspend { address, reason, no_mail } => {
            accounts.suspend(&address, reason.clone(), no_mail).await?;
            info!(address, ?reason, no_mail, "account suspended");
            Response::Done
        }
        Request::Resume { address } => {
            accounts.resume(&address).await?;
            info!(address, "suspension ended");
            Response::Done
        }
        Request::RemoveAccount { address, purge } => {
            let dangling = accounts.remove(&address, purge).await?;
            info!(address, purge, "account removed");
            Response::Removed(dangling)
        }
        Request::SetPassword { address, password, scram } => {
            accounts.set_password(&address, &secrets(&password, &scram)?).await?;
            info!(address, "password set");
            Response::Done
        }
        Request::SetQuota { address, octets, messages } => {
            accounts.set_quota(&address, octets, messages).await?;
            info!(address, ?octets, ?messages, "quota set");
            Response::Done
        }
        Request::SetImap { address, without } => {
            let known = without.iter().filter_map(|word| Extension::from_word(word)).collect::<Vec<_>>();
            accounts.set_imap_without(&address, &known).await?;
            info!(address, ?without, "capabilities of IMAP set");
            Response::Done
        }
        Request::AddAlias { alias, targets } => {
            accounts.add_alias(&alias, &targets).await?;
            info!(alias, ?targets, "alias added");
            Response::Done
        }
        Request::Aliases => Response::Aliases(accounts.aliases()),
        Request::RemoveAlias { alias, targets } => {
            accounts.remove_alias(&alias, &targets).await?;
            info!(alias, ?targets, "alias removed");
            Response::Done
        }
        // Nothing of accounts: see `perform`.
        Request::Archive(_)
        | Request::Verify { .. }
        | Request::Queue { .. }
        | Request::Order { .. }
        | Request::Operator => Response::Done,
    })
}

fn secrets(hash: &str, scram: &[String]) -> Result<Secrets, ChangeError> {
    Secrets::parse(hash, scram).map_err(|_| ChangeError::BadPassword)
}

/// Nobody listens on the socket.
pub(crate) fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

const ANSWER: Duration = Duration::from_secs(30);
/// How long a host that stops waits for somebody who reads an answer.
const STOP: Duration = Duration::from_secs(2);
/// How long a host may take over a part of what it was asked for; it gives up first.
const PATIENCE: Duration = Duration::from_secs(90);
const LONGEST: u64 = 1 << 20;
