//! Whoever alters, cuts, repeats or makes up messages gets nowhere.

use bytes::BytesMut;
use sasl_codec::client::{Binding, ClientSession, Event as Asked, Failure as ClientFailure};
use sasl_codec::scram::{Hash, Iterations};
use sasl_codec::server::Failure;
use sasl_codec::{Limits, Mechanism, Nonce, ServerSession};

use crate::support::*;

const SCRAM: [Mechanism; 4] =
    [Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::ScramSha1Plus, Mechanism::ScramSha1];

/// How long the messages of an undisturbed exchange are: responses and challenges.
fn lengths(mechanism: Mechanism) -> [Vec<usize>; 2] {
    let ended = undisturbed(client(mechanism, USER, right(mechanism)), server(mechanism));
    [ended.responses, ended.challenges].map(|messages| messages.iter().map(Vec::len).collect())
}

/// Runs the exchange with one message changed.
fn disturbed(mechanism: Mechanism, of_client: bool, which: usize, change: impl Fn(&mut Vec<u8>)) -> Ended {
    let client = client(mechanism, USER, right(mechanism));
    exchange(client, server(mechanism), &Directory::new(), true, |is_response, number, message| {
        if (is_response, number) == (of_client, which) {
            change(message);
        }
    })
}

#[test]
fn no_octet_of_scram_can_be_altered() {
    // Every octet of every message, in several ways: neither side may end content with the other.
    for mechanism in [Mechanism::ScramSha256Plus, Mechanism::ScramSha1] {
        let [responses, challenges] = lengths(mechanism);
        for (of_client, lengths) in [(true, responses), (false, challenges)] {
            for (which, length) in lengths.into_iter().enumerate() {
                for at in 0..length {
                    for flip in [0x01, 0x20, 0x80] {
                        let ended = disturbed(mechanism, of_client, which, |message| message[at] ^= flip);
                        let where_ = format!("{mechanism} {of_client} {which} {at} {flip:#x} {ended:?}");
                        assert!(ended.client.is_err(), "{where_}");
                        // The server's own proof is the last word: it has seen the client's by then.
                        let last = !of_client && which == 1;
                        assert!(ended.server.is_err() || last, "{where_}");
                    }
                }
            }
        }
    }
}

#[test]
fn no_message_can_be_cut_or_lengthened() {
    for mechanism in Mechanism::ALL {
        let [responses, challenges] = lengths(mechanism);
        for (of_client, lengths) in [(true, responses), (false, challenges)] {
            for (which, length) in lengths.into_iter().enumerate() {
                // What LOGIN asks, no client reads.
                if mechanism == Mechanism::Login && !of_client {
                    continue;
                }
                for left in 0..length {
                    let ended = disturbed(mechanism, of_client, which, |message| message.truncate(left));
                    // EXTERNAL with nothing at all is somebody's, too.
                    let fine = mechanism == Mechanism::External && left == 0;
                    assert!(
                        ended.client.is_err() || fine,
                        "{mechanism} {of_client} {which} {left} {ended:?}"
                    );
                }
                for more in [b'\0', b',', b'=', b'a', 0x01, 0xff] {
                    let ended = disturbed(mechanism, of_client, which, |message| message.push(more));
                    assert!(ended.client.is_err(), "{mechanism} {of_client} {which} {more} {ended:?}");
                }
            }
        }
    }
}

#[test]
fn a_proof_is_as_long_as_the_hash() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    // Right octets with more behind them, in base64 that is right as well.
    for mechanism in SCRAM {
        let ended = disturbed(mechanism, true, 1, |message| {
            let text = String::from_utf8(message.clone()).unwrap();
            let (before, proof) = text.rsplit_once(",p=").unwrap();
            let longer = [STANDARD.decode(proof).unwrap(), vec![0]].concat();
            *message = format!("{before},p={}", STANDARD.encode(longer)).into_bytes();
        });
        assert_eq!(ended.server, Err(Failure::Rejected), "{mechanism}");
    }
}

#[test]
fn a_message_of_another_exchange_is_no_good() {
    let directory = Directory::new();
    for mechanism in SCRAM {
        let first = undisturbed(client(mechanism, USER, PASSWORD), server(mechanism));
        assert!(first.server.is_ok());
        // All that the client said, once more, to a server with another nonce.
        let config = config().binding(exporter());
        let config = if mechanism.is_plus() { config } else { crate::support::config() };
        let mut replayed = ServerSession::new(mechanism, config, Nonce::new([0x56; 18]));
        let mut out = BytesMut::new();
        let event = replayed.begin(Some(&first.responses[0]), &mut out).unwrap();
        directory.answer(event, &mut out);
        assert!(replayed.receive(&first.responses[1], &mut out).is_none());
        assert_eq!(replayed.closed(), Some(Err(Failure::Nonce)));
        // All that the server said, once more, to a client with another nonce.
        let hash = mechanism.hash().unwrap();
        let binding = if mechanism.is_plus() { Binding::Used(exporter()) } else { Binding::Unsupported };
        let nonce = Nonce::new([0xab; 18]);
        let mut client = ClientSession::scram(hash, credentials(USER, PASSWORD), binding, nonce);
        assert!(client.initial(&mut out));
        assert!(client.receive(&first.challenges[0], &mut out).is_none());
        assert_eq!(client.closed(), Some(Err(ClientFailure::Nonce)));
    }
}

