//! The one way in: from a sender, recipients and a body to the commit with which this host takes the responsibility for a
//! message. SMTP comes this way, and so does what is written on the web.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering;

use bytes::{Bytes, BytesMut};
use mailstore::commit::Receipt;
use mailstore::mailbox::MailboxId;
use mailstore::message::{NamedFlags, UnixTime};
use mailstore::{Commit, Failure, Intent};
use relay_queue::Address;
use relay_queue::error::Refusal;
use smtp_codec::reply::Enhanced;
use smtp_codec::{Domain, ForwardPath, Reply, ReversePath};
use time::OffsetDateTime;
use tracing::{info, warn};

use crate::accounts::{Target, Unroutable};
use crate::host::Host;
use crate::listener::Service;
use crate::relay::{self, Accepted};
use crate::store::Incoming;
use crate::trace::{HeaderScan, Protocol, Received, delivered_to, missing_fields, return_path};

/// Where a message comes in, as its trace and the log have it.
#[derive(Clone, Copy, Debug)]
pub struct Entrance<'a> {
    /// The service.
    pub service: Service,
    /// What the client said it is.
    pub client: Option<&'a Domain<'a>>,
    /// Its address.
    pub peer: IpAddr,
    /// Its port, where that tells sessions apart.
    pub port: Option<u16>,
    /// How it speaks.
    pub protocol: Protocol,
}

impl Entrance<'_> {
    /// Where the client is, for the log.
    fn from(&self) -> String {
        self.port.map_or_else(|| self.peer.to_string(), |port| SocketAddr::new(self.peer, port).to_string())
    }

    /// What it said it is, for the log.
    fn name(&self) -> &str {
        self.client.map(Domain::as_str).unwrap_or_default()
    }
}

/// Why a message was not taken.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Untaken {
    /// For this reason.
    Refused(Reply),
    /// The disk has failed, and nobody knows whether it is there after a restart.
    Unknown,
}

/// A message on its way in.
#[derive(Debug)]
pub struct Intake {
    id: String,
    from: ReversePath<'static>,
    /// Each mailbox once, with the address it was first named by.
    to: BTreeMap<MailboxId, String>,
    /// Recipients elsewhere, each once.
    remote: BTreeSet<Address>,
    /// The same of what aliases and accounts send on, which goes out under a sender of ours.
    forwarded: BTreeSet<Address>,
    /// The recipients that send it on.
    forwarders: BTreeSet<String>,
    /// Those of them that keep nothing of it here.
    passing: BTreeSet<String>,
    /// How many recipients were taken.
    recipients: usize,
    /// The only recipient, as long as there is but one.
    only: Option<String>,
    scan: HeaderScan,
    incoming: Option<Incoming>,
    /// What went wrong while the message was still coming in.
    failure: Option<Reply>,
}

