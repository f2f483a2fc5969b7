//! ENVELOPE and BODYSTRUCTURE, from what the scanner has found to what the wire has.

use std::borrow::Cow;

use imap_codec::types::body::{Body, Extension, Multipart, Parameters, Part, PartKind};
use imap_codec::types::envelope::{Address, Envelope};
use imap_codec::types::string::IString;
use mailstore::mime;

pub(super) fn envelope(envelope: mime::Envelope<'_>) -> Envelope<'_> {
    Envelope {
        date: envelope.date().and_then(text),
        subject: envelope.subject().and_then(text),
        from: addresses(envelope.from()),
        sender: addresses(envelope.sender()),
        reply_to: addresses(envelope.reply_to()),
        to: addresses(envelope.to()),
        cc: addresses(envelope.cc()),
        bcc: addresses(envelope.bcc()),
        in_reply_to: envelope.in_reply_to().and_then(text),
        message_id: envelope.message_id().and_then(text),
    }
}

/// As deep as the scanner goes, which is not deep enough to fill a stack.
pub(super) fn body(part: mime::Part<'_>) -> Body<'_> {
    let (media, subtype) = part.media();
    let extension = Extension {
        disposition: part.disposition().and_then(|(word, of)| Some((text(word)?, parameters(of)))),
        language: part.languages().filter_map(text).collect(),
        location: part.location().and_then(text),
    };
    let kind = match part.kind() {
        mime::Kind::Multipart => {
            return Body::Multipart(Box::new(Multipart {
                parts: part.parts().map(body).collect(),
                subtype: text(subtype).unwrap_or_else(empty),
                parameters: parameters(part.parameters()),
                extension,
            }));
        }
        mime::Kind::Message(message) => PartKind::Message {
            envelope: Box::new(message.envelope().map(envelope).unwrap_or_default()),
            body: body(message),
            lines: part.lines(),
        },
        mime::Kind::Leaf if media.eq_ignore_ascii_case(b"TEXT") => PartKind::Text(part.lines()),
        mime::Kind::Leaf => PartKind::Basic,
    };
    let octets = part.body();
    Body::Part(Box::new(Part {
        media: text(media).unwrap_or_else(empty),
        subtype: text(subtype).unwrap_or_else(empty),
        parameters: parameters(part.parameters()),
        id: part.id().and_then(text),
        description: part.description().and_then(text),
        encoding: text(part.encoding_name()).unwrap_or_else(empty),
        octets: octets.end - octets.start,
        kind,
        md5: part.md5().and_then(text),
        extension,
    }))
}

fn addresses(addresses: mime::Addresses<'_>) -> Vec<Address<'_>> {
    addresses
        .map(|address| Address {
            name: address.name.and_then(text),
            route: address.route.and_then(text),
            mailbox: address.mailbox.and_then(text),
            host: address.host.and_then(text),
        })
        .collect()
}

fn parameters(parameters: mime::Parameters<'_>) -> Parameters<'_> {
    parameters.joined().filter_map(|(name, value)| Some((text(name)?, text(value)?))).collect()
}

/// `None` for what has NUL, which the scanner lets nowhere.
fn text<'a>(octets: impl Into<Cow<'a, [u8]>>) -> Option<IString<'a>> {
    IString::new(octets).ok()
}

fn empty<'a>() -> IString<'a> {
    IString::new(&b""[..]).expect("there is no NUL in nothing")
}
