//! ID: who made the other side. [RFC 2971](https://www.rfc-editor.org/rfc/rfc2971).

use crate::encode::Writer;
use crate::parse::{Cursor, Parsed};
use crate::types::string::IString;

/// How many fields are read.
pub const MOST_FIELDS: usize = 100;

/// Fields and their values: `name`, `version`, `vendor` and the like. None is `NIL`.
///
/// RFC 2971 §3.3 allows 30 fields with names of 30 octets and values of 1,024; up to [`MOST_FIELDS`] of any length are read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Id<'a> {
    /// Pairs of field and value.
    pub fields: Vec<(IString<'a>, Option<IString<'a>>)>,
}

impl<'a> Id<'a> {
    /// The value of a field, if it is UTF-8.
    pub fn get(&self, field: &str) -> Option<&str> {
        let is = |name: &IString<'_>| name.as_bytes().eq_ignore_ascii_case(field.as_bytes());
        self.fields.iter().find(|(name, _)| is(name))?.1.as_ref()?.as_str()
    }

    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        if cursor.nil() {
            return Ok(Self::default());
        }
        let fields = cursor.short_list(MOST_FIELDS, |cursor| {
            let name = cursor.string()?;
            cursor.space()?;
            Ok((name, cursor.nstring()?))
        })?;
        Ok(Self { fields })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        if self.fields.is_empty() {
            return writer.raw(b"NIL");
        }
        writer.list(&self.fields, |writer, (name, value)| {
            writer.string(name.as_bytes());
            writer.octet(b' ');
            writer.nstring(value.as_ref());
        });
    }
}
