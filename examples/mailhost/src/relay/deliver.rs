//! One attempt: connections to a site, and what goes over them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use relay_queue::queue::Delivery;
use relay_queue::{Answer, Attempt, Ending, MessageId, Outcome, Status};
use smtp_codec::client::Envelope;
use smtp_codec::command::Body as BodyType;
use smtp_codec::reply::Enhanced;
use smtp_codec::{Domain, ForwardPath, Mailbox, Reply, ReversePath};
use tracing::info;

use super::connection::{Body, Connection, Dial, End, NoConnection, Peer, Security, Transaction};
use super::{Hop, Relay, key, log_id};
use crate::listener::Stopping;
use crate::metrics::Tried;
use crate::planted::Bug;
use crate::store::Held;
use crate::system::Stream;

/// What an attempt needs of its host.
trait Means: Dial {
    type Body<'m>: Body + Send
    where
        Self: 'm;

    /// What we call ourselves.
    fn name(&self) -> &Domain<'static>;

    /// The hosts of a site, in the order in which they are to be tried.
    fn hops(&self, site: &str) -> Vec<Hop>;

    fn security(&self, hop: &Hop) -> Security;

    /// The message of a delivery, from its beginning. It does not end before it is durable what came of `before`, which
    /// went over the same connection: so a host that is killed sends no more than one message of each connection twice.
    fn body(
        &self,
        delivery: &Delivery,
        before: Option<MessageId>,
    ) -> impl Future<Output = Result<Self::Body<'_>, String>> + Send;

    /// Counts what came of an attempt.
    fn count(&self, _tried: Tried) {}

    /// [`Queue::next_delivery`](relay_queue::Queue::next_delivery).
    fn next_delivery(&self, attempt: &mut Attempt) -> bool;
}

impl Relay {
    /// Carries an attempt out and hands it back.
    pub(super) async fn attempt(self: Arc<Self>, mut attempt: Attempt, mut stopping: Stopping) {
        let mut ending = carry_out(&*self, &mut attempt, &mut stopping).await;
        while Bug::ExpiryUnchecked.is_planted() && matches!(ending, Some(Ending::Unreachable(_))) {
            self.queue().renew(self.unix_now(), &attempt);
            tokio::time::sleep(Duration::from_secs(600)).await;
            ending = carry_out(&*self, &mut attempt, &mut stopping).await;
        }
        // Without an ending nothing was under way yet, and it is due again at the next start.
        if let Some(ending) = ending {
            self.queue().handle_outcome(self.unix_now(), attempt, ending);
            self.wake.notify_one();
        }
    }
}

impl Dial for Relay {
    type Stream = Stream;

    async fn dial(&self, address: SocketAddr) -> io::Result<Stream> {
        self.store.system().connect(address).await
    }
}

impl Means for Relay {
    type Body<'m> = Stored<'m>;

    fn name(&self) -> &Domain<'static> {
        &self.hostname
    }

    fn hops(&self, site: &str) -> Vec<Hop> {
        self.hops(site)
    }

    fn security(&self, hop: &Hop) -> Security {
        self.security(hop)
    }

    async fn body(&self, delivery: &Delivery, before: Option<MessageId>) -> Result<Stored<'_>, String> {
        let body = self.store.held(super::BODIES, key(delivery.body)).await;
        let body = body.ok_or("the message is not in the store any more")?;
        Ok(Stored { relay: self, body, at: 0, before })
    }

    fn count(&self, tried: Tried) {
        self.tried.add(tried);
    }

    fn next_delivery(&self, attempt: &mut Attempt) -> bool {
        let more = self.queue().next_delivery(self.unix_now(), attempt);
        // What was delivered is written down at once: a host that is killed now would send it again.
        self.wake.notify_one();
        more
    }
}

/// A host that a session has been opened with.
struct Reached<S> {
    connection: Connection<S>,
    hop: Hop,
    /// Its place among the addresses of the site.
    place: usize,
}

