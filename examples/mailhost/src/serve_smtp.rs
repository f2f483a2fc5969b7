//! The driver of an SMTP session, and what is accepted from whom.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::{Buf as _, Bytes, BytesMut};
use mailstore::mailbox::MailboxId;
use mailstore::message::{NamedFlags, UnixTime};
use mailstore::{Commit, Failure, Intent};
use relay_queue::Address;
use relay_queue::error::Refusal;
use smtp_codec::extension::Mechanism;
use smtp_codec::reply::Enhanced;
use smtp_codec::server::{Auth, AuthResponse, Mail, Rcpt, Reason};
use smtp_codec::{Domain, Event, ForwardPath, Limits, Reply, ReversePath, ServerConfig, ServerSession};
use time::OffsetDateTime;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::accounts::{Presence, Target, Unroutable};
use crate::auth::{Exchange, Offer, Step};
use crate::host::Host;
use crate::listener::{Service, Stopping};
use crate::relay::{self, Accepted};
use crate::store::Incoming;
use crate::trace::{HeaderScan, Protocol, Received, delivered_to, missing_fields, return_path};
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
    let mut session = ServerSession::new(codec_config(&host, service), start.elapsed(), &mut out);
    let mut policy = Policy::new(&host, service, peer, &wire);
    session.set_mechanisms(&policy.mechanisms());
    loop {
        wire.send(&mut out).await?;
        if policy.is_over() || (stopping.is_requested() && !policy.is_receiving()) {
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
            () = policy.over() => {}
        }
        let mut input = &buffer[..];
        loop {
            if policy.is_over() {
                break;
            }
            policy.meet(session.client(), session.is_extended());
            let Some(event) = session.receive(start.elapsed(), &mut input, &mut out) else { break };
            match event {
                Event::Auth(auth) => policy.auth(auth, &mut out).await,
                Event::AuthResponse(response) => policy.auth_response(response, &mut out).await,
                Event::AuthCancelled => policy.exchange = None,
                Event::Mail(mail) => policy.mail(mail, &mut out),
                Event::Rcpt(rcpt) => policy.rcpt(rcpt, &mut out).await,
                Event::Data(data) => match policy.begin(matches!(wire, Wire::Tls(_))).await {
                    Ok(()) => data.accept(&mut out),
                    Err(reply) => data.reject(reply, &mut out),
                },
                Event::Chunk(octets) => policy.chunk(octets).await,
                Event::End(end) => match policy.end().await {
                    Ok(result) => end.answer(result, &mut out),
                    // Neither yes nor no would be true: the client hears nothing, and asks again.
                    Err(Unknown) => return Err(io::Error::other("nobody knows what became of a message")),
                },
                Event::Discarded(fault) => policy.discarded(&format!("{fault:?}")),
                Event::StartTls(tls) => tls.accept(&mut out),
                // Unanswered means refused.
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
            policy = Policy::new(&host, service, peer, &wire);
            session.set_mechanisms(&policy.mechanisms());
        }
    }
}

fn codec_config(host: &Host, service: Service) -> ServerConfig {
    let limits = &host.config.limits;
    let bounds =
        Limits::default().message(limits.message_size).errors(limits.errors).junk(limits.junk_commands);
    let mut config = ServerConfig::new(host.config.hostname.clone()).limits(bounds);
    config = match &host.tls {
        _ if service.implicit_tls() => config.implicit_tls(),
        Some(_) => config.starttls(),
        None => config,
    };
    if host.config.allow_plaintext {
        config = config.plaintext_auth();
    }
    config
}

/// What this host decides in one session.
struct Policy<'h> {
    host: &'h Host,
    service: Service,
    peer: SocketAddr,
    client: Option<Domain<'static>>,
    extended: bool,
    /// The logins that there are on this connection.
    offer: Offer,
    /// A login under way.
    exchange: Option<Exchange<'h>>,
    /// Who has logged in, and under which name.
    login: Option<(Presence, String)>,
    draft: Option<Draft>,
}

/// A commit of which nobody knows whether it will be there after a restart.
struct Unknown;

/// Why a message was not taken.
enum Untaken {
    Refused(Reply),
    Unknown,
}

/// A transaction.
struct Draft {
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
    /// How many RCPT were accepted.
    recipients: usize,
    /// The only recipient, as long as there is but one.
    only: Option<String>,
    tls: bool,
    scan: HeaderScan,
    incoming: Option<Incoming>,
    /// What went wrong while the message was still coming in.
    failure: Option<Reply>,
}

impl<'h> Policy<'h> {
    fn new(host: &'h Host, service: Service, peer: SocketAddr, wire: &Wire) -> Self {
        let offer = Offer::new(host, wire);
        Self {
            host,
            service,
            peer,
            client: None,
            extended: false,
            offer,
            exchange: None,
            login: None,
            draft: None,
        }
    }

