//! The semantic cache in memory: exact hits by key, near hits by cosine.
//!
//! A near entry serves only if a gate lets it through: vectors do not see numbers, names and
//! negations. Invariants: at most the configured number of entries, the longest unused go first;
//! every entry belongs to the current generation, so that a change of agents, routes or model
//! leaves nothing behind; and an answer that was found under an older generation is not taken in.

pub mod slab;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use troupe_domain::Fault;

use super::recent::Recent;
use slab::Slab;

/// Most entries that can be asked for: 50 MB of vectors at 384 parts.
pub const MAX_CACHE_ENTRIES: usize = 65_536;
/// Bytes in a text that is cached; a longer one is hardly ever asked twice.
pub const MAX_CACHED_TEXT_BYTES: usize = 4 * 1024;
/// Near entries that are shown to the gate for one question.
pub const MAX_GATED_ENTRIES: usize = 8;

/// What entries rest on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Generation {
    /// What the agents declare: the roster's fingerprint.
    pub fleet: u64,
    /// The route table's fingerprint.
    pub routes: u64,
    /// The embedding model.
    pub model: String,
}

impl Generation {
    /// Agents and routes in one text, for keys outside this process.
    pub fn version(&self) -> String {
        format!("{:016x}-{:016x}", self.fleet, self.routes)
    }
}

/// What is remembered of one question.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry<V> {
    /// As it was asked.
    pub text: String,
    /// What was found.
    pub value: V,
}

/// An entry that was found by its vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Near<'a, V> {
    /// The entry's key, for [`CacheIndex::wrong`].
    pub key: &'a str,
    /// The cosine of the two vectors.
    pub cosine: f32,
    /// The entry.
    pub entry: &'a Entry<V>,
}

/// Counts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Found by key.
    pub exact_hits: u64,
    /// Found by vector.
    pub near_hits: u64,
    /// Questions for which something was near, and the gate refused all of it.
    pub gated: u64,
    /// Not found, with those that were gated.
    pub misses: u64,
    /// Hits of which somebody said that they were wrong.
    pub wrong_hits: u64,
    /// Entries that made room for others.
    pub evicted: u64,
    /// Entries that a change of agents, routes or model removed.
    pub invalidated: u64,
}

impl Counters {
    /// Hits ÷ questions; 0 where nobody asked.
    pub fn hit_ratio(&self) -> f64 {
        let hits = self.exact_hits + self.near_hits;
        hits as f64 / (hits + self.misses).max(1) as f64
    }

    /// Wrong hits ÷ hits. No hit ratio is worth anything without it.
    pub fn wrong_hit_ratio(&self) -> f64 {
        self.wrong_hits as f64 / (self.exact_hits + self.near_hits).max(1) as f64
    }
}

/// Entries by key and by vector.
#[derive(Debug)]
pub struct CacheIndex<V> {
    generation: Generation,
    entries: Recent<String, Entry<V>>,
    slab: Slab,
    counters: Counters,
}

impl<V> CacheIndex<V> {
    /// An empty cache of at most `max_entries`, for vectors of `dims` parts.
    pub fn new(max_entries: usize, dims: usize, generation: Generation) -> Self {
        Self {
            generation,
            entries: Recent::new(max_entries.min(MAX_CACHE_ENTRIES)),
            slab: Slab::new(dims),
            counters: Counters::default(),
        }
    }

    /// What entries rest on.
    pub fn generation(&self) -> &Generation {
        &self.generation
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The counts.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Agents, routes or model changed: forgets everything that rests on what they were before.
    pub fn advance(&mut self, generation: Generation, dims: usize) {
        if self.generation == generation {
            return;
        }
        self.counters.invalidated += self.entries.len() as u64;
        self.entries.clear();
        self.slab = Slab::new(dims);
        self.generation = generation;
    }

    /// Looks by key. Nothing found is not yet a miss: [`Self::near`] or [`Self::missed`] follows.
    pub fn exact(&mut self, key: &str) -> Option<&Entry<V>> {
        let slot = self.entries.slot(key)?;
        self.counters.exact_hits += 1;
        self.entries.touch(slot);
        self.entries.at(slot).map(|(_, entry)| entry)
    }

    /// Looks by vector: the nearest entry with a cosine of at least `least` that `gate` lets
    /// through. Of many near ones the gate sees the nearest [`MAX_GATED_ENTRIES`].
    pub fn near(
        &mut self,
        vector: &[f32],
        least: f32,
        mut gate: impl FnMut(&Entry<V>, f32) -> bool,
    ) -> Result<Option<Near<'_, V>>, Fault> {
        let query = self.slab.quantise(vector)?;
        let nearest = self.slab.nearest(&query, least, MAX_GATED_ENTRIES);
        let serves = |(cosine, slot): &&(f32, u32)| {
            self.entries.at(*slot).is_some_and(|(_, entry)| gate(entry, *cosine))
        };
        let Some((cosine, slot)) = nearest.iter().find(serves).copied() else {
            self.counters.gated += u64::from(!nearest.is_empty());
            self.counters.misses += 1;
            return Ok(None);
        };
        self.counters.near_hits += 1;
        self.entries.touch(slot);
        Ok(self.entries.at(slot).map(|(key, entry)| Near { key, cosine, entry }))
    }

    /// A question that could not be looked up by vector was not found.
    pub fn missed(&mut self) {
        self.counters.misses += 1;
    }

    /// Remembers what was found under `generation`; false if that is no longer the current one, or
    /// the text is too long. Without a vector the entry serves exact hits only.
    pub fn insert(
        &mut self,
        generation: &Generation,
        key: String,
        vector: Option<&[f32]>,
        entry: Entry<V>,
    ) -> Result<bool, Fault> {
        if *generation != self.generation || entry.text.len() > MAX_CACHED_TEXT_BYTES {
            return Ok(false);
        }
        let vector = vector.map(|vector| self.slab.quantise(vector)).transpose()?;
        let known = self.entries.slot(&key).is_some();
        let (slot, former) = self.entries.insert(key, entry);
        self.counters.evicted += u64::from(former.is_some() && !known);
        match vector {
            Some(vector) => self.slab.put(slot, &vector),
            None => self.slab.clear(slot),
        }
        Ok(true)
    }

    /// Somebody says that the hit under `key` was wrong: it is counted, and the entry goes.
    /// The key is that of the entry, not of the question.
    pub fn wrong(&mut self, key: &str) {
        self.counters.wrong_hits += 1;
        self.remove(key);
    }

    /// Forgets one entry.
    pub fn remove(&mut self, key: &str) {
        if let Some(slot) = self.entries.slot(key) {
            self.entries.remove(key);
            self.slab.clear(slot);
        }
    }
}
