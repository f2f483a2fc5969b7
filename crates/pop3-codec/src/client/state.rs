//! Every transition of a client session ([RFC 1939 §3](https://www.rfc-editor.org/rfc/rfc1939#section-3)).
//!
//! ```text
//!           greeting, CAPA          USER               PASS              QUIT
//! Greeting ───────────────▶ Login ────────▶ Password ────────▶ Mailbox ────────▶ Closed
//!                           ▲   │  ◀──────────┘ refused         ▲
//!                           │   ├─── AUTH, challenges ──────────┘
//!            CAPA once more │   │ STLS
//!                           │   ▼
//!                         TlsWanted
//! ```
//!
//! Every state may go to `Closed`. Within a state, [`Part`] says what of a response comes next.

/// What the server lets us do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// The server has not greeted yet.
    Greeting,
    /// Nobody has logged in.
    Login,
    /// The server has taken the name.
    Password,
    /// The maildrop is open.
    Mailbox,
    /// The server begins TLS; nothing is read until it has started.
    TlsWanted,
    /// Nothing more is read.
    Closed,
}

/// What comes next from the server.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// A status line.
    Status,
    /// The lines of a list, up to the one with a dot alone.
    Lines,
    /// Octets of a message.
    Body,
}