    /// Where other hosts come in, nobody logs in at all.
    fn mechanisms(&self) -> Vec<Mechanism> {
        let offered = self.offer.mechanisms().filter(|_| self.service.is_submission());
        offered.filter_map(|mechanism| Mechanism::parse(mechanism.name().as_bytes()).ok()).collect()
    }

    fn meet(&mut self, client: Option<&Domain<'static>>, extended: bool) {
        self.extended = extended;
        if self.client.as_ref() != client {
            self.client = client.cloned();
        }
    }

    /// Whether who has logged in may do nothing more.
    fn is_over(&self) -> bool {
        self.login.as_ref().is_some_and(|(presence, _)| presence.is_over())
    }

    /// Waits until that is so; for ever, while nobody has logged in.
    async fn over(&self) {
        match &self.login {
            Some((presence, _)) => presence.over().await,
            None => std::future::pending().await,
        }
    }

    fn is_receiving(&self) -> bool {
        self.draft.as_ref().is_some_and(|draft| draft.incoming.is_some())
    }

    async fn auth(&mut self, auth: Auth<'_>, out: &mut BytesMut) {
        self.exchange = self.offer.begin(self.host, self.peer.ip(), auth.mechanism().as_str());
        match self.step(auth.initial()).await {
            Ok(Some(challenge)) => auth.challenge(&challenge, out),
            Ok(None) => auth.accept(out),
            Err(reply) => auth.reject(reply, out),
        }
    }

    async fn auth_response(&mut self, response: AuthResponse<'_>, out: &mut BytesMut) {
        match self.step(Some(response.data())).await {
            Ok(Some(challenge)) => response.challenge(&challenge, out),
            Ok(None) => response.accept(out),
            Err(reply) => response.reject(reply, out),
        }
    }

    /// A challenge, or nothing more: the client has logged in.
    async fn step(&mut self, response: Option<&[u8]>) -> Result<Option<Bytes>, Reply> {
        let Some(exchange) = &mut self.exchange else { return Err(Reply::AUTH_UNAVAILABLE) };
        let step = exchange.respond(response).await;
        if let Step::Challenge(challenge) = step {
            return Ok(Some(challenge));
        }
        let (login, mechanism) = (exchange.name(), exchange.mechanism());
        info!(service = %self.service, peer = %self.peer, %mechanism, ?login, outcome = ?step, "login");
        self.host.logged_in(self.service, step.outcome(), login);
        self.exchange = None;
        match step {
            Step::Accepted(presence, name) => {
                self.login = Some((presence, name));
                Ok(None)
            }
            Step::Suspended => Err(suspended()),
            Step::Unavailable => Err(Reply::AUTH_UNAVAILABLE),
            _ => Err(Reply::AUTH_FAILED),
        }
    }

    fn mail(&mut self, mail: Mail<'_>, out: &mut BytesMut) {
        self.draft = None;
        let id = self.host.relay.next_id();
        match self.may_send(mail.from()) {
            Ok(()) => {
                info!(id, service = %self.service, peer = %self.peer, from = ?mail.from().as_str(), "mail");
                self.draft =
                    Some(Draft::new(id, mail.from().clone().into_owned(), &self.host.config.hostname));
                mail.accept(out);
            }
            Err(reply) => {
                self.host.counts.refuse("sender", &reply);
                info!(id, service = %self.service, peer = %self.peer, from = ?mail.from().as_str(),
                    code = reply.code(), why = reply.text(), "sender refused");
                mail.reject(reply, out);
            }
        }
    }

    fn may_send(&self, from: &ReversePath<'_>) -> Result<(), Reply> {
        if self.service.is_submission() {
            // RFC 6409 §4.3: submission takes mail from its users alone.
            let (presence, _) = self.login.as_ref().ok_or(Reply::AUTH_REQUIRED)?;
            if let ReversePath::Mailbox(mailbox) = from
                && !self.host.accounts.may_send_as(presence.account(), mailbox)
            {
                return Err(Reply::SENDER_NOT_YOURS);
            }
        }
        if self.host.has_room() { Ok(()) } else { Err(Reply::STORAGE_FULL) }
    }

    async fn rcpt(&mut self, rcpt: Rcpt<'_>, out: &mut BytesMut) {
        let Some(draft) = &mut self.draft else {
            return rcpt.reject(Reply::LOCAL_ERROR, out);
        };
        // Mail for others is taken from those who have logged in, and from networks that the configuration names.
        let networks = &self.host.config.relay.networks;
        let may_relay =
            self.login.is_some() || networks.iter().any(|network| network.contains(self.peer.ip()));
        let answer = draft.add(self.host, rcpt.to(), may_relay).await;
        match &answer {
            Ok(()) => info!(id = draft.id, to = ?rcpt.to().as_str(), "recipient"),
            Err(reply) => {
                self.host.counts.refuse("recipient", reply);
                info!(id = draft.id, peer = %self.peer, to = ?rcpt.to().as_str(),
                    code = reply.code(), why = reply.text(), "recipient refused");
            }
        }
        rcpt.answer(answer, out);
    }

