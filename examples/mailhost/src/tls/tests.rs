use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, process};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("mailhost-tls-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, octets: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, octets).unwrap();
        path
    }

    fn config(&self) -> Config {
        let text = format!(
            "hostname = \"mail.example.test\"\ndata_dir = {:?}\ndomains = [\"example.test\"]\n\
             [listen]\nsmtp = [\"127.0.0.1:0\"]\n",
            self.0
        );
        Config::parse(&text, Path::new("mail.toml")).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn host() -> Domain<'static> {
    Domain::parse("mail.example.test").unwrap()
}

#[track_caller]
fn says(result: Result<Identity, TlsError>, expected: &str) {
    assert_eq!(result.map(drop).map_err(|error| error.to_string()), Err(expected.to_owned()));
}

#[test]
fn a_self_signed_pair_is_made_once_and_then_kept() {
    let folder = Folder::new();
    let config = folder.config();
    let plan = Plan::make(&config).unwrap();
    assert!(plan.identity().is_none());
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 0, "a plan changes nothing");

    let made = plan.carry_out().unwrap();
    assert!(made.is_for(&host()) && made.is_for(&Domain::parse("localhost").unwrap()));
    assert!(!made.is_for(&Domain::parse("other.test").unwrap()));
    let validity = made.validity().unwrap();
    let now = OffsetDateTime::now_utc();
    assert!(validity.from < now && validity.until > now + Duration::days(3_600), "{validity:?}");
    let mode = fs::metadata(made.key_file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!made.key_is_exposed());

    let Plan::SelfSigned(kept) = Plan::make(&config).unwrap() else { panic!("it is there") };
    assert_eq!(kept.certificate(), made.certificate());
}

#[test]
fn half_a_self_signed_pair_is_an_error() {
    let folder = Folder::new();
    let key = folder.write("self-signed-key.pem", "");
    let error = Plan::make(&folder.config()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "{} is there but {} is not; put it back, or remove the first and a new pair is made",
            key.display(),
            folder.0.join("self-signed.pem").display()
        )
    );
}

#[test]
fn a_file_that_is_there_is_never_overwritten() {
    let folder = Folder::new();
    let plan = Plan::make(&folder.config()).unwrap();
    let key = folder.write("self-signed-key.pem", "mine");
    assert!(matches!(plan.carry_out(), Err(TlsError::Make { .. })));
    assert_eq!(fs::read(key).unwrap(), b"mine");
}

#[test]
fn each_wrong_file_is_told_apart() {
    let folder = Folder::new();
    let (certificate, key) = generate(&host()).unwrap();
    let (_, other_key) = generate(&host()).unwrap();
    let good = folder.write("good.pem", &certificate);
    let good_key = folder.write("good.key", &*key);
    assert!(Identity::load(&good, &good_key).is_ok());
    // Both in one file is how some programs store them.
    let both = folder.write("both.pem", format!("{}{certificate}", *key));
    assert!(Identity::load(&both, &both).is_ok());

    let missing = folder.0.join("missing");
    says(
        Identity::load(&missing, &good_key),
        &format!(
            "cannot read the certificate {}: No such file or directory (os error 2); correct the path or its permissions",
            missing.display()
        ),
    );
    says(
        Identity::load(&good, &folder.0),
        &format!(
            "cannot read the key {}: Is a directory (os error 21); correct the path or its permissions",
            folder.0.display()
        ),
    );
    let other = folder.write("other.key", &*other_key);
    says(
        Identity::load(&good, &other),
        &format!(
            "{} is not the key of the certificate in {}; name the pair that belongs together",
            other.display(),
            good.display()
        ),
    );
    let locked = folder.write(
        "locked.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let cut = folder.write("cut.pem", &certificate[..certificate.len() - 30]);
    let damaged =
        folder.write("damaged.pem", certificate.replacen("MII", "M\u{e9}I", 1).replacen("MIIB", "M!IB", 1));
    let der = folder.write("der", [0x30, 0x82, 0, 0]);
    let nonsense =
        folder.write("nonsense.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (certificate, key, file, problem) in [
        (&der, &good_key, &der, "is not PEM; a certificate in PEM begins with -----BEGIN CERTIFICATE-----"),
        (
            &good_key,
            &good_key,
            &good_key,
            "holds no certificate; point certificate in [tls] to the one with BEGIN CERTIFICATE",
        ),
        (&good, &der, &der, "is not PEM; a key in PEM begins with -----BEGIN PRIVATE KEY-----"),
        (&good, &good, &good, "holds no private key; point key in [tls] to the one with BEGIN PRIVATE KEY"),
        (&good, &locked, &locked, "is protected by a password; store the key without one"),
        (&cut, &good_key, &cut, "is broken PEM, its END line is missing; copy the file anew"),
        (&damaged, &good_key, &damaged, "is broken PEM, its base64 is damaged; copy the file anew"),
        (&nonsense, &good_key, &nonsense, "cannot be used: invalid peer certificate: BadEncoding"),
    ] {
        says(Identity::load(certificate, key), &format!("{} {problem}", file.display()));
    }
}

#[test]
fn an_error_names_the_line_of_the_configuration() {
    let config = Config::parse(
        "hostname = \"a.test\"\ndata_dir = \"d\"\ndomains = [\"a.test\"]\n[tls]\ncertificate = \"c.pem\"\n\
         key = \"k.pem\"\n[listen]\nsmtp = [\"127.0.0.1:0\"]\n",
        Path::new("no-such-folder/mail.toml"),
    )
    .unwrap();
    let error = Plan::make(&config).unwrap_err().located(&config);
    assert_eq!((error.line, &*error.file), (Some(5), Path::new("no-such-folder/mail.toml")));
    assert!(
        error.message.starts_with("cannot read the certificate no-such-folder/c.pem: "),
        "{}",
        error.message
    );
}

#[test]
fn a_key_that_everybody_can_read_is_noticed() {
    let folder = Folder::new();
    let (certificate, key) = generate(&host()).unwrap();
    let (certificate, key) = (folder.write("c", certificate), folder.write("k", &*key));
    // A group is how a key is given to the user of the host.
    for (mode, exposed) in [(0o600, false), (0o640, false), (0o644, true)] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(Identity::load(&certificate, &key).unwrap().key_is_exposed(), exposed, "{mode:o}");
    }
}

#[tokio::test]
async fn a_client_that_trusts_the_certificate_talks_tls_of_both_versions() {
    let folder = Folder::new();
    let identity = Plan::make(&folder.config()).unwrap().carry_out().unwrap();
    let acceptor = TlsAcceptor::from(identity.server_config().unwrap());
    let mut roots = RootCertStore::empty();
    roots.add(identity.certificate().clone()).unwrap();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots.clone())
            .with_no_client_auth();
        let (near, far) = tokio::io::duplex(4_096);
        let name = ServerName::try_from("mail.example.test").unwrap();
        let connector = TlsConnector::from(Arc::new(client));
        let (server, client) = tokio::join!(acceptor.accept(far), connector.connect(name, near));
        let (mut server, mut client) = (server.unwrap(), client.unwrap());
        server.write_all(b"220").await.unwrap();
        server.flush().await.unwrap();
        let mut octets = [0; 3];
        client.read_exact(&mut octets).await.unwrap();
        assert_eq!(&octets, b"220");
        assert_eq!(client.get_ref().1.protocol_version(), Some(version.version));
    }
}
