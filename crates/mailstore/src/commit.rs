//! What is to happen together, who wants it, and what it has led to.

use bytes::Bytes;

use crate::mailbox::{AccountId, MailboxId, ModSeq, SpecialUse, Uid, UidValidity};
use crate::message::{Body, BodyId, FlagChange, Flags, NamedFlags, UnixTime};

/// Everything that is to happen, or not to happen, together.
#[derive(Debug)]
pub struct Commit {
    /// Who wants it.
    pub actor: Actor,
    /// The body that the deliveries share.
    pub body: Source,
    /// What the caller has found out about the structure of the body, up to 64 KiB. It is kept as long as the body, and
    /// [`Message::structure`](crate::message::Message::structure) tells where.
    pub structure: Option<Bytes>,
    /// What is to happen, in this order.
    pub intents: Vec<Intent>,
}

/// On whose behalf something is done.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Actor {
    /// The host's own: deliveries, administration. It may do everything.
    Host,
    /// An account's, which may do everything to its own mailboxes and does not know of any others.
    Account(AccountId),
}

/// Where the body of a commit comes from.
#[derive(Debug)]
pub enum Source {
    /// There is none.
    None,
    /// It goes into the journal, up to [`Limits::inline_body`](crate::Limits::inline_body).
    Inline(Bytes),
    /// It has been uploaded. When the commit fails, the store removes the file.
    Stored(Body),
}

/// One thing that is to happen.
///
/// Where a mailbox is asked for, [`MailboxId::CREATED`] is the one that the last `CreateMailbox` before in the same commit has
/// made.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Intent {
    /// Makes a mailbox, and those above it that are not there.
    CreateMailbox {
        /// Whose it is.
        account: AccountId,
        /// Its name: see [`normalise`](crate::mailbox::normalise).
        name: String,
        /// What it is for.
        special_use: Option<SpecialUse>,
        /// The time, from which its [`UidValidity`] comes.
        now: UnixTime,
    },
    /// Removes a mailbox and all that is in it. There must be none below it. Only the host can remove INBOX.
    DeleteMailbox {
        /// Which.
        mailbox: MailboxId,
    },
    /// Gives a mailbox another name, and with it those below it. Those that have to be above it are made. Not for INBOX, which
    /// stays: what is in it can be moved with `CreateMailbox`, `Copy` and `Expunge` in one commit.
    RenameMailbox {
        /// Which.
        mailbox: MailboxId,
        /// Its new name.
        name: String,
        /// The time, for mailboxes that are made above it.
        now: UnixTime,
    },
    /// Gives a mailbox a new [`UidValidity`], higher than all before: whoever has seen it takes what is in it for other messages
    /// ([RFC 9051 §2.3.1.1](https://www.rfc-editor.org/rfc/rfc9051#section-2.3.1.1)). For mailboxes that were restored from
    /// a backup, while nobody has them open. Only the host can.
    RenewUidValidity {
        /// Which.
        mailbox: MailboxId,
        /// The time, from which its [`UidValidity`] comes.
        now: UnixTime,
    },
    /// Puts a name among those that an account has subscribed to, whether or not there is such a mailbox.
    Subscribe {
        /// Whose.
        account: AccountId,
        /// The name of a mailbox.
        name: String,
    },
    /// Takes a name out of those that an account has subscribed to. That it is not there is no error.
    Unsubscribe {
        /// Whose.
        account: AccountId,
        /// The name of a mailbox.
        name: String,
    },
    /// Puts the body of the commit into a mailbox.
    Deliver {
        /// Where to.
        mailbox: MailboxId,
        /// What stands in front of the body in this delivery alone, up to 16 KiB.
        prefix: Bytes,
        /// When it was received.
        date: UnixTime,
        /// The flags that it has from the beginning.
        flags: NamedFlags,
    },
    /// Puts a message into another mailbox, or once more into its own: the same body, date, flags and keywords. Nothing of the
    /// body is written again.
    Copy {
        /// Where from.
        from: MailboxId,
        /// Which.
        uid: Uid,
        /// Where to.
        to: MailboxId,
        /// What stands in front of the body, as it was read from the message; up to 16 KiB.
        prefix: Bytes,
    },
    /// Changes the flags of a message.
    Store {
        /// Where it is.
        mailbox: MailboxId,
        /// Which.
        uid: Uid,
        /// What is to become of its flags.
        change: FlagChange,
        /// Only if it has not changed since ([RFC 7162 §3.1.3](https://www.rfc-editor.org/rfc/rfc7162#section-3.1.3)).
        unchanged_since: Option<ModSeq>,
    },
    /// Removes a message. That it is gone already is no error.
    Expunge {
        /// Where from.
        mailbox: MailboxId,
        /// Which.
        uid: Uid,
        /// Only if it has [`Flags::DELETED`].
        only_deleted: bool,
    },
    /// Sets how much an account may have. Only the host can.
    SetQuota {
        /// Whose.
        account: AccountId,
        /// Octets of all messages; `None` is no limit.
        octets: Option<u64>,
        /// How many messages; `None` is no limit.
        messages: Option<u64>,
    },
    /// Sets a record of the caller's. The store gives no meaning to it. Only the host can.
    Put {
        /// The table, a number of the caller's choice below 65,280.
        table: u16,
        /// The key, up to 1,024 octets.
        key: Bytes,
        /// The value, up to 64 KiB.
        value: Bytes,
    },
    /// Lets a record of the caller's hold the body of the commit: as long as the record is not removed, the body stays,
    /// delivered or not. What the record held before is let go. Only the host can.
    Hold {
        /// The table.
        table: u16,
        /// The key.
        key: Bytes,
    },
    /// Removes a record of the caller's; the body that it holds is let go. Only the host can.
    Remove {
        /// The table.
        table: u16,
        /// The key.
        key: Bytes,
    },
}

