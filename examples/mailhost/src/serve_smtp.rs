//! The driver of an SMTP session, and what is accepted from whom. What becomes of it then is up to [`crate::intake`].

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf as _, Bytes, BytesMut};
use smtp_codec::extension::Mechanism;
use smtp_codec::reply::Enhanced;
use smtp_codec::server::{Auth, AuthResponse, Mail, Rcpt, Reason};
use smtp_codec::{Domain, Event, Limits, Reply, ReversePath, ServerConfig, ServerSession};
use tokio::time::Instant;
use tracing::info;

use crate::accounts::Presence;
use crate::auth::{Exchange, Offer, Step};
use crate::host::Host;
use crate::intake::{Entrance, Intake, Untaken};
use crate::listener::{Service, Stopping};
use crate::trace::Protocol;
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
    /// The transaction, and whether it is under TLS.
    intake: Option<Intake>,
    tls: bool,
}

/// A commit of which nobody knows whether it will be there after a restart.
struct Unknown;

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
            intake: None,
            tls: false,
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
        self.intake.as_ref().is_some_and(Intake::is_receiving)
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
        self.intake = None;
        let id = self.host.relay.next_id();
        match self.may_send(mail.from()) {
            Ok(()) => {
                info!(id, service = %self.service, peer = %self.peer, from = ?mail.from().as_str(), "mail");
                self.intake = Some(Intake::new(self.host, id, mail.from().clone().into_owned()));
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
        let Some(intake) = &mut self.intake else {
            return rcpt.reject(Reply::LOCAL_ERROR, out);
        };
        // Mail for others is taken from those who have logged in, and from networks that the configuration names.
        let networks = &self.host.config.relay.networks;
        let may_relay =
            self.login.is_some() || networks.iter().any(|network| network.contains(self.peer.ip()));
        let answer = intake.add(self.host, rcpt.to(), may_relay).await;
        match &answer {
            Ok(()) => info!(id = intake.id(), to = ?rcpt.to().as_str(), "recipient"),
            Err(reply) => {
                self.host.counts.refuse("recipient", reply);
                info!(id = intake.id(), peer = %self.peer, to = ?rcpt.to().as_str(),
                    code = reply.code(), why = reply.text(), "recipient refused");
            }
        }
        rcpt.answer(answer, out);
    }

    async fn begin(&mut self, tls: bool) -> Result<(), Reply> {
        self.tls = tls;
        self.intake.as_mut().ok_or(Reply::LOCAL_ERROR)?.begin(self.host, false).await
    }

    async fn chunk(&mut self, octets: &[u8]) {
        let Some(mut intake) = self.intake.take() else { return };
        intake.push(self.host, &self.entrance(), octets).await;
        self.intake = Some(intake);
    }

    async fn end(&mut self) -> Result<Result<Reply, Reply>, Unknown> {
        let Some(intake) = self.intake.take() else { return Ok(Err(Reply::LOCAL_ERROR)) };
        let text = format!("accepted as {}", intake.id());
        match intake.end(self.host, &self.entrance(), |_| Vec::new()).await {
            Ok(_) => {
                let done = Some(Enhanced { subject: 0, detail: 0 });
                Ok(Ok(Reply::new(250, done, text).unwrap_or(Reply::ACCEPTED)))
            }
            Err(Untaken::Refused(reply)) => Ok(Err(reply)),
            Err(Untaken::Unknown) => Err(Unknown),
        }
    }

    fn entrance(&self) -> Entrance<'_> {
        Entrance {
            service: self.service,
            client: self.client.as_ref(),
            peer: self.peer.ip(),
            port: Some(self.peer.port()),
            protocol: Protocol {
                web: false,
                extended: self.extended,
                tls: self.tls,
                authenticated: self.login.is_some(),
            },
        }
    }

    fn discarded(&mut self, why: &str) {
        if let Some(intake) = self.intake.take() {
            info!(id = intake.id(), peer = %self.peer, why, "message refused");
        }
    }
}

/// RFC 5248 §3, X.7.13: said to nobody who has not given the right password. RFC 4954 §6 has 535 for a login that fails.
fn suspended() -> Reply {
    let why = "this account is suspended; ask whoever runs this host";
    Reply::new(535, Some(Enhanced { subject: 7, detail: 13 }), why).unwrap_or(Reply::AUTH_FAILED)
}
