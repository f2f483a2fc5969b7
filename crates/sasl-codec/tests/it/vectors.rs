//! The examples of RFC 5802 §5 and RFC 7677 §3, octet by octet, on both sides.

use bytes::BytesMut;
use sasl_codec::client::{Binding, Credentials, Event as Asked};
use sasl_codec::scram::{Hash, Iterations, Verifier};
use sasl_codec::server::Event;
use sasl_codec::{ClientSession, Mechanism, Nonce, Password, ServerConfig, ServerSecret, ServerSession};

struct Vector {
    mechanism: Mechanism,
    hash: Hash,
    nonces: [&'static str; 2],
    salt: &'static str,
    messages: [&'static str; 4],
    verifier: &'static str,
}

const SHA_1: Vector = Vector {
    mechanism: Mechanism::ScramSha1,
    hash: Hash::Sha1,
    nonces: ["fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j"],
    salt: "QSXCR+Q6sek8bf92",
    messages: [
        "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ],
    verifier: "6dlGYMOdZcOPutkcNY8U2g7vK9Y=:D+CSWLOshSulAsxiupA+qs2/fTE=",
};

const SHA_256: Vector = Vector {
    mechanism: Mechanism::ScramSha256,
    hash: Hash::Sha256,
    nonces: ["rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"],
    salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
    messages: [
        "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    ],
    verifier: "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
};

fn pencil() -> Password {
    Password::new("pencil".to_owned()).unwrap()
}

#[test]
fn a_server_says_what_the_rfcs_say() {
    for vector in [SHA_1, SHA_256] {
        // What a server would have stored.
        let name = vector.mechanism.name();
        let stored = format!("{name}$4096:{}${}", vector.salt, vector.verifier);
        let verifier = Verifier::parse(&stored).unwrap();
        let config = ServerConfig::new(ServerSecret::new([0; 32]), Iterations::LEAST);
        let mut server =
            ServerSession::new(vector.mechanism, config, Nonce::parse(vector.nonces[1]).unwrap());
        let [first, challenge, last, proof] = vector.messages.map(str::as_bytes);
        let mut out = BytesMut::new();
        match server.begin(Some(first), &mut out) {
            Some(Event::Keys(keys)) => {
                assert_eq!((keys.name(), keys.authzid(), keys.hash()), ("user", None, vector.hash));
                keys.answer(Some(&verifier), "user", &mut out);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(out.split(), challenge);
        assert!(server.receive(last, &mut out).is_none());
        assert_eq!(out.split(), proof);
        assert_eq!(server.closed(), None, "the client has not seen the proof");
        assert!(server.receive(b"", &mut out).is_none());
        assert_eq!(server.closed().unwrap().unwrap().name(), Some("user"));
        assert!(out.is_empty());
    }
}

#[test]
fn a_client_says_what_the_rfcs_say() {
    for vector in [SHA_1, SHA_256] {
        let credentials = Credentials::new("user", pencil()).unwrap();
        let nonce = Nonce::parse(vector.nonces[0]).unwrap();
        let mut client = ClientSession::scram(vector.hash, credentials, Binding::Unsupported, nonce);
        assert_eq!(client.mechanism(), vector.mechanism);
        let [first, challenge, last, proof] = vector.messages.map(str::as_bytes);
        let mut out = BytesMut::new();
        assert!(client.initial(&mut out));
        assert_eq!(out.split(), first);
        match client.receive(challenge, &mut out) {
            Some(Asked::Derive(derive)) => derive.run(&mut out),
            other => panic!("{other:?}"),
        }
        assert_eq!(out.split(), last);
        assert!(client.receive(proof, &mut out).is_none());
        assert!(out.is_empty() && client.closed().is_none());
        client.handle_outcome(true);
        assert_eq!(client.closed(), Some(Ok(())));
    }
}

#[test]
fn a_verifier_comes_from_the_password() {
    // The salt of RFC 7677 §3 is one of 16 octets.
    let salt = *b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";
    let verifier = Verifier::derive(Hash::Sha256, &pencil(), salt, Iterations::LEAST);
    assert_eq!(verifier.encode(), format!("SCRAM-SHA-256$4096:{}${}", SHA_256.salt, SHA_256.verifier));
}
