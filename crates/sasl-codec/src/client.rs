//! The client's side of an exchange.

use std::borrow::Cow;

use bytes::BytesMut;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::binding::ChannelBinding;
use crate::error::Invalid;
use crate::limits::Limits;
use crate::mechanism::Mechanism;
use crate::oauth::Request;
use crate::prepare::{Unassigned, prepare};
use crate::scram::message::{ClientFinal, ClientFirst, Flag, MessageError, ServerFinal, ServerFirst};
use crate::scram::{Derivation, Hash, SaltedPassword};
use crate::secret::{Nonce, Password, Token};

/// A name and a password.
#[derive(Clone, Debug)]
pub struct Credentials {
    name: String,
    password: Password,
    authzid: Option<String>,
}

/// What a client does about channel binding ([RFC 5802 §6](https://www.rfc-editor.org/rfc/rfc5802#section-6)).
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Binding {
    /// It knows nothing of its channel. Whoever stands in between is not noticed.
    Unsupported,
    /// It could, and the server announced no mechanism with `-PLUS`. A server that did announce one will notice.
    NotOffered,
    /// It binds to this: the mechanism with `-PLUS`.
    Used(ChannelBinding),
}

/// Why the login has come to nothing. Sorted by blame: the server, whoever stands in between, the caller.
#[derive(Clone, Copy, Debug, Eq, Error, Hash, PartialEq)]
#[non_exhaustive]
pub enum Failure {
    /// The server said no.
    #[error("refused")]
    Refused,
    /// The server said why it says no: [`ClientSession::denial`].
    #[error("denied")]
    Denied,
    /// A challenge does not follow the grammar of the mechanism.
    #[error("malformed challenge")]
    Malformed,
    /// A challenge, or a part of one, is longer than [`Limits`] allow.
    #[error("challenge too long")]
    TooLong,
    /// The server demands an extension, of which none is known.
    #[error("unknown mandatory extension")]
    Extension,
    /// The server's nonce does not go on from ours: the exchange is altered, or replayed.
    #[error("nonce of another exchange")]
    Nonce,
    /// The server wants the password hashed less or more often than [`Limits::iterations`] allow.
    #[error("number of iterations out of bounds")]
    Iterations,
    /// The server does not know the password: it is another one.
    #[error("the server's proof is wrong")]
    FalseServer,
    /// The server said yes before it had proven anything.
    #[error("the server has proven nothing")]
    Unproven,
    /// The caller dropped an event without an answer.
    #[error("no answer from the caller")]
    Unanswered,
}

/// What is asked of the caller. Dropped without an answer, it ends the exchange.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'s> {
    /// SCRAM: the password has to be hashed some thousand times.
    Derive(Derive<'s>),
}

/// The password has to be hashed, here or on another thread; or was, the last time.
#[derive(Debug)]
#[must_use = "an event that is not answered ends the exchange"]
pub struct Derive<'s> {
    session: &'s mut ClientSession,
    derivation: Derivation,
    server_first: String,
    nonce: String,
}

/// One login, from the first challenge to what the server says in the end.
///
/// After each call either [`closed`](Self::closed) says how it has ended, or what was written to `out` is the next
/// response, which may be empty. One that failed before the server has said no is to be cancelled.
#[derive(Debug)]
pub struct ClientSession {
    what: What,
    limits: Limits,
    state: State,
    denial: Option<String>,
}

#[derive(Debug)]
enum What {
    Plain(Credentials),
    Login(Credentials),
    Scram { hash: Hash, credentials: Credentials, binding: Binding, nonce: Nonce },
    Bearer { mechanism: Mechanism, request: Request<'static>, host: Option<String> },
    External(Option<String>),
}

/// What comes next.
#[derive(Debug)]
enum State {
    /// The first challenge: an empty one, if the initial response was not sent.
    First {
        sent: bool,
    },
    /// The first challenge that says something: the initial response was asked for, and is out.
    Waiting,
    /// LOGIN: the question for the password.
    Password,
    /// SCRAM: the server's proof.
    Proof {
        expected: Zeroizing<Vec<u8>>,
    },
    /// The outcome: there is nothing more to be said.
    Said,
    /// The outcome, which has to be a no.
    Denied,
    Closed(Result<(), Failure>),
}

impl Credentials {
    /// Takes a name, not empty, and a password.
    pub fn new(name: &str, password: Password) -> Result<Self, Invalid> {
        Ok(Self { name: usable(name)?, password, authzid: None })
    }

