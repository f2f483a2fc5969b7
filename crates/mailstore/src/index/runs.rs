//! A sorted map for a million small entries: full runs in order, shared between a map and its copies.

use std::sync::Arc;

/// A map in rising order of keys.
///
/// What comes in rising order fills each run to its end, so an entry costs little more than its own octets, where a B-tree
/// would leave half of each node empty. A clone shares all runs, and each is copied when one side changes it: so a snapshot
/// can be written, step by step, of a map that goes on changing, and any number of sessions can look at it as it once was.
#[derive(Clone, Debug)]
pub(crate) struct Runs<K, V> {
    runs: Arc<Vec<Run<K, V>>>,
    length: usize,
}

/// Some entries in order, at least one, shared by all maps that have them.
pub(crate) type Run<K, V> = Arc<Vec<(K, V)>>;

impl<K, V> Default for Runs<K, V> {
    fn default() -> Self {
        Self { runs: Arc::default(), length: 0 }
    }
}

impl<K: Clone + Ord, V: Clone> Runs<K, V> {
    pub(crate) const fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        let (run, at) = self.find(key);
        at.ok().map(|at| &self.runs[run][at].1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let (run, at) = self.find(key);
        at.ok().map(|at| &mut Arc::make_mut(&mut Arc::make_mut(&mut self.runs)[run])[at].1)
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let (run, at) = self.find(&key);
        let runs = Arc::make_mut(&mut self.runs);
        let at = match at {
            Ok(at) => {
                let entry = &mut Arc::make_mut(&mut runs[run])[at];
                return Some(core::mem::replace(&mut entry.1, value));
            }
            Err(at) => at,
        };
        self.length += 1;
        let last = runs.len().saturating_sub(1);
        match runs.get_mut(run) {
            None => runs.push(Arc::new(vec![(key, value)])),
            Some(full) if full.len() >= RUN => {
                if run == last && at == RUN {
                    runs.push(Arc::new(vec![(key, value)]));
                } else {
                    let mut upper = Arc::make_mut(full).split_off(RUN / 2);
                    if at > RUN / 2 {
                        upper.insert(at - RUN / 2, (key, value));
                    } else {
                        Arc::make_mut(full).insert(at, (key, value));
                    }
                    runs.insert(run + 1, Arc::new(upper));
                }
            }
            Some(run) => Arc::make_mut(run).insert(at, (key, value)),
        }
        None
    }

    /// Adds entries behind all that there are; false where one is `None` or not higher than the one before.
    pub(crate) fn append(&mut self, entries: impl ExactSizeIterator<Item = Option<(K, V)>>) -> bool {
        let runs = Arc::make_mut(&mut self.runs);
        let begun = runs.pop_if(|last| last.len() < RUN).map(Arc::unwrap_or_clone);
        let mut left = entries.len();
        let mut run = begun.unwrap_or_default();
        let mut in_order = true;
        for entry in entries {
            let last = run.last().or_else(|| runs.last().and_then(|full| full.last()));
            let Some(entry) = entry.filter(|(key, _)| last.is_none_or(|(before, _)| before < key)) else {
                in_order = false;
                break;
            };
            if run.is_empty() {
                run.reserve_exact(left.min(RUN));
            }
            left -= 1;
            self.length += 1;
            run.push(entry);
            if run.len() == RUN {
                runs.push(Arc::new(core::mem::take(&mut run)));
            }
        }
        if !run.is_empty() {
            runs.push(Arc::new(run));
        }
        in_order
    }

    /// Keeps those entries only.
    pub(crate) fn retain(&mut self, keep: impl Fn(&V) -> bool) {
        let kept: Vec<_> = self.iter().filter(|(_, value)| keep(value)).collect();
        let mut all = Self::default();
        all.append(kept.into_iter().map(|(key, value)| Some((key.clone(), value.clone()))));
        *self = all;
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let (run, at) = self.find(key);
        let at = at.ok()?;
        self.length -= 1;
        let (_, value) = Arc::make_mut(&mut Arc::make_mut(&mut self.runs)[run]).remove(at);
        self.shrink(run);
        Some(value)
    }

    /// The runs themselves: what two maps have not changed since one was a clone of the other, they share.
    pub(crate) fn runs(&self) -> &[Run<K, V>] {
        &self.runs
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.runs.iter().flat_map(|run| run.iter().map(|(key, value)| (key, value)))
    }

