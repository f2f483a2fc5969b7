//! Who is signed in. Sessions are in the host's memory alone, each under the digest of a key that nobody but a cookie has: who
//! reads the memory of a table has no key, and a host that starts anew asks everybody to sign in again.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use axum::http::header::{HOST, HeaderValue, USER_AGENT};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Notify;

use super::Visitor;
use super::budget::Budget;
use super::cookie;
use super::visit::sent;
use crate::system::System;

/// What a session gives its owner.
pub trait Pass {
    /// Whether it gives nothing any more.
    fn is_over(&self) -> bool;

    /// Whether two are the same person's.
    fn is_same(&self, other: &Self) -> bool;
}

/// Sessions of one kind.
pub struct Sessions<P> {
    /// What the cookie is called.
    name: &'static str,
    /// How long a session may last, in seconds.
    longest: i64,
    /// Whether a browser sends the cookie when a link on another site leads here.
    same_site: &'static str,
    all: Mutex<BTreeMap<Key, Arc<Session<P>>>>,
}

/// The digest of what the cookie has.
type Key = [u8; 32];

/// A session.
pub struct Session<P> {
    /// What it gives.
    pub pass: P,
    /// A name for it among all of its owner, which opens nothing.
    pub id: String,
    /// What each form that is given out in it carries.
    pub seal: String,
    /// Where it was begun from.
    pub peer: IpAddr,
    /// What the browser said that it is; made up by whoever likes to.
    pub agent: String,
    /// When it began, in seconds of Unix.
    pub begun: i64,
    until: i64,
    seen: AtomicI64,
    /// Requests that may still come.
    budget: Budget,
    /// Whether it was ended before its time, and who waits for that.
    ended: AtomicBool,
    told: Notify,
}

impl<P: Pass> Sessions<P> {
    /// None yet, in a cookie of this name.
    pub fn new(name: &'static str) -> Self {
        Self { name, longest: LONGEST, same_site: "Lax", all: Mutex::default() }
    }

    /// The same for sessions that last no longer than so many seconds, and that no link on another site leads into.
    pub fn strict(name: &'static str, longest: i64) -> Self {
        Self { longest, same_site: "Strict", ..Self::new(name) }
    }

    /// Begins one; gives the cookie to set. Of the sessions of one person, and of all, the one that was used longest ago goes
    /// if there are too many.
    pub fn begin(
        &self,
        system: &(dyn System + 'static),
        visitor: Visitor,
        headers: &HeaderMap,
        pass: P,
    ) -> io::Result<(Arc<Session<P>>, HeaderValue)> {
        let key = random(system)?;
        let (now, agent) =
            (system.unix_seconds(), headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()));
        let session = Arc::new(Session {
            pass,
            id: random(system)?,
            seal: random(system)?,
            peer: visitor.peer,
            agent: agent.unwrap_or_default().chars().take(AGENT).collect(),
            begun: now,
            until: now.saturating_add(self.longest),
            seen: now.into(),
            budget: Budget::new(BURST, PER_SECOND),
            ended: AtomicBool::new(false),
            told: Notify::new(),
        });
        let mut all = self.lock();
        keep(&mut all, |session| session.is_alive(now));
        forget(&mut all, PER_PERSON - 1, |other| other.pass.is_same(&session.pass));
        forget(&mut all, MOST - 1, |_| true);
        all.insert(digest(&key), Arc::clone(&session));
        Ok((session, self.cookie(visitor, headers, &key, self.longest)))
    }

