//! ENVELOPE: what the header says of who, when and what.

use crate::encode::Writer;
use crate::parse::{Cursor, Parsed};
use crate::types::string::IString;

/// [RFC 9051 §7.5.2](https://www.rfc-editor.org/rfc/rfc9051#section-7.5.2). Fields that a message does not have are `None`
/// or empty; servers put From where Sender or Reply-To is missing.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Envelope<'a> {
    /// The Date field, as it stands there.
    pub date: Option<IString<'a>>,
    /// The Subject field, as it stands there, encoded words included.
    pub subject: Option<IString<'a>>,
    /// From.
    pub from: Vec<Address<'a>>,
    /// Sender, or From.
    pub sender: Vec<Address<'a>>,
    /// Reply-To, or From.
    pub reply_to: Vec<Address<'a>>,
    /// To.
    pub to: Vec<Address<'a>>,
    /// Cc.
    pub cc: Vec<Address<'a>>,
    /// Bcc.
    pub bcc: Vec<Address<'a>>,
    /// In-Reply-To, as it stands there.
    pub in_reply_to: Option<IString<'a>>,
    /// Message-ID, as it stands there.
    pub message_id: Option<IString<'a>>,
}

/// An address, or the beginning (no host) or end (no mailbox either) of a group.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Address<'a> {
    /// The name of a person, without its quotes.
    pub name: Option<IString<'a>>,
    /// The route of an obsolete address.
    pub route: Option<IString<'a>>,
    /// The local part without its quotes, or the name of a group.
    pub mailbox: Option<IString<'a>>,
    /// The domain.
    pub host: Option<IString<'a>>,
}

impl<'a> Envelope<'a> {
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        cursor.open()?;
        let date = cursor.nstring()?;
        cursor.space()?;
        let subject = cursor.nstring()?;
        let mut lists: [Vec<Address<'a>>; 6] = Default::default();
        for list in &mut lists {
            cursor.space()?;
            *list = addresses(cursor)?;
        }
        let [from, sender, reply_to, to, cc, bcc] = lists;
        cursor.space()?;
        let in_reply_to = cursor.nstring()?;
        cursor.space()?;
        let message_id = cursor.nstring()?;
        cursor.close()?;
        Ok(Self { date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.octet(b'(');
        writer.nstring(self.date.as_ref());
        writer.octet(b' ');
        writer.nstring(self.subject.as_ref());
        for list in [&self.from, &self.sender, &self.reply_to, &self.to, &self.cc, &self.bcc] {
            if list.is_empty() {
                writer.raw(b" NIL");
                continue;
            }
            writer.raw(b" (");
            for address in list {
                address.write(writer);
            }
            writer.octet(b')');
        }
        writer.octet(b' ');
        writer.nstring(self.in_reply_to.as_ref());
        writer.octet(b' ');
        writer.nstring(self.message_id.as_ref());
        writer.octet(b')');
    }
}

impl<'a> Address<'a> {
    fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        cursor.open()?;
        let name = cursor.nstring()?;
        cursor.space()?;
        let route = cursor.nstring()?;
        cursor.space()?;
        let mailbox = cursor.nstring()?;
        cursor.space()?;
        let host = cursor.nstring()?;
        cursor.close()?;
        Ok(Self { name, route, mailbox, host })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        writer.list([&self.name, &self.route, &self.mailbox, &self.host], |writer, field| {
            writer.nstring(field.as_ref());
        });
    }
}

/// `"(" 1*address ")" / nil`. Some servers put spaces between addresses; that is taken too.
fn addresses<'a>(cursor: &mut Cursor<'a>) -> Parsed<Vec<Address<'a>>> {
    let mut list = Vec::new();
    if cursor.nil() {
        return Ok(list);
    }
    cursor.open()?;
    loop {
        list.push(Address::parse(cursor)?);
        if cursor.eat(b')') {
            return Ok(list);
        }
        cursor.eat(b' ');
    }
}
