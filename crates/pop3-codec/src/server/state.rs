//! Every transition of a server session ([RFC 1939 §3](https://www.rfc-editor.org/rfc/rfc1939#section-3)).
//!
//! ```text
//!               login accepted                  QUIT
//! Authorization ───────────────▶ Transaction ─────────▶ Update ──▶ Closed
//!     ▲   │ ▲ │                    │      ▲
//!     │   │ │ │ challenge          └──────┘ a list longer than one call writes: Listing
//!     │   │ │ ▼
//!     │   │ Login: a response
//!     │   │ STLS accepted
//!     │   ▼
//!   TlsWanted
//! ```
//!
//! Every state may go to `Closed`; only `Update` deletes anything.

/// Where the session stands between two commands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// Nobody has logged in.
    Authorization,
    /// A challenge of AUTH is out; the next line is a response.
    Login,
    /// A maildrop is open.
    Transaction,
    /// A list is being written.
    Listing {
        what: List,
        /// The index that comes next.
        next: usize,
    },
    /// QUIT has come, and the caller is asked to delete.
    Update,
    /// The answer to STLS is out; nothing is read until TLS has started.
    TlsWanted,
    /// Nothing more is read.
    Closed,
}

/// What a list shows of each message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum List {
    Sizes,
    UniqueIds,
}
