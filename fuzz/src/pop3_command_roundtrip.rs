//! A line is refused, or parses to a command that is written as one line and read back as the same command. What is a
//! user name or a password is one line, too.

use pop3_codec::command::{Command, Password, UserName};

/// `data` is one line, its CRLF removed.
pub fn run(data: &[u8]) {
    if let Ok(command) = Command::parse(data) {
        check(&command);
    }
    if let Ok(text) = str::from_utf8(data) {
        let commands = [UserName::new(text).map(Command::User), Password::new(text).map(Command::Pass)];
        commands.iter().flatten().for_each(check);
    }
}

fn check(command: &Command<'_>) {
    let mut wire = Vec::new();
    command.encode(&mut wire);
    let line = wire.strip_suffix(b"\r\n").expect("a command ends in CR LF");
    assert!(!line.iter().any(|octet| matches!(octet, b'\r' | b'\n' | 0)), "one line: {line:?}");
    assert_eq!(Command::parse(line).as_ref(), Ok(command));
}