/// Sends one message after the other, as long as the queue has any for this site. `None` if we stop before anything is under
/// way.
async fn carry_out<M: Means>(means: &M, attempt: &mut Attempt, stopping: &mut Stopping) -> Option<Ending> {
    let addresses = addresses(means.hops(attempt.site()));
    let id = attempt.delivery().map(|delivery| log_id(delivery.body)).unwrap_or_default();
    let connected = tokio::select! {
        biased;
        () = stopping.requested() => return None,
        connected = connect(means, &addresses, 0, &id) => connected,
    };
    let mut host = match connected {
        Ok(host) => host,
        Err(answer) => return Some(Ending::Unreachable(answer)),
    };
    let mut before = None;
    while let Some(message) = attempt.delivery().map(|delivery| delivery.message) {
        match deliver(means, attempt, &addresses, host, before.replace(message), stopping).await {
            Ok(next) => host = next,
            Err(ending) => return Some(ending),
        }
        if stopping.is_requested() || !means.next_delivery(attempt) {
            break;
        }
    }
    host.connection.quit().await;
    Some(Ending::Closed)
}

fn addresses(hops: Vec<Hop>) -> Vec<(SocketAddr, Hop)> {
    let of = |hop: Hop| {
        let addresses = hop.addresses.clone();
        addresses.into_iter().map(move |address| (SocketAddr::new(address, hop.port), hop.clone()))
    };
    hops.into_iter().flat_map(of).take(ADDRESSES).collect()
}

/// Tries the addresses in their order, from this place on.
async fn connect<M: Means>(
    means: &M,
    addresses: &[(SocketAddr, Hop)],
    from: usize,
    id: &str,
) -> Result<Reached<M::Stream>, Answer> {
    let mut answer =
        Answer::local(Status::new(4, 4, 4), "nothing is known of the hosts, they are looked up again");
    for (place, (address, hop)) in addresses.iter().enumerate().skip(from) {
        let peer = Peer { address: *address, name: hop.name.clone() };
        match Connection::open(means, means.name(), &peer, &means.security(hop)).await {
            Ok(connection) => {
                means.count(if connection.is_tls() { Tried::ConnectedTls } else { Tried::ConnectedPlain });
                info!(id, host = hop.name, %address, tls = connection.is_tls(), "connected");
                return Ok(Reached { connection, hop: hop.clone(), place });
            }
            Err(NoConnection::Network(why)) => {
                means.count(Tried::NoConnection);
                info!(id, host = hop.name, %address, why, "no connection");
                answer = here(Status::new(4, 4, 1), &format!("{address}: {why}")).by(&hop.name);
            }
            Err(NoConnection::Refused(reply)) => {
                means.count(Tried::Unwelcome);
                info!(id, host = hop.name, %address, reply = said(&reply).to_string(), "connection refused");
                answer = said(&reply).by(&hop.name);
            }
        }
    }
    Err(answer)
}

/// Sends one message, and tells the attempt what came of it. Gives the connection to be used for the next.
///
/// RFC 5321 §5.1: what a host did not take, and might on another day, is offered to the next address as well; but not what
/// it may have taken, and not what it has refused for good.
async fn deliver<M: Means>(
    means: &M,
    attempt: &mut Attempt,
    addresses: &[(SocketAddr, Hop)],
    mut host: Reached<M::Stream>,
    before: Option<MessageId>,
    stopping: &mut Stopping,
) -> Result<Reached<M::Stream>, Ending> {
    let Some(delivery) = attempt.delivery() else { return Ok(host) };
    let id = log_id(delivery.body);
    let mut open: Vec<usize> = (0..delivery.recipients.len()).collect();
    let mut broken = offer(means, attempt, &mut host, &mut open, before).await;
    if !open.is_empty() && !stopping.is_requested() {
        let next = tokio::select! {
            biased;
            () = stopping.requested() => None,
            next = connect(means, addresses, host.place + 1, &id) => next.ok(),
        };
        if let Some(mut next) = next {
            let lost = offer(means, attempt, &mut next, &mut open, before).await;
            if broken.is_some() {
                (host, broken) = (next, lost);
            } else if lost.is_none() {
                // The first one is to be preferred, and still there.
                next.connection.quit().await;
            }
        }
    }
    match broken {
        Some(ending) => Err(ending),
        None => Ok(host),
    }
}

