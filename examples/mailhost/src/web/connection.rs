//! One connection over which HTTP/1.1 is spoken: its limits, its deadlines and its end.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{self, Sleep};

use super::{Visitor, router};
use crate::host::Host;
use crate::listener::{Service, Stopping};
use crate::wire::Wire;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Reason {
    /// Either side had said all.
    Done,
    /// The host stops.
    Stopped,
}

/// Answers requests until either side has enough.
pub async fn serve(
    host: Arc<Host>,
    service: Service,
    wire: Wire,
    peer: SocketAddr,
    stopping: Stopping,
) -> io::Result<Reason> {
    let visitor = Visitor::new(service, peer.ip(), host.config.allow_plaintext);
    converse(router(host, service), visitor, wire, stopping).await
}

/// The conversation itself, whatever answers.
pub(super) async fn converse(
    router: Router,
    visitor: Visitor,
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    mut stopping: Stopping,
) -> io::Result<Reason> {
    let routes = TowerToHyperService::new(router);
    let asked = stopping.clone();
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(visitor);
        // For an answer that has no end of its own.
        request.extensions_mut().insert(asked.clone());
        routes.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .max_headers(HEADERS)
        .serve_connection(TokioIo::new(Patient::new(stream)), answer);
    tokio::pin!(connection);
    let mut reason = Reason::Done;
    loop {
        tokio::select! {
            ended = &mut connection => return ended.map(|()| reason).map_err(io::Error::other),
            () = stopping.requested(), if reason == Reason::Done => {
                reason = Reason::Stopped;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// A connection that is given up when the other side takes nothing for a while.
struct Patient<S> {
    stream: S,
    /// Runs while something waits to be taken.
    end: Option<Pin<Box<Sleep>>>,
}

impl<S> Patient<S> {
    fn new(stream: S) -> Self {
        Self { stream, end: None }
    }

    fn wait<T>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if poll.is_ready() {
            self.end = None;
            return poll;
        }
        let end = self.end.get_or_insert_with(|| Box::pin(time::sleep(WRITE)));
        ready!(end.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patient<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, octets);
        self.wait(cx, poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_flush(cx);
        self.wait(cx, poll)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.wait(cx, poll)
    }
}

/// How long the head of a request may take from its first octet to its last, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(30);
/// How long the other side may take nothing of an answer.
const WRITE: Duration = Duration::from_secs(60);
/// What is kept of a request's head, and of its body at a time.
const BUFFER: usize = 32 << 10;
/// The most header fields of a request.
const HEADERS: usize = 64;
