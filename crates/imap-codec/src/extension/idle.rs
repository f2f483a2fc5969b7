//! IDLE: a client that waits is told what happens. [RFC 2177](https://www.rfc-editor.org/rfc/rfc2177).

/// What tells a client that it may wait.
pub(crate) const WAITING: &[u8] = b"+ idling\r\n";

/// What a client says to go on.
pub(crate) const DONE: &[u8] = b"DONE\r\n";

/// Whether a line, its CRLF left off, says so.
pub(crate) const fn is_done(line: &[u8]) -> bool {
    line.eq_ignore_ascii_case(b"DONE")
}
