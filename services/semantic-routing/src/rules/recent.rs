//! A map of bounded size: the entry that was used longest ago makes room for a new one.
//!
//! Invariants: never more entries than the bound; an entry keeps its slot for as long as it lives,
//! so that other tables may be laid out by slot.

pub mod order;

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use order::Order;

/// Entries by key and by slot.
#[derive(Debug)]
pub struct Recent<K, V> {
    max_entries: usize,
    slots: HashMap<K, u32>,
    entries: Vec<Option<(K, V)>>,
    free: Vec<u32>,
    order: Order,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    /// An empty map of at most `max_entries`, and at least one.
    pub fn new(max_entries: usize) -> Self {
        Self {
            max_entries: max_entries.max(1),
            slots: HashMap::new(),
            entries: Vec::new(),
            free: Vec::new(),
            order: Order::default(),
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Looks without using.
    pub fn get<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.at(self.slot(key)?).map(|(_, value)| value)
    }

    /// Changes without using.
    pub fn get_mut<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let slot = self.slot(key)?;
        self.entries[slot as usize].as_mut().map(|(_, value)| value)
    }

    /// Where the entry lies.
    pub fn slot<Q: Eq + Hash + ?Sized>(&self, key: &Q) -> Option<u32>
    where
        K: Borrow<Q>,
    {
        self.slots.get(key).copied()
    }

    /// What lies there.
    pub fn at(&self, slot: u32) -> Option<&(K, V)> {
        self.entries.get(slot as usize)?.as_ref()
    }

    /// The entry was used just now.
    pub fn touch(&mut self, slot: u32) {
        if self.at(slot).is_some() {
            self.order.touch(slot);
        }
    }

    /// Uses the entry of `key`, which is made first where there is none.
    pub fn using(&mut self, key: &K, make: impl FnOnce() -> V) -> &mut V {
        let slot = if let Some(slot) = self.slot(key) {
            self.order.touch(slot);
            slot
        } else {
            self.insert(key.clone(), make()).0
        };
        let entry = self.entries[slot as usize].as_mut();
        let Some((_, value)) = entry else { unreachable!("a slot in the index holds an entry") };
        value
    }

    /// Puts an entry in and uses it; gives its slot, and the entry that made room for it or that it
    /// replaced.
    pub fn insert(&mut self, key: K, value: V) -> (u32, Option<(K, V)>) {
        let known = self.slot(&key);
        let full = self.slots.len() >= self.max_entries;
        let reused = known.or_else(|| self.order.oldest().filter(|_| full));
        let slot = reused.or_else(|| self.free.pop()).unwrap_or_else(|| {
            self.entries.push(None);
            self.entries.len() as u32 - 1
        });
        let former = self.entries[slot as usize].take();
        if let Some((former, _)) = &former {
            self.slots.remove(former);
        }
        self.slots.insert(key.clone(), slot);
        self.entries[slot as usize] = Some((key, value));
        self.order.touch(slot);
        (slot, former)
    }

    /// Takes an entry out.
    pub fn remove<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        let slot = self.slots.remove(key)?;
        self.order.remove(slot);
        self.free.push(slot);
        self.entries[slot as usize].take().map(|(_, value)| value)
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        *self = Self::new(self.max_entries);
    }

    /// Every entry, in the order of the slots.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().flatten().map(|(key, value)| (key, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_is_a_list_with_the_last_used_at_its_end(
            steps in prop::collection::vec((0_u32..8, 0_u8..4, any::<u8>()), 0..200),
        ) {
            let mut recent = Recent::new(4);
            let mut model: Vec<(u32, u8)> = Vec::new();
            for (key, what, value) in steps {
                let place = model.iter().position(|(known, _)| *known == key);
                match what {
                    0 => {
                        let got = recent.remove(&key);
                        prop_assert_eq!(got, place.map(|place| model.remove(place).1));
                    }
                    1 => {
                        if let Some(slot) = recent.slot(&key) {
                            recent.touch(slot);
                        }
                        if let Some(place) = place {
                            let entry = model.remove(place);
                            model.push(entry);
                        }
                    }
                    2 => {
                        let got = *recent.using(&key, || value);
                        let had = place.map_or(value, |place| model.remove(place).1);
                        model.push((key, had));
                        prop_assert_eq!(got, had);
                    }
                    _ => {
                        let (slot, _) = recent.insert(key, value);
                        prop_assert_eq!(recent.at(slot), Some(&(key, value)));
                        model.retain(|(known, _)| *known != key);
                        model.push((key, value));
                    }
                }
                if model.len() > 4 {
                    model.remove(0);
                }
                let mut all: Vec<(u32, u8)> = recent.iter().map(|(k, v)| (*k, *v)).collect();
                let mut want = model.clone();
                all.sort_unstable();
                want.sort_unstable();
                prop_assert_eq!(all, want);
                for (key, value) in &model {
                    prop_assert_eq!(recent.get(key), Some(value));
                }
            }
        }
    }
}
