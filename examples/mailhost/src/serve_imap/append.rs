//! APPEND.

use std::io;
use std::num::NonZeroU32;

use bytes::{Bytes, BytesMut};
use imap_codec::extension::Extension;
use imap_codec::response::Code;
use imap_codec::server::{Answer, AppendStart};
use imap_codec::types::sequence::SequenceSet;
use mailstore::commit::Outcome;
use mailstore::mailbox::MailboxStatus;
use mailstore::message::{NamedFlags, UnixTime};
use mailstore::{Actor, Intent};
use memchr::memchr3_iter;
use tracing::info;

use super::flags;
use super::session::{End, Session};
use crate::planted::Bug;
use crate::store::Incoming;
use crate::wire::Wire;

/// A message on its way in.
pub(super) struct Arriving {
    to: MailboxStatus,
    flags: NamedFlags,
    date: Option<UnixTime>,
    incoming: Option<Incoming>,
    lines: Lines,
    /// What has gone wrong already; the rest is taken and dropped.
    failure: Option<End>,
}

impl Session<'_> {
    /// RFC 9051 §6.3.12: what can be refused is refused before the message comes.
    pub(super) async fn append(&mut self, append: AppendStart<'_>, out: &mut BytesMut) {
        match self.begin(&append).await {
            Ok(arriving) => {
                self.arriving = Some(arriving);
                append.accept(out);
            }
            Err(End::Ok(reply) | End::No(reply) | End::Bad(reply)) => append.no(reply, out),
        }
    }

    async fn begin(&self, append: &AppendStart<'_>) -> Result<Arriving, End> {
        let asked = append.append();
        let to = self.find_for_messages(&asked.mailbox).await?;
        let Some(flags) = flags::named(&asked.flags) else {
            return Err(End::no((Code::Cannot, "there is a flag among these that no message can have")));
        };
        if !self.host.store.quota(to.account).await.allows(append.size(), 1) {
            return Err(End::no((Code::OverQuota, "over quota")));
        }
        if !self.host.has_room() {
            return Err(End::no((Code::Limit, "the disk is full")));
        }
        let date = asked.date.map(|date| UnixTime(date.unix()));
        let incoming = self.host.store.receive().await;
        let incoming = incoming.ok_or_else(|| End::no((Code::Unavailable, "closing down")))?.scanned();
        Ok(Arriving { to, flags, date, incoming: Some(incoming), lines: Lines::default(), failure: None })
    }

    pub(super) async fn append_chunk(&mut self, octets: &[u8]) {
        let Some(arriving) = &mut self.arriving else { return };
        if arriving.failure.is_some() {
            return;
        }
        arriving.lines.push(octets);
        arriving.failure = arriving.lines.wrong();
        if let (None, Some(incoming)) = (&arriving.failure, &mut arriving.incoming)
            && let Err(failure) = incoming.push(octets, Bytes::new).await
        {
            arriving.failure = Some(End::No(super::session::said(&failure)));
        }
        if arriving.failure.is_some() {
            arriving.incoming = arriving.incoming.take().map(Incoming::emptied);
        }
    }

    pub(super) fn append_aborted(&mut self) {
        self.arriving = None;
    }

    pub(super) async fn append_end(
        &mut self,
        answer: Answer<'_>,
        wire: &mut Wire,
        out: &mut BytesMut,
    ) -> io::Result<()> {
        let end = match self.arriving.take() {
            Some(arriving) => self.keep(arriving).await?,
            None => End::no("there is no message"),
        };
        self.conclude(answer, end, wire, out).await
    }

    /// DESIGN's rule for all protocols: who says OK has it on stable storage.
    async fn keep(&mut self, mut arriving: Arriving) -> io::Result<End> {
        arriving.lines.finish();
        if let Some(failure) = arriving.failure.take().or_else(|| arriving.lines.wrong()) {
            return Ok(failure);
        }
        let Arriving { to, flags, date, incoming: Some(incoming), .. } = arriving else {
            return Ok(End::no("there is no message"));
        };
        let (body, structure) = match incoming.finish(Bytes::new).await {
            Ok(received) => received,
            Err(failure) => return Ok(End::No(super::session::said(&failure))),
        };
        let size = body.size();
        let now = UnixTime(self.host.store.system().unix_seconds());
        let deliver =
            Intent::Deliver { mailbox: to.id, prefix: Bytes::new(), date: date.unwrap_or(now), flags };
        let commit = mailstore::Commit::delivery(body.into(), vec![deliver])
            .with_structure(structure)
            .by(Actor::Account(to.account));
        if Bug::OkBeforeDurable.is_planted() {
            let store = self.host.store.clone();
            tokio::spawn(async move { store.commit(commit).await });
            return Ok(End::ok("kept"));
        }
        let receipt = match self.committed(self.host.store.commit(commit).await)? {
            Ok(receipt) => receipt,
            Err(end) => return Ok(end),
        };
        if let Some(selected) = &mut self.selected
            && selected.id == to.id
        {
            selected.changed();
        }
        info!(account = to.account.get(), mailbox = to.name, size, "message filed");
        let uid = receipt.outcomes.iter().find_map(|outcome| match outcome {
            Outcome::Delivered { uid, .. } => NonZeroU32::new(uid.get()),
            _ => None,
        });
        let validity = NonZeroU32::new(to.uid_validity.get());
        let told = validity.zip(uid).filter(|_| self.has(Extension::UidPlus));
        Ok(match told {
            Some((validity, uid)) => End::ok((Code::AppendUid(validity, SequenceSet::one(uid)), "kept")),
            None => End::ok("kept"),
        })
    }
}

