//! The certificate and what TLS is made of.
//!
//! Finding out which certificate to use ([`Plan::make`]) changes nothing on disk; a self-signed one is made later, by
//! [`Plan::carry_out`], when everything else is known to be right.

mod certificate;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sasl_codec::ChannelBinding;
use smtp_codec::Domain;
use thiserror::Error;
use time::{Duration, OffsetDateTime};

pub use self::certificate::{Summary, Validity};
use crate::config::{Config, ConfigError};

/// Why there is no certificate.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the {what} {}: {error}; correct the path or its permissions", file.display())]
    Unreadable {
        /// `certificate` or `key`.
        what: &'static str,
        /// Which file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file holds something else.
    #[error("{} {problem}", file.display())]
    Content {
        /// Which file.
        file: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
    /// One of the two self-signed files is missing.
    #[error(
        "{} is there but {} is not; put it back, or remove the first and a new pair is made",
        present.display(), missing.display()
    )]
    Half {
        /// What is there.
        present: PathBuf,
        /// What is not.
        missing: PathBuf,
    },
    /// The self-signed pair cannot be made.
    #[error("cannot make a self-signed certificate in {}: {problem}", folder.display())]
    Make {
        /// Where.
        folder: PathBuf,
        /// Why.
        problem: String,
    },
}

/// A certificate with its key, which fit each other.
#[derive(Debug)]
pub struct Identity {
    certificates: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    file: PathBuf,
    key_file: PathBuf,
}

/// Where the certificate comes from.
#[derive(Debug)]
pub enum Plan {
    /// From the files of the configuration.
    Configured(Identity),
    /// Self-signed, made at an earlier start.
    SelfSigned(Identity),
    /// Self-signed, not there yet.
    Make {
        /// The folder it is going to be in.
        data_dir: PathBuf,
        /// The name it is going to be for.
        hostname: Domain<'static>,
    },
}

impl TlsError {
    /// The error with the line of the configuration that names the file, if one does.
    pub fn located(&self, config: &Config) -> ConfigError {
        let file = match self {
            Self::Unreadable { file, .. } | Self::Content { file, .. } => file,
            Self::Half { present, .. } => present,
            Self::Make { folder, .. } => folder,
        };
        let line = config.tls.as_ref().map(|files| match *file == files.certificate {
            true => files.certificate_line,
            false => files.key_line,
        });
        config.error(line, self)
    }
}

impl Plan {
    /// Reads and checks the certificate that the configuration names, or the self-signed one. Changes nothing.
    pub fn make(config: &Config) -> Result<Self, TlsError> {
        if let Some(files) = &config.tls {
            return Identity::load(&files.certificate, &files.key).map(Self::Configured);
        }
        let (certificate, key) = self_signed_files(&config.data_dir);
        // What cannot be looked at counts as there: reading it then says why.
        let there = |file: &Path| file.try_exists().unwrap_or(true);
        match (there(&certificate), there(&key)) {
            (true, true) => Identity::load(&certificate, &key).map(Self::SelfSigned),
            (false, false) => {
                Ok(Self::Make { data_dir: config.data_dir.clone(), hostname: config.hostname.clone() })
            }
            (true, false) => Err(TlsError::Half { present: certificate, missing: key }),
            (false, true) => Err(TlsError::Half { present: key, missing: certificate }),
        }
    }

    /// The certificate; a self-signed one is made now, in a folder that is there, and announced in the log.
    pub fn carry_out(self) -> Result<Identity, TlsError> {
        match self {
            Self::Configured(identity) => Ok(identity),
            Self::SelfSigned(identity) => {
                tracing::warn!(file = %identity.file.display(), "using a self-signed certificate");
                Ok(identity)
            }
            Self::Make { data_dir, hostname } => {
                let (certificate, key) = self_signed_files(&data_dir);
                make_self_signed(&data_dir, &hostname, &certificate, &key)
                    .map_err(|problem| TlsError::Make { folder: data_dir, problem })?;
                tracing::warn!(
                    file = %certificate.display(), %hostname,
                    "made a self-signed certificate, which mail programs will ask their users about"
                );
                Identity::load(&certificate, &key)
            }
        }
    }

    /// The certificate, if it is there already.
    pub const fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Configured(identity) | Self::SelfSigned(identity) => Some(identity),
            Self::Make { .. } => None,
        }
    }
}

