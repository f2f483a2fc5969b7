//! Logging in: in the strongest way that both sides know.
//!
//! SCRAM comes first, which proves to know the password without sending it. A server may announce it and yet have no keys
//! for one of its accounts, so that a refusal is followed by the ways that send the password: under TLS only.

use sasl_codec::client::{Binding, ClientSession, Credentials as Known, Event, Failure};
use sasl_codec::{ChannelBinding, Mechanism, Nonce};
use zeroize::Zeroizing;

use bytes::BytesMut;

use super::{ClientError, Credentials};

/// What is still to be tried.
#[derive(Debug)]
pub struct Ways<'c> {
    credentials: &'c Credentials,
    next: Step,
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Step {
    Scram,
    Password,
    Nothing,
}

/// One way to log in.
#[derive(Debug)]
pub enum Way {
    /// A mechanism of SASL.
    Exchange(Box<Exchange>),
    /// The command of the protocol itself: USER and PASS, LOGIN.
    Command,
}

/// A login under way.
#[derive(Debug)]
pub struct Exchange(ClientSession);

impl<'c> Ways<'c> {
    /// Nothing has been tried yet.
    pub const fn new(credentials: &'c Credentials) -> Self {
        Self { credentials, next: Step::Scram }
    }

    /// The name and the password.
    pub const fn credentials(&self) -> &'c Credentials {
        self.credentials
    }

    /// The next way, where the server offers these mechanisms, and its own command or not. `channel` is there under TLS that
    /// can be bound to. None is left when all are refused, or none is common to both.
    pub fn next<'n>(
        &mut self,
        offered: impl IntoIterator<Item = &'n str>,
        command: bool,
        is_tls: bool,
        channel: Option<ChannelBinding>,
    ) -> Result<Option<Way>, ClientError> {
        let offered: Vec<_> =
            offered.into_iter().filter_map(|name| Mechanism::parse(name.as_bytes())).collect();
        let exchange = |session| Ok(Some(Way::Exchange(Box::new(Exchange(session)))));
        if self.next == Step::Scram {
            self.next = Step::Password;
            if let Some((hash, binding)) = Binding::choose(&offered, channel) {
                let mut random = [0; 18];
                getrandom::fill(&mut random).map_err(|error| ClientError::Login(error.to_string()))?;
                // Who refused SCRAM in the clear is not given the password itself.
                self.next = if is_tls { Step::Password } else { Step::Nothing };
                return exchange(ClientSession::scram(hash, self.known()?, binding, Nonce::new(random)));
            }
        }
        if self.next == Step::Password {
            self.next = Step::Nothing;
            if offered.contains(&Mechanism::Plain) {
                return exchange(ClientSession::plain(self.known()?));
            }
            if command {
                return Ok(Some(Way::Command));
            }
            if offered.contains(&Mechanism::Login) {
                let session = ClientSession::login(self.known()?);
                return exchange(session.map_err(|error| ClientError::Unsendable(error.to_string()))?);
            }
        }
        Ok(None)
    }

    fn known(&self) -> Result<Known, ClientError> {
        let password = sasl_codec::Password::new(self.credentials.password.expose().to_owned());
        let unsendable = |error: sasl_codec::error::Invalid| {
            ClientError::Unsendable(format!("the name or the password cannot be used to log in: {error}"))
        };
        password.and_then(|password| Known::new(&self.credentials.name, password)).map_err(unsendable)
    }
}

impl Exchange {
    /// The name of the mechanism.
    pub const fn mechanism(&self) -> &'static str {
        self.0.mechanism().name()
    }

    /// What goes along with the name of the mechanism.
    pub fn initial(&mut self) -> Option<Zeroizing<Vec<u8>>> {
        let mut out = BytesMut::new();
        self.0.initial(&mut out).then(|| Zeroizing::new(out.into()))
    }

    /// What answers a challenge. `None` cancels the login: [`finish`](Self::finish) then says why.
    pub fn answer(&mut self, challenge: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let mut out = BytesMut::new();
        if let Some(Event::Derive(derive)) = self.0.receive(challenge, &mut out) {
            derive.run(&mut out);
        }
        self.0.closed().is_none().then(|| Zeroizing::new(out.into()))
    }

    /// Whether the login counts, where the server has said this to it. A server that said yes has to have proven that it
    /// knows the password, where the mechanism has it do so. A plain no is `Ok(false)`.
    pub fn finish(&mut self, success: bool) -> Result<bool, ClientError> {
        self.0.handle_outcome(success);
        match self.0.closed() {
            Some(Ok(())) => Ok(true),
            Some(Err(Failure::Refused | Failure::Denied)) | None => Ok(false),
            Some(Err(failure)) => {
                Err(ClientError::Login(format!("{failure} ({} with this server)", self.mechanism())))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Password;

    fn order(offered: &[&str], command: bool, is_tls: bool) -> Vec<&'static str> {
        let password = Password::new("secret".to_owned()).unwrap();
        let credentials = Credentials { name: "anna".to_owned(), password };
        let mut ways = Ways::new(&credentials);
        let channel = || is_tls.then(|| ChannelBinding::tls_exporter([7; 32]));
        let mut order = Vec::new();
        while let Some(way) = ways.next(offered.iter().copied(), command, is_tls, channel()).unwrap() {
            order.push(match way {
                Way::Exchange(exchange) => exchange.mechanism(),
                Way::Command => "command",
            });
        }
        order
    }

    #[test]
    fn the_strongest_way_comes_first_and_the_password_goes_only_under_tls() {
        let all = ["LOGIN", "PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "X-OTHER"];
        assert_eq!(order(&all, true, true), ["SCRAM-SHA-256-PLUS", "PLAIN"]);
        assert_eq!(order(&all, true, false), ["SCRAM-SHA-256"]);
        assert_eq!(order(&["SCRAM-SHA-1", "LOGIN"], false, true), ["SCRAM-SHA-1", "LOGIN"]);
        assert_eq!(order(&["LOGIN"], true, true), ["command"]);
        assert_eq!(order(&["PLAIN"], true, false), ["PLAIN"]);
        assert_eq!(order(&["LOGIN"], false, true), ["LOGIN"]);
        assert_eq!(order(&["GSSAPI"], false, true), Vec::<&str>::new());
    }
}
