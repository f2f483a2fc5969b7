//! Bodies: where they lie, their structures, and how many hold each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Place, Runs};
use crate::journal::segment::Live;
use crate::message::{BodyId, Stretch};

/// All bodies of a store. A clone shares what does not change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bodies {
    pub(crate) inline: Runs<u64, Inline>,
    pub(crate) large: Runs<u64, Large>,
    /// What the caller has found out about the structure of a body, where there is such a thing.
    pub(crate) structures: Runs<u64, Place>,
}

/// A body in the journal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Inline {
    pub(crate) place: Place,
    pub(crate) holders: u32,
}

/// A body in a file of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Large {
    pub(crate) size: u64,
    /// The segment with its record.
    pub(crate) segment: u32,
    pub(crate) holders: u32,
}

/// The salts of the segments that count, by rising number.
#[derive(Clone, Debug)]
pub(crate) struct Salts(Arc<[(u32, u64)]>);

impl Salts {
    pub(crate) fn new(live: &[Live]) -> Self {
        let number = |live: &Live| crate::journal::recovery::number(live.number);
        Self(live.iter().map(|live| (number(live), live.salt)).collect())
    }

    /// The salt of a segment. One that is not listed has been lost, and no salt fits.
    pub(crate) fn of(&self, segment: u32) -> u64 {
        self.0.binary_search_by_key(&segment, |(number, _)| *number).map_or(0, |at| self.0[at].1)
    }
}

/// What has to be known beside the messages of a mailbox to find their octets.
#[derive(Debug)]
pub(crate) struct Ground {
    pub(crate) bodies: Bodies,
    pub(crate) salts: Salts,
}

impl Bodies {
    pub(crate) fn size(&self, body: BodyId) -> Option<u64> {
        let inline = self.inline.get(&body.0).map(|body| u64::from(body.place.length));
        inline.or_else(|| self.large.get(&body.0).map(|body| body.size))
    }

    pub(crate) fn is_in_file(&self, body: BodyId) -> bool {
        self.large.get(&body.0).is_some()
    }

    /// All that lie in files of their own, with their sizes.
    pub(crate) fn in_files(&self) -> impl Iterator<Item = (BodyId, u64)> {
        self.large.iter().map(|(id, body)| (BodyId(*id), body.size))
    }

    /// Where a body lies.
    pub(crate) fn content(&self, body: BodyId, salts: &Salts) -> Option<Stretch> {
        if let Some(inline) = self.inline.get(&body.0) {
            return Some(Stretch::record(inline.place, BODY_FIXED, salts));
        }
        self.large.get(&body.0).map(|large| Stretch::file(body, large.size))
    }

    /// Where the structure of a body lies.
    pub(crate) fn structure(&self, body: BodyId, salts: &Salts) -> Option<Stretch> {
        self.structures.get(&body.0).map(|place| Stretch::record(*place, BODY_FIXED, salts))
    }

    /// One more holds it.
    pub(super) fn hold(&mut self, body: BodyId) {
        if let Some(body) = self.inline.get_mut(&body.0) {
            body.holders += 1;
        } else if let Some(body) = self.large.get_mut(&body.0) {
            body.holders += 1;
        }
    }

    /// One less holds it. True if nobody does any more.
    pub(super) fn let_go(&mut self, body: BodyId) -> bool {
        let holders = match self.inline.get_mut(&body.0) {
            Some(body) => &mut body.holders,
            None => match self.large.get_mut(&body.0) {
                Some(body) => &mut body.holders,
                None => return false,
            },
        };
        *holders = holders.saturating_sub(1);
        *holders == 0
    }

    /// Those that nobody holds.
    pub(super) fn unused(&self) -> impl Iterator<Item = BodyId> {
        let inline = self.inline.iter().filter(|(_, body)| body.holders == 0).map(|(id, _)| BodyId(*id));
        let large = self.large.iter().filter(|(_, body)| body.holders == 0).map(|(id, _)| BodyId(*id));
        inline.chain(large)
    }

    /// What damage has left of bodies that are gone.
    pub(super) fn drop_lost_structures(&mut self) -> BTreeMap<u64, Place> {
        let lost: BTreeMap<u64, Place> = self
            .structures
            .iter()
            .filter(|(id, _)| self.size(BodyId(**id)).is_none())
            .map(|(id, place)| (*id, *place))
            .collect();
        for id in lost.keys() {
            self.structures.remove(id);
        }
        lost
    }
}

/// Octets of the record of a body, or of its structure, in front of what it holds.
pub(crate) const BODY_FIXED: u16 = 8;
