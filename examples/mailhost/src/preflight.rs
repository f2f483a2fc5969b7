//! What is looked at before the host runs, and by `mailhost check`. Nothing here changes anything on disk, but for
//! [`Unclaimed::claim`].

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};
use thiserror::Error;
use time::{Duration, OffsetDateTime};

use crate::config::{Config, ConfigError};
use crate::listener::{Listeners, Service, raise_open_files};
use crate::privileges::{self, Other};
use crate::relay;
use crate::tls::{Identity, Plan};
use crate::words;

/// One thing that was looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Finding {
    /// How it is.
    pub severity: Severity,
    /// What it is, and what to change.
    pub text: String,
}

/// How something is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// As it should be.
    Ok,
    /// The host runs, and something ought to be changed.
    Warning,
    /// The host does not run.
    Error,
}

/// Everything that a start needs, found to be right.
#[derive(Debug)]
pub struct Cleared {
    /// The data directory, which is locked already if it was there.
    pub data_dir: Unclaimed,
    /// The certificate.
    pub tls: Plan,
    /// What ought to be changed.
    pub warnings: Vec<String>,
}

/// A data directory that nobody else uses, before it is made or marked as ours.
#[derive(Debug)]
pub struct Unclaimed {
    path: PathBuf,
    lock: Option<File>,
}

/// The data directory of this process. The lock goes when it is dropped, or when the process ends in whatever way.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why the data directory cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("data_dir {} is in use{}; stop that mailhost first", path.display(), by(*process))]
    InUse {
        /// Which directory.
        path: PathBuf,
        /// The process, if it says.
        process: Option<u32>,
    },
    /// It cannot be read and written.
    #[error("data_dir {} {problem}", path.display())]
    Unusable {
        /// Which directory.
        path: PathBuf,
        /// What is wrong and what to do.
        problem: String,
    },
}

/// Looks at everything that can keep the host from running but for its ports. The first error ends it.
pub fn clear(config: &Config) -> Result<Cleared, ConfigError> {
    clear_with(config, None)
}

/// The same for whoever has looked for the certificate already, as root.
pub fn clear_with(config: &Config, tls: Option<Plan>) -> Result<Cleared, ConfigError> {
    let data_dir = Unclaimed::probe(&config.data_dir)
        .map_err(|error| config.error(Some(config.data_dir_line), error))?;
    admin_socket(config).map_err(|problem| config.error(Some(config.data_dir_line), problem))?;
    let tls = tls.map_or_else(|| Plan::make(config), Ok).map_err(|error| error.located(config))?;
    let mut findings = vec![hostname(config), disk(config)];
    findings.extend(imprudent(config));
    findings.extend(raise_open_files(&config.limits).map(warning));
    findings.extend(tls.identity().map(|identity| certificate(config, identity)));
    findings.extend(exposed(&config.data_dir, tls.identity()));
    findings.extend(root(config).filter(|_| privileges::is_root()));
    findings.retain(|finding| finding.severity != Severity::Ok);
    let warnings = findings.into_iter().map(|finding| finding.text).collect();
    Ok(Cleared { data_dir, tls, warnings })
}

/// Looks at everything, for a person to read. Wants a tokio runtime.
pub fn check(config: &Config) -> Vec<Finding> {
    let mut findings = vec![ok(format!("{} can be read", config.file.display())), hostname(config)];
    let mut running = false;
    // Dropped at once: to look must not keep a host from starting.
    match Unclaimed::probe(&config.data_dir).map(|data_dir| data_dir.lock.is_some()) {
        Ok(true) => findings.push(ok(format!("data_dir {} can be used", config.data_dir.display()))),
        Ok(false) => findings.push(ok(format!("data_dir {} can be made", config.data_dir.display()))),
        Err(DataDirError::InUse { path, process }) => {
            running = true;
            findings.push(ok(format!("data_dir {} is in use{}", path.display(), by(process))));
        }
        Err(other) => findings.push(error(config.error(Some(config.data_dir_line), other))),
    }
    if let Err(problem) = admin_socket(config) {
        findings.push(error(config.error(Some(config.data_dir_line), problem)));
    }
    findings.extend(root(config));
    findings.push(disk(config));
    findings.extend(imprudent(config));
    findings.extend(raise_open_files(&config.limits).map(warning));
    match Plan::make(config) {
        Ok(plan) => findings.extend(of_certificate(config, plan.identity())),
        Err(problem) => findings.push(error(problem.located(config))),
    }
    if let Err(problem) = relay::smarthost_login(config) {
        findings.push(error(problem.located(config)));
    }
    if running {
        findings.push(ok("the addresses were not tried, for a host is running on them".to_owned()));
    } else {
        for (listen, result) in Listeners::try_each(config) {
            findings.push(match result {
                Ok(()) => ok(format!("{} is free for {}", listen.address, listen.service)),
                Err(problem) => error(problem),
            });
        }
    }
    findings
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Ok => "ok",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{severity}: {}", self.text)
    }
}

