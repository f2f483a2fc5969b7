//! What is known of one mailbox: what the last snapshot says, and what has changed since.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::iter::Peekable;
use std::slice::Iter;
use std::sync::Arc;

use super::{Entry, Place};
use crate::mailbox::{AccountId, ModSeq, Uid, UidValidity};
use crate::message::Message;

/// A mailbox of the index.
#[derive(Clone, Debug)]
pub(crate) struct Mailbox {
    /// `None` as long as only its messages have been read: a record that was copied stands behind what it was before.
    pub(crate) about: Option<About>,
    /// The identifier of the next message; beyond all of them when they are used up.
    pub(crate) uid_next: u64,
    pub(crate) highest_mod_seq: ModSeq,
    pub(crate) messages: u64,
    pub(crate) octets: u64,
    pub(super) base: Base,
    /// What has changed since the base was written: the message, or that it is gone.
    pub(super) delta: BTreeMap<Uid, Delta>,
    /// All messages as a slice, from the first time that somebody asks to the next change.
    pub(super) shared: Option<Arc<[Message]>>,
    /// When it was last asked for, among all that are loaded.
    pub(super) used: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct About {
    pub(crate) account: AccountId,
    pub(crate) name: String,
    pub(crate) uid_validity: UidValidity,
    /// The segment with its record.
    pub(crate) segment: u32,
}

/// The messages of a mailbox as a snapshot has them.
#[derive(Clone, Debug)]
pub(super) enum Base {
    /// They lie there.
    Stored(Section),
    /// They lie there, and are in memory.
    Loaded(Section, Arc<[Entry]>),
    /// They are in memory only, until the next snapshot.
    Whole(Arc<[Entry]>),
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
    pub(super) entry: Option<Entry>,
}

impl Mailbox {
    pub(super) fn new(about: Option<About>) -> Self {
        Self {
            about,
            uid_next: 1,
            highest_mod_seq: ModSeq(1),
            messages: 0,
            octets: 0,
            base: Base::Whole(Arc::default()),
            delta: BTreeMap::new(),
            shared: None,
            used: 0,
        }
    }

    /// One whose messages lie in a snapshot. They are counted later.
    pub(crate) fn stored(about: About, uid_next: u64, highest_mod_seq: ModSeq, section: Section) -> Self {
        let base = if section.count == 0 { Base::Whole(Arc::default()) } else { Base::Stored(section) };
        Self { uid_next, highest_mod_seq, base, ..Self::new(Some(about)) }
    }

    pub(super) fn touch(&mut self, mod_seq: ModSeq) {
        self.highest_mod_seq = self.highest_mod_seq.max(mod_seq);
        self.shared = None;
    }

    /// The messages of the base, if they are in memory.
    pub(crate) fn loaded(&self) -> Option<&[Entry]> {
        match &self.base {
            Base::Stored(_) => None,
            Base::Loaded(_, entries) | Base::Whole(entries) => Some(entries),
        }
    }

    pub(crate) const fn section(&self) -> Option<Section> {
        match self.base {
            Base::Stored(section) | Base::Loaded(section, _) => Some(section),
            Base::Whole(_) => None,
        }
    }

    /// A message; only of a mailbox that is loaded.
    pub(crate) fn entry(&self, uid: Uid) -> Option<Entry> {
        if let Some(delta) = self.delta.get(&uid) {
            return delta.entry;
        }
        let base = self.loaded()?;
        base.binary_search_by_key(&uid, |entry| entry.uid).ok().map(|at| base[at])
    }

    /// What has changed since the base was written.
    pub(crate) fn changed(&self, uid: Uid) -> bool {
        self.delta.contains_key(&uid)
    }

    /// `base` with all that has changed since.
    pub(crate) fn merged<'a>(&'a self, base: &'a [Entry]) -> impl Iterator<Item = Entry> + use<'a> {
        Merged { base: base.iter().peekable(), delta: self.delta.range(..).peekable() }
    }

    pub(super) fn place(&self, uid: Uid) -> Option<Place> {
        self.entry(uid).map(|entry| entry.place)
    }
}

struct Merged<'a> {
    base: Peekable<Iter<'a, Entry>>,
    delta: Peekable<Range<'a, Uid, Delta>>,
}

impl Iterator for Merged<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let delta = self.delta.peek().map(|(uid, _)| **uid);
            match (self.base.peek(), delta) {
                (Some(base), Some(uid)) if base.uid == uid => _ = self.base.next(),
                (Some(base), Some(uid)) if base.uid < uid => return self.base.next().copied(),
                (Some(_), None) => return self.base.next().copied(),
                (_, Some(_)) => {
                    if let Some((_, Delta { entry: Some(entry), .. })) = self.delta.next() {
                        return Some(*entry);
                    }
                }
                (None, None) => return None,
            }
        }
    }
}