    async fn begin(&mut self, tls: bool) -> Result<(), Reply> {
        let draft = self.draft.as_mut().ok_or(Reply::LOCAL_ERROR)?;
        draft.tls = tls;
        let incoming = self.host.store.receive().await.ok_or(Reply::LOCAL_ERROR)?;
        // Nobody here reads what only passes through.
        draft.incoming = Some(if draft.to.is_empty() { incoming } else { incoming.scanned() });
        Ok(())
    }

    async fn chunk(&mut self, octets: &[u8]) {
        let Some(mut draft) = self.draft.take() else { return };
        if draft.failure.is_none() {
            draft.scan.push(octets);
            draft.failure = draft.scan.refusal();
        }
        if draft.failure.is_some() {
            // The rest is taken and dropped: only at the end may anything be said.
            draft.incoming = draft.incoming.take().map(|incoming| incoming.emptied());
        } else if let Some(mut incoming) = draft.incoming.take() {
            let pushed = incoming.push(octets, || self.trace(&draft)).await;
            draft.failure = pushed.err().map(reply_to);
            draft.incoming = Some(incoming);
        }
        self.draft = Some(draft);
    }

    async fn end(&mut self) -> Result<Result<Reply, Reply>, Unknown> {
        let Some(mut draft) = self.draft.take() else { return Ok(Err(Reply::LOCAL_ERROR)) };
        draft.scan.finish();
        let result = match self.take(&mut draft).await {
            Ok(reply) => Ok(reply),
            Err(Untaken::Refused(reply)) => Err(reply),
            Err(Untaken::Unknown) => {
                warn!(id = draft.id, peer = %self.peer, "the disk failed, and nobody knows what became of the message");
                return Err(Unknown);
            }
        };
        let client = self.client.as_ref().map(Domain::as_str).unwrap_or_default();
        match &result {
            Ok(_) => {
                let counts = &self.host.counts;
                counts.accepted.add(self.service);
                counts.delivered.fetch_add(draft.to.len() as u64, Ordering::Relaxed);
                counts.queued.fetch_add(draft.remote.len() as u64, Ordering::Relaxed);
                let (mailboxes, elsewhere) = (draft.to.len(), draft.remote.len());
                info!(id = draft.id, peer = %self.peer, client, mailboxes, elsewhere, "accepted");
                for to in draft.to.values() {
                    info!(id = draft.id, to, "delivered here");
                }
            }
            Err(reply) => {
                self.host.counts.refuse("message", reply);
                warn!(id = draft.id, peer = %self.peer, client, code = reply.code(), why = reply.text(), "message refused");
            }
        }
        Ok(result)
    }

    /// RFC 5321 §6.1: who says 250 has the responsibility. It is said when this commit is on stable storage.
    async fn take(&self, draft: &mut Draft) -> Result<Reply, Untaken> {
        if let Some(reply) = draft.failure.take().or_else(|| draft.scan.refusal()) {
            return Err(Untaken::Refused(reply));
        }
        if draft.goes_round() {
            return Err(Untaken::Refused(goes_round()));
        }
        let incoming = draft.incoming.take().ok_or(Reply::LOCAL_ERROR)?;
        let (body, structure) = incoming.finish(|| self.trace(draft)).await.map_err(reply_to)?;
        let queued = match self.queue_all(draft, body.size()) {
            Ok(queued) => queued,
            Err(reply) => {
                self.host.store.discard(body);
                return Err(Untaken::Refused(reply));
            }
        };
        let now = UnixTime(self.host.store.system().unix_seconds());
        let deliver = |(mailbox, address): (&MailboxId, &String)| {
            let mut prefix = BytesMut::new();
            return_path(&draft.from, &mut prefix);
            delivered_to(address, &mut prefix);
            Intent::Deliver { mailbox: *mailbox, prefix: prefix.freeze(), date: now, flags: NamedFlags::NONE }
        };
        let mut intents: Vec<_> = draft.to.iter().map(deliver).collect();
        intents.extend(queued.iter().flat_map(|queued| queued.intents.clone()));
        // The body once, the mailboxes and the queue: one commit, so that nothing of it is ever there alone.
        let commit = Commit::delivery(body.into(), intents).with_structure(structure);
        let result = self.host.store.commit(commit).await;
        for queued in &queued {
            self.host.relay.committed(queued, &result);
        }
        result.map_err(|failure| match failure {
            Failure::Unknown => Untaken::Unknown,
            failure => Untaken::Refused(reply_to(failure)),
        })?;
        let text = format!("accepted as {}", draft.id);
        Ok(Reply::new(250, Some(Enhanced { subject: 0, detail: 0 }), text).unwrap_or(Reply::ACCEPTED))
    }

