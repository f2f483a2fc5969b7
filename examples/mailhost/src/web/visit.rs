//! The request of somebody who is signed in.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Request};
use axum::http::header::COOKIE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use mailstore::Actor;
use mailstore::mailbox::AccountId;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::onward::own_path;
use super::problem::Problem;
use super::session::{Pass, Session};
use super::when::Clock;
use super::{Visitor, cookie};
use crate::accounts::Presence;
use crate::host::Host;

/// What a session on `web` gives: a stay in an account.
#[derive(Clone, Debug)]
pub struct User {
    /// Which account, and whether the stay is over.
    pub presence: Presence,
    /// The first address of the account.
    pub address: String,
}

impl Pass for User {
    fn is_over(&self) -> bool {
        self.presence.is_over()
    }

    fn is_same(&self, other: &Self) -> bool {
        self.presence.account() == other.presence.account()
    }
}

/// Somebody who is signed in, and what they use.
#[derive(Clone, Debug)]
pub(super) struct SignedIn {
    /// Their session.
    pub(super) session: Arc<Session<User>>,
    /// Where they come from.
    pub(super) visitor: Visitor,
    /// What time it is for them.
    pub(super) clock: Clock,
}

impl SignedIn {
    /// Whose mail it is.
    pub(super) fn account(&self) -> AccountId {
        AccountId(self.session.pass.presence.account())
    }

    /// Who asks the store.
    pub(super) fn actor(&self) -> Actor {
        Actor::Account(self.account())
    }

    /// Their first address.
    pub(super) fn address(&self) -> &str {
        &self.session.pass.address
    }

    /// What each form has to carry.
    pub(super) fn seal(&self) -> &str {
        &self.session.seal
    }

    /// Refuses a form that was not given out in this session.
    pub(super) fn check(&self, seal: &str) -> Result<(), Problem> {
        if self.session.is_sealed(seal) { Ok(()) } else { Err(Problem::Foreign) }
    }

    fn of(parts: &Parts, host: &Host) -> Option<Self> {
        let visitor = *parts.extensions.get::<Visitor>()?;
        let system = host.store.system();
        let session = host.web_sessions.find(system, visitor, &parts.headers)?;
        let clock = Clock::new(system.unix_seconds(), sent(&parts.headers, "offset"));
        Some(Self { session, visitor, clock })
    }
}

impl FromRequestParts<Arc<Host>> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, host: &Arc<Host>) -> Result<Self, Problem> {
        let Some(signed_in) = Self::of(parts, host) else {
            // What was to be changed is not changed later by itself.
            let then = parts.uri.path_and_query().filter(|_| parts.method == Method::GET);
            return Err(Problem::SignedOut(then.and_then(|then| own_path(then.as_str())).map(str::to_owned)));
        };
        if !signed_in.session.allows(signed_in.clock.now) {
            return Err(Problem::TooOften);
        }
        Ok(signed_in)
    }
}

impl OptionalFromRequestParts<Arc<Host>> for SignedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, host: &Arc<Host>) -> Result<Option<Self>, Problem> {
        Ok(Self::of(parts, host))
    }
}

/// A form of somebody who is signed in, that was given out to them.
pub(super) struct SealedForm<T>(pub(super) SignedIn, pub(super) T);

#[derive(Deserialize)]
struct Sealed {
    #[serde(default)]
    seal: String,
}

impl<T: DeserializeOwned> FromRequest<Arc<Host>> for SealedForm<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, host: &Arc<Host>) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let signed_in = <SignedIn as FromRequestParts<_>>::from_request_parts(&mut parts, host).await?;
        let request = Request::from_parts(parts, body);
        let octets = Bytes::from_request(request, host).await.map_err(|_| Problem::TooLarge)?;
        let Sealed { seal } = read(&octets)?;
        signed_in.check(&seal)?;
        Ok(Self(signed_in, read(&octets)?))
    }
}

fn read<T: DeserializeOwned>(form: &[u8]) -> Result<T, Problem> {
    serde_html_form::from_bytes(form)
        .map_err(|error| Problem::Wrong(format!("The form cannot be read: {error}.")))
}

/// The value of a cookie of ours, if a browser has sent it.
pub(super) fn sent<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    cookie::find(headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok()), name)
}
