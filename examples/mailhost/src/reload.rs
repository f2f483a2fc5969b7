//! Another configuration and another certificate, while the host runs.
//!
//! Both are looked at anew at SIGHUP, and a few seconds after one of their files has changed. Sessions keep what they have
//! begun with. What is wrong is said in one line and changes nothing: a host that runs goes on running.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use tokio::net::TcpStream;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::spawn_blocking;
use tokio::time::interval;
use tracing::{error, info, warn};

use crate::config::{Config, Listen, RESOLV_CONF};
use crate::host::{Current, Host};
use crate::listener::{Listeners, Service, Serving, Stopping, raise_open_files};
use crate::offers::offers;
use crate::preflight::{self, Severity};
use crate::privileges;
use crate::relay::Prepared;
use crate::tls::{Identity, Plan};

/// Waits for reasons to look at the configuration anew.
#[derive(Debug)]
pub struct Reload {
    hangup: io::Result<Signal>,
    /// What the files were like when they were read.
    read: Files,
    /// What they are like now, if that is something else: it has to stay so for a moment, for somebody may be writing.
    changing: Option<Files>,
}

/// By path, what changes with the contents of a file; `None` for one that is not there.
type Files = BTreeMap<PathBuf, Option<Stamp>>;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Of the contents, and of the permissions: a file that could not be read may have been handed over.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Reload {
    /// From this call on SIGHUP does not end the process any more. Wants a tokio runtime.
    pub fn on_signal(host: &Host) -> Self {
        let hangup = signal(SignalKind::hangup());
        if let Err(error) = &hangup {
            warn!(%error, "SIGHUP cannot be waited for");
        }
        Self { hangup, read: look(&host.config), changing: None }
    }

    /// Reloads, for ever.
    pub async fn run<H, F>(mut self, current: &Current, serving: &mut Serving<H>)
    where
        H: Fn(Service, TcpStream, SocketAddr, Stopping) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut tick = interval(POLL);
        loop {
            let asked = tokio::select! {
                () = hung_up(&mut self.hangup) => true,
                _ = tick.tick() => false,
            };
            let files = look(&current.get().config);
            if !asked {
                if files == self.read {
                    self.changing = None;
                    continue;
                }
                if self.changing.as_ref() != Some(&files) {
                    self.changing = Some(files);
                    continue;
                }
            }
            reload(current, serving, asked).await;
            // Another configuration may name other files. What was seen of a file before it was read is what counts: if it
            // has changed since, it is read again.
            self.read = look(&current.get().config);
            for (path, stamp) in &mut self.read {
                if let Some(before) = files.get(path) {
                    *stamp = *before;
                }
            }
            self.changing = None;
        }
    }
}

async fn hung_up(hangup: &mut io::Result<Signal>) {
    match hangup {
        Ok(hangup) => drop(hangup.recv().await),
        Err(_) => std::future::pending().await,
    }
}

fn look(config: &Config) -> Files {
    let tls = config.tls.iter().flat_map(|files| [&*files.certificate, &*files.key]);
    let smarthost = config.relay.smarthost.iter().filter_map(|smarthost| smarthost.password_file.as_deref());
    let all = [&*config.file, Path::new(RESOLV_CONF)].into_iter().chain(tls).chain(smarthost);
    all.map(|path| (path.to_owned(), Stamp::of(path))).collect()
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        Some(Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }
}

