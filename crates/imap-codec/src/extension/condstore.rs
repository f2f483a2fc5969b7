//! CONDSTORE: changes of flags since a moment, and only if there were none. [RFC 7162](https://www.rfc-editor.org/rfc/rfc7162).
//!
//! A mod-sequence is a number of 63 bits, from one up. QRESYNC is not here.

use crate::encode::Writer;
use crate::parse::{Cursor, Parsed};
use crate::types::string::IString;

/// The search key `MODSEQ`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ModSeqKey<'a> {
    /// A metadata item and its kind. Servers that keep one mod-sequence for a message look at neither.
    pub entry: Option<(IString<'a>, EntryType)>,
    /// Messages with this mod-sequence or a higher one.
    pub least: u64,
}

/// Whose metadata is meant.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum EntryType {
    /// `priv`: the user's own.
    Private,
    /// `shared`: that of all users.
    Shared,
    /// `all`: the highest of both.
    All,
}

impl<'a> ModSeqKey<'a> {
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let mut entry = None;
        if matches!(cursor.peek(), Some(b'"' | b'{')) {
            let name = cursor.string()?;
            cursor.space()?;
            let start = *cursor;
            let kind = match cursor.word().to_ascii_lowercase().as_slice() {
                b"priv" => EntryType::Private,
                b"shared" => EntryType::Shared,
                b"all" => EntryType::All,
                _ => return start.error("priv, shared or all"),
            };
            entry = Some((name, kind));
            cursor.space()?;
        }
        Ok(Self { entry, least: cursor.number64()? })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        if let Some((name, kind)) = &self.entry {
            writer.string(name.as_bytes());
            writer.raw(match kind {
                EntryType::Private => " priv ",
                EntryType::Shared => " shared ",
                EntryType::All => " all ",
            });
        }
        writer.number(self.least);
    }
}

/// `CHANGEDSINCE 5`, `UNCHANGEDSINCE 5`, in parentheses.
pub(crate) fn modifier(cursor: &mut Cursor<'_>, word: &'static [u8]) -> Parsed<u64> {
    cursor.open()?;
    if !cursor.eat_word(word) {
        return cursor.error("a modifier of CONDSTORE");
    }
    cursor.space()?;
    let number = cursor.number64()?;
    cursor.close()?;
    Ok(number)
}

/// The same for `(CONDSTORE)`, the parameter of SELECT.
pub(crate) fn select_parameter(cursor: &mut Cursor<'_>) -> Parsed<()> {
    if cursor.eat_word(b"(CONDSTORE)") { Ok(()) } else { cursor.error("a parameter of SELECT") }
}

/// Writes the highest mod-sequence of what was found, behind the numbers of a SEARCH response: RFC 7162 §3.1.5.
pub(crate) fn write_found(modseq: Option<u64>, writer: &mut Writer<'_>) {
    if let Some(modseq) = modseq {
        writer.raw(b" (MODSEQ ");
        writer.number(modseq);
        writer.octet(b')');
    }
}
