//! Every name has one spelling in modified UTF-7, and nothing else is read.

use imap_codec::types::mailbox::{from_utf7, to_utf7};

/// `data` is a name, or its spelling.
pub fn run(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    let written = to_utf7(text);
    assert!(written.bytes().all(|octet| (b' '..=b'~').contains(&octet)), "{written:?}");
    assert_eq!(from_utf7(&written).as_deref(), Some(text));
    if let Some(name) = from_utf7(text) {
        assert_eq!(to_utf7(&name), text);
    }
}
