//! What import and backup want of the store beside what everybody wants.

use mailstore::backup::{Backup, Extract};
use mailstore::commit::Receipt;
use mailstore::{Commit, Failure};
use tokio::sync::oneshot;

use super::{Request, Store};

/// A commit on its way. Those that are sent first come first, whoever waits for them when.
#[derive(Debug)]
#[must_use = "whether a commit has come to pass is known when it has been waited for"]
pub struct Submitted(oneshot::Receiver<Result<Receipt, Failure>>);

/// The store as it was at one moment, to be copied; what is to be copied stays until this is dropped.
#[derive(Debug)]
pub struct Copying {
    backup: Option<Backup>,
    store: Store,
}

impl Store {
    /// Sends a commit and does not wait for it: many of them share a sync.
    pub fn submit(&self, commit: Commit) -> Submitted {
        let (reply, answer) = oneshot::channel();
        // Without a store, the answer says so.
        let _ = self.0.requests.send(Request::Commit(commit, reply));
        Submitted(answer)
    }

    /// Says what has to be copied; `None` if the store is closing.
    pub async fn backup(&self) -> Option<Copying> {
        let backup = self.ask(Request::Backup).await??;
        Some(Copying { backup: Some(backup), store: self.clone() })
    }
}

impl Submitted {
    /// Waits until it is known what has come of it.
    pub async fn done(self) -> Result<Receipt, Failure> {
        self.0.await.unwrap_or(Err(Failure::Unknown))
    }
}

impl Copying {
    /// The beginnings of files that are to be copied: bodies, segments by rising number, and a snapshot.
    pub fn files(&self) -> &[Extract] {
        self.backup.as_ref().map_or(&[], |backup| &backup.files)
    }

    /// What may be put behind the last segment.
    pub fn seal(&self) -> &[u8] {
        self.backup.as_ref().map_or(&[], |backup| &backup.seal)
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        if let Some(backup) = self.backup.take() {
            // A store that has ended has nothing to free.
            let _ = self.store.0.requests.send(Request::Release(backup.into()));
        }
    }
}