    /// To act for somebody else than the one who logs in.
    pub fn acting_for(mut self, authzid: &str) -> Result<Self, Invalid> {
        self.authzid = Some(usable(authzid)?);
        Ok(self)
    }
}

impl Binding {
    /// The best of SCRAM that a server offers, with what there is to bind to. `None` if it offers none.
    pub fn choose(offered: &[Mechanism], channel: Option<ChannelBinding>) -> Option<(Hash, Self)> {
        let first = |plus: bool| {
            let wanted = Mechanism::ALL.into_iter().filter(|mechanism| mechanism.is_plus() == plus);
            wanted.filter(|mechanism| offered.contains(mechanism)).find_map(Mechanism::hash)
        };
        match channel {
            None => Some((first(false)?, Self::Unsupported)),
            // RFC 5802 §6: bound if it can be; if not, the server hears that it could have been.
            Some(channel) => match first(true) {
                Some(hash) => Some((hash, Self::Used(channel))),
                None => Some((first(false)?, Self::NotOffered)),
            },
        }
    }

    fn flag(&self) -> Flag<'_> {
        match self {
            Self::Unsupported => Flag::Unsupported,
            Self::NotOffered => Flag::NotOffered,
            Self::Used(channel) => Flag::Used(channel.kind().name()),
        }
    }
}

impl ClientSession {
    /// PLAIN. The server sees the password: under TLS only.
    pub fn plain(credentials: Credentials) -> Self {
        Self::new(What::Plain(credentials))
    }

    /// LOGIN, which cannot act for others. The server sees the password: under TLS only.
    pub fn login(credentials: Credentials) -> Result<Self, Invalid> {
        match credentials.authzid {
            None => Ok(Self::new(What::Login(credentials))),
            Some(_) => Err(Invalid::new("identity for LOGIN")),
        }
    }

    /// SCRAM, with `-PLUS` if it binds to a channel. The nonce must be a fresh one.
    pub fn scram(hash: Hash, credentials: Credentials, binding: Binding, nonce: Nonce) -> Self {
        Self::new(What::Scram { hash, credentials, binding, nonce })
    }

    /// EXTERNAL, to act for somebody or for whoever the server knows the client to be.
    pub fn external(authzid: Option<&str>) -> Result<Self, Invalid> {
        Ok(Self::new(What::External(authzid.map(usable).transpose()?)))
    }

    /// OAUTHBEARER: a token for a mailbox, and the host and port that were connected to.
    pub fn oauthbearer(
        authzid: Option<&str>,
        token: Token,
        host: Option<&str>,
        port: Option<u16>,
    ) -> Result<Self, Invalid> {
        let authzid = authzid.map(usable).transpose()?.map(Cow::Owned);
        let host = host.map(str::to_owned);
        if host.as_ref().is_some_and(|host| !host.bytes().all(|octet| octet.is_ascii_graphic())) {
            return Err(Invalid::new("host"));
        }
        let request = Request { authzid, host: None, port: port.filter(|port| *port != 0), token };
        Ok(Self::new(What::Bearer { mechanism: Mechanism::OAuthBearer, request, host }))
    }

    /// XOAUTH2: a token for a mailbox.
    pub fn xoauth2(name: &str, token: Token) -> Result<Self, Invalid> {
        let authzid = usable(name)?;
        if authzid.contains('\u{1}') {
            return Err(Invalid::new("name"));
        }
        let request = Request { authzid: Some(Cow::Owned(authzid)), host: None, port: None, token };
        Ok(Self::new(What::Bearer { mechanism: Mechanism::XOAuth2, request, host: None }))
    }

    fn new(what: What) -> Self {
        Self { what, limits: Limits::default(), state: State::First { sent: false }, denial: None }
    }

    /// Other bounds than the default ones.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// The mechanism, to be named to the server.
    pub const fn mechanism(&self) -> Mechanism {
        match &self.what {
            What::Plain(_) => Mechanism::Plain,
            What::Login(_) => Mechanism::Login,
            What::Scram { hash: Hash::Sha256, binding: Binding::Used(_), .. } => Mechanism::ScramSha256Plus,
            What::Scram { hash: Hash::Sha256, .. } => Mechanism::ScramSha256,
            What::Scram { hash: Hash::Sha1, binding: Binding::Used(_), .. } => Mechanism::ScramSha1Plus,
            What::Scram { hash: Hash::Sha1, .. } => Mechanism::ScramSha1,
            What::Bearer { mechanism, .. } => *mechanism,
            What::External(_) => Mechanism::External,
        }
    }