    pub(crate) fn last(&self) -> Option<&K> {
        self.runs.last().and_then(|run| run.last()).map(|(key, _)| key)
    }

    /// The entries at `from` or behind it.
    pub(crate) fn from<'a>(&'a self, from: &K) -> impl Iterator<Item = (&'a K, &'a V)> + use<'a, K, V> {
        let (run, at) = self.find(from);
        let at = at.unwrap_or_else(|at| at);
        let runs = self.runs.get(run..).unwrap_or_default();
        runs.iter().enumerate().flat_map(move |(index, run)| {
            run[if index == 0 { at } else { 0 }..].iter().map(|(key, value)| (key, value))
        })
    }

    /// The run that holds the key, or is to hold it; and where it is or belongs there.
    fn find(&self, key: &K) -> (usize, Result<usize, usize>) {
        // What comes in order, as all of a snapshot does, need not be looked for.
        if let Some(last) = self.runs.last()
            && last.last().is_some_and(|(of, _)| of < key)
        {
            return (self.runs.len() - 1, Err(last.len()));
        }
        let run = self.runs.partition_point(|run| run[0].0 <= *key).saturating_sub(1);
        let at = self.runs.get(run).map_or(Err(0), |run| run.binary_search_by(|(of, _)| of.cmp(key)));
        (run, at)
    }

    /// Two small neighbours become one; an empty run goes.
    fn shrink(&mut self, run: usize) {
        let runs = Arc::make_mut(&mut self.runs);
        if runs[run].is_empty() {
            runs.remove(run);
            return;
        }
        let next = run + 1;
        if next < runs.len() && runs[run].len() + runs[next].len() <= RUN / 2 {
            let upper = runs.remove(next);
            Arc::make_mut(&mut runs[run]).extend_from_slice(&upper);
        }
    }
}

/// Entries in a full run: what one change moves at most, and what it copies while a snapshot is written.
const RUN: usize = 256;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn it_is_a_map() {
        let (mut runs, mut model, mut x) = (Runs::default(), BTreeMap::new(), 1_u64);
        for step in 0..60_000_u64 {
            x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = if step < 9_000 { step } else { (x >> 33) % 12_000 };
            let removes = if step < 40_000 { 2 } else { 7 };
            if step >= 9_000 && (x >> 20) % 10 < removes {
                assert_eq!(runs.remove(&key), model.remove(&key));
            } else {
                assert_eq!(runs.insert(key, step), model.insert(key, step));
            }
            if step % 5_000 == 0 {
                assert!(runs.iter().eq(model.iter()));
                assert!(runs.from(&key).eq(model.range(key..)));
                assert_eq!(runs.len(), model.len());
                assert_eq!(runs.last(), model.keys().next_back());
            }
            assert_eq!(runs.get(&key), model.get(&key));
        }
        assert!(runs.runs.len() < 40 + 4 * model.len() / RUN);
    }

    #[test]
    fn what_comes_in_order_fills_its_runs() {
        let mut runs = Runs::default();
        for key in 0..10 * RUN as u64 {
            runs.insert(key, ());
        }
        assert_eq!(runs.runs.len(), 10);
    }

    #[test]
    fn what_is_appended_is_behind_the_rest_and_in_order() {
        for begun in [0, 1, 100, RUN - 1, RUN, RUN + 1, 3 * RUN] {
            let mut runs = Runs::default();
            for key in 0..begun {
                runs.insert(key, ());
            }
            let all = begun + 2 * RUN + 7;
            assert!(runs.append((begun..all).map(|key| Some((key, ())))));
            assert!(runs.iter().map(|(key, ())| *key).eq(0..all));
            assert_eq!((runs.len(), runs.runs.len()), (all, all.div_ceil(RUN)));
            for wrong in [vec![None], vec![Some((all - 1, ()))], vec![Some((all, ())), Some((all, ()))]] {
                assert!(!runs.clone().append(wrong.into_iter()));
            }
        }
    }

    #[test]
    fn a_copy_does_not_change() {
        let mut runs = Runs::default();
        for key in 0..1_000 {
            runs.insert(key, 0);
        }
        let copy = runs.clone();
        for key in 0..1_000 {
            *runs.get_mut(&key).expect("there") = 1;
        }
        assert!(copy.iter().all(|(_, value)| *value == 0));
    }
}
