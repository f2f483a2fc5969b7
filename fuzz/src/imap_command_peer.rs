//! A command of IMAP4rev1 means the same to the published `imap-codec`, or differs in one of the ways that are listed.

use imap_codec::command::{Command, Verb};
use imap_codec::encode::Names;
use imap_codec::extension::{Extension, Extensions};
use imap_codec::fragment::{Bounds, Fragment, Fragmenter, Sender};
use peer_imap_codec::CommandCodec;
use peer_imap_codec::decode::Decoder;
use peer_imap_codec::encode::Encoder;
use peer_imap_codec::imap_types::command::{Command as Theirs, CommandBody};

use crate::imap_differences::{COMMANDS, Reading, judge};

/// `data` is what a client says.
pub fn run(data: &[u8]) {
    for wire in messages(data) {
        judge(COMMANDS, &wire, compare(&wire));
    }
}

/// What the two make of one command with its CRLF.
pub fn compare(wire: &[u8]) -> Reading {
    let ours = ours(wire);
    let theirs = match CommandCodec::default().decode(wire) {
        Ok((b"", theirs)) => Some(theirs),
        _ => None,
    };
    match (&ours, &theirs) {
        (None, None) => Reading::Same,
        (Some(_), None) => Reading::OursAlone,
        // Extensions that the peer cannot switch off.
        (None, Some(theirs)) if !is_rev1(theirs) => Reading::Same,
        (None, Some(_)) => Reading::TheirsAlone,
        (Some(ours), Some(theirs)) => {
            // What theirs writes is read as what ours has read.
            let written = CommandCodec::default().encode(theirs).dump();
            let again = self::ours(&written);
            let same = again.is_some_and(|again| parse(&again.0) == parse(&ours.0) && again.1 == ours.1);
            if same { Reading::Same } else { Reading::Differently }
        }
    }
}

/// A command that ours takes, and the payload of APPEND.
fn ours(wire: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut reader, mut input) = (Fragmenter::new(Sender::Client), wire);
    let mut append = None;
    loop {
        match reader.next(&mut input, &BOUNDS, false)? {
            Fragment::Announced { head, literal } => {
                if parse(head).is_some_and(|command| matches!(command.verb, Verb::Append(_))) {
                    append = Some((head.to_vec(), literal));
                }
            }
            Fragment::Whole { message, bare_lf: false } if input.is_empty() => {
                let Some((head, literal)) = append else {
                    parse(message).filter(|command| !matches!(command.verb, Verb::Append(_)))?;
                    return Some((message.to_vec(), Vec::new()));
                };
                let announced = message[head.len()..].iter().position(|octet| *octet == b'\n')?;
                let payload = &message[head.len() + announced + 1..];
                let whole = !literal.binary && payload.len() as u64 == literal.size;
                return whole.then(|| (head, payload.to_vec()));
            }
            _ => return None,
        }
    }
}

fn parse(message: &[u8]) -> Option<Command<'_>> {
    Command::parse(message, Extensions::rev1().with(Extension::SaslIr), Names::Utf7).ok()
}

const fn is_rev1(theirs: &Theirs<'_>) -> bool {
    use CommandBody as Body;
    matches!(
        theirs.body,
        Body::Capability
            | Body::Noop
            | Body::Logout
            | Body::StartTLS
            | Body::Authenticate { .. }
            | Body::Login { .. }
            | Body::Select { .. }
            | Body::Examine { .. }
            | Body::Create { .. }
            | Body::Delete { .. }
            | Body::Rename { .. }
            | Body::Subscribe { .. }
            | Body::Unsubscribe { .. }
            | Body::List { .. }
            | Body::Lsub { .. }
            | Body::Status { .. }
            | Body::Append { .. }
            | Body::Check
            | Body::Close
            | Body::Expunge
            | Body::Search { .. }
            | Body::Fetch { .. }
            | Body::Store { .. }
            | Body::Copy { .. }
    )
}

/// Whole messages with their CRLF.
fn messages(data: &[u8]) -> Vec<Vec<u8>> {
    crate::imap_response_roundtrip::messages(data, Sender::Client)
        .into_iter()
        .map(|message| [&message[..], b"\r\n"].concat())
        .collect()
}

const BOUNDS: Bounds = Bounds { line: 1 << 20, literals: 1 << 20, total: 1 << 21, discard: 0 };
