//! Drafts: found, written anew with each change, and gone in the commit that brings the next one.

use bytes::Bytes;
use mailstore::commit::{Outcome, Receipt};
use mailstore::mailbox::{MailboxId, SpecialUse, Uid};
use mailstore::message::{Flags, Message, NamedFlags, UnixTime};
use mailstore::{Commit, Failure, Intent};
use time::OffsetDateTime;
use tracing::info;

use super::fields::{Deed, place};
use super::form::Filled;
use super::letter::{Letter, Sink, Unfinished, Unwritten, Writer};
use super::original::{File, Original};
use crate::host::Host;
use crate::store::Snapshot;
use crate::web::mail::letters::one_line;
use crate::web::mail::{self, Folders};
use crate::web::problem::Problem;
use crate::web::visit::SignedIn;
use crate::writing::{Party, mailbox, message_id};

/// Where the files of a message are: in its draft, or, as long as there is none, in what is sent on.
pub(super) struct Source {
    snapshot: Snapshot,
    message: Message,
    files: Vec<File>,
    /// It is the draft.
    draft: bool,
}

impl Source {
    pub(super) fn files(&self) -> &[File] {
        &self.files
    }

    /// The draft, by folder and number.
    pub(super) fn draft(&self) -> Option<(MailboxId, Uid)> {
        self.draft.then(|| (self.snapshot.status.id, self.message.uid()))
    }

    /// Adds its files to a message.
    pub(super) async fn carry(
        &self,
        writer: &mut Writer<'_>,
        keep: impl Fn(usize) -> bool,
    ) -> Result<(), Unwritten> {
        for (_, file) in self.files.iter().enumerate().filter(|(number, _)| keep(*number)) {
            writer.carry(&self.snapshot, &self.message, file).await?;
        }
        Ok(())
    }

    /// The octets of the draft.
    pub(super) fn draft_size(&self) -> Option<u64> {
        self.draft.then(|| self.message.size())
    }

    /// How many octets the files are.
    pub(super) fn size(&self) -> u64 {
        self.files.iter().map(|file| file.range.end - file.range.start + 1_024).sum()
    }
}

/// Finds where the files of a message are.
pub(super) async fn source(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    filled: &Filled,
) -> Result<Option<Source>, Problem> {
    let failed = |error| Problem::failed("a draft", error);
    if let Some((snapshot, message)) = find_draft(host, signed_in, folders, filled).await {
        let files = Original::read(&snapshot.reader(), &message, 0).await.map_err(failed)?.files;
        return Ok(Some(Source { snapshot, message, files, draft: true }));
    }
    let Some(origin) = filled.origin.filter(|origin| origin.forward) else { return Ok(None) };
    let Ok(folder) = folders.get(origin.folder) else { return Ok(None) };
    let snapshot = mail::open(host, signed_in, folder).await?;
    if snapshot.status.uid_validity.get() != origin.validity {
        return Ok(None);
    }
    let Some(message) = snapshot.messages.find(origin.uid) else { return Ok(None) };
    let files = Original::read(&snapshot.reader(), &message, 0).await.map_err(failed)?.files;
    Ok(Some(Source { snapshot, message, files, draft: false }))
}

/// The draft: where it was last, or else by its name, if another page has written it anew.
async fn find_draft(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    filled: &Filled,
) -> Option<(Snapshot, Message)> {
    let folder = super::drafts(folders)?;
    let snapshot = mail::open(host, signed_in, folder).await.ok()?;
    let at = place(&filled.draft).filter(|(number, _)| *number == folder.id.get());
    if let Some(message) = at.and_then(|(_, uid)| snapshot.messages.find(uid)) {
        return Some((snapshot, message));
    }
    let uid = named(&snapshot, &filled.id).await?;
    let message = snapshot.messages.find(uid)?;
    Some((snapshot, message))
}

/// The newest message whose Message-ID begins so, of those that came last.
pub(super) async fn named(snapshot: &Snapshot, id: &str) -> Option<Uid> {
    let count = snapshot.messages.len();
    let last: Vec<Message> = snapshot.messages.slice(count.saturating_sub(RECENT)..count).collect();
    let structures = snapshot.reader().structures(&last.iter().collect::<Vec<_>>()).await;
    let begins = format!("<{id}@");
    let is_it = |structure: &mailstore::mime::Structure| {
        let found = structure.root().envelope().and_then(|envelope| envelope.message_id());
        found.is_some_and(|found| found.trim_ascii().starts_with(begins.as_bytes()))
    };
    let mut found = last.iter().zip(structures).rev();
    found.find_map(|(message, structure)| structure.is_ok_and(|found| is_it(&found)).then(|| message.uid()))
}

