//! What looks like chance: a keyed hash of who and how often, so that it is the same after a restart.

/// A key that nobody outside knows.
#[derive(Clone, Copy)]
pub(crate) struct Seed(u64);

impl core::fmt::Debug for Seed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Seed(..)")
    }
}

impl Seed {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SipHash-2-4 of three numbers. It cannot be turned round: who sees a boundary does not know the next one.
    pub(crate) fn hash(self, use_: u64, message: u64, count: u64) -> u64 {
        let (k0, k1) = (self.0, self.0.rotate_left(32) ^ 0x706f_7374_7269_6465);
        let mut v = [
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ];
        for word in [use_, message, count, 24 << 56] {
            v[3] ^= word;
            round(&mut v);
            round(&mut v);
            v[0] ^= word;
        }
        v[2] ^= 0xff;
        for _ in 0..4 {
            round(&mut v);
        }
        v[0] ^ v[1] ^ v[2] ^ v[3]
    }
}

fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

/// What a hash is for.
pub(crate) const JITTER: u64 = 1;
pub(crate) const BOUNDARY: u64 = 2;
pub(crate) const NAME: u64 = 4;
