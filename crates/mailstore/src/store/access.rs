//! Who may do what, and what is told to whom.

use crate::commit::Actor;
use crate::error::Refusal;
use crate::mailbox::AccountId;

/// What somebody wants to do to something of an account.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Right {
    /// Know that it is there, and look at it.
    Read,
    /// Change it.
    Write,
    /// What no account may do to its own.
    Administer,
}

/// The one place where it is decided who may do what. Whoever may not know of something is told that it is not there.
pub(super) fn authorise(actor: Actor, owner: AccountId, right: Right) -> Result<(), Refusal> {
    match (actor, right) {
        (Actor::Host, _) => Ok(()),
        (Actor::Account(account), Right::Read | Right::Write) if account == owner => Ok(()),
        (Actor::Account(account), Right::Administer) if account == owner => Err(Refusal::NotAllowed),
        (Actor::Account(_), _) => Err(Refusal::NoSuchMailbox),
    }
}
