//! A response is refused, or is written as one message and read back as the same response.

use bytes::BytesMut;
use imap_codec::encode::Names;
use imap_codec::fragment::{Bounds, Fragment, Fragmenter, Sender};
use imap_codec::response::Response;

/// `data` is what a server says.
pub fn run(data: &[u8]) {
    for message in messages(data, Sender::Server) {
        for names in [Names::Utf7, Names::Utf8] {
            let Ok(response) = Response::parse(&message, names) else {
                continue;
            };
            let mut out = BytesMut::new();
            response.encode(names, &mut out);
            let again = messages(&out, Sender::Server);
            assert_eq!(again.len(), 1, "one message: {}", out.escape_ascii());
            let read = Response::parse(&again[0], names).expect("what is written is a response");
            // Text beyond ASCII goes only to those who can read it.
            if names == Names::Utf8 || message.is_ascii() {
                assert_eq!(read, response);
            }
        }
    }
}

/// Whole messages, their literals within.
pub(crate) fn messages(octets: &[u8], sender: Sender) -> Vec<Vec<u8>> {
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
