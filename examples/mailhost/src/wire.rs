//! A connection, in the clear or under TLS, and how its octets are read and written under deadlines.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use rustls::pki_types::ServerName;
use rustls::{CertificateError, ClientConfig, InvalidMessage, ProtocolVersion, ServerConfig};
use sasl_codec::binding::{ChannelBinding, Kind};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::time;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use crate::system::Stream;

/// A connection, of which we are either side.
#[derive(Debug)]
pub enum Wire<S = Stream> {
    /// In the clear.
    Plain(S),
    /// Under TLS.
    Tls(Box<TlsStream<S>>),
    /// Nothing any more: a handshake has failed.
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// Does the handshake. What the client sent in the clear behind its STARTTLS is not in our buffers any more.
    /// Without a certificate there is none.
    pub async fn start_tls(&mut self, config: Option<&Arc<ServerConfig>>) -> io::Result<()> {
        let config = config.ok_or(io::ErrorKind::Unsupported)?;
        let Self::Plain(stream) = std::mem::replace(self, Self::Gone) else {
            return Err(io::ErrorKind::AlreadyExists.into());
        };
        let accept = TlsAcceptor::from(Arc::clone(config)).accept(stream);
        let stream = time::timeout(HANDSHAKE, accept).await.map_err(|_| io::ErrorKind::TimedOut)??;
        *self = Self::Tls(Box::new(stream.into()));
        Ok(())
    }

    /// Does the handshake as the client of `name`.
    pub async fn connect_tls(
        &mut self,
        config: &Arc<ClientConfig>,
        name: ServerName<'static>,
    ) -> io::Result<()> {
        let Self::Plain(stream) = std::mem::replace(self, Self::Gone) else {
            return Err(io::ErrorKind::AlreadyExists.into());
        };
        let connect = TlsConnector::from(Arc::clone(config)).connect(name, stream);
        let connected = time::timeout(HANDSHAKE, connect).await.map_err(|_| io::ErrorKind::TimedOut)?;
        let stream = connected.map_err(in_words)?;
        *self = Self::Tls(Box::new(stream.into()));
        Ok(())
    }

    /// The version of TLS and the cipher suite, under TLS.
    pub fn tls(&self) -> Option<(&'static str, &'static str)> {
        let Self::Tls(stream) = self else { return None };
        let (_, connection) = stream.get_ref();
        let version = match connection.protocol_version()? {
            ProtocolVersion::TLSv1_3 => "1.3",
            _ => "1.2",
        };
        Some((version, connection.negotiated_cipher_suite()?.suite().as_str().unwrap_or_default()))
    }

