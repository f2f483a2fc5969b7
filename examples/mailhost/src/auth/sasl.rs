//! The SASL mechanisms PLAIN and LOGIN, without I/O.

use smtp_codec::extension::Mechanism;
use thiserror::Error;

use super::Password;

/// One login of one mechanism.
#[derive(Debug)]
pub struct Exchange(State);

/// What happens next.
#[derive(Debug)]
pub enum Step {
    /// Send this challenge; the response goes to [`Exchange::respond`].
    Challenge(&'static [u8]),
    /// That is all: check it.
    Credentials(Credentials),
    /// The login cannot succeed.
    Failed(SaslError),
}

/// A name and a password.
#[derive(Debug)]
pub struct Credentials {
    /// The name, as the client wrote it.
    pub name: String,
    /// The password.
    pub password: Password,
}

/// What is wrong with a response.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum SaslError {
    /// The response does not follow the grammar of the mechanism.
    #[error("malformed response")]
    Malformed,
    /// The name or the password is empty, too long, no UTF-8, or holds a NUL.
    #[error("unusable name or password")]
    Unusable,
    /// The client wants to act for somebody else.
    #[error("acting for another user is not offered")]
    OtherUser,
    /// A response after the end.
    #[error("the exchange is over")]
    Over,
}

#[derive(Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword(String),
    Over,
}

impl Exchange {
    /// The mechanisms there are, the preferred one first; to be announced.
    pub const MECHANISMS: [Mechanism; 2] = [Mechanism::PLAIN, Mechanism::LOGIN];

    /// Begins a login with what the client sent along, if it did. `None` for a mechanism that is not ours.
    pub fn start(mechanism: Mechanism, initial: Option<&[u8]>) -> Option<(Self, Step)> {
        let mut exchange = Self(match mechanism {
            Mechanism::PLAIN => State::Plain,
            Mechanism::LOGIN => State::LoginName,
            _ => return None,
        });
        let step = match (initial, &exchange.0) {
            (Some(response), _) => exchange.respond(response),
            // RFC 4954 §4: a mechanism whose client speaks first gets an empty challenge.
            (None, State::Plain) => Step::Challenge(b""),
            (None, _) => Step::Challenge(NAME),
        };
        Some((exchange, step))
    }

    /// Takes the next response, its base64 decoded.
    pub fn respond(&mut self, response: &[u8]) -> Step {
        match core::mem::replace(&mut self.0, State::Over) {
            State::Plain => plain(response).map_or_else(Step::Failed, Step::Credentials),
            State::LoginName => match name(response) {
                Ok(name) => {
                    self.0 = State::LoginPassword(name);
                    Step::Challenge(PASSWORD)
                }
                Err(error) => Step::Failed(error),
            },
            State::LoginPassword(name) => match password(response) {
                Ok(password) => Step::Credentials(Credentials { name, password }),
                Err(error) => Step::Failed(error),
            },
            State::Over => Step::Failed(SaslError::Over),
        }
    }
}

/// `message = [authzid] UTF8NUL authcid UTF8NUL passwd` ([RFC 4616 §2](https://www.rfc-editor.org/rfc/rfc4616#section-2))
fn plain(response: &[u8]) -> Result<Credentials, SaslError> {
    let mut parts = response.split(|octet| *octet == 0);
    let (Some(other), Some(own), Some(word), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslError::Malformed);
    };
    // RFC 4616 §2: the identity to act as. Ours is always that of the login.
    if !other.is_empty() && other != own {
        return Err(SaslError::OtherUser);
    }
    Ok(Credentials { name: name(own)?, password: password(word)? })
}

fn name(octets: &[u8]) -> Result<String, SaslError> {
    match str::from_utf8(octets) {
        Ok(name) if (1..=MAX_NAME).contains(&name.len()) && !name.contains('\0') => Ok(name.to_owned()),
        _ => Err(SaslError::Unusable),
    }
}

