//! What is known of one mailbox: what the last snapshot says, and what has changed since.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Facts, Runs, octets};
use crate::journal::entry::mailbox_length;
use crate::mailbox::{AccountId, ModSeq, SpecialUse, Uid, UidValidity};
use crate::message::Flags;
use crate::planted::{Bug, Planted};

/// A mailbox of the index.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    /// `None` as long as only its messages have been read: a record that was copied stands behind what it was before.
    pub(crate) about: Option<About>,
    /// The identifier of the next message; beyond all of them when they are used up.
    pub(crate) uid_next: u64,
    pub(crate) highest_mod_seq: ModSeq,
    pub(crate) tally: Tally,
    pub(super) base: Base,
    /// What has changed since the base was written: what is to be laid over it when it is read again.
    pub(super) delta: BTreeMap<Uid, Delta>,
    /// When it was last asked for, among all that are loaded.
    pub(super) used: u64,
    /// Every flag that a message was seen to have while all was counted.
    pub(super) counted_flags: Flags,
    /// Damage has taken the body of a message that its section or what has come since still has.
    pub(crate) lost: bool,
}

/// What a mailbox is called and what it is.
#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) account: AccountId,
    pub(crate) name: String,
    pub(crate) uid_validity: UidValidity,
    pub(crate) special_use: Option<SpecialUse>,
    pub(crate) keywords: Arc<[String]>,
    /// The segment with its record, and where that begins.
    pub(crate) segment: u32,
    pub(crate) at: u32,
}

impl About {
    /// Octets of its record.
    pub(super) fn octets(&self) -> u64 {
        octets(mailbox_length(&self.name, &self.keywords))
    }
}

/// How many of what there is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Tally {
    pub(crate) messages: u64,
    pub(crate) octets: u64,
    pub(crate) unseen: u64,
    pub(crate) deleted: u64,
}

impl Tally {
    pub(super) fn add(&mut self, flags: Flags, octets: u64) {
        self.messages += 1;
        self.octets += octets;
        self.add_flags(flags);
    }

    pub(super) fn sub(&mut self, flags: Flags, octets: u64) {
        self.messages = self.messages.saturating_sub(1);
        self.octets = self.octets.saturating_sub(octets);
        self.sub_flags(flags);
    }

    pub(super) fn add_flags(&mut self, flags: Flags) {
        self.unseen += u64::from(!flags.contains(Flags::SEEN));
        self.deleted += u64::from(flags.contains(Flags::DELETED));
    }

    pub(super) fn sub_flags(&mut self, flags: Flags) {
        self.unseen = self.unseen.saturating_sub(u64::from(!flags.contains(Flags::SEEN)));
        self.deleted = self.deleted.saturating_sub(u64::from(flags.contains(Flags::DELETED)));
    }
}

/// The messages of a mailbox, or where they are.
#[derive(Clone, Debug)]
pub(super) enum Base {
    /// They lie in a snapshot.
    Stored(Section),
    /// They lie there as they once were, and are in memory as they are.
    Loaded(Section, Runs<Uid, Facts>),
    /// They are in memory only, until the next snapshot.
    Whole(Runs<Uid, Facts>),
}

/// Where the messages of a mailbox lie in a snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Section {
    /// The number of the snapshot.
    pub(crate) snapshot: u64,
    pub(crate) at: u64,
    /// How many messages.
    pub(crate) count: u64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Delta {
    /// Of which time between two snapshots.
    pub(super) epoch: u64,
    pub(super) since: Since,
}

/// What has become of a message since a snapshot, or since the beginning.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Since {
    /// It is there, and like that.
    Is(Facts),
    /// Only its flags are known, for its delivery has not been read.
    Flags {
        mod_seq: ModSeq,
        flags: Flags,
        segment: u32,
    },
    Gone,
}

impl Since {
    /// A record of a delivery has been read. Of two that say what the flags are, the one with the higher mod-sequence counts.
    pub(crate) const fn delivered(before: Option<Self>, facts: Facts) -> Self {
        match before {
            Some(Self::Is(before)) if before.mod_seq.0 > facts.mod_seq.0 => Self::Is(Facts {
                mod_seq: before.mod_seq,
                flags: before.flags,
                flags_segment: before.flags_segment,
                ..facts
            }),
            Some(Self::Flags { mod_seq, flags, segment }) => {
                Self::Is(flagged(facts, mod_seq, flags, segment))
            }
            _ => Self::Is(facts),
        }
    }

    /// A record of flags has been read.
    pub(crate) const fn flagged(before: Option<Self>, mod_seq: ModSeq, flags: Flags, segment: u32) -> Self {
        match before {
            Some(Self::Gone) => Self::Gone,
            Some(Self::Is(facts)) => {
                if facts.mod_seq.0 > mod_seq.0 {
                    Self::Is(facts)
                } else {
                    Self::Is(Facts { mod_seq, flags, flags_segment: segment, ..facts })
                }
            }
            Some(Self::Flags { mod_seq: of, flags, segment }) if of.0 > mod_seq.0 => {
                Self::Flags { mod_seq: of, flags, segment }
            }
            _ => Self::Flags { mod_seq, flags, segment },
        }
    }

