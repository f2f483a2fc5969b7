//! Mailboxes and what numbers their messages.

mod messages;
pub(crate) mod name;

use core::fmt;
use core::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;

pub use self::messages::{Change, Messages};
pub use self::name::{INBOX, SEPARATOR, normalise};
use crate::message::Stretch;

/// What identifies an account within a store. The store gives no meaning to it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct AccountId(pub u64);

/// What identifies a mailbox within a store; never used twice.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MailboxId(pub(crate) u64);

/// The unique identifier of a message in its mailbox ([RFC 9051 §2.3.1.1](https://www.rfc-editor.org/rfc/rfc9051#section-2.3.1.1)).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Uid(pub(crate) NonZeroU32);

/// What tells one life of a mailbox from the next ([RFC 9051 §2.3.1.1](https://www.rfc-editor.org/rfc/rfc9051#section-2.3.1.1)).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct UidValidity(pub(crate) NonZeroU32);

/// The position of a change among all changes of a mailbox ([RFC 7162 §3.1](https://www.rfc-editor.org/rfc/rfc7162#section-3.1)).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ModSeq(pub(crate) u64);

/// What a mailbox is for ([RFC 6154 §2](https://www.rfc-editor.org/rfc/rfc6154#section-2)).
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[non_exhaustive]
pub enum SpecialUse {
    /// Messages that are not finished.
    Drafts,
    /// Messages that were sent.
    Sent,
    /// Messages that were found to be spam.
    Junk,
    /// Messages that were deleted, or will be.
    Trash,
    /// Messages that are kept aside.
    Archive,
    /// All messages.
    All,
    /// Messages that want attention.
    Flagged,
}

/// How much an account has, and how much it may have.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Quota {
    /// Octets of all its messages, prefixes included; a body counts for each message that it is in.
    pub used_octets: u64,
    /// All its messages.
    pub used_messages: u64,
    /// How many octets it may have, if there is a limit.
    pub limit_octets: Option<u64>,
    /// How many messages it may have, if there is a limit.
    pub limit_messages: Option<u64>,
}

/// What is known of a mailbox without looking at its messages.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailboxStatus {
    /// The mailbox.
    pub id: MailboxId,
    /// Whose it is.
    pub account: AccountId,
    /// Its name.
    pub name: String,
    /// Its life.
    pub uid_validity: UidValidity,
    /// The identifier that the next message will have; `None` when all are used up.
    pub uid_next: Option<Uid>,
    /// The modification sequence of its last change.
    pub highest_mod_seq: ModSeq,
    /// How many messages there are.
    pub messages: u64,
    /// How many octets they have.
    pub octets: u64,
    /// How many have not [`Flags::SEEN`](crate::message::Flags::SEEN).
    pub unseen: u64,
    /// How many have [`Flags::DELETED`](crate::message::Flags::DELETED).
    pub deleted: u64,
    /// What it is for.
    pub special_use: Option<SpecialUse>,
    /// Its keywords, at most 56, by their places in [`Flags`](crate::message::Flags). None ever goes, and none changes its place.
    pub keywords: Arc<[String]>,
}

/// A mailbox as it was at one moment. As long as it is held, every message in it can be read, deleted or not.
///
/// Give it back with [`Store::release`](crate::Store::release): until then the disk space of what it shows is not freed.
#[derive(Debug)]
#[must_use = "a view that is not released keeps disk space from being freed"]
pub struct View {
    pub(crate) pin: Pin,
    /// The mailbox at that moment.
    pub status: MailboxStatus,
    /// Its messages, by rising [`Uid`].
    pub messages: Messages,
}

/// What keeps the octets in place that somebody reads, deleted or not. [`Store::release`](crate::Store::release) takes it back.
#[derive(Debug)]
#[must_use = "what is not released keeps disk space from being freed"]
pub struct Pin(pub(crate) u64);

/// Where octets lie that a key of the caller's stands for, and what keeps them there.
#[derive(Debug)]
#[must_use = "what is not released keeps disk space from being freed"]
pub struct Located {
    pub(crate) pin: Pin,
    /// The octets.
    pub stretch: Stretch,
}

/// Some records of a table, and what keeps their values in place.
#[derive(Debug)]
#[must_use = "what is not released keeps disk space from being freed"]
pub struct Records {
    pub(crate) pin: Pin,
    /// Keys and values, by rising key.
    pub records: Vec<(Bytes, Stretch)>,
    /// The first key behind them; `None` if there is none.
    pub next: Option<Bytes>,
}

/// What there is in a table, counted.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct TableStatus {
    /// Records with a value.
    pub records: usize,
    /// Records that hold a body.
    pub holds: usize,
    /// The highest key that holds a body.
    pub last_hold: Option<Bytes>,
}

impl From<View> for Pin {
    fn from(view: View) -> Self {
        view.pin
    }
}

impl From<Located> for Pin {
    fn from(located: Located) -> Self {
        located.pin
    }
}

impl From<Records> for Pin {
    fn from(records: Records) -> Self {
        records.pin
    }
}

impl AccountId {
    /// Whose mailboxes those are whose owner and name damage has taken. A host gives the number to nobody.
    pub const LOST: Self = Self(u64::MAX);

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl SpecialUse {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Drafts, Self::Sent, Self::Junk, Self::Trash, Self::Archive, Self::All, Self::Flagged];

    pub(crate) fn number(of: Option<Self>) -> u8 {
        let place = of.and_then(|of| Self::ALL.iter().position(|one| *one == of));
        place.map_or(0, |place| place as u8 + 1)
    }

    /// `None` for a number that stands for nothing.
    pub(crate) fn from_number(number: u8) -> Option<Option<Self>> {
        match usize::from(number).checked_sub(1) {
            None => Some(None),
            Some(place) => Self::ALL.get(place).copied().map(Some),
        }
    }
}

impl MailboxId {
    /// Within a commit: the mailbox that the last [`Intent::CreateMailbox`](crate::Intent::CreateMailbox) before has made.
    pub const CREATED: Self = Self(0);

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl Uid {
    /// The identifier of the first message of a mailbox.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The identifier with this number; none has 0.
    pub const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    pub(crate) const fn next(self) -> Option<Self> {
        match self.0.checked_add(1) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl UidValidity {
    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    pub(crate) const fn new(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(Self(number)),
            None => None,
        }
    }
}

impl ModSeq {
    /// The position with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for UidValidity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
