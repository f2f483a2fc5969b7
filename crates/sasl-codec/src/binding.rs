//! What ties a login to its TLS connection.

use core::fmt;

use crate::error::Invalid;

/// What both ends of one TLS connection know and nobody in between does
/// ([RFC 5056](https://www.rfc-editor.org/rfc/rfc5056)).
///
/// `tls-unique` is not among them: it is not safe below TLS 1.3 without further care, and does not exist in TLS 1.3
/// ([RFC 9266 §3](https://www.rfc-editor.org/rfc/rfc9266#section-3)).
#[derive(Clone, Eq, PartialEq)]
pub struct ChannelBinding {
    kind: Kind,
    data: Vec<u8>,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    /// Keying material of the connection. RFC 9266.
    TlsExporter,
    /// A hash of the server's certificate. RFC 5929.
    TlsServerEndPoint,
}

impl ChannelBinding {
    /// The 32 octets that TLS exports for the label `EXPORTER-Channel-Binding` and an empty context
    /// ([RFC 9266 §2](https://www.rfc-editor.org/rfc/rfc9266#section-2)); under TLS 1.2 only with the extended master
    /// secret.
    pub fn tls_exporter(exported: [u8; 32]) -> Self {
        Self { kind: Kind::TlsExporter, data: exported.to_vec() }
    }

    /// The hash of the server's certificate in DER, 28 to 64 octets: with the hash function of its signature, or SHA-256
    /// if that is MD5 or SHA-1 ([RFC 5929 §4.1](https://www.rfc-editor.org/rfc/rfc5929#section-4.1)).
    pub fn tls_server_end_point(hash: &[u8]) -> Result<Self, Invalid> {
        match hash.len() {
            28..=64 => Ok(Self { kind: Kind::TlsServerEndPoint, data: hash.to_vec() }),
            _ => Err(Invalid::new("hash of a certificate")),
        }
    }

    /// Which one it is.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }
}

impl Kind {
    /// The label of TLS exporters ([RFC 9266 §2](https://www.rfc-editor.org/rfc/rfc9266#section-2)).
    pub const EXPORTER_LABEL: &'static str = "EXPORTER-Channel-Binding";

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TlsExporter => "tls-exporter",
            Self::TlsServerEndPoint => "tls-server-end-point",
        }
    }
}

/// The data is as good as a secret of the connection.
impl fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChannelBinding").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Drop for ChannelBinding {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.data);
    }
}