    /// The message, with what was known of it before.
    pub(crate) const fn over(self, base: Option<Facts>) -> Option<Facts> {
        match (self, base) {
            (Self::Is(facts), _) => Some(facts),
            (Self::Flags { mod_seq, flags, segment }, Some(base)) => {
                Some(flagged(base, mod_seq, flags, segment))
            }
            (Self::Flags { .. }, None) | (Self::Gone, _) => None,
        }
    }
}

/// The facts, unless this is newer: an equal mod-sequence is the same change, and the delivery says it as well.
const fn flagged(facts: Facts, mod_seq: ModSeq, flags: Flags, segment: u32) -> Facts {
    if mod_seq.0 > facts.mod_seq.0 {
        Facts { mod_seq, flags, flags_segment: segment, ..facts }
    } else {
        facts
    }
}

impl Mailbox {
    pub(super) fn new(about: Option<About>) -> Self {
        Self {
            about,
            uid_next: 1,
            highest_mod_seq: ModSeq(1),
            tally: Tally::default(),
            base: Base::Whole(Runs::default()),
            delta: BTreeMap::new(),
            used: 0,
            counted_flags: Flags::NONE,
            lost: false,
        }
    }

    /// One whose messages lie in a snapshot. They are counted later.
    pub(crate) fn stored(about: About, uid_next: u64, highest_mod_seq: ModSeq, section: Section) -> Self {
        let base = if section.count == 0 { Base::Whole(Runs::default()) } else { Base::Stored(section) };
        Self { uid_next, highest_mod_seq, base, ..Self::new(Some(about)) }
    }

    pub(super) fn touch(&mut self, uid: Uid, mod_seq: ModSeq) {
        self.highest_mod_seq = self.highest_mod_seq.max(mod_seq);
        self.uid_next = self.uid_next.max(u64::from(uid.get()) + 1);
    }

    /// The messages, if they are in memory.
    pub(crate) const fn loaded(&self) -> Option<&Runs<Uid, Facts>> {
        match &self.base {
            Base::Stored(_) => None,
            Base::Loaded(_, messages) | Base::Whole(messages) => Some(messages),
        }
    }

    pub(super) const fn loaded_mut(&mut self) -> Option<&mut Runs<Uid, Facts>> {
        match &mut self.base {
            Base::Stored(_) => None,
            Base::Loaded(_, messages) | Base::Whole(messages) => Some(messages),
        }
    }

    pub(crate) const fn section(&self) -> Option<Section> {
        match self.base {
            Base::Stored(section) | Base::Loaded(section, _) => Some(section),
            Base::Whole(_) => None,
        }
    }

    /// A message; only of a mailbox that is loaded.
    pub(crate) fn facts(&self, uid: Uid) -> Option<Facts> {
        self.loaded()?.get(&uid).copied()
    }

    /// What is known to have become of a message since the base was written.
    pub(super) fn since(&self, uid: Uid) -> Option<Since> {
        self.delta.get(&uid).map(|delta| delta.since)
    }

    /// The messages as they are, from those that were there when the snapshot was written.
    pub(crate) fn merged(&self, mut base: Runs<Uid, Facts>) -> Runs<Uid, Facts> {
        for (uid, delta) in &self.delta {
            match delta.since.over(base.get(uid).copied()) {
                Some(facts) => drop(base.insert(*uid, facts)),
                None => drop(base.remove(uid)),
            }
        }
        base
    }

    /// The newest messages as they are, so many or all, from the last ones that were there when the snapshot was written.
    ///
    /// `None` if older ones are needed than those.
    pub(super) fn newest(
        &self,
        base: &Runs<Uid, Facts>,
        count: usize,
        planted: Planted,
        is_there: impl Fn(&Facts) -> bool,
    ) -> Option<Runs<Uid, Facts>> {
        let is_all = self.section().is_none_or(|section| section.count == base.len() as u64);
        let as_stored = planted.has(Bug::NewestAsStored);
        let since = self.delta.iter().rev().filter(|_| !as_stored);
        let (mut base, mut since) = (base.iter().rev().peekable(), since.peekable());
        let mut found = Vec::new();
        while found.len() < count {
            let changed = match (base.peek(), since.peek()) {
                (None, None) => break,
                (Some(_), None) => None,
                (Some((of, _)), Some((uid, _))) if uid < of => None,
                (None, Some(_)) if !is_all => return None,
                (_, Some(_)) => since.next(),
            };
            let (uid, facts) = match changed {
                None => base.next().map(|(uid, facts)| (*uid, Some(*facts)))?,
                Some((uid, delta)) => {
                    let before = base.next_if(|(of, _)| *of == uid).map(|(_, facts)| *facts);
                    (*uid, delta.since.over(before))
                }
            };
            found.extend(facts.filter(&is_there).map(|facts| (uid, facts)));
        }
        if found.len() < count && !is_all {
            return None;
        }
        let mut newest = Runs::default();
        newest.append(found.into_iter().rev().map(Some));
        Some(newest)
    }
}
