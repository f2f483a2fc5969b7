//! What it takes to put messages into another mailbox: for IMAP, and for whoever moves them in a browser.

use std::io;

use bytes::Bytes;
use mailstore::Intent;
use mailstore::mailbox::{MailboxId, Uid};
use mailstore::message::Message;
use tracing::warn;

use crate::store::Snapshot;

/// A message, and what stands in front of it alone.
pub(crate) type Picked = (Uid, Bytes);

/// Reads what stands in front of each message alone. The rest of it stays where it is.
pub(crate) async fn pick(view: &Snapshot, messages: &[Message]) -> io::Result<Vec<Picked>> {
    let reader = view.reader();
    let mut picked = Vec::with_capacity(messages.len());
    for part in messages.chunks(READ_AT_ONCE) {
        let ranges = part.iter().map(|message| (message, 0..message.prefix_size()));
        for (message, prefix) in part.iter().zip(reader.read_all(ranges).await) {
            let prefix = prefix.inspect_err(|error| {
                let (mailbox, uid) = (view.status.id.get(), message.uid().get());
                warn!(mailbox, uid, %error, "a message cannot be read");
            })?;
            picked.push((message.uid(), prefix));
        }
    }
    Ok(picked)
}

/// What moves a message.
pub(crate) fn moved((uid, prefix): &Picked, from: MailboxId, to: MailboxId) -> [Intent; 2] {
    let copy = Intent::Copy { from, uid: *uid, to, prefix: prefix.clone() };
    [copy, Intent::Expunge { mailbox: from, uid: *uid, only_deleted: false }]
}

/// Messages that go into one commit, with room to spare for what stands in front of each.
pub(crate) const COPIED_AT_ONCE: usize = 10_000;
/// The same, where each is taken away as well.
pub(crate) const MOVED_AT_ONCE: usize = COPIED_AT_ONCE / 2;
const READ_AT_ONCE: usize = 1_000;
