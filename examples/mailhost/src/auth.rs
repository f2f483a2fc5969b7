//! Logging in: the mechanisms, the passwords, and what slows guessing down.
//!
//! Whether a name exists shows neither in what is answered nor in the work that is done: see [`Authenticator::login`].

mod exchange;
mod password;
mod throttle;
mod turns;

use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use sasl_codec::scram::Verifier;
use tokio::sync::Notify;
use tokio::time::{self, Instant};

pub use self::exchange::{Exchange, Offer, Step};
pub use self::password::{HashError, Memory, Password, PasswordHash, Secrets};
pub use self::throttle::{Admission, Repute, Throttle, Ticket};
use self::turns::Turns;
use crate::metrics::Outcome;
use crate::system::System;

/// Checks passwords, about as many at once as there are cores, and slows guessing down.
#[derive(Debug)]
pub struct Authenticator {
    system: Arc<dyn System>,
    /// Each check takes 19 MiB and a core for its time.
    turns: Turns,
    /// As many as there have ever been checks at once.
    memory: Arc<Mutex<Vec<Memory>>>,
    /// What the password for an unknown name is compared with.
    nobody: PasswordHash,
    throttle: Mutex<Throttle>,
    /// Passwords that were hashed to be compared.
    checks: AtomicU64,
    /// A login has ended.
    ended: Notify,
    start: Instant,
}

/// What came of a login.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Login {
    /// The password is right.
    Accepted,
    /// The name or the password is wrong.
    Rejected,
    /// The password is right, and the account is suspended. Only who has the password learns so.
    Suspended,
    /// Too many logins have failed of late, from this address or for this name: the password was not looked at.
    TooMany,
    /// The password could not be checked.
    Unavailable,
}

impl Login {
    /// What it counts as.
    pub const fn counted(self) -> Outcome {
        match self {
            Self::Accepted => Outcome::Good,
            Self::Rejected => Outcome::Bad,
            Self::Suspended => Outcome::Suspended,
            Self::TooMany | Self::Unavailable => Outcome::Unavailable,
        }
    }
}

impl Authenticator {
    /// Makes ready, which takes as long as one check.
    pub fn new(system: Arc<dyn System>) -> Result<Self, HashError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self::with(system, cores, PasswordHash::new(&Password::generate()?)?))
    }

    /// Checks so many passwords at once, and compares those for unknown names with this hash, which should cost as much
    /// as those of accounts.
    pub fn with(system: Arc<dyn System>, cores: usize, nobody: PasswordHash) -> Self {
        Self {
            system,
            turns: Turns::new(cores),
            memory: Arc::default(),
            nobody,
            throttle: Mutex::new(Throttle::default()),
            checks: AtomicU64::new(0),
            ended: Notify::new(),
            start: Instant::now(),
        }
    }

    /// Checks a password against what is stored for `name`; `None` for a name that does not exist, which takes as long.
    ///
    /// It waits first if logins have failed from this address or for this name. Cancelling it counts as a failure.
    pub async fn login(
        &self,
        peer: IpAddr,
        name: &str,
        stored: Option<PasswordHash>,
        password: Password,
    ) -> Login {
        let Some(attempt) = self.admit(peer, name).await else { return Login::TooMany };
        match self.verify(attempt.repute(), stored, password).await {
            Some(true) => {
                attempt.end(true);
                Login::Accepted
            }
            Some(false) => Login::Rejected,
            None => Login::Unavailable,
        }
    }

    /// Waits for the turn of a login, as long as the failures of late demand; `None` if there were too many.
    pub async fn admit(&self, peer: IpAddr, name: &str) -> Option<Attempt<'_>> {
        let patience = Instant::now() + PATIENCE;
        let admission = loop {
            let mut ended = pin!(self.ended.notified());
            ended.as_mut().enable();
            {
                let mut throttle = self.throttle();
                if !throttle.is_crowded(peer, name) || Instant::now() >= patience {
                    break throttle.admit(self.now(), peer, name);
                }
            }
            // Late is no error: then it counts as what it may be.
            let _ = time::timeout_at(patience, ended).await;
        };
        let Admission::After(wait, ticket) = admission else {
            // Whoever is told at once comes again at once, and those who are told together come again together.
            let more = self.system.random_u64().unwrap_or_default() % REFUSED_WITHIN;
            time::sleep(REFUSED_AFTER + Duration::from_micros(more)).await;
            return None;
        };
        let attempt = Attempt { authenticator: self, ticket: Some(ticket) };
        if !wait.is_zero() {
            time::sleep(wait).await;
        }
        Some(attempt)
    }

    /// Lets somebody in whose password is known to be right, unless too many logins have failed of late.
    pub async fn login_known(&self, peer: IpAddr, name: &str) -> Login {
        match self.admit(peer, name).await {
            Some(attempt) => {
                attempt.end(true);
                Login::Accepted
            }
            None => Login::TooMany,
        }
    }

    /// Whether the password is the right one; `None` if that could not be found out.
    async fn verify(&self, repute: Repute, stored: Option<PasswordHash>, password: Password) -> Option<bool> {
        let turn = self.turns.turn(repute).await;
        self.checks.fetch_add(1, Ordering::Relaxed);
        let exists = stored.is_some();
        let memory = Arc::clone(&self.memory);
        let hash = stored.unwrap_or_else(|| self.nobody.clone());
        let checked = self.system.compute_within(turn.urgency, move || {
            // Held to the end of the work, even if nobody waits for it any more.
            let _turn = turn;
            let lock = || memory.lock().unwrap_or_else(PoisonError::into_inner);
            let mut own = lock().pop().unwrap_or_default();
            let same = hash.verify(&password, &mut own);
            lock().push(own);
            same
        });
        checked.await.map(|same| same & exists)
    }

    /// The keys for SCRAM of a password, made when a core is free.
    pub async fn scram(&self, password: Password) -> Option<Vec<Verifier>> {
        let turn = self.turns.turn(Repute::Known).await;
        let made = self.system.compute(move || {
            let _turn = turn;
            Secrets::scram(&password).ok()
        });
        made.await.flatten()
    }

    /// How many passwords were hashed to be compared: for names that do not exist as many as for those that do.
    pub fn checks(&self) -> u64 {
        self.checks.load(Ordering::Relaxed)
    }

    fn finish(&self, ticket: Ticket, success: bool) {
        self.throttle().finish(self.now(), ticket, success);
        self.ended.notify_waiters();
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A login under way: a failure, unless it ends otherwise.
#[derive(Debug)]
pub struct Attempt<'a> {
    authenticator: &'a Authenticator,
    ticket: Option<Ticket>,
}

