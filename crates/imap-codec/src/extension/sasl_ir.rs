//! SASL-IR: the first response of a login in the line that begins it. [RFC 4959](https://www.rfc-editor.org/rfc/rfc4959).

use crate::parse::{Cursor, Parsed, ascii};

/// Reads the response behind the mechanism, if there is one: base64, which has not been looked at, or `=`.
pub(crate) fn parse<'a>(cursor: &mut Cursor<'a>) -> Parsed<Option<&'a str>> {
    if !cursor.eat(b' ') {
        return Ok(None);
    }
    let text =
        cursor.take_while(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'/' | b'='));
    if text.is_empty() { cursor.error("an initial response") } else { Ok(Some(ascii(text))) }
}
