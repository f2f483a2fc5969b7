//! Reports on their way to senders: composed by the queue, kept by the store.

use bytes::{Bytes, BytesMut};
use mailstore::Intent;
use relay_queue::queue::CommitId;
use relay_queue::{BodyHandle, Report};
use smtp_codec::{ForwardPath, Mailbox, ReversePath};
use tracing::info;

use super::{Relay, handle, hold, intents, key, log_id, unix_now};
use crate::accounts::{Accounts, Target, Unroutable};
use crate::host::unix_time;
use crate::trace::{delivered_to, return_path};

/// What a report adds to the commit that it belongs to.
#[derive(Default)]
pub(super) struct Injected {
    pub(super) body: Option<Bytes>,
    pub(super) intents: Vec<Intent>,
    /// The queue's own commit, if the report goes to another host.
    pub(super) queued: Option<CommitId>,
}

/// Puts a report on its way: into a mailbox here, or into the queue.
pub(super) async fn inject(relay: &Relay, accounts: &Accounts, report: &Report) -> Injected {
    let id = relay.next_id();
    let body = compose(relay, report).await;
    let Ok(mailbox) = Mailbox::parse(report.to.as_str()) else {
        return Injected::default();
    };
    match accounts.route(&ForwardPath::Mailbox(mailbox)) {
        Ok(targets) => {
            let now = unix_time();
            let deliver = |target: Target| {
                let mut prefix = BytesMut::new();
                return_path(&ReversePath::Null, &mut prefix);
                delivered_to(report.to.as_str(), &mut prefix);
                Intent::Deliver { mailbox: target.mailbox, prefix: prefix.freeze(), date: now }
            };
            info!(id, about = %report.about, to = %report.to, "report delivered");
            Injected { body: Some(body), intents: targets.into_iter().map(deliver).collect(), queued: None }
        }
        Err(Unroutable::NotLocal) => {
            let body_handle = handle(&id);
            let commit = relay.queue().accept_report(unix_now(), report, body_handle);
            info!(id, about = %report.about, queue_id = %commit.message, to = %report.to, "report queued");
            let mut intents = intents(commit.changes);
            intents.push(hold(body_handle));
            Injected { body: Some(body), intents, queued: Some(commit.id) }
        }
        Err(Unroutable::NoSuchMailbox) => {
            // RFC 5321 §6.1 has nobody left to tell.
            info!(about = %report.about, to = %report.to, "report dropped: its reader is not here any more");
            Injected::default()
        }
    }
}

async fn compose(relay: &Relay, report: &Report) -> Bytes {
    let original = original_header(relay, report.original).await.unwrap_or_else(|| {
        info!(id = log_id(report.original), "the original of a report cannot be read");
        Bytes::new()
    });
    [&report.head[..], &original, &report.tail].concat().into()
}

/// The header section of a message, up to its empty line, or as much of it as there is room for.
async fn original_header(relay: &Relay, body: BodyHandle) -> Option<Bytes> {
    let held = relay.store.held(super::BODIES, key(body)).await?;
    let octets = held.read(0, LONGEST).await.ok()?;
    let end = match octets.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(at) => at + 2,
        None => octets.windows(2).rposition(|window| window == b"\r\n").map_or(0, |at| at + 2),
    };
    Some(octets.slice(..end))
}

/// With the rest of the report it goes into the journal.
const LONGEST: u64 = 32 << 10;
