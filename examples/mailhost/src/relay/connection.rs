//! A connection to another host: opened, used for some transactions, closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use smtp_codec::client::{
    ClientConfig as SmtpConfig, ClientSession, Envelope, Event, Outcome, Reason, Stage, Timer,
};
use smtp_codec::extension::Mechanism;
use smtp_codec::{Domain, Reply};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{self, Instant};

use crate::client::{Credentials, shown};
use crate::planted::Bug;
use crate::system::{Stream, System};
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

/// How connections come about.
pub trait Dial: Sync {
    /// What octets are written to and read from.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin;

    /// Connects. It is given up after half a minute.
    fn dial(&self, address: SocketAddr) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl<S: System + ?Sized> Dial for S {
    type Stream = Stream;

    async fn dial(&self, address: SocketAddr) -> io::Result<Stream> {
        self.connect(address).await
    }
}

/// A session that waits for a transaction.
#[derive(Debug)]
pub struct Connection<S = Stream> {
    wire: Wire<S>,
    session: ClientSession,
    buffer: BytesMut,
    out: BytesMut,
    start: Instant,
    tls: Tls,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tls {
    Off,
    /// Asked for, and not yet proven by a reply within it.
    Beginning,
    On,
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
    /// It takes no message like this, and was not asked.
    Unsendable(String),
    /// The connection was lost before the end of the message.
    Lost(String),
    /// The connection was lost behind the end of the message: nobody knows.
    InDoubt(String),
    /// The message could not be read to its end. The connection has to go.
    Unreadable(String),
}

/// Where the octets of a message come from.
pub trait Body {
    /// The next octets; empty at the end.
    fn next(&mut self) -> impl Future<Output = io::Result<Bytes>> + Send;
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Connection<S> {
    /// Connects, greets, starts TLS and logs in, as far as that is to be had.
    pub async fn open(
        dial: &impl Dial<Stream = S>,
        client: &Domain<'static>,
        peer: &Peer,
        security: &Security,
    ) -> Result<Self, NoConnection> {
        match Self::try_open(dial, client, peer, security, true).await {
            Err(Attempted::Handshake(error)) if security.opportunistic => {
                // RFC 7435 §3: what cannot be had encrypted goes in the clear, as it always did. Not on the same connection:
                // what was said on it is of no worth.
                tracing::info!(peer = peer.name, error, "no TLS with this host, going on without");
                Self::try_open(dial, client, peer, security, false).await.map_err(NoConnection::from)
            }
            result => result.map_err(NoConnection::from),
        }
    }

    async fn try_open(
        dial: &impl Dial<Stream = S>,
        client: &Domain<'static>,
        peer: &Peer,
        security: &Security,
        want_tls: bool,
    ) -> Result<Self, Attempted> {
        let connect = time::timeout(CONNECT, dial.dial(peer.address)).await;
        let stream = connect.map_err(|_| io::Error::from(io::ErrorKind::TimedOut)).flatten()?;
        let (mut out, start) = (BytesMut::new(), Instant::now());
        let mut config = SmtpConfig::new(client.clone());
        if security.opportunistic && security.login.is_some() {
            config = config.plaintext_auth();
        }
        let session = ClientSession::new(config, start.elapsed(), &mut out);
        let (wire, buffer) = (Wire::Plain(stream), BytesMut::new());
        let mut this = Self { wire, session, buffer, out, start, tls: Tls::Off };
        match this.introduce(peer, security, want_tls).await {
            Ok(()) => Ok(this),
            // Octets behind the reply to STARTTLS, a handshake that fails, a server that is gone behind it: in all of
            // these TLS was offered and is not to be had.
            Err(Attempted::Network(why)) if this.tls == Tls::Beginning => Err(Attempted::Handshake(why)),
            Err(why) => Err(why),
        }
    }

    /// Goes on until a transaction can begin.
    async fn introduce(
        &mut self,
        peer: &Peer,
        security: &Security,
        mut want_tls: bool,
    ) -> Result<(), Attempted> {
        let mut login = security.login.clone();
        loop {
            let mut input = &self.buffer[..];
            let mut refused = None;
            let mut ready = false;
            while let Some(event) = self.session.receive(self.start.elapsed(), &mut input, &mut self.out) {
                match event {
                    Event::Ready(offer) if refused.is_some() => offer.quit(&mut self.out),
                    Event::Ready(offer) if want_tls && !offer.is_tls() && offer.capabilities().starttls() => {
                        let _ = offer.starttls(&mut self.out);
                        self.tls = Tls::Beginning;
                    }
                    Event::Ready(offer) if !offer.is_tls() && !security.opportunistic => {
                        offer.quit(&mut self.out);
                        refused = Some(Attempted::Network("the server does not offer STARTTLS".to_owned()));
                    }
                    Event::Ready(offer) => {
                        self.tls = if offer.is_tls() { Tls::On } else { Tls::Off };
                        match login.take() {
                            Some(credentials) => {
                                let response = credentials.plain();
                                if offer.auth(Mechanism::PLAIN, Some(&response), &mut self.out).is_err() {
                                    let why = "the server does not offer AUTH PLAIN".to_owned();
                                    refused = Some(Attempted::Network(why));
                                }
                            }
                            None => {
                                offer.idle();
                                ready = true;
                            }
                        }
                    }
                    Event::TlsRefused(reply) if security.opportunistic && reply.code() != 421 => {
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
            }
            let used = self.buffer.len() - input.len();
            self.buffer.advance(used);
            if let Some(why) = refused {
                let _ = self.wire.send(&mut self.out).await;
                return Err(why);
            }
            if let Some(reason) = self.session.closed() {
                return Err(Attempted::Network(told(reason)));
            }
            if ready {
                return Ok(());
            }
            if self.session.wants_tls() {
                self.wire.send(&mut self.out).await?;
                self.start_tls(peer, security).await?;
                continue;
            }
            self.wait().await?;
        }
    }

    async fn start_tls(&mut self, peer: &Peer, security: &Security) -> io::Result<()> {
        let name = ServerName::try_from(peer.name.clone())
            .unwrap_or_else(|_| ServerName::IpAddress(peer.address.ip().into()));
        self.wire.connect_tls(&security.tls, name).await?;
        self.session.handle_tls_started(self.start.elapsed());
        Ok(())
    }

    /// Whether the connection is under TLS.
    pub fn is_tls(&self) -> bool {
        self.tls == Tls::On
    }

    /// Sends one message. Afterwards the connection waits for the next, unless it says that it was lost.
    pub async fn send(&mut self, envelope: Envelope, body: &mut impl Body) -> Transaction {
        let mut recipients = Vec::new();
        let end = self.try_send(envelope, body, &mut recipients).await;
        Transaction { recipients, end }
    }

    async fn try_send(
        &mut self,
        envelope: Envelope,
        body: &mut impl Body,
        recipients: &mut Vec<Reply>,
    ) -> End {
        let Some(ready) = self.session.resume() else {
            return End::Lost(self.session.closed().map_or_else(String::new, told));
        };
        if let Err(error) = ready.mail(envelope, &mut self.out) {
            self.settle();
            return End::Unsendable(error.to_string());
        }
        let (mut end, mut failed) = (None, None);
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
            }
            let used = self.buffer.len() - input.len();
            self.buffer.advance(used);
            if ready && let Some(end) = end {
                return end;
            }
            if let Some(reason) = self.session.closed() {
                let why = failed.unwrap_or_else(|| told(reason));
                return match end {
                    Some(end) => end,
                    // What is still here the server has not seen: it cannot have taken the message.
                    None if self.session.is_in_doubt()
                        && self.out.is_empty()
                        && !Bug::DoubtForgotten.is_planted() =>
                    {
                        End::InDoubt(why)
                    }
                    None => End::Lost(why),
                };
            }
            if self.out.is_empty() && self.session.message().is_some() {
                let slice = match body.next().await {
                    Ok(slice) => slice,
                    Err(error) => {
                        self.session.handle_eof();
                        return End::Unreadable(error.to_string());
                    }
                };
                if let Some(mut message) = self.session.message() {
                    let written = if slice.is_empty() {
                        message.finish(&mut self.out)
                    } else {
                        message.write(&slice, &mut self.out).map(|()| message.pause())
                    };
                    if written.is_err() {
                        self.session.handle_eof();
                        let why = "the message holds a bare CR, a bare LF or NUL";
                        return End::Unreadable(why.to_owned());
                    }
                }
            }
            if let Err(error) = self.wait().await {
                failed = Some(error.to_string());
                self.session.handle_eof();
            }
        }
    }

    /// Lets the session offer itself again after a step that was not taken.
    fn settle(&mut self) {
        while let Some(event) =
            self.session.receive(self.start.elapsed(), &mut &self.buffer[..0], &mut self.out)
        {
            if let Event::Ready(offer) = event {
                offer.idle();
                break;
            }
        }
    }

    /// Ends the session in order.
    pub async fn quit(mut self) {
        if let Some(ready) = self.session.resume() {
            ready.quit(&mut self.out);
            // Deviates from RFC 5321 §4.1.1.10: the 221 is not waited for, since nothing depends on it. So does Postfix.
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
    Handshake(String),
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

/// Why a session has ended, for people: a sender may read it in a report.
fn told(reason: Reason) -> String {
    let text = match reason {
        Reason::Eof | Reason::Quit => "the host closed the connection",
        Reason::Timeout(Timer::Greeting) => "the host did not greet in time",
        Reason::Timeout(Timer::DataBlock) => "the host did not read the message in time",
        Reason::Timeout(_) => "the host did not answer in time",
        Reason::Garbled(error) => return format!("the host did not answer in SMTP: {error}"),
        Reason::PlaintextBehindStartTls => "the host went on in the clear behind its reply to STARTTLS",
        Reason::ServerStopping => "the host ended the session",
        _ => "the session ended",
    };
    text.to_owned()
}

/// RFC 5321 §4.5.3.2.1 has five minutes for the greeting; a connection itself takes far less.
const CONNECT: Duration = Duration::from_secs(30);
