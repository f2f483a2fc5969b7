//! The driver of a POP3 session.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use mailstore::mailbox::AccountId;
use mailstore::message::Message;
use mailstore::{Actor, Commit, Failure, Intent};
use pop3_codec::capability::Expire;
use pop3_codec::command::Mechanism;
use pop3_codec::reply::Status;
use pop3_codec::server::{Login, Reason, Retrieve, Update};
use pop3_codec::{Event, Maildrop, Reply, ServerConfig, ServerSession, UniqueId};
use sasl_codec::prepare::{Unassigned, prepare};
use tokio::time::Instant;
use tracing::{info, warn};

use crate::accounts::Presence;
use crate::auth::{self, Exchange, Offer, Password};
use crate::host::{Host, Lock};
use crate::listener::{Service, Stopping};
use crate::metrics::Outcome;
use crate::store::Snapshot;
use crate::surrogate::Surrogate;
use crate::wire::{HIGH_WATER, Wire, until};

/// Runs a session to its end.
pub async fn serve(
    host: Arc<Host>,
    service: Service,
    mut wire: Wire,
    peer: SocketAddr,
    mut stopping: Stopping,
) -> io::Result<Reason> {
    let (mut buffer, mut out, start) = (BytesMut::new(), BytesMut::new(), Instant::now());
    let mut session = ServerSession::<Drop>::new(codec_config(&host, service), start.elapsed(), &mut out);
    let mut sasl = Sasl::new(&host, service, peer, &wire);
    session.set_mechanisms(&sasl.mechanisms());
    loop {
        wire.send(&mut out).await?;
        if stopping.is_requested() || session.maildrop().is_some_and(Drop::is_over) {
            session.close(start.elapsed(), &mut out);
        }
        if let Some(reason) = session.closed() {
            wire.finish(&mut out).await;
            return Ok(reason);
        }
        tokio::select! {
            biased;
            () = until(start, session.poll_timeout()) => session.handle_timeout(start.elapsed(), &mut out),
            read = wire.read(&mut buffer) => if read? == 0 { session.handle_eof() },
            () = stopping.requested(), if !stopping.is_requested() => {}
            () = over(session.maildrop()) => {}
        }
        let mut input = &buffer[..];
        while !session.maildrop().is_some_and(Drop::is_over)
            && let Some(event) = session.receive(start.elapsed(), &mut input, &mut out)
        {
            match event {
                Event::Login(login) => log_in(&host, service, peer, login, &mut out).await,
                Event::Auth(auth) => {
                    sasl.exchange = sasl.offer.begin(&host, peer.ip(), auth.mechanism().as_str());
                    match sasl.step(auth.initial()).await {
                        Ok(Step::Challenge(challenge)) => auth.challenge(&challenge, &mut out),
                        Ok(Step::Open(drop)) => auth.accept(drop, &mut out),
                        Err(reply) => auth.reject(reply, &mut out),
                    }
                }
                Event::AuthResponse(response) => match sasl.step(Some(response.data())).await {
                    Ok(Step::Challenge(challenge)) => response.challenge(&challenge, &mut out),
                    Ok(Step::Open(drop)) => response.accept(drop, &mut out),
                    Err(reply) => response.reject(reply, &mut out),
                },
                Event::AuthCancelled => sasl.exchange = None,
                Event::Retrieve(retrieve) => send_message(retrieve, &mut wire, &mut out).await?,
                Event::Stls(stls) => stls.accept(&mut out),
                Event::Update(update) => delete(&host, update, &mut out).await?,
                // `Continue` wants no answer; all else that is unanswered is refused.
                _ => {}
            }
            if out.len() > HIGH_WATER {
                wire.send(&mut out).await?;
            }
        }
        let used = buffer.len() - input.len();
        buffer.advance(used);
        if session.wants_tls() && session.closed().is_none() {
            wire.send(&mut out).await?;
            host.start_tls(&mut wire).await?;
            session.handle_tls_started(start.elapsed());
            sasl = Sasl::new(&host, service, peer, &wire);
            session.set_mechanisms(&sasl.mechanisms());
        }
    }
}

/// A maildrop under its lock.
struct Drop {
    presence: Presence,
    mail: Snapshot,
    _lock: Lock,
}

impl Drop {
    /// Whether who has logged in may do nothing more.
    fn is_over(&self) -> bool {
        self.presence.is_over()
    }

    fn message(&self, index: usize) -> Message {
        self.mail.messages.get(index).expect("the session asks for messages that it has counted")
    }
}

