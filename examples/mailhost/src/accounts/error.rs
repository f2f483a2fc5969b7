//! Why a change was not made, in sentences for whoever wanted it.

use std::io;

use thiserror::Error;

use super::app_password::MOST;
use super::change::SIGNATURE;
use super::directory::{DEPTH, TARGETS};

/// Why a change was not made.
#[derive(Debug, Error)]
pub enum ChangeError {
    /// The address does not follow the grammar.
    #[error("{0} is not a mail address; write it as name@domain")]
    BadAddress(String),
    /// The address is of a domain that the configuration does not name.
    #[error(
        "{0} is not of a domain of this host; add its domain to `domains` in the configuration, or choose one of: {1}"
    )]
    NotLocal(String, String),
    /// Somebody has the address.
    #[error("{0} exists already")]
    Exists(String),
    /// Somebody has the login name.
    #[error("the login name {0} is taken; choose another one with --login")]
    LoginTaken(String),
    /// Nobody has it.
    #[error("{0} does not exist; see `mailhost account list` and `mailhost alias list`")]
    Unknown(String),
    /// The alias does not stand for this.
    #[error("{0} is no target of {1}; see `mailhost alias list`")]
    NoTarget(String, String),
    /// A target of an alias that leads nowhere.
    #[error(
        "{0} is of a domain of this host, and neither an account nor an alias; add it first with `mailhost account add` or `mailhost alias add`"
    )]
    UnknownTarget(String),
    /// Mail that would come back to where it was sent on.
    #[error("{0} would lead back to itself")]
    Circle(String),
    /// Lists in lists that together are too large.
    #[error(
        "{0} would stand for more than {TARGETS} addresses, or for lists in lists more than {DEPTH} deep; a mailing list program is made for that"
    )]
    TooLarge(String),
    /// A catch-all is an alias, never an account.
    #[error("{0} stands for every address that nobody has; make it with `mailhost alias add {0} TARGET`")]
    CatchAll(String),
    /// The login name is empty, too long, or holds a space or a control character.
    #[error("{0:?} cannot be a login name; take 1 to 200 characters without spaces")]
    BadLogin(String),
    /// SASLprep refuses the login name, or leaves nothing of it: no client could log in with it.
    #[error(
        "{0:?} cannot be a login name, for SASLprep (RFC 4013) forbids it; take letters, digits and signs that stay as they are typed"
    )]
    ForbiddenLogin(String),
    /// The name of an app password has something that would be in the way.
    #[error("{0:?} cannot be the name of an app password; take 1 to 32 letters, digits, or any of - _ .")]
    BadAppName(String),
    /// There is an app password of this name.
    #[error("{1} has an app password {0} already; remove it first, or take another name")]
    AppNameTaken(String, String),
    /// There is none of this name.
    #[error("{1} has no app password {0}; see `mailhost account app-password list {1}`")]
    NoAppPassword(String, String),
    /// There are enough.
    #[error("{0} has {MOST} app passwords already; remove one that is not used any more")]
    TooManyAppPasswords(String),
    /// What came as an app password's digest is none.
    #[error("the digest of the app password cannot be read")]
    BadAppPassword,
    /// It is suspended already, or is not.
    #[error("{0} is not suspended")]
    NotSuspended(String),
    /// Too short.
    #[error("the password is too short; take at least {0} characters")]
    ShortPassword(usize),
    /// What everybody tries first.
    #[error("the password is the address or the login name; take one that nobody can guess")]
    GuessablePassword,
    /// A signature that is none.
    #[error("the signature is too long, or has a character that is none; take up to {SIGNATURE} octets")]
    BadSignature,
    /// The secret in the store is none.
    #[error("the secret of the host in the store cannot be read; `mailhost verify` looks for damage")]
    BadSecret,
    /// The system gave no random octets.
    #[error("the system gives no random octets")]
    NoRandomness,
    /// The hash of a password is none that this version makes.
    #[error("the hash of the password cannot be read")]
    BadPassword,
    /// The password could not be hashed.
    #[error("the password cannot be hashed now")]
    NotHashed,
    /// The store cannot be read.
    #[error("the accounts cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The store could not keep it.
    #[error("the change could not be stored: {0}")]
    Store(#[from] mailstore::Failure),
    /// What is stored makes no sense.
    #[error("an account or alias in the store cannot be read: {0}")]
    Damaged(#[from] serde_json::Error),
}
