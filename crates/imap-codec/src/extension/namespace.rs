//! NAMESPACE: where mailboxes of one's own, of others and of all lie. [RFC 2342](https://www.rfc-editor.org/rfc/rfc2342).

use crate::encode::{Names, Writer};
use crate::parse::{Cursor, Parsed};
use crate::types::mailbox::{Delimiter, Mailbox};
use crate::types::slice::Slice;

/// The response. A kind of which there are none is empty.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Namespaces<'a> {
    /// The user's own.
    pub personal: Slice<'a, Namespace<'a>>,
    /// Other users'.
    pub others: Slice<'a, Namespace<'a>>,
    /// Shared by all.
    pub shared: Slice<'a, Namespace<'a>>,
}

/// One namespace. Extensions of it are read over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Namespace<'a> {
    /// What all names in it begin with, the delimiter included; may be empty.
    pub prefix: Mailbox<'a>,
    /// What stands between levels, if there are levels.
    pub delimiter: Option<Delimiter>,
}

impl<'a> Namespaces<'a> {
    pub(crate) fn parse(cursor: &mut Cursor<'a>, names: Names) -> Parsed<Self> {
        let mut kinds: [Vec<Namespace<'a>>; 3] = Default::default();
        for kind in &mut kinds {
            cursor.space()?;
            if cursor.nil() {
                continue;
            }
            cursor.open()?;
            while cursor.peek() == Some(b'(') {
                kind.push(Namespace::parse(cursor, names)?);
                // Deviates from RFC 9051 §9: its own examples have a space there.
                cursor.eat(b' ');
            }
            cursor.close()?;
        }
        let [personal, others, shared] = kinds.map(Slice::Owned);
        Ok(Self { personal, others, shared })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        for kind in [&self.personal, &self.others, &self.shared] {
            if kind.is_empty() {
                writer.raw(b" NIL");
                continue;
            }
            writer.raw(b" (");
            for namespace in &**kind {
                writer.octet(b'(');
                namespace.prefix.write_string(writer);
                writer.octet(b' ');
                Delimiter::write(namespace.delimiter, writer);
                writer.octet(b')');
            }
            writer.octet(b')');
        }
    }
}

impl<'a> Namespace<'a> {
    fn parse(cursor: &mut Cursor<'a>, names: Names) -> Parsed<Self> {
        cursor.open()?;
        let prefix = Mailbox::parse(cursor, names)?;
        cursor.space()?;
        let delimiter = Delimiter::parse(cursor)?;
        while cursor.eat(b' ') {
            cursor.skip_value()?;
        }
        cursor.close()?;
        Ok(Self { prefix, delimiter })
    }
}
