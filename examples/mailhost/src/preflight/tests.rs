use std::env;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A folder that is gone after the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("mailhost-pf-{}-{number}", process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn config(&self, data_dir: &str, more: &str) -> Config {
        let text = format!(
            "hostname = \"mail.example.test\"\ndata_dir = {data_dir:?}\ndomains = [\"example.test\"]\n\
             [listen]\nsmtp = [\"127.0.0.1:0\"]\n{more}"
        );
        Config::parse(&text, &self.0.join("mail.toml")).unwrap()
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(&self.0).unwrap().count() == 0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

#[test]
fn looking_changes_nothing_and_claiming_makes_the_directory() {
    let folder = Folder::new();
    let config = folder.config("data", "");
    let cleared = clear(&config).unwrap();
    assert!(folder.is_empty());
    let data_dir = cleared.data_dir.claim().unwrap();
    assert_eq!(data_dir.path(), folder.0.join("data"));
    let text = fs::read_to_string(folder.0.join("data/lock")).unwrap();
    assert_eq!(text, format!("{}\n", process::id()));
    let mode = fs::metadata(data_dir.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn a_data_directory_has_one_user_at_a_time() {
    let folder = Folder::new();
    let config = folder.config("data", "");
    let first = Unclaimed::probe(&config.data_dir).unwrap();
    let second = Unclaimed::probe(&config.data_dir).unwrap();
    let held = first.claim().unwrap();
    let expected = format!(
        "data_dir {} is in use by process {}; stop that mailhost first",
        config.data_dir.display(),
        process::id()
    );
    // One that had looked while the directory was not there, and one that looks now.
    assert_eq!(second.claim().unwrap_err().to_string(), expected);
    assert_eq!(Unclaimed::probe(&config.data_dir).unwrap_err().to_string(), expected);
    assert_eq!(clear(&config).unwrap_err().to_string(), format!("{}:2: {expected}", config.file.display()));
    drop(held);
    let again = Unclaimed::probe(&config.data_dir).unwrap();
    assert!(
        matches!(Unclaimed::probe(&config.data_dir), Err(DataDirError::InUse { .. })),
        "looking holds it too"
    );
    again.claim().unwrap();
}

#[test]
fn a_directory_that_cannot_be_is_told() {
    let folder = Folder::new();
    fs::write(folder.0.join("file"), "").unwrap();
    let problem = |data_dir: &str| {
        let error = clear(&folder.config(data_dir, "")).unwrap_err();
        assert_eq!(error.line, Some(2));
        error.message.replace(&*folder.0.to_string_lossy(), "T")
    };
    assert_eq!(
        problem("file"),
        "data_dir T/file is not a folder; name one, or a path where there is nothing"
    );
    assert_eq!(
        problem("a/b"),
        "data_dir T/a/b cannot be made in T/a (No such file or directory (os error 2)); create it and give it to the \
         user that runs mailhost"
    );
    assert_eq!(
        problem("file/b"),
        "data_dir T/file/b cannot be looked at (Not a directory (os error 20)); correct the path or its permissions"
    );
}

#[test]
fn a_socket_path_that_is_too_long_is_told() {
    let folder = Folder::new();
    let long = "d".repeat(120);
    let config = folder.config(&long, "");
    let length = config.admin_socket().as_os_str().len();
    assert_eq!(
        clear(&config).unwrap_err().message,
        format!(
            "{} is {length} octets long and the path of a socket may have 107; choose a shorter data_dir",
            config.admin_socket().display()
        )
    );
}

fn texts(config: &Config) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { check(config) }).iter().map(ToString::to_string).collect()
}

#[test]
fn a_check_says_all_that_is_wrong() {
    let folder = Folder::new();
    fs::write(folder.0.join("file"), "").unwrap();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = other.local_addr().unwrap();
    let more = format!(
        "pop3 = [\"{taken}\"]\nsubmission = [\"0.0.0.0:0\"]\n[auth]\nallow_plaintext = true\n[tls]\n\
         certificate = \"c\"\nkey = \"k\"\n[limits]\ndisk_reserve = \"500000 GiB\"\n"
    );
    let texts = texts(&folder.config("file", &more));
    let has = |start: &str, part: &str| {
        assert!(
            texts.iter().any(|text| text.starts_with(start) && text.contains(part)),
            "no {start} with {part:?} in {texts:#?}"
        );
    };
    has("ok: ", "mail.toml can be read");
    has("ok: ", "hostname is mail.example.test");
    has("error: ", ":2: data_dir ");
    has("warning: ", "and mail is refused below 512000000 MiB");
    has("warning: ", "in the clear to 0.0.0.0:0");
    has("error: ", ":11: cannot read the certificate ");
    has("error: ", ":6: cannot listen on ");
    has("ok: ", "127.0.0.1:0 is free for smtp");
}

#[test]
fn a_check_beside_a_running_host_does_not_call_its_ports_taken() {
    let folder = Folder::new();
    let config = folder.config("data", "");
    let _held = clear(&config).unwrap().data_dir.claim().unwrap();
    let texts = texts(&config);
    assert!(texts.iter().any(|text| text.contains("is in use by process")), "{texts:#?}");
    assert!(!texts.iter().any(|text| text.starts_with("error") || text.contains("is free")), "{texts:#?}");
}

#[test]
fn a_data_directory_that_is_open_to_others_is_a_warning() {
    let folder = Folder::new();
    let config = folder.config("data", "");
    fs::create_dir(&config.data_dir).unwrap();
    fs::set_permissions(&config.data_dir, fs::Permissions::from_mode(0o755)).unwrap();
    let warnings = clear(&config).unwrap().warnings;
    assert!(
        warnings.iter().any(|text| text.contains("is open to other users; chmod 700 it")),
        "{warnings:?}"
    );
}

#[test]
fn certificates_that_end_soon_or_are_for_others_are_warnings() {
    let folder = Folder::new();
    let config = folder.config(".", "");
    let write = |name: &str, from: i64, until: i64| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let now = OffsetDateTime::now_utc();
        params.not_before = now + Duration::days(from);
        params.not_after = now + Duration::days(until);
        let (certificate, key_file) = (folder.0.join("c"), folder.0.join("k"));
        fs::write(&certificate, params.self_signed(&key).unwrap().pem()).unwrap();
        fs::write(&key_file, key.serialize_pem()).unwrap();
        self::certificate(&config, &Identity::load(&certificate, &key_file).unwrap())
    };
    let host = "mail.example.test";
    for (found, severity, part) in [
        (write(host, -1, 30), Severity::Ok, " holds until "),
        (write("*.example.test", -1, 30), Severity::Ok, " holds until "),
        (write(host, -1, 5), Severity::Warning, "; renew it soon"),
        (write(host, -9, -5), Severity::Warning, " ended on "),
        (write(host, 2, 30), Severity::Warning, "; is the clock right?"),
        (write("example.test", -1, 30), Severity::Warning, " is not for mail.example.test; "),
    ] {
        assert!(found.severity == severity && found.text.contains(part), "{found:?}, expected {part:?}");
    }
}
