//! The driver of an IMAP session. What each command does is in a file for each group of them.

mod append;
mod copy;
mod expunge;
mod fetch;
mod flags;
mod list;
mod login;
mod mailboxes;
mod quota;
mod search;
mod select;
mod selected;
mod session;
mod store;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use imap_codec::extension::{Extension, Extensions};
use imap_codec::server::Reason;
use imap_codec::types::string::{Atom, Text};
use imap_codec::{Event, Limits, ServerConfig, ServerSession};
use tokio::time::Instant;

use self::session::{End, Session};
use crate::host::Host;
use crate::listener::{Service, Stopping};
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
    let mut session = Session::new(&host, service, peer, &wire);
    let config = codec_config(&host, service).mechanisms(&session.mechanisms());
    let mut codec = ServerSession::new(config, start.elapsed(), &mut out);
    loop {
        wire.send(&mut out).await?;
        if session.is_over() || (stopping.is_requested() && !session.is_receiving()) {
            codec.close(start.elapsed(), &mut out);
        }
        if let Some(reason) = codec.closed() {
            wire.finish(&mut out).await;
            return Ok(reason);
        }
        tokio::select! {
            biased;
            () = until(start, codec.poll_timeout()) => codec.handle_timeout(start.elapsed(), &mut out),
            read = wire.read(&mut buffer) => if read? == 0 { codec.handle_eof() },
            () = stopping.requested(), if !stopping.is_requested() => {}
            () = session.over() => {}
            () = session.changed(), if codec.is_idling() => {
                if let Some(mut idling) = codec.idling() {
                    session.update(&mut idling, &mut wire, &mut out).await?;
                }
            }
        }
        let mut input = &buffer[..];
        while !session.is_over()
            && let Some(event) = codec.receive(start.elapsed(), &mut input, &mut out)
        {
            match event {
                // In a box of its own, so that a session that waits does not hold room for all that any command needs.
                Event::Command(verb, answer) => {
                    Box::pin(session.command(verb, answer, &mut wire, &mut out)).await?;
                }
                Event::Authenticate(login) => Box::pin(session.authenticate(login, &mut out)).await,
                Event::LoginResponse(response) => Box::pin(session.login_response(response, &mut out)).await,
                Event::LoginCancelled => session.login_cancelled(),
                Event::StartTls(tls) => tls.accept(&mut out),
                Event::Append(append) => Box::pin(session.append(append, &mut out)).await,
                Event::Chunk(octets) => session.append_chunk(octets).await,
                Event::AppendEnd(answer) => {
                    Box::pin(session.append_end(answer, &mut wire, &mut out)).await?;
                }
                Event::AppendAborted => session.append_aborted(),
                Event::Idle(idle) => {
                    idle.accept(&mut out);
                    if let Some(mut idling) = codec.idling() {
                        session.update(&mut idling, &mut wire, &mut out).await?;
                    }
                }
                Event::IdleEnd(answer) => {
                    session.conclude(answer, End::ok("idled"), &mut wire, &mut out).await?
                }
                // `Continue` wants no answer; all else that is unanswered is refused.
                _ => {}
            }
            if out.len() > HIGH_WATER {
                wire.send(&mut out).await?;
            }
        }
        let used = buffer.len() - input.len();
        buffer.advance(used);
        if codec.wants_tls() && codec.closed().is_none() {
            wire.send(&mut out).await?;
            host.start_tls(&mut wire).await?;
            codec.handle_tls_started(start.elapsed());
            session = Session::new(&host, service, peer, &wire);
            codec.set_mechanisms(&session.mechanisms());
        }
    }
}

/// What this host can do over IMAP: all that the codec knows but SETQUOTA, for quotas are set by whoever runs the host.
pub fn extensions() -> Extensions {
    Extensions::all().switched_off(Extension::QuotaSet)
}

fn codec_config(host: &Host, service: Service) -> ServerConfig {
    let limits = &host.config.limits;
    let bounds = Limits::default().append(limits.message_size).errors(limits.errors);
    let resources: Vec<_> = RESOURCES.into_iter().filter_map(|resource| Atom::new(resource).ok()).collect();
    let greeting = Text::new(format!("{} ready", host.config.hostname));
    let mut config =
        ServerConfig::new(extensions()).limits(bounds).greeting(greeting).quota_resources(&resources);
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

/// What a quota counts: RFC 9208 §5.
const RESOURCES: [&str; 2] = ["STORAGE", "MESSAGE"];
