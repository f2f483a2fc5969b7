//! What of the queue is in the store: its records, the bodies that it holds, and the names of both.

use bytes::Bytes;
use mailstore::{Commit, Intent};
use relay_queue::{BodyHandle, Change};

use super::RelayError;
use crate::store::Store;

/// A handle for a body from the name that a message has in the logs, and back.
pub fn handle(id: &str) -> BodyHandle {
    BodyHandle(u64::from_str_radix(id, 16).unwrap_or_default())
}

pub(super) fn log_id(body: BodyHandle) -> String {
    format!("{:x}", body.0)
}

pub(super) fn hold(body: BodyHandle) -> Intent {
    Intent::Hold { table: BODIES, key: key(body) }
}

pub(super) fn key(body: BodyHandle) -> Bytes {
    Bytes::copy_from_slice(&body.0.to_be_bytes())
}

pub(super) fn intents(changes: Vec<Change>) -> Vec<Intent> {
    let intent = |change| match change {
        Change::Put { key, value } => Intent::Put { table: QUEUE, key, value },
        Change::Remove { key } => Intent::Remove { table: QUEUE, key },
    };
    changes.into_iter().map(intent).collect()
}

/// The queue's seed: the same at every start, so that jitter does not jump, and secret.
pub(super) async fn seed(store: &Store) -> Result<u64, RelayError> {
    let records = store.table(SEED).await?;
    if let Some(octets) = records.first().and_then(|(_, value)| value.first_chunk()) {
        return Ok(u64::from_be_bytes(*octets));
    }
    let seed = store.system().random_u64().map_err(RelayError::Random)?;
    let value = Bytes::copy_from_slice(&seed.to_be_bytes());
    store
        .commit(Commit::of(vec![Intent::Put { table: SEED, key: Bytes::from_static(b"queue"), value }]))
        .await?;
    Ok(seed)
}

/// Records of the queue.
pub(super) const QUEUE: u16 = 3;
/// Bodies that messages of the queue hold.
pub(super) const BODIES: u16 = 4;
/// The queue's seed.
const SEED: u16 = 5;