    /// Writes the response that can go out with the mechanism's name; false if there is none. A driver whose protocol
    /// has no room for it sends none: the server asks for it with an empty challenge.
    pub fn initial(&mut self, out: &mut BytesMut) -> bool {
        if !matches!(self.state, State::First { .. }) || !self.mechanism().is_client_first() {
            return false;
        }
        self.put_initial(out);
        self.state = State::First { sent: true };
        true
    }

    /// Takes a challenge, its base64 removed. Once closed, it does nothing.
    pub fn receive(&mut self, challenge: &[u8], out: &mut BytesMut) -> Option<Event<'_>> {
        let state = core::mem::replace(&mut self.state, State::Closed(Err(Failure::Unanswered)));
        let result = match state {
            State::Closed(_) => {
                self.state = state;
                return None;
            }
            _ if challenge.len() > self.limits.message => Err(Failure::TooLong),
            State::First { .. } if challenge.is_empty() && self.mechanism().is_client_first() => {
                self.put_initial(out);
                Ok(State::Waiting)
            }
            State::First { .. } | State::Waiting => match &self.what {
                What::Login(credentials) => {
                    out.extend_from_slice(credentials.name.as_bytes());
                    Ok(State::Password)
                }
                What::Bearer { mechanism, .. } => {
                    // RFC 7628 §3.2.3: the server says why not, and wants a word to that.
                    if *mechanism == Mechanism::OAuthBearer {
                        out.extend_from_slice(b"\x01");
                    }
                    self.denial = Some(String::from_utf8_lossy(challenge).into_owned());
                    Ok(State::Denied)
                }
                What::Scram { .. } => match self.server_first(challenge) {
                    Ok((derivation, server_first, nonce)) => {
                        let session = self;
                        return Some(Event::Derive(Derive { session, derivation, server_first, nonce }));
                    }
                    Err(failure) => Err(failure),
                },
                What::Plain(_) | What::External(_) => Err(Failure::Malformed),
            },
            State::Password => {
                if let What::Login(credentials) = &self.what {
                    out.extend_from_slice(credentials.password.expose().as_bytes());
                }
                Ok(State::Said)
            }
            State::Proof { expected } => self.server_final(challenge, &expected),
            State::Said | State::Denied => Err(Failure::Malformed),
        };
        self.state = result.unwrap_or_else(|failure| State::Closed(Err(failure)));
        None
    }

    /// Takes what the server says in the end: the reply to the whole login. A yes counts only from a server that has
    /// proven, where the mechanism has it do so, that it knows the password.
    pub fn handle_outcome(&mut self, success: bool) {
        let result = match (&self.state, success) {
            (State::Closed(_), _) => return,
            (State::Denied, _) => Err(Failure::Denied),
            (_, false) => Err(Failure::Refused),
            (State::Said, true) => Ok(()),
            (State::First { sent: true } | State::Waiting, true)
                if !matches!(self.what, What::Scram { .. }) =>
            {
                Ok(())
            }
            (_, true) => Err(Failure::Unproven),
        };
        self.state = State::Closed(result);
    }

    /// How the exchange has ended; `None` while it goes on.
    pub const fn closed(&self) -> Option<Result<(), Failure>> {
        match self.state {
            State::Closed(result) => Some(result),
            _ => None,
        }
    }

    /// Why the server said no, in its own words: an error of SCRAM, or JSON about a token.
    pub fn denial(&self) -> Option<&str> {
        self.denial.as_deref()
    }

    fn put_initial(&self, out: &mut BytesMut) {
        match &self.what {
            What::Plain(Credentials { name, password, authzid }) => {
                let authzid = authzid.as_deref().unwrap_or_default();
                for part in [authzid, "\0", name, "\0", password.expose()] {
                    out.extend_from_slice(part.as_bytes());
                }
            }
            What::Login(_) => {}
            What::Scram { .. } => out.extend_from_slice(&self.client_first()),
            What::Bearer { mechanism: Mechanism::XOAuth2, request, .. } => request.encode_xoauth2(out),
            What::Bearer { request, host, .. } => {
                Request { host: host.as_deref(), ..request.clone() }.encode(out);
            }
            What::External(authzid) => {
                out.extend_from_slice(authzid.as_deref().unwrap_or_default().as_bytes());
            }
        }
    }

    fn client_first(&self) -> Vec<u8> {
        let mut message = Vec::new();
        if let What::Scram { credentials: Credentials { name, authzid, .. }, binding, nonce, .. } = &self.what
        {
            let (name, authzid) = (Cow::Borrowed(&**name), authzid.as_deref().map(Cow::Borrowed));
            ClientFirst { flag: binding.flag(), authzid, name, nonce: nonce.as_str() }.encode(&mut message);
        }
        message
    }

    fn server_first(&self, challenge: &[u8]) -> Result<(Derivation, String, String), Failure> {
        let What::Scram { hash, credentials, nonce, .. } = &self.what else { return Err(Failure::Malformed) };
        let first = ServerFirst::parse(challenge)?;
        if first.nonce().len() > self.limits.nonce || first.salt().len() > self.limits.salt {
            return Err(Failure::TooLong);
        }
        // RFC 5802 §5.1: it must begin with ours. One that adds nothing would be ours alone, which can be replayed.
        match first.nonce().strip_prefix(nonce.as_str()) {
            Some(theirs) if !theirs.is_empty() => {}
            _ => return Err(Failure::Nonce),
        }
        let (least, most) = self.limits.iterations;
        if !(least..=most).contains(&first.iterations()) {
            return Err(Failure::Iterations);
        }
        let nonce = first.nonce().to_owned();
        let server_first = str::from_utf8(challenge).map_err(|_| Failure::Malformed)?.to_owned();
        let password = credentials.password.clone();
        let derivation =
            Derivation { hash: *hash, password, iterations: first.iterations(), salt: first.salt };
        Ok((derivation, server_first, nonce))
    }

    fn server_final(&mut self, challenge: &[u8], expected: &[u8]) -> Result<State, Failure> {
        match ServerFinal::parse(challenge)? {
            ServerFinal::Verifier(proof)
                if bool::from(subtle::ConstantTimeEq::ct_eq(&proof[..], expected)) =>
            {
                Ok(State::Said)
            }
            ServerFinal::Verifier(_) => Err(Failure::FalseServer),
            ServerFinal::Error(why) => {
                self.denial = Some(why.to_owned());
                Err(Failure::Denied)
            }
        }
    }
}

