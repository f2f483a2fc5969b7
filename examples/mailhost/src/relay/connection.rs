//! A connection to another host: opened, used for some transactions, closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use smtp_codec::client::{ClientConfig as SmtpConfig, ClientSession, Envelope, Event, Outcome, Stage};
use smtp_codec::extension::Mechanism;
use smtp_codec::{Domain, Reply};
use tokio::time::{self, Instant};

use crate::client::{Credentials, shown};
use crate::planted::Bug;
use crate::system::System;
use crate::wire::{Wire, until};

/// Where to connect, and what is expected there.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The address.
    pub address: SocketAddr,
    /// The name, for TLS and for logs.
    pub name: String,
}

/// How TLS and logins are handled.
#[derive(Clone, Debug)]
pub struct Security {
    /// For STARTTLS.
    pub tls: Arc<ClientConfig>,
    /// Whether to go on in the clear where TLS cannot be had (RFC 7435). A login then goes in the clear too: no configuration
    /// has both, but users in simulations do.
    pub opportunistic: bool,
    /// The login, for a smarthost.
    pub login: Option<Arc<Credentials>>,
}

/// A session that waits for a transaction.
#[derive(Debug)]
pub struct Connection {
    wire: Wire,
    session: ClientSession,
    buffer: BytesMut,
    out: BytesMut,
    start: Instant,
    tls: bool,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum NoConnection {
    /// The network, or what is said on it, has failed.
    Network(String),
    /// The server does not want us.
    Refused(Reply),
}

/// What a transaction has come to.
#[derive(Debug)]
pub struct Transaction {
    /// What was said to each recipient, in the order of the envelope; shorter where it did not come to that.
    pub recipients: Vec<Reply>,
    /// What was said to the whole.
    pub end: End,
}

/// What was said to the whole of a transaction.
#[derive(Debug)]
pub enum End {
    /// The server has taken the message for the recipients it has taken.
    Taken(Reply),
    /// It has not.
    Refused(Stage, Reply),
    /// The connection was lost before the end of the message.
    Lost(String),
    /// The connection was lost behind the end of the message: nobody knows.
    InDoubt(String),
}

/// Where the octets of a message come from.
pub trait Body {
    /// The next octets; empty at the end.
    fn next(&mut self) -> impl Future<Output = io::Result<Bytes>> + Send;
}

impl Connection {
    /// Connects, greets, starts TLS and logs in, as far as that is to be had.
    pub async fn open(
        system: &dyn System,
        client: &Domain<'static>,
        peer: &Peer,
        security: &Security,
    ) -> Result<Self, NoConnection> {
        match Self::try_open(system, client, peer, security, true).await {
            Err(Attempted::Handshake(error)) if security.opportunistic => {
                // RFC 7435 §3: what cannot be had encrypted goes in the clear, as it always did.
                tracing::info!(peer = peer.name, %error, "no TLS with this host, going on without");
                Self::try_open(system, client, peer, security, false).await.map_err(NoConnection::from)
            }
            result => result.map_err(NoConnection::from),
        }
    }

    async fn try_open(
        system: &dyn System,
        client: &Domain<'static>,
        peer: &Peer,
        security: &Security,
        mut want_tls: bool,
    ) -> Result<Self, Attempted> {
        let connect = time::timeout(CONNECT, system.connect(peer.address)).await;
        let stream = connect.map_err(|_| io::Error::from(io::ErrorKind::TimedOut)).flatten()?;
        let (mut out, start) = (BytesMut::new(), Instant::now());
        let mut config = SmtpConfig::new(client.clone());
        if security.opportunistic && security.login.is_some() {
            config = config.plaintext_auth();
        }
        let session = ClientSession::new(config, start.elapsed(), &mut out);
        let mut this =
            Self { wire: Wire::Plain(stream), session, buffer: BytesMut::new(), out, start, tls: false };
        let mut login = security.login.clone();
        loop {
            let mut input = &this.buffer[..];
            let mut refused = None;
            let mut ready = false;
            while let Some(event) = this.session.receive(this.start.elapsed(), &mut input, &mut this.out) {
                match event {
                    Event::Ready(offer) if want_tls && !offer.is_tls() && offer.capabilities().starttls() => {
                        let _ = offer.starttls(&mut this.out);
                    }
                    Event::Ready(offer) if !offer.is_tls() && !security.opportunistic => {
                        offer.quit(&mut this.out);
                        refused = Some(Attempted::Network("the server does not offer STARTTLS".to_owned()));
                    }
                    Event::Ready(offer) => match login.take() {
                        Some(credentials) => {
                            let response = credentials.plain();
                            if offer.auth(Mechanism::PLAIN, Some(&response), &mut this.out).is_err() {
                                refused = Some(Attempted::Network(
                                    "the server does not offer AUTH PLAIN".to_owned(),
                                ));
                            }
                        }
                        None => {
                            offer.idle();
                            ready = true;
                        }
                    },
                    Event::TlsRefused(reply) if security.opportunistic => {
                        tracing::info!(
                            peer = peer.name,
                            reply = shown(&reply),
                            "no TLS with this host, going on without"
                        );
                        want_tls = false;
                    }
                    Event::Rejected(reply) | Event::TlsRefused(reply) | Event::LoginFailed(reply) => {
                        refused = Some(Attempted::Refused(reply));
                    }
                    _ => {}
                }
                if ready {
                    break;
                }
            }
            let used = this.buffer.len() - input.len();
            this.buffer.advance(used);
            if let Some(why) = refused {
                let _ = this.wire.send(&mut this.out).await;
                return Err(why);
            }
            if ready {
                return Ok(this);
            }
            if let Some(reason) = this.session.closed() {
                return Err(Attempted::Network(format!("the session ended: {reason:?}")));
            }
            this.wire.send(&mut this.out).await?;
            if this.session.wants_tls() {
                this.start_tls(peer, security).await.map_err(Attempted::Handshake)?;
                continue;
            }
            this.wait().await?;
        }
    }

