//! Every mechanism against every way to log in, and to fail.

use bytes::BytesMut;
use sasl_codec::client::{Binding, ClientSession, Event as Asked, Failure as ClientFailure};
use sasl_codec::scram::Hash;
use sasl_codec::server::{Event, Failure};
use sasl_codec::{ChannelBinding, Mechanism, Nonce, ServerSession};

use crate::support::*;

const SCRAM: [Mechanism; 4] =
    [Mechanism::ScramSha256Plus, Mechanism::ScramSha256, Mechanism::ScramSha1Plus, Mechanism::ScramSha1];

fn scram(hash: Hash, binding: Binding) -> ClientSession {
    ClientSession::scram(hash, credentials(USER, PASSWORD), binding, Nonce::new([0xaa; 18]))
}

#[test]
fn the_right_password_or_token_logs_in() {
    let directory = Directory::new();
    for mechanism in Mechanism::ALL {
        for initial in [true, false] {
            let client = client(mechanism, USER, right(mechanism));
            assert_eq!(client.mechanism(), mechanism);
            let ended = exchange(client, server(mechanism), &directory, initial, |_, _, _| {});
            assert_eq!(ended.client, Ok(()), "{mechanism}");
            let (name, authzid) = ended.server.unwrap();
            match mechanism {
                Mechanism::External | Mechanism::OAuthBearer | Mechanism::XOAuth2 => {
                    assert_eq!((name, authzid.as_deref()), (None, Some(USER)), "{mechanism}");
                }
                _ => assert_eq!((name.as_deref(), authzid), (Some(USER), None), "{mechanism}"),
            }
            let round_trips = ended.challenges.len();
            let expected = match mechanism {
                Mechanism::Login => 2,
                scram if scram.hash().is_some() => 2 + usize::from(!initial),
                _ => usize::from(!initial),
            };
            assert_eq!(round_trips, expected, "{mechanism}");
        }
    }
}

#[test]
fn a_wrong_password_or_token_and_an_unknown_name_do_not() {
    for mechanism in Mechanism::ALL.into_iter().filter(|mechanism| *mechanism != Mechanism::External) {
        for (name, word) in [(USER, "wrong"), ("nobody@example.test", right(mechanism))] {
            let ended = undisturbed(client(mechanism, name, word), server(mechanism));
            assert_eq!(ended.server, Err(Failure::Rejected), "{mechanism} {name}");
            let denied = matches!(mechanism, Mechanism::OAuthBearer | Mechanism::XOAuth2);
            let expected = if denied { ClientFailure::Denied } else { ClientFailure::Refused };
            assert_eq!(ended.client, Err(expected), "{mechanism} {name}");
        }
    }
    let ended = undisturbed(client(Mechanism::External, "other", ""), server(Mechanism::External));
    assert_eq!(ended.server, Err(Failure::Rejected));
}

#[test]
fn a_denied_token_is_told_why() {
    for mechanism in [Mechanism::OAuthBearer, Mechanism::XOAuth2] {
        let ended = undisturbed(client(mechanism, USER, "stale"), server(mechanism));
        assert_eq!(ended.challenges, [b"{\"status\":\"invalid_token\"}"]);
        // RFC 7628 §3.2.3: a word that says nothing, so that the server can say no.
        let word: &[u8] = if mechanism == Mechanism::OAuthBearer { b"\x01" } else { b"" };
        assert_eq!(ended.responses[1], word);
    }
}

#[test]
fn who_acts_for_others_is_asked_about() {
    let acting = |mechanism: Mechanism, authzid: &str| {
        let credentials = credentials(USER, PASSWORD).acting_for(authzid).unwrap();
        let client = match mechanism.hash() {
            None => ClientSession::plain(credentials),
            Some(hash) => {
                let binding =
                    if mechanism.is_plus() { Binding::Used(exporter()) } else { Binding::Unsupported };
                ClientSession::scram(hash, credentials, binding, Nonce::new([0xaa; 18]))
            }
        };
        undisturbed(client, server(mechanism))
    };
    for mechanism in SCRAM.into_iter().chain([Mechanism::Plain]) {
        let (name, authzid) = acting(mechanism, USER).server.unwrap();
        assert_eq!((name.as_deref(), authzid.as_deref()), (Some(USER), Some(USER)));
        assert_eq!(acting(mechanism, "ben,=@example.test").server, Err(Failure::Rejected), "{mechanism}");
    }
    assert!(ClientSession::login(credentials(USER, PASSWORD).acting_for("ben").unwrap()).is_err());
}