/// Offers the message to one host. `open` names the recipients it is for, and then those that another host may be asked
/// for; how the connection has ended, if it has.
async fn offer<M: Means>(
    means: &M,
    attempt: &mut Attempt,
    host: &mut Reached<M::Stream>,
    open: &mut Vec<usize>,
    before: Option<MessageId>,
) -> Option<Ending> {
    let delivery = attempt.delivery()?;
    let message = match envelope(delivery, open) {
        Ok(envelope) => means.body(delivery, before).await.map(|body| (envelope, body)),
        Err(why) => Err(why),
    };
    let (envelope, mut body) = match message {
        Ok(message) => message,
        Err(why) => {
            attempt.settle_rest(&Outcome::Deferred(here(Status::new(4, 3, 0), &why)));
            open.clear();
            return None;
        }
    };
    let transaction = host.connection.send(envelope, &mut body).await;
    means.count(match &transaction.end {
        End::Taken(_) => Tried::Taken,
        End::Refused(..) => Tried::Refused,
        End::Lost(_) => Tried::Lost,
        End::InDoubt(_) => Tried::InDoubt,
        End::Unsendable(_) | End::Unreadable(_) => Tried::Unsendable,
    });
    let verdict = judge(&transaction, open.len(), &host.hop.name);
    log(delivery, open, &transaction, &host.hop);
    let mut left = Vec::new();
    for (index, outcome) in open.iter().zip(verdict.outcomes) {
        if matches!(outcome, None | Some(Outcome::Deferred(_))) && !verdict.ours {
            left.push(*index);
        }
        if let Some(outcome) = outcome {
            attempt.settle(*index, outcome);
        }
    }
    *open = left;
    if verdict.ending.is_none() && !host.connection.is_open() {
        let answer = Answer::local(Status::new(4, 4, 2), "the host has ended the session");
        return Some(Ending::Broken(answer.by(&host.hop.name)));
    }
    verdict.ending
}

fn envelope(delivery: &Delivery, recipients: &[usize]) -> Result<Envelope, String> {
    let from = match &delivery.from {
        None => ReversePath::Null,
        Some(address) => ReversePath::Mailbox(
            Mailbox::parse(address.as_str()).map_err(|error| error.to_string())?.into_owned(),
        ),
    };
    let mut envelope = Envelope::new(from).size(delivery.size).body(BodyType::EightBitMime);
    for recipient in recipients.iter().filter_map(|index| delivery.recipients.get(*index)) {
        let mailbox = Mailbox::parse(recipient.address().as_str()).map_err(|error| error.to_string())?;
        envelope = envelope.to(ForwardPath::Mailbox(mailbox.into_owned()));
    }
    Ok(envelope)
}

/// What a transaction means to the queue.
struct Verdict {
    /// For each recipient; `None` where the host has said nothing, and the ending says it all.
    outcomes: Vec<Option<Outcome>>,
    /// Why the connection is of no more use.
    ending: Option<Ending>,
    /// It has failed here, and no other host would help.
    ours: bool,
}

fn judge(transaction: &Transaction, recipients: usize, host: &str) -> Verdict {
    let mut outcomes = vec![None; recipients];
    let mut taken = 0;
    for (outcome, reply) in outcomes.iter_mut().zip(&transaction.recipients) {
        if !reply.is_negative() {
            taken += 1;
        } else if reply.code() != 421 {
            let answer = said(reply).by(host);
            *outcome = Some(match is_too_many(reply) && taken > 0 {
                true => Outcome::Deferred(answer),
                false => Outcome::of(answer),
            });
        }
    }
    let rest = |outcomes: &mut [Option<Outcome>], outcome: Outcome| {
        outcomes.iter_mut().filter(|place| place.is_none()).for_each(|place| *place = Some(outcome.clone()));
    };
    let (mut ending, mut ours) = (None, false);
    match &transaction.end {
        // RFC 5321 §3.8: it says this to all that is to come, and not to this message.
        End::Refused(_, reply) if reply.code() == 421 => ending = Some(Ending::Broken(said(reply).by(host))),
        End::Taken(_) if Bug::SentAgain.is_planted() => {
            let answer = Answer::local(Status::new(4, 4, 2), "the connection was lost");
            ending = Some(Ending::Broken(answer.by(host)));
        }
        End::Taken(reply) | End::Refused(_, reply) => rest(&mut outcomes, Outcome::of(said(reply).by(host))),
        // RFC 1870 §6.1: nobody has said so, but it would have.
        End::Unsendable(why) => {
            rest(&mut outcomes, Outcome::Refused(here(Status::new(5, 3, 4), why).by(host)));
        }
        End::Lost(why) => {
            ending = Some(Ending::Broken(here(Status::new(4, 4, 2), why).by(host)));
        }
        End::InDoubt(why) => {
            let why = format!("{why}, behind the end of the message: it may arrive twice");
            let answer = here(Status::new(4, 4, 2), &why).by(host);
            rest(&mut outcomes, Outcome::Unknown(answer.clone()));
            ending = Some(Ending::Broken(answer));
        }
        End::Unreadable(why) => {
            rest(&mut outcomes, Outcome::Deferred(here(Status::new(4, 3, 0), why)));
            // Not the fault of the site.
            (ending, ours) = (Some(Ending::Closed), true);
        }
    }
    Verdict { outcomes, ending, ours }
}

