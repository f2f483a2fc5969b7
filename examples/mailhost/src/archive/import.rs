//! Messages from frames into the store.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use mailstore::error::Refusal;
use mailstore::mailbox::{AccountId, MailboxId, MailboxStatus, SpecialUse, normalise};
use mailstore::message::{Flags, Message, NamedFlags, UnixTime};
use mailstore::{Actor, Commit, Failure, Intent};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::frames::{Frame, MailboxHead, MessageHead, Told};
use crate::config::Config;
use crate::store::{Incoming, Snapshot, Store, Submitted};

/// How much was imported.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Totals {
    /// Messages that are durable.
    pub imported: u64,
    /// Their octets.
    pub octets: u64,
    /// Messages that were there already.
    pub skipped: u64,
}

/// An import that goes on.
pub(super) struct Import<'a> {
    pub(super) store: &'a Store,
    pub(super) config: &'a Config,
    pub(super) account: AccountId,
    /// What is there already is taken once more.
    pub(super) again: bool,
    pub(super) out: &'a mpsc::Sender<Frame>,
}

/// Why an import ends early: one sentence.
pub(super) struct Ended(pub(super) String);

/// The mailbox that messages go into.
struct To {
    id: MailboxId,
    name: String,
    keywords: Vec<String>,
    there: Option<There>,
}

/// What was in a mailbox before.
struct There {
    snapshot: Snapshot,
    /// Date, size and place of each message that has not been met again.
    known: Vec<(i64, u64, u32)>,
    met: Vec<bool>,
}

/// A message on its way.
struct Arriving {
    head: MessageHead,
    incoming: Incoming,
    digest: Sha256,
    size: u64,
}

/// Commits that are not known to be durable.
#[derive(Default)]
struct Window {
    commits: VecDeque<(Submitted, u64)>,
    totals: Totals,
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Import<'_> {
    /// Takes all there is. What has been committed when it ends early stays.
    pub(super) async fn run(&self, frames: &mut mpsc::Receiver<Frame>) -> (Totals, Result<(), Ended>) {
        let mut window = Window::default();
        let result = self.take(frames, &mut window).await;
        // Also what was sent before it has ended.
        let rest = window.shrink(0, self).await;
        (window.totals, result.and(rest))
    }

    async fn take(&self, frames: &mut mpsc::Receiver<Frame>, window: &mut Window) -> Result<(), Ended> {
        let (mut to, mut arriving) = (None, None::<Arriving>);
        let mut count = 0_u64;
        while let Some(frame) = frames.recv().await {
            match frame {
                Frame::Mailbox(head) => {
                    // Whether it is empty is asked of what is durable.
                    window.shrink(0, self).await?;
                    to = Some(self.open(&head).await?);
                }
                Frame::Message(head) => {
                    if count.is_multiple_of(LOOK) {
                        self.check_room()?;
                    }
                    count += 1;
                    let incoming = self.store.receive().await.ok_or_else(closing)?.scanned();
                    arriving = Some(Arriving { head, incoming, digest: Sha256::new(), size: 0 });
                }
                Frame::Data(octets) => {
                    let Some(message) = &mut arriving else { continue };
                    message.digest.update(&octets);
                    message.size += octets.len() as u64;
                    message
                        .incoming
                        .push(&octets, Bytes::new)
                        .await
                        .map_err(|failure| self.failed(&failure))?;
                }
                Frame::GiveUp => arriving = None,
                Frame::End => {
                    let (Some(message), Some(to)) = (arriving.take(), &mut to) else { continue };
                    self.keep(message, to, window).await?;
                    if count.is_multiple_of(TELL) {
                        self.tell(Told::Progress(window.totals)).await?;
                    }
                }
                Frame::Subscribe(name) => self.subscribe(name).await?,
                Frame::Done => return Ok(()),
                Frame::Told(_) => {}
            }
        }
        Err(Ended("whoever was sending messages has gone".to_owned()))
    }

    async fn keep(&self, message: Arriving, to: &mut To, window: &mut Window) -> Result<(), Ended> {
        let Arriving { head, incoming, digest, size } = message;
        if !self.again && to.has(head.date, size, &digest.finalize()).await.map_err(Ended)? {
            window.totals.skipped += 1;
            return Ok(());
        }
        let (body, structure) = incoming.finish(Bytes::new).await.map_err(|failure| self.failed(&failure))?;
        let (flags, left_out) = to.flags(&head.flags);
        if !left_out.is_empty() {
            let why = format!("keywords that {} has no room for: {}", to.name, left_out.join(" "));
            self.tell(Told::About(head.origin.clone(), why)).await?;
        }
        let date = UnixTime(head.date);
        let deliver = Intent::Deliver { mailbox: to.id, prefix: Bytes::new(), date, flags };
        let commit = Commit::delivery(body.into(), vec![deliver])
            .with_structure(structure)
            .by(Actor::Account(self.account));
        window.commits.push_back((self.store.submit(commit), size));
        window.shrink(WINDOW, self).await
    }

