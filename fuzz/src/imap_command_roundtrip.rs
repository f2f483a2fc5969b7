//! A command is refused, or is written as one message and read back as the same command.

use bytes::BytesMut;
use imap_codec::command::{Command, Verb};
use imap_codec::encode::{Literals, Names, Wire};
use imap_codec::extension::Extensions;

use crate::imap_response_roundtrip::messages;
use imap_codec::fragment::Sender;

/// `data` is one command, its CRLF removed.
pub fn run(data: &[u8]) {
    for names in [Names::Utf7, Names::Utf8] {
        let Ok(command) = Command::parse(data, Extensions::all(), names) else {
            continue;
        };
        let _ = format!("{command:?}");
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
            assert_eq!(Command::parse(&message, Extensions::all(), names).as_ref(), Ok(&command));
        }
    }
}
