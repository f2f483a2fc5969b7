//! The client's side: sending over SMTP, collecting over POP3 and reading over IMAP.

pub mod imap;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use pop3_codec::client as pop3;
use pop3_codec::command::UserName;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use smtp_codec::client::{self as smtp, Envelope, Outcome};
use smtp_codec::extension::Mechanism;
use smtp_codec::{Domain, Reply};
use thiserror::Error;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::auth::Password;
use crate::tls;
use crate::wire::{HIGH_WATER, Wire, until};

/// A server, and how to reach it.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Whether TLS begins with the first octet; otherwise it is asked for.
    pub implicit_tls: bool,
    /// The name that its certificate is for.
    pub name: ServerName<'static>,
    /// The certificates that are trusted.
    pub tls: Arc<ClientConfig>,
}

/// A name and a password.
#[derive(Debug)]
pub struct Credentials {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Password,
}

/// What a server said to a message.
#[derive(Debug, Default)]
pub struct Sent {
    /// To each recipient, as far as it came to that.
    pub recipients: Vec<Reply>,
    /// To the whole.
    pub outcome: Option<Outcome>,
}

/// A message that was collected.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Collected {
    /// What identifies it in every session.
    pub unique_id: String,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// Why a session has come to nothing.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server said no.
    #[error("the server says {0}")]
    Refused(String),
    /// The server does not offer what is needed.
    #[error("the server does not offer {0}")]
    NotOffered(&'static str),
    /// The session ended before its purpose was met.
    #[error("the session ended early: {0}")]
    Ended(String),
    /// The server may have taken the message, or not.
    #[error("the connection was lost behind the message: nobody knows whether it was taken")]
    InDoubt,
}

impl Credentials {
    /// `[authzid] NUL authcid NUL passwd` ([RFC 4616 §2](https://www.rfc-editor.org/rfc/rfc4616#section-2))
    pub fn plain(&self) -> Vec<u8> {
        [b"\0", self.name.as_bytes(), b"\0", self.password.expose().as_bytes()].concat()
    }
}

