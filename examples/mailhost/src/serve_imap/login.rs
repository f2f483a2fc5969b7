//! Logins, with LOGIN and AUTHENTICATE.

use bytes::{Bytes, BytesMut};
use imap_codec::command::Password as Word;
use imap_codec::extension::Extensions;
use imap_codec::response::{Code, Reply};
use imap_codec::server::{Answer, Login, LoginResponse};
use imap_codec::types::string::{Atom, IString};
use mailstore::mailbox::AccountId;
use tracing::info;

use super::session::{Session, User};
use crate::accounts::Presence;
use crate::auth::{self, Password};
use crate::metrics::Outcome;

/// What the client gets.
enum Step {
    Challenge(Bytes),
    In(Extensions),
}

impl Session<'_> {
    /// The mechanisms that can be had on this connection.
    pub(super) fn mechanisms(&self) -> Vec<Atom<'static>> {
        self.offer.mechanisms().filter_map(|mechanism| Atom::new(mechanism.name()).ok()).collect()
    }

    pub(super) async fn log_in(
        &mut self,
        user: &IString<'_>,
        word: &Word<'_>,
        mut answer: Answer<'_>,
        out: &mut BytesMut,
    ) {
        let result = match (user.as_str(), word.0.as_str().map(|word| Password::new(word.to_owned()))) {
            (Some(name), Some(Ok(password))) => self.host.log_in(self.peer.ip(), name, password).await,
            // What is no text is nobody's name, and nobody's password.
            _ => Err(auth::Login::Rejected),
        };
        let login = user.as_str().unwrap_or_default();
        match result {
            Ok(presence) => {
                self.host.logged_in(self.service, Outcome::Good, login);
                info!(service = %self.service, peer = %self.peer, ?login, "logged in");
                answer.restrict(self.enter(presence));
                answer.ok("logged in", out);
            }
            Err(outcome) => {
                self.host.logged_in(self.service, outcome.counted(), login);
                info!(service = %self.service, peer = %self.peer, ?login, ?outcome, "login refused");
                answer.no(refusal(&outcome), out);
            }
        }
    }

    pub(super) async fn authenticate(&mut self, mut login: Login<'_>, out: &mut BytesMut) {
        self.exchange = self.offer.begin(self.host, self.peer.ip(), login.mechanism());
        match self.step(login.initial()).await {
            Ok(Step::Challenge(challenge)) => login.challenge(&challenge, out),
            Ok(Step::In(extensions)) => {
                login.restrict(extensions);
                login.ok("logged in", out);
            }
            Err(reply) => login.no(reply, out),
        }
    }

    pub(super) async fn login_response(&mut self, mut response: LoginResponse<'_>, out: &mut BytesMut) {
        match self.step(Some(response.data())).await {
            Ok(Step::Challenge(challenge)) => response.challenge(&challenge, out),
            Ok(Step::In(extensions)) => {
                response.restrict(extensions);
                response.ok("logged in", out);
            }
            Err(reply) => response.no(reply, out),
        }
    }

    pub(super) fn login_cancelled(&mut self) {
        self.exchange = None;
    }

    async fn step(&mut self, response: Option<&[u8]>) -> Result<Step, Reply<'static>> {
        let Some(exchange) = &mut self.exchange else { return Err(unavailable()) };
        let step = exchange.respond(response).await;
        if let auth::Step::Challenge(challenge) = step {
            return Ok(Step::Challenge(challenge));
        }
        let (login, mechanism) = (exchange.name(), exchange.mechanism());
        info!(service = %self.service, peer = %self.peer, %mechanism, ?login, outcome = ?step, "login");
        self.host.logged_in(self.service, step.outcome(), login);
        self.exchange = None;
        match step {
            auth::Step::Accepted(presence, _) => Ok(Step::In(self.enter(presence))),
            auth::Step::Suspended => Err(refusal(&auth::Login::Suspended)),
            auth::Step::Unavailable => Err(unavailable()),
            _ => Err(refusal(&auth::Login::Rejected)),
        }
    }

    /// Somebody is here now. Gives what there is for them.
    fn enter(&mut self, presence: Presence) -> Extensions {
        let account = presence.account();
        let off = self.host.accounts.imap_without(account);
        let extensions = off.into_iter().fold(super::extensions(), Extensions::switched_off);
        self.user = Some(User { account: AccountId(account), extensions });
        self.presence = Some(presence);
        extensions
    }
}

fn refusal(outcome: &auth::Login) -> Reply<'static> {
    match outcome {
        auth::Login::TooMany | auth::Login::Unavailable => unavailable(),
        // RFC 5530 §3: said to nobody who has not given the right password.
        auth::Login::Suspended => {
            (Code::ContactAdmin, "this account is suspended; ask whoever runs this host").into()
        }
        auth::Login::Accepted | auth::Login::Rejected => {
            (Code::AuthenticationFailed, "wrong name or password").into()
        }
    }
}

fn unavailable() -> Reply<'static> {
    (Code::Unavailable, "no logins now, try again later").into()
}