impl Unclaimed {
    /// Sees whether a data directory can be used, and keeps others from it if it is there. Changes nothing.
    pub fn probe(path: &Path) -> Result<Self, DataDirError> {
        usable(path).map_err(|problem| unusable(path, &problem))?;
        let file = path.join(LOCK);
        let lock = match OpenOptions::new().read(true).write(true).open(&file) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                return Err(unusable(path, &format!("has a lock file that cannot be opened: {error}")));
            }
        };
        if let Some(lock) = &lock {
            take(path, lock)?;
        }
        Ok(Self { path: path.to_owned(), lock })
    }

    /// Makes the directory if it is not there, locks it, and writes the number of this process into the lock file.
    pub fn claim(self) -> Result<DataDir, DataDirError> {
        let Self { path, lock } = self;
        let failed = |what: &str, error: &io::Error| unusable(&path, &format!("{what}: {error}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(failed("cannot be made", &error));
            }
            _ => {}
        }
        let mut lock = match lock {
            Some(lock) => lock,
            None => {
                let opened = OpenOptions::new()
                    .read(true)
                    .write(true)
                    .create(true)
                    .truncate(false)
                    .mode(0o600)
                    .open(path.join(LOCK))
                    .map_err(|error| failed("cannot be locked", &error))?;
                take(&path, &opened)?;
                opened
            }
        };
        let write = |lock: &mut File| {
            lock.set_len(0)?;
            lock.rewind()?;
            writeln!(lock, "{}", process::id())
        };
        write(&mut lock).map_err(|error| failed("cannot be locked", &error))?;
        Ok(DataDir { path, _lock: lock })
    }
}

impl DataDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn take(path: &Path, lock: &File) -> Result<(), DataDirError> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Its owner may be about to write it.
            let _ = lock.take(32).read_to_string(&mut text);
            Err(DataDirError::InUse { path: path.to_owned(), process: text.trim().parse().ok() })
        }
        Err(TryLockError::Error(error)) => Err(unusable(path, &format!("cannot be locked: {error}"))),
    }
}

/// What is wrong with it, if anything is.
fn usable(path: &Path) -> Result<(), String> {
    let access = |path: &Path| {
        accessat(CWD, path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS)
    };
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => {
            Err("is not a folder; name one, or a path where there is nothing".to_owned())
        }
        Ok(_) => access(path).map_err(|error| {
            format!(
                "cannot be read and written ({}); give it to the user that runs mailhost",
                io::Error::from(error)
            )
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            access(parent).map_err(|error| {
                let error = io::Error::from(error);
                format!(
                    "cannot be made in {} ({error}); create it and give it to the user that runs mailhost",
                    parent.display()
                )
            })
        }
        Err(error) => Err(format!("cannot be looked at ({error}); correct the path or its permissions")),
    }
}

fn unusable(path: &Path, problem: &str) -> DataDirError {
    DataDirError::Unusable { path: path.to_owned(), problem: problem.to_owned() }
}

fn by(process: Option<u32>) -> String {
    process.map_or_else(|| " by another process".to_owned(), |process| format!(" by process {process}"))
}

fn hostname(config: &Config) -> Finding {
    let hostname = &config.hostname;
    if hostname.as_str().contains('.') {
        ok(format!("hostname is {hostname}"))
    } else {
        warning(format!(
            "hostname {hostname} has no dot; other hosts want a full name, such as mail.example.test"
        ))
    }
}

fn disk(config: &Config) -> Finding {
    let existing = config.data_dir.ancestors().find(|path| path.exists()).unwrap_or_else(|| Path::new("."));
    let place = if existing.as_os_str().is_empty() { Path::new(".") } else { existing };
    match statvfs(place) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let reserve = config.limits.disk_reserve.octets(disk.f_blocks.saturating_mul(disk.f_frsize));
            let (free_mib, reserve_mib) = (free >> 20, reserve >> 20);
            if free > reserve.saturating_add(config.limits.message_size) {
                ok(format!("{free_mib} MiB of disk are free, of which {reserve_mib} MiB are kept"))
            } else {
                warning(format!(
                    "{free_mib} MiB of disk are free, and mail is refused below {reserve_mib} MiB; \
                     make room, or lower disk_reserve in [limits]"
                ))
            }
        }
        Err(error) => {
            warning(format!("the free space of the disk cannot be found out: {}", io::Error::from(error)))
        }
    }
}

/// Whom a host becomes that is started as root.
fn root(config: &Config) -> Option<Finding> {
    match Other::of(config) {
        Ok(Some(other)) => Some(ok(format!("started as root, the host becomes {}", other.name()))),
        Ok(None) if privileges::is_root() => Some(warning(
            "started as root, the host stays root; name another user in user in [run]".to_owned(),
        )),
        Ok(None) => None,
        Err(problem) => Some(error(config.error(config.run_as.as_ref().map(|(_, line)| *line), problem))),
    }
}