    async fn start_tls(&mut self, peer: &Peer, security: &Security) -> io::Result<()> {
        let name = ServerName::try_from(peer.name.clone())
            .unwrap_or_else(|_| ServerName::IpAddress(peer.address.ip().into()));
        self.wire.connect_tls(&security.tls, name).await?;
        self.session.handle_tls_started(self.start.elapsed());
        self.tls = true;
        Ok(())
    }

    /// Whether the connection is under TLS.
    pub const fn is_tls(&self) -> bool {
        self.tls
    }

    /// Sends one message. Afterwards the connection waits for the next, unless it says that it was lost.
    pub async fn send(&mut self, envelope: Envelope, body: &mut impl Body) -> Transaction {
        let mut recipients = Vec::new();
        let end = match self.try_send(envelope, body, &mut recipients).await {
            Ok(end) => end,
            Err(error) => {
                // A connection that is reset ends the session no less than one that is closed, and only the session knows
                // whether the other host may have the message.
                self.session.handle_eof();
                match self.session.is_in_doubt() && !Bug::DoubtForgotten.is_planted() {
                    true => End::InDoubt(error.to_string()),
                    false => End::Lost(error.to_string()),
                }
            }
        };
        Transaction { recipients, end }
    }

    async fn try_send(
        &mut self,
        envelope: Envelope,
        body: &mut impl Body,
        recipients: &mut Vec<Reply>,
    ) -> io::Result<End> {
        let Some(ready) = self.session.resume() else {
            return Ok(End::Lost("the connection was lost".to_owned()));
        };
        if let Err(error) = ready.mail(envelope, &mut self.out) {
            // What cannot be sent to this host today cannot be sent tomorrow: it is too big for it.
            let reply = Reply::new(552, None, error.to_string()).unwrap_or(Reply::MESSAGE_TOO_BIG);
            self.settle().await?;
            return Ok(End::Refused(Stage::Mail, reply));
        }
        let mut end = None;
        loop {
            let mut input = &self.buffer[..];
            let mut ready = false;
            while let Some(event) = self.session.receive(self.start.elapsed(), &mut input, &mut self.out) {
                match event {
                    Event::Recipient { reply, .. } => recipients.push(reply),
                    Event::Message(message) => message.pause(),
                    Event::Done(Outcome::Taken(reply)) => end = Some(End::Taken(reply)),
                    Event::Done(Outcome::Refused { stage, reply }) => end = Some(End::Refused(stage, reply)),
                    Event::Ready(offer) => {
                        offer.idle();
                        ready = true;
                    }
                    _ => {}
                }
                if ready {
                    break;
                }
            }
            let used = self.buffer.len() - input.len();
            self.buffer.advance(used);
            if ready && let Some(end) = end {
                return Ok(end);
            }
            if let Some(reason) = self.session.closed() {
                let why = format!("the session ended: {reason:?}");
                return Ok(match end {
                    Some(end) => end,
                    None if self.session.is_in_doubt() => End::InDoubt(why),
                    None => End::Lost(why),
                });
            }
            if self.out.is_empty() && self.session.message().is_some() {
                // The store must not fail us here: nothing has been promised for this message but by ourselves.
                let slice = body.next().await?;
                if let Some(mut message) = self.session.message() {
                    let bad = |_| io::Error::other("the message holds a bare CR, LF or NUL");
                    if slice.is_empty() {
                        message.finish(&mut self.out).map_err(bad)?;
                    } else {
                        message.write(&slice, &mut self.out).map_err(bad)?;
                        message.pause();
                    }
                }
            }
            self.wait().await?;
        }
    }

    /// Lets the session offer itself again after a step that was not taken.
    async fn settle(&mut self) -> io::Result<()> {
        while let Some(event) =
            self.session.receive(self.start.elapsed(), &mut &self.buffer[..0], &mut self.out)
        {
            if let Event::Ready(offer) = event {
                offer.idle();
                break;
            }
        }
        Ok(())
    }

    /// Ends the session in order.
    pub async fn quit(mut self) {
        if let Some(ready) = self.session.resume() {
            ready.quit(&mut self.out);
            self.wire.finish(&mut self.out).await;
        }
    }

    /// Whether a transaction can be sent.
    pub fn is_open(&self) -> bool {
        self.session.closed().is_none()
    }

    /// Writes and reads, whichever can go on, until something has moved or time is up.
    async fn wait(&mut self) -> io::Result<()> {
        tokio::select! {
            biased;
            () = until(self.start, self.session.poll_timeout()) => {
                self.session.handle_timeout(self.start.elapsed(), &mut self.out);
            }
            moved = self.wire.exchange(&mut self.buffer, &mut self.out) => if moved? { self.session.handle_eof() },
        }
        Ok(())
    }
}

enum Attempted {
    Network(String),
    Refused(Reply),
    Handshake(io::Error),
}

impl From<io::Error> for Attempted {
    fn from(error: io::Error) -> Self {
        Self::Network(error.to_string())
    }
}

impl From<Attempted> for NoConnection {
    fn from(attempted: Attempted) -> Self {
        match attempted {
            Attempted::Network(why) => Self::Network(why),
            Attempted::Refused(reply) => Self::Refused(reply),
            Attempted::Handshake(error) => Self::Network(format!("no TLS: {error}")),
        }
    }
}

/// RFC 5321 §4.5.3.2.1 has five minutes for the greeting; a connection itself takes far less.
const CONNECT: Duration = Duration::from_secs(30);
