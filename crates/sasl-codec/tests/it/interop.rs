//! rsasl at the other end.

use std::io::Cursor;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::config::SASLConfig;
use rsasl::mechanisms::scram::properties::ScramStoredPassword;
use rsasl::mechanisms::scram::{SCRAM_SHA1, SCRAM_SHA1_PLUS, SCRAM_SHA256, SCRAM_SHA256_PLUS};
use rsasl::mechanisms::{external, login, oauthbearer, plain, xoauth2};
use rsasl::mechname::Mechname;
use rsasl::prelude::{ChannelBindingCallback, SASLClient, SASLServer, SessionError, State, Validation};
use rsasl::property::{AuthId, AuthzId, OAuthBearerKV, OAuthBearerToken, OverrideCBType, Password};
use rsasl::registry::{Mechanism as Foreigner, Registry};
use rsasl::validate::{Validate, ValidationError};
use sasl_codec::client::{Event as Asked, Failure as ClientFailure};
use sasl_codec::{ClientSession, Mechanism};

use crate::support::*;

/// What rsasl is to know: as a client a name and a password, as a server what is stored for it.
struct Foreign {
    name: &'static str,
    word: &'static str,
    stored: Option<(Vec<u8>, Vec<u8>, Vec<u8>)>,
    bound: bool,
}

/// The channel that rsasl sees.
struct Channel([u8; 32]);

struct Accepted;

impl Validation for Accepted {
    type Value = bool;
}

impl ChannelBindingCallback for Channel {
    fn get_cb_data(&self, name: &str) -> Option<&[u8]> {
        (name == "tls-exporter").then_some(&self.0)
    }
}

impl SessionCallback for Foreign {
    fn callback(
        &self,
        _: &SessionData,
        context: &Context<'_>,
        request: &mut Request<'_>,
    ) -> Result<(), SessionError> {
        request
            .satisfy::<AuthId>(self.name)?
            .satisfy::<Password>(self.word.as_bytes())?
            .satisfy::<OAuthBearerToken>(self.word)?
            .satisfy::<OAuthBearerKV>(&[("host", "mail.example.test"), ("port", "587")])?;
        if self.stored.is_none() && request.is::<AuthzId>() {
            request.satisfy::<AuthzId>(self.name)?;
        }
        if self.bound {
            request.satisfy::<OverrideCBType>("tls-exporter")?;
        }
        if let Some((salt, stored, server)) = &self.stored
            && context.get_ref::<AuthId>() == Some(self.name)
        {
            request
                .satisfy::<ScramStoredPassword<'_>>(&ScramStoredPassword::new(4_096, salt, stored, server))?;
        }
        Ok(())
    }

    fn enable_channel_binding(&self) -> bool {
        self.bound
    }

    fn validate(
        &self,
        session: &SessionData,
        context: &Context<'_>,
        validate: &mut Validate<'_>,
    ) -> Result<(), ValidationError> {
        validate.with::<Accepted, _>(|| {
            let name = context.get_ref::<AuthId>() == Some(self.name);
            let scram = session.mechanism().mechanism.as_str().starts_with("SCRAM");
            Ok(name && (scram || context.get_ref::<Password>() == Some(self.word.as_bytes())))
        })?;
        Ok(())
    }
}

/// Whether rsasl, as a client with this password, logs in at our server; and whether it believes us.
fn rsasl_logs_in(mechanism: Mechanism, word: &'static str, channel: [u8; 32]) -> (bool, bool) {
    let bound = mechanism.is_plus();
    let foreign = Foreign { name: USER, word, stored: None, bound };
    let config = SASLConfig::builder()
        .with_registry(Registry::with_mechanisms(MECHANISMS))
        .with_callback(foreign)
        .unwrap();
    let offered = [Mechname::parse(mechanism.name().as_bytes()).unwrap()];
    let mut theirs = SASLClient::with_cb(config, Channel(channel)).start_suggested(&offered).unwrap();
    let (mut ours, directory) = (server(mechanism), Directory::new());
    let (mut challenge, mut begun, mut finished) = (None::<Vec<u8>>, false, false);
    if mechanism == Mechanism::Login {
        let mut out = BytesMut::new();
        assert!(ours.begin(None, &mut out).is_none());
        (challenge, begun) = (Some(out.to_vec()), true);
    }
    for _ in 0..5 {
        let mut response = Cursor::new(Vec::new());
        if !finished {
            match theirs.step(challenge.as_deref(), &mut response) {
                Ok(State::Running) => {}
                Ok(State::Finished(_)) => finished = true,
                Err(_) => return (false, false),
            }
        }
        let (mut out, response) = (BytesMut::new(), response.into_inner());
        let event =
            if begun { ours.receive(&response, &mut out) } else { ours.begin(Some(&response), &mut out) };
        begun = true;
        if let Some(event) = event {
            directory.answer(event, &mut out);
        }
        if let Some(result) = ours.closed() {
            return (result.is_ok(), finished || mechanism.hash().is_none());
        }
        challenge = Some(out.to_vec());
    }
    panic!("the exchange does not end");
}