/// Begins to write a draft with what was typed, right or not, and the files there are.
pub(super) async fn begin<'h>(
    host: &Host,
    signed_in: &SignedIn,
    sink: Sink<'h>,
    filled: &Filled,
    source: Option<&Source>,
    more: bool,
) -> Result<Writer<'h>, Unwritten> {
    let keep = |number: usize| filled.deed != Deed::Remove(number);
    let count = source.map_or(0, |source| source.files.len());
    // A page that shows files which are not there any more must not make a message without them.
    if count < filled.attached {
        return Err(Unwritten::Unreadable);
    }
    let (letter, unfinished) = unfinished(host, signed_in, filled);
    let boundary = (more || (0..count).any(keep)).then(|| boundary(host)).transpose()?;
    let limit = limit(host);
    let mut writer = Writer::begin(sink, limit, &letter, Some(&unfinished), boundary).await?;
    if let Some(source) = source {
        source.carry(&mut writer, keep).await?;
    }
    Ok(writer)
}

/// What a message may have, so that it can be sent with what this host puts above it.
pub(super) fn limit(host: &Host) -> u64 {
    host.config.limits.message_size.saturating_sub(TRACE)
}

pub(super) fn boundary(host: &Host) -> Result<String, Unwritten> {
    let mut octets = [0; 16];
    host.store.system().fill_random(&mut octets).map_err(|_| Unwritten::Failed)?;
    Ok(format!("=_{}", octets.iter().map(|octet| format!("{octet:02x}")).collect::<String>()))
}

/// Saves what was typed, in the place of what was there; where it is then.
pub(super) async fn save(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    source: Option<&Source>,
    filled: &Filled,
) -> Result<String, Unwritten> {
    if !host.has_room() {
        return Err(Unwritten::NoSpace);
    }
    let incoming = host.store.receive().await.ok_or(Unwritten::Failed)?;
    let sink = Sink::Draft(Box::new(incoming.scanned()));
    let writer = begin(host, signed_in, sink, filled, source, false).await?;
    written(host, signed_in, folders, source, writer).await
}

/// Puts what was written in the place of the draft there was; where it is then.
pub(super) async fn written(
    host: &Host,
    signed_in: &SignedIn,
    folders: &Folders,
    source: Option<&Source>,
    writer: Writer<'_>,
) -> Result<String, Unwritten> {
    let Sink::Draft(incoming) = writer.end().await? else { return Err(Unwritten::Failed) };
    let (body, structure) = incoming.finish(Bytes::new).await?;
    let (mut intents, mailbox) = folders.for_use_or_made(host, signed_in, SpecialUse::Drafts, "Drafts");
    intents.push(Intent::Deliver {
        mailbox,
        prefix: Bytes::new(),
        date: UnixTime(host.store.system().unix_seconds()),
        flags: NamedFlags::from(Flags::DRAFT.union(Flags::SEEN)),
    });
    if let Some((mailbox, uid)) = source.and_then(Source::draft) {
        intents.push(Intent::Expunge { mailbox, uid, only_deleted: false });
    }
    let actor = signed_in.actor();
    let commit = Commit::delivery(body.into(), intents).with_structure(structure).by(actor);
    let receipt = host.store.commit(commit).await.map_err(|failure| match failure {
        Failure::Refused(mailstore::error::Refusal::OverQuota) => Unwritten::OverQuota,
        failure => failure.into(),
    })?;
    let (mailbox, uid) = delivered(&receipt, mailbox).ok_or(Unwritten::Failed)?;
    info!(account = signed_in.account().get(), uid = uid.get(), "draft saved");
    Ok(format!("{}.{uid}", mailbox.get()))
}

