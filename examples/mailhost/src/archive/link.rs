//! From the process that has the files to the one that has the store, which may be the same.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mailstore::mailbox::AccountId;
use mailstore::operation::File;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader, BufWriter};
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tracing::info;

use super::export;
use super::frames::{FileEntry, Frame, Told};
use super::import::{Ended, Import};
use crate::accounts::Accounts;
use crate::admin::{self, Request, Response};
use crate::commands::Failure;
use crate::config::Config;
use crate::host::Host;
use crate::listener::Stopping;
use crate::privileges;
use crate::store::{Opening, Store};

/// What frames are to be exchanged for.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Job {
    /// Messages come.
    Import {
        /// The address of the account.
        account: String,
        /// What is there already comes once more.
        again: bool,
    },
    /// Messages go.
    Export {
        /// The address of the account.
        account: String,
        /// One mailbox of it.
        mailbox: Option<String>,
    },
    /// Files are copied.
    Backup,
}

/// Has a job done: by the host if it runs, or else here. Frames go both ways until the host has no more.
pub async fn run(
    config: &Config,
    job: Job,
    to_host: mpsc::Receiver<Frame>,
    from_host: mpsc::Sender<Frame>,
) -> Result<(), Failure> {
    match UnixStream::connect(config.admin_socket()).await {
        Ok(stream) => over_socket(stream, job, to_host, from_host).await,
        Err(error) if admin::is_nobody(&error) => {
            let alone = admin::open_alone(config, Opening::Usual).await?;
            perform(&alone.accounts, &alone.store, config, job, to_host, from_host).await;
            alone.store.close().await;
            // Root has read what only root may, and what it has made belongs to the host.
            privileges::hand_over(config, &config.mail_dir()).map_err(Failure::from)
        }
        Err(error) => Err(Failure::new(format!("{}: {error}", config.admin_socket().display()))),
    }
}

/// Does a job for whoever is at the other end of a connection.
pub async fn serve(
    host: &Host,
    job: Job,
    mut reader: impl AsyncRead + Unpin,
    mut writer: impl AsyncWrite + Unpin,
    stopping: &Stopping,
) -> io::Result<()> {
    info!(?job, "an administration request");
    let mut text = serde_json::to_vec(&Response::Done)?;
    text.push(b'\n');
    writer.write_all(&text).await?;
    let (sender, from_client) = mpsc::channel(WAITING);
    let (to_client, receiver) = mpsc::channel(WAITING);
    let mut given_up = stopping.clone();
    let last = to_client.clone();
    let work = async {
        let work = perform(&host.accounts, &host.store, &host.config, job, from_client, to_client);
        tokio::select! {
            () = work => {}
            () = given_up.requested() => {
                let why = "the host stops; run the same command again when it is back".to_owned();
                let _ = tokio::time::timeout(STOP, last.send(Frame::Told(Told::Failed(why)))).await;
            }
        }
        drop(last);
    };
    // Whoever has gone does not listen, either.
    tokio::select! {
        ((), sent) = async { tokio::join!(work, send(receiver, &mut writer)) } => sent,
        error = receive(&mut reader, sender) => error,
    }
}

async fn over_socket(
    mut stream: UnixStream,
    job: Job,
    to_host: mpsc::Receiver<Frame>,
    from_host: mpsc::Sender<Frame>,
) -> Result<(), Failure> {
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut text = serde_json::to_vec(&Request::Archive(job))?;
    text.push(b'\n');
    writer.write_all(&text).await?;
    let mut answer = String::new();
    if reader.read_line(&mut answer).await? == 0 {
        return Err(Failure::new("the host has ended before it has answered; look at its log"));
    }
    match serde_json::from_str(&answer)? {
        Response::Done => {}
        Response::Failed(why) => return Err(Failure::new(why)),
        _ => return Err(Failure::new("the host does not answer the question that was asked")),
    }
    let sending = async {
        let sent = send(to_host, &mut writer).await;
        let _ = writer.shutdown().await;
        sent
    };
    tokio::pin!(sending);
    let receiving = async {
        while let Some(frame) = Frame::read(&mut reader).await? {
            if from_host.send(frame).await.is_err() {
                break;
            }
        }
        Ok(())
    };
    tokio::pin!(receiving);
    let mut sent = false;
    loop {
        tokio::select! {
            // A host that has gone has said why, or not: what it has said is to be read.
            _ = &mut sending, if !sent => sent = true,
            received = &mut receiving => {
                let received: io::Result<()> = received;
                return received.map_err(|error| Failure::new(format!("the host has gone: {error}; look at its log")));
            }
        }
    }
}

