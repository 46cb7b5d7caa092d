//! Chance under a seed.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// A source of chance; clones draw from the same one.
#[derive(Debug, Clone)]
pub struct Chance(Arc<Mutex<ChaCha8Rng>>);

impl Chance {
    /// The same seed gives the same draws.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed))))
    }

    /// A source of its own, that starts from a draw of this one.
    pub fn fork(&self) -> Self {
        Self::new(self.bits())
    }

    /// 64 bits.
    pub fn bits(&self) -> u64 {
        self.0.lock().next_u64()
    }

    /// A number below `end`; 0 where `end` is 0.
    pub fn below(&self, end: u64) -> u64 {
        let bits = self.bits();
        if end == 0 { 0 } else { bits % end }
    }

    /// A number from `first` to `last`, both possible.
    pub fn within(&self, first: u64, last: u64) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// True so many times in a thousand.
    pub fn hits(&self, per_mille: u32) -> bool {
        self.below(1_000) < u64::from(per_mille)
    }

    /// A duration of whole milliseconds.
    pub fn millis(&self, first: u64, last: u64) -> Duration {
        Duration::from_millis(self.within(first, last))
    }

    /// One of `items`, if there is one.
    pub fn pick<'a, T>(&self, items: &'a [T]) -> Option<&'a T> {
        let index = self.below(items.len() as u64) as usize;
        items.get(index)
    }
}
