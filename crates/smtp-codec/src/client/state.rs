//! Every transition of a client session.
//!
//! ```text
//!             220               EHLO or HELO taken             MAIL, RCPT.., DATA
//!  Greeting ───────▶ Hello ─▶ Ehlo ─▶ (Helo) ─▶ Ready ◀──▶ Idle    │
//!     │                ▲       ▲                │ ▲ ▲ ▲            │
//!     │ other          │       │   STARTTLS     │ │ │ └─ Reset ◀── Envelope ── all refused
//!     ▼                │ TLS   └── TlsWanted ◀──┘ │ │              │ 354
//!  Quit ◀── QUIT ──────┘ started                  │ └── Auth       ▼
//!     │ 221                                       └───── Final ◀── Message
//!     ▼                                             answered   lone dot
//!  Closed
//! ```
//!
//! Every state may go to `Closed`.

/// What the session waits for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// The greeting.
    Greeting,
    /// The next call, which writes EHLO.
    Hello,
    /// The reply to EHLO.
    Ehlo,
    /// The reply to HELO.
    Helo,
    /// The caller, who is asked at the next call.
    Ready,
    /// The caller, who has asked for time.
    Idle,
    /// The reply to STARTTLS.
    StartTls,
    /// The driver's TLS handshake; nothing is read until then.
    TlsWanted,
    /// A challenge or the result of AUTH.
    Auth,
    /// The replies to MAIL, RCPT and DATA.
    Envelope,
    /// The caller's message.
    Message,
    /// The reply to the end of the message.
    Final,
    /// The reply to RSET.
    Reset,
    /// The reply to QUIT.
    Quit,
    /// Nothing more is read.
    Closed,
}

/// Which time-out runs, and ended a session.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Timer {
    /// When to give up waiting for the greeting.
    Greeting,
    /// When to give up waiting for the reply to a command, or for TLS.
    Command,
    /// When to give up waiting for the reply to DATA.
    DataStart,
    /// When to give up waiting for the caller's next piece of the message.
    DataBlock,
    /// When to give up waiting for the reply to the end of the message.
    DataEnd,
}

impl State {
    /// The time-out that runs; `None` when only the caller is waited for.
    pub(super) const fn timer(self) -> Option<Timer> {
        match self {
            Self::Greeting => Some(Timer::Greeting),
            Self::Ready | Self::Idle | Self::Closed => None,
            Self::Message => Some(Timer::DataBlock),
            Self::Final => Some(Timer::DataEnd),
            Self::Hello
            | Self::Ehlo
            | Self::Helo
            | Self::StartTls
            | Self::TlsWanted
            | Self::Auth
            | Self::Envelope
            | Self::Reset
            | Self::Quit => Some(Timer::Command),
        }
    }
}
