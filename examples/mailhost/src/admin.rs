//! Administration: the same requests, whether the host runs, over a Unix socket in its data directory, or not.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use imap_codec::extension::Extension;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time;
use tracing::{info, warn};

use crate::accounts::{Account, Accounts, Alias, ChangeError};
use crate::auth::Secrets;
use crate::commands::Failure;
use crate::config::Config;
use crate::host::Host;
use crate::listener::Stopping;
use crate::preflight::Unclaimed;
use crate::relay::{Ordered, Relay, Shown};
use crate::store::{Opening, Store};
use crate::system::Machine;

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
    /// Removes an alias.
    RemoveAlias {
        /// The address.
        alias: String,
    },
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
    Added(Account),
    /// To [`Request::Accounts`].
    Accounts(Vec<Account>),
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
    Queue(Vec<Shown>),
    /// To [`Request::Order`]: for how many recipients it was done.
    Ordered(usize),
    /// It was not done: one sentence.
    Failed(String),
}

/// Has a request carried out: by the host if it runs, or else here.
pub async fn ask(config: &Config, request: Request) -> Result<Response, Failure> {
    // To read a large store takes as long as it takes.
    let patience = if matches!(request, Request::Verify { .. }) { Duration::MAX } else { ANSWER };
    let response = match UnixStream::connect(config.admin_socket()).await {
        Ok(stream) => time::timeout(patience, ask_host(stream, &request)).await.map_err(|_| {
            Failure::new("the host runs, but does not answer on its administration socket; look at its log")
        })??,
        Err(error) if is_nobody(&error) => ask_store(config, request).await?,
        Err(error) => {
            return Err(Failure::new(format!("{}: {error}", config.admin_socket().display())));
        }
    };
    match response {
        Response::Failed(why) => Err(Failure::new(why)),
        response => Ok(response),
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
                    let host = Arc::clone(&host);
                    requests.spawn(async move {
                        if let Err(error) = answer(&host, stream).await {
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

async fn answer(host: &Host, mut stream: UnixStream) -> io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut line = String::new();
    time::timeout(ANSWER, BufReader::new(reader.take(LONGEST)).read_line(&mut line))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    let response = match serde_json::from_str(&line) {
        Ok(Request::Verify { rebuild: true }) => {
            Response::Failed("the host runs; stop it first, for a rebuild needs its store alone".to_owned())
        }
        Ok(request) => perform(&host.accounts, &host.store, &host.relay, request).await,
        Err(error) => {
            Response::Failed(format!("this version of the host does not understand the request: {error}"))
        }
    };
    let mut text = serde_json::to_vec(&response)?;
    text.push(b'\n');
    writer.write_all(&text).await
}

async fn ask_host(mut stream: UnixStream, request: &Request) -> Result<Response, Failure> {
    let mut text = serde_json::to_vec(request)?;
    text.push(b'\n');
    stream.write_all(&text).await?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).await?;
    Ok(serde_json::from_str(&answer)?)
}

async fn ask_store(config: &Config, request: Request) -> Result<Response, Failure> {
    let _claimed = Unclaimed::probe(&config.data_dir)?.claim()?;
    let rebuild = matches!(request, Request::Verify { rebuild: true });
    let opening = if rebuild { Opening::Rebuild } else { Opening::Usual };
    let (store, _) =
        Store::open(Arc::new(Machine), &config.mail_dir(), mailstore::Limits::default(), opening).await?;
    let accounts = Accounts::load(store.clone(), config.hostname.clone(), config.domains.clone()).await?;
    let relay = Relay::open(store.clone(), config).await?;
    let response = perform(&accounts, &store, &relay, request).await;
    relay.settle(&accounts).await;
    store.close().await;
    Ok(response)
}

async fn perform(accounts: &Accounts, store: &Store, relay: &Relay, request: Request) -> Response {
    match request {
        Request::Verify { .. } => verify(store).await,
        Request::Queue { message, why } => {
            relay.show(message.as_deref(), why).map_or_else(Response::Failed, Response::Queue)
        }
        Request::Order { what, recipient, order } => {
            info!(what, ?recipient, ?order, "an order for the queue");
            relay.order(&what, recipient.as_deref(), &order).map_or_else(Response::Failed, Response::Ordered)
        }
        request => {
            change(accounts, request).await.unwrap_or_else(|error| Response::Failed(error.to_string()))
        }
    }
}

async fn verify(store: &Store) -> Response {
    let Some((files, damage)) = store.verify().await else {
        return Response::Failed("the store is closing".to_owned());
    };
    let line = |damage: &mailstore::Damage| {
        let mailstore::Damage { file, at, length, held } = damage;
        format!("{file}: {length} octets from {at} on cannot be read; they held {held}")
    };
    Response::Verified { files, damage: damage.iter().map(line).collect() }
}

async fn change(accounts: &Accounts, request: Request) -> Result<Response, ChangeError> {
    Ok(match request {
        Request::AddAccount { address, login, password, scram } => {
            let password = secrets(&password, &scram)?;
            let account = accounts.add(&address, login.as_deref(), &password).await?;
            info!(address, id = account.id, "account added");
            Response::Added(hidden(account))
        }
        Request::Accounts => Response::Accounts(accounts.accounts().into_iter().map(hidden).collect()),
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
        Request::RemoveAlias { alias } => {
            accounts.remove_alias(&alias).await?;
            info!(alias, "alias removed");
            Response::Done
        }
        // Nothing of accounts: see `perform`.
        Request::Verify { .. } | Request::Queue { .. } | Request::Order { .. } => Response::Done,
    })
}

fn secrets(hash: &str, scram: &[String]) -> Result<Secrets, ChangeError> {
    Secrets::parse(hash, scram).map_err(|_| ChangeError::BadPassword)
}

/// What goes out of the host holds neither hash nor keys.
fn hidden(account: Account) -> Account {
    Account { password: String::new(), scram: Vec::new(), ..account }
}

fn is_nobody(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
}

const ANSWER: Duration = Duration::from_secs(30);
const LONGEST: u64 = 1 << 20;
