//! Bugs that tests plant, each in its one place, to see that the harness finds them.

#[cfg(feature = "simulation")]
pub use self::bug::Bug;
#[cfg(not(feature = "simulation"))]
pub(crate) use self::bug::Bug;

mod bug {
    /// A rule of the store, broken.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    #[non_exhaustive]
    #[cfg_attr(not(feature = "simulation"), allow(dead_code, unreachable_pub, reason = "nobody plants them"))]
    pub enum Bug {
        /// A batch is written without a sync.
        NoSync,
        /// The name of a new segment is not synced.
        NoDirectorySync,
        /// A sync that has failed is tried again, and believed.
        SyncRetried,
        /// Waiters are told before their batch has been written.
        AcknowledgedEarly,
        /// A batch is shown before it has been written.
        VisibleEarly,
        /// The record that ends a batch says that the batch has been synced.
        ClaimsItself,
        /// A batch at the end of the journal counts as far as it can be read.
        TornTail,
        /// What stands at the end of the journal is shown without being written again.
        TailNotRewritten,
        /// A failure is told before the header is durable that keeps it from coming back.
        FailureToldEarly,
        /// The limits of segments are lost when compaction has ended.
        LimitLost,
        /// The numbers of mailboxes go with the records that compaction drops.
        NumbersNotDurable,
        /// A body that compaction has copied counts as held by nobody.
        MiscountedBody,
        /// What took a record back goes while the record is still there.
        RemovalDropped,
        /// A segment is removed before a header without it is durable.
        RemovedEarly,
        /// A snapshot counts before its octets are synced.
        SnapshotNotSynced,
        /// A delivery is copied with the flags that it once had.
        FlagsAsDelivered,
        /// A new keyword takes the place of the last one.
        KeywordReused,
        /// A mailbox is renamed without the last one below it.
        ChildLeftBehind,
        /// A mailbox keeps its UIDVALIDITY under a name that a younger one has had.
        UidValidityBack,
        /// What is copied does not count when an account is asked whether it has room.
        CopyIsFree,
        /// Compaction drops the structures of bodies.
        StructureDropped,
        /// A snapshot says that no flag has a record of its own.
        FlagsUncounted,
        /// A backup leaves out segments that the newest header still lists.
        EmptiedNotCopied,
        /// Files that are to be copied are removed before they have been.
        BackupNotPinned,
        /// Where only the newest messages are wanted, they are shown as the snapshot has them.
        NewestAsStored,
    }

    #[cfg(feature = "simulation")]
    impl Bug {
        /// All of them.
        pub const ALL: [Self; 25] = [
            Self::NoSync,
            Self::NoDirectorySync,
            Self::SyncRetried,
            Self::AcknowledgedEarly,
            Self::VisibleEarly,
            Self::ClaimsItself,
            Self::TornTail,
            Self::TailNotRewritten,
            Self::FailureToldEarly,
            Self::LimitLost,
            Self::NumbersNotDurable,
            Self::MiscountedBody,
            Self::RemovalDropped,
            Self::RemovedEarly,
            Self::SnapshotNotSynced,
            Self::FlagsAsDelivered,
            Self::KeywordReused,
            Self::ChildLeftBehind,
            Self::UidValidityBack,
            Self::CopyIsFree,
            Self::StructureDropped,
            Self::FlagsUncounted,
            Self::EmptiedNotCopied,
            Self::BackupNotPinned,
            Self::NewestAsStored,
        ];
    }
}

/// At most one of them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Planted {
    #[cfg(feature = "simulation")]
    bug: Option<Bug>,
}

impl Planted {
    #[cfg(feature = "simulation")]
    pub(crate) const fn new(bug: Bug) -> Self {
        Self { bug: Some(bug) }
    }

    /// Never true but in tests.
    pub(crate) fn has(self, bug: Bug) -> bool {
        #[cfg(feature = "simulation")]
        return self.bug == Some(bug);
        #[cfg(not(feature = "simulation"))]
        {
            let _ = bug;
            false
        }
    }
}
