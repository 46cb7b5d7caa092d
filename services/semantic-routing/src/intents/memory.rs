//! The cache in memory, and which answers came from it.
//!
//! Invariant: what somebody says was wrong is counted only where it was served from here.

use serde::{Deserialize, Serialize};
use troupe_contract::routing::RouteId;
use troupe_domain::MessageId;

use crate::rules::cache_index::{CacheIndex, Counters, Entry, Generation};
use crate::rules::recent::Recent;
use crate::rules::verdict::Verdict;

/// Messages of which it is remembered what they wanted and where they went.
const MAX_ROUTED: usize = 8_192;
/// Questions of which it is remembered which entry answered them.
const MAX_SERVED: usize = 8_192;
/// Questions that another one's entry answers, so that they are embedded once.
const MAX_ALIASES: usize = 65_536;

/// The cache in memory.
#[derive(Debug)]
pub(super) struct Memory {
    /// The entries; none where the cache is switched off or no model ran yet.
    index: Option<CacheIndex<Verdict>>,
    max_entries: usize,
    /// By the key of the question: the key of the entry that answered it.
    served: Recent<String, String>,
    /// By the key of a question that was answered by what is near: the key of that entry.
    aliases: Recent<String, String>,
    /// By message: what it wanted, and the route that it took.
    routed: Recent<MessageId, Routed>,
}

/// What a message wanted, for whoever knows only its id when it turned out well or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Routed {
    /// What was wanted, in words.
    pub(crate) text: String,
    /// The route that was taken.
    pub(crate) route: Option<RouteId>,
}

impl Memory {
    pub(super) fn new(max_entries: usize) -> Self {
        Self {
            index: None,
            max_entries,
            served: Recent::new(MAX_SERVED),
            aliases: Recent::new(MAX_ALIASES),
            routed: Recent::new(MAX_ROUTED),
        }
    }

    /// The entries of `generation`, for vectors of `dims` parts; older ones are forgotten.
    pub(super) fn of(
        &mut self,
        generation: &Generation,
        dims: usize,
    ) -> Option<&mut CacheIndex<Verdict>> {
        if self.max_entries == 0 {
            return None;
        }
        let index = self
            .index
            .get_or_insert_with(|| CacheIndex::new(self.max_entries, dims, generation.clone()));
        index.advance(generation.clone(), dims);
        Some(index)
    }

    /// An exact hit: this very text was asked before, and has an entry or was answered by one.
    pub(super) fn exact(
        &mut self,
        generation: &Generation,
        dims: usize,
        key: &str,
    ) -> Option<Verdict> {
        let entry = self.aliases.get(key).cloned().unwrap_or_else(|| key.to_owned());
        let found = self.of(generation, dims)?.exact(&entry)?.value.clone();
        self.served.insert(key.to_owned(), entry);
        Some(found)
    }

    /// A near hit that `gate` lets through.
    pub(super) fn near(
        &mut self,
        generation: &Generation,
        key: &str,
        vector: &[f32],
        similarity_min: f32,
        gate: impl FnMut(&Entry<Verdict>, f32) -> bool,
    ) -> Option<Verdict> {
        let near = self.of(generation, vector.len())?.near(vector, similarity_min, gate);
        let near = near.ok().flatten()?;
        let (entry, verdict) = (near.key.to_owned(), near.entry.value.clone());
        self.aliases.insert(key.to_owned(), entry.clone());
        self.served.insert(key.to_owned(), entry);
        Some(verdict)
    }

    /// A question that could not be looked up by vector.
    pub(super) fn missed(&mut self) {
        if let Some(index) = &mut self.index {
            index.missed();
        }
    }

    /// Remembers a verdict; false where it is no longer of use.
    pub(super) fn insert(
        &mut self,
        generation: &Generation,
        key: String,
        vector: &[f32],
        text: &str,
        verdict: Verdict,
    ) -> bool {
        let entry = Entry { text: text.to_owned(), value: verdict };
        let index = self.of(generation, vector.len());
        index.is_some_and(|index| {
            index.insert(generation, key, Some(vector), entry).unwrap_or(false)
        })
    }

    /// Somebody says that the answer to the question under `key` was wrong. Gives the key of the
    /// entry that goes.
    pub(super) fn wrong(&mut self, key: &str) -> String {
        let served = self.served.remove(key);
        let entry = served.clone().unwrap_or_else(|| key.to_owned());
        if let Some(index) = &mut self.index {
            if served.is_some() { index.wrong(&entry) } else { index.remove(&entry) }
        }
        entry
    }

    /// Forgets one entry, because another replica says so.
    pub(super) fn forget(&mut self, key: &str) {
        if let Some(index) = &mut self.index {
            index.remove(key);
        }
    }

    /// A message was routed.
    pub(super) fn remember(&mut self, message: MessageId, routed: Routed) {
        self.routed.insert(message, routed);
    }

    /// What a message wanted.
    pub(super) fn routed(&self, message: &MessageId) -> Option<Routed> {
        self.routed.get(message).cloned()
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.index.as_ref().map_or(0, CacheIndex::len)
    }

    /// The counts.
    pub(super) fn counters(&self) -> Counters {
        self.index.as_ref().map(CacheIndex::counters).unwrap_or_default()
    }
}
