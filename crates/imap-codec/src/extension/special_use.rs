//! SPECIAL-USE and CREATE-SPECIAL-USE: what a mailbox is for. [RFC 6154](https://www.rfc-editor.org/rfc/rfc6154).

use crate::encode::Writer;
use crate::parse::{Cursor, Parsed};
use crate::types::flag::{FlagSet, Flags};

/// Reads `(USE (\Drafts \Sent))`, the parameter of CREATE.
pub(crate) fn parse_use<'a>(cursor: &mut Cursor<'a>) -> Parsed<Flags<'a>> {
    if !cursor.eat_word(b"(USE ") {
        return cursor.error("a parameter of CREATE");
    }
    let uses = Flags::parse(cursor, FlagSet::All)?;
    cursor.close()?;
    Ok(uses)
}

pub(crate) fn write_use(uses: &Flags<'_>, writer: &mut Writer<'_>) {
    writer.raw(b"(USE ");
    uses.write(writer);
    writer.octet(b')');
}