/// What is allowed, and hardly meant.
pub(crate) fn imprudent(config: &Config) -> impl Iterator<Item = Finding> {
    let all = [plaintext(config), exposed_administration(config), open_relay(config), hasty(config)];
    all.into_iter().flatten()
}

fn plaintext(config: &Config) -> Option<Finding> {
    let exposed = config.listen.iter().find(|listen| {
        config.allow_plaintext && listen.service.has_plain_logins() && !listen.address.ip().is_loopback()
    })?;
    Some(warning(format!(
        "passwords may cross the network in the clear to {}; set allow_plaintext to false in [auth]",
        exposed.address
    )))
}

fn exposed_administration(config: &Config) -> Option<Finding> {
    let exposed = config
        .listen
        .iter()
        .find(|listen| listen.service == Service::WebAdmin && !listen.address.ip().is_loopback())?;
    Some(warning(format!(
        "web_admin at {} shows counters to everybody, and what its operator does crosses the network in the clear; \
         let it listen on loopback, or see that a firewall guards it",
        exposed.address
    )))
}

fn open_relay(config: &Config) -> Option<Finding> {
    let everybody = config.relay.networks.iter().find(|network| network.is_vast())?;
    Some(warning(format!(
        "networks in [relay] has {}, so strangers may send mail to anybody through this host, and will; name your own networks alone",
        everybody.text()
    )))
}

fn hasty(config: &Config) -> Option<Finding> {
    let (expire, first) = (config.queue.expire, *config.queue.retry.first()?);
    (expire < first).then(|| {
        warning(format!(
            "expire in [queue] is {}, and the first try after a failed one comes after {}, so what cannot be delivered goes back \
             without a second try; a number without a unit means seconds, write \"30h\" for hours",
            words::span(expire),
            words::span(first)
        ))
    })
}

/// The system cuts off or refuses longer paths of Unix sockets, with errors that say nothing.
fn admin_socket(config: &Config) -> Result<(), String> {
    let socket = config.admin_socket();
    let length = socket.as_os_str().as_bytes().len();
    if length < SOCKET_PATH {
        return Ok(());
    }
    Err(format!(
        "{} is {length} octets long and the path of a socket may have {}; choose a shorter data_dir",
        socket.display(),
        SOCKET_PATH - 1
    ))
}

fn certificate(config: &Config, identity: &Identity) -> Finding {
    let file = identity.file().display();
    let now = OffsetDateTime::now_utc();
    if !identity.is_for(&config.hostname) {
        return warning(format!(
            "the certificate in {file} is not for {}; have one issued for it",
            config.hostname
        ));
    }
    match identity.validity() {
        None => warning(format!("the certificate in {file} does not say how long it holds")),
        Some(validity) if validity.until < now => {
            warning(format!("the certificate in {file} ended on {}; renew it", validity.until.date()))
        }
        Some(validity) if validity.from > now => warning(format!(
            "the certificate in {file} begins on {}; is the clock right?",
            validity.from.date()
        )),
        Some(validity) if validity.until - now < SOON => {
            warning(format!("the certificate in {file} ends on {}; renew it soon", validity.until.date()))
        }
        Some(validity) => ok(format!("the certificate in {file} holds until {}", validity.until.date())),
    }
}

/// What is to be said of the certificate, which may have to be made yet.
pub(crate) fn of_certificate(config: &Config, identity: Option<&Identity>) -> Vec<Finding> {
    let self_signed = "the certificate is self-signed, and mail programs will ask about it; set certificate and key in [tls]";
    let mut findings = Vec::new();
    findings.extend(config.tls.is_none().then(|| warning(self_signed.to_owned())));
    findings.extend(identity.map(|identity| certificate(config, identity)));
    findings.extend(exposed(&config.data_dir, identity));
    findings
}

fn exposed(data_dir: &Path, identity: Option<&Identity>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(identity) = identity.filter(|identity| identity.key_is_exposed()) {
        let file = identity.key_file().display();
        findings.push(warning(format!("the key in {file} can be read by others; chmod 600 it")));
    }
    if fs::metadata(data_dir).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 != 0) {
        let path = data_dir.display();
        findings.push(warning(format!("data_dir {path} is open to other users; chmod 700 it")));
    }
    findings
}

fn ok(text: String) -> Finding {
    Finding { severity: Severity::Ok, text }
}

fn warning(text: String) -> Finding {
    Finding { severity: Severity::Warning, text }
}

fn error(problem: impl fmt::Display) -> Finding {
    Finding { severity: Severity::Error, text: problem.to_string() }
}

/// The file in the data directory that is locked while a process uses it.
const LOCK: &str = "lock";
/// `sun_path` of Linux, its final NUL included.
const SOCKET_PATH: usize = 108;
const SOON: Duration = Duration::days(14);

#[cfg(test)]
mod tests;
