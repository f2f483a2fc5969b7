//! What a server may say is refused, or is written and read back as the same: status lines, capabilities, unique ids, languages.

use pop3_codec::language::Language;
use pop3_codec::reply::{Reply, StatusLine};
use pop3_codec::{Capabilities, UniqueId};

/// `data` are the lines of a response.
pub fn run(data: &[u8]) {
    let mut capabilities = Capabilities::default();
    for line in data.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        status(line);
        capabilities.read(line);
        if let Ok(text) = str::from_utf8(line) {
            if let Ok(id) = UniqueId::new(text) {
                assert_eq!(id.as_str(), text);
            }
            if let Ok(language) = Language::new(text) {
                assert_eq!(Language::new(language.as_str()), Ok(language));
                assert!(language.as_str() == text && text.is_ascii());
            }
        }
    }
    let mut wire = Vec::new();
    capabilities.encode(&mut wire);
    let mut read = Capabilities::default();
    for line in wire.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(line.len() <= 510, "RFC 2449 §3");
        read.read(line);
    }
    // Names are cut where a line would get too long.
    if capabilities.implementation.as_ref().is_none_or(|name| name.len() <= 400 && name.trim() == name) {
        assert_eq!(read, capabilities);
    }
}

fn status(line: &[u8]) {
    let Ok(parsed) = StatusLine::parse(line) else { return };
    assert_eq!(parsed.is_negative(), line.starts_with(b"-ERR"));
    let Ok(text) = str::from_utf8(parsed.text()) else { return };
    let Ok(reply) = Reply::new(parsed.status(), text.to_owned()) else { return };
    let mut wire = Vec::new();
    reply.encode(&mut wire);
    let line = wire.strip_suffix(b"\r\n").expect("a reply ends in CR LF");
    let again = StatusLine::parse(line).expect("a reply of ours");
    assert_eq!((again.status(), again.text()), (parsed.status(), parsed.text()));
    assert!(line.len() <= 510 && !line.contains(&b'\n'), "one line");
}
