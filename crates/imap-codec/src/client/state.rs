//! Every transition of a client session.
//!
//! ```text
//!  Greeting ──OK──▶ NotAuthenticated ──login──▶ Authenticated ──SELECT──▶ Selected
//!     │                │        ▲                  ▲  ▲    CLOSE, UNSELECT  │ │
//!     │             STARTTLS    │                  │  └───────────────────┘ │
//!     │                └▶ TlsWanted                └── SELECT, which fails ◀┘
//!     └──PREAUTH, only under TLS or where none is wanted──▶ Authenticated
//! ```
//!
//! Every state may go to `Closed`.

use crate::command::{Belongs, Verb};

/// Where the session stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Greeting,
    NotAuthenticated,
    Authenticated,
    Selected,
    /// STARTTLS was accepted; nothing is read until TLS has started.
    TlsWanted,
    /// Nothing more is read.
    Closed,
}

/// A command on its way, as far as the state is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// CAPABILITY that the session asks by itself.
    Capability,
    StartTls,
    Login,
    Select,
    Leave,
    Append,
    Idle,
    Logout,
    /// What follows it may be written in other letters.
    Enable,
    /// FETCH, STORE and SEARCH by sequence number.
    Numbers,
    /// Any other.
    Plain,
}

impl Kind {
    pub(super) const fn of(verb: &Verb<'_>) -> Self {
        match verb {
            Verb::Login { .. } | Verb::Authenticate(_) => Self::Login,
            Verb::Select(_) | Verb::Examine(_) => Self::Select,
            Verb::Close | Verb::Unselect => Self::Leave,
            Verb::Logout => Self::Logout,
            Verb::Enable(_) => Self::Enable,
            Verb::Fetch { uid: false, .. }
            | Verb::Store { uid: false, .. }
            | Verb::Search { uid: false, .. } => Self::Numbers,
            _ => Self::Plain,
        }
    }

    /// Whether this command may be sent while that one is in progress: RFC 9051 §5.5.
    pub(super) fn may_follow(self, before: Self) -> bool {
        match (before, self) {
            // Sequence numbers change under all but FETCH, STORE and SEARCH, so those keep to themselves.
            (Self::Numbers, Self::Numbers) | (Self::Plain, Self::Plain) => true,
            (Self::Numbers | Self::Plain, Self::Logout) => true,
            _ => false,
        }
    }
}

impl State {
    pub(super) const fn allows(self, verb: &Verb<'_>) -> bool {
        match self {
            Self::Greeting | Self::TlsWanted | Self::Closed => false,
            _ => match verb.belongs() {
                Belongs::Any => true,
                Belongs::NotAuthenticated => matches!(self, Self::NotAuthenticated),
                Belongs::Authenticated => matches!(self, Self::Authenticated | Self::Selected),
                Belongs::Selected => matches!(self, Self::Selected),
            },
        }
    }
}
