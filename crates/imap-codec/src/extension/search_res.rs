//! SEARCHRES: `$` stands for what the last search has found. [RFC 5182](https://www.rfc-editor.org/rfc/rfc5182).

use crate::extension::{Extension, Extensions};
use crate::parse::{Cursor, Parsed};
use crate::types::sequence::SequenceSet;

/// Reads a set of messages, which may be `$` where that is switched on.
pub(crate) fn parse_set<'a>(cursor: &mut Cursor<'a>, extensions: Extensions) -> Parsed<SequenceSet<'a>> {
    let start = *cursor;
    let set = SequenceSet::parse(cursor)?;
    if set.is_saved() && !extensions.has(Extension::SearchRes) {
        return start.error("a set of numbers");
    }
    Ok(set)
}