impl Derive<'_> {
    /// The work, to be [run](Derivation::run) where it does not hold up others; or its parameters, to look up what was
    /// kept from the last time.
    pub const fn derivation(&self) -> &Derivation {
        &self.derivation
    }

    /// Goes on with what came of it. What was kept for another hash function ends the exchange.
    pub fn answer(self, salted: &SaltedPassword, out: &mut BytesMut) {
        let Self { session, derivation, server_first, nonce } = self;
        let hash = derivation.hash;
        let first = session.client_first();
        let (What::Scram { binding, .. }, Some((header, bare))) = (&session.what, ClientFirst::split(&first))
        else {
            return;
        };
        if !salted.fits(hash) {
            return;
        }
        let mut channel = Zeroizing::new(header.as_bytes().to_vec());
        if let Binding::Used(binding) = binding {
            channel.extend_from_slice(binding.data());
        }
        let mut message = Vec::new();
        ClientFinal::encode_without_proof(&channel, &nonce, &mut message);
        let auth_message = [bare.as_bytes(), b",", server_first.as_bytes(), b",", &message];
        let (proof, expected) = salted.prove(hash, &auth_message);
        out.extend_from_slice(&message);
        ClientFinal::encode_proof(proof.as_ref(), out);
        session.state = State::Proof { expected: Zeroizing::new(expected.as_ref().to_vec()) };
    }

    /// Does the work here and now, for as long as it takes.
    pub fn run(self, out: &mut BytesMut) {
        let salted = self.derivation.run();
        self.answer(&salted, out);
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

/// A name in the form of SASLprep; no longer than anybody's, so that every message has room for it.
fn usable(name: &str) -> Result<String, Invalid> {
    match prepare(name, Unassigned::Allowed) {
        Ok(name) if (1..=1_000).contains(&name.len()) => Ok(name.into_owned()),
        _ => Err(Invalid::new("name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_may_move_between_threads() {
        const fn needs<T: Send + Sync>() {}
        needs::<ClientSession>();
    }
}