    /// What logins can be bound to on this connection alone.
    pub fn exported(&self) -> Option<ChannelBinding> {
        let Self::Tls(stream) = self else { return None };
        // RFC 9266 §3: under TLS 1.2 only with the extended master secret, of which rustls does not tell.
        if stream.get_ref().1.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
            return None;
        }
        let label = Kind::EXPORTER_LABEL.as_bytes();
        let export = |room: [u8; 32]| match &**stream {
            TlsStream::Server(stream) => stream.get_ref().1.export_keying_material(room, label, None),
            TlsStream::Client(stream) => stream.get_ref().1.export_keying_material(room, label, None),
        };
        export([0; 32]).ok().map(ChannelBinding::tls_exporter)
    }

    /// Reads what there is into `buffer`; zero at the end. May be dropped at any time without loss.
    pub async fn read(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        // Without room for it a read would take a few octets at a time.
        buffer.reserve(READ);
        match self.read_buf(buffer).await {
            // Many a peer leaves out TLS's goodbye. What ends a message is said within each protocol, so an end is an end.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        }
    }

    /// Writes all of `out` and empties it. A client that takes nothing for a while is given up.
    pub async fn send(&mut self, out: &mut BytesMut) -> io::Result<()> {
        if out.is_empty() {
            return Ok(());
        }
        time::timeout(WRITE, async {
            while out.has_remaining() {
                self.write_buf(out).await?;
            }
            self.flush().await
        })
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
        if out.capacity() > HIGH_WATER {
            // A long answer must not cost memory for the rest of the session.
            *out = BytesMut::new();
        }
        Ok(())
    }

    /// Writes from `out` and reads into `buffer`, whichever can go on; true when the peer will send nothing more.
    ///
    /// A client needs both at once: a server that gives up on a message says so while the message is still being sent, and
    /// then closes: what it said is read although nothing can be written any more. What stays in `out` was not written.
    /// May be dropped at any time without loss.
    pub async fn exchange(&mut self, buffer: &mut BytesMut, out: &mut BytesMut) -> io::Result<bool> {
        poll_fn(|cx| {
            let (mut moved, mut failed) = (false, None);
            while !out.is_empty() && failed.is_none() {
                match Pin::new(&mut *self).poll_write(cx, out) {
                    Poll::Ready(Ok(0)) => failed = Some(io::ErrorKind::WriteZero.into()),
                    Poll::Ready(Ok(count)) => {
                        out.advance(count);
                        moved = true;
                    }
                    Poll::Ready(Err(error)) => failed = Some(error),
                    Poll::Pending => break,
                }
            }
            // At each call: TLS may still hold octets that a call before has written.
            if failed.is_none()
                && let Poll::Ready(Err(error)) = Pin::new(&mut *self).poll_flush(cx)
            {
                failed = Some(error);
            }
            let mut octets = [0; READ];
            let mut read = ReadBuf::new(&mut octets);
            match Pin::new(&mut *self).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) => {
                    buffer.extend_from_slice(read.filled());
                    Poll::Ready(Ok(read.filled().is_empty()))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Err(failed.unwrap_or(error))),
                Poll::Pending => match failed {
                    Some(error) => Poll::Ready(Err(error)),
                    None if moved => Poll::Ready(Ok(false)),
                    None => Poll::Pending,
                },
            }
        })
        .await
    }

    /// Writes what is left and says goodbye, in so far as anybody listens.
    pub async fn finish(&mut self, out: &mut BytesMut) {
        if self.send(out).await.is_ok() {
            let _ = time::timeout(GOODBYE, self.shutdown()).await;
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, octets),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, octets),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }
}

/// How many octets have gone over a connection: what TLS makes of them, under TLS.
#[derive(Debug, Default)]
pub struct Octets {
    read: AtomicU64,
    written: AtomicU64,
}

/// A stream whose octets are counted.
#[derive(Debug)]
pub struct Counted<S> {
    stream: S,
    octets: Arc<Octets>,
}

impl Octets {
    /// How many have come.
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// How many have gone.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

impl<S> Counted<S> {
    /// Counts here.
    pub const fn new(stream: S, octets: Arc<Octets>) -> Self {
        Self { stream, octets }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.octets.read.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, octets);
        if let Poll::Ready(Ok(count)) = result {
            self.octets.written.fetch_add(count as u64, Ordering::Relaxed);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Waits until `at` on the scale of `start`; for ever without one.
pub async fn until(start: time::Instant, at: Option<Duration>) {
    match at {
        Some(at) => time::sleep_until(start + at).await,
        None => std::future::pending().await,
    }
}

/// What went wrong in a handshake, in the words of people where it happens often.
fn in_words(error: io::Error) -> io::Error {
    let words = match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType)) => NOT_TLS,
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => UNTRUSTED,
        _ => return error,
    };
    io::Error::new(error.kind(), words)
}

/// What a host says that answers, but not in TLS.
pub(crate) const NOT_TLS: &str = "the host does not answer in TLS";
/// What is said of a certificate that anybody could have made.
pub(crate) const UNTRUSTED: &str = "invalid peer certificate: nobody who is trusted here has issued it";
/// Output that is sent even while there is input left to look at.
pub const HIGH_WATER: usize = 64 << 10;
const READ: usize = 16 << 10;
const HANDSHAKE: Duration = Duration::from_secs(60);
const WRITE: Duration = Duration::from_secs(180);
const GOODBYE: Duration = Duration::from_secs(5);