impl Server {
    /// Trusts one certificate and no other.
    pub fn trusting(certificate: &CertificateDer<'static>) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone())?;
        let config = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    async fn connect(&self) -> io::Result<Wire> {
        let mut wire: Wire = Wire::Plain(Box::new(TcpStream::connect(self.address).await?));
        if self.implicit_tls {
            wire.connect_tls(&self.tls, self.name.clone()).await?;
        }
        Ok(wire)
    }

    /// Sends a message, always under TLS, after a login if there is one to use.
    pub async fn send(
        &self,
        client: Domain<'static>,
        login: Option<&Credentials>,
        envelope: Envelope,
        message: &[u8],
    ) -> Result<Sent, ClientError> {
        let mut wire = self.connect().await?;
        let (mut buffer, mut out, start) = (BytesMut::new(), BytesMut::new(), Instant::now());
        let mut config = smtp::ClientConfig::new(client);
        if self.implicit_tls {
            config = config.implicit_tls();
        }
        let mut session = smtp::ClientSession::new(config, start.elapsed(), &mut out);
        let (mut login, mut envelope, mut sent) = (login, Some(envelope), Sent::default());
        loop {
            let mut input = &buffer[..];
            while let Some(event) = session.receive(start.elapsed(), &mut input, &mut out) {
                match event {
                    smtp::Event::Ready(ready) if !ready.is_tls() => {
                        ready.starttls(&mut out).map_err(|_| ClientError::NotOffered("STARTTLS"))?;
                    }
                    smtp::Event::Ready(ready) => match (login.take(), envelope.take()) {
                        (Some(credentials), kept) => {
                            envelope = kept;
                            ready
                                .auth(Mechanism::PLAIN, Some(&credentials.plain()), &mut out)
                                .map_err(|_| ClientError::NotOffered("AUTH PLAIN"))?;
                        }
                        (None, Some(envelope)) => {
                            ready
                                .mail(envelope, &mut out)
                                .map_err(|error| ClientError::Refused(error.to_string()))?;
                        }
                        (None, None) => ready.quit(&mut out),
                    },
                    smtp::Event::Rejected(reply)
                    | smtp::Event::TlsRefused(reply)
                    | smtp::Event::LoginFailed(reply) => {
                        return Err(ClientError::Refused(shown(&reply)));
                    }
                    smtp::Event::Recipient { reply, .. } => sent.recipients.push(reply),
                    smtp::Event::Message(mut body) => {
                        let bad = |_| {
                            ClientError::Refused("nothing: the message holds a bare CR, LF or NUL".to_owned())
                        };
                        for piece in message.chunks(HIGH_WATER) {
                            body.write(piece, &mut out).map_err(bad)?;
                            wire.send(&mut out).await?;
                        }
                        body.finish(&mut out).map_err(bad)?;
                    }
                    smtp::Event::Done(outcome) => sent.outcome = Some(outcome),
                    _ => {}
                }
            }
            let used = buffer.len() - input.len();
            buffer.advance(used);
            wire.send(&mut out).await?;
            if let Some(reason) = session.closed() {
                return match sent.outcome {
                    Some(_) => Ok(sent),
                    None if session.is_in_doubt() => Err(ClientError::InDoubt),
                    None => Err(ClientError::Ended(format!("{reason:?}"))),
                };
            }
            if session.wants_tls() {
                wire.connect_tls(&self.tls, self.name.clone()).await?;
                session.handle_tls_started(start.elapsed());
                continue;
            }
            tokio::select! {
                biased;
                () = until(start, session.poll_timeout()) => session.handle_timeout(start.elapsed(), &mut out),
                read = wire.read(&mut buffer) => if read? == 0 { session.handle_eof() },
            }
        }
    }

    /// Collects all messages, always under TLS, and leaves them where they are.
    pub async fn collect(&self, login: &Credentials) -> Result<Vec<Collected>, ClientError> {
        let bad = |_| ClientError::Refused("nothing: name or password cannot be sent over POP3".to_owned());
        let user = UserName::new(&login.name).map_err(bad)?;
        let password = pop3_codec::command::Password::new(login.password.expose()).map_err(bad)?;
        let mut wire = self.connect().await?;
        let (mut buffer, mut out, start) = (BytesMut::new(), BytesMut::new(), Instant::now());
        let mut config = pop3::ClientConfig::new();
        if self.implicit_tls {
            config = config.implicit_tls();
        }
        let mut session = pop3::ClientSession::new(config, start.elapsed(), &mut out);
        let (mut collected, mut listed, mut next) = (Vec::<Collected>::new(), false, 0);
        loop {
            let mut input = &buffer[..];
            while let Some(event) = session.receive(start.elapsed(), &mut input, &mut out) {
                match event {
                    pop3::Event::Login(login) if !login.is_tls() => login.stls(&mut out),
                    pop3::Event::Login(login) => login.user(user, &mut out),
                    pop3::Event::Password(wanted) => wanted.pass(password, &mut out),
                    pop3::Event::Mailbox(mut mailbox) if !listed => {
                        listed = true;
                        mailbox
                            .uidl(None, &mut out)
                            .map_err(|_| ClientError::NotOffered("room for a command"))?;
                    }
                    pop3::Event::UniqueId { id, .. } => {
                        collected.push(Collected { unique_id: id.as_str().to_owned(), octets: Vec::new() });
                    }
                    pop3::Event::Mailbox(mut mailbox) if next < collected.len() => {
                        next += 1;
                        let number = u32::try_from(next).unwrap_or(u32::MAX);
                        mailbox
                            .retr(number, &mut out)
                            .map_err(|_| ClientError::NotOffered("room for a command"))?;
                    }
                    pop3::Event::Mailbox(mailbox) => mailbox.quit(&mut out),
                    pop3::Event::Chunk(octets) => {
                        if let Some(message) = collected.get_mut(next - 1) {
                            message.octets.extend_from_slice(octets);
                        }
                    }
                    pop3::Event::Refused { reply, .. } => {
                        return Err(ClientError::Refused(format!("{reply:?}")));
                    }
                    _ => {}
                }
            }
            let used = buffer.len() - input.len();
            buffer.advance(used);
            wire.send(&mut out).await?;
            match session.closed() {
                Some(pop3::Reason::Quit) => return Ok(collected),
                Some(reason) => return Err(ClientError::Ended(format!("{reason:?}"))),
                None => {}
            }
            if session.wants_tls() {
                wire.connect_tls(&self.tls, self.name.clone()).await?;
                session.handle_tls_started(start.elapsed());
                continue;
            }
            tokio::select! {
                biased;
                () = until(start, session.poll_timeout()) => session.handle_timeout(start.elapsed(), &mut out),
                read = wire.read(&mut buffer) => if read? == 0 { session.handle_eof() },
            }
        }
    }
}

/// A reply as a person reads it.
pub fn shown(reply: &Reply) -> String {
    let mut wire = BytesMut::new();
    reply.encode(&mut wire);
    String::from_utf8_lossy(&wire).trim_end().replace("\r\n", " / ")
}