    /// The mailbox of this name, or what stands for it; made if it is not there.
    async fn open(&self, head: &MailboxHead) -> Result<To, Ended> {
        let name = normalise(&head.name)
            .map_err(|_| Ended(format!("{:?} cannot be the name of a mailbox", head.name)))?;
        let mut status = self.store.status(Actor::Host, self.account, &name).await;
        let mut special_use = None;
        if status.is_none() && head.similar {
            special_use = special_use_of(&name);
            let all = self.store.mailboxes(Actor::Host, Some(self.account)).await;
            let stands = |status: &MailboxStatus| status.special_use == special_use;
            status = special_use.and_then(|_| all.into_iter().find(stands));
        }
        if status.is_none() {
            let (account, now) = (self.account, UnixTime(self.store.system().unix_seconds()));
            let create = Intent::CreateMailbox { account, name: name.clone(), special_use, now };
            let commit = Commit::of(vec![create]).by(Actor::Account(account));
            self.store.commit(commit).await.map_err(|failure| self.failed(&failure))?;
            status = self.store.status(Actor::Host, self.account, &name).await;
        }
        let status = status.ok_or_else(closing)?;
        let mut there = None;
        if !self.again && status.messages > 0 {
            let snapshot = self.store.load(Actor::Host, status.id).await.ok_or_else(closing)?;
            there = Some(There::new(snapshot));
        }
        Ok(To { id: status.id, name: status.name, keywords: status.keywords.to_vec(), there })
    }

    async fn subscribe(&self, name: String) -> Result<(), Ended> {
        let account = self.account;
        let commit = Commit::of(vec![Intent::Subscribe { account, name }]).by(Actor::Account(account));
        match self.store.commit(commit).await {
            Ok(_) | Err(Failure::Refused(Refusal::BadName)) => Ok(()),
            Err(failure) => Err(self.failed(&failure)),
        }
    }

    async fn tell(&self, told: Told) -> Result<(), Ended> {
        self.out.send(Frame::Told(told)).await.map_err(|_| Ended("nobody listens any more".to_owned()))
    }

    fn check_room(&self) -> Result<(), Ended> {
        let Some((free, all)) = self.store.system().room(&self.config.data_dir) else { return Ok(()) };
        let reserve = self.config.limits.disk_reserve.octets(all);
        if free > reserve {
            return Ok(());
        }
        Err(Ended(format!(
            "the disk is full: {free} octets are free, and {reserve} are kept for mail that comes in \
             (`disk_reserve` in `[limits]`)"
        )))
    }

    fn failed(&self, failure: &Failure) -> Ended {
        Ended(match failure {
            Failure::Refused(Refusal::OverQuota) => {
                "the account has as much as it may have; `mailhost account quota` \
                 says how much that is"
                    .to_owned()
            }
            failure => format!("a message could not be stored: {failure}"),
        })
    }
}

impl Window {
    /// Waits until so many are left.
    async fn shrink(&mut self, most: usize, import: &Import<'_>) -> Result<(), Ended> {
        let mut result = Ok(());
        while self.commits.len() > most
            && let Some((commit, size)) = self.commits.pop_front()
        {
            match commit.done().await {
                Ok(_) => {
                    self.totals.imported += 1;
                    self.totals.octets += size;
                }
                Err(failure) if result.is_ok() => result = Err(import.failed(&failure)),
                Err(_) => {}
            }
        }
        result
    }
}

