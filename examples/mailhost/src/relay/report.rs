//! Reports on their way to senders: composed by the queue, kept by the store.

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use mailstore::Intent;
use mailstore::message::{NamedFlags, UnixTime};
use relay_queue::queue::CommitId;
use relay_queue::{BodyHandle, Report};
use smtp_codec::{ForwardPath, Mailbox, ReversePath};
use tracing::info;

use super::{Relay, handle, hold, intents, key, log_id};
use crate::accounts::{Accounts, Target, Unroutable};
use crate::trace::{delivered_to, return_path};

/// What a report adds to the commit that it belongs to.
#[derive(Default)]
pub(super) struct Injected {
    pub(super) body: Option<Bytes>,
    pub(super) intents: Vec<Intent>,
    /// The queue's own commits, for readers at other hosts.
    pub(super) queued: Vec<CommitId>,
}

/// Puts a report on its way: into mailboxes here, into the queue, or, to an alias, into both.
pub(super) async fn inject(relay: &Relay, accounts: &Accounts, report: &Report) -> Injected {
    let because = log_id(report.original);
    let Ok(mailbox) = Mailbox::parse(report.to.as_str()) else {
        return Injected::default();
    };
    let targets = match accounts.route(&ForwardPath::Mailbox(mailbox)) {
        Ok(targets) => targets,
        Err(Unroutable::NotLocal) => BTreeSet::from([Target::Elsewhere(report.to.clone())]),
        Err(why) => {
            // RFC 5321 §6.1 has nobody left to tell.
            info!(because, to = %report.to, ?why, "report dropped: its reader is not here any more");
            return Injected::default();
        }
    };
    let mut injected = Injected { body: Some(compose(relay, report).await), ..Injected::default() };
    let now = UnixTime(relay.store.system().unix_seconds());
    for target in targets {
        let id = relay.next_id();
        match target {
            Target::Inbox(mailbox) => {
                let mut prefix = BytesMut::new();
                return_path(&ReversePath::Null, &mut prefix);
                delivered_to(report.to.as_str(), &mut prefix);
                info!(id, because, to = %report.to, "report delivered");
                injected.intents.push(Intent::Deliver {
                    mailbox,
                    prefix: prefix.freeze(),
                    date: now,
                    flags: NamedFlags::NONE,
                });
            }
            Target::Elsewhere(to) | Target::Sender(to) => {
                let body = handle(&id);
                let report = Report { to, ..report.clone() };
                let commit = relay.queue().accept_report(relay.unix_now(), &report, body);
                info!(id, because, queue_id = %commit.message, to = %report.to, "report queued");
                injected.intents.extend(intents(commit.changes));
                injected.intents.push(hold(body));
                injected.queued.push(commit.id);
            }
        }
    }
    injected
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
