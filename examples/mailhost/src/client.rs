//! The client's side: sending over SMTP, collecting over POP3 and reading over IMAP.
//!
//! `mailhost client` and `mailhost demo` are made of it, and the relay logs in with it.

pub mod auth;
pub mod compose;
pub mod connect;
pub mod imap;
pub mod maildir;
pub mod message;
pub mod pop3;
pub mod settings;
pub mod smtp;
pub mod text;

use std::io;

use bytes::BytesMut;
use smtp_codec::Reply;
use smtp_codec::client::Outcome;
use thiserror::Error;

pub use self::connect::{Encryption, Server};
use crate::auth::Password;
use crate::logs::Safe;
use crate::writing::Unwritable;

/// A name and a password.
#[derive(Debug)]
pub struct Credentials {
    /// The name.
    pub name: String,
    /// The password.
    pub password: Password,
}

/// What a server said to a message.
#[derive(Debug, Default)]
pub struct Sent {
    /// To each recipient, as far as it came to that.
    pub recipients: Vec<Reply>,
    /// To the whole.
    pub outcome: Option<Outcome>,
}

/// A message that was collected.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Collected {
    /// What identifies it in every session.
    pub unique_id: String,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// Why a session has come to nothing. What comes from a server is made safe to be shown.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The connection failed.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server said no.
    #[error("the server says {0}")]
    Refused(String),
    /// The server said no to a name and a password.
    #[error("the login was refused: the server says {0}")]
    LoginRefused(String),
    /// The exchange of a login went wrong: the server may be another one.
    #[error("the login failed: {0}")]
    Login(String),
    /// The server does not offer what is needed.
    #[error("the server does not offer {0}")]
    NotOffered(&'static str),
    /// A password would go over the network for everybody to read.
    #[error(
        "the password is not sent without TLS, except to this machine itself; use --tls implicit or --tls starttls, or say \
         --allow-plaintext if you know who listens"
    )]
    Plaintext,
    /// What is wanted cannot be said in the protocol.
    #[error("{0}")]
    Unsendable(String),
    /// The server sends more than anybody could want.
    #[error("the server sends more than {limit} {what}; nothing of it is kept")]
    TooMuch {
        /// What there is too much of.
        what: &'static str,
        /// How much would have been taken.
        limit: usize,
    },
    /// A file of ours.
    #[error("{what}: {error}")]
    File {
        /// Which.
        what: String,
        /// Why.
        error: io::Error,
    },
    /// The session ended before its purpose was met.
    #[error("the session ended early: {0}")]
    Ended(String),
    /// The server may have taken the message, or not.
    #[error("the connection was lost behind the message: nobody knows whether it was taken")]
    InDoubt,
}

impl From<Unwritable> for ClientError {
    fn from(Unwritable(why): Unwritable) -> Self {
        Self::Unsendable(why)
    }
}

impl ClientError {
    /// What a server said, made safe.
    pub(crate) fn refused(words: impl std::fmt::Display) -> Self {
        Self::Refused(Safe(words).to_string())
    }

    /// A file, and why.
    pub(crate) fn file(what: impl std::fmt::Display) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::File { what: Safe(what).to_string(), error }
    }
}

/// A reply as a person reads it.
pub fn shown(reply: &Reply) -> String {
    let mut wire = BytesMut::new();
    reply.encode(&mut wire);
    String::from_utf8_lossy(&wire).trim_end().replace("\r\n", " / ")
}