/// RFC 5321 §4.5.3.1.10: 552 behind a recipient that was taken may mean that there are too many, as in the days before, unless an
/// enhanced code says what else it means (RFC 3463 §3.6, X.5.3).
fn is_too_many(reply: &Reply) -> bool {
    reply.code() == 552 && matches!(reply.enhanced(), None | Some(Enhanced { subject: 5, detail: 3 }))
}

fn log(delivery: &Delivery, recipients: &[usize], transaction: &Transaction, hop: &Hop) {
    let id = log_id(delivery.body);
    for (index, reply) in recipients.iter().zip(&transaction.recipients) {
        if let Some(recipient) = delivery.recipients.get(*index).filter(|_| reply.is_negative()) {
            let (to, reply) = (recipient.address(), said(reply).to_string());
            info!(id, queue_id = %delivery.message, %to, host = hop.name, reply, "recipient refused");
        }
    }
    let (recipients, host) = (recipients.len(), &hop.name);
    match &transaction.end {
        End::Taken(reply) | End::Refused(_, reply) => {
            let reply = said(reply).to_string();
            info!(id, queue_id = %delivery.message, recipients, host, reply, "attempt");
        }
        End::Unsendable(why) | End::Lost(why) | End::InDoubt(why) | End::Unreadable(why) => {
            info!(id, queue_id = %delivery.message, recipients, host, why, "attempt");
        }
    }
}

fn said(reply: &Reply) -> Answer {
    let class = (reply.code() / 100) as u8;
    let status = reply.enhanced().map(|enhanced| Status::new(class, enhanced.subject, enhanced.detail));
    Answer::reply(reply.code(), status, reply.text())
}

/// What went wrong here, as senders and operators read it. The number that the system has for it stays in the log.
fn here(status: Status, why: &str) -> Answer {
    Answer::local(status, &without_numbers(why))
}

/// Without ` (os error 111)`, wherever that stands.
fn without_numbers(why: &str) -> String {
    let (mut out, mut rest) = (String::new(), why);
    while let Some((before, behind)) = rest.split_once(NUMBER) {
        out.push_str(before);
        rest = match behind.split_once(')') {
            Some((digits, behind)) if digits.bytes().all(|octet| octet.is_ascii_digit()) => behind,
            _ => {
                out.push_str(NUMBER);
                behind
            }
        };
    }
    out + rest
}

/// A body in the store, read as it is sent.
struct Stored<'r> {
    relay: &'r Relay,
    body: Held,
    at: u64,
    /// What has to be durable before this ends.
    before: Option<MessageId>,
}

impl Body for Stored<'_> {
    async fn next(&mut self) -> io::Result<Bytes> {
        let slice = self.body.slice(self.at).await?;
        self.at += slice.len() as u64;
        if slice.is_empty()
            && let Some(before) = self.before.take()
        {
            self.relay.saved(&[before]).await?;
        }
        Ok(slice)
    }
}

/// RFC 5321 §5.1 wants at least two addresses tried; Postfix stops as well, and also offers a message in no more than two
/// sessions.
const ADDRESSES: usize = 20;
/// How the number of an error of the system begins in its words.
const NUMBER: &str = " (os error ";

#[cfg(test)]
mod tests;