impl Maildrop for Drop {
    fn len(&self) -> usize {
        self.mail.messages.len()
    }

    fn size(&self, index: usize) -> u64 {
        self.message(index).size()
    }

    fn unique_id(&self, index: usize) -> UniqueId {
        let id = format!("{}.{}", self.mail.status.uid_validity, self.message(index).uid());
        UniqueId::new(&id).expect("two numbers and a dot")
    }
}

/// Waits until who has logged in may do nothing more; for ever, while nobody has.
async fn over(drop: Option<&Drop>) {
    match drop {
        Some(drop) => drop.presence.over().await,
        None => std::future::pending().await,
    }
}

fn codec_config(host: &Host, service: Service) -> ServerConfig {
    let name = concat!("Postrider mailhost ", env!("CARGO_PKG_VERSION"));
    // Only its owner removes a message.
    let mut config = ServerConfig::new().utf8_logins().expire(Expire::Never).implementation(name);
    config = match &host.tls {
        _ if service.implicit_tls() => config.implicit_tls(),
        Some(_) => config.stls(),
        None => config,
    };
    if host.config.allow_plaintext {
        config = config.plaintext_auth();
    }
    config
}

async fn log_in(host: &Host, service: Service, peer: SocketAddr, login: Login<'_, Drop>, out: &mut BytesMut) {
    let name = login.user().to_owned();
    match open(host, peer, &name, login.password()).await {
        Ok(drop) => {
            host.logged_in(service, Outcome::Good, &name);
            info!(%service, %peer, login = ?name, messages = drop.len(), "logged in");
            login.accept(drop, out);
        }
        Err(reply) => {
            let outcome = match &reply {
                reply if *reply == Reply::AUTH_FAILED => Outcome::Bad,
                reply if *reply == suspended() => Outcome::Suspended,
                _ => Outcome::Unavailable,
            };
            host.logged_in(service, outcome, &name);
            info!(%service, %peer, login = ?name, why = reply.text(), "login refused");
            login.reject(reply, out);
        }
    }
}

async fn open(host: &Host, peer: SocketAddr, name: &str, password: &str) -> Result<Drop, Reply> {
    // RFC 6856 §2.2: what SASLprep prohibits is refused. It tells nothing of who exists.
    if [name, password].into_iter().any(|text| prepare(text, Unassigned::Allowed).is_err()) {
        return Err(Reply::AUTH_FAILED);
    }
    let password = Password::new(password.to_owned()).map_err(|_| Reply::AUTH_FAILED)?;
    match host.log_in(peer.ip(), name, password).await {
        Ok(presence) => lock(host, presence).await,
        Err(auth::Login::Suspended) => Err(suspended()),
        Err(auth::Login::TooMany | auth::Login::Unavailable) => Err(Reply::LOCAL_ERROR),
        Err(auth::Login::Accepted | auth::Login::Rejected) => Err(Reply::AUTH_FAILED),
    }
}

/// RFC 3206 §4, AUTH: it is not for the client to try again.
fn suspended() -> Reply {
    Reply::new(Status::Auth, "this account is suspended; ask whoever runs this host")
        .unwrap_or(Reply::AUTH_FAILED)
}

async fn lock(host: &Host, presence: Presence) -> Result<Drop, Reply> {
    let account = presence.account();
    let inbox = host.accounts.inbox(account).ok_or(Reply::LOCAL_ERROR)?;
    let lock = host.locks.take(inbox).ok_or(Reply::IN_USE)?;
    let mail = host.store.load(Actor::Account(AccountId(account)), inbox).await.ok_or(Reply::LOCAL_ERROR)?;
    Ok(Drop { presence, mail, _lock: lock })
}

/// Logins by SASL in one session.
struct Sasl<'h> {
    host: &'h Host,
    service: Service,
    peer: SocketAddr,
    offer: Offer,
    exchange: Option<Exchange<'h>>,
}

/// What the client gets.
enum Step {
    Challenge(Bytes),
    Open(Drop),
}

impl<'h> Sasl<'h> {
    fn new(host: &'h Host, service: Service, peer: SocketAddr, wire: &Wire) -> Self {
        Self { host, service, peer, offer: Offer::new(host, wire), exchange: None }
    }

    fn mechanisms(&self) -> Vec<Mechanism> {
        let names = self.offer.mechanisms();
        names.filter_map(|mechanism| Mechanism::parse(mechanism.name().as_bytes()).ok()).collect()
    }