async fn send(mut frames: mpsc::Receiver<Frame>, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(Frame::MOST, writer);
    while let Some(frame) = frames.recv().await {
        frame.write(&mut writer).await?;
        if frames.is_empty() {
            writer.flush().await?;
        }
    }
    writer.flush().await
}

/// Passes on what comes, and never ends: once the other side has gone, in whatever way, the job ends by itself, with what it has
/// begun to store.
async fn receive(reader: &mut (impl AsyncRead + Unpin), sender: mpsc::Sender<Frame>) -> io::Result<()> {
    while let Ok(Some(frame)) = Frame::read(reader).await {
        if sender.send(frame).await.is_err() {
            break;
        }
    }
    drop(sender);
    std::future::pending().await
}

async fn perform(
    accounts: &Arc<Accounts>,
    store: &Store,
    config: &Config,
    job: Job,
    mut incoming: mpsc::Receiver<Frame>,
    out: mpsc::Sender<Frame>,
) {
    let result = match job {
        Job::Import { account, again } => match find(accounts, &account) {
            Ok(account) => {
                // What another one has begun to store is there when this one looks.
                let _alone = accounts.import_alone().await;
                let import = Import { store, config, account, again, out: &out };
                let (totals, result) = import.run(&mut incoming).await;
                info!(account = account.get(), ?totals, "messages imported");
                // Also of an import that has ended early: what is there is there.
                let _ = out.send(Frame::Told(Told::Progress(totals))).await;
                result.map(|()| Some(Told::Imported(totals)))
            }
            Err(error) => Err(error),
        },
        Job::Export { account, mailbox } => match find(accounts, &account) {
            Ok(account) => export::run(store, account, mailbox.as_deref(), &out).await.map(|()| None),
            Err(error) => Err(error),
        },
        Job::Backup => copy(store, &mut incoming, &out).await.map(|()| None),
    };
    let told = match result {
        Ok(told) => told,
        Err(Ended(why)) => Some(Told::Failed(why)),
    };
    if let Some(told) = told {
        // Nobody may be listening.
        let _ = out.send(Frame::Told(told)).await;
    }
}

/// Says what is to be copied, and keeps it in its place until the other side has gone.
async fn copy(
    store: &Store,
    incoming: &mut mpsc::Receiver<Frame>,
    out: &mpsc::Sender<Frame>,
) -> Result<(), Ended> {
    let closing = || Ended("the host is closing".to_owned());
    let copying = store.backup().await.ok_or_else(closing)?;
    for files in copying.files().chunks(PAGE) {
        let entry = |file: &mailstore::backup::Extract| FileEntry {
            path: file.file.to_string(),
            length: file.length,
            identity: if matches!(file.file, File::Segment(_)) { file.identity } else { 0 },
        };
        let told = Told::Files(files.iter().map(entry).collect());
        out.send(Frame::Told(told)).await.map_err(|_| closing())?;
    }
    let seal = copying.seal().iter().map(|octet| format!("{octet:02x}")).collect();
    for frame in [Frame::Told(Told::Seal(seal)), Frame::Done] {
        out.send(frame).await.map_err(|_| closing())?;
    }
    while incoming.recv().await.is_some() {}
    Ok(())
}

fn find(accounts: &Accounts, address: &str) -> Result<AccountId, Ended> {
    let all = accounts.accounts();
    let found = all.iter().find(|account| account.address.eq_ignore_ascii_case(address));
    match found {
        Some(account) => Ok(AccountId(account.id)),
        None => Err(Ended(format!("there is no account {address}; `mailhost account list` shows all"))),
    }
}

/// Frames that wait on either side.
const WAITING: usize = 16;
/// Files that are told of at once.
const PAGE: usize = 1_000;
/// How long a host that stops waits for somebody to hear it.
const STOP: Duration = Duration::from_secs(2);