    /// The session that a request belongs to, if it is still one.
    pub fn find(
        &self,
        system: &(dyn System + 'static),
        visitor: Visitor,
        headers: &HeaderMap,
    ) -> Option<Arc<Session<P>>> {
        let key = digest(self.key(visitor, headers)?);
        let now = system.unix_seconds();
        let mut all = self.lock();
        let session = Arc::clone(all.get(&key)?);
        if !session.is_alive(now) {
            all.remove(&key);
            session.end();
            return None;
        }
        session.seen.fetch_max(now, Ordering::Relaxed);
        Some(session)
    }

    /// All of a person, the one that was used last first.
    pub fn of(&self, pass: &P) -> Vec<Arc<Session<P>>> {
        let mut found: Vec<_> =
            self.lock().values().filter(|session| session.pass.is_same(pass)).cloned().collect();
        found.sort_by_key(|session| std::cmp::Reverse(session.seen()));
        found
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends those of a person that are meant.
    pub fn end(&self, pass: &P, meant: impl Fn(&Session<P>) -> bool) {
        keep(&mut self.lock(), |session| !(session.pass.is_same(pass) && meant(session)));
    }

    /// A cookie that makes a browser forget its session.
    pub fn forgotten(&self, visitor: Visitor, headers: &HeaderMap) -> HeaderValue {
        self.cookie(visitor, headers, "", 0)
    }

    fn name(&self, visitor: Visitor, headers: &HeaderMap) -> String {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        cookie::name(self.name, host, visitor.service.implicit_tls())
    }

    fn cookie(&self, visitor: Visitor, headers: &HeaderMap, value: &str, age: i64) -> HeaderValue {
        let name = self.name(visitor, headers);
        let text = cookie::kept(&name, value, age, self.same_site, visitor.service.implicit_tls());
        HeaderValue::try_from(text).expect("only letters, digits and signs that a header may have")
    }

    fn key<'h>(&self, visitor: Visitor, headers: &'h HeaderMap) -> Option<&'h str> {
        sent(headers, &self.name(visitor, headers))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Arc<Session<P>>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P: Pass> Session<P> {
    /// Whether it is one still, at this time in seconds of Unix.
    pub(super) fn is_alive(&self, now: i64) -> bool {
        now < self.until
            && now < self.seen().saturating_add(IDLE)
            && !self.pass.is_over()
            && !self.ended.load(Ordering::Acquire)
    }
}

impl<P> Session<P> {
    /// When it was last used, in seconds of Unix.
    pub fn seen(&self) -> i64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Whether a form was given out in this session.
    pub fn is_sealed(&self, seal: &str) -> bool {
        self.seal.as_bytes().ct_eq(seal.as_bytes()).into()
    }

    /// Waits until it is ended before its time: by whoever signs out, or to make room. May be dropped at any time.
    pub(super) async fn ended(&self) {
        // Before the look, so that nothing falls between the two.
        let told = self.told.notified();
        if !self.ended.load(Ordering::Acquire) {
            told.await;
        }
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Release);
        self.told.notify_waiters();
    }

    /// Whether one more request may come at this time, in seconds of Unix.
    pub(super) fn allows(&self, now: i64) -> bool {
        self.budget.take(1, now)
    }
}

impl<P> fmt::Debug for Sessions<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<P: fmt::Debug> fmt::Debug for Session<P> {
    // The seal is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("pass", &self.pass).field("id", &self.id).finish_non_exhaustive()
    }
}

/// Leaves those that are meant, and ends all others.
fn keep<P>(all: &mut BTreeMap<Key, Arc<Session<P>>>, meant: impl Fn(&Session<P>) -> bool) {
    all.retain(|_, session| {
        let stays = meant(session);
        if !stays {
            session.end();
        }
        stays
    });
}

/// Leaves so many of those that are meant, the ones that were used last.
fn forget<P>(all: &mut BTreeMap<Key, Arc<Session<P>>>, most: usize, meant: impl Fn(&Session<P>) -> bool) {
    let mut found: Vec<(i64, Key)> = all
        .iter()
        .filter(|(_, session)| meant(session))
        .map(|(key, session)| (session.seen(), *key))
        .collect();
    if found.len() > most {
        found.sort_unstable();
        for (_, key) in &found[..found.len() - most] {
            if let Some(session) = all.remove(key) {
                session.end();
            }
        }
    }
}

