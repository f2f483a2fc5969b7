//! Keys of the caller's records, sixteen octets each as long as they are short.

use core::cmp::Ordering;

use bytes::Bytes;

/// A key. Up to 14 octets it costs no allocation.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    Short(u8, [u8; SHORT]),
    // A thin pointer: a fat one would make short keys larger, too.
    Long(Box<Box<[u8]>>),
}

impl Key {
    pub(crate) fn new(octets: &[u8]) -> Self {
        match u8::try_from(octets.len()) {
            Ok(length) if octets.len() <= SHORT => {
                let mut short = [0; SHORT];
                short[..octets.len()].copy_from_slice(octets);
                Self::Short(length, short)
            }
            _ => Self::Long(Box::new(octets.into())),
        }
    }

    pub(crate) fn octets(&self) -> &[u8] {
        match self {
            Self::Short(length, octets) => &octets[..usize::from(*length)],
            Self::Long(octets) => octets,
        }
    }

    pub(crate) fn to_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.octets())
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.octets() == other.octets()
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.octets().cmp(other.octets())
    }
}

const SHORT: usize = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_small_and_ordered_as_their_octets() {
        assert_eq!(size_of::<Key>(), 16);
        let mut keys: Vec<Vec<u8>> = (0..40).map(|n| vec![n % 3; n as usize % 20]).collect();
        let mut made: Vec<_> = keys.iter().map(|key| Key::new(key)).collect();
        keys.sort();
        made.sort();
        assert!(made.iter().map(Key::octets).eq(keys.iter().map(|key| &key[..])));
    }
}