#[test]
fn an_altered_nonce_is_told_from_a_wrong_password() {
    let ended = disturbed(Mechanism::ScramSha256, true, 1, |message| {
        let at = message.windows(3).position(|part| part == b",r=").unwrap();
        message[at + 3] ^= 1;
    });
    assert_eq!(ended.server, Err(Failure::Nonce));
    let ended = disturbed(Mechanism::ScramSha256, false, 0, |message| message[2] ^= 1);
    assert_eq!(ended.client, Err(ClientFailure::Nonce));
}

/// What a client says to a first message of a server that was made up; `{}` is its own nonce.
fn told(message: &str) -> Option<Result<(), ClientFailure>> {
    let mut client = client(Mechanism::ScramSha256, USER, PASSWORD);
    let mut out = BytesMut::new();
    client.initial(&mut out);
    let first = String::from_utf8(out.split().to_vec()).unwrap();
    let message = message.replace("{}", first.split_once("r=").unwrap().1);
    if let Some(Asked::Derive(derive)) = client.receive(message.as_bytes(), &mut out) {
        // It would be hashed: that is enough.
        let _ = derive.derivation();
        return None;
    }
    client.closed()
}

#[test]
fn a_client_refuses_what_weakens_it_or_wears_it_out() {
    assert_eq!(told("r={}x,s=AAAA,i=4096"), None);
    assert_eq!(told("r={}x,s=AAAA,i=600000"), None);
    for (message, failure) in [
        ("r={}x,s=AAAA,i=4095", ClientFailure::Iterations),
        ("r={}x,s=AAAA,i=1", ClientFailure::Iterations),
        ("r={}x,s=AAAA,i=600001", ClientFailure::Iterations),
        ("r={}x,s=AAAA,i=4294967295", ClientFailure::Iterations),
        ("r={}x,s=AAAA,i=4294967296", ClientFailure::Malformed),
        ("r={},s=AAAA,i=4096", ClientFailure::Nonce),
        ("r=x{},s=AAAA,i=4096", ClientFailure::Nonce),
        ("r=x,s=AAAA,i=4096", ClientFailure::Nonce),
        ("m=x,r={}x,s=AAAA,i=4096", ClientFailure::Extension),
        ("", ClientFailure::Unproven),
        ("v=AAAA", ClientFailure::Malformed),
        ("e=other-error", ClientFailure::Malformed),
    ] {
        let ended = told(message);
        // An empty challenge asks for the first message: nothing is wrong yet.
        let expected = if message.is_empty() { None } else { Some(Err(failure)) };
        assert_eq!(ended, expected, "{message}");
    }
    assert_eq!(told(&format!("r={{}}{},s=AAAA,i=4096", "x".repeat(600))), Some(Err(ClientFailure::TooLong)));
    assert_eq!(told(&format!("r={{}}x,s={},i=4096", "AAAA".repeat(100))), Some(Err(ClientFailure::TooLong)));
    assert_eq!(told(&"x".repeat(10_000)), Some(Err(ClientFailure::TooLong)));
}

#[test]
fn a_client_can_be_stricter() {
    let least = Iterations::new(10_000).unwrap();
    let limits = Limits::default().iterations(least, least);
    let nonce = Nonce::parse("0123456789abcdef").unwrap();
    let mut client =
        ClientSession::scram(Hash::Sha1, credentials(USER, PASSWORD), Binding::Unsupported, nonce)
            .limits(limits);
    assert!(client.receive(b"r=0123456789abcdefx,s=AAAA,i=4096", &mut BytesMut::new()).is_none());
    assert_eq!(client.closed(), Some(Err(ClientFailure::Iterations)));
}

