//! QUOTA: how much of what may be used. [RFC 9208](https://www.rfc-editor.org/rfc/rfc9208).

use crate::encode::{Names, Writer};
use crate::parse::{Cursor, Parsed};
use crate::types::mailbox::Mailbox;
use crate::types::string::{Atom, IString};

/// The QUOTA response: a root and its resources.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Quota<'a> {
    /// The name of the root, which may be empty.
    pub root: IString<'a>,
    /// What is limited.
    pub resources: Vec<Usage<'a>>,
}

/// How much of a resource is used, and may be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Usage<'a> {
    /// `STORAGE` (in units of 1,024 octets), `MESSAGE`, `MAILBOX` and the like.
    pub resource: Atom<'a>,
    /// What is used.
    pub usage: u64,
    /// The limit.
    pub limit: u64,
}

/// The QUOTAROOT response: which roots a mailbox counts for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct QuotaRoot<'a> {
    /// The mailbox.
    pub mailbox: Mailbox<'a>,
    /// The names of its roots.
    pub roots: Vec<IString<'a>>,
}

/// How many resources SETQUOTA may name.
pub const MOST_LIMITS: usize = 100;

/// The arguments of SETQUOTA.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SetQuota<'a> {
    /// The name of the root.
    pub root: IString<'a>,
    /// Limits for resources; those not named have none from then on.
    pub limits: Vec<(Atom<'a>, u64)>,
}

impl<'a> Quota<'a> {
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let root = cursor.astring()?;
        cursor.space()?;
        let resources = cursor.list(|cursor| {
            let resource = Atom::trusted(cursor.atom("a resource")?);
            cursor.space()?;
            let usage = cursor.number64()?;
            cursor.space()?;
            Ok(Usage { resource, usage, limit: cursor.number64()? })
        })?;
        Ok(Self { root, resources })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.astring(self.root.as_bytes());
        writer.octet(b' ');
        writer.list(&self.resources, |writer, usage| {
            writer.raw(usage.resource.as_str());
            writer.octet(b' ');
            writer.number(usage.usage);
            writer.octet(b' ');
            writer.number(usage.limit);
        });
    }
}

impl<'a> QuotaRoot<'a> {
    pub(crate) fn parse(cursor: &mut Cursor<'a>, names: Names) -> Parsed<Self> {
        let mailbox = Mailbox::parse(cursor, names)?;
        let mut roots = Vec::new();
        while cursor.eat(b' ') {
            roots.push(cursor.astring()?);
        }
        Ok(Self { mailbox, roots })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        self.mailbox.write(writer);
        for root in &self.roots {
            writer.octet(b' ');
            writer.astring(root.as_bytes());
        }
    }
}

impl<'a> SetQuota<'a> {
    pub(crate) fn parse(cursor: &mut Cursor<'a>) -> Parsed<Self> {
        let root = cursor.astring()?;
        cursor.space()?;
        let limits = cursor.short_list(MOST_LIMITS, |cursor| {
            let resource = Atom::trusted(cursor.atom("a resource")?);
            cursor.space()?;
            Ok((resource, cursor.number64()?))
        })?;
        Ok(Self { root, limits })
    }

    pub(crate) fn write(&self, writer: &mut Writer<'_>) {
        writer.astring(self.root.as_bytes());
        writer.octet(b' ');
        writer.list(&self.limits, |writer, (resource, limit)| {
            writer.raw(resource.as_str());
            writer.octet(b' ');
            writer.number(*limit);
        });
    }
}
