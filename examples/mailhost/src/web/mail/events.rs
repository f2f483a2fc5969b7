//! What happens in a folder and in the inbox, told to a page that is open while it happens.
//!
//! A page is told that something has changed, and no more: it asks for itself anew then, by the same way as anybody. So nothing is
//! shown that the page itself would not show.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::stream;
use mailstore::mailbox::MailboxStatus;
use serde::Deserialize;
use tokio::time;

use super::Folders;
use crate::host::Host;
use crate::listener::Stopping;
use crate::store::Watch;
use crate::web::problem::Problem;
use crate::web::visit::SignedIn;

#[derive(Deserialize)]
struct Asked {
    #[serde(rename = "box")]
    folder: u64,
    /// How far the folder and the inbox had come on the page.
    #[serde(default)]
    known: String,
}

/// How many things of a kind each session does at once.
#[derive(Debug, Default)]
pub(in crate::web) struct AtOnce(Arc<Mutex<BTreeMap<String, usize>>>);

/// One of them, until this is dropped.
pub(super) struct One {
    session: String,
    all: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// What a page listens to.
struct Stream {
    host: Arc<Host>,
    signed_in: SignedIn,
    /// What has happened since the page was made.
    missed: Option<&'static str>,
    open: Watch,
    inbox: Watch,
    stopping: Stopping,
    _one: One,
}

pub(super) fn routes() -> Router<Arc<Host>> {
    Router::new().route("/mail/events", get(events))
}

/// Where a page listens that was made of these folders.
pub(super) fn address(folders: &Folders, open: &MailboxStatus) -> Result<String, Problem> {
    Ok(format!("/mail/events?box={}&known={}", open.id.get(), known(open, folders.inbox()?)))
}

/// How far a folder and the inbox have come.
fn known(open: &MailboxStatus, inbox: &MailboxStatus) -> String {
    format!("{}.{}", open.highest_mod_seq.get(), inbox.highest_mod_seq.get())
}

async fn events(
    State(host): State<Arc<Host>>,
    Extension(stopping): Extension<Stopping>,
    signed_in: SignedIn,
    Query(asked): Query<Asked>,
) -> Result<Response, Problem> {
    let folders = Folders::of(&host, &signed_in).await;
    let (open, inbox) = (folders.get(asked.folder)?.id, folders.inbox()?.id);
    let Some(one) = host.web_memory.listeners.begin(&signed_in.session.id, MOST) else {
        return Ok(StatusCode::TOO_MANY_REQUESTS.into_response());
    };
    let (watch, watch_inbox) = (host.store.watch(open), host.store.watch(inbox));
    // From here on nothing is missed; what came before is seen by how far the folders have come.
    let folders = Folders::of(&host, &signed_in).await;
    let now = known(folders.get(asked.folder)?, folders.inbox()?);
    let missed = (!asked.known.is_empty() && asked.known != now).then_some("both");
    let stream = Stream {
        missed,
        open: watch,
        inbox: watch_inbox,
        host: Arc::clone(&host),
        signed_in,
        stopping,
        _one: one,
    };
    let events = stream::unfold(stream, |mut stream| async {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response())
}

impl Stream {
    /// `None` once there is nothing more to be told: the session is over, or the host stops.
    async fn next(&mut self) -> Option<Event> {
        let changed = |what| Some(Event::default().event("changed").data(what));
        if let Some(missed) = self.missed.take() {
            return changed(missed);
        }
        let session = &self.signed_in.session;
        tokio::select! {
            () = self.open.changed() => {}
            () = self.inbox.changed() => {}
            () = session.pass.presence.over() => return None,
            () = session.ended() => return None,
            () = self.stopping.requested() => return None,
        }
        // What comes in a burst is told once.
        time::sleep(BURST).await;
        if !session.is_alive(self.host.store.system().unix_seconds()) {
            return None;
        }
        let (open, inbox) = (self.open.take(), self.inbox.take());
        changed(if open && inbox {
            "both"
        } else if open {
            "open"
        } else {
            "inbox"
        })
    }
}

impl AtOnce {
    /// `None` if the session does so many already.
    pub(super) fn begin(&self, session: &str, most: usize) -> Option<One> {
        let mut all = lock(&self.0);
        let count = all.entry(session.to_owned()).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(One { session: session.to_owned(), all: Arc::clone(&self.0) })
    }
}

impl Drop for One {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        if let Some(count) = all.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.session);
            }
        }
    }
}

fn lock(all: &Mutex<BTreeMap<String, usize>>) -> MutexGuard<'_, BTreeMap<String, usize>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Pages of one session that listen; a browser has six connections to a host at most.
const MOST: usize = 4;
/// How often something is said where nothing happens, so that nobody on the way takes the connection for dead.
const HEARTBEAT: Duration = Duration::from_secs(25);
/// How long more is waited for before something is told.
const BURST: Duration = Duration::from_millis(150);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_listens_but_a_few_times_at_once() {
        let listeners = AtOnce::default();
        let all: Vec<_> = (0..MOST).map(|_| listeners.begin("a", MOST).unwrap()).collect();
        assert!(listeners.begin("a", MOST).is_none());
        assert!(listeners.begin("b", MOST).is_some(), "others listen to their own");
        drop(all);
        assert!(listeners.begin("a", MOST).is_some());
        assert!(lock(&listeners.0).is_empty(), "nothing is kept of who has left");
    }
}
