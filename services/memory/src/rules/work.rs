//! What the process beside the rules has to do for a shard: vectors to be made, contents to be moved,
//! segments to be written anew. Looked at, never changed, here.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use troupe_domain::Timestamp;
use troupe_domain::memory::{Memory, MemoryId, MemoryTier, Namespace};
use troupe_segments::SegmentId;

use super::decay::{has_outlived, wanted_tier};
use super::entry::ColdPlace;
use super::space::Space;
use super::state::{Key, MemoryState};
use super::tombstone::Tombstone;

/// An entry whose vector is to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToEmbed {
    /// The entry.
    pub id: MemoryId,
    /// The digest of its content.
    pub sha256: String,
    /// Its content, after that of the entry before it.
    pub text: String,
}

/// Where a walk over all entries has come to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cursor {
    namespace: Option<Namespace>,
    slot: u32,
}

/// What a part of the walk found.
#[derive(Debug, Default, PartialEq)]
pub struct Due {
    /// To the hot tier, or back from it.
    pub retier: BTreeMap<Namespace, Vec<MemoryId>>,
    /// To the cold tier: the namespace, the entry with its content, and its digest.
    pub archive: BTreeMap<Namespace, Vec<(Memory, String)>>,
    /// Back from the cold tier.
    pub warm: Vec<(Key, ColdPlace)>,
    /// From the cold tier for good: they were kept for as long as they are to be.
    pub outlived: BTreeMap<Namespace, Vec<MemoryId>>,
    /// Whether every entry was seen.
    pub is_over: bool,
}

impl MemoryState {
    /// Entries whose vector is to be made, of the first namespace that has any.
    ///
    /// `hopeless` are the digests of contents that say nothing to a model.
    pub fn to_embed(
        &self,
        limit: usize,
        max_bytes: usize,
        hopeless: &HashSet<String>,
    ) -> Option<(Namespace, Vec<ToEmbed>)> {
        self.spaces.iter().find_map(|(name, space)| {
            let due = to_embed_in(space, limit, max_bytes, hopeless);
            (!due.is_empty()).then(|| (name.clone(), due))
        })
    }

    /// Goes on with the walk over all entries: what belongs in another tier, of the next `steps`.
    pub fn due(&self, cursor: &mut Cursor, steps: u32, now: Timestamp) -> Due {
        let mut due = Due::default();
        let mut left = steps;
        while left > 0 {
            let from = cursor
                .namespace
                .clone()
                .map_or(std::ops::Bound::Unbounded, std::ops::Bound::Included);
            let Some((name, space)) = self.spaces.range((from, std::ops::Bound::Unbounded)).next()
            else {
                *cursor = Cursor::default();
                due.is_over = true;
                return due;
            };
            if cursor.namespace.as_ref() != Some(name) {
                *cursor = Cursor { namespace: Some(name.clone()), slot: 0 };
            }
            let end = space.slots().min(cursor.slot.saturating_add(left));
            for slot in cursor.slot..end {
                if let Some(entry) = space.at(slot) {
                    self.judge(name, entry, now, &mut due);
                }
            }
            left -= end - cursor.slot;
            cursor.slot = end;
            if end >= space.slots() {
                let after = (std::ops::Bound::Excluded(name.clone()), std::ops::Bound::Unbounded);
                let next = self.spaces.range(after).next().map(|(name, _)| name.clone());
                due.is_over = next.is_none();
                *cursor = Cursor { namespace: next, slot: 0 };
                if due.is_over {
                    return due;
                }
            }
        }
        due
    }

    fn judge(&self, name: &Namespace, entry: &super::entry::Entry, now: Timestamp, due: &mut Due) {
        let id = || entry.memory.id.clone();
        if has_outlived(&entry.memory, now, &self.settings) {
            due.outlived.entry(name.clone()).or_default().push(id());
            return;
        }
        match (entry.memory.tier, wanted_tier(entry, now, &self.settings)) {
            (_, None) => {}
            (MemoryTier::Cold, Some(_)) => {
                due.warm.extend(entry.place.map(|place| ((name.clone(), id()), place)));
            }
            (_, Some(MemoryTier::Cold)) => {
                let both = (entry.memory.clone(), entry.sha256.clone());
                due.archive.entry(name.clone()).or_default().push(both);
            }
            (_, Some(_)) => due.retier.entry(name.clone()).or_default().push(id()),
        }
    }

    /// Segments that something deleted is in: they must go soon.
    pub fn urgent_segments(&self) -> BTreeMap<Namespace, BTreeSet<SegmentId>> {
        let copies = |space: &Space| -> BTreeSet<SegmentId> {
            space.pending_tombstones().flat_map(|(_, t)| t.copies.iter().copied()).collect()
        };
        self.spaces.iter().map(|(name, space)| (name.clone(), copies(space))).collect()
    }

