//! A host from a backup.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use mailstore::message::UnixTime;
use mailstore::{Actor, Commit, Intent};

use super::backup::{Contents, SUBFOLDERS, checked, private};
use super::files::{bar, failed_at};
use super::maildir::sync_all;
use crate::admin::{self, Alone};
use crate::commands::Failure;
use crate::config::Config;
use crate::preflight::Unclaimed;
use crate::privileges;
use crate::relay::Ordered;
use crate::store::Opening;

/// What becomes of mail that waited for other hosts.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, clap::ValueEnum)]
pub enum Waiting {
    /// Nothing, until `mailhost queue release`: some of it may have been sent since the backup.
    #[default]
    Hold,
    /// It is sent, for nothing has happened since the backup.
    Send,
    /// It is given up, and nobody is told.
    Drop,
}

/// How a backup is restored.
#[derive(Clone, Copy, Debug, Default)]
pub struct RestoreOptions {
    /// What becomes of the queue.
    pub queue: Waiting,
    /// Mailboxes keep their UIDVALIDITY.
    pub same_uids: bool,
}

/// What was restored.
#[derive(Clone, Debug, Default)]
pub struct Restored {
    /// When the backup was taken, in seconds since 1970.
    pub taken: i64,
    /// Accounts that have not been removed.
    pub accounts: usize,
    /// Mailboxes, and messages in them.
    pub mailboxes: usize,
    /// See above.
    pub messages: u64,
    /// Recipients in the queue that were held or dropped.
    pub recipients: usize,
    /// Files that were compared with their checksums.
    pub files: usize,
    /// What is damaged, a line each.
    pub damage: Vec<String>,
}

/// Puts a backup where the configuration wants its mail. Nothing is there until all of it is.
pub async fn restore(dir: &Path, config: &Config, options: RestoreOptions) -> Result<Restored, Failure> {
    let contents = Contents::read(dir)?.ok_or_else(|| {
        Failure::new(format!("{} holds no backup: there is no backup.json in it", dir.display()))
    })?;
    privileges::make_data_dir(config)?;
    let claimed = Unclaimed::probe(&config.data_dir)?.claim()?;
    let (mail, making) = (config.mail_dir(), config.data_dir.join("restoring"));
    if is_taken(&mail) {
        return Err(Failure::new(format!(
            "there is mail already, in {}; move it away first, or name another `data_dir`",
            mail.display()
        )));
    }
    copy(dir, &making, &contents)?;
    let alone = admin::open_claimed(config, claimed, &making, Opening::Usual).await?;
    let mut restored = settle(&alone, options).await?;
    alone.store.close().await;
    restored.taken = contents.taken;
    privileges::hand_over(config, &making)?;
    let _ = fs::remove_dir_all(&mail);
    fs::rename(&making, &mail).map_err(|error| failed_at(&mail, &error))?;
    File::open(&config.data_dir)?.sync_all()?;
    Ok(restored)
}

/// Whether there is anything of a store.
fn is_taken(mail: &Path) -> bool {
    let holds =
        |folder: &str| fs::read_dir(mail.join(folder)).is_ok_and(|mut entries| entries.next().is_some());
    SUBFOLDERS.into_iter().any(holds)
}

fn copy(dir: &Path, making: &Path, contents: &Contents) -> Result<(), Failure> {
    match fs::remove_dir_all(making) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed_at(making, &error)),
        _ => {}
    }
    private(making)?;
    for name in SUBFOLDERS {
        private(&making.join(name))?;
    }
    let bar = bar(contents.octets(), "octets");
    let last = contents.files.iter().rposition(|file| file.path.starts_with("journal/"));
    for (place, file) in contents.files.iter().enumerate() {
        let (from, to) = (dir.join(checked(&file.path)?), making.join(&file.path));
        let mut source = match File::open(&from) {
            Ok(source) => source.take(file.length),
            // Recovery says what is missing.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed_at(&from, &error)),
        };
        let mut copy = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&to)
            .map_err(|error| failed_at(&to, &error))?;
        let octets = io::copy(&mut source, &mut copy).map_err(|error| failed_at(&to, &error))?;
        if Some(place) == last && octets == file.length {
            copy.write_all(&octets_of(&contents.seal)).map_err(|error| failed_at(&to, &error))?;
        }
        bar.inc(octets);
    }
    bar.finish_and_clear();
    sync_all(making)
}

fn octets_of(hexadecimal: &str) -> Vec<u8> {
    let (pairs, _) = hexadecimal.as_bytes().as_chunks::<2>();
    let octet = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    pairs.iter().filter_map(octet).collect()
}

/// Makes a store that is as old as its backup fit to be served.
async fn settle(alone: &Alone, options: RestoreOptions) -> Result<Restored, Failure> {
    let Alone { accounts, store, relay, report, .. } = alone;
    let mut restored = Restored { accounts: accounts.accounts().len(), ..Restored::default() };
    let mailboxes = store.mailboxes(Actor::Host, None).await;
    restored.mailboxes = mailboxes.len();
    restored.messages = mailboxes.iter().map(|status| status.messages).sum();
    if !options.same_uids {
        let now = UnixTime(store.system().unix_seconds());
        for some in mailboxes.chunks(1_000) {
            let renew = |mailbox| Intent::RenewUidValidity { mailbox, now };
            store.commit(Commit::of(some.iter().map(|status| renew(status.id)).collect())).await?;
        }
    }
    let order = match options.queue {
        Waiting::Hold => Some(Ordered::Hold),
        Waiting::Drop => Some(Ordered::Drop),
        Waiting::Send => None,
    };
    if let Some(order) = order {
        let work = async {
            relay.read_all().await;
            let (target, mut after) = (relay.target("all", None).await?, None);
            let mut recipients = 0;
            loop {
                let (count, next) = relay.order(&target, order, after).await?;
                recipients += count;
                match next {
                    Some(_) => after = next,
                    None => return Ok(recipients),
                }
            }
        };
        let done: Result<usize, String> = relay.alone(accounts, work).await;
        restored.recipients = done.map_err(|why| Failure::new(format!("the queue: {why}")))?;
    }
    restored.damage.extend(report.damage.iter().map(admin::damaged));
    let (files, damage) =
        store.verify().await.ok_or_else(|| Failure::new("the store has ended; look at its disk"))?;
    restored.files = files;
    restored.damage.extend(damage.iter().map(admin::damaged));
    restored.damage.sort();
    restored.damage.dedup();
    Ok(restored)
}
