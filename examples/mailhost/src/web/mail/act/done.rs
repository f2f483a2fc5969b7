//! What somebody has done last, so that the next page can say it and offer to undo it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mailstore::mailbox::{MailboxId, Uid};

/// The last deed of each session.
#[derive(Default)]
pub(in crate::web) struct Deeds(Mutex<Kept>);

/// The number of the last deed of all, and the last one of each session with its own.
type Kept = (u64, BTreeMap<String, (u64, Done)>);

/// Something that was done, or could not be done.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::web::mail) struct Done {
    /// What is said of it.
    pub(in crate::web::mail) text: String,
    /// It was not done.
    pub(in crate::web::mail) refused: bool,
    pub(in crate::web::mail) undo: Option<Undo>,
}

/// How it is undone: these messages go back.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::web::mail) struct Undo {
    /// Where they are.
    pub(in crate::web::mail) from: MailboxId,
    /// Where they were.
    pub(in crate::web::mail) to: MailboxId,
    /// Which, as [`written`] has them.
    pub(in crate::web::mail) uids: String,
}

impl Done {
    /// It was done, and there is no way back.
    pub(in crate::web::mail) const fn new(text: String) -> Self {
        Self { text, refused: false, undo: None }
    }

    /// It was not done, for this reason.
    pub(in crate::web::mail) const fn refused(why: String) -> Self {
        Self { text: why, refused: true, undo: None }
    }
}

impl Deeds {
    /// Keeps the last deed of a session; gives the number that the next page asks with.
    pub(super) fn keep(&self, session: &str, done: Done) -> u64 {
        let mut deeds = self.lock();
        let (last, all) = &mut *deeds;
        *last += 1;
        all.insert(session.to_owned(), (*last, done));
        if all.len() > MOST {
            let oldest =
                all.iter().min_by_key(|(_, (number, _))| *number).map(|(session, _)| session.clone());
            oldest.map(|oldest| all.remove(&oldest));
        }
        *last
    }

    /// The deed of this number, if it is the last one of the session.
    pub(in crate::web::mail) fn get(&self, session: &str, number: &str) -> Option<Done> {
        let number: u64 = number.parse().ok()?;
        let deeds = self.lock();
        deeds.1.get(session).filter(|(of, _)| *of == number).map(|(_, done)| done.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Deeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deeds").finish_non_exhaustive()
    }
}

/// Identifiers of messages as a text: `4,7-9`.
pub(in crate::web) fn written(uids: impl IntoIterator<Item = Uid>) -> String {
    let mut uids: Vec<u32> = uids.into_iter().map(Uid::get).collect();
    uids.sort_unstable();
    let mut ranges = Vec::<RangeInclusive<u32>>::new();
    for uid in uids {
        match ranges.last_mut() {
            Some(last) if uid - last.end() <= 1 => *last = *last.start()..=uid,
            _ => ranges.push(uid..=uid),
        }
    }
    let text = |range: &RangeInclusive<u32>| match range.start() == range.end() {
        true => range.start().to_string(),
        false => format!("{}-{}", range.start(), range.end()),
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

/// What [`written`] has written. `None` for anything else: what names a message twice would have it looked for twice.
pub(in crate::web) fn read(text: &str) -> Option<Vec<RangeInclusive<Uid>>> {
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut ranges = Vec::<RangeInclusive<Uid>>::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let uid = |number: &str| Uid::new(number.parse().ok()?);
        let (first, last) = (uid(first)?, uid(last)?);
        if first > last || ranges.last().is_some_and(|before| *before.end() >= first) {
            return None;
        }
        ranges.push(first..=last);
    }
    Some(ranges)
}

/// Sessions whose last deed is kept.
const MOST: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn done(text: &str) -> Done {
        Done::new(text.to_owned())
    }

    #[test]
    fn the_last_deed_of_a_session_is_told_to_it_alone() {
        let deeds = Deeds::default();
        let first = deeds.keep("a", done("one")).to_string();
        let second = deeds.keep("a", done("two")).to_string();
        assert_eq!(deeds.get("a", &first), None);
        assert_eq!(deeds.get("a", &second), Some(done("two")));
        assert_eq!(deeds.get("b", &second), None);
        for wrong in ["", "x", "0"] {
            assert_eq!(deeds.get("a", wrong), None);
        }
        for number in 0..MOST {
            deeds.keep(&format!("s{number}"), done("other"));
        }
        assert_eq!(deeds.get("a", &second), None, "it has made room");
        assert_eq!(deeds.lock().1.len(), MOST);
    }

    #[test]
    fn identifiers_are_written_and_read() {
        let uids =
            |numbers: &[u32]| numbers.iter().map(|number| Uid::new(*number).unwrap()).collect::<Vec<_>>();
        assert_eq!(written(uids(&[])), "");
        assert_eq!(written(uids(&[1, 3])), "1,3", "what is between two is not meant");
        assert_eq!(written(uids(&[9, 4, 7, 8, u32::MAX, 4])), format!("4,7-9,{}", u32::MAX));
        let range = |first, last| Uid::new(first).unwrap()..=Uid::new(last).unwrap();
        assert_eq!(read("4,7-9"), Some(vec![range(4, 4), range(7, 9)]));
        assert_eq!(read(""), Some(vec![]));
        for bad in ["0", "x", "9-7", "1,", "1-2-3", "-1", "4294967296", "7-9,4", "1-9,9", "4,4"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
