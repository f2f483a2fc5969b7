//! Everything that is left to chance, drawn from one seed.

use std::time::Duration;

use mailstore::sim::Random;

/// A stream of numbers of its own: what one part of the world draws does not change what another one draws.
#[derive(Clone, Debug)]
pub struct Dice(Random);

impl Dice {
    /// The stream of this name under this seed.
    pub fn new(seed: u64, name: &str) -> Self {
        let mixed = name.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, |sum, octet| {
            (sum ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23)
        });
        Self(Random::new(mixed))
    }

    /// A number below `end`; zero if there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0.below(usize::try_from(end.max(1)).unwrap_or(usize::MAX)) as u64
    }

    /// A number from `least` to `most`.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    /// True so many times in a thousand.
    pub fn chance(&mut self, permille: u64) -> bool {
        self.below(1_000) < permille
    }

    /// A time within these bounds.
    pub fn time(&mut self, least: Duration, most: Duration) -> Duration {
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.between(millis(least), millis(most)))
    }

    /// One of them; there has to be one.
    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.index(from.len())]
    }

    /// An index of a list of this length.
    pub fn index(&mut self, length: usize) -> usize {
        self.0.below(length.max(1))
    }

    /// Fills with octets.
    pub fn fill(&mut self, octets: &mut [u8]) {
        for octet in octets {
            *octet = self.below(256) as u8;
        }
    }
}