/// How our client ends with this password at a server of rsasl, and what that says.
fn we_log_in(mut ours: ClientSession, channel: [u8; 32]) -> (Result<(), ClientFailure>, Option<bool>) {
    let mechanism = ours.mechanism();
    let stored = mechanism.hash().map(|hash| {
        let text = Directory::new().verifier(hash).encode();
        let mut keys = text.rsplit('$').next().unwrap().split(':').map(|key| STANDARD.decode(key).unwrap());
        (vec![3; 16], keys.next().unwrap(), keys.next().unwrap())
    });
    let foreign = Foreign { name: USER, word: PASSWORD, stored, bound: mechanism.is_plus() };
    let config = SASLConfig::builder()
        .with_registry(Registry::with_mechanisms(MECHANISMS))
        .with_callback(foreign)
        .unwrap();
    let name = Mechname::parse(mechanism.name().as_bytes()).unwrap();
    let mut theirs =
        SASLServer::<Accepted, _>::with_cb(config, Channel(channel)).start_suggested(name).unwrap();
    let mut out = BytesMut::new();
    let mut response = ours.initial(&mut out).then(|| out.split());
    for _ in 0..5 {
        let mut challenge = Cursor::new(Vec::new());
        let state = theirs.step(response.as_deref(), &mut challenge);
        let challenge = challenge.into_inner();
        let finished = !matches!(state, Ok(State::Running));
        if !finished || !challenge.is_empty() {
            if let Some(Asked::Derive(derive)) = ours.receive(&challenge, &mut out) {
                derive.run(&mut out);
            }
            response = Some(out.split());
        }
        if finished || ours.closed().is_some() {
            let accepted = theirs.validation();
            ours.handle_outcome(state.is_ok() && accepted == Some(true));
            return (ours.closed().unwrap(), accepted);
        }
    }
    panic!("the exchange does not end");
}

/// Its own list has none with `-PLUS`.
static MECHANISMS: &[Foreigner] = &[
    SCRAM_SHA256_PLUS,
    SCRAM_SHA256,
    SCRAM_SHA1_PLUS,
    SCRAM_SHA1,
    external::EXTERNAL,
    oauthbearer::OAUTHBEARER,
    xoauth2::XOAUTH2,
    plain::PLAIN,
    login::LOGIN,
];

#[test]
fn rsasl_as_a_client_logs_in_with_the_right_password_only() {
    for mechanism in Mechanism::ALL {
        let good = rsasl_logs_in(mechanism, right(mechanism), [0xe0; 32]);
        assert_eq!(good, (true, true), "{mechanism}");
        if mechanism != Mechanism::External {
            assert!(!rsasl_logs_in(mechanism, "wrong", [0xe0; 32]).0, "{mechanism}");
        }
        if mechanism.is_plus() {
            assert!(!rsasl_logs_in(mechanism, PASSWORD, [0xe1; 32]).0, "{mechanism}");
        }
    }
}

#[test]
fn we_log_in_at_rsasl_with_the_right_password_only() {
    for mechanism in [
        Mechanism::ScramSha256Plus,
        Mechanism::ScramSha256,
        Mechanism::ScramSha1Plus,
        Mechanism::ScramSha1,
        Mechanism::Plain,
        Mechanism::Login,
    ] {
        let good = we_log_in(client(mechanism, USER, PASSWORD), [0xe0; 32]);
        assert_eq!(good, (Ok(()), Some(true)), "{mechanism}");
        let bad = we_log_in(client(mechanism, USER, "wrong"), [0xe0; 32]);
        assert!(bad.0.is_err() && bad.1 != Some(true), "{mechanism} {bad:?}");
        if mechanism.is_plus() {
            let bad = we_log_in(client(mechanism, USER, PASSWORD), [0xe1; 32]);
            assert!(bad.0.is_err() && bad.1 != Some(true), "{mechanism} {bad:?}");
        }
    }
}