#[test]
fn what_is_seen_of_the_channel_has_to_be_the_same() {
    let others = [
        ChannelBinding::tls_exporter([0xe1; 32]),
        ChannelBinding::tls_server_end_point(&[0xcd; 32]).unwrap(),
        ChannelBinding::tls_server_end_point(&[0xcc; 48]).unwrap(),
    ];
    for (hash, plus) in [(Hash::Sha1, Mechanism::ScramSha1Plus), (Hash::Sha256, Mechanism::ScramSha256Plus)] {
        for same in [exporter(), end_point()] {
            let ended = undisturbed(scram(hash, Binding::Used(same)), server(plus));
            assert_eq!((ended.server.is_ok(), ended.client), (true, Ok(())));
        }
        for other in others.clone() {
            let ended = undisturbed(scram(hash, Binding::Used(other)), server(plus));
            assert_eq!(ended.server, Err(Failure::BindingMismatch));
        }
        // A server that can bind to one of them only.
        let one = ServerSession::new(plus, config().binding(end_point()), Nonce::new([1; 18]));
        let ended = undisturbed(scram(hash, Binding::Used(exporter())), one);
        assert_eq!(ended.server, Err(Failure::BindingType));
    }
}

#[test]
fn channel_binding_cannot_be_talked_away() {
    let can_bind =
        |mechanism| ServerSession::new(mechanism, config().binding(exporter()), Nonce::new([1; 18]));
    let cannot = |mechanism| ServerSession::new(mechanism, config(), Nonce::new([1; 18]));
    let (plus, bare) = (Mechanism::ScramSha256Plus, Mechanism::ScramSha256);
    for (binding, server, expected) in [
        (Binding::Unsupported, can_bind(bare), None),
        (Binding::Unsupported, cannot(bare), None),
        (Binding::NotOffered, cannot(bare), None),
        // RFC 5802 §6: the client was told that we cannot.
        (Binding::NotOffered, can_bind(bare), Some(Failure::Downgrade)),
        (Binding::NotOffered, can_bind(plus), Some(Failure::Downgrade)),
        (Binding::NotOffered, cannot(plus), Some(Failure::BindingMisused)),
        (Binding::Unsupported, can_bind(plus), Some(Failure::BindingMisused)),
        (Binding::Used(exporter()), can_bind(bare), Some(Failure::BindingMisused)),
        (Binding::Used(exporter()), cannot(plus), Some(Failure::BindingType)),
    ] {
        let what = format!("{binding:?} {server:?}");
        let ended = undisturbed(scram(Hash::Sha256, binding), server);
        assert_eq!(ended.server.err(), expected, "{what}");
    }
    // Somebody in between turns the flag: the header is in the proof.
    for (from, to) in [("y", "n"), ("n", "y"), ("p=tls-exporter", "n")] {
        let (binding, mechanism) = match from {
            "y" => (Binding::NotOffered, bare),
            "n" => (Binding::Unsupported, bare),
            _ => (Binding::Used(exporter()), bare),
        };
        let client = scram(Hash::Sha256, binding);
        let ended =
            exchange(client, cannot(mechanism), &Directory::new(), true, |is_response, number, message| {
                if is_response && number == 0 {
                    *message = String::from_utf8(message.clone()).unwrap().replacen(from, to, 1).into_bytes();
                }
            });
        assert_eq!(ended.server, Err(Failure::BindingMismatch), "{from} to {to}");
    }
}

#[test]
fn the_best_that_both_can_do_is_chosen() {
    let all = Mechanism::ALL;
    let without = |mechanism| all.into_iter().filter(move |other| *other != mechanism).collect::<Vec<_>>();
    let choose = |offered: &[Mechanism], channel| Binding::choose(offered, channel);
    assert_eq!(choose(&all, Some(exporter())), Some((Hash::Sha256, Binding::Used(exporter()))));
    assert_eq!(choose(&all, None), Some((Hash::Sha256, Binding::Unsupported)));
    let weaker = without(Mechanism::ScramSha256Plus);
    assert_eq!(choose(&weaker, Some(exporter())), Some((Hash::Sha1, Binding::Used(exporter()))));
    let bare = [Mechanism::Plain, Mechanism::ScramSha1];
    assert_eq!(choose(&bare, Some(exporter())), Some((Hash::Sha1, Binding::NotOffered)));
    assert_eq!(choose(&[Mechanism::Plain, Mechanism::ScramSha1Plus], None), None);
}

/// The messages of an exchange that failed at the proof, with the nonces of both sides always the same.
fn seen(name: &str) -> Vec<Vec<u8>> {
    let ended = undisturbed(client(Mechanism::ScramSha256, name, "wrong"), server(Mechanism::ScramSha256));
    assert_eq!(ended.server, Err(Failure::Rejected));
    ended.challenges
}

