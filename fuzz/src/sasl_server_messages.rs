//! Whatever a client says that does not know the password: a server says no, in bounded steps and octets, and stays closed.

use std::sync::LazyLock;

use bytes::BytesMut;
use sasl_codec::oauth::{Denial, Request, Status};
use sasl_codec::scram::message::{ClientFinal, ClientFirst};
use sasl_codec::scram::{Hash, Iterations, Verifier};
use sasl_codec::server::Event;
use sasl_codec::{ChannelBinding, Mechanism, Nonce, Password, ServerConfig, ServerSecret, ServerSession};

use crate::common::choose;

/// What is stored for everybody.
static STORED: LazyLock<[Verifier; 2]> = LazyLock::new(|| {
    let password = Password::new("not to be guessed".to_owned()).expect("a password");
    [Hash::Sha1, Hash::Sha256].map(|hash| Verifier::derive(hash, &password, [1; 16], Iterations::LEAST))
});

/// `data` is two octets that choose, and messages with LF between them.
pub fn run(data: &[u8]) {
    let ([mechanism, ways], rest) = choose::<2>(data);
    let mechanism = Mechanism::ALL[usize::from(mechanism) % Mechanism::ALL.len()];
    let mut config = ServerConfig::new(ServerSecret::new([2; 32]), Iterations::LEAST);
    if mechanism.is_plus() || ways & 1 != 0 {
        config = config.binding(ChannelBinding::tls_exporter([3; 32]));
    }
    let mut server = ServerSession::new(mechanism, config, Nonce::new([4; 18]));
    let mut out = BytesMut::new();
    let mut messages = rest.split(|octet| *octet == b'\n');
    let initial = if ways & 2 != 0 { None } else { messages.next() };
    let event = server.begin(initial, &mut out);
    answer(event, ways, &mut out);
    for message in messages {
        check(message);
        let before = server.closed().map(|result| result.is_ok());
        out.clear();
        let event = server.receive(message, &mut out);
        assert!(before.is_none() || event.is_none(), "what has ended asks nothing");
        answer(event, ways, &mut out);
        assert!(out.len() <= 2 * message.len() + 200, "a challenge is as long as its response, or short");
        match server.closed() {
            Some(Ok(_)) => panic!("nobody logs in without the password"),
            Some(Err(_)) => assert!(out.is_empty(), "nothing is said behind the end"),
            None => assert!(before.is_none(), "what has ended stays so"),
        }
    }
}

fn answer(event: Option<Event<'_>>, ways: u8, out: &mut BytesMut) {
    match event {
        Some(Event::Login(login)) => {
            assert!(!login.name().is_empty() && !login.password().contains('\0'));
            login.reject();
        }
        Some(Event::Keys(keys)) => {
            let stored = STORED.iter().find(|stored| stored.hash() == keys.hash()).filter(|_| ways & 4 == 0);
            let name = keys.name().to_lowercase();
            keys.answer(stored, &name, out);
        }
        Some(Event::Bearer(bearer)) if ways & 8 == 0 => {
            bearer.reject(&Denial::new(Status::InvalidToken), out)
        }
        Some(Event::External(external)) => external.reject(),
        _ => {}
    }
}

/// What is read is written and read back equal.
fn check(message: &[u8]) {
    let mut wire = Vec::new();
    if let Ok(first) = ClientFirst::parse(message) {
        first.encode(&mut wire);
        assert_eq!(ClientFirst::parse(&wire), Ok(first));
    }
    wire.clear();
    if let Ok(last) = ClientFinal::parse(message) {
        last.encode(&mut wire);
        assert_eq!(ClientFinal::parse(&wire), Ok(last));
    }
    wire.clear();
    if let Ok(request) = Request::parse(message) {
        request.encode(&mut wire);
        let again = Request::parse(&wire).expect("what is written can be read");
        assert_eq!(
            (again.authzid(), again.host(), again.port()),
            (request.authzid(), request.host(), request.port())
        );
        assert_eq!(again.token().expose(), request.token().expose());
    }
}