#[test]
fn a_server_that_proves_nothing_is_not_believed() {
    for mechanism in SCRAM {
        // It says yes at once, or behind the client's proof.
        let mut at_once = client(mechanism, USER, PASSWORD);
        let mut out = BytesMut::new();
        at_once.initial(&mut out);
        at_once.handle_outcome(true);
        assert_eq!(at_once.closed(), Some(Err(ClientFailure::Unproven)));

        let directory = Directory::new();
        let (mut client, mut server) = (client(mechanism, USER, PASSWORD), server(mechanism));
        let (mut response, mut challenge) = (BytesMut::new(), BytesMut::new());
        client.initial(&mut response);
        let event = server.begin(Some(&response.split()), &mut challenge).unwrap();
        directory.answer(event, &mut challenge);
        if let Some(Asked::Derive(derive)) = client.receive(&challenge, &mut response) {
            derive.run(&mut response);
        }
        client.handle_outcome(true);
        assert_eq!(client.closed(), Some(Err(ClientFailure::Unproven)));
    }
    // Its proof is another one's, or an error.
    let proof = |message: &'static str| {
        disturbed(Mechanism::ScramSha256, false, 1, move |proof| *proof = message.as_bytes().to_vec()).client
    };
    assert_eq!(proof("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Err(ClientFailure::FalseServer));
    assert_eq!(proof("v=AAAA"), Err(ClientFailure::FalseServer));
    assert_eq!(proof("e=invalid-proof"), Err(ClientFailure::Denied));
    assert_eq!(proof(""), Err(ClientFailure::Malformed));
    // A no that turns into a yes.
    let mut denied = client(Mechanism::OAuthBearer, USER, TOKEN);
    let mut out = BytesMut::new();
    denied.initial(&mut out);
    denied.receive(b"{\"status\":\"invalid_token\"}", &mut out);
    denied.handle_outcome(true);
    assert_eq!(denied.closed(), Some(Err(ClientFailure::Denied)));
    assert_eq!(denied.denial(), Some("{\"status\":\"invalid_token\"}"));
    // A yes before anything was said.
    let mut early = client(Mechanism::Plain, USER, PASSWORD);
    early.handle_outcome(true);
    assert_eq!(early.closed(), Some(Err(ClientFailure::Unproven)));
}

#[test]
fn a_password_is_sent_once() {
    let mut client = client(Mechanism::Plain, USER, PASSWORD);
    let mut out = BytesMut::new();
    client.receive(b"", &mut out);
    assert!(!out.split().is_empty());
    client.receive(b"", &mut out);
    assert_eq!((out.len(), client.closed()), (0, Some(Err(ClientFailure::Malformed))));
}

#[test]
fn broken_responses_are_refused() {
    let begun = |mechanism, message: &[u8]| {
        let mut server = server(mechanism);
        let mut out = BytesMut::new();
        assert!(server.begin(Some(message), &mut out).is_none(), "{}", message.escape_ascii());
        assert!(out.is_empty());
        server.closed().unwrap().unwrap_err()
    };
    let long = [&b"\0"[..], &[b'a'; 321], b"\0x"].concat();
    let long_password = [&b"\0a\0"[..], &[b'a'; 1_025]].concat();
    for (message, failure) in [
        (&b""[..], Failure::Malformed),
        (b"a", Failure::Malformed),
        (b"\0a", Failure::Malformed),
        (b"\0a\0b\0", Failure::Malformed),
        (b"\0a\0b\0c", Failure::Malformed),
        (b"\0\0b", Failure::Unusable),
        (b"\0a\0", Failure::Unusable),
        (b"\0a\x07\0b", Failure::Unusable),
        (b"\0\xff\0b", Failure::Malformed),
        (b"\0a\0\xff", Failure::Malformed),
        (&long, Failure::TooLong),
        (&long_password, Failure::TooLong),
        (&[b'a'; 9_217], Failure::TooLong),
    ] {
        assert_eq!(begun(Mechanism::Plain, message), failure, "{}", message.escape_ascii());
    }
    for (message, failure) in
        [(&b""[..], Failure::Unusable), (b"\xff", Failure::Malformed), (&[b'a'; 321], Failure::TooLong)]
    {
        assert_eq!(begun(Mechanism::Login, message), failure);
    }
    let long_nonce = format!("n,,n=a,r={}", "x".repeat(513));
    for (message, failure) in [
        (&b""[..], Failure::Malformed),
        (b"n,,m=x,n=a,r=b", Failure::Extension),
        (b"n,,n=\xc2\xad,r=b", Failure::Unusable),
        (long_nonce.as_bytes(), Failure::TooLong),
    ] {
        assert_eq!(begun(Mechanism::ScramSha256, message), failure);
    }
    assert_eq!(begun(Mechanism::External, b"\xff"), Failure::Malformed);
    assert_eq!(begun(Mechanism::External, b"a\0b"), Failure::Unusable);
    assert_eq!(begun(Mechanism::OAuthBearer, b"\x01"), Failure::Malformed);
}

#[test]
fn a_client_that_objects_to_the_proof_is_not_logged_in() {
    let ended = disturbed(Mechanism::ScramSha256, true, 2, |message| message.extend_from_slice(b"x"));
    assert_eq!(ended.server, Err(Failure::Malformed));
}
