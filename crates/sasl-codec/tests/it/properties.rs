//! Messages are read back as they were written; whatever is read can be written.

use proptest::prelude::*;
use sasl_codec::prepare::{Unassigned, prepare};
use sasl_codec::scram::message::{ClientFinal, ClientFirst, Flag, ServerFinal, ServerFirst};
use sasl_codec::scram::{Hash, Iterations, Verifier};

use crate::support::*;

/// Text that is close to the grammar.
fn near(parts: &'static [&'static str]) -> impl Strategy<Value = String> {
    let part =
        prop_oneof![proptest::sample::select(parts).prop_map(str::to_owned), "[ -~]{0,3}", "\\PC{0,2}"];
    proptest::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

const PARTS: &[&str] = &[
    "n,,",
    "y,,",
    "p=tls-exporter,",
    "a=",
    "n=",
    "r=",
    "s=",
    "i=4096",
    "c=biws",
    "p=AAAA",
    "v=AAAA",
    "e=",
    ",",
    "=2C",
];

/// Reads, writes, reads: twice the same.
macro_rules! twice {
    ($text:expr, $type:ident) => {
        if let Ok(message) = $type::parse($text.as_bytes()) {
            let mut out = Vec::new();
            message.encode(&mut out);
            let again = $type::parse(&out);
            prop_assert_eq!(again, Ok(message));
        }
    };
}

proptest! {
    #[test]
    fn what_is_read_is_written_and_read_again(text in near(PARTS)) {
        twice!(text, ClientFirst);
        twice!(text, ServerFirst);
        twice!(text, ClientFinal);
        twice!(text, ServerFinal);
    }

    #[test]
    fn every_name_goes_through(name in "[^\\x00]{1,40}", authzid in proptest::option::of("[^\\x00]{1,40}")) {
        let Ok(credentials) = sasl_codec::client::Credentials::new(&name, password("x")) else { return Ok(()) };
        let credentials = match &authzid {
            None => credentials,
            Some(authzid) => match credentials.acting_for(authzid) {
                Ok(credentials) => credentials,
                Err(_) => return Ok(()),
            },
        };
        let binding = sasl_codec::client::Binding::Unsupported;
        let nonce = sasl_codec::Nonce::new([1; 18]);
        let mut client = sasl_codec::ClientSession::scram(Hash::Sha1, credentials, binding, nonce);
        let mut out = bytes::BytesMut::new();
        prop_assert!(client.initial(&mut out));
        let first = ClientFirst::parse(&out).unwrap();
        prop_assert_eq!(first.flag(), Flag::Unsupported);
        prop_assert_eq!(first.name(), &*prepare(&name, Unassigned::Allowed).unwrap());
        let authzid = authzid.map(|authzid| prepare(&authzid, Unassigned::Allowed).unwrap().into_owned());
        prop_assert_eq!(first.authzid(), authzid.as_deref());
    }

    #[test]
    fn what_is_prepared_is_prepared_once(text in "\\PC{0,20}") {
        if let Ok(once) = prepare(&text, Unassigned::Refused) {
            let again = prepare(&once, Unassigned::Refused);
            prop_assert_eq!(again.as_deref(), Ok(&*once));
        }
    }

    #[test]
    fn a_stored_verifier_is_taken_whole_or_not_at_all(text in near(&["SCRAM-SHA-1", "$", "4096", ":", "AAAA"])) {
        if let Ok(verifier) = Verifier::parse(&text) {
            prop_assert_eq!(verifier.encode(), text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_password_logs_in_and_no_other(word in "[^\\x00]{1,20}", other in "[^\\x00]{1,20}", salt: [u8; 16]) {
        let verifier = Verifier::derive(Hash::Sha256, &password(&word), salt, Iterations::LEAST);
        let verifier = Verifier::parse(&verifier.encode()).unwrap();
        // Two that look alike are one.
        let prepared = |word: &str| prepare(word, Unassigned::Allowed).map_or_else(|_| word.to_owned(), |word| word.into_owned());
        for (tried, right) in [(&word, true), (&other, prepared(&other) == prepared(&word))] {
            let mut client = client(sasl_codec::Mechanism::ScramSha256, USER, tried);
            let mut server = server(sasl_codec::Mechanism::ScramSha256);
            let (mut response, mut challenge) = (bytes::BytesMut::new(), bytes::BytesMut::new());
            client.initial(&mut response);
            if let Some(sasl_codec::server::Event::Keys(keys)) = server.begin(Some(&response.split()), &mut challenge) {
                keys.answer(Some(&verifier), USER, &mut challenge);
            }
            if let Some(sasl_codec::client::Event::Derive(derive)) = client.receive(&challenge.split(), &mut response) {
                derive.run(&mut response);
            }
            server.receive(&response.split(), &mut challenge);
            prop_assert_eq!(server.closed().is_none(), right);
        }
    }
}
