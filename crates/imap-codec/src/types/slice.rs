//! Slices that are borrowed or owned.

use core::fmt;
use core::ops::Deref;

/// Values of a response: borrowed where one is written, owned where one is read.
///
/// `Cow<[T]>` would do the same, but is invariant in `T`: what was read could not be used where less is asked for.
#[derive(Clone)]
pub enum Slice<'a, T> {
    /// Somebody else's.
    Borrowed(&'a [T]),
    /// Its own.
    Owned(Vec<T>),
}

impl<T> Deref for Slice<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Borrowed(slice) => slice,
            Self::Owned(slice) => slice,
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Slice<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: PartialEq> PartialEq for Slice<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Eq> Eq for Slice<'_, T> {}

impl<T> Default for Slice<'_, T> {
    fn default() -> Self {
        Self::Borrowed(&[])
    }
}

impl<T> From<Vec<T>> for Slice<'_, T> {
    fn from(slice: Vec<T>) -> Self {
        Self::Owned(slice)
    }
}

impl<'a, T> From<&'a [T]> for Slice<'a, T> {
    fn from(slice: &'a [T]) -> Self {
        Self::Borrowed(slice)
    }
}