fn random(system: &(dyn System + 'static)) -> io::Result<String> {
    let mut octets = [0; 24];
    system.fill_random(&mut octets)?;
    Ok(URL_SAFE_NO_PAD.encode(octets))
}

fn digest(key: &str) -> Key {
    Sha256::digest(key.as_bytes()).into()
}

/// How long a session may last, in seconds: two weeks.
const LONGEST: i64 = 14 * 86_400;
/// How long one may be left alone: three days.
const IDLE: i64 = 3 * 86_400;
/// The most sessions of one person.
const PER_PERSON: usize = 20;
/// The most sessions of all; tests do with fewer.
const MOST: usize = if cfg!(test) { 100 } else { 20_000 };
/// What is kept of what a browser calls itself.
const AGENT: usize = 160;
/// Requests of a session that may come at once.
const BURST: f64 = 300.0;
/// Requests of a session that may come in the long run.
const PER_SECOND: f64 = 10.0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::Service;
    use crate::system::Machine;

    #[derive(Debug)]
    struct Guest(u8, AtomicBool);

    impl Pass for Guest {
        fn is_over(&self) -> bool {
            self.1.load(Ordering::Relaxed)
        }

        fn is_same(&self, other: &Self) -> bool {
            self.0 == other.0
        }
    }

    fn guest(number: u8) -> Guest {
        Guest(number, AtomicBool::new(false))
    }

    fn visitor(service: Service) -> Visitor {
        Visitor { peer: [192, 0, 2, 1].into(), service, private: true }
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    /// The headers of a browser that has taken this cookie.
    fn taken(host: &str, cookie: &HeaderValue) -> HeaderMap {
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
        headers(&[("host", host), ("cookie", "other=1"), ("cookie", &format!("a=b; {cookie}"))])
    }

    #[test]
    fn a_session_is_found_by_its_cookie_alone() {
        let (sessions, webs) = (Sessions::new("mail"), visitor(Service::Webs));
        let host = headers(&[("host", "a.test:8443"), ("user-agent", "Browser")]);
        let (session, cookie) = sessions.begin(&Machine, webs, &host, guest(1)).unwrap();
        let text = cookie.to_str().unwrap();
        assert!(
            text.starts_with("__Host-mail-8443=") && text.ends_with("; HttpOnly; SameSite=Lax; Secure"),
            "{text}"
        );
        assert!(text.contains("; Path=/; "), "{text}");
        assert!(!text.contains(&session.seal) && !text.contains(&session.id));
        let found = sessions.find(&Machine, webs, &taken("a.test:8443", &cookie)).unwrap();
        assert_eq!((found.pass.0, &*found.agent), (1, "Browser"));
        let long = headers(&[("user-agent", &"x".repeat(5_000))]);
        assert_eq!(sessions.begin(&Machine, webs, &long, guest(3)).unwrap().0.agent.len(), AGENT);
        assert!(found.is_sealed(&session.seal) && !found.is_sealed("") && !found.is_sealed(&session.id));
        assert!(sessions.find(&Machine, webs, &taken("a.test:9443", &cookie)).is_none(), "another port");
        assert!(sessions.find(&Machine, visitor(Service::Web), &taken("a.test:8443", &cookie)).is_none());
        assert!(sessions.find(&Machine, webs, &host).is_none(), "no cookie");
        for wrong in ["", "x", &session.id, &session.seal] {
            let cookie = HeaderValue::from_str(&format!("__Host-mail-8443={wrong}; Path=/")).unwrap();
            assert!(sessions.find(&Machine, webs, &taken("a.test:8443", &cookie)).is_none(), "{wrong}");
        }
        let (_, plain) = sessions.begin(&Machine, visitor(Service::Web), &headers(&[]), guest(1)).unwrap();
        assert!(plain.to_str().unwrap().starts_with("mail=") && !plain.to_str().unwrap().contains("Secure"));
    }

    #[test]
    fn a_session_ends_with_what_it_gives_and_when_it_is_told_to() {
        let (sessions, web) = (Sessions::new("mail"), visitor(Service::Web));
        let begin = |number| sessions.begin(&Machine, web, &headers(&[]), guest(number)).unwrap();
        let ((one, first), (_, second), (_, other)) = (begin(1), begin(1), begin(2));
        let is_there = |cookie: &HeaderValue| sessions.find(&Machine, web, &taken("a", cookie)).is_some();
        sessions.end(&guest(1), |session| session.id == one.id);
        assert!(!is_there(&first) && is_there(&second) && is_there(&other));
        let found = sessions.find(&Machine, web, &taken("a", &second)).unwrap();
        found.pass.1.store(true, Ordering::Relaxed);
        assert!(!is_there(&second) && is_there(&other));
        assert_eq!(sessions.len(), 1);
    }

    #[test]
    fn old_and_idle_sessions_are_over() {
        let (sessions, web) = (Sessions::new("mail"), visitor(Service::Web));
        let (session, _) = sessions.begin(&Machine, web, &headers(&[]), guest(1)).unwrap();
        assert!(session.is_alive(session.begun + IDLE - 1) && !session.is_alive(session.begun + IDLE));
        session.seen.store(session.begun + LONGEST - 1, Ordering::Relaxed);
        assert!(session.is_alive(session.begun + LONGEST - 1) && !session.is_alive(session.begun + LONGEST));
    }

    #[test]
    fn strict_sessions_are_short_and_stay_within_the_site() {
        let (sessions, admin) = (Sessions::strict("operator", 100), visitor(Service::WebAdmin));
        let (session, cookie) = sessions.begin(&Machine, admin, &headers(&[]), guest(1)).unwrap();
        let text = cookie.to_str().unwrap();
        assert!(text.contains("; Max-Age=100; ") && text.ends_with("; HttpOnly; SameSite=Strict"), "{text}");
        assert!(session.is_alive(session.begun + 99) && !session.is_alive(session.begun + 100));
    }

    #[test]
    fn of_too_many_the_one_goes_that_was_left_alone_longest() {
        let (sessions, web) = (Sessions::new("mail"), visitor(Service::Web));
        let other = sessions.begin(&Machine, web, &headers(&[]), guest(2)).unwrap();
        let cookies: Vec<_> = (0..PER_PERSON + 3)
            .map(|number| {
                let (session, cookie) = sessions.begin(&Machine, web, &headers(&[]), guest(1)).unwrap();
                session.seen.fetch_add(i64::try_from(number).unwrap(), Ordering::Relaxed);
                cookie
            })
            .collect();
        for (number, cookie) in cookies.iter().enumerate() {
            assert_eq!(sessions.find(&Machine, web, &taken("a", cookie)).is_some(), number >= 3, "{number}");
        }
        assert!(sessions.find(&Machine, web, &taken("a", &other.1)).is_some(), "another person's stays");
        assert_eq!(sessions.of(&guest(1)).len(), PER_PERSON);
    }

    #[test]
    fn of_all_people_together_there_are_not_too_many_either() {
        let (sessions, web) = (Sessions::new("mail"), visitor(Service::Web));
        let all: Vec<_> = (0..=u8::try_from(MOST).unwrap())
            .map(|number| {
                let begun = sessions.begin(&Machine, web, &headers(&[]), guest(number)).unwrap();
                begun.0.seen.fetch_add(i64::from(number), Ordering::Relaxed);
                begun
            })
            .collect();
        assert_eq!(sessions.len(), MOST);
        let now = (&Machine as &dyn System).unix_seconds();
        assert!(!all[0].0.is_alive(now) && all[1..].iter().all(|(session, _)| session.is_alive(now)));
    }

    #[test]
    fn a_session_that_is_used_is_not_left_alone() {
        let (sessions, web) = (Sessions::new("mail"), visitor(Service::Web));
        let (session, cookie) = sessions.begin(&Machine, web, &headers(&[]), guest(1)).unwrap();
        session.seen.fetch_sub(IDLE - 5, Ordering::Relaxed);
        assert!(sessions.find(&Machine, web, &taken("a", &cookie)).is_some());
        assert!(session.seen() >= session.begun);
        session.seen.fetch_sub(IDLE + 5, Ordering::Relaxed);
        assert!(sessions.find(&Machine, web, &taken("a", &cookie)).is_none());
        assert!(sessions.is_empty(), "nothing is kept of one that is over");
    }

    /// Whoever waits for the end of a session is told, whichever way it ends.
    #[tokio::test]
    async fn the_end_of_a_session_is_told() {
        let (sessions, web) = (Sessions::new("mail"), visitor(Service::Web));
        let begin = |number| sessions.begin(&Machine, web, &headers(&[]), guest(number)).unwrap();
        let ((one, _), (other, _), (idle, cookie), (over, _)) = (begin(1), begin(1), begin(2), begin(3));
        let waiting = [&one, &idle, &over].map(|session| {
            let session = Arc::clone(session);
            tokio::spawn(async move { session.ended().await })
        });
        tokio::task::yield_now().await;
        assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
        sessions.end(&guest(1), |session| session.id == one.id);
        idle.seen.fetch_sub(IDLE + 5, Ordering::Relaxed);
        assert!(sessions.find(&Machine, web, &taken("a", &cookie)).is_none());
        over.pass.1.store(true, Ordering::Relaxed);
        begin(4);
        for waiting in waiting {
            waiting.await.unwrap();
        }
        one.ended().await;
        let now = one.begun;
        assert!(!one.is_alive(now) && other.is_alive(now));
    }

    #[test]
    fn requests_are_bounded() {
        let (sessions, web) = (Sessions::new("mail"), visitor(Service::Web));
        let (session, _) = sessions.begin(&Machine, web, &headers(&[]), guest(1)).unwrap();
        let now = session.begun;
        assert_eq!((0..1_000).filter(|_| session.allows(now)).count(), 300);
        assert_eq!((0..1_000).filter(|_| session.allows(now + 2)).count(), 20);
        assert_eq!((0..1_000).filter(|_| session.allows(now - 50)).count(), 0);
        assert_eq!((0..1_000).filter(|_| session.allows(i64::MAX)).count(), 300);
    }
}