    /// Hands the recipients elsewhere to the queue: those that the client has named, and apart from them those that aliases
    /// and accounts send it on to, under a sender of ours.
    fn queue_all(&self, draft: &Draft, size: u64) -> Result<Vec<Accepted>, Reply> {
        let from = match &draft.from {
            ReversePath::Null => None,
            ReversePath::Mailbox(mailbox) => {
                Some(Address::new(mailbox.as_str()).map_err(|_| Reply::BAD_SENDER_SYNTAX)?)
            }
        };
        let ours = self.host.accounts.forwarding_sender(&draft.from);
        let groups = if ours.is_some() {
            let forwarded = draft.forwarded.difference(&draft.remote).cloned().collect();
            [(from, draft.remote.clone()), (ours, forwarded)]
        } else {
            [(from, draft.remote.union(&draft.forwarded).cloned().collect()), (None, BTreeSet::new())]
        };
        let (mut queued, mut id) = (Vec::new(), draft.id.clone());
        for (from, to) in groups.into_iter().filter(|(_, to)| !to.is_empty()) {
            match self.queue(draft, &id, from, to, size) {
                Ok(accepted) => queued.push(accepted),
                Err(reply) => {
                    for accepted in &queued {
                        self.host.relay.committed(accepted, &Err(Failure::Disk));
                    }
                    return Err(reply);
                }
            }
            // Each holds the body under a name of its own.
            id = self.host.relay.next_id();
        }
        Ok(queued)
    }

    fn queue(
        &self,
        draft: &Draft,
        id: &str,
        from: Option<Address>,
        to: BTreeSet<Address>,
        size: u64,
    ) -> Result<Accepted, Reply> {
        let (body, recipients) = (relay::handle(id), to.len());
        let sender = from.as_ref().map_or("", Address::as_str).to_owned();
        let envelope = relay_queue::Envelope::new(from, body).size(size);
        let envelope = to.into_iter().fold(envelope, relay_queue::Envelope::to);
        let accepted = self.host.relay.accept(envelope, body).map_err(|refusal| {
            warn!(id = draft.id, %refusal, "the queue does not take it");
            match refusal {
                // Soon it does.
                Refusal::Restoring => Reply::LOCAL_ERROR,
                _ => Reply::STORAGE_FULL,
            }
        })?;
        info!(id = draft.id, held_as = id, queue_id = %accepted.message, from = ?sender, recipients, "queued");
        Ok(accepted)
    }

    fn discarded(&mut self, why: &str) {
        if let Some(draft) = self.draft.take() {
            info!(id = draft.id, peer = %self.peer, why, "message refused");
        }
    }

    /// What goes above the message: for all of its recipients alike.
    fn trace(&self, draft: &Draft) -> Bytes {
        let seconds = self.host.store.system().unix_seconds();
        let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let mut out = BytesMut::new();
        let received = Received {
            client: self.client.as_ref(),
            peer: self.peer.ip(),
            host: &self.host.config.hostname,
            protocol: Protocol {
                extended: self.extended,
                tls: draft.tls,
                authenticated: self.login.is_some(),
            },
            id: &draft.id,
            recipient: draft.only.as_deref(),
            at,
        };
        received.encode(&mut out);
        if self.login.is_some() {
            missing_fields(draft.scan.fields(), &self.host.config.hostname, &draft.id, at, &mut out);
        }
        out.freeze()
    }
}

impl Draft {
    fn new(id: String, from: ReversePath<'static>, hostname: &Domain<'_>) -> Self {
        Self {
            id,
            from,
            to: BTreeMap::new(),
            remote: BTreeSet::new(),
            forwarded: BTreeSet::new(),
            forwarders: BTreeSet::new(),
            recipients: 0,
            only: None,
            tls: false,
            scan: HeaderScan::at(hostname),
            incoming: None,
            failure: None,
        }
    }

    async fn add(&mut self, host: &Host, to: &ForwardPath<'_>, may_relay: bool) -> Result<(), Reply> {
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

    /// Whether a recipient that sends it on has had it before: it would only come back once more.
    fn goes_round(&self) -> bool {
        !self.forwarders.is_disjoint(self.scan.been_for())
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

/// RFC 5248 §3, X.7.13: said to nobody who has not given the right password. RFC 4954 §6 has 535 for a login that fails.
fn suspended() -> Reply {
    reply(535, 7, 13, "this account is suspended; ask whoever runs this host").unwrap_or(Reply::AUTH_FAILED)
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