async fn reload<H, F>(current: &Current, serving: &mut Serving<H>, asked: bool)
where
    H: Fn(Service, TcpStream, SocketAddr, Stopping) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let old = current.get();
    let (mut config, mut good) = (old.config.clone(), true);
    match wanted(&old, serving).await {
        Ok((new, prepared, added)) => {
            old.accounts.change(&new);
            old.relay.change(prepared);
            for (service, address) in added.addresses() {
                info!(%service, %address, "listening");
            }
            for Listen { service, address, .. } in serving.change(&new, added) {
                info!(%service, %address, "no longer listening");
            }
            config = new;
        }
        Err(why) => {
            error!("{}; the old configuration stays in force", hinted(why));
            good = false;
        }
    }
    let mut identity = None;
    if old.tls.is_some() {
        // Also under the old configuration, or a certificate that is renewed would not be seen until the new one is right.
        match renewed(&old, &config).await {
            Ok(new) => identity = new,
            Err(why) => {
                error!("{}; the old certificate stays in use", hinted(why));
                good = false;
            }
        }
    }
    let changed = changed(&old.config, &config);
    let offers = offers(&config, serving.addresses());
    old.desk.is_at(serving.addresses());
    let mut host = Host { config, offers, ..Host::clone(&old) };
    if let Some((identity, tls)) = &identity {
        host = host.with_identity(Arc::clone(identity), Arc::clone(tls));
    }
    current.set(host);
    // Whoever reads of it may rely on it.
    let host = current.get();
    if !changed.is_empty() {
        info!(changed = changed.join(" "), "configuration reloaded");
        if let Some(warning) = raise_open_files(&host.config.limits) {
            warn!(%warning, "the configuration can be better");
        }
    }
    if let Some((identity, _)) = &identity {
        info!(file = %identity.file().display(), "certificate reloaded");
        let findings = preflight::of_certificate(&host.config, Some(identity));
        for finding in findings.into_iter().filter(|finding| finding.severity != Severity::Ok) {
            warn!(warning = %finding.text, "the configuration can be better");
        }
    } else if asked && good && changed.is_empty() {
        info!("configuration and certificate looked at, nothing has changed");
    }
}

/// The configuration as it is in its file now, and all that it takes to go by it. Nothing has been changed yet.
async fn wanted<H, F>(old: &Arc<Host>, serving: &Serving<H>) -> Result<(Config, Prepared, Listeners), String>
where
    H: Fn(Service, TcpStream, SocketAddr, Stopping) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let host = Arc::clone(old);
    let read = move || {
        let new = Config::load(&host.config.file).map_err(|error| error.to_string())?;
        let new = keep_what_is_fixed(&host.config, new);
        let prepared = host.relay.prepare(&host.config, &new).map_err(|error| error.to_string())?;
        Ok::<_, String>((new, prepared))
    };
    let (new, prepared) = spawn_blocking(read).await.map_err(|error| error.to_string())??;
    let added = serving.bind(&new).map_err(|error| error.to_string())?;
    Ok((new, prepared, added))
}

/// Some settings are of the process. They stay, and it is said.
fn keep_what_is_fixed(old: &Config, mut new: Config) -> Config {
    let mut kept = Vec::new();
    let mut keep = |key, differs, is: &dyn Display| {
        if differs {
            kept.push(format!("{key} stays {is}"));
        }
        differs
    };
    if keep("hostname", new.hostname != old.hostname, &old.hostname) {
        new.hostname = old.hostname.clone();
    }
    if keep("data_dir", new.data_dir != old.data_dir, &old.data_dir.display()) {
        new.data_dir.clone_from(&old.data_dir);
    }
    let (queue, before) = (&mut new.queue, &old.queue);
    let messages = before.resident_messages;
    if keep("resident_messages", queue.resident_messages != messages, &messages) {
        queue.resident_messages = messages;
    }
    if keep("resident_size", queue.resident_size != before.resident_size, &before.resident_size) {
        queue.resident_size = before.resident_size;
    }
    if keep("log.format", new.log.format != old.log.format, &old.log.format.key()) {
        new.log.format = old.log.format;
    }
    if keep("log.level", new.log.level != old.log.level, &old.log.level.as_str().to_lowercase()) {
        new.log.level = old.log.level;
    }
    if !kept.is_empty() {
        let (file, kept) = (new.file.display(), kept.join(", "));
        warn!(%file, kept, "some settings stay until the host is restarted");
    }
    new
}