impl Identity {
    /// Reads a certificate and its key, and sees whether they fit.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let wrong = |file: &Path, problem: &str| TlsError::Content {
            file: file.to_owned(),
            problem: problem.to_owned(),
        };
        let text = read("certificate", certificate)?;
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
            .collect::<Result<_, _>>()
            .map_err(|error| wrong(certificate, &broken_pem(&error)))?;
        if certificates.is_empty() {
            return Err(wrong(
                certificate,
                if is_pem(&text) {
                    "holds no certificate; point certificate in [tls] to the one with BEGIN CERTIFICATE"
                } else {
                    "is not PEM; a certificate in PEM begins with -----BEGIN CERTIFICATE-----"
                },
            ));
        }
        let text = zeroize::Zeroizing::new(read("key", key)?);
        let private = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
            pem::Error::NoItemsFound if contains(&text, b"ENCRYPTED PRIVATE KEY") => {
                wrong(key, "is protected by a password; store the key without one")
            }
            pem::Error::NoItemsFound if is_pem(&text) => {
                wrong(key, "holds no private key; point key in [tls] to the one with BEGIN PRIVATE KEY")
            }
            pem::Error::NoItemsFound => {
                wrong(key, "is not PEM; a key in PEM begins with -----BEGIN PRIVATE KEY-----")
            }
            error => wrong(key, &broken_pem(&error)),
        })?;
        let identity =
            Self { certificates, key: private, file: certificate.to_owned(), key_file: key.to_owned() };
        identity.fits()?;
        Ok(identity)
    }

    /// What a TLS server on it does: TLS 1.2 and 1.3, with ring.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .and_then(|builder| {
                builder
                    .with_no_client_auth()
                    .with_single_cert(self.certificates.clone(), self.key.clone_key())
            })
            .map_err(|error| self.problem(&error))?;
        // Mail goes one way at a time, and buffers count per connection.
        Ok(Arc::new(config))
    }

    /// Whether the file of the certificate still holds this one, whoever may read its key.
    pub fn is_still_in_its_file(&self, config: &Config) -> bool {
        let named = config.tls.as_ref().map_or(&self.file, |files| &files.certificate);
        let first = fs::read(named).ok().and_then(|text| CertificateDer::from_pem_slice(&text).ok());
        first.is_some_and(|first| first == *self.certificate())
    }

    /// The file of the certificate.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The first certificate, that of the host itself, in DER.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificates[0]
    }

    /// From when to when the certificate holds; `None` if it does not say so in a form we know.
    pub fn validity(&self) -> Option<Validity> {
        Validity::read(self.certificate())
    }

    /// What the certificates say, that of the host itself first, each followed by what issued it. What cannot be read is left out.
    pub fn summaries(&self) -> Vec<Summary> {
        self.certificates.iter().filter_map(Summary::read).collect()
    }

    /// What logins can be bound to on any connection with this certificate; `None` if its signature has no hash function
    /// of its own, as those of Ed25519 have none ([RFC 5929 §4.1](https://www.rfc-editor.org/rfc/rfc5929#section-4.1)).
    pub fn end_point(&self) -> Option<ChannelBinding> {
        certificate::end_point(self.certificate())
    }

    /// Whether the certificate is for this name.
    pub fn is_for(&self, hostname: &Domain<'_>) -> bool {
        certificate::is_for(self.certificate(), hostname)
    }

    /// Whether everybody on this machine may read the key.
    pub fn key_is_exposed(&self) -> bool {
        fs::metadata(&self.key_file).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
    }

    /// The file of the key.
    pub fn key_file(&self) -> &Path {
        &self.key_file
    }

    fn fits(&self) -> Result<(), TlsError> {
        self.server_config().map(drop)
    }

    fn problem(&self, error: &rustls::Error) -> TlsError {
        let (file, problem) = match error {
            rustls::Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch) => (
                &self.key_file,
                format!(
                    "is not the key of the certificate in {}; name the pair that belongs together",
                    self.file.display()
                ),
            ),
            rustls::Error::General(text) => {
                (&self.key_file, format!("holds a key that cannot be used: {text}"))
            }
            error => (&self.file, format!("cannot be used: {error}")),
        };
        TlsError::Content { file: file.clone(), problem }
    }
}

/// The provider of all cryptography of TLS. Given to each configuration, so no default of the process is needed.
pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// The same for HTTP: a client that names other protocols only is turned away, so that what is meant for a mail service is not
/// answered here ([RFC 7301 §3.2](https://www.rfc-editor.org/rfc/rfc7301#section-3.2)).
pub fn for_web(config: &Arc<ServerConfig>) -> Arc<ServerConfig> {
    let mut config = ServerConfig::clone(config);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

fn self_signed_files(data_dir: &Path) -> (PathBuf, PathBuf) {
    (data_dir.join("self-signed.pem"), data_dir.join("self-signed-key.pem"))
}

fn read(what: &'static str, file: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(file).map_err(|error| TlsError::Unreadable { what, file: file.to_owned(), error })
}

fn broken_pem(error: &pem::Error) -> String {
    let what = match error {
        pem::Error::MissingSectionEnd { .. } => "its END line is missing",
        pem::Error::IllegalSectionStart { .. } => "its BEGIN line is damaged",
        pem::Error::Base64Decode(_) => "its base64 is damaged",
        _ => "it cannot be decoded",
    };
    format!("is broken PEM, {what}; copy the file anew")
}

fn is_pem(text: &[u8]) -> bool {
    contains(text, b"-----BEGIN ")
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

fn make_self_signed(
    folder: &Path,
    hostname: &Domain<'_>,
    certificate: &Path,
    key: &Path,
) -> Result<(), String> {
    let (certificate_pem, key_pem) = generate(hostname).map_err(|error| error.to_string())?;
    let write = || {
        // The key first: should we stop between the two, the half that is left is of no use to anybody.
        write_new(key, key_pem.as_bytes(), 0o600)?;
        write_new(certificate, certificate_pem.as_bytes(), 0o644)?;
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| error.to_string())
}

fn generate(hostname: &Domain<'_>) -> Result<(String, zeroize::Zeroizing<String>), rcgen::Error> {
    let names = [hostname.as_str(), "localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    // A common name has at most 64 characters (ub-common-name of X.509).
    let common_name = if hostname.as_str().len() <= 64 { hostname.as_str() } else { "mailhost" };
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = OffsetDateTime::now_utc();
    // A day back, for the clocks of clients.
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(3_650);
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok((certificate.pem(), zeroize::Zeroizing::new(key.serialize_pem())))
}

fn write_new(file: &Path, octets: &[u8], mode: u32) -> io::Result<()> {
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
    opened.write_all(octets)?;
    opened.sync_all()
}

#[cfg(test)]
mod tests;
