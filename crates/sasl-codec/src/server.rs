//! The server's side of an exchange.

mod event;

use bytes::BytesMut;
use thiserror::Error;
use zeroize::Zeroizing;

pub use self::event::{Bearer, Event, External, Keys, Login};
use crate::binding::ChannelBinding;
use crate::limits::Limits;
use crate::mechanism::Mechanism;
use crate::oauth::Request;
use crate::prepare::{Unassigned, prepare};
use crate::scram::message::{ClientFinal, ClientFirst, Flag, MessageError, ServerFinal};
use crate::scram::{Iterations, Verifier};
use crate::secret::{Nonce, ServerSecret, Token};

/// What an exchange needs to know of its host and its connection.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    secret: ServerSecret,
    iterations: Iterations,
    bindings: Vec<ChannelBinding>,
    limits: Limits,
}

impl ServerConfig {
    /// A host without channel binding. The iterations are what is told to names that do not exist: as many as
    /// [`Verifier::derive`] is called with for those that do.
    pub fn new(secret: ServerSecret, iterations: Iterations) -> Self {
        Self { secret, iterations, bindings: Vec::new(), limits: Limits::default() }
    }

    /// The connection can be bound to: the mechanisms with `-PLUS` have to be announced beside those without.
    pub fn binding(mut self, binding: ChannelBinding) -> Self {
        self.bindings.push(binding);
        self
    }

    /// Other bounds than the default ones.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Whether this mechanism can be offered: one with `-PLUS` needs a [binding](Self::binding).
    pub fn can_offer(&self, mechanism: Mechanism) -> bool {
        !mechanism.is_plus() || !self.bindings.is_empty()
    }
}

/// Who has logged in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Identity<'s> {
    name: Option<&'s str>,
    authzid: Option<&'s str>,
}

impl<'s> Identity<'s> {
    /// Whose password was proven to be known, in the form of SASLprep. `None` where the caller found out who it is, from
    /// a token or a certificate.
    pub const fn name(&self) -> Option<&'s str> {
        self.name
    }

    /// Whom the client acts for, if it said so; the caller has allowed it.
    pub const fn authzid(&self) -> Option<&'s str> {
        self.authzid
    }
}

/// Why nobody has logged in. For the log: what the client is told is the same for all of them.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// A message does not follow the grammar of the mechanism.
    #[error("malformed message")]
    Malformed,
    /// A message, or a part of one, is longer than [`Limits`] allow.
    #[error("message too long")]
    TooLong,
    /// A name or password that nobody can have.
    #[error("unusable name or password")]
    Unusable,
    /// The client demands an extension, of which none is known.
    #[error("unknown mandatory extension")]
    Extension,
    /// The client believes that the server cannot bind to the channel: somebody has changed what was announced.
    #[error("channel binding was hidden from the client")]
    Downgrade,
    /// The mechanism and what the client says of channel binding do not go together.
    #[error("channel binding does not fit the mechanism")]
    BindingMisused,
    /// The client wants another kind of channel binding.
    #[error("unsupported type of channel binding")]
    BindingType,
    /// The client sees another channel: somebody stands in between.
    #[error("channel bindings do not match")]
    BindingMismatch,
    /// The nonce is not that of this exchange: altered, or replayed.
    #[error("nonce of another exchange")]
    Nonce,
    /// A wrong password, a name that does not exist, or whatever else the caller refused.
    #[error("rejected")]
    Rejected,
    /// The caller dropped an event without an answer.
    #[error("no answer from the caller")]
    Unanswered,
}

/// One login, from the first response to the last.
///
/// After each call, and each answer to an event, either [`closed`](Self::closed) says how it has ended, or what was
/// written to `out` is the next challenge, which may be empty. See the [front page](crate) for a driver.
#[derive(Debug)]
pub struct ServerSession {
    mechanism: Mechanism,
    config: ServerConfig,
    nonce: Nonce,
    name: Option<String>,
    authzid: Option<String>,
    state: State,
}

/// What the next response has to be.
#[derive(Debug)]
enum State {
    /// The first one.
    First,
    /// LOGIN: the password, or the name before it.
    LoginName,
    LoginPassword,
    /// SCRAM: the proof.
    Proof(Box<Proof>),
    /// SCRAM: nothing any more; the proof was right.
    Proven,
    /// OAUTHBEARER and XOAUTH2: nothing of worth; the token was not.
    Denied,
    Closed(Result<(), Failure>),
}

/// What a proof is checked with.
#[derive(Debug)]
struct Proof {
    verifier: Verifier,
    /// Whether anybody could have the password for it.
    exists: bool,
    /// What the client has to see of the channel.
    binding: Zeroizing<Vec<u8>>,
    client_first_bare: String,
    server_first: String,
    nonce: String,
}