    /// Segments that must not go as they are, with how many entries have their content there.
    pub fn live_segments(&self) -> BTreeMap<Namespace, BTreeMap<SegmentId, u32>> {
        let mut all: BTreeMap<Namespace, BTreeMap<SegmentId, u32>> = BTreeMap::new();
        for (name, segments) in self.standing_segments() {
            if !segments.is_empty() {
                all.insert(name, segments.into_iter().map(|segment| (segment, 0)).collect());
            }
        }
        for (name, live) in &mut all {
            let entries = self.spaces.get(name).into_iter().flat_map(Space::entries);
            for place in entries.filter_map(|entry| entry.place) {
                *live.entry(place.segment).or_default() += 1;
            }
        }
        all
    }

    /// Entries whose content is in one of some segments, and in which.
    pub fn wanted_from(
        &self,
        namespace: &Namespace,
        segments: &[SegmentId],
    ) -> BTreeMap<MemoryId, SegmentId> {
        let entries = self.spaces.get(namespace).into_iter().flat_map(Space::entries);
        let here = |entry: &std::sync::Arc<super::entry::Entry>| {
            let segment = entry.place.map(|place| place.segment)?;
            segments.contains(&segment).then(|| (entry.memory.id.clone(), segment))
        };
        entries.filter_map(here).collect()
    }

    /// Whether something that was deleted is still in a segment, or may be.
    pub fn has_urgent_segments(&self) -> bool {
        self.spaces
            .values()
            .any(|space| space.pending_tombstones().any(|(_, tombstone)| tombstone.cold.is_none()))
    }

    /// Every segment that entries stand on, or that still must be written anew.
    pub fn standing_segments(&self) -> BTreeMap<Namespace, BTreeSet<SegmentId>> {
        let mut all = BTreeMap::new();
        for (name, space) in &self.spaces {
            let entries = space.entries().flat_map(|entry| entry.copies.iter().copied());
            let buried = space.pending_tombstones().flat_map(|(_, t)| t.copies.iter().copied());
            let segments: BTreeSet<SegmentId> = entries.chain(buried).collect();
            all.insert(name.clone(), segments);
        }
        all
    }

    /// Deleted entries that are in no segment any more, by what they wait for.
    pub fn deletions(&self, waits: impl Fn(&Tombstone) -> bool) -> Vec<Key> {
        let mut found = Vec::new();
        for (name, space) in &self.spaces {
            let waiting = space.pending_tombstones().filter(|(_, tombstone)| waits(tombstone));
            found.extend(waiting.map(|(id, _)| (name.clone(), id.clone())));
        }
        found
    }

    /// Which of these are deleted and wait for something, by namespace.
    pub fn buried(
        &self,
        keys: &[Key],
        waits: impl Fn(&Tombstone) -> bool,
    ) -> BTreeMap<Namespace, Vec<MemoryId>> {
        let mut found: BTreeMap<Namespace, Vec<MemoryId>> = BTreeMap::new();
        for (name, id) in keys {
            let tombstone = self.space(name).and_then(|space| space.tombstone(id));
            if tombstone.is_some_and(&waits) {
                found.entry(name.clone()).or_default().push(id.clone());
            }
        }
        found
    }

    /// Entries of the cold tier whose words search does not find yet, by their segments.
    pub fn unindexed_segments(&self, limit: usize) -> Vec<(Namespace, SegmentId)> {
        let mut found = BTreeSet::new();
        for (name, space) in self.spaces.iter().filter(|(_, space)| space.cold_count() > 0) {
            for entry in space.unindexed().filter(|entry| !entry.damaged) {
                if found.len() >= limit {
                    return found.into_iter().collect();
                }
                found.extend(entry.place.map(|place| (name.clone(), place.segment)));
            }
        }
        found.into_iter().collect()
    }

    /// Words of entries of the cold tier were read from their segment. It is not recorded: it is made
    /// anew by each owner.
    pub fn reread(&mut self, namespace: &Namespace, read: &[(MemoryId, String, String)]) {
        let Some(space) = self.spaces.get_mut(namespace) else { return };
        for (id, sha256, content) in read {
            space.reread(id, sha256, content);
        }
    }
}

fn to_embed_in(
    space: &Space,
    limit: usize,
    max_bytes: usize,
    hopeless: &HashSet<String>,
) -> Vec<ToEmbed> {
    let (mut due, mut bytes) = (Vec::new(), 0);
    for id in space.unembedded() {
        let Some(entry) = space.get(id).filter(|entry| !hopeless.contains(&entry.sha256)) else {
            continue;
        };
        let Some(content) = entry.content() else { continue };
        let previous = entry.previous.as_ref().and_then(|id| space.get(id));
        let text = troupe_recall::context(previous.and_then(|one| one.content()), content);
        bytes += text.len();
        if due.len() >= limit || (bytes > max_bytes && !due.is_empty()) {
            break;
        }
        due.push(ToEmbed { id: id.clone(), sha256: entry.sha256.clone(), text });
    }
    due
}