/// What a durable commit has led to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Receipt {
    /// The body, if there was one.
    pub body: Option<BodyId>,
    /// What each intent has led to, in their order.
    pub outcomes: Vec<Outcome>,
}

/// What an intent has led to.
///
/// All that a commit changes in a mailbox has one modification sequence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// To [`Intent::CreateMailbox`].
    MailboxCreated {
        /// The mailbox.
        mailbox: MailboxId,
        /// Its life.
        uid_validity: UidValidity,
    },
    /// To [`Intent::DeleteMailbox`].
    MailboxDeleted,
    /// To [`Intent::RenameMailbox`].
    MailboxRenamed,
    /// To [`Intent::RenewUidValidity`].
    UidValidityRenewed {
        /// The new life of the mailbox.
        uid_validity: UidValidity,
    },
    /// To [`Intent::Subscribe`].
    Subscribed,
    /// To [`Intent::Unsubscribe`].
    Unsubscribed,
    /// To [`Intent::Deliver`], and to [`Intent::Copy`].
    Delivered {
        /// The identifier of the message.
        uid: Uid,
        /// The modification sequence of the delivery.
        mod_seq: ModSeq,
    },
    /// To [`Intent::Store`].
    Stored {
        /// The modification sequence of the last change of the message, which is this one if it changes anything.
        mod_seq: ModSeq,
        /// Its flags.
        flags: Flags,
    },
    /// To [`Intent::Store`]: the message has changed since, and stays as it is.
    Modified,
    /// To [`Intent::Store`] and [`Intent::Copy`]: there is no such message any more.
    Gone,
    /// To [`Intent::Expunge`].
    Expunged {
        /// Whether this commit has removed it.
        was_there: bool,
    },
    /// To [`Intent::SetQuota`].
    QuotaSet,
    /// To [`Intent::Put`].
    Put,
    /// To [`Intent::Hold`].
    Held,
    /// To [`Intent::Remove`].
    Removed,
}

impl Commit {
    /// A commit of the host's without a body.
    pub const fn of(intents: Vec<Intent>) -> Self {
        Self { actor: Actor::Host, body: Source::None, structure: None, intents }
    }

    /// One body for many mailboxes, on behalf of the host.
    pub const fn delivery(body: Source, intents: Vec<Intent>) -> Self {
        Self { actor: Actor::Host, body, structure: None, intents }
    }

    /// The same on behalf of somebody else.
    #[must_use]
    pub const fn by(mut self, actor: Actor) -> Self {
        self.actor = actor;
        self
    }

    /// The same with the structure of its body.
    #[must_use]
    pub fn with_structure(mut self, structure: Option<Bytes>) -> Self {
        self.structure = structure;
        self
    }
}

impl From<Bytes> for Source {
    fn from(data: Bytes) -> Self {
        Self::Inline(data)
    }
}
