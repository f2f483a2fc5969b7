//! The messages of a mailbox as they were at one moment, shared by all who look at it.

use core::fmt;
use core::ops::{Range, RangeInclusive};
use std::sync::Arc;

use super::Uid;
use crate::index::{Entry, Facts, Ground, Runs};
use crate::message::Message;

/// Messages by rising [`Uid`]. A clone costs nothing, and two moments of a mailbox share what has not changed between.
///
/// Those of [`Store::load_newest`](crate::Store::load_newest) have their places in the mailbox, and the oldest may be
/// [missing](Self::missing): they are not found, and not gone through.
#[derive(Clone)]
pub struct Messages {
    runs: Runs<Uid, Facts>,
    missing: usize,
    /// Where each run begins, counted in messages.
    starts: Arc<[usize]>,
    ground: Arc<Ground>,
}

/// How a mailbox differs from what it was.
#[derive(Clone, Debug)]
pub enum Change {
    /// This message is no longer there. It was at `index` of the older messages.
    Gone {
        /// Where it was.
        index: usize,
        /// Which.
        uid: Uid,
    },
    /// This message has other flags.
    Changed {
        /// Where it is in the newer messages.
        index: usize,
        /// As it is now.
        message: Message,
    },
    /// This message has come.
    Came {
        /// Where it is in the newer messages.
        index: usize,
        /// As it is now.
        message: Message,
    },
}

impl Messages {
    pub(crate) fn new(runs: Runs<Uid, Facts>, missing: usize, ground: Arc<Ground>) -> Self {
        let mut next = missing;
        let start = |run: &Arc<Vec<_>>| {
            next += run.len();
            next - run.len()
        };
        let starts = runs.runs().iter().map(start).collect();
        Self { runs, missing, starts, ground }
    }

    /// How many there are, missing ones included.
    pub const fn len(&self) -> usize {
        self.missing + self.runs.len()
    }

    /// How many of the oldest are not here: none, unless only the newest were asked for.
    pub const fn missing(&self) -> usize {
        self.missing
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The message at this place, from 0.
    pub fn get(&self, index: usize) -> Option<Message> {
        let run = self.starts.partition_point(|start| *start <= index).checked_sub(1)?;
        let (uid, facts) = self.runs.runs()[run].get(index - self.starts[run])?;
        Some(self.message(*uid, facts))
    }

    /// The message with this identifier.
    pub fn find(&self, uid: Uid) -> Option<Message> {
        self.runs.get(&uid).map(|facts| self.message(uid, facts))
    }

    /// Where the message with this identifier is.
    pub fn index_of(&self, uid: Uid) -> Option<usize> {
        let index = self.from(uid);
        self.uid(index).filter(|found| *found == uid).map(|_| index)
    }

    /// Where the messages with these identifiers are; empty where there are none. What is missing is not in it.
    pub fn range(&self, uids: RangeInclusive<Uid>) -> Range<usize> {
        let from = self.from(*uids.start());
        let to = uids.end().next().map_or(self.len(), |next| self.from(next));
        from..to.max(from)
    }

    /// All of them that are here.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Message> {
        self.runs.runs().iter().flat_map(|run| run.iter()).map(|(uid, facts)| self.message(*uid, facts))
    }

    /// Those at these places; places beyond the end, and of what is missing, do not count.
    pub fn slice(&self, range: Range<usize>) -> impl Iterator<Item = Message> {
        let range = range.start.max(self.missing)..range.end;
        let run = self.starts.partition_point(|start| *start <= range.start).saturating_sub(1);
        let skip = range.start - self.starts.get(run).copied().unwrap_or(0).min(range.start);
        let rest = self.runs.runs().get(run..).unwrap_or_default();
        let wanted = rest.iter().flat_map(|run| run.iter()).skip(skip).take(range.len());
        wanted.map(|(uid, facts)| self.message(*uid, facts))
    }

    /// What has changed since `older`, an earlier moment of the same mailbox, by rising identifier. Neither may miss any: what is
    /// missing in one of them counts as not there.
    ///
    /// What the two share is not looked at: after one change among a million messages this takes some microseconds.
    pub fn changes_since<'a>(&'a self, older: &'a Self) -> impl Iterator<Item = Change> + use<'a> {
        let (mut new, mut old) = (Cursor::new(self), Cursor::new(older));
        core::iter::from_fn(move || {
            loop {
                if new.skip_shared(&mut old) {
                    continue;
                }
                let (now, before) = (new.peek(), old.peek());
                match (now, before) {
                    (None, None) => return None,
                    (Some((uid, facts)), Some((of, was))) if uid == of => {
                        let index = new.next();
                        old.next();
                        if facts.mod_seq != was.mod_seq {
                            return Some(Change::Changed { index, message: self.message(*uid, facts) });
                        }
                    }
                    (Some((uid, facts)), before) if before.is_none_or(|(of, _)| uid < of) => {
                        return Some(Change::Came { index: new.next(), message: self.message(*uid, facts) });
                    }
                    (_, Some((uid, _))) => return Some(Change::Gone { index: old.next(), uid: *uid }),
                    (Some(_), None) => return None,
                }
            }
        })
    }

    /// Where the first message is that has this identifier or a higher one.
    fn from(&self, uid: Uid) -> usize {
        let runs = self.runs.runs();
        let run = runs.partition_point(|run| run[0].0 <= uid).saturating_sub(1);
        let within = runs.get(run).map_or(0, |run| run.partition_point(|(of, _)| *of < uid));
        self.starts.get(run).map_or(self.missing, |start| start + within)
    }

    fn uid(&self, index: usize) -> Option<Uid> {
        let run = self.starts.partition_point(|start| *start <= index).checked_sub(1)?;
        self.runs.runs()[run].get(index - self.starts[run]).map(|(uid, _)| *uid)
    }

    fn message(&self, uid: Uid, facts: &Facts) -> Message {
        Message::new(Entry { uid, facts: *facts }, self.ground.clone())
    }
}

impl fmt::Debug for Messages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages")
            .field("len", &self.len())
            .field("missing", &self.missing)
            .finish_non_exhaustive()
    }
}

/// A place in the messages of one moment.
struct Cursor<'a> {
    runs: &'a [Arc<Vec<(Uid, Facts)>>],
    run: usize,
    within: usize,
    index: usize,
}

impl<'a> Cursor<'a> {
    fn new(of: &'a Messages) -> Self {
        Self { runs: of.runs.runs(), run: 0, within: 0, index: of.missing }
    }

    fn peek(&self) -> Option<&'a (Uid, Facts)> {
        self.runs.get(self.run).and_then(|run| run.get(self.within))
    }

    /// Moves on. Gives where it was.
    fn next(&mut self) -> usize {
        let was = self.index;
        if let Some(run) = self.runs.get(self.run) {
            self.index += 1;
            self.within += 1;
            if self.within == run.len() {
                (self.run, self.within) = (self.run + 1, 0);
            }
        }
        was
    }

    /// Moves both behind a run that both have; false if they do not stand in front of one.
    fn skip_shared(&mut self, other: &mut Self) -> bool {
        if self.within > 0 || other.within > 0 {
            return false;
        }
        match (self.runs.get(self.run), other.runs.get(other.run)) {
            (Some(mine), Some(theirs)) if Arc::ptr_eq(mine, theirs) => {
                self.index += mine.len();
                other.index += mine.len();
                (self.run, other.run) = (self.run + 1, other.run + 1);
                true
            }
            _ => false,
        }
    }
}