fn password(octets: &[u8]) -> Result<Password, SaslError> {
    let text = str::from_utf8(octets).map_err(|_| SaslError::Unusable)?;
    Password::new(text.to_owned()).map_err(|_| SaslError::Unusable)
}

/// As long as an address may be.
const MAX_NAME: usize = 320;
/// What clients expect, word for word.
const NAME: &[u8] = b"Username:";
const PASSWORD: &[u8] = b"Password:";

#[cfg(test)]
mod tests {
    use super::*;

    fn given(step: Step) -> (String, String) {
        match step {
            Step::Credentials(Credentials { name, password }) => (name, password.expose().to_owned()),
            other => panic!("no credentials: {other:?}"),
        }
    }

    #[track_caller]
    fn failed(step: Step, expected: SaslError) {
        assert!(matches!(step, Step::Failed(error) if error == expected), "{step:?}");
    }

    #[test]
    fn plain_takes_the_examples_of_its_rfc() {
        // RFC 4616 §4.
        let (_, step) = Exchange::start(Mechanism::PLAIN, Some(b"\0tim\0tanstaaftanstaaf")).unwrap();
        assert_eq!(given(step), ("tim".to_owned(), "tanstaaftanstaaf".to_owned()));
        let (_, step) = Exchange::start(Mechanism::PLAIN, Some(b"Ursel\0Kurt\0xipj3plmq")).unwrap();
        failed(step, SaslError::OtherUser);
        let (_, step) = Exchange::start(Mechanism::PLAIN, Some(b"tim\0tim\0x")).unwrap();
        assert_eq!(given(step), ("tim".to_owned(), "x".to_owned()));
    }

    #[test]
    fn plain_without_a_first_response_is_asked_with_nothing() {
        let (mut exchange, step) = Exchange::start(Mechanism::PLAIN, None).unwrap();
        assert!(matches!(step, Step::Challenge(b"")), "{step:?}");
        assert_eq!(given(exchange.respond(b"\0a\0b")), ("a".to_owned(), "b".to_owned()));
        failed(exchange.respond(b"\0a\0b"), SaslError::Over);
    }

    #[test]
    fn login_asks_twice_or_once() {
        let (mut exchange, step) = Exchange::start(Mechanism::LOGIN, None).unwrap();
        assert!(matches!(step, Step::Challenge(b"Username:")), "{step:?}");
        let step = exchange.respond(b"anna");
        assert!(matches!(step, Step::Challenge(b"Password:")), "{step:?}");
        assert_eq!(given(exchange.respond(b"p w")), ("anna".to_owned(), "p w".to_owned()));

        let (mut exchange, step) = Exchange::start(Mechanism::LOGIN, Some(b"anna")).unwrap();
        assert!(matches!(step, Step::Challenge(b"Password:")), "{step:?}");
        assert_eq!(given(exchange.respond(b"x")).0, "anna");
        failed(exchange.respond(b"x"), SaslError::Over);
    }

    #[test]
    fn broken_responses_are_refused() {
        for (response, error) in [
            (&b""[..], SaslError::Malformed),
            (b"a", SaslError::Malformed),
            (b"\0a", SaslError::Malformed),
            (b"\0a\0b\0", SaslError::Malformed),
            (b"\0a\0b\0c", SaslError::Malformed),
            (b"\0\0b", SaslError::Unusable),
            (b"\0a\0", SaslError::Unusable),
            (b"\0\xff\0b", SaslError::Unusable),
            (b"\0a\0\xff", SaslError::Unusable),
        ] {
            failed(Exchange::start(Mechanism::PLAIN, Some(response)).unwrap().1, error);
        }
        for response in [&b""[..], b"a\0b", b"\xff", &[b'a'; 321]] {
            failed(Exchange::start(Mechanism::LOGIN, Some(response)).unwrap().1, SaslError::Unusable);
        }
    }

    #[test]
    fn other_mechanisms_are_not_offered() {
        assert!(Exchange::start(Mechanism::parse(b"CRAM-MD5").unwrap(), None).is_none());
    }
}
