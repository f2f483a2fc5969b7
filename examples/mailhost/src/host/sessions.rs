//! Who is connected, for the operator to see.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task_local;

use crate::listener::Service;
use crate::wire::Octets;

/// All sessions that go on, in the order in which they have begun.
#[derive(Clone, Debug, Default)]
pub struct Sessions(Arc<Mutex<All>>);

#[derive(Debug, Default)]
struct All {
    next: u64,
    sessions: BTreeMap<u64, Arc<Session>>,
}

/// A session that goes on.
#[derive(Debug)]
pub struct Session {
    /// What the log calls it.
    pub name: String,
    /// Where it came in.
    pub service: Service,
    /// Who is on the other side.
    pub peer: SocketAddr,
    /// When it began, since the UNIX epoch.
    pub since: Duration,
    /// What went over it.
    pub octets: Arc<Octets>,
    /// The name that somebody has logged in under.
    pub(super) user: Mutex<Option<String>>,
}

impl Sessions {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().sessions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The newest ones, no more than `most`.
    pub fn newest(&self, most: usize) -> Vec<Arc<Session>> {
        self.lock().sessions.values().rev().take(most).cloned().collect()
    }

    pub(super) fn add(&self, session: &Arc<Session>) -> u64 {
        let mut all = self.lock();
        let number = all.next;
        all.next += 1;
        all.sessions.insert(number, Arc::clone(session));
        number
    }

    pub(super) fn remove(&self, number: u64) {
        self.lock().sessions.remove(&number);
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    /// The name that somebody has logged in under, if anybody has.
    pub fn user(&self) -> Option<String> {
        self.user.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Carries a session out.
pub(super) fn within<F: Future>(session: &Arc<Session>, work: F) -> impl Future<Output = F::Output> {
    SESSION.scope(Arc::clone(session), work)
}

/// Somebody has logged in, in the session that runs here.
pub(super) fn belongs_to(name: &str) {
    // What is done in a task of its own is no session.
    let _ = SESSION.try_with(|session| {
        *session.user.lock().unwrap_or_else(PoisonError::into_inner) = Some(name.to_owned());
    });
}

task_local! {
    static SESSION: Arc<Session>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str) -> Arc<Session> {
        Arc::new(Session {
            name: name.to_owned(),
            service: Service::Imap,
            peer: ([127, 0, 0, 1], 4_000).into(),
            since: Duration::ZERO,
            octets: Arc::default(),
            user: Mutex::default(),
        })
    }

    #[tokio::test]
    async fn a_login_is_noted_in_its_own_session() {
        let (one, other) = (session("1"), session("2"));
        belongs_to("nobody");
        within(&one, async {
            within(&other, async { belongs_to("ben") }).await;
            belongs_to("anna");
        })
        .await;
        assert_eq!((one.user().as_deref(), other.user().as_deref()), (Some("anna"), Some("ben")));
    }

    #[test]
    fn the_newest_come_first_and_those_that_have_ended_not_at_all() {
        let sessions = Sessions::default();
        let numbers: Vec<_> = ["1", "2", "3"].iter().map(|name| sessions.add(&session(name))).collect();
        sessions.remove(numbers[1]);
        let names = |most| sessions.newest(most).iter().map(|one| one.name.clone()).collect::<Vec<_>>();
        assert_eq!(names(9), ["3", "1"]);
        assert_eq!(names(1), ["3"]);
        assert_eq!(sessions.len(), 2);
    }
}