/// What a step came to, before anything is borrowed for an event.
enum Turn {
    /// A challenge, which is in `out`.
    Challenge,
    Login(Zeroizing<String>),
    Keys {
        binding: Zeroizing<Vec<u8>>,
        bare: String,
        nonce: String,
    },
    Bearer {
        token: Token,
        host: Option<String>,
        port: Option<u16>,
    },
    External,
}

impl ServerSession {
    /// Begins. The nonce must be a fresh one; mechanisms other than SCRAM do not use it.
    pub fn new(mechanism: Mechanism, config: ServerConfig, nonce: Nonce) -> Self {
        Self { mechanism, config, nonce, name: None, authzid: None, state: State::First }
    }

    /// Takes the response that came with the mechanism's name, its base64 removed; `None` if there was none.
    pub fn begin(&mut self, initial: Option<&[u8]>, out: &mut BytesMut) -> Option<Event<'_>> {
        match (initial, &self.state) {
            (Some(response), _) => self.receive(response, out),
            (None, State::First) if !self.mechanism.is_client_first() => {
                self.state = State::LoginName;
                out.extend_from_slice(NAME);
                None
            }
            // RFC 4422 §3.3: a mechanism whose client speaks first gets an empty challenge.
            (None, _) => None,
        }
    }

    /// Takes the next response, its base64 removed. Once closed, it does nothing.
    pub fn receive(&mut self, response: &[u8], out: &mut BytesMut) -> Option<Event<'_>> {
        // Whatever returns early below, or asks and gets no answer, has failed.
        let state = core::mem::replace(&mut self.state, State::Closed(Err(Failure::Unanswered)));
        let turn = match state {
            State::Closed(_) => {
                self.state = state;
                return None;
            }
            _ if response.len() > self.config.limits.message => Err(Failure::TooLong),
            State::First => self.first(response, out),
            State::LoginName => self.login_name(response, out),
            State::LoginPassword => self.password(response).map(Turn::Login),
            State::Proof(proof) => self.prove(&proof, response, out),
            State::Proven => {
                self.state =
                    State::Closed(if response.is_empty() { Ok(()) } else { Err(Failure::Malformed) });
                return None;
            }
            State::Denied => Err(Failure::Rejected),
        };
        match turn {
            Err(failure) => {
                self.state = State::Closed(Err(failure));
                None
            }
            Ok(Turn::Challenge) => None,
            Ok(Turn::Login(password)) => Some(Event::Login(Login { session: self, password })),
            Ok(Turn::Keys { binding, bare, nonce }) => {
                Some(Event::Keys(Keys { session: self, binding, bare, nonce }))
            }
            Ok(Turn::Bearer { token, host, port }) => {
                Some(Event::Bearer(Bearer { session: self, token, host, port }))
            }
            Ok(Turn::External) => Some(Event::External(External { session: self })),
        }
    }

    /// How the exchange has ended; `None` while it goes on.
    pub fn closed(&self) -> Option<Result<Identity<'_>, Failure>> {
        match self.state {
            State::Closed(Err(failure)) => Some(Err(failure)),
            State::Closed(Ok(())) => {
                Some(Ok(Identity { name: self.name.as_deref(), authzid: self.authzid.as_deref() }))
            }
            _ => None,
        }
    }

    /// The mechanism.
    pub const fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// The name that the client claims, as soon as it has: for the log, whatever comes of it.
    pub fn claimed_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    fn first(&mut self, response: &[u8], out: &mut BytesMut) -> Result<Turn, Failure> {
        match self.mechanism {
            Mechanism::Plain => self.plain(response),
            Mechanism::Login => self.login_name(response, out),
            Mechanism::External => {
                self.authzid = match response {
                    [] => None,
                    octets => Some(self.usable(str::from_utf8(octets).map_err(|_| Failure::Malformed)?)?),
                };
                Ok(Turn::External)
            }
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => self.bearer(response),
            _ => self.client_first(response),
        }
    }

    /// `message = [authzid] UTF8NUL authcid UTF8NUL passwd` (RFC 4616 §2)
    fn plain(&mut self, response: &[u8]) -> Result<Turn, Failure> {
        let mut parts = response.split(|octet| *octet == 0);
        let (Some(other), Some(own), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Failure::Malformed);
        };
        self.name = Some(self.usable(text(own)?)?);
        self.authzid = match other {
            [] => None,
            other => Some(self.usable(text(other)?)?),
        };
        self.password(password).map(Turn::Login)
    }

    fn login_name(&mut self, response: &[u8], out: &mut BytesMut) -> Result<Turn, Failure> {
        self.name = Some(self.usable(text(response)?)?);
        self.state = State::LoginPassword;
        out.extend_from_slice(PASSWORD);
        Ok(Turn::Challenge)
    }

    fn password(&self, response: &[u8]) -> Result<Zeroizing<String>, Failure> {
        match text(response)? {
            "" => Err(Failure::Unusable),
            password if password.len() > self.config.limits.password => Err(Failure::TooLong),
            password if password.contains('\0') => Err(Failure::Unusable),
            password => Ok(Zeroizing::new(password.to_owned())),
        }
    }

    fn bearer(&mut self, response: &[u8]) -> Result<Turn, Failure> {
        let request = match self.mechanism {
            Mechanism::XOAuth2 => Request::parse_xoauth2(response),
            _ => Request::parse(response),
        };
        let Request { authzid, host, port, token } = request.map_err(|_| Failure::Malformed)?;
        self.authzid = authzid.map(|name| self.usable(&name)).transpose()?;
        Ok(Turn::Bearer { token, host: host.map(str::to_owned), port })
    }

    fn client_first(&mut self, response: &[u8]) -> Result<Turn, Failure> {
        let first = ClientFirst::parse(response)?;
        let (header, bare) = ClientFirst::split(response).ok_or(Failure::Malformed)?;
        if first.nonce().len() > self.config.limits.nonce {
            return Err(Failure::TooLong);
        }
        let mut binding = Zeroizing::new(header.as_bytes().to_vec());
        match (first.flag(), self.mechanism.is_plus()) {
            (Flag::Unsupported, false) => {}
            // RFC 5802 §6: somebody has taken our -PLUS out of the list that the client has seen.
            (Flag::NotOffered, _) if !self.config.bindings.is_empty() => return Err(Failure::Downgrade),
            (Flag::NotOffered, false) => {}
            (Flag::Used(name), true) => {
                let known = self.config.bindings.iter().find(|binding| binding.kind().name() == name);
                binding.extend_from_slice(known.ok_or(Failure::BindingType)?.data());
            }
            _ => return Err(Failure::BindingMisused),
        }
        self.name = Some(self.usable(first.name())?);
        self.authzid = first.authzid().map(|name| self.usable(name)).transpose()?;
        // RFC 5802 §5.1: the nonces of both, the client's first.
        let nonce = format!("{}{}", first.nonce(), self.nonce.as_str());
        Ok(Turn::Keys { binding, bare: bare.to_owned(), nonce })
    }

    fn prove(&mut self, proof: &Proof, response: &[u8], out: &mut BytesMut) -> Result<Turn, Failure> {
        let last = ClientFinal::parse(response)?;
        let (bare, _) = ClientFinal::split(response).ok_or(Failure::Malformed)?;
        if last.nonce() != proof.nonce {
            return Err(Failure::Nonce);
        }
        if !bool::from(subtle::ConstantTimeEq::ct_eq(last.binding(), &proof.binding[..])) {
            return Err(Failure::BindingMismatch);
        }
        let auth_message =
            [proof.client_first_bare.as_bytes(), b",", proof.server_first.as_bytes(), b",", bare.as_bytes()];
        // Checked for those that do not exist as well: the work is the same.
        let (right, ours) = proof.verifier.check(last.proof(), &auth_message);
        if !(right & proof.exists) {
            return Err(Failure::Rejected);
        }
        ServerFinal::Verifier(ours.as_ref().to_vec()).encode(out);
        self.state = State::Proven;
        Ok(Turn::Challenge)
    }

    /// A name in the form that names are looked up in.
    fn usable(&self, name: &str) -> Result<String, Failure> {
        if name.len() > self.config.limits.name {
            return Err(Failure::TooLong);
        }
        match prepare(name, Unassigned::Allowed) {
            Ok(name) if !name.is_empty() => Ok(name.into_owned()),
            _ => Err(Failure::Unusable),
        }
    }
}

impl From<MessageError> for Failure {
    fn from(error: MessageError) -> Self {
        match error {
            MessageError::Malformed => Self::Malformed,
            MessageError::Extension => Self::Extension,
        }
    }
}

fn text(octets: &[u8]) -> Result<&str, Failure> {
    str::from_utf8(octets).map_err(|_| Failure::Malformed)
}

/// What clients expect, word for word.
const NAME: &[u8] = b"Username:";
const PASSWORD: &[u8] = b"Password:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_may_move_between_threads() {
        const fn needs<T: Send + Sync>() {}
        needs::<ServerSession>();
    }
}
