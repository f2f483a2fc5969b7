//! Every transition of a server session.
//!
//! ```text
//!              LOGIN, AUTHENTICATE            SELECT, EXAMINE
//!  NotAuthenticated ──────────▶ Authenticated ──────────▶ Selected
//!        │    │                   ▲   ▲  CLOSE, UNSELECT   │  │
//!        │    └── PREAUTH ────────┘   └────────────────────┘◀─┘
//!        │                                SELECT, which fails at Authenticated
//!        ▼
//!    TlsWanted ──▶ NotAuthenticated
//! ```
//!
//! In each of them the next octets are those of a command, unless the mode says otherwise:
//!
//! ```text
//!  Command ──▶ Login (a challenge is out) ──▶ Command
//!          ──▶ Append (its payload comes) ──▶ Command
//!          ──▶ Idle (until DONE)          ──▶ Command
//! ```
//!
//! Every state may go to `Closed`.

use crate::command::{Belongs, Verb};

/// Who the client is to us: RFC 9051 §3.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum State {
    NotAuthenticated,
    Authenticated,
    Selected,
}

/// What the next octets are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Mode {
    Command,
    /// The response to a challenge.
    Login,
    /// The payload of APPEND, and the end of its command.
    Append,
    /// DONE.
    Idle,
    /// 220 in other words: nothing is read until TLS has started.
    TlsWanted,
    /// Nothing more is read.
    Closed,
}

/// What an answer is to, as far as the state is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pending {
    /// LOGIN, and a login that goes on.
    Login,
    /// SELECT, EXAMINE.
    Select,
    /// CLOSE, UNSELECT.
    Leave,
    /// FETCH, STORE and SEARCH by sequence number.
    Numbers,
    /// APPEND, before its payload.
    Append,
    Idle,
    StartTls,
    Other,
}

impl Pending {
    pub(super) const fn of(verb: &Verb<'_>) -> Self {
        match verb {
            Verb::Login { .. } | Verb::Authenticate(_) => Self::Login,
            Verb::Select(_) | Verb::Examine(_) => Self::Select,
            Verb::Close | Verb::Unselect => Self::Leave,
            Verb::Fetch { uid: false, .. }
            | Verb::Store { uid: false, .. }
            | Verb::Search { uid: false, .. } => Self::Numbers,
            _ => Self::Other,
        }
    }

    /// The state after OK.
    pub(super) const fn after_ok(self, state: State) -> State {
        match self {
            Self::Login | Self::Leave => State::Authenticated,
            Self::Select => State::Selected,
            _ => state,
        }
    }

    /// Whether EXPUNGE may be told. RFC 9051 §7.5.1: not where the client counts by sequence numbers.
    pub(super) const fn may_expunge(self) -> bool {
        // Without a mailbox there is nothing to expunge, and a login has none.
        !matches!(self, Self::Numbers | Self::Login | Self::Append | Self::StartTls)
    }
}

impl State {
    /// Whether a command may be given now: RFC 9051 §6.
    pub(super) const fn allows(self, verb: &Verb<'_>) -> bool {
        match verb.belongs() {
            Belongs::Any => true,
            Belongs::NotAuthenticated => matches!(self, Self::NotAuthenticated),
            Belongs::Authenticated => !matches!(self, Self::NotAuthenticated),
            Belongs::Selected => matches!(self, Self::Selected),
        }
    }
}
