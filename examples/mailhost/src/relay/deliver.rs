//! One attempt: a connection to a site, and what goes over it.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mailstore::message::Extent;
use relay_queue::queue::{Delivery, Standing, View};
use relay_queue::{Answer, Attempt, Ending, MessageId, Outcome, Status};
use smtp_codec::client::Envelope;
use smtp_codec::command::Body as BodyType;
use smtp_codec::{ForwardPath, Mailbox, Reply, ReversePath};
use tokio::time::timeout;
use tracing::info;

use super::connection::{Body, Connection, End, NoConnection, Peer, Transaction};
use super::{Hop, Relay, key, log_id};
use crate::listener::Stopping;
use crate::planted::Bug;

impl Relay {
    /// Carries an attempt out and hands it back.
    pub(super) async fn attempt(self: Arc<Self>, mut attempt: Attempt, mut stopping: Stopping) {
        let connected = tokio::select! {
            biased;
            // Nothing is under way yet; it is due again at the next start.
            () = stopping.requested() => return,
            connected = self.connect_for(&attempt) => connected,
        };
        let ending = match connected {
            Ok((connection, hop)) => self.use_up(connection, &hop, &mut attempt, &stopping).await,
            Err(answer) => Ending::Unreachable(answer),
        };
        self.queue().handle_outcome(self.unix_now(), attempt, ending);
        self.wake.notify_one();
    }

    async fn connect_for(&self, attempt: &Attempt) -> Result<(Connection, Hop), Answer> {
        let mut connected = self.connect(attempt).await;
        while connected.is_err() && Bug::ExpiryUnchecked.is_planted() {
            self.queue().renew(self.unix_now(), attempt);
            tokio::time::sleep(Duration::from_secs(600)).await;
            connected = self.connect(attempt).await;
        }
        connected
    }

    /// Tries the hosts in their order, and each of their addresses.
    async fn connect(&self, attempt: &Attempt) -> Result<(Connection, Hop), Answer> {
        let id = attempt.delivery().map(|delivery| log_id(delivery.body)).unwrap_or_default();
        let mut answer =
            Answer::local(Status::new(4, 4, 4), "nothing is known of the hosts, they are looked up again");
        let mut tried = 0;
        for hop in self.hops(attempt.site()) {
            for address in &hop.addresses {
                tried += 1;
                if tried > ADDRESSES {
                    return Err(answer);
                }
                let address = SocketAddr::new(*address, hop.port);
                let peer = Peer { address, name: hop.name.clone() };
                match Connection::open(self.store.system(), &self.hostname, &peer, self.security(&hop)).await
                {
                    Ok(connection) => {
                        info!(id, host = hop.name, %address, tls = connection.is_tls(), "connected");
                        return Ok((connection, hop));
                    }
                    Err(NoConnection::Network(why)) => {
                        info!(id, host = hop.name, %address, why, "no connection");
                        answer =
                            Answer::local(Status::new(4, 4, 1), &format!("{address}: {why}")).by(&hop.name);
                    }
                    Err(NoConnection::Refused(reply)) => {
                        info!(id, host = hop.name, %address, reply = said(&reply).to_string(), "connection refused");
                        answer = said(&reply).by(&hop.name);
                    }
                }
            }
        }
        Err(answer)
    }

    /// Sends one message after the other, as long as the queue has any for this connection.
    async fn use_up(
        &self,
        mut connection: Connection,
        hop: &Hop,
        attempt: &mut Attempt,
        stopping: &Stopping,
    ) -> Ending {
        let mut before = None;
        while let Some(delivery) = attempt.delivery() {
            let (envelope, mut body) = match self.prepare(delivery, before.take()).await {
                Ok(prepared) => prepared,
                Err(why) => {
                    let answer = Answer::local(Status::new(4, 3, 0), &why);
                    attempt.settle_rest(&Outcome::Deferred(answer));
                    if self.next_delivery(attempt) {
                        continue;
                    }
                    break;
                }
            };
            before = Some(delivery.message);
            let transaction = connection.send(envelope, &mut body).await;
            let broken = settle(attempt, &transaction, hop);
            if let Some(answer) = broken {
                return Ending::Broken(answer);
            }
            if !connection.is_open() {
                return Ending::Broken(
                    Answer::local(Status::new(4, 4, 2), "the host has ended the session").by(&hop.name),
                );
            }
            if stopping.is_requested() || !self.next_delivery(attempt) {
                break;
            }
        }
        connection.quit().await;
        Ending::Closed
    }

    /// Hands in what has come of one message, and takes the next one for the same connection.
    fn next_delivery(&self, attempt: &mut Attempt) -> bool {
        let more = self.queue().next_delivery(self.unix_now(), attempt);
        // What was delivered is written down at once: a host that is killed now would send it again.
        self.wake.notify_one();
        more
    }

