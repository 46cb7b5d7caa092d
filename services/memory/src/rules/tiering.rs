//! Moving between tiers, as the process beside the rules reports it.
//!
//! Invariant: content leaves memory only when the log says where it is; what changed meanwhile stays.

use troupe_domain::Timestamp;
use troupe_domain::memory::{MemoryId, MemoryTier, Namespace};
use troupe_segments::SegmentId;

use super::decay;
use super::entry::{ColdPlace, sha256_of};
use super::record::{Archived, Embedded, What};
use super::state::MemoryState;

impl MemoryState {
    /// Vectors were made: those of contents that changed meanwhile are passed over.
    pub(super) fn embedded(
        &mut self,
        model: String,
        namespace: &Namespace,
        vectors: Vec<Embedded>,
        now: Timestamp,
    ) {
        if self.model.as_ref() != Some(&model) {
            self.draft(None, now, What::Model { model });
        }
        let Some(space) = self.space(namespace) else { return };
        let fits = |one: &Embedded| {
            space
                .get(&one.id)
                .is_some_and(|entry| entry.sha256 == one.sha256 && entry.vector.is_none())
        };
        let vectors: Vec<Embedded> = vectors.into_iter().filter(fits).collect();
        if vectors.is_empty() {
            return;
        }
        let ids: Vec<MemoryId> = vectors.iter().map(|one| one.id.clone()).collect();
        self.draft(Some(namespace), now, What::Embedded { vectors });
        for id in ids {
            self.compare(namespace, &id, now);
        }
    }

    /// Contents are in a segment.
    pub(super) fn archive(
        &mut self,
        namespace: &Namespace,
        entries: Vec<Archived>,
        now: Timestamp,
    ) {
        let Some(space) = self.space(namespace) else { return };
        let fits = |one: &Archived| {
            space.get(&one.id).is_some_and(|entry| {
                entry.sha256 == one.sha256 && entry.memory.tier == MemoryTier::Warm
            })
        };
        let entries: Vec<Archived> = entries.into_iter().filter(fits).collect();
        if !entries.is_empty() {
            self.draft(Some(namespace), now, What::Archived { entries });
        }
    }

    /// The content of an entry of the cold tier is in memory again.
    pub(super) fn warm(
        &mut self,
        namespace: &Namespace,
        id: &MemoryId,
        content: String,
        now: Timestamp,
    ) {
        let Some(entry) = self.space(namespace).and_then(|space| space.get(id)) else { return };
        if entry.memory.tier == MemoryTier::Cold
            && entry.sha256 == sha256_of(&content)
            && self.bytes().1 + content.len() <= self.settings.max_resident_bytes
        {
            self.draft(Some(namespace), now, What::Warmed { id: id.clone(), content });
        }
    }

    /// A segment was written anew.
    pub(super) fn rewritten(
        &mut self,
        namespace: &Namespace,
        former: SegmentId,
        places: Vec<(MemoryId, ColdPlace)>,
        now: Timestamp,
    ) {
        if self.space(namespace).is_some() {
            self.draft(Some(namespace), now, What::Rewritten { former, places });
        }
    }

    /// A segment is gone.
    pub(super) fn erased_segment(
        &mut self,
        namespace: &Namespace,
        segment: SegmentId,
        now: Timestamp,
    ) {
        if self.space(namespace).is_some() {
            self.draft(Some(namespace), now, What::Erased { segment });
        }
    }

    /// Copies in the cold tier are damaged. Who met that may have looked where an entry was before its
    /// segment was written anew: then it says nothing.
    pub(super) fn damaged(
        &mut self,
        namespace: &Namespace,
        entries: Vec<(MemoryId, SegmentId)>,
        reason: String,
        now: Timestamp,
    ) {
        let Some(space) = self.space(namespace) else { return };
        let is_news = |(id, segment): &(MemoryId, SegmentId)| {
            space.get(id).is_some_and(|entry| entry.is_in(*segment) && !entry.damaged)
        };
        let ids: Vec<MemoryId> = entries.into_iter().filter(is_news).map(|(id, _)| id).collect();
        if !ids.is_empty() {
            self.draft(Some(namespace), now, What::Damaged { ids, reason });
        }
    }

    /// Moves entries between the hot and the warm tier, where the rules say so.
    pub(super) fn retier(&mut self, namespace: &Namespace, ids: Vec<MemoryId>, now: Timestamp) {
        let Some(space) = self.space(namespace) else { return };
        let (mut hot, mut warm) = (Vec::new(), Vec::new());
        for id in ids {
            let Some(entry) = space.get(&id) else { continue };
            match (entry.memory.tier, decay::wanted_tier(entry, now, &self.settings)) {
                (MemoryTier::Warm, Some(MemoryTier::Hot)) => hot.push(id),
                (MemoryTier::Hot, Some(MemoryTier::Warm)) => warm.push(id),
                _ => {}
            }
        }
        for (ids, tier) in [(hot, MemoryTier::Hot), (warm, MemoryTier::Warm)] {
            if !ids.is_empty() {
                self.draft(Some(namespace), now, What::Moved { ids, tier });
            }
        }
    }

    /// Deleted entries are gone from a tier.
    pub(super) fn gone(
        &mut self,
        namespace: &Namespace,
        ids: Vec<MemoryId>,
        tier: &str,
        now: Timestamp,
    ) {
        for id in ids {
            let known = self.space(namespace).and_then(|space| space.tombstone(&id));
            let is_news = known.is_some_and(|tombstone| match tier {
                "hot" => tombstone.hot.is_none(),
                "cold" => tombstone.cold.is_none() && tombstone.copies.is_empty(),
                _ => tombstone.waits_for_log(),
            });
            if is_news {
                self.draft(Some(namespace), now, What::Gone { id, tier: tier.to_owned() });
            }
        }
    }
}
