//! APPENDLIMIT: how large a message may be. [RFC 7889](https://www.rfc-editor.org/rfc/rfc7889).

use crate::encode::Writer;
use crate::extension::Extension;
use crate::parse::{Cursor, Parsed};

/// The word that announces one limit for all mailboxes.
pub(crate) fn announced(limit: u64) -> String {
    // RFC 7889 §2: `APPENDLIMIT=`, and a number of 32 bits.
    format!("{}={}", Extension::AppendLimit.as_str(), limit.min(u64::from(u32::MAX)))
}

/// Reads what STATUS says of a mailbox; `NIL` if it has no limit of its own.
pub(crate) fn parse(cursor: &mut Cursor<'_>) -> Parsed<Option<u32>> {
    if cursor.nil() { Ok(None) } else { cursor.number().map(Some) }
}

/// Writes the same.
pub(crate) fn write(limit: Option<u32>, writer: &mut Writer<'_>) {
    match limit {
        Some(limit) => writer.number(u64::from(limit)),
        None => writer.raw(b"NIL"),
    }
}
