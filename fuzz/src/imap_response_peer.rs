//! A response of IMAP4rev1 means the same to the published `imap-codec`, or differs in one of the ways that are listed.

use imap_codec::encode::Names;
use imap_codec::fragment::Sender;
use imap_codec::response::Response;
use peer_imap_codec::decode::Decoder;
use peer_imap_codec::encode::Encoder;
use peer_imap_codec::imap_types::response::{Data, Response as Theirs};
use peer_imap_codec::{GreetingCodec, ResponseCodec};

use crate::imap_differences::{RESPONSES, Reading, judge};
use crate::imap_response_roundtrip::messages;

/// `data` is what a server says.
pub fn run(data: &[u8]) {
    // What a continuation says is free text to everybody.
    for message in messages(data, Sender::Server).iter().filter(|message| !message.starts_with(b"+")) {
        let wire = [&message[..], b"\r\n"].concat();
        judge(RESPONSES, &wire, compare(&wire));
    }
}

/// What the two make of one response with its CRLF.
pub fn compare(wire: &[u8]) -> Reading {
    let ours = wire.strip_suffix(b"\r\n").and_then(|message| Response::parse(message, Names::Utf7).ok());
    let theirs = match ResponseCodec::default().decode(wire) {
        Ok((b"", theirs)) if !is_rev1(&theirs) => return Reading::Same,
        Ok((b"", theirs)) => Some(ResponseCodec::default().encode(&theirs).dump()),
        // PREAUTH is one of their greetings.
        _ => match GreetingCodec::default().decode(wire) {
            Ok((b"", theirs)) => Some(GreetingCodec::default().encode(&theirs).dump()),
            _ => None,
        },
    };
    match (ours, theirs) {
        (None, None) => Reading::Same,
        (Some(_), None) => Reading::OursAlone,
        (None, Some(_)) => Reading::TheirsAlone,
        (Some(ours), Some(written)) => {
            let again = messages(&written, Sender::Server);
            match again.first().and_then(|message| Response::parse(message, Names::Utf7).ok()) {
                Some(again) if again == ours => Reading::Same,
                _ => Reading::Differently,
            }
        }
    }
}

const fn is_rev1(theirs: &Theirs<'_>) -> bool {
    !matches!(
        theirs,
        Theirs::Data(
            Data::Sort(..)
                | Data::Thread(..)
                | Data::Enabled { .. }
                | Data::Quota { .. }
                | Data::QuotaRoot { .. }
        )
    )
}