    async fn prepare(
        &self,
        delivery: &Delivery,
        before: Option<MessageId>,
    ) -> Result<(Envelope, Stored<'_>), String> {
        let from = match &delivery.from {
            None => ReversePath::Null,
            Some(address) => ReversePath::Mailbox(
                Mailbox::parse(address.as_str()).map_err(|error| error.to_string())?.into_owned(),
            ),
        };
        let mut envelope = Envelope::new(from).size(delivery.size).body(BodyType::EightBitMime);
        for recipient in &delivery.recipients {
            let mailbox = Mailbox::parse(recipient.address().as_str()).map_err(|error| error.to_string())?;
            envelope = envelope.to(ForwardPath::Mailbox(mailbox.into_owned()));
        }
        let extent = self.store.held(super::BODIES, key(delivery.body)).await;
        let extent = extent.ok_or("the message is not in the store any more")?;
        Ok((envelope, Stored { relay: self, extent, at: 0, before }))
    }

    /// Waits until what came of a message is durable.
    async fn saved(&self, message: MessageId) -> io::Result<()> {
        let saved = async {
            loop {
                let mut again = pin!(self.saved.notified());
                again.as_mut().enable();
                let saving = |view: View<'_>| {
                    view.recipients().any(|recipient| recipient.standing == Standing::Saving)
                };
                if !self.queue().show(message).is_some_and(saving) {
                    return;
                }
                again.await;
            }
        };
        timeout(SAVING, saved)
            .await
            .map_err(|_| io::Error::other("the disk does not keep what was delivered"))
    }
}

/// Tells the queue what came of each recipient; why the connection is of no more use, if so.
fn settle(attempt: &mut Attempt, transaction: &Transaction, hop: &Hop) -> Option<Answer> {
    for (index, reply) in transaction.recipients.iter().enumerate() {
        if reply.is_negative() {
            report(attempt, Some(index), hop, reply);
            attempt.settle(index, Outcome::of(said(reply).by(&hop.name)));
        }
    }
    match &transaction.end {
        End::Taken(_) if Bug::SentAgain.is_planted() => {
            Some(Answer::local(Status::new(4, 4, 2), "the connection was lost").by(&hop.name))
        }
        End::Taken(reply) | End::Refused(_, reply) => {
            report(attempt, None, hop, reply);
            attempt.settle_rest(&Outcome::of(said(reply).by(&hop.name)));
            None
        }
        End::Lost(why) => Some(Answer::local(Status::new(4, 4, 2), why).by(&hop.name)),
        End::InDoubt(why) => {
            let why = format!("{why}, behind the end of the message: it may arrive twice");
            let answer = Answer::local(Status::new(4, 4, 2), &why).by(&hop.name);
            attempt.settle_rest(&Outcome::Unknown(answer.clone()));
            Some(answer)
        }
    }
}

fn report(attempt: &Attempt, recipient: Option<usize>, hop: &Hop, reply: &Reply) {
    let Some(delivery) = attempt.delivery() else { return };
    let id = log_id(delivery.body);
    let reply = said(reply).to_string();
    match recipient.and_then(|index| delivery.recipients.get(index)) {
        Some(recipient) => {
            info!(id, queue_id = %delivery.message, to = %recipient.address(), host = hop.name, reply, "recipient refused")
        }
        None => {
            let recipients = delivery.recipients.len();
            info!(id, queue_id = %delivery.message, recipients, host = hop.name, reply, "attempt");
        }
    }
}

fn said(reply: &Reply) -> Answer {
    let class = (reply.code() / 100) as u8;
    let status = reply.enhanced().map(|enhanced| Status::new(class, enhanced.subject, enhanced.detail));
    Answer::reply(reply.code(), status, reply.text())
}

/// A body in the store, read as it is sent.
struct Stored<'r> {
    relay: &'r Relay,
    extent: Extent,
    at: u64,
    /// What went over the same connection before. It has to be written down before this one is taken as well, so that a host
    /// that is killed sends no more than one message of each connection a second time.
    before: Option<MessageId>,
}

impl Body for Stored<'_> {
    async fn next(&mut self) -> io::Result<Bytes> {
        let length = (self.extent.length - self.at).min(SLICE);
        if length == 0 {
            if let Some(before) = self.before.take() {
                self.relay.saved(before).await?;
            }
            return Ok(Bytes::new());
        }
        let slice =
            self.relay.store.read(Extent { at: self.extent.at + self.at, length, ..self.extent }).await?;
        self.at += length;
        Ok(slice)
    }
}

/// RFC 5321 §5.1 wants at least two addresses tried; Postfix stops as well.
const ADDRESSES: usize = 20;
const SLICE: u64 = 32 << 10;
/// How long a disk may take to keep what was delivered, before no more is sent.
const SAVING: Duration = Duration::from_secs(60);
