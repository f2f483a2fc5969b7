//! LIST-STATUS: LIST gives back the status of each mailbox. [RFC 5819](https://www.rfc-editor.org/rfc/rfc5819).

use super::Extensions;
use super::status::StatusAttributes;
use crate::encode::Writer;
use crate::parse::{Cursor, Parsed};

/// Reads what stands behind STATUS among the options of RETURN.
pub(crate) fn parse(cursor: &mut Cursor<'_>, extensions: Extensions) -> Parsed<StatusAttributes> {
    cursor.space()?;
    StatusAttributes::parse(cursor, extensions)
}

/// Writes the option.
pub(crate) fn write(attributes: StatusAttributes, writer: &mut Writer<'_>) {
    writer.raw(b"STATUS ");
    attributes.write(writer);
}