/// Looks for what no message may have: NUL, and CR or LF alone.
#[derive(Debug, Default)]
struct Lines {
    behind_cr: bool,
    nul: bool,
    bare: bool,
}

impl Lines {
    fn push(&mut self, octets: &[u8]) {
        // Where the last CR was, if it was in these octets.
        let mut cr = None;
        for at in memchr3_iter(b'\r', b'\n', 0, octets) {
            let follows = if at == 0 { self.behind_cr } else { cr == Some(at - 1) };
            match octets[at] {
                0 => self.nul = true,
                b'\n' if follows => {
                    cr = None;
                    if at == 0 {
                        self.behind_cr = false;
                    }
                }
                b'\n' => self.bare = true,
                _ => {
                    // The one before had no LF.
                    self.bare |= cr.is_some() || self.behind_cr;
                    (cr, self.behind_cr) = (Some(at), false);
                }
            }
        }
        if !octets.is_empty() {
            self.bare |= self.behind_cr;
            self.behind_cr = cr == Some(octets.len() - 1);
            self.bare |= cr.is_some() && !self.behind_cr;
        }
    }

    /// There is no more.
    const fn finish(&mut self) {
        self.bare |= self.behind_cr;
    }

    /// What is said of it. A message that could not be given back as it came is not taken.
    fn wrong(&self) -> Option<End> {
        if self.nul {
            return Some(End::no((Code::Cannot, "the message has a NUL, which no message may have")));
        }
        let bare = "the message has a CR or LF alone; lines end in CR LF";
        self.bare.then(|| End::no((Code::Cannot, bare)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_line_ends_and_nul_are_found_in_any_pieces() {
        for (text, good) in [
            ("a\r\nb\r\n", true),
            ("", true),
            ("\r\n\r\n", true),
            ("a", true),
            ("a\nb", false),
            ("\n", false),
            ("a\rb", false),
            ("a\r", false),
            ("a\r\r\n", false),
            ("\r\n\n", false),
            ("a\0b", false),
            ("\r\0\n", false),
        ] {
            for size in 1..=text.len().max(1) {
                let mut lines = Lines::default();
                text.as_bytes().chunks(size).for_each(|piece| lines.push(piece));
                lines.finish();
                assert_eq!(lines.wrong().is_none(), good, "{text:?} in pieces of {size}");
            }
        }
    }
}
