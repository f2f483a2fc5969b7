//! A command is refused, or is written as one message and read back as the same command; and so is each that can be made.

use arbitrary::Unstructured;
use bytes::BytesMut;
use imap_codec::command::{Command, Verb};
use imap_codec::encode::{Literals, Names, Wire};
use imap_codec::extension::Extensions;
use imap_codec::fragment::Sender;
use imap_codec::types::Tag;

use crate::imap_arbitrary;
use crate::imap_response_roundtrip::messages;

/// `data` is one command, its CRLF removed; and what the choices that make a command follow from.
pub fn run(data: &[u8]) {
    let made = imap_arbitrary::verb(&mut Unstructured::new(data)).expect("it never runs dry");
    let made = Command { tag: Tag::new("a").expect("a tag"), verb: made };
    for names in [Names::Utf7, Names::Utf8] {
        check(&made, names);
        if let Ok(command) = Command::parse(data, Extensions::all(), names) {
            let _ = format!("{command:?}");
            check(&command, names);
        }
    }
}

fn check(command: &Command<'_>, names: Names) {
    for literals in [Literals::Synchronizing, Literals::NonSynchronizing, Literals::Minus] {
        let mut out = BytesMut::new();
        command.encode(Wire { names, literals }, &mut out);
        let message = if matches!(command.verb, Verb::Append(_)) {
            out.to_vec()
        } else {
            let mut messages = messages(&out, Sender::Client);
            assert_eq!(messages.len(), 1, "one message: {}", out.escape_ascii());
            messages.remove(0)
        };
        assert_eq!(Command::parse(&message, Extensions::all(), names).as_ref(), Ok(command));
    }
}