#[test]
fn who_does_not_exist_looks_like_who_does() {
    let known = seen(USER);
    let unknown = seen("nobody@example.test");
    assert_eq!(known.len(), unknown.len());
    for (known, unknown) in known.iter().zip(&unknown) {
        assert_eq!(known.len(), unknown.len());
        let fields = |message: &[u8]| {
            let text = String::from_utf8(message.to_vec()).unwrap();
            text.split(',').map(|field| field.split_at(2).0.to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(fields(known), fields(unknown));
        // But for the salt, which is everybody's own, they are the same octets.
        let rest = |message: &[u8]| {
            let text = String::from_utf8(message.to_vec()).unwrap();
            text.split(',').filter(|field| !field.starts_with("s=")).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(rest(known), rest(unknown));
    }
    assert_eq!(unknown, seen("nobody@example.test"), "the salt stays the same");
    assert_eq!(unknown, seen("NOBODY@example.test"), "in whatever case the name is written");
    assert_ne!(unknown, seen("another@example.test"));
}

#[test]
fn names_that_look_alike_are_one() {
    // RFC 4013 §3: a soft hyphen, and a letter in another width.
    for spelling in ["an\u{ad}na@example.test", "\u{ff41}nna@example.test"] {
        for mechanism in [Mechanism::ScramSha256, Mechanism::Plain, Mechanism::Login] {
            let mut server = server(mechanism);
            let mut out = BytesMut::new();
            let message = match mechanism {
                Mechanism::Plain => format!("\0{spelling}\0x"),
                Mechanism::Login => spelling.to_owned(),
                _ => format!("n,,n={spelling},r=0123456789abcdef"),
            };
            let event = server.begin(Some(message.as_bytes()), &mut out);
            let name = match event {
                Some(Event::Login(login)) => login.name().to_owned(),
                Some(Event::Keys(keys)) => keys.name().to_owned(),
                None => server.claimed_name().unwrap().to_owned(),
                other => panic!("{other:?}"),
            };
            assert_eq!(name, USER);
        }
    }
}

// Ledger: 2595-6-2
#[test]
fn names_and_passwords_of_255_octets_are_taken() {
    let [authzid, name, word] = ["a", "b", "c"].map(|letter| letter.repeat(255));
    let (mut server, mut out) = (server(Mechanism::Plain), BytesMut::new());
    let message = format!("{authzid}\0{name}\0{word}");
    let Some(Event::Login(login)) = server.begin(Some(message.as_bytes()), &mut out) else {
        panic!("a login");
    };
    assert_eq!((login.authzid(), login.name(), login.password()), (Some(&authzid[..]), &name[..], &word[..]));
}

#[test]
fn an_event_without_an_answer_is_a_no() {
    for mechanism in Mechanism::ALL {
        let (mut client, mut server) = (client(mechanism, USER, right(mechanism)), server(mechanism));
        let (mut response, mut out) = (BytesMut::new(), BytesMut::new());
        if !client.initial(&mut response) {
            server.begin(None, &mut out);
            client.receive(&out.split(), &mut response);
            server.receive(&response.split(), &mut out);
            client.receive(&out.split(), &mut response);
        }
        assert!(server.receive(&response, &mut out).is_some(), "{mechanism}");
        assert_eq!(server.closed(), Some(Err(Failure::Unanswered)));
        assert!(server.receive(&response, &mut out).is_none() && out.is_empty());
        assert_eq!(server.closed(), Some(Err(Failure::Unanswered)), "and stays one");
    }
    let mut client = client(Mechanism::ScramSha1, USER, PASSWORD);
    let mut out = BytesMut::new();
    client.initial(&mut out);
    let nonce = String::from_utf8(out.split().to_vec()).unwrap().split_once("r=").unwrap().1.to_owned();
    let asked = client.receive(format!("r={nonce}x,s=AAAA,i=4096").as_bytes(), &mut out);
    assert!(matches!(asked, Some(Asked::Derive(_))));
    assert_eq!(client.closed(), Some(Err(ClientFailure::Unanswered)));
}

#[test]
fn a_password_that_was_hashed_before_need_not_be_hashed_again() {
    let directory = Directory::new();
    let mut kept = None;
    for _ in 0..2 {
        let mut client = client(Mechanism::ScramSha256, USER, PASSWORD);
        let mut server = server(Mechanism::ScramSha256);
        let (mut response, mut challenge) = (BytesMut::new(), BytesMut::new());
        client.initial(&mut response);
        let event = server.begin(Some(&response.split()), &mut challenge).unwrap();
        directory.answer(event, &mut challenge);
        let Some(Asked::Derive(derive)) = client.receive(&challenge.split(), &mut response) else {
            panic!("the server has answered")
        };
        assert_eq!(derive.derivation().parameters(), (&[3; 16][..], 4_096));
        let salted = kept.take().unwrap_or_else(|| derive.derivation().run());
        derive.answer(&salted, &mut response);
        kept = Some(salted);
        assert!(server.receive(&response.split(), &mut challenge).is_none());
        assert!(server.closed().is_none(), "the proof is right");
    }
}
