//! A login by SASL, for every protocol alike: what the mechanisms ask, the accounts and the throttle answer.

use std::net::IpAddr;

use bytes::{Bytes, BytesMut};
use sasl_codec::server::{Event, Failure};
use sasl_codec::{Mechanism, Nonce, ServerConfig, ServerSession};

use super::{Attempt, Login, Password, password};
use crate::accounts::{Presence, login_key};
use crate::host::Host;
use crate::metrics::Outcome;
use crate::wire::Wire;

/// The mechanisms for one connection.
#[derive(Debug)]
pub struct Offer(ServerConfig);

/// One login of one mechanism.
#[derive(Debug)]
pub struct Exchange<'h> {
    host: &'h Host,
    peer: IpAddr,
    session: ServerSession,
    begun: bool,
    /// A failure, unless the exchange ends otherwise.
    attempt: Option<Attempt<'h>>,
    presence: Option<Presence>,
    /// The app password that the name names.
    app: Option<String>,
    /// The password is right, and nobody may log in.
    suspended: bool,
    /// Nothing was found out: not the fault of the password.
    unavailable: bool,
}

/// What happens next.
#[derive(Debug)]
pub enum Step {
    /// Send this; the response goes to [`Exchange::respond`].
    Challenge(Bytes),
    /// The account has logged in under this name.
    Accepted(Presence, String),
    /// The name or the password is wrong, or something that the client said.
    Rejected(Failure),
    /// The password is right, and the account is suspended.
    Suspended,
    /// Too many logins have failed of late, or the password could not be checked.
    Unavailable,
}

impl Offer {
    /// What can be offered on this connection: what binds to TLS only where there is something to bind to.
    pub fn new(host: &Host, wire: &Wire) -> Self {
        let config = ServerConfig::new(host.accounts.secret().clone(), password::ITERATIONS);
        let end_point = host.end_point.clone().filter(|_| matches!(wire, Wire::Tls(_)));
        let bindings = wire.exported().into_iter().chain(end_point);
        Self(bindings.fold(config, ServerConfig::binding))
    }

    /// The mechanisms, the preferred ones first; to be announced.
    pub fn mechanisms(&self) -> impl Iterator<Item = Mechanism> {
        // There is nobody here yet who could judge a token or a client's certificate.
        let ours = |mechanism: &Mechanism| {
            mechanism.hash().is_some() || matches!(mechanism, Mechanism::Plain | Mechanism::Login)
        };
        Mechanism::ALL.into_iter().filter(ours).filter(|mechanism| self.0.can_offer(*mechanism))
    }

    /// Begins a login; `None` for a mechanism that is not offered, or if the system gives no random octets.
    pub fn begin<'h>(&self, host: &'h Host, peer: IpAddr, mechanism: &str) -> Option<Exchange<'h>> {
        let mechanism = Mechanism::parse(mechanism.as_bytes())?;
        let mechanism = self.mechanisms().find(|offered| *offered == mechanism)?;
        let mut random = [0; 18];
        host.store.system().fill_random(&mut random).ok()?;
        let session = ServerSession::new(mechanism, self.0.clone(), Nonce::new(random));
        Some(Exchange {
            host,
            peer,
            session,
            begun: false,
            attempt: None,
            presence: None,
            app: None,
            suspended: false,
            unavailable: false,
        })
    }
}

impl Step {
    /// What it counts as, once the login has ended.
    pub const fn outcome(&self) -> Outcome {
        match self {
            Self::Accepted(..) => Outcome::Good,
            Self::Rejected(_) => Outcome::Bad,
            Self::Suspended => Outcome::Suspended,
            Self::Challenge(_) | Self::Unavailable => Outcome::Unavailable,
        }
    }
}

impl Exchange<'_> {
    /// Takes the response that came with the mechanism's name, if one did; then each next one.
    pub async fn respond(&mut self, response: Option<&[u8]>) -> Step {
        let mut challenge = BytesMut::new();
        let event = match std::mem::replace(&mut self.begun, true) {
            false => self.session.begin(response, &mut challenge),
            true => self.session.receive(response.unwrap_or_default(), &mut challenge),
        };
        match event {
            Some(Event::Login(login)) => {
                let right = acts_for_itself(login.name(), login.authzid());
                match Password::new(login.password().to_owned()) {
                    Ok(password) if right => {
                        match self.host.log_in(self.peer, login.name(), password).await {
                            Ok(presence) => {
                                self.presence = Some(presence);
                                login.accept();
                            }
                            Err(outcome) => {
                                self.unavailable = matches!(outcome, Login::TooMany | Login::Unavailable);
                                self.suspended = outcome == Login::Suspended;
                                login.reject();
                            }
                        }
                    }
                    _ => login.reject(),
                }
            }
            Some(Event::Keys(keys)) => {
                let known_as = login_key(keys.name());
                let counted_as = self.host.accounts.throttle_key(keys.name());
                match self.host.authenticator.admit(self.peer, &counted_as).await {
                    Some(attempt) => {
                        self.attempt = Some(attempt);
                        // Looked at whether the name exists or not: it must not show.
                        let right = acts_for_itself(keys.name(), keys.authzid());
                        let (found, exists) = self.host.accounts.look_up(keys.name());
                        let (hash, known) = (keys.hash(), right & exists);
                        let stored = found.scram().iter().find(|verifier| verifier.hash() == hash);
                        keys.answer(stored.filter(|_| known), &known_as, &mut challenge);
                        self.app = found.named().filter(|_| known).map(str::to_owned);
                        self.presence = Some(found.presence).filter(|_| known);
                    }
                    None => {
                        self.unavailable = true;
                        keys.reject();
                    }
                }
            }
            _ => {}
        }
        self.step(challenge).await
    }

    async fn step(&mut self, challenge: BytesMut) -> Step {
        match (self.session.closed(), self.presence.take()) {
            (None, presence) => {
                self.presence = presence;
                Step::Challenge(challenge.freeze())
            }
            (Some(Ok(identity)), Some(presence)) => {
                let name = identity.name().unwrap_or_default().to_owned();
                let Some(attempt) = self.attempt.take() else {
                    // By its password: all is looked at.
                    return Step::Accepted(presence, name);
                };
                attempt.end(true);
                match self.host.enter(presence, self.app.as_deref()).await {
                    Ok(presence) => Step::Accepted(presence, name),
                    Err(_) => Step::Suspended,
                }
            }
            _ if self.suspended => Step::Suspended,
            _ if self.unavailable => Step::Unavailable,
            (Some(Err(failure)), _) => {
                self.attempt = None;
                Step::Rejected(failure)
            }
            // A yes about nobody: there is none.
            (Some(Ok(_)), None) => Step::Rejected(Failure::Rejected),
        }
    }

    /// The name that the client claims, for the log.
    pub fn name(&self) -> &str {
        self.session.claimed_name().unwrap_or_default()
    }

    /// The mechanism, for the log.
    pub const fn mechanism(&self) -> Mechanism {
        self.session.mechanism()
    }
}

/// Nobody acts for others here.
fn acts_for_itself(name: &str, authzid: Option<&str>) -> bool {
    authzid.is_none_or(|authzid| login_key(authzid) == login_key(name))
}