impl To {
    /// Whether the mailbox had this message before the import began, and this is the first time that it is met again.
    async fn has(&mut self, date: i64, size: u64, digest: &[u8]) -> Result<bool, String> {
        let Some(there) = &mut self.there else { return Ok(false) };
        let from = there.known.partition_point(|known| (known.0, known.1) < (date, size));
        for at in from..there.known.len() {
            let (of, octets, place) = there.known[at];
            if (of, octets) != (date, size) {
                break;
            }
            if there.met[at] {
                continue;
            }
            if let Some(message) = there.snapshot.messages.get(place as usize)
                && there.digest(&message).await?[..] == *digest
            {
                there.met[at] = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The flags that a message can have here, and the keywords that it cannot.
    fn flags(&mut self, words: &[String]) -> (NamedFlags, Vec<String>) {
        let (mut flags, mut left_out) = (NamedFlags::NONE, Vec::new());
        for word in words {
            if let Some((flag, _)) = SYSTEM.iter().find(|(_, name)| name.eq_ignore_ascii_case(word)) {
                flags.system = flags.system.union(*flag);
                continue;
            }
            let known = self.keywords.iter().any(|known| known.eq_ignore_ascii_case(word));
            if !known && (!is_keyword(word) || self.keywords.len() >= KEYWORDS) {
                left_out.push(word.clone());
                continue;
            }
            if !known {
                self.keywords.push(word.clone());
            }
            flags.keywords.push(word.clone());
        }
        (flags, left_out)
    }
}

impl There {
    fn new(snapshot: Snapshot) -> Self {
        let place = |(place, message): (usize, Message)| {
            let place = u32::try_from(place).unwrap_or(u32::MAX);
            (message.date().0, message.size(), place)
        };
        let mut known: Vec<_> = snapshot.messages.iter().enumerate().map(place).collect();
        known.sort_unstable();
        let met = vec![false; known.len()];
        Self { snapshot, known, met }
    }

    async fn digest(&self, message: &Message) -> Result<Vec<u8>, String> {
        let (reader, mut digest, mut at) = (self.snapshot.reader(), Sha256::new(), 0);
        while at < message.size() {
            let slice = match reader.read(message, at).await {
                Ok(slice) if !slice.is_empty() => slice,
                // What cannot be read is not the same.
                Ok(_) => return Ok(Vec::new()),
                Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return Ok(Vec::new()),
                Err(error) => return Err(format!("what is there cannot be read: {error}")),
            };
            at += slice.len() as u64;
            digest.update(&slice);
        }
        Ok(digest.finalize().to_vec())
    }
}

/// What a mailbox is for that other programs have given this name.
fn special_use_of(name: &str) -> Option<SpecialUse> {
    // Courier puts all mailboxes below INBOX.
    let name = name.strip_prefix("INBOX/").unwrap_or(name);
    let known =
        |(_, names): &&(SpecialUse, &[&str])| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    NAMES.iter().find(known).map(|(special_use, _)| *special_use)
}

/// RFC 9051 §9: a keyword is an atom.
fn is_keyword(word: &str) -> bool {
    let good = |octet: u8| octet.is_ascii_graphic() && !b"(){%*\"\\]".contains(&octet);
    (1..=128).contains(&word.len()) && word.bytes().all(good)
}

fn closing() -> Ended {
    Ended("the host is closing; run the same command again, what is there is not taken twice".to_owned())
}

pub(super) const SYSTEM: [(Flags, &str); 5] = [
    (Flags::SEEN, "\\Seen"),
    (Flags::ANSWERED, "\\Answered"),
    (Flags::FLAGGED, "\\Flagged"),
    (Flags::DELETED, "\\Deleted"),
    (Flags::DRAFT, "\\Draft"),
];
const NAMES: [(SpecialUse, &[&str]); 5] = [
    (SpecialUse::Drafts, &["Drafts", "Draft"]),
    (SpecialUse::Sent, &["Sent", "Sent Items", "Sent Messages", "Sent Mail"]),
    (SpecialUse::Junk, &["Junk", "Spam", "Junk E-mail", "Junk Email", "Bulk Mail"]),
    (SpecialUse::Trash, &["Trash", "Deleted Items", "Deleted Messages", "Deleted", "Bin"]),
    (SpecialUse::Archive, &["Archive", "Archives"]),
];
/// Commits that wait at once: enough for a batch, and little memory.
const WINDOW: usize = 128;
/// After so many messages the room on the disk is looked at, and the other side told how far it is.
const LOOK: u64 = 1_000;
const TELL: u64 = 100;
/// Keywords of a mailbox.
const KEYWORDS: usize = 56;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mailboxes_of_other_programs_are_known_by_their_names() {
        assert_eq!(special_use_of("Sent Items"), Some(SpecialUse::Sent));
        assert_eq!(special_use_of("spam"), Some(SpecialUse::Junk));
        assert_eq!(special_use_of("INBOX/Trash"), Some(SpecialUse::Trash));
        assert_eq!(special_use_of("Work/Sent"), None);
        assert_eq!(special_use_of("INBOX"), None);
    }
}
