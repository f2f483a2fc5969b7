//! A directory of one user, and an exchange between two sessions.

use bytes::BytesMut;
use sasl_codec::client::{self, Binding, Credentials};
use sasl_codec::scram::{Hash, Iterations, Verifier};
use sasl_codec::server::{self, Event};
use sasl_codec::{
    ChannelBinding, ClientSession, Mechanism, Nonce, Password, ServerConfig, ServerSecret, ServerSession,
};

pub(crate) const USER: &str = "anna@example.test";
pub(crate) const PASSWORD: &str = "p\u{e4}ss, word=1";
pub(crate) const TOKEN: &str = "ya29.token-_~+/=";

/// What a host knows.
pub(crate) struct Directory {
    verifiers: [Verifier; 2],
}

/// How an exchange has ended on both sides, and what was said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) server: Result<(Option<String>, Option<String>), server::Failure>,
    pub(crate) client: Result<(), client::Failure>,
    pub(crate) responses: Vec<Vec<u8>>,
    pub(crate) challenges: Vec<Vec<u8>>,
}

impl Directory {
    pub(crate) fn new() -> Self {
        let make = |hash| Verifier::derive(hash, &password(PASSWORD), [3; 16], Iterations::LEAST);
        Self { verifiers: [make(Hash::Sha1), make(Hash::Sha256)] }
    }

    pub(crate) fn verifier(&self, hash: Hash) -> &Verifier {
        self.verifiers.iter().find(|verifier| verifier.hash() == hash).unwrap()
    }

    /// Answers whatever is asked, as a host does that lets everybody act for nobody else.
    pub(crate) fn answer(&self, event: Event<'_>, out: &mut BytesMut) {
        let allowed = |authzid: Option<&str>| authzid.is_none_or(|authzid| authzid == USER);
        match event {
            Event::Login(login) => {
                let right = (login.name(), login.password()) == (USER, PASSWORD);
                if right && allowed(login.authzid()) { login.accept() } else { login.reject() }
            }
            Event::Keys(keys) => {
                let known = keys.name() == USER && allowed(keys.authzid());
                let (verifier, name) = (self.verifier(keys.hash()), keys.name().to_lowercase());
                keys.answer(known.then_some(verifier), &name, out);
            }
            Event::Bearer(bearer) => {
                let right = bearer.token().expose() == TOKEN && bearer.authzid() == Some(USER);
                let denial = sasl_codec::oauth::Denial::new(sasl_codec::oauth::Status::InvalidToken);
                if right { bearer.accept() } else { bearer.reject(&denial, out) }
            }
            Event::External(external) => {
                if allowed(external.authzid()) {
                    external.accept()
                } else {
                    external.reject()
                }
            }
            _ => {}
        }
    }
}

pub(crate) fn password(text: &str) -> Password {
    Password::new(text.to_owned()).unwrap()
}

pub(crate) fn credentials(name: &str, word: &str) -> Credentials {
    Credentials::new(name, password(word)).unwrap()
}

pub(crate) fn config() -> ServerConfig {
    ServerConfig::new(ServerSecret::new([5; 32]), Iterations::LEAST)
}

pub(crate) fn exporter() -> ChannelBinding {
    ChannelBinding::tls_exporter([0xe0; 32])
}

pub(crate) fn end_point() -> ChannelBinding {
    ChannelBinding::tls_server_end_point(&[0xcc; 32]).unwrap()
}

/// A server for this mechanism; it can bind if the mechanism does.
pub(crate) fn server(mechanism: Mechanism) -> ServerSession {
    let config =
        if mechanism.is_plus() { config().binding(exporter()).binding(end_point()) } else { config() };
    ServerSession::new(mechanism, config, Nonce::new([0x55; 18]))
}

/// A client of this mechanism with this name and password, or token.
pub(crate) fn client(mechanism: Mechanism, name: &str, word: &str) -> ClientSession {
    let token = || sasl_codec::secret::Token::new(word.to_owned()).unwrap();
    match mechanism {
        Mechanism::Plain => ClientSession::plain(credentials(name, word)),
        Mechanism::Login => ClientSession::login(credentials(name, word)).unwrap(),
        Mechanism::External => ClientSession::external(Some(name)).unwrap(),
        Mechanism::OAuthBearer => {
            ClientSession::oauthbearer(Some(name), token(), Some("mail.example.test"), Some(587)).unwrap()
        }
        Mechanism::XOAuth2 => ClientSession::xoauth2(name, token()).unwrap(),
        scram => {
            let binding = if scram.is_plus() { Binding::Used(exporter()) } else { Binding::Unsupported };
            let hash = scram.hash().unwrap();
            ClientSession::scram(hash, credentials(name, word), binding, Nonce::new([0xaa; 18]))
        }
    }
}

/// The password, or token, that is right.
pub(crate) fn right(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::OAuthBearer | Mechanism::XOAuth2 => TOKEN,
        _ => PASSWORD,
    }
}

/// Runs an exchange; `alter` sees each message before it arrives: whether the client sent it, and which one it is.
pub(crate) fn exchange(
    mut client: ClientSession,
    mut server: ServerSession,
    directory: &Directory,
    initial: bool,
    mut alter: impl FnMut(bool, usize, &mut Vec<u8>),
) -> Ended {
    let (mut responses, mut challenges) = (Vec::new(), Vec::new());
    let mut out = BytesMut::new();
    let mut response = None;
    if initial && client.initial(&mut out) {
        response = Some(out.split().to_vec());
    }
    let mut begun = false;
    loop {
        if let Some(response) = &mut response {
            alter(true, responses.len(), response);
            responses.push(response.clone());
        }
        let mut challenge = BytesMut::new();
        let event = match (&response, begun) {
            (Some(response), true) => server.receive(response, &mut challenge),
            (initial, _) => server.begin(initial.as_deref(), &mut challenge),
        };
        begun = true;
        if let Some(event) = event {
            directory.answer(event, &mut challenge);
        }
        if let Some(result) = server.closed() {
            assert!(challenge.is_empty(), "nothing is said behind the end");
            client.handle_outcome(result.is_ok());
            break;
        }
        let mut challenge = challenge.to_vec();
        alter(false, challenges.len(), &mut challenge);
        challenges.push(challenge.clone());
        assert!(challenges.len() < 10, "an exchange ends");
        if let Some(client::Event::Derive(derive)) = client.receive(&challenge, &mut out) {
            derive.run(&mut out);
        }
        if client.closed().is_some() {
            break;
        }
        response = Some(out.split().to_vec());
    }
    let server = match server.closed() {
        Some(Ok(identity)) => Ok((identity.name().map(str::to_owned), identity.authzid().map(str::to_owned))),
        Some(Err(failure)) => Err(failure),
        // The client has given up.
        None => Err(server::Failure::Unanswered),
    };
    Ended { server, client: client.closed().expect("one of them ends it"), responses, challenges }
}

/// The same, with nobody in between.
pub(crate) fn undisturbed(client: ClientSession, server: ServerSession) -> Ended {
    exchange(client, server, &Directory::new(), true, |_, _, _| {})
}
