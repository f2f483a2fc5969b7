//! ENABLE: a client says what it knows. [RFC 5161](https://www.rfc-editor.org/rfc/rfc5161).

use crate::extension::{Capabilities, Extension, Extensions};
use crate::parse::{Cursor, Parsed};
use crate::types::string::Atom;

/// Reads one word or more, with a space in front of each.
pub(crate) fn parse<'a>(cursor: &mut Cursor<'a>) -> Parsed<Capabilities<'a>> {
    let words = Capabilities::parse(cursor)?;
    if words.iter().next().is_none() {
        return cursor.error("a capability");
    }
    Ok(words)
}

/// Those of the words that are switched on by being enabled.
pub(crate) fn known(words: &Capabilities<'_>, extensions: Extensions) -> Capabilities<'static> {
    let enabled = [Extension::Imap4Rev2, Extension::Condstore]
        .into_iter()
        .filter(|extension| extensions.has(*extension) && words.has_word(*extension));
    Capabilities::new(enabled.map(|extension| Atom::trusted(extension.as_str())))
}
