//! The best so many of many.
//!
//! Invariant: the same ones whatever the order in which they came: a higher score is better, and of
//! equal scores the smaller key.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// An entry with a score.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranked<K> {
    pub(crate) score: f32,
    pub(crate) key: K,
    pub(crate) entry: u32,
    /// What its filter said.
    pub(crate) prior: f32,
}

/// The greatest is the worst, so that a heap shows that one.
impl<K: Ord> Ord for Ranked<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.score.total_cmp(&self.score).then_with(|| self.key.cmp(&other.key))
    }
}

impl<K: Ord> PartialOrd for Ranked<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<K: Ord> PartialEq for Ranked<K> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl<K: Ord> Eq for Ranked<K> {}

/// The best of what was offered.
#[derive(Debug)]
pub(crate) struct Best<K> {
    heap: BinaryHeap<Ranked<K>>,
    room: usize,
}

impl<K: Copy + Ord> Best<K> {
    /// Room for so many.
    pub(crate) fn new(room: usize) -> Self {
        Self { heap: BinaryHeap::with_capacity(room.min(4_096) + 1), room }
    }

    /// Offers an entry. Only one that is good enough is asked of `filter`, which is what makes a
    /// filter cheap: the score decides first, and what it lets through is still the best that pass.
    pub(crate) fn offer(
        &mut self,
        score: f32,
        key: K,
        entry: u32,
        filter: &mut impl FnMut(K) -> Option<f32>,
    ) {
        let ranked = Ranked { score, key, entry, prior: 1.0 };
        let full = self.heap.len() >= self.room;
        if full && self.heap.peek().is_none_or(|worst| ranked >= *worst) {
            return;
        }
        let Some(prior) = filter(key) else { return };
        if full {
            self.heap.pop();
        }
        self.heap.push(Ranked { prior, ..ranked });
    }

    /// What a score must reach to be of interest.
    pub(crate) fn least(&self) -> f32 {
        match self.heap.peek() {
            Some(worst) if self.heap.len() >= self.room => worst.score,
            _ => f32::NEG_INFINITY,
        }
    }

    /// The best first.
    pub(crate) fn into_sorted(self) -> Vec<Ranked<K>> {
        self.heap.into_sorted_vec()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_best_are_those_of_a_full_sort_of_what_passes(
            scores in prop::collection::vec(0_u8..8, 0..60), room in 0_usize..12, modulus in 1_u32..5,
        ) {
            let mut best = Best::new(room);
            for (key, score) in scores.iter().enumerate() {
                let key = key as u32;
                best.offer(f32::from(*score), key, key, &mut |key| {
                    key.is_multiple_of(modulus).then_some(1.0)
                });
            }
            let mut wanted: Vec<(u32, u32)> =
                (0_u32..).zip(&scores).map(|(key, score)| (8 - u32::from(*score), key)).collect();
            wanted.retain(|(_, key)| key.is_multiple_of(modulus));
            wanted.sort_unstable();
            wanted.truncate(room);
            let keys: Vec<u32> = best.into_sorted().iter().map(|ranked| ranked.key).collect();
            prop_assert_eq!(keys, wanted.iter().map(|(_, key)| *key).collect::<Vec<_>>());
        }
    }
}
