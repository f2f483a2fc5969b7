//! Whatever a server says that does not know the password: a client of SCRAM does not believe it, hashes no more often than
//! allowed, and sends its secrets once.

use std::sync::LazyLock;

use bytes::BytesMut;
use sasl_codec::client::{Binding, ClientSession, Credentials, Event};
use sasl_codec::scram::message::{ServerFinal, ServerFirst};
use sasl_codec::scram::{Hash, SaltedPassword};
use sasl_codec::secret::Token;
use sasl_codec::{ChannelBinding, Nonce, Password};

use crate::common::choose;

const SECRET: &str = "not-to-be-guessed";

/// Hashed once, with whatever salt: the server does not know the password anyway.
static SALTED: LazyLock<[SaltedPassword; 2]> = LazyLock::new(|| {
    [Hash::Sha1, Hash::Sha256].map(|hash| {
        let mut client = ClientSession::scram(hash, credentials(), Binding::Unsupported, Nonce::new([1; 18]));
        let challenge = replaced(b"r=@x,s=AAAA,i=4096");
        match client.receive(&challenge, &mut BytesMut::new()) {
            Some(Event::Derive(derive)) => derive.derivation().run(),
            None => panic!("the nonce goes on from ours"),
            _ => unreachable!("there is no other event"),
        }
    })
});

/// `data` is two octets that choose, and challenges with LF between them; `@` stands for the client's nonce.
pub fn run(data: &[u8]) {
    let ([mechanism, ways], rest) = choose::<2>(data);
    let hash = if ways & 1 == 0 { Hash::Sha256 } else { Hash::Sha1 };
    let binding = match ways >> 1 & 3 {
        0 => Binding::Used(ChannelBinding::tls_exporter([3; 32])),
        1 => Binding::NotOffered,
        _ => Binding::Unsupported,
    };
    let token = || Token::new(SECRET.to_owned()).expect("visible ASCII");
    let mut client = match mechanism % 8 {
        0 => ClientSession::plain(credentials()),
        1 => ClientSession::login(credentials()).expect("for nobody else"),
        2 => ClientSession::external(None).expect("for nobody else"),
        3 => ClientSession::oauthbearer(None, token(), None, None).expect("without a host"),
        4 => ClientSession::xoauth2("ann", token()).expect("a name"),
        _ => ClientSession::scram(hash, credentials(), binding, Nonce::new([1; 18])),
    };
    let is_scram = mechanism % 8 > 4;
    let (mut out, mut shown) = (BytesMut::new(), 0);
    if ways & 8 == 0 {
        client.initial(&mut out);
    }
    for challenge in rest.split(|octet| *octet == b'\n') {
        let challenge = replaced(challenge);
        check(&challenge);
        let was_closed = client.closed().is_some();
        out.clear();
        match client.receive(&challenge, &mut out) {
            Some(Event::Derive(derive)) => {
                let (salt, iterations) = derive.derivation().parameters();
                assert!((4_096..=600_000).contains(&iterations) && (1..=256).contains(&salt.len()));
                derive.answer(&SALTED[usize::from(hash == Hash::Sha256)], &mut out);
            }
            None => {}
            Some(_) => unreachable!("there is no other event"),
        }
        shown += usize::from(out.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
        assert!(out.len() <= 2 * challenge.len() + 200);
        assert!(!was_closed || out.is_empty(), "nothing is said behind the end");
    }
    assert!(shown <= usize::from(!is_scram), "a secret is sent once, and never with SCRAM");
    client.handle_outcome(true);
    assert!(!is_scram || client.closed().is_some_and(|result| result.is_err()), "nothing was proven");
}

fn credentials() -> Credentials {
    let password = Password::new(SECRET.to_owned()).expect("a password");
    Credentials::new("ann", password).expect("a name")
}

fn replaced(challenge: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::new();
    for octet in challenge {
        match octet {
            b'@' => replaced.extend_from_slice(b"AQEBAQEBAQEBAQEBAQEBAQEB"),
            octet => replaced.push(*octet),
        }
    }
    replaced
}

/// What is read is written and read back equal.
fn check(message: &[u8]) {
    let mut wire = Vec::new();
    if let Ok(first) = ServerFirst::parse(message) {
        first.encode(&mut wire);
        assert_eq!(ServerFirst::parse(&wire), Ok(first));
    }
    wire.clear();
    if let Ok(last) = ServerFinal::parse(message) {
        last.encode(&mut wire);
        assert_eq!(ServerFinal::parse(&wire), Ok(last));
    }
}
