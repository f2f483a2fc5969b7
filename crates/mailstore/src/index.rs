//! What the store knows without reading the journal: derived from it, and rebuilt from it.

mod memory;

use std::sync::Arc;

use bytes::Bytes;

pub use self::memory::MemoryIndex;
use crate::mailbox::{AccountId, MailboxId, MailboxStatus, ModSeq, Uid, UidValidity};
use crate::message::{BodyId, Extent, Message, UnixTime};

/// The index of a store.
///
/// It is told of every change once the change is on stable storage, and in no other way; what it answers follows from
/// that alone. So it can be thrown away at any time and built anew from the journal.
pub trait Index {
    /// Takes one change.
    fn apply(&mut self, change: &Change);

    /// A body that nothing holds, taken out; called until there is none.
    fn take_unused_body(&mut self) -> Option<(BodyId, Extent)>;

    /// Whether a body of this identifier is known.
    fn has_body(&self, body: BodyId) -> bool;

    /// All bodies that lie in files of their own, with their checksums.
    fn body_files(&self) -> Vec<(Extent, u32)>;

    /// A mailbox without its messages.
    fn status(&self, mailbox: MailboxId) -> Option<MailboxStatus>;

    /// The mailbox of this name.
    fn find(&self, account: AccountId, name: &str) -> Option<MailboxId>;

    /// All mailboxes of an account, or of all accounts.
    fn mailboxes(&self, account: Option<AccountId>) -> Vec<MailboxId>;

    /// The messages of a mailbox by rising unique identifier; shared by all who ask between two changes.
    fn messages(&mut self, mailbox: MailboxId) -> Option<Arc<[Message]>>;

    /// Whether the mailbox holds the message.
    fn has_message(&self, mailbox: MailboxId, uid: Uid) -> bool;

    /// A record of the caller's.
    fn value(&self, table: u16, key: &[u8]) -> Option<Bytes>;

    /// The body that a record of the caller's holds.
    fn held(&self, table: u16, key: &[u8]) -> Option<Extent>;

    /// All records of a table, by rising key.
    fn table(&self, table: u16) -> Vec<(Bytes, Bytes)>;

    /// The highest identifiers used so far.
    fn highest(&self) -> Highest;
}

/// The highest identifiers used so far. None is ever used again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Highest {
    /// Of a body.
    pub body: u64,
    /// Of a mailbox.
    pub mailbox: u64,
    /// The last life of a mailbox.
    pub uid_validity: u32,
}

/// A change that is on stable storage.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Change {
    /// A body came.
    Body {
        /// The body.
        id: BodyId,
        /// Where it lies.
        content: Extent,
        /// The checksum of a body in a file of its own.
        crc: Option<u32>,
    },
    /// A mailbox was made.
    MailboxCreated {
        /// The mailbox.
        id: MailboxId,
        /// Whose it is.
        account: AccountId,
        /// Its life.
        uid_validity: UidValidity,
        /// Its name.
        name: String,
    },
    /// A mailbox is gone, and its messages with it.
    MailboxDeleted {
        /// The mailbox.
        id: MailboxId,
    },
    /// A message came.
    Delivered {
        /// Where to.
        mailbox: MailboxId,
        /// Its identifier.
        uid: Uid,
        /// The modification sequence of the change.
        mod_seq: ModSeq,
        /// When.
        date: UnixTime,
        /// Its body.
        body: BodyId,
        /// Where its prefix lies.
        prefix: Extent,
    },
    /// A message is gone.
    Expunged {
        /// Where from.
        mailbox: MailboxId,
        /// Which.
        uid: Uid,
        /// The modification sequence of the change.
        mod_seq: ModSeq,
    },
    /// A record of the caller's was set.
    Put {
        /// The table.
        table: u16,
        /// The key.
        key: Bytes,
        /// The value.
        value: Bytes,
    },
    /// Damage has taken this many records at most, of whatever mailboxes and kinds. No number that may have stood in them
    /// is to be given out again.
    Lost {
        /// How many.
        records: u32,
    },
    /// A record of the caller's holds a body.
    Held {
        /// The body.
        body: BodyId,
        /// The table.
        table: u16,
        /// The key.
        key: Bytes,
    },
    /// A record of the caller's is gone, and holds nothing any more.
    Removed {
        /// The table.
        table: u16,
        /// The key.
        key: Bytes,
    },
}