/// Where the last message came to lie that a commit has delivered.
pub(super) fn delivered(receipt: &Receipt, mailbox: MailboxId) -> Option<(MailboxId, Uid)> {
    let uid = receipt.outcomes.iter().rev().find_map(|outcome| match outcome {
        Outcome::Delivered { uid, .. } => Some(*uid),
        _ => None,
    })?;
    let made = receipt.outcomes.iter().rev().find_map(|outcome| match outcome {
        Outcome::MailboxCreated { mailbox, .. } => Some(*mailbox),
        _ => None,
    });
    Some((if mailbox == MailboxId::CREATED { made? } else { mailbox }, uid))
}

/// Throws the draft away.
pub(super) async fn discard(
    host: &Host,
    signed_in: &SignedIn,
    source: Option<&Source>,
) -> Result<(), Problem> {
    let Some((mailbox, uid)) = source.and_then(Source::draft) else { return Ok(()) };
    let commit =
        Commit::of(vec![Intent::Expunge { mailbox, uid, only_deleted: false }]).by(signed_in.actor());
    host.store.commit(commit).await.map_err(|failure| Problem::failed("a draft", failure))?;
    info!(account = signed_in.account().get(), uid = uid.get(), "draft thrown away");
    Ok(())
}

/// A letter of what was typed, and what of it is not right yet.
fn unfinished(host: &Host, signed_in: &SignedIn, filled: &Filled) -> (Letter, Unfinished) {
    let mut left = Vec::new();
    let mut people = |typed: &str, name: &'static str| {
        if typed.trim().is_empty() {
            return Vec::new();
        }
        Party::parse_list(&one_line(typed)).unwrap_or_else(|_| {
            left.push((name, one_line(typed)));
            Vec::new()
        })
    };
    let from = people(&filled.from, FROM).into_iter().next();
    let (to, cc, bcc) = (people(&filled.to, TO), people(&filled.cc, CC), people(&filled.bcc, BCC));
    if let Some(origin) = &filled.origin {
        left.push((ORIGIN, origin.text()));
    }
    let own = || mailbox(signed_in.address()).map(|address| Party { name: None, address });
    let from = from.or_else(|| own().ok()).unwrap_or_else(|| Party {
        name: None,
        address: mailbox("nobody@invalid.invalid").expect("an address"),
    });
    let domain = from.address.domain().as_str().to_owned();
    let letter = Letter {
        message_id: format!("{}@{domain}", filled.id),
        from,
        to,
        cc,
        bcc,
        subject: one_line(&filled.subject),
        text: filled.text.clone(),
        references: references(&filled.references),
        at: now(host),
    };
    (letter, Unfinished(left))
}

pub(super) fn now(host: &Host) -> OffsetDateTime {
    let seconds = host.store.system().unix_seconds();
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

/// Identifiers of messages, parted by spaces: those that are some, the first and the last of them.
pub(super) fn references(typed: &str) -> Vec<String> {
    let all = typed.split_ascii_whitespace().filter(|id| message_id(id).is_ok());
    let mut all: Vec<String> =
        all.map(|id| id.trim_start_matches('<').trim_end_matches('>').to_owned()).collect();
    if all.len() > REFERENCES {
        // The first one is what a conversation is known by.
        all.drain(1..all.len() - REFERENCES + 1);
    }
    all
}

/// Fields of drafts alone: what was typed and is no list of addresses yet, and what is answered.
pub(super) const FROM: &str = "X-Postrider-From";
pub(super) const TO: &str = "X-Postrider-To";
pub(super) const CC: &str = "X-Postrider-Cc";
pub(super) const BCC: &str = "X-Postrider-Bcc";
pub(super) const ORIGIN: &str = "X-Postrider-Origin";
/// Messages that are looked at to find one by its Message-ID.
pub(super) const RECENT: usize = 200;
/// Identifiers in References.
const REFERENCES: usize = 20;
/// What this host puts above a message.
const TRACE: u64 = 8 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_references_the_first_and_the_last_stay() {
        let typed: String = (0..50).map(|number| format!("<{number}@a.test> ")).collect();
        let kept = references(&typed);
        assert_eq!(kept.len(), REFERENCES);
        assert_eq!((&*kept[0], &*kept[1], &*kept[REFERENCES - 1]), ("0@a.test", "31@a.test", "49@a.test"));
        assert_eq!(references("no-at <a@b> x@y\u{7f}"), ["a@b"]);
    }
}