impl Attempt<'_> {
    /// How much is known of who wants to log in.
    fn repute(&self) -> Repute {
        self.ticket.as_ref().map_or(Repute::Suspect, Ticket::repute)
    }

    /// The login has ended.
    pub fn end(mut self, success: bool) {
        if let Some(ticket) = self.ticket.take() {
            self.authenticator.finish(ticket, success);
        }
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.authenticator.finish(ticket, false);
        }
    }
}

/// How long somebody waits at least to be told that there are too many.
const REFUSED_AFTER: Duration = Duration::from_millis(500);
/// How much longer that may take, in microseconds.
const REFUSED_WITHIN: u64 = 1_000_000;
/// How long a login waits for others to end, before it counts as a guess.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;
    use crate::system::Machine;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn password(text: &str) -> Password {
        Password::new(text.to_owned()).unwrap()
    }

    #[tokio::test]
    async fn the_right_password_alone_is_accepted() {
        let authenticator = Authenticator::new(Arc::new(Machine)).unwrap();
        let stored = PasswordHash::new(&password("right")).unwrap();
        let login = |stored, word| authenticator.login(PEER, "anna", stored, password(word));
        assert_eq!(login(Some(stored.clone()), "right").await, Login::Accepted);
        assert_eq!(login(Some(stored), "wrong").await, Login::Rejected);
        assert_eq!(authenticator.throttle().tracked(), 2, "a failure is remembered for address and name");
    }

    /// All begin before the first one ends, as after a restart of the host. How long it takes is the machine's affair: no time passes.
    #[tokio::test(start_paused = true)]
    async fn twenty_people_behind_one_address_get_in_at_once() {
        let authenticator = Arc::new(Authenticator::new(Arc::new(Machine)).unwrap());
        let stored = PasswordHash::new(&password("right")).unwrap();
        let mut logins = JoinSet::new();
        for number in 0..20 {
            let (authenticator, stored) = (Arc::clone(&authenticator), stored.clone());
            logins.spawn(async move {
                authenticator.login(PEER, &format!("user{number}"), Some(stored), password("right")).await
            });
        }
        // A clock that stands still goes on where there is nothing to do; so does this, for those who are refused only then.
        let begun = std::time::Instant::now();
        tokio::spawn(async move {
            while begun.elapsed() < Duration::from_secs(60) {
                tokio::task::yield_now().await;
            }
        });
        let ended = logins.join_all().await;
        assert!(ended.iter().all(|login| *login == Login::Accepted), "{ended:?}");
    }

    #[tokio::test]
    async fn nobody_logs_in_under_a_name_that_does_not_exist() {
        let authenticator = Authenticator::new(Arc::new(Machine)).unwrap();
        // Not even with the password behind the hash that stands in.
        let authenticator =
            Authenticator { nobody: PasswordHash::new(&password("known")).unwrap(), ..authenticator };
        assert_eq!(authenticator.login(PEER, "nobody", None, password("known")).await, Login::Rejected);
    }

    #[tokio::test]
    async fn a_login_that_is_given_up_counts_as_failed() {
        let authenticator = Authenticator::new(Arc::new(Machine)).unwrap();
        let stored = PasswordHash::new(&password("right")).unwrap();
        {
            let login = authenticator.login(PEER, "anna", Some(stored), password("right"));
            let mut login = std::pin::pin!(login);
            tokio::select! {
                biased;
                _ = &mut login => panic!("the check runs on another thread"),
                () = std::future::ready(()) => {}
            }
        }
        let now = authenticator.now();
        let admission = authenticator.throttle().admit(now, PEER, "anna");
        assert!(
            matches!(admission, Admission::After(wait, _) if wait > Duration::from_secs(1)),
            "{admission:?}"
        );
    }
}