/// Another certificate than the one in use, if there is one.
async fn renewed(
    old: &Host,
    config: &Config,
) -> Result<Option<(Arc<Identity>, Arc<rustls::ServerConfig>)>, String> {
    let (config, in_use) = (config.clone(), old.identity.clone());
    let read = move || {
        let located = |error: crate::tls::TlsError| error.located(&config).to_string();
        let same = |identity: &Identity| {
            in_use.as_ref().is_some_and(|in_use| in_use.certificate() == identity.certificate())
        };
        let plan = match Plan::make(&config) {
            Ok(plan) => plan,
            // Whoever gave up root cannot read the key any more, which is no news unless there is another one.
            Err(_) if in_use.as_ref().is_some_and(|in_use| in_use.is_still_in_its_file(&config)) => {
                return Ok(None);
            }
            Err(error) => return Err(located(error)),
        };
        if plan.identity().is_some_and(same) {
            return Ok(None);
        }
        let identity = plan.carry_out().map_err(located)?;
        let now = OffsetDateTime::now_utc();
        if let Some(validity) = identity.validity().filter(|validity| validity.until < now) {
            let problem =
                format!("{} ended on {}; renew it", identity.file().display(), validity.until.date());
            return Err(config
                .error(config.tls.as_ref().map(|files| files.certificate_line), problem)
                .to_string());
        }
        let tls = identity.server_config().map_err(located)?;
        Ok(Some((Arc::new(identity), tls)))
    };
    spawn_blocking(read).await.map_err(|error| error.to_string())?
}

/// What a host can do about it that is not root any more.
fn hinted(why: String) -> String {
    match privileges::given_up_for() {
        Some(user) if why.contains("ermission denied") => {
            format!(
                "{why}; the host has given up root and is {user} now, so allow it to {user}, or restart the host"
            )
        }
        _ => why,
    }
}

/// The keys whose values differ, each with its section.
fn changed(old: &Config, new: &Config) -> Vec<String> {
    let lines = |config: &Config| {
        let (mut section, mut all) = (String::new(), BTreeSet::new());
        for line in config.to_toml().lines() {
            match line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                Some(name) => section = format!("{name}."),
                None if line.is_empty() => {}
                None => drop(all.insert(format!("{section}{line}"))),
            }
        }
        all
    };
    let (old, new) = (lines(old), lines(new));
    let key = |line: &String| line.split(" = ").next().unwrap_or(line).replace("# ", "");
    let keys: BTreeSet<_> = old.symmetric_difference(&new).map(key).collect();
    keys.into_iter().collect()
}

/// How often the files are looked at.
const POLL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    fn config(lines: &str) -> Config {
        let text = format!("hostname = \"mail.a.test\"\ndata_dir = \"d\"\ndomains = [\"a.test\"]\n{lines}");
        Config::parse(&text, Path::new("mail.toml")).unwrap()
    }

    #[test]
    fn what_has_changed_is_named() {
        let old = config("[listen]\nsmtp = [\"127.0.0.1:25\"]\n");
        let new = config(
            "\n[listen]\nimap = [\"127.0.0.1:143\"]\nsmtp = [\"127.0.0.1:25\"]\n[limits]\nerrors = 7\n",
        );
        assert_eq!(changed(&old, &new), ["limits.errors", "listen.imap"]);
        assert_eq!(changed(&new, &new.clone()), [""; 0]);
    }

    #[test]
    fn what_is_of_the_process_stays() {
        let old = config("[listen]\nsmtp = [\"127.0.0.1:25\"]\n");
        let mut new = config("[listen]\nsmtp = [\"127.0.0.1:26\"]\n[queue]\nresident_messages = 7\n");
        new.data_dir = PathBuf::from("elsewhere");
        let kept = keep_what_is_fixed(&old, new);
        assert_eq!(changed(&old, &kept), ["listen.smtp"]);
    }
}
