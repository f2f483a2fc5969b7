//! UIDPLUS: UID EXPUNGE, and which UIDs messages got. [RFC 4315](https://www.rfc-editor.org/rfc/rfc4315).

use core::num::NonZeroU32;

use crate::encode::Writer;
use crate::parse::{Cursor, Parsed};
use crate::types::sequence::SequenceSet;

/// Reads what stands behind APPENDUID: UIDVALIDITY, and the UIDs.
pub(crate) fn parse_append<'a>(cursor: &mut Cursor<'a>) -> Parsed<(NonZeroU32, SequenceSet<'a>)> {
    let validity = cursor.nz_number()?;
    cursor.space()?;
    Ok((validity, parse_numbers(cursor)?))
}

/// Reads what stands behind COPYUID: the same, and the UIDs of the copies.
pub(crate) fn parse_copy<'a>(
    cursor: &mut Cursor<'a>,
) -> Parsed<(NonZeroU32, SequenceSet<'a>, SequenceSet<'a>)> {
    let (validity, from) = parse_append(cursor)?;
    cursor.space()?;
    Ok((validity, from, parse_numbers(cursor)?))
}

/// Numbers that are known, not `$`.
pub(crate) fn parse_numbers<'a>(cursor: &mut Cursor<'a>) -> Parsed<SequenceSet<'a>> {
    let start = *cursor;
    let set = SequenceSet::parse(cursor)?;
    if set.is_saved() { start.error("a set of numbers") } else { Ok(set) }
}

/// Writes UIDVALIDITY and sets of UIDs, with a space in front of each.
pub(crate) fn write(validity: NonZeroU32, sets: &[&SequenceSet<'_>], writer: &mut Writer<'_>) {
    writer.octet(b' ');
    writer.number(u64::from(validity.get()));
    for set in sets {
        writer.octet(b' ');
        set.write(writer);
    }
}
