//! Sending over SMTP: the relay's connection, used by a person.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use smtp_codec::Domain;
use smtp_codec::client::{Envelope, Outcome};
use smtp_codec::extension::Capabilities;

use super::{ClientError, Credentials, Sent, Server, shown};
use crate::logs::Safe;
use crate::relay::connection::{Body, Connection, End, NoConnection, Peer, Security};
use crate::wire::HIGH_WATER;

/// A session behind its login.
#[derive(Debug)]
pub struct Smtp(Connection);

impl Smtp {
    /// Connects, starts TLS and logs in, as far as that is wanted.
    pub async fn open(
        server: &Server,
        client: &Domain<'static>,
        login: Option<Arc<Credentials>>,
    ) -> Result<Self, ClientError> {
        server.may_log_in(login.as_deref())?;
        let address = *server.addresses.first().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let peer = Peer { address, name: server.host() };
        let with_login = login.is_some();
        let security = Security { tls: Arc::clone(&server.tls), encryption: server.encryption, login };
        match Connection::open(server, client, &peer, &security).await {
            Ok(connection) => Ok(Self(connection)),
            Err(NoConnection::Network(why)) => {
                let advice = server.advice(&why);
                Err(ClientError::Ended(format!("{}{advice}", Safe(why))))
            }
            // RFC 4954 §4 and §6: what answers a login that fails.
            Err(NoConnection::Refused(reply))
                if with_login && matches!(reply.code(), 432 | 454 | 534..=538) =>
            {
                Err(ClientError::LoginRefused(Safe(shown(&reply)).to_string()))
            }
            Err(NoConnection::Refused(reply)) => Err(ClientError::refused(shown(&reply))),
        }
    }

    /// What the server announces.
    pub fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    /// Sends a message. What the server said is in `sent` as far as it came.
    pub async fn send(&mut self, envelope: Envelope, body: &mut impl Body) -> Result<Sent, ClientError> {
        let transaction = self.0.send(envelope, body).await;
        let outcome = match transaction.end {
            End::Taken(reply) => Outcome::Taken(reply),
            End::Refused(stage, reply) => Outcome::Refused { stage, reply },
            End::Unsendable(why) | End::Unreadable(why) => return Err(ClientError::Unsendable(why)),
            End::Lost(why) => return Err(ClientError::Ended(Safe(why).to_string())),
            End::InDoubt(_) => return Err(ClientError::InDoubt),
        };
        Ok(Sent { recipients: transaction.recipients, outcome: Some(outcome) })
    }

    /// Ends the session in order.
    pub async fn quit(self) {
        self.0.quit().await;
    }
}

/// A message that is in memory anyway.
struct Whole<'m>(&'m [u8]);

impl Body for Whole<'_> {
    async fn next(&mut self) -> io::Result<Bytes> {
        let (piece, rest) = self.0.split_at(self.0.len().min(HIGH_WATER));
        self.0 = rest;
        Ok(Bytes::copy_from_slice(piece))
    }
}

impl Server {
    /// Sends a message, after a login if there is one to use.
    pub async fn send(
        &self,
        client: Domain<'static>,
        login: Option<Arc<Credentials>>,
        envelope: Envelope,
        message: &[u8],
    ) -> Result<Sent, ClientError> {
        let mut smtp = Smtp::open(self, &client, login).await?;
        let sent = smtp.send(envelope, &mut Whole(message)).await?;
        smtp.quit().await;
        Ok(sent)
    }
}
