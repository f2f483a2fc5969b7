//! What a server session asks of its caller.

use core::fmt;

use bytes::BytesMut;
use zeroize::Zeroizing;

use super::{Failure, Proof, ServerSession, State};
use crate::oauth::Denial;
use crate::scram::message::ServerFirst;
use crate::scram::{Hash, Verifier};
use crate::secret::Token;

/// What only the caller knows. Each wants an answer through one of its consuming methods; dropped, it is refused.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'s> {
    /// PLAIN and LOGIN: is this the password of that name?
    Login(Login<'s>),
    /// SCRAM: what is stored for that name?
    Keys(Keys<'s>),
    /// OAUTHBEARER and XOAUTH2: whose is this token?
    Bearer(Bearer<'s>),
    /// EXTERNAL: who is at the other end?
    External(External<'s>),
}

/// A name and a password.
#[must_use = "an event that is not answered is refused"]
pub struct Login<'s> {
    pub(super) session: &'s mut ServerSession,
    pub(super) password: Zeroizing<String>,
}

impl Login<'_> {
    /// The name, in the form of SASLprep.
    pub fn name(&self) -> &str {
        self.session.claimed_name().unwrap_or_default()
    }

    /// Whom the client wants to act for, if it says so; whether it may is up to the caller.
    pub fn authzid(&self) -> Option<&str> {
        self.session.authzid.as_deref()
    }

    /// The password as it came: not empty, without NUL.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The password is right, and the client may act for whom it says.
    pub fn accept(self) {
        self.session.state = State::Closed(Ok(()));
    }

    /// Says no.
    pub fn reject(self) {
        self.session.state = State::Closed(Err(Failure::Rejected));
    }
}

/// A name for which keys are looked up.
#[must_use = "an event that is not answered is refused"]
pub struct Keys<'s> {
    pub(super) session: &'s mut ServerSession,
    pub(super) binding: Zeroizing<Vec<u8>>,
    pub(super) bare: String,
    pub(super) nonce: String,
}

impl Keys<'_> {
    /// The name, in the form of SASLprep.
    pub fn name(&self) -> &str {
        self.session.claimed_name().unwrap_or_default()
    }

    /// Whom the client wants to act for, if it says so. A name that may not act for that one gets the answer `None`.
    pub fn authzid(&self) -> Option<&str> {
        self.session.authzid.as_deref()
    }

    /// The hash function that the keys have to be for.
    pub fn hash(&self) -> Hash {
        self.session.mechanism.hash().expect("this event is of SCRAM alone")
    }

    /// Goes on with what is stored for the name; `None`, or keys for another hash function, for a name that does not
    /// exist. The exchange goes on as if it did, and fails in the end.
    ///
    /// `known_as` is the name in the form that look-ups use, in lower case if they do not tell case apart: what is
    /// answered about names that do not exist follows from it, and has to be one answer for all spellings of one name.
    pub fn answer(self, verifier: Option<&Verifier>, known_as: &str, out: &mut BytesMut) {
        let hash = self.hash();
        let Self { session, binding, bare, nonce } = self;
        // Made for those that exist as well: the work is the same.
        let nobody = Verifier::nobody(hash, &session.config.secret, known_as, session.config.iterations);
        let verifier = verifier.filter(|verifier| verifier.hash() == hash);
        let exists = verifier.is_some();
        let verifier = verifier.unwrap_or(&nobody).clone();
        let first =
            ServerFirst { nonce: &nonce, salt: verifier.salt().to_vec(), iterations: verifier.iterations() };
        let mut server_first = Vec::new();
        first.encode(&mut server_first);
        out.extend_from_slice(&server_first);
        let server_first = String::from_utf8(server_first).expect("a nonce, base64 and digits");
        session.state = State::Proof(Box::new(Proof {
            verifier,
            exists,
            binding,
            client_first_bare: bare,
            server_first,
            nonce,
        }));
    }

    /// Ends the exchange at once, because it cannot be known now what is stored.
    pub fn reject(self) {
        self.session.state = State::Closed(Err(Failure::Rejected));
    }
}

/// A token of OAuth.
#[derive(Debug)]
#[must_use = "an event that is not answered is refused"]
pub struct Bearer<'s> {
    pub(super) session: &'s mut ServerSession,
    pub(super) token: Token,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
}

impl Bearer<'_> {
    /// Whose mailbox the client wants; whether the token is good for it is up to the caller.
    pub fn authzid(&self) -> Option<&str> {
        self.session.authzid.as_deref()
    }

    /// The token.
    pub const fn token(&self) -> &Token {
        &self.token
    }

    /// The host that the client believes to have reached, which must be ours
    /// ([RFC 7628 §3.2](https://www.rfc-editor.org/rfc/rfc7628#section-3.2)).
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The port that the client believes to have reached.
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// The token is good.
    pub fn accept(self) {
        self.session.state = State::Closed(Ok(()));
    }

    /// Says no, and why: the client has to answer to that before the exchange ends.
    pub fn reject(self, denial: &Denial, out: &mut BytesMut) {
        denial.encode(out);
        self.session.state = State::Denied;
    }
}

/// The client relies on what is known from below.
#[derive(Debug)]
#[must_use = "an event that is not answered is refused"]
pub struct External<'s> {
    pub(super) session: &'s mut ServerSession,
}

impl External<'_> {
    /// Whom the client wants to act for; `None` for whoever it is.
    pub fn authzid(&self) -> Option<&str> {
        self.session.authzid.as_deref()
    }

    /// It is known who it is, and that it may act for whom it says.
    pub fn accept(self) {
        self.session.state = State::Closed(Ok(()));
    }

    /// Says no.
    pub fn reject(self) {
        self.session.state = State::Closed(Err(Failure::Rejected));
    }
}

impl fmt::Debug for Login<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("name", &self.name()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Keys<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("name", &self.name()).finish_non_exhaustive()
    }
}
