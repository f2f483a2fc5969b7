//! A line is refused, or parses to a command that is written as one line and read back as the same command.

use smtp_codec::command::Command;

/// `data` is one line, its CRLF removed.
pub fn run(data: &[u8]) {
    let Ok(command) = Command::parse(data) else {
        return;
    };
    let mut wire = Vec::new();
    command.encode(&mut wire);
    let line = wire.strip_suffix(b"\r\n").expect("a command ends in CR LF");
    assert!(!line.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)), "one line: {line:?}");
    assert_eq!(Command::parse(line).as_ref(), Ok(&command));
    let mut again = Vec::new();
    Command::parse(line).expect("has just been parsed").encode(&mut again);
    assert_eq!(again, wire);
}
