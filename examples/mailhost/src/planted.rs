//! Defects that tests plant to see whether they are found, each at its one place.
//!
//! Without the feature `planted`, which only tests set, there are none, and nothing is left of this in the program.

/// A defect.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bug {
    /// A report is queued in a commit of its own, behind the one that ends its recipients.
    ReportApart,
    /// A host that cannot be reached is tried for ever, whatever the time.
    ExpiryUnchecked,
    /// What became of a recipient is not written down before all of them are done.
    StateNotKept,
    /// A message that was taken is sent again over the next connection.
    SentAgain,
    /// A connection that is reset behind the end of a message counts as if the message had not been sent.
    DoubtForgotten,
    /// A change of the queue whose outcome is not known is never asked for again.
    UnknownForgotten,
    /// EXPUNGE is told while the client counts by sequence numbers.
    ExpungeInFetch,
    /// Flags that others change are not told.
    FlagsUntold,
    /// APPEND is answered before the message is on stable storage.
    OkBeforeDurable,
    /// MOVE leaves behind what it has copied.
    SourceLeft,
    /// Of several EXPUNGEs the later ones have the numbers from before the first.
    NumbersOff,
    /// The draft is removed in a commit of its own, before the one that sends it.
    DraftGoneFirst,
}

impl Bug {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::ReportApart,
        Self::ExpiryUnchecked,
        Self::StateNotKept,
        Self::SentAgain,
        Self::DoubtForgotten,
        Self::UnknownForgotten,
        Self::ExpungeInFetch,
        Self::FlagsUntold,
        Self::OkBeforeDurable,
        Self::SourceLeft,
        Self::NumbersOff,
        Self::DraftGoneFirst,
    ];

    /// Whether this one is planted on this thread.
    #[cfg(feature = "planted")]
    pub(crate) fn is_planted(self) -> bool {
        PLANTED.get() == Some(self)
    }

    #[cfg(not(feature = "planted"))]
    pub(crate) const fn is_planted(self) -> bool {
        false
    }
}

#[cfg(feature = "planted")]
thread_local! {
    static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Plants a defect on this thread, in place of the one before.
#[cfg(feature = "planted")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.set(bug);
}