impl Intake {
    /// A message from this sender. Its name, which it keeps through all logs, is from [`Relay::next_id`](crate::relay::Relay::next_id).
    pub fn new(host: &Host, id: String, from: ReversePath<'static>) -> Self {
        Self {
            id,
            from,
            to: BTreeMap::new(),
            remote: BTreeSet::new(),
            forwarded: BTreeSet::new(),
            forwarders: BTreeSet::new(),
            passing: BTreeSet::new(),
            recipients: 0,
            only: None,
            scan: HeaderScan::at(&host.config.hostname),
            incoming: None,
            failure: None,
        }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whether its octets are coming in.
    pub const fn is_receiving(&self) -> bool {
        self.incoming.is_some()
    }

    /// Whether a recipient is at another host.
    pub fn is_elsewhere(&self, address: &Address) -> bool {
        self.remote.contains(address)
    }

    /// Whether a recipient's mail is only sent on from here.
    pub fn only_passes(&self, address: &str) -> bool {
        self.passing.contains(&address.to_lowercase())
    }

    /// Adds a recipient.
    pub async fn add(&mut self, host: &Host, to: &ForwardPath<'_>, may_relay: bool) -> Result<(), Reply> {
        if self.recipients >= host.config.limits.recipients {
            return Err(Reply::TOO_MANY_RECIPIENTS);
        }
        let targets = match host.accounts.route(to) {
            Ok(targets) => targets,
            Err(Unroutable::NotLocal) if may_relay => {
                let address = Address::new(to.as_str()).map_err(|_| Reply::BAD_RECIPIENT_SYNTAX)?;
                self.count(to);
                self.remote.insert(address);
                return Ok(());
            }
            Err(Unroutable::NotLocal) => return Err(Reply::RELAY_DENIED),
            Err(Unroutable::NoSuchMailbox) => return Err(Reply::NO_SUCH_MAILBOX),
            Err(unroutable) => return Err(refused(unroutable)),
        };
        for target in &targets {
            // What somebody else sends to a sender that we made up would make an open relay of us.
            if matches!(target, Target::Sender(_)) && !matches!(self.from, ReversePath::Null) {
                return Err(reports_only());
            }
            // One message may go beyond what an account may have, and none after it.
            if let Target::Inbox(mailbox) = target
                && !self.to.contains_key(mailbox)
                && !host.accounts.has_room(*mailbox).await
            {
                return Err(mailbox_full());
            }
        }
        self.count(to);
        if !targets.iter().any(|target| matches!(target, Target::Inbox(_))) {
            self.passing.insert(to.as_str().to_lowercase());
        }
        // RFC 5321 §4.1.1.3 lets one mailbox be named twice; it gets the message once.
        for target in targets {
            match target {
                Target::Inbox(mailbox) => {
                    self.to.entry(mailbox).or_insert_with(|| to.as_str().to_owned());
                }
                // RFC 5321 §3.9.1: an alias leaves the return path as it is; but see `accounts::srs`.
                Target::Elsewhere(address) => {
                    self.forwarded.insert(address);
                    self.forwarders.insert(to.as_str().to_lowercase());
                }
                Target::Sender(address) => {
                    self.remote.insert(address);
                }
            }
        }
        Ok(())
    }

    /// Notes a recipient that is taken.
    fn count(&mut self, to: &ForwardPath<'_>) {
        self.recipients += 1;
        self.only = (self.recipients == 1).then(|| to.as_str().to_owned());
    }

    /// Waits for room for its octets. `kept` says that somebody here will read it, though all of its recipients are elsewhere.
    pub async fn begin(&mut self, host: &Host, kept: bool) -> Result<(), Reply> {
        let incoming = host.store.receive().await.ok_or(Reply::LOCAL_ERROR)?;
        // Nobody here reads what only passes through.
        self.incoming = Some(if self.to.is_empty() && !kept { incoming } else { incoming.scanned() });
        Ok(())
    }

    /// Takes its next octets. What is wrong with them is said at the end.
    pub async fn push(&mut self, host: &Host, entrance: &Entrance<'_>, octets: &[u8]) {
        if self.failure.is_none() {
            self.scan.push(octets);
            self.failure = self.scan.refusal();
        }
        if self.failure.is_some() {
            // The rest is taken and dropped: only at the end may anything be said.
            self.incoming = self.incoming.take().map(Incoming::emptied);
        } else if let Some(mut incoming) = self.incoming.take() {
            let pushed = incoming.push(octets, || self.trace(host, entrance)).await;
            self.failure = pushed.err().map(reply_to);
            self.incoming = Some(incoming);
        }
    }

    /// There is no more. Takes the responsibility for it: when this gives the receipt, all of it is on stable storage.
    ///
    /// `also` gives what belongs into the same commit besides, behind everything else, from what the queue has taken.
    pub async fn end(
        mut self,
        host: &Host,
        entrance: &Entrance<'_>,
        also: impl FnOnce(&[Accepted]) -> Vec<Intent>,
    ) -> Result<Receipt, Untaken> {
        self.scan.finish();
        let result = self.take(host, entrance, also).await;
        if let Err(untaken) = &result {
            let (peer, client) = (entrance.from(), entrance.name());
            match untaken {
                Untaken::Refused(reply) => {
                    host.counts.refuse("message", reply);
                    warn!(id = self.id, %peer, client, code = reply.code(), why = reply.text(), "message refused");
                }
                Untaken::Unknown => {
                    warn!(id = self.id, %peer, "the disk failed, and nobody knows what became of the message");
                }
            }
        }
        result
    }

    /// RFC 5321 §6.1: who says 250 has the responsibility. It is said when this commit is on stable storage.
    async fn take(
        &mut self,
        host: &Host,
        entrance: &Entrance<'_>,
        also: impl FnOnce(&[Accepted]) -> Vec<Intent>,
    ) -> Result<Receipt, Untaken> {
        if let Some(reply) = self.failure.take().or_else(|| self.scan.refusal()) {
            return Err(Untaken::Refused(reply));
        }
        if self.goes_round() {
            return Err(Untaken::Refused(goes_round()));
        }
        let incoming = self.incoming.take().ok_or(Reply::LOCAL_ERROR)?;
        let (body, structure) = incoming.finish(|| self.trace(host, entrance)).await.map_err(reply_to)?;
        let queued = match self.queue_all(host, body.size()) {
            Ok(queued) => queued,
            Err(reply) => {
                host.store.discard(body);
                return Err(Untaken::Refused(reply));
            }
        };
        let now = UnixTime(host.store.system().unix_seconds());
        let deliver = |(mailbox, address): (&MailboxId, &String)| {
            let mut prefix = BytesMut::new();
            return_path(&self.from, &mut prefix);
            delivered_to(address, &mut prefix);
            Intent::Deliver { mailbox: *mailbox, prefix: prefix.freeze(), date: now, flags: NamedFlags::NONE }
        };
        let mut intents: Vec<_> = self.to.iter().map(deliver).collect();
        intents.extend(queued.iter().flat_map(|queued| queued.intents.clone()));
        intents.extend(also(&queued));
        // The body once, the mailboxes and the queue: one commit, so that nothing of it is ever there alone.
        let commit = Commit::delivery(body.into(), intents).with_structure(structure);
        let result = host.store.commit(commit).await;
        if result.is_ok() {
            // Before the queue hears of it: what comes of the message follows its acceptance in the log.
            self.accepted(host, entrance);
        }
        for queued in &queued {
            host.relay.committed(queued, &result);
        }
        result.map_err(|failure| match failure {
            Failure::Unknown => Untaken::Unknown,
            failure => Untaken::Refused(reply_to(failure)),
        })
    }

    fn accepted(&self, host: &Host, entrance: &Entrance<'_>) {
        let counts = &host.counts;
        counts.accepted.add(entrance.service);
        counts.delivered.fetch_add(self.to.len() as u64, Ordering::Relaxed);
        counts.queued.fetch_add(self.remote.len() as u64, Ordering::Relaxed);
        let (peer, client) = (entrance.from(), entrance.name());
        let (mailboxes, elsewhere) = (self.to.len(), self.remote.len());
        info!(id = self.id, %peer, client, mailboxes, elsewhere, "accepted");
        for to in self.to.values() {
            info!(id = self.id, to, "delivered here");
        }
    }

    /// Hands the recipients elsewhere to the queue: those that the client has named, and apart from them those that aliases
    /// and accounts send it on to, under a sender of ours.
    fn queue_all(&self, host: &Host, size: u64) -> Result<Vec<Accepted>, Reply> {
        let from = match &self.from {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => {
                Some(Address::new(mailbox.as_str()).map_err(|_| Reply::BAD_SENDER_SYNTAX)?)
            }
        };
        let ours = host.accounts.forwarding_sender(&self.from);
        let groups = if ours.is_some() {
            let forwarded = self.forwarded.difference(&self.remote).cloned().collect();
            [(from, self.remote.clone()), (ours, forwarded)]
        } else {
            [(from, self.remote.union(&self.forwarded).cloned().collect()), (None, BTreeSet::new())]
        };
        let (mut queued, mut id) = (Vec::new(), self.id.clone());
        for (from, to) in groups.into_iter().filter(|(_, to)| !to.is_empty()) {
            match self.queue(host, &id, from, to, size) {
                Ok(accepted) => queued.push(accepted),
                Err(reply) => {
                    for accepted in &queued {
                        host.relay.committed(accepted, &Err(Failure::Disk));
                    }
                    return Err(reply);
                }
            }
            // Each holds the body under a name of its own.
            id = host.relay.next_id();
        }
        Ok(queued)
    }

    fn queue(
        &self,
        host: &Host,
        id: &str,
        from: Option<Address>,
        to: BTreeSet<Address>,
        size: u64,
    ) -> Result<Accepted, Reply> {
        let (body, recipients) = (relay::handle(id), to.len());
        let sender = from.as_ref().map_or("", Address::as_str).to_owned();
        let envelope = relay_queue::Envelope::new(from, body).size(size);
        let envelope = to.into_iter().fold(envelope, relay_queue::Envelope::to);
        let accepted = host.relay.accept(envelope, body).map_err(|refusal| {
            warn!(id = self.id, %refusal, "the queue does not take it");
            match refusal {
                // Soon it does.
                Refusal::Restoring => Reply::LOCAL_ERROR,
                _ => Reply::STORAGE_FULL,
            }
        })?;
        info!(id = self.id, held_as = id, queue_id = %accepted.message, from = ?sender, recipients, "queued");
        Ok(accepted)
    }

    /// Whether a recipient that sends it on has had it before: it would only come back once more.
    fn goes_round(&self) -> bool {
        !self.forwarders.is_disjoint(self.scan.been_for())
    }

    /// What goes above the message: for all of its recipients alike.
    fn trace(&self, host: &Host, entrance: &Entrance<'_>) -> Bytes {
        let seconds = host.store.system().unix_seconds();
        let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let mut out = BytesMut::new();
        let received = Received {
            client: entrance.client,
            peer: entrance.peer,
            host: &host.config.hostname,
            protocol: entrance.protocol,
            id: &self.id,
            recipient: self.only.as_deref(),
            at,
        };
        received.encode(&mut out);
        if entrance.protocol.authenticated {
            missing_fields(self.scan.fields(), &host.config.hostname, &self.id, at, &mut out);
        }
        out.freeze()
    }
}

impl From<Reply> for Untaken {
    fn from(reply: Reply) -> Self {
        Self::Refused(reply)
    }
}

/// RFC 3463 §3.3, X.2.2: the owner may make room.
fn mailbox_full() -> Reply {
    Reply::new(452, Some(Enhanced { subject: 2, detail: 2 }), "this mailbox is full")
        .unwrap_or(Reply::STORAGE_FULL)
}

fn refused(unroutable: Unroutable) -> Reply {
    let reply = match unroutable {
        // RFC 3463 §3.3, X.2.1: a transient error if the mailbox is only temporarily disabled.
        Unroutable::Suspended => reply(450, 2, 1, "this mailbox takes no mail for now"),
        // RFC 3463 §3.2, X.1.6: the address was valid, and is no longer.
        Unroutable::Expired => reply(550, 1, 6, "this address was made for reports, and has expired"),
        // RFC 3463 §3.3, X.2.4.
        Unroutable::TooLarge => reply(451, 2, 4, "this address stands for too many others"),
        Unroutable::NoSuchMailbox | Unroutable::NotLocal => None,
    };
    reply.unwrap_or(Reply::NO_SUCH_MAILBOX)
}

/// RFC 3463 §3.8, X.7.1: delivery not authorized.
fn reports_only() -> Reply {
    reply(550, 7, 1, "only reports, from the null sender, are taken for this address")
        .unwrap_or(Reply::RELAY_DENIED)
}

/// RFC 3463 §3.5, X.4.6: routing loop detected.
fn goes_round() -> Reply {
    reply(554, 4, 6, "this message was sent on from here before, and goes round in circles")
        .unwrap_or(Reply::LOCAL_ERROR)
}

fn reply(code: u16, subject: u16, detail: u16, text: &'static str) -> Option<Reply> {
    Reply::new(code, Some(Enhanced { subject, detail }), text).ok()
}

fn reply_to(failure: Failure) -> Reply {
    match failure {
        Failure::NoSpace => Reply::STORAGE_FULL,
        Failure::Refused(_) | Failure::Disk | Failure::Unknown => Reply::LOCAL_ERROR,
    }
}