    async fn step(&mut self, response: Option<&[u8]>) -> Result<Step, Reply> {
        let Some(exchange) = &mut self.exchange else { return Err(Reply::LOCAL_ERROR) };
        let step = exchange.respond(response).await;
        if let auth::Step::Challenge(challenge) = step {
            return Ok(Step::Challenge(challenge));
        }
        let (service, peer, login, mechanism) =
            (self.service, self.peer, exchange.name(), exchange.mechanism());
        info!(%service, %peer, %mechanism, ?login, outcome = ?step, "login");
        self.host.logged_in(service, step.outcome(), login);
        self.exchange = None;
        match step {
            auth::Step::Accepted(presence, _) => lock(self.host, presence).await.map(Step::Open),
            auth::Step::Suspended => Err(suspended()),
            auth::Step::Unavailable => Err(Reply::LOCAL_ERROR),
            _ => Err(Reply::AUTH_FAILED),
        }
    }
}

/// Streams a message; the client sets the pace. RFC 6856 §2.1: without UTF-8 mode, its surrogate.
async fn send_message(retrieve: Retrieve<'_, Drop>, wire: &mut Wire, out: &mut BytesMut) -> io::Result<()> {
    let drop = retrieve.maildrop();
    let message = drop.message(retrieve.index());
    let reader = drop.mail.reader();
    // One slice is read ahead, which for a small message is all of it: what is damaged can still be refused.
    let begun = async {
        let slice = reader.read(&message, 0).await?;
        let next = reader.read(&message, slice.len() as u64).await?;
        // Where the headers are matters only to a client for which they may have to be said in other words.
        let mut surrogate = None;
        if !(retrieve.is_utf8() || next.is_empty() && slice.is_ascii()) {
            let structure = reader.structures(&[&message]).await.pop().ok_or(io::ErrorKind::Other)??;
            surrogate = Some(Surrogate::new(&structure, message.prefix_size()));
        }
        Ok::<_, io::Error>((slice, next, surrogate))
    };
    let (mut slice, mut next, mut surrogate) = match begun.await {
        Ok(begun) => begun,
        Err(error) => {
            warn!(uid = message.uid().get(), %error, "a message cannot be read");
            retrieve.reject(Reply::LOCAL_ERROR, out);
            return Ok(());
        }
    };
    let (mut writer, mut at) = (retrieve.accept(out), (slice.len() + next.len()) as u64);
    while !slice.is_empty() && writer.wants_more() {
        match &mut surrogate {
            Some(surrogate) => surrogate.push(&slice, |octets| writer.write(octets, out)),
            None => writer.write(&slice, out),
        }
        if out.len() > HIGH_WATER {
            wire.send(out).await?;
        }
        slice = next;
        // On an error the message is left unfinished, and the session ends: the client must not take it for whole.
        next = if slice.is_empty() { Bytes::new() } else { reader.read(&message, at).await? };
        at += next.len() as u64;
    }
    if let Some(surrogate) = surrogate {
        surrogate.finish(|octets| writer.write(octets, out));
    }
    writer.finish(out);
    Ok(())
}

/// RFC 1939 §6: what is marked goes at QUIT, and the answer tells the truth about it.
async fn delete(host: &Host, update: Update<'_, Drop>, out: &mut BytesMut) -> io::Result<()> {
    let drop = update.maildrop();
    let (mailbox, owner) = (drop.mail.status.id, Actor::Account(drop.mail.status.account));
    let expunge =
        |index: usize| Intent::Expunge { mailbox, uid: drop.message(index).uid(), only_deleted: false };
    let intents: Vec<_> = update.deleted().map(expunge).collect();
    for part in intents.chunks(DELETED_AT_ONCE) {
        if let Err(failure) = host.store.commit(Commit::of(part.to_vec()).by(owner)).await {
            warn!(mailbox = mailbox.get(), %failure, "messages could not be deleted");
            if failure == Failure::Unknown {
                // Neither yes nor no would be true: the client hears nothing, and looks again.
                return Err(io::Error::other("nobody knows what became of a deletion"));
            }
            update.reject(Reply::NOT_DELETED, out);
            return Ok(());
        }
    }
    info!(mailbox = mailbox.get(), messages = intents.len(), "deleted");
    update.accept(out);
    Ok(())
}

/// So that a commit fits into a segment of the journal.
const DELETED_AT_ONCE: usize = 10_000;
