//! A set of small numbers as bits: a thousand agents are sixteen words.

const WORD: usize = u64::BITS as usize;

/// A set of slots.
#[derive(Debug, Clone, Default)]
pub struct Bits(Vec<u64>);

impl Bits {
    /// Puts a slot in.
    pub fn set(&mut self, slot: u32) {
        let word = slot as usize / WORD;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (slot as usize % WORD);
    }

    /// Takes a slot out.
    pub fn unset(&mut self, slot: u32) {
        if let Some(word) = self.0.get_mut(slot as usize / WORD) {
            *word &= !(1 << (slot as usize % WORD));
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    /// Whether a slot is in.
    pub fn contains(&self, slot: u32) -> bool {
        let word = self.0.get(slot as usize / WORD).copied().unwrap_or(0);
        word >> (slot as usize % WORD) & 1 == 1
    }

    /// How many are in.
    pub fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether none is in.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Adds everything that is in `other`.
    pub fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (word, more) in self.0.iter_mut().zip(&other.0) {
            *word |= more;
        }
    }

    /// What is in both.
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.iter().zip(&other.0).map(|(one, two)| one & two).collect())
    }

    /// What is in this one only.
    pub fn without(&self, other: &Self) -> Self {
        let others = other.0.iter().copied().chain(std::iter::repeat(0));
        Self(self.0.iter().zip(others).map(|(one, two)| one & !two).collect())
    }

    /// The slots in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().enumerate().flat_map(|(index, word)| {
            let mut left = *word;
            std::iter::from_fn(move || {
                let bit = (left != 0).then(|| left.trailing_zeros())?;
                left &= left - 1;
                Some((index * WORD) as u32 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn bits(set: &BTreeSet<u32>) -> Bits {
        let mut bits = Bits::default();
        set.iter().for_each(|slot| bits.set(*slot));
        bits
    }

    proptest! {
        #[test]
        fn they_are_sets(
            one in prop::collection::btree_set(0_u32..200, 0..50),
            two in prop::collection::btree_set(0_u32..200, 0..50),
        ) {
            let (a, b) = (bits(&one), bits(&two));
            let all = |bits: &Bits| bits.iter().collect::<BTreeSet<u32>>();
            prop_assert_eq!(&all(&a), &one);
            prop_assert_eq!(all(&a.and(&b)), &one & &two);
            prop_assert_eq!(all(&a.without(&b)), &one - &two);
            let mut sum = a.clone();
            sum.add(&b);
            prop_assert_eq!(all(&sum), &one | &two);
            prop_assert_eq!(a.count(), one.len());
            for slot in 0..200 {
                prop_assert_eq!(a.contains(slot), one.contains(&slot));
            }
            let mut none = a;
            one.iter().for_each(|slot| none.unset(*slot));
            prop_assert!(none.is_empty() && none.count() == 0);
        }
    }
}
