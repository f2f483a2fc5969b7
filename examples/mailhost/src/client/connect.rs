//! Which server, and how to reach it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;
use tokio::net::{TcpStream, lookup_host};
use tokio::time;

use super::{ClientError, Credentials};
use crate::relay::connection::Dial;
use crate::system::Stream;
use crate::tls;
use crate::wire::{NOT_TLS, UNTRUSTED, Wire};

/// A server, and how to reach it.
#[derive(Clone, Debug)]
pub struct Server {
    /// Where it listens: tried one after the other.
    pub addresses: Vec<SocketAddr>,
    /// When TLS begins.
    pub encryption: Encryption,
    /// The name that its certificate is for.
    pub name: ServerName<'static>,
    /// The certificates that are trusted.
    pub tls: Arc<ClientConfig>,
    /// Whether a password may go over a network in the clear.
    pub allow_plaintext: bool,
}

/// When TLS begins on a connection.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
pub enum Encryption {
    /// With the first octet. RFC 8314 §3.
    #[default]
    #[serde(rename = "implicit")]
    Implicit,
    /// It is asked for, and without it nothing is done.
    #[serde(rename = "starttls")]
    Required,
    /// It is asked for if it is offered, and whoever stands in between can prevent it: for hosts, not for people. RFC 7435.
    #[serde(skip)]
    Opportunistic,
    /// Never.
    #[serde(rename = "none")]
    Off,
}

impl Server {
    /// A server at one address.
    pub fn at(
        address: SocketAddr,
        encryption: Encryption,
        name: ServerName<'static>,
        tls: Arc<ClientConfig>,
    ) -> Self {
        Self { addresses: vec![address], encryption, name, tls, allow_plaintext: false }
    }

    /// Looks a host up; all of its addresses are tried. An IPv6 address stands in no brackets here.
    pub async fn look_up(
        host: &str,
        port: u16,
        encryption: Encryption,
        tls: Arc<ClientConfig>,
    ) -> Result<Self, ClientError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| ClientError::Unsendable(format!("{host:?} is not the name of a host")))?;
        let found = time::timeout(LOOK_UP, lookup_host((host, port))).await;
        let found = found.map_err(|_| io::Error::from(io::ErrorKind::TimedOut)).flatten();
        let addresses: Vec<_> =
            found.map_err(ClientError::file(format_args!("cannot look up {host}")))?.collect();
        Ok(Self { addresses, encryption, name, tls, allow_plaintext: false })
    }

    /// Trusts one certificate and no other.
    pub fn trusting(certificate: &CertificateDer<'static>) -> Result<Arc<ClientConfig>, rustls::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone())?;
        Self::trusting_roots(roots)
    }

    /// Trusts whom the system trusts, and the certificates of this file.
    pub fn trusting_system_and(file: Option<&Path>) -> Result<Arc<ClientConfig>, ClientError> {
        let mut roots = RootCertStore::empty();
        // What cannot be read is not trusted; if nothing is left, the handshake says so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = file {
            let bad = |why: &dyn fmt::Display| {
                ClientError::Unsendable(format!("{} holds no certificate to trust: {why}", file.display()))
            };
            let mut count = 0;
            for certificate in CertificateDer::pem_file_iter(file).map_err(|error| bad(&error))? {
                roots.add(certificate.map_err(|error| bad(&error))?).map_err(|error| bad(&error))?;
                count += 1;
            }
            if count == 0 {
                return Err(bad(&"it has no BEGIN CERTIFICATE line"));
            }
        }
        Self::trusting_roots(roots).map_err(|error| ClientError::Unsendable(error.to_string()))
    }

    fn trusting_roots(roots: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
        let config = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }

    /// The host, as a person knows it.
    pub fn host(&self) -> String {
        self.name.to_str().into_owned()
    }

    /// Whether it could be on another machine.
    pub fn is_remote(&self) -> bool {
        !self.addresses.iter().all(|address| address.ip().is_loopback())
    }

    /// Refuses a login whose password others could read.
    pub(super) fn may_log_in(&self, login: Option<&Credentials>) -> Result<(), ClientError> {
        let clear = matches!(self.encryption, Encryption::Off | Encryption::Opportunistic);
        let refused = login.is_some() && clear && self.is_remote() && !self.allow_plaintext;
        if refused { Err(ClientError::Plaintext) } else { Ok(()) }
    }

    /// Connects, and does the handshake if TLS begins with the first octet.
    pub(super) async fn connect(&self) -> Result<Wire, ClientError> {
        let mut wire = Wire::Plain(self.reach().await?);
        if self.encryption == Encryption::Implicit {
            self.start_tls(&mut wire).await?;
        }
        Ok(wire)
    }

    /// Does the handshake.
    pub(super) async fn start_tls(&self, wire: &mut Wire) -> Result<(), ClientError> {
        let no_tls = format!("no TLS with {}", self.host());
        wire.connect_tls(&self.tls, self.name.clone()).await.map_err(|error| {
            let advice = self.advice(&error.to_string());
            ClientError::file(no_tls)(io::Error::new(error.kind(), format!("{error}{advice}")))
        })
    }

    /// What to do about a handshake that failed for this reason.
    pub(super) fn advice(&self, why: &str) -> &'static str {
        if self.encryption == Encryption::Implicit && why.ends_with(NOT_TLS) {
            "; if TLS begins later on this port, say --tls starttls"
        } else if why.ends_with(UNTRUSTED) {
            "; if you know it, name its file with --ca"
        } else {
            ""
        }
    }

    async fn reach(&self) -> Result<Stream, ClientError> {
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        let mut tried = self.host();
        for address in &self.addresses {
            let connected = time::timeout(CONNECT, TcpStream::connect(address)).await;
            match connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut)).flatten() {
                Ok(stream) => {
                    let _ = stream.set_nodelay(true);
                    return Ok(Box::new(stream));
                }
                Err(error) => (failed, tried) = (error, format!("{} ({address})", self.host())),
            }
        }
        Err(ClientError::file(format_args!("cannot connect to {tried}"))(failed))
    }
}

/// The relay's connections are opened with whatever dials; this dials all addresses of one server.
impl Dial for Server {
    type Stream = Stream;

    async fn dial(&self, _: SocketAddr) -> io::Result<Stream> {
        self.reach().await.map_err(|error| io::Error::other(error.to_string()))
    }
}

const LOOK_UP: Duration = Duration::from_secs(20);
const CONNECT: Duration = Duration::from_secs(15);
