//! The same as for commands, for responses.

use arbitrary::Unstructured;
use bytes::BytesMut;
use imap_codec::encode::Names;
use imap_codec::fragment::{Bounds, Fragment, Fragmenter, Sender};
use imap_codec::response::{Data, Response};

use crate::imap_arbitrary;

/// `data` is what a server says; and what the choices that make a response follow from.
pub fn run(data: &[u8]) {
    let made = imap_arbitrary::data(&mut Unstructured::new(data)).expect("it never runs dry");
    for names in [Names::Utf7, Names::Utf8] {
        // Text beyond ASCII goes only to those who can read it.
        let ascii = !matches!(&made, Data::Status(status) if !status.text.as_str().is_ascii());
        check(&Response::Untagged(made.clone()), names, names == Names::Utf8 || ascii);
        for message in messages(data, Sender::Server) {
            if let Ok(response) = Response::parse(&message, names) {
                check(&response, names, names == Names::Utf8 || message.is_ascii());
            }
        }
    }
}

fn check(response: &Response<'_>, names: Names, equal: bool) {
    let mut out = BytesMut::new();
    response.encode(names, &mut out);
    let again = messages(&out, Sender::Server);
    assert_eq!(again.len(), 1, "one message: {}", out.escape_ascii());
    let read = Response::parse(&again[0], names).expect("what is written is a response");
    if equal {
        assert_eq!(&read, response);
    }
}

/// Whole messages, their literals within.
pub fn messages(octets: &[u8], sender: Sender) -> Vec<Vec<u8>> {
    let bounds = Bounds { line: 1 << 20, literals: 1 << 20, total: 1 << 21, discard: 0 };
    let (mut reader, mut input, mut all) = (Fragmenter::new(sender), octets, Vec::new());
    while let Some(fragment) = reader.next(&mut input, &bounds, false) {
        match fragment {
            Fragment::Whole { message, .. } => all.push(message.to_vec()),
            Fragment::Announced { literal, .. } if !literal.fits => reader.refuse(&mut input),
            Fragment::Flood => break,
            _ => {}
        }
    }
    all
}
