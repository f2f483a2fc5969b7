//! A connection to another host: opened, used for some transactions, closed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use sasl_codec::ChannelBinding;
use smtp_codec::client::{
    ClientConfig as SmtpConfig, ClientSession, Envelope, Event, Outcome, Ready, Reason, Stage, Timer,
};
use smtp_codec::extension::{Capabilities, Mechanism};
use smtp_codec::{Domain, Reply};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{self, Instant};

use crate::client::auth::{Exchange, Way, Ways};
use crate::client::{ClientError, Credentials, Encryption, shown};
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
    /// For TLS.
    pub tls: Arc<ClientConfig>,
    /// When TLS begins. Where it need not, a login may go in the clear: no configuration of a host has both, but users of
    /// `mailhost client` and in simulations do.
    pub encryption: Encryption,
    /// The login, if one is wanted.
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
        let ask = matches!(security.encryption, Encryption::Required | Encryption::Opportunistic);
        match Self::try_open(dial, client, peer, security, ask).await {
            Err(Attempted::Handshake(error)) if security.encryption == Encryption::Opportunistic => {
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
        let mut wire = Wire::Plain(stream);
        let mut config = SmtpConfig::new(client.clone());
        let mut tls = Tls::Off;
        match security.encryption {
            Encryption::Implicit => {
                let handshake = wire.connect_tls(&security.tls, server_name(peer)).await;
                handshake.map_err(|error| Attempted::Handshake(error.to_string()))?;
                (config, tls) = (config.implicit_tls(), Tls::On);
            }
            Encryption::Opportunistic | Encryption::Off if security.login.is_some() => {
                config = config.plaintext_auth();
            }
            _ => {}
        }
        let (mut out, start) = (BytesMut::new(), Instant::now());
        let session = ClientSession::new(config, start.elapsed(), &mut out);
        let mut this = Self { wire, session, buffer: BytesMut::new(), out, start, tls };
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
        let login = security.login.clone();
        let mut ways = login.as_deref().map(Ways::new);
        let (mut exchange, mut denied) = (None, None);
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
                    Event::Ready(offer) if !offer.is_tls() && security.encryption == Encryption::Required => {
                        offer.quit(&mut self.out);
                        refused = Some(Attempted::Network("the server does not offer STARTTLS".to_owned()));
                    }
                    Event::Ready(offer) => {
                        self.tls = if offer.is_tls() { Tls::On } else { Tls::Off };
                        let Some(ways) = &mut ways else {
                            offer.idle();
                            ready = true;
                            continue;
                        };
                        match next_login(ways, &offer, self.wire.exported()) {
                            Ok(Some((mut way, mechanism))) => {
                                // What the line has no room for is asked for.
                                let initial = way.initial().filter(|initial| initial.len() <= MAX_INITIAL);
                                match offer.auth(
                                    mechanism,
                                    initial.as_ref().map(|octets| &octets[..]),
                                    &mut self.out,
                                ) {
                                    Ok(()) => exchange = Some(way),
                                    Err(error) => refused = Some(Attempted::Network(error.to_string())),
                                }
                            }
                            Ok(None) => {
                                offer.quit(&mut self.out);
                                let why = "the server offers no way to log in that is known here";
                                let none = || Attempted::Network(why.to_owned());
                                refused = Some(denied.take().map_or_else(none, Attempted::Refused));
                            }
                            Err(error) => refused = Some(Attempted::Network(error.to_string())),
                        }
                    }
                    Event::Challenge(challenge) => {
                        match exchange.as_mut().and_then(|exchange| exchange.answer(challenge.data())) {
                            Some(answer) => challenge.respond(&answer, &mut self.out),
                            None => challenge.cancel(&mut self.out),
                        }
                    }
                    Event::LoggedIn(_) => {
                        ways = None;
                        let proven = exchange.take().map_or(Ok(true), |mut exchange| exchange.finish(true));
                        if let Err(error) = proven {
                            refused = Some(Attempted::Network(error.to_string()));
                        }
                    }
                    Event::LoginFailed(reply) => {
                        let known = exchange.take().map_or(Ok(false), |mut exchange| exchange.finish(false));
                        if let Err(error) = known {
                            refused = Some(Attempted::Network(error.to_string()));
                        }
                        denied = Some(reply);
                    }
                    Event::TlsRefused(reply)
                        if security.encryption == Encryption::Opportunistic && reply.code() != 421 =>
                    {
                        tracing::info!(
                            peer = peer.name,
                            reply = shown(&reply),
                            "no TLS with this host, going on without"
                        );
                        want_tls = false;
                    }
                    Event::Rejected(reply) | Event::TlsRefused(reply) => {
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
                // A host that ends the session over a login has said why.
                let lost = || Attempted::Network(told(reason));
                return Err(denied.map_or_else(lost, Attempted::Refused));
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
        self.wire.connect_tls(&security.tls, server_name(peer)).await?;
        self.session.handle_tls_started(self.start.elapsed());
        Ok(())
    }

    /// Whether the connection is under TLS.
    pub fn is_tls(&self) -> bool {
        self.tls == Tls::On
    }

    /// What the server announces.
    pub fn capabilities(&self) -> &Capabilities {
        self.session.capabilities()
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

/// The next way to log in, and its name.
fn next_login(
    ways: &mut Ways<'_>,
    offer: &Ready<'_>,
    channel: Option<ChannelBinding>,
) -> Result<Option<(Box<Exchange>, Mechanism)>, ClientError> {
    let offered = offer.capabilities().mechanisms();
    let way = ways.next(offered.iter().map(Mechanism::as_str), false, offer.is_tls(), channel)?;
    let Some(Way::Exchange(exchange)) = way else { return Ok(None) };
    let mechanism =
        Mechanism::parse(exchange.mechanism().as_bytes()).expect("one of those that were offered");
    Ok(Some((exchange, mechanism)))
}

fn server_name(peer: &Peer) -> ServerName<'static> {
    ServerName::try_from(peer.name.clone())
        .unwrap_or_else(|_| ServerName::IpAddress(peer.address.ip().into()))
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
/// What fits into the line of AUTH in base64, whichever the mechanism: RFC 4954 §4 has it under the 512 octets of a command.
const MAX_INITIAL: usize = 350;
