//! Every transition of a server session.
//!
//! ```text
//!           EHLO, HELO                MAIL accepted            RCPT accepted
//!  Greeted ────────────▶ Ready ─────────────────────▶ Mail ───────────────────▶ Rcpt ◀─┐ RCPT accepted
//!     ▲                    ▲ ▲  RSET, EHLO             │                          │  └──┘
//!     │ TLS started        │ └─────────────────────────┴──────────────────────────┤
//!     │                    │            message ended, answered                   │ DATA accepted
//!  TlsWanted ◀─────────────┤◀──────────────────────────────────── Message ◀───────┘
//!           STARTTLS acc.  │
//!                          └──▶ Login (challenge and response) ──▶ back to Ready
//! ```
//!
//! Every state may go to `Closed`. QUIT, NOOP, HELP and VRFY change nothing here.

/// Where the session stands between two commands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    /// The greeting is out; the client has not said who it is.
    Greeted,
    /// Between transactions.
    Ready,
    /// MAIL was accepted, no recipient yet.
    Mail,
    /// MAIL and at least one RCPT were accepted.
    Rcpt,
    /// A login is going on: the next line is a response.
    Login,
    /// Behind 354.
    Message,
    /// 220 to STARTTLS is out; nothing is read until TLS has started.
    TlsWanted,
    /// Nothing more is read.
    Closed,
}

/// A command, as far as the state is concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Auth,
    Data,
    Mail,
    Rcpt,
    StartTls,
}

/// Why a command does not fit the state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum OutOfStep {
    HelloFirst,
    MailFirst,
    NoRecipients,
    NotNow,
}

impl State {
    /// Whether `step` may be taken now. RFC 5321 §4.1.4.
    pub(super) const fn allows(self, step: Step) -> Result<(), OutOfStep> {
        match (self, step) {
            // RFC 3207 §4.2: a client may ask for TLS before EHLO has told it of STARTTLS; nothing is lost by it.
            (Self::Greeted, Step::StartTls) => Ok(()),
            (Self::Greeted, _) => Err(OutOfStep::HelloFirst),
            (Self::Ready, Step::Rcpt | Step::Data) => Err(OutOfStep::MailFirst),
            (Self::Ready, Step::Mail | Step::Auth | Step::StartTls) => Ok(()),
            (Self::Mail | Self::Rcpt, Step::Rcpt) | (Self::Rcpt, Step::Data) => Ok(()),
            (Self::Mail, Step::Data) => Err(OutOfStep::NoRecipients),
            // RFC 4954 §4: AUTH is not permitted during a mail transaction.
            (Self::Mail | Self::Rcpt, _) => Err(OutOfStep::NotNow),
            (Self::Login | Self::Message | Self::TlsWanted | Self::Closed, _) => Err(OutOfStep::NotNow),
        }
    }

    /// After RSET, EHLO, or the end of a message.
    pub(super) const fn without_transaction(self) -> Self {
        match self {
            Self::Greeted => Self::Greeted,
            _ => Self::Ready,
        }
    }
}
